/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_recovery.c - a server that loses what it had acknowledged: what is written anew, in what order,
 * what waits meanwhile, and what fsync tells. With one lane and with several.
 */
#include "dstfs/remote.h"

#include "test/unit/remote_fixture.h"

static const unsigned lane_counts[] = {1, 3, 8};

/* Runs the test with each number of lanes. */
static void each(void **state, void (*test)(unsigned lanes))
{
	for (size_t i = 0; i < sizeof(lane_counts) / sizeof(*lane_counts); i++) {
		if (i)
			setup(state);
		test(lane_counts[i]);
		if (i + 1 < sizeof(lane_counts) / sizeof(*lane_counts))
			assert_int_equal(teardown(state), 0);
	}
}

static void recover(void)
{
	run_until(all_lanes_are_ready);
	run_until(all_done);
	run_for(2 * CLOCK_MS);
}

/* ---- power cuts ---- */

static void unflushed(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 100, 1);
	write_blocks(50, 100, 7); /* over half of them */
	node_power_cut(&e.node);
	assert_int_equal(e.node.content[0], 0);
	recover();
	expect_content(e.node.content, 0, 50, 1);
	expect_content(e.node.content, 50, 100, 7);
	assert_int_equal(flush_on(lanes - 1), 0);
	expect_content(e.node.durable, 50, 100, 7);
	assert_int_equal(status_of("durability", "replays"), 1);
	assert_int_equal(status_of("durability", "losses"), 0);
}

static void what_was_not_flushed_is_written_anew(void **state)
{
	each(state, unflushed);
}

static void flushed(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 60, 1);
	assert_int_equal(flush_on(0), 0);
	write_blocks(100, 5, 1);
	e.node.writes = 0;
	node_power_cut(&e.node);
	recover();
	assert_int_equal(e.node.writes, 5);
	expect_content(e.node.content, 0, 60, 1);
	expect_content(e.node.content, 100, 5, 1);
}

static void what_was_flushed_is_not(void **state)
{
	each(state, flushed);
}

static void nothing_kept(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 5, 1);
	assert_int_equal(flush_on(0), 0);
	node_power_cut(&e.node);
	recover();
	assert_int_equal(status_of("durability", "replays"), 0);
	assert_int_equal(e.told, TARGET_READY);
}

static void that_it_is_over_is_told_also_if_nothing_was_lost(void **state)
{
	each(state, nothing_kept);
}

static void reads(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 100, 1);
	node_power_cut(&e.node);
	for (unsigned i = 0; i < 100; i++)
		submit_on(i, i % lanes, REQUEST_READ, i, 0);
	recover();
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(e.ios[i].byte, 1 + i);
}

static void nobody_reads_what_was_lost(void **state)
{
	each(state, reads);
}

static void in_flight(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 60, 1);
	e.node.mute = true; /* these are carried out, and lost with their answers */
	for (unsigned i = 0; i < 60; i++)
		submit_on(i, i % lanes, REQUEST_WRITE, i, (uint8_t)(101 + i));
	run_for(5 * CLOCK_MS);
	e.node.mute = false;
	node_power_cut(&e.node);
	recover();
	expect_all(0);
	expect_content(e.node.content, 0, 60, 101);
}

static void the_older_does_not_land_over_the_newer(void **state)
{
	each(state, in_flight);
}

static void one_missing(unsigned lanes)
{
	if (lanes == 1)
		return;
	begin(lanes);
	write_blocks(0, 30, 1);
	e.node.reads = e.node.writes = 0;
	e.node.deaf_lane = lanes; /* the last one's HELLO is left alone */
	node_power_cut(&e.node);
	submit_on(0, 0, REQUEST_READ, 0, 0);
	run_for(50 * CLOCK_MS);
	assert_int_equal(e.node.reads, 0);
	assert_int_equal(e.node.writes, 0); /* it might still have something under way */
	assert_int_equal(e.target->state, TARGET_AWAY);
	e.node.deaf_lane = 0;
	e.policy.timeout = 50 * CLOCK_MS;
	node_close_all(&e.node);
	recover();
	expect_all(0);
	assert_int_equal(e.ios[0].byte, 1);
}

static void all_lanes_are_gathered_first(void **state)
{
	each(state, one_missing);
}

