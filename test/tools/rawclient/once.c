/* SPDX-License-Identifier: GPL-2.0-or-later */
/* once.c - what changes content runs once, however often it is sent. */
#include "test/tools/rawclient/client.h"

#include <string.h>

#define BLOCK 4096u

static uint8_t a[BLOCK], b[BLOCK];

static void fill_blocks(void)
{
	memset(a, 0xa1, sizeof(a));
	memset(b, 0xb2, sizeof(b));
}

static struct wire_header write_at(uint64_t offset)
{
	return request(DST_WRITE, offset, BLOCK);
}

/* A later write shows whether an earlier one runs again. */
static void what_has_run_is_answered_and_does_not_run_again(void)
{
	struct connection c;

	fill_blocks();
	join_rw(&c);
	CHECK(call_as(&c, 1, write_at(0), a, BLOCK) == DST_OK);
	CHECK(call_as(&c, 2, write_at(0), b, BLOCK) == DST_OK);
	CHECK(call_as(&c, 1, write_at(0), a, BLOCK) == DST_OK);
	CHECK(call_as(&c, 3, request(DST_WRITE_ZEROES, 0, BLOCK), NULL, 0) == DST_OK);
	CHECK(call_as(&c, 2, write_at(0), b, BLOCK) == DST_OK);
	CHECK(call_as(&c, 4, write_at(0), b, BLOCK) == DST_OK);
	CHECK(call_as(&c, 3, request(DST_WRITE_ZEROES, 0, BLOCK), NULL, 0) == DST_OK);
	c.id = 4;
	expect_read(&c, 0, b, BLOCK);
	hang_up(&c);
}

static void a_copy_keeps_its_length(void)
{
	struct wire_header header = request(DST_COPY, 65536, 32768);
	struct connection c;
	uint64_t length;
	uint8_t from[8];

	fill_blocks();
	join_rw(&c);
	if (!(c.hello.features & DST_CAN_COPY)) {
		hang_up(&c);
		return;
	}
	wire_u64_encode(from, 0);
	CHECK(call_as(&c, 1, write_at(0), a, BLOCK) == DST_OK);
	CHECK(call_as(&c, 2, header, from, sizeof(from)) == DST_OK);
	length = answer.header.range.length;
	CHECK(length >= BLOCK);
	CHECK(call_as(&c, 3, write_at(0), b, BLOCK) == DST_OK);
	CHECK(call_as(&c, 2, header, from, sizeof(from)) == DST_OK);
	CHECK(answer.header.range.length == length);
	wire_u64_encode(from, BLOCK); /* another source is another content */
	CHECK(call_as(&c, 2, header, from, sizeof(from)) == DST_EFALSE_RETRY);
	c.id = 3;
	expect_read(&c, 65536, a, BLOCK);
	hang_up(&c);
}

