/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map.c - see map.h */
#include "dstfs/map.h"

#include "common/log.h"
#include "dstfs/split.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct map *from_base(struct target *target)
{
	return (struct map *)target; /* base is the first member */
}

/* The higher, the worse for the whole. A node that was never there hides the size. */
static unsigned badness(enum target_state state)
{
	static const unsigned rank[] = {
		[TARGET_READY] = 0,   [TARGET_AWAY] = 1,   [TARGET_CONNECTING] = 2,
		[TARGET_REFUSED] = 3, [TARGET_FENCED] = 4, [TARGET_STOPPED] = 5,
	};

	return rank[state];
}

/* The children that matter: of those that are to be added, none does yet. */
static unsigned members(const struct map *map)
{
	return map->laid ? map->laid : map->count;
}

/* The one that is worst off, the first of equals. */
static struct map_child *worst_child(const struct map *map)
{
	struct map_child *worst = &map->children[0];

	for (unsigned i = 1; i < members(map); i++)
		if (badness(map->children[i].target->state) > badness(worst->target->state))
			worst = &map->children[i];
	return worst;
}

static bool all_heard(const struct map *map)
{
	for (unsigned i = 0; i < members(map); i++)
		if (!map->children[i].heard && map->children[i].target->state != TARGET_READY)
			return false;
	return true;
}

void map_complain(struct map *map, const char *format, ...)
{
	va_list list;

	if (*map->complaint)
		return;
	va_start(list, format);
	vsnprintf(map->complaint, sizeof(map->complaint), format, list);
	va_end(list);
}

/* With the lock held. */
static void look(struct map *map)
{
	char before[sizeof(map->complaint)];
	enum target_state state;
	bool writable = true;
	unsigned patiences = 0;

	snprintf(before, sizeof(before), "%s", map->complaint);
	*map->complaint = '\0';
	map->base.size = map->ops->measure(map);
	if (*map->complaint && strcmp(before, map->complaint) != 0)
		log_error("volume %s: %s", map->volume, map->complaint);
	for (unsigned i = 0; i < members(map); i++)
		writable &= map->children[i].target->writable;
	for (unsigned i = 0; i < map->count; i++)
		if (map->children[i].target->patiences > patiences)
			patiences = map->children[i].target->patiences;
	map->base.patiences = patiences;
	map->base.writable = writable;
	state = worst_child(map)->target->state;
	if (*map->complaint && badness(state) < badness(TARGET_REFUSED))
		state = TARGET_REFUSED;
	map->base.state = state;
}

static void update(struct map *map)
{
	bool tell;

	pthread_mutex_lock(&map->lock);
	if (map->started)
		look(map);
	tell = map->started && all_heard(map);
	pthread_mutex_unlock(&map->lock);
	if (tell)
		map->base.changed(map->base.changed_arg);
}

void map_look(struct map *map)
{
	pthread_mutex_lock(&map->lock);
	if (map->started)
		look(map);
	pthread_mutex_unlock(&map->lock);
}

/* ---- children ---- */

struct map_child *map_next_child(struct target *target, const char *name)
{
	struct map *map = from_base(target);
	struct map_child *child;

	if (map->count == map->capacity)
		return NULL;
	child = &map->children[map->count];
	child->map = map;
	child->heard = false;
	snprintf(child->name, sizeof(child->name), "%s", name);
	return child;
}

void map_child_changed(void *arg)
{
	struct map_child *child = arg;

	child->heard = true;
	update(child->map);
}

void map_join(struct map_child *child, struct target *target)
{
	struct map *map = child->map;

	assert(child == &map->children[map->count]);
	pthread_mutex_lock(&map->lock);
	child->target = target;
	map->count++;
	pthread_mutex_unlock(&map->lock);
	update(map);
}

unsigned map_count(struct target *target)
{
	return from_base(target)->count;
}

void map_start(struct target *target)
{
	struct map *map = from_base(target);

	pthread_mutex_lock(&map->lock);
	map->started = true;
	pthread_mutex_unlock(&map->lock);
	update(map);
}

bool map_sizes_known(struct map *map, uint64_t least)
{
	for (unsigned i = 0; i < map->count; i++) {
		uint64_t size = map->children[i].target->size;

		if (size && size < least)
			map_complain(map,
				     "%s has %llu bytes, too few for a %s map; %llu are the least",
				     map->children[i].name, (unsigned long long)size,
				     map->ops->name, (unsigned long long)least);
		if (size < least)
			return false;
	}
	return true;
}

/* ---- the target ---- */

static void map_submit(struct target *target, struct request *request)
{
	struct map *map = from_base(target);

	if (map->base.state == TARGET_FENCED)
		request->done(request, EIO);
	else
		split_submit(map->split, request);
}

static void map_cancel(struct target *target, struct request *request, int error)
{
	split_cancel(from_base(target)->split, request, error);
}

