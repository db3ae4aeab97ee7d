/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_write.c - what changes content goes to all nodes that are written to, and so do flushes.
 *
 * A modifying request takes the mirror's hold of its range, waits until its regions are marked, then
 * reads the set of nodes, and goes to them. With all of them done, those that are in sync by then
 * decide:
 *
 *   all have done it               success
 *   none has                       the error is answered
 *   some have, and the others      those nodes have failed: it waits until the home has recorded
 *   failed                         that, and is judged again
 *   some have, and the others say  the error is answered: it tells about the request
 *   that they don't do such things
 *
 * Whenever it is answered with an error and may have been done somewhere, its regions are suspect.
 */
#include "dstfs/mirror_port.h"

#include <errno.h>

static struct mirror *mirror_of(const struct mirror_op *op)
{
	return op->port->mirror;
}

static void regions_of(const struct mirror_op *op, unsigned *first, unsigned *last)
{
	struct range range = op->request->range;

	*first = mirror_region_of(mirror_of(op), range.offset);
	*last = mirror_region_of(mirror_of(op), range.offset + range.length - 1);
}

/* Tells about the request or about us, not about the node: nothing was done. */
static bool is_refusal(int error)
{
	return error == EOPNOTSUPP || error == EINVAL || error == ENOMEM;
}

/* ---- out ---- */

/*
 * COPY reads as well: a node that is being resynced may not have the source yet, and where the source
 * is suspect each node would copy something else.
 */
static bool copy_possible(const struct mirror_op *op)
{
	const struct mirror *mirror = mirror_of(op);
	struct range source = {op->request->copy_from, op->request->range.length};

	return mirror->read_set == mirror->write_set &&
	       !mirror_bits_any(&mirror->suspect, mirror_region_of(mirror, source.offset),
				mirror_region_of(mirror, source.offset + source.length - 1));
}

/* Once, for all of them; a file has no need of it. */
static void compute_digest(struct mirror_op *op)
{
	const struct mirror *mirror = mirror_of(op);

	for (mirror_mask rest = op->sent; rest; rest &= rest - 1) {
		if (!mirror->nodes[__builtin_ctz(rest)].local) {
			request_digest(op->request);
			return;
		}
	}
}

static void send_to_all(struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);

	op->losses = mirror->losses;
	op->ok = op->failed = 0;
	op->uneven = false;
	op->sent = mirror->write_set;
	/* After the set was read: by now it may be one that is too small. */
	if (mirror->no_quorum && request_modifies(op->request)) {
		mirror_op_finish(op, EIO);
		return;
	}
	op->pending = op->sent;
	op->since = 0;
	mirror_op_enter(op, MIRROR_OP_SENT);
	if (op->request->type == REQUEST_WRITE && mirror->base.policy->checksum)
		compute_digest(op);
	op->starting = true;
	for (mirror_mask rest = op->sent; rest; rest &= rest - 1)
		mirror_leg_send(op, (unsigned)__builtin_ctz(rest));
	op->starting = false;
	if (!op->pending)
		mirror_write_settle(op);
}

/* Its regions are marked. */
static void dispatch(struct mirror_op *op)
{
	if (op->request->type == REQUEST_COPY && !copy_possible(op))
		mirror_op_finish(op, EOPNOTSUPP);
	else
		send_to_all(op);
}

/* The hold is had. */
void mirror_write_go_on(struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);
	unsigned first, last;

	if (mirror->no_quorum) {
		mirror_op_finish(op, EIO);
		return;
	}
	if (mirror->unrecorded) { /* until that is done, or its patience is used up */
		mirror_op_enter(op, MIRROR_OP_SET);
		mirror_op_limit(op);
		return;
	}
	if (!mirror->unmarkable)
		op->since = 0;
	regions_of(op, &first, &last);
	if (!mirror_bits_all(&mirror->marked, first, last)) {
		if (op->state != MIRROR_OP_SET) {
			counter_add(&op->port->counters.marks, 1);
			mirror_op_enter(op, MIRROR_OP_SET);
		}
		if (mirror->unmarkable)
			mirror_op_limit(op);
		mirror_bits_set_range(&mirror->wanted, first, last);
		mirror->wants = true;
		mirror_home_poke(mirror);
		return;
	}
	mirror_bits_set_range(&mirror->touched, first, last);
	dispatch(op);
}

/* A good FLUSH says nothing of what all nodes had lost before. */
static int losses_verdict(const struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);

	return flush_verdict(0, op->losses_told, &mirror->losses_told, mirror->losses);
}

static void on_granted(void *arg)
{
	mirror_write_go_on(arg);
}

