/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command.h - what a dstctl command is, and what it is told. */
#ifndef DSTCTL_COMMAND_H
#define DSTCTL_COMMAND_H

#include <stdbool.h>

#define CALL_TIMEOUT_MS 5000 /* for a daemon's answer */

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* nothing found, or a daemon refused or didn't answer */
	EXIT_USAGE = 2,
};

/* The options that came; a command accepts those of its mask. */
#define OPTION_JSON 0x1u
#define OPTION_MOUNT 0x2u
#define OPTION_SOCKET 0x4u
#define OPTION_TAKEOVER 0x8u
#define OPTION_CONFIG 0x10u
#define OPTION_FORCE 0x20u
#define OPTION_FROM 0x40u
#define OPTION_EQUAL 0x80u
#define OPTION_REPAIR 0x100u
#define OPTION_STOP 0x200u
#define OPTION_WATCH 0x400u
#define OPTION_PAUSE 0x800u
#define OPTION_RESUME 0x1000u
#define OPTION_TRUST 0x2000u
#define OPTION_KEEP 0x10000u
#define OPTION_YES 0x20000u
#define OPTION_PICK (OPTION_MOUNT | OPTION_SOCKET) /* at most one of them comes */

struct options {
	unsigned given; /* OPTION_* */
	const char *mount; /* the dstfs that serves this mountpoint; NULL: any */
	const char *socket; /* the daemon at this socket; NULL: any */
	const char *config; /* the configuration of volumes; NULL: the conventional file */
	const char *keep; /* the node that a mirror goes on from; NULL: none */
	const char *from; /* the node whose data is kept; NULL: none */
};

struct command {
	const char *name;
	const char *arguments; /* for people: "VOLUME KEY=VALUE"; "" for none */
	const char *help; /* one line */
	unsigned least, most; /* arguments */
	unsigned accepts; /* OPTION_* */
	/* argv[0..argc) are the arguments, without the command's name. An error is on stderr when
	 * it returns, one line, starting with "dstctl: ". */
	enum exit_status (*run)(const struct options *options, int argc, char **argv);
};

#endif
