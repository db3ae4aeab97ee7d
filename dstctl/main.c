/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - dstctl: command line, table of commands. */
#include "common/text.h"
#include "dstctl/command.h"
#include "dstctl/copying.h"
#include "dstctl/human.h"
#include "dstctl/mirror.h"
#include "dstctl/node.h"
#include "dstctl/resize.h"
#include "dstctl/status.h"
#include "dstctl/volume.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
	{"status", "", "show volumes, nodes, exports, sessions and counters", 0, 0,
	 OPTION_JSON | OPTION_PICK, status_run},
	{"fail", "VOLUME", "end all waiting I/O of the volume with an error, now", 1, 1,
	 OPTION_PICK, fail_run},
	{"set", "VOLUME KEY=VALUE...", "change options of the volume while it runs", 2, 64,
	 OPTION_PICK, set_run},
	{"reattach", "VOLUME", "attach again after another writer has taken over", 1, 1,
	 OPTION_PICK | OPTION_TAKEOVER, reattach_run},
	{"is", "VOLUME STATE", "is the mirror in-sync, resyncing, degraded or failed?", 2, 2,
	 OPTION_PICK, is_run},
	{"resync", "VOLUME", "how far nodes of a mirror that were away have got", 1, 1,
	 OPTION_PICK | OPTION_WATCH | OPTION_PAUSE | OPTION_RESUME, resync_run},
	{"verify", "VOLUME", "compare the nodes of a mirror while it is in use", 1, 1,
	 OPTION_PICK | OPTION_REPAIR | OPTION_FROM | OPTION_STOP, verify_run},
	{"node", "ACTION VOLUME NODE", "take a node of a mirror in use out, or put one in", 3, 4,
	 OPTION_PICK | OPTION_TRUST | OPTION_FORCE, node_run},
	{"volume", "resize VOLUME [SIZE]", "let a mirror grow when all its nodes have grown", 2, 3,
	 OPTION_PICK, resize_run},
	{"mirror", "ACTION VOLUME...", "create, inspect, check or mend a mirror", 2, 3,
	 OPTION_PICK | OPTION_JSON | OPTION_CONFIG | OPTION_FORCE | OPTION_FROM | OPTION_EQUAL |
		 OPTION_KEEP | OPTION_YES | OPTION_WATCH,
	 mirror_run},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct option_row {
	char letter; /* 0: none */
	const char *name;
	const char *argument; /* NULL: none */
	unsigned bit; /* OPTION_*; 0: dstctl's own */
	const char *help;
} option_rows[] = {
	{0, "json", NULL, OPTION_JSON, "print JSON, for programs"},
	{0, "mount", "DIR", OPTION_MOUNT, "only the dstfs that is mounted on DIR"},
	{0, "socket", "PATH", OPTION_SOCKET, "only the daemon with this control socket"},
	{0, "takeover", NULL, OPTION_TAKEOVER, "reattach: take the export over, whoever holds it"},
	{0, "watch", NULL, OPTION_WATCH, "resync, mirror replace: until it is done"},
	{0, "pause", NULL, OPTION_PAUSE, "resync: stays where it is until --resume"},
	{0, "resume", NULL, OPTION_RESUME, "resync: go on after --pause"},
	{0, "repair", NULL, OPTION_REPAIR, "verify: mend what differs, from the majority"},
	{0, "stop", NULL, OPTION_STOP, "verify: break off the one that is under way"},
	{'c', "config", "FILE", OPTION_CONFIG, "mirror: the configuration of the volumes"},
	{0, "from", "NODE", OPTION_FROM, "mirror, verify: the node whose data is right"},
	{0, "assume-equal", NULL, OPTION_EQUAL, "mirror create: the nodes hold the same data"},
	{0, "trust-unmodified", NULL, OPTION_TRUST, "node attach: it wasn't changed meanwhile"},
	{0, "force", NULL, OPTION_FORCE, "mirror, node: though something may be lost"},
	{0, "keep", "NODE", OPTION_KEEP, "mirror resolve: the node that it goes on from"},
	{0, "yes", NULL, OPTION_YES, "mirror: don't ask whether something may be lost"},
	{'h', "help", NULL, 0, "print this and exit"},
	{'V', "version", NULL, 0, "print the version and exit"},
};

#define OPTIONS (sizeof(option_rows) / sizeof(option_rows[0]))

static void print_help(void)
{
	printf("usage: dstctl COMMAND [OPTION]...\n\n"
	       "Talks to the dstfs and dstd daemons of this user on this machine.\n\n"
	       "commands:\n");
	for (size_t i = 0; i < COMMANDS; i++) {
		const struct command *c = &commands[i];

		printf("  %s%s%-*s  %s\n", c->name, *c->arguments ? " " : "",
		       (*c->arguments ? 23 : 24) - (int)strlen(c->name), c->arguments, c->help);
	}
	printf("\noptions:\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option_row *o = &option_rows[i];
		char letter[8] = "    ";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		printf("  %s--%s%s%-*s  %s\n", letter, o->name, o->argument ? " " : "",
		       (o->argument ? 13 : 14) - (int)strlen(o->name),
		       o->argument ? o->argument : "", o->help);
	}
}

