/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop_event.c - loop.h over libevent. The only user of libevent. */
#include "common/loop.h"

#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLL_LEAST 4000u /* nanoseconds; shorter looks are not worth their calls */
#define POLL_WAKING 50000u /* nanoseconds that waking up may have added to a short sleep */

struct loop {
	struct event_base *base;
	atomic_bool stopping;

	int wake_fd; /* eventfd: something was posted */
	struct event *wake_event;
	_Atomic(struct loop_work *) posted; /* a stack, newest first; any thread pushes */

	struct loop_hook *hooks, **hooks_tail;

	uint64_t turns; /* in which something happened */
	uint64_t poll_most; /* nanoseconds, see loop_set_busy_poll() */
	uint64_t poll_now; /* what has paid off lately: 0..poll_most */
	struct loop_resolve *resolves; /* under resolve_lock */
};

/*
 * A look-up whose thread may outlive its loop: a resolver can hang for minutes. resolve_lock
 * guards `loop` and the loop's list, so that either the result is posted to a living loop, or the
 * thread frees what nobody waits for.
 */
struct loop_resolve {
	struct loop *loop; /* NULL: the loop is gone */
	struct loop_resolve *next;
	struct loop_work work;
	bool cancelled; /* of the loop's thread */
	loop_resolve_fn *callback;
	void *arg;
	char port[8];
	int error;
	unsigned count;
	struct loop_address addresses[LOOP_MAX_ADDRESSES];
	char host[];
};

static pthread_mutex_t resolve_lock = PTHREAD_MUTEX_INITIALIZER;

static void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void loop_run_posted(struct loop *loop)
{
	struct loop_work *work, *next, *in_order = NULL;
	uint64_t count;

	/* Reset the eventfd first: what is posted from here on wakes the next turn. */
	while (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	work = atomic_exchange(&loop->posted, NULL);
	for (; work; work = next) {
		next = work->next;
		work->next = in_order;
		in_order = work;
	}
	for (work = in_order; work; work = next) {
		next = work->next; /* the callback may free or post it again */
		work->callback(work->arg);
	}
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
	((struct loop *)arg)->turns++;
	loop_run_posted(arg);
}

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *config;

	if (!loop)
		return NULL;
	loop->hooks_tail = &loop->hooks;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	config = event_config_new();
	if (config) {
		/* Other threads touch nothing but the eventfd, so libevent needs no locks. */
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		loop->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (loop->wake_fd >= 0 && loop->base)
		loop->wake_event =
			event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, woken, loop);
	if (!loop->wake_event || event_add(loop->wake_event, NULL))
		loop_free(&loop);
	return loop;
}

void loop_free(struct loop **pointer)
{
	struct loop *loop = *pointer;

	*pointer = NULL;
	if (!loop)
		return;
	pthread_mutex_lock(&resolve_lock);
	for (struct loop_resolve *r = loop->resolves; r; r = r->next)
		r->loop = NULL; /* its thread frees it */
	pthread_mutex_unlock(&resolve_lock);
	/* Results that were posted but not run yet belong to cancelled look-ups: free them. */
	if (loop->wake_event)
		loop_run_posted(loop);
	assert(!loop->hooks);
	if (loop->wake_event)
		event_free(loop->wake_event);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	free(loop);
}

/* Runs the hooks that are deferred now. One that is deferred again meanwhile runs next turn. */
static void run_hooks(struct loop *loop)
{
	struct loop_hook *mine = loop->hooks;

	if (!mine)
		return;
	/* Move the list to a head of our own, so that loop_defer_cancel() works on the rest. */
	mine->link = &mine;
	loop->hooks = NULL;
	loop->hooks_tail = &loop->hooks;
	while (mine) {
		struct loop_hook *hook = mine;

		mine = hook->next;
		if (mine)
			mine->link = &mine;
		hook->link = NULL;
		hook->callback(hook->arg);
	}
}

void loop_set_busy_poll(struct loop *loop, uint64_t most)
{
	loop->poll_most = loop->poll_now = most;
}

/*
 * Looks for events for a while. True: some came and were run. The while is halved each time in
 * vain, so that an idle loop, or one whose answers take longer, sleeps at once.
 */