void mirror_write_begin(struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);
	struct request *request = op->request;
	struct range source = {0, 0};
	bool granted;

	if (request->type == REQUEST_FLUSH) {
		op->losses_told =
			mirror->losses_told; /* one that comes before it's told fails too */
		if (mirror->read_only) /* there is nothing to flush, and no failure is recorded */
			mirror_op_finish(op, losses_verdict(op));
		else
			send_to_all(op);
		return;
	}
	if (mirror->read_only) {
		mirror_op_finish(op, EROFS);
		return;
	}
	if (request->type == REQUEST_COPY)
		source = (struct range){request->copy_from, request->range.length};
	op->hold = ranges_take(mirror->ranges, op->port->worker, request->range, source, on_granted,
			       op, &granted);
	if (!op->hold)
		mirror_op_finish(op, ENOMEM);
	else if (granted)
		mirror_write_go_on(op);
}

/* ---- and back ---- */

static void suspect(const struct mirror_op *op)
{
	if (request_modifies(op->request))
		mirror_report_suspect(mirror_of(op), op->request->range);
}

/* Of these nodes, the first one's by order. */
static int first_error(const struct mirror_op *op, mirror_mask nodes)
{
	return nodes ? op->errors[__builtin_ctz(nodes)] : EIO;
}

/* Did each of these nodes refuse it? */
static bool all_refused(const struct mirror_op *op, mirror_mask nodes)
{
	for (; nodes; nodes &= nodes - 1)
		if (!is_refusal(op->errors[__builtin_ctz(nodes)]))
			return false;
	return true;
}

static void fail(struct mirror_op *op, int error, bool refused)
{
	if (!refused)
		suspect(op);
	mirror_op_finish(op, error);
}

static void succeed(struct mirror_op *op)
{
	if (op->request->type == REQUEST_COPY) {
		op->request->result = op->least;
		if (op->uneven)
			suspect(op);
	}
	mirror_op_finish(op, op->request->type == REQUEST_FLUSH ? losses_verdict(op) : 0);
}

/*
 * Only nodes that are being resynced failed it: they aren't waited for, unless one is about to get in sync.
 * In this order: who is told of the failure only after that was looked for has said before that it
 * looks (mirror_change.c). False: it waits.
 */
static bool settle_resynced(struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);
	mirror_mask joining;

	if (!(op->failed & mirror->write_set))
		return true;
	mirror_report_failed(mirror, op->failed);
	joining = mirror->joining;
	joining |= mirror->read_set;
	if (!(op->failed & joining))
		return true;
	if (op->state != MIRROR_OP_RECORD)
		mirror_op_enter(op, MIRROR_OP_RECORD);
	return false;
}

/*
 * A node tells a loss once, and that may have been to a FLUSH or FUA of the mirror's own: what it says
 * to the user's doesn't count until it has left, or the loss is told by all.
 */
static void doubt(struct mirror_op *op)
{
	mirror_mask lossy = mirror_lossy(mirror_of(op), op->ok);

	for (mirror_mask rest = lossy; rest; rest &= rest - 1)
		op->errors[__builtin_ctz(rest)] = EIO;
	op->ok &= ~lossy;
	op->failed |= lossy;
	if (lossy)
		mirror_home_poke(mirror_of(op));
}

/*
 * Nodes that had done it may have lost it while others were waited for, and an fsync may have told:
 * nobody would tell of it after it was acknowledged.
 */
static bool may_be_lost(const struct mirror_op *op)
{
	return request_modifies(op->request) && !op->request->fua &&
	       mirror_of(op)->losses != op->losses;
}

void mirror_write_settle(struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);
	mirror_mask set, good, bad;

	if (op->request->type == REQUEST_FLUSH)
		doubt(op);
	if (op->failed && mirror_check_fence(mirror)) {
		fail(op, EIO, false);
		return;
	}
	set = mirror->read_set;
	good = op->ok & set;
	bad = op->failed & set;
	if (!good) {
		mirror_mask said = bad ? bad : op->failed;

		fail(op, first_error(op, said), !op->ok && all_refused(op, op->failed));
	} else if (bad && all_refused(op, bad)) {
		fail(op, first_error(op, bad), false);
	} else if (op->failed && (mirror->unrecorded || mirror->no_quorum)) {
		fail(op, EIO, false);
	} else if (bad) {
		if (op->state != MIRROR_OP_RECORD) {
			counter_add(&op->port->counters.records, 1);
			mirror_op_enter(op, MIRROR_OP_RECORD);
			mirror_report_failed(mirror, op->failed);
		}
	} else if (settle_resynced(op)) {
		if (may_be_lost(op)) {
			suspect(op);
			dispatch(op);
		} else {
			succeed(op);
		}
	}
}

void mirror_write_cancelled(struct mirror_op *op)
{
	if (op->state == MIRROR_OP_SENT || op->state == MIRROR_OP_RECORD)
		suspect(op);
}
