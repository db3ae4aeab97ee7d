/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attachment.h - a session: how the lanes of one node are attached to one export together.
 *
 * It holds what is the same for all of them: the session's id and epoch, which export of which server
 * it is, whether another writer has taken over, and which instance of the server has acknowledged what
 * was written. When that instance is gone, it gathers the lanes and has written anew what was not
 * durable (recovery.c) before any of them carries anything else.
 *
 * Threads: one lock guards all of it; it is taken when connections come and go, for status and for
 * commands, never with a request. Lanes call in from their own threads (lane_events), and are told by
 * being poked. What belongs to lane 0's thread, the replay, is marked so.
 */
#ifndef DSTFS_ATTACHMENT_H
#define DSTFS_ATTACHMENT_H

#include "common/uri.h"
#include "dstfs/lane.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#include <jansson.h>

struct attachment;

/* Of `target` it keeps state, size and writable, and calls `changed`. uri, workers, policy and client
 * must outlive it. Nothing is connected yet. NULL: out of memory. */
struct attachment *attachment_new(struct target *target, const struct uri *uri,
				  struct worker *workers, unsigned worker_count,
				  const char *client);
void attachment_start(struct attachment *attachment);
struct lane *attachment_lane(struct attachment *attachment, unsigned index);

/* Any thread: see target_ops. */
int attachment_reattach(struct attachment *attachment, bool takeover);
void attachment_reason(struct attachment *attachment, char *text, size_t size);

uint64_t attachment_losses(const struct attachment *attachment); /* see target_ops */

/* Any thread: a new object for status. */
json_t *attachment_status(struct attachment *attachment);

/* Ends the lanes, see lane_free(). */
void attachment_free(struct attachment **attachment);

#endif
