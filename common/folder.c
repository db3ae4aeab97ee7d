/* SPDX-License-Identifier: GPL-2.0-or-later */
/* folder.c - see folder.h */
#include "common/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return mkdir(path, 0700) && errno != EEXIST ? errno : 0;
}

/* False: there is none to be had (no home). */
static bool state_path(const char *program, char *path, size_t size)
{
	const char *given = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
	const char *xdg = getenv("XDG_STATE_HOME");
	int n;

	if (given && given[0] == '/')
		n = snprintf(path, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		n = snprintf(path, size, "/var/lib/%s", program);
	else if (xdg && xdg[0] == '/')
		n = snprintf(path, size, "%s/%s", xdg, program);
	else if (home && home[0] == '/')
		n = snprintf(path, size, "%s/.local/state/%s", home, program);
	else
		return false;
	return n > 0 && (size_t)n < size;
}

int folder_open_state(const char *program, int *fd, char *path, size_t size)
{
	int error;

	if (!state_path(program, path, size)) {
		snprintf(path, size, "none");
		return ENOENT;
	}
	error = make_folders(path);
	if (error)
		return error;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? errno : 0;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		text += n;
		size -= (size_t)n;
	}
	return fsync(fd) ? errno : 0;
}

int folder_replace(int folder, const char *name, const char *temp, const char *text, size_t size)
{
	/* One that a crash left behind, torn or whole, never counted: it is written over. */
	int fd = openat(folder, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), error;

	if (fd < 0)
		return errno;
	error = write_all(fd, text, size);
	if (close(fd) && !error)
		error = errno;
	if (!error && renameat(folder, temp, folder, name))
		error = errno;
	if (!error && fsync(folder))
		error = errno;
	return error;
}
