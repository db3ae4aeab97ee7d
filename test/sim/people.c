/* SPDX-License-Identifier: GPL-2.0-or-later */
/* people.c - see people.h */
#include "test/sim/people.h"

#include "test/sim/disk.h"
#include "test/sim/model.h"
#include "test/sim/net.h"
#include "test/sim/shape.h"
#include "test/sim/witness.h"
#include "test/sim/workload.h"

#include <errno.h>
#include <string.h>

#define FORCE_PATIENCE (4 * SEC) /* until a mirror is started by force */
#define MIND_INTERVAL (500 * MS)
#define STOP_PATIENCE (10 * SEC) /* for the last flush and the clean end of mirrors */

/* On the way to a client's end in good order. */
enum leaving {
	STAYING,
	LEAVING, /* as soon as it has nothing to do */
	FLUSHING,
	CANCELLING, /* the last flush takes too long */
	DETACHING
};

static struct sim_client_config config;
static enum sim_host host; /* of the client in use */
static unsigned life; /* of the client in use; counts clients */
static unsigned lives[HOSTS]; /* of the clients there */
static uint64_t lease;
static bool taking_over; /* another is starting */
static enum sim_host coming; /* where */
static bool forced; /* it may take over by force */
static struct sim_event retreat; /* it gives up */
static uint64_t taking_since; /* flush errors of the disks then */
static uint64_t admitted; /* losses, by the client in use */
static uint64_t unreadable; /* read errors of disks that were looked at */
static struct sim_event restart;
static enum leaving leaving; /* the client in use */
static bool for_good; /* and nobody comes after it */
static bool gone;
static struct sim_event impatience; /* it takes too long */
static struct sim_op last_flush;
static uint64_t last_flush_start; /* the model's */
static bool released; /* it has let go of the export */
static bool ever_forced; /* a mirror was started by force */
static bool apart; /* and not all its members have come together since */
static uint64_t taking_at; /* simulated time when the one that is starting began to wait */
static uint64_t surveys[SHAPE_PARTS_MOST]; /* of orders that were given once */
static struct sim_event minding;
static bool ended; /* nothing bad happens any more */
static bool strange; /* some server isn't the one that the client in use knew */

static enum sim_host other(enum sim_host h)
{
	return h == HOST_CLIENT_A ? HOST_CLIENT_B : HOST_CLIENT_A;
}

static char letter(enum sim_host h)
{
	return (char)('A' + (int)(h - HOST_CLIENT_A));
}

/* ---- mirrors ---- */

/* What was last seen of the mirrors of the client in use. */
static struct sight {
	uint64_t generation;
	unsigned read_set, write_set;
	enum sim_refusal refusal; /* of the one that is starting */
	bool split; /* it refuses a member */
} sights[SHAPE_PARTS_MOST];

static void add(enum count count, unsigned members)
{
	sim.counts[count] += (unsigned)__builtin_popcount(members);
}

static void look_at_mirror(struct sight *s, unsigned part)
{
	struct sight now = {.generation = sim_client_generation(host, part),
			    .read_set = sim_client_read_set(host, part),
			    .write_set = sim_client_write_set(host, part),
			    .refusal = s->refusal,
			    .split = s->split};

	if (!now.generation || (now.generation == s->generation && now.write_set == s->write_set))
		return;
	if (s->generation) {
		sim.counts[COUNT_GENERATIONS] += now.generation != s->generation;
		add(COUNT_MEMBERS_LEFT, s->read_set & ~now.read_set);
		add(COUNT_MEMBERS_LEFT_RESYNC, s->write_set & ~s->read_set & ~now.write_set);
		add(COUNT_MEMBERS_BACK, now.write_set & ~s->write_set);
		add(COUNT_MEMBERS_IN_SYNC, now.read_set & ~s->read_set);
		sim_trace("mirror %u: generation %llu, in sync %x, written %x", part,
			  (unsigned long long)now.generation, now.read_set, now.write_set);
	}
	/* Readers may find what another one has where writes have failed. */
	if (now.read_set != s->read_set)
		model_reconsider();
	*s = now;
}

