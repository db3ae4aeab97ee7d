/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_verify.c - nodes are compared while they are in use: what is found, what is mended and
 * from where, and what is refused because nobody can tell who is right.
 */
#include "test/unit/mirror_fixture.h"

#include "dstfs/mirror_copy_impl.h"

#define REGION ((uint64_t)MIRROR_MIN_REGION)

static char reason[256];

static void begin(unsigned count)
{
	begin_in_sync(count);
	start();
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(do_write(i * REGION, REGION, (uint8_t)(i + 1)), 0);
}

static void end(void)
{
	stop();
	fixture_end();
}

static int verify_begin(bool repair, const char *source)
{
	const struct mirror_verify_options options = {.repair = repair, .source = source};

	return mirror_verify_begin(f.mirror, &options, &(struct reason){reason, sizeof(reason)});
}

static void go_on(void)
{
	for (unsigned i = 0; i < 20; i++) {
		f.mirror->copy->users_at = 0;
		mirror_copy_poke(f.mirror);
		settle();
	}
}

static const struct verify *verify(bool repair, const char *source)
{
	const struct verify *v = &f.mirror->copy->verify;

	assert_int_equal(verify_begin(repair, source), 0);
	go_on();
	assert_int_equal(v->state, VERIFY_DONE);
	assert_int_equal(v->done, mirror_data_size(DISK_SIZE));
	return v;
}

static void rot(unsigned at, uint64_t offset, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		f.disks[at].image[offset + i] ^= 0x80;
}

static void assert_finding(const struct verify *v, unsigned at, uint64_t offset, uint64_t length,
			   mirror_mask nodes, enum finding_state state)
{
	const struct verify_finding *finding = &v->findings[at];

	assert_true(at < v->finding_count);
	assert_int_equal(finding->range.offset, offset);
	assert_int_equal(finding->range.length, length);
	assert_int_equal(finding->nodes, nodes);
	assert_int_equal(finding->state, state);
}

static void assert_identical(void)
{
	for (unsigned i = 1; i < f.count; i++)
		assert_memory_equal(f.disks[0].image, f.disks[i].image,
				    mirror_data_size(DISK_SIZE));
}

static void equal_nodes_have_no_findings(void **state)
{
	const struct verify *v;

	begin(3);
	v = verify(false, NULL);
	assert_int_equal(v->finding_count, 0);
	assert_int_equal(f.mirror->copy->all.equal, mirror_data_size(DISK_SIZE));
	assert_int_equal(f.mirror->copy->all.sent, 0);
	end();
}

static void flipped_bytes_are_found_to_the_grain(void **state)
{
	const struct verify *v;

	begin(2);
	rot(1, 3 * REGION + 5000, 1);
	rot(0, 5 * REGION + 4095, 2);
	v = verify(false, NULL);
	assert_int_equal(v->finding_count, 2);
	assert_finding(v, 0, 3 * REGION + 4096, 4096, 3, FINDING_DIFFERS);
	assert_finding(v, 1, 5 * REGION, 8192, 3, FINDING_DIFFERS);
	assert_int_equal(v->bytes[FINDING_DIFFERS], 3 * 4096);
	assert_int_equal(f.mirror->copy->all.sent, 0);
	end();
}

static void a_majority_mends(void **state)
{
	const struct verify *v;

	begin(3);
	rot(0, 3 * REGION, 1);
	rot(1, 3 * REGION + 4096, 1);
	rot(2, 3 * REGION + 8192, 4096);
	v = verify(false, NULL);
	assert_finding(v, 0, 3 * REGION, 4096, 1, FINDING_DIFFERS);
	assert_finding(v, 1, 3 * REGION + 4096, 4096, 2, FINDING_DIFFERS);
	assert_finding(v, 2, 3 * REGION + 8192, 4096, 4, FINDING_DIFFERS);
	for (unsigned i = 0; i < 3; i++)
		f.disks[i].flushes = 0;
	v = verify(true, NULL);
	assert_int_equal(v->bytes[FINDING_MENDED], 3 * 4096);
	assert_int_equal(v->bytes[FINDING_DIFFERS], 0);
	assert_identical();
	assert_int_equal(f.disks[0].image[3 * REGION], 4);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(f.disks[i].flushes, 1);
	assert_int_equal(verify(false, NULL)->finding_count, 0);
	end();
}

