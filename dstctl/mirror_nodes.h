/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_nodes.h - what the nodes of a mirror that isn't mounted say of it: read, judged, shown. */
#ifndef DSTCTL_MIRROR_NODES_H
#define DSTCTL_MIRROR_NODES_H

#include "dstctl/offline.h"

#include <jansson.h>

struct mirror_nodes {
	struct offline *o;
	struct mirror_found found[MIRROR_MAX_NODES];
	uint64_t sizes[MIRROR_MAX_NODES]; /* where the superblocks were found; bytes */
	unsigned next[MIRROR_MAX_NODES]; /* copy to be written next */
	/* Why it isn't present, though it answers; "" else. */
	char reasons[MIRROR_MAX_NODES][256];
	struct mirror_witness witness;
	int witness_error;
	struct mirror_start start;
	enum mirror_verdict verdict;
};

/* Of the parts that are open. `force`: how a start by force would be judged. */
void mirror_nodes_read(struct mirror_nodes *nodes, struct offline *o, bool force);

/* The part of that name, or offline->count. */
unsigned mirror_nodes_find(const struct mirror_nodes *nodes, const char *name);

const char *mirror_role_name(enum mirror_role role);
const char *mirror_verdict_name(enum mirror_verdict verdict);

void mirror_nodes_print(const struct mirror_nodes *nodes);
json_t *mirror_nodes_json(const struct mirror_nodes *nodes);

#endif
