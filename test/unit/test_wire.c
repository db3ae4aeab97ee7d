/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_wire.c - what wire_decode() accepts and refuses, field by field, against tables written from
 * proto.h. Messages are put together here byte by byte, so that one can also be wrong.
 */
#include "common/wire.h"

#include "common/checksum.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define REQ WIRE_REQUEST
#define REP WIRE_REPLY
#define U64 UINT64_MAX
#define KI 1024ull
#define MI (1024 * KI)
#define GI (1024 * MI)

/* A header as it is on the wire; `check` is computed when it is sealed. */
struct raw {
	uint64_t magic, type, flags, status, id, offset, length, payload, digest;
};

static void put(uint8_t *out, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> 8 * i);
}

static void seal(uint8_t out[DST_HEADER_SIZE], const struct raw *raw, enum wire_direction direction,
		 enum dst_checksum checksum)
{
	put(out, 4, raw->magic);
	put(out + 4, 1, raw->type);
	put(out + 5, 1, raw->flags);
	put(out + 6, 2, raw->status);
	put(out + 8, 8, raw->id);
	put(out + 16, 8, raw->offset);
	put(out + 24, 4, raw->length);
	put(out + 28, 4, raw->payload);
	put(out + 32, 8, raw->digest);
	put(out + 40, 8,
	    checksum == DST_CHECKSUM_NONE
		    ? 0
		    : checksum_seeded(out, 40,
				      direction == REQ ? DST_CHECK_REQUEST : DST_CHECK_REPLY));
}

/* The range's length and the payload of a good message of each type. */
static const struct {
	uint32_t length, payload;
} sizes[2][DST_TYPE_END] = {
	[REQ] =
		{
			[DST_HELLO] = {0, 8},
			[DST_READ] = {4096, 0},
			[DST_WRITE] = {4096, 4096},
			[DST_DISCARD] = {4096, 0},
			[DST_WRITE_ZEROES] = {4096, 0},
			[DST_EXTENTS] = {4096, 0},
			[DST_COPY] = {4096, 8},
			[DST_HASH] = {4096, 8},
		},
	[REP] =
		{
			[DST_HELLO] = {0, 8},
			[DST_READ] = {0, 4096},
			[DST_EXTENTS] = {4096, 32},
			[DST_COPY] = {4096, 0},
			[DST_HASH] = {0, 16},
			[DST_NOTICE] = {0, 12},
		},
};

static const uint64_t ids[DST_TYPE_END] = {
	[DST_READ... DST_HASH] = 7, [DST_HELLO] = 1, [DST_PING] = 1,
	[DST_NOTICE] = 0,           [DST_CLOSE] = 1,
};

/* A good message of the type in that direction, to be spoilt in one place. */
static struct raw good(enum wire_direction direction, uint8_t type)
{
	bool request = direction == REQ;

	return (struct raw){
		.magic = DST_MAGIC,
		.type = type,
		.flags = request ? 0 : DST_F_REPLY,
		.status = request, /* the lag: 1; DST_OK */
		.id = ids[type],
		.offset = request && sizes[direction][type].length ? 8192 : 0,
		.length = sizes[direction][type].length,
		.payload = sizes[direction][type].payload,
	};
}

static enum wire_error decode(const struct raw *raw, enum wire_direction direction)
{
	struct wire_header header;
	uint8_t in[DST_HEADER_SIZE];

	seal(in, raw, direction, DST_CHECKSUM_XXH3);
	return wire_decode(&header, in, direction, DST_CHECKSUM_XXH3, DST_MAX_PAYLOAD);
}

static bool exists(enum wire_direction direction, uint8_t type)
{
	return type && type < DST_TYPE_END && !(type == DST_NOTICE && direction == REQ);
}

enum field { MAGIC, TYPE, STATUS, ID, OFFSET, LENGTH, PAYLOAD, DATA, DIGEST, FAILED };

static void spoil(struct raw *raw, enum field field, uint64_t value)
{
	switch (field) {
	case MAGIC:
		raw->magic = value;
		break;
	case TYPE:
		raw->type = value;
		break;
	case STATUS:
		raw->status = value;
		break;
	case ID:
		raw->id = value;
		break;
	case OFFSET:
		raw->offset = value;
		break;
	case LENGTH:
		raw->length = value;
		break;
	case PAYLOAD:
		raw->payload = value;
		break;
	case DATA: /* WRITE's length and payload go together */
		raw->length = raw->payload = value;
		break;
	case DIGEST:
		raw->digest = value;
		break;
	case FAILED: /* an error reply */
		raw->length = raw->payload = 0;
		raw->status = value;
		break;
	}
}

