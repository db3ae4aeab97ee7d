/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reply.h - does a reply fit the request that it answers? Pure: no I/O, no state. */
#ifndef DSTFS_REPLY_H
#define DSTFS_REPLY_H

#include "common/msgio.h"
#include "dstfs/request.h"
#include "dstfs/txn.h"

/* May the server send this now? txn is what the reply's id names, NULL if nothing. NULL, or what is
 * wrong, for the log. */
const char *reply_check(const struct txn *txn, const struct msgio_in *in);

/*
 * Checks a good reply's length and payload against the request and sets what the request returns:
 * pointers into the payload and, for EXTENTS, into extents[DST_MAX_EXTENTS]. 0 or EPROTO.
 */
int reply_accept(struct request *request, const struct msgio_in *in, struct wire_extent *extents);

/* Can a transaction have run so, as EXECUTED says? txn is NULL if it was given up meanwhile. */
bool reply_executed_fits(const struct txn *txn, const struct wire_executed_one *one);

#endif
