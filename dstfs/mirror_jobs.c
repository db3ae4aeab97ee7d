/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_jobs.c - see mirror_copy_impl.h: which regions are copied next, from where and to where, and
 * what it means that they were.
 *
 * A region of several windows is done when all of them are, and after that its own hold was had: then
 * each write into it has ended, and has told if it failed. One that has become suspect meanwhile is
 * done again.
 */
#include "dstfs/mirror_copy_impl.h"

#include <assert.h>

/* ---- which nodes ---- */

mirror_mask copy_ready_nodes(const struct mirror *mirror)
{
	mirror_mask set = 0;

	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].target->state == TARGET_READY)
			set |= MIRROR_BIT(i);
	return set;
}

static mirror_mask resync_set(const struct mirror *mirror)
{
	mirror_mask set = 0;

	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].state == MIRROR_NODE_RESYNC)
			set |= MIRROR_BIT(i);
	return set & mirror->write_set;
}

bool copy_has_nodes(const struct mirror *mirror, enum copy_kind kind)
{
	mirror_mask ready = copy_ready_nodes(mirror), read_set = mirror->read_set;

	switch (kind) {
	case COPY_REPAIR:
		return true;
	case COPY_RESYNC:
		return read_set & ready && resync_set(mirror) & ready;
	default:
		return !(read_set & ~ready);
	}
}

static unsigned first_region(const struct mirror *mirror, struct range range)
{
	return mirror_region_of(mirror, range.offset);
}

static unsigned last_region(const struct mirror *mirror, struct range range)
{
	return mirror_region_of(mirror, range.offset + range.length - 1);
}

bool copy_is_suspect(const struct mirror *mirror, struct range range)
{
	return mirror_bits_any(&mirror->suspect, first_region(mirror, range),
			       last_region(mirror, range));
}

/* One of these nodes, which aren't none. Where in-sync nodes may differ the primary is right. */
static unsigned best_source(const struct mirror *mirror, mirror_mask from, bool suspect)
{
	mirror_mask local = 0, ready = from & copy_ready_nodes(mirror);

	if (suspect && from & MIRROR_BIT(mirror->primary))
		return mirror->primary;
	for (mirror_mask rest = ready; rest; rest &= rest - 1)
		if (mirror->nodes[__builtin_ctz(rest)].local)
			local |= rest & -rest;
	return (unsigned)__builtin_ctz(local ? local : ready ? ready : from);
}

/* Where the window may read, and where it writes whatever the source is. */
static void find_nodes(const struct copy_window *w, mirror_mask *sources, mirror_mask *targets)
{
	struct mirror *mirror = w->mirror;
	mirror_mask read_set = mirror->read_set;

	switch (w->kind) {
	case COPY_REPAIR:
		*targets = w->task->nodes & read_set;
		if (copy_is_suspect(mirror, w->range)) /* which is mended by making it equal */
			*targets = 0;
		break;
	case COPY_EQUALIZE:
		*targets = 0;
		break;
	default:
		*targets = w->task->nodes & resync_set(mirror);
		break;
	}
	*sources = read_set & ~*targets & ~w->unable;
}

bool copy_window_choose(struct copy_window *w)
{
	struct mirror *mirror = w->mirror;
	mirror_mask sources, targets;

	if (w->kind == COPY_VERIFY) {
		w->nodes = mirror->read_set;
		if (!(w->nodes & (w->nodes - 1)))
			w->result = WINDOW_ABORTED;
		return w->result == WINDOW_DONE && !copy_is_suspect(mirror, w->range);
	}
	find_nodes(w, &sources, &targets);
	if (!targets && w->kind != COPY_EQUALIZE)
		return false;
	if (!sources) {
		w->result = w->unable ? WINDOW_UNREADABLE : WINDOW_ABORTED;
		return false;
	}
	w->source = best_source(mirror, sources, copy_is_suspect(mirror, w->range));
	if (w->kind == COPY_EQUALIZE)
		targets = mirror->write_set & ~MIRROR_BIT(w->source);
	w->targets = targets | (w->unable & mirror->read_set);
	w->nodes = w->targets | MIRROR_BIT(w->source);
	return w->targets || w->kind == COPY_EQUALIZE; /* which flushes one that is alone, too */
}

