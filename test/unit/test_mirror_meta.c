/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror_meta.c - mirror_meta.h: the format's bytes, and what hostile or torn ones come to. */
#include "common/checksum.h"
#include "common/le.h"
#include "dstfs/mirror_meta.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAGIC 0x726f7272694d5344ull
#define NODE_SIZE (100ull << 20)

/* An id that is recognised in a dump. */
static void fill_id(uint8_t id[DST_ID_SIZE], uint8_t byte)
{
	memset(id, byte, DST_ID_SIZE);
}

static struct mirror_super sample(void)
{
	struct mirror_super super = {
		.sequence = 7,
		.data_size = mirror_data_size(NODE_SIZE),
		.region_size = 64u << 10,
		.self = 1,
		.clean = true,
		.taken_out = true,
		.members = {[0] = {.state = MIRROR_IN_SYNC, .size = NODE_SIZE},
			    [1] = {.state = MIRROR_ABSENT,
				   .detached = true,
				   .full = true,
				   .suspended = true},
			    [2] = {.state = MIRROR_INCONSISTENT, .size = 1ull << 40}},
		.generation = {.counter = 5},
		.ancestor_count = 2,
	};

	fill_id(super.set, 0x55);
	fill_id(super.members[0].id, 0xa0);
	fill_id(super.members[1].id, 0xa1);
	fill_id(super.members[2].id, 0xa2);
	fill_id(super.members[1].left, 0x93);
	fill_id(super.members[2].left, 0x94);
	fill_id(super.generation.uuid, 0x95);
	fill_id(super.ancestors[0], 0x94);
	fill_id(super.ancestors[1], 0x93);
	return super;
}

/* After a change that a test made on purpose. */
static void mend_digest(uint8_t bytes[MIRROR_SUPER_SIZE])
{
	le64_put(bytes + MIRROR_SUPER_SIZE - 8,
		 checksum_seeded(bytes, MIRROR_SUPER_SIZE - 8, MAGIC));
}

static int decode(struct mirror_super *super, const uint8_t *in, uint64_t size)
{
	char reason[256] = "";
	int error = mirror_super_decode(super, in, size, reason, sizeof(reason));

	assert_int_equal(error != 0 && error != ENOENT, reason[0] != 0);
	return error;
}

/* ---- golden bytes: a change of these is another version of the format ---- */

static const struct {
	unsigned at;
	const char *hex;
} golden_super[] = {
	{0, "44534d6972726f72" /* magic */ "01000000" /* version */ "01000000" /* self */},
	{16, "0700000000000000" /* sequence */ "00003b0600000000" /* data_size */},
	{32, "00000100" /* region_size */ "03000000" /* flags */},
	{40, "55555555555555555555555555555555" /* set */},
	{56, "0500000000000000" /* generation */ "95959595959595959595959595959595"},
	{80, "0200000000000000" /* ancestors */},
	{88, "94949494949494949494949494949494" /* newest first */
	     "93939393939393939393939393939393"},
	{600, "0100000000000000" /* in sync */ "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
	      "00000000000000000000000000000000" /* left */ "0000400600000000" /* size */},
	{648, "0200000007000000" /* absent: detached, full, suspended */ "a1a1a1a1a1a1a1a1a1a1a1a1a"
	      "1a1a1a1"
	      "93939393939393939393939393939393"
	      "0000000000000000"},
	{696, "0300000000000000" /* inconsistent */ "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2"
	      "94949494949494949494949494949494"
	      "0000000000010000"},
	{4088, "c6a856cd3a66f1b1" /* digest */},
};

