/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.c - see net.h. Replaces stream_socket.h.
 *
 * A connection has two ends and two pipes. A pipe is a row of bytes: [taken, arrived) can be read at
 * its end, [arrived, filled) is on its way, cut into segments that arrive one after the other.
 */
#include "test/sim/net.h"

#include "common/stream_socket.h"
#include "test/sim/loop.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 4096u
#define SEGMENTS 256u /* on their way in a pipe */
#define STALL_MOST (20 * SEC)
#define KEEPALIVE (20 * SEC)

struct segment {
	size_t size;
	uint64_t sent, arrives;
	bool end; /* the sender has closed; the last one */
};

struct pipe {
	struct connection *connection;
	unsigned side; /* of the connection that reads it */
	uint8_t *bytes;
	size_t room, taken, arrived, filled;
	struct segment segments[SEGMENTS];
	unsigned first, count;
	struct sim_event arrival; /* of the first segment */
	bool ended; /* the end has arrived */
	bool closed; /* no more may be written */
	unsigned armed; /* bits 1 << enum net_fault that wait for bytes */
};

struct end {
	struct stream base;
	struct connection *connection;
	unsigned side;
	enum sim_host host;
	struct loop *loop;
	bool alive; /* the machine has it, perhaps not yet the program */
	bool open; /* the program has it */
	bool connecting;
	bool gone; /* the machine knows nothing of it any more */
	int error; /* the connection broke */
	bool want_read, want_write;
	struct ready readable, writable, connected;
	struct sim_event reset; /* breaks it */
	uint64_t ack_timeout; /* NEVER: none */
	struct sim_event unacked;
	struct sim_event keepalive; /* the server's: it asks who is silent whether it is there */
};

struct connection {
	int number;
	bool used;
	struct end ends[2]; /* 0: the client's, 1: the server's */
	struct pipe pipes[2]; /* by the reading side */
	struct sim_event arrival; /* of the attempt at the server, and of its answer */
	bool answered; /* the server's machine has answered it */
	bool standby; /* the attempt goes to another address of it, where nobody listens */
	int outcome;
};

static struct net_config config;
static struct connection *connections[CONNECTIONS];
static unsigned connection_count; /* of this schedule */
static uint64_t blocked_until[HOSTS][HOSTS];
static bool powered[HOSTS];
static void (*accepted_fns[HOSTS])(enum sim_host host, int fd);

static void update(struct end *end);

/* ---- time on the way ---- */

static uint64_t travel(void)
{
	return config.latency + (config.jitter ? sim_random(config.jitter) : 0);
}

/* When something that leaves now arrives. */
static uint64_t arrival_time(enum sim_host from, enum sim_host to)
{
	uint64_t leaves = sim.now;

	if (blocked_until[from][to] > leaves)
		leaves =
			blocked_until[from][to] + sim_random(200 * MS); /* when it is tried again */
	return leaves + travel();
}

/* ---- pipes ---- */

static struct end *writer_of(struct pipe *pipe)
{
	return &pipe->connection->ends[!pipe->side];
}

static struct end *reader_of(struct pipe *pipe)
{
	return &pipe->connection->ends[pipe->side];
}

static struct segment *segment_at(struct pipe *pipe, unsigned i)
{
	return &pipe->segments[(pipe->first + i) % SEGMENTS];
}

static void set_arrival(struct pipe *pipe)
{
	uint64_t at;

	if (!pipe->count)
		return;
	at = segment_at(pipe, 0)->arrives;
	sim_event_set(&pipe->arrival, at > sim.now ? at - sim.now : 0);
}