#define OK WIRE_OK
#define BAD WIRE_BAD_FIELD

/* One field of a good message set to one value. */
static const struct row {
	unsigned number;
	enum wire_direction direction;
	uint8_t type;
	enum field field;
	uint64_t value;
	enum wire_error want;
} rows[] = {
	/* Magic and version. */
	{1, REQ, DST_READ, MAGIC, 0x01545344, OK},
	{2, REQ, DST_READ, MAGIC, 0, WIRE_BAD_MAGIC},
	{3, REQ, DST_READ, MAGIC, 0x01545345, WIRE_BAD_MAGIC},
	{4, REQ, DST_READ, MAGIC, 0x01445354, WIRE_BAD_MAGIC},
	{5, REQ, DST_READ, MAGIC, 0x44535401, WIRE_BAD_MAGIC}, /* the other byte order */
	{6, REQ, DST_READ, MAGIC, 0x00545344, WIRE_BAD_VERSION},
	{7, REQ, DST_READ, MAGIC, 0x02545344, WIRE_BAD_VERSION},
	{8, REP, DST_READ, MAGIC, 0xff545344, WIRE_BAD_VERSION},

	/* Types. */
	{10, REQ, DST_FLUSH, TYPE, 0, WIRE_BAD_TYPE},
	{11, REQ, DST_FLUSH, TYPE, 13, WIRE_BAD_TYPE},
	{12, REQ, DST_FLUSH, TYPE, 255, WIRE_BAD_TYPE},
	{13, REP, DST_FLUSH, TYPE, 0, WIRE_BAD_TYPE},
	{14, REP, DST_FLUSH, TYPE, 13, WIRE_BAD_TYPE},
	{15, REP, DST_FLUSH, TYPE, 255, WIRE_BAD_TYPE},
	{16, REQ, DST_FLUSH, TYPE, DST_NOTICE, BAD},

	/* The lag: 1 to id. */
	{20, REQ, DST_READ, STATUS, 0, BAD},
	{21, REQ, DST_READ, STATUS, 1, OK},
	{22, REQ, DST_READ, STATUS, 7, OK},
	{23, REQ, DST_READ, STATUS, 8, BAD},
	{24, REQ, DST_READ, STATUS, 65535, BAD},
	{25, REQ, DST_HELLO, STATUS, 0, BAD},
	{26, REQ, DST_PING, STATUS, 2, BAD},

	/* Ids. */
	{30, REQ, DST_READ, ID, 0, BAD},
	{31, REQ, DST_READ, ID, 1, OK},
	{32, REQ, DST_READ, ID, U64, OK},
	{33, REP, DST_READ, ID, 0, BAD},
	{34, REP, DST_READ, ID, 1, OK},
	{35, REP, DST_READ, ID, U64, OK},
	{36, REP, DST_HELLO, ID, 0, BAD},
	{37, REP, DST_NOTICE, ID, 0, OK},
	{38, REP, DST_NOTICE, ID, 1, BAD},
	{39, REP, DST_CLOSE, ID, 0, BAD},
	{40, REQ, DST_HELLO, ID, 2, BAD}, /* no transactions: always 1 */
	{41, REQ, DST_PING, ID, 2, BAD},
	{42, REQ, DST_CLOSE, ID, 2, BAD},
	{43, REP, DST_HELLO, ID, 2, BAD},
	{44, REP, DST_PING, ID, 2, BAD},
	{45, REP, DST_CLOSE, ID, 2, BAD},

	/* Ranges: the last byte may be the last of 2^64 - 1. */
	{50, REQ, DST_READ, OFFSET, 0, OK},
	{51, REQ, DST_READ, OFFSET, U64 - 4096, OK},
	{52, REQ, DST_READ, OFFSET, U64 - 4095, BAD},
	{53, REQ, DST_READ, OFFSET, U64, BAD},
	{54, REQ, DST_WRITE, OFFSET, U64 - 4096, OK},
	{55, REQ, DST_WRITE, OFFSET, U64 - 4095, BAD},
	{56, REQ, DST_DISCARD, OFFSET, U64 - 4095, BAD},
	{57, REQ, DST_WRITE_ZEROES, OFFSET, U64 - 4095, BAD},
	{58, REQ, DST_EXTENTS, OFFSET, U64 - 4095, BAD},
	{59, REQ, DST_COPY, OFFSET, U64 - 4095, BAD},
	{60, REQ, DST_HASH, OFFSET, U64 - 4095, BAD},
	{61, REQ, DST_HASH, OFFSET, U64 - 4096, OK},

	/* Lengths of ranges. */
	{70, REQ, DST_READ, LENGTH, 0, BAD},
	{71, REQ, DST_READ, LENGTH, 1, OK},
	{72, REQ, DST_READ, LENGTH, MI, OK},
	{73, REQ, DST_READ, LENGTH, MI + 1, BAD},
	{74, REQ, DST_READ, LENGTH, UINT32_MAX, BAD},
	{75, REQ, DST_WRITE, DATA, 0, BAD},
	{76, REQ, DST_WRITE, DATA, 1, OK},
	{77, REQ, DST_WRITE, DATA, MI, OK},
	{78, REQ, DST_WRITE, DATA, MI + 1, BAD},
	{79, REQ, DST_WRITE, LENGTH, 4095, BAD},
	{80, REQ, DST_WRITE, LENGTH, 4097, BAD},
	{81, REQ, DST_WRITE, PAYLOAD, 4095, BAD},
	{82, REQ, DST_WRITE, PAYLOAD, 4097, BAD},
	{83, REQ, DST_WRITE, PAYLOAD, 0, BAD},
	{84, REQ, DST_DISCARD, LENGTH, 0, BAD},
	{85, REQ, DST_DISCARD, LENGTH, 1, OK},
	{86, REQ, DST_DISCARD, LENGTH, GI, OK},
	{87, REQ, DST_DISCARD, LENGTH, GI + 1, BAD},
	{88, REQ, DST_WRITE_ZEROES, LENGTH, 0, BAD},
	{89, REQ, DST_WRITE_ZEROES, LENGTH, GI, OK},
	{90, REQ, DST_WRITE_ZEROES, LENGTH, GI + 1, BAD},
	{91, REQ, DST_EXTENTS, LENGTH, 0, BAD},
	{92, REQ, DST_EXTENTS, LENGTH, GI, OK},
	{93, REQ, DST_EXTENTS, LENGTH, GI + 1, BAD},
	{94, REQ, DST_COPY, LENGTH, 0, BAD},
	{95, REQ, DST_COPY, LENGTH, GI, OK},
	{96, REQ, DST_COPY, LENGTH, GI + 1, BAD},
	{97, REQ, DST_HASH, LENGTH, 0, BAD},
	{98, REQ, DST_HASH, LENGTH, GI, OK},
	{99, REQ, DST_HASH, LENGTH, GI + 1, BAD},

	/* Payloads of requests. */
	{110, REQ, DST_HELLO, PAYLOAD, 0, BAD},
	{111, REQ, DST_HELLO, PAYLOAD, 4, OK},
	{112, REQ, DST_HELLO, PAYLOAD, 6, BAD},
	{113, REQ, DST_HELLO, PAYLOAD, 16 * KI, OK},
	{114, REQ, DST_HELLO, PAYLOAD, 16 * KI + 4, BAD},
	{115, REQ, DST_READ, PAYLOAD, 1, BAD},
	{116, REQ, DST_READ, PAYLOAD, 4096, BAD},
	{117, REQ, DST_FLUSH, PAYLOAD, 1, BAD},
	{118, REQ, DST_DISCARD, PAYLOAD, 1, BAD},
	{119, REQ, DST_WRITE_ZEROES, PAYLOAD, 1, BAD},
	{120, REQ, DST_EXTENTS, PAYLOAD, 1, BAD},
	{121, REQ, DST_COPY, PAYLOAD, 0, BAD},
	{122, REQ, DST_COPY, PAYLOAD, 7, BAD},
	{123, REQ, DST_COPY, PAYLOAD, 9, BAD},
	{124, REQ, DST_HASH, PAYLOAD, 0, BAD},
	{125, REQ, DST_HASH, PAYLOAD, 9, BAD},
	{126, REQ, DST_PING, PAYLOAD, 1, BAD},
	{127, REQ, DST_CLOSE, PAYLOAD, 1, BAD},

	/* Payloads and lengths of replies. */
	{140, REP, DST_HELLO, PAYLOAD, 0, OK},
	{141, REP, DST_HELLO, PAYLOAD, 2, BAD},
	{142, REP, DST_HELLO, PAYLOAD, 16 * KI, OK},
	{143, REP, DST_HELLO, PAYLOAD, 16 * KI + 4, BAD},
	{144, REP, DST_READ, PAYLOAD, 0, BAD},
	{145, REP, DST_READ, PAYLOAD, 1, OK},
	{146, REP, DST_READ, PAYLOAD, MI, OK},
	{147, REP, DST_READ, PAYLOAD, MI + 1, BAD},
	{148, REP, DST_WRITE, PAYLOAD, 1, BAD},
	{149, REP, DST_FLUSH, PAYLOAD, 1, BAD},
	{150, REP, DST_DISCARD, PAYLOAD, 1, BAD},
	{151, REP, DST_WRITE_ZEROES, PAYLOAD, 1, BAD},
	{152, REP, DST_EXTENTS, PAYLOAD, 0, BAD},
	{153, REP, DST_EXTENTS, PAYLOAD, 15, BAD},
	{154, REP, DST_EXTENTS, PAYLOAD, 16, OK},
	{155, REP, DST_EXTENTS, PAYLOAD, 24, BAD},
	{156, REP, DST_EXTENTS, PAYLOAD, 16 * 1024, OK},
	{157, REP, DST_EXTENTS, PAYLOAD, 16 * 1025, BAD},
	{158, REP, DST_EXTENTS, LENGTH, 0, BAD},
	{159, REP, DST_EXTENTS, LENGTH, GI, OK},
	{160, REP, DST_EXTENTS, LENGTH, GI + 1, BAD},
	{161, REP, DST_COPY, LENGTH, 0, BAD},
	{162, REP, DST_COPY, LENGTH, GI, OK},
	{163, REP, DST_COPY, LENGTH, GI + 1, BAD},
	{164, REP, DST_COPY, PAYLOAD, 8, BAD},
	{165, REP, DST_HASH, PAYLOAD, 0, BAD},
	{166, REP, DST_HASH, PAYLOAD, 15, BAD},
	{167, REP, DST_HASH, PAYLOAD, 17, BAD},
	{168, REP, DST_PING, PAYLOAD, 1, BAD},
	{169, REP, DST_CLOSE, PAYLOAD, 1, BAD},
	{170, REP, DST_NOTICE, PAYLOAD, 0, BAD},
	{171, REP, DST_NOTICE, PAYLOAD, 4, OK},
	{172, REP, DST_NOTICE, PAYLOAD, 16 * KI, OK},
	{173, REP, DST_NOTICE, PAYLOAD, 16 * KI + 4, BAD},

	/* Statuses: any may come with a reply that has nothing else, and none with a notice. */
	{190, REP, DST_READ, STATUS, DST_EIO, BAD}, /* still with its payload */
	{191, REP, DST_COPY, STATUS, DST_EIO, BAD}, /* still with its length */
	{192, REP, DST_READ, FAILED, DST_EIO, OK},
	{193, REP, DST_READ, FAILED, 65535, OK},
	{194, REP, DST_COPY, FAILED, DST_ENOSPC, OK},
	{195, REP, DST_HELLO, FAILED, DST_EDENIED, OK},
	{196, REP, DST_HELLO, STATUS, DST_EDENIED, OK}, /* with a reason */
	{197, REP, DST_NOTICE, STATUS, DST_EIO, BAD},
	{198, REP, DST_NOTICE, FAILED, DST_EIO, BAD},

	/* A digest needs a payload. */
	{200, REQ, DST_READ, DIGEST, 1, BAD},
	{201, REQ, DST_WRITE, DIGEST, 0, OK},
	{202, REQ, DST_WRITE, DIGEST, U64, OK},
	{203, REP, DST_WRITE, DIGEST, 1ull << 63, BAD},
	{204, REP, DST_READ, DIGEST, U64, OK},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void each_field_is_held_to_its_limits(void **state)
{
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		struct raw raw = good(row->direction, row->type);
		enum wire_error got;

		spoil(&raw, row->field, row->value);
		got = decode(&raw, row->direction);
		if (got != row->want)
			fail_msg("row %u: %s, expected: %s", row->number, wire_error_text(got),
				 wire_error_text(row->want));
	}
}