static unsigned put_hex(uint8_t *out, const char *hex)
{
	unsigned size = (unsigned)strlen(hex) / 2;

	for (unsigned i = 0; i < size; i++) {
		char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};

		out[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return size;
}

static void test_golden_super(void **state)
{
	uint8_t expected[MIRROR_SUPER_SIZE] = {0}, bytes[MIRROR_SUPER_SIZE];
	struct mirror_super super = sample(), back;

	for (size_t i = 0; i < sizeof(golden_super) / sizeof(golden_super[0]); i++)
		put_hex(expected + golden_super[i].at, golden_super[i].hex);
	mirror_super_encode(bytes, &super);
	assert_memory_equal(bytes, expected, sizeof(bytes));
	assert_int_equal(decode(&back, bytes, NODE_SIZE), 0);
	assert_memory_equal(&back, &super, sizeof(super));
}

static void test_golden_map(void **state)
{
	uint8_t bits[MIRROR_MAP_BITS / 8] = {0}, expected[MIRROR_MAP_BLOCK] = {0};
	uint8_t bytes[MIRROR_MAP_BLOCK], back[MIRROR_MAP_BITS / 8];
	struct mirror_super super = sample();

	bits[0] = 0x01;
	bits[1] = 0x80; /* region 15 */
	put_hex(expected, "5ba4de10a28d9a01");
	expected[32] = 0x01;
	expected[33] = 0x80;
	mirror_map_encode(bytes, &super, 2, 0, bits);
	assert_memory_equal(bytes, expected, sizeof(bytes));
	assert_true(mirror_map_decode(back, &super, 2, 0, bytes));
	assert_memory_equal(back, bits, sizeof(bits));
}

/* ---- sizes ---- */

/* Whatever the node's size, what is made of it passes the loader, and nothing overlaps. */
static void check_size(uint64_t size)
{
	uint64_t data = mirror_data_size(size);
	struct mirror_super super = sample(), back;
	uint8_t bytes[MIRROR_SUPER_SIZE];
	uint64_t maps_end;

	if (!data)
		return;
	super.data_size = data;
	super.region_size = mirror_region_size(data);
	assert_true(data % MIRROR_BLOCK == 0 && data < size);
	assert_true(mirror_regions(&super) >= 1 && mirror_regions(&super) <= MIRROR_MAX_REGIONS);
	assert_true((uint64_t)mirror_regions(&super) * super.region_size >= data);
	maps_end = mirror_map_offset(&super, MIRROR_MAX_NODES, mirror_map_pieces(&super) - 1) +
		   MIRROR_MAP_BLOCK;
	assert_int_equal(mirror_map_offset(&super, 0, 0), data);
	assert_int_equal(maps_end, data + (1 + MIRROR_MAX_NODES) * mirror_map_size(&super));
	assert_true(maps_end <= mirror_super_offset(size, 0));
	for (unsigned copy = 0; copy < MIRROR_COPIES; copy++) {
		assert_int_equal(mirror_super_offset(size, copy) % MIRROR_BLOCK, 0);
		assert_true(mirror_super_offset(size, copy) + MIRROR_BLOCK <= size);
	}
	mirror_super_encode(bytes, &super);
	assert_int_equal(decode(&back, bytes, size), 0);
	assert_int_equal(decode(&back, bytes, data + 5 * MIRROR_BLOCK - 1), EINVAL);
}

static void test_sizes(void **state)
{
	const uint64_t largest = (uint64_t)MIRROR_MAX_REGIONS * MIRROR_MAX_REGION;
	uint64_t last = 0;

	assert_int_equal(mirror_data_size(0), 0);
	assert_int_equal(mirror_data_size(MIRROR_BLOCK), 0);
	assert_int_equal(mirror_data_size(5 * MIRROR_BLOCK), 0);
	assert_int_equal(mirror_data_size(6 * MIRROR_BLOCK), MIRROR_BLOCK);
	assert_int_equal(mirror_data_size(6 * MIRROR_BLOCK - 1), 0);
	for (unsigned power = 0; power <= 62; power++) {
		static const int64_t around[] = {-65537, -65536, -4096, -1,   0,
						 1,      512,    65536, 99999};

		for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
			uint64_t size = (1ull << power) + (uint64_t)around[i];

			if (size <= 1ull << 62)
				check_size(size);
		}
		/* Larger nodes never make smaller mirrors. */
		assert_true(mirror_data_size(1ull << power) >= last);
		last = mirror_data_size(1ull << power);
	}
	check_size(UINT64_MAX);
	assert_int_equal(mirror_data_size(1ull << 62), largest);
	assert_int_equal(mirror_data_size(UINT64_MAX), largest);
	for (uint64_t size = 0; size < 64 * MIRROR_BLOCK; size += 4097)
		check_size(size);
}

