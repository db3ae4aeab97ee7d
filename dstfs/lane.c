/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.c - see lane.h
 *
 * A request is either in `waiting` (no connection, or no room for a transaction) or carried by a
 * transaction in `txns`. When the connection ends, transactions stay in the table; they are sent
 * again, oldest first and before anything new, when the next connection is ready. The server has
 * by then finished all that the old connection had begun (proto.h, section 5), so an old write
 * can't overtake a new one.
 *
 * A server that breaks the protocol loses its connection, whatever the breach: what it owes is then
 * asked for again. One that does so each time is called on ever more rarely, like one that is away.
 *
 * Two clocks watch. A request fails when it has waited timeout * (resends + 1) in all. A connection
 * that has been silent is asked with a PING, and given up when nothing at all comes in for
 * `timeout` after that left: a slow disk delays its own requests, not the answer to PING. Silence is
 * measured by the bytes that moved, looked at once a tick, so the data path does nothing for it.
 */
#include "dstfs/lane.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/msgio.h"
#include "common/random.h"
#include "dstfs/connector.h"
#include "dstfs/hello.h"
#include "dstfs/reply.h"
#include "dstfs/txn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_MAX HELLO_REASON_MAX
#define BACKOFF_MAX (30 * CLOCK_SEC)
#define BACKOFF_DOUBLINGS 6u
#define ATTEMPT_PATIENCE_MAX (10 * CLOCK_SEC)
#define TICK_MIN (10 * CLOCK_MS)
#define TICK_MAX (1 * CLOCK_SEC)
#define TICKS_PER_TIMEOUT 8u
#define DAMAGED_TRIES 8u /* of one transaction whose payload keeps coming damaged */

/* HELLO, PING and CLOSE: messages without a request. */
struct plain_out {
	struct msgio_out out;
	bool queued;
	uint8_t payload[DST_MAX_HELLO];
};

struct lane {
	struct worker *worker;
	struct lane_config config;
	_Atomic enum lane_state state;
	struct lane_counters counters;

	struct loop_work start;
	struct connector *connector;
	struct msgio *msgio;
	enum dst_checksum checksum;
	char address[128]; /* of the peer, for the log */
	struct loop_timer retry_timer; /* IDLE: the next attempt. HELLO: the end of patience */
	unsigned failures; /* in a row, attempts and connections that didn't last */
	uint64_t ready_at; /* clock_now() when the connection became ready */
	char last_reason[REASON_MAX]; /* logged last, of those failures */

	struct txn_table txns;
	struct request_list waiting;

	struct loop_timer tick_timer;
	struct msgio_stats seen; /* of this connection, at the last tick */
	uint64_t heard_at; /* clock_now() of the tick that last saw bytes come in */
	bool ping_out; /* a PING is not answered */
	uint64_t ping_at; /* clock_now() when it was sent, or last kept waiting by others */
	struct plain_out hello, ping;
	struct log_limit limit_status, limit_damaged, limit_expired;
	struct wire_extent extents[DST_MAX_EXTENTS]; /* of the reply that is being handled */
};

static const char *const state_names[] = {
	[LANE_IDLE] = "idle",   [LANE_CONNECTING] = "connecting", [LANE_HELLO] = "hello",
	[LANE_READY] = "ready", [LANE_STOPPED] = "stopped",
};

const char *lane_state_name(enum lane_state state)
{
	return state_names[state];
}

enum lane_state lane_get_state(const struct lane *lane)
{
	return atomic_load_explicit((_Atomic enum lane_state *)&lane->state, memory_order_relaxed);
}

const struct lane_counters *lane_get_counters(const struct lane *lane)
{
	return &lane->counters;
}

static const char *node_text(const struct lane *lane, char text[URI_TEXT_MAX])
{
	return uri_print(lane->config.uri, text);
}

static void set_state(struct lane *lane, enum lane_state state)
{
	if (log_get_level() >= LOG_LEVEL_DEBUG) {
		char text[URI_TEXT_MAX];

		log_debug("%s: lane %u: %s -> %s", node_text(lane, text), lane->worker->index,
			  lane_state_name(lane->state), lane_state_name(state));
	}
	lane->state = state;
}

/* ---- transactions ---- */

static void update_inflight(struct lane *lane)
{
	atomic_store_explicit(&lane->counters.inflight, lane->txns.in_flight, memory_order_relaxed);
}

