/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_admin.c - a person says what a mirror goes on from, and who its members are. And each of
 * that is cut off at every single write, and started anew from what was there then.
 *
 * timeout: 300
 */
#include "dstfs/mirror_admit.h"
#include "dstfs/mirror_resize.h"
#include "dstfs/mirror_resolve.h"

#include "test/unit/mirror_orders.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)
#define MAX_SITES 8u

/* ---- orders ---- */

static json_int_t obey(const char *command, json_t *request)
{
	json_int_t order = give(command, request);

	if (!order)
		fail_msg("%s: %s", command, why);
	settle();
	if (strcmp(ended(order), "done") != 0)
		fail_msg("%s: %s: %s", command, ended(order), why);
	return order;
}

static void refused(const char *command, json_t *request, const char *text)
{
	if (give(command, request))
		fail_msg("%s is not refused", command);
	if (!strstr(why, text))
		fail_msg("%s: \"%s\" without \"%s\"", command, why, text);
}

static json_t *of_node(const char *name, bool force)
{
	return json_pack("{s:s, s:b}", "node", name, "force", (int)force);
}

static json_t *choice(const char *keep, json_int_t survey)
{
	json_t *request = json_object();

	if (keep)
		json_object_set_new(request, "keep", json_string(keep));
	if (survey)
		json_object_set_new(request, "survey", json_integer(survey));
	return request;
}

/* What was shown is done. */
static void choose(const char *command, const char *keep)
{
	obey(command, choice(keep, obey(command, choice(keep, 0))));
}

/* ---- disks ---- */

static enum mirror_node_state state_of(unsigned at)
{
	return f.mirror->nodes[at].state;
}

static void bring_up_to_date(void)
{
	for (unsigned i = 0; i < 3; i++) {
		retry_now();
		copy_now();
		look_now();
	}
}

static void check_equal(unsigned mask)
{
	unsigned first = (unsigned)__builtin_ctz(mask);

	for (unsigned i = 0; i < f.count; i++) {
		if (!(mask & 1u << i))
			continue;
		assert_int_equal(state_of(i), MIRROR_NODE_IN_SYNC);
		assert_memory_equal(f.disks[i].image, f.disks[first].image,
				    mirror_data_size(DISK_SIZE));
	}
}

/* A new medium in its place; what is recorded knows of it. */
static void disk_blank(unsigned at)
{
	static const uint8_t zeros[DISK_SIZE];

	memset(f.disks[at].image, 0, DISK_SIZE);
	record_write(&f.disks[at], (struct range){0, DISK_SIZE}, zeros, true);
}

static void begin(unsigned count)
{
	begin_in_sync(count);
	start();
	for (unsigned i = 0; i < MAX_SITES; i++)
		assert_int_equal(do_write(i * REGION, 4096, (uint8_t)(10 + i)), 0);
}

static void end(void)
{
	stop();
	fixture_end();
}

/* With the nodes of a mask there. */
static void start_with(unsigned present)
{
	for (unsigned i = 0; i < f.count; i++) {
		bool there = present & 1u << i;

		f.disks[i].dead = !there;
		f.disks[i].base.state = there ? TARGET_READY : TARGET_CONNECTING;
	}
	start();
}

/* a has 50 in region 0, b has 60 in region 1 and 2; neither knows of the other's. */
static void split(void)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	stop();
	start_with(2);
	assert_int_equal(f.target->state, TARGET_REFUSED);
	choose("mirror-start", NULL);
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_write(REGION, 4096, 60), 0);
	assert_int_equal(do_write(2 * REGION, 4096, 60), 0);
	stop();
}

/* ---- what it goes on from ---- */

static void a_start_by_force_is_surveyed_first(void **state)
{
	json_int_t survey;

	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	stop();
	start_with(2);
	survey = obey("mirror-start", choice(NULL, 0));
	assert_non_null(strstr(why, "stale"));
	assert_non_null(strstr(why, "lost: what only others have"));
	assert_int_equal(f.target->state, TARGET_REFUSED);
	refused("mirror-start", choice(NULL, survey + 1), "has changed");
	disk_revive(0); /* so what was shown isn't what is there */
	settle();
	assert_int_equal(f.target->state, TARGET_READY);
	refused("mirror-start", choice(NULL, survey), "has started already");
	assert_int_equal(do_read(0), 50);
	end();
}

