/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * split.c - see split.h
 *
 * A request that comes is begun when those before it have passed on all their parts. It passes its
 * own on as long as the pool has requests; when that is dry it stays the first that waits, and goes on
 * when any child's request is over. So only the first of those that wait have been begun: that one, and
 * those that are begun anew. One whose data have to be gathered and that gets no buffer stands aside
 * until there are some.
 *
 * A child may complete while its request is being submitted, and what completes may submit more: so
 * whoever works on a parting keeps it busy, and the last to leave it frees it. The request completes
 * from within its last child's completion, when the child's data are still there.
 */
#include "dstfs/split_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define RESERVED 64u /* objects of each pool that are there from the start */

/* The part of a request that a child has. */
struct child_request {
	struct request request;
	struct work *work;
	struct part *part; /* what it is for */
	struct part own; /* WRITE: that */
	struct target *target;
	struct child_request *next, *previous; /* of the same work */
};

/* A request that has been begun. */
struct work {
	struct split_port *port;
	struct child_request *children; /* at their targets */
	unsigned busy; /* those who work on it */
	uint64_t losses; /* of the children, before the first part was passed on */
	bool passed_on; /* all parts are, or none will be any more: it doesn't wait */
	bool cancelled;
	bool flush_failed; /* a child's: counted */
	int error;
	uint64_t error_at; /* the part that it is of */
	struct parting parting; /* at last: it has its parts behind it */
};

/* What belongs to one worker. */
struct split_port {
	struct split *split;
	struct worker *worker;
	struct pool *works, *requests;
	struct request_list waiting; /* in order of arrival; holder: their work, or NULL */
	struct request_list thirsty; /* REQUEST_WAITING: for a buffer; not begun */
	bool pumping;
	struct buf_waiter waiter;
	struct loop_hook retry;
};

struct split {
	struct map *map;
	/* FLUSHes that a child has failed, perhaps to tell of a loss; and of those, the ones that are told
	 * upward. One that came before all were told fails, too. */
	_Atomic uint64_t failed, told;
	unsigned port_count;
	struct split_port ports[];
};

/* Goes on with those that wait, as far as there is room. */
static void pump(struct split_port *port);

/* ---- the end of a request ---- */

static void note_error(struct work *work, uint64_t at, int error)
{
	if (work->cancelled || (work->error && at >= work->error_at))
		return;
	work->error = error;
	work->error_at = at;
}

/* Nothing is passed on any more. */
static void stop_waiting(struct work *work)
{
	if (work->passed_on)
		return;
	work->passed_on = true;
	request_list_remove(&work->port->waiting, work->parting.request);
}

static void note_losses(struct work *work)
{
	if (parting_may_be_lost(&work->parting))
		work->losses = target_losses(&work->port->split->map->base);
}

/*
 * A child that has done its part may have lost it while others were waited for, and have told so: the
 * next FLUSH says nothing of that. What isn't acknowledged yet is passed on once more, as the first.
 */
static bool begin_anew(struct work *work)
{
	uint64_t before = work->losses;

	note_losses(work);
	if (work->error || work->losses == before)
		return false;
	parting_rewind(&work->parting);
	work->passed_on = false;
	request_list_prepend(&work->port->waiting, work->parting.request);
	return true;
}

/* What came of it, with all its parts over. */
static int verdict(struct work *work)
{
	struct split *split = work->port->split;
	struct parting *p = &work->parting;

	if (p->type == REQUEST_FLUSH && !work->cancelled)
		return flush_verdict(work->error, p->request->told, &split->told, split->failed);
	return work->error ? work->error : parting_finish(p);
}

/* Completes the request if that is due, and frees the work if nobody needs it: then others may have
 * room, whom the caller has to pump. */
static void leave(struct work *work)
{
	struct parting *p = &work->parting;
	struct request *request = p->request;

	if (request && work->passed_on && !work->children && !begin_anew(work)) {
		work->error = verdict(work);
		p->request = NULL;
		request->place = REQUEST_NOWHERE;
		work->busy++; /* what it brought is valid until it has been told */
		request->done(request, work->error);
		work->busy--;
	}
	if (p->request || work->busy)
		return;
	buf_unref(&p->buf);
	pool_put(work->port->works, work);
}

