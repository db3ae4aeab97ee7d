/* SPDX-License-Identifier: GPL-2.0-or-later */
/* server.h - dstd in the simulator, one for each node: starts, stops and kills them. Knows the server's
 * headers; who uses this one doesn't. */
#ifndef TEST_SIM_SERVER_H
#define TEST_SIM_SERVER_H

#include "test/sim/sim.h"

struct sim_server_config {
	unsigned workers;
	uint64_t lease; /* nanoseconds */
	bool sync, shared;
};

void sim_server_reset(const struct sim_server_config *config);
void sim_server_start(unsigned node); /* it is not running */
/* In good order, like SIGTERM; takes a while. Running, else: nothing. */
void sim_server_stop(unsigned node);
void sim_server_crash(unsigned node); /* running, else: nothing */
bool sim_server_running(unsigned node);
void sim_server_collect(unsigned node); /* its counts, before it goes */

#endif
