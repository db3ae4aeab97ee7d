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
 * has heard of it. Below a mirror it never stays: one that compares what is read can't find it.
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
#include "test/sim/shape.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPS 8192u
#define BUSY (20 * MS) /* what a failed flush starts comes late, on some threads */
#define TAGS 1024u /* more than a schedule uses */

enum cell_state { CLEAN, DIRTY, DOOMED /* in the cache, and never written any more */ };

struct cell {
	uint8_t state; /* enum cell_state */
	bool used; /* since the reset: its bytes may be other than 0 */
	bool hole, hole_on_medium;
	bool failing; /* DOOMED, and perhaps forgotten once the server has heard of it */
	uint64_t since; /* DIRTY: the step at which it became so */
};

struct disk;

struct disk_op {
	struct disk *disk;
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
	unsigned size; /* cells */
	uint64_t step; /* counts effects */
	uint64_t flush_errors;
	uint64_t until[DISK_FAULTS]; /* simulated time */
	struct disk_op ops[OPS];
	unsigned ops_used; /* highest in use, plus one */
	struct cell cells[DISK_CELLS_MOST];
	uint8_t cache[DISK_CELLS_MOST * CELL], medium[DISK_CELLS_MOST * CELL];
	uint32_t seen[TAGS][DISK_CELLS_MOST]; /* in which life of the server it was carried out */
	uint32_t life;
};

static struct disk_config config;
static struct disk disks[NODES_MOST];
static unsigned trouble_permille;
static void (*trouble)(unsigned node);

/* What a server opens. */
struct disk_backend {
	struct backend base; /* first */
	struct disk *disk;
};

static struct disk *disk_of(struct backend *backend)
{
	return ((struct disk_backend *)backend)->disk;
}

/* ---- the medium ---- */

static void to_medium(struct disk *disk, unsigned cell)
{
	memcpy(disk->medium + (size_t)cell * CELL, disk->cache + (size_t)cell * CELL, CELL);
	disk->cells[cell].state = CLEAN;
	disk->cells[cell].hole_on_medium = disk->cells[cell].hole;
}

static void forget(struct disk *disk, unsigned cell)
{
	memcpy(disk->cache + (size_t)cell * CELL, disk->medium + (size_t)cell * CELL, CELL);
	disk->cells[cell].state = CLEAN;
	disk->cells[cell].hole = disk->cells[cell].hole_on_medium;
	sim_count(COUNT_SECTORS_LOST);
}

static void changed(struct disk *disk, unsigned cell, bool durable)
{
	disk->cells[cell].used = true;
	if (disk->cells[cell].state != DIRTY)
		disk->cells[cell].since = disk->step;
	disk->cells[cell].state = DIRTY;
	disk->cells[cell].failing = false;
	if (durable || sim_chance(config.writeback_percent))
		to_medium(disk, cell);
}

/* ---- effects ---- */

static bool failing(const struct disk *disk, enum disk_fault fault)
{
	return disk->until[fault] > sim.now && sim_chance(60);
}

/* An error that the operation will have, from what is wrong with the disk now. */
static int fate(struct disk_op *d)
{
	const struct backend_op *op = d->op;

	if (op->type == BACKEND_FLUSH || op->fua) {
		if (failing(d->disk, DISK_FAIL_FLUSHES)) {
			sim_count(COUNT_DISK_FLUSH_ERRORS);
			d->loses = true;
			return EIO;
		}
		if (op->type == BACKEND_FLUSH)
			return 0;
	}
	if (d->modifies && failing(d->disk, DISK_FAIL_WRITES)) {
		sim_count(COUNT_DISK_WRITE_ERRORS);
		return EIO;
	}
	if (d->modifies && op->type != BACKEND_DISCARD && failing(d->disk, DISK_FULL)) {
		sim_count(COUNT_DISK_FULL);
		return ENOSPC;
	}
	if (!d->modifies && op->type != BACKEND_EXTENTS && failing(d->disk, DISK_FAIL_READS)) {
		sim_count(COUNT_DISK_READ_ERRORS);
		return EIO;
	}
	return 0;
}

