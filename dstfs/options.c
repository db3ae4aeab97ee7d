/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - see options.h. What is set in several places comes from the last of: the default,
 * [dstfs], the volume's own section, the command line. The rows of the tables are conf_tables.h's,
 * with those that only a command line has below; the slots tell where their values go.
 */
#include "dstfs/options.h"

#include "common/clock.h"
#include "common/cmdline.h"
#include "common/conf_tables.h"
#include "dstfs/mount_word.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/dstfs.conf"
#define USER_CONFIG "dstfs/dstfs.conf" /* below the user's folder for configuration */

/* conf_tables.c lists the words in this order. */
_Static_assert(CACHE_NONE == 0 && CACHE_AUTO == 1, "the order of cache modes");
_Static_assert(QUORUM_NONE == 0 && QUORUM_MAJORITY == 1, "the order of quorums");

/* Of volumes with a mirror, unless they are given: a node that is gone holds up writes for 30 s. */
#define MIRROR_TIMEOUT (10 * CLOCK_SEC)
#define MIRROR_RESENDS 2u

static const struct conf_key program_keys[] = {
	{.name = "config",
	 .letter = 'c',
	 .flags = CONF_NO_FILE,
	 .parse = conf_parse_path,
	 .value = "FILE",
	 .help = "configuration file"},
	{.name = "options",
	 .letter = 'o',
	 .flags = CONF_NO_FILE | CONF_REPEAT,
	 .parse = conf_parse_string,
	 .value = "OPT,...",
	 .help = "options as mount(8) gives them: any of these by its name, and its own"},
	CONF_PROGRAM_SWITCHES,
	{NULL},
};

static const struct conf_key *const option_tables[] = {program_keys, conf_mount_keys,
						       conf_volume_keys, NULL};
static const char *const option_titles[] = {
	"Options", "Options of the mount, also keys of [dstfs]",
	"Options of all volumes, also keys of [dstfs] and [volume NAME]"};

static const char usage[] =
	"Usage: dstfs [SOURCE] MOUNTPOINT [OPTION]...\n"
	"Shows network exports as disk-image files in the folder MOUNTPOINT.\n"
	"\n"
	"SOURCE is a node or the path of a configuration file:\n"
	"  dst://HOST[:PORT]/EXPORT            an export of a dstd, by TCP\n"
	"  dst+unix:///EXPORT?socket=/PATH     by a unix socket\n"
	"  dst+vsock://CID[:PORT]/EXPORT       by vsock\n"
	"  file:///PATH                        a file or block device of this machine\n"
	"Without it the configuration file is --config's, or else "
	"$XDG_CONFIG_HOME/dstfs/dstfs.conf\n"
	"(~/.config/dstfs/dstfs.conf), or else " SYSTEM_CONFIG ".\n";

static const char epilog[] =
	"\nYes-or-no options take \"=no\" too. TIME is 500ms, 30s, 5m, ...\n"
	"Unmount with: fusermount3 -u MOUNTPOINT. See dstfs(1) and dstfs.conf(5).\n";

#define MOUNT_SLOT(field) #field, offsetof(struct dstfs_options, field), NULL
static const struct conf_slot mount_slots[] = {
	{MOUNT_SLOT(allow_other)},  {MOUNT_SLOT(auto_unmount)}, {MOUNT_SLOT(uid)},
	{MOUNT_SLOT(gid)},          {MOUNT_SLOT(mode)},         {MOUNT_SLOT(fsname)},
	{MOUNT_SLOT(pidfile)},      {MOUNT_SLOT(control)},      {MOUNT_SLOT(workers)},
	{MOUNT_SLOT(stop_timeout)}, {MOUNT_SLOT(busy_poll)},    {MOUNT_SLOT(foreground)},
	{MOUNT_SLOT(debug)},        {MOUNT_SLOT(verbose)},      {NULL},
};
static const struct conf_slot config_slots[] = {
	{"config", offsetof(struct dstfs_options, config_file), NULL},
	{NULL},
};

