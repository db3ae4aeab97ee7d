/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.c - see caller.h */
#include "dstfs/caller.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PF_EXITING 0x4u /* include/linux/sched.h */

static FILE *open_proc(pid_t thread, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)thread, file);
	return fopen(path, "re");
}

/* A SIGKILL waits for it, alone or with its process. */
static bool kill_pending(pid_t thread)
{
	FILE *status = open_proc(thread, "status");
	bool pending = false;
	uint64_t signals;
	char line[256];

	if (!status)
		return false;
	while (!pending && fgets(line, sizeof(line), status))
		if (sscanf(line, "SigPnd: %" SCNx64, &signals) == 1 ||
		    sscanf(line, "ShdPnd: %" SCNx64, &signals) == 1)
			pending = signals & UINT64_C(1) << (SIGKILL - 1);
	fclose(status);
	return pending;
}

/* See proc(5): "pid (comm) state ppid pgrp session tty_nr tpgid flags". */
static bool exiting(pid_t thread)
{
	FILE *stat = open_proc(thread, "stat");
	unsigned flags = 0;
	char line[512];
	char *end;

	if (!stat)
		return false;
	end = fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
	if (end)
		sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
	fclose(stat);
	return flags & PF_EXITING;
}

bool caller_is_dying(pid_t thread)
{
	return kill_pending(thread) || exiting(thread);
}
