/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * failing_sync_preload.c - makes all syncs of a program fail with EIO while a file exists: fdatasync(),
 * and the write-through of pwritev2(). What is written is written all the same.
 *
 *	FAILING_SYNC=FILE LD_PRELOAD=failing_sync_preload.so PROGRAM...
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool fails(void)
{
	const char *file = getenv("FAILING_SYNC");

	return file && !access(file, F_OK);
}

int fdatasync(int fd)
{
	if (!fails())
		return (int)syscall(SYS_fdatasync, fd);
	errno = EIO;
	return -1;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	ssize_t n = syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags);

	if (n < 0 || !(flags & RWF_DSYNC) || !fails())
		return n;
	errno = EIO;
	return -1;
}
