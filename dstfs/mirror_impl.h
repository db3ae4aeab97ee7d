/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_impl.h - what the files of the mirror share.
 *
 *   mirror.c         the target: taking requests, states, life
 *   mirror_port.c    what belongs to one worker: operations, those that wait, being woken
 *   mirror_write.c   what changes content, and flushes
 *   mirror_read.c    what asks for content, and which node is asked
 *   mirror_home.c    one piece of work on the metadata at a time: which one is next
 *   mirror_marks.c   the dirty map and the missed maps: regions are marked
 *   mirror_clear.c   and cleared
 *   mirror_change.c  changes of the set of members: mirror_plan.c knows what follows from them
 *   mirror_join.c    nodes are read and judged: those that it begins with, and that come back
 *   mirror_begin.c   the start, once it is judged that it may
 *   mirror_super.c   superblocks are read and written
 *   mirror_detach.c  the clean end
 *   mirror_command.c what dstctl asks for
 *   mirror_order.c   of that, what takes a while
 *   mirror_members.c and what is about one node; mirror_backup.c: as an image of its own
 *   mirror_resolve.c what a mirror goes on from, by command
 *   mirror_resize.c  it grows: where its metadata are, and how large it is
 *   mirror_admit.c   who becomes a member, or ceases to be one, by command
 *   mirror_io.c      reading and writing metadata on many nodes at once
 *   mirror_copy.h    copying: resync, making equal, verify, repair; see mirror_copy_impl.h
 *
 * Threads. Requests come on any worker, and stay there. All else happens in the thread of the first
 * worker, the home, one step after the other. The home publishes what requests need in atomics; they
 * tell it things by atomics and mirror_home_poke(), it wakes them by mirror_wake_ports().
 *
 * Two kinds of holds (ranges.h), always taken in this order:
 *   - the mirror's, in mirror->ranges: what is changed now, by a request or by copying. From before
 *     the set is read until the outcome is settled. So whoever has a hold of a region knows
 *     that no write into it is under way, and that none that it didn't see used an older set.
 *   - a node's, in node->ranges: what may yet happen on that node. Given to each modifying request
 *     that goes to the node as request->hold, metadata included, so that one that was given up
 *     keeps its range there, and only there: a dead node holds up nobody else.
 * Who waits for a node's hold has the mirror's, and waits only for what was given up: no circles.
 *
 * The set may change while requests are under way. With its hold had, a request looks whether its
 * regions are marked, then which nodes there are, in this order; mirror_change.c tells why that is
 * enough. At its end it is judged by the set of then.
 *
 * Of a region, at any time:
 *   marked     durably dirty on all in-sync nodes, and durably missed for each ABSENT member. No
 *              modifying request goes to a node before all its regions are
 *   suspect    in-sync nodes may differ there: read from the primary only, until it was copied from
 *              there to all other nodes that are written to. Always marked too
 *   missed     of a node: what it lacks, durably recorded on the in-sync nodes
 *   copied     of a node that is being resynced: it has been brought up to date after all, and gets
 *              every write; not durable there yet, so its missed bit is still set
 */
#ifndef DSTFS_MIRROR_IMPL_H
#define DSTFS_MIRROR_IMPL_H

#include "common/clock.h"
#include "common/counter.h"
#include "common/log.h"
#include "dstfs/mirror.h"
#include "dstfs/mirror_bits.h"
#include "dstfs/ranges.h"

#include <pthread.h>

#define MIRROR_NO_SLOT MIRROR_MAX_NODES
#define MIRROR_REPAIRS 64u /* reads that failed and wait to be mended; more are left to verify */
#define MIRROR_RETRY_INTERVAL CLOCK_SEC /* of changes that nobody could record */
#define MIRROR_LOOK_INTERVAL (5 * CLOCK_SEC) /* at what was written; two without: cleared */

struct mirror;
struct mirror_op;
struct mirror_batch;
struct mirror_copy;
struct mirror_change;
struct mirror_orders; /* mirror_order.h */

/* A set of nodes: bit i is nodes[i], in the order of the configuration. Slots are another numbering. */
typedef unsigned mirror_mask;
#define MIRROR_BIT(index) (1u << (index))

enum mirror_node_state {
	MIRROR_NODE_UNKNOWN, /* its superblocks weren't read since it was lost, or never */
	MIRROR_NODE_REFUSED, /* read, and not to be used: node->reason says why */
	MIRROR_NODE_DETACHED, /* a member that was taken out by command: not touched */
	MIRROR_NODE_SUSPENDED, /* likewise, for a while: no image of its own */
	MIRROR_NODE_FAILED, /* ABSENT, and was lost a short while ago: looked at again soon */
	MIRROR_NODE_RESYNC, /* INCONSISTENT: gets all writes, and what it missed is copied to it */
	MIRROR_NODE_IN_SYNC,
};

