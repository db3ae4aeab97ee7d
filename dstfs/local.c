/* SPDX-License-Identifier: GPL-2.0-or-later */
/* local.c - see local.h */
#include "dstfs/local.h"

#include "common/backend_file.h"
#include "common/clock.h"
#include "common/log.h"
#include "dstfs/ranges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REFRESH_INTERVAL (5 * CLOCK_SEC) /* how soon a grown file is noticed */

/* A request at work in the backend. */
struct local_op {
	struct backend_op op;
	struct request *request; /* NULL: cancelled, nobody waits for it any more */
	struct local_port *port;
	struct range_hold
		*hold; /* of a request that was cancelled: its range is free when this is over */
	/* READ: where the data goes. EXTENTS: where the extents go. WRITE: a reference to what holds
	 * the data, which may outlive the request. */
	struct buf *buf;
};

/* What belongs to one worker. */
struct local_port {
	struct local *local;
	struct worker *worker;
	struct pool *ops;
	struct request_list waiting; /* for a buffer or an operation */
	struct buf_waiter waiter;
	struct loop_hook retry;
};

struct local {
	struct target base;
	struct uri uri;
	struct backend *backend;
	struct loop_timer refresh_timer; /* of worker 0 */
	_Atomic uint64_t told; /* of the backend's losses, those that a FLUSH has told upward */
	unsigned port_count;
	struct local_port ports[];
};

static struct local *from_base(struct target *target)
{
	return (struct local *)target; /* base is the first member */
}

static void op_done(struct backend_op *op, int error)
{
	struct local_op *o = (struct local_op *)op; /* op is the first member */
	struct request *request = o->request;
	struct local_port *port = o->port;

	/* The backend tells a loss once, and that may have been to one that nobody waits for any more. */
	if (request && op->type == BACKEND_FLUSH)
		error = flush_verdict(error, request->told, &port->local->told,
				      port->local->backend->info.losses);
	if (request) {
		request->place = REQUEST_NOWHERE;
		request->data = op->data;
		request->hash = op->hash;
		request->extents = op->extents;
		request->extent_count = op->extent_count;
		request->result = op->result;
		request->done(request, error);
	}
	range_hold_put(&o->hold);
	buf_unref(&o->buf);
	pool_put(port->ops, o);
	if (port->waiting.first) /* perhaps for an operation */
		loop_defer(port->worker->loop, &port->retry);
}

static const enum backend_type type_of[REQUEST_TYPES] = {
	[REQUEST_READ] = BACKEND_READ,
	[REQUEST_WRITE] = BACKEND_WRITE,
	[REQUEST_FLUSH] = BACKEND_FLUSH,
	[REQUEST_DISCARD] = BACKEND_DISCARD,
	[REQUEST_WRITE_ZEROES] = BACKEND_WRITE_ZEROES,
	[REQUEST_EXTENTS] = BACKEND_EXTENTS,
	[REQUEST_COPY] = BACKEND_COPY,
	[REQUEST_HASH] = BACKEND_HASH,
};

/* An operation for the request, with the buffer that it needs; NULL: not to be had now. */
static struct local_op *prepare(struct local_port *port, struct request *request)
{
	bool needs_buf = request->type == REQUEST_READ || request->type == REQUEST_EXTENTS;
	struct buf *buf = needs_buf ? buf_get(port->worker->bufs) : NULL;
	struct local_op *o;

	if (needs_buf && !buf)
		return NULL;
	o = pool_get(port->ops);
	if (!o) {
		buf_unref(&buf);
		return NULL;
	}
	if (request->type == REQUEST_WRITE)
		buf = buf_ref(request->buf);
	*o = (struct local_op){
		.op = {.type = type_of[request->type],
		       .fua = request->fua,
		       .no_hole = request->no_hole,
		       .range = request->range,
		       .copy_from = request->copy_from,
		       .hash_seed = request->hash_seed,
		       .loop = port->worker->loop,
		       .done = op_done},
		.request = request,
		.port = port,
		.buf = buf,
	};
	if (request->type == REQUEST_WRITE)
		o->op.data = (void *)request->data; /* a write doesn't change it */
	else if (request->type == REQUEST_READ)
		o->op.data = buf->data;
	else if (request->type == REQUEST_EXTENTS)
		o->op.extents = (struct wire_extent *)buf->data;
	return o;
}

/* May complete it at once. */
static void start(struct local_op *o)
{
	o->request->place = REQUEST_IN_BACKEND;
	o->request->holder = o;
	backend_submit(o->port->local->backend, &o->op);
}

static void retry(void *arg)
{
	struct local_port *port = arg;

	while (port->waiting.first) {
		struct request *request = port->waiting.first;
		struct local_op *o = prepare(port, request);

		if (!o) {
			buf_wait(port->worker->bufs, &port->waiter);
			return;
		}
		request_list_remove(&port->waiting, request);
		start(o);
	}
}