static bool busy_poll(struct loop *loop)
{
	uint64_t before = loop->turns, begin = clock_now();

	do {
		event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (loop->turns != before)
			return true;
	} while (clock_now() - begin < loop->poll_now);
	loop->poll_now = loop->poll_now > POLL_LEAST ? loop->poll_now / 2 : 0;
	return false;
}

/* Sleeps until something happens. What came so soon that looking would have found it says that
 * looking pays. */
static void sleep_for_events(struct loop *loop)
{
	uint64_t begin = loop->poll_most ? clock_now() : 0;

	event_base_loop(loop->base, EVLOOP_ONCE);
	if (loop->poll_most && clock_now() - begin <= loop->poll_most + POLL_WAKING)
		loop->poll_now = loop->poll_most;
}

void loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->stopping)) {
		if (loop->hooks)
			event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		else if (!loop->poll_now || !busy_poll(loop))
			sleep_for_events(loop);
		run_hooks(loop);
	}
	atomic_store(&loop->stopping, false);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	loop_wake(loop);
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;

	timer->loop->turns++;
	timer->callback(timer->arg);
}

int loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*callback)(void *arg),
		    void *arg)
{
	*timer = (struct loop_timer){.loop = loop, .callback = callback, .arg = arg};
	timer->impl = event_new(loop->base, -1, 0, timer_fired, timer);
	return timer->impl ? 0 : ENOMEM;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay)
{
	struct timeval tv = {.tv_sec = (time_t)(delay / 1000000000),
			     .tv_usec = (suseconds_t)(delay % 1000000000 / 1000)};

	event_add(timer->impl, &tv);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	if (timer->impl)
		event_del(timer->impl);
}

bool loop_timer_pending(const struct loop_timer *timer)
{
	return timer->impl && event_pending(timer->impl, EV_TIMEOUT, NULL);
}

void loop_timer_destroy(struct loop_timer *timer)
{
	if (timer->impl)
		event_free(timer->impl);
	timer->impl = NULL;
}

void loop_post(struct loop *loop, struct loop_work *work)
{
	struct loop_work *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);

	do
		work->next = head;
	while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, work,
						      memory_order_release, memory_order_relaxed));
	if (!head) /* else whoever made it non-empty has woken the loop */
		loop_wake(loop);
}

void loop_defer(struct loop *loop, struct loop_hook *hook)
{
	if (hook->link)
		return;
	hook->next = NULL;
	hook->link = loop->hooks_tail;
	*loop->hooks_tail = hook;
	loop->hooks_tail = &hook->next;
	hook->loop = loop;
}

void loop_defer_cancel(struct loop_hook *hook)
{
	if (!hook->link)
		return;
	*hook->link = hook->next;
	if (hook->next)
		hook->next->link = hook->link;
	else if (hook->loop->hooks_tail == &hook->next)
		hook->loop->hooks_tail = hook->link;
	hook->link = NULL;
}

struct loop_fd {
	struct event *event;
	struct loop *loop;
	int fd;
	unsigned want; /* LOOP_* */
	void (*callback)(void *arg, unsigned events);
	void *arg;
};

static void fd_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *f = arg;

	f->loop->turns++;
	f->callback(f->arg, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

struct loop_fd *loop_fd_new(struct loop *loop, int fd, void (*callback)(void *arg, unsigned events),
			    void *arg)
{
	struct loop_fd *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct loop_fd){.loop = loop, .fd = fd, .callback = callback, .arg = arg};
	f->event = event_new(loop->base, fd, EV_PERSIST, fd_ready, f);
	if (!f->event) {
		free(f);
		return NULL;
	}
	return f;
}

int loop_fd_want(struct loop_fd *f, unsigned events)
{
	short what = EV_PERSIST;

	if (events == f->want)
		return 0;
	if (f->want)
		event_del(f->event);
	f->want = 0;
	if (!events)
		return 0;
	what |= (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);
	if (event_assign(f->event, f->loop->base, f->fd, what, fd_ready, f) ||
	    event_add(f->event, NULL))
		return errno ? errno : ENOMEM;
	f->want = events;
	return 0;
}

