/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_admit.c - see mirror_admit.h
 *
 * A crash may come between any two of the writes:
 *   - what becomes a member is blank until the others have recorded it; then it is a member that is
 *     absent, and what is on the medium is blank still: it has to be given once more
 *   - who is removed is told after the others have recorded that; before, it believes to be a member,
 *     of a generation that the others know to be over
 */
#include "dstfs/mirror_admit.h"

#include "common/random.h"
#include "dstfs/mirror_home.h"
#include "dstfs/mirror_members.h"

#include <errno.h>
#include <string.h>

#define PATIENCE (15 * CLOCK_SEC) /* until a new node must have answered */

/* ---- superblocks are emptied ---- */

/* Begins it on the order's node. False: out of memory. */
static bool empty_supers(struct mirror_order *order,
			 void (*done)(struct mirror_batch *batch, void *arg))
{
	const struct mirror_node *node = order->subject;
	struct mirror_batch *batch = mirror_batch_new(order->mirror, done, order);
	uint8_t *zeros = batch ? mirror_batch_block(batch) : NULL;
	int error = zeros ? 0 : ENOMEM;

	if (zeros)
		memset(zeros, 0, MIRROR_MAP_BLOCK);
	for (unsigned i = 0; i < MIRROR_COPIES && !error; i++)
		error = mirror_batch_write(batch, MIRROR_BIT(node->index),
					   mirror_super_offset(node->size, i), zeros);
	if (error)
		mirror_batch_free(&batch);
	else
		mirror_batch_run(batch);
	return !error;
}

/* ---- a medium becomes a member ---- */

/* Is it the member by now that it was to be? */
static bool is_recorded(const struct mirror_order *order)
{
	const struct mirror_node *node = order->subject;
	const struct mirror_member *member;

	if (node->slot == MIRROR_NO_SLOT)
		return false;
	member = &order->mirror->super.members[node->slot];
	return member->state != MIRROR_FREE &&
	       !memcmp(member->id, order->id_of_member, DST_ID_SIZE);
}

static void give_up(struct mirror_order *order)
{
	struct mirror_node *node = order->subject;

	node->changing = false;
	if (node->state != MIRROR_NODE_RESYNC)
		mirror_join_lost(node);
	if (is_recorded(order))
		return;
	node->slot = MIRROR_NO_SLOT; /* the place is another's to take */
	if (order->fresh)
		node->removed = true; /* it never was one: as if it had not been asked for */
}

static bool edit_admit(struct mirror *mirror, struct mirror_change *change,
		       struct mirror_super *super, int *error)
{
	const struct mirror_order *order = change->arg;
	const struct mirror_node *node = order->subject;
	const struct mirror_node *other = mirror_node_of_slot(mirror, order->slot);
	struct mirror_member *member = &super->members[order->slot];

	/* Once it was tried, the others may have recorded that it is one: then it is, and is absent. */
	if (node->target->state != TARGET_READY &&
	    !(mirror->work->changing.failed & MIRROR_BIT(node->index))) {
		*error = ENODEV;
		return false;
	}
	if (node->size < mirror_least_size(super)) { /* which has grown meanwhile */
		*error = EFBIG;
		return false;
	}
	if ((other && other != node) ||
	    (member->state != MIRROR_FREE && member->state != MIRROR_ABSENT)) {
		*error = ESTALE;
		return false;
	}
	*member = (struct mirror_member){
		.state = MIRROR_INCONSISTENT, .full = true, .size = node->size};
	memcpy(member->id, order->id_of_member, DST_ID_SIZE);
	return true;
}

static void on_admitted(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct mirror_node *node = order->subject;
	bool good = node->state == MIRROR_NODE_RESYNC;

	node->changing = false;
	if (good) {
		order->fresh = false;
		mirror_order_done(order, "it is member %u, and everything is copied to it",
				  order->slot + 1);
	} else {
		bool recorded = is_recorded(order);

		give_up(order);
		if (recorded)
			mirror_order_failed(
				order,
				"it was lost when it had become member %u, and is empty; "
				"when it is back dstctl mirror replace %s %s goes on",
				order->slot + 1, mirror->volume, node->name);
		else if (error == EFBIG)
			mirror_order_failed(order, "it is smaller than the mirror is by now");
		else if (error == ENODEV || !error)
			mirror_order_failed(order,
					    "it was lost while it became a member; try again "
					    "when it is back");
		else
			mirror_members_failed(order, error);
	}
	mirror_home_poke(mirror);
}

