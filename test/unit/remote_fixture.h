/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remote_fixture.h - a remote target with several lanes against a fake node, all in one loop, and
 * requests of blocks whose content tells which of them it is.
 */
#ifndef TEST_UNIT_REMOTE_FIXTURE_H
#define TEST_UNIT_REMOTE_FIXTURE_H

#include "common/clock.h"
#include "common/log.h"
#include "dstfs/remote.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/fake_node.h"

#define PATIENCE (20 * CLOCK_SEC) /* of a test */
#define LANES_MOST 8u
#define IOS 512u

struct io {
	struct request request;
	struct buf *buf;
	bool submitted, done;
	int error;
	uint8_t byte; /* READ: what was read */
};

static struct env {
	struct loop *loop;
	struct worker workers[LANES_MOST];
	unsigned lanes;
	struct node node;
	struct uri uri;
	struct target_policy policy;
	struct target *target;
	unsigned changes;
	enum target_state told; /* its state when it last said that something has changed */
	struct io ios[IOS];

	struct loop_timer poll;
	bool (*until)(void);
	uint64_t deadline;
} e;

static inline void on_changed(void *arg)
{
	e.changes++;
	if (e.target)
		e.told = e.target->state;
}

static inline void on_poll(void *arg)
{
	char reason[DST_MAX_REASON + 1];

	if (e.until()) {
		loop_stop(e.loop);
	} else if (clock_now() > e.deadline) {
		e.target->ops->reason(e.target, reason, sizeof(reason));
		fail_msg("waited in vain; the target is %s: %s", target_state_name(e.target->state),
			 reason);
	} else {
		loop_timer_set(&e.poll, CLOCK_MS);
	}
}

static inline void run_until(bool (*until)(void))
{
	e.until = until;
	e.deadline = clock_now() + PATIENCE;
	loop_timer_set(&e.poll, 0);
	loop_run(e.loop);
}

static uint64_t run_end;

static inline bool time_is_up(void)
{
	return clock_now() >= run_end;
}

static inline void run_for(uint64_t time)
{
	run_end = clock_now() + time;
	run_until(time_is_up);
}

/* ---- the target ---- */

static inline int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	for (unsigned i = 0; i < LANES_MOST; i++)
		assert_int_equal(worker_init(&e.workers[i], i), 0);
	e.loop = e.workers[0].loop;
	for (unsigned i = 1; i < LANES_MOST; i++) { /* one thread is all of them */
		loop_free(&e.workers[i].loop);
		e.workers[i].loop = e.loop;
	}
	node_start(&e.node, e.loop);
	e.uri.kind = URI_UNIX;
	strcpy(e.uri.export_name, "export");
	snprintf(e.uri.path, sizeof(e.uri.path), "%s", e.node.path);
	e.policy.timeout = 5 * CLOCK_SEC;
	e.policy.resends = 1000;
	e.policy.reconnect = CLOCK_MS;
	e.policy.ping = 5 * CLOCK_SEC;
	e.policy.ping_timeout = 5 * CLOCK_SEC;
	e.policy.checksum = true;
	e.policy.retain = 64 << 20;
	assert_int_equal(loop_timer_init(&e.poll, e.loop, on_poll, NULL), 0);
	return 0;
}

static inline void target_begin(unsigned lanes)
{
	e.lanes = lanes;
	e.target = remote_new(&e.uri, e.workers, lanes, &e.policy, "test", on_changed, NULL);
	assert_non_null(e.target);
}

static inline bool all_lanes_are_ready(void)
{
	return e.target->state == TARGET_READY && node_connected(&e.node) == e.lanes;
}

static inline void begin(unsigned lanes)
{
	target_begin(lanes);
	run_until(all_lanes_are_ready);
	run_for(2 * CLOCK_MS);
}

static inline bool is_fenced(void)
{
	return e.target->state == TARGET_FENCED;
}

static inline bool is_refused(void)
{
	return e.target->state == TARGET_REFUSED;
}

