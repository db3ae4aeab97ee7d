/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_io.c - reads, writes, fsync, holes and copies: each becomes one volume operation, and is
 * answered when that is done.
 *
 * Interruption. The kernel sends FUSE_INTERRUPT when a signal comes to a caller that waits; an
 * answer of EINTR lets the caller go. A disk file doesn't return EINTR for any odd signal, so a
 * request ends only if its caller is being killed, or if the node isn't there, or if it has been
 * interrupted for long. For some requests (O_DIRECT on a cached file) the kernel sends nothing and
 * waits unkillably: so a sweep looks at the callers of all requests that are unusually old.
 *
 * libfuse reports an interrupt in whichever thread read it: it is posted to the request's own
 * worker, and a request that completes meanwhile is freed by the posted work.
 */
#include "dstfs/fuse_impl.h"

#include "common/clock.h"
#include "dstfs/caller.h"
#include "dstfs/fuse_port.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#define IO_RESERVED 64u
#define SWEEP_INTERVAL (200 * CLOCK_MS)
#define OLD_SWEEPS 2 /* a request that has seen so many is old */
#define PATIENT_SWEEPS 25 /* an interrupted one is let go after so many, whatever its node says */

struct fuse_io {
	struct volume_io io;
	fuse_req_t req;
	struct mount_volume *mv;
	struct fuse_io_port *port;
	struct buf *buf; /* WRITE: holds the data */
	int whence; /* lseek */
	struct fuse_io *next, *previous; /* of the port's active ones */

	_Atomic bool interrupt_posted;
	bool interrupt_seen; /* the posted work has run */
	bool finished; /* answered; the posted work frees it */
	bool ending; /* the sweep lets it go */
	unsigned sweeps; /* that it has seen; from anew when it is interrupted */
	struct loop_work interrupt;
};

/* What belongs to one worker. */
struct fuse_io_port {
	struct worker *worker;
	struct pool *pool;
	struct fuse_io *active;
	bool shared_session; /* other threads may report an interrupt while we answer */
	struct loop_timer sweep_timer;
	bool sweeping; /* the timer runs: as long as anything is active */
};

static void io_free(struct fuse_io *f)
{
	pool_put(f->port->pool, f);
}

/* Answered: it leaves the port. */
static void io_finish(struct fuse_io *f)
{
	*(f->previous ? &f->previous->next : &f->port->active) = f->next;
	if (f->next)
		f->next->previous = f->previous;
	buf_unref(&f->buf);
	f->finished = true;
	if (!f->interrupt_posted || f->interrupt_seen)
		io_free(f);
}

/* No interrupt is reported for the request after this. */
static void io_detach(struct fuse_io *f)
{
	if (f->port->shared_session)
		fuse_req_interrupt_func(f->req, NULL, NULL);
}

static void answer_error(struct fuse_io *f, int error)
{
	io_detach(f);
	fuse_reply_err(f->req, error);
	io_finish(f);
}

/* ---- interruption ---- */

/* What was told of a caller: deep queues hold thousands of requests of one. */
struct caller_memo {
	pid_t thread;
	bool known, dying;
};

static bool is_dying(pid_t thread, struct caller_memo *memo)
{
	if (!memo->known || memo->thread != thread)
		*memo = (struct caller_memo){thread, true, caller_is_dying(thread)};
	return memo->dying;
}

static bool should_end(const struct fuse_io *f, struct caller_memo *memo)
{
	if (f->interrupt_seen &&
	    (volume_target(f->mv->volume)->state != TARGET_READY || f->sweeps > PATIENT_SWEEPS))
		return true;
	return (f->interrupt_seen || f->sweeps >= OLD_SWEEPS) &&
	       is_dying(fuse_req_ctx(f->req)->pid, memo);
}

static void sweep(void *arg)
{
	struct fuse_io_port *port = arg;
	struct caller_memo memo = {.known = false};

	for (struct fuse_io *f = port->active; f; f = f->next) {
		f->sweeps++;
		f->ending = should_end(f, &memo);
	}
	/* The room that one leaves lets others start, and any of those may complete at once. */
	for (struct fuse_io *f = port->active; f;) {
		if (!f->ending) {
			f = f->next;
			continue;
		}
		volume_cancel(&f->io, EINTR);
		f = port->active;
	}
	port->sweeping = port->active;
	if (port->sweeping)
		loop_timer_set(&port->sweep_timer, SWEEP_INTERVAL);
}

