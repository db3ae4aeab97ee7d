/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rawclient.c - speaks the protocol with a dstd by hand, rightly and wrongly, and says what it thinks
 * of the answers.
 *
 *	rawclient PORT [NAME]...
 *	rawclient PORT --watch EXPORT
 *
 * Runs all scenarios, or those named, against 127.0.0.1:PORT, which must offer: "rw", 1 MiB; "ro",
 * 1 MiB, read-only; "big", 1 GiB, sparse; "denied", to nobody. Exit status 0: all is well. With
 * --watch it joins EXPORT, says so, and prints what notices tell until the server closes.
 */
#include "common/checksum.h"
#include "common/wire.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE (1u << 20) /* of "rw" and "ro" */
#define PATIENCE_SEC 20 /* for any answer */

static uint16_t port;
static const char *scenario;
static unsigned failures;
static uint8_t session[DST_ID_SIZE]; /* a new one for each connection, unless a scenario says so */

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "FAILED: %s: ", scenario);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	failures++;
}

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			complain("line %d: %s", __LINE__, #condition);                             \
	} while (0)

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- connections ---- */

struct connection {
	int fd;
	uint64_t id, done; /* the last id used; all up to `done` are answered */
	enum dst_checksum checksum;
	struct wire_attrs hello; /* the server's answer */
};

struct answer {
	struct wire_header header;
	uint8_t payload[DST_MAX_PAYLOAD];
};

static struct answer answer; /* the last one */

static void dial(struct connection *c)
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

static void hang_up(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

static void put(struct connection *c, const void *bytes, size_t size)
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
static void put_message(struct connection *c, const struct wire_header *header, const void *payload)
{
	uint8_t encoded[DST_HEADER_SIZE];

	wire_encode(encoded, header, WIRE_REQUEST, c->checksum);
	put(c, encoded, sizeof(encoded));
	put(c, payload, header->payload);
}

static struct wire_header request(enum dst_type type, uint64_t offset, uint64_t length)
{
	return (struct wire_header){.type = (uint8_t)type, .range = {offset, length}};
}

/* Sends a proper request: the next id, the right lag and digest. */
static void ask(struct connection *c, struct wire_header header, const void *payload, uint32_t size)
{
	header.id = ++c->id;
	header.status = (uint16_t)(c->id - c->done);
	header.payload = size;
	header.digest = wire_digest(c->checksum, payload, size);
	put_message(c, &header, payload);
}

static void ask_control(struct connection *c, enum dst_type type) /* PING, CLOSE */
{
	struct wire_header header = {.type = (uint8_t)type, .id = 1, .status = 1};

	put_message(c, &header, NULL);
}

/* Receives one message into `answer`. False: the connection ended. Damage is a complaint. */
static bool receive(struct connection *c)
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
static int call(struct connection *c, struct wire_header header, const void *payload, uint32_t size)
{
	ask(c, header, payload, size);
	if (!receive(c))
		return -1;
	if (answer.header.id != c->id || answer.header.type != header.type)
		complain("the answer is to %s %" PRIu64, wire_type_name(answer.header.type),
			 answer.header.id);
	c->done = c->id;
	return answer.header.status;
}

static int call_seeded(struct connection *c, struct wire_header header, uint64_t value)
{
	uint8_t payload[8];

	wire_u64_encode(payload, value);
	return call(c, header, payload, sizeof(payload));
}

static void expect_end(struct connection *c)
{
	uint8_t byte;
	ssize_t n = recv(c->fd, &byte, 1, 0);

	if (n > 0 || (n < 0 && errno != ECONNRESET))
		complain("the server does not close the connection");
	hang_up(c);
}

static struct wire_attrs hello_attrs(const char *export_name, uint32_t permissions)
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

static void send_hello_bytes(struct connection *c, const uint8_t *bytes, uint32_t size)
{
	struct wire_header header = {.type = DST_HELLO, .id = 1, .status = 1, .payload = size};

	header.digest = wire_digest(DST_CHECKSUM_XXH3, bytes, size);
	put_message(c, &header, bytes);
}

static void send_hello(struct connection *c, const struct wire_attrs *attrs)
{
	uint8_t bytes[DST_MAX_HELLO];

	send_hello_bytes(c, bytes, wire_attrs_encode(bytes, attrs));
}

/* The answer to HELLO: its status, or -1. */
static int receive_hello(struct connection *c)
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

static int say_hello(struct connection *c, const struct wire_attrs *attrs)
{
	dial(c);
	send_hello(c, attrs);
	return receive_hello(c);
}

/* A session that must come about, with an id of its own. */
static void join(struct connection *c, const char *export_name, uint32_t permissions)
{
	struct wire_attrs attrs;
	int status;

	session[0]++;
	attrs = hello_attrs(export_name, permissions);
	status = say_hello(c, &attrs);
	if (status)
		complain("HELLO for %s: status %d: %s", export_name, status, c->hello.reason);
}

static void join_rw(struct connection *c)
{
	join(c, "rw", DST_PERM_READ | DST_PERM_WRITE);
}

static void fill(uint8_t *bytes, size_t size, unsigned seed)
{
	uint64_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = (uint8_t)(state >> 56);
	}
}

