/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_copy.c - nodes that come back, regions that may differ and blocks that can't be read
 * are made equal, with nothing newer overwritten and nothing told too early.
 */
#include "test/unit/mirror_fixture.h"

#include "dstfs/mirror_copy_impl.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

static uint64_t data_size(void)
{
	return mirror_data_size(DISK_SIZE);
}

static bool identical(unsigned a, unsigned b)
{
	return !memcmp(f.disks[a].image, f.disks[b].image, data_size());
}

/* As if users had been idle for long, and what failed were due. */
static void copy_now(void)
{
	struct mirror_copy *copy = f.mirror->copy;

	for (unsigned i = 0; i < 50; i++) {
		copy->users_at = 0;
		mirror_copy_poke(f.mirror);
		settle();
	}
}


/* A node that failed is looked at again, and is to be copied to. */
static void come_back(unsigned at)
{
	disk_revive(at);
	retry_now();
	retry_now();
}

static void begin(unsigned count)
{
	begin_in_sync(count);
	start();
}

/* Disk `at` misses writes of 4 KiB into these regions. */
static void miss(unsigned at, const unsigned *regions, unsigned count)
{
	disk_die(at);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(do_write(regions[i] * REGION, 4096, (uint8_t)(0x40 + regions[i])),
				 0);
	assert_int_equal(f.mirror->nodes[at].state, MIRROR_NODE_FAILED);
}

static void only_what_was_missed_is_copied(void **state)
{
	static const unsigned regions[] = {3, 4, 9};

	begin(2);
	assert_int_equal(do_write(0, REGION, 7), 0);
	for (unsigned i = 0; i < 3; i++)
		look_now(); /* so that region 0 isn't marked any more */
	miss(1, regions, 3);
	f.disks[1].writes = f.disks[1].reads = 0;
	come_back(1);
	copy_now();
	look_now();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_IN_SYNC);
	assert_true(identical(0, 1));
	/* And regions that were marked ahead, which are seen to be equal. */
	assert_int_equal(f.disks[1].writes, 2);
	assert_in_range(f.disks[1].reads, 3, 20);
	assert_int_equal(f.mirror->copy->all.sent, 3 * REGION);
	stop();
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_missed_is_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