static void run_interrupt(void *arg)
{
	struct fuse_io *f = arg;
	struct caller_memo memo = {.known = false};

	if (f->finished) {
		io_free(f);
		return;
	}
	f->interrupt_seen = true;
	f->sweeps = 0;
	if (should_end(f, &memo))
		volume_cancel(&f->io, EINTR);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	struct fuse_io *f = data;

	if (!atomic_exchange(&f->interrupt_posted, true))
		loop_post(f->port->worker->loop, &f->interrupt);
}

/* ---- making one ---- */

static struct fuse_io *io_new(fuse_req_t req, fuse_ino_t inode, enum request_type type,
			      void (*done)(struct volume_io *io, int error))
{
	struct worker *worker = fuse_port_worker(fuse_port_current());
	struct fuse_io_port *port = &ops_of(req)->ports[worker->index];
	struct mount_volume *mv = volume_of(req, inode);
	struct fuse_io *f;

	if (!mv) {
		fuse_reply_err(req, EISDIR);
		return NULL;
	}
	f = pool_get(port->pool);
	if (!f) {
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	*f = (struct fuse_io){
		.io = {.request = {.type = type, .worker = worker}, .done = done},
		.req = req,
		.mv = mv,
		.port = port,
		.next = port->active,
	};
	if (port->active)
		port->active->previous = f;
	port->active = f;
	if (!port->sweeping) {
		port->sweeping = true;
		loop_timer_set(&port->sweep_timer, SWEEP_INTERVAL);
	}
	f->interrupt = (struct loop_work){.callback = run_interrupt, .arg = f};
	return f;
}

static void io_submit(struct fuse_io *f)
{
	fuse_req_interrupt_func(f->req, on_interrupt, f);
	volume_submit(f->mv->volume, &f->io);
}

static uint64_t size_of(const struct fuse_io *f)
{
	return volume_target(f->mv->volume)->size;
}

/* ---- data ---- */

static void read_done(struct volume_io *io, int error)
{
	struct fuse_io *f = (struct fuse_io *)io; /* io is the first member */

	if (error) {
		answer_error(f, error);
		return;
	}
	io_detach(f);
	fuse_reply_buf(f->req, (const char *)io->request.data, io->request.range.length);
	io_finish(f);
}

void io_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_io *f = io_new(req, inode, REQUEST_READ, read_done);

	if (!f)
		return;
	f->io.request.range = (struct range){(uint64_t)offset, size};
	io_submit(f);
}

/* WRITE and COPY: the caller learns how many bytes were modified. */
static void modify_done(struct volume_io *io, int error)
{
	struct fuse_io *f = (struct fuse_io *)io;
	const struct request *request = &io->request;

	if (error) {
		answer_error(f, error);
		return;
	}
	f->mv->mtime = clock_wall_sec();
	io_detach(f);
	fuse_reply_write(f->req,
			 request->type == REQUEST_COPY ? request->result : request->range.length);
	io_finish(f);
}

/* Like on a block device, a write across the end is short, and one behind it finds no space. */
void io_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
	      struct fuse_file_info *fi)
{
	struct fuse_io *f = io_new(req, inode, REQUEST_WRITE, modify_done);
	struct request *request;

	if (!f)
		return;
	request = &f->io.request;
	request->range = range_clip((struct range){(uint64_t)offset, size}, size_of(f));
	if (!request->range.length && size) {
		answer_error(f, ENOSPC);
		return;
	}
	request->fua = fi->flags & O_DSYNC; /* O_SYNC contains it */
	request->data = (const uint8_t *)data;
	request->buf = f->buf = fuse_port_take_buf(fuse_port_current());
	assert(request->data == f->buf->data);
	io_submit(f);
}

static void plain_done(struct volume_io *io, int error)
{
	answer_error((struct fuse_io *)io, error); /* 0 is success */
}

void io_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi)
{
	struct fuse_io *f = io_new(req, inode, REQUEST_FLUSH, plain_done);

	if (f)
		io_submit(f);
}

void io_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	struct fuse_io *f;

	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) &&
	    mode != (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	f = io_new(req, inode, REQUEST_WRITE_ZEROES, plain_done);
	if (!f)
		return;
	/* Nothing is kept behind the end, so there is nothing to zero. */
	f->io.request.range =
		range_clip((struct range){(uint64_t)offset, (uint64_t)length}, size_of(f));
	f->io.request.no_hole = mode & FALLOC_FL_ZERO_RANGE;
	io_submit(f);
}

