/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume.c - see volume.h */
#include "dstfs/volume.h"

#include "common/counter.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct volume_counters {
	counter_t reads, read_bytes, writes, write_bytes, flushes, zeroes, copies, errors;
	counter_t interrupted;
	counter_t modified_bytes; /* acknowledged, of whatever changes content and had no FUA */
	counter_t inflight; /* a level */
};

/* What belongs to one worker. */
struct volume_port {
	unsigned at_target; /* requests there now */
	unsigned most;
	struct request_list parked; /* in order of arrival */
	bool unparking; /* a completion that comes at once leaves the rest to the caller */
	struct volume_counters counters;
};

struct volume {
	char *name;
	struct target *target;
	struct target_policy policy;
	_Atomic uint64_t durable; /* bytes acknowledged before the last good FLUSH */
	unsigned port_count;
	struct volume_port ports[];
};

static struct volume_port *port_of(const struct volume_io *io)
{
	return &io->volume->ports[io->request.worker->index];
}

static bool modifies(enum request_type type)
{
	return type == REQUEST_WRITE || type == REQUEST_DISCARD || type == REQUEST_WRITE_ZEROES ||
	       type == REQUEST_COPY;
}

/* The checks that every operation passes, once. 0 or an errno; a READ is clipped. */
static int admit(struct volume *volume, struct request *request)
{
	uint64_t size = volume->target->size;

	if (modifies(request->type) && (volume->policy.read_only || !volume->target->writable) &&
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

static void finish(struct volume_io *io, int error)
{
	struct volume_port *port = port_of(io);

	if (io->request.type == REQUEST_FLUSH && !error && io->mark > io->volume->durable)
		io->volume->durable = io->mark;
	count(&port->counters, &io->request, error);
	counter_add(&port->counters.inflight, (uint64_t)-1);
	io->done(io, error);
}

/* Passes the operation, or its next piece, to the target. */
static void pass_on(struct volume_io *io)
{
	struct request *request = &io->request;

	if (request->type != REQUEST_READ && request->type != REQUEST_WRITE) {
		request->range = range_head(io->rest, DST_MAX_RANGE);
		range_advance(&io->rest, request->range.length);
	}
	port_of(io)->at_target++;
	target_submit(io->volume->target, request);
}

static void unpark(struct volume_port *port)
{
	if (port->unparking)
		return;
	port->unparking = true;
	while (port->parked.first && port->at_target < port->most) {
		struct volume_io *io = (struct volume_io *)port->parked.first;

		request_list_remove(&port->parked, &io->request);
		io->parked = false;
		pass_on(io);
	}
	port->unparking = false;
}

/* The target's completion. */
static void request_done(struct request *request, int error)
{
	struct volume_io *io = (struct volume_io *)request; /* request is the first member */
	struct volume_port *port = port_of(io);

	port->at_target--;
	if (!error && modifies(request->type) && !request->fua)
		counter_add(&port->counters.modified_bytes, request->type == REQUEST_COPY
								    ? request->result
								    : request->range.length);
	if (!error && io->rest.length)
		pass_on(io); /* the next piece of a long range */
	else
		finish(io, error);
	unpark(port);
}

void volume_submit(struct volume *volume, struct volume_io *io)
{
	struct volume_port *port;
	int error;

	io->volume = volume;
	io->parked = false;
	io->request.done = request_done;
	io->request.place = REQUEST_NOWHERE;
	port = port_of(io);
	counter_add(&port->counters.inflight, 1);
	error = admit(volume, &io->request);
	if (error || (!io->request.range.length && io->request.type != REQUEST_FLUSH)) {
		finish(io, error);
		return;
	}
	io->mark = io->request.type == REQUEST_FLUSH ? acknowledged(volume) : 0;
	io->rest = (struct range){0, 0};
	if (io->request.type != REQUEST_READ && io->request.type != REQUEST_WRITE)
		io->rest = io->request.range;
	if (port->at_target >= port->most || port->parked.first) { /* no overtaking */
		io->parked = true;
		io->request.place = REQUEST_PARKED;
		request_list_append(&port->parked, &io->request);
		return;
	}
	pass_on(io);
}

void volume_cancel(struct volume_io *io, int error)
{
	if (!io->parked) {
		io->rest = (struct range){0, 0};
		target_cancel(io->volume->target, &io->request, error);
		return;
	}
	io->parked = false;
	request_list_remove(&port_of(io)->parked, &io->request);
	finish(io, error);
}

struct volume *volume_new(const char *name, unsigned worker_count, unsigned max_inflight)
{
	struct volume *volume =
		calloc(1, sizeof(*volume) + worker_count * sizeof(struct volume_port));

	if (!volume)
		return NULL;
	volume->port_count = worker_count;
	for (unsigned i = 0; i < worker_count; i++) {
		volume->ports[i].most = max_inflight / worker_count;
		if (!volume->ports[i].most)
			volume->ports[i].most = 1;
	}
	volume->name = strdup(name);
	if (!volume->name)
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
	};
	json_t *counters = json_object();

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < volume->port_count; i++)
			sum += counter_get(
				(counter_t *)((char *)&volume->ports[i].counters + rows[r].offset));
		json_object_set_new(counters, rows[r].name, json_integer((json_int_t)sum));
	}
	return json_pack("{s:s, s:I, s:s, s:b, s:I, s:o, s:[o]}", "name", volume->name, "size",
			 (json_int_t)volume->target->size, "state",
			 target_state_name(volume->target->state), "read_only",
			 (int)(volume->policy.read_only ||
			       (volume->target->size && !volume->target->writable)),
			 "inflight", (json_int_t)volume_inflight(volume), "counters", counters,
			 "nodes", volume->target->ops->status(volume->target));
}

bool volume_free(struct volume **pointer)
{
	struct volume *volume = *pointer;
	bool gone;

	*pointer = NULL;
	if (!volume)
		return true;
	gone = target_destroy(&volume->target);
	free(volume->name);
	free(volume);
	return gone;
}
