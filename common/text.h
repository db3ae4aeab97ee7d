/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.h - text that people and other programs read: is it clean, what was meant by a
 * typo, and what a time is called. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How many of the first bytes are valid UTF-8 (RFC 3629) without control characters: `size` if all
 * are. NUL counts as a control character, a tab too, and what makes a line read as another one does
 * (proto.h, section 5).
 */
size_t text_clean_length(const char *text, size_t size);

/* Is all of it clean? */
bool text_is_clean(const char *text);

/* Puts '?' in place of every byte that isn't clean, so that a message stays one line. */
void text_make_clean(char *text);

/* "2026-11-22 10:00:00 UTC" for seconds since 1970. Returns text. */
#define TEXT_TIME 40
const char *text_time(int64_t seconds, char text[TEXT_TIME]);

/*
 * Is `typed` likely a misspelling of `word`: one or two edits away, fewer for short words? Returns
 * the number of edits (0: equal), or -1.
 */
int text_distance(const char *typed, const char *word);

/* Where a reason for people goes: one line. */
struct reason {
	char *text;
	size_t size;
};

/* Gives a reason, made clean; returns EINVAL, for the caller to return. */
__attribute__((format(printf, 2, 3))) int text_refuse(const struct reason *reason,
						      const char *format, ...);

#endif
