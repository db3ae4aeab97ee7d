/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c - see session.h */
#include "server/session.h"

#include "common/clock.h"
#include "server/export.h"
#include "server/lane.h"
#include "server/record.h"
#include "server/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids are random, so their first bytes spread well; who sends others slows down only new HELLOs. */
static struct session **bucket(struct server *server, const uint8_t id[DST_ID_SIZE])
{
	uint32_t key;

	memcpy(&key, id, sizeof(key));
	return &server->sessions[key % SERVER_BUCKETS];
}

static struct session *find(struct server *server, const uint8_t id[DST_ID_SIZE])
{
	for (struct session *s = *bucket(server, id); s; s = s->next)
		if (!memcmp(s->id, id, DST_ID_SIZE))
			return s;
	return NULL;
}

static struct session *make(struct server *server, struct export *export,
			    const struct wire_attrs *hello)
{
	struct session *session = calloc(1, sizeof(*session)), **link;

	if (!session)
		return NULL;
	memcpy(session->id, hello->session, DST_ID_SIZE);
	snprintf(session->client, sizeof(session->client), "%s",
		 wire_has(hello, DST_ATTR_CLIENT) ? hello->client : "unnamed client");
	session->since = clock_now();
	session->export = export;
	export->refs++;
	link = bucket(server, session->id);
	session->next = *link;
	*link = session;
	return session;
}

/* ---- without connections ---- */

static void leave_detached(struct server *server, struct session *session)
{
	if (!session->detached)
		return;
	*(session->older ? &session->older->newer : &server->detached_oldest) = session->newer;
	*(session->newer ? &session->newer->older : &server->detached_newest) = session->older;
	session->older = session->newer = NULL;
	session->detached = false;
	server->detached_count--;
	server->detached_records -= session->records;
}

static void drop(struct server *server, struct session *session)
{
	struct session **link = bucket(server, session->id);

	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	leave_detached(server, session);
	fence_forget(session);
	catalog_unref(server, session->export);
	for (unsigned i = 0; i < DST_MAX_LANES; i++) {
		if (session->slots[i].record)
			atomic_fetch_sub(&server->records, 1);
		record_table_free(&session->slots[i].record);
	}
	free(session);
}

void session_drop_if_left(struct session *session)
{
	if (!session->connections)
		drop(session->export->server, session);
}

static void detach(struct server *server, struct session *session)
{
	session->older = server->detached_newest;
	*(session->older ? &session->older->newer : &server->detached_oldest) = session;
	server->detached_newest = session;
	session->detached = true;
	session->records = 0;
	for (unsigned i = 0; i < DST_MAX_LANES; i++)
		session->records += session->slots[i].record != NULL;
	server->detached_count++;
	server->detached_records += session->records;
	while (server->detached_count > SESSION_MAX_DETACHED ||
	       server->detached_records > SESSION_MAX_DETACHED_RECORDS)
		drop(server, server->detached_oldest);
}

/* Its last connection is gone: keeps it if that can make a difference. */
static void keep_or_drop(struct server *server, struct session *session, bool closed)
{
	session->gone_since = clock_now();
	fence_left(session, closed);
	if (session->ended)
		drop(server, session);
	else if (fence_standing(session) != FENCE_OUTSIDER)
		return; /* one for each export at most, so there is no need to count them */
	else if (closed || !session->writes)
		drop(server, session);
	else
		detach(server, session);
}

/* Under the lock. */
static void expire(struct server *server)
{
	uint64_t now = clock_now();

	for (struct session *s = server->detached_oldest, *next; s; s = next) {
		next = s->newer;
		if (now - s->gone_since >= s->export->config->lease)
			drop(server, s);
	}
}

void session_expire(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	expire(server);
	pthread_mutex_unlock(&server->lock);
}

/* ---- attaching ---- */

/* The lane becomes the slot's owner, or waits until the one that it replaces is through. */
static void take_slot(struct session_slot *slot, struct lane *lane)
{
	if (!slot->owner) {
		slot->owner = lane;
		return;
	}
	lane_poke(slot->owner, LANE_POKE_REPLACED);
	if (slot->waiter) /* it detaches by itself, and finds that the place is not its own */
		lane_poke(slot->waiter, LANE_POKE_REPLACED);
	slot->waiter = lane;
}

__attribute__((format(printf, 3, 4))) static enum session_outcome
refuse(struct session_refusal *refusal, uint16_t status, const char *format, ...)
{
	va_list args;

	refusal->status = status;
	va_start(args, format);
	vsnprintf(refusal->reason, sizeof(refusal->reason), format, args);
	va_end(args);
	return SESSION_REFUSED;
}

