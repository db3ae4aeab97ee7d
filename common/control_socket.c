/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_socket.c - see control_socket.h */
#include "common/control_socket.h"

#include "common/random.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ASIDE_SUFFIX_SIZE 9u /* ".01234567" */
#define PLACE_TRIES 4u
#define FOLDER_OF_ROOT "/run/dstfs"

_Static_assert(CONTROL_MAX_PATH + ASIDE_SUFFIX_SIZE + 1 <=
		       sizeof(((struct sockaddr_un *)0)->sun_path),
	       "a temporary name must fit as well");

/* A name beside `path` for a file on its way in or out. */
struct aside {
	char path[CONTROL_MAX_PATH + ASIDE_SUFFIX_SIZE + 1];
};

static void aside_name(struct aside *aside, const char *path)
{
	uint32_t random;

	random_bytes(&random, sizeof(random));
	snprintf(aside->path, sizeof(aside->path), "%.*s.%08x", (int)CONTROL_MAX_PATH, path,
		 (unsigned)random);
}

static int format_path(char *path, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int format_path(char *path, size_t size, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(path, size, format, args);
	va_end(args);
	return n >= 0 && (size_t)n < size ? 0 : ENAMETOOLONG;
}

/* Is it a folder that only its owner can write to, the owner being us (or root, if `or_root`)? */
static int folder_check(const char *path, bool or_root)
{
	struct stat st;

	if (lstat(path, &st))
		return errno;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;
	if (st.st_uid != geteuid() && !(or_root && st.st_uid == 0))
		return EPERM;
	return st.st_mode & (S_IWGRP | S_IWOTH) ? EPERM : 0;
}

/* $XDG_RUNTIME_DIR if it may be trusted: after su(1) it can still be another user's. */
static const char *runtime_folder(void)
{
	const char *path = secure_getenv("XDG_RUNTIME_DIR");

	return path && path[0] == '/' && !folder_check(path, false) ? path : NULL;
}

int control_folder(char *path, size_t size, bool create)
{
	const char *runtime;
	int error;

	if (geteuid() == 0)
		error = format_path(path, size, "%s", FOLDER_OF_ROOT);
	else if ((runtime = runtime_folder()))
		error = format_path(path, size, "%s/dstfs", runtime);
	else
		error = format_path(path, size, "/tmp/dstfs-%u", (unsigned)geteuid());
	if (error)
		return error;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return errno;
	return folder_check(path, false);
}

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	return !lstat(a, &sa) && !lstat(b, &sb) && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* A daemon started by cron(8) has another environment than the shell that looks for it. */
unsigned control_folders(char paths[CONTROL_MAX_FOLDERS][CONTROL_MAX_PATH + 1])
{
	const size_t size = CONTROL_MAX_PATH + 1;
	const unsigned uid = (unsigned)geteuid();
	unsigned count = 0;

	if (!control_folder(paths[count], size, false))
		count++;
	if (uid == 0)
		return count;
	for (unsigned i = 0; i < 2; i++) {
		bool known = false;

		if (format_path(paths[count], size, i ? "/tmp/dstfs-%u" : "/run/user/%u/dstfs",
				uid) ||
		    folder_check(paths[count], false))
			continue;
		for (unsigned k = 0; k < count; k++)
			known |= same_file(paths[k], paths[count]);
		count += !known;
	}
	return count;
}

static int unix_address(struct sockaddr_un *address, const char *path)
{
	size_t length = strlen(path);

	if (!length || length >= sizeof(address->sun_path))
		return length ? ENAMETOOLONG : ENOENT;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	return 0;
}

int control_socket_connect(const char *path, int timeout, int *fd)
{
	struct timeval wait = {timeout / 1000, timeout % 1000 * 1000};
	struct sockaddr_un address;
	struct stat st;
	int error;

	*fd = -1;
	error = unix_address(&address, path);
	if (error)
		return error;
	if (stat(path, &st))
		return errno;
	if (!S_ISSOCK(st.st_mode)) /* connect() would call it ECONNREFUSED, like a dead socket */
		return ENOTSOCK;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (timeout ? 0 : SOCK_NONBLOCK), 0);
	if (*fd < 0)
		return errno;
	if (timeout) /* also bounds connect(), see unix_stream_connect() in net/unix/af_unix.c */
		setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (!connect(*fd, (const struct sockaddr *)&address, sizeof(address)))
		return 0;
	error = errno;
	close(*fd);
	*fd = -1;
	return error;
}

/* Gives a file its place, if that is free. EEXIST: it isn't. */
static int place(const char *aside, const char *path)
{
	int error = link(aside, path) ? errno : 0;

	if (!error)
		unlink(aside);
	return error;
}

/*
 * Removes the socket at path if its process is dead. 0: the name is free, as far as one can tell;
 * EADDRINUSE: somebody answers there; ENOTSOCK: it is something else, and not ours to remove.
 *
 * Between the look and the removal another process may do the same and put a living socket there.
 * So the file is moved aside first: there it stands still, and is put back if it isn't the dead one.
 */
