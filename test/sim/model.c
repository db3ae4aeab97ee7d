/* SPDX-License-Identifier: GPL-2.0-or-later */
/* model.c - see model.h */
#include "test/sim/model.h"

#include "test/sim/shape.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 65536u
#define WORDS (CELL / sizeof(uint64_t))
#define TAG_SHIFT 12u /* bits for the cell */
#define MIX 0x9e3779b97f4a7c15ull /* odd: mixing can be undone */

enum entry_state {
	FLYING, /* not answered */
	ACKED,
	LATE, /* failed upward: may yet be carried out, before what begins later */
	LOOSE /* it may have happened, or not; nothing follows from it (discards, lost writes) */
};

struct entry {
	struct entry *next; /* of the cell, newest first */
	enum entry_state state;
	const struct model_op *op; /* while FLYING */
	uint64_t value;
	bool any; /* value says nothing: discarded, it may be whatever was there once */
	int from; /* a flying COPY: the source's cell; else -1 */
	unsigned client;
	uint64_t start, end; /* end NEVER: not over */
	uint64_t dead; /* out of the question for who began later; NEVER: not */
	uint64_t losses, restarts; /* that had happened when it began */
	bool durable, kept, lost;
	bool excused; /* a flush has failed since, so no later one vouches for it */
};

struct model {
	unsigned cells;
	bool (*excuse)(void);
	uint64_t clock, next_tag, oldest, losses, restarts, lost_at;
	bool keeps_all; /* no entry goes, since it may come back */
	struct entry *cell[MODEL_CELLS_MOST];
	struct entry *free;
	struct entry entries[ENTRIES];
	unsigned used;
};

static struct model model;

/* ---- contents ---- */

static uint64_t value_of(uint64_t tag, unsigned cell)
{
	return tag ? tag << TAG_SHIFT | cell : 0;
}

uint64_t model_new_tag(void)
{
	return model.next_tag++;
}

static void fill_value(uint8_t *data, uint64_t value)
{
	uint64_t word = value * MIX, step = value ? MIX << 40 : 0;

	for (size_t i = 0; i < WORDS; i++, word += step)
		memcpy(data + i * sizeof(word), &word, sizeof(word));
}

void model_fill(uint8_t *data, uint64_t tag, unsigned cell)
{
	fill_value(data, value_of(tag, cell));
}

#define NOT_OURS UINT64_MAX

/* The value that the cell's content stands for, or NOT_OURS. */
static uint64_t read_value(const uint8_t *data)
{
	uint64_t inverse = MIX, first, word, step;

	memcpy(&first, data, sizeof(first));
	step = first ? MIX << 40 : 0;
	for (unsigned i = 1; i < WORDS; i++) {
		memcpy(&word, data + i * sizeof(word), sizeof(word));
		if (word != first + i * step)
			return NOT_OURS;
	}
	for (unsigned i = 0; i < 6; i++) /* Newton's way to the inverse modulo 2^64 */
		inverse *= 2 - MIX * inverse;
	return first * inverse;
}

uint64_t model_tag(const uint8_t *data)
{
	uint64_t value = read_value(data);

	return value == NOT_OURS ? 0 : value >> TAG_SHIFT;
}

bool model_was_written(const uint8_t *data)
{
	uint64_t value = read_value(data);

	return value != NOT_OURS && value >> TAG_SHIFT < model.next_tag;
}

/* ---- entries ---- */

uint64_t model_now(void)
{
	return ++model.clock;
}

static struct entry *add(unsigned cell)
{
	struct entry *entry = model.free;

	if (entry)
		model.free = entry->next;
	else if (model.used < ENTRIES)
		entry = &model.entries[model.used++];
	else
		abort();
	*entry = (struct entry){.next = model.cell[cell], .from = -1, .end = NEVER, .dead = NEVER};
	model.cell[cell] = entry;
	return entry;
}

/* Does f, for good, put everything out of the question that was over before it began? */
static bool settles(const struct entry *f)
{
	return f->state == ACKED && !f->lost;
}

/* Not even a loss brings it back, for anything that is under way. */
static bool gone_for_good(unsigned cell, const struct entry *e)
{
	for (const struct entry *f = model.cell[cell]; f; f = f->next)
		if (f->durable && settles(f) && f->start > e->end && f->end < model.oldest)
			return true;
	return false;
}

static void prune(unsigned cell)
{
	for (struct entry **link = &model.cell[cell], *e; (e = *link) && !model.keeps_all;) {
		if (e->dead < model.oldest && gone_for_good(cell, e)) {
			*link = e->next;
			e->next = model.free;
			model.free = e;
		} else {
			link = &e->next;
		}
	}
}