static void three_opinions_are_no_majority(void **state)
{
	const struct verify *v;

	begin(3);
	rot(0, 3 * REGION, 1);
	rot(1, 3 * REGION, 2);
	v = verify(true, NULL);
	assert_int_equal(v->finding_count, 1);
	assert_finding(v, 0, 3 * REGION, 4096, 7, FINDING_DIFFERS);
	assert_int_equal(f.mirror->copy->all.sent, 0);
	v = verify(true, "c");
	assert_finding(v, 0, 3 * REGION, 4096, 3, FINDING_MENDED);
	assert_identical();
	assert_int_equal(f.disks[0].image[3 * REGION], 4);
	end();
}

static void two_alone_cannot_tell(void **state)
{
	begin(2);
	rot(0, 3 * REGION, 1);
	assert_int_equal(verify_begin(true, NULL), EINVAL);
	assert_non_null(strstr(reason, "two nodes alone can't tell"));
	assert_int_equal(verify_begin(true, "nobody"), EINVAL);
	assert_int_equal(verify_begin(false, "b"), EINVAL);
	assert_finding(verify(true, "b"), 0, 3 * REGION, 4096, 1, FINDING_MENDED);
	assert_identical();
	assert_int_equal(f.disks[0].image[3 * REGION], 4);
	end();
}

static void one_alone_has_nobody_to_be_compared_with(void **state)
{
	begin(2);
	disk_die(1);
	assert_int_equal(do_write(0, 4096, 1), 0);
	assert_int_equal(verify_begin(false, NULL), EINVAL);
	assert_non_null(strstr(reason, "only one"));
	assert_int_equal(mirror_verify_end(f.mirror), ENOENT);
	end();
}

static void what_cannot_be_read_is_mended_from_who_can(void **state)
{
	const struct verify *v;

	begin(3);
	f.disks[1].bad_offset = 3 * REGION + 4096;
	v = verify(false, NULL);
	assert_finding(v, 0, 3 * REGION + 4096, 4096, 2, FINDING_UNREADABLE);
	v = verify(true, NULL);
	assert_finding(v, 0, 3 * REGION + 4096, 4096, 2, FINDING_MENDED);
	assert_int_equal(f.disks[1].bad_offset, UINT64_MAX);
	assert_identical();
	assert_int_equal(f.mirror->nodes[1].state, MIRROR_NODE_IN_SYNC);
	end();
}

static void writes_wait_for_their_window_only(void **state)
{
	struct io io;

	begin(2);
	f.disks[0].holds_data = true;
	assert_int_equal(verify_begin(false, NULL), 0);
	f.mirror->copy->users_at = 0;
	mirror_copy_poke(f.mirror);
	settle();
	assert_true(f.mirror->copy->windows_busy);
	f.disks[1].writes = 0;
	io_write_begin(&io, 0, 4096, 9);
	settle();
	assert_int_equal(f.disks[1].writes, 0);
	disk_release(&f.disks[0]);
	settle();
	go_on();
	assert_true(io.done);
	io_write_end(&io);
	assert_int_equal(f.mirror->copy->verify.state, VERIFY_DONE);
	assert_int_equal(f.mirror->copy->verify.finding_count, 0);
	assert_identical();
	end();
}

static void a_node_that_goes_meanwhile_is_left_out(void **state)
{
	begin(3);
	rot(0, 3 * REGION, 1);
	f.disks[2].holds_data = true;
	assert_int_equal(verify_begin(false, NULL), 0);
	f.mirror->copy->users_at = 0;
	mirror_copy_poke(f.mirror);
	settle();
	disk_die(2);
	disk_release(&f.disks[2]);
	settle();
	go_on();
	assert_int_equal(f.mirror->copy->verify.state, VERIFY_DONE);
	assert_finding(&f.mirror->copy->verify, 0, 3 * REGION, 4096, 3, FINDING_DIFFERS);
	end();
}

