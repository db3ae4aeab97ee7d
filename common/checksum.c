/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checksum.c - see checksum.h */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/checksum.h"

#include <stdlib.h>
#include <string.h>

struct checksum_range {
	XXH3_state_t *state;
};

uint64_t checksum_payload(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

uint64_t checksum_header(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

struct checksum_range *checksum_range_new(uint64_t seed)
{
	struct checksum_range *c = malloc(sizeof(*c));

	if (!c)
		return NULL;
	c->state = XXH3_createState();
	if (!c->state) {
		free(c);
		return NULL;
	}
	XXH3_128bits_reset_withSeed(c->state, seed);
	return c;
}

void checksum_range_add(struct checksum_range *c, const void *data, size_t size)
{
	XXH3_128bits_update(c->state, data, size);
}

void checksum_range_end(struct checksum_range **c, uint8_t digest[16])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest((*c)->state));
	memcpy(digest, canonical.digest, sizeof(canonical.digest));
	XXH3_freeState((*c)->state);
	free(*c);
	*c = NULL;
}
