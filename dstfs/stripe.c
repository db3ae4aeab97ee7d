/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stripe.c - see stripe.h. A row is one chunk of every child. */
#include "dstfs/stripe.h"

#include "common/log.h"

#include <assert.h>

static struct map_piece stripe_piece(const struct map *map, uint64_t offset)
{
	uint64_t chunk = map->chunk, number = offset / chunk, within = offset % chunk;

	return (struct map_piece){
		.child = (unsigned)(number % map->laid),
		.offset = number / map->laid * chunk + within,
		.length = chunk - within,
	};
}

static uint64_t stripe_before(const struct map *map, unsigned child, uint64_t offset)
{
	uint64_t row = map->chunk * map->laid, whole = offset / row * map->chunk;
	uint64_t rest = offset % row, start = map->chunk * child;

	if (rest <= start)
		return whole;
	return whole + (rest - start < map->chunk ? rest - start : map->chunk);
}

/* The smallest child's size, in whole chunks. */
static uint64_t smallest(const struct map *map)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < map->count; i++)
		if (map->children[i].target->size < least)
			least = map->children[i].target->size;
	return least - least % map->chunk;
}

static void tell_unused(const struct map *map, uint64_t used)
{
	for (unsigned i = 0; i < map->count; i++) {
		uint64_t size = map->children[i].target->size;

		if (size > used)
			log_info("volume %s: the last %llu bytes of %s stay unused: each node of a "
				 "stripe counts with the size of the smallest, in chunks of %llu",
				 map->volume, (unsigned long long)(size - used),
				 map->children[i].name, (unsigned long long)map->chunk);
	}
}

static uint64_t stripe_measure(struct map *map)
{
	uint64_t used, before;

	if (!map->count || (!map->laid && !map_sizes_known(map, map->chunk)))
		return 0;
	used = smallest(map);
	before = map->base.size / map->count;
	for (unsigned i = 0; i < map->count && used < before; i++)
		if (map->children[i].target->size < before)
			map_complain(map, "%s has %llu bytes, but had %llu", map->children[i].name,
				     (unsigned long long)map->children[i].target->size,
				     (unsigned long long)before);
	if (used > INT64_MAX / map->count) {
		map_complain(map, "the sizes are too large to be added up");
		return map->base.size;
	}
	if (used <= before)
		return map->base.size;
	tell_unused(map, used);
	map->laid = map->count;
	return used * map->count;
}

static const struct map_ops stripe_ops = {
	.name = "stripe",
	.piece = stripe_piece,
	.before = stripe_before,
	.measure = stripe_measure,
};

struct target *stripe_new(const struct map_setup *setup)
{
	assert(setup->chunk >= MAP_GRAIN && !(setup->chunk & (setup->chunk - 1)));
	return map_new(&stripe_ops, setup);
}
