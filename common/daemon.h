/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.h - what a well-behaved daemon does: go to the background and tell its parent how it went,
 * pid file, sd_notify(3)'s protocol without libsystemd, memory that stays.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <stddef.h>

/*
 * Forks; returns in the child, which has a session of its own, / as its folder and stdin from
 * /dev/null, and keeps stderr until daemon_ready(). The parent waits: it exits 0 on
 * daemon_ready(), else with the child's status, or 1 if the child dies of a signal. 0 or errno.
 * Call it before any thread exists.
 */
int daemon_fork(void);

/*
 * Ready: writes the pid file (NULL: none), tells the waiting parent (if daemon_fork() was called;
 * stdout and stderr go to /dev/null then), and the service manager. 0 or the pid file's errno, in
 * which case nobody was told.
 */
int daemon_ready(const char *pidfile);

/* "STOPPING=1", "RELOADING=1", "STATUS=…" to the service manager, if there is one. */
void daemon_notify(const char *message);

/*
 * Locks the process's memory, present and future, and keeps the kernel from doing I/O on its behalf
 * to find some (PR_SET_IO_FLUSHER), each where allowed; `reason` is a line for the log that tells
 * where not, and why, or empty. Call it after daemon_fork(), for locks are not inherited, and before
 * any thread exists, for they inherit the rest.
 */
void daemon_keep_memory(char *reason, size_t size);

/* Removes the pid file if it is still ours. NULL is fine. */
void daemon_remove_pidfile(const char *pidfile);

#endif
