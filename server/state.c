/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - see state.h
 *
 * The file is lines of "KEY ID NAME", KEY and ID as 32 hex digits. KEY is the digest of what has the
 * ID ("server", or an export's name and path); NAME is there for people only. The newest come first;
 * beyond STATE_MAX_ENTRIES the oldest are forgotten. Lines that don't parse are dropped at the
 * next write.
 */
#include "server/state.h"

#include "common/checksum.h"
#include "common/log.h"
#include "common/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_FILE "state"
#define STATE_TEMP "state.new"
#define STATE_LOCK "lock"
#define STATE_LINE (2 * 33 + DST_MAX_NAME + 2) /* bytes with newline and final zero */
#define STATE_MAX_ENTRIES 4096u

struct entry {
	struct entry *next;
	uint8_t key[DST_ID_SIZE], id[DST_ID_SIZE];
	char name[DST_MAX_NAME + 1];
};

struct state {
	pthread_mutex_t lock; /* guards all below; taken around a look-up and what it writes */
	int folder; /* descriptor; -1: nothing is kept */
	struct entry *entries; /* newest first */
};

static void hex_print(char text[2 * DST_ID_SIZE + 1], const uint8_t id[DST_ID_SIZE])
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static bool hex_parse(uint8_t id[DST_ID_SIZE], const char *text)
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		if (sscanf(text + 2 * i, "%2hhx", &id[i]) != 1)
			return false;
	return true;
}

static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return mkdir(path, 0700) && errno != EEXIST ? errno : 0;
}

/* The folder's path. false: there is none to be had (no home). */
static bool folder_path(char *path, size_t size)
{
	const char *given = getenv("STATE_DIRECTORY"), *home = getenv("HOME");
	const char *xdg = getenv("XDG_STATE_HOME");
	int n;

	if (given && given[0] == '/')
		n = snprintf(path, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		n = snprintf(path, size, "/var/lib/dstd");
	else if (xdg && xdg[0] == '/')
		n = snprintf(path, size, "%s/dstd", xdg);
	else if (home && home[0] == '/')
		n = snprintf(path, size, "%s/.local/state/dstd", home);
	else
		return false;
	return n > 0 && (size_t)n < size;
}

/* Puts a new entry where link points. NULL: out of memory. */
static struct entry *entry_new(struct entry **link, const uint8_t key[DST_ID_SIZE],
			       const uint8_t id[DST_ID_SIZE], const char *name)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	memcpy(entry->key, key, DST_ID_SIZE);
	memcpy(entry->id, id, DST_ID_SIZE);
	snprintf(entry->name, sizeof(entry->name), "%.*s", (int)DST_MAX_NAME, name);
	entry->next = *link;
	*link = entry;
	return entry;
}

static struct entry *entry_find(struct state *state, const uint8_t key[DST_ID_SIZE])
{
	for (struct entry *e = state->entries; e; e = e->next)
		if (!memcmp(e->key, key, DST_ID_SIZE))
			return e;
	return NULL;
}

/* Adds what the file holds and we don't know yet. A missing file is an empty one. 0 or an errno. */
static int file_read(struct state *state)
{
	int fd = openat(state->folder, STATE_FILE, O_RDONLY | O_CLOEXEC);
	struct entry **tail = &state->entries;
	char line[STATE_LINE];
	FILE *file;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return ENOMEM;
	}
	while (*tail)
		tail = &(*tail)->next;
	for (unsigned n = 0; n < STATE_MAX_ENTRIES && fgets(line, sizeof(line), file); n++) {
		uint8_t key[DST_ID_SIZE], id[DST_ID_SIZE];

		if (strlen(line) < 67 || line[32] != ' ' || line[65] != ' ' ||
		    !hex_parse(key, line) || !hex_parse(id, line + 33) || entry_find(state, key))
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (!entry_new(tail, key, id, line + 66))
			break;
		tail = &(*tail)->next;
	}
	fclose(file);
	return 0;
}