static void buf_came(void *arg)
{
	struct local_port *port = arg;

	loop_defer(port->worker->loop, &port->retry);
}

static void local_submit(struct target *target, struct request *request)
{
	struct local_port *port = &from_base(target)->ports[request->worker->index];

	struct local_op *o = port->waiting.first ? NULL : prepare(port, request);

	request->told = port->local->told;
	if (o) {
		start(o);
		return;
	}
	request->place = REQUEST_WAITING;
	request_list_append(&port->waiting, request);
	buf_wait(port->worker->bufs, &port->waiter);
}

static void local_cancel(struct target *target, struct request *request, int error)
{
	struct local_port *port = &from_base(target)->ports[request->worker->index];

	if (request->place == REQUEST_WAITING) {
		request_list_remove(&port->waiting, request);
	} else { /* the backend goes on */
		struct local_op *o = request->holder;

		o->request = NULL;
		o->hold = request->hold ? range_hold_get(request->hold) : NULL;
	}
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

static void on_refresh(void *arg)
{
	struct local *local = arg;

	loop_timer_set(&local->refresh_timer, REFRESH_INTERVAL);
	if (!backend_refresh(local->backend))
		return;
	local->base.size = local->backend->info.size;
	local->base.changed(local->base.changed_arg);
}

static json_t *local_status(struct target *target)
{
	struct local *local = from_base(target);
	char text[URI_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:I, s:b}", "uri", uri_print(&local->uri, text), "state",
			 target_state_name(local->base.state), "reason", "", "size",
			 (json_int_t)local->base.size, "writable", (int)local->base.writable);
}

static void local_reason(struct target *target, char *text, size_t size)
{
	snprintf(text, size, "%s", "");
}

static bool local_destroy(struct target *target)
{
	struct local *local = from_base(target);

	for (unsigned i = 0; i < local->port_count; i++) {
		if (local->ports[i].ops && pool_in_use(local->ports[i].ops)) {
			log_error("%s: the disk still holds operations", local->uri.path);
			return false;
		}
	}
	loop_timer_destroy(&local->refresh_timer);
	for (unsigned i = 0; i < local->port_count; i++) {
		buf_wait_cancel(&local->ports[i].waiter);
		loop_defer_cancel(&local->ports[i].retry);
		pool_free(&local->ports[i].ops);
	}
	backend_close(&local->backend);
	free(local);
	return true;
}

static uint64_t local_losses(struct target *target)
{
	return from_base(target)->backend->info.losses;
}

static const struct target_ops local_ops = {
	.submit = local_submit,
	.cancel = local_cancel,
	.status = local_status,
	.reason = local_reason,
	.losses = local_losses,
	.destroy = local_destroy,
};

static int init_port(struct local *local, unsigned index, struct worker *worker)
{
	struct local_port *port = &local->ports[index];

	port->local = local;
	port->worker = worker;
	port->waiter = (struct buf_waiter){.callback = buf_came, .arg = port};
	port->retry = (struct loop_hook){.callback = retry, .arg = port};
	port->ops = pool_new(sizeof(struct local_op), 64, WORKER_BUFS);
	return port->ops ? 0 : ENOMEM;
}

struct target *local_new(const struct uri *uri, struct worker *workers, unsigned worker_count,
			 const struct target_policy *policy, void (*changed)(void *arg),
			 void *changed_arg, char *reason, size_t reason_size)
{
	struct backend_file_options options = {.path = uri->path, .read_only = policy->read_only};
	struct local *local = calloc(1, sizeof(*local) + worker_count * sizeof(struct local_port));
	int error = ENOMEM;

	if (!local)
		goto out_of_memory;
	local->base.ops = &local_ops;
	local->base.policy = policy;
	local->base.changed = changed;
	local->base.changed_arg = changed_arg;
	local->uri = *uri;
	for (error = 0; !error && local->port_count < worker_count; local->port_count++)
		error = init_port(local, local->port_count, &workers[local->port_count]);
	if (!error)
		error = loop_timer_init(&local->refresh_timer, workers[0].loop, on_refresh, local);
	if (error)
		goto out_of_memory;
	local->backend = backend_file_open(&options, reason, reason_size);
	if (!local->backend) {
		local_destroy(&local->base);
		return NULL;
	}
	local->base.size = local->backend->info.size;
	local->base.writable = !local->backend->info.read_only;
	local->base.state = TARGET_READY;
	loop_timer_set(&local->refresh_timer, REFRESH_INTERVAL);
	return &local->base;

out_of_memory:
	if (local)
		local_destroy(&local->base);
	snprintf(reason, reason_size, "out of memory");
	return NULL;
}
