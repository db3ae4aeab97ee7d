/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_begin.c - the start of a mirror that may start: the maps are read, then the first change of
 * this run says on all nodes that are in sync that they are in use, and who isn't there.
 */
#include "dstfs/mirror_change.h"
#include "dstfs/mirror_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAPS (1u + MIRROR_MAX_NODES) /* dirty, and missed of each slot */

static struct mirror_joining *joining_of(struct mirror *mirror)
{
	return &mirror->work->joining;
}

static mirror_mask nodes_of_role(struct mirror *mirror, enum mirror_role role)
{
	mirror_mask nodes = 0;

	for (unsigned i = 0; i < mirror->node_count; i++)
		if (joining_of(mirror)->start.roles[i] == role)
			nodes |= MIRROR_BIT(i);
	return nodes;
}

static void wait_again(struct mirror *mirror, const char *reason)
{
	struct mirror_joining *j = joining_of(mirror);

	free(j->maps);
	j->maps = NULL;
	mirror_set_phase(mirror, MIRROR_WAITING);
	mirror_set_reason(mirror, "%s", reason);
	for (unsigned i = 0; i < mirror->node_count; i++) {
		mirror->nodes[i].read = false;
		if (mirror->nodes[i].state != MIRROR_NODE_REFUSED)
			mirror_join_lost(&mirror->nodes[i]);
	}
	mirror->busy = false;
	j->judged = false;
	mirror_resolve_over(mirror, reason);
}

/* ---- the first change ---- */

/*
 * Those that are in sync here are, and nobody else. One that was and isn't there, which takes force, may
 * have gone on without us; and if it was a stale one that was forced to serve, the missed maps
 * mean nothing: all is compared then.
 */
static bool first_edit(struct mirror *mirror, struct mirror_change *change,
		       struct mirror_super *super, int *error)
{
	mirror_mask in_sync = nodes_of_role(mirror, MIRROR_ROLE_IN_SYNC);

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		struct mirror_member *member = &super->members[i];
		struct mirror_node *node = mirror_node_of_slot(mirror, i);

		if (node && in_sync & MIRROR_BIT(node->index)) {
			member->state = MIRROR_IN_SYNC;
			member->detached = member->suspended = member->full = false;
			memset(member->left, 0, sizeof(member->left));
		} else if (member->state != MIRROR_FREE) {
			member->full |=
				joining_of(mirror)->start.stale || member->state == MIRROR_IN_SYNC;
			member->state = MIRROR_ABSENT;
		}
	}
	return true;
}

static void note_others(struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];

		switch (joining_of(mirror)->start.roles[i]) {
		case MIRROR_ROLE_IN_SYNC:
			break;
		case MIRROR_ROLE_DETACHED:
			node->slot = node->found.self;
			node->state = MIRROR_NODE_DETACHED;
			break;
		case MIRROR_ROLE_SUSPENDED:
			node->slot = node->found.self;
			node->state = MIRROR_NODE_SUSPENDED;
			break;
		default: /* looked at once more, and judged by what has become of the mirror */
			if (node->state != MIRROR_NODE_REFUSED)
				mirror_look_again(mirror, node);
			break;
		}
		node->read = false;
	}
}

static void on_first(struct mirror *mirror, struct mirror_change *change, int error)
{
	if (error) {
		wait_again(mirror, error == ENOTCONN ? "nodes were lost during the start"
						     : "no node could be written to at the start");
		return;
	}
	mirror_set_reason(mirror, "%s", "");
	mirror_set_phase(mirror, MIRROR_RUNNING);
	mirror_resolve_over(mirror, NULL);
	note_others(mirror);
	mirror_clear_start(mirror);
	mirror_copy_poke(mirror);
}

static void run_first_change(struct mirror *mirror)
{
	struct mirror_changing *c = &mirror->work->changing;
	struct mirror_joining *j = joining_of(mirror);

	if (mirror->read_only) {
		c->first = true;
		c->failed = 0;
		c->next = mirror->super;
		c->read_set = c->write_set = nodes_of_role(mirror, MIRROR_ROLE_IN_SYNC);
		mirror_change_publish(mirror);
		on_first(mirror, NULL, 0);
		mirror_home_done(mirror);
		return;
	}
	j->first = (struct mirror_change){.edit = first_edit, .done = on_first};
	/* Their generation is none of its ancestors: they learn it here, or are split brain. */
	if (j->start.stale)
		j->first.inform = nodes_of_role(mirror, MIRROR_ROLE_COMPARE);
	mirror->busy = false;
	mirror_change_submit(mirror, &j->first);
}

/* ---- maps ---- */

static uint8_t *piece_of(struct mirror *mirror, unsigned node, unsigned map, unsigned piece)
{
	unsigned pieces = mirror_map_pieces(&mirror->super);

	return joining_of(mirror)->maps +
	       (((size_t)node * MAPS + map) * pieces + piece) * MIRROR_MAP_BLOCK;
}

/* The bits of a map, or NULL if it says nothing now. */
static struct mirror_bits *bits_of(struct mirror *mirror, unsigned map)
{
	enum mirror_member_state state;

