/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - see options.h. What is set in several places comes from the last of: the default,
 * [server], the command line, whose --listen take the place of the file's; exports of both add up.
 * The rows of the tables are conf_tables.h's, with those that only a command line has below; the
 * slots tell where their values go.
 */
#include "server/options.h"

#include "common/cmdline.h"
#include "common/conf_tables.h"
#include "server/listen_address.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Checks only: a command line's exports are made when its rules are known. */
static conf_parser check_export, check_allow, check_deny;

static const struct conf_key program_keys[] = {
	{.name = "config",
	 .letter = 'c',
	 .flags = CONF_NO_FILE,
	 .parse = conf_parse_path,
	 .value = "FILE",
	 .help = "configuration file"},
	{.name = "export",
	 .letter = 'e',
	 .flags = CONF_NO_FILE | CONF_REPEAT,
	 .parse = check_export,
	 .value = "NAME=PATH[,KEY[=VALUE]]...",
	 .help = "offer the file or block device PATH, with keys of [export NAME]; "
		 "\"\\,\" is a comma"},
	{.name = "allow",
	 .flags = CONF_NO_FILE | CONF_REPEAT,
	 .parse = check_allow,
	 .value = "RULE",
	 .help = "who may use the exports of the command line, see dstfs.conf(5); first match "
		 "decides"},
	{.name = "deny",
	 .flags = CONF_NO_FILE | CONF_REPEAT,
	 .parse = check_deny,
	 .value = "RULE",
	 .help = "who may not: like --allow, without ro or rw"},
	CONF_PROGRAM_SWITCHES,
	{NULL},
};

static const struct conf_key *const option_tables[] = {program_keys, conf_server_keys, NULL};
static const struct conf_key *const export_tables[] = {conf_export_keys, NULL};
static const char *const option_titles[] = {"Options", "Options that are also keys of [server]"};

static const char usage[] =
	"Usage: dstd [-c FILE] [--export NAME=PATH]... [OPTION]...\n"
	"Offers files and block devices to dstfs. Goes to the background unless told otherwise.\n";

static const char epilog[] =
	"\nYes-or-no options take \"=no\" too. TIME is 500ms, 30s, 5m, ...; SIZE is 10M, 1G, ...\n"
	"See dstd(8) and dstfs.conf(5).\n";

static const struct cmdline_spec spec = {
	.program = "dstd",
	.usage = usage,
	.epilog = epilog,
	.tables = option_tables,
	.titles = option_titles,
};

static int out_of_memory(const struct reason *reason)
{
	text_refuse(reason, "out of memory");
	return ENOMEM;
}

static int parse_listen(const struct conf_value *value, void *field)
{
	return listen_add(field, value->text, value->reason);
}

static int parse_rule(const struct conf_value *value, void *field)
{
	return acl_parse(field, value->key->name[0] == 'a', value->text, value->reason->text,
			 value->reason->size);
}

/* A rule of the command line, for its form only. */
static int check_rule(const struct conf_value *value, bool allow)
{
	struct acl_rule *rules = NULL;
	int error = acl_parse(&rules, allow, value->text, value->reason->text, value->reason->size);

	acl_free(&rules);
	return error;
}

static int check_allow(const struct conf_value *value, void *field)
{
	return check_rule(value, true);
}

static int check_deny(const struct conf_value *value, void *field)
{
	return check_rule(value, false);
}

#define SERVER_SLOT(field) #field, offsetof(struct dstd_options, field), NULL
static const struct conf_slot server_slots[] = {
	{SERVER_SLOT(workers)}, {SERVER_SLOT(max_clients)}, {SERVER_SLOT(stop_timeout)},
	{SERVER_SLOT(pidfile)}, {SERVER_SLOT(control)},     {SERVER_SLOT(foreground)},
	{SERVER_SLOT(debug)},   {SERVER_SLOT(verbose)},     {NULL},
};
static const struct conf_slot config_slots[] = {
	{"config", offsetof(struct dstd_options, config_file), NULL},
	{NULL},
};
static const struct conf_slot listen_slots[] = {
	{"listen", offsetof(struct dstd_options, listens), parse_listen},
	{NULL},
};
static const struct conf_slot export_slots[] = {
	{"path", offsetof(struct export_config, path), NULL},
	{"size", offsetof(struct export_config, size_limit), NULL},
	{"read_only", offsetof(struct export_config, read_only), NULL},
	{"threads", offsetof(struct export_config, threads), NULL},
	{"shared", offsetof(struct export_config, shared), NULL},
	{"lease", offsetof(struct export_config, lease), NULL},
	{"sync", offsetof(struct export_config, sync), NULL},
	{"allow", offsetof(struct export_config, rules), parse_rule},
	{"deny", offsetof(struct export_config, rules), parse_rule},
	{NULL},
};
static const struct conf_slot rule_slots[] = {
	{"allow", offsetof(struct export_config, rules), parse_rule},
	{"deny", offsetof(struct export_config, rules), parse_rule},
	{NULL},
};