/* Never asks a child with the lock held: it may be telling us something, with its own. */
static void map_reason(struct target *target, char *text, size_t size)
{
	struct map *map = from_base(target);
	struct map_child *worst;
	char reason[MAP_REASON_MAX];

	pthread_mutex_lock(&map->lock);
	worst = worst_child(map);
	snprintf(text, size, "%s", map->complaint);
	pthread_mutex_unlock(&map->lock);
	if (*text || worst->target->state == TARGET_READY)
		return;
	worst->target->ops->reason(worst->target, reason, sizeof(reason));
	snprintf(text, size, "%s: %s", worst->name, *reason ? reason : "no answer so far");
}

static json_t *map_status(struct target *target)
{
	struct map *map = from_base(target);
	json_t *nodes = json_array(), *status;
	char reason[MAP_REASON_MAX];
	unsigned count = map->count;

	for (unsigned i = 0; i < count; i++) {
		struct target *child = map->children[i].target;
		json_t *node = child->ops->status(child);

		json_object_set_new(node, "name", json_string(map->children[i].name));
		json_array_append_new(nodes, node);
	}
	map_reason(target, reason, sizeof(reason));
	status = json_pack("{s:s, s:s, s:s, s:I, s:b, s:o}", "map", map->ops->name, "state",
			   target_state_name(map->base.state), "reason", reason, "size",
			   (json_int_t)map->base.size, "writable", (int)map->base.writable, "nodes",
			   nodes);
	if (map->chunk)
		json_object_set_new(status, "chunk", json_integer((json_int_t)map->chunk));
	return status;
}

/* Goes to all: those that have nothing to come back from say so. */
static int map_reattach(struct target *target, bool takeover)
{
	struct map *map = from_base(target);
	int result = EINVAL;

	for (unsigned i = 0; i < map->count; i++) {
		struct target *child = map->children[i].target;

		if (child->ops->reattach && !child->ops->reattach(child, takeover))
			result = 0;
	}
	return result;
}

/* Goes to all; "parts" are the answers of those that have done it. Of the reasons the first counts. */
static json_t *map_command(struct target *target, const char *command, const json_t *request,
			   const struct reason *reason)
{
	struct map *map = from_base(target);
	json_t *parts = json_array();
	char text[512];

	*reason->text = '\0';
	for (unsigned i = 0; i < map->count; i++) {
		struct target *child = map->children[i].target;
		json_t *answer = NULL;

		*text = '\0';
		if (child->ops->command)
			answer = child->ops->command(child, command, request,
						     &(struct reason){text, sizeof(text)});
		if (answer)
			json_array_append_new(parts, answer);
		else if (*text && !*reason->text)
			text_refuse(reason, "%s", text);
	}
	if (json_array_size(parts))
		return json_pack("{s:o}", "parts", parts);
	json_decref(parts);
	return NULL;
}

static uint64_t map_losses(struct target *target)
{
	struct map *map = from_base(target);
	uint64_t losses = 0;

	for (unsigned i = 0; i < map->count; i++)
		losses += target_losses(map->children[i].target);
	return losses;
}

static void on_child_detached(void *arg)
{
	struct map *map = arg;

	if (!--map->ending.pending)
		map->ending.done(map->ending.arg);
}

static void map_detach(struct target *target, void (*done)(void *arg), void *arg)
{
	struct map *map = from_base(target);

	map->ending = (struct map_ending){.pending = 1, .done = done, .arg = arg};
	for (unsigned i = 0; i < map->count; i++) {
		struct target *child = map->children[i].target;

		if (!child->ops->detach)
			continue;
		map->ending.pending++;
		child->ops->detach(child, on_child_detached, map);
	}
	on_child_detached(map);
}

static bool map_destroy(struct target *target)
{
	struct map *map = from_base(target);
	bool gone = true;

	map->base.state = TARGET_STOPPED;
	for (unsigned i = 0; i < map->count; i++)
		gone &= target_destroy(&map->children[i].target);
	if (!gone)
		return false;
	split_free(&map->split);
	pthread_mutex_destroy(&map->lock);
	free(map->children);
	free(map->volume);
	free(map);
	return true;
}

static const struct target_ops target_ops = {
	.submit = map_submit,
	.cancel = map_cancel,
	.status = map_status,
	.reattach = map_reattach,
	.command = map_command,
	.reason = map_reason,
	.losses = map_losses,
	.detach = map_detach,
	.destroy = map_destroy,
};

struct target *map_new(const struct map_ops *ops, const struct map_setup *setup)
{
	struct map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->base.ops = &target_ops;
	map->base.policy = setup->policy;
	map->base.state = TARGET_CONNECTING;
	map->base.changed = setup->changed;
	map->base.changed_arg = setup->changed_arg;
	map->ops = ops;
	map->height = setup->height;
	map->capacity = setup->capacity;
	map->chunk = setup->chunk;
	pthread_mutex_init(&map->lock, NULL);
	map->volume = strdup(setup->volume);
	map->children = calloc(setup->capacity, sizeof(*map->children));
	map->split = split_new(map, setup->workers, setup->worker_count);
	if (!map->volume || !map->children || !map->split) {
		map_destroy(&map->base);
		return NULL;
	}
	return &map->base;
}