static void test_region_sizes(void **state)
{
	assert_int_equal(mirror_region_size(0), MIRROR_MIN_REGION);
	assert_int_equal(mirror_region_size(1ull << 28), MIRROR_MIN_REGION);
	assert_int_equal(mirror_region_size((1ull << 28) + MIRROR_BLOCK), 2 * MIRROR_MIN_REGION);
	assert_int_equal(mirror_region_size(1ull << 40), MIRROR_MAX_REGION);
	assert_int_equal(mirror_region_size(UINT64_MAX), MIRROR_MAX_REGION);
}

/* ---- one superblock ---- */

static void test_digest_covers_all(void **state)
{
	struct mirror_super super = sample(), back;
	uint8_t bytes[MIRROR_SUPER_SIZE];

	mirror_super_encode(bytes, &super);
	for (unsigned i = 0; i < MIRROR_SUPER_SIZE; i++) {
		bytes[i] ^= 0x10;
		assert_int_equal(decode(&back, bytes, NODE_SIZE), i < 8 ? ENOENT : EBADMSG);
		bytes[i] ^= 0x10;
	}
	assert_int_equal(decode(&back, bytes, NODE_SIZE), 0);
}

/* Good digest, bad content. */
static const struct {
	const char *what;
	unsigned at, size;
	uint64_t value;
	int error;
} hostile[] = {
	{"another version", 8, 4, 2, EPROTO},
	{"version 0", 8, 4, 0, EPROTO},
	{"self beyond the slots", 12, 4, MIRROR_MAX_NODES, EINVAL},
	{"self far beyond", 12, 4, UINT32_MAX, EINVAL},
	{"self is a free slot", 12, 4, 5, EINVAL},
	{"the last sequence", 16, 8, UINT64_MAX, EINVAL},
	{"no data", 24, 8, 0, EINVAL},
	{"odd size", 24, 8, (1 << 20) + 512, EINVAL},
	{"more data than the node", 24, 8, 200 << 20, EINVAL},
	{"no room for the maps", 24, 8, NODE_SIZE - 4 * MIRROR_BLOCK, EINVAL},
	{"as much as there is", 24, 8, NODE_SIZE, EINVAL},
	{"a size that overflows", 24, 8, UINT64_MAX - 65535, EINVAL},
	{"half of all", 24, 8, 1ull << 63, EINVAL},
	{"no regions", 32, 4, 0, EINVAL},
	{"small regions", 32, 4, 32 << 10, EINVAL},
	{"large regions", 32, 4, 128 << 20, EINVAL},
	{"regions of no power of two", 32, 4, 3 << 16, EINVAL},
	{"unknown flags", 36, 4, 4, EINVAL},
	{"the last generation", 56, 8, UINT64_MAX, EINVAL},
	{"too many ancestors", 80, 4, MIRROR_ANCESTORS + 1, EINVAL},
	{"far too many ancestors", 80, 4, UINT32_MAX, EINVAL},
	{"ancestors that don't count", 80, 4, 1, EINVAL},
	{"not zero where it must be", 84, 4, 1, EINVAL},
	{"unknown state", 600, 4, MIRROR_MEMBER_STATES, EINVAL},
	{"unknown member's flags", 652, 4, 8, EINVAL},
	{"in sync and detached", 604, 4, 1, EINVAL},
	{"in sync and suspended", 604, 4, 4, EINVAL},
	{"in sync and full", 604, 4, 2, EINVAL},
	{"a free slot with a state's flags", 600 + 4 * 48 + 4, 4, 1, EINVAL},
	{"a free slot with a size", 600 + 4 * 48 + 40, 8, 1, EINVAL},
	{"behind the members", 984, 8, 1, EINVAL},
	{"before the digest", 4080, 8, 1, EINVAL},
	{"the last sequence but one", 16, 8, UINT64_MAX - 1, 0},
	{"not clean", 36, 4, 0, 0},
};

