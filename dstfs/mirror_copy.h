/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_copy.h - bringing nodes of a running mirror up to date: resync of those in RESYNC, making
 * suspect regions equal, verify, repair of what one node can't read. All in the home's thread.
 *
 * Copying works in windows: it takes the mirror's hold of a range, then that of each node which it
 * reads from or writes to, reads what the primary (or for repair another in-sync node) has, writes what
 * differs, and puts the holds back. Requests to nodes carry the node's hold. A node that fails in
 * that is told by mirror_report_failed().
 */
#ifndef DSTFS_MIRROR_COPY_H
#define DSTFS_MIRROR_COPY_H

#include "dstfs/mirror_impl.h"

int mirror_copy_init(struct mirror *mirror); /* 0 or ENOMEM; sets mirror->copy */
/* Nothing is under way: it was stopped, or the loops don't run any more. A NULL mirror->copy is fine. */
void mirror_copy_destroy(struct mirror *mirror);

/*
 * Something has changed: the phase, the sets, a suspect region, a node in RESYNC. Looks for work,
 * and for work that has become pointless: what goes to a node that has left write_set ends. While
 * the phase isn't RUNNING, nothing is begun.
 */
void mirror_copy_poke(struct mirror *mirror);

/* Begins nothing any more, and runs done(arg) once nothing is under way, perhaps before it returns. */
void mirror_copy_stop(struct mirror *mirror, void (*done)(void *arg), void *arg);

/* The node could not read this range (at most DST_MAX_PAYLOAD bytes): rewrites it there, through a
 * window, from another in-sync node. Forgets about it if there is none, or if it has too much to do. */
void mirror_copy_repair(struct mirror *mirror, unsigned node, struct range range);

/* For status, into `status`: of each node in RESYNC what is left and how fast it goes, of verify its
 * progress, and the numbers of what was copied, compared and mended. */
void mirror_copy_status(struct mirror *mirror, json_t *status);

#endif
