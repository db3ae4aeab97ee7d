/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_retain.c - what the logs keep, count and forget, and what a cursor finds in them. That a
 * replay of it is right is test_replay.c's.
 */
#include "dstfs/retain.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOGS 3
#define CHUNK ((uint64_t)256 << 10) /* what a log counts while it holds anything at all */
#define KiB 1024u

struct fixture {
	struct worker worker;
	struct retain retain;
	struct retain_log *logs[LOGS];
	uint8_t data[DST_MAX_PAYLOAD];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->worker.bufs = buf_pool_new(0, 64);
	for (unsigned i = 0; i < LOGS; i++) {
		f->logs[i] = retain_log_new(&f->retain, &f->worker);
		assert_non_null(f->logs[i]);
	}
	for (size_t i = 0; i < sizeof(f->data); i++)
		f->data[i] = i * 7 + i / 251;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < LOGS; i++)
		retain_log_free(&f->logs[i]);
	assert_int_equal(f->retain.bytes, 0);
	buf_pool_free(&f->worker.bufs); /* asserts that all are back */
	free(f);
	return 0;
}

static struct request make(struct fixture *f, enum request_type type, uint64_t offset,
			   uint64_t length)
{
	return (struct request){
		.type = type,
		.range = {.offset = offset, .length = length},
		.data = type == REQUEST_WRITE ? f->data : NULL,
	};
}

static void add(struct fixture *f, unsigned log, enum request_type type, uint64_t offset,
		uint64_t length)
{
	struct request request = make(f, type, offset, length);

	retain_log_add(f->logs[log], &request, true);
}

static void add_fua(struct fixture *f, unsigned log, uint64_t offset, uint64_t length)
{
	struct request request = make(f, REQUEST_WRITE, offset, length);

	request.fua = true;
	retain_log_add(f->logs[log], &request, true);
}

/* A write whose payload is in a buffer that only the log holds afterwards. */
static struct buf *add_buf(struct fixture *f, unsigned log, uint64_t offset, uint64_t length)
{
	struct request request = make(f, REQUEST_WRITE, offset, length);
	struct buf *buf = buf_get(f->worker.bufs), *ours = buf;

	assert_non_null(buf);
	memcpy(buf->data, f->data, length);
	request.buf = buf;
	request.data = buf->data;
	retain_log_add(f->logs[log], &request, true);
	buf_unref(&ours);
	return buf;
}

static void trim(struct fixture *f)
{
	for (unsigned i = 0; i < LOGS; i++)
		while (retain_log_trim(f->logs[i]))
			;
}

struct expected {
	uint64_t number, offset, length;
};

static void assert_pieces(struct fixture *f, const struct expected *expected, size_t count)
{
	struct retain_cursor *cursor = retain_cursor_new(f->logs, LOGS);
	struct retain_piece piece;

	assert_non_null(cursor);
	for (size_t i = 0; i < count; i++) {
		assert_true(retain_cursor_next(cursor, &piece));
		assert_int_equal(piece.number, expected[i].number);
		assert_int_equal(piece.range.offset, expected[i].offset);
		assert_int_equal(piece.range.length, expected[i].length);
	}
	assert_false(retain_cursor_next(cursor, &piece));
	assert_false(retain_cursor_next(cursor, &piece));
	retain_cursor_free(&cursor);
	assert_null(cursor);
}

