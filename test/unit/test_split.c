/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_split.c - requests over several children: cut and put together, exactly once, or ended. */
#include "dstfs/split.h"

#include "common/checksum.h"
#include "common/clock.h"
#include "common/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/map_fixture.h"

#define CHUNK 4096u
#define CHILD_SIZE (4u << 20)

static uint8_t pattern[DST_MAX_PAYLOAD];

/* Stripes of CHUNK (0: a linear map) over that many. */
static void make(uint64_t chunk, unsigned children)
{
	make_map(chunk, 1);
	while (m.count < children)
		add_fake(CHILD_SIZE, CHILD_SIZE);
	map_start(m.map);
	assert_int_equal(m.map->size, children * CHILD_SIZE);
	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
}

static void hold(bool holds)
{
	for (unsigned i = 0; i < m.count; i++)
		m.fakes[i].holds = holds;
}

static void release_all(void)
{
	bool any = true;

	while (any) {
		any = false;
		for (unsigned i = 0; i < m.count; i++) {
			any |= m.fakes[i].held.first != NULL;
			fake_release(&m.fakes[i], 1);
		}
	}
}

static void on_time(void *arg)
{
	loop_stop(m.worker.loop);
}

/* What is deferred or posted runs. */
static void run_loop(void)
{
	struct loop_timer timer;

	assert_int_equal(loop_timer_init(&timer, m.worker.loop, on_time, NULL), 0);
	loop_timer_set(&timer, CLOCK_MS);
	loop_run(m.worker.loop);
	loop_timer_destroy(&timer);
}

static unsigned submitted(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < m.count; i++)
		sum += m.fakes[i].submitted;
	return sum;
}

static void what_one_child_has_goes_as_it_is(void **state)
{
	struct range_hold *owner = (struct range_hold *)&m; /* never looked into */
	struct io *io = calloc(1, sizeof(*io));

	make(0, 2);
	io->request = (struct request){.type = REQUEST_WRITE,
				       .range = {CHILD_SIZE + 512, 1024},
				       .data = pattern,
				       .digest = 77,
				       .has_digest = true,
				       .fua = true,
				       .hold = owner,
				       .since = 5,
				       .worker = &m.worker,
				       .done = io_done};
	target_submit(m.map, &io->request);
	assert_int_equal(end(io), 0);
	assert_int_equal(submitted(), 1);
	assert_ptr_equal(m.fakes[1].last.data, pattern);
	assert_int_equal(m.fakes[1].last.range.offset, 512);
	assert_int_equal(m.fakes[1].last.digest, 77);
	assert_true(m.fakes[1].last.has_digest && m.fakes[1].last.fua);
	assert_ptr_equal(m.fakes[1].last.hold, owner);
	assert_int_equal(m.fakes[1].last.since, 5);

	io = submit(REQUEST_READ, CHILD_SIZE + 512, 1024, NULL);
	assert_ptr_equal(io->came, m.fakes[1].memory + 512);
	assert_memory_equal(io->data, pattern, 1024);
	assert_int_equal(end(io), 0);
	assert_int_equal(buf_pool_in_use(m.worker.bufs), 0);
}

static void a_write_is_cut_at_the_seams_out_of_one_buffer(void **state)
{
	struct buf *buf = buf_get(m.worker.bufs);
	struct io *io = calloc(1, sizeof(*io));

	make(0, 2);
	memcpy(buf->data, pattern, 8192);
	io->request = (struct request){.type = REQUEST_WRITE,
				       .range = {CHILD_SIZE - 1000, 8192},
				       .data = buf->data,
				       .buf = buf,
				       .digest = 77,
				       .has_digest = true,
				       .worker = &m.worker,
				       .done = io_done};
	target_submit(m.map, &io->request);
	assert_int_equal(end(io), 0);
	assert_ptr_equal(m.fakes[0].last.data, buf->data);
	assert_ptr_equal(m.fakes[1].last.data, buf->data + 1000);
	assert_ptr_equal(m.fakes[1].last.buf, buf);
	assert_false(m.fakes[0].last.has_digest || m.fakes[1].last.has_digest);
	assert_memory_equal(m.fakes[0].memory + CHILD_SIZE - 1000, pattern, 1000);
	assert_memory_equal(m.fakes[1].memory, pattern + 1000, 7192);
	buf_unref(&buf);
}

