/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_linear.c - how children are laid one after the other, and what may change of them later. */
#include "dstfs/linear.h"

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

/* Walks all of it, byte-exact at the seams, against the sizes as they were laid. */
static void check_layout(const uint64_t *sizes, unsigned count)
{
	uint64_t start = 0;

	assert_int_equal(map()->laid, count);
	for (unsigned i = 0; i < count; i++) {
		const uint64_t spots[] = {0, 1, sizes[i] / 2, sizes[i] - 1};

		for (unsigned s = 0; s < 4; s++) {
			struct map_piece piece = map()->ops->piece(map(), start + spots[s]);

			assert_int_equal(piece.child, i);
			assert_int_equal(piece.offset, spots[s]);
			assert_true(piece.length >= sizes[i] - spots[s]);
			if (i + 1 < count)
				assert_int_equal(piece.length, sizes[i] - spots[s]);
			assert_int_equal(map()->ops->before(map(), i, start + spots[s]), spots[s]);
			for (unsigned j = 0; j < i; j++)
				assert_int_equal(map()->ops->before(map(), j, start + spots[s]),
						 sizes[j]);
			for (unsigned j = i + 1; j < count; j++)
				assert_int_equal(map()->ops->before(map(), j, start + spots[s]), 0);
		}
		start += sizes[i];
	}
	assert_int_equal(m.map->size, start);
}

static void sizes_in_any_mix_are_rounded_and_laid_in_order(void **state)
{
	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(4096, 0);
	add_fake(1048576 + 4095, 0);
	add_fake(12288 + 1, 0);
	map_start(m.map);
	check_layout((const uint64_t[]){8192, 4096, 1048576, 12288}, 4);
	assert_int_equal(m.map->state, TARGET_READY);
	assert_true(m.map->writable);
	assert_int_equal(m.changes, 1);
}

static void the_size_is_unknown_until_all_are_there(void **state)
{
	struct fake_target *a, *b;
	char reason[200];

	make_map(0, 1);
	a = add_fake(0, 0);
	b = add_fake(0, 0);
	map_start(m.map);
	assert_int_equal(m.map->state, TARGET_CONNECTING);
	assert_int_equal(m.changes, 0);
	set_size(b, 4096);
	assert_int_equal(m.map->size, 0);
	assert_int_equal(m.changes, 0); /* a has not said anything yet */
	set_fake_state(a, TARGET_REFUSED, "no such export");
	assert_int_equal(m.changes, 1);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	m.map->ops->reason(m.map, reason, sizeof(reason));
	assert_string_equal(reason, "a: no such export");
	set_size(a, 8192);
	check_layout((const uint64_t[]){8192, 4096}, 2);
	assert_int_equal(m.map->state, TARGET_READY);
	m.map->ops->reason(m.map, reason, sizeof(reason));
	assert_string_equal(reason, "");
}

static void one_that_is_too_small_is_refused_by_name(void **state)
{
	char reason[200];

	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(4095, 0);
	map_start(m.map);
	assert_int_equal(m.map->size, 0);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	m.map->ops->reason(m.map, reason, sizeof(reason));
	assert_string_equal(reason,
			    "b has 4095 bytes, too few for a linear map; 4096 are the least");
	set_size(&m.fakes[1], 4096);
	assert_int_equal(m.map->state, TARGET_READY);
	assert_int_equal(m.map->size, 12288);
}

static void sizes_that_dont_add_up_are_refused(void **state)
{
	make_map(0, 1);
	add_fake(INT64_MAX, 0);
	add_fake(4096, 0);
	map_start(m.map);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	assert_int_equal(m.map->size, 0);
}

static void only_the_last_may_grow_and_none_may_shrink(void **state)
{
	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(4096, 0);
	map_start(m.map);
	set_size(&m.fakes[0], 16384);
	check_layout((const uint64_t[]){8192, 4096}, 2);
	set_size(&m.fakes[1], 20480 + 17);
	check_layout((const uint64_t[]){8192, 20480}, 2);
	assert_int_equal(m.map->state, TARGET_READY);
	set_size(&m.fakes[1], 4096);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	assert_int_equal(m.map->size, 8192 + 20480);
	set_size(&m.fakes[1], 20480);
	assert_int_equal(m.map->state, TARGET_READY);
	set_size(&m.fakes[0], 4096);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	set_size(&m.fakes[0], 8192);
	assert_int_equal(m.map->state, TARGET_READY);
	check_layout((const uint64_t[]){8192, 20480}, 2);
}

