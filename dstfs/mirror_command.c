/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_command.c - what dstctl asks of a mirror that is mounted. In the home's thread. What is about a
 * node that isn't this mirror's own goes on to the maps below it.
 */
#include "dstfs/mirror_admit.h"
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_members.h"
#include "dstfs/mirror_resize.h"
#include "dstfs/mirror_resolve.h"

#include <string.h>

static json_t *run_verify(struct mirror *mirror, const json_t *request, const struct reason *reason)
{
	const struct mirror_verify_options options = {
		.repair = json_is_true(json_object_get(request, "repair")),
		.source = json_string_value(json_object_get(request, "source")),
	};

	return mirror_verify_begin(mirror, &options, reason) ? NULL : json_object();
}

static json_t *run_verify_stop(struct mirror *mirror, const json_t *request,
			       const struct reason *reason)
{
	if (!mirror_verify_end(mirror))
		return json_object();
	text_refuse(reason, "no verify is under way");
	return NULL;
}

static json_t *run_pause(struct mirror *mirror, const json_t *request, const struct reason *reason)
{
	mirror_copy_pause(mirror, true);
	return json_object();
}

static json_t *run_resume(struct mirror *mirror, const json_t *request, const struct reason *reason)
{
	mirror_copy_pause(mirror, false);
	return json_object();
}

static const struct {
	const char *name;
	/* A new object, or NULL with the cause in reason. Of `run` and `run_node` there is one. */
	json_t *(*run)(struct mirror *mirror, const json_t *request, const struct reason *reason);
	/* The same, about the node that the request names. */
	json_t *(*run_node)(struct mirror_node *node, const json_t *request,
			    const struct reason *reason);
} commands[] = {
	{.name = "verify", .run = run_verify},
	{.name = "verify-stop", .run = run_verify_stop},
	{.name = "resync-pause", .run = run_pause},
	{.name = "resync-resume", .run = run_resume},
	{.name = "node-suspend", .run_node = mirror_node_suspend},
	{.name = "node-resume", .run_node = mirror_node_resume},
	{.name = "node-detach", .run_node = mirror_node_detach},
	{.name = "node-attach", .run_node = mirror_node_attach},
	{.name = "node-dirty", .run_node = mirror_node_dirty},
	{.name = "node-clean", .run_node = mirror_node_clean},
	{.name = "mirror-start", .run = mirror_run_start},
	{.name = "mirror-resolve", .run = mirror_run_resolve},
	{.name = "mirror-replace", .run_node = mirror_node_replace},
	{.name = "volume-resize", .run = mirror_run_resize},
	{.name = "node-admit", .run_node = mirror_node_admit},
	{.name = "node-remove", .run_node = mirror_node_remove},
};

/* Some mirror below may have that node. NULL without a reason: none has. */
static json_t *ask_below(struct mirror *mirror, const char *command, const json_t *request,
			 const struct reason *reason)
{
	json_t *answer = NULL;

	*reason->text = '\0';
	for (unsigned i = 0; i < mirror->node_count && !answer && !*reason->text; i++) {
		struct target *child = mirror->nodes[i].target;

		if (child->ops->command)
			answer = child->ops->command(child, command, request, reason);
	}
	return answer;
}

json_t *mirror_command(struct target *target, const char *command, const json_t *request,
		       const struct reason *reason)
{
	struct mirror *mirror = (struct mirror *)target; /* base is the first member */
	const char *name = json_string_value(json_object_get(request, "node"));
	struct mirror_node *node = name ? mirror_find_node(mirror, name) : NULL;

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(command, commands[i].name) != 0)
			continue;
		if (commands[i].run)
			return commands[i].run(mirror, request, reason);
		if (node)
			return commands[i].run_node(node, request, reason);
		return ask_below(mirror, command, request, reason);
	}
	text_refuse(reason, "a mirror has no command %.80s", command);
	return NULL;
}
