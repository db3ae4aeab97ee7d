/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_copy.c - nodes that come back, regions that may differ and blocks that can't be read
 * are made equal, with nothing newer overwritten and nothing told too early.
 */
#include "test/unit/mirror_fixture.h"

#include "dstfs/mirror_copy_impl.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

static const unsigned some_regions[] = {3, 4, 9};

static uint64_t data_size(void)
{
	return mirror_data_size(DISK_SIZE);
}

static bool identical(unsigned a, unsigned b)
{
	return !memcmp(f.disks[a].image, f.disks[b].image, data_size());
}

/* As if users were at work all the time: a window at a time. */
static void copy_while_busy(void)
{
	for (unsigned i = 0; i < 100; i++) {
		f.mirror->copy->users_at = clock_now();
		f.mirror->copy->pause_until = 0;
		mirror_copy_poke(f.mirror);
		settle();
	}
}

/* A node that failed is looked at again, and is to be copied to. */
static void come_back(unsigned at)
{
	disk_revive(at);
	f.mirror->copy->users_at = 0;
	retry_now();
	retry_now();
}

/* Likewise, and nothing is copied before mirror_copy_pause(). */
static void come_back_and_wait(unsigned at)
{
	mirror_copy_pause(f.mirror, true);
	come_back(at);
	assert_int_equal(f.mirror->nodes[at].state, MIRROR_NODE_RESYNC);
}

static void begin(unsigned count)
{
	begin_in_sync(count);
	start();
}

static void end(void)
{
	stop();
	fixture_end();
}

/* Disk `at` misses writes of 4 KiB into these regions. */
static void miss(unsigned at, const unsigned *regions, unsigned count)
{
	disk_die(at);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(do_write(regions[i] * REGION, 4096, (uint8_t)(0x40 + regions[i])),
				 0);
	assert_int_equal(f.mirror->nodes[at].state, MIRROR_NODE_FAILED);
	f.disks[at].writes = f.disks[at].reads = 0;
}

/* What is marked is cleared, what was copied is settled. */
static void look_often(void)
{
	for (unsigned i = 0; i < 4; i++)
		look_now();
}

static void assert_in_sync(unsigned at)
{
	assert_int_equal(f.mirror->nodes[at].state, MIRROR_NODE_IN_SYNC);
	for (unsigned i = 0; i < f.count; i++)
		assert_true(identical(i, at));
}

/* ---- resync ---- */

static void only_what_was_missed_is_copied(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, REGION, 7), 0);
	look_often(); /* so that region 0 isn't marked any more */
	miss(1, some_regions, 3);
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	/* Those that were marked ahead are seen to be equal. */
	assert_int_equal(f.disks[1].writes, 2); /* regions 3 and 4 go together */
	assert_in_range(f.disks[1].reads, 3, 20);
	assert_int_equal(f.mirror->copy->all.sent, 3 * REGION);
	end();
}

static void where_nothing_was_equal_of_late_comparing_is_left_out(void **state)
{
	struct mirror_copy *copy;

	begin(2);
	copy = f.mirror->copy;
	assert_int_equal(do_write(0, 16 * REGION, 7), 0);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	copy->unlike = COPY_UNLIKE;
	mirror_copy_pause(f.mirror, false);
	copy_now();
	look_now();
	assert_in_sync(1);
	assert_int_equal(copy->all.compared, 0);
	assert_true(copy->all.sent > 3 * REGION);
	assert_int_equal(copy->unlike, COPY_UNLIKE);

	/* Now and then it is looked again. */
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	assert_int_equal(copy->unlike, 0); /* another one is another matter */
	copy->unlike = COPY_UNLIKE;
	copy->uncompared = COPY_COMPARE_EVERY - 1;
	mirror_copy_pause(f.mirror, false);
	copy_now();
	look_now();
	assert_in_sync(1);
	assert_true(copy->all.equal > 0);
	assert_int_equal(copy->unlike, 0);
	end();
}

