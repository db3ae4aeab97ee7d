/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assemble.h - from a volume's configuration to its tree of targets. */
#ifndef DSTFS_ASSEMBLE_H
#define DSTFS_ASSEMBLE_H

#include "dstfs/options.h"
#include "dstfs/target.h"
#include "dstfs/worker.h"

#include <stddef.h>

/* Workers, policy and client must outlive the target. NULL: the cause, one line, in reason. */
struct target *assemble(const struct volume_config *config, struct worker *workers,
			unsigned worker_count, const struct target_policy *policy,
			const char *client, void (*changed)(void *arg), void *changed_arg,
			char *reason, size_t reason_size);

#endif