const char *mirror_node_state_name(enum mirror_node_state state);

/*
 * A change of the members. All that writes superblocks goes through here. The home calls edit() when
 * it is this one's turn, perhaps several times: on `super`, a copy of the current one, of which it
 * changes the members, and the sizes if they grow. What that means is found by comparing:
 *   - a member that was IN_SYNC or INCONSISTENT and is ABSENT: its missed map gets all that is marked,
 *     durably on those that stay, before the superblocks say so; `left` is set
 *   - one that becomes IN_SYNC: is flushed, and gets all maps, first
 *   - the IN_SYNC ones are others: the generation is raised, and the witness told
 *   - nodes that fail meanwhile become ABSENT too
 * The node of a member that becomes INCONSISTENT or IN_SYNC must be there and known by its slot.
 * Superblocks go to all nodes of the new write_set, and to those of `inform` that answer.
 */
struct mirror_change {
	/* False: there is nothing to change any more; done with 0. *error: it can't be done. */
	bool (*edit)(struct mirror *mirror, struct mirror_change *change,
		     struct mirror_super *super, int *error);
	/* Once, with 0 or an errno: edit's, EIO not recorded anywhere, ENOTCONN no quorum (the change
	 * was made, and writing has stopped), ECANCELED the mirror ends or is fenced. May submit
	 * changes, and free this one. */
	void (*done)(struct mirror *mirror, struct mirror_change *change, int error);
	mirror_mask inform; /* also told; no matter if that fails */
	void *arg; /* the owner's */
	struct mirror_change *next; /* the mirror's */
};

struct mirror_node {
	struct mirror *mirror;
	struct target *target;
	char name[MIRROR_NAME_MAX + 1];
	unsigned index; /* its place in nodes[] */
	bool local;
	struct ranges *ranges; /* see above; in the node's own offsets, metadata too */
	_Atomic uint64_t losses_seen; /* of the target's: those before it joined */
	_Atomic bool heard; /* it has said something since the start */
	counter_t read_errors, failures; /* for status; the home's */

	/* Changed by the home. */
	_Atomic enum mirror_node_state state;
	char reason[256]; /* of the state; guarded by the mirror's reason_lock */
	_Atomic uint64_t since; /* of the state, for status: clock_now() */

	/* The home's. */
	enum mirror_node_state noted_state; /* that `since` is of */
	unsigned slot; /* MIRROR_NO_SLOT: not known to be a member */
	uint64_t size; /* bytes; when it was read: tells where its superblocks are */
	uint64_t sequence; /* of its newest superblock */
	unsigned next_copy; /* to be written next */
	struct mirror_super found; /* as it was read, while it is judged */
	bool reading, read; /* its superblocks; `found` and `blank` are from there */
	bool blank;
	uint64_t tried[MIRROR_MAX_NODES]; /* sizes at which there were no superblocks */
	unsigned tried_count;
	/* Its own superblock says INCONSISTENT, and goes on saying so until it is in sync: as long as it isn't
	 * copied to in this run others may take it for ABSENT, but its data is of no one time. */
	bool partial;
	/* By command: it is no member, and never will be; its place stays, for what may still name it. */
	bool removed;
	bool aged; /* by its superblock, which is older than one that it has acknowledged */
	bool unsure; /* a superblock that failed may have been written: read before the next one */
	/* FAILED: when it is looked at again; RESYNC: before that it isn't made in sync. Nanoseconds. */
	uint64_t retry_at, retry_delay;
	bool changing; /* `change` is under way: its own, to join and to get in sync */
	struct mirror_change change;
};

/*
 * A member slot's map of what it missed, while it is ABSENT or INCONSISTENT; else all 0. The home's.
 * What was copied leaves it some time later, when that is durable on the node.
 */
struct mirror_missed {
	struct mirror_bits bits;
	/* Parts of bits: copied, and those of them that a FLUSH of the node is to make durable. */
	struct mirror_bits copied, settling;
};

enum mirror_phase {
	MIRROR_WAITING, /* nodes are awaited, read and judged */
	MIRROR_STARTING, /* the maps are read, and the first metadata of this run written */
	MIRROR_RUNNING,
	MIRROR_FENCED, /* by another writer, seen on some node: everything fails, nothing is written */
	MIRROR_DETACHED, /* cleanly ended; everything fails */
};

struct mirror_port; /* mirror_port.h */

struct mirror {
	struct target base;
	char *volume;
	struct worker *workers, *home; /* home: the first */
	struct mirror_options options;
	struct ranges *ranges; /* see above */
	struct mirror_node nodes[MIRROR_MAX_NODES];
	_Atomic unsigned node_count;
	unsigned port_count;
	struct mirror_port *ports; /* by worker */