#define PIECES(f, ...)                                                                             \
	assert_pieces(f, (const struct expected[]){__VA_ARGS__},                                   \
		      sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static void all_logs_are_one_order(void **state)
{
	struct fixture *f = *state;

	add(f, 2, REQUEST_WRITE, 0, 512);
	add(f, 0, REQUEST_WRITE_ZEROES, 1024, DST_MAX_RANGE);
	add(f, 0, REQUEST_DISCARD, 0, 4096);
	add(f, 1, REQUEST_WRITE, 512, 512);
	add(f, 2, REQUEST_WRITE, 0, 512);
	assert_int_equal(f->retain.number, 5);
	PIECES(f, {1, 0, 512}, {2, 1024, DST_MAX_RANGE}, {3, 0, 4096}, {4, 512, 512}, {5, 0, 512});
}

static void a_piece_is_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct request zeroes = make(f, REQUEST_WRITE_ZEROES, 8192, 4096);
	struct request write = make(f, REQUEST_WRITE, 65536, 3000);
	struct retain_cursor *cursor;
	struct retain_piece piece;

	zeroes.no_hole = true;
	retain_log_add(f->logs[0], &zeroes, true);
	request_digest(&write);
	retain_log_add(f->logs[1], &write, true);
	add_buf(f, 0, 1 << 20, DST_MAX_PAYLOAD);
	add_fua(f, 2, (1 << 20) + 4096, 512);

	cursor = retain_cursor_new(f->logs, LOGS);
	assert_true(retain_cursor_next(cursor, &piece));
	assert_int_equal(piece.type, REQUEST_WRITE_ZEROES);
	assert_true(piece.no_hole);
	assert_null(piece.data);
	assert_true(retain_cursor_next(cursor, &piece));
	assert_int_equal(piece.type, REQUEST_WRITE);
	assert_ptr_not_equal(piece.data, f->data);
	assert_memory_equal(piece.data, f->data, 3000);
	assert_true(piece.has_digest);
	assert_int_equal(piece.digest, write.digest);
	assert_true(retain_cursor_next(cursor, &piece));
	assert_int_equal(piece.range.length, 4096);
	assert_memory_equal(piece.data, f->data, 4096);
	assert_true(retain_cursor_next(cursor, &piece)); /* behind what FUA covers */
	assert_int_equal(piece.range.offset, (1 << 20) + 4096 + 512);
	assert_int_equal(piece.range.length, DST_MAX_PAYLOAD - 4096 - 512);
	assert_memory_equal(piece.data, f->data + 4096 + 512, piece.range.length);
	assert_false(piece.has_digest);
	assert_false(retain_cursor_next(cursor, &piece));
	retain_cursor_free(&cursor);
}

static void a_part_has_no_digest_of_the_whole(void **state)
{
	struct fixture *f = *state;
	struct request write = make(f, REQUEST_WRITE, 0, 4096);
	struct retain_cursor *cursor;
	struct retain_piece piece;

	request_digest(&write);
	retain_log_add(f->logs[1], &write, true);
	add_fua(f, 0, 0, 512);
	cursor = retain_cursor_new(f->logs, LOGS);
	assert_true(retain_cursor_next(cursor, &piece));
	assert_int_equal(piece.range.length, 4096 - 512);
	assert_false(piece.has_digest);
	retain_cursor_free(&cursor);
}

static void small_payloads_give_their_buffer_back(void **state)
{
	struct fixture *f = *state;

	add_buf(f, 0, 0, 1);
	add_buf(f, 0, 0, RETAIN_COPIED);
	assert_int_equal(buf_pool_in_use(f->worker.bufs), 0);
	assert_int_equal(f->retain.bytes, CHUNK);
}

static void large_payloads_keep_their_buffer_until_durable(void **state)
{
	struct fixture *f = *state;
	struct buf *buf = add_buf(f, 0, 0, RETAIN_COPIED + 1);

	assert_int_equal(buf_pool_in_use(f->worker.bufs), 1);
	assert_int_equal(buf->refs, 1);
	assert_int_equal(f->retain.bytes, CHUNK + RETAIN_COPIED + 4096 + BUF_HEADROOM);
	trim(f);
	assert_int_equal(buf_pool_in_use(f->worker.bufs), 1);
	retain_durable(&f->retain, 1);
	trim(f);
	assert_int_equal(buf_pool_in_use(f->worker.bufs), 0);
	assert_int_equal(f->retain.bytes, 0);
}

static void a_buffer_goes_though_its_neighbours_stay(void **state)
{
	struct fixture *f = *state;

	add_buf(f, 0, 0, DST_MAX_PAYLOAD);
	add(f, 0, REQUEST_WRITE, 0, 512);
	add_buf(f, 0, 0, DST_MAX_PAYLOAD);
	retain_durable(&f->retain, 1);
	trim(f);
	assert_int_equal(buf_pool_in_use(f->worker.bufs), 1);
	assert_int_equal(f->retain.bytes, CHUNK + DST_MAX_PAYLOAD + BUF_HEADROOM);
	PIECES(f, {2, 0, 512}, {3, 0, DST_MAX_PAYLOAD});
}

