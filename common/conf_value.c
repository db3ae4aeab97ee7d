/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_value.c - the parsers of conf_key.h: text to typed values. */
#include "common/clock.h"
#include "common/conf_key.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"", 1},           {"B", 1},
	{"K", 1ull << 10}, {"KiB", 1ull << 10},
	{"M", 1ull << 20}, {"MiB", 1ull << 20},
	{"G", 1ull << 30}, {"GiB", 1ull << 30},
	{"T", 1ull << 40}, {"TiB", 1ull << 40},
	{"P", 1ull << 50}, {"PiB", 1ull << 50},
	{NULL, 0},
};

static const struct unit duration_units[] = {
	{"", CLOCK_SEC},         {"us", CLOCK_US},         {"ms", CLOCK_MS},
	{"s", CLOCK_SEC},        {"m", 60 * CLOCK_SEC},    {"min", 60 * CLOCK_SEC},
	{"h", 3600 * CLOCK_SEC}, {"d", 86400 * CLOCK_SEC}, {NULL, 0},
};

static int out_of_memory(const struct conf_value *value)
{
	text_refuse(value->reason, "out of memory");
	return ENOMEM;
}

/* Decimal digits to a number; *end is what follows them. False: no digit, or above UINT64_MAX. */
static bool parse_number(const char *text, uint64_t *number, const char **end)
{
	char *stop;

	if (!isdigit((unsigned char)*text))
		return false; /* strtoull(3) would take blanks and a sign */
	errno = 0;
	*number = strtoull(text, &stop, 10);
	*end = stop;
	return !errno;
}

static bool parse_units(const char *text, const struct unit *units, uint64_t *number)
{
	const char *end;

	if (!parse_number(text, number, &end))
		return false;
	end += strspn(end, " ");
	for (; units->name; units++)
		if (!strcasecmp(end, units->name))
			return !__builtin_mul_overflow(*number, units->factor, number);
	return false;
}

int conf_parse_bool(const struct conf_value *value, void *field)
{
	static const struct {
		const char *word;
		bool meaning;
	} words[] = {{"yes", true},  {"no", false},    {"on", true}, {"off", false},
		     {"true", true}, {"false", false}, {"1", true},  {"0", false}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(value->text, words[i].word) != 0)
			continue;
		if (field)
			*(bool *)field = words[i].meaning;
		return 0;
	}
	return text_refuse(value->reason, "\"%.80s\" is neither yes nor no; write yes or no",
			   value->text);
}

static int parse_bounded(const struct conf_value *value, unsigned *field, const char *also)
{
	uint64_t number, most = value->key->most ? value->key->most : UINT32_MAX - 1;
	const char *end;

	if (!parse_number(value->text, &number, &end) || *end || number < value->key->least ||
	    number > most)
		return text_refuse(value->reason,
				   "\"%.80s\" doesn't fit; write a number from %llu to %llu%s",
				   value->text, (unsigned long long)value->key->least,
				   (unsigned long long)most, also);
	if (field)
		*field = (unsigned)number;
	return 0;
}

int conf_parse_unsigned(const struct conf_value *value, void *field)
{
	return parse_bounded(value, field, "");
}

int conf_parse_count(const struct conf_value *value, void *field)
{
	if (strcasecmp(value->text, "forever") != 0)
		return parse_bounded(value, field, " or forever");
	if (field)
		*(unsigned *)field = UINT32_MAX;
	return 0;
}

int conf_parse_size(const struct conf_value *value, void *field)
{
	uint64_t size, most = value->key->most ? value->key->most : INT64_MAX;

	if (!parse_units(value->text, size_units, &size))
		return text_refuse(value->reason,
				   "\"%.80s\" is no size; write bytes, or a number with K, M, G, T "
				   "or P (powers of 1024), like 10G",
				   value->text);
	if (size < value->key->least || size > most)
		return text_refuse(value->reason,
				   "\"%.80s\" doesn't fit; write a size of %llu to %llu bytes",
				   value->text, (unsigned long long)value->key->least,
				   (unsigned long long)most);
	if (field)
		*(uint64_t *)field = size;
	return 0;
}

/* A duration for people: whole seconds where it has them. */
static const char *print_duration(uint64_t duration, char text[32])
{
	if (duration % CLOCK_SEC)
		snprintf(text, 32, "%llums", (unsigned long long)(duration / CLOCK_MS));
	else
		snprintf(text, 32, "%llus", (unsigned long long)(duration / CLOCK_SEC));
	return text;
}

