/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connector.h - one attempt to reach a node: looks its name up, anew each time and off the loop, then
 * tries its addresses in turn. Each gets its share of the time that is left, so that one that is
 * never answered doesn't keep the others from being tried.
 */
#ifndef DSTFS_CONNECTOR_H
#define DSTFS_CONNECTOR_H

#include "common/loop.h"
#include "common/stream.h"
#include "common/uri.h"

struct connector;

/*
 * The outcome, once, never from inside connector_start(): a stream that is up, the callee's from
 * then on, with the peer's address as text; or NULL with the cause. The connector frees itself
 * afterwards.
 */
typedef void connector_fn(void *arg, struct stream *stream, const char *address,
			  const char *reason);

/* uri, not a file's, must stay valid. The outcome comes within `patience`, nanoseconds. NULL: out of
 * memory. */
struct connector *connector_start(struct loop *loop, const struct uri *uri, uint64_t patience,
				  connector_fn *fn, void *arg);
void connector_cancel(struct connector **connector); /* no outcome after this */

#endif
