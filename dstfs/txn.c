/* SPDX-License-Identifier: GPL-2.0-or-later */
/* txn.c - see txn.h */
#include "dstfs/txn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BUCKETS 1024u /* a power of two; ids are dense, so chains are short */
#define RESERVED 64u

static const uint8_t type_on_wire[REQUEST_TYPES] = {
	[REQUEST_READ] = DST_READ,
	[REQUEST_WRITE] = DST_WRITE,
	[REQUEST_FLUSH] = DST_FLUSH,
	[REQUEST_DISCARD] = DST_DISCARD,
	[REQUEST_WRITE_ZEROES] = DST_WRITE_ZEROES,
	[REQUEST_EXTENTS] = DST_EXTENTS,
	[REQUEST_COPY] = DST_COPY,
	[REQUEST_HASH] = DST_HASH,
};

int txn_table_init(struct txn_table *table)
{
	*table = (struct txn_table){.next_id = 1, .depth = DST_MIN_DEPTH};
	table->pool = pool_new(sizeof(struct txn), RESERVED, DST_MAX_DEPTH);
	table->buckets = calloc(BUCKETS, sizeof(*table->buckets));
	if (table->pool && table->buckets)
		return 0;
	txn_table_destroy(table);
	return ENOMEM;
}

static struct txn **bucket(const struct txn_table *table, uint64_t id)
{
	return &table->buckets[id & (BUCKETS - 1)];
}

/* Out of the table; it still exists, with all that it holds. */
static void txn_unlink(struct txn *txn)
{
	struct txn_table *table = txn->table;
	struct txn **chain = bucket(table, txn->id);

	assert(!txn->queued);
	while (*chain != txn)
		chain = &(*chain)->chain;
	*chain = txn->chain;
	*(txn->previous ? &txn->previous->next : &table->first) = txn->next;
	*(txn->next ? &txn->next->previous : &table->last) = txn->previous;
	if (table->unsent == txn)
		table->unsent = txn->next;
	table->in_flight -= txn->sent;
	table->orphans -= txn->sent && !txn->request;
	buf_unref(&txn->buf);
}

/* An orphan that won't be answered any more: what is left of it is the hold. */
static void leave_behind(struct txn *txn)
{
	struct txn_table *table = txn->table;

	txn_unlink(txn);
	if (txn->hold) {
		txn->next = table->left_behind;
		table->left_behind = txn;
	} else {
		pool_put(table->pool, txn);
	}
}

void txn_table_disconnected(struct txn_table *table)
{
	for (struct txn *txn = table->first, *next; txn; txn = next) {
		next = txn->next;
		if (txn->request)
			txn->sent = false;
		else
			leave_behind(txn);
	}
	table->unsent = table->first;
	table->in_flight = 0;
}

static bool may_have_run(const struct txn *txn)
{
	return txn->loose && txn->request && txn->out.header.type != DST_FLUSH &&
	       request_modifies(txn->request);
}

unsigned txn_table_unanswered(const struct txn_table *table)
{
	unsigned count = 0;

	for (const struct txn *txn = table->first; txn; txn = txn->next)
		count += may_have_run(txn);
	return count;
}

unsigned txn_table_pending(const struct txn_table *table, struct wire_pending *pending)
{
	pending->count = 0;
	for (const struct txn *txn = table->first; txn; txn = txn->next) {
		if (!may_have_run(txn))
			continue;
		if (!pending->count)
			pending->first = txn->id;
		pending->distance[pending->count++] = (uint16_t)(txn->id - pending->first);
	}
	return pending->count;
}

void txn_table_drained(struct txn_table *table)
{
	struct txn *txn;

	while ((txn = table->left_behind)) {
		table->left_behind = txn->next;
		range_hold_put(&txn->hold);
		pool_put(table->pool, txn);
	}
	for (txn = table->first; txn; txn = txn->next)
		txn->loose = false;
}

void txn_table_destroy(struct txn_table *table)
{
	assert(!table->first);
	txn_table_drained(table);
	free(table->buckets);
	table->buckets = NULL;
	pool_free(&table->pool);
}

/* May `id` be sent beside what is in flight, and ahead of what is not acknowledged? */
static bool may_send(const struct txn_table *table, uint64_t id)
{
	return table->in_flight < table->depth &&
	       (!table->first || id - table->first->id < DST_LAG_FACTOR * table->depth);
}

