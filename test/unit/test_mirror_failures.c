/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror_failures.c - a mirror whose nodes fail, come back, or belong to somebody else by now. */
#include "dstfs/mirror.h"

#include "test/unit/mirror_fixture.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

static enum mirror_member_state recorded(unsigned disk, unsigned slot)
{
	return disk_super(disk).members[slot].state;
}

/* What copying does, for a node in RESYNC. */
static void copy_all(unsigned to)
{
	struct mirror_node *node = &f.mirror->nodes[to];
	unsigned region = 0;

	while ((region = mirror_region_to_copy(f.mirror, node, region)) < f.mirror->regions) {
		struct range range = mirror_region_range(f.mirror, region);
		unsigned from = f.mirror->primary;

		memcpy(f.disks[to].image + range.offset, f.disks[from].image + range.offset,
		       range.length);
		mirror_region_copied(f.mirror, node, region);
	}
	mirror_home_poke(f.mirror);
	settle();
}

static void the_ack_comes_after_the_absence_is_durable(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0); /* marked by now */
	disk_die(1);
	f.disks[0].holds_metadata = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_int_equal(f.disks[0].image[0], 2);
	assert_false(io.done);
	disk_release(&f.disks[0]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	assert_int_equal(recorded(0, 1), MIRROR_ABSENT);
	assert_true(disk_map_bit(0, 2, 0));
	assert_false(f.witness.in_sync[1]);
	assert_memory_equal(&f.witness.generation, &f.mirror->super.generation,
			    sizeof(f.witness.generation));
	assert_int_equal(f.mirror->read_set, 1);
	assert_int_equal(do_read(0), 2);
	stop();
	fixture_end();
}

/* The map says what is missed before the superblock says who has missed something. */
static void the_missed_map_comes_before_the_superblock(void **state)
{
	struct mirror_super super;
	bool map = false, superblock = false;

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(1);
	records_forget();
	assert_int_equal(do_write(0, 4096, 2), 0);
	super = disk_super(0);
	for (unsigned i = 0; i < f.record_count; i++) {
		uint64_t at = f.records[i].range.offset;

		if (f.records[i].type != RECORD_WRITE || at < super.data_size)
			continue;
		assert_true(f.records[i].fua);
		if (at == mirror_map_offset(&super, 2, 0))
			map = true;
		superblock |= at >= mirror_super_offset(DISK_SIZE, 0);
		assert_true(map || !superblock);
	}
	assert_true(map && superblock);
	stop();
	fixture_end();
}

static void writes_go_on_without_it_and_are_missed(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(do_write(i * 20 * 4096, 4096, 3), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(disk_map_bit(0, 2, (unsigned)(i * 20 * 4096 / REGION)));
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	assert_int_equal(f.target->state, TARGET_READY);
	stop();
	fixture_end();
}

static void a_failed_flush_loses_the_node(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].flush_error = EIO;
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	assert_int_equal(recorded(0, 1), MIRROR_ABSENT);
	assert_true(disk_map_bit(0, 2, 0));
	stop();
	fixture_end();
}

/* Marking may take as long as a node takes to fail, and the write goes on then. */
static void who_waits_for_a_mark_has_patience(void **state)
{
	struct io io = {.done = false};
	struct loop_timer timer;

	begin_in_sync(2);
	f.policy.timeout = 50 * CLOCK_MS;
	start();
	f.disks[1].holds_metadata = true;
	io_write_begin(&io, 0, 4096, 1);
	assert_int_equal(loop_timer_init(&timer, f.worker.loop, stop_loop, f.worker.loop), 0);
	loop_timer_set(&timer, 400 * CLOCK_MS);
	loop_run(f.worker.loop);
	loop_timer_destroy(&timer);
	assert_false(io.done);
	disk_die(1);
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	stop();
	fixture_end();
}

