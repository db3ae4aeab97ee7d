/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_key.h - keys: what may be configured, as rows of tables. One row serves as a key of the
 * configuration file, as a long option and as a -o option, and says how its text is parsed.
 *
 * A row knows nothing of where its value goes: conf_slot tables of each program tell that, so both
 * programs can check the whole file though each uses only its part.
 */
#ifndef COMMON_CONF_KEY_H
#define COMMON_CONF_KEY_H

#include "common/conf.h"
#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a parser gets: one value and where it came from. */
struct conf_value {
	const char *text; /* as typed, without blanks around it */
	const struct conf_key *key;
	const char *file; /* the file that it stands in; NULL: the command line */
	const char *folder; /* without a file: where relative paths start; NULL: where we are */
	const struct reason *reason;
};

/*
 * Parses a value into the field, whose type is the parser's; NULL: only checks it. 0, or EINVAL or
 * ENOMEM with the cause in value->reason: what is wrong, "; ", what would be right.
 */
typedef int conf_parser(const struct conf_value *value, void *field);

#define CONF_REPEAT 0x1u /* may be given more than once; the parser appends */
#define CONF_NO_FILE 0x2u /* only on the command line */

struct conf_key {
	const char *name; /* with '_' */
	const char *alias; /* another name for it; NULL: none */
	char letter; /* short option; 0: none */
	unsigned flags; /* CONF_* */
	conf_parser *parse;
	const char *value; /* the value's name in --help; NULL: yes or no, "yes" may be left out */
	uint64_t least, most; /* inclusive: numbers; `most` 0: no bound. Paths: their length */
	const char *const *choices; /* conf_parse_choice: the words, ended by NULL */
	const char *standard; /* the default, as text; NULL: none, the field starts as zero */
	const char *help; /* one line, no full stop */
};

/* Tables of rows: an array of pointers to arrays that end with a row without a name; ends with
 * NULL. */
typedef const struct conf_key *const conf_tables[];

/* Where a program wants a key's value. Ends with a row without a name. */
struct conf_slot {
	const char *name;
	size_t offset;
	conf_parser *parse; /* NULL: the row's own */
};

/* A kind of section. Ends with a row without a name. */
struct conf_kind {
	const char *name;
	bool named; /* [kind NAME]; else [kind] */
	size_t name_most; /* bytes of NAME */
	const struct conf_key *const *tables;
};

/* Parsers. The comment tells the field's type. */
conf_parser conf_parse_bool; /* bool: yes, no, on, off, true, false, 1, 0 */
conf_parser conf_parse_unsigned; /* unsigned, within least..most */
conf_parser conf_parse_count; /* unsigned, likewise; "forever" is UINT32_MAX */
conf_parser conf_parse_size; /* uint64_t bytes: 512, 64K, 10M, 1G, 4KiB: powers of 1024 */
conf_parser
	conf_parse_duration; /* uint64_t ns: 500ms, 30s, 5m, 2h, 1d; 30 is 30s. least, most: ns */
conf_parser conf_parse_choice; /* an enum that counts from 0 in the order of choices */
conf_parser conf_parse_string; /* char *, owned; what was there is freed */
/* char *, owned, absolute: relative ones start where the file lies, or the folder says. */
conf_parser conf_parse_path;
conf_parser conf_parse_user; /* uid_t: a name or a number */
conf_parser conf_parse_group; /* gid_t */
conf_parser conf_parse_mode; /* mode_t: permission bits, octal */

/* Can it name a volume or an export: 1..most bytes, no '/', no control character, not "." or ".."? */
bool conf_name_fits(const char *name, size_t most);

/* The row that the name means ('-' is '_' in it), or NULL. */
const struct conf_key *conf_find_key(const struct conf_key *const *tables, const char *name);

/* "; did you mean X?" into hint if a row has a name like this one, else "". Returns hint. */
#define CONF_HINT_MAX (CONF_KEY_MAX + 32)
const char *conf_hint(const struct conf_key *const *tables, const char *name,
		      char hint[CONF_HINT_MAX]);

/*
 * Checks the whole file against its tables: kinds and names of sections, keys, the form of every
 * value; nothing may be doubled. Sets each entry's key. 0, or EINVAL with the cause in reason.
 */
int conf_check(struct conf *conf, const struct conf_kind *kinds, const struct reason *reason);

/* Fills the fields of all slots whose rows have a default; needs no memory to fail. */
void conf_defaults(const struct conf_key *const *tables, const struct conf_slot *slots,
		   void *object);

/*
 * Parses the entries that have a slot into object, in their order; the others are left out. Every
 * entry has its key. 0, or the parser's error with the cause, its place in front, in reason.
 */
int conf_apply(const struct conf_section *section, const struct conf_slot *slots, void *object,
	       const struct reason *reason);

/* "FILE:LINE: " of an entry or "--NAME: ", to put before a message. Returns text. */
#define CONF_WHERE_MAX (PATH_MAX + 32)
const char *conf_where(const struct conf_entry *entry, char text[CONF_WHERE_MAX]);

#endif
