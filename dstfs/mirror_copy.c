/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_copy.c - see mirror_copy.h. How many windows are under way, and when the next one may begin:
 * many at full speed while nobody else is at work, else one now and then.
 */
#include "dstfs/mirror_copy_impl.h"

#include "common/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- giving way ---- */

static void watch_users(struct mirror_copy *copy)
{
	if (mirror_users_inflight(copy->mirror))
		copy->users_at = clock_now();
}

bool copy_gives_way(const struct mirror_copy *copy)
{
	return copy->users_at && clock_now() - copy->users_at < COPY_BUSY_MEMORY;
}

bool copy_compares(struct mirror_copy *copy, enum copy_kind kind)
{
	if (kind != COPY_RESYNC || copy->unlike < COPY_UNLIKE)
		return true;
	return ++copy->uncompared % COPY_COMPARE_EVERY == 0;
}

/* Is the speed of this kind limited by command? Others are urgent: until they are through there is
 * one node less to read from. */
static bool is_limited(enum copy_kind kind)
{
	return kind == COPY_RESYNC || kind == COPY_VERIFY;
}

/* A new rate begins anew. */
static bool rate_is_used_up(const struct mirror_copy *copy, uint64_t now)
{
	uint64_t rate = copy_rate(copy);

	return rate && rate == copy->rate_used && now < copy->rate_until;
}

static bool may_begin(const struct mirror_copy *copy, enum copy_kind kind, uint64_t now)
{
	const struct mirror *mirror = copy->mirror;

	if (mirror->read_only && (kind != COPY_VERIFY || copy->verify.repair))
		return false;
	if (is_limited(kind) && (copy->paused || rate_is_used_up(copy, now)))
		return false;
	return now >= copy->jobs[kind].retry_at && copy_has_nodes(mirror, kind);
}

static void use_rate(struct mirror_copy *copy, uint64_t bytes)
{
	uint64_t rate = copy_rate(copy), now = clock_now();

	if (!rate)
		return;
	if (copy->rate_until < now || rate != copy->rate_used)
		copy->rate_until = now;
	copy->rate_used = rate;
	copy->rate_until += bytes * CLOCK_SEC / rate;
}

void copy_meter_add(struct copy_meter *meter, uint64_t bytes)
{
	uint64_t now = clock_now(), took, speed;

	if (!meter->since)
		meter->since = now;
	meter->bytes += bytes;
	took = now - meter->since;
	if (took < CLOCK_SEC)
		return;
	speed = (uint64_t)((double)meter->bytes * CLOCK_SEC / (double)took);
	meter->speed = meter->speed ? (meter->speed * 3 + speed) / 4 : speed;
	meter->since = now;
	meter->bytes = 0;
}

/* ---- windows ---- */

static struct copy_window *free_window(struct mirror_copy *copy)
{
	unsigned most = COPY_WINDOWS;

	if (copy_gives_way(copy)) {
		if (clock_now() < copy->pause_until)
			return NULL;
		most = 1;
	}
	if (copy->windows_busy >= most)
		return NULL;
	for (unsigned i = 0; i < COPY_WINDOWS; i++)
		if (!copy->windows[i].task)
			return &copy->windows[i];
	return NULL;
}

/* One that still has windows to begin. */
static struct copy_task *begun_task(struct mirror_copy *copy, enum copy_kind kind)
{
	for (unsigned i = 0; i < COPY_TASKS; i++) {
		struct copy_task *task = &copy->tasks[i];

		if (task->used && task->kind == kind &&
		    task->next < task->range.offset + task->range.length)
			return task;
	}
	return NULL;
}

static void begin_window(struct mirror_copy *copy, struct copy_window *window,
			 struct copy_task *task)
{
	struct range rest = {task->next, task->range.offset + task->range.length - task->next};
	struct range range = range_head(rest, task->step);

	task->next += range.length;
	task->windows++;
	copy->windows_busy++;
	if (is_limited(task->kind))
		use_rate(copy, range.length);
	window_begin(window, task, task->kind, range);
}

/* True: something was begun. */
static bool begin_next(struct mirror_copy *copy)
{
	struct copy_window *window = free_window(copy);
	uint64_t now = clock_now();

	for (enum copy_kind kind = 0; window && kind < COPY_KINDS; kind++) {
		struct copy_task *task;

		if (!may_begin(copy, kind, now))
			continue;
		task = begun_task(copy, kind);
		if (!task)
			task = copy_next_task(copy, kind);
		if (task) {
			begin_window(copy, window, task);
			return true;
		}
	}
	return false;
}

static bool is_idle(const struct mirror_copy *copy)
{
	if (copy->windows_busy)
		return false;
	for (unsigned i = 0; i < COPY_TASKS; i++)
		if (copy->tasks[i].used)
			return false;
	return true;
}

static void tell_stopped(struct mirror_copy *copy)
{
	while (copy->waiter_count && !copy->windows_busy && !copy->verify.flushing) {
		struct copy_waiter waiter = copy->waiters[--copy->waiter_count];

		waiter.done(waiter.arg);
	}
}

static bool allowed(const struct mirror_copy *copy)
{
	const struct mirror *mirror = copy->mirror;

	return !copy->stopping && mirror->phase == MIRROR_RUNNING;
}

/* Is there something that only has to wait? */
static bool has_work(struct mirror_copy *copy)
{
	struct mirror *mirror = copy->mirror;

	if (copy->repair_count || copy->verify.state == VERIFY_RUNNING)
		return true;
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].state == MIRROR_NODE_RESYNC)
			return true;
	return mirror_bits_next(&mirror->suspect, 0) < mirror->regions;
}

