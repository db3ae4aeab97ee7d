/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.h - one worker's connection to a node: connects, says HELLO, carries transactions, notices
 * that the other side is gone, comes back and sends again what was not acknowledged.
 *
 * All calls are from the worker's thread, unless they say otherwise.
 */
#ifndef DSTFS_LANE_H
#define DSTFS_LANE_H

#include "common/counter.h"
#include "common/uri.h"
#include "dstfs/request.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#include <stddef.h>
#include <stdint.h>

enum lane_state {
	LANE_IDLE, /* between attempts */
	LANE_CONNECTING, /* looking the name up, trying the addresses */
	LANE_HELLO, /* waiting for HELLO's reply */
	LANE_READY,
	LANE_STOPPED,
};

const char *lane_state_name(enum lane_state state);

struct lane;

/* What a lane tells its node. In the lane's thread; may not call back into the lane. */
struct lane_events {
	/* The server at `address` let us in, and said this. 0, or an errno with the cause in reason: then the lane
	 * drops the connection and tries again later. */
	int (*welcome)(void *arg, const char *address, const struct wire_attrs *attrs, char *reason,
		       size_t size);
	/* NOTICE: what changed. */
	void (*notice)(void *arg, const struct wire_attrs *attrs);
	/* Not ready (any more: was_ready), and why; `refused` if the server answered and said no.
	 * Called for each failed attempt. */
	void (*lost)(void *arg, bool was_ready, bool refused, const char *reason);
};

struct lane_config {
	const struct uri *uri;
	const struct target_policy *policy;
	const uint8_t *session; /* DST_ID_SIZE bytes */
	unsigned lanes; /* of the session */
	const char *client; /* our name, for people */
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
};

/* Any thread. What config points to must outlive the lane. NULL: out of memory. */
struct lane *lane_new(struct worker *worker, const struct lane_config *config);
void lane_start(struct lane *lane); /* any thread: connects as soon as the worker's loop runs */

void lane_submit(struct lane *lane, struct request *request);
void lane_cancel(struct lane *lane, struct request *request, int error);

/* Any thread. */
enum lane_state lane_get_state(const struct lane *lane);
const struct lane_counters *lane_get_counters(const struct lane *lane);

/* Says CLOSE if connected, ends the connection and frees it. It must hold no request; if it was
 * started, the worker's loop must have run since, and stopped. */
void lane_free(struct lane **lane);

#endif
