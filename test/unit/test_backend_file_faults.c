/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_backend_file_faults.c - storage that fails, refuses or does things by halves. The system calls
 * that the backend makes come through here first, so that each can go wrong on purpose.
 */
#include "common/backend_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/magic.h>

#include <cmocka.h>

#define SIZE (8u << 20) /* bytes of the file */
#define MIB (1u << 20)

/* ---- system calls that go wrong ---- */

static struct {
	long f_type; /* 0: the real one */
	int nowait; /* errno of RWF_NOWAIT; 0: as the kernel does */
	size_t at_most; /* bytes that a read or write moves; 0: no bound */
	int sync_errors; /* so many syncs fail, late */
	int dsync_write; /* errno of the write itself under RWF_DSYNC and after */
	int fallocate, copy, lseek; /* errno */
	int read; /* errno */
	int interrupted; /* so many calls give EINTR first */
} fault;

static struct {
	_Atomic unsigned reads, writes, nowaits, syncs, dsyncs, punches, zero_ranges, copies, seeks;
} calls;

static pthread_barrier_t *sync_barrier; /* syncs meet here before they end */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Takes one out of a budget, from any thread. */
static bool spend(void *budget)
{
	int *left = budget;
	bool had;

	pthread_mutex_lock(&lock);
	had = *left > 0;
	*left -= had;
	pthread_mutex_unlock(&lock);
	return had;
}

static ssize_t go_wrong(int error)
{
	errno = error;
	return -1;
}

/* One buffer's worth of a transfer, within the bound. */
static ssize_t transfer(long number, int fd, const struct iovec *iov, int count, off_t offset,
			int flags)
{
	struct iovec part = *iov;

	if (spend(&fault.interrupted))
		return go_wrong(EINTR);
	if (!fault.at_most)
		return syscall(number, fd, iov, count, offset, 0, flags);
	if (part.iov_len > fault.at_most)
		part.iov_len = fault.at_most;
	return syscall(number, fd, &part, 1, offset, 0, flags);
}

static ssize_t nowait(long number, int fd, const struct iovec *iov, off_t offset)
{
	calls.nowaits++;
	if (fault.nowait)
		return go_wrong(fault.nowait);
	return transfer(number, fd, iov, 1, offset, 0); /* never waits here */
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};

	calls.reads++;
	if (fault.read)
		return go_wrong(fault.read);
	return transfer(SYS_preadv2, fd, &iov, 1, offset, 0);
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	assert(flags == RWF_NOWAIT);
	return nowait(SYS_preadv2, fd, iov, offset);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	calls.writes++;
	return transfer(SYS_pwritev2, fd, iov, count, offset, 0);
}

static int sync_result(void)
{
	bool failed = spend(&fault.sync_errors);

	if (sync_barrier)
		pthread_barrier_wait(sync_barrier);
	if (!failed)
		return 0;
	usleep(20000); /* whoever shares the fate ends first */
	return (int)go_wrong(EIO);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t n;

	if (flags == RWF_NOWAIT)
		return nowait(SYS_pwritev2, fd, iov, offset);
	if (fault.dsync_write)
		return go_wrong(fault.dsync_write);
	n = pwritev(fd, iov, count, offset);
	if (n < 0 || flags != RWF_DSYNC)
		return n;
	calls.dsyncs++;
	return sync_result() ? -1 : n;
}

int fdatasync(int fd)
{
	calls.syncs++;
	return sync_result();
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	assert(mode & FALLOC_FL_KEEP_SIZE);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		calls.punches++;
	else
		calls.zero_ranges++;
	if (fault.fallocate)
		return (int)go_wrong(fault.fallocate);
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t size, unsigned flags)
{
	calls.copies++;
	if (fault.copy)
		return go_wrong(fault.copy);
	return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}

off_t lseek(int fd, off_t offset, int whence)
{
	calls.seeks++;
	if (fault.lseek)
		return go_wrong(fault.lseek);
	return syscall(SYS_lseek, fd, offset, whence);
}

