/* SPDX-License-Identifier: GPL-2.0-or-later */
/* target.c - see target.h */
#include "dstfs/target.h"

const char *target_state_name(enum target_state state)
{
	static const char *const names[] = {
		[TARGET_CONNECTING] = "connecting",
		[TARGET_READY] = "ready",
		[TARGET_AWAY] = "away",
		[TARGET_REFUSED] = "refused",
		[TARGET_FENCED] = "fenced",
		[TARGET_STOPPED] = "stopped",
	};

	return names[state];
}
