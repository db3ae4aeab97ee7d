/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.c - see request.h
 *
 * The way of a request: admit (session, type, digest, export), look it up in the lane's record if it
 * changes content, take what it needs from the worker's pools, submit to the backend, record how it
 * ended, answer. What a type needs and allows is a row of a table.
 */
#include "server/request.h"

#include "common/log.h"
#include "server/export.h"
#include "server/lane.h"
#include "server/record.h"
#include "server/session.h"
#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Where an EXTENTS reply is encoded, in the buffer that also has the extents in memory. */
#define EXTENTS_ENCODED (DST_MAX_EXTENTS * sizeof(struct wire_extent))

_Static_assert(EXTENTS_ENCODED + DST_MAX_EXTENTS * DST_EXTENT_SIZE <= BUF_CAPACITY,
	       "both forms of the extents fit a buffer");

enum needs_buffer { NO_BUFFER, FOR_REPLY, FOR_PAYLOAD };

struct kind {
	bool storage; /* goes to the backend */
	enum backend_type backend;
	uint32_t permission; /* DST_PERM_* */
	uint16_t beyond; /* the status for a range outside the export */
	enum needs_buffer buffer;
	enum export_counter count;
};

static const struct kind kinds[DST_TYPE_END] = {
	[DST_READ] = {true, BACKEND_READ, DST_PERM_READ, DST_EINVAL, FOR_REPLY, EXPORT_READS},
	[DST_WRITE] = {true, BACKEND_WRITE, DST_PERM_WRITE, DST_ENOSPC, FOR_PAYLOAD, EXPORT_WRITES},
	[DST_FLUSH] = {true, BACKEND_FLUSH, DST_PERM_READ, DST_EINVAL, NO_BUFFER, EXPORT_FLUSHES},
	[DST_DISCARD] = {true, BACKEND_DISCARD, DST_PERM_WRITE, DST_EINVAL, NO_BUFFER,
			 EXPORT_DISCARDS},
	[DST_WRITE_ZEROES] = {true, BACKEND_WRITE_ZEROES, DST_PERM_WRITE, DST_ENOSPC, NO_BUFFER,
			      EXPORT_ZEROES},
	[DST_EXTENTS] = {true, BACKEND_EXTENTS, DST_PERM_READ, DST_EINVAL, FOR_REPLY,
			 EXPORT_EXTENTS},
	[DST_COPY] = {true, BACKEND_COPY, DST_PERM_WRITE, DST_ENOSPC, NO_BUFFER, EXPORT_COPIES},
	[DST_HASH] = {true, BACKEND_HASH, DST_PERM_READ, DST_EINVAL, NO_BUFFER, EXPORT_HASHES},
};

/* What may not run twice. */
static bool changes_content(const struct kind *kind)
{
	return kind->permission == DST_PERM_WRITE;
}

static counter_t *tally(const struct lane *lane, enum export_counter which)
{
	return &lane->export->tallies[lane->worker->index].values[which];
}

void request_count_executed(struct lane *lane, unsigned count)
{
	counter_add(tally(lane, EXPORT_EXECUTED), count);
}

/* ---- pools ---- */

/*
 * A lane may hold as much of the worker's memory as is free, and the lanes of one export together
 * three times as much: one alone gets far, but however many clients hang and however slow an
 * export is, some is left for the others.
 */
static bool fair_share(const struct lane *lane, uint32_t cost)
{
	const struct worker *worker = lane->worker;
	uint64_t left = WORKER_MEMORY - worker->held;

	return cost <= left && lane->held < left &&
	       lane->export->tallies[worker->index].held < 3 * left;
}

static void account(struct request *r, int64_t change)
{
	struct lane *lane = r->lane;

	lane->held += (uint64_t)change;
	lane->worker->held += (uint64_t)change;
	lane->export->tallies[lane->worker->index].held += (uint64_t)change;
}

