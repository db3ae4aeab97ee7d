/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror.c - see mirror.h. What changes anything needs the nodes for itself: one that is mounted is
 * locked, or held by its client, and refused with that reason.
 */
#include "dstctl/mirror.h"

#include "dstctl/human.h"
#include "dstctl/mirror_action.h"
#include "dstctl/volume.h"
#include "dstfs/assemble.h"
#include "dstfs/witness.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN 20u /* differences that are told one by one */

enum exit_status action_complain(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *line = text, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		fprintf(stderr, "dstctl: %s\n", human_clean(line));
	}
	return EXIT_FAILED;
}

bool action_given(const struct action *a, unsigned option)
{
	return a->options->given & option;
}

const char *action_name(const struct action *a, unsigned part)
{
	return a->o.parts[part].name;
}

bool action_all_there(const struct action *a)
{
	bool good = true;

	for (unsigned i = 0; i < a->o.count; i++) {
		if (offline_ready(&a->o, i) && a->o.parts[i].target->writable)
			continue;
		action_complain("%s: %s", action_name(a, i),
				offline_ready(&a->o, i) ? "may not be written to"
							: a->o.parts[i].reason);
		good = false;
	}
	return good;
}

unsigned action_find_source(const struct action *a, bool *bad)
{
	unsigned found = a->o.count;

	*bad = false;
	if (!action_given(a, OPTION_FROM))
		return found;
	found = mirror_nodes_find(&a->nodes, a->options->from);
	*bad = found == a->o.count;
	if (*bad)
		action_complain("the mirror has no node %s", a->options->from);
	return found;
}

void action_forget_witness(struct offline *o)
{
	struct mirror_witness_store *store = assemble_witness(o->volume, o->mirror, o->worker.loop);
	int error = store ? witness_forget(store) : ENOMEM;

	if (error)
		action_complain(
			"the old witness can't be removed (%s), and may keep the mirror from "
			"starting: %s",
			strerror(error), store ? witness_path(store) : "");
	if (store)
		store->ops->close(store);
}

void action_keep_witness(struct action *a, const struct mirror_super *super)
{
	struct offline *o = &a->o;
	struct mirror_witness_store *store = assemble_witness(o->volume, o->mirror, o->worker.loop);
	struct mirror_witness witness = {.known = true, .generation = super->generation};
	int error = ENOMEM;

	memcpy(witness.set, super->set, DST_ID_SIZE);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		witness.in_sync[i] = super->members[i].state == MIRROR_IN_SYNC;
		witness.sizes[i] = super->members[i].size;
	}
	if (store) {
		error = witness_save_now(store, &witness);
		store->ops->close(store);
	}
	if (error)
		action_forget_witness(o);
}

bool action_confirm(const struct options *options)
{
	int answer = 'n';

	if (options->given & OPTION_YES)
		return true;
	if (!isatty(STDIN_FILENO)) {
		action_complain("nothing was done; --yes does so");
		return false;
	}
	printf("Go on? [y/N] ");
	fflush(stdout);
	answer = getchar();
	return answer == 'y' || answer == 'Y';
}

/* ---- inspect ---- */

static enum exit_status inspect(struct action *a)
{
	if (action_given(a, OPTION_JSON))
		json_array_append_new(a->json, mirror_nodes_json(&a->nodes));
	else
		mirror_nodes_print(&a->nodes);
	return a->nodes.verdict ? EXIT_FAILED : EXIT_OK;
}

/* ---- check ---- */

struct checking {
	struct action *a;
	uint64_t windows; /* that differ */
};

static int tell_difference(void *arg, struct range range, unsigned others)
{
	struct checking *c = arg;

	if (c->windows++ < SHOWN) {
		printf("  %" PRIu64 " bytes at %" PRIu64 " differ on", range.length, range.offset);
		for (; others; others &= others - 1)
			printf(" %s", action_name(c->a, (unsigned)__builtin_ctz(others)));
		putchar('\n');
	} else if (c->windows == SHOWN + 1) {
		printf("  and more\n");
	}
	return 0;
}

static unsigned parts_in_sync(const struct action *a)
{
	unsigned parts = 0;

	for (unsigned i = 0; i < a->o.count; i++)
		if (a->nodes.start.roles[i] == MIRROR_ROLE_IN_SYNC)
			parts |= 1u << i;
		else
			printf("  %s is %s: not compared%s%s\n", action_name(a, i),
			       mirror_role_name(a->nodes.start.roles[i]),
			       *a->o.parts[i].reason ? ": " : "", a->o.parts[i].reason);
	return parts;
}

static enum exit_status check(struct action *a)
{
	struct checking c = {.a = a};
	unsigned parts, first, failed;
	const struct mirror_super *super;
	int error;

