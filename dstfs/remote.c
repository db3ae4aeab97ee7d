/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remote.c - see remote.h */
#include "dstfs/remote.h"

#include "dstfs/attachment.h"

#include <errno.h>
#include <stdlib.h>

struct remote {
	struct target base;
	struct uri uri;
	struct attachment *attachment;
};

static struct remote *from_base(struct target *target)
{
	return (struct remote *)target; /* base is the first member */
}

static struct lane *lane_of(struct target *target, const struct request *request)
{
	return attachment_lane(from_base(target)->attachment, request->worker->index);
}

static void remote_submit(struct target *target, struct request *request)
{
	/* Fenced lanes have failed what they had: what comes later must not wait there. */
	if (target->state == TARGET_FENCED)
		request->done(request, EIO);
	else
		lane_submit(lane_of(target, request), request);
}

static void remote_cancel(struct target *target, struct request *request, int error)
{
	lane_cancel(lane_of(target, request), request, error);
}

static json_t *remote_status(struct target *target)
{
	return attachment_status(from_base(target)->attachment);
}

static int remote_reattach(struct target *target, bool takeover)
{
	return attachment_reattach(from_base(target)->attachment, takeover);
}

static void remote_reason(struct target *target, char *text, size_t size)
{
	attachment_reason(from_base(target)->attachment, text, size);
}

static uint64_t remote_losses(struct target *target)
{
	return attachment_losses(from_base(target)->attachment);
}

static bool remote_destroy(struct target *target)
{
	struct remote *remote = from_base(target);

	remote->base.state = TARGET_STOPPED;
	attachment_free(&remote->attachment);
	free(remote);
	return true;
}

static const struct target_ops remote_ops = {
	.submit = remote_submit,
	.cancel = remote_cancel,
	.status = remote_status,
	.reattach = remote_reattach,
	.reason = remote_reason,
	.losses = remote_losses,
	.destroy = remote_destroy,
};

struct target *remote_new(const struct uri *uri, struct worker *workers, unsigned worker_count,
			  const struct target_policy *policy, const char *client,
			  void (*changed)(void *arg), void *changed_arg)
{
	struct remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return NULL;
	remote->base.ops = &remote_ops;
	remote->base.policy = policy;
	remote->base.changed = changed;
	remote->base.changed_arg = changed_arg;
	remote->uri = *uri;
	remote->attachment =
		attachment_new(&remote->base, &remote->uri, workers, worker_count, client);
	if (!remote->attachment) {
		free(remote);
		return NULL;
	}
	attachment_start(remote->attachment); /* all or none: a posted start can't be undone */
	return &remote->base;
}
