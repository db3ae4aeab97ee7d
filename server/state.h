/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - what dstd remembers across starts: its own id, and of each export its uuid, its epoch and
 * holder, and its instance id. The only room of the server that writes files. Any thread; what says
 * that it blocks waits for the disk.
 *
 * All of it is one small text file, "state", in $STATE_DIRECTORY (systemd sets it), else in
 * /var/lib/dstd for root and $XDG_STATE_HOME/dstd or ~/.local/state/dstd for a user. It is replaced
 * as a whole: written aside, synced, renamed, and the folder synced. Several dstd may share it: a
 * lock is held while it is read and replaced.
 */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct state;

/*
 * Reads the file. A folder that can't be used is logged once: ids are then random, and
 * state_export_store() fails. NULL: out of memory. Blocks, as all does that reads or replaces the
 * file; such calls wait for each other.
 */
struct state *state_open(void);
void state_close(struct state **state);

/* This dstd's id, made at the first call ever. Blocks. */
void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE]);

/* What is remembered of an export (proto.h, sections 7 and 8). */
struct state_export {
	uint8_t uuid[DST_ID_SIZE]; /* of the export; never changes */
	struct wire_epoch epoch;
	bool held;
	uint8_t holder[DST_ID_SIZE]; /* the session that holds it, while `held` */
	char holder_name[DST_MAX_CLIENT_NAME + 1]; /* for people */
	int64_t held_since; /* clock_wall_sec(), for people */
	uint8_t instance[DST_ID_SIZE];
	bool clean; /* all that was ever answered is durable: the storage was flushed, then closed */
};

/*
 * What is remembered of the export `name` at `path`; made when first asked for: random ids, counter 1,
 * held by nobody, not clean. Another path is other storage and has a state of its own, so two
 * servers on one machine may use the same name. Blocks.
 */
void state_export_load(struct state *state, const char *name, const char *path,
		       struct state_export *out);

/*
 * Makes it durable as a whole. 0, or an errno: then what was stored before still stands (unless it
 * was the sync of the folder that failed: then either may be found after a power cut). Blocks.
 */
int state_export_store(struct state *state, const char *name, const char *path,
		       const struct state_export *in);

#endif
