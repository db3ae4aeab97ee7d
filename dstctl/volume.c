/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume.c - see volume.h */
#include "dstctl/volume.h"

#include "common/control.h"
#include "dstctl/find.h"
#include "dstctl/human.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static enum exit_status complain(enum exit_status status,
								       const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "dstctl: %s\n", human_clean(text));
	return status;
}

/* Does the daemon have a volume of this name? */
static bool has_volume(const json_t *daemon, const json_t *name)
{
	const json_t *volume;
	size_t index;

	json_array_foreach(
		json_object_get(daemon, "volumes"), index,
		volume) if (json_equal(json_object_get(volume, "name"), name)) return true;
	return false;
}

/*
 * The one daemon that has the volume, of those that the options pick; a new reference. NULL: stderr
 * tells why. Daemons that don't answer may be the one: they are told when none is found.
 */
static json_t *find_owner(const struct options *options, const char *volume)
{
	json_t *daemons = find_daemons(options, "dstfs"), *name = control_string(volume);
	json_t *daemon, *owner = NULL;
	size_t index, owners = 0;

	if (!daemons || !name)
		human_no_memory();
	json_array_foreach(daemons, index, daemon) if (has_volume(daemon, name) && !owners++)
		owner = json_incref(daemon);
	if (owners > 1) {
		json_decref(owner);
		owner = NULL;
		complain(EXIT_FAILED, "%zu mounts have a volume %.255s; pick one with --mount DIR",
			 owners, volume);
	} else if (!owners) {
		json_array_foreach(daemons, index,
				   daemon) if (!json_is_true(json_object_get(daemon, "ok")))
			human_report(daemon);
		if (json_array_size(daemons))
			complain(EXIT_FAILED, "there is no volume %.255s; see dstctl status",
				 volume);
	}
	json_decref(name);
	json_decref(daemons);
	return owner;
}

bool volume_is_mounted(const struct options *options, const char *volume)
{
	json_t *daemons = find_quietly(options, "dstfs"), *name = control_string(volume);
	const json_t *daemon;
	bool found = false;
	size_t index;

	if (!daemons || !name)
		human_no_memory();
	json_array_foreach(daemons, index, daemon) found |= has_volume(daemon, name);
	json_decref(name);
	json_decref(daemons);
	return found;
}

unsigned volume_each_mirror(const json_t *node, void (*visit)(void *arg, const json_t *mirror),
			    void *arg)
{
	const char *map = json_string_value(json_object_get(node, "map"));
	unsigned count = 0;
	const json_t *child;
	size_t index;

	if (map && !strcmp(map, "mirror")) {
		count++;
		visit(arg, node);
	}
	json_array_foreach(json_object_get(node, "nodes"), index, child) count +=
		volume_each_mirror(child, visit, arg);
	return count;
}

json_t *volume_find(const struct options *options, const char *volume)
{
	json_t *owner = find_owner(options, volume), *found = NULL, *name, *each;
	size_t index;

	if (!owner)
		return NULL;
	name = control_string(volume);
	json_array_foreach(json_object_get(owner, "volumes"), index,
			   each) if (json_equal(json_object_get(each, "name"), name)) found = each;
	json_incref(found);
	json_decref(name);
	json_decref(owner);
	return found;
}

json_t *volume_call(const struct options *options, const char *command, const char *volume,
		    json_t *request)
{
	json_t *owner = find_owner(options, volume), *answer = NULL;
	char reason[512] = "";

	if (owner && (json_object_set_new(request, "command", json_string(command)) ||
		      json_object_set_new(request, "volume", control_string(volume))))
		human_no_memory();
	if (owner) {
		answer = control_call(json_string_value(json_object_get(owner, "socket")), request,
				      CALL_TIMEOUT_MS, reason, sizeof(reason));
		if (!answer)
			complain(EXIT_FAILED, "%s", reason);
	}
	if (answer && !json_is_true(json_object_get(answer, "ok"))) {
		char *error = human_field(answer, "error");

		complain(EXIT_FAILED, "%s", error);
		free(error);
		json_decref(answer);
		answer = NULL;
	}
	json_decref(owner);
	json_decref(request);
	return answer;
}

static enum exit_status done(json_t *answer)
{
	json_decref(answer);
	return answer ? EXIT_OK : EXIT_FAILED;
}

enum exit_status fail_run(const struct options *options, int argc, char **argv)
{
	json_t *answer = volume_call(options, "fail", argv[0], json_object());
	int64_t requests = human_count(answer, "requests");

	if (answer)
		printf("%" PRId64 " request%s failed\n", requests, requests == 1 ? "" : "s");
	return done(answer);
}

/* "timeout=5s" into the object. */
static enum exit_status add_pair(json_t *pairs, const char *text)
{
	const char *equals = strchr(text, '=');
	char *key;
	int error;

	if (!equals || equals == text)
		return complain(EXIT_USAGE,
				"\"%.200s\" sets nothing; write KEY=VALUE, like "
				"timeout=5s",
				text);
	key = strndup(text, (size_t)(equals - text));
	if (!key)
		human_no_memory();
	if (json_object_get(pairs, key)) {
		complain(EXIT_USAGE, "%.200s is given twice; give it once", key);
		free(key);
		return EXIT_USAGE;
	}
	error = json_object_set_new(pairs, key, control_string(equals + 1));
	free(key);
	if (error)
		return complain(EXIT_USAGE, "\"%.200s\" is no text", text);
	return EXIT_OK;
}

enum exit_status set_run(const struct options *options, int argc, char **argv)
{
	json_t *pairs = json_object(), *request = json_object();
	enum exit_status status = EXIT_OK;

	for (int i = 1; i < argc && status == EXIT_OK; i++)
		status = add_pair(pairs, argv[i]);
	if (status != EXIT_OK) {
		json_decref(pairs);
		json_decref(request);
		return status;
	}
	if (json_object_set_new(request, "options", pairs))
		human_no_memory();
	return done(volume_call(options, "set", argv[0], request));
}

enum exit_status reattach_run(const struct options *options, int argc, char **argv)
{
	json_t *request = json_pack("{s:b}", "takeover", (options->given & OPTION_TAKEOVER) != 0);

	return done(volume_call(options, "reattach", argv[0], request));
}
