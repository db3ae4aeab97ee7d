/* SPDX-License-Identifier: GPL-2.0-or-later */
/* last_flush.h - makes acknowledged writes durable before the process ends, and ends mirrors cleanly. */
#ifndef DSTFS_LAST_FLUSH_H
#define DSTFS_LAST_FLUSH_H

#include "dstfs/mount.h"

/* One such end. It must outlive the volumes: a target that isn't detached in time may still tell that it
 * is, until it is destroyed. */
struct last_flush {
	struct loop *loop;
	unsigned under_way;
	bool waiting; /* the loop runs for us */
	bool over; /* nothing is begun any more */
};

/*
 * Flushes every volume that has acknowledged bytes which aren't durable, and detaches all that nothing
 * is under way in (target.h), for `patience` nanoseconds at most. What is not detached by then is to
 * be destroyed. Runs the loops of all workers, which must have stopped; no request may come in.
 * Logs what is left. 0: all is durable; else the number of bytes that may not be.
 */
uint64_t last_flush(struct last_flush *all, struct mount *mount, uint64_t patience);

#endif
