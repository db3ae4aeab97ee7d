/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.c - see caller.h */
#include "dstfs/caller.h"

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

bool caller_is_dying(pid_t thread)
{
	char path[64], line[256];
	bool known = false, dying = false;
	uint64_t pending;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	status = fopen(path, "re");
	if (!status)
		return true;
	while (fgets(line, sizeof(line), status)) {
		if (sscanf(line, "SigPnd: %" SCNx64, &pending) != 1 &&
		    sscanf(line, "ShdPnd: %" SCNx64, &pending) != 1)
			continue;
		known = true;
		if (pending & UINT64_C(1) << (SIGKILL - 1))
			dying = true;
	}
	fclose(status);
	return dying || !known;
}
