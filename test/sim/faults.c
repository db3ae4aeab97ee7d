/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults.c - see faults.h */
#include "test/sim/faults.h"

#include "test/sim/client.h"
#include "test/sim/disk.h"
#include "test/sim/model.h"
#include "test/sim/net.h"
#include "test/sim/people.h"
#include "test/sim/server.h"
#include "test/sim/shape.h"
#include "test/sim/state.h"
#include "test/sim/witness.h"
#include "test/sim/workload.h"

#define WITNESS_FAILS 2u /* per cent of its steps, at any time */
#define ALTERNATE_TICK (300 * MS)
#define ALTERNATE_PATIENCE (60 * SEC) /* until the first one has left the mirror */

static struct faults_config config;
static unsigned happened;
static bool ended;
static unsigned due; /* operations done by which the next one comes */
static struct sim_event next, sound, state_sound, quiet, client_death;

/* Of each node's server. */
static struct machine {
	struct sim_event restart, death, trouble;
	bool down; /* stays down until it is brought back */
} machines[NODES_MOST];

/* Short mostly, long at times: spread evenly over the magnitudes. */
static uint64_t duration(uint64_t least, uint64_t most)
{
	uint64_t magnitudes = 0, scale = least;

	while (least << (magnitudes + 1) <= most)
		magnitudes++;
	scale <<= sim_random(magnitudes + 1);
	return scale + sim_random(scale);
}

static unsigned any_node(void)
{
	return (unsigned)sim_random(shape.nodes);
}

/* ---- machines ---- */

static unsigned node_of(const void *arg)
{
	return (unsigned)((const struct machine *)arg - machines);
}

static void on_restart(void *arg)
{
	unsigned node = node_of(arg);

	if (sim_server_running(node))
		return;
	net_power_back(HOST_SERVER + node);
	sim_server_start(node);
}

static void restart_later(unsigned node)
{
	struct machine *m = &machines[node];

	if (!m->restart.place && !m->down)
		sim_event_set(&m->restart,
			      ended ? 0 : duration(MS, (shape.mirrored ? 16 : 8) * SEC));
}

static bool crash_node(unsigned node)
{
	if (!sim_server_running(node))
		return false;
	sim_count(COUNT_SERVER_CRASHES);
	sim_server_crash(node);
	restart_later(node);
	return true;
}

static bool crash_server(void)
{
	return crash_node(any_node());
}

static bool stop_server(void)
{
	unsigned node = any_node();

	if (!sim_server_running(node) || sim_process_frozen(&sim.processes[HOST_SERVER + node]))
		return false;
	sim_server_stop(node);
	return true;
}

static void cut_power_of(unsigned node)
{
	sim_count(COUNT_POWER_CUTS);
	sim_trace("server %c: power cut", 'a' + (int)node);
	net_power_cut(HOST_SERVER + node);
	sim_server_crash(node);
	disk_power_cut(node);
	restart_later(node);
}

static bool cut_power(void)
{
	if (!config.power)
		return false;
	cut_power_of(any_node());
	model_check_disk(false);
	return true;
}

/* Everywhere, the client in use included. */
static bool cut_all_power(void)
{
	if (!people_cut_power())
		return false;
	sim_count(COUNT_POWER_CUTS_ALL);
	for (unsigned i = 0; i < shape.nodes; i++)
		cut_power_of(i);
	return true;
}

static bool cut_client_power(void)
{
	return people_cut_power();
}

static bool freeze(enum sim_host host, enum count count)
{
	struct sim_process *process = &sim.processes[host];
	uint64_t time = duration(MS, 8 * SEC);

	if (!process->alive || sim_process_frozen(process))
		return false;
	sim_count(count);
	sim_trace("frozen for %llu ms: host %d", (unsigned long long)(time / MS), (int)host);
	process->frozen_until = sim.now + time;
	return true;
}

static bool freeze_server(void)
{
	return freeze(HOST_SERVER + any_node(), COUNT_SERVER_FREEZES);
}

static bool freeze_client(void)
{
	return freeze(people_host(), COUNT_CLIENT_FREEZES);
}

