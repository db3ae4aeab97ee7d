/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c - see disk.h. Replaces backend_file.h.
 *
 * An operation takes effect at one time (a long one in two halves), somewhere between submit and its
 * completion, which is posted to its loop. What of it was begun when its process is killed is carried
 * out or not.
 *
 * A flush makes durable what was complete when it was submitted, and perhaps more. One that fails
 * forgets some of it: it isn't in the cache any more, or stays there but is never written, as a
 * kernel does with pages whose writing failed. What a reader can see changes only once the server
 * has heard of it.
 *
 * Watched here, since only here it shows for certain: two modifying operations that overlap are never
 * under way together (invariant 4), and no write is carried out twice in the life of a server's process
 * unless data was lost since (invariant 2). Once it is acknowledged its client may write it anew.
 */
#include "test/sim/disk.h"

#include "common/backend_file.h"
#include "common/checksum.h"
#include "test/sim/heap.h"
#include "test/sim/model.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPS 8192u
#define TAGS 1024u /* more than a schedule uses */

enum cell_state { CLEAN, DIRTY, DOOMED /* in the cache, and never written any more */ };

struct cell {
	uint8_t state; /* enum cell_state */
	bool hole, hole_on_medium;
	bool failing; /* DOOMED, and perhaps forgotten once the server has heard of it */
	uint64_t since; /* DIRTY: the step at which it became so */
};

struct disk_op {
	struct backend_op *op; /* NULL: free */
	struct backend *backend;
	uint64_t losses; /* that the backend had counted when it was submitted */
	bool modifies;
	unsigned first, count; /* cells; of COPY the destination */
	unsigned done; /* cells that took effect */
	uint64_t submitted; /* step */
	uint64_t finishes;
	bool loses; /* a flush or FUA that fails */
	bool over; /* took effect; its loop is to be told */
	int error;
	struct sim_event event;
};

struct disk {
	struct disk_config config;
	uint64_t step; /* counts effects */
	uint64_t losses, flush_errors, errors;
	uint64_t until[DISK_FAULTS]; /* simulated time */
	struct disk_op ops[OPS];
	unsigned ops_used; /* highest in use, plus one */
	struct cell cells[DISK_CELLS_MOST];
	uint8_t cache[DISK_CELLS_MOST * CELL], medium[DISK_CELLS_MOST * CELL];
	uint32_t seen[TAGS][DISK_CELLS_MOST]; /* in which life of the server it was carried out */
	uint32_t life;
};

static struct disk disk;

/* ---- the medium ---- */

static void to_medium(unsigned cell)
{
	memcpy(disk.medium + (size_t)cell * CELL, disk.cache + (size_t)cell * CELL, CELL);
	disk.cells[cell].state = CLEAN;
	disk.cells[cell].hole_on_medium = disk.cells[cell].hole;
}

static void forget(unsigned cell)
{
	memcpy(disk.cache + (size_t)cell * CELL, disk.medium + (size_t)cell * CELL, CELL);
	disk.cells[cell].state = CLEAN;
	disk.cells[cell].hole = disk.cells[cell].hole_on_medium;
	sim_count(COUNT_SECTORS_LOST);
}

static void changed(unsigned cell, bool durable)
{
	if (disk.cells[cell].state != DIRTY)
		disk.cells[cell].since = disk.step;
	disk.cells[cell].state = DIRTY;
	disk.cells[cell].failing = false;
	if (durable || sim_chance(disk.config.writeback_percent))
		to_medium(cell);
}

/* ---- effects ---- */

static bool failing(enum disk_fault fault)
{
	return disk.until[fault] > sim.now && sim_chance(60);
}

/* An error that the operation will have, from what is wrong with the disk now. */
static int fate(struct disk_op *d)
{
	const struct backend_op *op = d->op;

	if (op->type == BACKEND_FLUSH || op->fua) {
		if (failing(DISK_FAIL_FLUSHES)) {
			sim_count(COUNT_DISK_FLUSH_ERRORS);
			d->loses = true;
			return EIO;
		}
		if (op->type == BACKEND_FLUSH)
			return 0;
	}
	if (d->modifies && failing(DISK_FAIL_WRITES)) {
		sim_count(COUNT_DISK_WRITE_ERRORS);
		return EIO;
	}
	if (d->modifies && op->type != BACKEND_DISCARD && failing(DISK_FULL)) {
		sim_count(COUNT_DISK_FULL);
		return ENOSPC;
	}
	if (!d->modifies && op->type != BACKEND_EXTENTS && failing(DISK_FAIL_READS)) {
		sim_count(COUNT_DISK_READ_ERRORS);
		return EIO;
	}
	return 0;
}

