/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * people.h - who starts clients: one at first, another one where it crashed or is to be replaced. Tells the
 * workload which to use, and the model what that means.
 */
#ifndef TEST_SIM_PEOPLE_H
#define TEST_SIM_PEOPLE_H

#include "test/sim/client.h"

void people_reset(const struct sim_client_config *config);
void people_begin(void);
enum sim_host people_host(void); /* of the client in use */
bool people_crash(void); /* the client in use; another is started a while later. False: not now */
bool people_take_over(void); /* another is started beside it, and takes over. False: not now */
/* Has the client in use found, since this was asked last, that acknowledged bytes are lost for good?
 * The model is told. */
bool people_admits_loss(void);
void people_watch(void); /* after each event */
void people_end(void); /* no crash and no takeover any more; a client is in use soon */
bool people_settled(void); /* nobody is about to take over */

#endif
