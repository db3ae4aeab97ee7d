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

static void retry_in(struct lane *lane, uint64_t delay)
{
	lane->retry_at = clock_now() + delay;
	loop_timer_set(&lane->retry_timer, delay);
}

static void retry_when_poked(struct lane *lane)
{
	lane->retry_at = UINT64_MAX;
	loop_timer_cancel(&lane->retry_timer);
}

/* The connection, or the attempt at one, is over. */
static void drop(struct lane *lane)
{
	/* One that ends as soon as it is up is no better than none. */
	bool lasted = lane_is_attached(lane) &&
		      clock_now() - lane->ready_at >= lane->config.policy->reconnect;

	if (lane->msgio && !lasted) /* it accepts, and then fails: perhaps another does better */
		lane->host++;
	connector_cancel(&lane->connector);
	lane_watch_end(lane);
	msgio_close(&lane->msgio);
	lane_set_state(lane, LANE_IDLE);
	txn_table_disconnected(&lane->txns);
	lane_count_inflight(lane);
	atomic_store_explicit(&lane->counters.unanswered, txn_table_unanswered(&lane->txns),
			      memory_order_relaxed);
	if (lasted) {
		lane->failures = 0;
		lane->last_reason[0] = 0;
	}
	/* A connection that worked is missed at once; what fails waits longer each time. */
	retry_in(lane, lasted ? CLOCK_MS : backoff(lane));
	lane->failures++;
}

void lane_disconnect(struct lane *lane, bool refused, const char *reason)
{
	drop(lane);
	log_lost(lane, reason);
	lane_keep_disconnected(lane);
	lane->config.events->lost(lane->config.arg, lane->worker->index, refused, reason);
}

/* ---- orders ---- */

/* Not at once if the last attempt was just now: a server that sends us round in circles is called no
 * more often than one that is away. */
static void come_soon(struct lane *lane)
{
	uint64_t now = clock_now(), soonest = lane->tried_at + lane->config.policy->reconnect;

	if (lane->state != LANE_IDLE)
		return;
	if (!lane->tried_at || soonest < now)
		soonest = now;
	if (soonest < lane->retry_at)
		retry_in(lane, soonest - now);
}

/* A flush or FUA that is under way while the server says that one has failed, and for the second time,
 * is that one: its caller hears of it. */
static void blame_flushes(struct lane *lane)
{
	for (struct txn *txn = lane->txns.first; txn; txn = txn->next)
		if (txn->sent && txn->request && !txn->replay &&
		    (txn->out.header.type == DST_FLUSH || txn->out.header.flags & DST_F_FUA))
			txn->request->failures++;
}

static void fail_blamed(struct lane *lane)
{
	for (struct txn *txn = lane->txns.first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->request && txn->request->failures > 1)
			lane_cancel(lane, txn->request, EIO);
	}
}

static void renew(struct lane *lane, bool failed, const char *reason)
{
	if (lane->state == LANE_IDLE)
		come_soon(lane);
	if (!lane_is_attached(lane)) /* HELLO's answer will tell */
		return;
	if (failed)
		blame_flushes(lane);
	drop(lane);
	lane->config.events->lost(lane->config.arg, lane->worker->index, false, reason);
	if (failed)
		fail_blamed(lane);
}

static void open_up(struct lane *lane)
{
	if (lane->state != LANE_HELD)
		return;
	lane_set_state(lane, LANE_READY);
	lane_keep_opened(lane);
	lane_pump(lane);
}

static void start_over(struct lane *lane, bool fail)
{
	drop(lane);
	lane_abandon_replay(lane);
	if (fail)
		lane_fail_all(lane, EIO);
	else
		lane_requeue_all(lane);
	lane_sweep(lane);
	if (fail) { /* by command: at once */
		lane->failures = 0;
		retry_in(lane, 0);
	}
}

/* Another has taken over: nothing of ours can happen any more (proto.h, section 7). */
static void be_fenced(struct lane *lane)
{
	drop(lane);
	lane_abandon_replay(lane);
	lane_fail_all(lane, EIO);
	txn_table_drained(&lane->txns);
	retry_when_poked(lane);
}

void lane_obey(struct lane *lane, enum lane_order order, const char *reason)
{
	switch (order) {
	case LANE_GO_ON:
		break;
	case LANE_COME:
		come_soon(lane);
		break;
	case LANE_OPEN:
		open_up(lane);
		break;
	case LANE_RENEW:
	case LANE_RENEW_FAILED:
		renew(lane, order == LANE_RENEW_FAILED, reason);
		break;
	case LANE_DROP:
		lane_disconnect(lane, true, reason);
		break;
	case LANE_START_OVER:
	case LANE_FAIL_START_OVER:
		start_over(lane, order == LANE_FAIL_START_OVER);
		break;
	case LANE_FAIL:
		be_fenced(lane);
		break;
	}
}

static void on_poke(void *arg)
{
	struct lane *lane = arg;

	lane->poked = false; /* first: what changes from here on pokes again */
	if (lane->state == LANE_STOPPED)
		return;
	lane_obey(lane, lane->config.events->order(lane->config.arg, lane->worker->index), "");
}

