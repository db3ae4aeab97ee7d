/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - headers and the fixed payloads of proto.h; see wire.h. Attribute lists: wire_attrs.c.
 *
 * What a type allows is a row of a table per direction, so that the check of a message is a few
 * compares, the same ones for each type: this runs for every message of every I/O.
 */
#include "common/wire.h"

#include "common/checksum.h"
#include "common/le.h"

#include <assert.h>
#include <errno.h>

/* Where the fields are, in bytes from the header's start. */
enum {
	AT_MAGIC = 0,
	AT_TYPE = 4,
	AT_FLAGS = 5,
	AT_STATUS = 6,
	AT_ID = 8,
	AT_OFFSET = 16,
	AT_LENGTH = 24,
	AT_PAYLOAD = 28,
	AT_DIGEST = 32,
	AT_CHECK = DST_CHECKED_SIZE,
};

_Static_assert(AT_CHECK + sizeof(uint64_t) == DST_HEADER_SIZE, "the check ends the header");
_Static_assert(DST_MAGIC >> 24 == DST_VERSION, "the magic's last byte is the version");
_Static_assert(DST_LAG_FACTOR *DST_MAX_DEPTH <= UINT16_MAX, "a lag fits its field");

/* What a type's header may hold in one direction: the table of proto.h, section 3. */
struct rule {
	bool allowed; /* this type may come from there */
	uint8_t flags; /* these may be set, beside DST_F_REPLY */
	bool ranged; /* offset is the range's; otherwise 0 */
	bool payload_is_length; /* the payload is the range's bytes */
	uint8_t payload_unit; /* bytes, a power of two; the payload is a multiple of it */
	uint64_t id_least, id_most;
	uint32_t length_least, length_most;
	uint32_t payload_least, payload_most;
};

#define TRANSACTION .allowed = true, .id_least = 1, .id_most = UINT64_MAX
#define NO_TRANSACTION .allowed = true, .id_least = 1, .id_most = 1
#define NOTICE .allowed = true, .id_least = 0, .id_most = 0
#define PLAIN .payload_unit = 1
#define RANGE_OF(most) PLAIN, .ranged = true, .length_least = 1, .length_most = (most)
#define FIXED_PAYLOAD(size) .payload_least = (size), .payload_most = (size)
#define ATTRIBUTES(least) .payload_unit = 4, .payload_least = (least), .payload_most = DST_MAX_HELLO

static const struct rule request_rules[DST_TYPE_END] = {
	[DST_HELLO] = {NO_TRANSACTION, ATTRIBUTES(4)},
	[DST_READ] = {TRANSACTION, RANGE_OF(DST_MAX_PAYLOAD)},
	[DST_WRITE] = {TRANSACTION, RANGE_OF(DST_MAX_PAYLOAD), .flags = DST_F_FUA,
		       .payload_is_length = true, .payload_least = 1,
		       .payload_most = DST_MAX_PAYLOAD},
	[DST_FLUSH] = {TRANSACTION, PLAIN},
	[DST_DISCARD] = {TRANSACTION, RANGE_OF(DST_MAX_RANGE), .flags = DST_F_FUA},
	[DST_WRITE_ZEROES] = {TRANSACTION, RANGE_OF(DST_MAX_RANGE),
			      .flags = DST_F_FUA | DST_F_NO_HOLE},
	[DST_EXTENTS] = {TRANSACTION, RANGE_OF(DST_MAX_RANGE)},
	[DST_COPY] = {TRANSACTION, RANGE_OF(DST_MAX_RANGE), FIXED_PAYLOAD(DST_COPY_SIZE)},
	[DST_HASH] = {TRANSACTION, RANGE_OF(DST_MAX_RANGE), FIXED_PAYLOAD(DST_HASH_SEED_SIZE)},
	[DST_PING] = {NO_TRANSACTION, PLAIN},
	[DST_CLOSE] = {NO_TRANSACTION, PLAIN},
};

