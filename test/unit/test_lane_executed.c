/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_lane_executed.c - what a lane asks about when it comes back, what it takes for an answer, and
 * how long a request that was given up keeps its range.
 */
#include "dstfs/lane.h"

#include "dstfs/ranges.h"

#include "test/unit/lane_fixture.h"

#define SENT 20u

/* ---- a server that has heard `SENT` requests and lost its connection ---- */

static struct wire_executed executed; /* of the next answer */
static unsigned asked; /* PENDING's count in the last HELLO */
static bool silent_hello; /* EXECUTED is left out */

static void tell_executed(struct fake *f)
{
	struct wire_attrs attrs = fake_attrs(f);

	asked = wire_has(&f->said, DST_ATTR_PENDING) ? f->said.pending.count : 0;
	if (!silent_hello)
		attrs.has |= 1u << DST_ATTR_EXECUTED;
	attrs.executed = executed;
	fake_send_hello(f, DST_OK, &attrs);
}

static void told(unsigned distance, uint16_t status, uint32_t length)
{
	executed.one[executed.count++] =
		(struct wire_executed_one){(uint16_t)distance, status, length};
}

static bool all_noted(struct env *env)
{
	return order_count == SENT;
}

static void send_and_lose(enum request_type type)
{
	executed.count = 0;
	asked = 0;
	silent_hello = false;
	order_count = 0;
	e.fake.request = note_order;
	begin();
	submit_many(SENT, type, 4096);
	run_until(all_noted);
	e.fake.hello = tell_executed;
	e.fake.request = note_order;
	order_count = 0;
	fake_close(&e.fake);
}

static void note_and_echo(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	note_order(f, header, payload);
	fake_echo(f, header, payload);
}

/* ---- PENDING ---- */

static void asks_about_what_changes_content(void **state)
{
	send_and_lose(REQUEST_WRITE);
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(asked, SENT);
	assert_int_equal(e.fake.said.pending.first, 1);
	assert_int_equal(e.fake.said.pending.distance[SENT - 1], SENT - 1);
}

static void asks_about_nothing_else(void **state)
{
	send_and_lose(REQUEST_READ);
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(asked, 0);
	assert_int_equal(order_count, SENT);
}

/* ---- EXECUTED ---- */

static void what_has_run_completes_and_the_rest_is_sent_again(void **state)
{
	send_and_lose(REQUEST_WRITE);
	told(0, DST_OK, 0);
	told(3, DST_EIO, 0);
	told(4, DST_ENOSPC, 0);
	told(SENT - 1, DST_OK, 0);
	e.fake.request = note_and_echo;
	run_until(all_done);
	for (unsigned i = 0; i < SENT; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].error, i == 3 ? EIO : i == 4 ? ENOSPC : 0);
	}
	assert_int_equal(order_count, SENT - 4);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 3);
	assert_int_equal(order[2], 6);
	assert_int_equal(counter_get(&lane_get_counters(e.lane)->executed), 4);
	assert_int_equal(e.losses, 1);
}

static void all_of_it_has_run(void **state)
{
	send_and_lose(REQUEST_WRITE_ZEROES);
	for (unsigned i = 0; i < SENT; i++)
		told(i, DST_OK, 0);
	expect_all(0);
	assert_int_equal(order_count, 0);
}

static void a_copy_tells_its_length(void **state)
{
	send_and_lose(REQUEST_COPY);
	told(2, DST_OK, 1000);
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(ios[2].request.result, 1000);
	assert_int_equal(ios[3].request.result, 4096);
}

/* A server that says nothing has run says so for what it was asked about only once. */
static void a_second_loss_asks_again(void **state)
{
	send_and_lose(REQUEST_WRITE);
	told(0, DST_OK, 0);
	run_until(is_ready);
	order_count = 1;
	run_until(all_noted); /* the rest came again */
	executed.count = 0;
	told(1, DST_OK, 0); /* counted from the first that is still pending, the second of all */
	fake_close(&e.fake);
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(asked, SENT - 1);
	assert_int_equal(e.fake.said.pending.first, 2);
}

static unsigned breach;