static void a_good_message_of_each_type_passes(void **state)
{
	for (int direction = REQ; direction <= REP; direction++)
		for (uint8_t type = 1; type < DST_TYPE_END; type++) {
			struct raw raw = good(direction, type);

			assert_int_equal(decode(&raw, direction),
					 exists(direction, type) ? OK : BAD);
		}
}

static void only_the_flags_of_the_type_pass(void **state)
{
	static const uint8_t request_flags[DST_TYPE_END] = {
		[DST_WRITE] = DST_F_FUA,
		[DST_DISCARD] = DST_F_FUA,
		[DST_WRITE_ZEROES] = DST_F_FUA | DST_F_NO_HOLE,
	};

	for (int direction = REQ; direction <= REP; direction++)
		for (uint8_t type = 1; type < DST_TYPE_END; type++)
			for (unsigned flags = 0; flags < 256 && exists(direction, type); flags++) {
				struct raw raw = good(direction, type);
				bool allowed = direction == REP ? flags == DST_F_REPLY
								: !(flags & ~request_flags[type]);

				raw.flags = flags;
				assert_int_equal(decode(&raw, direction), allowed ? OK : BAD);
			}
}

static void offset_and_length_are_zero_where_they_mean_nothing(void **state)
{
	for (int direction = REQ; direction <= REP; direction++)
		for (uint8_t type = 1; type < DST_TYPE_END; type++) {
			struct raw raw = good(direction, type), bad = raw;

			if (!raw.offset) {
				bad.offset = 1;
				assert_int_equal(decode(&bad, direction), BAD);
			}
			bad = raw;
			if (!raw.length) {
				bad.length = 1;
				assert_int_equal(decode(&bad, direction), BAD);
			}
		}
}

