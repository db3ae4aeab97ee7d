/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listen_address.h - where to listen, as text:
 *
 *   HOST, HOST:PORT            TCP; an IPv6 address stands in brackets: [::1]:10878
 *   *, *:PORT, :PORT           TCP, all addresses of this machine; PORT 0 is any free one
 *   unix:/PATH                 a unix socket
 *   vsock:CID, vsock:CID:PORT  vsock; "*" as CID: whatever this machine's is
 */
#ifndef SERVER_LISTEN_ADDRESS_H
#define SERVER_LISTEN_ADDRESS_H

#include "common/text.h"
#include "server/options.h"

/* Parses and appends; one that's in the list already is refused. 0, or EINVAL or ENOMEM with the
 * cause in reason. */
int listen_add(struct listen_config **listens, const char *text, const struct reason *reason);

/* The default: this machine only. */
int listen_locally(struct listen_config **listens, const struct reason *reason);

void listen_free(struct listen_config **listens);

#endif
