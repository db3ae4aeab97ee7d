/* SPDX-License-Identifier: GPL-2.0-or-later */
/* failing.c - what a server says and does when its storage can't make durable what was written. */
#include "test/tools/rawclient/client.h"

#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096u

static uint8_t a[BLOCK], b[BLOCK];
static struct connection one, two; /* lanes of a session */
static uint8_t instance[DST_ID_SIZE]; /* as last told */

static void fail_syncs(bool fail)
{
	int fd;

	if (!fail) {
		unlink(failing);
		return;
	}
	fd = open(failing, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", failing);
	close(fd);
}

/* What earlier scenarios left behind is told and over with. */
static void settle(struct connection *c)
{
	ask(c, request(DST_FLUSH, 0, 0), NULL, 0);
	while (receive(c) && answer.header.type == DST_NOTICE)
		;
	c->done = c->id;
}

static void begin(void)
{
	struct wire_attrs attrs;

	fail_syncs(false);
	join(&one, "rw", DST_PERM_READ);
	settle(&one);
	hang_up(&one);
	memset(a, 0xa3, sizeof(a));
	memset(b, 0xb4, sizeof(b));
	session[0]++;
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.lanes = 2;
	CHECK(insist(&one, &attrs) == DST_OK);
	attrs.lane = 1;
	CHECK(say_hello(&two, &attrs) == DST_OK);
	memcpy(instance, two.hello.instance, DST_ID_SIZE);
	CHECK(!memcmp(instance, one.hello.instance, DST_ID_SIZE));
}

static void end(void)
{
	fail_syncs(false);
	hang_up(&one);
	hang_up(&two);
}

/* The message that came must tell of an instance that was not there before. */
static void check_notice(struct connection *c)
{
	char reason[DST_MAX_REASON + 1];
	struct wire_attrs attrs;

	if (answer.header.type != DST_NOTICE ||
	    wire_attrs_decode(&attrs, answer.payload, answer.header.payload, reason) ||
	    !wire_has(&attrs, DST_ATTR_INSTANCE)) {
		complain("no notice of another instance");
		return;
	}
	CHECK(memcmp(attrs.instance, c->hello.instance, DST_ID_SIZE) != 0);
	memcpy(c->hello.instance, attrs.instance, DST_ID_SIZE);
	memcpy(instance, attrs.instance, DST_ID_SIZE);
}

static void expect_notice(struct connection *c)
{
	if (failures)
		return; /* or a second message would be waited for that doesn't come */
	if (receive(c))
		check_notice(c);
	else
		complain("no notice of another instance");
}

static void expect_answer(struct connection *c, uint64_t id, int status)
{
	CHECK(!failures && receive(c) && answer.header.type != DST_NOTICE &&
	      answer.header.id == id && answer.header.status == status);
}

static void notice_comes_before_the_answer_of_the_failed_flush(void)
{
	struct connection other;

	begin();
	CHECK(call(&one, request(DST_WRITE, 0, BLOCK), a, BLOCK) == DST_OK);
	fail_syncs(true);
	ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
	expect_notice(&one);
	expect_answer(&one, one.id, DST_EIO);
	fail_syncs(false);
	ask(&two, request(DST_FLUSH, 0, 0), NULL, 0); /* asked for before it was told */
	expect_notice(&two);
	expect_answer(&two, two.id, DST_OK);
	CHECK(!memcmp(one.hello.instance, two.hello.instance, DST_ID_SIZE));
	one.done = one.id;
	CHECK(call(&one, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK); /* told once */
	join(&other, "rw", DST_PERM_READ);
	CHECK(!memcmp(other.hello.instance, instance, DST_ID_SIZE));
	hang_up(&other);
	end();
}

static void notice_comes_to_who_asks_for_nothing(void)
{
	begin();
	fail_syncs(true);
	ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
	expect_notice(&one);
	expect_answer(&one, one.id, DST_EIO);
	expect_notice(&two);
	CHECK(!memcmp(one.hello.instance, two.hello.instance, DST_ID_SIZE));
	end();
}

static void each_failed_flush_is_another_instance(void)
{
	begin();
	fail_syncs(true);
	for (unsigned i = 0; i < 5; i++) {
		ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
		expect_notice(&one);
		expect_answer(&one, one.id, DST_EIO);
		one.done = one.id;
	}
	end();
}

static void write_through_that_fails_is_told_likewise(void)
{
	struct wire_header header = request(DST_WRITE, 0, BLOCK);

	begin();
	header.flags = DST_F_FUA;
	fail_syncs(true);
	ask(&one, header, a, BLOCK);
	expect_notice(&one);
	expect_answer(&one, one.id, DST_EIO);
	fail_syncs(false);
	one.done = one.id;
	ask(&one, request(DST_FLUSH, 0, 0), NULL, 0); /* only write-through was told of it */
	expect_notice(&one);
	expect_answer(&one, one.id, DST_EIO);
	one.done = one.id;
	CHECK(call(&one, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK);
	end();
}

/* Both lanes flush at a time: whichever is answered first, none hears of success before the notice. */
static void no_flush_succeeds_before_the_notice(void)
{
	for (unsigned round = 0; round < 20 && !failures; round++) {
		begin();
		fail_syncs(true);
		ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
		ask(&two, request(DST_FLUSH, 0, 0), NULL, 0);
		/* With the second failure close behind the first, a connection may end instead: see
		 * below. */
		if (receive(&one))
			check_notice(&one);
		if (receive(&two))
			check_notice(&two);
		end();
	}
}

/* One that takes no messages has its first notice still on the way when the next is due. Rather than
 * answers without it there is the end of the connection. */
static void no_answer_overtakes_a_notice(void)
{
	enum { READS = 24, FLUSHES = 2 };
	unsigned notices = 0, flushes = 0;

	begin();
	for (unsigned i = 0; i < READS; i++)
		ask(&one, request(DST_READ, 0, SIZE), NULL, 0);
	fail_syncs(true);
	for (unsigned i = 0; i < FLUSHES; i++) {
		ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
		expect_notice(&two); /* now it has failed */
	}
	while (receive(&one)) {
		notices += answer.header.type == DST_NOTICE;
		flushes += answer.header.type == DST_FLUSH;
		CHECK(flushes <= notices);
	}
	CHECK(notices <= 1);
	end();
}

static void what_ran_under_another_instance_runs_again(void)
{
	struct wire_attrs attrs;
	struct connection new;

	begin();
	CHECK(call_as(&two, 1, request(DST_WRITE, 0, BLOCK), a, BLOCK) == DST_OK);
	CHECK(call_as(&two, 2, request(DST_WRITE, 0, BLOCK), b, BLOCK) == DST_OK);
	CHECK(call_as(&two, 1, request(DST_WRITE, 0, BLOCK), a, BLOCK) == DST_OK);
	two.id = 2;
	CHECK(call_as(&two, 3, request(DST_READ, 0, BLOCK), NULL, 0) == DST_OK);
	CHECK(!memcmp(answer.payload, b, BLOCK));
	fail_syncs(true);
	ask(&one, request(DST_FLUSH, 0, 0), NULL, 0);
	expect_notice(&one);
	expect_answer(&one, one.id, DST_EIO);
	fail_syncs(false);

	expect_notice(&two);
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.lane = 1;
	attrs.lanes = 2;
	attrs.has |= 1u << DST_ATTR_PENDING;
	attrs.pending = (struct wire_pending){.first = 1, .count = 2, .distance = {0, 1}};
	CHECK(say_hello(&new, &attrs) == DST_OK);
	CHECK(wire_has(&new.hello, DST_ATTR_EXECUTED) && new.hello.executed.count == 0);
	CHECK(!memcmp(new.hello.instance, one.hello.instance, DST_ID_SIZE));
	CHECK(call_as(&new, 2, request(DST_WRITE, 0, BLOCK), a, BLOCK) == DST_OK); /* or another */
	CHECK(call_as(&new, 1, request(DST_WRITE, 4096, BLOCK), b, BLOCK) == DST_OK);
	CHECK(call_as(&new, 3, request(DST_READ, 0, BLOCK), NULL, 0) == DST_OK);
	CHECK(!memcmp(answer.payload, a, BLOCK));
	hang_up(&new);
	end();
}

/* On "sync" each is made durable before it is answered, so each fails with the disk; on "rw" none. */
static void sync_makes_all_that_is_answered_durable(void)
{
	static const enum dst_type types[] = {DST_WRITE, DST_WRITE_ZEROES, DST_DISCARD, DST_COPY};

	for (int sync = 0; sync <= 1; sync++) {
		for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			struct wire_header header = request(types[i], 65536, BLOCK);
			bool copy = types[i] == DST_COPY, has_data = types[i] == DST_WRITE;
			uint8_t from[8] = {0};
			struct connection c;

			join(&c, sync ? "sync" : "rw", DST_PERM_READ | DST_PERM_WRITE);
			settle(&c);
			fail_syncs(true);
			ask(&c, header,
			    copy       ? from
			    : has_data ? a
				       : NULL,
			    copy       ? sizeof(from)
			    : has_data ? BLOCK
				       : 0);
			if (sync)
				expect_notice(&c);
			expect_answer(&c, c.id, sync ? DST_EIO : DST_OK);
			fail_syncs(false);
			hang_up(&c);
			if (failures) {
				complain("that was %s, sync %d", wire_type_name(types[i]), sync);
				return;
			}
		}
	}
}

const struct scenario failing_scenarios[] = {
	SCENARIO(notice_comes_before_the_answer_of_the_failed_flush),
	SCENARIO(notice_comes_to_who_asks_for_nothing),
	SCENARIO(each_failed_flush_is_another_instance),
	SCENARIO(write_through_that_fails_is_told_likewise),
	SCENARIO(no_flush_succeeds_before_the_notice),
	SCENARIO(no_answer_overtakes_a_notice),
	SCENARIO(what_ran_under_another_instance_runs_again),
	SCENARIO(sync_makes_all_that_is_answered_durable),
	{0},
};
