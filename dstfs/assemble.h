/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assemble.h - from a volume's configuration to its tree of targets. */
#ifndef DSTFS_ASSEMBLE_H
#define DSTFS_ASSEMBLE_H

#include "dstfs/mirror_witness.h"
#include "dstfs/options.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#include <stddef.h>

struct assembly {
	const struct volume_config *config; /* for the call only; the rest outlives the targets */
	struct worker *workers;
	unsigned worker_count;
	const struct target_policy *policy;
	const char *client; /* our name for servers */
	char *reason; /* where the cause goes, one line, if it fails; for the call only */
	size_t reason_size;
};

/* From worker 0's thread; the others may run. NULL: it failed. */
struct target *assemble(const struct assembly *a, void (*changed)(void *arg), void *changed_arg);

/*
 * Adds to `map`, the outermost one, which is linear, what the configuration has more of it. Likewise from
 * worker 0's thread. 0, or EIO: nothing was added, unless memory ran out.
 */
int assemble_more(const struct assembly *a, struct target *map);

/*
 * Puts that child of the configuration's tree, which is a mirror, into `mirror`, as one more of its nodes.
 * Likewise from worker 0's thread. 0, or EIO: it could not be made.
 */
int assemble_mirror_node(const struct assembly *a, struct target *mirror,
			 const struct map_config *child);

/*
 * A part of the configuration's tree by itself, for work on a volume that isn't mounted. Like
 * assemble().
 */
struct target *assemble_part(const struct assembly *a, const struct map_config *part,
			     void (*changed)(void *arg), void *changed_arg);

/* The name that a mirror knows that child by; cut off where it is too long. */
void assemble_name(const struct map_config *child, char *text, size_t size);

/* The witness of a mirror of the volume; saves complete on the loop. NULL: out of memory. */
struct mirror_witness_store *assemble_witness(const struct volume_config *config,
					      const struct map_config *mirror, struct loop *loop);

#endif
