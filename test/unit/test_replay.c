/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_replay.c - what a replay sends, and what is on the disk after it, or after a part of it.
 *
 * The last test is a model: several logs, a disk that loses what was not flushed whenever its power
 * is cut, replays that are cut themselves. It knows for each sector what was acknowledged since the
 * last durable value, and judges what it finds by that.
 */
#include "dstfs/replay.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOGS 3
#define MOST 256u

struct fixture {
	struct worker worker;
	struct retain retain;
	struct retain_log *logs[LOGS];
	struct replay *replay;

	/* What was submitted and not completed. */
	struct request *held[MOST];
	unsigned held_count, held_most;
	uint64_t held_bytes, held_bytes_most;
	bool at_once; /* complete in submit, with this error */
	int at_once_error;

	uint64_t submitted, submitted_bytes;
	bool done;
	int error;
	uint8_t data[DST_MAX_PAYLOAD];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->worker.bufs = buf_pool_new(0, 1024);
	for (unsigned i = 0; i < LOGS; i++)
		f->logs[i] = retain_log_new(&f->retain, &f->worker);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	replay_free(&f->replay);
	for (unsigned i = 0; i < LOGS; i++)
		retain_log_free(&f->logs[i]);
	buf_pool_free(&f->worker.bufs);
	free(f);
	return 0;
}

static void add(struct fixture *f, unsigned log, enum request_type type, uint64_t offset,
		uint64_t length)
{
	struct request request = {
		.type = type,
		.range = {.offset = offset, .length = length},
	};
	struct buf *buf = NULL;

	if (type == REQUEST_WRITE) {
		request.buf = buf = buf_get(f->worker.bufs);
		assert_non_null(buf);
		memcpy(buf->data, f->data, length);
		request.data = buf->data;
	}
	retain_log_add(f->logs[log], &request, true);
	buf_unref(&buf);
}

static void on_submit(void *arg, struct request *request)
{
	struct fixture *f = arg;
	bool write = request->type == REQUEST_WRITE;

	assert_false(f->done);
	assert_ptr_equal(request->worker, &f->worker);
	assert_null(request->buf);
	assert_null(request->hold);
	assert_false(request->fua);
	assert_true(request->range.length > 0);
	assert_true(request->range.length <= (write ? DST_MAX_PAYLOAD : DST_MAX_RANGE));
	assert_true(write == (request->data != NULL));
	for (unsigned i = 0; i < f->held_count; i++)
		assert_false(range_overlaps(f->held[i]->range, request->range));
	f->submitted++;
	f->submitted_bytes += request->range.length;
	if (f->at_once) {
		request->done(request, f->at_once_error);
		return;
	}
	assert_true(f->held_count < MOST);
	f->held[f->held_count++] = request;
	f->held_bytes += write ? request->range.length : 0;
	if (f->held_count > f->held_most)
		f->held_most = f->held_count;
	if (f->held_bytes > f->held_bytes_most)
		f->held_bytes_most = f->held_bytes;
}

static void on_done(void *arg, int error)
{
	struct fixture *f = arg;

	assert_false(f->done);
	assert_int_equal(f->held_count, 0);
	f->done = true;
	f->error = error;
}

static void start(struct fixture *f)
{
	f->replay = replay_start(&f->worker, f->logs, LOGS, on_submit, on_done, f);
	assert_non_null(f->replay);
}

static struct request *take_held(struct fixture *f, unsigned i)
{
	struct request *request = f->held[i];

	f->held[i] = f->held[--f->held_count];
	f->held_bytes -= request->type == REQUEST_WRITE ? request->range.length : 0;
	return request;
}

static void complete(struct fixture *f, unsigned i, int error)
{
	struct request *request = take_held(f, i);

	request->done(request, error);
}

static void nothing_to_send_is_done_at_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_true(f->done);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->submitted, 0);
}

static void requests_may_complete_where_they_are_submitted(void **state)
{
	struct fixture *f = *state;
	uint64_t pieces, bytes;

	f->at_once = true;
	for (unsigned i = 0; i < 100000; i++) /* nothing may recurse */
		add(f, i % LOGS, REQUEST_WRITE_ZEROES, 0, 4096);
	start(f);
	assert_true(f->done);
	assert_int_equal(f->error, 0);
	replay_progress(f->replay, &pieces, &bytes);
	assert_int_equal(pieces, 100000);
	assert_int_equal(bytes, 100000 * 4096ull);
}

