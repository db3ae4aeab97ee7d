/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stream_socket.h - streams over TCP, unix and vsock sockets, and the addresses they come from. */
#ifndef COMMON_STREAM_SOCKET_H
#define COMMON_STREAM_SOCKET_H

#include "common/loop.h"
#include "common/stream.h"

#include <stddef.h>

#define STREAM_ADDRESS_TEXT 128 /* bytes that hold any printed address */

/*
 * Starts to connect; `connected` tells the outcome, from the loop, never from inside this call.
 * NULL: errno tells why not even that could be done.
 */
struct stream *stream_socket_connect(struct loop *loop, const struct loop_address *address,
				     const struct stream_events *events, void *arg);

/*
 * Takes over fd, a connected socket, also on failure (NULL: errno). Makes it non-blocking. A TCP peer
 * that neither closes nor acknowledges any more is taken as gone after STREAM_ACCEPTED_TIMEOUT_S,
 * also while nothing is sent to it: then the kernel asks it now and then.
 */
#define STREAM_ACCEPTED_TIMEOUT_S 60u
#define STREAM_KEEPALIVE_IDLE_S 20
#define STREAM_KEEPALIVE_INTERVAL_S 10
struct stream *stream_socket_accept(struct loop *loop, int fd, const struct stream_events *events,
				    void *arg);

/* The address of a unix socket; 0 or ENAMETOOLONG. */
int stream_address_unix(struct loop_address *address, const char *path);
void stream_address_vsock(struct loop_address *address, uint32_t cid, uint32_t port);

/* "192.0.2.1:10878", "[2001:db8::1]:10878", "unix:/path", "vsock:3:10878". Returns text. */
const char *stream_address_print(const struct loop_address *address,
				 char text[STREAM_ADDRESS_TEXT]);

#endif
