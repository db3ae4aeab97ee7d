/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offload.c - see offload.h
 *
 * One queue, one lock, held for a few instructions on either side. A thread is added when more jobs
 * wait than threads are idle, and leaves after IDLE_TIME without work. Its place is then ENDED until
 * somebody joins it: whoever needs the place for a new thread, or offload_free().
 */
#include "common/offload.h"

#include "common/clock.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 256u
#define IDLE_TIME (30 * CLOCK_SEC)
#define STACK_SIZE (256u << 10) /* bytes; the process may lock its memory, and jobs need little */
#define NAME_SIZE 16 /* the kernel's, with the final zero byte */

enum place_state { PLACE_FREE, PLACE_RUNNING, PLACE_ENDED };

struct place {
	struct offload *offload;
	enum place_state state;
	pthread_t thread; /* unless FREE */
};

struct offload {
	char name[NAME_SIZE];
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake; /* a job came, or stop */
	struct offload_job *first, **tail;
	unsigned queued, idle, running; /* jobs waiting; threads waiting; threads */
	bool stop;
	unsigned count;
	struct place places[];
};

struct offload *offload_new(const char *name, unsigned threads)
{
	struct offload *offload;
	pthread_condattr_t attr;

	if (!threads)
		threads = 1;
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	offload = calloc(1, sizeof(*offload) + threads * sizeof(struct place));
	if (!offload)
		return NULL;
	snprintf(offload->name, sizeof(offload->name), "%s", name);
	offload->tail = &offload->first;
	offload->count = threads;
	for (unsigned i = 0; i < threads; i++)
		offload->places[i].offload = offload;
	pthread_mutex_init(&offload->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* clock_now()'s */
	pthread_cond_init(&offload->wake, &attr);
	pthread_condattr_destroy(&attr);
	return offload;
}

/* Locked. The oldest job, or NULL. */
static struct offload_job *take_job(struct offload *offload)
{
	struct offload_job *job = offload->first;

	if (!job)
		return NULL;
	offload->first = job->next;
	if (!offload->first)
		offload->tail = &offload->first;
	offload->queued--;
	return job;
}

/* Locked. Waits for a job. False: time to leave. */
static bool wait_for_job(struct offload *offload)
{
	uint64_t until = clock_now() + IDLE_TIME;
	struct timespec ts = {.tv_sec = (time_t)(until / CLOCK_SEC),
			      .tv_nsec = (long)(until % CLOCK_SEC)};
	int error = 0;

	offload->idle++;
	while (!offload->first && !offload->stop && !error)
		error = pthread_cond_timedwait(&offload->wake, &offload->lock, &ts);
	offload->idle--;
	return offload->first;
}

static void *thread_main(void *arg)
{
	struct place *place = arg;
	struct offload *offload = place->offload;
	struct offload_job *job;

	pthread_mutex_lock(&offload->lock);
	for (;;) {
		while ((job = take_job(offload))) {
			pthread_mutex_unlock(&offload->lock);
			job->run(job);
			pthread_mutex_lock(&offload->lock);
		}
		if (!wait_for_job(offload))
			break;
	}
	place->state = PLACE_ENDED;
	offload->running--;
	pthread_mutex_unlock(&offload->lock);
	return NULL;
}

/*
 * Locked, so that the new thread sees its place filled in. Threads take no signals: those are the
 * loop's, and one that interrupts storage would only have it done twice.
 */
static bool start_thread(struct offload *offload)
{
	struct place *place = offload->places;
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	while (place->state == PLACE_RUNNING)
		place++;
	assert(place < offload->places + offload->count);
	if (place->state == PLACE_ENDED)
		pthread_join(place->thread, NULL); /* it left the lock for the last time */
	place->state = PLACE_FREE;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&place->thread, &attr, thread_main, place);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		return false;
	pthread_setname_np(place->thread, offload->name);
	place->state = PLACE_RUNNING;
	offload->running++;
	return true;
}

void offload_submit(struct offload *offload, struct offload_job *job)
{
	pthread_mutex_lock(&offload->lock);
	job->next = NULL;
	*offload->tail = job;
	offload->tail = &job->next;
	offload->queued++;
	if (offload->queued > offload->idle && offload->running < offload->count)
		start_thread(offload);
	if (offload->running) {
		pthread_cond_signal(&offload->wake);
		pthread_mutex_unlock(&offload->lock);
		return;
	}
	while ((job = take_job(offload))) {
		pthread_mutex_unlock(&offload->lock);
		job->run(job);
		pthread_mutex_lock(&offload->lock);
	}
	pthread_mutex_unlock(&offload->lock);
}

void offload_free(struct offload **pointer)
{
	struct offload *offload = *pointer;

	*pointer = NULL;
	if (!offload)
		return;
	pthread_mutex_lock(&offload->lock);
	assert(!offload->first);
	offload->stop = true;
	pthread_cond_broadcast(&offload->wake);
	pthread_mutex_unlock(&offload->lock);
	for (unsigned i = 0; i < offload->count; i++) {
		bool used;

		pthread_mutex_lock(&offload->lock);
		used = offload->places[i].state != PLACE_FREE;
		pthread_mutex_unlock(&offload->lock);
		if (used)
			pthread_join(offload->places[i].thread, NULL);
	}
	pthread_cond_destroy(&offload->wake);
	pthread_mutex_destroy(&offload->lock);
	free(offload);
}
