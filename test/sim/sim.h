/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.h - the simulator's ground: one thread, one queue of events in simulated time, one source of
 * chance, and processes that can be frozen and killed.
 *
 * The client's and the server's real code run in it unmodified. What they take from the system
 * (clock, randomness, loops, streams, storage, threads, memory) is replaced when the simulator is
 * linked; see the Makefile and the head of each file here. As the functions that are replaced take no
 * context, there is one world, `sim`. It is set up anew for each seed, and everything that happens
 * follows from the seed alone.
 */
#ifndef TEST_SIM_SIM_H
#define TEST_SIM_SIM_H

#include "test/sim/counts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define US 1000ull
#define MS 1000000ull
#define SEC 1000000000ull
#define NEVER UINT64_MAX

struct heap;

/* Machines. A power cut, a partition or a crash concerns one of them. */
#define NODES_MOST 4u /* servers, each with a disk of its own: node n is on HOST_SERVER + n */
enum sim_host {
	HOST_SERVER,
	HOST_CLIENT_A = HOST_SERVER + NODES_MOST,
	HOST_CLIENT_B,
	HOST_READER,
	HOSTS
};

/* A program that runs: owns memory, loops and ends of connections, all of which vanish with it. */
struct sim_process {
	enum sim_host host;
	bool alive;
	uint64_t frozen_until; /* simulated time; its threads do nothing before */
	uint64_t busy_until; /* its threads often wait for a processor */
	struct heap *heap;
	unsigned loops; /* ever made */
	/* It called loop_stop() on its first loop; see loop.c. */
	void (*stopped)(struct sim_process *process);
};

struct sim_event {
	uint64_t time, order; /* ties are broken by chance */
	unsigned place; /* in the queue, from 1; 0: idle */
	void (*run)(void *arg);
	void *arg;
	struct sim_process *process; /* whose thread runs it; NULL: the kernel's, or nature's */
};

struct sim {
	uint64_t seed;
	uint64_t now; /* nanoseconds */
	struct sim_process *current; /* whose code runs; NULL: nobody's */
	struct sim_process processes[HOSTS];
	bool tracing;
	bool tail; /* keep the trace's last lines only, for sim_trace_tail() */
	bool failed;
	char why[512]; /* it failed */
	uint64_t counts[COUNTS]; /* of this schedule */
	uint64_t events;
};

extern struct sim sim;

/* Sets everything back, and draws all chance from seed from now on. */
void sim_reset(uint64_t seed);

/* Runs the next event. False: there is none. */
bool sim_step(void);

/* ---- events ---- */

void sim_event_set(struct sim_event *event,
		   uint64_t delay); /* from now, nanoseconds; restarts it */
void sim_event_cancel(struct sim_event *event); /* idle already: fine */

/* ---- processes ---- */

void sim_process_start(enum sim_host host);
/* Its memory is gone, and so is all that would have called it. Not from inside its own code. */
void sim_process_kill(enum sim_host host);
bool sim_process_frozen(const struct sim_process *process);

/* Code of the process is called from outside of an event of its own: returns whom to go back to. */
struct sim_process *sim_enter(struct sim_process *process);
void sim_leave(struct sim_process *before);

/* ---- chance ---- */

uint64_t sim_random(uint64_t bound); /* [0, bound) */
uint64_t sim_between(uint64_t least, uint64_t most); /* both included */
bool sim_chance(unsigned percent);
bool sim_permille(unsigned permille);

/* ---- what is told ---- */

__attribute__((format(printf, 1, 2))) void sim_trace_write(const char *format, ...);
#define sim_trace(...)                                                                             \
	do {                                                                                       \
		if (sim.tracing)                                                                   \
			sim_trace_write(__VA_ARGS__);                                              \
	} while (0)

void sim_trace_tail(void); /* prints the last lines; in a signal's handler, too */

/* Something that must always be true isn't. The first one ends the schedule. */
__attribute__((format(printf, 1, 2))) void sim_fail(const char *format, ...);

static inline void sim_count(enum count which)
{
	sim.counts[which]++;
}

#endif
