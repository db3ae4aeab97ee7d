/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_verify.c - all in-sync nodes are compared while they are in use. Where a block's digests
 * differ its grains are compared too, so that little is told and little is rewritten.
 *
 * Who is right: the node that the user has named; else, where a node can't read its medium, those that
 * can, if they agree; else the majority. Two nodes alone can't tell, and then nothing is mended.
 */
#include "dstfs/mirror_copy_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct verify *verify_of(const struct copy_window *w)
{
	return &w->mirror->copy->verify;
}

/* ---- findings ---- */

static bool continues(const struct verify_finding *finding, struct range range, mirror_mask nodes,
		      enum finding_state state)
{
	return finding->nodes == nodes && finding->state == state &&
	       finding->range.offset + finding->range.length == range.offset;
}

static bool covers(const struct verify_finding *finding, struct range range)
{
	return finding->range.offset <= range.offset &&
	       finding->range.offset + finding->range.length >= range.offset + range.length;
}

static void find(struct verify *verify, struct range range, mirror_mask nodes,
		 enum finding_state state)
{
	for (unsigned i = 0; i < verify->finding_count; i++)
		if (covers(&verify->findings[i], range)) /* of a window that was done again */
			return;
	verify->bytes[state] += range.length;
	for (unsigned i = verify->finding_count; i-- > 0;) {
		if (continues(&verify->findings[i], range, nodes, state)) {
			verify->findings[i].range.length += range.length;
			return;
		}
	}
	if (verify->finding_count == VERIFY_FINDINGS)
		verify->left_out++;
	else
		verify->findings[verify->finding_count++] =
			(struct verify_finding){range, nodes, state};
}

static struct range grain_range(const struct copy_window *w, unsigned at)
{
	return (struct range){w->part.offset + (uint64_t)at * w->unit, w->unit};
}

/* ---- who is right ---- */

static bool same(const struct copy_window *w, unsigned a, unsigned b, unsigned at)
{
	return !memcmp(w->legs[a].hash[at], w->legs[b].hash[at], DST_HASH_SIZE);
}

static bool hashed(const struct copy_window *w, unsigned node, unsigned at)
{
	return w->legs[node].hashed >> at & 1;
}

/* Nodes that have there what `node` has. */
static mirror_mask like(const struct copy_window *w, unsigned node, unsigned at)
{
	mirror_mask set = 0;

	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1) {
		unsigned other = (unsigned)__builtin_ctz(rest);

		if (hashed(w, other, at) && same(w, node, other, at))
			set |= MIRROR_BIT(other);
	}
	return set;
}

static mirror_mask readable(const struct copy_window *w, unsigned at)
{
	mirror_mask set = 0;

	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1)
		if (hashed(w, (unsigned)__builtin_ctz(rest), at))
			set |= rest & -rest;
	return set;
}

/* Nodes that are right there; 0: that isn't known. */
static mirror_mask right_ones(const struct copy_window *w, unsigned at)
{
	const struct verify *verify = verify_of(w);
	mirror_mask able = readable(w, at);

	if (verify->source != MIRROR_NO_SLOT)
		return w->nodes & MIRROR_BIT(verify->source) && hashed(w, verify->source, at)
			       ? like(w, verify->source, at)
			       : 0;
	for (mirror_mask rest = able; rest; rest &= rest - 1) {
		mirror_mask set = like(w, (unsigned)__builtin_ctz(rest), at);

		if ((set == able && able != w->nodes) ||
		    2 * __builtin_popcount(set) > __builtin_popcount(w->nodes))
			return set;
	}
	return 0;
}

/* ---- a window's steps ---- */

static bool all_alike(const struct copy_window *w, unsigned at)
{
	unsigned first = (unsigned)__builtin_ctz(w->nodes);

	return hashed(w, first, at) && like(w, first, at) == w->nodes;
}

/* The next block of the window whose grains are to be compared. */
static enum window_step next_block(struct copy_window *w)
{
	struct range part = {w->range.offset, WINDOW_BLOCK};

	if (!w->coarse)
		return WINDOW_END;
	part.offset += (uint64_t)__builtin_ctz(w->coarse) * WINDOW_BLOCK;
	w->coarse &= w->coarse - 1;
	window_look_at(w, part, WINDOW_GRAIN);
	return WINDOW_HASH;
}

/* The next node that others are to be mended from. */
static enum window_step next_source(struct copy_window *w)
{
	for (unsigned node = 0; node < MIRROR_MAX_NODES; node++) {
		unsigned grains = w->mend[node];

		if (!grains)
			continue;
		w->mend[node] = 0;
		w->source = node;
		w->targets = w->nodes & ~MIRROR_BIT(node);
		for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
			w->legs[i].differs = 0;
		for (; grains; grains &= grains - 1) {
			unsigned at = (unsigned)__builtin_ctz(grains);
			mirror_mask wrong = w->nodes & ~like(w, node, at);

			for (; wrong; wrong &= wrong - 1)
				w->legs[__builtin_ctz(wrong)].differs |= 1u << at;
		}
		return WINDOW_BUF;
	}
	return next_block(w);
}

