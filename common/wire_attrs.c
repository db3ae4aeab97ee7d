/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_attrs.c - the attribute lists of HELLO, its reply and NOTICE (proto.h, section 5). */
#include "common/wire.h"

#include "common/le.h"
#include "common/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ATTR_HEADER 4u /* bytes: kind, length */
#define ATTR_ALIGN 4u /* bytes: values are padded to a multiple */

enum format {
	FORMAT_NONE, /* no such kind */
	FORMAT_TEXT, /* char[most + 1] in memory, `least` to `most` bytes on the wire */
	FORMAT_ID, /* DST_ID_SIZE bytes */
	FORMAT_U32, /* `most` of them, side by side in memory */
	FORMAT_U64,
	FORMAT_EPOCH,
	FORMAT_PENDING,
	FORMAT_EXECUTED,
};

/* Each returns NULL, or what is wrong. They may narrow values to this machine's limits. */
typedef const char *check_fn(struct wire_attrs *attrs);

static const char *check_export(struct wire_attrs *attrs)
{
	const char *name = attrs->export_name;

	/* The name becomes that of a file in the client's mount. */
	if (strchr(name, '/'))
		return "the name contains '/'";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "the name is \".\" or \"..\"";
	return NULL;
}

static const char *check_lane(struct wire_attrs *attrs)
{
	if (!attrs->lanes || attrs->lanes > DST_MAX_LANES)
		return "the number of lanes is out of bounds";
	return attrs->lane < attrs->lanes ? NULL : "there is no such lane";
}

static const char *check_permissions(struct wire_attrs *attrs)
{
	if (attrs->permissions & ~DST_PERM_KNOWN)
		return "unknown permissions";
	return attrs->permissions & DST_PERM_READ ? NULL : "the permission to read is missing";
}

static const char *check_size(struct wire_attrs *attrs)
{
	return attrs->size <= DST_MAX_SIZE ? NULL : "the size is out of bounds";
}

static const char *check_blocks(struct wire_attrs *attrs)
{
	uint32_t min = attrs->block_min, preferred = attrs->block_preferred;

	if (!min || (min & (min - 1)) || min > DST_MAX_BLOCK)
		return "the minimum block is no power of two within bounds";
	return preferred >= min && preferred <= DST_MAX_RANGE
		       ? NULL
		       : "the preferred block is out of bounds";
}

static void at_most(uint32_t *value, uint32_t most)
{
	if (*value > most)
		*value = most;
}

static const char *check_limits(struct wire_attrs *attrs)
{
	if (attrs->max_payload < DST_MAX_PAYLOAD || attrs->max_range < DST_MAX_RANGE ||
	    attrs->depth < DST_MIN_DEPTH)
		return "the limits are below the least that a server must offer";
	at_most(&attrs->max_payload, DST_MAX_PAYLOAD);
	at_most(&attrs->max_range, DST_MAX_RANGE);
	at_most(&attrs->depth, DST_MAX_DEPTH);
	return NULL;
}