static void on_emptied(struct mirror_batch *batch, void *arg)
{
	struct mirror_order *order = arg;
	struct mirror_node *node = order->subject;
	bool failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (failed) {
		give_up(order);
		mirror_order_failed(order, "it can't be written");
		return;
	}
	node->blank = true;
	node->unsure = node->partial = false;
	node->sequence = 0;
	node->next_copy = 0;
	node->slot = order->slot;
	random_bytes(order->id_of_member, DST_ID_SIZE);
	order->change.edit = edit_admit;
	order->change.done = on_admitted;
	mirror_change_submit(order->mirror, &order->change);
}

/* All has been checked. */
static void admit(struct mirror_order *order)
{
	struct mirror_node *node = order->subject;

	node->state = MIRROR_NODE_FAILED;
	node->changing = true;
	node->read = false;
	node->size = node->target->size;
	if (empty_supers(order, on_emptied))
		return;
	give_up(order);
	mirror_order_failed(order, "out of memory");
}

/* ---- what is there ---- */

/* May the medium be overwritten? Else a reason. */
static bool is_usable(struct mirror_node *node, bool force, const struct reason *reason)
{
	const struct mirror *mirror = node->mirror;
	uint64_t least = mirror_least_size(&mirror->super);

	if (node->target->size < least)
		text_refuse(reason,
			    "%s has %llu bytes, and the mirror needs %llu: use a larger one",
			    node->name, (unsigned long long)node->target->size,
			    (unsigned long long)least);
	else if (!node->target->writable)
		text_refuse(reason, "%s may not be written to", node->name);
	else if (mirror_has_split(mirror, node))
		text_refuse(reason,
			    "%s is a known member that was written to without the others: dstctl "
			    "mirror resolve %s --keep NODE tells what would be lost, and does it",
			    node->name, mirror->volume);
	else if (!node->blank && !force)
		text_refuse(reason, "%s is not blank: %.200s; --force overwrites it", node->name,
			    node->reason);
	else
		return true;
	return false;
}

/* Of a node that is refused; what else it may be has its own way back. */
static bool may_replace(struct mirror_node *node, bool force, const struct reason *reason)
{
	static const char *const known[] = {
		[MIRROR_NODE_DETACHED] = "was detached: dstctl node attach puts it back",
		[MIRROR_NODE_SUSPENDED] = "is suspended: dstctl node resume puts it back",
		[MIRROR_NODE_RESYNC] = "is a known member, and is being brought up to date",
		[MIRROR_NODE_IN_SYNC] = "is in sync: there is nothing to replace",
	};
	char away[256];

	if (!mirror_members_may_change(node->mirror, reason))
		return false;
	if (node->state == MIRROR_NODE_REFUSED)
		return is_usable(node, force, reason);
	if (node->target->state != TARGET_READY) {
		node->target->ops->reason(node->target, away, sizeof(away));
		text_refuse(reason, "%s is not there%s%s", node->name, *away ? ": " : "", away);
	} else if (node->state < sizeof(known) / sizeof(*known) && known[node->state]) {
		text_refuse(reason, "%s %s", node->name, known[node->state]);
	} else if (node->state == MIRROR_NODE_FAILED) {
		text_refuse(reason,
			    "%s is a known member that has failed: it gets what it missed, and no "
			    "more, as soon as it works again",
			    node->name);
	} else {
		text_refuse(reason, "%s has only just come, and is being read; try again",
			    node->name);
	}
	return false;
}

/* ---- which member ---- */

static unsigned free_slot(const struct mirror *mirror)
{
	unsigned slot = 0;

	while (slot < MIRROR_MAX_NODES && mirror->super.members[slot].state != MIRROR_FREE)
		slot++;
	return slot; /* MIRROR_NO_SLOT: none */
}

/* Is it a member that is missing, and none of the nodes that are known? */
static bool is_missing(struct mirror_node *node, unsigned slot)
{
	const struct mirror_node *other = mirror_node_of_slot(node->mirror, slot);

	return slot != MIRROR_NO_SLOT && node->mirror->super.members[slot].state == MIRROR_ABSENT &&
	       (!other || other == node);
}