static bool some_replayed(void)
{
	return e.node.writes > 0;
}

static void again_meanwhile(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 100, 1);
	for (unsigned cut = 0; cut < 3; cut++) {
		e.node.mute = true;
		e.node.writes = 0;
		node_power_cut(&e.node);
		run_until(some_replayed);
		run_for(2 * CLOCK_MS);
	}
	e.node.mute = false;
	node_power_cut(&e.node);
	recover();
	expect_content(e.node.content, 0, 100, 1);
	assert_int_equal(status_of("durability", "replays"), 1);
	assert_int_equal(status_of("durability", "replayed_pieces"), 100);
}

static void a_power_cut_during_the_replay_begins_it_anew(void **state)
{
	each(state, again_meanwhile);
}

static void resumed(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 100, 1);
	e.node.mute = true;
	e.node.writes = 0;
	node_power_cut(&e.node);
	run_until(some_replayed);
	run_for(2 * CLOCK_MS);
	e.node.mute = false;
	e.node.seen = 0;
	node_close_all(&e.node); /* what has run is told by HELLO, and not sent again */
	recover();
	expect_content(e.node.content, 0, 100, 1);
	assert_int_equal(e.node.seen, 100 - 64);
}

static void a_lost_connection_during_the_replay_resumes_it(void **state)
{
	each(state, resumed);
}

static void zeroes(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 20, 1);
	for (unsigned i = 0; i < 10; i++)
		submit_on(i, i % lanes, REQUEST_WRITE_ZEROES, i, 0);
	expect_all(0);
	e.node.content[0] = 55;
	node_power_cut(&e.node);
	recover();
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(e.node.content[i], 0);
	expect_content(e.node.content, 10, 10, 11);
	assert_true(e.node.zeroes > 10);
}

static void zeroes_are_written_anew_too(void **state)
{
	each(state, zeroes);
}

static void fua(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 1, 1);
	e.ios[2] = (struct io){.request = {.type = REQUEST_WRITE,
					   .fua = true,
					   .range = {0, NODE_BLOCK},
					   .worker = &e.workers[lanes - 1],
					   .done = on_done},
			       .submitted = true,
			       .buf = buf_get(e.workers[lanes - 1].bufs)};
	e.ios[2].request.buf = e.ios[2].buf;
	e.ios[2].request.data = e.ios[2].buf->data;
	memset(e.ios[2].buf->data, 200, NODE_BLOCK);
	target_submit(e.target, &e.ios[2].request);
	run_until(all_done);
	e.node.writes = 0;
	node_power_cut(&e.node);
	recover();
	assert_int_equal(e.node.content[0], 200);
	assert_int_equal(e.node.writes, 0); /* the older one is covered */
}

static void what_fua_made_durable_is_not_undone(void **state)
{
	each(state, fua);
}

static void many_cuts(unsigned lanes)
{
	begin(lanes);
	for (unsigned round = 0; round < 20; round++) {
		write_blocks(round * 10, 40, (uint8_t)(round * 5));
		if (round % 3 == 0)
			assert_int_equal(flush_on(round % lanes), 0);
		node_power_cut(&e.node);
		for (unsigned i = 0; i < 40; i++)
			submit_on(i, i % lanes, REQUEST_WRITE, round * 10 + i,
				  (uint8_t)(round * 5 + i + 1));
		recover();
		expect_all(0);
		expect_content(e.node.content, round * 10, 40, (uint8_t)(round * 5 + 1));
	}
	assert_int_equal(flush_on(0), 0);
	assert_memory_equal(e.node.content, e.node.durable, sizeof(e.node.content));
}

static void power_cuts_one_after_the_other(void **state)
{
	each(state, many_cuts);
}

/* ---- what can't be brought back ---- */

static void unkept(unsigned lanes)
{
	e.policy.retain = 0;
	begin(lanes);
	write_blocks(0, 20, 1);
	node_power_cut(&e.node);
	recover();
	assert_int_equal(e.node.content[0], 0);
	submit_on(0, 0, REQUEST_READ, 0, 0);
	expect_all(0);
	assert_int_equal(flush_on(0), EIO);
	assert_int_equal(flush_on(lanes - 1), 0); /* told once */
	assert_int_equal(status_of("durability", "losses"), 1);
}

