/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend_file_impl.h - what the six files of backend_file share, and nobody else includes.
 *
 *   backend_file.c          the interface: inline or to a thread, and back to the loop
 *   backend_file_open.c     opening, locking, what the medium is and can do
 *   backend_file_ops.c      the operations themselves, which may block
 *   backend_file_extents.c  which parts of a file are holes
 *   backend_file_sync.c     syncs, whose failures must reach everybody
 *   backend_file_pace.c     the judgement, by measurement, whether calls may be made inline
 */
#ifndef COMMON_BACKEND_FILE_IMPL_H
#define COMMON_BACKEND_FILE_IMPL_H

#include "common/backend.h"
#include "common/backend_file.h"
#include "common/log.h"
#include "common/offload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a kind of file system or device treats those who call it. */
struct backend_medium {
	bool memory; /* never waits: all is done inline, unless it is long work */
	bool nowait; /* RWF_NOWAIT may be known there */
	bool measure; /* where it isn't, writes are tried inline, while they prove short */
	bool trusted; /* from the start; else only after proof */
};

/* Judgement on one direction, read or write, of one backend. Shared by all threads; what they lose
 * by racing is a sample. */
struct pace {
	_Atomic bool nowait; /* RWF_NOWAIT is known there, as far as we know */
	bool measure;
	_Atomic int state; /* enum pace_state */
	_Atomic uint64_t
		since; /* clock_now(): WATCHED: last long call; OFFLOADED: start of the row */
	_Atomic unsigned row; /* OFFLOADED: short calls in a row */
};

/* One inline call under measurement. */
struct pace_call {
	uint64_t start; /* clock_now() */
	long sleeps; /* the thread's voluntary context switches before it; -1: not watched */
};

void pace_init(struct pace *pace, const struct backend_medium *medium, bool write);
bool pace_inline(const struct pace *pace); /* may calls be made inline now? */
void pace_begin(struct pace *pace, struct pace_call *call);
void pace_end(struct pace *pace, const struct pace_call *call);
void pace_offloaded(struct pace *pace, uint64_t took); /* a call in a thread took so long, ns */
bool pace_is_long(uint64_t took); /* nanoseconds */

/* A sync under way, on its thread's stack. */
struct sync_call {
	uint64_t number; /* in the order of their beginning */
	struct sync_call *next, **link;
};

/* The syncs of one backend. See backend_file_sync.c. */
struct file_syncs {
	_Atomic unsigned failures; /* since the start */
	_Atomic unsigned reported; /* of them, what a FLUSH has reported */

	pthread_mutex_t lock; /* guards changes of the above, and all below */
	pthread_cond_t ended;
	struct sync_call *first, **tail; /* under way, oldest first */
	uint64_t begun;
	int error; /* the last failure's */
	struct log_limit limit;
};

/* The data that was seen last by EXTENTS. See backend_file_extents.c. */
struct file_extents {
	pthread_mutex_t lock; /* guards all below */
	struct range data; /* no part of it was a hole; empty: none is known */
	uint64_t until; /* clock_now() when that is asked anew */
};

struct backend_file {
	struct backend base;

	/* Fixed when open. */
	int fd;
	char *path;
	uint64_t size_limit; /* bytes; 0: none */
	uint64_t page_size; /* bytes; what is written in units of it needs no reading */
	uint32_t sector; /* devices: the unit of fallocate() and BLKDISCARD, bytes */
	struct backend_medium medium;
	struct offload *offload;

	/* Any thread. */
	struct pace read_pace, write_pace;
	_Atomic bool can_punch, can_zero_range, can_discard, can_copy;
	_Atomic bool told_shrunk; /* logged already that the file is shorter than it was */

	struct file_syncs syncs;
	struct file_extents extents;

	/* What is with the threads now, queued or running. */
	_Alignas(64) _Atomic unsigned offloaded, offloaded_reads;
	_Atomic unsigned holders; /* of those, what may hold the file's lock while it waits */
	_Atomic uint64_t progress; /* clock_now() when one ended last, or the first one came */
	_Atomic uint64_t served_offloaded;
	_Alignas(64) _Atomic uint64_t served_inline;
};

/*
 * Runs the operation in the calling thread, from op->moved on, and returns 0 or its errno. May block.
 */
int backend_file_run(struct backend_file *file, struct backend_op *op);

/* The same, of an EXTENTS. */
int backend_file_run_extents(struct backend_file *file, struct backend_op *op);

void backend_file_extents_init(struct file_extents *extents);
void backend_file_extents_destroy(struct file_extents *extents);
void backend_file_extents_forget(struct file_extents *extents, struct range punched);

void backend_file_syncs_init(struct file_syncs *syncs);
void backend_file_syncs_destroy(struct file_syncs *syncs); /* none is under way */

/* When an operation is submitted that ends with a sync: notes which failures it is to report. */
void backend_file_sync_note(struct backend_file *file, struct backend_op *op);

/* fdatasync(). 0 only if all that was written before the operation was submitted is durable. */
int backend_file_sync(struct backend_file *file, struct backend_op *op);

/* The same around another call that syncs; `error` is how it ended. Returns the result to give. */
void backend_file_sync_begin(struct backend_file *file, struct sync_call *call);
int backend_file_sync_end(struct backend_file *file, struct backend_op *op, struct sync_call *call,
			  int error);

/* Bytes that the medium has now. 0 or an errno. Asks no server: takes what the kernel knows. */
int backend_file_medium_size(int fd, bool is_device, uint64_t *size);

/* Fills in all but the pool of threads. 0, or an errno with the cause in reason. */
int backend_file_open_medium(struct backend_file *file, const struct backend_file_options *options,
			     char *reason, size_t reason_size);

#endif
