/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_history.c - mirror_meta.h and mirror_start.h through whole lives of mirrors: writes, nodes
 * lost and brought back, clean ends, with a crash between any two durable writes and any nodes
 * there afterwards. A model of the mirror as its headers describe it writes superblocks and maps to
 * model nodes; after each crash the real judgement decides what starts, and must never serve a node that
 * lacks what was acknowledged, or let two that differ pass for equal.
 */
#include "dstfs/mirror_start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODES_MOST 4u
#define REGIONS 5u
#define NEVER UINT32_MAX

typedef unsigned mask; /* of nodes, which are their slots too; or of regions, in maps */

struct node {
	/* Durable. */
	struct mirror_super super;
	unsigned data[REGIONS]; /* the number of the write that it has */
	mask dirty, missed[NODES_MOST];
	/* Not. */
	bool there;
};

struct world {
	uint64_t random;
	unsigned count;
	struct node nodes[NODES_MOST];
	struct mirror_witness witness; /* durable, unless forgotten */
	struct mirror_start_policy policy;
	unsigned acked[REGIONS]; /* the last write there that was acknowledged */
	unsigned writes; /* how many there were */
	unsigned steps, crash_at; /* durable writes so far; at which one it crashes */
	bool crashed, stopped; /* stopped: no quorum, or nobody left */
	unsigned failing; /* one of so many writes finds its node gone; 0: none */
	bool forced; /* something may have been given up on purpose */

	/* The running mirror's. */
	struct mirror_super super;
	mask dirty, missed[NODES_MOST];
	uint64_t ids;
};

static struct {
	unsigned starts, refused, splits, forced, resyncs, crashes;
} seen;

static unsigned draw(struct world *w, unsigned bound)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (unsigned)((z ^ z >> 31) % bound);
}

static void new_id(struct world *w, uint8_t id[DST_ID_SIZE])
{
	memset(id, 0, DST_ID_SIZE);
	w->ids++;
	memcpy(id, &w->ids, sizeof(w->ids));
}

static mask in_state(const struct world *w, enum mirror_member_state state)
{
	mask found = 0;

	for (unsigned i = 0; i < w->count; i++)
		if (w->super.members[i].state == state)
			found |= 1u << i;
	return found;
}

/* ---- durable writes: one node each, in any order, with a crash or a loss in between ---- */

typedef void step_fn(struct world *w, unsigned node, unsigned arg);

/* Those of the nodes that failed. */
static mask on_each(struct world *w, mask nodes, step_fn *step, unsigned arg)
{
	mask failed = 0;

	while (nodes && !w->crashed) {
		unsigned node = draw(w, w->count);

		if (!(nodes & 1u << node))
			continue;
		nodes &= ~(1u << node);
		if (w->failing && !draw(w, w->failing))
			w->nodes[node].there = false;
		if (!w->nodes[node].there) {
			failed |= 1u << node;
			/* It may have been done all the same: the answer was lost. */
			if (draw(w, 2))
				continue;
		}
		if (w->steps++ == w->crash_at) {
			w->crashed = true;
			break;
		}
		step(w, node, arg);
	}
	return failed;
}

static void put_dirty(struct world *w, unsigned node, unsigned arg)
{
	w->nodes[node].dirty = w->dirty;
}

static void put_missed(struct world *w, unsigned node, unsigned arg)
{
	w->nodes[node].missed[arg] = w->missed[arg];
}

static void put_super(struct world *w, unsigned node, unsigned arg)
{
	struct mirror_super *super = &w->nodes[node].super;
	uint64_t sequence = super->sequence + 1;

	*super = w->super;
	super->self = node;
	super->sequence = sequence;
}

static void put_data(struct world *w, unsigned node, unsigned arg)
{
	w->nodes[node].data[arg] = w->writes;
}

/* ---- changes of the set ---- */

static void leave(struct world *w, mask failed);

static void save_witness(struct world *w)
{
	if (w->crashed)
		return;
	if (w->steps++ == w->crash_at) {
		w->crashed = true;
		return;
	}
	w->witness = (struct mirror_witness){.known = true, .generation = w->super.generation};
	memcpy(w->witness.set, w->super.set, DST_ID_SIZE);
	for (unsigned i = 0; i < w->count; i++)
		w->witness.in_sync[i] = w->super.members[i].state == MIRROR_IN_SYNC;
}