static void modify(struct disk_op *d, unsigned i)
{
	const struct backend_op *op = d->op;
	unsigned cell = d->first + i;
	uint8_t *at = disk.cache + (size_t)cell * CELL;

	if (d->error && sim_chance(50))
		return;
	switch (op->type) {
	case BACKEND_WRITE:
		memcpy(at, (const uint8_t *)op->data + (size_t)i * CELL, CELL);
		disk.cells[cell].hole = false;
		break;
	case BACKEND_DISCARD:
		if (sim_chance(50))
			return;
		/* fall through */
	case BACKEND_WRITE_ZEROES:
		memset(at, 0, CELL);
		disk.cells[cell].hole = !op->no_hole;
		break;
	case BACKEND_COPY:
		memcpy(at, disk.cache + op->copy_from + (size_t)i * CELL, CELL);
		disk.cells[cell].hole = false;
		break;
	default:
		return;
	}
	changed(cell, op->fua && !d->error);
}

static void flush(struct disk_op *d)
{
	for (unsigned cell = 0; cell < disk.config.cells; cell++) {
		struct cell *c = &disk.cells[cell];

		if (c->state != DIRTY)
			continue;
		if (d->error && sim_chance(50)) {
			c->state = DOOMED;
			c->failing = true;
		} else if (d->error) {
			continue;
		} else if (c->since <= d->submitted || sim_chance(50)) {
			to_medium(cell);
		}
	}
}

static void extents(struct backend_op *op)
{
	unsigned cell = (unsigned)(op->range.offset / CELL), n = 0;
	unsigned end = cell + (unsigned)(op->range.length / CELL);

	for (; cell < end && n < DST_MAX_EXTENTS; cell++) {
		uint32_t kind = disk.cells[cell].hole ? DST_EXTENT_HOLE : DST_EXTENT_DATA;

		if (n && op->extents[n - 1].kind == kind)
			op->extents[n - 1].length += CELL;
		else
			op->extents[n++] = (struct wire_extent){.length = CELL, .kind = kind};
	}
	op->extent_count = n;
}

static void hash(struct backend_op *op)
{
	struct checksum_range *sum = checksum_range_new(op->hash_seed);

	assert(sum);
	checksum_range_add(sum, disk.cache + op->range.offset, op->range.length);
	checksum_range_end(&sum, op->hash);
}

/* A flush, or something with FUA, fails: what was not durable may be lost. */
static void fail_flush(struct disk_op *d)
{
	d->backend->info.losses++;
	disk.losses++;
	disk.life++;
	disk.flush_errors++;
	flush(d);
	model_lost();
}

/* Cells [d->done, end) of the operation take effect. */
static void take_effect(struct disk_op *d, unsigned end)
{
	struct backend_op *op = d->op;

	disk.step++;
	switch (op->type) {
	case BACKEND_READ:
		if (!d->error)
			memcpy((uint8_t *)op->data + (size_t)d->done * CELL,
			       disk.cache + (size_t)(d->first + d->done) * CELL,
			       (size_t)(end - d->done) * CELL);
		break;
	case BACKEND_FLUSH:
		if (d->loses)
			fail_flush(d);
		else if (d->backend->info.losses != d->losses)
			d->error = EIO; /* another has failed meanwhile: for this one, too */
		else
			flush(d);
		break;
	case BACKEND_EXTENTS:
		extents(op);
		break;
	case BACKEND_HASH:
		hash(op);
		break;
	default:
		for (unsigned i = d->done; i < end; i++)
			modify(d, i);
		if (d->loses && end == d->count)
			fail_flush(d);
	}
	d->done = end;
}

/* What a failed flush has lost is seen to be gone. */
static void lose(void)
{
	for (unsigned cell = 0; cell < disk.config.cells; cell++) {
		struct cell *c = &disk.cells[cell];

		if (c->failing && sim_chance(50))
			forget(cell);
		c->failing = false;
	}
	sim_trace("disk: a failed flush has lost data");
	model_lost();
}