/*
 * The member that this node is in place of: the one that it was; or that it was made as; or the only one
 * that is missing, if no other node may be that. MIRROR_NO_SLOT: there is none.
 */
static unsigned slot_in_place_of(struct mirror_node *node)
{
	struct mirror *mirror = node->mirror;
	unsigned missing = 0, strangers = 0, slot = MIRROR_NO_SLOT;

	if (is_missing(node, node->slot))
		return node->slot;
	if (is_missing(node, node->index))
		return node->index;
	for (unsigned i = 0; i < mirror->node_count; i++)
		strangers += mirror->nodes[i].slot == MIRROR_NO_SLOT && !mirror->nodes[i].removed;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		if (is_missing(node, i)) {
			missing++;
			slot = i;
		}
	return missing == 1 && strangers <= 1 ? slot : MIRROR_NO_SLOT;
}

json_t *mirror_node_replace(struct mirror_node *node, const json_t *request,
			    const struct reason *reason)
{
	unsigned slot = slot_in_place_of(node);
	struct mirror_order *order;
	json_t *answer;

	if (!may_replace(node, json_is_true(json_object_get(request, "force")), reason))
		return NULL;
	if (slot == MIRROR_NO_SLOT)
		slot = free_slot(node->mirror);
	if (slot == MIRROR_NO_SLOT) {
		text_refuse(reason, "the mirror has %u members already, as many as there may be",
			    MIRROR_MAX_NODES);
		return NULL;
	}
	order = mirror_order_begin(node->mirror, "mirror-replace", node, reason);
	if (!order)
		return NULL;
	answer = mirror_order_answer(order); /* it may be over when it was begun */
	order->slot = slot;
	admit(order);
	return answer;
}

/* ---- one more ---- */

bool mirror_has_node(struct target *target, const char *name)
{
	return mirror_find_node((struct mirror *)target, name); /* base is the first member */
}

bool mirror_revive_node(struct target *target, const char *name)
{
	struct mirror *mirror = (struct mirror *)target;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];

		if (!node->removed || strcmp(node->name, name) != 0)
			continue;
		node->removed = node->read = false;
		node->slot = MIRROR_NO_SLOT;
		mirror_look_again(mirror, node);
		return true;
	}
	return false;
}

unsigned mirror_node_count(struct target *target)
{
	const struct mirror *mirror = (const struct mirror *)target;
	unsigned count = 0;

	for (unsigned i = 0; i < mirror->node_count; i++)
		count += !mirror->nodes[i].removed;
	return count;
}

bool mirror_may_add(struct target *target, const char *name, const struct reason *reason)
{
	struct mirror *mirror = (struct mirror *)target;

	if (!mirror_members_may_change(mirror, reason))
		return false;
	if (mirror_find_node(mirror, name))
		text_refuse(reason,
			    "there is a node %s already; dstctl mirror replace makes what is "
			    "there a member",
			    name);
	else if (free_slot(mirror) == MIRROR_NO_SLOT)
		text_refuse(reason, "the mirror has %u members already, as many as there may be",
			    MIRROR_MAX_NODES);
	else if (mirror->node_count == MIRROR_MAX_NODES)
		text_refuse(reason,
			    "the places of nodes that were removed are free again when volume "
			    "%s is mounted anew",
			    mirror->volume);
	else
		return true;
	return false;
}

static void look_new(struct mirror_order *order)
{
	struct mirror_node *node = order->subject;
	char text[512];
	const struct reason reason = {text, sizeof(text)};

	if (node->state == MIRROR_NODE_REFUSED && node->target->state == TARGET_READY) {
		order->look = NULL;
		order->slot = free_slot(order->mirror);
		if (order->slot == MIRROR_NO_SLOT)
			text_refuse(&reason, "the mirror has as many members as there may be");
		if (order->slot != MIRROR_NO_SLOT && may_replace(node, order->force, &reason)) {
			admit(order);
			return;
		}
	} else if (clock_now() < order->until) {
		mirror_home_later(order->mirror, order->until - clock_now());
		return;
	} else {
		node->target->ops->reason(node->target, text, sizeof(text));
	}
	give_up(order);
	mirror_order_failed(order, "it was not added: %s", *text ? text : "it doesn't answer");
}