static void reserve(struct pipe *pipe, size_t more)
{
	if (pipe->taken == pipe->filled)
		pipe->taken = pipe->arrived = pipe->filled = 0;
	if (pipe->filled + more <= pipe->room)
		return;
	if (pipe->taken) {
		memmove(pipe->bytes, pipe->bytes + pipe->taken, pipe->filled - pipe->taken);
		pipe->filled -= pipe->taken;
		pipe->arrived -= pipe->taken;
		pipe->taken = 0;
	}
	if (pipe->filled + more <= pipe->room)
		return;
	pipe->room = 2 * (pipe->filled + more);
	pipe->bytes = realloc(pipe->bytes, pipe->room);
	if (!pipe->bytes)
		abort();
}

static void add_segment(struct pipe *pipe, size_t size, bool end)
{
	uint64_t arrives = arrival_time(writer_of(pipe)->host, reader_of(pipe)->host);
	struct segment *last = pipe->count ? segment_at(pipe, pipe->count - 1) : NULL;

	if (last && arrives < last->arrives)
		arrives = last->arrives;
	if (pipe->armed & 1u << NET_STALL) {
		pipe->armed &= ~(1u << NET_STALL);
		sim_count(COUNT_STALLS);
		arrives += sim_between(10 * MS, STALL_MOST);
		sim_trace("connection %d: stalled", pipe->connection->number);
	}
	if (pipe->count == SEGMENTS) { /* full: the last one grows */
		last->size += size;
		last->end |= end;
		last->arrives = arrives;
	} else {
		*segment_at(pipe, pipe->count++) = (struct segment){
			.size = size, .sent = sim.now, .arrives = arrives, .end = end};
	}
	if (pipe->count == 1)
		set_arrival(pipe);
	if (pipe->count == 1 && writer_of(pipe)->ack_timeout != NEVER)
		sim_event_set(&writer_of(pipe)->unacked, writer_of(pipe)->ack_timeout);
}

static size_t window_left(const struct pipe *pipe)
{
	size_t used = pipe->filled - pipe->taken;

	return used < config.window && pipe->count < SEGMENTS ? config.window - used : 0;
}

/* ---- damage ---- */

static void corrupt(struct pipe *pipe, const struct segment *segment)
{
	uint8_t *at = pipe->bytes + pipe->arrived + sim_random(segment->size);

	if (sim_chance(50))
		*at ^= (uint8_t)(1u << sim_random(8));
	else
		*at = (uint8_t)(*at + 1 + sim_random(255));
	sim_count(COUNT_CORRUPTIONS);
	sim_trace("connection %d: a byte changed", pipe->connection->number);
}

static void truncate_segment(struct pipe *pipe, struct segment *segment)
{
	size_t keep = sim_random(segment->size), cut = segment->size - keep;

	memmove(pipe->bytes + pipe->arrived + keep, pipe->bytes + pipe->arrived + segment->size,
		pipe->filled - pipe->arrived - segment->size);
	pipe->filled -= cut;
	segment->size = keep;
	for (unsigned i = 0; i < 2; i++) /* TCP lets no gap pass: the end is near */
		if (!pipe->connection->ends[i].reset.place)
			sim_event_set(&pipe->connection->ends[i].reset, sim_random(2 * SEC));
	sim_count(COUNT_TRUNCATIONS);
	sim_trace("connection %d: %zu bytes lost", pipe->connection->number, cut);
}

static void duplicate(struct pipe *pipe, struct segment *segment)
{
	bool whole = sim_chance(60); /* mostly whole messages, then */
	size_t size = whole ? segment->size : 1 + sim_random(segment->size);
	uint8_t *end;

	reserve(pipe, size);
	end = pipe->bytes + pipe->arrived + segment->size;
	memmove(end + size, end, pipe->filled - pipe->arrived - segment->size);
	memcpy(end, end - size, size);
	pipe->filled += size;
	segment->size += size;
	sim_count(COUNT_DUPLICATIONS);
	sim_trace("connection %d: %zu bytes doubled", pipe->connection->number, size);
}

