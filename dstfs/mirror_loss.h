/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_loss.h - what is lost when a mirror goes on from one of its nodes: which others moved on
 * without it, since when, and where they were written to. Pure: no I/O, no state.
 */
#ifndef DSTFS_MIRROR_LOSS_H
#define DSTFS_MIRROR_LOSS_H

#include "dstfs/mirror_start.h"

#include <stddef.h>

/* A node whose generation the kept one doesn't know. */
struct mirror_loss {
	unsigned node; /* index of the found one */
	uint64_t since; /* counter of the last generation that both have; 0: none is remembered */
	/* Its map that has a bit for each region that was written there since: mirror_map_offset(). With
	 * `all` no map tells, and it may be any region. */
	bool all;
	unsigned map;
	unsigned regions; /* that are set there: the caller's to count, with mirror_loss_add() */
};

/* Those that lose when found[keep], which is there and no blank one, is kept; how many. */
unsigned mirror_loss_find(struct mirror_loss losses[MIRROR_MAX_NODES],
			  const struct mirror_found *found, unsigned count, unsigned keep);

/* Counts a piece of its map as it was read there. */
void mirror_loss_add(struct mirror_loss *loss, const struct mirror_found *found, unsigned piece,
		     const uint8_t block[MIRROR_MAP_BLOCK]);

/* Lines for people: what is kept, and what is lost. Cut off where the text is too small. */
void mirror_losses_tell(char *text, size_t size, const struct mirror_loss *losses, unsigned count,
			const struct mirror_found *found, unsigned found_count, unsigned keep);

/* Tells what nodes were found from others, or from the same after they have changed. */
uint64_t mirror_found_digest(const struct mirror_found *found, unsigned count);

#endif