void lane_poke(struct lane *lane)
{
	if (!atomic_exchange(&lane->poked, true))
		loop_post(lane->worker->loop, &lane->poke);
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
	unsigned index = lane->worker->index;
	struct wire_attrs attrs;

	txn_table_pending(&lane->txns, &lane->asked);
	hello_prepare(&attrs, &lane->config, index, &lane->asked);
	lane->config.events->greet(lane->config.arg, index, &attrs);
	lane->hello.out.payload = lane->hello_payload;
	lane_send_plain(lane, &lane->hello, DST_HELLO,
			wire_attrs_encode(lane->hello_payload, &attrs));
}

/* The server has let us in: what the old connection carried is over, one way or the other. First what
 * was not acknowledged, oldest first, then what has waited. */
static void settle(struct lane *lane, const struct wire_attrs *attrs, enum lane_verdict verdict)
{
	char text[URI_TEXT_MAX];

	lane->checksum = attrs->checksum;
	lane->txns.depth = attrs->depth;
	lane->ready_at = clock_now();
	loop_timer_cancel(&lane->retry_timer);
	counter_add(&lane->counters.connects, 1);
	log_info("%s: connected to %s%s", lane_node_text(lane, text), lane->address,
		 lane->txns.first ? ", sending again what was not acknowledged" : "");
	txn_table_drained(&lane->txns);
	atomic_store_explicit(&lane->counters.unanswered, 0, memory_order_relaxed);
	lane_executed_apply(lane, attrs);
	if (verdict == LANE_HOLD) {
		lane_abandon_replay(lane);
		lane_requeue_all(lane);
	}
	lane->quiet = verdict != LANE_CARRY;
	lane_set_state(lane, lane->quiet ? LANE_HELD : LANE_READY);
	if (!lane->quiet)
		lane_keep_opened(lane);
	lane->config.events->settled(lane->config.arg, lane->worker->index);
	lane_pump(lane);
}

/* Not let in. */
static void turned_away(struct lane *lane, enum lane_verdict verdict, const char *reason)
{
	if (verdict == LANE_STAY) { /* its node has told why, once for all lanes */
		drop(lane);
		retry_when_poked(lane);
		lane->config.events->lost(lane->config.arg, lane->worker->index, false, reason);
		return;
	}
	lane_disconnect(lane, verdict == LANE_REFUSED, reason);
	if (verdict == LANE_AGAIN)
		retry_in(lane, CLOCK_MS);
}

static void hello_answered(struct lane *lane, const struct msgio_in *in)
{
	char reason[LANE_REASON_MAX] = "";
	enum lane_verdict verdict = LANE_REFUSED;
	struct wire_attrs attrs;
	bool broken = hello_accept(&attrs, in, lane->config.policy, reason);
	const char *wrong = broken ? reason : lane_executed_check(lane, &attrs);

	if (!wrong && in->header.status == DST_OK &&
	    msgio_open_up(lane->msgio, (enum dst_checksum)attrs.checksum))
		wrong = "out of memory";
	if (wrong) {
		lane_disconnect(lane, broken, wrong);
		return;
	}
	verdict = lane->config.events->answered(lane->config.arg, lane->worker->index,
						lane->address, in->header.status, &attrs, reason);
	if (verdict == LANE_CARRY || verdict == LANE_HOLD || verdict == LANE_RESUME)
		settle(lane, &attrs, verdict);
	else
		turned_away(lane, verdict, reason);
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
	reason[0] = '\0';
	lane_obey(
		lane,
		lane->config.events->notice(lane->config.arg, lane->worker->index, &attrs, reason),
		reason);
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

/* To connect, and then again until HELLO is answered; nanoseconds. */
static uint64_t attempt_patience(const struct lane *lane)
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
	loop_timer_set(&lane->retry_timer, attempt_patience(lane));
	say_hello(lane);
}

void lane_connect(struct lane *lane)
{
	if (!lane->config.events->may_connect(lane->config.arg, lane->worker->index)) {
		retry_when_poked(lane);
		return;
	}
	lane->tried_at = clock_now();
	lane_set_state(lane, LANE_CONNECTING);
	lane->connector = connector_start(lane->worker->loop, lane->config.uri, lane->host,
					  attempt_patience(lane), on_outcome, lane);
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
	lane->poke = (struct loop_work){.callback = on_poke, .arg = lane};
	lane->retry_at = UINT64_MAX;
	lane->hello.out.sent = lane->ping.out.sent = lane->close.out.sent = plain_sent;
	return loop_timer_init(&lane->retry_timer, lane->worker->loop, on_retry_timer, lane);
}

void lane_connect_destroy(struct lane *lane)
{
	loop_timer_destroy(&lane->retry_timer);
	connector_cancel(&lane->connector);
	if (lane_is_attached(lane)) {
		lane_send_plain(lane, &lane->close, DST_CLOSE, 0);
		msgio_flush(lane->msgio);
	}
	msgio_close(&lane->msgio);
}