	if (!map)
		return joining_of(mirror)->start.make_equal ? &mirror->marked : NULL;
	state = mirror->super.members[map - 1].state;
	if (state == MIRROR_ABSENT || state == MIRROR_INCONSISTENT)
		return &mirror->missed[map - 1].bits;
	return NULL;
}

static void merge_map(struct mirror *mirror, unsigned node, unsigned map)
{
	uint8_t bits[MIRROR_MAP_BITS / 8];

	for (unsigned p = 0; p < mirror_map_pieces(&mirror->super); p++) {
		mirror_map_decode(bits, &mirror->super, map, p, piece_of(mirror, node, map, p));
		mirror_bits_or_import(bits_of(mirror, map), p * MIRROR_MAP_BITS, bits,
				      sizeof(bits));
	}
}

/*
 * Marks may be on the nodes that the last run didn't know to be there: it ended, or a node failed, while it
 * wrote them. Those who aren't in sync miss these too, as soon as somebody writes there.
 */
static void note_missed(struct mirror *mirror)
{
	for (unsigned map = 1; map < MAPS; map++)
		if (bits_of(mirror, map))
			mirror_bits_or(bits_of(mirror, map), &mirror->marked);
}

/*
 * A region was marked on all nodes that were in sync before it was written into, so each has all marks
 * that matter; those that only some have are kept too.
 */
static void on_maps_read(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_joining *j = joining_of(mirror);
	mirror_mask good = nodes_of_role(mirror, MIRROR_ROLE_IN_SYNC) & ~mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (!good || mirror->ending) {
		wait_again(mirror, "the maps of no node can be read");
		return;
	}
	for (; good; good &= good - 1)
		for (unsigned map = 0; map < MAPS; map++)
			if (bits_of(mirror, map))
				merge_map(mirror, (unsigned)__builtin_ctz(good), map);
	free(j->maps);
	j->maps = NULL;
	mirror_bits_or(&mirror->suspect, &mirror->marked);
	note_missed(mirror);
	run_first_change(mirror);
}

static int read_maps(struct mirror *mirror, struct mirror_batch *batch)
{
	int error = 0;

	for (mirror_mask rest = nodes_of_role(mirror, MIRROR_ROLE_IN_SYNC); rest;
	     rest &= rest - 1) {
		unsigned node = (unsigned)__builtin_ctz(rest);

		for (unsigned map = 0; map < MAPS; map++)
			for (unsigned p = 0; bits_of(mirror, map) && !error &&
					     p < mirror_map_pieces(&mirror->super);
			     p++)
				error = mirror_batch_read(batch, node,
							  mirror_map_offset(&mirror->super, map, p),
							  piece_of(mirror, node, map, p));
	}
	return error;
}

/* ---- the beginning ---- */

/* Not the first time in this process: after a fence. Bits can't move while requests may look at them. */
static int prepare_bits(struct mirror *mirror)
{
	unsigned regions = mirror_regions(&mirror->super);

	if (mirror->regions == regions) {
		mirror_marks_reset(mirror);
		return 0;
	}
	if (mirror->regions)
		return EINVAL;
	mirror->regions = regions;
	mirror->region_shift = (unsigned)__builtin_ctz(mirror->super.region_size);
	return mirror_marks_init(mirror);
}

/* The mirror may be read only: by policy, or since its nodes are. */
static bool is_read_only(struct mirror *mirror)
{
	bool writable = false;

	for (mirror_mask rest = nodes_of_role(mirror, MIRROR_ROLE_IN_SYNC); rest; rest &= rest - 1)
		writable |= mirror->nodes[__builtin_ctz(rest)].target->writable;
	return mirror->base.policy->read_only || !writable;
}

void mirror_begin(struct mirror *mirror)
{
	struct mirror_joining *j = joining_of(mirror);
	struct mirror_batch *batch;
	int error;

	mirror->busy = true;
	mirror_set_phase(mirror, MIRROR_STARTING);
	mirror->super = j->found[j->start.newest].super;
	mirror->read_set = mirror->write_set = 0;
	mirror->failed = 0;
	mirror->unrecorded = mirror->no_quorum = mirror->unmarkable = false;
	mirror->work->changing.tried = false;
	mirror->read_only = is_read_only(mirror);
	mirror->witnessed = mirror->witness.known &&
			    !memcmp(&mirror->witness.generation, &mirror->super.generation,
				    sizeof(mirror->witness.generation));
	for (unsigned i = 0; i < mirror->node_count; i++)
		mirror->nodes[i].slot =
			j->start.roles[i] == MIRROR_ROLE_IN_SYNC ||
					(j->start.stale && j->start.roles[i] == MIRROR_ROLE_COMPARE)
				? mirror->nodes[i].found.self
				: MIRROR_NO_SLOT;
	error = prepare_bits(mirror);
	if (error) {
		wait_again(mirror, error == EINVAL ? "its size has changed: it must be mounted anew"
						   : "out of memory");
		return;
	}
	batch = mirror_batch_new(mirror, on_maps_read, mirror);
	j->maps = calloc((size_t)MIRROR_MAX_NODES * MAPS * mirror_map_pieces(&mirror->super),
			 MIRROR_MAP_BLOCK);
	if (!batch || !j->maps || read_maps(mirror, batch)) {
		mirror_batch_free(&batch);
		wait_again(mirror, "out of memory");
		return;
	}
	mirror_batch_run(batch);
}
