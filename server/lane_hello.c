/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lane_hello.c - HELLO and its answer, and the notices of what has changed since. */
#include "server/lane_impl.h"

#include "common/log.h"
#include "server/export.h"
#include "server/record.h"
#include "server/server.h"
#include "server/session.h"
#include "server/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- notices ---- */

static bool knows_all(const struct lane *lane)
{
	uint32_t permissions = atomic_load_explicit(&lane->permissions, memory_order_relaxed);

	/* Without READ the lane is ended instead. */
	return lane->told_size == export_size(lane->export) &&
	       lane->told_instances == export_instances(lane->export) &&
	       (lane->told_permissions == permissions || !(permissions & DST_PERM_READ));
}

static void attrs_sent(struct msgio_out *out)
{
	struct lane *lane = (struct lane *)((char *)out - offsetof(struct lane, attrs_out));

	lane->attrs_busy = false;
	free(lane->attrs_large);
	lane->attrs_large = NULL;
	counter_add(&lane->messages_out, 1);
	if (lane->state == LANE_READY)
		lane_tell(lane); /* what changed while this was on its way */
	else
		lane_go_on_ending(lane);
}

static void send_attrs(struct lane *lane, enum dst_type type, uint64_t id, uint16_t status,
		       const struct wire_attrs *attrs)
{
	uint8_t encoded[DST_MAX_HELLO], *kept = lane->attrs;
	uint32_t size = wire_attrs_encode(encoded, attrs);

	assert(!lane->attrs_busy);
	if (size > sizeof(lane->attrs))
		kept = lane->attrs_large = malloc(size);
	if (!kept) {
		log_error("%s: no memory for what it asked for", lane->peer.text);
		lane_disconnect(lane);
		return;
	}
	memcpy(kept, encoded, size);
	lane->attrs_out.header = (struct wire_header){
		.type = (uint8_t)type,
		.flags = DST_F_REPLY,
		.status = status,
		.id = id,
		.payload = size,
		.digest = wire_digest(DST_CHECKSUM_XXH3, kept, size),
	};
	lane->attrs_out.payload = kept;
	lane->attrs_out.sent = attrs_sent;
	lane->attrs_busy = true;
	msgio_send(lane->msgio, &lane->attrs_out);
}

void lane_tell(struct lane *lane)
{
	struct wire_attrs attrs = {.has = 0};
	uint64_t size = export_size(lane->export), instances = export_instances(lane->export);
	uint32_t permissions = lane->permissions;

	if (lane->attrs_busy)
		return;
	if (size != lane->told_size) {
		attrs.has |= 1u << DST_ATTR_SIZE;
		attrs.size = size;
	}
	if (permissions != lane->told_permissions && permissions & DST_PERM_READ) {
		attrs.has |= 1u << DST_ATTR_PERMISSIONS;
		attrs.permissions = permissions;
		lane->told_permissions = permissions;
	}
	if (instances != lane->told_instances) {
		attrs.has |= 1u << DST_ATTR_INSTANCE;
		export_instance(lane->export, instances, attrs.instance);
	}
	if (!attrs.has)
		return;
	lane->told_size = size;
	lane->told_instances = instances;
	send_attrs(lane, DST_NOTICE, 0, DST_OK, &attrs);
}

bool lane_told(struct lane *lane)
{
	if (knows_all(lane))
		return true;
	if (lane->attrs_busy) {
		if (lane->state < LANE_FINISHING)
			lane_log_left(lane,
				      "the last notice is not out, and must be before the next");
		lane_disconnect(lane);
	} else {
		lane_tell(lane);
	}
	return lane->msgio;
}

/* ---- HELLO ---- */

