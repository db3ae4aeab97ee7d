/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remote.c - see remote.h */
#include "dstfs/remote.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "dstfs/lane.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_SHOWN 4 /* bytes of the session id that people see, like the server's log */

struct remote {
	struct target base;
	struct uri uri;
	uint8_t session[DST_ID_SIZE];
	unsigned lane_count;

	pthread_mutex_t lock; /* guards what follows, and changes of base.state */
	unsigned ready; /* lanes that are */
	char reason[DST_MAX_REASON + 1];
	char peer[128]; /* that let us in last */
	struct log_limit limit_size;
	char session_text[2 * SESSION_SHOWN + 1]; /* the id is a secret: never shown whole */
	uint64_t state_since; /* clock_now() */

	struct lane *lanes[]; /* by the worker's index; each used by its worker only */
};

static struct remote *from_base(struct target *target)
{
	return (struct remote *)target; /* base is the first member */
}

static void remote_submit(struct target *target, struct request *request)
{
	lane_submit(from_base(target)->lanes[request->worker->index], request);
}

static void remote_cancel(struct target *target, struct request *request, int error)
{
	lane_cancel(from_base(target)->lanes[request->worker->index], request, error);
}

/* With the lock held. */
static void set_state(struct remote *remote, enum target_state state, const char *reason)
{
	snprintf(remote->reason, sizeof(remote->reason), "%s", reason);
	if (remote->base.state == state)
		return;
	remote->base.state = state;
	remote->state_since = clock_now();
}

static void set_size(struct remote *remote, uint64_t size)
{
	char text[URI_TEXT_MAX];
	uint64_t before = remote->base.size;

	remote->base.size = size;
	if (before && before != size)
		log_limited(&remote->limit_size, size < before ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			    "%s: its size changed from %llu to %llu bytes",
			    uri_print(&remote->uri, text), (unsigned long long)before,
			    (unsigned long long)size);
}

static int on_welcome(void *arg, const char *address, const struct wire_attrs *attrs, char *reason,
		      size_t size)
{
	struct remote *remote = arg;

	pthread_mutex_lock(&remote->lock);
	set_size(remote, attrs->size);
	remote->base.writable = attrs->permissions & DST_PERM_WRITE;
	remote->ready++;
	snprintf(remote->peer, sizeof(remote->peer), "%s", address);
	set_state(remote, TARGET_READY, "");
	pthread_mutex_unlock(&remote->lock);
	remote->base.changed(remote->base.changed_arg);
	return 0;
}

static void on_notice(void *arg, const struct wire_attrs *attrs)
{
	struct remote *remote = arg;

	pthread_mutex_lock(&remote->lock);
	if (wire_has(attrs, DST_ATTR_SIZE))
		set_size(remote, attrs->size);
	if (wire_has(attrs, DST_ATTR_PERMISSIONS))
		remote->base.writable = attrs->permissions & DST_PERM_WRITE;
	pthread_mutex_unlock(&remote->lock);
	remote->base.changed(remote->base.changed_arg);
}

static void on_lost(void *arg, bool was_ready, bool refused, const char *reason)
{
	struct remote *remote = arg;

	pthread_mutex_lock(&remote->lock);
	if (was_ready)
		remote->ready--;
	if (!remote->ready) {
		/* A node that was never there is still being connected to. */
		if (refused)
			set_state(remote, TARGET_REFUSED, reason);
		else if (remote->base.size)
			set_state(remote, TARGET_AWAY, reason);
		else
			set_state(remote, TARGET_CONNECTING, reason);
	}
	pthread_mutex_unlock(&remote->lock);
	remote->base.changed(remote->base.changed_arg);
}

static const struct lane_events lane_events = {
	.welcome = on_welcome,
	.notice = on_notice,
	.lost = on_lost,
};

static void remote_reason(struct target *target, char *text, size_t size)
{
	struct remote *remote = from_base(target);

	pthread_mutex_lock(&remote->lock);
	snprintf(text, size, "%s", remote->reason);
	pthread_mutex_unlock(&remote->lock);
}

