/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retain.h - what a node has acknowledged and not yet made durable, kept for the day when the server
 * tells that it is lost.
 *
 * Every modifying request gets a number when it completes: one order over all lanes of a session.
 * Requests that overlap are never in flight together, so this is the order in which they ran. A
 * flush notes the highest number when it is sent; once it has succeeded, all up to there is durable
 * and forgotten. A replay sends the rest again, in the order of the numbers, leaving out what a later
 * FUA request has made durable in its place.
 *
 * `struct retain` is a session's, shared by its lanes; each lane has a log of its own, used by its
 * worker's thread only, except while the lanes are quiet for a replay.
 */
#ifndef DSTFS_RETAIN_H
#define DSTFS_RETAIN_H

#include "dstfs/request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Payloads up to this size are copied into the log, so that small writes don't keep whole buffers;
 * of larger ones the log keeps the buffer. */
#define RETAIN_COPIED (32u << 10)

/* All zero at first. What is marked so is the retaining logs' own; the others are read by anyone. */
struct retain {
	_Atomic uint64_t number; /* given last; 0: none yet */
	_Atomic uint64_t kept; /* the highest that a log keeps, or has kept, for a replay */
	_Atomic uint64_t durable; /* all up to here is, and may be forgotten */
	/* All up to here that isn't durable has been given up: it is never replayed. At most `unkept`. */
	_Atomic uint64_t given_up;
	/* Something acknowledged after `durable` could not be kept (no memory, retain = 0): if the
	 * server loses it, only a failed flush can tell. The highest such number; 0: none. */
	_Atomic uint64_t unkept;
	/* Of memory, in all logs: chunks of entries and small payloads as a whole; buffers by whole
	 * pages, with the one of their headroom. What was trimmed and waits for reuse doesn't count. */
	_Atomic uint64_t bytes;
};

struct retain_log;

/* For one lane. NULL: out of memory. */
struct retain_log *retain_log_new(struct retain *retain, struct worker *worker);
void retain_log_free(struct retain_log **log); /* forgets what it holds */

/*
 * The request has succeeded: gives it the next number and keeps what a replay needs; with `keep`
 * false, or without memory, it only gets its number, and `unkept` notes it. COPY must be durable
 * (flushed) when it comes here, and so FUA: they keep no payload, and cover what they replaced. Before
 * the request completes, so before its hold is put back: numbers of what overlaps tell the order.
 */
void retain_log_add(struct retain_log *log, const struct request *request, bool keep);

/* A flush that was sent when `number` was `mark` has succeeded. Any thread. */
void retain_durable(struct retain *retain, uint64_t mark);

/* What is numbered up to `mark` and not durable will never be replayed: `unkept` notes it, and the
 * logs forget it as if it were durable. Any thread. */
void retain_give_up(struct retain *retain, uint64_t mark);

/* Bytes of writes and zeroes that the log keeps. Any thread; exact after retain_log_trim(). */
uint64_t retain_log_unflushed(const struct retain_log *log);

/* Forgets what is durable or given up, a bounded amount a call: true if more is left to be forgotten. */
bool retain_log_trim(struct retain_log *log);

/*
 * What must be sent again, of several logs in one order: a cursor over pieces. A piece is what is not
 * covered by something later and durable: of one entry there may be several pieces, or none.
 */
struct retain_piece {
	uint64_t number; /* of its entry */
	enum request_type type; /* WRITE, WRITE_ZEROES, DISCARD */
	bool no_hole;
	struct range range;
	const uint8_t *data; /* WRITE; stays until the log is trimmed or freed */
	uint64_t digest; /* of data, if has_digest */
	bool has_digest;
};

struct retain_cursor;

/* The logs are one session's and must not change while the cursor exists. NULL: out of memory. */
struct retain_cursor *retain_cursor_new(struct retain_log *const *logs, unsigned count);
bool retain_cursor_next(struct retain_cursor *cursor, struct retain_piece *piece);
void retain_cursor_free(struct retain_cursor **cursor);

#endif
