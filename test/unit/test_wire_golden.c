/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_wire_golden.c - one message of each type as the bytes that proto.h asks for, so that the
 * format can't drift unseen. The digests were made by another implementation of XXH3.
 */
#include "common/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* bytes: magic, type, flags, status, id; offset, length, payload, digest, check. */
static const struct golden {
	enum wire_direction direction;
	struct wire_header header;
	const char *bytes;
} goldens[] = {
	{WIRE_REQUEST,
	 {DST_HELLO, 0, 1, 0x1, {0x0, 0x0}, 4, 0x988b7b9033ac4622},
	 "44535401 01 00 0100 0100000000000000"
	 "0000000000000000 00000000 04000000 2246ac33907b8b98 5888b38cd909f2be"},
	{WIRE_REQUEST,
	 {DST_READ, 0, 515, 0x1122334455667788, {0xa1a2a3a4a5a6a7a8, 0x100000}, 0, 0x0},
	 "44535401 02 00 0302 8877665544332211"
	 "a8a7a6a5a4a3a2a1 00001000 00000000 0000000000000000 3b1a6d4e80b966ef"},
	{WIRE_REQUEST,
	 {DST_WRITE, DST_F_FUA, 1, 0x2, {0x1000, 0x5}, 5, 0x9555e8555c62dcfd},
	 "44535401 03 02 0100 0200000000000000"
	 "0010000000000000 05000000 05000000 fddc625c55e85595 daafb29a9c7595cf"},
	{WIRE_REQUEST,
	 {DST_FLUSH, 0, 65535, 0x10000, {0x0, 0x0}, 0, 0x0},
	 "44535401 04 00 ffff 0000010000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 85176640cb58667b"},
	{WIRE_REQUEST,
	 {DST_DISCARD, DST_F_FUA, 4, 0x4, {0x2000, 0x40000000}, 0, 0x0},
	 "44535401 05 02 0400 0400000000000000"
	 "0020000000000000 00000040 00000000 0000000000000000 d48d2c1fee1bc2b8"},
	{WIRE_REQUEST,
	 {DST_WRITE_ZEROES, DST_F_FUA | DST_F_NO_HOLE, 5, 0x5, {0x3000, 0x1000}, 0, 0x0},
	 "44535401 06 06 0500 0500000000000000"
	 "0030000000000000 00100000 00000000 0000000000000000 85f58ef4fd54dc4b"},
	{WIRE_REQUEST,
	 {DST_EXTENTS, 0, 6, 0x6, {0x4000, 0x1}, 0, 0x0},
	 "44535401 07 00 0600 0600000000000000"
	 "0040000000000000 01000000 00000000 0000000000000000 8af8deb4367024f7"},
	{WIRE_REQUEST,
	 {DST_COPY, 0, 7, 0x7, {0x5000, 0x1000}, 8, 0xebaafe9007098504},
	 "44535401 08 00 0700 0700000000000000"
	 "0050000000000000 00100000 08000000 0485090790feaaeb 804b76a2cb965632"},
	{WIRE_REQUEST,
	 {DST_HASH, 0, 8, 0x8, {0x7000, 0x1000}, 8, 0x434a94b4bd0c9c65},
	 "44535401 09 00 0800 0800000000000000"
	 "0070000000000000 00100000 08000000 659c0cbdb4944a43 fcb39d42ae999380"},
	{WIRE_REQUEST,
	 {DST_PING, 0, 1, 0x1, {0x0, 0x0}, 0, 0x0},
	 "44535401 0a 00 0100 0100000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 a0f7a81752a94da4"},
	{WIRE_REQUEST,
	 {DST_CLOSE, 0, 1, 0x1, {0x0, 0x0}, 0, 0x0},
	 "44535401 0c 00 0100 0100000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 97e86c865acf4dd1"},
	{WIRE_REPLY,
	 {DST_HELLO, DST_F_REPLY, 257, 0x1, {0x0, 0x0}, 4, 0x988b7b9033ac4622},
	 "44535401 01 01 0101 0100000000000000"
	 "0000000000000000 00000000 04000000 2246ac33907b8b98 326a11716225d105"},
	{WIRE_REPLY,
	 {DST_READ, DST_F_REPLY, 0, 0x1122334455667788, {0x0, 0x0}, 5, 0x9555e8555c62dcfd},
	 "44535401 02 01 0000 8877665544332211"
	 "0000000000000000 00000000 05000000 fddc625c55e85595 1a8431a70ae7ff2f"},
	{WIRE_REPLY,
	 {DST_WRITE, DST_F_REPLY, 28, 0x2, {0x0, 0x0}, 0, 0x0},
	 "44535401 03 01 1c00 0200000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 999bee97fd474f73"},
	{WIRE_REPLY,
	 {DST_FLUSH, DST_F_REPLY, 5, 0x3, {0x0, 0x0}, 0, 0x0},
	 "44535401 04 01 0500 0300000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 dd3290bdce8feeb8"},
	{WIRE_REPLY,
	 {DST_DISCARD, DST_F_REPLY, 95, 0x4, {0x0, 0x0}, 0, 0x0},
	 "44535401 05 01 5f00 0400000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 b61226c4f8fd4666"},
	{WIRE_REPLY,
	 {DST_WRITE_ZEROES, DST_F_REPLY, 0, 0x5, {0x0, 0x0}, 0, 0x0},
	 "44535401 06 01 0000 0500000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 71ebf370c31a757d"},
	{WIRE_REPLY,
	 {DST_EXTENTS, DST_F_REPLY, 0, 0x6, {0x0, 0x1000}, 16, 0xa630f9b523ea9258},
	 "44535401 07 01 0000 0600000000000000"
	 "0000000000000000 00100000 10000000 5892ea23b5f930a6 c05fc6502e533393"},
	{WIRE_REPLY,
	 {DST_COPY, DST_F_REPLY, 0, 0x7, {0x0, 0x1000}, 0, 0x0},
	 "44535401 08 01 0000 0700000000000000"
	 "0000000000000000 00100000 00000000 0000000000000000 2aafe7976ba7dd89"},
	{WIRE_REPLY,
	 {DST_HASH, DST_F_REPLY, 0, 0x8, {0x0, 0x0}, 16, 0x8355e3a6f61770db},
	 "44535401 09 01 0000 0800000000000000"
	 "0000000000000000 00000000 10000000 db7017f6a6e35583 da3b5b0308fb8d4d"},
	{WIRE_REPLY,
	 {DST_PING, DST_F_REPLY, 0, 0x1, {0x0, 0x0}, 0, 0x0},
	 "44535401 0a 01 0000 0100000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 4ba0fd5ccb22f718"},
	{WIRE_REPLY,
	 {DST_NOTICE, DST_F_REPLY, 0, 0x0, {0x0, 0x0}, 4, 0x988b7b9033ac4622},
	 "44535401 0b 01 0000 0000000000000000"
	 "0000000000000000 00000000 04000000 2246ac33907b8b98 60bf881be05ba030"},
	{WIRE_REPLY,
	 {DST_CLOSE, DST_F_REPLY, 259, 0x1, {0x0, 0x0}, 0, 0x0},
	 "44535401 0c 01 0301 0100000000000000"
	 "0000000000000000 00000000 00000000 0000000000000000 0c8b88a4a84257f2"},
};

