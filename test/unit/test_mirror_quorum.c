/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror_quorum.c - a mirror that must not be written to with too few nodes: majority, min_nodes. */
#include "dstfs/mirror.h"

#include "test/unit/mirror_fixture.h"

static bool says(const char *what)
{
	char reason[MIRROR_REASON_MAX];

	f.target->ops->reason(f.target, reason, sizeof(reason));
	return *what ? strstr(reason, what) != NULL : !*reason;
}

static void begin_majority(unsigned count)
{
	begin_in_sync(count);
	f.options.start.majority = true;
	start();
	f.mirror->copy->paused = true; /* a slow machine has time for it */
	assert_int_equal(do_write(0, 4096, 1), 0);
}

static void without_a_majority_writing_stops(void **state)
{
	begin_majority(3);
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 2), 0); /* three of four: two nodes, and the witness */
	assert_true(says(""));
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 3), EIO);
	assert_int_equal(do_write(0, 4096, 3), EIO);
	assert_int_equal(do_plain(REQUEST_WRITE_ZEROES, 0, 4096), EIO);
	assert_int_equal(do_plain(REQUEST_FLUSH, 0, 0), 0); /* of what was acknowledged before */
	assert_int_equal(do_read(0), 3);
	assert_int_equal(f.target->state, TARGET_READY);
	assert_true(says("writing has stopped: no majority: 2 of 4 votes"));
	disk_revive(1);
	retry_now(); /* it is being brought up to date, and knows */
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	assert_true(says(""));
	assert_int_equal(do_write(0, 4096, 4), 0);
	stop();
	fixture_end();
}

/* Others can't have a majority, wherever it has gone: it has what was recorded. */
static void one_that_knows_and_leaves_again_takes_no_vote_with_it(void **state)
{
	begin_majority(3);
	disk_die(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), EIO);
	disk_revive(1);
	retry_now();
	assert_int_equal(do_write(0, 4096, 3), 0);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 4), 0);
	stop();
	fixture_end();
}

static void a_witness_that_cannot_be_kept_has_no_vote(void **state)
{
	begin_majority(2);
	f.witness_fails = true;
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_true(says("1 of 3 votes"));
	assert_true(says("can't be kept"));
	f.mirror->witness_retry_at = 0;
	mirror_home_poke(f.mirror);
	settle();
	assert_int_equal(do_write(0, 4096, 2), EIO);
	f.witness_fails = false;
	f.mirror->witness_retry_at = 0;
	mirror_home_poke(f.mirror);
	settle();
	assert_true(says(""));
	assert_false(f.witness.in_sync[1]);
	assert_int_equal(do_write(0, 4096, 3), 0);
	stop();
	fixture_end();
}

/* Also where nobody asks for a majority, so that a later start knows. */
static void a_witness_is_kept_as_soon_as_it_can_be(void **state)
{
	begin_in_sync(2);
	start();
	f.witness_fails = true;
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_true(f.witness.in_sync[1]);
	f.witness_fails = false;
	f.mirror->witness_retry_at = 0;
	mirror_home_poke(f.mirror);
	settle();
	assert_false(f.witness.in_sync[1]);
	records_forget();
	for (unsigned i = 0; i < 3; i++) {
		f.mirror->witness_retry_at = 0;
		mirror_home_poke(f.mirror);
		settle();
	}
	assert_int_equal(f.record_count, 0); /* and then no more */
	stop();
	fixture_end();
}

static void all_nodes_need_no_witness(void **state)
{
	begin_majority(2);
	f.witness_fails = true;
	f.mirror->witnessed = false;
	assert_int_equal(do_write(0, 4096, 2), 0);
	assert_true(says(""));
	stop();
	fixture_end();
}

static void with_fewer_than_min_nodes_writing_stops(void **state)
{
	begin_in_sync(3);
	f.options.start.min_nodes = 2;
	start();
	f.mirror->copy->paused = true;
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_true(says("1 of 3 nodes are in sync, and min_nodes is 2"));
	assert_int_equal(do_read(0), 2);
	disk_revive(1);
	retry_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	assert_int_equal(do_write(0, 4096, 3), EIO); /* it isn't in sync yet */
	f.mirror->copy->paused = false;
	copy_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_true(says(""));
	assert_int_equal(do_write(0, 4096, 4), 0);
	assert_memory_equal(f.disks[0].image, f.disks[1].image, 4096);
	stop();
	fixture_end();
}

/* The start was judged with it. What is left then must be enough as well. */
static void one_that_is_lost_during_the_start_is_missed(void **state)
{
	begin_majority(3);
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 2), 0);
	stop();
	f.disks[1].holds_supers = true;
	start();
	assert_int_equal(f.target->state, TARGET_CONNECTING);
	disk_die(1);
	disk_release(&f.disks[1]);
	settle();
	retry_now();
	assert_int_equal(f.target->state, TARGET_CONNECTING);
	assert_true(says("no majority: 2 of 4 votes"));
	disk_revive(1);
	retry_now();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_write(0, 4096, 3), 0);
	stop();
	fixture_end();
}

/* Nobody asks again before there has been what was waived. */
static void force_waives_it_until_it_is_met(void **state)
{
	begin_majority(3);
	f.options.start.min_nodes = 2;
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 2), 0);
	stop();
	disk_die(1);
	f.options.start.force = true;
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_write(0, 4096, 3), 0);
	f.mirror->copy->paused = true;
	disk_revive(1);
	retry_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_RESYNC);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 4), 0);
	f.mirror->copy->paused = false;
	disk_revive(1);
	retry_now();
	copy_now();
	assert_int_equal(f.mirror->read_set, 3);
	assert_int_equal(do_write(0, 4096, 5), 0);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 6), EIO);
	stop();
	fixture_end();
}

static void what_cannot_be_recorded_is_told(void **state)
{
	begin_in_sync(2);
	start();
	assert_int_equal(do_write(0, 4096, 1), 0);
	disk_die(1);
	f.disks[0].metadata_error = EIO;
	assert_int_equal(do_write(0, 4096, 2), EIO);
	assert_true(says("no node could record"));
	f.disks[0].metadata_error = 0;
	retry_now();
	assert_true(says(""));
	stop();
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_majority_writing_stops),
		cmocka_unit_test(one_that_knows_and_leaves_again_takes_no_vote_with_it),
		cmocka_unit_test(a_witness_that_cannot_be_kept_has_no_vote),
		cmocka_unit_test(a_witness_is_kept_as_soon_as_it_can_be),
		cmocka_unit_test(all_nodes_need_no_witness),
		cmocka_unit_test(with_fewer_than_min_nodes_writing_stops),
		cmocka_unit_test(one_that_is_lost_during_the_start_is_missed),
		cmocka_unit_test(force_waives_it_until_it_is_met),
		cmocka_unit_test(what_cannot_be_recorded_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