static void damage(struct pipe *pipe, struct segment *segment)
{
	unsigned armed = pipe->armed;

	if (!segment->size)
		return;
	if (armed & 1u << NET_CORRUPT)
		corrupt(pipe, segment);
	else if (armed & 1u << NET_DUPLICATE)
		duplicate(pipe, segment);
	else if (armed & 1u << NET_TRUNCATE)
		truncate_segment(pipe, segment);
	else
		return;
	pipe->armed &= 1u << NET_STALL;
}

/* ---- breaking ---- */

static void reset_came(void *arg)
{
	struct end *end = arg;

	if (end->error || end->gone)
		return;
	end->error = ECONNRESET;
	if (sim_chance(50)) { /* what was not read is lost */
		struct pipe *pipe = &end->connection->pipes[end->side];

		pipe->taken = pipe->arrived;
	}
	update(end);
}

/* The machine of `from` tells the other end that there is no connection any more. */
static void send_reset(struct end *from)
{
	struct end *to = &from->connection->ends[!from->side];

	if (!to->reset.place && !to->error)
		sim_event_set(&to->reset, arrival_time(from->host, to->host) - sim.now);
}

/* Nothing of what was sent so long ago has arrived. */
static void unacked(void *arg)
{
	struct end *end = arg;
	struct pipe *pipe = &end->connection->pipes[!end->side];
	uint64_t due;

	if (end->error || !end->alive || !pipe->count)
		return;
	due = segment_at(pipe, 0)->sent + end->ack_timeout;
	if (due > sim.now) {
		sim_event_set(&end->unacked, due - sim.now);
		return;
	}
	sim_trace("connection %d: nothing was acknowledged in time", end->connection->number);
	end->error = ETIMEDOUT;
	update(end);
}

/* A probe of the server's machine is answered by the other one's if that knows the connection. */
static void keepalive(void *arg)
{
	struct end *end = arg;
	struct end *other = &end->connection->ends[!end->side];

	if (!end->alive || end->error)
		return;
	if (!other->alive || other->error || other->gone)
		send_reset(other);
	sim_event_set(&end->keepalive, KEEPALIVE);
}

static void segment_arrived(void *arg)
{
	struct pipe *pipe = arg;
	struct end *reader = reader_of(pipe);
	struct segment *segment = segment_at(pipe, 0);
	enum sim_host from = writer_of(pipe)->host;

	if (blocked_until[from][reader->host] > sim.now) { /* the partition came meanwhile */
		segment->arrives = arrival_time(from, reader->host);
		set_arrival(pipe);
		return;
	}
	damage(pipe, segment);
	pipe->arrived += segment->size;
	pipe->ended |= segment->end;
	pipe->first = (pipe->first + 1) % SEGMENTS;
	pipe->count--;
	set_arrival(pipe);
	if (!reader->alive) { /* nobody there: dropped; who asks is told, if the machine is up */
		bool told = segment->size || !segment->end;

		pipe->taken = pipe->arrived;
		if (powered[reader->host] && told)
			send_reset(reader);
	}
	update(reader);
	update(writer_of(pipe));
}

/* ---- streams ---- */

static struct end *end_of(struct stream *stream)
{
	return (struct end *)stream; /* base is the first member */
}

static bool readable(const struct end *end)
{
	const struct pipe *pipe = &end->connection->pipes[end->side];

	return pipe->arrived > pipe->taken || pipe->ended || end->error;
}

static bool writable(const struct end *end)
{
	return end->error || window_left(&end->connection->pipes[!end->side]);
}

/* Announces what is wanted and there. */
static void update(struct end *end)
{
	if (!end->open || end->connecting)
		return;
	if (end->want_read && readable(end))
		ready_set(end->loop, &end->readable);
	if (end->want_write && writable(end))
		ready_set(end->loop, &end->writable);
}

