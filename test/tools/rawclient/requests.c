/* SPDX-License-Identifier: GPL-2.0-or-later */
/* requests.c - what requests do, and may not do. */
#include "test/tools/rawclient/client.h"

#include "common/checksum.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* ---- bounds and rights ---- */

static void ranges_past_the_end_are_refused_with_nothing_done(void)
{
	static uint8_t data[8192];
	struct connection c;

	join_rw(&c);
	memset(data, 0x33, sizeof(data));
	CHECK(call(&c, request(DST_WRITE, SIZE - 4096, 4096), data, 4096) == DST_OK);
	CHECK(call(&c, request(DST_READ, SIZE, 1), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_READ, SIZE - 1, 2), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_READ, (uint64_t)1 << 62, 512), NULL, 0) == DST_EINVAL);
	CHECK(answer.header.payload == 0);
	memset(data, 0x44, sizeof(data));
	CHECK(call(&c, request(DST_WRITE, SIZE - 4096, 8192), data, 8192) == DST_ENOSPC);
	CHECK(call(&c, request(DST_WRITE, SIZE, 1), data, 1) == DST_ENOSPC);
	CHECK(call(&c, request(DST_WRITE_ZEROES, SIZE - 1, 2), NULL, 0) == DST_ENOSPC);
	CHECK(call(&c, request(DST_DISCARD, SIZE - 4096, 8192), NULL, 0) == DST_EINVAL);
	CHECK(call(&c, request(DST_EXTENTS, 0, SIZE + 1), NULL, 0) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_HASH, 1, SIZE), 0) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, SIZE - 512, 1024), 0) == DST_ENOSPC);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), SIZE - 512) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), UINT64_MAX) == DST_EINVAL);
	CHECK(call_seeded(&c, request(DST_COPY, 0, 1024), 1023) == DST_EINVAL);
	memset(data, 0x33, sizeof(data));
	expect_read(&c, SIZE - 4096, data, 4096);
	hang_up(&c);
}

static void expect_no_writing(struct connection *c, int status)
{
	static uint8_t before[4096], data[4096];

	CHECK(call(c, request(DST_READ, 0, sizeof(before)), NULL, 0) == DST_OK);
	memcpy(before, answer.payload, sizeof(before));
	memset(data, 0x55, sizeof(data));
	CHECK(call(c, request(DST_WRITE, 0, 4096), data, 4096) == status);
	CHECK(call(c, request(DST_WRITE, SIZE, 4096), data, 4096) == status);
	CHECK(call(c, request(DST_WRITE_ZEROES, 0, 4096), NULL, 0) == status);
	CHECK(call(c, request(DST_DISCARD, 0, 4096), NULL, 0) == status);
	CHECK(call_seeded(c, request(DST_COPY, 0, 4096), 8192) == status);
	CHECK(call(c, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK);
	expect_read(c, 0, before, sizeof(before));
}

static void a_read_only_export_or_session_refuses_writes(void)
{
	struct connection c;

	join(&c, "ro", DST_PERM_READ | DST_PERM_WRITE);
	CHECK(c.hello.permissions == DST_PERM_READ);
	expect_no_writing(&c, DST_EROFS);
	hang_up(&c);

	join(&c, "rw", DST_PERM_READ);
	CHECK(c.hello.permissions == DST_PERM_READ);
	expect_no_writing(&c, DST_EPERM);
	hang_up(&c);
}

/* ---- what requests do ---- */

static void what_is_written_is_read(void)
{
	static const uint32_t sizes[] = {1, 511, 4096, 4097, 32767, 32768, 32769, 262144, SIZE};
	static uint8_t data[SIZE];
	struct connection c;

	join_rw(&c);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct wire_header header = request(DST_WRITE, (SIZE - sizes[i]) / 2, sizes[i]);

		header.flags = i % 2 ? DST_F_FUA : 0;
		fill(data, sizes[i], i);
		CHECK(call(&c, header, data, sizes[i]) == DST_OK);
		expect_read(&c, header.range.offset, data, sizes[i]);
	}
	CHECK(call(&c, request(DST_FLUSH, 0, 0), NULL, 0) == DST_OK);
	hang_up(&c);
}

