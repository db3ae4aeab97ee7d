/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount_nodes.c - see mount_nodes.h. mount_volume's layout has a line for each node: map_config_text(). */
#include "dstfs/mount_nodes.h"

#include "common/log.h"
#include "dstfs/mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIRROR_HEAD "mirror (\n"

static bool is_mirror(const char *layout)
{
	return !strncmp(layout, MIRROR_HEAD, strlen(MIRROR_HEAD));
}

struct assembly mount_assembly(const struct mount_volume *mv, const struct volume_config *config,
			       char *reason, size_t size)
{
	return (struct assembly){
		.config = config,
		.workers = mv->mount->workers,
		.worker_count = mv->mount->worker_count,
		.policy = volume_policy(mv->volume),
		.client = mv->mount->client,
		.reason = reason,
		.reason_size = size,
	};
}

/* Is some of it a file of this mount? Who opened that would wait for an answer of its own. */
static bool is_within(const struct mount_volume *mv, const struct map_config *tree)
{
	const char *mountpoint = mv->mount->options->mountpoint;
	size_t length = strlen(mountpoint);
	const char *path;

	for (const struct map_config *child = tree->children; child; child = child->next)
		if (is_within(mv, child))
			return true;
	if (tree->kind != MAP_NODE || tree->node->uri.kind != URI_FILE)
		return false;
	path = tree->node->uri.path;
	return !strncmp(path, mountpoint, length) && (!path[length] || path[length] == '/');
}

static bool refuse_own(const struct mount_volume *mv, const struct map_config *tree,
		       const struct reason *reason)
{
	if (!is_within(mv, tree))
		return false;
	text_refuse(reason, "a file on %.500s can't be a node of a volume that is mounted there",
		    mv->mount->options->mountpoint);
	return true;
}

/* ---- one more node of a mirror ---- */

static json_t *admit(struct mount_volume *mv, const char *name, bool force,
		     const struct reason *reason)
{
	struct target *mirror = volume_target(mv->volume);
	json_t *request = json_pack("{s:s, s:b}", "node", name, "force", (int)force);
	json_t *answer = mirror->ops->command(mirror, "node-admit", request, reason);

	json_decref(request);
	return answer;
}

/* Builds the target, puts it into the mirror, and says that it shall be a member. */
static json_t *add_child(struct mount_volume *mv, const struct volume_config *config,
			 const struct map_config *child, bool force, const struct reason *reason)
{
	struct assembly assembly = mount_assembly(mv, config, reason->text, reason->size);
	struct target *mirror = volume_target(mv->volume);
	char name[MIRROR_NAME_MAX + 1];

	assemble_name(child, name, sizeof(name));
	if (refuse_own(mv, child, reason) || !mirror_may_add(mirror, name, reason) ||
	    assemble_mirror_node(&assembly, mirror, child))
		return NULL;
	return admit(mv, name, force, reason);
}

/* The layout with a line more. */
static void note_line(struct mount_volume *mv, const struct map_config *child)
{
	char *line = map_config_text(child, 0), *text = NULL;
	size_t kept = strlen(mv->layout) - 2; /* ")\n" */

	if (line && asprintf(&text, "%.*s%s)\n", (int)kept, mv->layout, line) >= 0) {
		free(mv->layout);
		mv->layout = text;
	}
	free(line);
}

static bool has_line(const struct mount_volume *mv, const struct node_config *node)
{
	char uri[URI_TEXT_MAX], line[CONF_NODE_NAME_MAX + URI_TEXT_MAX + 4];

	snprintf(line, sizeof(line), "\n%s %s\n", node->name, uri_print(&node->uri, uri));
	return strstr(mv->layout, line);
}

/* Is some node there, whatever its name? */
static bool has_place(const struct mount_volume *mv, const struct node_config *node)
{
	char uri[URI_TEXT_MAX], end[URI_TEXT_MAX + 3];

	snprintf(end, sizeof(end), " %s\n", uri_print(&node->uri, uri));
	return strstr(mv->layout, end);
}

