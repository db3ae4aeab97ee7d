/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_volume_maps.c - volumes over maps of real files, against one flat copy in memory: several
 * workers do random operations, each on blocks of its own, some of them cancelled, through
 * volume_submit(); what is read must be what the copy says, and so must the whole at the end.
 *
 * TEST_SEED=N repeats a run's operations (not its timing).
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "dstfs/assemble.h"
#include "dstfs/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 3u
#define DEPTH 8u /* operations of a worker at a time */
#define OPERATIONS 3000u /* of a worker */
#define SPAN ((uint64_t)192 << 10) /* bytes that are one worker's, in turn */
#define FILES 4u

static const uint64_t file_sizes[FILES] = {1 << 20, (3 << 20) + 5000, (1 << 20) + 4096, 2 << 20};

struct run;

/* One operation of a worker, over and over. */
struct slot {
	struct volume_io io; /* the first member */
	struct run *run;
	struct buf *buf;
	uint8_t *data;
	bool busy;
	bool cancelled;
};

/* One worker's. */
struct run {
	struct worker *worker;
	struct volume *volume;
	uint64_t random;
	unsigned left, busy;
	struct slot slots[DEPTH];
	struct loop_work start;
	bool posted;
};

static char folder[] = "/tmp/dstfs-test-maps.XXXXXX";
static struct worker workers[WORKERS];
static struct run runs[WORKERS];
static uint8_t *flat; /* what the volume should hold */
static uint8_t *unsure; /* bytes that a cancelled operation may have changed: not compared */
static uint64_t size;
static _Atomic unsigned running;
static _Atomic unsigned done_by_type[REQUEST_TYPES], cancelled_count;

static uint64_t next_random(struct run *run)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return run->random;
}

/* A range within one of the worker's spans that no operation under way touches; empty: none now. */
static struct range pick(struct run *run)
{
	uint64_t spans = (size + SPAN - 1) / SPAN, span;
	struct range range;

	span = next_random(run) % spans;
	span = span - span % WORKERS + run->worker->index;
	if (span >= spans)
		return (struct range){0, 0};
	range = range_clip((struct range){span * SPAN, SPAN}, size);
	if (next_random(run) % 4) { /* else all of it */
		range_advance(&range, next_random(run) % range.length);
		range = range_head(range, 1 + next_random(run) % range.length);
	}
	for (unsigned i = 0; i < DEPTH; i++) {
		const struct request *r = &run->slots[i].io.request;

		if (!run->slots[i].busy || r->type == REQUEST_FLUSH)
			continue;
		if (range_overlaps(range, r->range) ||
		    (r->type == REQUEST_COPY &&
		     range_overlaps(range, (struct range){r->copy_from, r->range.length})))
			return (struct range){0, 0};
	}
	return range;
}

static void check_read(struct slot *slot)
{
	const struct request *r = &slot->io.request;

	for (uint64_t i = 0; i < r->range.length; i++) {
		uint64_t at = r->range.offset + i;

		if (!unsure[at] && r->data[i] != flat[at])
			fail_msg("byte %llu of %llu at %llu is %u, not %u", (unsigned long long)i,
				 (unsigned long long)r->range.length,
				 (unsigned long long)r->range.offset, r->data[i], flat[at]);
	}
}

/* Holes read as zeros. */
static void check_extents(const struct request *r)
{
	uint64_t at = r->range.offset, end = at + r->range.length;

	assert_true(r->extent_count);
	for (unsigned e = 0; e < r->extent_count; e++) {
		assert_true(r->extents[e].length <= end - at);
		for (uint64_t i = 0;
		     r->extents[e].kind == DST_EXTENT_HOLE && i < r->extents[e].length; i++)
			assert_true(unsure[at + i] || !flat[at + i]);
		at += r->extents[e].length;
	}
}

/* What has happened for sure happens to the copy, too. */
static void apply(struct slot *slot)
{
	const struct request *r = &slot->io.request;
	uint64_t at = r->range.offset, length = r->range.length;

	switch (r->type) {
	case REQUEST_READ:
		check_read(slot);
		break;
	case REQUEST_EXTENTS:
		check_extents(r);
		break;
	case REQUEST_WRITE:
		memcpy(flat + at, slot->data, length);
		memset(unsure + at, 0, length);
		break;
	case REQUEST_WRITE_ZEROES:
		memset(flat + at, 0, length);
		memset(unsure + at, 0, length);
		break;
	case REQUEST_COPY:
		assert_in_range(r->result, 1, length);
		memcpy(flat + at, flat + r->copy_from, r->result);
		memcpy(unsure + at, unsure + r->copy_from, r->result);
		memset(unsure + at + r->result, 1, length - r->result);
		break;
	default:
		break;
	}
}

static void fill(struct run *run);

