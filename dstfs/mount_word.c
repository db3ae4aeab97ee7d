/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount_word.c - see mount_word.h */
#include "dstfs/mount_word.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * Dropped: what mount(8), systemd and fstab's readers act on themselves; "rw", which mount(8) says
 * always and so must not override a read_only of the configuration; and modes of time stamps that
 * mean nothing here. Passed on: what libfuse and fusermount3 know.
 */
static const char *const dropped[] = {
	"rw",       "defaults",   "auto",        "noauto",        "nofail",   "_netdev",
	"user",     "nouser",     "users",       "nousers",       "owner",    "noowner",
	"group",    "nogroup",    "comment",     "x-*",           "X-*",      "subtype",
	"loud",     "silent",     "diratime",    "nodiratime",    "relatime", "norelatime",
	"lazytime", "nolazytime", "strictatime", "nostrictatime", NULL,
};
static const char *const passed[] = {
	"dev",       "nodev",      "suid",        "nosuid",
	"exec",      "noexec",     "sync",        "async",
	"dirsync",   "atime",      "noatime",     "context",
	"fscontext", "defcontext", "rootcontext", "default_permissions",
	NULL,
};

static bool is_one_of(const char *const *patterns, const char *name)
{
	for (; *patterns; patterns++)
		if (fnmatch(*patterns, name, 0) == 0)
			return true;
	return false;
}

static int pass_on(char **list, const char *name, const char *value)
{
	const char *text = value ? value : "";
	size_t size = *list ? strlen(*list) : 0;
	char *more = realloc(*list, size + strlen(name) + 2 * strlen(text) + sizeof(",="));
	char *out;

	if (!more)
		return ENOMEM;
	*list = more;
	out = more + size;
	if (size)
		*out++ = ',';
	out = stpcpy(out, name);
	if (value)
		*out++ = '=';
	for (; *text; text++) {
		if (strchr(",\\", *text))
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
	return 0;
}

int mount_word_take(const char *name, const char *value, char **list)
{
	if (is_one_of(dropped, name))
		return 0;
	if (is_one_of(passed, name))
		return pass_on(list, name, value);
	return strcmp(name, "remount") == 0 ? EPERM : ENOENT;
}
