/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_node.h - a server with a disk that forgets: many connections, an epoch, an instance, a record
 * of what ran, and content that is lost at a power cut unless a flush came before. It does what
 * proto.h says unless a test tells it otherwise. In the test's own loop, on a unix socket.
 *
 * The disk is seen in blocks of 4 KiB; of a block only the first byte is kept.
 */
#ifndef TEST_UNIT_FAKE_NODE_H
#define TEST_UNIT_FAKE_NODE_H

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

#define NODE_BLOCK 4096u
#define NODE_BLOCKS 1024u
#define NODE_CONNS 16u
#define NODE_IN ((size_t)(DST_MAX_PAYLOAD + DST_HEADER_SIZE) * 2)
#define NODE_IDS 4096u /* a test's transactions on a lane */

struct node;

struct conn {
	struct node *node;
	int fd; /* -1: free */
	struct loop_fd *event;
	unsigned lane;
	bool greeted;
	uint8_t *in, *out;
	size_t in_size, out_size, out_most;
};

struct node {
	struct loop *loop;
	char path[100];
	int listener;
	struct loop_fd *listen_event;
	struct conn conns[NODE_CONNS];

	/* What it is; a test may change it at any time. */
	uint64_t size;
	uint8_t server, export;
	uint16_t instance;
	struct wire_epoch epoch;
	uint32_t permissions, features, depth;
	uint8_t holder[DST_ID_SIZE]; /* the session that has the export; all zero: none */
	unsigned lanes; /* of the last HELLO */

	/* What it does wrong. */
	bool mute; /* carries out, and says nothing */
	bool deaf; /* leaves requests alone; HELLO and PING too */
	unsigned flush_failures; /* so many of the next fail, which changes the instance */
	unsigned flush_errors; /* so many fail without telling */
	bool new_instance_each_hello, new_server_each_hello;
	unsigned notice_storm; /* a NOTICE of a new instance after so many HELLOs */
	uint16_t write_status; /* of all writes; 0: they work */
	uint16_t hello_status; /* of all HELLOs; 0: what is right */
	unsigned deaf_lane; /* 1 + the lane whose HELLO is left alone; 0: none */
	bool no_epoch; /* it tells none */
	bool wrong_epoch; /* it tells another than it has */
	bool holds_flushes; /* leaves them alone */
	uint64_t held_flush; /* id of the last */
	struct conn *held_by;

	/* What it has. */
	uint8_t content[NODE_BLOCKS], durable[NODE_BLOCKS];
	uint16_t ran[DST_MAX_LANES][NODE_IDS]; /* status + 1 of what ran on a lane; 0: it has not */

	/* What it has seen. */
	unsigned hellos, hellos_of[DST_MAX_LANES], flushes, reads, writes, closes, zeroes,
		takeovers;
	bool told_epoch; /* the last HELLO had one */
	struct wire_attrs said; /* in the last HELLO */
	unsigned reads_before_replay; /* that saw content which was lost */
	uint8_t seen_order[NODE_IDS]; /* first bytes of writes, as they came */
	unsigned seen;
};

static inline void conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	loop_fd_free(&c->event);
	close(c->fd);
	c->fd = -1;
	c->greeted = false;
	c->in_size = c->out_size = 0;
}

static inline void conn_flush(struct conn *c)
{
	ssize_t n;

	while (c->fd >= 0 && c->out_size) {
		n = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			break;
		memmove(c->out, c->out + n, c->out_size - (size_t)n);
		c->out_size -= (size_t)n;
	}
	if (c->fd >= 0)
		loop_fd_want(c->event,
			     (c->node->deaf ? 0 : LOOP_READ) | (c->out_size ? LOOP_WRITE : 0));
}

static inline void conn_send(struct conn *c, struct wire_header header, const void *payload)
{
	uint8_t encoded[DST_HEADER_SIZE];
	size_t size = sizeof(encoded) + header.payload;

	if (c->fd < 0)
		return;
	header.flags |= DST_F_REPLY;
	header.digest = wire_digest(DST_CHECKSUM_XXH3, payload, header.payload);
	wire_encode(encoded, &header, WIRE_REPLY, DST_CHECKSUM_XXH3);
	if (c->out_size + size > c->out_most) {
		c->out_most = c->out_size + size;
		c->out = realloc(c->out, c->out_most);
		assert_non_null(c->out);
	}
	memcpy(c->out + c->out_size, encoded, sizeof(encoded));
	if (header.payload)
		memcpy(c->out + c->out_size + sizeof(encoded), payload, header.payload);
	c->out_size += size;
	conn_flush(c);
}

