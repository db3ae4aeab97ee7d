/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_wire.c - feeds wire.h with hostile bytes and checks what must hold of whatever passes.
 *
 * With clang's libFuzzer (make fuzz) it explores; built without it, it is a program:
 *
 *   fuzz_wire FILE|FOLDER...          runs the inputs that lie there
 *   fuzz_wire --random COUNT [SEED]   makes inputs, most of them near good ones
 *
 * An input's first byte chooses what is fed: bit 0 the direction, bit 1 the checksum, bit 2 whether
 * the header's check is mended first (or none would pass), bits 4-5 header, attributes or extents.
 */
#include "common/checksum.h"
#include "common/wire.h"
#include "test/fuzz/fuzz.h"

#define PICK_REPLY 0x01
#define PICK_PLAIN 0x02
#define PICK_MEND 0x04
#define PICK_WHAT 0x30
#define PICK_ATTRS 0x10
#define PICK_EXTENTS 0x20

#define INPUT_BYTES (1 + DST_MAX_HELLO + 64)

_Static_assert(INPUT_BYTES <= FUZZ_INPUT_MOST, "an input fits");

/* What every header that passes must be, whatever its type. */
static void check_header(const struct wire_header *h, enum wire_direction direction, bool known)
{
	bool notice = known && h->type == DST_NOTICE;

	must(h->payload <= DST_MAX_PAYLOAD);
	must(h->payload || !h->digest);
	must(!(h->flags & DST_F_REPLY) == (direction == WIRE_REQUEST));
	if (!known)
		return;
	must(h->type && h->type < DST_TYPE_END);
	must((h->id == 0) == notice);
	must((h->type != DST_HELLO && h->type != DST_PING && h->type != DST_CLOSE) || h->id == 1);
	must(h->range.length <= DST_MAX_RANGE);
	must(h->range.offset <= UINT64_MAX - h->range.length);
	if (direction == WIRE_REQUEST) {
		must(!notice);
		must(h->status && h->status <= h->id);
		must(h->type == DST_HELLO || h->type == DST_WRITE || h->payload <= 8);
		must(h->type != DST_WRITE || h->payload == h->range.length);
	} else {
		must(!h->range.offset);
		must(h->status == DST_OK || h->type == DST_HELLO || !h->payload);
	}
}

static void fuzz_header(uint8_t pick, const uint8_t *data, size_t size)
{
	enum wire_direction direction = pick & PICK_REPLY ? WIRE_REPLY : WIRE_REQUEST;
	enum dst_checksum checksum = pick & PICK_PLAIN ? DST_CHECKSUM_NONE : DST_CHECKSUM_XXH3;
	uint8_t in[DST_HEADER_SIZE], out[DST_HEADER_SIZE];
	struct wire_header header;
	enum wire_error error;

	if (size < sizeof(in))
		return;
	memcpy(in, data, sizeof(in));
	if (pick & PICK_MEND) {
		uint64_t seed = direction == WIRE_REQUEST ? DST_CHECK_REQUEST : DST_CHECK_REPLY;
		bool plain = checksum == DST_CHECKSUM_NONE;

		wire_u64_encode(in + DST_CHECKED_SIZE,
				plain ? 0 : checksum_seeded(in, DST_CHECKED_SIZE, seed));
	}
	error = wire_decode(&header, in, direction, checksum, DST_MAX_PAYLOAD);
	must(wire_error_text(error)[0]);
	if (error != WIRE_OK && error != WIRE_BAD_TYPE)
		return;
	check_header(&header, direction, error == WIRE_OK);
	must(strcmp(wire_type_name(header.type), "unknown") || error == WIRE_BAD_TYPE);
	must(wire_status_to_errno(header.status) >= 0 && wire_status_text(header.status)[0]);

	/* There is one encoding of each message. */
	wire_encode(out, &header, direction, checksum);
	must(!memcmp(in, out, sizeof(in)));
}

static void fuzz_attrs(const uint8_t *data, size_t size)
{
	static struct wire_attrs attrs, again;
	static uint8_t encoded[DST_MAX_HELLO], twice[DST_MAX_HELLO];
	char reason[DST_MAX_REASON + 1] = "";
	uint32_t length;

	if (size > DST_MAX_HELLO)
		return;
	if (wire_attrs_decode(&attrs, data, (uint32_t)size, reason)) {
		must(reason[0] && strlen(reason) <= DST_MAX_REASON);
		return;
	}
	must(!wire_has(&attrs, DST_ATTR_EXPORT) ||
	     (attrs.export_name[0] && !strchr(attrs.export_name, '/')));
	must(!wire_has(&attrs, DST_ATTR_LANE) || attrs.lane < attrs.lanes);
	must(attrs.depth <= DST_MAX_DEPTH && attrs.max_payload <= DST_MAX_PAYLOAD);

	/* What was understood can be said again, shorter at most by what was skipped. */
	length = wire_attrs_encode(encoded, &attrs);
	must(length <= size);
	must(!wire_attrs_decode(&again, encoded, length, reason));
	must(again.has == attrs.has);
	must(wire_attrs_encode(twice, &again) == length && !memcmp(encoded, twice, length));
}

