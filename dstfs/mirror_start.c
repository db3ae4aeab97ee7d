/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_start.c - see mirror_start.h */
#include "dstfs/mirror_start.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the judgement is made of. */
struct judge {
	struct mirror_start *start;
	const struct mirror_found *found;
	unsigned count;
	const struct mirror_witness *witness;
	const struct mirror_start_policy *policy;
	const uint8_t *set; /* that is judged */
	const struct mirror_super *newest;
};

__attribute__((format(printf, 2, 3))) static void say(struct judge *judge, const char *format, ...)
{
	size_t used = strlen(judge->start->text);
	va_list args;

	if (used && used < sizeof(judge->start->text) - 1)
		judge->start->text[used++] = '\n';
	va_start(args, format);
	vsnprintf(judge->start->text + used, sizeof(judge->start->text) - used, format, args);
	va_end(args);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, DST_ID_SIZE);
}

/* Has it a superblock of the set that is being judged? */
static bool of_set(const struct judge *judge, unsigned i)
{
	const struct mirror_found *found = &judge->found[i];

	return found->present && !found->blank && same(found->super.set, judge->set);
}

/* Is the node there, and that member? Once there are roles. */
static bool is_member(const struct judge *judge, unsigned i, unsigned slot)
{
	return judge->start->roles[i] != MIRROR_ROLE_MISSING &&
	       judge->start->roles[i] != MIRROR_ROLE_FOREIGN && judge->found[i].super.self == slot;
}

static bool slot_is_there(const struct judge *judge, unsigned slot)
{
	for (unsigned i = 0; i < judge->count; i++)
		if (is_member(judge, i, slot))
			return true;
	return false;
}

/* The one node that isn't there, if only one member isn't either; NULL: there may be several. */
static const char *only_missing(const struct judge *judge)
{
	const char *name = NULL;
	unsigned nodes = 0, members = 0;

	for (unsigned i = 0; i < judge->count; i++) {
		if (judge->start->roles[i] != MIRROR_ROLE_MISSING)
			continue;
		nodes++;
		name = judge->found[i].name;
	}
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++) {
		members += judge->newest->members[slot].state != MIRROR_FREE &&
			   !slot_is_there(judge, slot);
	}
	return nodes == 1 && members == 1 ? name : NULL;
}

/* What the node is called that is that member, as far as one can tell. */
static const char *slot_name(const struct judge *judge, unsigned slot, char text[32])
{
	const char *missing = only_missing(judge);

	for (unsigned i = 0; i < judge->count; i++)
		if (is_member(judge, i, slot))
			return judge->found[i].name;
	if (missing)
		return missing;
	snprintf(text, 32, "member %u", slot + 1);
	return text;
}

static const uint8_t *own_id(const struct mirror_found *found)
{
	return found->super.members[found->super.self].id;
}

/* Who claims to be what another node is? */
static bool has_copies(struct judge *judge)
{
	for (unsigned i = 0; i < judge->count; i++)
		for (unsigned j = 0; j < i; j++) {
			if (!of_set(judge, i) || !of_set(judge, j) ||
			    !same(own_id(&judge->found[i]), own_id(&judge->found[j])))
				continue;
			say(judge, "%s and %s claim to be the same member: one is a copy",
			    judge->found[j].name, judge->found[i].name);
			return true;
		}
	return false;
}

/*
 * Which mirror it is about: the one that was used here before, if a node of it is there; else all must
 * be of one. Nodes of others are like those without any.
 */
static bool choose_set(struct judge *judge)
{
	const struct mirror_witness *witness = judge->witness;
	const struct mirror_found *first = NULL, *other = NULL;

	if (judge->policy->resolve) {
		judge->set = judge->found[judge->policy->keep].super.set;
		return !has_copies(judge);
	}
	for (unsigned i = 0; i < judge->count; i++) {
		const struct mirror_found *found = &judge->found[i];

		if (!found->present || found->blank)
			continue;
		if (witness->known && same(found->super.set, witness->set)) {
			judge->set = witness->set;
			return !has_copies(judge);
		}
		if (!first)
			first = found;
		else if (!same(found->super.set, first->super.set))
			other = found;
	}
	if (!first)
		say(judge, "no node that is there holds a mirror: create it (dstctl mirror create "
			   "VOLUME), "
			   "or wait for the others");
	else if (other)
		say(judge,
		    "%s and %s belong to different mirrors: one of them is not what the "
		    "configuration means. Take its line out of the configuration until the volume "
		    "is "
		    "mounted; dstctl mirror replace VOLUME NODE then makes it a member",
		    first->name, other->name);
	else if (witness->known && !judge->policy->force)
		say(judge,
		    "%s belongs to another mirror than the one that was used here before; if it is "
		    "meant: dstctl mirror start VOLUME --force",
		    first->name);
	else
		judge->set = first->super.set;
	return judge->set && !has_copies(judge);
}

