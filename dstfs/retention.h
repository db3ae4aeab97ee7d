/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retention.h - what the lanes of a node share to know what is durable: the numbers of retain.h, how
 * often the server's instance changed, and what fsync still has to be told.
 *
 * Atomics only: lanes look at it with each request that changes content, from their own threads. All
 * zero at first.
 */
#ifndef DSTFS_RETENTION_H
#define DSTFS_RETENTION_H

#include "dstfs/retain.h"

struct retention {
	struct retain retain;
	_Atomic bool
		shared; /* the export is: others write between ours, nothing is ever replayed */

	/* How often the instance id has changed: what a flush covers holds only if none did while it
	 * was under way. Raised by the attachment, with its lock held. */
	_Atomic uint64_t instances;

	/* Losses of acknowledged bytes that can't be made good, and how many of them a failed flush
	 * has told. A flush that came before a loss was told fails too. */
	_Atomic uint64_t losses, reported;
	_Atomic uint64_t unkept_bytes; /* acknowledged and not kept since the last good flush */

	_Atomic bool flushing; /* a flush of our own is under way, to make room */
	_Atomic unsigned sweeping; /* lanes that were asked to forget, and haven't yet */
	_Atomic uint64_t background_flushes, background_failures;
};

/* The highest number that no replay has to bring back. */
static inline uint64_t retention_settled(const struct retention *retention)
{
	uint64_t durable = retention->retain.durable, given_up = retention->retain.given_up;

	return durable > given_up ? durable : given_up;
}

/* Is anything acknowledged that a replay could bring back? */
static inline bool retention_has_kept(const struct retention *retention)
{
	return retention->retain.kept > retention_settled(retention);
}

/* Has anything been acknowledged since the last good flush? */
static inline bool retention_is_dirty(const struct retention *retention)
{
	return retention->retain.number > retention->retain.durable;
}

/* Could the server lose something that only a failed flush can tell? */
static inline bool retention_has_unkept(const struct retention *retention)
{
	return retention->retain.unkept > retention->retain.durable;
}

#endif
