/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attachment.c - see attachment.h */
#include "dstfs/attachment_impl.h"

#include "common/clock.h"
#include "common/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *attachment_node(const struct attachment *a, char text[URI_TEXT_MAX])
{
	return uri_print(a->uri, text);
}

static void changed(struct attachment *a)
{
	a->target->changed(a->target->changed_arg);
}

void attachment_poke_all(struct attachment *a)
{
	for (unsigned i = 0; i < a->seat_count; i++)
		lane_poke(a->seats[i].lane);
}

/* ---- what is shown ---- */

static bool any_attached(const struct attachment *a)
{
	for (unsigned i = 0; i < a->seat_count; i++)
		if (a->seats[i].attached)
			return true;
	return false;
}

void attachment_show_state(struct attachment *a, bool refused, const char *reason)
{
	enum target_state state;

	if (a->phase == PHASE_FENCED)
		state = TARGET_FENCED;
	else if (a->phase == PHASE_OPEN && any_attached(a))
		state = TARGET_READY;
	else if (refused)
		state = TARGET_REFUSED;
	else if (a->target->size)
		state = TARGET_AWAY;
	else /* a node that was never there is still being connected to */
		state = TARGET_CONNECTING;
	if (state == TARGET_READY)
		a->reason[0] = '\0';
	else if (*reason)
		snprintf(a->reason, sizeof(a->reason), "%s", reason);
	if (a->target->state == state)
		return;
	a->target->state = state;
	a->state_since = clock_now();
}

static void set_size(struct attachment *a, uint64_t size)
{
	char node[URI_TEXT_MAX];
	uint64_t before = a->target->size;

	a->target->size = a->identity.size = size;
	if (before && before != size)
		log_limited(&a->limit_size, size < before ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			    "%s: its size changed from %llu to %llu bytes",
			    attachment_node(a, node), (unsigned long long)before,
			    (unsigned long long)size);
}

/* ---- sessions ---- */

/*
 * A new session is let in when the one before has let go of the export, and all of its I/O is over.
 * Nobody holds a shared export: there the id stays, so that each lane's HELLO waits for what the lane
 * has begun.
 */
static void draw_session(struct attachment *a, bool force)
{
	if (!a->retention.shared)
		random_bytes(a->session, sizeof(a->session));
	a->incarnation++;
	a->phase = PHASE_ATTACHING;
	a->attached = a->has_epoch = a->has_takeover = false;
	a->force = force;
}

/* Another session from now on; the lanes are told. */
static void start_over(struct attachment *a, bool force, bool fail)
{
	draw_session(a, force);
	a->replay_due = false;
	for (unsigned i = 0; i < a->seat_count; i++) {
		a->seats[i].attached = a->seats[i].gathered = false;
		a->seats[i].fail |= fail;
	}
	attachment_poke_all(a);
}

static void fence(struct attachment *a, const char *reason)
{
	char node[URI_TEXT_MAX];

	a->phase = PHASE_FENCED;
	a->replay_due = false;
	a->fences++;
	for (unsigned i = 0; i < a->seat_count; i++)
		a->seats[i].attached = false;
	attachment_show_state(a, false, reason);
	log_error("%s: %s; all I/O fails until it is attached anew by command",
		  attachment_node(a, node), reason);
	attachment_poke_all(a);
}

int attachment_reattach(struct attachment *a, bool takeover)
{
	char node[URI_TEXT_MAX];
	int error = 0;

	pthread_mutex_lock(&a->lock);
	if (a->phase != PHASE_FENCED && a->target->state != TARGET_REFUSED) {
		error = EALREADY;
	} else {
		if (retention_is_dirty(&a->retention))
			log_warn("%s: attaching anew: %llu bytes that were kept are dropped",
				 attachment_node(a, node),
				 (unsigned long long)recovery_unflushed(a));
		a->identity = (struct identity){0};
		start_over(a, takeover, true);
		attachment_show_state(a, false, "attaching anew, by command");
	}
	pthread_mutex_unlock(&a->lock);
	if (!error)
		changed(a);
	return error;
}

/* ---- HELLO ---- */

/* Has every lane let go of older sessions? What the first one gets done in the new session would be
 * taken for theirs otherwise. */
static bool all_begun(const struct attachment *a)
{
	for (unsigned i = 0; i < a->seat_count; i++)
		if (a->seats[i].begun != a->incarnation)
			return false;
	return true;
}

