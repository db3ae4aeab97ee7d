/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.c - see status.h
 *
 * A daemon may be older or newer than this program: every field is optional, and one that is
 * missing is shown as "-". The tables below say which field goes where.
 */
#include "dstctl/status.h"

#include "dstctl/find.h"
#include "dstctl/human.h"
#include "dstctl/table.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a row of a table shows: a volume, or a node and the volume it belongs to, … */
struct subject {
	const json_t *object;
	const json_t *owner;
	unsigned depth; /* how deep in a tree of nodes it is */
};

/* A column: its title, and how its cells are made of the subject's field `name`. */
struct field {
	const char *title;
	unsigned flags; /* TABLE_* */
	char *(*cell)(const struct subject *subject, const struct field *field);
	const char *name;
};

static char *cell_text(const struct subject *subject, const struct field *field)
{
	return human_field(subject->object, field->name);
}

/*
 * A node by its name, which one alone doesn't have, and its URI; a map by what it is, or if it is a node of
 * a mirror by its name too, which says that: "stripe(c,d)".
 */
static char *cell_node(const struct subject *subject, const struct field *field)
{
	const bool is_map = json_object_get(subject->object, "map");
	const bool has_name = json_object_get(subject->object, "name");
	const bool named = !is_map && has_name;
	char *name = named ? human_field(subject->object, "name") : human_format("%s", "");
	char *what = human_field(subject->object, !is_map    ? field->name
						  : has_name ? "name"
							     : "map");
	char *text = human_format("%*s%s%s%s", (int)(2 * subject->depth), "", name,
				  named ? " " : "", what);

	free(name);
	free(what);
	return text;
}

static char *cell_owner(const struct subject *subject, const struct field *field)
{
	return human_field(subject->owner, field->name);
}

static char *cell_number(const struct subject *subject, const struct field *field)
{
	char text[HUMAN_NUMBER];

	return human_format("%s", human_number(human_count(subject->object, field->name), text));
}

static char *cell_size(const struct subject *subject, const struct field *field)
{
	char text[HUMAN_NUMBER];

	return human_format("%s", human_size(human_count(subject->object, field->name), text));
}

static char *cell_duration(const struct subject *subject, const struct field *field)
{
	char text[HUMAN_NUMBER];

	return human_format("%s", human_duration(human_count(subject->object, field->name), text));
}

static char *cell_counter(const struct subject *subject, const struct field *field)
{
	const struct subject counters = {.object = json_object_get(subject->object, "counters")};

	return cell_number(&counters, field);
}

static char *cell_counter_size(const struct subject *subject, const struct field *field)
{
	const struct subject counters = {.object = json_object_get(subject->object, "counters")};

	return cell_size(&counters, field);
}

/* Enough of an id to tell sessions apart; all of it is a secret (proto.h, section 5). */
static char *cell_id(const struct subject *subject, const struct field *field)
{
	const size_t enough = 8;
	char *text = human_field(subject->object, field->name);
	size_t length = strlen(text);

	/* it should be hexadecimal, but never cut a character of more than a byte */
	if (length > enough && human_width(text) == length)
		text[enough] = 0;
	return text;
}

static char *cell_mode(const struct subject *subject, const struct field *field)
{
	const json_t *read_only = json_object_get(subject->object, field->name);

	return human_format("%s", json_is_true(read_only)    ? "ro"
				  : json_is_false(read_only) ? "rw"
							     : "-");
}

/* A field of the export's holder; "shared" where there is none because several may write. */
static char *cell_holder(const struct subject *subject, const struct field *field)
{
	const struct subject holder = {.object = json_object_get(subject->object, "holder")};

	if (json_is_true(json_object_get(subject->object, "shared")))
		return human_format("shared");
	return json_is_object(holder.object) ? cell_text(&holder, field) : human_format("-");
}

static char *cell_length(const struct subject *subject, const struct field *field)
{
	const json_t *array = json_object_get(subject->object, field->name);

	return json_is_array(array) ? human_format("%zu", json_array_size(array))
				    : human_format("-");
}

/* Adds what is known; it stays -1 as long as nothing is. */
static void add_count(int64_t *sum, int64_t count)
{
	if (count < 0)
		return;
	if (*sum < 0)
		*sum = 0;
	*sum = count > INT64_MAX - *sum ? INT64_MAX : *sum + count;
}

