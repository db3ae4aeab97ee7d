/* SPDX-License-Identifier: GPL-2.0-or-later */
/* catalog.c - see catalog.h */
#include "server/catalog.h"

#include "common/backend_file.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "server/server.h"
#include "server/session.h"
#include "server/state.h"
#include "server/worker.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct opening {
	struct offload_job job;
	struct opening *next;
	struct server *server;
	char *name, *path;
	struct backend_file_options options;
	bool shared, loud;
};

/* ---- chores ---- */

/* Adds a chore to a list. Under the lock. */
static void add_chore(struct server *server, struct offload_job **list, struct offload_job *job,
		      void (*run)(struct offload_job *job))
{
	job->run = run;
	job->next = *list;
	*list = job;
	server->catalog.chores_busy++;
}

/* Posts what waits for the end, when it has come. Under the lock. */
static void check_closed(struct server *server)
{
	struct catalog *catalog = &server->catalog;

	if (!catalog->closed || catalog->opened || catalog->chores_busy)
		return;
	loop_post(server->workers[0]->loop, catalog->closed);
	catalog->closed = NULL;
}

/* Not under the lock: where there is no thread to be had, they run right here. */
static void begin_chores(struct server *server, struct offload_job *list)
{
	for (struct offload_job *next; list; list = next) {
		next = list->next;
		offload_submit(server->catalog.chores, list);
	}
}

void catalog_begin_chore(struct server *server, struct offload_job *job,
			 void (*run)(struct offload_job *job))
{
	struct offload_job *chores = NULL;

	pthread_mutex_lock(&server->lock);
	add_chore(server, &chores, job, run);
	pthread_mutex_unlock(&server->lock);
	begin_chores(server, chores);
}

void catalog_end_chore(struct server *server)
{
	server->catalog.chores_busy--;
	pthread_cond_signal(&server->catalog.chores_done);
	check_closed(server);
}

/* ---- closing ---- */

static struct export *export_of(struct offload_job *job)
{
	return (struct export *)((char *)job - offsetof(struct export, chore));
}

/* Nothing uses the export any more, so it needs no lock. */
static void store_clean(struct export *export)
{
	struct state_export value = export->fence.known;
	int error;

	value.clean = true;
	export_instance(export, export_instances(export), value.instance);
	error = state_export_store(export->server->state, export->name, export->path, &value);
	if (error)
		log_warn("export %s: can't store that it was closed in order, so its clients will "
			 "write anew what they still have: %s",
			 export->name, strerror(error));
}

static void run_close(struct offload_job *job)
{
	struct export *export = export_of(job);
	struct server *server = export->server;

	if (export->settled)
		store_clean(export); /* while it is still locked against other servers */
	export_free(&export);
	pthread_mutex_lock(&server->lock);
	server->catalog.opened--;
	if (!server->catalog.closing && !server->catalog.retry_posted) {
		/* A reload may have put it back meanwhile, when it was still locked. */
		server->catalog.retry_posted = true;
		loop_post(server->workers[0]->loop, &server->catalog.retry_work);
	}
	catalog_end_chore(server);
	pthread_mutex_unlock(&server->lock);
}

static void flushed(struct backend_op *op, int error)
{
	struct export *export =
		(struct export *)((char *)op - offsetof(struct export, fence.flush));

	if (error)
		log_error("export %s: the flush before it is closed failed, so its clients will "
			  "write anew what they still have: %s",
			  export->name, strerror(error));
	if (error && export->server->stopping)
		export->server->catalog.unflushed = true;
	export->settled = !error;
	catalog_begin_chore(export->server, &export->chore, run_close);
}

/* Ends an export without references; not under the lock. */
static void begin_close(struct export *export)
{
	struct backend_op *op = &export->fence.flush;
	bool read_only = export->backend->info.read_only; /* then its state isn't ours to store */

	if (export->used && !read_only) {
		*op = (struct backend_op){.type = BACKEND_FLUSH,
					  .loop = export->server->workers[0]->loop,
					  .done = flushed};
		backend_submit(export->backend, op);
		return;
	}
	/* Nothing was answered that a flush could save. */
	export->settled = !read_only;
	catalog_begin_chore(export->server, &export->chore, run_close);
}

