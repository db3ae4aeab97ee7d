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
static uint64_t lease;
static bool taking_over; /* another is starting */
static bool forced; /* it may take over by force */
static struct sim_event retreat; /* it gives up */
static uint64_t taking_since; /* flush errors of the disk then */
static uint64_t admitted; /* losses, by the client in use */
static struct sim_event restart;
static bool leaving; /* the client in use is stopped as soon as it has nothing to do */
static bool released; /* it has let go of the export */
static bool strange; /* the server isn't the one that the client in use knew */

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

static void begin_waiting(bool force)
{
	taking_over = true;
	forced = force;
	taking_since = disk_flush_errors();
	workload_client_challenged(host);
}

static void begin_takeover(bool force)
{
	begin_waiting(force);
	start(other(host), force);
}

/* Who came without the right to take over must have waited for the lease. */
static void check_lease(enum sim_host before)
{
	uint64_t seen = workload_served(before); /* the server saw it then, or later */

	if (!forced && !strange && !released && seen && sim.now - seen < lease)
		sim_fail("invariant 5: client %c was let in without force %llu ms after the holder "
			 "was served, within its lease",
			 'A' + (int)(other(before) - HOST_CLIENT_A),
			 (unsigned long long)((sim.now - seen) / MS));
}

/* The new client is let in: from here on it is the one. */
static void changed_hands(void)
{
	enum sim_host before = host;
	bool flushed = disk_flush_errors() == taking_since;

	taking_over = false;
	sim_event_cancel(&retreat);
	check_lease(before);
	host = other(before);
	sim_count(COUNT_TAKEOVERS);
	sim_trace("client %c has taken over", 'A' + (int)(host - HOST_CLIENT_A));
	model_client_gone(life, !sim_client_running(before), flushed);
	workload_client_replaced(before);
	if (strange && sim_client_running(before)) { /* it would wait for ever */
		workload_client_dead(before);
		sim_client_crash(before);
		model_client_gone(life, true, false);
	}
	strange = released = false;
	admitted = sim_client_losses(host);
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

static void stop_if_idle(void)
{
	if (!leaving || workload_under_way())
		return;
	leaving = false;
	if (!sim_client_running(host))
		return;
	sim_client_stop(host);
	model_client_gone(life, true, false);
	released = true;
	sim_event_set(&restart, sim_random(SEC));
}

void people_watch(void)
{
	stop_if_idle();
	if (taking_over && sim_client_ready(other(host)))
		changed_hands();
	if (!taking_over && !leaving && !restart.place &&
	    sim_client_fenced(host)) { /* the state was lost */
		sim_trace("the client in use is fenced");
		begin_takeover(true);
	}
}

static void on_restart(void *arg)
{
	workload_pause(false);
	begin_takeover(strange ||
		       (!released && sim_chance(70))); /* strange: the old one may be in */
}

static bool busy(void)
{
	return taking_over || leaving || restart.place;
}

bool people_stop(void)
{
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_STOPS);
	sim_trace("the client is to be stopped");
	leaving = true;
	workload_pause(true);
	return true;
}

bool people_crash(void)
{
	if (busy() || !sim_client_running(host))
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
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_TAKEOVERS);
	sim_trace("another client takes over");
	begin_takeover(true);
	return true;
}

bool people_lose_server(void)
{
	if (busy() || !sim_client_running(host))
		return false;
	strange = true;
	workload_client_challenged(host);
	sim_event_set(&restart, sim_between(SEC, 4 * SEC));
	return true;
}

bool people_take_back(void)
{
	if (busy() || !sim_client_fenced(other(host)))
		return false;
	sim_count(COUNT_CLIENT_REATTACHES);
	sim_trace("client %c is attached anew", 'A' + (int)(other(host) - HOST_CLIENT_A));
	workload_client_dead(other(host));
	model_client_gone(lives[other(host)], true, false);
	if (!sim_client_reattach(other(host)))
		return false;
	workload_client_reattached(other(host));
	begin_waiting(true);
	return true;
}

static void on_retreat(void *arg)
{
	sim_trace("client %c gives up", 'A' + (int)(other(host) - HOST_CLIENT_A));
	sim_client_crash(other(host));
	taking_over = false;
}

bool people_intrude(void)
{
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_INTRUDERS);
	sim_trace("another client comes without the right to take over");
	begin_takeover(false);
	sim_event_set(&retreat, sim_between(100 * MS, 4 * SEC));
	return true;
}

void people_begin(void)
{
	start(HOST_CLIENT_A, false);
	host = HOST_CLIENT_A;
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
	return !busy();
}

void people_reset(const struct sim_client_config *c, uint64_t l)
{
	config = *c;
	lease = l;
	admitted = 0;
	strange = leaving = released = false;
	retreat = (struct sim_event){.run = on_retreat};
	host = HOST_CLIENT_A;
	life = 0;
	taking_over = false;
	restart = (struct sim_event){.run = on_restart};
	sim_client_reset();
}
