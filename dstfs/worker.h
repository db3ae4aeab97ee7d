/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - a thread with its own event loop and pools. Everything on the data path belongs to one
 * worker and is touched by its thread only.
 */
#ifndef DSTFS_WORKER_H
#define DSTFS_WORKER_H

#include "common/loop.h"
#include "common/pool.h"

#include <pthread.h>
#include <stdbool.h>

/*
 * Requests that a worker may hold at a time, each with a payload buffer: all that the kernel sends
 * in the background, and as many again of callers that wait for theirs. A stuck volume can't use up
 * what others need then. Only pages that were touched use memory; a parked 4 KiB write uses two.
 * Those reserved are touched at start: they carry requests when no more memory can be had.
 */
#define WORKER_BACKGROUND 65535u /* FUSE's max_background has 16 bits */
#define WORKER_BUFS (2 * WORKER_BACKGROUND)
#define WORKER_BUFS_RESERVED 16u

struct worker {
	unsigned index; /* 0 is the main thread's */
	struct loop *loop;
	struct buf_pool *bufs;
	pthread_t thread;
	bool running; /* the thread exists */
};

/* 0 or an errno. */
int worker_init(struct worker *worker, unsigned index);
int worker_start(struct worker *worker); /* a thread that runs the loop; not for worker 0 */
void worker_join(struct worker *worker); /* stops the loop and waits for the thread */
void worker_destroy(struct worker *worker);

#endif
