/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_volume.c - what a volume lets through to its target, in which order, and how what waits
 * ends: over a target that does nothing until the test says so.
 */
#include "dstfs/volume.h"

#include "common/clock.h"
#include "dstfs/ranges.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 2u
#define SIZE (1ull << 40)
#define IOS 64u

/* The target: `here` is what it was given and has not completed. */
static struct {
	struct target base;
	struct request_list here;
	struct request *order[IOS * 4]; /* as they came */
	unsigned came, most_here, count;
	uint64_t bytes, most_bytes;
	struct range_hold *kept; /* of the last cancelled one */
	uint64_t losses;
} below;

static struct worker workers[WORKERS];
static struct volume *volume;

struct io {
	struct volume_io io;
	unsigned ended;
	int error;
	struct io *again; /* submitted when this one is done */
};

static struct io ios[IOS];

static void below_submit(struct target *target, struct request *request)
{
	assert_int_equal(request->place, REQUEST_NOWHERE);
	request_list_append(&below.here, request);
	request->place = REQUEST_WAITING;
	below.order[below.came++] = request;
	if (++below.count > below.most_here)
		below.most_here = below.count;
	below.bytes += request->range.length;
	if (below.bytes > below.most_bytes)
		below.most_bytes = below.bytes;
}

static void complete(struct request *request, int error)
{
	request_list_remove(&below.here, request);
	below.count--;
	below.bytes -= request->range.length;
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

/* Like one that can't call back what it has begun. */
static void below_cancel(struct target *target, struct request *request, int error)
{
	range_hold_put(&below.kept);
	if (request->hold)
		below.kept = range_hold_get(request->hold);
	complete(request, error);
}

static json_t *below_status(struct target *target)
{
	return json_object();
}

static bool below_destroy(struct target *target)
{
	return true;
}

static uint64_t below_losses(struct target *target)
{
	return below.losses;
}

static const struct target_ops below_ops = {
	.submit = below_submit,
	.cancel = below_cancel,
	.status = below_status,
	.losses = below_losses,
	.destroy = below_destroy,
};

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

/* Each worker runs what it was given. */
static void turn(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct loop_work work = {.callback = stop_loop, .arg = workers[i].loop};

		loop_post(workers[i].loop, &work);
		loop_run(workers[i].loop);
	}
}

static void begin(unsigned requests, uint64_t bytes)
{
	struct target_policy *policy;

	memset(&below, 0, sizeof(below));
	memset(ios, 0, sizeof(ios));
	below.base.ops = &below_ops;
	below.base.size = SIZE;
	below.base.writable = true;
	below.base.state = TARGET_READY;
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(worker_init(&workers[i], i), 0);
	volume = volume_new("vol0", workers, WORKERS, requests * WORKERS, bytes * WORKERS);
	assert_non_null(volume);
	policy = volume_policy(volume);
	policy->timeout = 3600 * CLOCK_SEC;
	below.base.policy = policy;
	volume_set_target(volume, &below.base);
}

static void end(void)
{
	range_hold_put(&below.kept);
	turn();
	assert_int_equal(volume_inflight(volume), 0);
	assert_true(volume_free(&volume));
	for (unsigned i = 0; i < WORKERS; i++)
		worker_destroy(&workers[i]);
}

static void on_done(struct volume_io *io, int error)
{
	struct io *i = (struct io *)io; /* io is the first member */

	i->ended++;
	i->error = error;
	if (i->again)
		volume_submit(volume, &i->again->io);
}

static struct io *prepare(unsigned index, unsigned worker, enum request_type type, uint64_t offset,
			  uint64_t length)
{
	ios[index] = (struct io){.io = {.request = {.type = type,
						    .range = {offset, length},
						    .worker = &workers[worker]},
					.done = on_done}};
	return &ios[index];
}

static struct io *submit(unsigned index, unsigned worker, enum request_type type, uint64_t offset,
			 uint64_t length)
{
	struct io *io = prepare(index, worker, type, offset, length);

	volume_submit(volume, &io->io);
	return io;
}

static bool at_target(const struct io *io)
{
	return io->io.request.place == REQUEST_WAITING;
}

static void end_io(struct io *io)
{
	assert_true(at_target(io));
	complete(&io->io.request, 0);
	assert_int_equal(io->ended, 1);
	assert_int_equal(io->error, 0);
}

