/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader.h - a client that only reads, beside the one that writes: it holds nothing, fences nobody and is
 * let in whoever writes. It may see what a crash takes away again, so of what it reads only this is
 * judged: that it was written once.
 */
#ifndef TEST_SIM_READER_H
#define TEST_SIM_READER_H

#include "test/sim/client.h"

void reader_reset(const struct sim_client_config *config, unsigned cells);
void reader_begin(void);
void reader_end(void); /* gone at once */

#endif
