/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * catalog.h - the exports on offer: opened, looked at again, replaced by a reload, closed.
 *
 * Opening a file, asking for its size and closing a device may take as long as the disk likes. So, once
 * the server serves, each of these is a chore in a thread of its own, which enters what came of it
 * under the server's lock.
 *
 * The state file says of an export that is open that it is not clean: it was stored so before the
 * export was offered. So whatever ends the server but a stop that flushes, the next start finds
 * that out and gives the export a new instance id. When the last reference of an export is gone it is
 * flushed, stored as clean with the id that it has then, and closed, in this order.
 */
#ifndef SERVER_CATALOG_H
#define SERVER_CATALOG_H

#include "common/loop.h"
#include "common/offload.h"
#include "server/export.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct server;
struct opening;

#define CATALOG_CHORES 64u /* threads at most; they exist only while they are needed */

struct catalog {
	/* Guarded by the server's lock. */
	struct export *exports;
	struct export *dead; /* without references, to be closed */
	struct opening *openings; /* under way */
	unsigned opened; /* exports that are not closed yet */
	unsigned chores_busy; /* queued or running */
	bool closing; /* opens nothing any more */

	struct loop_work reap_work; /* in the first worker's loop */
	bool reap_posted;
	struct loop_work retry_work; /* likewise: what was closed may be wanted again */
	bool retry_posted;
	struct loop_work *closed; /* to be posted there when all are closed; NULL: nobody waits */

	bool unflushed; /* of the first worker's thread: the flush of one that is closed at the end failed */

	/* Fixed. */
	struct offload *chores;
	pthread_cond_t chores_done; /* with the server's lock */
};

/*
 * Opens all that the server's options name, and waits for it: before the server serves. 0, or an errno
 * with the cause in reason. catalog_close() cleans up in either case.
 */
int catalog_open(struct server *server, char *reason, size_t reason_size);

/* The server serves from now on: who holds an export can come back. Takes the lock. */
void catalog_serve(struct server *server);

/* The export of that name, or NULL. Under the lock. */
struct export *catalog_find(struct server *server, const char *name);

/* Gives a reference back; after the last one the export is closed soon. Under the lock. */
void catalog_unref(struct server *server, struct export *export);

/*
 * From now on `list` is what is on offer: takes off what it doesn't name, or names with other storage,
 * and gives the others its rules. What is missing is opened by catalog_refresh(). Takes the lock.
 */
void catalog_adopt(struct server *server, struct export_config *list);

/*
 * Looks for other sizes, and tells the sessions; opens what is configured and not open yet. Failures to
 * open are logged if `loud`; they are tried again at the next call. Takes the lock.
 */
void catalog_refresh(struct server *server, bool loud);

/*
 * Offers nothing any more and closes all; posts `closed` to the first worker's loop, which runs, when that
 * is over, however long it takes. No connection may be left. From that worker's thread.
 */
void catalog_begin_close(struct server *server, struct loop_work *closed);

/* Logs what is not closed yet. Takes the lock. */
void catalog_log_unclosed(struct server *server);

/* A chore: job->run(job) in a thread of the catalog's, or right here, so not under the lock; it calls
 * catalog_end_chore() at its very end. */
void catalog_begin_chore(struct server *server, struct offload_job *job,
			 void (*run)(struct offload_job *job));
void catalog_end_chore(struct server *server); /* under the lock */

/* Without the loop, at the very end or when the start has failed: closes what is open, and nobody has
 * used, and frees the rest. False: the storage didn't let go of an export in `timeout` nanoseconds, or a chore
 * still hangs; it must not be freed then, and neither must the server. No session may be left. */
bool catalog_close(struct server *server, uint64_t timeout);

#endif
