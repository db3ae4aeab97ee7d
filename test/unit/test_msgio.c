/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_msgio.c - whole messages over a socket pair: split anywhere, held up, closed from anywhere. */
#include "common/msgio.h"

#include "common/clock.h"
#include "common/random.h"
#include "common/stream_socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL_BUFS 4u
#define MOST_OUT 64u
#define PATIENCE (20 * CLOCK_SEC)

struct env {
	struct loop *loop;
	struct buf_pool *bufs;
	struct msgio *m;
	int peer; /* the test's end: blocking is avoided by MSG_DONTWAIT */
	unsigned messages, sent, closed, wanted;
	int error;
	uint64_t last_id;
	uint32_t last_payload;
	struct buf *taken[ALL_BUFS];
	unsigned take; /* buffers to keep */
	void (*on_message)(struct msgio_in *in); /* after the checks */
	void (*on_sent)(void);
	struct loop_timer poll;
	bool (*until)(void);
	uint64_t deadline;
};

static struct env e;
static uint8_t pattern[DST_MAX_PAYLOAD];
static uint8_t stream_bytes[4 * (DST_MAX_PAYLOAD + DST_HEADER_SIZE)];

static void message(void *arg, struct msgio_in *in)
{
	assert_true(in->digest_ok && in->type_ok);
	assert_int_equal(in->header.id, ++e.last_id);
	assert_memory_equal(in->payload, pattern, in->header.payload);
	assert_int_equal(in->buf != NULL, in->header.payload >= MSGIO_DIRECT);
	e.last_payload = in->header.payload;
	e.messages++;
	if (e.take)
		e.taken[--e.take] = msgio_take(e.m, in);
	if (e.on_message)
		e.on_message(in);
}

static void closed(void *arg, int error, const char *why)
{
	assert_int_equal(e.closed++, 0);
	e.error = error;
	msgio_close(&e.m);
}

static const struct msgio_events events = {message, closed};

static void on_poll(void *arg)
{
	if (e.until())
		loop_stop(e.loop);
	else if (clock_now() > e.deadline)
		fail_msg("waited in vain: %u messages, %u sent", e.messages, e.sent);
	else
		loop_timer_set(&e.poll, 0); /* the next turn */
}

static void run_until(bool (*until)(void))
{
	e.until = until;
	e.deadline = clock_now() + PATIENCE;
	loop_timer_set(&e.poll, 0);
	loop_run(e.loop);
}

static bool messages_came(void)
{
	return e.messages >= e.wanted;
}

static bool is_closed(void)
{
	return e.closed;
}

static unsigned turns;

static bool turns_are_over(void)
{
	return !turns--;
}

static void run_turns(unsigned n)
{
	turns = n;
	run_until(turns_are_over);
}

static int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	e.loop = loop_new();
	e.bufs = buf_pool_new(0, ALL_BUFS);
	assert_true(e.loop && e.bufs);
	assert_int_equal(loop_timer_init(&e.poll, e.loop, on_poll, NULL), 0);
	for (size_t i = 0; i < sizeof(pattern); i += 256)
		random_bytes(pattern + i, 256);
	return 0;
}

/* A connection; `open`: past its HELLO. */
static void begin(bool open)
{
	struct stream *stream;
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), errno);
	e.peer = fds[0];
	stream = stream_socket_accept(e.loop, fds[1], NULL, NULL);
	assert_non_null(stream);
	e.m = msgio_new(e.loop, stream, e.bufs, WIRE_REPLY, &events, NULL);
	assert_non_null(e.m);
	if (open)
		assert_int_equal(msgio_open_up(e.m, DST_CHECKSUM_XXH3), 0);
}

static void end(void)
{
	msgio_close(&e.m);
	close(e.peer);
	e.closed = 0;
	e.last_id = e.messages = 0;
}

static int teardown(void **state)
{
	unsigned in_use;

	for (unsigned i = 0; i < ALL_BUFS; i++)
		buf_unref(&e.taken[i]);
	in_use = buf_pool_in_use(e.bufs);
	loop_timer_destroy(&e.poll);
	loop_free(&e.loop);
	if (!in_use)
		buf_pool_free(&e.bufs);
	return in_use ? -1 : 0;
}

