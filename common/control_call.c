/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_call.c - the client's side of control.h: one request, one answer, one deadline. */
#include "common/clock.h"
#include "common/control.h"
#include "common/control_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_READ 4096u /* bytes; doubled while an answer is longer */

/* Waits until fd is ready for events or the deadline has passed. 0 or errno. */
static int wait_ready(int fd, short events, uint64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = clock_now();
		int n;

		if (now >= deadline)
			return ETIMEDOUT;
		n = poll(&poll_fd, 1, (int)((deadline - now + CLOCK_MS - 1) / CLOCK_MS));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return errno;
	}
}

static int send_all(int fd, const char *data, size_t size, uint64_t deadline)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			int error = wait_ready(fd, POLLOUT, deadline);

			if (error)
				return error;
		} else if (errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

/* Receives up to a newline into *line (the caller frees it); *length is without the newline. */
static int receive_line(int fd, char **line, size_t *length, uint64_t deadline)
{
	size_t size = 0, used = 0;

	*line = NULL;
	for (;;) {
		char *end;
		ssize_t n;
		int error;

		if (used == size) {
			char *grown;

			if (size >= CONTROL_MAX_ANSWER)
				return EMSGSIZE;
			size = size ? 2 * size : FIRST_READ;
			grown = realloc(*line, size);
			if (!grown)
				return ENOMEM;
			*line = grown;
		}
		error = wait_ready(fd, POLLIN, deadline);
		if (error)
			return error;
		n = recv(fd, *line + used, size - used, MSG_DONTWAIT);
		if (n == 0)
			return ECONNRESET;
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			return errno;
		}
		end = memchr(*line + used, '\n', (size_t)n);
		used += (size_t)n;
		if (end) {
			*length = (size_t)(end - *line);
			return 0;
		}
	}
}

/* The request as one line with its newline; the caller frees it. */
static int print_request(const json_t *request, char **text, size_t *size)
{
	*text = json_dumps(request, JSON_COMPACT);
	if (!*text)
		return EINVAL;
	*size = strlen(*text);
	(*text)[(*size)++] = '\n'; /* in place of the final zero byte */
	return *size > CONTROL_MAX_LINE ? E2BIG : 0;
}

static int exchange(int fd, const json_t *request, char **line, size_t *length, uint64_t deadline)
{
	char *text = NULL;
	size_t size = 0;
	int error, send_error;

	error = print_request(request, &text, &size);
	if (!error) {
		send_error = send_all(fd, text, size, deadline);
		/* a daemon that turns us away says why before it closes */
		error = send_error && send_error != EPIPE && send_error != ECONNRESET
				? send_error
				: receive_line(fd, line, length, deadline);
	}
	free(text);
	return error;
}

static void explain(int error, int timeout, char *reason, size_t reason_size)
{
	switch (error) {
	case EAGAIN:
	case ETIMEDOUT:
		snprintf(reason, reason_size, "no answer within %d.%03d s", timeout / 1000,
			 timeout % 1000);
		break;
	case ECONNREFUSED:
		snprintf(reason, reason_size, "nobody answers there: its process is gone");
		break;
	case ECONNRESET:
		snprintf(reason, reason_size, "it closed the connection without an answer");
		break;
	case EMSGSIZE:
		snprintf(reason, reason_size, "its answer is longer than %u bytes",
			 CONTROL_MAX_ANSWER);
		break;
	case E2BIG:
		snprintf(reason, reason_size, "the request is longer than %u bytes",
			 CONTROL_MAX_LINE);
		break;
	default:
		snprintf(reason, reason_size, "%s", strerror(error));
	}
}

json_t *control_call(const char *path, const json_t *request, int timeout, char *reason,
		     size_t reason_size)
{
	uint64_t deadline;
	json_error_t problem;
	json_t *answer = NULL;
	char *line = NULL;
	size_t length = 0;
	int error, fd;

	if (timeout < 1)
		timeout = 1;
	deadline = clock_now() + (uint64_t)timeout * CLOCK_MS;
	error = control_socket_connect(path, timeout, &fd);
	if (!error)
		error = exchange(fd, request, &line, &length, deadline);
	if (error) {
		explain(error, timeout, reason, reason_size);
	} else {
		answer = json_loadb(line, length, 0, &problem);
		if (!json_is_object(answer) || !json_is_boolean(json_object_get(answer, "ok"))) {
			snprintf(reason, reason_size, "its answer is not one of dstfs or dstd");
			json_decref(answer);
			answer = NULL;
			error = EPROTO;
		}
	}
	free(line);
	if (fd >= 0)
		close(fd);
	errno = error;
	return answer;
}
