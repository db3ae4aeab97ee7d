/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_backend_file.c - the backend on real storage: every operation on tmpfs, ext4, xfs, btrfs and a
 * block device against a model; what may be opened, and by whom; files that shrink and grow; full and
 * slow storage. What needs root or a tool that isn't there is skipped, by name.
 *
 * Mounts live in a mount namespace of this process and loop devices detach themselves, so nothing
 * stays behind, however it ends.
 *
 * alone: it measures what is served at once, and its namespace keeps alive what others unmount
 */
#include "common/backend_file.h"

#include "common/checksum.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1u << 20)
#define SIZE (4u * MIB) /* bytes of the image under test */
#define MOST (300u << 10) /* bytes of one operation */

static char dir[4000]; /* all files are below it */
static char path[4096]; /* the image under test */
static bool may_mount;
static struct loop *loop;
static struct backend *backend;
static unsigned under_way;
static int device_fd = -1; /* keeps a loop device attached */
static pid_t slow_pid; /* the nbdfuse of a slow disk */
static uint8_t data[MIB];
static char image_path[4096]; /* what backend was opened on */

/* ---- helpers ---- */

static char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[9000];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return !system(command);
}

static void make_file(const char *file, uint64_t size)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* Attaches a file to a loop device that goes when the last one closes it. False: no device. */
static bool attach(const char *file, char *device, size_t device_size)
{
	struct loop_config config = {.info.lo_flags = LO_FLAGS_AUTOCLEAR};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1, number;
	int backing = open(file, O_RDWR | O_CLOEXEC);

	for (int tries = 0; control >= 0 && tries < 10 && fd < 0; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(device, device_size, "/dev/loop%d", number);
		fd = open(device, O_RDWR | O_CLOEXEC);
		config.fd = (uint32_t)backing;
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
			close(fd);
			fd = -1;
		}
	}
	close(control);
	close(backing);
	device_fd = fd;
	return fd >= 0;
}

static struct backend *try_open(const char *file, bool read_only, uint64_t limit, char reason[256])
{
	struct backend_file_options options = {
		.path = file, .read_only = read_only, .size_limit = limit};

	memset(reason, 0, 256);
	return backend_file_open(&options, reason, 256);
}

static void must_open(const char *file)
{
	char reason[256];

	snprintf(image_path, sizeof(image_path), "%s", file);
	backend = try_open(file, false, 0, reason);
	assert_string_equal(reason, "");
	assert_non_null(backend);
}

static void must_refuse(const char *file, bool read_only, uint64_t limit, const char *why)
{
	char reason[256], expected[5000];
	struct backend *b = try_open(file, read_only, limit, reason);

	assert_null(b);
	snprintf(expected, sizeof(expected), "%s: %s", file, why);
	assert_string_equal(reason, expected);
}

static void done(struct backend_op *op, int error)
{
	op->error = error;
	if (!--under_way)
		loop_stop(loop);
}

static void submit(struct backend_op *op)
{
	op->loop = loop;
	op->done = done;
	under_way++;
	backend_submit(backend, op);
}

static void settle(void)
{
	while (under_way)
		loop_run(loop);
}

static int run(struct backend_op *op)
{
	submit(op);
	settle();
	return op->error;
}

static int transfer(enum backend_type type, uint64_t offset, uint64_t length)
{
	struct backend_op op = {.type = type, .range = {offset, length}, .data = data};

	return run(&op);
}

static struct backend_stats stats(void)
{
	struct backend_stats s;

	backend->ops->stats(backend, &s);
	return s;
}

static int set_up(void **state)
{
	loop = loop_new();
	return !loop;
}

static void end_slow_disk(void)
{
	umount2(in_dir("slow/image"), MNT_DETACH);
	kill(slow_pid, SIGTERM);
	waitpid(slow_pid, NULL, 0);
	slow_pid = 0;
}

/* Also after a test that failed half-way. */
static int tear_down(void **state)
{
	settle();
	backend_close(&backend);
	loop_free(&loop);
	if (device_fd >= 0)
		close(device_fd);
	device_fd = -1;
	if (slow_pid)
		end_slow_disk();
	return 0;
}

/* ---- every operation against a model ---- */

static uint8_t model[SIZE];

static uint64_t pick(uint64_t below)
{
	return (uint64_t)random() % below;
}

/* Often on a page, often not. */
static struct range pick_range(void)
{
	uint64_t unit = (uint64_t[]){1, 512, 4096}[pick(3)];
	struct range r = {.offset = pick(SIZE / unit) * unit};

	r.length = (1 + pick(MOST / unit)) * unit;
	return range_clip(r, SIZE);
}

static void check_write(struct backend_op *op)
{
	for (uint64_t i = 0; i < op->range.length; i++)
		data[i] = (uint8_t)(random() >> 7);
	op->data = data;
	assert_int_equal(run(op), 0);
	memcpy(model + op->range.offset, data, op->range.length);
}