static void fuzz_extents(uint8_t pick, const uint8_t *data, size_t size)
{
	static struct wire_extent extents[DST_MAX_EXTENTS];
	uint64_t most = pick & PICK_REPLY ? DST_MAX_RANGE : UINT64_MAX, sum = 0;
	unsigned count;

	if (wire_extents_decode(extents, &count, data, (uint32_t)size, most))
		return;
	must(count && count <= DST_MAX_EXTENTS && count * DST_EXTENT_SIZE == size);
	for (unsigned i = 0; i < count; i++) {
		uint8_t encoded[DST_EXTENT_SIZE];

		must(extents[i].length && extents[i].length <= most - sum);
		sum += extents[i].length;
		wire_extent_encode(encoded, &extents[i]);
		must(!memcmp(encoded, data + i * DST_EXTENT_SIZE, 8));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	switch (data[0] & PICK_WHAT) {
	case PICK_ATTRS:
		fuzz_attrs(data + 1, size - 1);
		break;
	case PICK_EXTENTS:
		fuzz_extents(data[0], data + 1, size - 1);
		break;
	default:
		fuzz_header(data[0], data + 1, size - 1);
	}
	return 0;
}

static size_t make_header(uint8_t *out, uint64_t *state)
{
	struct wire_header header = {
		.type = (uint8_t)(next_random(state) % (DST_TYPE_END + 1)),
		.flags = (uint8_t)(next_random(state) & DST_F_KNOWN),
		.status = (uint16_t)(next_random(state) % 4),
		.id = next_random(state) % 4 ? next_random(state) >> next_random(state) % 64 : 1,
		.range = {.offset = next_random(state) >> next_random(state) % 64,
			  .length = (uint32_t)next_random(state) >> next_random(state) % 32},
		.payload = next_random(state) % 4 ? 0 : 4096,
	};

	if (next_random(state) % 4)
		header.payload = header.type == DST_WRITE ? (uint32_t)header.range.length : 8;
	if (next_random(state) % 2)
		header.range = (struct range){0, 0};
	wire_encode(out, &header, WIRE_REQUEST, DST_CHECKSUM_XXH3);
	return DST_HEADER_SIZE;
}

static size_t make_attrs(uint8_t *out, uint64_t *state)
{
	static struct wire_attrs attrs;

	memset(&attrs, 0, sizeof(attrs));
	attrs.has = (uint32_t)next_random(state) & ((1u << DST_ATTR_KIND_END) - 2);
	snprintf(attrs.export_name, sizeof(attrs.export_name), "vol%u", (unsigned)*state % 1000);
	snprintf(attrs.client, sizeof(attrs.client), "host:%*s", (int)(*state % 200), "x");
	snprintf(attrs.reason, sizeof(attrs.reason), "no %*s", (int)(*state % 500), "x");
	attrs.lanes = 1 + (uint32_t)next_random(state) % DST_MAX_LANES;
	attrs.permissions = DST_PERM_READ;
	attrs.size = next_random(state) >> 1;
	attrs.block_min = 1u << next_random(state) % 20;
	attrs.block_preferred = DST_MAX_PAYLOAD;
	attrs.max_payload = DST_MAX_PAYLOAD;
	attrs.max_range = DST_MAX_RANGE;
	attrs.depth = 1 + (uint32_t)next_random(state) % DST_MAX_DEPTH;
	attrs.pending.first = next_random(state) >> next_random(state) % 64;
	attrs.pending.count = 1 + (unsigned)(next_random(state) % 8);
	for (unsigned i = 0; i < attrs.pending.count; i++)
		attrs.pending.distance[i] = (uint16_t)(i * 3 + next_random(state) % 3);
	attrs.executed.count = (unsigned)(next_random(state) % 8);
	for (unsigned i = 0; i < attrs.executed.count; i++)
		attrs.executed.one[i].distance = (uint16_t)(i * 3 + next_random(state) % 3);
	return wire_attrs_encode(out, &attrs);
}

static size_t make_extents(uint8_t *out, uint64_t *state)
{
	unsigned count = (unsigned)(next_random(state) % 8);

	for (unsigned i = 0; i < count; i++) {
		struct wire_extent extent = {.length = next_random(state) % 65536,
					     .kind = (uint32_t)next_random(state) % 3};

		wire_extent_encode(out + i * DST_EXTENT_SIZE, &extent);
	}
	return count * DST_EXTENT_SIZE;
}

/* A good message of some kind, then perhaps some bytes changed and the end moved. */
static size_t make_input(uint8_t *out, uint64_t *state)
{
	size_t size;

	out[0] = (uint8_t)next_random(state);
	switch (out[0] & PICK_WHAT) {
	case PICK_ATTRS:
		size = 1 + make_attrs(out + 1, state);
		break;
	case PICK_EXTENTS:
		size = 1 + make_extents(out + 1, state);
		break;
	default:
		size = 1 + make_header(out + 1, state);
	}
	for (unsigned n = (unsigned)(next_random(state) % 4); n && size > 1; n--)
		out[1 + next_random(state) % (size - 1)] = (uint8_t)next_random(state);
	if (next_random(state) % 8 == 0)
		size = 1 + next_random(state) % size;
	return size;
}