static void a_read_is_put_together_whatever_comes_first(void **state)
{
	const uint64_t offset = 5 * CHUNK + 100, length = 11 * CHUNK + 333;
	struct io *io;

	make(CHUNK, 3);
	assert_int_equal(end(submit(REQUEST_WRITE, offset, length, pattern)), 0);
	for (unsigned i = 0; i < m.count; i++)
		m.fakes[i].submitted = 0;
	hold(true);
	io = submit(REQUEST_READ, offset, length, NULL);
	assert_int_equal(submitted(), 3); /* one each, however many chunks */
	fake_release(&m.fakes[1], 1);
	fake_release(&m.fakes[0], 1);
	assert_int_equal(io->done, 0);
	fake_release(&m.fakes[2], 1);
	assert_memory_equal(io->data, pattern, length);
	assert_int_equal(end(io), 0);
}

static void ranges_without_data_make_one_request_a_child(void **state)
{
	make(CHUNK, 4);
	memset(m.fakes[2].memory, 1, CHILD_SIZE);
	assert_int_equal(end(submit(REQUEST_WRITE_ZEROES, 2 * CHUNK + 1,
				    4 * CHILD_SIZE - 2 * CHUNK - 2, NULL)),
			 0);
	assert_int_equal(submitted(), 4);
	assert_int_equal(m.fakes[2].memory[0], 1);
	assert_int_equal(m.fakes[2].memory[1], 0);
	assert_int_equal(m.fakes[2].memory[CHILD_SIZE - 1], 0);
	assert_int_equal(m.fakes[3].last.range.length, CHILD_SIZE - 1);
	assert_int_equal(m.fakes[1].last.range.offset, CHUNK);
	assert_int_equal(end(submit(REQUEST_DISCARD, CHUNK, CHUNK, NULL)), 0);
	assert_int_equal(submitted(), 5);
}

static void flush_goes_to_all(void **state)
{
	struct io *io;

	make(CHUNK, 3);
	hold(true);
	io = submit(REQUEST_FLUSH, 0, 0, NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(io->done, 0);
		assert_int_equal(m.fakes[i].last.type, REQUEST_FLUSH);
		fake_release(&m.fakes[i], 1);
	}
	assert_int_equal(end(io), 0);
}

/* A child tells a loss once: who came before that was told may not say that all is well. */
static void a_loss_is_told_to_all_that_came_before_it_was(void **state)
{
	struct io *first, *second;

	make(CHUNK, 2);
	hold(true);
	first = submit(REQUEST_FLUSH, 0, 0, NULL);
	second = submit(REQUEST_FLUSH, 0, 0, NULL);
	m.fakes[0].error = EIO;
	fake_release(&m.fakes[0], 1);
	m.fakes[0].error = 0;
	assert_int_equal(first->done, 0); /* the other one may have something to save yet */
	fake_release(&m.fakes[0], 1);
	fake_release_last(&m.fakes[1]);
	assert_int_equal(end(second), EIO);
	fake_release_last(&m.fakes[1]);
	assert_int_equal(end(first), EIO);
	hold(false);
	assert_int_equal(end(submit(REQUEST_FLUSH, 0, 0, NULL)), 0);
}

/* Nobody hears of it, so the next one tells, and only that. */
static void what_a_cancelled_flush_was_told_the_next_one_tells(void **state)
{
	struct io *io;

	make(CHUNK, 2);
	hold(true);
	io = submit(REQUEST_FLUSH, 0, 0, NULL);
	m.fakes[0].error = EIO;
	fake_release(&m.fakes[0], 1);
	m.fakes[0].error = 0;
	target_cancel(m.map, &io->request, EINTR);
	assert_int_equal(end(io), EINTR);
	hold(false);
	assert_int_equal(end(submit(REQUEST_FLUSH, 0, 0, NULL)), EIO);
	assert_int_equal(end(submit(REQUEST_FLUSH, 0, 0, NULL)), 0);
}

/* It was told of by a FLUSH, so nobody would tell of it after the write has succeeded. */
static void what_was_lost_before_a_write_is_over_is_written_again(void **state)
{
	struct io *io;

	make(CHUNK, 2);
	m.fakes[1].holds = true;
	io = submit(REQUEST_WRITE, 0, 4 * CHUNK, pattern);
	assert_int_equal(submitted(), 4);
	memset(m.fakes[0].memory, 0, 2 * CHUNK);
	m.fakes[0].losses++;
	fake_release(&m.fakes[1], 2);
	assert_int_equal(io->done, 0);
	assert_int_equal(submitted(), 8);
	assert_memory_equal(m.fakes[0].memory, pattern, CHUNK);
	fake_release(&m.fakes[1], 2);
	assert_int_equal(end(io), 0);
	assert_memory_equal(m.fakes[1].memory, pattern + CHUNK, CHUNK);

	io = submit(REQUEST_WRITE_ZEROES, 0, 4 * CHUNK, NULL);
	m.fakes[0].losses++;
	fake_release(&m.fakes[1], 1);
	assert_int_equal(submitted(), 12);
	target_cancel(m.map, &io->request, EINTR);
	assert_int_equal(end(io), EINTR);
	assert_int_equal(m.fakes[1].cancelled, 1);
}

