/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.c - see clock.h */
#include "common/clock.h"

#include <time.h>

uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * CLOCK_SEC + (uint64_t)ts.tv_nsec;
}

int64_t clock_wall_sec(void)
{
	return time(NULL);
}
