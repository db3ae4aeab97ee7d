/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane_fixture.h - a lane with a loop of its own, a node that takes notes, a fake server, and many
 * requests: what the tests of lanes have in common.
 */
#ifndef TEST_UNIT_LANE_FIXTURE_H
#define TEST_UNIT_LANE_FIXTURE_H

#include "dstfs/lane.h"

#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/fake_server.h"

#define PATIENCE (10 * CLOCK_SEC) /* of a test */
#define MANY 200u

/* ---- the lane, its node, its loop ---- */

struct env {
	struct worker worker;
	struct fake fake;
	struct uri uri;
	struct target_policy policy;
	struct retention retention;
	struct lane *lane;
	enum lane_verdict verdict; /* on HELLOs that were answered with DST_OK */
	enum lane_order order; /* for notices and pokes */
	unsigned welcomes, settled, abandoned, losses, notices;
	bool refused;
	char reason[DST_MAX_REASON + 1];

	struct loop_timer poll;
	bool (*until)(struct env *env);
	uint64_t deadline;
};

static struct env e; /* of the test that runs */

struct io {
	struct request request;
	struct buf *buf; /* WRITE: held until it is done, like its owner must */
	unsigned done;
	int error;
	uint8_t first_byte; /* READ: what was delivered */
	void (*then)(struct io *io);
};

static inline bool on_may_connect(void *arg, unsigned index)
{
	return true;
}

static inline void on_greet(void *arg, unsigned index, struct wire_attrs *hello)
{
	hello->has |= 1u << DST_ATTR_SESSION;
}

static inline enum lane_verdict on_answered(void *arg, unsigned index, const char *address,
					    uint16_t status, const struct wire_attrs *attrs,
					    char reason[DST_MAX_REASON + 1])
{
	if (status == DST_ESHUTDOWN)
		return LANE_AWAY;
	if (status != DST_OK)
		return LANE_REFUSED;
	assert_int_equal(attrs->size, e.fake.size);
	e.welcomes++;
	return e.verdict;
}

static inline void on_settled(void *arg, unsigned index)
{
	e.settled++;
}

static inline enum lane_order on_notice(void *arg, unsigned index, const struct wire_attrs *attrs,
					char reason[DST_MAX_REASON + 1])
{
	e.notices++;
	return e.order;
}

static inline void on_lost(void *arg, unsigned index, bool refused, const char *reason)
{
	e.losses++;
	e.refused = refused;
	snprintf(e.reason, sizeof(e.reason), "%s", reason);
}

static inline enum lane_order on_order(void *arg, unsigned index)
{
	return e.order;
}

static inline void on_abandoned(void *arg, unsigned index)
{
	e.abandoned++;
}

static inline void on_sweep(void *arg)
{
	lane_sweep(e.lane);
}

static const struct lane_events events = {
	.may_connect = on_may_connect,
	.greet = on_greet,
	.answered = on_answered,
	.settled = on_settled,
	.notice = on_notice,
	.lost = on_lost,
	.order = on_order,
	.abandoned = on_abandoned,
	.sweep = on_sweep,
};

static inline void on_poll(void *arg)
{
	if (e.until(&e))
		loop_stop(e.worker.loop);
	else if (clock_now() > e.deadline)
		fail_msg("waited in vain; the lane is %s, %s",
			 lane_state_name(lane_get_state(e.lane)), e.reason);
	else
		loop_timer_set(&e.poll, CLOCK_MS);
}

static inline void run_until(bool (*until)(struct env *env))
{
	e.until = until;
	e.deadline = clock_now() + PATIENCE;
	loop_timer_set(&e.poll, 0);
	loop_run(e.worker.loop);
}

static uint64_t run_end;

static inline bool time_is_up(struct env *env)
{
	return clock_now() >= run_end;
}

static inline void run_for(uint64_t time)
{
	run_end = clock_now() + time;
	run_until(time_is_up);
}

static inline bool is_ready(struct env *env)
{
	return lane_get_state(env->lane) == LANE_READY;
}

static inline int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	assert_int_equal(worker_init(&e.worker, 0), 0);
	fake_start(&e.fake, e.worker.loop);
	e.uri.kind = URI_UNIX;
	strcpy(e.uri.export_name, "export");
	snprintf(e.uri.path, sizeof(e.uri.path), "%s", e.fake.path);
	e.policy.timeout = 5 * CLOCK_SEC;
	e.policy.resends = 1000;
	e.policy.reconnect = CLOCK_MS;
	e.policy.ping = 5 * CLOCK_SEC;
	e.policy.checksum = true;
	assert_int_equal(loop_timer_init(&e.poll, e.worker.loop, on_poll, NULL), 0);
	return 0;
}

