/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_offload.c - the pool of threads: order, bounds, threads that come and go.
 *
 * tsan
 */
#include "common/offload.h"

#include "common/clock.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a clock that can be behind, and threads that can't be had ---- */

static _Atomic uint64_t behind; /* nanoseconds */
static _Atomic bool no_threads;

uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec - behind;
}

int64_t clock_wall_sec(void)
{
	return 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (no_threads)
		return EAGAIN;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, start, arg);
}

static unsigned threads_now(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

static void pause_ms(long ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* ---- jobs ---- */

struct job {
	struct offload_job job;
	void (*body)(struct job *job);
	int number;
};

static sem_t ended; /* posted at the end of each job */
static sem_t gate; /* what blocked jobs wait for */
static _Atomic unsigned order, running, most_running;
static int seen[64];

static void run(struct offload_job *j)
{
	struct job *job = (struct job *)j;
	unsigned n = ++running, most = most_running;

	while (n > most && !atomic_compare_exchange_weak(&most_running, &most, n))
		;
	job->body(job);
	running--;
	sem_post(&ended);
}

static void note(struct job *job)
{
	seen[order++ % 64] = job->number;
}

static void block(struct job *job)
{
	sem_wait(&gate);
}

static void submit(struct offload *offload, struct job *job, void (*body)(struct job *), int number)
{
	*job = (struct job){.job.run = run, .body = body, .number = number};
	offload_submit(offload, &job->job);
}

static void wait_for(unsigned count)
{
	while (count--)
		while (sem_wait(&ended))
			;
}

static int reset(void **state)
{
	sem_init(&ended, 0, 0);
	sem_init(&gate, 0, 0);
	order = running = most_running = 0;
	behind = 0;
	no_threads = false;
	return 0;
}

/* ---- tests ---- */

static void jobs_start_in_the_order_of_their_coming(void **state)
{
	struct offload *offload = offload_new("order", 1);
	struct job first, jobs[50];

	submit(offload, &first, block, 0);
	for (int i = 0; i < 50; i++)
		submit(offload, &jobs[i], note, i);
	sem_post(&gate);
	wait_for(51);
	for (int i = 0; i < 50; i++)
		assert_int_equal(seen[i], i);
	offload_free(&offload);
	assert_null(offload);
}

static void blocked_jobs_hold_up_nobody_while_a_thread_is_left(void **state)
{
	struct offload *offload = offload_new("blocked", 4);
	struct job blocked[3], free_job;

	for (int i = 0; i < 3; i++)
		submit(offload, &blocked[i], block, i);
	submit(offload, &free_job, note, 7);
	wait_for(1);
	assert_int_equal(seen[0], 7);
	for (int i = 0; i < 3; i++)
		sem_post(&gate);
	wait_for(3);
	offload_free(&offload);
}

static void there_are_as_many_threads_as_needed_and_never_more_than_asked_for(void **state)
{
	unsigned before = threads_now();
	struct offload *offload = offload_new("bound", 3);
	struct job jobs[20];

	assert_int_equal(threads_now(), before);
	for (int i = 0; i < 20; i++) {
		submit(offload, &jobs[i], note, i);
		wait_for(1);
		pause_ms(1);
	}
	assert_int_equal(threads_now(), before + 1);
	for (int i = 0; i < 20; i++)
		submit(offload, &jobs[i], block, i);
	pause_ms(20);
	assert_int_equal(threads_now(), before + 3);
	for (int i = 0; i < 20; i++)
		sem_post(&gate);
	wait_for(20);
	assert_int_equal(most_running, 3);
	offload_free(&offload);
	assert_int_equal(threads_now(), before);
}

static char name[16];
static sigset_t mask;

static void look_around(struct job *job)
{
	pause_ms(5); /* the submitter names the thread */
	pthread_getname_np(pthread_self(), name, sizeof(name));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
}

static void threads_take_no_signals_and_have_a_name(void **state)
{
	struct offload *offload = offload_new("a name that is too long", 1);
	struct job job;

	submit(offload, &job, look_around, 0);
	wait_for(1);
	assert_string_equal(name, "a name that is ");
	assert_true(sigismember(&mask, SIGTERM));
	assert_true(sigismember(&mask, SIGXFSZ));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM)); /* the submitter's is as it was */
	offload_free(&offload);
}

static void idle_threads_leave_and_others_take_their_places(void **state)
{
	unsigned before = threads_now();
	struct offload *offload = offload_new("idle", 2);
	struct job jobs[2];

	for (int round = 0; round < 3; round++) {
		behind = 30 * CLOCK_SEC - 20 * CLOCK_MS;
		for (int i = 0; i < 2; i++)
			submit(offload, &jobs[i], block, i);
		assert_int_equal(threads_now(), before + 2);
		sem_post(&gate);
		sem_post(&gate);
		wait_for(2);
		for (int i = 0; i < 200 && threads_now() > before; i++)
			pause_ms(10);
		assert_int_equal(threads_now(), before);
	}
	offload_free(&offload);
}

static void without_a_thread_jobs_run_in_the_caller(void **state)
{
	struct offload *offload = offload_new("none", 2);
	struct job job;

	no_threads = true;
	submit(offload, &job, note, 5);
	assert_int_equal(order, 1);
	assert_int_equal(seen[0], 5);
	no_threads = false;
	submit(offload, &job, note, 6);
	wait_for(2);
	offload_free(&offload);
}

#define STORM 20000

static _Atomic unsigned ran;

static void count(struct job *job)
{
	ran++;
}

static void *storm(void *arg)
{
	static struct job jobs[2][STORM];
	static _Atomic unsigned which;
	struct job *mine = jobs[which++ % 2];

	for (int i = 0; i < STORM; i++)
		submit(arg, &mine[i], count, i);
	return NULL;
}

static void every_job_of_several_submitters_runs_once(void **state)
{
	struct offload *offload = offload_new("storm", 8);
	pthread_t other;

	ran = 0;
	assert_int_equal(pthread_create(&other, NULL, storm, offload), 0);
	storm(offload);
	pthread_join(other, NULL);
	wait_for(2 * STORM);
	assert_int_equal(ran, 2 * STORM);
	assert_true(most_running <= 8);
	offload_free(&offload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(jobs_start_in_the_order_of_their_coming, reset),
		cmocka_unit_test_setup(blocked_jobs_hold_up_nobody_while_a_thread_is_left, reset),
		cmocka_unit_test_setup(
			there_are_as_many_threads_as_needed_and_never_more_than_asked_for, reset),
		cmocka_unit_test_setup(threads_take_no_signals_and_have_a_name, reset),
		cmocka_unit_test_setup(idle_threads_leave_and_others_take_their_places, reset),
		cmocka_unit_test_setup(without_a_thread_jobs_run_in_the_caller, reset),
		cmocka_unit_test_setup(every_job_of_several_submitters_runs_once, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
