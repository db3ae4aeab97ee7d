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

#define REASON_MAX (DST_MAX_REASON + 1) /* bytes */

struct connector {
	struct loop *loop;
	const struct uri *uri;
	connector_fn *fn;
	void *arg;
	unsigned hosts, first, tried; /* how many, which one is first, how many are done with */
	struct loop_timer timer; /* the end of this step: the look-up, or one address */
	uint64_t deadline; /* clock_now() of the end of all */
	uint64_t host_deadline; /* of the current host's time */
	struct loop_resolve *resolve;
	struct loop_hook start_hook; /* begins outside connector_start() */
	struct stream *stream;
	struct loop_address addresses[LOOP_MAX_ADDRESSES];
	unsigned count, current;
	char text[STREAM_ADDRESS_TEXT]; /* the current address */
	char reason[REASON_MAX]; /* what each host has failed with */
};

static void connector_free(struct connector *c)
{
	loop_timer_destroy(&c->timer);
	loop_resolve_cancel(&c->resolve);
	loop_defer_cancel(&c->start_hook);
	stream_close(&c->stream);
	free(c);
}

/* The index of the current host. */
static unsigned current_host(const struct connector *c)
{
	return (c->first + c->tried) % c->hosts;
}

static void finish(struct connector *c, struct stream *stream)
{
	c->stream = NULL;
	c->fn(c->arg, stream, current_host(c), c->text, c->reason);
	connector_free(c);
}

/* What each of `steps` may take, so that all end by the deadline; nanoseconds. */
static uint64_t share(uint64_t deadline, unsigned steps)
{
	uint64_t now = clock_now();

	return now < deadline ? (deadline - now) / steps : 0;
}

static void try_host(struct connector *c);

/* The current host is done with. `what` may be NULL. */
static void host_failed(struct connector *c, const char *what, const char *why)
{
	size_t used = strlen(c->reason);

	snprintf(c->reason + used, sizeof(c->reason) - used, "%s%s%s%s", used ? "; " : "",
		 what ? what : "", what ? ": " : "", why);
	if (++c->tried < c->hosts)
		try_host(c);
	else
		finish(c, NULL);
}

static const struct stream_events connecting_events;

/* Starts on the current address, or the first after it that lets itself be tried. */
static void try_addresses(struct connector *c, const char *why)
{
	for (; c->current < c->count; c->current++) {
		const struct loop_address *address = &c->addresses[c->current];

		stream_address_print(address, c->text);
		c->stream = stream_socket_connect(c->loop, address, &connecting_events, c);
		if (c->stream) {
			loop_timer_set(&c->timer, share(c->host_deadline, c->count - c->current));
			return;
		}
		why = strerror(errno);
	}
	host_failed(c, c->text, why); /* the last of its addresses */
}

static void address_failed(struct connector *c, const char *why)
{
	stream_close(&c->stream);
	c->current++;
	try_addresses(c, why);
}

static void on_connected(void *arg, int error)
{
	struct connector *c = arg;

	if (error)
		address_failed(c, strerror(error));
	else
		finish(c, c->stream);
}

static void look_up_failed(struct connector *c, const char *why)
{
	char what[URI_HOST_MAX + 32];

	snprintf(what, sizeof(what), "looking up %s", c->uri->hosts[current_host(c)].name);
	host_failed(c, what, why);
}

static void on_timeout(void *arg)
{
	struct connector *c = arg;

	if (c->stream) {
		address_failed(c, "no connection in time");
		return;
	}
	loop_resolve_cancel(&c->resolve);
	look_up_failed(c, "no answer in time");
}

static const struct stream_events connecting_events = {.connected = on_connected};

static void on_resolved(void *arg, int error, const struct loop_address *addresses, unsigned count)
{
	struct connector *c = arg;

	c->resolve = NULL;
	if (error) {
		look_up_failed(c, gai_strerror(error));
		return;
	}
	memcpy(c->addresses, addresses, count * sizeof(*addresses));
	c->count = count;
	try_addresses(c, "");
}

static int look_up(struct connector *c)
{
	const struct uri_host *host = &c->uri->hosts[current_host(c)];

	c->resolve = loop_resolve(c->loop, host->name, (uint16_t)host->port, on_resolved, c);
	if (!c->resolve)
		return errno;
	loop_timer_set(&c->timer, share(c->host_deadline, 1));
	return 0;
}

static void try_host(struct connector *c)
{
	int error = 0;

	c->host_deadline = clock_now() + share(c->deadline, c->hosts - c->tried);
	c->current = 0;
	c->count = 1;
	switch (c->uri->kind) {
	case URI_TCP:
		error = look_up(c);
		if (!error)
			return;
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
		host_failed(c, NULL, strerror(error));
	else
		try_addresses(c, "");
}

static void on_start(void *arg)
{
	try_host(arg);
}

struct connector *connector_start(struct loop *loop, const struct uri *uri, unsigned first,
				  uint64_t patience, connector_fn *fn, void *arg)
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
	c->hosts = uri->host_count ? uri->host_count : 1;
	c->first = first % c->hosts;
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
