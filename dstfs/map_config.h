/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_config.h - how a volume is made of its nodes, as configured: a tree of maps with nodes for
 * leaves.
 *
 *   EXPRESSION := NODE | MAP ( EXPRESSION {, EXPRESSION} )
 *
 * MAP is linear, stripe or mirror, NODE the name of one of the volume's nodes. Each node stands in it
 * once. A map's name alone, in place of the whole, means that map over all nodes in their order.
 */
#ifndef DSTFS_MAP_CONFIG_H
#define DSTFS_MAP_CONFIG_H

#include "common/conf_tables.h"
#include "common/uri.h"

#include <stdbool.h>
#include <stdint.h>

#define MAP_MAX_NODES 64u /* of a volume, and so children of one map */
#define MAP_MAX_MIRRORED 8u /* children of a mirror */
#define MAP_MAX_NESTING                                                                            \
	4u /* maps inside each other; what carries a request needs memory for each */

struct node_config {
	struct node_config *next;
	char name[CONF_NODE_NAME_MAX + 1]; /* "node-N" where none was given */
	struct uri uri;
};

enum map_kind { MAP_NODE, MAP_LINEAR, MAP_STRIPE, MAP_MIRROR };

struct map_config {
	enum map_kind kind;
	struct map_config *next; /* of the same parent, in order */
	const struct node_config *node; /* MAP_NODE: the volume's */
	struct map_config *children; /* of a map: at least as many as its kind needs */
	unsigned count; /* of them */
	unsigned height; /* 0: a node; else one more than the highest child */
};

const char *map_kind_name(enum map_kind kind);
/* Does the tree have such a map anywhere, or that node? */
bool map_config_has(const struct map_config *tree, enum map_kind kind);
bool map_config_has_node(const struct map_config *tree, const struct node_config *node);
bool map_config_is_map(const char *name); /* no node may be called like that */

/*
 * Parses `text`, or, if it is NULL, takes the only node as the whole. There is a node, and names are
 * unique. 0 with the caller's tree in *tree; else EINVAL or ENOMEM, with the cause in reason.
 */
int map_config_parse(struct map_config **tree, const char *text, const struct node_config *nodes,
		     const struct reason *reason);
void map_config_free(struct map_config **tree);

/*
 * The tree with its nodes' URIs as text that is equal for equal trees; the caller frees it. NULL: out
 * of memory.
 */
char *map_config_text(const struct map_config *tree, uint64_t chunk);

/* Of two such texts: is `now` a linear map that begins with all that `before` has, and has more? */
bool map_config_extends(const char *before, const char *now);

#endif
