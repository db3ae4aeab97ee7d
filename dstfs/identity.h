/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity.h - is the export that answers the one that we know? Pure: no I/O, no state but its own.
 */
#ifndef DSTFS_IDENTITY_H
#define DSTFS_IDENTITY_H

#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: nothing is known yet. */
struct identity {
	bool server_known, export_known;
	uint8_t server_id[DST_ID_SIZE]; /* which dstd */
	uint8_t export_uuid[DST_ID_SIZE];
	uint64_t size; /* bytes, as last accepted; 0: not known */
};

enum identity_match {
	IDENTITY_SAME, /* or nothing is known that speaks against it */
	IDENTITY_OTHER_SERVER, /* the same export as far as one can tell, of another dstd */
	IDENTITY_REPLACED, /* another export by the same name, or one that has shrunk */
};

/* What a HELLO's answer tells, or as much as a refusal or a notice tells. The cause in reason unless
 * it is the same. */
enum identity_match identity_compare(const struct identity *identity,
				     const struct wire_attrs *attrs, char *reason, size_t size);

void identity_adopt(struct identity *identity, const struct wire_attrs *attrs);

#endif
