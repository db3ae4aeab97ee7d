/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.h - the simulated disks, one below each server: what is written goes to a cache that a power cut
 * empties, and from there, sector by sector, at times of its own, to the medium. It survives the
 * server's process. It watches that the server keeps its promises on the way: see disk.c.
 */
#ifndef TEST_SIM_DISK_H
#define TEST_SIM_DISK_H

#include "test/sim/sim.h"

#define CELL 512u /* bytes; what requests are aligned to, and the model knows */
#define MODEL_CELLS_MOST 512u /* of a volume */
#define DISK_CELLS_MOST 1280u /* of a node: a mirror's own data lies behind the volume's */

struct disk_config {
	unsigned sector; /* cells that are written or lost as one: 1 or 8 */
	uint64_t latency; /* nanoseconds an operation takes, at most */
	unsigned inline_percent; /* of the operations are done within submit */
	unsigned writeback_percent; /* of the writes reach the medium soon by themselves */
	bool shared; /* several clients may write */
	bool forgets; /* what a failed flush has lost is never read any more: see disk.c */
	bool once; /* the server keeps what it has carried out from being carried out again, and
		    * clients write nothing anew that nobody acknowledged */
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

/* No disk is left but those of the nodes 0 to nodes - 1: empty, of so many cells. */
void disk_reset(const struct disk_config *config, unsigned nodes, const unsigned *cells);
void disk_fault(unsigned node, enum disk_fault fault, uint64_t duration);
void disk_heal(void); /* all of them */
/* When a mirror's own data is written, then in so many cases happen(node), soon: it must do nothing at once. */
void disk_set_trouble(unsigned permille, void (*happen)(unsigned node));

/* The server's process is gone: what is under way gets done or doesn't. */
void disk_process_gone(unsigned node);

/* All that is not on the medium is gone. After disk_process_gone(). */
void disk_power_cut(unsigned node);

const uint8_t *disk_medium(unsigned node, unsigned cell); /* as after a power cut */
/* Puts bytes there, durably, as from outside. `bytes`: of whole cells. */
void disk_put(unsigned node, unsigned cell, const uint8_t *data, size_t bytes);
bool disk_grow(unsigned node, unsigned cells); /* false: it can't */
bool disk_is_slow(enum sim_host host); /* true only of servers */
uint64_t disk_flush_errors(void); /* of all */

#endif
