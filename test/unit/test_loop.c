/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_loop.c - the event loop: what runs, in which order, and what does not run any more.
 *
 * tsan
 */
#include "common/loop.h"

#include "common/clock.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static char seen[64]; /* what ran, a letter each */

static void note(char letter)
{
	size_t n = strlen(seen);

	assert_true(n + 1 < sizeof(seen));
	seen[n] = letter;
	seen[n + 1] = 0;
}

static int setup(void **state)
{
	loop = loop_new();
	seen[0] = 0;
	return !loop;
}

static int teardown(void **state)
{
	loop_free(&loop);
	return 0;
}

static void stop(void *arg)
{
	loop_stop(loop);
}

static struct loop_work stop_work = {.callback = stop};

/* ---- posted work ---- */

struct noted {
	struct loop_work work;
	struct loop_hook hook;
	char letter;
	struct noted *again; /* posted or deferred from the callback */
	struct noted *cancel;
};

static void run_noted_work(void *arg)
{
	struct noted *n = arg;

	note(n->letter);
	if (n->again)
		loop_post(loop, &n->again->work);
}

static struct noted noted_work(char letter)
{
	return (struct noted){.work = {.callback = run_noted_work}, .letter = letter};
}

static void posts_run_in_order_and_those_made_meanwhile_after_them(void **state)
{
	struct noted a = noted_work('a'), b = noted_work('b'), c = noted_work('c'),
		     d = noted_work('d');
	struct noted *all[] = {&a, &b, &c, &d};

	for (unsigned i = 0; i < 4; i++)
		all[i]->work.arg = all[i];
	a.again = &d;
	loop_post(loop, &a.work);
	loop_post(loop, &b.work);
	loop_post(loop, &c.work);
	while (strlen(seen) < 4) {
		loop_post(loop, &stop_work);
		loop_run(loop);
	}
	assert_string_equal(seen, "abcd");
}

#define THREADS 4
#define POSTS 2000u

struct counted {
	struct loop_work work;
	unsigned thread, number;
};

static struct counted counted[THREADS][POSTS];
static unsigned next_of[THREADS], ran;

static void run_counted(void *arg)
{
	struct counted *c = arg;

	assert_int_equal(c->number, next_of[c->thread]++);
	if (++ran == THREADS * POSTS)
		loop_stop(loop);
}

static void *post_many(void *arg)
{
	struct counted *mine = arg;

	for (unsigned i = 0; i < POSTS; i++)
		loop_post(loop, &mine[i].work);
	return NULL;
}

static void posts_of_many_threads_all_run_each_threads_in_order(void **state)
{
	pthread_t threads[THREADS];

	for (unsigned t = 0; t < THREADS; t++) {
		for (unsigned i = 0; i < POSTS; i++)
			counted[t][i] = (struct counted){{run_counted, &counted[t][i], NULL}, t, i};
		assert_int_equal(pthread_create(&threads[t], NULL, post_many, counted[t]), 0);
	}
	loop_run(loop);
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(ran, THREADS * POSTS);
}

static void *stop_soon(void *arg)
{
	usleep(20000);
	loop_stop(loop);
	return NULL;
}

static void another_thread_may_stop_it(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
	loop_run(loop); /* with nothing to do at all */
	pthread_join(thread, NULL);
	loop_stop(loop); /* before it runs */
	loop_run(loop);
}

static void what_is_posted_when_it_ends_still_runs(void **state)
{
	struct noted a = noted_work('a');

	a.work.arg = &a;
	loop_post(loop, &a.work);
	loop_free(&loop);
	assert_string_equal(seen, "a");
	loop = loop_new();
}

/* ---- hooks ---- */

static void run_noted_hook(void *arg)
{
	struct noted *n = arg;

	note(n->letter);
	if (n->again)
		loop_defer(loop, &n->again->hook);
	if (n->cancel)
		loop_defer_cancel(&n->cancel->hook);
	memset(&n->hook, 0x5a, sizeof(n->hook)); /* a callback may free its object */
	n->hook = (struct loop_hook){.callback = run_noted_hook, .arg = n};
}

static struct noted hooks[6];

static void reset_hooks(void)
{
	seen[0] = 0;
	for (unsigned i = 0; i < 6; i++) {
		hooks[i] = (struct noted){.letter = (char)('a' + i)};
		hooks[i].hook = (struct loop_hook){.callback = run_noted_hook, .arg = &hooks[i]};
	}
}

static void one_turn(void)
{
	loop_post(loop, &stop_work);
	loop_run(loop);
}

