/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * split.h - a request on a map becomes requests on its children, and those become its completion,
 * exactly once, when the last of them is over: with 0, or with the error of the one that lies first.
 *
 * What lies on one child goes there as it is, and its data comes back without a copy. Else each child
 * gets one request, since a range of a map is one range on each (map.h), save for WRITE: its bytes
 * are not gathered, so each piece up to a seam is one, out of the same buffer. A READ's data are put
 * together in a buffer of the worker's.
 *   FLUSH     goes to all children. A child tells a loss but once: so one fails, too, that came
 *             before a FLUSH that has failed at a child could tell, or in place of one that was
 *             cancelled.
 *   EXTENTS   are put together; what comes of it may cover less than was asked for.
 *   COPY      works where both sides lie on the same children in the same way: as far as they do, or
 *             EOPNOTSUPP.
 *   HASH      of up to DST_MAX_PAYLOAD bytes is computed from what is read, of more is EOPNOTSUPP.
 *
 * A child may lose its part again, and have told so, while others are waited for: what changes content
 * is passed on anew then, as the first of those that wait.
 *
 * Children's requests come from a bounded pool of each worker. When it is dry, requests wait in their
 * order; those that were passed on need nothing more of it to end, so it fills again. Buffers come out
 * of the worker's pool, of which the maps leave a part to those below them: the higher one, the more.
 */
#ifndef DSTFS_SPLIT_H
#define DSTFS_SPLIT_H

#include "dstfs/map.h"

#define SPLIT_REQUESTS 4096u /* of children, at a time, for each map and worker */

struct split;

struct split *split_new(struct map *map, struct worker *workers,
			unsigned worker_count); /* or NULL */
void split_free(struct split **split); /* nothing may be held */

/* As target_ops has them. */
void split_submit(struct split *split, struct request *request);
void split_cancel(struct split *split, struct request *request, int error);

#endif
