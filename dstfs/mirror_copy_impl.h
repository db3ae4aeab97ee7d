/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_copy_impl.h - what the files of copying share. All is the home's.
 *
 *   mirror_window.c       one window
 *   mirror_copy.c         how many windows, and when: giving way, rate, life
 *   mirror_jobs.c         what is to be copied: tasks of each kind, and what comes of them
 *   mirror_verify.c       comparing all nodes: findings, who is right
 *   mirror_copy_status.c  the status
 *
 * A task is a run of whole regions, of a window's size together, or one region that is larger and has
 * several windows. Tasks of a kind never overlap: its cursor goes up, and begins anew only when none
 * is under way.
 */
#ifndef DSTFS_MIRROR_COPY_IMPL_H
#define DSTFS_MIRROR_COPY_IMPL_H

#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_window.h"

#include "common/log.h"

#define COPY_WINDOWS 8u /* at once; each has a payload buffer at most */
#define COPY_TASKS COPY_WINDOWS
#define COPY_WINDOW_SIZE (WINDOW_BLOCK * WINDOW_BLOCKS)
#define COPY_WAITERS 2u /* for the end: a detach, and a fence that comes meanwhile */
#define COPY_REPAIRS 64u /* that wait; more are forgotten, and found by the next read */
#define VERIFY_FINDINGS 256u /* that are told one by one */

_Static_assert(COPY_WINDOW_SIZE <= DST_MAX_PAYLOAD, "read and written at once");

/*
 * A window at a time while users are at work, each followed by a pause of so many times what it took,
 * so that it has a small share of the time, and a bounded one of theirs; but never none.
 */
#define COPY_BUSY_BLOCKS 4u /* of a window then */
#define COPY_BUSY_PAUSE 4u
#define COPY_BUSY_PAUSE_MOST (500 * CLOCK_MS)
#define COPY_BUSY_MEMORY (100 * CLOCK_MS) /* users who were seen so long ago may be back at once */
#define COPY_TICK (10 * CLOCK_MS)
#define COPY_IDLE_TICK (100 * CLOCK_MS) /* with nothing under way, but something to do */
/* So many bytes in a row of which nothing was equal: then only each so many-th window is compared. */
#define COPY_UNLIKE (32u << 20)
#define COPY_COMPARE_EVERY 16u
#define COPY_RETRY_INTERVAL (5 * CLOCK_SEC) /* of what failed, if nothing changes before */

struct copy_task {
	struct mirror_copy *copy;
	bool used;
	enum copy_kind kind;
	struct range range; /* whole regions; repair and verify: a window's */
	uint64_t next; /* offset where its next window begins */
	uint32_t step; /* bytes of a window */
	mirror_mask nodes; /* resync, repair: to which; then those that each window has reached */
	mirror_mask reached; /* nodes that were equal at the end of each window */
	unsigned windows; /* under way */
	bool aborted, unreadable;
	unsigned reports; /* mirror->suspect_reports before the first window's hold */
	struct range_hold *hold; /* of all of it, once all windows are over */
	bool waiting; /* for it */
};

/* How fast something goes, of late. */
struct copy_meter {
	uint64_t since, bytes; /* of the interval that isn't over */
	uint64_t speed; /* bytes a second; 0: not known yet */
};

/* Bytes. */
struct copy_progress {
	uint64_t total; /* to be done, when it began */
	uint64_t compared, equal, sent, zeroed;
	struct copy_meter meter;
};

struct copy_job { /* of each kind */
	uint64_t cursor; /* where its next task is looked for: a region, or of verify an offset */
	unsigned tasks; /* under way */
	bool failed; /* some task since the cursor was at the start */
	uint64_t retry_at; /* nanoseconds; nothing is begun before */
	struct copy_progress progress; /* of resync: per node, below */
};

enum verify_state { VERIFY_NONE, VERIFY_RUNNING, VERIFY_DONE, VERIFY_FAILED, VERIFY_STOPPED };
enum finding_state { FINDING_DIFFERS, FINDING_MENDED, FINDING_UNREADABLE };

