/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msgio.c - see msgio.h
 *
 * In: bytes come into the stage, a flat buffer. A small message is handed out from the stage. When the
 * header of a large one is there, a payload buffer is taken, what the stage holds of the payload
 * is copied, and the rest is received straight into it; the same readv() then takes the beginning
 * of what follows into the stage. After a large message only a little is read into the stage, since
 * another large one is likely to follow and every staged byte of it would be copied.
 *
 * Out: a list of entries, encoded when they are queued, gathered into one writev() by a hook that
 * runs before the loop sleeps. When much has gathered within a turn it is sent at once, so that the
 * other side works while this one goes on. Entries that were sent during a turn wait in `done` for
 * the hook to return them, because msgio_send() promises not to call back. They are returned before
 * what was received later is handed out: so a reply to an entry that is still out is a lie.
 */
#include "common/msgio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_SMALL (DST_HEADER_SIZE + DST_MAX_HELLO) /* until the peer has been let in */
#define STAGE_FULL (256u << 10)
#define STAGE_AFTER_DIRECT 4096u /* bytes to stage when large messages follow each other */
/* Then other connections get their turn, and what was answered meanwhile goes out. */
#define READS_PER_EVENT 4
#define BYTES_PER_EVENT (256u << 10)
#define SEND_IOVECS 256
#define SEND_EARLY (256u << 10) /* queued bytes that don't wait for the turn's end */

struct msgio {
	struct loop *loop;
	struct stream *stream;
	struct buf_pool *bufs;
	enum wire_direction direction; /* of what comes in */
	const struct msgio_events *events;
	void *arg;
	enum dst_checksum checksum;
	uint32_t max_payload;
	struct msgio_stats stats;

	/* in */
	uint8_t *stage;
	uint8_t *stage_next; /* a larger one that replaces it before the next read, or NULL */
	size_t stage_size, stage_start, stage_end; /* bytes [start, end) are received, not parsed */
	struct msgio_in direct; /* direct.buf: a large message whose payload is being received */
	uint32_t direct_have; /* bytes of it */
	bool direct_recent; /* the last message was large */
	bool paused;
	bool watching; /* paused, but receives as far as there is room, to notice the end */
	struct buf_waiter buf_waiter; /* waiting for a payload buffer */

	/* out */
	struct msgio_out *queue, **queue_tail;
	size_t queue_sent; /* bytes of the first entry that are gone */
	size_t queue_bytes; /* in the queue, queue_sent not counted */
	struct msgio_out *done, **done_tail;
	bool blocked; /* the stream takes no more for now */
	struct loop_hook flush_hook;
	struct loop_hook parse_hook; /* goes on with what is staged, after a pause */

	/* end */
	bool failed;
	bool broken; /* the stream itself failed: nothing can be sent any more */
	int error;
	const char *why;
	struct loop_hook closed_hook;
	unsigned depth; /* callbacks that are running */
	bool dead; /* closed by a callback: the outermost frees */
};

static void release(struct msgio *m)
{
	assert(m->dead && !m->depth);
	free(m->stage);
	free(m->stage_next);
	free(m);
}

static bool listening(const struct msgio *m)
{
	return !m->dead && !m->failed && !m->paused && !m->buf_waiter.pool;
}

static bool receiving(const struct msgio *m)
{
	return listening(m) || (m->watching && !m->dead && !m->failed && !m->direct.buf &&
				m->stage_end - m->stage_start < m->stage_size);
}

static void update_want_read(struct msgio *m)
{
	if (m->stream)
		stream_want_read(m->stream, receiving(m));
}

/* Ends the connection. Reported from a hook, so that no caller is surprised in the middle. */
static void fail(struct msgio *m, int error, const char *why)
{
	if (m->failed || m->dead)
		return;
	m->failed = true;
	m->error = error;
	m->why = why;
	update_want_read(m);
	stream_want_write(m->stream, false);
	loop_defer(m->loop, &m->closed_hook);
}

static void fail_stream(struct msgio *m, int error, const char *why)
{
	m->broken = true;
	fail(m, error, why);
}

static void report_closed(void *arg)
{
	struct msgio *m = arg;

	m->depth++;
	m->events->closed(m->arg, m->error, m->why);
	if (!--m->depth && m->dead)
		release(m);
}

/* ---- out ---- */

