/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * powerdisk.c - a disk with a volatile cache, and a switch for its power: a FUSE file system with
 * two files.
 *
 *	powerdisk BACKING MOUNTPOINT        in the foreground, until it is unmounted
 *
 * `disk` is as large as BACKING, and bypasses the kernel's page cache: a write is in the disk's own
 * cache when it returns, and reaches BACKING by fsync, by O_DSYNC (FUA), or, as disks do, by itself:
 * now and then when its sector is overwritten. Commands are written to `control`, one each:
 *
 *	cut SEED           the power fails and comes back: each sector that BACKING has not got is
 *	                   lost or kept by chance, so that of a longer write any part may be there
 *	lose               likewise, and all of them are lost
 *	fsync-errors N     the next N flushes fail with EIO. As under Linux's page cache, what they
 *	                   should have written is taken for written, is still read, and is lost at
 *	                   the next cut
 *	write-errors N     the next N writes fail with EIO, half done
 *	bad SECTOR N       N sectors from there on can't be read, each until it is written again
 *	delay MS           writes and flushes take so much longer
 *
 * Reading `control` gives "N writes, N flushes, N bad, N unflushed, N lost": sectors, the last three.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define DESTAGE_ODDS 4 /* one overwritten sector in so many was written out just before */

static struct {
	pthread_mutex_t lock; /* for all of it */
	size_t size;
	uint8_t *durable; /* BACKING, mapped */
	uint8_t *now; /* what is read */
	bool *dirty; /* by sector: the cache has it, and would write it */
	bool *bad; /* by sector */
	uint64_t random; /* state of the generator */
	unsigned fsync_errors, write_errors, delay;
	uint64_t writes, flushes, lost;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .random = 1};

/* xorshift64*, Vigna 2014: the same for the same seed. */
static unsigned chance(unsigned below)
{
	disk.random ^= disk.random >> 12;
	disk.random ^= disk.random << 25;
	disk.random ^= disk.random >> 27;
	return (unsigned)((disk.random * 0x2545f4914f6cdd1dull) >> 33) % below;
}

static void destage(size_t sector)
{
	memcpy(disk.durable + sector * SECTOR, disk.now + sector * SECTOR, SECTOR);
	disk.dirty[sector] = false;
}

static bool differs(size_t sector)
{
	return memcmp(disk.durable + sector * SECTOR, disk.now + sector * SECTOR, SECTOR) != 0;
}

/* NULL: zeros. */
static void put(const char *data, size_t size, size_t offset)
{
	size_t end = (offset + size + SECTOR - 1) / SECTOR;

	for (size_t sector = offset / SECTOR; sector < end; sector++) {
		if (disk.dirty[sector] && chance(DESTAGE_ODDS) == 0)
			destage(sector);
		disk.dirty[sector] = true;
		disk.bad[sector] = false;
	}
	if (data)
		memcpy(disk.now + offset, data, size);
	else
		memset(disk.now + offset, 0, size);
}

/* 0 or EIO; sectors from `first` up to `end`. */
static int flush(size_t first, size_t end)
{
	bool fails = disk.fsync_errors > 0;

	disk.flushes++;
	disk.fsync_errors -= fails;
	for (size_t sector = first; sector < end; sector++) {
		if (disk.dirty[sector] && !fails)
			destage(sector);
		disk.dirty[sector] = false;
	}
	return fails ? EIO : 0;
}

static void cut(bool lose_all)
{
	for (size_t sector = 0; sector < disk.size / SECTOR; sector++) {
		if (disk.dirty[sector] && !lose_all && chance(2))
			destage(sector);
		disk.lost += differs(sector);
		disk.dirty[sector] = false;
	}
	memcpy(disk.now, disk.durable, disk.size);
}

static void make_bad(size_t first, size_t count)
{
	for (size_t sector = first; sector < disk.size / SECTOR && count--; sector++)
		disk.bad[sector] = true;
}

static bool any_bad(size_t size, size_t offset)
{
	for (size_t sector = offset / SECTOR; sector * SECTOR < offset + size; sector++)
		if (disk.bad[sector])
			return true;
	return false;
}

static int command(const char *text)
{
	unsigned long long n, first;

	if (sscanf(text, "cut %llu", &n) == 1) {
		disk.random = n * 0x9e3779b97f4a7c15ull | 1;
		cut(false);
	} else if (strncmp(text, "lose", 4) == 0) {
		cut(true);
	} else if (sscanf(text, "fsync-errors %llu", &n) == 1) {
		disk.fsync_errors = (unsigned)n;
	} else if (sscanf(text, "write-errors %llu", &n) == 1) {
		disk.write_errors = (unsigned)n;
	} else if (sscanf(text, "bad %llu %llu", &first, &n) == 2) {
		make_bad(first, n);
	} else if (sscanf(text, "delay %llu", &n) == 1) {
		disk.delay = (unsigned)n;
	} else {
		return EINVAL;
	}
	return 0;
}

/* ---- the files ---- */

static bool is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static bool is_control(const char *path)
{
	return strcmp(path, "/control") == 0;
}

static void take_time(void)
{
	unsigned delay;

	pthread_mutex_lock(&disk.lock);
	delay = disk.delay;
	pthread_mutex_unlock(&disk.lock);
	usleep(delay * 1000);
}