static void a_notice_is_no_reply(void **state)
{
	static const uint64_t reply_ids[] = {0, 1, 7};
	struct raw raw = good(REP, DST_NOTICE);

	spoil(&raw, FAILED, DST_EIO); /* the shape of an error reply */
	for (size_t i = 0; i < sizeof(reply_ids) / sizeof(reply_ids[0]); i++) {
		raw.id = reply_ids[i];
		assert_int_equal(decode(&raw, REP), BAD);
	}
}

static void an_error_reply_carries_nothing(void **state)
{
	for (uint8_t type = 1; type < DST_TYPE_END; type++) {
		struct raw raw = good(REP, type);

		if (type == DST_NOTICE || type == DST_HELLO)
			continue;
		spoil(&raw, FAILED, DST_EIO);
		assert_int_equal(decode(&raw, REP), OK);
		raw.id = 0;
		assert_int_equal(decode(&raw, REP), BAD);
		raw.id = 2;
		assert_int_equal(decode(&raw, REP), ids[type] == 1 ? BAD : OK);
		raw.id = 1;
		raw.payload = 16;
		assert_int_equal(decode(&raw, REP), BAD);
		raw.payload = 0;
		raw.length = 1;
		assert_int_equal(decode(&raw, REP), BAD);
	}
}

