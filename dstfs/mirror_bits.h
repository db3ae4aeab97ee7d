/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_bits.h - a bit for each region of a mirror. Set and cleared by any thread, one word at a
 * time; a look at several words is no snapshot.
 */
#ifndef DSTFS_MIRROR_BITS_H
#define DSTFS_MIRROR_BITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mirror_bits {
	_Atomic uint64_t *_Atomic words;
	unsigned count; /* of bits */
};

int mirror_bits_init(struct mirror_bits *bits, unsigned count); /* all 0; 0 or ENOMEM */
/*
 * Room for so many, which are 0; the count stays. Nobody changes any meanwhile; who looks at them may go
 * on, and sees what was before. 0 or ENOMEM. The count may be raised then, to no more.
 */
int mirror_bits_reserve(struct mirror_bits *bits, unsigned count);
void mirror_bits_destroy(struct mirror_bits *bits); /* a zeroed one is fine */

static inline bool mirror_bits_get(const struct mirror_bits *bits, unsigned at)
{
	return atomic_load(&bits->words[at / 64]) >> at % 64 & 1;
}

/* Writes only if that changes something: a word that is only looked at stays in every cache. */
static inline void mirror_bits_set(struct mirror_bits *bits, unsigned at)
{
	if (!mirror_bits_get(bits, at))
		atomic_fetch_or(&bits->words[at / 64], 1ull << at % 64);
}

static inline void mirror_bits_clear(struct mirror_bits *bits, unsigned at)
{
	if (mirror_bits_get(bits, at))
		atomic_fetch_and(&bits->words[at / 64], ~(1ull << at % 64));
}

/* Of the bits first..last, both included. */
bool mirror_bits_all(const struct mirror_bits *bits, unsigned first, unsigned last);
bool mirror_bits_any(const struct mirror_bits *bits, unsigned first, unsigned last);
void mirror_bits_set_range(struct mirror_bits *bits, unsigned first, unsigned last);

/* The first bit from `from` on that is set, or bits->count. */
unsigned mirror_bits_next(const struct mirror_bits *bits, unsigned from);
/* The same of those that are not set in either of two others, of as many bits. */
unsigned mirror_bits_next_but(const struct mirror_bits *bits, const struct mirror_bits *not_one,
			      const struct mirror_bits *not_other, unsigned from);
unsigned mirror_bits_sum(const struct mirror_bits *bits); /* how many are set */
void mirror_bits_or(struct mirror_bits *into, const struct mirror_bits *from);
void mirror_bits_fill(struct mirror_bits *bits, bool value);

/*
 * `bytes` bytes of a stored map: bit i of them is bit from + i here. What lies beyond the last bit
 * is 0, and ignored. For export, whole words: `from` is a multiple of 64, and `bytes` of 8.
 */
void mirror_bits_export(const struct mirror_bits *bits, unsigned from, uint8_t *out, size_t bytes);
void mirror_bits_or_import(struct mirror_bits *bits, unsigned from, const uint8_t *in,
			   size_t bytes);

#endif
