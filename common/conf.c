/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf.c - see conf.h. Parsed by inih, which is asked for as little as it does the same everywhere.
 *
 * inih reads lines of 200 bytes, cuts section names at 50, strips blanks, ends values at " ;" and
 * doesn't tell line numbers; some of that depends on its version and how it was built. So the reader
 * that it calls for lines (feed_line) counts and checks the file's lines, keeps sections to itself,
 * and hands a value over in pieces that inih can't change: one "key = |piece|" and as many
 * continuation lines " |piece|" as it takes. The bars keep blanks from being stripped, a piece never
 * has a ';' behind a blank, and take_piece() puts the pieces together again.
 */
#include "common/conf.h"

#include "common/text.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTION_FED "[section]\n" /* inih only needs to know that one begins */

struct conf_file {
	struct conf_file *next;
	dev_t device;
	ino_t inode;
	char path[];
};

struct parser {
	struct conf *conf;
	const struct conf_file *file;
	FILE *stream;
	struct conf_section *section; /* NULL: none yet in this file */
	unsigned line, depth;
	char *text; /* the line: CONF_LINE_MAX + 3 bytes, for CR, LF and NUL */
	const char *left; /* of its value, not fed yet; NULL: nothing is being fed */
	bool fed; /* a piece was fed and didn't come back yet */
	char key[CONF_KEY_MAX + 1];
	char *value; /* the pieces that came back: CONF_LINE_MAX + 1 bytes */
	size_t value_size;
	bool failed; /* the reason is given */
	const struct reason *reason;
};

static void load_file(struct parser *from, const char *path, bool from_pattern);

/* Gives the reason, unless there is one: the first mistake is the one that's told. */
__attribute__((format(printf, 2, 3))) static void fail(struct parser *p, const char *format, ...)
{
	va_list args;
	int n = 0;

	if (p->failed)
		return;
	p->failed = true;
	if (p->line)
		n = snprintf(p->reason->text, p->reason->size, "%s:%u: ", p->file->path, p->line);
	if (n < 0 || (size_t)n >= p->reason->size)
		return;
	va_start(args, format);
	vsnprintf(p->reason->text + n, p->reason->size - (size_t)n, format, args);
	va_end(args);
	text_make_clean(p->reason->text);
}

void conf_section_init(struct conf_section *section)
{
	*section = (struct conf_section){.entries_end = &section->entries};
}

void conf_section_clear(struct conf_section *section)
{
	struct conf_entry *entry;

	while ((entry = section->entries)) {
		section->entries = entry->next;
		free(entry->name);
		free(entry->value);
		free(entry);
	}
	free(section->kind);
	free(section->name);
	free(section->folder);
	conf_section_init(section);
}

struct conf_entry *conf_section_add(struct conf_section *section, const char *name,
				    const char *value, const char *file, unsigned line)
{
	struct conf_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	*entry = (struct conf_entry){
		.name = strdup(name), .value = strdup(value), .file = file, .line = line};
	if (!entry->name || !entry->value) {
		free(entry->name);
		free(entry->value);
		free(entry);
		return NULL;
	}
	*section->entries_end = entry;
	section->entries_end = &entry->next;
	return entry;
}

const struct conf_section *conf_find_section(const struct conf *conf, const char *kind)
{
	for (const struct conf_section *s = conf ? conf->sections : NULL; s; s = s->next)
		if (!strcmp(s->kind, kind))
			return s;
	return NULL;
}

/* Without the blanks around it, in place. */
static char *trim(char *text)
{
	size_t size;

	text += strspn(text, " \t");
	size = strlen(text);
	while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		size--;
	text[size] = '\0';
	return text;
}

/* Reads one line without its end into p->text. False: the file's end, or failed. */
static bool read_line(struct parser *p)
{
	size_t size = 0, clean = 0;
	int c;

	while ((c = getc_unlocked(p->stream)) != EOF && c != '\n' && size < CONF_LINE_MAX + 2)
		p->text[size++] = (char)c;
	if (ferror(p->stream)) {
		p->line++;
		fail(p, "can't be read: %s", strerror(errno));
		return false;
	}
	if (c == EOF && !size)
		return false;
	p->line++;
	if (size && p->text[size - 1] == '\r')
		size--;
	p->text[size] = '\0';
	if (size > CONF_LINE_MAX) {
		fail(p, "the line is too long; at most %u bytes are read", CONF_LINE_MAX);
		return false;
	}
	if (p->line == 1 && !strncmp(p->text, "\xef\xbb\xbf", 3))
		memset(p->text, ' ', 3);
	while ((clean += text_clean_length(p->text + clean, size - clean)) < size) {
		if (p->text[clean++] == '\t')
			continue;
		fail(p,
		     "byte 0x%02x in column %zu is no text; write UTF-8 without control "
		     "characters",
		     (unsigned char)p->text[clean - 1], clean);
		return false;
	}
	return true;
}