/*
 * The superblocks are written, first to those that were and stay in sync: as long as none of them has the
 * new generation they may go on from the old one, and then nobody else may have it. Whoever fails
 * there leaves, too.
 */
static void publish(struct world *w, bool raised, mask joining)
{
	mask first = in_state(w, MIRROR_IN_SYNC) & ~joining;
	mask then = joining | in_state(w, MIRROR_INCONSISTENT);
	mask failed = on_each(w, first, put_super, 0);

	/* Who was to join can't be the one that stays: the others may know nothing of it. */
	for (unsigned i = 0; i < w->count && failed; i++)
		if (joining & 1u << i)
			w->super.members[i].state = MIRROR_INCONSISTENT;
	if (!failed)
		failed = on_each(w, then, put_super, 0);
	if (w->crashed)
		return;
	if (failed) {
		leave(w, failed);
		return;
	}
	if (!raised)
		return;
	save_witness(w);
	if (w->policy.majority) {
		unsigned votes = 1 + (unsigned)__builtin_popcount(first | then);

		if (2 * votes <= w->count + 1)
			w->stopped = true;
	}
}

static void leave(struct world *w, mask failed)
{
	mask before = in_state(w, MIRROR_IN_SYNC), stay = before, left = 0;
	uint8_t id[DST_ID_SIZE];

	/* Until those that stay have recorded it for all of the others. */
	while (left != failed && !w->crashed) {
		stay = before & ~failed;
		for (unsigned i = 0; i < w->count; i++) {
			if (!(failed & 1u << i) || w->super.members[i].state == MIRROR_ABSENT)
				continue;
			if (before & 1u << i)
				memcpy(w->super.members[i].left, w->super.generation.uuid,
				       DST_ID_SIZE);
			w->super.members[i].state = MIRROR_ABSENT;
			w->missed[i] |= w->dirty;
		}
		left = failed;
		for (unsigned i = 0; i < w->count; i++)
			if (left & 1u << i)
				failed |= on_each(w, stay, put_missed, i);
	}
	if (w->crashed)
		return;
	if (!stay) {
		w->stopped = true; /* nothing is recorded, nothing more acknowledged */
		return;
	}
	if (failed & before) {
		new_id(w, id);
		mirror_generation_raise(&w->super, id);
	}
	publish(w, failed & before, 0);
}

/* ---- a running mirror ---- */

static void mark(struct world *w, unsigned region)
{
	mask in_sync = in_state(w, MIRROR_IN_SYNC), failed;

	w->dirty |= 1u << region;
	failed = on_each(w, in_sync, put_dirty, 0);
	for (unsigned i = 0; i < w->count; i++) {
		if (w->super.members[i].state != MIRROR_ABSENT)
			continue;
		w->missed[i] |= 1u << region;
		failed |= on_each(w, in_sync & ~failed, put_missed, i);
	}
	if (failed)
		leave(w, failed);
}

static void write_region(struct world *w, unsigned region)
{
	mask failed;

	mark(w, region);
	if (w->crashed || w->stopped)
		return;
	w->writes++;
	failed = on_each(w, in_state(w, MIRROR_IN_SYNC) | in_state(w, MIRROR_INCONSISTENT),
			 put_data, region);
	if (failed)
		leave(w, failed);
	if (!w->crashed && !w->stopped)
		w->acked[region] = w->writes;
}

/* What is in sync is equal there: nothing is under way in this model. */
static void clear(struct world *w, unsigned region)
{
	mask failed;

	w->dirty &= ~(1u << region);
	failed = on_each(w, in_state(w, MIRROR_IN_SYNC), put_dirty, 0);
	if (failed) {
		w->dirty |= 1u << region;
		leave(w, failed);
	}
}

static void copy(struct world *w, unsigned node, unsigned region)
{
	unsigned source = (unsigned)__builtin_ctz(in_state(w, MIRROR_IN_SYNC));

	if (w->steps++ == w->crash_at)
		w->crashed = true;
	else
		w->nodes[node].data[region] = w->nodes[source].data[region];
}