static void what_is_added_counts_when_it_is_there(void **state)
{
	struct fake_target *c;

	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(4096, 0);
	map_start(m.map);
	c = add_fake(0, 0);
	assert_int_equal(m.map->state, TARGET_READY);
	check_layout((const uint64_t[]){8192, 4096}, 2);
	set_fake_state(c, TARGET_REFUSED, "no");
	assert_int_equal(m.map->state, TARGET_READY);
	set_size(&m.fakes[1], 8192); /* the last one as yet: it still may */
	set_size(c, 40960);
	check_layout((const uint64_t[]){8192, 8192, 40960}, 3);
	add_fake(4096, 0); /* there at once */
	check_layout((const uint64_t[]){8192, 8192, 40960, 4096}, 4);
	set_size(c, 81920);
	check_layout((const uint64_t[]){8192, 8192, 40960, 4096}, 4);
	set_fake_state(c, TARGET_AWAY, "reset");
	assert_int_equal(m.map->state, TARGET_AWAY);
}

static void what_is_added_in_disorder_waits_for_those_before_it(void **state)
{
	make_map(0, 1);
	add_fake(8192, 0);
	map_start(m.map);
	add_fake(0, 0);
	add_fake(12288, 0);
	check_layout((const uint64_t[]){8192}, 1);
	set_size(&m.fakes[1], 4096);
	check_layout((const uint64_t[]){8192, 4096, 12288}, 3);
}

static void a_read_only_one_is_not_added_to_what_is_written(void **state)
{
	struct fake_target *b;

	make_map(0, 1);
	add_fake(8192, 0);
	map_start(m.map);
	b = add_fake(0, 0);
	b->base.writable = false;
	set_size(b, 8192);
	assert_int_equal(m.map->size, 8192);
	assert_true(m.map->writable);
	b->base.writable = true;
	set_size(b, 8192);
	assert_int_equal(m.map->size, 16384);
	b->base.writable = false;
	set_size(b, 8192);
	assert_false(m.map->writable);
}

static void the_worst_state_is_the_whole_ones(void **state)
{
	static const enum target_state order[] = {TARGET_READY, TARGET_AWAY, TARGET_CONNECTING,
						  TARGET_REFUSED, TARGET_FENCED};

	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(8192, 0);
	map_start(m.map);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < 5; j++) {
			char reason[200];

			set_fake_state(&m.fakes[0], order[i], "x");
			set_fake_state(&m.fakes[1], order[j], "");
			assert_int_equal(m.map->state, order[i > j ? i : j]);
			m.map->ops->reason(m.map, reason, sizeof(reason));
			assert_string_equal(reason, i == 0 && j == 0 ? ""
						    : i >= j         ? "a: x"
								     : "b: no answer so far");
		}
	}
	assert_int_equal(m.map->ops->reattach(m.map, true), 0);
	assert_int_equal(m.fakes[0].reattached, 1);
	assert_int_equal(m.fakes[1].reattached, 1);
	set_fake_state(&m.fakes[0], TARGET_READY, "");
	set_fake_state(&m.fakes[1], TARGET_READY, "");
	assert_int_equal(m.map->ops->reattach(m.map, true), EINVAL);
}

static void status_is_a_tree(void **state)
{
	json_t *status, *nodes;

	make_map(0, 1);
	add_fake(8192, 0);
	add_fake(4096, 0);
	map_start(m.map);
	status = m.map->ops->status(m.map);
	nodes = json_object_get(status, "nodes");
	assert_string_equal(json_string_value(json_object_get(status, "map")), "linear");
	assert_string_equal(json_string_value(json_object_get(status, "state")), "ready");
	assert_int_equal(json_integer_value(json_object_get(status, "size")), 12288);
	assert_int_equal(json_array_size(nodes), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 1), "name")),
			    "b");
	json_decref(status);
}

#define MAP_TEST(test) cmocka_unit_test_setup_teardown(test, map_setup, map_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MAP_TEST(sizes_in_any_mix_are_rounded_and_laid_in_order),
		MAP_TEST(the_size_is_unknown_until_all_are_there),
		MAP_TEST(one_that_is_too_small_is_refused_by_name),
		MAP_TEST(sizes_that_dont_add_up_are_refused),
		MAP_TEST(only_the_last_may_grow_and_none_may_shrink),
		MAP_TEST(what_is_added_counts_when_it_is_there),
		MAP_TEST(what_is_added_in_disorder_waits_for_those_before_it),
		MAP_TEST(a_read_only_one_is_not_added_to_what_is_written),
		MAP_TEST(the_worst_state_is_the_whole_ones),
		MAP_TEST(status_is_a_tree),
	};

	return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
