/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount_nodes.h - nodes that volumes of a mount get, or lose, while they are in use. Worker 0's thread. */
#ifndef DSTFS_MOUNT_NODES_H
#define DSTFS_MOUNT_NODES_H

#include "dstfs/assemble.h"
#include "dstfs/mount.h"

#include <jansson.h>

/* What targets of this volume are made with. */
struct assembly mount_assembly(const struct mount_volume *mv, const struct volume_config *config,
			       char *reason, size_t size);

/*
 * What has become of its nodes in the configuration: nothing; more at the end of a linear map, or of a
 * mirror, which are taken in; else it is told that this needs a command, or a new mount.
 */
void mount_reload_nodes(struct mount_volume *mv, const struct volume_config *config);

/*
 * "name" and "uri" of the request: a node that the volume, which is a mirror, gets as one more. NULL and a
 * reason, or the mirror's answer: see mirror_node_admit().
 */
json_t *mount_add_node(struct mount_volume *mv, const json_t *request, const struct reason *reason);

#endif
