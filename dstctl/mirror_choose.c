/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_choose.c - "dstctl mirror resolve" of a mirror that isn't mounted. The node that is kept gets a
 * new generation first, then those of the others that are there are told: theirs is none of its
 * ancestors. They are compared with it as a whole when the volume is mounted.
 */
#include "common/random.h"
#include "dstctl/human.h"
#include "dstctl/mirror_action.h"
#include "dstfs/mirror_loss.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct choosing {
	struct action *a;
	unsigned keep;
	struct mirror_super super; /* as it is to be */
};

static bool find_kept(struct choosing *c)
{
	struct action *a = c->a;
	const struct volume_options *options = &a->o.volume->options;
	struct mirror_start_policy policy = {.majority = options->quorum == QUORUM_MAJORITY,
					     .min_nodes = options->min_nodes,
					     .resolve = true};

	if (!a->options->keep) {
		action_complain(
			"--keep NODE must tell from which node the mirror goes on; see dstctl "
			"mirror inspect");
		return false;
	}
	policy.keep = c->keep = mirror_nodes_find(&a->nodes, a->options->keep);
	if (c->keep == a->o.count) {
		action_complain("the mirror has no node %s", a->options->keep);
		return false;
	}
	if (!a->nodes.verdict) {
		action_complain("there is nothing to resolve: the mirror starts as it is");
		return false;
	}
	if (!offline_ready(&a->o, c->keep)) {
		action_complain("%s: %s", action_name(a, c->keep), a->o.parts[c->keep].reason);
		return false;
	}
	if (!mirror_start_judge(&a->nodes.start, a->nodes.found, a->o.count, &a->nodes.witness,
				&policy))
		return true;
	action_complain("%s", a->nodes.start.text);
	return false;
}

/* ---- what is lost ---- */

static void count_loss(struct action *a, struct mirror_loss *loss)
{
	const struct mirror_super *super = &a->nodes.found[loss->node].super;
	uint8_t block[MIRROR_MAP_BLOCK];

	for (unsigned p = 0; !loss->all && p < mirror_map_pieces(super); p++) {
		if (offline_read(&a->o, loss->node, mirror_map_offset(super, loss->map, p), block,
				 sizeof(block)))
			loss->all = true;
		else
			mirror_loss_add(loss, a->nodes.found, p, block);
	}
}

static void tell_losses(struct choosing *c)
{
	struct mirror_loss losses[MIRROR_MAX_NODES];
	struct action *a = c->a;
	unsigned count = mirror_loss_find(losses, a->nodes.found, a->o.count, c->keep);
	char text[2048];

	for (unsigned i = 0; i < count; i++)
		count_loss(a, &losses[i]);
	mirror_losses_tell(text, sizeof(text), losses, count, a->nodes.found, a->o.count, c->keep);
	printf("%s:\n", a->o.volume->name);
	human_lines(stdout, "", text);
}

/* ---- doing it ---- */

static bool is_kept(const struct choosing *c, unsigned slot)
{
	for (unsigned i = 0; i < c->a->o.count; i++)
		if (c->a->nodes.start.roles[i] == MIRROR_ROLE_IN_SYNC &&
		    c->a->nodes.found[i].super.self == slot)
			return true;
	return false;
}

static void make_super(struct choosing *c)
{
	uint8_t uuid[DST_ID_SIZE];

	c->super = c->a->nodes.found[c->keep].super;
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++) {
		struct mirror_member *member = &c->super.members[slot];

		if (member->state == MIRROR_FREE)
			continue;
		if (member->state == MIRROR_IN_SYNC && !is_kept(c, slot))
			memcpy(member->left, c->super.generation.uuid, DST_ID_SIZE);
		if (is_kept(c, slot)) {
			member->state = MIRROR_IN_SYNC;
			member->full = member->detached = false;
			memset(member->left, 0, DST_ID_SIZE);
		} else {
			member->state = MIRROR_ABSENT;
			member->full = true;
		}
	}
	random_bytes(uuid, sizeof(uuid));
	mirror_generation_raise(&c->super, uuid);
}

static bool tell_node(struct choosing *c, unsigned part)
{
	struct mirror_nodes *nodes = &c->a->nodes;
	const struct mirror_super *found = &nodes->found[part].super;
	struct mirror_super own = c->super;
	uint8_t block[MIRROR_SUPER_SIZE];
	int error;

	own.self = found->self;
	own.sequence = found->sequence + 1;
	own.clean = found->clean;
	/* One that was only partly copied goes on saying so. */
	if (own.members[own.self].state == MIRROR_ABSENT &&
	    found->members[own.self].state == MIRROR_INCONSISTENT)
		own.members[own.self].state = MIRROR_INCONSISTENT;
	mirror_super_encode(block, &own);
	error = offline_write(&c->a->o, part,
			      mirror_super_offset(nodes->sizes[part], nodes->next[part]), block,
			      sizeof(block));
	if (error)
		action_complain("%s can't be written: %s", action_name(c->a, part),
				strerror(error));
	return !error;
}

/* Those of a role, but for the kept one. */
static bool tell_role(struct choosing *c, enum mirror_role role)
{
	bool good = true;

	for (unsigned i = 0; i < c->a->o.count; i++)
		if (i != c->keep && c->a->nodes.start.roles[i] == role)
			good &= tell_node(c, i);
	return good;
}

enum exit_status action_resolve(struct action *a)
{
	struct choosing c = {.a = a};
	bool good;

	if (!find_kept(&c))
		return EXIT_FAILED;
	tell_losses(&c);
	if (!action_confirm(a->options))
		return EXIT_FAILED;
	make_super(&c);
	if (!tell_node(&c, c.keep))
		return EXIT_FAILED;
	good = tell_role(&c, MIRROR_ROLE_IN_SYNC);
	good &= tell_role(&c, MIRROR_ROLE_COMPARE);
	action_keep_witness(a, &c.super);
	if (good)
		printf("%s: goes on from %s; the others are compared with it when it is mounted\n",
		       a->o.volume->name, action_name(a, c.keep));
	return good ? EXIT_OK : EXIT_FAILED;
}