static void what_is_forced_once_is_not_forced_for_ever(void **state)
{
	begin(2);
	stop();
	start_with(1);
	assert_int_equal(f.target->state, TARGET_CONNECTING);
	choose("mirror-start", NULL);
	assert_int_equal(f.target->state, TARGET_READY);
	assert_false(f.mirror->options.start.force);
	assert_int_equal(do_write(0, 4096, 70), 0);
	disk_revive(1); /* it was not written to: everything is compared */
	bring_up_to_date();
	check_equal(3);
	assert_int_equal(do_read(0), 70);
	end();
}

static void a_split_is_resolved_while_it_waits(void **state)
{
	split();
	start_with(3);
	assert_int_equal(f.target->state, TARGET_REFUSED);
	refused("mirror-resolve", choice("c", 0), "no node c");
	refused("mirror-start", choice(NULL, 0), "split brain");
	obey("mirror-resolve", choice("a", 0));
	assert_non_null(strstr(why, "kept: a, as it is in generation 2"));
	assert_non_null(strstr(why, "lost: what only b has"));
	assert_non_null(strstr(why, "since generation 1"));
	choose("mirror-resolve", "a");
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_read(0), 50);
	assert_int_equal(do_read(REGION), 11);
	bring_up_to_date();
	check_equal(3);
	assert_int_equal(do_read(2 * REGION), 12);
	detach();
	start_with(2); /* and b is one of them again */
	assert_int_equal(f.target->state, TARGET_CONNECTING);
	end();
}

static void what_was_shown_for_one_side_is_not_done_for_the_other(void **state)
{
	json_int_t survey;

	split();
	start_with(3);
	survey = obey("mirror-resolve", choice("a", 0));
	refused("mirror-resolve", choice("b", survey), "has changed");
	assert_int_equal(f.target->state, TARGET_REFUSED);
	end();
}

static void a_stale_node_is_kept(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	stop();
	start_with(2);
	choose("mirror-resolve", "b");
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(do_read(0), 10);
	assert_int_equal(do_write(REGION, 4096, 60), 0);
	disk_revive(0); /* its generation is none of b's ancestors */
	bring_up_to_date();
	assert_int_equal(state_of(0), MIRROR_NODE_REFUSED);
	obey("mirror-resolve", choice("b", 0));
	assert_non_null(strstr(why, "lost: what only a has"));
	refused("mirror-resolve", choice("a", 0), "runs without a");
	choose("mirror-resolve", "b");
	bring_up_to_date();
	check_equal(3);
	assert_int_equal(do_read(0), 10);
	end();
}

static void there_may_be_nothing_to_resolve(void **state)
{
	begin(2);
	refused("mirror-resolve", choice("a", 0), "nothing to resolve");
	refused("mirror-start", choice(NULL, 0), "has started already");
	end();
}

/* ---- members ---- */

static void a_replaced_medium_gets_everything(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	refused("mirror-replace", of_node("b", false), "is not there");
	disk_blank(1);
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_REFUSED);
	refused("mirror-replace", of_node("a", true), "nothing to replace");
	obey("mirror-replace", of_node("b", false));
	assert_int_equal(state_of(1), MIRROR_NODE_RESYNC);
	refused("mirror-replace", of_node("b", true), "being brought up to date");
	bring_up_to_date();
	check_equal(3);
	assert_int_equal(f.mirror->members, 2);
	detach();
	start_with(3);
	check_equal(3);
	end();
}

static void a_known_member_is_not_replaced(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	f.disks[1].write_error = EIO; /* so that it fails again */
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_FAILED);
	refused("mirror-replace", of_node("b", true), "known member");
	f.disks[1].write_error = 0;
	end();
}

static void what_holds_something_else_needs_force(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	memcpy(f.disks[1].image, f.disks[0].image, DISK_SIZE); /* a copy of a */
	disk_revive(1);
	retry_now();
	assert_int_equal(state_of(1), MIRROR_NODE_REFUSED);
	refused("mirror-replace", of_node("b", false), "is not blank: another node is the same");
	obey("mirror-replace", of_node("b", true));
	bring_up_to_date();
	check_equal(3);
	end();
}

static void what_has_split_is_not_replaced(void **state)
{
	split();
	start_with(1);
	assert_int_equal(f.target->state, TARGET_REFUSED); /* the witness knows of b's */
	choose("mirror-start", NULL);
	disk_revive(1);
	settle();
	refused("mirror-replace", of_node("b", true), "mirror resolve vol0 --keep");
	end();
}

