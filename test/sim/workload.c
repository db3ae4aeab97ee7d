/* SPDX-License-Identifier: GPL-2.0-or-later */
/* workload.c - see workload.h */
#include "test/sim/workload.h"

#include "common/checksum.h"
#include "test/sim/client.h"
#include "test/sim/disk.h"
#include "test/sim/model.h"
#include "test/sim/people.h"
#include "test/sim/shape.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LARGE_PERCENT 4u /* of the operations that are as large as the volume allows */
#define SMALL_MOST 6u /* cells of the others */

struct user {
	struct sim_op op;
	struct model_op model; /* of what modifies */
	unsigned number;
	enum sim_host host;
	unsigned life;
	bool busy;
	bool cancelled, failing; /* by its caller, by command */
	bool failed; /* the last one */
	bool late; /* began after its client was replaced */
	bool unsound; /* the disk was at fault meanwhile */
	uint64_t start; /* the model's */
	uint64_t began; /* simulated time */
	struct sim_event next, cancel;
};

static struct workload_config config;
static struct user users[WORKLOAD_USERS_MOST + 1]; /* the last one checks all in the end */
static unsigned begun, done, under_way;
static enum sim_host current_host;
static unsigned current_life;
static bool paused, nobody; /* begins nothing: for a while; until the next client is in use */
static bool reattached[HOSTS], challenged[HOSTS], replaced[HOSTS], sound, ever_unsound;
static uint64_t served[HOSTS];
static void (*check_then)(void);

static const struct {
	const char *name;
	unsigned weight;
	enum count count;
} kinds[SIM_OP_TYPES] = {
	[SIM_READ] = {"READ", 34, COUNT_READS},
	[SIM_WRITE] = {"WRITE", 36, COUNT_WRITES},
	[SIM_FLUSH] = {"FLUSH", 8, COUNT_FLUSHES},
	[SIM_DISCARD] = {"DISCARD", 4, COUNT_DISCARDS},
	[SIM_ZEROES] = {"WRITE_ZEROES", 8, COUNT_ZEROES},
	[SIM_EXTENTS] = {"EXTENTS", 2, COUNT_EXTENTS},
	[SIM_COPY] = {"COPY", 5, COUNT_COPIES},
	[SIM_HASH] = {"HASH", 3, COUNT_HASHES},
};

static bool modifies(enum sim_op_type type)
{
	return type == SIM_WRITE || type == SIM_DISCARD || type == SIM_ZEROES || type == SIM_COPY;
}

static void describe(const struct user *u, char *text, size_t size)
{
	char from[32] = "";

	if (u->op.type == SIM_COPY)
		snprintf(from, sizeof(from), " from %u", u->model.from);
	snprintf(text, size, "%s%s of cells %llu+%llu%s by user %u", kinds[u->op.type].name,
		 u->op.fua ? " with FUA" : "", (unsigned long long)(u->op.offset / CELL),
		 (unsigned long long)(u->op.length / CELL), from, u->number);
}

/* What began before this is of interest to somebody still. */
static void update_oldest(void)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++)
		if (users[i].busy && users[i].start < oldest)
			oldest = users[i].start;
	model_set_oldest(oldest);
}

/* ---- answers ---- */

/* May it have failed like this? */
static bool error_expected(const struct user *u, int error)
{
	if (u->cancelled && error == EINTR)
		return true;
	if (challenged[u->host] || (u->failing && error == EIO))
		return true;
	if (u->op.type == SIM_FLUSH && error == EIO && sim_client_losses(u->host) &&
	    (!config.kept || ever_unsound || reattached[u->host]))
		return true;
	/* A node whose connection had died unnoticed was not attached anew with the others. */
	if (error == EIO && shape.nodes > 1 && reattached[u->host] && sim_client_fenced(u->host))
		return true;
	/* Source and destination on different nodes, or a source that may differ from node to node. */
	if (error == EOPNOTSUPP && u->op.type == SIM_COPY)
		return shape.nodes > 1;
	if (error == ENOSPC || error == EIO)
		return !config.strict || u->unsound;
	return false;
}

static void judge_error(struct user *u, int error)
{
	char text[128];

	sim_count(COUNT_ERRORS);
	if (error_expected(u, error))
		return;
	describe(u, text, sizeof(text));
	sim_fail("%s failed: %s", text, strerror(error));
}

