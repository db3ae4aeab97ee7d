/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_meta.h - what a mirror writes about itself on its nodes: layout, encoding, validation. Pure:
 * no I/O, no state. This file is the format's specification, version 1.
 *
 * 1. Place
 *
 * A node of `size` bytes (the child target's, rounded down to MIRROR_BLOCK) holds, from offset 0,
 * the plain disk image: `data_size` bytes. So it can be mounted or used without dstfs. Behind it:
 *
 *     data_size                  the maps, each of map_size() bytes: first the dirty map, then
 *                                one missed map for each member slot, MIRROR_MAX_NODES of them
 *     size - 4 * MIRROR_BLOCK    superblock copies 0 to 3, one in each of the last four blocks
 *
 * data_size is a multiple of MIRROR_BLOCK and the same on all nodes. All integers are little-endian.
 *
 * 2. Superblock
 *
 * The first MIRROR_SUPER_SIZE bytes of its block; the rest is not used. The newest valid copy
 * counts: the one with the highest `sequence`. A new one is written over an invalid copy, or over the
 * one with the lowest sequence: so a torn write never costs the newest. Two copies of one
 * sequence and different content, one with a good digest and bad content, or none valid: the node is
 * unknown, and refused.
 *
 * A node that has grown since has its superblocks where its end was: `size` of its member, in the other
 * nodes' superblocks or the client's witness, tells where to look if there are none at its end. When the
 * mirror grows with it they move to its new end, before anything else does: mirror_resize.h.
 *
 * 3. Maps
 *
 * A map has a bit for each region: region r is bytes [r * region_size, (r + 1) * region_size) of the
 * data. It is stored in blocks of MIRROR_MAP_BLOCK bytes, each with its own header and digest, for
 * MIRROR_MAP_BITS regions. A block that isn't valid (torn, never written) counts as all ones:
 * that is always safe, and costs a comparison.
 *
 *   dirty    a write into the region may have begun and not ended on all in-sync nodes. Set, durably
 *            and on every in-sync node, before the first write into the region
 *   missed   of an absent member: the region was written while it was away. Cleared by resync only
 *
 * 4. Order
 *
 * A crash may come between any two writes, and any nodes be there afterwards. So:
 *
 *   - superblocks of a new generation go first to members that were in sync before and stay so, and
 *     only when they are durable there to one that gets in sync, is copied to, or is just informed:
 *     while none of the first has it, they may go on from the old one without ever seeing it
 *   - so one that was to get in sync isn't yet among those that stay if all of the first fail
 *   - one that is copied to has been told itself before it gets the first byte, in each run anew
 *   - a start by force raises the generation, and the witness is told, even if the set is the same
 *   - resolving a split brain goes on from one side, and tells the new generation to the nodes of the
 *     others: their old ones don't become ancestors, or more of them would be taken for mere past
 *
 * test_mirror_history.c shows what happens else.
 */
#ifndef DSTFS_MIRROR_META_H
#define DSTFS_MIRROR_META_H

#include "common/proto.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIRROR_VERSION 1u
#define MIRROR_MAX_NODES 8u /* members of a mirror */
#define MIRROR_BLOCK (64u << 10) /* bytes; the unit of the layout */
#define MIRROR_COPIES 4u /* superblocks of a node */
#define MIRROR_MIN_SIZE ((uint64_t)MIRROR_COPIES * MIRROR_BLOCK) /* bytes of a node that has them */
#define MIRROR_SUPER_SIZE 4096u /* bytes of an encoded superblock */
#define MIRROR_MAP_BLOCK 4096u /* bytes of a stored piece of a map */
#define MIRROR_MAP_HEADER 32u /* bytes of its header */
#define MIRROR_MAP_BITS ((MIRROR_MAP_BLOCK - MIRROR_MAP_HEADER) * 8u) /* regions in it */
#define MIRROR_MIN_REGION (64u << 10) /* bytes */
#define MIRROR_MAX_REGION (64u << 20)
#define MIRROR_MAX_REGIONS (1u << 21) /* so the largest mirror has 128 TiB */
#define MIRROR_ANCESTORS 32u /* generations that a superblock remembers */

/* What is known of a member in a generation. */
enum mirror_member_state {
	MIRROR_FREE, /* the slot is not used */
	MIRROR_IN_SYNC, /* has everything that was acknowledged */
	MIRROR_ABSENT, /* missed what its map says */
	MIRROR_INCONSISTENT, /* is being copied to: parts are newer than others */
	MIRROR_MEMBER_STATES
};

struct mirror_member {
	enum mirror_member_state state;
	uint8_t id[DST_ID_SIZE]; /* the node's own, drawn when it became a member */
	bool detached; /* ABSENT by command, with a clean generation: an offline backup */
	bool suspended; /* ABSENT by command: not used until another one */
	bool full; /* INCONSISTENT, ABSENT: its missed map means nothing, all must be compared */
	/* ABSENT, and kept while INCONSISTENT: the last generation that it was in sync in. */
	uint8_t left[DST_ID_SIZE];
	uint64_t size; /* bytes of its node, when its superblocks were placed; 0: not known */
};

/*
 * Two are the same if the uuids are; the counter is for people, and breaks no tie. All superblocks of one
 * generation have the same members IN_SYNC: a change of them that is tried again, because another node
 * has failed meanwhile, raises it again.
 */
struct mirror_generation {
	uint64_t counter;
	uint8_t uuid[DST_ID_SIZE];
};

/*
 * A superblock in memory. Its node's own slot is `self`.
 *
 * One that was detached keeps the superblock of the generation that it was in sync in, clean and `taken_out`; only
 * the others say that it is absent. If it knew their generation and was then started alone, by force,
 * what they have written since would look like its own past, and be overwritten: split brain unseen.
 */
struct mirror_super {
	uint64_t sequence; /* of writes of superblocks on this node */
	uint8_t set[DST_ID_SIZE]; /* the mirror's id */
	uint64_t data_size; /* bytes */
	uint32_t region_size; /* bytes: a power of two */
	unsigned self;
	bool clean; /* detached: no region is dirty, whatever the map says */
	bool taken_out; /* the node was taken out by command in this generation, and the others went on */
	struct mirror_member members[MIRROR_MAX_NODES];
	/* The generation, and those before it, newest first: one that is among another's ancestors
	 * came before it. Moves whenever the set of IN_SYNC members changes. */
	struct mirror_generation generation;
	unsigned ancestor_count;
	uint8_t ancestors[MIRROR_ANCESTORS][DST_ID_SIZE];
};

/* Encodes with its digest. */
void mirror_super_encode(uint8_t out[MIRROR_SUPER_SIZE], const struct mirror_super *super);

/* Decodes and validates all that needs no other node. `size`: of the node. 0; ENOENT if these bytes
 * are no superblock at all; EBADMSG (torn), EINVAL or EPROTO (of another version) with the cause in
 * reason. */
int mirror_super_decode(struct mirror_super *super, const uint8_t in[MIRROR_SUPER_SIZE],
			uint64_t size, char *reason, size_t reason_size);

/*
 * Judges a node by the four copies read from it: copies[i] is the first MIRROR_SUPER_SIZE bytes of copy
 * i. 0: *super is the newest, *next the copy to be written next. ENOENT: no trace of a mirror. EINVAL,
 * EPROTO: there is one, but it can't be told which copy is right: refused, reason says why.
 */
int mirror_super_choose(struct mirror_super *super, unsigned *next,
			const uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE], uint64_t size,
			char *reason, size_t reason_size);

