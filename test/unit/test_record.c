/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_record.c - what has run is known, what runs is joined, what differs is refused, and the rest is
 * new: by hand, and against a model that keeps everything in the plainest way.
 */
#include "server/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DEPTH 4u
#define WINDOW (DST_LAG_FACTOR * DEPTH)
#define NO_STATUS 0xffff /* put where nothing may be written */

static struct record_table *table;

static int setup(void **state)
{
	table = record_table_new(DEPTH);
	return table ? 0 : -1;
}

static int teardown(void **state)
{
	record_table_free(&table);
	return table ? -1 : 0;
}

static struct wire_header a_write(uint64_t id)
{
	return (struct wire_header){.type = DST_WRITE,
				    .id = id,
				    .range = {4096, 512},
				    .payload = 512,
				    .digest = 0x1234};
}

static void expect(const struct wire_header *header, uint64_t instance, enum record_verdict want)
{
	uint16_t status = NO_STATUS;
	uint32_t length = 77;

	assert_int_equal(record_begin(table, header, instance, &status, &length), want);
	if (want != RECORD_DONE) {
		assert_int_equal(status, NO_STATUS);
		assert_int_equal(length, 77);
	}
}

static void expect_done(const struct wire_header *header, uint64_t instance, uint16_t status,
			uint32_t length)
{
	uint16_t got_status = NO_STATUS;
	uint32_t got_length = 77;

	assert_int_equal(record_begin(table, header, instance, &got_status, &got_length),
			 RECORD_DONE);
	assert_int_equal(got_status, status);
	assert_int_equal(got_length, length);
}

static void sent_again_it_is_joined_then_answered(void **state)
{
	struct wire_header header = a_write(1), copy = a_write(2);

	copy.type = DST_COPY;
	expect(&header, 0, RECORD_NEW);
	expect(&header, 0, RECORD_JOINED);
	expect(&copy, 0, RECORD_NEW);
	record_end(table, 1, DST_EIO, 0);
	expect_done(&header, 0, DST_EIO, 0);
	expect_done(&header, 0, DST_EIO, 0);
	expect(&copy, 0, RECORD_JOINED);
	record_end(table, 2, DST_OK, 511);
	expect_done(&copy, 0, DST_OK, 511);
	record_end(table, 2, DST_EIO, 0); /* once is enough */
	expect_done(&copy, 0, DST_OK, 511);
}

static void other_content_is_a_false_retry(void **state)
{
	struct wire_header changed[6];

	for (unsigned i = 0; i < 6; i++)
		changed[i] = a_write(1);
	changed[0].type = DST_WRITE_ZEROES;
	changed[1].flags = DST_F_FUA;
	changed[2].range.offset++;
	changed[3].range.length++;
	changed[4].digest++;
	changed[5].range.offset += (uint64_t)1 << 32;
	expect(&(struct wire_header){.id = 1}, 0, RECORD_NEW);
	record_drop(table, 1);
	for (int done = 0; done <= 1; done++) {
		struct wire_header header = a_write(1);

		expect(&header, 0, done ? RECORD_JOINED : RECORD_NEW);
		if (done)
			record_end(table, 1, DST_OK, 0);
		for (unsigned i = 0; i < 6; i++)
			expect(&changed[i], 0, RECORD_FALSE_RETRY);
	}
}

static void a_digest_that_is_off_tells_nothing(void **state)
{
	struct wire_header with = a_write(1), without = a_write(1);

	without.digest = 0;
	expect(&with, 0, RECORD_NEW);
	expect(&without, 0, RECORD_JOINED);
	with.id = without.id = 2;
	expect(&without, 0, RECORD_NEW);
	record_end(table, 2, DST_OK, 0);
	expect_done(&with, 0, DST_OK, 0);
}

static void what_was_dropped_is_new(void **state)
{
	struct wire_header header = a_write(1), other = a_write(1);

	other.digest++;
	expect(&header, 0, RECORD_NEW);
	record_drop(table, 1);
	expect(&other, 0, RECORD_NEW);
	record_end(table, 1, DST_OK, 0);
	record_drop(table, 1); /* it has run: too late */
	expect_done(&other, 0, DST_OK, 0);
}

