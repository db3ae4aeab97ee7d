/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c - see log.h */
#include "common/log.h"

#include "common/clock.h"
#include "common/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#define TEXT_BYTES 2048 /* of a line; what is longer is cut, and ends in "..." */
#define SUFFIX_BYTES 64 /* of it, kept for what comes after a cut */
#define PREFIX_BYTES 128u /* program and level */

static struct {
	const char *program;
	_Atomic enum log_level level;
	bool journal; /* stderr is read by journald, which takes "<N>" */
	_Atomic bool syslog;
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

/* systemd.exec(5): JOURNAL_STREAM names the journal's socket as device:inode. A child that has its
 * stderr elsewhere inherits the variable all the same. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program, enum log_level level)
{
	log_state.program = program;
	log_set_level(level);
	log_state.journal = stderr_is_journal();
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_state.level, level, memory_order_relaxed);
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

/* One system call a line, so that lines of several threads don't mix. */
static void write_stderr(enum log_level level, char *text)
{
	char prefix[PREFIX_BYTES], newline = '\n';
	struct iovec line[3] = {
		{.iov_base = prefix},
		{.iov_base = text, .iov_len = strlen(text)},
		{.iov_base = &newline, .iov_len = 1},
	};

	if (log_state.journal)
		snprintf(prefix, sizeof(prefix), "<%d>", log_levels[level].priority);
	else
		snprintf(prefix, sizeof(prefix), "%s: %s", log_state.program,
			 log_levels[level].prefix);
	line[0].iov_len = strlen(prefix);
	while (writev(STDERR_FILENO, line, 3) < 0)
		if (errno != EINTR)
			return; /* nobody left to tell */
}

__attribute__((format(printf, 3, 0))) static void write_va(enum log_level level, const char *suffix,
							   const char *format, va_list args)
{
	char text[TEXT_BYTES];
	size_t room = sizeof(text) - SUFFIX_BYTES;
	int saved = errno, length;

	length = vsnprintf(text, room, format, args);
	if (length < 0)
		snprintf(text, room, "a message could not be formatted");
	snprintf(text + strlen(text), SUFFIX_BYTES, "%s%s", length >= (int)room ? "..." : "",
		 suffix);
	text_make_clean(text); /* what a peer sent must not forge lines or drive the terminal */
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

/*
 * Each line costs a second, and `next` says until when they are paid for: as far ahead as a burst
 * goes. Of several threads that ask together, one passes, or with room for more each may.
 */
static bool limit_pass(struct log_limit *limit, uint64_t now)
{
	uint64_t ahead = limit->burst ? (limit->burst - 1) * CLOCK_SEC : 0;
	uint64_t next = atomic_load_explicit(&limit->next, memory_order_relaxed);

	while (now + ahead >= next)
		if (atomic_compare_exchange_weak(&limit->next, &next,
						 (next > now ? next : now) + CLOCK_SEC))
			return true;
	return false;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	char suffix[SUFFIX_BYTES - sizeof("...")] = "";
	unsigned long long held;
	va_list args;

	if (level > log_get_level())
		return;
	if (!limit_pass(limit, clock_now())) {
		atomic_fetch_add_explicit(&limit->held, 1, memory_order_relaxed);
		return;
	}
	held = atomic_exchange_explicit(&limit->held, 0, memory_order_relaxed);
	if (held)
		snprintf(suffix, sizeof(suffix), " (and %llu more like this)", held);
	va_start(args, format);
	write_va(level, suffix, format, args);
	va_end(args);
}