json_t *mirror_node_admit(struct mirror_node *node, const json_t *request,
			  const struct reason *reason)
{
	struct mirror_order *order = NULL;

	if (mirror_members_may_change(node->mirror, reason))
		order = mirror_order_begin(node->mirror, "node-add", node, reason);
	if (!order) {
		node->removed = true;
		return NULL;
	}
	order->fresh = true;
	order->force = json_is_true(json_object_get(request, "force"));
	order->until = clock_now() + PATIENCE;
	order->look = look_new;
	mirror_home_poke(node->mirror);
	return mirror_order_answer(order);
}

/* ---- a member ceases to be one ---- */

static unsigned count_members(const struct mirror_super *super)
{
	unsigned members = 0;

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		members += super->members[i].state != MIRROR_FREE;
	return members;
}

static bool edit_remove(struct mirror *mirror, struct mirror_change *change,
			struct mirror_super *super, int *error)
{
	const struct mirror_order *order = change->arg;
	struct mirror_member *member = &super->members[order->slot];

	if (member->state == MIRROR_IN_SYNC &&
	    mirror_members_keep(mirror, super, order->subject, true)) {
		*error = EBUSY;
		return false;
	}
	if (count_members(super) <= 2) { /* another one was removed meanwhile */
		*error = ESRCH;
		return false;
	}
	*member = (struct mirror_member){.state = MIRROR_FREE};
	return true;
}

static void on_told(struct mirror_batch *batch, void *arg)
{
	struct mirror_order *order = arg;
	bool failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	order->subject->removed = true;
	if (failed)
		mirror_order_done(order, "it could not be told: it still believes to be a member. "
					 "Delete its line in the configuration");
	else
		mirror_order_done(order, "it holds a plain image now. Delete its line in the "
					 "configuration");
}

static void on_removed(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct mirror_node *node = order->subject;

	node->changing = false;
	if (error == ESRCH) {
		mirror_order_failed(order, "another node was removed meanwhile, and a mirror has "
					   "two members at least");
		return;
	}
	if (error && error != ENOTCONN) {
		mirror_members_failed(order, error);
		return;
	}
	if (node->target->state == TARGET_READY && node->size >= MIRROR_MIN_SIZE &&
	    empty_supers(order, on_told))
		return;
	node->removed = true;
	mirror_order_done(order, "it was not there to be told: it still believes to be a member. "
				 "Delete its line in the configuration");
}

static bool may_remove(struct mirror_node *node, bool force, const struct reason *reason)
{
	const char *wrong = NULL;

	if (!mirror_members_may_change(node->mirror, reason))
		return false;
	if (node->state == MIRROR_NODE_IN_SYNC)
		wrong = mirror_members_keep(node->mirror, &node->mirror->super, node, true);
	if (wrong)
		text_refuse(reason, "%s can't be removed: %s", node->name, wrong);
	else if (count_members(&node->mirror->super) <= 2)
		text_refuse(reason,
			    "%s can't be removed: a mirror has two members at least. A new medium "
			    "takes its place with dstctl mirror replace",
			    node->name);
	else if (node->changing)
		text_refuse(reason, "%s is just being looked at; try again", node->name);
	else if (node->target->state != TARGET_READY && !force)
		text_refuse(reason,
			    "%s is away: it can't be told, and believes to be a member when it is "
			    "back; --force removes it all the same",
			    node->name);
	else
		return true;
	return false;
}

json_t *mirror_node_remove(struct mirror_node *node, const json_t *request,
			   const struct reason *reason)
{
	unsigned slot = slot_in_place_of(node);
	struct mirror_order *order;
	json_t *answer;

	if (node->state == MIRROR_NODE_IN_SYNC || node->state == MIRROR_NODE_RESYNC)
		slot = node->slot;
	if (!may_remove(node, json_is_true(json_object_get(request, "force")), reason))
		return NULL;
	if (slot == MIRROR_NO_SLOT) {
		text_refuse(reason,
			    "%s is no member, or it isn't clear which one: %.200s. If it is none, "
			    "delete its line in the configuration",
			    node->name, node->reason);
		return NULL;
	}
	order = mirror_order_begin(node->mirror, "node-remove", node, reason);
	if (!order)
		return NULL;
	answer = mirror_order_answer(order); /* it may be over when it was begun */
	order->slot = slot;
	node->slot = slot;
	node->changing = true;
	order->change.edit = edit_remove;
	order->change.done = on_removed;
	mirror_change_submit(node->mirror, &order->change);
	return answer;
}
