/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_log.c - log lines, as they come out of stderr, which is a file here.
 *
 * tsan
 */
#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int real_stderr, captured = -1;
static char output[1 << 20];

static int capture(void **state)
{
	char path[] = "/tmp/test_log.XXXXXX";

	unsetenv("JOURNAL_STREAM");
	real_stderr = dup(STDERR_FILENO);
	captured = mkstemp(path);
	if (captured < 0 || fcntl(captured, F_SETFL, O_APPEND) || unlink(path))
		return -1;
	dup2(captured, STDERR_FILENO);
	log_init("prog", LOG_LEVEL_INFO);
	return 0;
}

static int release(void **state)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(captured);
	return 0;
}

/* What was logged since the last time. */
static const char *logged(void)
{
	ssize_t n = pread(captured, output, sizeof(output) - 1, 0);

	output[n < 0 ? 0 : n] = '\0';
	if (ftruncate(captured, 0))
		return "can't truncate";
	return output;
}

static void a_line_names_program_and_level(void **state)
{
	log_error("e %d", 1);
	assert_string_equal(logged(), "prog: error: e 1\n");
	log_warn("w %s", "x");
	assert_string_equal(logged(), "prog: warning: w x\n");
	log_info("i");
	assert_string_equal(logged(), "prog: i\n");
}