static void reap(void *arg)
{
	struct server *server = arg;
	struct export *dead, *next;

	pthread_mutex_lock(&server->lock);
	server->catalog.reap_posted = false;
	dead = server->catalog.dead;
	server->catalog.dead = NULL;
	pthread_mutex_unlock(&server->lock);
	for (; dead; dead = next) {
		next = dead->next;
		begin_close(dead);
	}
}

void catalog_unref(struct server *server, struct export *export)
{
	struct catalog *catalog = &server->catalog;

	if (--export->refs)
		return;
	export->next = catalog->dead;
	catalog->dead = export;
	if (!catalog->reap_posted)
		loop_post(server->workers[0]->loop, &catalog->reap_work);
	catalog->reap_posted = true;
}

/* ---- opening ---- */

struct export *catalog_find(struct server *server, const char *name)
{
	struct export *export = server->catalog.exports;

	while (export && strcmp(export->name, name) != 0)
		export = export->next;
	return export;
}

static const struct export_config *find_config(const struct export_config *list, const char *name)
{
	while (list && strcmp(list->name, name) != 0)
		list = list->next;
	return list;
}

/* From now on it is offered as `config` says; NULL: no longer. Under the lock. */
static void configure(struct export *export, const struct export_config *config)
{
	export->config = config;
	if (config)
		atomic_store_explicit(&export->sync, config->sync, memory_order_relaxed);
}

/* Puts it on offer. Under the lock. */
static void enter(struct server *server, struct export *export)
{
	struct export **link = &server->catalog.exports;

	while (*link)
		link = &(*link)->next;
	*link = export;
	fence_serve(export);
	log_info("export %s: %s, %llu bytes, %s", export->name, export->path,
		 (unsigned long long)export_size(export),
		 export->backend->info.read_only ? "read-only" : "read-write");
}

static struct backend_file_options backend_options(const struct export_config *config)
{
	return (struct backend_file_options){
		.path = config->path,
		.size_limit = config->size_limit,
		.read_only = config->read_only,
		.threads = config->threads,
	};
}

/*
 * What is known of the export, which is ours now, and stores that it is not clean any more. If it was
 * not before, or that can't be stored, it gets a new instance id: there is no telling what is lost, or
 * will have been at the next start. What is only read isn't ours: another server may be writing to it,
 * and to what is stored of it.
 */
static void load_state(struct server *server, const char *name, const char *path, bool read_only,
		       struct state_export *known)
{
	int error;

	state_export_load(server->state, name, path, known);
	if (read_only)
		return;
	if (!known->clean)
		random_bytes(known->instance, DST_ID_SIZE);
	known->clean = false;
	error = state_export_store(server->state, name, path, known);
	if (!error)
		return;
	random_bytes(known->instance, DST_ID_SIZE);
	log_warn("export %s: its state can't be stored, so only who holds it already may write to "
		 "it, unless it is shared: %s",
		 name, strerror(error));
}

/* Opens; NULL with the cause in reason. `config` says its name, and if it is shared. */
static struct export *open_storage(struct server *server, const struct export_config *config,
				   const struct backend_file_options *options, char *reason,
				   size_t size)
{
	struct backend *backend = backend_file_open(options, reason, size);
	struct state_export known;
	struct export *export;

	if (!backend)
		return NULL;
	load_state(server, config->name, options->path, backend->info.read_only, &known);
	export = export_new(server, config->name, options->path, backend, &known);
	if (!export) {
		snprintf(reason, size, "out of memory");
		return NULL;
	}
	export->shared = config->shared;
	pthread_mutex_lock(&server->lock);
	server->catalog.opened++;
	pthread_mutex_unlock(&server->lock);
	return export;
}