static const struct rule reply_rules[DST_TYPE_END] = {
	[DST_HELLO] = {NO_TRANSACTION, ATTRIBUTES(0)},
	[DST_READ] = {TRANSACTION, PLAIN, .payload_least = 1, .payload_most = DST_MAX_PAYLOAD},
	[DST_WRITE] = {TRANSACTION, PLAIN},
	[DST_FLUSH] = {TRANSACTION, PLAIN},
	[DST_DISCARD] = {TRANSACTION, PLAIN},
	[DST_WRITE_ZEROES] = {TRANSACTION, PLAIN},
	[DST_EXTENTS] = {TRANSACTION, .length_least = 1, .length_most = DST_MAX_RANGE,
			 .payload_unit = DST_EXTENT_SIZE, .payload_least = DST_EXTENT_SIZE,
			 .payload_most = DST_MAX_EXTENTS * DST_EXTENT_SIZE},
	[DST_COPY] = {TRANSACTION, PLAIN, .length_least = 1, .length_most = DST_MAX_RANGE},
	[DST_HASH] = {TRANSACTION, PLAIN, FIXED_PAYLOAD(DST_HASH_SIZE)},
	[DST_PING] = {NO_TRANSACTION, PLAIN},
	[DST_NOTICE] = {NOTICE, ATTRIBUTES(4)},
	[DST_CLOSE] = {NO_TRANSACTION, PLAIN},
};

/* A failed reply of any type but HELLO: it carries nothing. */
static const struct rule failed_transaction = {TRANSACTION, PLAIN};
static const struct rule failed_other = {NO_TRANSACTION, PLAIN};

static const char *const type_names[DST_TYPE_END] = {
	[DST_HELLO] = "HELLO",     [DST_READ] = "READ",       [DST_WRITE] = "WRITE",
	[DST_FLUSH] = "FLUSH",     [DST_DISCARD] = "DISCARD", [DST_WRITE_ZEROES] = "WRITE_ZEROES",
	[DST_EXTENTS] = "EXTENTS", [DST_COPY] = "COPY",       [DST_HASH] = "HASH",
	[DST_PING] = "PING",       [DST_NOTICE] = "NOTICE",   [DST_CLOSE] = "CLOSE",
};

static bool type_known(uint8_t type)
{
	return type < DST_TYPE_END && type_names[type];
}

const char *wire_type_name(uint8_t type)
{
	return type_known(type) ? type_names[type] : "unknown";
}

const char *wire_error_text(enum wire_error error)
{
	switch (error) {
	case WIRE_OK:
		return "no error";
	case WIRE_BAD_MAGIC:
		return "this is not the DST protocol";
	case WIRE_BAD_VERSION:
		return "the peer speaks another version of the DST protocol";
	case WIRE_BAD_CHECK:
		return "a header was damaged on its way";
	case WIRE_BAD_FIELD:
		return "a header breaks the protocol's rules";
	case WIRE_BAD_TYPE:
		return "a message of unknown type";
	}
	return "unknown error";
}

uint64_t wire_digest(enum dst_checksum checksum, const void *payload, uint32_t size)
{
	return checksum == DST_CHECKSUM_NONE || !size ? 0 : checksum_payload(payload, size);
}

static uint64_t header_check(const uint8_t *header, enum wire_direction direction,
			     enum dst_checksum checksum)
{
	if (checksum == DST_CHECKSUM_NONE)
		return 0;
	return checksum_seeded(header, DST_CHECKED_SIZE,
			       direction == WIRE_REQUEST ? DST_CHECK_REQUEST : DST_CHECK_REPLY);
}

void wire_encode(uint8_t out[DST_HEADER_SIZE], const struct wire_header *header,
		 enum wire_direction direction, enum dst_checksum checksum)
{
	bool digested = header->payload && checksum != DST_CHECKSUM_NONE;

