/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_impl.h - a lane from inside, shared by lane.c (requests), lane_connect.c (the connection and
 * HELLO), lane_reply.c (what the server sends) and lane_watch.c (the clocks).
 *
 * All is used by the worker's thread only, save what is _Atomic.
 */
#ifndef DSTFS_LANE_IMPL_H
#define DSTFS_LANE_IMPL_H

#include "dstfs/lane.h"

#include "common/log.h"
#include "common/msgio.h"
#include "dstfs/connector.h"
#include "dstfs/hello.h"
#include "dstfs/txn.h"

#define LANE_REASON_MAX HELLO_REASON_MAX

/* HELLO, PING and CLOSE: messages without a request. */
struct lane_plain {
	struct msgio_out out;
	bool queued;
};

struct lane {
	struct worker *worker;
	struct lane_config config;
	_Atomic enum lane_state state;
	struct lane_counters counters;

	/* lane_connect.c's */
	struct loop_work start;
	struct connector *connector;
	unsigned host; /* of the node's, the one that is tried first next time */
	struct msgio *msgio;
	enum dst_checksum checksum;
	char address[128]; /* of the peer, for the log */
	struct loop_timer retry_timer; /* IDLE: the next attempt. HELLO: the end of patience */
	unsigned failures; /* in a row, attempts and connections that didn't last */
	uint64_t ready_at; /* clock_now() when the connection became ready */
	char last_reason[LANE_REASON_MAX]; /* logged last, of those failures */
	struct lane_plain hello, ping, close;
	uint8_t hello_payload[DST_MAX_HELLO];
	struct wire_pending asked; /* in HELLO; count 0: nothing was */

	/* lane.c's. A request is in `waiting`, or carried by a transaction. */
	struct txn_table txns;
	struct request_list waiting;
	struct log_limit limit_expired;

	/* lane_reply.c's */
	struct log_limit limit_status, limit_damaged, limit_false_retry;
	struct wire_extent extents[DST_MAX_EXTENTS]; /* of the reply that is being handled */

	/* lane_watch.c's */
	struct loop_timer tick_timer;
	struct msgio_stats seen; /* of this connection, at the last tick */
	uint64_t heard_at; /* clock_now() of the tick that last saw bytes come in */
	bool ping_out; /* a PING is not answered */
	uint64_t ping_at; /* clock_now() when it was sent, or last kept waiting by others */
};

/* ---- lane.c ---- */

const char *lane_node_text(const struct lane *lane, char text[URI_TEXT_MAX]);
void lane_set_state(struct lane *lane, enum lane_state state);
/* Sends what was sent on an earlier connection, then what waits, as far as there is room. */
void lane_pump(struct lane *lane);
/* The transaction is over: its request, if it has one, completes. */
void lane_complete(struct lane *lane, struct txn *txn, int error);
/* Fails what has waited too long. */
void lane_expire(struct lane *lane, uint64_t now);
void lane_count_inflight(struct lane *lane); /* after changes of txns */

/* ---- lane_connect.c ---- */

int lane_connect_init(struct lane *lane); /* 0 or ENOMEM */
void lane_connect_destroy(struct lane *lane); /* says CLOSE, if connected */
void lane_connect(struct lane *lane); /* IDLE: the next attempt, now */
/* The attempt or the connection is over; the next attempt is arranged. `refused`: the server
 * answered, and said no. */
void lane_disconnect(struct lane *lane, bool refused, const char *reason);
void lane_send_plain(struct lane *lane, struct lane_plain *plain, uint8_t type, uint32_t payload);
/* To connect, and then again until HELLO is answered; nanoseconds. */
uint64_t lane_attempt_patience(const struct lane *lane);

/* ---- lane_reply.c ---- */

void lane_reply_came(struct lane *lane, struct msgio_in *in); /* to a transaction */
/* What EXECUTED tells, which must fit what was asked: NULL, or what is wrong. */
const char *lane_executed_check(const struct lane *lane, const struct wire_attrs *attrs);
/* Completes those transactions as their replies would have. */
void lane_executed_apply(struct lane *lane, const struct wire_attrs *attrs);

/* ---- lane_watch.c ---- */

int lane_watch_init(struct lane *lane); /* 0 or ENOMEM */
void lane_watch_destroy(struct lane *lane);
void lane_watch_start(struct lane *lane); /* from here on it ticks */
void lane_watch_begin(struct lane *lane); /* a connection is up: nothing of it was seen yet */
void lane_watch_end(struct lane *lane); /* it is about to be closed: counts what it moved */
void lane_ping_answered(struct lane *lane);
/* Of silence after PING until the connection is given up; nanoseconds. */
uint64_t lane_ping_patience(const struct lane *lane);

#endif
