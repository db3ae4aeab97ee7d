/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - see client.h. What the mount and FUSE do in dstfs is done here: workers and a volume are set
 * up, operations come in on a worker's thread and go out as volume_io.
 */
#include "test/sim/client.h"

#include "dstfs/remote.h"
#include "dstfs/volume.h"
#include "test/sim/heap.h"
#include "test/sim/net.h"
#include "test/sim/system.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An operation on its way. */
struct io {
	struct volume_io io; /* first */
	struct sim_op *op;
	struct loop_work submit, cancel;
	int cancel_error;
	bool submitted, cancelling, done;
};

struct client {
	enum sim_host host;
	struct worker workers[8];
	unsigned worker_count;
	struct volume *volume;
};

static struct client *clients[HOSTS]; /* NULL: not running */

static struct sim_process *process(enum sim_host host)
{
	return &sim.processes[host];
}

static const enum request_type types[SIM_OP_TYPES] = {
	[SIM_READ] = REQUEST_READ,           [SIM_WRITE] = REQUEST_WRITE,
	[SIM_FLUSH] = REQUEST_FLUSH,         [SIM_DISCARD] = REQUEST_DISCARD,
	[SIM_ZEROES] = REQUEST_WRITE_ZEROES, [SIM_EXTENTS] = REQUEST_EXTENTS,
	[SIM_COPY] = REQUEST_COPY,           [SIM_HASH] = REQUEST_HASH,
};

/* ---- operations ---- */

static void give_extents(struct sim_op *op, const struct request *request)
{
	uint64_t offset = request->range.offset;

	for (unsigned i = 0; i < request->extent_count; i++) {
		op->extent(op, offset, request->extents[i].length,
			   request->extents[i].kind == DST_EXTENT_HOLE);
		offset += request->extents[i].length;
	}
}

static void io_free(struct io *io)
{
	if (!io->done || io->cancelling)
		return;
	heap_free(io);
}

static void io_done(struct volume_io *volume_io, int error)
{
	struct io *io = (struct io *)volume_io;
	struct request *request = &io->io.request;
	struct sim_op *op = io->op;
	const uint8_t *data = NULL;
	uint64_t length = request->range.length;

	if (io->done)
		sim_fail("a request completes twice");
	if (!error && op->type == SIM_READ)
		data = request->data;
	else if (!error && op->type == SIM_HASH)
		data = request->hash;
	else if (op->type == SIM_COPY)
		length = request->result;
	if (!error && op->type == SIM_EXTENTS)
		give_extents(op, request);
	io->done = true;
	op->io = NULL;
	op->done(op, error, data, length);
	buf_unref(&request->buf);
	io_free(io);
}

static void io_submit(void *arg)
{
	struct io *io = arg;
	struct client *client = clients[sim.current->host];
	struct sim_op *op = io->op;
	struct request *request = &io->io.request;

	*request = (struct request){
		.type = types[op->type],
		.fua = op->fua,
		.no_hole = op->no_hole,
		.range = {op->offset, op->length},
		.copy_from = op->copy_from,
		.hash_seed = op->hash_seed,
		.worker = &client->workers[op->worker],
	};
	if (op->type == SIM_WRITE) {
		request->buf = buf_get(request->worker->bufs);
		assert(request->buf);
		request->data = request->buf->data;
		op->fill(op, request->buf->data);
	}
	io->io.done = io_done;
	io->submitted = true;
	volume_submit(client->volume, &io->io);
}

void sim_client_submit(enum sim_host host, struct sim_op *op)
{
	struct client *client = clients[host];
	struct sim_process *before = sim_enter(process(host));
	struct io *io = heap_calloc(1, sizeof(*io));

	op->worker %= client->worker_count;
	io->op = op;
	op->io = io;
	io->submit = (struct loop_work){.callback = io_submit, .arg = io};
	loop_post(client->workers[op->worker].loop, &io->submit);
	sim_leave(before);
}

static void io_cancel(void *arg)
{
	struct io *io = arg;

	if (!io->done) {
		volume_cancel(&io->io, io->cancel_error);
		if (!io->done)
			sim_fail("invariant 19: an operation goes on after it was cancelled");
	}
	io->cancelling = false;
	io_free(io);
}

void sim_client_cancel(enum sim_host host, struct sim_op *op, int error)
{
	struct io *io = op->io;
	struct sim_process *before;

	if (!io || io->cancelling)
		return;
	before = sim_enter(process(host));
	io->cancelling = true;
	io->cancel_error = error;
	io->cancel = (struct loop_work){.callback = io_cancel, .arg = io};
	loop_post(clients[host]->workers[op->worker].loop, &io->cancel);
	sim_leave(before);
}

/* ---- life ---- */

static void target_changed(void *arg)
{
}

static void set_policy(struct target_policy *policy, const struct sim_client_config *config)
{
	policy->timeout = config->timeout;
	policy->resends = config->resends;
	policy->reconnect = config->reconnect;
	policy->ping = config->ping;
	policy->checksum = config->checksum;
	policy->takeover = config->takeover;
	policy->read_only = config->read_only;
	policy->retain = config->retain;
	policy->ping_timeout = config->ping_timeout;
}

