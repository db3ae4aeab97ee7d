/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_socket.c - see stream_socket.h */
#include "common/stream_socket.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

struct socket_stream {
	struct stream base;
	int fd;
	struct loop_fd *ready;
	bool connecting;
	bool write_first; /* when both are ready: they take turns */
	unsigned want; /* LOOP_* of the user; while connecting the loop is asked for WRITE only */
};

static struct socket_stream *from_base(struct stream *stream)
{
	return (struct socket_stream *)stream; /* base is the first member */
}

static ssize_t socket_readv(struct stream *stream, const struct iovec *iov, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
	ssize_t n;

	do
		n = recvmsg(from_base(stream)->fd, &message, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t socket_writev(struct stream *stream, const struct iovec *iov, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
	ssize_t n;

	do
		n = sendmsg(from_base(stream)->fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Registering interest fails for lack of kernel memory only. The connection is then silent, and ends
 * like any other that is. */
static void socket_want(struct socket_stream *s, unsigned bit, bool want)
{
	s->want = want ? s->want | bit : s->want & ~bit;
	if (!s->connecting)
		loop_fd_want(s->ready, s->want);
}

static void socket_want_read(struct stream *stream, bool want)
{
	socket_want(from_base(stream), LOOP_READ, want);
}

static void socket_want_write(struct stream *stream, bool want)
{
	socket_want(from_base(stream), LOOP_WRITE, want);
}

/* RFC 5482; in Linux since 2.6.37. Fails on unix and vsock sockets, whose peers are near. */
static void socket_set_ack_timeout(struct stream *stream, uint64_t timeout)
{
	uint64_t ms = timeout / CLOCK_MS;
	unsigned value = ms < INT_MAX ? (unsigned)ms : INT_MAX;

	if (!value)
		value = 1; /* 0 would mean the system's own */
	setsockopt(from_base(stream)->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
}

static void socket_close(struct stream *stream)
{
	struct socket_stream *s = from_base(stream);

	loop_fd_free(&s->ready);
	close(s->fd);
	free(s);
}

static const struct stream_ops socket_ops = {
	.readv = socket_readv,
	.writev = socket_writev,
	.want_read = socket_want_read,
	.want_write = socket_want_write,
	.set_ack_timeout = socket_set_ack_timeout,
	.close = socket_close,
};

static void socket_connected(struct socket_stream *s)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	s->connecting = false;
	loop_fd_want(s->ready, error ? 0 : s->want);
	s->base.events->connected(s->base.arg, error);
}

static void socket_ready(void *arg, unsigned events)
{
	struct socket_stream *s = arg;

	if (s->connecting) {
		socket_connected(s);
		return;
	}
	/* Only one event a call: the callback may have closed the stream, and readiness is
	 * level-triggered. Neither may starve the other, however long it goes on. */
	if (events == (LOOP_READ | LOOP_WRITE))
		s->write_first = !s->write_first;
	else
		s->write_first = events & LOOP_WRITE;
	if (s->write_first)
		s->base.events->writable(s->base.arg);
	else
		s->base.events->readable(s->base.arg);
}

/* Takes over fd. */
static struct socket_stream *socket_new(struct loop *loop, int fd,
					const struct stream_events *events, void *arg)
{
	struct socket_stream *s = calloc(1, sizeof(*s));
	int one = 1;

	if (!s)
		goto fail;
	s->base = (struct stream){.ops = &socket_ops, .events = events, .arg = arg};
	s->fd = fd;
	s->ready = loop_fd_new(loop, fd, socket_ready, s);
	if (!s->ready)
		goto fail;
	/* Fails on unix and vsock sockets, which have no delay to switch off. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return s;
fail:
	free(s);
	close(fd);
	errno = ENOMEM;
	return NULL;
}

struct stream *stream_socket_connect(struct loop *loop, const struct loop_address *address,
				     const struct stream_events *events, void *arg)
{
	int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct socket_stream *s;
	int error;

	if (fd < 0)
		return NULL;
	if (connect(fd, (const struct sockaddr *)&address->address, address->length) &&
	    errno != EINPROGRESS && errno != EINTR) {
		error = errno;
		close(fd);
		errno = error;
		return NULL;
	}
	s = socket_new(loop, fd, events, arg);
	if (!s)
		return NULL;
	s->connecting = true; /* even if it is up: `connected` never runs from in here */
	error = loop_fd_want(s->ready, LOOP_WRITE);
	if (error) {
		socket_close(&s->base);
		errno = error;
		return NULL;
	}
	return &s->base;
}

/* A client whose machine is gone without a word: the kernel asks, and ends the connection. */
static void watch_peer(struct socket_stream *s)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, STREAM_KEEPALIVE_IDLE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, STREAM_KEEPALIVE_INTERVAL_S},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(s->fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
	socket_set_ack_timeout(&s->base, STREAM_ACCEPTED_TIMEOUT_S * CLOCK_SEC);
}

struct stream *stream_socket_accept(struct loop *loop, int fd, const struct stream_events *events,
				    void *arg)
{
	struct socket_stream *s;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
		int error = errno;

		close(fd);
		errno = error;
		return NULL;
	}
	s = socket_new(loop, fd, events, arg);
	if (!s)
		return NULL;
	watch_peer(s);
	return &s->base;
}

int stream_address_unix(struct loop_address *address, const char *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address->address;
	size_t length = strlen(path);

	memset(address, 0, sizeof(*address));
	if (length >= sizeof(un->sun_path))
		return ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length + 1);
	address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

void stream_address_vsock(struct loop_address *address, uint32_t cid, uint32_t port)
{
	struct sockaddr_vm *vm = (struct sockaddr_vm *)&address->address;

	memset(address, 0, sizeof(*address));
	vm->svm_family = AF_VSOCK;
	vm->svm_cid = cid;
	vm->svm_port = port;
	address->length = sizeof(*vm);
}

const char *stream_address_print(const struct loop_address *address, char text[STREAM_ADDRESS_TEXT])
{
	const struct sockaddr_storage *any = &address->address;
	const struct sockaddr_in *in = (const struct sockaddr_in *)any;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)any;
	const struct sockaddr_un *un = (const struct sockaddr_un *)any;
	const struct sockaddr_vm *vm = (const struct sockaddr_vm *)any;
	char host[INET6_ADDRSTRLEN] = "?";

	switch (any->ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, STREAM_ADDRESS_TEXT, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, STREAM_ADDRESS_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
		break;
	case AF_UNIX:
		snprintf(text, STREAM_ADDRESS_TEXT, "unix:%.*s", (int)sizeof(un->sun_path),
			 address->length > offsetof(struct sockaddr_un, sun_path) ? un->sun_path
										  : "");
		break;
	case AF_VSOCK:
		snprintf(text, STREAM_ADDRESS_TEXT, "vsock:%u:%u", vm->svm_cid, vm->svm_port);
		break;
	default:
		snprintf(text, STREAM_ADDRESS_TEXT, "unknown");
	}
	return text;
}