/* While it stores its state: the event that stores can't end its own process. */
static void on_death(void *arg)
{
	unsigned node = node_of(arg);

	if (!sim_server_running(node))
		return;
	sim_count(COUNT_SERVER_DEATHS);
	sim_server_crash(node);
	restart_later(node);
}

static void die(unsigned node)
{
	sim_event_set(&machines[node].death, 0);
}

/* Likewise of a client, while it saves a witness. */
static void on_client_death(void *arg)
{
	people_cut_power();
}

static void kill_client(void)
{
	sim_event_set(&client_death, 0);
}

/* While a mirror writes about itself: its node dies, its client, or all. */
static void on_trouble(void *arg)
{
	unsigned node = node_of(arg);

	sim_count(COUNT_TROUBLE);
	switch (sim_random(7)) {
	case 0:
		crash_node(node);
		break;
	case 1:
		if (config.power)
			cut_power_of(node);
		break;
	case 2:
		people_cut_power();
		break;
	case 3:
		people_crash();
		break;
	default:
		cut_all_power();
		break;
	}
}

static void trouble(unsigned node)
{
	if (!machines[node].trouble.place)
		sim_event_set(&machines[node].trouble,
			      sim_random(sim_chance(50) ? 300 * US : 10 * MS));
}

static void on_state_sound(void *arg)
{
	state_set_failing(0);
	witness_set_failing(WITNESS_FAILS);
}

static bool disturb_state(void)
{
	unsigned node = any_node();

	if (!config.state)
		return false;
	if (!sim_server_running(node) && config.clients && sim_chance(30) && people_lose_server()) {
		sim_count(COUNT_STATE_LOST);
		sim_trace("server %c: its state is lost", 'a' + (int)node);
		state_lose(node);
		return true;
	}
	if (shape.mirrored && sim_chance(50)) {
		sim_trace("witness: can't be saved for a while");
		witness_set_failing(50);
	} else {
		sim_trace("state: can't be stored for a while");
		state_set_failing(80);
	}
	sim_event_set(&state_sound, duration(10 * MS, 4 * SEC));
	return true;
}

static bool grow(void)
{
	if (shape.kind != SHAPE_SINGLE || shape.cells + 8 > MODEL_CELLS_MOST || !disk_grow(0, 8))
		return false;
	shape.cells += 8;
	shape.node_cells[0] += 8;
	shape.parts[0].cells += 8;
	sim_count(COUNT_GROWTHS);
	sim_trace("storage: grows");
	model_grow(8);
	return true;
}

static bool fail_by_command(void)
{
	if (!sim_client_running(people_host()))
		return false;
	sim_count(COUNT_CLIENT_FAILS);
	sim_trace("all operations are ended by command");
	workload_client_failed(people_host());
	sim_client_fail(people_host());
	return true;
}

static bool crash_client(void)
{
	return config.clients && people_crash();
}

static bool stop_client(void)
{
	return config.clients && people_stop();
}

static bool take_over(void)
{
	if (!config.clients)
		return false;
	return sim_chance(30)   ? people_intrude()
	       : sim_chance(40) ? people_take_back()
				: people_take_over();
}

/* ---- network ---- */

static bool partition(void)
{
	bool both = sim_chance(50), to_server = sim_chance(50);
	uint64_t time = duration(MS, (shape.mirrored ? 16 : 8) * SEC);
	unsigned node = any_node();

	sim_trace("partition from node %c for %llu ms, %s", 'a' + (int)node,
		  (unsigned long long)(time / MS),
		  both        ? "both ways"
		  : to_server ? "to the server"
			      : "to the client");
	if (to_server)
		net_partition(people_host(), HOST_SERVER + node, both, time);
	else
		net_partition(HOST_SERVER + node, people_host(), both, time);
	return true;
}

static bool disturb_network(void)
{
	return net_fault((enum net_fault)sim_random(NET_FAULTS));
}

/* ---- storage ---- */

static void on_sound(void *arg)
{
	workload_set_sound(true);
}

