/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_lane_lies.c - a lane against a server that breaks off, lies or damages what it sends. */
#include "dstfs/lane.h"

#include "test/unit/lane_fixture.h"

/* ---- lies about requests: each costs the connection, none costs a request ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	log_init("test_lane_lies", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