static void what_overlaps_is_never_at_the_target_together(void **state)
{
	for (unsigned other = 0; other < WORKERS; other++) {
		struct io *first, *second, *reader, *apart, *third;

		begin(16, 1 << 20);
		first = submit(0, 0, REQUEST_WRITE, 0, 8192);
		second = submit(1, other, REQUEST_WRITE_ZEROES, 4096, 8192);
		reader = submit(2, 0, REQUEST_READ, 0, 8192);
		apart = submit(3, other, REQUEST_WRITE, 65536, 4096);
		third = submit(4, 0, REQUEST_DISCARD, 8192, 512);
		assert_true(at_target(first) && at_target(reader) && at_target(apart));
		assert_int_equal(second->io.request.place, REQUEST_HELD_UP);
		assert_int_equal(third->io.request.place, REQUEST_HELD_UP);
		assert_non_null(first->io.request.hold);
		assert_null(reader->io.request.hold);
		end_io(first);
		turn();
		assert_true(at_target(second));
		assert_false(at_target(third));
		end_io(second);
		turn();
		end_io(third);
		end_io(apart);
		end_io(reader);
		end();
	}
}

static void a_copy_holds_its_source_too(void **state)
{
	struct io *copy, *write;

	begin(16, 1 << 20);
	copy = prepare(0, 0, REQUEST_COPY, 1 << 20, 8192);
	copy->io.request.copy_from = 4096;
	volume_submit(volume, &copy->io);
	write = submit(1, 1, REQUEST_WRITE, 8192, 4096);
	assert_true(at_target(copy));
	assert_int_equal(write->io.request.place, REQUEST_HELD_UP);
	end_io(copy);
	turn();
	end_io(write);
	end();
}

static void no_more_than_the_limits_are_under_way(void **state)
{
	begin(4, 1 << 20);
	for (unsigned i = 0; i < 20; i++)
		submit(i, 0, i % 2 ? REQUEST_READ : REQUEST_WRITE, i * 4096ull, 4096);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(below.count, i > 16 ? 20 - i : 4);
		end_io(&ios[i]); /* in order of arrival */
	}
	assert_int_equal(below.most_here, 4);
	end();

	begin(100, 10000);
	for (unsigned i = 0; i < 20; i++)
		submit(i, 0, REQUEST_WRITE, i * 4096ull, 4096);
	submit(20, 0, REQUEST_READ, 0, 1 << 20); /* one always may */
	submit(21, 0, REQUEST_WRITE_ZEROES, 1 << 20, 1 << 20); /* no data */
	assert_int_equal(below.count, 2);
	for (unsigned i = 0; i < 18; i++)
		end_io(&ios[i]);
	assert_int_equal(below.most_bytes, 8192);
	end_io(&ios[18]);
	assert_false(at_target(&ios[20])); /* beside another it is too much */
	end_io(&ios[19]);
	end_io(&ios[20]);
	end_io(&ios[21]);
	end();
}

static void higher_limits_take_effect_at_once(void **state)
{
	begin(2, 4096);
	for (unsigned i = 0; i < 10; i++)
		submit(i, 1, REQUEST_WRITE, i * 4096ull, 4096);
	assert_int_equal(below.count, 1);
	volume_set_limits(volume, 16, 1 << 20);
	turn();
	assert_int_equal(below.count, 8);
	volume_set_limits(volume, 2, 1 << 20);
	for (unsigned i = 0; i < 10; i++)
		end_io(&ios[i]);
	end();
}

/* Who is held up has taken its room, and gives it back whatever its end. */
static void held_up_ones_count(void **state)
{
	begin(4, 1 << 20);
	for (unsigned i = 0; i < 4; i++)
		submit(i, 0, REQUEST_WRITE, 0, 4096);
	submit(4, 0, REQUEST_WRITE, 1 << 20, 4096);
	assert_int_equal(below.count, 1);
	assert_int_equal(ios[4].io.request.place, REQUEST_PARKED);
	volume_cancel(&ios[2].io, EINTR);
	assert_int_equal(ios[2].error, EINTR);
	assert_true(at_target(&ios[4]));
	for (unsigned i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		end_io(&ios[i]);
		turn();
	}
	end_io(&ios[4]);
	end();
}

static void a_cancelled_one_keeps_its_range_as_long_as_the_target_says(void **state)
{
	struct io *write;

	begin(8, 1 << 20);
	write = submit(0, 0, REQUEST_WRITE, 0, 4096);
	volume_cancel(&write->io, EINTR);
	assert_int_equal(write->error, EINTR);
	write = submit(1, 1, REQUEST_WRITE, 0, 4096);
	turn();
	assert_int_equal(write->io.request.place, REQUEST_HELD_UP);
	range_hold_put(&below.kept);
	turn();
	end_io(write);
	end();
}

static void run_for(uint64_t time)
{
	struct loop_timer timer;

	assert_int_equal(loop_timer_init(&timer, workers[0].loop, stop_loop, workers[0].loop), 0);
	loop_timer_set(&timer, time);
	loop_run(workers[0].loop);
	loop_timer_destroy(&timer);
}