static void what_overlaps_waits_and_keeps_its_order(void **state)
{
	struct fixture *f = *state;

	add(f, 0, REQUEST_WRITE, 0, 4096);
	add(f, 1, REQUEST_WRITE, 8192, 4096);
	add(f, 2, REQUEST_DISCARD, 4095, 512); /* over the first one's last byte */
	add(f, 0, REQUEST_WRITE, 65536, 512); /* over nothing, but behind one that waits */
	start(f);
	assert_int_equal(f->held_count, 2);
	complete(f, 1, 0);
	assert_int_equal(f->held_count, 1);
	complete(f, 0, 0);
	assert_int_equal(f->held_count, 2);
	assert_int_equal(f->held[0]->type, REQUEST_DISCARD);
	complete(f, 0, 0);
	complete(f, 0, 0);
	assert_true(f->done);
}

static void no_more_than_64_requests_travel(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 1000; i++)
		add(f, i % LOGS, REQUEST_WRITE, i * 4096ull, 4096);
	start(f);
	assert_int_equal(f->held_count, 64);
	while (f->held_count)
		complete(f, f->submitted * 7 % f->held_count, 0);
	assert_true(f->done);
	assert_int_equal(f->held_most, 64);
	assert_int_equal(f->submitted, 1000);
}

static void no_more_than_8_mib_travel(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 40; i++)
		add(f, i % LOGS, REQUEST_WRITE, i * (uint64_t)DST_MAX_PAYLOAD, DST_MAX_PAYLOAD);
	add(f, 0, REQUEST_WRITE_ZEROES, 1ull << 40, DST_MAX_RANGE); /* has no payload */
	start(f);
	assert_int_equal(f->held_bytes, 8u << 20);
	while (f->held_count)
		complete(f, 0, 0);
	assert_true(f->done);
	assert_int_equal(f->held_bytes_most, 8u << 20);
	assert_int_equal(f->submitted, 41);
}

static void an_error_ends_it_when_all_are_back(void **state)
{
	struct fixture *f = *state;
	uint64_t pieces, bytes;

	for (unsigned i = 0; i < 100; i++)
		add(f, i % LOGS, REQUEST_WRITE, i * 4096ull, 4096);
	start(f);
	complete(f, 0, 0);
	complete(f, 3, ENOSPC);
	assert_int_equal(f->submitted, 65);
	complete(f, 0, EIO);
	while (f->held_count) {
		assert_false(f->done);
		complete(f, 0, 0);
	}
	assert_true(f->done);
	assert_int_equal(f->error, ENOSPC);
	assert_int_equal(f->submitted, 65);
	replay_progress(f->replay, &pieces, &bytes);
	assert_int_equal(pieces, 63);
	assert_int_equal(bytes, 63 * 4096);
}

static void an_error_at_once_ends_it_at_once(void **state)
{
	struct fixture *f = *state;

	add(f, 0, REQUEST_WRITE, 0, 512);
	add(f, 1, REQUEST_WRITE, 512, 512);
	f->at_once = true;
	f->at_once_error = EIO;
	start(f);
	assert_true(f->done);
	assert_int_equal(f->error, EIO);
	assert_int_equal(f->submitted, 1);
}

static void digests_go_with_whole_payloads(void **state)
{
	struct fixture *f = *state;
	struct request whole = {.type = REQUEST_WRITE, .range = {0, 4096}, .data = f->data};
	struct request cut = {.type = REQUEST_WRITE, .range = {8192, 4096}, .data = f->data};
	struct request cover = {.type = REQUEST_WRITE, .range = {8704, 512}, .data = f->data};

	f->data[4095] = 1;
	request_digest(&whole);
	request_digest(&cut);
	cover.fua = true;
	retain_log_add(f->logs[0], &whole, true);
	retain_log_add(f->logs[1], &cut, true);
	retain_log_add(f->logs[2], &cover, true);
	start(f);
	assert_int_equal(f->held_count, 3);
	assert_true(f->held[0]->has_digest);
	assert_int_equal(f->held[0]->digest, whole.digest);
	assert_false(f->held[1]->has_digest);
	assert_false(f->held[2]->has_digest);
	assert_memory_equal(f->held[2]->data, f->data + 1024, 4096 - 1024);
	while (f->held_count)
		complete(f, 0, 0);
}

static void a_replay_may_be_given_up(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 100; i++)
		add(f, 0, REQUEST_WRITE, i * 4096ull, 4096);
	start(f);
	complete(f, 0, 0);
	replay_free(&f->replay); /* the others never complete */
	assert_null(f->replay);
	assert_false(f->done);
}

/*
 * The model. A sector's content is the number of the operation that wrote it, in all its bytes;
 * zeroes are 0 and what a discard leaves is DISCARDED.
 */
#define SECTOR 512u
#define SECTORS 256u
#define DISCARDED 0xdddddddddddddddd
#define VALUES 400u /* of a sector since it was durable last */

struct sector {
	uint64_t content; /* on the disk, as it would be read now */
	/* Acknowledged since the last durable one, which is the first. */
	struct value {
		uint64_t operation, content;
	} values[VALUES];
	unsigned count;
};

