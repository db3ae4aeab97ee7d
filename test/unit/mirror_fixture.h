/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_fixture.h - a mirror over disks in memory, which fail, hesitate and lose power when the test
 * says so. All that is written, flushed and acknowledged is recorded in one order, so that
 * the disks can be put back to what they were at any moment.
 */
#ifndef TEST_MIRROR_FIXTURE_H
#define TEST_MIRROR_FIXTURE_H

#include "common/checksum.h"
#include "common/clock.h"
#include "common/log.h"
#include "dstfs/mirror.h"
#include "dstfs/mirror_copy_impl.h"
#include "dstfs/mirror_create.h"
#include "dstfs/mirror_home.h"
#include "dstfs/mirror_port.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DISKS MIRROR_MAX_NODES
#define DISK_SIZE (2u << 20)
#define DISK_ROOM (DISK_SIZE + (1u << 20)) /* it may grow by that */
#define DISK_GRAIN 4096u
#define NO_ERROR 0
#define RECORDS 20000u

enum record_type { RECORD_WRITE, RECORD_FLUSH, RECORD_WITNESS, RECORD_NOTE };

struct record {
	enum record_type type;
	unsigned disk;
	struct range range;
	bool fua;
	uint8_t *data;
	struct mirror_witness witness;
	int note; /* the test's */
};

struct disk {
	struct target base;
	unsigned index;
	uint8_t *image; /* what it reads */
	struct request_list queue;
	struct range_hold *orphans[8];
	unsigned orphan_count;
	struct loop_hook hook;
	bool holds; /* keeps what comes, until disk_release() */
	bool holds_metadata, holds_data, holds_supers; /* likewise, only that */
	bool dead; /* answers EIO to all, and is AWAY */
	bool orphans_stay; /* what is cancelled keeps its hold, until disk_drop_orphans() */
	/* Answered to those, which aren't done then. */
	int write_error, read_error, flush_error, metadata_error;
	unsigned bad_reads; /* so many of data fail */
	uint64_t bad_offset; /* of a sector that can't be read; UINT64_MAX: none */
	unsigned reads, writes, flushes; /* of data */
	struct request last; /* a copy of the last WRITE of data */
	_Atomic uint64_t losses;
	uint64_t data_size; /* of the mirror; beyond is metadata */
	bool mapped[DISK_ROOM / DISK_GRAIN]; /* not a hole */
	bool no_zeroes; /* can't WRITE_ZEROES */
	unsigned fails_after; /* the write that many from now fails, once; 0: none */
};

struct fixture {
	struct worker worker;
	struct target_policy policy;
	struct disk disks[DISKS];
	unsigned count;
	struct target *target;
	struct mirror *mirror;
	struct mirror_options options;
	struct mirror_witness_store store;
	struct mirror_witness witness; /* that is kept */
	bool has_witness, witness_fails;
	struct loop_work witness_work;
	void (*witness_done)(void *arg, int error);
	void *witness_arg;
	unsigned activity; /* counts what disks do */
	struct record *records;
	unsigned record_count;
	unsigned changed;
};

static struct fixture f;

static struct record *record_new(enum record_type type, unsigned disk)
{
	struct record *record = &f.records[f.record_count++];

	assert_true(f.record_count < RECORDS);
	*record = (struct record){.type = type, .disk = disk};
	return record;
}

static void record_write(struct disk *disk, struct range range, const uint8_t *data, bool fua)
{
	struct record *record = record_new(RECORD_WRITE, disk->index);

	record->range = range;
	record->fua = fua;
	record->data = malloc(range.length);
	memcpy(record->data, data, range.length);
}

static inline void record_note(int note)
{
	record_new(RECORD_NOTE, 0)->note = note;
}

static void records_forget(void)
{
	for (unsigned i = 0; i < f.record_count; i++)
		free(f.records[i].data);
	f.record_count = 0;
}

/* ---- disks ---- */

static bool is_metadata(const struct disk *disk, const struct request *request)
{
	return disk->data_size && request->range.length && request->range.offset >= disk->data_size;
}