/* What arrives with one segment is taken up before the first of it has been done. */
static void what_runs_is_joined(void)
{
	struct wire_header header = write_at(8192);
	uint8_t message[DST_HEADER_SIZE + BLOCK], both[2 * sizeof(message)];
	struct connection c;

	fill_blocks();
	join_rw(&c);
	header.id = header.status = 1;
	header.flags = DST_F_FUA; /* so that a thread does it */
	header.payload = BLOCK;
	header.digest = wire_digest(DST_CHECKSUM_XXH3, a, BLOCK);
	wire_encode(message, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
	memcpy(message + DST_HEADER_SIZE, a, BLOCK);
	memcpy(both, message, sizeof(message));
	memcpy(both + sizeof(message), message, sizeof(message));
	put(&c, both, sizeof(both));
	CHECK(receive(&c) && answer.header.id == 1 && answer.header.status == DST_OK);
	c.id = c.done = 1;
	expect_read(&c, 8192, a, BLOCK); /* and not a second answer to the write */
	hang_up(&c);
}

static void an_id_with_other_content_is_refused(void)
{
	struct wire_header fua = write_at(16384);
	struct connection c;

	fill_blocks();
	join_rw(&c);
	CHECK(call_as(&c, 1, write_at(16384), a, BLOCK) == DST_OK);
	CHECK(call_as(&c, 1, write_at(16384), b, BLOCK) == DST_EFALSE_RETRY);
	CHECK(call_as(&c, 1, write_at(20480), a, BLOCK) == DST_EFALSE_RETRY);
	CHECK(call_as(&c, 1, request(DST_WRITE, 16384, 512), a, 512) == DST_EFALSE_RETRY);
	CHECK(call_as(&c, 1, request(DST_DISCARD, 16384, BLOCK), NULL, 0) == DST_EFALSE_RETRY);
	fua.flags = DST_F_FUA;
	CHECK(call_as(&c, 1, fua, a, BLOCK) == DST_EFALSE_RETRY);
	CHECK(call_as(&c, 1, write_at(16384), a, BLOCK) == DST_OK);
	c.id = 1;
	expect_read(&c, 16384, a, BLOCK);
	hang_up(&c);
}

static void what_was_refused_is_looked_at_anew(void)
{
	struct wire_header header = write_at(24576);
	struct connection c;

	fill_blocks();
	join_rw(&c);
	CHECK(call_as(&c, 1, header, b, BLOCK) == DST_OK);
	header.id = header.status = 2;
	header.payload = BLOCK;
	header.digest = 1;
	put_message(&c, &header, a);
	CHECK(receive(&c) && answer.header.status == DST_EBADMSG);
	CHECK(call_as(&c, 2, write_at(24576), a, BLOCK) == DST_OK);
	CHECK(call_as(&c, 3, write_at(SIZE), a, BLOCK) == DST_ENOSPC);
	CHECK(call_as(&c, 3, write_at(28672), a, BLOCK) == DST_OK);
	c.id = 3;
	expect_read(&c, 24576, a, BLOCK);
	expect_read(&c, 28672, a, BLOCK);
	hang_up(&c);
}

/* ---- over connections ---- */

static struct wire_attrs hello_pending(uint64_t first, unsigned count, uint16_t step)
{
	struct wire_attrs attrs = hello_attrs("rw", DST_PERM_READ | DST_PERM_WRITE);

	attrs.has |= 1u << DST_ATTR_PENDING;
	attrs.pending.first = first;
	attrs.pending.count = count;
	for (unsigned i = 0; i < count; i++)
		attrs.pending.distance[i] = (uint16_t)(i * step);
	return attrs;
}

static void pending_is_answered_with_what_has_run(void)
{
	struct connection old, new;
	struct wire_attrs attrs;

	fill_blocks();
	join_rw(&old);
	CHECK(call_as(&old, 1, write_at(0), a, BLOCK) == DST_OK);
	CHECK(call_as(&old, 2, write_at(0), b, BLOCK) == DST_OK);
	CHECK(call_as(&old, 3, write_at(SIZE), b, BLOCK) == DST_ENOSPC);
	CHECK(call_as(&old, 4, request(DST_READ, 0, BLOCK), NULL, 0) == DST_OK);
	attrs = hello_pending(1, 6, 1);
	CHECK(say_hello(&new, &attrs) == DST_OK);
	expect_end(&old);
	CHECK(wire_has(&new.hello, DST_ATTR_EXECUTED) && new.hello.executed.count == 2);
	for (unsigned i = 0; i < 2; i++) {
		CHECK(new.hello.executed.one[i].distance == i);
		CHECK(new.hello.executed.one[i].status == DST_OK);
	}
	CHECK(call_as(&new, 1, write_at(0), a, BLOCK) == DST_OK);
	new.id = 4;
	expect_read(&new, 0, b, BLOCK);
	hang_up(&new);
}

/* As many as there can be: far more than fits a small answer. */
static void all_that_can_be_pending_is_answered(void)
{
	struct connection old, new;
	struct wire_attrs attrs;
	unsigned ran = 0;

	fill_blocks();
	join_rw(&old);
	for (uint64_t id = 1; id <= 4096; id += 3) {
		CHECK(call_as(&old, id, write_at(0), a, BLOCK) == DST_OK);
		ran++;
	}
	attrs = hello_pending(1, DST_MAX_DEPTH, 4);
	CHECK(say_hello(&new, &attrs) == DST_OK);
	expect_end(&old);
	CHECK(ran == 1366 && new.hello.executed.count == 342);
	for (unsigned i = 0; i < new.hello.executed.count; i++)
		CHECK(new.hello.executed.one[i].distance == i * 12);
	hang_up(&new);
}

/* A read, say, that was sent before the first write that is named: it is not, and comes again. */
static void what_is_below_the_first_pending_may_come_again(void)
{
	struct connection old, new;
	struct wire_attrs attrs;

	fill_blocks();
	join_rw(&old);
	CHECK(call_as(&old, 1, write_at(0), a, BLOCK) == DST_OK);
	attrs = hello_pending(3, 1, 1);
	CHECK(say_hello(&new, &attrs) == DST_OK);
	expect_end(&old);
	CHECK(new.hello.executed.count == 0);
	CHECK(call_as(&new, 2, request(DST_READ, 0, BLOCK), NULL, 0) == DST_OK);
	CHECK(call_as(&new, 3, write_at(0), b, BLOCK) == DST_OK);
	hang_up(&new);
}

static void pending_below_the_watermark_is_refused(void)
{
	struct connection old, new;
	struct wire_attrs attrs;

	fill_blocks();
	join_rw(&old);
	for (unsigned i = 0; i < 3; i++)
		CHECK(call(&old, write_at(0), a, BLOCK) == DST_OK);
	attrs = hello_pending(2, 1, 1);
	CHECK(say_hello(&new, &attrs) == DST_EPROTO);
	CHECK(strstr(new.hello.reason, "done with"));
	expect_end(&new);
	expect_end(&old);
}

/* The connection is replaced while they run: each that is named has run, each that is not has not, and
 * runs when it is sent again. Where one writes twice the later one must stay. */
static void what_a_broken_connection_carried_is_sorted_out(void)
{
	enum { ROUNDS = 50, COUNT = 64 };

	for (unsigned round = 0; round < ROUNDS && !failures; round++) {
		static uint8_t data[COUNT][BLOCK];
		struct connection old, new;
		struct wire_attrs attrs;
		unsigned named = 0;

		join_rw(&old);
		for (uint64_t i = 0; i < COUNT; i++) {
			struct wire_header header = write_at(i * BLOCK);

			header.flags = DST_F_FUA;
			fill(data[i], BLOCK, (unsigned)(round * COUNT + i));
			ask_as(&old, i + 1, header, data[i], BLOCK);
			if (i == round)
				CHECK(receive(&old)); /* some are done */
		}
		attrs = hello_pending(1, COUNT, 1);
		CHECK(say_hello(&new, &attrs) == DST_OK);
		while (receive(&old))
			; /* answers that were on their way */
		hang_up(&old);
		for (uint64_t i = 0; i < COUNT && !failures; i++) {
			struct wire_header header = write_at(i * BLOCK);

			header.flags = DST_F_FUA;
			if (named < new.hello.executed.count &&new.hello.executed.one[named]
					    .distance ==
			    i) {
				named++;
				CHECK(call_as(&new, COUNT + 1, request(DST_READ, i * BLOCK, BLOCK),
					      NULL, 0) == DST_OK);
				CHECK(!memcmp(answer.payload, data[i], BLOCK));
			} else {
				CHECK(call_as(&new, i + 1, header, data[i], BLOCK) == DST_OK);
			}
		}
		CHECK(named == new.hello.executed.count);
		hang_up(&new);
	}
}

/* Sessions of many lanes that come, write and go: what is kept of them is bounded, and makes room. */
static void those_who_have_gone_make_room(void)
{
	enum { SESSIONS = 36 }; /* more lanes than there are tables */

	fill_blocks();
	for (unsigned s = 0; s < SESSIONS && !failures; s++) {
		static struct connection lanes[DST_MAX_LANES];
		struct wire_attrs attrs;

		session[0]++;
		attrs = hello_attrs("shared", DST_PERM_READ | DST_PERM_WRITE);
		attrs.lanes = DST_MAX_LANES;
		for (attrs.lane = 0; attrs.lane < DST_MAX_LANES; attrs.lane++) {
			struct connection *c = &lanes[attrs.lane];

			CHECK(say_hello(c, &attrs) == DST_OK);
			CHECK(call(c, write_at(0), a, BLOCK) == DST_OK);
		}
		for (unsigned i = 0; i < DST_MAX_LANES; i++)
			hang_up(&lanes[i]);
	}
}

const struct scenario once_scenarios[] = {
	SCENARIO(what_has_run_is_answered_and_does_not_run_again),
	SCENARIO(a_copy_keeps_its_length),
	SCENARIO(what_runs_is_joined),
	SCENARIO(an_id_with_other_content_is_refused),
	SCENARIO(what_was_refused_is_looked_at_anew),
	SCENARIO(pending_is_answered_with_what_has_run),
	SCENARIO(all_that_can_be_pending_is_answered),
	SCENARIO(what_is_below_the_first_pending_may_come_again),
	SCENARIO(pending_below_the_watermark_is_refused),
	SCENARIO(what_a_broken_connection_carried_is_sorted_out),
	SCENARIO(those_who_have_gone_make_room),
	{0},
};
