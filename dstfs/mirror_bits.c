/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_bits.c - see mirror_bits.h */
#include "dstfs/mirror_bits.h"

#include "common/le.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Words, and those that they replaced: somebody may be looking at these, until all ends. */
struct words {
	struct words *before;
	_Atomic uint64_t at[];
};

static unsigned words_for(unsigned count)
{
	return (count + 63) / 64;
}

static unsigned word_count(const struct mirror_bits *bits)
{
	return words_for(bits->count);
}

static struct words *words_of(const struct mirror_bits *bits)
{
	char *at = (char *)bits->words;

	return at ? (struct words *)(at - offsetof(struct words, at)) : NULL;
}

static struct words *new_words(unsigned count)
{
	return calloc(1, sizeof(struct words) + words_for(count) * sizeof(_Atomic uint64_t));
}

int mirror_bits_init(struct mirror_bits *bits, unsigned count)
{
	struct words *words = new_words(count);

	bits->count = count;
	bits->words = words ? words->at : NULL;
	return words ? 0 : ENOMEM;
}

int mirror_bits_reserve(struct mirror_bits *bits, unsigned count)
{
	struct words *words = new_words(count);

	if (!words)
		return ENOMEM;
	for (unsigned at = 0; at < word_count(bits); at++)
		words->at[at] = bits->words[at];
	words->before = words_of(bits);
	bits->words = words->at;
	return 0;
}

void mirror_bits_destroy(struct mirror_bits *bits)
{
	struct words *words = words_of(bits), *before;

	for (; words; words = before) {
		before = words->before;
		free(words);
	}
	*bits = (struct mirror_bits){.count = 0};
}

/* The bits first..last that lie in word `at`. */
static uint64_t mask_in(unsigned at, unsigned first, unsigned last)
{
	uint64_t mask = UINT64_MAX;

	if (at == first / 64)
		mask &= UINT64_MAX << first % 64;
	if (at == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

bool mirror_bits_all(const struct mirror_bits *bits, unsigned first, unsigned last)
{
	for (unsigned at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_in(at, first, last);

		if ((atomic_load(&bits->words[at]) & mask) != mask)
			return false;
	}
	return true;
}

bool mirror_bits_any(const struct mirror_bits *bits, unsigned first, unsigned last)
{
	for (unsigned at = first / 64; at <= last / 64; at++)
		if (atomic_load(&bits->words[at]) & mask_in(at, first, last))
			return true;
	return false;
}

void mirror_bits_set_range(struct mirror_bits *bits, unsigned first, unsigned last)
{
	for (unsigned at = first / 64; at <= last / 64; at++) {
		uint64_t mask = mask_in(at, first, last);

		if ((atomic_load(&bits->words[at]) & mask) != mask)
			atomic_fetch_or(&bits->words[at], mask);
	}
}

unsigned mirror_bits_next(const struct mirror_bits *bits, unsigned from)
{
	for (unsigned at = from / 64; from < bits->count; from = ++at * 64) {
		uint64_t word = atomic_load(&bits->words[at]) & UINT64_MAX << from % 64;

		if (word)
			return at * 64 + (unsigned)__builtin_ctzll(word);
	}
	return bits->count;
}

unsigned mirror_bits_next_but(const struct mirror_bits *bits, const struct mirror_bits *not_one,
			      const struct mirror_bits *not_other, unsigned from)
{
	for (unsigned at = from / 64; from < bits->count; from = ++at * 64) {
		uint64_t word = atomic_load(&bits->words[at]) & ~atomic_load(&not_one->words[at]) &
				~atomic_load(&not_other->words[at]) & UINT64_MAX << from % 64;

		if (word)
			return at * 64 + (unsigned)__builtin_ctzll(word);
	}
	return bits->count;
}

unsigned mirror_bits_sum(const struct mirror_bits *bits)
{
	unsigned sum = 0;

	for (unsigned at = 0; at < word_count(bits); at++)
		sum += (unsigned)__builtin_popcountll(atomic_load(&bits->words[at]));
	return sum;
}

void mirror_bits_or(struct mirror_bits *into, const struct mirror_bits *from)
{
	assert(into->count == from->count);
	for (unsigned at = 0; at < word_count(into); at++)
		atomic_fetch_or(&into->words[at], atomic_load(&from->words[at]));
}

void mirror_bits_fill(struct mirror_bits *bits, bool value)
{
	for (unsigned at = 0; at < word_count(bits); at++)
		atomic_store(&bits->words[at], value ? mask_in(at, at * 64, bits->count - 1) : 0);
}

void mirror_bits_export(const struct mirror_bits *bits, unsigned from, uint8_t *out, size_t bytes)
{
	assert(from % 64 == 0 && bytes % 8 == 0);
	for (unsigned at = from / 64; bytes; at++, out += 8, bytes -= 8)
		le64_put(out, at < word_count(bits) ? atomic_load(&bits->words[at]) : 0);
}

void mirror_bits_or_import(struct mirror_bits *bits, unsigned from, const uint8_t *in, size_t bytes)
{
	for (size_t i = 0; i < bytes * 8 && from + i < bits->count; i++)
		if (in[i / 8] >> i % 8 & 1)
			mirror_bits_set(bits, from + (unsigned)i);
}