/* The same, to one that wanted to write, whom the epoch tells more. */
static enum session_outcome add_epoch(struct session_refusal *refusal, const struct export *export)
{
	refusal->has_epoch = true;
	refusal->epoch = export->fence.known.epoch;
	return SESSION_REFUSED;
}

/* Where a lane that has its place, or waits for it, stands now. */
static enum session_outcome judge(struct lane *lane, struct session_refusal *refusal)
{
	const struct session *session = lane->session;

	if (lane->slot->owner != lane)
		return SESSION_WAITS;
	if (!lane->holds)
		return SESSION_GRANTED;
	switch (fence_standing(session)) {
	case FENCE_HOLDER:
		lane->has_epoch = true;
		lane->epoch = lane->export->fence.known.epoch;
		return SESSION_GRANTED;
	case FENCE_CLAIMER:
		return SESSION_WAITS;
	default:
		if (session->claim_error)
			refuse(refusal, DST_EIO,
			       "the server can't write its state folder, so nobody new may write: "
			       "%s",
			       strerror(session->claim_error));
		else
			refuse(refusal, DST_EBUSY, "another client has come first");
		return add_epoch(refusal, lane->export);
	}
}

enum session_outcome session_judge(struct server *server, struct lane *lane,
				   struct session_refusal *refusal)
{
	enum session_outcome outcome;

	*refusal = (struct session_refusal){.status = DST_OK};
	pthread_mutex_lock(&server->lock);
	outcome = judge(lane, refusal);
	pthread_mutex_unlock(&server->lock);
	return outcome;
}

/* The lane joins the session. */
static void enter(struct session *session, struct lane *lane, const struct wire_attrs *hello,
		  uint32_t granted)
{
	struct export *export = session->export;

	leave_detached(export->server, session);
	session->connections++;
	snprintf(session->peer, sizeof(session->peer), "%s", lane->peer.text);
	lane->session = session;
	lane->export = export;
	lane->index = hello->lane;
	lane->lanes = hello->lanes;
	lane->slot = &session->slots[hello->lane];
	lane->wanted = hello->permissions;
	lane->permissions = granted;
	lane->holds = granted & DST_PERM_WRITE && !export->shared;
	session->writes |= granted & DST_PERM_WRITE && export->shared;
	export->used = true;
	take_slot(lane->slot, lane);
}

static enum session_outcome attach(struct server *server, struct lane *lane,
				   const struct wire_attrs *hello, struct session_refusal *refusal)
{
	struct export *export = catalog_find(server, hello->export_name);
	struct session *session;
	uint32_t granted;
	bool claim = false;

	if (!export)
		return refuse(refusal, DST_EUNKNOWN_EXPORT, "no export is named \"%s\"",
			      hello->export_name);
	granted = export_permissions(export, &lane->peer.who, hello->permissions);
	if (!granted)
		return refuse(refusal, DST_EDENIED, "the rules of \"%s\" do not admit %s",
			      export->name, lane->peer.text);
	expire(server);
	session = find(server, hello->session);
	if (session && session->ended)
		return refuse(refusal, DST_ESHUTDOWN, "the session is being ended by the server");
	if (session && session->export != export)
		return refuse(refusal, DST_EINVAL, "the session belongs to another export");
	if (granted & DST_PERM_WRITE && !export->shared) {
		refusal->status = fence_judge(export, hello, &claim, refusal->reason);
		if (refusal->status)
			return add_epoch(refusal, export);
	} else if (session && fence_is_replacing(session)) {
		refuse(refusal, DST_EBUSY, "another client is taking the export over");
		return add_epoch(refusal, export);
	}
	if (!session)
		session = make(server, export, hello);
	if (!session)
		return refuse(refusal, DST_ENOMEM, "the server is out of memory");
	enter(session, lane, hello, granted);
	if (lane->holds)
		fence_enter(session, claim);
	return judge(lane, refusal);
}

enum session_outcome session_attach(struct server *server, struct lane *lane,
				    const struct wire_attrs *hello, struct session_refusal *refusal)
{
	enum session_outcome outcome;

	*refusal = (struct session_refusal){.status = DST_OK};
	pthread_mutex_lock(&server->lock);
	outcome = attach(server, lane, hello, refusal);
	pthread_mutex_unlock(&server->lock);
	return outcome;
}

