/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_lane.c - a lane against a server that breaks, lies, hangs or goes away. */
#include "dstfs/lane.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/fake_server.h"

#define PATIENCE (10 * CLOCK_SEC) /* of a test */
#define MANY 200u

/* ---- the lane, its node, its loop ---- */

struct env {
	struct worker worker;
	struct fake fake;
	struct uri uri;
	struct target_policy policy;
	uint8_t session[DST_ID_SIZE];
	struct lane *lane;
	unsigned welcomes, losses, notices;
	bool refused;
	char reason[DST_MAX_REASON + 1];

	struct loop_timer poll;
	bool (*until)(struct env *env);
	uint64_t deadline;
};

static struct env e; /* of the test that runs */

struct io {
	struct request request;
	struct buf *buf; /* WRITE: held until it is done, like its owner must */
	unsigned done;
	int error;
	uint8_t first_byte; /* READ: what was delivered */
	void (*then)(struct io *io);
};

static int on_welcome(void *arg, const char *address, const struct wire_attrs *attrs, char *reason,
		      size_t size)
{
	assert_int_equal(attrs->size, e.fake.size);
	e.welcomes++;
	return 0;
}

static void on_notice(void *arg, const struct wire_attrs *attrs)
{
	e.notices++;
}

static void on_lost(void *arg, bool was_ready, bool refused, const char *reason)
{
	e.losses++;
	e.refused = refused;
	snprintf(e.reason, sizeof(e.reason), "%s", reason);
}

static const struct lane_events events = {on_welcome, on_notice, on_lost};

static void on_poll(void *arg)
{
	if (e.until(&e))
		loop_stop(e.worker.loop);
	else if (clock_now() > e.deadline)
		fail_msg("waited in vain; the lane is %s, %s",
			 lane_state_name(lane_get_state(e.lane)), e.reason);
	else
		loop_timer_set(&e.poll, CLOCK_MS);
}

static void run_until(bool (*until)(struct env *env))
{
	e.until = until;
	e.deadline = clock_now() + PATIENCE;
	loop_timer_set(&e.poll, 0);
	loop_run(e.worker.loop);
}

static uint64_t run_end;

static bool time_is_up(struct env *env)
{
	return clock_now() >= run_end;
}

static void run_for(uint64_t time)
{
	run_end = clock_now() + time;
	run_until(time_is_up);
}

static bool is_ready(struct env *env)
{
	return lane_get_state(env->lane) == LANE_READY;
}

static int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	assert_int_equal(worker_init(&e.worker, 0), 0);
	fake_start(&e.fake, e.worker.loop);
	e.uri.kind = URI_UNIX;
	strcpy(e.uri.export_name, "export");
	snprintf(e.uri.path, sizeof(e.uri.path), "%s", e.fake.path);
	e.policy.timeout = 5 * CLOCK_SEC;
	e.policy.resends = 1000;
	e.policy.reconnect = CLOCK_MS;
	e.policy.ping = 5 * CLOCK_SEC;
	e.policy.checksum = true;
	assert_int_equal(loop_timer_init(&e.poll, e.worker.loop, on_poll, NULL), 0);
	return 0;
}

static void lane_begin(void)
{
	const struct lane_config config = {.uri = &e.uri,
					   .policy = &e.policy,
					   .session = e.session,
					   .lanes = 1,
					   .client = "test",
					   .events = &events};

	e.lane = lane_new(&e.worker, &config);
	assert_non_null(e.lane);
	lane_start(e.lane);
}

static int teardown(void **state)
{
	unsigned buffers;

	lane_free(&e.lane);
	fake_stop(&e.fake);
	loop_timer_destroy(&e.poll);
	buffers = buf_pool_in_use(e.worker.bufs);
	if (!buffers)
		worker_destroy(&e.worker);
	return buffers ? -1 : 0;
}

/* ---- requests ---- */