/* A grain that isn't the same on all nodes. */
static void judge(struct copy_window *w, unsigned at)
{
	struct verify *verify = verify_of(w);
	mirror_mask right = right_ones(w, at), able = readable(w, at);

	if (right && verify->repair)
		w->mend[__builtin_ctz(right)] |= 1u << at;
	else if (able != w->nodes)
		find(verify, grain_range(w, at), w->nodes & ~able, FINDING_UNREADABLE);
	else
		find(verify, grain_range(w, at), w->nodes & ~right, FINDING_DIFFERS);
}

enum window_step verify_compare(struct copy_window *w)
{
	bool coarse = w->unit == WINDOW_BLOCK;

	for (unsigned at = 0; at < w->blocks; at++) {
		bool alike = all_alike(w, at);

		if (coarse && alike)
			w->equal += WINDOW_BLOCK;
		else if (coarse)
			w->coarse |= 1u << at;
		else if (!alike)
			judge(w, at);
	}
	return next_source(w);
}

enum window_step verify_mended(struct copy_window *w)
{
	struct verify *verify = verify_of(w);
	unsigned unread = w->legs[w->source].unreadable, grains = 0;

	for (mirror_mask rest = w->targets; rest; rest &= rest - 1)
		grains |= w->legs[__builtin_ctz(rest)].differs;
	for (; grains; grains &= grains - 1) {
		unsigned at = (unsigned)__builtin_ctz(grains);
		mirror_mask wrong = w->nodes & ~like(w, w->source, at);

		if (unread) { /* it was hashed a moment ago; nothing was written */
			find(verify, grain_range(w, at), MIRROR_BIT(w->source), FINDING_UNREADABLE);
			continue;
		}
		verify->mended |= wrong;
		find(verify, grain_range(w, at), wrong, FINDING_MENDED);
	}
	w->targets = 0;
	return next_source(w);
}

/* ---- the whole ---- */

static const char *const state_names[] = {
	[VERIFY_RUNNING] = "running",
	[VERIFY_DONE] = "done",
	[VERIFY_FAILED] = "failed",
	[VERIFY_STOPPED] = "stopped",
};

static void finish(struct mirror_copy *copy, enum verify_state state, const char *error)
{
	struct verify *verify = &copy->verify;

	verify->state = state;
	snprintf(verify->error, sizeof(verify->error), "%s", error);
	log_write(verify->bytes[FINDING_DIFFERS] || *error ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
		  "volume %s: verify %s%s%s: %llu bytes compared, %llu differ, %llu unreadable, "
		  "%llu mended",
		  copy->mirror->volume, state_names[state], *error ? ": " : "", error,
		  (unsigned long long)verify->done,
		  (unsigned long long)verify->bytes[FINDING_DIFFERS],
		  (unsigned long long)verify->bytes[FINDING_UNREADABLE],
		  (unsigned long long)verify->bytes[FINDING_MENDED]);
}

void verify_task_over(struct mirror_copy *copy, struct copy_task *task)
{
	struct verify *verify = &copy->verify;

	if (task->aborted && verify->state == VERIFY_RUNNING && !copy->stopping) {
		copy->jobs[COPY_VERIFY].retry_at = clock_now() + COPY_RETRY_INTERVAL;
		task->next = task->range.offset;
		task->aborted = false;
		return;
	}
	if (!task->aborted)
		verify->done += task->range.length;
	copy_task_end(task);
}

static void on_flushed(struct mirror_batch *batch, void *arg)
{
	struct mirror *mirror = arg;
	struct mirror_copy *copy = mirror->copy;
	mirror_mask failed = mirror_batch_failed(batch);

	mirror_batch_free(&batch);
	if (!copy) /* the mirror ends */
		return;
	copy->verify.flushing = false;
	if (failed && !copy->stopping)
		mirror_report_failed(mirror, failed);
	if (copy->verify.state == VERIFY_RUNNING)
		finish(copy, failed ? VERIFY_FAILED : VERIFY_DONE,
		       failed ? "what was mended could not be made durable" : "");
	copy_pump(copy);
}

/* What was mended is durable before it is said to be. */
static void flush(struct mirror_copy *copy)
{
	struct mirror_batch *batch;
	mirror_mask nodes = copy->verify.mended & copy->mirror->write_set;

	batch = mirror_batch_new(copy->mirror, on_flushed, copy->mirror);
	if (!batch || mirror_batch_flush(batch, nodes)) {
		mirror_batch_free(&batch);
		finish(copy, VERIFY_FAILED, "out of memory");
		return;
	}
	copy->verify.flushing = true;
	mirror_batch_run(batch);
}

static void give_up_tasks(struct mirror_copy *copy)
{
	for (unsigned i = 0; i < COPY_TASKS; i++)
		if (copy->tasks[i].used && copy->tasks[i].kind == COPY_VERIFY &&
		    !copy->tasks[i].windows)
			copy_task_end(&copy->tasks[i]);
}