int fstatfs(int fd, struct statfs *fs)
{
	int error = (int)syscall(SYS_fstatfs, fd, fs);

	if (fault.f_type)
		fs->f_type = fault.f_type;
	return error;
}

/* ---- one backend, one loop ---- */

static struct loop *loop;
static struct backend *backend;
static char path[] = "/dev/shm/dstfs-test-faults.XXXXXX";
static uint8_t *model; /* what the file must hold */
static uint8_t data[MIB + 1];
static unsigned left; /* operations under way */

static void done(struct backend_op *op, int error)
{
	op->error = error;
	if (!--left)
		loop_stop(loop);
}

static void submit(struct backend_op *op)
{
	op->loop = loop;
	op->done = done;
	left++;
	backend_submit(backend, op);
}

static void settle(void)
{
	while (left)
		loop_run(loop);
}

static int run(struct backend_op op)
{
	submit(&op);
	settle();
	return op.error;
}

static struct backend_stats stats(void)
{
	struct backend_stats s;

	backend->ops->stats(backend, &s);
	return s;
}

/* A backend over a file of random bytes, on what looks like a file system of that f_type. */
static void open_backend(long f_type)
{
	struct backend_file_options options = {.path = path};
	char reason[256] = "";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	model = malloc(SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		model[i] = (uint8_t)(i * 2654435761u >> 24) | 1;
	assert_int_equal(write(fd, model, SIZE), SIZE);
	close(fd);
	fault.f_type = f_type;
	backend = backend_file_open(&options, reason, sizeof(reason));
	assert_string_equal(reason, "");
	assert_non_null(backend);
	memset(&calls, 0, sizeof(calls));
}

static int set_up(void **state)
{
	memset(&fault, 0, sizeof(fault));
	loop = loop_new();
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	return !loop;
}

static int tear_down(void **state)
{
	backend_close(&backend);
	loop_free(&loop);
	unlink(path);
	free(model);
	model = NULL;
	left = 0;
	sync_barrier = NULL;
	return 0;
}

static void assert_file_is_model(void)
{
	int fd = open(path, O_RDONLY);
	uint8_t *now = malloc(SIZE);

	assert_int_equal(read(fd, now, SIZE), SIZE);
	assert_memory_equal(now, model, SIZE);
	free(now);
	close(fd);
}

static struct backend_op transfer_op(enum backend_type type, uint64_t offset, uint64_t length)
{
	return (struct backend_op){
		.type = type, .range = {.offset = offset, .length = length}, .data = data};
}

/* ---- inline or not ---- */

static void on_tmpfs_an_operation_is_one_system_call(void **state)
{
	open_backend(TMPFS_MAGIC);
	assert_int_equal(run(transfer_op(BACKEND_READ, 4096, 4096)), 0);
	assert_int_equal(run(transfer_op(BACKEND_WRITE, 4096, 4096)), 0);
	assert_int_equal(calls.reads, 1);
	assert_int_equal(calls.writes, 1);
	assert_int_equal(calls.nowaits, 0);
	assert_int_equal(stats().served_inline, 2);
	assert_int_equal(stats().served_offloaded, 0);
}

static void on_fuse_nothing_is_inline(void **state)
{
	open_backend(FUSE_SUPER_MAGIC);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(run(transfer_op(BACKEND_READ, 0, 4096)), 0);
		assert_int_equal(run(transfer_op(BACKEND_WRITE, 0, 4096)), 0);
	}
	assert_int_equal(calls.nowaits, 0);
	assert_int_equal(stats().served_inline, 0);
}

