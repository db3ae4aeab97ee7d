/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.c - see lane.h. The requests of a lane: who waits, who is sent, who is given up.
 *
 * A request is either on a list (no connection, no room for a transaction, no room to keep it) or
 * carried by a transaction in `txns`. When the connection ends, transactions stay in the table. The
 * next HELLO asks which of them have run; those complete, and the others are sent again, oldest first
 * and before anything new. The server has by then finished all that the old connection had begun
 * (proto.h, section 5), so an old write can't overtake a new one.
 *
 * If the server may have lost what it had acknowledged, the others go back to `waiting` instead, and
 * the lane is held until that was written anew. A COPY makes two transactions of one request: itself,
 * and a FLUSH, since what it copied can't be kept for a replay.
 */
#include "dstfs/lane_impl.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static const char *const state_names[] = {
	[LANE_IDLE] = "idle", [LANE_CONNECTING] = "connecting", [LANE_HELLO] = "hello",
	[LANE_HELD] = "held", [LANE_READY] = "ready",           [LANE_STOPPED] = "stopped",
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

const char *lane_node_text(const struct lane *lane, char text[URI_TEXT_MAX])
{
	return uri_print(lane->config.uri, text);
}

void lane_set_state(struct lane *lane, enum lane_state state)
{
	if (log_get_level() >= LOG_LEVEL_DEBUG) {
		char text[URI_TEXT_MAX];

		log_debug("%s: lane %u: %s -> %s", lane_node_text(lane, text), lane->worker->index,
			  lane_state_name(lane->state), lane_state_name(state));
	}
	lane->state = state;
}

void lane_count_inflight(struct lane *lane)
{
	atomic_store_explicit(&lane->counters.inflight, lane->txns.in_flight, memory_order_relaxed);
}

void lane_queue(struct request_list *list, struct request *request, bool in_front)
{
	request->place = REQUEST_WAITING;
	request->holder = list;
	(in_front ? request_list_prepend : request_list_append)(list, request);
}

static void unqueue(struct request *request)
{
	request_list_remove(request->holder, request);
}

/* The request that is to be sent next, of those that wait. NULL: none may be. */
static struct request *next_waiting(struct lane *lane)
{
	struct request *request;

	if (lane->replay.first || lane->state != LANE_READY)
		return lane->replay.first;
	if (lane->copied.first)
		return lane->copied.first;
	if (lane->kept_back.first && !lane_is_full(lane))
		return lane->kept_back.first;
	while ((request = lane->waiting.first)) {
		if (!request_modifies(request) || (!lane->kept_back.first && !lane_is_full(lane)))
			return request;
		unqueue(request);
		lane_queue(&lane->kept_back, request, false);
	}
	return NULL;
}

/* A transaction for the first request that waits. NULL: none waits, or there is no room, or no
 * memory: then the next reply or tick tries again. */
static struct txn *begin_waiting(struct lane *lane)
{
	struct request_list *list;
	struct request *request;
	struct txn *txn;

	if (!txn_table_has_room(&lane->txns))
		return NULL;
	request = next_waiting(lane);
	if (!request)
		return NULL;
	list = request->holder;
	txn = txn_new(&lane->txns, request, list == &lane->copied);
	if (!txn)
		return NULL;
	request_list_remove(list, request);
	txn->replay = list == &lane->replay;
	return txn;
}

void lane_send_txn(struct lane *lane, struct txn *txn)
{
	if (txn->out.header.type == DST_FLUSH)
		lane_flush_begins(lane, txn);
	txn_send(txn, lane->msgio, lane->checksum);
}

void lane_pump(struct lane *lane)
{
	while (lane_is_attached(lane)) {
		struct txn *txn = txn_table_unsent(&lane->txns);

		if (txn)
			counter_add(&lane->counters.resends, 1);
		else
			txn = begin_waiting(lane);
		if (!txn)
			break;
		lane_send_txn(lane, txn);
	}
	lane_count_inflight(lane);
}

void lane_submit(struct lane *lane, struct request *request)
{
	if (!request->since) /* else it has waited for its range */
		request->since = clock_now();
	request->failures = 0;
	request->told = lane->config.retention->reported;
	lane_queue(&lane->waiting, request, false);
	lane_pump(lane);
}

void lane_submit_replay(struct lane *lane, struct request *request)
{
	request->since = UINT64_MAX; /* it never expires */
	request->failures = 0;
	lane_queue(&lane->replay, request, false);
	lane_pump(lane);
}