/* An absent node is there: it is copied to, while writes go on. */
static void resync(struct world *w, unsigned node)
{
	struct mirror_member *member = &w->super.members[node];
	mask left;
	uint8_t id[DST_ID_SIZE];

	if (!mirror_generation_contains(&w->super, w->nodes[node].super.generation.uuid))
		return; /* it moved on by itself: split brain, and refused */
	seen.resyncs++;
	member->state = MIRROR_INCONSISTENT;
	member->detached = false;
	publish(w, false, 0);
	if (w->crashed || w->stopped || member->state != MIRROR_INCONSISTENT)
		return;
	left = member->full ? (1u << REGIONS) - 1 : w->missed[node] | w->dirty;
	while (left && !w->crashed && !w->stopped && member->state == MIRROR_INCONSISTENT) {
		unsigned region = draw(w, REGIONS);
		mask failed;

		if (draw(w, 3) == 0) {
			write_region(w, draw(w, REGIONS));
			continue;
		}
		if (!(left & 1u << region))
			continue;
		copy(w, node, region);
		left &= ~(1u << region);
		if (w->crashed || member->full)
			continue; /* that the whole is to be compared ends at once */
		w->missed[node] &= ~(1u << region);
		failed = on_each(w, in_state(w, MIRROR_IN_SYNC), put_missed, node);
		if (failed)
			leave(w, failed);
	}
	if (w->crashed || w->stopped || member->state != MIRROR_INCONSISTENT)
		return;
	/* All maps first, then it is one of them. */
	w->missed[node] = 0;
	if (on_each(w, 1u << node, put_dirty, 0))
		return;
	for (unsigned i = 0; i < w->count; i++)
		if (on_each(w, 1u << node, put_missed, i))
			return;
	member->state = MIRROR_IN_SYNC;
	member->full = false;
	new_id(w, id);
	mirror_generation_raise(&w->super, id);
	publish(w, true, 1u << node);
	for (unsigned i = 0; i < w->count && !w->crashed; i++)
		if (w->super.members[i].state == MIRROR_IN_SYNC && i != node)
			on_each(w, 1u << i, put_missed, node); /* clear of what no longer counts */
}

static void detach_node(struct world *w, unsigned node)
{
	uint8_t id[DST_ID_SIZE];

	if (w->super.members[node].state != MIRROR_IN_SYNC ||
	    in_state(w, MIRROR_IN_SYNC) == 1u << node)
		return;
	w->super.members[node].detached = true;
	w->missed[node] |= w->dirty;
	if (on_each(w, in_state(w, MIRROR_IN_SYNC) & ~(1u << node), put_missed, node))
		w->super.members[node].detached = false;
	if (w->crashed || !w->super.members[node].detached)
		return;
	memcpy(w->super.members[node].left, w->super.generation.uuid, DST_ID_SIZE);
	w->super.members[node].state = MIRROR_ABSENT;
	new_id(w, id);
	mirror_generation_raise(&w->super, id);
	publish(w, true, 0);
}

static void clean_end(struct world *w)
{
	for (unsigned r = 0; r < REGIONS; r++)
		if (w->dirty & 1u << r && !w->crashed && !w->stopped)
			clear(w, r);
	if (w->crashed || w->stopped)
		return;
	w->super.clean = true;
	on_each(w, in_state(w, MIRROR_IN_SYNC), put_super, 0);
	w->stopped = true;
}

/* ---- the start ---- */

/* The maps that count after this start: of the nodes in sync, of those that aren't clean. */
static void load_maps(struct world *w, const struct mirror_start *start)
{
	w->dirty = 0;
	memset(w->missed, 0, sizeof(w->missed));
	for (unsigned i = 0; i < w->count; i++) {
		if (start->roles[i] != MIRROR_ROLE_IN_SYNC)
			continue;
		if (!w->nodes[i].super.clean)
			w->dirty |= w->nodes[i].dirty;
		for (unsigned m = 0; m < w->count; m++)
			w->missed[m] |= w->nodes[i].missed[m];
	}
}

