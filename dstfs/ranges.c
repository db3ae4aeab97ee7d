/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ranges.c - see ranges.h
 *
 * The volume is cut into regions, and region i belongs to shard i modulo RANGES_SHARDS. A hold has a
 * part in each shard that it touches: the shard's list of parts is in the order of arrival. Whoever
 * comes locks all of its shards, in the order of their numbers, before it appends to the first, so
 * any two holds that meet in several shards stand in the same order in all of them: nobody ever
 * waits in a circle.
 *
 * A hold counts those in front of it that overlap it, once for each shard where they meet. Who
 * leaves a shard takes one off each that overlaps it there and came later. The one whose count
 * reaches zero is granted. So a wide range waits for those that were there, those that come later
 * wait for it, and nobody starves.
 */
#include "dstfs/ranges.h"

#include "common/counter.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define RANGES_SHARDS 64u /* the bits of a mask */
#define REGION_BITS 16u /* bytes of a region, as a power of two: few small requests share one */
#define NARROW 4u /* parts that a hold has without asking for more memory */
#define RESERVED 64u
#define RESERVED_WIDE 8u
#define CACHE_LINE 64

struct range_part {
	struct range_hold *hold;
	struct range_part *next, *previous; /* in the shard, in order of arrival */
	bool waited; /* somebody was in front when it came */
};

struct range_hold {
	struct range range, also; /* also: may be empty */
	struct range_part narrow[NARROW];
	struct range_part *parts; /* one for each bit of shards, ascending: narrow, or of a pool */
	uint64_t shards; /* mask */
	/* Parts of others in front that overlap, not gone yet. Taken off under the lock of the shard where
	 * they meet; zero: granted. */
	_Atomic unsigned blockers;

	/* Of the worker's thread. */
	struct ranges *ranges;
	struct worker *worker;
	unsigned refs;
	bool waiting; /* granted_fn is still to run */
	bool given_up; /* the posted work is on its way and frees it */
	void (*granted_fn)(void *arg);
	void *arg;
	struct loop_hook hook; /* granted by a hold of the same worker */
	struct loop_work work; /* granted by one of another worker */

	struct range_hold *next_granted; /* of those who grant it */
};

struct shard {
	pthread_mutex_t lock;
	struct range_part *first, *last;
	unsigned waited; /* parts that are so */
} __attribute__((aligned(CACHE_LINE)));

/* What belongs to one worker. */
struct ranges_port {
	struct pool *holds, *wide;
	counter_t count; /* a level */
} __attribute__((aligned(CACHE_LINE)));

struct ranges {
	struct shard shards[RANGES_SHARDS];
	bool locked; /* several workers: the locks are used */
	unsigned port_count;
	struct ranges_port ports[];
};

/* ---- shards ---- */

static uint64_t shards_of(struct range range)
{
	uint64_t first, count, run;
	unsigned shift;

	if (!range.length)
		return 0;
	first = range.offset >> REGION_BITS;
	count = ((range.offset + (range.length - 1)) >> REGION_BITS) - first + 1;
	if (count >= RANGES_SHARDS)
		return UINT64_MAX;
	run = (1ull << count) - 1;
	shift = first % RANGES_SHARDS;
	return shift ? run << shift | run >> (RANGES_SHARDS - shift) : run;
}

/* Takes the lowest shard out of the mask, which isn't empty. */
static struct shard *next_shard(struct ranges *ranges, uint64_t *mask)
{
	struct shard *shard = &ranges->shards[__builtin_ctzll(*mask)];

	*mask &= *mask - 1;
	return shard;
}

static void lock(struct ranges *ranges, struct shard *shard)
{
	if (ranges->locked)
		pthread_mutex_lock(&shard->lock);
}

static void unlock(struct ranges *ranges, struct shard *shard)
{
	if (ranges->locked)
		pthread_mutex_unlock(&shard->lock);
}

static bool overlap(const struct range_hold *a, const struct range_hold *b)
{
	return range_overlaps(a->range, b->range) || range_overlaps(a->also, b->range) ||
	       range_overlaps(a->range, b->also) || range_overlaps(a->also, b->also);
}

/* Appends the part. Returns how many in front of it overlap. With the shard's lock. */
static unsigned shard_append(struct shard *shard, struct range_part *part, struct range_hold *hold)
{
	unsigned blockers = 0;

	for (struct range_part *p = shard->first; p; p = p->next)
		blockers += overlap(p->hold, hold);
	*part = (struct range_part){.hold = hold, .previous = shard->last, .waited = blockers};
	*(shard->last ? &shard->last->next : &shard->first) = part;
	shard->last = part;
	shard->waited += part->waited;
	return blockers;
}

/* Removes the part; those that need not wait for anybody now go to *granted. With the shard's lock. */
static void shard_remove(struct shard *shard, struct range_part *part, struct range_hold **granted)
{
	shard->waited -= part->waited;
	for (struct range_part *p = part->next; p && shard->waited; p = p->next) {
		struct range_hold *hold = p->hold;

		if (!overlap(hold, part->hold) || atomic_fetch_sub(&hold->blockers, 1) != 1)
			continue;
		hold->next_granted = *granted;
		*granted = hold;
	}
	*(part->previous ? &part->previous->next : &shard->first) = part->next;
	*(part->next ? &part->next->previous : &shard->last) = part->previous;
}

/* ---- holds ---- */

static void hold_free(struct range_hold *hold)
{
	struct ranges_port *port = &hold->ranges->ports[hold->worker->index];

	counter_add(&port->count, (uint64_t)-1);
	if (hold->parts != hold->narrow)
		pool_put(port->wide, hold->parts);
	pool_put(port->holds, hold);
}

