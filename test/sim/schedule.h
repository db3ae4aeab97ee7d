/* SPDX-License-Identifier: GPL-2.0-or-later */
/* schedule.h - one seed: a world drawn by chance, a workload, faults, and the verdict in sim.failed. */
#ifndef TEST_SIM_SCHEDULE_H
#define TEST_SIM_SCHEDULE_H

#include <stdint.h>

struct schedule_options {
	unsigned client_workers, server_workers; /* 0: drawn by chance */
	int shape; /* enum shape_kind; -1: drawn by chance */
};

struct schedule_result {
	unsigned operations, faults;
};

void schedule_run(uint64_t seed, const struct schedule_options *options,
		  struct schedule_result *result);

#endif
