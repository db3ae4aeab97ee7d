/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_plan.c - see mirror_change.h */
#include "dstfs/mirror_change.h"

#include "common/log.h"
#include "common/random.h"

#include <stdio.h>
#include <string.h>

static mirror_mask nodes_in(const struct mirror *mirror, const struct mirror_super *super,
			    enum mirror_member_state state)
{
	mirror_mask nodes = 0;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		unsigned slot = mirror->nodes[i].slot;

		if (slot != MIRROR_NO_SLOT && super->members[slot].state == state)
			nodes |= MIRROR_BIT(i);
	}
	return nodes;
}

/* Of nodes, which has some: the one with the lowest slot. */
static unsigned lowest(const struct mirror *mirror, mirror_mask nodes)
{
	unsigned best = (unsigned)__builtin_ctz(nodes);

	for (; nodes; nodes &= nodes - 1) {
		unsigned i = (unsigned)__builtin_ctz(nodes);

		if (mirror->nodes[i].slot < mirror->nodes[best].slot)
			best = i;
	}
	return best;
}

/* Who stays though all have failed: what only the others have done is answered with an error. */
static unsigned choose_last(const struct mirror *mirror, mirror_mask nodes)
{
	mirror_mask ready = 0;

	for (mirror_mask rest = nodes; rest; rest &= rest - 1)
		if (mirror->nodes[__builtin_ctz(rest)].target->state == TARGET_READY)
			ready |= rest & -rest;
	if (ready & MIRROR_BIT(mirror->primary)) /* where they may differ users have read it */
		return mirror->primary;
	return lowest(mirror, ready ? ready : nodes);
}

static void leave_failed(struct mirror *mirror)
{
	struct mirror_changing *c = &mirror->work->changing;
	mirror_mask in_sync = nodes_in(mirror, &c->next, MIRROR_IN_SYNC);

	/* One that gets in sync only now can't be the last: the others don't know of it yet. */
	if (!c->first)
		in_sync &= mirror->read_set;
	if (in_sync && !(in_sync & ~c->failed))
		c->failed &= ~MIRROR_BIT(choose_last(mirror, in_sync));
	for (mirror_mask rest = c->failed; rest; rest &= rest - 1) {
		unsigned slot = mirror->nodes[__builtin_ctz(rest)].slot;

		if (slot != MIRROR_NO_SLOT && c->next.members[slot].state != MIRROR_FREE)
			c->next.members[slot].state = MIRROR_ABSENT;
	}
}

static bool gets_writes(enum mirror_member_state state)
{
	return state == MIRROR_IN_SYNC || state == MIRROR_INCONSISTENT;
}

static void forget_copied(struct mirror_missed *missed)
{
	mirror_bits_fill(&missed->copied, false);
	mirror_bits_fill(&missed->settling, false);
}

/* What the slot's change of state means for its map. */
static void plan_slot(struct mirror *mirror, unsigned slot)
{
	struct mirror_changing *c = &mirror->work->changing;
	const struct mirror_member *before = &mirror->super.members[slot];
	struct mirror_member *member = &c->next.members[slot];
	struct mirror_missed *missed = &mirror->missed[slot];

	if (gets_writes(before->state) && member->state == MIRROR_ABSENT) {
		memcpy(member->left, mirror->super.generation.uuid, DST_ID_SIZE);
		mirror_bits_or(&missed->bits, &mirror->marked);
		c->fresh_maps |= 1u << slot;
	}
	/* From now on the map tells how far it has got, also after a restart. */
	if (member->state == MIRROR_INCONSISTENT && member->full) {
		mirror_bits_fill(&missed->bits, true);
		forget_copied(missed);
		member->full = false;
		c->fresh_maps |= 1u << slot;
	}
}

static bool same_member(const struct mirror_member *a, const struct mirror_member *b)
{
	return a->state == b->state && a->detached == b->detached && a->suspended == b->suspended &&
	       a->full == b->full && !memcmp(a->id, b->id, DST_ID_SIZE) &&
	       !memcmp(a->left, b->left, DST_ID_SIZE);
}

/* Does `next` say the same as `now`, generation and sequence apart? */
static bool nothing_new(const struct mirror_super *next, const struct mirror_super *now)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		if (!same_member(&next->members[i], &now->members[i]))
			return false;
	return next->data_size == now->data_size;
}

bool mirror_change_plan(struct mirror *mirror)
{
	struct mirror_changing *c = &mirror->work->changing;
	uint8_t uuid[DST_ID_SIZE];

	leave_failed(mirror);
	c->fresh_maps = 0;
	c->set_changed = c->raised = false;
	c->read_set = mirror->read_set;
	c->write_set = mirror->write_set;
	if (!c->rewrite && nothing_new(&c->next, &mirror->super))
		return false;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		c->set_changed |= (c->next.members[i].state == MIRROR_IN_SYNC) !=
				  (mirror->super.members[i].state == MIRROR_IN_SYNC);
		plan_slot(mirror, i);
	}
	c->read_set = nodes_in(mirror, &c->next, MIRROR_IN_SYNC);
	c->write_set = c->read_set | nodes_in(mirror, &c->next, MIRROR_INCONSISTENT);
	c->joining = c->read_set & ~mirror->read_set;
	c->staying = c->first ? c->read_set : c->read_set & mirror->read_set;
	c->inform &= ~c->write_set;
	for (mirror_mask rest = c->write_set; rest; rest &= rest - 1) {
		const struct mirror_node *node = &mirror->nodes[__builtin_ctz(rest)];

		c->next.members[node->slot].size = node->size;
	}
	/* One that was tried and not recorded everywhere may say otherwise on some node; and who was
	 * left out by force may have gone on from this one. */
	if (c->set_changed || c->next.data_size != mirror->super.data_size || mirror->unrecorded ||
	    c->tried || (c->first && mirror->work->joining.start.forced)) {
		random_bytes(uuid, sizeof(uuid));
		mirror_generation_raise(&c->next, uuid);
		c->raised = true;
	}
	return true;
}