static json_t *lane_status(const struct lane *lane, unsigned index)
{
	const struct lane_counters *c = lane_get_counters(lane);

	return json_pack("{s:i, s:s, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}",
			 "worker", (int)index, "state", lane_state_name(lane_get_state(lane)),
			 "inflight", (json_int_t)counter_get(&c->inflight), "counters",
			 "messages_out", (json_int_t)counter_get(&c->messages_out), "messages_in",
			 (json_int_t)counter_get(&c->messages_in), "bytes_in",
			 (json_int_t)counter_get(&c->bytes_in), "bytes_out",
			 (json_int_t)counter_get(&c->bytes_out), "resends",
			 (json_int_t)counter_get(&c->resends), "connects",
			 (json_int_t)counter_get(&c->connects), "bad_digests",
			 (json_int_t)counter_get(&c->bad_digests), "late_replies",
			 (json_int_t)counter_get(&c->late_replies), "executed",
			 (json_int_t)counter_get(&c->executed));
}

static json_t *remote_status(struct target *target)
{
	struct remote *remote = from_base(target);
	json_t *lanes = json_array(), *status;
	char text[URI_TEXT_MAX];

	for (unsigned i = 0; i < remote->lane_count; i++)
		json_array_append_new(lanes, lane_status(remote->lanes[i], i));
	pthread_mutex_lock(&remote->lock);
	status = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:I, s:o}", "uri",
			   uri_print(&remote->uri, text), "peer", remote->peer, "state",
			   target_state_name(remote->base.state), "reason", remote->reason,
			   "session", remote->session_text, "size", (json_int_t)remote->base.size,
			   "writable", (int)remote->base.writable, "state_for_s",
			   (json_int_t)((clock_now() - remote->state_since) / CLOCK_SEC), "lanes",
			   lanes);
	pthread_mutex_unlock(&remote->lock);
	return status;
}

static bool remote_destroy(struct target *target)
{
	struct remote *remote = from_base(target);

	remote->base.state = TARGET_STOPPED;
	for (unsigned i = 0; i < remote->lane_count; i++)
		lane_free(&remote->lanes[i]);
	pthread_mutex_destroy(&remote->lock);
	free(remote);
	return true;
}

static const struct target_ops remote_ops = {
	.submit = remote_submit,
	.cancel = remote_cancel,
	.status = remote_status,
	.reason = remote_reason,
	.destroy = remote_destroy,
};

struct target *remote_new(const struct uri *uri, struct worker *workers, unsigned worker_count,
			  const struct target_policy *policy, const char *client,
			  void (*changed)(void *arg), void *changed_arg)
{
	struct remote *remote = calloc(1, sizeof(*remote) + worker_count * sizeof(struct lane *));
	struct lane_config config;

	if (!remote)
		return NULL;
	remote->base.ops = &remote_ops;
	remote->base.policy = policy;
	remote->base.changed = changed;
	remote->base.changed_arg = changed_arg;
	remote->uri = *uri;
	remote->lane_count = worker_count;
	remote->state_since = clock_now();
	pthread_mutex_init(&remote->lock, NULL);
	random_bytes(remote->session, sizeof(remote->session));
	for (unsigned i = 0; i < SESSION_SHOWN; i++)
		snprintf(remote->session_text + 2 * i, 3, "%02x", remote->session[i]);
	config = (struct lane_config){
		.uri = &remote->uri,
		.policy = policy,
		.session = remote->session,
		.lanes = worker_count,
		.client = client,
		.events = &lane_events,
		.arg = remote,
	};
	for (unsigned i = 0; i < worker_count; i++) {
		remote->lanes[i] = lane_new(&workers[i], &config);
		if (!remote->lanes[i]) {
			remote_destroy(&remote->base);
			return NULL;
		}
	}
	for (unsigned i = 0; i < worker_count;
	     i++) /* all or none: a posted start can't be undone */
		lane_start(remote->lanes[i]);
	return &remote->base;
}