static size_t out_size(const struct msgio_out *out)
{
	return DST_HEADER_SIZE + (size_t)out->header.payload;
}

/* What is still to be sent of the queue, up to SEND_IOVECS pieces. Returns their number. */
static int gather(const struct msgio *m, struct iovec *iov)
{
	size_t skip = m->queue_sent;
	int n = 0;

	for (struct msgio_out *out = m->queue; out && n + 2 <= SEND_IOVECS; out = out->next) {
		if (skip < DST_HEADER_SIZE) {
			iov[n++] = (struct iovec){out->encoded + skip, DST_HEADER_SIZE - skip};
			skip = 0;
		} else {
			skip -= DST_HEADER_SIZE;
		}
		if (out->header.payload > skip)
			iov[n++] = (struct iovec){(uint8_t *)out->payload + skip,
						  out->header.payload - skip};
		skip = 0;
	}
	return n;
}

/* n more bytes are with the stream: moves the entries that are complete to `done`. */
static void consume(struct msgio *m, size_t n)
{
	m->stats.bytes_out += n;
	m->queue_bytes -= n;
	m->queue_sent += n;
	while (m->queue && m->queue_sent >= out_size(m->queue)) {
		struct msgio_out *out = m->queue;

		m->queue_sent -= out_size(out);
		m->queue = out->next;
		if (!m->queue)
			m->queue_tail = &m->queue;
		out->next = NULL;
		*m->done_tail = out;
		m->done_tail = &out->next;
		m->stats.messages_out++;
	}
}

static void push_out(struct msgio *m)
{
	struct iovec iov[SEND_IOVECS];
	ssize_t n;

	while (m->queue && !m->blocked && !m->broken) {
		n = stream_writev(m->stream, iov, gather(m, iov));
		if (n == -EAGAIN) {
			m->blocked = true;
			stream_want_write(m->stream, true);
		} else if (n < 0) {
			fail_stream(m, (int)-n, "sending failed");
		} else {
			consume(m, (size_t)n);
		}
	}
}

static void return_done(struct msgio *m)
{
	m->depth++;
	while (m->done) {
		struct msgio_out *out = m->done;

		m->done = out->next;
		if (!m->done)
			m->done_tail = &m->done;
		out->sent(out);
	}
	if (!--m->depth && m->dead)
		release(m);
}

static void run_flush(void *arg)
{
	struct msgio *m = arg;

	push_out(m);
	return_done(m);
}

void msgio_flush(struct msgio *m)
{
	push_out(m);
	if (m->done)
		loop_defer(m->loop, &m->flush_hook);
}

void msgio_send(struct msgio *m, struct msgio_out *out)
{
	enum wire_direction direction = m->direction == WIRE_REQUEST ? WIRE_REPLY : WIRE_REQUEST;

	wire_encode(out->encoded, &out->header, direction, m->checksum);
	out->next = NULL;
	*m->queue_tail = out;
	m->queue_tail = &out->next;
	m->queue_bytes += out_size(out);
	loop_defer(m->loop, &m->flush_hook);
	if (m->queue_bytes >= SEND_EARLY)
		push_out(m);
}

bool msgio_idle(const struct msgio *m)
{
	return !m->queue && !m->done;
}

static void on_writable(void *arg)
{
	struct msgio *m = arg;

	m->blocked = false;
	stream_want_write(m->stream, false);
	loop_defer(m->loop, &m->flush_hook);
}

/* ---- in ---- */

static void buf_came(void *arg)
{
	struct msgio *m = arg;

	loop_defer(m->loop, &m->parse_hook);
}

/* Hands one message out. False: stop parsing (paused, failed, or closed and perhaps freed). */
static bool deliver(struct msgio *m, struct msgio_in *in)
{
	in->digest_ok =
		in->header.digest == wire_digest(m->checksum, in->payload, in->header.payload);
	m->stats.messages_in++;
	if (!in->digest_ok)
		m->stats.bad_digests++;
	m->depth++;
	m->events->message(m->arg, in);
	buf_unref(&in->buf);
	m->depth--;
	return listening(m);
}

/* The header of a large message is staged: from now on its payload goes into a buffer. False: no
 * buffer to be had yet, nothing has changed. */
