/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - a client's attachment to an export, and which connection carries which of its lanes.
 *
 * Sessions are shared by all workers and guarded by the server's lock, save what says otherwise. A
 * session exists as long as a connection belongs to it, and longer where that can make a difference to
 * its client: as long as it holds its export (see fence.h), and, where several may write, until the
 * export's lease is over. What only reads, or was never let in, has nothing to be remembered. A
 * session whose last connection ended by CLOSE is gone at once.
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include "common/wire.h"
#include "server/fence.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct export;
struct lane;
struct record_table;
struct server;

#define SESSION_SPARE_RECORDS 1024u /* tables of absent lanes, beside max_clients for those here */
/* Without a connection and not holding; the oldest go first: */
#define SESSION_MAX_DETACHED 256u
#define SESSION_MAX_DETACHED_RECORDS 256u /* tables that they have together, 160 KiB each */

/* One lane's place. */
struct session_slot {
	struct lane *owner; /* the connection that carries the lane, until its I/O is over */
	struct lane *waiter; /* the one that replaces it as soon as it is */

	/* The owner's thread's; handed on with the place. */
	uint64_t watermark; /* the client is done with every id up to it */
	struct record_table *record; /* the session's; NULL until session_record() was needed */
};

struct session {
	/* Fixed. */
	uint8_t id[DST_ID_SIZE]; /* a secret of client and server, see proto.h */
	struct export *export; /* one reference */
	char client[DST_MAX_CLIENT_NAME + 1];
	uint64_t since; /* clock_now() */

	char peer[FENCE_PEER]; /* where its latest connection came from, for people */
	bool writes; /* has been allowed to write to a shared export */
	int claim_error; /* why its last claim failed, an errno; 0: it didn't */

	_Atomic uint16_t ended; /* the status that all further requests get; 0: none. Any thread */

	struct session *next; /* in its bucket */
	unsigned connections; /* owners and waiters */
	uint64_t gone_since; /* clock_now() when the last one was gone */
	unsigned records; /* tables that it had then */
	bool detached; /* in the server's list of those, between these two */
	struct session *older, *newer;
	struct session_slot slots[DST_MAX_LANES];
};

/* What came of HELLO. */
enum session_outcome {
	SESSION_GRANTED, /* the lane is its place's owner: answer */
	SESSION_WAITS, /* for the connection that has the place, or for a claim: LANE_POKE_GRANTED comes */
	SESSION_REFUSED
};

struct session_refusal {
	uint16_t status;
	bool has_epoch;
	struct wire_epoch epoch; /* the export's now */
	char reason[DST_MAX_REASON + 1];
};

/*
 * A lane has said HELLO: checks export, rules, permissions and who may write, finds or makes the
 * session, and gives the lane its place. Unless it is refused, lane->session, export, permissions are
 * set, and session_detach() follows some day.
 */
enum session_outcome session_attach(struct server *server, struct lane *lane,
				    const struct wire_attrs *hello,
				    struct session_refusal *refusal);

/* The lane was told that it need not wait any more: what is it now? Even so it may be SESSION_WAITS,
 * for something else has come in between. */
enum session_outcome session_judge(struct server *server, struct lane *lane,
				   struct session_refusal *refusal);

/* The lane's connection is gone and its I/O is over; undoes session_attach(). lane->closed: it ended by
 * CLOSE. */
void session_detach(struct server *server, struct lane *lane);

/*
 * May this request go on: is the session alive, and is the watermark as proto.h wants it? DST_OK, or
 * the status to answer, or DST_EPROTO: the peer broke the protocol. From the lane's thread.
 */
uint16_t session_admit(struct session *session, struct session_slot *slot,
		       const struct wire_header *header, uint32_t depth);

/*
 * The slot's record, which is made if it isn't there. A session may have more lanes than connections, so
 * the tables of all of them are bounded too: detached sessions are forgotten for it, the oldest
 * first. NULL: there are too many, or no memory. From the lane's thread; takes the lock for that.
 */
struct record_table *session_record(struct session *session, struct session_slot *slot,
				    uint32_t depth);

/* The export is no longer offered: ends its sessions, those with connections once their I/O is
 * over. Under the lock. */
void session_end_all(struct server *server, struct export *export);

/* Rules or size of `export` (NULL: of any) may have changed: checks its lanes' permissions
 * again and tells the clients. Takes the lock. */
void session_recheck_all(struct server *server, const struct export *export);

/* Something changed that the clients of `export` are to be told of: its lanes look for it. Takes the
 * lock. */
void session_tell_all(struct server *server, const struct export *export);

/* Forgets the sessions that have been gone for too long. Takes the lock. */
void session_expire(struct server *server);

/* ---- for fence.c, under the lock ---- */

/* Asks this of all connections of the session. */
void session_poke(struct session *session, unsigned pokes);

/* Nothing needs it any more but its connections, if it has any. */
void session_drop_if_left(struct session *session);

#endif
