/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_window.c - see mirror_window.h. A window is a row of steps: each begins something and names
 * the next one, which is done once nothing of it is pending.
 */
#include "dstfs/mirror_window.h"

#include "dstfs/mirror_copy_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SOURCE_ATTEMPTS 3u /* to read it, where the others may have something else */

static void run(struct copy_window *w);

static unsigned all_blocks(const struct copy_window *w)
{
	return (1u << w->blocks) - 1;
}

/* Takes the lowest run of blocks out of the mask, which isn't empty. */
static unsigned next_run(unsigned *mask, unsigned *first)
{
	unsigned count;

	*first = (unsigned)__builtin_ctz(*mask);
	count = (unsigned)__builtin_ctz(~(*mask >> *first));
	*mask &= ~(((1u << count) - 1) << *first);
	return count;
}

static uint64_t bytes_of(const struct copy_window *w, unsigned blocks)
{
	return (uint64_t)__builtin_popcount(blocks) * w->unit;
}

void window_look_at(struct copy_window *w, struct range part, uint32_t unit)
{
	buf_unref(&w->buf);
	w->part = part;
	w->unit = unit;
	w->blocks = (unsigned)(part.length / unit);
	assert(w->blocks && w->blocks <= WINDOW_BLOCKS && part.length % unit == 0);
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		w->legs[i].holes = w->legs[i].hashed = w->legs[i].unreadable = w->legs[i].differs =
			0;
}

static void wait_over(struct copy_window *w)
{
	w->pending--;
	run(w);
}

/* ---- requests ---- */

/* This node failed, not only this request. */
static void lost(struct copy_window *w, unsigned node)
{
	w->result = WINDOW_ABORTED;
	mirror_report_failed(w->mirror, MIRROR_BIT(node));
}

/* What was read there may be older than what others have; the home looks who leaves. */
static void lossy(struct copy_window *w)
{
	w->result = WINDOW_ABORTED;
	mirror_home_poke(w->mirror);
}

static unsigned blocks_of(const struct window_io *io)
{
	return ((1u << io->count) - 1) << io->first;
}

static void submit(struct window_io *io)
{
	io->busy = true;
	target_submit(io->window->mirror->nodes[io->node].target, &io->request);
}

/* What the node can't zero by itself gets zeros. */
static void send_zeros(struct window_io *io)
{
	struct copy_window *w = io->window;
	struct request *request = &io->request;

	request->type = REQUEST_WRITE;
	request->no_hole = false;
	request->since = 0;
	request->data = w->buf->data + (size_t)io->first * w->unit;
	request->buf = w->buf;
	memset(w->buf->data + (size_t)io->first * w->unit, 0, request->range.length);
	submit(io);
}

/* True: it goes on in another way. */
static bool failed(struct window_io *io, int error)
{
	struct copy_window *w = io->window;
	enum request_type type = io->request.type;

	if (w->result == WINDOW_ABORTED)
		return false;
	if (mirror_check_fence(w->mirror)) {
		w->result = WINDOW_ABORTED;
	} else if (type == REQUEST_WRITE_ZEROES && error == EOPNOTSUPP) {
		send_zeros(io);
		return true;
	} else if (error == ENOMEM) { /* ours, not the node's */
		w->result = WINDOW_ABORTED;
	} else if (type == REQUEST_FLUSH) {
		w->unflushed |= MIRROR_BIT(io->node);
	} else if (request_modifies(&io->request) ||
		   w->mirror->nodes[io->node].target->state != TARGET_READY) {
		lost(w, io->node);
	} else if (type == REQUEST_READ || (type == REQUEST_HASH && error != EOPNOTSUPP)) {
		w->legs[io->node].unreadable |= blocks_of(io);
	} /* else it can't tell, which costs only time */
	return false;
}

