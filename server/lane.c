/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lane.c - see lane.h */
#include "server/lane.h"

#include "common/clock.h"
#include "common/log.h"
#include "server/export.h"
#include "server/record.h"
#include "server/server.h"
#include "server/session.h"
#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
	[LANE_HELLO] = "HELLO",         [LANE_WAITING] = "WAITING", [LANE_READY] = "READY",
	[LANE_FINISHING] = "FINISHING", [LANE_CLOSING] = "CLOSING", [LANE_GONE] = "GONE",
};

static void set_state(struct lane *lane, enum lane_state state)
{
	log_debug("%s: %s -> %s", lane->peer.text, state_names[lane->state], state_names[state]);
	lane->state = state;
}

/* One reference is the lane's own life, the others are posted pokes. */
static void release(struct lane *lane)
{
	if (atomic_fetch_sub(&lane->refs, 1) > 1)
		return;
	assert(lane->state == LANE_GONE);
	worker_bury(lane->worker, lane); /* callers up the stack may still look at it */
}

/* ---- end ---- */

static void unpark(struct lane *lane)
{
	struct worker *worker = lane->worker;
	struct lane **link;

	if (!lane->starved)
		return;
	lane->starved = false;
	buf_unref(&lane->parked.buf);
	for (link = &worker->starved; *link != lane;)
		link = &(*link)->starved_next;
	*link = lane->starved_next;
	if (!*link)
		worker->starved_tail = link;
}

static void leave(struct lane *lane)
{
	struct worker *worker = lane->worker;

	set_state(lane, LANE_GONE);
	if (lane->session)
		session_detach(worker->server, lane);
	*lane->link = lane->next;
	if (lane->next)
		lane->next->link = lane->link;
	atomic_fetch_sub(&worker->server->clients, 1);
	release(lane);
	worker_lane_gone(worker);
}

/* Goes on with ending, as far as what still runs allows. */
static void go_on_ending(struct lane *lane)
{
	if (lane->state == LANE_CLOSING && !lane->inflight) {
		leave(lane);
	} else if (lane->state == LANE_FINISHING) {
		if (lane->close_request && lane->inflight == 1) {
			struct request *request = lane->close_request;

			lane->close_request = NULL;
			request_answer(request, DST_OK);
		} else if (!lane->inflight && !lane->attrs_busy) {
			lane_poke(lane, LANE_POKE_FINISHED); /* we may be deep inside msgio */
		}
	}
}

/* Closes the connection now. Replies are dropped; backend I/O goes on until it is over. */
static void disconnect(struct lane *lane)
{
	struct request *request = lane->close_request;

	if (lane->state >= LANE_CLOSING)
		return;
	set_state(lane, LANE_CLOSING);
	unpark(lane);
	lane->inflight++; /* msgio hands back what was queued: not the last of it may end the lane */
	msgio_close(&lane->msgio);
	lane->close_request = NULL;
	if (request)
		request_drop(request);
	worker_feed(lane->worker);
	lane->inflight--;
	go_on_ending(lane);
}

/* "NAME (ADDRESS)" of a client that was let in, else the address. */
static void describe(const struct lane *lane, char *text, size_t size)
{
	if (lane->session)
		snprintf(text, size, "%s (%s)", lane->session->client, lane->peer.text);
	else
		snprintf(text, size, "%s", lane->peer.text);
}

/* The one line about the end of a connection that was let in. */
static void log_left(const struct lane *lane, const char *why)
{
	char who[sizeof(lane->session->client) + sizeof(lane->peer.text) + 4];

	describe(lane, who, sizeof(who));
	log_info("%s: left export %s, lane %u of %u: %s", who, lane->export->name, lane->index + 1,
		 lane->lanes, why);
}

void lane_finish(struct lane *lane, const char *why)
{
	if (lane->state >= LANE_FINISHING)
		return;
	if (lane->session)
		log_left(lane, why);
	if (lane->state != LANE_READY) {
		disconnect(lane);
		return;
	}
	set_state(lane, LANE_FINISHING);
	unpark(lane);
	msgio_pause(lane->msgio);
	go_on_ending(lane);
}