static inline void lane_begin(void)
{
	const struct lane_config config = {.uri = &e.uri,
					   .policy = &e.policy,
					   .lanes = 1,
					   .client = "test",
					   .retention = &e.retention,
					   .events = &events};

	e.lane = lane_new(&e.worker, &config);
	assert_non_null(e.lane);
	lane_start(e.lane);
}

static inline int teardown(void **state)
{
	unsigned buffers;

	loop_run_posted(e.worker.loop);
	lane_free(&e.lane);
	fake_stop(&e.fake);
	loop_timer_destroy(&e.poll);
	buffers = buf_pool_in_use(e.worker.bufs);
	if (!buffers)
		worker_destroy(&e.worker);
	return buffers ? -1 : 0;
}

/* ---- requests ---- */

static inline void on_done(struct request *request, int error)
{
	struct io *io = (struct io *)request; /* request is the first member */

	io->done++;
	io->error = error;
	buf_unref(&io->buf);
	if (!error && request->type == REQUEST_READ) {
		io->first_byte = request->data[0];
		for (uint64_t i = 0; i < request->range.length; i++)
			if (request->data[i] != fake_byte(request->range.offset + i))
				fail_msg("byte %llu is wrong", (unsigned long long)i);
	}
	if (io->then)
		io->then(io);
}

static inline void submit(struct io *io, enum request_type type, uint64_t offset, uint64_t length)
{
	*io = (struct io){.request = {.type = type,
				      .range = {offset, length},
				      .worker = &e.worker,
				      .done = on_done},
			  .then = io->then};
	if (type == REQUEST_WRITE) {
		io->buf = buf_get(e.worker.bufs);
		assert_non_null(io->buf);
		memset(io->buf->data, (int)offset, length);
		io->request.buf = io->buf;
		io->request.data = io->buf->data;
	}
	lane_submit(e.lane, &io->request);
}

static struct io ios[MANY];
static unsigned io_count;

static inline bool all_done(struct env *env)
{
	for (unsigned i = 0; i < io_count; i++)
		if (!ios[i].done)
			return false;
	return true;
}

static inline void submit_many(unsigned count, enum request_type type, uint64_t length)
{
	memset(ios, 0, sizeof(ios));
	io_count = count;
	for (unsigned i = 0; i < count; i++)
		submit(&ios[i], type, i * length, length);
}

static inline void expect_all(int error)
{
	run_until(all_done);
	run_for(5 * CLOCK_MS); /* what could complete once more has the time to */
	for (unsigned i = 0; i < io_count; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].error, error);
	}
}

static inline void begin(void)
{
	lane_begin();
	run_until(is_ready);
}

/* ---- servers that lie, hang up or say nothing ---- */

static unsigned lies; /* that are still to be told */
static void (*lie)(struct fake *f, const struct wire_header *header);

static inline void lie_first(struct fake *f, const struct wire_header *header,
			     const uint8_t *payload)
{
	if (lies) {
		lies--;
		lie(f, header);
	} else {
		fake_echo(f, header, payload);
	}
}

static uint8_t junk[DST_MAX_PAYLOAD];

static inline void reply(struct fake *f, uint8_t type, uint64_t id, uint32_t length,
			 uint32_t payload)
{
	struct wire_header header = {
		.type = type, .id = id, .range.length = length, .payload = payload};

	fake_send_reply(f, header, junk, false);
}

static inline void hang_up(struct fake *f, const struct wire_header *h)
{
	fake_close(f);
}

static inline bool lost_again(struct env *env)
{
	return env->losses > 0;
}

static inline void no_hello(struct fake *f)
{
}

static inline void refuse_hello(struct fake *f)
{
	struct wire_attrs attrs = {.has = 0};

	fake_send_hello(f, DST_EBUSY, &attrs);
}

static inline bool was_refused(struct env *env)
{
	return env->refused;
}

static inline void no_answer(struct fake *f, const struct wire_header *header,
			     const uint8_t *payload)
{
}

static uint64_t order[4 * MANY];
static unsigned order_count;

static inline void note_order(struct fake *f, const struct wire_header *header,
			      const uint8_t *payload)
{
	if (order_count < 4 * MANY)
		order[order_count++] = header->id;
}

static inline void cancel_all(int error)
{
	for (unsigned i = 0; i < io_count; i++) {
		assert_int_equal(ios[i].done, 0);
		lane_cancel(e.lane, &ios[i].request, error);
		assert_int_equal(ios[i].done, 1);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
