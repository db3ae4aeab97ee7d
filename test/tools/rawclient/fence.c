/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fence.c - who may write: holders, leases, takeovers, and what comes of sessions without connections. */
#include "test/tools/rawclient/client.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RW (DST_PERM_READ | DST_PERM_WRITE)
#define PATIENCE 15 /* seconds for what must come at last */
#define MOMENT 300 /* milliseconds in which nothing must come */

/* A client with a session of its own. */
struct client {
	struct connection c;
	struct wire_attrs attrs;
};

static void be(struct client *client, const char *name, const char *export_name)
{
	session[0]++;
	client->attrs = hello_attrs(export_name, RW);
	snprintf(client->attrs.client, sizeof(client->attrs.client), "%s", name);
}

static int greet(struct client *client)
{
	uint64_t id = client->c.id, done = client->c.done;
	int status = say_hello(&client->c, &client->attrs);

	client->c.id = id;
	client->c.done = done;
	return status;
}

static int greet_with(struct client *client, enum dst_attr kind, const struct wire_epoch *epoch)
{
	int status;

	client->attrs.has |= 1u << kind;
	*(kind == DST_ATTR_EPOCH ? &client->attrs.epoch : &client->attrs.takeover) = *epoch;
	status = greet(client);
	client->attrs.has &= ~(1u << kind);
	return status;
}

static int resume(struct client *client, const struct wire_epoch *epoch)
{
	return greet_with(client, DST_ATTR_EPOCH, epoch);
}

static int take_over(struct client *client, const struct wire_epoch *epoch)
{
	return greet_with(client, DST_ATTR_TAKEOVER, epoch);
}

/* Until the server has seen that somebody is gone, it refuses: EBUSY. */
static int greet_at_last(struct client *client)
{
	double until = seconds() + PATIENCE;
	int status;

	while ((status = greet(client)) == DST_EBUSY && seconds() < until) {
		hang_up(&client->c);
		usleep(5000);
	}
	return status;
}

/* The epoch that the last answer told. */
static struct wire_epoch told(const struct client *client)
{
	if (!wire_has(&client->c.hello, DST_ATTR_EPOCH))
		complain("the answer tells no epoch");
	return client->c.hello.epoch;
}

/* Makes it the holder, whoever is. */
static struct wire_epoch become_holder(struct client *client, const char *name,
				       const char *export_name)
{
	struct wire_epoch busy;

	*client = (struct client){.c.id = 0};
	be(client, name, export_name);
	if (greet(client) != DST_OK) {
		busy = told(client);
		hang_up(&client->c);
		if (take_over(client, &busy) != DST_OK)
			complain("%s: %s", name, client->c.hello.reason);
	}
	return told(client);
}

static void let_go(struct client *client)
{
	ask_control(&client->c, DST_CLOSE);
	if (!receive(&client->c) || answer.header.type != DST_CLOSE)
		complain("CLOSE is not answered");
	expect_end(&client->c);
}

static int write_byte(struct client *client, uint64_t id, uint8_t value)
{
	uint8_t data[512];

	memset(data, value, sizeof(data));
	return call_as(&client->c, id, request(DST_WRITE, 0, sizeof(data)), data, sizeof(data));
}

static void a_second_writer_is_refused_and_told_who_holds_it(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), busy;
	struct connection reader;

	be(&b, "beta", "rw");
	CHECK(greet(&b) == DST_EBUSY);
	CHECK(strstr(b.c.hello.reason, "held by alpha (127.0.0.1:"));
	CHECK(strstr(b.c.hello.reason, " since 20"));
	busy = told(&b);
	CHECK(wire_epoch_equal(&busy, &epoch));
	expect_end(&b.c);
	for (unsigned i = 0; i < 3; i++) { /* readers come and go */
		join(&reader, "rw", DST_PERM_READ);
		CHECK(!wire_has(&reader.hello, DST_ATTR_EPOCH));
		CHECK(call(&reader, request(DST_WRITE_ZEROES, 0, 512), NULL, 0) == DST_EPERM);
		hang_up(&reader);
	}
	CHECK(write_byte(&a, 1, 1) == DST_OK);
	let_go(&a);
}

