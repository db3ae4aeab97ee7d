/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_members.h - commands about one node of a mirror: it isn't used for a while, is taken out as an
 * image of its own, comes back, is distrusted, or is trusted.
 *
 *   suspend   it gets nothing any more, as if it had failed, and isn't looked at until it is resumed. Recorded
 *             in the members' table: a restart of the client doesn't change it
 *   resume    it is used again; gets what it missed
 *   detach    the same as suspend, and its content becomes a consistent image: mirror_backup.c
 *   attach    it is used again; compared as a whole, or if it was not changed it gets what it missed
 *   dirty     it isn't read any more before all of it was compared with the others, and mended
 *   clean     it is being resynced: it is declared to be equal to the others, uncompared
 */
#ifndef DSTFS_MIRROR_MEMBERS_H
#define DSTFS_MIRROR_MEMBERS_H

#include "dstfs/mirror_order.h"

/* Commands, each: NULL and a reason, or what mirror_order_answer() says. Arguments are in `request`. Home. */
json_t *mirror_node_suspend(struct mirror_node *node, const json_t *request,
			    const struct reason *reason);
json_t *mirror_node_resume(struct mirror_node *node, const json_t *request,
			   const struct reason *reason);
json_t *mirror_node_detach(struct mirror_node *node, const json_t *request,
			   const struct reason *reason);
/* "trust": true if it was not changed meanwhile. */
json_t *mirror_node_attach(struct mirror_node *node, const json_t *request,
			   const struct reason *reason);
json_t *mirror_node_dirty(struct mirror_node *node, const json_t *request,
			  const struct reason *reason);
json_t *mirror_node_clean(struct mirror_node *node, const json_t *request,
			  const struct reason *reason);

/*
 * At each turn of the home: nodes that nobody has seen since the start, but that can only be one member
 * which isn't to be used, are shown so. And since when each is in its state.
 */
void mirror_members_look(struct mirror *mirror);

/* ---- for these commands ---- */

/* May the members be changed now at all? */
bool mirror_members_may_change(struct mirror *mirror, const struct reason *reason);

/* The member that the node is, though it may never have been seen; or MIRROR_NO_SLOT: it can't be told. */
unsigned mirror_members_slot(const struct mirror_node *node);

/* May it stop being in sync? Else why not. `super`: with the members as they are; `goes`: it gets no
 * writes either. */
const char *mirror_members_keep(struct mirror *mirror, const struct mirror_super *super,
				const struct mirror_node *node, bool goes);

/* How a change for an order ended that isn't 0: the order has failed. */
void mirror_members_failed(struct mirror_order *order, int error);

#endif
