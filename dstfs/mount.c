/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount.c - see mount.h */
#include "dstfs/mount.h"

#include "common/clock.h"
#include "common/control.h"
#include "common/log.h"
#include "dstfs/mount_nodes.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run_changed(void *arg)
{
	struct mount_volume *mv = arg;

	mv->announced = false; /* before looking, so that a later change posts again */
	mv->mount->changed(mv);
}

/* A target's notice, from any worker's thread: handed to worker 0, once however many come. */
static void target_changed(void *arg)
{
	struct mount_volume *mv = arg;

	mv->settled = true;
	if (!atomic_exchange(&mv->announced, true))
		loop_post(mv->mount->workers[0].loop, &mv->changed);
}

void mount_volume_apply(struct mount_volume *mv, const struct volume_options *options)
{
	struct target_policy *policy = volume_policy(mv->volume);

	policy->timeout = options->timeout;
	policy->resends = options->resends;
	policy->reconnect = options->reconnect;
	policy->ping = options->ping;
	policy->ping_timeout = options->ping_timeout;
	policy->retain = options->retain;
	policy->resync_rate = options->resync_rate;
	volume_set_limits(mv->volume, options->max_inflight, options->max_inflight_bytes);
	mv->wait = options->wait;
	mv->options = *options;
}

static void volume_destroy(struct mount_volume **pointer)
{
	struct mount_volume *mv = *pointer;

	*pointer = NULL;
	if (!mv)
		return;
	volume_free(&mv->volume);
	free(mv->layout);
	free(mv);
}

static int add_volume(struct mount *mount, const struct volume_config *config, char *reason,
		      size_t size)
{
	const struct volume_options *options = &config->options;
	unsigned index = mount->volume_count;
	struct mount_volume *mv;
	struct assembly assembly;
	struct target *target;

	if (index == MOUNT_MAX_VOLUMES) {
		snprintf(reason, size, "more than %u volumes", MOUNT_MAX_VOLUMES);
		return ENOSPC;
	}
	mv = calloc(1, sizeof(*mv));
	if (!mv)
		goto out_of_memory;
	mv->mount = mount;
	mv->inode = MOUNT_FIRST_INODE + index;
	mv->cache = options->cache;
	mv->keep_cache = !options->read_only && !options->shared;
	mv->mtime = clock_wall_sec();
	mv->changed = (struct loop_work){.callback = run_changed, .arg = mv};
	mv->volume = volume_new(config->name, mount->workers, mount->worker_count,
				options->max_inflight, options->max_inflight_bytes);
	mv->layout = map_config_text(config->tree, config->chunk);
	if (!mv->volume || !mv->layout)
		goto out_of_memory;
	mount_volume_apply(mv, options);
	volume_policy(mv->volume)->checksum = options->checksum;
	volume_policy(mv->volume)->read_only = options->read_only;
	volume_policy(mv->volume)->takeover = options->takeover;
	assembly = mount_assembly(mv, config, reason, size);
	target = assemble(&assembly, target_changed, mv);
	if (!target) {
		volume_destroy(&mv);
		return EIO;
	}
	volume_set_target(mv->volume, target);
	if (target->state == TARGET_READY)
		mv->settled = true;
	mount->volumes[index] = mv;
	mount->volume_count = index + 1; /* now others may see it */
	return 0;

out_of_memory:
	volume_destroy(&mv);
	snprintf(reason, size, "out of memory");
	return ENOMEM;
}

int mount_init(struct mount *mount, const struct dstfs_options *options,
	       void (*changed)(struct mount_volume *mv), char *reason, size_t size)
{
	char host[128] = "";
	int error = 0;

	*mount = (struct mount){.options = options, .changed = changed, .started = clock_now()};
	gethostname(host, sizeof(host) - 1);
	snprintf(mount->client, sizeof(mount->client), "%s:%s", host, options->mountpoint);
	mount->workers = calloc(options->workers, sizeof(*mount->workers));
	if (!mount->workers)
		error = ENOMEM;
	while (!error && mount->worker_count < options->workers) {
		error = worker_init(&mount->workers[mount->worker_count], mount->worker_count);
		if (!error)
			loop_set_busy_poll(mount->workers[mount->worker_count++].loop,
					   options->busy_poll);
	}
	if (error)
		snprintf(reason, size, "starting workers: %s", strerror(error));
	for (const struct volume_config *c = options->volumes; c && !error; c = c->next)
		error = add_volume(mount, c, reason, size);
	return error;
}

