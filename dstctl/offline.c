/* SPDX-License-Identifier: GPL-2.0-or-later */
/* offline.c - see offline.h */
#include "dstctl/offline.h"

#include "common/clock.h"
#include "common/log.h"
#include "dstctl/human.h"
#include "dstctl/progress.h"
#include "dstfs/assemble.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE (10 * CLOCK_SEC) /* until a node must have answered */
#define WINDOWS 8u /* that are compared at the same time */

struct offline_io {
	struct request request;
	struct offline *o;
	struct buf *buf; /* WRITE: its data */
	uint8_t *into; /* READ, HASH: where it goes */
	int error;
};

/* ---- the configuration ---- */

static const struct volume_config *find_volume(const struct offline *o, const char *name)
{
	const struct volume_config *v = o->options.volumes;

	while (v && strcmp(v->name, name) != 0)
		v = v->next;
	return v;
}

static void set_policy(struct target_policy *policy, const struct volume_options *options,
		       bool read_only)
{
	policy->timeout = options->timeout;
	policy->resends = options->resends == OPTIONS_FOREVER ? 2 : options->resends;
	policy->reconnect = options->reconnect;
	policy->ping = options->ping;
	policy->ping_timeout = options->ping_timeout;
	policy->retain = options->retain;
	policy->checksum = options->checksum;
	policy->read_only = read_only;
}

static enum exit_status refuse(const char *text)
{
	char *clean = human_clean(human_format("%s", text));

	fprintf(stderr, "dstctl: %s\n", clean);
	free(clean);
	return EXIT_FAILED;
}

enum exit_status offline_begin(struct offline *o, const char *config, const char *volume,
			       bool read_only)
{
	char reason[CONF_REASON_MAX], host[128] = "";
	char text[CONF_REASON_MAX + 300];

	memset(o, 0, sizeof(*o));
	log_init("dstctl", LOG_LEVEL_ERROR);
	if (options_load(&o->options, config, reason, sizeof(reason))) {
		refuse(reason);
		return EXIT_USAGE;
	}
	o->volume = find_volume(o, volume);
	if (!o->volume || !offline_next(o, NULL)) {
		snprintf(text, sizeof(text),
			 o->volume ? "%s: volume %.255s has no mirror"
				   : "%s: there is no volume %.255s",
			 o->options.config_file, volume);
		options_free(&o->options);
		return refuse(text);
	}
	gethostname(host, sizeof(host) - 1);
	snprintf(o->client, sizeof(o->client), "%s:dstctl", host);
	set_policy(&o->policy, &o->volume->options, read_only);
	if (worker_init(&o->worker, 0))
		human_no_memory();
	return EXIT_OK;
}

void offline_end(struct offline *o)
{
	offline_close(o);
	worker_destroy(&o->worker);
	options_free(&o->options);
}

/* Counts down to the mirror of that number, inner ones first. */
static const struct map_config *nth_mirror(const struct map_config *tree, unsigned *n)
{
	const struct map_config *found = NULL;

	for (const struct map_config *child = tree->children; child && !found; child = child->next)
		found = nth_mirror(child, n);
	if (!found && tree->kind == MAP_MIRROR && !(*n)--)
		found = tree;
	return found;
}

const struct map_config *offline_next(const struct offline *o, const struct map_config *mirror)
{
	const struct map_config *found;

	for (unsigned i = 0;; i++) {
		unsigned n = i;

		found = nth_mirror(o->volume->tree, &n);
		if (!found || !mirror)
			return found;
		if (found == mirror)
			mirror = NULL; /* the next one is it */
	}
}

/* ---- opening ---- */

static void on_changed(void *arg)
{
	struct offline *o = arg;

	loop_stop(o->worker.loop);
}

static void on_timeout(void *arg)
{
	struct offline *o = arg;

	o->timed_out = true;
	loop_stop(o->worker.loop);
}

bool offline_ready(const struct offline *o, unsigned part)
{
	const struct target *target = o->parts[part].target;

	return target && target->state == TARGET_READY && target->size;
}

static bool all_answered(const struct offline *o)
{
	for (unsigned i = 0; i < o->count; i++)
		if (o->parts[i].target && !offline_ready(o, i) &&
		    o->parts[i].target->state != TARGET_REFUSED)
			return false;
	return true;
}

static void open_part(struct offline *o, const struct map_config *child)
{
	struct offline_part *part = &o->parts[o->count++];
	const struct assembly assembly = {
		.config = o->volume,
		.workers = &o->worker,
		.worker_count = 1,
		.policy = &o->policy,
		.client = o->client,
		.reason = part->reason,
		.reason_size = sizeof(part->reason),
	};

	assemble_name(child, part->name, sizeof(part->name));
	part->target = assemble_part(&assembly, child, on_changed, o);
}

void offline_open(struct offline *o, const struct map_config *mirror)
{
	offline_close(o);
	o->mirror = mirror;
	for (const struct map_config *child = mirror->children; child; child = child->next)
		open_part(o, child);
	if (loop_timer_init(&o->timer, o->worker.loop, on_timeout, o))
		human_no_memory();
	o->timed_out = false;
	loop_timer_set(&o->timer, PATIENCE);
	while (!o->timed_out && !all_answered(o))
		loop_run(o->worker.loop);
	loop_timer_destroy(&o->timer);
	for (unsigned i = 0; i < o->count; i++) {
		struct offline_part *part = &o->parts[i];

		if (!part->target || offline_ready(o, i))
			continue;
		part->target->ops->reason(part->target, part->reason, sizeof(part->reason));
		if (!*part->reason)
			snprintf(part->reason, sizeof(part->reason), "it doesn't answer");
	}
}

