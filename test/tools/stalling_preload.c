/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stalling_preload.c - holds up what a dstd does with its files as long as the test wants:
 *
 *	STALLING=FOLDER LD_PRELOAD=stalling_preload.so PROGRAM...
 *
 * While FOLDER/flush exists fdatasync() waits, with FOLDER/zeroes fallocate(), with FOLDER/store the
 * replacement of the state file, which fails with FOLDER/fail-store. FOLDER/in-flush and so on tells that
 * somebody waits, or did.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool there(const char *name)
{
	const char *folder = getenv("STALLING");
	char path[PATH_MAX];

	if (!folder)
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !access(path, F_OK);
}

static void tell(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/in-%s", getenv("STALLING"), name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	if (fd >= 0)
		close(fd);
}

static void stall(const char *name)
{
	const struct timespec moment = {.tv_nsec = 5000000};

	for (bool told = false; there(name); told = true) {
		if (!told)
			tell(name);
		nanosleep(&moment, NULL);
	}
}

int fdatasync(int fd)
{
	stall("flush");
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	stall("zeroes");
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	stall("store");
	if (there("fail-store")) {
		errno = EROFS;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
}