/*
 * A node that isn't in sync is told of some changes of a generation only, so of two superblocks of
 * one generation that of a node in sync counts.
 */
static bool is_newer(const struct mirror_super *a, const struct mirror_super *than)
{
	if (!mirror_generation_contains(than, a->generation.uuid))
		return true;
	return same(a->generation.uuid, than->generation.uuid) &&
	       a->members[a->self].state == MIRROR_IN_SYNC &&
	       than->members[than->self].state != MIRROR_IN_SYNC;
}

static void say_split(struct judge *judge, const struct mirror_found *a,
		      const struct mirror_found *b)
{
	say(judge,
	    "split brain: %s (generation %llu) and %s (generation %llu) were both written to "
	    "without each other. Nothing is merged; choose which one to keep: dstctl mirror "
	    "resolve VOLUME --keep %s, or --keep %s: what only the other one has is lost then",
	    a->name, (unsigned long long)a->super.generation.counter, b->name,
	    (unsigned long long)b->super.generation.counter, a->name, b->name);
}

/* The generation that contains all others; false: two moved on without each other. */
static bool choose_newest(struct judge *judge)
{
	unsigned newest = judge->count;

	if (judge->policy->resolve) {
		judge->start->newest = judge->policy->keep;
		judge->newest = &judge->found[judge->policy->keep].super;
		return true;
	}
	for (unsigned i = 0; i < judge->count; i++)
		if (of_set(judge, i) &&
		    (newest == judge->count ||
		     is_newer(&judge->found[i].super, &judge->found[newest].super)))
			newest = i;
	judge->start->newest = newest;
	judge->newest = &judge->found[newest].super;
	for (unsigned i = 0; i < judge->count; i++) {
		if (!of_set(judge, i) ||
		    mirror_generation_contains(judge->newest,
					       judge->found[i].super.generation.uuid))
			continue;
		say_split(judge, &judge->found[i < newest ? i : newest],
			  &judge->found[i < newest ? newest : i]);
		return false;
	}
	return true;
}

/* Superblocks of the newest generation must agree about who is in sync. */
static bool contradicts(struct judge *judge)
{
	for (unsigned i = 0; i < judge->count; i++) {
		const struct mirror_super *super = &judge->found[i].super;

		if (!of_set(judge, i) ||
		    !same(super->generation.uuid, judge->newest->generation.uuid))
			continue;
		for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++) {
			if ((super->members[slot].state == MIRROR_IN_SYNC) ==
			    (judge->newest->members[slot].state == MIRROR_IN_SYNC))
				continue;
			say(judge,
			    "%s and %s say different things of generation %llu: one of them was "
			    "changed from outside",
			    judge->found[judge->start->newest].name, judge->found[i].name,
			    (unsigned long long)super->generation.counter);
			return true;
		}
	}
	return false;
}

static enum mirror_role role_of(const struct judge *judge, unsigned i)
{
	const struct mirror_found *found = &judge->found[i];
	const struct mirror_member *member;

	if (!found->present)
		return MIRROR_ROLE_MISSING;
	if (!of_set(judge, i))
		return MIRROR_ROLE_FOREIGN;
	member = &judge->newest->members[found->super.self];
	if (!same(member->id, own_id(found)))
		return MIRROR_ROLE_FOREIGN; /* its place is another's now */
	switch (member->state) {
	case MIRROR_IN_SYNC:
		return MIRROR_ROLE_IN_SYNC;
	case MIRROR_ABSENT:
		if (member->detached)
			return MIRROR_ROLE_DETACHED;
		if (member->suspended)
			return MIRROR_ROLE_SUSPENDED;
		return member->full ? MIRROR_ROLE_COMPARE : MIRROR_ROLE_PARTIAL;
	case MIRROR_INCONSISTENT:
		return member->full ? MIRROR_ROLE_COMPARE : MIRROR_ROLE_PARTIAL;
	default:
		return MIRROR_ROLE_FOREIGN;
	}
}

