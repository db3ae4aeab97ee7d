/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_join.c - nodes that come are read and judged. Before the mirror runs, all of them together
 * (mirror_start.h); then each by itself against the mirror as it is.
 */
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_RETRY CLOCK_SEC /* of a node that failed; doubled each time */
#define MOST_RETRY (300 * CLOCK_SEC)
#define HEAR_PATIENCE CLOCK_SEC /* at the start, with nodes that say nothing at all */

struct node_reading {
	struct mirror_node *node;
	struct mirror_batch *batch; /* the reads */
	uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK];
};

/* ---- a running mirror's node that is back ---- */

static void refuse(struct mirror_node *node, const char *reason)
{
	node->state = MIRROR_NODE_REFUSED;
	mirror_node_set_reason(node, reason);
	log_error("volume %s: %s is not used: %s", node->mirror->volume, node->name, reason);
}

/* NULL, or what speaks against it. Finds its slot. */
static const char *judge_one(struct mirror_node *node)
{
	struct mirror *mirror = node->mirror;
	const struct mirror_super *found = &node->found;
	const struct mirror_member *member = &mirror->super.members[found->self];
	struct mirror_node *other;

	if (node->blank)
		return "it holds no mirror: a new or replaced medium. dstctl mirror replace VOLUME "
		       "NODE makes it a member, and overwrites it";
	if (memcmp(found->set, mirror->super.set, DST_ID_SIZE) != 0)
		return "it belongs to another mirror: dstctl mirror replace VOLUME NODE --force "
		       "makes it a member of this one, and overwrites it";
	if (member->state == MIRROR_FREE ||
	    memcmp(member->id, found->members[found->self].id, DST_ID_SIZE) != 0)
		return "it is not a member any more: dstctl mirror replace VOLUME NODE --force "
		       "makes it one, and overwrites it";
	if (mirror_data_size(node->size) < mirror->super.data_size)
		return "it is smaller than the mirror is by now";
	other = mirror_node_of_slot(mirror, found->self);
	if (other && other != node)
		return "another node is the same member: one of them is a copy";
	if (node->target->size < mirror_least_size(&mirror->super))
		return "it is smaller than the mirror needs";
	if (!mirror_generation_contains(&mirror->super, found->generation.uuid))
		return "split brain: it was written to without the others. Nothing is merged; "
		       "dstctl mirror resolve VOLUME --keep NODE chooses which to keep";
	return NULL;
}

/* Durably inconsistent, on all and on itself, before anything is copied to it. */
static bool become_inconsistent(struct mirror *mirror, struct mirror_change *change,
				struct mirror_super *super, int *error)
{
	struct mirror_node *node = change->arg;

	if (super->members[node->slot].state != MIRROR_ABSENT ||
	    super->members[node->slot].detached || super->members[node->slot].suspended ||
	    node->target->state != TARGET_READY)
		return false;
	super->members[node->slot].state = MIRROR_INCONSISTENT;
	super->members[node->slot].full |= node->aged;
	return true;
}

static void on_joined(struct mirror *mirror, struct mirror_change *change, int error)
{
	struct mirror_node *node = change->arg;

	node->changing = false;
	if (node->state == MIRROR_NODE_FAILED)
		mirror_join_lost(node);
	mirror_home_poke(mirror);
}

static void read_node(struct mirror_node *node, uint64_t size);

/* It may have grown, and have its superblocks elsewhere: true if that is being looked at. */
static bool read_elsewhere(struct mirror_node *node)
{
	uint64_t size = node->blank ? mirror_size_to_try(node) : 0;

	if (!size)
		return false;
	node->tried[node->tried_count++] = size;
	node->read = false;
	read_node(node, size);
	return true;
}

/* By command, until another one. */
static bool is_kept_out(struct mirror_node *node)
{
	const struct mirror_member *member = &node->mirror->super.members[node->slot];

	if (member->state != MIRROR_ABSENT || !(member->detached || member->suspended))
		return false;
	node->state = member->detached ? MIRROR_NODE_DETACHED : MIRROR_NODE_SUSPENDED;
	return true;
}

static void join_one(struct mirror_node *node)
{
	struct mirror *mirror = node->mirror;
	const char *wrong;

	if (read_elsewhere(node))
		return;
	wrong = judge_one(node);
	node->read = false;
	if (wrong) {
		refuse(node, wrong);
		return;
	}
	node->slot = node->found.self;
	if (node->aged)
		log_warn("volume %s: %s has an older superblock than it had acknowledged, so it "
			 "was put back or has lost something: all of it is compared",
			 mirror->volume, node->name);
	if (is_kept_out(node))
		return;
	if (mirror->super.members[node->slot].state != MIRROR_ABSENT || mirror->read_only) {
		mirror_node_set_reason(node, "it may lack data, and is not brought up to date "
					     "while nothing is written");
		mirror_join_lost(node); /* looked at again later */
		return;
	}
	node->state = MIRROR_NODE_FAILED;
	node->changing = true;
	node->change =
		(struct mirror_change){.edit = become_inconsistent, .done = on_joined, .arg = node};
	mirror_change_submit(mirror, &node->change);
}

