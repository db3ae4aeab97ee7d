/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_meta.c - see mirror_meta.h
 *
 * An encoded superblock, offsets in bytes:
 *
 *      0   8  magic          SUPER_MAGIC
 *      8   4  version        MIRROR_VERSION
 *     12   4  self           its node's slot
 *     16   8  sequence
 *     24   8  data_size
 *     32   4  region_size
 *     36   4  flags          FLAG_*
 *     40  16  set
 *     56  24  generation     u64 counter, uuid
 *     80   4  ancestors      how many
 *     84   4  zero
 *     88 512  ancestors      MIRROR_ANCESTORS uuids, newest first; the rest is zero
 *    600 384  members        MIRROR_MAX_NODES times: u32 state, u32 MEMBER_*, id, left, u64 size
 *    984      zero
 *   4088   8  digest         XXH3-64 of all before it, with the seed SUPER_MAGIC
 *
 * And a piece of a map: 8 bytes XXH3-64 of all behind them, with a seed made of the set, the map and the
 * piece that it is for; 24 zero bytes; the bits.
 */
#include "dstfs/mirror_meta.h"

#include "common/checksum.h"
#include "common/le.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SUPER_MAGIC 0x726f7272694d5344ull /* "DSMirror" */
#define FLAG_CLEAN 0x1u
#define FLAG_TAKEN_OUT 0x2u
#define MEMBER_DETACHED 0x1u
#define MEMBER_FULL 0x2u
#define MEMBER_SUSPENDED 0x4u
#define MEMBER_FLAGS (MEMBER_DETACHED | MEMBER_FULL | MEMBER_SUSPENDED)
#define MEMBER_SIZE 48u
#define AT_ANCESTORS 88u
#define AT_MEMBERS (AT_ANCESTORS + MIRROR_ANCESTORS * DST_ID_SIZE)
#define AT_END (AT_MEMBERS + MIRROR_MAX_NODES * MEMBER_SIZE)
#define DIGEST_SIZE 8u
#define AT_DIGEST (MIRROR_SUPER_SIZE - DIGEST_SIZE)
/*
 * About as many as a mirror gets, while regions may grow. Fewer are marked less often, more are less
 * to compare after a crash; what is compared and equal isn't copied, so comparing is cheap.
 */
#define TARGET_REGIONS 4096u

_Static_assert(AT_END <= AT_DIGEST, "a superblock has room for all");

/* ---- sizes ---- */

static uint64_t round_down(uint64_t size)
{
	return size - size % MIRROR_BLOCK;
}

static unsigned pieces_of(unsigned regions)
{
	return (regions + MIRROR_MAP_BITS - 1) / MIRROR_MAP_BITS;
}

static unsigned regions_of(uint64_t data_size, uint32_t region_size)
{
	return (unsigned)((data_size + region_size - 1) / region_size);
}

/* Bytes behind the data: maps, padded to a block, and superblocks. */
static uint64_t tail_size(uint64_t data_size, uint32_t region_size)
{
	uint64_t maps = (uint64_t)pieces_of(regions_of(data_size, region_size)) * MIRROR_MAP_BLOCK *
			(1 + MIRROR_MAX_NODES);

	return round_down(maps + MIRROR_BLOCK - 1) + MIRROR_MIN_SIZE;
}

uint32_t mirror_region_size(uint64_t data_size)
{
	uint32_t size = MIRROR_MIN_REGION;

	while (size < MIRROR_MAX_REGION && data_size / size > TARGET_REGIONS)
		size *= 2;
	return size;
}

uint64_t mirror_data_size(uint64_t node_size)
{
	const uint64_t most = (uint64_t)MIRROR_MAX_REGIONS * MIRROR_MAX_REGION;
	uint64_t whole = round_down(node_size);

	return mirror_data_room(node_size, mirror_region_size(whole < most ? whole : most));
}

uint64_t mirror_data_room(uint64_t node_size, uint32_t region_size)
{
	const uint64_t most = (uint64_t)MIRROR_MAX_REGIONS * region_size;
	uint64_t whole = round_down(node_size), used = whole < most ? whole : most;
	uint64_t tail = tail_size(used, region_size); /* at least that for what is left */

	if (whole <= tail)
		return 0;
	return whole - tail < most ? whole - tail : most;
}

