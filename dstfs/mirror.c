/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.c - see mirror.h and mirror_impl.h. The target: its states, what is told of it, its life. */
#include "dstfs/mirror_copy.h"
#include "dstfs/mirror_home.h"
#include "dstfs/mirror_order.h"
#include "dstfs/mirror_port.h"

#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mirror *from_base(struct target *target)
{
	return (struct mirror *)target; /* base is the first member */
}

const char *mirror_node_state_name(enum mirror_node_state state)
{
	static const char *const names[] = {
		[MIRROR_NODE_UNKNOWN] = "unknown",     [MIRROR_NODE_REFUSED] = "refused",
		[MIRROR_NODE_DETACHED] = "detached",   [MIRROR_NODE_FAILED] = "absent",
		[MIRROR_NODE_RESYNC] = "resyncing",    [MIRROR_NODE_IN_SYNC] = "in-sync",
		[MIRROR_NODE_SUSPENDED] = "suspended",
	};

	return names[state];
}

static const char *phase_name(enum mirror_phase phase)
{
	static const char *const names[] = {
		[MIRROR_WAITING] = "waiting",   [MIRROR_STARTING] = "starting",
		[MIRROR_RUNNING] = "running",   [MIRROR_FENCED] = "fenced",
		[MIRROR_DETACHED] = "detached",
	};

	return names[phase];
}

struct mirror_node *mirror_node_of_slot(struct mirror *mirror, unsigned slot)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].slot == slot)
			return &mirror->nodes[i];
	return NULL;
}

struct mirror_node *mirror_find_node(struct mirror *mirror, const char *name)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (!mirror->nodes[i].removed && !strcmp(mirror->nodes[i].name, name))
			return &mirror->nodes[i];
	return NULL;
}

/* ---- states ---- */

/* Has each node that may come answered, or failed to, and is it known what those that did hold? */
static bool is_settled(const struct mirror *mirror)
{
	bool settled = mirror_all_heard(mirror);

	for (unsigned i = 0; i < mirror->node_count; i++)
		settled &= mirror->nodes[i].target->state != TARGET_READY ||
			   mirror->nodes[i].read || mirror->nodes[i].state != MIRROR_NODE_UNKNOWN;
	return settled;
}

/* That nodes come one by one is no news. With the lock held. */
static void log_reason(struct mirror *mirror)
{
	bool running = mirror->phase == MIRROR_RUNNING;

	if (!strcmp(mirror->reason_told, mirror->reason) ||
	    (*mirror->reason && !running && !mirror->refused && !is_settled(mirror)))
		return;
	memcpy(mirror->reason_told, mirror->reason, sizeof(mirror->reason));
	if (running && !*mirror->reason)
		log_info("volume %s: writing goes on", mirror->volume);
	for (const char *line = mirror->reason, *end; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		log_write(running ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "volume %s: %s%.*s",
			  mirror->volume,
			  running ? "" : "the mirror doesn't start yet: ", (int)(end - line), line);
	}
}

void mirror_set_reason(struct mirror *mirror, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	pthread_mutex_lock(&mirror->reason_lock);
	vsnprintf(mirror->reason, sizeof(mirror->reason), format, list);
	log_reason(mirror);
	pthread_mutex_unlock(&mirror->reason_lock);
	va_end(list);
}

void mirror_one_line(const char *lines, char *line, size_t size)
{
	size_t used = 0;

	for (; *lines && used + 3 < size; lines++) {
		if (*lines == '\n') {
			line[used++] = ';';
			line[used++] = ' ';
		} else {
			line[used++] = *lines;
		}
	}
	line[used] = '\0';
}

void mirror_node_set_reason(struct mirror_node *node, const char *reason)
{
	pthread_mutex_lock(&node->mirror->reason_lock);
	snprintf(node->reason, sizeof(node->reason), "%s", reason);
	pthread_mutex_unlock(&node->mirror->reason_lock);
}