static inline bool is_ready(void)
{
	return e.target->state == TARGET_READY;
}

static inline const char *reason(void)
{
	static char text[DST_MAX_REASON + 1];

	e.target->ops->reason(e.target, text, sizeof(text));
	return text;
}

static inline json_int_t status_of(const char *object, const char *key)
{
	json_t *status = e.target->ops->status(e.target), *in = status;
	json_int_t value;

	assert_non_null(status);
	if (object)
		in = json_object_get(status, object);
	assert_true(json_is_integer(json_object_get(in, key)));
	value = json_integer_value(json_object_get(in, key));
	json_decref(status);
	return value;
}

static inline void cancel_unfinished(void)
{
	for (unsigned i = 0; i < IOS; i++)
		if (e.ios[i].submitted && !e.ios[i].done)
			target_cancel(e.target, &e.ios[i].request, ECANCELED);
}

static inline int teardown(void **state)
{
	unsigned buffers = 0;

	cancel_unfinished();
	loop_run_posted(e.loop);
	target_destroy(&e.target);
	node_stop(&e.node);
	loop_timer_destroy(&e.poll);
	for (unsigned i = 0; i < LANES_MOST; i++) {
		buffers += buf_pool_in_use(e.workers[i].bufs);
		if (i)
			e.workers[i].loop = NULL;
	}
	for (unsigned i = LANES_MOST; i-- && !buffers;)
		worker_destroy(&e.workers[i]);
	return buffers ? -1 : 0;
}

/* ---- requests ---- */

static inline void on_done(struct request *request, int error)
{
	struct io *io = (struct io *)request; /* its first member */

	assert_false(io->done);
	io->done = true;
	io->error = error;
	if (!error && request->type == REQUEST_READ)
		io->byte = request->data[0];
	buf_unref(&io->buf);
}

/* Request number `slot`, of one block, on that lane. */
static inline struct io *submit_on(unsigned slot, unsigned lane, enum request_type type,
				   uint64_t block, uint8_t byte)
{
	struct io *io = &e.ios[slot];

	assert_true(slot < IOS && (!io->submitted || io->done));
	*io = (struct io){.request = {.type = type,
				      .range = {block * NODE_BLOCK, NODE_BLOCK},
				      .worker = &e.workers[lane],
				      .done = on_done},
			  .submitted = true};
	if (type == REQUEST_WRITE) {
		io->buf = buf_get(e.workers[lane].bufs);
		assert_non_null(io->buf);
		memset(io->buf->data, byte, NODE_BLOCK);
		io->request.buf = io->buf;
		io->request.data = io->buf->data;
	}
	if (type == REQUEST_COPY)
		io->request.copy_from = (NODE_BLOCKS - 1) * NODE_BLOCK;
	target_submit(e.target, &io->request);
	return io;
}

static inline bool all_done(void)
{
	for (unsigned i = 0; i < IOS; i++)
		if (e.ios[i].submitted && !e.ios[i].done)
			return false;
	return true;
}

static inline void expect_all(int error)
{
	run_until(all_done);
	for (unsigned i = 0; i < IOS; i++)
		if (e.ios[i].submitted)
			assert_int_equal(e.ios[i].error, error);
}

/* Blocks first .. first + count get the bytes from `byte` on, over all lanes in turn. */
static inline void write_blocks(unsigned first, unsigned count, uint8_t byte)
{
	for (unsigned i = 0; i < count; i++)
		submit_on(i, i % e.lanes, REQUEST_WRITE, first + i, (uint8_t)(byte + i));
	run_until(all_done);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(e.ios[i].error, 0);
}

static inline void expect_content(const uint8_t *content, unsigned first, unsigned count,
				  uint8_t byte)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(content[first + i], (uint8_t)(byte + i));
}

/* A FLUSH on that lane; its error. */
static inline int flush_on(unsigned lane)
{
	struct io *io = submit_on(IOS - 1, lane, REQUEST_FLUSH, 0, 0);

	run_until(all_done);
	return io->error;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