static void test_hostile_fields(void **state)
{
	struct mirror_super super = sample(), back;
	uint8_t bytes[MIRROR_SUPER_SIZE];

	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		int error;

		mirror_super_encode(bytes, &super);
		if (hostile[i].size == 8)
			le64_put(bytes + hostile[i].at, hostile[i].value);
		else
			le32_put(bytes + hostile[i].at, (uint32_t)hostile[i].value);
		mend_digest(bytes);
		error = decode(&back, bytes, NODE_SIZE);
		if (error != hostile[i].error)
			fail_msg("%s: %d", hostile[i].what, error);
	}
}

static void test_two_members_with_one_id(void **state)
{
	struct mirror_super super = sample(), back;
	uint8_t bytes[MIRROR_SUPER_SIZE];

	fill_id(super.members[2].id, 0xa0);
	mirror_super_encode(bytes, &super);
	assert_int_equal(decode(&back, bytes, NODE_SIZE), EINVAL);
}

static void test_nothing_there(void **state)
{
	uint8_t bytes[MIRROR_SUPER_SIZE];
	struct mirror_super back;

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(decode(&back, bytes, NODE_SIZE), ENOENT);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(decode(&back, bytes, NODE_SIZE), ENOENT);
}

/* ---- four copies ---- */

struct node {
	uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE];
};

static int choose(const struct node *node, struct mirror_super *super, unsigned *next)
{
	char reason[256] = "";
	int error =
		mirror_super_choose(super, next, node->copies, NODE_SIZE, reason, sizeof(reason));

	assert_true(!error || error == ENOENT || reason[0]);
	return error;
}

static void put(struct node *node, unsigned copy, uint64_t sequence)
{
	struct mirror_super super = sample();

	super.sequence = sequence;
	mirror_super_encode(node->copies[copy], &super);
}

/* A write that was cut off after `bytes` of them, which may have been there before. */
static void tear(struct node *node, unsigned copy, uint64_t sequence, unsigned bytes)
{
	struct node whole = *node;

	put(&whole, copy, sequence);
	memcpy(node->copies[copy], whole.copies[copy], bytes);
}

/*
 * Many writes, each torn at every kind of place: what is found is the one before or the new one, and the
 * copy written next is never the newest valid one.
 */
static void test_torn_writes(void **state)
{
	static const unsigned cuts[] = {0, 7, 8, 16, 20, 24, 512, 600, 1024, 4088, 4095, 4096};
	struct node node = {0};
	struct mirror_super super;
	unsigned next, used[MIRROR_COPIES] = {0};

	assert_int_equal(choose(&node, &super, &next), ENOENT);
	assert_int_equal(next, 0);
	put(&node, next, 1);
	for (uint64_t sequence = 2; sequence < 50; sequence++) {
		assert_int_equal(choose(&node, &super, &next), 0);
		assert_int_equal(super.sequence, sequence - 1);
		for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
			struct node torn = node;
			unsigned after;

			tear(&torn, next, sequence, cuts[i]);
			assert_int_equal(choose(&torn, &super, &after), 0);
			/* The sequence is in the first bytes, but only the digest makes it count. */
			assert_int_equal(super.sequence, cuts[i] == 4096 ? sequence : sequence - 1);
			assert_int_equal(
				torn.copies[after][16] == super.sequence && cuts[i] == 4096, false);
			put(&torn, after, sequence + 1);
			assert_int_equal(choose(&torn, &super, &after), 0);
			assert_int_equal(super.sequence, sequence + 1);
		}
		used[next]++;
		put(&node, next, sequence);
	}
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		assert_true(used[i] >= 11); /* all take their turns */
}

static void test_one_left(void **state)
{
	for (unsigned last = 0; last < MIRROR_COPIES; last++) {
		struct node node;
		struct mirror_super super;
		unsigned next;

		memset(&node, 0xee, sizeof(node));
		put(&node, last, 3);
		assert_int_equal(choose(&node, &super, &next), 0);
		assert_int_equal(super.sequence, 3);
		assert_int_not_equal(next, last);
		put(&node, last, 3);
		node.copies[last][1000] ^= 1;
		assert_int_equal(choose(&node, &super, &next), EINVAL); /* unknown, not blank */
	}
}