/* Gives the request the buffer that its kind needs, for a payload with the payload in it. */
static bool take_buffer(struct request *r, enum needs_buffer needs, struct message *message)
{
	struct lane *lane = r->lane;
	uint64_t size = message->header.range.length;

	r->cost = size < WORKER_LEAST_COST ? WORKER_LEAST_COST
		  : size < DST_MAX_PAYLOAD ? (uint32_t)size
					   : DST_MAX_PAYLOAD;
	if (!fair_share(lane, r->cost))
		return false;
	if (needs == FOR_PAYLOAD && message->buf) {
		r->buf = message->buf;
		message->buf = NULL;
	} else {
		r->buf = buf_get(lane->worker->bufs);
		if (!r->buf)
			return false;
		/* A small write is copied: 4 KiB take 50 ns, and the storage may keep them long. */
		if (needs == FOR_PAYLOAD)
			memcpy(r->buf->data, message->payload, message->header.payload);
	}
	account(r, r->cost);
	return true;
}

static void give_buffer_back(struct request *r)
{
	if (!r->buf)
		return;
	buf_unref(&r->buf);
	account(r, -(int64_t)r->cost);
}

void request_drop(struct request *r)
{
	struct lane *lane = r->lane;
	struct worker *worker = lane->worker;

	give_buffer_back(r);
	pool_put(worker->requests, r);
	worker_feed(worker);
	lane_request_over(lane);
}

/* ---- answers ---- */

static void answer_sent(struct msgio_out *out)
{
	struct request *r = (struct request *)((char *)out - offsetof(struct request, out));

	counter_add(&r->lane->messages_out, 1);
	request_drop(r);
}

/* `length` and payload as the table in proto.h gives them for the type. */
static void answer_with(struct request *r, uint16_t status, uint64_t length, const void *payload,
			uint32_t size)
{
	struct lane *lane = r->lane;

	r->out.header.type = r->type;
	r->out.header.flags = DST_F_REPLY;
	r->out.header.status = status;
	r->out.header.range = (struct range){.offset = 0, .length = length};
	r->out.header.payload = size;
	r->out.header.digest = wire_digest(lane->checksum, payload, size);
	r->out.payload = payload;
	r->out.sent = answer_sent;
	if (lane_told(lane))
		msgio_send(lane->msgio, &r->out);
	else
		request_drop(r);
}

void request_answer(struct request *r, uint16_t status)
{
	answer_with(r, status, 0, NULL, 0);
}

static void answer_extents(struct request *r)
{
	uint8_t *encoded = r->buf->data + EXTENTS_ENCODED;
	uint64_t described = 0;

	assert(r->op.extent_count <= DST_MAX_EXTENTS);
	for (unsigned i = 0; i < r->op.extent_count; i++) {
		wire_extent_encode(encoded + (size_t)i * DST_EXTENT_SIZE, &r->op.extents[i]);
		described += r->op.extents[i].length;
	}
	answer_with(r, DST_OK, described, encoded, r->op.extent_count * DST_EXTENT_SIZE);
}

static void answer_error(struct request *r, int error)
{
	struct lane *lane = r->lane;

	counter_add(tally(lane, EXPORT_ERRORS), 1);
	if (error != EOPNOTSUPP)
		log_limited(
			&lane->worker->error_limit, LOG_LEVEL_WARN,
			"export %s: %s of %llu bytes at %llu for %s failed: %s", lane->export->name,
			wire_type_name(r->type), (unsigned long long)r->op.range.length,
			(unsigned long long)r->op.range.offset, lane->peer.text, strerror(error));
	request_answer(r, wire_status_from_errno(error));
}

static void answer_done(struct request *r)
{
	struct backend_op *op = &r->op;

	switch (r->type) {
	case DST_READ:
		counter_add(tally(r->lane, EXPORT_READ_BYTES), op->range.length);
		answer_with(r, DST_OK, 0, r->buf->data, (uint32_t)op->range.length);
		break;
	case DST_WRITE:
		counter_add(tally(r->lane, EXPORT_WRITE_BYTES), op->range.length);
		request_answer(r, DST_OK);
		break;
	case DST_EXTENTS:
		answer_extents(r);
		break;
	case DST_COPY:
		answer_with(r, DST_OK, r->copied, NULL, 0);
		break;
	case DST_HASH:
		answer_with(r, DST_OK, 0, op->hash, DST_HASH_SIZE);
		break;
	default:
		request_answer(r, DST_OK);
	}
}

