/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence.c - see fence.h */
#include "server/fence.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "common/text.h"
#include "server/catalog.h"
#include "server/export.h"
#include "server/lane.h"
#include "server/server.h"
#include "server/session.h"
#include "server/worker.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const claim_names[] = {
	[FENCE_NONE] = "NONE",
	[FENCE_DRAINING] = "DRAINING",
	[FENCE_FLUSHING] = "FLUSHING",
	[FENCE_STORING] = "STORING",
};

static void set_claim(struct export *export, enum fence_claim claim)
{
	log_debug("export %s: claim %s -> %s", export->name, claim_names[export->fence.claim],
		  claim_names[claim]);
	export->fence.claim = claim;
}

/* ---- words ---- */

const char *fence_who(const struct session *session, char text[FENCE_WHO])
{
	snprintf(text, FENCE_WHO, "%s (%s)", session->client, session->peer);
	return text;
}

/* The holder as it is known, whether it is here or not. */
static const char *holder_who(const struct fence *fence, char text[FENCE_WHO])
{
	if (*fence->holder_peer)
		snprintf(text, FENCE_WHO, "%s (%s)", fence->known.holder_name, fence->holder_peer);
	else
		snprintf(text, FENCE_WHO, "%s", fence->known.holder_name);
	return text;
}

/* ---- who holds it ---- */

static bool holder_is_here(const struct fence *fence)
{
	return fence->holder && fence->holder->connections;
}

/* Nanoseconds for which it stays reserved for a holder that is not here; 0: the lease is over. */
static uint64_t lease_left(const struct export *export)
{
	uint64_t gone = clock_now() - export->fence.gone_since;
	uint64_t lease = export->config ? export->config->lease : 0;

	return gone < lease ? lease - gone : 0;
}

bool fence_is_free(const struct export *export)
{
	const struct fence *fence = &export->fence;

	return fence->claim == FENCE_NONE &&
	       (!fence->known.held || (!holder_is_here(fence) && !lease_left(export)));
}

static bool holds(const struct fence *fence, const uint8_t session[DST_ID_SIZE])
{
	return fence->known.held && !memcmp(fence->known.holder, session, DST_ID_SIZE);
}

static uint16_t refuse_stale(const struct fence *fence, char reason[DST_MAX_REASON + 1])
{
	char since[TEXT_TIME], who[FENCE_WHO];

	if (fence->known.held)
		snprintf(reason, DST_MAX_REASON + 1, "fenced: %.300s took it over at %s",
			 holder_who(fence, who), text_time(fence->known.held_since, since));
	else
		snprintf(reason, DST_MAX_REASON + 1,
			 "fenced: somebody else held it meanwhile, or the server has lost its "
			 "state");
	return DST_ESTALE;
}

static uint16_t refuse_busy(const struct export *export, char reason[DST_MAX_REASON + 1])
{
	const struct fence *fence = &export->fence;
	char since[TEXT_TIME], who[FENCE_WHO], gone[48] = "";

	if (fence->claim != FENCE_NONE) {
		snprintf(reason, DST_MAX_REASON + 1, "%.300s is just taking it over",
			 fence->claimer ? fence_who(fence->claimer, who) : "another client");
		return DST_EBUSY;
	}
	if (!fence->known.held) {
		snprintf(reason, DST_MAX_REASON + 1,
			 "nobody holds it, but its epoch is not the one to be taken over");
		return DST_EBUSY;
	}
	if (!holder_is_here(fence))
		snprintf(gone, sizeof(gone), "; gone, so free in %llu s",
			 (unsigned long long)((lease_left(export) + CLOCK_SEC - 1) / CLOCK_SEC));
	snprintf(reason, DST_MAX_REASON + 1, "held by %.300s since %s%s, or attach with takeover",
		 holder_who(fence, who), text_time(fence->known.held_since, since), gone);
	return DST_EBUSY;
}

