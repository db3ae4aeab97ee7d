/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * retain.c - see retain.h; the cursor is retain_cursor.c's
 *
 * Why numbers are an order in which a replay may run: of two requests that overlap, the later one is
 * sent only after the earlier one has completed (ranges.h), and so was added here. Its number is
 * higher, whatever their lanes.
 *
 * Why a test of `kept` tells whether a cover is needed: whatever it may have to cover overlaps it, so
 * was added before it was sent, and is seen. What other lanes add meanwhile doesn't overlap it.
 */
#include "dstfs/retain_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define SPARES_RESERVED 2u /* allocated and touched at the start, never given back */
#define TRIM_MOST 512u /* entries or chunks a call */

_Static_assert(sizeof(struct retain_entry) % RETAIN_ALIGNMENT == 0, "payloads are aligned");
_Static_assert(sizeof(struct retain_chunk) + sizeof(struct retain_entry) + RETAIN_COPIED <=
		       RETAIN_CHUNK / 4,
	       "little of a chunk stays empty at its end");
_Static_assert(DST_MAX_RANGE <= UINT32_MAX, "an entry's length holds every range");

uint64_t retain_settled(const struct retain *retain)
{
	uint64_t durable = retain->durable, given_up = retain->given_up;

	return durable > given_up ? durable : given_up;
}

void retain_durable(struct retain *retain, uint64_t mark)
{
	mark_raise(&retain->durable, mark);
}

void retain_give_up(struct retain *retain, uint64_t mark)
{
	mark_raise(&retain->unkept, mark); /* first: nobody may see it neither kept nor unkept */
	mark_raise(&retain->given_up, mark);
}

static struct retain_chunk *chunk_new(void)
{
	return aligned_alloc(RETAIN_ALIGNMENT, RETAIN_CHUNK);
}

static void put_spare(struct retain_log *log, struct retain_chunk *chunk)
{
	chunk->next = log->spare;
	log->spare = chunk;
	log->spares++;
}

static struct retain_chunk *take_spare(struct retain_log *log)
{
	struct retain_chunk *chunk = log->spare;

	if (!chunk)
		return NULL;
	log->spare = chunk->next;
	if (--log->spares < log->least_spares)
		log->least_spares = log->spares;
	return chunk;
}

struct retain_log *retain_log_new(struct retain *retain, struct worker *worker)
{
	struct retain_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->retain = retain;
	for (unsigned i = 0; i < SPARES_RESERVED; i++) {
		struct retain_chunk *chunk = chunk_new();

		if (!chunk) {
			retain_log_free(&log);
			return NULL;
		}
		memset(chunk, 0, RETAIN_CHUNK); /* touched now, not in a write's way */
		put_spare(log, chunk);
	}
	log->least_spares = log->spares;
	return log;
}

/* A place of `size` bytes at the end of the log. NULL: out of memory. */
static struct retain_entry *log_extend(struct retain_log *log, size_t size)
{
	struct retain_chunk *chunk = log->last;
	struct retain_entry *entry;

	if (!chunk || size > RETAIN_CHUNK - sizeof(*chunk) - chunk->used) {
		chunk = take_spare(log);
		if (!chunk)
			chunk = chunk_new();
		if (!chunk)
			return NULL;
		*chunk = (struct retain_chunk){.next = NULL};
		if (log->last)
			log->last->next = chunk;
		else
			log->first = chunk;
		log->last = chunk;
		log->retain->bytes += RETAIN_CHUNK;
	}
	entry = (struct retain_entry *)(chunk->bytes + chunk->used);
	chunk->used += size;
	return entry;
}

size_t retain_entry_size(const struct retain_entry *entry)
{
	size_t size = sizeof(*entry);

	if (retain_entry_copied(entry))
		size += entry->length;
	else if (retain_entry_referenced(entry))
		size += sizeof(struct retain_reference);
	return (size + RETAIN_ALIGNMENT - 1) / RETAIN_ALIGNMENT * RETAIN_ALIGNMENT;
}

/* Memory that a referenced payload keeps from other use. */
static uint64_t buf_bytes(const struct retain_entry *entry)
{
	return (entry->length + PAGE - 1) / PAGE * PAGE + BUF_HEADROOM;
}

/* How many bytes an entry adds to what is not flushed. */
static uint64_t unflushed_bytes(const struct retain_entry *entry)
{
	return entry->cover || entry->type == REQUEST_DISCARD ? 0 : entry->length;
}

