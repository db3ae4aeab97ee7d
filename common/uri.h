/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uri.h - node URIs, parsed and printed.
 *
 *   dst://host[:port][,host[:port]...]/export TCP; an IPv6 address stands in brackets. Several
 *                                             hosts are ways to one and the same server
 *   dst+unix:///export?socket=/path           a unix socket
 *   dst+vsock://CID[:port]/export             vsock
 *   file:///path                              a file or block device of this machine
 *
 * Per cent escapes (RFC 3986, section 2.1) work in export names and paths, which are UTF-8 without
 * control characters; '?', '#' and '%' themselves must be escaped in them. Schemes may be in upper
 * case. There is no user, no query but the socket's, and no fragment.
 */
#ifndef COMMON_URI_H
#define COMMON_URI_H

#include "common/proto.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum uri_kind { URI_TCP, URI_UNIX, URI_VSOCK, URI_FILE };

#define URI_HOST_MAX 255
#define URI_HOSTS_MAX 8
#define URI_TEXT_MAX (3 * (PATH_MAX + DST_MAX_NAME) + URI_HOSTS_MAX * (URI_HOST_MAX + 16) + 64)

struct uri_host {
	char name[URI_HOST_MAX + 1]; /* or address, without brackets */
	uint32_t port; /* DST_PORT if none was given */
};

struct uri {
	enum uri_kind kind;
	unsigned host_count; /* TCP: at least 1; else 0 */
	struct uri_host hosts[URI_HOSTS_MAX];
	uint32_t cid; /* vsock */
	uint32_t port; /* vsock; DST_PORT if none was given */
	char path[PATH_MAX]; /* file: its path; unix: the socket's. Absolute */
	char export_name[DST_MAX_NAME + 1]; /* all but file */
};

/* Does text begin like a node URI of ours (a known scheme and "://")? */
bool uri_looks_like(const char *text);

/* 0 or EINVAL, with the cause, one line, in reason. */
int uri_parse(struct uri *uri, const char *text, char *reason, size_t reason_size);

/*
 * The parts, also for addresses to listen on: text[0..size) is "HOST[:PORT]", or "CID[:PORT]" of a
 * vsock. An IPv6 address stands in brackets, which *host doesn't get. Without a port it's DST_PORT.
 * An empty host is taken as such. 0 or EINVAL, cause in reason.
 */
int uri_parse_host(char host[URI_HOST_MAX + 1], uint32_t *port, const char *text, size_t size,
		   char *reason, size_t reason_size);
int uri_parse_port(uint32_t *port, uint32_t most, const char *text, size_t size, char *reason,
		   size_t reason_size);
int uri_parse_vsock(uint32_t *cid, uint32_t *port, const char *text, size_t size, char *reason,
		    size_t reason_size);

/* The URI as text that parses to the same URI. Returns text. */
const char *uri_print(const struct uri *uri, char text[URI_TEXT_MAX]);

/* The last part of the export's name or path: what a volume is called if nobody names it. A
 * pointer into *uri. Never empty, "." or "..": such URIs don't parse. */
const char *uri_basename(const struct uri *uri);

#endif