/* Which whole blocks are holes. What isn't described counts as data. */
static void take_extents(struct window_io *io)
{
	struct copy_window *w = io->window;
	uint64_t at = 0;
	unsigned data = 0;

	for (unsigned i = 0; i < io->request.extent_count && at < w->part.length; i++) {
		const struct wire_extent *extent = &io->request.extents[i];
		uint64_t end = at + extent->length;

		if (end > w->part.length)
			end = w->part.length;
		for (uint64_t b = at / w->unit;
		     extent->kind != DST_EXTENT_HOLE && b * w->unit < end; b++)
			data |= 1u << b;
		at = end;
	}
	for (uint64_t b = at / w->unit; b < w->blocks; b++)
		data |= 1u << b;
	w->legs[io->node].holes = all_blocks(w) & ~data;
}

static void succeeded(struct window_io *io)
{
	struct copy_window *w = io->window;
	struct window_leg *leg = &w->legs[io->node];

	switch (io->request.type) {
	case REQUEST_EXTENTS:
		take_extents(io);
		break;
	case REQUEST_HASH:
		memcpy(leg->hash[io->first], io->request.hash, DST_HASH_SIZE);
		leg->hashed |= blocks_of(io);
		break;
	case REQUEST_READ:
		memcpy(w->buf->data + (size_t)io->first * w->unit, io->request.data,
		       io->request.range.length);
		break;
	case REQUEST_WRITE:
		leg->sent += io->request.range.length;
		break;
	case REQUEST_WRITE_ZEROES:
		leg->zeroed += io->request.range.length;
		break;
	default:
		break;
	}
}

static void on_done(struct request *request, int error)
{
	struct window_io *io = (struct window_io *)request; /* request is the first member */

	io->busy = false;
	if (error && failed(io, error))
		return;
	if (!error && mirror_lossy(io->window->mirror, MIRROR_BIT(io->node)))
		lossy(io->window);
	else if (!error)
		succeeded(io);
	wait_over(io->window);
}

static struct window_io *begin_io(struct copy_window *w, unsigned node, enum request_type type,
				  unsigned first, unsigned count)
{
	struct window_leg *leg = &w->legs[node];
	struct window_io *io = &leg->ios[leg->io_count++];

	assert(leg->io_count <= WINDOW_BLOCKS);
	*io = (struct window_io){
		.request = {.type = type,
			    .range = {w->part.offset + (uint64_t)first * w->unit,
				      (uint64_t)count * w->unit},
			    .hash_seed = w->mirror->copy->seed,
			    .hold = leg->hold,
			    .worker = w->mirror->home,
			    .done = on_done},
		.window = w,
		.node = node,
		.first = first,
		.count = count,
	};
	w->pending++;
	return io;
}

static void for_new_ios(struct copy_window *w)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		w->legs[i].io_count = 0;
}

/* ---- the steps ---- */

static void on_hold(void *arg)
{
	struct copy_window *w = arg;

	w->waiting = false;
	wait_over(w);
}

static enum window_step take_hold(struct copy_window *w)
{
	bool granted;

	w->hold = ranges_take(w->mirror->ranges, w->mirror->home, w->range, (struct range){0, 0},
			      on_hold, w, &granted);
	if (!w->hold) {
		w->result = WINDOW_ABORTED;
	} else if (!granted) {
		w->waiting = true;
		w->pending++;
	}
	return WINDOW_CHOOSE;
}

static enum window_step choose(struct copy_window *w)
{
	if (!w->began)
		w->began = clock_now();
	w->source = MIRROR_NO_SLOT;
	return copy_window_choose(w) ? WINDOW_NODE_HOLDS : WINDOW_END;
}

static void on_node_hold(void *arg)
{
	struct window_leg *leg = arg;

	leg->waiting = false;
	wait_over(leg->window);
}

static enum window_step take_node_holds(struct copy_window *w)
{
	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1) {
		struct window_leg *leg = &w->legs[__builtin_ctz(rest)];
		bool granted;

		leg->hold =
			ranges_take(w->mirror->nodes[__builtin_ctz(rest)].ranges, w->mirror->home,
				    w->range, (struct range){0, 0}, on_node_hold, leg, &granted);
		if (!leg->hold) {
			w->result = WINDOW_ABORTED;
		} else if (!granted) {
			leg->waiting = true;
			leg->since = clock_now();
			w->pending++;
		}
	}
	window_look_at(w, w->range, WINDOW_BLOCK);
	if (w->kind == COPY_VERIFY)
		return WINDOW_HASH;
	return w->kind == COPY_EQUALIZE ? WINDOW_FLUSH : WINDOW_EXTENTS;
}

