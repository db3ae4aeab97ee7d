/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_resolve.h - a person says what a mirror goes on from, though something may be lost: a start by
 * force, and the end of a split brain. All in the home's thread.
 *
 * Each is given twice. Without "survey" nothing is done: it is found what may be lost, which is what the
 * order ends with. With "survey", the number of that order, it is done, if all is as it was then.
 */
#ifndef DSTFS_MIRROR_RESOLVE_H
#define DSTFS_MIRROR_RESOLVE_H

#include "dstfs/mirror_loss.h"
#include "dstfs/mirror_order.h"

struct mirror_resolving {
	struct mirror_order *order; /* that is under way; NULL: none */
	bool starting; /* the mirror starts as the order says: until it has, or can't */
	uint64_t surveyed, digest; /* the last survey's number, and what it saw */
	struct mirror_found found[MIRROR_MAX_NODES];
	unsigned keep; /* index of a node; MIRROR_MAX_NODES: by force */
	mirror_mask losers; /* of a running mirror */
	struct mirror_loss losses[MIRROR_MAX_NODES];
	unsigned loss_count;
	uint8_t *blocks; /* maps that are being read */
};

/* A mirror that waits starts with what is there. NULL and a reason, or what mirror_order_answer() says. */
json_t *mirror_run_start(struct mirror *mirror, const json_t *request, const struct reason *reason);

/*
 * "keep", the name of a node: a mirror that waits goes on from that one; one that runs, and that node is
 * in sync, takes those in that have split from it. The others are compared with it as a whole. Likewise.
 */
json_t *mirror_run_resolve(struct mirror *mirror, const json_t *request,
			   const struct reason *reason);

/* Does a running mirror refuse this node since it has moved on without the others? */
bool mirror_has_split(const struct mirror *mirror, const struct mirror_node *node);

/* The start has come (why NULL), or can't. */
void mirror_resolve_over(struct mirror *mirror, const char *why);
void mirror_resolve_destroy(struct mirror *mirror);

#endif