static void on_done(struct request *request, int error)
{
	struct io *io = (struct io *)request; /* request is the first member */

	io->done++;
	io->error = error;
	buf_unref(&io->buf);
	if (!error && request->type == REQUEST_READ) {
		io->first_byte = request->data[0];
		for (uint64_t i = 0; i < request->range.length; i++)
			if (request->data[i] != fake_byte(request->range.offset + i))
				fail_msg("byte %llu is wrong", (unsigned long long)i);
	}
	if (io->then)
		io->then(io);
}

static void submit(struct io *io, enum request_type type, uint64_t offset, uint64_t length)
{
	*io = (struct io){.request = {.type = type,
				      .range = {offset, length},
				      .worker = &e.worker,
				      .done = on_done},
			  .then = io->then};
	if (type == REQUEST_WRITE) {
		io->buf = buf_get(e.worker.bufs);
		assert_non_null(io->buf);
		memset(io->buf->data, (int)offset, length);
		io->request.buf = io->buf;
		io->request.data = io->buf->data;
	}
	lane_submit(e.lane, &io->request);
}

static struct io ios[MANY];
static unsigned io_count;

static bool all_done(struct env *env)
{
	for (unsigned i = 0; i < io_count; i++)
		if (!ios[i].done)
			return false;
	return true;
}

static void submit_many(unsigned count, enum request_type type, uint64_t length)
{
	memset(ios, 0, sizeof(ios));
	io_count = count;
	for (unsigned i = 0; i < count; i++)
		submit(&ios[i], type, i * length, length);
}

static void expect_all(int error)
{
	run_until(all_done);
	run_for(5 * CLOCK_MS); /* what could complete once more has the time to */
	for (unsigned i = 0; i < io_count; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].error, error);
	}
}

static void begin(void)
{
	lane_begin();
	run_until(is_ready);
}

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

/* ---- lies about requests: each costs the connection, none costs a request ---- */

static unsigned lies; /* that are still to be told */
static void (*lie)(struct fake *f, const struct wire_header *header);

static void lie_first(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	if (lies) {
		lies--;
		lie(f, header);
	} else {
		fake_echo(f, header, payload);
	}
}

static uint8_t junk[DST_MAX_PAYLOAD];

static void reply(struct fake *f, uint8_t type, uint64_t id, uint32_t length, uint32_t payload)
{
	struct wire_header header = {
		.type = type, .id = id, .range.length = length, .payload = payload};

	fake_send_reply(f, header, junk, false);
}

static void wrong_id(struct fake *f, const struct wire_header *h)
{
	reply(f, h->type, h->id + 1000, 0, (uint32_t)h->range.length);
}

static void id_of_no_transaction(struct fake *f, const struct wire_header *h)
{
	reply(f, h->type, UINT64_MAX, 0, (uint32_t)h->range.length);
}

static void wrong_type(struct fake *f, const struct wire_header *h)
{
	reply(f, DST_FLUSH, h->id, 0, 0);
}

static void short_data(struct fake *f, const struct wire_header *h)
{
	reply(f, h->type, h->id, 0, (uint32_t)h->range.length - 1);
}

static void long_data(struct fake *f, const struct wire_header *h)
{
	reply(f, h->type, h->id, 0, (uint32_t)h->range.length + 1);
}

static void longest_data(struct fake *f, const struct wire_header *h)
{
	reply(f, h->type, h->id, 0, DST_MAX_PAYLOAD);
}

static void twice(struct fake *f, const struct wire_header *h)
{
	fake_echo(f, h, NULL);
	f->unanswered++;
	fake_echo(f, h, NULL);
}

static void garbage(struct fake *f, const struct wire_header *h)
{
	fake_send(f, junk, 1000);
}

static void ping_reply_unasked(struct fake *f, const struct wire_header *h)
{
	reply(f, DST_PING, 1, 0, 0);
}

static void close_reply_unasked(struct fake *f, const struct wire_header *h)
{
	reply(f, DST_CLOSE, 1, 0, 0);
}

