/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_wire_attrs.c - attribute lists, statuses and the fixed payloads of the wire protocol, good
 * and hostile ones. Input lies at the end of an allocation, so that a sanitizer sees an overrun.
 */
#include "common/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANDATORY DST_ATTR_MANDATORY

struct list {
	uint8_t bytes[2 * DST_MAX_HELLO];
	uint32_t size;
};

/* Adds an attribute, padded. */
static void add(struct list *list, unsigned kind, const void *value, size_t length)
{
	uint8_t *out = list->bytes + list->size;

	out[0] = (uint8_t)kind;
	out[1] = (uint8_t)(kind >> 8);
	out[2] = (uint8_t)length;
	out[3] = (uint8_t)(length >> 8);
	memcpy(out + 4, value, length);
	memset(out + 4 + length, 0, (4 - length % 4) % 4);
	list->size += 4 + (uint32_t)(length + 3) / 4 * 4;
}

static int decode(struct wire_attrs *attrs, const void *bytes, uint32_t size, char *reason)
{
	uint8_t *exact = malloc(size ? size : 1);
	int error;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	reason[0] = '\0';
	error = wire_attrs_decode(attrs, exact, size, reason);
	free(exact);
	assert_true(error == 0 || (error == EPROTO && reason[0]));
	return error;
}

static void assert_refused(const struct list *list, const char *why)
{
	struct wire_attrs attrs;
	char reason[DST_MAX_REASON + 1];

	assert_int_equal(decode(&attrs, list->bytes, list->size, reason), EPROTO);
	if (!strstr(reason, why))
		fail_msg("\"%s\" says nothing of \"%s\"", reason, why);
}

static void assert_accepted(const struct list *list, struct wire_attrs *attrs)
{
	char reason[DST_MAX_REASON + 1];

	if (decode(attrs, list->bytes, list->size, reason))
		fail_msg("refused: %s", reason);
}

static void fill_everything(struct wire_attrs *attrs)
{
	memset(attrs, 0, sizeof(*attrs));
	attrs->has = (1u << DST_ATTR_KIND_END) - 2;
	memset(attrs->export_name, 'e', DST_MAX_NAME);
	memset(attrs->session, 1, DST_ID_SIZE);
	attrs->lane = DST_MAX_LANES - 1;
	attrs->lanes = DST_MAX_LANES;
	attrs->permissions = DST_PERM_KNOWN;
	attrs->checksum = UINT32_MAX;
	memset(attrs->client, 'c', DST_MAX_CLIENT_NAME);
	attrs->size = DST_MAX_SIZE;
	attrs->block_min = DST_MAX_BLOCK;
	attrs->block_preferred = DST_MAX_RANGE;
	attrs->max_payload = DST_MAX_PAYLOAD;
	attrs->max_range = DST_MAX_RANGE;
	attrs->depth = DST_MAX_DEPTH;
	attrs->features = UINT32_MAX;
	memset(attrs->server_id, 2, DST_ID_SIZE);
	memset(attrs->export_uuid, 3, DST_ID_SIZE);
	memset(attrs->instance, 4, DST_ID_SIZE);
	memset(attrs->reason, 'r', DST_MAX_REASON);
	attrs->epoch.counter = attrs->takeover.counter = UINT64_MAX;
	memset(attrs->epoch.uuid, 5, DST_ID_SIZE);
	memset(attrs->takeover.uuid, 6, DST_ID_SIZE);
	attrs->pending.first = 1;
	attrs->pending.count = attrs->executed.count = DST_MAX_DEPTH;
	for (unsigned i = 0; i < DST_MAX_DEPTH; i++) {
		attrs->pending.distance[i] = (uint16_t)(i * DST_LAG_FACTOR);
		attrs->executed.one[i] = (struct wire_executed_one){
			.distance = (uint16_t)(i * DST_LAG_FACTOR),
			.length = DST_MAX_RANGE,
		};
	}
}

static void the_largest_of_everything_comes_back(void **state)
{
	struct wire_attrs attrs, back;
	struct list list = {0};

	fill_everything(&attrs);
	list.size = wire_attrs_encode(list.bytes, &attrs);
	assert_in_range(list.size, 1, DST_MAX_HELLO);
	assert_accepted(&list, &back);
	assert_memory_equal(&back, &attrs, sizeof(back));
}

