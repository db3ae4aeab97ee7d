/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_control.c - control.h over real sockets: hostile and careless clients, servers that are
 * neither.
 */
#include "test/unit/control_fixture.h"

static void put(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void put_text(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

/* One line, without its newline, into line; its length, or -1 at the end or after an error. */
static ssize_t get_line(int fd, char *line, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		ssize_t n = recv(fd, line + used, size - 1 - used, MSG_PEEK);
		char *end = n > 0 ? memchr(line + used, '\n', (size_t)n) : NULL;

		if (end) /* take this line only */
			n = end + 1 - (line + used);
		if (n <= 0 || recv(fd, line + used, (size_t)n, 0) != n)
			return -1;
		used += (size_t)n;
		if (end) {
			*end = 0;
			return end - line;
		}
	}
	return -1;
}

static void assert_line(int fd, const char *expected)
{
	char line[1024];

	if (get_line(fd, line, sizeof(line)) < 0)
		fail_msg("no line, expected %s", expected);
	assert_string_equal(line, expected);
}

/* An error line, whose text contains `part`. */
static void assert_error_line(int fd, const char *part)
{
	char line[1024];

	if (get_line(fd, line, sizeof(line)) < 0)
		fail_msg("no line, expected an error with \"%s\"", part);
	assert_int_equal(strncmp(line, "{\"ok\":false,\"error\":\"", 21), 0);
	if (!strstr(line, part))
		fail_msg("%s doesn't contain \"%s\"", line, part);
}

static void assert_end(int fd)
{
	char byte;

	assert_true(recv(fd, &byte, 1, 0) == 0 || errno == ECONNRESET);
	close(fd);
}

static void assert_alive(struct fixture *f)
{
	int fd = open_client(f->path);

	put_text(fd, "{\"command\":\"echo\",\"number\":7}\n");
	assert_line(fd, "{\"ok\":true,\"number\":7}");
	close(fd);
}

static void requests_are_answered_in_order_with_ok_first(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(64 << 10), expected[64];
	size_t used = 0;
	int fd = open_client(f->path);

	for (int i = 0; i < 1000; i++) /* all in one go: a full buffer of requests */
		used += (size_t)sprintf(text + used, "{\"command\":\"echo\",\"number\":%d}\n", i);
	put(fd, text, used);
	for (int i = 0; i < 1000; i++) {
		sprintf(expected, "{\"ok\":true,\"number\":%d}", i);
		assert_line(fd, expected);
	}
	free(text);
	close(fd);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	const char *text = "{\"command\":\"echo\",\"number\":1}\r\n{\"command\":\"echo\"}\n";
	int fd = open_client(f->path);

	for (; *text; text++) {
		put(fd, text, 1);
		usleep(200);
	}
	assert_line(fd, "{\"ok\":true,\"number\":1}");
	assert_line(fd, "{\"ok\":true}");
	close(fd);
}

static void bad_requests_get_an_error_and_the_connection_lives(void **state)
{
	static const struct {
		const char *request, *error;
	} rows[] = {
		{"", "not JSON"},
		{"{", "not JSON"},
		{"hello", "not JSON"},
		{"{\"command\":\"echo\"} trailing", "not JSON"},
		{"{\"command\":\"echo\",\"command\":\"big\"}", "not JSON: column 27: duplicate"},
		{"{\"command\":\"ec\xff\"}", "not JSON"},
		{"[]", "a string \\\"command\\\""},
		{"{}", "a string \\\"command\\\""},
		{"{\"command\":1}", "a string \\\"command\\\""},
		{"{\"command\":\"nonsense\"}", "unknown command \\\"nonsense\\\""},
		{"{\"command\":\"silent\"}", "the command failed"},
	};
	struct fixture *f = *state;
	int fd = open_client(f->path);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_text(fd, rows[i].request);
		put_text(fd, "\n");
		assert_error_line(fd, rows[i].error);
	}
	put_text(fd, "{\"command\":\"echo\"}\n");
	assert_line(fd, "{\"ok\":true}");
	close(fd);
}

static void deep_nesting_is_refused(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(CONTROL_MAX_LINE);
	int fd = open_client(f->path);

	memset(text, '[', CONTROL_MAX_LINE);
	text[CONTROL_MAX_LINE - 1] = '\n'; /* the longest line there can be */
	put(fd, text, CONTROL_MAX_LINE);
	assert_error_line(fd, "not JSON");
	free(text);
	close(fd);
	assert_alive(f);
}

