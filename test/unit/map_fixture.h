/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_fixture.h - a map over pretended targets: each is a piece of memory that answers at once, or
 * holds what it gets until it is told to answer; with an error, if one is set.
 */
#ifndef TEST_UNIT_MAP_FIXTURE_H
#define TEST_UNIT_MAP_FIXTURE_H

#include "dstfs/linear.h"
#include "dstfs/split.h"
#include "dstfs/stripe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKES 8u

struct fake_target {
	struct target base;
	uint8_t *memory; /* `size` bytes at first */
	uint64_t room;
	bool holds; /* keeps requests in `held` */
	int error; /* of every request */
	uint64_t losses;
	unsigned submitted, cancelled, destroyed, reattached;
	struct request_list held;
	struct request last; /* a copy of what came last */
	uint64_t copy_most; /* COPY: bytes done at a time */
	struct wire_extent extents[DST_MAX_EXTENTS];
	unsigned extent_grain; /* EXTENTS: bytes of one, data and holes in turn */
	uint8_t hash[DST_HASH_SIZE];
	char reason[64];
};

struct map_fixture {
	struct worker worker;
	struct target_policy policy;
	struct target *map;
	struct fake_target fakes[FAKES];
	unsigned count;
	unsigned changes;
};

static struct map_fixture m;

static inline struct fake_target *fake_of(struct target *target)
{
	return (struct fake_target *)target;
}

static inline void fake_extents(struct fake_target *f, struct request *r)
{
	struct range rest = r->range;

	r->extents = f->extents;
	r->extent_count = 0;
	while (rest.length && r->extent_count < DST_MAX_EXTENTS) {
		uint64_t number = rest.offset / f->extent_grain;
		uint64_t length = (number + 1) * f->extent_grain - rest.offset;

		if (length > rest.length)
			length = rest.length;
		f->extents[r->extent_count++] = (struct wire_extent){
			length, number % 2 ? DST_EXTENT_HOLE : DST_EXTENT_DATA};
		range_advance(&rest, length);
	}
}

/* Does it and completes it. */
static inline void fake_answer(struct fake_target *f, struct request *r)
{
	uint8_t *at = f->memory + r->range.offset;
	int error = f->error;

	r->place = REQUEST_NOWHERE;
	if (!error && r->type == REQUEST_READ)
		r->data = at;
	else if (!error && r->type == REQUEST_WRITE)
		memcpy(at, r->data, r->range.length);
	else if (!error && (r->type == REQUEST_WRITE_ZEROES || r->type == REQUEST_DISCARD))
		memset(at, 0, r->range.length);
	else if (!error && r->type == REQUEST_EXTENTS)
		fake_extents(f, r);
	else if (!error && r->type == REQUEST_HASH)
		r->hash = f->hash;
	if (!error && r->type == REQUEST_COPY) {
		r->result = r->range.length < f->copy_most ? r->range.length : f->copy_most;
		memcpy(at, f->memory + r->copy_from, r->result);
	}
	r->done(r, error);
}

static inline void fake_submit(struct target *target, struct request *r)
{
	struct fake_target *f = fake_of(target);

	assert_true(range_within(r->range, f->room));
	f->submitted++;
	f->last = *r;
	if (!f->holds) {
		fake_answer(f, r);
		return;
	}
	r->place = REQUEST_WAITING;
	request_list_append(&f->held, r);
}

static inline void fake_release(struct fake_target *f, unsigned count)
{
	while (count-- && f->held.first) {
		struct request *r = f->held.first;

		request_list_remove(&f->held, r);
		fake_answer(f, r);
	}
}

static inline void fake_release_last(struct fake_target *f)
{
	struct request *r = f->held.last;

	request_list_remove(&f->held, r);
	fake_answer(f, r);
}

static inline void fake_cancel(struct target *target, struct request *r, int error)
{
	assert_int_equal(r->place, REQUEST_WAITING);
	request_list_remove(&fake_of(target)->held, r);
	fake_of(target)->cancelled++;
	r->place = REQUEST_NOWHERE;
	r->done(r, error);
}

static inline json_t *fake_status(struct target *target)
{
	return json_pack("{s:I}", "size", (json_int_t)target->size);
}

static inline int fake_reattach(struct target *target, bool takeover)
{
	fake_of(target)->reattached++;
	return target->state == TARGET_FENCED ? 0 : EINVAL;
}

static inline uint64_t fake_losses(struct target *target)
{
	return fake_of(target)->losses;
}

static inline void fake_reason(struct target *target, char *text, size_t size)
{
	snprintf(text, size, "%s", fake_of(target)->reason);
}

