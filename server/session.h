/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - a client's attachment to an export, and which connection carries which of its lanes.
 *
 * Sessions are shared by all workers and guarded by the server's lock, save what says otherwise. A
 * session exists as long as a connection belongs to it.
 */
#ifndef SERVER_SESSION_H
#define SERVER_SESSION_H

#include "common/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct export;
struct lane;
struct record_table;
struct server;

/* One lane's place. */
struct session_slot {
	struct lane *owner; /* the connection that carries the lane, until its I/O is over */
	struct lane *waiter; /* the one that replaces it as soon as it is */

	/* The owner's thread's; handed on with the place. */
	uint64_t watermark; /* the client is done with every id up to it */
	struct record_table *record; /* the session's; made when it is needed, NULL before */
};

struct session {
	/* Fixed. */
	uint8_t id[DST_ID_SIZE]; /* a secret of client and server, see proto.h */
	struct export *export; /* one reference */
	char client[DST_MAX_CLIENT_NAME + 1];
	uint64_t since; /* clock_now() */

	_Atomic uint16_t ended; /* the status that all further requests get; 0: none. Any thread */

	struct session *next; /* in its bucket */
	unsigned connections; /* owners and waiters */
	struct session_slot slots[DST_MAX_LANES];
};

/*
 * A lane has said HELLO: checks export, rules and permissions, finds or makes the session, and
 * gives the lane its place. DST_OK: lane->session, export, permissions are set, and either
 * *wait is false and the lane is its place's owner, or the connection that has it was told to
 * end and LANE_POKE_GRANTED comes when it has. Else the status to refuse with and the cause in
 * reason.
 */
uint16_t session_attach(struct server *server, struct lane *lane, const struct wire_attrs *hello,
			bool *wait, char reason[DST_MAX_REASON + 1]);

/* The lane's connection is gone and its I/O is over; undoes session_attach(). */
void session_detach(struct server *server, struct lane *lane);

/*
 * May this request go on: is the session alive, and is the watermark as proto.h wants it? DST_OK, or
 * the status to answer, or DST_EPROTO: the peer broke the protocol. From the lane's thread.
 */
uint16_t session_admit(struct session *session, struct session_slot *slot,
		       const struct wire_header *header, uint32_t depth);

/* The export is no longer offered: ends its sessions once their I/O is over. Under the lock. */
void session_end_all(struct server *server, struct export *export);

/* Rules or size of `export` (NULL: of any) may have changed: checks its lanes' permissions
 * again and tells the clients. Takes the lock. */
void session_recheck_all(struct server *server, const struct export *export);

/* Something changed that the clients of `export` are to be told of: its lanes look for it. Takes the
 * lock. */
void session_tell_all(struct server *server, const struct export *export);

#endif
