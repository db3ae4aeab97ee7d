/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_change.c - changes of the set of members, see mirror_impl.h. Order is all:
 *
 *   1. maps: what a member that leaves may miss, on those that stay; all maps, on one that gets in sync
 *   2. superblocks, with the raised generation if other members are in sync now: first on those that
 *      were in sync and stay so, then on the others (mirror_meta.h, section 4)
 *   3. the witness
 *   4. what requests see
 *
 * Whoever fails on the way leaves too, and it begins anew. The generation that was tried is among
 * the ancestors then, since some node may have it.
 *
 * Requests go on meanwhile, and nobody waits for them. One that has read the old set, and is sent or
 * even begun after the new one is published:
 *   - goes to a node that has left: that one misses all that is marked, and the request's regions were
 *     marked before it read the set: before the change (step 1), or after it, and then it had
 *     the new set already
 *   - doesn't go to a node that gets writes from now on: what it writes is in that node's missed map for
 *     the same reason, and is copied only once its hold is had, which is when this request is over
 */
#include "dstfs/mirror_change.h"

#include "common/log.h"
#include "dstfs/mirror_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WITNESS_RETRY (10 * CLOCK_SEC) /* of one that could not be kept */

static void attempt(struct mirror *mirror);
static void retry_without(struct mirror *mirror, mirror_mask failed);

static struct mirror_changing *changing_of(struct mirror *mirror)
{
	return &mirror->work->changing;
}

void mirror_change_submit(struct mirror *mirror, struct mirror_change *change)
{
	if (mirror->ending || mirror->phase == MIRROR_FENCED || mirror->phase == MIRROR_DETACHED) {
		change->done(mirror, change, ECANCELED);
		return;
	}
	change->next = NULL;
	*mirror->changes_end = change;
	mirror->changes_end = &change->next;
	mirror_home_poke(mirror);
}

static struct mirror_change *take_change(struct mirror *mirror)
{
	struct mirror_change *change = mirror->changes;

	if (!change)
		return NULL;
	mirror->changes = change->next;
	if (!mirror->changes)
		mirror->changes_end = &mirror->changes;
	return change;
}

void mirror_changes_cancel(struct mirror *mirror)
{
	struct mirror_change *change;

	while ((change = take_change(mirror)))
		change->done(mirror, change, ECANCELED);
}

static mirror_mask ready_nodes(const struct mirror *mirror)
{
	mirror_mask ready = 0;

	for (mirror_mask rest = mirror->read_set; rest; rest &= rest - 1)
		if (mirror->nodes[__builtin_ctz(rest)].target->state == TARGET_READY)
			ready |= rest & -rest;
	return ready;
}

static bool witness_is_due(const struct mirror *mirror)
{
	return mirror->phase == MIRROR_RUNNING && mirror->witness_store && !mirror->witnessed &&
	       !mirror->read_only && clock_now() >= mirror->witness_retry_at;
}

bool mirror_change_due(const struct mirror *mirror)
{
	if ((mirror->phase != MIRROR_RUNNING && mirror->phase != MIRROR_STARTING) ||
	    clock_now() < mirror->work->changing.memory_at)
		return false;
	return mirror->changes || (witness_is_due(mirror) && !mirror->unrecorded) ||
	       (mirror->failed & mirror->write_set && !mirror->read_only && !mirror->unrecorded) ||
	       (mirror->unrecorded && (clock_now() >= mirror->work->changing.retry_at ||
				       ready_nodes(mirror) & ~mirror->work->changing.ready));
}

/* ---- the end ---- */

static void finish(struct mirror *mirror, int error)
{
	struct mirror_changing *c = changing_of(mirror);
	struct mirror_change *change = c->change;

	free(c->copies);
	c->copies = NULL;
	c->change = NULL;
	c->joining = 0;
	mirror->joining = 0; /* after the new set was published, if it was */
	mirror_wake_ports(mirror); /* who waits for a record is judged anew, come what came */
	if (change)
		change->done(mirror, change, error);
	mirror_home_done(mirror);
}

/* Nobody that could stay has taken it. What waits for it fails; it is tried again. */
static void give_up(struct mirror *mirror, int error)
{
	struct mirror_changing *c = changing_of(mirror);

	/* What somebody has failed stays marked until that is recorded. */
	mirror_clear_abort(mirror);
	if (error == ENOMEM && !c->first) { /* who waits goes on waiting */
		atomic_fetch_or(&mirror->failed, c->failed);
		c->memory_at = clock_now() + MIRROR_RETRY_INTERVAL;
	} else if (error != ECANCELED && !c->first) {
		/* What nodes failed that are being resynced nobody waits for: they have to leave. */
		atomic_fetch_or(&mirror->failed, c->failed & ~mirror->read_set);
		mirror->unrecorded = true;
		mirror_set_reason(mirror, "writing waits, and fails after a while: no node could "
					  "record which others are absent; that is tried again");
		c->retry_at = clock_now() + MIRROR_RETRY_INTERVAL;
		c->ready = ready_nodes(mirror);
		mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
	}
	finish(mirror, error);
}