/* As assembly does: the disk's place is new. */
static void add_disk(unsigned at)
{
	static const char *const names[DISKS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	struct mirror_node *node;

	assert_true(mirror_may_add(f.target, names[at], &(struct reason){why, sizeof(why)}));
	node = mirror_next_node(f.target, names[at], false);
	f.disks[at].base.changed = mirror_node_changed;
	f.disks[at].base.changed_arg = node;
	mirror_join_node(node, &f.disks[at].base);
	disk_set_state(&f.disks[at], TARGET_READY);
}

static void a_third_node_is_added_and_another_removed(void **state)
{
	begin(2);
	f.count = 3;
	disk_init(2);
	add_disk(2);
	f.disks[2].data_size = mirror_data_size(DISK_SIZE);
	obey("node-admit", of_node("c", false));
	assert_int_equal(f.mirror->members, 3);
	assert_int_equal(do_write(0, 4096, 80), 0);
	bring_up_to_date();
	check_equal(7);
	obey("node-remove", of_node("a", false));
	assert_int_equal(f.mirror->members, 2);
	assert_null(mirror_find_node(f.mirror, "a"));
	assert_int_equal(do_write(0, 4096, 81), 0);
	refused("node-remove", of_node("b", false), "two members at least");
	assert_int_equal(f.disks[0].image[0], 80); /* a plain image */
	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		assert_int_equal(f.disks[0].image[mirror_super_offset(DISK_SIZE, i)], 0);
	assert_int_equal(do_read(0), 81);
	end();
}

static void who_is_away_is_removed_by_force(void **state)
{
	begin(3);
	disk_die(2);
	assert_int_equal(do_write(0, 4096, 50), 0);
	refused("node-remove", of_node("c", false), "--force removes it");
	obey("node-remove", of_node("c", true));
	assert_non_null(strstr(why, "still believes"));
	assert_int_equal(f.mirror->members, 2);
	stop();
	start_with(7); /* it is told why it isn't used, and doesn't keep the others from starting */
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(state_of(2), MIRROR_NODE_REFUSED);
	assert_int_equal(do_read(0), 50);
	stop();
	start_with(4); /* alone it waits for the others */
	assert_int_not_equal(f.target->state, TARGET_READY);
	end();
}

/* ---- cut off ---- */

static struct {
	uint8_t *begin[DISKS];
	struct mirror_witness witness;
	uint64_t size; /* of each; bytes */
	bool knows; /* the witness is there */
} cut;

static void remember(void)
{
	records_forget();
	cut.witness = f.witness;
	cut.size = f.disks[0].base.size;
	for (unsigned i = 0; i < f.count; i++) {
		cut.begin[i] = malloc(DISK_ROOM);
		memcpy(cut.begin[i], f.disks[i].image, DISK_ROOM);
	}
}

static void apply(uint8_t *images[DISKS], const struct record *record)
{
	if (record->type == RECORD_WRITE)
		memcpy(images[record->disk] + record->range.offset, record->data,
		       record->range.length);
	else if (record->type == RECORD_WITNESS)
		cut.witness = record->witness;
}

/* Only its first sector, or all the others. */
static void apply_torn(const struct record *record, unsigned tear)
{
	const unsigned sector = 512;
	uint8_t *at = f.disks[record->disk].image + record->range.offset;

	if (record->type != RECORD_WRITE || record->range.length <= sector)
		return;
	if (tear == 1)
		memcpy(at, record->data, sector);
	else
		memcpy(at + sector, record->data + sector, record->range.length - sector);
}

/*
 * From after remember() on, for each write: the nodes of each mask, with and without the witness. check()
 * is told whether it has started.
 */
static void cut_everywhere(void (*check)(unsigned present, bool started))
{
	struct record *records = f.records;
	unsigned record_count = f.record_count;

	assert_true(record_count > 4);
	f.records = calloc(RECORDS, sizeof(*f.records));
	f.record_count = 0;
	for (unsigned at = 0; at <= record_count; at++) {
		for (unsigned way = 2; way < 6u << f.count; way++) {
			const unsigned tear = way >> (f.count + 1);
			const unsigned present = (way >> 1) & ((1u << f.count) - 1);

			if (!present)
				continue;
			cut.knows = way & 1;
			f.witness =
				cut.knows ? cut.witness : (struct mirror_witness){.known = false};
			for (unsigned i = 0; i < f.count; i++) {
				disk_init(i);
				memcpy(f.disks[i].image, cut.begin[i], DISK_ROOM);
				f.disks[i].base.size = cut.size;
			}
			if (tear && at < record_count)
				apply_torn(&records[at], tear);
			start_with(present);
			check(present, f.target->state == TARGET_READY);
			stop();
			records_forget();
		}
		if (at < record_count)
			apply(cut.begin, &records[at]);
	}
	for (unsigned i = 0; i < record_count; i++)
		free(records[i].data);
	free(records);
	for (unsigned i = 0; i < f.count; i++)
		free(cut.begin[i]);
}

/* Either nobody is served, or what a has, and b comes to be like it. */
static void check_resolved(unsigned present, bool started)
{
	if (!started)
		return;
	bring_up_to_date();
	if (do_read(0) == 50) { /* a's */
		assert_int_equal(do_read(REGION), 11);
		assert_int_equal(do_read(2 * REGION), 12);
		if (present == 3 && state_of(1) == MIRROR_NODE_IN_SYNC)
			check_equal(3);
		return;
	}
	/* b serves alone only as long as it was told nothing. */
	assert_int_equal(present, 2);
	assert_int_equal(do_read(REGION), 60);
}

static void resolving_is_cut_off(void **state)
{
	split();
	start_with(3);
	remember();
	choose("mirror-resolve", "a");
	bring_up_to_date();
	stop();
	cut_everywhere(check_resolved);
	fixture_end();
}

static void check_last_write(unsigned present, bool started)
{
	if (!started)
		return;
	bring_up_to_date();
	assert_int_equal(do_read(0), 50);
	for (unsigned i = 1; i < MAX_SITES; i++)
		assert_int_equal(do_read(i * REGION), 10 + i);
}

static void replacing_is_cut_off(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 50), 0);
	disk_blank(1);
	disk_revive(1);
	retry_now();
	remember();
	obey("mirror-replace", of_node("b", false));
	bring_up_to_date();
	check_equal(3);
	stop();
	cut_everywhere(check_last_write);
	fixture_end();
}