static void another_instance_forgets_what_has_run_not_what_runs(void **state)
{
	struct wire_header ran = a_write(1), runs = a_write(2), other = a_write(2);
	struct wire_pending pending = {.first = 1, .count = 2, .distance = {0, 1}};
	struct wire_executed executed;

	other.digest++;
	expect(&ran, 7, RECORD_NEW);
	expect(&runs, 7, RECORD_NEW);
	record_end(table, 1, DST_OK, 0);
	expect(&runs, 8, RECORD_JOINED);
	expect(&other, 8, RECORD_FALSE_RETRY);
	record_end(table, 2, DST_OK, 0);
	record_executed(table, &pending, 8, &executed);
	assert_int_equal(executed.count, 0);
	expect(&ran, 8, RECORD_NEW);
	expect(&other, 8, RECORD_NEW);
}

static void the_window_is_what_a_lag_may_be(void **state)
{
	static const struct {
		uint64_t watermark, id;
		bool inside;
	} rows[] = {
		{0, 0, false},
		{0, 1, true},
		{0, WINDOW, true},
		{0, WINDOW + 1, false},
		{0, UINT64_MAX, false},
		{100, 100, false},
		{100, 99, false},
		{100, 1, false},
		{100, 100 + WINDOW, true},
		{100, 101 + WINDOW, false},
		{UINT64_MAX - 3, UINT64_MAX, true},
		{UINT64_MAX - 3, 1, false},
		{UINT64_MAX, UINT64_MAX, false},
		{UINT64_MAX, 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_header header = a_write(rows[i].id);

		record_forget(table, rows[i].watermark);
		expect(&header, 0, rows[i].inside ? RECORD_NEW : RECORD_FALSE_RETRY);
		record_end(table, rows[i].id, DST_OK, 0);
		if (rows[i].inside)
			expect_done(&header, 0, DST_OK, 0);
	}
}

/* Each id of a full window has an entry of its own, and the next window's take their places. */
static void all_of_a_window_is_kept(void **state)
{
	struct wire_header header = a_write(1);

	for (uint64_t id = 1; id <= WINDOW; id++) {
		header.id = id;
		header.digest = id * 3 + 1;
		expect(&header, 0, RECORD_NEW);
		record_end(table, id, (uint16_t)(id % 3), (uint32_t)id);
	}
	for (uint64_t id = 1; id <= WINDOW; id++) {
		header.id = id;
		header.digest = id * 3 + 1;
		expect_done(&header, 0, (uint16_t)(id % 3), (uint32_t)id);
	}
	for (uint64_t id = WINDOW + 1; id <= 2 * WINDOW; id++) {
		record_forget(table, id - WINDOW);
		header.id = id;
		expect(&header, 0, RECORD_NEW);
		header.id = id - WINDOW;
		expect(&header, 0, RECORD_FALSE_RETRY);
		record_end(table, id - WINDOW, DST_OK, 0); /* its entry is another's now */
		header.id = id;
		expect(&header, 0, RECORD_JOINED);
	}
}

static void the_watermark_does_not_go_back(void **state)
{
	struct wire_header header = a_write(5);

	record_forget(table, 10);
	record_forget(table, 4);
	expect(&header, 0, RECORD_FALSE_RETRY);
}

static void executed_names_what_has_run(void **state)
{
	struct wire_pending pending = {.first = 2, .count = 4, .distance = {0, 1, 3, WINDOW + 5}};
	struct wire_executed executed;
	struct wire_header header;

	for (uint64_t id = 1; id <= 5; id++) {
		header = a_write(id);
		expect(&header, 3, RECORD_NEW);
		if (id != 4)
			record_end(table, id, (uint16_t)(DST_OK + id), (uint32_t)(100 * id));
	}
	record_drop(table, 4);
	record_executed(table, &pending, 3, &executed);
	assert_int_equal(executed.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t id = 2 + pending.distance[i];

		assert_int_equal(executed.one[i].distance, pending.distance[i]);
		assert_int_equal(executed.one[i].status, id);
		assert_int_equal(executed.one[i].length, 100 * id);
	}
	pending.first = UINT64_MAX; /* sums that wrap find nothing */
	record_executed(table, &pending, 3, &executed);
	assert_true(executed.count <= 1);
	record_forget(table, 2);
	pending.first = 2;
	record_executed(table, &pending, 3, &executed);
	assert_int_equal(executed.count, 2);
}

/* ---- against a model ---- */

#define IDS 4000u /* at most, of one round */

struct model_entry {
	enum { UNKNOWN, RUNNING, RAN } state;
	struct wire_header header;
	uint64_t instance;
	uint16_t status;
	uint32_t length;
};

static struct model_entry model[IDS + 2 * WINDOW];
static uint64_t model_watermark, model_instance;

static uint32_t draw(uint64_t *seed, uint32_t below)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33) % below;
}