static void hash_is_the_digest_of_the_range(void)
{
	static uint8_t data[100001];
	uint8_t want[DST_HASH_SIZE];
	struct checksum_range *sum = checksum_range_new(77);
	struct connection c;

	fill(data, sizeof(data), 9);
	checksum_range_add(sum, data, sizeof(data));
	checksum_range_end(&sum, want);
	join_rw(&c);
	CHECK(call(&c, request(DST_WRITE, 333, sizeof(data)), data, sizeof(data)) == DST_OK);
	CHECK(call_seeded(&c, request(DST_HASH, 333, sizeof(data)), 77) == DST_OK);
	CHECK(answer.header.payload == DST_HASH_SIZE &&
	      !memcmp(answer.payload, want, sizeof(want)));
	CHECK(call_seeded(&c, request(DST_HASH, 333, sizeof(data)), 78) == DST_OK);
	CHECK(memcmp(answer.payload, want, sizeof(want)) != 0);
	hang_up(&c);
}

static void zeroes_discard_and_copy(void)
{
	static uint8_t data[65536];
	struct wire_header header;
	struct connection c;

	join_rw(&c);
	fill(data, sizeof(data), 5);
	CHECK(call(&c, request(DST_WRITE, 0, sizeof(data)), data, sizeof(data)) == DST_OK);
	if (c.hello.features & DST_CAN_COPY) {
		CHECK(call_seeded(&c, request(DST_COPY, 262144, sizeof(data)), 0) == DST_OK);
		CHECK(answer.header.range.length > 0 && answer.header.range.length <= sizeof(data));
		expect_read(&c, 262144, data, (uint32_t)answer.header.range.length);
	}
	for (int flags = 0; flags <= DST_F_NO_HOLE; flags += DST_F_NO_HOLE) {
		CHECK(call(&c, request(DST_WRITE, 0, sizeof(data)), data, sizeof(data)) == DST_OK);
		header = request(DST_WRITE_ZEROES, 4096, 32768);
		header.flags = (uint8_t)flags;
		CHECK(call(&c, header, NULL, 0) == DST_OK);
		expect_read(&c, 0, data, 4096);
		expect_read(&c, 36864, data + 36864, 4096);
		CHECK(call(&c, request(DST_READ, 4096, 32768), NULL, 0) == DST_OK &&
		      all_are(answer.payload, 32768, 0));
	}
	if (c.hello.features & DST_CAN_DISCARD) {
		CHECK(call(&c, request(DST_DISCARD, 8192, 8192), NULL, 0) == DST_OK);
		expect_read(&c, 0, data, 4096);
	}
	hang_up(&c);
}

static void extents_describe_the_range(void)
{
	static struct wire_extent extents[DST_MAX_EXTENTS];
	struct connection c;
	uint64_t at = 0, holes = 0;
	unsigned count;

	join(&c, "big", DST_PERM_READ);
	while (at < DST_MAX_RANGE && failures == 0) {
		uint64_t most = DST_MAX_RANGE - at, sum = 0;

		CHECK(call(&c, request(DST_EXTENTS, at, most), NULL, 0) == DST_OK);
		CHECK(!wire_extents_decode(extents, &count, answer.payload, answer.header.payload,
					   most));
		for (unsigned i = 0; i < count; i++) {
			sum += extents[i].length;
			holes += extents[i].kind == DST_EXTENT_HOLE ? extents[i].length : 0;
		}
		CHECK(sum > 0 && sum == answer.header.range.length);
		at += sum;
	}
	CHECK(!(c.hello.features & DST_CAN_EXTENTS) || holes > DST_MAX_RANGE / 2);
	hang_up(&c);
}