static void what_would_block_goes_to_a_thread(void **state)
{
	open_backend(XFS_SUPER_MAGIC);
	assert_int_equal(run(transfer_op(BACKEND_READ, 0, 4096)), 0);
	assert_int_equal(run(transfer_op(BACKEND_WRITE, 0, 4096)), 0);
	assert_int_equal(stats().served_inline, 2);
	fault.nowait = EAGAIN;
	assert_int_equal(run(transfer_op(BACKEND_READ, 0, 4096)), 0);
	assert_int_equal(run(transfer_op(BACKEND_WRITE, 0, 4096)), 0);
	assert_int_equal(stats().served_inline, 2);
	assert_int_equal(stats().served_offloaded, 2);
	assert_int_equal(calls.nowaits, 4);
}

static void whole_pages_are_written_inline_where_the_kernel_cannot_tell(void **state)
{
	open_backend(EXT4_SUPER_MAGIC);
	fault.nowait = EOPNOTSUPP;
	run(transfer_op(BACKEND_WRITE, 0, 4096)); /* finds out */
	assert_int_equal(stats().served_inline, 0);
	run(transfer_op(BACKEND_WRITE, 0, 4096));
	assert_int_equal(stats().served_inline, 1);
	run(transfer_op(BACKEND_WRITE, 0, 512)); /* may have to read the rest of the page */
	run(transfer_op(BACKEND_WRITE, 512, 4096));
	assert_int_equal(stats().served_inline, 1);
	assert_int_equal(calls.nowaits, 1);
}

static void a_partial_result_goes_on_in_a_thread_where_it_ended(void **state)
{
	open_backend(XFS_SUPER_MAGIC);
	fault.at_most = 300000;
	assert_int_equal(run(transfer_op(BACKEND_READ, 12345, MIB)), 0);
	assert_memory_equal(data, model + 12345, MIB);
	assert_int_equal(stats().served_offloaded, 1);
	for (unsigned i = 0; i < MIB; i++)
		data[i] = (uint8_t)(i >> 8 ^ i);
	memcpy(model + 54321, data, MIB);
	assert_int_equal(run(transfer_op(BACKEND_WRITE, 54321, MIB)), 0);
	assert_int_equal(stats().served_offloaded, 2);
	assert_file_is_model();
}

static void interrupted_and_short_calls_are_taken_up_again(void **state)
{
	struct backend_op zero = transfer_op(BACKEND_WRITE_ZEROES, 777, 200000);

	open_backend(TMPFS_MAGIC);
	fault.at_most = 1000;
	fault.interrupted = 5;
	assert_int_equal(run(transfer_op(BACKEND_READ, 1, MIB)), 0);
	assert_memory_equal(data, model + 1, MIB);
	fault.fallocate = EOPNOTSUPP;
	fault.interrupted = 5;
	assert_int_equal(run(zero), 0);
	memset(model + 777, 0, 200000);
	assert_file_is_model();
}

/* ---- errors ---- */

static void a_read_error_is_reported(void **state)
{
	open_backend(XFS_SUPER_MAGIC);
	fault.nowait = fault.read = EIO;
	assert_int_equal(run(transfer_op(BACKEND_READ, 0, 4096)), EIO);
	assert_int_equal(run(transfer_op(BACKEND_HASH, 0, 4096)), EIO);
}

static void both_of_two_flushes_fail_when_the_kernel_tells_only_one(void **state)
{
	struct backend_op a = {.type = BACKEND_FLUSH}, b = {.type = BACKEND_FLUSH};
	pthread_barrier_t barrier;

	open_backend(XFS_SUPER_MAGIC);
	pthread_barrier_init(&barrier, NULL, 2);
	sync_barrier = &barrier;
	fault.sync_errors = 1;
	submit(&a);
	submit(&b);
	settle();
	assert_int_equal(a.error, EIO);
	assert_int_equal(b.error, EIO);
	assert_int_equal(backend->info.losses, 1);
	sync_barrier = NULL;
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), 0);
	pthread_barrier_destroy(&barrier);
}