/* A READ reply at `at`. Returns its bytes. */
static size_t put(uint8_t *at, uint64_t id, uint32_t payload)
{
	struct wire_header header = {.type = payload ? DST_READ : DST_WRITE,
				     .flags = DST_F_REPLY,
				     .id = id,
				     .payload = payload,
				     .digest = wire_digest(DST_CHECKSUM_XXH3, pattern, payload)};

	wire_encode(at, &header, WIRE_REPLY, DST_CHECKSUM_XXH3);
	memcpy(at + DST_HEADER_SIZE, pattern, payload);
	return DST_HEADER_SIZE + payload;
}

static void give(const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = send(e.peer, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			run_turns(2);
			continue;
		}
		bytes += n;
		size -= (size_t)n;
	}
}

/* ---- in ---- */

static const uint32_t sizes[] = {
	0, 1, 4096, MSGIO_DIRECT - 1, MSGIO_DIRECT, MSGIO_DIRECT + 1, DST_MAX_PAYLOAD};

/* Two messages of each pair of sizes, the stream cut in two at `split`. */
static void split_at(size_t total, size_t split)
{
	e.last_id = e.messages = 0;
	give(stream_bytes, split);
	run_turns(2);
	give(stream_bytes + split, total - split);
	e.wanted = 2;
	run_until(messages_came);
	assert_int_equal(e.messages, 2);
}

static void messages_may_be_split_anywhere(void **state)
{
	begin(true);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
			size_t first = put(stream_bytes, 1, sizes[i]);
			size_t total = first + put(stream_bytes + first, 2, sizes[j]);

			/* Around each boundary every position, in between some. */
			for (size_t at = 0; at <= total;) {
				bool near = at < 50 || at + 2 > total ||
					    (at + 2 > first && at < first + 50);

				split_at(total, at);
				at += near ? (i == j ? 1 : 7) : total / 5 + 1;
			}
		}
	}
	end();
}

static void many_messages_at_once_come_in_order(void **state)
{
	size_t size = 0;
	unsigned n = 0;

	begin(true);
	for (; size < 3 * DST_MAX_PAYLOAD; n++)
		size += put(stream_bytes + size, n + 1, n % 7 ? n * 97 % 9000 : 40000 + n);
	give(stream_bytes, size);
	e.wanted = n;
	run_until(messages_came);
	assert_int_equal(msgio_stats(e.m)->bytes_in, size);
	end();
}

static void before_hello_no_more_than_its_limit(void **state)
{
	begin(false);
	give(stream_bytes, put(stream_bytes, 1, DST_MAX_HELLO + 1));
	run_until(is_closed);
	assert_int_equal(e.error, EPROTO);
	end();
}

static void the_end_is_told_apart(void **state)
{
	size_t size = put(stream_bytes, 1, 40000);

	for (size_t cut = 0; cut <= size; cut += cut < 60 ? 1 : 9985) {
		begin(true);
		give(stream_bytes, cut);
		shutdown(e.peer, SHUT_WR);
		run_until(is_closed);
		assert_int_equal(e.error, cut && cut < size ? ECONNRESET : 0);
		end();
	}
}

static void pause_here(struct msgio_in *in)
{
	msgio_pause(e.m);
}

static void paused_means_not_one_more(void **state)
{
	size_t size = 0;

	begin(true);
	e.on_message = pause_here;
	for (unsigned i = 0; i < 12; i++) /* no more than a socket holds */
		size += put(stream_bytes + size, i + 1, i % 3 ? 100 : 33000);
	give(stream_bytes, size / 2);
	for (unsigned i = 0; i < 12; i++) {
		e.wanted = i + 1;
		run_until(messages_came);
		run_turns(3);
		assert_int_equal(e.messages, i + 1);
		if (i == 5)
			give(stream_bytes + size / 2, size - size / 2);
		msgio_resume(e.m);
		msgio_pause(e.m); /* to and fro in one turn: as it was */
		msgio_resume(e.m);
	}
	end();
}

static void watch_here(struct msgio_in *in)
{
	msgio_watch(e.m);
}

/* Nothing more is handed out, however much comes, but the end is told. */
static void watched_it_still_tells_of_the_end(void **state)
{
	size_t size = 0;

	for (unsigned more = 0; more < 3; more++) {
		begin(false);
		e.on_message = watch_here;
		size = put(stream_bytes, 1, 100);
		for (unsigned i = 0; i < more; i++)
			size += put(stream_bytes + size, 2 + i, 5000);
		give(stream_bytes, size);
		e.wanted = 1;
		run_until(messages_came);
		run_turns(3);
		assert_int_equal(e.messages, 1);
		assert_int_equal(e.closed, 0);
		shutdown(e.peer, SHUT_WR);
		run_until(is_closed);
		assert_int_equal(e.messages, 1);
		end();
	}
}

