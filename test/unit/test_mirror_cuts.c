/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_mirror_cuts.c - lives of mirrors whose nodes fail and return, or are taken out and put back by
 * command, cut off at every single write to a disk, and started anew from what was there: with all nodes or only some, with the witness or
 * without it, after a crash of the client or a loss of power everywhere. Whatever it starts with, it
 * never serves what is older than what was acknowledged, and never one value, then another.
 *
 * timeout: 300
 */
#include "dstfs/mirror.h"
#include "dstfs/mirror_members.h"

#include "test/unit/mirror_fixture.h"

#define SITES 6u /* blocks that are written, each in a region of its own */
#define MOST_VALUES 256u

enum note_kind { NOTE_BEGIN, NOTE_ACKNOWLEDGED, NOTE_FAILED, NOTE_FLUSHED, NOTE_DETACHED };

/* A note of the records: kind, site or disk, value. */
static int pack(enum note_kind kind, unsigned site, unsigned value)
{
	return (int)((unsigned)kind << 16 | site << 8 | value);
}

/* What a site may hold. */
struct site {
	bool crash[MOST_VALUES]; /* after a crash of the client alone */
	bool power[MOST_VALUES]; /* after a loss of power, too */
};

/* The disks as they were at some moment: all that was written, and what would survive. */
struct moment {
	struct site sites[SITES];
	uint8_t *all[DISKS], *durable[DISKS];
	struct mirror_witness witness;
};

static struct {
	uint64_t random; /* state of the generator */
	uint8_t next_value[SITES];
	uint8_t *begin[DISKS]; /* images at the start of the life */
	struct mirror_witness witness;
	bool commands; /* are given */
} life;

static uint64_t site_offset(unsigned site)
{
	return (uint64_t)site * 3 * MIRROR_MIN_REGION;
}

static unsigned below(unsigned bound)
{
	life.random = life.random * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(life.random >> 33) % bound;
}

/* ---- a life ---- */

/* Begins it; its end is recorded when it comes. */
static void begin_write(struct io *io)
{
	unsigned site = below(SITES);
	uint8_t value = ++life.next_value[site];

	*io = (struct io){.noted = true,
			  .note_good = pack(NOTE_ACKNOWLEDGED, site, value),
			  .note_failed = pack(NOTE_FAILED, site, value)};
	record_note(pack(NOTE_BEGIN, site, value));
	io_write_begin(io, site_offset(site), 4096, value);
	settle();
}

static void some_write(void)
{
	struct io io;

	begin_write(&io);
	assert_true(io.done);
	io_write_end(&io);
}

/* A node dies while a write is under way, before or after it was carried out there. */
static void some_write_in_which_a_node_dies(void)
{
	unsigned disk = below(f.count);
	struct io io;

	f.disks[disk].holds = true;
	begin_write(&io);
	if (below(2))
		disk_die(disk);
	disk_release(&f.disks[disk]);
	settle();
	if (!io.done) { /* all are gone, and it would wait */
		target_cancel(f.target, &io.request, EIO);
		settle();
	}
	io_write_end(&io);
}

static void some_flush(void)
{
	struct io io = {.noted = true,
			.note_good = pack(NOTE_FLUSHED, 0, 0),
			.note_failed = pack(NOTE_FAILED, 0, 0)};

	io_submit(&io, REQUEST_FLUSH, 0, 0);
	settle();
	assert_true(io.done);
}

static bool others_live(unsigned disk)
{
	for (unsigned i = 0; i < f.count; i++)
		if (i != disk && f.mirror->read_set & MIRROR_BIT(i) && !f.disks[i].dead)
			return true;
	return false;
}

/* One that may make sense now. */
static const char *choose_command(const struct mirror_node *node)
{
	enum mirror_node_state state = node->state;

	if (state == MIRROR_NODE_SUSPENDED && below(3))
		return "node-resume";
	if (state == MIRROR_NODE_DETACHED && below(3))
		return "node-attach";
	if (state == MIRROR_NODE_IN_SYNC && below(3))
		return "node-detach";
	return below(2) ? "node-suspend" : "node-dirty";
}

