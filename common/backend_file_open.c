/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file_open.c - opening a file or block device: what may be opened, the lock against a
 * second writer, what kind of storage it is and what it can do.
 *
 * Locks. A writer holds flock(LOCK_EX) on a file, or a block device open with O_EXCL, on the
 * descriptor that does the I/O: the kernel lets go of it only when the last call through it is
 * over, even if the process was killed in the midst. Readers take no lock: a shared one would keep
 * writers of a live image from starting for as long as anyone reads, say for a backup, and would
 * promise a steadiness that a reader of a live image doesn't have anyway.
 */
#include "common/backend_file_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Not in <linux/magic.h>. */
#define MAGIC_BCACHEFS 0xca451a4eu
#define MAGIC_LUSTRE 0x0bd00bd0u

#define SECTOR 512u

static const struct backend_medium
	medium_memory = {.memory = true},
	medium_disk = {.nowait = true, .measure = true, .trusted = true},
	/* A device may be on the far side of a network: it must prove itself. */
	medium_device = {.nowait = true, .measure = true}, medium_remote = {.memory = false},
	/* What we don't know may be remote: only the kernel's word counts. */
	medium_unknown = {.nowait = true};

static const struct {
	uint32_t magic; /* statfs(2), f_type */
	const struct backend_medium *medium;
} media[] = {
	{TMPFS_MAGIC, &medium_memory},      {RAMFS_MAGIC, &medium_memory},
	{EXT4_SUPER_MAGIC, &medium_disk},   {XFS_SUPER_MAGIC, &medium_disk},
	{BTRFS_SUPER_MAGIC, &medium_disk},  {F2FS_SUPER_MAGIC, &medium_disk},
	{MAGIC_BCACHEFS, &medium_disk},     {FUSE_SUPER_MAGIC, &medium_remote},
	{NFS_SUPER_MAGIC, &medium_remote},  {SMB_SUPER_MAGIC, &medium_remote},
	{CIFS_SUPER_MAGIC, &medium_remote}, {SMB2_SUPER_MAGIC, &medium_remote},
	{V9FS_MAGIC, &medium_remote},       {CEPH_SUPER_MAGIC, &medium_remote},
	{AFS_SUPER_MAGIC, &medium_remote},  {AFS_FS_MAGIC, &medium_remote},
	{CODA_SUPER_MAGIC, &medium_remote}, {MAGIC_LUSTRE, &medium_remote},
};

int backend_file_medium_size(int fd, bool is_device, uint64_t *size)
{
	struct statx stx;

	if (is_device)
		return ioctl(fd, BLKGETSIZE64, size) ? errno : 0;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_SIZE, &stx))
		return errno;
	*size = stx.stx_size;
	return 0;
}

static const struct backend_medium *find_medium(const struct backend_file *file)
{
	struct statfs fs;

	/* A device's f_type is that of the file system its node is on: devtmpfs says tmpfs. */
	if (file->base.info.is_device)
		return &medium_device;
	if (fstatfs(file->fd, &fs))
		return &medium_remote;
	for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++)
		if (media[i].magic == (uint32_t)fs.f_type)
			return media[i].medium;
	return &medium_unknown;
}

/* A number from the block layer's description of a device; 0 if there is none. */
static uint64_t queue_limit(dev_t device, const char *name)
{
	static const char *const places[] = {"", "../"}; /* a partition has its disk's queue */
	unsigned long long value = 0;
	char path[128];
	FILE *f = NULL;

	for (unsigned i = 0; i < 2 && !f; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s", major(device),
			 minor(device), places[i], name);
		f = fopen(path, "re");
	}
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* ---- what it can do ---- */

/* Fills in what a block device says of itself. */
static void describe_device(struct backend_file *file, dev_t device)
{
	unsigned physical = SECTOR, optimal = 0;
	int logical = SECTOR, soft = 0;

	if (ioctl(file->fd, BLKSSZGET, &logical) || logical < (int)SECTOR)
		logical = SECTOR;
	if (ioctl(file->fd, BLKPBSZGET, &physical) || physical < (unsigned)logical)
		physical = (unsigned)logical;
	if (ioctl(file->fd, BLKIOOPT, &optimal) || optimal < file->page_size)
		optimal = (unsigned)file->page_size;
	if (ioctl(file->fd, BLKBSZGET, &soft) || soft < (int)physical) /* the page cache's unit */
		soft = (int)physical;
	file->sector = (uint32_t)logical;
	file->base.info.block_min = (uint32_t)soft;
	file->base.info.block_preferred = optimal;
	file->can_discard = queue_limit(device, "discard_max_bytes") > 0;
	file->can_punch = queue_limit(device, "write_zeroes_max_bytes") > 0;
}

/*
 * Whether a file can have holes punched is asked beyond its end, where there is nothing to lose. Only
 * a clear no counts: a file system may also dislike the range.
 */
static void describe_file(struct backend_file *file, const struct stat *st)
{
	uint64_t page = file->page_size;
	off_t beyond = (off_t)(((uint64_t)st->st_size + page - 1) / page * page);

	file->sector = 1;
	file->base.info.block_min = (uint32_t)page;
	file->base.info.block_preferred = (uint32_t)page;
	if (st->st_blksize > (long)page)
		file->base.info.block_preferred = (uint32_t)st->st_blksize;
	file->can_punch = !file->base.info.read_only &&
			  (!fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond,
				      (off_t)page) ||
			   (errno != EOPNOTSUPP && errno != ENOSYS));
	file->can_discard = file->can_punch;
}

