/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retain_impl.h - how a retain_log lies in memory: for retain.c, which writes and trims it, and
 * retain_cursor.c, which reads it.
 *
 * A log is a row of chunks; a chunk is a row of entries, each with a small payload or the reference
 * to a larger one behind it. Numbers ascend through both.
 */
#ifndef DSTFS_RETAIN_IMPL_H
#define DSTFS_RETAIN_IMPL_H

#include "common/counter.h"
#include "dstfs/retain.h"

#include <stdalign.h>

#define RETAIN_CHUNK ((size_t)256 << 10) /* bytes, all told */
#define RETAIN_ALIGNMENT 32u /* of entries and payloads, for a fast copy */

struct retain_entry {
	uint64_t number;
	uint64_t offset;
	uint64_t digest;
	uint32_t length; /* at most DST_MAX_RANGE */
	uint8_t type; /* enum request_type; means nothing to a cover */
	bool cover; /* is durable itself: tells what must not be replayed over it */
	bool no_hole;
	bool has_digest;
};

/* Behind the entry of a WRITE that is longer than RETAIN_COPIED. */
struct retain_reference {
	struct buf *buf;
	const uint8_t *data;
};

struct retain_chunk {
	struct retain_chunk *next;
	uint64_t last; /* number of the last entry */
	uint64_t unflushed; /* bytes, see retain_log_unflushed() */
	unsigned references; /* entries that hold a buffer */
	uint32_t head, used; /* in bytes[]: the first entry left, the end of the last */
	alignas(RETAIN_ALIGNMENT) uint8_t bytes[];
};

struct retain_log {
	struct retain *retain;
	struct retain_chunk *first, *last; /* NULL: empty */
	struct retain_chunk *spare; /* the one used last comes first: it is warm */
	unsigned spares, least_spares; /* how many; and at least since the last trim */
	counter_t unflushed;
};

/* All up to here is durable or given up: it needs no replay. */
uint64_t retain_settled(const struct retain *retain);

size_t retain_entry_size(const struct retain_entry *entry); /* with what is behind it */

static inline bool retain_entry_referenced(const struct retain_entry *entry)
{
	return !entry->cover && entry->type == REQUEST_WRITE && entry->length > RETAIN_COPIED;
}

static inline bool retain_entry_copied(const struct retain_entry *entry)
{
	return !entry->cover && entry->type == REQUEST_WRITE && entry->length <= RETAIN_COPIED;
}

static inline struct retain_reference *retain_entry_reference(const struct retain_entry *entry)
{
	return (struct retain_reference *)(entry + 1);
}

#endif
