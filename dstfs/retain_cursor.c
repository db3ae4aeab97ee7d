/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retain_cursor.c - what must be sent again: the logs of a session merged by number, without what a
 * later durable request has replaced. See retain.h.
 *
 * Why leave that out, if the order of a replay ends with the right content anyway? It doesn't: covers
 * keep no payload, since they were durable. And if they did: a replay ends where the client crashes,
 * or the server does once more. Say that W1 was acknowledged, then W2 over it with FUA. A replay of W1,
 * W2 that ends between the two has put W1 over what was durable, for good. Leaving out W1 there, at
 * every moment of a replay each byte is what the server had, which is at least the newest durable
 * value, or something that was acknowledged later.
 *
 * So for each byte the highest number of a cover counts: entries below it are cut there, those above
 * are not. That is a step function of the offset, made once: covers are painted onto it, the highest
 * number first, and what is painted stays. Each step is painted once, so it takes n log n.
 */
#include "dstfs/retain_impl.h"

#include <assert.h>
#include <stdlib.h>

/* In one log: the next entry to be looked at. */
struct position {
	const struct retain_chunk *chunk; /* NULL: at the end */
	uint32_t at; /* in chunk->bytes[], below chunk->used */
};

/* From the offset up to the next step's: the highest number of a cover there, or 0. */
struct step {
	uint64_t offset;
	uint64_t number;
};

struct retain_cursor {
	struct retain_log *const *logs;
	unsigned count;
	uint64_t settled;

	struct step *steps; /* ascend by offset */
	size_t step_count;

	const struct retain_entry *entry; /* NULL: the next one is to be looked at */
	struct range rest; /* of it: not looked at yet */
	struct position positions[]; /* one a log */
};

static const struct retain_entry *entry_at(const struct position *position)
{
	return (const struct retain_entry *)(position->chunk->bytes + position->at);
}

static void position_set(struct position *position, const struct retain_chunk *chunk)
{
	*position = (struct position){.chunk = chunk, .at = chunk ? chunk->head : 0};
}

static void position_advance(struct position *position)
{
	position->at += retain_entry_size(entry_at(position));
	if (position->at == position->chunk->used)
		position_set(position, position->chunk->next);
}

static void rewind_cursor(struct retain_cursor *cursor)
{
	for (unsigned i = 0; i < cursor->count; i++) {
		struct position *position = &cursor->positions[i];

		position_set(position, cursor->logs[i]->first);
		while (position->chunk && position->chunk->last <= cursor->settled)
			position_set(position, position->chunk->next);
		while (position->chunk && entry_at(position)->number <= cursor->settled)
			position_advance(position);
	}
}

/* The entry with the lowest number, of all logs. NULL: no more. */
static const struct retain_entry *next_entry(struct retain_cursor *cursor)
{
	struct position *lowest = NULL;
	const struct retain_entry *entry;

	for (unsigned i = 0; i < cursor->count; i++) {
		struct position *position = &cursor->positions[i];

		if (position->chunk &&
		    (!lowest || entry_at(position)->number < entry_at(lowest)->number))
			lowest = position;
	}
	if (!lowest)
		return NULL;
	entry = entry_at(lowest);
	position_advance(lowest);
	return entry;
}

