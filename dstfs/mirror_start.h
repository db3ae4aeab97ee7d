/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_start.h - may this mirror start with what is there, and what is each node good for? The rules
 * of split brain, alternate loss and quorum in one place. Pure: no I/O, no state.
 */
#ifndef DSTFS_MIRROR_START_H
#define DSTFS_MIRROR_START_H

#include "dstfs/mirror_meta.h"

/* A node of the configuration as it was found. */
struct mirror_found {
	const char *name; /* for messages */
	bool present; /* it answers, and its superblocks were read */
	bool blank; /* present, without a trace of a mirror */
	struct mirror_super super; /* of a present one that isn't blank */
};

/* The client's own record: written before the first acknowledgement in a generation, also after a start
 * that found it to be another one. */
struct mirror_witness {
	bool known;
	uint8_t set[DST_ID_SIZE];
	struct mirror_generation generation;
	bool in_sync[MIRROR_MAX_NODES]; /* by slot */
	uint64_t sizes[MIRROR_MAX_NODES]; /* by slot: see mirror_member's size; 0: not known */
};

struct mirror_start_policy {
	bool majority; /* quorum = majority: of nodes and witness; else none is asked for */
	unsigned min_nodes; /* in sync, at least; 0 and 1: one */
	bool force; /* start with what is there, come what may */
	/* A person has chosen: go on from the found node of this index, whatever others have; but for those
	 * that have the same, they are compared as a whole. Nothing is asked of the rest of the policy. */
	bool resolve;
	unsigned keep;
};

enum mirror_role {
	MIRROR_ROLE_MISSING, /* not there */
	MIRROR_ROLE_IN_SYNC,
	MIRROR_ROLE_PARTIAL, /* lacks what the others' missed map of it says */
	MIRROR_ROLE_COMPARE, /* may differ anywhere: compared as a whole, by HASH */
	MIRROR_ROLE_DETACHED, /* taken out by command: not touched until it is attached again */
	MIRROR_ROLE_SUSPENDED, /* likewise, until it is resumed */
	MIRROR_ROLE_FOREIGN, /* of another set, blank, or not a member any more: not touched */
};

struct mirror_start {
	unsigned newest; /* index of the found node whose superblock it goes on from */
	bool make_equal; /* not clean: dirty regions are made equal before two sides are read */
	enum mirror_role roles[MIRROR_MAX_NODES]; /* by index of the found node */
	/* It would not have started without `force`; text says what may be lost. Then the generation must
	 * be raised and the witness told even if those in sync are the same: others may have moved on. */
	bool forced;
	/*
	 * From a node that lacks what others have, by force or since it was chosen: `newest` is that one. The
	 * missed maps mean nothing, every other member must be compared as a whole, also when it comes back
	 * later. Those
	 * that are there must be told the new generation with the start, since theirs is none of its
	 * ancestors; those that aren't will be split brain.
	 */
	bool stale;
	char text[1024]; /* why it doesn't start, or what was forced: lines for people */
};

enum mirror_verdict {
	MIRROR_START_OK,
	MIRROR_START_WAIT, /* nodes are missing that may know more; may be tried again when they come */
	MIRROR_START_SPLIT, /* split brain: only a person can resolve it */
	MIRROR_START_ALTERNATE, /* those that are there are known to be stale */
	MIRROR_START_BROKEN, /* no node, or nodes that contradict each other otherwise */
};

/*
 * The newest generation is the one that contains those of all other nodes that are there. It starts with
 * nodes missing only if those are not in sync in it. A majority is one of the nodes that are there, in
 * sync or not, and the witness: whatever majority has seen the newest generation, one of it is there.
 * `force` overrides what is missing or stale, but never a split brain, and a node that was only partly
 * copied never serves.
 */
enum mirror_verdict mirror_start_judge(struct mirror_start *start, const struct mirror_found *found,
				       unsigned count, const struct mirror_witness *witness,
				       const struct mirror_start_policy *policy);

#endif
