/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.h - dstd in the simulator: starts, stops and kills it. Knows the server's headers; who uses
 * this one doesn't. */
#ifndef TEST_SIM_SERVER_H
#define TEST_SIM_SERVER_H

#include "test/sim/sim.h"

struct sim_server_config {
	unsigned workers;
	uint64_t lease; /* nanoseconds */
	bool sync, shared;
};

void sim_server_reset(const struct sim_server_config *config);
void sim_server_start(void); /* it is not running */
void sim_server_stop(void); /* in good order, like SIGTERM; takes a while. Running, else: nothing */
void sim_server_crash(void); /* running, else: nothing */
bool sim_server_running(void);
void sim_server_collect(void); /* its counts, before it goes */

#endif