json_t *mount_add_node(struct mount_volume *mv, const json_t *request, const struct reason *reason)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *uri = json_string_value(json_object_get(request, "uri"));
	const bool force = json_is_true(json_object_get(request, "force"));
	char text[CONF_NODE_NAME_MAX + URI_TEXT_MAX + 2];
	const struct conf_value value = {.text = text, .reason = reason};
	struct node_config node = {.next = NULL};
	struct map_config leaf = {.kind = MAP_NODE, .node = &node};
	struct map_config tree = {.kind = MAP_MIRROR, .children = &leaf, .count = 1, .height = 1};
	struct volume_config config = {
		.name = (char *)volume_name(mv->volume), .nodes = &node, .tree = &tree};
	struct conf_node parsed;
	json_t *answer;

	if (!is_mirror(mv->layout)) {
		text_refuse(reason,
			    "volume %s is not a mirror as a whole: only such a one gets nodes "
			    "while it is in use",
			    config.name);
		return NULL;
	}
	if (!name || !uri ||
	    snprintf(text, sizeof(text), "%s %s", name, uri) >= (int)sizeof(text)) {
		text_refuse(reason, "the node's name or URI is missing, or too long");
		return NULL;
	}
	if (conf_parse_node(&value, &parsed))
		return NULL;
	if (!*parsed.name || map_config_is_map(parsed.name)) {
		text_refuse(reason, "\"%.80s\" can't name a node", name);
		return NULL;
	}
	snprintf(node.name, sizeof(node.name), "%s", parsed.name);
	node.uri = parsed.uri;
	if (has_line(mv, &node) && mirror_revive_node(volume_target(mv->volume), node.name))
		return admit(mv, node.name, force, reason);
	if (has_place(mv, &node)) {
		text_refuse(reason, "%.200s is a node of the volume already",
			    uri_print(&node.uri, text));
		return NULL;
	}
	config.options = mv->options;
	answer = add_child(mv, &config, &leaf, force, reason);
	if (answer)
		note_line(mv, &leaf);
	return answer;
}

/* ---- the configuration was read again ---- */

/* A mirror: what is new is taken in; what is gone, or elsewhere, is told. */
static void reload_mirror(struct mount_volume *mv, const struct volume_config *config)
{
	struct target *mirror = volume_target(mv->volume);
	const char *volume = volume_name(mv->volume);
	char text[512], name[MIRROR_NAME_MAX + 1];
	const struct reason reason = {text, sizeof(text)};
	unsigned configured = 0;

	for (const struct map_config *child = config->tree->children; child; child = child->next) {
		char *line = map_config_text(child, config->chunk);
		bool known = line && strstr(mv->layout, line);
		json_t *answer;

		free(line);
		assemble_name(child, name, sizeof(name));
		configured += mirror_has_node(mirror, name);
		if (known && !mirror_has_node(mirror, name)) {
			log_warn("volume %s: %s was removed by command, or could not be added; it "
				 "still stands in the configuration",
				 volume, name);
		} else if (!known && mirror_has_node(mirror, name)) {
			log_warn("volume %s: %s is elsewhere now, which needs a new mount", volume,
				 name);
		} else if (!known) {
			answer = add_child(mv, config, child, false, &reason);
			if (answer)
				note_line(mv, child);
			else
				log_error("volume %s: %s was not added: %s", volume, name, text);
			json_decref(answer);
			configured += mirror_has_node(mirror, name);
		}
	}
	if (configured < mirror_node_count(mirror))
		log_warn("volume %s: nodes are used that aren't in the configuration any more: "
			 "dstctl node remove takes them out",
			 volume);
}

static bool extend(struct mount_volume *mv, const struct volume_config *config)
{
	char reason[512];
	struct assembly assembly = mount_assembly(mv, config, reason, sizeof(reason));
	const char *name = volume_name(mv->volume);

	if (refuse_own(mv, config->tree, &(struct reason){reason, sizeof(reason)}) ||
	    assemble_more(&assembly, volume_target(mv->volume))) {
		log_error("volume %s was not extended: %s", name, reason);
		return false;
	}
	log_info("volume %s: its map has %u parts now; new ones count when their sizes are known",
		 name, config->tree->count);
	return true;
}

void mount_reload_nodes(struct mount_volume *mv, const struct volume_config *config)
{
	char *layout = map_config_text(config->tree, config->chunk);
	bool more = layout && map_config_extends(mv->layout, layout);

	if (layout && is_mirror(layout) && is_mirror(mv->layout)) {
		reload_mirror(mv, config);
	} else if (more && extend(mv, config)) {
		free(mv->layout);
		mv->layout = layout;
		return;
	} else if (!more && layout && strcmp(layout, mv->layout) != 0) {
		log_warn("volume %s: its nodes or its map have changed, which needs a new mount; "
			 "only "
			 "a linear map or a mirror may get more nodes",
			 volume_name(mv->volume));
	}
	free(layout);
}