static void hello_again(struct fake *f, const struct wire_header *h)
{
	fake_welcome(f);
}

static void request_instead(struct fake *f, const struct wire_header *h)
{
	struct wire_header header = {.type = DST_READ, .id = 1, .status = 1, .range.length = 1};
	uint8_t encoded[DST_HEADER_SIZE];

	wire_encode(encoded, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
	fake_send(f, encoded, sizeof(encoded));
}

static void damaged_notice(struct fake *f, const struct wire_header *h)
{
	struct wire_header header = {.type = DST_NOTICE, .payload = 12};

	fake_send_reply(f, header, junk, true);
}

static void malformed_notice(struct fake *f, const struct wire_header *h)
{
	struct wire_header header = {.type = DST_NOTICE, .payload = 12};

	memset(junk, 0xff, 12);
	fake_send_reply(f, header, junk, false);
	memset(junk, 0, 12);
}

static void shutting_down(struct fake *f, const struct wire_header *h)
{
	struct wire_header header = {.type = h->type, .id = h->id, .status = DST_ESHUTDOWN};

	fake_send_reply(f, header, NULL, false);
}

static void hang_up(struct fake *f, const struct wire_header *h)
{
	fake_close(f);
}

static void a_lie_costs_the_connection_and_no_request(void **state)
{
	static void (*const all[])(struct fake *, const struct wire_header *) = {
		wrong_id,           id_of_no_transaction, wrong_type,    short_data,
		long_data,          longest_data,         twice,         garbage,
		ping_reply_unasked, close_reply_unasked,  hello_again,   request_instead,
		damaged_notice,     malformed_notice,     shutting_down, hang_up,
	};

	e.fake.request = lie_first;
	begin();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned losses = e.losses;

		run_until(is_ready);
		lie = all[i];
		lies = 1;
		submit_many(20, REQUEST_READ, 4096);
		expect_all(0);
		if (e.losses != losses + 1)
			fail_msg("lie %zu cost %u connections", i, e.losses - losses);
	}
}

static void too_many_extents(struct fake *f, const struct wire_header *h)
{
	struct wire_extent extent = {.length = h->range.length, .kind = DST_EXTENT_DATA};

	wire_extent_encode(junk, &extent);
	wire_extent_encode(junk + DST_EXTENT_SIZE, &extent);
	reply(f, h->type, h->id, (uint32_t)h->range.length, 2 * DST_EXTENT_SIZE);
}

static void other_sum(struct fake *f, const struct wire_header *h)
{
	struct wire_extent extent = {.length = h->range.length - 1, .kind = DST_EXTENT_DATA};

	wire_extent_encode(junk, &extent);
	reply(f, h->type, h->id, (uint32_t)h->range.length, DST_EXTENT_SIZE);
}

static void empty_extent(struct fake *f, const struct wire_header *h)
{
	memset(junk, 0, DST_EXTENT_SIZE);
	reply(f, h->type, h->id, 1, DST_EXTENT_SIZE);
}

static void lies_about_extents_and_copies(void **state)
{
	static void (*const all[])(struct fake *, const struct wire_header *) = {
		too_many_extents, other_sum, empty_extent};

	e.fake.request = lie_first;
	begin();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		run_until(is_ready);
		lie = all[i];
		lies = 1;
		submit_many(3, REQUEST_EXTENTS, 4096);
		expect_all(0);
		assert_int_equal(e.losses, i + 1);
	}
	run_until(is_ready);
	memset(junk, 0, 64);
	lie = long_data; /* more extents than fit the request's type */
	lies = 1;
	submit_many(1, REQUEST_HASH, 4096);
	expect_all(0);
}

