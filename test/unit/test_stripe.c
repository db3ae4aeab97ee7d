/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_stripe.c - how chunks are dealt out, and what may change of the children later. */
#include "dstfs/stripe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/map_fixture.h"

static struct map *map(void)
{
	return (struct map *)m.map;
}

/* Against counting chunk by chunk. */
static void chunks_are_dealt_in_turn(void **state)
{
	const uint64_t chunk = 4096, step = 1;
	uint64_t held[3] = {0, 0, 0};

	make_map(chunk, 1);
	for (unsigned i = 0; i < 3; i++)
		add_fake(5 * chunk, 0);
	map_start(m.map);
	assert_int_equal(m.map->size, 15 * chunk);
	for (uint64_t offset = 0; offset < m.map->size; offset += step) {
		unsigned child = (unsigned)(offset / chunk % 3);
		struct map_piece piece = map()->ops->piece(map(), offset);

		assert_int_equal(piece.child, child);
		assert_int_equal(piece.offset, held[child]);
		assert_int_equal(piece.length, chunk - offset % chunk);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(map()->ops->before(map(), i, offset), held[i]);
		held[child] += step;
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(map()->ops->before(map(), i, m.map->size), 5 * chunk);
}

static void all_count_with_the_smallest_in_whole_chunks(void **state)
{
	make_map(65536, 1);
	add_fake(1 << 20, 0);
	add_fake(0, 0);
	map_start(m.map);
	assert_int_equal(m.map->size, 0);
	set_size(&m.fakes[1], 3 * 65536 + 65535);
	assert_int_equal(m.map->size, 2 * 3 * 65536);
	assert_int_equal(m.map->state, TARGET_READY);
}

static void it_grows_with_all_and_shrinks_with_none(void **state)
{
	char reason[200];

	make_map(4096, 1);
	add_fake(8192, 0);
	add_fake(8192, 0);
	map_start(m.map);
	set_size(&m.fakes[0], 81920);
	assert_int_equal(m.map->size, 16384);
	set_size(&m.fakes[1], 12288);
	assert_int_equal(m.map->size, 24576);
	set_size(&m.fakes[1], 12287);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	assert_int_equal(m.map->size, 24576);
	m.map->ops->reason(m.map, reason, sizeof(reason));
	assert_string_equal(reason, "b has 12287 bytes, but had 12288");
	set_size(&m.fakes[1], 12288);
	assert_int_equal(m.map->state, TARGET_READY);
}

static void what_cannot_be_laid_out_is_refused(void **state)
{
	make_map(65536, 1);
	add_fake(65535, 0);
	add_fake(1 << 20, 0);
	map_start(m.map);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	assert_int_equal(m.map->size, 0);
	set_size(&m.fakes[0], INT64_MAX);
	set_size(&m.fakes[1], INT64_MAX);
	assert_int_equal(m.map->state, TARGET_REFUSED);
}

#define MAP_TEST(test) cmocka_unit_test_setup_teardown(test, map_setup, map_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MAP_TEST(chunks_are_dealt_in_turn),
		MAP_TEST(all_count_with_the_smallest_in_whole_chunks),
		MAP_TEST(it_grows_with_all_and_shrinks_with_none),
		MAP_TEST(what_cannot_be_laid_out_is_refused),
	};

	return cmocka_run_group_tests_name("stripe", tests, NULL, NULL);
}