void verify_look(struct mirror_copy *copy)
{
	const struct copy_job *job = &copy->jobs[COPY_VERIFY];
	mirror_mask set = copy->mirror->read_set;

	if (copy->verify.state != VERIFY_RUNNING) {
		give_up_tasks(copy);
	} else if (!(set & (set - 1))) {
		finish(copy, VERIFY_FAILED, "only one node is in sync");
	} else if (copy->verify.source != MIRROR_NO_SLOT &&
		   !(set & MIRROR_BIT(copy->verify.source))) {
		finish(copy, VERIFY_FAILED, "the source is no longer in sync");
	} else if (job->cursor == copy->mirror->super.data_size && !job->tasks &&
		   !copy->verify.flushing) {
		if (copy->verify.mended)
			flush(copy);
		else
			finish(copy, VERIFY_DONE, "");
	}
}

/* ---- commands ---- */

/* Which node is said to be right. */
static int find_source(struct mirror *mirror, const struct mirror_verify_options *options,
		       unsigned *source, const struct reason *reason)
{
	mirror_mask set = mirror->read_set;
	const struct mirror_node *node;

	*source = MIRROR_NO_SLOT;
	if (options->source) {
		node = mirror_find_node(mirror, options->source);
		if (!options->repair)
			return text_refuse(reason, "a source is of use for a repair only");
		if (!node)
			return text_refuse(reason, "there is no node %s", options->source);
		if (!(set & MIRROR_BIT(node->index)))
			return text_refuse(reason, "node %s is not in sync", options->source);
		*source = node->index;
	} else if (options->repair && __builtin_popcount(set) == 2) {
		return text_refuse(
			reason,
			"two nodes alone can't tell which side is right: name the one that is, "
			"--from NODE");
	}
	return 0;
}

int mirror_verify_begin(struct mirror *mirror, const struct mirror_verify_options *options,
			const struct reason *reason)
{
	struct mirror_copy *copy = mirror->copy;
	struct copy_job *job = &copy->jobs[COPY_VERIFY];
	mirror_mask set = mirror->read_set;
	unsigned source;
	int error;

	if (copy->verify.state == VERIFY_RUNNING || job->tasks || copy->verify.flushing) {
		text_refuse(reason, "verify is under way");
		return EBUSY;
	}
	if (mirror->phase != MIRROR_RUNNING || copy->stopping)
		return text_refuse(reason, "the mirror isn't running");
	if (!(set & (set - 1)))
		return text_refuse(reason, "only one node is in sync");
	if (options->repair && mirror->read_only)
		return text_refuse(reason, "the volume is read-only");
	error = find_source(mirror, options, &source, reason);
	if (error)
		return error;
	copy->verify = (struct verify){
		.state = VERIFY_RUNNING, .repair = options->repair, .source = source};
	*job = (struct copy_job){.progress = {.total = mirror->super.data_size}};
	log_info("volume %s: verify begins%s", mirror->volume,
		 options->repair ? ", and mends what differs" : "");
	copy_pump(copy);
	return 0;
}

int mirror_verify_end(struct mirror *mirror)
{
	struct mirror_copy *copy = mirror->copy;

	if (copy->verify.state != VERIFY_RUNNING)
		return ENOENT;
	finish(copy, VERIFY_STOPPED, "");
	copy_pump(copy);
	return 0;
}

/* ---- status ---- */

static json_t *names_of(const struct mirror *mirror, mirror_mask nodes)
{
	json_t *names = json_array();

	for (; nodes; nodes &= nodes - 1)
		json_array_append_new(names, json_string(mirror->nodes[__builtin_ctz(nodes)].name));
	return names;
}

static json_t *findings_status(const struct mirror_copy *copy)
{
	static const char *const names[] = {
		[FINDING_DIFFERS] = "differs",
		[FINDING_MENDED] = "mended",
		[FINDING_UNREADABLE] = "unreadable",
	};
	json_t *array = json_array();

	for (unsigned i = 0; i < copy->verify.finding_count; i++) {
		const struct verify_finding *finding = &copy->verify.findings[i];

		json_array_append_new(array, json_pack("{s:I, s:I, s:s, s:o}", "offset",
						       (json_int_t)finding->range.offset, "length",
						       (json_int_t)finding->range.length, "state",
						       names[finding->state], "nodes",
						       names_of(copy->mirror, finding->nodes)));
	}
	return array;
}

json_t *verify_status(const struct mirror_copy *copy)
{
	const struct verify *verify = &copy->verify;
	json_t *status;

	if (verify->state == VERIFY_NONE)
		return NULL;
	status = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "job", "verify", "state",
			   copy->paused && verify->state == VERIFY_RUNNING
				   ? "paused"
				   : state_names[verify->state],
			   "repair", (int)verify->repair, "differing",
			   (json_int_t)verify->bytes[FINDING_DIFFERS], "mended",
			   (json_int_t)verify->bytes[FINDING_MENDED], "unreadable",
			   (json_int_t)verify->bytes[FINDING_UNREADABLE], "findings_left_out",
			   (json_int_t)verify->left_out, "findings", findings_status(copy));
	if (verify->source != MIRROR_NO_SLOT)
		json_object_set_new(status, "source",
				    json_string(copy->mirror->nodes[verify->source].name));
	if (*verify->error)
		json_object_set_new(status, "error", json_string(verify->error));
	return status;
}