static inline void conn_send_attrs(struct conn *c, uint8_t type, uint16_t status,
				   const struct wire_attrs *attrs)
{
	uint8_t payload[DST_MAX_HELLO];
	struct wire_header header = {.type = type, .id = type == DST_HELLO, .status = status};

	header.payload = wire_attrs_encode(payload, attrs);
	conn_send(c, header, payload);
}

static inline void node_close_all(struct node *n)
{
	for (unsigned i = 0; i < NODE_CONNS; i++)
		conn_close(&n->conns[i]);
}

static inline unsigned node_connected(const struct node *n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < NODE_CONNS; i++)
		count += n->conns[i].fd >= 0 && n->conns[i].greeted;
	return count;
}

/* The power fails: what was not flushed is gone, and so is all that the process knew. */
static inline void node_power_cut(struct node *n)
{
	memcpy(n->content, n->durable, sizeof(n->content));
	memset(n->ran, 0, sizeof(n->ran));
	n->instance++;
	node_close_all(n);
}

static inline struct wire_attrs node_attrs(struct node *n)
{
	struct wire_attrs attrs = {
		.has = 1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_SIZE |
		       1u << DST_ATTR_LIMITS | 1u << DST_ATTR_SERVER_ID |
		       1u << DST_ATTR_EXPORT_UUID | 1u << DST_ATTR_INSTANCE |
		       1u << DST_ATTR_FEATURES,
		.permissions = n->permissions,
		.checksum = DST_CHECKSUM_XXH3,
		.size = n->size,
		.max_payload = DST_MAX_PAYLOAD,
		.max_range = DST_MAX_RANGE,
		.depth = n->depth,
		.features = n->features,
		.server_id = {n->server},
		.export_uuid = {n->export},
		.instance = {(uint8_t)n->instance, (uint8_t)(n->instance >> 8)},
		.epoch = n->epoch,
	};

	if (n->permissions & DST_PERM_WRITE && !(n->features & DST_IS_SHARED) && !n->no_epoch)
		attrs.has |= 1u << DST_ATTR_EPOCH;
	return attrs;
}

/* All connections hear of the instance of now. */
static inline void node_notice(struct node *n)
{
	struct wire_attrs attrs = node_attrs(n);

	attrs.has = 1u << DST_ATTR_INSTANCE;
	for (unsigned i = 0; i < NODE_CONNS; i++)
		if (n->conns[i].greeted)
			conn_send_attrs(&n->conns[i], DST_NOTICE, 0, &attrs);
}

static inline void node_raise_epoch(struct node *n)
{
	n->epoch.counter++;
	n->epoch.uuid[0]++;
}

/* Somebody else takes over. */
static inline void node_taken_over(struct node *n)
{
	node_raise_epoch(n);
	memset(n->holder, 0xee, DST_ID_SIZE);
	memcpy(n->durable, n->content, sizeof(n->durable));
	node_close_all(n);
}

/* proto.h, section 7; without leases: who holds, holds. */
static inline uint16_t node_judge(struct node *n, const struct wire_attrs *said)
{
	static const uint8_t nobody[DST_ID_SIZE];
	bool holds = !memcmp(n->holder, said->session, DST_ID_SIZE);

	n->told_epoch = wire_has(said, DST_ATTR_EPOCH);
	if (!(n->permissions & DST_PERM_WRITE) || n->features & DST_IS_SHARED ||
	    !(said->permissions & DST_PERM_WRITE))
		return DST_OK;
	if (n->told_epoch)
		return holds && wire_epoch_equal(&said->epoch, &n->epoch) ? DST_OK : DST_ESTALE;
	if (wire_has(said, DST_ATTR_TAKEOVER)) {
		if (!wire_epoch_equal(&said->takeover, &n->epoch))
			return DST_EBUSY;
		n->takeovers++;
	} else if (!holds && memcmp(n->holder, nobody, DST_ID_SIZE)) {
		return DST_EBUSY;
	}
	if (!holds) {
		memcpy(n->durable, n->content, sizeof(n->durable));
		node_raise_epoch(n);
		memcpy(n->holder, said->session, DST_ID_SIZE);
	}
	return DST_OK;
}

