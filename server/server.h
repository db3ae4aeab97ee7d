/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h - one dstd: its exports, sessions, workers and listeners, and how it starts, reloads and
 * stops.
 *
 * The server's own work (listeners, control socket, signals, the slow timer) is done by the first
 * worker's thread, which is the main thread. Lanes are spread over all workers.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "common/control.h"
#include "common/counter.h"
#include "common/loop.h"
#include "common/proto.h"
#include "server/catalog.h"
#include "server/options.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SERVER_MAX_WORKERS EXPORT_MAX_TALLIES
#define SERVER_BUCKETS 1024u /* of the session table */
#define SERVER_REFRESH (5 * 1000000000ull) /* nanoseconds between looks at the exports' sizes */

struct listener;
struct session;
struct state;
struct worker;

struct server {
	struct dstd_options *options; /* `exports` is under the lock: a reload replaces it */
	struct state *state;
	uint8_t id[DST_ID_SIZE];
	uint64_t started; /* clock_now() */

	struct worker *workers[SERVER_MAX_WORKERS];
	unsigned worker_count;

	/*
	 * Guards the exports on offer, their rules, references and fences, the table of sessions and
	 * what they say of their lanes. The only lock of the server; taken when connections come and go,
	 * by reload and by status, never for I/O.
	 */
	pthread_mutex_t lock;
	struct catalog catalog; /* says itself what of it is */
	struct session *sessions[SERVER_BUCKETS];
	struct session *detached_oldest,
		*detached_newest; /* those without connections, see there */
	unsigned detached_count, detached_records;

	/* Counted by any thread. */
	_Atomic unsigned clients; /* connections that exist */
	_Atomic unsigned records; /* tables, see session_record() */
	_Atomic uint64_t refused, bad_headers;
	_Atomic unsigned workers_busy; /* have not stopped yet */

	/* Of the first worker's thread. */
	counter_t accepted; /* read by any thread */
	struct listener *listeners;
	struct control *control;
	struct loop_timer refresh_timer, stop_timer;
	struct loop_work stopped_work, closed_work;
	bool stopping;
	bool lanes_gone; /* stopping: all that is left is to flush and close the exports */
	uint64_t stop_until; /* clock_now() then */
	int exit_status; /* 1: not all that was answered is durable, or was answered at all */
};

/*
 * Opens exports, workers, listeners and the control socket. 0, or an errno with the cause, one line
 * for people, in reason; server_close() cleans up in either case. `options` stays the caller's.
 */
int server_open(struct server *server, struct dstd_options *options, char *reason,
		size_t reason_size);

/* Serves until server_stop() is done. Returns the process's exit status. */
int server_run(struct server *server);

/*
 * From the first worker's thread: accepts nobody any more, finishes what runs, sends the replies,
 * flushes and closes the exports, and then makes server_run() return. What is not finished when the options' stop_timeout is over,
 * or when this is called a second time, is logged, and server_run() returns 1: the process
 * should then exit without server_close(), which would wait.
 */
void server_stop(struct server *server);

/* From the first worker's thread: takes over the exports and rules of the configuration file as it
 * is now. If it can't be read, all stays as it is. */
void server_reload(struct server *server);

/*
 * Frees all. No lane may be left. False: storage does not let go of an export within stop_timeout; the
 * process should then exit, for not everything could be freed.
 */
bool server_close(struct server *server);

#endif