/* The sum over the subject's lanes of a field of theirs, or of their counters. */
static char *cell_lanes(const struct subject *subject, const struct field *field)
{
	const json_t *lanes = json_object_get(subject->object, "lanes"), *lane;
	char text[HUMAN_NUMBER];
	int64_t sum = -1;
	size_t index;

	json_array_foreach(lanes, index, lane)
	{
		const json_t *counters = json_object_get(lane, "counters");

		add_count(&sum, human_count(lane, field->name));
		add_count(&sum, human_count(counters, field->name));
	}
	return human_format("%s", human_number(sum, text));
}

static char *cell_lanes_ready(const struct subject *subject, const struct field *field)
{
	const json_t *lanes = json_object_get(subject->object, "lanes"), *lane;
	size_t ready = 0, index;

	json_array_foreach(lanes, index, lane)
	{
		const char *state = json_string_value(json_object_get(lane, field->name));

		ready += state && !strcmp(state, "ready");
	}
	return json_is_array(lanes) ? human_format("%zu/%zu", ready, json_array_size(lanes))
				    : human_format("-");
}

static const struct field volume_fields[] = {
	{"VOLUME", 0, cell_text, "name"},
	{"STATE", 0, cell_text, "state"},
	{"SIZE", TABLE_RIGHT, cell_size, "size"},
	{"MODE", 0, cell_mode, "read_only"},
	{"CACHE", 0, cell_text, "cache"},
	{"BUSY", TABLE_RIGHT, cell_number, "inflight"},
	{"READS", TABLE_RIGHT, cell_counter, "reads"},
	{"READ", TABLE_RIGHT, cell_counter_size, "read_bytes"},
	{"WRITES", TABLE_RIGHT, cell_counter, "writes"},
	{"WRITTEN", TABLE_RIGHT, cell_counter_size, "write_bytes"},
	{"FLUSHES", TABLE_RIGHT, cell_counter, "flushes"},
	{"ZEROES", TABLE_RIGHT | TABLE_QUIET, cell_counter, "zeroes"},
	{"COPIES", TABLE_RIGHT | TABLE_QUIET, cell_counter, "copies"},
	{"ERRORS", TABLE_RIGHT, cell_counter, "errors"},
	{"INTERRUPTED", TABLE_RIGHT | TABLE_QUIET, cell_counter, "interrupted"},
	{"WAITS", TABLE_RIGHT | TABLE_QUIET, cell_counter, "waits"},
	{"NOT DURABLE", TABLE_RIGHT | TABLE_QUIET, cell_size, "undurable"},
	{NULL, 0, NULL, NULL},
};

static const struct field node_fields[] = {
	{"VOLUME", 0, cell_owner, "name"},
	{"NODE", 0, cell_node, "uri"},
	{"STATE", 0, cell_text, "state"},
	{"FOR", TABLE_RIGHT, cell_duration, "state_for_s"},
	{"SYNC", TABLE_QUIET, cell_text, "sync"},
	{"FOR", TABLE_RIGHT | TABLE_QUIET, cell_duration, "sync_for_s"},
	{"PEER", 0, cell_text, "peer"},
	{"SESSION", 0, cell_id, "session"},
	{"LANES", TABLE_RIGHT, cell_lanes_ready, "state"},
	{"BUSY", TABLE_RIGHT, cell_lanes, "inflight"},
	{"CONNECTS", TABLE_RIGHT, cell_lanes, "connects"},
	{"RESENDS", TABLE_RIGHT, cell_lanes, "resends"},
	{"BAD DIGESTS", TABLE_RIGHT | TABLE_QUIET, cell_lanes, "bad_digests"},
	{"LATE REPLIES", TABLE_RIGHT | TABLE_QUIET, cell_lanes, "late_replies"},
	{NULL, 0, NULL, NULL},
};

