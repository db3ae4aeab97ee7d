/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linear.c - see linear.h
 *
 * The start of a child that is laid out never changes, so workers look at it without a lock: it is
 * written before map->laid tells of it. Where the last child ends stands in the map's size only,
 * which the range of every request was checked against.
 */
#include "dstfs/linear.h"

#include "common/log.h"

static uint64_t round_down(uint64_t size)
{
	return size - size % MAP_GRAIN;
}

static struct map_piece linear_piece(const struct map *map, uint64_t offset)
{
	unsigned laid = map->laid, child = laid - 1;
	uint64_t end;

	while (map->children[child].start > offset)
		child--;
	end = child + 1 < laid ? map->children[child + 1].start : UINT64_MAX;
	return (struct map_piece){
		.child = child,
		.offset = offset - map->children[child].start,
		.length = end - offset,
	};
}

static uint64_t linear_before(const struct map *map, unsigned child, uint64_t offset)
{
	uint64_t start = map->children[child].start;

	if (offset <= start)
		return 0;
	if (child + 1 < map->laid && offset > map->children[child + 1].start)
		offset = map->children[child + 1].start;
	return offset - start;
}

/* A child that is laid out: what has become of its size? */
static void look_again(struct map *map, unsigned index)
{
	struct map_child *child = &map->children[index];
	uint64_t size = child->target->size, end = map->base.size, needed;
	bool last = index + 1 == map->laid;

	if (!last)
		end = map->children[index + 1].start;
	needed = end - child->start;
	if (size < needed)
		map_complain(map, "%s has %llu bytes, but had %llu", child->name,
			     (unsigned long long)size, (unsigned long long)needed);
	else if (!last && size > child->seen && round_down(size) > needed)
		log_warn(
			"volume %s: %s has grown to %llu bytes. It isn't the last one, so only the "
			"first %llu are used; bring it back to that before the next mount, or all "
			"that is behind it will have moved",
			map->volume, child->name, (unsigned long long)size,
			(unsigned long long)needed);
	child->seen = size;
}

/* Puts a child at `start`. Returns where it ends; 0: that doesn't fit. */
static uint64_t place(struct map *map, unsigned index, uint64_t start)
{
	struct map_child *child = &map->children[index];
	uint64_t size = child->target->size, used = round_down(size);

	if (!used || used > INT64_MAX - start)
		return 0;
	if (size != used)
		log_info("volume %s: the last %llu bytes of %s stay unused: sizes are rounded down "
			 "to %u",
			 map->volume, (unsigned long long)(size - used), child->name, MAP_GRAIN);
	child->start = start;
	child->seen = size;
	return start + used;
}

static uint64_t lay_out(struct map *map)
{
	uint64_t end = 0;

	if (!map->count || !map_sizes_known(map, MAP_GRAIN))
		return 0;
	for (unsigned i = 0; i < map->count; i++) {
		end = place(map, i, end);
		if (!end) {
			map_complain(map, "the sizes are too large to be added up");
			return 0;
		}
	}
	map->laid = map->count;
	return end;
}

/* The first that isn't laid out, behind all others. Returns where it ends; 0: not now. */
static uint64_t add(struct map *map, uint64_t end)
{
	struct map_child *child = &map->children[map->laid];
	const char *why = NULL;

	if (!child->target->size) /* not known yet */
		return 0;
	if (map->base.writable && !child->target->writable)
		why = "it can't be written";
	else if (!(end = place(map, map->laid, end)))
		why = "its size doesn't fit";
	if (why) {
		if (!child->told)
			log_error("volume %s: %s is not added: %s", map->volume, child->name, why);
		child->told = true;
		return 0;
	}
	map->laid++; /* now workers may look */
	log_info("volume %s: %s is added: %llu bytes in all", map->volume, child->name,
		 (unsigned long long)end);
	return end;
}

static uint64_t linear_measure(struct map *map)
{
	const struct map_child *last;
	uint64_t end, more;

	if (!map->laid)
		return lay_out(map);
	for (unsigned i = 0; i < map->laid; i++)
		look_again(map, i);
	last = &map->children[map->laid - 1];
	end = last->start + round_down(last->target->size);
	if (end < map->base.size || end > INT64_MAX)
		end = map->base.size; /* it has shrunk, which is told; or grown beyond all bounds */
	while (map->laid < map->count && (more = add(map, end)))
		end = more;
	return end;
}

static const struct map_ops linear_ops = {
	.name = "linear",
	.piece = linear_piece,
	.before = linear_before,
	.measure = linear_measure,
};

struct target *linear_new(const struct map_setup *setup)
{
	return map_new(&linear_ops, setup);
}
