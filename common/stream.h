/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.h - a connected, ordered, non-blocking stream of bytes: an interface.
 *
 * stream_socket.c implements it over TCP, unix and vsock sockets. Encryption and the simulator are
 * other implementations; nobody above this line can tell them apart. A stream belongs to one
 * loop's thread.
 */
#ifndef COMMON_STREAM_H
#define COMMON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct stream;

/* Set by the stream's user before the first event. A callback may close its stream. */
struct stream_events {
	/* The connection is up (error 0) or failed (an errno; the stream is of no more use but must
	 * still be closed). Called once, for streams that connect; accepted ones are up already. */
	void (*connected)(void *arg, int error);
	void (*readable)(void *arg); /* data, end or error: read to learn which */
	void (*writable)(void *arg); /* after stream_want_write(true) */
};

struct stream_ops {
	/* Bytes moved (> 0), 0 at the end of the stream (read only), or -errno; -EAGAIN: wait for
	 * the event. Never raises SIGPIPE. What the stream has buffered itself is announced by
	 * `readable` like everything else. */
	ssize_t (*readv)(struct stream *stream, const struct iovec *iov, int count);
	ssize_t (*writev)(struct stream *stream, const struct iovec *iov, int count);
	/* Which events to call. Both start as false. */
	void (*want_read)(struct stream *stream, bool want);
	void (*want_write)(struct stream *stream, bool want);
	/* The connection is lost when the peer's machine has not acknowledged what was sent to it
	 * for so long, nanoseconds. NULL: there is no such thing. */
	void (*set_ack_timeout)(struct stream *stream, uint64_t timeout);
	/* Closes at once and frees it. What the kernel has taken is still delivered. */
	void (*close)(struct stream *stream);
};

struct stream {
	const struct stream_ops *ops;
	const struct stream_events *events;
	void *arg; /* for the events */
};

static inline ssize_t stream_readv(struct stream *s, const struct iovec *iov, int count)
{
	return s->ops->readv(s, iov, count);
}

static inline ssize_t stream_writev(struct stream *s, const struct iovec *iov, int count)
{
	return s->ops->writev(s, iov, count);
}

static inline void stream_want_read(struct stream *s, bool want)
{
	s->ops->want_read(s, want);
}

static inline void stream_want_write(struct stream *s, bool want)
{
	s->ops->want_write(s, want);
}

/* Makes a dead peer known earlier than the kernel would, where it can; nothing may depend on it. */
static inline void stream_set_ack_timeout(struct stream *s, uint64_t timeout)
{
	if (s->ops->set_ack_timeout)
		s->ops->set_ack_timeout(s, timeout);
}

static inline void stream_close(struct stream **s)
{
	struct stream *stream = *s;

	*s = NULL;
	if (stream)
		stream->ops->close(stream);
}

#endif