static void on_done(struct volume_io *io, int error)
{
	struct slot *slot = (struct slot *)io; /* io is the first member */
	struct run *run = slot->run;
	struct request *r = &io->request;

	assert_true(slot->busy);
	if (slot->cancelled) {
		assert_int_equal(error, EINTR);
		cancelled_count++;
		if (request_modifies(r))
			memset(unsure + r->range.offset, 1, r->range.length);
	} else if (error) {
		assert_true(r->type == REQUEST_COPY || r->type == REQUEST_DISCARD);
		assert_int_equal(error, EOPNOTSUPP);
	} else {
		done_by_type[r->type]++;
		apply(slot);
	}
	slot->busy = false;
	run->busy--;
	buf_unref(&slot->buf);
	if (!run->left && !run->busy && !--running)
		loop_stop(workers[0].loop);
	else if (!run->posted) {
		run->posted = true;
		loop_post(run->worker->loop, &run->start);
	}
}

/* Types in the shares in which they come. */
static const enum request_type types[] = {
	REQUEST_READ,  REQUEST_READ,    REQUEST_READ,         REQUEST_WRITE,
	REQUEST_WRITE, REQUEST_WRITE,   REQUEST_WRITE_ZEROES, REQUEST_WRITE_ZEROES,
	REQUEST_COPY,  REQUEST_EXTENTS, REQUEST_FLUSH,
};

static void submit(struct slot *slot)
{
	struct run *run = slot->run;
	struct request *r = &slot->io.request;
	enum request_type type = types[next_random(run) % (sizeof(types) / sizeof(types[0]))];
	struct range range = pick(run), source = pick(run);

	if (!range.length)
		return;
	if (type == REQUEST_COPY) {
		range = range_head(range, source.length);
		if (!range.length ||
		    range_overlaps(range, (struct range){source.offset, range.length}))
			return;
	}
	memset(&slot->io, 0, sizeof(slot->io));
	r->type = type;
	r->worker = run->worker;
	r->fua = next_random(run) % 16 == 0;
	r->range = type == REQUEST_FLUSH ? (struct range){0, 0} : range;
	r->copy_from = source.offset;
	slot->io.done = on_done;
	slot->cancelled = false;
	if (type == REQUEST_WRITE) {
		slot->buf = r->buf = buf_get(run->worker->bufs);
		slot->data = slot->buf->data;
		r->data = slot->data;
		for (uint64_t i = 0; i < range.length; i += 8) {
			uint64_t value = next_random(run);

			memcpy(slot->data + i, &value, 8);
		}
	}
	slot->busy = true;
	run->busy++;
	run->left--;
	volume_submit(run->volume, &slot->io);
	/* Only what holds its range until the disk is done with it can be waited for in the end. */
	if (slot->busy && request_modifies(r) && next_random(run) % 32 == 0) {
		slot->cancelled = true;
		volume_cancel(&slot->io, EINTR);
	}
}

static void fill(struct run *run)
{
	for (unsigned tries = 0; run->left && run->busy < DEPTH && tries < 4 * DEPTH; tries++)
		for (unsigned i = 0; i < DEPTH; i++)
			if (!run->slots[i].busy && run->left) {
				submit(&run->slots[i]);
				break;
			}
	if (!run->busy && run->left)
		fill(run);
}

static void on_start(void *arg)
{
	struct run *run = arg;

	run->posted = false;
	fill(run);
}

static void make_file(unsigned index)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%u", folder, index);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)file_sizes[index]), 0);
	close(fd);
}

static void nothing_changed(void *arg)
{
}

/* A volume with this map over the files a, b, c and d. */
static struct volume *make_volume(const char *map, uint64_t chunk)
{
	static struct node_config nodes[FILES];
	struct volume_config config = {.name = (char *)"v", .nodes = nodes, .chunk = chunk};
	char reason[512];
	struct volume *volume = volume_new("v", workers, WORKERS, 64, 64 << 20);
	struct assembly assembly = {.config = &config,
				    .workers = workers,
				    .worker_count = WORKERS,
				    .policy = volume_policy(volume),
				    .client = "test",
				    .reason = reason,
				    .reason_size = sizeof(reason)};
	struct target *target;

	volume_policy(volume)->timeout = 60 * CLOCK_SEC; /* behind what was cancelled */
	for (unsigned i = 0; i < FILES; i++) {
		make_file(i);
		nodes[i].name[0] = (char)('a' + i);
		nodes[i].next = i + 1 < FILES ? &nodes[i + 1] : NULL;
		nodes[i].uri.kind = URI_FILE;
		snprintf(nodes[i].uri.path, sizeof(nodes[i].uri.path), "%s/%u", folder, i);
	}
	if (map_config_parse(&config.tree, map, nodes, &(struct reason){reason, sizeof(reason)}))
		fail_msg("%s", reason);
	target = assemble(&assembly, nothing_changed, NULL);
	if (!target)
		fail_msg("%s", reason);
	assert_int_equal(target->state, TARGET_READY);
	volume_set_target(volume, target);
	map_config_free(&config.tree);
	return volume;
}

