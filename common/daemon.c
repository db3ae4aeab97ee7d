/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon.c - see daemon.h */
#include "common/daemon.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTIFY_TIMEOUT_SEC 2 /* a service manager that doesn't read must not stop us */

/* A process is a daemon once: this is its tie to the parent that waits. */
static struct {
	int parent; /* our end of a socket pair; -1: nobody waits */
	int null; /* /dev/null, opened while an error could still be told */
} daemon_state = {.parent = -1, .null = -1};

/* Waits for the child's word, and exits. */
__attribute__((noreturn)) static void parent_wait(int fd, pid_t child)
{
	char ready;
	int status;
	ssize_t n;

	do
		n = read(fd, &ready, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(0);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Descriptors 0 to 2 that the caller closed must not become ours. Returns one above, or -1. */
static int open_null(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

int daemon_fork(void)
{
	int pair[2], error;
	pid_t pid;

	daemon_state.null = open_null();
	if (daemon_state.null < 0)
		return errno;
	/* not a pipe: the parent may be killed, and a socket can be told not to raise SIGPIPE */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		error = errno;
		goto fail;
	}
	signal(SIGCHLD, SIG_DFL); /* if inherited as ignored, the status would be lost */
	fflush(NULL); /* the parent leaves by _exit() */
	pid = fork();
	if (pid < 0) {
		error = errno;
		close(pair[0]);
		close(pair[1]);
		goto fail;
	}
	if (pid > 0) {
		close(pair[1]);
		parent_wait(pair[0], pid);
	}
	close(pair[0]);
	daemon_state.parent = pair[1];
	if (setsid() < 0 || chdir("/") || dup2(daemon_state.null, STDIN_FILENO) < 0)
		return errno;
	return 0;
fail:
	close(daemon_state.null);
	daemon_state.null = -1;
	return error;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * Readers see the old file, no file or the whole new one. A symbolic link at path is replaced, not
 * followed, and the temporary file is always a new one.
 */
static int write_pidfile(const char *path)
{
	char text[16], *temporary;
	int error, fd;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		error = errno;
		free(temporary);
		return error;
	}
	error = write_all(fd, text, (size_t)snprintf(text, sizeof(text), "%d\n", (int)getpid()));
	if (!error && fchmod(fd, 0644))
		error = errno;
	if (close(fd) && !error)
		error = errno;
	if (!error && rename(temporary, path))
		error = errno;
	if (error)
		unlink(temporary);
	free(temporary);
	return error;
}

/* The address in NOTIFY_SOCKET: a path, or an abstract name after '@'. 0 or errno. */
static int notify_address(struct sockaddr_un *address, socklen_t *size, const char *name)
{
	size_t length = strlen(name);

	if (name[0] != '/' && name[0] != '@')
		return EAFNOSUPPORT;
	if (length < 2)
		return EINVAL;
	if (length >= sizeof(address->sun_path))
		return ENAMETOOLONG;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, length);
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (name[0] == '@')
		address->sun_path[0] = 0;
	return 0;
}

/* sd_notify(3): one datagram of "KEY=value" lines. */
static int notify_send(const char *name, const char *message)
{
	struct timeval wait = {.tv_sec = NOTIFY_TIMEOUT_SEC};
	struct sockaddr_un address;
	socklen_t size = 0;
	int error, fd;

	error = notify_address(&address, &size, name);
	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   size) < 0)
		error = errno;
	close(fd);
	return error;
}

void daemon_notify(const char *message)
{
	const char *name = secure_getenv("NOTIFY_SOCKET");
	char text[512];
	int error;

	if (!name || !*name)
		return;
	/* Type=notify-reload matches the two by this time, see sd_notify(3) */
	if (!strcmp(message, "RELOADING=1")) {
		snprintf(text, sizeof(text), "%s\nMONOTONIC_USEC=%llu", message,
			 (unsigned long long)(clock_now() / 1000));
		message = text;
	}
	error = notify_send(name, message);
	if (error)
		log_warn("can't tell the service manager at %s: %s", name, strerror(error));
}

static void release_parent(void)
{
	fflush(NULL);
	dup2(daemon_state.null, STDOUT_FILENO);
	dup2(daemon_state.null, STDERR_FILENO);
	close(daemon_state.null);
	daemon_state.null = -1;
	/* if nobody is there any more: the mount or server is wanted all the same */
	while (send(daemon_state.parent, "", 1, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
	close(daemon_state.parent);
	daemon_state.parent = -1;
}

int daemon_ready(const char *pidfile)
{
	char message[64];
	int error = pidfile ? write_pidfile(pidfile) : 0;

	if (error)
		return error;
	/* before the parent exits: for the manager the main process would be gone, otherwise */
	snprintf(message, sizeof(message), "READY=1\nMAINPID=%d", (int)getpid());
	daemon_notify(message);
	if (daemon_state.parent >= 0)
		release_parent();
	return 0;
}

void daemon_remove_pidfile(const char *pidfile)
{
	char text[16] = "", mine[16];
	ssize_t n;
	int fd;

	if (!pidfile)
		return;
	fd = open(pidfile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	snprintf(mine, sizeof(mine), "%d\n", (int)getpid());
	if (n > 0 && !strcmp(text, mine))
		unlink(pidfile);
}