static void hooks_run_once_in_order_before_it_sleeps(void **state)
{
	reset_hooks();
	for (unsigned i = 0; i < 3; i++)
		loop_defer(loop, &hooks[i].hook);
	loop_defer(loop, &hooks[1].hook);
	one_turn();
	assert_string_equal(seen, "abc");
	one_turn();
	assert_string_equal(seen, "abc");
}

static void a_hook_deferred_by_a_hook_runs_next_turn(void **state)
{
	reset_hooks();
	hooks[0].again = &hooks[3];
	hooks[1].again = &hooks[2]; /* deferred already: nothing */
	for (unsigned i = 0; i < 3; i++)
		loop_defer(loop, &hooks[i].hook);
	one_turn();
	assert_string_equal(seen, "abc");
	one_turn();
	assert_string_equal(seen, "abcd");
}

/* Each hook of four cancels each other one, in the middle of the run or ahead of it. */
static void a_cancelled_hook_does_not_run_wherever_it_is(void **state)
{
	for (unsigned by = 0; by < 4; by++) {
		for (unsigned which = 0; which < 4; which++) {
			char expected[8] = "", *end = expected;

			reset_hooks();
			hooks[by].cancel = by == which ? NULL : &hooks[which];
			hooks[3].again = &hooks[4]; /* the next turn's list is in use, too */
			for (unsigned i = 0; i < 4; i++)
				loop_defer(loop, &hooks[i].hook);
			one_turn();
			for (unsigned i = 0; i < 4; i++)
				if (i != which || by >= which)
					*end++ = (char)('a' + i);
			assert_string_equal(seen, expected);
			hooks[5].letter = 'x';
			loop_defer(loop, &hooks[5].hook); /* the tail is where it should be */
			one_turn();
			if (strchr(expected, 'd'))
				strcat(expected, "e");
			strcat(expected, "x");
			assert_string_equal(seen, expected);
		}
	}
}

static void cancelling_leaves_the_rest_in_order(void **state)
{
	for (unsigned which = 0; which < 3; which++) {
		static const char *const expected[] = {"bcd", "acd", "abd"};

		reset_hooks();
		for (unsigned i = 0; i < 3; i++)
			loop_defer(loop, &hooks[i].hook);
		loop_defer_cancel(&hooks[which].hook);
		loop_defer_cancel(&hooks[which].hook);
		loop_defer(loop, &hooks[3].hook);
		one_turn();
		assert_string_equal(seen, expected[which]);
	}
}

/* ---- timers ---- */

static void note_timer(void *arg)
{
	note(*(const char *)arg);
	if (*(const char *)arg == 'z')
		loop_stop(loop);
}

static void timers_fire_once_in_the_order_of_their_times(void **state)
{
	struct loop_timer timers[4];
	char letters[] = "abcz";

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(loop_timer_init(&timers[i], loop, note_timer, &letters[i]), 0);
	loop_timer_set(&timers[0], 20 * CLOCK_MS);
	loop_timer_set(&timers[1], 5 * CLOCK_MS);
	loop_timer_set(&timers[2], 1 * CLOCK_MS);
	loop_timer_set(&timers[2], 1000000 * CLOCK_SEC); /* restarted */
	loop_timer_set(&timers[3], 40 * CLOCK_MS);
	assert_true(loop_timer_pending(&timers[2]));
	loop_run(loop);
	assert_string_equal(seen, "baz");
	assert_false(loop_timer_pending(&timers[0]));
	loop_timer_cancel(&timers[2]);
	loop_timer_cancel(&timers[2]);
	assert_false(loop_timer_pending(&timers[2]));
	for (unsigned i = 0; i < 4; i++)
		loop_timer_destroy(&timers[i]);
	loop_timer_destroy(&timers[0]);
}

/* ---- signals ---- */

static void on_signal(void *arg, int signal)
{
	assert_int_equal(signal, SIGUSR1);
	note('s');
	loop_stop(loop);
}

static void signals_come_to_the_loop(void **state)
{
	struct loop_signal *s = loop_signal_new(loop, SIGUSR1, on_signal, NULL);

	assert_non_null(s);
	raise(SIGUSR1);
	loop_run(loop);
	assert_string_equal(seen, "s");
	loop_signal_free(&s);
}

/* ---- descriptors ---- */

static struct loop_fd *pipe_event;

static void on_pipe(void *arg, unsigned events)
{
	assert_int_equal(events, LOOP_READ);
	note('r');
	if (strlen(seen) == 2) { /* level-triggered: nobody has read */
		loop_fd_free(&pipe_event);
		loop_stop(loop);
	}
}