/* In sync in the newest generation, and there. */
static unsigned count_in_sync(const struct judge *judge)
{
	unsigned count = 0;

	for (unsigned i = 0; i < judge->count; i++)
		count += judge->start->roles[i] == MIRROR_ROLE_IN_SYNC;
	return count;
}

/* Does the witness know of a generation that nobody here does? Then all of these are stale. */
static bool witness_is_ahead(const struct judge *judge)
{
	const struct mirror_witness *witness = judge->witness;

	return witness->known && same(witness->set, judge->newest->set) &&
	       !mirror_generation_contains(judge->newest, witness->generation.uuid);
}

static void say_stale(struct judge *judge)
{
	const struct mirror_witness *witness = judge->witness;
	char text[32];

	say(judge,
	    "what is there is stale: generation %llu, while this client has written to "
	    "generation %llu. These had it:",
	    (unsigned long long)judge->newest->generation.counter,
	    (unsigned long long)witness->generation.counter);
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		if (witness->in_sync[slot])
			say(judge, "  %s%s", slot_name(judge, slot, text),
			    slot_is_there(judge, slot)
				    ? ", which is here without it: it was given up, or set back"
				    : "");
	if (!judge->policy->force)
		say(judge,
		    "bring one of them back that has it; or go on without what only they have: "
		    "dstctl mirror resolve VOLUME --keep NODE");
}

static unsigned count_members(const struct judge *judge)
{
	unsigned members = 0;

	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		members += judge->newest->members[slot].state != MIRROR_FREE;
	return members;
}

/* Names those in sync that are missing; how many. */
static unsigned say_missing(struct judge *judge)
{
	unsigned missing = 0;
	char text[32];

	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++) {
		if (judge->newest->members[slot].state != MIRROR_IN_SYNC ||
		    slot_is_there(judge, slot))
			continue;
		missing++;
		say(judge,
		    "%s is missing, and was in sync in generation %llu: it may hold newer data, "
		    "written without the others",
		    slot_name(judge, slot, text),
		    (unsigned long long)judge->newest->generation.counter);
	}
	if (missing && count_members(judge) > judge->count)
		say(judge,
		    "the mirror has %u members, and the configuration %u nodes: a node's line is "
		    "missing there",
		    count_members(judge), judge->count);
	return missing;
}

static bool has_quorum(struct judge *judge)
{
	const struct mirror_witness *witness = judge->witness;
	unsigned members = count_members(judge), votes = 0;

	if (!judge->policy->majority)
		return true;
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		votes += judge->newest->members[slot].state != MIRROR_FREE &&
			 slot_is_there(judge, slot);
	if (witness->known && same(witness->set, judge->newest->set))
		votes++;
	if (2 * votes > members + 1)
		return true;
	say(judge, "no majority: %u of %u votes (the nodes and this client's witness)", votes,
	    members + 1);
	return false;
}

/* Whatever is not as it must be. OK, or the first reason against a start. */
static enum mirror_verdict judge_missing(struct judge *judge)
{
	unsigned in_sync = count_in_sync(judge);
	enum mirror_verdict verdict = MIRROR_START_OK;

	if (witness_is_ahead(judge)) {
		say_stale(judge);
		verdict = MIRROR_START_ALTERNATE;
	} else if (say_missing(judge) || !has_quorum(judge)) {
		verdict = MIRROR_START_WAIT;
	} else if (in_sync < judge->policy->min_nodes) {
		say(judge, "%u nodes are in sync; min_nodes is %u", in_sync,
		    judge->policy->min_nodes);
		verdict = MIRROR_START_WAIT;
	}
	if (verdict == MIRROR_START_WAIT && !judge->policy->force)
		say(judge, "to go on with what is there all the same: dstctl mirror start VOLUME "
			   "--force");
	return verdict;
}

/* All of its data is of some generation: it never was a target of copying that didn't end. */
static bool is_whole(const struct judge *judge, unsigned i)
{
	const struct mirror_super *super = &judge->found[i].super;

	return of_set(judge, i) && judge->start->roles[i] != MIRROR_ROLE_FOREIGN &&
	       judge->newest->members[super->self].state != MIRROR_INCONSISTENT &&
	       super->members[super->self].state != MIRROR_INCONSISTENT;
}

