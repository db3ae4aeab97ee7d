/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape.h - what the volume is made of in this schedule: one node, or a tree of maps over several, and
 * where each cell of the volume lies on their disks.
 *
 * A volume is a row of parts. A part is a mirror of some members, or has one member and no mirror. A member is
 * a row of nodes. A stripe is one part, whose nodes take turns.
 */
#ifndef TEST_SIM_SHAPE_H
#define TEST_SIM_SHAPE_H

#include "test/sim/sim.h"

#define SHAPE_PARTS_MOST NODES_MOST

enum shape_kind {
	SHAPE_SINGLE,
	SHAPE_MIRROR,
	SHAPE_LINEAR,
	SHAPE_STRIPE,
	SHAPE_MIRROR_OF_LINEAR,
	SHAPE_LINEAR_OF_MIRRORS,
	SHAPES
};

struct shape_member {
	unsigned first, count; /* nodes */
};

struct shape_part {
	unsigned first, cells; /* of the volume */
	bool mirror;
	unsigned member_count;
	struct shape_member members[NODES_MOST];
};

struct shape {
	enum shape_kind kind;
	unsigned nodes;
	unsigned cells; /* of the volume */
	unsigned node_cells[NODES_MOST];
	unsigned chunk; /* cells, of a stripe; else 0 */
	bool mirrored; /* some part is a mirror: then all are */
	unsigned part_count;
	struct shape_part parts[SHAPE_PARTS_MOST];
	char map[64]; /* as configured, of nodes a, b, …; "": the only one */
};

extern struct shape shape;

const char *shape_name(enum shape_kind kind);

/* Draws the rest. `cells`: of a single node. */
void shape_draw(enum shape_kind kind, unsigned cells);

/* Where a cell of a member lies, counted from the member's start. */
void shape_locate(const struct shape_member *member, unsigned cell, unsigned *node, unsigned *at);
unsigned shape_member_cells(const struct shape_member *member);

/* The part that holds a cell of the volume. */
const struct shape_part *shape_part_of(unsigned cell);
/* Where that cell lies on this member of its part. */
void shape_place(unsigned cell, unsigned member, unsigned *node, unsigned *at);

/* Is that the mirror's own: a map or a superblock? */
bool shape_is_metadata(unsigned node, unsigned at);

#endif
