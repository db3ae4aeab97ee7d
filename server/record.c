/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - see record.h
 *
 * The ids that may be asked for lie in a window of fixed size above the watermark. So each has an
 * entry of its own in a ring of that size, and what the ring holds below the watermark needs no
 * clearing: an entry counts for the id that it names, if that lies in the window.
 */
#include "server/record.h"

#include <stdlib.h>

enum entry_state { ENTRY_EMPTY, ENTRY_RUNNING, ENTRY_DONE };

struct entry {
	uint64_t id;
	uint64_t instance; /* the export's count when it began */

	/* Its content. */
	uint64_t offset, digest;
	uint32_t length;
	uint8_t type, flags;

	uint8_t state; /* enum entry_state */
	uint16_t status; /* how it ended */
	uint32_t copied; /* bytes, COPY's */
};

struct record_table {
	uint64_t watermark;
	uint64_t size; /* of the window, in ids */
	struct entry ring[];
};

struct record_table *record_table_new(uint32_t depth)
{
	uint64_t size = (uint64_t)DST_LAG_FACTOR * depth;
	struct record_table *table = calloc(1, sizeof(*table) + size * sizeof(table->ring[0]));

	if (table)
		table->size = size;
	return table;
}

void record_table_free(struct record_table **table)
{
	free(*table);
	*table = NULL;
}

static bool in_window(const struct record_table *table, uint64_t id)
{
	return id > table->watermark && id - table->watermark <= table->size;
}

/* The id's own entry, or NULL: there is none. */
static struct entry *find(struct record_table *table, uint64_t id)
{
	struct entry *entry = &table->ring[id % table->size];

	return in_window(table, id) && entry->state != ENTRY_EMPTY && entry->id == id ? entry
										      : NULL;
}

/* Without digests (DST_CHECKSUM_NONE, perhaps on one of two connections only) they are 0, and tell
 * nothing. */
static bool same_content(const struct entry *entry, const struct wire_header *header)
{
	return entry->type == header->type && entry->flags == header->flags &&
	       entry->offset == header->range.offset && entry->length == header->range.length &&
	       (entry->digest == header->digest || !entry->digest || !header->digest);
}

enum record_verdict record_begin(struct record_table *table, const struct wire_header *header,
				 uint64_t instance, uint16_t *status, uint32_t *length)
{
	struct entry *entry = find(table, header->id);

	if (!in_window(table, header->id))
		return RECORD_FALSE_RETRY;
	if (entry && (entry->state == ENTRY_RUNNING || entry->instance == instance)) {
		if (!same_content(entry, header))
			return RECORD_FALSE_RETRY;
		if (entry->state == ENTRY_RUNNING)
			return RECORD_JOINED;
		*status = entry->status;
		*length = entry->copied;
		return RECORD_DONE;
	}
	table->ring[header->id % table->size] = (struct entry){
		.id = header->id,
		.instance = instance,
		.offset = header->range.offset,
		.digest = header->digest,
		.length = (uint32_t)header->range.length, /* 32 bits on the wire */
		.type = header->type,
		.flags = header->flags,
		.state = ENTRY_RUNNING,
	};
	return RECORD_NEW;
}

void record_end(struct record_table *table, uint64_t id, uint16_t status, uint32_t length)
{
	struct entry *entry = find(table, id);

	if (!entry || entry->state != ENTRY_RUNNING)
		return;
	entry->state = ENTRY_DONE;
	entry->status = status;
	entry->copied = length;
}

void record_drop(struct record_table *table, uint64_t id)
{
	struct entry *entry = find(table, id);

	if (entry && entry->state == ENTRY_RUNNING)
		entry->state = ENTRY_EMPTY;
}

void record_forget(struct record_table *table, uint64_t watermark)
{
	if (watermark > table->watermark)
		table->watermark = watermark;
}

void record_executed(const struct record_table *table, const struct wire_pending *pending,
		     uint64_t instance, struct wire_executed *executed)
{
	executed->count = 0;
	for (unsigned i = 0; i < pending->count; i++) {
		const struct entry *entry =
			find((struct record_table *)table, pending->first + pending->distance[i]);

		if (!entry || entry->state != ENTRY_DONE || entry->instance != instance)
			continue;
		executed->one[executed->count++] = (struct wire_executed_one){
			.distance = pending->distance[i],
			.status = entry->status,
			.length = entry->copied,
		};
	}
}
