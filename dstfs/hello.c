/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hello.c - see hello.h */
#include "dstfs/hello.h"

#include <errno.h>
#include <stdio.h>

void hello_prepare(struct wire_attrs *attrs, const struct lane_config *config, unsigned index,
		   const struct wire_pending *pending)
{
	*attrs = (struct wire_attrs){
		.has = 1u << DST_ATTR_EXPORT | 1u << DST_ATTR_LANE | 1u << DST_ATTR_PERMISSIONS |
		       1u << DST_ATTR_CHECKSUM | 1u << DST_ATTR_CLIENT,
		.lane = index,
		.lanes = config->lanes,
		.permissions = DST_PERM_READ,
		.checksum = 1u << DST_CHECKSUM_NONE,
	};
	if (!config->policy->read_only)
		attrs->permissions |= DST_PERM_WRITE;
	if (config->policy->checksum)
		attrs->checksum = 1u << DST_CHECKSUM_XXH3;
	snprintf(attrs->export_name, sizeof(attrs->export_name), "%s", config->uri->export_name);
	snprintf(attrs->client, sizeof(attrs->client), "%s", config->client);
	if (pending->count) {
		attrs->has |= 1u << DST_ATTR_PENDING;
		attrs->pending = *pending;
	}
}

/* What the server must tell before it is believed. */
static int check_attrs(const struct wire_attrs *attrs, const struct target_policy *policy,
		       char reason[HELLO_REASON_MAX])
{
	const uint32_t needed = 1u << DST_ATTR_PERMISSIONS | 1u << DST_ATTR_CHECKSUM |
				1u << DST_ATTR_SIZE | 1u << DST_ATTR_LIMITS |
				1u << DST_ATTR_SERVER_ID | 1u << DST_ATTR_EXPORT_UUID |
				1u << DST_ATTR_INSTANCE;
	uint32_t offered = policy->checksum ? 1u << DST_CHECKSUM_XXH3 : 1u << DST_CHECKSUM_NONE;

	if ((attrs->has & needed) != needed)
		snprintf(reason, HELLO_REASON_MAX, "the server's HELLO lacks an attribute");
	else if (!(attrs->permissions & DST_PERM_READ))
		snprintf(reason, HELLO_REASON_MAX, "the server grants no permission to read");
	else if (attrs->checksum >= DST_CHECKSUM_END || !(offered & 1u << attrs->checksum))
		snprintf(reason, HELLO_REASON_MAX,
			 "the server chose a checksum that was not offered");
	else if (attrs->max_payload < DST_MAX_PAYLOAD || attrs->max_range < DST_MAX_RANGE)
		snprintf(reason, HELLO_REASON_MAX, "the server's limits are below the protocol's");
	else
		return 0;
	return EPROTO;
}

int hello_accept(struct wire_attrs *attrs, const struct msgio_in *in,
		 const struct target_policy *policy, char reason[HELLO_REASON_MAX])
{
	if (in->header.type != DST_HELLO || !in->digest_ok) {
		snprintf(reason, HELLO_REASON_MAX, "the server did not answer HELLO");
		return EPROTO;
	}
	if (wire_attrs_decode(attrs, in->payload, in->header.payload, reason))
		return EPROTO;
	if (in->header.status != DST_OK) {
		snprintf(reason, HELLO_REASON_MAX, "%s",
			 wire_has(attrs, DST_ATTR_REASON) ? attrs->reason
							  : wire_status_text(in->header.status));
		return 0;
	}
	return check_attrs(attrs, policy, reason);
}