/* ---- lseek: walks the map of data and holes until it finds the kind that is looked for ---- */

static void seek_answer(struct fuse_io *f, uint64_t offset)
{
	io_detach(f);
	fuse_reply_lseek(f->req, (off_t)offset);
	io_finish(f);
}

static void seek_on(struct fuse_io *f, uint64_t offset)
{
	uint64_t size = size_of(f);

	if (offset >= size) {
		if (f->whence == SEEK_HOLE && f->io.request.range.offset < size)
			seek_answer(f, size); /* there is a virtual hole at the end */
		else
			answer_error(f, ENXIO);
		return;
	}
	f->io.request.range =
		range_head(range_clip((struct range){offset, DST_MAX_RANGE}, size), DST_MAX_RANGE);
	volume_submit(f->mv->volume, &f->io);
}

static void seek_done(struct volume_io *io, int error)
{
	struct fuse_io *f = (struct fuse_io *)io;
	uint64_t offset = io->request.range.offset;
	uint32_t wanted = f->whence == SEEK_HOLE ? DST_EXTENT_HOLE : DST_EXTENT_DATA;

	if (error) {
		answer_error(f, error);
		return;
	}
	for (unsigned i = 0; i < io->request.extent_count; i++) {
		if (io->request.extents[i].kind == wanted) {
			seek_answer(f, offset);
			return;
		}
		offset += io->request.extents[i].length;
	}
	seek_on(f, offset);
}

void io_lseek(fuse_req_t req, fuse_ino_t inode, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct fuse_io *f;

	if (whence != SEEK_DATA && whence != SEEK_HOLE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	f = io_new(req, inode, REQUEST_EXTENTS, seek_done);
	if (!f)
		return;
	f->whence = whence;
	if ((uint64_t)offset >= size_of(f)) {
		answer_error(f, ENXIO);
		return;
	}
	fuse_req_interrupt_func(req, on_interrupt, f);
	seek_on(f, (uint64_t)offset);
}

/* EXDEV and EOPNOTSUPP make the kernel copy by reading and writing. */
void io_copy_file_range(fuse_req_t req, fuse_ino_t inode_in, off_t offset_in,
			struct fuse_file_info *fi_in, fuse_ino_t inode_out, off_t offset_out,
			struct fuse_file_info *fi_out, size_t length, int flags)
{
	struct fuse_io *f;
	struct range source, target;

	if (inode_in != inode_out || flags) {
		fuse_reply_err(req, flags ? EINVAL : EXDEV);
		return;
	}
	f = io_new(req, inode_out, REQUEST_COPY, modify_done);
	if (!f)
		return;
	source = range_clip((struct range){(uint64_t)offset_in, length}, size_of(f));
	source = range_head(source, DST_MAX_RANGE);
	target = range_clip((struct range){(uint64_t)offset_out, source.length}, size_of(f));
	if (source.length && !target.length) {
		answer_error(f, ENOSPC);
		return;
	}
	f->io.request.range = target;
	f->io.request.copy_from = source.offset;
	io_submit(f);
}

/* ---- life ---- */

int fuse_io_init(struct fuse_ops *ops)
{
	struct mount *mount = ops->mount;

	ops->ports = calloc(mount->worker_count, sizeof(*ops->ports));
	if (!ops->ports)
		return ENOMEM;
	for (unsigned i = 0; i < mount->worker_count; i++) {
		struct fuse_io_port *port = &ops->ports[i];

		port->worker = &mount->workers[i];
		port->shared_session = mount->worker_count > 1;
		port->pool = pool_new(sizeof(struct fuse_io), IO_RESERVED, WORKER_BUFS);
		if (!port->pool ||
		    loop_timer_init(&port->sweep_timer, port->worker->loop, sweep, port))
			return ENOMEM;
	}
	return 0;
}

void fuse_io_cancel_all(struct fuse_ops *ops)
{
	for (unsigned i = 0; i < ops->mount->worker_count; i++)
		while (ops->ports[i].active)
			volume_cancel(&ops->ports[i].active->io, EIO);
}

void fuse_io_destroy(struct fuse_ops *ops)
{
	if (!ops->ports)
		return;
	for (unsigned i = 0; i < ops->mount->worker_count; i++) {
		assert(!ops->ports[i].active);
		loop_timer_destroy(&ops->ports[i].sweep_timer);
		pool_free(&ops->ports[i].pool);
	}
	free(ops->ports);
	ops->ports = NULL;
}
