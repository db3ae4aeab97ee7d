/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recovery.c - what happens when the server's instance is another than the one that has acknowledged
 * our writes: they may be gone, unless a flush came after them.
 *
 * First all lanes are gathered: each ends its connection and says HELLO anew. So nothing that was sent
 * before can still happen, what had run is acknowledged and kept, and what had not waits. Then lane 0
 * writes anew what is kept and not durable, in the order in which it was acknowledged, while no lane
 * carries anything else: nobody reads what was lost, and nothing old lands over something new. Then
 * all go on.
 *
 * What can't be brought back (retain = 0, a shared export, no memory, a replay that fails) is told by
 * one failed fsync: a loss.
 */
#include "dstfs/attachment_impl.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_RETRY (100 * CLOCK_MS)

static unsigned long long number(uint64_t n)
{
	return n;
}

uint64_t recovery_unflushed(const struct attachment *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < a->seat_count; i++)
		sum += retain_log_unflushed(lane_log(a->seats[i].lane));
	return sum;
}

/* ---- gathering ---- */

static void begin_round(struct attachment *a, bool by_notice)
{
	char node[URI_TEXT_MAX];
	const char *why = by_notice ? "a flush has failed at the server"
				    : "the server was restarted without a clean stop";

	a->rounds++;
	a->by_notice = by_notice;
	a->replay_due = false;
	a->phase = PHASE_GATHERING;
	for (unsigned i = 0; i < a->seat_count; i++)
		a->seats[i].gathered = false;
	log_warn("%s: %s: acknowledged bytes may be lost; %llu bytes of them are kept and will be "
		 "written anew",
		 attachment_node(a, node), why,
		 number(a->retention.shared ? 0 : recovery_unflushed(a)));
	attachment_show_state(a, false, why);
	attachment_poke_all(a);
}

/* What is gone and not kept: the next fsync tells. While no lane carries anything, so that nobody raises
 * `unkept`. */
static void judge_losses(struct attachment *a)
{
	struct retention *retention = &a->retention;
	char node[URI_TEXT_MAX];

	if (!retention_has_unkept(retention))
		return;
	retention->losses++;
	log_error("%s: about %llu acknowledged bytes may be lost for good, since they were not "
		  "kept: the next fsync fails",
		  attachment_node(a, node), number(retention->unkept_bytes));
	retention->unkept_bytes = 0;
	retention->retain.unkept = 0;
}

void recovery_give_up(struct attachment *a)
{
	struct retention *retention = &a->retention;

	if (!retention_has_kept(retention))
		return;
	retention->unkept_bytes += recovery_unflushed(a);
	retain_give_up(&retention->retain, retention->retain.kept);
}

void recovery_learn(struct attachment *a, const uint8_t instance[DST_ID_SIZE], bool by_notice)
{
	bool known = a->has_instance;

	if (known && !memcmp(a->instance, instance, DST_ID_SIZE)) {
		/* Who takes an export over has it flushed before (proto.h, section 7). */
		if (a->phase == PHASE_ATTACHING && a->has_epoch)
			retain_durable(&a->retention.retain, a->retention.retain.number);
		return;
	}
	memcpy(a->instance, instance, DST_ID_SIZE);
	a->has_instance = true;
	if (!known)
		return;
	a->retention.instances++; /* first: no flush that is under way counts from here on */
	if (a->phase != PHASE_ATTACHING)
		begin_round(a, by_notice);
	else
		judge_losses(a);
}

static void open_lanes(struct attachment *a)
{
	a->phase = PHASE_OPEN;
	attachment_show_state(a, false, "");
	attachment_poke_all(a);
}

void recovery_gathered(struct attachment *a, unsigned index)
{
	if (a->phase != PHASE_GATHERING || a->seats[index].round != a->rounds)
		return; /* its HELLO told an older instance: it is told to say it again */
	a->seats[index].gathered = true;
	if (!a->seats[0].attached)
		return;
	for (unsigned i = 0; i < a->seat_count; i++)
		if (!a->seats[i].gathered)
			return;
	if (a->retention.shared) /* meanwhile: what others wrote since is not undone */
		recovery_give_up(a);
	judge_losses(a);
	if (!retention_has_kept(&a->retention)) {
		open_lanes(a);
		return;
	}
	a->phase = PHASE_REPLAYING;
	a->replay_due = true;
	attachment_show_state(a, false, "writing anew what the server has lost");
	lane_poke(a->seats[0].lane);
}

/* ---- the replay: lane 0's thread ---- */

static void finish(struct attachment *a, uint64_t pieces, uint64_t bytes, int error)
{
	struct retention *retention = &a->retention;
	char node[URI_TEXT_MAX];

	a->replays++;
	a->replayed_pieces += pieces;
	a->replayed_bytes += bytes;
	if (error) {
		retention->losses++;
		retain_give_up(&retention->retain, retention->retain.number);
		log_error("%s: writing anew what the server lost failed after %llu bytes: %s; the "
			  "next fsync fails",
			  attachment_node(a, node), number(bytes), strerror(error));
	} else {
		log_info("%s: wrote anew what the server had lost: %llu bytes in %llu pieces",
			 attachment_node(a, node), number(bytes), number(pieces));
	}
	open_lanes(a);
}

/* Deferred by `done`: outside of the replay's own calls. */
static void on_replay_end(void *arg)
{
	struct attachment *a = arg;
	uint64_t pieces, bytes;

	replay_progress(a->replay, &pieces, &bytes);
	replay_free(&a->replay);
	pthread_mutex_lock(&a->lock);
	if (a->phase == PHASE_REPLAYING && !a->replay_due)
		finish(a, pieces, bytes, a->replay_error);
	pthread_mutex_unlock(&a->lock);
	a->target->changed(a->target->changed_arg);
}

static void on_replay_done(void *arg, int error)
{
	struct attachment *a = arg;

	a->replay_error = error;
	loop_defer(a->workers[0].loop, &a->replay_end);
}

static void submit_replay(void *arg, struct request *request)
{
	struct attachment *a = arg;

	lane_submit_replay(a->seats[0].lane, request);
}

void recovery_run(struct attachment *a)
{
	bool due;

	pthread_mutex_lock(&a->lock);
	due = a->replay_due;
	a->replay_due = false;
	pthread_mutex_unlock(&a->lock);
	if (!due)
		return;
	for (unsigned i = 0; i < a->seat_count; i++)
		a->logs[i] = lane_log(a->seats[i].lane);
	a->replay = replay_start(&a->workers[0], a->logs, a->seat_count, submit_replay,
				 on_replay_done, a);
	if (a->replay)
		return;
	pthread_mutex_lock(&a->lock);
	a->replay_due = a->phase == PHASE_REPLAYING;
	pthread_mutex_unlock(&a->lock);
	loop_timer_set(&a->replay_retry, REPLAY_RETRY);
}

static void on_replay_retry(void *arg)
{
	recovery_run(arg);
}

void recovery_abandon(struct attachment *a)
{
	loop_defer_cancel(&a->replay_end);
	replay_free(&a->replay);
}

/* ---- life ---- */

int recovery_init(struct attachment *a)
{
	a->replay_end = (struct loop_hook){.callback = on_replay_end, .arg = a};
	a->logs = calloc(a->seat_count, sizeof(struct retain_log *));
	if (!a->logs)
		return ENOMEM;
	return loop_timer_init(&a->replay_retry, a->workers[0].loop, on_replay_retry, a);
}

void recovery_destroy(struct attachment *a)
{
	recovery_abandon(a);
	loop_timer_destroy(&a->replay_retry);
	free(a->logs);
}