/* A transaction for the first request that waits. NULL: none waits, or there is no room, or no
 * memory: then the next reply or tick tries again. */
static struct txn *begin_waiting(struct lane *lane)
{
	struct request *request = lane->waiting.first;
	struct txn *txn;

	if (!request || !txn_table_has_room(&lane->txns))
		return NULL;
	txn = txn_new(&lane->txns, request);
	if (txn)
		request_list_remove(&lane->waiting, request);
	return txn;
}

/* Sends what was sent on an earlier connection, then what waits, as far as there is room. */
static void pump(struct lane *lane)
{
	while (lane->state == LANE_READY) {
		struct txn *txn = txn_table_unsent(&lane->txns);

		if (txn)
			counter_add(&lane->counters.resends, 1);
		else
			txn = begin_waiting(lane);
		if (!txn)
			break;
		txn_send(txn, lane->msgio, lane->checksum);
	}
	update_inflight(lane);
}

void lane_submit(struct lane *lane, struct request *request)
{
	request->place = REQUEST_WAITING;
	if (!request->since) /* else it has waited for its range */
		request->since = clock_now();
	request_list_append(&lane->waiting, request);
	pump(lane);
}

/* The transaction is over: its request, if it has one, completes. */
static void complete(struct lane *lane, struct txn *txn, int error)
{
	struct request *request = txn->request;

	txn_finish(txn);
	update_inflight(lane);
	if (request) {
		request->place = REQUEST_NOWHERE;
		request->done(request, error);
	}
}

void lane_cancel(struct lane *lane, struct request *request, int error)
{
	if (request->place == REQUEST_WAITING) {
		request_list_remove(&lane->waiting, request);
	} else {
		assert(request->place == REQUEST_IN_FLIGHT);
		txn_orphan(request->holder);
		update_inflight(lane);
	}
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

static void give_up(struct lane *lane, struct request *request, uint64_t now)
{
	char text[URI_TEXT_MAX];

	if (!target_expired(lane->config.policy, request, now))
		return;
	log_limited(&lane->limit_expired, LOG_LEVEL_ERROR,
		    "%s: a request of %llu bytes at %llu failed: no answer within %llu s",
		    node_text(lane, text), (unsigned long long)request->range.length,
		    (unsigned long long)request->range.offset,
		    (unsigned long long)(target_patience(lane->config.policy) / CLOCK_SEC));
	lane_cancel(lane, request, EIO);
}

/* Fails what has waited too long. A completion may submit, never cancel another request. */
static void expire(struct lane *lane, uint64_t now)
{
	for (struct txn *txn = lane->txns.first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->request)
			give_up(lane, txn->request, now);
	}
	for (struct request *request = lane->waiting.first, *next; request; request = next) {
		next = request->next;
		give_up(lane, request, now);
	}
}

/* ---- connection ---- */

static uint64_t backoff(const struct lane *lane)
{
	unsigned doublings =
		lane->failures < BACKOFF_DOUBLINGS ? lane->failures : BACKOFF_DOUBLINGS;
	uint64_t least = lane->config.policy->reconnect;
	uint64_t most = least > BACKOFF_MAX ? least : BACKOFF_MAX;
	uint64_t delay = least << doublings;

	if (delay > most)
		delay = most;
	return delay / 2 +
	       random_below(delay / 2 + 1); /* jitter: clients don't come back in step */
}

/* One line when the cause changes, then one for each doubling of the attempts. */
static void log_lost(struct lane *lane, const char *reason)
{
	char text[URI_TEXT_MAX];

	if (strcmp(reason, lane->last_reason) != 0) {
		snprintf(lane->last_reason, sizeof(lane->last_reason), "%s", reason);
		log_warn("%s: %s", node_text(lane, text), reason);
	} else if (!(lane->failures & (lane->failures - 1))) {
		log_warn("%s: %s (attempt %u)", node_text(lane, text), reason, lane->failures);
	}
}

/* What this connection has moved since it was asked last; counts it. */
static struct msgio_stats take_stats(struct lane *lane)
{
	struct msgio_stats now = *msgio_stats(lane->msgio), moved;

