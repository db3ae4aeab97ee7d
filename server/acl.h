/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * acl.h - who may use an export, and how: rules in order, the first that matches decides; none
 * matches: denied.
 *
 *   allow = 192.0.2.0/24 rw        a network (IPv4 or IPv6), or one address
 *   allow = unix uid 1000 ro       a user over the unix socket; "unix uid *": any user
 *   allow = vsock cid 3 rw         a virtual machine; "vsock cid *": any
 *   deny  = 192.0.2.7              likewise, without rw or ro
 *   allow = @/path/of/rules        a file of such rules, one "allow …" or "deny …" (without "=") a line
 *
 * No rule at all: loopback addresses and, over the unix socket, root and the server's own uid, rw.
 */
#ifndef SERVER_ACL_H
#define SERVER_ACL_H

#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct acl_rule;

/* Who asks: filled by the listener from the kernel's word, never from the peer's. */
struct acl_peer {
	struct loop_address address;
	uid_t uid; /* unix sockets: SO_PEERCRED */
};

/*
 * Parses one rule ("192.0.2.0/24 rw") and appends it, or a file's rules, to *rules. `allow` is
 * false for a deny rule. 0 or EINVAL, cause (with the file's line for @) in reason.
 */
int acl_parse(struct acl_rule **rules, bool allow, const char *text, char *reason,
	      size_t reason_size);
void acl_free(struct acl_rule **rules);

/* DST_PERM_* that the peer gets: 0, READ, or READ | WRITE. */
uint32_t acl_check(const struct acl_rule *rules, const struct acl_peer *peer);

#endif