static bool begin_direct(struct msgio *m, const struct msgio_in *in)
{
	struct buf *buf = buf_get(m->bufs);
	size_t have;

	if (!buf) {
		buf_wait(m->bufs, &m->buf_waiter);
		update_want_read(m);
		return false;
	}
	m->stage_start += DST_HEADER_SIZE;
	have = m->stage_end - m->stage_start;
	if (have > in->header.payload)
		have = in->header.payload;
	memcpy(buf->data, m->stage + m->stage_start, have);
	m->stage_start += have;
	m->direct = *in;
	m->direct.buf = buf;
	m->direct.payload = buf->data;
	m->direct_have = (uint32_t)have;
	m->direct_recent = true;
	return true;
}

/* Hands out the large message if it is complete. False: stop parsing. */
static bool end_direct(struct msgio *m)
{
	struct msgio_in in = m->direct;

	if (m->direct_have < in.header.payload)
		return false;
	m->direct.buf = NULL;
	return deliver(m, &in);
}

/* Decodes the staged header. False: the connection has failed. */
static bool decode(struct msgio *m, struct msgio_in *in)
{
	enum wire_error error = wire_decode(&in->header, m->stage + m->stage_start, m->direction,
					    m->checksum, m->max_payload);

	in->type_ok = error == WIRE_OK;
	if (error == WIRE_OK || error == WIRE_BAD_TYPE)
		return true;
	fail(m, error == WIRE_BAD_VERSION ? EPROTONOSUPPORT : EPROTO, wire_error_text(error));
	return false;
}

/* Hands out one message from the stage, or begins a large one. False: stop parsing. */
static bool parse_one(struct msgio *m)
{
	size_t have = m->stage_end - m->stage_start;
	struct msgio_in in = {.buf = NULL};

	if (have < DST_HEADER_SIZE || !decode(m, &in))
		return false;
	if (in.header.payload >= MSGIO_DIRECT)
		return begin_direct(m, &in);
	if (have < DST_HEADER_SIZE + in.header.payload)
		return false;
	in.payload = m->stage + m->stage_start + DST_HEADER_SIZE;
	m->stage_start += DST_HEADER_SIZE + in.header.payload;
	m->direct_recent = false;
	return deliver(m, &in);
}

/* Hands out all that is complete. The caller must hold a depth. */
static void parse(struct msgio *m)
{
	while (listening(m)) {
		if (m->direct.buf ? !end_direct(m) : !parse_one(m))
			break;
	}
}

/* Room for the rest of the message that begins at stage_start: all that is staged moves to the
 * front when the end is near. Small messages only, so little moves. */
static void make_room(struct msgio *m)
{
	size_t have = m->stage_end - m->stage_start;

	if (m->stage_next) {
		memcpy(m->stage_next, m->stage + m->stage_start, have);
		free(m->stage);
		m->stage = m->stage_next;
		m->stage_next = NULL;
		m->stage_size = STAGE_FULL;
	} else if (have && m->stage_size - m->stage_start < DST_HEADER_SIZE + MSGIO_DIRECT) {
		memmove(m->stage, m->stage + m->stage_start, have);
	} else if (have) {
		return;
	}
	m->stage_start = 0;
	m->stage_end = have;
}

/* One readv(). Returns what the stream did; *asked is what it was asked for. */
static ssize_t receive(struct msgio *m, size_t *asked)
{
	struct iovec iov[2];
	size_t direct = 0, room;
	int count = 0;
	ssize_t n;

	make_room(m);
	room = m->stage_size - m->stage_end;
	if (m->direct_recent && room > STAGE_AFTER_DIRECT)
		room = STAGE_AFTER_DIRECT;
	if (m->direct.buf) {
		direct = m->direct.header.payload - m->direct_have;
		iov[count++] = (struct iovec){m->direct.buf->data + m->direct_have, direct};
	}
	iov[count++] = (struct iovec){m->stage + m->stage_end, room};
	*asked = direct + room;
	n = stream_readv(m->stream, iov, count);
	if (n > 0) {
		size_t staged = (size_t)n > direct ? (size_t)n - direct : 0;

		m->direct_have += (uint32_t)((size_t)n - staged);
		m->stage_end += staged;
		m->stats.bytes_in += (uint64_t)n;
	}
	return n;
}

static void end_of_stream(struct msgio *m)
{
	if (m->direct.buf || m->stage_end > m->stage_start)
		fail(m, ECONNRESET, "the peer closed in the middle of a message");
	else
		fail(m, 0, "the peer closed the connection");
}