static const struct attr {
	const char *name;
	enum format format;
	uint16_t mandatory; /* DST_ATTR_MANDATORY, or 0 */
	uint16_t least, most;
	bool for_people; /* a text that goes out with '?' for what isn't clean */
	size_t field; /* in struct wire_attrs */
	check_fn *check;
} attrs_known[DST_ATTR_KIND_END] = {
#define FIELD(name) .field = offsetof(struct wire_attrs, name)
	[DST_ATTR_EXPORT] = {"EXPORT", FORMAT_TEXT, DST_ATTR_MANDATORY, 1, DST_MAX_NAME,
			     FIELD(export_name), .check = check_export},
	[DST_ATTR_SESSION] = {"SESSION", FORMAT_ID, DST_ATTR_MANDATORY, FIELD(session)},
	[DST_ATTR_LANE] = {"LANE", FORMAT_U32, DST_ATTR_MANDATORY, .most = 2, FIELD(lane),
			   .check = check_lane},
	[DST_ATTR_PERMISSIONS] = {"PERMISSIONS", FORMAT_U32, .most = 1, FIELD(permissions),
				  .check = check_permissions},
	[DST_ATTR_CHECKSUM] = {"CHECKSUM", FORMAT_U32, .most = 1, FIELD(checksum)},
	[DST_ATTR_CLIENT] = {"CLIENT", FORMAT_TEXT, .most = DST_MAX_CLIENT_NAME, .for_people = true,
			     FIELD(client)},
	[DST_ATTR_SIZE] = {"SIZE", FORMAT_U64, FIELD(size), .check = check_size},
	[DST_ATTR_BLOCKS] = {"BLOCKS", FORMAT_U32, .most = 2, FIELD(block_min),
			     .check = check_blocks},
	[DST_ATTR_LIMITS] = {"LIMITS", FORMAT_U32, .most = 3, FIELD(max_payload),
			     .check = check_limits},
	[DST_ATTR_FEATURES] = {"FEATURES", FORMAT_U32, .most = 1, FIELD(features)},
	[DST_ATTR_SERVER_ID] = {"SERVER_ID", FORMAT_ID, FIELD(server_id)},
	[DST_ATTR_EXPORT_UUID] = {"EXPORT_UUID", FORMAT_ID, FIELD(export_uuid)},
	[DST_ATTR_INSTANCE] = {"INSTANCE", FORMAT_ID, FIELD(instance)},
	[DST_ATTR_REASON] = {"REASON", FORMAT_TEXT, .most = DST_MAX_REASON, .for_people = true,
			     FIELD(reason)},
	[DST_ATTR_EPOCH] = {"EPOCH", FORMAT_EPOCH, FIELD(epoch)},
	[DST_ATTR_TAKEOVER] = {"TAKEOVER", FORMAT_EPOCH, FIELD(takeover)},
	[DST_ATTR_PENDING] = {"PENDING", FORMAT_PENDING, FIELD(pending)},
	[DST_ATTR_EXECUTED] = {"EXECUTED", FORMAT_EXECUTED, FIELD(executed)},
#undef FIELD
};

