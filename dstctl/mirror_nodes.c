/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_nodes.c - see mirror_nodes.h */
#include "dstctl/mirror_nodes.h"

#include "common/control.h"
#include "dstctl/human.h"
#include "dstctl/table.h"
#include "dstfs/assemble.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX_ID (2 * DST_ID_SIZE + 1)

static const char *print_id(const uint8_t id[DST_ID_SIZE], char text[HEX_ID])
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	return text;
}

const char *mirror_role_name(enum mirror_role role)
{
	static const char *const names[] = {
		[MIRROR_ROLE_MISSING] = "missing",     [MIRROR_ROLE_IN_SYNC] = "in-sync",
		[MIRROR_ROLE_PARTIAL] = "behind",      [MIRROR_ROLE_COMPARE] = "unknown",
		[MIRROR_ROLE_DETACHED] = "detached",   [MIRROR_ROLE_FOREIGN] = "foreign",
		[MIRROR_ROLE_SUSPENDED] = "suspended",
	};

	return names[role];
}

const char *mirror_verdict_name(enum mirror_verdict verdict)
{
	static const char *const names[] = {
		[MIRROR_START_OK] = "starts",         [MIRROR_START_WAIT] = "waits",
		[MIRROR_START_SPLIT] = "split-brain", [MIRROR_START_ALTERNATE] = "stale",
		[MIRROR_START_BROKEN] = "broken",
	};

	return names[verdict];
}

static const char *state_name(const struct mirror_member *member)
{
	static const char *const names[] = {
		[MIRROR_FREE] = "-",
		[MIRROR_IN_SYNC] = "in-sync",
		[MIRROR_ABSENT] = "absent",
		[MIRROR_INCONSISTENT] = "inconsistent",
	};

	return member->detached    ? "detached"
	       : member->suspended ? "suspended"
				   : names[member->state];
}

/* ---- reading ---- */

/* The superblocks of a node whose end is, or was, at `size`. As mirror_super_choose(), or EIO. */
static int read_supers(struct mirror_nodes *nodes, unsigned part, uint64_t size)
{
	uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE];
	char *reason = nodes->reasons[part];

	if (size < MIRROR_MIN_SIZE || size > nodes->o->parts[part].target->size)
		return ENOENT;
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		int error = offline_read(nodes->o, part, mirror_super_offset(size, i), copies[i],
					 MIRROR_SUPER_SIZE);

		if (!error)
			continue;
		snprintf(reason, sizeof(nodes->reasons[part]), "its superblocks can't be read: %s",
			 strerror(error));
		return EIO;
	}
	nodes->sizes[part] = size;
	return mirror_super_choose(&nodes->found[part].super, &nodes->next[part],
				   (const uint8_t(*)[MIRROR_SUPER_SIZE])copies, size, reason,
				   sizeof(nodes->reasons[part]));
}

/* It may have grown since: then they are where its end was. */
static int search_supers(struct mirror_nodes *nodes, unsigned part)
{
	uint64_t now = nodes->o->parts[part].target->size;
	int error = read_supers(nodes, part, now);

	for (unsigned slot = 0; slot < MIRROR_MAX_NODES && error == ENOENT; slot++) {
		if (nodes->witness.known && nodes->witness.sizes[slot])
			error = read_supers(nodes, part, nodes->witness.sizes[slot]);
		for (unsigned i = 0; i < nodes->o->count && error == ENOENT; i++)
			if (i != part && nodes->found[i].present && !nodes->found[i].blank)
				error = read_supers(nodes, part,
						    nodes->found[i].super.members[slot].size);
	}
	if (error == ENOENT)
		nodes->sizes[part] = now;
	return error;
}

static void read_part(struct mirror_nodes *nodes, unsigned part)
{
	struct mirror_found *found = &nodes->found[part];
	int error;

	found->name = nodes->o->parts[part].name;
	if (!offline_ready(nodes->o, part))
		return;
	error = search_supers(nodes, part);
	found->blank = error == ENOENT;
	found->present = !error || found->blank;
	if (found->present)
		nodes->reasons[part][0] = 0;
}