/* f is known to have happened: what was over before it began is out of the question. */
static void supersede(unsigned cell, const struct entry *f)
{
	for (struct entry *e = model.cell[cell]; e; e = e->next)
		if (e->end < f->start && e->dead == NEVER)
			e->dead = model.clock;
}

/* ---- operations ---- */

void model_begin(struct model_op *op, bool kept)
{
	op->start = model_now();
	op->over = false;
	for (unsigned i = 0; i < op->count; i++) {
		struct entry *e = add(op->first + i);

		e->op = op;
		e->client = op->client;
		e->start = op->start;
		e->losses = model.losses;
		e->restarts = model.restarts;
		e->kept = kept;
		if (op->type == MODEL_WRITE)
			e->value = value_of(op->tag, op->first + i);
		else if (op->type == MODEL_DISCARD)
			e->any = true;
		else if (op->type == MODEL_COPY)
			e->from = (int)(op->from + i);
	}
}

/* Did the cell perhaps hold what e says, at some time since `since`? */
static bool possible(const struct entry *e, uint64_t since)
{
	return e->dead >= since;
}

static bool may_hold(unsigned cell, uint64_t value, uint64_t since, unsigned depth)
{
	for (const struct entry *e = model.cell[cell]; e; e = e->next) {
		if (!possible(e, since))
			continue;
		if (e->from < 0 ? e->any || e->value == value
				: depth && may_hold((unsigned)e->from, value, e->start, depth - 1))
			return true;
	}
	return false;
}

/* A COPY is over: its one entry becomes one for each value that it may have found. */
static void resolve_copy(unsigned cell, struct entry *e)
{
	unsigned from = (unsigned)e->from;
	bool first = true;

	for (const struct entry *s = model.cell[from]; s; s = s->next) {
		struct entry *other;

		if (!possible(s, e->start) || s->from >= 0)
			continue;
		if (first) {
			e->value = s->value;
			e->any = s->any;
			first = false;
			continue;
		}
		other = add(cell);
		*other = (struct entry){.next = other->next,
					.state = e->state,
					.value = s->value,
					.any = s->any,
					.from = -1,
					.client = e->client,
					.start = e->start,
					.end = e->end,
					.dead = NEVER,
					.losses = e->losses,
					.restarts = e->restarts,
					.durable = e->durable,
					.lost = e->lost,
					.kept = e->kept};
	}
	e->from = -1;
}

static void end_cell(const struct model_op *op, unsigned i, int error, bool fua, bool copied)
{
	unsigned cell = op->first + i;

	for (struct entry *e = model.cell[cell]; e; e = e->next) {
		if (e->op != op)
			continue;
		e->op = NULL;
		if (e->end == NEVER) /* else it was cut off before */
			e->end = model.clock;
		e->durable = !error && fua;
		e->lost = !e->kept && !fua && e->losses < model.losses;
		e->state = error ? LATE : op->type == MODEL_DISCARD || !copied ? LOOSE : ACKED;
		if (e->from >= 0)
			resolve_copy(cell, e);
		if (settles(e))
			supersede(cell, e);
		prune(cell);
		return;
	}
}

void model_end(struct model_op *op, int error, bool fua, unsigned copied)
{
	model_now();
	assert(!op->over);
	op->over = true;
	for (unsigned i = 0; i < op->count; i++)
		end_cell(op, i, error, fua, op->type != MODEL_COPY || i < copied);
}

void model_set_oldest(uint64_t oldest)
{
	model.oldest = oldest;
}

bool model_content(uint64_t start, unsigned first, unsigned count, uint8_t *data)
{
	for (unsigned i = 0; i < count; i++) {
		const struct entry *certain = NULL;

		for (const struct entry *e = model.cell[first + i]; e; e = e->next) {
			if (!possible(e, start))
				continue;
			if (certain || e->any || e->from >= 0 || e->state == FLYING)
				return false;
			certain = e;
		}
		if (!certain)
			return false;
		fill_value(data + (size_t)i * CELL, certain->value);
	}
	return true;
}

bool model_acknowledged(const uint8_t *data, unsigned cell)
{
	uint64_t value = read_value(data);

	for (const struct entry *e = model.cell[cell]; e; e = e->next)
		if (e->value == value)
			return e->state == ACKED;
	return true; /* long ago */
}

/* ---- reads ---- */

