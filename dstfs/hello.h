/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.h - what a lane says in HELLO, and what it takes for an answer (proto.h, section 5). Pure. */
#ifndef DSTFS_HELLO_H
#define DSTFS_HELLO_H

#include "common/msgio.h"
#include "dstfs/lane.h"

#define HELLO_REASON_MAX (DST_MAX_REASON + 1)

/* What lane `index` says in HELLO, which asks about `pending` if that isn't empty; without what its node
 * adds. */
void hello_prepare(struct wire_attrs *attrs, const struct lane_config *config, unsigned index,
		   const struct wire_pending *pending);

/*
 * The answer: 0 if it is whole, and, if it lets us in, believable. A refusal's cause is in reason
 * then. Else an errno, with what is wrong in reason.
 */
int hello_accept(struct wire_attrs *attrs, const struct msgio_in *in,
		 const struct target_policy *policy, char reason[HELLO_REASON_MAX]);

#endif