static void child_failed(struct work *work, const struct child_request *child, int error)
{
	note_error(work, child->part->at, error);
	if (work->parting.type != REQUEST_FLUSH || work->cancelled || work->flush_failed)
		return;
	work->flush_failed = true;
	work->port->split->failed++;
}

static void child_done(struct request *request, int error)
{
	struct child_request *child = (struct child_request *)request; /* the first member */
	struct work *work = child->work;
	struct split_port *port = work->port;

	*(child->previous ? &child->previous->next : &work->children) = child->next;
	if (child->next)
		child->next->previous = child->previous;
	if (error && child->target->state != TARGET_READY)
		map_look(port->split->map); /* the error must not be told before the state */
	if (error)
		child_failed(work, child, error);
	else if (!work->error)
		parting_take(&work->parting, child->part, request);
	pool_put(port->requests, child);
	leave(work);
	pump(port);
}

/* ---- passing on ---- */

static struct child_request *new_child(struct work *work)
{
	struct parting *p = &work->parting;
	const struct request *parent = p->request;
	struct child_request *child = pool_get(work->port->requests);

	assert(parent); /* it isn't complete before all of it is passed on */
	if (!child)
		return NULL;
	child->part = parting_next(p, &child->own);
	child->work = work;
	child->target = p->map->children[child->part->child].target;
	child->request = (struct request){
		.type = p->type,
		.fua = parent->fua,
		.no_hole = parent->no_hole,
		.range = child->part->range,
		.copy_from = child->part->copy_from,
		.hash_seed = parent->hash_seed,
		.hold = parent->hold,
		.since = parent->since,
		.worker = parent->worker,
		.done = child_done,
	};
	if (p->type == REQUEST_WRITE) {
		child->request.data = parent->data + (child->part->at - p->range.offset);
		child->request.buf = parent->buf;
		child->request.digest = parent->digest;
		child->request.has_digest = parent->has_digest && p->whole;
	}
	child->previous = NULL;
	child->next = work->children;
	if (work->children)
		work->children->previous = child;
	work->children = child;
	return child;
}

/* A child that has shrunk behind our back is not asked for what it hasn't. */
static void submit_child(struct child_request *child)
{
	if (range_within(child->request.range, child->target->size))
		target_submit(child->target, &child->request);
	else
		child_done(&child->request, EIO);
}

/* False: the pool is dry, the rest has to wait. */
static bool pass_on(struct work *work)
{
	bool dry = false;

	work->busy++;
	while (!work->passed_on && !dry) {
		struct child_request *child = new_child(work);

		dry = !child;
		if (child && !parting_more(&work->parting))
			stop_waiting(work);
		if (child)
			submit_child(child);
	}
	work->busy--;
	leave(work);
	return !dry;
}

/* Buffers that a map may leave in use: the rest is for the maps below it, and at last for nodes. */
static unsigned most_buffers(const struct map *map)
{
	return WORKER_BUFS / (map->height + 1);
}

static bool may_get_buffer(const struct split_port *port)
{
	return buf_pool_in_use(port->worker->bufs) < most_buffers(port->split->map);
}

/* It lets others pass, since they may have the very buffers that it waits for. */
static void wait_for_buffer(struct split_port *port, struct request *request)
{
	request_list_remove(&port->waiting, request);
	request->place = REQUEST_WAITING;
	request_list_append(&port->thirsty, request);
	buf_wait(port->worker->bufs, &port->waiter);
}