/* ---- tasks ---- */

static struct copy_task *new_task(struct mirror_copy *copy, enum copy_kind kind, struct range range,
				  mirror_mask nodes)
{
	struct copy_task *task = copy->tasks;

	while (task->used) /* there is a free window, and each task has one or is settled */
		task++;
	*task = (struct copy_task){
		.copy = copy,
		.used = true,
		.kind = kind,
		.range = range,
		.next = range.offset,
		.step = WINDOW_BLOCK * (copy_gives_way(copy) ? COPY_BUSY_BLOCKS : WINDOW_BLOCKS),
		.nodes = nodes,
		.reached = UINT32_MAX,
		.reports = copy->mirror->suspect_reports,
	};
	copy->jobs[kind].tasks++;
	return task;
}

static bool has_free_task(const struct mirror_copy *copy)
{
	for (unsigned i = 0; i < COPY_TASKS; i++)
		if (!copy->tasks[i].used)
			return true;
	return false;
}

void copy_task_end(struct copy_task *task)
{
	struct mirror_copy *copy = task->copy;

	assert(task->used && !task->windows);
	range_hold_put(&task->hold);
	task->waiting = false;
	task->used = false;
	copy->jobs[task->kind].tasks--;
	copy_pump(copy);
}

/* The next region that this kind has to do, from there on, and to which nodes. */
static unsigned next_region(const struct mirror_copy *copy, enum copy_kind kind, unsigned from,
			    mirror_mask *nodes)
{
	struct mirror *mirror = copy->mirror;
	unsigned first = mirror->regions;

	*nodes = 0;
	if (kind == COPY_EQUALIZE)
		return mirror_bits_next(&mirror->suspect, from);
	for (mirror_mask rest = resync_set(mirror) & copy_ready_nodes(mirror); rest;
	     rest &= rest - 1) {
		unsigned index = (unsigned)__builtin_ctz(rest);
		unsigned at = mirror_region_to_copy(mirror, &mirror->nodes[index], from);

		if (at < first) {
			first = at;
			*nodes = 0;
		}
		if (at == first)
			*nodes |= MIRROR_BIT(index);
	}
	return first;
}

/* A run of regions with the same nodes, of a window's size at most, or a larger region. */
static struct copy_task *region_task(struct mirror_copy *copy, enum copy_kind kind)
{
	struct mirror *mirror = copy->mirror;
	struct copy_job *job = &copy->jobs[kind];
	mirror_mask nodes, more;
	unsigned region = next_region(copy, kind, (unsigned)job->cursor, &nodes), next;
	struct copy_task *task;

	if (region >= mirror->regions && !job->tasks && job->cursor) {
		job->cursor = 0; /* what has come up behind us, or failed */
		if (job->failed) {
			job->failed = false;
			job->retry_at = clock_now() + COPY_RETRY_INTERVAL;
			return NULL;
		}
		region = next_region(copy, kind, 0, &nodes);
	}
	if (region >= mirror->regions)
		return NULL;
	task = new_task(copy, kind, mirror_region_range(mirror, region), nodes);
	for (next = region + 1; next < mirror->regions; next++) {
		struct range range = mirror_region_range(mirror, next);

		if (task->range.length + range.length > task->step ||
		    next_region(copy, kind, next, &more) != next || more != nodes)
			break;
		task->range.length += range.length;
	}
	job->cursor = next;
	return task;
}

static struct copy_task *repair_task(struct mirror_copy *copy)
{
	struct mirror_repair *repair = &copy->repairs[0];
	struct copy_task *task;
	struct range range;

