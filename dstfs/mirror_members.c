/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_members.c - see mirror_members.h. Each command is a change of the members: mirror_impl.h. */
#include "dstfs/mirror_members.h"

#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <string.h>

/* ---- what is known of a node ---- */

static bool is_known(const struct mirror *mirror, unsigned slot)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].slot == slot)
			return true;
	return false;
}

unsigned mirror_members_slot(const struct mirror_node *node)
{
	const struct mirror *mirror = node->mirror;
	unsigned strangers = 0, slot = MIRROR_NO_SLOT;

	if (node->slot != MIRROR_NO_SLOT || node->state == MIRROR_NODE_REFUSED)
		return node->slot;
	for (unsigned i = 0; i < mirror->node_count; i++)
		strangers += mirror->nodes[i].slot == MIRROR_NO_SLOT && !mirror->nodes[i].removed;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		if (mirror->super.members[i].state == MIRROR_FREE || is_known(mirror, i))
			continue;
		if (slot != MIRROR_NO_SLOT)
			return MIRROR_NO_SLOT;
		slot = i;
	}
	return strangers == 1 ? slot : MIRROR_NO_SLOT;
}

static enum mirror_node_state unused_state(const struct mirror_member *member)
{
	if (member->state != MIRROR_ABSENT)
		return MIRROR_NODE_UNKNOWN;
	return member->detached    ? MIRROR_NODE_DETACHED
	       : member->suspended ? MIRROR_NODE_SUSPENDED
				   : MIRROR_NODE_UNKNOWN;
}

/* One that nobody has seen is what it must be, until it comes and says so itself. */
static void look_at_stranger(struct mirror_node *node)
{
	const struct mirror *mirror = node->mirror;
	bool there = node->target->state == TARGET_READY, out;
	unsigned slot;

	out = node->state == MIRROR_NODE_DETACHED || node->state == MIRROR_NODE_SUSPENDED;
	if (there && out) {
		node->state = MIRROR_NODE_UNKNOWN;
		node->read = false;
		mirror_home_poke(node->mirror);
	}
	slot = !there && node->state == MIRROR_NODE_UNKNOWN ? mirror_members_slot(node)
							    : MIRROR_NO_SLOT;
	if (slot != MIRROR_NO_SLOT)
		node->state = unused_state(&mirror->super.members[slot]);
}

void mirror_members_look(struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];

		if (mirror->phase == MIRROR_RUNNING && node->slot == MIRROR_NO_SLOT)
			look_at_stranger(node);
		if (node->state != node->noted_state || !node->since) {
			node->noted_state = node->state;
			node->since = clock_now();
		}
	}
}

/* ---- what speaks against it ---- */

bool mirror_members_may_change(struct mirror *mirror, const struct reason *reason)
{
	if (mirror->phase == MIRROR_FENCED)
		text_refuse(reason,
			    "volume %s is fenced: another writer has taken it over, and says now "
			    "who its members are; see dstctl reattach",
			    mirror->volume);
	else if (mirror->phase != MIRROR_RUNNING)
		text_refuse(reason,
			    "the mirror of volume %s has not started; dstctl status says why",
			    mirror->volume);
	else if (mirror->read_only)
		text_refuse(reason, "volume %s is read only: nothing can be recorded on its nodes",
			    mirror->volume);
	else if (mirror->unrecorded || mirror->no_quorum)
		text_refuse(reason,
			    "volume %s has stopped writing: too many of its nodes are away to "
			    "record anything; bring them back first",
			    mirror->volume);
	else
		return true;
	return false;
}

/* By policy, with so many others in sync, and so many that vote. */
static const char *policy_refuses(const struct mirror *mirror, const struct mirror_super *super,
				  unsigned others, unsigned votes)
{
	const struct mirror_start_policy *policy = &mirror->options.start;
	unsigned members = 0;

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		members += super->members[i].state != MIRROR_FREE;
	votes += mirror->witness_store && !mirror->witness_retry_at;
	if (policy->majority && 2 * votes <= members + 1)
		return "without it there is no majority of nodes and witness (quorum = majority), "
		       "and writing would stop";
	if (others < policy->min_nodes)
		return "with one node less in sync than now there are fewer than min_nodes, and "
		       "writing would stop";
	return NULL;
}

