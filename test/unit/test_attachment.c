/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_attachment.c - who we are, which export it is, and who holds it, over one lane or many. */
#include "dstfs/remote.h"

#include "test/unit/remote_fixture.h"

static unsigned sockets(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < NODE_CONNS; i++)
		count += e.node.conns[i].fd >= 0;
	return count;
}

/* ---- the first attachment ---- */

static void lane_0_goes_first(void **state)
{
	e.node.deaf = true;
	target_begin(4);
	run_for(20 * CLOCK_MS);
	assert_int_equal(sockets(), 1);
	e.node.deaf = false;
	node_listen_again(&e.node);
	run_until(all_lanes_are_ready);
	assert_int_equal(e.node.hellos, 4);
	assert_int_equal(e.node.hellos_of[0], 1);
}

static void the_others_name_the_epoch(void **state)
{
	begin(1);
	assert_false(e.node.told_epoch);
	assert_int_equal(status_of(NULL, "epoch"), 5);
	node_close_all(&e.node);
	run_until(all_lanes_are_ready);
	assert_true(e.node.told_epoch);
}

static void a_reader_names_none(void **state)
{
	e.node.permissions = DST_PERM_READ;
	begin(3);
	assert_false(e.node.told_epoch);
	assert_false(e.target->writable);
	node_close_all(&e.node);
	run_until(all_lanes_are_ready);
	assert_false(e.node.told_epoch);
}

static void a_shared_export_has_no_holder(void **state)
{
	memset(e.node.holder, 0xee, DST_ID_SIZE);
	e.node.features = DST_IS_SHARED;
	begin(3);
	assert_true(e.target->writable);
	assert_int_equal(status_of(NULL, "epoch"), 0);
}

static void one_that_is_held_is_tried_again_and_again(void **state)
{
	memset(e.node.holder, 0xee, DST_ID_SIZE);
	target_begin(2);
	submit_on(0, 1, REQUEST_WRITE, 0, 1);
	run_until(is_refused);
	assert_non_null(strstr(reason(), "held by somebody"));
	run_for(20 * CLOCK_MS);
	assert_true(e.node.hellos > 1);
	assert_int_equal(e.node.hellos_of[1], 0);
	memset(e.node.holder, 0, DST_ID_SIZE);
	run_until(all_lanes_are_ready);
	expect_all(0);
}

static void takeover_replaces_the_holder(void **state)
{
	e.policy.takeover = true;
	memset(e.node.holder, 0xee, DST_ID_SIZE);
	begin(3);
	assert_int_equal(e.node.takeovers, 1);
	assert_int_equal(e.node.hellos, 4);
}

/* It is refused each time, with another epoch. */
static void takeover_that_is_overtaken_each_time_backs_off(void **state)
{
	e.policy.takeover = true;
	e.policy.reconnect = 20 * CLOCK_MS;
	e.node.hello_status = DST_EBUSY;
	target_begin(1);
	run_for(400 * CLOCK_MS);
	assert_in_range(e.node.hellos, 3, 14);
	e.node.hello_status = 0;
	run_until(all_lanes_are_ready);
}

/* ---- fenced ---- */

static void fenced_fails_all_that_is_there_and_all_that_comes(void **state)
{
	begin(3);
	e.node.mute = true;
	for (unsigned i = 0; i < 300; i++) /* some are sent, some wait */
		submit_on(i, i % 3, i % 2 ? REQUEST_WRITE : REQUEST_READ, i, 1);
	run_for(5 * CLOCK_MS);
	node_taken_over(&e.node);
	run_until(is_fenced);
	expect_all(EIO);
	e.node.hellos = 0;
	submit_on(0, 0, REQUEST_READ, 0, 0);
	assert_true(e.ios[0].done);
	assert_int_equal(e.ios[0].error, EIO);
	submit_on(1, 2, REQUEST_FLUSH, 0, 0);
	expect_all(EIO);
	run_for(100 * CLOCK_MS);
	assert_int_equal(e.node.hellos, 0); /* it never comes back by itself */
	assert_int_equal(status_of(NULL, "fences"), 1);
}

