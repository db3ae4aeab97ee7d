/* SPDX-License-Identifier: GPL-2.0-or-later */
/* caller.h - what can be told of the process behind a FUSE request. */
#ifndef DSTFS_CALLER_H
#define DSTFS_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Is the thread about to be killed, or on its way out? FUSE_INTERRUPT doesn't tell a fatal signal
 * from one that the program handles, and isn't sent at all for what the kernel does in the
 * background; /proc tells: every fatal signal becomes a pending SIGKILL (complete_signal() in
 * kernel/signal.c), and who has begun to exit has PF_EXITING. Reads /proc: for rare moments only.
 *
 * False for a thread that can't be found. It may be 0, which is the kernel's own write-back or a
 * caller in another pid namespace; another user's, hidden by /proc's hidepid; or one that left its
 * asynchronous request to others, as loop devices' and io_uring's threads do when idle. A thread
 * that waits for its request is never gone.
 */
bool caller_is_dying(pid_t thread);

#endif
