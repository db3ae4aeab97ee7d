/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.h - what maps that lay targets side by side (linear, stripe) have in common: the children,
 * and what their states, sizes and permissions make of the whole. Where each byte lies is the map's
 * own (map_ops); how a request is cut and put together again is split.h's.
 *
 * A map is ready when all its children are, else it has the state of the one that is worst off. It
 * may be written when all may. It has a size once it is laid out, which takes the size of every
 * child; from then on no byte moves. What is fenced on one node fails on all.
 */
#ifndef DSTFS_MAP_H
#define DSTFS_MAP_H

#include "dstfs/target.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MAP_GRAIN 4096u /* bytes: no seam between children lies elsewhere than on these */
#define MAP_NAME_MAX 127u
#define MAP_REASON_MAX 512u

struct map;

/* From some offset on, up to the next seam. */
struct map_piece {
	unsigned child;
	uint64_t offset; /* within the child */
	uint64_t length; /* bytes, > 0; the last child's reaches as far as you like */
};

/*
 * A range of a map is one range of each child that has a part of it. Both functions may be called
 * once the map is laid out, from any thread, with offsets that are within its size.
 */
struct map_ops {
	const char *name; /* "linear", … */
	struct map_piece (*piece)(const struct map *map, uint64_t offset);
	/* How many bytes of the child lie before that offset. */
	uint64_t (*before)(const struct map *map, unsigned child, uint64_t offset);
	/*
	 * The size of a child has changed, or one was added: lays the map out if that can be done by
	 * now, or sees to it that the layout still holds, or adds to it: sets map->laid. Returns the
	 * size, 0: not known yet. What is wrong goes to map_complain(). With the lock held.
	 */
	uint64_t (*measure)(struct map *map);
};

struct map_child {
	struct map *map;
	struct target *target;
	char name[MAP_NAME_MAX + 1];
	_Atomic bool heard; /* it has said something since the start */
	uint64_t start; /* linear: where it begins in the map, once it is laid out; bytes */
	/* Guarded by the lock. */
	uint64_t seen; /* its size when it was last looked at; 0: not known yet */
	bool told; /* why it isn't part of the layout was logged */
};

/* The children's clean ends, and who waits for all of them. Worker 0's. */
struct map_ending {
	unsigned pending; /* and one while they are being told */
	void (*done)(void *arg);
	void *arg;
};

struct map_setup {
	struct worker *workers; /* like policy, they outlive the map */
	unsigned worker_count;
	const struct target_policy *policy;
	const char *volume; /* its name, for the log; copied */
	unsigned capacity; /* children, at most */
	unsigned height; /* maps on the longest way down to a node, this one included: 1.. */
	uint64_t chunk; /* stripe: bytes; else 0 */
	void (*changed)(void *arg);
	void *changed_arg;
};

struct map {
	struct target base;
	const struct map_ops *ops;
	char *volume;
	unsigned height, capacity;
	uint64_t chunk; /* stripe: bytes; else 0 */
	struct map_child *children; /* `count` of them */
	_Atomic unsigned count;
	_Atomic unsigned laid; /* of them, those that the layout has: 0 or more */
	struct split *split;
	struct map_ending ending;

	pthread_mutex_t lock; /* guards what follows, and changes of base, count and laid */
	bool started;
	char complaint[MAP_REASON_MAX]; /* what is wrong with the layout; "" */
};

/* A target without children. NULL: out of memory. */
struct target *map_new(const struct map_ops *ops, const struct map_setup *setup);

/*
 * The next child's place: what it needs to be made with, as changed_arg of map_child_changed(). NULL:
 * the map is full. It counts once map_join() has been told the child, which is the map's then. Both
 * from one thread, worker 0's while requests may come.
 */
struct map_child *map_next_child(struct target *map, const char *name);
void map_child_changed(void *child);
void map_join(struct map_child *child, struct target *target);

unsigned map_count(struct target *map); /* children that have joined; any thread */

/* All children that it begins with are there. */
void map_start(struct target *map);

/* What is wrong, until it is measured again; the first counts. With the lock held. */
__attribute__((format(printf, 2, 3))) void map_complain(struct map *map, const char *format, ...);

/* A child's state has changed, which it may not have told yet: takes note of it. Any thread. */
void map_look(struct map *map);

/* For measure: has every child a size? Complains of those that have less than `least` bytes, and
 * returns false then too. With the lock held. */
bool map_sizes_known(struct map *map, uint64_t least);

#endif