/* ---- operations ---- */

static void watch(const struct disk_op *d)
{
	const struct backend_op *op = d->op;

	if (!d->modifies || disk.config.shared)
		return;
	for (unsigned i = 0; i < disk.ops_used; i++) {
		const struct disk_op *other = &disk.ops[i];

		if (other->op && other != d && other->modifies &&
		    range_overlaps(other->op->range, op->range))
			sim_fail("invariant 4: modifying operations at %llu+%llu and %llu+%llu are "
				 "at the disk together",
				 (unsigned long long)op->range.offset / CELL,
				 (unsigned long long)op->range.length / CELL,
				 (unsigned long long)other->op->range.offset / CELL,
				 (unsigned long long)other->op->range.length / CELL);
	}
	if (disk.config.once && op->type == BACKEND_WRITE) {
		uint64_t tag = model_tag(op->data);
		uint32_t *seen = &disk.seen[tag % TAGS][d->first];

		/* By its first cell: a write that is done anew may come in pieces. */
		if (tag && *seen == disk.life && !model_acknowledged(op->data, d->first))
			sim_fail("invariant 2: write %llu is carried out twice",
				 (unsigned long long)tag);
		*seen = disk.life;
	}
}

static struct disk_op *begin(struct backend *backend, struct backend_op *op)
{
	struct disk_op *d = disk.ops;

	while (d->op)
		d++;
	assert(d < disk.ops + OPS);
	if (d == disk.ops + disk.ops_used)
		disk.ops_used++;
	*d = (struct disk_op){
		.op = op,
		.backend = backend,
		.losses = backend->info.losses,
		.modifies = op->type == BACKEND_WRITE || op->type == BACKEND_DISCARD ||
			    op->type == BACKEND_WRITE_ZEROES || op->type == BACKEND_COPY,
		.first = (unsigned)(op->range.offset / CELL),
		.count = (unsigned)(op->range.length / CELL),
		.submitted = disk.step,
	};
	assert(!(op->range.offset % CELL) && !(op->range.length % CELL));
	assert(d->first + d->count <= disk.config.cells);
	if (op->type == BACKEND_COPY && d->count > 1 && sim_chance(20))
		d->count = 1 + (unsigned)sim_random(d->count); /* copies less */
	op->result = (uint64_t)d->count * CELL;
	return d;
}

static void finish(struct disk_op *d)
{
	struct backend_op *op = d->op;
	bool loses = d->loses;
	int error = d->error;

	d->op = NULL;
	if (error)
		disk.errors++;
	op->done(op, error);
	if (loses)
		lose();
}

static void posted(void *arg)
{
	finish(arg);
}

static void work(void *arg)
{
	struct disk_op *d = arg;
	struct backend_op *op = d->op;

	if (d->over) {
		op->work = (struct loop_work){.callback = posted, .arg = d};
		loop_post(op->loop, &op->work);
		return;
	}
	if (!d->error)
		d->error = fate(d);
	if (d->count > 1 && d->done == 0 && op->type != BACKEND_EXTENTS &&
	    op->type != BACKEND_HASH && op->type != BACKEND_FLUSH && sim_chance(30)) {
		take_effect(d, 1 + (unsigned)sim_random(d->count - 1));
		sim_event_set(&d->event, sim_random(disk.config.latency + 1));
		return;
	}
	take_effect(d, d->count);
	d->over = true; /* the thread that waited for it may take a while to say so */
	sim_event_set(&d->event, sim_chance(80) ? 0 : sim_random(disk.config.latency + 1));
}

static void disk_submit(struct backend *backend, struct backend_op *op)
{
	struct disk_op *d = begin(backend, op);
	uint64_t latency = disk.config.latency;
	bool slow = disk.until[DISK_SLOW] > sim.now;

	watch(d);
	if (!slow && sim_chance(disk.config.inline_percent)) {
		d->error = fate(d);
		take_effect(d, d->count);
		finish(d);
		return;
	}
	if (slow)
		latency += SEC;
	d->event = (struct sim_event){.run = work, .arg = d};
	sim_event_set(&d->event, sim_random(latency + 1));
}

