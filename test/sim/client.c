/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - see client.h. What the mount and FUSE do in dstfs is done here: workers and a volume are set
 * up, operations come in on a worker's thread and go out as volume_io.
 */
#include "test/sim/client.h"

#include "common/random.h"
#include "dstfs/assemble.h"
#include "dstfs/map.h"
#include "dstfs/mirror_impl.h"
#include "dstfs/volume.h"
#include "test/sim/disk.h"
#include "test/sim/heap.h"
#include "test/sim/net.h"
#include "test/sim/shape.h"
#include "test/sim/system.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
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
	struct loop_work detach;
	bool detached;
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
	policy->resync_rate = config->resync_rate;
}

/* The volume's configuration, as dstfs would have read it. */
static void configure(struct volume_config *volume, struct node_config nodes[NODES_MOST],
		      const struct sim_client_config *config)
{
	char text[64], reason[256];

	*volume = (struct volume_config){.name = (char *)"vol0", .nodes = nodes};
	for (unsigned i = 0; i < shape.nodes; i++) {
		char host = (char)('a' + i);

		snprintf(nodes[i].name, sizeof(nodes[i].name), "%c", host);
		nodes[i].next = i + 1 < shape.nodes ? &nodes[i + 1] : NULL;
		if (sim_chance(20))
			snprintf(text, sizeof(text), "dst://standby-%c,%c/vol0", host, host);
		else
			snprintf(text, sizeof(text), "dst://%c/vol0", host);
		if (uri_parse(&nodes[i].uri, text, reason, sizeof(reason)))
			abort();
	}
	if (map_config_parse(&volume->tree, *shape.map ? shape.map : NULL, nodes,
			     &(struct reason){reason, sizeof(reason)}))
		abort();
	volume->chunk = (uint64_t)shape.chunk * CELL;
	volume->prefer = config->prefer >= 0 ? &nodes[config->prefer] : NULL;
	volume->options.quorum = config->majority ? QUORUM_MAJORITY : QUORUM_NONE;
	volume->options.min_nodes = 1;
	volume->options.start_wait = config->start_wait;
}

static struct target *build(struct client *client, const struct sim_client_config *config)
{
	static struct node_config nodes[NODES_MOST];
	struct volume_config volume;
	char reason[256];
	struct assembly assembly = {
		.config = &volume,
		.workers = client->workers,
		.worker_count = client->worker_count,
		.policy = volume_policy(client->volume),
		.client = "client",
		.reason = reason,
		.reason_size = sizeof(reason),
	};
	struct target *target;

	configure(&volume, nodes, config);
	target = assemble(&assembly, target_changed, NULL);
	map_config_free(&volume.tree);
	return target;
}

