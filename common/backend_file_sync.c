/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file_sync.c - fdatasync() and write-through whose failures nobody misses.
 *
 * The kernel tells of a failed writeback once per open file: of two fdatasync() that run at the same
 * time one gets EIO and the other 0, and an O_DSYNC write may take away the error that the next
 * fdatasync() should have seen. So failures are counted here, and
 *
 *   - FLUSH and FUA note the count when they are submitted, and fail if it has moved at their end;
 *   - one that succeeds while others are under way waits for those: one of them may have been told
 *     what was meant for it, and not have counted it yet;
 *   - a failure that only FUA has seen fails the next FLUSH too.
 *
 * Nothing is tried again into success: what could not be written may be gone from the cache. Or it may
 * not: then the kernel takes it for written, and reads it from there until memory is short. Who
 * compares that with another copy would find them equal. So the cache is dropped.
 */
#include "common/backend_file_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void backend_file_syncs_init(struct file_syncs *syncs)
{
	pthread_mutex_init(&syncs->lock, NULL);
	pthread_cond_init(&syncs->ended, NULL);
	syncs->tail = &syncs->first;
}

void backend_file_syncs_destroy(struct file_syncs *syncs)
{
	pthread_cond_destroy(&syncs->ended);
	pthread_mutex_destroy(&syncs->lock);
}

void backend_file_sync_note(struct backend_file *file, struct backend_op *op)
{
	op->failures_seen = op->type == BACKEND_FLUSH ? atomic_load(&file->syncs.reported)
						      : atomic_load(&file->syncs.failures);
}

void backend_file_sync_begin(struct backend_file *file, struct sync_call *call)
{
	struct file_syncs *syncs = &file->syncs;

	if (file->medium.memory)
		return;
	pthread_mutex_lock(&syncs->lock);
	call->number = ++syncs->begun;
	call->next = NULL;
	call->link = syncs->tail;
	*syncs->tail = call;
	syncs->tail = &call->next;
	pthread_mutex_unlock(&syncs->lock);
}

/* Locked. */
static void take_off(struct file_syncs *syncs, struct sync_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	else
		syncs->tail = call->link;
	pthread_cond_broadcast(&syncs->ended);
}

/* From here on what is read is what is stored, or is still to be written. */
static void drop_cache(const struct backend_file *file)
{
	int error = posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);

	if (error)
		log_warn("%s: what its failed flush left in the page cache stays there: %s",
			 file->path, strerror(error));
}

/* Locked. */
static void count_failure(struct backend_file *file, const struct backend_op *op, int error)
{
	drop_cache(file); /* before anyone is told */
	file->base.info.losses++;
	file->syncs.failures++;
	file->syncs.error = error;
	log_limited(&file->syncs.limit, LOG_LEVEL_ERROR,
		    "%s: %s failed: %s; what was written since the last flush may be lost",
		    file->path, op->type == BACKEND_FLUSH ? "flush" : "write-through",
		    strerror(error));
}

int backend_file_sync_end(struct backend_file *file, struct backend_op *op, struct sync_call *call,
			  int error)
{
	struct file_syncs *syncs = &file->syncs;
	uint64_t last;

	if (file->medium.memory)
		return error;
	pthread_mutex_lock(&syncs->lock);
	take_off(syncs, call);
	if (error)
		count_failure(file, op, error);
	/* Each waits after it was counted, and for those only that began before: it ends. */
	last = syncs->begun;
	while (syncs->failures == op->failures_seen && syncs->first && syncs->first->number <= last)
		pthread_cond_wait(&syncs->ended, &syncs->lock);
	if (!error && syncs->failures != op->failures_seen)
		error = syncs->error;
	if (error && op->type == BACKEND_FLUSH)
		syncs->reported = syncs->failures;
	pthread_mutex_unlock(&syncs->lock);
	return error;
}

int backend_file_sync(struct backend_file *file, struct backend_op *op)
{
	struct sync_call call;
	int error;

	backend_file_sync_begin(file, &call);
	/* It leaves out only what isn't needed to read the data back, the times. Sizes, newly mapped
	 * blocks and punched holes are made durable. */
	do
		error = fdatasync(file->fd) ? errno : 0;
	while (error == EINTR);
	return backend_file_sync_end(file, op, &call, error);
}
