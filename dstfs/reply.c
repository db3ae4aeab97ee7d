/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reply.c - see reply.h */
#include "dstfs/reply.h"

#include <errno.h>

const char *reply_check(const struct txn *txn, const struct msgio_in *in)
{
	if (!txn || !txn->sent)
		return "protocol error: a reply to no request";
	if (txn->queued)
		return "protocol error: a reply to a request that was not sent whole";
	if (in->header.type != txn->out.header.type)
		return "protocol error: the reply is of another type than its request";
	return NULL;
}

/* They must describe the reply's length, and no more than was asked for. */
static int accept_extents(struct request *request, const struct msgio_in *in,
			  struct wire_extent *extents)
{
	uint64_t described = 0;

	if (wire_extents_decode(extents, &request->extent_count, in->payload, in->header.payload,
				request->range.length))
		return EPROTO;
	for (unsigned i = 0; i < request->extent_count; i++)
		described += extents[i].length;
	request->extents = extents;
	return described == in->header.range.length ? 0 : EPROTO;
}

int reply_accept(struct request *request, const struct msgio_in *in, struct wire_extent *extents)
{
	const struct wire_header *header = &in->header;

	switch (in->header.type) { /* a FLUSH may be a COPY's */
	case DST_READ:
		request->data = in->payload;
		return header->payload == request->range.length ? 0 : EPROTO;
	case DST_HASH:
		request->hash = in->payload;
		return header->payload == DST_HASH_SIZE ? 0 : EPROTO;
	case DST_EXTENTS:
		return accept_extents(request, in, extents);
	case DST_COPY:
		request->result = header->range.length;
		return header->range.length && header->range.length <= request->range.length
			       ? 0
			       : EPROTO;
	default:
		return 0;
	}
}

bool reply_executed_fits(const struct txn *txn, const struct wire_executed_one *one)
{
	/* These say that it has not run. */
	if (one->status == DST_EBADMSG || one->status == DST_ESHUTDOWN ||
	    one->status == DST_EFALSE_RETRY)
		return false;
	if (!txn)
		return true;
	if (txn->request->type != REQUEST_COPY || one->status != DST_OK)
		return !one->length;
	return one->length && one->length <= txn->request->range.length;
}