int conf_parse_duration(const struct conf_value *value, void *field)
{
	uint64_t duration, most = value->key->most ? value->key->most : INT64_MAX;
	char low[32], high[32];

	if (!parse_units(value->text, duration_units, &duration))
		return text_refuse(
			value->reason,
			"\"%.80s\" is no duration; write a whole number with ms, s, m, h "
			"or d, like 500ms or 30s",
			value->text);
	if (duration < value->key->least || duration > most)
		return text_refuse(value->reason,
				   "\"%.80s\" doesn't fit; write a duration from %s to %s",
				   value->text, print_duration(value->key->least, low),
				   print_duration(most, high));
	if (field)
		*(uint64_t *)field = duration;
	return 0;
}

int conf_parse_choice(const struct conf_value *value, void *field)
{
	const char *const *choices = value->key->choices;
	char list[256] = "";
	size_t used = 0;

	for (unsigned i = 0; choices[i]; i++) {
		if (!strcmp(value->text, choices[i])) {
			if (field)
				*(unsigned *)field = i;
			return 0;
		}
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? " or " : "",
					 choices[i]);
		if (used >= sizeof(list))
			break;
	}
	return text_refuse(value->reason, "\"%.80s\" is unknown; write %s", value->text, list);
}

static int store_string(const struct conf_value *value, char **field, char *text)
{
	if (!text)
		return out_of_memory(value);
	free(*field);
	*field = text;
	return 0;
}

int conf_parse_string(const struct conf_value *value, void *field)
{
	if (!*value->text)
		return text_refuse(value->reason, "the value is missing; write %s",
				   value->key->value);
	return field ? store_string(value, field, strdup(value->text)) : 0;
}

int conf_parse_path(const struct conf_value *value, void *field)
{
	size_t most = value->key->most ? value->key->most : PATH_MAX - 1, size;
	const char *slash = value->file ? strrchr(value->file, '/') : NULL;
	char path[2 * PATH_MAX] = "";

	if (!*value->text)
		return text_refuse(value->reason, "the path is missing; write %s",
				   value->key->value);
	if (*value->text == '/')
		size = 0;
	else if (slash)
		size = (size_t)snprintf(path, sizeof(path), "%.*s/", (int)(slash - value->file),
					value->file);
	else if (value->folder || getcwd(path, PATH_MAX))
		size = strlen(strcat(value->folder ? strcpy(path, value->folder) : path, "/"));
	else
		return text_refuse(value->reason,
				   "the current folder has no name (%s); write a "
				   "path that starts with /",
				   strerror(errno));
	if (size + strlen(value->text) > most)
		return text_refuse(value->reason,
				   "\"%.80s\" makes too long a path; at most %zu bytes fit",
				   value->text, most);
	strcat(path, value->text);
	return field ? store_string(value, field, strdup(path)) : 0;
}

/* A uid or gid by its number; the highest one is "none" to the kernel. */
static bool parse_id(const char *text, unsigned *id)
{
	const char *end;
	uint64_t number;

	if (!parse_number(text, &number, &end) || *end || number >= UINT32_MAX)
		return false;
	*id = (unsigned)number;
	return true;
}

int conf_parse_user(const struct conf_value *value, void *field)
{
	const struct passwd *user;
	unsigned id;

	if (!parse_id(value->text, &id)) {
		user = getpwnam(value->text);
		if (!user)
			return text_refuse(value->reason,
					   "there is no user \"%.80s\"; write a name or a number",
					   value->text);
		id = user->pw_uid;
	}
	if (field)
		*(uid_t *)field = id;
	return 0;
}

int conf_parse_group(const struct conf_value *value, void *field)
{
	const struct group *group;
	unsigned id;

	if (!parse_id(value->text, &id)) {
		group = getgrnam(value->text);
		if (!group)
			return text_refuse(value->reason,
					   "there is no group \"%.80s\"; write a name or a number",
					   value->text);
		id = group->gr_gid;
	}
	if (field)
		*(gid_t *)field = id;
	return 0;
}

int conf_parse_mode(const struct conf_value *value, void *field)
{
	size_t size = strlen(value->text);

	if (!size || size > 4 || strspn(value->text, "01234567") != size ||
	    strtoul(value->text, NULL, 8) > 0777)
		return text_refuse(value->reason,
				   "\"%.80s\" is no mode; write octal digits, like 0640",
				   value->text);
	if (field)
		*(mode_t *)field = (mode_t)strtoul(value->text, NULL, 8);
	return 0;
}
