/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_copy.h - bringing nodes of a running mirror up to date: resync of those in RESYNC, making
 * suspect regions equal, verify, repair of what one node can't read. All in the home's thread.
 *
 * Copying works in windows, see mirror_window.h: why newest data always wins is told there. A node
 * that fails in one is told by mirror_report_failed().
 */
#ifndef DSTFS_MIRROR_COPY_H
#define DSTFS_MIRROR_COPY_H

#include "dstfs/mirror_impl.h"

int mirror_copy_init(struct mirror *mirror); /* 0 or ENOMEM; sets mirror->copy */
/* Ends what is under way, at once. A NULL mirror->copy is fine. */
void mirror_copy_destroy(struct mirror *mirror);

/*
 * Something has changed: the phase, the sets, a suspect region, a node in RESYNC. Looks for work,
 * and for work that has become pointless: what goes to a node that has left write_set ends. While
 * the phase isn't RUNNING, nothing is begun.
 */
void mirror_copy_poke(struct mirror *mirror);

/* Begins nothing any more, and runs done(arg) once nothing is under way, perhaps before it returns. May
 * be told so twice. */
void mirror_copy_stop(struct mirror *mirror, void (*done)(void *arg), void *arg);

/* The node could not read this range (at most DST_MAX_PAYLOAD bytes): rewrites it there, through a
 * window, from another in-sync node. Forgets about it if there is none, or if it has too much to do. */
void mirror_copy_repair(struct mirror *mirror, unsigned node, struct range range);

/* All that this node, which is in RESYNC, has got counts for nothing: it is copied to anew. */
void mirror_copy_anew(struct mirror *mirror, unsigned node);

/* ---- commands ---- */

/* Resync and verify stay where they are. Making equal and repair go on: reading is safer for them. */
void mirror_copy_pause(struct mirror *mirror, bool paused);

struct mirror_verify_options {
	bool repair; /* mend what differs: from the majority, where there is one */
	const char
		*source; /* the name of the node that is right wherever nodes differ; NULL: none */
};

/*
 * Compares all in-sync nodes, block by block, while they are in use. Outcome and progress are in the
 * status, until the next one begins. 0, or an errno with a sentence for the user: EBUSY one is under way,
 * EINVAL what is asked for can't be done.
 */
int mirror_verify_begin(struct mirror *mirror, const struct mirror_verify_options *options,
			const struct reason *reason);
int mirror_verify_end(struct mirror *mirror); /* breaks it off; ENOENT: there is none */

/*
 * For status, into the object `status`:
 *
 *   "jobs": [{
 *     "job": "resync" | "equalize" | "verify" | "repair",
 *     "node": "b",               resync: to which
 *     "state": "running" | "paused" | "done" | "failed" | "stopped"     the last three: verify only
 *     "total", "done",           bytes to do when it began, and of them done
 *     "compared", "equal",       bytes: looked at by HASH, and of them seen to be equal
 *     "sent", "zeroed",          bytes: written to nodes, and zeroed there without sending zeros
 *     "speed",                   bytes a second, of late
 *     "seconds_left",            absent: can't be told
 *     verify also: "repair": true, "source": "a", "error": why it failed,
 *     "differing", "mended", "unreadable": bytes, "findings_left_out": ranges,
 *     "findings": [{"offset", "length", "state": "differs" | "mended" | "unreadable",
 *                   "nodes": ["b"]     those that are not like the others, or all if that can't be told
 *     }]
 *   }],
 *   "copying": {"rate", "paused", "gives_way",
 *     "compared", "equal", "sent", "zeroed", "repaired", "unreadable": bytes, since the start}
 */
void mirror_copy_status(struct mirror *mirror, json_t *status);

#endif
