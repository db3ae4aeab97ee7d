/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_node.c - the names and attributes in the mount, answered from memory: nothing here waits for the
 * network. What would change the set of files is refused.
 */
#include "dstfs/fuse_impl.h"

#include "common/clock.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BLOCK_SIZE 4096u /* st_blksize, f_bsize: what loop devices take as discard granularity */
#define STAT_BLOCK 512u /* unit of st_blocks */
#define NAME_LENGTH_MAX 255u

static bool read_only(const struct mount_volume *mv)
{
	const struct target *target = volume_target(mv->volume);

	return volume_policy(mv->volume)->read_only || (target->size && !target->writable);
}

static void fill_root(const struct mount *mount, struct stat *attr)
{
	*attr = (struct stat){
		.st_ino = MOUNT_ROOT_INODE,
		.st_mode = S_IFDIR | 0755,
		.st_nlink = 2,
		.st_uid = mount->options->uid,
		.st_gid = mount->options->gid,
		.st_blksize = BLOCK_SIZE,
	};
	attr->st_mtime = attr->st_ctime = attr->st_atime =
		clock_wall_sec() - (int64_t)((clock_now() - mount->started) / CLOCK_SEC);
}

static void fill_volume(const struct mount_volume *mv, struct stat *attr)
{
	const struct dstfs_options *options = mv->mount->options;
	uint64_t size = volume_target(mv->volume)->size;
	mode_t mode = options->mode ? options->mode : 0600;

	if (read_only(mv))
		mode &= ~(mode_t)0222;
	*attr = (struct stat){
		.st_ino = mv->inode,
		.st_mode = S_IFREG | mode,
		.st_nlink = 1,
		.st_uid = options->uid,
		.st_gid = options->gid,
		.st_size = (off_t)size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = (blkcnt_t)(size / STAT_BLOCK + !!(size % STAT_BLOCK)),
	};
	attr->st_mtime = attr->st_ctime = attr->st_atime = mv->mtime;
}

/* 0 or ENOENT. */
static int fill_inode(fuse_req_t req, fuse_ino_t inode, struct stat *attr)
{
	struct mount_volume *mv = volume_of(req, inode);

	if (mv)
		fill_volume(mv, attr);
	else if (inode == MOUNT_ROOT_INODE)
		fill_root(ops_of(req)->mount, attr);
	else
		return ENOENT;
	return 0;
}

void node_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct mount_volume *mv = mount_find_name(ops_of(req)->mount, name);
	struct fuse_entry_param entry = {
		.attr_timeout = ATTRIBUTE_TIMEOUT,
		.entry_timeout = NAME_TIMEOUT,
	};

	if (parent != MOUNT_ROOT_INODE || !mv) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry.ino = mv->inode;
	fill_volume(mv, &entry.attr);
	fuse_reply_entry(req, &entry);
}

void node_getattr(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
	struct stat attr;
	int error = fill_inode(req, inode, &attr);

	if (error)
		fuse_reply_err(req, error);
	else
		fuse_reply_attr(req, &attr, ATTRIBUTE_TIMEOUT);
}

/* The size is the node's, owner and mode are the mount's: only times may be set. */
void node_setattr(fuse_req_t req, fuse_ino_t inode, struct stat *set, int to_set,
		  struct fuse_file_info *fi)
{
	struct mount_volume *mv = volume_of(req, inode);

	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) || !mv) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (to_set & FUSE_SET_ATTR_SIZE &&
	    (uint64_t)set->st_size != volume_target(mv->volume)->size) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		mv->mtime = clock_wall_sec();
	else if (to_set & FUSE_SET_ATTR_MTIME)
		mv->mtime = set->st_mtime;
	node_getattr(req, inode, fi);
}

void node_readdir(fuse_req_t req, fuse_ino_t inode, size_t size, off_t offset,
		  struct fuse_file_info *fi)
{
	struct mount *mount = ops_of(req)->mount;
	char entries[4096];
	size_t used = 0;

	if (inode != MOUNT_ROOT_INODE) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (size > sizeof(entries))
		size = sizeof(entries);
	/* Entries 0 and 1 are "." and "..", the volumes follow; an entry's offset is the next one. */
	for (uint64_t i = (uint64_t)offset; i < 2 + mount->volume_count; i++) {
		struct stat attr = {.st_ino = MOUNT_ROOT_INODE, .st_mode = S_IFDIR};
		const char *name = i ? ".." : ".";
		size_t need;

		if (i >= 2) {
			attr.st_ino = mount->volumes[i - 2]->inode;
			attr.st_mode = S_IFREG;
			name = volume_name(mount->volumes[i - 2]->volume);
		}
		need = fuse_add_direntry(req, entries + used, size - used, name, &attr,
					 (off_t)i + 1);
		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, entries, used);
}

