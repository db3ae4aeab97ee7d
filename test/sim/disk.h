/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.h - the simulated disk below the server: what is written goes to a cache that a power cut empties,
 * and from there, sector by sector, at times of its own, to the medium. It survives the server's
 * process. It watches that the server keeps its promises on the way: see disk.c.
 */
#ifndef TEST_SIM_DISK_H
#define TEST_SIM_DISK_H

#include "test/sim/sim.h"

#define CELL 512u /* bytes; what requests are aligned to, and the model knows */
#define DISK_CELLS_MOST 512u

struct disk_config {
	unsigned cells; /* size */
	unsigned sector; /* cells that are written or lost as one: 1 or 8 */
	uint64_t latency; /* nanoseconds an operation takes, at most */
	unsigned inline_percent; /* of the operations are done within submit */
	unsigned writeback_percent; /* of the writes reach the medium soon by themselves */
	bool shared; /* several clients may write */
	bool once; /* the server keeps what it has carried out from being carried out again */
};

/* For a while, some of these fail. */
enum disk_fault {
	DISK_FAIL_READS,
	DISK_FAIL_WRITES,
	DISK_FAIL_FLUSHES,
	DISK_FULL,
	DISK_SLOW,
	DISK_FAULTS
};

void disk_reset(const struct disk_config *config);
void disk_fault(enum disk_fault fault, uint64_t duration);
void disk_heal(void);

/* The server's process is gone: what is under way gets done or doesn't. */
void disk_process_gone(void);

/* All that is not on the medium is gone. After disk_process_gone(). */
void disk_power_cut(void);

const uint8_t *disk_cell(unsigned cell); /* as read */
const uint8_t *disk_medium(unsigned cell); /* as after a power cut */
bool disk_grow(unsigned cells); /* false: it can't */
bool disk_is_slow(void);
uint64_t disk_losses(void); /* power cuts and failed flushes so far that may have lost something */
uint64_t disk_flush_errors(void);
uint64_t disk_errors(void); /* operations that were failed so far */

#endif
