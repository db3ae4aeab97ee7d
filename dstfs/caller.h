/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.h - what can be told of the process behind a FUSE request. */
#ifndef DSTFS_CALLER_H
#define DSTFS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Is the thread about to be killed, or gone? FUSE_INTERRUPT doesn't tell a fatal signal from one that
 * the program handles; /proc does: the kernel turns every fatal signal into a pending SIGKILL
 * (kernel/signal.c, complete_signal()). Reads /proc, so for rare moments only.
 */
bool caller_is_dying(pid_t thread);

#endif
