/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faultproxy.c - a TCP proxy on loopback that spoils what it carries: one bit in every so many
 * bytes, each way, as a bad cable behind TCP's weak checksum would.
 *
 *	faultproxy SERVER-PORT UP DOWN
 *
 * UP and DOWN: bytes from one flipped bit to the next towards the server and from it; 0: none.
 * Prints "listening on 127.0.0.1:PORT"; at SIGTERM it prints how many bits it has flipped, and ends.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PAIRS 64
#define CHUNK (64 << 10)

/* One way of a connection. */
struct way {
	uint8_t bytes[CHUNK];
	size_t size, sent;
	uint64_t *distance; /* to the next flip, shared by all ways of a direction */
	uint64_t every; /* 0: never */
};

struct pair {
	int client, server; /* -1: the slot is free */
	struct way up, down;
};

static struct pair pairs[MAX_PAIRS];
static volatile sig_atomic_t ending;
static uint64_t flips;

static void end(int signal)
{
	ending = 1;
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void pair_close(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	pair->client = pair->server = -1;
}

static void pair_open(int listener, uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), server, one = 1;
	struct pair *pair;

	if (client < 0)
		return;
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (pair = pairs; pair < pairs + MAX_PAIRS && pair->client >= 0; pair++)
		;
	if (server < 0 || pair == pairs + MAX_PAIRS ||
	    connect(server, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(server);
		close(client);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pair->client = client;
	pair->server = server;
	pair->up.size = pair->up.sent = pair->down.size = pair->down.sent = 0;
}

static void spoil(struct way *way)
{
	size_t at = 0;

	if (!way->every)
		return;
	while (*way->distance < way->size - at) {
		at += *way->distance;
		way->bytes[at] ^= (uint8_t)(1u << (flips % 8));
		flips++;
		*way->distance = way->every;
	}
	*way->distance -= way->size - at;
}

/* Moves what can be moved without waiting. False: the connection is over. */
static bool way_move(struct way *way, int from, int to, short from_events, short to_events)
{
	ssize_t n;

	if (way->sent == way->size && from_events) {
		n = recv(from, way->bytes, sizeof(way->bytes), MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		way->size = (size_t)n;
		way->sent = 0;
		spoil(way);
		to_events = POLLOUT;
	}
	if (way->sent < way->size && to_events) {
		n = send(to, way->bytes + way->sent, way->size - way->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN;
		way->sent += (size_t)n;
	}
	return true;
}

/* An idle way waits for its source, a full one for its sink. */
static void pair_want(const struct pair *pair, struct pollfd *client, struct pollfd *server)
{
	bool up = pair->up.sent < pair->up.size, down = pair->down.sent < pair->down.size;

	*client = (struct pollfd){.fd = pair->client};
	*server = (struct pollfd){.fd = pair->server};
	client->events = (short)((up ? 0 : POLLIN) | (down ? POLLOUT : 0));
	server->events = (short)((down ? 0 : POLLIN) | (up ? POLLOUT : 0));
}

static void pair_move(struct pair *pair, short client, short server)
{
	if (pair->client < 0 || (!client && !server))
		return;
	if (!way_move(&pair->up, pair->client, pair->server, client & ~POLLOUT, server & POLLOUT) ||
	    !way_move(&pair->down, pair->server, pair->client, server & ~POLLOUT, client & POLLOUT))
		pair_close(pair);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		err(1, "listen");
	printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	static struct pollfd polled[1 + 2 * MAX_PAIRS];
	struct sigaction action = {.sa_handler = end};
	uint64_t up, down, up_distance, down_distance;
	int i;

	if (argc != 4)
		errx(2, "usage: faultproxy SERVER-PORT UP DOWN");
	up_distance = up = strtoull(argv[2], NULL, 0);
	down_distance = down = strtoull(argv[3], NULL, 0);
	for (i = 0; i < MAX_PAIRS; i++) {
		pairs[i].client = pairs[i].server = -1;
		pairs[i].up.every = up;
		pairs[i].up.distance = &up_distance;
		pairs[i].down.every = down;
		pairs[i].down.distance = &down_distance;
	}
	sigaction(SIGTERM, &action, NULL);
	polled[0] = (struct pollfd){.fd = listen_on_loopback(), .events = POLLIN};
	while (!ending) {
		for (i = 0; i < MAX_PAIRS; i++)
			pair_want(&pairs[i], &polled[1 + 2 * i], &polled[2 + 2 * i]);
		if (poll(polled, 1 + 2 * MAX_PAIRS, -1) < 0)
			continue;
		for (i = 0; i < MAX_PAIRS; i++)
			pair_move(&pairs[i], polled[1 + 2 * i].revents, polled[2 + 2 * i].revents);
		if (polled[0].revents)
			pair_open(polled[0].fd, (uint16_t)atoi(argv[1]));
	}
	printf("%llu flips\n", (unsigned long long)flips);
	return 0;
}
