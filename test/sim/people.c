/* SPDX-License-Identifier: GPL-2.0-or-later */
/* people.c - see people.h */
#include "test/sim/people.h"

#include "test/sim/disk.h"
#include "test/sim/model.h"
#include "test/sim/workload.h"

static struct sim_client_config config;
static enum sim_host host; /* of the client in use */
static unsigned life; /* of the client in use; counts clients */
static unsigned lives[HOSTS]; /* of the clients there */
static bool taking_over; /* another is starting */
static uint64_t taking_since; /* flush errors of the disk then */
static uint64_t admitted; /* losses, by the client in use */
static struct sim_event restart;

static enum sim_host other(enum sim_host h)
{
	return h == HOST_CLIENT_A ? HOST_CLIENT_B : HOST_CLIENT_A;
}

static void start(enum sim_host where, bool takeover)
{
	struct sim_client_config c = config;

	c.takeover = takeover;
	if (sim_client_running(where)) { /* fenced long ago */
		workload_client_dead(where);
		sim_client_crash(where);
		model_client_gone(lives[where], true, false);
	}
	sim_client_start(where, &c);
}

/* The new client is let in: from here on it is the one. */
static void changed_hands(void)
{
	enum sim_host before = host;
	bool flushed = disk_flush_errors() == taking_since;

	taking_over = false;
	host = other(before);
	sim_count(COUNT_TAKEOVERS);
	sim_trace("client %c has taken over", 'A' + (int)(host - HOST_CLIENT_A));
	model_client_gone(life, !sim_client_running(before), flushed);
	workload_client_replaced(before);
	admitted = 0;
	lives[host] = ++life;
	workload_use(host, life);
}

bool people_admits_loss(void)
{
	uint64_t now;

	if (!sim_client_running(host))
		return false;
	now = sim_client_losses(host);
	if (now == admitted)
		return false;
	admitted = now;
	sim_trace("the client admits a loss");
	model_client_lost(life);
	return true;
}

void people_watch(void)
{
	if (taking_over && sim_client_ready(other(host)))
		changed_hands();
}

static void begin_takeover(bool force)
{
	taking_over = true;
	taking_since = disk_flush_errors();
	workload_client_challenged(host);
	start(other(host), force);
}

static void on_restart(void *arg)
{
	begin_takeover(sim_chance(70));
}

bool people_crash(void)
{
	if (taking_over || restart.place || !sim_client_running(host))
		return false;
	sim_count(COUNT_CLIENT_CRASHES);
	sim_client_crash(host);
	model_client_gone(life, true, false);
	workload_client_dead(host);
	sim_event_set(&restart, sim_random(2 * SEC));
	return true;
}

bool people_take_over(void)
{
	if (taking_over || restart.place || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_TAKEOVERS);
	sim_trace("another client takes over");
	begin_takeover(true);
	return true;
}

void people_begin(void)
{
	start(HOST_CLIENT_A, false);
	host = HOST_CLIENT_A;
	admitted = 0;
	lives[host] = ++life;
	workload_use(host, life);
}

void people_end(void)
{
	if (restart.place)
		sim_event_set(&restart, 0);
}

enum sim_host people_host(void)
{
	return host;
}

bool people_settled(void)
{
	return !taking_over && !restart.place;
}

void people_reset(const struct sim_client_config *c)
{
	config = *c;
	host = HOST_CLIENT_A;
	life = 0;
	taking_over = false;
	restart = (struct sim_event){.run = on_restart};
	sim_client_reset();
}
