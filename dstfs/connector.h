/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connector.h - one attempt to reach a node. Its hosts are tried in turn; each one's name is looked
 * up, anew each time and off the loop, and its addresses are tried in turn. Hosts, and addresses of
 * a host, get equal shares of the time that is left, so that one that is never answered doesn't keep
 * the others from being tried.
 */
#ifndef DSTFS_CONNECTOR_H
#define DSTFS_CONNECTOR_H

#include "common/loop.h"
#include "common/stream.h"
#include "common/uri.h"

struct connector;

/*
 * The outcome, once, never from inside connector_start(): a stream that is up, the callee's from
 * then on, with the peer's address as text; or NULL with the cause. `host` is the index of the one
 * that answered; of the first one that was tried, if none did. The connector frees itself afterwards.
 */
typedef void connector_fn(void *arg, struct stream *stream, unsigned host, const char *address,
			  const char *reason);

/*
 * uri, not a file's, must stay valid. `first`, modulo the number of hosts, is tried first: who has found
 * that a host accepts connections and then fails passes the next one. The outcome comes within
 * `patience`, nanoseconds. NULL: out of memory.
 */
struct connector *connector_start(struct loop *loop, const struct uri *uri, unsigned first,
				  uint64_t patience, connector_fn *fn, void *arg);
void connector_cancel(struct connector **connector); /* no outcome after this */

#endif
