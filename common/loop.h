/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - an event loop: timers, posted work, descriptors, signals, name look-ups, and hooks that
 * run before it sleeps.
 *
 * One loop belongs to one thread (a worker). Everything here is called from that thread only, save
 * loop_post() and loop_stop(). loop_event.c implements it over libevent; the simulator links
 * another implementation, with a clock and an order of its own. Objects are embedded by their
 * users, so arming a timer or posting work allocates nothing.
 *
 * A turn: wait for events, run the callbacks of those that came, run posted work, run the hooks that
 * were deferred meanwhile, sleep again. A callback may free the object that it was called for.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct loop;

struct loop *loop_new(void); /* NULL: errno tells why */
void loop_free(struct loop **loop); /* all that was registered must be gone */
void loop_run(struct loop *loop); /* returns after loop_stop(), at the end of that turn */
void loop_stop(struct loop *loop); /* any thread */

/*
 * How long to look for events without sleeping before the loop sleeps, at most, in nanoseconds; 0, as
 * at first: not at all. Waking a sleeper takes tens of microseconds where idle processors are
 * virtual; looking costs processor time, so it is done only while events keep coming that soon.
 */
void loop_set_busy_poll(struct loop *loop, uint64_t most);

/* Timers: one shot. */
struct loop_timer {
	struct loop *loop;
	void (*callback)(void *arg);
	void *arg;
	void *impl; /* the implementation's */
};

int loop_timer_init(struct loop_timer *timer, struct loop *loop, void (*callback)(void *arg),
		    void *arg); /* 0 or ENOMEM */
void loop_timer_set(struct loop_timer *timer, uint64_t delay); /* nanoseconds; restarts it */
void loop_timer_cancel(struct loop_timer *timer); /* idle already: fine */
bool loop_timer_pending(const struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer *timer); /* a zeroed one is fine */

/*
 * Posted work: callback(arg) runs once, in the loop's thread, in the order of posting. The object
 * must stay valid until then, and may be posted again from its own callback on.
 */
struct loop_work {
	void (*callback)(void *arg);
	void *arg;
	struct loop_work *next;
};

void loop_post(struct loop *loop, struct loop_work *work); /* any thread */

/* Runs what is posted to a loop that has stopped, so that its objects may go. */
void loop_run_posted(struct loop *loop);

/*
 * Deferred hooks: run once, after this turn's events and before the loop sleeps. This is where
 * what was gathered in a turn is sent together. Deferring a hook that is deferred does nothing.
 */
struct loop_hook {
	void (*callback)(void *arg);
	void *arg;
	struct loop *loop; /* the implementation's, like the rest */
	struct loop_hook *next, **link; /* link: non-NULL while deferred */
};

void loop_defer(struct loop *loop, struct loop_hook *hook);
void loop_defer_cancel(struct loop_hook *hook);

/* Descriptors, level-triggered. The loop doesn't own the descriptor. */
#define LOOP_READ 0x1u
#define LOOP_WRITE 0x2u

struct loop_fd;
struct loop_fd *loop_fd_new(struct loop *loop, int fd, void (*callback)(void *arg, unsigned events),
			    void *arg); /* wants nothing yet; NULL: out of memory */
int loop_fd_want(struct loop_fd *fd, unsigned events); /* the whole set; 0 or an errno */
void loop_fd_free(struct loop_fd **fd);

/* Signals: callback(arg, signal) in the loop's thread. One loop per process may have them. */
struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *loop, int signal,
				    void (*callback)(void *arg, int signal), void *arg);
void loop_signal_free(struct loop_signal **signal);

/*
 * Name look-up by the system's resolver, off the loop (an address in digits needs no thread). The callback runs once in the loop's thread,
 * with error 0 and up to LOOP_MAX_ADDRESSES addresses in the resolver's order, or with an EAI_*
 * error (text: gai_strerror). After loop_resolve_cancel() it doesn't run.
 */
#define LOOP_MAX_ADDRESSES 16

struct loop_address {
	struct sockaddr_storage address;
	socklen_t length;
};

struct loop_resolve;
typedef void loop_resolve_fn(void *arg, int error, const struct loop_address *addresses,
			     unsigned count);
struct loop_resolve *loop_resolve(struct loop *loop, const char *host, uint16_t port,
				  loop_resolve_fn *callback, void *arg); /* NULL: no thread */
void loop_resolve_cancel(struct loop_resolve **resolve);

#endif