/* Requests that failed a node which gets in sync wait from `joining` on, and are in `failed` by then. */
static bool joining_failed(struct mirror *mirror)
{
	mirror_mask failed = mirror->failed & changing_of(mirror)->joining;

	if (failed)
		retry_without(mirror, failed);
	return failed;
}

/* A request that has read the new set must see that it may not write, so that comes first. */
static void publish(struct mirror *mirror)
{
	struct mirror_changing *c = changing_of(mirror);
	bool stopped = mirror->unrecorded || mirror->no_quorum, suffices;
	char why[256] = "";

	if (joining_failed(mirror))
		return;
	mirror->super = c->next;
	suffices = mirror_change_suffices(mirror, why, sizeof(why));
	if (!suffices)
		mirror->no_quorum = true;
	mirror_change_publish(mirror);
	if (suffices)
		mirror->no_quorum = false;
	mirror->unrecorded = false;
	c->tried = false;
	if (!suffices && !c->first) /* else it doesn't even start */
		mirror_set_reason(mirror, "writing has stopped: %s", why);
	else if (stopped)
		mirror_set_reason(mirror, "%s", "");
	mirror_update_base(mirror);
	mirror_copy_poke(mirror);
	finish(mirror, suffices ? 0 : ENOTCONN);
}

static void on_witness(void *arg, int error)
{
	struct mirror *mirror = arg;

	mirror->witnessed = !error;
	if (error && !mirror->witness_retry_at)
		log_warn("volume %s: the witness could not be written (%s), which is tried again: "
			 "without it, a start with nodes missing may have to be forced",
			 mirror->volume, strerror(error));
	mirror->witness_retry_at = error ? clock_now() + WITNESS_RETRY : 0;
	if (error)
		mirror_home_later(mirror, WITNESS_RETRY);
	publish(mirror);
}

static void write_witness(struct mirror *mirror)
{
	struct mirror_changing *c = changing_of(mirror);
	struct mirror_witness *witness = &mirror->witness;
	struct mirror_witness_store *store = mirror->witness_store;

	if (!store || (mirror->witnessed && !memcmp(&witness->generation, &c->next.generation,
						    sizeof(witness->generation)))) {
		publish(mirror);
		return;
	}
	*witness = (struct mirror_witness){.known = true, .generation = c->next.generation};
	memcpy(witness->set, c->next.set, DST_ID_SIZE);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		witness->in_sync[i] = c->next.members[i].state == MIRROR_IN_SYNC;
		witness->sizes[i] = c->next.members[i].size;
	}
	store->ops->save(store, witness, on_witness, mirror);
}

/* ---- superblocks ---- */

/* These nodes failed while it was being recorded. Begins anew without them, if somebody is left. */
static void retry_without(struct mirror *mirror, mirror_mask failed)
{
	struct mirror_changing *c = changing_of(mirror);

	if (mirror->ending || mirror_check_fence(mirror)) {
		give_up(mirror, ECANCELED);
		return;
	}
	/* The one that must stay has failed, or nobody is left that has not. Who is only about to get in
	 * sync doesn't count: the others may go on from what they have. */
	if (!(c->staying & ~failed)) {
		give_up(mirror, EIO);
		return;
	}
	c->failed |= failed;
	attempt(mirror);
}

static void write_supers(struct mirror *mirror, mirror_mask nodes);

static void on_supers_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_changing *c = changing_of(mirror);
	mirror_mask failed = mirror_batch_failed(batch), told = c->telling;
	mirror_mask others = (c->write_set | c->inform) & ~c->staying;

	mirror_batch_free(&batch);
	for (mirror_mask rest = told; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		mirror_super_written(&mirror->nodes[i], !(failed & MIRROR_BIT(i)));
	}
	if (failed & c->write_set)
		retry_without(mirror, failed & c->write_set);
	else if (others & ~told)
		write_supers(mirror, others);
	else
		write_witness(mirror);
}

