/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_lane.c - a lane and a server that means well, or is just slow: order, bounds, counters. */
#include "dstfs/lane.h"

#include "test/unit/lane_fixture.h"

/* ---- what goes well ---- */

static void each_type_completes_once(void **state)
{
	begin();
	memset(ios, 0, sizeof(ios));
	io_count = REQUEST_TYPES;
	for (unsigned type = 0; type < REQUEST_TYPES; type++)
		submit(&ios[type], (enum request_type)type, 4096, 8192);
	expect_all(0);
	assert_int_equal(e.losses, 0);
}

static void without_checksums_too(void **state)
{
	e.policy.checksum = false;
	e.fake.checksum = DST_CHECKSUM_NONE;
	begin();
	submit_many(50, REQUEST_WRITE, 40000);
	expect_all(0);
	submit_many(50, REQUEST_READ, 40000);
	expect_all(0);
}

static void what_is_submitted_before_the_connection_waits_for_it(void **state)
{
	lane_begin();
	submit_many(MANY, REQUEST_READ, 512);
	expect_all(0);
}

/* ---- order, depth and lag; fake_server.h asserts the bounds in every test ---- */

static bool sixty_noted(struct env *env)
{
	return order_count == 60;
}

static void note_and_echo(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	note_order(f, header, payload);
	fake_echo(f, header, payload);
}

static void what_is_sent_again_goes_first_and_in_order(void **state)
{
	order_count = 0;
	begin();
	e.fake.request = note_order;
	submit_many(60, REQUEST_WRITE, 4096);
	run_until(sixty_noted);
	fake_close(&e.fake);
	order_count = 0;
	e.fake.request = note_and_echo;
	for (io_count = 60; io_count < 100; io_count++)
		submit(&ios[io_count], REQUEST_WRITE, io_count * 4096, 4096);
	expect_all(0);
	assert_int_equal(order_count, 100);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(order[i], i + 1);
	/* Four of the new ones were sent into the closed connection. */
	assert_int_equal(counter_get(&lane_get_counters(e.lane)->resends), 64);
}

static void withhold_first(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	if (header->id > 1)
		fake_echo(f, header, payload);
}

static unsigned left;

static void submit_next(struct io *io)
{
	if (left) {
		left--;
		submit(io, REQUEST_READ, 0, 512);
	}
}

static bool lag_is_used_up(struct env *env)
{
	return env->fake.greatest == DST_LAG_FACTOR * env->fake.depth;
}

static void a_request_that_takes_long_holds_new_ones_back(void **state)
{
	const struct wire_header first = {.type = DST_READ, .id = 1, .range = {0, 512}};

	e.fake.depth = 4;
	e.fake.request = withhold_first;
	begin();
	memset(ios, 0, sizeof(ios));
	io_count = 5;
	left = 200;
	for (unsigned i = 0; i < io_count; i++)
		ios[i].then = submit_next;
	for (unsigned i = 0; i < io_count; i++)
		submit(&ios[i], REQUEST_READ, 0, 512);
	run_until(lag_is_used_up);
	run_for(10 * CLOCK_MS);
	assert_int_equal(e.fake.greatest, 64);
	e.fake.request = NULL;
	fake_echo(&e.fake, &first, NULL);
	expect_all(0);
	assert_int_equal(left, 0);
	assert_int_equal(e.losses, 0);
}

static void a_smaller_depth_after_a_reconnection_is_kept_to(void **state)
{
	begin();
	e.fake.request = withhold_first;
	submit_many(200, REQUEST_WRITE, 512);
	run_for(20 * CLOCK_MS);
	e.fake.request = no_answer;
	for (unsigned i = 0; i < 60; i++)
		if (ios[i].done)
			submit(&ios[i], REQUEST_WRITE, 0, 512);
	run_for(5 * CLOCK_MS);
	e.fake.depth = 2; /* so that the ids in flight span more than its lag */
	e.fake.request = NULL;
	fake_close(&e.fake);
	expect_all(0);
}

/* ---- silence ---- */

static void pings_only(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	if (header->type == DST_PING)
		fake_echo(f, header, payload);
}

static void a_silent_server_is_given_up(void **state)
{
	e.policy.timeout = 60 * CLOCK_MS;
	e.policy.resends = TARGET_FOREVER;
	begin();
	e.fake.request = no_answer;
	submit_many(5, REQUEST_READ, 4096);
	run_until(lost_again);
	assert_non_null(strstr(e.reason, "silent"));
	e.fake.request = NULL;
	expect_all(0);
}

static void an_idle_connection_is_asked_and_kept(void **state)
{
	e.policy.ping = 20 * CLOCK_MS;
	e.policy.timeout = 40 * CLOCK_MS;
	begin();
	run_for(300 * CLOCK_MS);
	assert_int_equal(e.losses, 0);
}

/* A slow medium: the requests fail in time, the connection stays, and late answers do no harm. */
static void requests_expire_while_pings_are_answered(void **state)
{
	e.policy.timeout = 30 * CLOCK_MS;
	e.policy.ping = 20 * CLOCK_MS;
	e.policy.resends = 2;
	begin();
	e.fake.request = pings_only;
	submit_many(64, REQUEST_WRITE, 4096); /* all are sent */
	expect_all(EIO);
	assert_int_equal(e.losses, 0);
	for (uint64_t id = 1; id <= 64; id++)
		reply(&e.fake, DST_WRITE, id, 0, 0);
	e.fake.request = NULL;
	e.policy.timeout = 10 * CLOCK_SEC; /* a busy machine answers them all the same */
	submit_many(100, REQUEST_WRITE, 4096);
	expect_all(0);
	assert_int_equal(e.losses, 0);
	assert_int_equal(counter_get(&lane_get_counters(e.lane)->late_replies), 64);
}

static void patience_does_not_overflow(void **state)
{
	e.policy.timeout = 86400 * CLOCK_SEC;
	e.policy.resends = 1000000;
	assert_int_equal(target_patience(&e.policy), UINT64_MAX);
	e.policy.resends = TARGET_FOREVER;
	assert_int_equal(target_patience(&e.policy), UINT64_MAX);
	e.policy.resends = 2;
	assert_int_equal(target_patience(&e.policy), 3 * 86400 * CLOCK_SEC);
}

/* ---- counters ---- */

static void counters_go_on_over_reconnections(void **state)
{
	const struct lane_counters *c;
	uint64_t before;

	begin();
	submit_many(50, REQUEST_READ, 4096);
	expect_all(0);
	c = lane_get_counters(e.lane);
	fake_close(&e.fake);
	e.losses = 0;
	run_until(lost_again);
	before = counter_get(&c->bytes_in);
	assert_true(before > 50 * 4096);
	run_until(is_ready);
	submit_many(1, REQUEST_READ, 4096);
	expect_all(0);
	fake_close(&e.fake);
	e.losses = 0;
	run_until(lost_again);
	assert_true(counter_get(&c->bytes_in) > before + 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_type_completes_once),
		TEST(without_checksums_too),
		TEST(what_is_submitted_before_the_connection_waits_for_it),
		TEST(what_is_sent_again_goes_first_and_in_order),
		TEST(a_request_that_takes_long_holds_new_ones_back),
		TEST(a_smaller_depth_after_a_reconnection_is_kept_to),
		TEST(a_silent_server_is_given_up),
		TEST(an_idle_connection_is_asked_and_kept),
		TEST(requests_expire_while_pings_are_answered),
		TEST(patience_does_not_overflow),
		TEST(counters_go_on_over_reconnections),
	};

	log_init("test_lane", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