static void a_reader_holds_nothing(void)
{
	struct connection reader;
	struct client a;

	become_holder(&a, "alpha", "rw");
	let_go(&a);
	join(&reader, "rw", DST_PERM_READ);
	be(&a, "alpha", "rw");
	CHECK(greet_at_last(&a) == DST_OK);
	CHECK(call(&reader, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&reader);
	let_go(&a);
}

static void a_takeover_needs_the_present_epoch(void)
{
	struct client a, b = {.c.id = 0}, late = {.c.id = 0};
	struct wire_epoch first = become_holder(&a, "alpha", "rw"), wrong = first, second, busy;

	wrong.uuid[5] ^= 1;
	be(&b, "beta", "rw");
	CHECK(take_over(&b, &wrong) == DST_EBUSY);
	busy = told(&b);
	CHECK(wire_epoch_equal(&busy, &first));
	expect_end(&b.c);
	CHECK(take_over(&b, &first) == DST_OK);
	second = told(&b);
	CHECK(second.counter == first.counter + 1);
	CHECK(memcmp(second.uuid, first.uuid, DST_ID_SIZE) != 0);
	expect_end(&a.c);
	CHECK(write_byte(&b, 1, 2) == DST_OK);

	CHECK(resume(&a, &first) == DST_ESTALE);
	CHECK(strstr(a.c.hello.reason, "beta (127.0.0.1:"));
	expect_end(&a.c);
	CHECK(resume(&a, &second) == DST_ESTALE); /* he knows the epoch, and is not its holder */
	expect_end(&a.c);
	CHECK(greet(&a) == DST_EBUSY);
	expect_end(&a.c);
	be(&late, "gamma", "rw");
	CHECK(take_over(&late, &first) == DST_EBUSY); /* it was on its way for long */
	expect_end(&late.c);
	CHECK(write_byte(&b, 2, 3) == DST_OK);
	let_go(&b);
}

static void the_holder_comes_back_as_long_as_nobody_took_over(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), again;

	hang_up(&a.c); /* without a word: it stays reserved */
	be(&b, "beta", "rw");
	CHECK(greet(&b) == DST_EBUSY);
	expect_end(&b.c);
	CHECK(resume(&a, &epoch) == DST_OK);
	again = told(&a);
	CHECK(wire_epoch_equal(&again, &epoch));
	hang_up(&a.c);
	CHECK(greet(&a) == DST_OK);
	hang_up(&a.c);
	CHECK(take_over(&a, &epoch) == DST_OK); /* from itself: nothing to be raised */
	again = told(&a);
	CHECK(wire_epoch_equal(&again, &epoch));
	let_go(&a);
}

static void an_epoch_is_held_or_taken_over_not_both(void)
{
	struct client a;
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw");

	let_go(&a);
	a.attrs.has |= 1u << DST_ATTR_EPOCH | 1u << DST_ATTR_TAKEOVER;
	a.attrs.epoch = a.attrs.takeover = epoch;
	CHECK(greet(&a) == DST_EPROTO);
	expect_end(&a.c);
}

static void when_the_lease_is_over_the_next_may_write(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "brief");
	double until = seconds() + PATIENCE;
	int status;

	hang_up(&a.c);
	be(&b, "beta", "brief");
	while ((status = greet(&b)) == DST_EBUSY && seconds() < until) {
		CHECK(strstr(b.c.hello.reason, "held by alpha"));
		hang_up(&b.c);
		usleep(20000);
	}
	CHECK(status == DST_OK);
	CHECK(resume(&a, &epoch) == DST_ESTALE);
	expect_end(&a.c);
	let_go(&b);
}