/* What is durable when it is answered isn't lost. */
static void nothing_durable_is_written_again(void **state)
{
	struct io *io = calloc(1, sizeof(*io));

	make(CHUNK, 2);
	m.fakes[1].holds = true;
	io->request = (struct request){.type = REQUEST_WRITE,
				       .range = {0, 2 * CHUNK},
				       .data = pattern,
				       .fua = true,
				       .worker = &m.worker,
				       .done = io_done};
	target_submit(m.map, &io->request);
	m.fakes[0].losses++;
	fake_release(&m.fakes[1], 1);
	assert_int_equal(end(io), 0);
	assert_int_equal(submitted(), 2);
}

static void the_error_that_lies_first_counts_when_all_are_over(void **state)
{
	struct io *io;

	make(CHUNK, 3);
	hold(true);
	io = submit(REQUEST_WRITE, CHUNK, 3 * CHUNK, pattern);
	m.fakes[0].error = ENOSPC; /* the third part */
	fake_release(&m.fakes[0], 1);
	m.fakes[2].error = EIO; /* the second */
	fake_release(&m.fakes[2], 1);
	assert_int_equal(io->done, 0);
	fake_release(&m.fakes[1], 1);
	assert_int_equal(end(io), EIO);

	io = submit(REQUEST_READ, CHUNK, 3 * CHUNK, NULL);
	fake_release(&m.fakes[2], 1);
	fake_release(&m.fakes[0], 1);
	fake_release(&m.fakes[1], 1);
	assert_int_equal(end(io), EIO);
}

static void cancelling_ends_all_that_children_hold(void **state)
{
	struct io *io;

	make(CHUNK, 3);
	m.fakes[0].holds = m.fakes[2].holds = true;
	io = submit(REQUEST_WRITE, 0, 9 * CHUNK, pattern);
	assert_int_equal(io->done, 0);
	target_cancel(m.map, &io->request, EINTR);
	assert_int_equal(end(io), EINTR);
	assert_int_equal(m.fakes[0].cancelled, 3);
	assert_int_equal(m.fakes[2].cancelled, 3);

	/* The error of the one that failed before doesn't matter. */
	io = submit(REQUEST_READ, 0, 3 * CHUNK, NULL);
	m.fakes[0].error = EIO;
	fake_release(&m.fakes[0], 1);
	target_cancel(m.map, &io->request, ETIMEDOUT);
	assert_int_equal(end(io), ETIMEDOUT);
}

static unsigned order[64], finished;

static void ordered_done(struct request *request, int error)
{
	order[finished++] = (unsigned)request->copy_from;
	io_done(request, error);
}

static void a_dry_pool_makes_them_wait_in_order(void **state)
{
	const unsigned each = DST_MAX_PAYLOAD / CHUNK, fit = SPLIT_REQUESTS / each, count = fit + 8;
	struct io *ios[64];

	make(CHUNK, 2);
	hold(true);
	finished = 0;
	for (unsigned i = 0; i < count; i++) {
		ios[i] = calloc(1, sizeof(*ios[i]));
		ios[i]->request =
			(struct request){.type = REQUEST_WRITE,
					 .range = {i % 4 * DST_MAX_PAYLOAD + 1, DST_MAX_PAYLOAD},
					 .data = pattern,
					 .copy_from = i,
					 .worker = &m.worker,
					 .done = ordered_done};
		target_submit(m.map, &ios[i]->request);
	}
	assert_int_equal(submitted(), SPLIT_REQUESTS);
	/* One that waits, one that was begun and can't go on, and one that is wholly there. */
	target_cancel(m.map, &ios[count - 1]->request, EINTR);
	assert_int_equal(end(ios[count - 1]), EINTR);
	assert_int_equal(submitted(), SPLIT_REQUESTS);
	target_cancel(m.map, &ios[fit - 1]->request, EINTR);
	assert_int_equal(end(ios[fit - 1]), EINTR);
	target_cancel(m.map, &ios[0]->request, EINTR);
	assert_int_equal(end(ios[0]), EINTR);
	release_all();
	for (unsigned i = 1; i < count - 1; i++)
		if (i != fit - 1)
			assert_int_equal(end(ios[i]), 0);
	for (unsigned i = 4; i < finished; i++)
		assert_true(order[i] > order[i - 1]);
	assert_int_equal(finished, count);
}