struct model {
	struct fixture *f;
	struct sector sectors[SECTORS];
	uint64_t operation; /* the last */
	bool flushing; /* a flush is under way */
	uint64_t mark, flush_operation; /* of it */
	uint64_t power_cuts, replays, cut_replays, pieces, flushes;
};

static unsigned pick(unsigned n)
{
	return lrand48() % n;
}

static struct value *last_value(struct sector *sector)
{
	return &sector->values[sector->count - 1];
}

/* What is durable up to the operation: older values can't be on the disk any more. */
static void make_durable(struct sector *sector, uint64_t operation)
{
	unsigned i = sector->count - 1;

	while (i && sector->values[i].operation > operation)
		i--;
	sector->count -= i;
	memmove(sector->values, sector->values + i, sector->count * sizeof(struct value));
}

static void assert_acceptable(const struct sector *sector)
{
	for (unsigned i = 0; i < sector->count; i++)
		if (sector->values[i].content == sector->content)
			return;
	fail_msg("a sector holds %llu, which is older than what was durable",
		 (unsigned long long)sector->content);
}

static void model_flush_begin(struct model *m)
{
	m->flushing = true;
	m->mark = m->f->retain.number;
	m->flush_operation = m->operation;
}

static void model_flush_end(struct model *m)
{
	for (unsigned s = 0; s < SECTORS; s++)
		make_durable(&m->sectors[s], m->flush_operation);
	retain_durable(&m->f->retain, m->mark);
	m->flushing = false;
	m->flushes++;
}

static void flush_all(struct model *m)
{
	model_flush_begin(m);
	model_flush_end(m);
}

/* The disk carries it out, the range's content is now acknowledged. */
static void model_apply(struct model *m, const struct request *request)
{
	uint64_t first = request->range.offset / SECTOR, count = request->range.length / SECTOR;

	m->operation++;
	for (uint64_t i = 0; i < count; i++) {
		struct sector *sector = &m->sectors[first + i];
		uint64_t content = m->operation;

		if (request->type == REQUEST_WRITE_ZEROES)
			content = 0;
		else if (request->type == REQUEST_DISCARD)
			content = DISCARDED;
		else if (request->type == REQUEST_COPY)
			content = m->sectors[request->copy_from / SECTOR + i].content;
		assert_true(sector->count < VALUES);
		sector->values[sector->count++] =
			(struct value){.operation = m->operation, .content = content};
		sector->content = content;
		if (request->fua || request->type == REQUEST_COPY)
			make_durable(sector, m->operation);
	}
}

static struct range random_range(void)
{
	uint64_t first = pick(SECTORS), most = SECTORS - first;

	if (pick(10) && most > 8)
		most = 8;
	return (struct range){.offset = first * SECTOR, .length = (1 + pick(most)) * SECTOR};
}

static void model_copy(struct model *m, struct request *request)
{
	struct range range = request->range;

	range.offset = pick((SECTORS * SECTOR - range.length) / SECTOR + 1) * SECTOR;
	if (range_overlaps(range, request->range))
		return;
	request->copy_from = range.offset;
	request->result = (1 + pick(range.length / SECTOR)) * SECTOR;
	range = request->range;
	request->range.length = request->result; /* as much as is done of it */
	model_apply(m, request);
	request->range = range;
	flush_all(m);
	retain_log_add(m->f->logs[pick(LOGS)], request, true);
}

static void model_modify(struct model *m)
{
	static const enum request_type types[] = {
		REQUEST_WRITE, REQUEST_WRITE,        REQUEST_WRITE,   REQUEST_WRITE,
		REQUEST_WRITE, REQUEST_WRITE_ZEROES, REQUEST_DISCARD, REQUEST_COPY,
	};
	struct fixture *f = m->f;
	struct request request = {.type = types[pick(8)], .range = random_range()};
	struct buf *buf = NULL;

	if (request.type == REQUEST_COPY) {
		if (!pick(5))
			model_copy(m, &request);
		return;
	}
	request.fua = !pick(6);
	model_apply(m, &request);
	if (request.type == REQUEST_WRITE) {
		request.buf = buf = buf_get(f->worker.bufs);
		assert_non_null(buf);
		request.data = buf->data;
		for (uint64_t i = 0; i < request.range.length; i += sizeof(uint64_t))
			memcpy(buf->data + i, &m->operation, sizeof(uint64_t));
	}
	retain_log_add(f->logs[pick(LOGS)], &request, pick(200));
	buf_unref(&buf);
}

/* Any of what isn't durable may be lost, sector by sector. */
static void power_cut(struct model *m)
{
	for (unsigned s = 0; s < SECTORS; s++) {
		struct sector *sector = &m->sectors[s];

		sector->content = sector->values[pick(sector->count)].content;
	}
	m->flushing = false;
	m->power_cuts++;
}