static int on_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	memset(st, 0, sizeof(*st));
	st->st_nlink = 1;
	st->st_uid = getuid();
	st->st_gid = getgid();
	st->st_mode = S_IFREG | 0600;
	if (is_disk(path))
		st->st_size = (off_t)disk.size;
	else if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0700;
	else if (!is_control(path))
		return -ENOENT;
	return 0;
}

static int on_readdir(const char *path, void *entries, fuse_fill_dir_t fill, off_t offset,
		      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	fill(entries, "disk", NULL, 0, 0);
	fill(entries, "control", NULL, 0, 0);
	return 0;
}

static int on_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	return 0;
}

/* A shell's ">control". */
static int on_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	return is_control(path) ? 0 : -EPERM;
}

static int read_disk(char *data, size_t size, size_t offset)
{
	if (offset >= disk.size)
		return 0;
	if (size > disk.size - offset)
		size = disk.size - offset;
	if (any_bad(size, offset))
		return -EIO;
	memcpy(data, disk.now + offset, size);
	return (int)size;
}

static int read_control(char *data, size_t size, size_t offset)
{
	unsigned long long unflushed = 0, bad = 0;
	char text[160];

	for (size_t sector = 0; sector < disk.size / SECTOR; sector++) {
		unflushed += disk.dirty[sector];
		bad += disk.bad[sector];
	}
	snprintf(text, sizeof(text),
		 "%llu writes, %llu flushes, %llu bad, %llu unflushed, %llu lost\n",
		 (unsigned long long)disk.writes, (unsigned long long)disk.flushes, bad, unflushed,
		 (unsigned long long)disk.lost);
	size = offset ? 0 : strnlen(text, size);
	memcpy(data, text, size);
	return (int)size;
}

static int on_read(const char *path, char *data, size_t size, off_t offset,
		   struct fuse_file_info *fi)
{
	int result;

	pthread_mutex_lock(&disk.lock);
	result = is_disk(path) ? read_disk(data, size, (size_t)offset)
			       : read_control(data, size, (size_t)offset);
	pthread_mutex_unlock(&disk.lock);
	return result;
}

static int write_disk(const char *data, size_t size, size_t offset, bool durable)
{
	int error = 0;

	if (offset > disk.size || size > disk.size - offset)
		return -ENOSPC;
	disk.writes++;
	if (disk.write_errors) {
		disk.write_errors--;
		put(data, size / 2, offset);
		return -EIO;
	}
	put(data, size, offset);
	if (durable)
		error = flush(offset / SECTOR, (offset + size + SECTOR - 1) / SECTOR);
	return error ? -error : (int)size;
}

static int on_write(const char *path, const char *data, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	char text[64];
	int result;

	if (is_disk(path))
		take_time();
	pthread_mutex_lock(&disk.lock);
	if (is_disk(path)) {
		result = write_disk(data, size, (size_t)offset, fi->flags & (O_SYNC | O_DSYNC));
	} else {
		snprintf(text, sizeof(text), "%.*s", (int)(size < 63 ? size : 63), data);
		result = command(text) ? -EINVAL : (int)size;
	}
	pthread_mutex_unlock(&disk.lock);
	return result;
}

static int on_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	int error;

	take_time();
	pthread_mutex_lock(&disk.lock);
	error = is_disk(path) ? flush(0, disk.size / SECTOR) : 0;
	pthread_mutex_unlock(&disk.lock);
	return -error;
}

static int on_fallocate(const char *path, int mode, off_t offset, off_t length,
			struct fuse_file_info *fi)
{
	int result = 0;

	if (!is_disk(path) || !(mode & FALLOC_FL_KEEP_SIZE) ||
	    !(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		return -EOPNOTSUPP;
	pthread_mutex_lock(&disk.lock);
	if ((size_t)offset < disk.size)
		result = write_disk(NULL,
				    (size_t)length < disk.size - (size_t)offset
					    ? (size_t)length
					    : disk.size - (size_t)offset,
				    (size_t)offset, false);
	pthread_mutex_unlock(&disk.lock);
	return result < 0 ? result : 0;
}

static void *on_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	config->kernel_cache = 0;
	config->attr_timeout = config->entry_timeout = 60;
	config->nullpath_ok = 0;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = on_init,
	.getattr = on_getattr,
	.readdir = on_readdir,
	.open = on_open,
	.truncate = on_truncate,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
};

int main(int argc, char **argv)
{
	char name[] = "powerdisk", foreground[] = "-f", o[] = "-ofsname=powerdisk";
	char *arguments[] = {name, foreground, o, NULL, NULL};
	struct stat st;
	int fd;

	if (argc != 3)
		errx(2, "usage: powerdisk BACKING MOUNTPOINT");
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", argv[1]);
	disk.size = (size_t)st.st_size / SECTOR * SECTOR;
	if (!disk.size)
		errx(1, "%s is empty", argv[1]);
	disk.durable = mmap(NULL, disk.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	disk.now =
		mmap(NULL, disk.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	disk.dirty = calloc(disk.size / SECTOR, sizeof(*disk.dirty));
	disk.bad = calloc(disk.size / SECTOR, sizeof(*disk.bad));
	if (disk.durable == MAP_FAILED || disk.now == MAP_FAILED || !disk.dirty || !disk.bad)
		err(1, "memory");
	memcpy(disk.now, disk.durable, disk.size);
	arguments[3] = argv[2];
	return fuse_main(4, arguments, &operations, NULL);
}