uint16_t fence_judge(const struct export *export, const struct wire_attrs *hello, bool *claim,
		     char reason[DST_MAX_REASON + 1])
{
	const struct fence *fence = &export->fence;
	bool holder = holds(fence, hello->session);
	bool takeover = wire_has(hello, DST_ATTR_TAKEOVER);

	*claim = false;
	if (wire_has(hello, DST_ATTR_EPOCH) &&
	    (!holder || !wire_epoch_equal(&hello->epoch, &fence->known.epoch)))
		return refuse_stale(fence, reason);
	if (takeover && !wire_epoch_equal(&hello->takeover, &fence->known.epoch))
		return refuse_busy(export, reason);
	if (fence->claim != FENCE_NONE) {
		if (fence->claimer && !memcmp(fence->claimer->id, hello->session, DST_ID_SIZE))
			return DST_OK; /* this lane waits too */
		return refuse_busy(export, reason);
	}
	if (holder)
		return DST_OK;
	*claim = takeover || fence_is_free(export);
	return *claim ? DST_OK : refuse_busy(export, reason);
}

enum fence_standing fence_standing(const struct session *session)
{
	const struct fence *fence = &session->export->fence;

	return fence->holder == session    ? FENCE_HOLDER
	       : fence->claimer == session ? FENCE_CLAIMER
					   : FENCE_OUTSIDER;
}

bool fence_is_replacing(const struct session *session)
{
	const struct fence *fence = &session->export->fence;

	return fence->claim != FENCE_NONE && fence->holder == session;
}

/* ---- storing ---- */

/* What is in force is to be stored, by and by. */
static void store(struct export *export)
{
	struct fence *fence = &export->fence;

	fence->store_again = true;
	if (fence->storing)
		return;
	fence->storing = true;
	export->refs++;
	loop_post(export->server->workers[0]->loop, &fence->store_work);
}

/* The claim is over: its lanes learn how it ended, and whoever is not needed any more goes. */
static void end_claim(struct export *export, struct session *dropped)
{
	struct fence *fence = &export->fence;
	struct session *claimer = fence->claimer;

	set_claim(export, FENCE_NONE);
	fence->claimer = NULL;
	if (claimer)
		session_poke(claimer, LANE_POKE_GRANTED);
	if (dropped)
		session_drop_if_left(dropped);
}

/* NULL: it isn't here. */
static void set_holder(struct fence *fence, struct session *session)
{
	fence->holder = session;
	snprintf(fence->holder_peer, sizeof(fence->holder_peer), "%s",
		 session ? session->peer : "");
}

/* The store of a claim is over. */
static void conclude(struct export *export, int error)
{
	struct fence *fence = &export->fence;
	struct session *old = fence->holder;
	char who[FENCE_WHO];

	if (error) {
		log_error("export %s: nobody new may write to it, for that can't be stored: %s",
			  export->name, strerror(error));
		if (fence->claimer)
			fence->claimer->claim_error = error;
		end_claim(export, fence->claimer);
		return;
	}
	assert(!holder_is_here(fence));
	fence->takeovers += fence->known.held;
	fence->known = fence->next;
	set_holder(fence, fence->claimer);
	fence->gone_since = clock_now(); /* counts if it is */
	log_limited(&export->claim_limit, LOG_LEVEL_INFO, "export %s: held by %s, epoch %llu",
		    export->name, holder_who(fence, who),
		    (unsigned long long)fence->known.epoch.counter);
	end_claim(export, old);
}

static struct export *export_of(struct offload_job *job)
{
	return (struct export *)((char *)job - offsetof(struct export, fence.store_job));
}

static void run_store(struct offload_job *job)
{
	struct export *export = export_of(job);
	struct server *server = export->server;
	struct fence *fence = &export->fence;

	pthread_mutex_lock(&server->lock);
	while (fence->store_again) {
		bool claim = fence->claim == FENCE_STORING;
		struct state_export value = claim ? fence->next : fence->known;
		int error;

		fence->store_again = false;
		pthread_mutex_unlock(&server->lock);
		error = state_export_store(server->state, export->name, export->path, &value);
		pthread_mutex_lock(&server->lock);
		if (claim)
			conclude(export, error);
		else if (error)
			log_warn("export %s: can't store that nobody holds it any more: %s",
				 export->name, strerror(error));
	}
	fence->storing = false;
	catalog_unref(server, export);
	catalog_end_chore(server);
	pthread_mutex_unlock(&server->lock);
}

static void begin_store(void *arg)
{
	struct export *export = arg;

	catalog_begin_chore(export->server, &export->fence.store_job, run_store);
}

/* ---- claims ---- */

/* Flushes, as soon as nobody else's I/O can come any more. */
static void go_on(struct export *export)
{
	struct fence *fence = &export->fence;

	if (fence->claim != FENCE_DRAINING || holder_is_here(fence) || fence->flushing)
		return;
	fence->flushing = true;
	export->refs++;
	loop_post(export->server->workers[0]->loop, &fence->flush_work);
}