static void adding_is_cut_off(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, 4096, 50), 0);
	f.count = 3;
	disk_init(2);
	f.disks[2].data_size = mirror_data_size(DISK_SIZE);
	remember();
	add_disk(2);
	obey("node-admit", of_node("c", false));
	bring_up_to_date();
	check_equal(7);
	stop();
	cut_everywhere(check_last_write);
	fixture_end();
}

/* The last write was acknowledged when b was none of them any more. */
static void check_removed(unsigned present, bool started)
{
	int first;

	if (!started)
		return;
	bring_up_to_date();
	first = do_read(0);
	assert_true(first == 10 || first == 50);
	assert_true(present != 2); /* b doesn't start alone */
	for (unsigned i = 1; i < MAX_SITES; i++)
		assert_int_equal(do_read(i * REGION), 10 + i);
}

static void removing_is_cut_off(void **state)
{
	begin(3);
	remember();
	obey("node-remove", of_node("b", false));
	assert_int_equal(do_write(0, 4096, 50), 0);
	stop();
	cut_everywhere(check_removed);
	fixture_end();
}

/* ---- growing ---- */

#define GROWN DISK_ROOM

static void grow(unsigned at)
{
	f.disks[at].base.size = GROWN;
	f.disks[at].base.changed(f.disks[at].base.changed_arg);
	settle();
}

static json_t *size_of(uint64_t size)
{
	return size ? json_pack("{s:I}", "size", (json_int_t)size) : json_object();
}

/* Data where it has grown is the same on all nodes, and can be written. */
static void check_grown(unsigned mask)
{
	uint64_t last = mirror_data_room(GROWN, MIRROR_MIN_REGION) - 4096;
	unsigned first = (unsigned)__builtin_ctz(mask);

	assert_int_equal(f.target->size, last + 4096);
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].data_size = last + 4096;
	assert_int_equal(do_write(last, 4096, 99), 0);
	bring_up_to_date();
	assert_int_equal(do_read(last), 99);
	for (unsigned i = 0; i < f.count; i++)
		if (mask & 1u << i && state_of(i) == MIRROR_NODE_IN_SYNC)
			assert_memory_equal(f.disks[i].image, f.disks[first].image, last + 4096);
}