#define GOLDENS (sizeof(goldens) / sizeof(goldens[0]))

static size_t from_hex(uint8_t *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned byte;

		if (*text == ' ')
			continue;
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		assert_true(n < size);
		out[n++] = (uint8_t)byte;
		text++;
	}
	return n;
}

static void assert_same_header(const struct wire_header *a, const struct wire_header *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->range.offset, b->range.offset);
	assert_int_equal(a->range.length, b->range.length);
	assert_int_equal(a->payload, b->payload);
	assert_int_equal(a->digest, b->digest);
}

static void every_type_encodes_to_its_bytes(void **state)
{
	for (size_t i = 0; i < GOLDENS; i++) {
		const struct golden *g = &goldens[i];
		uint8_t want[DST_HEADER_SIZE], got[DST_HEADER_SIZE];

		assert_int_equal(from_hex(want, sizeof(want), g->bytes), sizeof(want));
		wire_encode(got, &g->header, g->direction, DST_CHECKSUM_XXH3);
		assert_memory_equal(got, want, sizeof(want));
	}
}

static void every_type_decodes_from_its_bytes(void **state)
{
	for (size_t i = 0; i < GOLDENS; i++) {
		const struct golden *g = &goldens[i];
		struct wire_header header;
		uint8_t in[DST_HEADER_SIZE];

		from_hex(in, sizeof(in), g->bytes);
		assert_int_equal(
			wire_decode(&header, in, g->direction, DST_CHECKSUM_XXH3, DST_MAX_PAYLOAD),
			WIRE_OK);
		assert_same_header(&header, &g->header);
	}
}

static void each_type_is_here_in_each_direction(void **state)
{
	unsigned seen[2][DST_TYPE_END] = {0};

	for (size_t i = 0; i < GOLDENS; i++)
		seen[goldens[i].direction][goldens[i].header.type]++;
	for (unsigned type = 1; type < DST_TYPE_END; type++) {
		assert_int_equal(seen[WIRE_REQUEST][type], type != DST_NOTICE);
		assert_int_equal(seen[WIRE_REPLY][type], 1);
	}
}

