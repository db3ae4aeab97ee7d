/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volume.c - see volume.h
 *
 * Room comes first, the range second: who is held up has taken its room, so that the range table and
 * the lists here are bounded by the limits. Nobody waits in a circle by that: those in front of it in
 * the range table have their room already.
 *
 * A range that is too long for one request holds its range piece by piece. What overlaps and comes
 * meanwhile waits for one piece then, not for all of them, which on a slow disk may take longer than
 * any patience; and no two of them are ever on the wire together either way.
 */
#include "dstfs/volume.h"

#include "common/clock.h"
#include "common/counter.h"
#include "common/log.h"
#include "dstfs/ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY_INTERVAL (100 * CLOCK_MS)

struct volume_counters {
	counter_t reads, read_bytes, writes, write_bytes, flushes, zeroes, copies, errors;
	counter_t interrupted;
	counter_t waits; /* for a range */
	counter_t modified_bytes; /* acknowledged, of whatever changes content and had no FUA */
	counter_t inflight; /* a level */
};

/* What belongs to one worker. */
struct volume_port {
	struct volume *volume;
	struct worker *worker;
	struct volume_io *first, *last; /* all that are submitted, in order of submission */
	uint64_t next_number;
	unsigned requests; /* that have taken room: held up or at the target */
	uint64_t bytes; /* of data, theirs */
	struct request_list parked, held_up; /* in order of arrival */
	bool unparking; /* a completion that comes at once leaves the rest to the caller */
	struct loop_timer expiry_timer; /* runs while anybody is held up */
	struct volume_counters counters;

	struct loop_work look; /* looks what others have asked for */
	_Atomic bool look_posted;
	_Atomic bool fail; /* asked for */
};

struct volume {
	char *name;
	struct target *target;
	struct target_policy policy;
	struct ranges *ranges;
	_Atomic uint64_t durable; /* bytes acknowledged before the last good FLUSH */
	_Atomic unsigned most_requests; /* of a port */
	_Atomic uint64_t most_bytes;
	struct log_limit limit_expired;
	unsigned port_count;
	struct volume_port ports[];
};

static struct volume_port *port_of(const struct volume_io *io)
{
	return &io->volume->ports[io->request.worker->index];
}

/* The checks that every operation passes, once. 0 or an errno; a READ is clipped. */
static int admit(struct volume *volume, struct request *request)
{
	uint64_t size = volume->target->size;

	if (request_modifies(request) && (volume->policy.read_only || !volume->target->writable) &&
	    volume->target->size)
		return EROFS;
	switch (request->type) {
	case REQUEST_READ:
		request->range = range_clip(request->range, size);
		return 0;
	case REQUEST_FLUSH:
		return 0;
	case REQUEST_COPY:
		if (!range_within((struct range){request->copy_from, request->range.length}, size))
			return EINVAL;
		/* fall through */
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
		return range_within(request->range, size) ? 0 : ENOSPC;
	default:
		return range_within(request->range, size) ? 0 : EINVAL;
	}
}

static void count(struct volume_counters *c, const struct request *request, int error)
{
	uint64_t length = request->range.length;

	if (error == EINTR)
		counter_add(&c->interrupted, 1);
	else if (error && error != EOPNOTSUPP)
		counter_add(&c->errors, 1);
	if (error)
		return;
	switch (request->type) {
	case REQUEST_READ:
		counter_add(&c->reads, 1);
		counter_add(&c->read_bytes, length);
		break;
	case REQUEST_WRITE:
		counter_add(&c->writes, 1);
		counter_add(&c->write_bytes, length);
		break;
	case REQUEST_FLUSH:
		counter_add(&c->flushes, 1);
		break;
	case REQUEST_DISCARD:
	case REQUEST_WRITE_ZEROES:
		counter_add(&c->zeroes, 1);
		break;
	case REQUEST_COPY:
		counter_add(&c->copies, 1);
		break;
	default:
		break;
	}
}

static uint64_t acknowledged(const struct volume *volume)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < volume->port_count; i++)
		sum += counter_get(&volume->ports[i].counters.modified_bytes);
	return sum;
}

/* ---- the end of an operation ---- */