/* The heart of it: may what was judged be served? */
static bool check_served(const struct world *w, const struct mirror_start *start)
{
	unsigned first = 0;

	while (start->roles[first] != MIRROR_ROLE_IN_SYNC)
		first++;
	for (unsigned i = 0; i < w->count; i++)
		for (unsigned r = 0; r < REGIONS; r++) {
			const struct node *node = &w->nodes[i];
			mask differing = w->dirty | w->missed[i];
			bool equal = node->data[r] == w->nodes[first].data[r];

			if (start->roles[i] == MIRROR_ROLE_IN_SYNC) {
				if (node->data[r] < w->acked[r])
					return false;
				if (!equal && !(start->make_equal && w->dirty & 1u << r))
					return false;
			}
			if (start->roles[i] == MIRROR_ROLE_PARTIAL && !equal &&
			    !(differing & 1u << r))
				return false;
		}
	return true;
}

/* From the judgement to a running mirror. */
static void begin(struct world *w, const struct mirror_start *start)
{
	mask in_sync = 0, there = 0, before;
	unsigned primary;
	uint8_t id[DST_ID_SIZE];

	w->failing = 0; /* a node that fails during the start is another start */
	w->super = w->nodes[start->newest].super;
	before = in_state(w, MIRROR_IN_SYNC);
	w->super.clean = false;
	for (unsigned i = 0; i < w->count; i++)
		if (start->roles[i] == MIRROR_ROLE_IN_SYNC)
			in_sync |= 1u << i;
	for (unsigned i = 0; i < w->count; i++)
		there |= (unsigned)w->nodes[i].there << i;
	for (unsigned i = 0; i < w->count; i++) {
		struct mirror_member *member = &w->super.members[i];

		if (in_sync & 1u << i) {
			member->state = MIRROR_IN_SYNC;
			member->detached = member->full = false;
			continue;
		}
		if (member->state == MIRROR_IN_SYNC)
			memcpy(member->left, w->super.generation.uuid, DST_ID_SIZE);
		member->state = MIRROR_ABSENT; /* until it was told again that it is copied to */
		w->missed[i] |= w->dirty;
		member->full |= start->stale;
		on_each(w, in_sync, put_missed, i);
	}
	if (before != in_sync || start->forced) {
		new_id(w, id);
		mirror_generation_raise(&w->super, id);
	}
	/* Dirty as a whole before it isn't clean any more; else an old map counts again. */
	on_each(w, in_sync, put_dirty, 0);
	on_each(w, in_sync, put_super, 0);
	if (start->stale)
		on_each(w, there & ~in_sync, put_super, 0);
	/* What it says may be older: the crash may have come before it was told. */
	if (!w->witness.known ||
	    memcmp(w->witness.generation.uuid, w->super.generation.uuid, DST_ID_SIZE) != 0)
		save_witness(w);
	primary = (unsigned)__builtin_ctz(in_sync);
	for (unsigned r = 0; r < REGIONS && start->make_equal; r++)
		for (unsigned i = 0; i < w->count && w->dirty & 1u << r && !w->crashed; i++)
			if (in_sync & 1u << i && i != primary) {
				if (w->steps++ == w->crash_at)
					w->crashed = true;
				else
					w->nodes[i].data[r] = w->nodes[primary].data[r];
			}
}

/* What a person gives up by force, or by choosing a side: what is served is the truth from now on. */
static void accept_loss(struct world *w, const struct mirror_start *start)
{
	unsigned first = 0;

	while (start->roles[first] != MIRROR_ROLE_IN_SYNC)
		first++;
	memcpy(w->acked, w->nodes[first].data, sizeof(w->acked));
	for (unsigned i = first + 1; i < w->count; i++)
		for (unsigned r = 0; r < REGIONS; r++)
			if (start->roles[i] == MIRROR_ROLE_IN_SYNC &&
			    w->nodes[i].data[r] < w->acked[r])
				w->acked[r] = w->nodes[i].data[r];
	w->forced = true;
}

/*
 * dstctl mirror resolve: one side goes on, and those of the others that are there are told so. That their
 * generations are none of its ancestors is as it should be: nodes of theirs that come later are
 * still split brain.
 */
