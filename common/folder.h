/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * folder.h - where a program keeps what it must remember across starts, and files there that are
 * replaced as a whole. All of it blocks.
 */
#ifndef COMMON_FOLDER_H
#define COMMON_FOLDER_H

#include <stddef.h>

/*
 * Opens the folder for what `program` ("dstd") remembers, and makes it: $STATE_DIRECTORY (systemd sets
 * it), else /var/lib/PROGRAM for root and $XDG_STATE_HOME/PROGRAM or ~/.local/state/PROGRAM for a
 * user. 0 and the descriptor in *fd, or an errno; ENOENT: there is no home. path is set for messages.
 */
int folder_open_state(const char *program, int *fd, char *path, size_t size);

/*
 * Replaces a file of the folder, durably: written aside to `temp`, synced, renamed, the folder synced. 0
 * or an errno: then the file is as it was; only if it is the very last step that fails, a power cut
 * decides which of the two it is. One caller at a time for each `temp`.
 */
int folder_replace(int folder, const char *name, const char *temp, const char *text, size_t size);

#endif
