/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.c - loop.h in simulated time. Instead of sleeping a loop waits for its wake event, which comes a
 * little after something became ready: so workers take turns in any order. A turn runs what is
 * ready in any order, the posted work before or after it, and then the hooks, like loop_event.c.
 *
 * loop_run() returns at once: who runs a loop is the queue of events. loop_stop() of a process's
 * first loop is reported to who started the process.
 */
#include "test/sim/loop.h"

#include "common/loop.h"
#include "test/sim/heap.h"
#include "test/sim/net.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#define TURN_LATEST (20 * US) /* from ready to run, while the process isn't held up */
#define TURN_DELAYED (5 * MS) /* likewise, while something else has its processor */
#define DELAYED_PERMILLE 10u

struct loop {
	struct sim_process *process;
	struct sim_event wake;
	struct ready_list ready;
	struct ready_list turn; /* of the turn that runs, still to be run */
	struct loop_work *posted, **posted_tail;
	struct loop_hook *hooks, **hooks_tail;
	bool first; /* of its process */
	bool stopped; /* its thread has left it, or is about to */
	struct sim_event stop;
};

struct timer {
	struct sim_event event; /* when it is due */
	struct ready ready;
};

struct loop_resolve {
	struct loop *loop;
	struct sim_event event;
	struct ready ready;
	loop_resolve_fn *callback;
	void *arg;
	bool fails;
	unsigned count;
	struct loop_address addresses[LOOP_MAX_ADDRESSES];
};

/* ---- readiness ---- */

static void list_append(struct ready_list *list, struct ready *ready)
{
	ready->list = list;
	ready->next = NULL;
	ready->link = list->tail;
	*list->tail = ready;
	list->tail = &ready->next;
	list->count++;
}

void ready_cancel(struct ready *ready)
{
	struct ready_list *list = ready->list;

	if (!list)
		return;
	*ready->link = ready->next;
	if (ready->next)
		ready->next->link = ready->link;
	else
		list->tail = ready->link;
	ready->list = NULL;
	list->count--;
}

static void wake(struct loop *loop)
{
	bool busy = loop->process->busy_until > sim.now;
	bool delayed = busy ? sim_chance(80) : sim_permille(DELAYED_PERMILLE);

	if (!loop->wake.place && !loop->stopped)
		sim_event_set(&loop->wake, sim_random(delayed ? TURN_DELAYED : TURN_LATEST));
}

void ready_set(struct loop *loop, struct ready *ready)
{
	if (ready->list)
		return;
	list_append(&loop->ready, ready);
	wake(loop);
}

static struct ready *take_any(struct ready_list *list)
{
	struct ready *ready = list->first;

	for (uint64_t skip = sim_random(list->count); skip; skip--)
		ready = ready->next;
	ready_cancel(ready);
	return ready;
}

void loop_run_posted(struct loop *loop)
{
	struct loop_work *work = loop->posted, *next;

	loop->posted = NULL;
	loop->posted_tail = &loop->posted;
	for (; work; work = next) {
		next = work->next; /* the callback may free or post it again */
		work->callback(work->arg);
	}
}

