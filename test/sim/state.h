/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - the faults of what each dstd remembers. */
#ifndef TEST_SIM_STATE_H
#define TEST_SIM_STATE_H

#include "test/sim/sim.h"

void state_reset(void);
void state_lose(unsigned node); /* its server's folder is gone; while that is down */
void state_set_failing(
	unsigned percent); /* of the times that something is to be stored, anywhere */
/* Of these, in so many the server dies meanwhile, by kill(node), which must not do it at once. */
void state_set_killing(unsigned permille, void (*kill)(unsigned node));

#endif
