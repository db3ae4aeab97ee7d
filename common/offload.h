/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offload.h - a small pool of threads for calls that may block, one pool per backend, so that a slow
 * disk holds up nobody but its own users.
 */
#ifndef COMMON_OFFLOAD_H
#define COMMON_OFFLOAD_H

struct offload;

/* Work for a thread; embedded by its user. `run` is called in some thread of the pool. */
struct offload_job {
	void (*run)(struct offload_job *job);
	struct offload_job *next;
};

/* Threads start when they are needed, up to `threads`, and leave when idle for long. NULL: out of
 * memory. `name` is shown by ps(1), at most 15 bytes. */
struct offload *offload_new(const char *name, unsigned threads);

/* Any thread. Runs jobs in the order of their coming; with no thread to be had, in the caller. */
void offload_submit(struct offload *offload, struct offload_job *job);

/* Waits for the threads to end. No job may be queued or running. */
void offload_free(struct offload **offload);

#endif
