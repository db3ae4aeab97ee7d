/* SPDX-License-Identifier: GPL-2.0-or-later */
/* last_flush.c - see last_flush.h */
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

struct last_flush {
	struct loop *loop;
	unsigned under_way;
	bool waiting; /* the loop runs for us */
};

static void on_done(struct volume_io *io, int error)
{
	struct flush *flush = (struct flush *)io; /* io is the first member */

	flush->done = true;
	if (error)
		log_error("volume %s: the last flush failed: %s", volume_name(io->volume),
			  strerror(error));
	if (!--flush->all->under_way && flush->all->waiting)
		loop_stop(flush->all->loop);
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

uint64_t last_flush(struct mount *mount, uint64_t patience)
{
	struct last_flush all = {.loop = mount->workers[0].loop};
	struct flush *flushes = calloc(mount->volume_count + 1, sizeof(*flushes));
	struct loop_timer timer;

	if (!flushes || loop_timer_init(&timer, all.loop, on_timeout, &all)) {
		free(flushes);
		return report(mount);
	}
	for (unsigned i = 0; i < mount->volume_count; i++) {
		struct flush *flush = &flushes[i];

		flush->done = true;
		if (!volume_undurable(mount->volumes[i]->volume))
			continue;
		*flush = (struct flush){
			.io = {.request = {.type = REQUEST_FLUSH, .worker = &mount->workers[0]},
			       .done = on_done},
			.all = &all,
		};
		all.under_way++;
		volume_submit(mount->volumes[i]->volume, &flush->io);
	}
	if (all.under_way) {
		all.waiting = true;
		loop_timer_set(&timer, patience);
		loop_run(all.loop);
		all.waiting = false;
	}
	for (unsigned i = 0; i < mount->volume_count; i++)
		if (!flushes[i].done)
			volume_cancel(&flushes[i].io, ETIMEDOUT);
	loop_timer_destroy(&timer);
	free(flushes);
	return report(mount);
}
