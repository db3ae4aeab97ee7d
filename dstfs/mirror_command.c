/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_command.c - what dstctl asks of a mirror that is mounted. In the home's thread. */
#include "dstfs/mirror_copy.h"

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
	/* A new object, or NULL with the cause in reason. */
	json_t *(*run)(struct mirror *mirror, const json_t *request, const struct reason *reason);
} commands[] = {
	{"verify", run_verify},
	{"verify-stop", run_verify_stop},
	{"resync-pause", run_pause},
	{"resync-resume", run_resume},
};

json_t *mirror_command(struct target *target, const char *command, const json_t *request,
		       const struct reason *reason)
{
	struct mirror *mirror = (struct mirror *)target; /* base is the first member */

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(command, commands[i].name) == 0)
			return commands[i].run(mirror, request, reason);
	text_refuse(reason, "a mirror has no command %.80s", command);
	return NULL;
}