	if (!copy->repair_count)
		return NULL;
	range = range_head(range_clip(repair->range, copy->mirror->super.data_size),
			   COPY_WINDOW_SIZE);
	task = range.length ? new_task(copy, COPY_REPAIR, range, MIRROR_BIT(repair->node)) : NULL;
	range_advance(&repair->range, range.length);
	if (!range.length || !repair->range.length)
		*repair = copy->repairs[--copy->repair_count];
	return task;
}

static struct copy_task *verify_task(struct mirror_copy *copy)
{
	struct copy_job *job = &copy->jobs[COPY_VERIFY];
	struct range rest = {job->cursor, copy->mirror->super.data_size - job->cursor};
	struct copy_task *task;

	if (copy->verify.state != VERIFY_RUNNING || !rest.length)
		return NULL;
	task = new_task(copy, COPY_VERIFY, rest, 0);
	task->range = range_head(rest, task->step);
	job->cursor += task->range.length;
	return task;
}

struct copy_task *copy_next_task(struct mirror_copy *copy, enum copy_kind kind)
{
	if (!has_free_task(copy))
		return NULL;
	switch (kind) {
	case COPY_REPAIR:
		return repair_task(copy);
	case COPY_VERIFY:
		return verify_task(copy);
	default:
		return region_task(copy, kind);
	}
}

/* ---- what comes of it ---- */

/*
 * These whole regions were copied in windows that reached these nodes, and their hold is had. With
 * `equal` nothing has become suspect meanwhile.
 */
static void settle(struct copy_task *task, struct range range, mirror_mask reached, bool equal)
{
	struct mirror *mirror = task->copy->mirror;
	unsigned last = last_region(mirror, range);

	equal &= !(mirror->read_set & ~reached);
	for (unsigned r = first_region(mirror, range); r <= last; r++) {
		if (task->kind == COPY_EQUALIZE && equal)
			mirror_region_equal(mirror, r);
		for (mirror_mask rest = task->nodes & reached & resync_set(mirror);
		     task->kind == COPY_RESYNC && rest; rest &= rest - 1)
			mirror_region_copied(mirror, &mirror->nodes[__builtin_ctz(rest)], r);
	}
}

static bool is_by_region(enum copy_kind kind)
{
	return kind == COPY_EQUALIZE || kind == COPY_RESYNC;
}

/* Is each region of this task a part of one window? */
static bool has_small_regions(const struct copy_task *task)
{
	return task->step >= 1ull << task->copy->mirror->region_shift;
}

static void on_hold(void *arg)
{
	struct copy_task *task = arg;

	task->waiting = false;
	settle(task, task->range, task->reached,
	       task->reports == task->copy->mirror->suspect_reports);
	copy_task_end(task);
}

static void fail(struct copy_task *task)
{
	task->copy->jobs[task->kind].failed = true;
	copy_task_end(task);
}

/* Somewhere in it is a block that nobody can read: the others are copied one by one. */
static bool go_in_small_steps(struct copy_task *task)
{
	if (task->step == WINDOW_BLOCK)
		return false;
	task->step = WINDOW_BLOCK;
	task->next = task->range.offset;
	task->unreadable = false;
	return true;
}

/* All its windows are over. */
static void task_over(struct copy_task *task)
{
	bool granted;

	if (task->kind == COPY_VERIFY) {
		verify_task_over(task->copy, task);
	} else if (task->aborted || task->copy->stopping) {
		fail(task);
	} else if (task->unreadable) {
		if (!go_in_small_steps(task))
			fail(task);
	} else if (task->kind == COPY_REPAIR || has_small_regions(task)) {
		copy_task_end(task);
	} else {
		task->hold =
			ranges_take(task->copy->mirror->ranges, task->copy->mirror->home,
				    task->range, (struct range){0, 0}, on_hold, task, &granted);
		task->waiting = task->hold && !granted;
		if (!task->hold)
			fail(task);
		else if (granted)
			on_hold(task);
	}
}

