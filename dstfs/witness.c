/* SPDX-License-Identifier: GPL-2.0-or-later */
/* witness.c - see witness.h */
#include "dstfs/witness.h"

#include "common/checksum.h"
#include "common/folder.h"
#include "common/log.h"
#include "common/offload.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION 1
#define NAME_SIZE 128u /* bytes of a file's name */
#define VOLUME_PART 60u /* bytes of the volume's name in it */
#define FILE_SIZE 4096u /* bytes that hold any file of this version */
#define HEX_SIZE (2 * DST_ID_SIZE + 1)

struct witness {
	struct mirror_witness_store base;
	struct loop *loop;
	struct offload *chores;
	int folder; /* descriptor; -1: there is none */
	int folder_error; /* why not */
	char volume[NAME_MAX + 1];
	char name[NAME_SIZE], temp[NAME_SIZE + 4];
	char path[PATH_MAX + NAME_SIZE + 1];
	/* The save that is under way: until its work has run on the loop. */
	bool saving, closing;
	pthread_mutex_t lock; /* guards writing */
	pthread_cond_t written; /* it isn't any more */
	bool writing; /* in a thread */
	struct offload_job job;
	struct loop_work ended;
	struct mirror_witness kept;
	int error;
	void (*done)(void *arg, int error);
	void *arg;
};

static struct witness *from_base(const struct mirror_witness_store *store)
{
	return (struct witness *)store; /* base is the first member */
}

/* ---- the text ---- */

static const char *print_id(const uint8_t id[DST_ID_SIZE], char text[HEX_SIZE])
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	return text;
}