static inline bool fake_destroy(struct target *target)
{
	assert_null(fake_of(target)->held.first);
	fake_of(target)->destroyed++;
	free(fake_of(target)->memory);
	fake_of(target)->memory = NULL;
	return true;
}

static const struct target_ops fake_ops = {
	.submit = fake_submit,
	.cancel = fake_cancel,
	.status = fake_status,
	.reattach = fake_reattach,
	.reason = fake_reason,
	.losses = fake_losses,
	.detach = NULL,
	.destroy = fake_destroy,
};

static inline void on_map_changed(void *arg)
{
	m.changes++;
}

/* Another child of that size; 0: not known yet. Up to `room` bytes of it can be used. */
static inline struct fake_target *add_fake(uint64_t size, uint64_t room)
{
	struct fake_target *f = &m.fakes[m.count];
	char name[2] = {(char)('a' + m.count)};
	struct map_child *child = map_next_child(m.map, name);

	assert_true(child && m.count < FAKES);
	m.count++;
	f->base.ops = &fake_ops;
	f->base.size = size;
	f->base.state = size ? TARGET_READY : TARGET_CONNECTING;
	f->base.writable = true;
	f->base.changed = map_child_changed;
	f->base.changed_arg = child;
	f->room = room;
	f->memory = calloc(1, room ? room : 1);
	assert_non_null(f->memory);
	f->copy_most = UINT64_MAX;
	f->extent_grain = 1u << 30;
	map_join(child, &f->base);
	return f;
}

static inline void set_size(struct fake_target *f, uint64_t size)
{
	f->base.size = size;
	f->base.state = TARGET_READY;
	f->base.changed(f->base.changed_arg);
}

static inline void set_fake_state(struct fake_target *f, enum target_state state,
				  const char *reason)
{
	f->base.state = state;
	strcpy(f->reason, reason);
	f->base.changed(f->base.changed_arg);
}

/* A map without children; chunk 0: linear. */
static inline void make_map(uint64_t chunk, unsigned height)
{
	const struct map_setup setup = {
		.workers = &m.worker,
		.worker_count = 1,
		.policy = &m.policy,
		.volume = "test",
		.capacity = FAKES,
		.height = height,
		.chunk = chunk,
		.changed = on_map_changed,
	};

	m.map = chunk ? stripe_new(&setup) : linear_new(&setup);
	assert_non_null(m.map);
}

static int map_setup(void **state)
{
	memset(&m, 0, sizeof(m));
	return worker_init(&m.worker, 0);
}

static int map_teardown(void **state)
{
	assert_true(target_destroy(&m.map));
	for (unsigned i = 0; i < m.count; i++)
		assert_int_equal(m.fakes[i].destroyed, 1);
	assert_int_equal(buf_pool_in_use(m.worker.bufs), 0);
	worker_destroy(&m.worker);
	return 0;
}

/* One request of the test. */
struct io {
	struct request request;
	unsigned done;
	int error;
	uint8_t *data; /* READ: a copy of what came */
	const uint8_t *came; /* where that was */
	struct wire_extent *extents; /* EXTENTS: likewise */
	uint8_t hash[DST_HASH_SIZE];
};

static void io_done(struct request *request, int error)
{
	struct io *io = (struct io *)request;

	io->done++;
	io->error = error;
	assert_int_equal(request->place, REQUEST_NOWHERE);
	if (!error && request->type == REQUEST_READ) {
		io->came = request->data;
		io->data = malloc(request->range.length);
		memcpy(io->data, request->data, request->range.length);
	}
	if (!error && request->type == REQUEST_EXTENTS) {
		io->extents = malloc(request->extent_count * sizeof(*io->extents));
		memcpy(io->extents, request->extents, request->extent_count * sizeof(*io->extents));
	}
	if (!error && request->type == REQUEST_HASH)
		memcpy(io->hash, request->hash, sizeof(io->hash));
}

static inline struct io *submit(enum request_type type, uint64_t offset, uint64_t length,
				const uint8_t *data)
{
	struct io *io = calloc(1, sizeof(*io));

	io->request = (struct request){.type = type,
				       .range = {offset, length},
				       .data = data,
				       .worker = &m.worker,
				       .done = io_done};
	target_submit(m.map, &io->request);
	return io;
}

static inline void io_free(struct io *io)
{
	assert_int_equal(io->done, 1);
	free(io->data);
	free(io->extents);
	free(io);
}

/* It must be over. Returns its error. */
static inline int end(struct io *io)
{
	int error = io->error;

	assert_int_equal(io->done, 1);
	io_free(io);
	return error;
}

#endif
