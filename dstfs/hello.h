/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.h - what a lane says in HELLO, and what it takes for an answer (proto.h, section 5). Pure. */
#ifndef DSTFS_HELLO_H
#define DSTFS_HELLO_H

#include "common/msgio.h"
#include "dstfs/lane.h"

#define HELLO_REASON_MAX (DST_MAX_REASON + 1)

/* HELLO's payload for lane `index`, which asks about `pending` if that isn't empty. Returns its
 * bytes. */
uint32_t hello_encode(uint8_t payload[DST_MAX_HELLO], const struct lane_config *config,
		      unsigned index, const struct wire_pending *pending);

/* The answer, whole and believable: 0. Else an errno (EACCES: the server said no), with the cause in
 * reason. */
int hello_accept(struct wire_attrs *attrs, const struct msgio_in *in,
		 const struct target_policy *policy, char reason[HELLO_REASON_MAX]);

#endif