	for (unsigned i = 0; i < a->o.count; i++)
		if (!offline_ready(&a->o, i))
			action_complain("%s: %s", action_name(a, i), a->o.parts[i].reason);
	if (a->nodes.verdict == MIRROR_START_BROKEN || a->nodes.verdict == MIRROR_START_SPLIT)
		return action_complain("%s", a->nodes.start.text);
	printf("%s:\n", a->o.volume->name);
	parts = parts_in_sync(a);
	if (!parts)
		return action_complain("no node that is there is in sync");
	if (a->nodes.start.make_equal)
		printf("  it wasn't ended cleanly: what was being written may differ, and is made "
		       "equal when it is mounted\n");
	first = (unsigned)__builtin_ctz(parts);
	if (parts == 1u << first)
		return action_complain("only %s is in sync: there is nothing to compare it with",
				       action_name(a, first));
	super = &a->nodes.found[first].super;
	error = offline_compare(&a->o, parts, first, super->data_size, tell_difference, &c,
				&failed);
	if (error)
		return action_complain("%s can't be read: %s", action_name(a, failed),
				       strerror(error));
	if (c.windows) {
		printf("  %" PRIu64 " of %" PRIu64 " windows differ\n", c.windows,
		       (super->data_size + OFFLINE_WINDOW - 1) / OFFLINE_WINDOW);
		return EXIT_FAILED;
	}
	printf("  %d nodes are equal\n", __builtin_popcount(parts));
	return __builtin_popcount(parts) == (int)a->o.count ? EXIT_OK : EXIT_FAILED;
}

/* ---- the command ---- */

static const struct row {
	const char *name;
	bool read_only;
	unsigned arguments; /* the volume included */
	unsigned accepts;
	enum exit_status (*run)(struct action *a); /* of one that isn't mounted; NULL: it must be */
	enum exit_status (*live)(const struct options *options, int argc, char **argv);
} actions[] = {
	{"create", false, 1, OPTION_CONFIG | OPTION_FORCE | OPTION_FROM | OPTION_EQUAL,
	 action_create, NULL},
	{"inspect", true, 1, OPTION_CONFIG | OPTION_JSON, inspect, NULL},
	{"check", false, 1, OPTION_CONFIG, check, NULL},
	{"repair", false, 1, OPTION_CONFIG | OPTION_FORCE | OPTION_FROM, action_repair, NULL},
	{"start", false, 1, OPTION_PICK | OPTION_FORCE | OPTION_YES, NULL, live_start},
	{"replace", false, 2, OPTION_PICK | OPTION_FORCE | OPTION_WATCH, NULL, live_replace},
	{"resolve", false, 1, OPTION_PICK | OPTION_CONFIG | OPTION_KEEP | OPTION_YES,
	 action_resolve, live_resolve},
};

#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const struct row *find_action(const char *name)
{
	for (size_t i = 0; i < ACTIONS; i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}

static enum exit_status run_offline(const struct row *row, const struct options *options,
				    const char *volume)
{
	static struct action a; /* large */
	enum exit_status status, worst = EXIT_OK;
	const struct map_config *mirror = NULL;

	a.options = options;
	a.json = json_array();
	status = offline_begin(&a.o, options->config, volume, row->read_only);
	if (status != EXIT_OK)
		return status;
	while (worst == EXIT_OK && (mirror = offline_next(&a.o, mirror))) {
		offline_open(&a.o, mirror);
		mirror_nodes_read(&a.nodes, &a.o, false);
		worst = row->run(&a);
		offline_close(&a.o);
	}
	offline_end(&a.o);
	if (options->given & OPTION_JSON)
		json_dumpf(a.json, stdout, JSON_INDENT(2)), putchar('\n');
	json_decref(a.json);
	return worst;
}

/* Some actions are for both: those that are mounted first. */
static bool is_live(const struct row *row, const struct options *options, const char *volume)
{
	if (!row->live || !row->run)
		return row->live;
	return options->given & OPTION_PICK ||
	       (!(options->given & OPTION_CONFIG) && volume_is_mounted(options, volume));
}

enum exit_status mirror_run(const struct options *options, int argc, char **argv)
{
	const struct row *row = find_action(argv[0]);

	if (!row)
		action_complain("mirror %.80s is unknown; see dstctl --help", argv[0]);
	else if (options->given & ~row->accepts)
		action_complain("mirror %s doesn't know one of these options (see dstctl --help)",
				argv[0]);
	else if ((unsigned)argc - 1 != row->arguments)
		action_complain("mirror %s takes %s", argv[0],
				row->arguments == 1 ? "the volume alone" : "the volume and a node");
	else if (is_live(row, options, argv[1]))
		return row->live(options, argc - 1, argv + 1);
	else
		return run_offline(row, options, argv[1]);
	return EXIT_USAGE;
}
