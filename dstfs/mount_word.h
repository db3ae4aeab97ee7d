/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mount_word.h - what mount(8) and fstab(5) put into -o for any file system. */
#ifndef DSTFS_MOUNT_WORD_H
#define DSTFS_MOUNT_WORD_H

/*
 * Takes "name[=value]" (value NULL: none): what is meant for others ("nofail", "x-systemd...") is
 * dropped, what the kernel shall get ("nosuid") is appended to *list, which is on the heap and
 * separated by commas, escaped as libfuse reads it. 0, ENOENT for an unknown word, EPERM for one
 * that asks for what can't be done (remount), or ENOMEM.
 */
int mount_word_take(const char *name, const char *value, char **list);

#endif
