/* SPDX-License-Identifier: GPL-2.0-or-later */
/* split_impl.h - what split.c (requests out and back) and split_parts.c (what goes where, and what comes of it) share. */
#ifndef DSTFS_SPLIT_IMPL_H
#define DSTFS_SPLIT_IMPL_H

#include "dstfs/split.h"

/* One child's share of a request; of a WRITE, one of its shares. */
struct part {
	unsigned child;
	uint64_t at; /* where it begins in the map. FLUSH: its place among the children */
	struct range range; /* within the child */
	uint64_t copy_from; /* COPY: within the child */
	uint64_t result; /* COPY: bytes that were copied */
	unsigned extent_count; /* EXTENTS: that the child has told */
	unsigned extent; /* of them, the one that is looked at */
	uint64_t extent_start; /* where that begins, within the child */
};

/* A request that has been begun. */
struct parting {
	struct request *request; /* NULL: it has completed */
	const struct map *map;
	struct range range; /* of the map: what is carried out of the request's; less for COPY */
	enum request_type type; /* of the children's requests: READ for HASH of several */
	bool whole; /* one part has it all */
	/* WRITE: what isn't passed on yet. Others: their parts, and how many are passed on. */
	struct range rest;
	unsigned next, count;
	/* READ, HASH: the data. EXTENTS: a share for each part, then one for what comes of them. */
	struct buf *buf;
	struct part parts[];
};

/* Most extents of a share: all that a child may tell, or as many as have room. */
unsigned parting_extents(const struct parting *p);

/* Finds the parts; the map is laid out, save for FLUSH. 0 or an errno. */
int parting_plan(struct parting *p);

/* Does it need a buffer? */
bool parting_gathers(const struct parting *p);

bool parting_more(const struct parting *p);
/* The next part: of the parting, or, for WRITE, which has any number of them, `own`. There is more. */
struct part *parting_next(struct parting *p, struct part *own);

/* May a child lose its part again, until it is flushed, while others are waited for? */
bool parting_may_be_lost(const struct parting *p);
/* Of such a one: all parts are to be passed on once more. */
void parting_rewind(struct parting *p);

/* Keeps what a child's request has brought, which is valid for now only. */
void parting_take(struct parting *p, struct part *part, const struct request *request);

/* All parts are over, and well: fills the request's results. 0 or an errno. */
int parting_finish(struct parting *p);

#endif
