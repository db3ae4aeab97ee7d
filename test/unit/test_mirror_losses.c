/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_losses.c - a mirror whose nodes have lost what they had acknowledged, and nobody had flushed:
 * it isn't read there, and comes from the others, or an fsync tells.
 */
#include "dstfs/mirror.h"

#include "test/unit/mirror_fixture.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

/* Its server lost power, and what it had acknowledged; by its state it is there again. */
static void what_a_node_has_lost_is_not_read_there(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	strcpy(f.options.prefer, "b");
	start();
	f.mirror->copy->paused = true;
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds = true;
	io_submit(&io, REQUEST_READ, 0, 4096); /* waits for it to come back */
	settle();
	f.disks[1].image[0] = 0;
	f.disks[1].losses++;
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	assert_int_equal(io.first, 1);
	assert_int_equal(f.mirror->read_set, 1);
	assert_true(disk_map_bit(0, 2, 0));
	retry_now();
	f.mirror->copy->paused = false;
	copy_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(do_read(0), 1);
	stop();
	fixture_end();
}

/* There is nobody to get it from: fsync says so, once, and then there is one content again. */
static void what_all_nodes_have_lost_is_told(void **state)
{
	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].image[0] = 2; /* either may have lost it */
	f.disks[0].losses++;
	f.disks[1].losses++;
	f.mirror->ports[0].paces[0].latency = CLOCK_SEC;
	assert_int_equal(do_read(0), 2); /* of the primary, though nobody knows of it yet */
	assert_int_equal(f.mirror->read_set, 3);
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	assert_int_equal(do_read(0), 2);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), EIO);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	assert_int_equal(f.target->ops->losses(f.target), 1);
	stop();
	fixture_end();
}

/* The others have it: what was lost is neither read nor copied to them. */
static void what_the_primary_has_lost_is_not_made_equal(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.mirror->copy->paused = true;
	f.disks[0].holds_data = f.disks[1].holds_data = true;
	mirror_report_suspect(f.mirror, (struct range){0, 4096}); /* begins to be made equal */
	settle();
	f.disks[0].image[0] = 0;
	f.disks[0].losses++;
	io_submit(&io, REQUEST_READ, 0, 4096);
	disk_release(&f.disks[0]);
	disk_release(&f.disks[1]);
	f.disks[1].holds_metadata = true; /* it is in the set as long as that isn't recorded */
	settle();
	assert_int_equal(f.mirror->read_set, 3);
	assert_false(io.done);
	assert_int_equal(f.disks[1].image[0], 1);
	disk_release(&f.disks[1]);
	settle();
	assert_int_equal(f.mirror->read_set, 2);
	assert_true(io.done);
	assert_int_equal(io.error, 0);
	assert_int_equal(io.first, 1);
	assert_int_equal(f.disks[1].image[0], 1);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0);
	f.mirror->copy->paused = false;
	retry_now();
	copy_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(f.disks[0].image[0], 1);
	stop();
	fixture_end();
}

/* The nodes have told of it by then, to something of the mirror's own. */
static void a_flush_tells_what_is_not_told_yet(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].holds_metadata = true;
	io_write_begin(&io, 20 * REGION, 4096,
		       2); /* is marked first: nothing else can change meanwhile */
	settle();
	f.disks[0].losses++;
	f.disks[1].losses++;
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), EIO);
	assert_int_equal(f.target->ops->losses(f.target), 0);
	disk_release(&f.disks[0]);
	settle();
	io_write_end(&io);
	assert_int_equal(f.target->ops->losses(f.target), 1);
	stop();
	fixture_end();
}

/* Then it is over, though nothing but fsyncs comes. */
static void fsyncs_that_fail_for_a_loss_come_to_an_end(void **state)
{
	unsigned failed = 0;

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].losses++; /* files tell nobody of it by themselves */
	f.disks[1].losses++;
	while (do_plain(REQUEST_FLUSH, 0, 0)) {
		settle();
		assert_in_range(++failed, 1, 2);
	}
	assert_int_equal(f.target->ops->losses(f.target), 1);
	stop();
	fixture_end();
}