static bool on_may_connect(void *arg, unsigned index)
{
	struct attachment *a = arg;
	const struct seat *seat = &a->seats[index];
	bool may;

	pthread_mutex_lock(&a->lock);
	/* Who doesn't know of the new session yet was poked, and comes to know. */
	may = a->phase != PHASE_FENCED && seat->told == a->incarnation &&
	      (a->phase != PHASE_ATTACHING || (!index && all_begun(a)));
	pthread_mutex_unlock(&a->lock);
	return may;
}

static void on_greet(void *arg, unsigned index, struct wire_attrs *hello)
{
	struct attachment *a = arg;

	pthread_mutex_lock(&a->lock);
	a->seats[index].greeted = a->incarnation;
	hello->has |= 1u << DST_ATTR_SESSION;
	memcpy(hello->session, a->session, DST_ID_SIZE);
	if (hello->permissions & DST_PERM_WRITE && a->has_epoch) {
		hello->has |= 1u << DST_ATTR_EPOCH;
		hello->epoch = a->epoch;
	} else if (hello->permissions & DST_PERM_WRITE && a->has_takeover) {
		hello->has |= 1u << DST_ATTR_TAKEOVER;
		hello->takeover = a->takeover;
	}
	pthread_mutex_unlock(&a->lock);
}

/* Is there anything that only the server we know can have, or must get from us? */
static bool at_stake(const struct attachment *a)
{
	if (retention_is_dirty(&a->retention))
		return true;
	for (unsigned i = 0; i < a->seat_count; i++)
		if (a->seats[i].attached ||
		    counter_get(&lane_get_counters(a->seats[i].lane)->unanswered))
			return true;
	return false;
}

/* Another dstd: it may be a copy, or a successor. With nothing at stake it is attached to anew. */
static enum lane_verdict other_server(struct attachment *a, char *reason)
{
	char node[URI_TEXT_MAX];

	if (at_stake(a)) {
		snprintf(reason + strlen(reason), DST_MAX_REASON + 1 - strlen(reason),
			 "; refused, since the one before has, or must get, what is not durable");
		return LANE_REFUSED;
	}
	log_warn("%s: %s; nothing is at stake, attaching anew", attachment_node(a, node), reason);
	a->identity.server_known = false;
	a->has_instance = false;
	start_over(a, a->force, false);
	return LANE_REFUSED;
}

static enum lane_verdict refused(struct attachment *a, uint16_t status,
				 const struct wire_attrs *attrs, char *reason)
{
	char other[DST_MAX_REASON + 1];
	bool first = !a->has_takeover;

	if (status == DST_ESHUTDOWN) /* as good as away */
		return LANE_AWAY;
	if (identity_compare(&a->identity, attrs, other, sizeof(other)) == IDENTITY_OTHER_SERVER) {
		memcpy(reason, other, sizeof(other));
		return other_server(a, reason);
	}
	if (status == DST_ESTALE && a->has_epoch) {
		fence(a, reason);
		return LANE_STAY;
	}
	if (status != DST_EBUSY || !a->force || !wire_has(attrs, DST_ATTR_EPOCH))
		return LANE_REFUSED;
	a->has_takeover = true;
	a->takeover = attrs->epoch;
	return first ? LANE_AGAIN : LANE_REFUSED; /* who is overtaken time and again, waits */
}

/* May this session go on under the epoch that the server tells? The cause in reason if not. */
static enum lane_verdict check_epoch(struct attachment *a, const struct wire_attrs *attrs,
				     char *reason)
{
	bool told = wire_has(attrs, DST_ATTR_EPOCH);

	if (!(attrs->permissions & DST_PERM_WRITE) || attrs->features & DST_IS_SHARED)
		return LANE_CARRY;
	if (!told) {
		snprintf(reason, DST_MAX_REASON + 1,
			 "protocol error: the server lets us write and tells no epoch");
		return LANE_REFUSED;
	}
	if (a->has_epoch && !wire_epoch_equal(&a->epoch, &attrs->epoch)) {
		snprintf(reason, DST_MAX_REASON + 1,
			 "fenced: another writer has held the export meanwhile (epoch %llu, ours "
			 "was %llu)",
			 (unsigned long long)attrs->epoch.counter,
			 (unsigned long long)a->epoch.counter);
		fence(a, reason);
		return LANE_STAY;
	}
	a->has_epoch = true;
	a->epoch = attrs->epoch;
	return LANE_CARRY;
}

