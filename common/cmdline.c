/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmdline.c - see cmdline.h */
#include "common/cmdline.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 64 /* rows of all tables of a program */
#define HELP_WIDTH 96
#define HELP_COLUMN 30 /* where the text starts */
#define FIRST_VALUE 256 /* getopt's codes of long options: above all letters */

/* What getopt_long(3) wants, made of the tables. */
struct option_set {
	struct option options[OPTIONS_MAX + 1];
	const struct conf_key *keys[OPTIONS_MAX];
	char names[OPTIONS_MAX][CONF_KEY_MAX + 1];
	char letters[3 * OPTIONS_MAX + 3];
	unsigned count;
};

static void option_name(char name[CONF_KEY_MAX + 1], const struct conf_key *key)
{
	snprintf(name, CONF_KEY_MAX + 1, "%s", key->name);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = '-';
}

static void make_set(struct option_set *set, const struct conf_key *const *tables)
{
	char *letter = set->letters;

	*letter++ = ':'; /* a missing value is told apart from an unknown option */
	for (; *tables; tables++)
		for (const struct conf_key *key = *tables; key->name && set->count < OPTIONS_MAX;
		     key++) {
			unsigned i = set->count++;

			set->keys[i] = key;
			option_name(set->names[i], key);
			set->options[i] = (struct option){
				.name = set->names[i],
				.has_arg = key->value ? required_argument : optional_argument,
				.val = FIRST_VALUE + (int)i,
			};
			if (key->letter)
				*letter++ = key->letter;
			if (key->letter && key->value)
				*letter++ = ':';
		}
}

static const struct conf_key *find_letter(const struct option_set *set, int code)
{
	if (code >= FIRST_VALUE)
		return set->keys[code - FIRST_VALUE];
	for (unsigned i = 0; i < set->count; i++)
		if (set->keys[i]->letter == code)
			return set->keys[i];
	return NULL;
}

/* Notes that the option was given, once its value is well-formed. `prefix` of its name: "--", "-o ". */
static int add(struct cmdline *cmdline, const struct conf_key *key, const char *prefix,
	       const char *text, const struct reason *reason)
{
	char name[CONF_KEY_MAX + 8], dashed[CONF_KEY_MAX + 1], cause[CONF_REASON_MAX];
	const struct conf_value value = {.text = text ? text : "yes",
					 .key = key,
					 .reason = &(struct reason){cause, sizeof(cause)}};
	struct conf_entry *entry;

	option_name(dashed, key);
	snprintf(name, sizeof(name), "%s%s", prefix, strcmp(prefix, "--") ? key->name : dashed);
	if (!text && key->value)
		return text_refuse(reason, "%s: the value is missing; write %s=%s", name, name,
				   key->value);
	if (!text_is_clean(value.text))
		return text_refuse(reason, "%s: the value must be UTF-8 without control characters",
				   name);
	if (key->parse(&value, NULL))
		return text_refuse(reason, "%s: %s", name, cause);
	entry = conf_section_add(&cmdline->given, name, value.text, NULL, 0);
	if (!entry)
		return text_refuse(reason, "out of memory");
	entry->key = key;
	return 0;
}

char *cmdline_next_item(char **list, char **value)
{
	char *item = *list, *in = item, *out = item;

	*value = NULL;
	for (; *in && *in != ','; in++) {
		if (*in == '\\' && (in[1] == ',' || in[1] == '\\'))
			in++;
		else if (*in == '=' && !*value) {
			*out++ = '\0';
			*value = out;
			continue;
		}
		*out++ = *in;
	}
	*list = *in ? in + 1 : NULL;
	*out = '\0';
	return item;
}

/* "-o ro,timeout=5s": what is in no table goes to spec->other. */
static int add_list(struct cmdline *cmdline, const struct cmdline_spec *spec, const char *text,
		    const struct reason *reason)
{
	char *copy = strdup(text), *rest = copy, *name, *value;
	const struct conf_key *key;
	int error = copy ? 0 : text_refuse(reason, "out of memory");

	while (!error && rest) {
		name = cmdline_next_item(&rest, &value);
		key = conf_find_key(spec->tables, name);
		if (!*name && !value)
			continue; /* mount(8) and people leave empty ones */
		if (key && strcmp(key->name, spec->list) != 0)
			error = add(cmdline, key, "-o ", value, reason);
		else
			error = spec->other(spec->arg, name, value, reason);
	}
	free(copy);
	return error;
}

