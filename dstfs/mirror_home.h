/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_home.h - what the home's files share: the state of each kind of its work, and the steps that
 * mirror_home.c calls when it is their turn.
 *
 * Work on the metadata is done one at a time: who begins sets mirror->busy, and mirror_home_done()
 * ends it. All functions are the home's.
 */
#ifndef DSTFS_MIRROR_HOME_H
#define DSTFS_MIRROR_HOME_H

#include "dstfs/mirror_impl.h"
#include "dstfs/mirror_resize.h"
#include "dstfs/mirror_resolve.h"

#define MIRROR_CLEAR_RUNS 1024u /* of regions that are cleared together */

/* mirror_marks.c: regions are being marked. */
struct mirror_marking {
	struct mirror_bits bits; /* those */
	uint64_t retry_at; /* none before: the last could not be begun, or no node has taken it */
};

/* mirror_clear.c: what is idle is being cleared. */
struct mirror_clearing {
	struct loop_timer timer; /* looks what was touched */
	struct mirror_bits idle; /* marked, and not touched at the last look */
	struct mirror_bits bits; /* marked, and being cleared */
	struct range_hold *holds[MIRROR_CLEAR_RUNS]; /* of their runs */
	unsigned hold_count;
	uint64_t retry_at; /* what was copied is not flushed before: that has just failed */
	uint64_t losses; /* the mirror's, when the flush was sent */
	bool active;
	bool flushed; /* waits for its turn to write the maps */
};

/* mirror_change.c: a change of the members is being made. */
struct mirror_changing {
	/* While mirror->unrecorded: tried again then (nanoseconds), or when more nodes are there. */
	uint64_t retry_at;
	mirror_mask ready; /* those that were */
	uint64_t memory_at; /* there was none: nothing is begun before (nanoseconds) */
	struct mirror_change *change; /* NULL: nodes that failed are the only cause */
	mirror_mask failed; /* they leave too */
	struct mirror_super next; /* as it is to be */
	mirror_mask read_set, write_set; /* likewise */
	mirror_mask joining; /* nodes that become in sync, which at the start are all that are */
	mirror_mask staying; /* that were, and are; at the start likewise */
	mirror_mask telling; /* nodes whose superblocks are being written */
	unsigned fresh_maps; /* mask of slots whose missed map is written as a whole */
	mirror_mask inform;
	bool set_changed; /* other nodes are in sync */
	bool raised; /* the generation is */
	bool tried; /* some node may have a generation that was not published */
	bool rewrite; /* even if nothing differs: what is on the nodes is not known */
	bool first; /* of this run */
	uint8_t (*copies)[MIRROR_COPIES][MIRROR_MAP_BLOCK]; /* of unsure nodes, by index */
};

/* mirror_join.c: nodes are read and judged. */
struct mirror_joining {
	uint64_t wait_until; /* members that are absent are waited for; nanoseconds */
	bool judged; /* with all that has been read by now */
	struct mirror_start start; /* the judgement */
	struct mirror_found found[MIRROR_MAX_NODES];
	struct mirror_change first; /* the first change of this run */
	uint8_t *maps; /* that are being read: mirror_begin.c */
};

/* mirror_detach.c */
struct mirror_ending {
	bool due; /* copying has stopped: its turn may come */
	void (*done)(void *arg);
	void *arg;
};

struct mirror_work {
	struct loop_timer later; /* mirror_home_later() */
	uint64_t later_at; /* clock_now() when it comes */
	uint64_t last_at; /* the last that was asked for */
	struct mirror_marking marking;
	struct mirror_clearing clearing;
	struct mirror_changing changing;
	struct mirror_joining joining;
	struct mirror_ending ending;
	struct mirror_resolving resolving;
	struct mirror_resizing resizing;
};

/* mirror_home.c */
int mirror_home_init(struct mirror *mirror); /* 0 or ENOMEM */
void mirror_home_destroy(struct mirror *mirror);
void mirror_home_later(struct mirror *mirror, uint64_t delay); /* looks then, or within a second */
/* Something could not be begun: says so, and looks again later. */
void mirror_out_of_memory(struct mirror *mirror);
void mirror_home_done(struct mirror *mirror); /* busy no more: the next one's turn comes soon */

