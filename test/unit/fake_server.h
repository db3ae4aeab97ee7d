/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_server.h - a server of one connection at a time, on a unix socket, in the test's own loop.
 * It decodes what comes, checks what every client must keep to, and leaves the answers, true or
 * false, to the test.
 */
#ifndef TEST_UNIT_FAKE_SERVER_H
#define TEST_UNIT_FAKE_SERVER_H

#include "common/checksum.h"
#include "common/loop.h"
#include "common/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_IN ((size_t)(DST_MAX_PAYLOAD + DST_HEADER_SIZE) * 2)

struct fake {
	struct loop *loop;
	char path[100];
	int listener, fd; /* fd: -1 while nobody is connected */
	struct loop_fd *listen_event, *event;
	unsigned connections, hellos;
	unsigned depth; /* told in HELLO */
	uint32_t checksum; /* likewise */
	uint64_t size;
	uint8_t server, export; /* their ids */
	uint16_t instance; /* likewise */
	struct wire_epoch epoch;
	bool deaf; /* reads nothing */
	bool accepting; /* false: leaves connections in the queue */

	/* One whole request but HELLO. May reply, or close the connection. NULL: fake_echo(). */
	void (*request)(struct fake *f, const struct wire_header *header, const uint8_t *payload);
	/* HELLO, which is in `said`. NULL: the true answer. */
	void (*hello)(struct fake *f);
	struct wire_attrs said;
	void *arg;

	uint64_t watermark, greatest; /* of ids */
	unsigned unanswered; /* transactions on this connection */
	uint8_t *in, *out;
	size_t in_size, out_size, out_most; /* out_most: room */
	size_t cut_after; /* bytes of output after which the connection is closed; SIZE_MAX: never */
};

static inline void fake_close(struct fake *f)
{
	if (f->fd < 0)
		return;
	loop_fd_free(&f->event);
	close(f->fd);
	f->fd = -1;
	f->in_size = f->out_size = 0;
	f->unanswered = 0;
}

static inline void fake_flush(struct fake *f)
{
	while (f->fd >= 0 && f->out_size && f->cut_after) {
		size_t size = f->out_size < f->cut_after ? f->out_size : f->cut_after;
		ssize_t n = send(f->fd, f->out, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			break;
		memmove(f->out, f->out + n, f->out_size - (size_t)n);
		f->out_size -= (size_t)n;
		if (f->cut_after != SIZE_MAX)
			f->cut_after -= (size_t)n;
	}
	if (!f->cut_after) {
		f->cut_after = SIZE_MAX;
		fake_close(f);
	}
	if (f->fd >= 0)
		loop_fd_want(f->event, (f->deaf ? 0 : LOOP_READ) | (f->out_size ? LOOP_WRITE : 0));
}

static inline void fake_send(struct fake *f, const void *data, size_t size)
{
	if (f->fd < 0)
		return;
	if (f->out_size + size > f->out_most) {
		f->out_most = f->out_size + size;
		f->out = realloc(f->out, f->out_most);
		assert_non_null(f->out);
	}
	memcpy(f->out + f->out_size, data, size);
	f->out_size += size;
	fake_flush(f);
}

/* A reply with a payload whose digest is right, unless `damaged`. */
static inline void fake_send_reply(struct fake *f, struct wire_header header, const void *payload,
				   bool damaged)
{
	uint8_t encoded[DST_HEADER_SIZE];

	header.flags |= DST_F_REPLY;
	header.digest = wire_digest(DST_CHECKSUM_XXH3, payload, header.payload) ^ damaged;
	wire_encode(encoded, &header, WIRE_REPLY,
		    header.type == DST_HELLO ? DST_CHECKSUM_XXH3 : (enum dst_checksum)f->checksum);
	if (header.type != DST_HELLO && f->unanswered)
		f->unanswered--;
	fake_send(f, encoded, sizeof(encoded));
	if (header.payload)
		fake_send(f, payload, header.payload);
}

static inline struct wire_attrs fake_attrs(const struct fake *f)
{
	return (struct wire_attrs){
		.has = 1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_SIZE |
		       1u << DST_ATTR_LIMITS | 1u << DST_ATTR_SERVER_ID |
		       1u << DST_ATTR_EXPORT_UUID | 1u << DST_ATTR_INSTANCE | 1u << DST_ATTR_EPOCH,
		.permissions = DST_PERM_READ | DST_PERM_WRITE,
		.checksum = f->checksum,
		.size = f->size,
		.max_payload = DST_MAX_PAYLOAD,
		.max_range = DST_MAX_RANGE,
		.depth = f->depth,
		.server_id = {f->server},
		.export_uuid = {f->export},
		.instance = {(uint8_t)f->instance, (uint8_t)(f->instance >> 8)},
		.epoch = f->epoch,
	};
}

static inline void fake_send_hello(struct fake *f, uint16_t status, const struct wire_attrs *attrs)
{
	uint8_t payload[DST_MAX_HELLO];
	struct wire_header header = {.type = DST_HELLO, .id = 1, .status = status};

	header.payload = wire_attrs_encode(payload, attrs);
	fake_send_reply(f, header, payload, false);
}

static inline void fake_welcome(struct fake *f)
{
	struct wire_attrs attrs = fake_attrs(f);

	fake_send_hello(f, DST_OK, &attrs);
}

/* What the bytes at `offset` are, where nothing was written. */
static inline uint8_t fake_byte(uint64_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8));
}