/* It may be asked nowhere else before the set has changed, and is, whatever else wakes it. */
static void a_read_waits_for_the_set_to_change(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	mirror_report_suspect(f.mirror, (struct range){0, 4096});
	f.disks[1].holds_metadata = true;
	disk_die(0);
	io_submit(&io, REQUEST_READ, 0, 4096);
	settle();
	assert_false(io.done);
	mirror_wake_ports(f.mirror);
	settle();
	assert_false(io.done);
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	assert_int_equal(io.first, 1);
	stop();
	fixture_end();
}

static void a_failed_mark_loses_the_node(void **state)
{
	begin_in_sync(3);
	start();
	f.disks[2].write_error = ENOSPC;
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_int_equal(recorded(0, 2), MIRROR_ABSENT);
	assert_int_equal(recorded(1, 2), MIRROR_ABSENT);
	assert_int_equal(f.mirror->read_set, 3);
	stop();
	fixture_end();
}

/* Nobody is to blame, so nobody leaves; and it neither waits for ever nor tries without end. */
static void what_no_node_can_mark_fails_after_a_while(void **state)
{
	struct io io = {.done = false};
	struct loop_timer timer;
	char reason[MIRROR_REASON_MAX];

	begin_in_sync(2);
	f.policy.timeout = 50 * CLOCK_MS;
	start();
	f.disks[0].metadata_error = f.disks[1].metadata_error = ENOSPC;
	io_write_begin(&io, 0, 4096, 1);
	settle();
	assert_false(io.done);
	f.target->ops->reason(f.target, reason, sizeof(reason));
	assert_non_null(strstr(reason, "no node has taken the marks"));
	assert_int_equal(loop_timer_init(&timer, f.worker.loop, stop_loop, f.worker.loop), 0);
	while (!io.done) {
		loop_timer_set(&timer, 10 * CLOCK_MS);
		loop_run(f.worker.loop);
	}
	loop_timer_destroy(&timer);
	assert_int_equal(io.error, EIO);
	io_write_end(&io);
	assert_int_equal(f.disks[0].image[0], 0);
	assert_int_equal(f.mirror->read_set, 3);
	f.disks[0].metadata_error = f.disks[1].metadata_error = 0;
	f.mirror->work->marking.retry_at = 0;
	assert_int_equal(do_write(0, 4096, 2), 0);
	f.target->ops->reason(f.target, reason, sizeof(reason));
	assert_string_equal(reason, "");
	stop();
	fixture_end();
}

static void what_no_node_can_flush_loses_nobody(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].flush_error = f.disks[1].flush_error = EIO;
	for (unsigned i = 0; i < 4; i++)
		look_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_true(disk_map_bit(0, 0, 0));
	f.disks[0].flush_error = f.disks[1].flush_error = 0;
	for (unsigned i = 0; i < 3; i++)
		look_now();
	assert_false(disk_map_bit(0, 0, 0));
	stop();
	fixture_end();
}

/* Its map of what it missed begins where it left: what was put back is older than that. */
static void one_that_was_put_back_is_compared_as_a_whole(void **state)
{
	uint8_t *before = malloc(DISK_SIZE);

	begin_in_sync(2);
	memcpy(before, f.disks[1].image, DISK_SIZE);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		look_now(); /* not marked any more */
	disk_die(1);
	assert_int_equal(do_write(20 * REGION, 4096, 2), 0);
	memcpy(f.disks[1].image, before, DISK_SIZE);
	free(before);
	disk_revive(1);
	retry_now();
	copy_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(f.disks[1].image[0], 1);
	stop();
	fixture_end();
}

/* Nothing is written, so it can't be brought up to date: it isn't looked at again and again. */
static void an_absent_one_of_a_read_only_mirror_is_left_alone(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	disk_revive(1);
	f.policy.read_only = true;
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_FAILED);
	assert_non_null(strstr(f.mirror->nodes[1].reason, "lack"));
	assert_int_equal(do_read(0), 1);
	stop();
	fixture_end();
}

/* Nothing was written, and nobody can be recorded to have failed it. */
static void an_fsync_of_a_read_only_mirror_waits_for_nobody(void **state)
{
	begin_in_sync(2);
	f.policy.read_only = true;
	start();
	disk_die(1);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	stop();
	fixture_end();
}

