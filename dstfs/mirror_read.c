/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_read.c - reads go to one node: which one, and where next when it fails.
 *
 * In this order: what `prefer` says, nodes of this machine, nodes that are there; among equals the
 * one where a read ended that this one continues, then the one that will be done with it first, by
 * what it has to do and how fast it was of late.
 */
#include "dstfs/mirror_port.h"

#include <errno.h>
#include <string.h>

#define POSITION_WORTH 2u /* a position is kept as long as the wait isn't so much longer */
#define FORGET 1024u /* the average of one that isn't chosen fades, so that it gets its chance */

static struct mirror *mirror_of(const struct mirror_op *op)
{
	return op->port->mirror;
}

static mirror_mask preferred(struct mirror *mirror, mirror_mask from)
{
	mirror_mask wanted = 0, local = 0, ready = 0;

	for (mirror_mask rest = from; rest; rest &= rest - 1) {
		const struct mirror_node *node = &mirror->nodes[__builtin_ctz(rest)];
		mirror_mask bit = MIRROR_BIT(node->index);

		if (node->target->state != TARGET_READY)
			continue;
		ready |= bit;
		local |= node->local ? bit : 0;
		wanted |= *mirror->options.prefer && !strcmp(node->name, mirror->options.prefer)
				  ? bit
				  : 0;
	}
	return wanted ? wanted : local ? local : ready ? ready : from;
}

static uint64_t wait_at(const struct mirror_pace *pace)
{
	return (pace->outstanding + 1) * pace->latency;
}

/* One of `from`, which isn't empty. */
static unsigned choose(struct mirror_port *port, mirror_mask from, struct range range)
{
	unsigned best = (unsigned)__builtin_ctz(from), near = MIRROR_MAX_NODES;

	if (!(from & (from - 1)))
		return best;
	for (mirror_mask rest = from; rest; rest &= rest - 1) {
		unsigned at = (unsigned)__builtin_ctz(rest);
		struct mirror_pace *pace = &port->paces[at];

		if (pace->position == range.offset)
			near = at;
		if (wait_at(pace) < wait_at(&port->paces[best]) ||
		    (wait_at(pace) == wait_at(&port->paces[best]) &&
		     pace->outstanding < port->paces[best].outstanding))
			best = at;
	}
	if (near != MIRROR_MAX_NODES &&
	    wait_at(&port->paces[near]) <= POSITION_WORTH * wait_at(&port->paces[best]))
		best = near;
	for (mirror_mask rest = from & ~MIRROR_BIT(best); rest; rest &= rest - 1) {
		struct mirror_pace *pace = &port->paces[__builtin_ctz(rest)];

		pace->latency -= pace->latency / FORGET;
	}
	return best;
}

/*
 * Where it may be read. One that has lost what it acknowledged is left out; if all have, only one is
 * asked until they were made equal. Empty: it must wait until the set is another.
 */
static mirror_mask readable(const struct mirror_op *op)
{
	struct mirror *mirror = mirror_of(op);
	struct range range = op->request->range;
	mirror_mask set = mirror->read_set, lossy = mirror_lossy(mirror, set);
	mirror_mask primary = set & MIRROR_BIT(mirror->primary);

	if (lossy)
		mirror_home_poke(mirror);
	if (lossy == set)
		return primary;
	if (mirror_bits_any(&mirror->suspect, mirror_region_of(mirror, range.offset),
			    mirror_region_of(mirror, range.offset + range.length - 1)))
		set = primary;
	return set & ~lossy;
}

/*
 * Who could be asked is about to leave the set, and then others can be. Bounded: a change that can't be
 * recorded ends it, and so does patience.
 */
static bool awaits_change(const struct mirror_op *op)
{
	const struct mirror *mirror = mirror_of(op);
	mirror_mask set = mirror->read_set, leaving = op->leaving | mirror_lossy(mirror, set);

	return !mirror->unrecorded && !mirror->read_only && set & leaving &&
	       set & ~(op->failed | leaving);
}

void mirror_read_begin(struct mirror_op *op)
{
	mirror_mask from = readable(op) & ~op->failed;
	unsigned node;

	if (!from && awaits_change(op)) {
		mirror_op_enter(op, MIRROR_OP_SET);
		mirror_op_limit(op);
		return;
	}
	if (!from) {
		mirror_op_finish(op, op->failed ? op->errors[__builtin_ctz(op->failed)] : EIO);
		return;
	}
	op->since = 0;
	node = choose(op->port, preferred(mirror_of(op), from), op->request->range);
	op->port->paces[node].position = op->request->range.offset + op->request->range.length;
	op->sent |= MIRROR_BIT(node);
	op->pending = MIRROR_BIT(node);
	mirror_op_enter(op, MIRROR_OP_SENT);
	mirror_leg_send(op, node);
}

static void deliver(struct mirror_op *op, const struct mirror_leg *leg)
{
	struct request *request = op->request;

	request->data = leg->request.data;
	request->hash = leg->request.hash;
	request->extents = leg->request.extents;
	request->extent_count = leg->request.extent_count;
	mirror_op_finish(op, 0);
}

/* It was read there, but perhaps not what was written last; others may be asked. */
static bool is_outdated(const struct mirror_op *op, unsigned node)
{
	const struct mirror *mirror = mirror_of(op);
	mirror_mask set = mirror->read_set, lossy = mirror_lossy(mirror, set | MIRROR_BIT(node));

	return lossy & MIRROR_BIT(node) && set & ~(op->failed | lossy);
}

/*
 * It failed at one node. One that is away after all patience has failed, and leaves the set; one that
 * is there couldn't read its medium: that is mended.
 */
void mirror_read_settle(struct mirror_op *op, struct mirror_leg *leg, int error)
{
	struct mirror *mirror = mirror_of(op);
	unsigned node = (unsigned)(leg - op->legs);
	enum target_state state = mirror->nodes[node].target->state;
	bool outdated = !error && is_outdated(op, node);

	if (!error && !outdated) {
		deliver(op, leg);
		return;
	}
	if (mirror_check_fence(mirror)) {
		mirror_op_finish(op, EIO);
		return;
	}
	counter_add(&op->port->counters.rereads, 1);
	if (outdated) {
		op->failed |= MIRROR_BIT(node);
		op->errors[node] = EIO;
	}
	if (!(mirror->read_set & MIRROR_BIT(node))) {
		; /* it has left, and we were told so */
	} else if (outdated || state != TARGET_READY) {
		op->leaving |= MIRROR_BIT(node);
		mirror_report_failed(mirror, MIRROR_BIT(node));
	} else if (op->request->type == REQUEST_READ && error == EIO) {
		mirror_report_unreadable(mirror, node, op->request->range);
	}
	mirror_read_begin(op);
}
