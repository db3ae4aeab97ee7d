/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * export.h - a named piece of storage on offer: its backend, its size, its rules, its counters.
 *
 * Exports are shared by all workers. What the data path reads never changes or is atomic; the rest
 * is guarded by the server's lock (see server.h).
 */
#ifndef SERVER_EXPORT_H
#define SERVER_EXPORT_H

#include "common/backend.h"
#include "common/counter.h"
#include "common/log.h"
#include "common/offload.h"
#include "common/proto.h"
#include "server/acl.h"
#include "server/fence.h"
#include "server/options.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct server;

#define EXPORT_MAX_TALLIES 64u /* one a worker */

enum export_counter {
	EXPORT_READS,
	EXPORT_READ_BYTES,
	EXPORT_WRITES,
	EXPORT_WRITE_BYTES,
	EXPORT_FLUSHES,
	EXPORT_DISCARDS,
	EXPORT_ZEROES,
	EXPORT_COPIES,
	EXPORT_EXTENTS,
	EXPORT_HASHES,
	EXPORT_ERRORS, /* answered with the storage's error */
	EXPORT_REFUSED, /* out of bounds, no permission, … */
	EXPORT_BAD_DIGESTS, /* requests whose payload came damaged */
	EXPORT_JOINED, /* sent again while they ran */
	EXPORT_EXECUTED, /* sent again or asked for when they had run: answered from the record */
	EXPORT_FALSE_RETRIES, /* ids sent again with other content */
	EXPORT_COUNTERS
};

/* As status shows them. */
extern const char *const export_counter_names[EXPORT_COUNTERS];

/* A worker's part of an export: written by that worker only, on cache lines of its own. */
struct export_tally {
	_Alignas(64) counter_t values[EXPORT_COUNTERS];
	uint64_t held; /* bytes of the worker's memory, by what requests of this export hold */
};

/* clang-format takes `export` for a keyword. */
/* clang-format off */
struct export {
	/* Fixed. */
	char *name, *path;
	/* clang-format on */
	struct backend *backend; /* its size is atomic */
	uint8_t uuid[DST_ID_SIZE];
	uint8_t instance[DST_ID_SIZE]; /* its id at start, see export_instance() */
	bool shared; /* several may write: `fence` is not used */
	struct server *server;

	_Atomic bool sync; /* what is answered is durable: all that changes content has FUA */
	struct log_limit instance_limit, claim_limit; /* the latter with a burst */

	struct export_tally tallies[EXPORT_MAX_TALLIES];

	/* Guarded by the server's lock. */
	struct export *next;
	unsigned refs; /* the catalog, a look at the size, and one a session */
	const struct export_config *config; /* in the server's options; NULL once removed */
	struct offload_job chore; /* see catalog.h */
	bool refreshing;
	struct fence fence; /* who may write */
	bool used; /* someone has been let in */
	bool settled; /* closing: all that was ever answered is durable */
};

/* Takes over the backend, also on failure. The caller owns the one reference, `known` is
 * what was stored of it. NULL: out of memory. */
struct export *export_new(struct server *server, const char *name, const char *path,
			  struct backend *backend, const struct state_export *known);

/* Bytes on offer now. Any thread. */
static inline uint64_t export_size(const struct export *export)
{
	return atomic_load_explicit(&export->backend->info.size, memory_order_relaxed);
}

/* How often the instance id (proto.h, section 8) has changed since the export was opened. Any
 * thread; what was done before a change was seen is older than the change. */
static inline uint64_t export_instances(const struct export *export)
{
	return atomic_load(&export->backend->info.losses);
}

/* The id that came of the first `instances` changes. Any thread. */
void export_instance(const struct export *export, uint64_t instances, uint8_t id[DST_ID_SIZE]);

/*
 * A FLUSH has failed, or something that had FUA; `instances` were counted when it was submitted. Sees
 * to it that a failed FLUSH has changed the instance id, and that all clients are told if it has
 * changed. Before that is answered. Any thread; takes the server's lock.
 */
void export_sync_failed(struct export *export, bool flush, uint64_t instances);

/* Closes the backend, which may take long (a device is written back then). No references, no I/O. */
void export_free(struct export **export);

/* May this run? DST_OK, or the status to answer: `need` (DST_PERM_*) must be in `have`, and the range
 * within the current size, else `beyond`. Any worker. */
uint16_t export_admit(const struct export *export, uint32_t have, uint32_t need, struct range range,
		      uint16_t beyond);

/* DST_PERM_* that the rules grant to peer of what it wants; 0: none. Under the server's lock. */
uint32_t export_permissions(const struct export *export, const struct acl_peer *peer,
			    uint32_t wanted);

/* All workers' counts together. Any thread. */
uint64_t export_count(const struct export *export, enum export_counter which);

#endif