/* Even if it may take over: that was for the first time. */
static void fenced_does_not_take_back(void **state)
{
	e.policy.takeover = true;
	begin(1);
	node_taken_over(&e.node);
	run_until(is_fenced);
	run_for(50 * CLOCK_MS);
	assert_int_equal(e.node.takeovers, 0);
	assert_int_equal(e.target->state, TARGET_FENCED);
}

static void reattaching_asks_for_the_export_like_anybody(void **state)
{
	uint8_t session[DST_ID_SIZE];

	begin(2);
	memcpy(session, e.node.holder, DST_ID_SIZE);
	assert_int_equal(e.target->ops->reattach(e.target, false), EALREADY);
	node_taken_over(&e.node);
	run_until(is_fenced);
	assert_int_equal(e.target->ops->reattach(e.target, false), 0);
	run_until(is_refused);
	assert_int_equal(e.target->ops->reattach(e.target, true), 0);
	run_until(all_lanes_are_ready);
	assert_int_equal(e.node.takeovers, 1);
	assert_memory_not_equal(session, e.node.holder, DST_ID_SIZE);
	write_blocks(0, 10, 1);
}

/* What was kept of the old session must not overwrite what the other one wrote. */
static void reattached_replays_nothing_of_before(void **state)
{
	begin(3);
	write_blocks(0, 30, 1);
	node_taken_over(&e.node);
	run_until(is_fenced);
	memset(e.node.content, 99, sizeof(e.node.content));
	memset(e.node.durable, 99, sizeof(e.node.durable));
	e.target->ops->reattach(e.target, true);
	run_until(all_lanes_are_ready);
	node_power_cut(&e.node);
	run_until(all_lanes_are_ready);
	run_for(20 * CLOCK_MS);
	assert_int_equal(e.node.content[0], 99);
	assert_int_equal(status_of("durability", "replayed_pieces"), 0);
}

/* A lane that is late must not take what the new session has acknowledged for its own. */
static void nobody_attaches_anew_before_all_have_let_go(void **state)
{
	struct loop *late = loop_new();

	assert_non_null(late);
	e.workers[1].loop = late; /* its thread doesn't run */
	target_begin(2);
	run_until(is_ready);
	node_taken_over(&e.node);
	run_until(is_fenced);
	assert_int_equal(e.target->ops->reattach(e.target, true), 0);
	run_for(20 * CLOCK_MS);
	assert_int_equal(e.node.takeovers, 0);
	loop_run_posted(late);
	run_until(is_ready);
	assert_int_equal(e.node.takeovers, 1);
	loop_run_posted(late);
	target_destroy(&e.target);
	loop_free(&late);
}

/* The last lane that lets go of the old session, when all ends, pokes the first. */
static void it_may_end_while_lanes_let_go(void **state)
{
	struct loop *late = loop_new();

	assert_non_null(late);
	e.workers[1].loop = late;
	target_begin(2);
	run_until(is_ready);
	node_taken_over(&e.node);
	run_until(is_fenced);
	assert_int_equal(e.target->ops->reattach(e.target, true), 0);
	run_for(20 * CLOCK_MS);
	loop_run_posted(e.loop);
	loop_run_posted(late);
	target_destroy(&e.target);
	loop_run_posted(e.loop); /* a sanitizer sees it, if it is the lane's */
	loop_free(&late);
}

/* It has no holder whose end a new session would wait for. */
static void a_shared_export_is_reattached_under_the_same_session(void **state)
{
	uint8_t session[DST_ID_SIZE];

	e.node.features = DST_IS_SHARED;
	begin(2);
	memcpy(session, e.node.said.session, DST_ID_SIZE);
	e.node.hello_status = DST_EDENIED;
	node_close_all(&e.node);
	run_until(is_refused);
	assert_int_equal(e.target->ops->reattach(e.target, false), 0);
	e.node.hello_status = 0;
	run_until(all_lanes_are_ready);
	assert_memory_equal(session, e.node.said.session, DST_ID_SIZE);
}

