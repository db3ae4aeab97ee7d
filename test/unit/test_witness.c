/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_witness.c - witness.h: what is kept comes back, and nothing else is believed. */
#include "dstfs/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-witness-XXXXXX";
static struct loop *loop;

static struct mirror_witness sample(void)
{
	struct mirror_witness witness = {.known = true, .generation = {.counter = 12345678901}};

	memset(witness.set, 0xab, DST_ID_SIZE);
	memset(witness.generation.uuid, 0x01, DST_ID_SIZE);
	witness.in_sync[0] = witness.in_sync[7] = true;
	witness.sizes[0] = 1ull << 62;
	witness.sizes[1] = 4096;
	return witness;
}

static struct mirror_witness_store *open_store(const char *volume, const char *node)
{
	struct mirror_witness_store *store = witness_open(volume, node, loop);

	assert_non_null(store);
	return store;
}

static void save_done(void *arg, int error)
{
	*(int *)arg = error;
	loop_stop(loop);
}

/* As the mirror does it. */
static int save(struct mirror_witness_store *store, const struct mirror_witness *witness)
{
	struct mirror_witness copy = *witness;
	int error = -1;

	store->ops->save(store, &copy, save_done, &error);
	memset(&copy, 0xff, sizeof(copy)); /* it was copied */
	assert_int_equal(error, -1); /* never before it returns */
	loop_run(loop);
	return error;
}

static void expect_none(struct mirror_witness_store *store, int error)
{
	struct mirror_witness witness;

	memset(&witness, 0xff, sizeof(witness));
	assert_int_equal(store->ops->load(store, &witness), error);
	assert_false(witness.known);
}

static void expect(struct mirror_witness_store *store, const struct mirror_witness *expected)
{
	struct mirror_witness witness;

	memset(&witness, 0, sizeof(witness));
	assert_int_equal(store->ops->load(store, &witness), 0);
	assert_memory_equal(&witness, expected, sizeof(witness));
}

static void test_kept(void **state)
{
	struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
	struct mirror_witness witness = sample();

	expect_none(store, 0);
	assert_int_equal(save(store, &witness), 0);
	expect(store, &witness);
	witness.generation.counter++;
	witness.in_sync[7] = false;
	assert_int_equal(save(store, &witness), 0);
	expect(store, &witness);
	store->ops->close(store);

	store = open_store("vol0", "dst://a/vol0");
	expect(store, &witness);
	assert_int_equal(witness_forget(store), 0);
	expect_none(store, 0);
	assert_int_equal(witness_forget(store), 0);
	store->ops->close(store);
}

