/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_keep.c - what a lane keeps of the acknowledged, until a flush has made it durable.
 *
 * What changes content is kept when it succeeds, before it completes. With half of `retain` used the
 * lane that notices flushes, one at a time for the node; with all of it used, requests that change
 * content wait in their lanes, others don't. Any flush that succeeds, a caller's too, lets go of what
 * it covers: the lane that sent it forgets its part at once, the others when they are swept.
 */
#include "dstfs/lane_impl.h"

#include "common/clock.h"

#include <errno.h>
#include <string.h>

static uint64_t most_kept(const struct lane *lane)
{
	const struct retention *retention = lane->config.retention;

	return retention->shared ? 0 : lane->config.policy->retain;
}

/* ---- a flush of our own ---- */

static void background_done(struct request *request, int error)
{
	struct lane *lane = (struct lane *)((char *)request - offsetof(struct lane, background));
	struct retention *retention = lane->config.retention;
	char text[URI_TEXT_MAX];

	lane->background_out = false;
	retention->flushing = false;
	if (!error)
		return;
	atomic_fetch_add(&retention->background_failures, 1);
	atomic_fetch_add(&retention->losses, 1);
	log_limited(&lane->limit_lost, LOG_LEVEL_ERROR,
		    "%s: making acknowledged bytes durable failed: %s; %llu bytes are no longer "
		    "kept, and the next fsync fails",
		    lane_node_text(lane, text), strerror(error),
		    (unsigned long long)retention->retain.bytes);
	retain_give_up(&retention->retain, retention->retain.number);
	lane->config.events->sweep(lane->config.arg);
}

/* Is so much kept that it should be made durable soon? */
static bool is_much(const struct lane *lane)
{
	return lane->config.retention->retain.bytes >= most_kept(lane) / 2 ||
	       buf_pool_is_low(lane->worker->bufs);
}

/* Makes room, if much is kept: forgets what is durable, else sees to it that more becomes so. */
static void make_room(struct lane *lane)
{
	struct retention *retention = lane->config.retention;

	if (!is_much(lane) || !lane_is_attached(lane) || retention->sweeping ||
	    !retention_has_kept(retention) || atomic_exchange(&retention->flushing, true))
		return;
	atomic_fetch_add(&retention->background_flushes, 1);
	lane->background_out = true;
	lane->background = (struct request){
		.type = REQUEST_FLUSH,
		.worker = lane->worker,
		.done = background_done,
		.since = UINT64_MAX, /* it waits for as long as the node is away */
	};
	lane_queue(&lane->waiting, &lane->background, true);
}

bool lane_is_full(struct lane *lane)
{
	const struct retention *retention = lane->config.retention;
	uint64_t most = most_kept(lane);

	/* If nothing is kept, waiting would free nothing: the rest is the logs' own memory. */
	if (!most || retention->retain.bytes < most || !retention_has_kept(retention))
		return false;
	make_room(lane); /* perhaps nobody has: the bound was lowered, or a lane that had is gone */
	return true;
}

void lane_keep_drop_own(struct lane *lane)
{
	struct request *request = &lane->background;

	if (!lane->background_out)
		return;
	lane->background_out = false;
	lane->config.retention->flushing = false;
	if (request->place == REQUEST_WAITING)
		request_list_remove(request->holder, request);
	else
		txn_orphan(request->holder);
}

void lane_keep_disconnected(struct lane *lane)
{
	if (!lane->background_out)
		return;
	lane_keep_drop_own(lane);
	lane->config.events->sweep(lane->config.arg);
}

/* ---- keeping and forgetting ---- */

void lane_keep(struct lane *lane, const struct request *request)
{
	struct retention *retention = lane->config.retention;
	bool keep = most_kept(lane);

	retain_log_add(lane->log, request, keep);
	if (keep)
		make_room(lane);
	else if (!request->fua && request->type != REQUEST_COPY)
		atomic_fetch_add_explicit(&retention->unkept_bytes, request->range.length,
					  memory_order_relaxed);
}

static void post_sweep(struct lane *lane)
{
	loop_post(lane->worker->loop, &lane->sweep);
}

/* A bounded part a turn. While the log is a replay's, none. */
static void on_sweep(void *arg)
{
	struct lane *lane = arg;

	bool ends = lane->state == LANE_STOPPED;

	if (!ends && !lane->quiet && retain_log_trim(lane->log)) {
		post_sweep(lane);
		return;
	}
	lane->swept = false;
	atomic_fetch_sub(&lane->config.retention->sweeping, 1);
	if (ends)
		return;
	make_room(lane); /* if that was not enough */
	lane_pump(lane); /* what has room now */
}

void lane_sweep(struct lane *lane)
{
	if (atomic_exchange(&lane->swept, true))
		return;
	atomic_fetch_add(&lane->config.retention->sweeping, 1);
	post_sweep(lane);
}

void lane_keep_opened(struct lane *lane)
{
	lane->quiet = false;
	lane_sweep(lane);
}

/* What is kept holds buffers that all volumes share: it may not have them while they run out, however
 * little it is. */
void lane_keep_tick(struct lane *lane)
{
	if (buf_pool_is_low(lane->worker->bufs))
		lane_sweep(lane);
}

struct retain_log *lane_log(struct lane *lane)
{
	return lane->log;
}

/* ---- flushes ---- */

void lane_flush_begins(struct lane *lane, struct txn *txn)
{
	const struct retention *retention = lane->config.retention;

	txn->instances = retention->instances; /* before the mark: what is lost is not covered */
	txn->mark = retention->retain.number;
}

bool lane_flush_counts(struct lane *lane, const struct txn *txn)
{
	struct retention *retention = lane->config.retention;
	uint64_t most = most_kept(lane);

	if (txn->instances != retention->instances)
		return false;
	retain_durable(&retention->retain, txn->mark);
	if (!retention_has_unkept(retention))
		retention->unkept_bytes = 0;
	/* Other lanes forget when they must: waking them for each fsync would cost more. */
	if (most && retention->retain.bytes >= most / 2)
		lane->config.events->sweep(lane->config.arg);
	else if (retain_log_trim(lane->log))
		lane_sweep(lane);
	return true;
}

int lane_flush_verdict(struct lane *lane, const struct request *request)
{
	struct retention *retention = lane->config.retention;
	char text[URI_TEXT_MAX];

	if (request == &lane->background ||
	    !flush_verdict(0, request->told, &retention->reported, retention->losses))
		return 0;
	log_limited(&lane->limit_lost, LOG_LEVEL_ERROR,
		    "%s: fsync fails: acknowledged bytes were lost since the last one",
		    lane_node_text(lane, text));
	return EIO;
}

/* ---- life ---- */

int lane_keep_init(struct lane *lane)
{
	lane->sweep = (struct loop_work){.callback = on_sweep, .arg = lane};
	lane->log = retain_log_new(&lane->config.retention->retain, lane->worker);
	return lane->log ? 0 : ENOMEM;
}

void lane_keep_destroy(struct lane *lane)
{
	lane_keep_drop_own(lane);
	retain_log_free(&lane->log);
}