	/* Published by the home, read by requests. */
	_Atomic enum mirror_phase phase;
	_Atomic mirror_mask read_set; /* in sync */
	_Atomic mirror_mask write_set; /* in sync or being resynced */
	_Atomic mirror_mask joining; /* of write_set: about to be recorded as in sync */
	_Atomic unsigned primary; /* an index: the one of read_set with the lowest slot */
	/* The last change could not be recorded: what users modify waits. There are too few nodes by
	 * policy (quorum, min_nodes): that fails. Reads and copying go on. */
	_Atomic bool unrecorded, no_quorum;
	_Atomic bool
		unmarkable; /* no node has taken the last marks: who waits for them has a limit */
	_Atomic uint64_t generation; /* for people */
	_Atomic unsigned members; /* how many there are, absent ones too */
	unsigned region_shift; /* set before the phase is RUNNING, then constant */
	unsigned regions; /* likewise, and the home's; growing adds some */
	struct mirror_bits marked, suspect; /* changed by the home; requests set suspect too */
	/* Told by requests, taken by the home. */
	struct mirror_bits wanted; /* to be marked */
	_Atomic bool wants; /* some are */
	_Atomic bool suspects; /* some region has become suspect */
	struct mirror_bits touched; /* written into since the last look */
	_Atomic mirror_mask failed; /* nodes that failed a request which others have done */
	pthread_mutex_t repairs_lock; /* guards repairs; the errors' path only */
	struct mirror_repair {
		unsigned node;
		struct range range;
	} repairs[MIRROR_REPAIRS];
	unsigned repair_count;
	_Atomic unsigned suspect_reports; /* counts them, before the bits are set */
	/* Of acknowledged writes, on all nodes in sync; and how many of them a failed FLUSH has told. */
	_Atomic uint64_t losses, losses_told;

	struct loop_work home_work; /* mirror_home_poke() */
	_Atomic bool home_posted;

	/* The home's alone. */
	bool started; /* mirror_start() was called */
	bool ending; /* the target is being destroyed, and no loop runs: nothing begins any more */
	bool read_only; /* nothing is ever written, metadata included */
	/* Members and generation as published. Self and sequence are in the nodes. */
	struct mirror_super super;
	struct mirror_missed missed[MIRROR_MAX_NODES]; /* by slot */
	struct mirror_witness witness; /* as stored, if `witnessed` */
	bool witness_loaded, witnessed; /* witnessed: the store has the current generation */
	uint64_t witness_retry_at; /* if it hasn't, and there is a store; nanoseconds */
	bool majority; /* of nodes and witness: has the current generation, or this was never asked */
	bool forced; /* started by force, and never since has there been what policy asks for */
	struct mirror_witness_store *witness_store;
	bool busy; /* work on the metadata is under way: see mirror_home_done() */
	struct mirror_change *changes, **changes_end; /* asked for, in order */
	struct mirror_work *work; /* the state of what is under way: mirror_home.h */
	struct mirror_batch *batches; /* that run: mirror_io.c */
	struct mirror_copy *copy;
	struct mirror_orders *orders;
	struct log_limit limit_memory;
	bool refused; /* WAITING: and only a person can help */
	bool fence_noted, copy_stopped; /* FENCED: steps on the way to a new start */
	bool all_heard; /* the parent was told so */
	pthread_mutex_t reason_lock; /* guards the reasons, and those of the nodes */
	char reason[MIRROR_REASON_MAX]; /* why it isn't ready, or doesn't write */
	char reason_told[MIRROR_REASON_MAX]; /* that the log has; guarded likewise */
};

/* ---- mirror.c ---- */

