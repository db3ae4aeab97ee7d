/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - what dstfs was told: command line, -o options and configuration file, parsed and
 * checked, before anything starts. One table per kind of option: name, offset, parser, default,
 * help (see options.c); help, man pages and completion are checked against it.
 */
#ifndef DSTFS_OPTIONS_H
#define DSTFS_OPTIONS_H

#include "dstfs/map_config.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cache_mode {
	CACHE_NONE, /* every open bypasses the page cache */
	CACHE_AUTO, /* buffered opens use it, O_DIRECT opens go straight through */
};

/* What a mirror needs to be written to. */
enum quorum { QUORUM_NONE, QUORUM_MAJORITY };

/* Options of a volume: global defaults on the command line and with -o, its own in [volume]. */
struct volume_options {
	enum cache_mode cache;
	bool read_only;
	bool shared; /* other clients write to the same export */
	bool checksum; /* digests on the wire */
	uint64_t timeout; /* nanoseconds without an answer until a try has failed */
	unsigned resends; /* tries after the first; OPTIONS_FOREVER: no end */
	uint64_t reconnect; /* nanoseconds between attempts to connect, before back-off */
	uint64_t ping; /* nanoseconds of silence until a ping is sent */
	uint64_t ping_timeout; /* nanoseconds without its answer until the connection is given up */
	uint64_t
		retain; /* bytes acknowledged and not flushed that are kept for a replay, per node */
	bool takeover; /* attach by force, the first time */
	uint64_t wait; /* nanoseconds that an open waits for an absent node */
	unsigned max_inflight; /* requests, per volume */
	uint64_t max_inflight_bytes; /* of their data, per volume */
	enum quorum quorum; /* of mirrors, like what follows */
	unsigned min_nodes; /* in sync, for a start */
	uint64_t start_wait; /* nanoseconds that absent nodes are waited for */
	uint64_t resync_rate; /* bytes a second, at most; 0: no limit */
};

#define OPTIONS_FOREVER UINT32_MAX

struct volume_config {
	struct volume_config *next;
	char *name; /* the file's name: 1..255 bytes, no '/', not "." or ".." */
	struct node_config *nodes; /* at least one, in the file's order */
	char *map; /* as typed; NULL: not given */
	struct map_config *tree; /* what that means */
	uint64_t chunk; /* bytes, of stripes: a power of two */
	char *read; /* as typed */
	const struct node_config *prefer; /* that a mirror is read from; NULL: any */
	struct volume_options options;
};

struct dstfs_options {
	char *mountpoint; /* absolute */
	char *source; /* as given, or the config file's path: the default of fsname */
	char *config_file; /* absolute; NULL: a single node URI was given */
	char *fsname;
	char *pidfile; /* absolute, NULL: none */
	char *control; /* control socket's path, NULL: the conventional one */
	bool foreground, debug, verbose;
	bool allow_other;
	bool auto_unmount;
	uid_t uid;
	gid_t gid;
	mode_t mode; /* 0: 0600, or 0400 where read-only */
	uint64_t stop_timeout; /* nanoseconds for the last flush */
	uint64_t busy_poll; /* nanoseconds, see loop_set_busy_poll() */
	unsigned workers;
	char *fuse_options; /* comma-separated mount options that go to the kernel or fusermount3
			       as they are (dev, suid, noatime, …); NULL: none */
	struct volume_config *volumes; /* at least one */
	struct cmdline *given; /* the command line, for options_reload(); options.c's own */
};

enum options_outcome {
	OPTIONS_RUN, /* go on */
	OPTIONS_DONE, /* --help or --version was printed: exit 0 */
	OPTIONS_ERROR, /* one line went to stderr: exit 2 */
};

enum options_outcome options_parse(struct dstfs_options *options, int argc, char **argv);

/*
 * For another program: what the configuration says of volumes; `config_file` NULL: the conventional one. 0,
 * with only config_file and volumes of use, until options_free(); else the cause, one line, in reason.
 */
int options_load(struct dstfs_options *options, const char *config_file, char *reason,
		 size_t reason_size);

/*
 * Parses the config file again (SIGHUP). 0: *volumes is the new list, the caller's; else the cause,
 * with file:line, in reason.
 */
int options_reload(const struct dstfs_options *options, struct volume_config **volumes,
		   char *reason, size_t reason_size);
/*
 * Changes one of the options that may change while the volume runs, as typed. 0, or EINVAL with what
 * is wrong and what would be right in reason; then nothing has changed.
 */
int options_change(struct volume_options *options, const char *name, const char *value,
		   char *reason, size_t reason_size);
void options_free_volumes(struct volume_config **volumes);
void options_free(struct dstfs_options *options);

#endif