static int open_now(struct server *server, const struct export_config *config, char *reason,
		    size_t size)
{
	struct backend_file_options options = backend_options(config);
	char cause[256];
	struct export *export = open_storage(server, config, &options, cause, sizeof(cause));

	if (!export) {
		snprintf(reason, size, "export %s: %s", config->name, cause);
		return EIO;
	}
	pthread_mutex_lock(&server->lock);
	configure(export, config);
	enter(server, export);
	pthread_mutex_unlock(&server->lock);
	return 0;
}

static void opening_free(struct opening *opening)
{
	free(opening->name);
	free(opening->path);
	free(opening);
}

/* Is it still wanted, as it was opened? Under the lock. */
static const struct export_config *still_wanted(struct server *server,
						const struct opening *opening)
{
	const struct export_config *config = find_config(server->options->exports, opening->name);

	if (server->catalog.closing || !config || strcmp(config->path, opening->path) != 0 ||
	    config->size_limit != opening->options.size_limit ||
	    config->read_only != opening->options.read_only ||
	    config->threads != opening->options.threads || config->shared != opening->shared)
		return NULL;
	return config;
}

static void run_open(struct offload_job *job)
{
	struct opening *opening = (struct opening *)job, **link; /* its first member */
	struct server *server = opening->server;
	const struct export_config named = {.name = opening->name, .shared = opening->shared};
	char cause[256];
	struct export *export =
		open_storage(server, &named, &opening->options, cause, sizeof(cause));

	if (!export)
		log_write(opening->loud ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
			  "export %s: %s; tried again until it can be opened", opening->name,
			  cause);
	pthread_mutex_lock(&server->lock);
	for (link = &server->catalog.openings; *link != opening;)
		link = &(*link)->next;
	*link = opening->next;
	if (export) {
		configure(export, still_wanted(server, opening));
		if (export->config)
			enter(server, export);
		else
			catalog_unref(server, export);
	}
	opening_free(opening);
	catalog_end_chore(server);
	pthread_mutex_unlock(&server->lock);
}

/* Under the lock. Out of memory: the next refresh tries again. */
static void begin_opening(struct server *server, const struct export_config *config, bool loud,
			  struct offload_job **chores)
{
	struct opening *opening = calloc(1, sizeof(*opening));

	if (!opening)
		return;
	opening->server = server;
	opening->loud = loud;
	opening->name = strdup(config->name);
	opening->path = strdup(config->path);
	if (!opening->name || !opening->path) {
		opening_free(opening);
		return;
	}
	opening->options = backend_options(config);
	opening->options.path = opening->path;
	opening->shared = config->shared;
	opening->next = server->catalog.openings;
	server->catalog.openings = opening;
	add_chore(server, chores, &opening->job, run_open);
}

/* ---- refresh ---- */

static void run_refresh(struct offload_job *job)
{
	struct export *export = export_of(job);
	struct server *server = export->server;

	if (backend_refresh(export->backend)) {
		log_info("export %s: now has %llu bytes", export->name,
			 (unsigned long long)export_size(export));
		session_recheck_all(server, export);
	}
	pthread_mutex_lock(&server->lock);
	export->refreshing = false;
	catalog_unref(server, export);
	catalog_end_chore(server);
	pthread_mutex_unlock(&server->lock);
}

static bool is_opening(const struct server *server, const char *name)
{
	const struct opening *opening = server->catalog.openings;

	while (opening && strcmp(opening->name, name) != 0)
		opening = opening->next;
	return opening;
}

void catalog_refresh(struct server *server, bool loud)
{
	struct offload_job *chores = NULL;

	pthread_mutex_lock(&server->lock);
	for (struct export *e = server->catalog.exports; e; e = e->next) {
		if (e->refreshing)
			continue; /* the disk has not answered yet */
		e->refreshing = true;
		e->refs++;
		add_chore(server, &chores, &e->chore, run_refresh);
	}
	for (const struct export_config *c = server->options->exports; c; c = c->next)
		if (!server->catalog.closing && !catalog_find(server, c->name) &&
		    !is_opening(server, c->name))
			begin_opening(server, c, loud, &chores);
	pthread_mutex_unlock(&server->lock);
	begin_chores(server, chores);
}