static void the_payload_is_within_the_callers_bound(void **state)
{
	struct wire_header header;
	uint8_t in[DST_HEADER_SIZE];
	struct raw raw = good(REQ, DST_WRITE);

	seal(in, &raw, REQ, DST_CHECKSUM_XXH3);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_XXH3, 4096), OK);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_XXH3, 4095), BAD);
	raw.type = 99;
	seal(in, &raw, REQ, DST_CHECKSUM_XXH3);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_XXH3, 4096), WIRE_BAD_TYPE);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_XXH3, 4095), BAD);
}

static void an_unknown_type_is_described_so_that_it_can_be_skipped(void **state)
{
	struct wire_header header;
	uint8_t in[DST_HEADER_SIZE];
	struct raw raw = good(REQ, DST_WRITE);

	raw.type = 200;
	raw.flags = 0xfe;
	seal(in, &raw, REQ, DST_CHECKSUM_XXH3);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_XXH3, DST_MAX_PAYLOAD),
			 WIRE_BAD_TYPE);
	assert_int_equal(header.type, 200);
	assert_int_equal(header.id, 7);
	assert_int_equal(header.payload, 4096);
	raw.id = 0; /* a reply to it could not be told from a notice */
	assert_int_equal(decode(&raw, REQ), BAD);
}

