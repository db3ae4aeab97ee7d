/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_port.c - see mirror_port.h. An op is in one of two lists: `sent` while nodes work on it, else
 * `waiting`.
 */
#include "dstfs/mirror_port.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>

#define OPS_RESERVED 64u
#define EXPIRY_INTERVAL (100 * CLOCK_MS)

/* ---- lists ---- */

static struct mirror_op_list *list_of(struct mirror_op *op)
{
	return op->state == MIRROR_OP_SENT ? &op->port->sent : &op->port->waiting;
}

static void list_append(struct mirror_op *op)
{
	struct mirror_op_list *list = list_of(op);

	op->next = NULL;
	op->previous = list->last;
	*(list->last ? &list->last->next : &list->first) = op;
	list->last = op;
}

static void list_remove(struct mirror_op *op)
{
	struct mirror_op_list *list = list_of(op);

	*(op->previous ? &op->previous->next : &list->first) = op->next;
	*(op->next ? &op->next->previous : &list->last) = op->previous;
}

static void watch(struct mirror_port *port)
{
	if (!loop_timer_pending(&port->expiry))
		loop_timer_set(&port->expiry, EXPIRY_INTERVAL);
}

void mirror_op_enter(struct mirror_op *op, enum mirror_op_state state)
{
	if (op->state == state) /* it keeps its place */
		return;
	list_remove(op);
	op->state = state;
	list_append(op);
}

void mirror_op_limit(struct mirror_op *op)
{
	if (!op->since)
		op->since = clock_now();
	watch(op->port);
}

/* ---- ops ---- */

static void begin(struct mirror_port *port, struct mirror_op *op, struct request *request)
{
	op->request = request;
	op->port = port;
	op->state = MIRROR_OP_HOLD;
	op->hold = NULL;
	op->since = 0;
	op->starting = op->cancelled = false;
	op->sent = op->pending = op->ok = op->failed = op->leaving = 0;
	request->holder = op;
	list_append(op);
	counter_add(&port->counters.inflight, 1);
	if (port->mirror->phase != MIRROR_RUNNING)
		mirror_op_finish(op, EIO);
	else if (mirror_op_reads(op))
		mirror_read_begin(op);
	else
		mirror_write_begin(op);
}

void mirror_op_finish(struct mirror_op *op, int error)
{
	struct request *request = op->request;
	struct mirror_port *port = op->port;

	assert(!op->pending);
	list_remove(op);
	range_hold_put(&op->hold);
	pool_put(port->ops, op);
	counter_add(&port->counters.inflight, (uint64_t)-1);
	if (port->dry.first)
		loop_defer(port->worker->loop, &port->dry_hook);
	request->place = REQUEST_NOWHERE;
	request->holder = NULL;
	request->done(request, error);
}

static void retry_dry(void *arg)
{
	struct mirror_port *port = arg;

	while (port->dry.first) {
		struct request *request = port->dry.first;
		struct mirror_op *op = pool_get(port->ops);

		if (!op) /* the next one that finishes comes back here */
			return;
		request_list_remove(&port->dry, request);
		begin(port, op, request);
	}
}

void mirror_submit(struct target *target, struct request *request)
{
	struct mirror *mirror = (struct mirror *)target; /* base is the first member */
	struct mirror_port *port = &mirror->ports[request->worker->index];
	struct mirror_op *op = port->dry.first ? NULL : pool_get(port->ops);

	request->place = REQUEST_IN_MAP;
	if (op) {
		begin(port, op, request);
	} else if (!pool_in_use(port->ops)) { /* nobody would come back for it */
		request->place = REQUEST_NOWHERE;
		request->done(request, ENOMEM);
	} else {
		request->holder = NULL;
		request_list_append(&port->dry, request);
	}
}

/* ---- legs ---- */

static unsigned node_of(const struct mirror_leg *leg)
{
	return (unsigned)(leg - leg->op->legs);
}

static void note_pace(struct mirror_leg *leg, int error)
{
	struct mirror_pace *pace = &leg->op->port->paces[node_of(leg)];
	uint64_t took;

	pace->outstanding--;
	if (error || !mirror_op_reads(leg->op))
		return;
	took = clock_now() - leg->began;
	pace->latency = pace->latency ? pace->latency - pace->latency / 8 + took / 8 : took;
	if (!pace->latency)
		pace->latency = 1;
}

