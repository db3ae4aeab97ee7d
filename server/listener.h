/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listener.h - sockets that clients connect to: TCP over IPv4 and IPv6, unix, vsock.
 *
 * A unix socket has mode 0666: who may use which export is decided by the export's rules, which know
 * the peer's uid from the kernel. Without rules that is root and the server's own uid.
 */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "common/log.h"
#include "common/loop.h"
#include "common/stream_socket.h"
#include "server/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct server;

struct listener {
	struct listener *next;
	struct server *server;
	int fd;
	struct loop_fd *ready;
	struct loop_timer retry; /* accepts nobody until then: no descriptors, no memory */
	char text[STREAM_ADDRESS_TEXT]; /* the real address, port 0 resolved */
	char *path; /* unix: to be removed, if it still is ours */
	dev_t device;
	ino_t inode;
	struct log_limit full_limit, error_limit;
};

/*
 * Opens the sockets of all configs and listens, in the first worker's loop. Where the machine has no
 * IPv6, its addresses are skipped, as long as anything is left. 0, or an errno with the cause in
 * reason; listeners_close() cleans up.
 */
int listeners_open(struct server *server, const struct listen_config *configs, char *reason,
		   size_t reason_size);
void listeners_close(struct server *server);

#endif