#define SIDE_BY_SIDE(a, b)                                                                         \
	_Static_assert(offsetof(struct wire_attrs, b) ==                                           \
			       offsetof(struct wire_attrs, a) + sizeof(uint32_t),                  \
		       #a " and " #b " are read together")
SIDE_BY_SIDE(lane, lanes);
SIDE_BY_SIDE(block_min, block_preferred);
SIDE_BY_SIDE(max_payload, max_range);
SIDE_BY_SIDE(max_range, depth);
_Static_assert(DST_ATTR_KIND_END <= 32, "wire_attrs.has has a bit for each kind");

static uint32_t padded(uint32_t size)
{
	return (size + ATTR_ALIGN - 1) & ~(ATTR_ALIGN - 1);
}

bool wire_epoch_equal(const struct wire_epoch *a, const struct wire_epoch *b)
{
	return a->counter == b->counter && !memcmp(a->uuid, b->uuid, DST_ID_SIZE);
}

static uint32_t pending_encode(uint8_t *out, const struct wire_pending *pending)
{
	assert(pending->count && pending->count <= DST_MAX_DEPTH);
	le64_put(out, pending->first);
	for (unsigned i = 0; i < pending->count; i++)
		le16_put(out + 8 + 2 * i, pending->distance[i]);
	return 8 + 2 * pending->count;
}

static const char *pending_decode(struct wire_pending *pending, const uint8_t *in, uint32_t size)
{
	if (size < 8 + 2 || size > 8 + 2 * DST_MAX_DEPTH || size % 2)
		return "its length is wrong";
	pending->first = le64_get(in);
	pending->count = (size - 8) / 2;
	for (unsigned i = 0; i < pending->count; i++) {
		pending->distance[i] = le16_get(in + 8 + 2 * i);
		if (i ? pending->distance[i] <= pending->distance[i - 1] : pending->distance[i])
			return "the ids don't ascend";
	}
	if (pending->distance[pending->count - 1] >= DST_LAG_FACTOR * DST_MAX_DEPTH)
		return "the ids are too far apart";
	return pending->first && pending->first <= UINT64_MAX - DST_LAG_FACTOR * DST_MAX_DEPTH
		       ? NULL
		       : "the first id is out of bounds";
}

static uint32_t executed_encode(uint8_t *out, const struct wire_executed *executed)
{
	assert(executed->count <= DST_MAX_DEPTH);
	for (unsigned i = 0; i < executed->count; i++) {
		uint8_t *at = out + (size_t)i * DST_EXECUTED_SIZE;

		le16_put(at, executed->one[i].distance);
		le16_put(at + 2, executed->one[i].status);
		le32_put(at + 4, executed->one[i].length);
	}
	return executed->count * DST_EXECUTED_SIZE;
}

static const char *executed_decode(struct wire_executed *executed, const uint8_t *in, uint32_t size)
{
	if (size % DST_EXECUTED_SIZE || size > DST_MAX_DEPTH * DST_EXECUTED_SIZE)
		return "its length is wrong";
	executed->count = size / DST_EXECUTED_SIZE;
	for (unsigned i = 0; i < executed->count; i++) {
		const uint8_t *at = in + (size_t)i * DST_EXECUTED_SIZE;
		struct wire_executed_one *one = &executed->one[i];

		one->distance = le16_get(at);
		one->status = le16_get(at + 2);
		one->length = le32_get(at + 4);
		if (i && one->distance <= one[-1].distance)
			return "the ids don't ascend";
		if (one->length > DST_MAX_RANGE)
			return "a length is out of bounds";
	}
	return NULL;
}

/* Writes the value to out; returns its bytes. */
static uint32_t value_encode(uint8_t *out, const struct attr *attr, const void *field)
{
	char text[DST_MAX_REASON + 1];
	size_t length;

	switch (attr->format) {
	case FORMAT_TEXT:
		length = strnlen(field, attr->most);
		assert(length < sizeof(text));
		memcpy(text, field, length);
		text[length] = '\0';
		if (attr->for_people)
			text_make_clean(text);
		memcpy(out, text, length);
		return (uint32_t)length;
	case FORMAT_ID:
		memcpy(out, field, DST_ID_SIZE);
		return DST_ID_SIZE;
	case FORMAT_U32:
		for (unsigned i = 0; i < attr->most; i++)
			le32_put(out + 4 * i, ((const uint32_t *)field)[i]);
		return 4u * attr->most;
	case FORMAT_U64:
		le64_put(out, *(const uint64_t *)field);
		return 8;
	case FORMAT_EPOCH:
		le64_put(out, ((const struct wire_epoch *)field)->counter);
		memcpy(out + 8, ((const struct wire_epoch *)field)->uuid, DST_ID_SIZE);
		return DST_EPOCH_SIZE;
	case FORMAT_PENDING:
		return pending_encode(out, field);
	case FORMAT_EXECUTED:
		return executed_encode(out, field);
	case FORMAT_NONE:
		break;
	}
	return 0;
}

uint32_t wire_attrs_encode(uint8_t out[DST_MAX_HELLO], const struct wire_attrs *attrs)
{
	uint32_t used = 0;

	for (unsigned kind = 0; kind < DST_ATTR_KIND_END; kind++) {
		const struct attr *attr = &attrs_known[kind];
		uint32_t size;

		if (attr->format == FORMAT_NONE || !wire_has(attrs, kind))
			continue;
		size = value_encode(out + used + ATTR_HEADER, attr,
				    (const uint8_t *)attrs + attr->field);
		le16_put(out + used, (uint16_t)(kind | attr->mandatory));
		le16_put(out + used + 2, (uint16_t)size);
		used += ATTR_HEADER;
		memset(out + used + size, 0, padded(size) - size);
		used += padded(size);
	}
	assert(used <= DST_MAX_HELLO);
	return used;
}

__attribute__((format(printf, 2, 3))) static int refuse(char reason[DST_MAX_REASON + 1],
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, DST_MAX_REASON + 1, format, args);
	va_end(args);
	return EPROTO;
}

