/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state_file.h - the file behind state.h: what its lines say, how it is read and replaced. Only state.c
 * uses it, under its lock.
 *
 * A line is "KEY ID NAME", then fields "key=value", each after a tab. KEY is the digest of what has the
 * ID, both are 32 hex digits; NAME is there for people only:
 *
 *	3f0c… 9a1e… vol0<TAB>epoch=3-77d0…<TAB>holder=51c2…<TAB>holder_name=alpha:/mnt<TAB>…
 *
 * The most recently changed come first; beyond STATE_MAX_ENTRIES the oldest are forgotten. A line that
 * doesn't parse is dropped at the next write; of one with a bad or missing field the rest holds, so
 * that a lost epoch or instance id is drawn anew and the uuid stays. Fields that this version doesn't
 * know are kept as they are.
 */
#ifndef SERVER_STATE_FILE_H
#define SERVER_STATE_FILE_H

#include "server/state.h"

#define STATE_MAX_ENTRIES 4096u

/* Which fields of an entry hold something. */
#define STATE_HAS_EPOCH 0x1u
#define STATE_HAS_HOLDER 0x2u
#define STATE_HAS_INSTANCE 0x4u

struct state_entry {
	struct state_entry *next;
	uint8_t key[DST_ID_SIZE];
	char name[DST_MAX_NAME + 1];
	unsigned has; /* STATE_HAS_* */
	struct state_export value; /* `uuid` is the ID, of the server too; `held` is not used */
	char *unknown; /* fields of other versions, each with its tab; NULL: none. Owned */
};

/* A zeroed entry, put where link points. NULL: out of memory. */
struct state_entry *state_entry_new(struct state_entry **link);
struct state_entry *state_entry_find(struct state_entry *list, const uint8_t key[DST_ID_SIZE]);
void state_entries_free(struct state_entry **list);

/* Opens the folder's lock and waits for it: other processes may read and replace the file too. A
 * descriptor, closing it unlocks; or -1 and errno. */
int state_file_lock(int folder);

/* Puts what the file says in front of *list; what is in both is the file's. A missing file is an
 * empty one. 0, or an errno, and the list is as before. */
int state_file_read(int folder, struct state_entry **list);

/*
 * Replaces the file, durably: written aside, synced, renamed, the folder synced. 0 or an errno: then
 * the file is as it was; only if it is the very last step that fails, a power cut decides which
 * of the two it is.
 */
int state_file_write(int folder, const struct state_entry *list);

#endif