/* "[kind NAME]" */
static void start_section(struct parser *p, char *text)
{
	struct conf_section *section;
	size_t size = strlen(text), kind;
	char *name;

	if (text[size - 1] != ']') {
		fail(p, "']' is missing at the end of the section's line%s",
		     strchr(text, ']') ? "; a comment stands on a line of its own" : "");
		return;
	}
	text[size - 1] = '\0';
	text = trim(text + 1);
	kind = strcspn(text, " \t");
	name = trim(text + kind);
	text[kind] = '\0';
	if (!kind || strpbrk(text, "[]\"") || strpbrk(name, "[]\"")) {
		fail(p, "that is no section; write [kind] or [kind NAME], without quotes");
		return;
	}
	section = calloc(1, sizeof(*section));
	if (!section) {
		fail(p, "out of memory");
		return;
	}
	conf_section_init(section);
	section->file = p->file->path;
	section->line = p->line;
	*p->conf->sections_end = section;
	p->conf->sections_end = &section->next;
	p->section = section;
	section->kind = strdup(text);
	section->name = *name ? strdup(name) : NULL;
	if (!section->kind || (*name && !section->name))
		fail(p, "out of memory");
}

/* "key = value": checks the key, and sets what is to be fed. */
static void start_entry(struct parser *p, char *text)
{
	size_t separator = strcspn(text, "=:");
	char *key;

	if (!text[separator]) {
		fail(p,
		     "neither [section] nor key = value; a long value can't go on in another line");
		return;
	}
	text[separator] = '\0';
	key = trim(text);
	for (const char *c = key; *c; c++)
		if (!isascii(*c) || (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')) {
			fail(p, "that is no key; write key = value");
			return;
		}
	if (!*key || strlen(key) > CONF_KEY_MAX) {
		fail(p, "the key is %s; write key = value", *key ? "too long" : "missing");
		return;
	}
	strcpy(p->key, key);
	p->left = trim(text + separator + 1);
	p->value_size = 0;
	if (*p->left == '"')
		fail(p,
		     "%s begins with a quote, which would be part of the value; write it without",
		     p->key);
}

/* The folder of this file, with a slash; escaped for glob(3) if `escape`. NULL: no memory. */
static char *file_folder(const struct conf_file *file, bool escape, size_t more)
{
	const char *slash = strrchr(file->path, '/');
	size_t size = slash ? (size_t)(slash - file->path) + 1 : 0, used = 0;
	char *folder = malloc(2 * size + more + 1);

	if (!folder)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		if (escape && strchr("*?[]\\", file->path[i]))
			folder[used++] = '\\';
		folder[used++] = file->path[i];
	}
	folder[used] = '\0';
	return folder;
}

static void include(struct parser *p, const char *name)
{
	bool pattern = strpbrk(name, "*?[");
	char *path = file_folder(p->file, pattern, strlen(name));
	glob_t found;
	int error;

	if (!path || !*name) {
		fail(p, path ? "include has no file; write include = NAME" : "out of memory");
		free(path);
		return;
	}
	if (*name == '/')
		*path = '\0';
	strcat(path, name);
	if (!pattern) {
		load_file(p, path, false);
		free(path);
		return;
	}
	error = glob(path, GLOB_ERR, NULL, &found);
	if (error == GLOB_ABORTED && errno == ENOENT)
		error = GLOB_NOMATCH; /* not even the folder is there */
	if (error && error != GLOB_NOMATCH)
		fail(p, "include: %s can't be searched: %s", path,
		     error == GLOB_NOSPACE ? "out of memory" : strerror(errno));
	for (size_t i = 0; !error && i < found.gl_pathc && !p->failed; i++)
		load_file(p, found.gl_pathv[i], true);
	if (!error)
		globfree(&found);
	free(path);
}

/* The whole value came back from inih: it's an entry, or names files to include. */
static void end_entry(struct parser *p)
{
	p->left = NULL;
	p->value[p->value_size] = '\0';
	if (!strcmp(p->key, "include"))
		include(p, p->value);
	else if (!p->section)
		fail(p, "%s stands before any section; only include may", p->key);
	else if (!conf_section_add(p->section, p->key, p->value, p->file->path, p->line))
		fail(p, "out of memory");
}