static void on_readable(void *arg)
{
	struct msgio *m = arg;
	size_t asked, bytes = 0;
	ssize_t n;

	m->depth++;
	for (int i = 0; i < READS_PER_EVENT && bytes < BYTES_PER_EVENT && receiving(m); i++) {
		n = receive(m, &asked);
		if (n > 0) {
			bytes += (size_t)n;
			return_done(m);
			parse(m);
		} else if (n == 0) {
			end_of_stream(m);
		} else if (n != -EAGAIN) {
			fail_stream(m, (int)-n, "receiving failed");
		}
		if (n < (ssize_t)asked)
			break; /* drained: no need for another call to be told so */
	}
	if (m->watching)
		update_want_read(m); /* there may be no room left */
	if (!--m->depth && m->dead)
		release(m);
}

static void go_on(void *arg)
{
	struct msgio *m = arg;

	update_want_read(m);
	m->depth++;
	parse(m);
	if (!--m->depth && m->dead)
		release(m);
}

static const struct stream_events stream_events = {
	.readable = on_readable,
	.writable = on_writable,
};

struct buf *msgio_take(struct msgio *m, struct msgio_in *in)
{
	struct buf *buf = in->buf;

	if (buf) {
		in->buf = NULL;
		return buf;
	}
	buf = buf_get(m->bufs);
	if (buf && in->header.payload)
		memcpy(buf->data, in->payload, in->header.payload);
	return buf;
}

void msgio_pause(struct msgio *m)
{
	m->paused = true;
	m->watching = false;
	update_want_read(m);
}

void msgio_watch(struct msgio *m)
{
	m->paused = m->watching = true;
	update_want_read(m);
}

void msgio_resume(struct msgio *m)
{
	if (!m->paused)
		return;
	m->paused = m->watching = false;
	loop_defer(m->loop, &m->parse_hook);
}

/* ---- life ---- */

struct msgio *msgio_new(struct loop *loop, struct stream *stream, struct buf_pool *bufs,
			enum wire_direction direction, const struct msgio_events *events, void *arg)
{
	struct msgio *m = calloc(1, sizeof(*m));

	if (m)
		m->stage = malloc(STAGE_SMALL);
	if (!m || !m->stage) {
		free(m);
		stream_close(&stream);
		return NULL;
	}
	m->loop = loop;
	m->stream = stream;
	m->bufs = bufs;
	m->direction = direction;
	m->events = events;
	m->arg = arg;
	m->checksum = DST_CHECKSUM_XXH3;
	m->max_payload = DST_MAX_HELLO;
	m->stage_size = STAGE_SMALL;
	m->queue_tail = &m->queue;
	m->done_tail = &m->done;
	m->flush_hook = (struct loop_hook){.callback = run_flush, .arg = m};
	m->parse_hook = (struct loop_hook){.callback = go_on, .arg = m};
	m->closed_hook = (struct loop_hook){.callback = report_closed, .arg = m};
	m->buf_waiter = (struct buf_waiter){.callback = buf_came, .arg = m};
	stream->events = &stream_events;
	stream->arg = m;
	update_want_read(m);
	return m;
}

int msgio_open_up(struct msgio *m, enum dst_checksum checksum)
{
	/* The stage is in use by the message that is being handled: replaced before the next read. */
	m->stage_next = malloc(STAGE_FULL);
	if (!m->stage_next)
		return ENOMEM;
	m->checksum = checksum;
	m->max_payload = DST_MAX_PAYLOAD;
	return 0;
}

const struct msgio_stats *msgio_stats(const struct msgio *m)
{
	return &m->stats;
}

void msgio_close(struct msgio **pointer)
{
	struct msgio *m = *pointer;

	*pointer = NULL;
	if (!m)
		return;
	assert(!m->dead);
	m->dead = true;
	loop_defer_cancel(&m->flush_hook);
	loop_defer_cancel(&m->parse_hook);
	loop_defer_cancel(&m->closed_hook);
	buf_wait_cancel(&m->buf_waiter);
	stream_close(&m->stream);
	buf_unref(&m->direct.buf);
	*m->done_tail = m->queue; /* unsent entries go back to their owners as well */
	m->queue = NULL;
	m->depth++;
	while (m->done) {
		struct msgio_out *out = m->done;

		m->done = out->next;
		out->sent(out);
	}
	if (!--m->depth)
		release(m);
}
