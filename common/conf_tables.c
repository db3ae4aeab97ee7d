/* SPDX-License-Identifier: GPL-2.0-or-later */
/* conf_tables.c - see conf_tables.h */
#include "common/conf_tables.h"

#include "common/clock.h"
#include "common/uri.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

/*
 * What a user gets who says nothing about the page cache. Images are used through loop devices, by
 * virtual machines and with O_DIRECT, all of which cache above the image. Measured (scripts/bench
 * --caching): the cached mode has a fifth of the IOPS of direct writes at depth 32 and a third with
 * four synchronous writers, because the kernel then serialises writes to an inode, and a caller of
 * O_DIRECT can't be killed while its node is away. What it wins is buffered reading with dd or cp.
 */
#define CACHE_STANDARD "none"

#define DAY (86400 * CLOCK_SEC)

_Static_assert(CONF_SOCKET_MAX == sizeof(((struct sockaddr_un *)0)->sun_path) - 1, "sun_path");

static const char *const cache_choices[] = {"none", "auto", NULL};
static const char *const quorum_choices[] = {"none", "majority", NULL};

/* A first word that is no URI is a name. */
int conf_parse_node(const struct conf_value *value, void *field)
{
	struct conf_node node = {.name = ""};
	const char *uri = value->text;
	size_t word = strcspn(uri, " \t"), fit;

	if (uri[word] && !memmem(uri, word, "://", 3)) {
		fit = strspn(uri,
			     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
		if (fit < word || word > CONF_NODE_NAME_MAX)
			return text_refuse(value->reason,
					   "\"%.*s\" can't name a node; write up to %u letters, "
					   "digits, \"-\" and \"_\"",
					   (int)(word < 80 ? word : 80), uri, CONF_NODE_NAME_MAX);
		memcpy(node.name, uri, word);
		uri += word + strspn(uri + word, " \t");
	}
	if (uri_parse(&node.uri, uri, value->reason->text, value->reason->size))
		return EINVAL;
	if (field)
		*(struct conf_node *)field = node;
	return 0;
}

static int parse_power_of_two(const struct conf_value *value, void *field)
{
	uint64_t size;
	int error = conf_parse_size(value, &size);

	if (error)
		return error;
	if (size & (size - 1))
		return text_refuse(value->reason,
				   "\"%.80s\" is no power of two; write a size like 64K",
				   value->text);
	if (field)
		*(uint64_t *)field = size;
	return 0;
}

const struct conf_key conf_mount_keys[] = {
	{.name = "allow_other",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "let other users use the files too, as owner and mode allow"},
	{.name = "auto_unmount",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "unmount also when dstfs is killed (by fusermount3)"},
	{.name = "uid",
	 .parse = conf_parse_user,
	 .value = "USER",
	 .help = "owner of the files, name or number (default: who mounts)"},
	{.name = "gid",
	 .parse = conf_parse_group,
	 .value = "GROUP",
	 .help = "group of the files, name or number (default: who mounts)"},
	{.name = "mode",
	 .parse = conf_parse_mode,
	 .value = "MODE",
	 .help = "permissions of the files, octal (default: 0600, read-only 0400)"},
	{.name = "fsname",
	 .parse = conf_parse_string,
	 .value = "NAME",
	 .help = "first column of mount(8) and df(1) (default: the source)"},
	{.name = "pidfile",
	 .parse = conf_parse_path,
	 .value = "FILE",
	 .help = "write the process id here when ready (default: none)"},
	{.name = "control",
	 .parse = conf_parse_path,
	 .value = "SOCKET",
	 .most = CONF_SOCKET_MAX,
	 .help = "dstctl's socket (default: one per mount, where dstctl looks)"},
	{.name = "workers",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .least = 1,
	 .most = 64,
	 .standard = "1",
	 .help = "threads that serve the mount"},
	{.name = "busy_poll",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = 10 * CLOCK_MS,
	 .standard = "100us",
	 .help = "look for answers so long before sleeping; 0: sleep at once"},
	{.name = "stop_timeout",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = DAY,
	 .standard = "30s",
	 .help = "longest wait for the last flush when the mount ends"},
	{NULL},
};

const struct conf_key conf_volume_keys[] = {
	{.name = "cache",
	 .parse = conf_parse_choice,
	 .value = "none|auto",
	 .choices = cache_choices,
	 .standard = CACHE_STANDARD,
	 .help = "page cache: for no open, or for all but O_DIRECT ones"},
	{.name = "read_only",
	 .alias = "ro",
	 .letter = 'r',
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "never write"},
	{.name = "shared",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "others write to the export too: cache nothing across opens"},
	{.name = "checksum",
	 .parse = conf_parse_bool,
	 .standard = "yes",
	 .help = "checksums on the wire"},
	{.name = "timeout",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .least = 100 * CLOCK_MS,
	 .most = DAY,
	 .standard = "30s",
	 .help = "a request unanswered for so long is sent again"},
	{.name = "resends",
	 .parse = conf_parse_count,
	 .value = "N|forever",
	 .most = 1000000,
	 .standard = "4",
	 .help = "times that a request is sent again before it fails with EIO"},
	{.name = "reconnect",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .least = 10 * CLOCK_MS,
	 .most = DAY,
	 .standard = "1s",
	 .help = "pause between attempts to connect, grows while they fail"},
	{.name = "ping",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .least = 100 * CLOCK_MS,
	 .most = DAY,
	 .standard = "10s",
	 .help = "silence after which the server is asked if it is there"},
	{.name = "ping_timeout",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .least = 100 * CLOCK_MS,
	 .most = DAY,
	 .standard = "10s",
	 .help = "no answer for so long: the connection is made anew"},
	{.name = "retain",
	 .parse = conf_parse_size,
	 .value = "SIZE",
	 .most = 16ull << 30,
	 .standard = "64M",
	 .help = "unflushed writes kept per node in case its server loses power"},
	{.name = "takeover",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "take the export from another writer, once, when attaching"},
	{.name = "wait",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = DAY,
	 .standard = "0",
	 .help = "longest wait of an open for a node that is away"},
	{.name = "max_inflight",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .least = 1,
	 .most = 4096,
	 .standard = "256",
	 .help = "requests of a volume on their way at a time"},
	{.name = "max_inflight_bytes",
	 .parse = conf_parse_size,
	 .value = "SIZE",
	 .least = 1 << 20,
	 .most = 4ull << 30,
	 .standard = "64M",
	 .help = "data of a volume on its way at a time"},
	{.name = "quorum",
	 .parse = conf_parse_choice,
	 .value = "none|majority",
	 .choices = quorum_choices,
	 .standard = "none",
	 .help = "what a mirror needs to be written to: any node that is in sync, or most"},
	{.name = "min_nodes",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .least = 1,
	 .most = 8,
	 .standard = "1",
	 .help = "nodes in sync that a mirror needs to start and to be written to"},
	{.name = "start_wait",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = DAY,
	 .standard = "10s",
	 .help = "how long a mirror waits for absent nodes before it starts without them"},
	{.name = "resync_rate",
	 .parse = conf_parse_size,
	 .value = "SIZE",
	 .most = 1ull << 40,
	 .standard = "0",
	 .help = "bytes a second, at most, to bring a mirror's node up to date; 0: no limit"},
	{NULL},
};

const struct conf_key conf_node_keys[] = {
	{.name = "node",
	 .flags = CONF_REPEAT,
	 .parse = conf_parse_node,
	 .value = "[NAME] URI",
	 .help = "the storage: dst://HOST[:PORT]/EXPORT, file:///PATH, ..."},
	{.name = "map",
	 .parse = conf_parse_string,
	 .value = "linear|stripe|MAP(NODE,...)",
	 .help = "how several nodes make up the volume"},
	{.name = "chunk",
	 .parse = parse_power_of_two,
	 .value = "SIZE",
	 .least = 4 << 10,
	 .most = 1 << 20,
	 .standard = "64K",
	 .help = "bytes that a stripe lays on one node before the next"},
	{.name = "read",
	 .parse = conf_parse_string,
	 .value = "balance|prefer NODE",
	 .standard = "balance",
	 .help = "which node of a mirror is read: the one that answers first, or this one"},
	{NULL},
};

const struct conf_key conf_server_keys[] = {
	{.name = "listen",
	 .flags = CONF_REPEAT,
	 .parse = conf_parse_string,
	 .value = "ADDRESS",
	 .help = "HOST[:PORT], :PORT, unix:/PATH, vsock:CID|*[:PORT] "
		 "(default: 127.0.0.1 and [::1], port 10878)"},
	{.name = "workers",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .least = 1,
	 .most = 64,
	 .standard = "1",
	 .help = "threads that serve clients"},
	{.name = "max_clients",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .least = 1,
	 .most = 65536,
	 .standard = "1024",
	 .help = "connections at a time"},
	{.name = "stop_timeout",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = DAY,
	 .standard = "30s",
	 .help = "longest wait for running requests when dstd stops"},
	{.name = "pidfile",
	 .parse = conf_parse_path,
	 .value = "FILE",
	 .help = "write the process id here when ready (default: none)"},
	{.name = "control",
	 .parse = conf_parse_path,
	 .value = "SOCKET",
	 .most = CONF_SOCKET_MAX,
	 .help = "dstctl's socket (default: one per server, where dstctl looks)"},
	{NULL},
};

const struct conf_key conf_export_keys[] = {
	{.name = "path",
	 .parse = conf_parse_path,
	 .value = "FILE",
	 .help = "the regular file or block device"},
	{.name = "size",
	 .parse = conf_parse_size,
	 .value = "SIZE",
	 .standard = "0",
	 .help = "bytes of it to offer; 0: all"},
	{.name = "read_only",
	 .alias = "ro",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "never write, whatever the rules allow"},
	{.name = "threads",
	 .parse = conf_parse_unsigned,
	 .value = "N",
	 .most = 256,
	 .standard = "0",
	 .help = "threads for what may block; 0: as many as usual (8)"},
	{.name = "shared",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "several clients may write at a time, and see to their order themselves"},
	{.name = "lease",
	 .parse = conf_parse_duration,
	 .value = "TIME",
	 .most = DAY,
	 .standard = "30s",
	 .help = "how long it stays reserved for its writer when that is gone without a word"},
	{.name = "sync",
	 .parse = conf_parse_bool,
	 .standard = "no",
	 .help = "answer writes only when they are durable"},
	{.name = "allow",
	 .flags = CONF_REPEAT,
	 .parse = conf_parse_string,
	 .value = "RULE",
	 .help = "who may use it, first match decides: \"192.0.2.0/24 rw\", "
		 "\"unix uid 1000 ro\", \"vsock cid 3 rw\", \"@/FILE\" "
		 "(no rule: loopback; root and the server's user over unix)"},
	{.name = "deny",
	 .flags = CONF_REPEAT,
	 .parse = conf_parse_string,
	 .value = "RULE",
	 .help = "who may not: like allow, without ro or rw"},
	{NULL},
};

const struct conf_kind conf_kinds[] = {
	{.name = "server", .tables = (conf_tables){conf_server_keys, NULL}},
	{.name = "export",
	 .named = true,
	 .name_most = DST_MAX_NAME,
	 .tables = (conf_tables){conf_export_keys, NULL}},
	{.name = "dstfs", .tables = (conf_tables){conf_mount_keys, conf_volume_keys, NULL}},
	{.name = "volume",
	 .named = true,
	 .name_most = NAME_MAX,
	 .tables = (conf_tables){conf_node_keys, conf_volume_keys, NULL}},
	{NULL},
};

struct conf *conf_read(const char *path, const struct reason *reason)
{
	struct conf *conf = conf_load(path, reason);

	if (conf && conf_check(conf, conf_kinds, reason))
		conf_free(&conf);
	return conf;
}