	assert(header->range.length <= UINT32_MAX);
	le32_put(out + AT_MAGIC, DST_MAGIC);
	out[AT_TYPE] = header->type;
	out[AT_FLAGS] = header->flags;
	le16_put(out + AT_STATUS, header->status);
	le64_put(out + AT_ID, header->id);
	le64_put(out + AT_OFFSET, header->range.offset);
	le32_put(out + AT_LENGTH, (uint32_t)header->range.length);
	le32_put(out + AT_PAYLOAD, header->payload);
	le64_put(out + AT_DIGEST, digested ? header->digest : 0);
	le64_put(out + AT_CHECK, header_check(out, direction, checksum));
}

/* The rules that hold for every type, known or not. */
static bool frame_ok(const struct wire_header *h, enum wire_direction direction,
		     enum dst_checksum checksum, uint32_t max_payload)
{
	if (h->payload > max_payload)
		return false;
	if (h->digest && (!h->payload || checksum == DST_CHECKSUM_NONE))
		return false;
	if (direction == WIRE_REQUEST)
		return !(h->flags & DST_F_REPLY) && h->status >= 1 && h->status <= h->id;
	return h->flags & DST_F_REPLY;
}

static bool rule_ok(const struct rule *rule, const struct wire_header *h)
{
	uint64_t length = h->range.length;

	if (h->flags & ~(rule->flags | DST_F_REPLY))
		return false;
	if (length < rule->length_least || length > rule->length_most)
		return false;
	if (rule->ranged ? h->range.offset > UINT64_MAX - length : h->range.offset != 0)
		return false;
	if (h->payload < rule->payload_least || h->payload > rule->payload_most ||
	    (h->payload & (rule->payload_unit - 1u)))
		return false;
	if (rule->payload_is_length && h->payload != length)
		return false;
	return h->id >= rule->id_least && h->id <= rule->id_most;
}

/* The type's row; NULL: this type does not come from there, or not with this status. */
static const struct rule *find_rule(const struct wire_header *h, enum wire_direction direction)
{
	const struct rule *rule =
		direction == WIRE_REQUEST ? &request_rules[h->type] : &reply_rules[h->type];

	if (!rule->allowed)
		return NULL;
	if (direction == WIRE_REQUEST || h->status == DST_OK || h->type == DST_HELLO)
		return rule;
	if (h->type == DST_NOTICE)
		return NULL;
	return rule->id_most > 1 ? &failed_transaction : &failed_other;
}

enum wire_error wire_decode(struct wire_header *header, const uint8_t in[DST_HEADER_SIZE],
			    enum wire_direction direction, enum dst_checksum checksum,
			    uint32_t max_payload)
{
	uint32_t magic = le32_get(in + AT_MAGIC);
	const struct rule *rule;

	if (magic != DST_MAGIC)
		return (magic ^ DST_MAGIC) & 0xffffff ? WIRE_BAD_MAGIC : WIRE_BAD_VERSION;
	if (le64_get(in + AT_CHECK) != header_check(in, direction, checksum))
		return WIRE_BAD_CHECK;

	header->type = in[AT_TYPE];
	header->flags = in[AT_FLAGS];
	header->status = le16_get(in + AT_STATUS);
	header->id = le64_get(in + AT_ID);
	header->range.offset = le64_get(in + AT_OFFSET);
	header->range.length = le32_get(in + AT_LENGTH);
	header->payload = le32_get(in + AT_PAYLOAD);
	header->digest = le64_get(in + AT_DIGEST);

	if (!frame_ok(header, direction, checksum, max_payload))
		return WIRE_BAD_FIELD;
	if (!type_known(header->type))
		return WIRE_BAD_TYPE;
	rule = find_rule(header, direction);
	return rule && rule_ok(rule, header) ? WIRE_OK : WIRE_BAD_FIELD;
}

/*
 * Statuses, the errno of this machine that each means, and words for people. Values below 256 are
 * Linux' generic errno numbers, which some architectures number differently: hence the table.
 */