/* One for each grain. */
static unsigned disk_extents(const struct disk *disk, struct range r, struct wire_extent *extents)
{
	unsigned count = 0;

	while (r.length) {
		uint64_t length = DISK_GRAIN - r.offset % DISK_GRAIN;
		bool mapped = disk->mapped[r.offset / DISK_GRAIN];

		if (length > r.length)
			length = r.length;
		extents[count++] =
			(struct wire_extent){length, mapped ? DST_EXTENT_DATA : DST_EXTENT_HOLE};
		range_advance(&r, length);
	}
	return count;
}

static void disk_map(struct disk *disk, const struct request *request)
{
	bool unmaps = request->type == REQUEST_WRITE_ZEROES && !request->no_hole;
	uint64_t end = request->range.offset + request->range.length;

	for (uint64_t at = request->range.offset / DISK_GRAIN; at * DISK_GRAIN < end; at++)
		if (!unmaps)
			disk->mapped[at] = true;
		else if (at * DISK_GRAIN >= request->range.offset && (at + 1) * DISK_GRAIN <= end)
			disk->mapped[at] = false;
}

static int disk_carry_out(struct disk *disk, struct request *request)
{
	static uint8_t zeros[DST_MAX_PAYLOAD];
	static struct wire_extent extents[DISK_ROOM / DISK_GRAIN];
	static uint8_t hash[DST_HASH_SIZE];
	struct checksum_range *sum;
	struct range r = request->range;
	uint8_t *at = disk->image + r.offset;

	if (disk->dead)
		return EIO;
	switch (request->type) {
	case REQUEST_READ:
	case REQUEST_HASH:
		disk->reads += !is_metadata(disk, request);
		if (disk->read_error)
			return disk->read_error;
		if (disk->bad_reads && !is_metadata(disk, request)) {
			disk->bad_reads--;
			return EIO;
		}
		if (disk->bad_offset != UINT64_MAX &&
		    range_overlaps(r, (struct range){disk->bad_offset, 512}))
			return EIO;
		request->data = at;
		if (request->type == REQUEST_HASH) {
			sum = checksum_range_new(request->hash_seed);
			checksum_range_add(sum, at, r.length);
			checksum_range_end(&sum, hash);
			request->hash = hash;
		}
		return 0;
	case REQUEST_EXTENTS:
		request->extents = extents;
		request->extent_count = disk_extents(disk, r, extents);
		return 0;
	case REQUEST_FLUSH:
		disk->flushes++;
		if (!disk->flush_error)
			record_new(RECORD_FLUSH, disk->index);
		return disk->flush_error;
	case REQUEST_WRITE:
	case REQUEST_WRITE_ZEROES:
		disk->writes += !is_metadata(disk, request);
		if (!is_metadata(disk, request))
			disk->last = *request;
		if (disk->fails_after && !--disk->fails_after)
			return EIO;
		if (disk->write_error)
			return disk->write_error;
		if (disk->metadata_error && is_metadata(disk, request))
			return disk->metadata_error;
		if (disk->no_zeroes && request->type == REQUEST_WRITE_ZEROES)
			return EOPNOTSUPP;
		disk_map(disk, request);
		if (disk->bad_offset != UINT64_MAX &&
		    range_overlaps(r, (struct range){disk->bad_offset, 512}))
			disk->bad_offset = UINT64_MAX;
		memcpy(at, request->type == REQUEST_WRITE ? request->data : zeros, r.length);
		record_write(disk, r, at, request->fua);
		return 0;
	case REQUEST_COPY:
		memmove(at, disk->image + request->copy_from, r.length);
		record_write(disk, r, at, request->fua);
		request->result = r.length;
		return 0;
	default:
		return EOPNOTSUPP;
	}
}

static bool disk_keeps(const struct disk *disk, const struct request *request)
{
	bool metadata = is_metadata(disk, request);

	if (disk->holds_supers && request->type == REQUEST_WRITE &&
	    request->range.offset >= mirror_super_offset(DISK_SIZE, 0))
		return true;
	return disk->holds || (disk->holds_metadata && metadata && request->type != REQUEST_READ) ||
	       (disk->holds_data && !metadata && request->range.length);
}

