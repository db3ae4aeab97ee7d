/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.h - one mount: its workers, its volumes and their inodes. Volumes may be added while it
 * runs; none goes away before the mount does, so an inode is a volume's for good.
 */
#ifndef DSTFS_MOUNT_H
#define DSTFS_MOUNT_H

#include "dstfs/options.h"
#include "dstfs/volume.h"
#include "dstfs/worker.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOUNT_MAX_VOLUMES 4096u
#define MOUNT_ROOT_INODE 1u /* FUSE's */
#define MOUNT_FIRST_INODE 2u /* of the first volume; the others follow in order */

/* A volume and what only the mount knows of it. */
struct mount_volume {
	struct volume *volume;
	struct mount *mount;
	uint64_t inode;
	enum cache_mode cache;
	/* As given last, on worker 0; of these, what may change while it runs is in force. */
	struct volume_options options;
	char *layout; /* map_config_text() of its nodes; worker 0's */
	bool keep_cache; /* the page cache stays valid between opens */
	_Atomic uint64_t wait; /* nanoseconds that an open waits for an absent node */
	_Atomic int64_t mtime; /* seconds since 1970 */
	_Atomic bool settled; /* the first attempt to reach its node has ended, well or badly */
	_Atomic bool announced; /* `changed` work is posted */
	struct loop_work changed;
};

struct mount {
	const struct dstfs_options *options;
	struct worker *workers;
	unsigned worker_count;
	char client[DST_MAX_CLIENT_NAME + 1]; /* our name for servers: "host:/mnt/dst" */
	uint64_t started; /* clock_now() */
	struct mount_volume *volumes[MOUNT_MAX_VOLUMES];
	_Atomic unsigned volume_count;
	/* A volume's state or size has changed. Worker 0's thread. */
	void (*changed)(struct mount_volume *mv);
};

/* Creates the workers and volumes. 0, or an errno with the cause, one line, in reason. */
int mount_init(struct mount *mount, const struct dstfs_options *options,
	       void (*changed)(struct mount_volume *mv), char *reason, size_t size);

/* Puts in force what of the options may change while the volume runs. Worker 0's thread. */
void mount_volume_apply(struct mount_volume *mv, const struct volume_options *options);

/* Adds the volumes that aren't there yet and applies what may change in the others. Logs what it did, and what needs a new mount. Worker 0's thread. */
void mount_reload(struct mount *mount, const struct volume_config *volumes);

struct mount_volume *mount_find_inode(struct mount *mount, uint64_t inode); /* NULL: none */
struct mount_volume *mount_find_name(struct mount *mount, const char *name);

/* Have all volumes had their first answer or failure? */
bool mount_settled(struct mount *mount);

/* What status tells: a new object. */
json_t *mount_status(struct mount *mount);

/* Ends all volumes and workers. No operation may be left; only worker 0's loop may have run last. */
void mount_destroy(struct mount *mount);

#endif