static void lines_above_the_level_are_not_written(void **state)
{
	struct log_limit limit = {0};

	log_debug("d");
	log_limited(&limit, LOG_LEVEL_DEBUG, "d");
	assert_string_equal(logged(), "");
	assert_int_equal(limit.held, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
	log_debug("d");
	assert_string_equal(logged(), "prog: debug: d\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("w");
	assert_string_equal(logged(), "");
	log_set_level(LOG_LEVEL_INFO);
}

static void errno_survives(void **state)
{
	struct log_limit limit = {0};

	errno = EILSEQ;
	log_error("%s", "x");
	log_limited(&limit, LOG_LEVEL_ERROR, "y");
	assert_int_equal(errno, EILSEQ);
	assert_string_equal(logged(), "prog: error: x\nprog: error: y\n");
}

static void errno_survives_a_full_disk(void **state)
{
	int full = open("/dev/full", O_WRONLY);

	assert_true(full >= 0);
	dup2(full, STDERR_FILENO);
	errno = EILSEQ;
	log_error("nobody reads this");
	assert_int_equal(errno, EILSEQ);
	dup2(captured, STDERR_FILENO);
	close(full);
}

static void what_a_peer_sent_cannot_forge_a_line(void **state)
{
	log_info("a\nprog: b\r\t\x1b[2J\x7f");
	assert_string_equal(logged(), "prog: a?prog: b???[2J?\n");
	log_info("c1 \xc2\x9b"
		 "31m, cut \xe2\x82, bare \xff");
	assert_string_equal(logged(), "prog: c1 ??31m, cut ??, bare ?\n");
	log_info("sep \xe2\x80\xa8, turn \xe2\x80\xae");
	assert_string_equal(logged(), "prog: sep ???, turn ???\n");
}

static void text_in_any_language_stays(void **state)
{
	log_info("Stra\xc3\x9f"
		 "e \xe2\x82\xac \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x92\xbe");
	assert_string_equal(logged(), "prog: Stra\xc3\x9f"
				      "e \xe2\x82\xac \xe6\x97\xa5\xe6\x9c\xac "
				      "\xf0\x9f\x92\xbe\n");
}

static void a_long_line_is_cut_and_says_so(void **state)
{
	static char text[10000];
	const char *line;
	size_t length;

	memset(text, 'x', sizeof(text) - 1);
	log_info("%s", text);
	line = logged();
	length = strlen(line);
	assert_in_range(length, 1500, 2100);
	assert_string_equal(line + length - 5, "x...\n");
	assert_ptr_equal(strchr(line, '\n'), line + length - 1);

	memset(text, 0, sizeof(text));
	for (unsigned i = 0; i < 3000; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3); /* cut inside a character */
	log_info("%s", text);
	line = logged();
	assert_string_equal(line + strlen(line) - 4, "...\n");
}

static void a_line_a_second_passes_and_tells_of_the_others(void **state)
{
	static char text[10000];
	struct log_limit limit = {0};
	const char *line;

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned i = 0; i < 100; i++)
		log_limited(&limit, LOG_LEVEL_INFO, "again");
	assert_string_equal(logged(), "prog: again\n");
	assert_in_range(limit.next, clock_now(), clock_now() + CLOCK_SEC);

	limit.next = clock_now(); /* a second is over */
	log_limited(&limit, LOG_LEVEL_INFO, "again");
	assert_string_equal(logged(), "prog: again (and 99 more like this)\n");
	limit.next = 0;
	log_limited(&limit, LOG_LEVEL_INFO, "again");
	assert_string_equal(logged(), "prog: again\n");

	limit.next = 0; /* the count outlives a cut */
	limit.held = UINT64_MAX;
	log_limited(&limit, LOG_LEVEL_INFO, "%s", text);
	line = logged();
	assert_non_null(strstr(line, "x... (and 18446744073709551615 more like this)\n"));
}

static void the_journal_gets_priorities_and_nobody_else(void **state)
{
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_error("e");
	log_info("i");
	assert_string_equal(logged(), "<3>e\n<6>i\n");

	/* A grandchild of a service: it inherits the variable, not the stream. */
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_info("i");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_init("prog", LOG_LEVEL_INFO);
	log_info("i");
	assert_string_equal(logged(), "prog: i\nprog: i\n");
	unsetenv("JOURNAL_STREAM");
}

#define THREADS 4
#define LINES 500u
static void a_burst_passes_and_is_paid_for_in_seconds(void **state)
{
	struct log_limit limit = {.burst = 3};

	for (unsigned i = 0; i < 5; i++)
		log_limited(&limit, LOG_LEVEL_INFO, "burst");
	assert_string_equal(logged(), "prog: burst\nprog: burst\nprog: burst\n");
	limit.next -= CLOCK_SEC; /* a second is over: room for one */
	log_limited(&limit, LOG_LEVEL_INFO, "burst");
	log_limited(&limit, LOG_LEVEL_INFO, "burst");
	assert_string_equal(logged(), "prog: burst (and 2 more like this)\n");
	limit.next = 0; /* quiet for longer than the burst: room for that, and not for more */
	for (unsigned i = 0; i < 4; i++)
		log_limited(&limit, LOG_LEVEL_INFO, "burst");
	assert_string_equal(logged(),
			    "prog: burst (and 1 more like this)\nprog: burst\nprog: burst\n");
}

static struct log_limit shared_limit;

static void *write_lines(void *arg)
{
	char text[201];

	memset(text, *(char *)arg, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (unsigned i = 0; i < LINES; i++) {
		log_info("%s", text);
		log_limited(&shared_limit, LOG_LEVEL_INFO, "limited");
	}
	return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
	static char letters[THREADS] = {'a', 'b', 'c', 'd'};
	unsigned counts[THREADS] = {0}, limited = 0;
	pthread_t threads[THREADS];
	char *at, *save = NULL;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &letters[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	logged();
	for (at = strtok_r(output, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		assert_int_equal(strncmp(at, "prog: ", 6), 0);
		at += 6;
		if (!strncmp(at, "limited", 7)) {
			unsigned held = 0;

			if (sscanf(at, "limited (and %u more", &held) == 1)
				limited += held;
			limited++;
			continue;
		}
		assert_in_range(at[0], 'a', 'd');
		assert_int_equal(strlen(at), 200);
		assert_int_equal(strspn(at, (char[]){at[0], '\0'}), 200);
		counts[at[0] - 'a']++;
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(counts[i], LINES);
	assert_int_equal(limited + shared_limit.held, THREADS * LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_names_program_and_level),
		cmocka_unit_test(lines_above_the_level_are_not_written),
		cmocka_unit_test(a_burst_passes_and_is_paid_for_in_seconds),
		cmocka_unit_test(errno_survives),
		cmocka_unit_test(errno_survives_a_full_disk),
		cmocka_unit_test(what_a_peer_sent_cannot_forge_a_line),
		cmocka_unit_test(text_in_any_language_stays),
		cmocka_unit_test(a_long_line_is_cut_and_says_so),
		cmocka_unit_test(a_line_a_second_passes_and_tells_of_the_others),
		cmocka_unit_test(the_journal_gets_priorities_and_nobody_else),
		cmocka_unit_test(lines_of_several_threads_do_not_mix),
	};

	return cmocka_run_group_tests_name("log", tests, capture, release);
}
