/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attachment_status.c - an attachment as JSON, for people and scripts. */
#include "dstfs/attachment_impl.h"

#include "common/clock.h"

#include <stdio.h>

#define ID_SHOWN 4 /* bytes of ids that people see, like the server's log */

static json_t *id_status(bool known, const uint8_t id[DST_ID_SIZE])
{
	char text[2 * ID_SHOWN + 1] = "";

	for (unsigned i = 0; i < ID_SHOWN && known; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", id[i]);
	return json_string(text);
}

static json_int_t count(const counter_t *counter)
{
	return (json_int_t)counter_get(counter);
}

static json_t *lane_status(const struct lane *lane, unsigned index)
{
	const struct lane_counters *c = lane_get_counters(lane);

	return json_pack("{s:i, s:s, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
			 "worker", (int)index, "state", lane_state_name(lane_get_state(lane)),
			 "inflight", count(&c->inflight), "counters", "messages_out",
			 count(&c->messages_out), "messages_in", count(&c->messages_in), "bytes_in",
			 count(&c->bytes_in), "bytes_out", count(&c->bytes_out), "resends",
			 count(&c->resends), "connects", count(&c->connects), "bad_digests",
			 count(&c->bad_digests), "late_replies", count(&c->late_replies),
			 "executed", count(&c->executed));
}

/* With the lock held. */
static json_t *durability_status(const struct attachment *a)
{
	const struct retention *r = &a->retention;

	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "instance",
			 id_status(a->has_instance, a->instance), "unflushed_bytes",
			 (json_int_t)recovery_unflushed(a), "retained_memory",
			 (json_int_t)r->retain.bytes, "recoveries", (json_int_t)a->rounds,
			 "replays", (json_int_t)a->replays, "replayed_pieces",
			 (json_int_t)a->replayed_pieces, "replayed_bytes",
			 (json_int_t)a->replayed_bytes, "losses", (json_int_t)r->losses,
			 "background_flushes", (json_int_t)r->background_flushes,
			 "background_failures", (json_int_t)r->background_failures);
}

json_t *attachment_status(struct attachment *a)
{
	json_t *lanes = json_array(), *status;
	char node[URI_TEXT_MAX];

	for (unsigned i = 0; i < a->seat_count; i++)
		json_array_append_new(lanes, lane_status(a->seats[i].lane, i));
	pthread_mutex_lock(&a->lock);
	status = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I, s:b, s:b, s:I, s:I, s:I, s:o, s:o}",
			   "uri", attachment_node(a, node), "peer", a->peer, "state",
			   target_state_name(a->target->state), "reason", a->reason, "session",
			   id_status(true, a->session), "size", (json_int_t)a->target->size,
			   "writable", (int)a->target->writable, "shared", (int)a->retention.shared,
			   "epoch", (json_int_t)(a->has_epoch ? a->epoch.counter : 0), "fences",
			   (json_int_t)a->fences, "state_for_s",
			   (json_int_t)((clock_now() - a->state_since) / CLOCK_SEC), "durability",
			   durability_status(a), "lanes", lanes);
	pthread_mutex_unlock(&a->lock);
	return status;
}

uint64_t attachment_losses(const struct attachment *a)
{
	return a->retention.losses;
}

void attachment_reason(struct attachment *a, char *text, size_t size)
{
	pthread_mutex_lock(&a->lock);
	snprintf(text, size, "%s", a->reason);
	pthread_mutex_unlock(&a->lock);
}
