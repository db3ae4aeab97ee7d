/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_joining.c - a node that fails something while the change is under way that would bring
 * it in sync. It doesn't have what others were told is written, so it must not be read.
 */
#include "dstfs/mirror.h"

#include "test/unit/mirror_fixture.h"

static enum mirror_member_state recorded(unsigned disk, unsigned slot)
{
	return disk_super(disk).members[slot].state;
}

/* Two nodes, of which b is to be copied to, has region 0 still to get, and is read as soon as it may be. */
static void begin_resync(void)
{
	begin_in_sync(2);
	strcpy(f.options.prefer, "b");
	start();
	f.mirror->copy->paused = true; /* a slow machine has time for it */
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_revive(1);
	retry_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
}

static void copy_all(void)
{
	f.mirror->copy->paused = false;
	copy_now();
	f.mirror->copy->paused = true;
}

/* All was copied, and the change that says so waits for the superblock of one disk. */
static void begin_joining(unsigned held)
{
	begin_resync();
	f.disks[held].holds_supers = true;
	copy_all();
	assert_int_equal(f.disks[1].image[0], 1);
	assert_non_null(f.disks[held].queue.first);
	assert_int_equal(f.mirror->read_set, 1);
}

/* The change goes on. At every moment of it readers get this. */
static void end_joining(unsigned held, uint8_t value)
{
	disk_release(&f.disks[held]);
	for (unsigned i = 0; i < 50; i++) {
		struct io io = {.done = false};

		io_submit(&io, REQUEST_READ, 0, 4096);
		while (!io.done)
			one_turn();
		assert_int_equal(io.error, 0);
		assert_int_equal(io.first, value);
	}
	settle();
}

/* It may be back by now, to be copied to. */
static void assert_left_out(void)
{
	assert_int_equal(f.mirror->read_set, 1);
	assert_int_not_equal(recorded(0, 1), MIRROR_IN_SYNC);
	assert_true(disk_map_bit(0, 2, 0));
	assert_false(f.witness.in_sync[1]);
}

/* It is copied to anew, and gets there then. */
static void end_in_sync(void)
{
	retry_now();
	copy_all();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(recorded(0, 1), MIRROR_IN_SYNC);
	assert_int_equal(recorded(1, 1), MIRROR_IN_SYNC);
	assert_memory_equal(f.disks[0].image, f.disks[1].image, mirror_data_size(DISK_SIZE));
	stop();
	fixture_end();
}

static void one_that_fails_nothing_gets_in_sync(void **state)
{
	begin_joining(0);
	assert_int_equal(do_write(0, 4096, 2), 0);
	end_joining(0, 2);
	assert_int_equal(f.mirror->read_set, 3);
	assert_true(f.disks[1].reads > 0);
	end_in_sync();
}

/* Also when it was recorded as in sync on the other one already. */
static void a_write_that_it_fails_waits_until_it_is_left_out(void **state)
{
	for (unsigned held = 0; held < 2; held++) {
		struct io io = {.done = false};

		begin_joining(held);
		assert_int_equal(recorded(0, 1) == MIRROR_IN_SYNC, held == 1);
		f.disks[1].fails_after = 1;
		io_write_begin(&io, 0, 4096, 2);
		settle();
		assert_int_equal(f.disks[0].image[0], 2);
		assert_int_equal(f.disks[1].image[0], 1);
		assert_false(io.done);
		end_joining(held, 2);
		assert_true(io.done);
		assert_int_equal(io.error, 0);
		io_write_end(&io);
		assert_left_out();
		end_in_sync();
	}
}

static void a_flush_that_it_fails_waits_likewise(void **state)
{
	struct io io = {.done = false};

	begin_joining(0);
	f.disks[1].flush_error = EIO;
	io_submit(&io, REQUEST_FLUSH, 0, 0);
	settle();
	assert_false(io.done);
	f.disks[1].flush_error = 0;
	end_joining(0, 1);
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	assert_left_out();
	end_in_sync();
}

/* On another worker, just after the home has taken who had failed: the change must look again. */
static void a_write_that_was_acknowledged_just_before_is_seen(void **state)
{
	for (unsigned held = 0; held < 2; held++) {
		begin_joining(held);
		f.mirror->joining = 0; /* as that worker has seen it */
		f.disks[1].fails_after = 1;
		assert_int_equal(do_write(0, 4096, 2), 0);
		assert_int_equal(f.disks[1].image[0], 1);
		end_joining(held, 2);
		assert_left_out();
		end_in_sync();
	}
}

/* As long as it isn't about to get in sync, nobody would read there what it doesn't have. */
static void one_that_is_copied_to_is_not_waited_for(void **state)
{
	struct io io = {.done = false};

	begin_resync();
	f.disks[0].holds_metadata = true;
	f.disks[1].fails_after = 1;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_true(io.done); /* nothing can have been recorded */
	assert_int_equal(io.error, 0);
	io_write_end(&io);
	assert_int_equal(recorded(0, 1), MIRROR_INCONSISTENT);
	end_joining(0, 2);
	assert_left_out();
	end_in_sync();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_fails_nothing_gets_in_sync),
		cmocka_unit_test(a_write_that_it_fails_waits_until_it_is_left_out),
		cmocka_unit_test(a_flush_that_it_fails_waits_likewise),
		cmocka_unit_test(a_write_that_was_acknowledged_just_before_is_seen),
		cmocka_unit_test(one_that_is_copied_to_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
