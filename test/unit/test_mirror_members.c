/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_mirror_members.c - nodes are suspended, detached, put back, distrusted and trusted by command. */
#include "dstfs/mirror_members.h"

#include "test/unit/mirror_orders.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

/* Gives the command about a node: its number, or 0 if it is refused. */
static json_int_t give_node(const char *command, const char *node, bool trust)
{
	return give(command, json_pack("{s:s, s:b}", "node", node, "trust", (int)trust));
}

static void obey(const char *command, const char *node)
{
	json_int_t order = give_node(command, node, false);

	if (!order)
		fail_msg("%s %s: %s", command, node, why);
	settle();
	if (strcmp(ended(order), "done") != 0)
		fail_msg("%s %s: %s: %s", command, node, ended(order), why);
}

static void attach_trusting(const char *node)
{
	json_int_t order = give_node("node-attach", node, true);

	assert_int_not_equal(order, 0);
	settle();
	assert_string_equal(ended(order), "done");
}

static void refused(const char *command, const char *node, const char *text)
{
	if (give_node(command, node, false))
		fail_msg("%s %s is not refused", command, node);
	if (!strstr(why, text))
		fail_msg("%s %s: \"%s\" without \"%s\"", command, node, why, text);
}

static enum mirror_node_state state_of(unsigned at)
{
	return f.mirror->nodes[at].state;
}

static const struct mirror_member *recorded(unsigned disk, unsigned slot)
{
	static struct mirror_super super;

	super = disk_super(disk);
	return &super.members[slot];
}

static void bring_up_to_date(void)
{
	copy_now();
	look_now();
	retry_now();
}

static uint64_t compared(void)
{
	return f.mirror->copy->all.compared;
}

/* The same data on all disks, and all in sync. */
static void check_equal(void)
{
	for (unsigned i = 0; i < f.count; i++) {
		assert_int_equal(state_of(i), MIRROR_NODE_IN_SYNC);
		assert_memory_equal(f.disks[i].image, f.disks[0].image,
				    mirror_data_size(DISK_SIZE));
	}
}

static void begin(unsigned count)
{
	begin_in_sync(count);
	start();
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_write(i * REGION, 4096, (uint8_t)(10 + i)), 0);
	look_now();
	look_now();
	look_now(); /* nothing is marked */
}

static void end(void)
{
	stop();
	fixture_end();
}

static void one_that_is_suspended_gets_nothing_until_it_is_resumed(void **state)
{
	begin(2);
	obey("node-suspend", "b");
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_int_equal(recorded(0, 1)->state, MIRROR_ABSENT);
	assert_true(recorded(0, 1)->suspended);
	f.disks[1].writes = f.disks[1].reads = 0;
	assert_int_equal(do_write(3 * REGION, 4096, 99), 0);
	disk_die(1); /* its machine is started anew */
	settle();
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_int_equal(f.disks[1].writes + f.disks[1].reads, 0);
	assert_int_equal(f.disks[1].image[3 * REGION], 13);

	obey("node-resume", "b");
	assert_false(recorded(0, 1)->suspended);
	bring_up_to_date();
	check_equal();
	assert_true(compared() <= 8 * REGION); /* what was marked ahead, too */
	end();
}

static void it_stays_suspended_when_the_client_starts_anew(void **state)
{
	begin(3);
	obey("node-suspend", "b");
	assert_int_equal(do_write(0, 4096, 99), 0);
	stop();
	start();
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_int_equal(f.target->state, TARGET_READY);
	stop();
	f.disks[1].dead = true; /* not even there: it can only be that member */
	f.disks[1].base.state = TARGET_CONNECTING;
	f.options.start_wait = 0;
	start();
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_int_equal(f.mirror->nodes[1].slot, MIRROR_NO_SLOT);
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_int_equal(f.mirror->nodes[1].slot, 1); /* now it is known */
	obey("node-resume", "b");
	bring_up_to_date();
	check_equal();
	end();
}

/* Which member it is can't be told before: another one is away, too. */
static void it_stays_out_when_it_comes_late(void **state)
{
	begin(3);
	obey("node-detach", "b");
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 99), 0);
	stop();
	for (unsigned i = 1; i < 3; i++) {
		f.disks[i].dead = true;
		f.disks[i].base.state = TARGET_CONNECTING;
	}
	f.options.start_wait = 0;
	start();
	assert_int_equal(state_of(1), MIRROR_NODE_UNKNOWN);
	refused("node-attach", "b", "isn't known which member");
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_DETACHED);
	disk_revive(2);
	retry_now();
	obey("node-attach", "b");
	bring_up_to_date();
	check_equal();
	end();
}