static void add_numbers(struct copy_progress *progress, const struct copy_window *w,
			mirror_mask nodes)
{
	progress->compared += w->compared;
	progress->equal += w->equal;
	for (mirror_mask rest = nodes; rest; rest &= rest - 1) {
		progress->sent += w->legs[__builtin_ctz(rest)].sent;
		progress->zeroed += w->legs[__builtin_ctz(rest)].zeroed;
	}
	copy_meter_add(&progress->meter, w->result == WINDOW_DONE ? w->range.length : 0);
}

static void count(struct mirror_copy *copy, const struct copy_window *w)
{
	add_numbers(&copy->all, w, UINT32_MAX >> (32 - MIRROR_MAX_NODES));
	if (w->kind == COPY_RESYNC && w->result == WINDOW_DONE && w->compared)
		copy->unlike = w->equal ? 0 : copy->unlike + w->compared;
	if (w->kind == COPY_RESYNC)
		for (mirror_mask rest = w->targets; rest; rest &= rest - 1)
			add_numbers(&copy->resync[__builtin_ctz(rest)], w, rest & -rest);
	else
		add_numbers(&copy->jobs[w->kind].progress, w, w->nodes);
	if (w->kind == COPY_REPAIR)
		for (mirror_mask rest = w->targets; rest; rest &= rest - 1)
			copy->repaired += w->legs[__builtin_ctz(rest)].sent +
					  w->legs[__builtin_ctz(rest)].zeroed;
	if (w->result != WINDOW_UNREADABLE || w->range.length != WINDOW_BLOCK)
		return;
	copy->unreadable += w->range.length;
	log_limited(&copy->limit_unreadable, LOG_LEVEL_ERROR,
		    "volume %s: no node that is in sync can read the %u KiB at %llu",
		    copy->mirror->volume, WINDOW_BLOCK >> 10, (unsigned long long)w->range.offset);
}

void copy_window_over(struct copy_window *w)
{
	struct mirror_copy *copy = w->mirror->copy;
	struct copy_task *task = w->task;
	uint64_t now = clock_now();

	count(copy, w);
	copy->windows_busy--;
	if (copy_gives_way(copy) && w->began) {
		uint64_t pause = (now - w->began) * COPY_BUSY_PAUSE;

		copy->pause_until =
			now + (pause < COPY_BUSY_PAUSE_MOST ? pause : COPY_BUSY_PAUSE_MOST);
	}
	task->windows--;
	task->aborted |= w->result == WINDOW_ABORTED;
	task->unreadable |= w->result == WINDOW_UNREADABLE;
	task->reached &= w->nodes;
	if (w->result == WINDOW_DONE && is_by_region(w->kind) && has_small_regions(task) &&
	    !copy->stopping)
		settle(task, w->range, w->nodes, w->losses == w->mirror->losses);
	if (task->aborted) /* what isn't begun isn't needed */
		task->next = task->range.offset + task->range.length;
	if (!task->windows && task->next == task->range.offset + task->range.length)
		task_over(task);
	copy_pump(copy);
}

/* ---- resync of a node ---- */

uint64_t copy_resync_left(const struct mirror *mirror, const struct mirror_node *node)
{
	const struct mirror_missed *missed = &mirror->missed[node->slot];
	uint64_t regions = mirror_bits_sum(&missed->bits);
	uint64_t copied = mirror_bits_sum(&missed->copied) + mirror_bits_sum(&missed->settling);
	uint64_t left = (regions > copied ? regions - copied : 0) << mirror->region_shift;

	return left < mirror->super.data_size ? left : mirror->super.data_size;
}

void copy_watch_resync(struct mirror_copy *copy)
{
	struct mirror *mirror = copy->mirror;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];
		struct copy_progress *progress = &copy->resync[i];

		if (node->state != MIRROR_NODE_RESYNC) {
			*progress = (struct copy_progress){0};
		} else if (!progress->total) {
			progress->total = copy_resync_left(mirror, node);
			copy->unlike = 0;
			copy->jobs[COPY_RESYNC].cursor = 0;
		}
	}
}

void mirror_copy_anew(struct mirror *mirror, unsigned node)
{
	mirror->copy->resync[node] = (struct copy_progress){0};
	mirror_copy_poke(mirror);
}
