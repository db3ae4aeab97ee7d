/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.c - see clock.h */
#include "common/clock.h"

#include <errno.h>
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

void clock_sleep(uint64_t delay)
{
	struct timespec left = {.tv_sec = (time_t)(delay / CLOCK_SEC),
				.tv_nsec = (long)(delay % CLOCK_SEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}
