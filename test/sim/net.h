/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.h - the simulated network: streams of bytes between machines, with all that can happen to them.
 *
 * Within a connection bytes stay in order, as TCP keeps them: what is lost on the way is a stall, or
 * ends the connection. Connections overtake each other freely. The network isn't trusted: bytes may
 * come changed, doubled or not at all, as by a broken middlebox. What a killed program had sent is
 * still delivered; so are, after a partition, the bytes of connections that were given up long ago.
 */
#ifndef TEST_SIM_NET_H
#define TEST_SIM_NET_H

#include "common/loop.h"
#include "test/sim/sim.h"

#include <stdint.h>

struct stream;

/* How this schedule's network behaves. */
struct net_config {
	uint64_t latency; /* nanoseconds, least */
	uint64_t jitter; /* added at random */
	unsigned window; /* bytes that a connection takes before its reader has taken any */
	bool corrupts; /* bytes may be changed, lost and doubled: digests are on */
};

enum net_fault {
	NET_STALL, /* what is on its way comes much later */
	NET_RESET,
	NET_HALF_CLOSE, /* one direction ends, as if the sender had closed it */
	NET_CORRUPT,
	NET_TRUNCATE,
	NET_DUPLICATE,
	NET_FAULTS
};

void net_reset(const struct net_config *config);

/* Does it to some connection, now or to the next bytes that it carries. False: there is none. */
bool net_fault(enum net_fault fault);

/* Nothing passes from one machine to the other (and back, if both) until then. */
void net_partition(enum sim_host from, enum sim_host to, bool both, uint64_t duration);

void net_heal(void); /* no partition, and nothing bad that is still to come */

/* Connections to that machine: `accepted` gets each one, as a number for stream_socket_accept(). NULL:
 * nobody listens. */
void net_listen(enum sim_host host, void (*accepted)(enum sim_host host, int fd));

/* The program is gone; its kernel closes its connections. */
void net_process_gone(enum sim_host host);
/* The machine is: nobody answers, until it is back. */
void net_power_cut(enum sim_host host);
void net_power_back(enum sim_host host);

/* The servers' machines are called "a", "b" and so on; "standby-a" is an
 * address of the first where nobody listens. */
unsigned net_addresses(const char *host, uint16_t port, struct loop_address *addresses);

#endif