const char *mirror_members_keep(struct mirror *mirror, const struct mirror_super *super,
				const struct mirror_node *node, bool goes)
{
	mirror_mask failed = mirror->failed | mirror->work->changing.failed |
			     mirror_lossy(mirror, mirror->read_set);
	unsigned others = 0, votes = !goes, ready = 0;

	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		const struct mirror_node *other = mirror_node_of_slot(mirror, i);

		if (!other || other == node)
			continue;
		votes += super->members[i].state == MIRROR_INCONSISTENT;
		if (super->members[i].state != MIRROR_IN_SYNC)
			continue;
		votes++;
		others++;
		ready += other->target->state == TARGET_READY &&
			 !(failed & MIRROR_BIT(other->index));
	}
	if (!others)
		return "it is the last node in sync: nobody else has all of the data";
	if (!ready)
		return "the other nodes in sync are away: it is the only one that answers";
	return policy_refuses(mirror, super, others, votes);
}

/* Which member it is, or a reason. */
static unsigned find_slot(struct mirror_node *node, const struct reason *reason)
{
	unsigned slot = mirror_members_slot(node);

	if (!mirror_members_may_change(node->mirror, reason))
		return MIRROR_NO_SLOT;
	if (slot == MIRROR_NO_SLOT && node->state == MIRROR_NODE_REFUSED)
		text_refuse(reason, "%s is not used: %s", node->name, node->reason);
	else if (slot == MIRROR_NO_SLOT)
		text_refuse(reason,
			    "%s has not answered since the volume was mounted, so that it isn't "
			    "known which member of the mirror it is; bring it up first",
			    node->name);
	return slot;
}

static json_t *refuse(const struct reason *reason, const struct mirror_node *node, const char *why)
{
	text_refuse(reason, "%s %s", node->name, why);
	return NULL;
}

/* May it stop being in sync, if it is? */
static bool is_dispensable(struct mirror_node *node, const struct reason *reason, bool goes,
			   const char *what)
{
	const char *wrong = NULL;

	if (node->state == MIRROR_NODE_IN_SYNC)
		wrong = mirror_members_keep(node->mirror, &node->mirror->super, node, goes);
	if (wrong)
		text_refuse(reason, "%s can't be %s: %s", node->name, what, wrong);
	return !wrong;
}

/* ---- the change ---- */

void mirror_members_failed(struct mirror_order *order, int error)
{
	const struct mirror_node *node = order->subject;
	const char *wrong = NULL;

	switch (error) {
	case EBUSY:
		wrong = mirror_members_keep(order->mirror, &order->mirror->super, node, true);
		mirror_order_failed(order, "%s",
				    wrong ? wrong : "other nodes have failed meanwhile; try again");
		break;
	case ESTALE:
		mirror_order_failed(order, "it is %s by now", mirror_node_state_name(node->state));
		break;
	case ENOTCONN:
		mirror_order_failed(order,
				    "it is done, but other nodes have failed meanwhile: "
				    "there is no majority any more, and writing has stopped");
		break;
	case ECANCELED:
		mirror_order_failed(order, "the volume is being unmounted, or was fenced");
		break;
	default:
		mirror_order_failed(order, "it could not be recorded on the other nodes (%s)",
				    strerror(error));
		break;
	}
}

static struct mirror_node *subject_of(const struct mirror_change *change)
{
	return ((const struct mirror_order *)change->arg)->subject;
}

static struct mirror_member *member_of(struct mirror_super *super,
				       const struct mirror_change *change)
{
	return &super->members[((const struct mirror_order *)change->arg)->slot];
}

/* A command that is one change. */
static json_t *submit(const char *command, struct mirror_node *node,
		      const struct mirror_change *change, const struct reason *reason)
{
	struct mirror_order *order = mirror_order_begin(node->mirror, command, node, reason);
	json_t *answer;

	if (!order)
		return NULL;
	answer = mirror_order_answer(order); /* it may be over when it was submitted */
	order->slot = mirror_members_slot(node);
	order->change.edit = change->edit;
	order->change.done = change->done;
	mirror_change_submit(node->mirror, &order->change);
	return answer;
}