/* Refused, attached anew, and then the power fails. The fsync's errors, one after the other. */
static void expect_after_reattaching(int first, int second)
{
	begin(2);
	write_blocks(0, 10, 1);
	e.node.hello_status = DST_EDENIED;
	node_close_all(&e.node);
	run_until(is_refused);
	e.target->ops->reattach(e.target, false);
	memset(e.node.holder, 0, DST_ID_SIZE);
	e.node.hello_status = 0;
	run_until(all_lanes_are_ready);
	node_power_cut(&e.node);
	run_until(all_lanes_are_ready);
	assert_int_equal(e.node.content[0], first ? 0 : 1);
	assert_int_equal(flush_on(1), first);
	assert_int_equal(flush_on(0), second);
}

static void whoever_attaches_anew_has_flushed(void **state)
{
	expect_after_reattaching(0, 0);
}

/* There is nobody to take it over from, and so no flush. */
static void a_shared_export_that_is_reattached_may_still_lose(void **state)
{
	e.node.features = DST_IS_SHARED;
	expect_after_reattaching(EIO, 0);
}

/* The takeover's flush has made it durable, unless the instance tells that it failed. */
static void reattached_under_another_instance_fsync_fails_once(void **state)
{
	begin(2);
	write_blocks(0, 10, 1);
	node_taken_over(&e.node);
	run_until(is_fenced);
	e.node.instance++;
	e.target->ops->reattach(e.target, true);
	run_until(all_lanes_are_ready);
	assert_int_equal(flush_on(1), EIO);
	assert_int_equal(flush_on(0), 0);
}

static void an_epoch_that_is_not_ours_fences(void **state)
{
	begin(1);
	e.node.wrong_epoch = true;
	node_close_all(&e.node);
	run_until(is_fenced);
}

/* Nothing was held that could be lost: it lies. */
static void stale_without_an_epoch_is_a_refusal(void **state)
{
	e.node.hello_status = DST_ESTALE;
	target_begin(1);
	run_until(is_refused);
	e.node.hello_status = 0;
	run_until(all_lanes_are_ready);
}

static void a_writer_must_be_told_an_epoch(void **state)
{
	e.node.no_epoch = true;
	target_begin(2);
	run_until(is_refused);
	assert_int_equal(e.node.writes, 0);
	e.node.no_epoch = false;
	run_until(all_lanes_are_ready);
}

/* ---- identity ---- */

static bool refused_again(void)
{
	return e.target->state == TARGET_REFUSED;
}

static void another_export_by_the_same_name_is_never_written_to(void **state)
{
	begin(2);
	e.node.writes = 0;
	e.node.export ++;
	node_close_all(&e.node);
	submit_on(0, 0, REQUEST_WRITE, 0, 1);
	submit_on(1, 1, REQUEST_WRITE, 1, 1);
	run_until(refused_again);
	run_for(30 * CLOCK_MS);
	assert_non_null(strstr(reason(), "replaced"));
	assert_int_equal(e.node.writes, 0);
	e.node.export --;
	run_until(all_lanes_are_ready);
	expect_all(0);
}

static void a_shrunk_export_is_refused(void **state)
{
	begin(2);
	e.node.size /= 2;
	node_close_all(&e.node);
	run_until(refused_again);
	assert_non_null(strstr(reason(), "shrunk"));
	e.node.size *= 2;
	run_until(all_lanes_are_ready);
}

static void notice_size(uint64_t size)
{
	struct wire_attrs attrs = {.has = 1u << DST_ATTR_SIZE, .size = size};

	e.node.size = size;
	for (unsigned i = 0; i < NODE_CONNS; i++)
		if (e.node.conns[i].greeted)
			conn_send_attrs(&e.node.conns[i], DST_NOTICE, 0, &attrs);
}

static void a_notice_of_growth_is_passed_on(void **state)
{
	unsigned changes;

	begin(2);
	changes = e.changes;
	notice_size(e.node.size * 2);
	run_for(5 * CLOCK_MS);
	assert_int_equal(e.target->size, e.node.size);
	assert_true(e.changes > changes);
	assert_int_equal(e.target->state, TARGET_READY);
}