void mirror_join_lost(struct mirror_node *node)
{
	node->state = MIRROR_NODE_FAILED;
	node->retry_delay = node->retry_delay ? 2 * node->retry_delay : LEAST_RETRY;
	if (node->retry_delay > MOST_RETRY)
		node->retry_delay = MOST_RETRY;
	node->retry_at = clock_now() + node->retry_delay;
	mirror_home_later(node->mirror, node->retry_delay);
}

void mirror_look_again(struct mirror *mirror, struct mirror_node *node)
{
	if (node->state == MIRROR_NODE_IN_SYNC || node->state == MIRROR_NODE_RESYNC)
		return;
	node->state = MIRROR_NODE_UNKNOWN;
	node->read = false;
	node->retry_delay = node->retry_at = 0;
	mirror_home_poke(mirror);
}

/* ---- reading ---- */

static void on_read(struct mirror_batch *batch, void *arg)
{
	struct node_reading *reading = arg;
	struct mirror_node *node = reading->node;
	struct mirror *mirror = node->mirror;

	node->reading = false;
	if (node->state != MIRROR_NODE_UNKNOWN) {
		; /* a command has come between */
	} else if (mirror_batch_failed(batch)) {
		mirror_node_set_reason(node, "its superblocks can't be read");
		mirror_join_lost(node);
	} else {
		mirror_node_judge(node, (const uint8_t(*)[MIRROR_MAP_BLOCK])reading->copies);
		if (node->read && mirror->phase == MIRROR_RUNNING && !mirror->ending)
			join_one(node);
		mirror->work->joining.judged = false;
	}
	mirror_batch_free(&batch);
	free(reading);
	mirror_home_poke(mirror);
}

static void on_losses_told(struct mirror_batch *flush, void *arg)
{
	struct node_reading *reading = arg;

	mirror_batch_free(&flush);
	mirror_batch_run(reading->batch);
}

/* What it has lost before is copied to it; the flush that fails for that is this one. */
static void forget_losses(struct node_reading *reading)
{
	struct mirror *mirror = reading->node->mirror;
	struct mirror_batch *flush = mirror_batch_new(mirror, on_losses_told, reading);

	if (flush && !mirror_batch_flush(flush, MIRROR_BIT(reading->node->index))) {
		mirror_batch_run(flush);
		return;
	}
	mirror_batch_free(&flush);
	mirror_batch_run(reading->batch);
}

static void read_node(struct mirror_node *node, uint64_t size)
{
	struct mirror *mirror = node->mirror;
	struct node_reading *reading = malloc(sizeof(*reading));
	struct mirror_batch *batch = reading ? mirror_batch_new(mirror, on_read, reading) : NULL;

	node->size = size;
	if (node->size < MIRROR_MIN_SIZE) {
		free(reading);
		mirror_batch_free(&batch);
		refuse(node, "it is too small for a mirror");
		return;
	}
	if (!batch || mirror_supers_read(batch, node, reading->copies)) {
		mirror_batch_free(&batch);
		free(reading);
		mirror_out_of_memory(mirror);
		return;
	}
	reading->node = node;
	reading->batch = batch;
	node->reading = true;
	node->losses_seen = target_losses(node->target);
	forget_losses(reading);
}

/* ---- the start ---- */

bool mirror_all_heard(const struct mirror *mirror)
{
	if (mirror->phase == MIRROR_STARTING)
		return false;
	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];
		bool there = node->target->state == TARGET_READY;

		if (node->removed)
			continue;
		if (there ? mirror->phase == MIRROR_WAITING && !node->read &&
				    node->state != MIRROR_NODE_REFUSED
			  : !node->heard)
			return false;
	}
	return true;
}

/* 0, or an errno if it isn't known what the witness says. */
static int load_witness(struct mirror *mirror)
{
	struct mirror_witness_store *store = mirror->witness_store;
	int error = 0;

	if (mirror->witness_loaded)
		return 0;
	mirror->witness = (struct mirror_witness){.known = false};
	if (store)
		error = store->ops->load(store, &mirror->witness);
	mirror->witness_loaded = !error;
	return error;
}

/* Have all been read that could be? */
static bool all_read(const struct mirror *mirror)
{
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (!mirror->nodes[i].read && !mirror->nodes[i].removed &&
		    mirror->nodes[i].state != MIRROR_NODE_REFUSED)
			return false;
	return true;
}

/* Is somebody still to be heard of, whom it would be rash to call missing? */
static bool listening(const struct mirror *mirror, uint64_t now)
{
	const struct mirror_joining *j = &mirror->work->joining;
	uint64_t begun = j->wait_until - mirror->options.start_wait;

	return now < j->wait_until && now - begun < HEAR_PATIENCE && !all_read(mirror) &&
	       !mirror_all_heard(mirror);
}

static unsigned fill_found(struct mirror *mirror)
{
	struct mirror_joining *j = &mirror->work->joining;
	unsigned present = 0;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		const struct mirror_node *node = &mirror->nodes[i];

		j->found[i] = (struct mirror_found){.name = node->name,
						    .present = node->read,
						    .blank = node->blank,
						    .super = node->found};
		present += node->read;
	}
	return present;
}

