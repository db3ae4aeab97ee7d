/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faultproxy.c - a TCP proxy on loopback that treats what it carries as bad networks do.
 *
 *	faultproxy SERVER-PORT [COMMAND]...
 *
 * Prints "listening on 127.0.0.1:PORT". Commands come as arguments, separated by commas, and as
 * lines on stdin, each answered by "done COMMAND" when it is in force. At SIGTERM it prints
 * what it has done, "N connections, N flips, N duplicates, N cuts", and ends.
 *
 *	WAY flip N         one bit in every N bytes; 0: none
 *	WAY duplicate N    16 bytes twice in every N bytes
 *	WAY delay MS       all bytes arrive so much later
 *	WAY rate N         at most N bytes a second, each way of each connection; 0: no limit
 *	WAY stall [N]      the connections of now carry N bytes (0) more, then nothing; what either
 *	                   end sends, its end included, is kept on the way
 *	WAY hold           likewise, at once, and connections to come too
 *	WAY go             what was stalled or held goes on its way
 *	WAY end            this way of the connections of now ends in order, the other one goes on
 *	cut                the connections of now are reset
 *	cut N              each connection is reset when it has carried N bytes; 0: none
 *	refuse | accept    new connections are closed at once, or not
 *
 * WAY: up (to the server), down, or both. N is counted over all connections.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
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
#include <time.h>
#include <unistd.h>

#define MAX_PAIRS 64
#define CHUNK (64u << 10)
#define TWICE 16u /* bytes of a duplicate */
#define MAX_QUEUED 64u /* chunks on a delayed way */
#define MAX_ARGUMENTS 3
#define NEVER UINT64_MAX

/* What arrived together, and when it may leave. */
struct chunk {
	struct chunk *next;
	uint64_t due; /* ms */
	size_t size, sent;
	uint8_t bytes[CHUNK + TWICE];
};

/* How one direction treats bytes, whatever the connection. */
struct faults {
	uint64_t flip, duplicate, delay, rate; /* as the commands give them */
	uint64_t to_flip, to_duplicate; /* bytes until the next one */
	bool hold;
};

/* One way of a connection. */
struct way {
	struct faults *faults;
	struct chunk *first, **last;
	unsigned queued; /* chunks */
	uint64_t left; /* bytes that still pass; NEVER: no stall */
	uint64_t ready; /* ms: when the rate allows more */
	bool ended; /* nothing more comes in */
	bool over; /* and all of it has gone out */
};

struct pair {
	int client, server; /* -1: the slot is free */
	uint64_t carried; /* bytes */
	struct way up, down;
};

static struct pair pairs[MAX_PAIRS];
static struct faults up, down;
static uint64_t cut_after;
static bool refusing;
static uint16_t server_port;
static uint64_t connections, flips, duplicates, cuts;
static volatile sig_atomic_t ending;