static void each_attribute_alone_comes_back(void **state)
{
	struct wire_attrs attrs, back;

	for (unsigned kind = 1; kind < DST_ATTR_KIND_END; kind++) {
		struct list list = {0};

		fill_everything(&attrs);
		attrs.has = 1u << kind;
		list.size = wire_attrs_encode(list.bytes, &attrs);
		assert_accepted(&list, &back);
		assert_int_equal(back.has, attrs.has);
		assert_true(wire_has(&back, kind));
	}
}

static void an_empty_list_is_a_list(void **state)
{
	struct wire_attrs attrs = {.has = 0};
	struct list list = {0};

	assert_int_equal(wire_attrs_encode(list.bytes, &attrs), 0);
	assert_accepted(&list, &attrs);
	assert_int_equal(attrs.has, 0);
}

static void a_list_cut_anywhere_is_refused_or_ends_there(void **state)
{
	struct wire_attrs attrs, back;
	struct list list = {0}, cut;
	char reason[DST_MAX_REASON + 1];
	unsigned accepted = 0;

	fill_everything(&attrs);
	list.size = wire_attrs_encode(list.bytes, &attrs);
	cut = list;
	for (cut.size = 0; cut.size < list.size; cut.size++)
		accepted += !decode(&back, cut.bytes, cut.size, reason);
	assert_int_equal(accepted, DST_ATTR_KIND_END - 1); /* before each of them */
}

static void a_length_past_the_end_is_refused(void **state)
{
	static const uint32_t lengths[] = {5, 8, 255, 4096, 65535};

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct list list = {0};

		add(&list, 99, "abcd", 4);
		list.bytes[2] = (uint8_t)lengths[i];
		list.bytes[3] = (uint8_t)(lengths[i] >> 8);
		assert_refused(&list, "attribute 99 is longer than its message");
	}
}

static void kinds_ascend(void **state)
{
	struct list doubled = {0}, disorder = {0}, unknown = {0}, disguised = {0}, zero = {0};
	uint32_t one = 1;

	add(&doubled, DST_ATTR_FEATURES, &one, 4);
	add(&doubled, DST_ATTR_FEATURES, &one, 4);
	assert_refused(&doubled, "attribute 10 is doubled or out of order");

	add(&disguised, DST_ATTR_FEATURES, &one, 4);
	add(&disguised, DST_ATTR_FEATURES | MANDATORY, &one, 4);
	assert_refused(&disguised, "attribute 10 is doubled");

	add(&disorder, DST_ATTR_FEATURES, &one, 4);
	add(&disorder, DST_ATTR_CHECKSUM, &one, 4);
	assert_refused(&disorder, "attribute 5 is doubled or out of order");

	add(&unknown, 99, "", 0);
	add(&unknown, 99, "", 0);
	assert_refused(&unknown, "attribute 99 is doubled");

	add(&zero, 0, "", 0);
	assert_refused(&zero, "attribute 0");
}

static void unknown_kinds_are_skipped_unless_mandatory(void **state)
{
	struct list list = {0};
	struct wire_attrs attrs;
	uint32_t one = 1;

	add(&list, DST_ATTR_FEATURES, &one, 4);
	add(&list, DST_ATTR_KIND_END, "", 0);
	add(&list, 1000, "later", 5);
	add(&list, 0x7fff, "last", 4);
	assert_accepted(&list, &attrs);
	assert_int_equal(attrs.has, 1u << DST_ATTR_FEATURES);

	list.size = 0;
	add(&list, 1000 | MANDATORY, "later", 5);
	assert_refused(&list, "mandatory attribute 1000 is unknown");
	list.size = 0;
	add(&list, DST_ATTR_KIND_END | MANDATORY, "", 0);
	assert_refused(&list, "mandatory attribute 19 is unknown");
}

static void a_known_kind_may_be_marked_mandatory(void **state)
{
	struct list list = {0};
	struct wire_attrs attrs;
	uint32_t one = 1;

	add(&list, DST_ATTR_FEATURES | MANDATORY, &one, 4);
	assert_accepted(&list, &attrs);
	assert_int_equal(attrs.features, 1);
}

