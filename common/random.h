/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random.h - the only source of randomness. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills out[0..size) with unpredictable bytes; size at most 256. Does not fail. Any thread. */
void random_bytes(void *out, size_t size);

/* A number in [0, bound); bound > 0. For jitter and seeds. Any thread. */
uint64_t random_below(uint64_t bound);

#endif