static void list_append(struct volume_port *port, struct volume_io *io)
{
	io->number = port->next_number++;
	io->next = NULL;
	io->previous = port->last;
	*(port->last ? &port->last->next : &port->first) = io;
	port->last = io;
}

static void list_remove(struct volume_port *port, struct volume_io *io)
{
	*(io->previous ? &io->previous->next : &port->first) = io->next;
	*(io->next ? &io->next->previous : &port->last) = io->previous;
}

static void finish(struct volume_io *io, int error)
{
	struct volume_port *port = port_of(io);

	if (io->request.type == REQUEST_FLUSH && !error)
		mark_raise(&io->volume->durable, io->mark);
	count(&port->counters, &io->request, error);
	counter_add(&port->counters.inflight, (uint64_t)-1);
	list_remove(port, io);
	io->done(io, error);
}

/* ---- room ---- */

static uint64_t data_bytes(const struct request *request)
{
	bool has_data = request->type == REQUEST_READ || request->type == REQUEST_WRITE;

	return has_data ? request->range.length : 0;
}

static bool has_room(const struct volume_port *port, const struct request *request)
{
	const struct volume *volume = port->volume;

	return !port->requests || (port->requests < volume->most_requests &&
				   port->bytes + data_bytes(request) <= volume->most_bytes);
}

static void submit_piece(struct volume_io *io);

static void take_room(struct volume_port *port, struct volume_io *io)
{
	port->requests++;
	port->bytes += data_bytes(&io->request);
	submit_piece(io);
}

static void unpark(struct volume_port *port)
{
	if (port->unparking)
		return;
	port->unparking = true;
	while (port->parked.first && has_room(port, port->parked.first)) {
		struct volume_io *io = (struct volume_io *)port->parked.first;

		request_list_remove(&port->parked, &io->request);
		take_room(port, io);
	}
	port->unparking = false;
}

/*
 * A piece that was done may have been lost while the others were, and an fsync may have told: nobody
 * would tell of it after the whole was acknowledged. Others may have written there meanwhile, so it isn't
 * done again.
 */
static bool piece_may_be_lost(const struct volume_io *io)
{
	const struct request *request = &io->request;

	return io->pieces > 1 && request_modifies(request) && !request->fua &&
	       target_losses(io->volume->target) != io->losses;
}

/* The target's completion, or of what has not come that far. */
static void request_done(struct request *request, int error)
{
	struct volume_io *io = (struct volume_io *)request; /* request is the first member */
	struct volume_port *port = port_of(io);

	if (!error && request_modifies(request) && !request->fua)
		counter_add(&port->counters.modified_bytes, request->type == REQUEST_COPY
								    ? request->result
								    : request->range.length);
	range_hold_put(&request->hold);
	if (!error && io->rest.length) {
		submit_piece(io);
		return;
	}
	if (!error && piece_may_be_lost(io))
		error = EIO;
	port->requests--;
	port->bytes -= data_bytes(request);
	finish(io, error);
	unpark(port);
}

/* ---- ranges ---- */

static void leave_held_up(struct volume_port *port, struct request *request)
{
	request_list_remove(&port->held_up, request);
	request->place = REQUEST_NOWHERE;
}

static void on_range_granted(void *arg)
{
	struct volume_io *io = arg;

	leave_held_up(port_of(io), &io->request);
	target_submit(io->volume->target, &io->request);
}

static void hold_up(struct volume_port *port, struct request *request)
{
	request->place = REQUEST_HELD_UP;
	request->since = clock_now();
	request_list_append(&port->held_up, request);
	counter_add(&port->counters.waits, 1);
	if (!loop_timer_pending(&port->expiry_timer))
		loop_timer_set(&port->expiry_timer, EXPIRY_INTERVAL);
}

/* Passes the operation, or its next piece, to the target, as soon as its range is free. */
static void submit_piece(struct volume_io *io)
{
	struct request *request = &io->request;
	struct range source = {0, 0};
	bool granted = true;

	request->place = REQUEST_NOWHERE;
	request->since = 0;
	if (!io->pieces++)
		io->losses = target_losses(io->volume->target);
	if (request->type != REQUEST_READ && request->type != REQUEST_WRITE) {
		request->range = range_head(io->rest, DST_MAX_RANGE);
		range_advance(&io->rest, request->range.length);
	}
	if (request_modifies(request)) {
		if (request->type == REQUEST_COPY)
			source = (struct range){request->copy_from, request->range.length};
		request->hold = ranges_take(io->volume->ranges, request->worker, request->range,
					    source, on_range_granted, io, &granted);
		if (!request->hold) {
			request_done(request, ENOMEM);
			return;
		}
	}
	if (granted)
		target_submit(io->volume->target, request);
	else
		hold_up(port_of(io), request);
}