static void the_last_lane_that_closes_lets_go(void)
{
	struct client a, lane, b = {.c.id = 0};

	become_holder(&a, "alpha", "rw");
	lane = a;
	a.attrs.lanes = lane.attrs.lanes = 2;
	lane.attrs.lane = 1;
	CHECK(greet(&lane) == DST_OK);
	let_go(&a);
	be(&b, "beta", "rw");
	CHECK(greet(&b) == DST_EBUSY);
	expect_end(&b.c);
	let_go(&lane);
	CHECK(greet_at_last(&b) == DST_OK);
	let_go(&b);
}

/* The session is kept, and what ran on it is not run again. */
static void check_that_nothing_runs_twice(struct client *a, struct client *other)
{
	uint8_t want[512];

	CHECK(write_byte(a, 1, 1) == DST_OK);
	hang_up(&a->c);
	usleep(50000); /* it may well be noticed later: then it is replaced */
	memset(want, 1, sizeof(want));
	if (other) {
		memset(want, 2, sizeof(want));
		CHECK(write_byte(other, 1, 2) == DST_OK);
	}
	a->attrs.has |= 1u << DST_ATTR_PENDING;
	a->attrs.pending = (struct wire_pending){.first = 1, .count = 2, .distance = {0, 1}};
	CHECK(greet(a) == DST_OK);
	a->attrs.has &= ~(1u << DST_ATTR_PENDING);
	CHECK(wire_has(&a->c.hello, DST_ATTR_EXECUTED) && a->c.hello.executed.count == 1 &&
	      a->c.hello.executed.one[0].distance == 0);
	CHECK(write_byte(a, 1, 1) == DST_OK);
	a->c.id = a->c.done = 1;
	expect_read(&a->c, 0, want, sizeof(want));
}

static void a_holder_without_connections_is_remembered(void)
{
	struct client a;

	become_holder(&a, "alpha", "rw");
	check_that_nothing_runs_twice(&a, NULL);
	let_go(&a);
}

static void several_write_to_what_is_shared_and_are_remembered(void)
{
	struct client a = {.c.id = 0}, b = {.c.id = 0};

	be(&a, "alpha", "shared");
	be(&b, "beta", "shared");
	b.attrs.session[1] ^= 1;
	CHECK(greet(&a) == DST_OK && greet(&b) == DST_OK);
	CHECK(a.c.hello.features & DST_IS_SHARED && b.c.hello.features & DST_IS_SHARED);
	CHECK(!wire_has(&a.c.hello, DST_ATTR_EPOCH));
	check_that_nothing_runs_twice(&a, &b);
	let_go(&a);
	let_go(&b);
}

/* More sessions than the server remembers: it forgets the oldest, and lives. */
static void many_sessions_without_connections_are_bounded(void)
{
	struct client a = {.c.id = 0};

	for (unsigned i = 0; i < 400; i++) {
		be(&a, "alpha", "shared");
		a.attrs.session[2] = (uint8_t)i;
		a.attrs.session[3] = (uint8_t)(i >> 8);
		CHECK(greet(&a) == DST_OK);
		hang_up(&a.c);
	}
	CHECK(greet(&a) == DST_OK);
	let_go(&a);
}

const struct scenario fence_scenarios[] = {
	SCENARIO(a_second_writer_is_refused_and_told_who_holds_it),
	SCENARIO(a_reader_holds_nothing),
	SCENARIO(a_takeover_needs_the_present_epoch),
	SCENARIO(the_holder_comes_back_as_long_as_nobody_took_over),
	SCENARIO(an_epoch_is_held_or_taken_over_not_both),
	SCENARIO(when_the_lease_is_over_the_next_may_write),
	SCENARIO(the_last_lane_that_closes_lets_go),
	SCENARIO(a_holder_without_connections_is_remembered),
	SCENARIO(several_write_to_what_is_shared_and_are_remembered),
	SCENARIO(many_sessions_without_connections_are_bounded),
	{NULL, NULL},
};

/* ---- claims that are held up ---- */

