/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_window.h - one window: a short range of the data, in which nodes are compared and made equal
 * while nobody writes there. In the home's thread.
 *
 * A window takes the mirror's hold of its range, then chooses the nodes, then takes each one's hold of
 * the range, then
 *   FLUSH on all     where regions are suspect: what a caller has given up may have been done, and no
 *                    node writes that anew after a loss of power. So it is durable before it counts
 *                    as equal
 *   EXTENTS on all   what is a hole on source and target alike is equal
 *   HASH on all      block by block; what is equal is done. Resync leaves it out where, of late,
 *                    nothing was
 *   READ             what differs, from the source
 *   WRITE            to each target that differs there; zeros as WRITE_ZEROES, which may unmap where
 *                    the source has a hole
 * and gives its holds back when all of that was answered.
 *
 * Newest data always wins (invariant 12), because
 *   1. a write has the mirror's hold from before it reads the set until its outcome is settled. So when
 *      the window has its hold, each earlier write into the range was answered by all nodes it went
 *      to, or was given up there; and no later one begins before the window ends.
 *   2. a write that was given up keeps the hold of that node until nothing of it can happen any more.
 *      So when the window has the node's hold, nothing old can come after what the window writes,
 *      and what it reads is not about to change.
 *   3. the nodes are chosen after 1, and the window's own requests carry the node's hold: one that is
 *      given up keeps it, as in 2, and the mirror's is free once every request has been answered or
 *      given up. Who was given up counts as failed, and its region as not copied.
 *   4. a node in RESYNC is in write_set since before it was chosen: a write after the window goes to
 *      it as well, and one that it fails takes it out of the set, which ends the window and keeps
 *      the region's missed bit.
 * So between the window's begin and its end the range has one content, the source's; nothing that was
 * acknowledged is missing in it, and nothing that comes later is overwritten by it. And the target was
 * recorded as INCONSISTENT, durably, before it came into write_set: mirror_change.c.
 *
 * A region that is larger than a window is done when all its windows are, and then its own hold was
 * had and nothing in it has become suspect meanwhile: mirror_copy.c.
 */
#ifndef DSTFS_MIRROR_WINDOW_H
#define DSTFS_MIRROR_WINDOW_H

#include "dstfs/mirror_impl.h"

#define WINDOW_BLOCK MIRROR_BLOCK /* bytes; all data is a multiple of it */
#define WINDOW_BLOCKS 16u /* at most; together no more than DST_MAX_PAYLOAD */
#define WINDOW_GRAIN (WINDOW_BLOCK / WINDOW_BLOCKS) /* bytes: what verify finds, and mends */

/* By urgency. */
enum copy_kind {
	COPY_REPAIR, /* what one node can't read */
	COPY_EQUALIZE, /* suspect regions */
	COPY_RESYNC, /* what nodes in RESYNC missed */
	COPY_VERIFY, /* all in-sync nodes are compared */
	COPY_KINDS
};

enum window_result {
	WINDOW_DONE, /* the nodes are equal there; of verify: they were compared */
	WINDOW_ABORTED, /* a node failed, or left; or no memory */
	WINDOW_UNREADABLE, /* there is a block that no node could read */
};

struct copy_window;

struct window_io {
	struct request request;
	struct copy_window *window;
	unsigned node;
	unsigned first, count; /* blocks of the part */
	bool busy;
};

/* Of a node. Masks are of blocks of the part. */
struct window_leg {
	struct copy_window *window;
	struct range_hold *hold; /* the node's */
	bool waiting; /* for it */
	uint64_t since; /* nanoseconds; when that began */
	unsigned holes; /* not allocated there */
	unsigned hashed,
		unreadable; /* HASH or READ: was answered, or failed though the node is there */
	unsigned differs; /* to be written there */
	uint64_t sent, zeroed; /* bytes */
	unsigned io_count;
	struct window_io ios[WINDOW_BLOCKS];
	uint8_t hash[WINDOW_BLOCKS][DST_HASH_SIZE];
};

enum window_step {
	WINDOW_HOLD,
	WINDOW_CHOOSE,
	WINDOW_NODE_HOLDS,
	WINDOW_FLUSH,
	WINDOW_FLUSHED,
	WINDOW_EXTENTS,
	WINDOW_HASH,
	WINDOW_COMPARE,
	WINDOW_BUF,
	WINDOW_READ,
	WINDOW_WRITE,
	WINDOW_WRITTEN,
	WINDOW_END
};

struct copy_task;

struct copy_window {
	struct mirror *mirror;
	struct copy_task *task; /* mirror_copy_impl.h; NULL: free */
	enum copy_kind kind;
	struct range range;
	enum window_step step; /* to be done once nothing is pending */
	unsigned pending; /* holds, requests and the buffer that are waited for */
	bool running; /* steps are being done */
	enum window_result result;
	uint64_t losses; /* the mirror's, when it set out */
	struct range_hold *hold; /* the mirror's */
	bool waiting; /* for it */
	uint64_t began; /* nanoseconds; when the hold was had; 0: not yet */

	mirror_mask nodes; /* that are looked at */
	unsigned source; /* one of nodes; MIRROR_NO_SLOT: none yet (verify) */
	mirror_mask targets; /* of nodes */
	unsigned attempts; /* that the source could not read what it should, in a row */
	mirror_mask unflushed; /* that could not be flushed */
	mirror_mask unable; /* that could not read what they were to be the source of */

	struct range part; /* what is looked at now: `blocks` blocks of `unit` bytes */
	uint32_t unit;
	unsigned blocks;
	struct buf *buf; /* the part, as the source has it */
	struct buf_waiter buf_waiter;
	struct loop_hook buf_hook;

	/* Verify: blocks of the range whose grains are still to be compared, and for each node as a
	 * source the grains of the part that are still to be mended from it. */
	unsigned coarse;
	unsigned mend[MIRROR_MAX_NODES];

	uint64_t compared, equal; /* bytes of the range: by HASH; nothing was written there */
	struct window_leg legs[MIRROR_MAX_NODES];
};

/* Of a zeroed one. */
void window_init(struct copy_window *window, struct mirror *mirror);

/* Sets out: at most WINDOW_BLOCKS whole blocks. copy_window_over() runs once, perhaps before this
 * returns; then it is free again. */
void window_begin(struct copy_window *window, struct copy_task *task, enum copy_kind kind,
		  struct range range);

/*
 * It isn't wanted any more: ends soon, with ABORTED. Requests to `lost` nodes, and those that only read, are
 * cancelled now. A write that is under way may end first.
 */
void window_abort(struct copy_window *window, mirror_mask lost);

/* Nodes whose hold it has waited for longer than this. */
mirror_mask window_late(const struct copy_window *window, uint64_t now, uint64_t patience);

/* What is compared from now on: `unit` bytes at a time. */
void window_look_at(struct copy_window *window, struct range part, uint32_t unit);

/* ---- for windows: from mirror_copy.c and mirror_verify.c ---- */

/* The hold is had: sets nodes, source and targets. False: there is nothing to do, or with result
 * UNREADABLE nobody left to ask. */
bool copy_window_choose(struct copy_window *window);

/* It is over, with its result; the holds are still had. */
void copy_window_over(struct copy_window *window);

/* Verify: the part was hashed on all nodes; or a source's grains were mended. What is next. */
enum window_step verify_compare(struct copy_window *window);
enum window_step verify_mended(struct copy_window *window);

#endif