static void a_flush_releases_all_logs_up_to_its_mark(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 12; i++)
		add(f, i % LOGS, REQUEST_WRITE, i * 512, 512);
	retain_durable(&f->retain, 10);
	PIECES(f, {11, 10 * 512, 512}, {12, 11 * 512, 512});
	retain_durable(&f->retain, 9); /* an older flush, answered late: takes nothing back */
	PIECES(f, {11, 10 * 512, 512}, {12, 11 * 512, 512});
	trim(f);
	PIECES(f, {11, 10 * 512, 512}, {12, 11 * 512, 512});
	retain_durable(&f->retain, 12);
	trim(f);
	assert_int_equal(f->retain.bytes, 0);
	add(f, 1, REQUEST_WRITE, 0, 512);
	PIECES(f, {13, 0, 512});
}

static void unflushed_bytes_are_exact(void **state)
{
	struct fixture *f = *state;

	add(f, 0, REQUEST_WRITE, 0, 100);
	add_buf(f, 0, 0, DST_MAX_PAYLOAD);
	add(f, 0, REQUEST_DISCARD, 0, 1 << 20);
	add(f, 0, REQUEST_WRITE_ZEROES, 0, 1 << 20);
	add_fua(f, 0, 0, 512);
	add(f, 0, REQUEST_WRITE, 0, 7);
	assert_int_equal(retain_log_unflushed(f->logs[0]), 107 + DST_MAX_PAYLOAD + (1 << 20));
	retain_durable(&f->retain, 2);
	trim(f);
	assert_int_equal(retain_log_unflushed(f->logs[0]), 7 + (1 << 20));
	retain_durable(&f->retain, 6);
	trim(f);
	assert_int_equal(retain_log_unflushed(f->logs[0]), 0);
}

static void what_is_not_kept_is_noted(void **state)
{
	struct fixture *f = *state;
	struct request request = make(f, REQUEST_WRITE, 0, 512);

	add(f, 0, REQUEST_WRITE, 0, 512);
	assert_int_equal(f->retain.unkept, 0);
	retain_log_add(f->logs[0], &request, false);
	assert_int_equal(f->retain.unkept, 2);
	request = make(f, REQUEST_WRITE, 0, RETAIN_COPIED + 1); /* whose bytes nothing holds */
	retain_log_add(f->logs[0], &request, true);
	assert_int_equal(f->retain.unkept, 3);
	request = make(f, REQUEST_WRITE, 4096, 512);
	request.fua = true; /* durable: there is nothing to keep */
	retain_log_add(f->logs[0], &request, false);
	assert_int_equal(f->retain.unkept, 3);
	PIECES(f, {1, 0, 512});
}

static void what_is_given_up_is_never_replayed(void **state)
{
	struct fixture *f = *state;

	add(f, 0, REQUEST_WRITE, 0, 512);
	add_buf(f, 1, 0, DST_MAX_PAYLOAD);
	add(f, 0, REQUEST_WRITE, 512, 512);
	retain_give_up(&f->retain, 2);
	assert_int_equal(f->retain.unkept, 2);
	assert_int_equal(f->retain.durable, 0);
	PIECES(f, {3, 512, 512});
	trim(f);
	assert_int_equal(f->retain.bytes, CHUNK);
	PIECES(f, {3, 512, 512});
}

static void durable_requests_cover_what_was_before(void **state)
{
	struct fixture *f = *state;
	struct request copy = make(f, REQUEST_COPY, 2048, 2048);

	add(f, 0, REQUEST_WRITE, 0, 4096); /* 1 */
	add_fua(f, 1, 512, 512); /* 2 */
	add(f, 2, REQUEST_WRITE_ZEROES, 256, 1024); /* 3 */
	add_fua(f, 0, 1024, 1024); /* 4 */
	copy.result = 512; /* of the 2048 */
	retain_log_add(f->logs[1], &copy, true); /* 5 */
	add(f, 1, REQUEST_DISCARD, 1024, 256); /* 6 */
	PIECES(f, {1, 0, 512}, {1, 2560, 1536}, {3, 256, 768}, {6, 1024, 256});
}

static void all_of_it_may_be_covered(void **state)
{
	struct fixture *f = *state;

	add(f, 0, REQUEST_WRITE, 4096, 4096);
	add(f, 0, REQUEST_WRITE, 0, 512);
	add_fua(f, 1, 4096, 2048);
	add_fua(f, 2, 6144, 4096);
	PIECES(f, {2, 0, 512});
}

