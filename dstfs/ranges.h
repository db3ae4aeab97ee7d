/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ranges.h - which parts of a volume are being changed, so that two overlapping modifying requests
 * are never on the wire together, whatever worker or lane: the later one waits.
 *
 * Shared by all workers of a volume. The table is sharded by offset; a shard's lock is held for a
 * look at its few entries only. Among those that overlap it is first come, first served: who waits
 * keeps out who comes later.
 */
#ifndef DSTFS_RANGES_H
#define DSTFS_RANGES_H

#include "common/range.h"
#include "dstfs/worker.h"

#include <stdbool.h>

struct ranges;

/*
 * A hold on one range, or on two (COPY's destination and source), from ranges_take() until the last
 * reference is put back. From the pool of the worker that took it, and used by its thread only.
 */
struct range_hold;

struct ranges *ranges_new(struct worker *workers, unsigned worker_count); /* NULL: out of memory */
void ranges_free(struct ranges **ranges); /* no hold may be left */

/*
 * Asks for range and, if it isn't empty, also. With one reference, from the worker's thread. *granted
 * tells whether the hold is had at once. If not, granted_fn(arg) runs once, in the worker's
 * thread, never from inside ranges_take() or range_hold_put(), as soon as it is. NULL: no memory, nothing is held.
 */
struct range_hold *ranges_take(struct ranges *ranges, struct worker *worker, struct range range,
			       struct range also, void (*granted_fn)(void *arg), void *arg,
			       bool *granted);

struct range_hold *range_hold_get(struct range_hold *hold); /* another reference; returns hold */

/* Gives a reference back, and nulls it. With the last one whoever waits for the range may go on. For a
 * hold that is not granted yet: gives it up, granted_fn doesn't run any more. NULL in *hold is fine. */
void range_hold_put(struct range_hold **hold);

/* Holds that exist, granted or not. Any thread. */
unsigned ranges_count(const struct ranges *ranges);

#endif