static const struct {
	uint16_t status;
	int error;
	const char *text;
} statuses[] = {
	{DST_OK, 0, "success"},
	{DST_EIO, EIO, "input/output error"},
	{DST_ENOSPC, ENOSPC, "no space left"},
	{DST_EPERM, EPERM, "operation not permitted"},
	{DST_ENOENT, ENOENT, "no such file"},
	{DST_ENXIO, ENXIO, "no such device or address"},
	{DST_EAGAIN, EAGAIN, "temporarily unavailable"},
	{DST_ENOMEM, ENOMEM, "out of memory"},
	{DST_EACCES, EACCES, "permission denied"},
	{DST_EBUSY, EBUSY, "busy"},
	{DST_ENODEV, ENODEV, "the device is gone"},
	{DST_EINVAL, EINVAL, "invalid request"},
	{DST_EFBIG, EFBIG, "file too large"},
	{DST_EROFS, EROFS, "read-only"},
	{DST_EBADE, EBADE, "the device is reserved by another host"},
	{DST_ENODATA, ENODATA, "medium error"},
	{DST_ENOLINK, ENOLINK, "the device's link failed"},
	{DST_EPROTO, EPROTO, "protocol error"},
	{DST_EBADMSG, EBADMSG, "the data was damaged on its way"},
	{DST_EILSEQ, EILSEQ, "the device found its data damaged"},
	{DST_EOPNOTSUPP, EOPNOTSUPP, "not supported"},
	{DST_ETIMEDOUT, ETIMEDOUT, "timed out"},
	{DST_ESTALE, ESTALE, "fenced: another client has taken over"},
	{DST_EUCLEAN, EUCLEAN, "the server's file system is damaged"},
	{DST_EREMOTEIO, EREMOTEIO, "the device failed"},
	{DST_EDQUOT, EDQUOT, "quota exceeded"},
	{DST_ENOMEDIUM, ENOMEDIUM, "no medium"},
	{DST_EUNKNOWN_EXPORT, ENOENT, "no such export"},
	{DST_EDENIED, EACCES, "refused by the server's access rules"},
	{DST_EVERSION, EPROTONOSUPPORT, "the server speaks another version of the protocol"},
	{DST_ESHUTDOWN, ESHUTDOWN, "the server is stopping"},
	{DST_EFALSE_RETRY, EIO, "the id was used before, for something else"},
};

#define STATUS_COUNT (sizeof(statuses) / sizeof(statuses[0]))
#define STATUS_OWN 256 /* from here on: the protocol's own, which no errno stands for */

int wire_status_to_errno(uint16_t status)
{
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (statuses[i].status == status)
			return statuses[i].error;
	return EIO;
}

uint16_t wire_status_from_errno(int error)
{
	if (error == EBADMSG) /* a file system's word for its own damage; ours is DST_EBADMSG's */
		return DST_EIO;
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (statuses[i].error == error && statuses[i].status < STATUS_OWN)
			return statuses[i].status;
	return DST_EIO;
}

const char *wire_status_text(uint16_t status)
{
	for (size_t i = 0; i < STATUS_COUNT; i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "unknown error";
}

void wire_extent_encode(uint8_t out[DST_EXTENT_SIZE], const struct wire_extent *extent)
{
	le64_put(out, extent->length);
	le32_put(out + 8, extent->kind);
	le32_put(out + 12, 0);
}

int wire_extents_decode(struct wire_extent *extents, unsigned *count, const uint8_t *in,
			uint32_t size, uint64_t most)
{
	uint32_t n = size / DST_EXTENT_SIZE;

	if (!n || size % DST_EXTENT_SIZE || n > DST_MAX_EXTENTS)
		return EPROTO;
	for (uint32_t i = 0; i < n; i++, in += DST_EXTENT_SIZE) {
		uint32_t kind = le32_get(in + 8);

		extents[i].length = le64_get(in);
		extents[i].kind = kind == DST_EXTENT_HOLE ? DST_EXTENT_HOLE : DST_EXTENT_DATA;
		if (!extents[i].length || extents[i].length > most || le32_get(in + 12))
			return EPROTO;
		most -= extents[i].length;
	}
	*count = n;
	return 0;
}

void wire_u64_encode(uint8_t out[8], uint64_t value)
{
	le64_put(out, value);
}

uint64_t wire_u64_decode(const uint8_t in[8])
{
	return le64_get(in);
}
