/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - see state.h; the file is state_file.c's.
 *
 * What is in memory is what the file said when it was read last, and what could not be written to it.
 * Whoever changes anything reads the file again first, under its lock: another dstd may have changed
 * what is its own there.
 */
#include "server/state.h"

#include "common/checksum.h"
#include "common/folder.h"
#include "common/log.h"
#include "common/random.h"
#include "server/state_file.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
	pthread_mutex_t
		lock; /* guards all below, and is held while the file is read and replaced */
	int folder; /* descriptor; -1: nothing is kept */
	int folder_error; /* why not */
	struct state_entry *entries; /* newest first */
};

/* ---- entries ---- */

/* 128 bits over kind and words, so that names and paths of any bytes make a key. */
static bool make_key(uint8_t key[DST_ID_SIZE], const char *const words[], unsigned count)
{
	struct checksum_range *sum = checksum_range_new(0);

	if (!sum)
		return false;
	for (unsigned i = 0; i < count; i++)
		checksum_range_add(sum, words[i], strlen(words[i]) + 1);
	checksum_range_end(&sum, key);
	return true;
}

/* One look at an entry, and what it changes. */
struct look {
	struct state_entry *entry; /* the first of the list; NULL: out of memory */
	bool made; /* there was none */
	int file_lock; /* descriptor; -1: not held */
	int error; /* why the file can't be changed; 0: it can */
};

/* The entry of `key`, as the file says it now; made with a random id if there is none. Under the lock,
 * as is all until look_end(). */
static struct look look_begin(struct state *state, const uint8_t key[DST_ID_SIZE], const char *name)
{
	struct look look = {.file_lock = -1, .error = state->folder_error};
	struct state_entry **link = &state->entries, *entry;

	if (!look.error) {
		look.file_lock = state_file_lock(state->folder);
		look.error = look.file_lock < 0 ? errno
						: state_file_read(state->folder, &state->entries);
	}
	while (*link && memcmp((*link)->key, key, DST_ID_SIZE) != 0)
		link = &(*link)->next;
	entry = *link;
	if (entry) {
		*link = entry->next;
		entry->next = state->entries;
		state->entries = entry;
	} else if ((entry = state_entry_new(&state->entries))) {
		look.made = true;
		memcpy(entry->key, key, DST_ID_SIZE);
		snprintf(entry->name, sizeof(entry->name), "%.*s", (int)DST_MAX_NAME, name);
		random_bytes(entry->value.uuid, DST_ID_SIZE);
	}
	look.entry = entry;
	return look;
}

/* Writes what has changed, if anything has, and unlocks the file. 0, or why it could not be written. */
static int look_end(struct state *state, struct look *look, bool changed)
{
	int error = look->entry ? look->error : ENOMEM;

	if (!error && changed)
		error = state_file_write(state->folder, state->entries);
	if (look->file_lock >= 0)
		close(look->file_lock); /* and unlocks */
	return changed ? error : 0;
}

static void log_unkept(const char *name, int error)
{
	log_warn("the ids of %s can't be kept, another start will have others: %s", name,
		 strerror(error));
}

/* ---- contract ---- */

struct state *state_open(void)
{
	struct state *state = calloc(1, sizeof(*state));
	char path[PATH_MAX];
	int error;

	if (!state)
		return NULL;
	pthread_mutex_init(&state->lock, NULL);
	state->folder = -1;
	error = folder_open_state("dstd", &state->folder, path, sizeof(path));
	state->folder_error = error;
	if (!error)
		error = state_file_read(state->folder, &state->entries);
	if (error)
		log_warn("state folder %s: %s: ids are made anew at each start, and only shared "
			 "exports can be written to",
			 path, strerror(error));
	return state;
}

void state_close(struct state **state)
{
	if (!*state)
		return;
	state_entries_free(&(*state)->entries);
	if ((*state)->folder >= 0)
		close((*state)->folder);
	pthread_mutex_destroy(&(*state)->lock);
	free(*state);
	*state = NULL;
}

void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE])
{
	uint8_t key[DST_ID_SIZE];
	struct look look;
	int error;

	random_bytes(id, DST_ID_SIZE);
	if (!make_key(key, (const char *const[]){"server"}, 1))
		return;
	pthread_mutex_lock(&state->lock);
	look = look_begin(state, key, "server");
	if (look.entry)
		memcpy(id, look.entry->value.uuid, DST_ID_SIZE);
	error = look_end(state, &look, look.made);
	pthread_mutex_unlock(&state->lock);
	if (error)
		log_unkept("this server", error);
}

/* What the entry doesn't have is drawn anew. True: something was. */
static bool complete(struct state_entry *entry)
{
	struct state_export *value = &entry->value;
	unsigned had = entry->has;

	if (!(had & STATE_HAS_EPOCH)) {
		/* Whoever held it has a claim to an epoch that is not known any more. */
		value->epoch.counter = 1;
		random_bytes(value->epoch.uuid, DST_ID_SIZE);
		entry->has &= ~STATE_HAS_HOLDER;
	}
	if (!(had & STATE_HAS_INSTANCE)) {
		random_bytes(value->instance, DST_ID_SIZE);
		value->clean = false;
	}
	entry->has |= STATE_HAS_EPOCH | STATE_HAS_INSTANCE;
	return entry->has != had;
}

static bool export_key(uint8_t key[DST_ID_SIZE], const char *name, const char *path)
{
	return make_key(key, (const char *const[]){"export", name, path}, 3);
}

void state_export_load(struct state *state, const char *name, const char *path,
		       struct state_export *out)
{
	struct state_entry fresh = {.has = 0};
	uint8_t key[DST_ID_SIZE];
	struct look look;
	int error;

	random_bytes(fresh.value.uuid, DST_ID_SIZE);
	complete(&fresh);
	*out = fresh.value;
	if (!export_key(key, name, path))
		return;
	pthread_mutex_lock(&state->lock);
	look = look_begin(state, key, name);
	if (look.entry) {
		look.made |= complete(look.entry);
		*out = look.entry->value;
		out->held = look.entry->has & STATE_HAS_HOLDER;
	}
	error = look_end(state, &look, look.made);
	pthread_mutex_unlock(&state->lock);
	if (error)
		log_unkept(name, error);
}

int state_export_store(struct state *state, const char *name, const char *path,
		       const struct state_export *in)
{
	uint8_t key[DST_ID_SIZE];
	struct state_entry before = {.has = 0};
	struct look look;
	int error;

	if (!export_key(key, name, path))
		return ENOMEM;
	pthread_mutex_lock(&state->lock);
	look = look_begin(state, key, name);
	if (look.entry) {
		before = *look.entry;
		look.entry->value = *in;
		look.entry->has =
			STATE_HAS_EPOCH | STATE_HAS_INSTANCE | (in->held ? STATE_HAS_HOLDER : 0);
	}
	error = look_end(state, &look, true);
	if (error && look.entry) {
		look.entry->value = before.value;
		look.entry->has = before.has;
	}
	pthread_mutex_unlock(&state->lock);
	return error;
}
