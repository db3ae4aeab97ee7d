/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror.h - a map whose nodes all hold the same data: a write goes to all of them, a read to one. It
 * goes on without those that fail, records on the others that they are absent before it answers
 * anything that they missed, and brings them up to date when they are back.
 *
 * Format: mirror_meta.h. When it may start: mirror_start.h. How it is built: mirror_impl.h.
 */
#ifndef DSTFS_MIRROR_H
#define DSTFS_MIRROR_H

#include "dstfs/mirror_start.h"
#include "dstfs/mirror_witness.h"
#include "dstfs/target.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIRROR_NAME_MAX 127u
#define MIRROR_REASON_MAX 1024u

struct mirror_options {
	struct mirror_start_policy start;
	char prefer[MIRROR_NAME_MAX + 1]; /* reads go to the node of this name while they can; "" */
	uint64_t start_wait; /* nanoseconds that absent members are waited for */
};

struct mirror_setup {
	struct worker *workers; /* like policy, they outlive the mirror; the first is its home */
	unsigned worker_count;
	const struct target_policy *policy;
	const char *volume; /* its name, for messages; copied */
	const struct mirror_options *options; /* copied */
	struct mirror_witness_store *witness; /* the mirror's from now on; NULL: it has none */
	void (*changed)(void *arg);
	void *changed_arg;
};

struct mirror_node;

/* A mirror without nodes. NULL: out of memory; then the witness is still the caller's. */
struct target *mirror_new(const struct mirror_setup *setup);

/*
 * The next node's place: what it needs to be made with, as changed_arg of mirror_node_changed(). NULL:
 * there are MIRROR_MAX_NODES. It counts once mirror_join_node() has been told the target, which is the
 * mirror's then. `local`: on this machine, so that reads prefer it. Both from the home's thread while
 * it runs; before mirror_start() nothing else may happen.
 */
struct mirror_node *mirror_next_node(struct target *mirror, const char *name, bool local);
void mirror_node_changed(void *node);
void mirror_join_node(struct mirror_node *node, struct target *target);

/* May it get one more node of that name, while it runs? Else a reason. The home's thread, as what follows. */
bool mirror_may_add(struct target *mirror, const char *name, const struct reason *reason);
/* The node of that name was removed, or could not be added: it may be added again. False: there is none. */
bool mirror_revive_node(struct target *mirror, const char *name);
bool mirror_has_node(struct target *mirror, const char *name); /* and it wasn't removed */
unsigned mirror_node_count(struct target *mirror); /* likewise */

void mirror_start(struct target *mirror); /* all nodes that it begins with are there */

#endif
