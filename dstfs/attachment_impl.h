/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attachment_impl.h - an attachment from inside, shared by attachment.c (who we are, which export it
 * is, who holds it), recovery.c (what the server lost) and attachment_status.c.
 */
#ifndef DSTFS_ATTACHMENT_IMPL_H
#define DSTFS_ATTACHMENT_IMPL_H

#include "dstfs/attachment.h"

#include "common/log.h"
#include "dstfs/identity.h"
#include "dstfs/replay.h"

#include <pthread.h>

/*
 *   from        to          when
 *   ATTACHING   OPEN        lane 0 was let in: the others follow
 *   OPEN        GATHERING   a HELLO's answer or a NOTICE tells of another instance
 *   GATHERING   REPLAYING   every lane has been let in anew, under one instance
 *   GATHERING   GATHERING   yet another instance: from the beginning
 *   REPLAYING   GATHERING   likewise; the replay is dropped
 *   REPLAYING   OPEN        all that was kept is written anew, or can't be
 *   any         FENCED      another writer has taken over
 *   any         ATTACHING   told to reattach; another server, with nothing at stake
 */
enum phase {
	PHASE_ATTACHING, /* lane 0 goes first */
	PHASE_OPEN, /* lanes carry requests */
	PHASE_GATHERING, /* they say HELLO anew, so that nothing of theirs is under way */
	PHASE_REPLAYING, /* lane 0 writes anew what the server lost */
	PHASE_FENCED, /* for good, until told to reattach */
};

/* What an attachment knows of one lane. */
struct seat {
	struct lane *lane;
	uint64_t told; /* the incarnation that it was told of */
	uint64_t begun; /* likewise, once all that it had of older ones is over */
	bool fail; /* and with it, to fail its requests */
	uint64_t greeted; /* the one in whose name it said HELLO last */
	bool attached; /* HELLO was answered well, and the connection is not lost */
	uint64_t round; /* the one in which HELLO was answered */
	bool gathered; /* in this round: nothing of it is under way, what was is known */
};

struct attachment {
	struct target *target;
	const struct uri *uri;
	const struct target_policy *policy;
	struct worker *workers;
	struct retention retention; /* atomics, shared with the lanes */

	pthread_mutex_t lock; /* guards what follows, and changes of what `target` tells */
	enum phase phase;
	uint64_t state_since; /* clock_now() */
	char reason[DST_MAX_REASON + 1]; /* why it is not ready */
	char peer[128]; /* that let us in last */
	struct log_limit limit_size;

	uint64_t incarnation; /* of the session: how often it was drawn; from 1 */
	uint8_t session[DST_ID_SIZE]; /* a secret: never shown whole */
	bool attached; /* this session has been, at least once */
	struct identity identity;
	bool has_epoch; /* we hold the export since then */
	struct wire_epoch epoch;
	bool force; /* until attached: take over from who holds it */
	bool has_takeover; /* the epoch to be replaced is known */
	struct wire_epoch takeover;

	bool has_instance;
	uint8_t instance[DST_ID_SIZE];
	bool by_notice; /* this round began with one: the server is up, a flush has failed */
	bool replay_due; /* REPLAYING: lane 0 is to start it */
	uint64_t rounds, replays, replayed_pieces, replayed_bytes, fences; /* for status */

	/* Lane 0's thread only. */
	struct replay *replay;
	struct retain_log **logs; /* all lanes' */
	int replay_error;
	struct loop_hook replay_end;
	struct loop_timer replay_retry; /* there was no memory */

	unsigned seat_count;
	struct seat seats[];
};

/* ---- attachment.c; with the lock held ---- */

void attachment_show_state(struct attachment *a, bool refused, const char *reason);
void attachment_poke_all(struct attachment *a);
const char *attachment_node(const struct attachment *a, char text[URI_TEXT_MAX]);

/* ---- recovery.c; with the lock held, unless they say otherwise ---- */

int recovery_init(struct attachment *a); /* 0 or ENOMEM */
void recovery_destroy(struct attachment *a); /* without the lock; lanes have stopped */
/* Bytes that are kept for a replay, about. */
uint64_t recovery_unflushed(const struct attachment *a);
/* Nothing that is kept by now will be written anew: if it gets lost, an fsync tells. */
void recovery_give_up(struct attachment *a);
/* The server tells this instance id. */
void recovery_learn(struct attachment *a, const uint8_t instance[DST_ID_SIZE], bool by_notice);
/* The lane has nothing under way. */
void recovery_gathered(struct attachment *a, unsigned index);
/* Lane 0's thread, without the lock: starts the replay if one is due. */
void recovery_run(struct attachment *a);
/* Lane 0's thread, without the lock: its requests are dropped. */
void recovery_abandon(struct attachment *a);

#endif