static const struct field export_fields[] = {
	{"EXPORT", 0, cell_text, "name"},
	{"SIZE", TABLE_RIGHT, cell_size, "size"},
	{"MODE", 0, cell_mode, "read_only"},
	{"HOLDER", 0, cell_holder, "client"},
	{"EPOCH", TABLE_RIGHT, cell_number, "epoch"},
	{"TAKEOVERS", TABLE_RIGHT | TABLE_QUIET, cell_number, "takeovers"},
	{"SESSIONS", TABLE_RIGHT, cell_length, "sessions"},
	{"READS", TABLE_RIGHT, cell_counter, "reads"},
	{"READ", TABLE_RIGHT, cell_counter_size, "read_bytes"},
	{"WRITES", TABLE_RIGHT, cell_counter, "writes"},
	{"WRITTEN", TABLE_RIGHT, cell_counter_size, "write_bytes"},
	{"FLUSHES", TABLE_RIGHT, cell_counter, "flushes"},
	{"DISCARDS", TABLE_RIGHT | TABLE_QUIET, cell_counter, "discards"},
	{"ZEROES", TABLE_RIGHT | TABLE_QUIET, cell_counter, "zeroes"},
	{"ERRORS", TABLE_RIGHT, cell_counter, "errors"},
	{"BAD DIGESTS", TABLE_RIGHT | TABLE_QUIET, cell_counter, "bad_digests"},
	{"KNOWN", TABLE_RIGHT | TABLE_QUIET, cell_counter, "executed"},
	{"FALSE RETRIES", TABLE_RIGHT | TABLE_QUIET, cell_counter, "false_retries"},
	{"PATH", 0, cell_text, "path"},
	{NULL, 0, NULL, NULL},
};

static const struct field session_fields[] = {
	{"EXPORT", 0, cell_owner, "name"},
	{"SESSION", 0, cell_id, "id"},
	{"CLIENT", 0, cell_text, "client"},
	{"PEER", 0, cell_text, "peer"},
	{"MODE", 0, cell_text, "permissions"},
	{"FOR", TABLE_RIGHT, cell_duration, "since_s"},
	{"LANES", TABLE_RIGHT, cell_length, "lanes"},
	{"BUSY", TABLE_RIGHT, cell_lanes, "inflight"},
	{"RECEIVED", TABLE_RIGHT, cell_lanes, "messages_in"},
	{"SENT", TABLE_RIGHT, cell_lanes, "messages_out"},
	{NULL, 0, NULL, NULL},
};

static struct table *new_table(const struct field *fields)
{
	struct table *table = table_new();

	for (const struct field *field = fields; field->title; field++)
		table_column(table, field->title, field->flags);
	return table;
}

/* Does anything below it give a reason? What is above that, and isn't ready, only says the same again. */
static bool is_explained(const json_t *parts, const char *inner)
{
	const json_t *part;
	size_t index;

	json_array_foreach(parts, index, part)
	{
		const char *reason = json_string_value(json_object_get(part, "reason"));

		if ((reason && *reason) || is_explained(json_object_get(part, inner), inner))
			return true;
	}
	return false;
}

/* New lines; NULL: there is nothing to explain. A mirror always has something of its own to say. */
static char *why_not_ready(const json_t *part, const char *inner)
{
	const char *map = json_string_value(json_object_get(part, "map"));
	const char *reason = json_string_value(json_object_get(part, "reason"));
	const char *sync = json_string_value(json_object_get(part, "sync_reason"));

	if (reason && *reason &&
	    ((map && !strcmp(map, "mirror")) || !is_explained(json_object_get(part, inner), inner)))
		return human_format("%s", reason);
	return sync && *sync ? human_format("%s", sync) : NULL;
}

static void add_row(struct table *table, const struct field *fields, const struct subject *subject)
{
	for (const struct field *field = fields; field->title; field++)
		table_cell(table, field->cell(subject, field));
}

/* The `inner` of the object, and theirs, if there is a tree of them. */
static void add_parts(struct table *table, const struct field *fields, const char *inner,
		      const struct subject *subject)
{
	const json_t *part;
	size_t index;

	json_array_foreach(json_object_get(subject->object, inner), index, part)
	{
		struct subject below = {part, subject->owner, subject->depth};
		char *note = why_not_ready(part, inner);

		add_row(table, fields, &below);
		if (note)
			table_note(table, note);
		below.depth++;
		add_parts(table, fields, inner, &below);
	}
}

/* Two tables: what the daemon has of `outer`, and all the `inner` of those. */
static void print_tables(const json_t *daemon, const char *outer, const struct field *outer_fields,
			 const char *inner, const struct field *inner_fields)
{
	struct table *outer_table = new_table(outer_fields), *inner_table = new_table(inner_fields);
	const json_t *object;
	size_t index;

	json_array_foreach(json_object_get(daemon, outer), index, object)
	{
		add_row(outer_table, outer_fields, &(struct subject){.object = object});
		add_parts(inner_table, inner_fields, inner,
			  &(struct subject){.object = object, .owner = object});
	}
	table_print(outer_table, stdout);
	table_print(inner_table, stdout);
	table_free(&outer_table);
	table_free(&inner_table);
}

