/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_last_flush.c - the end of a mount whose volume takes longer to detach than there is time. */
#include "dstfs/last_flush.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct {
	struct target base;
	bool at_once;
	void (*done)(void *arg);
	void *arg;
} below;

static void below_detach(struct target *target, void (*done)(void *arg), void *arg)
{
	if (below.at_once) {
		done(arg);
		return;
	}
	below.done = done;
	below.arg = arg;
}

static bool below_destroy(struct target *target)
{
	return true;
}

static const struct target_ops below_ops = {.detach = below_detach, .destroy = below_destroy};

static struct mount mount;
static struct mount_volume mv;
static struct worker worker;
static struct last_flush ending;

static int setup(void **state)
{
	assert_int_equal(worker_init(&worker, 0), 0);
	mv.volume = volume_new("vol0", &worker, 1, 8, 1 << 20);
	assert_non_null(mv.volume);
	below.base.ops = &below_ops;
	volume_set_target(mv.volume, &below.base);
	mount.workers = &worker;
	mount.worker_count = 1;
	mount.volumes[0] = &mv;
	mount.volume_count = 1;
	return 0;
}

static int teardown(void **state)
{
	assert_true(volume_free(&mv.volume));
	worker_destroy(&worker);
	return 0;
}

static void one_that_is_detached_at_once_is_not_waited_for(void **state)
{
	below.at_once = true;
	assert_int_equal(last_flush(&ending, &mount, 60 * CLOCK_SEC), 0);
	assert_int_equal(ending.under_way, 0);
}

/* It tells when what was posted runs, before it is destroyed. */
static void one_that_tells_too_late_finds_somebody_to_tell(void **state)
{
	below.at_once = false;
	assert_int_equal(last_flush(&ending, &mount, CLOCK_MS), 0);
	assert_int_equal(ending.under_way, 1);
	assert_ptr_equal(below.arg, &ending);
	below.done(below.arg);
	assert_int_equal(ending.under_way, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_detached_at_once_is_not_waited_for,
						setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_tells_too_late_finds_somebody_to_tell,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