static void it_grows_while_in_use(void **state)
{
	const uint64_t before = mirror_data_size(DISK_SIZE);
	unsigned changed;

	begin(2);
	refused("volume-resize", size_of(0), "grow all of them");
	grow(0);
	refused("volume-resize", size_of(0), "grow all of them");
	grow(1);
	refused("volume-resize", size_of(before - MIRROR_BLOCK), "doesn't shrink");
	refused("volume-resize", size_of(before), "grow all of them");
	refused("volume-resize", size_of(before + MIRROR_BLOCK), "must be 2097152 bytes at least");
	refused("volume-resize", size_of(GROWN), "room for");
	assert_int_equal(f.target->size, before);
	memset(f.disks[1].image + DISK_SIZE, 0x55, MIRROR_BLOCK); /* it isn't the same there */
	changed = f.changed;
	obey("volume-resize", size_of(0));
	assert_true(f.changed > changed);
	check_grown(3);
	for (unsigned i = 0; i < MAX_SITES; i++)
		assert_int_equal(do_read(i * REGION), 10 + i);
	for (uint64_t at = before; at < DISK_SIZE; at++) /* nothing is left of what was there */
		if (f.disks[0].image[at])
			fail_msg("byte %llu", (unsigned long long)at);
	detach();
	start();
	check_grown(3);
	end();
}

static void it_grows_to_a_size(void **state)
{
	begin(2);
	grow(0);
	grow(1);
	obey("volume-resize", size_of(DISK_SIZE + MIRROR_BLOCK));
	assert_int_equal(f.target->size, DISK_SIZE + MIRROR_BLOCK);
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].data_size = DISK_SIZE + MIRROR_BLOCK;
	bring_up_to_date();
	assert_int_equal(do_write(DISK_SIZE, 4096, 99), 0);
	disk_die(1);
	assert_int_equal(do_write(DISK_SIZE, 4096, 98), 0);
	disk_revive(1);
	bring_up_to_date();
	assert_int_equal(state_of(1), MIRROR_NODE_IN_SYNC);
	assert_int_equal(f.disks[1].image[DISK_SIZE], 98);
	end();
}

static void it_grows_only_with_all_in_sync(void **state)
{
	begin(2);
	grow(0);
	grow(1);
	disk_die(1);
	refused("volume-resize", size_of(0), "must be in sync, and there");
	end();
}

/* A node fails at each of the writes in turn: the size is the old one, or the new one, and all goes on. */
static void a_node_may_fail_while_it_grows(void **state)
{
	for (unsigned nth = 1; nth < 40; nth++) {
		json_int_t order;

		begin(2);
		grow(0);
		grow(1);
		f.disks[1].fails_after = nth;
		order = give("volume-resize", size_of(0));
		settle();
		f.disks[1].fails_after = 0;
		assert_string_not_equal(ended(order), "running");
		assert_int_equal(do_write(0, 4096, 50), 0);
		bring_up_to_date();
		check_last_write(3, true);
		check_equal(3);
		if (f.target->size != mirror_data_size(DISK_SIZE))
			check_grown(3);
		end();
	}
}

static void check_size(unsigned present, bool started)
{
	if (present == 3 && cut.knows)
		assert_true(started);
	if (!started)
		return;
	check_last_write(present, started);
	if (f.target->size != mirror_data_size(DISK_SIZE))
		check_grown(present);
}

static void growing_is_cut_off(void **state)
{
	begin(2);
	assert_int_equal(do_write(0, 4096, 50), 0);
	grow(0);
	grow(1);
	remember();
	obey("volume-resize", size_of(0));
	bring_up_to_date();
	stop();
	cut_everywhere(check_size);
	fixture_end();
}

/* ---- more than one thing at once ---- */

static void two_are_not_removed_at_once(void **state)
{
	json_int_t first, second;

	begin(3);
	first = give("node-remove", of_node("b", false));
	second = give("node-remove", of_node("c", false));
	settle();
	assert_string_equal(ended(first), "done");
	assert_string_equal(ended(second), "failed");
	assert_non_null(strstr(why, "two members at least"));
	assert_int_equal(f.mirror->members, 2);
	assert_int_equal(state_of(2), MIRROR_NODE_IN_SYNC);
	end();
}