void loop_fd_free(struct loop_fd **fd)
{
	struct loop_fd *f = *fd;

	*fd = NULL;
	if (!f)
		return;
	event_free(f->event);
	free(f);
}

struct loop_signal {
	struct loop *loop;
	struct event *event;
	void (*callback)(void *arg, int signal);
	void *arg;
};

static void signal_came(evutil_socket_t signal, short what, void *arg)
{
	struct loop_signal *s = arg;

	s->loop->turns++;
	s->callback(s->arg, signal);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal,
				    void (*callback)(void *arg, int signal), void *arg)
{
	struct loop_signal *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->callback = callback;
	s->arg = arg;
	s->loop = loop;
	s->event = evsignal_new(loop->base, signal, signal_came, s);
	if (!s->event || event_add(s->event, NULL))
		loop_signal_free(&s);
	return s;
}

void loop_signal_free(struct loop_signal **signal)
{
	struct loop_signal *s = *signal;

	*signal = NULL;
	if (!s)
		return;
	if (s->event)
		event_free(s->event);
	free(s);
}

static void resolve_look_up(struct loop_resolve *r, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
	struct addrinfo *list = NULL;

	r->error = getaddrinfo(r->host, r->port, &hints, &list);
	if (r->error)
		return;
	for (struct addrinfo *a = list; a && r->count < LOOP_MAX_ADDRESSES; a = a->ai_next) {
		memcpy(&r->addresses[r->count].address, a->ai_addr, a->ai_addrlen);
		r->addresses[r->count++].length = a->ai_addrlen;
	}
	freeaddrinfo(list);
	if (!r->count)
		r->error = EAI_NONAME;
}

static void *resolve_thread(void *arg)
{
	struct loop_resolve *r = arg;
	bool orphaned;

	resolve_look_up(r, 0);
	pthread_mutex_lock(&resolve_lock);
	orphaned = !r->loop;
	if (!orphaned)
		loop_post(r->loop, &r->work);
	pthread_mutex_unlock(&resolve_lock);
	if (orphaned)
		free(r);
	return NULL;
}

/* 0 or an errno. */
static int resolve_start_thread(struct loop_resolve *r)
{
	sigset_t all, before;
	pthread_t thread;
	int error;

	sigfillset(&all); /* signals belong to the loop's thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, resolve_thread, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_detach(thread);
	return error;
}

static void resolve_unlink(struct loop_resolve *r)
{
	struct loop_resolve **link;

	pthread_mutex_lock(&resolve_lock);
	if (r->loop) {
		for (link = &r->loop->resolves; *link != r;)
			link = &(*link)->next;
		*link = r->next;
	}
	pthread_mutex_unlock(&resolve_lock);
}

static void resolve_done(void *arg)
{
	struct loop_resolve *r = arg;

	resolve_unlink(r);
	if (!r->cancelled)
		r->callback(r->arg, r->error, r->addresses, r->count);
	free(r);
}

struct loop_resolve *loop_resolve(struct loop *loop, const char *host, uint16_t port,
				  loop_resolve_fn *callback, void *arg)
{
	size_t length = strlen(host) + 1;
	struct loop_resolve *r = calloc(1, sizeof(*r) + length);
	int error;

	if (!r)
		return NULL;
	r->loop = loop;
	r->callback = callback;
	r->arg = arg;
	r->work = (struct loop_work){.callback = resolve_done, .arg = r};
	memcpy(r->host, host, length);
	snprintf(r->port, sizeof(r->port), "%u", port);

	pthread_mutex_lock(&resolve_lock);
	r->next = loop->resolves;
	loop->resolves = r;
	pthread_mutex_unlock(&resolve_lock);
	resolve_look_up(r, AI_NUMERICHOST); /* an address in digits needs no thread */
	if (!r->error) {
		loop_post(loop, &r->work);
		return r;
	}
	error = resolve_start_thread(r);
	if (error) {
		resolve_unlink(r);
		free(r);
		errno = error;
		return NULL;
	}
	return r;
}

void loop_resolve_cancel(struct loop_resolve **resolve)
{
	if (*resolve)
		(*resolve)->cancelled = true; /* resolve_done() or the thread frees it */
	*resolve = NULL;
}
