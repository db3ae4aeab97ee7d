/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_home.c - whose turn it is at the home. What others tell comes in here, and work on the
 * metadata is done one piece after the other, the most urgent first: nodes that failed and other
 * changes of the set, for which requests wait; then marks, for which writes wait; then clearing.
 */
#include "dstfs/mirror_home.h"
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_members.h"

#include "common/log.h"

#include <string.h>

#define LATER_STEP CLOCK_SEC

void mirror_home_poke(struct mirror *mirror)
{
	if (!mirror->ending && !atomic_exchange(&mirror->home_posted, true))
		loop_post(mirror->home->loop, &mirror->home_work);
}

void mirror_home_done(struct mirror *mirror)
{
	mirror->busy = false;
	mirror_home_poke(mirror);
}

/* ---- what others tell ---- */

void mirror_report_failed(struct mirror *mirror, mirror_mask nodes)
{
	atomic_fetch_or(&mirror->failed, nodes);
	mirror_home_poke(mirror);
}

bool mirror_report_own_failed(struct mirror *mirror, mirror_mask nodes)
{
	if (!(mirror->read_set & ~nodes))
		return false;
	mirror_report_failed(mirror, nodes);
	return true;
}

void mirror_report_unreadable(struct mirror *mirror, unsigned node, struct range range)
{
	pthread_mutex_lock(&mirror->repairs_lock);
	if (mirror->repair_count < MIRROR_REPAIRS)
		mirror->repairs[mirror->repair_count++] = (struct mirror_repair){node, range};
	pthread_mutex_unlock(&mirror->repairs_lock);
	mirror_home_poke(mirror);
}

void mirror_report_suspect(struct mirror *mirror, struct range range)
{
	atomic_fetch_add(&mirror->suspect_reports, 1);
	mirror_bits_set_range(&mirror->suspect, mirror_region_of(mirror, range.offset),
			      mirror_region_of(mirror, range.offset + range.length - 1));
	mirror->suspects = true;
	mirror_home_poke(mirror);
}

static void take_repairs(struct mirror *mirror)
{
	struct mirror_repair taken[MIRROR_REPAIRS];
	unsigned count;

	pthread_mutex_lock(&mirror->repairs_lock);
	count = mirror->repair_count;
	memcpy(taken, mirror->repairs, count * sizeof(*taken));
	mirror->repair_count = 0;
	pthread_mutex_unlock(&mirror->repairs_lock);
	for (unsigned i = 0; i < count; i++) {
		counter_add(&mirror->nodes[taken[i].node].read_errors, 1);
		mirror_copy_repair(mirror, taken[i].node, taken[i].range);
	}
}

/* ---- turns ---- */

static void next_turn(struct mirror *mirror)
{
	if (mirror_change_due(mirror))
		mirror_change_begin(mirror);
	else if (mirror_marks_due(mirror))
		mirror_marks_begin(mirror);
	else if (mirror->phase == MIRROR_RUNNING && mirror->work->clearing.flushed)
		mirror_clear_write(mirror);
	else if (mirror->phase == MIRROR_RUNNING && mirror->work->resizing.due)
		mirror_resize_turn(mirror);
	else if (mirror->work->ending.due && !mirror->work->resizing.active)
		mirror_detach_begin(mirror);
}

static void run(struct mirror *mirror)
{
	if (!mirror->started || mirror->ending)
		return;
	mirror_check_fence(mirror);
	if (mirror->phase == MIRROR_FENCED)
		mirror_look_fenced(mirror);
	atomic_fetch_and(&mirror->failed, mirror->write_set); /* others have left before */
	mirror_join_look(mirror);
	if (mirror->phase == MIRROR_RUNNING) {
		take_repairs(mirror);
		mirror_clear_look(mirror);
	}
	mirror_members_look(mirror);
	mirror_orders_look(mirror);
	if (!mirror->busy)
		next_turn(mirror);
	mirror_update_base(mirror);
	if (atomic_exchange(&mirror->suspects, false))
		mirror_copy_poke(mirror);
}

static void on_poke(void *arg)
{
	struct mirror *mirror = arg;

	mirror->home_posted = false; /* first: what is told from now on posts again */
	run(mirror);
}

/* ---- later ---- */

static void look_in(struct mirror *mirror, uint64_t delay)
{
	struct mirror_work *work = mirror->work;
	uint64_t at = clock_now() + delay;

	if (loop_timer_pending(&work->later) && work->later_at <= at)
		return;
	work->later_at = at;
	loop_timer_set(&work->later, delay);
}

/* Of what was asked for only the first and the last are known: until the last, it looks often. */
static void on_later(void *arg)
{
	struct mirror *mirror = arg;
	uint64_t last = mirror->work->last_at, now = clock_now();

	run(mirror);
	if (last > now)
		look_in(mirror, last - now < LATER_STEP ? last - now : LATER_STEP);
}

void mirror_home_later(struct mirror *mirror, uint64_t delay)
{
	struct mirror_work *work = mirror->work;
	uint64_t at = clock_now() + delay;

	if (at > work->last_at)
		work->last_at = at;
	look_in(mirror, delay);
}

void mirror_out_of_memory(struct mirror *mirror)
{
	log_limited(&mirror->limit_memory, LOG_LEVEL_ERROR,
		    "volume %s: the mirror is out of memory; it tries again", mirror->volume);
	mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
}

int mirror_home_init(struct mirror *mirror)
{
	mirror->home_work = (struct loop_work){.callback = on_poke, .arg = mirror};
	return loop_timer_init(&mirror->work->later, mirror->home->loop, on_later, mirror);
}

void mirror_home_destroy(struct mirror *mirror)
{
	loop_timer_destroy(&mirror->work->later);
}