void lane_complete(struct lane *lane, struct txn *txn, int error)
{
	struct request *request = txn->request;
	bool flush = txn->out.header.type == DST_FLUSH, replay = txn->replay;

	txn_finish(txn);
	lane_count_inflight(lane);
	if (!request)
		return;
	if (!error && request->type == REQUEST_COPY && !flush) {
		lane_queue(&lane->copied, request, false);
		return;
	}
	if (!error && request_modifies(request) && !replay)
		lane_keep(lane, request);
	if (!error && request->type == REQUEST_FLUSH)
		error = lane_flush_verdict(lane, request);
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

void lane_cancel(struct lane *lane, struct request *request, int error)
{
	if (request->place == REQUEST_WAITING) {
		unqueue(request);
	} else {
		assert(request->place == REQUEST_IN_FLIGHT);
		txn_orphan(request->holder);
		lane_count_inflight(lane);
		if (!lane_is_attached(lane))
			atomic_store_explicit(&lane->counters.unanswered,
					      txn_table_unanswered(&lane->txns),
					      memory_order_relaxed);
	}
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

void lane_requeue(struct lane *lane, struct txn *txn)
{
	struct request *request = txn->request;

	txn_finish(txn);
	lane_queue(&lane->waiting, request, true);
}

void lane_requeue_all(struct lane *lane)
{
	struct request *request;

	for (struct txn *txn = lane->txns.last, *previous; txn; txn = previous) {
		previous = txn->previous;
		if (!txn->sent && !txn->replay)
			lane_requeue(lane, txn);
	}
	while ((request = lane->copied.last)) { /* what they copied may be gone */
		unqueue(request);
		lane_queue(&lane->waiting, request, true);
	}
	lane_count_inflight(lane);
}

void lane_abandon_replay(struct lane *lane)
{
	while (lane->replay.first)
		unqueue(lane->replay.first);
	for (struct txn *txn = lane->txns.first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->replay)
			txn_finish(txn);
	}
	lane->config.events->abandoned(lane->config.arg, lane->worker->index);
}

/* Completions may submit, to `waiting`: what came later is not failed here. */
void lane_fail_all(struct lane *lane, int error)
{
	struct request_list *const lists[] = {&lane->copied, &lane->kept_back, &lane->waiting};

	lane_keep_drop_own(lane);
	for (struct txn *txn = lane->txns.first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->request)
			lane_cancel(lane, txn->request, error);
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct request *last = lists[i]->last;
		bool more = last;

		while (more) {
			struct request *request = lists[i]->first;

			more = request != last;
			lane_cancel(lane, request, error);
		}
	}
}

static void give_up(struct lane *lane, struct request *request, uint64_t now)
{
	char text[URI_TEXT_MAX];

	if (!target_expired(lane->config.policy, request, now))
		return;
	log_limited(&lane->limit_expired, LOG_LEVEL_ERROR,
		    "%s: a request of %llu bytes at %llu failed: no answer within %llu s",
		    lane_node_text(lane, text), (unsigned long long)request->range.length,
		    (unsigned long long)request->range.offset,
		    (unsigned long long)(target_patience(lane->config.policy) / CLOCK_SEC));
	lane_cancel(lane, request, EIO);
}

static void expire_list(struct lane *lane, struct request_list *list, uint64_t now)
{
	for (struct request *request = list->first, *next; request; request = next) {
		next = request->next;
		give_up(lane, request, now);
	}
}

/* A completion may submit, never cancel another request. */
void lane_expire(struct lane *lane, uint64_t now)
{
	for (struct txn *txn = lane->txns.first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->request)
			give_up(lane, txn->request, now);
	}
	expire_list(lane, &lane->copied, now);
	expire_list(lane, &lane->kept_back, now);
	expire_list(lane, &lane->waiting, now);
}

/* ---- life ---- */

/* Timers are armed in the lane's own thread. */
static void on_start(void *arg)
{
	struct lane *lane = arg;

	lane_watch_start(lane);
	lane_connect(lane);
}

struct lane *lane_new(struct worker *worker, const struct lane_config *config)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return NULL;
	lane->worker = worker;
	lane->config = *config;
	lane->start = (struct loop_work){.callback = on_start, .arg = lane};
	if (txn_table_init(&lane->txns) || lane_connect_init(lane) || lane_watch_init(lane) ||
	    lane_keep_init(lane))
		lane_free(&lane);
	return lane;
}

void lane_start(struct lane *lane)
{
	loop_post(lane->worker->loop, &lane->start);
}

void lane_stop(struct lane *lane)
{
	if (lane->state == LANE_STOPPED)
		return;
	lane_watch_destroy(lane);
	lane_connect_destroy(lane);
	lane_set_state(lane, LANE_STOPPED);
	txn_table_disconnected(&lane->txns);
	lane_abandon_replay(lane);
}

void lane_free(struct lane **pointer)
{
	struct lane *lane = *pointer;

	*pointer = NULL;
	if (!lane)
		return;
	lane_stop(lane);
	while (lane->poked || lane->swept) /* what is posted names it, and comes to nothing */
		loop_run_posted(lane->worker->loop);
	lane_keep_destroy(lane);
	assert(!lane->waiting.first && !lane->kept_back.first && !lane->copied.first);
	txn_table_destroy(&lane->txns);
	free(lane);
}