/* Of cells whose content is known for certain. */
static void judge_hash(const struct user *u, const uint8_t *hash)
{
	static uint8_t content[MODEL_CELLS_MOST * CELL];
	struct checksum_range *sum;
	uint8_t expected[16];

	if (!model_content(u->start, u->model.first, u->model.count, content))
		return;
	sum = checksum_range_new(u->op.hash_seed);
	checksum_range_add(sum, content, (size_t)u->model.count * CELL);
	checksum_range_end(&sum, expected);
	if (memcmp(hash, expected, sizeof(expected)) != 0)
		sim_fail("a hash of cells %u+%u is wrong", u->model.first, u->model.count);
}

static void judge_answer(struct user *u, int error, const uint8_t *data, uint64_t length)
{
	struct sim_op *op = &u->op;

	/* What a loss brought back is found by copies and hashes before the next fsync tells of it. */
	if (op->type == SIM_COPY || op->type == SIM_HASH)
		people_admits_loss();
	if (modifies(op->type)) {
		model_end(&u->model, error, op->fua, (unsigned)(length / CELL));
	} else if (op->type == SIM_FLUSH && error) {
		people_admits_loss();
		model_flush_failed(u->life, u->start);
	} else if (op->type == SIM_FLUSH) {
		model_flushed(u->life, u->start);
	} else if (op->type == SIM_HASH && !error) {
		judge_hash(u, data);
	} else if (op->type == SIM_READ && !error) {
		if (length != op->length)
			sim_fail("a read of %llu bytes brought %llu",
				 (unsigned long long)op->length, (unsigned long long)length);
		else
			model_read(u->start, (unsigned)(op->offset / CELL),
				   (unsigned)(length / CELL), data);
	}
}

static void schedule_next(struct user *u)
{
	if (begun < config.operations && u->number < config.users)
		sim_event_set(&u->next, sim_random(config.think + 1));
}

/* What a client keeps is bounded: by what it is allowed to, and what was under way meanwhile. Judged where
 * callers don't flush, and write little at a time. */
static void judge_memory(const struct user *u)
{
	uint64_t most = config.keeps, has;

	if (!config.kept || config.flushes || shape.nodes > 1 || sim_random(8) ||
	    !sim_client_running(u->host))
		return;
	for (unsigned i = 0; i < config.users; i++)
		most += 2 * SMALL_MOST * CELL;
	has = sim_client_unflushed(u->host);
	if (has > most)
		sim_fail("a client keeps %llu bytes, and may keep %llu", (unsigned long long)has,
			 (unsigned long long)config.keeps);
}

static void op_done(struct sim_op *op, int error, const uint8_t *data, uint64_t length)
{
	struct user *u = (struct user *)op; /* op is the first member */
	char text[128];

	if (sim.tracing) {
		describe(u, text, sizeof(text));
		sim_trace("%s: %s", text, error ? strerror(error) : "done");
	}
	sim_event_cancel(&u->cancel);
	if (u->late && !error) {
		describe(u, text, sizeof(text));
		sim_fail("invariant 5: %s succeeded after another client had taken over", text);
	}
	if (error)
		judge_error(u, error);
	judge_answer(u, error, data, length);
	if (!error && u->began > served[u->host])
		served[u->host] = u->began;
	judge_memory(u);
	u->busy = false;
	u->failed = error;
	under_way--;
	done++;
	update_oldest();
	schedule_next(u);
	if (u->number == WORKLOAD_USERS_MOST)
		sim_event_set(&u->next, 0);
}

static void on_extent(struct sim_op *op, uint64_t offset, uint64_t length, bool hole)
{
	struct user *u = (struct user *)op;

	for (uint64_t at = offset; hole && at < offset + length; at += CELL)
		if (!model_may_be_zero(u->start, (unsigned)(at / CELL)))
			sim_fail("cell %u is said to be a hole, but holds data",
				 (unsigned)(at / CELL));
}

/* ---- operations ---- */

static void fill(struct sim_op *op, uint8_t *data)
{
	struct user *u = (struct user *)op;

	for (unsigned i = 0; i < u->model.count; i++)
		model_fill(data + (size_t)i * CELL, u->model.tag, u->model.first + i);
}

static enum sim_op_type choose_type(void)
{
	uint64_t n = sim_random(100);
	unsigned type = 0;

	while (n >= kinds[type].weight)
		n -= kinds[type++].weight;
	if (type == SIM_FLUSH && !config.flushes)
		type = SIM_WRITE;
	return (enum sim_op_type)type;
}

