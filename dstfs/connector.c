/* SPDX-License-Identifier: GPL-2.0-or-later */
/* connector.c - see connector.h */
#include "dstfs/connector.h"

#include "common/clock.h"
#include "common/stream_socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_MAX (URI_HOST_MAX + 256)

struct connector {
	struct loop *loop;
	const struct uri *uri;
	connector_fn *fn;
	void *arg;
	struct loop_timer timer; /* the end of this step: the look-up, or one address */
	uint64_t deadline; /* clock_now() of the end of all */
	struct loop_resolve *resolve;
	struct loop_hook start_hook; /* unix and vsock: begins outside connector_start() */
	struct stream *stream;
	struct loop_address addresses[LOOP_MAX_ADDRESSES];
	unsigned count, current;
	char text[STREAM_ADDRESS_TEXT]; /* the current address */
	char reason[REASON_MAX];
};

static void connector_free(struct connector *c)
{
	loop_timer_destroy(&c->timer);
	loop_resolve_cancel(&c->resolve);
	loop_defer_cancel(&c->start_hook);
	stream_close(&c->stream);
	free(c);
}

static void finish(struct connector *c, struct stream *stream)
{
	c->stream = NULL;
	c->fn(c->arg, stream, c->text, c->reason);
	connector_free(c);
}

/* What each of `steps` may take, so that all end by the deadline; nanoseconds. */
static uint64_t share(const struct connector *c, unsigned steps)
{
	uint64_t now = clock_now();

	return now < c->deadline ? (c->deadline - now) / steps : 0;
}

static const struct stream_events connecting_events;

/* Starts on the current address, or the first after it that lets itself be tried. */
static void try_addresses(struct connector *c)
{
	for (; c->current < c->count; c->current++) {
		const struct loop_address *address = &c->addresses[c->current];

		stream_address_print(address, c->text);
		c->stream = stream_socket_connect(c->loop, address, &connecting_events, c);
		if (c->stream) {
			loop_timer_set(&c->timer, share(c, c->count - c->current));
			return;
		}
		snprintf(c->reason, sizeof(c->reason), "%s: %s", c->text, strerror(errno));
	}
	finish(c, NULL);
}

static void address_failed(struct connector *c, const char *why)
{
	snprintf(c->reason, sizeof(c->reason), "%s: %s", c->text, why);
	stream_close(&c->stream);
	c->current++;
	try_addresses(c);
}

static void on_connected(void *arg, int error)
{
	struct connector *c = arg;

	if (error)
		address_failed(c, strerror(error));
	else
		finish(c, c->stream);
}

static void on_timeout(void *arg)
{
	struct connector *c = arg;

	if (c->stream) {
		address_failed(c, "no connection in time");
		return;
	}
	snprintf(c->reason, sizeof(c->reason), "looking up %s: no answer in time", c->uri->host);
	finish(c, NULL);
}

static const struct stream_events connecting_events = {.connected = on_connected};

static void on_resolved(void *arg, int error, const struct loop_address *addresses, unsigned count)
{
	struct connector *c = arg;

	c->resolve = NULL;
	if (error) {
		snprintf(c->reason, sizeof(c->reason), "looking up %s: %s", c->uri->host,
			 gai_strerror(error));
		finish(c, NULL);
		return;
	}
	memcpy(c->addresses, addresses, count * sizeof(*addresses));
	c->count = count;
	try_addresses(c);
}

static void on_start(void *arg)
{
	struct connector *c = arg;
	int error = 0;

	switch (c->uri->kind) {
	case URI_TCP:
		c->resolve =
			loop_resolve(c->loop, c->uri->host, (uint16_t)c->uri->port, on_resolved, c);
		if (c->resolve) {
			loop_timer_set(&c->timer, share(c, 1));
			return;
		}
		error = errno;
		break;
	case URI_UNIX:
		error = stream_address_unix(&c->addresses[0], c->uri->path);
		break;
	case URI_VSOCK:
		stream_address_vsock(&c->addresses[0], c->uri->cid, c->uri->port);
		break;
	case URI_FILE:
		error = EINVAL; /* files are the local target's */
		break;
	}
	if (error)
		snprintf(c->reason, sizeof(c->reason), "%s", strerror(error));
	c->count = !error;
	try_addresses(c);
}

struct connector *connector_start(struct loop *loop, const struct uri *uri, uint64_t patience,
				  connector_fn *fn, void *arg)
{
	struct connector *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (loop_timer_init(&c->timer, loop, on_timeout, c)) {
		free(c);
		return NULL;
	}
	c->loop = loop;
	c->uri = uri;
	c->deadline = clock_now() + patience;
	c->fn = fn;
	c->arg = arg;
	c->start_hook = (struct loop_hook){.callback = on_start, .arg = c};
	loop_defer(loop, &c->start_hook);
	return c;
}

void connector_cancel(struct connector **connector)
{
	if (*connector)
		connector_free(*connector);
	*connector = NULL;
}
