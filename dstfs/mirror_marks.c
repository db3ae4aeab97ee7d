/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_marks.c - regions are marked before they are written into: in the dirty map and in the missed
 * map of each absent member, durably on all nodes that are in sync. mirror_clear.c takes the marks
 * away again.
 *
 * What is asked for while a marking is under way is done together in the next one. The pieces that are
 * written hold some regions more than were asked for, those that sequential writers will come to.
 */
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"

#include <errno.h>

/* Behind a region that is wanted so many are marked as well, but not more than so many bytes. */
#define MARK_AHEAD 8u
#define MARK_AHEAD_BYTES (64u << 20)

_Static_assert(MIRROR_MAP_BITS % 64 == 0, "pieces are exported word by word");

/* ---- maps ---- */

int mirror_piece_write(struct mirror_batch *batch, const struct mirror *mirror, mirror_mask nodes,
		       unsigned map, unsigned piece, const struct mirror_bits *bits,
		       const struct mirror_bits *more)
{
	uint8_t stored[MIRROR_MAP_BITS / 8], added[MIRROR_MAP_BITS / 8];
	uint8_t *block = mirror_batch_block(batch);

	if (!block)
		return ENOMEM;
	mirror_bits_export(bits, piece * MIRROR_MAP_BITS, stored, sizeof(stored));
	if (more) {
		mirror_bits_export(more, piece * MIRROR_MAP_BITS, added, sizeof(added));
		for (unsigned i = 0; i < sizeof(stored); i++)
			stored[i] |= added[i];
	}
	mirror_map_encode(block, &mirror->super, map, piece, stored);
	return mirror_batch_write(batch, nodes, mirror_map_offset(&mirror->super, map, piece),
				  block);
}

int mirror_map_write(struct mirror_batch *batch, const struct mirror *mirror, mirror_mask nodes,
		     unsigned map, const struct mirror_bits *bits)
{
	int error = 0;

	for (unsigned p = 0; p < mirror_map_pieces(&mirror->super) && !error; p++)
		error = mirror_piece_write(batch, mirror, nodes, map, p, bits, NULL);
	return error;
}

static unsigned slots_without(const struct mirror *mirror, mirror_mask nodes)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		if (mirror->super.members[i].state != MIRROR_FREE)
			slots |= 1u << i;
	for (; nodes; nodes &= nodes - 1)
		slots &= ~(1u << mirror->nodes[__builtin_ctz(nodes)].slot);
	return slots;
}

unsigned mirror_absent_slots(const struct mirror *mirror)
{
	return slots_without(mirror, mirror->write_set);
}

unsigned mirror_incomplete_slots(const struct mirror *mirror)
{
	return slots_without(mirror, mirror->read_set);
}

/* ---- marking ---- */

/* They are wanted, later. */
static void put_off(struct mirror *mirror)
{
	struct mirror_marking *marking = &mirror->work->marking;

	mirror_bits_or(&mirror->wanted, &marking->bits);
	mirror->wants = true;
	marking->retry_at = clock_now() + MIRROR_RETRY_INTERVAL;
	mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
}

static void set_unmarkable(struct mirror *mirror, bool value)
{
	static const char waiting[] = "writing waits, and fails after a while: no node has taken "
				      "the marks of what is to be written";

	if (mirror->unmarkable == value || mirror->phase != MIRROR_RUNNING)
		return;
	mirror->unmarkable = value;
	mirror_wake_ports(mirror);
	if (mirror->unrecorded || mirror->no_quorum)
		return;
	mirror_set_reason(mirror, "%s", value ? waiting : "");
}

static void on_marked(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_marking *marking = &mirror->work->marking;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (!failed) {
		mirror_bits_or(&mirror->marked, &marking->bits);
		set_unmarkable(mirror, false);
		mirror_wake_ports(mirror);
	} else if (mirror_report_own_failed(mirror, failed)) { /* once more without them */
		mirror_bits_or(&mirror->wanted, &marking->bits);
		mirror->wants = true;
	} else {
		put_off(mirror);
		set_unmarkable(mirror, true);
	}
	mirror_bits_fill(&marking->bits, false);
	mirror_home_done(mirror);
}

static unsigned regions_ahead(const struct mirror *mirror)
{
	unsigned most = MARK_AHEAD_BYTES >> mirror->region_shift;

	return most < 1 ? 1 : most < MARK_AHEAD ? most : MARK_AHEAD;
}

/* Moves what is wanted, and some more behind it, to the bits that are being marked. */
static void take_wanted(struct mirror *mirror)
{
	struct mirror_bits *bits = &mirror->work->marking.bits;
	unsigned ahead = regions_ahead(mirror);

	mirror->wants = false; /* first: what is wanted from now on says so again */
	for (unsigned r = mirror_bits_next(&mirror->wanted, 0); r < mirror->regions;
	     r = mirror_bits_next(&mirror->wanted, r + 1)) {
		unsigned piece = r / MIRROR_MAP_BITS;

		mirror_bits_clear(&mirror->wanted, r);
		for (unsigned i = r;
		     i < mirror->regions && i < r + ahead && i / MIRROR_MAP_BITS == piece; i++)
			if (!mirror_bits_get(&mirror->marked, i))
				mirror_bits_set(bits, i);
	}
}