static void write_supers(struct mirror *mirror, mirror_mask nodes)
{
	struct mirror_changing *c = changing_of(mirror);
	struct mirror_batch *batch = mirror_batch_new(mirror, on_supers_written, mirror);
	int error = batch ? 0 : ENOMEM;

	for (mirror_mask rest = nodes; rest && !error; rest &= rest - 1)
		error = mirror_super_write(batch, &mirror->nodes[__builtin_ctz(rest)], &c->next);
	if (error) {
		mirror_batch_free(&batch);
		mirror_out_of_memory(mirror);
		give_up(mirror, error);
		return;
	}
	/* From now on some node may have it. */
	c->tried |=
		memcmp(mirror->super.generation.uuid, c->next.generation.uuid, DST_ID_SIZE) != 0;
	mirror->super.generation = c->next.generation;
	mirror->super.ancestor_count = c->next.ancestor_count;
	memcpy(mirror->super.ancestors, c->next.ancestors, sizeof(c->next.ancestors));
	c->telling = nodes;
	mirror_batch_run(batch);
}

/* ---- maps ---- */

static void on_maps_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_changing *c = changing_of(mirror);
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];
		mirror_mask bit = MIRROR_BIT(i);
		uint64_t sequence = node->sequence;

		if (!((c->write_set | c->inform) & ~failed & bit) || !node->unsure)
			continue;
		mirror_node_judge(node, c->copies[i]);
		node->read = false; /* when it comes back after a loss it is read again */
		if (node->sequence < sequence || node->blank)
			node->sequence = sequence;
	}
	c->inform &= ~failed;
	if (failed & c->write_set)
		retry_without(mirror, failed & c->write_set);
	else
		write_supers(mirror, c->staying);
}

static int add_unsure(struct mirror *mirror, struct mirror_batch *batch)
{
	struct mirror_changing *c = changing_of(mirror);
	int error = 0;

	for (mirror_mask rest = c->write_set | c->inform; rest && !error; rest &= rest - 1) {
		struct mirror_node *node = &mirror->nodes[__builtin_ctz(rest)];

		if (!node->unsure)
			continue;
		if (!c->copies)
			c->copies = calloc(MIRROR_MAX_NODES, sizeof(*c->copies));
		error = c->copies ? mirror_supers_read(batch, node, c->copies[node->index])
				  : ENOMEM;
	}
	return error;
}

static int add_maps(struct mirror *mirror, struct mirror_batch *batch)
{
	struct mirror_changing *c = changing_of(mirror);
	int error = mirror_batch_flush(batch, c->joining);

	if (c->joining && !error)
		error = mirror_map_write(batch, mirror, c->joining, 0, &mirror->marked);
	for (unsigned i = 0; i < MIRROR_MAX_NODES && !error; i++) {
		mirror_mask nodes = c->fresh_maps & 1u << i ? c->read_set : c->joining;

		if (nodes && c->next.members[i].state != MIRROR_FREE)
			error = mirror_map_write(batch, mirror, nodes, 1 + i,
						 &mirror->missed[i].bits);
	}
	return error;
}

static void write_maps(struct mirror *mirror)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_maps_written, mirror);
	int error = batch ? add_unsure(mirror, batch) : ENOMEM;

	if (!error)
		error = add_maps(mirror, batch);
	if (!error) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	mirror_out_of_memory(mirror);
	give_up(mirror, error);
}

/* ---- the plan ---- */

static void attempt(struct mirror *mirror)
{
	struct mirror_changing *c = changing_of(mirror);
	int error = 0;

	c->next = mirror->super;
	c->next.clean = c->next.taken_out = false;
	if (c->change && !c->change->edit(mirror, c->change, &c->next, &error)) {
		c->next = mirror->super;
		c->next.clean = c->next.taken_out = false;
		c->inform = 0;
		if (error || (!c->failed && !c->rewrite)) {
			atomic_fetch_or(&mirror->failed, c->failed);
			finish(mirror, error);
			return;
		}
	}
	if (mirror_change_plan(mirror)) {
		mirror->joining = c->joining;
		write_maps(mirror);
	} else if (witness_is_due(mirror))
		write_witness(mirror);
	else
		finish(mirror, 0);
}

void mirror_change_begin(struct mirror *mirror)
{
	struct mirror_changing *c = changing_of(mirror);

	mirror->busy = true;
	c->change = take_change(mirror);
	c->inform = c->change ? c->change->inform : 0;
	c->failed = atomic_exchange(&mirror->failed, 0) & mirror->write_set;
	c->first = mirror->phase == MIRROR_STARTING;
	c->rewrite = mirror->unrecorded || c->first;
	if (mirror->ending || mirror_check_fence(mirror))
		give_up(mirror, ECANCELED);
	else
		attempt(mirror);
}