/* All that is there, by the one worker. */
static void check_all(struct volume *volume)
{
	uint64_t step = 100000;
	struct run *run = &runs[0];

	for (uint64_t at = 0; at < size; at += step) {
		struct slot *slot = &run->slots[0];

		memset(&slot->io, 0, sizeof(slot->io));
		slot->io.request = (struct request){
			.type = REQUEST_READ, .range = {at, step}, .worker = &workers[0]};
		slot->io.done = on_done;
		slot->cancelled = false;
		slot->busy = true;
		run->busy = 1;
		run->left = 0;
		running = 1;
		volume_submit(volume, &slot->io);
		loop_run(workers[0].loop);
	}
}

/* What was cancelled goes on at the disk, until its worker hears that it is over. */
static void await_cancelled(struct volume *volume)
{
	json_int_t holds = 1;

	while (holds) {
		json_t *status = volume_status(volume);

		holds = json_integer_value(json_object_get(status, "holds"));
		json_decref(status);
		for (unsigned i = 0; i < WORKERS; i++)
			loop_run_posted(workers[i].loop);
	}
}

static void compare(const char *map, uint64_t chunk, uint64_t want_size)
{
	const char *seed = getenv("TEST_SEED");
	uint64_t first = seed ? strtoull(seed, NULL, 0) : random_below(UINT64_MAX - 1) + 1;
	struct volume *volume;

	print_message("%s: TEST_SEED=%llu\n", map, (unsigned long long)first);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(worker_init(&workers[i], i), 0);
	volume = make_volume(map, chunk);
	size = volume_target(volume)->size;
	assert_int_equal(size, want_size);
	flat = calloc(1, size);
	unsure = calloc(1, size);
	running = WORKERS;
	for (unsigned i = 0; i < WORKERS; i++) {
		struct run *run = &runs[i];

		*run = (struct run){.worker = &workers[i],
				    .volume = volume,
				    .random = first * (2 * i + 1),
				    .left = OPERATIONS,
				    .posted = true};
		for (unsigned s = 0; s < DEPTH; s++)
			run->slots[s].run = run;
		run->start = (struct loop_work){.callback = on_start, .arg = run};
		loop_post(run->worker->loop, &run->start);
		if (i)
			assert_int_equal(worker_start(&workers[i]), 0);
	}
	loop_run(workers[0].loop);
	for (unsigned i = 1; i < WORKERS; i++)
		worker_join(&workers[i]);
	await_cancelled(volume);
	check_all(volume);
	assert_true(volume_free(&volume));
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_int_equal(buf_pool_in_use(workers[i].bufs), 0);
		worker_destroy(&workers[i]);
	}
	free(flat);
	free(unsure);
}

static void a_linear_map(void **state)
{
	compare("linear", 0, (1 << 20) + (3 << 20) + 4096 + (1 << 20) + 4096 + (2 << 20));
}

static void a_stripe(void **state)
{
	compare("stripe", 65536, 4 << 20);
}

static void a_stripe_of_small_chunks(void **state)
{
	compare("stripe", 4096, 4 << 20);
}

static void a_stripe_of_linear_maps(void **state)
{
	/* 4 MiB + 4096 and 3 MiB + 4096: the smaller one twice, in whole chunks */
	compare("stripe(linear(a, b), linear(c, d))", 16384, 6 << 20);
}

static void a_linear_map_of_stripes(void **state)
{
	compare("linear(stripe(d, a), linear(stripe(b, c)))", 8192, (2 << 20) + (2 << 20));
}

static void all_kinds_were_done(void **state)
{
	for (unsigned type = 0; type < REQUEST_TYPES; type++)
		if (type != REQUEST_DISCARD && type != REQUEST_HASH)
			assert_true(done_by_type[type] > 100);
	assert_true(cancelled_count > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_linear_map),
		cmocka_unit_test(a_stripe),
		cmocka_unit_test(a_stripe_of_small_chunks),
		cmocka_unit_test(a_stripe_of_linear_maps),
		cmocka_unit_test(a_linear_map_of_stripes),
		cmocka_unit_test(all_kinds_were_done),
	};
	int failed;

	log_init("test_volume_maps", LOG_LEVEL_ERROR);
	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests_name("volume_maps", tests, NULL, NULL);
	for (unsigned i = 0; i < FILES; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/%u", folder, i);
		unlink(path);
	}
	rmdir(folder);
	return failed;
}