#define VOLUME_SLOT(field) #field, offsetof(struct volume_options, field), NULL
static const struct conf_slot volume_slots[] = {
	{VOLUME_SLOT(cache)},
	{VOLUME_SLOT(read_only)},
	{VOLUME_SLOT(shared)},
	{VOLUME_SLOT(checksum)},
	{VOLUME_SLOT(timeout)},
	{VOLUME_SLOT(resends)},
	{VOLUME_SLOT(reconnect)},
	{VOLUME_SLOT(ping)},
	{VOLUME_SLOT(ping_timeout)},
	{VOLUME_SLOT(retain)},
	{VOLUME_SLOT(takeover)},
	{VOLUME_SLOT(wait)},
	{VOLUME_SLOT(max_inflight)},
	{VOLUME_SLOT(max_inflight_bytes)},
	{VOLUME_SLOT(quorum)},
	{VOLUME_SLOT(min_nodes)},
	{VOLUME_SLOT(start_wait)},
	{VOLUME_SLOT(resync_rate)},
	{NULL},
};

/* Those of them that may change while the volume runs. */
static const char *const live_names[] = {
	"timeout", "resends",      "reconnect",          "ping",        "ping_timeout", "retain",
	"wait",    "max_inflight", "max_inflight_bytes", "resync_rate", NULL,
};

/* Another node at the end of the list; nameless ones are called by their place in it. */
static int add_node(struct node_config **end, const struct conf_node *parsed,
		    const struct reason *reason)
{
	struct node_config *node = calloc(1, sizeof(*node));
	unsigned place = 1;

	if (!node) {
		text_refuse(reason, "out of memory");
		return ENOMEM;
	}
	for (; *end; end = &(*end)->next)
		place++;
	*end = node;
	node->uri = parsed->uri;
	if (*parsed->name)
		memcpy(node->name, parsed->name, sizeof(node->name));
	else
		snprintf(node->name, sizeof(node->name), "node-%u", place);
	return 0;
}

static int parse_node(const struct conf_value *value, void *field)
{
	struct conf_node parsed;
	int error = conf_parse_node(value, &parsed);

	return error ? error : add_node(field, &parsed, value->reason);
}

static const struct conf_slot node_slots[] = {
	{"node", offsetof(struct volume_config, nodes), parse_node},
	{"map", offsetof(struct volume_config, map), NULL},
	{"chunk", offsetof(struct volume_config, chunk), NULL},
	{"read", offsetof(struct volume_config, read), NULL},
	{NULL},
};

/* What -o has that is no option of ours. */
static int take_mount_word(void *arg, const char *name, const char *value,
			   const struct reason *reason)
{
	struct dstfs_options *options = arg;
	char hint[CONF_HINT_MAX];

	switch (mount_word_take(name, value, &options->fuse_options)) {
	case 0:
		return 0;
	case ENOMEM:
		return text_refuse(reason, "out of memory");
	case EPERM:
		return text_refuse(reason,
				   "-o %.80s: a mount can't be changed; unmount it and "
				   "mount it anew",
				   name);
	default:
		return text_refuse(reason, "-o %.80s: there is no such option%s%s", name,
				   conf_hint(option_tables, name, hint),
				   *hint ? "" : "; see dstfs --help");
	}
}

static const struct cmdline_spec spec = {
	.program = "dstfs",
	.usage = usage,
	.epilog = epilog,
	.tables = option_tables,
	.titles = option_titles,
	.list = "options",
	.other = take_mount_word,
};

