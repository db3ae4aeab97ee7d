/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - what dstd remembers across starts: its own id and the uuid of each export. The only room
 * of the server that writes files. Any thread.
 *
 * All of it is one small text file, "state", in $STATE_DIRECTORY (systemd sets it), else in
 * /var/lib/dstd for root and $XDG_STATE_HOME/dstd or ~/.local/state/dstd for a user. It is replaced
 * as a whole: written aside, synced, renamed, and the folder synced. Several dstd may share it: a
 * lock is held while it is read and replaced.
 */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "common/proto.h"

#include <stdint.h>

struct state;

/*
 * Reads the file. A folder that can't be used is logged once and ids are then random at each start:
 * serving goes on. NULL: out of memory.
 */
struct state *state_open(void);
void state_close(struct state **state);

/* This dstd's id, made at the first call ever. */
void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE]);

/*
 * The uuid of the export `name` at `path`, made when first asked for. Another path is other storage
 * and has a uuid of its own, so two servers on one machine may use the same name.
 */
void state_export_uuid(struct state *state, const char *name, const char *path,
		       uint8_t uuid[DST_ID_SIZE]);

#endif