static void who_fails_during_the_change_leaves_too(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(3);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(2);
	f.disks[1].holds_metadata = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_false(io.done);
	disk_die(1);
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	assert_int_equal(recorded(0, 1), MIRROR_ABSENT);
	assert_int_equal(recorded(0, 2), MIRROR_ABSENT);
	assert_int_equal(f.mirror->read_set, 1);
	stop();
	fixture_end();
}

/* As many as there may be: they go one by one, and all come back. */
static void the_last_of_eight_goes_on(void **state)
{
	begin_in_sync(MIRROR_MAX_NODES);
	start();
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		assert_int_equal(do_write(i * REGION, 4096, (uint8_t)(i + 1)), 0);
		if (i + 1 < MIRROR_MAX_NODES)
			disk_die(i);
	}
	assert_int_equal(f.mirror->read_set, MIRROR_BIT(MIRROR_MAX_NODES - 1));
	assert_int_equal(f.mirror->primary, MIRROR_MAX_NODES - 1);
	stop();
	for (unsigned i = 0; i + 1 < MIRROR_MAX_NODES; i++)
		disk_revive(i);
	start();
	retry_now();
	copy_now();
	retry_now();
	assert_int_equal(f.mirror->read_set, MIRROR_BIT(MIRROR_MAX_NODES) - 1);
	detach();
	for (unsigned i = 1; i < MIRROR_MAX_NODES; i++)
		assert_memory_equal(f.disks[i].image, f.disks[0].image,
				    mirror_data_size(DISK_SIZE));
	fixture_end();
}

static void what_no_node_has_done_is_an_error(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(0);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_int_equal(f.target->state, TARGET_AWAY);
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	disk_revive(0);
	disk_revive(1);
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(do_write(0, 4096, 3), 0);
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(do_read(0), 3);
	stop();
	fixture_end();
}

static void an_answer_of_all_loses_nobody(void **state)
{
	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].write_error = f.disks[1].write_error = ENOSPC;
	assert_int_equal(do_write(0, 4096, 1), ENOSPC);
	assert_int_equal(f.mirror->read_set, 3);
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	f.disks[0].write_error = f.disks[1].write_error = 0;
	f.disks[1].write_error = EOPNOTSUPP; /* of one: it tells about the request */
	assert_int_equal(do_plain(REQUEST_WRITE_ZEROES, 0, 4096), EOPNOTSUPP);
	assert_int_equal(f.mirror->read_set, 3);
	f.disks[1].write_error = 0;
	stop();
	fixture_end();
}

static void what_cannot_be_recorded_is_not_acknowledged(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(1);
	f.disks[0].metadata_error = EIO;
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_true(f.mirror->unrecorded);
	io_write_begin(&io, 0, 4096, 3); /* waits now */
	settle();
	assert_false(io.done);
	assert_int_equal(do_read(0), 2);
	f.disks[0].metadata_error = 0;
	retry_now();
	assert_false(f.mirror->unrecorded);
	assert_int_equal(f.mirror->read_set, 1);
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	assert_int_equal(recorded(0, 1), MIRROR_ABSENT);
	stop();
	fixture_end();
}

static void a_fence_of_one_node_fences_all_and_records_nothing(void **state)
{
	struct mirror_super before;

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	before = disk_super(0);
	f.disks[1].dead = true;
	f.disks[1].base.state = TARGET_FENCED; /* seen with the first error */
	records_forget();
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_int_equal(f.target->state, TARGET_FENCED);
	assert_int_equal(do_write(4096, 4096, 2), EIO);
	assert_int_equal(do_read(0), -EIO);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), EIO);
	assert_int_equal(f.disks[0].image[4096], 0);
	for (unsigned i = 0; i < f.record_count; i++)
		assert_true(f.records[i].range.offset < before.data_size);
	assert_int_equal(disk_super(0).sequence, before.sequence);

	f.disks[1].dead = false;
	assert_int_equal(f.target->ops->reattach(f.target, true), 0);
	settle();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_memory_equal(f.disks[0].image, f.disks[1].image, 4096); /* made equal */
	assert_int_equal(do_write(0, 4096, 3), 0);
	stop();
	fixture_end();
}