void sim_client_start(enum sim_host host, const struct sim_client_config *config)
{
	struct sim_process *before;
	struct target *target;
	struct client *client;

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
	target = build(client, config);
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

/* ---- status ---- */

/* Runs each() for the status of every node. */
static void for_all_nodes(const json_t *status,
			  void (*each)(const json_t *node, const char *name, uint64_t *sum),
			  const char *name, uint64_t *sum)
{
	const json_t *nodes = json_object_get(status, "nodes"), *node;
	size_t i;

	if (!nodes)
		each(status, name, sum);
	json_array_foreach(nodes, i, node) for_all_nodes(node, each, name, sum);
}

static void add_lanes(const json_t *node, const char *name, uint64_t *sum)
{
	const json_t *lane;
	size_t i;

	json_array_foreach(json_object_get(node, "lanes"), i, lane) *sum +=
		(uint64_t)json_integer_value(
			json_object_get(json_object_get(lane, "counters"), name));
}

static void add_durability(const json_t *node, const char *name, uint64_t *sum)
{
	*sum += (uint64_t)json_integer_value(
		json_object_get(json_object_get(node, "durability"), name));
}

static void add_own(const json_t *node, const char *name, uint64_t *sum)
{
	*sum += (uint64_t)json_integer_value(json_object_get(node, name));
}

static uint64_t sum_of(enum sim_host host, const char *name)
{
	struct sim_process *before = sim_enter(process(host));
	struct target *target = target_of(host);
	json_t *status = target->ops->status(target);
	uint64_t sum = 0;

	for_all_nodes(status, add_durability, name, &sum);
	json_decref(status);
	sim_leave(before);
	return sum;
}

uint64_t sim_client_unflushed(enum sim_host host)
{
	return sum_of(host, "unflushed_bytes");
}

uint64_t sim_client_losses(enum sim_host host)
{
	return sum_of(host, "losses");
}

void sim_client_collect(enum sim_host host)
{
	static const struct {
		enum count count;
		void (*each)(const json_t *node, const char *name, uint64_t *sum);
		const char *name;
	} rows[] = {
		{COUNT_CLIENT_RESENDS, add_lanes, "resends"},
		{COUNT_CLIENT_BAD_DIGESTS, add_lanes, "bad_digests"},
		{COUNT_CLIENT_LATE, add_lanes, "late_replies"},
		{COUNT_CLIENT_EXECUTED, add_lanes, "executed"},
		{COUNT_CLIENT_RECOVERIES, add_durability, "recoveries"},
		{COUNT_CLIENT_REPLAYS, add_durability, "replays"},
		{COUNT_CLIENT_REPLAYED, add_durability, "replayed_pieces"},
		{COUNT_CLIENT_LOSSES, add_durability, "losses"},
		{COUNT_CLIENT_FLUSHES, add_durability, "background_flushes"},
		{COUNT_CLIENT_FENCED, add_own, "fences"},
	};
	struct sim_process *before = sim_enter(process(host));
	struct target *target = target_of(host);
	json_t *status = target->ops->status(target);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for_all_nodes(status, rows[i].each, rows[i].name, &sim.counts[rows[i].count]);
	json_decref(status);
	sim_leave(before);
}

/* ---- mirrors ---- */

static struct mirror *mirror_at(enum sim_host host, unsigned part)
{
	struct target *target = target_of(host);

	if (!target || !shape.mirrored)
		return NULL;
	if (shape.part_count > 1)
		target = ((struct map *)target)->children[part].target;
	return (struct mirror *)target;
}

static const struct mirror *running_mirror(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = mirror_at(host, part);

	return mirror && mirror->phase == MIRROR_RUNNING ? mirror : NULL;
}

unsigned sim_client_read_set(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = running_mirror(host, part);

	return mirror ? mirror->read_set : 0;
}

unsigned sim_client_write_set(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = running_mirror(host, part);

	return mirror ? mirror->write_set : 0;
}

uint64_t sim_client_generation(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = running_mirror(host, part);

	return mirror ? mirror->generation : 0;
}

enum sim_refusal sim_client_refusal(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = mirror_at(host, part);

	if (!mirror || !mirror->refused || mirror->phase != MIRROR_WAITING)
		return SIM_NOT_REFUSED;
	return strstr(mirror->reason, "stale")         ? SIM_ALTERNATE
	       : strstr(mirror->reason, "split brain") ? SIM_SPLIT
						       : SIM_REFUSED;
}

bool sim_client_waits(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = mirror_at(host, part);

	return mirror && mirror->phase == MIRROR_WAITING;
}

bool sim_client_has_split(enum sim_host host, unsigned part)
{
	const struct mirror *mirror = running_mirror(host, part);

	for (unsigned i = 0; mirror && i < mirror->node_count; i++)
		if (mirror->nodes[i].state == MIRROR_NODE_REFUSED)
			return true;
	return false;
}

/* Of those in sync if it runs, else of those that are there: one to go on from. NULL: none. */
static const char *name_to_keep(const struct mirror *mirror)
{
	const char *name = NULL;
	unsigned found = 0;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];
		bool good = mirror->phase == MIRROR_RUNNING ? mirror->read_set & MIRROR_BIT(i)
							    : node->read && !node->blank;

		if (good && !sim_random(++found))
			name = node->name;
	}
	return name;
}