static void it_fails_when_nobody_is_left_to_compare_with(void **state)
{
	begin(2);
	f.disks[1].holds_data = true;
	assert_int_equal(verify_begin(false, NULL), 0);
	assert_int_equal(verify_begin(false, NULL), EBUSY);
	f.mirror->copy->users_at = 0;
	mirror_copy_poke(f.mirror);
	settle();
	disk_die(1);
	disk_release(&f.disks[1]);
	settle();
	go_on();
	assert_int_equal(f.mirror->copy->verify.state, VERIFY_FAILED);
	assert_int_equal(verify_begin(false, NULL), EINVAL);
	end();
}

static void it_can_be_broken_off(void **state)
{
	begin(2);
	f.disks[1].holds_data = true;
	assert_int_equal(verify_begin(false, NULL), 0);
	f.mirror->copy->users_at = 0;
	mirror_copy_poke(f.mirror);
	settle();
	assert_int_equal(mirror_verify_end(f.mirror), 0);
	disk_release(&f.disks[1]);
	settle();
	go_on();
	assert_int_equal(f.mirror->copy->verify.state, VERIFY_STOPPED);
	assert_int_equal(f.mirror->copy->windows_busy, 0);
	assert_int_equal(verify(false, NULL)->finding_count, 0);
	end();
}

static void many_findings_are_counted(void **state)
{
	const struct verify *v;

	begin(2);
	for (unsigned i = 0; i + 1 < mirror_data_size(DISK_SIZE) / 4096; i += 2)
		rot(1, i * 4096, 1);
	v = verify(false, NULL);
	assert_in_range(v->finding_count + v->left_out, 150, 300);
	assert_int_equal(v->bytes[FINDING_DIFFERS], (v->finding_count + v->left_out) * 4096);
	end();
}

static void the_status_names_nodes_and_places(void **state)
{
	json_t *status, *job = NULL, *finding;

	begin(3);
	rot(1, 3 * REGION, 1);
	verify(false, NULL);
	status = f.target->ops->status(f.target);
	for (size_t i = 0; i < json_array_size(json_object_get(status, "jobs")); i++)
		job = json_array_get(json_object_get(status, "jobs"), i);
	assert_string_equal(json_string_value(json_object_get(job, "job")), "verify");
	assert_string_equal(json_string_value(json_object_get(job, "state")), "done");
	assert_int_equal(json_integer_value(json_object_get(job, "differing")), 4096);
	assert_int_equal(json_integer_value(json_object_get(job, "done")),
			 json_integer_value(json_object_get(job, "total")));
	finding = json_array_get(json_object_get(job, "findings"), 0);
	assert_int_equal(json_integer_value(json_object_get(finding, "offset")), 3 * REGION);
	assert_string_equal(json_string_value(json_array_get(json_object_get(finding, "nodes"), 0)),
			    "b");
	json_decref(status);
	end();
}

static void it_ends_with_the_mirror_at_any_time(void **state)
{
	for (unsigned turns = 0; turns < 30; turns++) {
		begin(3);
		rot(1, 3 * REGION, 1);
		rot(2, 4 * REGION, 1);
		f.mirror->copy->users_at = 0;
		assert_int_equal(verify_begin(true, NULL), 0);
		for (unsigned i = 0; i < turns; i++)
			one_turn();
		loop_run_posted(f.worker.loop);
		assert_true(target_destroy(&f.target));
		assert_int_equal(buf_pool_in_use(f.worker.bufs), 0);
		fixture_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_nodes_have_no_findings),
		cmocka_unit_test(flipped_bytes_are_found_to_the_grain),
		cmocka_unit_test(a_majority_mends),
		cmocka_unit_test(three_opinions_are_no_majority),
		cmocka_unit_test(two_alone_cannot_tell),
		cmocka_unit_test(one_alone_has_nobody_to_be_compared_with),
		cmocka_unit_test(what_cannot_be_read_is_mended_from_who_can),
		cmocka_unit_test(writes_wait_for_their_window_only),
		cmocka_unit_test(a_node_that_goes_meanwhile_is_left_out),
		cmocka_unit_test(it_fails_when_nobody_is_left_to_compare_with),
		cmocka_unit_test(it_can_be_broken_off),
		cmocka_unit_test(many_findings_are_counted),
		cmocka_unit_test(the_status_names_nodes_and_places),
		cmocka_unit_test(it_ends_with_the_mirror_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