static void flush_done(struct backend_op *op, int error)
{
	struct export *export =
		(struct export *)((char *)op - offsetof(struct export, fence.flush));
	struct server *server = export->server;
	struct fence *fence = &export->fence;

	if (error) {
		log_error("export %s: the flush for its new holder failed: %s", export->name,
			  strerror(error));
		export_sync_failed(export, true, fence->instances);
	}
	pthread_mutex_lock(&server->lock);
	fence->flushing = false;
	if (fence->claim == FENCE_FLUSHING) {
		fence->next = fence->known;
		fence->next.epoch.counter++;
		random_bytes(fence->next.epoch.uuid, DST_ID_SIZE);
		fence->next.held = true;
		memcpy(fence->next.holder, fence->claimer->id, DST_ID_SIZE);
		snprintf(fence->next.holder_name, sizeof(fence->next.holder_name), "%s",
			 fence->claimer->client);
		fence->next.held_since = clock_wall_sec();
		set_claim(export, FENCE_STORING);
		store(export);
	} else {
		go_on(export); /* another claim has waited for this one's flush to be over */
	}
	catalog_unref(server, export);
	pthread_mutex_unlock(&server->lock);
}

static void begin_flush(void *arg)
{
	struct export *export = arg;
	struct server *server = export->server;
	struct fence *fence = &export->fence;
	bool wanted;

	pthread_mutex_lock(&server->lock);
	/* The claim may be another by now, and the old holder back. */
	wanted = fence->claim == FENCE_DRAINING && !holder_is_here(fence);
	if (wanted) {
		set_claim(export, FENCE_FLUSHING);
		fence->instances = export_instances(export);
	} else {
		fence->flushing = false;
		catalog_unref(server, export);
	}
	pthread_mutex_unlock(&server->lock);
	if (!wanted)
		return;
	fence->flush = (struct backend_op){
		.type = BACKEND_FLUSH, .loop = server->workers[0]->loop, .done = flush_done};
	backend_submit(export->backend, &fence->flush);
}

static void begin_claim(struct session *session)
{
	struct export *export = session->export;
	struct fence *fence = &export->fence;
	char old[FENCE_WHO], new[FENCE_WHO];

	assert(fence->claim == FENCE_NONE && fence->holder != session);
	if (fence->known.held)
		log_limited(&export->claim_limit, LOG_LEVEL_WARN,
			    "export %s: %s takes it over from %s", export->name,
			    fence_who(session, new), holder_who(fence, old));
	fence->claimer = session;
	session->claim_error = 0;
	set_claim(export, FENCE_DRAINING);
	if (fence->holder)
		session_poke(fence->holder, LANE_POKE_FENCED);
	go_on(export);
}

void fence_enter(struct session *session, bool claim)
{
	struct fence *fence = &session->export->fence;

	if (claim)
		begin_claim(session);
	else if (fence->claim == FENCE_NONE)
		set_holder(fence,
			   session); /* back again, perhaps for the first time since the start */
}

/* The old holder, if it comes back, goes on as if nothing had been. */
static void abandon(struct export *export)
{
	log_limited(&export->claim_limit, LOG_LEVEL_INFO,
		    "export %s: its new holder is gone before it was let in", export->name);
	set_claim(export, FENCE_NONE);
	export->fence.claimer = NULL;
}

void fence_left(struct session *session, bool closed)
{
	struct export *export = session->export;
	struct fence *fence = &export->fence;

	if (fence->claimer == session && fence->claim != FENCE_STORING)
		abandon(export);
	if (fence->holder != session)
		return;
	fence->gone_since = clock_now();
	if (closed) {
		fence->holder = NULL;
		fence->known.held = false;
		store(export);
	}
	go_on(export);
}

void fence_forget(struct session *session)
{
	struct fence *fence = &session->export->fence;

	if (fence->holder == session)
		fence->holder = NULL;
	if (fence->claimer == session)
		fence->claimer = NULL;
}

void fence_init(struct export *export, const struct state_export *known)
{
	export->fence = (struct fence){
		.known = *known,
		.flush_work = {.callback = begin_flush, .arg = export},
		.store_work = {.callback = begin_store, .arg = export},
	};
}

void fence_serve(struct export *export)
{
	export->fence.gone_since = clock_now();
}
