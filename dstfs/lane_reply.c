/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_reply.c - what the server says of a lane's transactions: by a reply, or, after a
 * reconnection, by EXECUTED. One that breaks the protocol loses its connection, whatever the breach:
 * what it owes is then asked for again.
 */
#include "dstfs/lane_impl.h"

#include "dstfs/reply.h"

#include <errno.h>

#define DAMAGED_TRIES 8u /* of one transaction whose payload keeps coming damaged */

/* The payload came damaged, here or at the server: nothing was done with it. Once more. */
static void ask_again(struct lane *lane, struct txn *txn)
{
	char text[URI_TEXT_MAX];

	counter_add(&lane->counters.bad_digests, 1);
	log_limited(&lane->limit_damaged, LOG_LEVEL_WARN,
		    "%s: %s of %llu bytes at %llu came damaged (wrong digest), sending it again",
		    lane_node_text(lane, text), wire_type_name(txn->out.header.type),
		    (unsigned long long)txn->out.header.range.length,
		    (unsigned long long)txn->out.header.range.offset);
	if (!txn->request || ++txn->damaged >= DAMAGED_TRIES) {
		lane_complete(lane, txn, EIO);
	} else {
		counter_add(&lane->counters.resends, 1);
		lane_send_txn(lane, txn);
	}
}

/* A false retry is never the network's or the disk's doing: somebody else uses our ids, or one of
 * the two programs is wrong. It has a limit of its own, so that it shows among failing I/O. */
static void log_status(struct lane *lane, const struct txn *txn, uint16_t status)
{
	bool false_retry = status == DST_EFALSE_RETRY;
	enum log_level level = status == DST_EOPNOTSUPP ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;
	char text[URI_TEXT_MAX];

	log_limited(false_retry ? &lane->limit_false_retry : &lane->limit_status, level,
		    "%s: %s of %llu bytes at %llu failed at the server: %s (status %u)",
		    lane_node_text(lane, text), wire_type_name(txn->out.header.type),
		    (unsigned long long)txn->out.header.range.length,
		    (unsigned long long)txn->out.header.range.offset, wire_status_text(status),
		    status);
}

/* It has run, and ended with `status`. */
static void ended(struct lane *lane, struct txn *txn, uint16_t status)
{
	if (status != DST_OK)
		log_status(lane, txn, status);
	lane_complete(lane, txn, wire_status_to_errno(status));
}

void lane_reply_came(struct lane *lane, struct msgio_in *in)
{
	struct txn *txn = txn_find(&lane->txns, in->header.id);
	const char *wrong = reply_check(txn, in);
	uint16_t status = in->header.status;

	if (wrong) {
		lane_disconnect(lane, false, wrong);
		return;
	}
	if (!txn->request)
		counter_add(&lane->counters.late_replies, 1);
	if (status == DST_ESHUTDOWN) /* nothing was done: the next server will do it */
		lane_disconnect(lane, false, wire_status_text(status));
	else if (!in->digest_ok || status == DST_EBADMSG)
		ask_again(lane, txn);
	else if (status == DST_OK && txn->request && reply_accept(txn->request, in, lane->extents))
		lane_disconnect(lane, false, "protocol error: the reply does not fit its request");
	else if (status == DST_OK && in->header.type == DST_FLUSH && txn->request &&
		 !lane_flush_counts(lane, txn))
		lane_requeue(lane, txn);
	else
		ended(lane, txn, status);
	lane_pump(lane);
}

const char *lane_executed_check(const struct lane *lane, const struct wire_attrs *attrs)
{
	const struct wire_executed *executed = &attrs->executed;

	if (!wire_has(attrs, DST_ATTR_EXECUTED))
		return NULL;
	for (unsigned i = 0, asked = 0; i < executed->count; i++, asked++) {
		const struct wire_executed_one *one = &executed->one[i];
		const struct txn *txn;

		while (asked < lane->asked.count && lane->asked.distance[asked] < one->distance)
			asked++;
		if (asked == lane->asked.count || lane->asked.distance[asked] != one->distance)
			return "protocol error: EXECUTED names what was not asked for";
		txn = txn_find(&lane->txns, lane->asked.first + one->distance);
		if (!reply_executed_fits(txn, one))
			return "protocol error: EXECUTED does not fit what was sent";
	}
	return NULL;
}

void lane_executed_apply(struct lane *lane, const struct wire_attrs *attrs)
{
	const struct wire_executed *executed = &attrs->executed;

	if (!wire_has(attrs, DST_ATTR_EXECUTED))
		return;
	for (unsigned i = 0; i < executed->count; i++) {
		const struct wire_executed_one *one = &executed->one[i];
		struct txn *txn = txn_find(&lane->txns, lane->asked.first + one->distance);

		counter_add(&lane->counters.executed, 1);
		if (!txn) { /* given up while HELLO was under way */
			counter_add(&lane->counters.late_replies, 1);
			continue;
		}
		if (txn->request->type == REQUEST_COPY)
			txn->request->result = one->length;
		ended(lane, txn, one->status);
	}
}