static int entries_print(const struct state *state, FILE *file)
{
	unsigned n = 0;

	for (const struct entry *e = state->entries; e && n++ < STATE_MAX_ENTRIES; e = e->next) {
		char key[2 * DST_ID_SIZE + 1], id[2 * DST_ID_SIZE + 1];

		hex_print(key, e->key);
		hex_print(id, e->id);
		if (fprintf(file, "%s %s %s\n", key, id, e->name) < 0)
			return EIO;
	}
	if (fflush(file) || fsync(fileno(file)))
		return errno;
	return 0;
}

/* Replaces the file. 0 or an errno, the old file then stands. */
static int file_write(struct state *state)
{
	int fd = openat(state->folder, STATE_TEMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *file;
	int error;

	if (fd < 0)
		return errno;
	file = fdopen(fd, "w");
	if (!file) {
		close(fd);
		return ENOMEM;
	}
	error = entries_print(state, file);
	if (fclose(file) && !error)
		error = errno;
	if (!error && renameat(state->folder, STATE_TEMP, state->folder, STATE_FILE))
		error = errno;
	if (!error && fsync(state->folder))
		error = errno;
	return error;
}

/* The id of `key`, remembered or made and, if the folder allows, kept. */
static void state_id(struct state *state, const uint8_t key[DST_ID_SIZE], const char *name,
		     uint8_t id[DST_ID_SIZE])
{
	struct entry *entry;
	int lock = -1, error = 0;

	pthread_mutex_lock(&state->lock);
	entry = entry_find(state, key);

	if (!entry && state->folder >= 0) {
		lock = openat(state->folder, STATE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (lock < 0 || flock(lock, LOCK_EX))
			error = errno;
		else
			error = file_read(state); /* another dstd may have been here meanwhile */
		entry = entry_find(state, key);
	}
	if (entry) {
		memcpy(id, entry->id, DST_ID_SIZE);
	} else {
		random_bytes(id, DST_ID_SIZE);
		if (!entry_new(&state->entries, key, id, name))
			error = ENOMEM;
		else if (state->folder >= 0 && !error)
			error = file_write(state);
		if (error)
			log_warn("the id of %s can't be kept, another start will have another: %s",
				 name, strerror(error));
	}
	if (lock >= 0)
		close(lock); /* and unlocks */
	pthread_mutex_unlock(&state->lock);
}

struct state *state_open(void)
{
	struct state *state = calloc(1, sizeof(*state));
	char path[PATH_MAX];
	int error;

	if (!state)
		return NULL;
	pthread_mutex_init(&state->lock, NULL);
	state->folder = -1;
	if (!folder_path(path, sizeof(path))) {
		log_warn("no state folder: ids are made anew at each start");
		return state;
	}
	error = make_folders(path);
	if (!error) {
		state->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = state->folder < 0 ? errno : file_read(state);
	}
	if (error)
		log_warn("state folder %s: %s: ids are made anew at each start", path,
			 strerror(error));
	return state;
}

void state_close(struct state **state)
{
	if (!*state)
		return;
	for (struct entry *e = (*state)->entries, *next; e; e = next) {
		next = e->next;
		free(e);
	}
	if ((*state)->folder >= 0)
		close((*state)->folder);
	pthread_mutex_destroy(&(*state)->lock);
	free(*state);
	*state = NULL;
}

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

void state_server_id(struct state *state, uint8_t id[DST_ID_SIZE])
{
	uint8_t key[DST_ID_SIZE];

	if (make_key(key, (const char *const[]){"server"}, 1))
		state_id(state, key, "server", id);
	else
		random_bytes(id, DST_ID_SIZE);
}

static void export_uuid(struct state *state, const char *name, const char *path,
			uint8_t uuid[DST_ID_SIZE])
{
	uint8_t key[DST_ID_SIZE];

	if (make_key(key, (const char *const[]){"export", name, path}, 3))
		state_id(state, key, name, uuid);
	else
		random_bytes(uuid, DST_ID_SIZE);
}

void state_export_load(struct state *state, const char *name, const char *path,
		       struct state_export *out)
{
	*out = (struct state_export){.epoch.counter = 1};
	export_uuid(state, name, path, out->uuid);
	random_bytes(out->epoch.uuid, DST_ID_SIZE);
	random_bytes(out->instance, DST_ID_SIZE);
}
