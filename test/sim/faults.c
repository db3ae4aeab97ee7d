/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults.c - see faults.h */
#include "test/sim/faults.h"

#include "test/sim/client.h"
#include "test/sim/disk.h"
#include "test/sim/model.h"
#include "test/sim/net.h"
#include "test/sim/people.h"
#include "test/sim/server.h"
#include "test/sim/state.h"
#include "test/sim/workload.h"

static struct faults_config config;
static unsigned happened;
static bool ended;
static unsigned due; /* operations done by which the next one comes */
static struct sim_event next, restart, sound, death, state_sound;

/* Short mostly, long at times: spread evenly over the magnitudes. */
static uint64_t duration(uint64_t least, uint64_t most)
{
	uint64_t magnitudes = 0, scale = least;

	while (least << (magnitudes + 1) <= most)
		magnitudes++;
	scale <<= sim_random(magnitudes + 1);
	return scale + sim_random(scale);
}

/* ---- machines ---- */

static void on_restart(void *arg)
{
	if (sim_server_running())
		return;
	net_power_back(HOST_SERVER);
	sim_server_start();
}

static void restart_later(void)
{
	if (!restart.place)
		sim_event_set(&restart, ended ? 0 : duration(MS, 8 * SEC));
}

static bool crash_server(void)
{
	if (!sim_server_running())
		return false;
	sim_count(COUNT_SERVER_CRASHES);
	sim_server_crash();
	restart_later();
	return true;
}

static bool stop_server(void)
{
	if (!sim_server_running() || sim_process_frozen(&sim.processes[HOST_SERVER]))
		return false;
	sim_server_stop();
	return true;
}

static bool cut_power(void)
{
	if (!config.power)
		return false;
	sim_count(COUNT_POWER_CUTS);
	sim_trace("server: power cut");
	net_power_cut(HOST_SERVER);
	sim_server_crash();
	disk_power_cut();
	model_check_disk(false);
	restart_later();
	return true;
}

static bool freeze(enum sim_host host, enum count count)
{
	struct sim_process *process = &sim.processes[host];
	uint64_t time = duration(MS, 8 * SEC);

	if (!process->alive || sim_process_frozen(process))
		return false;
	sim_count(count);
	sim_trace("frozen for %llu ms: %s", (unsigned long long)(time / MS),
		  host == HOST_SERVER ? "server" : "client");
	process->frozen_until = sim.now + time;
	return true;
}

static bool freeze_server(void)
{
	return freeze(HOST_SERVER, COUNT_SERVER_FREEZES);
}

static bool freeze_client(void)
{
	return freeze(people_host(), COUNT_CLIENT_FREEZES);
}

/* While it stores its state: the event that stores can't end its own process. */
static void on_death(void *arg)
{
	if (!sim_server_running())
		return;
	sim_count(COUNT_SERVER_DEATHS);
	sim_server_crash();
	restart_later();
}

static void die(void)
{
	sim_event_set(&death, 0);
}

static void on_state_sound(void *arg)
{
	state_set_failing(0);
}

static bool disturb_state(void)
{
	if (!config.state)
		return false;
	if (!sim_server_running() && config.clients && sim_chance(30) && people_lose_server()) {
		sim_count(COUNT_STATE_LOST);
		sim_trace("server: its state is lost");
		state_lose();
		return true;
	}
	sim_trace("state: can't be stored for a while");
	state_set_failing(80);
	sim_event_set(&state_sound, duration(10 * MS, 4 * SEC));
	return true;
}

static bool grow(void)
{
	if (!disk_grow(8))
		return false;
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
	uint64_t time = duration(MS, 8 * SEC);

	sim_trace("partition for %llu ms, %s", (unsigned long long)(time / MS),
		  both        ? "both ways"
		  : to_server ? "to the server"
			      : "to the client");
	if (to_server)
		net_partition(people_host(), HOST_SERVER, both, time);
	else
		net_partition(HOST_SERVER, people_host(), both, time);
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
		sim_chance(30) ? DISK_FAIL_FLUSHES : (enum disk_fault)sim_random(DISK_FAULTS);
	uint64_t time = duration(MS, SEC);

	if (fault != DISK_SLOW && !config.disk)
		return false;
	if (fault == DISK_FAIL_FLUSHES && !config.power)
		return false;
	sim_trace("disk: fault %d for %llu ms", (int)fault, (unsigned long long)(time / MS));
	disk_fault(fault, time);
	if (fault != DISK_SLOW) {
		workload_set_sound(false);
		sim_event_set(&sound, 20 * SEC); /* what was begun meanwhile may still tell */
	}
	return true;
}

/* ---- life ---- */

static const struct {
	unsigned weight; /* all together: 100 */
	bool (*happen)(void); /* false: not now */
} kinds[] = {
	{30, disturb_network}, {1, stop_client},   {1, grow},          {2, fail_by_command},
	{8, partition},        {2, disturb_state}, {13, crash_server}, {6, stop_server},
	{9, cut_power},        {6, freeze_server}, {4, freeze_client}, {4, crash_client},
	{4, take_over},        {10, disturb_disk},
};

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
	uint64_t n = sim_random(100);
	unsigned i = 0;

	while (n >= kinds[i].weight)
		n -= kinds[i++].weight;
	if (kinds[i].happen())
		happened++;
	arrange_next();
}

void faults_watch(void)
{
	if (!sim_server_running())
		restart_later(); /* it was stopped, or gave up */
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
	sim_event_cancel(&restart);
	net_heal();
	disk_heal();
	state_set_failing(0);
	state_set_killing(0, NULL);
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
	restart = (struct sim_event){.run = on_restart};
	sound = (struct sim_event){.run = on_sound};
	death = (struct sim_event){.run = on_death};
	state_sound = (struct sim_event){.run = on_state_sound};
	if (config.state)
		state_set_killing(20, die);
}