void session_detach(struct server *server, struct lane *lane)
{
	struct session_slot *slot = lane->slot;
	struct session *session = lane->session;

	pthread_mutex_lock(&server->lock);
	if (slot->owner == lane) {
		slot->owner = slot->waiter;
		slot->waiter = NULL;
		if (slot->owner)
			lane_poke(slot->owner, LANE_POKE_GRANTED);
	} else if (slot->waiter == lane) {
		slot->waiter = NULL;
	}
	if (!--session->connections)
		keep_or_drop(server, session, lane->closed);
	pthread_mutex_unlock(&server->lock);
	lane->session = NULL;
	lane->slot = NULL;
	lane->export = NULL;
}

/* ---- requests ---- */

uint16_t session_admit(struct session *session, struct session_slot *slot,
		       const struct wire_header *header, uint32_t depth)
{
	uint64_t watermark = header->id - header->status;

	if (header->status > DST_LAG_FACTOR * depth || header->status > header->id ||
	    watermark < slot->watermark)
		return DST_EPROTO;
	slot->watermark = watermark;
	return atomic_load_explicit(&session->ended, memory_order_relaxed);
}

static bool reserve_record(struct server *server)
{
	unsigned most = server->options->max_clients + SESSION_SPARE_RECORDS;
	bool reserved = atomic_fetch_add(&server->records, 1) < most;

	if (reserved)
		return true;
	pthread_mutex_lock(&server->lock);
	while (atomic_load(&server->records) > most && server->detached_oldest)
		drop(server, server->detached_oldest);
	reserved = atomic_load(&server->records) <= most;
	pthread_mutex_unlock(&server->lock);
	if (!reserved)
		atomic_fetch_sub(&server->records, 1);
	return reserved;
}

struct record_table *session_record(struct session *session, struct session_slot *slot,
				    uint32_t depth)
{
	struct server *server = session->export->server;

	if (slot->record || !reserve_record(server))
		return slot->record;
	slot->record = record_table_new(depth);
	if (!slot->record)
		atomic_fetch_sub(&server->records, 1);
	return slot->record;
}

/* ---- all of them ---- */

/* Calls fn for the session's connections. */
static void each_connection(struct session *session, void (*fn)(struct lane *lane, unsigned arg),
			    unsigned arg)
{
	for (unsigned i = 0; i < DST_MAX_LANES; i++) {
		if (session->slots[i].owner)
			fn(session->slots[i].owner, arg);
		if (session->slots[i].waiter)
			fn(session->slots[i].waiter, arg);
	}
}

/* Calls fn for the connections of all sessions of `export` (NULL: of any). Under the lock. */
static void each_lane(struct server *server, const struct export *export,
		      void (*fn)(struct lane *lane, unsigned arg), unsigned arg)
{
	for (unsigned b = 0; b < SERVER_BUCKETS; b++)
		for (struct session *s = server->sessions[b]; s; s = s->next)
			if (!export || s->export == export)
				each_connection(s, fn, arg);
}

void session_poke(struct session *session, unsigned pokes)
{
	each_connection(session, lane_poke, pokes);
}

void session_end_all(struct server *server, struct export *export)
{
	for (unsigned b = 0; b < SERVER_BUCKETS; b++) {
		for (struct session *s = server->sessions[b], *next; s; s = next) {
			next = s->next;
			if (s->export != export)
				continue;
			s->ended = DST_ESHUTDOWN;
			session_poke(s, LANE_POKE_REMOVED);
			session_drop_if_left(s);
		}
	}
}

static void recheck_lane(struct lane *lane, unsigned arg)
{
	struct export *export = lane->export;
	uint32_t granted;

	if (lane->session->ended)
		return;
	granted = export_permissions(export, &lane->peer.who, lane->wanted);
	if (granted & DST_PERM_WRITE && !lane->holds && !export->shared) {
		/* To write it must hold the export, and so be attached anew. */
		if (fence_standing(lane->session) == FENCE_HOLDER) {
			lane->holds = true;
		} else if (fence_is_free(export)) {
			lane_poke(lane, LANE_POKE_ANEW);
			return;
		} else {
			granted &= ~DST_PERM_WRITE;
		}
	}
	lane->session->writes |= granted & DST_PERM_WRITE && export->shared;
	lane->permissions = granted;
	lane_poke(lane, granted ? LANE_POKE_NOTICE : LANE_POKE_REVOKED);
}

void session_recheck_all(struct server *server, const struct export *export)
{
	pthread_mutex_lock(&server->lock);
	each_lane(server, export, recheck_lane, 0);
	pthread_mutex_unlock(&server->lock);
}

void session_tell_all(struct server *server, const struct export *export)
{
	pthread_mutex_lock(&server->lock);
	each_lane(server, export, lane_poke, LANE_POKE_NOTICE);
	pthread_mutex_unlock(&server->lock);
}