static void note_attached(struct attachment *a, unsigned index, const char *address,
			  const struct wire_attrs *attrs)
{
	identity_adopt(&a->identity, attrs);
	set_size(a, attrs->size);
	a->target->writable = attrs->permissions & DST_PERM_WRITE;
	a->retention.shared = attrs->features & DST_IS_SHARED;
	a->attached = true;
	a->force = a->has_takeover = false;
	a->seats[index].attached = true;
	snprintf(a->peer, sizeof(a->peer), "%s", address);
}

static enum lane_verdict admitted(struct attachment *a, unsigned index, const char *address,
				  const struct wire_attrs *attrs, char *reason)
{
	enum lane_verdict verdict;

	switch (identity_compare(&a->identity, attrs, reason, DST_MAX_REASON + 1)) {
	case IDENTITY_SAME:
		break;
	case IDENTITY_OTHER_SERVER:
		return other_server(a, reason);
	case IDENTITY_REPLACED:
		return LANE_REFUSED;
	}
	verdict = check_epoch(a, attrs, reason);
	if (verdict != LANE_CARRY)
		return verdict;
	note_attached(a, index, address, attrs);
	recovery_learn(a, attrs->instance, false);
	a->seats[index].round = a->rounds;
	if (a->phase == PHASE_ATTACHING) {
		a->phase = PHASE_OPEN;
		attachment_poke_all(a);
	}
	attachment_show_state(a, false, "");
	switch (a->phase) {
	case PHASE_REPLAYING:
		return LANE_RESUME;
	case PHASE_GATHERING:
		return LANE_HOLD;
	default:
		return LANE_CARRY;
	}
}

static enum lane_verdict on_answered(void *arg, unsigned index, const char *address,
				     uint16_t status, const struct wire_attrs *attrs,
				     char reason[DST_MAX_REASON + 1])
{
	struct attachment *a = arg;
	enum lane_verdict verdict;

	pthread_mutex_lock(&a->lock);
	if (a->phase == PHASE_FENCED) {
		snprintf(reason, DST_MAX_REASON + 1, "%s", a->reason);
		verdict = LANE_STAY;
	} else if (a->seats[index].greeted != a->incarnation) {
		snprintf(reason, DST_MAX_REASON + 1, "another session has begun meanwhile");
		verdict = LANE_AGAIN;
	} else if (status != DST_OK) {
		verdict = refused(a, status, attrs, reason);
	} else {
		verdict = admitted(a, index, address, attrs, reason);
	}
	pthread_mutex_unlock(&a->lock);
	changed(a);
	return verdict;
}

static void on_settled(void *arg, unsigned index)
{
	struct attachment *a = arg;

	pthread_mutex_lock(&a->lock);
	if (a->seats[index].attached) /* else another session has begun meanwhile */
		recovery_gathered(a, index);
	pthread_mutex_unlock(&a->lock);
	changed(a);
}

static void on_lost(void *arg, unsigned index, bool refused, const char *reason)
{
	struct attachment *a = arg;

	pthread_mutex_lock(&a->lock);
	a->seats[index].attached = false;
	attachment_show_state(a, refused, a->phase == PHASE_FENCED ? "" : reason);
	pthread_mutex_unlock(&a->lock);
	changed(a);
}

/* ---- while it is up ---- */

static enum lane_order on_notice(void *arg, unsigned index, const struct wire_attrs *attrs,
				 char reason[DST_MAX_REASON + 1])
{
	struct attachment *a = arg;
	const struct seat *seat = &a->seats[index];
	enum lane_order order = LANE_GO_ON;

	pthread_mutex_lock(&a->lock);
	if (!seat->attached) {
		/* It is about to be told that this session, or its hold, is over. */
	} else if (identity_compare(&a->identity, attrs, reason, DST_MAX_REASON + 1) !=
		   IDENTITY_SAME) {
		order = LANE_DROP;
	} else {
		if (wire_has(attrs, DST_ATTR_SIZE))
			set_size(a, attrs->size);
		if (wire_has(attrs, DST_ATTR_PERMISSIONS)) /* to hold it takes a HELLO */
			a->target->writable = attrs->permissions & DST_PERM_WRITE &&
					      (a->has_epoch || a->retention.shared);
		if (wire_has(attrs, DST_ATTR_INSTANCE))
			recovery_learn(a, attrs->instance, true);
		/* Also if another lane was told first: what comes next here may be the failed flush. */
		if (a->phase == PHASE_GATHERING && !seat->gathered) {
			snprintf(reason, DST_MAX_REASON + 1, "a flush has failed at the server");
			order = LANE_RENEW_FAILED;
		}
	}
	pthread_mutex_unlock(&a->lock);
	changed(a);
	return order;
}