static bool all_are(const uint8_t *bytes, size_t size, uint8_t value)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void expect_read(struct connection *c, uint64_t offset, const uint8_t *want, uint32_t size)
{
	if (call(c, request(DST_READ, offset, size), NULL, 0) != DST_OK ||
	    answer.header.payload != size || memcmp(answer.payload, want, size) != 0)
		complain("what is read at %" PRIu64 " is not what was written", offset);
}

/* ---- HELLO ---- */

static void hello_tells_about_the_export(void)
{
	struct connection c;

	join_rw(&c);
	CHECK(c.hello.size == SIZE);
	CHECK(c.hello.permissions == (DST_PERM_READ | DST_PERM_WRITE));
	CHECK(c.hello.checksum == DST_CHECKSUM_XXH3);
	CHECK(c.hello.max_payload == DST_MAX_PAYLOAD && c.hello.max_range == DST_MAX_RANGE);
	CHECK(c.hello.depth == 256 && c.hello.block_min > 0);
	CHECK(wire_has(&c.hello, DST_ATTR_SERVER_ID) && wire_has(&c.hello, DST_ATTR_EXPORT_UUID) &&
	      wire_has(&c.hello, DST_ATTR_INSTANCE));
	hang_up(&c);
}

static void expect_refusal(const struct wire_attrs *attrs, int status, const char *reason)
{
	struct connection c;
	int got = say_hello(&c, attrs);

	if (got != status || !strstr(c.hello.reason, reason))
		complain("HELLO: %d \"%s\" instead of %d \"%s\"", got, c.hello.reason, status,
			 reason);
	expect_end(&c);
}

static void hello_is_refused_with_a_reason(void)
{
	struct wire_attrs attrs = hello_attrs("nosuch", DST_PERM_READ);

	expect_refusal(&attrs, DST_EUNKNOWN_EXPORT, "no export is named \"nosuch\"");
	attrs = hello_attrs("denied", DST_PERM_READ);
	expect_refusal(&attrs, DST_EDENIED, "do not admit 127.0.0.1");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.checksum = 1u << 7;
	expect_refusal(&attrs, DST_EPROTO, "checksum");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.has &= ~(1u << DST_ATTR_LANE);
	expect_refusal(&attrs, DST_EPROTO, "lane");
	attrs = hello_attrs("rw", DST_PERM_READ);
	attrs.has &= ~(1u << DST_ATTR_SESSION);
	expect_refusal(&attrs, DST_EPROTO, "session");
}

static void hello_with_an_unknown_mandatory_attribute_is_refused(void)
{
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	uint32_t size = wire_attrs_encode(bytes, &attrs);
	struct connection c;

	memcpy(bytes + size, (uint8_t[]){0xe8, 0x83, 0, 0}, 4); /* 1000, mandatory, empty */
	dial(&c);
	send_hello_bytes(&c, bytes, size + 4);
	CHECK(receive_hello(&c) == DST_EPROTO && strstr(c.hello.reason, "1000"));
	expect_end(&c);
}