static void disk_work(void *arg)
{
	struct disk *disk = arg;

	for (struct request *r = disk->queue.first, *next; r; r = next) {
		int error;

		next = r->next;
		if (disk_keeps(disk, r))
			continue;
		request_list_remove(&disk->queue, r);
		f.activity++;
		error = disk_carry_out(disk, r);
		r->place = REQUEST_NOWHERE;
		r->done(r, error);
		next = disk->queue.first; /* the list may have changed */
	}
}

static inline void disk_release(struct disk *disk)
{
	disk->holds = disk->holds_metadata = disk->holds_data = disk->holds_supers = false;
	loop_defer(f.worker.loop, &disk->hook);
}

static void disk_submit(struct target *target, struct request *request)
{
	struct disk *disk = (struct disk *)target;

	assert_true(range_within(request->range, disk->base.size));
	assert_int_not_equal(request->type, REQUEST_DISCARD);
	f.activity++;
	request->place = REQUEST_WAITING;
	request_list_append(&disk->queue, request);
	loop_defer(f.worker.loop, &disk->hook);
}

static void disk_cancel(struct target *target, struct request *request, int error)
{
	struct disk *disk = (struct disk *)target;

	if (disk->orphans_stay && request->hold)
		disk->orphans[disk->orphan_count++] = range_hold_get(request->hold);
	request_list_remove(&disk->queue, request);
	request->place = REQUEST_NOWHERE;
	request->done(request, error);
}

static inline void disk_drop_orphans(struct disk *disk)
{
	while (disk->orphan_count)
		range_hold_put(&disk->orphans[--disk->orphan_count]);
}

static json_t *disk_status(struct target *target)
{
	return json_object();
}

static void disk_reason(struct target *target, char *text, size_t size)
{
	snprintf(text, size, "%s", target->state == TARGET_READY ? "" : "gone");
}

static uint64_t disk_losses(struct target *target)
{
	return ((struct disk *)target)->losses;
}

static int disk_reattach(struct target *target, bool takeover)
{
	target->state = TARGET_READY;
	target->changed(target->changed_arg);
	return 0;
}

static bool disk_destroy(struct target *target)
{
	struct disk *disk = (struct disk *)target;

	assert_null(disk->queue.first);
	loop_defer_cancel(&disk->hook);
	return true;
}

static const struct target_ops disk_ops = {
	.submit = disk_submit,
	.cancel = disk_cancel,
	.status = disk_status,
	.reason = disk_reason,
	.losses = disk_losses,
	.reattach = disk_reattach,
	.destroy = disk_destroy,
};

static inline void disk_set_state(struct disk *disk, enum target_state state)
{
	disk->base.state = state;
	disk->base.changed(disk->base.changed_arg);
}

static inline void disk_die(unsigned at)
{
	f.disks[at].dead = true;
	disk_set_state(&f.disks[at], TARGET_AWAY);
}

static inline void disk_revive(unsigned at)
{
	f.disks[at].dead = false;
	disk_set_state(&f.disks[at], TARGET_READY);
}

/* ---- the witness ---- */

static int store_load(struct mirror_witness_store *store, struct mirror_witness *witness)
{
	*witness = f.witness;
	return 0;
}

static void store_saved(void *arg)
{
	f.witness_done(f.witness_arg, f.witness_fails ? EIO : 0);
}

static void store_save(struct mirror_witness_store *store, const struct mirror_witness *witness,
		       void (*done)(void *arg, int error), void *arg)
{
	if (!f.witness_fails) {
		f.witness = *witness;
		record_new(RECORD_WITNESS, 0)->witness = *witness;
	}
	f.witness_done = done;
	f.witness_arg = arg;
	f.witness_work = (struct loop_work){.callback = store_saved};
	f.activity++;
	loop_post(f.worker.loop, &f.witness_work);
}

static void nothing_saved(void *arg, int error)
{
}

/* As if the thread had been waited for. */
static void store_close(struct mirror_witness_store *store)
{
	f.witness_done = nothing_saved;
}

static const struct mirror_witness_ops store_ops = {
	.load = store_load, .save = store_save, .close = store_close};

/* ---- running ---- */

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