uint64_t mirror_least_size(const struct mirror_super *super)
{
	return super->data_size + tail_size(super->data_size, super->region_size);
}

uint64_t mirror_super_offset(uint64_t size, unsigned copy)
{
	assert(copy < MIRROR_COPIES && size >= MIRROR_MIN_SIZE);
	return round_down(size) - (uint64_t)(MIRROR_COPIES - copy) * MIRROR_BLOCK;
}

unsigned mirror_regions(const struct mirror_super *super)
{
	return regions_of(super->data_size, super->region_size);
}

unsigned mirror_map_pieces(const struct mirror_super *super)
{
	return pieces_of(mirror_regions(super));
}

uint64_t mirror_map_size(const struct mirror_super *super)
{
	return (uint64_t)mirror_map_pieces(super) * MIRROR_MAP_BLOCK;
}

uint64_t mirror_map_offset(const struct mirror_super *super, unsigned map, unsigned piece)
{
	assert(map <= MIRROR_MAX_NODES && piece < mirror_map_pieces(super));
	return super->data_size + map * mirror_map_size(super) + (uint64_t)piece * MIRROR_MAP_BLOCK;
}

/* ---- generations ---- */

void mirror_generation_raise(struct mirror_super *super, const uint8_t uuid[DST_ID_SIZE])
{
	memmove(super->ancestors[1], super->ancestors[0],
		(MIRROR_ANCESTORS - 1) * sizeof(super->ancestors[0]));
	memcpy(super->ancestors[0], super->generation.uuid, DST_ID_SIZE);
	if (super->ancestor_count < MIRROR_ANCESTORS)
		super->ancestor_count++;
	memcpy(super->generation.uuid, uuid, DST_ID_SIZE);
	/* One that a hostile node has brought near the end doesn't make the others' superblocks invalid. */
	if (super->generation.counter < UINT64_MAX - 1)
		super->generation.counter++;
}

bool mirror_generation_contains(const struct mirror_super *super, const uint8_t uuid[DST_ID_SIZE])
{
	if (!memcmp(super->generation.uuid, uuid, DST_ID_SIZE))
		return true;
	for (unsigned i = 0; i < super->ancestor_count; i++)
		if (!memcmp(super->ancestors[i], uuid, DST_ID_SIZE))
			return true;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		/* One that is being copied to may not have been told yet, only the others. */
		if ((super->members[i].state == MIRROR_ABSENT ||
		     super->members[i].state == MIRROR_INCONSISTENT) &&
		    !memcmp(super->members[i].left, uuid, DST_ID_SIZE))
			return true;
	return false;
}

/* ---- superblocks ---- */

void mirror_super_encode(uint8_t out[MIRROR_SUPER_SIZE], const struct mirror_super *super)
{
	memset(out, 0, MIRROR_SUPER_SIZE);
	le64_put(out, SUPER_MAGIC);
	le32_put(out + 8, MIRROR_VERSION);
	le32_put(out + 12, super->self);
	le64_put(out + 16, super->sequence);
	le64_put(out + 24, super->data_size);
	le32_put(out + 32, super->region_size);
	le32_put(out + 36,
		 (super->clean ? FLAG_CLEAN : 0) | (super->taken_out ? FLAG_TAKEN_OUT : 0));
	memcpy(out + 40, super->set, DST_ID_SIZE);
	le64_put(out + 56, super->generation.counter);
	memcpy(out + 64, super->generation.uuid, DST_ID_SIZE);
	le32_put(out + 80, super->ancestor_count);
	memcpy(out + AT_ANCESTORS, super->ancestors,
	       super->ancestor_count * sizeof(super->ancestors[0]));
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		const struct mirror_member *member = &super->members[i];
		uint8_t *at = out + AT_MEMBERS + i * MEMBER_SIZE;

		le32_put(at, member->state);
		le32_put(at + 4, (member->detached ? MEMBER_DETACHED : 0) |
					 (member->full ? MEMBER_FULL : 0) |
					 (member->suspended ? MEMBER_SUSPENDED : 0));
		memcpy(at + 8, member->id, DST_ID_SIZE);
		memcpy(at + 24, member->left, DST_ID_SIZE);
		le64_put(at + 40, member->size);
	}
	le64_put(out + AT_DIGEST, checksum_seeded(out, AT_DIGEST, SUPER_MAGIC));
}