static void every_flipped_bit_is_seen(void **state)
{
	for (int direction = REQ; direction <= REP; direction++)
		for (unsigned bit = 0; bit < 8 * DST_HEADER_SIZE; bit++) {
			struct raw raw = good(direction, DST_READ);
			struct wire_header header;
			uint8_t in[DST_HEADER_SIZE];

			seal(in, &raw, direction, DST_CHECKSUM_XXH3);
			in[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(wire_decode(&header, in, direction, DST_CHECKSUM_XXH3,
							 DST_MAX_PAYLOAD),
					     OK);
		}
}

static void a_reflected_message_is_refused(void **state)
{
	struct raw raw = good(REP, DST_FLUSH);
	struct wire_header header;
	uint8_t in[DST_HEADER_SIZE];

	seal(in, &raw, REQ, DST_CHECKSUM_XXH3);
	assert_int_equal(wire_decode(&header, in, REP, DST_CHECKSUM_XXH3, DST_MAX_PAYLOAD),
			 WIRE_BAD_CHECK);
}

static void without_checksums_both_digests_are_zero(void **state)
{
	struct raw raw = good(REQ, DST_WRITE);
	struct wire_header header;
	uint8_t in[DST_HEADER_SIZE];

	seal(in, &raw, REQ, DST_CHECKSUM_NONE);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_NONE, DST_MAX_PAYLOAD), OK);
	in[40] = 1;
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_NONE, DST_MAX_PAYLOAD),
			 WIRE_BAD_CHECK);
	raw.digest = 1;
	seal(in, &raw, REQ, DST_CHECKSUM_NONE);
	assert_int_equal(wire_decode(&header, in, REQ, DST_CHECKSUM_NONE, DST_MAX_PAYLOAD), BAD);
}

static void what_is_encoded_decodes_to_the_same(void **state)
{
	for (int direction = REQ; direction <= REP; direction++)
		for (uint8_t type = 1; type < DST_TYPE_END; type++) {
			struct raw raw = good(direction, type);
			struct wire_header header, back;
			uint8_t in[DST_HEADER_SIZE], out[DST_HEADER_SIZE];

			if (!exists(direction, type))
				continue;
			raw.digest = raw.payload ? 0x0123456789abcdef : 0;
			seal(in, &raw, direction, DST_CHECKSUM_XXH3);
			assert_int_equal(wire_decode(&header, in, direction, DST_CHECKSUM_XXH3,
						     DST_MAX_PAYLOAD),
					 OK);
			wire_encode(out, &header, direction, DST_CHECKSUM_XXH3);
			assert_memory_equal(out, in, sizeof(in));

			/* A digest that the connection doesn't carry is left out. */
			wire_encode(out, &header, direction, DST_CHECKSUM_NONE);
			assert_int_equal(wire_decode(&back, out, direction, DST_CHECKSUM_NONE,
						     DST_MAX_PAYLOAD),
					 OK);
			assert_int_equal(back.digest, 0);
		}
}

static void types_and_errors_have_names(void **state)
{
	for (unsigned type = 0; type < 256; type++)
		assert_int_equal(!strcmp(wire_type_name((uint8_t)type), "unknown"),
				 !exists(REP, (uint8_t)type));
	assert_string_equal(wire_type_name(DST_WRITE_ZEROES), "WRITE_ZEROES");
	for (int error = WIRE_OK; error <= WIRE_BAD_TYPE; error++)
		assert_string_not_equal(wire_error_text(error), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_message_of_each_type_passes),
		cmocka_unit_test(each_field_is_held_to_its_limits),
		cmocka_unit_test(only_the_flags_of_the_type_pass),
		cmocka_unit_test(offset_and_length_are_zero_where_they_mean_nothing),
		cmocka_unit_test(an_error_reply_carries_nothing),
		cmocka_unit_test(a_notice_is_no_reply),
		cmocka_unit_test(the_payload_is_within_the_callers_bound),
		cmocka_unit_test(an_unknown_type_is_described_so_that_it_can_be_skipped),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(a_reflected_message_is_refused),
		cmocka_unit_test(without_checksums_both_digests_are_zero),
		cmocka_unit_test(what_is_encoded_decodes_to_the_same),
		cmocka_unit_test(types_and_errors_have_names),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