static void storage_done(struct backend_op *op, int error)
{
	struct request *r = (struct request *)((char *)op - offsetof(struct request, op));
	struct lane *lane = r->lane;

	if (!error && op->type == BACKEND_COPY) {
		r->copied = (uint32_t)op->result; /* a part of the header's length */
		if (op->fua) { /* which COPY itself does not know */
			op->type = BACKEND_FLUSH;
			backend_submit(lane->export->backend, op);
			return;
		}
	}
	if (error && (op->type == BACKEND_FLUSH || op->fua))
		export_sync_failed(lane->export, op->type == BACKEND_FLUSH, r->instances);
	if (r->recorded)
		record_end(lane->slot->record, r->out.header.id, wire_status_from_errno(error),
			   error ? 0 : r->copied);
	if (!lane->msgio) { /* nobody is left to be told */
		request_drop(r);
		return;
	}
	if (r->type == DST_WRITE)
		give_buffer_back(r); /* before the answer is out: another can use it */
	if (error)
		answer_error(r, error);
	else
		answer_done(r);
}

/* ---- requests ---- */

/* COPY's source, in its payload, must lie within the export and apart from the destination. */
static uint16_t admit_copy(const struct lane *lane, const struct message *message)
{
	struct range from = {.offset = wire_u64_decode(message->payload),
			     .length = message->header.range.length};

	if (!range_within(from, export_size(lane->export)) ||
	    range_overlaps(from, message->header.range))
		return DST_EINVAL;
	return DST_OK;
}

/* Has it come as it was sent? The status to answer, or DST_OK. */
static uint16_t admit_message(const struct message *message)
{
	if (!message->type_ok)
		return DST_EOPNOTSUPP;
	return message->digest_ok ? DST_OK : DST_EBADMSG;
}

/* May it run? Likewise. */
static uint16_t admit_storage(const struct lane *lane, const struct kind *kind,
			      const struct message *message)
{
	const struct wire_header *header = &message->header;
	uint16_t status = export_admit(
		lane->export, atomic_load_explicit(&lane->permissions, memory_order_relaxed),
		kind->permission, header->range, kind->beyond);

	if (!status && header->type == DST_COPY)
		status = admit_copy(lane, message);
	return status;
}

/*
 * Has it been here before? *status is DST_OK if it may run else, and it is on record then. One that may
 * not can have run all the same, before rules or size changed.
 */
static enum record_verdict look_up(struct request *r, const struct wire_header *header,
				   uint16_t *status)
{
	struct session_slot *slot = r->lane->slot;
	enum record_verdict verdict;
	uint16_t refused = *status;

	if (!slot->record) {
		if (!refused && !session_record(r->lane->session, slot, LANE_DEPTH)) {
			log_limited(&r->lane->worker->error_limit, LOG_LEVEL_ERROR,
				    "export %s: %s can't write: there are too many lanes to "
				    "remember, or no memory",
				    r->lane->export->name, r->lane->peer.text);
			*status = DST_ENOMEM;
		}
		if (*status)
			return RECORD_NEW;
	}
	record_forget(slot->record, slot->watermark);
	verdict = record_begin(slot->record, header, r->instances, status, &r->copied);
	if (verdict == RECORD_NEW && refused)
		record_drop(slot->record, header->id);
	else if (verdict == RECORD_NEW)
		r->recorded = true;
	else if (verdict == RECORD_FALSE_RETRY)
		*status = DST_EFALSE_RETRY;
	return verdict;
}

