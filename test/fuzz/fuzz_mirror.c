/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_mirror.c - feeds the mirror's loader and the judgement of a start with hostile superblocks and
 * maps, and checks what must hold of whatever passes.
 *
 * With clang's libFuzzer (make fuzz) it explores; built without it, it is a program:
 *
 *   fuzz_mirror FILE|FOLDER...          runs the inputs that lie there
 *   fuzz_mirror --random COUNT [SEED]   makes inputs, most of them near good ones
 *
 * An input is a header of INPUT_HEADER bytes (flags, the power of two of the node's size, and the size's
 * low bytes), then up to MIRROR_COPIES superblocks without the zeros behind their members. Their
 * digests are mended first unless flags say otherwise, or none would pass.
 */
#include "common/checksum.h"
#include "common/le.h"
#include "dstfs/mirror_start.h"
#include "test/fuzz/fuzz.h"

#include <errno.h>

#define FLAG_TORN 0x01 /* digests stay as they are */
#define FLAG_MAJORITY 0x02
#define FLAG_FORCE 0x04
#define FLAG_WITNESS 0x08 /* the last one's generation */
#define INPUT_HEADER 6u
#define USED 984u /* bytes of a superblock up to the zeros */
#define INPUT_BYTES (INPUT_HEADER + MIRROR_COPIES * USED)
#define MAGIC 0x726f7272694d5344ull

_Static_assert(INPUT_BYTES <= FUZZ_INPUT_MOST, "an input fits");

static void check_map(const struct mirror_super *super, const uint8_t *data, size_t size)
{
	uint8_t in[MIRROR_MAP_BLOCK] = {0}, again[MIRROR_MAP_BLOCK];
	uint8_t bits[MIRROR_MAP_BITS / 8], back[MIRROR_MAP_BITS / 8];
	unsigned last = mirror_map_pieces(super) - 1;
	unsigned left = mirror_regions(super) - last * MIRROR_MAP_BITS;

	memcpy(in, data, size < sizeof(in) ? size : sizeof(in));
	mirror_map_decode(bits, super, MIRROR_MAX_NODES, last, in);
	for (unsigned i = left; i < MIRROR_MAP_BITS; i++)
		must(!(bits[i / 8] >> i % 8 & 1));
	mirror_map_encode(again, super, 0, last, bits);
	must(mirror_map_decode(back, super, 0, last, again));
	must(!memcmp(bits, back, sizeof(bits)));
}

/* What every superblock that passes must be. */
static void check_super(const struct mirror_super *super, uint64_t size)
{
	uint64_t maps = (1 + MIRROR_MAX_NODES) * mirror_map_size(super);

	must(super->self < MIRROR_MAX_NODES);
	must(super->members[super->self].state != MIRROR_FREE);
	must(super->ancestor_count <= MIRROR_ANCESTORS);
	must(super->sequence < UINT64_MAX);
	must(mirror_regions(super) >= 1 && mirror_regions(super) <= MIRROR_MAX_REGIONS);
	must(super->data_size % MIRROR_BLOCK == 0 && super->data_size < size);
	must(maps <= mirror_super_offset(size, 0) - super->data_size);
	must(mirror_super_offset(size, 0) > super->data_size);
	must(mirror_generation_contains(super, super->generation.uuid));
}

static void check_decode(const uint8_t copy[MIRROR_SUPER_SIZE], uint64_t size)
{
	uint8_t again[MIRROR_SUPER_SIZE];
	struct mirror_super super;
	char reason[64] = "";
	int error = mirror_super_decode(&super, copy, size, reason, sizeof(reason));

	must(error == 0 || error == ENOENT || error == EBADMSG || error == EINVAL ||
	     error == EPROTO);
	must(!error || error == ENOENT || (*reason && strlen(reason) < sizeof(reason)));
	if (error)
		return;
	check_super(&super, size);
	mirror_super_encode(again, &super);
	must(!memcmp(again, copy, sizeof(again))); /* there is one encoding of each */
	check_map(&super, copy, MIRROR_SUPER_SIZE);
}

/* A node's four copies: what is written next never costs the newest. */
static void check_choose(const uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE], uint64_t size)
{
	uint8_t after[MIRROR_COPIES][MIRROR_SUPER_SIZE];
	struct mirror_super super, again;
	char reason[64] = "";
	unsigned next;

	if (mirror_super_choose(&super, &next, copies, size, reason, sizeof(reason)))
		return;
	must(next < MIRROR_COPIES);
	memcpy(after, copies, sizeof(after));
	after[next][100] ^= 1; /* torn */
	must(!mirror_super_choose(&again, &next, (const uint8_t(*)[MIRROR_SUPER_SIZE])after, size,
				  reason, sizeof(reason)));
	must(!memcmp(&again, &super, sizeof(super)));
}

