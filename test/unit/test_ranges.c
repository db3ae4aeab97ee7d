/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_ranges.c - holds on ranges: who waits for whom, in which order, what giving up leaves behind;
 * against a model, and with threads that would show ThreadSanitizer two holders of a byte.
 *
 * tsan
 */
#include "dstfs/ranges.h"

#include "common/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 3u
#define REGION 65536ull
#define NONE ((struct range){0, 0})

static struct worker workers[WORKERS];
static struct ranges *ranges;
static bool inside; /* of ranges_take() or range_hold_put() */

/* One who asks. */
struct asker {
	struct worker *worker;
	struct range range, also;
	struct range_hold *hold;
	bool had; /* the hold is granted */
	unsigned told; /* how often granted_fn ran */
};

static void on_granted(void *arg)
{
	struct asker *a = arg;

	assert_false(inside);
	assert_false(a->had);
	a->had = true;
	a->told++;
}

static bool take(struct asker *a)
{
	inside = true;
	a->told = 0;
	a->hold = ranges_take(ranges, a->worker, a->range, a->also, on_granted, a, &a->had);
	inside = false;
	assert_non_null(a->hold);
	return a->had;
}

static void put(struct asker *a)
{
	inside = true;
	range_hold_put(&a->hold);
	inside = false;
	assert_null(a->hold);
	a->had = false;
}

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

/* Each worker's loop runs what it was given. */
static void turn(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct loop_work work = {.callback = stop_loop, .arg = workers[i].loop};

		loop_post(workers[i].loop, &work);
		loop_run(workers[i].loop);
	}
}

static void begin(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(worker_init(&workers[i], i), 0);
	ranges = ranges_new(workers, count);
	assert_non_null(ranges);
}

static void end(unsigned count)
{
	turn(count);
	assert_int_equal(ranges_count(ranges), 0);
	ranges_free(&ranges);
	assert_null(ranges);
	for (unsigned i = 0; i < count; i++)
		worker_destroy(&workers[i]);
}

static struct asker asker(unsigned worker, uint64_t offset, uint64_t length)
{
	return (struct asker){.worker = &workers[worker], .range = {offset, length}};
}

static void who_shares_a_byte_waits_and_nobody_else(void **state)
{
	static const struct {
		struct range a, b;
		bool waits;
	} rows[] = {
		{{0, 4096}, {0, 4096}, true},
		{{0, 4096}, {4095, 1}, true},
		{{0, 4096}, {4096, 4096}, false},
		{{8192, 1}, {8191, 1}, false},
		{{REGION - 1, 2}, {REGION, 1}, true}, /* across two regions */
		{{REGION - 1, 2}, {REGION - 1, 1}, true},
		{{REGION - 2, 1}, {REGION - 1, 2}, false},
		{{0, REGION}, {64 * REGION, REGION}, false}, /* one shard, far apart */
		{{0, 1 << 20}, {(1 << 20) - 1, 1}, true}, /* more parts than a narrow one has */
		{{0, 1 << 20}, {1 << 20, 1}, false},
		{{63 * REGION, 2 * REGION}, {64 * REGION, 1}, true}, /* round the last shard */
		{{0, 1ull << 40}, {1ull << 39, 1}, true},
		{{0, 63 * REGION}, {62 * REGION, 1}, true},
		{{1, 63 * REGION}, {63 * REGION, 1}, true},
		{{1, 64 * REGION}, {64 * REGION, 1}, true},
		{{0, 64 * REGION}, {64 * REGION, 1}, false},
		{{UINT64_MAX - 9, 9}, {UINT64_MAX - 1, 1}, true}, /* at the end of all */
		{{UINT64_MAX - 9, 8}, {UINT64_MAX - 1, 1}, false},
		{{0, 0}, {0, 4096}, false},
	};

	for (unsigned count = 1; count <= 2; count++) {
		begin(count);
		for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
			struct range ab[] = {rows[i / 2].a, rows[i / 2].b};
			struct asker first = {.worker = &workers[0], .range = ab[i % 2]};
			struct asker second = {.worker = &workers[count - 1],
					       .range = ab[1 - i % 2]};

			assert_true(take(&first));
			assert_int_equal(take(&second), !rows[i / 2].waits);
			assert_int_equal(ranges_count(ranges), 2);
			turn(count);
			assert_int_equal(second.told, 0);
			put(&first);
			turn(count);
			assert_true(second.had);
			assert_int_equal(second.told, rows[i / 2].waits);
			put(&second);
		}
		end(count);
	}
}

