/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * linear.h - a map that lays its children one after the other, whatever their sizes, each rounded
 * down to MAP_GRAIN.
 *
 * It is laid out when all that it starts with have told their sizes. Then it grows when the last one
 * does, and when one is added behind it, which counts as soon as it has told its size, and may be
 * written if the map may. What the others gain changes nothing; one that has lost bytes makes
 * the map TARGET_REFUSED.
 */
#ifndef DSTFS_LINEAR_H
#define DSTFS_LINEAR_H

#include "dstfs/map.h"

struct target *linear_new(const struct map_setup *setup); /* NULL: out of memory */

#endif
