/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ledger.c - writes to a disk, and keeps account of what it was promised.
 *
 *	ledger run FILE LEDGER SECONDS [SEED]    loads FILE (O_DIRECT), compares all that it reads
 *	ledger check FILE LEDGER acked|synced    compares all of FILE: what was acknowledged, or at
 *	                                         least what was fsynced, must be there
 *
 * A LEDGER that has a size, ENTRY_SIZE bytes for each sector, is about so much of FILE, from its start.
 *
 * Each sector that is written names itself, its place and its version, so that the content tells
 * which write it comes from, also where only parts of a write arrived. LEDGER is a mapped file: it
 * outlives the writer, however that ends. The writers have regions of their own, but one fsync
 * speaks for all of them.
 *
 * A check follows a crash of the writer, one of what was fsynced a crash of all machines: the account
 * goes on from what was found then, so that the next check complains if what was read once is gone.
 * Both print "N writes, N syncs, N reads, N errors, N bad"; status 1 if there were errors or bad
 * sectors, the first of which are described on stderr. SIGTERM ends a run early.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512u
#define THREADS 4u
#define MOST 128u /* sectors of a request */
#define MAGIC 0x726567646564676cull
#define DESCRIBED 10u /* bad sectors */

/* What is known of a sector: versions, from 1 on. */
struct entry {
	_Atomic uint32_t issued; /* the last write that was begun */
	_Atomic uint32_t acked; /* the last one that was acknowledged */
	_Atomic uint32_t synced; /* the last one that an fsync or FUA made durable */
	_Atomic uint32_t zeroed; /* the last write of zeros that was begun; 0: as made */
};

#define ENTRY_SIZE 16u
_Static_assert(sizeof(struct entry) == ENTRY_SIZE, "tests make ledgers of a size");

struct content {
	uint64_t magic, sector;
	uint64_t version;
	uint64_t filler[SECTOR / 8 - 3];
};

struct writer {
	pthread_t thread;
	uint64_t first, count; /* sectors, its region */
	uint64_t random;
	uint32_t version;
	uint8_t *data; /* MOST sectors, aligned */
};

static int fd;
static struct entry *ledger;
static uint64_t sectors;
static atomic_bool over;
static _Atomic uint64_t writes, syncs, reads, errors, bad;

static uint64_t draw(struct writer *w, uint64_t below)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (w->random * 0x2545f4914f6cdd1dull >> 20) % below;
}

static void make(struct content *c, uint64_t sector, uint32_t version)
{
	uint64_t x = sector * 0x9e3779b97f4a7c15ull + version;

	*c = (struct content){.magic = MAGIC, .sector = sector, .version = version};
	for (size_t i = 0; i < sizeof(c->filler) / 8; i++)
		c->filler[i] = x = x * 6364136223846793005ull + 1442695040888963407ull;
}

static void complain(uint64_t sector, uint32_t least, const struct content *c, const char *what)
{
	if (atomic_fetch_add(&bad, 1) < DESCRIBED)
		fprintf(stderr,
			"sector %llu: %s; magic %llx, sector %llu, version %llu; issued %u, acked "
			"%u, "
			"synced %u, zeroed %u, at least %u was due\n",
			(unsigned long long)sector, what, (unsigned long long)c->magic,
			(unsigned long long)c->sector, (unsigned long long)c->version,
			ledger[sector].issued, ledger[sector].acked, ledger[sector].synced,
			ledger[sector].zeroed, least);
}

/* After a crash: what is there is what counts; `durable`: and is on the medium. */
static void adopt(uint64_t sector, const struct content *c, bool durable)
{
	struct entry *e = &ledger[sector];
	bool zeros = c->magic != MAGIC;

	e->acked = zeros ? e->zeroed : (uint32_t)c->version;
	if (durable)
		e->synced = e->acked;
	if (!zeros)
		e->zeroed = 0; /* what zeros there were are gone */
}

/* Whether what was read may be there, if version `least` was promised. */
static void compare(uint64_t sector, const struct content *c, uint32_t least)
{
	static const struct content zeros;
	struct content good;

	if (memcmp(c, &zeros, SECTOR) == 0) {
		if (ledger[sector].zeroed < least)
			complain(sector, least, c, "zeros instead of data");
		return;
	}
	make(&good, sector, (uint32_t)c->version);
	if (memcmp(c, &good, SECTOR) != 0)
		complain(sector, least, c, "nothing that was written here");
	else if (c->version < least)
		complain(sector, least, c, "an old version");
	else if (c->version > ledger[sector].issued)
		complain(sector, least, c, "a version of the future");
}

/* ---- the load ---- */

static void failed(const char *what)
{
	if (errno == ENOTCONN || errno == ECONNABORTED)
		kill(getpid(), SIGTERM); /* the mount has died: nothing more can be promised */
	if (atomic_fetch_add(&errors, 1) < DESCRIBED)
		warn("%s", what);
}