static void one_that_is_away_can_be_suspended_and_resumed(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 99), 0);
	assert_int_equal(state_of(1), MIRROR_NODE_FAILED);
	obey("node-suspend", "b");
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	disk_die(1);
	obey("node-resume", "b");
	assert_non_null(strstr(why, "when it is back"));
	disk_revive(1);
	retry_now();
	bring_up_to_date();
	check_equal();
	end();
}

static void one_that_is_being_resynced_can_be_suspended(void **state)
{
	begin(2);
	mirror_copy_pause(f.mirror, true);
	obey("node-dirty", "b");
	assert_int_equal(state_of(1), MIRROR_NODE_RESYNC);
	obey("node-suspend", "b");
	/* It isn't whole, and doesn't look as if it were. */
	assert_int_equal(disk_super(1).members[1].state, MIRROR_INCONSISTENT);
	stop();
	start();
	obey("node-resume", "b");
	bring_up_to_date();
	check_equal();
	assert_true(compared() >= mirror_data_size(DISK_SIZE));
	end();
}

static void one_that_is_detached_is_a_clean_image(void **state)
{
	struct mirror_super super;
	uint8_t *image = malloc(DISK_SIZE);

	begin(3);
	assert_int_equal(do_write(5 * REGION, 4096, 77), 0); /* marked */
	obey("node-detach", "b");
	assert_int_equal(state_of(1), MIRROR_NODE_DETACHED);
	assert_true(recorded(0, 1)->detached && !recorded(0, 1)->suspended);
	assert_true(recorded(2, 1)->detached);
	super = disk_super(1);
	assert_true(super.clean && super.taken_out);
	assert_true(mirror_generation_contains(&f.mirror->super, super.generation.uuid));
	for (unsigned r = 0; r < f.mirror->regions; r++)
		assert_false(disk_map_bit(1, 0, r));
	assert_memory_equal(f.disks[0].image, f.disks[1].image, super.data_size);

	memcpy(image, f.disks[1].image, DISK_SIZE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_write(i * REGION, 4096, 50), 0);
	look_now();
	retry_now();
	stop();
	start();
	assert_int_equal(state_of(1), MIRROR_NODE_DETACHED);
	detach();
	start();
	assert_memory_equal(image, f.disks[1].image, DISK_SIZE);
	free(image);
	attach_trusting("b");
	bring_up_to_date();
	check_equal();
	super = disk_super(1);
	assert_false(super.clean || super.taken_out);
	end();
}

/* Only regions that were written since, or marked then, are looked at. */
static void what_was_not_modified_gets_what_it_missed(void **state)
{
	begin(2);
	obey("node-detach", "b");
	assert_int_equal(do_write(9 * REGION, 4096, 42), 0);
	attach_trusting("b");
	bring_up_to_date();
	check_equal();
	assert_true(compared() <= 8 * REGION);
	end();
}

static void what_may_have_been_modified_is_compared_as_a_whole(void **state)
{
	begin(2);
	obey("node-detach", "b");
	f.disks[1].image[20 * REGION + 5] = 1; /* somebody has written to it */
	mirror_copy_pause(f.mirror, true);
	obey("node-attach", "b");
	assert_int_equal(state_of(1), MIRROR_NODE_RESYNC);
	mirror_copy_pause(f.mirror, false);
	bring_up_to_date();
	check_equal();
	assert_true(compared() >= mirror_data_size(DISK_SIZE));
	end();
}

