/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file_pace.c - may calls be made inline? Judged by how long they took.
 *
 * A call in the loop's thread holds up everything else of that loop. RWF_NOWAIT promises not to wait
 * for the disk, but does when the device's queue is full (measured: reads of a slow loop device,
 * up to 480 ms), and ext4 and block devices can't promise anything for buffered writes. So every
 * inline call to a disk is timed:
 *
 *   INLINE     calls are made. A long one makes us WATCHED.
 *   WATCHED    calls are made, and the thread's voluntary context switches counted. A long call
 *              that slept makes us OFFLOADED; a second without long calls, INLINE.
 *   OFFLOADED  no calls are made. PROOF_ROW short calls in a row in the threads, over PROOF_TIME
 *              at least, make us WATCHED.
 *
 * The count tells a call that waited for the disk from one that was only preempted: on a busy
 * machine the latter come dozens of times a second (measured, three hogs on two CPUs: 50 a second
 * over 2 ms, none of which slept). Counting costs a system call, so it is done on suspicion only.
 */
#include "common/backend_file_impl.h"

#include "common/clock.h"

#include <sys/resource.h>

#define LONG_CALL (2 * CLOCK_MS) /* an SSD answers within it, a seek or a throttled write doesn't */
#define WATCH_TIME CLOCK_SEC
#define PROOF_TIME CLOCK_SEC
#define PROOF_ROW 64u

enum pace_state { PACE_INLINE, PACE_WATCHED, PACE_OFFLOADED };

static void set_state(struct pace *pace, enum pace_state state, uint64_t now)
{
	atomic_store_explicit(&pace->since, now, memory_order_relaxed);
	atomic_store_explicit(&pace->row, 0, memory_order_relaxed);
	atomic_store_explicit(&pace->state, state, memory_order_relaxed);
}

static enum pace_state get_state(const struct pace *pace)
{
	return (enum pace_state)atomic_load_explicit(&pace->state, memory_order_relaxed);
}

/* Nanoseconds since the state's mark. Another thread may have moved that past our `now`. */
static uint64_t since(const struct pace *pace, uint64_t now)
{
	uint64_t mark = atomic_load_explicit(&pace->since, memory_order_relaxed);

	return now > mark ? now - mark : 0;
}

static long count_sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
}

void pace_init(struct pace *pace, const struct backend_medium *medium, bool write)
{
	bool proven = medium->nowait && (!write || !medium->measure || medium->trusted);

	pace->nowait = medium->nowait;
	/* A read that isn't known to be cached blocks by its nature: there is nothing to learn. */
	pace->measure = write && medium->measure;
	set_state(pace, proven ? PACE_WATCHED : PACE_OFFLOADED, clock_now());
}

bool pace_inline(const struct pace *pace)
{
	return get_state(pace) != PACE_OFFLOADED;
}

void pace_begin(struct pace *pace, struct pace_call *call)
{
	call->sleeps = get_state(pace) == PACE_WATCHED ? count_sleeps() : -1;
	call->start = clock_now();
}

void pace_end(struct pace *pace, const struct pace_call *call)
{
	uint64_t now = clock_now();

	if (!pace_is_long(now - call->start)) {
		if (call->sleeps >= 0 && since(pace, now) > WATCH_TIME &&
		    get_state(pace) == PACE_WATCHED)
			set_state(pace, PACE_INLINE, now);
	} else if (call->sleeps >= 0 && count_sleeps() != call->sleeps) {
		set_state(pace, PACE_OFFLOADED, now);
	} else if (get_state(pace) != PACE_OFFLOADED) {
		set_state(pace, PACE_WATCHED, now);
	}
}

void pace_offloaded(struct pace *pace, uint64_t took)
{
	uint64_t now;

	if (get_state(pace) != PACE_OFFLOADED)
		return;
	now = clock_now();
	if (pace_is_long(took)) {
		set_state(pace, PACE_OFFLOADED, now);
		return;
	}
	if (atomic_fetch_add_explicit(&pace->row, 1, memory_order_relaxed) + 1 >= PROOF_ROW &&
	    since(pace, now) >= PROOF_TIME)
		set_state(pace, PACE_WATCHED, now);
}

bool pace_is_long(uint64_t took)
{
	return took > LONG_CALL;
}