/* False: it has to wait as the first. */
static bool begin(struct split_port *port, struct request *request)
{
	struct work *work = pool_get(port->works);
	struct parting *p;

	if (!work)
		return false;
	*work = (struct work){.port = port,
			      .parting = {.request = request, .map = port->split->map}};
	p = &work->parting;
	work->error = parting_plan(p);
	if (!work->error && parting_gathers(p)) {
		p->buf = may_get_buffer(port) ? buf_get(port->worker->bufs) : NULL;
		if (!p->buf) {
			wait_for_buffer(port, request);
			pool_put(port->works, work);
			return true;
		}
	}
	request->holder = work;
	note_losses(work);
	if (!work->error)
		return pass_on(work);
	stop_waiting(work);
	leave(work);
	return true;
}

static void pump(struct split_port *port)
{
	struct request *request;
	bool going = !port->pumping;

	if (!going)
		return;
	port->pumping = true;
	while (going && (request = port->waiting.first))
		going = request->holder ? pass_on(request->holder) : begin(port, request);
	port->pumping = false;
}

/* There may be buffers now: those that want one come back, each once. */
static void on_retry(void *arg)
{
	struct split_port *port = arg;
	struct request *last = port->thirsty.last, *request = NULL;

	while (request != last && port->thirsty.first && may_get_buffer(port)) {
		request = port->thirsty.first;
		request_list_remove(&port->thirsty, request);
		request->place = REQUEST_IN_MAP;
		request_list_append(&port->waiting, request);
		pump(port);
	}
	if (port->thirsty.first)
		buf_wait(port->worker->bufs, &port->waiter);
}

static void on_buffer(void *arg)
{
	struct split_port *port = arg;

	loop_defer(port->worker->loop, &port->retry);
}

/* ---- as a target ---- */

void split_submit(struct split *split, struct request *request)
{
	struct split_port *port = &split->ports[request->worker->index];

	request->place = REQUEST_IN_MAP;
	request->holder = NULL;
	request->told = split->told;
	request_list_append(&port->waiting, request);
	pump(port);
}

void split_cancel(struct split *split, struct request *request, int error)
{
	struct split_port *port = &split->ports[request->worker->index];
	struct work *work = request->holder;

	if (!work) {
		request_list_remove(request->place == REQUEST_WAITING ? &port->thirsty
								      : &port->waiting,
				    request);
		request->place = REQUEST_NOWHERE;
		request->done(request, error);
		return;
	}
	work->busy++;
	stop_waiting(work);
	work->error = error;
	work->cancelled = true;
	while (work->children)
		target_cancel(work->children->target, &work->children->request, error);
	work->busy--;
	leave(work);
	pump(port);
}

/* ---- life ---- */

static int init_port(struct split *split, struct worker *worker)
{
	struct split_port *port = &split->ports[worker->index];
	size_t size = sizeof(struct work) + split->map->capacity * sizeof(struct part);

	port->split = split;
	port->worker = worker;
	port->waiter = (struct buf_waiter){.callback = on_buffer, .arg = port};
	port->retry = (struct loop_hook){.callback = on_retry, .arg = port};
	port->works = pool_new(size, RESERVED, SPLIT_REQUESTS);
	port->requests = pool_new(sizeof(struct child_request), RESERVED, SPLIT_REQUESTS);
	return port->works && port->requests ? 0 : ENOMEM;
}

struct split *split_new(struct map *map, struct worker *workers, unsigned worker_count)
{
	struct split *split = calloc(1, sizeof(*split) + worker_count * sizeof(struct split_port));
	int error = 0;

	if (!split)
		return NULL;
	split->map = map;
	while (!error && split->port_count < worker_count)
		error = init_port(split, &workers[split->port_count++]);
	if (error)
		split_free(&split);
	return split;
}

void split_free(struct split **pointer)
{
	struct split *split = *pointer;

	*pointer = NULL;
	if (!split)
		return;
	for (unsigned i = 0; i < split->port_count; i++) {
		struct split_port *port = &split->ports[i];

		assert(!port->waiting.first && !port->thirsty.first);
		buf_wait_cancel(&port->waiter);
		loop_defer_cancel(&port->retry);
		pool_free(&port->works);
		pool_free(&port->requests);
	}
	free(split);
}