/* getopt_long()'s view of the rows: val is the row's index, after all letters. */
#define ROW_VALUE 256

static void make_getopt(struct option longs[OPTIONS + 1], char letters[2 * OPTIONS + 2])
{
	*letters++ = ':'; /* a missing argument is told apart from an unknown option */
	for (size_t i = 0; i < OPTIONS; i++) {
		longs[i] = (struct option){
			.name = option_rows[i].name,
			.has_arg = option_rows[i].argument ? required_argument : no_argument,
			.val = ROW_VALUE + (int)i,
		};
		if (option_rows[i].letter)
			*letters++ = option_rows[i].letter;
		if (option_rows[i].letter && option_rows[i].argument)
			*letters++ = ':';
	}
	longs[OPTIONS] = (struct option){0};
	*letters = 0;
}

static const struct option_row *find_row(int value)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (value == ROW_VALUE + (int)i || (value && value == option_rows[i].letter))
			return &option_rows[i];
	return NULL;
}

__attribute__((format(printf, 1, 2))) static enum exit_status usage_error(const char *format, ...)
{
	char reason[512];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	fprintf(stderr, "dstctl: %s (see dstctl --help)\n", human_clean(reason));
	return EXIT_USAGE;
}

static enum exit_status option_error(int value, char **argv)
{
	const struct option_row *row = find_row(optopt);

	if (value == ':')
		return usage_error("--%s needs %s", row->name, row->argument);
	if (row)
		return usage_error("--%s takes no value", row->name);
	if (optopt)
		return usage_error("unknown option -%c", optopt);
	return usage_error("unknown option %s", argv[optind - 1]);
}

/* *done: help or version was printed, and that was it. */
static enum exit_status parse_options(struct options *options, bool *done, int argc, char **argv)
{
	struct option longs[OPTIONS + 1];
	char letters[2 * OPTIONS + 2];
	int value;

	make_getopt(longs, letters);
	opterr = 0; /* messages are ours */
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = find_row(value);

		if (!row)
			return option_error(value, argv);
		if (row->argument && !*optarg)
			return usage_error("--%s needs %s", row->name, row->argument);
		options->given |= row->bit;
		if (row->bit == OPTION_MOUNT)
			options->mount = optarg;
		if (row->bit == OPTION_SOCKET)
			options->socket = optarg;
		if (row->bit == OPTION_CONFIG)
			options->config = optarg;
		if (row->bit == OPTION_FROM)
			options->from = optarg;
		if (row->bit == OPTION_KEEP)
			options->keep = optarg;
		*done = !row->bit;
		if (*done && row->letter == 'h')
			print_help();
		else if (*done)
			printf("dstctl %s\n", DST_VERSION_TEXT);
		if (*done)
			return EXIT_OK;
	}
	if (options->mount && options->socket)
		return usage_error("--mount and --socket exclude each other");
	return EXIT_OK;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static enum exit_status unknown_command(const char *name)
{
	const char *meant = NULL;
	int least = INT_MAX;

	for (size_t i = 0; i < COMMANDS; i++) {
		int distance = text_distance(name, commands[i].name);

		if (distance >= 0 && distance < least) {
			least = distance;
			meant = commands[i].name;
		}
	}
	if (meant)
		return usage_error("unknown command %s, did you mean %s?", name, meant);
	return usage_error("unknown command %s", name);
}

/* Runs argv[0] with the arguments after it. */
static enum exit_status run_command(const struct options *options, int argc, char **argv)
{
	const struct command *command;

	if (argc < 1)
		return usage_error("a command is missing");
	command = find_command(argv[0]);
	if (!command)
		return unknown_command(argv[0]);
	for (size_t i = 0; i < OPTIONS; i++)
		if (options->given & option_rows[i].bit & ~command->accepts)
			return usage_error("%s doesn't know --%s", command->name,
					   option_rows[i].name);
	if ((unsigned)argc - 1 < command->least)
		return usage_error("%s needs %s", command->name, command->arguments);
	if ((unsigned)argc - 1 > command->most)
		return usage_error("%s: too many arguments: %s", command->name,
				   argv[1 + command->most]);
	return command->run(options, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	enum exit_status status;
	bool done = false;

	setlocale(LC_CTYPE, "");
	status = parse_options(&options, &done, argc, argv);
	if (status == EXIT_OK && !done)
		status = run_command(&options, argc - optind, argv + optind);
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
		fprintf(stderr, "dstctl: stdout: %s\n", strerror(errno));
		status = EXIT_FAILED;
	}
	return status;
}