static void describe(struct backend_file *file, const struct stat *st)
{
	struct backend_info *info = &file->base.info;

	file->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	file->medium = *find_medium(file);
	pace_init(&file->read_pace, &file->medium, false);
	pace_init(&file->write_pace, &file->medium, true);
	if (info->is_device)
		describe_device(file, st->st_rdev);
	else
		describe_file(file, st);
	if (info->block_preferred > DST_MAX_PAYLOAD)
		info->block_preferred = DST_MAX_PAYLOAD;
	file->can_zero_range = true; /* until it refuses */
	file->can_copy = !info->is_device;
	if (lseek(file->fd, 0, SEEK_HOLE) >= 0 || errno == ENXIO)
		info->features |= DST_CAN_EXTENTS;
	if (info->read_only)
		return;
	info->features |= DST_CAN_COPY; /* by hand if need be */
	if (file->can_discard)
		info->features |= DST_CAN_DISCARD;
	if (file->can_punch)
		info->features |= DST_CAN_UNMAP;
}

/* ---- opening ---- */

/* Writes "PATH: TEXT" and passes the error on. */
static int refuse(int error, const char *path, const char *text, char *reason, size_t reason_size)
{
	snprintf(reason, reason_size, "%s: %s", path, text);
	return error;
}

/* Why this kind of file can't be exported; NULL: it can. */
static const char *wrong_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		return NULL;
	case S_IFDIR:
		return "is a directory; it must be a regular file or a block device";
	case S_IFCHR:
		return "is a character device; it must be a regular file or a block device";
	case S_IFIFO:
		return "is a pipe; it must be a regular file or a block device";
	case S_IFSOCK:
		return "is a socket; it must be a regular file or a block device";
	default:
		return "is neither a regular file nor a block device";
	}
}

/*
 * Opens path as file->fd. O_EXCL means something for devices only, so the type is looked up first;
 * O_NONBLOCK is for the case that it has become something else meanwhile.
 */
static int open_path(struct backend_file *file, const char *path, bool read_only, struct stat *st,
		     char *reason, size_t reason_size)
{
	int flags = O_CLOEXEC | O_NONBLOCK | (read_only ? O_RDONLY : O_RDWR);
	const char *wrong;
	mode_t type;

	if (stat(path, st))
		return refuse(errno, path, strerror(errno), reason, reason_size);
	wrong = wrong_type(st->st_mode);
	if (wrong)
		return refuse(EINVAL, path, wrong, reason, reason_size);
	type = st->st_mode & S_IFMT;
	if (type == S_IFBLK && !read_only)
		flags |= O_EXCL;
	file->fd = open(path, flags);
	if (file->fd < 0 && errno == EBUSY)
		return refuse(EBUSY, path, "is in use: mounted, or open in another process", reason,
			      reason_size);
	if (file->fd < 0 || fstat(file->fd, st) || fcntl(file->fd, F_SETFL, 0))
		return refuse(errno, path, strerror(errno), reason, reason_size);
	if ((st->st_mode & S_IFMT) != type)
		return refuse(EAGAIN, path, "has just become something else", reason, reason_size);
	file->base.info.is_device = type == S_IFBLK;
	file->base.info.read_only = read_only;
	return 0;
}

/* Makes sure that nobody else writes, and that we can. */
static int lock_for_writing(const struct backend_file *file, const char *path, char *reason,
			    size_t reason_size)
{
	int device_read_only = 0, error;

	if (file->base.info.is_device) {
		if (!ioctl(file->fd, BLKROGET, &device_read_only) && device_read_only)
			return refuse(EROFS, path, "is a read-only device", reason, reason_size);
		return 0;
	}
	if (!flock(file->fd, LOCK_EX | LOCK_NB))
		return 0;
	error = errno;
	if (error == EWOULDBLOCK)
		return refuse(EBUSY, path, "is in use by another process", reason, reason_size);
	snprintf(reason, reason_size, "%s: can't be locked: %s", path, strerror(error));
	return error;
}

/* Sets info.size from the medium and the limit. */
static int find_size(struct backend_file *file, const struct backend_file_options *options,
		     char *reason, size_t reason_size)
{
	uint64_t size = 0;
	int error = backend_file_medium_size(file->fd, file->base.info.is_device, &size);

	if (error)
		return refuse(error, options->path, strerror(error), reason, reason_size);
	if (options->size_limit > size) {
		snprintf(reason, reason_size,
			 "%s: has %llu bytes, less than the size of %llu asked for", options->path,
			 (unsigned long long)size, (unsigned long long)options->size_limit);
		return EINVAL;
	}
	file->size_limit = options->size_limit;
	file->base.info.size = options->size_limit ? options->size_limit : size;
	return 0;
}

int backend_file_open_medium(struct backend_file *file, const struct backend_file_options *options,
			     char *reason, size_t reason_size)
{
	struct stat st;
	int error;

	error = open_path(file, options->path, options->read_only, &st, reason, reason_size);
	if (!error && !options->read_only)
		error = lock_for_writing(file, options->path, reason, reason_size);
	if (!error)
		error = find_size(file, options, reason, reason_size);
	if (!error)
		describe(file, &st);
	return error;
}
