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
		char *node = human_field(*order, "node"), *text = human_field(*order, "text");

		fprintf(stderr, "dstctl: %s: %s\n", *node ? node : volume, text);
		free(node);
		free(text);
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
};

static const struct action actions[] = {
	{"suspend", 0, "node-suspend",
	 "is not used any more; dstctl node resume puts it back, with what it missed", NULL},
	{"resume", 0, "node-resume", "is used again", NULL},
	{"detach", 0, "node-detach",
	 "is a consistent image now, which nothing is written to; dstctl node attach puts it back",
	 NULL},
	{"attach", OPTION_TRUST, "node-attach", "is used again", NULL},
	{"dirty", 0, "node-dirty",
	 "is compared with the others as a whole, and not read before that is done", NULL},
	{"clean", OPTION_FORCE, "node-clean", "is in sync, because you say so",
	 "it would be read without having been compared: where it differs from the others, readers "
	 "get the one or the other, and nothing mends that but dstctl verify --repair; if you "
	 "know that they are equal say --force"},
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
	char *name = human_field(order, "node"), *text = human_field(order, "text");
	char *sync = human_field(node, "sync");

	printf("%s: %s %s (%s%s%s)\n", volume, name, action->done, sync, *text ? "; " : "", text);
	free(name);
	free(text);
	free(sync);
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
	request = json_pack("{s:o*, s:b}", "node", control_string(argv[2]), "trust",
			    (options->given & OPTION_TRUST) != 0);
	if (!request)
		human_no_memory();
	done = node_order(options, action->command, argv[1], request, &order);
	if (done)
		say_done(options, action, argv[1], order);
	json_decref(order);
	return done ? EXIT_OK : EXIT_FAILED;
}
