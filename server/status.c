/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status.c - see status.h
 *
 * Runs in the first worker's thread, under the server's lock: what it reads of lanes of other workers
 * is fixed while they are in a session's slot, or atomic.
 */
#include "server/status.h"

#include "common/clock.h"
#include "common/control.h"
#include "common/text.h"
#include "server/export.h"
#include "server/lane.h"
#include "server/listener.h"
#include "server/server.h"
#include "server/session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_ID 4 /* bytes of a session's id: the whole is a secret */

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *seconds_since(uint64_t then)
{
	return number((clock_now() - then) / CLOCK_SEC);
}

static json_t *show_id(const uint8_t id[DST_ID_SIZE], unsigned bytes)
{
	char text[2 * DST_ID_SIZE + 1];

	for (unsigned i = 0; i < bytes; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", id[i]);
	return json_string(text);
}

static json_t *show_lane(const struct lane *lane)
{
	json_t *out = json_object();

	json_object_set_new(out, "lane", number(lane->index));
	json_object_set_new(out, "peer", control_string(lane->peer.text));
	json_object_set_new(out, "inflight", number(atomic_load(&lane->inflight)));
	json_object_set_new(out, "messages_in", number(counter_get(&lane->messages_in)));
	json_object_set_new(out, "messages_out", number(counter_get(&lane->messages_out)));
	return out;
}

static json_t *show_session(const struct session *session)
{
	json_t *out = json_object(), *lanes = json_array();
	const struct lane *first = NULL;

	json_object_set_new(out, "id", show_id(session->id, SHOWN_ID));
	json_object_set_new(out, "client", control_string(session->client));
	for (unsigned i = 0; i < DST_MAX_LANES; i++) {
		const struct lane *lane = session->slots[i].owner;

		if (!lane)
			continue;
		if (!first)
			first = lane;
		json_array_append_new(lanes, show_lane(lane));
	}
	if (first) {
		json_object_set_new(out, "peer", control_string(first->peer.text));
		json_object_set_new(out, "permissions",
				    json_string(first->permissions & DST_PERM_WRITE ? "rw" : "ro"));
	}
	if (!session->connections)
		json_object_set_new(out, "gone_s", seconds_since(session->gone_since));
	json_object_set_new(out, "since_s", seconds_since(session->since));
	json_object_set_new(out, "lanes", lanes);
	return out;
}

static json_t *show_features(uint32_t features)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{DST_CAN_DISCARD, "discard"},
		{DST_CAN_UNMAP, "unmap"},
		{DST_CAN_EXTENTS, "extents"},
		{DST_CAN_COPY, "copy"},
	};
	json_t *out = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (features & names[i].bit)
			json_array_append_new(out, json_string(names[i].name));
	return out;
}

static json_t *show_counters(const struct export *export)
{
	struct backend_stats stats = {0};
	json_t *out = json_object();

	for (unsigned i = 0; i < EXPORT_COUNTERS; i++)
		json_object_set_new(out, export_counter_names[i], number(export_count(export, i)));
	export->backend->ops->stats(export->backend, &stats);
	json_object_set_new(out, "inline", number(stats.served_inline));
	json_object_set_new(out, "offloaded", number(stats.served_offloaded));
	return out;
}

/* Who may write, and since when; "holder" is null if nobody does. */
static void show_fence(const struct fence *fence, json_t *out)
{
	json_t *holder = fence->known.held ? json_object() : json_null();
	char since[TEXT_TIME];

	if (fence->known.held) {
		json_object_set_new(holder, "client", control_string(fence->known.holder_name));
		json_object_set_new(holder, "peer", control_string(fence->holder_peer));
		json_object_set_new(holder, "session", show_id(fence->known.holder, SHOWN_ID));
		json_object_set_new(holder, "since",
				    json_string(text_time(fence->known.held_since, since)));
		if (!fence->holder || !fence->holder->connections)
			json_object_set_new(holder, "gone_s", seconds_since(fence->gone_since));
	}
	json_object_set_new(out, "holder", holder);
	json_object_set_new(out, "epoch", number(fence->known.epoch.counter));
	json_object_set_new(out, "takeovers", number(fence->takeovers));
	json_object_set_new(out, "claimed", json_boolean(fence->claim != FENCE_NONE));
}

static json_t *show_export(struct server *server, const struct export *export)
{
	json_t *out = json_object(), *sessions = json_array();
	uint8_t instance[DST_ID_SIZE];

	export_instance(export, export_instances(export), instance);
	json_object_set_new(out, "name", control_string(export->name));
	json_object_set_new(out, "path", control_string(export->path));
	json_object_set_new(out, "uuid", show_id(export->uuid, DST_ID_SIZE));
	json_object_set_new(out, "instance", show_id(instance, SHOWN_ID));
	json_object_set_new(out, "shared", json_boolean(export->shared));
	if (!export->shared && !export->backend->info.read_only)
		show_fence(&export->fence, out);
	json_object_set_new(out, "size", number(export_size(export)));
	json_object_set_new(out, "read_only", json_boolean(export->backend->info.read_only));
	json_object_set_new(out, "device", json_boolean(export->backend->info.is_device));
	json_object_set_new(out, "features", show_features(export->backend->info.features));
	json_object_set_new(out, "counters", show_counters(export));
	for (unsigned b = 0; b < SERVER_BUCKETS; b++)
		for (const struct session *s = server->sessions[b]; s; s = s->next)
			if (s->export == export)
				json_array_append_new(sessions, show_session(s));
	json_object_set_new(out, "sessions", sessions);
	return out;
}

static json_t *show_server(struct server *server)
{
	json_t *out = json_object(), *listens = json_array(), *counters = json_object();
	json_t *exports = json_array();

	json_object_set_new(out, "kind", json_string("dstd"));
	json_object_set_new(out, "version", json_string(DST_VERSION_TEXT));
	json_object_set_new(out, "pid", number((uint64_t)getpid()));
	json_object_set_new(out, "uptime_s", seconds_since(server->started));
	json_object_set_new(out, "stopping", json_boolean(server->stopping));
	json_object_set_new(out, "workers", number(server->worker_count));
	for (const struct listener *l = server->listeners; l; l = l->next)
		json_array_append_new(listens, control_string(l->text));
	json_object_set_new(out, "listens", listens);
	json_object_set_new(out, "clients", number(atomic_load(&server->clients)));
	json_object_set_new(out, "detached_sessions", number(server->detached_count));
	json_object_set_new(counters, "accepted", number(counter_get(&server->accepted)));
	json_object_set_new(counters, "refused", number(atomic_load(&server->refused)));
	json_object_set_new(counters, "bad_headers", number(atomic_load(&server->bad_headers)));
	json_object_set_new(out, "counters", counters);
	for (const struct export *e = server->catalog.exports; e; e = e->next)
		json_array_append_new(exports, show_export(server, e));
	json_object_set_new(out, "exports", exports);
	return out;
}

json_t *status_command(void *arg, const char *command, const json_t *request, char *reason,
		       size_t reason_size)
{
	struct server *server = arg;
	json_t *out;

	if (strcmp(command, "status") != 0) {
		snprintf(reason, reason_size, "unknown command \"%s\"; this dstd knows: status",
			 command);
		return NULL;
	}
	pthread_mutex_lock(&server->lock);
	out = show_server(server);
	pthread_mutex_unlock(&server->lock);
	return out;
}
