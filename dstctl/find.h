/* SPDX-License-Identifier: GPL-2.0-or-later */
/* find.h - the daemons that a command is for: found in the control folders, or picked. */
#ifndef DSTCTL_FIND_H
#define DSTCTL_FIND_H

#include "dstctl/command.h"

#include <jansson.h>

/*
 * Asks the daemons that the options pick, or all of this user's of a kind ("dstfs"; NULL: any), for
 * their status. A kind that isn't wanted isn't asked, so that it can't keep anybody waiting. Returns an array
 * with an object each, by kind and then by pid: the daemon's answer with its "socket" added, or,
 * where one didn't answer, {"ok": false, "error": …, "socket": …}. Sockets of processes that are
 * gone are passed over. With --mount it holds the dstfs with that mountpoint only; those that
 * don't answer, and so may be the one, are told on stderr.
 *
 * An empty array: nothing was found, stderr tells. NULL: out of memory.
 */
json_t *find_daemons(const struct options *options, const char *kind);

/* Likewise, and an empty array is no news. */
json_t *find_quietly(const struct options *options, const char *kind);

#endif
