/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target.h - a stage of a volume that takes requests: an interface. Leaves are nodes (`remote`,
 * `local`); maps (`linear`, `mirror`, `stripe`) pass requests on to targets below them.
 *
 * Down is calls, up is only the completion stored in the request, and one notice that something
 * changed. Requests come from any worker, each from its own thread.
 */
#ifndef DSTFS_TARGET_H
#define DSTFS_TARGET_H

#include "common/text.h"
#include "dstfs/request.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum target_state {
	TARGET_CONNECTING, /* no answer yet, since the start */
	TARGET_READY, /* takes requests and answers them */
	TARGET_AWAY, /* was ready; requests wait until it is back or they expire */
	TARGET_REFUSED, /* the node answers, but not to us: unknown export, no permission, … */
	TARGET_FENCED, /* another writer has taken over: all fails until target_reattach() */
	TARGET_STOPPED,
};

const char *target_state_name(enum target_state state); /* "connecting", … */

struct target;

struct target_ops {
	/* Takes the request; it completes once, with 0 or an errno, perhaps before this returns. Its
	 * range was checked against the size. */
	void (*submit)(struct target *target, struct request *request);
	/*
	 * Completes a request that is held here with `error` before this returns. What was begun may
	 * yet be carried out. From the thread of request->worker.
	 */
	void (*cancel)(struct target *target, struct request *request, int error);
	/* A new object that describes it for status. Any thread. */
	json_t *(*status)(struct target *target);
	/*
	 * Comes back after it was fenced, or is refused because another holds it: attaches anew; with
	 * `takeover` by force. Requests that were submitted before fail or have failed. Any thread;
	 * the outcome shows in the state. 0, or an errno if there is nothing to come back from.
	 */
	int (*reattach)(struct target *target, bool takeover);
	/*
	 * Carries out a command of the admin's that concerns only some kinds of targets; a map passes
	 * on to all its children what it doesn't know itself. Arguments are in `request`. A new object,
	 * or NULL with the cause in `reason`, which stays empty if it concerns nobody here. Worker 0's
	 * thread. NULL: knows none, and has no children.
	 */
	json_t *(*command)(struct target *target, const char *command, const json_t *request,
			   const struct reason *reason);
	/* A short phrase: why it is not ready, or does only a part of what it should; "" if it does
	 * all. Copies it. Any thread. */
	void (*reason)(struct target *target, char *text, size_t size);
	/*
	 * How often acknowledged, unflushed writes were lost for good below it; raised before anything
	 * is carried out that could see that. Any thread. NULL: it can't tell, but a failed FLUSH does.
	 */
	uint64_t (*losses)(struct target *target);
	/*
	 * No request is held any more and none will come, and the last flush has succeeded: leaves
	 * behind it what says so, then runs done(arg) once, in worker 0's thread, from where it is called.
	 * Everything fails from then on. If it is destroyed before, done() doesn't run. NULL: there is
	 * nothing to do.
	 */
	void (*detach)(struct target *target, void (*done)(void *arg), void *arg);
	/*
	 * No request is held any more and none will come. Ends connections and frees the target; the
	 * workers' loops still exist but don't run. False: a stuck disk still has cancelled operations,
	 * which name the target, the workers' loops and their buffers: those stay, and go with the
	 * process.
	 */
	bool (*destroy)(struct target *target);
};

/* How patient a target is; nanoseconds. Shared by the targets of a volume; changed in worker 0. */
struct target_policy {
	_Atomic uint64_t timeout; /* without an answer until a try has failed */
	_Atomic unsigned resends; /* tries after the first; TARGET_FOREVER: no end */
	_Atomic uint64_t reconnect; /* between attempts to connect, before back-off */
	_Atomic uint64_t ping; /* of silence until a ping is sent; 0: none while idle */
	_Atomic uint64_t ping_timeout; /* without its answer until the connection is given up */
	_Atomic uint64_t retain; /* bytes, not time: acknowledged and not yet flushed, kept for a
				  * replay, per node; 0: none are */
	_Atomic uint64_t
		resync_rate; /* bytes a second that mirrors bring up to date, at most; 0: no
				       * limit */
	bool checksum; /* digests on the wire */
	bool read_only; /* ask for no more than reading */
	bool takeover; /* attach by force, the first time */
};

#define TARGET_FOREVER UINT32_MAX /* resends */

/* How long a request may take in all; nanoseconds, UINT64_MAX: for ever. */
static inline uint64_t target_patience(const struct target_policy *policy)
{
	uint64_t timeout = policy->timeout, tries = (uint64_t)policy->resends + 1;

	if (tries > TARGET_FOREVER || timeout > UINT64_MAX / tries)
		return UINT64_MAX;
	return timeout * tries;
}

/* Has the request waited for too long? The policy of now decides, also for what waits already. */
static inline bool target_expired(const struct target_policy *policy, const struct request *request,
				  uint64_t now)
{
	return now > request->since && now - request->since >= target_patience(policy);
}

struct target {
	const struct target_ops *ops;
	const struct target_policy *policy;
	/* Changed by the target, read by anyone. */
	_Atomic enum target_state state;
	_Atomic uint64_t size; /* bytes; 0 until it is known */
	_Atomic bool writable;
	/* A request takes no longer than so many times target_patience(), for better or worse: it may
	 * have to wait for several nodes in turn. 0 is 1. */
	_Atomic unsigned patiences;
	/* State, size or writability has changed. Any worker's thread; may not call back. */
	void (*changed)(void *arg);
	void *changed_arg;
};

static inline uint64_t target_losses(struct target *target)
{
	return target->ops->losses ? target->ops->losses(target) : 0;
}

static inline void target_submit(struct target *target, struct request *request)
{
	target->ops->submit(target, request);
}

static inline void target_cancel(struct target *target, struct request *request, int error)
{
	target->ops->cancel(target, request, error);
}

static inline bool target_destroy(struct target **target)
{
	struct target *t = *target;

	*target = NULL;
	return !t || t->ops->destroy(t);
}

#endif
