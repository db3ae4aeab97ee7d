/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_clear.c - marks are taken away, lazily: of regions that nobody wrote into between two looks,
 * and of what was copied to nodes that had missed it.
 *
 * First come the holds of the regions, so that nothing is written into them any more; then a FLUSH of
 * all nodes that are written to, so that what was is durable on them; then the marks leave memory,
 * then the maps on the nodes; then the holds are given back. A region whose hold isn't to be had at
 * once isn't idle. What was copied needs no hold: it can't be copied again, only written.
 */
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <string.h>

static struct mirror_clearing *clearing_of(struct mirror *mirror)
{
	return &mirror->work->clearing;
}

static void give_back(struct mirror *mirror)
{
	struct mirror_clearing *c = clearing_of(mirror);

	while (c->hold_count)
		range_hold_put(&c->holds[--c->hold_count]);
	mirror_bits_fill(&c->bits, false);
	c->active = c->flushed = false;
}

/* What was to become durable isn't yet. */
static void give_up(struct mirror *mirror)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		struct mirror_missed *missed = &mirror->missed[i];

		mirror_bits_or(&missed->copied, &missed->settling);
		mirror_bits_fill(&missed->settling, false);
	}
	give_back(mirror);
}

void mirror_clear_abort(struct mirror *mirror)
{
	if (clearing_of(mirror)->flushed)
		give_up(mirror);
}

/* ---- what is idle ---- */

static void never(void *arg)
{
}

/* Regions first..last, if nobody has any of them. */
static void take_run(struct mirror *mirror, unsigned first, unsigned last)
{
	struct mirror_clearing *c = clearing_of(mirror);
	struct range begin = mirror_region_range(mirror, first);
	struct range end = mirror_region_range(mirror, last);
	struct range run = {begin.offset, end.offset + end.length - begin.offset};
	struct range_hold *hold;
	bool granted;

	hold = ranges_take(mirror->ranges, mirror->home, run, (struct range){0, 0}, never, NULL,
			   &granted);
	if (!hold || !granted) {
		range_hold_put(&hold);
		return;
	}
	c->holds[c->hold_count++] = hold;
	for (unsigned r = first; r <= last; r++)
		if (mirror_bits_get(&mirror->marked, r) && !mirror_bits_get(&mirror->touched, r) &&
		    !mirror_bits_get(&mirror->suspect, r))
			mirror_bits_set(&c->bits, r);
}

/* Takes what was idle at the last look and still is, and notes what is now. */
static void look_at_marks(struct mirror *mirror)
{
	struct mirror_clearing *c = clearing_of(mirror);
	unsigned first = mirror->regions, last = 0;

	for (unsigned r = mirror_bits_next(&mirror->marked, 0); r < mirror->regions;
	     r = mirror_bits_next(&mirror->marked, r + 1)) {
		bool touched = mirror_bits_get(&mirror->touched, r);
		bool idle = mirror_bits_get(&c->idle, r);

		mirror_bits_clear(&mirror->touched, r);
		if (touched || mirror_bits_get(&mirror->suspect, r)) {
			mirror_bits_clear(&c->idle, r);
			continue;
		}
		mirror_bits_set(&c->idle, r);
		if (!idle || c->active)
			continue;
		if (first < mirror->regions && last + 1 != r) {
			if (c->hold_count < MIRROR_CLEAR_RUNS)
				take_run(mirror, first, last);
			first = mirror->regions;
		}
		if (first == mirror->regions)
			first = r;
		last = r;
	}
	if (first < mirror->regions && c->hold_count < MIRROR_CLEAR_RUNS)
		take_run(mirror, first, last);
}

/* ---- the flush ---- */

static void on_flushed(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (failed && !mirror->ending)
		mirror_report_own_failed(mirror, failed);
	/* One that lost something may have told that in another flush, before this one. */
	if (failed || mirror_lossy(mirror, mirror->write_set) ||
	    mirror->losses != clearing_of(mirror)->losses || mirror->unrecorded ||
	    mirror->failed & mirror->write_set || mirror->phase != MIRROR_RUNNING) {
		give_up(mirror);
		clearing_of(mirror)->retry_at = clock_now() + MIRROR_RETRY_INTERVAL;
		mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
	} else {
		clearing_of(mirror)->flushed = true;
	}
	mirror_home_poke(mirror);
}

/* Something is to be cleared, and nothing else is being cleared. */
static void flush(struct mirror *mirror)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_flushed, mirror);

	clearing_of(mirror)->active = true;
	clearing_of(mirror)->losses = mirror->losses;
	if (batch && !mirror_batch_flush(batch, mirror->write_set)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	give_up(mirror);
	mirror_out_of_memory(mirror);
}

/* True: there is something. */
static bool take_copied(struct mirror *mirror)
{
	bool some = false;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_missed *missed;

		if (mirror->nodes[i].state != MIRROR_NODE_RESYNC)
			continue;
		missed = &mirror->missed[mirror->nodes[i].slot];
		mirror_bits_or(&missed->settling, &missed->copied);
		mirror_bits_fill(&missed->copied, false);
		some |= mirror_bits_next(&missed->settling, 0) < mirror->regions;
	}
	return some;
}