static void modify(struct disk_op *d, unsigned i)
{
	const struct backend_op *op = d->op;
	struct disk *disk = d->disk;
	unsigned cell = d->first + i;
	uint8_t *at = disk->cache + (size_t)cell * CELL;

	if (d->error && sim_chance(50))
		return;
	switch (op->type) {
	case BACKEND_WRITE:
		memcpy(at, (const uint8_t *)op->data + (size_t)i * CELL, CELL);
		disk->cells[cell].hole = false;
		break;
	case BACKEND_DISCARD:
		if (sim_chance(50))
			return;
		/* fall through */
	case BACKEND_WRITE_ZEROES:
		memset(at, 0, CELL);
		disk->cells[cell].hole = !op->no_hole;
		break;
	case BACKEND_COPY:
		memcpy(at, disk->cache + op->copy_from + (size_t)i * CELL, CELL);
		disk->cells[cell].hole = false;
		break;
	default:
		return;
	}
	changed(disk, cell, op->fua && !d->error);
}

static void flush(struct disk_op *d)
{
	struct disk *disk = d->disk;

	for (unsigned cell = 0; cell < disk->size; cell++) {
		struct cell *c = &disk->cells[cell];

		if (c->state != DIRTY)
			continue;
		if (d->error && sim_chance(50)) {
			c->state = DOOMED;
			c->failing = true;
		} else if (d->error) {
			continue;
		} else if (c->since <= d->submitted || sim_chance(50)) {
			to_medium(disk, cell);
		}
	}
}

static void extents(const struct disk *disk, struct backend_op *op)
{
	unsigned cell = (unsigned)(op->range.offset / CELL), n = 0;
	unsigned end = cell + (unsigned)(op->range.length / CELL);

	for (; cell < end && n < DST_MAX_EXTENTS; cell++) {
		uint32_t kind = disk->cells[cell].hole ? DST_EXTENT_HOLE : DST_EXTENT_DATA;

		if (n && op->extents[n - 1].kind == kind)
			op->extents[n - 1].length += CELL;
		else
			op->extents[n++] = (struct wire_extent){.length = CELL, .kind = kind};
	}
	op->extent_count = n;
}

static void hash(const struct disk *disk, struct backend_op *op)
{
	struct checksum_range *sum = checksum_range_new(op->hash_seed);

	assert(sum);
	checksum_range_add(sum, disk->cache + op->range.offset, op->range.length);
	checksum_range_end(&sum, op->hash);
}

/* A flush, or something with FUA, fails: what was not durable may be lost. */
static void fail_flush(struct disk_op *d)
{
	d->backend->info.losses++;
	d->disk->life++;
	d->disk->flush_errors++;
	flush(d);
	sim.processes[HOST_SERVER + (d->disk - disks)].busy_until = sim.now + BUSY;
	model_lost();
}

