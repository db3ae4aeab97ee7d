/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * noise.c - connects to a server again and again and sends it what no client would: random bytes,
 * headers with a right magic and the rest random, the beginning of a header, nothing.
 *
 *	noise HOST PORT CONNECTIONS [SEED]
 *
 * Exit status 0: every connection was taken, and each was closed by the server or by us.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/proto.h"

#define MAX_BYTES 512
#define PATIENCE_MS 50 /* for a server that waits for the rest of a message, as it may */

/* xorshift64*: the same connections for the same seed. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static size_t make_noise(uint64_t *state, uint8_t *bytes)
{
	static const uint8_t magic[] = {'D', 'S', 'T', DST_VERSION};
	size_t size = next_random(state) % MAX_BYTES, i;

	for (i = 0; i < size; i++)
		bytes[i] = (uint8_t)(next_random(state) >> 56);
	switch (next_random(state) % 4) {
	case 0: /* a header that is right in its magic, type and flags */
		if (size >= 6) {
			bytes[4] = DST_HELLO;
			bytes[5] = 0;
		}
		/* fall through */
	case 1:
		memcpy(bytes, magic, size < sizeof(magic) ? size : sizeof(magic));
		break;
	default:
		break;
	}
	return size;
}

/* A source address of its own for every few thousand: ports run out otherwise. */
static int connect_from(const struct sockaddr_in *server, unsigned number)
{
	struct sockaddr_in source = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + number / 8192);
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0 ||
	    connect(fd, (const struct sockaddr *)server, sizeof(*server)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void disturb(int fd, uint64_t *state)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	uint8_t bytes[MAX_BYTES], answer[4096];
	size_t size = make_noise(state, bytes);
	int patience = next_random(state) % 64 ? 0 : PATIENCE_MS;

	/* The server may well have closed already: that is its right. */
	if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
		return;
	while (poll(&wait, 1, patience) > 0)
		if (recv(fd, answer, sizeof(answer), 0) <= 0)
			return;
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET};
	uint64_t state = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	unsigned i, count;
	int fd;

	if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || !state)
		errx(2, "usage: noise ADDRESS PORT CONNECTIONS [SEED]");
	server.sin_port = htons((uint16_t)atoi(argv[2]));
	count = (unsigned)strtoul(argv[3], NULL, 0);
	for (i = 0; i < count; i++) {
		fd = connect_from(&server, i);
		if (fd < 0)
			err(1, "connection %u", i);
		disturb(fd, &state);
		close(fd);
	}
	printf("%u connections\n", count);
	return 0;
}