struct verify_finding {
	struct range range;
	mirror_mask nodes; /* unlike the others; all, if nobody knows who is right */
	enum finding_state state;
};

struct verify {
	enum verify_state state;
	bool repair;
	unsigned source; /* MIRROR_NO_SLOT: none is right by itself */
	char error[128]; /* FAILED */
	mirror_mask mended; /* nodes, which are flushed at the end */
	bool flushing;
	uint64_t done; /* bytes */
	uint64_t bytes[FINDING_UNREADABLE + 1]; /* found, by state */
	unsigned finding_count, left_out;
	struct verify_finding findings[VERIFY_FINDINGS];
};

struct mirror_copy {
	struct mirror *mirror;
	uint64_t seed; /* of HASH: nobody can prepare blocks that collide */
	struct copy_job jobs[COPY_KINDS];
	struct copy_task tasks[COPY_TASKS];
	struct copy_window windows[COPY_WINDOWS];
	unsigned windows_busy;
	struct loop_hook pump; /* begins what may be begun */
	struct loop_timer tick;

	uint64_t users_at; /* nanoseconds; when users were last seen at work; 0: never */
	uint64_t pause_until; /* see COPY_BUSY_PAUSE */
	uint64_t rate_until; /* what was begun uses up the rate until then */
	uint64_t rate_used; /* the rate that this was reckoned with */
	bool paused; /* by command */

	bool stopping;
	struct copy_waiter { /* until nothing is under way */
		void (*done)(void *arg);
		void *arg;
	} waiters[COPY_WAITERS];
	unsigned waiter_count;

	struct mirror_repair repairs[COPY_REPAIRS];
	unsigned repair_count;
	uint64_t unlike; /* bytes in a row that resync compared in vain */
	unsigned uncompared; /* windows since, not compared or to see if that still holds */
	struct copy_progress resync[MIRROR_MAX_NODES]; /* by node; total 0: not begun */
	struct verify verify;
	struct copy_progress all; /* since the start */
	uint64_t repaired, unreadable; /* bytes, since the start */
	struct log_limit limit_unreadable;
};

/* ---- mirror_copy.c ---- */

/* Bytes a second that resync and verify look at, at most; 0: no limit. */
static inline uint64_t copy_rate(const struct mirror_copy *copy)
{
	return copy->mirror->base.policy->resync_rate;
}

bool copy_gives_way(const struct mirror_copy *copy);
/*
 * Are the nodes to be compared before this kind's next window is copied? Resync leaves that where it is
 * in vain, as on a medium that was replaced: both nodes would read all of it for nothing.
 */
bool copy_compares(struct mirror_copy *copy, enum copy_kind kind);
void copy_pump(struct mirror_copy *copy); /* soon */
void copy_meter_add(struct copy_meter *meter, uint64_t bytes);

/* ---- mirror_jobs.c ---- */

/* The next task of this kind, or NULL: there is nothing to do, or not now. */
struct copy_task *copy_next_task(struct mirror_copy *copy, enum copy_kind kind);
void copy_task_end(struct copy_task *task); /* gives up its hold, frees it */
mirror_mask copy_ready_nodes(const struct mirror *mirror);
bool copy_is_suspect(const struct mirror *mirror, struct range range); /* a part of it */
/*
 * Are the nodes there that this kind needs? Those that are away are waited for: they only have failed
 * when a request has, after all its resends.
 */
bool copy_has_nodes(const struct mirror *mirror, enum copy_kind kind);
/* Nodes in RESYNC came, or have gone. */
void copy_watch_resync(struct mirror_copy *copy);
uint64_t copy_resync_left(const struct mirror *mirror, const struct mirror_node *node); /* bytes */

/* ---- mirror_verify.c ---- */

void verify_task_over(struct mirror_copy *copy, struct copy_task *task);
void verify_look(struct mirror_copy *copy); /* is it through? */
json_t *verify_status(const struct mirror_copy *copy);

#endif