static void first_come_first_served(void **state)
{
	begin(WORKERS);
	for (unsigned at = 0; at < WORKERS; at++) {
		struct asker a = asker(0, 0, 100), b = asker(at, 50, 100), c = asker(0, 120, 100);
		struct asker d = asker(2, 0, 40);

		assert_true(take(&a));
		assert_false(take(&b));
		assert_false(take(&c)); /* only b is in its way, and b waits */
		assert_false(take(&d));
		put(&a);
		turn(WORKERS);
		assert_true(b.had && d.had);
		assert_false(c.had);
		put(&d);
		put(&b);
		turn(WORKERS);
		assert_true(c.had);
		put(&c);
	}
	end(WORKERS);
}

static void a_wide_one_does_not_starve(void **state)
{
	struct asker wide, narrow[2];

	begin(WORKERS);
	wide = asker(1, 0, 1ull << 30);
	narrow[0] = asker(0, 500 << 20, 4096);
	assert_true(take(&narrow[0]));
	assert_false(take(&wide));
	/* One after the other, never none at work: but who comes now comes after the wide one. */
	for (unsigned i = 1; i < 1000; i++) {
		narrow[1] = asker(2, (uint64_t)i << 20, 4096);
		assert_false(take(&narrow[1]));
		if (i == 1)
			put(&narrow[0]);
		turn(WORKERS);
		assert_true(wide.had);
		assert_false(narrow[1].had);
		put(&narrow[1]); /* gives up */
	}
	put(&wide);
	end(WORKERS);
}

static void the_last_reference_lets_others_go_on(void **state)
{
	struct asker a, b;
	struct range_hold *more;

	begin(1);
	a = asker(0, 0, 10);
	b = asker(0, 0, 10);
	assert_true(take(&a));
	more = range_hold_get(a.hold);
	assert_ptr_equal(more, a.hold);
	assert_false(take(&b));
	put(&a);
	turn(1);
	assert_false(b.had);
	assert_int_equal(ranges_count(ranges), 2);
	range_hold_put(&more);
	turn(1);
	assert_true(b.had);
	put(&b);
	range_hold_put(&b.hold); /* NULL is fine */
	end(1);
}

/* Gives up before the grant, while it is on its way, and with others behind. */
static void who_gives_up_is_not_told_and_in_nobodys_way(void **state)
{
	begin(WORKERS);
	for (unsigned i = 0; i < 2 * WORKERS; i++) {
		struct asker a = asker(0, 0, 1 << 20), b = asker(i / 2, 0, 1 << 20);
		struct asker c = asker(2, 5, 1);

		assert_true(take(&a));
		assert_false(take(&b));
		assert_false(take(&c));
		if (i % 2)
			put(&a);
		put(&b);
		if (!(i % 2))
			put(&a);
		turn(WORKERS);
		assert_int_equal(b.told, 0);
		assert_int_equal(c.told, 1);
		put(&c);
		turn(WORKERS);
		assert_int_equal(ranges_count(ranges), 0);
	}
	end(WORKERS);
}

static void a_copy_holds_two_ranges(void **state)
{
	struct asker copy, source, target, between;

	begin(2);
	copy = asker(0, 10 * REGION, 2 * REGION);
	copy.also = (struct range){40 * REGION + 5, 2 * REGION};
	target = asker(1, 11 * REGION, 1);
	source = asker(1, 42 * REGION + 4, 1);
	between = asker(1, 20 * REGION, REGION);
	assert_true(take(&copy));
	assert_false(take(&target));
	assert_false(take(&source));
	assert_true(take(&between));
	put(&copy);
	turn(2);
	assert_true(target.had && source.had);
	assert_false(take(&copy)); /* now it waits for two */
	put(&source);
	turn(2);
	assert_false(copy.had);
	put(&target);
	turn(2);
	assert_true(copy.had);
	put(&copy);
	put(&between);
	end(2);
}