static void with_retain_0_the_next_fsync_fails_once(void **state)
{
	each(state, unkept);
}

static void unkept_but_flushed(unsigned lanes)
{
	e.policy.retain = 0;
	begin(lanes);
	write_blocks(0, 20, 1);
	assert_int_equal(flush_on(0), 0);
	node_power_cut(&e.node);
	recover();
	assert_int_equal(flush_on(0), 0);
}

static void with_retain_0_what_was_flushed_is_no_loss(void **state)
{
	each(state, unkept_but_flushed);
}

static void shared(unsigned lanes)
{
	e.node.features = DST_IS_SHARED;
	begin(lanes);
	write_blocks(0, 20, 1);
	memset(e.node.durable, 77, sizeof(e.node.durable)); /* another client's */
	node_power_cut(&e.node);
	recover();
	assert_int_equal(e.node.content[0], 77);
	assert_int_equal(flush_on(0), EIO);
	assert_int_equal(flush_on(0), 0);
}

static void a_shared_export_is_never_replayed(void **state)
{
	each(state, shared);
}

static void shared_meanwhile(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 20, 1);
	memset(e.node.durable, 77, sizeof(e.node.durable)); /* another client's, since then */
	e.node.features = DST_IS_SHARED;
	node_power_cut(&e.node);
	recover();
	assert_int_equal(e.node.content[0], 77);
	assert_int_equal(flush_on(0), EIO);
	assert_int_equal(flush_on(0), 0);
}

static void an_export_that_became_shared_is_not_replayed(void **state)
{
	each(state, shared_meanwhile);
}

/* Flushes that came before the loss was told all fail; those that come later don't. */
static void all_that_wait(unsigned lanes)
{
	e.policy.retain = 0;
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.deaf = true;
	node_listen_again(&e.node);
	for (unsigned i = 0; i < 5; i++)
		submit_on(i, i % lanes, REQUEST_FLUSH, 0, 0);
	run_for(5 * CLOCK_MS);
	e.node.deaf = false;
	node_power_cut(&e.node);
	run_until(all_done);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(e.ios[i].error, EIO);
	assert_int_equal(flush_on(0), 0);
}

static void every_fsync_that_waits_hears_of_a_loss(void **state)
{
	each(state, all_that_wait);
}

static void failing_replay(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.write_status = DST_ENOSPC;
	node_power_cut(&e.node);
	recover();
	e.node.write_status = 0;
	assert_int_equal(flush_on(0), EIO);
	write_blocks(0, 20, 3);
	assert_int_equal(flush_on(0), 0);
	expect_content(e.node.durable, 0, 20, 3);
}

static void a_replay_that_fails_is_told_by_fsync(void **state)
{
	each(state, failing_replay);
}

/* ---- flushes that fail ---- */

static void failed_once(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 60, 1);
	e.node.flush_failures = 1;
	assert_int_equal(flush_on(lanes / 2), 0);
	expect_content(e.node.durable, 0, 60, 1);
	assert_int_equal(status_of("durability", "replays"), 1);
}

static void a_failed_flush_is_made_good_from_what_is_kept(void **state)
{
	each(state, failed_once);
}

static void failed_twice(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 60, 1);
	e.node.flush_failures = 2;
	assert_int_equal(flush_on(lanes / 2), EIO);
	recover();
	assert_int_equal(flush_on(0), 0); /* it is still kept, and was written anew */
	expect_content(e.node.durable, 0, 60, 1);
}

static void a_flush_that_fails_twice_is_an_error(void **state)
{
	each(state, failed_twice);
}

static void failed_silently(unsigned lanes)
{
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.flush_errors = 1;
	assert_int_equal(flush_on(0), EIO);
	assert_int_equal(e.node.hellos, lanes);
}

static void a_flush_that_fails_under_the_same_instance_is_an_error(void **state)
{
	each(state, failed_silently);
}

static void failed_unkept(unsigned lanes)
{
	e.policy.retain = 0;
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.flush_failures = 1;
	assert_int_equal(flush_on(lanes - 1), EIO);
	recover();
	assert_int_equal(flush_on(0), 0);
}

static void a_failed_flush_of_what_was_not_kept_is_an_error(void **state)
{
	each(state, failed_unkept);
}