void node_statfs(fuse_req_t req, fuse_ino_t inode)
{
	struct mount *mount = ops_of(req)->mount;
	struct statvfs fs = {
		.f_bsize = BLOCK_SIZE,
		.f_frsize = BLOCK_SIZE,
		.f_files = mount->volume_count,
		.f_namemax = NAME_LENGTH_MAX,
	};

	/* All space is taken by the images: nothing is free. */
	for (unsigned i = 0; i < mount->volume_count; i++) {
		uint64_t size = volume_target(mount->volumes[i]->volume)->size;

		fs.f_blocks += size / BLOCK_SIZE + !!(size % BLOCK_SIZE);
	}
	fuse_reply_statfs(req, &fs);
}

/* ---- extended attributes: what a script wants to know of a volume ---- */

/* Appends what is told of each node, down all maps, under `key`, separated by spaces. */
static void append_nodes(const json_t *nodes, const char *key, char *text, size_t size)
{
	const json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		const char *value = json_string_value(json_object_get(node, key));
		size_t used = strlen(text);

		if (value)
			snprintf(text + used, size - used, "%s%s", used ? " " : "", value);
		append_nodes(json_object_get(node, "nodes"), key, text, size);
	}
}

static void nodes_text(const struct mount_volume *mv, const char *key, char *text, size_t size)
{
	json_t *status = volume_status(mv->volume);

	text[0] = 0;
	append_nodes(json_object_get(status, "nodes"), key, text, size);
	json_decref(status);
}

static void state_text(const struct mount_volume *mv, char *text, size_t size)
{
	snprintf(text, size, "%s", target_state_name(volume_target(mv->volume)->state));
}

static void uris_text(const struct mount_volume *mv, char *text, size_t size)
{
	nodes_text(mv, "uri", text, size);
}

static void size_text(const struct mount_volume *mv, char *text, size_t size)
{
	snprintf(text, size, "%llu", (unsigned long long)volume_target(mv->volume)->size);
}

static void session_text(const struct mount_volume *mv, char *text, size_t size)
{
	nodes_text(mv, "session", text, size);
}

static const struct {
	const char *name;
	void (*text)(const struct mount_volume *mv, char *text, size_t size);
} xattrs[] = {
	{"user.dstfs.state", state_text},
	{"user.dstfs.nodes", uris_text},
	{"user.dstfs.size", size_text},
	{"user.dstfs.session", session_text},
};

#define XATTR_COUNT (sizeof(xattrs) / sizeof(*xattrs))

static void reply_xattr(fuse_req_t req, const char *data, size_t length, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, length);
	else if (size < length)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, data, length);
}

void node_getxattr(fuse_req_t req, fuse_ino_t inode, const char *name, size_t size)
{
	struct mount_volume *mv = volume_of(req, inode);
	char text[URI_TEXT_MAX];

	for (size_t i = 0; mv && i < XATTR_COUNT; i++) {
		if (strcmp(name, xattrs[i].name) != 0)
			continue;
		xattrs[i].text(mv, text, sizeof(text));
		reply_xattr(req, text, strlen(text), size);
		return;
	}
	fuse_reply_err(req, ENODATA);
}

void node_listxattr(fuse_req_t req, fuse_ino_t inode, size_t size)
{
	char names[256];
	size_t used = 0;

	for (size_t i = 0; volume_of(req, inode) && i < XATTR_COUNT; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s", xattrs[i].name) +
			1;
	reply_xattr(req, names, used, size);
}

/* ---- refusals ---- */

void node_setxattr(fuse_req_t req, fuse_ino_t inode, const char *name, const char *value,
		   size_t size, int flags)
{
	fuse_reply_err(req, ENOTSUP);
}

void node_removexattr(fuse_req_t req, fuse_ino_t inode, const char *name)
{
	fuse_reply_err(req, ENOTSUP);
}

void node_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	fuse_reply_err(req, EPERM);
}

void node_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_reply_err(req, EPERM);
}

void node_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

void node_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

void node_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		 const char *new_name, unsigned flags)
{
	fuse_reply_err(req, EPERM);
}

void node_link(fuse_req_t req, fuse_ino_t inode, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

void node_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		 struct fuse_file_info *fi)
{
	fuse_reply_err(req, EPERM);
}