static void run_readable(void *arg)
{
	struct end *end = arg;

	if (!end->want_read || !readable(end))
		return;
	ready_set(end->loop, &end->readable); /* level-triggered: again, unless it is taken */
	end->base.events->readable(end->base.arg);
	if (end->open && !(end->want_read && readable(end)))
		ready_cancel(&end->readable);
}

static void run_writable(void *arg)
{
	struct end *end = arg;

	if (end->want_write && writable(end))
		end->base.events->writable(end->base.arg);
}

static ssize_t end_readv(struct stream *stream, const struct iovec *iov, int count)
{
	struct end *end = end_of(stream);
	struct pipe *pipe = &end->connection->pipes[end->side];
	size_t most = pipe->arrived - pipe->taken, done = 0;

	if (!most)
		return end->error ? -end->error : pipe->ended ? 0 : -EAGAIN;
	if (sim_permille(30))
		most = 1 + sim_random(most); /* a short read */
	for (int i = 0; i < count && done < most; i++) {
		size_t n = iov[i].iov_len < most - done ? iov[i].iov_len : most - done;

		memcpy(iov[i].iov_base, pipe->bytes + pipe->taken, n);
		pipe->taken += n;
		done += n;
	}
	update(writer_of(pipe)); /* there is room again */
	return (ssize_t)done;
}

static ssize_t end_writev(struct stream *stream, const struct iovec *iov, int count)
{
	struct end *end = end_of(stream);
	struct pipe *pipe = &end->connection->pipes[!end->side];
	size_t most = window_left(pipe), done = 0;

	if (end->error)
		return -end->error;
	if (pipe->closed) /* half-closed by a fault: as if sent, and lost */
		most = SIZE_MAX;
	if (!most)
		return -EAGAIN;
	for (int i = 0; i < count && done < most; i++) {
		size_t n = iov[i].iov_len < most - done ? iov[i].iov_len : most - done;

		if (!pipe->closed) {
			reserve(pipe, n);
			memcpy(pipe->bytes + pipe->filled, iov[i].iov_base, n);
			pipe->filled += n;
		}
		done += n;
	}
	if (!pipe->closed)
		add_segment(pipe, done, false);
	return (ssize_t)done;
}

static void end_want_read(struct stream *stream, bool want)
{
	struct end *end = end_of(stream);

	end->want_read = want;
	update(end);
}

static void end_want_write(struct stream *stream, bool want)
{
	struct end *end = end_of(stream);

	end->want_write = want;
	update(end);
}

static void end_set_ack_timeout(struct stream *stream, uint64_t timeout)
{
	end_of(stream)->ack_timeout = timeout;
}

/* The machine closes the connection for its program. */
static void shut(struct end *end)
{
	struct pipe *in = &end->connection->pipes[end->side];
	struct pipe *out = &end->connection->pipes[!end->side];
	bool unread = in->arrived > in->taken;

	ready_cancel(&end->readable);
	ready_cancel(&end->writable);
	ready_cancel(&end->connected);
	end->open = end->alive = false;
	if (end->error || end->gone)
		return;
	if (unread)
		send_reset(end);
	else if (!out->closed)
		add_segment(out, 0, true);
	out->closed = true;
	in->taken = in->arrived;
}

static void end_close(struct stream *stream)
{
	shut(end_of(stream));
}

static const struct stream_ops end_ops = {
	.readv = end_readv,
	.writev = end_writev,
	.want_read = end_want_read,
	.want_write = end_want_write,
	.set_ack_timeout = end_set_ack_timeout,
	.close = end_close,
};

/* ---- connecting ---- */

static void run_connected(void *arg)
{
	struct end *end = arg;

	end->connecting = false;
	end->base.events->connected(end->base.arg, end->connection->outcome);
}