static void on_detached(void *arg)
{
	struct offline *o = arg;

	o->pending--;
	loop_stop(o->worker.loop);
}

static void run_pending(struct offline *o)
{
	while (o->pending)
		loop_run(o->worker.loop);
}

void offline_close(struct offline *o)
{
	for (unsigned i = 0; i < o->count; i++) {
		struct target *target = o->parts[i].target;

		if (!target || !target->ops->detach || target->state != TARGET_READY)
			continue;
		o->pending++;
		target->ops->detach(target, on_detached, o);
		run_pending(o);
	}
	for (unsigned i = 0; i < o->count; i++)
		target_destroy(&o->parts[i].target);
	memset(o->parts, 0, sizeof(o->parts));
	o->count = 0;
}

/* ---- requests ---- */

static void io_done(struct request *request, int error)
{
	struct offline_io *io = (struct offline_io *)request; /* the first member */

	io->error = error;
	if (!error && request->type == REQUEST_READ)
		memcpy(io->into, request->data, request->range.length);
	if (!error && request->type == REQUEST_HASH)
		memcpy(io->into, request->hash, DST_HASH_SIZE);
	buf_unref(&io->buf);
	if (!--io->o->pending)
		loop_stop(io->o->worker.loop);
}

static void io_submit(struct offline *o, struct offline_io *io, unsigned part)
{
	io->o = o;
	io->request.worker = &o->worker;
	io->request.done = io_done;
	o->pending++;
	target_submit(o->parts[part].target, &io->request);
}

/* One by itself. */
static int io_run(struct offline *o, struct offline_io *io, unsigned part)
{
	if (!offline_ready(o, part))
		return ENOTCONN;
	io_submit(o, io, part);
	run_pending(o);
	return io->error;
}

int offline_read(struct offline *o, unsigned part, uint64_t offset, void *into, size_t size)
{
	struct offline_io io = {.request = {.type = REQUEST_READ, .range = {offset, size}},
				.into = into};

	return io_run(o, &io, part);
}

int offline_write(struct offline *o, unsigned part, uint64_t offset, const void *data, size_t size)
{
	struct offline_io io = {
		.request = {.type = REQUEST_WRITE, .range = {offset, size}, .fua = true},
		.buf = buf_get(o->worker.bufs),
	};

	if (!io.buf)
		return ENOMEM;
	memcpy(io.buf->data, data, size);
	io.request.buf = io.buf;
	io.request.data = io.buf->data;
	return io_run(o, &io, part);
}

int offline_flush(struct offline *o, unsigned part)
{
	struct offline_io io = {.request = {.type = REQUEST_FLUSH}};

	return io_run(o, &io, part);
}

/* ---- comparing ---- */

struct window {
	struct range range;
	struct offline_io ios[MIRROR_MAX_NODES];
	uint8_t hashes[MIRROR_MAX_NODES][DST_HASH_SIZE];
};

static void hash_window(struct offline *o, struct window *w, unsigned parts)
{
	for (unsigned i = 0; i < o->count; i++) {
		if (!(parts & 1u << i))
			continue;
		w->ios[i] = (struct offline_io){
			.request = {.type = REQUEST_HASH, .range = w->range}, .into = w->hashes[i]};
		io_submit(o, &w->ios[i], i);
	}
}

static int judge_window(const struct offline *o, const struct window *w, unsigned parts,
			unsigned first, unsigned *others, unsigned *failed)
{
	*others = 0;
	for (unsigned i = 0; i < o->count; i++) {
		if (!(parts & 1u << i))
			continue;
		if (w->ios[i].error) {
			*failed = i;
			return w->ios[i].error;
		}
		if (memcmp(w->hashes[i], w->hashes[first], DST_HASH_SIZE) != 0)
			*others |= 1u << i;
	}
	return 0;
}

int offline_compare(struct offline *o, unsigned parts, unsigned first, uint64_t size,
		    int (*differs)(void *arg, struct range range, unsigned others), void *arg,
		    unsigned *failed)
{
	struct window *windows = calloc(WINDOWS, sizeof(*windows));
	struct range left = {0, size};
	struct progress progress;
	unsigned others;
	int error = 0;

	if (!windows)
		human_no_memory();
	progress_begin(&progress, "comparing", 0, size);
	while (left.length && !error) {
		unsigned count = 0;

		for (; count < WINDOWS && left.length; count++) {
			windows[count].range = range_head(left, OFFLINE_WINDOW);
			range_advance(&left, windows[count].range.length);
			hash_window(o, &windows[count], parts);
		}
		run_pending(o);
		for (unsigned i = 0; i < count && !error; i++) {
			error = judge_window(o, &windows[i], parts, first, &others, failed);
			if (!error && others)
				error = differs(arg, windows[i].range, others);
		}
		progress_show(&progress, left.offset);
	}
	progress_end(&progress);
	free(windows);
	return error;
}
