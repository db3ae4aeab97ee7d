/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system.c - threads and logs of the programs under test. Replaces offload.h, log.h, and the few
 * functions of pthread.h that would start a thread or wait for one.
 *
 * A job of a pool is an event of its process, some time later; several may be under way. A thread runs
 * its function at once: that only enters loop_run(), which returns here. Who waits for a condition lets
 * the jobs of its process run first.
 */
#include "test/sim/system.h"
#include "common/log.h"
#include "common/offload.h"
#include "test/sim/disk.h"
#include "test/sim/heap.h"
#include "test/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define JOB_LATENCY (2 * MS)

struct job {
	struct sim_event event;
	struct offload_job *job;
	struct offload *offload;
	struct job *next, **link;
};

struct offload {
	struct job *jobs;
};

static struct job *jobs[HOSTS]; /* of the process, under way */

/* ---- offload.h ---- */

static void run_job(void *arg)
{
	struct job *job = arg;
	struct offload_job *work = job->job;

	sim_event_cancel(&job->event);
	*job->link = job->next;
	if (job->next)
		job->next->link = job->link;
	heap_free(job);
	work->run(work);
}

struct offload *offload_new(const char *name, unsigned threads)
{
	return heap_calloc(1, sizeof(struct offload));
}

void offload_submit(struct offload *offload, struct offload_job *work)
{
	struct job **list = &jobs[sim.current->host], *job = heap_calloc(1, sizeof(*job));

	job->event = (struct sim_event){.run = run_job, .arg = job, .process = sim.current};
	job->job = work;
	job->next = *list;
	job->link = list;
	if (job->next)
		job->next->link = &job->next;
	*list = job;
	sim_event_set(&job->event, sim_random(disk_is_slow(sim.current->host) ? SEC : JOB_LATENCY));
}

void offload_free(struct offload **offload)
{
	heap_free(*offload);
	*offload = NULL;
}

void system_process_gone(enum sim_host host)
{
	jobs[host] = NULL;
}

/* ---- pthread.h ---- */

int system_thread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *arg),
			 void *arg)
{
	*thread = pthread_self();
	run(arg);
	return 0;
}

int system_thread_join(pthread_t thread, void **result)
{
	return 0;
}

int system_thread_setname(pthread_t thread, const char *name)
{
	return 0;
}

int system_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
			  const struct timespec *until)
{
	struct job *job = jobs[sim.current->host];

	if (!job)
		return ETIMEDOUT;
	pthread_mutex_unlock(mutex);
	run_job(job);
	pthread_mutex_lock(mutex);
	return 0;
}

int system_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	int error = system_cond_timedwait(cond, mutex, NULL);

	assert(!error); /* else it would wait for ever */
	return error;
}

/* ---- log.h ---- */

void log_init(const char *program, enum log_level level)
{
}

void log_set_level(enum log_level level)
{
}

enum log_level log_get_level(void)
{
	return sim.tracing ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;
}

void log_to_syslog(void)
{
}

static void write_line(const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
	sim_trace("| %s", line);
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	if (!sim.tracing)
		return;
	va_start(args, format);
	write_line(format, args);
	va_end(args);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	va_list args;

	if (!sim.tracing)
		return;
	va_start(args, format);
	write_line(format, args);
	va_end(args);
}