/* One function changes it, logs that, and tells the parent. Home. */
void mirror_set_phase(struct mirror *mirror, enum mirror_phase phase);
void mirror_set_reason(struct mirror *mirror, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Lines as one line: text that goes where there is room for one only. */
void mirror_one_line(const char *lines, char *line, size_t size);
void mirror_node_set_reason(struct mirror_node *node, const char *reason);
/* Published sets, phase or children's states have changed: what that means for base. Home. */
void mirror_update_base(struct mirror *mirror);

/* Is some child fenced by now? Then all is: the phase changes, nothing is recorded. Any thread. */
bool mirror_check_fence(struct mirror *mirror);

static inline unsigned mirror_region_of(const struct mirror *mirror, uint64_t offset)
{
	return (unsigned)(offset >> mirror->region_shift);
}

static inline struct range mirror_region_range(const struct mirror *mirror, unsigned region)
{
	struct range range = {(uint64_t)region << mirror->region_shift,
			      1ull << mirror->region_shift};

	return range_clip(range, mirror->super.data_size);
}

/* Which of these nodes have lost what they acknowledged since they joined? They aren't read then, and
 * leave. Any thread. */
static inline mirror_mask mirror_lossy(const struct mirror *mirror, mirror_mask nodes)
{
	mirror_mask lossy = 0;

	for (; nodes; nodes &= nodes - 1) {
		const struct mirror_node *node = &mirror->nodes[__builtin_ctz(nodes)];

		if (target_losses(node->target) != node->losses_seen)
			lossy |= nodes & -nodes;
	}
	return lossy;
}

/* NULL: nobody that is there is known to be that member. Home. */
struct mirror_node *mirror_node_of_slot(struct mirror *mirror, unsigned slot);
struct mirror_node *mirror_find_node(struct mirror *mirror, const char *name);

/* ---- mirror_port.c ---- */

/* Modifying requests, reads and flushes of users that are under way now: what copying gives way to. Any
 * thread. */
uint64_t mirror_users_inflight(struct mirror *mirror);
void mirror_wake_ports(struct mirror *mirror); /* any thread: they look at what was published */

/* ---- mirror_home.c ---- */

/* There is something new to look at: soon, in the home's thread. Any thread. */
void mirror_home_poke(struct mirror *mirror);

/*
 * These nodes failed a request, with an error that tells about them and not about the request, and
 * which others have done, or which is copying's: they leave the set. Nobody may hear of success before
 * they have left. Any thread.
 */
void mirror_report_failed(struct mirror *mirror, mirror_mask nodes);

/*
 * The same, of what concerns the mirror itself. If all that are in sync have failed it, that tells
 * nothing about one of them, and nobody leaves: false. Home.
 */
bool mirror_report_own_failed(struct mirror *mirror, mirror_mask nodes);

/* A read failed at a node that is there: it should be rewritten from another one. Any thread. */
void mirror_report_unreadable(struct mirror *mirror, unsigned node, struct range range);

/* In-sync nodes may differ there from now on. Any thread, with the hold of the range. */
void mirror_report_suspect(struct mirror *mirror, struct range range);

/* ---- mirror_marks.c: for copying. Home, with the hold of the region ---- */

/* The region was copied from the primary to all other nodes of write_set, or they were seen to be
 * equal: it isn't suspect any more. */
void mirror_region_equal(struct mirror *mirror, unsigned region);

/*
 * The region of this node, which is in RESYNC, now holds what the in-sync nodes do. Its missed bit is
 * cleared after a later FLUSH of the node. When none is left the node gets in sync by itself.
 */
void mirror_region_copied(struct mirror *mirror, struct mirror_node *node, unsigned region);

/* The first region from `from` on that is still to be copied to the node, or mirror->regions. */
unsigned mirror_region_to_copy(struct mirror *mirror, const struct mirror_node *node,
			       unsigned from);

/* ---- mirror_change.c ---- */

void mirror_change_submit(struct mirror *mirror, struct mirror_change *change); /* home */

/* ---- mirror_join.c: home ---- */

/* Looks again at this node as if it had just come: after attach, resume, replace. */
void mirror_look_again(struct mirror *mirror, struct mirror_node *node);

/* ---- mirror_command.c ---- */

json_t *mirror_command(struct target *target, const char *command, const json_t *request,
		       const struct reason *reason); /* target_ops.command */

/* ---- mirror_detach.c ---- */

/*
 * The clean end: copying stops, all is flushed, the maps are cleared and the superblocks say so. With
 * regions that are suspect the mirror isn't clean, and says that instead. No request may be under way
 * or come. done(arg) runs once. Home.
 */
void mirror_detach(struct mirror *mirror, void (*done)(void *arg), void *arg);

/* ---- mirror_io.c: metadata. Home ---- */

/*
 * Many reads and writes of metadata, which end together. From malloc: not for the steady state. Each
 * write has FUA and the node's hold of its place.
 */
struct mirror_batch *mirror_batch_new(struct mirror *mirror,
				      void (*done)(struct mirror_batch *batch, void *arg),
				      void *arg); /* NULL: out of memory */
/* Bytes that stay until the batch ends, for writes: MIRROR_MAP_BLOCK of them. NULL: out of memory. */
uint8_t *mirror_batch_block(struct mirror_batch *batch);
/* 0 or ENOMEM. Nothing is sent before mirror_batch_run(). */
int mirror_batch_write(struct mirror_batch *batch, mirror_mask nodes, uint64_t offset,
		       const uint8_t *block);
int mirror_batch_flush(struct mirror_batch *batch, mirror_mask nodes);
/* into: MIRROR_MAP_BLOCK bytes, the caller's, until done. */
int mirror_batch_read(struct mirror_batch *batch, unsigned node, uint64_t offset, uint8_t *into);
void mirror_batch_run(struct mirror_batch *batch); /* done() may run before it returns */
mirror_mask mirror_batch_failed(const struct mirror_batch *batch); /* nodes, once it is done */
void mirror_batch_free(struct mirror_batch **batch); /* from done() on, or if it never ran */

#endif