static void explain(unsigned cell, const uint8_t *data, const char *what)
{
	uint64_t value = read_value(data);
	char text[400];
	int n = 0;

	for (const struct entry *e = model.cell[cell]; e && n < (int)sizeof(text) - 80; e = e->next)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %llu/%c%s%s%s[%lld,%lld]%s",
			      (unsigned long long)(e->value >> TAG_SHIFT), "FALO"[e->state],
			      e -> durable ? "d" : "", e->kept ? "k" : "", e->lost ? "l" : "",
			      (long long)e->start, e->end == NEVER ? -1 : (long long)e->end,
			      e->dead == NEVER ? "" : "x");
	if (value == NOT_OURS)
		sim_fail("%s: cell %u holds what nobody wrote; known:%s", what, cell, text);
	else
		sim_fail("%s: cell %u holds write %llu of cell %llu; known:%s", what, cell,
			 (unsigned long long)(value >> TAG_SHIFT),
			 (unsigned long long)(value & ((1u << TAG_SHIFT) - 1)), text);
}

/* A reader saw `value`: other things that were over before it began aren't there any more. */
static void observe(unsigned cell, uint64_t value, uint64_t start)
{
	if (start < model.lost_at)
		return; /* that may have been before the loss */
	/* While it is being written, one member has it and another one hasn't. */
	for (const struct entry *e = model.cell[cell]; e && shape.mirrored; e = e->next)
		if ((e->value == value || e->from >= 0) && e->end > start)
			return;
	for (const struct entry *e = model.cell[cell]; e; e = e->next)
		if ((e->any || (e->state == LOOSE && !e->lost)) && e->dead == NEVER)
			return; /* a discarded cell may hold this now, and that next time */
	for (struct entry *e = model.cell[cell]; e; e = e->next)
		if ((e->state == ACKED || e->state == LOOSE) && e->end < start &&
		    e->value != value && e->dead == NEVER)
			e->dead = model.clock;
}

void model_read(uint64_t start, unsigned first, unsigned count, const uint8_t *data)
{
	model_now();
	for (unsigned i = 0; i < count && !sim.failed; i++) {
		const uint8_t *at = data + (size_t)i * CELL;
		uint64_t value = read_value(at);

		bool right = value != NOT_OURS && may_hold(first + i, value, start, 4);

		if (!right && value != NOT_OURS && model.excuse())
			right = may_hold(first + i, value, start, 4);
		if (!right)
			explain(first + i, at, "a read is wrong");
		else
			observe(first + i, value, start);
	}
}

bool model_may_be_zero(uint64_t start, unsigned cell)
{
	return may_hold(cell, 0, start, 4) || (model.excuse() && may_hold(cell, 0, start, 4));
}

/* ---- durability ---- */

void model_flushed(unsigned client, uint64_t start)
{
	model_now();
	for (unsigned cell = 0; cell < model.cells; cell++) {
		bool any = false;

		for (struct entry *e = model.cell[cell]; e; e = e->next) {
			if (e->state != ACKED || e->durable || e->end > start || e->excused)
				continue;
			if (e->client != client && e->lost)
				continue; /* another's that was lost: nobody vouches for it */
			e->durable = any = true;
			e->lost = false;
		}
		if (!any)
			continue;
		for (const struct entry *f = model.cell[cell]; f; f = f->next)
			if (f->durable && settles(f))
				supersede(cell, f);
		prune(cell);
	}
}

void model_flush_failed(unsigned client, uint64_t start)
{
	for (unsigned cell = 0; cell < model.cells; cell++)
		for (struct entry *e = model.cell[cell]; e; e = e->next)
			if (e->client == client && e->state == ACKED && !e->durable && !e->kept)
				e->excused = true;
}

/* After a loss: what is known of the cell is what is durable or will be written anew. */
static void reconsider(unsigned cell)
{
	for (struct entry *e = model.cell[cell]; e; e = e->next)
		if (e->state == ACKED && !e->durable && !e->kept && e->losses < model.losses)
			e->lost = true;
	for (struct entry *e = model.cell[cell]; e; e = e->next)
		if (e->dead != NEVER && !gone_for_good(cell, e))
			e->dead = NEVER;
	for (const struct entry *f = model.cell[cell]; f; f = f->next)
		if (settles(f))
			supersede(cell, f);
}

void model_reconsider(void)
{
	model.lost_at = model_now();
	for (unsigned cell = 0; cell < model.cells; cell++)
		reconsider(cell);
}

void model_may_be_forced(void)
{
	model.keeps_all = true;
}

void model_forced(void)
{
	model_reconsider();
	for (unsigned cell = 0; cell < model.cells; cell++)
		for (struct entry *e = model.cell[cell]; e; e = e->next) {
			e->durable = e->kept = false;
			e->lost = true;
			e->dead = NEVER;
		}
}

void model_restarted(void)
{
	model.restarts++;
	model_reconsider();
}

void model_lost(void)
{
	model.losses++;
	model_restarted();
}