static int remove_dead(const char *path)
{
	struct stat before, after;
	struct aside aside;
	int error, fd;

	if (lstat(path, &before))
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(before.st_mode)) /* a symlink to a socket neither */
		return ENOTSOCK;
	error = control_socket_connect(path, 0, &fd);
	if (!error)
		close(fd);
	if (!error || error == EAGAIN)
		return EADDRINUSE;
	if (error != ECONNREFUSED)
		return error == ENOENT ? 0 : error;
	aside_name(&aside, path);
	if (rename(path, aside.path))
		return errno == ENOENT ? 0 : errno;
	if (lstat(aside.path, &after))
		return errno;
	if (after.st_dev == before.st_dev && after.st_ino == before.st_ino)
		return unlink(aside.path) ? errno : 0;
	place(aside.path, path);
	return EADDRINUSE;
}

/* Processes that were killed leave sockets behind whose names never come again. */
static void sweep(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[CONTROL_MAX_PATH + 1];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);

		if (length > 5 && !strcmp(entry->d_name + length - 5, ".sock") &&
		    !format_path(path, sizeof(path), "%s/%s", folder, entry->d_name))
			remove_dead(path);
	}
	closedir(dir);
}

/* Which path it will be; its folder is there and safe. */
static int choose_path(char path[CONTROL_MAX_PATH + 1], const char *kind, const char *wanted,
		       char *reason, size_t reason_size)
{
	const size_t size = CONTROL_MAX_PATH + 1;
	char folder[CONTROL_MAX_PATH + 1] = "";
	int error;

	if (wanted && wanted[0] != '/') {
		snprintf(reason, reason_size, "control socket %s: the path must be absolute",
			 wanted);
		return EINVAL;
	}
	if (wanted) {
		error = format_path(path, size, "%s", wanted);
		if (!error) {
			size_t length = (size_t)(strrchr(path, '/') - path);

			memcpy(folder, path, length ? length : 1); /* "/" itself */
			error = folder_check(folder, true);
		}
	} else {
		error = control_folder(folder, size, true);
		if (!error)
			error = format_path(path, size, "%s/%s-%d.sock", folder, kind,
					    (int)getpid());
	}
	if (error == ENAMETOOLONG)
		snprintf(reason, reason_size, "control socket %s: longer than %u bytes",
			 wanted ? wanted : folder, CONTROL_MAX_PATH);
	else if (error == EPERM)
		snprintf(reason, reason_size,
			 "control socket: folder %s must be owned by uid %u%s and writable by its "
			 "owner only",
			 folder, (unsigned)geteuid(), wanted ? " or root" : "");
	else if (error)
		snprintf(reason, reason_size, "control socket: folder %s: %s", folder,
			 strerror(error));
	else if (!wanted)
		sweep(folder);
	return error;
}

/*
 * Listens under a temporary name: a socket that is bound but doesn't listen yet looks like a dead
 * one, and would be removed by a process that starts at the same time.
 */
static int listen_aside(struct control_socket *sock, const char *path)
{
	struct sockaddr_un address;
	struct stat st;
	int error = unix_address(&address, path);

	if (error)
		return error;
	sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock->fd < 0)
		return errno;
	if (bind(sock->fd, (const struct sockaddr *)&address, sizeof(address))) {
		error = errno;
		goto fail;
	}
	/* nobody can connect before listen(), whatever the umask, which is the whole process's, is */
	if (chmod(path, 0600) || listen(sock->fd, (int)CONTROL_MAX_CLIENTS) || lstat(path, &st)) {
		error = errno;
		unlink(path);
		goto fail;
	}
	sock->device = st.st_dev;
	sock->inode = st.st_ino;
	return 0;
fail:
	close(sock->fd);
	sock->fd = -1;
	return error;
}

int control_socket_open(struct control_socket *sock, const char *kind, const char *path,
			char *reason, size_t reason_size)
{
	struct aside aside;
	int error;

	sock->fd = -1;
	error = choose_path(sock->path, kind, path, reason, reason_size);
	if (error)
		return error;
	aside_name(&aside, sock->path);
	error = listen_aside(sock, aside.path);
	if (error)
		goto fail;
	error = place(aside.path, sock->path);
	for (unsigned i = 0; i < PLACE_TRIES && error == EEXIST; i++) {
		error = remove_dead(sock->path);
		if (!error)
			error = place(aside.path, sock->path);
	}
	if (error) {
		unlink(aside.path);
		close(sock->fd);
		sock->fd = -1;
		goto fail;
	}
	return 0;
fail:
	snprintf(reason, reason_size, "control socket %s: %s", sock->path,
		 error == EADDRINUSE ? "another process answers there"
		 : error == ENOTSOCK ? "something else has that name"
				     : strerror(error));
	return error;
}

void control_socket_close(struct control_socket *sock)
{
	struct stat st;

	if (sock->fd < 0)
		return;
	if (!lstat(sock->path, &st) && st.st_dev == sock->device && st.st_ino == sock->inode)
		unlink(sock->path);
	close(sock->fd);
	sock->fd = -1;
}
