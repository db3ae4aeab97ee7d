/* SPDX-License-Identifier: GPL-2.0-or-later */
/* faults.h - what goes wrong in a schedule: which, when, for how long. */
#ifndef TEST_SIM_FAULTS_H
#define TEST_SIM_FAULTS_H

#include "test/sim/sim.h"

struct faults_config {
	unsigned faults; /* so many, then no more */
	unsigned operations; /* of the workload, over which they are spread */
	uint64_t
		interval; /* nanoseconds between them at most, so that they also come while all waits */
	bool disk; /* the disk may fail, not just be slow */
	bool power; /* power may be cut */
	bool clients; /* clients may crash and be replaced */
	bool state; /* what the server remembers may fail to be stored, or be lost */
};

void faults_reset(const struct faults_config *config);
void faults_begin(void);
void faults_watch(void); /* after each event */
/* Everything works again from now on; what was down comes up soon. */
void faults_end(void);
unsigned faults_happened(void);

#endif
