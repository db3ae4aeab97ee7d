/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.c - see sim.h. The queue is a binary heap; it holds some dozens of events. Replaces clock.h and
 * random.h: the code under test draws from a generator of its own, so that what the simulator
 * does depends on the seed and the code's doings, not on how much chance the code uses.
 */
#include "test/sim/sim.h"

#include "common/clock.h"
#include "common/random.h"
#include "test/sim/heap.h"
#include "test/sim/net.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_MAX 65536u
#define BEGIN (1000 * SEC) /* of simulated time */
#define WALL_BEGIN 1700000000

struct sim sim;

static struct sim_event *queue[QUEUE_MAX + 1]; /* from 1 */
static unsigned queue_count;
static uint64_t chance, code_chance; /* states of the generators */

#define COUNT_TEXT(name, text) [COUNT_##name] = text,
const char *const count_texts[COUNTS] = {COUNT_LIST(COUNT_TEXT)};

/* ---- chance: splitmix64, public domain, Sebastiano Vigna ---- */

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t *state, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)next(state) * bound >> 64);
}

uint64_t sim_random(uint64_t bound)
{
	return below(&chance, bound);
}

uint64_t sim_between(uint64_t least, uint64_t most)
{
	return least + sim_random(most - least + 1);
}

bool sim_chance(unsigned percent)
{
	return sim_random(100) < percent;
}

bool sim_permille(unsigned permille)
{
	return sim_random(1000) < permille;
}

void random_bytes(void *out, size_t size)
{
	uint8_t *bytes = out;

	for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
		uint64_t word = next(&code_chance);

		memcpy(bytes + i, &word, size - i < sizeof(word) ? size - i : sizeof(word));
	}
}

uint64_t random_below(uint64_t bound)
{
	return below(&code_chance, bound);
}

/* ---- time ---- */

uint64_t clock_now(void)
{
	return sim.now;
}

int64_t clock_wall_sec(void)
{
	return WALL_BEGIN + (int64_t)(sim.now / SEC);
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->time != b->time ? a->time < b->time : a->order < b->order;
}

static void put(struct sim_event *event, unsigned place)
{
	queue[place] = event;
	event->place = place;
}

static void sift_up(struct sim_event *event, unsigned place)
{
	for (; place > 1 && before(event, queue[place / 2]); place /= 2)
		put(queue[place / 2], place);
	put(event, place);
}

static void sift_down(struct sim_event *event, unsigned place)
{
	for (;;) {
		unsigned child = 2 * place;

		if (child < queue_count && before(queue[child + 1], queue[child]))
			child++;
		if (child > queue_count || !before(queue[child], event))
			break;
		put(queue[child], place);
		place = child;
	}
	put(event, place);
}

void sim_event_cancel(struct sim_event *event)
{
	unsigned place = event->place;
	struct sim_event *last;

	if (!place)
		return;
	event->place = 0;
	last = queue[queue_count--];
	if (last == event)
		return;
	if (place > 1 && before(last, queue[place / 2]))
		sift_up(last, place);
	else
		sift_down(last, place);
}

void sim_event_set(struct sim_event *event, uint64_t delay)
{
	sim_event_cancel(event);
	event->time = delay > NEVER - sim.now ? NEVER : sim.now + delay;
	event->order = next(&chance);
	assert(queue_count < QUEUE_MAX);
	sift_up(event, ++queue_count);
}

bool sim_step(void)
{
	struct sim_event *event = queue[1];

	if (!queue_count || event->time == NEVER)
		return false;
	assert(event->time >= sim.now);
	sim.now = event->time;
	sim.events++;
	if (event->process && sim_process_frozen(event->process)) {
		sim_event_set(event, event->process->frozen_until - sim.now + sim_random(50 * US));
		return true;
	}
	sim_event_cancel(event);
	sim.current = event->process;
	event->run(event->arg);
	sim.current = NULL;
	return true;
}

/* ---- processes ---- */

bool sim_process_frozen(const struct sim_process *process)
{
	return process->frozen_until > sim.now;
}

void sim_process_start(enum sim_host host)
{
	struct sim_process *process = &sim.processes[host];

	assert(!process->alive);
	heap_clear(process->heap);
	process->alive = true;
	process->frozen_until = process->busy_until = 0;
	process->stopped = NULL;
	process->loops = 0;
}

void sim_process_kill(enum sim_host host)
{
	struct sim_process *process = &sim.processes[host];
	unsigned kept = 0;

	assert(sim.current != process);
	process->alive = false;
	for (unsigned i = 1; i <= queue_count; i++) {
		if (queue[i]->process == process)
			queue[i]->place = 0;
		else
			queue[++kept] = queue[i];
	}
	queue_count = kept;
	for (unsigned i = 1; i <= kept; i++)
		queue[i]->place = i;
	for (unsigned i = kept / 2; i > 0; i--)
		sift_down(queue[i], i);
	heap_clear(process->heap);
}

struct sim_process *sim_enter(struct sim_process *process)
{
	struct sim_process *was = sim.current;

	sim.current = process;
	return was;
}

void sim_leave(struct sim_process *was)
{
	sim.current = was;
}

/* ---- life ---- */

void sim_reset(uint64_t seed)
{
	struct heap *heaps[HOSTS];

	while (queue_count) /* first: events may lie in the heaps */
		queue[queue_count--]->place = 0;
	for (unsigned i = 0; i < HOSTS; i++) {
		heaps[i] = sim.processes[i].heap ? sim.processes[i].heap : heap_new();
		heap_clear(heaps[i]);
	}
	sim = (struct sim){.seed = seed, .now = BEGIN, .tracing = sim.tracing, .tail = sim.tail};
	for (unsigned i = 0; i < HOSTS; i++)
		sim.processes[i] = (struct sim_process){.host = (enum sim_host)i, .heap = heaps[i]};
	chance = seed;
	next(&chance); /* neighbours part */
	chance ^= seed << 32;
	code_chance = next(&chance);
}

/* ---- what is told ---- */

#define TAIL_LINES 60u
#define TAIL_WIDTH 200u

static const char *const host_names[HOSTS] = {"server a", "server b", "server c", "server d",
					      "client A", "client B", "reader"};
static char tail[TAIL_LINES][TAIL_WIDTH];
static unsigned tail_count; /* ever */

void sim_trace_write(const char *format, ...)
{
	uint64_t since = sim.now - BEGIN;
	char line[1200];
	va_list args;
	int n;

	n = snprintf(line, sizeof(line), "%4llu.%06llu %-8s ", (unsigned long long)(since / SEC),
		     (unsigned long long)(since % SEC / US),
		     sim.current ? host_names[sim.current->host] : "");
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (sim.tail)
		snprintf(tail[tail_count++ % TAIL_LINES], TAIL_WIDTH, "%.*s", (int)TAIL_WIDTH - 1,
			 line);
	else
		puts(line);
}

void sim_trace_tail(void)
{
	unsigned first = tail_count > TAIL_LINES ? tail_count - TAIL_LINES : 0;

	for (unsigned i = first; i < tail_count; i++) {
		const char *line = tail[i % TAIL_LINES];

		if (write(STDOUT_FILENO, line, strlen(line)) < 0 ||
		    write(STDOUT_FILENO, "\n", 1) < 0)
			return;
	}
}

void sim_fail(const char *format, ...)
{
	va_list args;

	if (sim.failed)
		return;
	sim.failed = true;
	va_start(args, format);
	vsnprintf(sim.why, sizeof(sim.why), format, args);
	va_end(args);
	sim_trace("VIOLATION: %s", sim.why);
}