__attribute__((format(printf, 3, 4))) static int refuse(char *reason, size_t size,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, size, format, args);
	va_end(args);
	return EINVAL;
}

static bool all_zero(const uint8_t *in, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (in[i])
			return false;
	return true;
}

/* NULL, or what is wrong with them. */
static const char *members_decode(struct mirror_super *super, const uint8_t *in)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		struct mirror_member *member = &super->members[i];
		const uint8_t *at = in + i * MEMBER_SIZE;
		uint32_t state = le32_get(at), flags = le32_get(at + 4);

		if (state >= MIRROR_MEMBER_STATES || flags & ~MEMBER_FLAGS)
			return "a member's state is unknown";
		member->state = (enum mirror_member_state)state;
		member->detached = flags & MEMBER_DETACHED;
		member->full = flags & MEMBER_FULL;
		member->suspended = flags & MEMBER_SUSPENDED;
		memcpy(member->id, at + 8, DST_ID_SIZE);
		memcpy(member->left, at + 24, DST_ID_SIZE);
		member->size = le64_get(at + 40);
		if (state == MIRROR_FREE && !all_zero(at, MEMBER_SIZE))
			return "a slot without a member isn't empty";
		if (state == MIRROR_IN_SYNC && flags)
			return "a member in sync is said not to be";
		for (unsigned j = 0; state != MIRROR_FREE && j < i; j++)
			if (super->members[j].state != MIRROR_FREE &&
			    !memcmp(super->members[j].id, member->id, DST_ID_SIZE))
				return "two members have one id";
	}
	return super->members[super->self].state == MIRROR_FREE ? "its own slot is empty" : NULL;
}

/* NULL, or what is wrong with the sizes on a node of `size` bytes. */
static const char *sizes_check(const struct mirror_super *super, uint64_t size)
{
	uint32_t region = super->region_size;

	if (region < MIRROR_MIN_REGION || region > MIRROR_MAX_REGION || region & (region - 1))
		return "the size of its regions is out of bounds";
	if (!super->data_size || super->data_size % MIRROR_BLOCK ||
	    super->data_size > (uint64_t)region * MIRROR_MAX_REGIONS)
		return "its size is out of bounds";
	size = round_down(size);
	if (super->data_size > size ||
	    tail_size(super->data_size, region) > size - super->data_size)
		return "the node has become smaller than the mirror needs";
	return NULL;
}

/* There is one encoding of each superblock: what this version doesn't know must be zero. */
static bool is_encoding_of(const uint8_t in[MIRROR_SUPER_SIZE], const struct mirror_super *super)
{
	uint8_t again[MIRROR_SUPER_SIZE];

	mirror_super_encode(again, super);
	return !memcmp(in, again, MIRROR_SUPER_SIZE);
}

int mirror_super_decode(struct mirror_super *super, const uint8_t in[MIRROR_SUPER_SIZE],
			uint64_t size, char *reason, size_t reason_size)
{
	const char *wrong;

	*super = (struct mirror_super){.sequence = 0};
	if (le64_get(in) != SUPER_MAGIC)
		return ENOENT;
	if (checksum_seeded(in, AT_DIGEST, SUPER_MAGIC) != le64_get(in + AT_DIGEST)) {
		refuse(reason, reason_size, "the superblock's digest is wrong");
		return EBADMSG;
	}
	if (le32_get(in + 8) != MIRROR_VERSION) {
		refuse(reason, reason_size, "the mirror has version %u of the format, not %u",
		       le32_get(in + 8), MIRROR_VERSION);
		return EPROTO;
	}
	super->self = le32_get(in + 12);
	super->sequence = le64_get(in + 16);
	super->data_size = le64_get(in + 24);
	super->region_size = le32_get(in + 32);
	super->clean = le32_get(in + 36) & FLAG_CLEAN;
	super->taken_out = le32_get(in + 36) & FLAG_TAKEN_OUT;
	memcpy(super->set, in + 40, DST_ID_SIZE);
	super->generation.counter = le64_get(in + 56);
	memcpy(super->generation.uuid, in + 64, DST_ID_SIZE);
	super->ancestor_count = le32_get(in + 80);
	if (super->self >= MIRROR_MAX_NODES || super->ancestor_count > MIRROR_ANCESTORS ||
	    super->sequence == UINT64_MAX || super->generation.counter == UINT64_MAX)
		return refuse(reason, reason_size, "a field of the superblock is out of bounds");
	memcpy(super->ancestors, in + AT_ANCESTORS,
	       super->ancestor_count * sizeof(super->ancestors[0]));
	wrong = members_decode(super, in + AT_MEMBERS);
	if (!wrong)
		wrong = sizes_check(super, size);
	if (!wrong && !is_encoding_of(in, super))
		wrong = "the superblock has something in it that should be zero";
	return wrong ? refuse(reason, reason_size, "%s", wrong) : 0;
}

