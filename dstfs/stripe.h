/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stripe.h - a map that lays itself on its children in turn, a chunk on each. All count with the size
 * of the smallest, rounded down to the chunk. It grows when all of them have; one that has become
 * smaller than what is used of it makes the map TARGET_REFUSED.
 */
#ifndef DSTFS_STRIPE_H
#define DSTFS_STRIPE_H

#include "dstfs/map.h"

/* setup->chunk: a power of two, MAP_GRAIN or more. NULL: out of memory. */
struct target *stripe_new(const struct map_setup *setup);

#endif