/* Cells [d->done, end) of the operation take effect. */
static void take_effect(struct disk_op *d, unsigned end)
{
	struct backend_op *op = d->op;
	struct disk *disk = d->disk;

	disk->step++;
	switch (op->type) {
	case BACKEND_READ:
		if (!d->error)
			memcpy((uint8_t *)op->data + (size_t)d->done * CELL,
			       disk->cache + (size_t)(d->first + d->done) * CELL,
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
		extents(d->disk, op);
		break;
	case BACKEND_HASH:
		hash(d->disk, op);
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
static void lose(struct disk *disk)
{
	for (unsigned cell = 0; cell < disk->size; cell++) {
		struct cell *c = &disk->cells[cell];

		if (c->failing && (config.forgets || sim_chance(50)))
			forget(disk, cell);
		c->failing = false;
	}
	sim_trace("disk: a failed flush has lost data");
	model_lost();
}

/* ---- operations ---- */

static void watch(const struct disk_op *d)
{
	const struct backend_op *op = d->op;
	struct disk *disk = d->disk;

	if (!d->modifies || config.shared)
		return;
	for (unsigned i = 0; i < disk->ops_used; i++) {
		const struct disk_op *other = &disk->ops[i];

		if (other->op && other != d && other->modifies &&
		    range_overlaps(other->op->range, op->range))
			sim_fail("invariant 4: modifying operations at %llu+%llu and %llu+%llu are "
				 "at disk %c together",
				 (unsigned long long)op->range.offset / CELL,
				 (unsigned long long)op->range.length / CELL,
				 (unsigned long long)other->op->range.offset / CELL,
				 (unsigned long long)other->op->range.length / CELL,
				 'a' + (int)(disk - disks));
	}
	if (config.once && op->type == BACKEND_WRITE) {
		uint64_t tag = model_tag(op->data);
		uint32_t *seen = &disk->seen[tag % TAGS][d->first];

		/* By its first cell: a write that is done anew may come in pieces. */
		if (tag && *seen == disk->life && !model_acknowledged(op->data, d->first))
			sim_fail("invariant 2: write %llu is carried out twice",
				 (unsigned long long)tag);
		*seen = disk->life;
	}
}

static struct disk_op *begin(struct backend *backend, struct backend_op *op)
{
	struct disk *disk = disk_of(backend);
	struct disk_op *d = disk->ops;

	while (d->op)
		d++;
	assert(d < disk->ops + OPS);
	if (d == disk->ops + disk->ops_used)
		disk->ops_used++;
	*d = (struct disk_op){
		.disk = disk,
		.op = op,
		.backend = backend,
		.losses = backend->info.losses,
		.modifies = op->type == BACKEND_WRITE || op->type == BACKEND_DISCARD ||
			    op->type == BACKEND_WRITE_ZEROES || op->type == BACKEND_COPY,
		.first = (unsigned)(op->range.offset / CELL),
		.count = (unsigned)(op->range.length / CELL),
		.submitted = disk->step,
	};
	assert(!(op->range.offset % CELL) && !(op->range.length % CELL));
	assert(d->first + d->count <= disk->size);
	if (op->type == BACKEND_COPY && d->count > 1 && sim_chance(20))
		d->count = 1 + (unsigned)sim_random(d->count); /* copies less */
	op->result = (uint64_t)d->count * CELL;
	return d;
}

static void finish(struct disk_op *d)
{
	struct backend_op *op = d->op;
	bool loses = d->loses;

	d->op = NULL;
	op->done(op, d->error);
	if (loses)
		lose(d->disk);
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
		sim_event_set(&d->event, sim_random(config.latency + 1));
		return;
	}
	take_effect(d, d->count);
	d->over = true; /* the thread that waited for it may take a while to say so */
	sim_event_set(&d->event, sim_chance(80) ? 0 : sim_random(config.latency + 1));
}

static void disk_submit(struct backend *backend, struct backend_op *op)
{
	struct disk_op *d = begin(backend, op);
	uint64_t latency = config.latency;
	bool slow = d->disk->until[DISK_SLOW] > sim.now;

	watch(d);
	if (d->modifies && trouble && sim_permille(trouble_permille) &&
	    shape_is_metadata((unsigned)(d->disk - disks), d->first))
		trouble((unsigned)(d->disk - disks));
	if (!slow && sim_chance(config.inline_percent)) {
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

void disk_process_gone(unsigned node)
{
	struct disk *disk = &disks[node];

	for (unsigned i = 0; i < disk->ops_used; i++) {
		struct disk_op *d = &disk->ops[i];

		if (!d->op)
			continue;
		if (d->event.place && !d->over && sim_chance(50))
			take_effect(d, d->count);
		sim_event_cancel(&d->event);
		d->op = NULL;
		if (d->loses) /* nobody has heard of it; the next instance id tells */
			lose(disk);
	}
	disk->ops_used = 0;
	disk->life++;
}

void disk_power_cut(unsigned node)
{
	struct disk *disk = &disks[node];

	for (unsigned cell = 0; cell < disk->size; cell += config.sector) {
		bool lost = sim_chance(60);

		for (unsigned i = cell; i < cell + config.sector; i++) {
			if (disk->cells[i].state == DOOMED ||
			    (disk->cells[i].state == DIRTY && lost))
				forget(disk, i);
			else if (disk->cells[i].state == DIRTY)
				to_medium(disk, i);
			disk->cells[i].failing = false;
		}
	}
	model_lost();
}

/* ---- backend.h ---- */

static bool disk_refresh(struct backend *backend)
{
	uint64_t size = (uint64_t)disk_of(backend)->size * CELL;
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
	struct disk_backend *opened = heap_calloc(1, sizeof(*opened));
	struct backend *backend = &opened->base;

	opened->disk = &disks[sim.current->host - HOST_SERVER];
	backend->ops = &disk_ops;
	backend->info.size = (uint64_t)opened->disk->size * CELL;
	backend->info.block_min = CELL;
	backend->info.block_preferred = 4096;
	backend->info.features = DST_CAN_DISCARD | DST_CAN_UNMAP | DST_CAN_EXTENTS | DST_CAN_COPY;
	backend->info.read_only = options->read_only;
	return backend;
}

/* ---- for the others ---- */

void disk_fault(unsigned node, enum disk_fault fault, uint64_t duration)
{
	disks[node].until[fault] = sim.now + duration;
	if (fault == DISK_SLOW)
		sim_count(COUNT_DISK_SLOW);
}

void disk_heal(void)
{
	for (unsigned i = 0; i < NODES_MOST; i++)
		memset(disks[i].until, 0, sizeof(disks[i].until));
}

void disk_set_trouble(unsigned permille, void (*happen)(unsigned node))
{
	trouble_permille = permille;
	trouble = happen;
}

const uint8_t *disk_medium(unsigned node, unsigned cell)
{
	return disks[node].medium + (size_t)cell * CELL;
}

void disk_put(unsigned node, unsigned cell, const uint8_t *data, size_t bytes)
{
	struct disk *disk = &disks[node];

	assert(!(bytes % CELL) && cell + bytes / CELL <= disk->size);
	memcpy(disk->cache + (size_t)cell * CELL, data, bytes);
	for (; bytes; bytes -= CELL, cell++) {
		disk->cells[cell].used = true;
		disk->cells[cell].hole = false;
		to_medium(disk, cell);
	}
}

static void add_cells(struct disk *disk, unsigned cells)
{
	for (; cells; cells--, disk->size++) {
		struct cell *c = &disk->cells[disk->size];

		if (c->used) {
			memset(disk->cache + (size_t)disk->size * CELL, 0, CELL);
			memset(disk->medium + (size_t)disk->size * CELL, 0, CELL);
		}
		*c = (struct cell){.hole = true, .hole_on_medium = true};
	}
}

bool disk_grow(unsigned node, unsigned cells)
{
	if (cells > DISK_CELLS_MOST - disks[node].size)
		return false;
	add_cells(&disks[node], cells);
	return true;
}

bool disk_is_slow(enum sim_host host)
{
	return host < HOST_SERVER + NODES_MOST &&
	       disks[host - HOST_SERVER].until[DISK_SLOW] > sim.now;
}

uint64_t disk_flush_errors(void)
{
	uint64_t errors = 0;

	for (unsigned i = 0; i < NODES_MOST; i++)
		errors += disks[i].flush_errors;
	return errors;
}

void disk_reset(const struct disk_config *c, unsigned nodes, const unsigned *cells)
{
	config = *c;
	trouble = NULL;
	for (unsigned i = 0; i < NODES_MOST; i++) {
		struct disk *disk = &disks[i];

		disk->step = disk->flush_errors = 0;
		disk->life++;
		memset(disk->until, 0, sizeof(disk->until));
		for (unsigned j = 0; j < disk->ops_used; j++)
			disk->ops[j].op = NULL;
		disk->ops_used = 0;
		disk->size = 0;
		if (i < nodes)
			add_cells(disk, cells[i]);
	}
}
