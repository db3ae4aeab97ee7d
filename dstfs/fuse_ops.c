/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_ops.c - see fuse_ops.h: the table of handlers, and the mount's life as FUSE sees it. */
#include "dstfs/fuse_ops.h"

#include "dstfs/fuse_impl.h"

#include <errno.h>

static void init(void *userdata, struct fuse_conn_info *conn)
{
	struct fuse_ops *ops = userdata;

	conn->max_write = DST_MAX_PAYLOAD;
	/* The kernel counts all volumes together: a stuck one must not use up what the others need. */
	conn->max_background = WORKER_BACKGROUND;
	conn->congestion_threshold = conn->max_background;
	/* A new mtime of our own writes must not empty the page cache. */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	/* Payloads are checksummed, so they must pass through memory: splicing gains nothing. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	/* O_TRUNC comes with the open, where it is accepted, and not as a truncation to 0. */
	conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	ops->ready(ops->ready_arg);
}

const struct fuse_lowlevel_ops fuse_ops_table = {
	.init = init,
	.lookup = node_lookup,
	.getattr = node_getattr,
	.setattr = node_setattr,
	.readdir = node_readdir,
	.statfs = node_statfs,
	.getxattr = node_getxattr,
	.listxattr = node_listxattr,
	.setxattr = node_setxattr,
	.removexattr = node_removexattr,
	.mknod = node_mknod,
	.mkdir = node_mkdir,
	.unlink = node_unlink,
	.rmdir = node_unlink,
	.symlink = node_symlink,
	.rename = node_rename,
	.link = node_link,
	.create = node_create,
	.open = open_open,
	.read = io_read,
	.write = io_write,
	.fsync = io_fsync,
	.fallocate = io_fallocate,
	.lseek = io_lseek,
	.copy_file_range = io_copy_file_range,
};

int fuse_ops_init(struct fuse_ops *ops, struct mount *mount, void (*ready)(void *arg),
		  void *ready_arg)
{
	int error;

	*ops = (struct fuse_ops){.mount = mount, .ready = ready, .ready_arg = ready_arg};
	error = fuse_io_init(ops);
	return error ? error : opens_init(ops);
}

void fuse_ops_changed(struct fuse_ops *ops, struct mount_volume *mv)
{
	opens_recheck(ops);
	/* Attributes only (a negative offset): dropping pages could wait for requests that we answer. */
	if (ops->session)
		fuse_lowlevel_notify_inval_inode(ops->session, mv->inode, -1, 0);
}

void fuse_ops_cancel_all(struct fuse_ops *ops)
{
	opens_cancel_all(ops);
	fuse_io_cancel_all(ops);
}

void fuse_ops_destroy(struct fuse_ops *ops)
{
	fuse_io_destroy(ops);
	opens_destroy(ops);
}
