/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_file.c - see state_file.h */
#include "server/state_file.h"

#include "common/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define STATE_FILE "state"
#define STATE_TEMP "state.new"
#define STATE_LOCK "lock"
#define HEX (2 * DST_ID_SIZE) /* digits of an id */
#define HEAD (2 * HEX + 2) /* bytes of a line before NAME */

/* ---- entries ---- */

struct state_entry *state_entry_new(struct state_entry **link)
{
	struct state_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->next = *link;
	*link = entry;
	return entry;
}

struct state_entry *state_entry_find(struct state_entry *list, const uint8_t key[DST_ID_SIZE])
{
	while (list && memcmp(list->key, key, DST_ID_SIZE) != 0)
		list = list->next;
	return list;
}

static void entry_free(struct state_entry *entry)
{
	free(entry->unknown);
	free(entry);
}

void state_entries_free(struct state_entry **list)
{
	struct state_entry *entry;

	while ((entry = *list)) {
		*list = entry->next;
		entry_free(entry);
	}
}

/* ---- values ---- */

static void id_print(FILE *file, const uint8_t id[DST_ID_SIZE])
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		fprintf(file, "%02x", id[i]);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* HEX digits, whatever follows. */
static bool id_parse(uint8_t id[DST_ID_SIZE], const char *text)
{
	for (unsigned i = 0; i < DST_ID_SIZE; i++) {
		int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		id[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool whole_id_parse(uint8_t id[DST_ID_SIZE], const char *text)
{
	return strlen(text) == HEX && id_parse(id, text);
}

/* Texts stand between tabs on one line, so they hold none. */
static void text_print(FILE *file, const char *text)
{
	for (; *text; text++)
		putc((unsigned char)*text < ' ' ? '?' : *text, file);
}

/* ---- fields ---- */

static bool parse_epoch(struct state_entry *entry, const char *text)
{
	struct wire_epoch *epoch = &entry->value.epoch;
	char *end;

	if (digit(*text) < 0)
		return false;
	errno = 0;
	epoch->counter = strtoull(text, &end, 10);
	return !errno && *end == '-' && whole_id_parse(epoch->uuid, end + 1);
}

static void print_epoch(const struct state_entry *entry, FILE *file)
{
	fprintf(file, "%" PRIu64 "-", entry->value.epoch.counter);
	id_print(file, entry->value.epoch.uuid);
}

static bool parse_holder(struct state_entry *entry, const char *text)
{
	return whole_id_parse(entry->value.holder, text);
}

static void print_holder(const struct state_entry *entry, FILE *file)
{
	id_print(file, entry->value.holder);
}

static bool parse_holder_name(struct state_entry *entry, const char *text)
{
	snprintf(entry->value.holder_name, sizeof(entry->value.holder_name), "%s", text);
	return true;
}

static void print_holder_name(const struct state_entry *entry, FILE *file)
{
	text_print(file, entry->value.holder_name);
}

static bool parse_held_since(struct state_entry *entry, const char *text)
{
	entry->value.held_since = strtoll(text, NULL, 10);
	return true;
}

static void print_held_since(const struct state_entry *entry, FILE *file)
{
	fprintf(file, "%" PRId64, entry->value.held_since);
}

static bool parse_instance(struct state_entry *entry, const char *text)
{
	return whole_id_parse(entry->value.instance, text);
}

static void print_instance(const struct state_entry *entry, FILE *file)
{
	id_print(file, entry->value.instance);
}

static bool parse_clean(struct state_entry *entry, const char *text)
{
	entry->value.clean = !strcmp(text, "yes");
	return true;
}

static void print_clean(const struct state_entry *entry, FILE *file)
{
	fputs(entry->value.clean ? "yes" : "no", file);
}

static const struct field {
	const char *name;
	unsigned bit; /* of `has`: printed if it is there */
	bool gives; /* a good value sets the bit; the others only go with it */
	bool (*parse)(struct state_entry *entry, const char *text);
	void (*print)(const struct state_entry *entry, FILE *file);
} fields[] = {
	{"epoch", STATE_HAS_EPOCH, true, parse_epoch, print_epoch},
	{"holder", STATE_HAS_HOLDER, true, parse_holder, print_holder},
	{"holder_name", STATE_HAS_HOLDER, false, parse_holder_name, print_holder_name},
	{"held_since", STATE_HAS_HOLDER, false, parse_held_since, print_held_since},
	{"instance", STATE_HAS_INSTANCE, true, parse_instance, print_instance},
	{"clean", STATE_HAS_INSTANCE, false, parse_clean, print_clean},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct field *find_field(const char *text, size_t length)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (strlen(fields[i].name) == length && !strncmp(fields[i].name, text, length))
			return &fields[i];
	return NULL;
}

/* False: out of memory. */
static bool keep_unknown(struct state_entry *entry, const char *text)
{
	char *all;

	if (asprintf(&all, "%s\t%s", entry->unknown ? entry->unknown : "", text) < 0)
		return false;
	free(entry->unknown);
	entry->unknown = all;
	return true;
}

/* "key=value" with tabs between; changes `text`. False: out of memory. */
static bool parse_fields(struct state_entry *entry, char *text)
{
	for (char *item; (item = strsep(&text, "\t"));) {
		size_t length = strcspn(item, "=");
		const struct field *field = find_field(item, length);

		if (!field || item[length] != '=') {
			if (*item && !keep_unknown(entry, item))
				return false;
			continue;
		}
		if (field->parse(entry, item + length + 1) && field->gives)
			entry->has |= field->bit;
	}
	if (!(entry->has & STATE_HAS_INSTANCE))
		entry->value.clean = false;
	return true;
}

/* ---- the file ---- */

int state_file_lock(int folder)
{
	int fd = openat(folder, STATE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600), error;

	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX)) {
		if (errno == EINTR)
			continue;
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* Adds the line's entry where link points, if it is one and its key is new. False: out of memory. */
static bool add_line(struct state_entry *list, struct state_entry **link, char *line)
{
	size_t length = strlen(line);
	uint8_t key[DST_ID_SIZE], id[DST_ID_SIZE];
	struct state_entry *entry;
	char *rest;

	/* Without its end it is cut off somewhere: the ids may be whole, no field is to be trusted. */
	if (length && line[length - 1] == '\n')
		line[length - 1] = '\0';
	else
		line[strcspn(line, "\t")] = '\0';
	if (length <= HEAD || line[HEX] != ' ' || line[HEAD - 1] != ' ' || !id_parse(key, line) ||
	    !id_parse(id, line + HEX + 1) || state_entry_find(list, key))
		return true;
	entry = state_entry_new(link);
	if (!entry)
		return false;
	memcpy(entry->key, key, DST_ID_SIZE);
	memcpy(entry->value.uuid, id, DST_ID_SIZE);
	rest = line + HEAD;
	snprintf(entry->name, sizeof(entry->name), "%s", strsep(&rest, "\t"));
	return !rest || parse_fields(entry, rest);
}

static int read_lines(FILE *file, struct state_entry **list)
{
	struct state_entry **tail = list;
	char *line = NULL;
	size_t size = 0;
	int error = 0;

	for (unsigned n = 0; n < STATE_MAX_ENTRIES && !error; n++) {
		errno = 0;
		if (getline(&line, &size, file) < 0) {
			error = ferror(file) ? EIO : errno;
			break;
		}
		if (!add_line(*list, tail, line))
			error = ENOMEM;
		if (*tail)
			tail = &(*tail)->next;
	}
	free(line);
	return error;
}

/* Moves to the end of `list` what of `old` it doesn't have, and frees the rest. */
static void merge(struct state_entry **list, struct state_entry *old)
{
	struct state_entry **tail = list;

	while (*tail)
		tail = &(*tail)->next;
	for (struct state_entry *next; old; old = next) {
		next = old->next;
		old->next = NULL;
		if (state_entry_find(*list, old->key)) {
			entry_free(old);
			continue;
		}
		*tail = old;
		tail = &old->next;
	}
}

int state_file_read(int folder, struct state_entry **list)
{
	int fd = openat(folder, STATE_FILE, O_RDONLY | O_CLOEXEC), error;
	struct state_entry *read = NULL;
	FILE *file;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return ENOMEM;
	}
	error = read_lines(file, &read);
	fclose(file);
	if (error) {
		state_entries_free(&read);
		return error;
	}
	merge(&read, *list);
	*list = read;
	return 0;
}

static void print_entry(const struct state_entry *entry, FILE *file)
{
	id_print(file, entry->key);
	putc(' ', file);
	id_print(file, entry->value.uuid);
	putc(' ', file);
	text_print(file, entry->name);
	for (size_t i = 0; i < FIELDS; i++) {
		if (!(entry->has & fields[i].bit))
			continue;
		fprintf(file, "\t%s=", fields[i].name);
		fields[i].print(entry, file);
	}
	fprintf(file, "%s\n", entry->unknown ? entry->unknown : "");
}

int state_file_write(int folder, const struct state_entry *list)
{
	unsigned n = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int error = 0;

	if (!file)
		return ENOMEM;
	for (const struct state_entry *e = list; e && n++ < STATE_MAX_ENTRIES; e = e->next)
		print_entry(e, file);
	if (fclose(file))
		error = ENOMEM;
	if (!error)
		error = folder_replace(folder, STATE_FILE, STATE_TEMP, text, size);
	free(text);
	return error;
}