static void one_that_ends_makes_room_for_another(void **state)
{
	static struct io *ios[SPLIT_REQUESTS + 2];

	make(CHUNK, 2);
	hold(true);
	for (unsigned i = 0; i < SPLIT_REQUESTS + 2; i++)
		ios[i] = submit(REQUEST_WRITE, i % 4 * CHUNK, 1, pattern);
	assert_int_equal(submitted(), SPLIT_REQUESTS);
	target_cancel(m.map, &ios[7]->request, EINTR);
	assert_int_equal(submitted(), SPLIT_REQUESTS + 1);
	fake_release(&m.fakes[0], 1);
	assert_int_equal(submitted(), SPLIT_REQUESTS + 2);
	release_all();
	for (unsigned i = 0; i < SPLIT_REQUESTS + 2; i++)
		assert_int_equal(end(ios[i]), i == 7 ? EINTR : 0);
}

static void without_buffers_reads_wait_and_let_others_pass(void **state)
{
	const unsigned most = 32;
	struct buf *taken[32];
	struct io *first, *second, *third;

	make_map(CHUNK, WORKER_BUFS / most - 1);
	while (m.count < 2)
		add_fake(CHILD_SIZE, CHILD_SIZE);
	map_start(m.map);
	for (unsigned i = 0; i < most; i++)
		taken[i] = buf_get(m.worker.bufs);
	first = submit(REQUEST_READ, 0, 2 * CHUNK, NULL);
	second = submit(REQUEST_READ, 0, 2 * CHUNK, NULL);
	third = submit(REQUEST_READ, 0, 2 * CHUNK, NULL);
	assert_int_equal(submitted(), 0);
	assert_int_equal(end(submit(REQUEST_WRITE, 0, 2 * CHUNK, pattern)), 0);
	assert_int_equal(end(submit(REQUEST_READ, 0, CHUNK, NULL)), 0);
	target_cancel(m.map, &second->request, EINTR);
	assert_int_equal(end(second), EINTR);
	buf_unref(&taken[0]);
	run_loop();
	assert_memory_equal(first->data, pattern, 2 * CHUNK);
	assert_int_equal(end(first), 0);
	assert_int_equal(end(third), 0);
	for (unsigned i = 1; i < most; i++)
		buf_unref(&taken[i]);
}

static struct io *copy(uint64_t to, uint64_t from, uint64_t length)
{
	struct io *io = calloc(1, sizeof(*io));

	io->request = (struct request){.type = REQUEST_COPY,
				       .range = {to, length},
				       .copy_from = from,
				       .worker = &m.worker,
				       .done = io_done};
	target_submit(m.map, &io->request);
	return io;
}

static int copied(struct io *io, uint64_t bytes)
{
	assert_int_equal(io->done, 1);
	if (!io->error)
		assert_int_equal(io->request.result, bytes);
	return end(io);
}

static void a_copy_goes_as_far_as_both_sides_lie_alike(void **state)
{
	const uint64_t row = 3 * CHUNK;
	struct io *io;

	make(CHUNK, 3);
	assert_int_equal(end(submit(REQUEST_WRITE, 0, 6 * row, pattern)), 0);
	m.fakes[0].submitted = m.fakes[1].submitted = m.fakes[2].submitted = 0;
	assert_int_equal(copied(copy(20 * row + 77, 77, 5 * row), 5 * row), 0);
	assert_int_equal(submitted(), 3);
	io = submit(REQUEST_READ, 20 * row + 77, 5 * row, NULL);
	assert_memory_equal(io->data, pattern + 77, 5 * row);
	io_free(io);
	/* Up to where one side changes to another child. */
	assert_int_equal(copied(copy(20 * row, row + 100, CHUNK), CHUNK - 100), 0);
	assert_int_equal(copied(copy(20 * row, CHUNK, CHUNK), 0), EOPNOTSUPP);
	assert_int_equal(copied(copy(CHUNK, 0, 2 * CHUNK), 0), EINVAL);
	/* A child that copies less: all in front of the first gap. */
	m.fakes[1].copy_most = CHUNK + 10;
	assert_int_equal(copied(copy(20 * row, 0, 5 * row), 3 * CHUNK + CHUNK + 10), 0);
	m.fakes[0].copy_most = 10;
	assert_int_equal(copied(copy(20 * row, 0, 5 * row), 10), 0);
}

