/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_socket.h - the unix socket under control.h: made where nobody else can reach it, found
 * dead or alive, connected to, removed.
 */
#ifndef COMMON_CONTROL_SOCKET_H
#define COMMON_CONTROL_SOCKET_H

#include "common/control.h"

#include <stddef.h>
#include <sys/types.h>

struct control_socket {
	int fd; /* listening, non-blocking */
	char path[CONTROL_MAX_PATH + 1];
	dev_t device; /* of the socket's file: tells it from one that took its place */
	ino_t inode;
};

/*
 * Makes `path`, or KIND-PID.sock in this user's folder if path is NULL, listens there, and replaces
 * a dead socket of that name. The name appears only when the socket listens already, with mode 0600.
 * 0, or an errno and the cause in reason.
 */
int control_socket_open(struct control_socket *sock, const char *kind, const char *path,
			char *reason, size_t reason_size);

/* Closes it, and removes its file unless another one has taken its place. */
void control_socket_close(struct control_socket *sock);

/*
 * Connects to path, with close-on-exec. timeout: milliseconds to wait where its queue of connections
 * is full; 0: don't wait, and the descriptor is non-blocking. 0 or errno: ECONNREFUSED where the
 * socket's process is dead, EAGAIN where the queue stayed full, ENOTSOCK, ENAMETOOLONG, …
 */
int control_socket_connect(const char *path, int timeout, int *fd);

#endif
