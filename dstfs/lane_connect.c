/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_connect.c - a lane's connection: attempts, HELLO, and its end.
 *
 * A server that breaks the protocol loses its connection, whatever the breach. One that does so each
 * time is called on ever more rarely, like one that is away.
 */
#include "dstfs/lane_impl.h"

#include "common/clock.h"
#include "common/random.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_MAX (30 * CLOCK_SEC)
#define BACKOFF_DOUBLINGS 6u
#define ATTEMPT_PATIENCE_MAX (10 * CLOCK_SEC)

/* ---- the end of one ---- */

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
		log_warn("%s: %s", lane_node_text(lane, text), reason);
	} else if (!(lane->failures & (lane->failures - 1))) {
		log_warn("%s: %s (attempt %u)", lane_node_text(lane, text), reason, lane->failures);
	}
}

void lane_disconnect(struct lane *lane, bool refused, const char *reason)
{
	bool was_ready = lane->state == LANE_READY;
	/* One that ends as soon as it is up is no better than none. */
	bool lasted = was_ready && clock_now() - lane->ready_at >= lane->config.policy->reconnect;

	if (lane->msgio && !lasted) /* it accepts, and then fails: perhaps another does better */
		lane->host++;
	connector_cancel(&lane->connector);
	lane_watch_end(lane);
	msgio_close(&lane->msgio);
	lane_set_state(lane, LANE_IDLE);
	txn_table_disconnected(&lane->txns);
	lane_count_inflight(lane);
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

/* ---- HELLO ---- */

void lane_send_plain(struct lane *lane, struct lane_plain *plain, uint8_t type, uint32_t payload)
{
	plain->out.header = (struct wire_header){
		.type = type, /* not a transaction: id and lag are 1 (proto.h, section 2) */
		.status = 1,
		.id = 1,
		.payload = payload,
		.digest = wire_digest(lane->checksum, plain->out.payload, payload),
	};
	plain->queued = true;
	msgio_send(lane->msgio, &plain->out);
}

static void plain_sent(struct msgio_out *out)
{
	((struct lane_plain *)out)->queued = false; /* out is the first member */
}

static void say_hello(struct lane *lane)
{
	txn_table_pending(&lane->txns, &lane->asked);
	lane->hello.out.payload = lane->hello_payload;
	lane_send_plain(lane, &lane->hello, DST_HELLO,
			hello_encode(lane->hello_payload, &lane->config, lane->worker->index,
				     &lane->asked));
}

/* Ready: first what was not acknowledged, oldest first, then what has waited. */
static void become_ready(struct lane *lane)
{
	char text[URI_TEXT_MAX];

	lane->ready_at = clock_now();
	counter_add(&lane->counters.connects, 1);
	loop_timer_cancel(&lane->retry_timer);
	lane_set_state(lane, LANE_READY);
	log_info("%s: connected to %s%s", lane_node_text(lane, text), lane->address,
		 lane->txns.first ? ", sending again what was not acknowledged" : "");
	lane_pump(lane);
}

/* The server has let us in: what the old connection carried is over, one way or the other. */
static void settle(struct lane *lane, const struct wire_attrs *attrs)
{
	lane->checksum = attrs->checksum;
	lane->txns.depth = attrs->depth;
	txn_table_drained(&lane->txns);
	lane_executed_apply(lane, attrs);
	become_ready(lane);
}

static void hello_answered(struct lane *lane, const struct msgio_in *in)
{
	char reason[LANE_REASON_MAX] = "";
	struct wire_attrs attrs;
	int error = hello_accept(&attrs, in, lane->config.policy, reason);
	const char *wrong = error ? NULL : lane_executed_check(lane, &attrs);

	if (wrong) {
		lane_disconnect(lane, false, wrong);
		return;
	}
	if (!error && msgio_open_up(lane->msgio, (enum dst_checksum)attrs.checksum)) {
		lane_disconnect(lane, false, "out of memory");
		return;
	}
	if (!error) /* last: from here on the node counts us as ready */
		error = lane->config.events->welcome(lane->config.arg, lane->address, &attrs,
						     reason, sizeof(reason));
	if (error) /* A server that is stopping is as good as away. */
		lane_disconnect(lane, in->header.status != DST_ESHUTDOWN, reason);
	else
		settle(lane, &attrs);
}

/* ---- what comes in ---- */

static void notice_came(struct lane *lane, const struct msgio_in *in)
{
	char reason[LANE_REASON_MAX];
	struct wire_attrs attrs;

	if (!in->digest_ok || wire_attrs_decode(&attrs, in->payload, in->header.payload, reason)) {
		lane_disconnect(lane, false, "protocol error: a damaged notice");
		return;
	}
	lane->config.events->notice(lane->config.arg, &attrs);
}

static void on_message(void *arg, struct msgio_in *in)
{
	struct lane *lane = arg;

	if (!in->type_ok)
		lane_disconnect(lane, false, "protocol error: a reply of an unknown type");
	else if (lane->state == LANE_HELLO)
		hello_answered(lane, in);
	else if (in->header.type == DST_NOTICE)
		notice_came(lane, in);
	else if (in->header.type == DST_PING)
		lane_ping_answered(lane);
	else
		lane_reply_came(lane, in);
}

static void on_closed(void *arg, int error, const char *why)
{
	struct lane *lane = arg;
	char reason[LANE_REASON_MAX];

	if (error)
		snprintf(reason, sizeof(reason), "connection to %s lost: %s: %s", lane->address,
			 why, strerror(error));
	else
		snprintf(reason, sizeof(reason), "connection to %s lost: %s", lane->address, why);
	lane_disconnect(lane, error == EPROTONOSUPPORT, reason);
}

static const struct msgio_events msgio_events = {.message = on_message, .closed = on_closed};

/* ---- attempts ---- */

uint64_t lane_attempt_patience(const struct lane *lane)
{
	uint64_t timeout = lane->config.policy->timeout;

	return timeout < ATTEMPT_PATIENCE_MAX ? timeout : ATTEMPT_PATIENCE_MAX;
}

static void on_outcome(void *arg, struct stream *stream, unsigned host, const char *address,
		       const char *reason)
{
	struct lane *lane = arg;

	lane->connector = NULL;
	if (!stream) {
		lane_disconnect(lane, false, reason);
		return;
	}
	lane->host = host;
	stream_set_ack_timeout(stream, lane_ping_patience(lane));
	snprintf(lane->address, sizeof(lane->address), "%s", address);
	lane->checksum = DST_CHECKSUM_XXH3; /* HELLO always has digests */
	lane->msgio = msgio_new(lane->worker->loop, stream, lane->worker->bufs, WIRE_REPLY,
				&msgio_events, lane);
	if (!lane->msgio) {
		lane_disconnect(lane, false, "out of memory");
		return;
	}
	lane_watch_begin(lane);
	lane_set_state(lane, LANE_HELLO);
	loop_timer_set(&lane->retry_timer, lane_attempt_patience(lane));
	say_hello(lane);
}

void lane_connect(struct lane *lane)
{
	lane_set_state(lane, LANE_CONNECTING);
	lane->connector = connector_start(lane->worker->loop, lane->config.uri, lane->host,
					  lane_attempt_patience(lane), on_outcome, lane);
	if (!lane->connector)
		lane_disconnect(lane, false, "out of memory");
}

static void on_retry_timer(void *arg)
{
	struct lane *lane = arg;

	if (lane->state == LANE_IDLE)
		lane_connect(lane);
	else
		lane_disconnect(lane, false, "no answer to HELLO in time");
}

/* ---- life ---- */

int lane_connect_init(struct lane *lane)
{
	lane->hello.out.sent = lane->ping.out.sent = lane->close.out.sent = plain_sent;
	return loop_timer_init(&lane->retry_timer, lane->worker->loop, on_retry_timer, lane);
}

void lane_connect_destroy(struct lane *lane)
{
	loop_timer_destroy(&lane->retry_timer);
	connector_cancel(&lane->connector);
	if (lane->state == LANE_READY) {
		lane_send_plain(lane, &lane->close, DST_CLOSE, 0);
		msgio_flush(lane->msgio);
	}
	msgio_close(&lane->msgio);
}