/* It closes behind each byte of its answers in turn. */
static void closing_at_any_byte_loses_nothing(void **state)
{
	uint8_t payload[DST_MAX_HELLO];
	struct wire_attrs attrs;
	size_t hello;

	attrs = fake_attrs(&e.fake);
	hello = DST_HEADER_SIZE + wire_attrs_encode(payload, &attrs);
	e.policy.reconnect = CLOCK_MS / 10;
	begin();
	for (size_t at = 0; at < hello + 3 * (DST_HEADER_SIZE + 16); at++) {
		fake_close(&e.fake);
		e.fake.cut_after = at;
		submit_many(3, REQUEST_READ, 16);
		expect_all(0);
		e.fake.cut_after = SIZE_MAX;
	}
}

static void damage(struct fake *f, const struct wire_header *h)
{
	struct wire_header header = {
		.type = h->type, .id = h->id, .payload = (uint32_t)h->range.length};

	fake_send_reply(f, header, junk, true);
}

static void damaged_data_is_asked_for_again(void **state)
{
	e.fake.request = lie_first;
	begin();
	lie = damage;
	lies = 7;
	submit_many(1, REQUEST_READ, 100);
	expect_all(0);
	assert_int_equal(e.losses, 0);
	assert_int_equal(counter_get(&lane_get_counters(e.lane)->bad_digests), 7);
}

static void data_that_stays_damaged_is_an_error(void **state)
{
	e.fake.request = lie_first;
	begin();
	lie = damage;
	lies = UINT32_MAX;
	submit_many(40, REQUEST_READ, 40000);
	expect_all(EIO);
	assert_int_equal(e.losses, 0);
	lies = 0;
	submit_many(2, REQUEST_READ, 100);
	expect_all(0);
}

/* Only damage counts as damage: many reconnections before it don't make it the last straw. */
static void reconnections_are_no_damage(void **state)
{
	e.fake.request = lie_first;
	begin();
	lie = hang_up;
	lies = 12;
	submit_many(1, REQUEST_READ, 100);
	run_for(CLOCK_MS);
	while (lies)
		run_for(CLOCK_MS);
	lie = damage;
	lies = 1;
	expect_all(0);
}

static void early(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	fake_echo(f, header, payload);
}

/* The request is still being sent when the answer to it comes. */
static void a_reply_to_what_was_not_sent_whole(void **state)
{
	begin();
	e.fake.deaf = true;
	fake_flush(&e.fake);
	submit_many(10, REQUEST_WRITE, DST_MAX_PAYLOAD); /* more than a socket holds */
	run_for(5 * CLOCK_MS);
	reply(&e.fake, DST_WRITE, 10, 0, 0);
	e.fake.deaf = false;
	e.fake.request = early;
	expect_all(0);
	assert_int_equal(e.losses, 1);
}

/* ---- lies in HELLO ---- */

static unsigned hello_lie;

static void lying_hello(struct fake *f)
{
	struct wire_attrs attrs = fake_attrs(f);
	uint16_t status = DST_OK;

	switch (hello_lie) {
	case 0:
		attrs.has = 0;
		break;
	case 1:
		attrs.permissions = DST_PERM_WRITE;
		break;
	case 2:
		attrs.checksum = DST_CHECKSUM_NONE;
		break;
	case 3:
		attrs.checksum = 77;
		break;
	case 4:
		attrs.depth = 0;
		break;
	case 5:
		attrs.size = UINT64_MAX;
		break;
	case 6:
		attrs.max_payload = 4096;
		break;
	case 7:
		status = DST_EUNKNOWN_EXPORT;
		attrs = (struct wire_attrs){.has = 0};
		break;
	case 8:
		reply(f, DST_READ, 1, 0, 1);
		return;
	case 9:
		fake_send(f, junk, sizeof(junk));
		return;
	case 10:
		fake_close(f);
		return;
	default:
		attrs.has &= ~(1u << DST_ATTR_SIZE);
	}
	fake_send_hello(f, status, &attrs);
}

static bool lost_again(struct env *env)
{
	return env->losses > 0;
}

