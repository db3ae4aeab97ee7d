/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - what dstd was told: command line and configuration file, parsed and checked before
 * anything starts. One table per kind of option (see options.c); help, man page and completion are
 * checked against it.
 */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include "common/loop.h"
#include "common/proto.h"
#include "server/acl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum listen_kind { LISTEN_TCP, LISTEN_UNIX, LISTEN_VSOCK };

struct listen_config {
	struct listen_config *next;
	enum listen_kind kind;
	char *host; /* TCP: name or address; NULL: all addresses, IPv6 and IPv4 */
	uint16_t port; /* TCP */
	char *path; /* unix */
	uint32_t vsock_cid, vsock_port;
	char *text; /* as given, for messages */
};

struct export_config {
	struct export_config *next;
	char *name; /* 1..DST_MAX_NAME bytes, no control characters, no '/' */
	char *path; /* absolute */
	uint64_t size_limit; /* bytes; 0: all of it */
	bool read_only;
	unsigned threads; /* for what may block; 0: default */
	bool shared; /* several sessions may write: no holder, no epoch */
	bool sync; /* what is answered is durable */
	uint64_t lease; /* nanoseconds for which the holder may be gone before another may write */
	struct acl_rule *rules; /* in order; NULL: the default rules */
};

struct dstd_options {
	char *config_file; /* absolute; NULL: none */
	char *pidfile, *control;
	bool foreground, debug, verbose;
	unsigned workers;
	unsigned max_clients; /* connections at a time */
	uint64_t stop_timeout; /* nanoseconds for running I/O to finish */
	struct listen_config *listens; /* at least one (default: 127.0.0.1 and ::1, DST_PORT) */
	struct export_config *exports; /* at least one */
	struct cmdline *given; /* the command line, for options_reload(); options.c's own */
};

enum options_outcome { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_ERROR };

enum options_outcome options_parse(struct dstd_options *options, int argc, char **argv);

/* Parses the config file again (SIGHUP). 0: *exports is the new list, the caller's; else the cause,
 * with file:line, in reason. */
int options_reload(const struct dstd_options *options, struct export_config **exports, char *reason,
		   size_t reason_size);
void options_free_exports(struct export_config **exports);
void options_free(struct dstd_options *options);

#endif
