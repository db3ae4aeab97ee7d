/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_state.c - what dstd remembers: over starts, power cuts, full disks and with a second dstd. */
#include "common/log.h"
#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/dstfs-test-state.XXXXXX"; /* where the tests run */

/* ---- the system's calls, failing on demand ---- */

enum step { FILE_SYNC, RENAME, FOLDER_SYNC, STEPS };
static enum step next_step; /* what must come next */
static enum step failing = STEPS; /* fails, as all that follows it */

static int take_step(enum step step)
{
	assert_int_equal(step, next_step); /* in this order only */
	next_step = (step + 1) % STEPS;
	if (step < failing)
		return 0;
	next_step = 0;
	errno = EIO;
	return -1;
}

int fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return take_step(S_ISDIR(st.st_mode) ? FOLDER_SYNC : FILE_SYNC)
		       ? -1
		       : (int)syscall(SYS_fsync, fd);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	return take_step(RENAME) ? -1
				 : (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}

/* ---- helpers ---- */

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static char *read_text(const char *name)
{
	static char text[65536];
	FILE *file = fopen(name, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

static struct state_export load(const char *name)
{
	struct state *state = state_open();
	struct state_export out;

	assert_non_null(state);
	state_export_load(state, name, "/path", &out);
	state_close(&state);
	assert_null(state);
	return out;
}

static int store(const char *name, const struct state_export *in)
{
	struct state *state = state_open();
	int error = state_export_store(state, name, "/path", in);

	state_close(&state);
	return error;
}

static void expect_same(const struct state_export *a, const struct state_export *b)
{
	assert_memory_equal(a->uuid, b->uuid, DST_ID_SIZE);
	assert_true(wire_epoch_equal(&a->epoch, &b->epoch));
	assert_int_equal(a->held, b->held);
	if (a->held) {
		assert_memory_equal(a->holder, b->holder, DST_ID_SIZE);
		assert_string_equal(a->holder_name, b->holder_name);
		assert_int_equal(a->held_since, b->held_since);
	}
	assert_memory_equal(a->instance, b->instance, DST_ID_SIZE);
	assert_int_equal(a->clean, b->clean);
}

/* Something with a holder. */
static struct state_export held(const char *name, uint64_t counter)
{
	struct state_export export = load(name);

	export.epoch.counter = counter;
	memset(export.epoch.uuid, 0xe0, DST_ID_SIZE);
	export.held = true;
	memset(export.holder, 0x50, DST_ID_SIZE);
	snprintf(export.holder_name, sizeof(export.holder_name), "alpha:/mnt (ä, =)");
	export.held_since = 1795341600;
	memset(export.instance, 0x12, DST_ID_SIZE);
	export.clean = true;
	return export;
}

static int set_up(void **arg)
{
	failing = STEPS;
	next_step = 0;
	assert_int_equal(system("rm -rf state state.new lock"), 0);
	return 0;
}

/* ---- tests ---- */

static void what_is_made_is_remembered(void **arg)
{
	struct state_export first = load("vol0"), other = load("vol1"), again = load("vol0");

	expect_same(&first, &again);
	assert_int_equal(first.epoch.counter, 1);
	assert_false(first.held);
	assert_false(first.clean);
	assert_memory_not_equal(first.uuid, other.uuid, DST_ID_SIZE);
	assert_memory_not_equal(first.epoch.uuid, other.epoch.uuid, DST_ID_SIZE);
	assert_memory_not_equal(first.instance, other.instance, DST_ID_SIZE);
}

static void another_path_is_another_export(void **arg)
{
	struct state *state = state_open();
	struct state_export a, b;

	state_export_load(state, "vol0", "/a", &a);
	state_export_load(state, "vol0", "/b", &b);
	assert_memory_not_equal(a.uuid, b.uuid, DST_ID_SIZE);
	assert_int_equal(state_export_store(state, "vol0", "/a", &b), 0);
	state_export_load(state, "vol0", "/b", &a);
	expect_same(&a, &b);
	state_close(&state);
}

static void what_is_stored_is_loaded(void **arg)
{
	struct state_export in = held("vol0", UINT64_MAX), out;

	assert_int_equal(store("vol0", &in), 0);
	out = load("vol0");
	expect_same(&in, &out);
	in.held = in.clean = false;
	assert_int_equal(store("vol0", &in), 0);
	out = load("vol0");
	expect_same(&in, &out);
	assert_null(strstr(read_text("state"), "holder"));
}

static void the_server_has_one_id(void **arg)
{
	uint8_t first[DST_ID_SIZE], again[DST_ID_SIZE];
	struct state *state = state_open();

	state_server_id(state, first);
	state_close(&state);
	state = state_open();
	state_server_id(state, again);
	assert_memory_equal(first, again, DST_ID_SIZE);
	state_close(&state);
}

static void a_name_that_holds_a_line_does_no_harm(void **arg)
{
	struct state_export in = held("vol0", 7), out;

	snprintf(in.holder_name, sizeof(in.holder_name), "x\tclean=no\nzz\x01");
	assert_int_equal(store("vol0", &in), 0);
	out = load("vol0");
	assert_true(out.clean);
	assert_string_equal(out.holder_name, "x?clean=no?zz?");
}

/* Cuts the file's first line, that of "vol0", before this text. */
static void cut_at(const char *text)
{
	char *file = read_text("state"), *at = strstr(file, text);

	assert_non_null(at);
	*at = '\0';
	write_text("state", file);
}

static void a_file_of_the_first_version_keeps_its_uuids(void **arg)
{
	struct state_export old = load("vol0"), now;

	cut_at("\t");
	write_text("state", strcat(read_text("state"), "\n"));
	now = load("vol0");
	assert_memory_equal(now.uuid, old.uuid, DST_ID_SIZE);
	assert_int_equal(now.epoch.counter, 1);
	assert_false(now.held);
	assert_memory_not_equal(now.epoch.uuid, old.epoch.uuid, DST_ID_SIZE);
	assert_memory_not_equal(now.instance, old.instance, DST_ID_SIZE);
	old = load("vol0"); /* which was remembered */
	expect_same(&now, &old);
}

static void a_line_cut_short_keeps_its_uuid_only(void **arg)
{
	struct state_export in = held("vol0", 123), out;

	assert_int_equal(store("vol0", &in), 0);
	cut_at("\tclean");
	out = load("vol0");
	assert_memory_equal(in.uuid, out.uuid, DST_ID_SIZE);
	assert_false(wire_epoch_equal(&in.epoch, &out.epoch));
	assert_false(out.held || out.clean);
}

static void replace_in_file(const char *what, const char *by)
{
	char *file = read_text("state"), *at = strstr(file, what), changed[65536];

	assert_non_null(at);
	snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - file), file, by,
		 at + strlen(what));
	write_text("state", changed);
}