void mirror_set_phase(struct mirror *mirror, enum mirror_phase phase)
{
	if (mirror->phase == phase)
		return;
	log_debug("volume %s: mirror: %s -> %s", mirror->volume, phase_name(mirror->phase),
		  phase_name(phase));
	mirror->phase = phase;
	mirror_update_base(mirror);
}

static bool any_in_sync_ready(const struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->read_set & MIRROR_BIT(i) &&
		    mirror->nodes[i].target->state == TARGET_READY)
			return true;
	return false;
}

static enum target_state base_state(const struct mirror *mirror)
{
	enum mirror_phase phase = mirror->phase;

	switch (phase) {
	case MIRROR_FENCED:
		return TARGET_FENCED;
	case MIRROR_DETACHED:
		return TARGET_STOPPED;
	case MIRROR_RUNNING:
		return any_in_sync_ready(mirror) ? TARGET_READY : TARGET_AWAY;
	default:
		return mirror->refused ? TARGET_REFUSED : TARGET_CONNECTING;
	}
}

void mirror_update_base(struct mirror *mirror)
{
	enum target_state state = base_state(mirror);
	uint64_t size = mirror->phase == MIRROR_RUNNING && !mirror->work->resizing.active
				? mirror->super.data_size
				: mirror->base.size;
	bool writable = !mirror->read_only;
	bool heard = mirror_all_heard(mirror);

	if (mirror->ending || (state == mirror->base.state && size == mirror->base.size &&
			       writable == mirror->base.writable && heard == mirror->all_heard))
		return;
	mirror->all_heard = heard;
	pthread_mutex_lock(&mirror->reason_lock);
	log_reason(mirror);
	pthread_mutex_unlock(&mirror->reason_lock);
	mirror->base.writable = writable;
	mirror->base.size = size;
	mirror->base.state = state;
	mirror->base.changed(mirror->base.changed_arg);
}

/* ---- fences ---- */

/* Does it concern us who else writes to this node? */
static bool is_ours(const struct mirror_node *node)
{
	return !node->removed && node->state != MIRROR_NODE_DETACHED &&
	       node->state != MIRROR_NODE_REFUSED && node->state != MIRROR_NODE_SUSPENDED;
}

static const struct mirror_node *fenced_node(const struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].target->state == TARGET_FENCED && is_ours(&mirror->nodes[i]))
			return &mirror->nodes[i];
	return NULL;
}

bool mirror_check_fence(struct mirror *mirror)
{
	const struct mirror_node *node = fenced_node(mirror);

	if (!node || mirror->phase == MIRROR_DETACHED)
		return mirror->phase == MIRROR_FENCED;
	if (atomic_exchange(&mirror->phase, MIRROR_FENCED) != MIRROR_FENCED) {
		log_error("volume %s: %s is fenced: another writer has taken over; all fails until "
			  "the volume is attached again",
			  mirror->volume, node->name);
		mirror_home_poke(mirror);
	}
	return true;
}

static void on_copying_stopped(void *arg)
{
	struct mirror *mirror = arg;

	mirror->copy_stopped = true;
	mirror_home_poke(mirror);
}

/* Another may have written: once all is quiet, and no node is fenced any more, it begins anew. */
void mirror_look_fenced(struct mirror *mirror)
{
	if (!mirror->fence_noted) {
		mirror->fence_noted = true;
		mirror->copy_stopped = false;
		mirror_set_reason(mirror, "%s", "");
		mirror_changes_cancel(mirror);
		mirror_resize_stop(mirror);
		mirror_clear_abort(mirror);
		mirror_wake_ports(mirror);
		mirror_copy_stop(mirror, on_copying_stopped, mirror);
	}
	if (fenced_node(mirror) || mirror->busy || mirror->batches || !mirror->copy_stopped)
		return;
	if (mirror_users_inflight(mirror)) {
		mirror_wake_ports(mirror);
		mirror_home_later(mirror, MIRROR_RETRY_INTERVAL);
		return;
	}
	mirror_copy_destroy(mirror);
	if (mirror_copy_init(mirror)) {
		mirror_out_of_memory(mirror);
		return;
	}
	for (unsigned i = 0; i < mirror->node_count; i++) {
		mirror->nodes[i].state = MIRROR_NODE_UNKNOWN;
		mirror->nodes[i].read = false;
	}
	mirror->read_set = mirror->write_set = 0;
	mirror->fence_noted = mirror->witness_loaded = mirror->work->joining.judged = false;
	mirror_set_phase(mirror, MIRROR_WAITING);
	mirror_join_start(mirror);
}