/* The next piece of the value into the line for inih: what fits, and no ';' behind a blank. */
static void feed_piece(struct parser *p, char *line, size_t size)
{
	bool first = !p->value_size;
	size_t used, most, n = 0;

	used = (size_t)(first ? sprintf(line, "%s = |", p->key) : sprintf(line, " |"));
	most = size - used - sizeof("|\n");
	while (n < most && p->left[n] &&
	       !(n && p->left[n] == ';' && isblank((unsigned char)p->left[n - 1])))
		n++;
	memcpy(line + used, p->left, n);
	strcpy(line + used + n, "|\n");
	p->left += n;
	p->fed = true;
}

/* inih's fgets(3): the next line for it, see the top of this file. NULL ends the parse. */
static char *feed_line(char *line, int size, void *stream)
{
	struct parser *p = stream;
	char *text;

	assert(size > (int)(CONF_KEY_MAX + sizeof(" = |x|\n")));
	while (!p->failed) {
		if (p->fed) {
			fail(p, "the parser didn't take %s; this inih lacks multi-line values",
			     p->key);
			break;
		}
		if (p->left && *p->left) {
			feed_piece(p, line, (size_t)size);
			return line;
		}
		if (p->left)
			end_entry(p);
		if (p->failed || !read_line(p))
			break;
		text = trim(p->text);
		if (!*text || *text == '#' || *text == ';')
			continue;
		if (*text == '[') {
			start_section(p, text);
			return strcpy(line, SECTION_FED);
		}
		start_entry(p, text);
		if (!p->failed) {
			feed_piece(p, line, (size_t)size);
			return line;
		}
	}
	return NULL;
}

/* inih's handler: a piece, between its bars. */
static int take_piece(void *user, const char *section, const char *name, const char *piece)
{
	struct parser *p = user;
	size_t size = strlen(piece);

	if (!p->fed || strcmp(name, p->key) || size < 2 || piece[0] != '|' ||
	    piece[size - 1] != '|' || p->value_size + size - 2 > CONF_LINE_MAX) {
		fail(p, "the parser changed the value of %s", p->key);
		return 0;
	}
	p->fed = false;
	memcpy(p->value + p->value_size, piece + 1, size - 2);
	p->value_size += size - 2;
	return 1;
}

/* Opens the file and notes that it was read. False: failed, or read already. */
static bool open_file(struct parser *p, const char *path, bool from_pattern)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct conf_file *file;
	struct stat status;

	if (fd < 0 || fstat(fd, &status) || (p->stream = fdopen(fd, "r")) == NULL) {
		fail(p, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (S_ISDIR(status.st_mode)) {
		fail(p, "%s is a folder; name the files in it", path);
		return false;
	}
	for (file = p->conf->files; file; file = file->next)
		if (file->device == status.st_dev && file->inode == status.st_ino) {
			if (!from_pattern)
				fail(p, "%s was read already; include it once", path);
			return false;
		}
	file = calloc(1, sizeof(*file) + strlen(path) + 1);
	if (!file) {
		fail(p, "out of memory");
		return false;
	}
	file->device = status.st_dev;
	file->inode = status.st_ino;
	strcpy(file->path, path);
	file->next = p->conf->files;
	p->conf->files = file;
	p->file = file;
	return true;
}

/* Reads one file; `from` is the parser that includes it, and gets its failure. */
static void load_file(struct parser *from, const char *path, bool from_pattern)
{
	struct parser p = *from;

	if (++p.depth > CONF_INCLUDE_DEPTH) {
		fail(from, "%s: more than %u files include one another", path, CONF_INCLUDE_DEPTH);
		return;
	}
	p.stream = NULL;
	p.section = NULL;
	p.left = NULL;
	p.fed = false;
	p.value_size = 0;
	p.text = malloc(CONF_LINE_MAX + 3);
	p.value = malloc(CONF_LINE_MAX + 1);
	if (!p.text || !p.value) {
		fail(&p, "out of memory");
	} else if (open_file(&p, path, from_pattern)) {
		p.line = 0;
		ini_parse_stream(feed_line, &p, take_piece, &p);
	}
	from->failed = p.failed;
	if (p.stream)
		fclose(p.stream);
	free(p.text);
	free(p.value);
}

struct conf *conf_load(const char *path, const struct reason *reason)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct parser p = {.conf = conf, .reason = reason};

	if (!conf) {
		text_refuse(reason, "%s: out of memory", path);
		return NULL;
	}
	conf->sections_end = &conf->sections;
	load_file(&p, path, false);
	if (p.failed)
		conf_free(&conf);
	return conf;
}

void conf_free(struct conf **conf)
{
	struct conf *c = *conf;
	struct conf_section *section;
	struct conf_file *file;

	*conf = NULL;
	if (!c)
		return;
	while ((section = c->sections)) {
		c->sections = section->next;
		conf_section_clear(section);
		free(section);
	}
	while ((file = c->files)) {
		c->files = file->next;
		free(file);
	}
	free(c);
}