static void resolve(struct world *w, unsigned keep)
{
	uint8_t id[DST_ID_SIZE];

	w->super = w->nodes[keep].super;
	if (w->super.members[keep].state != MIRROR_IN_SYNC || !w->nodes[keep].there)
		return;
	for (unsigned i = 0; i < w->count; i++) {
		if (!w->nodes[i].there ||
		    mirror_generation_contains(&w->super, w->nodes[i].super.generation.uuid))
			continue;
		w->super.members[i].state = MIRROR_ABSENT;
		w->super.members[i].full = true;
		w->super.members[i].detached = false;
	}
	new_id(w, id);
	mirror_generation_raise(&w->super, id);
	w->crash_at = NEVER;
	on_each(w, 1u << keep, put_super, 0);
	for (unsigned i = 0; i < w->count; i++)
		if (w->nodes[i].there && w->super.members[i].full)
			on_each(w, 1u << i, put_super, 0);
	save_witness(w);
	memset(w->acked, 0, sizeof(w->acked));
	w->forced = true;
}

static void print_world(const struct world *w, const struct mirror_start *start)
{
	print_error("step %u, dirty %x, equal %d, newest %u; acknowledged", w->steps, w->dirty,
		    start->make_equal, start->newest);
	for (unsigned r = 0; r < REGIONS; r++)
		print_error(" %u", w->acked[r]);
	for (unsigned i = 0; i < w->count; i++) {
		const struct mirror_super *super = &w->nodes[i].super;

		print_error("\nnode %u: role %d, generation %llu, clean %d, dirty %x, missed", i,
			    start->roles[i], (unsigned long long)super->generation.counter,
			    super->clean, w->nodes[i].dirty);
		for (unsigned m = 0; m < w->count; m++)
			print_error(" %x", w->nodes[i].missed[m]);
		print_error(", members");
		for (unsigned m = 0; m < w->count; m++)
			print_error(" %d", super->members[m].state);
		print_error(", data");
		for (unsigned r = 0; r < REGIONS; r++)
			print_error(" %u", w->nodes[i].data[r]);
	}
	print_error("\n");
}

/* A start with the nodes of `there`. True: it runs. */
static bool start_with(struct world *w, mask there, bool force)
{
	static const char *const names[NODES_MOST] = {"a", "b", "c", "d"};
	struct mirror_found found[NODES_MOST];
	struct mirror_start_policy policy = w->policy;
	struct mirror_start start;
	enum mirror_verdict verdict;
	unsigned before[REGIONS];

	for (unsigned i = 0; i < w->count; i++) {
		w->nodes[i].there = there >> i & 1;
		found[i] = (struct mirror_found){
			.name = names[i], .present = there >> i & 1, .super = w->nodes[i].super};
	}
	policy.force = force;
	verdict = mirror_start_judge(&start, found, w->count, &w->witness, &policy);
	w->crashed = w->stopped = false;
	if (verdict) {
		seen.refused++;
		seen.splits += verdict == MIRROR_START_SPLIT;
		/* Whatever has happened, but for what a person forced: all together may start. */
		if (there == (1u << w->count) - 1 && !w->forced)
			fail_msg("refused with all there: %s", start.text);
		if (verdict == MIRROR_START_SPLIT) {
			assert_true(w->forced);
			resolve(w, draw(w, w->count));
		}
		return false;
	}
	seen.starts++;
	memcpy(before, w->acked, sizeof(before));
	load_maps(w, &start);
	if (start.forced) {
		seen.forced++;
		accept_loss(w, &start);
	}
	if (!check_served(w, &start)) {
		print_world(w, &start);
		fail_msg("serves what lacks something acknowledged, or differs");
	}
	begin(w, &start);
	for (unsigned r = 0; r < REGIONS && w->crashed; r++)
		if (before[r] < w->acked[r])
			w->acked[r] = before[r]; /* it wasn't given up after all */
	return !w->crashed;
}

/* ---- histories ---- */

