/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.c - see replay.h
 *
 * Pieces go out strictly in the order of their numbers: one that overlaps what is in flight waits, and
 * so does all behind it. What is in flight together doesn't overlap, so that its order doesn't matter.
 */
#include "dstfs/replay.h"

#include "common/counter.h"

#include <errno.h>
#include <stdlib.h>

#define MOST_REQUESTS 64u /* in flight */
#define MOST_BYTES (8u << 20) /* of payload in flight */

_Static_assert(MOST_BYTES >= DST_MAX_PAYLOAD, "the longest write fits");

struct slot {
	struct request request;
	struct replay *replay;
	bool busy;
};

struct replay {
	struct worker *worker;
	struct retain_cursor *cursor;
	void (*submit)(void *arg, struct request *request);
	void (*done)(void *arg, int error);
	void *arg;

	struct retain_piece
		piece; /* the next; its range is what wasn't sent yet, empty: none left */
	unsigned in_flight;
	uint64_t bytes_in_flight;
	int error; /* the first */
	bool pumping;
	counter_t pieces, bytes;
	struct slot slots[MOST_REQUESTS];
};

/* Bytes of the request on the wire, beside its header. */
static uint64_t payload(const struct request *request)
{
	return request->type == REQUEST_WRITE ? request->range.length : 0;
}

static void pump(struct replay *replay);

static void on_done(struct request *request, int error)
{
	struct slot *slot = (struct slot *)request; /* its first member */
	struct replay *replay = slot->replay;

	slot->busy = false;
	replay->in_flight--;
	replay->bytes_in_flight -= payload(request);
	if (error && !replay->error)
		replay->error = error;
	if (!error) {
		counter_add(&replay->pieces, 1);
		counter_add(&replay->bytes, request->range.length);
	}
	pump(replay);
}

/* A slot for the range, or NULL: the bounds are reached, or something in flight overlaps it. */
static struct slot *find_slot(struct replay *replay, struct range range)
{
	struct slot *found = NULL;

	for (unsigned i = 0; i < MOST_REQUESTS; i++) {
		struct slot *slot = &replay->slots[i];

		if (!slot->busy)
			found = slot;
		else if (range_overlaps(slot->request.range, range))
			return NULL;
	}
	return found;
}

/* Submits what comes next. False: it can't be sent now. */
static bool send_next(struct replay *replay)
{
	struct retain_piece *piece = &replay->piece;
	bool write = piece->type == REQUEST_WRITE;
	struct range range = range_head(piece->range, write ? DST_MAX_PAYLOAD : DST_MAX_RANGE);
	struct slot *slot = find_slot(replay, range);

	if (!slot || (write && replay->bytes_in_flight + range.length > MOST_BYTES))
		return false;
	slot->request = (struct request){
		.type = piece->type,
		.no_hole = piece->no_hole,
		.range = range,
		.data = piece->data,
		.digest = piece->digest,
		.has_digest = piece->has_digest && range.length == piece->range.length,
		.worker = replay->worker,
		.done = on_done,
	};
	slot->replay = replay;
	slot->busy = true;
	replay->in_flight++;
	replay->bytes_in_flight += payload(&slot->request);
	range_advance(&piece->range, range.length);
	piece->has_digest = false; /* the rest of it, if any, has another */
	if (write)
		piece->data += range.length;
	replay->submit(replay->arg, &slot->request);
	return true;
}

/* Sends what can be sent now. The last thing to be called: `done` may free the replay. */
static void pump(struct replay *replay)
{
	bool more;

	if (replay->pumping) /* a request that completed at once: the loop below goes on */
		return;
	replay->pumping = true;
	for (;;) {
		more = !replay->error && (replay->piece.range.length ||
					  retain_cursor_next(replay->cursor, &replay->piece));
		if (!more || !send_next(replay))
			break;
	}
	replay->pumping = false;
	if (!more && !replay->in_flight)
		replay->done(replay->arg, replay->error);
}

struct replay *replay_start(struct worker *worker, struct retain_log *const *logs, unsigned count,
			    void (*submit)(void *arg, struct request *request),
			    void (*done)(void *arg, int error), void *arg)
{
	struct replay *replay = calloc(1, sizeof(*replay));

	if (!replay)
		return NULL;
	replay->cursor = retain_cursor_new(logs, count);
	if (!replay->cursor) {
		free(replay);
		return NULL;
	}
	replay->worker = worker;
	replay->submit = submit;
	replay->done = done;
	replay->arg = arg;
	pump(replay);
	return replay;
}

void replay_progress(const struct replay *replay, uint64_t *pieces, uint64_t *bytes)
{
	*pieces = counter_get(&replay->pieces);
	*bytes = counter_get(&replay->bytes);
}

void replay_free(struct replay **replay)
{
	if (!*replay)
		return;
	retain_cursor_free(&(*replay)->cursor);
	free(*replay);
	*replay = NULL;
}
