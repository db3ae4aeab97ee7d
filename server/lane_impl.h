/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_impl.h - what the files of a lane share: lane.c, its life from accept to its end, and
 * lane_hello.c, HELLO and the notices. In the lane's own thread.
 */
#ifndef SERVER_LANE_IMPL_H
#define SERVER_LANE_IMPL_H

#include "server/lane.h"
#include "server/session.h"

/* ---- lane.c ---- */

/* "NAME (ADDRESS)" of a client that was let in, else the address. */
#define LANE_WHO (sizeof(((struct session *)0)->client) + sizeof(((struct lane *)0)->peer.text) + 4)
void lane_describe(const struct lane *lane, char *text, size_t size);

void lane_set_state(struct lane *lane, enum lane_state state);

/* The one line about the end of a connection that was let in. */
void lane_log_left(const struct lane *lane, const char *why);

/* Closes the connection now. Replies are dropped; backend I/O goes on until it is over. */
void lane_disconnect(struct lane *lane);

/* Goes on with ending, as far as what still runs allows. */
void lane_go_on_ending(struct lane *lane);

/* ---- lane_hello.c ---- */

/* The first message. */
void lane_take_hello(struct lane *lane, const struct msgio_in *in);

/* Answers HELLO with what session_attach() or session_judge() said, unless it is too early for that. */
void lane_settle(struct lane *lane, enum session_outcome outcome,
		 const struct session_refusal *refusal);

/* A client of another version is told so in ours: it knows the magic, and how to read that much. */
void lane_answer_version(struct lane *lane);

/* NOTICE of what the client doesn't know. One that is still queued is followed by the next when it
 * is out. */
void lane_tell(struct lane *lane);

#endif
