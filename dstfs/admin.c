/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admin.c - see admin.h */
#include "dstfs/admin.h"

#include "common/log.h"
#include "common/text.h"
#include "dstfs/mount_nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a command is about. */
struct admin_call {
	struct mount_volume *mv;
	const char *command;
	const json_t *request;
	struct reason reason;
};

static const char *name_of(const struct admin_call *call)
{
	return volume_name(call->mv->volume);
}

static json_t *run_fail(const struct admin_call *call)
{
	uint64_t requests = volume_inflight(call->mv->volume);

	volume_fail(call->mv->volume);
	log_warn("volume %s: all that is under way, %llu requests, fails by command", name_of(call),
		 (unsigned long long)requests);
	return json_pack("{s:I}", "requests", (json_int_t)requests);
}

static json_t *run_set(const struct admin_call *call)
{
	json_t *given = json_object_get(call->request, "options"), *value;
	struct volume_options options = call->mv->options;
	const char *name;

	if (!json_object_size(given)) {
		text_refuse(&call->reason, "there is nothing to set; name options and values");
		return NULL;
	}
	json_object_foreach(given, name, value)
	{
		if (!json_is_string(value)) {
			text_refuse(&call->reason, "%.80s: the value is no text", name);
			return NULL;
		}
		if (options_change(&options, name, json_string_value(value), call->reason.text,
				   call->reason.size))
			return NULL;
	}
	mount_volume_apply(call->mv, &options);
	json_object_foreach(given, name, value) log_info(
		"volume %s: %s = %s, by command", name_of(call), name, json_string_value(value));
	return json_object();
}

static json_t *run_reattach(const struct admin_call *call)
{
	bool takeover = json_is_true(json_object_get(call->request, "takeover"));
	struct target *target = volume_target(call->mv->volume);
	int error = EOPNOTSUPP;

	if (target->ops->reattach)
		error = target->ops->reattach(target, takeover);
	if (error == EOPNOTSUPP)
		text_refuse(&call->reason,
			    "volume %s is of this machine: nobody can take it over, and there is "
			    "nothing to attach to",
			    name_of(call));
	else if (error)
		text_refuse(&call->reason,
			    "volume %s is %s: only one that is fenced or refused can be "
			    "attached anew",
			    name_of(call), target_state_name(target->state));
	if (error)
		return NULL;
	log_info("volume %s: attaching anew%s, by command", name_of(call),
		 takeover ? ", with takeover" : "");
	return json_object();
}

static json_t *run_node_add(const struct admin_call *call)
{
	return mount_add_node(call->mv, call->request, &call->reason);
}

/* Only the volume's target knows what it means. */
static json_t *run_by_target(const struct admin_call *call)
{
	const char *node = json_string_value(json_object_get(call->request, "node"));
	struct target *target = volume_target(call->mv->volume);
	json_t *answer = NULL;

	*call->reason.text = '\0';
	if (target->ops->command)
		answer = target->ops->command(target, call->command, call->request, &call->reason);
	if (answer || *call->reason.text)
		return answer;
	if (node && target->ops->command)
		text_refuse(&call->reason,
			    "volume %s has no mirror with a node %.127s; dstctl status shows what "
			    "its nodes are called",
			    name_of(call), node);
	else
		text_refuse(&call->reason, "volume %s is not a mirror", name_of(call));
	return NULL;
}

static const struct {
	const char *name;
	json_t *(*run)(const struct admin_call *call);
} volume_commands[] = {
	{"fail", run_fail},
	{"set", run_set},
	{"reattach", run_reattach},
	{"verify", run_by_target},
	{"verify-stop", run_by_target},
	{"resync-pause", run_by_target},
	{"resync-resume", run_by_target},
	{"mirror-start", run_by_target},
	{"mirror-resolve", run_by_target},
	{"mirror-replace", run_by_target},
	{"volume-resize", run_by_target},
	{"node-add", run_node_add},
	{"node-remove", run_by_target},
	{"node-suspend", run_by_target},
	{"node-resume", run_by_target},
	{"node-detach", run_by_target},
	{"node-attach", run_by_target},
	{"node-dirty", run_by_target},
	{"node-clean", run_by_target},
};

/* The volume that the command is for. */
static struct mount_volume *find_volume(struct mount *mount, const struct admin_call *call)
{
	const char *name = json_string_value(json_object_get(call->request, "volume"));
	struct mount_volume *mv = name ? mount_find_name(mount, name) : NULL;

	if (!name)
		text_refuse(&call->reason, "the volume is missing");
	else if (!mv)
		text_refuse(&call->reason, "there is no volume %.255s on %.500s", name,
			    mount->options->mountpoint);
	return mv;
}

json_t *admin_command(struct mount *mount, const char *command, const json_t *request, char *reason,
		      size_t size)
{
	struct admin_call call = {.command = command, .request = request, .reason = {reason, size}};

	if (strcmp(command, "status") == 0)
		return mount_status(mount);
	for (size_t i = 0; i < sizeof(volume_commands) / sizeof(*volume_commands); i++) {
		if (strcmp(command, volume_commands[i].name) != 0)
			continue;
		call.mv = find_volume(mount, &call);
		return call.mv ? volume_commands[i].run(&call) : NULL;
	}
	text_refuse(&call.reason, "unknown command \"%.80s\"", command);
	return NULL;
}
