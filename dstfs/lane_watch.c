/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_watch.c - the clocks of a lane. Two watch. A request fails when it has waited timeout *
 * (resends + 1) in all. A connection that has been silent is asked with a PING, and given up when
 * nothing at all comes in for `ping_timeout` after that left: a slow disk delays its own requests,
 * not the answer to PING. Silence is measured by the bytes that moved, looked at once a tick, so the
 * data path does nothing for it.
 *
 * A tick also notices when requests that were given up, and whose answers never come, have used up
 * the lane's room: a new connection drains them.
 */
#include "dstfs/lane_impl.h"

#include "common/clock.h"

#include <stdio.h>

#define TICK_MIN (10 * CLOCK_MS)
#define TICK_MAX (1 * CLOCK_SEC)
#define TICKS_PER_TIMEOUT 8u

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t lane_ping_patience(const struct lane *lane)
{
	uint64_t ping_timeout = lane->config.policy->ping_timeout;

	return ping_timeout ? ping_timeout : lane->config.policy->timeout;
}

static uint64_t tick_interval(const struct lane *lane)
{
	uint64_t timeout = lane->config.policy->timeout, ping = lane->config.policy->ping;
	uint64_t interval = least(timeout, lane_ping_patience(lane));

	interval = (ping ? least(interval, ping) : interval) / TICKS_PER_TIMEOUT;
	return interval < TICK_MIN ? TICK_MIN : least(interval, TICK_MAX);
}

/* What this connection has moved since it was asked last; counts it. */
static struct msgio_stats take_stats(struct lane *lane)
{
	struct msgio_stats now = *msgio_stats(lane->msgio), moved;

	moved = (struct msgio_stats){
		.messages_in = now.messages_in - lane->seen.messages_in,
		.messages_out = now.messages_out - lane->seen.messages_out,
		.bytes_in = now.bytes_in - lane->seen.bytes_in,
		.bytes_out = now.bytes_out - lane->seen.bytes_out,
	};
	lane->seen = now;
	counter_add(&lane->counters.messages_in, moved.messages_in);
	counter_add(&lane->counters.messages_out, moved.messages_out);
	counter_add(&lane->counters.bytes_in, moved.bytes_in);
	counter_add(&lane->counters.bytes_out, moved.bytes_out);
	return moved;
}

/* Silence has lasted: long enough to ask, or too long? A PING that waits behind others, while those
 * still leave, has not been asked yet. */
static void watch_silence(struct lane *lane, const struct msgio_stats *moved, uint64_t now)
{
	uint64_t timeout = lane->config.policy->timeout, ask = lane->config.policy->ping;
	uint64_t since;

	if (!ask)
		ask = UINT64_MAX; /* no pings while idle */
	if (lane->txns.in_flight) /* an answer is due: is it slow, or is nobody there? */
		ask = least(ask, timeout);
	if (moved->bytes_in)
		lane->heard_at = now;
	if (lane->ping.queued && moved->bytes_out)
		lane->ping_at = now;
	since = lane->ping_at > lane->heard_at ? lane->ping_at : lane->heard_at;
	if (lane->ping_out && now - since > lane_ping_patience(lane)) {
		char reason[LANE_REASON_MAX];

		snprintf(reason, sizeof(reason), "connection to %s given up: silent for %llu s",
			 lane->address, (unsigned long long)((now - lane->heard_at) / CLOCK_SEC));
		lane->host++;
		lane_disconnect(lane, false, reason);
	} else if (!lane->ping_out && now - lane->heard_at > ask) {
		lane->ping_out = true;
		lane->ping_at = now;
		lane_send_plain(lane, &lane->ping, DST_PING, 0);
	}
}

void lane_ping_answered(struct lane *lane)
{
	if (lane->ping_out && !lane->ping.queued)
		lane->ping_out = false;
	else
		lane_disconnect(lane, false, "protocol error: a reply to no PING");
}

static void watch_room(struct lane *lane)
{
	char reason[LANE_REASON_MAX];

	if (!(lane->waiting.first || lane->kept_back.first || lane->copied.first) ||
	    !txn_table_choked(&lane->txns))
		return;
	snprintf(reason, sizeof(reason),
		 "connection to %s made anew: %u requests that were given up are still unanswered",
		 lane->address, lane->txns.orphans);
	lane_disconnect(lane, false, reason);
}

static void on_tick(void *arg)
{
	struct lane *lane = arg;
	uint64_t now = clock_now();

	loop_timer_set(&lane->tick_timer, tick_interval(lane));
	if (lane->msgio) {
		struct msgio_stats moved = take_stats(lane);

		if (lane_is_attached(lane))
			watch_silence(lane, &moved, now);
	}
	lane_expire(lane, now);
	lane_keep_tick(lane);
	if (lane_is_attached(lane))
		watch_room(lane);
	lane_pump(lane); /* what had no memory, or has room since something was cancelled */
}

int lane_watch_init(struct lane *lane)
{
	return loop_timer_init(&lane->tick_timer, lane->worker->loop, on_tick, lane);
}

void lane_watch_destroy(struct lane *lane)
{
	loop_timer_destroy(&lane->tick_timer);
}

void lane_watch_start(struct lane *lane)
{
	loop_timer_set(&lane->tick_timer, tick_interval(lane));
}

void lane_watch_begin(struct lane *lane)
{
	lane->seen = (struct msgio_stats){0};
	lane->ping_out = false;
	lane->heard_at = clock_now();
}

void lane_watch_end(struct lane *lane)
{
	if (lane->msgio)
		take_stats(lane);
}
