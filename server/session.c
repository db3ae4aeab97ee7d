/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session.c - see session.h */
#include "server/session.h"

#include "common/clock.h"
#include "server/export.h"
#include "server/lane.h"
#include "server/record.h"
#include "server/server.h"

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

static void drop_if_empty(struct server *server, struct session *session)
{
	struct session **link = bucket(server, session->id);

	if (session->connections)
		return;
	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	catalog_unref(server, session->export);
	for (unsigned i = 0; i < DST_MAX_LANES; i++)
		record_table_free(&session->slots[i].record);
	free(session);
}

/* The lane becomes the slot's owner, or waits until the one that it replaces is through. */
static bool take_slot(struct session_slot *slot, struct lane *lane)
{
	if (!slot->owner) {
		slot->owner = lane;
		return false;
	}
	lane_poke(slot->owner, LANE_POKE_REPLACED);
	if (slot->waiter) /* it detaches by itself, and finds that the place is not its own */
		lane_poke(slot->waiter, LANE_POKE_REPLACED);
	slot->waiter = lane;
	return true;
}

static uint16_t refuse(uint16_t status, char reason[DST_MAX_REASON + 1], const char *text)
{
	snprintf(reason, DST_MAX_REASON + 1, "%s", text);
	return status;
}

static uint16_t attach(struct server *server, struct lane *lane, const struct wire_attrs *hello,
		       bool *wait, char reason[DST_MAX_REASON + 1])
{
	struct export *export = catalog_find(server, hello->export_name);
	struct session *session;
	uint32_t granted;

	if (!export) {
		snprintf(reason, DST_MAX_REASON + 1, "no export is named \"%s\"",
			 hello->export_name);
		return DST_EUNKNOWN_EXPORT;
	}
	granted = export_permissions(export, &lane->peer.who, hello->permissions);
	if (!granted) {
		snprintf(reason, DST_MAX_REASON + 1, "the rules of \"%s\" do not admit %s",
			 export->name, lane->peer.text);
		return DST_EDENIED;
	}
	session = find(server, hello->session);
	if (session && session->ended)
		return refuse(DST_ESHUTDOWN, reason, "the session is being ended by the server");
	if (session && session->export != export)
		return refuse(DST_EINVAL, reason, "the session belongs to another export");
	if (!session)
		session = make(server, export, hello);
	if (!session)
		return refuse(DST_ENOMEM, reason, "the server is out of memory");
	session->connections++;
	lane->session = session;
	lane->export = export;
	lane->index = hello->lane;
	lane->lanes = hello->lanes;
	lane->slot = &session->slots[hello->lane];
	lane->wanted = hello->permissions;
	lane->permissions = granted;
	*wait = take_slot(lane->slot, lane);
	return DST_OK;
}

uint16_t session_attach(struct server *server, struct lane *lane, const struct wire_attrs *hello,
			bool *wait, char reason[DST_MAX_REASON + 1])
{
	uint16_t status;

	pthread_mutex_lock(&server->lock);
	status = attach(server, lane, hello, wait, reason);
	pthread_mutex_unlock(&server->lock);
	return status;
}

void session_detach(struct server *server, struct lane *lane)
{
	struct session_slot *slot = lane->slot;

	pthread_mutex_lock(&server->lock);
	if (slot->owner == lane) {
		slot->owner = slot->waiter;
		slot->waiter = NULL;
		if (slot->owner)
			lane_poke(slot->owner, LANE_POKE_GRANTED);
	} else if (slot->waiter == lane) {
		slot->waiter = NULL;
	}
	lane->session->connections--;
	drop_if_empty(server, lane->session);
	pthread_mutex_unlock(&server->lock);
	lane->session = NULL;
	lane->slot = NULL;
	lane->export = NULL;
}

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

/* Calls fn for the connections of all sessions of `export` (NULL: of any). Under the lock. */
static void each_lane(struct server *server, const struct export *export,
		      void (*fn)(struct lane *lane))
{
	for (unsigned b = 0; b < SERVER_BUCKETS; b++) {
		for (struct session *s = server->sessions[b]; s; s = s->next) {
			if (export && s->export != export)
				continue;
			for (unsigned i = 0; i < DST_MAX_LANES; i++) {
				if (s->slots[i].owner)
					fn(s->slots[i].owner);
				if (s->slots[i].waiter)
					fn(s->slots[i].waiter);
			}
		}
	}
}

static void end_lane(struct lane *lane)
{
	lane->session->ended = DST_ESHUTDOWN;
	lane_poke(lane, LANE_POKE_REMOVED);
}

void session_end_all(struct server *server, struct export *export)
{
	each_lane(server, export, end_lane);
}

static void recheck_lane(struct lane *lane)
{
	uint32_t granted;

	if (lane->session->ended)
		return;
	granted = export_permissions(lane->export, &lane->peer.who, lane->wanted);
	lane->permissions = granted;
	lane_poke(lane, granted ? LANE_POKE_NOTICE : LANE_POKE_REVOKED);
}

void session_recheck_all(struct server *server, const struct export *export)
{
	pthread_mutex_lock(&server->lock);
	each_lane(server, export, recheck_lane);
	pthread_mutex_unlock(&server->lock);
}

static void tell_lane(struct lane *lane)
{
	lane_poke(lane, LANE_POKE_NOTICE);
}

void session_tell_all(struct server *server, const struct export *export)
{
	pthread_mutex_lock(&server->lock);
	each_lane(server, export, tell_lane);
	pthread_mutex_unlock(&server->lock);
}
