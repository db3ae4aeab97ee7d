/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_copy_status.c - what copying tells about itself, see mirror_copy.h. */
#include "dstfs/mirror_copy_impl.h"

/* Adds what all jobs have. `left`: bytes still to be done. */
static void add_progress(json_t *status, const struct copy_progress *progress, uint64_t left)
{
	uint64_t speed = progress->meter.speed;
	uint64_t total = progress->total > left ? progress->total : left;

	json_object_set_new(status, "total", json_integer((json_int_t)total));
	json_object_set_new(status, "done", json_integer((json_int_t)(total - left)));
	json_object_set_new(status, "compared", json_integer((json_int_t)progress->compared));
	json_object_set_new(status, "equal", json_integer((json_int_t)progress->equal));
	json_object_set_new(status, "sent", json_integer((json_int_t)progress->sent));
	json_object_set_new(status, "zeroed", json_integer((json_int_t)progress->zeroed));
	json_object_set_new(status, "speed", json_integer((json_int_t)speed));
	if (speed)
		json_object_set_new(status, "seconds_left",
				    json_integer((json_int_t)((left + speed - 1) / speed)));
}

static json_t *job_status(const struct mirror_copy *copy, const char *name, bool can_pause)
{
	return json_pack("{s:s, s:s}", "job", name, "state",
			 can_pause && copy->paused ? "paused" : "running");
}

static void add_resyncs(const struct mirror_copy *copy, json_t *jobs)
{
	const struct mirror *mirror = copy->mirror;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];
		json_t *status;

		if (node->state != MIRROR_NODE_RESYNC)
			continue;
		status = job_status(copy, "resync", true);
		json_object_set_new(status, "node", json_string(node->name));
		add_progress(status, &copy->resync[i], copy_resync_left(mirror, node));
		json_array_append_new(jobs, status);
	}
}

static void add_equalize(const struct mirror_copy *copy, json_t *jobs)
{
	const struct mirror *mirror = copy->mirror;
	uint64_t left = (uint64_t)mirror_bits_sum(&mirror->suspect) << mirror->region_shift;
	json_t *status;

	if (!left)
		return;
	status = job_status(copy, "equalize", false);
	add_progress(status, &copy->jobs[COPY_EQUALIZE].progress, left);
	json_array_append_new(jobs, status);
}

static void add_repair(const struct mirror_copy *copy, json_t *jobs)
{
	uint64_t left = 0;
	json_t *status;

	for (unsigned i = 0; i < copy->repair_count; i++)
		left += copy->repairs[i].range.length;
	if (!left && !copy->jobs[COPY_REPAIR].tasks)
		return;
	status = job_status(copy, "repair", false);
	add_progress(status, &copy->jobs[COPY_REPAIR].progress, left);
	json_array_append_new(jobs, status);
}

static void add_verify(const struct mirror_copy *copy, json_t *jobs)
{
	const struct copy_progress *progress = &copy->jobs[COPY_VERIFY].progress;
	json_t *status = verify_status(copy);

	if (!status)
		return;
	add_progress(status, progress, progress->total - copy->verify.done);
	json_array_append_new(jobs, status);
}

void mirror_copy_status(struct mirror *mirror, json_t *status)
{
	const struct mirror_copy *copy = mirror->copy;
	const struct copy_progress *all = &copy->all;
	json_t *jobs = json_array();

	if (mirror->regions) {
		add_resyncs(copy, jobs);
		add_equalize(copy, jobs);
		add_repair(copy, jobs);
		add_verify(copy, jobs);
	}
	json_object_set_new(status, "jobs", jobs);
	json_object_set_new(
		status, "copying",
		json_pack("{s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "rate",
			  (json_int_t)copy_rate(copy), "paused", (int)copy->paused, "gives_way",
			  (int)copy_gives_way(copy), "compared", (json_int_t)all->compared, "equal",
			  (json_int_t)all->equal, "sent", (json_int_t)all->sent, "zeroed",
			  (json_int_t)all->zeroed, "repaired", (json_int_t)copy->repaired,
			  "unreadable", (json_int_t)copy->unreadable));
}
