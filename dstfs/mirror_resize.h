/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_resize.h - a mirror grows, while it is in use, when all its nodes have grown. In the home's
 * thread.
 *
 * What the mirror keeps at the end of its nodes moves to their new ends. The new place never has a byte in
 * common with the old one, so that at any moment one of them is whole:
 *
 *   1. nobody writes from here on: the hold of all data is had
 *   2. each node that has grown gets its newest superblock at its new end, where it is looked for first,
 *      with the old size of the data. First without what makes it one, then as a whole, in which one
 *      sector changes: it is there, or not
 *   3. all get the dirty map where it will be, with the new regions in it
 *   4. a change of the members that has nothing but the new size: superblocks of a new generation. Nodes
 *      that have it, and nodes that don't, may be started together, and it is done then
 *   5. the old maps and superblocks, which are data now, are zeroed
 *   6. the new regions are suspect, and made equal like others. Only now the volume is larger
 *
 * Step 4 takes all members, in sync; if one fails the size stays as it was. The size of a region stays.
 */
#ifndef DSTFS_MIRROR_RESIZE_H
#define DSTFS_MIRROR_RESIZE_H

#include "dstfs/mirror_order.h"

struct mirror_resizing {
	struct mirror_order *order;
	bool active; /* the volume has its old size until this ends */
	bool waits; /* nothing was written yet: for the hold, or, if `due`, for its turn */
	bool due;
	struct range_hold *hold; /* had, or waited for */
	struct mirror_super next; /* as it will be */
	uint64_t sizes[MIRROR_MAX_NODES]; /* of nodes then; bytes */
	uint64_t old_sizes[MIRROR_MAX_NODES];
	unsigned old_copies[MIRROR_MAX_NODES]; /* their next_copy */
	uint64_t old_data; /* bytes */
};

/*
 * "size", bytes, or as large as the nodes allow. NULL and a reason, or what mirror_order_answer() says.
 */
json_t *mirror_run_resize(struct mirror *mirror, const json_t *request,
			  const struct reason *reason);

void mirror_resize_turn(struct mirror *mirror); /* its turn: `due` was set */
/* Gives up one that waits, since the volume is fenced, or ends. */
void mirror_resize_stop(struct mirror *mirror);
void mirror_resize_destroy(struct mirror *mirror);

#endif