static bool disturb_disk(void)
{
	enum disk_fault fault =
		sim_chance(40) ? DISK_FAIL_FLUSHES : (enum disk_fault)sim_random(DISK_FAULTS);
	uint64_t time = fault == DISK_FAIL_FLUSHES ? duration(50 * MS, 4 * SEC) : duration(MS, SEC);

	if (fault != DISK_SLOW && !config.disk)
		return false;
	if (fault == DISK_FAIL_FLUSHES && !config.power)
		return false;
	sim_trace("disk: fault %d for %llu ms", (int)fault, (unsigned long long)(time / MS));
	disk_fault(any_node(), fault, time);
	if (fault != DISK_SLOW) {
		workload_set_sound(false);
		sim_event_set(&sound, 20 * SEC); /* what was begun meanwhile may still tell */
	}
	return true;
}

/* ---- one after the other ---- */

enum alternation { ALTERNATE_NONE, ALTERNATE_FIRST, ALTERNATE_SECOND };

/* Of two members of a mirror one goes, and when it has left the other one does; then it comes back. */
static struct {
	enum alternation step;
	unsigned part, first, second; /* members */
	uint64_t since;
	struct sim_event tick;
} alternation;

static void member_down(unsigned which)
{
	const struct shape_member *member = &shape.parts[alternation.part].members[which];
	bool power = config.power && sim_chance(40);

	for (unsigned i = member->first; i < member->first + member->count; i++) {
		machines[i].down = true;
		sim_event_cancel(&machines[i].restart);
		if (power)
			cut_power_of(i);
		else
			crash_node(i);
	}
}

static void member_up(unsigned which)
{
	const struct shape_member *member = &shape.parts[alternation.part].members[which];

	for (unsigned i = member->first; i < member->first + member->count; i++) {
		machines[i].down = false;
		if (!sim_server_running(i))
			restart_later(i);
	}
}

static bool first_has_left(void)
{
	unsigned set = sim_client_write_set(people_host(), alternation.part);

	return set && !(set & 1u << alternation.first);
}

static void end_alternation(void)
{
	if (alternation.step == ALTERNATE_NONE)
		return;
	member_up(alternation.first);
	member_up(alternation.second);
	alternation.step = ALTERNATE_NONE;
	sim_event_cancel(&alternation.tick);
}

static void on_alternation(void *arg)
{
	if (alternation.step == ALTERNATE_SECOND ||
	    sim.now - alternation.since > ALTERNATE_PATIENCE) {
		end_alternation();
		return;
	}
	if (!first_has_left()) {
		sim_event_set(&alternation.tick, ALTERNATE_TICK);
		return;
	}
	sim_count(COUNT_ALTERNATIONS);
	sim_trace("and now the other one");
	alternation.step = ALTERNATE_SECOND;
	member_down(alternation.second);
	member_up(alternation.first);
	if (config.clients && sim_chance(70))
		sim_chance(50) ? people_crash() : people_cut_power();
	sim_event_set(&alternation.tick, sim_between(SEC, 30 * SEC));
}

static bool alternate(void)
{
	const struct shape_part *part;

	if (alternation.step != ALTERNATE_NONE)
		return false;
	alternation.part = (unsigned)sim_random(shape.part_count);
	part = &shape.parts[alternation.part];
	alternation.first = (unsigned)sim_random(part->member_count);
	do
		alternation.second = (unsigned)sim_random(part->member_count);
	while (alternation.second == alternation.first);
	alternation.step = ALTERNATE_FIRST;
	alternation.since = sim.now;
	sim_trace("mirror %u: member %u goes for long", alternation.part, alternation.first);
	member_down(alternation.first);
	sim_event_set(&alternation.tick, ALTERNATE_TICK);
	return true;
}

/* Nobody uses the volume for a while: marks are cleared. What they stood for must be durable then. */
static void on_quiet(void *arg)
{
	if (!people_settled()) {
		sim_event_set(&quiet, SEC);
		return;
	}
	if (config.clients && sim_chance(50) && people_crash())
		cut_power_of(any_node());
	workload_pause(false);
}

static bool be_quiet(void)
{
	if (!people_settled())
		return false;
	sim_trace("all users pause");
	workload_pause(true);
	sim_event_set(&quiet, sim_between(6 * SEC, 20 * SEC));
	return true;
}