static void a_bad_field_is_lost_alone(void **arg)
{
	struct state_export in = held("vol0", 5), out;

	assert_int_equal(store("vol0", &in), 0);
	replace_in_file("instance=12", "instance=1g");
	out = load("vol0");
	assert_true(wire_epoch_equal(&in.epoch, &out.epoch));
	assert_true(out.held);
	assert_false(out.clean); /* whose id? */
	assert_memory_not_equal(in.instance, out.instance, DST_ID_SIZE);

	replace_in_file("epoch=5-", "epoch=99999999999999999999-");
	out = load("vol0");
	assert_memory_equal(in.uuid, out.uuid, DST_ID_SIZE);
	assert_int_equal(out.epoch.counter, 1);
	assert_memory_not_equal(in.epoch.uuid, out.epoch.uuid, DST_ID_SIZE);
	assert_false(out.held); /* of an epoch that nobody knows */
}

static void unknown_fields_are_kept_and_bad_lines_dropped(void **arg)
{
	struct state_export in = held("vol0", 5), out;
	char *file;

	assert_int_equal(store("vol0", &in), 0);
	replace_in_file("\tepoch=", "\tfuture=a=b\tflag\tepoch=");
	replace_in_file("\n", "\nnonsense\n\n0123456789abcdef0123456789abcdeX fedcba\n");
	out = load("vol0");
	expect_same(&in, &out);
	assert_int_equal(store("vol0", &in), 0);
	file = read_text("state");
	assert_non_null(strstr(file, "\tfuture=a=b\tflag\n"));
	assert_null(strstr(file, "nonsense"));
	assert_null(strstr(file, "fedcba"));
}

/* Whichever step fails, what is found then is the old or the new, whole; and it is the old as long as
 * the caller was told that it failed before the rename. The next store mends all. */
static void a_failed_store_leaves_what_was(void **arg)
{
	struct state_export old = held("vol0", 5), new = old, out;

	assert_int_equal(store("vol0", &old), 0);
	new.epoch.counter = 6;
	for (enum step step = 0; step < STEPS; step++) {
		struct state *state = state_open();

		failing = step;
		assert_int_equal(state_export_store(state, "vol0", "/path", &new), EIO);
		failing = STEPS;
		if (step < FOLDER_SYNC) {
			state_export_load(state, "vol0", "/path", &out);
			expect_same(&old, &out);
			out = load("vol0");
			expect_same(&old, &out);
		}
		assert_int_equal(state_export_store(state, "vol0", "/path", &new), 0);
		out = load("vol0");
		expect_same(&new, &out);
		assert_int_equal(state_export_store(state, "vol0", "/path", &old), 0);
		state_close(&state);
	}
}