static inline void conn_hello(struct conn *c, const struct wire_header *header,
			      const uint8_t *payload)
{
	struct node *n = c->node;
	struct wire_attrs attrs, *said = &n->said;
	char reason[DST_MAX_REASON + 1];
	uint16_t status;

	assert_int_equal(wire_attrs_decode(said, payload, header->payload, reason), 0);
	n->hellos++;
	n->hellos_of[said->lane]++;
	n->lanes = said->lanes;
	n->instance += n->new_instance_each_hello;
	n->server += n->new_server_each_hello;
	for (unsigned i = 0; i < NODE_CONNS; i++) /* the lane's old one is replaced */
		if (&n->conns[i] != c && n->conns[i].greeted && n->conns[i].lane == said->lane)
			conn_close(&n->conns[i]);
	c->lane = said->lane;
	if (n->deaf_lane == said->lane + 1)
		return;
	status = n->hello_status ? n->hello_status : node_judge(n, said);
	attrs = node_attrs(n);
	if (status != DST_OK) {
		attrs.has = 1u << DST_ATTR_EPOCH | 1u << DST_ATTR_REASON | 1u << DST_ATTR_SERVER_ID;
		snprintf(attrs.reason, sizeof(attrs.reason), "held by somebody since yesterday");
	} else if (wire_has(said, DST_ATTR_PENDING)) {
		attrs.has |= 1u << DST_ATTR_EXECUTED;
		for (unsigned i = 0; i < said->pending.count; i++) {
			uint16_t distance = said->pending.distance[i];
			uint16_t ran = n->ran[c->lane][said->pending.first + distance];

			if (ran)
				attrs.executed.one[attrs.executed.count++] =
					(struct wire_executed_one){distance, ran - 1, 0};
		}
	}
	attrs.epoch.counter += 7 * n->wrong_epoch;
	c->greeted = status == DST_OK;
	conn_send_attrs(c, DST_HELLO, status, &attrs);
	if (c->greeted && n->notice_storm && n->hellos >= n->notice_storm) {
		n->instance++;
		node_notice(n);
	}
}

/* Changes the content; the byte of each block that it touches. */
static inline void node_write(struct node *n, const struct wire_header *header, uint8_t byte)
{
	for (uint64_t at = header->range.offset; at < header->range.offset + header->range.length;
	     at += NODE_BLOCK) {
		assert_true(at / NODE_BLOCK < NODE_BLOCKS);
		n->content[at / NODE_BLOCK] = byte;
		if (header->flags & DST_F_FUA)
			n->durable[at / NODE_BLOCK] = byte;
	}
}

static inline uint16_t conn_modify(struct conn *c, const struct wire_header *header,
				   const uint8_t *payload)
{
	struct node *n = c->node;
	uint16_t *ran = &n->ran[c->lane][header->id];

	assert_true(header->id < NODE_IDS);
	if (*ran)
		return *ran - 1;
	if (header->type == DST_WRITE && n->seen < NODE_IDS)
		n->seen_order[n->seen++] = payload[0];
	if (n->write_status)
		return n->write_status;
	node_write(n, header, header->type == DST_WRITE ? payload[0] : 0);
	*ran = DST_OK + 1;
	return DST_OK;
}

static inline uint16_t node_flush(struct node *n)
{
	n->flushes++;
	if (n->flush_errors) {
		n->flush_errors--;
		return DST_EIO;
	}
	if (n->flush_failures) { /* a disk that loses what it could not write, says so once */
		n->flush_failures--;
		memcpy(n->content, n->durable, sizeof(n->content));
		memset(n->ran, 0, sizeof(n->ran));
		n->instance++;
		node_notice(n);
		return DST_EIO;
	}
	memcpy(n->durable, n->content, sizeof(n->durable));
	return DST_OK;
}