void lane_violation(struct lane *lane, const char *format, ...)
{
	char what[256], who[sizeof(lane->session->client) + sizeof(lane->peer.text) + 4];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	describe(lane, who, sizeof(who));
	log_limited(&lane->worker->bad_limit, LOG_LEVEL_WARN, "%s: broke the protocol: %s", who,
		    what);
	disconnect(lane);
}

void lane_close_requested(struct lane *lane, struct request *request)
{
	lane->close_request = request;
	lane->closed = true;
	lane_finish(lane, "closed by the client");
}

void lane_request_over(struct lane *lane)
{
	unsigned left = lane->inflight - 1;

	atomic_store_explicit(&lane->inflight, left, memory_order_relaxed);
	if (lane->state == LANE_READY) {
		if (left == LANE_DEPTH + LANE_SPARE - 1 && !lane->starved)
			msgio_resume(lane->msgio);
	} else {
		go_on_ending(lane);
	}
}

/* ---- HELLO's answer and notices ---- */

static bool knows_all(const struct lane *lane)
{
	uint32_t permissions = atomic_load_explicit(&lane->permissions, memory_order_relaxed);

	/* Without READ the lane is ended instead. */
	return lane->told_size == export_size(lane->export) &&
	       lane->told_instances == export_instances(lane->export) &&
	       (lane->told_permissions == permissions || !(permissions & DST_PERM_READ));
}

static void tell(struct lane *lane);

static void attrs_sent(struct msgio_out *out)
{
	struct lane *lane = (struct lane *)((char *)out - offsetof(struct lane, attrs_out));

	lane->attrs_busy = false;
	free(lane->attrs_large);
	lane->attrs_large = NULL;
	counter_add(&lane->messages_out, 1);
	if (lane->state == LANE_READY)
		tell(lane); /* what changed while this was on its way */
	else
		go_on_ending(lane);
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
		disconnect(lane);
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

/* NOTICE of what the client doesn't know. One that is still queued is followed by the next when it
 * is out. */
static void tell(struct lane *lane)
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
			log_left(lane, "the last notice is not out, and must be before the next");
		disconnect(lane);
	} else {
		tell(lane);
	}
	return lane->msgio;
}

/* Answers HELLO with an error; the connection ends when the answer is out. */
static void refuse_with(struct lane *lane, uint64_t id, const struct session_refusal *refusal)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_REASON};

	atomic_fetch_add(&lane->worker->server->refused, 1);
	log_limited(&lane->worker->refused_limit, LOG_LEVEL_WARN, "refused %s: %s", lane->peer.text,
		    refusal->reason);
	snprintf(attrs.reason, sizeof(attrs.reason), "%s", refusal->reason);
	if (refusal->has_epoch)
		attrs.has |= 1u << DST_ATTR_EPOCH;
	attrs.epoch = refusal->epoch;
	set_state(lane, LANE_FINISHING);
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

/* Answers PENDING. False: HELLO was refused. */
static bool answer_pending(struct lane *lane, uint64_t instances, struct wire_attrs *attrs)
{
	const struct wire_pending *pending = lane->pending;
	struct session_slot *slot = lane->slot;

	if (pending->first <= slot->watermark) {
		refuse(lane, lane->hello_id, DST_EPROTO,
		       "HELLO names a pending transaction that the client was done with");
		return false;
	}
	slot->watermark = pending->first - 1;
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
	char who[sizeof(lane->session->client) + sizeof(lane->peer.text) + 4];

	if (msgio_open_up(lane->msgio, lane->checksum)) {
		lane_finish(lane, "out of memory");
		return;
	}
	set_state(lane, LANE_READY);
	describe(lane, who, sizeof(who));
	log_info("%s: joined export %s, lane %u of %u, %s", who, lane->export->name,
		 lane->index + 1, lane->lanes,
		 lane->told_permissions & DST_PERM_WRITE ? "read-write" : "read-only");
	msgio_resume(lane->msgio);
}