static void hello_with_an_unknown_optional_attribute_is_taken(void)
{
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	uint32_t size = wire_attrs_encode(bytes, &attrs);
	struct connection c;

	memcpy(bytes + size, (uint8_t[]){0xe8, 0x03, 0, 0}, 4);
	dial(&c);
	send_hello_bytes(&c, bytes, size + 4);
	CHECK(receive_hello(&c) == DST_OK);
	hang_up(&c);
}

static void another_version_is_told_ours(void)
{
	uint8_t header[DST_HEADER_SIZE] = {'D', 'S', 'T', DST_VERSION + 1, DST_HELLO};
	struct connection c;

	dial(&c);
	put(&c, header, sizeof(header));
	CHECK(receive_hello(&c) == DST_EVERSION && strstr(c.hello.reason, "version 1"));
	expect_end(&c);
}

static void hello_twice_ends_the_connection(void)
{
	struct connection c;
	struct wire_attrs attrs;

	join_rw(&c);
	attrs = hello_attrs("rw", DST_PERM_READ);
	send_hello(&c, &attrs);
	expect_end(&c);
}

static void hello_with_a_wrong_digest_ends_the_connection(void)
{
	struct wire_header header = {.type = DST_HELLO, .id = 1, .status = 1, .digest = 1};
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ);
	uint8_t bytes[DST_MAX_HELLO];
	struct connection c;

	header.payload = wire_attrs_encode(bytes, &attrs);
	dial(&c);
	put_message(&c, &header, bytes);
	expect_end(&c);
}

static void a_request_before_hello_ends_the_connection(void)
{
	struct connection c;

	dial(&c);
	ask(&c, request(DST_READ, 0, 512), NULL, 0);
	expect_end(&c);
}

static void an_oversized_hello_ends_the_connection(void)
{
	struct wire_header header = {
		.type = DST_HELLO, .id = 1, .status = 1, .payload = DST_MAX_HELLO + 4};
	static uint8_t bytes[DST_MAX_HELLO + 4];
	struct connection c;

	dial(&c);
	header.digest = wire_digest(DST_CHECKSUM_XXH3, bytes, sizeof(bytes));
	put_message(&c, &header, bytes);
	expect_end(&c);
}

static void a_session_belongs_to_one_export(void)
{
	struct connection c;
	struct wire_attrs attrs;

	join_rw(&c);
	attrs = hello_attrs("big", DST_PERM_READ);
	expect_refusal(&attrs, DST_EINVAL, "another export");
	hang_up(&c);
}

static void digests_can_be_off(void)
{
	struct connection c;
	struct wire_attrs attrs;
	uint8_t data[4096];

	session[0]++;
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.checksum = 1u << DST_CHECKSUM_NONE;
	CHECK(say_hello(&c, &attrs) == DST_OK && c.hello.checksum == DST_CHECKSUM_NONE);
	c.checksum = DST_CHECKSUM_NONE;
	fill(data, sizeof(data), 3);
	CHECK(call(&c, request(DST_WRITE, 8192, sizeof(data)), data, sizeof(data)) == DST_OK);
	CHECK(answer.header.digest == 0);
	expect_read(&c, 8192, data, sizeof(data));
	hang_up(&c);
}

/* ---- broken messages ---- */

static void a_wrong_header_check_ends_the_connection(void)
{
	struct wire_header header = request(DST_READ, 0, 512);
	uint8_t encoded[DST_HEADER_SIZE];
	struct connection c;

	join_rw(&c);
	header.id = header.status = 1;
	wire_encode(encoded, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
	encoded[17] ^= 1; /* the offset */
	put(&c, encoded, sizeof(encoded));
	expect_end(&c);
}

static void headers_against_the_rules_end_the_connection(void)
{
	static const struct wire_header headers[] = {
		{.type = DST_READ, .id = 1, .status = 1, .range = {0, DST_MAX_PAYLOAD + 1}},
		{.type = DST_READ, .id = 1, .status = 1, .range = {0, 0}},
		{.type = DST_READ, .id = 1, .status = 1, .range = {UINT64_MAX - 10, 512}},
		{.type = DST_READ, .id = 0, .status = 1, .range = {0, 512}},
		{.type = DST_READ, .id = 1, .status = 1, .flags = DST_F_REPLY, .range = {0, 512}},
		{.type = DST_READ, .id = 1, .status = 1, .flags = DST_F_FUA, .range = {0, 512}},
		{.type = DST_HASH, .id = 1, .status = 1, .range = {0, 512}},
		{.type = DST_FLUSH, .id = 1, .status = 1, .range = {0, 512}},
		{.type = DST_NOTICE, .id = 1, .status = 1},
		{.type = DST_WRITE, .id = 1, .status = 1, .range = {0, 512}, .payload = 513},
		{.type = DST_WRITE,
		 .id = 1,
		 .status = 1,
		 .range = {0, DST_MAX_PAYLOAD + 1},
		 .payload = DST_MAX_PAYLOAD + 1},
	};
	static uint8_t zeros[DST_MAX_PAYLOAD + 1];

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct connection c;
		unsigned before = failures;

		join_rw(&c);
		put_message(&c, &headers[i], zeros);
		expect_end(&c);
		if (failures != before)
			complain("that was header %zu", i);
	}
}