static void padding_is_zero(void **state)
{
	for (unsigned length = 1; length < 4; length++) {
		for (unsigned at = length; at < 4; at++) {
			struct list list = {0};

			add(&list, DST_ATTR_CLIENT, "abc", length);
			list.bytes[4 + at] = 1;
			assert_refused(&list, "attribute 6 is not padded with zeros");
			list.bytes[0] = 99; /* an unknown one hides nothing either */
			assert_refused(&list, "attribute 99 is not padded with zeros");
		}
	}
}

/* Values of numbers, in u32 words. */
static const struct {
	unsigned number, kind, words;
	uint32_t value[4];
	const char *why; /* NULL: accepted */
} numbers[] = {
	{1, DST_ATTR_LANE, 2, {0, 1}, NULL},
	{2, DST_ATTR_LANE, 2, {0, 0}, "number of lanes"},
	{3, DST_ATTR_LANE, 2, {63, 64}, NULL},
	{4, DST_ATTR_LANE, 2, {0, 65}, "number of lanes"},
	{5, DST_ATTR_LANE, 2, {0, UINT32_MAX}, "number of lanes"},
	{6, DST_ATTR_LANE, 2, {1, 1}, "no such lane"},
	{7, DST_ATTR_LANE, 2, {UINT32_MAX, 64}, "no such lane"},
	{8, DST_ATTR_LANE, 1, {0}, "length is wrong"},
	{9, DST_ATTR_LANE, 3, {0, 1, 0}, "length is wrong"},
	{10, DST_ATTR_PERMISSIONS, 1, {DST_PERM_READ}, NULL},
	{11, DST_ATTR_PERMISSIONS, 1, {DST_PERM_KNOWN}, NULL},
	{12, DST_ATTR_PERMISSIONS, 1, {0}, "permission to read"},
	{13, DST_ATTR_PERMISSIONS, 1, {DST_PERM_WRITE}, "permission to read"},
	{14, DST_ATTR_PERMISSIONS, 1, {4 | DST_PERM_READ}, "unknown permissions"},
	{15, DST_ATTR_PERMISSIONS, 0, {0}, "length is wrong"},
	{16, DST_ATTR_CHECKSUM, 1, {UINT32_MAX}, NULL},
	{17, DST_ATTR_CHECKSUM, 2, {1, 1}, "length is wrong"},
	{20, DST_ATTR_SIZE, 2, {0, 0}, NULL},
	{21, DST_ATTR_SIZE, 2, {UINT32_MAX, 0x7fffffff}, NULL},
	{22, DST_ATTR_SIZE, 2, {0, 0x80000000}, "size is out of bounds"},
	{23, DST_ATTR_SIZE, 1, {1}, "length is wrong"},
	{30, DST_ATTR_BLOCKS, 2, {1, 1}, NULL},
	{31, DST_ATTR_BLOCKS, 2, {512, 393216}, NULL},
	{32, DST_ATTR_BLOCKS, 2, {0, 4096}, "minimum block"},
	{33, DST_ATTR_BLOCKS, 2, {3, 4096}, "minimum block"},
	{34, DST_ATTR_BLOCKS, 2, {DST_MAX_BLOCK, DST_MAX_BLOCK}, NULL},
	{35, DST_ATTR_BLOCKS, 2, {2 * DST_MAX_BLOCK, DST_MAX_RANGE}, "minimum block"},
	{36, DST_ATTR_BLOCKS, 2, {512, 511}, "preferred block"},
	{37, DST_ATTR_BLOCKS, 2, {512, DST_MAX_RANGE}, NULL},
	{38, DST_ATTR_BLOCKS, 2, {512, DST_MAX_RANGE + 1}, "preferred block"},
	{40, DST_ATTR_LIMITS, 3, {DST_MAX_PAYLOAD, DST_MAX_RANGE, 1}, NULL},
	{41, DST_ATTR_LIMITS, 3, {DST_MAX_PAYLOAD - 1, DST_MAX_RANGE, 1}, "limits"},
	{42, DST_ATTR_LIMITS, 3, {DST_MAX_PAYLOAD, DST_MAX_RANGE - 1, 1}, "limits"},
	{43, DST_ATTR_LIMITS, 3, {DST_MAX_PAYLOAD, DST_MAX_RANGE, 0}, "limits"},
	{44, DST_ATTR_LIMITS, 2, {DST_MAX_PAYLOAD, DST_MAX_RANGE}, "length is wrong"},
	{50, DST_ATTR_FEATURES, 1, {UINT32_MAX}, NULL},
	{60, DST_ATTR_SESSION, 4, {0}, NULL},
	{61, DST_ATTR_SESSION, 3, {0}, "length is wrong"},
	{62, DST_ATTR_INSTANCE, 4, {UINT32_MAX}, NULL},
	{63, DST_ATTR_SERVER_ID, 0, {0}, "length is wrong"},
};