/* The place is ours: tells the client what it needs to know, and takes requests from now on. */
static void welcome(struct lane *lane)
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

/* Answers HELLO, unless it is too early for that. */
static void settle(struct lane *lane, enum session_outcome outcome,
		   const struct session_refusal *refusal)
{
	if (outcome == SESSION_GRANTED)
		welcome(lane);
	else if (outcome == SESSION_REFUSED)
		refuse_with(lane, lane->hello_id, refusal);
}

static void take_hello(struct lane *lane, const struct msgio_in *in)
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
	set_state(lane, LANE_WAITING);
	settle(lane, outcome, &refusal);
}

/* ---- messages ---- */

/* Keeps a message that can't be served now, and reads no more until it is. */
static void park(struct lane *lane, const struct message *message)
{
	struct worker *worker = lane->worker;

	if (!message->buf && message->header.payload) {
		assert(message->header.payload < MSGIO_DIRECT);
		if (!lane->parking)
			lane->parking = malloc(MSGIO_DIRECT);
		if (!lane->parking) {
			log_error("%s: no memory to keep a request that has to wait",
				  lane->peer.text);
			disconnect(lane);
			return;
		}
		memcpy(lane->parking, message->payload, message->header.payload);
	}
	lane->parked = *message;
	lane->parked.payload = message->buf ? message->buf->data : lane->parking;
	lane->starved = true;
	lane->starved_next = NULL;
	*worker->starved_tail = lane;
	worker->starved_tail = &lane->starved_next;
	msgio_pause(lane->msgio);
}

bool lane_feed(struct lane *lane)
{
	struct message message = lane->parked;

	assert(lane->starved);
	lane->parked.buf = NULL;
	if (!request_serve(lane, &message)) {
		lane->parked.buf = message.buf;
		return false;
	}
	unpark(lane);
	if (lane->state == LANE_READY && lane->inflight < LANE_DEPTH + LANE_SPARE)
		msgio_resume(lane->msgio);
	return true;
}

static void on_message(void *arg, struct msgio_in *in)
{
	struct lane *lane = arg;
	struct message message = {.header = in->header,
				  .payload = in->payload,
				  .digest_ok = in->digest_ok,
				  .type_ok = in->type_ok};

	counter_add(&lane->messages_in, 1);
	if (lane->state == LANE_HELLO) {
		take_hello(lane, in);
		return;
	}
	if (lane->state != LANE_READY)
		return; /* reading has stopped, this one was on its way */
	if (in->type_ok && in->header.type == DST_HELLO) {
		lane_violation(lane, "a second HELLO");
		return;
	}
	message.buf = in->buf ? msgio_take(lane->msgio, in) : NULL;
	if (!request_serve(lane, &message))
		park(lane, &message);
	else if (lane->state == LANE_READY && lane->inflight >= LANE_DEPTH + LANE_SPARE)
		msgio_pause(lane->msgio);
}

/* A client of another version is told so in ours: it knows the magic, and how to read that much. */
static void answer_version(struct lane *lane)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_REASON};

	snprintf(attrs.reason, sizeof(attrs.reason),
		 "this server speaks version %d of the protocol only", DST_VERSION);
	send_attrs(lane, DST_HELLO, 1, DST_EVERSION, &attrs);
	msgio_flush(lane->msgio);
}

static void on_closed(void *arg, int error, const char *why)
{
	struct lane *lane = arg;
	struct server *server = lane->worker->server;
	char text[160];

	if (error && error != EPROTO && error != EPROTONOSUPPORT)
		snprintf(text, sizeof(text), "%s: %s", why, strerror(error));
	else
		snprintf(text, sizeof(text), "%s", why);
	if (error == EPROTO || error == EPROTONOSUPPORT)
		atomic_fetch_add(&server->bad_headers, 1);
	if (lane->session && lane->state < LANE_FINISHING) {
		log_left(lane, text);
	} else if (lane->state == LANE_HELLO) {
		atomic_fetch_add(&server->refused, 1);
		log_limited(&lane->worker->refused_limit, error ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
			    "refused %s: %s", lane->peer.text, text);
		if (error == EPROTONOSUPPORT)
			answer_version(lane);
	}
	disconnect(lane);
}