static inline void conn_handle(struct conn *c, const struct wire_header *header,
			       const uint8_t *payload)
{
	struct node *n = c->node;
	struct wire_header reply = {.type = header->type, .id = header->id};
	static uint8_t data[DST_MAX_PAYLOAD];

	switch (header->type) {
	case DST_HELLO:
		conn_hello(c, header, payload);
		return;
	case DST_READ:
		n->reads++;
		reply.payload = (uint32_t)header->range.length;
		for (uint64_t i = 0; i < reply.payload; i += NODE_BLOCK)
			memset(data + i, n->content[(header->range.offset + i) / NODE_BLOCK],
			       NODE_BLOCK);
		break;
	case DST_WRITE:
	case DST_WRITE_ZEROES:
	case DST_DISCARD:
	case DST_COPY:
		n->writes += header->type == DST_WRITE;
		n->zeroes += header->type == DST_WRITE_ZEROES;
		reply.status = conn_modify(c, header, payload);
		if (header->type == DST_COPY && reply.status == DST_OK)
			reply.range.length = header->range.length;
		break;
	case DST_FLUSH:
		if (n->holds_flushes) {
			n->held_flush = header->id;
			n->held_by = c;
			return;
		}
		reply.status = node_flush(n);
		break;
	case DST_CLOSE:
		n->closes++;
		break;
	default:
		break;
	}
	if (!n->mute || header->type == DST_PING)
		conn_send(c, reply, data);
}

/* What was held back is done and answered. */
static inline void node_let_flush(struct node *n)
{
	n->holds_flushes = false;
	conn_send(n->held_by,
		  (struct wire_header){
			  .type = DST_FLUSH, .id = n->held_flush, .status = node_flush(n)},
		  NULL);
}

static inline void conn_ready(void *arg, unsigned events)
{
	struct conn *c = arg;
	struct wire_header header;
	ssize_t got;
	size_t size;

	if (events & LOOP_WRITE)
		conn_flush(c);
	if (!(events & LOOP_READ) || c->fd < 0 || c->node->deaf)
		return;
	got = recv(c->fd, c->in + c->in_size, NODE_IN - c->in_size, MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0) {
		conn_close(c);
		return;
	}
	c->in_size += (size_t)got;
	while (c->fd >= 0 && c->in_size >= DST_HEADER_SIZE) {
		assert_int_equal(wire_decode(&header, c->in, WIRE_REQUEST, DST_CHECKSUM_XXH3,
					     DST_MAX_PAYLOAD),
				 WIRE_OK);
		size = DST_HEADER_SIZE + header.payload;
		if (c->in_size < size)
			return;
		conn_handle(c, &header, c->in + DST_HEADER_SIZE);
		if (c->fd < 0)
			return;
		memmove(c->in, c->in + size, c->in_size - size);
		c->in_size -= size;
	}
}

/* After `deaf` was changed. */
static inline void node_listen_again(struct node *n)
{
	for (unsigned i = 0; i < NODE_CONNS; i++)
		conn_flush(&n->conns[i]);
}

static inline void node_accept(void *arg, unsigned events)
{
	struct node *n = arg;
	struct conn *c = n->conns;

	while (c->fd >= 0)
		assert_true(++c < n->conns + NODE_CONNS);
	c->fd = accept(n->listener, NULL, NULL);
	assert_true(c->fd >= 0);
	c->event = loop_fd_new(n->loop, c->fd, conn_ready, c);
	assert_non_null(c->event);
	conn_flush(c);
}

static inline void node_start(struct node *n, struct loop *loop)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*n = (struct node){
		.loop = loop,
		.size = (uint64_t)NODE_BLOCKS * NODE_BLOCK,
		.server = 1,
		.export = 2,
		.instance = 3,
		.epoch = {.counter = 4, .uuid = {4}},
		.depth = 64,
		.permissions = DST_PERM_READ | DST_PERM_WRITE,
	};
	for (unsigned i = 0; i < NODE_CONNS; i++) {
		n->conns[i] = (struct conn){.node = n, .fd = -1, .in = malloc(NODE_IN)};
		assert_non_null(n->conns[i].in);
	}
	snprintf(n->path, sizeof(n->path), "/tmp/dstfs-test-node.%d", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", n->path);
	unlink(n->path);
	n->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(n->listener, (struct sockaddr *)&address, sizeof(address)), errno);
	assert_return_code(listen(n->listener, 64), errno);
	n->listen_event = loop_fd_new(loop, n->listener, node_accept, n);
	assert_int_equal(loop_fd_want(n->listen_event, LOOP_READ), 0);
}

static inline void node_stop(struct node *n)
{
	node_close_all(n);
	loop_fd_free(&n->listen_event);
	close(n->listener);
	unlink(n->path);
	for (unsigned i = 0; i < NODE_CONNS; i++) {
		free(n->conns[i].in);
		free(n->conns[i].out);
	}
}

#endif
