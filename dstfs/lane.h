/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.h - one worker's connection to a node: connects, says HELLO, carries transactions, notices
 * that the other side is gone, comes back and sends again what was not acknowledged.
 *
 * A lane knows its own connection; what holds for all lanes of a session (may we attach? is the
 * export the one we know? has the server lost something?) its node judges, see attachment.h.
 *
 * All calls are from the worker's thread, unless they say otherwise.
 */
#ifndef DSTFS_LANE_H
#define DSTFS_LANE_H

#include "common/counter.h"
#include "common/uri.h"
#include "dstfs/request.h"
#include "dstfs/retention.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#include <stddef.h>
#include <stdint.h>

enum lane_state {
	LANE_IDLE, /* between attempts, or not to connect */
	LANE_CONNECTING, /* looking the name up, trying the addresses */
	LANE_HELLO, /* waiting for HELLO's reply */
	LANE_HELD, /* attached; carries nothing but a replay */
	LANE_READY,
	LANE_STOPPED,
};

const char *lane_state_name(enum lane_state state);

struct lane;

/* What becomes of a connection when HELLO was answered. */
enum lane_verdict {
	LANE_CARRY, /* attached: go on where the last connection ended */
	LANE_HOLD, /* attached, but what did not run goes back to those that wait, and waits */
	LANE_RESUME, /* attached: go on with the replay that this lane carries, and no more */
	LANE_AWAY, /* drop it, and try again later */
	LANE_REFUSED, /* likewise: the server says no, or isn't the one we know */
	LANE_AGAIN, /* drop it, and say HELLO once more at once */
	LANE_STAY, /* drop it, and don't come back until told */
};

/* What a lane is told to do when it asks. */
enum lane_order {
	LANE_GO_ON, /* as it is */
	LANE_COME, /* connect soon, if not connected */
	LANE_OPEN, /* held: carry requests again */
	LANE_RENEW, /* end the connection, say HELLO anew */
	LANE_RENEW_FAILED, /* likewise: a flush has failed, perhaps one in flight here */
	LANE_DROP, /* end the connection: the server is not to be used as it is now */
	LANE_START_OVER, /* another session from now on; requests wait for it */
	LANE_FAIL, /* all requests fail with EIO; stay away */
	LANE_FAIL_START_OVER, /* all requests fail with EIO; then another session */
};

/*
 * The node's side. In the lane's thread, never from inside a call of the lane's that another thread may
 * make; these may poke and sweep lanes and submit replays, nothing else. `index` is the lane's.
 */
struct lane_events {
	/* May it connect now? If not it waits to be poked. */
	bool (*may_connect)(void *arg, unsigned index);
	/* HELLO is about to be said: adds the session, and the epoch that it holds or replaces. */
	void (*greet)(void *arg, unsigned index, struct wire_attrs *hello);
	/* The server at `address` has answered, with a status and all that such an answer must have.
	 * The cause in reason if it isn't let in; on entry the server's own, if it has refused. */
	enum lane_verdict (*answered)(void *arg, unsigned index, const char *address,
				      uint16_t status, const struct wire_attrs *attrs,
				      char reason[DST_MAX_REASON + 1]);
	/* LANE_CARRY, LANE_HOLD or LANE_RESUME is done: what EXECUTED told has completed. */
	void (*settled)(void *arg, unsigned index);
	/* NOTICE: what changed. LANE_GO_ON, LANE_RENEW_FAILED, or LANE_DROP with the cause. */
	enum lane_order (*notice)(void *arg, unsigned index, const struct wire_attrs *attrs,
				  char reason[DST_MAX_REASON + 1]);
	/* Not attached (any more), and why; `refused` if the server answered and said no. Called for
	 * each failed attempt. */
	void (*lost)(void *arg, unsigned index, bool refused, const char *reason);
	/* It was poked: what is it to do? */
	enum lane_order (*order)(void *arg, unsigned index);
	/* The replay that it carried is dropped: its requests won't complete. */
	void (*abandoned)(void *arg, unsigned index);
	/* Much is durable and not yet forgotten: all lanes are to be swept. */
	void (*sweep)(void *arg);
};

struct lane_config {
	const struct uri *uri;
	const struct target_policy *policy;
	unsigned lanes; /* of the session */
	const char *client; /* our name, for people */
	struct retention *retention; /* the node's */
	const struct lane_events *events;
	void *arg;
};

struct lane_counters {
	counter_t messages_in, messages_out, bytes_in, bytes_out;
	counter_t connects; /* HELLOs that were answered with DST_OK */
	counter_t executed; /* told by HELLO's answer: had run though no reply had come */
	counter_t resends; /* transactions sent once more */
	counter_t bad_digests; /* payloads that came damaged, here or there */
	counter_t late_replies; /* to transactions whose request was failed meanwhile */
	counter_t inflight; /* sent on this connection, not answered; a level, not a count */
	/* Levels too, as they were when the connection ended; 0 while it is up. */
	counter_t unanswered; /* transactions that change content, and may have run */
};

/* Any thread. What config points to must outlive the lane. NULL: out of memory. */
struct lane *lane_new(struct worker *worker, const struct lane_config *config);
void lane_start(struct lane *lane); /* any thread: connects as soon as the worker's loop runs */

void lane_submit(struct lane *lane, struct request *request);
void lane_cancel(struct lane *lane, struct request *request, int error);

/* A replay's: goes also while the lane is held, before all others, and waits for ever. */
void lane_submit_replay(struct lane *lane, struct request *request);

/* Any thread: the lane asks for its order; it forgets what is durable. Soon, in its own thread. */
void lane_poke(struct lane *lane);
void lane_sweep(struct lane *lane);

/* What this lane has kept; its own thread's, but while all lanes are held. */
struct retain_log *lane_log(struct lane *lane);

/* Any thread. */
enum lane_state lane_get_state(const struct lane *lane);
const struct lane_counters *lane_get_counters(const struct lane *lane);

/* Says CLOSE if connected and ends the connection; from then on the lane does nothing. It must hold no
 * request but its own and a replay's, which are dropped; if it was started, the worker's loop must
 * have run since, and stopped. */
void lane_stop(struct lane *lane);

/* Stops it, if that wasn't done, and frees it. Lanes that poke each other are all stopped first: one
 * that is told of a change while another is freed would poke that. Runs what is posted to the loop. */
void lane_free(struct lane **lane);

#endif
