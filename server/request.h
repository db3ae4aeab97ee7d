/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - one request of a client on its way: checked, to the backend, answered. From a pool of
 * the worker, with all that it needs embedded: nothing is allocated for an I/O.
 */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "common/backend.h"
#include "common/msgio.h"
#include "common/pool.h"

#include <stdbool.h>
#include <stdint.h>

struct lane;

/* A message that came in, to be served now or, if pools are empty, later. */
struct message {
	struct wire_header header;
	const uint8_t *payload; /* header.payload bytes, valid during request_serve() */
	struct buf *buf; /* holds the payload, one reference; NULL if it is small */
	bool digest_ok, type_ok;
};

struct request {
	struct lane *lane;
	uint8_t type; /* enum dst_type */
	bool recorded; /* the lane's record waits for its end */
	uint64_t instances; /* export_instances() when it began */
	struct backend_op op;
	uint32_t copied; /* bytes, COPY's */
	struct buf *buf; /* what is written or was read; or NULL */
	uint32_t cost; /* of buf, in bytes of the worker's memory */
	struct msgio_out out;
};

/*
 * Serves the message: checks it, answers it or has the backend do it and answers then. Takes over
 * message->buf. False: no request or buffer is to be had, nothing has happened, the message and
 * its buf are still the caller's.
 */
bool request_serve(struct lane *lane, struct message *message);

/* Answers (lane_close_requested() only; all others are answered from within). */
void request_answer(struct request *request, uint16_t status);

/* HELLO's answer told of so many that they have run. */
void request_count_executed(struct lane *lane, unsigned count);

/* Frees a request that is not answered any more. */
void request_drop(struct request *request);

#endif