/* The other nodes were waited for, and an fsync told of it meanwhile: it is sent anew to all. */
static void what_is_lost_before_it_is_acknowledged_is_written_again(void **state)
{
	struct io io = {.done = false};

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[1].holds_data = true;
	io_write_begin(&io, 0, 4096, 2);
	settle();
	assert_int_equal(f.disks[0].image[0], 2);
	f.disks[0].image[0] = 1;
	f.disks[0].losses++;
	f.disks[1].losses++;
	mirror_home_poke(f.mirror);
	settle();
	assert_int_equal(f.target->ops->losses(f.target), 1);
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	io_write_end(&io);
	assert_int_equal(f.disks[0].image[0], 2);
	assert_int_equal(f.disks[1].image[0], 2);
	stop();
	fixture_end();
}

/* One of them has: the others answer for all, but not before it is recorded that it has left. */
static void a_flush_waits_until_who_has_lost_has_left(void **state)
{
	struct io flush = {.done = false};

	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	f.disks[0].losses++;
	f.disks[1].holds_metadata = true;
	io_submit(&flush, REQUEST_FLUSH, 0, 0);
	settle();
	assert_false(flush.done);
	disk_release(&f.disks[1]);
	settle();
	assert_true(flush.done);
	assert_int_equal(flush.error, 0);
	assert_int_equal(f.mirror->read_set, 2);
	stop();
	fixture_end();
}

/* A region that one being resynced had got isn't marked any more: only its map can tell that it lost it. */
static void what_is_lost_while_it_is_resynced_is_copied_again(void **state)
{
	struct mirror_node *node;

	begin_in_sync(2);
	start();
	f.mirror->copy->paused = true;
	node = &f.mirror->nodes[1];
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_int_equal(do_write(20 * REGION, 4096, 2), 0);
	for (unsigned i = 0; i < 3; i++)
		look_now(); /* not marked any more */
	disk_revive(1);
	retry_now();
	assert_int_equal(node->state, MIRROR_NODE_RESYNC);
	mirror_region_copied(f.mirror, node, 0);
	f.disks[0].losses++;
	f.disks[1].losses++;
	mirror_home_poke(f.mirror);
	settle();
	retry_now();
	f.mirror->copy->paused = false;
	copy_now();
	for (unsigned i = 0; i < 3; i++)
		look_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(f.disks[1].image[0], 1);
	stop();
	fixture_end();
}

/* The flush may be a good one, since another has told of the loss. */
static void what_may_be_lost_stays_marked(void **state)
{
	begin_in_sync(2);
	start();
	no_copying();
	assert_int_equal(do_write(0, 4096, 1), 0);
	for (unsigned i = 0; i < 2; i++)
		look_now();
	f.disks[0].holds = f.disks[1].holds = true;
	look_now();
	assert_true(f.mirror->work->clearing.active);
	f.disks[0].losses++;
	f.disks[1].losses++;
	disk_release(&f.disks[0]);
	disk_release(&f.disks[1]);
	settle();
	assert_true(disk_map_bit(0, 0, 0));
	assert_true(mirror_bits_get(&f.mirror->marked, 0));
	assert_true(mirror_bits_get(&f.mirror->suspect, 0));
	stop();
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_node_has_lost_is_not_read_there),
		cmocka_unit_test(what_all_nodes_have_lost_is_told),
		cmocka_unit_test(what_the_primary_has_lost_is_not_made_equal),
		cmocka_unit_test(a_flush_tells_what_is_not_told_yet),
		cmocka_unit_test(a_flush_waits_until_who_has_lost_has_left),
		cmocka_unit_test(fsyncs_that_fail_for_a_loss_come_to_an_end),
		cmocka_unit_test(what_is_lost_before_it_is_acknowledged_is_written_again),
		cmocka_unit_test(what_is_lost_while_it_is_resynced_is_copied_again),
		cmocka_unit_test(what_may_be_lost_stays_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
