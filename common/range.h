/* SPDX-License-Identifier: GPL-2.0-or-later */
/* range.h - arithmetic on byte ranges [offset, offset + length) that can't overflow. */
#ifndef COMMON_RANGE_H
#define COMMON_RANGE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes */
};

/* Does r lie wholly within [0, size)? An empty range at `size` does. */
static inline bool range_within(struct range r, uint64_t size)
{
	return r.offset <= size && r.length <= size - r.offset;
}

/* Do a and b share a byte? Both must be within some size (no wrap-around). */
static inline bool range_overlaps(struct range a, struct range b)
{
	return a.length && b.length && a.offset < b.offset + b.length &&
	       b.offset < a.offset + a.length;
}

/* What of r lies within [0, size); empty if nothing does. */
static inline struct range range_clip(struct range r, uint64_t size)
{
	if (r.offset >= size)
		return (struct range){.offset = size, .length = 0};
	if (r.length > size - r.offset)
		r.length = size - r.offset;
	return r;
}

/* The first `most` bytes of r, or all of it. */
static inline struct range range_head(struct range r, uint64_t most)
{
	if (r.length > most)
		r.length = most;
	return r;
}

/* Steps over the first n bytes; n is at most r->length. */
static inline void range_advance(struct range *r, uint64_t n)
{
	assert(n <= r->length);
	r->offset += n;
	r->length -= n;
}

#endif
