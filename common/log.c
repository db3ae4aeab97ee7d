/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c - see log.h */
#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static struct {
	const char *program;
	_Atomic enum log_level level;
	bool journal; /* stderr is read by journald, which takes "<N>" */
	bool syslog;
} log_state = {.program = "dst", .level = LOG_LEVEL_INFO};

static const struct {
	int priority;
	const char *prefix;
} log_levels[] = {
	[LOG_LEVEL_ERROR] = {LOG_ERR, "error: "},
	[LOG_LEVEL_WARN] = {LOG_WARNING, "warning: "},
	[LOG_LEVEL_INFO] = {LOG_INFO, ""},
	[LOG_LEVEL_DEBUG] = {LOG_DEBUG, "debug: "},
};

void log_init(const char *program, enum log_level level)
{
	log_state.program = program;
	log_state.level = level;
	log_state.journal = getenv("JOURNAL_STREAM") && !isatty(STDERR_FILENO);
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

enum log_level log_get_level(void)
{
	return atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

void log_to_syslog(void)
{
	openlog(log_state.program, LOG_PID, LOG_DAEMON);
	log_state.syslog = true;
}

/* One write(2) a line, so that lines of several threads never mix. */
static void write_stderr(enum log_level level, const char *text)
{
	char line[LINE_MAX_BYTES + 64];
	int n;

	if (log_state.journal)
		n = snprintf(line, sizeof(line), "<%d>%s\n", log_levels[level].priority, text);
	else
		n = snprintf(line, sizeof(line), "%s: %s%s\n", log_state.program,
			     log_levels[level].prefix, text);
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody left to tell */
}

static void write_va(enum log_level level, const char *suffix, const char *format, va_list args)
{
	int saved = errno;
	char text[LINE_MAX_BYTES];
	size_t used;

	vsnprintf(text, sizeof(text), format, args);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "%s", suffix);
	for (char *c = text; *c; c++) /* what a peer sent must not forge lines */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (log_state.syslog)
		syslog(log_levels[level].priority, "%s", text);
	else
		write_stderr(level, text);
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	if (level > log_get_level())
		return;
	va_start(args, format);
	write_va(level, "", format, args);
	va_end(args);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	uint64_t now = clock_now();
	char suffix[64] = "";
	va_list args;

	if (level > log_get_level())
		return;
	if (now < limit->next) {
		limit->held++;
		return;
	}
	if (limit->held)
		snprintf(suffix, sizeof(suffix), " (and %llu more like this)",
			 (unsigned long long)limit->held);
	limit->held = 0;
	limit->next = now + CLOCK_SEC;
	va_start(args, format);
	write_va(level, suffix, format, args);
	va_end(args);
}
