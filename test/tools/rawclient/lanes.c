/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lanes.c - lanes of a session, and connections that replace each other. */
#include "test/tools/rawclient/client.h"

#include <string.h>
#include <unistd.h>

static void lanes_of_a_session_see_one_export(void)
{
	static uint8_t data[4096];
	struct wire_attrs attrs;
	struct connection one, two;

	session[0]++;
	attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);
	attrs.lanes = 2;
	CHECK(insist(&one, &attrs) == DST_OK);
	attrs.lane = 1;
	CHECK(say_hello(&two, &attrs) == DST_OK);
	fill(data, sizeof(data), 21);
	CHECK(call(&one, request(DST_WRITE, 40960, sizeof(data)), data, sizeof(data)) == DST_OK);
	expect_read(&two, 40960, data, sizeof(data));
	hang_up(&one);
	expect_read(&two, 40960, data, sizeof(data));
	hang_up(&two);
}

static double time_of_work(struct connection *c)
{
	double begin = seconds();

	ask_for_work(c);
	for (unsigned i = 0; i < WORK; i++)
		CHECK(receive(c) && answer.header.status == DST_OK);
	c->done = c->id;
	return seconds() - begin;
}

static void a_replacement_is_answered_when_the_old_io_is_over(void)
{
	struct wire_attrs attrs;
	struct connection old, new;
	double begin, work, hello;

	join(&old, "big", DST_PERM_READ);
	time_of_work(&old); /* brings it into the cache */
	work = time_of_work(&old);
	ask_for_work(&old);
	usleep(20000); /* let it begin */
	begin = seconds();
	attrs = hello_attrs("big", DST_PERM_READ); /* the same session, the same lane */
	CHECK(say_hello(&new, &attrs) == DST_OK);
	hello = seconds() - begin;
	if (hello < work / 10) /* at once, it would be a thousandth */
		complain("answered after %.3f s, the work takes %.3f s", hello, work);
	expect_end(&old); /* and none of its answers */
	new.id = new.done = old.id;
	CHECK(call(&new, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&new);
}

static void of_two_replacements_the_later_one_wins(void)
{
	struct wire_attrs attrs;
	struct connection old, first, second;

	join(&old, "big", DST_PERM_READ);
	attrs = hello_attrs("big", DST_PERM_READ);
	ask_for_work(&old);
	usleep(20000);
	dial(&first);
	send_hello(&first, &attrs);
	usleep(100000); /* another worker may have it, on a busy machine: it must come first */
	CHECK(say_hello(&second, &attrs) == DST_OK);
	expect_end(&first);
	expect_end(&old);
	second.id = second.done = old.id;
	CHECK(call(&second, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&second);
}

static void connections_that_vanish_in_the_middle_leave_nothing(void)
{
	static uint8_t data[1 << 20];
	struct connection c;

	for (unsigned i = 0; i < 200; i++) {
		uint8_t encoded[DST_HEADER_SIZE];
		struct wire_header header = request(DST_WRITE, 0, sizeof(data));

		header.id = header.status = 1;
		header.payload = sizeof(data);
		join_rw(&c);
		wire_encode(encoded, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
		put(&c, encoded, sizeof(encoded));
		put(&c, data, i * 5000);
		hang_up(&c);
	}
	join(&c, "big", DST_PERM_READ);
	ask_for_work(&c);
	hang_up(&c);
	join_rw(&c);
	CHECK(call(&c, request(DST_READ, 0, 4096), NULL, 0) == DST_OK);
	hang_up(&c);
}

const struct scenario lane_scenarios[] = {
	SCENARIO(lanes_of_a_session_see_one_export),
	SCENARIO(a_replacement_is_answered_when_the_old_io_is_over),
	SCENARIO(of_two_replacements_the_later_one_wins),
	SCENARIO(connections_that_vanish_in_the_middle_leave_nothing),
	{0},
};
