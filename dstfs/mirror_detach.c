/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_detach.c - the clean end, see mirror_impl.h: copying stops, then comes a flush of all nodes that
 * are written to, then empty maps, then superblocks that say so. Who fails meanwhile is found not to be
 * clean at the next start, and all is compared that was marked.
 */
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"

#include <errno.h>

static void tell(struct mirror *mirror)
{
	struct mirror_ending *e = &mirror->work->ending;

	if (!mirror->ending)
		e->done(e->arg);
}

static void end(struct mirror *mirror, const char *why_not)
{
	if (why_not)
		log_warn("volume %s: the mirror ends without being clean (%s): what is marked is "
			 "compared at the next start",
			 mirror->volume, why_not);
	else
		log_info("volume %s: the mirror is detached, and clean", mirror->volume);
	mirror_set_phase(mirror, MIRROR_DETACHED);
	mirror_changes_cancel(mirror);
	mirror_wake_ports(mirror);
	mirror_home_done(mirror);
	tell(mirror);
}

static void on_supers_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	end(mirror, failed ? "a superblock could not be written" : NULL);
}

static void write_supers(struct mirror *mirror)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_supers_written, mirror);
	struct mirror_super super = mirror->super;
	int error = batch ? 0 : ENOMEM;

	super.clean = true;
	for (mirror_mask rest = mirror->read_set; rest && !error; rest &= rest - 1)
		error = mirror_super_write(batch, &mirror->nodes[__builtin_ctz(rest)], &super);
	if (!error) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	end(mirror, "out of memory");
}

static void on_maps_written(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (failed)
		end(mirror, "a map could not be written");
	else
		write_supers(mirror);
}

static void write_maps(struct mirror *mirror)
{
	struct mirror_batch *batch = mirror_batch_new(mirror, on_maps_written, mirror);
	int error = batch ? 0 : ENOMEM;

	mirror_bits_fill(&mirror->marked, false);
	if (!error)
		error = mirror_map_write(batch, mirror, mirror->read_set, 0, &mirror->marked);
	for (unsigned slots = mirror_incomplete_slots(mirror); slots && !error;
	     slots &= slots - 1) {
		unsigned slot = (unsigned)__builtin_ctz(slots);

		mirror_clear_copied(mirror, slot);
		error = mirror_map_write(batch, mirror, mirror->read_set, 1 + slot,
					 &mirror->missed[slot].bits);
	}
	if (!error) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	end(mirror, "out of memory");
}

static void on_flushed(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (failed)
		end(mirror, "a node could not be flushed");
	else
		write_maps(mirror);
}

void mirror_detach_begin(struct mirror *mirror)
{
	struct mirror_batch *batch;

	mirror->work->ending.due = false;
	mirror->busy = true;
	if (mirror->phase != MIRROR_RUNNING || mirror->read_only) {
		mirror_set_phase(mirror, MIRROR_DETACHED); /* nothing was written */
		mirror_home_done(mirror);
		tell(mirror);
		return;
	}
	if (mirror->unrecorded || mirror->no_quorum) {
		end(mirror, "writing had stopped");
		return;
	}
	if (mirror->failed & mirror->write_set) {
		end(mirror, "a node has failed");
		return;
	}
	if (mirror_bits_next(&mirror->suspect, 0) < mirror->regions) {
		end(mirror, "nodes may differ where writes were cut short");
		return;
	}
	batch = mirror_batch_new(mirror, on_flushed, mirror);
	if (batch && !mirror_batch_flush(batch, mirror->write_set)) {
		mirror_batch_run(batch);
		return;
	}
	mirror_batch_free(&batch);
	end(mirror, "out of memory");
}

static void on_copying_stopped(void *arg)
{
	struct mirror *mirror = arg;

	mirror->work->ending.due = true;
	mirror_home_poke(mirror);
}

void mirror_detach(struct mirror *mirror, void (*done)(void *arg), void *arg)
{
	mirror_resize_stop(mirror);
	mirror->work->ending = (struct mirror_ending){.done = done, .arg = arg};
	mirror_copy_stop(mirror, on_copying_stopped, mirror);
}