static void numbers_are_held_to_their_limits(void **state)
{
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct wire_attrs attrs;
		struct list list = {0};
		char reason[DST_MAX_REASON + 1];

		add(&list, numbers[i].kind, numbers[i].value, 4 * numbers[i].words);
		decode(&attrs, list.bytes, list.size, reason);
		if (numbers[i].why ? !strstr(reason, numbers[i].why) : reason[0])
			fail_msg("row %u: \"%s\"", numbers[i].number, reason);
	}
}

static void larger_limits_than_ours_become_ours(void **state)
{
	static const uint32_t huge[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
	struct wire_attrs attrs;
	struct list list = {0};

	add(&list, DST_ATTR_LIMITS, huge, sizeof(huge));
	assert_accepted(&list, &attrs);
	assert_int_equal(attrs.max_payload, DST_MAX_PAYLOAD);
	assert_int_equal(attrs.max_range, DST_MAX_RANGE);
	assert_int_equal(attrs.depth, DST_MAX_DEPTH);
}

/* Names of exports. */
static const struct {
	unsigned number;
	const char *name;
	size_t length; /* 0: strlen */
	const char *why;
} names[] = {
	{1, "vol0", 0, NULL},
	{2, "a b.c-d_e~", 0, NULL},
	{3, "...", 0, NULL},
	{4, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xbe", 0, NULL}, /* 2, 3 and 4 bytes */
	{5, "", 0, "length is out of bounds"},
	{6, "a/b", 0, "'/'"},
	{7, "/", 0, "'/'"},
	{8, ".", 0, "\".\" or \"..\""},
	{9, "..", 0, "\".\" or \"..\""},
	{10, "a\0b", 3, "UTF-8"},
	{11, "a\nb", 0, "UTF-8"},
	{12, "a\x1b[31m", 0, "UTF-8"},
	{13, "a\x7f", 0, "UTF-8"},
	{14, "a\xc2\x85", 0, "UTF-8"}, /* C1: next line */
	{15, "a\xc2\xa0", 0, NULL}, /* the first after C1 */
	{16, "\xc0\xaf", 0, "UTF-8"}, /* overlong '/' */
	{17, "\xe0\x80\xaf", 0, "UTF-8"}, /* overlong '/' */
	{18, "\xf0\x80\x80\xaf", 0, "UTF-8"}, /* overlong '/' */
	{19, "\xc1\xbf", 0, "UTF-8"}, /* overlong DEL */
	{20, "\xe0\x9f\xbf", 0, "UTF-8"}, /* overlong U+07FF */
	{21, "\xe0\xa0\x80", 0, NULL}, /* U+0800 */
	{22, "\xed\x9f\xbf", 0, NULL}, /* U+D7FF */
	{23, "\xed\xa0\x80", 0, "UTF-8"}, /* surrogate U+D800 */
	{24, "\xed\xbf\xbf", 0, "UTF-8"}, /* surrogate U+DFFF */
	{25, "\xee\x80\x80", 0, NULL}, /* U+E000 */
	{26, "\xf0\x8f\xbf\xbf", 0, "UTF-8"}, /* overlong U+FFFF */
	{27, "\xf0\x90\x80\x80", 0, NULL}, /* U+10000 */
	{28, "\xf4\x8f\xbf\xbf", 0, NULL}, /* U+10FFFF */
	{29, "\xf4\x90\x80\x80", 0, "UTF-8"}, /* U+110000 */
	{30, "\xf8\x88\x80\x80\x80", 0, "UTF-8"}, /* 5 bytes */
	{31, "\xff", 0, "UTF-8"},
	{32, "\x80", 0, "UTF-8"}, /* a continuation alone */
	{33, "\xe2\x82", 0, "UTF-8"}, /* cut */
	{34, "\xe2\x82q", 0, "UTF-8"}, /* cut by another */
	{35, "\xe2\x80\xa7", 0, NULL}, /* U+2027 */
	{36, "\xe2\x80\xa8", 0, "UTF-8"}, /* U+2028: line separator */
	{37,
	 "cod\xe2\x80\xae"
	 "exe",
	 0, "UTF-8"}, /* U+202E: right to left from here */
	{38, "\xe2\x81\xa6", 0, "UTF-8"}, /* U+2066 */
	{39, "\xe2\x81\xaa", 0, NULL}, /* U+206A */
};

static void names_are_clean_and_fit_a_folder(void **state)
{
	for (size_t i = 0; i < COUNT(names); i++) {
		size_t length = names[i].length ? names[i].length : strlen(names[i].name);
		struct wire_attrs attrs;
		struct list list = {0};
		char reason[DST_MAX_REASON + 1];

		add(&list, DST_ATTR_EXPORT, names[i].name, length);
		decode(&attrs, list.bytes, list.size, reason);
		if (names[i].why ? !strstr(reason, names[i].why) : reason[0])
			fail_msg("row %u: \"%s\"", names[i].number, reason);
		if (!names[i].why)
			assert_string_equal(attrs.export_name, names[i].name);
	}
}

static void texts_are_as_long_as_they_may_be_and_no_longer(void **state)
{
	static const struct {
		unsigned kind;
		size_t most;
	} kinds[] = {
		{DST_ATTR_EXPORT, DST_MAX_NAME},
		{DST_ATTR_CLIENT, DST_MAX_CLIENT_NAME},
		{DST_ATTR_REASON, DST_MAX_REASON},
	};
	char text[DST_MAX_REASON + 1];

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct wire_attrs attrs;
		struct list list = {0};

		add(&list, kinds[i].kind, text, kinds[i].most);
		assert_accepted(&list, &attrs);
		list.size = 0;
		add(&list, kinds[i].kind, text, kinds[i].most + 1);
		assert_refused(&list, "length is out of bounds");
	}
}

static void texts_for_people_go_out_clean(void **state)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_CLIENT | 1u << DST_ATTR_REASON}, back;
	struct list list = {0};

	snprintf(attrs.client, sizeof(attrs.client), "box:/mnt/\xff\xc3\xa9\n");
	memset(attrs.reason, 'r', sizeof(attrs.reason)); /* without an end, even */
	list.size = wire_attrs_encode(list.bytes, &attrs);
	assert_accepted(&list, &back);
	assert_string_equal(back.client, "box:/mnt/?\xc3\xa9?");
	assert_int_equal(strlen(back.reason), DST_MAX_REASON);
}

