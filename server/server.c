/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.c - see server.h */
#include "server/server.h"

#include "common/backend_file.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/random.h"
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

/* ---- exports ---- */

struct export *server_export(struct server *server, const char *name)
{
	for (struct export *e = server->exports; e; e = e->next)
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

struct closing {
	struct server *server;
	struct export *export;
};

static void *close_export(void *arg)
{
	struct closing *closing = arg;
	struct server *server = closing->server;

	export_free(&closing->export);
	free(closing);
	pthread_mutex_lock(&server->lock);
	server->exports_closing--;
	pthread_cond_signal(&server->export_closed);
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* The kernel writes a block device back when it is closed: not something to wait for here. */
void server_unref_export(struct server *server, struct export *export)
{
	struct closing *closing;
	pthread_t thread;

	if (--export->refs)
		return;
	closing = malloc(sizeof(*closing));
	if (closing) {
		*closing = (struct closing){.server = server, .export = export};
		if (!pthread_create(&thread, NULL, close_export, closing)) {
			pthread_detach(thread);
			server->exports_closing++;
			return;
		}
	}
	free(closing);
	export_free(&export);
}

/* Opens what `config` says and puts it on offer. 0 or an errno, cause in reason. */
static int open_export(struct server *server, const struct export_config *config, char *reason,
		       size_t size)
{
	struct backend_file_options options = {
		.path = config->path,
		.size_limit = config->size_limit,
		.read_only = config->read_only,
		.threads = config->threads,
	};
	struct backend *backend = backend_file_open(&options, reason, size);
	uint8_t uuid[DST_ID_SIZE];
	struct export *export, **link;

	if (!backend)
		return EIO;
	state_export_uuid(server->state, config->name, config->path, uuid);
	export = export_new(config, backend, uuid);
	if (!export) {
		snprintf(reason, size, "out of memory");
		return ENOMEM;
	}
	log_info("export %s: %s, %llu bytes, %s", export->name, export->path,
		 (unsigned long long)export_size(export),
		 export->backend->info.read_only ? "read-only" : "read-write");
	pthread_mutex_lock(&server->lock);
	for (link = &server->exports; *link;)
		link = &(*link)->next;
	*link = export;
	pthread_mutex_unlock(&server->lock);
	return 0;
}

static int open_all_exports(struct server *server, char *reason, size_t size)
{
	for (const struct export_config *c = server->options->exports; c; c = c->next) {
		char cause[256];
		int error = open_export(server, c, cause, sizeof(cause));

		if (error) {
			snprintf(reason, size, "export %s: %s", c->name, cause);
			return error;
		}
	}
	return 0;
}

/* Takes the export off the offer; its sessions end when their I/O is over, then it is closed. */
static void remove_export(struct server *server, struct export *export)
{
	struct export **link;

	log_info("export %s: no longer offered", export->name);
	pthread_mutex_lock(&server->lock);
	for (link = &server->exports; *link != export;)
		link = &(*link)->next;
	*link = export->next;
	export->next = NULL;
	export->config = NULL;
	pthread_mutex_unlock(&server->lock);
	session_end_all(server, export); /* holds a reference until here: */
	pthread_mutex_lock(&server->lock);
	server_unref_export(server, export);
	pthread_mutex_unlock(&server->lock);
}

/* ---- reload and refresh ---- */

static const struct export_config *find_config(const struct export_config *list, const char *name)
{
	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

/* Is it the same storage, used the same way? Then only its rules may differ. */
static bool same_storage(const struct export_config *a, const struct export_config *b)
{
	return !strcmp(a->path, b->path) && a->size_limit == b->size_limit &&
	       a->read_only == b->read_only && a->threads == b->threads;
}

/* Removes what is not in `list`, or is there with other storage, and gives the others their rules. */
static void adopt_configs(struct server *server, const struct export_config *list)
{
	for (struct export *e = server->exports, *next; e; e = next) {
		const struct export_config *config = find_config(list, e->name);

		next = e->next;
		if (!config || !same_storage(config, e->config)) {
			remove_export(server, e);
			continue;
		}
		pthread_mutex_lock(&server->lock);
		e->config = config;
		pthread_mutex_unlock(&server->lock);
	}
}

/* Opens what is configured and not open yet: new, or still held by someone else when last tried. */
static void open_missing_exports(struct server *server, enum log_level level)
{
	for (const struct export_config *c = server->options->exports; c; c = c->next) {
		char reason[256];

		if (server_export(server, c->name))
			continue;
		if (open_export(server, c, reason, sizeof(reason)))
			log_write(level, "export %s: %s; tried again until it can be opened",
				  c->name, reason);
	}
}

static void refresh_sizes(struct server *server)
{
	for (struct export *e = server->exports; e; e = e->next) {
		if (!backend_refresh(e->backend))
			continue;
		log_info("export %s: now has %llu bytes", e->name,
			 (unsigned long long)export_size(e));
		session_recheck_all(server, e);
	}
}

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
		adopt_configs(server, list);
		server->options->exports = list;
		options_free_exports(&old);
		open_missing_exports(server, LOG_LEVEL_WARN);
		session_recheck_all(server, NULL);
		log_info("reloaded");
	}
	refresh_sizes(server);
	daemon_notify("READY=1");
}

static void on_refresh(void *arg)
{
	struct server *server = arg;

	open_missing_exports(server, LOG_LEVEL_DEBUG);
	refresh_sizes(server);
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
	log_error("stopped with requests unfinished");
	server->exit_status = 1;
	loop_stop(server->workers[0]->loop);
}

static void on_stopped(void *arg)
{
	struct server *server = arg;

	loop_timer_cancel(&server->stop_timer);
	log_info("stopped");
	server->exit_status = 0;
	loop_stop(server->workers[0]->loop);
}

void server_stop(struct server *server)
{
	if (server->stopping) {
		give_up(server);
		return;
	}
	server->stopping = true;
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
	pthread_cond_init(&server->export_closed, NULL);
	server->stopped_work = (struct loop_work){.callback = on_stopped, .arg = server};
	server->state = state_open();
	if (!server->state) {
		snprintf(reason, reason_size, "out of memory");
		return ENOMEM;
	}
	state_server_id(server->state, server->id);
	random_bytes(server->instance, sizeof(server->instance));
	error = open_workers(server, reason, reason_size);
	if (!error)
		error = open_all_exports(server, reason, reason_size);
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
	loop_timer_set(&server->refresh_timer, SERVER_REFRESH);
	worker_run(server->workers[0]);
	return server->exit_status;
}

void server_close(struct server *server)
{
	control_free(&server->control);
	listeners_close(server);
	loop_timer_destroy(&server->stop_timer);
	loop_timer_destroy(&server->refresh_timer);
	for (unsigned i = server->worker_count; i-- > 0;)
		worker_free(&server->workers[i]);
	pthread_mutex_lock(&server->lock);
	while (server->exports) {
		struct export *export = server->exports;

		server->exports = export->next;
		server_unref_export(server, export);
	}
	while (server->exports_closing)
		pthread_cond_wait(&server->export_closed, &server->lock);
	pthread_mutex_unlock(&server->lock);
	state_close(&server->state);
}
