/* SPDX-License-Identifier: GPL-2.0-or-later */
/* local.h - a leaf target: a file or block device of this machine. */
#ifndef DSTFS_LOCAL_H
#define DSTFS_LOCAL_H

#include "common/uri.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

/*
 * Opens the file. Workers and policy must outlive the target. NULL: the cause, one line, in reason.
 */
struct target *local_new(const struct uri *uri, struct worker *workers, unsigned worker_count,
			 const struct target_policy *policy, void (*changed)(void *arg),
			 void *changed_arg, char *reason, size_t reason_size);

#endif
