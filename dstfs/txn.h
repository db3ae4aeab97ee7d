/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.h - the transactions of one lane: requests on the wire, kept with their payload until they are
 * acknowledged, found by id when the reply comes.
 *
 * States of a transaction: carried by a request, or orphaned (its request was failed upward, the
 * reply is still to come). Either way it stays in the table, in the order of the ids, until the
 * reply comes or the connection ends. Its memory is in the connection's queue while `queued`.
 */
#ifndef DSTFS_TXN_H
#define DSTFS_TXN_H

#include "common/msgio.h"
#include "common/pool.h"
#include "dstfs/request.h"

#include <stdbool.h>
#include <stdint.h>

#define TXN_SPAN 65535u /* ids between the oldest and the newest: what the header's lag can tell */

struct txn_table;

struct txn {
	struct msgio_out out;
	struct txn_table *table;
	struct request *request; /* NULL: orphaned */
	struct buf *buf;         /* the payload's, one reference */
	uint8_t extra[8];        /* payload of COPY and HASH */
	uint64_t id;
	uint64_t sent_at;   /* clock_now() of the last try */
	unsigned tries;     /* how often it was sent */
	bool queued;        /* `out` is in the connection's queue */
	bool finished;      /* left the table; freed as soon as it isn't queued */
	struct txn *next, *previous; /* by id, oldest first */
	struct txn *chain;           /* of the hash bucket */
};

struct txn_table {
	struct pool *pool;
	struct txn **buckets;
	uint64_t next_id;
	struct txn *first, *last;
	unsigned count;
	unsigned depth; /* at most in flight; negotiated */
};

int txn_table_init(struct txn_table *table); /* 0 or ENOMEM */
void txn_table_destroy(struct txn_table *table); /* must be empty, nothing queued */

/* Can one more be made? */
bool txn_table_has_room(const struct txn_table *table);

/* A transaction for the request, in the table, not sent yet. There must be room. NULL: no memory. */
struct txn *txn_new(struct txn_table *table, struct request *request);

/* Sends it (again) over m; the lag tells the watermark of now. */
void txn_send(struct txn *txn, struct msgio *m, enum dst_checksum checksum);

struct txn *txn_find(const struct txn_table *table, uint64_t id); /* NULL: unknown */

/* Its request goes on without it. The payload stays until the reply. */
void txn_orphan(struct txn *txn);

/* Acknowledged or given up: leaves the table and is freed, now or when the queue returns it. */
void txn_finish(struct txn *txn);

#endif