static void what_a_crash_left_aside_is_ignored(void **arg)
{
	struct state_export old = held("vol0", 5), out;
	char *file;

	assert_int_equal(store("vol0", &old), 0);
	file = read_text("state");
	file[strlen(file) / 2] = '\0';
	write_text("state.new", strcat(file, "zzzzzzzzzzzzzzzz\n\n\n"));
	out = load("vol0");
	expect_same(&old, &out);
	old.epoch.counter++;
	assert_int_equal(store("vol0", &old), 0);
	out = load("vol0");
	expect_same(&old, &out);
	assert_null(strstr(read_text("state"), "zzzz"));
}

static void a_folder_that_is_none_remembers_nothing(void **arg)
{
	struct state_export a, b;
	struct state *state;

	setenv("STATE_DIRECTORY", "/dev/null/dstd", 1);
	state = state_open();
	assert_non_null(state);
	state_export_load(state, "vol0", "/path", &a);
	state_export_load(state, "vol0", "/path", &b);
	expect_same(&a, &b); /* as long as this process lives */
	a.epoch.counter++;
	assert_int_equal(state_export_store(state, "vol0", "/path", &a), ENOTDIR);
	state_export_load(state, "vol0", "/path", &a);
	expect_same(&a, &b);
	state_close(&state);
	setenv("STATE_DIRECTORY", folder, 1);
}

static void a_folder_that_takes_no_file_keeps_the_old(void **arg)
{
	struct state_export old = held("vol0", 5), new = old, out;

	assert_int_equal(store("vol0", &old), 0);
	new.epoch.counter++;
	assert_int_equal(mkdir("state.new", 0700), 0);
	assert_int_equal(store("vol0", &new), EISDIR);
	out = load("vol0");
	expect_same(&old, &out);
}

/* What can't be read must not be taken for empty and written over. */
static void a_file_that_cannot_be_read_is_not_replaced(void **arg)
{
	struct state_export old = held("vol0", 5);
	struct stat st;

	assert_int_equal(unlink("state"), 0);
	assert_int_equal(mkdir("state", 0700), 0);
	assert_true(store("vol0", &old) != 0);
	assert_int_equal(stat("state", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
}

static void several_processes_change_what_is_their_own(void **arg)
{
	enum { PROCESSES = 4, TIMES = 25 };
	char name[16];
	int status;

	for (unsigned p = 0; p < PROCESSES; p++) {
		if (fork())
			continue;
		snprintf(name, sizeof(name), "vol%u", p);
		struct state *state = state_open();
		struct state_export export;

		for (unsigned i = 0; i < TIMES; i++) {
			state_export_load(state, name, "/path", &export);
			if (export.epoch.counter != i + 1)
				_exit(1);
			export.epoch.counter++;
			if (state_export_store(state, name, "/path", &export))
				_exit(2);
		}
		_exit(0);
	}
	for (unsigned p = 0; p < PROCESSES; p++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	for (unsigned p = 0; p < PROCESSES; p++) {
		snprintf(name, sizeof(name), "vol%u", p);
		assert_int_equal(load(name).epoch.counter, TIMES + 1);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(what_is_made_is_remembered),
		TEST(another_path_is_another_export),
		TEST(what_is_stored_is_loaded),
		TEST(the_server_has_one_id),
		TEST(a_name_that_holds_a_line_does_no_harm),
		TEST(a_file_of_the_first_version_keeps_its_uuids),
		TEST(a_line_cut_short_keeps_its_uuid_only),
		TEST(a_bad_field_is_lost_alone),
		TEST(unknown_fields_are_kept_and_bad_lines_dropped),
		TEST(a_failed_store_leaves_what_was),
		TEST(what_a_crash_left_aside_is_ignored),
		TEST(a_folder_that_is_none_remembers_nothing),
		TEST(a_folder_that_takes_no_file_keeps_the_old),
		TEST(a_file_that_cannot_be_read_is_not_replaced),
		TEST(several_processes_change_what_is_their_own),
	};
	char command[64];
	int failed;

	log_init("test_state", LOG_LEVEL_ERROR);
	if (!mkdtemp(folder) || chdir(folder))
		return 1;
	setenv("STATE_DIRECTORY", folder, 1);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) || failed;
}