static void covers_at_the_end_of_the_world(void **state)
{
	struct fixture *f = *state;
	uint64_t end = DST_MAX_SIZE;

	add(f, 0, REQUEST_WRITE_ZEROES, end - DST_MAX_RANGE, DST_MAX_RANGE);
	add_fua(f, 0, end - 512, 512);
	add_fua(f, 0, end - DST_MAX_RANGE, 1);
	PIECES(f, {1, end - DST_MAX_RANGE + 1, DST_MAX_RANGE - 513});
}

static void a_cover_is_kept_only_while_it_matters(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 100; i++)
		add_fua(f, 0, 0, 512);
	assert_int_equal(f->retain.bytes, 0); /* there was nothing to cover */
	add(f, 0, REQUEST_WRITE, 0, 512);
	add_fua(f, 1, 0, 512); /* of another log: it matters */
	assert_int_equal(f->retain.bytes, 2 * CHUNK);
	retain_durable(&f->retain, f->retain.number);
	trim(f);
	assert_int_equal(f->retain.bytes, 0);
	add_fua(f, 2, 0, 512);
	assert_int_equal(f->retain.bytes, 0);
}

static void a_cover_outlives_a_change_to_keeping_nothing(void **state)
{
	struct fixture *f = *state;
	struct request fua = make(f, REQUEST_WRITE, 0, 512);

	add(f, 0, REQUEST_WRITE, 0, 1024);
	fua.fua = true;
	retain_log_add(f->logs[1], &fua, false);
	PIECES(f, {1, 512, 512});
}

static void trimming_is_bounded(void **state)
{
	struct fixture *f = *state;
	unsigned calls = 0, most = 100000;
	uint64_t before;

	for (unsigned i = 0; i < most; i++)
		add(f, 0, REQUEST_DISCARD, i * 4096ull, 4096);
	add(f, 0, REQUEST_WRITE, 0, 512);
	retain_durable(&f->retain, most);
	do {
		before = f->retain.bytes;
		calls++;
		assert_true(calls < most);
	} while (retain_log_trim(f->logs[0]));
	assert_int_equal(f->retain.bytes, CHUNK);
	assert_true(before <= f->retain.bytes + 512 * CHUNK);
	PIECES(f, {most + 1, 0, 512});
}

static void bytes_return_to_nothing_whatever_is_trimmed_when(void **state)
{
	struct fixture *f = *state;

	srand48(3);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0, n = lrand48() % 100; i < n; i++) {
			unsigned log = lrand48() % LOGS;

			switch (lrand48() % 8) {
			case 0:
				if (buf_pool_in_use(f->worker.bufs) < 64)
					add_buf(f, log, 0, 40 * KiB);
				break;
			case 1:
				add_fua(f, log, 0, 512);
				break;
			default:
				add(f, log, REQUEST_WRITE, 0, 1 + lrand48() % RETAIN_COPIED);
			}
		}
		retain_durable(&f->retain, lrand48() % (f->retain.number + 1));
		retain_log_trim(f->logs[lrand48() % LOGS]);
	}
	retain_durable(&f->retain, f->retain.number);
	trim(f);
	assert_int_equal(f->retain.bytes, 0);
	assert_int_equal(buf_pool_in_use(f->worker.bufs), 0);
	for (unsigned i = 0; i < LOGS; i++)
		assert_int_equal(retain_log_unflushed(f->logs[i]), 0);
}

