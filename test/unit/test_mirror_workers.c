/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_workers.c - writers on several workers, over each other, while a node comes and goes all
 * the time: in the end both files hold the same, and the newest of what was acknowledged.
 *
 * tsan
 */
#include "common/clock.h"
#include "common/log.h"
#include "common/uri.h"
#include "dstfs/local.h"
#include "dstfs/mirror_copy_impl.h"
#include "dstfs/mirror_create.h"
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 3u
#define DEPTH 8u /* writes of a worker under way */
#define OUTAGES 8u /* until writing ends */
#define NODES 3u
#define NODE_SIZE (8u << 20) /* bytes */
#define BLOCK 4096u
#define SHARED 256u /* blocks that all write into */
#define OWN 128u /* blocks of a worker's own, behind them */

/* A file that answers EIO while it is dead. */
struct gate {
	struct target base;
	struct target *file;
	char path[64];
	_Atomic bool dead;
};

struct writer {
	struct request request;
	struct worker_test *test;
	struct buf *buf;
	unsigned own; /* the block; OWN: a shared one */
	uint32_t value;
};

struct worker_test {
	struct worker *worker;
	struct loop_work kick;
	unsigned seed, begun, busy;
	uint32_t values[OWN]; /* acknowledged last */
	bool writing[OWN];
	int errors;
	struct writer writers[DEPTH];
};

static struct worker workers[WORKERS];
static struct worker_test tests[WORKERS];
static struct gate gates[NODES];
static struct target_policy policy = {.timeout = 10 * CLOCK_SEC, .resends = 0};
static struct target *target;
static struct mirror *mirror;
static struct loop_timer timer;
static _Atomic unsigned outages;
static _Atomic unsigned finished;
static bool writing, detached;

/* ---- nodes ---- */

static void gate_submit(struct target *base, struct request *request)
{
	struct gate *gate = (struct gate *)base;

	if (gate->dead)
		request->done(request, EIO);
	else
		target_submit(gate->file, request);
}

static void gate_cancel(struct target *base, struct request *request, int error)
{
	target_cancel(((struct gate *)base)->file, request, error);
}

static json_t *gate_status(struct target *base)
{
	return json_object();
}

static void gate_reason(struct target *base, char *text, size_t size)
{
	*text = '\0';
}

static bool gate_destroy(struct target *base)
{
	return target_destroy(&((struct gate *)base)->file);
}

static const struct target_ops gate_ops = {
	.submit = gate_submit,
	.cancel = gate_cancel,
	.status = gate_status,
	.reason = gate_reason,
	.destroy = gate_destroy,
};

static void nothing(void *arg)
{
}

static void gate_open(struct gate *gate, struct mirror_node *node)
{
	char reason[256] = "", text[96];
	struct uri uri;

	snprintf(text, sizeof(text), "file://%s", gate->path);
	assert_int_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	gate->file =
		local_new(&uri, workers, WORKERS, &policy, nothing, NULL, reason, sizeof(reason));
	assert_non_null(gate->file);
	gate->dead = false;
	gate->base.ops = &gate_ops;
	gate->base.policy = &policy;
	gate->base.changed = mirror_node_changed;
	gate->base.changed_arg = node;
	gate->base.size = gate->file->size;
	gate->base.writable = true;
	gate->base.state = TARGET_READY;
}

static void assemble_mirror(void)
{
	static const struct mirror_options options;
	static const char *const names[NODES] = {"a", "b", "c"};
	const struct mirror_setup setup = {
		.workers = workers,
		.worker_count = WORKERS,
		.policy = &policy,
		.volume = "vol0",
		.options = &options,
		.changed = nothing,
	};

	target = mirror_new(&setup);
	assert_non_null(target);
	mirror = (struct mirror *)target;
	for (unsigned i = 0; i < NODES; i++) {
		struct mirror_node *node = mirror_next_node(target, names[i], true);

		gate_open(&gates[i], node);
		mirror_join_node(node, &gates[i].base);
	}
}

static void on_created(void *arg, const struct mirror_created *created)
{
	assert_int_equal(created->error, 0);
	loop_stop(workers[0].loop);
}

/* ---- writers ---- */

static unsigned pick(struct worker_test *test, unsigned bound)
{
	test->seed = test->seed * 1103515245u + 12345u;
	return test->seed / 65536 % bound;
}

static void write_next(struct writer *writer);

static void on_written(struct request *request, int error)
{
	struct writer *writer = (struct writer *)request;
	struct worker_test *test = writer->test;

	buf_unref(&writer->buf);
	test->errors += error != 0;
	if (writer->own != OWN) {
		test->values[writer->own] = writer->value;
		test->writing[writer->own] = false;
	}
	test->busy--;
	write_next(writer);
}

/* Shared ones overlap with those of all; own ones tell which was the newest. */
static struct range choose_range(struct writer *writer)
{
	struct worker_test *test = writer->test;
	unsigned length = 1 + pick(test, 8);

	writer->own = OWN;
	if (pick(test, 2))
		return (struct range){(uint64_t)pick(test, SHARED - length) * BLOCK,
				      (uint64_t)length * BLOCK};
	do
		writer->own = pick(test, OWN);
	while (test->writing[writer->own]);
	test->writing[writer->own] = true;
	return (struct range){(SHARED + (uint64_t)test->worker->index * OWN + writer->own) * BLOCK,
			      BLOCK};
}

