/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_backend_file_workers.c - several workers, each with a loop of its own, on one backend at the
 * same time: every operation ends once, on the loop that it came from, with the right bytes. Made
 * for the thread sanitizer.
 *
 * tsan
 */
#include "common/backend_file.h"

#include <linux/magic.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 3
#define DEPTH 16 /* operations of a worker under way */
#define ROUNDS 600 /* operations of each place */
#define BLOCK 8192u /* bytes; each place has one */

static long f_type; /* of the file system, as the backend shall see it */

int fstatfs(int fd, struct statfs *fs)
{
	int error = (int)syscall(SYS_fstatfs, fd, fs);

	fs->f_type = f_type;
	return error;
}

struct worker;

/* One of a worker's operations, over and over: writes a pattern, reads it back, flushes. */
struct place {
	struct backend_op op;
	struct worker *worker;
	uint64_t offset;
	unsigned rounds;
	uint8_t data[BLOCK];
};

struct worker {
	pthread_t thread, self; /* the same: main's, and the worker's own */
	struct loop *loop;
	struct backend *backend;
	unsigned busy;
	int bad; /* operations with a wrong result, on a wrong thread, … */
	struct loop_work kick;
	struct place places[DEPTH];
};

static void done(struct backend_op *op, int error)
{
	struct place *place = (struct place *)op; /* op is the first member */
	struct worker *worker = place->worker;

	worker->bad += error || !pthread_equal(pthread_self(), worker->self);
	if (op->type == BACKEND_READ) /* what was written the round before, and rounds counts on */
		for (unsigned i = 0; i < BLOCK; i++)
			worker->bad += place->data[i] != (uint8_t)(place->rounds - 2);
	/* Not from here: inline operations would nest. */
	worker->busy--;
	if (!worker->busy)
		loop_post(worker->loop, &worker->kick);
}

static void step(struct place *place)
{
	static const enum backend_type types[] = {BACKEND_WRITE, BACKEND_READ,
						  BACKEND_FLUSH, BACKEND_WRITE,
						  BACKEND_READ,  BACKEND_WRITE_ZEROES};
	enum backend_type type = types[place->rounds % 6];

	place->op = (struct backend_op){
		.type = type,
		.range = {.offset = place->offset, .length = BLOCK},
		.fua = place->rounds % 5 == 0,
		.data = place->data,
		.loop = place->worker->loop,
		.done = done,
	};
	if (type == BACKEND_FLUSH)
		place->op.range = (struct range){0};
	if (type == BACKEND_WRITE)
		memset(place->data, (uint8_t)place->rounds, BLOCK);
	place->rounds++;
	backend_submit(place->worker->backend, &place->op);
}

/* Starts the next operation of every place; runs again when all are over. */
static void kick(void *arg)
{
	struct worker *worker = arg;

	if (worker->places[0].rounds == ROUNDS) {
		loop_stop(worker->loop);
		return;
	}
	worker->busy = DEPTH + 1;
	for (unsigned i = 0; i < DEPTH; i++)
		step(&worker->places[i]);
	if (!--worker->busy)
		loop_post(worker->loop, &worker->kick);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	worker->self = pthread_self();
	worker->kick = (struct loop_work){.callback = kick, .arg = worker};
	loop_post(worker->loop, &worker->kick);
	loop_run(worker->loop);
	return NULL;
}

static void work_on(long type)
{
	static struct worker workers[WORKERS];
	char path[] = "/dev/shm/dstfs-test-workers.XXXXXX", reason[256] = "";
	struct backend_file_options options = {.path = path};
	struct backend *backend;
	int fd = mkstemp(path), bad = 0;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, WORKERS * DEPTH * BLOCK), 0);
	close(fd);
	f_type = type;
	backend = backend_file_open(&options, reason, sizeof(reason));
	assert_string_equal(reason, "");
	memset(workers, 0, sizeof(workers));
	for (unsigned w = 0; w < WORKERS; w++) {
		workers[w].backend = backend;
		workers[w].loop = loop_new();
		for (unsigned i = 0; i < DEPTH; i++) {
			workers[w].places[i].worker = &workers[w];
			workers[w].places[i].offset = (w * DEPTH + i) * (uint64_t)BLOCK;
		}
		pthread_create(&workers[w].thread, NULL, work, &workers[w]);
	}
	for (unsigned i = 0; i < 100; i++) /* sizes are looked at while I/O goes on */
		assert_false(backend_refresh(backend));
	for (unsigned w = 0; w < WORKERS; w++) {
		pthread_join(workers[w].thread, NULL);
		bad += workers[w].bad;
		loop_free(&workers[w].loop);
	}
	assert_int_equal(bad, 0);
	backend_close(&backend);
	unlink(path);
}

static void workers_share_a_backend_in_memory(void **state)
{
	work_on(TMPFS_MAGIC);
}

static void workers_share_a_backend_that_is_all_offloaded(void **state)
{
	work_on(NFS_SUPER_MAGIC);
}

static void workers_share_a_backend_that_goes_to_and_fro(void **state)
{
	work_on(EXT4_SUPER_MAGIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_share_a_backend_in_memory),
		cmocka_unit_test(workers_share_a_backend_that_is_all_offloaded),
		cmocka_unit_test(workers_share_a_backend_that_goes_to_and_fro),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