static int mirror_reattach(struct target *target, bool takeover)
{
	struct mirror *mirror = from_base(target);
	int result = EINVAL;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct target *child = mirror->nodes[i].target;

		/* One that was removed may be another's now, or one of the nodes by another name. */
		if (!mirror->nodes[i].removed && child->ops->reattach &&
		    !child->ops->reattach(child, takeover))
			result = 0;
	}
	return result;
}

/* ---- what is told ---- */

static void tell_reason(struct mirror *mirror, char *text, size_t size)
{
	pthread_mutex_lock(&mirror->reason_lock);
	snprintf(text, size, "%s", mirror->reason);
	pthread_mutex_unlock(&mirror->reason_lock);
	if (mirror->base.state == TARGET_READY)
		return;
	for (unsigned i = 0; i < mirror->node_count && !*text; i++) {
		struct target *child = mirror->nodes[i].target;
		char reason[MIRROR_REASON_MAX];

		if (child->state == TARGET_READY || mirror->nodes[i].removed)
			continue;
		child->ops->reason(child, reason, sizeof(reason));
		snprintf(text, size, "%s: %.800s", mirror->nodes[i].name,
			 *reason ? reason : "no answer so far");
	}
}

static void mirror_reason(struct target *target, char *text, size_t size)
{
	char lines[MIRROR_REASON_MAX];

	tell_reason(from_base(target), lines, sizeof(lines));
	mirror_one_line(lines, text, size);
}

/* One word for scripts, of those that dstctl is knows. */
static const char *sync_word(const struct mirror *mirror)
{
	mirror_mask in_sync = mirror->read_set;

	if (mirror->phase != MIRROR_RUNNING || mirror->unrecorded || mirror->no_quorum ||
	    mirror->unmarkable || !any_in_sync_ready(mirror))
		return "failed";
	if (mirror->write_set != in_sync)
		return "resyncing";
	if ((unsigned)__builtin_popcount(in_sync) < mirror->members)
		return "degraded";
	return mirror_bits_sum(&mirror->suspect) ? "resyncing" : "in-sync";
}

static json_t *node_status(struct mirror_node *node)
{
	json_t *status = node->target->ops->status(node->target);
	char reason[sizeof(node->reason)];

	pthread_mutex_lock(&node->mirror->reason_lock);
	memcpy(reason, node->reason, sizeof(reason));
	pthread_mutex_unlock(&node->mirror->reason_lock);
	json_object_set_new(status, "name", json_string(node->name));
	json_object_set_new(status, "sync", json_string(mirror_node_state_name(node->state)));
	json_object_set_new(status, "sync_reason", json_string(reason));
	if (node->since)
		json_object_set_new(
			status, "sync_for_s",
			json_integer((json_int_t)((clock_now() - node->since) / CLOCK_SEC)));
	json_object_set_new(status, "failures",
			    json_integer((json_int_t)counter_get(&node->failures)));
	json_object_set_new(status, "read_errors",
			    json_integer((json_int_t)counter_get(&node->read_errors)));
	return status;
}

