/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - the faults of what dstd remembers. */
#ifndef TEST_SIM_STATE_H
#define TEST_SIM_STATE_H

#include "test/sim/sim.h"

void state_reset(void);
void state_lose(void); /* the folder is gone; while the server is down */
void state_set_failing(unsigned percent); /* of the times that something is to be stored */
/* Of these, in so many the server dies meanwhile, by kill(), which must not do it at once. */
void state_set_killing(unsigned permille, void (*kill)(void));

#endif
