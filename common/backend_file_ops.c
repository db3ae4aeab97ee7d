/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backend_file_ops.c - the operations on a file or block device, in the calling thread. */
#include "common/backend_file_impl.h"

#include "common/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE (1u << 20) /* bytes read at a time by HASH, or copied by hand */
#define COPY_MOST (64u << 20) /* bytes of one COPY, so that it doesn't keep a thread for long */
#define ZERO_SIZE (64u << 10)
#define ZERO_PARTS 16

/* ---- moving bytes ---- */

static void tell_shrunk(struct backend_file *file, uint64_t offset)
{
	if (atomic_exchange(&file->told_shrunk, true))
		return;
	log_warn("%s has become shorter than the %llu bytes it had: reads from %llu on give zeros",
		 file->path, (unsigned long long)file->base.info.size, (unsigned long long)offset);
}

static int read_range(struct backend_file *file, uint8_t *data, struct range r)
{
	while (r.length) {
		ssize_t n = pread(file->fd, data, r.length, (off_t)r.offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n) {
			tell_shrunk(file, r.offset);
			memset(data, 0, r.length);
			return 0;
		}
		data += n;
		range_advance(&r, (uint64_t)n);
	}
	return 0;
}

static int write_range(struct backend_file *file, const uint8_t *data, struct range r, int flags)
{
	while (r.length) {
		struct iovec iov = {.iov_base = (void *)data, .iov_len = r.length};
		ssize_t n = pwritev2(file->fd, &iov, 1, (off_t)r.offset, flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			return EIO;
		data += n;
		range_advance(&r, (uint64_t)n);
	}
	return 0;
}

static int write_zeros(struct backend_file *file, struct range r)
{
	static uint8_t zeros[ZERO_SIZE]; /* never written */

	while (r.length) {
		struct range part = range_head(r, ZERO_SIZE * ZERO_PARTS);
		struct iovec iov[ZERO_PARTS];
		int parts = 0;
		ssize_t n;

		for (uint64_t left = part.length; left; parts++) {
			iov[parts].iov_base = zeros;
			iov[parts].iov_len = left < ZERO_SIZE ? left : ZERO_SIZE;
			left -= iov[parts].iov_len;
		}
		n = pwritev(file->fd, iov, parts, (off_t)part.offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			return EIO;
		range_advance(&r, (uint64_t)n);
	}
	return 0;
}

/* ---- operations ---- */

static int run_read(struct backend_file *file, struct backend_op *op)
{
	struct range r = op->range;

	range_advance(&r, op->moved);
	return read_range(file, (uint8_t *)op->data + op->moved, r);
}

static bool lacks_room(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static int run_write(struct backend_file *file, struct backend_op *op)
{
	const uint8_t *data = (const uint8_t *)op->data + op->moved;
	struct range r = op->range;
	struct sync_call call;
	int error;

	range_advance(&r, op->moved);
	if (!op->fua)
		return write_range(file, data, r, 0);
	backend_file_sync_begin(file, &call);
	error = write_range(file, data, r, RWF_DSYNC);
	/*
	 * What failed: the write, or the sync after it, which must not be forgotten? Where writing fails
	 * now as well, as after a file system has given up, only a lack of room was the write's for sure.
	 */
	if (error && lacks_room(error) && write_range(file, data, r, 0)) {
		backend_file_sync_end(file, op, &call, 0);
		return error;
	}
	return backend_file_sync_end(file, op, &call, error);
}

static int run_flush(struct backend_file *file, struct backend_op *op)
{
	return backend_file_sync(file, op);
}

static bool is_unsupported(int error)
{
	return error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY;
}

/* fallocate() with a mode that *can says may work. EOPNOTSUPP: not here; and remembered. */
static int allocate(struct backend_file *file, int mode, _Atomic bool *can, struct range r)
{
	if (!atomic_load_explicit(can, memory_order_relaxed))
		return EOPNOTSUPP;
	while (fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)r.offset, (off_t)r.length)) {
		if (errno == EINTR)
			continue;
		if (!is_unsupported(errno))
			return errno;
		atomic_store_explicit(can, false, memory_order_relaxed);
		return EOPNOTSUPP;
	}
	return 0;
}

static int punch(struct backend_file *file, struct range r)
{
	int error = allocate(file, FALLOC_FL_PUNCH_HOLE, &file->can_punch, r);

	backend_file_extents_forget(&file->extents, r);
	return error;
}

/* r without the parts of sectors at its ends; empty at its start if nothing is left. */
static struct range whole_sectors(const struct backend_file *file, struct range r)
{
	uint64_t mask = (uint64_t)file->sector - 1;
	uint64_t start = (r.offset + mask) & ~mask, end = (r.offset + r.length) & ~mask;

	if (start >= end)
		return (struct range){.offset = r.offset, .length = 0};
	return (struct range){.offset = start, .length = end - start};
}

/* r is of whole sectors. Whatever refuses, for whatever lack, writing is always right. */
static int zero_sectors(struct backend_file *file, struct range r, bool no_hole)
{
	int error = EOPNOTSUPP;

	if (!no_hole)
		error = punch(file, r);
	if (error == EOPNOTSUPP || error == EINVAL)
		error = allocate(file, FALLOC_FL_ZERO_RANGE, &file->can_zero_range, r);
	if (error == EOPNOTSUPP || error == EINVAL)
		error = write_zeros(file, r);
	return error;
}

static int run_write_zeroes(struct backend_file *file, struct backend_op *op)
{
	struct range whole = whole_sectors(file, op->range), edge = op->range;
	int error;

	edge.length = whole.length ? whole.offset - edge.offset : edge.length;
	error = write_zeros(file, edge);
	if (!error && whole.length) {
		error = zero_sectors(file, whole, op->no_hole);
		edge = op->range;
		range_advance(&edge, whole.offset + whole.length - edge.offset);
		if (!error)
			error = write_zeros(file, edge);
	}
	return !error && op->fua ? backend_file_sync(file, op) : error;
}

static int discard_device(struct backend_file *file, struct range r)
{
	uint64_t range[2] = {r.offset, r.length};

	if (!atomic_load_explicit(&file->can_discard, memory_order_relaxed))
		return EOPNOTSUPP;
	while (r.length && ioctl(file->fd, BLKDISCARD, range)) {
		if (errno == EINTR)
			continue;
		if (!is_unsupported(errno))
			return errno;
		atomic_store_explicit(&file->can_discard, false, memory_order_relaxed);
		return EOPNOTSUPP;
	}
	return 0;
}

static int run_discard(struct backend_file *file, struct backend_op *op)
{
	struct range r = whole_sectors(file, op->range);
	int error;

	if (file->base.info.is_device)
		error = discard_device(file, r);
	else
		error = punch(file, r);
	return !error && op->fua ? backend_file_sync(file, op) : error;
}

/* By reading and writing. An error after some of it leaves a partial copy, which is a result. */
static int copy_by_hand(struct backend_file *file, struct backend_op *op, struct range to)
{
	struct range from = {.offset = op->copy_from, .length = to.length};
	uint8_t *data = malloc(PIECE);
	int error = data ? 0 : ENOMEM;

	while (!error && to.length) {
		struct range piece = range_head(to, PIECE);

		error = read_range(file, data, range_head(from, PIECE));
		if (!error)
			error = write_range(file, data, piece, 0);
		if (error)
			break;
		op->result += piece.length;
		range_advance(&from, piece.length);
		range_advance(&to, piece.length);
	}
	free(data);
	return op->result ? 0 : error;
}

/* An overlap is refused, as by copy_file_range(): a partial copy could not be resumed. */
static int run_copy(struct backend_file *file, struct backend_op *op)
{
	struct range to = range_head(op->range, COPY_MOST);
	loff_t from_offset = (loff_t)op->copy_from, to_offset = (loff_t)to.offset;
	ssize_t n;

	op->result = 0;
	if (range_overlaps(op->range,
			   (struct range){.offset = op->copy_from, .length = op->range.length}))
		return EINVAL;
	while (atomic_load_explicit(&file->can_copy, memory_order_relaxed)) {
		n = copy_file_range(file->fd, &from_offset, file->fd, &to_offset, to.length, 0);
		if (n > 0) {
			op->result = (uint64_t)n;
			return 0;
		}
		if (!n) /* the file was shrunk under us */
			break;
		if (errno == EINTR)
			continue;
		if (errno != EINVAL && errno != EXDEV && !is_unsupported(errno))
			return errno;
		atomic_store_explicit(&file->can_copy, false, memory_order_relaxed);
	}
	return copy_by_hand(file, op, to);
}

static int run_hash(struct backend_file *file, struct backend_op *op)
{
	struct checksum_range *checksum = checksum_range_new(op->hash_seed);
	struct range left = op->range;
	/* Most are short: what malloc() has at hand, and not pages that are given back each time. */
	uint8_t *data = malloc(range_head(left, PIECE).length);
	int error = checksum && data ? 0 : ENOMEM;

	while (!error && left.length) {
		struct range piece = range_head(left, PIECE);

		error = read_range(file, data, piece);
		if (!error)
			checksum_range_add(checksum, data, piece.length);
		range_advance(&left, piece.length);
	}
	free(data);
	if (checksum)
		checksum_range_end(&checksum, op->hash);
	return error;
}

static int (*const runs[])(struct backend_file *file, struct backend_op *op) = {
	[BACKEND_READ] = run_read,
	[BACKEND_WRITE] = run_write,
	[BACKEND_FLUSH] = run_flush,
	[BACKEND_DISCARD] = run_discard,
	[BACKEND_WRITE_ZEROES] = run_write_zeroes,
	[BACKEND_EXTENTS] = backend_file_run_extents,
	[BACKEND_COPY] = run_copy,
	[BACKEND_HASH] = run_hash,
};

int backend_file_run(struct backend_file *file, struct backend_op *op)
{
	return runs[op->type](file, op);
}