static void path_of(const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", stalling, name);
}

/* From now on they wait who do this. */
static void hold_up(const char *name)
{
	char path[512], in[512];
	FILE *file;

	snprintf(in, sizeof(in), "%s/in-%s", stalling, name);
	unlink(in);
	path_of(name, path);
	file = fopen(path, "w");
	if (!file || fclose(file))
		complain("%s: can't be made", path);
}

static void let_on(const char *name)
{
	char path[512];

	path_of(name, path);
	unlink(path);
}

static void wait_for(const char *name)
{
	double until = seconds() + PATIENCE;
	char path[512];

	snprintf(path, sizeof(path), "%s/in-%s", stalling, name);
	while (access(path, F_OK)) {
		if (seconds() > until) {
			complain("nobody comes to %s", name);
			return;
		}
		usleep(5000);
	}
}

static void send_takeover(struct client *client, const struct wire_epoch *epoch)
{
	dial(&client->c);
	client->attrs.has |= 1u << DST_ATTR_TAKEOVER;
	client->attrs.takeover = *epoch;
	send_hello(&client->c, &client->attrs);
	client->attrs.has &= ~(1u << DST_ATTR_TAKEOVER);
}

static void expect_nothing(struct connection *c)
{
	struct pollfd fd = {.fd = c->fd, .events = POLLIN};

	if (poll(&fd, 1, MOMENT))
		complain("it is answered too early");
}

static int resume_at_last(struct client *client, const struct wire_epoch *epoch)
{
	double until = seconds() + PATIENCE;
	int status;

	while ((status = resume(client, epoch)) == DST_EBUSY && seconds() < until) {
		hang_up(&client->c);
		usleep(5000);
	}
	return status;
}

static void a_takeover_waits_for_the_old_io_and_the_flush(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw");

	CHECK(write_byte(&a, 1, 1) == DST_OK);
	hold_up("zeroes");
	hold_up("flush");
	a.c.id = 1;
	ask(&a.c, request(DST_WRITE_ZEROES, 0, 65536), NULL, 0);
	wait_for("zeroes");
	be(&b, "beta", "rw");
	send_takeover(&b, &epoch);
	expect_end(&a.c);
	CHECK(resume(&a, &epoch) == DST_EBUSY); /* it is not decided yet */
	CHECK(strstr(a.c.hello.reason, "beta (127.0.0.1:"));
	expect_end(&a.c);
	expect_nothing(&b.c);
	let_on("zeroes");
	wait_for("flush");
	expect_nothing(&b.c);
	let_on("flush");
	CHECK(receive_hello(&b.c) == DST_OK);
	CHECK(resume(&a, &epoch) == DST_ESTALE);
	expect_end(&a.c);
	let_go(&b);
}

