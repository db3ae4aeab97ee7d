/* SPDX-License-Identifier: GPL-2.0-or-later */
/* client.h - dstfs, from the volume down, in the simulator. Knows the client's headers; who uses this
 * one doesn't. */
#ifndef TEST_SIM_CLIENT_H
#define TEST_SIM_CLIENT_H

#include "test/sim/sim.h"

struct sim_client_config {
	unsigned workers;
	unsigned max_inflight;
	uint64_t max_inflight_bytes;
	uint64_t timeout, reconnect, ping, ping_timeout; /* nanoseconds */
	unsigned resends; /* UINT32_MAX: for ever */
	uint64_t retain; /* bytes */
	bool checksum;
	bool takeover, read_only;
	/* Of mirrors. */
	bool majority; /* is asked for */
	uint64_t start_wait; /* nanoseconds */
	uint64_t resync_rate; /* bytes a second; 0: no limit */
	int prefer; /* node; -1: none */
};

/* Why a mirror does not start. */
enum sim_refusal { SIM_NOT_REFUSED, SIM_ALTERNATE, SIM_SPLIT, SIM_REFUSED };

enum sim_op_type {
	SIM_READ,
	SIM_WRITE,
	SIM_FLUSH,
	SIM_DISCARD,
	SIM_ZEROES,
	SIM_EXTENTS,
	SIM_COPY,
	SIM_HASH,
	SIM_OP_TYPES
};

/* One operation of a caller; embedded by who submits it. */
struct sim_op {
	enum sim_op_type type;
	bool fua, no_hole;
	uint64_t offset, length, copy_from, hash_seed;
	unsigned worker;
	void (*fill)(struct sim_op *op, uint8_t *data); /* WRITE: puts the bytes there */
	/* Once, in the client's thread. data: what was read, or HASH's digest. */
	void (*done)(struct sim_op *op, int error, const uint8_t *data, uint64_t length);
	/* EXTENTS: each one, before done. */
	void (*extent)(struct sim_op *op, uint64_t offset, uint64_t length, bool hole);
	void *io; /* the client's */
};

void sim_client_reset(void);
void sim_client_start(enum sim_host host, const struct sim_client_config *config);
/* As a mirror that nobody has ever written to, on the disks: `equal` or to be compared as a whole. */
void sim_client_create_mirrors(bool equal);
/* The clean end of its mirrors begins; nothing may be under way, and the last flush is over. */
void sim_client_detach(enum sim_host host);
bool sim_client_detached(enum sim_host host); /* it is over */
/* Ends it in good order, without waiting for anything; nothing may be under way. */
void sim_client_stop(enum sim_host host);
void sim_client_crash(enum sim_host host);
bool sim_client_running(enum sim_host host);
bool sim_client_ready(enum sim_host host);
bool sim_client_fenced(enum sim_host host);
uint64_t sim_client_size(enum sim_host host);
/* Of the mirror that is this part of the volume: members, as bits. 0: it doesn't run. */
unsigned sim_client_read_set(enum sim_host host, unsigned part);
unsigned sim_client_write_set(enum sim_host host, unsigned part);
uint64_t sim_client_generation(enum sim_host host, unsigned part); /* 0: it doesn't run */
enum sim_refusal sim_client_refusal(enum sim_host host, unsigned part);
bool sim_client_waits(enum sim_host host, unsigned part); /* it has not started */
bool sim_client_has_split(enum sim_host host, unsigned part); /* it runs, and refuses a member */
/*
 * A person's order to it: to start with what is there, or (`resolve`) what it is to go on from. Given twice:
 * *survey is 0 at first, then what the first one left there. True: it was taken.
 */
bool sim_client_order(enum sim_host host, unsigned part, bool resolve, uint64_t *survey);
bool sim_client_whole(enum sim_host host); /* ready, and all members of all mirrors are in sync */
/* How often it has found acknowledged bytes lost for good, and failed, or will fail, an fsync for it. */
uint64_t sim_client_losses(enum sim_host host);
uint64_t sim_client_unflushed(enum sim_host host); /* bytes that it keeps for a replay */

void sim_client_submit(enum sim_host host, struct sim_op *op);
void sim_client_fail(enum sim_host host); /* ends all operations, as by command */
/* One that was fenced attaches anew, by force. False: it is not fenced. */
bool sim_client_reattach(enum sim_host host);
void sim_client_cancel(enum sim_host host, struct sim_op *op,
		       int error); /* soon, if it is not done */

void sim_client_collect(enum sim_host host); /* its counts, before it goes */

#endif