static json_t *counters_status(const struct mirror *mirror)
{
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {
		{"marks", offsetof(struct mirror_counters, marks)},
		{"rereads", offsetof(struct mirror_counters, rereads)},
		{"records", offsetof(struct mirror_counters, records)},
	};
	json_t *counters = json_object();

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < mirror->port_count; i++)
			sum += counter_get(
				(counter_t *)((char *)&mirror->ports[i].counters + rows[r].offset));
		json_object_set_new(counters, rows[r].name, json_integer((json_int_t)sum));
	}
	return counters;
}

static json_t *mirror_status(struct target *target)
{
	struct mirror *mirror = from_base(target);
	json_t *nodes = json_array(), *status;
	bool running = mirror->phase == MIRROR_RUNNING;
	char reason[MIRROR_REASON_MAX];

	for (unsigned i = 0; i < mirror->node_count; i++)
		if (!mirror->nodes[i].removed)
			json_array_append_new(nodes, node_status(&mirror->nodes[i]));
	tell_reason(mirror, reason, sizeof(reason));
	status = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:o, s:o}", "map",
			   "mirror", "state", target_state_name(mirror->base.state), "reason",
			   reason, "sync", sync_word(mirror), "size", (json_int_t)mirror->base.size,
			   "writable", (int)mirror->base.writable, "generation",
			   (json_int_t)mirror->generation, "regions",
			   (json_int_t)(running ? mirror->regions : 0), "marked",
			   (json_int_t)(running ? mirror_bits_sum(&mirror->marked) : 0), "suspect",
			   (json_int_t)(running ? mirror_bits_sum(&mirror->suspect) : 0),
			   "counters", counters_status(mirror), "nodes", nodes);
	json_object_set_new(status, "orders", mirror_orders_status(mirror));
	if (running)
		mirror_copy_status(mirror, status);
	return status;
}

static uint64_t mirror_losses(struct target *target)
{
	return from_base(target)->losses;
}

/* ---- life ---- */

static void detach_mirror(struct target *target, void (*done)(void *arg), void *arg)
{
	mirror_detach(from_base(target), done, arg);
}

/* What is posted names the mirror. It posts nothing new by now. */
static void run_posted(struct mirror *mirror)
{
	while (mirror->home_posted)
		loop_run_posted(mirror->home->loop);
	assert(mirror->ports || !mirror->port_count);
	for (unsigned i = 0; i < mirror->port_count; i++) {
		assert(mirror->ports[i].worker);
		while (mirror->ports[i].wake_posted)
			loop_run_posted(mirror->ports[i].worker->loop);
	}
}

/* What is under way at the home ends now, and begins nothing new. */
static void end_work(struct mirror *mirror)
{
	mirror->ending = true;
	run_posted(mirror);
	mirror_orders_abandon(mirror);
	mirror_copy_destroy(mirror);
	mirror_io_cancel(mirror);
	mirror_changes_cancel(mirror);
	mirror_clear_destroy(mirror);
	mirror_resolve_destroy(mirror);
	mirror_resize_destroy(mirror);
	mirror_home_destroy(mirror);
	if (mirror->witness_store)
		mirror->witness_store->ops->close(mirror->witness_store);
	mirror->witness_store = NULL;
}

static void mirror_free(struct mirror *mirror)
{
	if (mirror->work && mirror->regions)
		mirror_marks_destroy(mirror);
	for (unsigned i = 0; i < mirror->port_count; i++)
		mirror_port_destroy(&mirror->ports[i]);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		ranges_free(&mirror->nodes[i].ranges);
	ranges_free(&mirror->ranges);
	mirror_orders_free(&mirror->orders);
	pthread_mutex_destroy(&mirror->reason_lock);
	pthread_mutex_destroy(&mirror->repairs_lock);
	free(mirror->ports);
	free(mirror->work);
	free(mirror->volume);
	free(mirror);
}