/* On a node of `size` bytes, which are MIRROR_MIN_SIZE or more. */
uint64_t mirror_super_offset(uint64_t size, unsigned copy);

/* The region size for a mirror of this size, and what of nodes of node_size bytes (the smallest) is
 * left for data, at most what MIRROR_MAX_REGIONS have. 0 bytes: too small. */
uint32_t mirror_region_size(uint64_t data_size);
uint64_t mirror_data_size(uint64_t node_size);

/* The most data that a mirror with regions of this size has on nodes of node_size bytes, or 0. */
uint64_t mirror_data_room(uint64_t node_size, uint32_t region_size);

/* Bytes that a node of this mirror has at least. */
uint64_t mirror_least_size(const struct mirror_super *super);

/* The generation after this one, and what it makes of the ancestors: the old one goes in front. */
void mirror_generation_raise(struct mirror_super *super, const uint8_t uuid[DST_ID_SIZE]);

/* Is generation `uuid` that of `super`, or one before it? It remembers the last MIRROR_ANCESTORS, and
 * for absent members, however long they are away, the one that they left in. */
bool mirror_generation_contains(const struct mirror_super *super, const uint8_t uuid[DST_ID_SIZE]);

/* ---- maps ---- */

unsigned mirror_regions(const struct mirror_super *super);
unsigned mirror_map_pieces(const struct mirror_super *super); /* of each map */
uint64_t mirror_map_size(const struct mirror_super *super); /* bytes of one stored map */

/* Map 0 is the dirty map, 1 + slot the missed map of a member. Piece p has the regions from p *
 * MIRROR_MAP_BITS on. */
uint64_t mirror_map_offset(const struct mirror_super *super, unsigned map, unsigned piece);

/* Bits are bytes in memory as on the node: region r is bit r % 8 of byte r / 8 of the piece. The digest
 * covers set, map and piece, so that a piece in a wrong place isn't valid. */
void mirror_map_encode(uint8_t out[MIRROR_MAP_BLOCK], const struct mirror_super *super,
		       unsigned map, unsigned piece, const uint8_t bits[MIRROR_MAP_BITS / 8]);
/* False: not valid, and bits are all ones. Bits beyond the last region come out as 0. */
bool mirror_map_decode(uint8_t bits[MIRROR_MAP_BITS / 8], const struct mirror_super *super,
		       unsigned map, unsigned piece, const uint8_t in[MIRROR_MAP_BLOCK]);

#endif