void mount_reload(struct mount *mount, const struct volume_config *volumes)
{
	unsigned before = mount->volume_count;
	char reason[512];

	for (const struct volume_config *c = volumes; c; c = c->next) {
		struct mount_volume *mv = mount_find_name(mount, c->name);

		if (mv) {
			mount_volume_apply(mv, &c->options);
			mount_reload_nodes(mv, c);
		} else if (add_volume(mount, c, reason, sizeof(reason)))
			log_error("volume %s was not added: %s", c->name, reason);
		else
			log_info("volume %s was added", c->name);
	}
	for (unsigned i = 0; i < before; i++) {
		const struct volume_config *c = volumes;

		while (c && strcmp(c->name, volume_name(mount->volumes[i]->volume)) != 0)
			c = c->next;
		if (!c)
			log_warn("volume %s is no longer configured; it stays until the next mount",
				 volume_name(mount->volumes[i]->volume));
	}
	log_info("configuration read again: times, limits and new volumes are in force; cache and "
		 "permissions of old volumes need a new mount");
}

struct mount_volume *mount_find_inode(struct mount *mount, uint64_t inode)
{
	if (inode < MOUNT_FIRST_INODE || inode - MOUNT_FIRST_INODE >= mount->volume_count)
		return NULL;
	return mount->volumes[inode - MOUNT_FIRST_INODE];
}

struct mount_volume *mount_find_name(struct mount *mount, const char *name)
{
	for (unsigned i = 0; i < mount->volume_count; i++)
		if (strcmp(volume_name(mount->volumes[i]->volume), name) == 0)
			return mount->volumes[i];
	return NULL;
}

bool mount_settled(struct mount *mount)
{
	for (unsigned i = 0; i < mount->volume_count; i++)
		if (!mount->volumes[i]->settled)
			return false;
	return true;
}

/* What may change while it runs, as it is now. */
static json_t *options_status(const struct volume_options *o)
{
	bool forever = o->resends == OPTIONS_FOREVER;

	return json_pack(
		"{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:i, s:I}", "timeout_ms",
		(json_int_t)(o->timeout / CLOCK_MS), "resends",
		forever ? json_string("forever") : json_integer(o->resends), "reconnect_ms",
		(json_int_t)(o->reconnect / CLOCK_MS), "ping_ms", (json_int_t)(o->ping / CLOCK_MS),
		"ping_timeout_ms", (json_int_t)(o->ping_timeout / CLOCK_MS), "wait_ms",
		(json_int_t)(o->wait / CLOCK_MS), "retain", (json_int_t)o->retain, "max_inflight",
		(int)o->max_inflight, "max_inflight_bytes", (json_int_t)o->max_inflight_bytes);
}

json_t *mount_status(struct mount *mount)
{
	json_t *volumes = json_array();

	for (unsigned i = 0; i < mount->volume_count; i++) {
		struct mount_volume *mv = mount->volumes[i];
		json_t *volume = volume_status(mv->volume);

		json_object_set_new(volume, "inode", json_integer((json_int_t)mv->inode));
		json_object_set_new(volume, "cache",
				    json_string(mv->cache == CACHE_NONE ? "none" : "auto"));
		json_object_set_new(volume, "options", options_status(&mv->options));
		json_array_append_new(volumes, volume);
	}
	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:I, s:i, s:o}", "kind", "dstfs", "version",
			 DST_VERSION_TEXT, "pid", (int)getpid(), "mountpoint",
			 control_string(mount->options->mountpoint), "source",
			 control_string(mount->options->source), "uptime_s",
			 (json_int_t)((clock_now() - mount->started) / CLOCK_SEC), "workers",
			 (int)mount->worker_count, "volumes", volumes);
}

static void ignore_change(struct mount_volume *mv)
{
}

void mount_destroy(struct mount *mount)
{
	bool stuck = false;

	mount->changed =
		ignore_change; /* a notice may still be posted; its loop runs it at its end */
	for (unsigned i = 0; i < mount->worker_count; i++)
		worker_join(&mount->workers[i]);
	for (unsigned i = 0; i < mount->worker_count; i++)
		loop_run_posted(mount->workers[i].loop); /* what a slow disk has finished by now */
	for (unsigned i = 0; i < mount->volume_count; i++)
		stuck |= !volume_free(&mount->volumes[i]->volume);
	if (stuck)
		return;
	for (unsigned i = 0; i < mount->worker_count; i++)
		worker_destroy(&mount->workers[i]);
	for (unsigned i = 0; i < mount->volume_count; i++)
		volume_destroy(&mount->volumes[i]);
	free(mount->workers);
}