/* What getopt refused, and why. */
static int refuse_option(const struct option_set *set, const struct cmdline_spec *spec, int code,
			 const char *argument, const struct reason *reason)
{
	const struct conf_key *key = find_letter(set, optopt);
	char hint[CONF_HINT_MAX], name[CONF_KEY_MAX + 1], full[CONF_KEY_MAX + 1] = "";

	if (code == ':' && key) {
		option_name(full, key);
		return text_refuse(reason, "--%s: the value is missing; write --%s=%s", full, full,
				   key->value);
	}
	if (optopt && optopt < FIRST_VALUE)
		return text_refuse(reason, "there is no option -%c; see %s --help", optopt,
				   spec->program);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	conf_hint(spec->tables, name, hint);
	if (*hint)
		for (char *c = hint; *c; c++)
			if (*c == '_')
				*c = '-';
	return text_refuse(reason, "there is no option %.80s, or it's short for several%s%s%s",
			   argument, *hint ? hint : "; see ", *hint ? "" : spec->program,
			   *hint ? "" : " --help");
}

int cmdline_parse(struct cmdline *cmdline, const struct cmdline_spec *spec, int argc, char **argv,
		  const struct reason *reason)
{
	const struct conf_key *key;
	struct option_set set = {.count = 0};
	int code, error = 0;

	*cmdline = (struct cmdline){.operand_count = 0};
	conf_section_init(&cmdline->given);
	cmdline->given.folder = getcwd(NULL, 0); /* failing is up to who needs it */
	make_set(&set, spec->tables);
	optind = 0; /* glibc: starts anew */
	opterr = 0;
	while (!error && (code = getopt_long(argc, argv, set.letters, set.options, NULL)) != -1) {
		key = code == '?' || code == ':' ? NULL : find_letter(&set, code);
		if (!key)
			error = refuse_option(&set, spec, code, argv[optind - 1], reason);
		else if (spec->list && !strcmp(key->name, spec->list))
			error = add_list(cmdline, spec, optarg, reason);
		else
			error = add(cmdline, key, "--", optarg, reason);
	}
	for (; !error && optind < argc; optind++) {
		if (cmdline->operand_count == CMDLINE_OPERANDS_MAX)
			error = text_refuse(reason, "too many arguments; see %s --help",
					    spec->program);
		else
			cmdline->operands[cmdline->operand_count++] = argv[optind];
	}
	if (error)
		cmdline_clear(cmdline);
	return error;
}

void cmdline_clear(struct cmdline *cmdline)
{
	conf_section_clear(&cmdline->given);
}

const struct conf_entry *cmdline_find(const struct cmdline *cmdline, const char *name)
{
	const struct conf_entry *found = NULL;

	for (const struct conf_entry *e = cmdline->given.entries; e; e = e->next)
		if (!strcmp(e->key->name, name))
			found = e;
	return found;
}

/* Text in the right column, from `used` of the line on; breaks at blanks. */
static void print_wrapped(const char *text, unsigned used)
{
	while (*text) {
		unsigned size = (unsigned)strcspn(text, " ");

		if (used > HELP_COLUMN && used + 1 + size > HELP_WIDTH) {
			putchar('\n');
			used = 0;
		}
		if (used > HELP_COLUMN)
			putchar(' ');
		else
			printf("%*s", (int)(HELP_COLUMN - used), "");
		used = used > HELP_COLUMN ? used + 1 + size : HELP_COLUMN + size;
		printf("%.*s", (int)size, text);
		text += size;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_option(const struct conf_key *key)
{
	char name[CONF_KEY_MAX + 1], text[1024];
	int used;

	option_name(name, key);
	used = printf("  %c%c%s --%s%s%s", key->letter ? '-' : ' ', key->letter ? key->letter : ' ',
		      key->letter ? "," : " ", name, key->value ? "=" : "",
		      key->value ? key->value : "");
	if (used >= HELP_COLUMN) {
		putchar('\n');
		used = 0;
	}
	snprintf(text, sizeof(text), "%s%s%s%s", key->help, key->standard ? " (default: " : "",
		 key->standard ? key->standard : "", key->standard ? ")" : "");
	print_wrapped(text, (unsigned)used);
}

void cmdline_help(const struct cmdline_spec *spec)
{
	fputs(spec->usage, stdout);
	for (unsigned i = 0; spec->tables[i]; i++) {
		printf("\n%s:\n", spec->titles[i]);
		for (const struct conf_key *key = spec->tables[i]; key->name; key++)
			print_option(key);
	}
	fputs(spec->epilog, stdout);
}

void cmdline_complain(const char *program, const char *reason)
{
	char line[CONF_REASON_MAX];

	snprintf(line, sizeof(line), "%s", reason);
	text_make_clean(line);
	fprintf(stderr, "%s: %s\n", program, line);
}