static bool mirror_target_destroy(struct target *target)
{
	struct mirror *mirror = from_base(target);
	bool gone = true;

	end_work(mirror);
	mirror->base.state = TARGET_STOPPED;
	for (unsigned i = 0; i < mirror->node_count; i++)
		gone &= target_destroy(&mirror->nodes[i].target);
	if (gone) /* else a stuck disk still holds ranges */
		mirror_free(mirror);
	return gone;
}

static const struct target_ops mirror_ops = {
	.submit = mirror_submit,
	.cancel = mirror_cancel,
	.status = mirror_status,
	.reattach = mirror_reattach,
	.command = mirror_command,
	.reason = mirror_reason,
	.losses = mirror_losses,
	.detach = detach_mirror,
	.destroy = mirror_target_destroy,
};

static int init_rooms(struct mirror *mirror, const struct mirror_setup *setup)
{
	int error = mirror_home_init(mirror);

	if (!error)
		error = mirror_clear_init(mirror);
	if (!error)
		error = mirror_copy_init(mirror);
	while (!error && mirror->port_count < setup->worker_count) {
		struct worker *worker = &setup->workers[mirror->port_count];

		error = mirror_port_init(&mirror->ports[mirror->port_count++], mirror, worker);
	}
	return error;
}

struct target *mirror_new(const struct mirror_setup *setup)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));

	if (!mirror)
		return NULL;
	mirror->base = (struct target){.ops = &mirror_ops,
				       .policy = setup->policy,
				       .state = TARGET_CONNECTING,
				       .writable = true,
				       .patiences = 1,
				       .changed = setup->changed,
				       .changed_arg = setup->changed_arg};
	mirror->workers = setup->workers;
	mirror->home = &setup->workers[0];
	mirror->options = *setup->options;
	mirror->changes_end = &mirror->changes;
	pthread_mutex_init(&mirror->reason_lock, NULL);
	pthread_mutex_init(&mirror->repairs_lock, NULL);
	mirror->volume = strdup(setup->volume);
	mirror->work = calloc(1, sizeof(*mirror->work));
	mirror->ports = calloc(setup->worker_count, sizeof(*mirror->ports));
	mirror->ranges = ranges_new(setup->workers, setup->worker_count);
	mirror->orders = mirror_orders_new(mirror);
	if (!mirror->orders || !mirror->volume || !mirror->work || !mirror->ports ||
	    !mirror->ranges || init_rooms(mirror, setup)) {
		if (mirror->work)
			end_work(mirror);
		mirror_free(mirror);
		return NULL;
	}
	mirror->witness_store = setup->witness;
	return &mirror->base;
}

struct mirror_node *mirror_next_node(struct target *target, const char *name, bool local)
{
	struct mirror *mirror = from_base(target);
	struct mirror_node *node = &mirror->nodes[mirror->node_count];

	if (mirror->node_count == MIRROR_MAX_NODES)
		return NULL;
	ranges_free(&node->ranges);
	*node = (struct mirror_node){.mirror = mirror,
				     .index = mirror->node_count,
				     .local = local,
				     .slot = MIRROR_NO_SLOT,
				     .ranges = ranges_new(mirror->workers, mirror->port_count)};
	snprintf(node->name, sizeof(node->name), "%s", name);
	return node->ranges ? node : NULL;
}

void mirror_node_changed(void *arg)
{
	struct mirror_node *node = arg;

	node->heard = true;
	mirror_home_poke(node->mirror);
}

void mirror_join_node(struct mirror_node *node, struct target *target)
{
	struct mirror *mirror = node->mirror;

	assert(node == &mirror->nodes[mirror->node_count]);
	node->target = target;
	mirror->node_count++;
	/* It fails at one after the other, and so may what records that. */
	mirror->base.patiences += 2 * (target->patiences ? target->patiences : 1);
	if (mirror->started)
		mirror_home_poke(mirror);
}

void mirror_start(struct target *target)
{
	struct mirror *mirror = from_base(target);

	mirror->started = true;
	mirror_join_start(mirror);
}