	moved = (struct msgio_stats){
		.messages_in = now.messages_in - lane->seen.messages_in,
		.messages_out = now.messages_out - lane->seen.messages_out,
		.bytes_in = now.bytes_in - lane->seen.bytes_in,
		.bytes_out = now.bytes_out - lane->seen.bytes_out,
	};
	lane->seen = now;
	counter_add(&lane->counters.messages_in, moved.messages_in);
	counter_add(&lane->counters.messages_out, moved.messages_out);
	counter_add(&lane->counters.bytes_in, moved.bytes_in);
	counter_add(&lane->counters.bytes_out, moved.bytes_out);
	return moved;
}

/* The attempt or the connection is over; the next attempt is arranged. */
static void disconnect(struct lane *lane, bool refused, const char *reason)
{
	bool was_ready = lane->state == LANE_READY;
	/* One that ends as soon as it is up is no better than none. */
	bool lasted = was_ready && clock_now() - lane->ready_at >= lane->config.policy->reconnect;

	connector_cancel(&lane->connector);
	if (lane->msgio)
		take_stats(lane);
	msgio_close(&lane->msgio);
	set_state(lane, LANE_IDLE);
	txn_table_disconnected(&lane->txns);
	update_inflight(lane);
	if (lasted) {
		lane->failures = 0;
		lane->last_reason[0] = 0;
	}
	log_lost(lane, reason);
	/* A connection that worked is missed at once; what fails waits longer each time. */
	loop_timer_set(&lane->retry_timer, lasted ? CLOCK_MS : backoff(lane));
	lane->failures++;
	lane->config.events->lost(lane->config.arg, was_ready, refused, reason);
}

static void send_plain(struct lane *lane, struct plain_out *plain, uint8_t type, uint32_t payload)
{
	plain->out.header = (struct wire_header){
		.type = type, /* not a transaction: id and lag are 1 (proto.h, section 2) */
		.status = 1,
		.id = 1,
		.payload = payload,
		.digest = wire_digest(lane->checksum, plain->payload, payload),
	};
	plain->out.payload = plain->payload;
	plain->queued = true;
	msgio_send(lane->msgio, &plain->out);
}

static void plain_sent(struct msgio_out *out)
{
	((struct plain_out *)out)->queued = false; /* out is the first member */
}

/* Ready: first what was not acknowledged, oldest first, then what has waited. */
static void become_ready(struct lane *lane)
{
	char text[URI_TEXT_MAX];

	lane->ping_out = false;
	lane->ready_at = lane->heard_at = clock_now();
	counter_add(&lane->counters.connects, 1);
	loop_timer_cancel(&lane->retry_timer);
	set_state(lane, LANE_READY);
	log_info("%s: connected to %s%s", node_text(lane, text), lane->address,
		 lane->txns.first ? ", sending again what was not acknowledged" : "");
	pump(lane);
}

static void hello_answered(struct lane *lane, const struct msgio_in *in)
{
	char reason[REASON_MAX] = "";
	struct wire_attrs attrs;
	int error = hello_accept(&attrs, in, lane->config.policy, reason);

	if (!error && msgio_open_up(lane->msgio, (enum dst_checksum)attrs.checksum)) {
		disconnect(lane, false, "out of memory");
		return;
	}
	if (!error) /* last: from here on the node counts us as ready */
		error = lane->config.events->welcome(lane->config.arg, lane->address, &attrs,
						     reason, sizeof(reason));
	if (error) {
		/* A server that is stopping is as good as away. */
		disconnect(lane, in->header.status != DST_ESHUTDOWN, reason);
		return;
	}
	lane->checksum = attrs.checksum;
	lane->txns.depth = attrs.depth;
	become_ready(lane);
}

/* ---- replies ---- */

/* The payload came damaged, here or at the server: nothing was done with it. Once more. */
static void ask_again(struct lane *lane, struct txn *txn)
{
	char text[URI_TEXT_MAX];

	counter_add(&lane->counters.bad_digests, 1);
	log_limited(&lane->limit_damaged, LOG_LEVEL_WARN,
		    "%s: %s of %llu bytes at %llu came damaged (wrong digest), sending it again",
		    node_text(lane, text), wire_type_name(txn->out.header.type),
		    (unsigned long long)txn->out.header.range.length,
		    (unsigned long long)txn->out.header.range.offset);
	if (!txn->request || ++txn->damaged >= DAMAGED_TRIES) {
		complete(lane, txn, EIO);
	} else {
		counter_add(&lane->counters.resends, 1);
		txn_send(txn, lane->msgio, lane->checksum);
	}
}

