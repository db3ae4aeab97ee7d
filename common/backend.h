/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.h - storage: an interface. backend_file.c implements it over a regular file or a block
 * device; the simulator has another. Used by the server's exports and by local nodes.
 *
 * Requests are validated before they come here: ranges lie within the size, write permission was
 * checked. One backend may be used by several workers at once: each operation names the loop it
 * completes on.
 */
#ifndef COMMON_BACKEND_H
#define COMMON_BACKEND_H

#include "common/loop.h"
#include "common/offload.h"
#include "common/range.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum backend_type {
	BACKEND_READ, /* range.length bytes into data; past the medium's end: zeros */
	BACKEND_WRITE, /* range.length bytes from data */
	BACKEND_FLUSH, /* all writes that were complete when this was submitted */
	BACKEND_DISCARD, /* content not needed any more; may do nothing if it can't hurt */
	BACKEND_WRITE_ZEROES, /* reads as zeros; unmaps unless no_hole */
	BACKEND_EXTENTS, /* fills extents[0..extent_count) from range.offset on */
	BACKEND_COPY, /* from copy_from to range; result: bytes copied, > 0; EINVAL: overlap */
	BACKEND_HASH, /* XXH3-128 of range with hash_seed into hash */
};

struct backend_op {
	enum backend_type type;
	bool fua; /* WRITE, WRITE_ZEROES, DISCARD: durable when done */
	bool no_hole; /* WRITE_ZEROES */
	struct range range;
	void *data; /* READ, WRITE: the caller's, until done */
	uint64_t copy_from, hash_seed;
	uint8_t hash[DST_HASH_SIZE];
	struct wire_extent *extents; /* the caller's, DST_MAX_EXTENTS of them */
	unsigned extent_count;
	uint64_t result; /* COPY: bytes */

	struct loop *loop; /* where `done` runs: the loop of the thread that submits */
	/* Runs once, with error 0 or a positive errno, perhaps before backend_submit() returns. On
	 * an error of WRITE and its kin, what the range holds is undefined. */
	void (*done)(struct backend_op *op, int error);

	/* The backend's own, until done. */
	struct backend *backend;
	struct backend_op *next;
	struct loop_work work;
	struct offload_job job;
	uint64_t moved; /* READ, WRITE: bytes that are over with */
	unsigned failures_seen; /* see backend_file_sync.c */
	int error;
};

struct backend_info {
	_Atomic uint64_t size; /* bytes; changes inside refresh, read anywhere */
	/* Syncs that failed, of FLUSH or FUA: anything that was complete, and not flushed, may be
	 * lost. Counted before any FLUSH that didn't hear of it can succeed. Read anywhere. */
	_Atomic uint64_t losses;
	uint32_t block_min; /* smallest unit that is written without reading, bytes */
	uint32_t block_preferred; /* bytes */
	uint32_t features; /* DST_CAN_* */
	bool read_only;
	bool is_device;
};

struct backend;

struct backend_stats {
	uint64_t served_inline, served_offloaded; /* operations */
};

struct backend_ops {
	void (*submit)(struct backend *backend, struct backend_op *op);
	/* Looks at the medium again; true if info changed (grown, shrunk). Doesn't block long. */
	bool (*refresh)(struct backend *backend);
	void (*stats)(struct backend *backend, struct backend_stats *stats);
	/* Waits for nothing: every operation must be done. */
	void (*close)(struct backend *backend);
};

struct backend {
	const struct backend_ops *ops;
	struct backend_info info;
};

static inline void backend_submit(struct backend *b, struct backend_op *op)
{
	b->ops->submit(b, op);
}

static inline bool backend_refresh(struct backend *b)
{
	return b->ops->refresh(b);
}

static inline void backend_close(struct backend **b)
{
	struct backend *backend = *b;

	*b = NULL;
	if (backend)
		backend->ops->close(backend);
}

#endif
