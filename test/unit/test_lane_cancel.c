/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_lane_cancel.c - requests that are given up: at once, once, wherever they are. */
#include "dstfs/lane.h"

#include "test/unit/lane_fixture.h"

/* ---- cancellation: once, at once, wherever the request is ---- */

static void cancelled_in_the_queue_in_flight_or_waiting(void **state)
{
	e.fake.request = note_order;
	order_count = 0;
	begin();
	submit_many(100, REQUEST_WRITE, 4096); /* 64 are queued, the others wait */
	cancel_all(EINTR);
	expect_all(EINTR);
	assert_int_equal(order_count, 64); /* their payloads were still there */
	for (uint64_t id = 1; id <= 64; id++)
		reply(&e.fake, DST_WRITE, id, 0, 0);
	run_for(5 * CLOCK_MS);
	submit_many(64, REQUEST_WRITE, 4096);
	run_for(5 * CLOCK_MS);
	cancel_all(EINTR); /* in flight */
	e.fake.request = NULL;
	fake_close(&e.fake); /* never sent again */
	order_count = 0;
	submit_many(1, REQUEST_WRITE, 4096);
	expect_all(0);
	assert_int_equal(e.fake.greatest, 129);
}

static void cancelled_while_the_node_is_away(void **state)
{
	begin();
	e.fake.request = no_answer;
	submit_many(30, REQUEST_WRITE, 4096);
	run_for(5 * CLOCK_MS);
	fake_close(&e.fake);
	e.fake.hello = no_hello;
	e.losses = 0;
	run_until(lost_again);
	cancel_all(EINTR);
	e.fake.hello = NULL;
	e.fake.request = NULL;
	fake_close(&e.fake);
	submit_many(1, REQUEST_READ, 4096);
	expect_all(0);
	assert_int_equal(buf_pool_in_use(e.worker.bufs), 0);
}

static void cancelled_while_half_sent(void **state)
{
	begin();
	e.fake.deaf = true;
	fake_flush(&e.fake);
	submit_many(20, REQUEST_WRITE, DST_MAX_PAYLOAD);
	run_for(5 * CLOCK_MS);
	cancel_all(EINTR);
	assert_true(buf_pool_in_use(e.worker.bufs) > 0); /* the rest of them still has to go out */
	e.fake.deaf = false;
	fake_flush(&e.fake);
	submit_many(1, REQUEST_READ, 4096);
	expect_all(0);
	assert_int_equal(e.losses, 0);
}

static void freed_with_replies_outstanding(void **state)
{
	begin();
	e.fake.request = no_answer;
	submit_many(64, REQUEST_WRITE, 40000);
	run_for(5 * CLOCK_MS);
	cancel_all(ETIMEDOUT); /* teardown frees the lane and counts the buffers */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cancelled_in_the_queue_in_flight_or_waiting),
		TEST(cancelled_while_the_node_is_away),
		TEST(cancelled_while_half_sent),
		TEST(freed_with_replies_outstanding),
	};

	log_init("test_lane_cancel", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