/* The instance changes while a flush is under way on another lane: that covers nothing. */
static void overtaken(unsigned lanes)
{
	if (lanes == 1)
		return;
	begin(lanes);
	write_blocks(0, 60, 1);
	e.node.holds_flushes = true;
	submit_on(0, 0, REQUEST_FLUSH, 0, 0);
	run_for(5 * CLOCK_MS);
	e.node.instance++;
	for (unsigned i = 0; i < NODE_CONNS; i++) /* another lane hears first */
		if (e.node.conns[i].greeted && e.node.conns[i].lane == 1) {
			struct wire_attrs attrs = node_attrs(&e.node);

			attrs.has = 1u << DST_ATTR_INSTANCE;
			conn_send_attrs(&e.node.conns[i], DST_NOTICE, 0, &attrs);
		}
	e.node.writes = 0;
	node_let_flush(&e.node);
	recover();
	expect_all(0);
	assert_int_equal(e.node.writes, 60);
	assert_true(e.node.flushes > 1);
}

static void a_flush_that_the_instance_overtook_covers_nothing(void **state)
{
	each(state, overtaken);
}

/* ---- COPY ---- */

static void copies(unsigned lanes)
{
	begin(lanes);
	submit_on(0, lanes - 1, REQUEST_COPY, 5, 0);
	expect_all(0);
	assert_int_equal(e.node.flushes, 1);
	assert_int_equal(e.ios[0].request.result, NODE_BLOCK);
	e.node.flush_errors = 1;
	submit_on(0, lanes - 1, REQUEST_COPY, 5, 0);
	expect_all(EIO);
}

static void a_copy_is_done_when_it_is_durable(void **state)
{
	each(state, copies);
}

static void lost_copy(unsigned lanes)
{
	begin(lanes);
	e.node.holds_flushes = true;
	submit_on(0, 0, REQUEST_COPY, 5, 0);
	run_for(5 * CLOCK_MS);
	e.node.holds_flushes = false;
	e.node.ran[0][1] = 0;
	node_power_cut(&e.node);
	recover();
	expect_all(0);
	assert_int_equal(e.node.ran[0][3], DST_OK + 1); /* 1 was it, 2 its flush, 3 is it again */
}

static void a_copy_that_was_lost_is_copied_again(void **state)
{
	each(state, lost_copy);
}

/* ---- the bound on what is kept ---- */

static void bounded(unsigned lanes)
{
	e.policy.retain = 2 << 20;
	begin(lanes);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 500; i++)
			submit_on(i, i % lanes, REQUEST_WRITE, i, (uint8_t)(round + i));
		run_until(all_done);
	}
	assert_true(status_of("durability", "background_flushes") > 0);
	assert_true(status_of("durability", "retained_memory") <
		    (4 << 20) + (json_int_t)lanes * (512 << 10));
	node_power_cut(&e.node);
	recover();
	expect_content(e.node.content, 0, 500, 5);
}

static void what_is_kept_is_flushed_before_it_is_too_much(void **state)
{
	each(state, bounded);
}

static bool reads_are_done(void)
{
	for (unsigned i = 500; i < 505; i++)
		if (!e.ios[i].done)
			return false;
	return true;
}

static void held_back(unsigned lanes)
{
	unsigned undone = 0;

	e.policy.retain = 512 << 10;
	e.node.holds_flushes = true;
	e.node.depth = 8; /* what is in flight already doesn't wait */
	begin(lanes);
	for (unsigned i = 0; i < 500; i++)
		submit_on(i, i % lanes, REQUEST_WRITE, i, 9);
	run_for(50 * CLOCK_MS);
	for (unsigned i = 500; i < 505; i++)
		submit_on(i, i % lanes, REQUEST_READ, 0, 0);
	run_until(reads_are_done); /* they are not kept, and don't wait */
	for (unsigned i = 0; i < 500; i++)
		undone += !e.ios[i].done;
	assert_true(undone > 0);
	node_let_flush(&e.node);
	run_until(all_done);
	assert_int_equal(e.ios[499].error, 0);
}

static void what_can_not_be_kept_waits(void **state)
{
	each(state, held_back);
}