static void a_flush_fails_when_write_through_took_the_error_away(void **state)
{
	struct backend_op fua = transfer_op(BACKEND_WRITE, 0, 4096);

	open_backend(XFS_SUPER_MAGIC);
	fua.fua = true;
	memcpy(data, model, 4096);
	assert_int_equal(run(fua), 0);
	assert_int_equal(calls.dsyncs, 1);
	fault.sync_errors = 1;
	assert_int_equal(backend->info.losses, 0);
	assert_int_equal(run(fua), EIO);
	assert_int_equal(backend->info.losses, 1);
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), EIO);
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), 0);
	assert_int_equal(run(fua), 0);
	assert_file_is_model();
}

static void write_through_fails_when_a_flush_took_the_error_away(void **state)
{
	struct backend_op fua = transfer_op(BACKEND_WRITE, 0, 4096);
	struct backend_op flush = {.type = BACKEND_FLUSH};
	pthread_barrier_t barrier;

	open_backend(XFS_SUPER_MAGIC);
	pthread_barrier_init(&barrier, NULL, 2);
	sync_barrier = &barrier;
	fault.sync_errors = 1;
	fua.fua = true;
	submit(&flush);
	submit(&fua);
	settle();
	assert_int_equal(flush.error, EIO);
	assert_int_equal(fua.error, EIO);
	pthread_barrier_destroy(&barrier);
}

static void a_failed_write_is_no_failed_sync(void **state)
{
	struct backend_op fua = transfer_op(BACKEND_WRITE, 0, 4096);

	open_backend(XFS_SUPER_MAGIC);
	fua.fua = true;
	fault.dsync_write = ENOSPC;
	assert_int_equal(run(fua), ENOSPC);
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), 0);
	assert_int_equal(backend->info.losses, 0);
}

static void a_write_through_that_may_have_failed_to_sync_counts_as_such(void **state)
{
	struct backend_op fua = transfer_op(BACKEND_WRITE, 0, 4096);

	open_backend(XFS_SUPER_MAGIC);
	fua.fua = true;
	fault.dsync_write = EIO; /* and what is tried after it */
	assert_int_equal(run(fua), EIO);
	assert_int_equal(backend->info.losses, 1);
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), EIO);
	assert_int_equal(run((struct backend_op){.type = BACKEND_FLUSH}), 0);
}

/* ---- what the file system doesn't offer ---- */

static void what_cannot_be_punched_is_written_and_not_tried_again(void **state)
{
	struct backend_op zero = transfer_op(BACKEND_WRITE_ZEROES, 4097, 3 * MIB + 5);

	open_backend(XFS_SUPER_MAGIC);
	fault.fallocate = EOPNOTSUPP;
	for (int i = 0; i < 3; i++)
		assert_int_equal(run(zero), 0);
	assert_int_equal(calls.punches, 1);
	assert_int_equal(calls.zero_ranges, 1);
	memset(model + 4097, 0, 3 * MIB + 5);
	assert_file_is_model();
	assert_int_equal(run(transfer_op(BACKEND_DISCARD, 0, 4096)), EOPNOTSUPP);
}

static void zeroes_without_a_hole_never_punch(void **state)
{
	struct backend_op zero = transfer_op(BACKEND_WRITE_ZEROES, 0, 8192);

	open_backend(XFS_SUPER_MAGIC);
	zero.no_hole = true;
	zero.fua = true;
	assert_int_equal(run(zero), 0);
	assert_int_equal(calls.punches, 0);
	assert_int_equal(calls.zero_ranges, 1);
	assert_int_equal(calls.syncs, 1);
	memset(model, 0, 8192);
	assert_file_is_model();
}

static void other_errors_of_zeroing_are_not_papered_over(void **state)
{
	open_backend(XFS_SUPER_MAGIC);
	fault.fallocate = EIO;
	assert_int_equal(run(transfer_op(BACKEND_WRITE_ZEROES, 0, 8192)), EIO);
	assert_int_equal(run(transfer_op(BACKEND_DISCARD, 0, 8192)), EIO);
	assert_file_is_model();
}