int mirror_super_choose(struct mirror_super *super, unsigned *next,
			const uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE], uint64_t size,
			char *reason, size_t reason_size)
{
	struct mirror_super found[MIRROR_COPIES];
	int errors[MIRROR_COPIES];
	unsigned best = MIRROR_COPIES, traces = 0;

	*next = 0;
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		errors[i] = mirror_super_decode(&found[i], copies[i], size, reason, reason_size);
		traces += errors[i] != ENOENT;
		/* Not torn, but wrong: it may be the newest. A later version may mean by its
		 * copies what it likes. */
		if (errors[i] == EINVAL || errors[i] == EPROTO)
			return errors[i];
		if (!errors[i] &&
		    (best == MIRROR_COPIES || found[i].sequence > found[best].sequence))
			best = i;
	}
	if (best == MIRROR_COPIES)
		return traces ? EINVAL : ENOENT;
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		if (!errors[i] && i != best && found[i].sequence == found[best].sequence &&
		    memcmp(copies[i], copies[best], MIRROR_SUPER_SIZE) != 0)
			return refuse(reason, reason_size,
				      "two superblocks of one sequence number differ");
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		if (errors[i]) { /* torn, or never written */
			*next = i;
			break;
		}
		if (found[i].sequence < found[*next].sequence)
			*next = i;
	}
	*super = found[best];
	return 0;
}

/* ---- maps ---- */

static uint64_t map_digest(const struct mirror_super *super, unsigned map, unsigned piece,
			   const uint8_t stored[MIRROR_MAP_BLOCK])
{
	uint8_t where[DST_ID_SIZE + 8];

	memcpy(where, super->set, DST_ID_SIZE);
	le32_put(where + DST_ID_SIZE, map);
	le32_put(where + DST_ID_SIZE + 4, piece);
	return checksum_seeded(stored + DIGEST_SIZE, MIRROR_MAP_BLOCK - DIGEST_SIZE,
			       checksum_payload(where, sizeof(where)));
}

void mirror_map_encode(uint8_t out[MIRROR_MAP_BLOCK], const struct mirror_super *super,
		       unsigned map, unsigned piece, const uint8_t bits[MIRROR_MAP_BITS / 8])
{
	memset(out, 0, MIRROR_MAP_HEADER);
	memcpy(out + MIRROR_MAP_HEADER, bits, MIRROR_MAP_BITS / 8);
	le64_put(out, map_digest(super, map, piece, out));
}

/* Regions that don't exist are in no map. */
static void clear_beyond(uint8_t bits[MIRROR_MAP_BITS / 8], const struct mirror_super *super,
			 unsigned piece)
{
	unsigned left = mirror_regions(super) - piece * MIRROR_MAP_BITS;

	if (left >= MIRROR_MAP_BITS)
		return;
	if (left % 8)
		bits[left / 8] &= (uint8_t)((1u << left % 8) - 1);
	memset(bits + (left + 7) / 8, 0, MIRROR_MAP_BITS / 8 - (left + 7) / 8);
}

bool mirror_map_decode(uint8_t bits[MIRROR_MAP_BITS / 8], const struct mirror_super *super,
		       unsigned map, unsigned piece, const uint8_t in[MIRROR_MAP_BLOCK])
{
	bool valid = map_digest(super, map, piece, in) == le64_get(in);

	if (valid)
		memcpy(bits, in + MIRROR_MAP_HEADER, MIRROR_MAP_BITS / 8);
	else
		memset(bits, 0xff, MIRROR_MAP_BITS / 8);
	clear_beyond(bits, super, piece);
	return valid;
}