void disk_process_gone(void)
{
	for (unsigned i = 0; i < disk.ops_used; i++) {
		struct disk_op *d = &disk.ops[i];

		if (!d->op)
			continue;
		if (d->event.place && !d->over && sim_chance(50))
			take_effect(d, d->count);
		sim_event_cancel(&d->event);
		d->op = NULL;
		if (d->loses) /* nobody has heard of it; the next instance id tells */
			lose();
	}
	disk.ops_used = 0;
	disk.life++;
}

void disk_power_cut(void)
{
	disk.losses++;
	for (unsigned cell = 0; cell < disk.config.cells; cell += disk.config.sector) {
		bool lost = sim_chance(60);

		for (unsigned i = cell; i < cell + disk.config.sector; i++) {
			if (disk.cells[i].state == DOOMED || (disk.cells[i].state == DIRTY && lost))
				forget(i);
			else if (disk.cells[i].state == DIRTY)
				to_medium(i);
			disk.cells[i].failing = false;
		}
	}
	model_lost();
}

/* ---- backend.h ---- */

static bool disk_refresh(struct backend *backend)
{
	uint64_t size = (uint64_t)disk.config.cells * CELL;
	bool grown = backend->info.size != size;

	backend->info.size = size;
	return grown;
}

static void disk_stats(struct backend *backend, struct backend_stats *stats)
{
	*stats = (struct backend_stats){0};
}

static void disk_close(struct backend *backend)
{
	heap_free(backend);
}

static const struct backend_ops disk_ops = {
	.submit = disk_submit,
	.refresh = disk_refresh,
	.stats = disk_stats,
	.close = disk_close,
};

struct backend *backend_file_open(const struct backend_file_options *options, char *reason,
				  size_t reason_size)
{
	struct backend *backend = heap_calloc(1, sizeof(*backend));

	backend->ops = &disk_ops;
	backend->info.size = (uint64_t)disk.config.cells * CELL;
	backend->info.block_min = CELL;
	backend->info.block_preferred = 4096;
	backend->info.features = DST_CAN_DISCARD | DST_CAN_UNMAP | DST_CAN_EXTENTS | DST_CAN_COPY;
	backend->info.read_only = options->read_only;
	return backend;
}

/* ---- for the others ---- */

void disk_fault(enum disk_fault fault, uint64_t duration)
{
	disk.until[fault] = sim.now + duration;
	if (fault == DISK_SLOW)
		sim_count(COUNT_DISK_SLOW);
}

void disk_heal(void)
{
	memset(disk.until, 0, sizeof(disk.until));
}

const uint8_t *disk_cell(unsigned cell)
{
	return disk.cache + (size_t)cell * CELL;
}

const uint8_t *disk_medium(unsigned cell)
{
	return disk.medium + (size_t)cell * CELL;
}

bool disk_grow(unsigned cells)
{
	unsigned first = disk.config.cells;

	if (cells > DISK_CELLS_MOST - first)
		return false;
	disk.config.cells += cells;
	for (unsigned i = first; i < disk.config.cells; i++)
		disk.cells[i] = (struct cell){.hole = true, .hole_on_medium = true};
	memset(disk.cache + (size_t)first * CELL, 0, (size_t)cells * CELL);
	memset(disk.medium + (size_t)first * CELL, 0, (size_t)cells * CELL);
	return true;
}

bool disk_is_slow(void)
{
	return disk.until[DISK_SLOW] > sim.now;
}

uint64_t disk_losses(void)
{
	return disk.losses;
}

uint64_t disk_flush_errors(void)
{
	return disk.flush_errors;
}

uint64_t disk_errors(void)
{
	return disk.errors;
}

void disk_reset(const struct disk_config *config)
{
	size_t size = (size_t)config->cells * CELL;

	disk.config = *config;
	disk.step = disk.losses = disk.flush_errors = disk.errors = 0;
	disk.life++;
	memset(disk.until, 0, sizeof(disk.until));
	for (unsigned i = 0; i < disk.ops_used; i++)
		disk.ops[i].op = NULL;
	disk.ops_used = 0;
	for (unsigned i = 0; i < config->cells; i++)
		disk.cells[i] = (struct cell){.hole = true, .hole_on_medium = true};
	memset(disk.cache, 0, size);
	memset(disk.medium, 0, size);
}
