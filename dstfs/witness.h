/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness.h - the witnesses of mirrors as files of the client's state folder (folder.h: "dstfs"), one
 * for each mirror. Implements mirror_witness.h.
 *
 * A file is text, for people too:
 *
 *	# dstfs: the last generation that a mirror of volume vol0 was written in from here
 *	version 1
 *	set 8f3a…
 *	generation 5 77d0…
 *	member 1 in-sync 10737418240
 *	member 2 - 10737418240
 *	sum 0123456789abcdef
 *
 * Members are counted from 1, each that has a slot with its node's size in bytes, 0 if that isn't
 * known. The sum is XXH3-64 of all before its line: a file that was cut off or edited isn't believed,
 * and deleting it is the way to forget it.
 */
#ifndef DSTFS_WITNESS_H
#define DSTFS_WITNESS_H

#include "common/loop.h"
#include "dstfs/mirror_witness.h"

/*
 * `volume` names the volume, `node` is the URI of the mirror's first node: together they tell which
 * mirror it is. Completions of save() come on `loop`. A folder that can't be used is logged, and each
 * save() fails. NULL: out of memory.
 */
struct mirror_witness_store *witness_open(const char *volume, const char *node, struct loop *loop);

/* Forgets what was kept, durably: the mirror is another one from now on. Blocks. 0 or an errno. */
int witness_forget(struct mirror_witness_store *store);

/* save(), at once, for those without a loop that runs. Blocks. 0 or an errno. */
int witness_save_now(struct mirror_witness_store *store, const struct mirror_witness *witness);

/* The file's path, for messages. */
const char *witness_path(const struct mirror_witness_store *store);

#endif
