/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_repair.c - "dstctl mirror repair": all nodes become what one of them is. The others are durably
 * inconsistent before their first byte changes; that one is told first, each time.
 */
#include "common/random.h"
#include "dstctl/human.h"
#include "dstctl/mirror_action.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct repairing {
	struct action *a;
	unsigned source, failed;
	struct mirror_super super;
	uint64_t copied; /* bytes */
};

/* Makes the state of all others than the source this one. */
static void set_states(struct repairing *r, enum mirror_member_state state)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		struct mirror_member *member = &r->super.members[i];
		bool there = false;

		for (unsigned p = 0; p < r->a->o.count; p++)
			there |= r->a->nodes.found[p].super.self == i;
		if (member->state == MIRROR_FREE || i == r->a->nodes.found[r->source].super.self)
			continue;
		member->state = there ? state : MIRROR_ABSENT;
		member->full = member->state != MIRROR_IN_SYNC;
		member->detached = false;
	}
}

/* All copies of a node's superblock. */
static int write_supers(struct repairing *r, unsigned part)
{
	struct mirror_nodes *nodes = &r->a->nodes;
	uint8_t block[MIRROR_SUPER_SIZE];
	struct mirror_super own = r->super;
	int error = 0;

	own.self = nodes->found[part].super.self;
	own.sequence = nodes->found[part].super.sequence;
	for (unsigned i = 0; i < MIRROR_COPIES && !error; i++) {
		own.sequence++;
		mirror_super_encode(block, &own);
		error = offline_write(&r->a->o, part,
				      mirror_super_offset(nodes->sizes[part],
							  (nodes->next[part] + i) % MIRROR_COPIES),
				      block, sizeof(block));
	}
	nodes->found[part].super.sequence = own.sequence;
	if (error)
		action_complain("%s can't be written: %s", action_name(r->a, part),
				strerror(error));
	return error;
}

static int write_maps(struct repairing *r, unsigned part)
{
	static const uint8_t none[MIRROR_MAP_BITS / 8];
	uint8_t block[MIRROR_MAP_BLOCK];
	int error = 0;

	for (unsigned map = 0; map <= MIRROR_MAX_NODES; map++)
		for (unsigned p = 0; p < mirror_map_pieces(&r->super) && !error; p++) {
			mirror_map_encode(block, &r->super, map, p, none);
			error = offline_write(&r->a->o, part, mirror_map_offset(&r->super, map, p),
					      block, sizeof(block));
		}
	return error;
}

/* A new generation, on the source first: it has all, whatever comes. */
static int tell(struct repairing *r, enum mirror_member_state others)
{
	uint8_t uuid[DST_ID_SIZE];
	int error;

	set_states(r, others);
	random_bytes(uuid, sizeof(uuid));
	mirror_generation_raise(&r->super, uuid);
	error = write_supers(r, r->source);
	for (unsigned i = 0; i < r->a->o.count && !error; i++)
		if (i != r->source)
			error = write_supers(r, i);
	return error;
}

static int copy_window(void *arg, struct range range, unsigned others)
{
	static uint8_t data[OFFLINE_WINDOW];
	struct repairing *r = arg;
	int error;

	r->failed = r->source;
	error = offline_read(&r->a->o, r->source, range.offset, data, range.length);
	for (; others && !error; others &= others - 1) {
		r->failed = (unsigned)__builtin_ctz(others);
		error = offline_write(&r->a->o, r->failed, range.offset, data, range.length);
		r->copied += range.length;
	}
	return error;
}

static int make_equal(struct repairing *r)
{
	unsigned all = (1u << r->a->o.count) - 1;
	int error = offline_compare(&r->a->o, all, r->source, r->super.data_size, copy_window, r,
				    &r->failed);

	for (unsigned i = 0; i < r->a->o.count && !error; i++) {
		r->failed = i;
		error = offline_flush(&r->a->o, i);
		if (!error)
			error = write_maps(r, i);
	}
	if (error)
		action_complain("%s: %s", action_name(r->a, r->failed), strerror(error));
	return error;
}

/* May its data become everybody's? */
static bool may_be_source(const struct action *a, unsigned source)
{
	const struct mirror_super *super = &a->nodes.found[source].super;

	for (unsigned i = 0; i < a->o.count; i++) {
		if (!a->nodes.found[i].present || a->nodes.found[i].blank ||
		    memcmp(a->nodes.found[i].super.set, super->set, DST_ID_SIZE) != 0 ||
		    memcmp(super->members[a->nodes.found[i].super.self].id,
			   a->nodes.found[i].super.members[a->nodes.found[i].super.self].id,
			   DST_ID_SIZE) != 0) {
			action_complain(
				"%s is no member of the mirror that %s belongs to; create it anew "
				"(dstctl mirror create), or replace the node (dstctl mirror "
				"replace)%s%s",
				action_name(a, i), action_name(a, source),
				a->nodes.reasons[i][0] ? ": " : "", a->nodes.reasons[i]);
			return false;
		}
	}
	if (super->members[super->self].state == MIRROR_INCONSISTENT) {
		action_complain("%s was only partly copied, it has no state of its own",
				action_name(a, source));
		return false;
	}
	if (a->nodes.start.roles[source] == MIRROR_ROLE_IN_SYNC || action_given(a, OPTION_FORCE))
		return true;
	action_complain("%s is %s: what only others have would be lost; --force does so%s%s",
			action_name(a, source),
			a->nodes.verdict == MIRROR_START_SPLIT
				? "one side of a split brain"
				: mirror_role_name(a->nodes.start.roles[source]),
			*a->nodes.start.text ? "\n" : "", a->nodes.start.text);
	return false;
}

enum exit_status action_repair(struct action *a)
{
	bool bad;
	struct repairing r = {.a = a, .source = action_find_source(a, &bad)};
	struct mirror_member *own;
	char text[HUMAN_NUMBER];

	if (bad || !action_all_there(a))
		return EXIT_FAILED;
	if (r.source == a->o.count)
		return action_complain(
			"--from NODE must tell whose data is right; see dstctl mirror "
			"inspect, and check");
	if (!may_be_source(a, r.source))
		return EXIT_FAILED;
	r.super = a->nodes.found[r.source].super;
	own = &r.super.members[r.super.self];
	own->state = MIRROR_IN_SYNC;
	own->detached = own->suspended = own->full = false;
	r.super.clean = r.super.taken_out = false;
	if (tell(&r, MIRROR_INCONSISTENT) || make_equal(&r))
		return EXIT_FAILED;
	r.super.clean = true;
	if (tell(&r, MIRROR_IN_SYNC))
		return EXIT_FAILED;
	action_keep_witness(a, &r.super);
	printf("%s: %u nodes are equal to %s; %s copied\n", a->o.volume->name, a->o.count,
	       action_name(a, r.source), human_size((int64_t)r.copied, text));
	return EXIT_OK;
}
