/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * counter.h - numbers that one thread counts and any thread may read. As cheap as a plain increment,
 * since there is only one writer. And marks, which any thread raises, and which never fall.
 */
#ifndef COMMON_COUNTER_H
#define COMMON_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter_t;

/* The owner's thread only. */
static inline void counter_add(counter_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* Any thread. */
static inline uint64_t counter_get(const counter_t *counter)
{
	return atomic_load_explicit((counter_t *)counter, memory_order_relaxed);
}

static inline void mark_raise(_Atomic uint64_t *mark, uint64_t to)
{
	uint64_t now = atomic_load(mark);

	while (now < to && !atomic_compare_exchange_weak(mark, &now, to))
		continue; /* another thread raises it, too */
}

#endif
