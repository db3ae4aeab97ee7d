/* SPDX-License-Identifier: GPL-2.0-or-later */
/* admin.h - what dstctl asks of a mount: its status, and to change what a volume does. */
#ifndef DSTFS_ADMIN_H
#define DSTFS_ADMIN_H

#include "dstfs/mount.h"

#include <jansson.h>
#include <stddef.h>

/*
 * Answers one command (control.h: control_fn):
 *
 *   status                                    see mount_status()
 *   fail      volume                          ends all I/O of the volume with EIO; "requests": how many
 *   set       volume, options {name: text}    changes all of these options, or none
 *   reattach  volume, takeover                see target_ops.reattach
 *   verify    volume, [repair, source]        of a mirror: compares its nodes, see mirror_copy.h
 *   verify-stop, resync-pause, resync-resume  volume
 *   mirror-start, mirror-resolve              volume, …: see mirror_resolve.h
 *   mirror-replace, node-add, node-remove, volume-resize
 *                                             volume, …: see mirror_admit.h, mount_nodes.h, mirror_resize.h
 *
 * A new object, or NULL with the cause, one line, in reason. Worker 0's thread.
 */
json_t *admin_command(struct mount *mount, const char *command, const json_t *request, char *reason,
		      size_t size);

#endif
