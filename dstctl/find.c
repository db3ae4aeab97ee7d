/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find.c - see find.h */
#include "dstctl/find.h"

#include "common/clock.h"
#include "common/control.h"
#include "dstctl/human.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOMENT (100 * CLOCK_MS) /* that a daemon takes to end once it hangs up */

static int is_socket_name(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && entry->d_name[0] != '.' &&
	       !strcmp(entry->d_name + length - 5, ".sock");
}

/* As control_call(). One that hangs up without an answer is about to end, or has us try again. */
static json_t *call(const char *path, const json_t *request, char *reason, size_t reason_size)
{
	json_t *answer = control_call(path, request, CALL_TIMEOUT_MS, reason, reason_size);

	if (!answer && errno == ECONNRESET) {
		clock_sleep(MOMENT);
		answer = control_call(path, request, CALL_TIMEOUT_MS, reason, reason_size);
	}
	return answer;
}

/* Adds the answer of the daemon at path; `stale_too`: also if nobody is there. 0 or ENOMEM. */
static int ask(json_t *daemons, const char *path, bool stale_too)
{
	char reason[256] = "";
	json_t *request = json_pack("{s:s}", "command", "status");
	json_t *answer;

	if (!request)
		return ENOMEM;
	answer = call(path, request, reason, sizeof(reason));
	json_decref(request);
	if (!answer) {
		if (!stale_too && (errno == ECONNREFUSED || errno == ENOENT || errno == ENOTSOCK))
			return 0;
		answer = json_pack("{s:b, s:o}", "ok", 0, "error", control_string(reason));
	}
	if (!answer || json_object_set_new(answer, "socket", control_string(path))) {
		json_decref(answer);
		return ENOMEM;
	}
	return json_array_append_new(daemons, answer) ? ENOMEM : 0;
}

/* Sockets are called KIND-PID.sock. */
static bool is_kind(const char *name, const char *kind)
{
	size_t length = kind ? strlen(kind) : 0;

	return !kind || (!strncmp(name, kind, length) && name[length] == '-');
}

static int ask_folder(json_t *daemons, const char *folder, const char *kind)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_socket_name, versionsort);
	int error = 0;

	for (int i = 0; i < count; i++) {
		char path[CONTROL_MAX_PATH + 1];
		int n = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);

		if (!error && n < (int)sizeof(path) /* no daemon makes longer ones */
		    && is_kind(entries[i]->d_name, kind))
			error = ask(daemons, path, false);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return error;
}

static int ask_all(json_t *daemons, const char *kind)
{
	char folders[CONTROL_MAX_FOLDERS][CONTROL_MAX_PATH + 1];
	unsigned count = control_folders(folders);
	int error = 0;

	for (unsigned i = 0; i < count && !error; i++)
		error = ask_folder(daemons, folders[i], kind);
	return error;
}

/* An absolute form of path without ".", doubled and final slashes; NULL: out of memory. */
static char *absolute_path(const char *path)
{
	char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
	char *result = malloc((folder ? strlen(folder) : 0) + strlen(path) + 2);
	size_t used = 0;

	if (result && folder && strcmp(folder, "/") != 0)
		used = (size_t)(stpcpy(result, folder) - result);
	free(folder);
	while (result && *path) {
		size_t length = strcspn(path, "/");

		if (length && !(length == 1 && path[0] == '.')) {
			result[used++] = '/';
			memcpy(result + used, path, length);
			used += length;
		}
		path += length + (path[length] == '/');
	}
	if (result && !used)
		result[used++] = '/';
	if (result)
		result[used] = 0;
	return result;
}

/*
 * The mountpoint of a stuck mount must not be touched in a way that asks its file system. realpath()
 * does readlink() on every part and nothing else, as long as the path has no final slash; on the
 * root of a mount the kernel answers that by itself. Returned as the daemons print paths.
 */
static json_t *resolved_path(const char *absolute)
{
	char *real = realpath(absolute, NULL);
	json_t *path = control_string(real ? real : absolute);

	free(real);
	return path;
}

/* Drops from daemons all but the dstfs that is mounted on `mount`. */
static int keep_mount(json_t *daemons, const char *mount)
{
	char *absolute = absolute_path(mount);
	json_t *real = absolute ? resolved_path(absolute) : NULL;

	free(absolute);
	if (!real)
		return ENOMEM;
	for (size_t i = 0; i < json_array_size(daemons);) {
		json_t *daemon = json_array_get(daemons, i);
		const char *text = json_string_value(json_object_get(daemon, "mountpoint"));
		json_t *their_real = text && text[0] == '/' ? resolved_path(text) : NULL;

		if (json_equal(their_real, real)) {
			i++;
		} else {
			if (!json_is_true(json_object_get(daemon, "ok")))
				human_report(daemon);
			json_array_remove(daemons, i);
		}
		json_decref(their_real);
	}
	json_decref(real);
	return 0;
}

json_t *find_quietly(const struct options *options, const char *kind)
{
	json_t *daemons = json_array();
	int error;

	if (!daemons)
		return NULL;
	if (options->mount)
		kind = "dstfs";
	error = options->socket ? ask(daemons, options->socket, true) : ask_all(daemons, kind);
	if (!error && options->mount)
		error = keep_mount(daemons, options->mount);
	if (error) {
		json_decref(daemons);
		return NULL;
	}
	return daemons;
}

json_t *find_daemons(const struct options *options, const char *kind)
{
	json_t *daemons = find_quietly(options, kind);

	if (!daemons)
		return NULL;
	if (options->mount)
		kind = "dstfs";
	if (!json_array_size(daemons) && options->mount) {
		char *mount = human_clean(human_format("%s", options->mount));

		fprintf(stderr, "dstctl: no dstfs of this user is mounted on %s\n", mount);
		free(mount);
	}
	if (!json_array_size(daemons) && !options->mount)
		fprintf(stderr, "dstctl: no %s of this user is running\n",
			kind ? kind : "dstfs or dstd");
	return daemons;
}
