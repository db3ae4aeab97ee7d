/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.h - fixed-size objects and payload buffers, allocated ahead, reused last-in first-out.
 *
 * A pool belongs to one worker; nothing here takes a lock. Steady state allocates nothing: a pool
 * grows in slabs when it runs dry, up to its bound, and gives memory back only when it is freed.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

/*
 * Objects of `size` bytes, 16-byte aligned; `reserve` of them are allocated and touched now, `most`
 * may exist at any time. NULL: out of memory.
 */
struct pool *pool_new(size_t size, unsigned reserve, unsigned most);
void pool_free(struct pool **pool); /* every object must have been put back */

void *pool_get(struct pool *pool); /* not cleared; NULL: `most` are out, or no memory */
void pool_put(struct pool *pool, void *object);
unsigned pool_in_use(const struct pool *pool);

/*
 * Payload buffers. `data` starts on a page, so that it fits O_DIRECT, and has BUF_HEADROOM bytes in
 * front of it that belong to the buffer, so that a header read together with the payload (FUSE's)
 * leaves the payload aligned. Of what is not reserved, only pages that were touched use memory.
 */
#define BUF_HEADROOM 4096u
#define BUF_CAPACITY ((1u << 20) + 4096u)

struct buf {
	uint8_t *data; /* BUF_CAPACITY bytes, BUF_HEADROOM more before it */
	unsigned refs; /* of the pool's worker only */
	struct buf_pool *pool;
	struct buf *next_free;
};

struct buf_pool;

/* As pool_new(): `reserve` of them are allocated and touched now, `most` may exist at any time. */
struct buf_pool *buf_pool_new(unsigned reserve, unsigned most);
void buf_pool_free(struct buf_pool **pool); /* every buffer must be back */

struct buf *buf_get(struct buf_pool *pool); /* one reference; NULL: `most` are out, or no memory */
struct buf *buf_ref(struct buf *buf);
void buf_unref(struct buf **buf); /* nulls *buf; NULL in *buf is fine */
unsigned buf_pool_in_use(const struct buf_pool *pool);
/* Are more than half of all that may exist in use? Then who holds some without need gives them back. */
bool buf_pool_is_low(const struct buf_pool *pool);

/*
 * For who found the pool empty: `callback` runs once, from the next buf_unref() that brings a buffer
 * back. It must not get the buffer right there, but arrange to be called soon. All who wait are
 * told, first come first, since the first may no longer want it; who finds it gone waits again.
 */
struct buf_waiter {
	void (*callback)(void *arg);
	void *arg;
	struct buf_waiter *next;
	struct buf_pool *pool; /* non-NULL while waiting */
};

void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter); /* waiting already: fine */
void buf_wait_cancel(struct buf_waiter *waiter); /* not waiting: fine */

#endif