static int add_export_item(struct conf_section *section, const char *name, const char *value,
			   const struct reason *reason)
{
	const struct conf_key *key = conf_find_key(export_tables, name);
	struct conf_entry *entry;
	char hint[CONF_HINT_MAX];

	if (!key || (key->flags & CONF_REPEAT) || !strcmp(key->name, "path"))
		return text_refuse(reason, "an export has no option %.80s%s", name,
				   conf_hint(export_tables, name, hint));
	if (!value && key->value)
		return text_refuse(reason, "%s: the value is missing; write %s=%s", key->name,
				   key->name, key->value);
	entry = conf_section_add(section, key->name, value ? value : "yes", NULL, 0);
	if (!entry)
		return out_of_memory(reason);
	entry->key = key;
	return 0;
}

/* "NAME=PATH[,KEY[=VALUE]]..." as the section that it stands for. */
static int split_export(struct conf_section *section, const char *text, const char *folder,
			const struct reason *reason)
{
	char *copy = strdup(text), *rest = copy, *name, *value;
	struct conf_entry *entry;
	int error = 0;

	conf_section_init(section);
	if (!copy)
		return out_of_memory(reason);
	name = cmdline_next_item(&rest, &value);
	section->folder = folder ? strdup(folder) : NULL;
	if (folder && !section->folder)
		error = out_of_memory(reason);
	else if (!*name || !value || !*value)
		error = text_refuse(reason, "\"%.80s\" is no export; write NAME=PATH", text);
	else if (!conf_name_fits(name, DST_MAX_NAME))
		error = text_refuse(reason,
				    "\"%.80s\" can't be a name; a name has up to %u bytes, "
				    "no '/', and isn't \".\" or \"..\"",
				    name, DST_MAX_NAME);
	if (!error) {
		section->kind = strdup("export");
		section->name = strdup(name);
		entry = conf_section_add(section, "path", value, NULL, 0);
		if (entry)
			entry->key = conf_find_key(export_tables, "path");
		if (!section->kind || !section->name || !entry)
			error = out_of_memory(reason);
	}
	while (!error && rest) {
		name = cmdline_next_item(&rest, &value);
		error = add_export_item(section, name, value, reason);
	}
	free(copy);
	if (error)
		conf_section_clear(section);
	return error;
}

static int check_export(const struct conf_value *value, void *field)
{
	struct conf_section section;
	int error = split_export(&section, value->text, NULL, value->reason);

	for (const struct conf_entry *e = section.entries; e && !error; e = e->next)
		error = e->key->parse(&(struct conf_value){.text = e->value,
							   .key = e->key,
							   .reason = value->reason},
				      NULL);
	conf_section_clear(&section);
	return error;
}

/* Where the export of this section stands, for messages. */
static const char *where(const struct conf_section *section, char text[CONF_WHERE_MAX])
{
	if (section->file)
		snprintf(text, CONF_WHERE_MAX, "%s:%u", section->file, section->line);
	else
		snprintf(text, CONF_WHERE_MAX, "--export");
	return text;
}

/* The export that the section describes, with the rules of `common` if that isn't NULL. */
static int add_export(struct export_config **end, const struct conf_section *section,
		      const struct conf_section *common, const struct reason *reason)
{
	struct export_config *export;
	char place[CONF_WHERE_MAX];
	int error;

	for (; *end; end = &(*end)->next)
		if (!strcmp((*end)->name, section->name))
			return text_refuse(reason,
					   "%s: there is an export %s already; use another "
					   "name",
					   where(section, place), section->name);
	export = calloc(1, sizeof(*export));
	if (!export)
		return out_of_memory(reason);
	*end = export;
	export->name = strdup(section->name);
	if (!export->name)
		return out_of_memory(reason);
	conf_defaults(export_tables, export_slots, export);
	error = conf_apply(section, export_slots, export, reason);
	if (!error && common)
		error = conf_apply(common, rule_slots, export, reason);
	if (!error && !export->path)
		error = text_refuse(reason, "%s: [export %s] has no path; add path = /FILE",
				    where(section, place), section->name);
	return error;
}