static void one_turn(void)
{
	struct loop_work work = {.callback = stop_loop, .arg = f.worker.loop};

	loop_post(f.worker.loop, &work);
	loop_run(f.worker.loop);
}

/* Until nobody does anything any more, timers aside. */
static void settle(void)
{
	unsigned quiet = 0;

	while (quiet < 4) {
		unsigned before = f.activity;

		one_turn();
		quiet = f.activity == before ? quiet + 1 : 0;
	}
}

/* What a timer of the home would do by now. */
static inline void look_now(void)
{
	f.mirror->work->clearing.timer.callback(f.mirror->work->clearing.timer.arg);
	settle();
}

static inline void retry_now(void)
{
	for (unsigned i = 0; i < f.mirror->node_count; i++)
		f.mirror->nodes[i].retry_at = 0;
	f.mirror->work->changing.retry_at = 0;
	mirror_home_poke(f.mirror);
	settle();
}

static void on_changed(void *arg)
{
	f.changed++;
}

static void assemble_mirror(void)
{
	const struct mirror_setup setup = {
		.workers = &f.worker,
		.worker_count = 1,
		.policy = &f.policy,
		.volume = "vol0",
		.options = &f.options,
		.witness = f.has_witness ? &f.store : NULL,
		.changed = on_changed,
	};

	f.target = mirror_new(&setup);
	assert_non_null(f.target);
	f.mirror = (struct mirror *)f.target;
	for (unsigned i = 0; i < f.count; i++) {
		static const char *const names[DISKS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
		struct disk *disk = &f.disks[i];
		struct mirror_node *node = mirror_next_node(f.target, names[i], false);

		assert_non_null(node);
		disk->base.changed = mirror_node_changed;
		disk->base.changed_arg = node;
		mirror_join_node(node, &disk->base);
	}
}

static void disk_init(unsigned at)
{
	struct disk *disk = &f.disks[at];
	uint8_t *image = disk->image ? disk->image : calloc(1, DISK_ROOM);

	*disk = (struct disk){.base = {.ops = &disk_ops,
				       .policy = &f.policy,
				       .state = TARGET_READY,
				       .size = DISK_SIZE,
				       .writable = true},
			      .index = at,
			      .image = image,
			      .bad_offset = UINT64_MAX};
	memset(disk->mapped, true, sizeof(disk->mapped));
	disk->hook = (struct loop_hook){.callback = disk_work, .arg = disk};
}

static void on_created(void *arg, const struct mirror_created *created)
{
	*(struct mirror_created *)arg = *created;
}

static struct mirror_created create(const struct mirror_create_options *options)
{
	struct mirror_created created = {.error = -1};

	assemble_mirror();
	mirror_create(f.target, options, on_created, &created);
	settle();
	assert_true(target_destroy(&f.target));
	return created;
}

static void fixture_begin(unsigned count)
{
	memset(&f, 0, sizeof(f));
	log_set_level(LOG_LEVEL_ERROR);
	f.count = count;
	f.policy = (struct target_policy){.timeout = 10 * CLOCK_SEC, .resends = 0};
	f.store.ops = &store_ops;
	f.has_witness = true;
	f.records = calloc(RECORDS, sizeof(*f.records));
	assert_int_equal(worker_init(&f.worker, 0), 0);
	for (unsigned i = 0; i < count; i++)
		disk_init(i);
}

/* A mirror on `count` disks, all in sync. */
static inline void begin_in_sync(unsigned count)
{
	const struct mirror_create_options options = {.equal = true};

	fixture_begin(count);
	assert_int_equal(create(&options).error, 0);
	records_forget();
}

static inline void start(void)
{
	assemble_mirror();
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].data_size = mirror_data_size(DISK_SIZE);
	mirror_start(f.target);
	settle();
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].reads = f.disks[i].writes = f.disks[i].flushes = 0;
}

static void nobody_to_tell(void *arg)
{
}

/* As long as it goes: as if nobody had used the mirror for some time. */
static inline void copy_now(void)
{
	for (unsigned i = 0; i < 20; i++) {
		f.mirror->copy->users_at = f.mirror->copy->rate_until = 0;
		mirror_copy_poke(f.mirror);
		settle();
	}
}

