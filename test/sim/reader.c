/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reader.c - see reader.h */
#include "test/sim/reader.h"

#include "test/sim/disk.h"
#include "test/sim/model.h"

#include <errno.h>

#define PAUSE (20 * MS) /* between its operations, at most */
#define CELLS_MOST 8u
#define CRASH_PERMILLE 20u /* of its operations: it is started anew */

static struct sim_client_config config;
static unsigned cells;
static struct sim_op op; /* one at a time */
static struct sim_event next;

static void on_done(struct sim_op *o, int error, const uint8_t *data, uint64_t length)
{
	unsigned first = (unsigned)(o->offset / CELL);

	if (o->type == SIM_WRITE && !error)
		sim_fail("a client that only reads has written");
	for (unsigned i = 0; o->type == SIM_READ && !error && i < length / CELL; i++)
		if (!model_was_written(data + (size_t)i * CELL))
			sim_fail("a reader sees in cell %u what nobody wrote", first + i);
	if (!error)
		sim_count(COUNT_READER_READS);
	sim_event_set(&next, sim_random(PAUSE + 1));
}

static void fill(struct sim_op *o, uint8_t *data)
{
}

static void on_next(void *arg)
{
	unsigned count = 1 + (unsigned)sim_random(CELLS_MOST);

	if (sim_permille(CRASH_PERMILLE)) {
		sim_client_crash(HOST_READER);
		sim_client_start(HOST_READER, &config);
	}
	if (!sim_client_size(HOST_READER)) {
		sim_event_set(&next, 50 * MS); /* it isn't there yet */
		return;
	}
	op = (struct sim_op){
		.type = sim_chance(5) ? SIM_WRITE : SIM_READ,
		.offset = sim_random(cells - count + 1) * CELL,
		.length = (uint64_t)count * CELL,
		.worker = (unsigned)sim_random(8),
		.done = on_done,
		.fill = fill,
	};
	sim_client_submit(HOST_READER, &op);
}

void reader_begin(void)
{
	sim_client_start(HOST_READER, &config);
	sim_event_set(&next, sim_random(SEC));
}

void reader_end(void)
{
	sim_event_cancel(&next);
	if (sim_client_running(HOST_READER))
		sim_client_crash(HOST_READER);
}

void reader_reset(const struct sim_client_config *c, unsigned n)
{
	config = *c;
	config.read_only = true;
	config.takeover = false;
	cells = n;
	next = (struct sim_event){.run = on_next};
}