/* Who is in front may rightly take as long as the target takes. Nanoseconds. */
static uint64_t held_up_patience(const struct volume *volume)
{
	uint64_t patience = target_patience(&volume->policy);
	unsigned times = volume->target->patiences;

	if (times < 2)
		return patience;
	return patience > UINT64_MAX / times ? UINT64_MAX : patience * times;
}

static void expire_held_up(void *arg)
{
	struct volume_port *port = arg;
	struct volume *volume = port->volume;
	uint64_t now = clock_now(), patience = held_up_patience(volume);

	for (struct request *r = port->held_up.first, *next; r; r = next) {
		next = r->next;
		if (now < r->since || now - r->since < patience)
			continue;
		log_limited(&volume->limit_expired, LOG_LEVEL_ERROR,
			    "volume %s: a request of %llu bytes at %llu failed: another one that "
			    "shares bytes with it was not over within %llu s",
			    volume->name, (unsigned long long)r->range.length,
			    (unsigned long long)r->range.offset,
			    (unsigned long long)(patience / CLOCK_SEC));
		volume_cancel((struct volume_io *)r, EIO);
	}
	if (port->held_up.first)
		loop_timer_set(&port->expiry_timer, EXPIRY_INTERVAL);
}

/* ---- operations ---- */

void volume_submit(struct volume *volume, struct volume_io *io)
{
	struct request *request = &io->request;
	struct volume_port *port;
	int error;

	io->volume = volume;
	request->done = request_done;
	request->place = REQUEST_NOWHERE;
	request->hold = NULL;
	port = port_of(io);
	list_append(port, io);
	counter_add(&port->counters.inflight, 1);
	error = admit(volume, request);
	if (error || (!request->range.length && request->type != REQUEST_FLUSH)) {
		finish(io, error);
		return;
	}
	io->mark = request->type == REQUEST_FLUSH ? acknowledged(volume) : 0;
	io->rest = (struct range){0, 0};
	io->pieces = 0;
	if (request->type != REQUEST_READ && request->type != REQUEST_WRITE)
		io->rest = request->range;
	if (port->parked.first || !has_room(port, request)) { /* no overtaking */
		request->place = REQUEST_PARKED;
		request_list_append(&port->parked, request);
		return;
	}
	take_room(port, io);
}

void volume_cancel(struct volume_io *io, int error)
{
	struct request *request = &io->request;

	io->rest = (struct range){0, 0};
	switch (request->place) {
	case REQUEST_PARKED:
		request_list_remove(&port_of(io)->parked, request);
		finish(io, error);
		break;
	case REQUEST_HELD_UP:
		leave_held_up(port_of(io), request);
		request_done(request, error);
		break;
	default:
		target_cancel(io->volume->target, request, error);
		break;
	}
}

/* ---- what others ask of a worker ---- */

static void fail_all(struct volume_port *port)
{
	uint64_t end = port->next_number; /* who comes again on its failure is not failed again */

	port->unparking = true; /* nothing takes the room of those that fail, only to fail too */
	while (port->first && port->first->number < end)
		volume_cancel(port->first, EIO);
	port->unparking = false;
}

static void look(void *arg)
{
	struct volume_port *port = arg;

	port->look_posted = false; /* first: what is asked for from now on posts again */
	if (atomic_exchange(&port->fail, false))
		fail_all(port);
	unpark(port);
}

static void have_look(struct volume_port *port)
{
	if (!atomic_exchange(&port->look_posted, true))
		loop_post(port->worker->loop, &port->look);
}

void volume_fail(struct volume *volume)
{
	for (unsigned i = 0; i < volume->port_count; i++) {
		volume->ports[i].fail = true;
		have_look(&volume->ports[i]);
	}
}