/* At each write in turn that node's write fails: it is added by the same commands in the end. */
static void an_addition_that_failed_is_made_up_for(void **state)
{
	for (unsigned nth = 1; nth < 12; nth++) {
		json_int_t order;

		begin(2);
		f.count = 3;
		disk_init(2);
		add_disk(2);
		f.disks[2].data_size = mirror_data_size(DISK_SIZE);
		f.disks[2].fails_after = nth;
		order = give("node-admit", of_node("c", false));
		settle();
		f.disks[2].fails_after = 0;
		assert_string_not_equal(ended(order), "running");
		bring_up_to_date();
		if (mirror_revive_node(f.target, "c"))
			obey("node-admit", of_node("c", false));
		else if (state_of(2) == MIRROR_NODE_REFUSED)
			obey("mirror-replace", of_node("c", false));
		bring_up_to_date();
		assert_int_equal(f.mirror->members, 3);
		check_equal(7);
		end();
	}
}

/* Its place is free for another one. */
static void who_was_lost_while_it_was_added_leaves_no_trace(void **state)
{
	json_int_t order;

	begin(2);
	f.count = 4;
	disk_init(2);
	disk_init(3);
	add_disk(2);
	order = give("node-admit", of_node("c", false));
	while (f.mirror->nodes[2].slot == MIRROR_NO_SLOT)
		one_turn();
	disk_die(2);
	settle();
	assert_string_equal(ended(order), "failed");
	add_disk(3);
	obey("node-admit", of_node("d", false));
	assert_int_equal(f.mirror->members, 3);
	end();
}

/* It may be one of the nodes by another name: taken over it would fence that. */
static void who_was_removed_is_not_attached_again(void **state)
{
	begin(3);
	obey("node-remove", of_node("c", false));
	disk_set_state(&f.disks[2], TARGET_FENCED);
	settle();
	assert_int_equal(f.target->ops->reattach(f.target, true), 0);
	assert_int_equal(f.disks[2].base.state, TARGET_FENCED);
	end();
}

static void what_is_added_may_be_too_small_by_now(void **state)
{
	json_int_t order;

	begin(2);
	grow(0);
	grow(1);
	f.count = 3;
	disk_init(2);
	add_disk(2);
	f.disks[2].data_size = mirror_data_size(DISK_SIZE);
	f.disks[2].holds_metadata = true;
	order = give("node-admit", of_node("c", false));
	settle();
	assert_string_equal(ended(order), "running");
	obey("volume-resize", size_of(0));
	disk_release(&f.disks[2]);
	settle();
	assert_string_equal(ended(order), "failed");
	assert_non_null(strstr(why, "smaller"));
	assert_int_equal(f.mirror->members, 2);
	end();
}

static void note_end(void *arg)
{
	*(bool *)arg = true;
}

/* A user's write keeps it waiting. */
static json_int_t give_resize(struct io *io)
{
	json_int_t order;

	begin(2);
	grow(0);
	grow(1);
	f.disks[1].holds_data = true;
	io_write_begin(io, 0, 4096, 70);
	settle();
	order = give("volume-resize", size_of(0));
	settle();
	assert_string_equal(ended(order), "running");
	return order;
}

static void growing_ends_with_a_fence(void **state)
{
	struct io io = {.done = false};
	json_int_t order = give_resize(&io);

	disk_set_state(&f.disks[0], TARGET_FENCED);
	settle();
	assert_string_equal(ended(order), "failed");
	disk_release(&f.disks[1]);
	settle();
	assert_true(io.done);
	io_write_end(&io);
	assert_int_equal(f.target->ops->reattach(f.target, false), 0);
	settle();
	assert_int_equal(f.target->state, TARGET_READY);
	assert_int_equal(f.target->size, mirror_data_size(DISK_SIZE));
	assert_int_equal(do_write(0, 4096, 71), 0);
	obey("volume-resize", size_of(0));
	check_grown(3);
	end();
}

static void a_node_may_shrink_before_it_grows(void **state)
{
	struct io io = {.done = false};
	json_int_t order = give_resize(&io);

	f.disks[1].base.size = DISK_SIZE + MIRROR_BLOCK;
	f.disks[1].base.changed(f.disks[1].base.changed_arg);
	disk_release(&f.disks[1]);
	settle();
	io_write_end(&io);
	assert_string_equal(ended(order), "failed");
	assert_int_equal(f.target->size, mirror_data_size(DISK_SIZE));
	assert_int_equal(do_write(0, 4096, 71), 0);
	check_equal(3);
	end();
}

