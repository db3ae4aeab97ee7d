/* SPDX-License-Identifier: GPL-2.0-or-later */
/* human.h - what daemons say, made fit for a terminal. */
#ifndef DSTCTL_HUMAN_H
#define DSTCTL_HUMAN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HUMAN_NUMBER 32 /* bytes that hold any printed number, size or duration */

/*
 * Makes text harmless, in place: control characters and those that turn the direction of writing
 * become '?', and where the locale isn't UTF-8, so does all that isn't ASCII. Returns text.
 */
char *human_clean(char *text);
size_t human_width(const char *text); /* characters of a cleaned text */

/* A field of an object for people, cleaned, new; "-" if it is absent or of another type. */
char *human_field(const json_t *object, const char *name);

/* Lines, each cleaned, with this before it. */
void human_lines(FILE *file, const char *prefix, const char *lines);

/* A field that counts; -1 if it is absent, of another type or negative. */
int64_t human_count(const json_t *object, const char *name);

/* These return text. A negative value, "unknown", is "-". */
const char *human_number(int64_t value, char text[HUMAN_NUMBER]);
const char *human_size(int64_t bytes, char text[HUMAN_NUMBER]); /* "512 B", "10.0 GiB" */
const char *human_duration(int64_t seconds, char text[HUMAN_NUMBER]); /* "4s", "12m 3s", "3d 4h" */

/* Says on stderr which daemon answered what error. */
void human_report(const json_t *daemon);

/* Ends the program, and says why. */
__attribute__((noreturn)) void human_no_memory(void);

/* A string like asprintf()'s; ends the program if there is no memory. */
__attribute__((format(printf, 1, 2))) char *human_format(const char *format, ...);

#endif