static void on_granted(void *arg)
{
	struct range_hold *hold = arg;

	if (hold->given_up) {
		hold_free(hold);
		return;
	}
	hold->waiting = false;
	hold->granted_fn(hold->arg);
}

/* A hold of the worker's, or NULL. */
static struct range_hold *hold_new(struct ranges *ranges, struct worker *worker, uint64_t shards)
{
	struct ranges_port *port = &ranges->ports[worker->index];
	struct range_hold *hold = pool_get(port->holds);

	if (!hold)
		return NULL;
	hold->parts = hold->narrow;
	if ((unsigned)__builtin_popcountll(shards) > NARROW)
		hold->parts = pool_get(port->wide);
	if (!hold->parts) {
		pool_put(port->holds, hold);
		return NULL;
	}
	counter_add(&port->count, 1);
	hold->shards = shards;
	hold->ranges = ranges;
	hold->worker = worker;
	hold->refs = 1;
	hold->given_up = false;
	hold->hook = (struct loop_hook){.callback = on_granted, .arg = hold};
	hold->work = (struct loop_work){.callback = on_granted, .arg = hold};
	return hold;
}

/* Puts the hold into its shards. Returns how many it must wait for. */
static unsigned hold_enter(struct range_hold *hold)
{
	struct ranges *ranges = hold->ranges;
	struct range_part *part = hold->parts;
	unsigned blockers = 0;

	for (uint64_t mask = hold->shards; mask;)
		lock(ranges, next_shard(ranges, &mask));
	for (uint64_t mask = hold->shards; mask;)
		blockers += shard_append(next_shard(ranges, &mask), part++, hold);
	atomic_store_explicit(&hold->blockers, blockers, memory_order_relaxed);
	for (uint64_t mask = hold->shards; mask;)
		unlock(ranges, next_shard(ranges, &mask));
	return blockers;
}

/*
 * Takes the hold out of its shards, and tells those that are granted by that. One that is granted by
 * us can't be freed before it has been told.
 */
static void hold_leave(struct range_hold *hold)
{
	struct ranges *ranges = hold->ranges;
	struct range_part *part = hold->parts;
	struct range_hold *granted = NULL;

	for (uint64_t mask = hold->shards; mask;) {
		struct shard *shard = next_shard(ranges, &mask);

		lock(ranges, shard);
		shard_remove(shard, part++, &granted);
		unlock(ranges, shard);
	}
	while (granted) {
		struct range_hold *next = granted->next_granted;

		if (granted->worker == hold->worker)
			loop_defer(granted->worker->loop, &granted->hook);
		else
			loop_post(granted->worker->loop, &granted->work);
		granted = next;
	}
}

struct range_hold *ranges_take(struct ranges *ranges, struct worker *worker, struct range range,
			       struct range also, void (*granted_fn)(void *arg), void *arg,
			       bool *granted)
{
	struct range_hold *hold = hold_new(ranges, worker, shards_of(range) | shards_of(also));

	if (!hold)
		return NULL;
	hold->range = range;
	hold->also = also;
	hold->granted_fn = granted_fn;
	hold->arg = arg;
	/* Before it can be seen: once it can, it may be granted at any time. */
	hold->waiting = true;
	*granted = !hold_enter(hold);
	if (*granted)
		hold->waiting = false;
	return hold;
}

struct range_hold *range_hold_get(struct range_hold *hold)
{
	hold->refs++;
	return hold;
}

void range_hold_put(struct range_hold **pointer)
{
	struct range_hold *hold = *pointer;

	*pointer = NULL;
	if (!hold || --hold->refs)
		return;
	hold_leave(hold);
	/*
	 * Out of its shards, nobody can take anything off its blockers any more. If they were gone
	 * before, somebody has granted it: that may be deferred here, or posted, or about to be.
	 */
	if (hold->waiting && !atomic_load(&hold->blockers) && !hold->hook.link) {
		hold->given_up = true;
		return;
	}
	loop_defer_cancel(&hold->hook);
	hold_free(hold);
}

/* ---- the table ---- */

struct ranges *ranges_new(struct worker *workers, unsigned worker_count)
{
	size_t size = sizeof(struct ranges) + worker_count * sizeof(struct ranges_port);
	struct ranges *ranges = aligned_alloc(CACHE_LINE, size);

	if (!ranges)
		return NULL;
	*ranges = (struct ranges){.locked = worker_count > 1};
	for (unsigned i = 0; i < RANGES_SHARDS; i++)
		pthread_mutex_init(&ranges->shards[i].lock, NULL);
	while (ranges->port_count < worker_count) {
		struct ranges_port *port = &ranges->ports[ranges->port_count++];

		*port = (struct ranges_port){
			.holds = pool_new(sizeof(struct range_hold), RESERVED, WORKER_BUFS),
			.wide = pool_new(RANGES_SHARDS * sizeof(struct range_part), RESERVED_WIDE,
					 WORKER_BUFS),
		};
		if (!port->holds || !port->wide) {
			ranges_free(&ranges);
			return NULL;
		}
	}
	return ranges;
}

void ranges_free(struct ranges **pointer)
{
	struct ranges *ranges = *pointer;

	*pointer = NULL;
	if (!ranges)
		return;
	assert(!ranges_count(ranges));
	for (unsigned i = 0; i < ranges->port_count; i++) {
		pool_free(&ranges->ports[i].holds);
		pool_free(&ranges->ports[i].wide);
	}
	for (unsigned i = 0; i < RANGES_SHARDS; i++)
		pthread_mutex_destroy(&ranges->shards[i].lock);
	free(ranges);
}

unsigned ranges_count(const struct ranges *ranges)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ranges->port_count; i++)
		sum += counter_get(&ranges->ports[i].count);
	return (unsigned)sum;
}