static void a_linear_copy_ends_at_the_seam(void **state)
{
	make(0, 2);
	assert_int_equal(copied(copy(CHILD_SIZE - CHUNK, 0, 2 * CHUNK), CHUNK), 0);
	assert_int_equal(copied(copy(0, CHILD_SIZE - 100, CHUNK), 100), 0);
	assert_int_equal(copied(copy(0, CHILD_SIZE, CHUNK), 0), EOPNOTSUPP);
}

static void a_hash_is_the_childs_or_computed(void **state)
{
	struct checksum_range *digest;
	uint8_t want[DST_HASH_SIZE];
	struct io *io;

	make(CHUNK, 2);
	assert_int_equal(end(submit(REQUEST_WRITE, 100, 8 * CHUNK, pattern)), 0);
	memset(m.fakes[1].hash, 0xab, sizeof(want));
	io = submit(REQUEST_HASH, CHUNK, CHUNK, NULL);
	assert_memory_equal(io->hash, m.fakes[1].hash, sizeof(want));
	io_free(io);
	digest = checksum_range_new(0);
	checksum_range_add(digest, pattern, 8 * CHUNK);
	checksum_range_end(&digest, want);
	io = submit(REQUEST_HASH, 100, 8 * CHUNK, NULL);
	assert_memory_equal(io->hash, want, sizeof(want));
	io_free(io);
	assert_int_equal(end(submit(REQUEST_HASH, 0, DST_MAX_PAYLOAD, NULL)), 0);
	assert_int_equal(end(submit(REQUEST_HASH, 0, DST_MAX_PAYLOAD + 1, NULL)), EOPNOTSUPP);
}

/* What the whole must say, byte by byte, of what the children do. */
static uint32_t kind_at(uint64_t offset)
{
	const struct map *map = (const struct map *)m.map;
	struct map_piece piece = map->ops->piece(map, offset);

	return piece.offset / m.fakes[piece.child].extent_grain % 2 ? DST_EXTENT_HOLE
								    : DST_EXTENT_DATA;
}

static void check_extents(uint64_t offset, uint64_t length, bool all)
{
	struct io *io = submit(REQUEST_EXTENTS, offset, length, NULL);
	uint64_t at = offset;

	assert_int_equal(io->error, 0);
	assert_in_range(io->request.extent_count, 1, DST_MAX_EXTENTS);
	for (unsigned i = 0; i < io->request.extent_count; i++) {
		assert_true(io->extents[i].length > 0);
		if (i)
			assert_int_not_equal(io->extents[i].kind, io->extents[i - 1].kind);
		for (uint64_t n = 0; n < io->extents[i].length; n += 512)
			if (kind_at(at + n) != io->extents[i].kind)
				fail_msg("at %llu", (unsigned long long)(at + n));
		at += io->extents[i].length;
	}
	assert_true(at <= offset + length);
	assert_int_equal(all, at == offset + length);
	io_free(io);
}

static void extents_are_joined_in_order_and_bounded(void **state)
{
	make(CHUNK, 3);
	check_extents(0, 3 * CHILD_SIZE, true);
	m.fakes[1].extent_grain = 6 * CHUNK;
	m.fakes[2].extent_grain = 65536;
	check_extents(0, 900 * CHUNK, true);
	check_extents(0, 3 * CHILD_SIZE, false);
	check_extents(5 * CHUNK + 512, 100 * CHUNK + 1024, true);
	m.fakes[0].extent_grain = 512;
	check_extents(0, 3 * CHILD_SIZE, false); /* more than fit */
	check_extents(CHUNK, 512, true);
}

static void extents_of_a_linear_map_run_on(void **state)
{
	make(0, 3);
	m.fakes[1].extent_grain = 1 << 20;
	check_extents(0, 3 * CHILD_SIZE, true);
	check_extents(CHILD_SIZE - 512, 1024, true);
}

static void a_fence_of_one_fails_all(void **state)
{
	make(0, 2);
	set_fake_state(&m.fakes[1], TARGET_FENCED, "taken over");
	assert_int_equal(end(submit(REQUEST_READ, 0, CHUNK, NULL)), EIO);
	assert_int_equal(end(submit(REQUEST_FLUSH, 0, 0, NULL)), EIO);
	assert_int_equal(submitted(), 0);
	set_fake_state(&m.fakes[1], TARGET_READY, "");
	assert_int_equal(end(submit(REQUEST_READ, 0, CHUNK, NULL)), 0);
}