/* A write that is under way there when it leaves is over, one way or the other, before the image is. */
static void the_image_is_there_when_nothing_can_come_any_more(void **state)
{
	struct io io = {.done = false};
	json_int_t order;
	unsigned first;

	begin(2);
	f.disks[1].holds_data = true;
	f.disks[1].orphans_stay = true;
	io_write_begin(&io, 0, 4096, 66);
	settle();
	order = give_node("node-detach", "b", false);
	settle();
	assert_true(io.done); /* nobody waits for it */
	assert_int_equal(io.error, 0);
	assert_string_equal(ended(order), "running");
	assert_false(recorded(0, 1)->detached);
	first = f.record_count;
	disk_drop_orphans(&f.disks[1]);
	settle();
	assert_string_equal(ended(order), "done");
	assert_true(recorded(0, 1)->detached);
	for (unsigned i = first; i < f.record_count; i++)
		if (f.records[i].disk == 1 && f.records[i].type == RECORD_WRITE)
			assert_true(f.records[i].range.offset >= mirror_data_size(DISK_SIZE));
	io_write_end(&io);
	end();
}

static void one_that_goes_away_meanwhile_is_suspended(void **state)
{
	json_int_t order;

	begin(2);
	f.disks[1].flush_error = EIO;
	order = give_node("node-detach", "b", false);
	settle();
	assert_string_equal(ended(order), "failed");
	assert_non_null(strstr(why, "could not be flushed"));
	assert_int_equal(state_of(1), MIRROR_NODE_SUSPENDED);
	assert_false(disk_super(1).taken_out);
	f.disks[1].flush_error = NO_ERROR;
	obey("node-resume", "b");
	bring_up_to_date();
	check_equal();
	end();
}

/* Started alone by force it goes on from its own generation: what the others wrote isn't overwritten. */
static void a_backup_that_was_started_alone_is_split_brain(void **state)
{
	begin(2);
	obey("node-detach", "b");
	assert_int_equal(do_write(0, 4096, 90), 0);
	detach();
	f.has_witness = false;
	f.options.start.force = true;
	f.disks[0].base.state = TARGET_CONNECTING;
	f.disks[0].dead = true;
	start();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_write(REGION, 4096, 91), 0);
	detach();
	f.disks[0].base.state = TARGET_READY;
	f.disks[0].dead = false;
	start();
	assert_int_equal(f.target->state, TARGET_REFUSED);
	assert_non_null(strstr(f.mirror->reason, "split brain"));
	end();
}

static void one_that_is_dirty_is_not_read_before_it_was_compared(void **state)
{
	begin(2);
	f.disks[1].image[20 * REGION] = 7; /* rot */
	mirror_copy_pause(f.mirror, true);
	obey("node-dirty", "b");
	assert_int_equal(state_of(1), MIRROR_NODE_RESYNC);
	assert_int_equal(f.mirror->read_set, 1);
	assert_int_equal(disk_super(1).members[1].state, MIRROR_INCONSISTENT);
	mirror_region_copied(f.mirror, &f.mirror->nodes[1], 3);
	assert_int_equal(mirror_region_to_copy(f.mirror, &f.mirror->nodes[1], 3), 4);
	obey("node-dirty", "b"); /* all over again */
	assert_int_equal(mirror_region_to_copy(f.mirror, &f.mirror->nodes[1], 3), 3);
	mirror_copy_pause(f.mirror, false);
	bring_up_to_date();
	check_equal();
	end();
}

static void one_that_is_declared_clean_is_not_compared(void **state)
{
	begin(2);
	f.disks[1].image[20 * REGION] = 7;
	mirror_copy_pause(f.mirror, true);
	obey("node-dirty", "b");
	obey("node-clean", "b");
	mirror_copy_pause(f.mirror, false);
	assert_int_equal(state_of(1), MIRROR_NODE_IN_SYNC);
	assert_int_equal(recorded(1, 1)->state, MIRROR_IN_SYNC);
	assert_int_equal(mirror_bits_sum(&f.mirror->missed[1].bits), 0);
	bring_up_to_date();
	assert_int_equal(f.disks[1].image[20 * REGION], 7);
	stop();
	start();
	assert_int_equal(state_of(1), MIRROR_NODE_IN_SYNC);
	end();
}

