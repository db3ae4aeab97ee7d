/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - what has run on a lane, and what is running, so that nothing runs twice (proto.h, section
 * 6). One table a lane, kept by its session over reconnects; bounded by the lane's depth and
 * DST_LAG_FACTOR. Only transactions that change content are recorded.
 *
 * Used by the thread of the connection that owns the lane; the session hands it on under the
 * server's lock. Allocates when it is made, and never after.
 */
#ifndef SERVER_RECORD_H
#define SERVER_RECORD_H

#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct record_table;

struct record_table *record_table_new(uint32_t depth); /* NULL: out of memory */
void record_table_free(struct record_table **table);

enum record_verdict {
	RECORD_NEW, /* it may run: record_end() or record_drop() follows */
	RECORD_JOINED, /* it is running: the answer to that is the answer to this */
	RECORD_DONE, /* it has run: *status and *length are to be answered */
	RECORD_FALSE_RETRY, /* the id was used for something else, or can't be kept in mind */
};

/*
 * A transaction that changes content has come. `instance`: the export's count of instance ids now;
 * what began under an older one and has run is forgotten here. An id that is not above the watermark,
 * or further above it than a lag may be, is a false retry: so no id, however it was chosen, makes the
 * table forget another one.
 */
enum record_verdict record_begin(struct record_table *table, const struct wire_header *header,
				 uint64_t instance, uint16_t *status, uint32_t *length);

/* It has run. Nothing happens if the client was done with it in the meantime. */
void record_end(struct record_table *table, uint64_t id, uint16_t status, uint32_t length);

/* It was not run after all. */
void record_drop(struct record_table *table, uint64_t id);

/* The client is done with all ids up to the watermark. One that goes back is ignored. */
void record_forget(struct record_table *table, uint64_t watermark);

/* Those of `pending` that have run, under this instance. Nothing may be running. */
void record_executed(const struct record_table *table, const struct wire_pending *pending,
		     uint64_t instance, struct wire_executed *executed);

#endif