static void leg_over(struct mirror_leg *leg, int error)
{
	struct mirror_op *op = leg->op;
	unsigned node = node_of(leg);

	op->pending &= ~MIRROR_BIT(node);
	range_hold_put(&leg->request.hold);
	if (error) {
		op->failed |= MIRROR_BIT(node);
		op->errors[node] = error;
	} else {
		op->ok |= MIRROR_BIT(node);
	}
	if (op->cancelled)
		return;
	if (mirror_op_reads(op))
		mirror_read_settle(op, leg, error);
	else if (!op->pending && !op->starting)
		mirror_write_settle(op);
}

static void on_leg_done(struct request *request, int error)
{
	struct mirror_leg *leg = (struct mirror_leg *)request; /* request is the first member */

	note_pace(leg, error);
	if (!error && request->type == REQUEST_COPY) {
		struct mirror_op *op = leg->op;

		op->uneven |= op->ok && op->least != request->result;
		if (!op->ok || request->result < op->least)
			op->least = request->result;
	}
	leg_over(leg, error);
}

static void leg_submit(struct mirror_leg *leg)
{
	struct mirror_port *port = leg->op->port;
	unsigned node = node_of(leg);

	leg->began = leg->request.since = clock_now(); /* so that its node needn't ask for it */
	port->paces[node].outstanding++;
	target_submit(port->mirror->nodes[node].target, &leg->request);
}

static void leg_stop_waiting(struct mirror_leg *leg)
{
	leg->waiting = false;
	leg->op->port->legs_waiting--;
}

static void on_granted(void *arg)
{
	struct mirror_leg *leg = arg;

	leg_stop_waiting(leg);
	leg_submit(leg);
}

static void leg_wait(struct mirror_leg *leg)
{
	struct mirror_port *port = leg->op->port;

	leg->waiting = true;
	leg->began = clock_now();
	port->legs_waiting++;
	watch(port);
}

void mirror_leg_send(struct mirror_op *op, unsigned node)
{
	struct mirror_leg *leg = &op->legs[node];
	const struct request *from = op->request;
	struct range source = {0, 0};
	bool granted = true;

	leg->op = op;
	leg->waiting = false;
	leg->request = (struct request){
		.type = from->type == REQUEST_DISCARD ? REQUEST_WRITE_ZEROES : from->type,
		.fua = from->fua,
		.no_hole = from->no_hole && from->type != REQUEST_DISCARD,
		.range = from->range,
		.data = from->data,
		.buf = from->buf,
		.digest = from->digest,
		.has_digest = from->has_digest,
		.copy_from = from->copy_from,
		.hash_seed = from->hash_seed,
		.worker = from->worker,
		.done = on_leg_done,
	};
	if (request_modifies(from)) {
		if (from->type == REQUEST_COPY)
			source = (struct range){from->copy_from, from->range.length};
		leg->request.hold =
			ranges_take(op->port->mirror->nodes[node].ranges, op->port->worker,
				    from->range, source, on_granted, leg, &granted);
		if (!leg->request.hold) {
			leg_over(leg, ENOMEM);
			return;
		}
	}
	if (granted)
		leg_submit(leg);
	else
		leg_wait(leg);
}

static void leg_cancel(struct mirror_leg *leg, int error)
{
	if (leg->waiting) {
		leg_stop_waiting(leg);
		leg_over(leg, error);
	} else {
		target_cancel(leg->op->port->mirror->nodes[node_of(leg)].target, &leg->request,
			      error);
	}
}

/* The op may be gone afterwards. */
static void cancel_legs(struct mirror_op *op, mirror_mask legs, int error)
{
	for (mirror_mask rest = op->pending & legs; rest;) {
		struct mirror_leg *leg = &op->legs[__builtin_ctz(rest)];

		rest &= rest - 1;
		leg_cancel(leg, error);
	}
}