static void look_at_refusal(struct sight *s, unsigned part)
{
	static const enum count counts[] = {[SIM_ALTERNATE] = COUNT_ALTERNATE,
					    [SIM_SPLIT] = COUNT_SPLITS,
					    [SIM_REFUSED] = COUNT_MIRRORS_REFUSED};
	enum sim_refusal now = sim_client_refusal(coming, part);

	if (now != s->refusal && now != SIM_NOT_REFUSED) {
		sim_count(counts[now]);
		sim_trace("mirror %u: refuses to start (%d)", part, (int)now);
	}
	if (now == SIM_SPLIT && !ever_forced)
		sim_fail("invariant 14: split brain, though nobody has forced anything");
	s->refusal = now;
}

/* Once for each. */
static void look_at_split(struct sight *s, unsigned part)
{
	bool now = sim_client_has_split(host, part);

	if (now && !s->split)
		sim_count(COUNT_SPLITS);
	s->split = now;
}

/* ---- by force ---- */

static void mind(unsigned part)
{
	enum sim_host where = taking_over ? coming : host;
	bool waits, split, resolve, stuck;

	if (!sim_client_running(where))
		return;
	waits = sim_client_waits(where, part);
	split = ever_forced && sim_client_has_split(where, part);
	resolve = split || sim_client_refusal(where, part) == SIM_SPLIT;
	/* In the end all nodes are back; but what this one wrote to may have been given up elsewhere. */
	stuck = waits && taking_over && sim.now - taking_at > FORCE_PATIENCE &&
		(!ended || (ever_forced && sim_client_refusal(where, part) == SIM_ALTERNATE));
	if (!resolve && !stuck)
		return;
	if (where != host && sim_client_running(host)) { /* else both would write */
		workload_client_dead(host);
		sim_client_crash(host);
		model_client_gone(life, true, false);
	}
	if (!sim_client_order(where, part, resolve, &surveys[part]))
		return;
	sim_count(resolve ? COUNT_RESOLVED : COUNT_FORCED);
	ever_forced = true;
	apart |= waits;
	if (waits)
		model_forced();
}

static void on_mind(void *arg)
{
	for (unsigned i = 0; i < shape.part_count; i++)
		mind(i);
	sim_event_set(&minding, MIND_INTERVAL);
}

static void look_at_mirrors(void)
{
	apart = apart && !sim_client_whole(host);
	for (unsigned i = 0; i < shape.part_count && shape.mirrored; i++) {
		if (sim_client_running(host))
			look_at_mirror(&sights[i], i);
		if (ever_forced && sim_client_running(host))
			look_at_split(&sights[i], i);
		if (taking_over)
			look_at_refusal(&sights[i], i);
	}
}

static void forget_mirrors(void)
{
	for (unsigned i = 0; i < SHAPE_PARTS_MOST; i++)
		sights[i] = (struct sight){0};
}

/* ---- coming ---- */

static void start(enum sim_host where, bool takeover)
{
	struct sim_client_config c = config;

	c.takeover = takeover;
	if (sim_client_running(where)) { /* fenced long ago */
		workload_client_dead(where);
		sim_client_crash(where);
		model_client_gone(lives[where], true, false);
	}
	net_power_back(where);
	sim_client_start(where, &c);
}

static void begin_waiting(enum sim_host where, bool force)
{
	taking_over = true;
	coming = where;
	forced = force;
	taking_since = disk_flush_errors();
	taking_at = sim.now;
	workload_client_challenged(host);
}

static void begin_takeover(enum sim_host where, bool force)
{
	begin_waiting(where, force);
	start(where, force);
}

/* Who came without the right to take over must have waited for the lease. */
static void check_lease(enum sim_host before)
{
	uint64_t seen = workload_served(before); /* the server saw it then, or later */

	if (!forced && !strange && !released && !apart && seen && sim.now - seen < lease)
		sim_fail("invariant 5: client %c was let in without force %llu ms after the holder "
			 "was served, within its lease",
			 letter(coming), (unsigned long long)((sim.now - seen) / MS));
}

