/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.h - the only source of time. Monotonic, so that a jump of the wall clock changes nothing. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

#define CLOCK_US 1000ull
#define CLOCK_MS 1000000ull /* nanoseconds */
#define CLOCK_SEC 1000000000ull

/* Nanoseconds since some fixed point in the past. Never goes back. Any thread. */
uint64_t clock_now(void);

/* Seconds since 1970, for people's eyes only (logs, st_mtime); never for a decision. */
int64_t clock_wall_sec(void);

/* Does nothing for so many nanoseconds. For tools without a loop: whoever serves others never sleeps. */
void clock_sleep(uint64_t delay);

#endif
