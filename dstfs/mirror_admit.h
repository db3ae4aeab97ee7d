/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_admit.h - commands that change who the members of a running mirror are: a medium becomes a member,
 * in place of one that was lost or as one more, or a member ceases to be one. In the home's thread.
 *
 * What becomes a member is durably INCONSISTENT, with an id of its own, and everything is copied to it:
 * its own superblocks are emptied first, so that none of what it was before counts.
 *
 * Not while the mirror waits: which data counts isn't settled then; a start by force comes first.
 */
#ifndef DSTFS_MIRROR_ADMIT_H
#define DSTFS_MIRROR_ADMIT_H

#include "dstfs/mirror_order.h"

/* Commands, each: NULL and a reason, or what mirror_order_answer() says. */

/*
 * The node that is there, but refused, becomes a member: the one that it was, or one that is missing if
 * that is clear, else one more. "force": also if it holds something of a mirror, but not what has
 * split from this one: see mirror_resolve.h.
 */
json_t *mirror_node_replace(struct mirror_node *node, const json_t *request,
			    const struct reason *reason);

/* The node, whose place is new, becomes one more member as soon as it is there, which must be soon. */
json_t *mirror_node_admit(struct mirror_node *node, const json_t *request,
			  const struct reason *reason);

/*
 * The node isn't a member any more, and holds no mirror: a plain image. "force": also one that is away,
 * and can't be told. Its place in nodes[] stays, removed.
 */
json_t *mirror_node_remove(struct mirror_node *node, const json_t *request,
			   const struct reason *reason);

#endif