/* ---- life ---- */

struct kind {
	unsigned weight;
	bool (*happen)(void); /* false: not now */
};

static const struct kind kinds[] = {
	{30, disturb_network}, {1, stop_client},   {1, grow},          {2, fail_by_command},
	{8, partition},        {2, disturb_state}, {13, crash_server}, {6, stop_server},
	{9, cut_power},        {6, freeze_server}, {4, freeze_client}, {4, crash_client},
	{4, take_over},        {14, disturb_disk}, {0, NULL},
};

static const struct kind mirror_kinds[] = {
	{12, disturb_network}, {3, stop_client},   {1, fail_by_command},  {14, partition},
	{3, disturb_state},    {12, crash_server}, {3, stop_server},      {8, cut_power},
	{4, freeze_server},    {3, freeze_client}, {7, crash_client},     {3, take_over},
	{8, disturb_disk},     {2, cut_all_power}, {3, cut_client_power}, {8, alternate},
	{6, be_quiet},         {0, NULL},
};

static bool happen(const struct kind *all)
{
	unsigned sum = 0;
	uint64_t n;

	for (const struct kind *k = all; k->happen; k++)
		sum += k->weight;
	n = sim_random(sum);
	while (n >= all->weight)
		n -= all++->weight;
	return all->happen();
}

/* The next one comes after so many more operations, or after a while. */
static void arrange_next(void)
{
	if (happened == config.faults)
		return;
	due = workload_done() + 1 + (unsigned)sim_random(2 * config.operations / config.faults);
	sim_event_set(&next, config.interval);
}

static void on_next(void *arg)
{
	if (happen(shape.mirrored ? mirror_kinds : kinds))
		happened++;
	arrange_next();
}

void faults_watch(void)
{
	for (unsigned i = 0; i < shape.nodes; i++)
		if (!sim_server_running(i))
			restart_later(i); /* it was stopped, or gave up */
	if (workload_done() < due || happened == config.faults || ended)
		return;
	due = UINT32_MAX;
	sim_event_set(&next, sim_random(MS));
}

void faults_begin(void)
{
	arrange_next();
}

void faults_end(void)
{
	ended = true;
	sim_event_cancel(&next);
	end_alternation();
	if (quiet.place) {
		sim_event_cancel(&quiet);
		workload_pause(false);
	}
	net_heal();
	disk_heal();
	state_set_failing(0);
	state_set_killing(0, NULL);
	witness_set_failing(0);
	witness_set_killing(0, NULL);
	sim_event_cancel(&client_death);
	disk_set_trouble(0, NULL);
	for (unsigned i = 0; i < NODES_MOST; i++) {
		sim_event_cancel(&machines[i].restart);
		sim_event_cancel(&machines[i].trouble);
	}
	for (unsigned i = 0; i < HOSTS; i++)
		sim.processes[i].frozen_until = 0;
}

unsigned faults_happened(void)
{
	return happened;
}

void faults_reset(const struct faults_config *c)
{
	config = *c;
	happened = 0;
	ended = false;
	next = (struct sim_event){.run = on_next};
	sound = (struct sim_event){.run = on_sound};
	state_sound = (struct sim_event){.run = on_state_sound};
	quiet = (struct sim_event){.run = on_quiet};
	alternation.step = ALTERNATE_NONE;
	alternation.tick = (struct sim_event){.run = on_alternation};
	for (unsigned i = 0; i < NODES_MOST; i++)
		machines[i] = (struct machine){
			.restart = {.run = on_restart, .arg = &machines[i]},
			.death = {.run = on_death, .arg = &machines[i]},
			.trouble = {.run = on_trouble, .arg = &machines[i]},
		};
	client_death = (struct sim_event){.run = on_client_death};
	if (config.state)
		state_set_killing(20, die);
	if (shape.mirrored && sim_chance(70))
		disk_set_trouble(10, trouble);
	witness_set_failing(config.state ? WITNESS_FAILS : 0);
	if (config.state && config.clients)
		witness_set_killing(20, kill_client);
}
