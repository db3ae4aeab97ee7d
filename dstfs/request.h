/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - one read, write, flush, discard or write-zeroes on its way through targets. Completes
 * exactly once.
 */
#ifndef DSTFS_REQUEST_H
#define DSTFS_REQUEST_H

#include "common/checksum.h"
#include "common/counter.h"
#include "common/pool.h"
#include "common/range.h"
#include "common/wire.h"
#include "dstfs/worker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum request_type {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_DISCARD,
	REQUEST_WRITE_ZEROES,
	REQUEST_EXTENTS,
	REQUEST_COPY,
	REQUEST_HASH,
	REQUEST_TYPES
};

/* Where a request is. Set by who holds it. */
enum request_place {
	REQUEST_NOWHERE, /* the owner's */
	REQUEST_PARKED, /* waits in its volume for room */
	REQUEST_HELD_UP, /* waits in its volume until no other has a part of its range */
	REQUEST_WAITING, /* waits in a lane for a transaction or for the connection */
	REQUEST_IN_FLIGHT, /* a transaction carries it */
	REQUEST_IN_BACKEND, /* a local backend works on it */
	REQUEST_IN_MAP /* a map has passed it on in parts, or holds it until it can */
};

struct request {
	enum request_type type;
	bool fua; /* WRITE, WRITE_ZEROES, DISCARD: durable when done */
	bool no_hole; /* WRITE_ZEROES: stays allocated */
	struct range range; /* READ, WRITE: 1..DST_MAX_PAYLOAD bytes; others 1..DST_MAX_RANGE */

	/*
	 * WRITE: the bytes, set by the owner. `buf` holds them, and whoever needs them
	 * beyond the completion takes a reference; NULL: the owner sees to it that they stay. READ: set at completion, to bytes that are valid until `done`
	 * returns.
	 */
	const uint8_t *data;
	struct buf *buf;
	uint64_t digest; /* of the WRITE's data, once has_digest */
	bool has_digest;

	uint64_t copy_from; /* COPY: the source's offset */
	uint64_t hash_seed; /* HASH */
	const uint8_t *hash; /* HASH: 16 bytes, valid until `done` returns */
	const struct wire_extent *extents; /* EXTENTS: valid until `done` returns */
	unsigned extent_count;
	uint64_t result; /* COPY: bytes copied, > 0 */

	/*
	 * The hold on its range, of what changes content: its volume's, see ranges.h. A target that
	 * completes the request while it may yet be carried out (cancelled, given up) takes a
	 * reference first, and puts it back when nothing of it can happen any more. NULL: none.
	 */
	struct range_hold *hold;

	struct worker *worker; /* that submits it, and on whose thread it completes */
	/* The completion, with 0 or a positive errno. May run before submit returns. */
	void (*done)(struct request *request, int error);

	/* Of the target that holds it. */
	enum request_place place;
	/* clock_now() when it began to wait, for its range or at its node; 0: not yet. It fails when
	 * target_patience() has passed since. */
	uint64_t since;
	void *holder; /* its transaction, backend operation or list */
	unsigned failures; /* FLUSH, FUA: the server has lost data while it was there */
	uint64_t told; /* FLUSH: of the losses before it came, those that were told upward */
	struct request *next, *previous;
};

/* Does it change what the volume holds? */
static inline bool request_modifies(const struct request *request)
{
	return request->type == REQUEST_WRITE || request->type == REQUEST_DISCARD ||
	       request->type == REQUEST_WRITE_ZEROES || request->type == REQUEST_COPY;
}

/*
 * What a FLUSH tells upward that ended with `error`. A loss is told once, but to all that came before that:
 * of `losses` it had noted that so many were told when it came, and by now so many are.
 */
static inline int flush_verdict(int error, uint64_t noted, _Atomic uint64_t *told, uint64_t losses)
{
	if (losses == noted)
		return error;
	mark_raise(told, losses);
	return error ? error : EIO;
}

/* The digest of a WRITE's payload: computed once, however many nodes it goes to. */
static inline uint64_t request_digest(struct request *request)
{
	if (!request->has_digest) {
		request->digest = checksum_payload(request->data, request->range.length);
		request->has_digest = true;
	}
	return request->digest;
}

/* A list of requests in order of arrival, for those who hold some. */
struct request_list {
	struct request *first, *last;
};

static inline void request_list_append(struct request_list *list, struct request *request)
{
	request->next = NULL;
	request->previous = list->last;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static inline void request_list_prepend(struct request_list *list, struct request *request)
{
	request->previous = NULL;
	request->next = list->first;
	if (list->first)
		list->first->previous = request;
	else
		list->last = request;
	list->first = request;
}

static inline void request_list_remove(struct request_list *list, struct request *request)
{
	if (request->previous)
		request->previous->next = request->next;
	else
		list->first = request->next;
	if (request->next)
		request->next->previous = request->previous;
	else
		list->last = request->previous;
	request->next = request->previous = NULL;
}

#endif