void sim_client_start(enum sim_host host, const struct sim_client_config *config)
{
	struct sim_process *before;
	char reason[256];
	struct uri uri;
	struct target *target;
	struct client *client;

	if (uri_parse(&uri, sim_chance(20) ? "dst://standby,server/vol0" : "dst://server/vol0",
		      reason, sizeof(reason)))
		abort();
	sim_process_start(host);
	before = sim_enter(process(host));
	sim_trace("starts with %u workers", config->workers);
	client = heap_calloc(1, sizeof(*client));
	clients[host] = client;
	client->host = host;
	while (client->worker_count < config->workers) {
		if (worker_init(&client->workers[client->worker_count], client->worker_count))
			abort();
		client->worker_count++;
	}
	client->volume = volume_new("vol0", client->workers, client->worker_count,
				    config->max_inflight, config->max_inflight_bytes);
	set_policy(volume_policy(client->volume), config);
	target = remote_new(&uri, client->workers, client->worker_count,
			    volume_policy(client->volume), "client", target_changed, NULL);
	if (!target)
		abort();
	volume_set_target(client->volume, target);
	sim_leave(before);
}

static void gone(enum sim_host host)
{
	net_process_gone(host);
	system_process_gone(host);
	sim_process_kill(host);
	clients[host] = NULL;
}

void sim_client_stop(enum sim_host host)
{
	struct client *client = clients[host];
	struct sim_process *before = sim_enter(process(host));

	sim_client_collect(host);
	for (unsigned i = 0; i < client->worker_count; i++)
		loop_run_posted(client->workers[i].loop);
	if (!volume_free(&client->volume))
		sim_fail("the volume isn't free");
	for (unsigned i = 0; i < client->worker_count; i++)
		worker_destroy(&client->workers[i]);
	heap_free(client);
	sim_leave(before);
	if (heap_blocks(process(host)->heap))
		sim_fail("a client stopped and left %zu blocks of memory",
			 heap_blocks(process(host)->heap));
	gone(host);
}

void sim_client_crash(enum sim_host host)
{
	sim_client_collect(host);
	sim_trace("%s is killed", host == HOST_CLIENT_A   ? "client A"
				  : host == HOST_CLIENT_B ? "client B"
							  : "the reader");
	gone(host);
}

void sim_client_fail(enum sim_host host)
{
	struct sim_process *before = sim_enter(process(host));

	volume_fail(clients[host]->volume);
	sim_leave(before);
}

bool sim_client_reattach(enum sim_host host)
{
	struct sim_process *before = sim_enter(process(host));
	struct target *target = volume_target(clients[host]->volume);
	int error = target->ops->reattach(target, true);

	sim_leave(before);
	return !error;
}

bool sim_client_running(enum sim_host host)
{
	return clients[host];
}

static struct target *target_of(enum sim_host host)
{
	return clients[host] ? volume_target(clients[host]->volume) : NULL;
}

bool sim_client_ready(enum sim_host host)
{
	struct target *target = target_of(host);

	return target && target->state == TARGET_READY;
}

bool sim_client_fenced(enum sim_host host)
{
	struct target *target = target_of(host);

	return target && target->state == TARGET_FENCED;
}

uint64_t sim_client_size(enum sim_host host)
{
	struct target *target = target_of(host);

	return target ? target->size : 0;
}

static uint64_t sum(const json_t *lanes, const char *name)
{
	const json_t *lane;
	uint64_t total = 0;
	size_t i;

	json_array_foreach(lanes, i, lane) total += (uint64_t)json_integer_value(
		json_object_get(json_object_get(lane, "counters"), name));
	return total;
}

uint64_t sim_client_unflushed(enum sim_host host)
{
	struct sim_process *before = sim_enter(process(host));
	struct target *target = target_of(host);
	json_t *status = target->ops->status(target);
	json_t *durability = json_object_get(status, "durability");
	uint64_t bytes =
		(uint64_t)json_integer_value(json_object_get(durability, "unflushed_bytes"));

	json_decref(status);
	sim_leave(before);
	return bytes;
}

static void add_count(enum count which, const json_t *object, const char *name)
{
	sim.counts[which] += (uint64_t)json_integer_value(json_object_get(object, name));
}

uint64_t sim_client_losses(enum sim_host host)
{
	struct sim_process *before = sim_enter(process(host));
	struct target *target = target_of(host);
	json_t *status = target->ops->status(target);
	json_t *durability = json_object_get(status, "durability");
	uint64_t losses = (uint64_t)json_integer_value(json_object_get(durability, "losses"));

	json_decref(status);
	sim_leave(before);
	return losses;
}

void sim_client_collect(enum sim_host host)
{
	struct sim_process *before = sim_enter(process(host));
	struct target *target = target_of(host);
	json_t *status = target->ops->status(target), *lanes = json_object_get(status, "lanes");
	json_t *durability;

	sim.counts[COUNT_CLIENT_RESENDS] += sum(lanes, "resends");
	sim.counts[COUNT_CLIENT_BAD_DIGESTS] += sum(lanes, "bad_digests");
	sim.counts[COUNT_CLIENT_LATE] += sum(lanes, "late_replies");
	sim.counts[COUNT_CLIENT_EXECUTED] += sum(lanes, "executed");
	durability = json_object_get(status, "durability");
	add_count(COUNT_CLIENT_RECOVERIES, durability, "recoveries");
	add_count(COUNT_CLIENT_REPLAYS, durability, "replays");
	add_count(COUNT_CLIENT_REPLAYED, durability, "replayed_pieces");
	add_count(COUNT_CLIENT_LOSSES, durability, "losses");
	add_count(COUNT_CLIENT_FLUSHES, durability, "background_flushes");
	add_count(COUNT_CLIENT_FENCED, status, "fences");
	json_decref(status);
	sim_leave(before);
}

void sim_client_reset(void)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		clients[i] = NULL;
		system_process_gone((enum sim_host)i);
	}
}