static int mark_piece(struct mirror *mirror, struct mirror_batch *batch, unsigned piece)
{
	struct mirror_bits *bits = &mirror->work->marking.bits;
	int error = mirror_piece_write(batch, mirror, mirror->read_set, 0, piece, &mirror->marked,
				       bits);

	for (unsigned slots = mirror_absent_slots(mirror); slots && !error; slots &= slots - 1) {
		unsigned slot = (unsigned)__builtin_ctz(slots);

		error = mirror_piece_write(batch, mirror, mirror->read_set, 1 + slot, piece,
					   &mirror->missed[slot].bits, NULL);
	}
	return error;
}

bool mirror_marks_due(const struct mirror *mirror)
{
	return mirror->phase == MIRROR_RUNNING && mirror->wants && !mirror->unrecorded &&
	       clock_now() >= mirror->work->marking.retry_at;
}

void mirror_marks_begin(struct mirror *mirror)
{
	struct mirror_bits *bits = &mirror->work->marking.bits;
	struct mirror_batch *batch = mirror_batch_new(mirror, on_marked, mirror);
	unsigned slots = mirror_absent_slots(mirror);
	int error = batch ? 0 : ENOMEM;

	mirror->busy = true;
	take_wanted(mirror);
	for (; slots; slots &= slots - 1)
		mirror_bits_or(&mirror->missed[__builtin_ctz(slots)].bits, bits);
	for (unsigned r = mirror_bits_next(bits, 0); r < mirror->regions && !error;) {
		unsigned piece = r / MIRROR_MAP_BITS;

		error = mark_piece(mirror, batch, piece);
		r = mirror_bits_next(bits, (piece + 1) * MIRROR_MAP_BITS);
	}
	if (!error) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	put_off(mirror);
	mirror_bits_fill(bits, false);
	mirror_out_of_memory(mirror);
	mirror->busy = false; /* the retry's timer looks again */
}

/* ---- for copying ---- */

void mirror_region_equal(struct mirror *mirror, unsigned region)
{
	mirror_bits_clear(&mirror->suspect, region);
}

void mirror_region_copied(struct mirror *mirror, struct mirror_node *node, unsigned region)
{
	struct mirror_missed *missed = &mirror->missed[node->slot];

	if (node->state != MIRROR_NODE_RESYNC || !mirror_bits_get(&missed->bits, region))
		return;
	mirror_bits_set(&missed->copied, region);
	if (mirror_region_to_copy(mirror, node, 0) == mirror->regions)
		mirror_home_poke(mirror);
}

unsigned mirror_region_to_copy(struct mirror *mirror, const struct mirror_node *node, unsigned from)
{
	struct mirror_missed *missed = &mirror->missed[node->slot];

	return mirror_bits_next_but(&missed->bits, &missed->copied, &missed->settling, from);
}

/* ---- life ---- */

/* All bitmaps of a mirror; calls `each` for them until one fails. */
static int for_all_bits(struct mirror *mirror,
			int (*each)(struct mirror_bits *bits, unsigned count))
{
	struct mirror_bits *all[] = {&mirror->marked,
				     &mirror->suspect,
				     &mirror->wanted,
				     &mirror->touched,
				     &mirror->work->marking.bits,
				     &mirror->work->clearing.idle,
				     &mirror->work->clearing.bits};
	int error = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(*all) && !error; i++)
		error = each(all[i], mirror->regions);
	for (unsigned i = 0; i < MIRROR_MAX_NODES && !error; i++) {
		struct mirror_missed *missed = &mirror->missed[i];

		error = each(&missed->bits, mirror->regions);
		if (!error)
			error = each(&missed->copied, mirror->regions);
		if (!error)
			error = each(&missed->settling, mirror->regions);
	}
	return error;
}

static int destroy_one(struct mirror_bits *bits, unsigned count)
{
	mirror_bits_destroy(bits);
	return 0;
}

static int reset_one(struct mirror_bits *bits, unsigned count)
{
	mirror_bits_fill(bits, false);
	return 0;
}

int mirror_marks_init(struct mirror *mirror)
{
	return for_all_bits(mirror, mirror_bits_init);
}

int mirror_marks_reserve(struct mirror *mirror, unsigned regions)
{
	unsigned before = mirror->regions;
	int error;

	mirror->regions = regions; /* what for_all_bits() passes on; nobody else is at work now */
	error = for_all_bits(mirror, mirror_bits_reserve);
	mirror->regions = before;
	return error;
}

static int extend_one(struct mirror_bits *bits, unsigned count)
{
	bits->count = count;
	return 0;
}

void mirror_marks_extend(struct mirror *mirror, unsigned regions)
{
	mirror->regions = regions;
	for_all_bits(mirror, extend_one);
}

void mirror_marks_reset(struct mirror *mirror)
{
	for_all_bits(mirror, reset_one);
}

void mirror_marks_destroy(struct mirror *mirror)
{
	for_all_bits(mirror, destroy_one);
}