/* What is new isn't equal yet, and must not be taken for that. */
static void who_ends_while_it_grows_compares_later(void **state)
{
	const uint64_t size = mirror_data_room(GROWN, MIRROR_MIN_REGION);
	bool done = false;

	begin(2);
	grow(0);
	grow(1);
	memset(f.disks[1].image + DISK_SIZE, 0x55, MIRROR_BLOCK);
	give("volume-resize", size_of(0));
	while (f.witness.sizes[0] != GROWN) /* then it is recorded */
		one_turn();
	f.disks[0].holds = true; /* what zeroes the old place */
	f.target->ops->detach(f.target, note_end, &done);
	settle();
	assert_false(done);
	disk_release(&f.disks[0]);
	settle();
	assert_true(done);
	stop();
	start();
	bring_up_to_date();
	assert_int_equal(f.target->size, size);
	assert_memory_equal(f.disks[0].image, f.disks[1].image, size);
	end();
}

/* The newest superblock stays until another one is. */
static void what_failed_to_move_goes_on_where_it_was(void **state)
{
	uint64_t next;
	bool found = false;

	begin(2);
	grow(0);
	grow(1);
	next = mirror_super_offset(DISK_SIZE, f.mirror->nodes[0].next_copy);
	assert_int_not_equal(f.mirror->nodes[0].next_copy, 0);
	records_forget();
	f.disks[1].fails_after = 1;
	give("volume-resize", size_of(0));
	settle();
	assert_int_equal(state_of(1), MIRROR_NODE_FAILED);
	for (unsigned i = 0; i < f.record_count && !found; i++) {
		const struct record *r = &f.records[i];

		found = r->type == RECORD_WRITE && !r->disk && r->range.offset < DISK_SIZE &&
			r->range.offset >= mirror_super_offset(DISK_SIZE, 0);
		if (found)
			assert_int_equal(r->range.offset, next);
	}
	assert_true(found);
	end();
}

/* What is shown is about the choice that it was asked for. */
static void a_second_choice_waits_for_the_first(void **state)
{
	json_int_t survey;

	split();
	start_with(3);
	f.disks[1].holds = true;
	survey = give("mirror-resolve", choice("a", 0));
	settle();
	assert_string_equal(ended(survey), "running");
	refused("mirror-resolve", choice("b", 0), "still under way");
	disk_release(&f.disks[1]);
	settle();
	assert_string_equal(ended(survey), "done");
	obey("mirror-resolve", choice("a", survey));
	assert_int_equal(do_read(0), 50);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_by_force_is_surveyed_first),
		cmocka_unit_test(what_is_forced_once_is_not_forced_for_ever),
		cmocka_unit_test(a_split_is_resolved_while_it_waits),
		cmocka_unit_test(what_was_shown_for_one_side_is_not_done_for_the_other),
		cmocka_unit_test(a_stale_node_is_kept),
		cmocka_unit_test(there_may_be_nothing_to_resolve),
		cmocka_unit_test(a_replaced_medium_gets_everything),
		cmocka_unit_test(a_known_member_is_not_replaced),
		cmocka_unit_test(what_holds_something_else_needs_force),
		cmocka_unit_test(what_has_split_is_not_replaced),
		cmocka_unit_test(a_third_node_is_added_and_another_removed),
		cmocka_unit_test(who_is_away_is_removed_by_force),
		cmocka_unit_test(resolving_is_cut_off),
		cmocka_unit_test(replacing_is_cut_off),
		cmocka_unit_test(adding_is_cut_off),
		cmocka_unit_test(removing_is_cut_off),
		cmocka_unit_test(it_grows_while_in_use),
		cmocka_unit_test(it_grows_to_a_size),
		cmocka_unit_test(it_grows_only_with_all_in_sync),
		cmocka_unit_test(a_node_may_fail_while_it_grows),
		cmocka_unit_test(growing_is_cut_off),
		cmocka_unit_test(two_are_not_removed_at_once),
		cmocka_unit_test(an_addition_that_failed_is_made_up_for),
		cmocka_unit_test(who_was_lost_while_it_was_added_leaves_no_trace),
		cmocka_unit_test(who_was_removed_is_not_attached_again),
		cmocka_unit_test(what_is_added_may_be_too_small_by_now),
		cmocka_unit_test(growing_ends_with_a_fence),
		cmocka_unit_test(a_node_may_shrink_before_it_grows),
		cmocka_unit_test(who_ends_while_it_grows_compares_later),
		cmocka_unit_test(what_failed_to_move_goes_on_where_it_was),
		cmocka_unit_test(a_second_choice_waits_for_the_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
