/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_resolve.c - a person chooses what a mirror goes on from: see mirror_resolve.h. The survey reads
 * from the losing nodes where they were written to.
 *
 * A mirror that waits is started, with a policy that says so for this once: mirror_start.h tells
 * what follows, and mirror_begin.c does it. One that runs takes the losers in as members that miss
 * everything: they are told its generation, theirs is none of its ancestors.
 */
#include "dstfs/mirror_resolve.h"

#include "dstfs/mirror_home.h"
#include "dstfs/mirror_members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mirror_resolving *resolving_of(struct mirror *mirror)
{
	return &mirror->work->resolving;
}

static bool by_force(const struct mirror_resolving *r)
{
	return r->keep == MIRROR_MAX_NODES;
}

/* ---- what is there ---- */

bool mirror_has_split(const struct mirror *mirror, const struct mirror_node *node)
{
	const struct mirror_super *found = &node->found;
	const struct mirror_member *member = &mirror->super.members[found->self];

	return node->state == MIRROR_NODE_REFUSED && !node->blank && !node->reading &&
	       node->target->state == TARGET_READY &&
	       !memcmp(found->set, mirror->super.set, DST_ID_SIZE) &&
	       member->state != MIRROR_FREE &&
	       !memcmp(member->id, found->members[found->self].id, DST_ID_SIZE) &&
	       !mirror_generation_contains(&mirror->super, found->generation.uuid);
}

/* What waits as it was read; of one that runs those that it runs from, and those that have split. */
static void look(struct mirror *mirror)
{
	struct mirror_resolving *r = resolving_of(mirror);

	r->losers = 0;
	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];
		struct mirror_found *found = &r->found[i];

		*found = (struct mirror_found){.name = node->name, .super = node->found};
		if (mirror->phase == MIRROR_WAITING) {
			found->present = node->read;
			found->blank = node->blank;
		} else if (mirror->read_set & MIRROR_BIT(i)) {
			found->present = true;
			found->super = mirror->super;
			found->super.self = node->slot;
		} else if (mirror_has_split(mirror, node)) {
			found->present = true;
			r->losers |= MIRROR_BIT(i);
		}
	}
}

/* Was what is there now what the survey of that number saw, and was it about the same choice? */
static bool check_survey(struct mirror *mirror, uint64_t number, const struct reason *reason)
{
	const struct mirror_resolving *r = resolving_of(mirror);

	if (number == r->surveyed &&
	    r->digest == mirror_found_digest(r->found, mirror->node_count) + r->keep)
		return true;
	text_refuse(reason, "what is there has changed since it was shown; nothing was done");
	return false;
}

/* ---- the survey ---- */

static void tell(struct mirror *mirror)
{
	struct mirror_resolving *r = resolving_of(mirror);
	char text[MIRROR_ORDER_TEXT];

	r->surveyed = r->order->id;
	r->digest = mirror_found_digest(r->found, mirror->node_count) + r->keep;
	if (by_force(r)) {
		pthread_mutex_lock(&mirror->reason_lock);
		snprintf(text, sizeof(text),
			 "%s\n  kept: what those have that are there\n"
			 "  lost: what only others have. Those that were not written to since are "
			 "overwritten when they are back, those that were are split brain",
			 mirror->reason);
		pthread_mutex_unlock(&mirror->reason_lock);
	} else {
		mirror_losses_tell(text, sizeof(text), r->losses, r->loss_count, r->found,
				   mirror->node_count, r->keep);
	}
	mirror_order_done(r->order, "%s", text);
}

static void on_maps_read(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_resolving *r = resolving_of(mirror);
	mirror_mask failed = mirror_batch_failed(batch);
	const uint8_t *block = r->blocks;

	mirror_batch_free(&batch);
	for (unsigned i = 0; i < r->loss_count; i++) {
		struct mirror_loss *loss = &r->losses[i];

		for (unsigned p = 0;
		     !loss->all && p < mirror_map_pieces(&r->found[loss->node].super);
		     p++, block += MIRROR_MAP_BLOCK)
			mirror_loss_add(loss, r->found, p, block);
		loss->all |= !!(failed & MIRROR_BIT(loss->node));
	}
	mirror_resolve_destroy(mirror);
	if (!mirror->ending)
		tell(mirror);
}