static void load_witness(struct mirror_nodes *nodes)
{
	struct offline *o = nodes->o;
	struct mirror_witness_store *store = assemble_witness(o->volume, o->mirror, o->worker.loop);

	if (!store)
		human_no_memory();
	nodes->witness_error = store->ops->load(store, &nodes->witness);
	store->ops->close(store);
}

void mirror_nodes_read(struct mirror_nodes *nodes, struct offline *o, bool force)
{
	const struct volume_options *options = &o->volume->options;
	const struct mirror_start_policy policy = {
		.majority = options->quorum == QUORUM_MAJORITY,
		.min_nodes = options->min_nodes,
		.force = force,
	};

	memset(nodes, 0, sizeof(*nodes));
	nodes->o = o;
	load_witness(nodes);
	/* Twice: what one says may tell where to look for another. */
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < o->count; i++)
			if (!round || nodes->found[i].blank)
				read_part(nodes, i);
	nodes->verdict =
		mirror_start_judge(&nodes->start, nodes->found, o->count, &nodes->witness, &policy);
}

unsigned mirror_nodes_find(const struct mirror_nodes *nodes, const char *name)
{
	unsigned i = 0;

	while (i < nodes->o->count && strcmp(nodes->o->parts[i].name, name) != 0)
		i++;
	return i;
}

/* ---- showing ---- */

static const char *reason_of(const struct mirror_nodes *nodes, unsigned part)
{
	if (nodes->reasons[part][0])
		return nodes->reasons[part];
	return nodes->o->parts[part].reason;
}

static bool holds_mirror(const struct mirror_nodes *nodes, unsigned part)
{
	return nodes->found[part].present && !nodes->found[part].blank;
}

/* What is recorded of a member, in words. */
static char *describe(const struct mirror_nodes *nodes, unsigned part)
{
	const struct mirror_found *found = &nodes->found[part];
	const struct mirror_super *super = &found->super;

	if (!found->present)
		return human_format("%s", "-");
	if (found->blank)
		return human_format("%s", "no mirror");
	return human_format("%s%s%s", state_name(&super->members[super->self]),
			    super->clean ? ", clean" : "", super->taken_out ? ", taken out" : "");
}

static void add_row(const struct mirror_nodes *nodes, struct table *table, unsigned part)
{
	const struct mirror_super *super = &nodes->found[part].super;
	bool holds = holds_mirror(nodes, part);
	char text[HUMAN_NUMBER], id[HEX_ID];

	table_cell(table, human_clean(human_format("%s", nodes->o->parts[part].name)));
	table_cell(table, human_format("%s", holds || !nodes->found[part].present
						     ? mirror_role_name(nodes->start.roles[part])
						     : "foreign"));
	table_cell(table, describe(nodes, part));
	table_cell(table,
		   human_format("%s", human_number(holds ? (int64_t)super->generation.counter : -1,
						   text)));
	table_cell(table, human_format("%.8s", holds ? print_id(super->generation.uuid, id) : "-"));
	table_cell(table,
		   human_format("%s", human_number(holds ? (int64_t)super->self + 1 : -1, text)));
	table_cell(
		table,
		human_format("%s", human_size(nodes->o->parts[part].target
						      ? (int64_t)nodes->o->parts[part].target->size
						      : -1,
					      text)));
	if (*reason_of(nodes, part))
		table_note(table, human_clean(human_format("%s", reason_of(nodes, part))));
}

static void print_head(const struct mirror_nodes *nodes)
{
	const struct mirror_super *super = NULL;
	char name[MIRROR_NAME_MAX + 1], size[HUMAN_NUMBER], region[HUMAN_NUMBER], id[HEX_ID];

	for (unsigned i = 0; i < nodes->o->count && !super; i++)
		if (holds_mirror(nodes, i))
			super = &nodes->found[i].super;
	if (nodes->start.newest < nodes->o->count)
		super = &nodes->found[nodes->start.newest].super;
	assemble_name(nodes->o->mirror, name, sizeof(name));
	printf("%s: %s", nodes->o->volume->name, name);
	if (super)
		printf(", %s (%llu bytes) in regions of %s, generation %llu, set %s",
		       human_size((int64_t)super->data_size, size),
		       (unsigned long long)super->data_size, human_size(super->region_size, region),
		       (unsigned long long)super->generation.counter, print_id(super->set, id));
	putchar('\n');
}

