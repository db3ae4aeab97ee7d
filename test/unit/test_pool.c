/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_pool.c - bounds, alignment and reuse of the pools; under AddressSanitizer also that what was
 * put back can't be used.
 */
#include "common/pool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifdef SANITIZED
#include <sanitizer/common_interface_defs.h>
#endif

static void no_more_than_the_bound_exist(void **state)
{
	static const struct {
		unsigned reserve, most;
	} rows[] = {{0, 1}, {1, 1}, {0, 63}, {0, 64}, {0, 65}, {1, 65}, {64, 200}, {200, 200}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pool *pool = pool_new(24, rows[i].reserve, rows[i].most);
		void *objects[200] = {0};

		assert_non_null(pool);
		for (unsigned n = 0; n < rows[i].most; n++) {
			assert_int_equal(pool_in_use(pool), n);
			objects[n] = pool_get(pool);
			assert_non_null(objects[n]);
		}
		assert_null(pool_get(pool));
		pool_put(pool, objects[0]);
		objects[0] = pool_get(pool);
		assert_non_null(objects[0]);
		for (unsigned n = 0; n < rows[i].most; n++)
			pool_put(pool, objects[n]);
		assert_int_equal(pool_in_use(pool), 0);
		pool_free(&pool);
		assert_null(pool);
	}
}

static void objects_are_aligned_and_apart(void **state)
{
	static const size_t sizes[] = {1, 8, 15, 16, 17, 100, 4096, 5000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pool *pool = pool_new(sizes[i], 3, 70);
		uint8_t *objects[70];

		for (unsigned n = 0; n < 70; n++) {
			objects[n] = pool_get(pool);
			assert_int_equal((uintptr_t)objects[n] % 16, 0);
			memset(objects[n], (int)n, sizes[i]);
		}
		for (unsigned n = 0; n < 70; n++)
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(objects[n][k], n);
		for (unsigned n = 0; n < 70; n++)
			pool_put(pool, objects[n]);
		pool_free(&pool);
	}
}

static void the_last_one_back_is_the_first_one_out(void **state)
{
	struct pool *pool = pool_new(32, 8, 8);
	struct buf_pool *bufs = buf_pool_new(4, 4);
	void *a = pool_get(pool), *b = pool_get(pool);
	struct buf *c = buf_get(bufs), *d = buf_get(bufs), *warm = d, *again;

	pool_put(pool, a);
	pool_put(pool, b);
	assert_ptr_equal(pool_get(pool), b);
	pool_put(pool, b);
	pool_free(&pool);

	buf_unref(&c);
	buf_unref(&d);
	again = buf_get(bufs);
	assert_ptr_equal(again, warm);
	buf_unref(&again);
	buf_pool_free(&bufs);
}

