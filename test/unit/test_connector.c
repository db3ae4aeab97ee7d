/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_connector.c - which of a node's hosts an attempt ends up with: over loopback, against ports that
 * listen, refuse, or never answer.
 */
#include "dstfs/connector.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE (20 * CLOCK_SEC) /* that a test never needs */
#define FILLERS 16

struct outcome {
	struct loop *loop;
	unsigned calls, host;
	struct stream *stream;
	char address[128], reason[DST_MAX_REASON + 1];
};

/* A port of ours: bound, so that it refuses; or listening. */
static int bind_port(uint32_t *port, bool listening)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	if (listening)
		assert_int_equal(listen(fd, 0), 0);
	return fd;
}

/* Connections that nobody accepts fill the queue: the kernel drops what comes later. */
static void fill_queue(uint32_t port, int fillers[FILLERS])
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (unsigned i = 0; i < FILLERS; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(fillers[i] >= 0);
		connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
}

static void on_outcome(void *arg, struct stream *stream, unsigned host, const char *address,
		       const char *reason)
{
	struct outcome *o = arg;

	o->calls++;
	o->host = host;
	o->stream = stream;
	snprintf(o->address, sizeof(o->address), "%s", address);
	snprintf(o->reason, sizeof(o->reason), "%s", reason);
	loop_stop(o->loop);
}

static struct outcome attempt(const struct uri *uri, unsigned first, uint64_t patience)
{
	struct outcome o = {.loop = loop_new()};
	struct connector *c = connector_start(o.loop, uri, first, patience, on_outcome, &o);

	assert_non_null(c);
	assert_int_equal(o.calls, 0); /* never from inside */
	loop_run(o.loop);
	assert_int_equal(o.calls, 1);
	return o;
}

static void end(struct outcome *o)
{
	stream_close(&o->stream);
	loop_free(&o->loop);
}

static struct uri hosts_of(unsigned count, const uint32_t *ports)
{
	struct uri uri = {.kind = URI_TCP, .host_count = count};

	for (unsigned i = 0; i < count; i++) {
		strcpy(uri.hosts[i].name, "127.0.0.1");
		uri.hosts[i].port = ports[i];
	}
	return uri;
}

static void who_refuses_is_passed_over(void **state)
{
	uint32_t ports[3];
	int fds[] = {bind_port(&ports[0], false), bind_port(&ports[1], false),
		     bind_port(&ports[2], true)};
	struct uri uri = hosts_of(3, ports);
	struct outcome o = attempt(&uri, 0, PATIENCE);
	char expected[64];

	assert_non_null(o.stream);
	assert_int_equal(o.host, 2);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ports[2]);
	assert_string_equal(o.address, expected);
	end(&o);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void an_attempt_begins_where_it_is_told(void **state)
{
	static const struct {
		unsigned first, host;
	} rows[] = {{0, 0}, {1, 2}, {2, 2}, {3, 0}, {4, 2}, {3 + UINT32_MAX / 3 * 3 - 3, 0}};
	uint32_t ports[3];
	int fds[] = {bind_port(&ports[0], true), bind_port(&ports[1], false),
		     bind_port(&ports[2], true)};
	struct uri uri = hosts_of(3, ports);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o = attempt(&uri, rows[i].first, PATIENCE);

		assert_non_null(o.stream);
		assert_int_equal(o.host, rows[i].host);
		end(&o);
		close(accept(fds[rows[i].host], NULL, NULL));
	}
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void a_silent_host_uses_up_its_share_only(void **state)
{
	uint32_t ports[3];
	int fds[] = {bind_port(&ports[0], true), bind_port(&ports[1], true),
		     bind_port(&ports[2], true)};
	int fillers[2][FILLERS];
	struct uri uri = hosts_of(3, ports);
	struct outcome o;

	fill_queue(ports[0], fillers[0]);
	fill_queue(ports[1], fillers[1]);
	o = attempt(&uri, 0, 900 * CLOCK_MS);
	assert_non_null(o.stream);
	assert_int_equal(o.host, 2);
	end(&o);
	for (unsigned i = 0; i < 2 * FILLERS; i++)
		close(fillers[i / FILLERS][i % FILLERS]);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void a_name_that_nobody_knows_is_passed_over(void **state)
{
	uint32_t ports[2];
	int fds[] = {bind_port(&ports[0], true), bind_port(&ports[1], true)};
	struct uri uri = hosts_of(2, ports);
	struct outcome o;

	strcpy(uri.hosts[0].name, "fe80::1%no-such-interface");
	o = attempt(&uri, 0, PATIENCE);
	assert_non_null(o.stream);
	assert_int_equal(o.host, 1);
	end(&o);
	close(fds[0]);
	close(fds[1]);
}

static void all_that_fail_are_named(void **state)
{
	uint32_t ports[3];
	int fds[] = {bind_port(&ports[0], false), bind_port(&ports[1], true),
		     bind_port(&ports[2], false)};
	int fillers[FILLERS];
	struct uri uri = hosts_of(3, ports);
	struct outcome o;
	char expected[3 * 128];

	fill_queue(ports[1], fillers);
	o = attempt(&uri, 2, 300 * CLOCK_MS);
	assert_null(o.stream);
	assert_int_equal(o.host, 2); /* once around */
	snprintf(expected, sizeof(expected),
		 "127.0.0.1:%u: Connection refused; 127.0.0.1:%u: Connection refused; "
		 "127.0.0.1:%u: no connection in time",
		 ports[2], ports[0], ports[1]);
	assert_string_equal(o.reason, expected);
	end(&o);
	for (unsigned i = 0; i < FILLERS; i++)
		close(fillers[i]);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
}

static void other_kinds_have_one_way(void **state)
{
	struct uri uri = {.kind = URI_UNIX, .path = "/nonexistent/socket"};
	struct outcome o = attempt(&uri, 7, PATIENCE);

	assert_null(o.stream);
	assert_int_equal(o.host, 0);
	assert_string_equal(o.reason, "unix:/nonexistent/socket: No such file or directory");
	end(&o);
}

static void a_cancelled_attempt_has_no_outcome(void **state)
{
	uint32_t port;
	int fd = bind_port(&port, true);
	struct uri uri = hosts_of(1, &port);
	struct outcome o = {.loop = loop_new()};
	struct connector *c = connector_start(o.loop, &uri, 0, PATIENCE, on_outcome, &o);

	connector_cancel(&c);
	assert_null(c);
	assert_int_equal(o.calls, 0);
	end(&o);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_refuses_is_passed_over),
		cmocka_unit_test(an_attempt_begins_where_it_is_told),
		cmocka_unit_test(a_silent_host_uses_up_its_share_only),
		cmocka_unit_test(a_name_that_nobody_knows_is_passed_over),
		cmocka_unit_test(all_that_fail_are_named),
		cmocka_unit_test(other_kinds_have_one_way),
		cmocka_unit_test(a_cancelled_attempt_has_no_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