/* ---- pokes and time ---- */

static void run_pokes(void *arg)
{
	struct lane *lane = arg;
	unsigned pokes = atomic_exchange(&lane->pokes, 0);

	if (pokes & LANE_POKE_REPLACED && lane->state < LANE_CLOSING) {
		log_left(lane, "replaced by another connection of its client");
		disconnect(lane);
	}
	if (pokes & LANE_POKE_FENCED && lane->state < LANE_CLOSING) {
		log_left(lane, "another client takes the export over");
		disconnect(lane);
	}
	if (pokes & LANE_POKE_GRANTED && lane->state == LANE_WAITING) {
		struct session_refusal refusal;

		settle(lane, session_judge(lane->worker->server, lane, &refusal), &refusal);
	}
	if (pokes & LANE_POKE_REVOKED)
		lane_finish(lane, "the access rules no longer admit it");
	if (pokes & LANE_POKE_REMOVED)
		lane_finish(lane, "the export is no longer offered");
	if (pokes & LANE_POKE_ANEW)
		lane_finish(lane, "it may write from now on, and has to attach anew for that");
	if (pokes & LANE_POKE_NOTICE && lane->state == LANE_READY)
		tell(lane);
	if (pokes & LANE_POKE_FINISHED)
		disconnect(lane);
	release(lane);
}

void lane_poke(struct lane *lane, unsigned pokes)
{
	if (atomic_fetch_or(&lane->pokes, pokes))
		return; /* on its way already */
	atomic_fetch_add(&lane->refs, 1);
	loop_post(lane->worker->loop, &lane->poke_work);
}

void lane_free(struct lane *lane)
{
	free(lane->parking);
	free(lane->pending);
	free(lane->attrs_large);
	free(lane);
}

void lane_tick(struct lane *lane)
{
	uint64_t bytes;

	if (lane->state == LANE_HELLO) {
		if (clock_now() - lane->since < DST_HELLO_TIMEOUT_MS * CLOCK_MS)
			return;
		atomic_fetch_add(&lane->worker->server->refused, 1);
		log_limited(&lane->worker->refused_limit, LOG_LEVEL_WARN,
			    "refused %s: it did not say HELLO in time", lane->peer.text);
		disconnect(lane);
		return;
	}
	if (!lane->msgio)
		return;
	bytes = msgio_stats(lane->msgio)->bytes_out;
	if (msgio_idle(lane->msgio) || bytes != lane->stalled_bytes) {
		lane->stalled_bytes = bytes;
		lane->stalled_ticks = 0;
	} else if (++lane->stalled_ticks > LANE_STALL) {
		if (lane->session && lane->state < LANE_FINISHING)
			log_left(lane, "it takes no replies");
		disconnect(lane);
	}
}

void lane_open(struct worker *worker, struct stream *stream, const struct lane_peer *peer)
{
	static const struct msgio_events events = {.message = on_message, .closed = on_closed};
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		goto fail_stream;
	lane->worker = worker;
	lane->peer = *peer;
	lane->since = clock_now();
	lane->refs = 1;
	lane->poke_work = (struct loop_work){.callback = run_pokes, .arg = lane};
	lane->msgio = msgio_new(worker->loop, stream, worker->bufs, WIRE_REQUEST, &events, lane);
	if (!lane->msgio)
		goto fail_lane;
	lane->next = worker->lanes;
	lane->link = &worker->lanes;
	if (lane->next)
		lane->next->link = &lane->next;
	worker->lanes = lane;
	log_debug("%s: connected", peer->text);
	return;

fail_stream:
	stream_close(&stream);
fail_lane:
	free(lane);
	log_error("%s: no memory for another connection", peer->text);
	atomic_fetch_sub(&worker->server->clients, 1);
	worker_lane_gone(worker);
}
