/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_fixture.h - a control server for tests, in a thread of its own, and clients for it. */
#ifndef TEST_UNIT_CONTROL_FIXTURE_H
#define TEST_UNIT_CONTROL_FIXTURE_H

#include "common/clock.h"
#include "common/control.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SHARED static __attribute__((unused)) /* not every test needs all of it */

#define BIG_ANSWER (8u << 20) /* bytes: more than a socket buffer holds */
#define PATIENCE_MS 5000

struct fixture {
	struct loop *loop;
	char folder[64];
	char path[96]; /* of the socket */
	struct control *control;
	pthread_t thread;
	_Atomic unsigned commands; /* that ran */
};

SHARED json_t *answer_command(void *arg, const char *command, const json_t *request, char *reason,
			      size_t reason_size)
{
	struct fixture *f = arg;
	json_t *number = json_object_get(request, "number");

	f->commands++;
	if (!strcmp(command, "echo"))
		return number ? json_pack("{s:O}", "number", number) : json_object();
	if (!strcmp(command, "big") || !strcmp(command, "huge")) {
		size_t size = strcmp(command, "big") ? CONTROL_MAX_ANSWER : BIG_ANSWER;
		char *text = malloc(size);
		json_t *answer;

		memset(text, 'x', size);
		answer = json_pack("{s:s#}", "text", text, (int)size);
		free(text);
		return answer;
	}
	if (strcmp(command, "silent"))
		snprintf(reason, reason_size, "unknown command \"%s\"", command);
	return NULL;
}

SHARED void *server_thread(void *arg)
{
	struct fixture *f = arg;

	loop_run(f->loop);
	return NULL;
}

SHARED struct control *new_control(struct fixture *f, const char *path, char reason[256])
{
	reason[0] = 0;
	return control_new(f->loop, "dstfs", path, answer_command, f, reason, 256);
}

SHARED int folder_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/dstfs-test-control.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/it.sock", f->folder);
	f->loop = loop_new();
	assert_non_null(f->loop);
	*state = f;
	return 0;
}

SHARED int folder_teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	loop_free(&f->loop);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

SHARED int server_setup(void **state)
{
	struct fixture *f;
	char reason[256];

	folder_setup(state);
	f = *state;
	f->control = new_control(f, f->path, reason);
	if (!f->control)
		fail_msg("%s", reason);
	return pthread_create(&f->thread, NULL, server_thread, f);
}

SHARED int server_teardown(void **state)
{
	struct fixture *f = *state;

	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	control_free(&f->control);
	assert_int_equal(access(f->path, F_OK), -1);
	return folder_teardown(state);
}

SHARED struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	assert_true(strlen(path) < sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	return address;
}

SHARED int new_socket(void)
{
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

SHARED int open_client(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = new_socket();

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A socket file that nobody listens at any more. */
SHARED void make_stale(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		abort();
	close(fd);
}

/* Runs fn(f) in a child, as another user if we are root, and takes its exit status. */
SHARED int in_child(void (*fn)(struct fixture *f), struct fixture *f, uid_t uid)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (geteuid() == 0 && uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			_exit(99);
		fn(f);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* In children: cmocka's assertions would return to the parent's tests. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* A user id that nobody has, so that /tmp/dstfs-UID is ours alone; our own if we aren't root. */
SHARED uid_t some_uid(void)
{
	return geteuid() ? geteuid() : 2000000000u + (uid_t)getpid();
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, server_setup, server_teardown)
#define BARE(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

#endif