static void statuses_and_errnos_map_both_ways(void **state)
{
	assert_int_equal(wire_status_to_errno(DST_OK), 0);
	assert_int_equal(wire_status_from_errno(0), DST_OK);
	for (int error = 1; error < 200; error++) {
		uint16_t status = wire_status_from_errno(error);

		assert_in_range(status, 1, 255);
		if (status != DST_EIO)
			assert_int_equal(wire_status_to_errno(status), error);
	}
	for (unsigned status = 0; status < 300; status++) {
		int error = wire_status_to_errno((uint16_t)status);
		bool known = strcmp(wire_status_text((uint16_t)status), "unknown error");

		if (!known)
			assert_int_equal(error, EIO);
		if (known && status < 256 && status != DST_EBADMSG)
			assert_int_equal(wire_status_from_errno(error), status);
		assert_int_equal(error == 0, status == DST_OK);
	}
	assert_int_equal(wire_status_to_errno(65535), EIO);
}

static void the_protocols_own_statuses_mean_what_a_caller_understands(void **state)
{
	assert_int_equal(wire_status_to_errno(DST_EUNKNOWN_EXPORT), ENOENT);
	assert_int_equal(wire_status_to_errno(DST_EDENIED), EACCES);
	assert_int_equal(wire_status_to_errno(DST_EVERSION), EPROTONOSUPPORT);
	assert_int_equal(wire_status_to_errno(DST_ESHUTDOWN), ESHUTDOWN);
	/* A disk's error is never taken for the server's own word. */
	assert_int_equal(wire_status_from_errno(ENOENT), DST_ENOENT);
	assert_int_equal(wire_status_from_errno(EACCES), DST_EACCES);
	assert_int_equal(wire_status_from_errno(EPROTONOSUPPORT), DST_EIO);
	assert_int_equal(wire_status_from_errno(ESHUTDOWN), DST_EIO);
	assert_int_equal(wire_status_from_errno(EBADMSG), DST_EIO);
	assert_int_equal(wire_status_from_errno(-EIO), DST_EIO);
}

