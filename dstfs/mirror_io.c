/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_io.c - metadata of nodes is read and written, see mirror_impl.h. All that is under way is in
 * mirror->batches, so that it can be ended with the mirror.
 */
#include "dstfs/mirror_home.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BUFS 16u
#define BLOCKS_OF_BUF (BUF_CAPACITY / MIRROR_MAP_BLOCK)

/* A request to one node. */
struct batch_io {
	struct request request;
	struct mirror_batch *batch;
	struct batch_io *next;
	unsigned node;
	uint8_t *into; /* READ */
	bool waiting; /* for the node's hold */
	bool over;
};

struct mirror_batch {
	struct mirror *mirror;
	void (*done)(struct mirror_batch *batch, void *arg);
	void *arg;
	struct batch_io *ios, **ios_end;
	unsigned pending; /* and one while they are being submitted */
	mirror_mask failed;
	struct buf *bufs[BATCH_BUFS];
	unsigned blocks; /* given out */
	struct loop_timer expiry; /* of those that wait for a hold */
	struct mirror_batch *next, **link; /* while it runs */
};

struct mirror_batch *mirror_batch_new(struct mirror *mirror,
				      void (*done)(struct mirror_batch *batch, void *arg),
				      void *arg)
{
	struct mirror_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return NULL;
	batch->mirror = mirror;
	batch->done = done;
	batch->arg = arg;
	batch->ios_end = &batch->ios;
	return batch;
}

void mirror_batch_free(struct mirror_batch **pointer)
{
	struct mirror_batch *batch = *pointer;

	*pointer = NULL;
	if (!batch)
		return;
	assert(!batch->pending);
	loop_timer_destroy(&batch->expiry);
	for (struct batch_io *io = batch->ios, *next; io; io = next) {
		next = io->next;
		free(io);
	}
	for (unsigned i = 0; i < BATCH_BUFS; i++)
		buf_unref(&batch->bufs[i]);
	free(batch);
}

uint8_t *mirror_batch_block(struct mirror_batch *batch)
{
	unsigned at = batch->blocks / BLOCKS_OF_BUF;

	if (at == BATCH_BUFS)
		return NULL;
	if (!batch->bufs[at])
		batch->bufs[at] = buf_get(batch->mirror->home->bufs);
	if (!batch->bufs[at])
		return NULL;
	return batch->bufs[at]->data + (size_t)(batch->blocks++ % BLOCKS_OF_BUF) * MIRROR_MAP_BLOCK;
}

mirror_mask mirror_batch_failed(const struct mirror_batch *batch)
{
	return batch->failed;
}

/* ---- requests ---- */

static void batch_put(struct mirror_batch *batch)
{
	if (--batch->pending)
		return;
	*batch->link = batch->next;
	if (batch->next)
		batch->next->link = batch->link;
	loop_timer_destroy(&batch->expiry);
	batch->done(batch, batch->arg);
}

static void io_over(struct batch_io *io, int error)
{
	assert(!io->over);
	io->over = true;
	io->waiting = false;
	range_hold_put(&io->request.hold);
	if (error)
		io->batch->failed |= MIRROR_BIT(io->node);
	batch_put(io->batch);
}

static void on_done(struct request *request, int error)
{
	struct batch_io *io = (struct batch_io *)request; /* request is the first member */

	if (!error && io->into)
		memcpy(io->into, request->data, MIRROR_MAP_BLOCK);
	io_over(io, error);
}

static void io_submit(struct batch_io *io)
{
	target_submit(io->batch->mirror->nodes[io->node].target, &io->request);
}

static void on_granted(void *arg)
{
	struct batch_io *io = arg;

	io->waiting = false;
	io_submit(io);
}

static struct batch_io *add(struct mirror_batch *batch, unsigned node, enum request_type type,
			    uint64_t offset)
{
	struct batch_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->batch = batch;
	io->node = node;
	io->request = (struct request){
		.type = type,
		.fua = type == REQUEST_WRITE,
		.range = {offset, type == REQUEST_FLUSH ? 0 : MIRROR_MAP_BLOCK},
		.worker = batch->mirror->home,
		.done = on_done,
	};
	*batch->ios_end = io;
	batch->ios_end = &io->next;
	return io;
}