static bool parse_id(uint8_t id[DST_ID_SIZE], const char *text)
{
	if (strlen(text) != HEX_SIZE - 1 || strspn(text, "0123456789abcdef") != HEX_SIZE - 1)
		return false;
	for (unsigned i = 0; i < DST_ID_SIZE; i++) {
		const char pair[] = {text[2 * i], text[2 * i + 1], 0};

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return true;
}

/* New; NULL: out of memory. */
static char *print_witness(const struct witness *w, const struct mirror_witness *witness,
			   size_t *size)
{
	char *text = NULL, id[HEX_SIZE];
	FILE *out = open_memstream(&text, size);

	if (!out)
		return NULL;
	fprintf(out,
		"# dstfs: the last generation that a mirror of volume %s was written in from here\n"
		"version %d\n"
		"set %s\n",
		w->volume, VERSION, print_id(witness->set, id));
	fprintf(out, "generation %" PRIu64 " %s\n", witness->generation.counter,
		print_id(witness->generation.uuid, id));
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		if (witness->in_sync[slot] || witness->sizes[slot])
			fprintf(out, "member %u %s %" PRIu64 "\n", slot + 1,
				witness->in_sync[slot] ? "in-sync" : "-", witness->sizes[slot]);
	if (!fflush(out))
		fprintf(out, "sum %016" PRIx64 "\n", checksum_payload(text, *size));
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

/* One line, without its end; false: it means nothing. *has: which lines there were. */
#define HAS_VERSION 0x1u
#define HAS_SET 0x2u
#define HAS_GENERATION 0x4u
#define HAS_ALL 0x7u

static bool parse_line(struct mirror_witness *witness, const char *line, unsigned *has)
{
	char word[HEX_SIZE];
	unsigned number;
	uint64_t value;
	int end = -1;

	if (*line == '#')
		return true;
	if (sscanf(line, "version %u%n", &number, &end) == 1 && end > 0 && !line[end]) {
		*has |= HAS_VERSION;
		return number == VERSION;
	}
	if (sscanf(line, "set %32s%n", word, &end) == 1 && end > 0 && !line[end]) {
		*has |= HAS_SET;
		return parse_id(witness->set, word);
	}
	if (sscanf(line, "generation %" SCNu64 " %32s%n", &witness->generation.counter, word,
		   &end) == 2 &&
	    end > 0 && !line[end]) {
		*has |= HAS_GENERATION;
		return parse_id(witness->generation.uuid, word);
	}
	if (sscanf(line, "member %u %32s %" SCNu64 "%n", &number, word, &value, &end) == 3 &&
	    end > 0 && !line[end] && number >= 1 && number <= MIRROR_MAX_NODES) {
		witness->in_sync[number - 1] = !strcmp(word, "in-sync");
		witness->sizes[number - 1] = value;
		return witness->in_sync[number - 1] || !strcmp(word, "-");
	}
	return false;
}

/* 0 or EINVAL. Changes text, which ends with a NUL. */
static int parse_witness(struct mirror_witness *witness, char *text)
{
	char *sum = strstr(text, "\nsum "), expected[32];
	unsigned has = 0;

	*witness = (struct mirror_witness){.known = true};
	if (!sum)
		return EINVAL;
	sum++;
	snprintf(expected, sizeof(expected), "sum %016" PRIx64 "\n",
		 checksum_payload(text, (size_t)(sum - text)));
	if (strcmp(sum, expected) != 0)
		return EINVAL;
	*sum = 0;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (!parse_line(witness, line, &has))
			return EINVAL;
	}
	return has == HAS_ALL ? 0 : EINVAL;
}

/* ---- the file ---- */

static int read_file(const struct witness *w, char text[FILE_SIZE])
{
	int fd = openat(w->folder, w->name, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	text[0] = 0;
	if (fd < 0)
		return errno;
	while (n && used < FILE_SIZE - 1) {
		n = read(fd, text + used, FILE_SIZE - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;

			close(fd);
			return error;
		}
		used += (size_t)n;
	}
	close(fd);
	text[used] = 0;
	return strlen(text) == used && used < FILE_SIZE - 1 ? 0 : EINVAL;
}

static int witness_load(struct mirror_witness_store *store, struct mirror_witness *witness)
{
	struct witness *w = from_base(store);
	char text[FILE_SIZE];
	int error;

	*witness = (struct mirror_witness){.known = false};
	if (w->folder < 0) /* so there can't be anything in it, unless it isn't ours */
		return w->folder_error == EACCES ? EACCES : 0;
	error = read_file(w, text);
	if (error == ENOENT)
		return 0;
	if (!error)
		error = parse_witness(witness, text);
	if (!error)
		return 0;
	log_error("volume %s: the witness %s: %s", w->volume, w->path,
		  error == EINVAL ? "it was changed or cut off; start by force, or remove it"
				  : strerror(error));
	*witness = (struct mirror_witness){.known = false};
	return error;
}

int witness_save_now(struct mirror_witness_store *store, const struct mirror_witness *witness)
{
	struct witness *w = from_base(store);
	char *text;
	size_t size;
	int error;

	if (w->folder < 0)
		return w->folder_error;
	text = print_witness(w, witness, &size);
	if (!text)
		return ENOMEM;
	error = folder_replace(w->folder, w->name, w->temp, text, size);
	free(text);
	return error;
}

int witness_forget(struct mirror_witness_store *store)
{
	struct witness *w = from_base(store);

	if (w->folder < 0)
		return w->folder_error;
	if (unlinkat(w->folder, w->name, 0) && errno != ENOENT)
		return errno;
	return fsync(w->folder) ? errno : 0;
}

/* ---- saving, off the loop ---- */

static void run_ended(void *arg)
{
	struct witness *w = arg;

	w->saving = false; /* first: done may save again, or close */
	if (!w->closing)
		w->done(w->arg, w->error);
}

static void run_save(struct offload_job *job)
{
	struct witness *w = (struct witness *)((char *)job - offsetof(struct witness, job));

	int before = w->error;

	w->error = witness_save_now(&w->base, &w->kept);
	if (w->error && w->error != before)
		log_error("volume %s: the witness %s can't be kept: %s", w->volume, w->path,
			  strerror(w->error));
	pthread_mutex_lock(&w->lock);
	w->writing = false; /* first: once that is posted, the next one may begin */
	loop_post(w->loop, &w->ended);
	pthread_cond_signal(&w->written);
	pthread_mutex_unlock(&w->lock);
}

static void witness_save(struct mirror_witness_store *store, const struct mirror_witness *witness,
			 void (*done)(void *arg, int error), void *arg)
{
	struct witness *w = from_base(store);

	assert(!w->saving);
	w->saving = w->writing = true;
	w->kept = *witness;
	w->done = done;
	w->arg = arg;
	offload_submit(w->chores, &w->job);
}

static void witness_close(struct mirror_witness_store *store)
{
	struct witness *w = from_base(store);

	w->closing = true;
	pthread_mutex_lock(&w->lock);
	while (w->writing)
		pthread_cond_wait(&w->written, &w->lock);
	pthread_mutex_unlock(&w->lock);
	while (w->saving) /* what is posted names it */
		loop_run_posted(w->loop);
	offload_free(&w->chores);
	pthread_cond_destroy(&w->written);
	pthread_mutex_destroy(&w->lock);
	if (w->folder >= 0)
		close(w->folder);
	free(w);
}

const char *witness_path(const struct mirror_witness_store *store)
{
	return from_base(store)->path;
}

/* ---- opening ---- */

static const struct mirror_witness_ops witness_ops = {
	.load = witness_load,
	.save = witness_save,
	.close = witness_close,
};

/* The volume's name, for people, and a digest of what tells the mirror from others. */
static void make_names(struct witness *w, const char *folder, const char *node)
{
	uint64_t digest =
		checksum_seeded(node, strlen(node), checksum_payload(w->volume, strlen(w->volume)));

	snprintf(w->name, sizeof(w->name), "%.*s-%016" PRIx64 ".witness", (int)VOLUME_PART,
		 w->volume, digest);
	snprintf(w->temp, sizeof(w->temp), "%s.new", w->name);
	snprintf(w->path, sizeof(w->path), "%s/%s", folder, w->name);
}

struct mirror_witness_store *witness_open(const char *volume, const char *node, struct loop *loop)
{
	struct witness *w = calloc(1, sizeof(*w));
	char folder[PATH_MAX];

	if (!w)
		return NULL;
	w->base.ops = &witness_ops;
	w->loop = loop;
	w->folder = -1;
	w->job.run = run_save;
	w->ended = (struct loop_work){.callback = run_ended, .arg = w};
	w->chores = offload_new("witness", 1);
	if (!w->chores) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->written, NULL);
	snprintf(w->volume, sizeof(w->volume), "%s", volume);
	w->folder_error = folder_open_state("dstfs", &w->folder, folder, sizeof(folder));
	make_names(w, folder, node);
	if (w->folder_error)
		log_warn("state folder %s: %s: there is no witness of the mirror of volume %s",
			 folder, strerror(w->folder_error), w->volume);
	return &w->base;
}