/* The exports of the file (if any) and of the command line, in this order. */
static int add_exports(struct export_config **exports, const struct conf *conf,
		       const struct cmdline *given, const struct reason *reason)
{
	struct conf_section section;
	int error = 0;

	for (const struct conf_section *s = conf ? conf->sections : NULL; s && !error; s = s->next)
		if (!strcmp(s->kind, "export"))
			error = add_export(exports, s, NULL, reason);
	for (const struct conf_entry *e = given->given.entries; e && !error; e = e->next) {
		if (strcmp(e->key->name, "export") != 0)
			continue;
		error = split_export(&section, e->value, given->given.folder, reason);
		if (!error)
			error = add_export(exports, &section, &given->given, reason);
		conf_section_clear(&section);
	}
	if (!error && !*exports)
		error = text_refuse(reason, "there is nothing to export; write --export NAME=PATH, "
					    "or [export NAME] into the file of -c");
	return error;
}

/* What holds for the whole server, in the order of precedence. conf is NULL without a file. */
static int set_server(struct dstd_options *options, const struct conf *conf,
		      const struct reason *reason)
{
	const struct conf_section *section = conf_find_section(conf, "server");
	const struct conf_section *given = &options->given->given;
	int error = 0;

	if (section)
		error = conf_apply(section, server_slots, options, reason);
	if (!error)
		error = conf_apply(given, server_slots, options, reason);
	if (!error && section) /* also if others take their place: a typo shall be told */
		error = conf_apply(section, listen_slots, options, reason);
	if (!error && cmdline_find(options->given, "listen")) {
		listen_free(&options->listens);
		error = conf_apply(given, listen_slots, options, reason);
	}
	if (!error && !options->listens)
		error = listen_locally(&options->listens, reason);
	options->foreground |= options->debug;
	return error;
}

/* From the parsed command line to all that the program needs. */
static int settle(struct dstd_options *options, const struct reason *reason)
{
	const struct cmdline *given = options->given;
	struct conf *conf = NULL;
	int error;

	if (given->operand_count)
		return text_refuse(reason,
				   "%.200s is no option; write --export NAME=PATH or "
				   "-c FILE",
				   given->operands[0]);
	if ((cmdline_find(given, "allow") || cmdline_find(given, "deny")) &&
	    !cmdline_find(given, "export"))
		return text_refuse(reason,
				   "--allow and --deny are for exports of the command line; "
				   "write allow = RULE into [export NAME]");
	conf_defaults(option_tables, server_slots, options);
	error = conf_apply(&given->given, config_slots, options, reason);
	if (!error && options->config_file) {
		conf = conf_read(options->config_file, reason);
		error = conf ? 0 : EINVAL;
	}
	if (!error)
		error = set_server(options, conf, reason);
	if (!error)
		error = add_exports(&options->exports, conf, given, reason);
	conf_free(&conf);
	return error;
}

enum options_outcome options_parse(struct dstd_options *options, int argc, char **argv)
{
	char text[CONF_REASON_MAX];
	const struct reason reason = {text, sizeof(text)};
	int error;

	memset(options, 0, sizeof(*options));
	options->given = calloc(1, sizeof(*options->given));
	if (!options->given) {
		cmdline_complain("dstd", "out of memory");
		return OPTIONS_ERROR;
	}
	error = cmdline_parse(options->given, &spec, argc, argv, &reason);
	if (!error && cmdline_find(options->given, "help"))
		cmdline_help(&spec);
	else if (!error && cmdline_find(options->given, "version"))
		puts("dstd " DST_VERSION_TEXT);
	else {
		if (!error)
			error = settle(options, &reason);
		if (!error)
			return OPTIONS_RUN;
		cmdline_complain("dstd", text);
	}
	options_free(options);
	return error ? OPTIONS_ERROR : OPTIONS_DONE;
}

int options_reload(const struct dstd_options *options, struct export_config **exports,
		   char *reason_text, size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	struct conf *conf = NULL;
	int error = 0;

	*exports = NULL;
	if (options->config_file) {
		conf = conf_read(options->config_file, &reason);
		error = conf ? 0 : EINVAL;
	}
	if (!error)
		error = add_exports(exports, conf, options->given, &reason);
	conf_free(&conf);
	if (error)
		options_free_exports(exports);
	return error;
}

void options_free_exports(struct export_config **exports)
{
	struct export_config *export;

	while ((export = *exports)) {
		*exports = export->next;
		acl_free(&export->rules);
		free(export->name);
		free(export->path);
		free(export);
	}
}

void options_free(struct dstd_options *options)
{
	options_free_exports(&options->exports);
	listen_free(&options->listens);
	if (options->given)
		cmdline_clear(options->given);
	free(options->given);
	free(options->config_file);
	free(options->pidfile);
	free(options->control);
	memset(options, 0, sizeof(*options));
}
