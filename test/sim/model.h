/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.h - what each cell of the volume may hold, as those who use it may conclude from the answers
 * they got; and the judge of what they read.
 *
 * A cell has a list of values, each written by some operation. A value is out of the question once an
 * operation that began after the value's own was over has been acknowledged, or once a reader
 * has seen another one instead of it. A loss (a power cut, a failed flush) brings values back, save
 * where something later is durable, or kept by a client that will write it anew.
 *
 * Contents are told apart by a tag: each write has one, and fills each cell with a pattern made of
 * tag and cell. Tag 0 is zeros. COPY carries patterns of other cells along.
 */
#ifndef TEST_SIM_MODEL_H
#define TEST_SIM_MODEL_H

#include "test/sim/disk.h"

#include <stdbool.h>
#include <stdint.h>

enum model_type { MODEL_WRITE, MODEL_ZEROES, MODEL_DISCARD, MODEL_COPY };

/* A modifying operation under way. */
struct model_op {
	enum model_type type;
	unsigned client; /* number of the client's life */
	unsigned first, count; /* cells */
	unsigned from; /* COPY: first cell of the source */
	uint64_t tag; /* WRITE */
	uint64_t start; /* the model's, like the rest */
	bool over;
};

/* `excuse` is asked when a read is wrong: true, if by what it found out it may be right after all. */
/* Of the shape's volume. */
void model_reset(bool (*excuse)(void));

void model_grow(unsigned cells); /* by so many, which hold zeros */
uint64_t model_new_tag(void);
void model_fill(uint8_t *data, uint64_t tag, unsigned cell);
bool model_was_written(const uint8_t *data); /* anywhere, by anybody, or zeros */
uint64_t model_tag(const uint8_t *data); /* of the content of a cell; 0: zeros, or none of ours */

/* Has the write whose content this is been acknowledged? */
bool model_acknowledged(const uint8_t *data, unsigned cell);

uint64_t model_now(void); /* counts what happens; an operation's start */

void model_begin(struct model_op *op,
		 bool kept); /* kept: its client will write it anew if it is lost */
/* error 0: acknowledged, `copied` cells of a COPY. */
void model_end(struct model_op *op, int error, bool fua, unsigned copied);

/* What a read that began at `start` has brought for cells from `first` on. */
void model_read(uint64_t start, unsigned first, unsigned count, const uint8_t *data);
/* The cells' content, if there is no doubt of it for who looked since `start`. */
bool model_content(uint64_t start, unsigned first, unsigned count, uint8_t *data);
/* May the cell hold zeros, for a reader that began at start? */
bool model_may_be_zero(uint64_t start, unsigned cell);

/* Reads and other operations under way keep the past alive from here. */
void model_set_oldest(uint64_t oldest);

/* A flush of this client that began at `start` has succeeded; or failed, and its caller knows it. */
void model_flushed(unsigned client, uint64_t start);
void model_flush_failed(unsigned client, uint64_t start);

/* The disk has lost data that was not durable. */
void model_lost(void);

/* The server was killed. What it had carried out and not yet answered is written over when its client
 * writes anew what was answered, and comes again later: a reader may see it come and go. */
void model_restarted(void);

/* The client, which lives, can't write anew what it kept until now: its next flush must fail. */
void model_client_lost(unsigned client);

/* The client is dead, or fenced: what it began is cut off, what it kept isn't kept any more. `durable`: who
 * replaced it has flushed what was acknowledged. */
void model_client_gone(unsigned client, bool dead, bool durable);

/* Of some mirror other members are in sync: what has failed, or wasn't answered, may be seen to be
 * undone. */
void model_reconsider(void);

/* A mirror was started by force: anything that was ever written may come back, until it is seen or
 * written over. Only where model_may_be_forced() was said before. */
void model_forced(void);
void model_may_be_forced(void);

/* Compares the disks themselves. after_flush: everything acknowledged must be on the medium. Before that a
 * mirror's disks say nothing, each by itself. */
void model_check_disk(bool after_flush);
/* All is flushed, and nobody writes any more: members of mirrors are equal. */
void model_check_mirrors(void);

#endif
