/* SPDX-License-Identifier: GPL-2.0-or-later */
/* split_parts.c - see split_impl.h: which part of a request goes to which child, and what comes of it. */
#include "dstfs/split_impl.h"

#include "common/checksum.h"

#include <errno.h>
#include <string.h>

/* Pieces that are looked at for one EXTENTS or COPY, which may both cover less than was asked for. */
#define STEPS_MAX 65536u

static struct map_piece piece_of(const struct parting *p, uint64_t offset)
{
	return p->map->ops->piece(p->map, offset);
}

static uint64_t end_of(struct range range)
{
	return range.offset + range.length;
}

/* ---- planning ---- */

/* How much of a COPY, from its start, lies on the same children on both sides. */
static uint64_t copyable(const struct parting *p)
{
	struct range to = p->range, from = {p->request->copy_from, p->range.length};

	for (unsigned step = 0; to.length && step < STEPS_MAX; step++) {
		struct map_piece a = piece_of(p, to.offset), b = piece_of(p, from.offset);
		uint64_t length = a.length < b.length ? a.length : b.length;

		if (a.child != b.child)
			break;
		if (length > to.length)
			length = to.length;
		range_advance(&to, length);
		range_advance(&from, length);
	}
	return p->range.length - to.length;
}

static void add_part(struct parting *p, uint64_t at, struct map_piece piece)
{
	const struct map_ops *ops = p->map->ops;
	uint64_t end = ops->before(p->map, piece.child, end_of(p->range));

	p->parts[p->count] = (struct part){
		.child = piece.child,
		.at = at,
		.range = {piece.offset, end - piece.offset},
	};
	if (p->type == REQUEST_COPY) {
		uint64_t source = p->request->copy_from + (at - p->range.offset);

		p->parts[p->count].copy_from = piece_of(p, source).offset;
	}
	p->count++;
}

/* Each child comes up for the first time before any comes up for the second. */
static void find_parts(struct parting *p)
{
	struct range rest = p->range;
	uint64_t found = 0;

	while (found < p->range.length) {
		struct map_piece piece = piece_of(p, rest.offset);

		add_part(p, rest.offset, piece);
		found += p->parts[p->count - 1].range.length;
		if (found < p->range.length)
			range_advance(&rest, piece.length);
	}
	p->whole = p->count == 1;
}

static int plan_flush(struct parting *p)
{
	unsigned laid = p->map->laid;

	p->count = laid ? laid : p->map->count;
	for (unsigned i = 0; i < p->count; i++)
		p->parts[i] = (struct part){.child = i, .at = i};
	return 0;
}

static int plan_copy(struct parting *p)
{
	struct range from = {p->request->copy_from, p->range.length};

	if (range_overlaps(p->range, from)) /* of which no single child may have an idea */
		return EINVAL;
	p->range.length = copyable(p);
	if (!p->range.length)
		return EOPNOTSUPP;
	find_parts(p);
	return 0;
}

int parting_plan(struct parting *p)
{
	p->type = p->request->type;
	p->range = p->request->range;
	switch (p->type) {
	case REQUEST_FLUSH:
		return plan_flush(p);
	case REQUEST_WRITE:
		p->rest = p->range;
		p->whole = piece_of(p, p->range.offset).length >= p->range.length;
		return 0;
	case REQUEST_COPY:
		return plan_copy(p);
	case REQUEST_HASH:
		find_parts(p);
		if (p->whole)
			return 0;
		p->type = REQUEST_READ;
		return p->range.length > DST_MAX_PAYLOAD ? EOPNOTSUPP : 0;
	default:
		find_parts(p);
		return 0;
	}
}

bool parting_gathers(const struct parting *p)
{
	return !p->whole && (p->type == REQUEST_READ || p->type == REQUEST_EXTENTS);
}

bool parting_more(const struct parting *p)
{
	return p->type == REQUEST_WRITE ? p->rest.length : p->next < p->count;
}

struct part *parting_next(struct parting *p, struct part *own)
{
	struct map_piece piece;

	if (p->type != REQUEST_WRITE)
		return &p->parts[p->next++];
	piece = piece_of(p, p->rest.offset);
	if (piece.length > p->rest.length)
		piece.length = p->rest.length;
	*own = (struct part){
		.child = piece.child,
		.at = p->rest.offset,
		.range = {piece.offset, piece.length},
	};
	range_advance(&p->rest, piece.length);
	return own;
}

bool parting_may_be_lost(const struct parting *p)
{
	return !p->whole && !p->request->fua && request_modifies(p->request);
}

void parting_rewind(struct parting *p)
{
	p->rest = p->range;
	p->next = 0;
}

/* ---- what comes of it ---- */

unsigned parting_extents(const struct parting *p)
{
	size_t fit = BUF_CAPACITY / sizeof(struct wire_extent) / (p->count + 1);

	return fit < DST_MAX_EXTENTS ? (unsigned)fit : DST_MAX_EXTENTS;
}

static struct wire_extent *share(const struct parting *p, unsigned index)
{
	return (struct wire_extent *)p->buf->data + (size_t)index * parting_extents(p);
}

