/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_port.h - what belongs to one worker: the requests that its mirror has taken there. */
#ifndef DSTFS_MIRROR_PORT_H
#define DSTFS_MIRROR_PORT_H

#include "dstfs/mirror_impl.h"

enum mirror_op_state {
	MIRROR_OP_HOLD, /* waits for the mirror's hold */
	MIRROR_OP_SET, /* waits until its regions are marked, or for another node to read from */
	MIRROR_OP_SENT, /* nodes work on it */
	MIRROR_OP_RECORD, /* nodes have failed it: waits until that is settled */
};

/* A node's share of a request. */
struct mirror_leg {
	struct request request;
	struct mirror_op *op;
	bool waiting; /* for the node's hold */
	uint64_t began; /* nanoseconds; since it waits, or was submitted */
};

/* A request that was taken. */
struct mirror_op {
	struct request *request;
	struct mirror_port *port;
	struct mirror_op *next, *previous; /* of the port: SENT ones, or others */
	enum mirror_op_state state;
	struct range_hold *hold; /* the mirror's */
	uint64_t since; /* it waits with a limit, nanoseconds; 0: it doesn't */
	uint64_t losses_told; /* FLUSH: those before it came */
	uint64_t losses; /* the mirror's, when it was sent */
	bool starting; /* legs are being submitted */
	bool cancelled;
	/* Nodes: it was sent to, that are not done with it, that have done it, that failed it. A read
	 * goes to one after the other, and `failed` are those that it has tried in vain. */
	mirror_mask sent, pending, ok, failed;
	mirror_mask leaving; /* READ: of those that failed, nodes that are about to leave the set */
	int errors[MIRROR_MAX_NODES]; /* of those that failed */
	uint64_t least; /* COPY: bytes that all have copied */
	bool uneven; /* COPY: some have copied more */
	struct mirror_leg legs[MIRROR_MAX_NODES];
};

struct mirror_op_list {
	struct mirror_op *first, *last;
};

/* What is known of a node, to choose where to read. */
struct mirror_pace {
	unsigned outstanding;
	uint64_t latency; /* nanoseconds: an average that forgets; 0: not known */
	uint64_t position; /* where its last read ended */
};

struct mirror_counters {
	counter_t inflight; /* a level */
	counter_t marks; /* writes that waited for a region to be marked */
	counter_t rereads; /* that went on to another node */
	counter_t records; /* requests that waited until a node's absence was recorded */
};

struct mirror_port {
	struct mirror *mirror;
	struct worker *worker;
	struct pool *ops;
	struct request_list dry; /* no memory for them yet; in order */
	struct loop_hook dry_hook;
	struct mirror_op_list sent, waiting;
	struct loop_work wake; /* looks at what was published */
	_Atomic bool wake_posted;
	struct loop_timer expiry; /* of legs that wait for a node's hold, and of ops */
	unsigned legs_waiting;
	struct mirror_pace paces[MIRROR_MAX_NODES];
	struct mirror_counters counters;
};

int mirror_port_init(struct mirror_port *port, struct mirror *mirror, struct worker *worker);
void mirror_port_destroy(struct mirror_port *port);

/* The target's ops. */
void mirror_submit(struct target *target, struct request *request);
void mirror_cancel(struct target *target, struct request *request, int error);

/* An op's next state, and the list that goes with it. */
void mirror_op_enter(struct mirror_op *op, enum mirror_op_state state);
void mirror_op_limit(struct mirror_op *op); /* it waits no longer than for a node */
void mirror_op_finish(struct mirror_op *op, int error); /* completes the request, frees the op */
/* Passes the request on to a node, with the node's hold if it modifies. May end it at once. */
void mirror_leg_send(struct mirror_op *op, unsigned node);

/* mirror_write.c: modifying requests and flushes */
void mirror_write_begin(struct mirror_op *op);
void mirror_write_go_on(struct mirror_op *op); /* SET: look again */
void mirror_write_settle(struct mirror_op *op); /* no leg is pending, or RECORD: look again */
void mirror_write_cancelled(struct mirror_op *op); /* before it finishes: what may differ now */

/* mirror_read.c: READ, EXTENTS, HASH */
void mirror_read_begin(struct mirror_op *op);
void mirror_read_settle(struct mirror_op *op, struct mirror_leg *leg, int error);

static inline bool mirror_op_reads(const struct mirror_op *op)
{
	enum request_type type = op->request->type;

	return type == REQUEST_READ || type == REQUEST_EXTENTS || type == REQUEST_HASH;
}

#endif