static void a_lag_that_is_too_large_or_goes_back_ends_the_connection(void)
{
	struct wire_header header = request(DST_READ, 0, 512);
	struct connection c;

	join_rw(&c);
	header.id = 5000;
	header.status = 4097;
	put_message(&c, &header, NULL);
	expect_end(&c);

	join_rw(&c);
	header.id = 10;
	header.status = 1;
	put_message(&c, &header, NULL);
	CHECK(receive(&c) && answer.header.status == DST_OK);
	header.id = 9; /* done with, it said */
	put_message(&c, &header, NULL);
	expect_end(&c);
}

static void an_unknown_type_is_answered_and_skipped(void)
{
	static uint8_t payload[100000];
	struct connection c;

	join_rw(&c);
	CHECK(call(&c, request(77, 0, 0), NULL, 0) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(200, 0, 0), payload, 40) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(78, 1, 2), payload, sizeof(payload)) == DST_EOPNOTSUPP);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&c);
}

static void a_wrong_digest_is_answered_and_nothing_is_written(void)
{
	static uint8_t data[65536];
	uint32_t sizes[] = {4096, sizeof(data)}; /* a staged one, a direct one */
	struct connection c;

	join_rw(&c);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_header header = request(DST_WRITE, 131072, sizes[i]);

		memset(data, 0x11, sizeof(data));
		CHECK(call(&c, header, data, sizes[i]) == DST_OK);
		memset(data, 0x22, sizeof(data));
		header.id = ++c.id;
		header.status = (uint16_t)(c.id - c.done);
		header.payload = sizes[i];
		header.digest = wire_digest(DST_CHECKSUM_XXH3, data, sizes[i]);
		data[sizes[i] / 2] ^= 4;
		put_message(&c, &header, data);
		CHECK(receive(&c) && answer.header.status == DST_EBADMSG);
		CHECK(answer.header.id == c.id && answer.header.payload == 0);
		memset(data, 0x11, sizeof(data));
		expect_read(&c, 131072, data, sizes[i]);
	}
	hang_up(&c);
}

/* ---- bounds and rights ---- */

static void ranges_past_the_end_are_refused_with_nothing_done(void)
{
	static uint8_t data[8192];
	struct connection c;

	join_rw(&c);
	memset(data, 0x33, sizeof(data));
	CHECK(call(&c, request(DST_WRITE, SIZE - 4096, 4096), data, 4096) == DST_OK);
	CHECK(call(&c, request(DST_READ, SIZE, 1), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_READ, SIZE - 1, 2), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_READ, (uint64_t)1 << 62, 512), NULL, 0) == DST_EINVAL);
	CHECK(answer.header.payload == 0);
	memset(data, 0x44, sizeof(data));
	CHECK(call(&c, request(DST_WRITE, SIZE - 4096, 8192), data, 8192) == DST_ENOSPC);
	CHECK(call(&c, request(DST_WRITE, SIZE, 1), data, 1) == DST_ENOSPC);
	CHECK(call(&c, request(DST_WRITE_ZEROES, SIZE - 1, 2), NULL, 0) == DST_ENOSPC);
	CHECK(call(&c, request(DST_DISCARD, SIZE - 4096, 8192), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_EXTENTS, 0, SIZE + 1), NULL, 0) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_HASH, 1, SIZE), 0) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, SIZE - 512, 1024), 0) == DST_ENOSPC);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), SIZE - 512) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), UINT64_MAX) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), 1023) == DST_EINVAL);
	memset(data, 0x33, sizeof(data));
	expect_read(&c, SIZE - 4096, data, 4096);
	hang_up(&c);
}