static unsigned count_members(const struct mirror_super *super)
{
	unsigned members = 0;

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		members += super->members[i].state != MIRROR_FREE;
	return members;
}

/* ---- is that enough? ---- */

/* A majority of nodes and witness knows the generation: whoever else has one knows of us. */
static bool has_majority(struct mirror *mirror, char *why, size_t size)
{
	const struct mirror_changing *c = &mirror->work->changing;
	unsigned places = count_members(&mirror->super) + 1;
	unsigned votes = (unsigned)__builtin_popcount(c->write_set) + mirror->witnessed;

	if (c->raised)
		mirror->majority = false;
	/* Once it was recorded, who leaves still knows it; and a start has asked who is there. */
	if (2 * votes > places || !mirror->options.start.majority || (c->first && !c->raised))
		mirror->majority = true;
	if (!mirror->majority)
		snprintf(
			why, size,
			"no majority: %u of %u votes (nodes that are written to, and this client's "
			"witness%s)",
			votes, places,
			mirror->witness_store && !mirror->witnessed ? ", which can't be kept" : "");
	return mirror->majority;
}

bool mirror_change_suffices(struct mirror *mirror, char *why, size_t size)
{
	const struct mirror_changing *c = &mirror->work->changing;
	unsigned in_sync = (unsigned)__builtin_popcount(c->read_set);
	bool enough = has_majority(mirror, why, size);

	if (in_sync < mirror->options.start.min_nodes) {
		snprintf(why, size, "%u of %u nodes are in sync, and min_nodes is %u", in_sync,
			 count_members(&mirror->super), mirror->options.start.min_nodes);
		enough = false;
	}
	if (c->first)
		mirror->forced = mirror->work->joining.start.forced;
	mirror->forced &= !enough;
	return enough || mirror->forced;
}

/* ---- publishing ---- */

static void set_node_state(struct mirror_node *node, enum mirror_node_state state)
{
	const struct mirror *mirror = node->mirror;

	if (node->state == state)
		return;
	if (state == MIRROR_NODE_FAILED)
		log_warn("volume %s: %s has left the mirror: %s; generation %llu", mirror->volume,
			 node->name, *node->reason ? node->reason : "it failed requests",
			 (unsigned long long)mirror->super.generation.counter);
	else
		log_info("volume %s: %s is %s; generation %llu", mirror->volume, node->name,
			 mirror_node_state_name(state),
			 (unsigned long long)mirror->super.generation.counter);
	node->state = state;
}

static void publish_node(struct mirror_node *node)
{
	struct mirror *mirror = node->mirror;
	const struct mirror_member *member;

	if (node->slot == MIRROR_NO_SLOT)
		return;
	member = &mirror->super.members[node->slot];
	switch (member->state) {
	case MIRROR_IN_SYNC:
		if (node->state !=
		    MIRROR_NODE_IN_SYNC) { /* some is left if it was declared clean */
			mirror_bits_fill(&mirror->missed[node->slot].bits, false);
			forget_copied(&mirror->missed[node->slot]);
		}
		set_node_state(node, MIRROR_NODE_IN_SYNC);
		mirror_node_set_reason(node, "");
		node->retry_delay = 0;
		break;
	case MIRROR_INCONSISTENT:
		if (node->state != MIRROR_NODE_RESYNC)
			forget_copied(&mirror->missed[node->slot]);
		set_node_state(node, MIRROR_NODE_RESYNC);
		break;
	case MIRROR_FREE:
		set_node_state(node, MIRROR_NODE_REFUSED);
		mirror_node_set_reason(node, "it is not a member any more");
		node->slot = MIRROR_NO_SLOT;
		break;
	default:
		forget_copied(&mirror->missed[node->slot]);
		if (member->detached) {
			set_node_state(node, MIRROR_NODE_DETACHED);
		} else if (member->suspended) {
			set_node_state(node, MIRROR_NODE_SUSPENDED);
		} else if (node->state == MIRROR_NODE_IN_SYNC ||
			   node->state == MIRROR_NODE_RESYNC) {
			counter_add(&node->failures, 1);
			set_node_state(node, MIRROR_NODE_FAILED);
			mirror_join_lost(node);
		}
		break;
	}
}

void mirror_change_publish(struct mirror *mirror)
{
	struct mirror_changing *c = &mirror->work->changing;

	for (unsigned i = 0; i < mirror->node_count; i++)
		publish_node(&mirror->nodes[i]);
	/* The primary stays while it can: readers have seen what it has where others may differ. */
	if (c->read_set && !(c->read_set & mirror->read_set & MIRROR_BIT(mirror->primary)))
		mirror->primary = lowest(mirror, c->read_set);
	mirror->read_set = c->read_set;
	mirror->write_set = c->write_set;
	mirror->generation = mirror->super.generation.counter;
	mirror->members = count_members(&mirror->super);
}
