/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checksum.h - digests of payloads, headers and ranges. The only user of xxHash. */
#ifndef COMMON_CHECKSUM_H
#define COMMON_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 of a payload, seed 0 (proto.h, section 4). */
uint64_t checksum_payload(const void *data, size_t size);

/* XXH3-64 with a seed that tells what the bytes are: a header of one direction (proto.h, section 4), a
 * piece of a mirror's metadata. */
uint64_t checksum_seeded(const void *data, size_t size, uint64_t seed);

/* XXH3-128 of a range that is read in pieces (proto.h, HASH). One object a digest. */
struct checksum_range;
struct checksum_range *checksum_range_new(uint64_t seed); /* NULL: out of memory */
void checksum_range_add(struct checksum_range *c, const void *data, size_t size);
/* The digest (NULL: not wanted, the read failed); frees *c. */
void checksum_range_end(struct checksum_range **c, uint8_t digest[16]);

#endif