/* Puts the data of a part where they belong in the whole, up to each seam. */
static void scatter(struct parting *p, const struct part *part, const uint8_t *data)
{
	struct range rest = {part->at, end_of(p->range) - part->at};

	while (rest.length) {
		struct map_piece piece = piece_of(p, rest.offset);
		uint64_t length = piece.length < rest.length ? piece.length : rest.length;

		if (piece.child == part->child)
			memcpy(p->buf->data + (rest.offset - p->range.offset),
			       data + (piece.offset - part->range.offset), length);
		range_advance(&rest, length);
	}
}

static void take_extents(struct parting *p, struct part *part, const struct request *request)
{
	unsigned most = parting_extents(p);

	part->extent_count = request->extent_count < most ? request->extent_count : most;
	part->extent_start = part->range.offset;
	memcpy(share(p, (unsigned)(part - p->parts)), request->extents,
	       part->extent_count * sizeof(struct wire_extent));
}

/* The parent gets what the only child has, as long as that is valid. */
static void take_whole(struct parting *p, const struct request *request)
{
	if (request->type == REQUEST_READ)
		p->request->data = request->data;
	p->request->hash = request->hash;
	p->request->extents = request->extents;
	p->request->extent_count = request->extent_count;
	p->request->result = request->result;
}

void parting_take(struct parting *p, struct part *part, const struct request *request)
{
	if (p->whole)
		take_whole(p, request);
	else if (p->type == REQUEST_READ)
		scatter(p, part, request->data);
	else if (p->type == REQUEST_EXTENTS)
		take_extents(p, part, request);
	else if (p->type == REQUEST_COPY)
		part->result = request->result;
}

static struct part *part_of(struct parting *p, unsigned child)
{
	struct part *part = p->parts;

	while (part->child != child)
		part++;
	return part;
}

/* A COPY may be short on any child; what counts is up to the first byte that wasn't copied. */
static int finish_copy(struct parting *p)
{
	struct range rest = p->range;

	while (rest.length) {
		struct map_piece piece = piece_of(p, rest.offset);
		const struct part *part = part_of(p, piece.child);
		uint64_t done = part->range.offset + part->result;
		uint64_t length = piece.length < rest.length ? piece.length : rest.length;

		if (done < piece.offset + length) {
			if (done > piece.offset)
				range_advance(&rest, done - piece.offset);
			break;
		}
		range_advance(&rest, length);
	}
	p->request->result = p->range.length - rest.length;
	return p->request->result ? 0 : EIO;
}

/* What a child's extents say of `offset` within it, and for how long; offsets come in order. False:
 * nothing any more. */
static bool look_up(const struct parting *p, struct part *part, uint64_t offset,
		    struct wire_extent *found)
{
	const struct wire_extent *extents = share(p, (unsigned)(part - p->parts));

	while (part->extent < part->extent_count &&
	       extents[part->extent].length <= offset - part->extent_start) {
		part->extent_start += extents[part->extent].length;
		part->extent++;
	}
	if (part->extent == part->extent_count)
		return false;
	*found = extents[part->extent];
	found->length -= offset - part->extent_start;
	return true;
}

/* Appends; what is of the last one's kind makes that longer. False: there is no room. */
static bool append(struct wire_extent *extents, unsigned *count, unsigned most,
		   struct wire_extent extent)
{
	if (*count && extents[*count - 1].kind == extent.kind) {
		extents[*count - 1].length += extent.length;
		return true;
	}
	if (*count == most)
		return false;
	extents[(*count)++] = extent;
	return true;
}

static int finish_extents(struct parting *p)
{
	struct wire_extent *extents = share(p, p->count), found;
	struct range rest = p->range;
	unsigned count = 0, most = parting_extents(p);

	for (unsigned step = 0; rest.length && step < STEPS_MAX; step++) {
		struct map_piece piece = piece_of(p, rest.offset);

		if (!look_up(p, part_of(p, piece.child), piece.offset, &found))
			break;
		if (found.length > piece.length)
			found.length = piece.length;
		if (found.length > rest.length)
			found.length = rest.length;
		if (!append(extents, &count, most, found))
			break;
		range_advance(&rest, found.length);
	}
	p->request->extents = extents;
	p->request->extent_count = count;
	return count ? 0 : EIO;
}

static int finish_hash(struct parting *p)
{
	struct checksum_range *digest = checksum_range_new(p->request->hash_seed);
	uint8_t *hash = p->buf->data + DST_MAX_PAYLOAD; /* a buffer has room behind */

	_Static_assert(BUF_CAPACITY >= DST_MAX_PAYLOAD + DST_HASH_SIZE, "room for the hash");
	if (!digest)
		return ENOMEM;
	checksum_range_add(digest, p->buf->data, p->range.length);
	checksum_range_end(&digest, hash);
	p->request->hash = hash;
	return 0;
}

int parting_finish(struct parting *p)
{
	if (p->whole)
		return 0;
	switch (p->request->type) {
	case REQUEST_READ:
		p->request->data = p->buf->data;
		return 0;
	case REQUEST_HASH:
		return finish_hash(p);
	case REQUEST_EXTENTS:
		return finish_extents(p);
	case REQUEST_COPY:
		return finish_copy(p);
	default:
		return 0;
	}
}