/* What came meanwhile is handed out after it; what doesn't fit waits at the peer. */
static void watched_it_loses_nothing(void **state)
{
	size_t size;

	begin(false);
	e.on_message = watch_here;
	size = put(stream_bytes, 1, 100);
	for (unsigned i = 0; i < 10; i++)
		size += put(stream_bytes + size, 2 + i, 5000);
	give(stream_bytes, size);
	for (unsigned i = 0; i < 11; i++) {
		e.wanted = i + 1;
		run_until(messages_came);
		run_turns(3);
		assert_int_equal(e.messages, i + 1);
		msgio_resume(e.m);
	}
	end();
}

static void close_here(struct msgio_in *in)
{
	msgio_close(&e.m);
}

static void closed_by_the_message(void **state)
{
	size_t size;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin(true);
		e.on_message = close_here;
		size = put(stream_bytes, 1, sizes[i]);
		size += put(stream_bytes + size, 2, 10);
		give(stream_bytes, size);
		e.wanted = 1;
		run_until(messages_came);
		run_turns(2);
		assert_int_equal(e.messages, 1);
		assert_int_equal(e.closed, 0);
		end();
	}
}

static void without_buffers_it_waits_for_one(void **state)
{
	size_t size = 0;

	begin(true);
	e.take = ALL_BUFS;
	for (unsigned i = 0; i < 12; i++)
		size += put(stream_bytes + size, i + 1, 100000);
	give(stream_bytes, ALL_BUFS * (100000 + DST_HEADER_SIZE) + DST_HEADER_SIZE);
	e.wanted = ALL_BUFS;
	run_until(messages_came);
	run_turns(5);
	assert_int_equal(e.messages, ALL_BUFS);
	buf_unref(&e.taken[0]);
	give(stream_bytes + ALL_BUFS * (100000 + DST_HEADER_SIZE) + DST_HEADER_SIZE,
	     size - ALL_BUFS * (100000 + DST_HEADER_SIZE) - DST_HEADER_SIZE);
	e.wanted = 12;
	run_until(messages_came);
	end();
}

static unsigned told;

static void tell(void *arg)
{
	told++;
}

/* Who was told of a buffer and went away must not take the news along. */
static void one_that_goes_while_it_waits_delays_no_other(void **state)
{
	struct buf_waiter other = {.callback = tell};

	told = 0;
	begin(true);
	e.take = ALL_BUFS;
	for (unsigned i = 0; i < ALL_BUFS; i++)
		give(stream_bytes, put(stream_bytes, i + 1, 50000));
	give(stream_bytes, put(stream_bytes, ALL_BUFS + 1, 50000));
	e.wanted = ALL_BUFS;
	run_until(messages_came);
	run_turns(5);
	buf_wait(e.bufs, &other);
	buf_unref(&e.taken[0]);
	assert_int_equal(told, 1);
	end();
}

/* ---- out ---- */

static struct msgio_out outs[MOST_OUT];

static void sent(struct msgio_out *out)
{
	assert_ptr_equal(out, &outs[e.sent]); /* in order */
	e.sent++;
	if (e.on_sent)
		e.on_sent();
}

static void send_many(unsigned count, uint32_t payload)
{
	e.sent = 0;
	for (unsigned i = 0; i < count; i++) {
		outs[i] = (struct msgio_out){
			.header = {.type = payload ? DST_WRITE : DST_READ,
				   .id = i + 1,
				   .status = 1,
				   .range = {0, payload ? payload : 1},
				   .payload = payload,
				   .digest = wire_digest(DST_CHECKSUM_XXH3, pattern, payload)},
			.payload = pattern,
			.sent = sent,
		};
		msgio_send(e.m, &outs[i]);
		assert_int_equal(e.sent, 0); /* never from inside */
	}
}