/* ---- suspend ---- */

static bool edit_suspend(struct mirror *mirror, struct mirror_change *change,
			 struct mirror_super *super, int *error)
{
	struct mirror_member *member = member_of(super, change);

	if (member->state == MIRROR_IN_SYNC &&
	    mirror_members_keep(mirror, super, subject_of(change), true)) {
		*error = EBUSY;
		return false;
	}
	member->state = MIRROR_ABSENT;
	member->suspended = true;
	return true;
}

static void on_suspended(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct mirror_node *node = order->subject;

	if (error && error != ENOTCONN) {
		mirror_members_failed(order, error);
		return;
	}
	node->state = MIRROR_NODE_SUSPENDED; /* one that was never seen, too */
	mirror_node_set_reason(node, "");
	if (error)
		mirror_members_failed(order, error);
	else
		mirror_order_done(order, "%s", "");
}

json_t *mirror_node_suspend(struct mirror_node *node, const json_t *request,
			    const struct reason *reason)
{
	const struct mirror_change change = {.edit = edit_suspend, .done = on_suspended};

	if (find_slot(node, reason) == MIRROR_NO_SLOT)
		return NULL;
	if (node->state == MIRROR_NODE_SUSPENDED)
		return refuse(reason, node, "is suspended already");
	if (node->state == MIRROR_NODE_DETACHED)
		return refuse(reason, node,
			      "is detached: it isn't used until it is attached again");
	if (!is_dispensable(node, reason, true, "suspended"))
		return NULL;
	return submit("node-suspend", node, &change, reason);
}

/* ---- resume and attach ---- */

static void look_joining(struct mirror_order *order)
{
	struct mirror_node *node = order->subject;

	if (node->state == MIRROR_NODE_RESYNC || node->state == MIRROR_NODE_IN_SYNC)
		mirror_order_done(order, "%s", "");
	else if (node->state == MIRROR_NODE_REFUSED)
		mirror_order_failed(order, "it is not used: %s", node->reason);
	else if (node->target->state != TARGET_READY)
		mirror_order_done(order, "it is not there now, and is used when it is back");
	else if (node->state == MIRROR_NODE_FAILED && !node->changing)
		mirror_order_failed(order, "it failed again%s%s; it is tried again",
				    *node->reason ? ": " : "", node->reason);
}

/* It isn't kept out any more: it is looked at as if it had just come. */
static void on_let_in(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;

	if (error && error != ENOTCONN) {
		mirror_members_failed(order, error);
		return;
	}
	order->look = look_joining;
	mirror_look_again(mirror, order->subject);
}

static bool edit_resume(struct mirror *mirror, struct mirror_change *change,
			struct mirror_super *super, int *error)
{
	struct mirror_member *member = member_of(super, change);
	bool was = member->suspended;

	member->suspended = false;
	return was;
}

/* Another's node would fence the volume, once it is ours again. */
static bool is_free(struct mirror_node *node, const struct reason *reason)
{
	if (node->target->state != TARGET_FENCED)
		return true;
	text_refuse(reason,
		    "%s is held by another writer, who has taken it over; when that one has ended "
		    "say dstctl reattach %s, then try again",
		    node->name, node->mirror->volume);
	return false;
}

json_t *mirror_node_resume(struct mirror_node *node, const json_t *request,
			   const struct reason *reason)
{
	const struct mirror_change change = {.edit = edit_resume, .done = on_let_in};

	if (find_slot(node, reason) == MIRROR_NO_SLOT || !is_free(node, reason))
		return NULL;
	if (node->state == MIRROR_NODE_DETACHED)
		return refuse(reason, node, "is detached: dstctl node attach puts it back");
	if (node->state != MIRROR_NODE_SUSPENDED)
		return refuse(reason, node, "is not suspended");
	return submit("node-resume", node, &change, reason);
}

static bool edit_attach(struct mirror *mirror, struct mirror_change *change,
			struct mirror_super *super, int *error)
{
	struct mirror_member *member = member_of(super, change);

	member->detached = false;
	return true;
}