/* mirror_marks.c */
int mirror_marks_init(struct mirror *mirror); /* bits for mirror->regions; 0 or ENOMEM */
/* Room for more regions, with the hold of all data; then there are so many. 0 or ENOMEM. */
int mirror_marks_reserve(struct mirror *mirror, unsigned regions);
void mirror_marks_extend(struct mirror *mirror, unsigned regions);
void mirror_marks_reset(struct mirror *mirror); /* all 0 */
void mirror_marks_destroy(struct mirror *mirror);
bool mirror_marks_due(const struct mirror *mirror);
void mirror_marks_begin(struct mirror *mirror); /* marks what is wanted */
/*
 * Adds a piece of a map to the batch: the regions of `bits` and, if it isn't NULL, of `more`. 0 or
 * ENOMEM.
 */
int mirror_piece_write(struct mirror_batch *batch, const struct mirror *mirror, mirror_mask nodes,
		       unsigned map, unsigned piece, const struct mirror_bits *bits,
		       const struct mirror_bits *more);
int mirror_map_write(struct mirror_batch *batch, const struct mirror *mirror, mirror_mask nodes,
		     unsigned map, const struct mirror_bits *bits); /* all pieces */
/* Members that don't get writes, so that what they miss must be recorded: a mask of slots. */
unsigned mirror_absent_slots(const struct mirror *mirror);
/* Those that aren't in sync. */
unsigned mirror_incomplete_slots(const struct mirror *mirror);

/* mirror_clear.c */
int mirror_clear_init(struct mirror *mirror); /* 0 or ENOMEM */
void mirror_clear_start(struct mirror *mirror); /* its timer */
void mirror_clear_destroy(struct mirror *mirror);
void mirror_clear_look(struct mirror *mirror); /* has some node got all that it missed? */
void mirror_clear_write(struct mirror *mirror); /* its turn: `flushed` was set */
void mirror_clear_abort(struct mirror *mirror); /* gives up what isn't being written */
void mirror_clear_copied(struct mirror *mirror, unsigned slot); /* all of it is durable */

/* mirror_change.c */
void mirror_changes_cancel(struct mirror *mirror); /* what was asked for and isn't under way */
bool mirror_change_due(const struct mirror *mirror);
void mirror_change_begin(struct mirror *mirror);

/* mirror_super.c: superblocks of nodes */

/* Judges a node by the copies read from it: fills found, blank, sequence, next_copy, size; if they
 * don't do, the state is REFUSED, with the reason. */
void mirror_node_judge(struct mirror_node *node,
		       const uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK]);
/*
 * The node is blank at its end. If it has grown, its superblocks are where its end was: another size
 * that the mirror, the witness or other nodes know of, and that wasn't tried. 0: there is none.
 */
uint64_t mirror_size_to_try(const struct mirror_node *node);
/* Adds reads of all its copies to the batch. 0 or ENOMEM. */
int mirror_supers_read(struct mirror_batch *batch, struct mirror_node *node,
		       uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK]);
/* Adds the node's next superblock to the batch: `super` as its own. 0 or ENOMEM. */
int mirror_super_write(struct mirror_batch *batch, struct mirror_node *node,
		       const struct mirror_super *super);
/* The same without what makes it a superblock: it is none, whatever becomes of the write. */
int mirror_super_prepare(struct mirror_batch *batch, struct mirror_node *node,
			 const struct mirror_super *super);
/* The write ended: the next goes to the next copy, or after a failure the node is unsure. */
void mirror_super_written(struct mirror_node *node, bool good);

/* mirror_join.c */
void mirror_join_start(struct mirror *mirror); /* all nodes are known */
void mirror_join_look(struct mirror *mirror); /* at nodes that came or went */
void mirror_join_lost(struct mirror_node *node); /* it has left the set: looked at again later */
/* Has every node told whether it is there, and is nothing under way that would start the mirror? */
bool mirror_all_heard(const struct mirror *mirror);

/* mirror_begin.c: joining.start says that it may, and who is what. */
void mirror_begin(struct mirror *mirror);

/* mirror_detach.c */
void mirror_detach_begin(struct mirror *mirror); /* its turn: `due` was set */

/* mirror.c */
void mirror_look_fenced(struct mirror *mirror); /* is there a way back? */

/* mirror_io.c */
void mirror_io_cancel(struct mirror *mirror); /* all that runs ends with ECANCELED, now */

#endif