static inline void no_copying(void)
{
	mirror_copy_stop(f.mirror, nobody_to_tell, NULL);
	settle();
}

/* As when the client is killed, or, after detach, ends. */
static void stop(void)
{
	for (unsigned i = 0; i < f.count; i++)
		disk_release(&f.disks[i]);
	settle();
	assert_true(target_destroy(&f.target));
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].base.changed = nobody_to_tell;
}

static void on_detached(void *arg)
{
	*(bool *)arg = true;
}

static inline void detach(void)
{
	bool done = false;

	f.target->ops->detach(f.target, on_detached, &done);
	settle();
	assert_true(done);
	stop();
}

static void fixture_end(void)
{
	records_forget();
	free(f.records);
	for (unsigned i = 0; i < f.count; i++)
		free(f.disks[i].image);
	worker_destroy(&f.worker);
}

/* ---- requests ---- */

struct io {
	struct request request;
	bool done;
	int error;
	uint8_t first; /* byte that was read */
	struct buf *buf;
	bool noted; /* its end is recorded, with one of these */
	int note_good, note_failed;
};

static void io_done(struct request *request, int error)
{
	struct io *io = (struct io *)request;

	assert_false(io->done);
	io->done = true;
	io->error = error;
	if (!error && request->type == REQUEST_READ)
		io->first = request->data[0];
	if (io->noted)
		record_note(error ? io->note_failed : io->note_good);
	f.activity++;
}

static void io_submit(struct io *io, enum request_type type, uint64_t offset, uint64_t length)
{
	*io = (struct io){.request = {.type = type,
				      .range = {offset, length},
				      .worker = &f.worker,
				      .done = io_done},
			  .buf = io->buf,
			  .noted = io->noted,
			  .note_good = io->note_good,
			  .note_failed = io->note_failed};
	if (type == REQUEST_WRITE) {
		io->request.data = io->buf->data;
		io->request.buf = io->buf;
	}
	target_submit(f.target, &io->request);
}

static void io_write_begin(struct io *io, uint64_t offset, uint64_t length, uint8_t value)
{
	io->buf = buf_get(f.worker.bufs);
	memset(io->buf->data, value, length);
	io_submit(io, REQUEST_WRITE, offset, length);
}

static void io_write_end(struct io *io)
{
	buf_unref(&io->buf);
}

static inline int do_write(uint64_t offset, uint64_t length, uint8_t value)
{
	struct io io = {.done = false};

	io_write_begin(&io, offset, length, value);
	settle();
	assert_true(io.done);
	io_write_end(&io);
	return io.error;
}

static inline int do_plain(enum request_type type, uint64_t offset, uint64_t length)
{
	struct io io = {.done = false};

	io_submit(&io, type, offset, length);
	settle();
	assert_true(io.done);
	return io.error;
}

/* The byte at offset, or -errno. */
static inline int do_read(uint64_t offset)
{
	struct io io = {.done = false};

	io_submit(&io, REQUEST_READ, offset, 4096);
	settle();
	assert_true(io.done);
	return io.error ? -io.error : io.first;
}

/* ---- what is on the disks ---- */

static inline struct mirror_super disk_super(unsigned at)
{
	uint8_t copies[MIRROR_COPIES][MIRROR_SUPER_SIZE];
	struct mirror_super super;
	char reason[128] = "";
	unsigned next;

	for (unsigned i = 0; i < MIRROR_COPIES; i++)
		memcpy(copies[i], f.disks[at].image + mirror_super_offset(DISK_SIZE, i),
		       MIRROR_SUPER_SIZE);
	assert_int_equal(mirror_super_choose(&super, &next,
					     (const uint8_t(*)[MIRROR_SUPER_SIZE])copies, DISK_SIZE,
					     reason, sizeof(reason)),
			 0);
	return super;
}

static inline bool disk_map_bit(unsigned at, unsigned map, unsigned region)
{
	struct mirror_super super = disk_super(at);
	uint8_t bits[MIRROR_MAP_BITS / 8];

	mirror_map_decode(bits, &super, map, 0,
			  f.disks[at].image + mirror_map_offset(&super, map, 0));
	return bits[region / 8] >> region % 8 & 1;
}

#endif