static void check_read(struct backend_op *op)
{
	op->data = data;
	assert_int_equal(run(op), 0);
	assert_memory_equal(data, model + op->range.offset, op->range.length);
}

static void check_zeroes(struct backend_op *op)
{
	op->no_hole = pick(2);
	assert_int_equal(run(op), 0);
	memset(model + op->range.offset, 0, op->range.length);
}

static void check_discard(struct backend_op *op)
{
	int error = run(op);

	assert_true(!error || error == EOPNOTSUPP);
	op->type = BACKEND_WRITE_ZEROES; /* what it reads as now is not defined */
	check_zeroes(op);
}

static void check_copy(struct backend_op *op)
{
	struct range from = {.offset = pick(SIZE - op->range.length), .length = op->range.length};

	op->copy_from = from.offset;
	if (range_overlaps(from, op->range)) {
		assert_int_equal(run(op), EINVAL);
		return;
	}
	assert_int_equal(run(op), 0);
	assert_in_range(op->result, 1, op->range.length);
	memcpy(model + op->range.offset, model + from.offset, op->result);
}

static void check_hash(struct backend_op *op)
{
	struct checksum_range *c = checksum_range_new(42);
	uint8_t digest[DST_HASH_SIZE];

	op->hash_seed = 42;
	assert_int_equal(run(op), 0);
	checksum_range_add(c, model + op->range.offset, op->range.length);
	checksum_range_end(&c, digest);
	assert_memory_equal(op->hash, digest, sizeof(digest));
}

static void check_extents(struct backend_op *op)
{
	static struct wire_extent extents[DST_MAX_EXTENTS];
	struct range left = op->range;

	op->extents = extents;
	assert_int_equal(run(op), 0);
	assert_in_range(op->extent_count, 1, DST_MAX_EXTENTS);
	for (unsigned i = 0; i < op->extent_count; i++) {
		assert_in_range(extents[i].length, 1, left.length);
		for (uint64_t at = 0; extents[i].kind == DST_EXTENT_HOLE && at < extents[i].length;
		     at++)
			assert_int_equal(model[left.offset + at], 0);
		range_advance(&left, extents[i].length);
	}
	assert_int_equal(left.length, 0);
}

static void check_flush(struct backend_op *op)
{
	op->range = (struct range){0};
	assert_int_equal(run(op), 0);
}

static void (*const checks[])(struct backend_op *op) = {
	[BACKEND_READ] = check_read,           [BACKEND_WRITE] = check_write,
	[BACKEND_FLUSH] = check_flush,         [BACKEND_DISCARD] = check_discard,
	[BACKEND_WRITE_ZEROES] = check_zeroes, [BACKEND_EXTENTS] = check_extents,
	[BACKEND_COPY] = check_copy,           [BACKEND_HASH] = check_hash,
};

