/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_local.c - a file as a target: what happens to requests that nobody waits for any more. */
#include "dstfs/local.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

static struct worker worker;
static struct target_policy policy = {.timeout = 60 * CLOCK_SEC};

/* ---- fdatasync() ---- */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* locked: it waits */
static _Atomic int sync_error; /* of the next one */
static _Atomic unsigned syncs; /* that have begun */

int fdatasync(int fd)
{
	int error;

	syncs++;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	error = atomic_exchange(&sync_error, 0);
	errno = error;
	return error ? -1 : 0;
}

/* ---- requests ---- */

struct io {
	struct request request;
	bool done;
	int error;
};

static void on_done(struct request *request, int error)
{
	struct io *io = (struct io *)request; /* request is the first member */

	io->done = true;
	io->error = error;
	loop_stop(worker.loop);
}

static void submit_flush(struct target *target, struct io *io)
{
	*io = (struct io){.request = {.type = REQUEST_FLUSH, .worker = &worker, .done = on_done}};
	target_submit(target, &io->request);
}

static int flush(struct target *target)
{
	struct io io;

	submit_flush(target, &io);
	while (!io.done)
		loop_run(worker.loop);
	return io.error;
}

static void nothing(void *arg)
{
}

static struct target *open_file(const char *path)
{
	char text[96], reason[256] = "";
	struct target *target;
	struct uri uri;

	snprintf(text, sizeof(text), "file://%s", path);
	assert_int_equal(uri_parse(&uri, text, reason, sizeof(reason)), 0);
	target = local_new(&uri, &worker, 1, &policy, nothing, NULL, reason, sizeof(reason));
	if (!target)
		fail_msg("%s", reason);
	return target;
}

/* The disk tells a loss once: the FLUSH that it told may have been given up. */
static void what_a_cancelled_flush_was_told_the_next_one_tells(void **state)
{
	char path[] = "/var/tmp/dstfs-test-local.XXXXXX";
	int fd = mkstemp(path);
	struct target *target;
	struct io io;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	assert_int_equal(worker_init(&worker, 0), 0);
	target = open_file(path);
	assert_int_equal(flush(target), 0);

	pthread_mutex_lock(&gate);
	sync_error = EIO;
	syncs = 0;
	submit_flush(target, &io);
	while (!syncs)
		usleep(1000);
	target_cancel(target, &io.request, EINTR);
	assert_true(io.done);
	assert_int_equal(io.error, EINTR);
	pthread_mutex_unlock(&gate);
	while (!target_losses(target))
		usleep(1000);
	for (unsigned i = 0; i < 100; i++) { /* what it tells has come to the worker by then */
		usleep(1000);
		loop_run_posted(worker.loop);
	}
	assert_int_equal(flush(target), EIO);
	assert_int_equal(flush(target), 0);

	assert_true(target_destroy(&target));
	worker_destroy(&worker);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_cancelled_flush_was_told_the_next_one_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
