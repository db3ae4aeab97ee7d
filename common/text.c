/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.c - see text.h */
#include "common/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DISTANCE_WORD_MAX 40 /* bytes; a longer word has no near one */
#define DISTANCE_MAX 2 /* edits */

/* Bytes of the character that starts at text: 1..4, or 0 if it isn't a clean one. */
static size_t character_size(const uint8_t *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t value;
	size_t size;

	if (text[0] < 0x80)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] >= 0xf8 || text[0] < 0xc0)
		return 0;
	size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (size > left)
		return 0;
	value = text[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (text[i] & 0x3fu);
	}
	if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	if (value < 0xa0) /* C1 control characters */
		return 0;
	/* Line and paragraph separators; embeddings, overrides and isolates of direction. */
	if ((value >= 0x2028 && value <= 0x202e) || (value >= 0x2066 && value <= 0x2069))
		return 0;
	return size;
}

size_t text_clean_length(const char *text, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t at = 0, step;

	while (at < size && (step = character_size(bytes + at, size - at)))
		at += step;
	return at;
}

bool text_is_clean(const char *text)
{
	size_t size = strlen(text);

	return text_clean_length(text, size) == size;
}

void text_make_clean(char *text)
{
	size_t left = strlen(text), clean;

	while ((clean = text_clean_length(text, left)) < left) {
		text[clean] = '?';
		text += clean + 1;
		left -= clean + 1;
	}
}

/* Optimal string alignment: inserted, deleted, changed and swapped bytes count one each. */
int text_distance(const char *typed, const char *word)
{
	int row[3][DISTANCE_WORD_MAX + 1];
	size_t m = strlen(typed), n = strlen(word);
	int most = n <= 3 ? 1 : DISTANCE_MAX;

	if (m > DISTANCE_WORD_MAX || n > DISTANCE_WORD_MAX)
		return -1;
	for (size_t j = 0; j <= n; j++)
		row[0][j] = (int)j;
	for (size_t i = 1; i <= m; i++) {
		int *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];

		now[0] = (int)i;
		for (size_t j = 1; j <= n; j++) {
			int best = last[j - 1] + (typed[i - 1] != word[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && typed[i - 1] == word[j - 2] &&
			    typed[i - 2] == word[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[m % 3][n] <= most ? row[m % 3][n] : -1;
}

int text_refuse(const struct reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason->text, reason->size, format, args);
	va_end(args);
	text_make_clean(reason->text);
	return EINVAL;
}

const char *text_time(int64_t seconds, char text[TEXT_TIME])
{
	time_t then = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&then, &tm) || !strftime(text, TEXT_TIME, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, TEXT_TIME, "an unknown time");
	return text;
}
