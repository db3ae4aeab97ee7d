/* SPDX-License-Identifier: GPL-2.0-or-later */
/* worker.c - see worker.h */
#include "dstfs/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

int worker_init(struct worker *worker, unsigned index)
{
	*worker = (struct worker){.index = index};
	worker->loop = loop_new();
	worker->bufs = buf_pool_new(WORKER_BUFS_RESERVED, WORKER_BUFS);
	if (!worker->loop || !worker->bufs) {
		worker_destroy(worker);
		return ENOMEM;
	}
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	loop_run(worker->loop);
	return NULL;
}

int worker_start(struct worker *worker)
{
	sigset_t all, before;
	char name[16];
	int error;

	sigfillset(&all); /* signals belong to the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return error;
	worker->running = true;
	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	pthread_setname_np(worker->thread, name);
	return 0;
}

void worker_join(struct worker *worker)
{
	if (!worker->running)
		return;
	loop_stop(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

void worker_destroy(struct worker *worker)
{
	loop_free(&worker->loop);
	buf_pool_free(&worker->bufs);
}