static void do_read(struct writer *w, uint64_t first, uint64_t count)
{
	ssize_t n = pread(fd, w->data, count * SECTOR, (off_t)(first * SECTOR));

	reads++;
	if (n != (ssize_t)(count * SECTOR)) {
		failed("read");
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		compare(first + i, (struct content *)(w->data + i * SECTOR),
			ledger[first + i].acked);
}

static void do_write(struct writer *w, uint64_t first, uint64_t count, bool zeros, bool fua)
{
	struct iovec iov = {.iov_base = w->data, .iov_len = count * SECTOR};
	off_t offset = (off_t)(first * SECTOR);
	uint32_t version = ++w->version;
	bool good;

	for (uint64_t i = 0; i < count; i++) {
		ledger[first + i].issued = version;
		if (zeros)
			ledger[first + i].zeroed = version;
		else
			make((struct content *)(w->data + i * SECTOR), first + i, version);
	}
	writes++;
	good = zeros ? fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, offset,
				 (off_t)(count * SECTOR)) == 0
		     : pwritev2(fd, &iov, 1, offset, fua ? RWF_DSYNC : 0) == (ssize_t)iov.iov_len;
	if (!good) {
		failed(zeros ? "fallocate" : "write");
		return;
	}
	for (uint64_t i = 0; i < count; i++) {
		ledger[first + i].acked = version;
		if (fua && !zeros)
			ledger[first + i].synced = version;
	}
}

static void do_sync(uint32_t *acked)
{
	for (uint64_t i = 0; i < sectors; i++)
		acked[i] = ledger[i].acked;
	syncs++;
	if (fsync(fd)) {
		failed("fsync");
		return;
	}
	for (uint64_t i = 0; i < sectors; i++) {
		uint32_t before = ledger[i].synced;

		while (before < acked[i] &&
		       !atomic_compare_exchange_weak(&ledger[i].synced, &before, acked[i]))
			;
	}
}

static void *load(void *arg)
{
	struct writer *w = arg;
	uint32_t *acked = calloc(sectors, sizeof(*acked));

	if (!acked)
		err(2, "memory");
	while (!over) {
		uint64_t what = draw(w, 100), count = 1 + draw(w, MOST);
		uint64_t first = w->first + draw(w, w->count - count + 1);

		if (what < 2)
			do_sync(acked);
		else if (what < 30)
			do_read(w, first, count);
		else
			do_write(w, first, count, what < 35, what < 40);
	}
	free(acked);
	return NULL;
}

static void run(unsigned seconds, uint64_t seed)
{
	struct writer writers[THREADS] = {{0}};
	struct timespec until;
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		struct writer *w = &writers[i];

		w->count = sectors / THREADS;
		w->first = i * w->count;
		w->random = (seed * THREADS + i) * 0x9e3779b97f4a7c15ull | 1;
		for (uint64_t s = 0; s < w->count; s++)
			if (ledger[w->first + s].issued > w->version)
				w->version = ledger[w->first + s].issued;
		w->data = aligned_alloc(4096, MOST * SECTOR);
		if (!w->data || pthread_create(&w->thread, NULL, load, w))
			err(2, "writer");
	}
	until = (struct timespec){.tv_sec = seconds};
	sigtimedwait(&ends, NULL, &until);
	over = true;
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(writers[i].thread, NULL);
		free(writers[i].data);
	}
}

static void check(bool synced)
{
	uint8_t *data = aligned_alloc(4096, MOST * SECTOR);

	if (!data)
		err(2, "memory");
	for (uint64_t at = 0; at < sectors; at += MOST) {
		uint64_t count = sectors - at < MOST ? sectors - at : MOST;

		reads++;
		if (pread(fd, data, count * SECTOR, (off_t)(at * SECTOR)) !=
		    (ssize_t)(count * SECTOR)) {
			failed("read");
			continue;
		}
		for (uint64_t i = 0; i < count; i++) {
			const struct content *c = (struct content *)(data + i * SECTOR);

			compare(at + i, c, synced ? ledger[at + i].synced : ledger[at + i].acked);
			adopt(at + i, c, synced);
		}
	}
	free(data);
}

static void open_ledger(const char *name, uint64_t most)
{
	int ledger_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	if (ledger_fd < 0 || fstat(ledger_fd, &st))
		err(2, "%s", name);
	sectors = st.st_size ? (uint64_t)st.st_size / ENTRY_SIZE : most;
	if (sectors > most || sectors < THREADS * MOST)
		errx(2, "%s: a ledger of %llu sectors is too small, or larger than the file", name,
		     (unsigned long long)sectors);
	if (ftruncate(ledger_fd, (off_t)(sectors * ENTRY_SIZE)))
		err(2, "%s", name);
	ledger = mmap(NULL, sectors * ENTRY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ledger_fd, 0);
	if (ledger == MAP_FAILED)
		err(2, "%s", name);
	close(ledger_fd);
}

static void open_all(const char *file, const char *name)
{
	struct stat st;

	fd = open(file, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", file);
	open_ledger(name, (uint64_t)st.st_size / SECTOR);
}

int main(int argc, char **argv)
{
	bool runs = argc >= 5 && argc <= 6 && strcmp(argv[1], "run") == 0;

	if (!runs && (argc != 5 || strcmp(argv[1], "check") != 0 ||
		      (strcmp(argv[4], "acked") != 0 && strcmp(argv[4], "synced") != 0)))
		errx(2, "usage: ledger run FILE LEDGER SECONDS [SEED]\n"
			"       ledger check FILE LEDGER acked|synced");
	open_all(argv[2], argv[3]);
	if (runs)
		run((unsigned)atoi(argv[4]), argc == 6 ? strtoull(argv[5], NULL, 0) : 1);
	else
		check(strcmp(argv[4], "synced") == 0);
	printf("%llu writes, %llu syncs, %llu reads, %llu errors, %llu bad\n",
	       (unsigned long long)writes, (unsigned long long)syncs, (unsigned long long)reads,
	       (unsigned long long)errors, (unsigned long long)bad);
	return errors || bad;
}