/* Until it is worth a look; nothing tells when users have gone, or a node is back. */
static uint64_t next_look(const struct mirror_copy *copy)
{
	bool soon = !is_idle(copy) || copy_gives_way(copy) || rate_is_used_up(copy, clock_now());

	return soon ? COPY_TICK : COPY_IDLE_TICK;
}

static void on_pump(void *arg)
{
	struct mirror_copy *copy = arg;

	if (allowed(copy)) {
		watch_users(copy);
		for (unsigned n = 0; n < COPY_WINDOWS && begin_next(copy); n++)
			; /* those that end at once come here again, when others have had their turn */
		verify_look(copy);
	}
	if (!loop_timer_pending(&copy->tick) &&
	    (!is_idle(copy) || (allowed(copy) && has_work(copy))))
		loop_timer_set(&copy->tick, next_look(copy));
	tell_stopped(copy);
}

void copy_pump(struct mirror_copy *copy)
{
	loop_defer(copy->mirror->home->loop, &copy->pump);
}

/* ---- ending windows ---- */

/* Nodes of the window that aren't what they were when it chose them. */
static mirror_mask nodes_that_left(const struct copy_window *window)
{
	const struct mirror *mirror = window->mirror;
	mirror_mask readers = window->nodes & ~window->targets;

	return (readers & ~mirror->read_set) | (window->targets & ~mirror->write_set);
}

static void look_at_windows(struct mirror_copy *copy)
{
	struct mirror *mirror = copy->mirror;
	bool go_on = allowed(copy);
	uint64_t patience = target_patience(mirror->base.policy), now = clock_now();

	for (unsigned i = 0; i < COPY_WINDOWS; i++) {
		struct copy_window *window = &copy->windows[i];
		mirror_mask lost, late;

		if (!window->task)
			continue;
		lost = nodes_that_left(window);
		late = window_late(window, now, patience);
		if (!go_on)
			window_abort(window, lost | ~copy_ready_nodes(mirror));
		else if (lost | late)
			window_abort(window, lost);
		if (late & mirror->write_set)
			mirror_report_failed(mirror, late);
	}
}

static void on_tick(void *arg)
{
	struct mirror_copy *copy = arg;

	watch_users(copy);
	look_at_windows(copy);
	on_pump(copy);
}

/* A larger region that waits to be settled doesn't need to be, any more. */
static void end_tasks(struct mirror_copy *copy)
{
	for (unsigned i = 0; i < COPY_TASKS; i++)
		if (copy->tasks[i].used && !copy->tasks[i].windows)
			copy_task_end(&copy->tasks[i]);
}

/* ---- from outside ---- */

void mirror_copy_poke(struct mirror *mirror)
{
	struct mirror_copy *copy = mirror->copy;

	for (enum copy_kind kind = 0; kind < COPY_KINDS; kind++)
		copy->jobs[kind].retry_at = 0;
	copy_watch_resync(copy);
	look_at_windows(copy);
	if (!allowed(copy))
		end_tasks(copy);
	copy_pump(copy);
}

void mirror_copy_stop(struct mirror *mirror, void (*done)(void *arg), void *arg)
{
	struct mirror_copy *copy = mirror->copy;

	assert(copy->waiter_count < COPY_WAITERS);
	copy->stopping = true;
	copy->waiters[copy->waiter_count++] = (struct copy_waiter){done, arg};
	look_at_windows(copy);
	end_tasks(copy);
	if (copy->windows_busy)
		copy_pump(copy);
	tell_stopped(copy);
}

void mirror_copy_repair(struct mirror *mirror, unsigned node, struct range range)
{
	struct mirror_copy *copy = mirror->copy;
	uint64_t end = range.offset + range.length;

	range.offset -= range.offset % WINDOW_BLOCK;
	range.length = (end + WINDOW_BLOCK - 1) / WINDOW_BLOCK * WINDOW_BLOCK - range.offset;
	for (unsigned i = 0; i < copy->repair_count; i++)
		if (copy->repairs[i].node == node &&
		    copy->repairs[i].range.offset == range.offset &&
		    copy->repairs[i].range.length == range.length)
			return;
	if (copy->repair_count < COPY_REPAIRS)
		copy->repairs[copy->repair_count++] = (struct mirror_repair){node, range};
	copy_pump(copy);
}

void mirror_copy_pause(struct mirror *mirror, bool paused)
{
	mirror->copy->paused = paused;
	log_info("volume %s: resync and verify %s", mirror->volume, paused ? "pause" : "go on");
	copy_pump(mirror->copy);
}

int mirror_copy_init(struct mirror *mirror)
{
	struct mirror_copy *copy = calloc(1, sizeof(*copy));

	if (!copy || loop_timer_init(&copy->tick, mirror->home->loop, on_tick, copy)) {
		free(copy);
		return ENOMEM;
	}
	copy->mirror = mirror;
	copy->pump = (struct loop_hook){.callback = on_pump, .arg = copy};
	random_bytes(&copy->seed, sizeof(copy->seed));
	for (unsigned i = 0; i < COPY_WINDOWS; i++)
		window_init(&copy->windows[i], mirror);
	for (unsigned i = 0; i < COPY_TASKS; i++)
		copy->tasks[i].copy = copy;
	mirror->copy = copy;
	return 0;
}

void mirror_copy_destroy(struct mirror *mirror)
{
	struct mirror_copy *copy = mirror->copy;

	if (!copy)
		return;
	copy->stopping = true;
	copy->waiter_count = 0;
	for (unsigned i = 0; i < COPY_WINDOWS; i++)
		if (copy->windows[i].task)
			window_abort(&copy->windows[i], UINT32_MAX);
	end_tasks(copy);
	assert(is_idle(copy));
	loop_defer_cancel(&copy->pump);
	loop_timer_destroy(&copy->tick);
	free(copy);
	mirror->copy = NULL;
}