/* Who hears of the error may ask for the state at once: a mirror must not take a fence for a failure. */
static void a_fence_is_known_before_what_failed_for_it_is_told(void **state)
{
	make(0, 2);
	m.fakes[1].base.state = TARGET_FENCED; /* and tells it later */
	m.fakes[1].error = EIO;
	assert_int_equal(end(submit(REQUEST_WRITE, CHILD_SIZE, CHUNK, pattern)), EIO);
	assert_int_equal(m.map->state, TARGET_FENCED);
}

static void a_child_is_never_asked_beyond_its_end(void **state)
{
	make(0, 2);
	m.fakes[0].room = CHUNK;
	set_size(&m.fakes[0], CHUNK);
	assert_int_equal(m.map->state, TARGET_REFUSED);
	assert_int_equal(end(submit(REQUEST_READ, 0, CHUNK, NULL)), 0);
	assert_int_equal(end(submit(REQUEST_READ, CHUNK, 1, NULL)), EIO);
	assert_int_equal(end(submit(REQUEST_WRITE, CHILD_SIZE - 5, 10, pattern)), EIO);
	assert_memory_equal(m.fakes[1].memory, pattern + 5, 5);
}

/* A completion that submits again, as the next piece of a long range does. */
static unsigned again;

static void done_again(struct request *request, int error)
{
	if (again--)
		target_submit(m.map, request);
	else
		io_done(request, error);
}

static void a_completion_may_submit_the_same_request(void **state)
{
	static const int errors[] = {0, EIO};

	make(CHUNK, 2);
	for (unsigned i = 0; i < 2; i++) {
		struct io *io = calloc(1, sizeof(*io));

		m.fakes[1].error = errors[i];
		again = 100000; /* which would be too deep a recursion */
		io->request = (struct request){.type = REQUEST_WRITE_ZEROES,
					       .range = {0, 3 * CHUNK},
					       .worker = &m.worker,
					       .done = done_again};
		target_submit(m.map, &io->request);
		assert_int_equal(end(io), errors[i]);
	}
	/* And one that fails before it gets anywhere. */
	{
		struct io *io = calloc(1, sizeof(*io));

		again = 100;
		io->request = (struct request){.type = REQUEST_COPY,
					       .range = {0, 100},
					       .copy_from = CHUNK,
					       .worker = &m.worker,
					       .done = done_again};
		target_submit(m.map, &io->request);
		assert_int_equal(end(io), EOPNOTSUPP);
	}
}

#define MAP_TEST(test) cmocka_unit_test_setup_teardown(test, map_setup, map_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MAP_TEST(what_one_child_has_goes_as_it_is),
		MAP_TEST(a_write_is_cut_at_the_seams_out_of_one_buffer),
		MAP_TEST(a_read_is_put_together_whatever_comes_first),
		MAP_TEST(ranges_without_data_make_one_request_a_child),
		MAP_TEST(flush_goes_to_all),
		MAP_TEST(a_loss_is_told_to_all_that_came_before_it_was),
		MAP_TEST(what_a_cancelled_flush_was_told_the_next_one_tells),
		MAP_TEST(what_was_lost_before_a_write_is_over_is_written_again),
		MAP_TEST(nothing_durable_is_written_again),
		MAP_TEST(the_error_that_lies_first_counts_when_all_are_over),
		MAP_TEST(cancelling_ends_all_that_children_hold),
		MAP_TEST(a_dry_pool_makes_them_wait_in_order),
		MAP_TEST(one_that_ends_makes_room_for_another),
		MAP_TEST(without_buffers_reads_wait_and_let_others_pass),
		MAP_TEST(a_copy_goes_as_far_as_both_sides_lie_alike),
		MAP_TEST(a_linear_copy_ends_at_the_seam),
		MAP_TEST(a_hash_is_the_childs_or_computed),
		MAP_TEST(extents_are_joined_in_order_and_bounded),
		MAP_TEST(extents_of_a_linear_map_run_on),
		MAP_TEST(a_fence_of_one_fails_all),
		MAP_TEST(a_fence_is_known_before_what_failed_for_it_is_told),
		MAP_TEST(a_child_is_never_asked_beyond_its_end),
		MAP_TEST(a_completion_may_submit_the_same_request),
	};

	log_init("test_split", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
