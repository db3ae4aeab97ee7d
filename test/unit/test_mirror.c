/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror.c - a mirror that is whole: start, requests, marks, the clean end. */
#include "dstfs/mirror.h"

#include "test/unit/mirror_fixture.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

static bool data_identical(void)
{
	for (unsigned i = 1; i < f.count; i++)
		if (memcmp(f.disks[0].image, f.disks[i].image, mirror_data_size(DISK_SIZE)) != 0)
			return false;
	return true;
}

static void a_new_one_starts_in_sync(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.target->size, mirror_data_size(DISK_SIZE));
	assert_true(f.target->writable);
	assert_int_equal(f.mirror->read_set, 3);
	assert_false(disk_super(0).clean);
	assert_false(disk_super(1).clean);
	assert_true(f.witness.known);
	stop();
	fixture_end();
}

static void what_is_written_is_read_from_any_node(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(8192, 4096, 0x5a), 0);
	assert_int_equal(f.disks[0].image[8192], 0x5a);
	assert_int_equal(f.disks[1].image[8192], 0x5a);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(do_read(8192), 0x5a);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	assert_int_equal(f.disks[0].flushes, 1);
	assert_int_equal(f.disks[1].flushes, 1);
	stop();
	fixture_end();
}

static void reads_use_all_nodes(void **state)
{
	struct io ios[16];

	begin_in_sync(2);
	start();
	for (unsigned i = 0; i < 16; i++)
		io_submit(&ios[i], REQUEST_READ, (uint64_t)i * 2 * REGION % DISK_SIZE / 2, 4096);
	settle();
	assert_true(f.disks[0].reads > 3);
	assert_true(f.disks[1].reads > 3);
	stop();
	fixture_end();
}

static void reads_prefer_what_they_are_told_to(void **state)
{
	begin_in_sync(2);
	strcpy(f.options.prefer, "b");
	start();
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(do_read(i * 8192), 0);
	assert_int_equal(f.disks[0].reads, 0);
	disk_die(1);
	assert_int_equal(do_read(0), 0);
	assert_int_equal(f.disks[0].reads, 1);
	stop();
	fixture_end();
}

static void discards_read_as_zeros_on_every_node(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_int_equal(do_plain(REQUEST_DISCARD, 0, 4096), 0);
	assert_int_equal(f.disks[0].image[0], 0);
	assert_int_equal(f.disks[1].image[0], 0);
	assert_int_equal(do_plain(REQUEST_EXTENTS, 0, 4096), 0);
	assert_int_equal(do_plain(REQUEST_HASH, 0, 4096), 0);
	stop();
	fixture_end();
}

/* Durably, on all nodes, before any node has a byte of it. */
static void a_region_is_marked_before_it_is_written(void **state)
{
	uint64_t data_size = mirror_data_size(DISK_SIZE);
	unsigned marked = 0, written = 0;

	begin_in_sync(2);
	start();
	records_forget();
	f.disks[1].holds_metadata = true;
	struct io io;
	io_write_begin(&io, 3 * REGION, 4096, 1);
	settle();
	assert_int_equal(f.disks[0].writes + f.disks[1].writes, 0);
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	io_write_end(&io);
	for (unsigned i = 0; i < f.record_count; i++) {
		const struct record *record = &f.records[i];

		if (record->type != RECORD_WRITE)
			continue;
		if (record->range.offset == data_size) {
			assert_true(record->fua);
			marked |= 1u << record->disk;
		} else if (record->range.offset < data_size) {
			assert_int_equal(marked, 3);
			written++;
		}
	}
	assert_int_equal(written, 2);
	assert_true(disk_map_bit(0, 0, 3));
	assert_true(disk_map_bit(1, 0, 3));
	stop();
	fixture_end();
}

static void marking_costs_nothing_when_it_is_done(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	records_forget();
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_write(i * 4096, 4096, (uint8_t)i), 0);
	assert_int_equal(f.record_count, 16);
	stop();
	fixture_end();
}

static void marks_are_cleared_after_a_flush(void **state)
{
	bool flushed[2] = {false, false};

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	look_now();
	look_now();
	assert_true(disk_map_bit(0, 0, 0)); /* untouched only since one look */
	records_forget();
	look_now();
	assert_false(disk_map_bit(0, 0, 0));
	assert_false(disk_map_bit(1, 0, 0));
	for (unsigned i = 0; i < f.record_count; i++) {
		if (f.records[i].type == RECORD_FLUSH)
			flushed[f.records[i].disk] = true;
		else
			assert_true(flushed[0] && flushed[1]);
	}
	assert_int_equal(do_write(0, 4096, 2), 0);
	assert_true(disk_map_bit(0, 0, 0));
	stop();
	fixture_end();
}