static void judge(struct mirror *mirror)
{
	struct mirror_joining *j = &mirror->work->joining;
	unsigned present = fill_found(mirror);
	uint64_t now = clock_now();
	int error = load_witness(mirror);
	enum mirror_verdict verdict;

	if (listening(mirror, now)) {
		mirror_home_later(mirror, HEAR_PATIENCE);
		return;
	}
	j->judged = true;
	if (error && !mirror->options.start.force && !mirror->options.start.resolve) {
		mirror_set_reason(mirror,
				  "the witness can't be read: %s; to start without it: dstctl "
				  "mirror start VOLUME --force",
				  strerror(error));
		mirror->refused = true;
		return;
	}
	if (!present) {
		mirror_set_reason(mirror, "%s", ""); /* what the nodes say tells more */
		return;
	}
	verdict = mirror_start_judge(&j->start, j->found, mirror->node_count, &mirror->witness,
				     &mirror->options.start);
	mirror->refused = verdict == MIRROR_START_SPLIT || verdict == MIRROR_START_ALTERNATE ||
			  (verdict == MIRROR_START_BROKEN && all_read(mirror));
	if (verdict) {
		mirror_set_reason(mirror, "%s", j->start.text);
		mirror_resolve_over(mirror, j->start.text);
	} else if (all_read(mirror) || now >= j->wait_until) {
		if (j->start.forced)
			log_warn("volume %s: %s", mirror->volume, j->start.text);
		mirror_begin(mirror);
	} else {
		mirror_set_reason(mirror, "members are missing; it starts without them soon");
		mirror_home_later(mirror, j->wait_until - now);
		j->judged = false;
	}
}

void mirror_join_start(struct mirror *mirror)
{
	mirror->work->joining.wait_until = clock_now() + mirror->options.start_wait;
	mirror_home_poke(mirror);
}

/* ---- who came, who went ---- */

static void look_at(struct mirror_node *node)
{
	bool ready = node->target->state == TARGET_READY && node->target->size;

	if (node->removed)
		return;
	if (node->state == MIRROR_NODE_FAILED && clock_now() >= node->retry_at && ready &&
	    !node->changing)
		node->state = MIRROR_NODE_UNKNOWN;
	if (node->state == MIRROR_NODE_REFUSED && !ready)
		node->state = MIRROR_NODE_UNKNOWN;
	if (node->state == MIRROR_NODE_UNKNOWN && !ready && node->read) {
		node->read = false;
		node->mirror->work->joining.judged = false;
	}
	if (node->state == MIRROR_NODE_UNKNOWN && ready && !node->read && !node->reading) {
		node->tried_count = 0;
		read_node(node, node->target->size);
	}
}

/*
 * Who has lost what it acknowledged leaves, and gets it from the others. If all have, nobody can tell
 * what was right: a failed fsync tells the user, and what they may have lost is made equal.
 */
static void look_for_losses(struct mirror *mirror)
{
	mirror_mask lossy = mirror_lossy(mirror, mirror->write_set);
	uint64_t losses[MIRROR_MAX_NODES];

	if (!lossy || mirror->busy || mirror->unrecorded || mirror->read_only)
		return;
	if (mirror->read_set & ~lossy) {
		mirror_report_failed(mirror, lossy);
		return;
	}
	/* What one that is being resynced had got already only its map can tell, when it comes back. */
	if (lossy & ~mirror->read_set)
		mirror_report_failed(mirror, lossy & ~mirror->read_set);
	lossy &= mirror->read_set;
	log_error("volume %s: all nodes that were in sync have lost acknowledged writes that were "
		  "not flushed: the next fsync fails, and what they may have lost is made equal",
		  mirror->volume);
	for (mirror_mask rest = lossy; rest; rest &= rest - 1) /* first: later ones are new */
		losses[__builtin_ctz(rest)] =
			target_losses(mirror->nodes[__builtin_ctz(rest)].target);
	atomic_fetch_add(&mirror->losses, 1);
	atomic_fetch_add(&mirror->suspect_reports, 1);
	mirror_bits_or(&mirror->suspect, &mirror->marked); /* first: they are read again then */
	for (mirror_mask rest = lossy; rest; rest &= rest - 1)
		mirror->nodes[__builtin_ctz(rest)].losses_seen = losses[__builtin_ctz(rest)];
	mirror->suspects = true;
}

void mirror_join_look(struct mirror *mirror)
{
	if (mirror->phase != MIRROR_WAITING && mirror->phase != MIRROR_RUNNING)
		return;
	if (mirror->phase == MIRROR_RUNNING)
		look_for_losses(mirror);
	for (unsigned i = 0; i < mirror->node_count; i++)
		look_at(&mirror->nodes[i]);
	if (mirror->phase != MIRROR_WAITING || mirror->work->joining.judged)
		return;
	load_witness(mirror);
	for (unsigned i = 0; i < mirror->node_count; i++)
		if (mirror->nodes[i].read)
			read_elsewhere(&mirror->nodes[i]);
	judge(mirror);
}
