/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pool.c - see pool.h
 *
 * Under AddressSanitizer what is free is poisoned, and so is a red zone behind each object: a
 * pool hides no use after put, no double put and no overrun.
 */
#include "common/pool.h"

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define POOL_POISONS 1
#endif

#ifdef POOL_POISONS
#include <sanitizer/asan_interface.h>
#define poison(memory, size) ASAN_POISON_MEMORY_REGION(memory, size)
#define unpoison(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#define RED_ZONE 32u
#define BUF_RED_ZONE 4096u /* keeps the alignment */
#else
#define poison(memory, size) ((void)(memory), (void)(size))
#define unpoison(memory, size) ((void)(memory), (void)(size))
#define RED_ZONE 0u
#define BUF_RED_ZONE 0u
#endif

#define SLAB_OBJECTS 64u
#define SLAB_BUFS 16u
#define BUF_BYTES ((size_t)BUF_HEADROOM + BUF_CAPACITY)
#define BUF_STRIDE (BUF_BYTES + BUF_RED_ZONE)

_Static_assert(BUF_STRIDE % 4096 == 0, "each buffer's data starts on a page");

/* A free object holds the link to the next one. */
struct free_object {
	struct free_object *next;
};

struct slab {
	struct slab *next;
	max_align_t objects[];
};

struct pool {
	size_t size; /* bytes of an object, with its red zone */
	unsigned made, most, in_use;
	struct free_object *free;
	struct slab *slabs;
};

static int pool_grow(struct pool *pool, unsigned count)
{
	size_t bytes = count * pool->size;
	struct slab *slab = malloc(sizeof(*slab) + bytes);
	uint8_t *objects;

	if (!slab)
		return -1;
	memset(slab, 0, sizeof(*slab) + bytes); /* touched now, not in a write's way */
	slab->next = pool->slabs;
	pool->slabs = slab;
	objects = (uint8_t *)slab->objects;
	for (unsigned i = 0; i < count; i++) {
		struct free_object *o = (void *)(objects + i * pool->size);

		o->next = pool->free;
		pool->free = o;
	}
	poison(objects, bytes);
	pool->made += count;
	return 0;
}

struct pool *pool_new(size_t size, unsigned reserve, unsigned most)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	assert(size > 0 && reserve <= most);
	size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	pool->size = size + RED_ZONE;
	pool->most = most;
	if (reserve && pool_grow(pool, reserve))
		pool_free(&pool);
	return pool;
}

void pool_free(struct pool **pool)
{
	if (!*pool)
		return;
	assert(!(*pool)->in_use);
	for (struct slab *slab = (*pool)->slabs, *next; slab; slab = next) {
		next = slab->next;
		free(slab);
	}
	free(*pool);
	*pool = NULL;
}

void *pool_get(struct pool *pool)
{
	struct free_object *o;

	if (!pool->free) {
		unsigned left = pool->most - pool->made;

		if (!left || pool_grow(pool, left < SLAB_OBJECTS ? left : SLAB_OBJECTS))
			return NULL;
	}
	o = pool->free;
	unpoison(o, pool->size - RED_ZONE);
	pool->free = o->next;
	pool->in_use++;
	return o;
}

void pool_put(struct pool *pool, void *object)
{
	struct free_object *o = object;

	assert(pool->in_use);
	o->next = pool->free;
	pool->free = o;
	pool->in_use--;
	poison(o, pool->size);
}

unsigned pool_in_use(const struct pool *pool)
{
	return pool->in_use;
}

struct buf_slab {
	struct buf_slab *next;
	uint8_t *memory; /* mmap'd, `count` strides */
	unsigned count;
	struct buf bufs[];
};

struct buf_pool {
	unsigned made, most, in_use;
	struct buf *free;
	struct buf_slab *slabs;
	struct buf_waiter *waiters; /* first come first */
};

static int buf_pool_grow(struct buf_pool *pool, unsigned count, bool touch)
{
	struct buf_slab *slab = calloc(1, sizeof(*slab) + count * sizeof(struct buf));

	if (!slab)
		return -1;
	slab->memory = mmap(NULL, count * BUF_STRIDE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slab->memory == MAP_FAILED) {
		free(slab);
		return -1;
	}
	if (touch)
		memset(slab->memory, 0, count * BUF_STRIDE);
	slab->count = count;
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (unsigned i = 0; i < count; i++) {
		struct buf *buf = &slab->bufs[i];

		buf->data = slab->memory + i * BUF_STRIDE + BUF_HEADROOM;
		buf->pool = pool;
		buf->next_free = pool->free;
		pool->free = buf;
	}
	poison(slab->memory, count * BUF_STRIDE);
	pool->made += count;
	return 0;
}

struct buf_pool *buf_pool_new(unsigned reserve, unsigned most)
{
	struct buf_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	assert(reserve <= most);
	pool->most = most;
	if (!reserve)
		return pool;
	if (buf_pool_grow(pool, reserve, true))
		buf_pool_free(&pool);
	return pool;
}

void buf_pool_free(struct buf_pool **pool)
{
	if (!*pool)
		return;
	assert(!(*pool)->in_use);
	for (struct buf_slab *slab = (*pool)->slabs, *next; slab; slab = next) {
		next = slab->next;
		unpoison(slab->memory, slab->count * BUF_STRIDE); /* someone else's next */
		munmap(slab->memory, slab->count * BUF_STRIDE);
		free(slab);
	}
	free(*pool);
	*pool = NULL;
}

struct buf *buf_get(struct buf_pool *pool)
{
	struct buf *buf;

	if (!pool->free) {
		unsigned left = pool->most - pool->made;

		if (!left || buf_pool_grow(pool, left < SLAB_BUFS ? left : SLAB_BUFS, false))
			return NULL;
	}
	buf = pool->free;
	pool->free = buf->next_free;
	unpoison(buf->data - BUF_HEADROOM, BUF_BYTES);
	buf->refs = 1;
	pool->in_use++;
	return buf;
}

struct buf *buf_ref(struct buf *buf)
{
	assert(buf->refs);
	buf->refs++;
	return buf;
}

void buf_unref(struct buf **pointer)
{
	struct buf *buf = *pointer;
	struct buf_waiter *waiter;

	*pointer = NULL;
	if (!buf)
		return;
	assert(buf->refs);
	if (--buf->refs)
		return;
	poison(buf->data - BUF_HEADROOM, BUF_BYTES);
	buf->next_free = buf->pool->free;
	buf->pool->free = buf;
	buf->pool->in_use--;
	while ((waiter = buf->pool->waiters)) {
		buf_wait_cancel(waiter);
		waiter->callback(waiter->arg);
	}
}

void buf_wait(struct buf_pool *pool, struct buf_waiter *waiter)
{
	struct buf_waiter **link = &pool->waiters;

	if (waiter->pool)
		return;
	while (*link)
		link = &(*link)->next;
	*link = waiter;
	waiter->next = NULL;
	waiter->pool = pool;
}

void buf_wait_cancel(struct buf_waiter *waiter)
{
	struct buf_waiter **link;

	if (!waiter->pool)
		return;
	for (link = &waiter->pool->waiters; *link != waiter;)
		link = &(*link)->next;
	*link = waiter->next;
	waiter->pool = NULL;
}

unsigned buf_pool_in_use(const struct buf_pool *pool)
{
	return pool->in_use;
}

bool buf_pool_is_low(const struct buf_pool *pool)
{
	return pool->in_use > pool->most / 2;
}
