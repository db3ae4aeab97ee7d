/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - a client of the protocol that does each thing by hand, rightly or wrongly, and complains
 * of what the server does. What is wrong counts into `failures`; a scenario goes on all the same.
 */
#ifndef TEST_RAWCLIENT_CLIENT_H
#define TEST_RAWCLIENT_CLIENT_H

#include "common/wire.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#define SIZE (1u << 20) /* of "rw" and "ro" */

extern uint16_t port;
extern const char *scenario; /* the one that runs */
extern unsigned failures; /* its */
extern uint8_t session[DST_ID_SIZE]; /* a new one for each connection, unless a scenario says so */

/* A group of scenarios ends with one that has no name. */
struct scenario {
	const char *name;
	void (*run)(void);
};

#define SCENARIO(name)                                                                             \
	{                                                                                          \
#name, name                                                                        \
	}

extern const struct scenario hello_scenarios[], request_scenarios[], lane_scenarios[],
	once_scenarios[], fence_scenarios[], failing_scenarios[], claim_scenarios[];

extern const char *failing; /* for failing_scenarios: while this file exists, syncs fail */
extern const char *stalling; /* for claim_scenarios: stalling_preload.c's folder */

__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			complain("line %d: %s", __LINE__, #condition);                             \
	} while (0)

double seconds(void);

struct connection {
	int fd;
	uint64_t id, done; /* the last id used; all up to `done` are answered */
	enum dst_checksum checksum;
	struct wire_attrs hello; /* the server's answer */
};

struct answer {
	struct wire_header header;
	uint8_t payload[DST_MAX_PAYLOAD];
};

extern struct answer answer; /* the last one */

void dial(struct connection *c);
void hang_up(struct connection *c);
void put(struct connection *c, const void *bytes, size_t size);

/* Sends a header as it is: id, lag and digest are the caller's. */
void put_message(struct connection *c, const struct wire_header *header, const void *payload);

struct wire_header request(enum dst_type type, uint64_t offset, uint64_t length);

/* Sends a proper request: the next id, the right lag and digest. */
void ask(struct connection *c, struct wire_header header, const void *payload, uint32_t size);
void ask_control(struct connection *c, enum dst_type type); /* PING, CLOSE */

/* Receives one message into `answer`. False: the connection ended. Damage is a complaint. */
bool receive(struct connection *c);

/* As ask(), with an id of the caller's, above c->done; that and c->id stay as they are. */
void ask_as(struct connection *c, uint64_t id, struct wire_header header, const void *payload,
	    uint32_t size);

/* One request, one answer: its status, or -1 if the connection ended. The client is done with it, save
 * with call_as(). */
int call_as(struct connection *c, uint64_t id, struct wire_header header, const void *payload,
	    uint32_t size);
int call(struct connection *c, struct wire_header header, const void *payload, uint32_t size);
int call_seeded(struct connection *c, struct wire_header header, uint64_t value);

#define WORK 8 /* requests to "big" that take a fraction of a second each */
void ask_for_work(struct connection *c);

void expect_end(struct connection *c);
void expect_read(struct connection *c, uint64_t offset, const uint8_t *want, uint32_t size);

struct wire_attrs hello_attrs(const char *export_name, uint32_t permissions);
void send_hello_bytes(struct connection *c, const uint8_t *bytes, uint32_t size);
void send_hello(struct connection *c, const struct wire_attrs *attrs);
int receive_hello(struct connection *c); /* the answer's status, or -1 */
int say_hello(struct connection *c, const struct wire_attrs *attrs);

/* The same, and if somebody else holds the export takes it over. */
int insist(struct connection *c, const struct wire_attrs *attrs);

/* A session that must come about, with an id of its own. It insists. */
void join(struct connection *c, const char *export_name, uint32_t permissions);
void join_rw(struct connection *c);

void fill(uint8_t *bytes, size_t size, unsigned seed);
bool all_are(const uint8_t *bytes, size_t size, uint8_t value);

#endif
