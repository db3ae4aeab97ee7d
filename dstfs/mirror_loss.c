/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_loss.c - see mirror_loss.h
 *
 * A side that goes on without a node records what that one misses: so the side's missed map of the
 * kept node has each region that was written there since they were one. It may have some more, which
 * were being written when they parted. That holds too where the member is `full`, for other reasons.
 */
#include "dstfs/mirror_loss.h"

#include "common/checksum.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool of_one_set(const struct mirror_found *a, const struct mirror_found *b)
{
	return a->present && !a->blank && !memcmp(a->super.set, b->super.set, DST_ID_SIZE);
}

/* The counter of the newest generation of `side` that `kept` knows; 0: none. */
static uint64_t common_generation(const struct mirror_super *side, const struct mirror_super *kept)
{
	for (unsigned i = 0; i < side->ancestor_count; i++)
		if (mirror_generation_contains(kept, side->ancestors[i]))
			return side->generation.counter > i + 1 ? side->generation.counter - i - 1
								: 0;
	return 0;
}

/* The member that the kept node is, in the loser's eyes. */
static const struct mirror_member *kept_member(const struct mirror_super *side,
					       const struct mirror_super *kept)
{
	const struct mirror_member *member = &side->members[kept->self];

	return memcmp(member->id, kept->members[kept->self].id, DST_ID_SIZE) ? NULL : member;
}

unsigned mirror_loss_find(struct mirror_loss losses[MIRROR_MAX_NODES],
			  const struct mirror_found *found, unsigned count, unsigned keep)
{
	const struct mirror_super *kept = &found[keep].super;
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct mirror_super *side = &found[i].super;
		const struct mirror_member *member = kept_member(side, kept);

		if (!of_one_set(&found[i], &found[keep]) ||
		    mirror_generation_contains(kept, side->generation.uuid))
			continue;
		losses[n] = (struct mirror_loss){.node = i, .since = common_generation(side, kept)};
		if (member && member->state == MIRROR_IN_SYNC)
			losses[n].map = 0; /* it was never left out: what was being written */
		else if (member && member->state != MIRROR_FREE)
			losses[n].map = 1 + kept->self;
		else
			losses[n].all = true;
		n++;
	}
	return n;
}

void mirror_loss_add(struct mirror_loss *loss, const struct mirror_found *found, unsigned piece,
		     const uint8_t block[MIRROR_MAP_BLOCK])
{
	uint8_t bits[MIRROR_MAP_BITS / 8];

	mirror_map_decode(bits, &found[loss->node].super, loss->map, piece, block);
	for (size_t i = 0; i < sizeof(bits); i++)
		loss->regions += (unsigned)__builtin_popcount(bits[i]);
}

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t size, const char *format,
						      ...)
{
	size_t used = strlen(text);
	va_list args;

	if (used && used + 1 < size)
		text[used++] = '\n';
	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

static void tell_one(char *text, size_t size, const struct mirror_loss *loss,
		     const struct mirror_found *found, const char *kept)
{
	const struct mirror_super *side = &found[loss->node].super;
	const uint64_t bytes = (uint64_t)loss->regions * side->region_size;
	char since[200] = "without it for longer than is remembered", what[128];

	if (loss->since)
		snprintf(since, sizeof(since), "without %.127s since generation %llu", kept,
			 (unsigned long long)loss->since);
	if (loss->all || loss->regions == mirror_regions(side))
		snprintf(what, sizeof(what), "anything may have been written there");
	else
		snprintf(what, sizeof(what),
			 "%u regions (%llu KiB) were written there, or were being written",
			 loss->regions, (unsigned long long)(bytes >> 10));
	say(text, size, "  lost: what only %s has (generation %llu, %s): %s",
	    found[loss->node].name, (unsigned long long)side->generation.counter, since, what);
}

void mirror_losses_tell(char *text, size_t size, const struct mirror_loss *losses, unsigned count,
			const struct mirror_found *found, unsigned found_count, unsigned keep)
{
	const struct mirror_super *kept = &found[keep].super;

	*text = '\0';
	say(text, size, "  kept: %s, as it is in generation %llu", found[keep].name,
	    (unsigned long long)kept->generation.counter);
	for (unsigned i = 0; i < count; i++)
		tell_one(text, size, &losses[i], found, found[keep].name);
	for (unsigned i = 0; i < found_count; i++)
		if (!found[i].present)
			say(text, size,
			    "  not there: %s; if it was written to without %s, that is split brain "
			    "when it is back",
			    found[i].name, found[keep].name);
}

uint64_t mirror_found_digest(const struct mirror_found *found, unsigned count)
{
	uint64_t digest = count;

	for (unsigned i = 0; i < count; i++) {
		uint8_t block[MIRROR_SUPER_SIZE] = {0};

		if (found[i].present && !found[i].blank)
			mirror_super_encode(block, &found[i].super);
		block[MIRROR_SUPER_SIZE - 1] ^= found[i].present;
		digest = checksum_seeded(block, sizeof(block), digest);
	}
	return digest;
}