static enum record_verdict model_begin(const struct wire_header *header, uint16_t *status,
				       uint32_t *length)
{
	struct model_entry *entry = &model[header->id];

	if (header->id <= model_watermark || header->id > model_watermark + WINDOW)
		return RECORD_FALSE_RETRY;
	if (entry->state == RAN && entry->instance != model_instance)
		entry->state = UNKNOWN;
	if (entry->state == UNKNOWN) {
		*entry = (struct model_entry){RUNNING, *header, model_instance, 0, 0};
		return RECORD_NEW;
	}
	if (memcmp(&entry->header, header, sizeof(*header)) != 0)
		return RECORD_FALSE_RETRY;
	if (entry->state == RUNNING)
		return RECORD_JOINED;
	*status = entry->status;
	*length = entry->length;
	return RECORD_DONE;
}

static void compare_begin(uint64_t id, uint64_t *seed)
{
	uint16_t status = NO_STATUS, want_status = NO_STATUS;
	uint32_t length = 0, want_length = 0;
	struct wire_header header;
	enum record_verdict want;

	memset(&header, 0, sizeof(header)); /* padding too */
	header.type = (uint8_t)(DST_WRITE + draw(seed, 8) / 7);
	header.id = id;
	header.range.offset = 4096;
	header.range.length = 512;
	header.digest = 1 + draw(seed, 8) / 7;
	want = model_begin(&header, &want_status, &want_length);
	assert_int_equal(record_begin(table, &header, model_instance, &status, &length), want);
	assert_int_equal(status, want_status);
	assert_int_equal(length, want_length);
}

static void finish(uint64_t id, bool ran, uint64_t *seed)
{
	uint16_t status = (uint16_t)draw(seed, 300);
	uint32_t length = draw(seed, 1u << 30);

	if (ran)
		record_end(table, id, status, length);
	else
		record_drop(table, id);
	if (id <= model_watermark || model[id].state != RUNNING)
		return;
	model[id].state = ran ? RAN : UNKNOWN;
	model[id].status = status;
	model[id].length = length;
}

static void compare_executed(uint64_t *seed)
{
	struct wire_pending pending = {.first = model_watermark + draw(seed, 4)};
	struct wire_executed executed;
	unsigned found = 0;

	for (uint16_t at = 0; pending.count < 40; at = (uint16_t)(at + 1 + draw(seed, 3)))
		pending.distance[pending.count++] = at;
	record_executed(table, &pending, model_instance, &executed);
	for (unsigned i = 0; i < pending.count; i++) {
		uint64_t id = pending.first + pending.distance[i];
		const struct model_entry *entry = &model[id];

		if (id <= model_watermark || id > model_watermark + WINDOW || entry->state != RAN ||
		    entry->instance != model_instance)
			continue;
		assert_true(found < executed.count);
		assert_int_equal(executed.one[found].distance, pending.distance[i]);
		assert_int_equal(executed.one[found].status, entry->status);
		assert_int_equal(executed.one[found].length, entry->length);
		found++;
	}
	assert_int_equal(executed.count, found);
}

static void it_does_what_a_model_does(void **state)
{
	for (uint64_t round = 0; round < 200; round++) {
		uint64_t seed = round;

		record_table_free(&table);
		table = record_table_new(DEPTH);
		memset(model, 0, sizeof(model));
		model_watermark = model_instance = 0;
		while (model_watermark < IDS - 2 * WINDOW) {
			uint64_t id = model_watermark + draw(&seed, WINDOW + WINDOW / 8);

			switch (draw(&seed, 16)) {
			case 0:
				compare_executed(&seed);
				break;
			case 1:
				model_instance += draw(&seed, 8) == 0;
				break;
			case 2:
				finish(id, false, &seed);
				break;
			case 3:
				model_watermark += draw(&seed, 1 + draw(&seed, WINDOW));
				record_forget(table, model_watermark);
				break;
			case 4:
			case 5:
			case 6:
			case 7:
				finish(id, true, &seed);
				break;
			default:
				compare_begin(id, &seed);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(sent_again_it_is_joined_then_answered),
		TEST(other_content_is_a_false_retry),
		TEST(a_digest_that_is_off_tells_nothing),
		TEST(what_was_dropped_is_new),
		TEST(another_instance_forgets_what_has_run_not_what_runs),
		TEST(the_window_is_what_a_lag_may_be),
		TEST(all_of_a_window_is_kept),
		TEST(the_watermark_does_not_go_back),
		TEST(executed_names_what_has_run),
		TEST(it_does_what_a_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