static enum window_step flush_nodes(struct copy_window *w)
{
	for_new_ios(w);
	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1) {
		struct window_io *io =
			begin_io(w, (unsigned)__builtin_ctz(rest), REQUEST_FLUSH, 0, 0);

		io->request.range = (struct range){0, 0};
		io->request.hold = NULL; /* it is about more than the window */
		submit(io);
	}
	return WINDOW_FLUSHED;
}

/* If none could be, they tell of what all have lost perhaps, and it is no node's fault alone. */
static enum window_step flushed(struct copy_window *w)
{
	if (w->unflushed) {
		w->result = WINDOW_ABORTED;
		if (w->nodes & ~w->unflushed)
			mirror_report_failed(w->mirror, w->unflushed);
		return WINDOW_END;
	}
	return w->targets ? WINDOW_EXTENTS : WINDOW_END;
}

static enum window_step ask_extents(struct copy_window *w)
{
	for_new_ios(w);
	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1)
		submit(begin_io(w, (unsigned)__builtin_ctz(rest), REQUEST_EXTENTS, 0, w->blocks));
	return WINDOW_HASH;
}

/* Nowhere allocated: equal without a look. */
static unsigned common_holes(const struct copy_window *w)
{
	unsigned holes = all_blocks(w);

	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1)
		holes &= w->legs[__builtin_ctz(rest)].holes;
	return holes;
}

static enum window_step ask_hashes(struct copy_window *w)
{
	unsigned blocks = all_blocks(w) & ~common_holes(w);

	if (!copy_compares(w->mirror->copy, w->kind))
		return WINDOW_COMPARE;
	for_new_ios(w);
	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1)
		for (unsigned b = blocks; b; b &= b - 1)
			submit(begin_io(w, (unsigned)__builtin_ctz(rest), REQUEST_HASH,
					(unsigned)__builtin_ctz(b), 1));
	if (w->unit == WINDOW_BLOCK)
		w->compared = bytes_of(w, blocks);
	return WINDOW_COMPARE;
}

static void put_node_holds(struct copy_window *w)
{
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		w->pending -= w->legs[i].waiting;
		w->legs[i].waiting = false;
		range_hold_put(&w->legs[i].hold);
	}
}

/*
 * The source can't read what it should: another one can perhaps, and then writes it there as well. But
 * where they may differ users have read the source's, so it is asked again first: it may only have been
 * too slow, or we were.
 */
static enum window_step change_source(struct copy_window *w)
{
	mirror_mask others =
		w->mirror->read_set & ~(w->targets | w->unable | MIRROR_BIT(w->source));

	if (++w->attempts == SOURCE_ATTEMPTS || (others && !copy_is_suspect(w->mirror, w->range))) {
		w->unable |= MIRROR_BIT(w->source);
		w->attempts = 0;
	}
	put_node_holds(w);
	return WINDOW_CHOOSE;
}

static unsigned all_differing(const struct copy_window *w)
{
	unsigned blocks = 0;

	for (mirror_mask rest = w->targets; rest; rest &= rest - 1)
		blocks |= w->legs[__builtin_ctz(rest)].differs;
	return blocks;
}

/* Which blocks are not known to be equal to the source's. */
static unsigned differing_from(const struct copy_window *w, const struct window_leg *source,
			       const struct window_leg *leg)
{
	unsigned differs = all_blocks(w) & ~common_holes(w);

	for (unsigned b = leg->hashed & source->hashed; b; b &= b - 1) {
		unsigned at = (unsigned)__builtin_ctz(b);

		if (!memcmp(leg->hash[at], source->hash[at], DST_HASH_SIZE))
			differs &= ~(1u << at);
	}
	return differs;
}

