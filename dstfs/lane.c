/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.c - see lane.h. The requests of a lane: who waits, who is sent, who is given up.
 *
 * A request is either in `waiting` (no connection, or no room for a transaction) or carried by a
 * transaction in `txns`. When the connection ends, transactions stay in the table. The next HELLO
 * asks which of them have run; those complete, and the others are sent again, oldest first and
 * before anything new. The server has by then finished all that the old connection had begun
 * (proto.h, section 5), so an old write can't overtake a new one.
 */
#include "dstfs/lane_impl.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

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

void lane_pump(struct lane *lane)
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
	lane_count_inflight(lane);
}

void lane_submit(struct lane *lane, struct request *request)
{
	request->place = REQUEST_WAITING;
	if (!request->since) /* else it has waited for its range */
		request->since = clock_now();
	request_list_append(&lane->waiting, request);
	lane_pump(lane);
}

void lane_complete(struct lane *lane, struct txn *txn, int error)
{
	struct request *request = txn->request;

	txn_finish(txn);
	lane_count_inflight(lane);
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
		lane_count_inflight(lane);
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
		    lane_node_text(lane, text), (unsigned long long)request->range.length,
		    (unsigned long long)request->range.offset,
		    (unsigned long long)(target_patience(lane->config.policy) / CLOCK_SEC));
	lane_cancel(lane, request, EIO);
}

/* A completion may submit, never cancel another request. */
void lane_expire(struct lane *lane, uint64_t now)
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
	if (txn_table_init(&lane->txns) || lane_connect_init(lane) || lane_watch_init(lane))
		lane_free(&lane);
	return lane;
}

void lane_start(struct lane *lane)
{
	loop_post(lane->worker->loop, &lane->start);
}

void lane_free(struct lane **pointer)
{
	struct lane *lane = *pointer;

	*pointer = NULL;
	if (!lane)
		return;
	assert(!lane->waiting.first);
	lane_watch_destroy(lane);
	lane_connect_destroy(lane);
	lane_set_state(lane, LANE_STOPPED);
	txn_table_disconnected(&lane->txns);
	txn_table_destroy(&lane->txns);
	free(lane);
}