int mirror_batch_write(struct mirror_batch *batch, mirror_mask nodes, uint64_t offset,
		       const uint8_t *block)
{
	for (; nodes; nodes &= nodes - 1) {
		struct batch_io *io =
			add(batch, (unsigned)__builtin_ctz(nodes), REQUEST_WRITE, offset);

		if (!io)
			return ENOMEM;
		io->request.data = block;
		for (unsigned i = 0; i < BATCH_BUFS && batch->bufs[i]; i++)
			if (block >= batch->bufs[i]->data &&
			    block < batch->bufs[i]->data + BUF_CAPACITY)
				io->request.buf = batch->bufs[i];
	}
	return 0;
}

int mirror_batch_flush(struct mirror_batch *batch, mirror_mask nodes)
{
	for (; nodes; nodes &= nodes - 1)
		if (!add(batch, (unsigned)__builtin_ctz(nodes), REQUEST_FLUSH, 0))
			return ENOMEM;
	return 0;
}

int mirror_batch_read(struct mirror_batch *batch, unsigned node, uint64_t offset, uint8_t *into)
{
	struct batch_io *io = add(batch, node, REQUEST_READ, offset);

	if (!io)
		return ENOMEM;
	io->into = into;
	return 0;
}

/* What was given up on a node may keep a range there for ever; we don't wait for it longer than for
 * the node itself. */
static void on_expiry(void *arg)
{
	struct mirror_batch *batch = arg;

	batch->pending++;
	for (struct batch_io *io = batch->ios; io; io = io->next)
		if (io->waiting)
			io_over(io, EIO);
	batch_put(batch);
}

static void io_begin(struct batch_io *io)
{
	struct mirror *mirror = io->batch->mirror;
	struct request *request = &io->request;
	bool granted = true;

	if (request->type == REQUEST_WRITE) {
		request->hold =
			ranges_take(mirror->nodes[io->node].ranges, mirror->home, request->range,
				    (struct range){0, 0}, on_granted, io, &granted);
		if (!request->hold) {
			io_over(io, ENOMEM);
			return;
		}
	}
	io->waiting = !granted;
	if (granted)
		io_submit(io);
}

static void watch_waiting(struct mirror_batch *batch)
{
	struct mirror *mirror = batch->mirror;
	uint64_t patience = target_patience(mirror->base.policy);
	bool waiting = false;

	for (struct batch_io *io = batch->ios; io; io = io->next)
		waiting |= io->waiting;
	if (!waiting || patience == UINT64_MAX)
		return;
	if (loop_timer_init(&batch->expiry, mirror->home->loop, on_expiry, batch))
		on_expiry(batch);
	else
		loop_timer_set(&batch->expiry, patience);
}

void mirror_batch_run(struct mirror_batch *batch)
{
	struct mirror *mirror = batch->mirror;

	batch->next = mirror->batches;
	batch->link = &mirror->batches;
	if (batch->next)
		batch->next->link = &batch->next;
	mirror->batches = batch;
	for (struct batch_io *io = batch->ios; io; io = io->next)
		batch->pending++;
	batch->pending++;
	for (struct batch_io *io = batch->ios; io; io = io->next) {
		if (mirror->ending)
			io_over(io, ECANCELED);
		else
			io_begin(io);
	}
	watch_waiting(batch);
	batch_put(batch);
}

void mirror_io_cancel(struct mirror *mirror)
{
	struct mirror_batch *batch;

	while ((batch = mirror->batches)) {
		batch->pending++;
		for (struct batch_io *io = batch->ios; io; io = io->next) {
			if (io->waiting)
				io_over(io, ECANCELED);
			else if (!io->over)
				target_cancel(mirror->nodes[io->node].target, &io->request,
					      ECANCELED);
		}
		batch_put(batch);
	}
}