static enum window_step compare(struct copy_window *w)
{
	const struct window_leg *source;

	if (w->kind == COPY_VERIFY)
		return verify_compare(w);
	source = &w->legs[w->source];
	if (source->unreadable)
		return change_source(w);
	for (mirror_mask rest = w->targets; rest; rest &= rest - 1) {
		struct window_leg *leg = &w->legs[__builtin_ctz(rest)];

		leg->differs = differing_from(w, source, leg);
		if (w->kind != COPY_REPAIR)
			continue;
		if (leg->differs & ~leg->unreadable)
			log_warn("volume %s: nodes differ near %llu: dstctl verify tells where",
				 w->mirror->volume, (unsigned long long)w->range.offset);
		leg->differs = leg->unreadable; /* who is right isn't known */
	}
	w->equal = bytes_of(w, all_blocks(w) & ~all_differing(w));
	return all_differing(w) ? WINDOW_BUF : WINDOW_END;
}

static void on_buf_turn(void *arg)
{
	wait_over(arg);
}

/* Not from within: see buf_wait(). */
static void on_buf(void *arg)
{
	struct copy_window *w = arg;

	loop_defer(w->mirror->home->loop, &w->buf_hook);
}

static enum window_step take_buf(struct copy_window *w)
{
	if (!w->buf)
		w->buf = buf_get(w->mirror->home->bufs);
	if (w->buf)
		return WINDOW_READ;
	w->pending++;
	buf_wait(w->mirror->home->bufs, &w->buf_waiter);
	return WINDOW_BUF;
}

static enum window_step read_source(struct copy_window *w)
{
	unsigned holes = w->legs[w->source].holes;
	unsigned blocks = all_differing(w) & ~holes, first;

	for_new_ios(w);
	for (unsigned b = holes; b; b &= b - 1)
		memset(w->buf->data + (size_t)__builtin_ctz(b) * w->unit, 0, w->unit);
	while (blocks) {
		unsigned count = next_run(&blocks, &first);

		submit(begin_io(w, w->source, REQUEST_READ, first, count));
	}
	return WINDOW_WRITE;
}

static bool all_zero(const uint8_t *data, size_t size)
{
	return !*data && !memcmp(data, data + 1, size - 1);
}

static void send_run(struct copy_window *w, unsigned node, unsigned first, unsigned count,
		     unsigned zeros)
{
	bool zero = zeros >> first & 1;
	struct window_io *io =
		begin_io(w, node, zero ? REQUEST_WRITE_ZEROES : REQUEST_WRITE, first, count);

	if (zero) { /* what is allocated at the source stays so at the target */
		io->request.no_hole = !(w->legs[w->source].holes >> first & 1);
	} else {
		io->request.data = w->buf->data + (size_t)first * w->unit;
		io->request.buf = w->buf;
	}
	submit(io);
}

static enum window_step write_targets(struct copy_window *w)
{
	unsigned holes = w->legs[w->source].holes, blocks = all_differing(w), zeros = 0, first;

	if (w->legs[w->source].unreadable)
		return w->kind == COPY_VERIFY ? WINDOW_WRITTEN : change_source(w);
	for (unsigned b = blocks; b; b &= b - 1)
		if (all_zero(w->buf->data + (size_t)__builtin_ctz(b) * w->unit, w->unit))
			zeros |= b & -b;
	for_new_ios(w);
	for (mirror_mask rest = w->targets; rest; rest &= rest - 1) {
		unsigned node = (unsigned)__builtin_ctz(rest);
		const unsigned differs = w->legs[node].differs;
		const unsigned kinds[] = {differs & ~zeros, differs & zeros & ~holes,
					  differs & zeros & holes};

		for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
			for (unsigned b = kinds[i]; b;) {
				unsigned count = next_run(&b, &first);

				send_run(w, node, first, count, zeros);
			}
		}
	}
	return WINDOW_WRITTEN;
}

static enum window_step written(struct copy_window *w)
{
	return w->kind == COPY_VERIFY ? verify_mended(w) : WINDOW_END;
}