static void choose_range(unsigned *first, unsigned *count)
{
	bool hot = sim_chance(80);
	unsigned cells = hot ? config.hot : config.cells;
	unsigned most = sim_chance(LARGE_PERCENT) && config.flushes ? config.cells : SMALL_MOST;

	if (most > cells)
		most = cells;
	*count = 1 + (unsigned)sim_random(most);
	*first = (hot ? config.hot_from : 0) + (unsigned)sim_random(cells - *count + 1);
}

/* A source apart from the destination; the destination is made to fit. */
static void choose_source(struct user *u, unsigned *first, unsigned *count)
{
	unsigned most = config.cells / 4; /* there is always room beside it */

	if (*count > most)
		*count = most;
	do
		u->model.from = (unsigned)sim_random(config.cells - *count + 1);
	while (u->model.from < *first + *count && *first < u->model.from + *count);
	u->op.copy_from = (uint64_t)u->model.from * CELL;
}

/* What a mirror discards reads as zeros, on every node. */
static enum model_type model_type_of(enum sim_op_type type)
{
	return type == SIM_WRITE                      ? MODEL_WRITE
	       : type == SIM_COPY                     ? MODEL_COPY
	       : type == SIM_ZEROES || shape.mirrored ? MODEL_ZEROES
						      : MODEL_DISCARD;
}

static void submit(struct user *u)
{
	char text[128];

	sim_count(kinds[u->op.type].count);
	if (u->op.fua)
		sim_count(COUNT_FUA);
	u->busy = true;
	u->cancelled = u->failing = false;
	u->unsound = !sound;
	u->late = replaced[u->host];
	u->began = sim.now;
	under_way++;
	if (modifies(u->op.type)) {
		model_begin(&u->model, config.kept);
		u->start = u->model.start;
	} else {
		u->start = model_now();
	}
	update_oldest();
	if (sim.tracing) {
		describe(u, text, sizeof(text));
		sim_trace("%s: begins, worker %u, write %llu", text, u->op.worker,
			  (unsigned long long)u->model.tag);
	}
	sim_client_submit(u->host, &u->op);
}

static void begin(struct user *u)
{
	uint64_t size = sim_client_size(current_host) / CELL;
	enum sim_op_type type = choose_type();
	unsigned first = 0, count = 0;

	if (size > config.cells) /* it has grown */
		config.cells = (unsigned)size;
	u->host = current_host;
	u->life = current_life;
	u->op = (struct sim_op){.type = type, .done = op_done, .fill = fill, .extent = on_extent};
	u->model = (struct model_op){.type = model_type_of(type), .client = u->life};
	u->op.worker = (unsigned)sim_random(8);
	if (type != SIM_FLUSH)
		choose_range(&first, &count);
	if (type == SIM_COPY)
		choose_source(u, &first, &count);
	if (type == SIM_WRITE)
		u->model.tag = model_new_tag();
	u->model.first = first;
	u->model.count = count;
	u->op.offset = (uint64_t)first * CELL;
	u->op.length = (uint64_t)count * CELL;
	u->op.fua = modifies(type) && type != SIM_COPY && sim_chance(15);
	u->op.no_hole = type == SIM_ZEROES && sim_chance(30);
	u->op.hash_seed = sim_random(3);
	begun++;
	submit(u);
	if (sim_permille(config.cancel_permille))
		sim_event_set(&u->cancel, sim_random(sim_chance(50) ? MS : SEC));
}

static void on_next(void *arg)
{
	struct user *u = arg;

	if (u->busy || begun >= config.operations)
		return;
	if (paused || nobody || !sim_client_running(current_host) ||
	    !sim_client_size(current_host)) {
		sim_event_set(&u->next, 50 * MS); /* it isn't there yet */
		return;
	}
	begin(u);
}

static void on_cancel(void *arg)
{
	struct user *u = arg;

	if (!u->busy || !sim_client_running(u->host))
		return;
	sim_count(COUNT_CANCELS);
	u->cancelled = true;
	sim_client_cancel(u->host, &u->op, EINTR);
}

/* ---- clients ---- */

void workload_use(enum sim_host host, unsigned life)
{
	current_host = host;
	current_life = life;
	nobody = false;
	challenged[host] = replaced[host] = false;
	for (unsigned i = 0; i < config.users; i++)
		if (!users[i].busy && !users[i].next.place)
			sim_event_set(&users[i].next, sim_random(config.think + 1));
}