static bool edit_attach_whole(struct mirror *mirror, struct mirror_change *change,
			      struct mirror_super *super, int *error)
{
	member_of(super, change)->full = true;
	return edit_attach(mirror, change, super, error);
}

json_t *mirror_node_attach(struct mirror_node *node, const json_t *request,
			   const struct reason *reason)
{
	const bool trust = json_is_true(json_object_get(request, "trust"));
	const struct mirror_change change = {.edit = trust ? edit_attach : edit_attach_whole,
					     .done = on_let_in};
	char away[256];

	if (find_slot(node, reason) == MIRROR_NO_SLOT || !is_free(node, reason))
		return NULL;
	if (node->state == MIRROR_NODE_SUSPENDED)
		return refuse(reason, node, "is suspended: dstctl node resume puts it back");
	if (node->state != MIRROR_NODE_DETACHED)
		return refuse(reason, node, "is not detached");
	if (node->target->state != TARGET_READY) {
		node->target->ops->reason(node->target, away, sizeof(away));
		text_refuse(reason, "%s is away%s%s; attach it when it is back", node->name,
			    *away ? ": " : "", away);
		return NULL;
	}
	return submit("node-attach", node, &change, reason);
}

/* ---- dirty ---- */

static bool edit_dirty(struct mirror *mirror, struct mirror_change *change,
		       struct mirror_super *super, int *error)
{
	struct mirror_member *member = member_of(super, change);

	if (member->state == MIRROR_IN_SYNC) {
		if (mirror_members_keep(mirror, super, subject_of(change), false)) {
			*error = EBUSY;
			return false;
		}
		member->state = MIRROR_INCONSISTENT;
		memcpy(member->left, super->generation.uuid, DST_ID_SIZE);
	}
	member->full = true;
	return true;
}

static void on_dirty(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;
	struct mirror_node *node = order->subject;

	if (error && error != ENOTCONN) {
		mirror_members_failed(order, error);
	} else if (node->state == MIRROR_NODE_RESYNC) {
		mirror_copy_anew(mirror, node->index);
		mirror_order_done(order, "%s", "");
	} else {
		mirror_order_done(order, "all of it is compared when it is back");
	}
}

json_t *mirror_node_dirty(struct mirror_node *node, const json_t *request,
			  const struct reason *reason)
{
	const struct mirror_change change = {.edit = edit_dirty, .done = on_dirty};

	if (find_slot(node, reason) == MIRROR_NO_SLOT ||
	    !is_dispensable(node, reason, false, "compared as a whole"))
		return NULL;
	return submit("node-dirty", node, &change, reason);
}

/* ---- clean ---- */

static bool edit_clean(struct mirror *mirror, struct mirror_change *change,
		       struct mirror_super *super, int *error)
{
	struct mirror_member *member = member_of(super, change);

	if (member->state != MIRROR_INCONSISTENT) {
		*error = ESTALE;
		return false;
	}
	member->state = MIRROR_IN_SYNC;
	member->full = member->detached = member->suspended = false;
	memset(member->left, 0, sizeof(member->left));
	return true;
}

static void on_clean(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_order *order = change->arg;

	if (error && error != ENOTCONN)
		mirror_members_failed(order, error);
	else if (order->subject->state != MIRROR_NODE_IN_SYNC)
		mirror_members_failed(order, ESTALE);
	else
		mirror_order_done(order, "it is read from now on, and was not compared");
}

json_t *mirror_node_clean(struct mirror_node *node, const json_t *request,
			  const struct reason *reason)
{
	const struct mirror_change change = {.edit = edit_clean, .done = on_clean};

	if (find_slot(node, reason) == MIRROR_NO_SLOT)
		return NULL;
	if (node->state == MIRROR_NODE_IN_SYNC)
		return refuse(reason, node, "is in sync already");
	if (node->state == MIRROR_NODE_SUSPENDED)
		return refuse(reason, node, "is suspended: resume it first");
	if (node->state == MIRROR_NODE_DETACHED)
		return refuse(reason, node, "is detached: attach it first");
	if (node->state != MIRROR_NODE_RESYNC)
		return refuse(reason, node,
			      "is not being resynced: only a node that gets all writes can be "
			      "declared to be equal; it must be there first");
	return submit("node-clean", node, &change, reason);
}
