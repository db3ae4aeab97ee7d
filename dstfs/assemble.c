/* SPDX-License-Identifier: GPL-2.0-or-later */
/* assemble.c - see assemble.h. The one place that names concrete targets. */
#include "dstfs/assemble.h"

#include "dstfs/local.h"
#include "dstfs/remote.h"

#include <stdio.h>

struct target *assemble(const struct volume_config *config, struct worker *workers,
			unsigned worker_count, const struct target_policy *policy,
			const char *client, void (*changed)(void *arg), void *changed_arg,
			char *reason, size_t reason_size)
{
	const struct uri *uri = &config->nodes->uri; /* options.c has seen to there being one */
	struct target *target;

	if (config->tree->kind != MAP_NODE) {
		snprintf(reason, reason_size, "volume %s: this version has no %s yet", config->name,
			 map_kind_name(config->tree->kind));
		return NULL;
	}
	if (uri->kind == URI_FILE)
		return local_new(uri, workers, worker_count, policy, changed, changed_arg, reason,
				 reason_size);
	target = remote_new(uri, workers, worker_count, policy, client, changed, changed_arg);
	if (!target)
		snprintf(reason, reason_size, "out of memory");
	return target;
}