static void a_line_without_end_is_refused_and_closed(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(CONTROL_MAX_LINE);
	int fd = open_client(f->path);

	memset(text, ' ', CONTROL_MAX_LINE);
	put(fd, text, CONTROL_MAX_LINE);
	assert_error_line(fd, "too long");
	assert_end(fd);
	free(text);
	assert_alive(f);
}

static void random_bytes_leave_the_server_serving(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 1;

	for (int round = 0; round < 200; round++) {
		char noise[4096];
		int fd = open_client(f->path);

		for (size_t i = 0; i < sizeof(noise); i++) {
			seed = seed * 1103515245 + 12345;
			noise[i] = (char)(seed >> 16);
		}
		send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
		close(fd);
	}
	assert_alive(f);
	assert_int_equal(f->commands, 1);
}

static void what_was_asked_before_a_half_close_is_answered(void **state)
{
	struct fixture *f = *state;
	int fd = open_client(f->path);

	put_text(fd, "{\"command\":\"echo\",\"number\":1}\n{\"command\":\"echo\",\"number\":2}\n");
	shutdown(fd, SHUT_WR);
	assert_line(fd, "{\"ok\":true,\"number\":1}");
	assert_line(fd, "{\"ok\":true,\"number\":2}");
	assert_end(fd);
}

static void a_long_answer_is_sent_whole_after_a_half_close(void **state)
{
	struct fixture *f = *state;
	int fd = open_client(f->path);
	char *line = malloc(BIG_ANSWER + 100);

	put_text(fd, "{\"command\":\"big\"}\n");
	shutdown(fd, SHUT_WR);
	assert_int_equal(get_line(fd, line, BIG_ANSWER + 100),
			 strlen("{\"ok\":true,\"text\":\"\"}") + BIG_ANSWER);
	assert_end(fd);
	free(line);
}

static void a_request_without_newline_is_not_run(void **state)
{
	struct fixture *f = *state;
	int fd = open_client(f->path);

	put_text(fd, "{\"command\":\"echo\"}");
	shutdown(fd, SHUT_WR);
	assert_error_line(fd, "newline");
	assert_end(fd);
	assert_int_equal(f->commands, 0);
}

static void a_reader_that_sleeps_holds_up_nobody_and_gets_all(void **state)
{
	struct fixture *f = *state;
	int fd = open_client(f->path);
	uint64_t start = clock_now();
	char *line = malloc(BIG_ANSWER + 100);

	put_text(fd, "{\"command\":\"big\"}\n{\"command\":\"echo\"}\n");
	for (int i = 0; i < 100; i++)
		assert_alive(f);
	assert_true(clock_now() - start < 2 * CLOCK_SEC);
	assert_int_equal(f->commands, 101); /* its second request waits for room */
	assert_int_equal(get_line(fd, line, BIG_ANSWER + 100),
			 strlen("{\"ok\":true,\"text\":\"\"}") + BIG_ANSWER);
	assert_line(fd, "{\"ok\":true}");
	free(line);
	close(fd);
}

static void readers_that_die_leave_the_server_serving(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		int fd = open_client(f->path);
		char byte;

		put_text(fd, "{\"command\":\"big\"}\n");
		assert_int_equal(recv(fd, &byte, 1, 0), 1);
		close(fd);
	}
	assert_alive(f);
}

static void an_answer_beyond_the_limit_becomes_an_error(void **state)
{
	struct fixture *f = *state;
	int fd = open_client(f->path);

	put_text(fd, "{\"command\":\"huge\"}\n{\"command\":\"echo\"}\n");
	assert_error_line(fd, "too long");
	assert_line(fd, "{\"ok\":true}");
	close(fd);
}

static void clients_beyond_the_limit_are_told(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_MAX_CLIENTS], fd;

	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		fds[i] = open_client(f->path);
		put_text(fds[i], "{\"command\":\"echo\"}\n"); /* by the answer it is accepted */
		assert_line(fds[i], "{\"ok\":true}");
	}
	fd = open_client(f->path);
	assert_error_line(fd, "too many");
	assert_end(fd);
	for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
		close(fds[i]);
	usleep(100000);
	assert_alive(f);
}