static void log_status(struct lane *lane, const struct txn *txn, uint16_t status)
{
	char text[URI_TEXT_MAX];

	log_limited(
		&lane->limit_status, status == DST_EOPNOTSUPP ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
		"%s: %s of %llu bytes at %llu failed at the server: %s (status %u)",
		node_text(lane, text), wire_type_name(txn->out.header.type),
		(unsigned long long)txn->out.header.range.length,
		(unsigned long long)txn->out.header.range.offset, wire_status_text(status), status);
}

static void txn_answered(struct lane *lane, const struct msgio_in *in)
{
	struct txn *txn = txn_find(&lane->txns, in->header.id);
	const char *wrong = reply_check(txn, in);
	uint16_t status = in->header.status;

	if (wrong) {
		disconnect(lane, false, wrong);
		return;
	}
	if (!txn->request)
		counter_add(&lane->counters.late_replies, 1);
	if (status == DST_ESHUTDOWN) { /* nothing was done: the next server will do it */
		disconnect(lane, false, wire_status_text(status));
	} else if (!in->digest_ok || status == DST_EBADMSG) {
		ask_again(lane, txn);
	} else if (status != DST_OK) {
		log_status(lane, txn, status);
		complete(lane, txn, wire_status_to_errno(status));
	} else if (txn->request && reply_accept(txn->request, in, lane->extents)) {
		disconnect(lane, false, "protocol error: the reply does not fit its request");
	} else {
		complete(lane, txn, 0);
	}
	pump(lane);
}

static void ping_answered(struct lane *lane)
{
	if (lane->ping_out && !lane->ping.queued)
		lane->ping_out = false;
	else
		disconnect(lane, false, "protocol error: a reply to no PING");
}

static void notice_came(struct lane *lane, const struct msgio_in *in)
{
	char reason[REASON_MAX];
	struct wire_attrs attrs;

	if (!in->digest_ok || wire_attrs_decode(&attrs, in->payload, in->header.payload, reason)) {
		disconnect(lane, false, "protocol error: a damaged notice");
		return;
	}
	lane->config.events->notice(lane->config.arg, &attrs);
}

static void on_message(void *arg, struct msgio_in *in)
{
	struct lane *lane = arg;

	if (!in->type_ok)
		disconnect(lane, false, "protocol error: a reply of an unknown type");
	else if (lane->state == LANE_HELLO)
		hello_answered(lane, in);
	else if (in->header.type == DST_NOTICE)
		notice_came(lane, in);
	else if (in->header.type == DST_PING)
		ping_answered(lane);
	else
		txn_answered(lane, in);
}

static void on_closed(void *arg, int error, const char *why)
{
	struct lane *lane = arg;
	char reason[REASON_MAX];

	if (error)
		snprintf(reason, sizeof(reason), "connection to %s lost: %s: %s", lane->address,
			 why, strerror(error));
	else
		snprintf(reason, sizeof(reason), "connection to %s lost: %s", lane->address, why);
	disconnect(lane, error == EPROTONOSUPPORT, reason);
}

static const struct msgio_events msgio_events = {.message = on_message, .closed = on_closed};

/* ---- attempts ---- */

/* To connect, and then again until HELLO is answered. */
static uint64_t attempt_patience(const struct lane *lane)
{
	uint64_t timeout = lane->config.policy->timeout;

	return timeout < ATTEMPT_PATIENCE_MAX ? timeout : ATTEMPT_PATIENCE_MAX;
}

static void on_outcome(void *arg, struct stream *stream, const char *address, const char *reason)
{
	struct lane *lane = arg;

	lane->connector = NULL;
	if (!stream) {
		disconnect(lane, false, reason);
		return;
	}
	snprintf(lane->address, sizeof(lane->address), "%s", address);
	lane->checksum = DST_CHECKSUM_XXH3; /* HELLO always has digests */
	lane->seen = (struct msgio_stats){0};
	lane->msgio = msgio_new(lane->worker->loop, stream, lane->worker->bufs, WIRE_REPLY,
				&msgio_events, lane);
	if (!lane->msgio) {
		disconnect(lane, false, "out of memory");
		return;
	}
	set_state(lane, LANE_HELLO);
	loop_timer_set(&lane->retry_timer, attempt_patience(lane));
	send_plain(lane, &lane->hello, DST_HELLO,
		   hello_encode(lane->hello.payload, &lane->config, lane->worker->index));
}