static void what_would_lose_data_is_refused(void **state)
{
	begin(2);
	refused("node-resume", "a", "is not suspended");
	refused("node-attach", "a", "is not detached");
	refused("node-clean", "a", "in sync already");
	obey("node-detach", "b");
	assert_int_equal(do_write(0, 4096, 1), 0);
	refused("node-suspend", "a", "the last node in sync");
	refused("node-detach", "a", "the last node in sync");
	refused("node-dirty", "a", "the last node in sync");
	refused("node-detach", "b", "is detached already");
	refused("node-suspend", "b", "attached again");
	refused("node-resume", "b", "dstctl node attach");
	refused("node-clean", "b", "attach it first");
	disk_die(1);
	refused("node-attach", "b", "b is away");
	f.disks[1].base.state = TARGET_FENCED;
	refused("node-attach", "b", "another writer");
	disk_revive(1);
	mirror_copy_pause(f.mirror, true);
	attach_trusting("b");
	refused("node-detach", "b", "being resynced");
	mirror_copy_pause(f.mirror, false);
	bring_up_to_date();
	check_equal();
	disk_die(1);
	refused("node-suspend", "a", "only one that answers");
	refused("node-detach", "b", "is away");
	assert_int_equal(give_node("node-suspend", "x", false), 0);
	assert_string_equal(why, ""); /* who asks knows which volume it is */
	end();
}

static void who_keeps_a_majority_keeps_it(void **state)
{
	begin_in_sync(3);
	f.options.start.majority = true;
	start();
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 1), 0);
	refused("node-suspend", "b", "majority");
	assert_int_equal(do_write(0, 4096, 2), 0);
	end();
}

static void there_stay_min_nodes(void **state)
{
	begin_in_sync(3);
	f.options.start.min_nodes = 2;
	start();
	obey("node-suspend", "c");
	refused("node-detach", "b", "min_nodes");
	refused("node-dirty", "b", "min_nodes");
	assert_int_equal(do_write(0, 4096, 2), 0);
	end();
}

static void one_command_at_a_time_for_a_node(void **state)
{
	json_int_t order;

	begin(3);
	f.disks[1].holds_data = true;
	f.disks[0].holds_metadata = true;
	order = give_node("node-suspend", "b", false);
	refused("node-detach", "b", "still under way");
	disk_release(&f.disks[0]);
	settle();
	assert_string_equal(ended(order), "done");
	end();
}

/* All nodes fail while it is being recorded, or the volume is unmounted. */
static void an_order_that_is_cut_off_has_failed(void **state)
{
	json_int_t order;

	begin(2);
	f.disks[0].holds_metadata = true;
	order = give_node("node-detach", "b", false);
	settle();
	assert_string_equal(ended(order), "running");
	assert_true(target_destroy(&f.target));
	fixture_end();
}

static void a_fence_ends_what_is_under_way(void **state)
{
	json_int_t order;

	begin(2);
	f.disks[1].orphans_stay = f.disks[1].holds_data = true;
	{
		struct io io = {.done = false};

		io_write_begin(&io, 0, 4096, 66);
		settle();
		order = give_node("node-detach", "b", false);
		settle();
		io_write_end(&io);
	}
	assert_string_equal(ended(order), "running");
	disk_set_state(&f.disks[0], TARGET_FENCED);
	settle();
	assert_string_equal(ended(order), "failed");
	refused("node-resume", "b", "fenced");
	disk_drop_orphans(&f.disks[1]);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_suspended_gets_nothing_until_it_is_resumed),
		cmocka_unit_test(it_stays_suspended_when_the_client_starts_anew),
		cmocka_unit_test(it_stays_out_when_it_comes_late),
		cmocka_unit_test(one_that_is_away_can_be_suspended_and_resumed),
		cmocka_unit_test(one_that_is_being_resynced_can_be_suspended),
		cmocka_unit_test(one_that_is_detached_is_a_clean_image),
		cmocka_unit_test(what_was_not_modified_gets_what_it_missed),
		cmocka_unit_test(what_may_have_been_modified_is_compared_as_a_whole),
		cmocka_unit_test(the_image_is_there_when_nothing_can_come_any_more),
		cmocka_unit_test(one_that_goes_away_meanwhile_is_suspended),
		cmocka_unit_test(a_backup_that_was_started_alone_is_split_brain),
		cmocka_unit_test(one_that_is_dirty_is_not_read_before_it_was_compared),
		cmocka_unit_test(one_that_is_declared_clean_is_not_compared),
		cmocka_unit_test(what_would_lose_data_is_refused),
		cmocka_unit_test(who_keeps_a_majority_keeps_it),
		cmocka_unit_test(there_stay_min_nodes),
		cmocka_unit_test(one_command_at_a_time_for_a_node),
		cmocka_unit_test(an_order_that_is_cut_off_has_failed),
		cmocka_unit_test(a_fence_ends_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