static void a_fence_that_is_told_fences_what_waits(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	f.disks[0].holds_metadata = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_false(io.done);
	disk_set_state(&f.disks[0], TARGET_FENCED);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, EIO);
	io_write_end(&io);
	stop();
	fixture_end();
}

static void a_cancelled_write_is_read_from_one_side(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_false(io.done);
	target_cancel(f.target, &io.request, EINTR);
	assert_true(io.done);
	assert_int_equal(io.error, EINTR);
	io_write_end(&io);
	disk_release(&f.disks[1]);
	settle();
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	f.mirror->ports[0].paces[0].latency = CLOCK_SEC;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_read(0), 2);
	/* And isn't cleared as long as it is so. */
	for (unsigned i = 0; i < 4; i++)
		look_now();
	assert_true(disk_map_bit(0, 0, 0));
	mirror_region_equal(f.mirror, 0);
	for (unsigned i = 0; i < 3; i++)
		look_now();
	assert_false(disk_map_bit(0, 0, 0));
	stop();
	fixture_end();
}

/* It keeps its range there, and only there. */
static void what_was_given_up_on_one_node_holds_up_nobody_else(void **state)
{
	struct io first = {.done = false}, second = {.done = false};

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds = f.disks[1].orphans_stay = true;
	io_write_begin(&first, 0, 4096, 2);
	settle();
	target_cancel(f.target, &first.request, EIO);
	io_write_end(&first);
	io_write_begin(&second, 0, 4096, 3);
	settle();
	assert_int_equal(f.disks[0].image[0], 3);
	assert_int_equal(f.disks[1].writes, 1);
	assert_false(
		second.done); /* b is still in the set, and the old one may yet be carried out */
	f.disks[1].base.state = TARGET_AWAY;
	mirror_report_failed(f.mirror, 2);
	settle();
	assert_true(second.done);
	assert_int_equal(second.error, 0);
	io_write_end(&second);
	assert_int_equal(do_write(0, 4096, 4), 0);
	disk_drop_orphans(&f.disks[1]);
	f.disks[1].base.state = TARGET_READY;
	stop();
	fixture_end();
}

static void a_read_goes_on_to_another_node(void **state)
{
	begin_in_sync(2);
	strcpy(f.options.prefer, "b");
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].bad_offset = 0;
	assert_int_equal(do_read(0), 1);
	assert_int_equal(f.mirror->read_set, 3); /* mended, not lost */
	assert_int_equal(f.disks[1].bad_offset, UINT64_MAX);
	assert_int_equal(counter_get(&f.mirror->nodes[1].read_errors), 1);
	no_copying();
	f.disks[1].dead = true; /* by its state it is there: it might come back */
	assert_int_equal(do_read(0), 1);
	assert_int_equal(f.mirror->read_set, 3);
	f.disks[1].base.state = TARGET_AWAY;
	f.disks[0].base.state = TARGET_AWAY; /* so that b is asked */
	assert_int_equal(do_read(0), 1);
	assert_int_equal(f.mirror->read_set, 1);
	f.disks[0].base.state = TARGET_READY;
	stop();
	fixture_end();
}

static void one_that_is_back_is_inconsistent_before_anything_is_copied(void **state)
{
	begin_in_sync(2);
	start();
	f.mirror->copy->paused = true; /* a slow machine has time for it */
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), 0);
	assert_int_equal(do_write(9 * REGION, 4096, 2), 0);
	disk_revive(1);
	retry_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	assert_int_equal(recorded(0, 1), MIRROR_INCONSISTENT);
	assert_int_equal(recorded(1, 1), MIRROR_INCONSISTENT);
	assert_int_equal(f.mirror->read_set, 1);
	assert_int_equal(f.mirror->write_set, 3);
	assert_int_equal(do_write(4096, 4096, 5), 0);
	assert_int_equal(f.disks[1].image[4096], 5);
	copy_all(1);
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_IN_SYNC);
	assert_int_equal(recorded(1, 1), MIRROR_IN_SYNC);
	assert_int_equal(recorded(0, 1), MIRROR_IN_SYNC);
	assert_false(disk_map_bit(0, 2, 0));
	assert_true(disk_map_bit(1, 0, 0)); /* it has the marks of now */
	assert_int_equal(do_read(0), 2);
	detach();
	assert_memory_equal(f.disks[0].image, f.disks[1].image, mirror_data_size(DISK_SIZE));
	fixture_end();
}