static void silent_clients_are_dropped(void **state)
{
	struct fixture *f = *state;
	int silent, talking, dripping, sleeping;
	uint64_t start;
	char byte, bytes[4096];

	control_set_idle(f->control, 300 * CLOCK_MS); /* nobody is connected: nothing reads it */
	silent = open_client(f->path);
	talking = open_client(f->path);
	dripping = open_client(f->path);
	sleeping = open_client(f->path);
	put_text(sleeping, "{\"command\":\"big\"}\n");
	start = clock_now();
	for (int i = 0; i < 8; i++) {
		usleep(100000);
		send(dripping, " ", 1, MSG_NOSIGNAL);
		put_text(talking, "{\"command\":\"echo\"}\n");
		assert_line(talking, "{\"ok\":true}");
	}
	assert_int_equal(recv(silent, &byte, 1, MSG_DONTWAIT), 0);
	assert_true(recv(dripping, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	while (recv(sleeping, bytes, sizeof(bytes), 0) > 0)
		if (clock_now() - start > 4 * CLOCK_SEC)
			fail_msg("a client that doesn't read is kept");
	close(silent);
	close(talking);
	close(dripping);
	close(sleeping);
}

/* The loop mustn't spin on a connection that it can't take. */
static void want_of_descriptors_costs_no_time_and_heals(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = address_of(f->path);
	struct rlimit before, tight;
	struct timespec cpu[2];
	clockid_t clock;
	int fd = new_socket(), lowest;

	lowest = dup(fd); /* the first one that is free */
	close(lowest);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)lowest;
	setrlimit(RLIMIT_NOFILE, &tight);
	pthread_getcpuclockid(f->thread, &clock);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	put_text(fd, "{\"command\":\"echo\"}\n");
	clock_gettime(clock, &cpu[0]);
	usleep(300000);
	clock_gettime(clock, &cpu[1]);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_true((cpu[1].tv_sec - cpu[0].tv_sec) * 1000000000 + cpu[1].tv_nsec - cpu[0].tv_nsec <
		    100000000);
	assert_line(fd, "{\"ok\":true}");
	close(fd);
}

static void intruder(struct fixture *f)
{
	char reason[256];
	json_t *request = json_pack("{s:s}", "command", "echo");
	json_t *answer = control_call(f->path, request, 2000, reason, sizeof(reason));

	EXPECT(json_is_false(json_object_get(answer, "ok")));
	EXPECT(!strcmp(json_string_value(json_object_get(answer, "error")), "permission denied"));
}

static void other_users_are_refused_even_if_the_mode_was_opened(void **state)
{
	struct fixture *f = *state;

	if (geteuid())
		skip();
	chmod(f->folder, 0755);
	chmod(f->path, 0666);
	assert_int_equal(in_child(intruder, f, some_uid()), 0);
	assert_int_equal(f->commands, 0);
	assert_alive(f);
}

/* A server that sends `reply` to whoever comes, and closes. */
struct canned {
	const char *path, *reply;
	int listener;
	bool keep; /* doesn't close */
};

static void *canned_thread(void *arg)
{
	struct canned *c = arg;
	int fd = accept(c->listener, NULL, NULL);
	char buffer[256];

	if (recv(fd, buffer, sizeof(buffer), 0) > 0)
		send(fd, c->reply, strlen(c->reply), MSG_NOSIGNAL);
	while (c->keep && recv(fd, buffer, sizeof(buffer), 0) > 0)
		;
	close(fd);
	return NULL;
}

static json_t *call_canned(struct fixture *f, const char *reply, bool keep, char reason[256])
{
	struct sockaddr_un address = address_of(f->path);
	struct canned c = {.path = f->path, .reply = reply, .keep = keep};
	json_t *request = json_pack("{s:s}", "command", "echo"), *answer;
	pthread_t thread;

	c.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(c.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(c.listener, 1), 0);
	pthread_create(&thread, NULL, canned_thread, &c);
	strcpy(reason, "");
	answer = control_call(f->path, request, 300, reason, 256);
	pthread_join(thread, NULL);
	close(c.listener);
	unlink(f->path);
	json_decref(request);
	return answer;
}

static void the_caller_takes_nothing_but_an_answer(void **state)
{
	static const struct {
		const char *reply;
		bool keep;
		const char *reason;
		int error;
	} rows[] = {
		{"", false, "it closed the connection without an answer", ECONNRESET},
		{"{\"ok\":true}", false, "it closed the connection without an answer", ECONNRESET},
		{"{\"ok\":true}", true, "no answer within 0.300 s", ETIMEDOUT},
		{"\n", true, "its answer is not one of dstfs or dstd", EPROTO},
		{"[1]\n", true, "its answer is not one of dstfs or dstd", EPROTO},
		{"{\"ok\":1}\n", true, "its answer is not one of dstfs or dstd", EPROTO},
		{"SSH-2.0\n", true, "its answer is not one of dstfs or dstd", EPROTO},
	};
	struct fixture *f = *state;
	char reason[256];
	json_t *answer;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		errno = 0;
		assert_null(call_canned(f, rows[i].reply, rows[i].keep, reason));
		assert_string_equal(reason, rows[i].reason);
	}
	answer = call_canned(f, "{\"ok\":false,\"error\":\"x\"}\nmore", false, reason);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
}