static void extents_come_back(void **state)
{
	struct wire_extent in[3] = {{4096, DST_EXTENT_DATA}, {1, DST_EXTENT_HOLE}, {UINT32_MAX, 0}};
	struct wire_extent out[DST_MAX_EXTENTS];
	uint8_t bytes[3 * DST_EXTENT_SIZE];
	unsigned count;

	for (unsigned i = 0; i < 3; i++)
		wire_extent_encode(bytes + i * DST_EXTENT_SIZE, &in[i]);
	assert_int_equal(
		wire_extents_decode(out, &count, bytes, sizeof(bytes), 4097ull + UINT32_MAX), 0);
	assert_int_equal(count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(out[i].length, in[i].length);
		assert_int_equal(out[i].kind, in[i].kind);
	}
	assert_int_equal(
		wire_extents_decode(out, &count, bytes, sizeof(bytes), 4096ull + UINT32_MAX),
		EPROTO);
}

/* Two extents, of these lengths; `most` is 8192. */
static const struct {
	unsigned number;
	uint64_t length[2];
	uint8_t kind, reserved;
	uint32_t size;
	int want;
} extents[] = {
	{1, {4096, 4096}, 0, 0, 32, 0},
	{2, {4096, 4097}, 0, 0, 32, EPROTO},
	{3, {0, 4096}, 0, 0, 32, EPROTO},
	{4, {4096, 0}, 0, 0, 32, EPROTO},
	{5, {4096, UINT64_MAX}, 0, 0, 32, EPROTO},
	{6, {4096, UINT64_MAX - 4095}, 0, 0, 32, EPROTO}, /* their sum wraps to 0 */
	{7, {4096, 4096}, 0, 1, 32, EPROTO},
	{8, {4096, 4096}, 7, 0, 32, 0},
	{9, {4096, 4096}, 0, 0, 0, EPROTO},
	{10, {4096, 4096}, 0, 0, 15, EPROTO},
	{11, {4096, 4096}, 0, 0, 31, EPROTO},
	{12, {4096, 4096}, 0, 0, 16 * (DST_MAX_EXTENTS + 1), EPROTO},
};

static void hostile_extents_are_refused(void **state)
{
	static struct wire_extent out[DST_MAX_EXTENTS];
	static uint8_t bytes[DST_EXTENT_SIZE * (DST_MAX_EXTENTS + 1)];

	for (size_t i = 0; i < COUNT(extents); i++) {
		unsigned count;

		wire_u64_encode(bytes, extents[i].length[0]);
		wire_u64_encode(bytes + 16, extents[i].length[1]);
		bytes[16 + 8] = extents[i].kind;
		bytes[16 + 12] = extents[i].reserved;
		if (wire_extents_decode(out, &count, bytes, extents[i].size, 8192) !=
		    extents[i].want)
			fail_msg("row %u", extents[i].number);
		if (!extents[i].want)
			assert_int_equal(out[1].kind, DST_EXTENT_DATA);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_of_everything_comes_back),
		cmocka_unit_test(each_attribute_alone_comes_back),
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(a_list_cut_anywhere_is_refused_or_ends_there),
		cmocka_unit_test(a_length_past_the_end_is_refused),
		cmocka_unit_test(kinds_ascend),
		cmocka_unit_test(unknown_kinds_are_skipped_unless_mandatory),
		cmocka_unit_test(a_known_kind_may_be_marked_mandatory),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(numbers_are_held_to_their_limits),
		cmocka_unit_test(larger_limits_than_ours_become_ours),
		cmocka_unit_test(names_are_clean_and_fit_a_folder),
		cmocka_unit_test(texts_are_as_long_as_they_may_be_and_no_longer),
		cmocka_unit_test(texts_for_people_go_out_clean),
		cmocka_unit_test(statuses_and_errnos_map_both_ways),
		cmocka_unit_test(the_protocols_own_statuses_mean_what_a_caller_understands),
		cmocka_unit_test(extents_come_back),
		cmocka_unit_test(hostile_extents_are_refused),
	};

	return cmocka_run_group_tests_name("wire_attrs", tests, NULL, NULL);
}