void mirror_nodes_print(const struct mirror_nodes *nodes)
{
	struct table *table = table_new();
	char id[HEX_ID];

	print_head(nodes);
	table_column(table, "NODE", 0);
	table_column(table, "ROLE", 0);
	table_column(table, "RECORDED", 0);
	table_column(table, "GENERATION", TABLE_RIGHT);
	table_column(table, "ID", 0);
	table_column(table, "MEMBER", TABLE_RIGHT);
	table_column(table, "SIZE", TABLE_RIGHT);
	for (unsigned i = 0; i < nodes->o->count; i++)
		add_row(nodes, table, i);
	table_print(table, stdout);
	table_free(&table);
	putchar('\n');
	if (nodes->witness_error)
		printf("  the witness of this machine can't be read: %s\n",
		       strerror(nodes->witness_error));
	else if (nodes->witness.known)
		printf("  the witness of this machine: generation %llu, %.8s\n",
		       (unsigned long long)nodes->witness.generation.counter,
		       print_id(nodes->witness.generation.uuid, id));
	if (!nodes->verdict)
		printf("  it starts%s\n", nodes->start.make_equal
						  ? "; what was being written is made equal then"
						  : "");
	else
		printf("  it doesn't start: %s\n", nodes->start.text);
}

static json_t *node_json(const struct mirror_nodes *nodes, unsigned part)
{
	const struct offline_part *p = &nodes->o->parts[part];
	const struct mirror_super *super = &nodes->found[part].super;
	json_t *members = json_array(), *node;
	char id[HEX_ID], uuid[HEX_ID];

	node = json_pack("{s:o, s:s, s:o, s:I}", "name", control_string(p->name), "role",
			 mirror_role_name(nodes->start.roles[part]), "reason",
			 control_string(reason_of(nodes, part)), "size",
			 (json_int_t)(p->target ? p->target->size : 0));
	if (!holds_mirror(nodes, part)) {
		json_decref(members);
		return node;
	}
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		const struct mirror_member *member = &super->members[i];

		if (member->state == MIRROR_FREE)
			continue;
		json_array_append_new(members,
				      json_pack("{s:i, s:s, s:s, s:b, s:I}", "member", (int)i + 1,
						"id", print_id(member->id, id), "state",
						state_name(member), "full", (int)member->full,
						"size", (json_int_t)member->size));
	}
	json_object_update_new(
		node, json_pack("{s:s, s:i, s:I, s:b, s:I, s:s, s:I, s:I, s:o}", "set",
				print_id(super->set, id), "member", (int)super->self + 1,
				"sequence", (json_int_t)super->sequence, "clean", (int)super->clean,
				"generation", (json_int_t)super->generation.counter,
				"generation_id", print_id(super->generation.uuid, uuid),
				"data_size", (json_int_t)super->data_size, "region_size",
				(json_int_t)super->region_size, "members", members));
	return node;
}

json_t *mirror_nodes_json(const struct mirror_nodes *nodes)
{
	char name[MIRROR_NAME_MAX + 1];
	json_t *list = json_array();

	assemble_name(nodes->o->mirror, name, sizeof(name));
	for (unsigned i = 0; i < nodes->o->count; i++)
		json_array_append_new(list, node_json(nodes, i));
	return json_pack("{s:o, s:o, s:s, s:o, s:b, s:o}", "volume",
			 control_string(nodes->o->volume->name), "map", control_string(name),
			 "verdict", mirror_verdict_name(nodes->verdict), "reason",
			 control_string(nodes->start.text), "make_equal",
			 (int)nodes->start.make_equal, "nodes", list);
}