static void a_lying_hello_is_not_believed(void **state)
{
	e.fake.hello = lying_hello;
	lane_begin();
	submit_many(1, REQUEST_READ, 4096);
	for (hello_lie = 0; hello_lie < 12; hello_lie++) {
		e.losses = 0;
		run_until(lost_again);
		assert_int_equal(e.welcomes, 0);
		if (hello_lie == 7)
			assert_true(e.refused);
	}
	e.fake.hello = NULL;
	expect_all(0);
	assert_int_equal(e.welcomes, 1);
}

static void no_hello(struct fake *f)
{
}

static void a_server_that_does_not_answer_hello_is_left(void **state)
{
	e.policy.timeout = 50 * CLOCK_MS;
	e.policy.resends = TARGET_FOREVER;
	e.fake.hello = no_hello;
	lane_begin();
	submit_many(1, REQUEST_READ, 4096);
	run_until(lost_again);
	assert_string_equal(e.reason, "no answer to HELLO in time");
	e.fake.hello = NULL;
	expect_all(0);
}

static void a_server_that_hangs_up_is_called_ever_more_rarely(void **state)
{
	e.policy.reconnect = 20 * CLOCK_MS;
	e.fake.request = lie_first;
	lie = hang_up;
	lies = UINT32_MAX;
	lane_begin();
	submit_many(1, REQUEST_READ, 4096);
	run_for(500 * CLOCK_MS);
	assert_in_range(e.fake.connections, 3, 12);
	lies = 0;
	expect_all(0);
}

/* ---- silence ---- */

static void no_answer(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
}

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
	submit_many(100, REQUEST_WRITE, 4096); /* of which 64 are sent */
	expect_all(EIO);
	assert_int_equal(e.losses, 0);
	for (uint64_t id = 1; id <= 64; id++)
		reply(&e.fake, DST_WRITE, id, 0, 0);
	e.fake.request = NULL;
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

/* ---- order, depth and lag; fake_server.h asserts the bounds in every test ---- */

static uint64_t order[4 * MANY];
static unsigned order_count;

static void note_order(struct fake *f, const struct wire_header *header, const uint8_t *payload)
{
	if (order_count < 4 * MANY)
		order[order_count++] = header->id;
}

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

/* ---- cancellation: once, at once, wherever the request is ---- */

static void cancel_all(int error)
{
	for (unsigned i = 0; i < io_count; i++) {
		assert_int_equal(ios[i].done, 0);
		lane_cancel(e.lane, &ios[i].request, error);
		assert_int_equal(ios[i].done, 1);
	}
}

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_type_completes_once),
		TEST(without_checksums_too),
		TEST(what_is_submitted_before_the_connection_waits_for_it),
		TEST(a_lie_costs_the_connection_and_no_request),
		TEST(lies_about_extents_and_copies),
		TEST(closing_at_any_byte_loses_nothing),
		TEST(damaged_data_is_asked_for_again),
		TEST(data_that_stays_damaged_is_an_error),
		TEST(reconnections_are_no_damage),
		TEST(a_reply_to_what_was_not_sent_whole),
		TEST(a_lying_hello_is_not_believed),
		TEST(a_server_that_does_not_answer_hello_is_left),
		TEST(a_server_that_hangs_up_is_called_ever_more_rarely),
		TEST(a_silent_server_is_given_up),
		TEST(an_idle_connection_is_asked_and_kept),
		TEST(requests_expire_while_pings_are_answered),
		TEST(patience_does_not_overflow),
		TEST(what_is_sent_again_goes_first_and_in_order),
		TEST(a_request_that_takes_long_holds_new_ones_back),
		TEST(a_smaller_depth_after_a_reconnection_is_kept_to),
		TEST(cancelled_in_the_queue_in_flight_or_waiting),
		TEST(cancelled_while_the_node_is_away),
		TEST(cancelled_while_half_sent),
		TEST(freed_with_replies_outstanding),
		TEST(counters_go_on_over_reconnections),
	};

	log_init("test_lane", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
