/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.h - what can be told of the process behind a FUSE request. */
#ifndef DSTFS_CALLER_H
#define DSTFS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Is the thread about to be killed, on its way out, or gone? FUSE_INTERRUPT doesn't tell a fatal
 * signal from one that the program handles, and isn't sent at all for what the kernel does in the
 * background; /proc tells: every fatal signal becomes a pending SIGKILL (complete_signal() in
 * kernel/signal.c), and who has begun to exit has PF_EXITING. Reads /proc: for rare moments only.
 */
bool caller_is_dying(pid_t thread);

#endif