/* The true answer to a request, whatever its type. */
static inline void fake_echo(struct fake *f, const struct wire_header *header,
			     const uint8_t *payload)
{
	struct wire_header reply = {.type = header->type, .id = header->id};
	static uint8_t data[DST_MAX_PAYLOAD];
	struct wire_extent extent = {.length = header->range.length, .kind = DST_EXTENT_HOLE};

	switch (header->type) {
	case DST_READ:
		reply.payload = (uint32_t)header->range.length;
		for (uint32_t i = 0; i < reply.payload; i++)
			data[i] = fake_byte(header->range.offset + i);
		break;
	case DST_EXTENTS:
		reply.range.length = header->range.length;
		reply.payload = DST_EXTENT_SIZE;
		wire_extent_encode(data, &extent);
		break;
	case DST_COPY:
		reply.range.length = header->range.length;
		break;
	case DST_HASH:
		reply.payload = DST_HASH_SIZE;
		memset(data, 7, DST_HASH_SIZE);
		break;
	default:
		break;
	}
	fake_send_reply(f, reply, data, false);
}

static inline void fake_handle(struct fake *f, const struct wire_header *header,
			       const uint8_t *payload)
{
	if (header->type == DST_HELLO) {
		char reason[DST_MAX_REASON + 1];

		assert_int_equal(f->hellos++, f->connections - 1);
		assert_int_equal(wire_attrs_decode(&f->said, payload, header->payload, reason), 0);
		(f->hello ? f->hello : fake_welcome)(f);
		return;
	}
	if (header->type == DST_WRITE && f->checksum == DST_CHECKSUM_XXH3)
		assert_int_equal(header->digest, checksum_payload(payload, header->payload));
	if (header->type != DST_PING && header->type != DST_CLOSE) {
		/* proto.h, section 2: what holds for every client, whatever we did to it. */
		uint64_t watermark = header->id - header->status;

		assert_true(header->status <= DST_LAG_FACTOR * f->depth);
		assert_true(watermark >= f->watermark);
		assert_true(header->id > f->watermark);
		f->watermark = watermark;
		if (header->id > f->greatest)
			f->greatest = header->id;
		assert_true(++f->unanswered <= f->depth);
	}
	(f->request ? f->request : fake_echo)(f, header, payload);
}

static inline void fake_parse(struct fake *f)
{
	struct wire_header header;
	size_t size;

	while (f->fd >= 0 && f->in_size >= DST_HEADER_SIZE) {
		enum dst_checksum checksum =
			f->in[4] == DST_HELLO ? DST_CHECKSUM_XXH3 : (enum dst_checksum)f->checksum;

		assert_int_equal(
			wire_decode(&header, f->in, WIRE_REQUEST, checksum, DST_MAX_PAYLOAD),
			WIRE_OK);
		size = DST_HEADER_SIZE + header.payload;
		if (f->in_size < size)
			return;
		fake_handle(f, &header, f->in + DST_HEADER_SIZE);
		if (f->fd < 0)
			return;
		memmove(f->in, f->in + size, f->in_size - size);
		f->in_size -= size;
	}
}

static inline void fake_ready(void *arg, unsigned events)
{
	struct fake *f = arg;
	ssize_t n;

	if (events & LOOP_WRITE)
		fake_flush(f);
	if (!(events & LOOP_READ) || f->fd < 0)
		return;
	n = recv(f->fd, f->in + f->in_size, FAKE_IN - f->in_size, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fake_close(f);
		return;
	}
	f->in_size += (size_t)n;
	fake_parse(f);
}

static inline void fake_accept(void *arg, unsigned events)
{
	struct fake *f = arg;

	fake_close(f);
	f->fd = accept(f->listener, NULL, NULL);
	assert_true(f->fd >= 0);
	f->connections++;
	f->hellos = f->connections - 1;
	f->event = loop_fd_new(f->loop, f->fd, fake_ready, f);
	assert_non_null(f->event);
	fake_flush(f);
}

static inline void fake_start(struct fake *f, struct loop *loop)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*f = (struct fake){.loop = loop,
			   .fd = -1,
			   .depth = 64,
			   .checksum = DST_CHECKSUM_XXH3,
			   .size = 1ull << 30,
			   .server = 1,
			   .export = 2,
			   .instance = 3,
			   .epoch = {.counter = 4, .uuid = {4}},
			   .cut_after = SIZE_MAX};
	snprintf(f->path, sizeof(f->path), "/tmp/dstfs-test-fake.%d", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	f->in = malloc(FAKE_IN);
	assert_non_null(f->in);
	unlink(f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(f->listener, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(f->listener, 8), errno);
	f->listen_event = loop_fd_new(loop, f->listener, fake_accept, f);
	assert_int_equal(loop_fd_want(f->listen_event, LOOP_READ), 0);
}

static inline void fake_stop(struct fake *f)
{
	fake_close(f);
	loop_fd_free(&f->listen_event);
	close(f->listener);
	unlink(f->path);
	free(f->in);
	free(f->out);
}

#endif
