/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shape.c - see shape.h */
#include "test/sim/shape.h"

#include "dstfs/map.h"
#include "dstfs/mirror_meta.h"
#include "test/sim/disk.h"

#include <stdio.h>
#include <string.h>

#define GRAIN (MAP_GRAIN / CELL) /* cells: sizes in a map are multiples */
#define BLOCK (MIRROR_BLOCK / CELL) /* likewise in a mirror */
#define TAIL_BLOCKS (MIRROR_COPIES + 1u) /* its superblocks, and its maps */
#define REGIONS_MOST (MODEL_CELLS_MOST / BLOCK) /* of the whole volume */

struct shape shape;

static const char *const names[SHAPES] = {
	[SHAPE_SINGLE] = "single",
	[SHAPE_MIRROR] = "mirror",
	[SHAPE_LINEAR] = "linear",
	[SHAPE_STRIPE] = "stripe",
	[SHAPE_MIRROR_OF_LINEAR] = "mirror of linear",
	[SHAPE_LINEAR_OF_MIRRORS] = "linear of mirrors",
};

const char *shape_name(enum shape_kind kind)
{
	return names[kind];
}

/* ---- where things are ---- */

unsigned shape_member_cells(const struct shape_member *member)
{
	unsigned cells = 0;

	for (unsigned i = 0; i < member->count; i++)
		cells += shape.node_cells[member->first + i];
	return cells;
}

void shape_locate(const struct shape_member *member, unsigned cell, unsigned *node, unsigned *at)
{
	if (shape.kind == SHAPE_STRIPE) {
		unsigned chunk = cell / shape.chunk;

		*node = chunk % shape.nodes;
		*at = chunk / shape.nodes * shape.chunk + cell % shape.chunk;
		return;
	}
	*node = member->first;
	while (cell >= shape.node_cells[*node])
		cell -= shape.node_cells[(*node)++];
	*at = cell;
}

const struct shape_part *shape_part_of(unsigned cell)
{
	const struct shape_part *part = shape.parts;

	while (part + 1 < shape.parts + shape.part_count && cell >= part[1].first)
		part++;
	return part;
}

void shape_place(unsigned cell, unsigned member, unsigned *node, unsigned *at)
{
	const struct shape_part *part = shape_part_of(cell);

	shape_locate(&part->members[member], cell - part->first, node, at);
}

bool shape_is_metadata(unsigned node, unsigned at)
{
	for (unsigned i = 0; i < shape.part_count && shape.mirrored; i++) {
		const struct shape_part *part = &shape.parts[i];

		for (unsigned j = 0; j < part->member_count; j++) {
			const struct shape_member *member = &part->members[j];

			if (node < member->first || node >= member->first + member->count)
				continue;
			for (unsigned before = member->first; before < node; before++)
				at += shape.node_cells[before];
			return at >= part->cells;
		}
	}
	return false;
}

/* ---- drawing one ---- */

static struct shape_part *add_part(bool mirror, unsigned cells)
{
	struct shape_part *part = &shape.parts[shape.part_count++];

	*part = (struct shape_part){.first = shape.cells, .cells = cells, .mirror = mirror};
	shape.mirrored |= mirror;
	shape.cells += cells;
	return part;
}

/* Of `count` nodes with so many cells together. */
static void add_member(struct shape_part *part, unsigned cells, unsigned count)
{
	struct shape_member *member = &part->members[part->member_count++];

	*member = (struct shape_member){.first = shape.nodes, .count = count};
	for (; count; count--) {
		unsigned most = cells / GRAIN - (count - 1);
		unsigned own = count == 1 ? cells : GRAIN * (1 + (unsigned)sim_random(most));

		shape.node_cells[shape.nodes++] = own;
		cells -= own;
	}
}

static void draw_mirror(unsigned regions_most, unsigned members, bool of_linear)
{
	unsigned regions = (unsigned)sim_between(1, regions_most);
	struct shape_part *part = add_part(true, regions * BLOCK);

	for (unsigned i = 0; i < members; i++)
		add_member(part, (regions + TAIL_BLOCKS) * BLOCK,
			   of_linear && (i == 0 || sim_chance(50)) ? 2 : 1);
}

static void draw_linear(void)
{
	unsigned nodes = (unsigned)sim_between(2, NODES_MOST);

	for (unsigned i = 0; i < nodes; i++) {
		unsigned cells = GRAIN * (unsigned)sim_between(1, MODEL_CELLS_MOST / GRAIN / nodes);

		add_member(add_part(false, cells), cells, 1);
	}
}

static void draw_stripe(void)
{
	unsigned nodes = (unsigned)sim_between(2, NODES_MOST), most;
	struct shape_part *part;

	shape.chunk = GRAIN << sim_random(3);
	most = MODEL_CELLS_MOST / shape.chunk / nodes;
	shape.nodes = nodes;
	for (unsigned i = 0, chunks = (unsigned)sim_between(1, most); i < nodes; i++)
		shape.node_cells[i] = shape.chunk * chunks;
	part = add_part(false, shape.node_cells[0] * nodes);
	part->member_count = 1;
	part->members[0] = (struct shape_member){.first = 0, .count = nodes};
}

/* ---- as configured ---- */

static void say(const char *text)
{
	size_t used = strlen(shape.map);

	snprintf(shape.map + used, sizeof(shape.map) - used, "%s", text);
}

static void say_nodes(const struct shape_member *member)
{
	for (unsigned i = 0; i < member->count; i++) {
		char name[] = {i ? ',' : '\0', '\0', '\0'};

		name[i ? 1 : 0] = (char)('a' + member->first + i);
		say(name);
	}
}

static void say_part(const struct shape_part *part)
{
	say(part->mirror ? "mirror(" : "");
	for (unsigned i = 0; i < part->member_count; i++) {
		bool several = part->mirror && part->members[i].count > 1;

		say(i ? "," : "");
		say(several ? "linear(" : "");
		say_nodes(&part->members[i]);
		say(several ? ")" : "");
	}
	say(part->mirror ? ")" : "");
}

static void say_all(void)
{
	if (shape.kind == SHAPE_SINGLE)
		return;
	say(shape.kind == SHAPE_STRIPE ? "stripe(" : shape.part_count > 1 ? "linear(" : "");
	for (unsigned i = 0; i < shape.part_count; i++) {
		say(i ? "," : "");
		say_part(&shape.parts[i]);
	}
	say(shape.kind == SHAPE_STRIPE || shape.part_count > 1 ? ")" : "");
}

void shape_draw(enum shape_kind kind, unsigned cells)
{
	shape = (struct shape){.kind = kind};
	switch (kind) {
	case SHAPE_MIRROR:
		draw_mirror(REGIONS_MOST, (unsigned)sim_between(2, NODES_MOST), false);
		break;
	case SHAPE_LINEAR:
		draw_linear();
		break;
	case SHAPE_STRIPE:
		draw_stripe();
		break;
	case SHAPE_MIRROR_OF_LINEAR:
		draw_mirror(REGIONS_MOST, 2, true);
		break;
	case SHAPE_LINEAR_OF_MIRRORS:
		draw_mirror(REGIONS_MOST / 2, 2, false);
		draw_mirror(REGIONS_MOST / 2, 2, false);
		break;
	default:
		add_member(add_part(false, cells), cells, 1);
		break;
	}
	say_all();
}