#ifndef SANITIZED /* which maps terabytes of its own */
static void no_memory_is_told(void **state)
{
	struct rlimit old, tight;
	struct pool *pool = pool_new(1u << 20, 0, 1u << 16);
	struct buf_pool *bufs = buf_pool_new(0, 1u << 16);

	getrlimit(RLIMIT_AS, &old);
	tight = (struct rlimit){.rlim_cur = 4u << 20, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	assert_null(pool_get(pool));
	assert_null(buf_get(bufs));
	assert_null(pool_new(1u << 20, 1000, 1000));
	assert_null(buf_pool_new(1000, 1000));
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(pool_in_use(pool), 0);
	assert_int_equal(buf_pool_in_use(bufs), 0);
	pool_free(&pool);
	buf_pool_free(&bufs);
}
#endif

static void no_more_buffers_than_the_bound_exist(void **state)
{
	struct buf_pool *pool = buf_pool_new(1, 20); /* one reserved, a slab, the rest */
	struct buf *bufs[20];

	for (unsigned n = 0; n < 20; n++) {
		assert_int_equal(buf_pool_in_use(pool), n);
		bufs[n] = buf_get(pool);
		assert_non_null(bufs[n]);
	}
	assert_null(buf_get(pool));
	buf_unref(&bufs[7]);
	assert_null(bufs[7]);
	bufs[7] = buf_get(pool);
	assert_non_null(bufs[7]);
	for (unsigned n = 0; n < 20; n++)
		buf_unref(&bufs[n]);
	assert_int_equal(buf_pool_in_use(pool), 0);
	buf_pool_free(&pool);
	assert_null(pool);
}

static void buffers_are_pages_with_headroom_of_their_own(void **state)
{
	struct buf_pool *pool = buf_pool_new(0, 3);
	struct buf *bufs[3];

	for (unsigned n = 0; n < 3; n++) {
		bufs[n] = buf_get(pool);
		assert_int_equal((uintptr_t)bufs[n]->data % 4096, 0);
		memset(bufs[n]->data - BUF_HEADROOM, (int)n + 1, BUF_HEADROOM + BUF_CAPACITY);
	}
	for (unsigned n = 0; n < 3; n++) {
		uint8_t *start = bufs[n]->data - BUF_HEADROOM;

		assert_int_equal(start[0], n + 1);
		assert_int_equal(bufs[n]->data[BUF_CAPACITY - 1], n + 1);
		assert_memory_equal(start, start + 1, BUF_HEADROOM + BUF_CAPACITY - 1);
		buf_unref(&bufs[n]);
	}
	buf_pool_free(&pool);
}

static void a_buffer_lives_until_its_last_reference(void **state)
{
	struct buf_pool *pool = buf_pool_new(1, 1);
	struct buf *a = buf_get(pool), *b = buf_ref(a), *c = buf_ref(b), *none = NULL;

	buf_unref(&a);
	buf_unref(&c);
	buf_unref(&none);
	assert_int_equal(buf_pool_in_use(pool), 1);
	assert_null(buf_get(pool));
	memset(b->data, 1, BUF_CAPACITY);
	buf_unref(&b);
	assert_int_equal(buf_pool_in_use(pool), 0);
	buf_pool_free(&pool);
}

#ifdef SANITIZED
static void use_after_put(void)
{
	struct pool *pool = pool_new(64, 2, 2);
	volatile uint8_t *object = pool_get(pool);

	pool_put(pool, (void *)object);
	object[63] = 1;
}

static void put_twice(void)
{
	struct pool *pool = pool_new(64, 2, 2);
	void *object = pool_get(pool);

	pool_get(pool);
	pool_put(pool, object);
	pool_put(pool, object);
}

static void overrun(void)
{
	struct pool *pool = pool_new(64, 2, 2);
	volatile uint8_t *object = pool_get(pool);

	pool_get(pool);
	object[64] = 1;
}

static void use_after_unref(void)
{
	struct buf_pool *pool = buf_pool_new(2, 2);
	struct buf *buf = buf_get(pool);
	volatile uint8_t *data = buf->data;

	buf_unref(&buf);
	data[4095] = 1;
}

static void overrun_of_a_buffer(void)
{
	struct buf_pool *pool = buf_pool_new(2, 2);
	struct buf *a = buf_get(pool), *b = buf_get(pool);

	((volatile uint8_t *)a->data)[BUF_CAPACITY] = 1;
	((volatile uint8_t *)b->data)[BUF_CAPACITY] = 1;
}

static void the_sanitizer_sees_through_the_pool(void **state)
{
	static void (*const crimes[])(void) = {use_after_put, put_twice, overrun, use_after_unref,
					       overrun_of_a_buffer};

	for (size_t i = 0; i < sizeof(crimes) / sizeof(crimes[0]); i++) {
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			/* The report is expected: nobody is to take it for a failure. */
			__sanitizer_set_report_fd((void *)(intptr_t)open("/dev/null", O_WRONLY));
			crimes[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			fail_msg("crime %zu went unseen", i);
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_more_than_the_bound_exist),
		cmocka_unit_test(objects_are_aligned_and_apart),
		cmocka_unit_test(the_last_one_back_is_the_first_one_out),
#ifndef SANITIZED
		cmocka_unit_test(no_memory_is_told),
#endif
		cmocka_unit_test(no_more_buffers_than_the_bound_exist),
		cmocka_unit_test(buffers_are_pages_with_headroom_of_their_own),
		cmocka_unit_test(a_buffer_lives_until_its_last_reference),
#ifdef SANITIZED
		cmocka_unit_test(the_sanitizer_sees_through_the_pool),
#endif
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