/* Refused or not; a write may be under way, whose end on the node comes when it likes. */
static void some_command(void)
{
	struct mirror_node *node = &f.mirror->nodes[below(f.count)];
	const char *name = choose_command(node);
	bool detached = node->state == MIRROR_NODE_DETACHED, busy = below(2);
	json_t *request = json_pack("{s:s, s:b}", "node", node->name, "trust", (int)below(2));
	struct disk *disk = &f.disks[node->index];
	char why[512];
	struct io io;

	disk->orphans_stay = disk->holds_data = busy;
	if (busy)
		begin_write(&io);
	json_decref(mirror_command(f.target, name, request, &(struct reason){why, sizeof(why)}));
	json_decref(request);
	settle();
	disk_release(disk);
	disk_drop_orphans(disk);
	disk->orphans_stay = false;
	settle();
	if (node->state == MIRROR_NODE_DETACHED && !detached)
		record_note(pack(NOTE_DETACHED, node->index, 0));
	if (!busy)
		return;
	if (!io.done) { /* nobody is left who could record who isn't there */
		target_cancel(f.target, &io.request, EIO);
		settle();
	}
	io_write_end(&io);
}

static void act(void)
{
	unsigned disk = below(f.count);

	if (life.commands && !below(3)) {
		some_command();
		return;
	}
	switch (below(10)) {
	case 0:
		if (others_live(disk) && f.mirror->nodes[disk].state == MIRROR_NODE_IN_SYNC)
			some_write_in_which_a_node_dies();
		break;
	case 1:
	case 2:
		for (unsigned i = 0; i < f.count; i++)
			if (f.disks[i].dead)
				disk_revive(i);
		settle();
		retry_now();
		if (below(2)) { /* to the end, or it goes on beside what comes */
			copy_now();
			look_now();
		}
		break;
	case 3:
		some_flush();
		break;
	case 4:
		look_now();
		look_now();
		look_now();
		break;
	case 5:
		if (others_live(disk))
			disk_die(disk);
		settle();
		break;
	case 6:
		for (unsigned i = 0; i < f.count; i++)
			if (f.disks[i].dead)
				return; /* it would wait for them */
		if (below(2))
			detach();
		else
			stop();
		start();
		assert_int_equal(f.target->state, TARGET_READY);
		break;
	default:
		some_write();
		break;
	}
}

/* ---- moments ---- */

static void moment_begin(struct moment *m)
{
	memset(m, 0, sizeof(*m));
	m->witness = life.witness;
	for (unsigned i = 0; i < SITES; i++)
		m->sites[i].crash[0] = m->sites[i].power[0] = true;
	for (unsigned i = 0; i < f.count; i++) {
		m->all[i] = malloc(DISK_SIZE);
		m->durable[i] = malloc(DISK_SIZE);
		memcpy(m->all[i], life.begin[i], DISK_SIZE);
		memcpy(m->durable[i], life.begin[i], DISK_SIZE);
	}
}

static void moment_end(struct moment *m)
{
	for (unsigned i = 0; i < f.count; i++) {
		free(m->all[i]);
		free(m->durable[i]);
	}
}

/* What it holds is there for good, and is what a disk may hold after a loss of power. */
static void check_image(const struct moment *m, unsigned disk)
{
	assert_memory_equal(m->all[disk], m->durable[disk], DISK_SIZE);
	for (unsigned site = 0; site < SITES; site++)
		assert_true(m->sites[site].power[m->durable[disk][site_offset(site)]]);
}

static void moment_note(struct moment *m, int note)
{
	struct site *site = &m->sites[note >> 8 & 0xff];
	unsigned value = note & 0xff;

	switch ((enum note_kind)(note >> 16)) {
	case NOTE_BEGIN:
		site->crash[value] = site->power[value] = true;
		break;
	case NOTE_ACKNOWLEDGED:
		memset(site->crash, 0, sizeof(site->crash));
		site->crash[value] = true;
		break;
	case NOTE_FLUSHED:
		for (unsigned i = 0; i < SITES; i++)
			memcpy(m->sites[i].power, m->sites[i].crash, sizeof(m->sites[i].power));
		break;
	case NOTE_DETACHED:
		check_image(m, note >> 8 & 0xff);
		break;
	default:
		break;
	}
}

static void moment_apply(struct moment *m, const struct record *record)
{
	switch (record->type) {
	case RECORD_WRITE:
		memcpy(m->all[record->disk] + record->range.offset, record->data,
		       record->range.length);
		if (record->fua)
			memcpy(m->durable[record->disk] + record->range.offset, record->data,
			       record->range.length);
		break;
	case RECORD_FLUSH:
		memcpy(m->durable[record->disk], m->all[record->disk], DISK_SIZE);
		break;
	case RECORD_WITNESS:
		m->witness = record->witness;
		break;
	case RECORD_NOTE:
		moment_note(m, record->note);
		break;
	}
}

/* ---- after it ---- */