/* ---- against a model ---- */

#define ASKERS 40u
#define STEPS 40000u

static uint64_t seed;

static uint64_t draw(uint64_t *seed_of, uint64_t below)
{
	uint64_t z = *seed_of += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (z ^ z >> 31) % below;
}

static struct range draw_range(uint64_t *seed_of)
{
	static const uint64_t lengths[] = {1, 512, 4096, REGION, 3 * REGION, 1 << 20, 1 << 24};
	uint64_t length = 1 + draw(seed_of, lengths[draw(seed_of, 7)]);

	return (struct range){draw(seed_of, (1 << 24) - length + 1), length};
}

static bool meet(const struct asker *a, const struct asker *b)
{
	return range_overlaps(a->range, b->range) || range_overlaps(a->range, b->also) ||
	       range_overlaps(a->also, b->range) || range_overlaps(a->also, b->also);
}

/* A hold is had exactly if nobody of those who came before meets it. */
static void holds_are_granted_as_in_the_model(void **state)
{
	struct asker slots[ASKERS], *queue[ASKERS]; /* in order of arrival */
	unsigned count = 0, waited = 0, gave_up = 0;

	begin(WORKERS);
	for (unsigned i = 0; i < ASKERS; i++)
		slots[i].hold = NULL;
	for (unsigned step = 0; step < STEPS; step++) {
		struct asker *a = &slots[draw(&seed, ASKERS)];

		if (!a->hold) {
			*a = (struct asker){.worker = &workers[draw(&seed, WORKERS)],
					    .range = draw_range(&seed)};
			if (!draw(&seed, 4))
				a->also = draw_range(&seed);
			waited += !take(a);
			queue[count++] = a;
		} else {
			unsigned at = 0;

			gave_up += !a->had;
			put(a);
			while (queue[at] != a)
				at++;
			memmove(&queue[at], &queue[at + 1], (--count - at) * sizeof(queue[0]));
		}
		if (draw(&seed, 3))
			continue;
		turn(WORKERS);
		for (unsigned i = 0; i < count; i++) {
			bool free_way = true;

			for (unsigned j = 0; j < i; j++)
				free_way &= !meet(queue[j], queue[i]);
			if (queue[i]->had != free_way)
				fail_msg("step %u: had is %d", step, queue[i]->had);
		}
	}
	assert_true(waited > STEPS / 20 && gave_up > STEPS / 20);
	while (count)
		put(queue[--count]);
	end(WORKERS);
}

/* ---- with threads ---- */

#define BLOCK 4096u
#define BLOCKS (8u << 20 >> 12)
#define IN_HAND 16u
#define ROUNDS 20000u

static unsigned owner[BLOCKS]; /* plain: two holders at a time are a data race */

struct thread;

struct job {
	struct thread *thread;
	struct range blocks, also; /* counted in blocks */
	struct range_hold *hold, *second; /* second: a reference that outlives the first */
	struct loop_hook next; /* does the next step */
	bool waiting, had;
};

struct thread {
	struct worker *worker;
	uint64_t seed;
	unsigned rounds, waited, gave_up, running;
	struct job jobs[IN_HAND];
	struct loop_work start;
};

static void mark(struct range blocks, unsigned from, unsigned to)
{
	for (uint64_t i = 0; i < blocks.length; i++) {
		if (owner[blocks.offset + i] != from)
			fail_msg("block %u has owner %u", (unsigned)(blocks.offset + i),
				 owner[blocks.offset + i]);
		owner[blocks.offset + i] = to;
	}
}

static unsigned name_of(const struct job *job)
{
	return 1 + job->thread->worker->index * IN_HAND + (unsigned)(job - job->thread->jobs);
}

