/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_backend_file_pace.c - the judgement whether to call inline, on a clock of the test's own. */
#include "common/backend_file_impl.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static uint64_t now; /* nanoseconds */
static long sleeps; /* voluntary context switches of this thread */
static unsigned counted;

uint64_t clock_now(void)
{
	return now;
}

int64_t clock_wall_sec(void)
{
	return 0;
}

int getrusage(__rusage_who_t who, struct rusage *usage)
{
	memset(usage, 0, sizeof(*usage));
	usage->ru_nvcsw = sleeps;
	counted++;
	return 0;
}

static const struct backend_medium disk = {.nowait = true, .measure = true, .trusted = true};
static const struct backend_medium device = {.nowait = true, .measure = true};
static const struct backend_medium unknown = {.nowait = true};
static const struct backend_medium remote;

static void call(struct pace *pace, uint64_t took, bool slept)
{
	struct pace_call c;

	pace_begin(pace, &c);
	now += took;
	sleeps += slept;
	pace_end(pace, &c);
}

static int start(void **state)
{
	static struct pace pace;

	now = 1000 * CLOCK_SEC;
	pace_init(&pace, &disk, true);
	*state = &pace;
	return 0;
}

static void a_disk_is_trusted_and_a_device_must_prove_itself(void **state)
{
	static const struct {
		const struct backend_medium *medium;
		bool write, starts_inline, measures;
	} cases[] = {
		{&disk, false, true, false},    {&disk, true, true, true},
		{&device, false, true, false},  {&device, true, false, true},
		{&unknown, false, true, false}, {&unknown, true, true, false},
		{&remote, false, false, false}, {&remote, true, false, false},
	};
	struct pace *pace = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pace_init(pace, cases[i].medium, cases[i].write);
		assert_int_equal(pace_inline(pace), cases[i].starts_inline);
		assert_int_equal(pace->measure, cases[i].measures);
	}
}

static void a_long_call_that_slept_ends_inline_calls(void **state)
{
	struct pace *pace = *state;

	call(pace, 2 * CLOCK_MS, true);
	assert_true(pace_inline(pace));
	call(pace, 2 * CLOCK_MS + 1, true);
	assert_false(pace_inline(pace));
}

static void a_long_call_that_was_only_preempted_does_not(void **state)
{
	struct pace *pace = *state;

	for (int i = 0; i < 100; i++)
		call(pace, 20 * CLOCK_MS, false);
	assert_true(pace_inline(pace));
}

static void sleeps_are_counted_only_under_suspicion(void **state)
{
	struct pace *pace = *state;

	for (int i = 0; i < 1100; i++)
		call(pace, CLOCK_MS, false);
	counted = 0;
	for (int i = 0; i < 1000; i++)
		call(pace, CLOCK_MS, false);
	assert_int_equal(counted, 0);
	call(pace, 3 * CLOCK_MS, true); /* unproven: nobody counted */
	assert_true(pace_inline(pace));
	call(pace, 3 * CLOCK_MS, true);
	assert_false(pace_inline(pace));
}

static void only_a_long_row_of_short_calls_brings_inline_calls_back(void **state)
{
	struct pace *pace = *state;

	call(pace, 3 * CLOCK_MS, true);
	for (int i = 0; i < 1000; i++) /* many, but within less than a second */
		pace_offloaded(pace, 1000);
	assert_false(pace_inline(pace));
	now += 2 * CLOCK_SEC;
	pace_offloaded(pace, 3 * CLOCK_MS); /* and the row starts again */
	now += 2 * CLOCK_SEC;
	for (int i = 0; i < 63; i++)
		pace_offloaded(pace, 1000);
	assert_false(pace_inline(pace));
	pace_offloaded(pace, 1000);
	assert_true(pace_inline(pace));
	call(pace, 3 * CLOCK_MS, true); /* watched still */
	assert_false(pace_inline(pace));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_disk_is_trusted_and_a_device_must_prove_itself, start),
		cmocka_unit_test_setup(a_long_call_that_slept_ends_inline_calls, start),
		cmocka_unit_test_setup(a_long_call_that_was_only_preempted_does_not, start),
		cmocka_unit_test_setup(sleeps_are_counted_only_under_suspicion, start),
		cmocka_unit_test_setup(only_a_long_row_of_short_calls_brings_inline_calls_back,
				       start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