static void retry(void *arg)
{
	struct server *server = arg;

	pthread_mutex_lock(&server->lock);
	server->catalog.retry_posted = false;
	pthread_mutex_unlock(&server->lock);
	catalog_refresh(server, false);
}

/* ---- reload ---- */

/* Is it the same storage, used the same way? Then only its rules may differ. */
static bool same_storage(const struct export_config *a, const struct export_config *b)
{
	return !strcmp(a->path, b->path) && a->size_limit == b->size_limit &&
	       a->read_only == b->read_only && a->threads == b->threads && a->shared == b->shared;
}

void catalog_adopt(struct server *server, struct export_config *list)
{
	struct export **link, *export, *removed = NULL;

	pthread_mutex_lock(&server->lock);
	for (link = &server->catalog.exports; (export = *link);) {
		const struct export_config *config = find_config(list, export->name);

		if (config && same_storage(config, export->config)) {
			configure(export, config);
			link = &export->next;
			continue;
		}
		*link = export->next;
		export->next = removed;
		configure(export, NULL);
		removed = export;
	}
	server->options->exports = list;
	while ((export = removed)) {
		removed = export->next;
		log_info("export %s: no longer offered", export->name);
		session_end_all(server, export);
		catalog_unref(server, export);
	}
	pthread_mutex_unlock(&server->lock);
}

/* ---- life ---- */

void catalog_serve(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	for (struct export *e = server->catalog.exports; e; e = e->next)
		fence_serve(e);
	pthread_mutex_unlock(&server->lock);
}

int catalog_open(struct server *server, char *reason, size_t reason_size)
{
	pthread_condattr_t attr;
	int error = 0;

	server->catalog.reap_work = (struct loop_work){.callback = reap, .arg = server};
	server->catalog.retry_work = (struct loop_work){.callback = retry, .arg = server};
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* clock_now()'s */
	pthread_cond_init(&server->catalog.chores_done, &attr);
	pthread_condattr_destroy(&attr);
	server->catalog.chores = offload_new("dstd-chore", CATALOG_CHORES);
	if (!server->catalog.chores) {
		snprintf(reason, reason_size, "out of memory");
		return ENOMEM;
	}
	for (const struct export_config *c = server->options->exports; c && !error; c = c->next)
		error = open_now(server, c, reason, reason_size);
	return error;
}

/* Takes all off. Under the lock. */
static void take_off(struct server *server)
{
	struct export *export;

	server->catalog.closing = true;
	while ((export = server->catalog.exports)) {
		server->catalog.exports = export->next;
		session_end_all(server, export);
		catalog_unref(server, export);
	}
}

void catalog_begin_close(struct server *server, struct loop_work *closed)
{
	pthread_mutex_lock(&server->lock);
	take_off(server);
	server->catalog.closed = closed;
	check_closed(server);
	pthread_mutex_unlock(&server->lock);
}

void catalog_log_unclosed(struct server *server)
{
	unsigned opened;

	pthread_mutex_lock(&server->lock);
	opened = server->catalog.opened;
	pthread_mutex_unlock(&server->lock);
	if (opened)
		log_error("stopping: the storage of %u export%s is not closed yet", opened,
			  opened == 1 ? "" : "s");
}

bool catalog_close(struct server *server, uint64_t timeout)
{
	uint64_t until = clock_now() + timeout;
	struct timespec ts = {.tv_sec = (time_t)(until / CLOCK_SEC),
			      .tv_nsec = (long)(until % CLOCK_SEC)};
	struct catalog *catalog = &server->catalog;
	int error = 0;

	if (!catalog->chores)
		return true;
	pthread_mutex_lock(&server->lock);
	take_off(server);
	while ((catalog->dead || catalog->chores_busy) && !error) {
		pthread_mutex_unlock(&server->lock);
		reap(server); /* the loop does it no longer */
		pthread_mutex_lock(&server->lock);
		if (catalog->chores_busy)
			error = pthread_cond_timedwait(&catalog->chores_done, &server->lock, &ts);
	}
	pthread_mutex_unlock(&server->lock);
	if (error)
		return false;
	offload_free(&catalog->chores);
	return true;
}
