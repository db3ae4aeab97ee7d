/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.h - writes anew what a server has acknowledged and lost. In the order of the numbers; what
 * doesn't overlap goes together, up to a bound in requests and bytes. Runs on one lane while all others
 * of the session carry nothing.
 */
#ifndef DSTFS_REPLAY_H
#define DSTFS_REPLAY_H

#include "dstfs/retain.h"

struct replay;

/*
 * `submit` takes requests as a target does; they complete on `worker`, whose thread calls this. `done`
 * runs once, with 0 or the first errno, when nothing is in flight any more; perhaps before this
 * returns. The logs must not change until then. NULL: out of memory.
 */
struct replay *replay_start(struct worker *worker, struct retain_log *const *logs, unsigned count,
			    void (*submit)(void *arg, struct request *request),
			    void (*done)(void *arg, int error), void *arg);

/* Pieces and bytes that have been written anew so far. Any thread. */
void replay_progress(const struct replay *replay, uint64_t *pieces, uint64_t *bytes);

/* After `done`, or instead of it: the requests that are submitted must have completed or never will. */
void replay_free(struct replay **replay);

#endif
