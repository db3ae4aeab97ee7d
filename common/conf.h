/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf.h - a configuration file, read into memory: sections and their entries, each with the file
 * and line that it came from. What the keys mean is conf_key.h's.
 *
 *   # a comment, also with ';', always on a line of its own
 *   [kind] or [kind NAME]      a section, until the next one
 *   key = value                or "key: value"; in keys '-' and '_' are the same
 *   include = *.conf           reads these files here; relative to the folder of this file
 *
 * A value is everything behind the first '=' or ':' of its line, without the blanks around it: '#',
 * ';', '=' and quotes inside it are its own, and nothing is escaped. A value may not begin with
 * '"', since quotes would become part of it. Blanks before a key mean nothing, so there are no
 * continuation lines. Lines end in LF or CRLF, are UTF-8 without control characters other than tabs
 * and at most CONF_LINE_MAX bytes long. A byte order mark at a file's start is skipped.
 *
 * An included file starts outside of any section, and the including file goes on in the one that it
 * was in. Names with '*', '?' or '[' are patterns: matches come in alphabetical order (bytes), files
 * that were read already are left out, and no match is fine. A plain name must exist, and be new.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <limits.h>
#include <stddef.h>

#define CONF_LINE_MAX (64u << 10) /* bytes, without the line's end */
#define CONF_KEY_MAX 40u /* bytes */
#define CONF_INCLUDE_DEPTH 8u /* files that are being read at a time */
#define CONF_REASON_MAX (PATH_MAX + 1024) /* bytes that hold any reason of these rooms */

struct conf_key;
struct reason;

struct conf_entry {
	struct conf_entry *next;
	char *name; /* as typed */
	char *value;
	const char *file; /* owned by the conf; NULL: from the command line */
	unsigned line; /* from 1 */
	const struct conf_key *key; /* its row, once conf_check() has found it */
};

struct conf_section {
	struct conf_section *next;
	char *kind; /* "volume" of "[volume NAME]" */
	char *name; /* "NAME"; NULL: none was given */
	const char *file; /* where its header stands */
	unsigned line;
	struct conf_entry *entries; /* in the file's order */
	struct conf_entry **entries_end;
	char *folder; /* where relative paths of entries without a file start; NULL: where we are */
};

struct conf {
	struct conf_section *sections; /* in the order read; doubled and empty ones included */
	struct conf_section **sections_end;
	struct conf_file *files;
};

/*
 * Reads the file and all that it includes. NULL: the cause, one line that starts with file:line, in
 * reason. `path` names the file in messages and should be absolute.
 */
struct conf *conf_load(const char *path, const struct reason *reason);
void conf_free(struct conf **conf);

/* The first section of this kind, or NULL. conf may be NULL. */
const struct conf_section *conf_find_section(const struct conf *conf, const char *kind);

/* Appends an entry; copies name and value, but not `file`. NULL: out of memory. */
struct conf_entry *conf_section_add(struct conf_section *section, const char *name,
				    const char *value, const char *file, unsigned line);

/* A section that isn't part of a conf: for what a command line gave. */
void conf_section_init(struct conf_section *section);
void conf_section_clear(struct conf_section *section);

#endif