static void expect_no_writing(struct connection *c, int status)
{
	static uint8_t before[4096], data[4096];

	CHECK(call(c, request(DST_READ, 0, sizeof(before)), NULL, 0) == DST_OK);
	memcpy(before, answer.payload, sizeof(before));
	memset(data, 0x55, sizeof(data));
	CHECK(call(c, request(DST_WRITE, 0, 4096), data, 4096) == status);
	CHECK(call(c, request(DST_WRITE, SIZE, 4096), data, 4096) == status);
	CHECK(call(c, request(DST_WRITE_ZEROES, 0, 4096), NULL, 0) == status);
	CHECK(call(c, request(DST_DISCARD, 0, 4096), NULL, 0) == status);
	CHECK(call_seeded(c, request(DST_COPY, 0, 4096), 8192) == status);
	CHECK(call(c, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK);
	expect_read(c, 0, before, sizeof(before));
}

static void a_read_only_export_or_session_refuses_writes(void)
{
	struct connection c;

	join(&c, "ro", DST_PERM_READ | DST_PERM_WRITE);
	CHECK(c.hello.permissions == DST_PERM_READ);
	expect_no_writing(&c, DST_EROFS);
	hang_up(&c);

	join(&c, "rw", DST_PERM_READ);
	CHECK(c.hello.permissions == DST_PERM_READ);
	expect_no_writing(&c, DST_EPERM);
	hang_up(&c);
}

/* ---- what requests do ---- */

static void what_is_written_is_read(void)
{
	static const uint32_t sizes[] = {1, 511, 4096, 4097, 32767, 32768, 32769, 262144, SIZE};
	static uint8_t data[SIZE];
	struct connection c;

	join_rw(&c);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct wire_header header = request(DST_WRITE, (SIZE - sizes[i]) / 2, sizes[i]);

		header.flags = i % 2 ? DST_F_FUA : 0;
		fill(data, sizes[i], i);
		CHECK(call(&c, header, data, sizes[i]) == DST_OK);
		expect_read(&c, header.range.offset, data, sizes[i]);
	}
	CHECK(call(&c, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK);
	hang_up(&c);
}

static void hash_is_the_digest_of_the_range(void)
{
	static uint8_t data[100001];
	uint8_t want[DST_HASH_SIZE];
	struct checksum_range *sum = checksum_range_new(77);
	struct connection c;

	fill(data, sizeof(data), 9);
	checksum_range_add(sum, data, sizeof(data));
	checksum_range_end(&sum, want);
	join_rw(&c);
	CHECK(call(&c, request(DST_WRITE, 333, sizeof(data)), data, sizeof(data)) == DST_OK);
	CHECK(call_seeded(&c, request(DST_HASH, 333, sizeof(data)), 77) == DST_OK);
	CHECK(answer.header.payload == DST_HASH_SIZE &&
	      !memcmp(answer.payload, want, sizeof(want)));
	CHECK(call_seeded(&c, request(DST_HASH, 333, sizeof(data)), 78) == DST_OK);
	CHECK(memcmp(answer.payload, want, sizeof(want)) != 0);
	hang_up(&c);
}

static void zeroes_discard_and_copy(void)
{
	static uint8_t data[65536];
	struct wire_header header;
	struct connection c;

	join_rw(&c);
	fill(data, sizeof(data), 5);
	CHECK(call(&c, request(DST_WRITE, 0, sizeof(data)), data, sizeof(data)) == DST_OK);
	if (c.hello.features & DST_CAN_COPY) {
		CHECK(call_seeded(&c, request(DST_COPY, 262144, sizeof(data)), 0) == DST_OK);
		CHECK(answer.header.range.length > 0 && answer.header.range.length <= sizeof(data));
		expect_read(&c, 262144, data, (uint32_t)answer.header.range.length);
	}
	for (int flags = 0; flags <= DST_F_NO_HOLE; flags += DST_F_NO_HOLE) {
		CHECK(call(&c, request(DST_WRITE, 0, sizeof(data)), data, sizeof(data)) == DST_OK);
		header = request(DST_WRITE_ZEROES, 4096, 32768);
		header.flags = (uint8_t)flags;
		CHECK(call(&c, header, NULL, 0) == DST_OK);
		expect_read(&c, 0, data, 4096);
		expect_read(&c, 36864, data + 36864, 4096);
		CHECK(call(&c, request(DST_READ, 4096, 32768), NULL, 0) == DST_OK &&
		      all_are(answer.payload, 32768, 0));
	}
	if (c.hello.features & DST_CAN_DISCARD) {
		CHECK(call(&c, request(DST_DISCARD, 8192, 8192), NULL, 0) == DST_OK);
		expect_read(&c, 0, data, 4096);
	}
	hang_up(&c);
}

static void extents_describe_the_range(void)
{
	static struct wire_extent extents[DST_MAX_EXTENTS];
	struct connection c;
	uint64_t at = 0, holes = 0;
	unsigned count;

	join(&c, "big", DST_PERM_READ);
	while (at < DST_MAX_RANGE && failures == 0) {
		uint64_t most = DST_MAX_RANGE - at, sum = 0;

		CHECK(call(&c, request(DST_EXTENTS, at, most), NULL, 0) == DST_OK);
		CHECK(!wire_extents_decode(extents, &count, answer.payload, answer.header.payload,
					   most));
		for (unsigned i = 0; i < count; i++) {
			sum += extents[i].length;
			holes += extents[i].kind == DST_EXTENT_HOLE ? extents[i].length : 0;
		}
		CHECK(sum > 0 && sum == answer.header.range.length);
		at += sum;
	}
	CHECK(!(c.hello.features & DST_CAN_EXTENTS) || holes > DST_MAX_RANGE / 2);
	hang_up(&c);
}

static void ping_is_answered(void)
{
	struct connection c;

	join_rw(&c);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	ask_control(&c, DST_PING);
	CHECK(receive(&c) && answer.header.type == DST_PING && answer.header.status == DST_OK);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&c);
}

