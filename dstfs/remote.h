/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remote.h - a leaf target: an export of a server, reached over one lane per worker. */
#ifndef DSTFS_REMOTE_H
#define DSTFS_REMOTE_H

#include "common/uri.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

/*
 * Starts to connect on every worker's loop. The URI is copied; workers,
 * policy and client (our name, for people) must outlive the target. NULL: out of memory.
 */
struct target *remote_new(const struct uri *uri, struct worker *workers, unsigned worker_count,
			  const struct target_policy *policy, const char *client,
			  void (*changed)(void *arg), void *changed_arg);

#endif
