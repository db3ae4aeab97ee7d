/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conf_tables.h - what dstfs.conf may hold: the one place that lists its sections, keys and
 * defaults. dstfs uses [dstfs] and [volume], dstd uses [server] and [export]; both check all.
 * dstfs.conf.example and dstfs.conf(5) say it in prose.
 */
#ifndef COMMON_CONF_TABLES_H
#define COMMON_CONF_TABLES_H

#include "common/conf_key.h"

extern const struct conf_kind conf_kinds[];

extern const struct conf_key conf_mount_keys[]; /* [dstfs]: of the whole mount */
extern const struct conf_key conf_volume_keys[]; /* [volume NAME]; in [dstfs]: for all volumes */
extern const struct conf_key conf_node_keys[]; /* [volume NAME] only */
extern const struct conf_key conf_server_keys[]; /* [server] */
extern const struct conf_key conf_export_keys[]; /* [export NAME] */

/* conf_load() and conf_check() against conf_kinds. NULL: the cause in reason. */
struct conf *conf_read(const char *path, const struct reason *reason);

/* Longest path of a unix socket, bytes (sun_path without its NUL). */
#define CONF_SOCKET_MAX 107u

#endif