/* ---- many at a time ---- */

#define WORK 8 /* requests that take a fraction of a second each */

static void ask_for_work(struct connection *c)
{
	uint8_t seed[8] = {0};

	for (unsigned i = 0; i < WORK; i++)
		ask(c, request(DST_HASH, 0, DST_MAX_RANGE), seed, sizeof(seed));
}

static void close_is_answered_last(void)
{
	struct connection c;
	unsigned answers = 0;

	join(&c, "big", DST_PERM_READ);
	ask_for_work(&c);
	for (unsigned i = 0; i < 100; i++)
		ask(&c, request(DST_READ, i * 1048576, 65536), NULL, 0);
	ask_control(&c, DST_CLOSE);
	while (receive(&c) && answer.header.type != DST_CLOSE)
		answers++;
	CHECK(answers == WORK + 100);
	CHECK(answer.header.type == DST_CLOSE && answer.header.status == DST_OK);
	expect_end(&c);
}

static void requests_in_flight_are_all_answered_once(void)
{
	enum { COUNT = 3000 };
	static uint8_t seen[COUNT + 1];
	static uint8_t data[4096];
	struct connection c;
	pid_t writer;

	/* Far beyond the depth, and without reading: the server stops reading, we go on later. */
	join_rw(&c);
	memset(seen, 0, sizeof(seen));
	fflush(NULL);
	writer = fork();
	if (writer == 0) {
		for (unsigned i = 0; i < COUNT; i++) {
			if (i % 3)
				ask(&c, request(DST_READ, i % 200 * 4096, 4096), NULL, 0);
			else
				ask(&c, request(DST_WRITE, i % 200 * 4096, 4096), data, 4096);
			if (c.id > 2000)
				c.done = c.id - 2000;
		}
		_exit(0);
	}
	usleep(200000);
	for (unsigned i = 0; i < COUNT && receive(&c); i++) {
		CHECK(answer.header.status == DST_OK && answer.header.id <= COUNT);
		if (answer.header.id <= COUNT && seen[answer.header.id]++)
			complain("%" PRIu64 " is answered twice", answer.header.id);
	}
	for (unsigned i = 1; i <= COUNT && !failures; i++)
		if (!seen[i])
			complain("%u is not answered", i);
	hang_up(&c);
}

