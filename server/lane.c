/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lane.c - see lane.h */
#include "server/lane_impl.h"

#include "common/clock.h"
#include "common/log.h"
#include "server/export.h"
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

void lane_set_state(struct lane *lane, enum lane_state state)
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

	lane_set_state(lane, LANE_GONE);
	if (lane->session)
		session_detach(worker->server, lane);
	*lane->link = lane->next;
	if (lane->next)
		lane->next->link = lane->link;
	atomic_fetch_sub(&worker->server->clients, 1);
	release(lane);
	worker_lane_gone(worker);
}

void lane_go_on_ending(struct lane *lane)
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

void lane_disconnect(struct lane *lane)
{
	struct request *request = lane->close_request;

	if (lane->state >= LANE_CLOSING)
		return;
	lane_set_state(lane, LANE_CLOSING);
	unpark(lane);
	lane->inflight++; /* msgio hands back what was queued: not the last of it may end the lane */
	msgio_close(&lane->msgio);
	lane->close_request = NULL;
	if (request)
		request_drop(request);
	worker_feed(lane->worker);
	lane->inflight--;
	lane_go_on_ending(lane);
}

void lane_describe(const struct lane *lane, char *text, size_t size)
{
	if (lane->session)
		snprintf(text, size, "%s (%s)", lane->session->client, lane->peer.text);
	else
		snprintf(text, size, "%s", lane->peer.text);
}

void lane_log_left(const struct lane *lane, const char *why)
{
	char who[LANE_WHO];

	lane_describe(lane, who, sizeof(who));
	log_limited(&lane->worker->left_limit, LOG_LEVEL_INFO,
		    "%s: left export %s, lane %u of %u: %s", who, lane->export->name,
		    lane->index + 1, lane->lanes, why);
}

void lane_finish(struct lane *lane, const char *why)
{
	if (lane->state >= LANE_FINISHING)
		return;
	if (lane->session)
		lane_log_left(lane, why);
	if (lane->state != LANE_READY) {
		lane_disconnect(lane);
		return;
	}
	lane_set_state(lane, LANE_FINISHING);
	unpark(lane);
	msgio_pause(lane->msgio);
	lane_go_on_ending(lane);
}

void lane_violation(struct lane *lane, const char *format, ...)
{
	char what[256], who[LANE_WHO];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	lane_describe(lane, who, sizeof(who));
	log_limited(&lane->worker->bad_limit, LOG_LEVEL_WARN, "%s: broke the protocol: %s", who,
		    what);
	lane_disconnect(lane);
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
		lane_go_on_ending(lane);
	}
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
			lane_disconnect(lane);
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
		lane_take_hello(lane, in);
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
		lane_log_left(lane, text);
	} else if (lane->state == LANE_HELLO) {
		atomic_fetch_add(&server->refused, 1);
		log_limited(&lane->worker->refused_limit, error ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
			    "refused %s: %s", lane->peer.text, text);
		if (error == EPROTONOSUPPORT)
			lane_answer_version(lane);
	}
	lane_disconnect(lane);
}

/* ---- pokes and time ---- */

static void run_pokes(void *arg)
{
	struct lane *lane = arg;
	unsigned pokes = atomic_exchange(&lane->pokes, 0);

	if (pokes & LANE_POKE_REPLACED && lane->state < LANE_CLOSING) {
		lane_log_left(lane, "replaced by another connection of its client");
		lane_disconnect(lane);
	}
	if (pokes & LANE_POKE_FENCED && lane->state < LANE_CLOSING) {
		lane_log_left(lane, "another client takes the export over");
		lane_disconnect(lane);
	}
	if (pokes & LANE_POKE_GRANTED && lane->state == LANE_WAITING) {
		struct session_refusal refusal;

		lane_settle(lane, session_judge(lane->worker->server, lane, &refusal), &refusal);
	}
	if (pokes & LANE_POKE_REVOKED)
		lane_finish(lane, "the access rules no longer admit it");
	if (pokes & LANE_POKE_REMOVED)
		lane_finish(lane, "the export is no longer offered");
	if (pokes & LANE_POKE_ANEW)
		lane_finish(lane, "it may write from now on, and has to attach anew for that");
	if (pokes & LANE_POKE_NOTICE && lane->state == LANE_READY)
		lane_tell(lane);
	if (pokes & LANE_POKE_FINISHED)
		lane_disconnect(lane);
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
		lane_disconnect(lane);
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
			lane_log_left(lane, "it takes no replies");
		lane_disconnect(lane);
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