/* The first that exists of the user's and the system's file. NULL: none, or no memory. */
static char *find_config(char tried[PATH_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int size = -1;

	*tried = '\0';
	if (xdg && *xdg == '/') /* the XDG specification: a relative one is to be ignored */
		size = snprintf(tried, PATH_MAX, "%s/%s", xdg, USER_CONFIG);
	else if (home && *home == '/')
		size = snprintf(tried, PATH_MAX, "%s/.config/%s", home, USER_CONFIG);
	if (size < 0 || size >= PATH_MAX)
		*tried = '\0';
	/* One that is there but can't be reached is the one that was meant: reading it tells. */
	if (*tried && (access(tried, F_OK) == 0 || errno == EACCES))
		return strdup(tried);
	return access(SYSTEM_CONFIG, F_OK) == 0 ? strdup(SYSTEM_CONFIG) : NULL;
}

/* Where the volumes come from: a node, or a configuration file. */
static int choose_source(struct dstfs_options *options, const char *operand,
			 const struct reason *reason)
{
	static const struct conf_key source_key = {.name = "SOURCE", .value = "SOURCE"};
	struct conf_value value = {.text = operand, .key = &source_key, .reason = reason};
	char tried[PATH_MAX];

	if (operand && options->config_file)
		return text_refuse(reason, "%.200s and --config are two sources; give one",
				   operand);
	if (operand && !strstr(operand, "://") && conf_parse_path(&value, &options->config_file))
		return EINVAL;
	if (!operand && !options->config_file)
		options->config_file = find_config(tried);
	if (!operand && !options->config_file)
		return text_refuse(
			reason, "there is no %s%s%s; write dstfs SOURCE MOUNTPOINT, or one of them",
			tried, *tried ? " and no " : "", SYSTEM_CONFIG);
	options->source = strdup(operand ? operand : options->config_file);
	return options->source ? 0 : text_refuse(reason, "out of memory");
}

static int check_mountpoint(struct dstfs_options *options, const char *operand,
			    const struct reason *reason)
{
	struct stat status;
	bool failed;

	options->mountpoint = realpath(operand, NULL);
	failed = !options->mountpoint || stat(options->mountpoint, &status) != 0;
	if (failed && errno == ENOENT)
		return text_refuse(reason, "%.1000s doesn't exist; create the folder first",
				   operand);
	if (failed && errno == ENOTCONN)
		return text_refuse(reason,
				   "%.1000s has a mount whose process is gone; end it with "
				   "fusermount3 -u",
				   operand);
	if (failed)
		return text_refuse(reason, "%.1000s: %s; name a folder that can be reached",
				   operand, strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return text_refuse(reason, "%.1000s is no folder; name one to mount on", operand);
	return 0;
}

/* The volume's options in the order of precedence; own: its section, NULL for a single node. */
static int set_options(struct volume_config *volume, const struct conf_section *common,
		       const struct conf_section *own, const struct cmdline *given,
		       const struct reason *reason)
{
	const struct conf_section *const sections[] = {common, own, &given->given};
	struct volume_options *options = &volume->options;
	int error = 0;

	conf_defaults(option_tables, volume_slots, options);
	if (map_config_has(volume->tree, MAP_MIRROR)) {
		options->timeout = MIRROR_TIMEOUT;
		options->resends = MIRROR_RESENDS;
	}
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && !error; i++)
		if (sections[i])
			error = conf_apply(sections[i], volume_slots, options, reason);
	return error;
}

/* An empty volume at **end, which moves on. NULL: out of memory. */
static struct volume_config *add_volume(struct volume_config ***end, const char *name)
{
	struct volume_config *volume = calloc(1, sizeof(*volume));

	if (!volume)
		return NULL;
	volume->name = strdup(name);
	**end = volume;
	*end = &volume->next;
	return volume->name ? volume : NULL;
}

static int add_single(struct volume_config **volumes, const struct dstfs_options *options,
		      const struct reason *reason)
{
	struct volume_config *volume;
	struct conf_node node = {.name = ""};
	int error;

	if (uri_parse(&node.uri, options->source, reason->text, reason->size))
		return EINVAL;
	volume = add_volume(&volumes, uri_basename(&node.uri));
	if (!volume)
		return text_refuse(reason, "out of memory");
	error = add_node(&volume->nodes, &node, reason);
	if (!error)
		error = map_config_parse(&volume->tree, NULL, volume->nodes, reason);
	return error ? error : set_options(volume, NULL, NULL, options->given, reason);
}

/* Nodes must differ, in name and in place. The entry is that of the last node. */
static int check_node(const struct volume_config *volume, const struct node_config *node,
		      const struct conf_entry *entry, const struct reason *reason)
{
	char text[URI_TEXT_MAX], other[URI_TEXT_MAX];

	if (map_config_is_map(node->name))
		return text_refuse(reason, "%s:%u: node: %s is a map; give the node another name",
				   entry->file, entry->line, node->name);
	for (const struct node_config *n = volume->nodes; n != node; n = n->next) {
		if (!strcmp(n->name, node->name))
			return text_refuse(reason,
					   "%s:%u: node: %s stands already in [volume %s]; give it "
					   "another name",
					   entry->file, entry->line, node->name, volume->name);
		if (!strcmp(uri_print(&n->uri, other), uri_print(&node->uri, text)))
			return text_refuse(
				reason,
				"%s:%u: node: %s is at the same place as %s; give it one "
				"of its own",
				entry->file, entry->line, node->name, n->name);
	}
	return 0;
}

/* The nodes as a whole, and what the map makes of them. */
static int set_tree(struct volume_config *volume, const struct conf_section *section,
		    const struct reason *reason)
{
	const struct conf_entry *map = NULL;
	const struct node_config *node = volume->nodes;
	char cause[CONF_REASON_MAX];
	unsigned count = 0;
	int error = 0;

	for (const struct conf_entry *e = section->entries; e && !error; e = e->next) {
		if (!strcmp(e->key->name, "map"))
			map = e;
		if (strcmp(e->key->name, "node") != 0)
			continue;
		if (++count > MAP_MAX_NODES)
			return text_refuse(
				reason, "%s:%u: [volume %s] has more than %u nodes; take some away",
				e->file, e->line, volume->name, MAP_MAX_NODES);
		error = check_node(volume, node, e, reason);
		node = node->next;
	}
	if (error)
		return error;
	if (count > 1 && !map)
		return text_refuse(reason,
				   "%s:%u: [volume %s] has %u nodes and no map; add map = linear, "
				   "stripe or mirror",
				   section->file, section->line, volume->name, count);
	error = map_config_parse(&volume->tree, volume->map, volume->nodes,
				 &(struct reason){cause, sizeof(cause)});
	if (error && map)
		return text_refuse(reason, "%s:%u: map: %s", map->file, map->line, cause);
	return error ? text_refuse(reason, "%s", cause) : 0;
}

/* `read`: which node a mirror is read from. */
static int set_read(struct volume_config *volume, const struct conf_section *section,
		    const struct reason *reason)
{
	static const char prefer[] = "prefer";
	const char *name = volume->read + strlen(prefer);
	const struct conf_entry *entry = section->entries;
	const struct node_config *node = volume->nodes;

	if (!strcmp(volume->read, "balance"))
		return 0;
	while (strcmp(entry->key->name, "read") != 0)
		entry = entry->next;
	if (strncmp(volume->read, prefer, strlen(prefer)) != 0 || !strspn(name, " \t"))
		return text_refuse(reason,
				   "%s:%u: read: \"%.80s\" is none; write balance, or prefer NODE",
				   entry->file, entry->line, volume->read);
	name += strspn(name, " \t");
	while (node && strcmp(node->name, name) != 0)
		node = node->next;
	if (!node)
		return text_refuse(reason,
				   "%s:%u: read: there is no node %.80s; write the name of one of "
				   "[volume %s]",
				   entry->file, entry->line, name, volume->name);
	volume->prefer = node;
	return 0;
}

/* One [volume NAME]. */
static int add_section(struct volume_config ***end, const struct conf_section *section,
		       const struct conf_section *common, const struct cmdline *given,
		       const struct reason *reason)
{
	struct volume_config *volume = add_volume(end, section->name);
	int error;

	if (!volume)
		return text_refuse(reason, "out of memory");
	conf_defaults((conf_tables){conf_node_keys, NULL}, node_slots, volume);
	error = conf_apply(section, node_slots, volume, reason);
	if (error)
		return error;
	if (!volume->nodes)
		return text_refuse(reason,
				   "%s:%u: [volume %s] has no node; add node = dst://HOST/EXPORT",
				   section->file, section->line, section->name);
	error = set_tree(volume, section, reason);
	if (!error)
		error = set_read(volume, section, reason);
	return error ? error : set_options(volume, common, section, given, reason);
}

static int add_volumes(struct volume_config **volumes, const struct conf *conf,
		       const struct dstfs_options *options, const struct reason *reason)
{
	const struct conf_section *common = conf_find_section(conf, "dstfs");
	struct volume_config **end = volumes;
	int error = 0;

	for (const struct conf_section *s = conf->sections; s && !error; s = s->next)
		if (!strcmp(s->kind, "volume"))
			error = add_section(&end, s, common, options->given, reason);
	if (!error && !*volumes)
		error = text_refuse(reason,
				    "%s:1: there is no volume; add [volume NAME] with a node",
				    options->config_file);
	return error;
}

/* What holds for the whole mount, in the order of precedence. conf is NULL for a single node. */
static int set_mount(struct dstfs_options *options, const struct conf *conf,
		     const struct reason *reason)
{
	const struct conf_section *section = conf_find_section(conf, "dstfs");
	int error = 0;

	if (section)
		error = conf_apply(section, mount_slots, options, reason);
	if (!error)
		error = conf_apply(&options->given->given, mount_slots, options, reason);
	if (error)
		return error;
	options->foreground |= options->debug;
	if (!options->fsname)
		options->fsname = strdup(options->source);
	return options->fsname ? 0 : text_refuse(reason, "out of memory");
}

/* From the parsed command line to all that the program needs. */
static int settle(struct dstfs_options *options, const struct reason *reason)
{
	const struct cmdline *given = options->given;
	unsigned count = given->operand_count;
	struct conf *conf = NULL;
	int error;

	if (!count || count > 2)
		return text_refuse(reason, "%s; write dstfs [SOURCE] MOUNTPOINT",
				   count ? "too many arguments" : "the mountpoint is missing");
	if (count == 1 && uri_looks_like(given->operands[0]))
		return text_refuse(reason,
				   "the mountpoint is missing; write dstfs %.500s MOUNTPOINT",
				   given->operands[0]);
	conf_defaults(option_tables, mount_slots, options);
	options->uid = getuid();
	options->gid = getgid();
	error = conf_apply(&given->given, config_slots, options, reason);
	if (!error)
		error = choose_source(options, count == 2 ? given->operands[0] : NULL, reason);
	if (!error && options->config_file) {
		conf = conf_read(options->config_file, reason);
		error = conf ? 0 : EINVAL;
	}
	if (!error)
		error = set_mount(options, conf, reason);
	if (!error)
		error = conf ? add_volumes(&options->volumes, conf, options, reason)
			     : add_single(&options->volumes, options, reason);
	conf_free(&conf);
	return error ? error : check_mountpoint(options, given->operands[count - 1], reason);
}

enum options_outcome options_parse(struct dstfs_options *options, int argc, char **argv)
{
	char text[CONF_REASON_MAX];
	const struct reason reason = {text, sizeof(text)};
	struct cmdline_spec own = spec;
	int error;

	memset(options, 0, sizeof(*options));
	own.arg = options;
	options->given = calloc(1, sizeof(*options->given));
	if (!options->given) {
		cmdline_complain("dstfs", "out of memory");
		return OPTIONS_ERROR;
	}
	error = cmdline_parse(options->given, &own, argc, argv, &reason);
	if (!error && cmdline_find(options->given, "help"))
		cmdline_help(&own);
	else if (!error && cmdline_find(options->given, "version"))
		puts("dstfs " DST_VERSION_TEXT);
	else {
		if (!error)
			error = settle(options, &reason);
		if (!error)
			return OPTIONS_RUN;
		cmdline_complain("dstfs", text);
	}
	options_free(options);
	return error ? OPTIONS_ERROR : OPTIONS_DONE;
}

int options_load(struct dstfs_options *options, const char *config_file, char *reason_text,
		 size_t reason_size)
{
	static const struct conf_key key = {.name = "config", .value = "FILE"};
	const struct reason reason = {reason_text, reason_size};
	const struct conf_value value = {.text = config_file, .key = &key, .reason = &reason};
	int error;

	memset(options, 0, sizeof(*options));
	options->given = calloc(1, sizeof(*options->given));
	error = options->given ? 0 : text_refuse(&reason, "out of memory");
	if (!error)
		conf_section_init(&options->given->given);
	if (!error && config_file)
		error = conf_parse_path(&value, &options->config_file);
	if (!error)
		error = choose_source(options, NULL, &reason);
	if (!error)
		error = options_reload(options, &options->volumes, reason_text, reason_size);
	if (error)
		options_free(options);
	return error;
}

int options_reload(const struct dstfs_options *options, struct volume_config **volumes,
		   char *reason_text, size_t reason_size)
{
	const struct reason reason = {reason_text, reason_size};
	struct conf *conf = NULL;
	int error;

	*volumes = NULL;
	if (options->config_file) {
		conf = conf_read(options->config_file, &reason);
		error = conf ? add_volumes(volumes, conf, options, &reason) : EINVAL;
	} else {
		error = add_single(volumes, options, &reason);
	}
	conf_free(&conf);
	if (error)
		options_free_volumes(volumes);
	return error;
}

/* NULL: not while it runs. */
static const struct conf_slot *live_slot(const struct conf_key *key)
{
	const struct conf_slot *slot = volume_slots;
	const char *const *name = live_names;

	while (*name && strcmp(*name, key->name) != 0)
		name++;
	while (*name && strcmp(slot->name, key->name) != 0)
		slot++;
	return *name ? slot : NULL;
}

int options_change(struct volume_options *options, const char *name, const char *value,
		   char *reason_text, size_t reason_size)
{
	const conf_tables tables = {conf_volume_keys, NULL};
	const struct reason reason = {reason_text, reason_size};
	const struct conf_key *key = conf_find_key(tables, name);
	const struct conf_slot *slot = key ? live_slot(key) : NULL;
	char hint[CONF_HINT_MAX], cause[CONF_REASON_MAX];
	struct conf_value parsed = {
		.text = value, .key = key, .reason = &(struct reason){cause, sizeof(cause)}};

	if (!key)
		return text_refuse(&reason, "a volume has no option %.80s%s", name,
				   conf_hint(tables, name, hint));
	if (!slot)
		return text_refuse(&reason,
				   "%s can't change while the volume is mounted; set it in the "
				   "configuration and mount anew",
				   key->name);
	if (key->parse(&parsed, (char *)options + slot->offset))
		return text_refuse(&reason, "%s: %s", key->name, cause);
	return 0;
}

void options_free_volumes(struct volume_config **volumes)
{
	struct volume_config *volume;
	struct node_config *node;

	while ((volume = *volumes)) {
		*volumes = volume->next;
		while ((node = volume->nodes)) {
			volume->nodes = node->next;
			free(node);
		}
		map_config_free(&volume->tree);
		free(volume->map);
		free(volume->read);
		free(volume->name);
		free(volume);
	}
}

void options_free(struct dstfs_options *options)
{
	options_free_volumes(&options->volumes);
	if (options->given)
		cmdline_clear(options->given);
	free(options->given);
	free(options->mountpoint);
	free(options->source);
	free(options->config_file);
	free(options->fsname);
	free(options->pidfile);
	free(options->control);
	free(options->fuse_options);
	memset(options, 0, sizeof(*options));
}
