/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fence.h - who may write to an export: its epoch and its holder (proto.h, section 7), and the way from
 * one holder to the next, a claim. An export has one claim at a time:
 *
 *   NONE ──► DRAINING ──► FLUSHING ──► STORING ──► NONE
 *    ▲___________|____________| (the claimer's connections are gone)
 *
 *   DRAINING   the old holder's connections were told to end; waits until their I/O is over
 *   FLUSHING   the storage is flushed; if that hangs, so does this claim, and nothing else
 *   STORING    a chore makes epoch and holder durable. There is no way back from here: what the disk
 *              says is what counts, also if the claimer is gone by then
 *
 * While there is a claim its session's lanes wait, and nobody else gets in for writing; the old holder
 * is told DST_EBUSY, since it is not decided yet that it is fenced. An abandoned claim has changed
 * nothing but that the old holder's connections have ended. Readers are not concerned by any of this,
 * and neither are shared exports.
 *
 * All of it is guarded by the server's lock, and all functions are called under it. The steps of a
 * claim that take long run without it: the flush in the first worker's loop, the store in a chore.
 * Both hold a reference of the export.
 */
#ifndef SERVER_FENCE_H
#define SERVER_FENCE_H

#include "common/backend.h"
#include "common/loop.h"
#include "common/offload.h"
#include "common/stream_socket.h"
#include "common/wire.h"
#include "server/state.h"

#include <stdbool.h>
#include <stdint.h>

struct export;
struct session;

#define FENCE_PEER (STREAM_ADDRESS_TEXT + 32) /* bytes of the text that says where a client is */

#define FENCE_LOG_BURST 100u /* lines about claims to one export, before they are thinned out */

enum fence_claim { FENCE_NONE, FENCE_DRAINING, FENCE_FLUSHING, FENCE_STORING };

struct fence {
	/* What holds now. `instance` is the one at start, and `clean` is false: see catalog.c. */
	struct state_export known;
	struct session *holder; /* known.holder's; NULL: it isn't here, or there is none */
	char holder_peer[FENCE_PEER]; /* for people; "": it has not come back since the start */
	uint64_t gone_since; /* clock_now() when the holder's last connection was gone */
	uint64_t takeovers; /* how often someone who held it was replaced */

	enum fence_claim claim;
	struct session *claimer; /* NULL: none, or dropped while it was stored */
	struct state_export next; /* from STORING on: what is to be */

	bool flushing; /* `flush` is used, perhaps by a claim that was abandoned since */
	struct loop_work flush_work;
	struct backend_op flush;
	uint64_t instances; /* export_instances() when it was submitted */

	bool storing; /* posted or running */
	bool store_again; /* something has changed since it began */
	struct loop_work store_work;
	struct offload_job store_job;
};

/* From what was stored; the export is not on offer yet. */
void fence_init(struct export *export, const struct state_export *known);

/* The export is on offer: the lease of a holder that is remembered begins. */
void fence_serve(struct export *export);

/*
 * HELLO asks to write, the rules grant it, and the export is not shared: what comes of it? DST_OK: its
 * session is the holder, or the claimer, or with *claim set it may become that. fence_enter() follows.
 * Else DST_EBUSY or DST_ESTALE, with the cause in reason.
 */
uint16_t fence_judge(const struct export *export, const struct wire_attrs *hello, bool *claim,
		     char reason[DST_MAX_REASON + 1]);

/* Such a session is in, with a connection: begins its claim, if that is what was said. */
void fence_enter(struct session *session, bool claim);

/* Is the session being replaced by a claim? It gets no new connections then. */
bool fence_is_replacing(const struct session *session);

/* Where a session stands, that of a lane which is attached for writing. */
enum fence_standing { FENCE_HOLDER, FENCE_CLAIMER, FENCE_OUTSIDER };
enum fence_standing fence_standing(const struct session *session);

/* Could anybody have the export, without force? */
bool fence_is_free(const struct export *export);

/* The session's last connection is gone; `closed`: by CLOSE, so it lets go. */
void fence_left(struct session *session, bool closed);

/* The session is about to be freed. */
void fence_forget(struct session *session);

/* "NAME (ADDRESS)" of a session. Returns text. */
#define FENCE_WHO (DST_MAX_CLIENT_NAME + FENCE_PEER + 4)
const char *fence_who(const struct session *session, char text[FENCE_WHO]);

#endif
