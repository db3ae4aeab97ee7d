/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * people.h - who starts clients: one at first, another one where it crashed or is to be replaced. Tells the
 * workload which to use, and the model what that means.
 */
#ifndef TEST_SIM_PEOPLE_H
#define TEST_SIM_PEOPLE_H

#include "test/sim/client.h"

/* `force`: they start mirrors by force when they have waited for long, and resolve what comes of it. */
void people_reset(const struct sim_client_config *config, uint64_t lease, bool force);
void people_begin(void);
enum sim_host people_host(void); /* of the client in use */
bool people_stop(void); /* likewise, once nothing is under way, and in good order */
/* The client in use, or of a mirror one that is starting; another is started a while later. False: not
 * now. */
bool people_crash(void);
bool people_cut_power(void); /* likewise, with its machine */
/* Another is started beside it, without the right to take over. It must not be let in while the first one
 * is served; it goes after a while. False: not now */
bool people_intrude(void);
/* One that was fenced takes over again. False: there is none. */
bool people_take_back(void);
bool people_take_over(void); /* another is started beside it, and takes over. False: not now */
/* Has the client in use found, since this was asked last, that acknowledged bytes are lost for good?
 * The model is told. */
bool people_admits_loss(void);
/*
 * That, or disks of a mirror couldn't be read since this was asked last: where its nodes may differ,
 * what the primary can't tell is taken from another, so a read may go back to what that one has.
 */
bool people_excuse(void);
/* The server has lost its state: whoever knew it refuses it now, and is replaced. False: not now */
bool people_lose_server(void);
void people_watch(void); /* after each event */
void people_end(void); /* no crash and no takeover any more; a client is in use soon */
bool people_settled(void); /* nobody is about to take over */
/* Nothing is under way: the client in use ends in good order. */
void people_leave(void);
bool people_gone(void); /* it has */

#endif