static void who_takes_no_answers_does_not_disturb_others(void)
{
	enum { GREEDY = 8 };
	struct connection greedy[GREEDY], c;
	double begin;

	for (unsigned g = 0; g < GREEDY; g++) {
		join(&greedy[g], "big", DST_PERM_READ);
		for (unsigned i = 0; i < 256; i++)
			ask(&greedy[g], request(DST_READ, i * 1048576, 1048576), NULL, 0);
	}
	begin = seconds();
	join_rw(&c);
	for (unsigned i = 0; i < 100; i++)
		CHECK(call(&c, request(DST_READ, i * 4096, 4096), NULL, 0) == DST_OK);
	CHECK(seconds() - begin < 5);
	hang_up(&c);
	for (unsigned g = 0; g < GREEDY; g++)
		hang_up(&greedy[g]);
}

/* ---- lanes and their replacement ---- */

static void lanes_of_a_session_see_one_export(void)
{
	static uint8_t data[4096];
	struct wire_attrs attrs;
	struct connection one, two;

	session[0]++;
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.lanes = 2;
	CHECK(say_hello(&one, &attrs) == DST_OK);
	attrs.lane = 1;
	CHECK(say_hello(&two, &attrs) == DST_OK);
	fill(data, sizeof(data), 21);
	CHECK(call(&one, request(DST_WRITE, 40960, sizeof(data)), data, sizeof(data)) == DST_OK);
	expect_read(&two, 40960, data, sizeof(data));
	hang_up(&one);
	expect_read(&two, 40960, data, sizeof(data));
	hang_up(&two);
}

static double time_of_work(struct connection *c)
{
	double begin = seconds();

	ask_for_work(c);
	for (unsigned i = 0; i < WORK; i++)
		CHECK(receive(c) && answer.header.status == DST_OK);
	c->done = c->id;
	return seconds() - begin;
}