/* One attribute's value, `size` bytes at `in`, into its field. NULL, or what is wrong. */
static const char *value_decode(struct wire_attrs *attrs, const struct attr *attr,
				const uint8_t *in, uint32_t size)
{
	void *field = (uint8_t *)attrs + attr->field;

	switch (attr->format) {
	case FORMAT_TEXT:
		if (size < attr->least || size > attr->most)
			return "its length is out of bounds";
		if (text_clean_length((const char *)in, size) != size)
			return "it is no UTF-8 text without control characters";
		memcpy(field, in, size);
		((char *)field)[size] = '\0';
		break;
	case FORMAT_ID:
		if (size != DST_ID_SIZE)
			return "its length is wrong";
		memcpy(field, in, DST_ID_SIZE);
		break;
	case FORMAT_U32:
		if (size != 4u * attr->most)
			return "its length is wrong";
		for (unsigned i = 0; i < attr->most; i++)
			((uint32_t *)field)[i] = le32_get(in + 4 * i);
		break;
	case FORMAT_U64:
		if (size != 8)
			return "its length is wrong";
		*(uint64_t *)field = le64_get(in);
		break;
	case FORMAT_EPOCH:
		if (size != DST_EPOCH_SIZE)
			return "its length is wrong";
		((struct wire_epoch *)field)->counter = le64_get(in);
		memcpy(((struct wire_epoch *)field)->uuid, in + 8, DST_ID_SIZE);
		break;
	case FORMAT_PENDING:
		return pending_decode(field, in, size);
	case FORMAT_EXECUTED:
		return executed_decode(field, in, size);
	case FORMAT_NONE:
		break;
	}
	return attr->check ? attr->check(attrs) : NULL;
}

static bool all_zero(const uint8_t *in, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (in[i])
			return false;
	return true;
}

/*
 * Where the attribute at `in` ends, `left` bytes being there; 0 if the list is malformed, with the
 * cause in reason. `above` is the kind before it.
 */
static uint32_t frame_decode(const uint8_t *in, uint32_t left, unsigned above,
			     char reason[DST_MAX_REASON + 1])
{
	unsigned kind;
	uint32_t size;

	if (left < ATTR_HEADER) {
		refuse(reason, "an attribute is cut short");
		return 0;
	}
	kind = le16_get(in) & ~DST_ATTR_MANDATORY;
	size = le16_get(in + 2);
	if (kind <= above)
		refuse(reason, "attribute %u is doubled or out of order", kind);
	else if (padded(size) > left - ATTR_HEADER)
		refuse(reason, "attribute %u is longer than its message", kind);
	else if (!all_zero(in + ATTR_HEADER + size, padded(size) - size))
		refuse(reason, "attribute %u is not padded with zeros", kind);
	else
		return ATTR_HEADER + padded(size);
	return 0;
}

int wire_attrs_decode(struct wire_attrs *attrs, const uint8_t *in, uint32_t size,
		      char reason[DST_MAX_REASON + 1])
{
	unsigned kind = 0; /* of which there is none: 0 is below all */
	uint32_t step;

	memset(attrs, 0, sizeof(*attrs));
	for (uint32_t at = 0; at < size; at += step) {
		const char *wrong;
		uint16_t raw;

		step = frame_decode(in + at, size - at, kind, reason);
		if (!step)
			return EPROTO;
		raw = le16_get(in + at);
		kind = raw & ~DST_ATTR_MANDATORY;
		if (kind >= DST_ATTR_KIND_END) {
			if (raw & DST_ATTR_MANDATORY)
				return refuse(reason, "mandatory attribute %u is unknown", kind);
			continue;
		}
		wrong = value_decode(attrs, &attrs_known[kind], in + at + ATTR_HEADER,
				     le16_get(in + at + 2));
		if (wrong)
			return refuse(reason, "attribute %s: %s", attrs_known[kind].name, wrong);
		attrs->has |= 1u << kind;
	}
	return 0;
}