static void one_that_is_back_is_not_forgotten_for_what_is_due_earlier(void **state)
{
	const struct mirror_node *node;
	uint64_t end;

	begin_in_sync(2);
	start();
	node = &f.mirror->nodes[1];
	assert_int_equal(do_write(0, 4096, 1), 0);
	loop_timer_cancel(&f.mirror->work->clearing.timer); /* nothing else makes it look */
	mirror_home_later(f.mirror, 300 * CLOCK_MS);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), 0);
	disk_revive(1);
	settle();
	assert_int_equal(node->state, MIRROR_NODE_FAILED); /* it is tried later */
	end = clock_now() + 30 * CLOCK_SEC;
	while (node->state == MIRROR_NODE_FAILED && clock_now() < end) {
		clock_sleep(10 * CLOCK_MS);
		one_turn();
	}
	assert_int_not_equal(node->state, MIRROR_NODE_FAILED);
	stop();
	fixture_end();
}

static void what_is_copied_leaves_the_map_after_a_flush_of_the_node(void **state)
{
	bool flushed = false;

	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_revive(1);
	retry_now();
	records_forget();
	copy_all(1);
	for (unsigned i = 0; i < f.record_count; i++) {
		struct mirror_super super = disk_super(0);

		if (f.records[i].type == RECORD_FLUSH && f.records[i].disk == 1)
			flushed = true;
		if (f.records[i].type == RECORD_WRITE &&
		    f.records[i].range.offset == mirror_map_offset(&super, 2, 0))
			assert_true(flushed);
	}
	assert_true(flushed);
	stop();
	fixture_end();
}

/* A crash at the wrong moment: the one that has all may go on alone, and must never be surprised. */
static void who_gets_in_sync_is_told_last(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_revive(1);
	retry_now();
	f.disks[0].holds_supers = true;
	copy_all(1);
	assert_int_equal(recorded(1, 1), MIRROR_INCONSISTENT);
	assert_int_equal(f.mirror->read_set, 1);
	disk_release(&f.disks[0]);
	settle();
	assert_int_equal(recorded(0, 1), MIRROR_IN_SYNC);
	assert_int_equal(recorded(1, 1), MIRROR_IN_SYNC);
	assert_int_equal(f.mirror->read_set, 3);
	stop();
	fixture_end();
}

static void who_is_about_to_get_in_sync_can_not_go_on_alone(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_revive(1);
	retry_now();
	f.disks[0].holds_supers = true;
	copy_all(1);
	disk_die(0);
	disk_release(&f.disks[0]);
	settle();
	assert_int_equal(recorded(1, 1), MIRROR_INCONSISTENT);
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_false(io.done);
	assert_int_equal(recorded(1, 1), MIRROR_INCONSISTENT);
	target_cancel(f.target, &io.request, EINTR);
	io_write_end(&io);
	stop();
	fixture_end();
}

/* Though the same are in sync: what others have written meanwhile must be told from what comes. */
static void a_start_by_force_makes_a_generation(void **state)
{
	struct mirror_generation before;

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	before = disk_super(0).generation;
	f.witness.generation.uuid[0] ^= 1;
	f.options.start.force = true;
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(disk_super(0).generation.counter, before.counter + 1);
	assert_memory_equal(f.witness.generation.uuid, disk_super(1).generation.uuid, DST_ID_SIZE);
	stop();
	fixture_end();
}