void model_client_lost(unsigned client)
{
	model_now();
	for (unsigned cell = 0; cell < model.cells; cell++) {
		for (struct entry *e = model.cell[cell]; e; e = e->next) {
			if (e->client != client || e->end == NEVER)
				continue;
			e->kept = false;
			e->lost = e->lost || (e->state == ACKED && !e->durable);
		}
		reconsider(cell);
	}
}

/* What copies of a client that is gone have found is what was there. Of several that build on each
 * other, those with a known source first. */
static void resolve_copies_of(unsigned client)
{
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned cell = 0; cell < model.cells; cell++) {
			for (struct entry *e = model.cell[cell]; e; e = e->next) {
				bool ready = true;

				if (e->client != client || e->from < 0 || e->op)
					continue;
				for (const struct entry *s = model.cell[e->from]; s; s = s->next)
					ready = ready && s->from < 0;
				if (ready || round == 3)
					resolve_copy(cell, e);
			}
		}
	}
}

void model_client_gone(unsigned client, bool dead, bool durable)
{
	model_now();
	for (unsigned cell = 0; cell < model.cells; cell++) {
		for (struct entry *e = model.cell[cell]; e; e = e->next) {
			if (e->client != client)
				continue;
			if (e->end == NEVER)
				e->end = model.clock;
			if (e->state == FLYING && (dead || e->from >= 0)) {
				e->state = LATE;
				e->op = NULL;
			}
			/* What it kept it may have begun to write anew, the old over the new. */
			if (e->kept && !e->durable && e->restarts < model.restarts)
				e->lost = true;
			e->kept = false;
			if (durable && settles(e) && e->losses == model.losses)
				e->durable = true;
		}
		reconsider(cell);
	}
	resolve_copies_of(client);
}

/* ---- the disk itself ---- */

/* Is the medium, after a flush, perhaps behind what is read? What was lost, or whose flush failed, may live
 * on in the cache. */
static bool may_be_behind(unsigned cell)
{
	for (const struct entry *e = model.cell[cell]; e; e = e->next)
		if ((e->lost || e->state == LATE) && e->dead == NEVER)
			return true;
	return false;
}

static void check_place(unsigned cell, unsigned member, bool after_flush)
{
	bool strict = after_flush && !may_be_behind(cell), found = false;
	const uint8_t *data;
	char what[64];
	unsigned node, at;
	uint64_t value;

	shape_place(cell, member, &node, &at);
	data = disk_medium(node, at);
	value = read_value(data);
	for (const struct entry *e = model.cell[cell]; e && !found; e = e->next)
		found = e->from >= 0 || ((e->any || e->value == value) &&
					 (strict ? e->dead == NEVER : !gone_for_good(cell, e)));
	if (found)
		return;
	snprintf(what, sizeof(what), "%s on node %c",
		 after_flush ? "after a flush the medium is wrong" : "what was durable is gone",
		 (char)('a' + node));
	explain(cell, data, what);
}

void model_check_disk(bool after_flush)
{
	if (shape.mirrored && !after_flush)
		return;
	for (unsigned cell = 0; cell < model.cells && !sim.failed; cell++)
		for (unsigned i = 0; i < shape_part_of(cell)->member_count && !sim.failed; i++)
			check_place(cell, i, after_flush);
}

void model_check_mirrors(void)
{
	for (unsigned cell = 0; cell < model.cells && shape.mirrored; cell++) {
		const uint8_t *first = NULL;

		for (unsigned i = 0; i < shape_part_of(cell)->member_count; i++) {
			unsigned node, at;

			shape_place(cell, i, &node, &at);
			if (!first)
				first = disk_medium(node, at);
			else if (memcmp(first, disk_medium(node, at), CELL) != 0)
				sim_fail("invariant 13: cell %u differs: member 0 has write %llu, "
					 "member %u has write %llu",
					 cell, (unsigned long long)model_tag(first), i,
					 (unsigned long long)model_tag(disk_medium(node, at)));
		}
	}
}

void model_grow(unsigned cells)
{
	for (; cells; cells--) {
		struct entry *e;

		model.cell[model.cells] = NULL;
		e = add(model.cells++);
		e->state = ACKED;
		e->start = e->end = 0;
		e->durable = true;
	}
}

void model_reset(bool (*excuse)(void))
{
	model.excuse = excuse;
	model.cells = 0;
	model.clock = 1;
	model.next_tag = 1;
	model.oldest = 0;
	model.losses = model.restarts = 0;
	model.keeps_all = false;
	model.lost_at = 0;
	model.used = 0;
	model.free = NULL;
	model_grow(shape.cells);
}
