/* SPDX-License-Identifier: GPL-2.0-or-later */
/* schedule.c - see schedule.h */
#include "test/sim/schedule.h"

#include "test/sim/disk.h"
#include "test/sim/faults.h"
#include "test/sim/model.h"
#include "test/sim/net.h"
#include "test/sim/people.h"
#include "test/sim/reader.h"
#include "test/sim/server.h"
#include "test/sim/shape.h"
#include "test/sim/state.h"
#include "test/sim/witness.h"
#include "test/sim/workload.h"

#define EVENTS_MOST 3000000u /* that a schedule may take */
#define PATIENCE (400 * SEC) /* simulated, from the last fault to the last answer */
#define MIRROR_PATIENCE (1000 * SEC) /* likewise: members that failed often are looked at seldom */
#define STANDSTILL (120 * SEC) /* without an operation done: then all is made well */
#define FOREVER UINT32_MAX

enum phase { RUNNING, HEALED, CHECKING, LEAVING, STOPPING, OVER };

static enum phase phase;
static uint64_t healed_at;
static unsigned operations, progress;
static uint64_t progress_at; /* simulated time of the last operation that was done */

static uint64_t any_of(const uint64_t *values, unsigned count)
{
	return values[sim_random(count)];
}

#define ANY_OF(...)                                                                                \
	any_of((const uint64_t[]){__VA_ARGS__},                                                    \
	       sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void draw_shape(const struct schedule_options *options)
{
	static const struct {
		enum shape_kind kind;
		unsigned weight; /* all together: 100 */
	} rows[] = {
		{SHAPE_SINGLE, 40}, {SHAPE_MIRROR, 36},          {SHAPE_LINEAR, 4},
		{SHAPE_STRIPE, 4},  {SHAPE_MIRROR_OF_LINEAR, 8}, {SHAPE_LINEAR_OF_MIRRORS, 8},
	};
	unsigned n = (unsigned)sim_random(100), row = 0;
	enum shape_kind kind;

	while (n >= rows[row].weight)
		n -= rows[row++].weight;
	kind = options->shape >= 0 ? (enum shape_kind)options->shape : rows[row].kind;
	shape_draw(kind, (unsigned)ANY_OF(16, 64, 128, 256, 500));
	sim_count(COUNT_SINGLES + kind);
}

/* A mirror's nodes fail when all patience is used up: it is short then, mostly. */
static void draw_mirror(struct sim_client_config *client)
{
	client->prefer = sim_chance(20) ? (int)sim_random(shape.nodes) : -1;
	if (!shape.mirrored)
		return;
	client->timeout = ANY_OF(300 * MS, SEC, 3 * SEC);
	client->resends = client->resends == FOREVER ? FOREVER : (unsigned)sim_random(3);
	client->majority = sim_chance(20);
	client->start_wait = ANY_OF(0, 500 * MS, 3 * SEC, 10 * SEC);
	client->resync_rate = sim_chance(40) ? ANY_OF(16384, 65536, 1 << 20) : 0;
}

/* Draws a world. */
static void set_up(const struct schedule_options *options)
{
	bool shared = shape.kind == SHAPE_SINGLE && sim_chance(5),
	     forever = sim_chance(shape.mirrored ? 20 : 50), disk_fails = sim_chance(40),
	     retains = sim_chance(80);
	struct net_config net = {
		.latency = ANY_OF(10 * US, 50 * US, 200 * US, 2 * MS),
		.jitter = ANY_OF(0, 20 * US, 500 * US, 5 * MS),
		.window = (unsigned)ANY_OF(4096, 32768, 262144),
		.corrupts = sim_chance(90),
	};
	struct disk_config disk = {
		.sector = sim_chance(50) ? 1 : 8,
		.latency = ANY_OF(20 * US, 200 * US, 5 * MS),
		.inline_percent = (unsigned)ANY_OF(0, 50, 95),
		.forgets = shape.mirrored,
		/* Shared, it may forget a session when the lease is over. In a map a part may be acknowledged,
		 * and written anew, before the whole is; and mirrors copy. */
		.once = !shared && shape.kind == SHAPE_SINGLE,
		.writeback_percent = (unsigned)ANY_OF(0, 10, 50),
	};
	struct sim_client_config client = {
		.workers = (unsigned)sim_between(1, 4),
		.max_inflight = (unsigned)ANY_OF(1, 4, 16, 64),
		.max_inflight_bytes = ANY_OF(16384, 65536, 64 << 20),
		.timeout = ANY_OF(SEC, 3 * SEC, 10 * SEC),
		.reconnect = ANY_OF(50 * MS, 500 * MS, 2 * SEC),
		.ping = ANY_OF(0, SEC, 5 * SEC),
		.ping_timeout = ANY_OF(SEC, 3 * SEC, 10 * SEC),
		.resends = forever ? FOREVER : (unsigned)sim_random(6),
		.retain = retains ? ANY_OF(8192, 65536, 64 << 20) : 0,
		.checksum = net.corrupts,
	};
	struct sim_server_config server = {
		.workers = (unsigned)sim_between(1, 4),
		.lease = ANY_OF(SEC, 5 * SEC, 30 * SEC),
		.sync = sim_chance(5),
		.shared = shared,
	};
	struct workload_config work = {
		.users = (unsigned)sim_between(1, 16),
		.operations = operations,
		.cells = shape.cells,
		.hot = (unsigned)ANY_OF(8, 16, shape.cells),
		.think = ANY_OF(10 * US, MS, 20 * MS),
		.cancel_permille = sim_chance(40) ? 60 : 0,
		.strict = forever,
		.kept = retains && !shared,
		.keeps = client.retain,
		.flushes = sim_chance(80),
	};
	struct faults_config faults = {
		.faults = (unsigned)sim_between(5, 12),
		.operations = operations,
		.interval = ANY_OF(100 * MS, 500 * MS, 2 * SEC),
		.disk = disk_fails,
		.power = true,
		.clients = !shared,
		.state = sim_chance(50),
	};

	if (options->client_workers)
		client.workers = options->client_workers;
	if (options->server_workers)
		server.workers = options->server_workers;
	draw_mirror(&client);
	work.strict &= !client.majority; /* which may be lost */
	if (work.hot > shape.cells)
		work.hot = shape.cells;
	work.hot_from = (unsigned)sim_random(shape.cells - work.hot + 1);
	net_reset(&net);
	disk_reset(&disk, shape.nodes, shape.node_cells);
	state_reset();
	witness_reset();
	model_reset(people_excuse);
	sim_server_reset(&server);
	people_reset(&client, server.lease, shape.mirrored && !work.strict && sim_chance(30));
	reader_reset(&client, shape.cells);
	workload_reset(&work);
	faults_reset(&faults);
	sim_trace("%s %s, %u cells, %u + %u workers, %u users, %s, %s", shape_name(shape.kind),
		  shape.map, shape.cells, client.workers, server.workers, work.users,
		  forever ? "resends for ever" : "resends end", retains ? "kept" : "not kept");
	if (shape.mirrored)
		sim_client_create_mirrors(sim_chance(80));
}

static void checked(void)
{
	if (shape.mirrored && !sim_client_whole(people_host())) { /* a member has left meanwhile */
		phase = HEALED;
		return;
	}
	reader_end();
	people_leave();
	phase = LEAVING;
}

static bool servers_run(void)
{
	for (unsigned i = 0; i < shape.nodes; i++)
		if (sim_server_running(i))
			return true;
	return false;
}

/* What comes next, when it is time. */
static void go_on(void)
{
	people_watch();
	if (phase < STOPPING)
		faults_watch();
	switch (phase) {
	case RUNNING:
		if (workload_done() != progress) {
			progress = workload_done();
			progress_at = sim.now;
		}
		if (progress + workload_under_way() < operations &&
		    sim.now - progress_at < STANDSTILL)
			return;
		sim_trace("all is well again");
		people_end();
		faults_end();
		healed_at = sim.now;
		phase = HEALED;
		break;
	case HEALED:
		if (workload_under_way() || !people_settled() || !sim_client_whole(people_host()))
			break;
		phase = CHECKING;
		workload_check_all(checked);
		break;
	case LEAVING:
		if (!people_gone())
			break;
		phase = STOPPING;
		for (unsigned i = 0; i < shape.nodes; i++)
			sim_server_stop(i);
		break;
	case STOPPING:
		if (servers_run())
			break;
		phase = OVER;
		model_check_mirrors();
		break;
	default:
		break;
	}
	if (phase == HEALED && sim.now - healed_at > (shape.mirrored ? MIRROR_PATIENCE : PATIENCE))
		workload_explain_stuck();
}

void schedule_run(uint64_t seed, const struct schedule_options *options,
		  struct schedule_result *result)
{
	sim_reset(seed);
	operations = (unsigned)sim_between(160, 320);
	phase = RUNNING;
	progress = 0;
	progress_at = sim.now;
	draw_shape(options);
	set_up(options);
	for (unsigned i = 0; i < shape.nodes; i++)
		sim_server_start(i);
	people_begin();
	if (sim_chance(20))
		reader_begin();
	faults_begin();
	while (phase != OVER && !sim.failed) {
		if (!sim_step())
			sim_fail("nothing happens any more");
		if (sim.events > EVENTS_MOST)
			sim_fail("the schedule does not come to its end");
		go_on();
	}
	*result = (struct schedule_result){.operations = workload_done(),
					   .faults = faults_happened()};
}
