/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file.c - see backend_file.h
 *
 * What won't block is done inside submit, at the price of one system call; the rest goes to the
 * backend's own threads and comes back through the loop. What won't block:
 *
 *   - on tmpfs and ramfs: everything but work that is long in itself;
 *   - where the kernel knows RWF_NOWAIT: reads of what is cached, and on some file systems writes.
 *     What is left of a partial result goes to a thread;
 *   - where it doesn't, for writes (ext4, devices): nobody knows. Whole pages are written inline as
 *     long as that proves short (see backend_file_pace.c), and nothing else is there to wait for;
 *   - on FUSE, network file systems and such: nothing.
 *
 * What remains: a disk that stops answering, or a file system that is frozen, between two calls can
 * hold up the loop for the one call that finds out.
 */
#include "common/backend_file_impl.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define DEFAULT_THREADS 8u
#define INLINE_ZERO_MOST (1u << 20) /* bytes that freeing on tmpfs takes no longer than a write */

/*
 * A read with RWF_NOWAIT of what isn't cached starts readahead, and so fills the device's queue:
 * while so many reads wait for the disk already, the next ones aren't tried inline.
 */
#define READS_TRIED_MOST 16u

static struct backend_file *from_backend(struct backend *backend)
{
	return (struct backend_file *)backend; /* base is the first member */
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- inline ---- */

static bool whole_pages(const struct backend_file *file, struct range r)
{
	return !((r.offset | r.length) & (file->page_size - 1));
}

/* One call with RWF_NOWAIT. True: that was all of it. Errors are left for a thread to find. */
static bool try_nowait(struct backend_file *file, struct backend_op *op, struct pace *pace)
{
	struct iovec iov = {.iov_base = op->data, .iov_len = op->range.length};
	off_t offset = (off_t)op->range.offset;
	ssize_t n = op->type == BACKEND_READ ? preadv2(file->fd, &iov, 1, offset, RWF_NOWAIT)
					     : pwritev2(file->fd, &iov, 1, offset, RWF_NOWAIT);

	if (n > 0)
		op->moved = (uint64_t)n;
	else if (n < 0 && errno == EOPNOTSUPP)
		atomic_store_explicit(&pace->nowait, false, memory_order_relaxed);
	return op->moved == op->range.length;
}

/*
 * Has no thread anything to do that an ordinary write could wait for? That is the file's lock, held
 * by what modifies it in ways that read or free storage, and a disk that takes its time.
 */
static bool nothing_to_wait_for(const struct backend_file *file, uint64_t now)
{
	uint64_t progress = atomic_load_explicit(&file->progress, memory_order_relaxed);

	if (atomic_load_explicit(&file->holders, memory_order_relaxed))
		return false;
	return !atomic_load_explicit(&file->offloaded, memory_order_relaxed) || now <= progress ||
	       !pace_is_long(now - progress);
}

/* READ, WRITE on a disk. True: it is over, with op->error. */
static bool try_transfer(struct backend_file *file, struct backend_op *op)
{
	bool read = op->type == BACKEND_READ, over = false;
	struct pace *pace = read ? &file->read_pace : &file->write_pace;
	struct pace_call call;

	if (!pace_inline(pace) || op->fua)
		return false;
	if (read &&
	    atomic_load_explicit(&file->offloaded_reads, memory_order_relaxed) >= READS_TRIED_MOST)
		return false;
	pace_begin(pace, &call);
	if (atomic_load_explicit(&pace->nowait, memory_order_relaxed)) {
		over = try_nowait(file, op, pace);
	} else if (pace->measure && whole_pages(file, op->range) &&
		   nothing_to_wait_for(file, call.start)) {
		op->error = backend_file_run(file, op);
		over = true;
	} else {
		return false;
	}
	pace_end(pace, &call);
	return over;
}

/* True: it is over, with op->error. */
static bool try_inline(struct backend_file *file, struct backend_op *op)
{
	switch (op->type) {
	case BACKEND_READ:
	case BACKEND_WRITE:
		if (!file->medium.memory)
			return try_transfer(file, op);
		break;
	case BACKEND_FLUSH:
		if (!file->medium.memory)
			return false;
		break;
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
		if (!file->medium.memory || op->range.length > INLINE_ZERO_MOST)
			return false;
		break;
	default:
		return false;
	}
	op->error = backend_file_run(file, op);
	return true;
}

/* ---- in a thread, and back ---- */

/* Might it keep the file's lock while it waits for the disk? */
static bool is_holder(const struct backend_file *file, const struct backend_op *op)
{
	switch (op->type) {
	case BACKEND_WRITE:
		return !whole_pages(file, op->range);
	case BACKEND_DISCARD:
	case BACKEND_WRITE_ZEROES:
	case BACKEND_COPY:
		return true;
	default:
		return false;
	}
}

static void thread_run(struct offload_job *job)
{
	struct backend_op *op = (void *)((char *)job - offsetof(struct backend_op, job));
	struct backend_file *file = from_backend(op->backend);
	uint64_t start = clock_now(), now;

	op->error = backend_file_run(file, op);
	now = clock_now();
	atomic_store_explicit(&file->progress, now, memory_order_relaxed);
	if (op->type == BACKEND_READ) {
		pace_offloaded(&file->read_pace, now - start);
		atomic_fetch_sub_explicit(&file->offloaded_reads, 1, memory_order_relaxed);
	} else if (op->type == BACKEND_WRITE && !op->fua) {
		pace_offloaded(&file->write_pace, now - start);
	}
	if (is_holder(file, op))
		atomic_fetch_sub_explicit(&file->holders, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&file->offloaded, 1, memory_order_relaxed);
	loop_post(op->loop, &op->work); /* from here on neither op nor file may be there */
}

static void thread_done(void *arg)
{
	struct backend_op *op = arg;

	op->done(op, op->error);
}

static void file_submit(struct backend *backend, struct backend_op *op)
{
	struct backend_file *file = from_backend(backend);

	op->backend = backend;
	op->moved = 0;
	op->error = 0;
	backend_file_sync_note(file, op);
	if (try_inline(file, op)) {
		count(&file->served_inline);
		op->done(op, op->error);
		return;
	}
	count(&file->served_offloaded);
	if (op->type == BACKEND_READ)
		atomic_fetch_add_explicit(&file->offloaded_reads, 1, memory_order_relaxed);
	if (is_holder(file, op))
		atomic_fetch_add_explicit(&file->holders, 1, memory_order_relaxed);
	if (!atomic_fetch_add_explicit(&file->offloaded, 1, memory_order_relaxed))
		atomic_store_explicit(&file->progress, clock_now(), memory_order_relaxed);
	op->work = (struct loop_work){.callback = thread_done, .arg = op};
	op->job = (struct offload_job){.run = thread_run};
	offload_submit(file->offload, &op->job);
}

/* ---- the rest of the interface ---- */

static bool file_refresh(struct backend *backend)
{
	struct backend_file *file = from_backend(backend);
	uint64_t size;

	if (backend_file_medium_size(file->fd, backend->info.is_device, &size))
		return false; /* what it had is still the best guess; I/O will tell */
	if (file->size_limit && size > file->size_limit)
		size = file->size_limit;
	if (atomic_exchange(&backend->info.size, size) == size)
		return false;
	atomic_store(&file->told_shrunk, false);
	return true;
}

static void file_stats(struct backend *backend, struct backend_stats *stats)
{
	struct backend_file *file = from_backend(backend);

	stats->served_inline = atomic_load_explicit(&file->served_inline, memory_order_relaxed);
	stats->served_offloaded =
		atomic_load_explicit(&file->served_offloaded, memory_order_relaxed);
}

static void file_close(struct backend *backend)
{
	struct backend_file *file = from_backend(backend);

	assert(!file->offloaded);
	offload_free(&file->offload);
	if (file->fd >= 0)
		close(file->fd); /* lets go of the lock */
	backend_file_syncs_destroy(&file->syncs);
	backend_file_extents_destroy(&file->extents);
	free(file->path);
	free(file);
}

static const struct backend_ops file_ops = {
	.submit = file_submit,
	.refresh = file_refresh,
	.stats = file_stats,
	.close = file_close,
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct backend *backend_file_open(const struct backend_file_options *options, char *reason,
				  size_t reason_size)
{
	struct backend_file *file = NULL;

	if (posix_memalign((void **)&file, _Alignof(struct backend_file), sizeof(*file)))
		goto out_of_memory;
	memset(file, 0, sizeof(*file));
	file->base.ops = &file_ops;
	file->fd = -1;
	backend_file_syncs_init(&file->syncs);
	backend_file_extents_init(&file->extents);
	file->path = strdup(options->path);
	file->offload = offload_new(base_name(options->path),
				    options->threads ? options->threads : DEFAULT_THREADS);
	if (!file->path || !file->offload)
		goto out_of_memory;
	if (backend_file_open_medium(file, options, reason, reason_size)) {
		file_close(&file->base);
		return NULL;
	}
	return &file->base;

out_of_memory:
	if (file)
		file_close(&file->base);
	snprintf(reason, reason_size, "%s: out of memory", options->path);
	return NULL;
}
