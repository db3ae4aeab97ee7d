/* SPDX-License-Identifier: GPL-2.0-or-later */
/* human.c - see human.h */
#include "dstctl/human.h"

#include "common/text.h"
#include "dstctl/command.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *human_clean(char *text)
{
	text_make_clean(text);
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		for (char *c = text; *c; c++) /* 0x80 to 0x9f are control characters there */
			if ((unsigned char)*c > 0x7e)
				*c = '?';
	return text;
}

size_t human_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void human_no_memory(void)
{
	fprintf(stderr, "dstctl: out of memory\n");
	exit(EXIT_FAILED);
}

char *human_format(const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		human_no_memory();
	return text;
}

char *human_field(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return human_clean(human_format("%s", value && *value ? value : "-"));
}

void human_lines(FILE *file, const char *prefix, const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");
		char *line = human_clean(human_format("%.*s", (int)length, lines));

		fprintf(file, "%s%s\n", prefix, line);
		free(line);
		lines += length + (lines[length] == '\n');
	}
}

int64_t human_count(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -1;
	return json_integer_value(value);
}

const char *human_number(int64_t value, char text[HUMAN_NUMBER])
{
	if (value < 0)
		return strcpy(text, "-");
	snprintf(text, HUMAN_NUMBER, "%" PRId64, value);
	return text;
}

const char *human_size(int64_t bytes, char text[HUMAN_NUMBER])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;
	double value = (double)bytes;

	if (bytes < 0)
		return strcpy(text, "-");
	while (value >= 1023.95) { /* else 1023.97 would be printed as 1024.0 */
		value /= 1024;
		unit++;
	}
	snprintf(text, HUMAN_NUMBER, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return text;
}

/* The two largest units: enough for people, and it stays short. */
const char *human_duration(int64_t seconds, char text[HUMAN_NUMBER])
{
	const int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (seconds < 0)
		return strcpy(text, "-");
	if (days)
		snprintf(text, HUMAN_NUMBER, "%" PRId64 "d %" PRId64 "h", days, hours % 24);
	else if (hours)
		snprintf(text, HUMAN_NUMBER, "%" PRId64 "h %" PRId64 "m", hours, minutes % 60);
	else if (minutes)
		snprintf(text, HUMAN_NUMBER, "%" PRId64 "m %" PRId64 "s", minutes, seconds % 60);
	else
		snprintf(text, HUMAN_NUMBER, "%" PRId64 "s", seconds);
	return text;
}

void human_report(const json_t *daemon)
{
	char *socket = human_field(daemon, "socket");
	char *error = human_field(daemon, "error");

	fprintf(stderr, "dstctl: %s: %s\n", socket, error);
	free(socket);
	free(error);
}