static enum window_step (*const steps[])(struct copy_window *w) = {
	[WINDOW_HOLD] = take_hold,
	[WINDOW_CHOOSE] = choose,
	[WINDOW_NODE_HOLDS] = take_node_holds,
	[WINDOW_FLUSH] = flush_nodes,
	[WINDOW_FLUSHED] = flushed,
	[WINDOW_EXTENTS] = ask_extents,
	[WINDOW_HASH] = ask_hashes,
	[WINDOW_COMPARE] = compare,
	[WINDOW_BUF] = take_buf,
	[WINDOW_READ] = read_source,
	[WINDOW_WRITE] = write_targets,
	[WINDOW_WRITTEN] = written,
};

static void over(struct copy_window *w)
{
	copy_window_over(w);
	put_node_holds(w);
	range_hold_put(&w->hold);
	buf_unref(&w->buf);
	w->task = NULL;
}

/* What completes at once comes back here from within a step, and is left to the loop. */
static void run(struct copy_window *w)
{
	if (w->running)
		return;
	w->running = true;
	while (!w->pending && w->step != WINDOW_END)
		w->step = w->result == WINDOW_ABORTED ? WINDOW_END : steps[w->step](w);
	w->running = false;
	if (!w->pending)
		over(w);
}

/* ---- from outside ---- */

void window_init(struct copy_window *w, struct mirror *mirror)
{
	w->mirror = mirror;
	w->buf_waiter = (struct buf_waiter){.callback = on_buf, .arg = w};
	w->buf_hook = (struct loop_hook){.callback = on_buf_turn, .arg = w};
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		w->legs[i].window = w;
}

void window_begin(struct copy_window *w, struct copy_task *task, enum copy_kind kind,
		  struct range range)
{
	assert(!w->task && !w->pending && !w->hold && !w->buf);
	w->task = task;
	w->kind = kind;
	w->range = range;
	w->step = WINDOW_HOLD;
	w->result = WINDOW_DONE;
	w->began = 0;
	w->losses = w->mirror->losses;
	w->nodes = w->targets = w->unable = w->unflushed = 0;
	w->attempts = 0;
	w->coarse = 0;
	memset(w->mend, 0, sizeof(w->mend));
	w->compared = w->equal = 0;
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++)
		w->legs[i].sent = w->legs[i].zeroed = 0;
	run(w);
}

static void stop_waiting(struct copy_window *w)
{
	if (w->waiting) {
		w->waiting = false;
		w->pending--;
		range_hold_put(&w->hold);
	}
	if (w->buf_waiter.pool || w->buf_hook.link) {
		buf_wait_cancel(&w->buf_waiter);
		loop_defer_cancel(&w->buf_hook);
		w->pending--;
	}
	for (unsigned i = 0; i < MIRROR_MAX_NODES; i++) {
		struct window_leg *leg = &w->legs[i];

		if (!leg->waiting)
			continue;
		leg->waiting = false;
		w->pending--;
		range_hold_put(&leg->hold);
	}
}

void window_abort(struct copy_window *w, mirror_mask lost_nodes)
{
	w->result = WINDOW_ABORTED;
	w->pending++; /* it stays until we are through */
	stop_waiting(w);
	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1) {
		unsigned node = (unsigned)__builtin_ctz(rest);
		struct window_leg *leg = &w->legs[node];

		for (unsigned i = 0; i < leg->io_count; i++) {
			struct window_io *io = &leg->ios[i];

			if (io->busy &&
			    (!request_modifies(&io->request) || lost_nodes & MIRROR_BIT(node)))
				target_cancel(w->mirror->nodes[node].target, &io->request,
					      ECANCELED);
		}
	}
	wait_over(w);
}

mirror_mask window_late(const struct copy_window *w, uint64_t now, uint64_t patience)
{
	mirror_mask late = 0;

	for (mirror_mask rest = w->nodes; rest; rest &= rest - 1) {
		const struct window_leg *leg = &w->legs[__builtin_ctz(rest)];

		if (leg->waiting && now - leg->since >= patience)
			late |= rest & -rest;
	}
	return late;
}