/* Answers HELLO with an error; the connection ends when the answer is out. */
static void refuse_with(struct lane *lane, uint64_t id, const struct session_refusal *refusal)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_REASON};

	atomic_fetch_add(&lane->worker->server->refused, 1);
	log_limited(&lane->worker->refused_limit, LOG_LEVEL_WARN, "refused %s: %s", lane->peer.text,
		    refusal->reason);
	snprintf(attrs.reason, sizeof(attrs.reason), "%s", refusal->reason);
	if (refusal->has_epoch)
		attrs.has |= 1u << DST_ATTR_EPOCH | 1u << DST_ATTR_SERVER_ID;
	attrs.epoch = refusal->epoch;
	memcpy(attrs.server_id, lane->worker->server->id, DST_ID_SIZE);
	lane_set_state(lane, LANE_FINISHING);
	msgio_pause(lane->msgio);
	send_attrs(lane, DST_HELLO, id, refusal->status, &attrs);
	msgio_flush(lane->msgio);
}

static void refuse(struct lane *lane, uint64_t id, uint16_t status, const char *reason)
{
	struct session_refusal refusal = {.status = status};

	snprintf(refusal.reason, sizeof(refusal.reason), "%s", reason);
	refuse_with(lane, id, &refusal);
}

/* Answers PENDING. It says nothing of the watermark: what changes no content is not named in it, may
 * be older, and comes again with its id. False: HELLO was refused. */
static bool answer_pending(struct lane *lane, uint64_t instances, struct wire_attrs *attrs)
{
	const struct wire_pending *pending = lane->pending;
	struct session_slot *slot = lane->slot;

	if (pending->first <= slot->watermark) {
		refuse(lane, lane->hello_id, DST_EPROTO,
		       "HELLO names a pending transaction that the client was done with");
		return false;
	}
	attrs->has |= 1u << DST_ATTR_EXECUTED;
	attrs->executed.count = 0;
	if (slot->record)
		record_executed(slot->record, pending, instances, &attrs->executed);
	request_count_executed(lane, attrs->executed.count);
	free(lane->pending);
	lane->pending = NULL;
	return true;
}

/* HELLO is answered: requests may come. */
static void begin_service(struct lane *lane)
{
	char who[LANE_WHO];

	if (msgio_open_up(lane->msgio, lane->checksum)) {
		lane_finish(lane, "out of memory");
		return;
	}
	lane_set_state(lane, LANE_READY);
	lane_describe(lane, who, sizeof(who));
	log_limited(&lane->worker->joined_limit, LOG_LEVEL_INFO,
		    "%s: joined export %s, lane %u of %u, %s", who, lane->export->name,
		    lane->index + 1, lane->lanes,
		    lane->told_permissions & DST_PERM_WRITE ? "read-write" : "read-only");
	msgio_resume(lane->msgio);
}

/* The place is ours: tells the client what it needs to know, and takes requests from now on. */
static void lane_welcome(struct lane *lane)
{
	const struct server *server = lane->worker->server;
	const struct export *export = lane->export;
	uint64_t instances = export_instances(export);
	struct wire_attrs attrs = {
		.has = 1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_SIZE |
		       1u << DST_ATTR_BLOCKS | 1u << DST_ATTR_LIMITS | 1u << DST_ATTR_FEATURES |
		       1u << DST_ATTR_SERVER_ID | 1u << DST_ATTR_EXPORT_UUID |
		       1u << DST_ATTR_INSTANCE,
		.permissions = lane->permissions,
		.checksum = lane->checksum,
		.size = export_size(export),
		.block_min = export->backend->info.block_min,
		.block_preferred = export->backend->info.block_preferred,
		.max_payload = DST_MAX_PAYLOAD,
		.max_range = DST_MAX_RANGE,
		.depth = LANE_DEPTH,
		.features = export->backend->info.features | (export->shared ? DST_IS_SHARED : 0),
		.epoch = lane->epoch,
	};

	if (lane->pending && !answer_pending(lane, instances, &attrs))
		return;
	if (lane->has_epoch)
		attrs.has |= 1u << DST_ATTR_EPOCH;
	memcpy(attrs.server_id, server->id, DST_ID_SIZE);
	memcpy(attrs.export_uuid, export->uuid, DST_ID_SIZE);
	export_instance(export, instances, attrs.instance);
	lane->told_size = attrs.size;
	lane->told_permissions = attrs.permissions;
	lane->told_instances = instances;
	send_attrs(lane, DST_HELLO, lane->hello_id, DST_OK, &attrs);
	if (lane->msgio)
		begin_service(lane);
}

