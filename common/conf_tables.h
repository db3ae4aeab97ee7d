/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_tables.h - what dstfs.conf may hold: the one place that lists its sections, keys and
 * defaults. dstfs uses [dstfs] and [volume], dstd uses [server] and [export]; both check all.
 * dstfs.conf.example and dstfs.conf(5) say it in prose.
 */
#ifndef COMMON_CONF_TABLES_H
#define COMMON_CONF_TABLES_H

#include "common/conf_key.h"
#include "common/uri.h"

extern const struct conf_kind conf_kinds[];

extern const struct conf_key conf_mount_keys[]; /* [dstfs]: of the whole mount */
extern const struct conf_key conf_volume_keys[]; /* [volume NAME]; in [dstfs]: for all volumes */
extern const struct conf_key conf_node_keys[]; /* [volume NAME] only */
extern const struct conf_key conf_server_keys[]; /* [server] */
extern const struct conf_key conf_export_keys[]; /* [export NAME] */

/* A value of `node`. */
#define CONF_NODE_NAME_MAX 32u /* bytes: letters, digits, '-', '_' */
struct conf_node {
	char name[CONF_NODE_NAME_MAX + 1]; /* "": none was given */
	struct uri uri;
};
conf_parser conf_parse_node; /* struct conf_node */

/* conf_load() and conf_check() against conf_kinds. NULL: the cause in reason. */
struct conf *conf_read(const char *path, const struct reason *reason);

/* Longest path of a unix socket, bytes (sun_path without its NUL). */
#define CONF_SOCKET_MAX 107u

/* A row for a switch of the command line, which no file may set. */
#define CONF_SWITCH(NAME, LETTER, HELP)                                                            \
	{                                                                                          \
		.name = NAME, .letter = LETTER, .flags = CONF_NO_FILE, .parse = conf_parse_bool,   \
		.help = HELP                                                                       \
	}

/* The rows of those that every program has. */
#define CONF_PROGRAM_SWITCHES                                                                      \
	CONF_SWITCH("foreground", 'f', "stay in the foreground"),                                  \
		CONF_SWITCH("debug", 'd', "log everything; stay in the foreground"),               \
		CONF_SWITCH("verbose", 'v', "log more"),                                           \
		CONF_SWITCH("help", 'h', "print this and exit"),                                   \
		CONF_SWITCH("version", 'V', "print the version and exit")

#endif