/* With `force` the least stale node serves if none in sync is there, and nothing is known of others. */
static bool force_one(struct judge *judge)
{
	unsigned best = judge->count;

	for (unsigned i = 0; i < judge->count; i++)
		if (is_whole(judge, i) &&
		    (best == judge->count ||
		     !mirror_generation_contains(&judge->found[best].super,
						 judge->found[i].super.generation.uuid)))
			best = i;
	if (best == judge->count)
		return false;
	for (unsigned i = 0; i < judge->count; i++)
		if (judge->start->roles[i] == MIRROR_ROLE_PARTIAL)
			judge->start->roles[i] = MIRROR_ROLE_COMPARE;
	judge->start->roles[best] = MIRROR_ROLE_IN_SYNC;
	judge->start->forced = judge->start->stale = true;
	/* Its past is that of what comes now: those that have moved on without it are split brain. */
	judge->start->newest = best;
	say(judge, "%s serves what it had in generation %llu", judge->found[best].name,
	    (unsigned long long)judge->found[best].super.generation.counter);
	return true;
}

/*
 * The chosen node serves, and with it those that it knows to be in sync. If it isn't so in its own
 * view it serves alone: it was told of those that it now leaves behind.
 */
static enum mirror_verdict keep_one(struct judge *judge)
{
	struct mirror_start *start = judge->start;
	unsigned keep = judge->policy->keep;
	bool alone = start->roles[keep] != MIRROR_ROLE_IN_SYNC;

	if (!is_whole(judge, keep)) {
		say(judge, "%s was only partly copied: it has no state of its own",
		    judge->found[keep].name);
		return MIRROR_START_BROKEN;
	}
	for (unsigned i = 0; i < judge->count; i++) {
		bool knows = start->roles[i] != MIRROR_ROLE_MISSING &&
			     start->roles[i] != MIRROR_ROLE_FOREIGN;
		bool same_past =
			knows && mirror_generation_contains(judge->newest,
							    judge->found[i].super.generation.uuid);

		if (knows && (!same_past || start->roles[i] == MIRROR_ROLE_PARTIAL ||
			      (alone && start->roles[i] == MIRROR_ROLE_IN_SYNC)))
			start->roles[i] = MIRROR_ROLE_COMPARE;
	}
	start->roles[keep] = MIRROR_ROLE_IN_SYNC;
	start->forced = start->stale = true;
	return MIRROR_START_OK;
}

static void note_clean(struct judge *judge)
{
	for (unsigned i = 0; i < judge->count; i++)
		if (judge->start->roles[i] == MIRROR_ROLE_IN_SYNC && !judge->found[i].super.clean)
			judge->start->make_equal = true;
}

enum mirror_verdict mirror_start_judge(struct mirror_start *start, const struct mirror_found *found,
				       unsigned count, const struct mirror_witness *witness,
				       const struct mirror_start_policy *policy)
{
	struct judge judge = {
		.start = start,
		.found = found,
		.count = count,
		.witness = witness,
		.policy = policy,
	};
	enum mirror_verdict verdict;

	*start = (struct mirror_start){.newest = count};
	if (policy->resolve && (!found[policy->keep].present || found[policy->keep].blank)) {
		say(&judge, "%s is not there, or holds no mirror", found[policy->keep].name);
		return MIRROR_START_BROKEN;
	}
	if (!choose_set(&judge))
		return MIRROR_START_BROKEN;
	if (!choose_newest(&judge))
		return MIRROR_START_SPLIT;
	if (contradicts(&judge))
		return MIRROR_START_BROKEN;
	for (unsigned i = 0; i < count; i++)
		start->roles[i] = role_of(&judge, i);
	if (policy->resolve) {
		verdict = keep_one(&judge);
		note_clean(&judge);
		return verdict;
	}
	verdict = judge_missing(&judge);
	if (verdict && policy->force) {
		start->forced = true;
		say(&judge, "started by force: what only others have acknowledged is lost");
		verdict = MIRROR_START_OK;
	}
	if (!verdict && !count_in_sync(&judge) && !(policy->force && force_one(&judge))) {
		say(&judge, "no node that is there has all of the data");
		verdict = MIRROR_START_BROKEN;
	}
	note_clean(&judge);
	return verdict;
}