/* First at the server's machine, then its answer at the client's. */
static void attempt_arrived(void *arg)
{
	struct connection *c = arg;
	struct end *client = &c->ends[0];
	enum sim_host server = c->ends[1].host;

	if (!c->answered) {
		if (blocked_until[client->host][server] > sim.now || !powered[server]) {
			sim_event_set(&c->arrival, sim_between(200 * MS, SEC)); /* and again */
			return;
		}
		c->answered = true;
		c->outcome = accepted_fns[server] && !c->standby ? 0 : ECONNREFUSED;
		sim_event_set(&c->arrival, arrival_time(server, client->host) - sim.now);
		if (!c->outcome) {
			sim_count(COUNT_CONNECTIONS);
			c->ends[1].alive = true;
			c->ends[1].gone = false; /* the attempt may be older than a power cut */
			accepted_fns[server](server, c->number);
		}
		return;
	}
	if (client->open)
		ready_set(client->loop, &client->connected);
	else if (!c->outcome)
		send_reset(client);
}

static void pipe_init(struct connection *c, unsigned side)
{
	struct pipe *pipe = &c->pipes[side];

	pipe->connection = c;
	pipe->side = side;
	pipe->taken = pipe->arrived = pipe->filled = 0;
	pipe->first = pipe->count = 0;
	pipe->arrival = (struct sim_event){.run = segment_arrived, .arg = pipe};
	pipe->ended = pipe->closed = false;
	pipe->armed = 0;
}

static void end_init(struct connection *c, unsigned side, enum sim_host host)
{
	struct end *end = &c->ends[side];

	*end = (struct end){
		.base = {.ops = &end_ops},
		.connection = c,
		.side = side,
		.host = host,
		.readable = {.run = run_readable, .arg = end},
		.writable = {.run = run_writable, .arg = end},
		.connected = {.run = run_connected, .arg = end},
		.reset = {.run = reset_came, .arg = end},
		.ack_timeout = NEVER,
		.unacked = {.run = unacked, .arg = end},
		.keepalive = {.run = keepalive, .arg = end},
	};
}

struct stream *stream_socket_connect(struct loop *loop, const struct loop_address *address,
				     const struct stream_events *events, void *arg)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)&address->address;
	enum sim_host server = HOST_SERVER + to->sin_port;
	struct connection *c;
	struct end *end;

	if (connection_count == CONNECTIONS) {
		errno = EMFILE;
		return NULL;
	}
	c = connections[connection_count];
	if (!c)
		c = connections[connection_count] = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->number = (int)connection_count++;
	pipe_init(c, 0);
	pipe_init(c, 1);
	end_init(c, 0, loop_process(loop)->host);
	end_init(c, 1, server);
	c->arrival = (struct sim_event){.run = attempt_arrived, .arg = c};
	c->answered = false;
	c->standby = address->address.ss_family == AF_INET6; /* which has its port there, too */
	end = &c->ends[0];
	end->base.events = events;
	end->base.arg = arg;
	end->loop = loop;
	end->alive = end->open = end->connecting = true;
	sim_trace("connection %d: begins", c->number);
	sim_event_set(&c->arrival, arrival_time(end->host, server) - sim.now);
	return &end->base;
}

struct stream *stream_socket_accept(struct loop *loop, int fd, const struct stream_events *events,
				    void *arg)
{
	struct end *end = &connections[fd]->ends[1];

	end->base.events = events;
	end->base.arg = arg;
	end->loop = loop;
	end->open = true;
	sim_event_set(&end->keepalive, KEEPALIVE);
	return &end->base;
}

int stream_address_unix(struct loop_address *address, const char *path)
{
	return ENAMETOOLONG;
}

void stream_address_vsock(struct loop_address *address, uint32_t cid, uint32_t port)
{
	*address = (struct loop_address){.length = 0};
}

const char *stream_address_print(const struct loop_address *address, char text[STREAM_ADDRESS_TEXT])
{
	snprintf(text, STREAM_ADDRESS_TEXT, "the server");
	return text;
}

