/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_range.c - arithmetic on ranges at the edges of 64 bits. */
#include "common/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOST UINT64_MAX
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void within_never_wraps(void **state)
{
	static const struct {
		unsigned number;
		uint64_t offset, length, size;
		bool want;
	} rows[] = {
		{1, 0, 0, 0, true},         {2, 0, 1, 0, false},
		{3, 1, 0, 0, false},        {4, 0, 10, 10, true},
		{5, 0, 11, 10, false},      {6, 10, 0, 10, true},
		{7, 9, 1, 10, true},        {8, 9, 2, 10, false},
		{9, 11, 0, 10, false},      {10, 1, MOST, 10, false}, /* ends at 0 if it wraps */
		{11, MOST, 1, 10, false},   {12, MOST, MOST, MOST, false},
		{13, MOST, 0, MOST, true},  {14, 0, MOST, MOST, true},
		{15, 1, MOST, MOST, false}, {16, 1, MOST - 1, MOST, true},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (range_within((struct range){rows[i].offset, rows[i].length}, rows[i].size) !=
		    rows[i].want)
			fail_msg("row %u", rows[i].number);
}

static void overlap_is_a_shared_byte_whoever_asks(void **state)
{
	static const struct {
		unsigned number;
		struct range a, b;
		bool want;
	} rows[] = {
		{1, {0, 10}, {10, 10}, false},
		{2, {0, 11}, {10, 10}, true},
		{3, {0, 10}, {9, 1}, true},
		{4, {5, 1}, {0, 10}, true},
		{5, {5, 0}, {0, 10}, false}, /* an empty one shares nothing */
		{6, {0, 0}, {0, 0}, false},
		{7, {3, 4}, {3, 4}, true},
		{8, {MOST - 1, 1}, {MOST - 2, 1}, false},
		{9, {MOST - 1, 1}, {0, MOST}, true},
		{10, {0, 1}, {MOST - 1, 1}, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		if (range_overlaps(rows[i].a, rows[i].b) != rows[i].want ||
		    range_overlaps(rows[i].b, rows[i].a) != rows[i].want)
			fail_msg("row %u", rows[i].number);
}

static void clip_keeps_what_lies_within(void **state)
{
	static const struct {
		unsigned number;
		struct range r;
		uint64_t size;
		struct range want;
	} rows[] = {
		{1, {0, 10}, 10, {0, 10}},      {2, {0, 11}, 10, {0, 10}},
		{3, {9, 5}, 10, {9, 1}},        {4, {10, 5}, 10, {10, 0}},
		{5, {11, 5}, 10, {10, 0}},      {6, {5, MOST}, 10, {5, 5}},
		{7, {MOST, MOST}, 10, {10, 0}}, {8, {0, 0}, 0, {0, 0}},
		{9, {5, 0}, 10, {5, 0}},        {10, {1, MOST}, MOST, {1, MOST - 1}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct range got = range_clip(rows[i].r, rows[i].size);

		if (got.offset != rows[i].want.offset || got.length != rows[i].want.length)
			fail_msg("row %u", rows[i].number);
		assert_true(range_within(got, rows[i].size));
	}
}

static void head_is_the_first_part(void **state)
{
	struct range r = {7, 100};

	assert_int_equal(range_head(r, 99).length, 99);
	assert_int_equal(range_head(r, 99).offset, 7);
	assert_int_equal(range_head(r, 100).length, 100);
	assert_int_equal(range_head(r, MOST).length, 100);
	assert_int_equal(range_head(r, 0).length, 0);
}

static void heads_and_advances_cover_a_range_once(void **state)
{
	struct range r = {MOST - 1000, 1000};
	uint64_t at = r.offset;

	while (r.length) {
		struct range head = range_head(r, 7);

		assert_int_equal(head.offset, at);
		at += head.length;
		range_advance(&r, head.length);
	}
	assert_int_equal(at, MOST);
	assert_int_equal(r.offset, MOST);
	range_advance(&r, 0);
	assert_int_equal(r.offset, MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(within_never_wraps),
		cmocka_unit_test(overlap_is_a_shared_byte_whoever_asks),
		cmocka_unit_test(clip_keeps_what_lies_within),
		cmocka_unit_test(head_is_the_first_part),
		cmocka_unit_test(heads_and_advances_cover_a_range_once),
	};

	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
