/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * witness.c - what clients remember of their mirrors, each on a disk of its own machine. Replaces
 * dstfs/witness.h. A save writes a file aside, renames it and syncs the folder: in between the client
 * may die, and its machine may lose power.
 */
#include "test/sim/witness.h"

#include "common/loop.h"
#include "dstfs/witness.h"
#include "test/sim/heap.h"

#include <errno.h>
#include <string.h>

#define STEP_LATENCY (2 * MS)

/* The file of one mirror, on one machine. */
static struct file {
	bool renamed; /* `seen` isn't durable yet */
	struct mirror_witness seen, durable;
} files[HOSTS][NODES_MOST];

static unsigned fail_percent, kill_permille;
static void (*kill_fn)(void);

enum save_step { SAVE_WRITE, SAVE_RENAME, SAVE_SYNC };

struct store {
	struct mirror_witness_store base; /* first */
	struct file *file;
	struct mirror_witness saving;
	enum save_step step;
	struct sim_event event; /* the step is over */
	void (*done)(void *arg, int error);
	void *arg;
	struct loop *loop;
	struct loop_work work;
	bool posted, closed;
	int error;
};

static struct store *store_of(struct mirror_witness_store *base)
{
	return (struct store *)base;
}

static void on_saved(void *arg)
{
	struct store *store = arg;

	store->posted = false;
	if (store->closed)
		heap_free(store);
	else
		store->done(store->arg, store->error);
}

static void on_step(void *arg)
{
	struct store *store = arg;
	struct file *file = store->file;

	store->error = sim_chance(fail_percent) ? EIO : 0;
	if (store->error) {
		sim_count(COUNT_WITNESS_ERRORS);
		sim_trace("witness: saving fails");
	} else if (store->step == SAVE_RENAME) {
		file->seen = store->saving;
		file->renamed = true;
		if (sim_permille(kill_permille))
			kill_fn();
	} else if (store->step == SAVE_SYNC) {
		file->durable = file->seen;
		file->renamed = false;
		sim_count(COUNT_WITNESS_SAVES);
	}
	if (!store->error && store->step != SAVE_SYNC) {
		store->step++;
		sim_event_set(&store->event, sim_random(STEP_LATENCY));
		return;
	}
	store->posted = true;
	store->work = (struct loop_work){.callback = on_saved, .arg = store};
	loop_post(store->loop, &store->work);
}

static int load(struct mirror_witness_store *base, struct mirror_witness *witness)
{
	*witness = store_of(base)->file->seen;
	return 0;
}

static void save(struct mirror_witness_store *base, const struct mirror_witness *witness,
		 void (*done)(void *arg, int error), void *arg)
{
	struct store *store = store_of(base);

	store->saving = *witness;
	store->step = SAVE_WRITE;
	store->done = done;
	store->arg = arg;
	sim_event_set(&store->event, sim_random(STEP_LATENCY));
}

static void close_store(struct mirror_witness_store *base)
{
	struct store *store = store_of(base);

	store->closed = true;
	while (store->event.place) {
		sim_event_cancel(&store->event);
		on_step(store);
	}
	if (!store->posted)
		heap_free(store);
}

static const struct mirror_witness_ops store_ops = {
	.load = load,
	.save = save,
	.close = close_store,
};

/* The node's URI ends in its machine's letter and the export. */
struct mirror_witness_store *witness_open(const char *volume, const char *node, struct loop *loop)
{
	struct store *store = heap_calloc(1, sizeof(*store));

	store->base.ops = &store_ops;
	store->file = &files[sim.current->host][strrchr(node, '/')[-1] - 'a'];
	store->loop = loop;
	store->event = (struct sim_event){.run = on_step, .arg = store, .process = sim.current};
	return &store->base;
}

/* ---- for the others ---- */

void witness_lose(enum sim_host host)
{
	memset(files[host], 0, sizeof(files[host]));
}

void witness_power_cut(enum sim_host host)
{
	for (unsigned i = 0; i < NODES_MOST; i++) {
		struct file *file = &files[host][i];

		if (file->renamed && sim_chance(50)) {
			sim_count(COUNT_WITNESS_LOST);
			file->seen = file->durable;
		}
		file->durable = file->seen;
		file->renamed = false;
	}
}

void witness_set_failing(unsigned percent)
{
	fail_percent = percent;
}

void witness_set_killing(unsigned permille, void (*kill)(void))
{
	kill_permille = permille;
	kill_fn = kill;
}

void witness_reset(void)
{
	memset(files, 0, sizeof(files));
	fail_percent = kill_permille = 0;
}