/* What was given up earlier keeps the range on a node; for too long, and the node has failed. */
static void expire_legs(struct mirror_port *port, uint64_t patience, uint64_t now)
{
	for (struct mirror_op *op = port->sent.first, *next; op && port->legs_waiting; op = next) {
		mirror_mask late = 0;

		next = op->next;
		for (mirror_mask rest = op->pending; rest; rest &= rest - 1) {
			const struct mirror_leg *leg = &op->legs[__builtin_ctz(rest)];

			if (leg->waiting && now - leg->began >= patience)
				late |= rest & -rest;
		}
		cancel_legs(op, late, EIO);
	}
}

/* They have not been sent. True: some still wait. */
static bool expire_set(struct mirror_port *port, uint64_t patience, uint64_t now)
{
	bool waiting = false;

	for (struct mirror_op *op = port->waiting.first, *next; op; op = next) {
		next = op->next;
		if (!op->since)
			continue;
		if (now - op->since >= patience)
			mirror_op_finish(op, EIO);
		else
			waiting = true;
	}
	return waiting;
}

static void on_expiry(void *arg)
{
	struct mirror_port *port = arg;
	uint64_t patience = target_patience(port->mirror->base.policy), now = clock_now();
	bool waiting = expire_set(port, patience, now);

	expire_legs(port, patience, now);
	if (waiting || port->legs_waiting)
		watch(port);
}

/* ---- cancelling ---- */

void mirror_cancel(struct target *target, struct request *request, int error)
{
	struct mirror *mirror = (struct mirror *)target; /* base is the first member */
	struct mirror_op *op = request->holder;

	if (!op) {
		request_list_remove(&mirror->ports[request->worker->index].dry, request);
		request->place = REQUEST_NOWHERE;
		request->done(request, error);
		return;
	}
	op->cancelled = true;
	cancel_legs(op, UINT_MAX, error);
	if (request_modifies(request))
		mirror_write_cancelled(op);
	mirror_op_finish(op, error);
}

/* ---- being woken ---- */

/* Nobody waits for a node that has left the set. */
static void leave_lost_nodes(struct mirror_port *port)
{
	struct mirror *mirror = port->mirror;

	for (struct mirror_op *op = port->sent.first, *next; op; op = next) {
		mirror_mask set = mirror_op_reads(op) ? mirror->read_set : mirror->write_set;

		next = op->next;
		cancel_legs(op, ~set, EIO);
	}
}

static void go_on(struct mirror_op *op)
{
	if (op->port->mirror->phase != MIRROR_RUNNING)
		mirror_op_finish(op, EIO);
	else if (op->state == MIRROR_OP_RECORD)
		mirror_write_settle(op);
	else if (op->state == MIRROR_OP_SET && mirror_op_reads(op))
		mirror_read_begin(op);
	else if (op->state == MIRROR_OP_SET)
		mirror_write_go_on(op);
}

static void on_wake(void *arg)
{
	struct mirror_port *port = arg;

	port->wake_posted = false; /* first: what changes from now on posts again */
	leave_lost_nodes(port);
	for (struct mirror_op *op = port->waiting.first, *next; op; op = next) {
		next = op->next;
		go_on(op);
	}
}

void mirror_wake_ports(struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->port_count && !mirror->ending; i++) {
		struct mirror_port *port = &mirror->ports[i];

		if (!atomic_exchange(&port->wake_posted, true))
			loop_post(port->worker->loop, &port->wake);
	}
}

uint64_t mirror_users_inflight(struct mirror *mirror)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < mirror->port_count; i++)
		sum += counter_get(&mirror->ports[i].counters.inflight);
	return sum;
}

/* ---- life ---- */

int mirror_port_init(struct mirror_port *port, struct mirror *mirror, struct worker *worker)
{
	port->mirror = mirror;
	port->worker = worker;
	port->wake = (struct loop_work){.callback = on_wake, .arg = port};
	port->dry_hook = (struct loop_hook){.callback = retry_dry, .arg = port};
	port->ops = pool_new(sizeof(struct mirror_op), OPS_RESERVED, WORKER_BUFS);
	if (!port->ops)
		return ENOMEM;
	return loop_timer_init(&port->expiry, worker->loop, on_expiry, port);
}

void mirror_port_destroy(struct mirror_port *port)
{
	loop_timer_destroy(&port->expiry);
	loop_defer_cancel(&port->dry_hook);
	pool_free(&port->ops);
}
