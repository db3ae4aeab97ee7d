/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random.c - see random.h */
#include "common/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
	ssize_t n;

	assert(size <=
	       256); /* getrandom(2): up to 256 bytes come whole, without a signal's interruption */
	do
		n = getrandom(out, size, 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)size)
		abort(); /* no kernel that this runs on lacks getrandom */
}

uint64_t random_below(uint64_t bound)
{
	uint64_t value;

	assert(bound > 0);
	random_bytes(&value, sizeof(value));
	return value % bound;
}
