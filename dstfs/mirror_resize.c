/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_resize.c - see mirror_resize.h */
#include "dstfs/mirror_resize.h"

#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"
#include "dstfs/mirror_members.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct mirror_resizing *resizing_of(struct mirror *mirror)
{
	return &mirror->work->resizing;
}

/* ---- places ---- */

static struct range maps_of(const struct mirror_super *super)
{
	return (struct range){super->data_size, mirror_map_size(super) * (1 + MIRROR_MAX_NODES)};
}

static struct range supers_of(uint64_t size)
{
	return (struct range){mirror_super_offset(size, 0), MIRROR_MIN_SIZE};
}

static bool moves(const struct mirror_resizing *r, unsigned node)
{
	return mirror_super_offset(r->sizes[node], 0) != mirror_super_offset(r->old_sizes[node], 0);
}

/* Is nothing of the new place in the old one? */
static bool is_clear(const struct mirror *mirror, unsigned node)
{
	const struct mirror_resizing *r = &mirror->work->resizing;
	struct range old_maps = maps_of(&mirror->super), maps = maps_of(&r->next);
	struct range old_supers = supers_of(r->old_sizes[node]);
	struct range supers = supers_of(r->sizes[node]);

	return !range_overlaps(maps, old_maps) && !range_overlaps(maps, old_supers) &&
	       (!moves(r, node) ||
		(!range_overlaps(supers, old_maps) && !range_overlaps(supers, old_supers)));
}

/* The least size of the data for which all are clear. */
static uint64_t least_clear(const struct mirror *mirror)
{
	struct range old_maps = maps_of(&mirror->super);
	uint64_t least = old_maps.offset + old_maps.length;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		uint64_t end = mirror_super_offset(mirror->work->resizing.old_sizes[i], 0) +
			       MIRROR_MIN_SIZE;

		if (mirror->nodes[i].slot != MIRROR_NO_SLOT && moves(&mirror->work->resizing, i) &&
		    end > least)
			least = end;
	}
	return (least + MIRROR_BLOCK - 1) / MIRROR_BLOCK * MIRROR_BLOCK;
}

/* Those that have moved, in memory, are where they were. */
static void put_back(struct mirror *mirror)
{
	const struct mirror_resizing *r = &mirror->work->resizing;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		if (!(mirror->read_set & MIRROR_BIT(i)) || !moves(r, i))
			continue;
		mirror->nodes[i].size = r->old_sizes[i];
		mirror->nodes[i].next_copy = r->old_copies[i]; /* never over the newest */
	}
}

/* Has one come back with another size, or its superblocks elsewhere, while it was waited? */
static bool have_changed(const struct mirror *mirror)
{
	const struct mirror_resizing *r = &mirror->work->resizing;

	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->read_set & MIRROR_BIT(i) &&
		    (mirror->nodes[i].target->size != r->sizes[i] ||
		     mirror->nodes[i].size != r->old_sizes[i]))
			return true;
	return false;
}

/* Are all members in sync, and there? */
static bool all_in_sync(const struct mirror *mirror)
{
	mirror_mask there = 0;

	for (mirror_mask rest = mirror->read_set & ~mirror->failed; rest; rest &= rest - 1)
		if (mirror->nodes[__builtin_ctz(rest)].target->state == TARGET_READY)
			there |= rest & -rest;
	return (unsigned)__builtin_popcount(there) == mirror->members;
}

/* ---- the end ---- */

static void let_go(struct mirror *mirror)
{
	struct mirror_resizing *r = resizing_of(mirror);

	r->active = r->waits = r->due = false;
	range_hold_put(&r->hold);
	mirror_home_poke(mirror); /* the end waits for it */
}

static void give_up(struct mirror *mirror, const char *why)
{
	struct mirror_resizing *r = resizing_of(mirror);

	let_go(mirror);
	if (!mirror->ending)
		mirror_order_failed(r->order, "%s; the size stays as it is", why);
}

static void finish(struct mirror *mirror)
{
	struct mirror_resizing *r = resizing_of(mirror);
	struct range grown = {r->old_data, mirror->super.data_size - r->old_data};

	mirror_report_suspect(mirror, grown);
	let_go(mirror);
	mirror_update_base(mirror);
	mirror_copy_poke(mirror);
	mirror_order_done(r->order, "it has %llu bytes now",
			  (unsigned long long)mirror->super.data_size);
}

/* ---- 5: what was metadata is data, and zero ---- */

static void on_zeroed(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (mirror->ending) {
		let_go(mirror);
		return;
	}
	if (failed)
		mirror_report_failed(mirror, failed);
	finish(mirror);
}

static int add_zeros(struct mirror *mirror, struct mirror_batch *batch, const uint8_t *zeros,
		     struct range old_maps)
{
	const struct mirror_resizing *r = resizing_of(mirror);
	int error = 0;