/* What HELLO must carry beside its syntax. Returns a cause to refuse it, or NULL. */
static const char *check_hello(struct lane *lane, const struct wire_attrs *attrs)
{
	static const struct {
		enum dst_attr kind;
		const char *missing;
	} needed[] = {
		{DST_ATTR_EXPORT, "HELLO names no export"},
		{DST_ATTR_SESSION, "HELLO has no session id"},
		{DST_ATTR_LANE, "HELLO names no lane"},
		{DST_ATTR_PERMISSIONS, "HELLO asks for no permissions"},
		{DST_ATTR_CHECKSUM, "HELLO offers no checksum"},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!wire_has(attrs, needed[i].kind))
			return needed[i].missing;
	if (!(attrs->permissions & DST_PERM_READ))
		return "HELLO does not ask for permission to read";
	if (wire_has(attrs, DST_ATTR_EPOCH) && wire_has(attrs, DST_ATTR_TAKEOVER))
		return "HELLO both holds an epoch and takes one over";
	if (attrs->checksum & 1u << DST_CHECKSUM_XXH3)
		lane->checksum = DST_CHECKSUM_XXH3;
	else if (attrs->checksum & 1u << DST_CHECKSUM_NONE)
		lane->checksum = DST_CHECKSUM_NONE;
	else
		return "HELLO offers no checksum that this server knows";
	return NULL;
}

/* PENDING is answered when all that it may name is over. */
static bool keep_pending(struct lane *lane, const struct wire_attrs *attrs)
{
	if (!wire_has(attrs, DST_ATTR_PENDING))
		return true;
	lane->pending = malloc(sizeof(*lane->pending));
	if (lane->pending)
		*lane->pending = attrs->pending;
	return lane->pending;
}

void lane_settle(struct lane *lane, enum session_outcome outcome,
		 const struct session_refusal *refusal)
{
	if (outcome == SESSION_GRANTED)
		lane_welcome(lane);
	else if (outcome == SESSION_REFUSED)
		refuse_with(lane, lane->hello_id, refusal);
}

void lane_take_hello(struct lane *lane, const struct msgio_in *in)
{
	struct session_refusal refusal;
	struct wire_attrs attrs;
	enum session_outcome outcome;
	const char *cause;

	if (!in->type_ok || in->header.type != DST_HELLO) {
		lane_violation(lane, "%s before HELLO", wire_type_name(in->header.type));
		return;
	}
	if (!in->digest_ok) {
		lane_violation(lane, "HELLO with a wrong digest");
		return;
	}
	if (wire_attrs_decode(&attrs, in->payload, in->header.payload, refusal.reason)) {
		refuse(lane, in->header.id, DST_EPROTO, refusal.reason);
		return;
	}
	cause = check_hello(lane, &attrs);
	if (cause) {
		refuse(lane, in->header.id, DST_EPROTO, cause);
		return;
	}
	lane->hello_id = in->header.id;
	outcome = session_attach(lane->worker->server, lane, &attrs, &refusal);
	if (outcome != SESSION_REFUSED && !keep_pending(lane, &attrs)) {
		refuse(lane, lane->hello_id, DST_ENOMEM, "the server is out of memory");
		return;
	}
	msgio_watch(lane->msgio); /* who goes away while it waits must not be let in */
	lane_set_state(lane, LANE_WAITING);
	lane_settle(lane, outcome, &refusal);
}

void lane_answer_version(struct lane *lane)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_REASON};

	snprintf(attrs.reason, sizeof(attrs.reason),
		 "this server speaks version %d of the protocol only", DST_VERSION);
	send_attrs(lane, DST_HELLO, 1, DST_EVERSION, &attrs);
	msgio_flush(lane->msgio);
}
