/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_checksum.c - the digests are XXH3's, by values of another implementation, whichever vector
 * unit computes them and however a range is cut into pieces.
 */
#include "common/checksum.h"

#include "common/proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SEED 0x1122334455667788ull

/* Of the bytes i * 7 + i / 256, by the lengths where the algorithm changes its way. */
static const struct {
	size_t size;
	uint64_t payload; /* XXH3-64, seed 0 */
	const char *range; /* XXH3-128, SEED, canonical */
} vectors[] = {
	{0, 0x2d06800538d394c2, "5e11f1314c06d0117589dadf11fb87fc"},
	{1, 0xc44bdff4074eecdb, "d1fbfe279e085a1539d51e96a1a03678"},
	{3, 0xc3489259e968ad9e, "1dcc652fdea3db18c4f70a5b45cbc251"},
	{4, 0xd3d60c1519014e89, "d2f36cd6144fe057bbba8ca91658b8c4"},
	{8, 0xb88dee77f6bf6980, "8e34c2556c18d9b3d990accbd5ff1b34"},
	{9, 0x03688dcad730d826, "fde3912b7f62b603cabf84f697bf7611"},
	{16, 0x9da23836adf2be1e, "904f7d1da522bd09fde7a6536bbd9ab5"},
	{17, 0xf34c3c9cf5a112d1, "d1128378b76d731dff316e7f5b6b1d26"},
	{40, 0x1bdcd3399cc64d80, "ac00c979a289f139059f177bc97c8655"},
	{128, 0x65f3c2c00fa93185, "23f94f33f18de83cc43198ca0a8e1a4c"},
	{129, 0x28065c6ec25f5b25, "019b5297dd3a54ef21df37a65c502610"},
	{240, 0x4917a75c0ef8eed7, "69c489ac45325a4885b9b8d02f5d9eef"},
	{241, 0x541b19226f0052e8, "27e3c8b1ab70ce7703ab7330563f6271"},
	{1024, 0x71bee625238addb4, "561850a29457447c01f59c82b8d25b3f"},
	{4096, 0x5c722d9ceb6f9064, "a75f79d1ab87907cfec8e71ecfb0081e"},
	{65537, 0x306efa3b942cf93f, "16a30ad29e6d67c9b21c8eefc5d382ac"},
};

/* At an odd address, so that alignment doesn't matter either. The caller frees data - 1. */
static uint8_t *make_data(size_t size)
{
	uint8_t *data = malloc(size + 1);

	assert_non_null(data);
	data++;
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	return data;
}

static void payloads_have_the_published_digest(void **state)
{
	for (size_t i = 0; i < COUNT(vectors); i++) {
		uint8_t *data = make_data(vectors[i].size);

		assert_int_equal(checksum_payload(data, vectors[i].size), vectors[i].payload);
		free(data - 1);
	}
}

static void headers_have_the_published_digest(void **state)
{
	uint8_t *data = make_data(DST_CHECKED_SIZE);

	assert_int_equal(checksum_seeded(data, DST_CHECKED_SIZE, DST_CHECK_REQUEST),
			 0x3df8530202c02fe7);
	assert_int_equal(checksum_seeded(data, DST_CHECKED_SIZE, 0), 0x1bdcd3399cc64d80);
	assert_true(checksum_seeded(data, DST_CHECKED_SIZE, DST_CHECK_REPLY) !=
		    checksum_seeded(data, DST_CHECKED_SIZE, DST_CHECK_REQUEST));
	free(data - 1);
}

static void assert_range_digest(const uint8_t digest[16], const char *want)
{
	char text[33];

	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(text, want);
}

static void a_range_in_pieces_has_the_published_digest(void **state)
{
	static const size_t pieces[] = {1, 7, 64, 255, 256, 257, 4096, SIZE_MAX};

	for (size_t i = 0; i < COUNT(vectors); i++) {
		for (size_t p = 0; p < COUNT(pieces); p++) {
			uint8_t *data = make_data(vectors[i].size), digest[16];
			struct checksum_range *range = checksum_range_new(SEED);
			size_t left = vectors[i].size, at = 0;

			assert_non_null(range);
			while (left) {
				size_t n = left < pieces[p] ? left : pieces[p];

				checksum_range_add(range, data + at, n);
				at += n;
				left -= n;
			}
			checksum_range_end(&range, digest);
			assert_null(range);
			assert_range_digest(digest, vectors[i].range);
			free(data - 1);
		}
	}
}

static void the_seed_changes_a_ranges_digest(void **state)
{
	uint8_t a[16], b[16];
	struct checksum_range *range = checksum_range_new(1);

	checksum_range_add(range, "x", 1);
	checksum_range_end(&range, a);
	range = checksum_range_new(2);
	checksum_range_add(range, "x", 1);
	checksum_range_end(&range, b);
	assert_memory_not_equal(a, b, 16);
}

static void a_range_can_be_given_up(void **state)
{
	struct checksum_range *range = checksum_range_new(SEED);

	checksum_range_add(range, "x", 1);
	checksum_range_end(&range, NULL);
	assert_null(range);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payloads_have_the_published_digest),
		cmocka_unit_test(headers_have_the_published_digest),
		cmocka_unit_test(a_range_in_pieces_has_the_published_digest),
		cmocka_unit_test(the_seed_changes_a_ranges_digest),
		cmocka_unit_test(a_range_can_be_given_up),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