static void patience_counts_while_the_range_is_waited_for(void **state)
{
	struct io *first, *second;
	uint64_t since;

	begin(8, 1 << 20);
	first = submit(0, 0, REQUEST_WRITE, 0, 4096);
	second = submit(1, 0, REQUEST_WRITE, 0, 4096);
	since = second->io.request.since;
	assert_true(since);
	end_io(first);
	turn();
	assert_true(at_target(second));
	assert_int_equal(second->io.request.since, since); /* goes on from there */

	first = submit(0, 0, REQUEST_WRITE, 0, 4096);
	assert_int_equal(first->io.request.place, REQUEST_HELD_UP);
	volume_policy(volume)->timeout = 1; /* in force for those that wait already */
	below.base.patiences = UINT32_MAX; /* but who is in front may take so many times that */
	run_for(300 * CLOCK_MS);
	assert_false(first->ended);
	below.base.patiences = 0;
	while (!first->ended)
		run_for(10 * CLOCK_MS);
	assert_int_equal(first->error, EIO);
	end_io(second);
	end();
}

/* Another one comes in between the pieces of a long range, and a cancelled long one stops. */
static void a_long_range_holds_one_piece_at_a_time(void **state)
{
	struct io *zeroes, *write;

	begin(8, 1 << 20);
	zeroes = submit(0, 0, REQUEST_WRITE_ZEROES, 0, 3ull << 30);
	write = submit(1, 0, REQUEST_WRITE, 4096, 4096);
	assert_int_equal(below.order[0]->range.length, 1 << 30);
	zeroes->io.request.since = 1;
	complete(below.order[0], 0); /* the first piece; the second is begun at once */
	assert_int_equal(zeroes->io.request.since, 0); /* and has all the patience there is */
	assert_true(at_target(zeroes));
	assert_int_equal(zeroes->io.request.range.offset, 1 << 30);
	turn();
	end_io(write);
	write = submit(1, 1, REQUEST_WRITE, (2ull << 30) - 512, 1024); /* of pieces two and three */
	complete(&zeroes->io.request, 0);
	assert_int_equal(zeroes->io.request.place, REQUEST_HELD_UP);
	turn();
	end_io(write);
	turn();
	assert_int_equal(zeroes->io.request.range.offset, 2ull << 30);
	end_io(zeroes);

	zeroes = submit(0, 0, REQUEST_WRITE_ZEROES, 0, 3ull << 30);
	volume_cancel(&zeroes->io, EINTR);
	assert_int_equal(zeroes->ended, 1);
	assert_int_equal(below.count, 0);
	end();
}

/* An fsync has told of the first piece meanwhile, and nobody will after the whole has succeeded. */
static void a_long_range_fails_when_a_piece_may_be_lost(void **state)
{
	struct io *zeroes;

	begin(8, 1 << 20);
	zeroes = submit(0, 0, REQUEST_WRITE_ZEROES, 0, 2ull << 30);
	complete(&zeroes->io.request, 0);
	below.losses++;
	complete(&zeroes->io.request, 0);
	assert_int_equal(zeroes->ended, 1);
	assert_int_equal(zeroes->error, EIO);

	zeroes = submit(0, 0, REQUEST_WRITE_ZEROES, 0, 1 << 30); /* the target's matter */
	below.losses++;
	end_io(zeroes);
	end();
}

static void fail_ends_all_that_is_outstanding_and_no_more(void **state)
{
	struct io *again;
	unsigned came;

	begin(3, 1 << 20);
	for (unsigned i = 0; i < 20; i++) /* at the target, held up, parked, on both workers */
		submit(i, i % 2, i % 5 ? REQUEST_WRITE : REQUEST_FLUSH, 0, i % 5 ? 4096 : 0);
	again = prepare(20, 0, REQUEST_READ, 0, 4096);
	ios[0].again = again;
	came = below.came;
	volume_fail(volume);
	assert_int_equal(ios[0].ended, 0); /* each worker by itself */
	turn();
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(ios[i].ended, 1);
		assert_int_equal(ios[i].error, EIO);
	}
	assert_int_equal(below.came, came + 1); /* what was parked never got there */
	end_io(again);
	range_hold_put(&below.kept);
	turn();
	submit(0, 0, REQUEST_WRITE, 0, 4096);
	end_io(&ios[0]); /* the volume goes on */
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_overlaps_is_never_at_the_target_together),
		cmocka_unit_test(a_copy_holds_its_source_too),
		cmocka_unit_test(no_more_than_the_limits_are_under_way),
		cmocka_unit_test(higher_limits_take_effect_at_once),
		cmocka_unit_test(held_up_ones_count),
		cmocka_unit_test(a_cancelled_one_keeps_its_range_as_long_as_the_target_says),
		cmocka_unit_test(patience_counts_while_the_range_is_waited_for),
		cmocka_unit_test(a_long_range_holds_one_piece_at_a_time),
		cmocka_unit_test(a_long_range_fails_when_a_piece_may_be_lost),
		cmocka_unit_test(fail_ends_all_that_is_outstanding_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