/* Drops what is clean of the image from the page cache. */
static void drop_cache(void)
{
	struct backend_op flush = {.type = BACKEND_FLUSH};
	int fd = open(image_path, O_RDONLY);

	assert_int_equal(run(&flush), 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void check_all_operations(void)
{
	srandom(7);
	memset(model, 0, SIZE);
	for (int i = 0; i < 800; i++) {
		struct backend_op op = {.type = (enum backend_type)pick(BACKEND_HASH + 1),
					.range = pick_range(),
					.fua = !pick(16)};

		if (i % 3 == 0)
			op.type = BACKEND_WRITE;
		if (i % 100 == 50) /* what is cached and what isn't */
			drop_cache();
		checks[op.type](&op);
	}
	assert_int_equal(transfer(BACKEND_READ, 0, MIB), 0);
	assert_memory_equal(data, model, MIB);
}

static void need_mounts(void)
{
	if (may_mount)
		return;
	print_message("needs root\n");
	skip();
}

/* A mounted file system of that kind below dir, with room for the image, at dir/NAME. */
static void need_mounted(const char *kind)
{
	need_mounts();
	in_dir(kind);
	if (!shell("command -v mkfs.%s >/dev/null && mkdir -p %s && truncate -s 400M %s.fs && "
		   "mkfs.%s -q %s.fs >/dev/null 2>&1 && mount -o loop %s.fs %s 2>/dev/null",
		   kind, path, path, kind, path, path, path)) {
		print_message("needs mkfs.%s and a kernel that mounts %s\n", kind, kind);
		skip();
	}
	strcat(path, "/image");
}

static void let_go(const char *kind)
{
	backend_close(&backend);
	assert_int_equal(umount(in_dir(kind)), 0);
	unlink(strcat(path, ".fs"));
}

static void check_file_system(const char *kind)
{
	need_mounted(kind);
	make_file(path, SIZE);
	must_open(path);
	assert_int_equal(backend->info.size, SIZE);
	assert_int_equal(backend->info.features,
			 DST_CAN_DISCARD | DST_CAN_UNMAP | DST_CAN_EXTENTS | DST_CAN_COPY);
	check_all_operations();
	/* What was just read is cached, and known to be. */
	assert_int_equal(transfer(BACKEND_READ, 0, 4096), 0);
	assert_true(stats().served_inline > 50);
	let_go(kind);
}

static void operations_on_ext4_agree_with_a_model(void **state)
{
	check_file_system("ext4");
}

static void operations_on_xfs_agree_with_a_model(void **state)
{
	check_file_system("xfs");
}

static void operations_on_btrfs_agree_with_a_model(void **state)
{
	check_file_system("btrfs");
}

static void operations_on_tmpfs_agree_with_a_model(void **state)
{
	char image[] = "/dev/shm/dstfs-test-backend.XXXXXX";
	int fd = mkstemp(image);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	must_open(image);
	unlink(image);
	check_all_operations();
}

static void operations_on_a_block_device_agree_with_a_model(void **state)
{
	char device[64];

	need_mounts();
	make_file(in_dir("device-image"), SIZE);
	if (!attach(path, device, sizeof(device))) {
		print_message("needs a loop device\n");
		skip();
	}
	must_open(device);
	assert_true(backend->info.is_device);
	assert_int_equal(backend->info.size, SIZE);
	check_all_operations();
	must_refuse(device, false, 0, "is in use: mounted, or open in another process");
}

/* ---- opening ---- */

static void what_is_no_storage_is_refused_by_name(void **state)
{
	char fifo[4096];

	must_refuse(dir, false, 0, "is a directory; it must be a regular file or a block device");
	snprintf(fifo, sizeof(fifo), "%s", in_dir("fifo"));
	mkfifo(fifo, 0600);
	must_refuse(fifo, true, 0, "is a pipe; it must be a regular file or a block device");
	must_refuse("/dev/null", false, 0,
		    "is a character device; it must be a regular file or a block device");
	must_refuse(in_dir("absent"), false, 0, "No such file or directory");
	make_file(in_dir("small"), 1000);
	must_refuse(path, false, 1001, "has 1000 bytes, less than the size of 1001 asked for");
}

static void a_file_without_permission_is_refused_and_not_opened_read_only(void **state)
{
	make_file(in_dir("denied"), 1000);
	chmod(path, 0444);
	chmod(dir, 0755);
	if (!geteuid() && seteuid(65534))
		skip();
	must_refuse(path, false, 0, "Permission denied");
	backend = try_open(path, true, 0, (char[256]){0});
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	assert_non_null(backend);
	assert_true(backend->info.read_only);
	assert_int_equal(backend->info.features & ~DST_CAN_EXTENTS, 0);
	assert_int_equal(transfer(BACKEND_READ, 0, 1000), 0);
}

static void there_is_one_writer_and_any_number_of_readers(void **state)
{
	struct backend *reader;
	char reason[256];

	make_file(in_dir("locked"), 1000);
	must_open(path);
	must_refuse(path, false, 0, "is in use by another process");
	reader = try_open(path, true, 0, reason);
	assert_non_null(reader);
	backend_close(&backend);
	must_open(path); /* readers don't keep a writer out */
	backend_close(&reader);
}

/* ---- the medium changes ---- */

static void a_file_that_was_shrunk_reads_as_zeros(void **state)
{
	make_file(in_dir("shrunk"), 100000);
	must_open(path);
	memset(data, 1, sizeof(data));
	assert_int_equal(transfer(BACKEND_WRITE, 0, 100000), 0);
	assert_int_equal(truncate(path, 50000), 0);
	assert_int_equal(transfer(BACKEND_READ, 0, 100000), 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(data[i], i < 50000);
	assert_int_equal(backend->info.size, 100000);
	assert_true(backend_refresh(backend));
	assert_int_equal(backend->info.size, 50000);
	assert_false(backend_refresh(backend));
	assert_int_equal(truncate(path, 200000), 0);
	assert_true(backend_refresh(backend));
	assert_int_equal(backend->info.size, 200000);
}

static void a_size_limit_holds_when_the_file_grows(void **state)
{
	make_file(in_dir("limited"), 100000);
	backend = try_open(path, false, 60000, (char[256]){0});
	assert_non_null(backend);
	assert_int_equal(backend->info.size, 60000);
	assert_int_equal(truncate(path, 200000), 0);
	assert_false(backend_refresh(backend));
	assert_int_equal(truncate(path, 40000), 0);
	assert_true(backend_refresh(backend));
	assert_int_equal(backend->info.size, 40000);
}

static void a_full_file_system_is_enospc_until_something_is_punched(void **state)
{
	need_mounts();
	in_dir("full");
	mkdir(path, 0700);
	assert_int_equal(mount("none", path, "tmpfs", 0, "size=2m"), 0);
	strcat(path, "/image");
	make_file(path, 16 * MIB);
	must_open(path);
	assert_int_equal(transfer(BACKEND_WRITE, 0, MIB), 0);
	assert_int_equal(transfer(BACKEND_WRITE, MIB + 512, MIB), ENOSPC);
	assert_int_equal(transfer(BACKEND_WRITE, 8 * MIB, MIB), ENOSPC);
	assert_int_equal(transfer(BACKEND_WRITE_ZEROES, 0, 3 * MIB), 0);
	assert_int_equal(transfer(BACKEND_WRITE, 8 * MIB, MIB), 0);
	let_go("full");
}

/* ---- slow storage ---- */

/* nbdfuse shows an image whose every access takes delay_ms as dir/slow/image, which path then is. */
static void slow_disk(unsigned delay_ms)
{
	static char image[4200], delay[2][32];
	struct stat st;

	need_mounts();
	if (!shell("command -v nbdfuse nbdkit >/dev/null && test -c /dev/fuse")) {
		print_message("needs nbdfuse and nbdkit\n");
		skip();
	}
	make_file(in_dir("slow-image"), 64 * MIB);
	snprintf(image, sizeof(image), "%s", path);
	snprintf(delay[0], sizeof(delay[0]), "rdelay=%ums", delay_ms);
	snprintf(delay[1], sizeof(delay[1]), "wdelay=%ums", delay_ms);
	mkdir(in_dir("slow"), 0700);
	make_file(in_dir("slow/image"), 0);
	slow_pid = fork();
	if (!slow_pid) {
		execlp("nbdfuse", "nbdfuse", path, "[", "nbdkit", "--exit-with-parent",
		       "--filter=delay", "file", image, delay[0], delay[1], "]", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500; i++) {
		if (!stat(path, &st) && st.st_size)
			return;
		usleep(10000);
	}
	fail_msg("the slow disk doesn't start");
}

/* Submits reads and writes all over it; how long the longest submit took, in nanoseconds. */
static uint64_t longest_submit(unsigned count, bool write)
{
	static struct backend_op ops[1000];
	uint64_t longest = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t start = clock_now(), took;

		ops[i] = (struct backend_op){
			.type = write && i % 2 ? BACKEND_WRITE : BACKEND_READ,
			.range = {(uint64_t)i * 37 % 1024 * 65536, 4096},
			.data = data + (size_t)i % 256 * 4096,
		};
		submit(&ops[i]);
		took = clock_now() - start;
		if (took > longest)
			longest = took;
	}
	settle();
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(ops[i].error, 0);
	return longest;
}

static void submit_to_a_slow_fuse_file_never_waits(void **state)
{
	slow_disk(200);
	must_open(path);
	assert_true(longest_submit(16, true) < 100 * CLOCK_MS);
	assert_int_equal(stats().served_inline, 0);
}

/* Many more reads at once than the device's queue holds: RWF_NOWAIT alone would wait for that. */
static void submit_to_a_slow_device_never_waits_for_its_queue(void **state)
{
	char device[64];

	slow_disk(20);
	assert_true(attach(path, device, sizeof(device)));
	must_open(device);
	assert_true(longest_submit(300, false) < 100 * CLOCK_MS);
	assert_true(stats().served_offloaded > 200);
}

/* ---- */

static int start(void **state)
{
	const char *base = getenv("TEST_DIR");

	may_mount = !geteuid() && !unshare(CLONE_NEWNS) &&
		    !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	snprintf(dir, sizeof(dir), "%s/backend-file.XXXXXX", base ? base : "/tmp");
	return !mkdtemp(dir);
}

static int end(void **state)
{
	return !shell("rm -rf --one-file-system '%s'", dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(operations_on_tmpfs_agree_with_a_model),
		TEST(operations_on_ext4_agree_with_a_model),
		TEST(operations_on_xfs_agree_with_a_model),
		TEST(operations_on_btrfs_agree_with_a_model),
		TEST(operations_on_a_block_device_agree_with_a_model),
		TEST(what_is_no_storage_is_refused_by_name),
		TEST(a_file_without_permission_is_refused_and_not_opened_read_only),
		TEST(there_is_one_writer_and_any_number_of_readers),
		TEST(a_file_that_was_shrunk_reads_as_zeros),
		TEST(a_size_limit_holds_when_the_file_grows),
		TEST(a_full_file_system_is_enospc_until_something_is_punched),
		TEST(submit_to_a_slow_fuse_file_never_waits),
		TEST(submit_to_a_slow_device_never_waits_for_its_queue),
	};

	return cmocka_run_group_tests(tests, start, end);
}
