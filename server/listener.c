/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listener.c - see listener.h */
#include "server/listener.h"

#include "common/clock.h"
#include "server/lane.h"
#include "server/server.h"
#include "server/worker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 512
#define ACCEPTS_PER_EVENT 32 /* then those who are connected get their turn */
#define RETRY CLOCK_SEC /* after a lack of descriptors or memory */

/* Notice a peer that vanished without a word: after a minute of silence six probes, 10 s apart. */
static void set_keepalive(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 60},
		{IPPROTO_TCP, TCP_KEEPINTVL, 10},
		{IPPROTO_TCP, TCP_KEEPCNT, 6},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			   sizeof(options[i].value));
}

/* Who is it, by the kernel's word. */
static int identify(int fd, struct lane_peer *peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (peer->who.address.address.ss_family != AF_UNIX) {
		stream_address_print(&peer->who.address, peer->text);
		set_keepalive(fd);
		return 0;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size))
		return errno;
	peer->who.uid = cred.uid;
	snprintf(peer->text, sizeof(peer->text), "unix uid %u pid %d", cred.uid, cred.pid);
	return 0;
}

static struct worker *least_loaded(struct server *server)
{
	struct worker *best = server->workers[0];

	for (unsigned i = 1; i < server->worker_count; i++)
		if (atomic_load(&server->workers[i]->lane_count) < atomic_load(&best->lane_count))
			best = server->workers[i];
	return best;
}

static void admit(struct listener *listener, int fd, struct lane_peer *peer)
{
	struct server *server = listener->server;
	int error = identify(fd, peer);

	if (error) {
		log_limited(&listener->error_limit, LOG_LEVEL_WARN, "%s: unknown peer: %s",
			    listener->text, strerror(error));
		close(fd);
		return;
	}
	if (atomic_load(&server->clients) >= server->options->max_clients) {
		atomic_fetch_add(&server->refused, 1);
		log_limited(&listener->full_limit, LOG_LEVEL_WARN,
			    "refused %s: there are %u connections already (max_clients)",
			    peer->text, server->options->max_clients);
		close(fd);
		return;
	}
	counter_add(&server->accepted, 1);
	worker_accept(least_loaded(server), fd, peer);
}

static void on_retry(void *arg)
{
	struct listener *listener = arg;

	loop_fd_want(listener->ready, LOOP_READ);
}

static void on_connection(void *arg, unsigned events)
{
	struct listener *listener = arg;

	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct lane_peer peer = {.who.uid = (uid_t)-1};
		int fd;

		peer.who.address.length = sizeof(peer.who.address.address);
		fd = accept4(listener->fd, (struct sockaddr *)&peer.who.address.address,
			     &peer.who.address.length, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			admit(listener, fd, &peer);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_limited(&listener->error_limit, LOG_LEVEL_ERROR,
				    "%s: can't accept connections for now: %s", listener->text,
				    strerror(errno));
			loop_fd_want(listener->ready, 0);
			loop_timer_set(&listener->retry, RETRY);
			return;
		}
		/* Else it concerns that one connection, which is gone: see accept(2). */
	}
}

static int start(struct listener *listener)
{
	struct loop *loop = listener->server->workers[0]->loop;
	struct loop_address bound = {.length = sizeof(bound.address)};

	if (listen(listener->fd, BACKLOG) ||
	    getsockname(listener->fd, (struct sockaddr *)&bound.address, &bound.length))
		return errno;
	stream_address_print(&bound, listener->text);
	if (loop_timer_init(&listener->retry, loop, on_retry, listener))
		return ENOMEM;
	listener->ready = loop_fd_new(loop, listener->fd, on_connection, listener);
	if (!listener->ready)
		return ENOMEM;
	return loop_fd_want(listener->ready, LOOP_READ);
}

static void listener_free(struct listener *listener)
{
	struct stat st;

	loop_fd_free(&listener->ready);
	loop_timer_destroy(&listener->retry);
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->path && !lstat(listener->path, &st) && st.st_dev == listener->device &&
	    st.st_ino == listener->inode)
		unlink(listener->path);
	free(listener->path);
	free(listener);
}

