/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c - the server's side of control.h.
 *
 * A client is in one of three situations, which decide what it waits for:
 *
 *   out                an answer is being sent: LOOP_WRITE
 *   !out && line       a whole request is in the buffer: LOOP_WRITE, to be called in the next turn
 *   !out && !line      LOOP_READ
 *
 * So an answer is made only when the one before it is on its way: memory is bounded by one answer a
 * client, and each event does one command at most, lest a flood of them hold up the loop's other
 * work. A client that neither completes a request nor takes any of an answer for `idle` is dropped.
 */
#include "common/control.h"

#include "common/clock.h"
#include "common/control_socket.h"
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE (1 * CLOCK_SEC) /* after accept() failed for want of resources */

struct control_client {
	struct control_client *next, **link;
	struct control *control;
	struct loop_fd *event;
	struct loop_timer idle;
	int fd;
	bool closing; /* nothing more is read: send what is there, then close */
	char *out; /* NULL: nothing to send */
	size_t out_size, out_sent;
	size_t in_size;
	size_t line; /* bytes of the first request in the buffer, newline included; 0: none yet */
	char in[CONTROL_MAX_LINE];
};

struct control {
	struct loop *loop;
	struct control_socket socket;
	struct loop_fd *listener;
	struct loop_timer pause; /* pending: the listener waits for better times */
	control_fn *fn;
	void *arg;
	uint64_t idle; /* nanoseconds */
	struct control_client *clients;
	unsigned count;
	struct log_limit accept_limit, refuse_limit;
};

/* Length of the UTF-8 sequence at s, of a text with a final zero byte; 0: none. RFC 3629, sec. 4. */
static unsigned utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf; /* bounds of the second byte */
	unsigned length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	length = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (unsigned i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return length;
}

json_t *control_string(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	char *clean = malloc(3 * strlen(text) + 1);
	json_t *string;
	size_t used = 0;

	if (!clean)
		return NULL;
	while (*text) {
		unsigned length = utf8_length((const unsigned char *)text);

		memcpy(clean + used, length ? text : replacement, length ? length : 3);
		used += length ? length : 3;
		text += length ? length : 1;
	}
	clean[used] = 0;
	string = json_stringn_nocheck(clean, used);
	free(clean);
	return string;
}

static void client_free(struct control_client **pointer)
{
	struct control_client *client = *pointer;

	*pointer = NULL;
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->control->count--;
	loop_timer_destroy(&client->idle);
	loop_fd_free(&client->event);
	close(client->fd);
	free(client->out);
	free(client);
}

static void client_timeout(void *arg)
{
	struct control_client *client = arg;

	client_free(&client);
}

/* "answer" (taken over) as the line to be sent. No memory for it: the connection ends. */
static void client_put(struct control_client *client, json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	if (!text) {
		client->closing = true;
		client->line = client->in_size = 0;
		return;
	}
	client->out = text;
	client->out_sent = 0;
	client->out_size = strlen(text);
	text[client->out_size++] = '\n'; /* in place of the final zero byte */
}

static void client_error(struct control_client *client, const char *reason)
{
	client_put(client, json_pack("{s:b, s:o}", "ok", 0, "error", control_string(reason)));
}

/* For what no way leads back from: nothing more is read. */
static void client_refuse(struct control_client *client, const char *reason)
{
	client->line = client->in_size = 0;
	client->closing = true;
	client_error(client, reason);
}

/* The answer to a request, with "ok" before all else; NULL: cause in reason. */
static json_t *run_command(struct control *control, const json_t *request, char *reason,
			   size_t size)
{
	const char *command = json_string_value(json_object_get(request, "command"));
	json_t *result, *answer;

	if (!command) {
		snprintf(reason, size, "a request is a JSON object with a string \"command\"");
		return NULL;
	}
	result = control->fn(control->arg, command, request, reason, size);
	if (!result) {
		if (!*reason)
			snprintf(reason, size, "the command failed");
		return NULL;
	}
	assert(json_is_object(result));
	answer = json_pack("{s:b}", "ok", 1);
	if (!answer || json_object_update(answer, result)) {
		json_decref(answer);
		answer = NULL;
		snprintf(reason, size, "%s", strerror(ENOMEM));
	}
	json_decref(result);
	return answer;
}

/* Answers the request that is at the front of the buffer, and takes it out. */
static void client_answer(struct control_client *client)
{
	char reason[512] = "";
	json_error_t problem;
	json_t *request, *answer = NULL;
	const char *newline;

	request = json_loadb(client->in, client->line, JSON_REJECT_DUPLICATES, &problem);
	if (request)
		answer = run_command(client->control, request, reason, sizeof(reason));
	else
		snprintf(reason, sizeof(reason), "not JSON: column %d: %s", problem.column,
			 problem.text);
	json_decref(request);
	client->in_size -= client->line;
	memmove(client->in, client->in + client->line, client->in_size);
	newline = memchr(client->in, '\n', client->in_size);
	client->line = newline ? (size_t)(newline - client->in) + 1 : 0;
	if (answer)
		client_put(client, answer);
	else
		client_error(client, reason);
	if (client->out_size > CONTROL_MAX_ANSWER) {
		free(client->out);
		client->out = NULL;
		client_error(client, "the answer would be too long");
	}
}