static void connect_now(struct lane *lane)
{
	set_state(lane, LANE_CONNECTING);
	lane->connector = connector_start(lane->worker->loop, lane->config.uri,
					  attempt_patience(lane), on_outcome, lane);
	if (!lane->connector)
		disconnect(lane, false, "out of memory");
}

static void on_retry_timer(void *arg)
{
	struct lane *lane = arg;

	if (lane->state == LANE_IDLE)
		connect_now(lane);
	else
		disconnect(lane, false, "no answer to HELLO in time");
}

/* ---- watching ---- */

static uint64_t tick_interval(const struct lane *lane)
{
	uint64_t timeout = lane->config.policy->timeout, ping = lane->config.policy->ping;
	uint64_t interval = (ping && ping < timeout ? ping : timeout) / TICKS_PER_TIMEOUT;

	if (interval < TICK_MIN)
		return TICK_MIN;
	return interval > TICK_MAX ? TICK_MAX : interval;
}

/* Silence has lasted: long enough to ask, or too long? A PING that waits behind others, while those
 * still leave, has not been asked yet. */
static void watch(struct lane *lane, const struct msgio_stats *moved, uint64_t now)
{
	uint64_t timeout = lane->config.policy->timeout, ask = lane->config.policy->ping;
	uint64_t since;

	if (!ask)
		ask = UINT64_MAX; /* no pings while idle */
	if (lane->txns.in_flight && timeout < ask)
		ask = timeout; /* an answer is due: is it slow, or is nobody there? */
	if (moved->bytes_in)
		lane->heard_at = now;
	if (lane->ping.queued && moved->bytes_out)
		lane->ping_at = now;
	since = lane->ping_at > lane->heard_at ? lane->ping_at : lane->heard_at;
	if (lane->ping_out && now - since > timeout) {
		char reason[REASON_MAX];

		snprintf(reason, sizeof(reason), "connection to %s given up: silent for %llu s",
			 lane->address, (unsigned long long)((now - lane->heard_at) / CLOCK_SEC));
		disconnect(lane, false, reason);
	} else if (!lane->ping_out && now - lane->heard_at > ask) {
		lane->ping_out = true;
		lane->ping_at = now;
		send_plain(lane, &lane->ping, DST_PING, 0);
	}
}

static void on_tick(void *arg)
{
	struct lane *lane = arg;
	uint64_t now = clock_now();

	loop_timer_set(&lane->tick_timer, tick_interval(lane));
	if (lane->msgio) {
		struct msgio_stats moved = take_stats(lane);

		if (lane->state == LANE_READY)
			watch(lane, &moved, now);
	}
	expire(lane, now);
	pump(lane); /* what had no memory, or has room since something was cancelled */
}

/* ---- life ---- */

/* Timers are armed in the lane's own thread. */
static void on_start(void *arg)
{
	struct lane *lane = arg;

	loop_timer_set(&lane->tick_timer, tick_interval(lane));
	connect_now(lane);
}

struct lane *lane_new(struct worker *worker, const struct lane_config *config)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return NULL;
	lane->worker = worker;
	lane->config = *config;
	lane->hello.out.sent = plain_sent;
	lane->ping.out.sent = plain_sent;
	if (txn_table_init(&lane->txns) ||
	    loop_timer_init(&lane->retry_timer, worker->loop, on_retry_timer, lane) ||
	    loop_timer_init(&lane->tick_timer, worker->loop, on_tick, lane)) {
		lane_free(&lane);
		return NULL;
	}
	return lane;
}

void lane_start(struct lane *lane)
{
	lane->start = (struct loop_work){.callback = on_start, .arg = lane};
	loop_post(lane->worker->loop, &lane->start);
}

void lane_free(struct lane **pointer)
{
	struct lane *lane = *pointer;

	*pointer = NULL;
	if (!lane)
		return;
	assert(!lane->waiting.first);
	loop_timer_destroy(&lane->retry_timer);
	loop_timer_destroy(&lane->tick_timer);
	connector_cancel(&lane->connector);
	if (lane->state == LANE_READY && !lane->ping.queued) {
		send_plain(lane, &lane->ping, DST_CLOSE, 0);
		msgio_flush(lane->msgio);
	}
	msgio_close(&lane->msgio);
	set_state(lane, LANE_STOPPED);
	txn_table_disconnected(&lane->txns);
	txn_table_destroy(&lane->txns);
	free(lane);
}