/* It fails again while it is being copied to: what it had is not trusted further than its map says. */
static void one_that_fails_while_it_is_copied_to_misses_what_is_written_then(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_revive(1);
	retry_now();
	assert_int_equal(do_write(24 * REGION, 4096, 1), 0); /* marked, gets it */
	assert_false(disk_map_bit(0, 2, 24));
	disk_die(1);
	assert_int_equal(do_write(24 * REGION, 4096, 2), 0);
	assert_int_equal(recorded(0, 1), MIRROR_ABSENT);
	assert_true(disk_map_bit(0, 2, 24));
	assert_true(disk_map_bit(0, 2, 0));
	stop();
	start();
	assert_int_equal(f.mirror->read_set, 1);
	stop();
	fixture_end();
}

/*
 * It failed a write into what it had got already, and nobody could record that. The write isn't waited for,
 * so what it failed must not be forgotten.
 */
static void what_a_node_failed_unrecorded_is_copied_again(void **state)
{
	struct mirror_node *node;

	begin_in_sync(2);
	start();
	no_copying();
	node = &f.mirror->nodes[1];
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_int_equal(do_write(20 * REGION, 4096, 2), 0);
	disk_revive(1);
	retry_now();
	assert_int_equal(node->state, MIRROR_NODE_RESYNC);
	memcpy(f.disks[1].image, f.disks[0].image, REGION);
	mirror_region_copied(f.mirror, node, 0);
	disk_die(1);
	f.disks[0].metadata_error = EIO;
	assert_int_equal(do_write(0, 4096, 3), 0);
	settle();
	assert_true(f.mirror->unrecorded);
	f.disks[0].metadata_error = 0;
	disk_revive(1);
	retry_now();
	assert_false(f.mirror->unrecorded);
	retry_now();
	assert_int_equal(node->state, MIRROR_NODE_RESYNC);
	copy_all(1);
	look_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(f.disks[1].image[0], 3);
	stop();
	fixture_end();
}

static void a_start_without_a_known_absent_waits_and_goes(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	f.options.start_wait = 3600 * CLOCK_SEC;
	start();
	assert_int_equal(f.target->state, TARGET_CONNECTING);
	f.mirror->work->joining.wait_until = 0;
	mirror_home_poke(f.mirror);
	settle();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_read(0), 1);
	stop();
	fixture_end();
}

static void alternate_loss_is_refused(void **state)
{
	char reason[MIRROR_REASON_MAX];

	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	disk_die(0);
	disk_revive(1);
	start();
	assert_int_equal(f.target->state, TARGET_REFUSED);
	f.target->ops->reason(f.target, reason, sizeof(reason));
	assert_non_null(strstr(reason, "stale"));
	assert_int_equal(f.target->size, 0);
	disk_revive(0);
	settle();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_read(0), 1);
	stop();
	fixture_end();
}

static void split_brain_is_refused(void **state)
{
	char reason[MIRROR_REASON_MAX];

	begin_in_sync(2);
	f.has_witness = false;
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	disk_die(0);
	disk_revive(1);
	f.options.start.force = true;
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_write(0, 4096, 2), 0);
	assert_true(disk_super(1).members[0].full);
	f.options.start.force = false;
	disk_revive(0);
	settle(); /* comes back to the one that runs */
	assert_int_equal(f.mirror->nodes[0].state, MIRROR_NODE_REFUSED);
	stop();
	start();
	assert_int_equal(f.target->state, TARGET_REFUSED);
	f.target->ops->reason(f.target, reason, sizeof(reason));
	assert_non_null(strstr(reason, "split brain"));
	stop();
	fixture_end();
}

static void a_blank_node_is_not_touched(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	memset(f.disks[1].image, 0, DISK_SIZE);
	disk_revive(1);
	records_forget();
	retry_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_REFUSED);
	assert_non_null(strstr(f.mirror->nodes[1].reason, "replace"));
	for (unsigned i = 0; i < f.record_count; i++)
		assert_true(f.records[i].disk == 0 || f.records[i].type == RECORD_FLUSH);
	stop();
	fixture_end();
}

static void grow(unsigned disk)
{
	memset(f.disks[disk].image + DISK_SIZE, 0, DISK_ROOM - DISK_SIZE);
	f.disks[disk].base.size = DISK_ROOM;
}

