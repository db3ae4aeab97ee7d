/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_memory.c - keeps a daemon that serves a disk alive while memory runs out, see daemon.h
 *
 * A file system on a loop device on our mount is written back when memory runs short, and that is
 * our work. If we then wait for memory, memory waits for us. So our pages stay in (mlockall), and
 * when a page is missing nevertheless, the kernel must not write back to a disk, which may be ours,
 * in order to find one (PR_SET_IO_FLUSHER, Linux 5.6).
 */
#include "common/daemon.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define WHY_MAX 128

static bool have_capability(unsigned which)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data))
		return false;
	return data[CAP_TO_INDEX(which)].effective & CAP_TO_MASK(which);
}

/*
 * All or nothing: under a limit, MCL_FUTURE would make a later mmap() fail that needed no locking.
 * What is there now is brought in, the code most of all; what is mapped later (the address space of
 * pools, stacks) is locked page by page as it is used. False: `why` tells.
 */
static bool lock_memory(char *why)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur != RLIM_INFINITY && !have_capability(CAP_IPC_LOCK)) {
		snprintf(why, WHY_MAX, "RLIMIT_MEMLOCK is %llu KiB, and there is no CAP_IPC_LOCK",
			 (unsigned long long)limit.rlim_cur / 1024);
		return false;
	}
	if (mlockall(MCL_CURRENT) || mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) {
		snprintf(why, WHY_MAX, "%s", strerror(errno));
		munlockall();
		return false;
	}
	return true;
}

static bool become_flusher(char *why)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0)
		return true;
	snprintf(why, WHY_MAX, "%s",
		 errno == EPERM ? "there is no CAP_SYS_RESOURCE" : strerror(errno));
	return false;
}

void daemon_keep_memory(char *reason, size_t size)
{
	char no_lock[WHY_MAX] = "", no_flusher[WHY_MAX] = "";
	bool locked = lock_memory(no_lock), flusher = become_flusher(no_flusher);

	reason[0] = '\0';
	if (!locked || !flusher)
		snprintf(reason, size,
			 "a local file system on this storage may stall when memory runs out:"
			 "%s%s%s%s%s",
			 locked ? "" : " memory is not locked: ", no_lock,
			 locked || flusher ? "" : ";",
			 flusher ? "" : " no PR_SET_IO_FLUSHER: ", no_flusher);
}