/* The new client is let in: from here on it is the one. */
static void changed_hands(void)
{
	enum sim_host before = host;
	bool lives_on = before != coming && sim_client_running(before);
	bool flushed = disk_flush_errors() == taking_since;

	taking_over = false;
	sim_event_cancel(&retreat);
	check_lease(before);
	host = coming;
	sim_count(COUNT_TAKEOVERS);
	sim_trace("client %c has taken over", letter(host));
	model_client_gone(life, !lives_on, flushed);
	if (before != host)
		workload_client_replaced(before);
	if (strange && lives_on) { /* it would wait for ever */
		workload_client_dead(before);
		sim_client_crash(before);
		model_client_gone(life, true, false);
	}
	strange = released = false;
	admitted = sim_client_losses(host);
	if (apart) /* it may go on from what the one before did without */
		model_forced();
	lives[host] = ++life;
	forget_mirrors();
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

bool people_excuse(void)
{
	uint64_t errors = sim.counts[COUNT_DISK_READ_ERRORS];
	bool more = shape.mirrored && errors != unreadable;

	unreadable = errors;
	if (more)
		model_reconsider();
	return people_admits_loss() || more;
}

/* ---- leaving ---- */

static void left(void)
{
	leaving = STAYING;
	sim_event_cancel(&impatience);
	sim_client_stop(host);
	workload_client_dead(host);
	model_client_gone(life, true, false);
	released = true;
	if (for_good)
		gone = true;
	else
		sim_event_set(&restart, sim_random(SEC));
}

static void on_impatience(void *arg)
{
	if (for_good)
		sim_fail("the client does not end, though all is well");
	else if (leaving == DETACHING)
		left();
	else if (leaving == FLUSHING) {
		leaving = CANCELLING;
		sim_client_cancel(host, &last_flush, EINTR);
	}
}

static void on_last_flush(struct sim_op *op, int error, const uint8_t *data, uint64_t length)
{
	sim_trace("the last flush: %s", error ? strerror(error) : "done");
	if (error)
		model_flush_failed(life, last_flush_start);
	else
		model_flushed(life, last_flush_start);
	if (leaving == CANCELLING)
		return; /* people_watch() goes on */
	leaving = DETACHING;
	sim_count(COUNT_DETACHES);
	sim_client_detach(host);
}

/* What dstfs does at its end, see last_flush.h. Without a mirror the model wants no last flush. */
static void go(void)
{
	if (!shape.mirrored || (!for_good && sim_chance(20))) {
		left();
		return;
	}
	leaving = FLUSHING;
	last_flush_start = model_now();
	last_flush = (struct sim_op){.type = SIM_FLUSH, .done = on_last_flush};
	sim_event_set(&impatience, STOP_PATIENCE * (for_good ? 10 : 1));
	sim_trace("the last flush begins");
	sim_client_submit(host, &last_flush);
}

static void watch_leaving(void)
{
	if (leaving == STAYING)
		return;
	if (!sim_client_running(host)) {
		leaving = STAYING;
		sim_event_cancel(&impatience);
	} else if (leaving == LEAVING && !workload_under_way()) {
		go();
	} else if (leaving == CANCELLING && !last_flush.io) {
		left();
	} else if (leaving == DETACHING && sim_client_detached(host)) {
		left();
	}
}

/* The one that is starting had some nodes, and the one in use has come to one that was away, before it. */
static void insist(void)
{
	enum sim_host where = coming;

	sim_trace("client %c insists", letter(where));
	sim_client_crash(where);
	taking_over = false;
	begin_takeover(where, true);
}

/* One that was fenced at some nodes may hold others for ever: in the end nobody needs it any more. */
static void dismiss(void)
{
	enum sim_host where = other(host);

	if (!ended || (taking_over && coming == where) || !sim_client_running(where))
		return;
	workload_client_dead(where);
	sim_client_crash(where);
	model_client_gone(lives[where], true, false);
}

void people_watch(void)
{
	watch_leaving();
	look_at_mirrors();
	if (taking_over && sim_client_ready(coming))
		changed_hands();
	if (taking_over && !retreat.place && sim_client_fenced(coming))
		insist();
	if (!taking_over && leaving == STAYING && !restart.place &&
	    sim_client_fenced(host)) { /* the state was lost */
		sim_trace("the client in use is fenced");
		begin_takeover(other(host), true);
	}
	dismiss();
}

/* ---- what happens to them ---- */

static void on_restart(void *arg)
{
	bool force = strange || (!released && sim_chance(70)); /* strange: the old one may be in */
	bool same = shape.mirrored && !sim_client_running(host) && sim_chance(70);

	workload_pause(false);
	begin_takeover(same ? host : other(host), force);
}

static bool busy(void)
{
	return taking_over || leaving != STAYING || restart.place;
}

bool people_stop(void)
{
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_STOPS);
	sim_trace("the client is to be stopped");
	leaving = LEAVING;
	workload_pause(true);
	return true;
}