static void a_payloads_digest_is_that_of_the_golden_header(void **state)
{
	/* The golden WRITE carries this. */
	assert_int_equal(wire_digest(DST_CHECKSUM_XXH3, "hello", 5), 0x9555e8555c62dcfd);
	assert_int_equal(wire_digest(DST_CHECKSUM_XXH3, "hello", 0), 0);
	assert_int_equal(wire_digest(DST_CHECKSUM_NONE, "hello", 5), 0);
}

/* HELLO as a client sends it, and its answer. */
static const char hello_bytes[] = "0180 0400 766f6c30" /* EXPORT */
				  "0280 1000 000102030405060708090a0b0c0d0e0f" /* SESSION */
				  "0380 0800 01000000 03000000" /* LANE */
				  "0400 0400 03000000" /* PERMISSIONS */
				  "0500 0400 03000000" /* CHECKSUM */
				  "0600 0500 626f783a61 000000"; /* CLIENT */
static const char answer_bytes[] = "0400 0400 01000000" /* PERMISSIONS */
				   "0500 0400 01000000" /* CHECKSUM */
				   "0700 0800 8877665544332211" /* SIZE */
				   "0800 0800 00020000 00100000" /* BLOCKS */
				   "0900 0c00 00001000 00000040 00010000" /* LIMITS */
				   "0a00 0400 0f000000" /* FEATURES */
				   "0b00 1000 10101010101010101010101010101010" /* SERVER_ID */
				   "0c00 1000 20202020202020202020202020202020" /* EXPORT_UUID */
				   "0d00 1000 30303030303030303030303030303030" /* INSTANCE */
				   "0e00 0700 77656c6c 213f21 00"; /* REASON */

static void fill_hello(struct wire_attrs *attrs)
{
	*attrs = (struct wire_attrs){
		.has = 1u << DST_ATTR_EXPORT | 1u << DST_ATTR_SESSION | 1u << DST_ATTR_LANE |
		       1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_CLIENT,
		.export_name = "vol0",
		.lane = 1,
		.lanes = 3,
		.permissions = DST_PERM_READ | DST_PERM_WRITE,
		.checksum = 1u << DST_CHECKSUM_NONE | 1u << DST_CHECKSUM_XXH3,
		.client = "box:a",
	};
	for (uint8_t i = 0; i < DST_ID_SIZE; i++)
		attrs->session[i] = i;
}

static void fill_answer(struct wire_attrs *attrs)
{
	*attrs = (struct wire_attrs){
		.has = 1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_SIZE |
		       1u << DST_ATTR_BLOCKS | 1u << DST_ATTR_LIMITS | 1u << DST_ATTR_FEATURES |
		       1u << DST_ATTR_SERVER_ID | 1u << DST_ATTR_EXPORT_UUID |
		       1u << DST_ATTR_INSTANCE | 1u << DST_ATTR_REASON,
		.permissions = DST_PERM_READ,
		.checksum = DST_CHECKSUM_XXH3,
		.size = 0x1122334455667788,
		.block_min = 512,
		.block_preferred = 4096,
		.max_payload = DST_MAX_PAYLOAD,
		.max_range = DST_MAX_RANGE,
		.depth = 256,
		.features = 0xf,
		.reason = "well!?!",
	};
	memset(attrs->server_id, 0x10, DST_ID_SIZE);
	memset(attrs->export_uuid, 0x20, DST_ID_SIZE);
	memset(attrs->instance, 0x30, DST_ID_SIZE);
}

static void assert_attrs_are(const struct wire_attrs *attrs, const char *text)
{
	uint8_t want[DST_MAX_HELLO], got[DST_MAX_HELLO];
	size_t size = from_hex(want, sizeof(want), text);
	struct wire_attrs back;
	char reason[DST_MAX_REASON + 1];

	assert_int_equal(wire_attrs_encode(got, attrs), size);
	assert_memory_equal(got, want, size);
	assert_int_equal(wire_attrs_decode(&back, want, (uint32_t)size, reason), 0);
	assert_int_equal(back.has, attrs->has);
	assert_int_equal(wire_attrs_encode(got, &back), size);
	assert_memory_equal(got, want, size);
}

static void attributes_are_their_bytes_both_ways(void **state)
{
	struct wire_attrs attrs;

	fill_hello(&attrs);
	assert_attrs_are(&attrs, hello_bytes);
	fill_answer(&attrs);
	assert_attrs_are(&attrs, answer_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_encodes_to_its_bytes),
		cmocka_unit_test(every_type_decodes_from_its_bytes),
		cmocka_unit_test(each_type_is_here_in_each_direction),
		cmocka_unit_test(a_payloads_digest_is_that_of_the_golden_header),
		cmocka_unit_test(attributes_are_their_bytes_both_ways),
	};

	return cmocka_run_group_tests_name("wire_golden", tests, NULL, NULL);
}
