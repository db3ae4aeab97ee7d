/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_impl.h - what the fuse_* files share: the handlers, one file per kind. */
#ifndef DSTFS_FUSE_IMPL_H
#define DSTFS_FUSE_IMPL_H

#include "dstfs/fuse_ops.h"

#define ATTRIBUTE_TIMEOUT 1.0 /* seconds that the kernel trusts attributes */
#define NAME_TIMEOUT 3600.0 /* a name's inode never changes */

static inline struct fuse_ops *ops_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The volume of an inode; NULL for the root and for what doesn't exist. */
static inline struct mount_volume *volume_of(fuse_req_t req, fuse_ino_t inode)
{
	return mount_find_inode(ops_of(req)->mount, inode);
}

/* ---- fuse_node.c: names, attributes, and what is refused ---- */
void node_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void node_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi);
void node_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *attr, int to_set,
		  struct fuse_file_info *fi);
void node_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
		  struct fuse_file_info *fi);
void node_statfs(fuse_req_t req, fuse_ino_t inode);
void node_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size);
void node_listxattr(fuse_req_t req, fuse_ino_t inode, size_t size);
void node_setxattr(fuse_req_t req, fuse_ino_t inode, const char *name, const char *value,
		   size_t size, int flags);
void node_removexattr(fuse_req_t req, fuse_ino_t inode, const char *name);
void node_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void node_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void node_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void node_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void node_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		 const char *new_name, unsigned flags);
void node_link(fuse_req_t req, fuse_ino_t inode, fuse_ino_t parent, const char *name);
void node_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 struct fuse_file_info *fi);

/* ---- fuse_open.c: opens, which may wait for a node ---- */
int opens_init(struct fuse_ops *ops); /* 0 or ENOMEM */
void opens_destroy(struct fuse_ops *ops);
void opens_recheck(struct fuse_ops *ops); /* a volume has changed. Worker 0 */
void opens_cancel_all(struct fuse_ops *ops); /* fails those that wait with EIO */
void open_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi);

/* ---- fuse_io.c: data ---- */
int fuse_io_init(struct fuse_ops *ops); /* 0 or ENOMEM */
void fuse_io_destroy(struct fuse_ops *ops);
void fuse_io_cancel_all(struct fuse_ops *ops);
void io_read(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
	     struct fuse_file_info *fi);
void io_write(fuse_req_t req, fuse_ino_t inode, const char *data, size_t size, off_t offset,
	      struct fuse_file_info *fi);
void io_fsync(fuse_req_t req, fuse_ino_t inode, int data_only, struct fuse_file_info *fi);
void io_fallocate(fuse_req_t req, fuse_ino_t inode, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void io_lseek(fuse_req_t req, fuse_ino_t inode, off_t offset, int whence,
	      struct fuse_file_info *fi);
void io_copy_file_range(fuse_req_t req, fuse_ino_t inode_in, off_t offset_in,
			struct fuse_file_info *fi_in, fuse_ino_t inode_out, off_t offset_out,
			struct fuse_file_info *fi_out, size_t length, int flags);

#endif