static void on_timer(void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_clearing *c = clearing_of(mirror);

	loop_timer_set(&c->timer, MIRROR_LOOK_INTERVAL);
	if (mirror->phase != MIRROR_RUNNING || mirror->unrecorded || mirror->read_only)
		return;
	look_at_marks(mirror);
	if (c->active)
		return;
	if (take_copied(mirror) || mirror_bits_next(&c->bits, 0) < mirror->regions)
		flush(mirror);
	else
		give_back(mirror);
}

/* ---- the maps ---- */

static bool piece_has(const struct mirror *mirror, const struct mirror_bits *bits, unsigned piece)
{
	unsigned first = piece * MIRROR_MAP_BITS, last = first + MIRROR_MAP_BITS - 1;

	return mirror_bits_any(bits, first, last < mirror->regions ? last : mirror->regions - 1);
}

static void take_away(struct mirror_bits *from, const struct mirror_bits *bits)
{
	for (unsigned r = mirror_bits_next(bits, 0); r < bits->count;
	     r = mirror_bits_next(bits, r + 1))
		mirror_bits_clear(from, r);
}

void mirror_clear_copied(struct mirror *mirror, unsigned slot)
{
	struct mirror_missed *missed = &mirror->missed[slot];

	take_away(&missed->bits, &missed->copied);
	take_away(&missed->bits, &missed->settling);
}

static int write_pieces(struct mirror *mirror, struct mirror_batch *batch, unsigned map,
			struct mirror_bits *bits, const struct mirror_bits *without)
{
	int error = 0;

	take_away(bits, without);
	for (unsigned p = 0; p < mirror_map_pieces(&mirror->super) && !error; p++)
		if (piece_has(mirror, without, p))
			error = mirror_piece_write(batch, mirror, mirror->read_set, map, p, bits,
						   NULL);
	return error;
}

static void on_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (failed && !mirror->ending)
		mirror_report_own_failed(mirror, failed);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		mirror_bits_fill(&mirror->missed[i].settling, false);
	give_back(mirror);
	mirror_home_done(mirror);
}

void mirror_clear_write(struct mirror *mirror)
{
	struct mirror_clearing *c = clearing_of(mirror);
	struct mirror_batch *batch;
	int error;

	batch = mirror_batch_new(mirror, on_written, mirror);
	error = batch ? write_pieces(mirror, batch, 0, &mirror->marked, &c->bits) : ENOMEM;
	for (unsigned i = 0; i < MIRROR_MAX_NODES && !error; i++)
		error = write_pieces(mirror, batch, 1 + i, &mirror->missed[i].bits,
				     &mirror->missed[i].settling);
	if (!error) {
		mirror->busy = true;
		c->flushed = false;
		mirror_batch_run(batch);
		return;
	}
	/* On the nodes more is marked than here, which does no harm. */
	mirror_batch_free(&batch);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		mirror_bits_fill(&mirror->missed[i].settling, false);
	give_back(mirror);
	mirror_out_of_memory(mirror);
}

/* ---- nodes that have got all ---- */

static bool become_in_sync(struct mirror *mirror, struct mirror_change *change,
			   struct mirror_super *super, int *error)
{
	struct mirror_node *node = change->arg;

	if (node->state != MIRROR_NODE_RESYNC ||
	    mirror_bits_next(&mirror->missed[node->slot].bits, 0) < mirror->regions)
		return false;
	super->members[node->slot].state = MIRROR_IN_SYNC;
	super->members[node->slot].full = super->members[node->slot].detached = false;
	memset(super->members[node->slot].left, 0, DST_ID_SIZE);
	return true;
}

static void on_in_sync(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_node *node = change->arg;

	node->changing = false;
	node->retry_at = clock_now() + (error ? MIRROR_RETRY_INTERVAL : 0);
	mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
}

void mirror_clear_look(struct mirror *mirror)
{
	bool flush_now = false;

	if (mirror->unrecorded || mirror->read_only)
		return;
	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];

		if (node->state != MIRROR_NODE_RESYNC || node->changing ||
		    clock_now() < node->retry_at ||
		    mirror_region_to_copy(mirror, node, 0) < mirror->regions)
			continue;
		if (mirror_bits_next(&mirror->missed[node->slot].bits, 0) < mirror->regions) {
			flush_now = true;
			continue;
		}
		node->changing = true;
		node->change = (struct mirror_change){
			.edit = become_in_sync, .done = on_in_sync, .arg = node};
		mirror_change_submit(mirror, &node->change);
	}
	if (flush_now && !clearing_of(mirror)->active &&
	    clock_now() >= clearing_of(mirror)->retry_at && take_copied(mirror))
		flush(mirror);
}

/* ---- life ---- */

int mirror_clear_init(struct mirror *mirror)
{
	return loop_timer_init(&clearing_of(mirror)->timer, mirror->home->loop, on_timer, mirror);
}

void mirror_clear_start(struct mirror *mirror)
{
	loop_timer_set(&clearing_of(mirror)->timer, MIRROR_LOOK_INTERVAL);
}

void mirror_clear_destroy(struct mirror *mirror)
{
	give_back(mirror);
	loop_timer_destroy(&clearing_of(mirror)->timer);
}