static void descriptors_are_level_triggered_and_may_go_in_their_callback(void **state)
{
	int fds[2];

	assert_return_code(pipe(fds), errno);
	pipe_event = loop_fd_new(loop, fds[0], on_pipe, NULL);
	assert_int_equal(write(fds[1], "x", 1), 1);
	one_turn(); /* wants nothing yet */
	assert_string_equal(seen, "");
	assert_int_equal(loop_fd_want(pipe_event, LOOP_READ), 0);
	loop_run(loop);
	assert_string_equal(seen, "rr");
	close(fds[0]);
	close(fds[1]);
}

/* ---- look-ups ---- */

static _Atomic bool hold; /* the resolver hangs */
static _Atomic unsigned looking;

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
		struct addrinfo **list)
{
	static const struct sockaddr_storage nowhere = {.ss_family = AF_INET};
	struct addrinfo *a;

	if (hints->ai_flags & AI_NUMERICHOST && host[0] != '1')
		return EAI_NONAME;
	looking++;
	while (hold)
		usleep(1000);
	if (strcmp(host, "unknown") == 0) {
		looking--;
		return EAI_NONAME;
	}
	*list = NULL;
	for (unsigned i = 0; i < 20; i++) { /* more than fit */
		a = calloc(1, sizeof(*a));
		a->ai_addr = (struct sockaddr *)&nowhere;
		a->ai_addrlen = sizeof(struct sockaddr_in);
		a->ai_next = *list;
		*list = a;
	}
	looking--;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	for (struct addrinfo *next; list; list = next) {
		next = list->ai_next;
		free(list);
	}
}

static void on_resolved(void *arg, int error, const struct loop_address *addresses, unsigned count)
{
	note(error == EAI_NONAME && !count           ? 'n'
	     : !error && count == LOOP_MAX_ADDRESSES ? 'f'
						     : '?');
	loop_stop(loop);
}

static void look_ups_come_back_to_the_loop(void **state)
{
	assert_non_null(loop_resolve(loop, "host", 1, on_resolved, NULL));
	assert_string_equal(seen, "");
	loop_run(loop);
	assert_non_null(loop_resolve(loop, "unknown", 1, on_resolved, NULL));
	loop_run(loop);
	assert_non_null(loop_resolve(loop, "127.0.0.1", 1, on_resolved, NULL));
	assert_string_equal(seen, "fn");
	loop_run(loop);
	assert_string_equal(seen, "fnf");
}

static void a_cancelled_look_up_is_not_heard_of(void **state)
{
	struct loop_resolve *r;

	hold = true;
	r = loop_resolve(loop, "host", 1, on_resolved, NULL);
	assert_non_null(r);
	loop_resolve_cancel(&r);
	loop_resolve_cancel(&r);
	hold = false;
	for (unsigned i = 0; i < 20; i++) {
		one_turn();
		usleep(1000);
	}
	assert_string_equal(seen, "");
}

/* A resolver that hangs outlives the loop, and nothing waits for it. */
static void a_loop_may_go_before_its_look_ups(void **state)
{
	struct loop_resolve *hanging, *posted;
	uint64_t start = clock_now();

	posted = loop_resolve(loop, "host", 1, on_resolved, NULL);
	while (looking)
		usleep(1000);
	usleep(5000);
	hold = true;
	hanging = loop_resolve(loop, "host", 1, on_resolved, NULL);
	loop_resolve_cancel(&posted);
	loop_resolve_cancel(&hanging);
	loop_free(&loop);
	assert_true(clock_now() - start < 5 * CLOCK_SEC);
	hold = false;
	while (looking)
		usleep(1000);
	usleep(5000); /* it frees what it has, or the sanitizer tells */
	assert_string_equal(seen, "");
	loop = loop_new();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(posts_run_in_order_and_those_made_meanwhile_after_them),
		TEST(posts_of_many_threads_all_run_each_threads_in_order),
		TEST(another_thread_may_stop_it),
		TEST(what_is_posted_when_it_ends_still_runs),
		TEST(hooks_run_once_in_order_before_it_sleeps),
		TEST(a_hook_deferred_by_a_hook_runs_next_turn),
		TEST(a_cancelled_hook_does_not_run_wherever_it_is),
		TEST(cancelling_leaves_the_rest_in_order),
		TEST(timers_fire_once_in_the_order_of_their_times),
		TEST(signals_come_to_the_loop),
		TEST(descriptors_are_level_triggered_and_may_go_in_their_callback),
		TEST(look_ups_come_back_to_the_loop),
		TEST(a_cancelled_look_up_is_not_heard_of),
		TEST(a_loop_may_go_before_its_look_ups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
