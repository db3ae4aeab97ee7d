/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.c - HELLO, and messages that are broken. */
#include "test/tools/rawclient/client.h"

#include <string.h>

/* ---- HELLO ---- */

static void hello_tells_about_the_export(void)
{
	struct connection c;

	join_rw(&c);
	CHECK(c.hello.size == SIZE);
	CHECK(c.hello.permissions == (DST_PERM_READ | DST_PERM_WRITE));
	CHECK(c.hello.checksum == DST_CHECKSUM_XXH3);
	CHECK(c.hello.max_payload == DST_MAX_PAYLOAD && c.hello.max_range == DST_MAX_RANGE);
	CHECK(c.hello.depth == 256 && c.hello.block_min > 0);
	CHECK(wire_has(&c.hello, DST_ATTR_SERVER_ID) && wire_has(&c.hello, DST_ATTR_EXPORT_UUID) &&
	      wire_has(&c.hello, DST_ATTR_INSTANCE));
	hang_up(&c);
}

static void expect_refusal(const struct wire_attrs *attrs, int status, const char *reason)
{
	struct connection c;
	int got = say_hello(&c, attrs);

	if (got != status || !strstr(c.hello.reason, reason))
		complain("HELLO: %d \"%s\" instead of %d \"%s\"", got, c.hello.reason, status,
			 reason);
	expect_end(&c);
}

static void hello_is_refused_with_a_reason(void)
{
	struct wire_attrs attrs = hello_attrs("nosuch", DST_PERM_READ);

	expect_refusal(&attrs, DST_EUNKNOWN_EXPORT, "no export is named \"nosuch\"");
	attrs = hello_attrs("denied", DST_PERM_READ);
	expect_refusal(&attrs, DST_EDENIED, "do not admit 127.0.0.1");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.checksum = 1u << 7;
	expect_refusal(&attrs, DST_EPROTO, "checksum");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.has &= ~(1u << DST_ATTR_LANE);
	expect_refusal(&attrs, DST_EPROTO, "lane");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.has &= ~(1u << DST_ATTR_SESSION);
	expect_refusal(&attrs, DST_EPROTO, "session");
}

static void hello_with_an_unknown_mandatory_attribute_is_refused(void)
{
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	uint32_t size = wire_attrs_encode(bytes, &attrs);
	struct connection c;

	memcpy(bytes + size, (uint8_t[]){0xe8, 0x83, 0, 0}, 4); /* 1000, mandatory, empty */
	dial(&c);
	send_hello_bytes(&c, bytes, size + 4);
	CHECK(receive_hello(&c) == DST_EPROTO && strstr(c.hello.reason, "1000"));
	expect_end(&c);
}

static void hello_with_an_unknown_optional_attribute_is_taken(void)
{
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	uint32_t size = wire_attrs_encode(bytes, &attrs);
	struct connection c;

	memcpy(bytes + size, (uint8_t[]){0xe8, 0x03, 0, 0}, 4);
	dial(&c);
	send_hello_bytes(&c, bytes, size + 4);
	CHECK(receive_hello(&c) == DST_OK);
	hang_up(&c);
}

static void another_version_is_told_ours(void)
{
	uint8_t header[DST_HEADER_SIZE] = {'D', 'S', 'T', DST_VERSION + 1, DST_HELLO};
	struct connection c;

	dial(&c);
	put(&c, header, sizeof(header));
	CHECK(receive_hello(&c) == DST_EVERSION && strstr(c.hello.reason, "version 1"));
	expect_end(&c);
}

static void hello_twice_ends_the_connection(void)
{
	struct connection c;
	struct wire_attrs attrs;

	join_rw(&c);
	attrs = hello_attrs("rw", DST_PERM_READ);
	send_hello(&c, &attrs);
	expect_end(&c);
}

static void hello_with_a_wrong_digest_ends_the_connection(void)
{
	struct wire_header header = {.type = DST_HELLO, .id = 1, .status = 1, .digest = 1};
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	struct connection c;

	header.payload = wire_attrs_encode(bytes, &attrs);
	dial(&c);
	put_message(&c, &header, bytes);
	expect_end(&c);
}

static void a_request_before_hello_ends_the_connection(void)
{
	struct connection c;

	dial(&c);
	ask(&c, request(DST_READ, 0, 512), NULL, 0);
	expect_end(&c);
}

static void an_oversized_hello_ends_the_connection(void)
{
	struct wire_header header = {
		.type = DST_HELLO, .id = 1, .status = 1, .payload = DST_MAX_HELLO + 4};
	static uint8_t bytes[DST_MAX_HELLO + 4];
	struct connection c;

	dial(&c);
	header.digest = wire_digest(DST_CHECKSUM_XXH3, bytes, sizeof(bytes));
	put_message(&c, &header, bytes);
	expect_end(&c);
}

static void a_session_belongs_to_one_export(void)
{
	struct connection c;
	struct wire_attrs attrs;

	join_rw(&c);
	attrs = hello_attrs("big", DST_PERM_READ);
	expect_refusal(&attrs, DST_EINVAL, "another export");
	hang_up(&c);
}

static void digests_can_be_off(void)
{
	struct connection c;
	struct wire_attrs attrs;
	uint8_t data[4096];

	session[0]++;
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.checksum = 1u << DST_CHECKSUM_NONE;
	CHECK(insist(&c, &attrs) == DST_OK && c.hello.checksum == DST_CHECKSUM_NONE);
	c.checksum = DST_CHECKSUM_NONE;
	fill(data, sizeof(data), 3);
	CHECK(call(&c, request(DST_WRITE, 8192, sizeof(data)), data, sizeof(data)) == DST_OK);
	CHECK(answer.header.digest == 0);
	expect_read(&c, 8192, data, sizeof(data));
	hang_up(&c);
}

