/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.c - see server.h */
#include "server/server.h"

#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "server/lane.h"
#include "server/listener.h"
#include "server/session.h"
#include "server/state.h"
#include "server/status.h"
#include "server/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reload and refresh ---- */

void server_reload(struct server *server)
{
	struct export_config *list, *old = server->options->exports;
	char reason[512];

	if (server->stopping)
		return;
	daemon_notify("RELOADING=1");
	if (options_reload(server->options, &list, reason, sizeof(reason))) {
		log_error("reload: %s; everything stays as it was", reason);
	} else {
		catalog_adopt(server, list);
		options_free_exports(&old);
		session_recheck_all(server, NULL);
		log_info("reloaded");
	}
	catalog_refresh(server, true);
	daemon_notify("READY=1");
}

static void on_refresh(void *arg)
{
	struct server *server = arg;

	catalog_refresh(server, false);
	session_expire(server);
	loop_timer_set(&server->refresh_timer, SERVER_REFRESH);
}

/* ---- stop ---- */

/* Under the lock. */
static void log_unfinished_session(const struct session *session)
{
	for (unsigned i = 0; i < DST_MAX_LANES; i++) {
		const struct lane *lane = session->slots[i].owner;

		if (lane)
			log_error("stopping: %s (%s), export %s, lane %u: %u requests not finished",
				  session->client, lane->peer.text, session->export->name, i + 1,
				  atomic_load(&lane->inflight));
	}
}

static void give_up(void *arg)
{
	struct server *server = arg;

	pthread_mutex_lock(&server->lock);
	for (unsigned b = 0; b < SERVER_BUCKETS; b++)
		for (const struct session *s = server->sessions[b]; s; s = s->next)
			log_unfinished_session(s);
	pthread_mutex_unlock(&server->lock);
	if (server->lanes_gone)
		catalog_log_unclosed(server);
	log_error(server->lanes_gone ? "stopped without having flushed all"
				     : "stopped with requests unfinished");
	server->exit_status = 1;
	loop_stop(server->workers[0]->loop);
}

/* All requests are answered, and no connection is left. */
static void on_stopped(void *arg)
{
	struct server *server = arg;

	server->lanes_gone = true;
	catalog_begin_close(server, &server->closed_work);
}

static void on_closed(void *arg)
{
	struct server *server = arg;

	loop_timer_cancel(&server->stop_timer);
	log_info("stopped");
	server->exit_status = server->catalog.unflushed;
	loop_stop(server->workers[0]->loop);
}

void server_stop(struct server *server)
{
	if (server->stopping) {
		give_up(server);
		return;
	}
	server->stopping = true;
	server->stop_until = clock_now() + server->options->stop_timeout;
	daemon_notify("STOPPING=1");
	log_info("stopping: %u connections", atomic_load(&server->clients));
	listeners_close(server);
	loop_timer_cancel(&server->refresh_timer);
	loop_timer_set(&server->stop_timer, server->options->stop_timeout);
	server->workers_busy = server->worker_count;
	for (unsigned i = 0; i < server->worker_count; i++)
		worker_stop(server->workers[i]);
}

/* ---- life ---- */

static int open_workers(struct server *server, char *reason, size_t size)
{
	unsigned count = server->options->workers;

	if (count < 1)
		count = 1;
	if (count > SERVER_MAX_WORKERS)
		count = SERVER_MAX_WORKERS;
	for (unsigned i = 0; i < count; i++) {
		server->workers[i] = worker_new(server, i);
		if (!server->workers[i]) {
			snprintf(reason, size, "can't set up worker %u: %s", i, strerror(errno));
			return errno;
		}
		server->worker_count++;
	}
	return 0;
}

static int start_workers(struct server *server, char *reason, size_t size)
{
	for (unsigned i = 1; i < server->worker_count; i++) {
		int error = worker_start(server->workers[i]);

		if (error) {
			snprintf(reason, size, "can't start worker %u: %s", i, strerror(error));
			return error;
		}
	}
	return 0;
}

int server_open(struct server *server, struct dstd_options *options, char *reason,
		size_t reason_size)
{
	int error;

	*server = (struct server){.options = options, .started = clock_now()};
	pthread_mutex_init(&server->lock, NULL);
	server->stopped_work = (struct loop_work){.callback = on_stopped, .arg = server};
	server->closed_work = (struct loop_work){.callback = on_closed, .arg = server};
	server->state = state_open();
	if (!server->state) {
		snprintf(reason, reason_size, "out of memory");
		return ENOMEM;
	}
	state_server_id(server->state, server->id);
	error = open_workers(server, reason, reason_size);
	if (!error)
		error = catalog_open(server, reason, reason_size);
	if (!error)
		error = listeners_open(server, options->listens, reason, reason_size);
	if (error)
		return error;
	if (loop_timer_init(&server->refresh_timer, server->workers[0]->loop, on_refresh, server) ||
	    loop_timer_init(&server->stop_timer, server->workers[0]->loop, give_up, server)) {
		snprintf(reason, reason_size, "out of memory");
		return ENOMEM;
	}
	server->control = control_new(server->workers[0]->loop, "dstd", options->control,
				      status_command, server, reason, reason_size);
	if (!server->control)
		return EIO;
	return start_workers(server, reason, reason_size);
}

int server_run(struct server *server)
{
	for (const struct listener *l = server->listeners; l; l = l->next)
		log_info("listening on %s", l->text);
	catalog_serve(server);
	loop_timer_set(&server->refresh_timer, SERVER_REFRESH);
	worker_run(server->workers[0]);
	return server->exit_status;
}

bool server_close(struct server *server)
{
	uint64_t now = clock_now();

	control_free(&server->control);
	listeners_close(server);
	if (!server->stopping)
		server->stop_until = now + server->options->stop_timeout;
	if (!catalog_close(server, server->stop_until > now ? server->stop_until - now : 0)) {
		log_error("the storage of an export takes too long to close");
		return false;
	}
	loop_timer_destroy(&server->stop_timer);
	loop_timer_destroy(&server->refresh_timer);
	for (unsigned i = server->worker_count; i-- > 0;)
		worker_free(&server->workers[i]);
	state_close(&server->state);
	return true;
}
