/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listen_address.c - see listen_address.h */
#include "server/listen_address.h"

#include "common/conf_tables.h"
#include "common/uri.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(const struct reason *reason)
{
	text_refuse(reason, "out of memory");
	return ENOMEM;
}

void listen_free(struct listen_config **listens)
{
	struct listen_config *listen;

	while ((listen = *listens)) {
		*listens = listen->next;
		free(listen->host);
		free(listen->path);
		free(listen->text);
		free(listen);
	}
}

/* "HOST", "HOST:PORT", "[::1]:PORT", "*:PORT", ":PORT", "*"; port 0 is any free one, and the line
 * that tells that dstd listens tells which. A URI has no use for it: uri.h refuses it. */
static int parse_tcp(struct listen_config *listen, const char *text, const struct reason *reason)
{
	char host[URI_HOST_MAX + 1];
	uint32_t port;
	size_t star = *text == '*', size = strlen(text + star);
	bool any_port = size >= 2 && !strcmp(text + star + size - 2, ":0");

	listen->kind = LISTEN_TCP;
	if (star && text[1] && text[1] != ':')
		return text_refuse(reason, "only :PORT may follow '*'");
	if (uri_parse_host(host, &port, text + star, any_port ? size - 2 : size, reason->text,
			   reason->size))
		return EINVAL;
	listen->port = any_port ? 0 : (uint16_t)port;
	listen->host = *host ? strdup(host) : NULL;
	return *host && !listen->host ? out_of_memory(reason) : 0;
}

static int parse_unix(struct listen_config *listen, const char *path, const struct reason *reason)
{
	listen->kind = LISTEN_UNIX;
	if (*path != '/')
		return text_refuse(reason, "the socket's path must start with /; write unix:/PATH");
	if (strlen(path) > CONF_SOCKET_MAX)
		return text_refuse(reason, "the socket's path is too long; at most %u bytes fit",
				   CONF_SOCKET_MAX);
	listen->path = strdup(path);
	return listen->path ? 0 : out_of_memory(reason);
}

static int parse_vsock(struct listen_config *listen, const char *text, const struct reason *reason)
{
	bool any = *text == '*';

	listen->kind = LISTEN_VSOCK;
	if (any && text[1] && text[1] != ':')
		return text_refuse(reason, "only :PORT may follow '*'");
	if (!any)
		return uri_parse_vsock(&listen->vsock_cid, &listen->vsock_port, text, strlen(text),
				       reason->text, reason->size);
	listen->vsock_cid = VMADDR_CID_ANY;
	listen->vsock_port = DST_PORT;
	return text[1] ? uri_parse_port(&listen->vsock_port, UINT32_MAX - 1, text + 2,
					strlen(text + 2), reason->text, reason->size)
		       : 0;
}

int listen_add(struct listen_config **listens, const char *text, const struct reason *reason)
{
	struct listen_config *listen;
	int error;

	for (; *listens; listens = &(*listens)->next)
		if (!strcmp((*listens)->text, text))
			return text_refuse(reason, "%.200s is listened to already; give it once",
					   text);
	listen = calloc(1, sizeof(*listen));
	if (!listen)
		return out_of_memory(reason);
	if (!*text)
		error = text_refuse(reason, "the address is missing; write HOST:PORT");
	else if (!strncmp(text, "unix:", 5))
		error = parse_unix(listen, text + 5, reason);
	else if (!strncmp(text, "vsock:", 6))
		error = parse_vsock(listen, text + 6, reason);
	else
		error = parse_tcp(listen, text, reason);
	listen->text = strdup(text);
	if (!error && !listen->text)
		error = out_of_memory(reason);
	if (error)
		listen_free(&listen);
	else
		*listens = listen;
	return error;
}

int listen_locally(struct listen_config **listens, const struct reason *reason)
{
	int error = listen_add(listens, "127.0.0.1", reason);

	return error ? error : listen_add(listens, "[::1]", reason);
}
