/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - encodes, decodes and validates the messages of proto.h. Pure: no I/O, no state.
 *
 * Every field that comes from the wire is validated here, once; what passes may be trusted to be
 * within the limits of proto.h, but not to fit an export's size or a session's rights.
 */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include "common/proto.h"
#include "common/range.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_header {
	uint8_t type; /* enum dst_type */
	uint8_t flags; /* DST_F_* */
	uint16_t status; /* replies: enum dst_status; requests: the lag, at least 1 */
	uint64_t id;
	struct range range;
	uint32_t payload; /* bytes */
	uint64_t digest;
};

enum wire_direction { WIRE_REQUEST, WIRE_REPLY };

enum wire_error {
	WIRE_OK,
	WIRE_BAD_MAGIC, /* not this protocol */
	WIRE_BAD_VERSION, /* this protocol, another version */
	WIRE_BAD_CHECK, /* the header's digest is wrong */
	WIRE_BAD_FIELD, /* a field is outside its limit or wrong for its type */
	WIRE_BAD_TYPE, /* unknown type; the framing holds: a server skips it */
};

const char *wire_error_text(enum wire_error error);

/* The payload's digest for `checksum`: 0 for DST_CHECKSUM_NONE or an empty payload. */
uint64_t wire_digest(enum dst_checksum checksum, const void *payload, uint32_t size);

/*
 * Encodes the header with its check. `direction` is the sender's. The digest goes out as 0 where
 * proto.h wants that (no payload, DST_CHECKSUM_NONE), whatever header->digest holds: it is computed
 * where the data enters, perhaps before the checksum is negotiated.
 */
void wire_encode(uint8_t out[DST_HEADER_SIZE], const struct wire_header *header,
		 enum wire_direction direction, enum dst_checksum checksum);

/*
 * Decodes and validates a header that came in `direction`, against all of proto.h that needs no
 * state: what a type allows, ids, lag, limits. max_payload bounds `payload`; it is at most
 * DST_MAX_PAYLOAD. Left to the caller: that a reply's id and type are those of a request, that
 * its payload and length fit that request, that the lag fits the lane's depth, that the range fits
 * the export. On WIRE_BAD_TYPE *header is filled, id and payload are within their bounds; on any
 * other error *header is not to be used.
 */
enum wire_error wire_decode(struct wire_header *header, const uint8_t in[DST_HEADER_SIZE],
			    enum wire_direction direction, enum dst_checksum checksum,
			    uint32_t max_payload);

const char *wire_type_name(uint8_t type); /* "READ", …; "unknown" */

/*
 * A status to a positive errno of this machine (0 for DST_OK, EIO for unknown), and back: an errno
 * without a status of its own becomes DST_EIO, and none becomes a status of the protocol's own (256
 * and up). The caller logs what is narrowed.
 */
int wire_status_to_errno(uint16_t status);
uint16_t wire_status_from_errno(int error);
const char *wire_status_text(uint16_t status); /* one phrase for people */

/* An export's epoch (proto.h, section 7): equal if both parts are. */
struct wire_epoch {
	uint64_t counter;
	uint8_t uuid[DST_ID_SIZE];
};

bool wire_epoch_equal(const struct wire_epoch *a, const struct wire_epoch *b);

/* Transactions sent and not answered: ids first + distance[0..count), ascending, distance[0] is 0. */
struct wire_pending {
	uint64_t first;
	unsigned count;
	uint16_t distance[DST_MAX_DEPTH];
};

/* Those of them that have run. */
struct wire_executed {
	unsigned count; /* may be 0 */
	struct wire_executed_one {
		uint16_t distance; /* of the id from the first pending one; ascending */
		uint16_t status; /* enum dst_status */
		uint32_t length; /* bytes that COPY copied */
	} one[DST_MAX_DEPTH];
};

/* Attributes in memory; a client or server fills in what it sends. `has` tells which are there:
 * bit 1 << DST_ATTR_x. */
struct wire_attrs {
	uint32_t has;
	char export_name[DST_MAX_NAME + 1];
	uint8_t session[DST_ID_SIZE];
	uint32_t lane, lanes;
	uint32_t permissions;
	uint32_t checksum; /* from a client: mask of 1 << enum; from a server: the enum's value */
	char client[DST_MAX_CLIENT_NAME + 1];
	uint64_t size;
	uint32_t block_min, block_preferred;
	uint32_t max_payload, max_range, depth;
	uint32_t features;
	uint8_t server_id[DST_ID_SIZE];
	uint8_t export_uuid[DST_ID_SIZE];
	uint8_t instance[DST_ID_SIZE];
	char reason[DST_MAX_REASON + 1];
	struct wire_epoch epoch, takeover;
	struct wire_pending pending;
	struct wire_executed
		executed; /* that they are of the ids asked for is the caller's to check */
};

static inline bool wire_has(const struct wire_attrs *attrs, enum dst_attr kind)
{
	return attrs->has & (1u << kind);
}

/*
 * Encodes what `has` names. Bytes written to out: DST_MAX_HELLO is enough for all that a wire_attrs
 * holds. In texts for people (client, reason) what is not clean UTF-8 goes out as '?'.
 */
uint32_t wire_attrs_encode(uint8_t out[DST_MAX_HELLO], const struct wire_attrs *attrs);

/*
 * Decodes and validates a list. 0, or EPROTO with the cause in reason[DST_MAX_REASON + 1]. Strings
 * are checked to be UTF-8 without control characters; counts, sizes and permissions to be within
 * limits. A peer's limits that are larger than ours come out as ours. Unknown bits of `checksum`
 * and `features` stay. Which attributes must be there is the caller's to check, and that `checksum`
 * is one that was offered.
 */
int wire_attrs_decode(struct wire_attrs *attrs, const uint8_t *in, uint32_t size,
		      char reason[DST_MAX_REASON + 1]);

struct wire_extent {
	uint64_t length; /* bytes, > 0 */
	uint32_t kind; /* DST_EXTENT_* */
};

void wire_extent_encode(uint8_t out[DST_EXTENT_SIZE], const struct wire_extent *extent);
/*
 * Decodes a whole reply; the extents must be non-empty and together within `most` bytes. 0 or
 * EPROTO. extents holds DST_MAX_EXTENTS. An unknown kind comes out as data, which is always safe.
 */
int wire_extents_decode(struct wire_extent *extents, unsigned *count, const uint8_t *in,
			uint32_t size, uint64_t most);

void wire_u64_encode(uint8_t out[8], uint64_t value); /* dst_copy, dst_hash_seed */
uint64_t wire_u64_decode(const uint8_t in[8]);

#endif
