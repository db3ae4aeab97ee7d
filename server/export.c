/* SPDX-License-Identifier: GPL-2.0-or-later */
/* export.c - see export.h */
#include "server/export.h"

#include "server/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const char *const export_counter_names[EXPORT_COUNTERS] = {
	[EXPORT_READS] = "reads",
	[EXPORT_READ_BYTES] = "read_bytes",
	[EXPORT_WRITES] = "writes",
	[EXPORT_WRITE_BYTES] = "write_bytes",
	[EXPORT_FLUSHES] = "flushes",
	[EXPORT_DISCARDS] = "discards",
	[EXPORT_ZEROES] = "zeroes",
	[EXPORT_COPIES] = "copies",
	[EXPORT_EXTENTS] = "extents",
	[EXPORT_HASHES] = "hashes",
	[EXPORT_ERRORS] = "errors",
	[EXPORT_REFUSED] = "refused",
	[EXPORT_BAD_DIGESTS] = "bad_digests",
	[EXPORT_JOINED] = "joined",
	[EXPORT_EXECUTED] = "executed",
	[EXPORT_FALSE_RETRIES] = "false_retries",
};

struct export *export_new(struct server *server, const char *name, const char *path,
			  struct backend *backend, const struct state_export *known)
{
	struct export *export = NULL;

	if (!posix_memalign((void **)&export, _Alignof(struct export), sizeof(*export))) {
		memset(export, 0, sizeof(*export));
		export->name = strdup(name);
		export->path = strdup(path);
		if (export->name && export->path) {
			export->backend = backend;
			export->server = server;
			export->claim_limit.burst = FENCE_LOG_BURST;
			export->refs = 1;
			memcpy(export->uuid, known->uuid, DST_ID_SIZE);
			memcpy(export->instance, known->instance, DST_ID_SIZE);
			fence_init(export, known);
			return export;
		}
		free(export->name);
		free(export->path);
		free(export);
	}
	backend_close(&backend);
	return NULL;
}

void export_free(struct export **export)
{
	struct export *e = *export;

	*export = NULL;
	if (!e)
		return;
	assert(!e->refs);
	backend_close(&e->backend);
	free(e->name);
	free(e->path);
	free(e);
}

/* Ids are random, so one that is counted on from is as good as a new one, and needs no lock. */
void export_instance(const struct export *export, uint64_t instances, uint8_t id[DST_ID_SIZE])
{
	memcpy(id, export->instance, DST_ID_SIZE);
	wire_u64_encode(id, wire_u64_decode(id) + instances);
}

void export_sync_failed(struct export *export, bool flush, uint64_t instances)
{
	uint64_t now = instances;

	if (flush) /* it may fail for what only FUA was told of, before it was submitted */
		atomic_compare_exchange_strong(&export->backend->info.losses, &now, instances + 1);
	if (export_instances(export) == instances)
		return;
	log_limited(&export->instance_limit, LOG_LEVEL_WARN,
		    "export %s: what was written since the last flush may be lost: its clients are "
		    "told to write it again",
		    export->name);
	session_tell_all(export->server, export);
}

uint16_t export_admit(const struct export *export, uint32_t have, uint32_t need, struct range range,
		      uint16_t beyond)
{
	if (need & ~have)
		return need & ~have & DST_PERM_READ      ? DST_EDENIED
		       : export->backend->info.read_only ? DST_EROFS
							 : DST_EPERM;
	if (!range_within(range, export_size(export)))
		return beyond;
	return DST_OK;
}

uint32_t export_permissions(const struct export *export, const struct acl_peer *peer,
			    uint32_t wanted)
{
	uint32_t granted;

	if (!export->config)
		return 0;
	granted = acl_check(export->config->rules, peer) & wanted;
	if (export->backend->info.read_only || export->config->read_only)
		granted &= ~DST_PERM_WRITE;
	return granted & DST_PERM_READ ? granted : 0;
}

uint64_t export_count(const struct export *export, enum export_counter which)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < EXPORT_MAX_TALLIES; i++)
		sum += counter_get(&export->tallies[i].values[which]);
	return sum;
}
