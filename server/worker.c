/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.c - see worker.h */
#include "server/worker.h"

#include "common/stream_socket.h"
#include "server/options.h"
#include "server/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESERVED_REQUESTS 256u /* allocated and touched at start */
#define RESERVED_BUFFERS 16u

/* A socket on its way from the listener's thread. */
struct incoming {
	struct loop_work work;
	struct worker *worker;
	int fd;
	struct lane_peer peer;
};

static void feed(void *arg)
{
	struct worker *worker = arg;

	/* All of them, since one that still finds nothing may wait for its own export only. */
	for (struct lane *lane = worker->starved, *next; lane; lane = next) {
		next = lane->starved_next;
		lane_feed(lane);
	}
}

void worker_feed(struct worker *worker)
{
	if (worker->starved)
		loop_defer(worker->loop, &worker->feed_hook);
}

static void free_buried(void *arg)
{
	struct worker *worker = arg;

	for (struct lane *lane; (lane = worker->buried);) {
		worker->buried = lane->next;
		lane_free(lane);
	}
}

void worker_bury(struct worker *worker, struct lane *lane)
{
	lane->next = worker->buried;
	worker->buried = lane;
	if (!worker->ending)
		loop_defer(worker->loop, &worker->bury_hook);
}

static void tick(void *arg)
{
	struct worker *worker = arg;

	for (struct lane *lane = worker->lanes, *next; lane; lane = next) {
		next = lane->next;
		lane_tick(lane);
	}
	worker_feed(worker); /* what was missing may have been memory */
	if (worker->lanes)
		loop_timer_set(&worker->tick, WORKER_TICK);
}

static void check_stopped(struct worker *worker)
{
	struct server *server = worker->server;

	if (!worker->stopping || atomic_load(&worker->lane_count))
		return;
	worker->stopping = false; /* said once */
	if (worker->threaded)
		loop_stop(worker->loop);
	if (atomic_fetch_sub(&server->workers_busy, 1) == 1)
		loop_post(server->workers[0]->loop, &server->stopped_work);
}

void worker_lane_gone(struct worker *worker)
{
	atomic_fetch_sub(&worker->lane_count, 1);
	check_stopped(worker);
}

static void run_stop(void *arg)
{
	struct worker *worker = arg;

	for (struct lane *lane = worker->lanes, *next; lane; lane = next) {
		next = lane->next;
		lane_finish(lane, "the server is stopping");
	}
	worker->stopping = true;
	check_stopped(worker);
}

void worker_stop(struct worker *worker)
{
	loop_post(worker->loop, &worker->stop_work);
}

static void run_incoming(void *arg)
{
	struct incoming *incoming = arg;
	struct worker *worker = incoming->worker;
	struct stream *stream = stream_socket_accept(worker->loop, incoming->fd, NULL, NULL);

	if (stream) {
		lane_open(worker, stream, &incoming->peer);
		if (worker->lanes && !loop_timer_pending(&worker->tick))
			loop_timer_set(&worker->tick, WORKER_TICK);
	} else {
		log_error("%s: can't serve the connection: %s", incoming->peer.text,
			  strerror(errno));
		atomic_fetch_sub(&worker->server->clients, 1);
		worker_lane_gone(worker);
	}
	free(incoming);
}

void worker_accept(struct worker *worker, int fd, const struct lane_peer *peer)
{
	struct incoming *incoming = malloc(sizeof(*incoming));

	if (!incoming) {
		log_error("%s: no memory for another connection", peer->text);
		close(fd);
		return;
	}
	*incoming = (struct incoming){
		.work = {.callback = run_incoming, .arg = incoming},
		.worker = worker,
		.fd = fd,
		.peer = *peer,
	};
	atomic_fetch_add(&worker->server->clients, 1);
	atomic_fetch_add(&worker->lane_count, 1);
	loop_post(worker->loop, &incoming->work);
}

struct worker *worker_new(struct server *server, unsigned index)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->server = server;
	worker->index = index;
	worker->joined_limit.burst = worker->left_limit.burst = WORKER_LOG_BURST;
	worker->starved_tail = &worker->starved;
	worker->feed_hook = (struct loop_hook){.callback = feed, .arg = worker};
	worker->bury_hook = (struct loop_hook){.callback = free_buried, .arg = worker};
	worker->stop_work = (struct loop_work){.callback = run_stop, .arg = worker};
	worker->loop = loop_new();
	worker->requests = pool_new(sizeof(struct request), RESERVED_REQUESTS, WORKER_MAX_REQUESTS);
	/* Each connection may hold one more, into which it receives. */
	worker->bufs =
		buf_pool_new(RESERVED_BUFFERS, (unsigned)(WORKER_MEMORY / WORKER_LEAST_COST) +
						       server->options->max_clients);
	if (!worker->loop || !worker->requests || !worker->bufs ||
	    loop_timer_init(&worker->tick, worker->loop, tick, worker)) {
		worker_free(&worker);
		errno = ENOMEM;
	}
	return worker;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	loop_run(worker->loop);
	return NULL;
}

int worker_start(struct worker *worker)
{
	sigset_t all, before;
	char name[16];
	int error;

	sigfillset(&all); /* signals are the first worker's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	worker->threaded = true;
	error = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		worker->threaded = false;
		return error;
	}
	snprintf(name, sizeof(name), "dstd-worker-%u", worker->index);
	pthread_setname_np(worker->thread, name);
	return 0;
}

void worker_run(struct worker *worker)
{
	loop_run(worker->loop);
}

void worker_free(struct worker **pointer)
{
	struct worker *worker = *pointer;

	*pointer = NULL;
	if (!worker)
		return;
	if (worker->threaded) {
		loop_stop(worker->loop);
		pthread_join(worker->thread, NULL);
	}
	worker->ending = true;
	loop_defer_cancel(&worker->feed_hook);
	loop_defer_cancel(&worker->bury_hook);
	loop_timer_destroy(&worker->tick);
	loop_free(&worker->loop); /* runs what was posted, the last pokes too */
	free_buried(worker);
	pool_free(&worker->requests);
	buf_pool_free(&worker->bufs);
	free(worker);
}
