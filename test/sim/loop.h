/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.h - what the simulator's other rooms need of its loops. */
#ifndef TEST_SIM_LOOP_H
#define TEST_SIM_LOOP_H

#include "test/sim/sim.h"

struct loop;
struct ready;

struct ready_list {
	struct ready *first, **tail;
	unsigned count;
};

/* Something that a loop is to run in its next turn. */
struct ready {
	void (*run)(void *arg);
	void *arg;
	struct ready_list *list; /* NULL: idle; like the rest the loop's */
	struct ready *next, **link;
};

void ready_set(struct loop *loop, struct ready *ready); /* set already: fine */
void ready_cancel(struct ready *ready); /* idle already: fine */

struct sim_process *loop_process(const struct loop *loop);

#endif