static void job_granted(void *arg)
{
	struct job *job = arg;

	job->waiting = false;
	job->had = true;
	mark(job->blocks, 0, name_of(job));
	mark(job->also, 0, name_of(job));
	loop_defer(job->thread->worker->loop, &job->next);
}

static struct range bytes(struct range blocks)
{
	return (struct range){blocks.offset * BLOCK, blocks.length * BLOCK};
}

static struct range draw_blocks(struct thread *t)
{
	uint64_t length = 1 + draw(&t->seed, draw(&t->seed, 10) ? 4 : 600);

	return (struct range){draw(&t->seed, BLOCKS - length), length};
}

static void job_begin(struct job *job)
{
	struct thread *t = job->thread;
	bool granted;

	if (t->rounds >= ROUNDS) {
		if (!--t->running)
			loop_stop(t->worker->loop);
		return;
	}
	t->rounds++;
	job->blocks = draw_blocks(t);
	job->also = NONE;
	if (!draw(&t->seed, 8)) {
		job->also = draw_blocks(t);
		if (range_overlaps(job->also, job->blocks))
			job->also = NONE;
	}
	job->hold = ranges_take(ranges, t->worker, bytes(job->blocks), bytes(job->also),
				job_granted, job, &granted);
	assert_non_null(job->hold);
	if (granted) {
		job_granted(job);
		return;
	}
	job->waiting = true;
	t->waited++;
	if (!draw(&t->seed, 4)) /* looks again after a turn, and then gives up */
		loop_defer(t->worker->loop, &job->next);
}

static void job_next(void *arg)
{
	struct job *job = arg;
	struct thread *t = job->thread;

	if (job->waiting) {
		job->waiting = false;
		t->gave_up++;
	} else if (!job->second && !draw(&t->seed, 3)) {
		job->second = range_hold_get(job->hold);
		range_hold_put(&job->hold);
		loop_defer(t->worker->loop, &job->next); /* and it is still held */
		return;
	}
	if (job->had) {
		mark(job->blocks, name_of(job), 0);
		mark(job->also, name_of(job), 0);
		job->had = false;
	}
	range_hold_put(&job->hold);
	range_hold_put(&job->second);
	job_begin(job);
}

static void thread_start(void *arg)
{
	struct thread *t = arg;

	t->running = IN_HAND;
	for (unsigned i = 0; i < IN_HAND; i++) {
		t->jobs[i] = (struct job){.thread = t,
					  .next = {.callback = job_next, .arg = &t->jobs[i]}};
		job_begin(&t->jobs[i]);
	}
}

static void threads_never_hold_a_byte_together(void **state)
{
	struct thread threads[WORKERS];
	unsigned waited = 0, gave_up = 0;

	begin(WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		threads[i] = (struct thread){.worker = &workers[i], .seed = seed + i};
		threads[i].start = (struct loop_work){.callback = thread_start, .arg = &threads[i]};
		loop_post(workers[i].loop, &threads[i].start);
	}
	for (unsigned i = 1; i < WORKERS; i++)
		assert_int_equal(worker_start(&workers[i]), 0);
	loop_run(workers[0].loop);
	for (unsigned i = 1; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL); /* each stops by itself */
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(threads[i].rounds, ROUNDS);
		waited += threads[i].waited;
		gave_up += threads[i].gave_up;
	}
	assert_true(waited > ROUNDS / 20 && gave_up);
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(owner[i], 0);
	end(WORKERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_shares_a_byte_waits_and_nobody_else),
		cmocka_unit_test(first_come_first_served),
		cmocka_unit_test(a_wide_one_does_not_starve),
		cmocka_unit_test(the_last_reference_lets_others_go_on),
		cmocka_unit_test(who_gives_up_is_not_told_and_in_nobodys_way),
		cmocka_unit_test(a_copy_holds_two_ranges),
		cmocka_unit_test(holds_are_granted_as_in_the_model),
		cmocka_unit_test(threads_never_hold_a_byte_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