/* The memory that waits for reuse is that of the last rounds, and is used again. */
static void steady_state_uses_the_same_memory(void **state)
{
	struct fixture *f = *state;
	const uint8_t *seen[70];
	unsigned count = 0;

	for (unsigned round = 0; round < 50; round++) {
		struct retain_cursor *cursor;
		struct retain_piece piece;

		for (unsigned i = 0; i < 70; i++) /* ten chunks full */
			add(f, 0, REQUEST_WRITE, 0, RETAIN_COPIED);
		cursor = retain_cursor_new(f->logs, LOGS);
		while (retain_cursor_next(cursor, &piece)) {
			unsigned i = 0;

			while (i < count && seen[i] != piece.data)
				i++;
			if (i == count) {
				assert_int_equal(round, 0);
				assert_true(count < 70);
				seen[count++] = piece.data;
			}
		}
		retain_cursor_free(&cursor);
		retain_durable(&f->retain, f->retain.number);
		trim(f);
	}
	assert_int_equal(count, 70);
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void what_a_burst_took_is_given_back(void **state)
{
	struct fixture *f = *state;
	size_t before = allocated(), burst;

	for (unsigned i = 0; i < 700; i++) /* a hundred chunks */
		add(f, 0, REQUEST_WRITE, 0, RETAIN_COPIED);
	burst = allocated();
	if (burst == before) { /* a sanitizer's allocator doesn't tell */
		skip();
		return;
	}
	for (unsigned round = 0; round < 200; round++) {
		retain_durable(&f->retain, f->retain.number);
		trim(f);
		for (unsigned i = 0; i < 70; i++) /* ten */
			add(f, 0, REQUEST_WRITE, 0, RETAIN_COPIED);
	}
	assert_true(burst - before >= 98 * CHUNK);
	assert_true(allocated() - before <= 48 * CHUNK); /* four times as many as are used */
}

/* A cursor says the same as a look at each byte. */
#define BYTES 200u

static void a_cursor_agrees_with_a_look_at_each_byte(void **state)
{
	struct fixture *f = *state;
	static uint64_t numbers[2000][BYTES]; /* of an entry: its number where it is to be sent */

	srand48(7);
	for (unsigned round = 0; round < 60; round++) {
		uint64_t base = f->retain.number, settled;
		unsigned n = lrand48() % 300;
		struct retain_cursor *cursor;
		struct retain_piece piece;

		memset(numbers, 0, sizeof(numbers));
		for (unsigned i = 0; i < n; i++) {
			uint64_t offset = lrand48() % BYTES;
			uint64_t length = 1 + lrand48() % (BYTES - offset);

			if (lrand48() % 2)
				length = 1 + lrand48() % length;
			if (lrand48() % 3) {
				add(f, lrand48() % LOGS, REQUEST_WRITE, offset, length);
				for (uint64_t b = offset; b < offset + length; b++)
					numbers[i][b] = base + i + 1;
			} else {
				add_fua(f, lrand48() % LOGS, offset, length);
				for (unsigned e = 0; e < i; e++)
					memset(&numbers[e][offset], 0, length * sizeof(uint64_t));
			}
		}
		settled = base + lrand48() % (n + 1);
		retain_durable(&f->retain, settled);
		if (lrand48() % 2)
			trim(f);
		for (uint64_t i = base; i < settled; i++)
			memset(numbers[i - base], 0, sizeof(numbers[0]));
		cursor = retain_cursor_new(f->logs, LOGS);
		while (retain_cursor_next(cursor, &piece)) {
			assert_true(piece.range.offset + piece.range.length <= BYTES);
			for (uint64_t b = 0; b < piece.range.length; b++) {
				uint64_t *number =
					&numbers[piece.number - base - 1][piece.range.offset + b];

				assert_int_equal(*number, piece.number);
				*number = 0; /* and only once */
			}
		}
		retain_cursor_free(&cursor);
		for (unsigned i = 0; i < n; i++)
			for (unsigned b = 0; b < BYTES; b++)
				assert_int_equal(numbers[i][b], 0);
		retain_durable(&f->retain, f->retain.number);
		trim(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_logs_are_one_order),
		TEST(a_piece_is_what_was_written),
		TEST(a_part_has_no_digest_of_the_whole),
		TEST(small_payloads_give_their_buffer_back),
		TEST(large_payloads_keep_their_buffer_until_durable),
		TEST(a_buffer_goes_though_its_neighbours_stay),
		TEST(a_flush_releases_all_logs_up_to_its_mark),
		TEST(unflushed_bytes_are_exact),
		TEST(what_is_not_kept_is_noted),
		TEST(what_is_given_up_is_never_replayed),
		TEST(durable_requests_cover_what_was_before),
		TEST(all_of_it_may_be_covered),
		TEST(covers_at_the_end_of_the_world),
		TEST(a_cover_is_kept_only_while_it_matters),
		TEST(a_cover_outlives_a_change_to_keeping_nothing),
		TEST(trimming_is_bounded),
		TEST(bytes_return_to_nothing_whatever_is_trimmed_when),
		TEST(steady_state_uses_the_same_memory),
		TEST(what_a_burst_took_is_given_back),
		TEST(a_cursor_agrees_with_a_look_at_each_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