void workload_pause(bool pause)
{
	paused = pause;
}

void workload_client_dead(enum sim_host host)
{
	nobody |= host == current_host;
	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++) {
		struct user *u = &users[i];

		if (!u->busy || u->host != host)
			continue;
		sim_event_cancel(&u->cancel);
		u->busy = false;
		under_way--;
		done++;
		schedule_next(u);
		if (i == WORKLOAD_USERS_MOST)
			sim_event_set(&u->next, SEC);
	}
	update_oldest();
}

void workload_client_failed(enum sim_host host)
{
	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++)
		if (users[i].busy && users[i].host == host)
			users[i].failing = true;
}

void workload_client_reattached(enum sim_host host)
{
	reattached[host] = true;
}

uint64_t workload_served(enum sim_host host)
{
	return served[host];
}

void workload_client_challenged(enum sim_host host)
{
	challenged[host] = true;
}

void workload_client_replaced(enum sim_host host)
{
	replaced[host] = true;
}

void workload_set_sound(bool s)
{
	sound = s;
	if (sound)
		return;
	ever_unsound = true;
	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++)
		users[i].unsound = true;
}

/* ---- the end ---- */

/* From the first cell on, by the client that is in use. */
static void check_from_start(struct user *u)
{
	u->host = current_host;
	u->life = current_life;
	u->failed = false;
	u->op.type = SIM_READ;
	u->model = (struct model_op){.client = current_life};
}

static void on_check(void *arg)
{
	struct user *u = arg;
	unsigned most = 64, first = u->model.first + u->model.count;

	if (nobody || u->life != current_life || !sim_client_running(current_host)) {
		check_from_start(u);
		sim_event_set(&u->next, SEC);
		return;
	}
	if (u->failed) { /* it may be on its way back still */
		u->failed = false;
		sim_event_set(&u->next, SEC);
		if (u->op.type == SIM_FLUSH)
			u->op.type = SIM_READ;
		else
			u->model.count = 0;
		return;
	}
	if (u->op.type == SIM_FLUSH) {
		if (!shape.mirrored || sim_client_whole(u->host)) /* else there is more to come */
			model_check_disk(true);
		if (!sim.failed)
			check_then();
		return;
	}
	u->op = (struct sim_op){.type = SIM_READ, .done = op_done};
	u->model.first = first;
	u->model.count = config.cells - first < most ? config.cells - first : most;
	if (!u->model.count)
		u->op.type = SIM_FLUSH;
	u->op.offset = (uint64_t)first * CELL;
	u->op.length = (uint64_t)u->model.count * CELL;
	submit(u);
}

void workload_check_all(void (*then)(void))
{
	struct user *u = &users[WORKLOAD_USERS_MOST];

	begun = config.operations; /* no more of the others */
	check_then = then;
	u->number = WORKLOAD_USERS_MOST;
	check_from_start(u);
	u->next = (struct sim_event){.run = on_check, .arg = u};
	sim_event_set(&u->next, 0);
}

unsigned workload_done(void)
{
	return done;
}

unsigned workload_under_way(void)
{
	return under_way;
}

unsigned workload_under_way_at(enum sim_host host)
{
	unsigned count = 0;

	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++)
		count += users[i].busy && users[i].host == host;
	return count;
}

void workload_explain_stuck(void)
{
	char text[128];

	for (unsigned i = 0; i <= WORKLOAD_USERS_MOST; i++) {
		if (!users[i].busy)
			continue;
		describe(&users[i], text, sizeof(text));
		sim_fail("%s has waited %llu s and does not complete", text,
			 (unsigned long long)((sim.now - users[i].began) / SEC));
	}
	sim_fail("the workload does not come to its end");
}

void workload_reset(const struct workload_config *c)
{
	config = *c;
	memset(users, 0, sizeof(users));
	memset(replaced, 0, sizeof(replaced));
	memset(challenged, 0, sizeof(challenged));
	memset(served, 0, sizeof(served));
	memset(reattached, 0, sizeof(reattached));
	begun = done = under_way = 0;
	paused = nobody = false;
	sound = true;
	ever_unsound = false;
	for (unsigned i = 0; i < config.users; i++) {
		users[i].number = i;
		users[i].next = (struct sim_event){.run = on_next, .arg = &users[i]};
		users[i].cancel = (struct sim_event){.run = on_cancel, .arg = &users[i]};
	}
}