static void write_next(struct writer *writer)
{
	struct worker_test *test = writer->test;
	struct range range;

	if (outages >= OUTAGES) {
		if (!test->busy)
			finished++;
		return;
	}
	test->begun++;
	test->busy++;
	range = choose_range(writer);
	writer->value = test->begun * WORKERS + test->worker->index;
	writer->buf = buf_get(test->worker->bufs);
	for (size_t i = 0; i < range.length / sizeof(writer->value); i++)
		memcpy(writer->buf->data + i * sizeof(writer->value), &writer->value,
		       sizeof(writer->value));
	writer->request = (struct request){
		.type = REQUEST_WRITE,
		.range = range,
		.data = writer->buf->data,
		.buf = writer->buf,
		.worker = test->worker,
		.done = on_written,
	};
	target_submit(target, &writer->request);
}

static void begin_writing(void *arg)
{
	struct worker_test *test = arg;

	for (unsigned i = 0; i < DEPTH; i++) {
		test->writers[i].test = test;
		write_next(&test->writers[i]);
	}
}

/* ---- outages ---- */

static void set_dead(struct gate *gate, bool dead)
{
	gate->dead = dead;
	gate->base.state = dead ? TARGET_AWAY : TARGET_READY;
	gate->base.changed(gate->base.changed_arg);
}

static bool all_in_sync(void)
{
	return mirror->read_set == (1u << NODES) - 1 &&
	       mirror_bits_next(&mirror->suspect, 0) == mirror->regions;
}

static void on_detached(void *arg)
{
	detached = true;
	loop_stop(workers[0].loop);
}

/* One of b and c is away for a while, and comes back when the other is up to date. */
static void on_timer(void *arg)
{
	struct gate *gate = &gates[1 + outages % 2];

	for (unsigned i = 0; i < NODES; i++)
		mirror->nodes[i].retry_at = 0;
	mirror_home_poke(mirror);
	if (target->state == TARGET_READY && !writing) {
		writing = true;
		for (unsigned i = 0; i < WORKERS; i++)
			loop_post(workers[i].loop, &tests[i].kick);
	}
	if (!writing) {
		/* it isn't up yet */
	} else if (gate->dead) {
		set_dead(gate, false);
		outages++;
	} else if (all_in_sync() && finished >= WORKERS) {
		target->ops->detach(target, on_detached, NULL);
		return;
	} else if (all_in_sync() && outages < OUTAGES) {
		set_dead(gate, true);
	}
	loop_timer_set(&timer, 10 * CLOCK_MS);
}

/* ---- what is on the nodes ---- */

static uint8_t *load(const struct gate *gate)
{
	uint8_t *bytes = malloc(NODE_SIZE);
	int fd = open(gate->path, O_RDONLY);

	assert_int_equal(read(fd, bytes, NODE_SIZE), NODE_SIZE);
	close(fd);
	return bytes;
}

static void check_newest(const uint8_t *bytes)
{
	for (unsigned w = 0; w < WORKERS; w++) {
		for (unsigned i = 0; i < OWN; i++) {
			uint32_t value;

			memcpy(&value, bytes + (SHARED + (size_t)w * OWN + i) * BLOCK,
			       sizeof(value));
			assert_int_equal(value, tests[w].values[i]);
		}
	}
}

static void begin_nodes(void)
{
	const struct mirror_create_options options = {.equal = true};

	for (unsigned i = 0; i < NODES; i++) {
		int fd;

		snprintf(gates[i].path, sizeof(gates[i].path), "/tmp/dstfs-test-mirror.%d.%u",
			 getpid(), i);
		fd = open(gates[i].path, O_RDWR | O_CREAT | O_EXCL, 0600);
		assert_int_equal(ftruncate(fd, NODE_SIZE), 0);
		close(fd);
	}
	assemble_mirror();
	mirror_create(target, &options, on_created, NULL);
	loop_run(workers[0].loop);
	assert_true(target_destroy(&target));
}

static void end_all(void)
{
	for (unsigned i = 1; i < WORKERS; i++)
		worker_join(&workers[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		loop_run_posted(workers[i].loop);
	loop_timer_destroy(&timer);
	assert_true(target_destroy(&target));
	for (unsigned i = 0; i < WORKERS; i++)
		worker_destroy(&workers[i]);
}

static void nodes_are_equal_and_have_the_newest(void **state)
{
	uint8_t *bytes[NODES];

	log_set_level(LOG_LEVEL_ERROR);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(worker_init(&workers[i], i), 0);
	begin_nodes();
	assemble_mirror();
	mirror_start(target);
	assert_int_equal(loop_timer_init(&timer, workers[0].loop, on_timer, NULL), 0);
	loop_timer_set(&timer, 10 * CLOCK_MS);
	for (unsigned i = 0; i < WORKERS; i++) {
		tests[i].worker = &workers[i];
		tests[i].seed = i + 1;
		tests[i].kick = (struct loop_work){.callback = begin_writing, .arg = &tests[i]};
		if (i)
			assert_int_equal(worker_start(&workers[i]), 0);
	}
	loop_run(workers[0].loop);
	assert_true(detached);
	end_all();
	for (unsigned i = 0; i < NODES; i++)
		bytes[i] = load(&gates[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(tests[i].errors, 0);
	check_newest(bytes[0]);
	for (unsigned i = 1; i < NODES; i++)
		assert_memory_equal(bytes[0], bytes[i], mirror_data_size(NODE_SIZE));
	for (unsigned i = 0; i < NODES; i++) {
		unlink(gates[i].path);
		free(bytes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(nodes_are_equal_and_have_the_newest),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
