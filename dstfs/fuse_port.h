/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_port.h - where requests come in from the kernel: one port per worker reads the FUSE device
 * from that worker's loop and hands each request to libfuse, which calls fuse_ops in that thread.
 *
 * A request is read into a payload buffer so that a write's data lies on a page; a handler that
 * needs it longer takes the buffer along.
 */
#ifndef DSTFS_FUSE_PORT_H
#define DSTFS_FUSE_PORT_H

#include "dstfs/mount.h"

#include <fuse_lowlevel.h>

struct fuse_port;

struct fuse_port *fuse_port_new(struct fuse_session *session, struct worker *worker,
				void (*ended)(void *arg), void *ended_arg);
void fuse_port_free(struct fuse_port **port);

/* Starts to read; in the worker's thread. `ended` runs there when the mount is gone. */
void fuse_port_start(struct fuse_port *port);

/* Inside a handler: the port that the request came in by, and the buffer that holds it. */
struct fuse_port *fuse_port_current(void);
struct worker *fuse_port_worker(struct fuse_port *port);
struct buf *fuse_port_take_buf(struct fuse_port *port); /* the caller's reference then */

/*
 * Makes the session's device non-blocking and has INIT's answer ask for shared mmap on
 * FOPEN_DIRECT_IO files, where the kernel offers it. After mounting. 0 or an errno.
 */
int fuse_port_prepare_session(struct fuse_session *session);

#endif