static void test_same_sequence(void **state)
{
	struct node node = {0};
	struct mirror_super super;
	unsigned next;

	put(&node, 0, 9);
	put(&node, 2, 9);
	assert_int_equal(choose(&node, &super, &next), 0); /* a rewrite of the same */
	node.copies[2][40] ^= 1;
	mend_digest(node.copies[2]);
	assert_int_equal(choose(&node, &super, &next), EINVAL);
	put(&node, 1, 10); /* a newer one decides */
	assert_int_equal(choose(&node, &super, &next), 0);
	assert_int_equal(super.sequence, 10);
}

/* Passing over one that isn't torn could mean to serve an older state. */
static void test_bad_content_is_not_passed_over(void **state)
{
	struct node node = {0};
	struct mirror_super super;
	unsigned next;

	put(&node, 0, 9);
	put(&node, 1, 10);
	le32_put(node.copies[1] + 12, 99);
	mend_digest(node.copies[1]);
	assert_int_equal(choose(&node, &super, &next), EINVAL);
	put(&node, 1, 10);
	le32_put(node.copies[1] + 8, 2);
	mend_digest(node.copies[1]);
	assert_int_equal(choose(&node, &super, &next), EPROTO);
}

/* A node that has grown: nothing at its end; at the recorded size all is as it was. */
static void test_grown_node(void **state)
{
	const uint64_t grown = NODE_SIZE + (10ull << 20);
	uint8_t *node = calloc(1, grown);
	struct mirror_super super = sample(), back;
	struct node found;
	char reason[256];
	unsigned next;

	assert_non_null(node);
	mirror_super_encode(node + mirror_super_offset(NODE_SIZE, 2), &super);
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		memcpy(found.copies[i], node + mirror_super_offset(grown, i), MIRROR_SUPER_SIZE);
	assert_int_equal(
		mirror_super_choose(&back, &next, found.copies, grown, reason, sizeof(reason)),
		ENOENT);
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		memcpy(found.copies[i], node + mirror_super_offset(super.members[0].size, i),
		       MIRROR_SUPER_SIZE);
	assert_int_equal(choose(&found, &back, &next), 0);
	assert_memory_equal(&back, &super, sizeof(super));
	free(node);
}

/* ---- generations ---- */

static void test_generations(void **state)
{
	struct mirror_super super = sample();
	uint8_t uuid[DST_ID_SIZE];

	fill_id(uuid, 0x42);
	assert_false(mirror_generation_contains(&super, uuid));
	assert_true(mirror_generation_contains(&super, super.generation.uuid));
	for (unsigned i = 0; i < 40; i++) {
		fill_id(uuid, (uint8_t)i);
		mirror_generation_raise(&super, uuid);
		assert_int_equal(super.generation.counter, 6 + i);
	}
	assert_int_equal(super.ancestor_count, MIRROR_ANCESTORS);
	for (unsigned i = 0; i < 40; i++) {
		fill_id(uuid, (uint8_t)i);
		assert_int_equal(mirror_generation_contains(&super, uuid), i >= 39 - 32);
	}
	/* Long ago, but someone may come back from there. */
	assert_true(mirror_generation_contains(&super, super.members[1].left));
	assert_true(mirror_generation_contains(&super, super.members[2].left));
	super.members[2].state = MIRROR_IN_SYNC;
	assert_false(mirror_generation_contains(&super, super.members[2].left));
}

/* As high as a superblock may say, it goes on, and what is written is valid. */
static void test_generations_do_not_end(void **state)
{
	struct mirror_super super = sample(), back;
	uint8_t block[MIRROR_SUPER_SIZE], uuid[DST_ID_SIZE];
	char reason[128];

	super.generation.counter = UINT64_MAX - 1;
	fill_id(uuid, 0x42);
	mirror_generation_raise(&super, uuid);
	mirror_super_encode(block, &super);
	assert_int_equal(mirror_super_decode(&back, block, mirror_least_size(&super), reason,
					     sizeof(reason)),
			 0);
	assert_memory_equal(back.generation.uuid, uuid, DST_ID_SIZE);
}