static void no_flush_works(unsigned lanes)
{
	e.policy.retain = 512 << 10;
	begin(lanes);
	e.node.flush_errors = UINT32_MAX;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 500; i++)
			submit_on(i, i % lanes, REQUEST_WRITE, i, 9);
		run_until(all_done); /* I/O flows on */
		assert_int_equal(e.ios[0].error, 0);
	}
	assert_true(status_of("durability", "background_failures") > 0);
	e.node.flush_errors = 0;
	assert_int_equal(flush_on(0), EIO);
}

static void a_failing_background_flush_gives_up_and_fsync_tells(void **state)
{
	each(state, no_flush_works);
}

/* A flush that is ours must not end with the target. */
static void ends_with_a_background_flush(void **state)
{
	e.policy.retain = 512 << 10;
	e.node.holds_flushes = true;
	begin(3);
	for (unsigned i = 0; i < 200; i++)
		submit_on(i, i % 3, REQUEST_WRITE, i, 9);
	run_for(20 * CLOCK_MS); /* teardown ends it */
}

static void ends_during_a_replay(void **state)
{
	begin(3);
	write_blocks(0, 100, 1);
	e.node.mute = true;
	e.node.writes = 0;
	node_power_cut(&e.node);
	run_until(some_replayed);
}

/* ---- servers that lead us round in circles ---- */

static void flapping(unsigned lanes)
{
	e.policy.reconnect = 20 * CLOCK_MS;
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.new_instance_each_hello = true;
	node_close_all(&e.node);
	e.node.hellos = 0;
	run_for(600 * CLOCK_MS);
	assert_in_range(e.node.hellos, 1, 32 * lanes);
	e.node.new_instance_each_hello = false;
	recover();
	expect_content(e.node.content, 0, 20, 1);
}

static void another_instance_at_each_hello_is_no_spinning(void **state)
{
	each(state, flapping);
}

static void storm(unsigned lanes)
{
	e.policy.reconnect = 20 * CLOCK_MS;
	begin(lanes);
	write_blocks(0, 20, 1);
	e.node.notice_storm = 1;
	node_close_all(&e.node);
	e.node.hellos = 0;
	run_for(600 * CLOCK_MS);
	assert_in_range(e.node.hellos, 1, 32 * lanes);
	e.node.notice_storm = 0;
	recover();
	expect_content(e.node.content, 0, 20, 1);
}

static void another_instance_after_each_hello_is_no_spinning(void **state)
{
	each(state, storm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_not_flushed_is_written_anew),
		TEST(what_was_flushed_is_not),
		TEST(that_it_is_over_is_told_also_if_nothing_was_lost),
		TEST(nobody_reads_what_was_lost),
		TEST(the_older_does_not_land_over_the_newer),
		TEST(all_lanes_are_gathered_first),
		TEST(a_power_cut_during_the_replay_begins_it_anew),
		TEST(a_lost_connection_during_the_replay_resumes_it),
		TEST(zeroes_are_written_anew_too),
		TEST(what_fua_made_durable_is_not_undone),
		TEST(power_cuts_one_after_the_other),
		TEST(with_retain_0_the_next_fsync_fails_once),
		TEST(with_retain_0_what_was_flushed_is_no_loss),
		TEST(a_shared_export_is_never_replayed),
		TEST(an_export_that_became_shared_is_not_replayed),
		TEST(every_fsync_that_waits_hears_of_a_loss),
		TEST(a_replay_that_fails_is_told_by_fsync),
		TEST(a_failed_flush_is_made_good_from_what_is_kept),
		TEST(a_flush_that_fails_twice_is_an_error),
		TEST(a_flush_that_fails_under_the_same_instance_is_an_error),
		TEST(a_failed_flush_of_what_was_not_kept_is_an_error),
		TEST(a_flush_that_the_instance_overtook_covers_nothing),
		TEST(a_copy_is_done_when_it_is_durable),
		TEST(a_copy_that_was_lost_is_copied_again),
		TEST(what_is_kept_is_flushed_before_it_is_too_much),
		TEST(what_can_not_be_kept_waits),
		TEST(a_failing_background_flush_gives_up_and_fsync_tells),
		TEST(ends_with_a_background_flush),
		TEST(ends_during_a_replay),
		TEST(another_instance_at_each_hello_is_no_spinning),
		TEST(another_instance_after_each_hello_is_no_spinning),
	};

	log_init("test_recovery", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