static void check_sites(const struct moment *m, bool power, unsigned cut)
{
	for (unsigned site = 0; site < SITES; site++) {
		int first = -1;

		for (unsigned i = 0; i < 2 * f.count; i++) {
			const bool *allowed = power ? m->sites[site].power : m->sites[site].crash;
			struct mirror_pace *paces = f.mirror->ports[0].paces;
			int value;

			for (unsigned disk = 0; disk < f.count; disk++)
				paces[disk].latency = disk == i % f.count ? 1 : CLOCK_SEC;
			value = do_read(site_offset(site));
			if (value < 0 || !allowed[value])
				fail_msg("cut %u, %s: site %u has %d", cut,
					 power ? "power" : "crash", site, value);
			if (first >= 0 && value != first)
				fail_msg("cut %u: site %u has %d, then %d", cut, site, first,
					 value);
			first = value;
		}
	}
}

/* Starts with the disks of a mask. How often it came up. */
static unsigned start_from(const struct moment *m, bool power, unsigned present, bool witness,
			   unsigned cut)
{
	bool ready;

	f.witness = witness ? m->witness : (struct mirror_witness){.known = false};
	for (unsigned i = 0; i < f.count; i++) {
		disk_init(i);
		memcpy(f.disks[i].image, power ? m->durable[i] : m->all[i], DISK_SIZE);
		if (!(present & 1u << i)) {
			f.disks[i].dead = true;
			f.disks[i].base.state = TARGET_CONNECTING;
		}
	}
	assemble_mirror();
	for (unsigned i = 0; i < f.count; i++)
		f.disks[i].data_size = mirror_data_size(DISK_SIZE);
	mirror_start(f.target);
	/* Not settled yet: what is read now is read while regions are being made equal. */
	for (unsigned i = 0; i < 200 && f.target->state != TARGET_READY; i++) {
		struct loop_work work = {.callback = stop_loop, .arg = f.worker.loop};

		loop_post(f.worker.loop, &work);
		loop_run(f.worker.loop);
	}
	ready = f.target->state == TARGET_READY;
	if (ready) {
		check_sites(m, power, cut);
		retry_now();
		copy_now();
		look_now();
		check_sites(m, power, cut);
	}
	stop();
	return ready;
}

static void one_life(uint64_t seed, unsigned count, unsigned actions)
{
	const unsigned everybody = (1u << count) - 1;
	struct record *records;
	struct moment moment;
	unsigned record_count, starts = 0;

	life.random = seed;
	memset(life.next_value, 0, sizeof(life.next_value));
	begin_in_sync(count);
	for (unsigned i = 0; i < count; i++) {
		life.begin[i] = malloc(DISK_SIZE);
		memcpy(life.begin[i], f.disks[i].image, DISK_SIZE);
	}
	life.witness = f.witness;
	start();
	for (unsigned i = 0; i < actions; i++)
		act();
	stop();

	records = f.records;
	record_count = f.record_count;
	f.records = calloc(RECORDS, sizeof(*f.records));
	f.record_count = 0;
	moment_begin(&moment);
	for (unsigned cut = 0; cut <= record_count; cut++) {
		bool changes_disks = cut == record_count || records[cut].type != RECORD_NOTE;

		for (unsigned present = 1; changes_disks && present <= everybody; present++)
			for (unsigned way = 0; way < 4; way++) {
				starts += start_from(&moment, way & 1, present, way & 2, cut);
				records_forget();
			}
		if (cut < record_count)
			moment_apply(&moment, &records[cut]);
	}
	assert_true(starts > record_count / 2);
	moment_end(&moment);
	for (unsigned i = 0; i < count; i++)
		free(life.begin[i]);
	for (unsigned i = 0; i < record_count; i++)
		free(records[i].data);
	free(records);
	fixture_end();
}

static void two_nodes_never_serve_what_is_stale(void **state)
{
	for (uint64_t seed = 1; seed <= 2; seed++)
		one_life(seed, 2, 24);
}

static void three_nodes_never_serve_what_is_stale(void **state)
{
	one_life(100, 3, 12);
}

static void nodes_that_are_taken_out_and_put_back_neither(void **state)
{
	life.commands = true;
	for (uint64_t seed = 200; seed <= 202; seed++)
		one_life(seed, 2, 20);
	one_life(300, 3, 14);
	life.commands = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_nodes_never_serve_what_is_stale),
		cmocka_unit_test(three_nodes_never_serve_what_is_stale),
		cmocka_unit_test(nodes_that_are_taken_out_and_put_back_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