/* Runs the hooks that are deferred now. One that is deferred again meanwhile runs next turn. */
static void run_hooks(struct loop *loop)
{
	struct loop_hook *mine = loop->hooks;

	if (!mine)
		return;
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

static void run_turn(void *arg)
{
	struct loop *loop = arg;
	bool posted_first = sim_chance(50);

	while (loop->ready.first) { /* what gets ready meanwhile belongs to the next turn */
		struct ready *ready = loop->ready.first;

		ready_cancel(ready);
		list_append(&loop->turn, ready);
	}
	if (posted_first)
		loop_run_posted(loop);
	while (loop->turn.count) {
		struct ready *ready = take_any(&loop->turn);

		ready->run(ready->arg);
	}
	if (!posted_first)
		loop_run_posted(loop);
	run_hooks(loop);
	if (loop->ready.count || loop->posted || loop->hooks)
		wake(loop);
}

/* ---- life ---- */

static void run_stop(void *arg)
{
	struct loop *loop = arg;

	struct sim_process *process = loop->process;

	sim_leave(NULL); /* the process may be taken down there */
	if (loop->first && process->stopped)
		process->stopped(process);
}

struct loop *loop_new(void)
{
	struct loop *loop = heap_calloc(1, sizeof(*loop));

	loop->process = sim.current;
	loop->first = !sim.current->loops++;
	loop->wake = (struct sim_event){.run = run_turn, .arg = loop, .process = sim.current};
	loop->stop = (struct sim_event){.run = run_stop, .arg = loop, .process = sim.current};
	loop->ready.tail = &loop->ready.first;
	loop->turn.tail = &loop->turn.first;
	loop->posted_tail = &loop->posted;
	loop->hooks_tail = &loop->hooks;
	return loop;
}

void loop_free(struct loop **pointer)
{
	struct loop *loop = *pointer;

	*pointer = NULL;
	if (!loop)
		return;
	loop_run_posted(loop);
	assert(!loop->hooks && !loop->ready.count && !loop->turn.count);
	sim_event_cancel(&loop->wake);
	sim_event_cancel(&loop->stop);
	heap_free(loop);
}

void loop_run(struct loop *loop)
{
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	sim_event_cancel(&loop->wake);
	sim_event_set(&loop->stop, 0);
}

void loop_set_busy_poll(struct loop *loop, uint64_t most)
{
}

struct sim_process *loop_process(const struct loop *loop)
{
	return loop->process;
}

/* ---- timers ---- */

static void timer_due(void *arg)
{
	struct loop_timer *timer = arg;

	ready_set(timer->loop, &((struct timer *)timer->impl)->ready);
}

int loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*callback)(void *arg),
		    void *arg)
{
	struct timer *impl = heap_malloc(sizeof(*impl));

	*timer = (struct loop_timer){.loop = loop, .callback = callback, .arg = arg, .impl = impl};
	*impl = (struct timer){
		.event = {.run = timer_due, .arg = timer, .process = loop->process},
		.ready = {.run = callback, .arg = arg},
	};
	return 0;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay)
{
	struct timer *impl = timer->impl;

	ready_cancel(&impl->ready);
	sim_event_set(&impl->event, delay);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	struct timer *impl = timer->impl;

	if (!impl)
		return;
	ready_cancel(&impl->ready);
	sim_event_cancel(&impl->event);
}

bool loop_timer_pending(const struct loop_timer *timer)
{
	const struct timer *impl = timer->impl;

	return impl && (impl->event.place || impl->ready.list);
}

void loop_timer_destroy(struct loop_timer *timer)
{
	loop_timer_cancel(timer);
	heap_free(timer->impl);
	timer->impl = NULL;
}

/* ---- posted work, hooks ---- */

void loop_post(struct loop *loop, struct loop_work *work)
{
	work->next = NULL;
	*loop->posted_tail = work;
	loop->posted_tail = &work->next;
	wake(loop);
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
	wake(loop);
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

/* ---- name look-up ---- */

static void resolve_done(void *arg)
{
	struct loop_resolve *resolve = arg;

	resolve->callback(resolve->arg, resolve->fails ? EAI_AGAIN : 0, resolve->addresses,
			  resolve->fails ? 0 : resolve->count);
	heap_free(resolve);
}

static void resolve_due(void *arg)
{
	struct loop_resolve *resolve = arg;

	ready_set(resolve->loop, &resolve->ready);
}

struct loop_resolve *loop_resolve(struct loop *loop, const char *host, uint16_t port,
				  loop_resolve_fn *callback, void *arg)
{
	struct loop_resolve *resolve = heap_calloc(1, sizeof(*resolve));

	resolve->loop = loop;
	resolve->callback = callback;
	resolve->arg = arg;
	resolve->event =
		(struct sim_event){.run = resolve_due, .arg = resolve, .process = loop->process};
	resolve->ready = (struct ready){.run = resolve_done, .arg = resolve};
	resolve->fails = sim_permille(10);
	if (resolve->fails)
		sim_count(COUNT_NAMES_FAILED);
	resolve->count = net_addresses(host, port, resolve->addresses);
	sim_event_set(&resolve->event, sim_random(MS));
	return resolve;
}

void loop_resolve_cancel(struct loop_resolve **pointer)
{
	struct loop_resolve *resolve = *pointer;

	*pointer = NULL;
	if (!resolve)
		return;
	ready_cancel(&resolve->ready);
	sim_event_cancel(&resolve->event);
	heap_free(resolve);
}