	for (uint64_t at = 0; at < old_maps.length && !error; at += MIRROR_MAP_BLOCK)
		error = mirror_batch_write(batch, mirror->read_set, old_maps.offset + at, zeros);
	for (mirror_mask rest = mirror->read_set; rest && !error; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		for (unsigned copy = 0; moves(r, i) && copy < MIRROR_COPIES && !error; copy++)
			error = mirror_batch_write(batch, MIRROR_BIT(i),
						   mirror_super_offset(r->old_sizes[i], copy),
						   zeros);
	}
	return error;
}

static void zero_old(struct mirror *mirror, struct range old_maps)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_zeroed, mirror);
	uint8_t *zeros = batch ? mirror_batch_block(batch) : NULL;

	if (zeros)
		memset(zeros, 0, MIRROR_MAP_BLOCK);
	if (zeros && !add_zeros(mirror, batch, zeros, old_maps)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch); /* what is there is no secret, and made equal */
	finish(mirror);
}

/* ---- 4: the change ---- */

static bool edit_size(struct mirror *mirror, struct mirror_change *change,
		      struct mirror_super *super, int *error)
{
	bool good = !mirror->work->changing.failed;

	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		good &= super->members[slot].state == MIRROR_FREE ||
			super->members[slot].state == MIRROR_IN_SYNC;
	*error = good ? 0 : EBUSY;
	super->data_size = resizing_of(mirror)->next.data_size;
	return good;
}

static void on_changed(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_resizing *r = resizing_of(mirror);
	struct mirror_super old = mirror->super;

	old.data_size = r->old_data;
	if (mirror->super.data_size != r->next.data_size) {
		give_up(mirror, error == EBUSY ? "a node has failed meanwhile"
					       : "it could not be recorded");
		return;
	}
	mirror_marks_extend(mirror, mirror_regions(&mirror->super));
	/* As the maps say, where they are now. */
	mirror_bits_set_range(&mirror->marked, mirror_region_of(mirror, old.data_size),
			      mirror->regions - 1);
	zero_old(mirror, maps_of(&old));
}

/* ---- 3: the maps ---- */

static void on_maps_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_resizing *r = resizing_of(mirror);
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	mirror_home_done(mirror);
	if (failed || mirror->ending) {
		if (!mirror->ending)
			mirror_report_failed(mirror, failed);
		give_up(mirror, "a node could not be written to");
		return;
	}
	r->order->change.edit = edit_size;
	r->order->change.done = on_changed;
	mirror_change_submit(mirror, &r->order->change);
}

/* The dirty map as it will be: more regions, of which the new ones are dirty. */
static int add_maps(struct mirror *mirror, struct mirror_batch *batch)
{
	const struct mirror_resizing *r = resizing_of(mirror);
	unsigned first = mirror_region_of(mirror, mirror->super.data_size);
	unsigned regions = mirror_regions(&r->next);
	int error = 0;

	for (unsigned p = 0; p < mirror_map_pieces(&r->next) && !error; p++) {
		uint8_t bits[MIRROR_MAP_BITS / 8] = {0}, *block = mirror_batch_block(batch);
		unsigned from = p * MIRROR_MAP_BITS;

		if (!block)
			return ENOMEM;
		if (from < mirror->regions)
			mirror_bits_export(&mirror->marked, from, bits, sizeof(bits));
		for (unsigned i = first > from ? first : from;
		     i < regions && i < from + MIRROR_MAP_BITS; i++)
			bits[(i - from) / 8] |= (uint8_t)(1u << (i - from) % 8);
		mirror_map_encode(block, &r->next, 0, p, bits);
		error = mirror_batch_write(batch, mirror->read_set,
					   mirror_map_offset(&r->next, 0, p), block);
	}
	return error;
}

static void write_maps(struct mirror *mirror)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_maps_written, mirror);

	if (batch && !add_maps(mirror, batch)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	mirror_home_done(mirror);
	give_up(mirror, "out of memory");
}

/* ---- 2: superblocks at the new end ---- */

static void on_supers_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_resizing *r = resizing_of(mirror);
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	for (mirror_mask rest = mirror->read_set; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		if (moves(r, i))
			mirror_super_written(&mirror->nodes[i], !(failed & MIRROR_BIT(i)));
	}
	if (!failed && !mirror->ending) {
		write_maps(mirror);
		return;
	}
	mirror_home_done(mirror);
	if (!mirror->ending)
		mirror_report_failed(mirror, failed);
	give_up(mirror, "a node could not be written to");
}

/* Those that move; `whole`: with what makes it a superblock. */
static int add_supers(struct mirror *mirror, struct mirror_batch *batch, bool whole)
{
	const struct mirror_resizing *r = resizing_of(mirror);
	int error = 0;

	for (mirror_mask rest = mirror->read_set; rest && !error; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctz(rest);

		if (moves(r, i))
			error = whole ? mirror_super_write(batch, &mirror->nodes[i], &mirror->super)
				      : mirror_super_prepare(batch, &mirror->nodes[i],
							     &mirror->super);
	}
	return error;
}

