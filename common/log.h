/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - levelled log lines to stderr or syslog. Preserves errno. Any thread.
 *
 * One line an event, for someone who reads at 3 am: what, which node or peer, why, how often. On
 * stderr lines start with the program's name, or with a "<N>" priority if journald reads them. What
 * is not clean text (text.h) comes out as '?', so that no name sent by a peer can forge a line.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* program must stay valid. Lines above `level` are not written. Starts on stderr. Call it, and
 * log_to_syslog(), before other threads log. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* From now on to syslog(3), facility daemon: for a process that has left its terminal. */
void log_to_syslog(void);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *format, ...);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                            \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                   \
	} while (0)

/*
 * For causes that can come a thousand times a second: at most one line a second passes, and the
 * next one that passes tells how many were held back. Zero-initialised, but for `burst`; one per place
 * or peer; any thread.
 */
struct log_limit {
	unsigned
		burst; /* fixed: lines that may pass at once, after as many quiet seconds; 0 is 1 */
	_Atomic uint64_t next; /* clock_now() from which a line may pass */
	_Atomic uint64_t held; /* lines held back since the last one */
};

__attribute__((format(printf, 3, 4))) void
log_limited(struct log_limit *limit, enum log_level level, const char *format, ...);

#endif