static enum lane_order order_for(struct attachment *a, unsigned index)
{
	struct seat *seat = &a->seats[index];

	if (a->phase == PHASE_FENCED)
		return LANE_FAIL;
	if (seat->told != a->incarnation) {
		bool fail = seat->fail;

		seat->told = a->incarnation;
		seat->fail = false;
		return fail ? LANE_FAIL_START_OVER : LANE_START_OVER;
	}
	switch (a->phase) {
	case PHASE_ATTACHING:
		return index ? LANE_GO_ON : LANE_COME;
	case PHASE_GATHERING:
		if (seat->gathered)
			return LANE_GO_ON;
		return a->by_notice ? LANE_RENEW_FAILED : LANE_RENEW;
	case PHASE_OPEN:
		return seat->attached ? LANE_OPEN : LANE_COME;
	default:
		return LANE_GO_ON;
	}
}

static enum lane_order on_order(void *arg, unsigned index)
{
	struct attachment *a = arg;
	enum lane_order order;

	pthread_mutex_lock(&a->lock);
	order = order_for(a, index);
	pthread_mutex_unlock(&a->lock);
	if (!index)
		recovery_run(a);
	return order;
}

static void on_abandoned(void *arg, unsigned index)
{
	struct attachment *a = arg;
	struct seat *seat = &a->seats[index];

	if (!index)
		recovery_abandon(a);
	pthread_mutex_lock(&a->lock);
	if (seat->begun != seat->told) {
		seat->begun = seat->told;
		if (all_begun(a)) {
			recovery_give_up(a);
			lane_poke(a->seats[0].lane);
		}
	}
	pthread_mutex_unlock(&a->lock);
}

static void on_sweep(void *arg)
{
	struct attachment *a = arg;

	for (unsigned i = 0; i < a->seat_count; i++)
		lane_sweep(a->seats[i].lane);
}

static const struct lane_events lane_events = {
	.may_connect = on_may_connect,
	.greet = on_greet,
	.answered = on_answered,
	.settled = on_settled,
	.notice = on_notice,
	.lost = on_lost,
	.order = on_order,
	.abandoned = on_abandoned,
	.sweep = on_sweep,
};

/* ---- life ---- */

struct attachment *attachment_new(struct target *target, const struct uri *uri,
				  struct worker *workers, unsigned worker_count, const char *client)
{
	struct attachment *a = calloc(1, sizeof(*a) + worker_count * sizeof(struct seat));
	struct lane_config config;

	if (!a)
		return NULL;
	a->target = target;
	a->uri = uri;
	a->policy = target->policy;
	a->workers = workers;
	a->seat_count = worker_count;
	a->state_since = clock_now();
	pthread_mutex_init(&a->lock, NULL);
	draw_session(a, a->policy->takeover);
	config = (struct lane_config){
		.uri = uri,
		.policy = a->policy,
		.lanes = worker_count,
		.client = client,
		.retention = &a->retention,
		.events = &lane_events,
		.arg = a,
	};
	for (unsigned i = 0; i < worker_count; i++) {
		a->seats[i].told = a->seats[i].begun = a->incarnation;
		a->seats[i].lane = lane_new(&workers[i], &config);
		if (!a->seats[i].lane)
			attachment_free(&a);
		if (!a)
			return NULL;
	}
	if (recovery_init(a))
		attachment_free(&a);
	return a;
}

void attachment_start(struct attachment *a)
{
	for (unsigned i = 0; i < a->seat_count; i++)
		lane_start(a->seats[i].lane);
}

struct lane *attachment_lane(struct attachment *a, unsigned index)
{
	return a->seats[index].lane;
}

void attachment_free(struct attachment **pointer)
{
	struct attachment *a = *pointer;

	*pointer = NULL;
	if (!a)
		return;
	for (unsigned i = 0; i < a->seat_count; i++)
		if (a->seats[i].lane)
			lane_stop(a->seats[i].lane);
	for (unsigned i = 0; i < a->seat_count; i++)
		lane_free(&a->seats[i].lane);
	recovery_destroy(a);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