bool sim_client_order(enum sim_host host, unsigned part, bool resolve, uint64_t *survey)
{
	struct sim_process *before = sim_enter(process(host));
	struct mirror *mirror = mirror_at(host, part);
	const char *keep = resolve ? name_to_keep(mirror) : NULL;
	char reason[512] = "";
	json_t *request = json_object(), *answer = NULL;
	bool second = *survey;

	if (keep)
		json_object_set_new(request, "keep", json_string(keep));
	if (second)
		json_object_set_new(request, "survey", json_integer((json_int_t)*survey));
	if (keep || !resolve)
		answer = mirror->base.ops->command(
			&mirror->base, resolve ? "mirror-resolve" : "mirror-start", request,
			&(struct reason){reason, sizeof(reason)});
	*survey = second || !answer
			  ? 0
			  : (uint64_t)json_integer_value(json_object_get(answer, "order"));
	sim_trace("mirror %u: ordered to %s %s%s: %s", part, resolve ? "keep" : "start",
		  keep ? keep : "", second ? ", for good" : "", answer ? "taken" : reason);
	json_decref(request);
	second &= answer != NULL;
	json_decref(answer);
	sim_leave(before);
	return second;
}

bool sim_client_whole(enum sim_host host)
{
	if (!sim_client_ready(host))
		return false;
	for (unsigned i = 0; i < shape.part_count && shape.mirrored; i++) {
		const struct mirror *mirror = mirror_at(host, i);

		if (mirror->phase != MIRROR_RUNNING || mirror->unrecorded || mirror->no_quorum ||
		    mirror->read_set != MIRROR_BIT(shape.parts[i].member_count) - 1 ||
		    mirror_bits_next(&mirror->suspect, 0) < mirror->regions)
			return false;
	}
	return true;
}

static void on_detached(void *arg)
{
	((struct client *)arg)->detached = true;
}

static void detach(void *arg)
{
	struct client *client = arg;
	struct target *target = volume_target(client->volume);

	if (target->ops->detach && !volume_inflight(client->volume))
		target->ops->detach(target, on_detached, client);
	else
		client->detached = true;
}

void sim_client_detach(enum sim_host host)
{
	struct client *client = clients[host];
	struct sim_process *before = sim_enter(process(host));

	client->detach = (struct loop_work){.callback = detach, .arg = client};
	loop_post(client->workers[0].loop, &client->detach);
	sim_leave(before);
}

bool sim_client_detached(enum sim_host host)
{
	return clients[host]->detached;
}

static void put_block(const struct shape_member *member, uint64_t offset, const uint8_t *block)
{
	unsigned node, at;

	shape_locate(member, (unsigned)(offset / CELL), &node, &at);
	disk_put(node, at, block, MIRROR_MAP_BLOCK);
}

/* As mirror_create() leaves it. */
static void create_mirror(const struct shape_part *part, bool equal)
{
	static const uint8_t none[MIRROR_MAP_BITS / 8];
	uint8_t block[MIRROR_MAP_BLOCK];
	struct mirror_super super = {
		.sequence = 1,
		.data_size = (uint64_t)part->cells * CELL,
		.region_size = mirror_region_size((uint64_t)part->cells * CELL),
		.clean = true,
		.generation.counter = 1,
	};

	random_bytes(super.set, sizeof(super.set));
	random_bytes(super.generation.uuid, sizeof(super.generation.uuid));
	for (unsigned i = 0; i < part->member_count; i++) {
		struct mirror_member *member = &super.members[i];

		member->state = equal || !i ? MIRROR_IN_SYNC : MIRROR_ABSENT;
		member->full = member->state == MIRROR_ABSENT;
		member->size = (uint64_t)shape_member_cells(&part->members[i]) * CELL;
		random_bytes(member->id, sizeof(member->id));
	}
	for (unsigned i = 0; i < part->member_count; i++) {
		mirror_map_encode(block, &super, 0, 0, none);
		put_block(&part->members[i], mirror_map_offset(&super, 0, 0), block);
		super.self = i;
		mirror_super_encode(block, &super);
		put_block(&part->members[i], mirror_super_offset(super.members[i].size, 0), block);
	}
}

void sim_client_create_mirrors(bool equal)
{
	for (unsigned i = 0; i < shape.part_count; i++)
		if (shape.parts[i].mirror)
			create_mirror(&shape.parts[i], equal);
}

void sim_client_reset(void)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		clients[i] = NULL;
		system_process_gone((enum sim_host)i);
	}
}