static void test_each_mirror_has_its_own(void **state)
{
	static const char *const names[][2] = {
		{"vol0", "dst://a/x"}, {"vol0", "dst://b/x"}, {"vol1", "dst://a/x"}};
	struct mirror_witness_store *stores[3];
	struct mirror_witness witness = sample();

	for (unsigned i = 0; i < 3; i++) {
		stores[i] = open_store(names[i][0], names[i][1]);
		witness.generation.counter = i;
		assert_int_equal(save(stores[i], &witness), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		witness.generation.counter = i;
		expect(stores[i], &witness);
		assert_int_equal(witness_forget(stores[i]), 0);
		stores[i]->ops->close(stores[i]);
	}
}

static void test_long_names(void **state)
{
	struct mirror_witness witness = sample();
	struct mirror_witness_store *stores[2];
	char name[256];

	memset(name, 'x', 255);
	name[255] = 0;
	for (unsigned i = 0; i < 2; i++) {
		name[254] = (char)('a' + i); /* differ where the file's name is cut off */
		witness.sizes[0] = i;
		stores[i] = open_store(name, "file:///x");
		assert_int_equal(save(stores[i], &witness), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		witness.sizes[0] = i;
		expect(stores[i], &witness);
		assert_int_equal(witness_forget(stores[i]), 0);
		stores[i]->ops->close(stores[i]);
	}
}

static size_t read_back(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, size - 1, file);
	text[n] = 0;
	fclose(file);
	return n;
}

static void write_back(const char *path, const char *text, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void test_readable(void **state)
{
	struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
	struct mirror_witness witness = sample();
	char text[4096];

	assert_int_equal(save(store, &witness), 0);
	read_back(witness_path(store), text, sizeof(text));
	*strstr(text, "sum ") = 0;
	assert_string_equal(
		text, "# dstfs: the last generation that a mirror of volume vol0 was written in "
		      "from here\n"
		      "version 1\n"
		      "set abababababababababababababababab\n"
		      "generation 12345678901 01010101010101010101010101010101\n"
		      "member 1 in-sync 4611686018427387904\n"
		      "member 2 - 4096\n"
		      "member 8 in-sync 0\n");
	store->ops->close(store);
}

/* Cut off anywhere, or one bit changed anywhere: it is not believed, and not taken for none. */
static void test_damaged(void **state)
{
	struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
	struct mirror_witness witness = sample();
	char text[4096];
	size_t size;

	assert_int_equal(save(store, &witness), 0);
	size = read_back(witness_path(store), text, sizeof(text));
	for (size_t cut = 0; cut < size; cut++) {
		write_back(witness_path(store), text, cut);
		expect_none(store, EINVAL);
	}
	for (size_t i = 0; i < size; i++) {
		text[i] ^= 1 << i % 8;
		write_back(witness_path(store), text, size);
		expect_none(store, EINVAL);
		text[i] ^= 1 << i % 8;
	}
	write_back(witness_path(store), text, size);
	expect(store, &witness);
	strcat(text, "more\n");
	write_back(witness_path(store), text, size + 5);
	expect_none(store, EINVAL);
	assert_int_equal(save(store, &witness), 0); /* and is replaced */
	expect(store, &witness);
	store->ops->close(store);
}

/* A save that a crash ended before the rename has not happened. */
static void test_left_behind(void **state)
{
	struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
	struct mirror_witness witness = sample();
	char temp[512];

	snprintf(temp, sizeof(temp), "%s.new", witness_path(store));
	assert_int_equal(save(store, &witness), 0);
	write_back(temp, "version 1\nset", 13);
	expect(store, &witness);
	witness.generation.counter = 1;
	assert_int_equal(save(store, &witness), 0);
	expect(store, &witness);
	assert_int_equal(access(temp, F_OK), -1);
	store->ops->close(store);
}

/* What was kept before stays. */
static void test_failing_save(void **state)
{
	struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
	struct mirror_witness witness = sample(), other = sample();
	char temp[512];

	snprintf(temp, sizeof(temp), "%s.new", witness_path(store));
	assert_int_equal(save(store, &witness), 0);
	assert_int_equal(mkdir(temp, 0700), 0);
	other.generation.counter++;
	assert_int_equal(save(store, &other), EISDIR);
	expect(store, &witness);
	assert_int_equal(rmdir(temp), 0);
	store->ops->close(store);
}

static void never_done(void *arg, int error)
{
	fail_msg("it was closed");
}

/* What is under way is finished, and nobody is told. */
static void test_closed_while_saving(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		struct mirror_witness_store *store = open_store("vol0", "dst://a/vol0");
		struct mirror_witness witness = sample();

		witness.generation.counter = i;
		store->ops->save(store, &witness, never_done, NULL);
		store->ops->close(store);
		store = open_store("vol0", "dst://a/vol0");
		expect(store, &witness);
		store->ops->close(store);
	}
}

static void test_no_folder(void **state)
{
	struct mirror_witness_store *store;
	struct mirror_witness witness = sample();

	setenv("STATE_DIRECTORY", "/dev/null/dstfs", 1);
	store = open_store("vol0", "dst://a/vol0");
	setenv("STATE_DIRECTORY", folder, 1);
	expect_none(store, 0);
	assert_int_equal(save(store, &witness), ENOTDIR);
	assert_int_equal(witness_forget(store), ENOTDIR);
	store->ops->close(store);
}

static int set_up(void **state)
{
	loop = loop_new();
	if (!loop || !mkdtemp(folder))
		return -1;
	return setenv("STATE_DIRECTORY", folder, 1);
}

static int tear_down(void **state)
{
	char command[100];

	loop_free(&loop);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),         cmocka_unit_test(test_each_mirror_has_its_own),
		cmocka_unit_test(test_long_names),   cmocka_unit_test(test_readable),
		cmocka_unit_test(test_damaged),      cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_failing_save), cmocka_unit_test(test_closed_while_saving),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