static int by_offset(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Index of the last step whose offset is at most this one; the count if there is none. */
static size_t find_step(const struct retain_cursor *cursor, uint64_t offset)
{
	size_t low = 0, high = cursor->step_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cursor->steps[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : cursor->step_count;
}

/* The first step from i on that isn't painted. skip[] leads there, and is shortened on the way. */
static size_t find_unpainted(size_t *skip, size_t i)
{
	while (skip[i] != i) {
		skip[i] = skip[skip[i]];
		i = skip[i];
	}
	return i;
}

/* `covers` ascend by number. 0 or ENOMEM's -1. */
static int paint_steps(struct retain_cursor *cursor, const struct retain_entry *const *covers,
		       size_t count)
{
	/* One more than there may be: calloc(0) may return NULL. */
	struct step *steps = calloc(2 * count + 1, sizeof(*steps));
	size_t *skip = calloc(2 * count + 1, sizeof(*skip));
	size_t unique = 0;

	if (!steps || !skip) {
		free(steps);
		free(skip);
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		steps[2 * i].offset = covers[i]->offset;
		steps[2 * i + 1].offset = covers[i]->offset + covers[i]->length;
	}
	qsort(steps, 2 * count, sizeof(*steps), by_offset);
	for (size_t i = 0; i < 2 * count; i++)
		if (!i || steps[i].offset != steps[unique - 1].offset)
			steps[unique++] = steps[i];
	cursor->steps = steps;
	cursor->step_count = unique;
	for (size_t i = 0; i <= unique; i++)
		skip[i] = i;
	for (size_t n = count; n--;) {
		uint64_t end = covers[n]->offset + covers[n]->length;
		size_t i = find_unpainted(skip, find_step(cursor, covers[n]->offset));

		while (i < unique && steps[i].offset < end) {
			steps[i].number = covers[n]->number;
			skip[i] = i + 1;
			i = find_unpainted(skip, i);
		}
	}
	free(skip);
	return 0;
}

/* Makes the steps. 0 or -1: out of memory. */
static int gather_covers(struct retain_cursor *cursor)
{
	const struct retain_entry **covers, *entry;
	size_t count = 0, i = 0;
	int error;

	while ((entry = next_entry(cursor)))
		count += entry->cover;
	rewind_cursor(cursor);
	if (!count)
		return 0;
	covers = calloc(count, sizeof(const struct retain_entry *));
	if (!covers)
		return -1;
	while ((entry = next_entry(cursor)))
		if (entry->cover)
			covers[i++] = entry;
	rewind_cursor(cursor);
	error = paint_steps(cursor, covers, i);
	free(covers);
	return error;
}

struct retain_cursor *retain_cursor_new(struct retain_log *const *logs, unsigned count)
{
	struct retain_cursor *cursor = calloc(1, sizeof(*cursor) + count * sizeof(struct position));

	if (!cursor)
		return NULL;
	cursor->logs = logs;
	cursor->count = count;
	cursor->settled = count ? retain_settled(logs[0]->retain) : 0;
	rewind_cursor(cursor);
	if (gather_covers(cursor))
		retain_cursor_free(&cursor);
	return cursor;
}

/*
 * Takes from the front of cursor->rest: what is covered, if anything is, or else all that isn't up to
 * the next cover. True: *uncovered is to be sent.
 */
static bool take_uncovered(struct retain_cursor *cursor, struct range *uncovered)
{
	struct range *rest = &cursor->rest;
	uint64_t end = rest->offset + rest->length, until = end;
	size_t first = find_step(cursor, rest->offset), i;
	bool covered =
		first < cursor->step_count && cursor->steps[first].number > cursor->entry->number;

	/* On over the steps that say the same. Before the first step nothing is covered. */
	for (i = first < cursor->step_count ? first + 1 : 0; i < cursor->step_count; i++) {
		const struct step *step = &cursor->steps[i];

		if (step->offset >= end)
			break;
		if ((step->number > cursor->entry->number) != covered) {
			until = step->offset;
			break;
		}
	}
	*uncovered = range_head(*rest, until - rest->offset);
	range_advance(rest, uncovered->length);
	return !covered;
}

static const uint8_t *entry_data(const struct retain_entry *entry)
{
	if (retain_entry_copied(entry))
		return (const uint8_t *)(entry + 1);
	return retain_entry_referenced(entry) ? retain_entry_reference(entry)->data : NULL;
}

static void fill_piece(struct retain_piece *piece, const struct retain_entry *entry,
		       struct range range)
{
	const uint8_t *data = entry_data(entry);

	*piece = (struct retain_piece){
		.number = entry->number,
		.type = entry->type,
		.no_hole = entry->no_hole,
		.range = range,
		.data = data ? data + (range.offset - entry->offset) : NULL,
		.digest = entry->digest,
		.has_digest = entry->has_digest && range.length == entry->length,
	};
}

bool retain_cursor_next(struct retain_cursor *cursor, struct retain_piece *piece)
{
	struct range range;

	for (;;) {
		while (!cursor->entry || !cursor->rest.length) {
			cursor->entry = next_entry(cursor);
			if (!cursor->entry)
				return false;
			if (cursor->entry->cover)
				cursor->rest.length = 0;
			else
				cursor->rest = (struct range){.offset = cursor->entry->offset,
							      .length = cursor->entry->length};
		}
		if (take_uncovered(cursor, &range)) {
			fill_piece(piece, cursor->entry, range);
			return true;
		}
	}
}

void retain_cursor_free(struct retain_cursor **cursor)
{
	if (!*cursor)
		return;
	free((*cursor)->steps);
	free(*cursor);
	*cursor = NULL;
}