/* ---- maps ---- */

static void test_map_in_a_wrong_place(void **state)
{
	uint8_t bits[MIRROR_MAP_BITS / 8], bytes[MIRROR_MAP_BLOCK];
	struct mirror_super super = sample(), other = sample();

	super.data_size = other.data_size = (uint64_t)MIRROR_MAP_BITS * 3 * super.region_size;
	memset(bits, 0, sizeof(bits));
	mirror_map_encode(bytes, &super, 1, 1, bits);
	assert_true(mirror_map_decode(bits, &super, 1, 1, bytes));
	assert_int_equal(bits[0], 0);
	assert_false(mirror_map_decode(bits, &super, 0, 1, bytes));
	assert_int_equal(bits[0], 0xff);
	assert_int_equal(bits[sizeof(bits) - 1], 0xff);
	assert_false(mirror_map_decode(bits, &super, 1, 2, bytes));
	other.set[15] ^= 1;
	assert_false(mirror_map_decode(bits, &other, 1, 1, bytes));
	other = super;
	other.self = 0; /* maps are the same on all nodes */
	assert_true(mirror_map_decode(bits, &other, 1, 1, bytes));
}

static void test_torn_map(void **state)
{
	uint8_t bits[MIRROR_MAP_BITS / 8] = {0}, old[MIRROR_MAP_BLOCK], new[MIRROR_MAP_BLOCK];
	struct mirror_super super = sample();

	mirror_map_encode(old, &super, 0, 0, bits);
	bits[3] = 0x21;
	bits[150] = 0xff;
	mirror_map_encode(new, &super, 0, 0, bits);
	for (unsigned cut = 1; cut < MIRROR_MAP_BLOCK; cut++) {
		uint8_t torn[MIRROR_MAP_BLOCK];

		memcpy(torn, new, cut);
		memcpy(torn + cut, old + cut, sizeof(torn) - cut);
		if (cut > 32 + 150)
			assert_memory_equal(torn, new, sizeof(torn)); /* it was all over */
		else
			assert_false(mirror_map_decode(bits, &super, 0, 0, torn));
	}
	memset(new, 0, sizeof(new));
	assert_false(mirror_map_decode(bits, &super, 0, 0, new)); /* never written */
}

/* The last piece has bits for regions that aren't there: they never come out. */
static void test_map_end(void **state)
{
	struct mirror_super super = sample();

	for (unsigned regions = 1; regions < 70; regions++) {
		uint8_t bits[MIRROR_MAP_BITS / 8], bytes[MIRROR_MAP_BLOCK] = {0};
		unsigned set = 0;

		super.data_size = (uint64_t)(MIRROR_MAP_BITS + regions) * super.region_size;
		assert_int_equal(mirror_map_pieces(&super), 2);
		assert_false(mirror_map_decode(bits, &super, 0, 0, bytes));
		for (unsigned i = 0; i < sizeof(bits); i++)
			assert_int_equal(bits[i], 0xff);
		assert_false(mirror_map_decode(bits, &super, 0, 1, bytes));
		for (unsigned i = 0; i < MIRROR_MAP_BITS; i++)
			set += bits[i / 8] >> i % 8 & 1;
		assert_int_equal(set, regions);
		assert_int_equal(bits[(regions - 1) / 8] >> (regions - 1) % 8, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_super),
		cmocka_unit_test(test_golden_map),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_region_sizes),
		cmocka_unit_test(test_digest_covers_all),
		cmocka_unit_test(test_hostile_fields),
		cmocka_unit_test(test_two_members_with_one_id),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_torn_writes),
		cmocka_unit_test(test_one_left),
		cmocka_unit_test(test_same_sequence),
		cmocka_unit_test(test_bad_content_is_not_passed_over),
		cmocka_unit_test(test_grown_node),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_generations_do_not_end),
		cmocka_unit_test(test_map_in_a_wrong_place),
		cmocka_unit_test(test_torn_map),
		cmocka_unit_test(test_map_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
