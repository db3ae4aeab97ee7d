/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_backup.c - a node is taken out, and what it holds becomes an image of its own: what a disk would hold
 * after a loss of power at that moment, so that a file system on it is consistent.
 *
 *   1. it leaves the set, and is recorded as suspended: no request that begins from now on goes to it
 *   2. the mirror's hold of all data is had once: those that had begun before, and may have seen the old
 *      set, are over
 *   3. the node's hold of all of it is had once: so is what was given up there, metadata included
 *   4. it is flushed; its superblocks are read, its dirty map is emptied, and then its own superblock, of the
 *      generation that it was in sync in, says that it is clean, and was taken out
 *   5. it is flushed once more, so that nothing is kept for a replay; then the others record it as detached
 *
 * Why that is consistent: whoever was acknowledged before 1 is on the node. Of those that were under way
 * then some are, and some are not; but whatever was begun after one of them had been acknowledged
 * without the node saw the new set.
 *
 * If it is cut short the node is suspended, and gets what it missed when it is resumed.
 */
#include "dstfs/mirror_members.h"

#include "dstfs/mirror_home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct backup {
	struct mirror_order *order;
	struct mirror *mirror;
	struct mirror_node *node;
	struct range_hold *hold; /* that is waited for */
	uint64_t since; /* that began; nanoseconds */
	uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK];
};

/* ---- the end ---- */

static void finish(struct backup *b)
{
	range_hold_put(&b->hold);
	free(b);
}

static void cut_short(struct backup *b, const char *why)
{
	mirror_order_failed(b->order,
			    "%s: it is suspended, and not a consistent image; dstctl node resume "
			    "puts it back, then it can be detached anew",
			    why);
	finish(b);
}

static void abandon(struct mirror_order *order)
{
	struct backup *b = order->arg;

	if (b->hold) /* else a request or a change is under way, and ends soon */
		cut_short(b, "the volume is being unmounted");
}

/* True: it is, and that was it. */
static bool is_over(struct backup *b)
{
	const char *why = NULL;

	if (b->mirror->ending || b->mirror->phase != MIRROR_RUNNING)
		why = "the volume was unmounted or fenced meanwhile";
	else if (b->node->state != MIRROR_NODE_SUSPENDED)
		why = "something else has happened to it meanwhile";
	if (why)
		cut_short(b, why);
	return why;
}

/* ---- 5: the others know ---- */

static bool edit_detached(struct mirror *mirror, struct mirror_change *change,
			  struct mirror_super *super, int *error)
{
	const struct mirror_order *order = change->arg;
	struct mirror_member *member = &super->members[order->slot];

	if (member->state != MIRROR_ABSENT || !member->suspended) {
		*error = ESTALE;
		return false;
	}
	member->suspended = false;
	member->detached = true;
	return true;
}

static void on_detached(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct backup *b = order->arg;

	if (error && error != ENOTCONN)
		cut_short(b, "it could not be recorded on the other nodes");
	else {
		mirror_order_done(order, "%s", "");
		finish(b);
	}
}

static void on_kept(struct mirror_batch *batch, void *arg)
{
	struct backup *b = arg;
	bool failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (is_over(b))
		return;
	if (failed) {
		cut_short(b, "it could not be flushed");
		return;
	}
	b->order->change.edit = edit_detached;
	b->order->change.done = on_detached;
	mirror_change_submit(b->mirror, &b->order->change);
}

/* ---- 4: its own metadata ---- */

static struct mirror_batch *new_batch(struct backup *b,
				      void (*done)(struct mirror_batch *batch, void *arg))
{
	return mirror_batch_new(b->mirror, done, b);
}

/* Runs it, if all was added. */
static void run(struct backup *b, struct mirror_batch *batch, int error)
{
	if (batch && !error) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	cut_short(b, "out of memory");
}

static mirror_mask bit_of(const struct backup *b)
{
	return MIRROR_BIT(b->node->index);
}

static void on_super_written(struct mirror_batch *batch, void *arg)
{
	struct backup *b = arg;
	bool failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	mirror_super_written(b->node, !failed);
	if (is_over(b))
		return;
	if (failed) {
		cut_short(b, "its superblock could not be written");
		return;
	}
	batch = new_batch(b, on_kept);
	run(b, batch, batch ? mirror_batch_flush(batch, bit_of(b)) : ENOMEM);
}

static void on_map_written(struct mirror_batch *batch, void *arg)
{
	struct backup *b = arg;
	bool failed = mirror_batch_failed(batch);
	struct mirror_super super = b->node->found;

	mirror_batch_free(&batch);
	if (is_over(b))
		return;
	if (failed) {
		cut_short(b, "its dirty map could not be written");
		return;
	}
	super.clean = super.taken_out = true;
	batch = new_batch(b, on_super_written);
	run(b, batch, batch ? mirror_super_write(batch, b->node, &super) : ENOMEM);
}

/* What it says of itself must be what it was when it left. */
static bool judge(struct backup *b)
{
	struct mirror_node *node = b->node;
	const struct mirror_super *found = &node->found;

	mirror_node_judge(node, (const uint8_t(*)[MIRROR_MAP_BLOCK])b->copies);
	node->state = MIRROR_NODE_SUSPENDED;
	if (!node->read || node->blank)
		return false;
	node->read = false;
	return !memcmp(found->set, b->mirror->super.set, DST_ID_SIZE) &&
	       found->self == node->slot && found->members[found->self].state == MIRROR_IN_SYNC;
}