static void on_prepared(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	batch = failed || mirror->ending ? NULL
					 : mirror_batch_new(mirror, on_supers_written, mirror);
	if (batch && !add_supers(mirror, batch, true)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	put_back(mirror);
	mirror_home_done(mirror);
	if (failed && !mirror->ending)
		mirror_report_failed(mirror, failed);
	give_up(mirror, failed ? "a node could not be written to" : "out of memory");
}

void mirror_resize_turn(struct mirror *mirror)
{
	struct mirror_resizing *r = resizing_of(mirror);
	struct mirror_batch *batch;
	int error = mirror_marks_reserve(mirror, mirror_regions(&r->next));

	r->waits = r->due = false;
	if (error || !all_in_sync(mirror) || have_changed(mirror)) {
		give_up(mirror, error ? "out of memory" : "a node has failed or changed meanwhile");
		return;
	}
	batch = mirror_batch_new(mirror, on_prepared, mirror);
	mirror->busy = true;
	for (unsigned i = 0; i < mirror->node_count; i++) {
		if (!(mirror->read_set & MIRROR_BIT(i)) || !moves(r, i))
			continue;
		r->old_copies[i] = mirror->nodes[i].next_copy;
		mirror->nodes[i].size = r->sizes[i];
		mirror->nodes[i].next_copy = 0;
	}
	if (batch && !add_supers(mirror, batch, false)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	put_back(mirror);
	mirror_home_done(mirror);
	give_up(mirror, "out of memory");
}

/* ---- 1: the command ---- */

static void on_hold(void *arg)
{
	struct mirror *mirror = arg;

	resizing_of(mirror)->due = true;
	mirror_home_poke(mirror);
}

/* As much as all nodes have room for. */
static uint64_t most_data(struct mirror *mirror)
{
	struct mirror_resizing *r = resizing_of(mirror);
	uint64_t most = UINT64_MAX;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];
		uint64_t room;

		r->old_sizes[i] = node->size;
		r->sizes[i] = node->target->size;
		if (!(mirror->read_set & MIRROR_BIT(i)))
			continue;
		room = mirror_data_room(r->sizes[i], mirror->super.region_size);
		if (room < most)
			most = room;
	}
	return most;
}

/* May it have this size? Else a reason. */
static bool is_possible(struct mirror *mirror, uint64_t size, uint64_t most,
			const struct reason *reason)
{
	const uint64_t now = mirror->super.data_size;
	bool clear = true;

	if (size < now) {
		text_refuse(
			reason,
			"a mirror doesn't shrink: what is behind the %llu bytes would be lost. It "
			"has %llu bytes; make a smaller one, and copy",
			(unsigned long long)size, (unsigned long long)now);
		return false;
	}
	if (size == now || size > most) {
		text_refuse(reason,
			    "it has %llu bytes, and its nodes have room for %llu: grow all of them "
			    "first",
			    (unsigned long long)now, (unsigned long long)(most > now ? most : now));
		return false;
	}
	for (unsigned i = 0; i < mirror->node_count; i++)
		clear &= !(mirror->read_set & MIRROR_BIT(i)) || is_clear(mirror, i);
	if (clear)
		return true;
	text_refuse(
		reason,
		"what the mirror keeps at the end of its nodes has to move clear of where it is: "
		"the new size must be %llu bytes at least, and its nodes have room for %llu",
		(unsigned long long)least_clear(mirror), (unsigned long long)most);
	return false;
}

json_t *mirror_run_resize(struct mirror *mirror, const json_t *request, const struct reason *reason)
{
	const json_t *given = json_object_get(request, "size");
	struct mirror_resizing *r = resizing_of(mirror);
	uint64_t most, size;
	bool granted;
	json_t *answer;

	if (!mirror_members_may_change(mirror, reason))
		return NULL;
	if (r->hold || !all_in_sync(mirror)) {
		text_refuse(reason,
			    r->hold ? "it is being resized already"
				    : "all members must be in sync, and there, for that; see "
				      "dstctl status");
		return NULL;
	}
	most = most_data(mirror);
	size = given ? (uint64_t)json_integer_value(given) : most;
	size -= size % MIRROR_BLOCK;
	r->next = mirror->super;
	r->next.data_size = size;
	if (!is_possible(mirror, size, most, reason))
		return NULL;
	r->order = mirror_order_begin(mirror, "volume-resize", NULL, reason);
	if (!r->order)
		return NULL;
	answer = mirror_order_answer(r->order);
	r->old_data = mirror->super.data_size;
	r->active = r->waits = true;
	r->hold = ranges_take(mirror->ranges, mirror->home, (struct range){0, r->old_data},
			      (struct range){0, 0}, on_hold, mirror, &granted);
	if (!r->hold)
		give_up(mirror, "out of memory");
	else if (granted)
		on_hold(mirror);
	return answer;
}

void mirror_resize_stop(struct mirror *mirror)
{
	if (resizing_of(mirror)->waits)
		give_up(mirror, "the volume was fenced or unmounted");
}

void mirror_resize_destroy(struct mirror *mirror)
{
	let_go(mirror);
}