static void a_replacement_is_answered_when_the_old_io_is_over(void)
{
	struct wire_attrs attrs;
	struct connection old, new;
	double begin, work, hello;

	join(&old, "big", DST_PERM_READ);
	time_of_work(&old); /* brings it into the cache */
	work = time_of_work(&old);
	ask_for_work(&old);
	usleep(20000); /* let it begin */
	begin = seconds();
	attrs = hello_attrs("big", DST_PERM_READ); /* the same session, the same lane */
	CHECK(say_hello(&new, &attrs) == DST_OK);
	hello = seconds() - begin;
	if (hello < work / 10) /* at once, it would be a thousandth */
		complain("answered after %.3f s, the work takes %.3f s", hello, work);
	expect_end(&old); /* and none of its answers */
	new.id = new.done = old.id;
	CHECK(call(&new, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&new);
}

static void of_two_replacements_the_later_one_wins(void)
{
	struct wire_attrs attrs;
	struct connection old, first, second;

	join(&old, "big", DST_PERM_READ);
	attrs = hello_attrs("big", DST_PERM_READ);
	ask_for_work(&old);
	usleep(20000);
	dial(&first);
	send_hello(&first, &attrs);
	usleep(100000); /* another worker may have it, on a busy machine: it must come first */
	CHECK(say_hello(&second, &attrs) == DST_OK);
	expect_end(&first);
	expect_end(&old);
	second.id = second.done = old.id;
	CHECK(call(&second, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&second);
}

static void connections_that_vanish_in_the_middle_leave_nothing(void)
{
	static uint8_t data[1 << 20];
	struct connection c;

	for (unsigned i = 0; i < 200; i++) {
		uint8_t encoded[DST_HEADER_SIZE];
		struct wire_header header = request(DST_WRITE, 0, sizeof(data));

		header.id = header.status = 1;
		header.payload = sizeof(data);
		join_rw(&c);
		wire_encode(encoded, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
		put(&c, encoded, sizeof(encoded));
		put(&c, data, i * 5000);
		hang_up(&c);
	}
	join(&c, "big", DST_PERM_READ);
	ask_for_work(&c);
	hang_up(&c);
	join_rw(&c);
	CHECK(call(&c, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&c);
}

#define SCENARIO(name)                                                                             \
	{                                                                                          \
#name, name                                                                        \
	}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	SCENARIO(hello_tells_about_the_export),
	SCENARIO(hello_is_refused_with_a_reason),
	SCENARIO(hello_with_an_unknown_mandatory_attribute_is_refused),
	SCENARIO(hello_with_an_unknown_optional_attribute_is_taken),
	SCENARIO(another_version_is_told_ours),
	SCENARIO(hello_twice_ends_the_connection),
	SCENARIO(hello_with_a_wrong_digest_ends_the_connection),
	SCENARIO(a_request_before_hello_ends_the_connection),
	SCENARIO(an_oversized_hello_ends_the_connection),
	SCENARIO(a_session_belongs_to_one_export),
	SCENARIO(digests_can_be_off),
	SCENARIO(a_wrong_header_check_ends_the_connection),
	SCENARIO(headers_against_the_rules_end_the_connection),
	SCENARIO(a_lag_that_is_too_large_or_goes_back_ends_the_connection),
	SCENARIO(an_unknown_type_is_answered_and_skipped),
	SCENARIO(a_wrong_digest_is_answered_and_nothing_is_written),
	SCENARIO(ranges_past_the_end_are_refused_with_nothing_done),
	SCENARIO(a_read_only_export_or_session_refuses_writes),
	SCENARIO(what_is_written_is_read),
	SCENARIO(hash_is_the_digest_of_the_range),
	SCENARIO(zeroes_discard_and_copy),
	SCENARIO(extents_describe_the_range),
	SCENARIO(ping_is_answered),
	SCENARIO(close_is_answered_last),
	SCENARIO(requests_in_flight_are_all_answered_once),
	SCENARIO(who_takes_no_answers_does_not_disturb_others),
	SCENARIO(lanes_of_a_session_see_one_export),
	SCENARIO(a_replacement_is_answered_when_the_old_io_is_over),
	SCENARIO(of_two_replacements_the_later_one_wins),
	SCENARIO(connections_that_vanish_in_the_middle_leave_nothing),
};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return argc == 2;
}

static void watch(const char *export_name)
{
	struct timeval forever = {.tv_sec = 0};
	struct connection c;

	scenario = "watch";
	join(&c, export_name, DST_PERM_READ | DST_PERM_WRITE);
	if (failures)
		exit(1);
	setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	puts("joined");
	while (fflush(stdout), receive(&c)) {
		char reason[DST_MAX_REASON + 1];
		struct wire_attrs attrs;

		if (answer.header.type != DST_NOTICE || answer.header.id != 0 ||
		    wire_attrs_decode(&attrs, answer.payload, answer.header.payload, reason))
			errx(1, "that was no notice");
		if (wire_has(&attrs, DST_ATTR_SIZE))
			printf("size %" PRIu64 "\n", attrs.size);
		if (wire_has(&attrs, DST_ATTR_PERMISSIONS))
			printf("permissions %s\n",
			       attrs.permissions & DST_PERM_WRITE ? "rw" : "ro");
	}
	puts("closed");
	exit(failures > 0);
}

int main(int argc, char **argv)
{
	unsigned run = 0, failed = 0;

	if (argc < 2)
		errx(2, "usage: rawclient PORT [NAME]...");
	port = (uint16_t)atoi(argv[1]);
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		session[i] = (uint8_t)(getpid() >> i % 3 * 8);
	if (argc == 4 && !strcmp(argv[2], "--watch"))
		watch(argv[3]);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		double begin = seconds();

		if (!wanted(scenarios[i].name, argc, argv))
			continue;
		scenario = scenarios[i].name;
		failures = 0;
		scenarios[i].run();
		printf("%s  %-62s %.2f s\n", failures ? "FAIL" : "ok  ", scenario,
		       seconds() - begin);
		failed += failures > 0;
		run++;
	}
	printf("%u scenarios, %u failed\n", run, failed);
	return failed || !run;
}