/* ---- broken messages ---- */

static void a_wrong_header_check_ends_the_connection(void)
{
	struct wire_header header = request(DST_READ, 0, 512);
	uint8_t encoded[DST_HEADER_SIZE];
	struct connection c;

	join_rw(&c);
	header.id = header.status = 1;
	wire_encode(encoded, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
	encoded[17] ^= 1; /* the offset */
	put(&c, encoded, sizeof(encoded));
	expect_end(&c);
}

static void headers_against_the_rules_end_the_connection(void)
{
	static const struct wire_header headers[] = {
		{.type = DST_READ, .id = 1, .status = 1, .range = {0, DST_MAX_PAYLOAD + 1}},
		{.type = DST_READ, .id = 1, .status = 1, .range = {0, 0}},
		{.type = DST_READ, .id = 1, .status = 1, .range = {UINT64_MAX - 10, 512}},
		{.type = DST_READ, .id = 0, .status = 1, .range = {0, 512}},
		{.type = DST_READ, .id = 1, .status = 1, .flags = DST_F_REPLY, .range = {0, 512}},
		{.type = DST_READ, .id = 1, .status = 1, .flags = DST_F_FUA, .range = {0, 512}},
		{.type = DST_HASH, .id = 1, .status = 1, .range = {0, 512}},
		{.type = DST_FLUSH, .id = 1, .status = 1, .range = {0, 512}},
		{.type = DST_NOTICE, .id = 1, .status = 1},
		{.type = DST_WRITE, .id = 1, .status = 1, .range = {0, 512}, .payload = 513},
		{.type = DST_WRITE,
		 .id = 1,
		 .status = 1,
		 .range = {0, DST_MAX_PAYLOAD + 1},
		 .payload = DST_MAX_PAYLOAD + 1},
	};
	static uint8_t zeros[DST_MAX_PAYLOAD + 1];

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct connection c;
		unsigned before = failures;

		join_rw(&c);
		put_message(&c, &headers[i], zeros);
		expect_end(&c);
		if (failures != before)
			complain("that was header %zu", i);
	}
}

static void a_lag_that_is_too_large_or_goes_back_ends_the_connection(void)
{
	struct wire_header header = request(DST_READ, 0, 512);
	struct connection c;

	join_rw(&c);
	header.id = 5000;
	header.status = 4097;
	put_message(&c, &header, NULL);
	expect_end(&c);

	join_rw(&c);
	header.id = 10;
	header.status = 1;
	put_message(&c, &header, NULL);
	CHECK(receive(&c) && answer.header.status == DST_OK);
	header.id = 9; /* done with, it said */
	put_message(&c, &header, NULL);
	expect_end(&c);
}

static void an_unknown_type_is_answered_and_skipped(void)
{
	static uint8_t payload[100000];
	struct connection c;

	join_rw(&c);
	CHECK(call(&c, request(77, 0, 0), NULL, 0) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(200, 0, 0), payload, 40) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(78, 1, 2), payload, sizeof(payload)) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&c);
}

static void a_wrong_digest_is_answered_and_nothing_is_written(void)
{
	static uint8_t data[65536];
	uint32_t sizes[] = {4096, sizeof(data)}; /* a staged one, a direct one */
	struct connection c;

	join_rw(&c);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_header header = request(DST_WRITE, 131072, sizes[i]);

		memset(data, 0x11, sizeof(data));
		CHECK(call(&c, header, data, sizes[i]) == DST_OK);
		memset(data, 0x22, sizeof(data));
		header.id = ++c.id;
		header.status = (uint16_t)(c.id - c.done);
		header.payload = sizes[i];
		header.digest = wire_digest(DST_CHECKSUM_XXH3, data, sizes[i]);
		data[sizes[i] / 2] ^= 4;
		put_message(&c, &header, data);
		CHECK(receive(&c) && answer.header.status == DST_EBADMSG);
		CHECK(answer.header.id == c.id && answer.header.payload == 0);
		memset(data, 0x11, sizeof(data));
		expect_read(&c, 131072, data, sizes[i]);
	}
	hang_up(&c);
}

const struct scenario hello_scenarios[] = {
	SCENARIO(hello_tells_about_the_export),
	SCENARIO(hello_is_refused_with_a_reason),
	SCENARIO(hello_with_an_unknown_mandatory_attribute_is_refused),
	SCENARIO(hello_with_an_unknown_optional_attribute_is_taken),
	SCENARIO(another_version_is_told_ours),
	SCENARIO(hello_twice_ends_the_connection),
	SCENARIO(hello_with_a_wrong_digest_ends_the_connection),
	SCENARIO(a_request_before_hello_ends_the_connection),
	SCENARIO(an_oversized_hello_ends_the_connection),
	SCENARIO(a_session_belongs_to_one_export),
	SCENARIO(digests_can_be_off),
	SCENARIO(a_wrong_header_check_ends_the_connection),
	SCENARIO(headers_against_the_rules_end_the_connection),
	SCENARIO(a_lag_that_is_too_large_or_goes_back_ends_the_connection),
	SCENARIO(an_unknown_type_is_answered_and_skipped),
	SCENARIO(a_wrong_digest_is_answered_and_nothing_is_written),
	{0},
};