static void end(int signal)
{
	ending = 1;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

/* ---- one way ---- */

static void way_init(struct way *way, struct faults *faults)
{
	*way = (struct way){.faults = faults, .left = NEVER};
	way->last = &way->first;
}

static bool stalled(const struct way *way)
{
	return !way->left || way->faults->hold;
}

static void drop_first(struct way *way)
{
	struct chunk *chunk = way->first;

	way->first = chunk->next;
	if (!way->first)
		way->last = &way->first;
	way->queued--;
	free(chunk);
}

static void way_drop(struct way *way)
{
	while (way->first)
		drop_first(way);
	way->ended = way->over = true;
}

static void flip_bits(struct chunk *chunk, struct faults *f)
{
	size_t at = 0;

	while (f->flip && f->to_flip < chunk->size - at) {
		at += f->to_flip;
		chunk->bytes[at] ^= (uint8_t)(1u << (flips++ % 8));
		f->to_flip = f->flip;
	}
	f->to_flip -= f->flip ? chunk->size - at : 0;
}

/* At most once in a chunk: that is all it has room for. */
static void duplicate_bytes(struct chunk *chunk, struct faults *f)
{
	size_t at = f->to_duplicate;

	if (!f->duplicate)
		return;
	if (at + TWICE > chunk->size) {
		f->to_duplicate -= at < chunk->size ? at : chunk->size;
		return;
	}
	memmove(chunk->bytes + at + TWICE, chunk->bytes + at, chunk->size - at);
	chunk->size += TWICE;
	f->to_duplicate = f->duplicate;
	duplicates++;
}

static bool may_receive(const struct way *way)
{
	return !way->ended && way->queued < MAX_QUEUED &&
	       (way->faults->delay || stalled(way) || !way->first);
}

/* False: the connection is broken. */
static bool way_receive(struct way *way, int from)
{
	struct chunk *chunk = malloc(sizeof(*chunk));
	ssize_t n;

	if (!chunk)
		err(1, "memory");
	n = recv(from, chunk->bytes, CHUNK, MSG_DONTWAIT);
	if (n <= 0) {
		int error = errno;

		free(chunk);
		way->ended = n == 0;
		return n == 0 || error == EAGAIN;
	}
	chunk->next = NULL;
	chunk->size = (size_t)n;
	chunk->sent = 0;
	chunk->due = now_ms() + way->faults->delay;
	flip_bits(chunk, way->faults);
	duplicate_bytes(chunk, way->faults);
	*way->last = chunk;
	way->last = &chunk->next;
	way->queued++;
	return true;
}

/* When the way may send what it has; NEVER: not before something else happens. */
static uint64_t send_time(const struct way *way)
{
	if (way->over || stalled(way))
		return NEVER;
	if (!way->first)
		return way->ended ? 0 : NEVER;
	return way->first->due > way->ready ? way->first->due : way->ready;
}

/* Sends what is due; passes the end on when nothing is left before it. False: broken. */
static bool way_send(struct way *way, int to)
{
	struct chunk *chunk = way->first;
	uint64_t rate = way->faults->rate;
	size_t size;
	ssize_t n;

	if (!chunk) {
		way->over = true;
		shutdown(to, SHUT_WR);
		return true;
	}
	size = chunk->size - chunk->sent;
	if (rate && size > rate / 50 + 1)
		size = rate / 50 + 1; /* a fiftieth of a second at a time */
	if (size > way->left)
		size = way->left;
	n = send(to, chunk->bytes + chunk->sent, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN;
	chunk->sent += (size_t)n;
	if (way->left != NEVER)
		way->left -= (uint64_t)n;
	if (rate)
		way->ready = now_ms() + (uint64_t)n * 1000 / rate;
	if (chunk->sent == chunk->size)
		drop_first(way);
	return true;
}

/* ---- connections ---- */

static void pair_close(struct pair *pair, bool reset)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (reset) {
		setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		setsockopt(pair->server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		cuts++;
	}
	way_drop(&pair->up);
	way_drop(&pair->down);
	close(pair->client);
	close(pair->server);
	pair->client = pair->server = -1;
}

static void pair_open(int listener)
{
	struct sockaddr_in address = loopback(server_port);
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC), server, one = 1;
	struct pair *pair;

	if (client < 0)
		return;
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (pair = pairs; pair < pairs + MAX_PAIRS && pair->client >= 0; pair++)
		;
	if (refusing || server < 0 || pair == pairs + MAX_PAIRS ||
	    connect(server, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(server);
		close(client);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*pair = (struct pair){.client = client, .server = server};
	way_init(&pair->up, &up);
	way_init(&pair->down, &down);
	connections++;
}

/* One end is broken. A way that is stalled keeps what it has: those bytes are still in the
 * network. */
static void pair_broken(struct pair *pair)
{
	struct way *const ways[] = {&pair->up, &pair->down};

	if (!stalled(&pair->up) && !stalled(&pair->down)) {
		pair_close(pair, true);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		if (stalled(ways[i]))
			ways[i]->ended = true;
		else
			way_drop(ways[i]);
	}
}

static bool way_move(struct way *way, int from, int to, uint64_t *carried, short from_events,
		     short to_events)
{
	if (from_events && may_receive(way)) {
		if (!way_receive(way, from))
			return false;
		to_events = POLLOUT;
	}
	if (way->over || (way->first && !to_events))
		return true;
	while (send_time(way) <= now_ms()) {
		size_t before = way->first ? way->first->size - way->first->sent : 0;
		struct chunk *chunk = way->first;

		if (!way_send(way, to))
			return false;
		if (way->first == chunk && chunk && chunk->size - chunk->sent == before)
			break;
		*carried += before;
	}
	return true;
}

static void pair_move(struct pair *pair, short client, short server)
{
	if (pair->client < 0)
		return;
	if (!way_move(&pair->up, pair->client, pair->server, &pair->carried, client & ~POLLOUT,
		      server & (POLLOUT | POLLERR | POLLHUP)) ||
	    !way_move(&pair->down, pair->server, pair->client, &pair->carried, server & ~POLLOUT,
		      client & (POLLOUT | POLLERR | POLLHUP)))
		pair_broken(pair);
	else if (cut_after && pair->carried >= cut_after)
		pair_close(pair, true);
	if (pair->client >= 0 && pair->up.over && pair->down.over)
		pair_close(pair, false);
}

/* What a pair waits for. Returns the time at which it wants to be looked at anyhow. */
static uint64_t pair_want(const struct pair *pair, struct pollfd *client, struct pollfd *server)
{
	uint64_t now = now_ms(), up_at = NEVER, down_at = NEVER;

	/* Nothing wanted: not polled at all, for poll() would tell of a hang-up without end. */
	*client = (struct pollfd){.fd = -1};
	*server = (struct pollfd){.fd = -1};
	if (pair->client < 0)
		return NEVER;
	up_at = send_time(&pair->up);
	down_at = send_time(&pair->down);
	client->events = (short)((may_receive(&pair->up) ? POLLIN : 0) |
				 (down_at <= now && pair->down.first ? POLLOUT : 0));
	server->events = (short)((may_receive(&pair->down) ? POLLIN : 0) |
				 (up_at <= now && pair->up.first ? POLLOUT : 0));
	client->fd = client->events ? pair->client : -1;
	server->fd = server->events ? pair->server : -1;
	/* What is due waits for its socket, but an end needs none. */
	if (up_at <= now && pair->up.first)
		up_at = NEVER;
	if (down_at <= now && pair->down.first)
		down_at = NEVER;
	return up_at < down_at ? up_at : down_at;
}

/* ---- commands ---- */

static bool set_fault(struct faults *f, const char *verb, uint64_t n)
{
	if (strcmp(verb, "flip") == 0)
		f->flip = f->to_flip = n;
	else if (strcmp(verb, "duplicate") == 0)
		f->duplicate = f->to_duplicate = n;
	else if (strcmp(verb, "delay") == 0)
		f->delay = n;
	else if (strcmp(verb, "rate") == 0)
		f->rate = n;
	else if (strcmp(verb, "hold") == 0)
		f->hold = true;
	else if (strcmp(verb, "go") == 0)
		f->hold = false;
	else
		return strcmp(verb, "stall") == 0 || strcmp(verb, "end") == 0;
	return true;
}

static void set_way(struct way *way, int from, const char *verb, uint64_t n)
{
	if (strcmp(verb, "stall") == 0)
		way->left = n;
	else if (strcmp(verb, "go") == 0)
		way->left = NEVER;
	else if (strcmp(verb, "end") == 0)
		shutdown(from, SHUT_RD);
}

static bool direction_command(const char *name, const char *verb, uint64_t n)
{
	bool go_up = strcmp(name, "down") != 0, go_down = strcmp(name, "up") != 0;

	if (strcmp(name, "up") != 0 && strcmp(name, "down") != 0 && strcmp(name, "both") != 0)
		return false;
	if ((go_up && !set_fault(&up, verb, n)) || (go_down && !set_fault(&down, verb, n)))
		return false;
	for (struct pair *pair = pairs; pair < pairs + MAX_PAIRS; pair++) {
		if (pair->client >= 0 && go_up)
			set_way(&pair->up, pair->client, verb, n);
		if (pair->client >= 0 && go_down)
			set_way(&pair->down, pair->server, verb, n);
	}
	return true;
}

static bool run_command(const char *text)
{
	char line[80], *word[MAX_ARGUMENTS] = {NULL}, *save = NULL;
	unsigned count = 0;

	if (strlen(text) >= sizeof(line))
		return false;
	strcpy(line, text);
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (count == MAX_ARGUMENTS)
			return false;
		word[count++] = w;
	}
	if (count == 1 && strcmp(word[0], "cut") == 0) {
		for (struct pair *pair = pairs; pair < pairs + MAX_PAIRS; pair++)
			if (pair->client >= 0)
				pair_close(pair, true);
		return true;
	}
	if (count == 2 && strcmp(word[0], "cut") == 0) {
		cut_after = strtoull(word[1], NULL, 0);
		return true;
	}
	if (count == 1) {
		refusing = strcmp(word[0], "refuse") == 0;
		return refusing || strcmp(word[0], "accept") == 0;
	}
	return count > 1 &&
	       direction_command(word[0], word[1], word[2] ? strtoull(word[2], NULL, 0) : 0);
}

/* Reads what is on stdin and runs its whole lines. False: nobody commands any more. */
static bool read_commands(void)
{
	static char text[512];
	static size_t size;
	ssize_t n = read(STDIN_FILENO, text + size, sizeof(text) - 1 - size);
	char *line = text, *next;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	size += (size_t)n;
	text[size] = '\0';
	for (; (next = strchr(line, '\n')); line = next + 1) {
		*next = '\0';
		printf("%s %s\n", run_command(line) ? "done" : "unknown", line);
		fflush(stdout);
	}
	size -= (size_t)(line - text);
	memmove(text, line, size);
	return true;
}

/* ---- the whole ---- */

static int listen_on_loopback(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 64) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		err(1, "listen");
	printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void serve(int listener)
{
	static struct pollfd polled[2 + 2 * MAX_PAIRS];
	uint64_t next = NEVER, now = now_ms();

	polled[0].fd = listener;
	polled[0].events = polled[1].events = POLLIN;
	for (int i = 0; i < MAX_PAIRS; i++) {
		uint64_t at = pair_want(&pairs[i], &polled[2 + 2 * i], &polled[3 + 2 * i]);

		next = at < next ? at : next;
	}
	if (poll(polled, 2 + 2 * MAX_PAIRS,
		 next == NEVER ? -1
		 : next > now  ? (int)(next - now)
			       : 0) < 0)
		return;
	for (int i = 0; i < MAX_PAIRS; i++)
		pair_move(&pairs[i], polled[2 + 2 * i].revents, polled[3 + 2 * i].revents);
	if (polled[1].revents && !read_commands())
		polled[1].fd = -1;
	if (polled[0].revents)
		pair_open(listener);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end};
	char *save = NULL;
	int listener;

	if (argc < 2)
		errx(2, "usage: faultproxy SERVER-PORT [COMMAND[,COMMAND]...]...");
	server_port = (uint16_t)atoi(argv[1]);
	for (int i = 0; i < MAX_PAIRS; i++)
		pairs[i].client = pairs[i].server = -1;
	for (int i = 2; i < argc; i++)
		for (char *c = strtok_r(argv[i], ",", &save); c; c = strtok_r(NULL, ",", &save))
			if (!run_command(c))
				errx(2, "unknown command \"%s\"", c);
	sigaction(SIGTERM, &action, NULL);
	listener = listen_on_loopback();
	while (!ending)
		serve(listener);
	printf("%llu connections, %llu flips, %llu duplicates, %llu cuts\n",
	       (unsigned long long)connections, (unsigned long long)flips,
	       (unsigned long long)duplicates, (unsigned long long)cuts);
	return 0;
}
