/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_impl.h - a lane from inside, shared by lane.c (requests), lane_connect.c (the connection and
 * HELLO), lane_reply.c (what the server sends), lane_keep.c (what is durable) and lane_watch.c (the clocks).
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
	struct loop_work start, poke;
	_Atomic bool poked; /* and has not asked yet */
	struct connector *connector;
	unsigned host; /* of the node's, the one that is tried first next time */
	struct msgio *msgio;
	enum dst_checksum checksum;
	char address[128]; /* of the peer, for the log */
	struct loop_timer retry_timer; /* IDLE: the next attempt. HELLO: the end of patience */
	uint64_t retry_at; /* IDLE: clock_now() of the next attempt; UINT64_MAX: when poked */
	uint64_t tried_at; /* clock_now() of the last attempt's begin */
	unsigned failures; /* in a row, attempts and connections that didn't last */
	uint64_t ready_at; /* clock_now() when the connection was let in */
	char last_reason[LANE_REASON_MAX]; /* logged last, of those failures */
	struct lane_plain hello, ping, close;
	uint8_t hello_payload[DST_MAX_HELLO];
	struct wire_pending asked; /* in HELLO; count 0: nothing was */

	/*
	 * lane.c's. A request is carried by a transaction, or on one of these lists, which its
	 * `holder` names; in the order in which they are served.
	 */
	struct txn_table txns;
	struct request_list replay; /* a replay's, see lane_submit_replay() */
	struct request_list copied; /* COPYs that have run and need their flush */
	struct request_list kept_back; /* modify, and wait until there is room to keep them */
	struct request_list waiting;
	struct log_limit limit_expired;

	/* lane_reply.c's */
	struct log_limit limit_status, limit_damaged, limit_false_retry;
	struct wire_extent extents[DST_MAX_EXTENTS]; /* of the reply that is being handled */

	/* lane_keep.c's */
	struct retain_log *log;
	struct request background; /* the flush of our own, while it is under way */
	bool background_out;
	bool quiet; /* all lanes are held: the log is the replay's */
	struct loop_work sweep;
	_Atomic bool swept; /* asked to forget, and has not yet */
	struct log_limit limit_lost;

	/* lane_watch.c's */
	struct loop_timer tick_timer;
	struct msgio_stats seen; /* of this connection, at the last tick */
	uint64_t heard_at; /* clock_now() of the tick that last saw bytes come in */
	bool ping_out; /* a PING is not answered */
	uint64_t ping_at; /* clock_now() when it was sent, or last kept waiting by others */
};

static inline bool lane_is_attached(const struct lane *lane)
{
	return lane->state == LANE_READY || lane->state == LANE_HELD;
}

/* ---- lane.c ---- */

const char *lane_node_text(const struct lane *lane, char text[URI_TEXT_MAX]);
void lane_set_state(struct lane *lane, enum lane_state state);
/* Sends what was sent on an earlier connection, then what waits, as far as there is room. */
void lane_pump(struct lane *lane);
void lane_send_txn(struct lane *lane, struct txn *txn);
/* The transaction is over: its request, if it has one, completes. */
void lane_complete(struct lane *lane, struct txn *txn, int error);
/* Puts the request on a list of the lane's, which it is on none of. */
void lane_queue(struct request_list *list, struct request *request, bool in_front);
/* The transaction's request waits again, before all others, and will be sent under another id. */
void lane_requeue(struct lane *lane, struct txn *txn);
/* Likewise all that are unsent, in their order, but a replay's. */
void lane_requeue_all(struct lane *lane);
void lane_abandon_replay(struct lane *lane); /* drops what it has of it; nothing may be queued */
void lane_fail_all(struct lane *lane, int error);
/* Fails what has waited too long. */
void lane_expire(struct lane *lane, uint64_t now);
void lane_count_inflight(struct lane *lane); /* after changes of txns */

/* ---- lane_connect.c ---- */

int lane_connect_init(struct lane *lane); /* 0 or ENOMEM */
void lane_connect_destroy(struct lane *lane); /* says CLOSE, if attached */
void lane_connect(struct lane *lane); /* IDLE: the next attempt, now, if it may */
/* The attempt or the connection is over; the next attempt is arranged. `refused`: the server
 * answered, and said no. */
void lane_disconnect(struct lane *lane, bool refused, const char *reason);
void lane_send_plain(struct lane *lane, struct lane_plain *plain, uint8_t type, uint32_t payload);
void lane_obey(struct lane *lane, enum lane_order order, const char *reason);

/* ---- lane_reply.c ---- */

void lane_reply_came(struct lane *lane, struct msgio_in *in); /* to a transaction */
/* What EXECUTED tells, which must fit what was asked: NULL, or what is wrong. */
const char *lane_executed_check(const struct lane *lane, const struct wire_attrs *attrs);
/* Completes those transactions as their replies would have. */
void lane_executed_apply(struct lane *lane, const struct wire_attrs *attrs);

/* ---- lane_keep.c ---- */

int lane_keep_init(struct lane *lane); /* 0 or ENOMEM */
void lane_keep_destroy(struct lane *lane);
/* Must what modifies wait until something that is kept is durable? Then that is seen to. */
bool lane_is_full(struct lane *lane);
/* It changed content and has succeeded: kept for a replay. */
void lane_keep(struct lane *lane, const struct request *request);
/* A FLUSH is about to be sent: notes what it covers. */
void lane_flush_begins(struct lane *lane, struct txn *txn);
/* The server says that it is done. False: it covers nothing, since the instance changed meanwhile. */
bool lane_flush_counts(struct lane *lane, const struct txn *txn);
/* A flush that a caller waits for is done: 0, or EIO if something was lost that it came too early to
 * have been told of. */
int lane_flush_verdict(struct lane *lane, const struct request *request);
void lane_keep_drop_own(struct lane *lane); /* takes back its own flush, wherever that is */
void lane_keep_disconnected(struct lane *lane); /* likewise, and lets another lane make room */
void lane_keep_opened(struct lane *lane); /* not held any more, or attached without being so */
void lane_keep_tick(struct lane *lane);

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
