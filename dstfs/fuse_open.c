/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_open.c - opens. An open never waits for the network, unless the volume says `wait`: then it is
 * put aside and looked at again when a volume changes, a few times a second, and when it is
 * interrupted.
 */
#include "dstfs/fuse_impl.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>

#define RECHECK_INTERVAL (100 * CLOCK_MS)

/* From <linux/fuse.h> of Linux 6.2; older headers lack it, and libfuse 3.14 has no field for it. */
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

struct pending_open {
	struct pending_open *next;
	fuse_req_t req;
	struct mount_volume *mv;
	int flags;
	uint64_t deadline; /* clock_now() */
	_Atomic bool interrupted;
};

struct fuse_opens {
	pthread_mutex_t lock; /* guards the list: opens come in on any worker */
	struct pending_open *pending;
	struct loop_timer timer; /* of worker 0 */
	struct loop_work arm;
	bool armed; /* under the lock: `arm` is posted or the timer runs */
};

/* 0: open it. EAGAIN: the node isn't there yet. Else the errno of the refusal. */
static int admit(const struct mount_volume *mv, int flags)
{
	struct target *target = volume_target(mv->volume);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	if (writes && volume_policy(mv->volume)->read_only)
		return EROFS;
	if (target->state == TARGET_REFUSED)
		return EACCES;
	if (target->state == TARGET_FENCED)
		return EIO; /* like all that was opened before */
	if (target->state == TARGET_CONNECTING)
		return EAGAIN;
	return writes && !target->writable ? EROFS : 0;
}

/*
 * FOPEN_PARALLEL_DIRECT_WRITES goes with FOPEN_DIRECT_IO only: a buffered open of the same inode would
 * sleep, unkillably, until all parallel direct writes are answered.
 */
static void answer_open(fuse_req_t req, const struct mount_volume *mv)
{
	struct fuse_open_out out = {.open_flags = 0};

	if (mv->cache == CACHE_NONE)
		out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	else if (mv->keep_cache)
		out.open_flags = FOPEN_KEEP_CACHE;
	/* Whether it arrived doesn't matter: an open holds nothing. */
	fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void on_interrupt(fuse_req_t req, void *data)
{
	((struct pending_open *)data)->interrupted = true; /* the timer will see it */
}

static void put_aside(fuse_req_t req, struct mount_volume *mv, int flags)
{
	struct fuse_opens *opens = ops_of(req)->opens;
	struct pending_open *p = calloc(1, sizeof(*p));

	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	p->req = req;
	p->mv = mv;
	p->flags = flags;
	p->deadline = clock_now() + mv->wait;
	fuse_req_interrupt_func(req, on_interrupt, p);
	pthread_mutex_lock(&opens->lock);
	p->next = opens->pending;
	opens->pending = p;
	if (!opens->armed) {
		opens->armed = true;
		loop_post(ops_of(req)->mount->workers[0].loop, &opens->arm);
	}
	pthread_mutex_unlock(&opens->lock);
}

void open_open(fuse_req_t req, fuse_ino_t inode, struct fuse_file_info *fi)
{
	struct mount_volume *mv = volume_of(req, inode);
	int error;

	if (!mv) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	error = admit(mv, fi->flags);
	if (!error)
		answer_open(req, mv);
	else if (error == EAGAIN && mv->wait)
		put_aside(req, mv, fi->flags);
	else
		fuse_reply_err(req, error == EAGAIN ? ENOTCONN : error);
}

/* Answers what can be answered, or must be. True: some still wait. With the lock held. */
static bool answer_pending(struct fuse_opens *opens, bool ending)
{
	uint64_t now = clock_now();

	for (struct pending_open **link = &opens->pending, *p; (p = *link);) {
		int error = ending ? EIO : admit(p->mv, p->flags);

		if (error == EAGAIN && p->interrupted)
			error = EINTR;
		if (error == EAGAIN && now >= p->deadline)
			error = ENOTCONN;
		if (error == EAGAIN) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		fuse_req_interrupt_func(p->req, NULL,
					NULL); /* waits for a running on_interrupt() */
		if (error)
			fuse_reply_err(p->req, error);
		else
			answer_open(p->req, p->mv);
		free(p);
	}
	return opens->pending;
}

static void on_timer(void *arg)
{
	struct fuse_opens *opens = arg;

	pthread_mutex_lock(&opens->lock);
	opens->armed = answer_pending(opens, false);
	if (opens->armed)
		loop_timer_set(&opens->timer, RECHECK_INTERVAL);
	pthread_mutex_unlock(&opens->lock);
}

static void arm_timer(void *arg)
{
	struct fuse_opens *opens = arg;

	loop_timer_set(&opens->timer, RECHECK_INTERVAL);
}

void opens_recheck(struct fuse_ops *ops)
{
	pthread_mutex_lock(&ops->opens->lock);
	answer_pending(ops->opens, false);
	pthread_mutex_unlock(&ops->opens->lock);
}

void opens_cancel_all(struct fuse_ops *ops)
{
	answer_pending(ops->opens, true);
}

int opens_init(struct fuse_ops *ops)
{
	struct fuse_opens *opens = calloc(1, sizeof(*opens));

	if (!opens)
		return ENOMEM;
	pthread_mutex_init(&opens->lock, NULL);
	opens->arm = (struct loop_work){.callback = arm_timer, .arg = opens};
	ops->opens = opens;
	return loop_timer_init(&opens->timer, ops->mount->workers[0].loop, on_timer, opens);
}

void opens_destroy(struct fuse_ops *ops)
{
	if (!ops->opens)
		return;
	loop_timer_destroy(&ops->opens->timer);
	pthread_mutex_destroy(&ops->opens->lock);
	free(ops->opens);
	ops->opens = NULL;
}
