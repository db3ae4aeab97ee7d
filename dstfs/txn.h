/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.h - the transactions of one lane: requests on the wire, kept with their payload until they are
 * acknowledged, found by id when the reply comes.
 *
 * A transaction is carried by a request, or orphaned (its request was failed upward, the reply is
 * still to come). It stays in the table, in the order of the ids, until the reply comes. When a
 * connection ends, orphans go with it; the others are unsent again, and the next connection sends
 * them before anything new. So the table is a row of sent ones, then a row of unsent ones, and
 * what proto.h allows (depth, lag) is judged here alone.
 */
#ifndef DSTFS_TXN_H
#define DSTFS_TXN_H

#include "common/msgio.h"
#include "common/pool.h"
#include "dstfs/request.h"

#include <stdbool.h>
#include <stdint.h>

struct txn_table;

struct txn {
	struct msgio_out out;
	struct txn_table *table;
	struct request *request; /* NULL: orphaned */
	struct buf *buf; /* the payload's, one reference */
	uint8_t extra[8]; /* payload of COPY and HASH */
	uint64_t id;
	bool sent; /* on this connection; an orphan always is */
	bool queued; /* `out` is in the connection's queue: not all of it has left */
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
	unsigned in_flight; /* that are */
	unsigned depth; /* at most in flight; negotiated by each connection */
};

int txn_table_init(struct txn_table *table); /* 0 or ENOMEM */
void txn_table_destroy(struct txn_table *table); /* must be empty */

/* The connection has ended, and its queue has given everything back: orphans are freed, all others
 * are unsent. */
void txn_table_disconnected(struct txn_table *table);

/* The one to be sent next, of those that are unsent. NULL: none, or it must wait for others. */
struct txn *txn_table_unsent(const struct txn_table *table);

/* May a new one be made and sent? Not before all older ones are. */
bool txn_table_has_room(const struct txn_table *table);

/* A transaction for the request, in the table, not sent yet. There must be room. NULL: no memory. */
struct txn *txn_new(struct txn_table *table, struct request *request);

/* Sends it over m, for the first time or again; the lag tells the watermark of now. */
void txn_send(struct txn *txn, struct msgio *m, enum dst_checksum checksum);

struct txn *txn_find(const struct txn_table *table, uint64_t id); /* NULL: unknown */

/* Its request goes on without it. If it was sent it stays, with its payload, until the reply. */
void txn_orphan(struct txn *txn);

/* Acknowledged or given up: leaves the table and is freed. Must not be queued. */
void txn_finish(struct txn *txn);

#endif
