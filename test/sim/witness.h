/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness.h - the faults of what clients remember of their mirrors. */
#ifndef TEST_SIM_WITNESS_H
#define TEST_SIM_WITNESS_H

#include "test/sim/sim.h"

void witness_reset(void);
void witness_lose(enum sim_host host); /* the client's state folder is gone; while that is down */
void witness_set_failing(unsigned percent); /* of the times that one is to be saved, anywhere */
/* In so many saves the client's machine loses power meanwhile, by kill(), which must not do it at once. */
void witness_set_killing(unsigned permille, void (*kill)(void));
/* A rename whose folder wasn't synced yet may be undone. After the client's process is gone. */
void witness_power_cut(enum sim_host host);

#endif