static void lying_executed(struct fake *f)
{
	static const struct wire_executed_one lie_of[] = {
		{SENT, DST_OK, 0}, /* not asked for */
		{DST_LAG_FACTOR * DST_MAX_DEPTH - 1, DST_OK, 0},
		{UINT16_MAX, DST_OK, 0},
		{1, DST_OK, 4096}, /* a write has no length */
		{1, DST_EIO, 1},
		{1, DST_EBADMSG, 0}, /* these have not run */
		{1, DST_ESHUTDOWN, 0},
		{1, DST_EFALSE_RETRY, 0},
	};

	if (breach < sizeof(lie_of) / sizeof(*lie_of)) {
		executed.count = 0;
		told(0, DST_OK, 0); /* true, but in bad company */
		executed.one[executed.count++] = lie_of[breach];
	}
	tell_executed(f);
}

static void a_lie_in_executed_costs_the_connection_and_no_request(void **state)
{
	send_and_lose(REQUEST_WRITE);
	e.fake.hello = lying_executed;
	for (breach = 0; breach < 8; breach++) {
		e.losses = 0;
		run_until(lost_again);
		assert_int_equal(e.welcomes, 1);
		for (unsigned i = 0; i < SENT; i++)
			assert_int_equal(ios[i].done, 0);
	}
	executed.count = 0;
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(order_count, SENT);
}

static void a_lie_about_a_copy(void **state)
{
	send_and_lose(REQUEST_COPY);
	told(0, DST_OK, 0); /* it never copies nothing */
	e.losses = 0;
	run_until(lost_again);
	executed.count = 0;
	told(0, DST_OK, 4097); /* more than was asked for */
	e.losses = 0;
	run_until(lost_again);
	executed.count = 0;
	e.fake.request = note_and_echo;
	expect_all(0);
}

static void executed_unasked(void **state)
{
	send_and_lose(REQUEST_READ);
	told(0, DST_OK, 0);
	e.losses = 0;
	run_until(lost_again);
	assert_int_equal(e.welcomes, 1);
	executed.count = 0; /* an empty list says nothing false */
	e.fake.request = note_and_echo;
	expect_all(0);
}

static void without_executed_nothing_has_run(void **state)
{
	send_and_lose(REQUEST_WRITE);
	silent_hello = true;
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(order_count, SENT);
}

static struct io more;

static void submit_more(struct io *io)
{
	submit(&more, REQUEST_WRITE, 1 << 20, 4096);
}

/* What a completion submits goes behind what is sent again. */
static void a_completion_may_submit(void **state)
{
	send_and_lose(REQUEST_WRITE);
	ios[0].then = submit_more;
	told(0, DST_OK, 0);
	e.fake.request = note_and_echo;
	expect_all(0);
	assert_int_equal(more.done, 1);
	assert_int_equal(order[SENT - 1], SENT + 1);
}

static void a_false_retry_is_an_error(void **state)
{
	begin();
	e.fake.request = no_answer;
	submit_many(1, REQUEST_WRITE, 4096);
	run_for(5 * CLOCK_MS);
	fake_send_reply(
		&e.fake,
		(struct wire_header){.type = DST_WRITE, .id = 1, .status = DST_EFALSE_RETRY}, NULL,
		false);
	expect_all(EIO);
	assert_int_equal(e.losses, 0);
}

/* ---- holds ---- */

static struct ranges *ranges;
static struct range_hold *holds[SENT];

static void granted_later(void *arg)
{
}

static void hold_all(void)
{
	for (unsigned i = 0; i < SENT; i++) {
		bool granted;

		holds[i] = ranges_take(ranges, &e.worker, ios[i].request.range,
				       (struct range){0, 0}, granted_later, NULL, &granted);
		assert_true(granted);
		ios[i].request.hold = holds[i];
	}
}

/* As a volume does with them. */
static void put_back_all(void)
{
	for (unsigned i = 0; i < SENT; i++)
		range_hold_put(&holds[i]);
}

static int setup_ranges(void **state)
{
	int failed = setup(state);

	ranges = ranges_new(&e.worker, 1);
	assert_non_null(ranges);
	return failed;
}

static int teardown_ranges(void **state)
{
	lane_free(&e.lane);
	assert_int_equal(ranges_count(ranges), 0);
	ranges_free(&ranges);
	return teardown(state);
}

static void send_and_give_up(void)
{
	order_count = 0;
	e.fake.request = note_order;
	begin();
	submit_many(SENT, REQUEST_WRITE, 4096);
	hold_all();
	run_until(all_noted);
	cancel_all(EIO);
	put_back_all();
	assert_int_equal(ranges_count(ranges), SENT);
}

