/* SPDX-License-Identifier: GPL-2.0-or-later */
/* identity.c - see identity.h */
#include "dstfs/identity.h"

#include <stdio.h>
#include <string.h>

#define ID_SHOWN 4 /* bytes, as people see them in the server's log and status */

static const char *id_text(const uint8_t id[DST_ID_SIZE], char text[2 * ID_SHOWN + 1])
{
	for (unsigned i = 0; i < ID_SHOWN; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", id[i]);
	return text;
}

static bool differs(bool known, const uint8_t id[DST_ID_SIZE], const struct wire_attrs *attrs,
		    enum dst_attr kind, const uint8_t told[DST_ID_SIZE])
{
	return known && wire_has(attrs, kind) && memcmp(id, told, DST_ID_SIZE) != 0;
}

enum identity_match identity_compare(const struct identity *identity,
				     const struct wire_attrs *attrs, char *reason, size_t size)
{
	char before[2 * ID_SHOWN + 1], now[2 * ID_SHOWN + 1];

	if (differs(identity->export_known, identity->export_uuid, attrs, DST_ATTR_EXPORT_UUID,
		    attrs->export_uuid)) {
		snprintf(reason, size, "the export was replaced: its uuid is %s..., not %s...",
			 id_text(attrs->export_uuid, now), id_text(identity->export_uuid, before));
		return IDENTITY_REPLACED;
	}
	if (identity->size && wire_has(attrs, DST_ATTR_SIZE) && attrs->size < identity->size) {
		snprintf(reason, size, "the export has shrunk from %llu to %llu bytes",
			 (unsigned long long)identity->size, (unsigned long long)attrs->size);
		return IDENTITY_REPLACED;
	}
	if (differs(identity->server_known, identity->server_id, attrs, DST_ATTR_SERVER_ID,
		    attrs->server_id)) {
		snprintf(reason, size, "another dstd answers: its id is %s..., not %s...",
			 id_text(attrs->server_id, now), id_text(identity->server_id, before));
		return IDENTITY_OTHER_SERVER;
	}
	return IDENTITY_SAME;
}

void identity_adopt(struct identity *identity, const struct wire_attrs *attrs)
{
	if (wire_has(attrs, DST_ATTR_SERVER_ID)) {
		identity->server_known = true;
		memcpy(identity->server_id, attrs->server_id, DST_ID_SIZE);
	}
	if (wire_has(attrs, DST_ATTR_EXPORT_UUID)) {
		identity->export_known = true;
		memcpy(identity->export_uuid, attrs->export_uuid, DST_ID_SIZE);
	}
	if (wire_has(attrs, DST_ATTR_SIZE))
		identity->size = attrs->size;
}
