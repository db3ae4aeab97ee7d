/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_witness.h - where a mirror keeps its witness: the client's own record of the newest generation
 * that it has written in. An interface: files of the client's state folder, or the simulator's.
 */
#ifndef DSTFS_MIRROR_WITNESS_H
#define DSTFS_MIRROR_WITNESS_H

#include "dstfs/mirror_start.h"

struct mirror_witness_store;

/* All calls come from the thread of the mirror's first worker, and so do the completions. */
struct mirror_witness_ops {
	/*
	 * What was kept last: witness->known is false if nothing was. A small file, read in place. 0,
	 * or an errno: it can't be told, and the mirror doesn't start unless it is forced to.
	 */
	int (*load)(struct mirror_witness_store *store, struct mirror_witness *witness);
	/*
	 * Keeps this one, durably (the file and its folder), then runs done(arg, error) once, never
	 * before this returns. On an error what was kept before is still there. *witness is copied.
	 * One at a time.
	 */
	void (*save)(struct mirror_witness_store *store, const struct mirror_witness *witness,
		     void (*done)(void *arg, int error), void *arg);
	/* Frees the store. A save that is under way is waited for, and its `done` doesn't run. */
	void (*close)(struct mirror_witness_store *store);
};

struct mirror_witness_store {
	const struct mirror_witness_ops *ops;
};

#endif
