/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_change.h - what a change of the members comes to: mirror_plan.c, for mirror_change.c. The home's. */
#ifndef DSTFS_MIRROR_CHANGE_H
#define DSTFS_MIRROR_CHANGE_H

#include "dstfs/mirror_home.h"

/*
 * changing.next is what is wanted: the nodes of changing.failed leave it too, save for one if
 * nobody else would be in sync. Finds what follows from it: sets, maps, the generation. Adds what is
 * marked to the missed maps of those that leave. False: nothing is to be written.
 */
bool mirror_change_plan(struct mirror *mirror);

/*
 * Has what is recorded, and is now mirror->super, enough nodes by policy to be written to? False: why
 * says what is missing.
 */
bool mirror_change_suffices(struct mirror *mirror, char *why, size_t size);

/* mirror->super is the new one: the states of nodes, and what requests see, follow. */
void mirror_change_publish(struct mirror *mirror);

#endif