/* Takes what has come; 0, or an errno: the connection is to be dropped. */
static int client_receive(struct control_client *client)
{
	char *start = client->in + client->in_size, *newline;
	ssize_t n = recv(client->fd, start, sizeof(client->in) - client->in_size, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	if (n == 0) {
		if (client->in_size)
			client_refuse(client, "the request doesn't end with a newline");
		client->closing = true;
		return 0;
	}
	client->in_size += (size_t)n;
	newline = memchr(start, '\n', (size_t)n);
	if (newline)
		client->line = (size_t)(newline - client->in) + 1;
	else if (client->in_size == sizeof(client->in))
		client_refuse(client, "the request is too long");
	return 0;
}

/* Sends what the socket takes; 0, or an errno: the connection is to be dropped. */
static int client_send(struct control_client *client)
{
	ssize_t n = send(client->fd, client->out + client->out_sent,
			 client->out_size - client->out_sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : errno;
	loop_timer_set(&client->idle, client->control->idle);
	client->out_sent += (size_t)n;
	if (client->out_sent == client->out_size) {
		free(client->out);
		client->out = NULL;
		client->out_size = 0;
	}
	return 0;
}

static void client_event(void *arg, unsigned events)
{
	struct control_client *client = arg;
	int error = 0;

	if (!client->out && !client->line)
		error = client_receive(client);
	if (!client->out && client->line)
		client_answer(client);
	if (client->out)
		error = client_send(client);
	if (!error && client->closing && !client->out && !client->line)
		error = ECONNRESET;
	if (!error)
		error = loop_fd_want(client->event,
				     client->out || client->line ? LOOP_WRITE : LOOP_READ);
	if (error)
		client_free(&client);
}

/* 0: fd belongs to a new client; else an errno, and fd is still the caller's. */
static int client_new(struct control *control, int fd)
{
	struct control_client *client = malloc(sizeof(*client)); /* in[] need not be cleared */
	int error = ENOMEM;

	if (!client)
		return ENOMEM;
	memset(client, 0, offsetof(struct control_client, in));
	client->control = control;
	client->fd = fd;
	client->event = loop_fd_new(control->loop, fd, client_event, client);
	if (!client->event)
		goto fail;
	error = loop_timer_init(&client->idle, control->loop, client_timeout, client);
	if (!error)
		error = loop_fd_want(client->event, LOOP_READ);
	if (error)
		goto fail;
	loop_timer_set(&client->idle, control->idle);
	client->next = control->clients;
	client->link = &control->clients;
	if (client->next)
		client->next->link = &client->next;
	control->clients = client;
	control->count++;
	return 0;
fail:
	loop_timer_destroy(&client->idle);
	loop_fd_free(&client->event);
	free(client);
	return error;
}

/* The file's mode keeps others out already; this also holds where somebody changed that. */
static bool peer_allowed(int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	*uid = peer.uid;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* Tells a new peer why it can't be served; an empty socket takes the line at once. Closes fd. */
static void turn_away(int fd, const char *reason)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "{\"ok\":false,\"error\":\"%s\"}\n", reason);

	if (send(fd, line, (size_t)n, MSG_NOSIGNAL) < n)
		log_debug("control: a peer left before it could be told: %s", reason);
	close(fd);
}

static void accept_pause_over(void *arg)
{
	struct control *control = arg;

	if (loop_fd_want(control->listener, LOOP_READ))
		loop_timer_set(&control->pause, ACCEPT_PAUSE);
}

static void accept_failed(struct control *control, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	/* The connection stays in the queue and would wake the loop at once, forever. */
	log_limited(&control->accept_limit, LOG_LEVEL_WARN, "control socket %s: accept: %s",
		    control->socket.path, strerror(error));
	loop_fd_want(control->listener, 0);
	loop_timer_set(&control->pause, ACCEPT_PAUSE);
}

static void accept_client(void *arg, unsigned events)
{
	struct control *control = arg;
	uid_t uid;
	int error, fd;

	fd = accept4(control->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		accept_failed(control, errno);
		return;
	}
	if (!peer_allowed(fd, &uid)) {
		log_limited(&control->refuse_limit, LOG_LEVEL_WARN,
			    "control socket %s: refused uid %d", control->socket.path, (int)uid);
		turn_away(fd, "permission denied");
		return;
	}
	if (control->count >= CONTROL_MAX_CLIENTS) {
		log_limited(&control->refuse_limit, LOG_LEVEL_WARN,
			    "control socket %s: %u connections already", control->socket.path,
			    CONTROL_MAX_CLIENTS);
		turn_away(fd, "too many connections to the control socket");
		return;
	}
	error = client_new(control, fd);
	if (error)
		turn_away(fd, "out of memory");
}

struct control *control_new(struct loop *loop, const char *kind, const char *path, control_fn *fn,
			    void *arg, char *reason, size_t reason_size)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		goto no_memory;
	control->loop = loop;
	control->fn = fn;
	control->arg = arg;
	control->idle = CONTROL_IDLE_SEC * CLOCK_SEC;
	if (control_socket_open(&control->socket, kind, path, reason, reason_size)) {
		free(control);
		return NULL;
	}
	control->listener = loop_fd_new(loop, control->socket.fd, accept_client, control);
	if (!control->listener ||
	    loop_timer_init(&control->pause, loop, accept_pause_over, control) ||
	    loop_fd_want(control->listener, LOOP_READ)) {
		control_free(&control);
		goto no_memory;
	}
	return control;
no_memory:
	snprintf(reason, reason_size, "control socket: %s", strerror(ENOMEM));
	return NULL;
}

const char *control_path(const struct control *control)
{
	return control->socket.path;
}

void control_set_idle(struct control *control, uint64_t idle)
{
	control->idle = idle;
}

void control_free(struct control **pointer)
{
	struct control *control = *pointer;

	*pointer = NULL;
	if (!control)
		return;
	while (control->clients) {
		struct control_client *client = control->clients;

		client_free(&client);
	}
	loop_timer_destroy(&control->pause);
	loop_fd_free(&control->listener);
	control_socket_close(&control->socket);
	free(control);
}