static void ping_is_answered(void)
{
	struct connection c;

	join_rw(&c);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	ask_control(&c, DST_PING);
	CHECK(receive(&c) && answer.header.type == DST_PING && answer.header.status == DST_OK);
	CHECK(call(&c, request(DST_READ, 0, 512), NULL, 0) == DST_OK);
	hang_up(&c);
}

/* ---- many at a time ---- */

static void close_is_answered_last(void)
{
	struct connection c;
	unsigned answers = 0;

	join(&c, "big", DST_PERM_READ);
	ask_for_work(&c);
	for (unsigned i = 0; i < 100; i++)
		ask(&c, request(DST_READ, i * 1048576, 65536), NULL, 0);
	ask_control(&c, DST_CLOSE);
	while (receive(&c) && answer.header.type != DST_CLOSE)
		answers++;
	CHECK(answers == WORK + 100);
	CHECK(answer.header.type == DST_CLOSE && answer.header.status == DST_OK);
	expect_end(&c);
}

static void requests_in_flight_are_all_answered_once(void)
{
	enum { COUNT = 3000 };
	static uint8_t seen[COUNT + 1];
	static uint8_t data[4096];
	struct connection c;
	pid_t writer;

	/* Far beyond the depth, and without reading: the server stops reading, we go on later. */
	join_rw(&c);
	memset(seen, 0, sizeof(seen));
	fflush(NULL);
	writer = fork();
	if (writer == 0) {
		for (unsigned i = 0; i < COUNT; i++) {
			if (i % 3)
				ask(&c, request(DST_READ, i % 200 * 4096, 4096), NULL, 0);
			else
				ask(&c, request(DST_WRITE, i % 200 * 4096, 4096), data, 4096);
			if (c.id > 2000)
				c.done = c.id - 2000;
		}
		_exit(0);
	}
	usleep(200000);
	for (unsigned i = 0; i < COUNT && receive(&c); i++) {
		CHECK(answer.header.status == DST_OK && answer.header.id <= COUNT);
		if (answer.header.id <= COUNT && seen[answer.header.id]++)
			complain("%" PRIu64 " is answered twice", answer.header.id);
	}
	for (unsigned i = 1; i <= COUNT && !failures; i++)
		if (!seen[i])
			complain("%u is not answered", i);
	hang_up(&c);
}

static void who_takes_no_answers_does_not_disturb_others(void)
{
	enum { GREEDY = 8 };
	struct connection greedy[GREEDY], c;
	double begin;

	for (unsigned g = 0; g < GREEDY; g++) {
		join(&greedy[g], "big", DST_PERM_READ);
		for (unsigned i = 0; i < 256; i++)
			ask(&greedy[g], request(DST_READ, i * 1048576, 1048576), NULL, 0);
	}
	begin = seconds();
	join_rw(&c);
	for (unsigned i = 0; i < 100; i++)
		CHECK(call(&c, request(DST_READ, i * 4096, 4096), NULL, 0) == DST_OK);
	CHECK(seconds() - begin < 5);
	hang_up(&c);
	for (unsigned g = 0; g < GREEDY; g++)
		hang_up(&greedy[g]);
}

const struct scenario request_scenarios[] = {
	SCENARIO(ranges_past_the_end_are_refused_with_nothing_done),
	SCENARIO(a_read_only_export_or_session_refuses_writes),
	SCENARIO(what_is_written_is_read),
	SCENARIO(hash_is_the_digest_of_the_range),
	SCENARIO(zeroes_discard_and_copy),
	SCENARIO(extents_describe_the_range),
	SCENARIO(ping_is_answered),
	SCENARIO(close_is_answered_last),
	SCENARIO(requests_in_flight_are_all_answered_once),
	SCENARIO(who_takes_no_answers_does_not_disturb_others),
	{0},
};