/* A bound socket to be listened on; on failure it is closed. path: of a unix socket, or NULL. */
static int add(struct server *server, int fd, const char *path)
{
	struct listener *listener = calloc(1, sizeof(*listener)), **link = &server->listeners;
	struct stat st;
	int error;

	if (!listener) {
		close(fd);
		return ENOMEM;
	}
	listener->server = server;
	listener->fd = fd;
	if (path && !lstat(path, &st)) {
		listener->path = strdup(path);
		listener->device = st.st_dev;
		listener->inode = st.st_ino;
	}
	error = start(listener);
	if (error) {
		listener_free(listener);
		return error;
	}
	while (*link)
		link = &(*link)->next;
	*link = listener;
	return 0;
}

/* Binds and listens. 0 or an errno. */
static int open_address(struct server *server, const struct sockaddr *address, socklen_t length,
			const char *path)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, error;

	if (fd < 0)
		return errno;
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, address, length) || (path && chmod(path, 0666))) {
		error = errno;
		close(fd);
		return error;
	}
	return add(server, fd, path);
}

/* Is this failure just the lack of IPv6 on this machine? */
static bool no_ipv6(const struct addrinfo *address, int error)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address->ai_addr;

	return address->ai_family == AF_INET6 &&
	       (error == EAFNOSUPPORT ||
		(error == EADDRNOTAVAIL && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)));
}

static int open_tcp(struct server *server, const struct listen_config *config, char *reason,
		    size_t size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
	char port[8];
	int error;

	snprintf(port, sizeof(port), "%u", config->port);
	error = getaddrinfo(config->host, port, &hints, &list);
	if (error) {
		snprintf(reason, size, "listen %s: %s", config->text,
			 error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return EINVAL;
	}
	for (const struct addrinfo *a = list; a && !error; a = a->ai_next) {
		error = open_address(server, a->ai_addr, a->ai_addrlen, NULL);
		if (no_ipv6(a, error)) {
			log_info("listen %s: this machine has no IPv6", config->text);
			error = 0;
		}
	}
	freeaddrinfo(list);
	if (error)
		snprintf(reason, size, "listen %s: %s", config->text, strerror(error));
	return error;
}

/* Removes a socket file that nobody listens on any more. EADDRINUSE: somebody does. */
static int remove_stale(const struct loop_address *address, const char *path)
{
	struct stat st;
	int fd, error;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST; /* whatever it is, it is not ours to remove */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	error = connect(fd, (const struct sockaddr *)&address->address, address->length) ? errno
											 : 0;
	close(fd);
	if (error != ECONNREFUSED)
		return error && error != EAGAIN ? error : EADDRINUSE;
	return unlink(path) && errno != ENOENT ? errno : 0;
}

static int open_unix(struct server *server, const struct listen_config *config, char *reason,
		     size_t size)
{
	struct loop_address address;
	int error = stream_address_unix(&address, config->path);

	if (!error)
		error = remove_stale(&address, config->path);
	if (!error)
		error = open_address(server, (struct sockaddr *)&address.address, address.length,
				     config->path);
	if (error)
		snprintf(reason, size, "listen %s: %s", config->text, strerror(error));
	return error;
}

static int open_vsock(struct server *server, const struct listen_config *config, char *reason,
		      size_t size)
{
	struct loop_address address;
	int error;

	stream_address_vsock(&address, config->vsock_cid, config->vsock_port);
	error = open_address(server, (struct sockaddr *)&address.address, address.length, NULL);
	if (error)
		snprintf(reason, size, "listen %s: %s%s", config->text, strerror(error),
			 error == EAFNOSUPPORT ? " (is the vsock module loaded?)" : "");
	return error;
}

int listeners_open(struct server *server, const struct listen_config *configs, char *reason,
		   size_t reason_size)
{
	static int (*const open_kind[])(struct server *, const struct listen_config *, char *,
					size_t) = {
		[LISTEN_TCP] = open_tcp,
		[LISTEN_UNIX] = open_unix,
		[LISTEN_VSOCK] = open_vsock,
	};
	int error;

	for (const struct listen_config *c = configs; c; c = c->next) {
		error = open_kind[c->kind](server, c, reason, reason_size);
		if (error)
			return error;
	}
	if (server->listeners)
		return 0;
	snprintf(reason, reason_size, "there is no address to listen on");
	return EADDRNOTAVAIL;
}

void listeners_close(struct server *server)
{
	while (server->listeners) {
		struct listener *listener = server->listeners;

		server->listeners = listener->next;
		listener_free(listener);
	}
}