static void print_text_line(const json_t *daemon, const char *label, const char *name)
{
	char *text = human_field(daemon, name);

	printf("  %s %s\n", label, text);
	free(text);
}

/* ", 2 workers"; nothing if it isn't known. */
static void print_how_many(const json_t *daemon, const char *name, const char *noun)
{
	int64_t count = human_count(daemon, name);

	if (count >= 0)
		printf(", %" PRId64 " %s%s", count, noun, count == 1 ? "" : "s");
}

/* "dstfs 0.1.0 on /mnt/dst, pid 4242, up 3d 4h, 2 workers" */
static void print_head(const json_t *daemon)
{
	char *kind = human_field(daemon, "kind"), *version = human_field(daemon, "version");
	char *mountpoint = human_field(daemon, "mountpoint");
	char pid[HUMAN_NUMBER], uptime[HUMAN_NUMBER];

	printf("%s %s%s%s, pid %s, up %s", kind, version,
	       json_object_get(daemon, "mountpoint") ? " on " : "",
	       json_object_get(daemon, "mountpoint") ? mountpoint : "",
	       human_number(human_count(daemon, "pid"), pid),
	       human_duration(human_count(daemon, "uptime_s"), uptime));
	print_how_many(daemon, "workers", "worker");
	print_how_many(daemon, "clients", "client");
	putchar('\n');
	free(kind);
	free(version);
	free(mountpoint);
}

/* The strings of an array, with commas; "-" if there are none. */
static char *join(const json_t *array)
{
	char *joined = NULL;
	const json_t *value;
	size_t index;

	json_array_foreach(array, index, value)
	{
		char *longer;

		if (!json_is_string(value))
			continue;
		longer = human_format("%s%s%s", joined ? joined : "", joined ? ", " : "",
				      json_string_value(value));
		free(joined);
		joined = longer;
	}
	return joined ? human_clean(joined) : human_format("-");
}

static void print_dstfs(const json_t *daemon)
{
	print_text_line(daemon, "source", "source");
	print_tables(daemon, "volumes", volume_fields, "nodes", node_fields);
}

static void print_dstd(const json_t *daemon)
{
	const json_t *counters = json_object_get(daemon, "counters");
	char *listens = join(json_object_get(daemon, "listens"));
	char accepted[HUMAN_NUMBER], refused[HUMAN_NUMBER], bad[HUMAN_NUMBER];

	printf("  listens on %s\n", listens);
	printf("  connections: %s accepted, %s refused, %s with a bad header\n",
	       human_number(human_count(counters, "accepted"), accepted),
	       human_number(human_count(counters, "refused"), refused),
	       human_number(human_count(counters, "bad_headers"), bad));
	free(listens);
	print_tables(daemon, "exports", export_fields, "sessions", session_fields);
}

static const struct {
	const char *kind;
	void (*print)(const json_t *daemon);
} kinds[] = {
	{"dstfs", print_dstfs},
	{"dstd", print_dstd},
};

static void print_daemon(const json_t *daemon)
{
	const char *kind = json_string_value(json_object_get(daemon, "kind"));

	print_head(daemon);
	for (size_t i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kind, kinds[i].kind))
			kinds[i].print(daemon);
}

/* jansson leaves DEL as it is, which is right for JSON, but not for a terminal. */
static int print_json_part(const char *buffer, size_t size, void *arg)
{
	for (size_t i = 0; i < size; i++)
		if (buffer[i] == 0x7f)
			fputs("\\u007f", stdout);
		else
			putchar(buffer[i]);
	return 0;
}

static bool is_ok(const json_t *daemon)
{
	return json_is_true(json_object_get(daemon, "ok"));
}

enum exit_status status_run(const struct options *options, int argc, char **argv)
{
	json_t *daemons = find_daemons(options, NULL), *daemon;
	enum exit_status status = EXIT_OK;
	bool first = true;
	size_t index;

	if (!daemons)
		human_no_memory();
	if (options->given & OPTION_JSON) {
		json_dump_callback(daemons, print_json_part, NULL,
				   JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	}
	if (!json_array_size(daemons))
		status = EXIT_FAILED;
	json_array_foreach(daemons, index, daemon)
	{
		if (!is_ok(daemon)) {
			human_report(daemon);
			status = EXIT_FAILED;
		} else if (!(options->given & OPTION_JSON)) {
			if (!first)
				putchar('\n');
			print_daemon(daemon);
			first = false;
		}
	}
	json_decref(daemons);
	return status;
}
