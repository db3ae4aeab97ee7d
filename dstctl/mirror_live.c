/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_live.c - actions of "dstctl mirror" on one that is mounted. What may lose something is first
 * surveyed; the survey's number says that what was shown is done, and nothing else.
 */
#include "common/control.h"
#include "dstctl/copying.h"
#include "dstctl/human.h"
#include "dstctl/mirror_action.h"
#include "dstctl/node.h"

#include <jansson.h>
#include <stdio.h>

static void print_text(const json_t *order)
{
	const char *text = json_string_value(json_object_get(order, "text"));

	human_lines(stdout, "", text ? text : "");
}

/* The choice, and the survey that it was shown in; NULL: it is to be shown. */
static json_t *choice(const struct options *options, const json_t *survey)
{
	json_t *request = json_object();

	if (!request ||
	    (options->keep && json_object_set_new(request, "keep", json_string(options->keep))) ||
	    (survey && json_object_set(request, "survey", json_object_get(survey, "order"))))
		human_no_memory();
	return request;
}

static enum exit_status choose(const struct options *options, const char *command,
			       const char *volume)
{
	json_t *survey, *order = NULL;
	bool good = node_order(options, command, volume, choice(options, NULL), &survey);

	if (good) {
		printf("%s:\n", volume);
		print_text(survey);
		good = action_confirm(options) &&
		       node_order(options, command, volume, choice(options, survey), &order);
	}
	if (good)
		print_text(order);
	json_decref(survey);
	json_decref(order);
	return good ? EXIT_OK : EXIT_FAILED;
}

enum exit_status live_replace(const struct options *options, int argc, char **argv)
{
	json_t *request = json_pack("{s:o*, s:b}", "node", control_string(argv[1]), "force",
				    (options->given & OPTION_FORCE) != 0);
	json_t *order;
	bool good;

	if (!request)
		human_no_memory();
	good = node_order(options, "mirror-replace", argv[0], request, &order);
	if (good) {
		printf("%s: %s: ", argv[0], argv[1]);
		print_text(order);
	}
	json_decref(order);
	if (good && options->given & OPTION_WATCH)
		return resync_run(options, 1, argv);
	return good ? EXIT_OK : EXIT_FAILED;
}

enum exit_status live_start(const struct options *options, int argc, char **argv)
{
	if (options->given & OPTION_FORCE)
		return choose(options, "mirror-start", argv[0]);
	action_complain(
		"a mirror starts by itself when it may; --force starts it with what is there");
	return EXIT_USAGE;
}

enum exit_status live_resolve(const struct options *options, int argc, char **argv)
{
	if (options->keep)
		return choose(options, "mirror-resolve", argv[0]);
	action_complain(
		"--keep NODE must tell from which node the mirror goes on; see dstctl status");
	return EXIT_USAGE;
}