struct txn *txn_table_unsent(const struct txn_table *table)
{
	return table->unsent && may_send(table, table->unsent->id) ? table->unsent : NULL;
}

bool txn_table_has_room(const struct txn_table *table)
{
	return !table->unsent && may_send(table, table->next_id);
}

bool txn_table_choked(const struct txn_table *table)
{
	uint64_t next = table->unsent ? table->unsent->id : table->next_id;

	if (!table->orphans || may_send(table, next))
		return false;
	return table->orphans == table->in_flight || !table->first->request;
}

static void txn_sent(struct msgio_out *out)
{
	struct txn *txn = (struct txn *)out; /* out is the first member */

	txn->queued = false;
}

/* The header and the payload as the request's type asks (proto.h, section 3). */
static void txn_fill(struct txn *txn, const struct request *request)
{
	struct wire_header *header = &txn->out.header;

	*header = (struct wire_header){
		.type = type_on_wire[request->type],
		.id = txn->id,
		.range = request->range,
	};
	if (request->fua)
		header->flags |= DST_F_FUA;
	if (request->no_hole)
		header->flags |= DST_F_NO_HOLE;
	txn->out.payload = txn->extra;
	switch (request->type) {
	case REQUEST_WRITE:
		txn->out.payload = request->data;
		header->payload = (uint32_t)request->range.length;
		txn->buf = request->buf ? buf_ref(request->buf) : NULL;
		break;
	case REQUEST_FLUSH:
		header->range = (struct range){0, 0};
		break;
	case REQUEST_COPY:
		wire_u64_encode(txn->extra, request->copy_from);
		header->payload = DST_COPY_SIZE;
		break;
	case REQUEST_HASH:
		wire_u64_encode(txn->extra, request->hash_seed);
		header->payload = DST_HASH_SEED_SIZE;
		break;
	default:
		break;
	}
}

struct txn *txn_new(struct txn_table *table, struct request *request, bool flush)
{
	struct txn *txn = pool_get(table->pool), **chain;

	if (!txn)
		return NULL;
	*txn = (struct txn){
		.out = {.sent = txn_sent},
		.table = table,
		.request = request,
		.id = table->next_id++,
		.previous = table->last,
	};
	if (flush)
		txn->out.header = (struct wire_header){.type = DST_FLUSH, .id = txn->id};
	else
		txn_fill(txn, request);
	*(table->last ? &table->last->next : &table->first) = txn;
	table->last = txn;
	chain = bucket(table, txn->id);
	txn->chain = *chain;
	*chain = txn;
	table->unsent = txn;
	request->holder = txn;
	request->place = REQUEST_IN_FLIGHT;
	return txn;
}

void txn_send(struct txn *txn, struct msgio *m, enum dst_checksum checksum)
{
	struct wire_header *header = &txn->out.header;
	struct txn_table *table = txn->table;

	assert(!txn->queued && txn->request);
	if (!txn->sent) {
		assert(table->unsent == txn);
		table->unsent = txn->next;
		table->in_flight++;
		txn->sent = txn->loose = true;
	}
	if (checksum == DST_CHECKSUM_NONE)
		header->digest = 0;
	else if (header->type == DST_WRITE)
		header->digest = request_digest(txn->request);
	else
		header->digest = wire_digest(checksum, txn->out.payload, header->payload);
	header->status = (uint16_t)(txn->id - table->first->id + 1);
	txn->queued = true;
	msgio_send(m, &txn->out);
}

struct txn *txn_find(const struct txn_table *table, uint64_t id)
{
	struct txn *txn = *bucket(table, id);

	while (txn && txn->id != id)
		txn = txn->chain;
	return txn;
}

void txn_orphan(struct txn *txn)
{
	struct request *request = txn->request;

	if (!txn->loose) { /* it has not run, and won't */
		txn_finish(txn);
		return;
	}
	txn->hold = request->hold ? range_hold_get(request->hold) : NULL;
	txn->request = NULL;
	txn->table->orphans += txn->sent;
	if (!txn->sent)
		leave_behind(txn);
}

void txn_finish(struct txn *txn)
{
	txn_unlink(txn);
	range_hold_put(&txn->hold);
	pool_put(txn->table->pool, txn);
}
