/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volume.h - what appears in the mount as one image file: a tree of targets, with a bound on what is
 * in flight, one order for what overlaps, counters, and the checks that every request passes once.
 *
 * On its way a request is parked while there is no room, then, if it changes content, held up until
 * no other has a part of its range, then at the target.
 */
#ifndef DSTFS_VOLUME_H
#define DSTFS_VOLUME_H

#include "dstfs/request.h"
#include "dstfs/target.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One operation of a user of the volume. Embedded by the user. */
struct volume_io {
	struct request request; /* type, range, data and worker set by the user */
	/* The outcome: 0 or a positive errno. May run before volume_submit() returns. */
	void (*done)(struct volume_io *io, int error);
	struct volume *volume; /* the volume's, like the rest */
	struct range rest; /* of a range too long for one request: what comes after it */
	unsigned pieces; /* of it, with this one */
	uint64_t losses; /* the target's, when it began */
	uint64_t mark; /* FLUSH: bytes acknowledged when it was submitted */
	uint64_t number; /* of its worker's, in order of submission */
	struct volume_io *next, *previous; /* likewise */
};

struct volume;

/*
 * requests, bytes: see volume_set_limits(). name is copied, workers must outlive the volume. The target
 * is set later, since it names the volume's policy. NULL: out of memory.
 */
struct volume *volume_new(const char *name, struct worker *workers, unsigned worker_count,
			  unsigned requests, uint64_t bytes);

/*
 * How many requests may be held up or at the target at a time, and with how many bytes of data; more
 * wait. Each worker gets an equal share, and may always have one request. Any thread; takes effect
 * soon.
 */
void volume_set_limits(struct volume *volume, unsigned requests, uint64_t bytes);

struct target_policy *volume_policy(struct volume *volume);
void volume_set_target(struct volume *volume, struct target *target);
struct target *volume_target(struct volume *volume);

const char *volume_name(const struct volume *volume);

/*
 * Ranges may be longer than one request carries, save for READ, WRITE, EXTENTS and COPY. A range that
 * isn't within the size: a READ is clipped (io->request.range tells; it may be empty), all others
 * fail: ENOSPC for WRITE, WRITE_ZEROES and COPY, else EINVAL. Modifying a volume that is read-only:
 * EROFS.
 */
void volume_submit(struct volume *volume, struct volume_io *io);

/* Ends an operation that is submitted and not done with `error`, before this returns. From the
 * thread of its worker. */
void volume_cancel(struct volume_io *io, int error);

/* Ends all operations that are submitted by now with EIO, wherever they wait. Any thread; each worker
 * does it for its own as soon as it can. */
void volume_fail(struct volume *volume);

/* Bytes that were written, zeroed, discarded or copied, and that no FLUSH has made durable yet. Any
 * thread. */
uint64_t volume_undurable(struct volume *volume);

json_t *volume_status(struct volume *volume); /* a new object, without what only FUSE knows */
uint64_t volume_inflight(struct volume *volume); /* operations submitted, not done; any thread */

/* Ends the target and frees the volume. Nothing may be submitted, the workers' loops don't run, and what
 * was posted to them has run. False: see target_ops.destroy. */
bool volume_free(struct volume **volume);

#endif