static void copy_works_without_the_kernels_help(void **state)
{
	struct backend_op copy = transfer_op(BACKEND_COPY, 5 * MIB + 3, 2 * MIB + 1);

	open_backend(XFS_SUPER_MAGIC);
	fault.copy = EXDEV;
	fault.at_most = 700001;
	copy.copy_from = MIB - 7;
	submit(&copy);
	settle();
	assert_int_equal(copy.error, 0);
	assert_int_equal(copy.result, 2 * MIB + 1);
	memcpy(model + 5 * MIB + 3, model + MIB - 7, 2 * MIB + 1);
	assert_file_is_model();
	assert_int_equal(run(copy), 0);
	assert_int_equal(calls.copies, 1);
	fault.read = EIO;
	assert_int_equal(run(copy), EIO);
}

static void without_seek_hole_all_is_data(void **state)
{
	struct wire_extent extents[DST_MAX_EXTENTS];
	struct backend_op op = {.type = BACKEND_EXTENTS, .range = {12345, MIB}, .extents = extents};

	open_backend(XFS_SUPER_MAGIC);
	fault.lseek = EINVAL;
	submit(&op);
	settle();
	assert_int_equal(op.error, 0);
	assert_int_equal(op.extent_count, 1);
	assert_int_equal(extents[0].length, MIB);
	assert_int_equal(extents[0].kind, DST_EXTENT_DATA);
	fault.lseek = EIO;
	submit(&op);
	settle();
	assert_int_equal(op.error, EIO);
}

/* One at a time, over the whole file: how many of the pieces are holes as a whole. */
static unsigned count_holes(void)
{
	struct wire_extent extents[DST_MAX_EXTENTS];
	unsigned holes = 0;

	for (uint64_t at = 0; at < SIZE; at += MIB) {
		struct backend_op op = {
			.type = BACKEND_EXTENTS, .range = {at, MIB}, .extents = extents};

		submit(&op);
		settle();
		assert_int_equal(op.error, 0);
		holes += op.extent_count == 1 && extents[0].kind == DST_EXTENT_HOLE;
	}
	return holes;
}

static void the_end_of_data_is_looked_for_once_until_some_of_it_is_punched(void **state)
{
	unsigned before;

	open_backend(XFS_SUPER_MAGIC);
	before = calls.seeks;
	assert_int_equal(count_holes(), 0);
	assert_int_equal(calls.seeks - before, 2);
	assert_int_equal(run(transfer_op(BACKEND_WRITE_ZEROES, 3 * MIB, 2 * MIB)), 0);
	assert_int_equal(calls.punches, 1);
	assert_int_equal(count_holes(), 2);
	assert_int_equal(run(transfer_op(BACKEND_DISCARD, 6 * MIB, MIB)), 0);
	assert_int_equal(count_holes(), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(on_tmpfs_an_operation_is_one_system_call),
		TEST(on_fuse_nothing_is_inline),
		TEST(what_would_block_goes_to_a_thread),
		TEST(whole_pages_are_written_inline_where_the_kernel_cannot_tell),
		TEST(a_partial_result_goes_on_in_a_thread_where_it_ended),
		TEST(interrupted_and_short_calls_are_taken_up_again),
		TEST(a_read_error_is_reported),
		TEST(both_of_two_flushes_fail_when_the_kernel_tells_only_one),
		TEST(a_flush_fails_when_write_through_took_the_error_away),
		TEST(write_through_fails_when_a_flush_took_the_error_away),
		TEST(a_failed_write_is_no_failed_sync),
		TEST(a_write_through_that_may_have_failed_to_sync_counts_as_such),
		TEST(what_cannot_be_punched_is_written_and_not_tried_again),
		TEST(zeroes_without_a_hole_never_punch),
		TEST(other_errors_of_zeroing_are_not_papered_over),
		TEST(copy_works_without_the_kernels_help),
		TEST(without_seek_hole_all_is_data),
		TEST(the_end_of_data_is_looked_for_once_until_some_of_it_is_punched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