/* A write that comes while the flush is under way waits, and is marked anew. */
static void what_is_being_cleared_is_not_written(void **state)
{
	struct io io;

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	look_now();
	look_now();
	f.disks[0].holds = true;
	look_now();
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_false(io.done);
	assert_int_equal(f.disks[1].image[0], 1);
	disk_release(&f.disks[0]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	assert_true(disk_map_bit(0, 0, 0));
	assert_true(disk_map_bit(1, 0, 0));
	stop();
	fixture_end();
}

static void what_is_written_meanwhile_is_not_cleared(void **state)
{
	begin_in_sync(2);
	start();
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(do_write(0, 4096, 1), 0);
		look_now();
		assert_true(disk_map_bit(0, 0, 0));
	}
	stop();
	fixture_end();
}

static void a_clean_end_leaves_plain_equal_images(void **state)
{
	begin_in_sync(3);
	start();
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(do_write(i * 3 * 4096, 8192, (uint8_t)i), 0);
	detach();
	assert_true(data_identical());
	for (unsigned i = 0; i < 3; i++) {
		assert_true(disk_super(i).clean);
		for (unsigned r = 0; r < 20; r++)
			assert_false(disk_map_bit(i, 0, r));
	}
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(mirror_bits_next(&f.mirror->suspect, 0), f.mirror->regions);
	stop();
	fixture_end();
}

static void after_a_crash_what_was_marked_is_read_from_one_side(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	stop();
	f.disks[1].image[0] = 2; /* cut short: the nodes differ */
	f.disks[1].holds_data = true;
	start();
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	f.mirror->ports[0].paces[0].latency = CLOCK_SEC; /* it would rather read from b */
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_read(0), 1);
	disk_release(&f.disks[1]);
	settle();
	stop();
	fixture_end();
}

static void creating_spares_what_is_there(void **state)
{
	const struct mirror_create_options gentle = {.equal = false}, hard = {.force = true};
	struct mirror_created created;

	fixture_begin(2);
	memset(f.disks[0].image, 7, DISK_SIZE);
	created = create(&gentle);
	assert_int_equal(created.error, EEXIST);
	assert_non_null(strstr(created.reason, "of a "));
	created = create(&hard);
	assert_int_equal(created.error, 0);
	assert_int_equal(created.data_size, mirror_data_size(DISK_SIZE));
	for (unsigned i = 0; i < created.data_size; i++)
		assert_int_equal(f.disks[0].image[i], 7);
	assert_int_equal(create(&gentle).error, EEXIST);
	assert_int_equal(disk_super(1).members[1].state, MIRROR_ABSENT);
	assert_true(disk_super(1).members[1].full);
	fixture_end();
}

/* Into a region that is marked: to all nodes the same bytes, one digest, and nothing else at all. */
static void a_write_costs_what_the_nodes_cost(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(3);
	f.policy.checksum = true;
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	settle();
	records_forget();
	for (unsigned i = 0; i < 100; i++) {
		io_write_begin(&io, i % 16 * 4096, 4096, 2);
		assert_false(f.mirror->home_posted);
		for (unsigned turns = 0; !io.done; turns++) {
			one_turn();
			assert_in_range(turns, 0, 2);
		}
		assert_false(f.mirror->home_posted);
		assert_false(f.mirror->ports[0].wake_posted);
		for (unsigned d = 0; d < 3; d++) {
			const struct request *last = &f.disks[d].last;

			assert_ptr_equal(last->data, io.buf->data);
			assert_ptr_equal(last->buf, io.buf);
			assert_true(last->has_digest);
			assert_int_equal(last->digest, io.request.digest);
		}
		io_write_end(&io);
	}
	assert_int_equal(f.record_count, 300); /* of which none is metadata, or a flush */
	assert_int_equal(counter_get(&f.mirror->ports[0].counters.marks), 1);
	stop();
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_one_starts_in_sync),
		cmocka_unit_test(what_is_written_is_read_from_any_node),
		cmocka_unit_test(reads_use_all_nodes),
		cmocka_unit_test(reads_prefer_what_they_are_told_to),
		cmocka_unit_test(discards_read_as_zeros_on_every_node),
		cmocka_unit_test(a_region_is_marked_before_it_is_written),
		cmocka_unit_test(marking_costs_nothing_when_it_is_done),
		cmocka_unit_test(marks_are_cleared_after_a_flush),
		cmocka_unit_test(what_is_being_cleared_is_not_written),
		cmocka_unit_test(what_is_written_meanwhile_is_not_cleared),
		cmocka_unit_test(a_clean_end_leaves_plain_equal_images),
		cmocka_unit_test(after_a_crash_what_was_marked_is_read_from_one_side),
		cmocka_unit_test(creating_spares_what_is_there),
		cmocka_unit_test(a_write_costs_what_the_nodes_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
