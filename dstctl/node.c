/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.c - see node.h. The daemon answers at once, with the number of an order; how that ends is
 * looked for in its status. It goes on if nobody waits for it.
 */
#include "dstctl/node.h"

#include "common/clock.h"
#include "common/control.h"
#include "dstctl/human.h"
#include "dstctl/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_INTERVAL (100 * CLOCK_MS)

/* ---- orders ---- */

/* The first object in the tree of `below` whose field has this value; borrowed. NULL: none. */
static const json_t *find_object(const json_t *tree, const char *below, const char *list,
				 const char *field, const json_t *value)
{
	const json_t *each, *found = NULL;
	size_t index;

	json_array_foreach(json_object_get(tree, list), index,
			   each) if (json_equal(json_object_get(each, field), value)) return each;
	json_array_foreach(
		json_object_get(tree, below), index,
		each) if ((found = find_object(each, below, list, field, value))) return found;
	return NULL;
}

/* The number in an answer: of several mirrors of a tree one has the node. NULL: there is none. */
static const json_t *order_of(const json_t *answer)
{
	const json_t *part, *order = json_object_get(answer, "order");
	size_t index;

	json_array_foreach(json_object_get(answer, "parts"), index, part) if (!order) order =
		order_of(part);
	return order;
}

static bool is_in_state(const json_t *order, const char *state)
{
	const char *text = json_string_value(json_object_get(order, "state"));

	return text && !strcmp(text, state);
}

/* Until it has ended; a new reference. NULL: the volume is gone, or knows nothing of it any more. */
static json_t *wait_for_order(const struct options *options, const char *name, const json_t *number)
{
	for (;;) {
		json_t *volume = volume_find(options, name), *order;

		if (!volume)
			return NULL;
		order = json_incref(
			(json_t *)find_object(volume, "nodes", "orders", "order", number));
		json_decref(volume);
		if (!order)
			fprintf(stderr, "dstctl: it isn't known how it ended; see dstctl status\n");
		if (!order || !is_in_state(order, "running"))
			return order;
		json_decref(order);
		clock_sleep(LOOK_INTERVAL);
	}
}

bool node_order(const struct options *options, const char *command, const char *volume,
		json_t *request, json_t **order)
{
	json_t *answer = volume_call(options, command, volume, request);
	const json_t *number = order_of(answer);

	*order = number ? wait_for_order(options, volume, number) : NULL;
	json_decref(answer);
	if (!*order)
		return answer && !number;
	if (is_in_state(*order, "failed")) {
		const char *node = json_string_value(json_object_get(*order, "node"));
		const char *text = json_string_value(json_object_get(*order, "text"));
		char *prefix = human_clean(human_format("dstctl: %s%s", node && *node ? node : "",
							node && *node ? ": " : ""));

		human_lines(stderr, prefix, text && *text ? text : "it failed");
		free(prefix);
		return false;
	}
	return true;
}

/* ---- actions ---- */

struct action {
	const char *name;
	unsigned accepts; /* OPTION_*, besides those that pick a daemon */
	const char *command; /* of the daemon */
	const char *done; /* what it came to, for people */
	const char *needs_force; /* NULL: it doesn't; else what it means */
	unsigned arguments; /* behind the volume: the node, or also where it is */
};

static const struct action actions[] = {
	{"suspend", 0, "node-suspend",
	 "is not used any more; dstctl node resume puts it back, with what it missed", NULL, 1},
	{"resume", 0, "node-resume", "is used again", NULL, 1},
	{"detach", 0, "node-detach",
	 "is a consistent image now, which nothing is written to; dstctl node attach puts it back",
	 NULL, 1},
	{"attach", OPTION_TRUST, "node-attach", "is used again", NULL, 1},
	{"dirty", 0, "node-dirty",
	 "is compared with the others as a whole, and not read before that is done", NULL, 1},
	{"clean", OPTION_FORCE, "node-clean", "is in sync, because you say so",
	 "it would be read without having been compared: where it differs from the others, readers "
	 "get the one or the other, and nothing mends that but dstctl verify --repair; if you "
	 "know that they are equal say --force",
	 1},
	{"add", OPTION_FORCE, "node-add",
	 "is a node of the mirror; add its line to the configuration", NULL, 2},
	{"remove", OPTION_FORCE, "node-remove", "is not a node of the mirror any more", NULL, 1},
};

#define ACTIONS (sizeof(actions) / sizeof(actions[0]))

static const struct action *find_action(const struct options *options, const char *name)
{
	size_t i = 0;

	while (i < ACTIONS && strcmp(actions[i].name, name) != 0)
		i++;
	if (i == ACTIONS) {
		fprintf(stderr, "dstctl: node: the action is one of");
		for (i = 0; i < ACTIONS; i++)
			fprintf(stderr, "%s %s", i ? "," : "", actions[i].name);
		fputc('\n', stderr);
		return NULL;
	}
	if (options->given & ~(actions[i].accepts | OPTION_PICK)) {
		fprintf(stderr,
			"dstctl: node %s doesn't know one of these options (see dstctl "
			"--help)\n",
			name);
		return NULL;
	}
	return &actions[i];
}

/* "vol0: b is used again: resyncing" */
static void say_done(const struct options *options, const struct action *action, const char *volume,
		     const json_t *order)
{
	json_t *status = volume_find(options, volume);
	const json_t *node =
		find_object(status, "nodes", "nodes", "name", json_object_get(order, "node"));
	const char *text = json_string_value(json_object_get(order, "text"));
	const char *sync = json_string_value(json_object_get(node, "sync"));
	char *name = human_field(order, "node");

	printf("%s: %s %s%s%s\n", volume, name, action->done, sync ? ": " : "", sync ? sync : "");
	human_lines(stdout, "  ", text ? text : "");
	free(name);
	json_decref(status);
}

enum exit_status node_run(const struct options *options, int argc, char **argv)
{
	const struct action *action = find_action(options, argv[0]);
	json_t *order, *request;
	bool done;

	if (!action)
		return EXIT_USAGE;
	if (action->needs_force && !(options->given & OPTION_FORCE)) {
		fprintf(stderr, "dstctl: %s: %s\n", argv[0], action->needs_force);
		return EXIT_USAGE;
	}
	if ((unsigned)argc - 2 != action->arguments) {
		fprintf(stderr, "dstctl: node %s takes a volume and %s\n", argv[0],
			action->arguments == 1 ? "a node" : "a new node's name and URI");
		return EXIT_USAGE;
	}
	request = json_pack("{s:o*, s:o*, s:b, s:b}", action->arguments == 1 ? "node" : "name",
			    control_string(argv[2]), "uri",
			    action->arguments == 1 ? NULL : control_string(argv[3]), "trust",
			    (options->given & OPTION_TRUST) != 0, "force",
			    (options->given & OPTION_FORCE) != 0);
	if (!request)
		human_no_memory();
	done = node_order(options, action->command, argv[1], request, &order);
	if (done)
		say_done(options, action, argv[1], order);
	json_decref(order);
	return done ? EXIT_OK : EXIT_FAILED;
}
