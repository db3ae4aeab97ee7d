/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offline.h - the nodes of a mirror that isn't mounted, opened by dstctl itself, and requests to them
 * one after the other: each call returns when it is done. One mirror at a time.
 */
#ifndef DSTCTL_OFFLINE_H
#define DSTCTL_OFFLINE_H

#include "dstctl/command.h"
#include "dstfs/mirror.h"
#include "dstfs/options.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#define OFFLINE_WINDOW DST_MAX_PAYLOAD /* bytes that are compared and copied at a time */

struct offline_part {
	char name[MIRROR_NAME_MAX + 1];
	struct target *target; /* NULL: it could not be opened */
	char reason[512]; /* why it isn't ready; "" if it is */
};

struct offline {
	struct dstfs_options options;
	const struct volume_config *volume;
	struct worker worker;
	struct target_policy policy;
	char client[DST_MAX_CLIENT_NAME + 1];
	struct loop_timer timer;
	bool timed_out;
	unsigned pending; /* requests */
	const struct map_config *mirror; /* whose parts these are */
	struct offline_part parts[MIRROR_MAX_NODES];
	unsigned count;
};

/*
 * Reads the configuration (NULL: the conventional file) and finds the volume. On an error stderr tells,
 * and there is nothing to end.
 */
enum exit_status offline_begin(struct offline *o, const char *config, const char *volume,
			       bool read_only);
void offline_end(struct offline *o);

/* The next mirror of the volume's tree, inner ones first; NULL: that was all. */
const struct map_config *offline_next(const struct offline *o, const struct map_config *mirror);

/* Opens the nodes of a mirror, and waits a while for those that don't answer at once. */
void offline_open(struct offline *o, const struct map_config *mirror);
void offline_close(struct offline *o);
bool offline_ready(const struct offline *o, unsigned part);

/* 0 or an errno. */
int offline_read(struct offline *o, unsigned part, uint64_t offset, void *into, size_t size);
int offline_write(struct offline *o, unsigned part, uint64_t offset, const void *data,
		  size_t size); /* durable */
int offline_flush(struct offline *o, unsigned part);

/*
 * Compares the first `size` bytes of those parts (a mask, with `first` in it) by HASH. differs() is told each
 * window (at most OFFLINE_WINDOW bytes) in which some are not like `first`, and which; what it
 * returns ends it, unless it is 0. 0, that, or the errno of a part that can't be read: *failed.
 */
int offline_compare(struct offline *o, unsigned parts, unsigned first, uint64_t size,
		    int (*differs)(void *arg, struct range range, unsigned others), void *arg,
		    unsigned *failed);

#endif
