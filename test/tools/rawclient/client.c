/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.c - see client.h */
#include "test/tools/rawclient/client.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_SEC 20 /* for any answer */

uint16_t port;
const char *scenario;
unsigned failures;
uint8_t session[DST_ID_SIZE];
struct answer answer;

void complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "FAILED: %s: ", scenario);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	failures++;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- connections ---- */

void dial(struct connection *c)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = PATIENCE_SEC};
	int one = 1;

	*c = (struct connection){.checksum = DST_CHECKSUM_XXH3};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "connect");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void hang_up(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

void put(struct connection *c, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	while (size) {
		ssize_t n = send(c->fd, p, size, MSG_NOSIGNAL);

		if (n < 0)
			return; /* the next answer tells */
		p += n;
		size -= (size_t)n;
	}
}

/* All of it, or false at the end of the stream. */
static bool get(struct connection *c, void *bytes, size_t size)
{
	return size == 0 || recv(c->fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

/* Sends a header as it is: id, lag and digest are the caller's. */
void put_message(struct connection *c, const struct wire_header *header, const void *payload)
{
	uint8_t encoded[DST_HEADER_SIZE];

	wire_encode(encoded, header, WIRE_REQUEST, c->checksum);
	put(c, encoded, sizeof(encoded));
	put(c, payload, header->payload);
}

struct wire_header request(enum dst_type type, uint64_t offset, uint64_t length)
{
	return (struct wire_header){.type = (uint8_t)type, .range = {offset, length}};
}

/* Sends a proper request: the next id, the right lag and digest. */
void ask(struct connection *c, struct wire_header header, const void *payload, uint32_t size)
{
	ask_as(c, ++c->id, header, payload, size);
}

void ask_as(struct connection *c, uint64_t id, struct wire_header header, const void *payload,
	    uint32_t size)
{
	header.id = id;
	header.status = (uint16_t)(id - c->done);
	header.payload = size;
	header.digest = wire_digest(c->checksum, payload, size);
	put_message(c, &header, payload);
}

void ask_control(struct connection *c, enum dst_type type) /* PING, CLOSE */
{
	struct wire_header header = {.type = (uint8_t)type, .id = 1, .status = 1};

	put_message(c, &header, NULL);
}

/* Receives one message into `answer`. False: the connection ended. Damage is a complaint. */
bool receive(struct connection *c)
{
	uint8_t encoded[DST_HEADER_SIZE];
	enum wire_error error;

	if (!get(c, encoded, sizeof(encoded)))
		return false;
	error = wire_decode(&answer.header, encoded, WIRE_REPLY, c->checksum, DST_MAX_PAYLOAD);
	if (error && error != WIRE_BAD_TYPE) {
		complain("the answer's header: %s", wire_error_text(error));
		return false;
	}
	if (!get(c, answer.payload, answer.header.payload))
		return false;
	if (wire_digest(c->checksum, answer.payload, answer.header.payload) != answer.header.digest)
		complain("the answer's digest is wrong");
	return true;
}

/* One request, one answer: its status, or -1 if the connection ended. */
int call_as(struct connection *c, uint64_t id, struct wire_header header, const void *payload,
	    uint32_t size)
{
	ask_as(c, id, header, payload, size);
	if (!receive(c))
		return -1;
	if (answer.header.id != id || answer.header.type != header.type)
		complain("the answer is to %s %" PRIu64, wire_type_name(answer.header.type),
			 answer.header.id);
	return answer.header.status;
}

int call(struct connection *c, struct wire_header header, const void *payload, uint32_t size)
{
	int status = call_as(c, ++c->id, header, payload, size);

	c->done = c->id;
	return status;
}

int call_seeded(struct connection *c, struct wire_header header, uint64_t value)
{
	uint8_t payload[8];

	wire_u64_encode(payload, value);
	return call(c, header, payload, sizeof(payload));
}

void expect_end(struct connection *c)
{
	uint8_t byte;
	ssize_t n = recv(c->fd, &byte, 1, 0);

	if (n > 0 || (n < 0 && errno != ECONNRESET))
		complain("the server does not close the connection");
	hang_up(c);
}

struct wire_attrs hello_attrs(const char *export_name, uint32_t permissions)
{
	struct wire_attrs attrs = {
		.has = 1u << DST_ATTR_EXPORT | 1u << DST_ATTR_SESSION | 1u << DST_ATTR_LANE |
		       1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_CLIENT,
		.lane = 0,
		.lanes = 1,
		.permissions = permissions,
		.checksum = 1u << DST_CHECKSUM_XXH3,
		.client = "rawclient",
	};

	snprintf(attrs.export_name, sizeof(attrs.export_name), "%s", export_name);
	memcpy(attrs.session, session, DST_ID_SIZE);
	return attrs;
}

void send_hello_bytes(struct connection *c, const uint8_t *bytes, uint32_t size)
{
	struct wire_header header = {.type = DST_HELLO, .id = 1, .status = 1, .payload = size};

	header.digest = wire_digest(DST_CHECKSUM_XXH3, bytes, size);
	put_message(c, &header, bytes);
}

void send_hello(struct connection *c, const struct wire_attrs *attrs)
{
	uint8_t bytes[DST_MAX_HELLO];

	send_hello_bytes(c, bytes, wire_attrs_encode(bytes, attrs));
}

/* The answer to HELLO: its status, or -1. */
int receive_hello(struct connection *c)
{
	char reason[DST_MAX_REASON + 1];

	if (!receive(c))
		return -1;
	if (answer.header.type != DST_HELLO || answer.header.id != 1)
		complain("the first answer is not HELLO's");
	if (wire_attrs_decode(&c->hello, answer.payload, answer.header.payload, reason))
		complain("HELLO's answer: %s", reason);
	return answer.header.status;
}

int say_hello(struct connection *c, const struct wire_attrs *attrs)
{
	dial(c);
	send_hello(c, attrs);
	return receive_hello(c);
}

/* A session that must come about, with an id of its own. */
int insist(struct connection *c, const struct wire_attrs *attrs)
{
	struct wire_attrs takeover = *attrs;
	int status = say_hello(c, attrs);

	if (status != DST_EBUSY || !wire_has(&c->hello, DST_ATTR_EPOCH))
		return status;
	hang_up(c);
	takeover.has |= 1u << DST_ATTR_TAKEOVER;
	takeover.takeover = c->hello.epoch;
	return say_hello(c, &takeover);
}

void join(struct connection *c, const char *export_name, uint32_t permissions)
{
	struct wire_attrs attrs;
	int status;

	session[0]++;
	attrs = hello_attrs(export_name, permissions);
	status = insist(c, &attrs);
	if (status)
		complain("HELLO for %s: status %d: %s", export_name, status, c->hello.reason);
}

void join_rw(struct connection *c)
{
	join(c, "rw", DST_PERM_READ | DST_PERM_WRITE);
}

void fill(uint8_t *bytes, size_t size, unsigned seed)
{
	uint64_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (uint8_t)(state >> 56);
	}
}

bool all_are(const uint8_t *bytes, size_t size, uint8_t value)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

void expect_read(struct connection *c, uint64_t offset, const uint8_t *want, uint32_t size)
{
	if (call(c, request(DST_READ, offset, size), NULL, 0) != DST_OK ||
	    answer.header.payload != size || memcmp(answer.payload, want, size) != 0)
		complain("what is read at %" PRIu64 " is not what was written", offset);
}

void ask_for_work(struct connection *c)
{
	uint8_t seed[8] = {0};

	for (unsigned i = 0; i < WORK; i++)
		ask(c, request(DST_HASH, 0, DST_MAX_RANGE), seed, sizeof(seed));
}