/* Its superblocks are where its end was, which the others know, or the witness. */
static void a_node_that_has_grown_is_known_again(void **state)
{
	begin_in_sync(2);
	start();
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	grow(1);
	disk_revive(1);
	retry_now();
	copy_all(1);
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_IN_SYNC);
	assert_int_equal(do_write(0, 4096, 2), 0);
	detach();
	start(); /* b is found by what a knows */
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.mirror->read_set, 3);
	stop();
	grow(0);
	start(); /* and now both, by the witness */
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.target->size, mirror_data_size(DISK_SIZE));
	assert_int_equal(do_read(0), 2);
	stop();
	fixture_end();
}

static void the_mirror_can_end_at_any_time(void **state)
{
	for (unsigned steps = 0; steps < 40; steps++) {
		struct io io = {.done = false};

		begin_in_sync(2);
		start();
		disk_die(1);
		io_write_begin(&io, 0, 4096, 1);
		for (unsigned i = 0; i < steps; i++) {
			struct loop_work work = {.callback = stop_loop, .arg = f.worker.loop};

			loop_post(f.worker.loop, &work);
			loop_run(f.worker.loop);
		}
		if (!io.done)
			target_cancel(f.target, &io.request, EIO);
		io_write_end(&io);
		assert_true(target_destroy(&f.target));
		fixture_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ack_comes_after_the_absence_is_durable),
		cmocka_unit_test(the_missed_map_comes_before_the_superblock),
		cmocka_unit_test(writes_go_on_without_it_and_are_missed),
		cmocka_unit_test(a_failed_flush_loses_the_node),
		cmocka_unit_test(who_waits_for_a_mark_has_patience),
		cmocka_unit_test(a_read_waits_for_the_set_to_change),
		cmocka_unit_test(a_failed_mark_loses_the_node),
		cmocka_unit_test(what_no_node_can_mark_fails_after_a_while),
		cmocka_unit_test(what_no_node_can_flush_loses_nobody),
		cmocka_unit_test(one_that_was_put_back_is_compared_as_a_whole),
		cmocka_unit_test(an_absent_one_of_a_read_only_mirror_is_left_alone),
		cmocka_unit_test(an_fsync_of_a_read_only_mirror_waits_for_nobody),
		cmocka_unit_test(who_fails_during_the_change_leaves_too),
		cmocka_unit_test(the_last_of_eight_goes_on),
		cmocka_unit_test(what_no_node_has_done_is_an_error),
		cmocka_unit_test(an_answer_of_all_loses_nobody),
		cmocka_unit_test(what_cannot_be_recorded_is_not_acknowledged),
		cmocka_unit_test(a_fence_of_one_node_fences_all_and_records_nothing),
		cmocka_unit_test(a_fence_that_is_told_fences_what_waits),
		cmocka_unit_test(a_cancelled_write_is_read_from_one_side),
		cmocka_unit_test(what_was_given_up_on_one_node_holds_up_nobody_else),
		cmocka_unit_test(a_read_goes_on_to_another_node),
		cmocka_unit_test(one_that_is_back_is_inconsistent_before_anything_is_copied),
		cmocka_unit_test(one_that_is_back_is_not_forgotten_for_what_is_due_earlier),
		cmocka_unit_test(what_is_copied_leaves_the_map_after_a_flush_of_the_node),
		cmocka_unit_test(who_gets_in_sync_is_told_last),
		cmocka_unit_test(who_is_about_to_get_in_sync_can_not_go_on_alone),
		cmocka_unit_test(a_start_by_force_makes_a_generation),
		cmocka_unit_test(one_that_fails_while_it_is_copied_to_misses_what_is_written_then),
		cmocka_unit_test(what_a_node_failed_unrecorded_is_copied_again),
		cmocka_unit_test(a_start_without_a_known_absent_waits_and_goes),
		cmocka_unit_test(alternate_loss_is_refused),
		cmocka_unit_test(split_brain_is_refused),
		cmocka_unit_test(a_blank_node_is_not_touched),
		cmocka_unit_test(a_node_that_has_grown_is_known_again),
		cmocka_unit_test(the_mirror_can_end_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