static void a_notice_of_shrinking_ends_it(void **state)
{
	begin(2);
	notice_size(e.node.size / 2);
	run_until(refused_again);
	run_for(20 * CLOCK_MS);
	assert_int_equal(e.target->state, TARGET_REFUSED);
}

static void another_server_is_taken_if_nothing_is_at_stake(void **state)
{
	uint8_t session[DST_ID_SIZE];

	begin(3);
	write_blocks(0, 10, 1);
	assert_int_equal(flush_on(0), 0);
	memcpy(session, e.node.holder, DST_ID_SIZE);
	e.node.server++;
	memset(e.node.holder, 0, DST_ID_SIZE);
	node_close_all(&e.node);
	e.node.hello_status = 0;
	submit_on(0, 0, REQUEST_READ, 3, 0);
	run_until(all_lanes_are_ready);
	expect_all(0);
	assert_memory_not_equal(session, e.node.holder, DST_ID_SIZE);
}

static void another_server_is_refused_while_something_is_unflushed(void **state)
{
	begin(3);
	write_blocks(0, 10, 1);
	e.node.server++;
	e.node.writes = 0;
	node_close_all(&e.node);
	run_until(refused_again);
	run_for(20 * CLOCK_MS);
	assert_int_equal(e.node.writes, 0);
	e.node.server--;
	run_until(all_lanes_are_ready);
}

static void another_server_is_refused_while_something_is_unanswered(void **state)
{
	begin(1);
	e.node.mute = true;
	submit_on(0, 0, REQUEST_WRITE, 0, 7);
	run_for(5 * CLOCK_MS);
	e.node.mute = false;
	e.node.server++;
	node_close_all(&e.node);
	run_until(refused_again);
	e.node.server--;
	run_until(all_lanes_are_ready);
	expect_all(0);
}

static void servers_that_change_each_time_are_called_ever_more_rarely(void **state)
{
	e.policy.reconnect = 20 * CLOCK_MS;
	begin(2);
	memset(e.node.holder, 0, DST_ID_SIZE);
	e.node.features = DST_IS_SHARED; /* no epoch stops it */
	e.node.new_server_each_hello = true;
	node_close_all(&e.node);
	e.node.hellos = 0;
	run_for(500 * CLOCK_MS);
	assert_in_range(e.node.hellos, 2, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lane_0_goes_first),
		TEST(the_others_name_the_epoch),
		TEST(a_reader_names_none),
		TEST(a_shared_export_has_no_holder),
		TEST(one_that_is_held_is_tried_again_and_again),
		TEST(takeover_replaces_the_holder),
		TEST(takeover_that_is_overtaken_each_time_backs_off),
		TEST(fenced_fails_all_that_is_there_and_all_that_comes),
		TEST(fenced_does_not_take_back),
		TEST(reattaching_asks_for_the_export_like_anybody),
		TEST(reattached_replays_nothing_of_before),
		TEST(reattached_under_another_instance_fsync_fails_once),
		TEST(whoever_attaches_anew_has_flushed),
		TEST(a_shared_export_that_is_reattached_may_still_lose),
		TEST(nobody_attaches_anew_before_all_have_let_go),
		TEST(it_may_end_while_lanes_let_go),
		TEST(a_shared_export_is_reattached_under_the_same_session),
		TEST(an_epoch_that_is_not_ours_fences),
		TEST(a_writer_must_be_told_an_epoch),
		TEST(stale_without_an_epoch_is_a_refusal),
		TEST(another_export_by_the_same_name_is_never_written_to),
		TEST(a_shrunk_export_is_refused),
		TEST(a_notice_of_growth_is_passed_on),
		TEST(a_notice_of_shrinking_ends_it),
		TEST(another_server_is_taken_if_nothing_is_at_stake),
		TEST(another_server_is_refused_while_something_is_unflushed),
		TEST(another_server_is_refused_while_something_is_unanswered),
		TEST(servers_that_change_each_time_are_called_ever_more_rarely),
	};

	log_init("test_attachment", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
