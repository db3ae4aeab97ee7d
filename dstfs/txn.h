/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.h - the transactions of one lane: requests on the wire, kept with their payload until they are
 * acknowledged, found by id when the reply comes.
 *
 * A transaction is carried by a request, or orphaned (its request was failed upward, the reply is
 * still to come). It stays in the table, in the order of the ids, until the reply comes. When a
 * connection ends, all are unsent again, and the next connection sends them before anything new. So
 * the table is a row of sent ones, then a row of unsent ones, and what proto.h allows (depth, lag) is
 * judged here alone.
 *
 * An orphan is never sent again. Once its connection is gone it leaves the table, but the hold on its
 * range stays until the server has answered the lane's next HELLO: only then nothing of it can happen
 * any more (proto.h, section 5).
 */
#ifndef DSTFS_TXN_H
#define DSTFS_TXN_H

#include "common/msgio.h"
#include "common/pool.h"
#include "dstfs/ranges.h"
#include "dstfs/request.h"

#include <stdbool.h>
#include <stdint.h>

struct txn_table;

struct txn {
	struct msgio_out out;
	struct txn_table *table;
	struct request *request; /* NULL: orphaned */
	struct range_hold *hold; /* an orphan's, one reference */
	struct buf *buf; /* the payload's, one reference */
	uint8_t extra[8]; /* payload of COPY and HASH */
	uint64_t id;
	bool sent; /* on this connection; an orphan in the table always is */
	bool loose; /* was sent, and no HELLO was answered since: it may have run, or may yet */
	bool queued; /* `out` is in the connection's queue: not all of it has left */
	bool replay; /* a replay's, see lane.h */
	uint64_t mark, instances; /* FLUSH: what it covers, noted when it is sent */
	unsigned damaged; /* how often its payload came damaged, here or at the server */
	struct txn *next, *previous; /* by id, oldest first */
	struct txn *chain; /* of the hash bucket */
};

struct txn_table {
	struct pool *pool;
	struct txn **buckets;
	uint64_t next_id;
	struct txn *first, *last;
	struct txn *unsent; /* the oldest that isn't sent on this connection, or NULL */
	struct txn *left_behind; /* orphans of connections that are gone, for their holds */
	unsigned in_flight; /* that are sent */
	unsigned orphans; /* of those in flight */
	unsigned depth; /* at most in flight; negotiated by each connection */
};

int txn_table_init(struct txn_table *table); /* 0 or ENOMEM */
/* Must be empty of all but what is left behind, whose holds go. A zeroed one is fine. */
void txn_table_destroy(struct txn_table *table);

/* The connection has ended, and its queue has given everything back: orphans are left behind, all
 * others are unsent. */
void txn_table_disconnected(struct txn_table *table);

/* What a lane asks about when it comes back: all that changes content and may have run. Returns how
 * many; *pending is meaningful if there are any. */
unsigned txn_table_pending(const struct txn_table *table, struct wire_pending *pending);

/* How many of these there are. */
unsigned txn_table_unanswered(const struct txn_table *table);

/* HELLO was answered with DST_OK, or with DST_ESTALE: nothing that an older connection carried can
 * happen any more. */
void txn_table_drained(struct txn_table *table);

/* The one to be sent next, of those that are unsent. NULL: none, or it must wait for others. */
struct txn *txn_table_unsent(const struct txn_table *table);

/* May a new one be made and sent? Not before all older ones are. */
bool txn_table_has_room(const struct txn_table *table);

/* Is all the room taken by orphans, whose replies nobody waits for? */
bool txn_table_choked(const struct txn_table *table);

/* A transaction for the request, in the table, not sent yet; with `flush` a FLUSH for it, whatever its
 * type. There must be room. NULL: no memory. */
struct txn *txn_new(struct txn_table *table, struct request *request, bool flush);

/* Sends it over m, for the first time or again; the lag tells the watermark of now. */
void txn_send(struct txn *txn, struct msgio *m, enum dst_checksum checksum);

struct txn *txn_find(const struct txn_table *table, uint64_t id); /* NULL: unknown */

/* Its request goes on without it. If it was sent it stays, with its payload, until the reply. */
void txn_orphan(struct txn *txn);

/* Acknowledged or given up: leaves the table and is freed. Must not be queued. */
void txn_finish(struct txn *txn);

#endif