static void a_claim_that_hangs_holds_up_nobody_else(void)
{
	struct client a, b = {.c.id = 0}, lane, c = {.c.id = 0}, other;
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), now, same;
	struct connection reader;

	become_holder(&other, "other", "brief");
	hold_up("flush");
	be(&b, "beta", "rw");
	b.attrs.lanes = 2;
	lane = b;
	lane.attrs.lane = 1;
	send_takeover(&b, &epoch);
	expect_end(&a.c);
	wait_for("flush");
	dial(&lane.c);
	send_hello(&lane.c, &lane.attrs);
	be(&c, "gamma", "rw");
	CHECK(take_over(&c, &epoch) == DST_EBUSY);
	CHECK(strstr(c.c.hello.reason, "beta (127.0.0.1:"));
	expect_end(&c.c);
	CHECK(greet(&c) == DST_EBUSY);
	expect_end(&c.c);
	join(&reader, "rw", DST_PERM_READ);
	CHECK(call(&reader, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	CHECK(write_byte(&other, 1, 1) == DST_OK);
	expect_nothing(&b.c);
	expect_nothing(&lane.c);
	let_on("flush");
	CHECK(receive_hello(&b.c) == DST_OK && receive_hello(&lane.c) == DST_OK);
	now = told(&b);
	same = told(&lane);
	CHECK(wire_epoch_equal(&now, &same) && now.counter == epoch.counter + 1);
	CHECK(call(&reader, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&reader);
	let_go(&lane);
	let_go(&b);
	let_go(&other);
}

static void a_claimer_that_vanishes_has_changed_nothing(void)
{
	struct client a, b = {.c.id = 0}, c = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), now;

	hold_up("flush");
	be(&b, "beta", "rw");
	send_takeover(&b, &epoch);
	wait_for("flush");
	hang_up(&b.c);
	expect_end(&a.c);
	CHECK(resume_at_last(&a, &epoch) == DST_OK); /* and the flush hangs still */
	now = told(&a);
	CHECK(wire_epoch_equal(&epoch, &now));
	CHECK(write_byte(&a, 1, 1) == DST_OK);
	be(&c, "gamma", "rw");
	send_takeover(&c, &epoch); /* needs a flush of its own, once that one is over */
	expect_end(&a.c);
	expect_nothing(&c.c);
	let_on("flush");
	CHECK(receive_hello(&c.c) == DST_OK);
	CHECK(resume(&a, &epoch) == DST_ESTALE);
	expect_end(&a.c);
	let_go(&c);
}

static void a_claimer_that_vanishes_while_it_is_stored_is_the_holder(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), now;

	hold_up("store");
	be(&b, "beta", "rw");
	send_takeover(&b, &epoch);
	wait_for("store");
	hang_up(&b.c);
	expect_end(&a.c);
	CHECK(resume(&a, &epoch) == DST_EBUSY);
	expect_end(&a.c);
	let_on("store");
	CHECK(resume_at_last(&a, &epoch) == DST_ESTALE);
	expect_end(&a.c);
	CHECK(greet(&b) == DST_OK);
	now = told(&b);
	CHECK(now.counter == epoch.counter + 1);
	let_go(&b);
}

static void what_cannot_be_stored_is_not_granted(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw"), now;

	hold_up("fail-store");
	be(&b, "beta", "rw");
	CHECK(take_over(&b, &epoch) == DST_EIO);
	CHECK(strstr(b.c.hello.reason, "state folder"));
	now = told(&b);
	CHECK(wire_epoch_equal(&epoch, &now));
	expect_end(&b.c);
	expect_end(&a.c);
	CHECK(resume(&a, &epoch) == DST_OK); /* it holds it still */
	CHECK(write_byte(&a, 1, 1) == DST_OK);
	let_on("fail-store");
	CHECK(take_over(&b, &epoch) == DST_OK);
	let_go(&b);
}

static void an_old_holder_that_closes_meanwhile_changes_nothing(void)
{
	struct client a, b = {.c.id = 0};
	struct wire_epoch epoch = become_holder(&a, "alpha", "rw");

	hold_up("zeroes");
	ask(&a.c, request(DST_WRITE_ZEROES, 0, 65536), NULL, 0);
	wait_for("zeroes");
	ask_control(&a.c, DST_CLOSE);
	usleep(50000);
	be(&b, "beta", "rw");
	send_takeover(&b, &epoch);
	expect_nothing(&b.c);
	let_on("zeroes");
	CHECK(receive_hello(&b.c) == DST_OK);
	let_go(&b);
}

const struct scenario claim_scenarios[] = {
	SCENARIO(a_takeover_waits_for_the_old_io_and_the_flush),
	SCENARIO(a_claim_that_hangs_holds_up_nobody_else),
	SCENARIO(a_claimer_that_vanishes_has_changed_nothing),
	SCENARIO(a_claimer_that_vanishes_while_it_is_stored_is_the_holder),
	SCENARIO(what_cannot_be_stored_is_not_granted),
	SCENARIO(an_old_holder_that_closes_meanwhile_changes_nothing),
	{NULL, NULL},
};