static void given_up_keeps_its_range_until_the_late_reply(void **state)
{
	send_and_give_up();
	for (uint64_t id = 1; id <= SENT; id++)
		reply(&e.fake, DST_WRITE, id, 0, 0);
	run_for(5 * CLOCK_MS);
	assert_int_equal(ranges_count(ranges), 0);
	assert_int_equal(counter_get(&lane_get_counters(e.lane)->late_replies), SENT);
	assert_int_equal(e.losses, 0);
}

static void given_up_keeps_its_range_until_hello_is_answered(void **state)
{
	send_and_give_up();
	e.fake.hello = no_hello;
	e.policy.timeout = 50 * CLOCK_MS;
	fake_close(&e.fake);
	run_until(lost_again);
	e.losses = 0;
	run_until(lost_again); /* HELLO was not answered */
	assert_int_equal(ranges_count(ranges), SENT);
	e.fake.hello = NULL;
	run_until(is_ready);
	assert_int_equal(ranges_count(ranges), 0);
}

static void a_refusal_frees_no_range(void **state)
{
	send_and_give_up();
	e.fake.hello = refuse_hello;
	fake_close(&e.fake);
	run_until(was_refused);
	assert_int_equal(ranges_count(ranges), SENT);
	e.fake.hello = NULL;
	run_until(is_ready);
	assert_int_equal(ranges_count(ranges), 0);
}

/* Given up while the node is away: it may have run all the same. */
static void given_up_while_away_keeps_its_range_too(void **state)
{
	order_count = 0;
	e.fake.request = note_order;
	begin();
	submit_many(SENT, REQUEST_WRITE, 4096);
	hold_all();
	run_until(all_noted);
	e.fake.hello = no_hello;
	fake_close(&e.fake);
	e.losses = 0;
	run_until(lost_again);
	cancel_all(EINTR);
	put_back_all();
	assert_int_equal(ranges_count(ranges), SENT);
	e.fake.hello = NULL;
	fake_close(&e.fake);
	run_until(is_ready);
	assert_int_equal(ranges_count(ranges), 0);
}

static void never_sent_gives_its_range_back_at_once(void **state)
{
	e.fake.hello = no_hello;
	lane_begin();
	submit_many(SENT, REQUEST_WRITE, 4096);
	hold_all();
	run_for(CLOCK_MS);
	cancel_all(EINTR);
	put_back_all();
	assert_int_equal(ranges_count(ranges), 0);
}

static void the_end_gives_all_ranges_back(void **state)
{
	send_and_give_up(); /* teardown looks */
}

/* ---- what was given up doesn't use up the lane ---- */

static void pings_and_new_connections_only(struct fake *f, const struct wire_header *header,
					   const uint8_t *payload)
{
	if (header->type == DST_PING || f->connections > 1)
		fake_echo(f, header, payload);
}

static void orphans_do_not_choke_the_lane(void **state)
{
	e.fake.depth = SENT;
	e.policy.timeout = 100 * CLOCK_MS; /* ticks come sooner */
	e.fake.request = pings_and_new_connections_only;
	begin();
	submit_many(SENT, REQUEST_WRITE, 4096);
	run_for(5 * CLOCK_MS);
	cancel_all(EINTR);
	submit_many(SENT, REQUEST_WRITE, 4096);
	expect_all(0);
	assert_int_equal(e.losses, 1);
}

#define TEST_RANGES(f) cmocka_unit_test_setup_teardown(f, setup_ranges, teardown_ranges)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asks_about_what_changes_content),
		TEST(asks_about_nothing_else),
		TEST(what_has_run_completes_and_the_rest_is_sent_again),
		TEST(all_of_it_has_run),
		TEST(a_copy_tells_its_length),
		TEST(a_second_loss_asks_again),
		TEST(a_lie_in_executed_costs_the_connection_and_no_request),
		TEST(a_lie_about_a_copy),
		TEST(executed_unasked),
		TEST(without_executed_nothing_has_run),
		TEST(a_completion_may_submit),
		TEST(a_false_retry_is_an_error),
		TEST_RANGES(given_up_keeps_its_range_until_the_late_reply),
		TEST_RANGES(given_up_keeps_its_range_until_hello_is_answered),
		TEST_RANGES(a_refusal_frees_no_range),
		TEST_RANGES(given_up_while_away_keeps_its_range_too),
		TEST_RANGES(never_sent_gives_its_range_back_at_once),
		TEST_RANGES(the_end_gives_all_ranges_back),
		TEST(orphans_do_not_choke_the_lane),
	};

	log_init("test_lane_executed", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
