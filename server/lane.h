/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.h - one connection: from accept through HELLO and requests until its last I/O is over.
 *
 *   HELLO ──► WAITING ──► READY ──► FINISHING ──► CLOSING ──► GONE
 *     └────────────────────►┘ (nothing to wait for)
 *
 * Each state may also go straight to CLOSING (the connection broke, or is ended at once), and a
 * refused HELLO goes to FINISHING, until its answer is out.
 *
 * A lane belongs to its worker. Another thread may only poke it, holding the server's lock, as long
 * as it finds it in a session's slot. A lane that is gone stays valid, if useless, until the end of
 * the loop's turn, so that any of its functions may end it without its caller's minding.
 */
#ifndef SERVER_LANE_H
#define SERVER_LANE_H

#include "common/counter.h"
#include "common/msgio.h"
#include "common/stream.h"
#include "common/stream_socket.h"
#include "server/acl.h"
#include "server/request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct export;
struct session;
struct session_slot;
struct worker;

#define LANE_DEPTH 256u /* requests in flight that HELLO's answer allows */
#define LANE_SPARE 16u /* PINGs and CLOSE beside them; beyond both the server stops reading */
#define LANE_STALL 60u /* seconds after which a peer that takes none of our replies is dropped */
#define LANE_ATTRS 1024u /* bytes that hold the attributes of any answer of ours but EXECUTED */

enum lane_state {
	LANE_HELLO, /* waits for HELLO */
	LANE_WAITING, /* for the I/O of the connection it replaces, or until it may write */
	LANE_READY, /* takes requests */
	LANE_FINISHING, /* reads no more; closes when all replies are out */
	LANE_CLOSING, /* the connection is gone; backend I/O still runs, its results are dropped */
	LANE_GONE, /* nothing left but references */
};

/* What other threads, or later turns of the loop, want of a lane. Bits. */
enum lane_poke {
	LANE_POKE_REPLACED = 1, /* another connection takes its place: end at once */
	LANE_POKE_GRANTED = 2, /* what it waited for is over: session_judge() */
	LANE_POKE_REVOKED = 4, /* the rules allow it no longer: finish */
	LANE_POKE_REMOVED = 8, /* the export is no longer offered: finish */
	LANE_POKE_NOTICE = 16, /* size, permissions or instance changed: tell the client */
	LANE_POKE_FINISHED = 32, /* all replies are out: close */
	LANE_POKE_FENCED = 64, /* another session takes the export over: end at once */
	LANE_POKE_ANEW = 128, /* it could write if it attached anew: finish */
};

/* Who is at the other end; the listener fills it in. */
struct lane_peer {
	struct acl_peer who;
	char text[STREAM_ADDRESS_TEXT + 32]; /* for people */
};

struct lane {
	struct worker *worker;
	struct lane *next, **link; /* the worker's lanes */
	enum lane_state state;
	struct lane_peer peer;
	struct msgio *msgio; /* NULL from CLOSING on */
	_Atomic unsigned refs;

	/* From HELLO on. session, export and slot are NULL before. */
	struct session *session;
	struct session_slot *slot;
	struct export *export;
	uint32_t index, lanes; /* which lane of how many */
	enum dst_checksum checksum;
	uint64_t hello_id;
	uint32_t wanted; /* DST_PERM_* */
	bool holds; /* it may write as one of the holder's; under the server's lock */
	bool has_epoch;
	struct wire_epoch epoch; /* of its hold */
	bool closed; /* by CLOSE */
	_Atomic uint32_t permissions; /* granted; changed by a reload, any thread */
	struct wire_pending *pending; /* of HELLO, until it is answered; or NULL */
	uint64_t told_size; /* what the client knows */
	uint32_t told_permissions;
	uint64_t told_instances; /* export_instances() */

	/* Requests. */
	_Atomic unsigned
		inflight; /* not yet answered, or the answer isn't out yet; read by any thread */
	uint64_t held; /* bytes of the worker's memory, by what its requests hold */
	struct request *close_request; /* CLOSE, answered last */
	struct message parked; /* waits for a request or buffer while `starved` */
	uint8_t *parking; /* MSGIO_DIRECT bytes for its payload; NULL: never needed */
	bool starved;
	struct lane *starved_next;

	/* The answer to HELLO, and notices. */
	struct msgio_out attrs_out;
	uint8_t attrs[LANE_ATTRS];
	uint8_t *attrs_large; /* holds what LANE_ATTRS don't, until it is out; or NULL */
	bool attrs_busy;

	uint64_t since; /* clock_now() */
	uint64_t stalled_bytes; /* bytes_out when it was last seen to move */
	unsigned stalled_ticks; /* how long ago that was */
	counter_t messages_in, messages_out;

	_Atomic unsigned pokes;
	struct loop_work poke_work;
};

/* Takes over the stream and answers for the connection from now on. From the worker's thread. */
void lane_open(struct worker *worker, struct stream *stream, const struct lane_peer *peer);

/* Asks for what the bits say, in the lane's own thread, soon. From that thread, or under the
 * server's lock for a lane in a slot. */
void lane_poke(struct lane *lane, unsigned pokes);

/* Stops reading; closes once the replies of all that was begun are out. */
void lane_finish(struct lane *lane, const char *why);

/* For the worker that buried it. */
void lane_free(struct lane *lane);

/* Looks at HELLO's deadline and for peers that take no replies. Once a WORKER_TICK. */
void lane_tick(struct lane *lane);

/* The parked message once more, and then on with reading. False: still nothing to be had. */
bool lane_feed(struct lane *lane);

/* ---- for request.c ---- */

/* CLOSE: it is answered after all others, then the connection ends. Takes over the request. */
void lane_close_requested(struct lane *lane, struct request *request);

/* The peer broke the protocol: logs it and ends the connection at once. */
__attribute__((format(printf, 2, 3))) void lane_violation(struct lane *lane, const char *format,
							  ...);

/* A request of the lane is over. */
void lane_request_over(struct lane *lane);

/*
 * Before any answer: if the client doesn't know the current size, permissions and instance, it is told
 * now, before the answer to anything that ran under them. False: it can't be told now, since the
 * last notice is still on its way; so the connection was ended, and the next HELLO's answer tells.
 */
bool lane_told(struct lane *lane);

#endif