static void disk_write(struct model *m, const struct request *request)
{
	for (uint64_t i = 0; i < request->range.length; i += SECTOR) {
		struct sector *sector = &m->sectors[(request->range.offset + i) / SECTOR];
		uint64_t words[SECTOR / sizeof(uint64_t)];

		if (request->type == REQUEST_WRITE_ZEROES) {
			sector->content = 0;
		} else if (request->type == REQUEST_DISCARD) {
			sector->content = DISCARDED;
		} else {
			memcpy(words, request->data + i, SECTOR);
			for (unsigned w = 1; w < SECTOR / sizeof(uint64_t); w++)
				assert_int_equal(words[w], words[0]);
			sector->content = words[0];
		}
	}
}

/* Carries out, in any order, what the replay sends. True: to the end; false: cut on the way. */
static bool model_replay(struct model *m, unsigned cut_after)
{
	struct fixture *f = m->f;

	f->done = false;
	start(f);
	while (!f->done && cut_after--) {
		struct request *request = take_held(f, pick(f->held_count));

		disk_write(m, request);
		for (unsigned s = 0; s < SECTORS; s++)
			assert_acceptable(&m->sectors[s]);
		m->pieces++;
		request->done(request, 0);
	}
	f->held_count = 0;
	f->held_bytes = 0;
	replay_free(&f->replay);
	m->replays++;
	m->cut_replays += !f->done;
	return f->done;
}

/* Another cut, in the middle of a replay: each sector has what it had before, or what was written. */
static void power_cut_again(struct model *m, const uint64_t *before)
{
	for (unsigned s = 0; s < SECTORS; s++)
		if (pick(2))
			m->sectors[s].content = before[s];
	m->power_cuts++;
}

static void model_recover(struct model *m)
{
	struct retain *retain = &m->f->retain;
	uint64_t before[SECTORS];

	power_cut(m);
	for (;;) {
		for (unsigned s = 0; s < SECTORS; s++)
			before[s] = m->sectors[s].content;
		if (model_replay(m, pick(2) ? UINT32_MAX : pick(40)))
			break;
		power_cut_again(m, before);
		for (unsigned s = 0; s < SECTORS; s++)
			assert_acceptable(&m->sectors[s]);
	}
	for (unsigned s = 0; s < SECTORS && retain->unkept <= retain->durable; s++)
		assert_int_equal(m->sectors[s].content, last_value(&m->sectors[s])->content);
	/* What was not kept is lost; the caller is told by its next flush, which fails. */
	for (unsigned s = 0; s < SECTORS; s++) {
		struct sector *sector = &m->sectors[s];

		if (retain->unkept > retain->durable) {
			sector->values[0] = (struct value){m->operation, sector->content};
			sector->count = 1;
		}
	}
	if (retain->unkept > retain->durable)
		flush_all(m);
}

static void a_disk_that_loses_everything_ends_up_with_everything(void **state)
{
	struct fixture *f = *state;
	struct model *m = calloc(1, sizeof(*m));
	const char *seed = getenv("TEST_SEED");

	srand48(seed ? atol(seed) : 1);
	m->f = f;
	for (unsigned s = 0; s < SECTORS; s++)
		m->sectors[s].count = 1; /* zero, durable */
	for (unsigned step = 0; step < 60000; step++) {
		unsigned what = pick(1000);

		if (what < 20 && !m->flushing)
			model_flush_begin(m);
		else if (what < 60 && m->flushing)
			model_flush_end(m);
		else if (what < 70)
			model_recover(m);
		else if (what < 71)
			retain_give_up(&f->retain, f->retain.number - pick(2));
		else if (what < 150)
			retain_log_trim(f->logs[pick(LOGS)]);
		else
			model_modify(m);
	}
	print_message("%llu operations, %llu flushes, %llu power cuts, %llu replays (%llu cut) of "
		      "%llu pieces\n",
		      (unsigned long long)m->operation, (unsigned long long)m->flushes,
		      (unsigned long long)m->power_cuts, (unsigned long long)m->replays,
		      (unsigned long long)m->cut_replays, (unsigned long long)m->pieces);
	assert_true(m->cut_replays && m->pieces);
	free(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_send_is_done_at_once),
		TEST(requests_may_complete_where_they_are_submitted),
		TEST(what_overlaps_waits_and_keeps_its_order),
		TEST(no_more_than_64_requests_travel),
		TEST(no_more_than_8_mib_travel),
		TEST(an_error_ends_it_when_all_are_back),
		TEST(an_error_at_once_ends_it_at_once),
		TEST(digests_go_with_whole_payloads),
		TEST(a_replay_may_be_given_up),
		TEST(a_disk_that_loses_everything_ends_up_with_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
