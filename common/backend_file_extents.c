/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file_extents.c - where a file has data and where holes.
 *
 * SEEK_HOLE looks for the end of the data however far away that is: a tmpfs goes through all pages up
 * to there, other file systems through all extents, and who asks for a file piece by piece would have
 * that done for each. So the run of data that was seen last is remembered for a while. What became a
 * hole meanwhile counts as data, which is always right; what we punch ourselves is forgotten at once.
 */
#include "common/backend_file_impl.h"

#include "common/clock.h"

#include <errno.h>
#include <unistd.h>

#define MEMORY (5 * CLOCK_SEC)

void backend_file_extents_init(struct file_extents *extents)
{
	pthread_mutex_init(&extents->lock, NULL);
}

void backend_file_extents_destroy(struct file_extents *extents)
{
	pthread_mutex_destroy(&extents->lock);
}

static void remember(struct file_extents *extents, struct range data)
{
	pthread_mutex_lock(&extents->lock);
	extents->data = data;
	extents->until = clock_now() + MEMORY;
	pthread_mutex_unlock(&extents->lock);
}

void backend_file_extents_forget(struct file_extents *extents, struct range punched)
{
	pthread_mutex_lock(&extents->lock);
	if (range_overlaps(extents->data, punched))
		extents->data.length = 0;
	pthread_mutex_unlock(&extents->lock);
}

/* Where the data that begins at this offset, or before, ends. 0: it isn't known that there is any. */
static uint64_t known_end(struct file_extents *extents, uint64_t offset)
{
	uint64_t end = 0;

	pthread_mutex_lock(&extents->lock);
	if (range_overlaps(extents->data, (struct range){offset, 1}) &&
	    clock_now() < extents->until)
		end = extents->data.offset + extents->data.length;
	pthread_mutex_unlock(&extents->lock);
	return end;
}

static void add_extent(struct backend_op *op, struct range *left, uint64_t end, uint32_t kind)
{
	if (end > left->offset + left->length)
		end = left->offset + left->length;
	if (end <= left->offset || op->extent_count == DST_MAX_EXTENTS)
		return;
	op->extents[op->extent_count++] =
		(struct wire_extent){.length = end - left->offset, .kind = kind};
	range_advance(left, end - left->offset);
}

static bool cannot_tell(int error)
{
	return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY;
}

/*
 * Asks the file where the first data of `left` is; empty at its end: there is none. One that can't
 * tell, or that changed between the two questions, is data. 0 or an errno.
 *
 * lseek() moves the file's offset, which all threads share, and nobody uses. ENXIO: no data from
 * there on.
 */
static int find_data(struct backend_file *file, struct range left, struct range *found)
{
	uint64_t end = left.offset + left.length;
	off_t data = lseek(file->fd, (off_t)left.offset, SEEK_DATA), hole;

	if (data < 0 && errno != ENXIO) {
		*found = left;
		return cannot_tell(errno) ? 0 : errno;
	}
	if (data < 0 || (uint64_t)data >= end) {
		*found = (struct range){end, 0};
		return 0;
	}
	hole = lseek(file->fd, data, SEEK_HOLE);
	if (hole > data) {
		*found = (struct range){(uint64_t)data, (uint64_t)(hole - data)};
		remember(&file->extents, *found);
	} else {
		*found = (struct range){(uint64_t)data, end - (uint64_t)data};
	}
	return 0;
}

int backend_file_run_extents(struct backend_file *file, struct backend_op *op)
{
	struct range left = op->range, data;

	op->extent_count = 0;
	while (left.length && op->extent_count < DST_MAX_EXTENTS) {
		uint64_t known = known_end(&file->extents, left.offset);
		int error;

		if (known) {
			add_extent(op, &left, known, DST_EXTENT_DATA);
			continue;
		}
		error = find_data(file, left, &data);
		if (error)
			return error;
		add_extent(op, &left, data.offset, DST_EXTENT_HOLE);
		add_extent(op, &left, data.offset + data.length, DST_EXTENT_DATA);
	}
	return 0;
}