static void init(struct world *w, uint64_t seed, unsigned count)
{
	memset(w, 0, sizeof(*w));
	w->random = seed;
	w->count = count;
	w->crash_at = NEVER;
	w->super.data_size = REGIONS * MIRROR_MIN_REGION;
	w->super.region_size = MIRROR_MIN_REGION;
	w->super.clean = true;
	new_id(w, w->super.set);
	new_id(w, w->super.generation.uuid);
	for (unsigned i = 0; i < count; i++) {
		w->super.members[i].state = MIRROR_IN_SYNC;
		new_id(w, w->super.members[i].id);
	}
	for (unsigned i = 0; i < count; i++) {
		w->nodes[i].there = true;
		put_super(w, i, 0);
	}
}

static void live(struct world *w, unsigned actions)
{
	while (actions-- && !w->crashed && !w->stopped) {
		unsigned node = draw(w, w->count);
		mask bit = 1u << node;

		switch (draw(w, 12)) {
		case 0:
			clear(w, draw(w, REGIONS));
			break;
		case 1:
			w->nodes[node].there = false; /* seen at the next write */
			break;
		case 2:
		case 3:
		case 4:
			w->nodes[node].there = true;
			if (in_state(w, MIRROR_ABSENT) & bit && !w->super.members[node].detached)
				resync(w, node);
			break;
		case 5:
			if (!draw(w, 4))
				detach_node(w, node);
			break;
		case 6: /* attached again: as a whole, or it is trusted that nobody has changed it */
			if (w->super.members[node].detached && w->nodes[node].there) {
				w->super.members[node].full |= draw(w, 2);
				resync(w, node);
			}
			break;
		case 7:
			if (!draw(w, 4))
				clean_end(w);
			break;
		default:
			write_region(w, draw(w, REGIONS));
		}
	}
	seen.crashes += w->crashed;
}

/* Crashes and starts with whoever is there, over and over. */
static void run_history(uint64_t seed, bool force)
{
	struct world w;

	init(&w, seed, 2 + (unsigned)(seed % 3));
	w.policy.majority = draw(&w, 2);
	for (unsigned life = 0; life < 12; life++) {
		mask there = draw(&w, 3) ? draw(&w, 1u << w.count) : (1u << w.count) - 1;

		w.crash_at = w.steps + draw(&w, 60);
		if (!force && !draw(&w, 8))
			w.witness.known = false; /* another client, or its disk is new */
		if (!start_with(&w, there, force && !draw(&w, 4)))
			continue;
		w.failing = draw(&w, 2) ? 20 + draw(&w, 20) : 0;
		live(&w, 20);
	}
}

static void test_random_histories(void **state)
{
	memset(&seen, 0, sizeof(seen));
	for (uint64_t seed = 1; seed <= 60000; seed++)
		run_history(seed, false);
	assert_int_equal(seen.splits, 0);
	assert_int_equal(seen.forced, 0);
	assert_true(seen.starts > 100000 && seen.refused > 100000);
	assert_true(seen.resyncs > 10000 && seen.crashes > 10000);
}

static void test_random_histories_with_force(void **state)
{
	memset(&seen, 0, sizeof(seen));
	for (uint64_t seed = 1; seed <= 30000; seed++)
		run_history(seed, true);
	assert_true(seen.forced > 1000 && seen.splits > 100);
}

/* One life, a crash at each of its durable writes, then each set of nodes that may come back. */
static void test_every_crash(void **state)
{
	for (uint64_t seed = 1; seed <= 150; seed++) {
		unsigned count = 2 + (unsigned)(seed % 3), steps = 1;

		for (unsigned crash_at = 0; crash_at <= steps; crash_at++) {
			struct world w, after;

			init(&w, seed, count);
			w.policy.majority = seed & 1;
			w.crash_at = crash_at;
			if (start_with(&w, (1u << count) - 1, false)) {
				w.failing = 25;
				live(&w, 12);
			}
			if (crash_at == steps && w.crashed)
				steps++; /* it isn't over yet */
			for (mask there = 0; there < 1u << count; there++)
				for (unsigned forget = 0; forget < 2; forget++) {
					after = w;
					after.crash_at = NEVER;
					after.failing = 0;
					if (forget)
						after.witness.known = false;
					if (start_with(&after, there, false)) {
						live(&after, 5);
						if (!after.stopped)
							clean_end(&after);
					}
					start_with(&after, (1u << count) - 1, false);
				}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_crash),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_random_histories_with_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
