/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_stream_socket.c - what the kernel is told about a connection whose peer may vanish. */
#include "common/stream_socket.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct end {
	struct loop *loop;
	struct stream *stream;
	int fd; /* the stream's */
};

static unsigned option(int fd, int level, int name)
{
	unsigned value = 0;
	socklen_t size = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

/* An accepted TCP connection as a stream; *peer is its other end. */
static struct end accepted(int *peer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct end end = {.loop = loop_new()};

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(listener, 1), 0);
	*peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*peer, (struct sockaddr *)&address, size), 0);
	end.fd = accept(listener, NULL, NULL);
	assert_true(end.fd >= 0);
	end.stream = stream_socket_accept(end.loop, end.fd, NULL, NULL);
	assert_non_null(end.stream);
	close(listener);
	return end;
}

static void end_close(struct end *end, int peer)
{
	stream_close(&end->stream);
	loop_free(&end->loop);
	close(peer);
}

static void an_accepted_peer_that_vanishes_is_noticed(void **state)
{
	int peer;
	struct end end = accepted(&peer);

	assert_int_equal(option(end.fd, IPPROTO_TCP, TCP_USER_TIMEOUT),
			 1000 * STREAM_ACCEPTED_TIMEOUT_S);
	assert_true(option(end.fd, SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(option(end.fd, IPPROTO_TCP, TCP_KEEPIDLE), STREAM_KEEPALIVE_IDLE_S);
	assert_int_equal(option(end.fd, IPPROTO_TCP, TCP_KEEPINTVL), STREAM_KEEPALIVE_INTERVAL_S);
	end_close(&end, peer);
}

static void a_timeout_is_milliseconds_to_the_kernel(void **state)
{
	static const struct {
		uint64_t timeout;
		unsigned value;
	} rows[] = {
		{1234 * CLOCK_MS, 1234},
		{CLOCK_MS - 1, 1}, /* 0 would mean the system's own */
		{0, 1},
		{UINT64_MAX, INT32_MAX},
	};
	int peer;
	struct end end = accepted(&peer);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stream_set_ack_timeout(end.stream, rows[i].timeout);
		assert_int_equal(option(end.fd, IPPROTO_TCP, TCP_USER_TIMEOUT), rows[i].value);
	}
	end_close(&end, peer);
}

static void other_sockets_do_without(void **state)
{
	int fds[2];
	struct end end = {.loop = loop_new()};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	end.stream = stream_socket_accept(end.loop, fds[0], NULL, NULL);
	assert_non_null(end.stream);
	stream_set_ack_timeout(end.stream, CLOCK_SEC);
	end_close(&end, fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accepted_peer_that_vanishes_is_noticed),
		cmocka_unit_test(a_timeout_is_milliseconds_to_the_kernel),
		cmocka_unit_test(other_sockets_do_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