void volume_set_limits(struct volume *volume, unsigned requests, uint64_t bytes)
{
	unsigned share = requests / volume->port_count;
	uint64_t bytes_share = bytes / volume->port_count;

	if (share == volume->most_requests && bytes_share == volume->most_bytes)
		return;
	volume->most_requests = share;
	volume->most_bytes = bytes_share;
	for (unsigned i = 0; i < volume->port_count; i++) /* it may be more than before */
		have_look(&volume->ports[i]);
}

/* ---- life ---- */

static int init_port(struct volume *volume, struct worker *worker)
{
	struct volume_port *port = &volume->ports[worker->index];

	port->volume = volume;
	port->worker = worker;
	port->look = (struct loop_work){.callback = look, .arg = port};
	return loop_timer_init(&port->expiry_timer, worker->loop, expire_held_up, port);
}

struct volume *volume_new(const char *name, struct worker *workers, unsigned worker_count,
			  unsigned requests, uint64_t bytes)
{
	struct volume *volume =
		calloc(1, sizeof(*volume) + worker_count * sizeof(struct volume_port));
	int error = 0;

	assert(worker_count);
	if (!volume)
		return NULL;
	while (!error && volume->port_count < worker_count)
		error = init_port(volume, &workers[volume->port_count++]);
	volume->most_requests = requests / worker_count;
	volume->most_bytes = bytes / worker_count;
	volume->name = strdup(name);
	volume->ranges = ranges_new(workers, worker_count);
	if (error || !volume->name || !volume->ranges)
		volume_free(&volume);
	return volume;
}

struct target_policy *volume_policy(struct volume *volume)
{
	return &volume->policy;
}

void volume_set_target(struct volume *volume, struct target *target)
{
	assert(!volume->target);
	volume->target = target;
}

struct target *volume_target(struct volume *volume)
{
	return volume->target;
}

const char *volume_name(const struct volume *volume)
{
	return volume->name;
}

uint64_t volume_inflight(struct volume *volume)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < volume->port_count; i++)
		sum += counter_get(&volume->ports[i].counters.inflight);
	return sum;
}

uint64_t volume_undurable(struct volume *volume)
{
	uint64_t sum = acknowledged(volume);

	return volume->target->writable && sum > volume->durable ? sum - volume->durable : 0;
}

json_t *volume_status(struct volume *volume)
{
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {
		{"reads", offsetof(struct volume_counters, reads)},
		{"read_bytes", offsetof(struct volume_counters, read_bytes)},
		{"writes", offsetof(struct volume_counters, writes)},
		{"write_bytes", offsetof(struct volume_counters, write_bytes)},
		{"flushes", offsetof(struct volume_counters, flushes)},
		{"zeroes", offsetof(struct volume_counters, zeroes)},
		{"copies", offsetof(struct volume_counters, copies)},
		{"errors", offsetof(struct volume_counters, errors)},
		{"interrupted", offsetof(struct volume_counters, interrupted)},
		{"waits", offsetof(struct volume_counters, waits)},
	};
	json_t *counters = json_object();

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < volume->port_count; i++)
			sum += counter_get(
				(counter_t *)((char *)&volume->ports[i].counters + rows[r].offset));
		json_object_set_new(counters, rows[r].name, json_integer((json_int_t)sum));
	}
	return json_pack("{s:s, s:I, s:s, s:b, s:I, s:I, s:I, s:o, s:[o]}", "name", volume->name,
			 "size", (json_int_t)volume->target->size, "state",
			 target_state_name(volume->target->state), "read_only",
			 (int)(volume->policy.read_only ||
			       (volume->target->size && !volume->target->writable)),
			 "inflight", (json_int_t)volume_inflight(volume), "holds",
			 (json_int_t)ranges_count(volume->ranges), "undurable",
			 (json_int_t)volume_undurable(volume), "counters", counters, "nodes",
			 volume->target->ops->status(volume->target));
}

bool volume_free(struct volume **pointer)
{
	struct volume *volume = *pointer;
	bool gone;

	*pointer = NULL;
	if (!volume)
		return true;
	for (unsigned i = 0; i < volume->port_count; i++)
		loop_timer_destroy(&volume->ports[i].expiry_timer);
	gone = target_destroy(&volume->target);
	if (gone) /* else a stuck disk still holds ranges */
		ranges_free(&volume->ranges);
	free(volume->name);
	free(volume);
	return gone;
}
