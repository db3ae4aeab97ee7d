/* SPDX-License-Identifier: GPL-2.0-or-later */
/* last_flush.c - see last_flush.h. A volume is flushed, then detached from what lies below it. */
#include "dstfs/last_flush.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct flush {
	struct volume_io io;
	struct last_flush *all;
	bool done;
};

static void on_detached(void *arg)
{
	struct last_flush *all = arg;

	if (!--all->under_way && all->waiting)
		loop_stop(all->loop);
}

static void detach(struct last_flush *all, struct volume *volume)
{
	struct target *target = volume_target(volume);

	if (target->ops->detach && !volume_inflight(volume))
		target->ops->detach(target, on_detached, all);
	else
		on_detached(all);
}

static void on_flushed(struct volume_io *io, int error)
{
	struct flush *flush = (struct flush *)io; /* io is the first member */

	flush->done = true;
	if (error)
		log_error("volume %s: the last flush failed: %s", volume_name(io->volume),
			  strerror(error));
	if (!flush->all->over)
		detach(flush->all, io->volume);
}

static void on_timeout(void *arg)
{
	struct last_flush *all = arg;

	loop_stop(all->loop);
}

/* Tells what may be lost. Returns its bytes. */
static uint64_t report(struct mount *mount)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < mount->volume_count; i++) {
		struct volume *volume = mount->volumes[i]->volume;
		uint64_t bytes = volume_undurable(volume);

		if (bytes)
			log_error(
				"volume %s: %llu acknowledged bytes may not be durable: they were "
				"written and never flushed",
				volume_name(volume), (unsigned long long)bytes);
		sum += bytes;
	}
	return sum;
}

/* All workers run: a server that was restarted meanwhile is flushed only after what it lost was written
 * anew, which takes every lane. */
static void run(struct last_flush *all, struct mount *mount)
{
	for (unsigned i = 1; i < mount->worker_count; i++)
		worker_start(&mount->workers[i]); /* if that fails: it may still do without */
	all->waiting = true;
	loop_run(all->loop);
	all->waiting = false;
	for (unsigned i = 1; i < mount->worker_count; i++)
		worker_join(&mount->workers[i]);
}

uint64_t last_flush(struct last_flush *all, struct mount *mount, uint64_t patience)
{
	struct flush *flushes = calloc(mount->volume_count + 1, sizeof(*flushes));
	struct loop_timer timer;

	*all = (struct last_flush){.loop = mount->workers[0].loop};
	if (!flushes || loop_timer_init(&timer, all->loop, on_timeout, all)) {
		free(flushes);
		return report(mount);
	}
	for (unsigned i = 0; i < mount->volume_count; i++) {
		struct flush *flush = &flushes[i];

		all->under_way++;
		flush->done = true;
		if (!volume_undurable(mount->volumes[i]->volume)) {
			detach(all, mount->volumes[i]->volume);
			continue;
		}
		*flush = (struct flush){
			.io = {.request = {.type = REQUEST_FLUSH, .worker = &mount->workers[0]},
			       .done = on_flushed},
			.all = all,
		};
		volume_submit(mount->volumes[i]->volume, &flush->io);
	}
	if (all->under_way) {
		loop_timer_set(&timer, patience);
		run(all, mount);
	}
	all->over = true;
	for (unsigned i = 0; i < mount->volume_count; i++)
		if (!flushes[i].done)
			volume_cancel(&flushes[i].io, ETIMEDOUT);
	loop_timer_destroy(&timer);
	free(flushes);
	return report(mount);
}