static void the_caller_tells_dead_sockets_by_errno(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s}", "command", "echo");
	char reason[256];

	assert_null(control_call(f->path, request, 300, reason, sizeof(reason)));
	assert_int_equal(errno, ENOENT);
	make_stale(f->path);
	assert_null(control_call(f->path, request, 300, reason, sizeof(reason)));
	assert_int_equal(errno, ECONNREFUSED);
	unlink(f->path);
	close(open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_null(control_call(f->path, request, 300, reason, sizeof(reason)));
	assert_int_equal(errno, ENOTSOCK);
	json_decref(request);
}

static void calls_work_up_to_the_limits(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s}", "command", "big"), *answer;
	char *padding = calloc(1, CONTROL_MAX_LINE + 1), reason[256] = "";

	answer = control_call(f->path, request, PATIENCE_MS, reason, sizeof(reason));
	assert_int_equal(json_string_length(json_object_get(answer, "text")), BIG_ANSWER);
	json_decref(answer);
	memset(padding, 'x', CONTROL_MAX_LINE);
	json_object_set_new(request, "padding", json_string(padding));
	assert_null(control_call(f->path, request, PATIENCE_MS, reason, sizeof(reason)));
	assert_string_equal(reason, "the request is longer than 65536 bytes");
	padding[CONTROL_MAX_LINE - strlen("{\"command\":\"big\",\"padding\":\"\"}\n")] = 0;
	json_object_set_new(request, "padding", json_string(padding));
	answer = control_call(f->path, request, PATIENCE_MS, reason, sizeof(reason));
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	json_decref(request);
	free(padding);
}

static void any_bytes_become_a_json_string(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{"", ""},
		{"plain\n", "plain\n"},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc3", "\xef\xbf\xbd"}, /* cut off */
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
		{"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf0\x9f\x98x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *string = control_string(rows[i].bytes);
		json_t *checked = json_string(json_string_value(string)); /* fails if not UTF-8 */

		assert_non_null(checked);
		assert_string_equal(json_string_value(checked), rows[i].text);
		json_decref(string);
		json_decref(checked);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(requests_are_answered_in_order_with_ok_first),
		SERVED(a_request_may_come_byte_by_byte),
		SERVED(bad_requests_get_an_error_and_the_connection_lives),
		SERVED(deep_nesting_is_refused),
		SERVED(a_line_without_end_is_refused_and_closed),
		SERVED(random_bytes_leave_the_server_serving),
		SERVED(what_was_asked_before_a_half_close_is_answered),
		SERVED(a_long_answer_is_sent_whole_after_a_half_close),
		SERVED(a_request_without_newline_is_not_run),
		SERVED(a_reader_that_sleeps_holds_up_nobody_and_gets_all),
		SERVED(readers_that_die_leave_the_server_serving),
		SERVED(an_answer_beyond_the_limit_becomes_an_error),
		SERVED(clients_beyond_the_limit_are_told),
		SERVED(silent_clients_are_dropped),
		SERVED(want_of_descriptors_costs_no_time_and_heals),
		SERVED(other_users_are_refused_even_if_the_mode_was_opened),
		SERVED(calls_work_up_to_the_limits),
		BARE(the_caller_takes_nothing_but_an_answer),
		BARE(the_caller_tells_dead_sockets_by_errno),
		cmocka_unit_test(any_bytes_become_a_json_string),
	};

	log_init("test_control", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
