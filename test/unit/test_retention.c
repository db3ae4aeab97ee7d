/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_retention.c - what is kept for a replay has bounds, and I/O flows on at each of them: when the
 * bound changes, when the lane that makes room is gone, when buffers run out.
 */
#include "dstfs/remote.h"

#include "test/unit/remote_fixture.h"

/* Lowered under what is kept: that is made durable, without anyone's fsync. */
static void lowered_while_it_runs(void **state)
{
	begin(3);
	write_blocks(0, 300, 1);
	assert_int_equal(e.node.flushes, 0);
	e.policy.retain = 4096;
	write_blocks(300, 30, 7);
	assert_true(e.node.flushes > 0);
	node_power_cut(&e.node);
	run_until(all_lanes_are_ready);
	run_for(5 * CLOCK_MS);
	expect_content(e.node.content, 0, 300, 1);
	expect_content(e.node.content, 300, 30, 7);
	assert_int_equal(flush_on(0), 0);
}

/* To nothing, and back: what was kept before is written anew, what was not is told. */
static void to_nothing_and_back(void **state)
{
	begin(3);
	write_blocks(0, 30, 1);
	e.policy.retain = 0;
	write_blocks(30, 30, 1);
	e.policy.retain = 64 << 20;
	write_blocks(60, 30, 1);
	node_power_cut(&e.node);
	run_until(all_lanes_are_ready);
	run_for(5 * CLOCK_MS);
	expect_content(e.node.content, 0, 30, 1);
	expect_content(e.node.content, 60, 30, 1);
	assert_int_equal(flush_on(2), EIO);
	assert_int_equal(flush_on(2), 0);
}

static bool holds_one(void)
{
	return e.node.held_by;
}

static bool others_are_done(void)
{
	for (unsigned i = 0; i < IOS; i++)
		if (e.ios[i].submitted && !e.ios[i].done &&
		    e.ios[i].request.worker != &e.workers[e.node.held_by->lane])
			return false;
	return true;
}

/* The lane whose flush it was has lost its connection, and doesn't come back: another one flushes. */
static void the_lane_that_makes_room_is_gone(void **state)
{
	unsigned gone;

	e.policy.retain = 512 << 10;
	e.node.depth = 8;
	e.node.holds_flushes = true;
	begin(3);
	for (unsigned i = 0; i < 500; i++)
		submit_on(i, i % 3, REQUEST_WRITE, i, 9);
	run_until(holds_one);
	run_for(20 * CLOCK_MS);
	gone = e.node.held_by->lane;
	e.node.deaf_lane = gone + 1;
	e.node.holds_flushes = false;
	conn_close(e.node.held_by);
	e.node.held_by->lane = gone;
	run_until(others_are_done);
	e.node.deaf_lane = 0;
	e.policy.timeout = 50 * CLOCK_MS;
	node_close_all(&e.node);
	run_until(all_done);
}

#define FEW 40u /* buffers */

/* As if other volumes had taken most of a worker's buffers. */
static void scarce_buffers_are_not_kept(void **state)
{
	struct io *io = &e.ios[0];

	buf_pool_free(&e.workers[0].bufs);
	e.workers[0].bufs = buf_pool_new(FEW, FEW);
	assert_non_null(e.workers[0].bufs);
	e.policy.timeout = 200 * CLOCK_MS; /* a tick is a part of it */
	begin(1);
	for (unsigned i = 0; i < 10 * FEW; i++) {
		*io = (struct io){.request = {.type = REQUEST_WRITE,
					      .range = {i % 8 * 16 * NODE_BLOCK, 16 * NODE_BLOCK},
					      .worker = &e.workers[0],
					      .done = on_done},
				  .submitted = true,
				  .buf = buf_get(e.workers[0].bufs)};
		assert_non_null(io->buf);
		io->request.buf = io->buf;
		io->request.data = io->buf->data;
		target_submit(e.target, &io->request);
		run_until(all_done);
		assert_int_equal(io->error, 0);
	}
	assert_true(e.node.flushes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lowered_while_it_runs),
		TEST(to_nothing_and_back),
		TEST(the_lane_that_makes_room_is_gone),
		TEST(scarce_buffers_are_not_kept),
	};

	log_init("test_retention", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