unsigned net_addresses(const char *host, uint16_t port, struct loop_address *addresses)
{
	bool standby = !strncmp(host, "standby", strlen("standby"));

	addresses[0] = (struct loop_address){.length = sizeof(addresses[0].address)};
	addresses[0].address.ss_family = standby ? AF_INET6 : AF_INET;
	((struct sockaddr_in *)&addresses[0].address)->sin_port =
		(in_port_t)(host[strlen(host) - 1] - 'a');
	return 1;
}

/* ---- faults ---- */

/* Any that lives, or NULL. */
static struct connection *pick(void)
{
	struct connection *found = NULL;
	unsigned live = 0;

	for (unsigned i = connection_count; i-- > 0;) {
		struct connection *c = connections[i];

		if (c->ends[0].open && c->ends[1].open && !c->ends[0].error && !c->ends[1].error &&
		    !sim_random(++live))
			found = c;
	}
	return found;
}

bool net_fault(enum net_fault fault)
{
	struct connection *c = pick();
	struct pipe *pipe;

	if (!c)
		return false;
	pipe = &c->pipes[sim_random(2)];
	switch (fault) {
	case NET_RESET:
		sim_count(COUNT_RESETS);
		sim_trace("connection %d: reset", c->number);
		for (unsigned i = 0; i < 2; i++) {
			sim_event_set(&c->ends[i].reset, sim_random(2 * config.latency + 1));
			sim_event_cancel(&c->pipes[i].arrival); /* nothing more arrives */
			c->pipes[i].filled = c->pipes[i].arrived;
			c->pipes[i].count = 0;
			c->pipes[i].closed = true;
		}
		break;
	case NET_HALF_CLOSE:
		if (pipe->closed)
			return false;
		sim_count(COUNT_HALF_CLOSES);
		sim_trace("connection %d: half-closed", c->number);
		add_segment(pipe, 0, true);
		pipe->closed = true;
		break;
	default:
		if (fault != NET_STALL && !config.corrupts)
			return false;
		pipe->armed |= 1u << fault;
	}
	return true;
}

void net_partition(enum sim_host from, enum sim_host to, bool both, uint64_t duration)
{
	sim_count(both ? COUNT_PARTITIONS_BOTH : COUNT_PARTITIONS_ONE);
	blocked_until[from][to] = sim.now + duration;
	if (both)
		blocked_until[to][from] = sim.now + duration;
}

void net_heal(void)
{
	memset(blocked_until, 0, sizeof(blocked_until));
	for (unsigned i = 0; i < connection_count; i++)
		connections[i]->pipes[0].armed = connections[i]->pipes[1].armed = 0;
}

void net_listen(enum sim_host host, void (*accepted)(enum sim_host host, int fd))
{
	accepted_fns[host] = accepted;
}

void net_process_gone(enum sim_host host)
{
	for (unsigned i = 0; i < connection_count; i++)
		for (unsigned side = 0; side < 2; side++)
			if (connections[i]->ends[side].host == host &&
			    connections[i]->ends[side].alive)
				shut(&connections[i]->ends[side]);
	accepted_fns[host] = NULL;
}

/* Of what was on its way to it nothing arrives; what it had sent does. */
void net_power_cut(enum sim_host host)
{
	powered[host] = false;
	for (unsigned i = 0; i < connection_count; i++)
		for (unsigned side = 0; side < 2; side++) {
			struct end *end = &connections[i]->ends[side];

			if (end->host != host)
				continue;
			end->gone = true;
			sim_event_cancel(&end->reset);
			if (end->alive)
				shut(end);
		}
	accepted_fns[host] = NULL;
}

void net_power_back(enum sim_host host)
{
	powered[host] = true;
}

void net_reset(const struct net_config *c)
{
	config = *c;
	connection_count = 0;
	memset(blocked_until, 0, sizeof(blocked_until));
	memset(accepted_fns, 0, sizeof(accepted_fns));
	for (unsigned i = 0; i < HOSTS; i++)
		powered[i] = true;
}
