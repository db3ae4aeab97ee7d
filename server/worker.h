/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - a thread with its own event loop, pools and lanes. Nothing of it is used by another
 * thread, save what says so.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "server/lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct server;

#define WORKER_MAX_REQUESTS 16384u /* running at a time; then lanes wait */
#define WORKER_MEMORY ((uint64_t)256 << 20) /* bytes of payload that requests may hold at a time */
#define WORKER_LEAST_COST                                                                          \
	(256u << 10) /* bytes that any buffer counts for, which bounds their number */
#define WORKER_LOG_BURST 1000u /* clients that come, or leave, with a line each */
#define WORKER_TICK 1000000000ull /* nanoseconds between looks at the lanes' deadlines */

struct worker {
	struct server *server;
	unsigned index;
	struct loop *loop;
	struct pool *requests;
	struct buf_pool *bufs;
	uint64_t held; /* bytes of WORKER_MEMORY */

	struct lane *lanes;
	_Atomic unsigned lane_count; /* those on their way here included; any thread */
	struct lane *starved, **starved_tail; /* wait for pools, first come first served */
	struct loop_hook feed_hook;
	struct lane *buried; /* freed at the end of the turn */
	struct loop_hook bury_hook;
	bool ending; /* the loop defers no hooks any more */
	struct loop_timer tick;

	struct loop_work stop_work;
	bool stopping;
	pthread_t thread;
	bool threaded; /* `thread` runs */

	struct log_limit refused_limit, bad_limit, error_limit;
	struct log_limit joined_limit,
		left_limit; /* with bursts: all clients may come back at once */
};

/* The first worker (index 0) runs in the caller's thread, by worker_run(). NULL: errno tells why. */
struct worker *worker_new(struct server *server, unsigned index);
int worker_start(struct worker *worker); /* others: starts the thread; 0 or an errno */
void worker_run(struct worker *worker); /* until worker_stop() is done, or loop_stop() */
void worker_free(struct worker **worker); /* waits for its thread; it must have been stopped */

/* Hands a connected socket over, which is closed if that fails. Any thread. */
void worker_accept(struct worker *worker, int fd, const struct lane_peer *peer);

/* Any thread: finishes all lanes; the last worker that has none posts the server's stopped_work. */
void worker_stop(struct worker *worker);

/* A lane is gone: one that stops may be done now. */
void worker_lane_gone(struct worker *worker);

/* Frees the lane at the end of the turn. */
void worker_bury(struct worker *worker, struct lane *lane);

/* Requests or buffers came back: lanes that wait for them go on, before the loop sleeps. */
void worker_feed(struct worker *worker);

#endif