/* Puts the entry, and what it needs of the request, at the end of the log. False: no memory. */
static bool log_append(struct retain_log *log, const struct retain_entry *entry,
		       const struct request *request)
{
	struct retain_entry *place;

	if (retain_entry_referenced(entry) && !request->buf)
		return false; /* nothing holds its payload beyond the completion */
	place = log_extend(log, retain_entry_size(entry));
	if (!place)
		return false;
	*place = *entry;
	if (retain_entry_copied(entry)) {
		memcpy(place + 1, request->data, entry->length);
	} else if (retain_entry_referenced(entry)) {
		*retain_entry_reference(place) = (struct retain_reference){
			.buf = buf_ref(request->buf), .data = request->data};
		log->last->references++;
		log->retain->bytes += buf_bytes(entry);
	}
	log->last->last = entry->number;
	log->last->unflushed += unflushed_bytes(entry);
	counter_add(&log->unflushed, unflushed_bytes(entry));
	return true;
}

/* What is durable where it is: matters only to what was kept before it. */
static void add_cover(struct retain_log *log, const struct request *request, uint64_t number)
{
	struct retain *retain = log->retain;
	struct range range = request->range;
	struct retain_entry entry = {.number = number, .offset = range.offset, .cover = true};

	if (request->type == REQUEST_COPY)
		range = range_head(range, request->result);
	entry.length = range.length;
	if (retain->kept <= retain_settled(retain))
		return;
	/* A replay without the cover could put something older in its place: better none at all. */
	if (!log_append(log, &entry, request))
		retain_give_up(retain, number);
}

void retain_log_add(struct retain_log *log, const struct request *request, bool keep)
{
	struct retain *retain = log->retain;
	struct retain_entry entry = {
		.number = atomic_fetch_add(&retain->number, 1) + 1,
		.offset = request->range.offset,
		.length = request->range.length,
		.type = request->type,
		.no_hole = request->no_hole,
		.digest = request->digest,
		.has_digest = request->has_digest,
	};

	assert(request_modifies(request) && request->range.length <= DST_MAX_RANGE);
	if (request->fua || request->type == REQUEST_COPY)
		add_cover(log, request, entry.number);
	else if (keep && log_append(log, &entry, request))
		mark_raise(&retain->kept, entry.number);
	else
		mark_raise(&retain->unkept, entry.number);
}

/* The first entry of the chunk goes. */
static void drop_entry(struct retain_log *log, struct retain_chunk *chunk)
{
	struct retain_entry *entry = (struct retain_entry *)(chunk->bytes + chunk->head);

	chunk->head += retain_entry_size(entry);
	chunk->unflushed -= unflushed_bytes(entry);
	counter_add(&log->unflushed, -unflushed_bytes(entry));
	if (retain_entry_referenced(entry)) {
		chunk->references--;
		log->retain->bytes -= buf_bytes(entry);
		buf_unref(&retain_entry_reference(entry)->buf);
	}
}

/* The first chunk of the log goes, with what is left in it: nothing that holds a buffer. */
static void drop_chunk(struct retain_log *log)
{
	struct retain_chunk *chunk = log->first;

	assert(!chunk->references);
	counter_add(&log->unflushed, -chunk->unflushed);
	log->first = chunk->next;
	if (!log->first)
		log->last = NULL;
	log->retain->bytes -= RETAIN_CHUNK;
	put_spare(log, chunk);
}

/*
 * Chunks that wait for reuse: as many as are used between one flush and the next, so that steady state
 * allocates nothing. That varies: flushes begin at half of what may be kept, and end at up to all of
 * it. So only where three quarters were not needed since the last trim one goes, at each trim.
 */
static void shed_spare(struct retain_log *log)
{
	if (log->least_spares > SPARES_RESERVED + log->spares / 4 * 3) {
		struct retain_chunk *chunk = take_spare(log);

		free(chunk);
	}
	log->least_spares = log->spares;
}

bool retain_log_trim(struct retain_log *log)
{
	uint64_t settled = retain_settled(log->retain);
	unsigned dropped = 0;

	for (struct retain_chunk *chunk; (chunk = log->first);) {
		/* Of chunks that hold no buffers not one entry is looked at: most are out of cache. */
		while (chunk->head < chunk->used && (chunk->references || chunk->last > settled)) {
			struct retain_entry *entry = (void *)(chunk->bytes + chunk->head);

			if (entry->number > settled)
				goto done;
			if (dropped++ == TRIM_MOST)
				return true;
			drop_entry(log, chunk);
		}
		if (dropped++ == TRIM_MOST)
			return true;
		drop_chunk(log);
	}
done:
	if (dropped)
		shed_spare(log);
	return false;
}

uint64_t retain_log_unflushed(const struct retain_log *log)
{
	return counter_get(&log->unflushed);
}

void retain_log_free(struct retain_log **pointer)
{
	struct retain_log *log = *pointer;
	struct retain_chunk *chunk;

	*pointer = NULL;
	if (!log)
		return;
	while ((chunk = log->first)) {
		while (chunk->references)
			drop_entry(log, chunk);
		drop_chunk(log);
	}
	while ((chunk = take_spare(log)))
		free(chunk);
	free(log);
}