/* What the peer gets: `count` messages, in pieces of `piece` bytes. */
static void expect_out(unsigned count, uint32_t payload, size_t piece)
{
	size_t size = DST_HEADER_SIZE + payload, have = 0;
	struct wire_header header;

	for (unsigned i = 0; i < count;) {
		size_t room = size - have < piece ? size - have : piece;
		ssize_t n = recv(e.peer, stream_bytes + have, room, MSG_DONTWAIT);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			run_turns(1);
			continue;
		}
		assert_true(n > 0);
		have += (size_t)n;
		if (have < size)
			continue;
		assert_int_equal(wire_decode(&header, stream_bytes, WIRE_REQUEST, DST_CHECKSUM_XXH3,
					     DST_MAX_PAYLOAD),
				 WIRE_OK);
		assert_int_equal(header.id, ++i);
		assert_memory_equal(stream_bytes + DST_HEADER_SIZE, pattern, payload);
		have = 0;
	}
	run_turns(2);
	assert_int_equal(e.sent, count);
	assert_true(msgio_idle(e.m));
}

static void everything_goes_out_in_order_however_slow_the_peer(void **state)
{
	begin(true);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		send_many(20, sizes[i]); /* the large ones are sent early, and block */
		expect_out(20, sizes[i], sizes[i] < 5000 ? 13 : 100001);
	}
	end();
}

static void close_in_sent(void)
{
	msgio_close(&e.m);
	e.on_sent = NULL;
}

static void closed_by_sent(void **state)
{
	begin(true);
	e.on_sent = close_in_sent;
	send_many(30, 100);
	run_turns(2);
	assert_int_equal(e.sent, 30); /* all came back */
	assert_null(e.m);
	end();
	begin(true);
	e.on_sent = close_in_sent;
	send_many(30, DST_MAX_PAYLOAD); /* some of them half sent */
	run_turns(3);
	recv(e.peer, stream_bytes, sizeof(stream_bytes), MSG_DONTWAIT);
	recv(e.peer, stream_bytes, sizeof(stream_bytes), MSG_DONTWAIT);
	msgio_close(&e.m);
	assert_int_equal(e.sent, 30);
	end();
}

static void a_peer_that_went_away_gives_everything_back(void **state)
{
	begin(true);
	send_many(30, DST_MAX_PAYLOAD);
	shutdown(e.peer, SHUT_RDWR);
	run_until(is_closed);
	assert_int_equal(e.sent, 30);
	end();
}

/* An entry that left is its owner's again before the answer to it is handed out, even if both
 * happen in one turn. */
static void check_sent(struct msgio_in *in)
{
	assert_int_equal(e.sent, 1);
}

static void sent_comes_before_the_answer(void **state)
{
	begin(true);
	e.on_message = check_sent;
	send_many(1, 1000);
	msgio_flush(e.m); /* out, and not returned yet */
	assert_int_equal(e.sent, 0);
	give(stream_bytes, put(stream_bytes, 1, 10));
	e.wanted = 1;
	run_until(messages_came);
	end();
}

static uint64_t answered, asked;

static void answer_back(struct msgio_in *in)
{
	answered++;
}

static void drain(void *arg)
{
	static uint8_t sink[1u << 20];

	while (recv(e.peer, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
}

static struct loop_hook drain_hook = {.callback = drain};

/* The peer drains each turn what the turn sent: the socket is writable when the loop sleeps. */
static bool both_moved(void)
{
	loop_defer(e.loop, &drain_hook);
	return answered >= asked || e.sent == MOST_OUT;
}

/* While the stream always takes a little more, what comes in is read all the same. */
static void sending_does_not_starve_receiving(void **state)
{
	begin(true);
	answered = 0;
	asked = 1;
	e.on_message = answer_back;
	send_many(MOST_OUT, DST_MAX_PAYLOAD);
	run_turns(3); /* the socket is full */
	give(stream_bytes, put(stream_bytes, 1, 10));
	drain(NULL); /* from here on both are ready, each turn */
	run_until(both_moved);
	run_turns(1); /* the last drain */
	assert_true(e.sent < MOST_OUT);
	end();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_may_be_split_anywhere),
		TEST(many_messages_at_once_come_in_order),
		TEST(before_hello_no_more_than_its_limit),
		TEST(the_end_is_told_apart),
		TEST(paused_means_not_one_more),
		TEST(watched_it_still_tells_of_the_end),
		TEST(watched_it_loses_nothing),
		TEST(closed_by_the_message),
		TEST(without_buffers_it_waits_for_one),
		TEST(one_that_goes_while_it_waits_delays_no_other),
		TEST(everything_goes_out_in_order_however_slow_the_peer),
		TEST(closed_by_sent),
		TEST(a_peer_that_went_away_gives_everything_back),
		TEST(sent_comes_before_the_answer),
		TEST(sending_does_not_starve_receiving),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