/* Each copy as another node's: whatever they say, nothing that was partly copied serves. */
static void check_judge(uint8_t flags, const uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE],
			uint64_t size)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	const struct mirror_start_policy policy = {.majority = flags & FLAG_MAJORITY,
						   .force = flags & FLAG_FORCE};
	struct mirror_found found[MIRROR_COPIES];
	struct mirror_witness witness = {.known = false};
	struct mirror_start start;
	enum mirror_verdict verdict;
	unsigned serving = 0;
	char reason[64];

	memset(found, 0, sizeof(found));
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		int error = mirror_super_decode(&found[i].super, copies[i], size, reason,
						sizeof(reason));

		found[i].name = names[i];
		found[i].blank = error == ENOENT;
		found[i].present = !error || found[i].blank;
		if (!error && flags & FLAG_WITNESS) {
			witness.known = true;
			memcpy(witness.set, found[i].super.set, DST_ID_SIZE);
			witness.generation = found[i].super.generation;
		}
	}
	verdict = mirror_start_judge(&start, found, MIRROR_COPIES, &witness, &policy);
	must(verdict <= MIRROR_START_BROKEN && strlen(start.text) < sizeof(start.text));
	must(!verdict == !start.text[0] || (start.forced && !verdict));
	if (verdict)
		return;
	must(start.newest < MIRROR_COPIES && found[start.newest].present);
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		const struct mirror_super *newest = &found[start.newest].super;

		if (start.roles[i] != MIRROR_ROLE_IN_SYNC)
			continue;
		serving++;
		must(found[i].present && !found[i].blank);
		must(!memcmp(found[i].super.set, newest->set, DST_ID_SIZE));
		must(start.stale || newest->members[found[i].super.self].state == MIRROR_IN_SYNC);
	}
	must(serving && (!start.stale || serving == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE];
	uint64_t node_size;

	if (size < INPUT_HEADER)
		return 0;
	node_size = (1ull << data[1] % 63) + le32_get(data + 2);
	if (node_size < MIRROR_MIN_SIZE)
		return 0;
	memset(copies, 0, sizeof(copies));
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		size_t from = INPUT_HEADER + i * USED, length = size > from ? size - from : 0;

		memcpy(copies[i], data + (length ? from : 0), length < USED ? length : USED);
		if (!(data[0] & FLAG_TORN) && length)
			le64_put(copies[i] + MIRROR_SUPER_SIZE - 8,
				 checksum_seeded(copies[i], MIRROR_SUPER_SIZE - 8, MAGIC));
		check_decode(copies[i], node_size);
	}
	check_choose((const uint8_t(*)[MIRROR_SUPER_SIZE])copies, node_size);
	check_judge(data[0], (const uint8_t(*)[MIRROR_SUPER_SIZE])copies, node_size);
	return 0;
}

/* A few ids, so that they meet. */
static void make_id(uint8_t id[DST_ID_SIZE], uint64_t *state, unsigned kinds)
{
	memset(id, 1 + (int)(next_random(state) % kinds), DST_ID_SIZE);
}

static void make_super(uint8_t out[USED], uint64_t *state, uint64_t size, unsigned self)
{
	uint8_t encoded[MIRROR_SUPER_SIZE];
	struct mirror_super super = {
		.sequence = next_random(state) % 4,
		.data_size = mirror_data_size(size),
		.region_size = mirror_region_size(mirror_data_size(size)),
		.self = self,
		.clean = next_random(state) % 2,
		.taken_out = next_random(state) % 4 == 0,
		.generation = {.counter = next_random(state) % 9},
		.ancestor_count = (unsigned)(next_random(state) % 4),
	};

	make_id(super.set, state, next_random(state) % 8 ? 1 : 2);
	make_id(super.generation.uuid, state, 4);
	for (unsigned i = 0; i < super.ancestor_count; i++)
		make_id(super.ancestors[i], state, 4);
	for (unsigned i = 0; i < MIRROR_COPIES; i++) {
		struct mirror_member *member = &super.members[i];

		member->state = (enum mirror_member_state)(1 + next_random(state) % 3);
		if (next_random(state) % 2)
			member->state = MIRROR_IN_SYNC;
		memset(member->id, 0x40 + (int)i, DST_ID_SIZE);
		make_id(member->left, state, 4);
		if (member->state == MIRROR_ABSENT)
			member->detached = next_random(state) % 4 == 0;
		if (member->state == MIRROR_ABSENT && !member->detached)
			member->suspended = next_random(state) % 4 == 0;
	}
	mirror_super_encode(encoded, &super);
	memcpy(out, encoded, USED);
}

/* Good superblocks, then perhaps some bytes changed and the end moved. */
static size_t make_input(uint8_t *out, uint64_t *state)
{
	size_t size = INPUT_BYTES;
	uint64_t node_size;

	out[0] = (uint8_t)next_random(state) & (next_random(state) % 4 ? ~FLAG_TORN : 0xff);
	out[1] = (uint8_t)(20 + next_random(state) % 30);
	le32_put(out + 2, (uint32_t)next_random(state));
	node_size = (1ull << out[1] % 63) + le32_get(out + 2);
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		make_super(out + INPUT_HEADER + i * USED, state, node_size,
			   next_random(state) % 8 ? i : 0);
	for (unsigned n = (unsigned)(next_random(state) % 4); n; n--)
		out[INPUT_HEADER + next_random(state) % (size - INPUT_HEADER)] =
			(uint8_t)next_random(state);
	if (next_random(state) % 8 == 0)
		size = 1 + next_random(state) % size;
	return size;
}