static void on_read(struct mirror_batch *batch, void *arg)
{
	struct backup *b = arg;
	bool failed = mirror_batch_failed(batch);
	struct mirror_bits none = {.count = 0};
	int error;

	mirror_batch_free(&batch);
	if (is_over(b))
		return;
	if (failed || mirror_lossy(b->mirror, bit_of(b)) || !judge(b)) {
		cut_short(b, failed ? "it could not be flushed and read"
				    : "it is not what it was, or has lost what was written");
		return;
	}
	batch = new_batch(b, on_map_written);
	error = batch ? mirror_bits_init(&none, b->mirror->regions) : ENOMEM;
	if (!error)
		error = mirror_map_write(batch, b->mirror, bit_of(b), 0, &none);
	mirror_bits_destroy(&none);
	run(b, batch, error);
}

static void flush_and_read(struct backup *b)
{
	struct mirror_batch *batch = new_batch(b, on_read);
	int error = batch ? mirror_batch_flush(batch, bit_of(b)) : ENOMEM;

	if (!error)
		error = mirror_supers_read(batch, b->node, b->copies);
	run(b, batch, error);
}

/* ---- 2 and 3: what had begun is over ---- */

/* Waits for all of a table, and calls back from there or before it returns. */
static void wait_for(struct backup *b, struct ranges *ranges, uint64_t length,
		     void (*next)(void *arg))
{
	bool granted;

	range_hold_put(&b->hold);
	b->since = clock_now();
	b->hold = ranges_take(ranges, b->mirror->home, (struct range){0, length},
			      (struct range){0, 0}, next, b, &granted);
	if (!b->hold)
		cut_short(b, "out of memory");
	else if (granted)
		next(b);
}

static void on_node_drained(void *arg)
{
	struct backup *b = arg;

	range_hold_put(&b->hold);
	if (!is_over(b))
		flush_and_read(b);
}

static void on_drained(void *arg)
{
	struct backup *b = arg;

	if (!is_over(b))
		wait_for(b, b->node->ranges, b->node->size, on_node_drained);
}

/* It isn't waited for longer than for the node itself. */
static void look(struct mirror_order *order)
{
	struct backup *b = order->arg;
	uint64_t patience = target_patience(b->mirror->base.policy), waited;

	if (!b->hold || is_over(b))
		return;
	waited = clock_now() - b->since;
	if (b->node->target->state != TARGET_READY)
		cut_short(b, "it went away before it was flushed");
	else if (patience != UINT64_MAX && waited >= patience)
		cut_short(b, "what is under way there didn't end");
	else if (patience != UINT64_MAX)
		mirror_home_later(b->mirror, patience - waited);
}

/* ---- 1: it leaves ---- */

static bool edit_leave(struct mirror *mirror, struct mirror_change *change,
		       struct mirror_super *super, int *error)
{
	const struct mirror_order *order = change->arg;
	struct mirror_member *member = &super->members[order->slot];

	if (member->state != MIRROR_IN_SYNC)
		*error = ESTALE;
	else if (mirror_members_keep(mirror, super, order->subject, true))
		*error = EBUSY;
	else if (mirror_bits_next(&mirror->suspect, 0) < mirror->regions)
		*error = EAGAIN;
	if (*error)
		return false;
	member->state = MIRROR_ABSENT;
	member->suspended = true;
	return true;
}

static void on_left(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct backup *b = order->arg;

	if (error == EAGAIN)
		mirror_order_failed(order, "a write was cut short meanwhile, and is being made "
					   "equal on all nodes; try again");
	else if (error && error != ENOTCONN)
		mirror_members_failed(order, error);
	if (error && error != ENOTCONN) {
		finish(b);
		return;
	}
	if (is_over(b))
		return;
	order->abandon = abandon;
	order->look = look;
	wait_for(b, mirror->ranges, mirror->super.data_size, on_drained);
}

static const char *why_not(const struct mirror_node *node)
{
	struct mirror *mirror = node->mirror;
	enum mirror_node_state state = node->state;

	switch (state) {
	case MIRROR_NODE_DETACHED:
		return "is detached already";
	case MIRROR_NODE_SUSPENDED:
		return "is suspended: it lacks what was written since; resume it, and detach it "
		       "when it is in sync";
	case MIRROR_NODE_RESYNC:
		return "is being resynced: it lacks some of the data; detach it when it is in sync "
		       "(see dstctl resync)";
	case MIRROR_NODE_IN_SYNC:
		break;
	default:
		return "is not in sync: only a node that has all of the data can be detached; "
		       "dstctl status says where it is";
	}
	if (node->target->state != TARGET_READY)
		return "is away: nothing can be flushed there";
	if (mirror_bits_next(&mirror->suspect, 0) < mirror->regions)
		return "can't be detached yet: nodes may differ where writes were cut short, which "
		       "is being made equal; try again when dstctl status shows no suspect regions";
	return NULL;
}

json_t *mirror_node_detach(struct mirror_node *node, const json_t *request,
			   const struct reason *reason)
{
	struct mirror *mirror = node->mirror;
	struct mirror_order *order;
	struct backup *b;
	const char *wrong;
	json_t *answer;

	if (!mirror_members_may_change(mirror, reason))
		return NULL;
	wrong = why_not(node);
	if (wrong) {
		text_refuse(reason, "%s %s", node->name, wrong);
		return NULL;
	}
	wrong = mirror_members_keep(mirror, &mirror->super, node, true);
	if (wrong) {
		text_refuse(reason, "%s can't be detached: %s", node->name, wrong);
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	order = b ? mirror_order_begin(mirror, "node-detach", node, reason) : NULL;
	if (!order) {
		if (!b)
			text_refuse(reason, "out of memory");
		free(b);
		return NULL;
	}
	*b = (struct backup){.order = order, .mirror = mirror, .node = node};
	order->arg = b;
	order->slot = node->slot;
	order->change.edit = edit_leave;
	order->change.done = on_left;
	answer = mirror_order_answer(order);
	mirror_change_submit(mirror, &order->change);
	return answer;
}
