/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmdline.h - a command line against tables of keys: every row is a long option ("read_only" is
 * --read-only), some have a letter. A value may follow "=" or stand in the next argument; where yes
 * or no is asked for, the option alone means yes, and "no" follows "=". Options and operands mix;
 * "--" ends the options.
 */
#ifndef COMMON_CMDLINE_H
#define COMMON_CMDLINE_H

#include "common/conf_key.h"

#define CMDLINE_OPERANDS_MAX 8u

struct cmdline_spec {
	const char *program;
	const char *usage; /* --help: what stands before the list of options */
	const char *epilog; /* and what behind it */
	const struct conf_key *const *tables;
	const char *const *titles; /* --help: one for each table */
	/* The row whose value is a list "NAME[=VALUE],..." as of mount(8)'s -o; NULL: none. */
	const char *list;
	/* Gets what is in the list but in no table. 0, or EINVAL with the cause in reason. */
	int (*other)(void *arg, const char *name, const char *value, const struct reason *reason);
	void *arg;
};

struct cmdline {
	struct conf_section given; /* options, in order; each with its key, file NULL */
	const char *operands[CMDLINE_OPERANDS_MAX]; /* argv's own */
	unsigned operand_count;
};

/* Parses and checks; values stay text in `given`. 0, or EINVAL or ENOMEM with the cause in reason. */
int cmdline_parse(struct cmdline *cmdline, const struct cmdline_spec *spec, int argc, char **argv,
		  const struct reason *reason);
void cmdline_clear(struct cmdline *cmdline);

/* Was a row of this name given? The last one, or NULL. */
const struct conf_entry *cmdline_find(const struct cmdline *cmdline, const char *name);

/*
 * Cuts the next item "NAME[=VALUE]" off a list that is separated by commas, and resolves "\," and
 * "\\". *list moves on, NULL at the end. *value points behind the '=', NULL: there is none.
 */
char *cmdline_next_item(char **list, char **value);

void cmdline_help(const struct cmdline_spec *spec); /* to stdout */

/* The one line on stderr that tells why a program doesn't start. */
void cmdline_complain(const char *program, const char *reason);

#endif