static void holes_and_zeros_stay_what_they_are(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, 4 * REGION, 7), 0);
	disk_die(1);
	assert_int_equal(do_plain(REQUEST_DISCARD, 0, REGION), 0);
	assert_int_equal(do_write(REGION, REGION, 0), 0);
	assert_int_equal(do_plain(REQUEST_DISCARD, 2 * REGION, 4096), 0);
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	assert_false(f.disks[1].mapped[0]);
	assert_true(f.disks[1].mapped[REGION / DISK_GRAIN]); /* it was allocated, and still is */
	assert_int_equal(f.mirror->copy->all.zeroed, 2 * REGION);
	assert_int_equal(f.mirror->copy->all.sent, REGION);
	end();
}

static void who_cannot_zero_gets_zeros(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, REGION, 7), 0);
	disk_die(1);
	f.disks[1].no_zeroes = true;
	assert_int_equal(do_plain(REQUEST_DISCARD, 0, REGION), 0);
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	assert_int_equal(f.mirror->copy->all.sent, REGION);
	end();
}

static void holes_on_both_sides_are_not_read(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_plain(REQUEST_DISCARD, 0, 8 * REGION), 0);
	memset(f.disks[1].mapped, false, sizeof(f.disks[1].mapped));
	f.disks[1].reads = 0;
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	assert_int_equal(f.disks[1].reads * REGION, f.mirror->copy->all.compared);
	assert_int_equal(f.mirror->copy->all.equal, f.mirror->copy->all.compared + 8 * REGION);
	assert_int_equal(f.mirror->copy->all.zeroed, 0);
	end();
}

static void a_source_that_dies_is_replaced(void **state)
{
	begin(3);
	miss(2, some_regions, 3);
	come_back_and_wait(2);
	f.disks[0].holds_data = true;
	mirror_copy_pause(f.mirror, false);
	settle();
	assert_true(f.mirror->copy->windows_busy);
	f.disks[0].holds_data = false;
	disk_die(0);
	loop_defer(f.worker.loop, &f.disks[0].hook);
	settle();
	copy_now();
	look_now();
	assert_int_equal(f.mirror->nodes[0].state, MIRROR_NODE_FAILED);
	assert_int_equal(f.mirror->nodes[2].state, MIRROR_NODE_IN_SYNC);
	assert_true(identical(1, 2));
	come_back(0);
	copy_now();
	look_now();
	assert_in_sync(0);
	end();
}

static void a_source_that_cannot_read_is_mended_too(void **state)
{
	begin(3);
	miss(2, some_regions, 3);
	f.disks[0].bad_offset = 3 * REGION + 512;
	come_back(2);
	copy_now();
	look_now();
	assert_in_sync(2);
	assert_int_equal(f.disks[0].bad_offset, UINT64_MAX);
	assert_int_equal(f.mirror->nodes[0].state, MIRROR_NODE_IN_SYNC);
	end();
}

/* Where they differ users have read what the primary has: it isn't given up for one read that failed. */
static void a_source_is_asked_again_before_another(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].image[0] = 2;
	f.disks[0].bad_reads = 2;
	mirror_report_suspect(f.mirror, (struct range){0, 4096});
	copy_now();
	assert_int_equal(f.disks[0].bad_reads, 0);
	assert_int_equal(f.disks[0].image[0], 1);
	assert_int_equal(f.disks[1].image[0], 1);
	end();
}