static int add_maps(struct mirror *mirror, struct mirror_batch *batch)
{
	struct mirror_resolving *r = resolving_of(mirror);
	unsigned pieces = 0;
	uint8_t *block;
	int error = 0;

	for (unsigned i = 0; i < r->loss_count; i++)
		pieces += mirror_map_pieces(&r->found[r->losses[i].node].super);
	block = r->blocks = calloc(pieces ? pieces : 1, MIRROR_MAP_BLOCK);
	if (!block)
		return ENOMEM;
	for (unsigned i = 0; i < r->loss_count && !error; i++) {
		const struct mirror_loss *loss = &r->losses[i];
		const struct mirror_super *super = &r->found[loss->node].super;

		for (unsigned p = 0; !loss->all && p < mirror_map_pieces(super) && !error;
		     p++, block += MIRROR_MAP_BLOCK)
			error = mirror_batch_read(batch, loss->node,
						  mirror_map_offset(super, loss->map, p), block);
	}
	return error;
}

static void survey(struct mirror *mirror)
{
	struct mirror_resolving *r = resolving_of(mirror);
	struct mirror_batch *batch = mirror_batch_new(mirror, on_maps_read, mirror);

	r->loss_count =
		by_force(r) ? 0
			    : mirror_loss_find(r->losses, r->found, mirror->node_count, r->keep);
	if (batch && !add_maps(mirror, batch)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	mirror_resolve_destroy(mirror);
	mirror_order_failed(r->order, "out of memory");
}

void mirror_resolve_destroy(struct mirror *mirror)
{
	free(resolving_of(mirror)->blocks);
	resolving_of(mirror)->blocks = NULL;
}

/* ---- a mirror that waits ---- */

void mirror_resolve_over(struct mirror *mirror, const char *why)
{
	struct mirror_resolving *r = resolving_of(mirror);
	struct mirror_start_policy *policy = &mirror->options.start;

	if (!r->starting)
		return;
	r->starting = policy->force = policy->resolve = false;
	if (why)
		mirror_order_failed(r->order, "%s", why);
	else
		mirror_order_done(r->order, "it has started");
}

/* Would it start so? */
static bool judge(struct mirror *mirror, const struct mirror_start_policy *policy,
		  const struct reason *reason)
{
	char line[MIRROR_REASON_MAX];
	struct mirror_start start;

	if (!mirror_start_judge(&start, resolving_of(mirror)->found, mirror->node_count,
				&mirror->witness, policy))
		return true;
	mirror_one_line(start.text, line, sizeof(line));
	text_refuse(reason, "%s", line);
	return false;
}

static void go_on(struct mirror *mirror, const struct mirror_start_policy *policy)
{
	struct mirror_resolving *r = resolving_of(mirror);

	log_warn("volume %s: the mirror goes on %s%s, by command: what only others have is lost",
		 mirror->volume, by_force(r) ? "with what is there" : "from ",
		 by_force(r) ? "" : r->found[r->keep].name);
	r->starting = true;
	mirror->options.start = *policy;
	mirror->work->joining.wait_until = 0;
	mirror->work->joining.judged = false;
	mirror_home_poke(mirror);
}

/* ---- a mirror that runs ---- */

static bool take_losers_in(struct mirror *mirror, struct mirror_change *change,
			   struct mirror_super *super, int *error)
{
	for (mirror_mask rest = resolving_of(mirror)->losers; rest; rest &= rest - 1) {
		struct mirror_member *member =
			&super->members[mirror->nodes[__builtin_ctz(rest)].slot];

		member->state = MIRROR_INCONSISTENT;
		member->full = true;
		member->detached = false;
	}
	return true;
}

static void on_taken_in(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_resolving *r = resolving_of(mirror);

	for (mirror_mask rest = r->losers; rest; rest &= rest - 1) {
		struct mirror_node *node = &mirror->nodes[__builtin_ctz(rest)];

		node->changing = false;
		if (node->state != MIRROR_NODE_RESYNC)
			mirror_join_lost(node);
	}
	if (error)
		mirror_members_failed(r->order, error);
	else
		mirror_order_done(r->order, "the others are compared with %s now",
				  r->found[r->keep].name);
	mirror_home_poke(mirror);
}

static void take_in(struct mirror *mirror)
{
	struct mirror_resolving *r = resolving_of(mirror);

	for (mirror_mask rest = r->losers; rest; rest &= rest - 1) {
		struct mirror_node *node = &mirror->nodes[__builtin_ctz(rest)];

		log_warn("volume %s: what only %s has is overwritten, by command", mirror->volume,
			 node->name);
		node->slot = node->found.self;
		node->changing = true;
	}
	r->order->change.edit = take_losers_in;
	r->order->change.done = on_taken_in;
	mirror_change_submit(mirror, &r->order->change);
}

/* ---- commands ---- */

static bool may_run(struct mirror *mirror, const struct reason *reason)
{
	if (mirror->phase != MIRROR_WAITING)
		return mirror_members_may_change(mirror, reason);
	if (mirror->base.policy->read_only)
		text_refuse(reason, "volume %s is mounted read only: nothing can be recorded",
			    mirror->volume);
	else if (resolving_of(mirror)->starting)
		text_refuse(reason, "the mirror of volume %s is about to start", mirror->volume);
	return !mirror->base.policy->read_only && !resolving_of(mirror)->starting;
}

/* The choice is made: a survey, or what it comes to. */
static json_t *run(struct mirror *mirror, const char *command, const json_t *request,
		   const struct mirror_start_policy *policy, const struct reason *reason)
{
	const json_t *number = json_object_get(request, "survey");
	struct mirror_resolving *r = resolving_of(mirror);
	struct mirror_order *order;
	json_t *answer;

	if (number && !check_survey(mirror, (uint64_t)json_integer_value(number), reason))
		return NULL;
	order = mirror_order_begin(mirror, command, NULL, reason);
	if (!order)
		return NULL;
	r->order = order;
	answer = mirror_order_answer(order); /* it may be over when it was begun */
	if (!number)
		survey(mirror);
	else if (mirror->phase == MIRROR_WAITING)
		go_on(mirror, policy);
	else
		take_in(mirror);
	return answer;
}

json_t *mirror_run_start(struct mirror *mirror, const json_t *request, const struct reason *reason)
{
	struct mirror_start_policy policy = mirror->options.start;

	if (mirror->phase == MIRROR_RUNNING)
		text_refuse(reason, "the mirror of volume %s has started already", mirror->volume);
	if (mirror->phase == MIRROR_RUNNING || !may_run(mirror, reason) ||
	    !mirror_order_may_begin(mirror, NULL, reason))
		return NULL;
	look(mirror);
	resolving_of(mirror)->keep = MIRROR_MAX_NODES;
	policy.force = true;
	if (!judge(mirror, &policy, reason))
		return NULL;
	return run(mirror, "mirror-start", request, &policy, reason);
}

/* Is there something to resolve, and may that node be kept? Fills in what of the policy says so. */
static bool may_keep(struct mirror *mirror, const char *name, struct mirror_start_policy *policy,
		     const struct reason *reason)
{
	const struct mirror_node *node = name ? mirror_find_node(mirror, name) : NULL;
	struct mirror_resolving *r = resolving_of(mirror);
	struct mirror_start start;

	if (!node) {
		text_refuse(reason, "the mirror has no node %.80s", name ? name : "");
		return false;
	}
	r->keep = policy->keep = node->index;
	policy->resolve = true;
	if (mirror->phase == MIRROR_WAITING) {
		if (mirror_start_judge(&start, r->found, mirror->node_count, &mirror->witness,
				       &mirror->options.start))
			return judge(mirror, policy, reason);
		text_refuse(reason, "there is nothing to resolve: the mirror is about to start");
	} else if (!r->losers) {
		text_refuse(reason, "there is nothing to resolve: no node that is there has split");
	} else if (!(mirror->read_set & MIRROR_BIT(node->index))) {
		text_refuse(reason,
			    "the mirror runs without %s; to keep what that one has, unmount first, "
			    "then dstctl mirror resolve again",
			    node->name);
	} else {
		return true;
	}
	return false;
}

json_t *mirror_run_resolve(struct mirror *mirror, const json_t *request,
			   const struct reason *reason)
{
	const char *name = json_string_value(json_object_get(request, "keep"));
	struct mirror_start_policy policy = mirror->options.start;

	/* What is looked at and chosen is the one's that is under way. */
	if (!may_run(mirror, reason) || !mirror_order_may_begin(mirror, NULL, reason))
		return NULL;
	look(mirror);
	if (!may_keep(mirror, name, &policy, reason))
		return NULL;
	return run(mirror, "mirror-resolve", request, &policy, reason);
}
