/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_ops.h - what the kernel asks of the mount, answered. With fuse_port, fuse_open and fuse_node
 * the only users of libfuse besides main.
 */
#ifndef DSTFS_FUSE_OPS_H
#define DSTFS_FUSE_OPS_H

#include "dstfs/mount.h"

#include <fuse_lowlevel.h>

/* The mount's side of FUSE: handed to libfuse as the session's user data. */
struct fuse_ops {
	struct mount *mount;
	struct fuse_session *session;
	void (*ready)(void *arg); /* INIT was answered: the mount answers */
	void *ready_arg;
	struct fuse_io_port *ports; /* one per worker */
	struct fuse_opens *opens;
};

extern const struct fuse_lowlevel_ops fuse_ops_table;

/* After mount_init(). 0 or an errno. */
int fuse_ops_init(struct fuse_ops *ops, struct mount *mount, void (*ready)(void *arg),
		  void *ready_arg);

/* The volume's state or size has changed: tells the kernel, and opens that wait. Worker 0. */
void fuse_ops_changed(struct fuse_ops *ops, struct mount_volume *mv);

/* Ends all that is under way with an error; no loop may run. The session still exists. */
void fuse_ops_cancel_all(struct fuse_ops *ops);
void fuse_ops_destroy(struct fuse_ops *ops);

#endif
