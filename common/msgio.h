/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msgio.h - whole messages over a stream: in, one at a time, headers and digests checked; out, queued
 * and sent together before the loop sleeps.
 *
 * In: small payloads are handed out where they were received; a payload of MSGIO_DIRECT bytes or
 * more is received into a buffer of its own, page-aligned, without a copy.
 * Out: entries are embedded by their users, who are bounded by their pools; the queue allocates
 * nothing. One close event ends everything.
 */
#ifndef COMMON_MSGIO_H
#define COMMON_MSGIO_H

#include "common/loop.h"
#include "common/pool.h"
#include "common/stream.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define MSGIO_DIRECT (32u << 10) /* bytes; from here on a payload gets its own buffer */

struct msgio;

/* A message that came in, valid until the handler returns. */
struct msgio_in {
	struct wire_header header;
	const uint8_t *payload; /* header.payload bytes */
	struct buf *buf; /* holds the payload if it is large, else NULL: see msgio_take() */
	bool digest_ok; /* the payload is what was sent */
	bool type_ok; /* the type is known */
};

/* A message that goes out. */
struct msgio_out {
	struct wire_header header; /* `digest` set by the caller: computed where the data entered */
	const uint8_t *payload; /* header.payload bytes; must stay valid until `sent` */
	/* The entry and its payload are the owner's again: all bytes are with the stream, or the
	 * connection is closing. Called before any message that came in after they left. Never
	 * called from inside msgio_send(). */
	void (*sent)(struct msgio_out *out);
	uint8_t encoded[DST_HEADER_SIZE]; /* msgio's */
	struct msgio_out *next; /* msgio's */
};

struct msgio_events {
	/* One message. May send, pause or close; after closing it must not touch the msgio. */
	void (*message)(void *arg, struct msgio_in *in);
	/* The connection ended: error 0 if the peer closed between messages, else an errno (EPROTO:
	 * a bad header, EPROTONOSUPPORT: one of another version); `why` is a phrase for the log.
	 * Called once, from the loop; the msgio is still to be closed. After a bad header a last
	 * message can be sent from in here, with msgio_send() and msgio_flush(). */
	void (*closed)(void *arg, int error, const char *why);
};

struct msgio_stats {
	uint64_t messages_in, messages_out, bytes_in, bytes_out;
	uint64_t bad_digests;
};

/*
 * Takes over the stream (also on failure). `direction` is what this side receives. Payloads are
 * limited to DST_MAX_HELLO and digests are on until msgio_open_up(). NULL: out of memory.
 * Payload buffers come from `bufs`; when it is empty, reading waits until one comes back.
 */
struct msgio *msgio_new(struct loop *loop, struct stream *stream, struct buf_pool *bufs,
			enum wire_direction direction, const struct msgio_events *events,
			void *arg);

/* After HELLO: full payloads, the negotiated checksum (from the next message on, both ways), a
 * larger receive buffer. 0 or ENOMEM. */
int msgio_open_up(struct msgio *m, enum dst_checksum checksum);

void msgio_send(struct msgio *m, struct msgio_out *out);

/* Inside `message`: take the payload's buffer along (the caller owns one reference then). If
 * in->buf is NULL the payload is copied into a fresh one. NULL: the pool is empty. */
struct buf *msgio_take(struct msgio *m, struct msgio_in *in);

/* Stop reading; go on reading (also what is received already). Both may be called at any time. After
 * msgio_watch() nothing is handed out either, but the end of the connection is noticed, unless the
 * peer sends more than fits the receive buffer. */
void msgio_pause(struct msgio *m);
void msgio_watch(struct msgio *m);
void msgio_resume(struct msgio *m);

/* All queued messages out now, as far as the stream takes them, without waiting for the hook. */
void msgio_flush(struct msgio *m);
bool msgio_idle(const struct msgio *m); /* nothing queued to go out */

const struct msgio_stats *msgio_stats(const struct msgio *m);

/* Returns every queued entry through `sent`, closes the stream and frees. No `closed` after this. */
void msgio_close(struct msgio **m);

#endif
