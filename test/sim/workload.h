/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * workload.h - callers that use the volume at random, and judge what they get. Each has one operation
 * under way at a time; they go to the client that is in use now.
 */
#ifndef TEST_SIM_WORKLOAD_H
#define TEST_SIM_WORKLOAD_H

#include "test/sim/sim.h"

struct workload_config {
	unsigned users; /* callers */
	unsigned operations; /* in all */
	unsigned cells; /* of the volume */
	unsigned hot; /* cells that most operations fall on */
	uint64_t think; /* nanoseconds between the operations of a caller, at most */
	unsigned cancel_permille; /* of the operations */
	unsigned hot_from; /* where they begin */
	bool strict; /* nothing may fail: the client tries for ever and the disk is sound */
	bool kept; /* the client keeps what it may have to write anew */
	uint64_t keeps; /* bytes of it, at most, before it makes room */
	bool flushes; /* callers do */
};

#define WORKLOAD_USERS_MOST 24u

void workload_reset(const struct workload_config *config);

/* From now on operations go to this machine's client. Starts the callers. `life`: a new number. */
void workload_use(enum sim_host host, unsigned life);
void workload_pause(bool pause); /* begins nothing meanwhile */
/* Operations of the client that runs, or ran, there will not be answered any more: it is dead. */
void workload_client_dead(enum sim_host host);
/* Another is about to take over from it: from now on its operations may fail. */
void workload_client_challenged(enum sim_host host);
/* Another has taken over from it: what begins there from now on must not succeed. */
void workload_client_replaced(enum sim_host host);

/* All operations under way there are ended by command: they may fail. */
void workload_client_failed(enum sim_host host);
/* It was attached anew, what it kept is dropped: a flush may tell. */
void workload_client_reattached(enum sim_host host);
/* Simulated time at which the last operation began that succeeded there; 0: none has. */
uint64_t workload_served(enum sim_host host);

void workload_set_sound(bool sound); /* the disk is: errors are not expected from it */

unsigned workload_done(void); /* operations completed or given up */
unsigned workload_under_way(void);
unsigned workload_under_way_at(enum sim_host host);
void workload_explain_stuck(void); /* fails, and says what doesn't complete */

/* Reads all, flushes, and judges both; calls `then` when done. Nothing is under way. */
void workload_check_all(void (*then)(void));

#endif
