/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_create.h - a new mirror on nodes that hold data, or none, and no mirror yet. */
#ifndef DSTFS_MIRROR_CREATE_H
#define DSTFS_MIRROR_CREATE_H

#include "dstfs/target.h"

#include <stdbool.h>

struct mirror_create_options {
	/* The name of the node whose data counts; the others get it at the first start. NULL: the first. */
	const char *source;
	bool equal; /* all nodes hold the same data, and are in sync at once: nothing is compared */
	bool force; /* whatever is at the end of the nodes may be overwritten */
};

struct mirror_created {
	int error; /* 0, or EEXIST, ENOSPC, EINVAL, EIO, ENOMEM, with the cause in reason */
	char reason[256];
	uint64_t data_size; /* bytes of the volume; of each node this many from its start stay */
};

/*
 * Makes the nodes of `mirror` (mirror.h), which isn't started, a new mirror. All of them are READY. done(arg,
 * created) runs once, in the home's thread, perhaps before this returns; then the mirror may be
 * destroyed, not started.
 */
void mirror_create(struct target *mirror, const struct mirror_create_options *options,
		   void (*done)(void *arg, const struct mirror_created *created), void *arg);

#endif