/* The one that is starting. */
static bool crash_coming(void)
{
	if (!shape.mirrored || !sim_client_running(coming))
		return false;
	sim_client_crash(coming);
	taking_over = false;
	sim_event_cancel(&retreat);
	if (!sim_client_running(host) || strange)
		sim_event_set(&restart, sim_random(2 * SEC));
	return true;
}

static bool crash(void)
{
	if (taking_over)
		return crash_coming();
	if ((leaving != STAYING && !shape.mirrored) || restart.place || !sim_client_running(host))
		return false;
	leaving = STAYING;
	sim_event_cancel(&impatience);
	sim_client_crash(host);
	model_client_gone(life, true, false);
	workload_client_dead(host);
	sim_event_set(&restart, sim_random(2 * SEC));
	return true;
}

bool people_crash(void)
{
	bool happens = crash();

	if (happens)
		sim_count(COUNT_CLIENT_CRASHES);
	return happens;
}

bool people_cut_power(void)
{
	enum sim_host where = taking_over ? coming : host;

	if (!crash())
		return false;
	sim_count(COUNT_CLIENT_POWER_CUTS);
	sim_trace("client %c: power cut", letter(where));
	net_power_cut(where);
	witness_power_cut(where);
	return true;
}

bool people_take_over(void)
{
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_TAKEOVERS);
	sim_trace("another client takes over");
	begin_takeover(other(host), true);
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
	/* What is under way at a node that knows of no fence may go on; nobody waits for it. */
	if (shape.nodes > 1 && workload_under_way_at(other(host))) {
		workload_client_failed(other(host));
		sim_client_fail(other(host));
		return false;
	}
	sim_count(COUNT_CLIENT_REATTACHES);
	sim_trace("client %c is attached anew", letter(other(host)));
	workload_client_dead(other(host));
	model_client_gone(lives[other(host)], true, false);
	if (!sim_client_reattach(other(host)))
		return false;
	workload_client_reattached(other(host));
	begin_waiting(other(host), true);
	return true;
}

static void on_retreat(void *arg)
{
	sim_trace("client %c gives up", letter(coming));
	sim_client_crash(coming);
	taking_over = false;
}

bool people_intrude(void)
{
	if (busy() || !sim_client_ready(host))
		return false;
	sim_count(COUNT_CLIENT_INTRUDERS);
	sim_trace("another client comes without the right to take over");
	begin_takeover(other(host), false);
	sim_event_set(&retreat, sim_between(100 * MS, 4 * SEC));
	return true;
}

/* ---- life ---- */

void people_begin(void)
{
	start(HOST_CLIENT_A, false);
	host = coming = HOST_CLIENT_A;
	lives[host] = ++life;
	workload_use(host, life);
}

void people_end(void)
{
	ended = shape.nodes > 1;
	if (restart.place)
		sim_event_set(&restart, 0);
}

void people_leave(void)
{
	for_good = true;
	leaving = LEAVING;
}

bool people_gone(void)
{
	return gone;
}

enum sim_host people_host(void)
{
	return host;
}

bool people_settled(void)
{
	return !busy();
}

void people_reset(const struct sim_client_config *c, uint64_t l, bool force)
{
	config = *c;
	lease = l;
	admitted = 0;
	unreadable = sim.counts[COUNT_DISK_READ_ERRORS];
	strange = released = for_good = gone = ended = false;
	leaving = STAYING;
	retreat = (struct sim_event){.run = on_retreat};
	impatience = (struct sim_event){.run = on_impatience};
	host = coming = HOST_CLIENT_A;
	life = 0;
	taking_over = false;
	restart = (struct sim_event){.run = on_restart};
	last_flush = (struct sim_op){0};
	ever_forced = apart = false;
	memset(surveys, 0, sizeof(surveys));
	minding = (struct sim_event){.run = on_mind};
	if (force) {
		model_may_be_forced();
		sim_event_set(&minding, MIND_INTERVAL);
	}
	forget_mirrors();
	sim_client_reset();
}