static void submit(struct request *r, const struct kind *kind, const struct message *message)
{
	const struct wire_header *header = &message->header;

	counter_add(tally(r->lane, kind->count), 1);
	r->op = (struct backend_op){
		.type = kind->backend,
		.fua = header->flags & DST_F_FUA ||
		       (changes_content(kind) &&
			atomic_load_explicit(&r->lane->export->sync, memory_order_relaxed)),
		.no_hole = header->flags & DST_F_NO_HOLE,
		.range = header->range,
		.data = r->buf ? r->buf->data : NULL,
		.loop = r->lane->worker->loop,
		.done = storage_done,
	};
	if (header->type == DST_COPY)
		r->op.copy_from = wire_u64_decode(message->payload);
	else if (header->type == DST_HASH)
		r->op.hash_seed = wire_u64_decode(message->payload);
	else if (header->type == DST_EXTENTS)
		r->op.extents = r->op.data;
	backend_submit(r->lane->export->backend, &r->op);
}

static void refuse(struct request *r, uint16_t status)
{
	struct lane *lane = r->lane;
	const char *type = wire_type_name(r->type);

	counter_add(tally(lane, status == DST_EBADMSG        ? EXPORT_BAD_DIGESTS
				: status == DST_EFALSE_RETRY ? EXPORT_FALSE_RETRIES
							     : EXPORT_REFUSED),
		    1);
	if (status == DST_EFALSE_RETRY)
		log_limited(&lane->worker->bad_limit, LOG_LEVEL_WARN,
			    "export %s: %s: false retry: %s has the id %llu of another request",
			    lane->export->name, lane->peer.text, type,
			    (unsigned long long)r->out.header.id);
	else
		log_debug("%s: %s refused: %s", lane->peer.text, type, wire_status_text(status));
	request_answer(r, status);
}

/* What goes to the storage, or has been there. False: as request_serve(). */
static bool serve_storage(struct request *r, const struct kind *kind, struct message *message)
{
	struct lane *lane = r->lane;
	uint16_t status = admit_storage(lane, kind, message);
	enum record_verdict verdict = RECORD_NEW;

	r->instances = export_instances(lane->export);
	if (changes_content(kind))
		verdict = look_up(r, &message->header, &status);
	if (verdict == RECORD_JOINED) {
		counter_add(tally(lane, EXPORT_JOINED), 1);
		request_drop(r);
	} else if (verdict == RECORD_DONE) {
		counter_add(tally(lane, EXPORT_EXECUTED), 1);
		answer_with(r, status, r->copied, NULL, 0);
	} else if (status) {
		refuse(r, status);
	} else if (kind->buffer == NO_BUFFER || take_buffer(r, kind->buffer, message)) {
		submit(r, kind, message);
	} else {
		if (r->recorded)
			record_drop(lane->slot->record, message->header.id);
		return false;
	}
	return true;
}

bool request_serve(struct lane *lane, struct message *message)
{
	const struct wire_header *header = &message->header;
	const struct kind *kind = message->type_ok ? &kinds[header->type] : &kinds[0];
	uint16_t status = DST_OK;
	struct request *r;

	if (kind->storage) /* PING and CLOSE are not transactions */
		status = session_admit(lane->session, lane->slot, header, LANE_DEPTH);
	if (status == DST_EPROTO) {
		buf_unref(&message->buf);
		lane_violation(lane, "id %llu with lag %u breaks the order of the lane",
			       (unsigned long long)header->id, header->status);
		return true;
	}
	if (!status)
		status = admit_message(message);
	r = pool_get(lane->worker->requests);
	if (!r)
		return false;
	r->lane = lane;
	r->type = header->type;
	r->recorded = false;
	r->copied = 0;
	r->out.header.id = header->id;
	r->buf = NULL;
	atomic_store_explicit(&lane->inflight, lane->inflight + 1, memory_order_relaxed);
	if (status) {
		refuse(r, status);
	} else if (kind->storage) {
		if (!serve_storage(r, kind, message)) {
			pool_put(lane->worker->requests, r);
			atomic_store_explicit(&lane->inflight, lane->inflight - 1,
					      memory_order_relaxed);
			return false;
		}
	} else if (header->type == DST_CLOSE) {
		lane_close_requested(lane, r);
	} else {
		request_answer(r, DST_OK); /* PING */
	}
	buf_unref(&message->buf);
	return true;
}