/* Nothing can be done about it; but all else is copied, and the node isn't said to be in sync. */
static void what_nobody_can_read_is_left(void **state)
{
	begin(2);
	miss(1, some_regions, 3);
	f.disks[0].bad_offset = 3 * REGION;
	come_back(1);
	copy_now();
	look_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	assert_int_equal(copy_resync_left(f.mirror, &f.mirror->nodes[1]), REGION);
	assert_int_equal(f.disks[1].image[4 * REGION], 0x44);
	assert_true(f.mirror->copy->unreadable >= REGION);
	f.disks[0].bad_offset = UINT64_MAX;
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

static void a_target_that_dies_keeps_what_it_misses(void **state)
{
	begin(2);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	f.disks[1].holds_data = true;
	mirror_copy_pause(f.mirror, false);
	settle();
	disk_die(1);
	disk_release(&f.disks[1]);
	settle();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_FAILED);
	assert_int_equal(f.mirror->copy->windows_busy, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(disk_map_bit(0, 1 + f.mirror->nodes[1].slot, some_regions[i]));
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

static void a_target_that_cannot_be_written_is_absent(void **state)
{
	begin(2);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	f.disks[1].write_error = EIO;
	mirror_copy_pause(f.mirror, false);
	copy_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_FAILED);
	assert_int_equal(do_read(3 * REGION), 0x43);
	f.disks[1].write_error = 0;
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

/* Being away isn't having failed. */
static void nodes_that_are_away_are_waited_for(void **state)
{
	begin(2);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	for (unsigned away = 0; away < 2; away++) {
		disk_set_state(&f.disks[away], TARGET_AWAY);
		mirror_copy_pause(f.mirror, false);
		mirror_report_suspect(f.mirror, (struct range){0, 4096});
		settle();
		copy_now();
		assert_int_equal(f.mirror->copy->windows_busy, 0);
		assert_int_equal(f.mirror->read_set, 1);
		assert_int_equal(f.mirror->write_set, 3);
		mirror_copy_pause(f.mirror, true);
		disk_set_state(&f.disks[away], TARGET_READY);
	}
	mirror_copy_pause(f.mirror, false);
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

/* The missed bit leaves the map only after a FLUSH of the node that came after the copy. */
static void progress_is_durable_before_it_is_recorded(void **state)
{
	bool written = false, flushed = false;

	begin(2);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	f.disks[1].flush_error = EIO;
	mirror_copy_pause(f.mirror, false);
	copy_now();
	assert_true(disk_map_bit(0, 1 + f.mirror->nodes[1].slot, 3));
	f.disks[1].flush_error = 0;
	records_forget();
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	for (unsigned i = 0; i < f.record_count; i++) {
		const struct record *record = &f.records[i];
		bool data = record->type == RECORD_WRITE && record->range.offset < data_size();
		bool map =
			record->type == RECORD_WRITE && record->disk == 0 &&
			record->range.offset ==
				mirror_map_offset(&f.mirror->super, 1 + f.mirror->nodes[1].slot, 0);

		written |= data && record->disk == 1;
		flushed |= record->type == RECORD_FLUSH && record->disk == 1;
		if (map)
			assert_true(flushed);
	}
	end();
}

/* Killed after any number of steps it goes on, and in the end all is there. */
static void a_killed_resync_goes_on(void **state)
{
	unsigned in_sync = 0;

	for (unsigned turns = 0; in_sync < 3; turns++) {
		begin(2);
		miss(1, some_regions, 3);
		come_back(1);
		mirror_copy_poke(f.mirror);
		for (unsigned i = 0; i < turns; i++)
			one_turn();
		look_now();
		in_sync += f.mirror->nodes[1].state == MIRROR_NODE_IN_SYNC;
		loop_run_posted(f.worker.loop);
		assert_true(target_destroy(&f.target));
		start();
		copy_now();
		look_often();
		assert_int_equal(do_read(3 * REGION), 0x43);
		assert_in_sync(1);
		end();
	}
}

static void the_target_is_inconsistent_before_its_first_byte(void **state)
{
	bool told[2] = {false, false};

	begin(2);
	miss(1, some_regions, 3);
	records_forget();
	come_back(1);
	copy_now();
	for (unsigned i = 0; i < f.record_count; i++) {
		const struct record *record = &f.records[i];
		bool data = record->type == RECORD_WRITE && record->range.offset < data_size();

		if (record->type == RECORD_WRITE && record->range.length >= MIRROR_SUPER_SIZE &&
		    record->range.offset >= mirror_super_offset(DISK_SIZE, 0))
			told[record->disk] = true;
		if (data)
			assert_true(told[0] && told[1]);
	}
	end();
}

/* ---- with users at work ---- */

static void a_window_waits_for_writes_and_keeps_them_out(void **state)
{
	struct io before, after;

	begin(2);
	miss(1, some_regions, 3);
	come_back_and_wait(1);
	f.disks[0].holds_data = true;
	io_write_begin(&before, 3 * REGION, 4096, 1);
	settle();
	mirror_copy_pause(f.mirror, false);
	copy_now();
	io_write_begin(&after, 3 * REGION, 4096, 2);
	settle();
	assert_false(before.done);
	assert_false(after.done);
	disk_release(&f.disks[0]);
	settle();
	copy_now();
	look_now();
	assert_true(before.done && after.done);
	assert_int_equal(before.error | after.error, 0);
	assert_int_equal(f.disks[1].image[3 * REGION], 2);
	assert_in_sync(1);
	io_write_end(&before);
	io_write_end(&after);
	end();
}

static void one_window_at_a_time_while_users_are_at_work(void **state)
{
	static const unsigned scattered[] = {0, 10, 20};
	struct io read;

	begin(2);
	miss(1, scattered, 3);
	f.disks[0].holds_data = true;
	io_submit(&read, REQUEST_READ, 25 * REGION, 4096);
	disk_revive(1);
	retry_now();
	retry_now();
	settle();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	assert_int_equal(f.mirror->copy->windows_busy, 1); /* and not none */
	disk_release(&f.disks[0]);
	settle();
	copy_while_busy();
	look_now();
	assert_in_sync(1);
	end();
}

static void pausing_stops_a_resync_and_nothing_else(void **state)
{
	begin(2);
	mirror_copy_pause(f.mirror, true);
	miss(1, some_regions, 3);
	come_back(1);
	copy_now();
	assert_int_equal(f.disks[1].writes, 0);
	assert_int_equal(do_write(20 * REGION, 4096, 1), 0);
	mirror_copy_pause(f.mirror, false);
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

static void a_rate_holds_back(void **state)
{
	begin(2);
	f.policy.resync_rate = 1;
	miss(1, some_regions, 3);
	come_back(1);
	settle();
	assert_true(f.mirror->copy->rate_until > clock_now() + 3600 * CLOCK_SEC);
	f.policy.resync_rate = 0;
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

#define WRITERS 8u

static unsigned rng = 1;

static unsigned pick(unsigned bound)
{
	rng = rng * 1103515245u + 12345u;
	return rng / 65536 % bound;
}

static uint8_t model[DISK_SIZE];
static struct io ios[WRITERS];
static bool used[WRITERS];

/* One of the writers, if it is idle. */
static void write_somewhere(void)
{
	unsigned at = pick(WRITERS), length = 4096 * (1 + pick(8));
	uint64_t offset = (uint64_t)pick((unsigned)(data_size() - length) / 512) * 512;

	if (used[at] && !ios[at].done)
		return;
	if (used[at]) {
		assert_int_equal(ios[at].error, 0);
		io_write_end(&ios[at]);
	}
	io_write_begin(&ios[at], offset, length, (uint8_t)(1 + pick(255)));
	memset(model + offset, ios[at].buf->data[0], length);
	used[at] = true;
}

static void hesitate(void)
{
	for (unsigned i = 0; i < f.count; i++) {
		f.disks[i].holds_data = !pick(2);
		loop_defer(f.worker.loop, &f.disks[i].hook);
		f.mirror->nodes[i].retry_at = 0;
	}
	f.mirror->copy->users_at = 0;
	mirror_copy_poke(f.mirror);
	mirror_home_poke(f.mirror);
	for (unsigned turns = pick(4); turns; turns--)
		one_turn();
}

static void all_ends(void)
{
	for (unsigned i = 0; i < f.count; i++)
		disk_release(&f.disks[i]);
	settle();
	copy_now();
	look_now();
	for (unsigned i = 0; i < WRITERS; i++) {
		if (!used[i])
			continue;
		assert_true(ios[i].done);
		io_write_end(&ios[i]);
		used[i] = false;
	}
}

/* Writers all the time, while a node is away and copied to, and each hesitates now and then. */
static void newest_data_always_wins(void **state)
{
	begin(3);
	memset(model, 0, sizeof(model));
	for (unsigned round = 0; round < 60; round++) {
		unsigned disk = 1 + pick(2);

		records_forget();
		for (unsigned step = 0; step < 200; step++) {
			if (step == 20)
				disk_die(disk);
			else if (step == 60)
				disk_revive(disk);
			write_somewhere();
			hesitate();
		}
		all_ends();
		assert_in_sync(disk);
		assert_memory_equal(f.disks[disk].image, model, data_size());
	}
	end();
}

/* ---- making equal ---- */

static void after_a_crash_regions_are_made_equal(void **state)
{
	begin(3);
	assert_int_equal(do_write(0, 3 * REGION, 1), 0);
	stop();
	f.disks[1].image[5] = 2;
	f.disks[2].image[REGION + 7] = 3;
	memset(f.disks[1].image + 2 * REGION, 9, 4096);
	start();
	copy_now();
	assert_int_equal(mirror_bits_next(&f.mirror->suspect, 0), f.mirror->regions);
	assert_in_sync(1);
	assert_int_equal(f.mirror->copy->jobs[COPY_EQUALIZE].progress.sent, 3 * REGION);
	end();
}

/* A failed write may be on some nodes: they are equal again, whichever content it is. It is durable before
 * that is found, since it isn't written anew after a loss of power. */
static void a_cancelled_write_leaves_nodes_equal(void **state)
{
	unsigned flushes[2];
	struct io io;

	begin(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds_data = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_int_equal(f.disks[0].image[0], 2);
	target_cancel(f.target, &io.request, EINTR);
	assert_true(io.done);
	for (unsigned i = 0; i < 2; i++)
		flushes[i] = f.disks[i].flushes;
	disk_release(&f.disks[1]);
	settle();
	copy_now();
	assert_int_equal(mirror_bits_next(&f.mirror->suspect, 0), f.mirror->regions);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(f.disks[i].flushes, flushes[i] + 1);
	assert_in_sync(1);
	io_write_end(&io);
	end();
}

/* What was given up may yet be carried out there: only then are nodes made equal. */
static void nothing_is_equal_before_what_was_given_up_is_over(void **state)
{
	struct io io;

	begin(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds_data = f.disks[1].orphans_stay = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	target_cancel(f.target, &io.request, EINTR);
	io_write_end(&io);
	disk_release(&f.disks[1]);
	copy_now();
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	assert_int_equal(f.disks[1].image[0], 1);
	f.disks[1].image[0] = 3; /* late, and half of it */
	disk_drop_orphans(&f.disks[1]);
	copy_now();
	assert_false(mirror_bits_get(&f.mirror->suspect, 0));
	assert_in_sync(1);
	end();
}

/* A user's request waits for it as well, and would have found the node failed: so does copying. */
static void what_is_never_over_is_a_failure(void **state)
{
	struct io io;

	begin(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds_data = f.disks[1].orphans_stay = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	target_cancel(f.target, &io.request, EINTR);
	io_write_end(&io);
	disk_release(&f.disks[1]);
	f.policy.timeout = 0;
	f.mirror->copy->tick.callback(f.mirror->copy);
	copy_now();
	f.mirror->copy->tick.callback(f.mirror->copy);
	settle();
	f.policy.timeout = 10 * CLOCK_SEC;
	copy_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_FAILED);
	assert_false(mirror_bits_get(&f.mirror->suspect, 0));
	disk_drop_orphans(&f.disks[1]);
	come_back(1);
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

/* Alone, there is nothing that could differ, once it is durable. */
static void what_has_no_other_side_is_equal(void **state)
{
	unsigned flushes;

	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	flushes = f.disks[0].flushes;
	mirror_report_suspect(f.mirror, (struct range){0, 4096});
	settle();
	copy_now();
	assert_int_equal(f.disks[0].flushes, flushes + 1);
	assert_false(mirror_bits_get(&f.mirror->suspect, 0));
	disk_revive(1);
	retry_now();
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

/* ---- regions of several windows ---- */

#define LARGE (1u << 20)

static void begin_with_large_regions(unsigned count)
{
	begin_in_sync(count);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned copy = 0; copy < MIRROR_COPIES; copy++) {
			uint8_t *at = f.disks[i].image + mirror_super_offset(DISK_SIZE, copy);
			struct mirror_super super;
			char reason[128];

			if (mirror_super_decode(&super, at, DISK_SIZE, reason, sizeof(reason)))
				continue;
			super.region_size = LARGE;
			mirror_super_encode(at, &super);
		}
	}
	start();
	assert_int_equal(1u << f.mirror->region_shift, LARGE);
}

/* So that windows are small: a region has several. */
static void begin_a_window(void)
{
	f.mirror->copy->users_at = clock_now();
	f.mirror->copy->pause_until = 0;
	mirror_copy_poke(f.mirror);
	settle();
}

static void a_large_region_is_copied_in_several_windows(void **state)
{
	static const unsigned missed[] = {17};

	begin_with_large_regions(2);
	miss(1, missed, 1);
	come_back_and_wait(1);
	f.mirror->copy->users_at = clock_now();
	mirror_copy_pause(f.mirror, false);
	settle();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	copy_while_busy();
	look_now();
	assert_in_sync(1);
	assert_int_equal(f.mirror->copy->all.sent, REGION);
	end();
}

static void what_becomes_suspect_meanwhile_is_done_again(void **state)
{
	struct io io;

	begin_with_large_regions(2);
	assert_int_equal(do_write(0, 8 * REGION, 1), 0);
	f.mirror->copy->users_at = clock_now();
	mirror_report_suspect(f.mirror, (struct range){0, 4096});
	begin_a_window();
	begin_a_window(); /* blocks 0 to 3 are done at least, not the region */
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	f.disks[1].holds_data = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	target_cancel(f.target, &io.request, EINTR);
	disk_release(&f.disks[1]);
	settle();
	assert_int_not_equal(f.disks[1].image[0], f.disks[0].image[0]);
	copy_while_busy();
	assert_false(mirror_bits_get(&f.mirror->suspect, 0));
	assert_in_sync(1);
	io_write_end(&io);
	end();
}

/* ---- repair ---- */

static void an_unreadable_block_is_rewritten(void **state)
{
	begin(2);
	assert_int_equal(do_write(5 * REGION, 2 * REGION, 0x77), 0);
	f.disks[0].bad_offset = 6 * REGION + 1024;
	f.mirror->ports[0].paces[1].latency = CLOCK_SEC; /* it reads from a */
	assert_int_equal(do_read(6 * REGION), 0x77);
	copy_now();
	assert_int_equal(f.disks[0].bad_offset, UINT64_MAX);
	assert_int_equal(f.mirror->copy->repaired, REGION);
	assert_in_sync(0);
	end();
}

static void a_repair_does_not_judge_who_is_right(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, 2 * REGION, 0x77), 0);
	look_often();
	f.disks[1].image[10] = 1;
	mirror_copy_repair(f.mirror, 1, (struct range){0, 4096});
	copy_now();
	assert_int_equal(f.disks[1].image[10], 1);
	assert_int_equal(f.mirror->copy->repaired, 0);
	end();
}

/* ---- the end ---- */

static void a_detach_stops_what_is_under_way(void **state)
{
	begin(2);
	miss(1, some_regions, 3);
	come_back(1);
	detach();
	start();
	copy_now();
	look_now();
	assert_in_sync(1);
	end();
}

static void it_ends_in_the_middle_of_anything(void **state)
{
	for (unsigned turns = 0; turns < 40; turns++) {
		begin(3);
		miss(1, some_regions, 3);
		disk_revive(1);
		f.disks[turns % 3].holds_data = true;
		f.mirror->nodes[1].retry_at = 0;
		mirror_report_suspect(f.mirror, (struct range){0, 4 * REGION});
		mirror_copy_repair(f.mirror, 2, (struct range){15 * REGION, 4096});
		for (unsigned i = 0; i < turns; i++)
			one_turn();
		loop_run_posted(f.worker.loop);
		assert_true(target_destroy(&f.target));
		assert_int_equal(buf_pool_in_use(f.worker.bufs), 0);
		fixture_end();
	}
}

static void the_status_tells_how_far_it_is(void **state)
{
	json_t *status, *job;

	begin(2);
	mirror_copy_pause(f.mirror, true);
	miss(1, some_regions, 3);
	come_back(1);
	status = f.target->ops->status(f.target);
	job = json_array_get(json_object_get(status, "jobs"), 0);
	assert_string_equal(json_string_value(json_object_get(job, "job")), "resync");
	assert_string_equal(json_string_value(json_object_get(job, "node")), "b");
	assert_string_equal(json_string_value(json_object_get(job, "state")), "paused");
	assert_true(json_integer_value(json_object_get(job, "total")) >= (json_int_t)(3 * REGION));
	assert_int_equal(json_integer_value(json_object_get(job, "done")), 0);
	json_decref(status);
	mirror_copy_pause(f.mirror, false);
	copy_now();
	status = f.target->ops->status(f.target);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(status, "copying"), "sent")),
		3 * REGION);
	json_decref(status);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_missed_is_copied),
		cmocka_unit_test(where_nothing_was_equal_of_late_comparing_is_left_out),
		cmocka_unit_test(holes_and_zeros_stay_what_they_are),
		cmocka_unit_test(who_cannot_zero_gets_zeros),
		cmocka_unit_test(holes_on_both_sides_are_not_read),
		cmocka_unit_test(a_source_that_dies_is_replaced),
		cmocka_unit_test(a_source_that_cannot_read_is_mended_too),
		cmocka_unit_test(what_nobody_can_read_is_left),
		cmocka_unit_test(a_target_that_dies_keeps_what_it_misses),
		cmocka_unit_test(a_target_that_cannot_be_written_is_absent),
		cmocka_unit_test(nodes_that_are_away_are_waited_for),
		cmocka_unit_test(progress_is_durable_before_it_is_recorded),
		cmocka_unit_test(a_killed_resync_goes_on),
		cmocka_unit_test(the_target_is_inconsistent_before_its_first_byte),
		cmocka_unit_test(a_window_waits_for_writes_and_keeps_them_out),
		cmocka_unit_test(one_window_at_a_time_while_users_are_at_work),
		cmocka_unit_test(pausing_stops_a_resync_and_nothing_else),
		cmocka_unit_test(a_rate_holds_back),
		cmocka_unit_test(newest_data_always_wins),
		cmocka_unit_test(after_a_crash_regions_are_made_equal),
		cmocka_unit_test(a_cancelled_write_leaves_nodes_equal),
		cmocka_unit_test(nothing_is_equal_before_what_was_given_up_is_over),
		cmocka_unit_test(what_is_never_over_is_a_failure),
		cmocka_unit_test(what_has_no_other_side_is_equal),
		cmocka_unit_test(a_large_region_is_copied_in_several_windows),
		cmocka_unit_test(what_becomes_suspect_meanwhile_is_done_again),
		cmocka_unit_test(an_unreadable_block_is_rewritten),
		cmocka_unit_test(a_source_is_asked_again_before_another),
		cmocka_unit_test(a_repair_does_not_judge_who_is_right),
		cmocka_unit_test(a_detach_stops_what_is_under_way),
		cmocka_unit_test(it_ends_in_the_middle_of_anything),
		cmocka_unit_test(the_status_tells_how_far_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
