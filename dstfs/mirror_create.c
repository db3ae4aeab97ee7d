/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror_create.c - see mirror_create.h. First all places of superblocks are made empty, so that none of
 * an earlier mirror counts, and the maps; then each node gets one superblock.
 */
#include "dstfs/mirror_create.h"

#include "common/random.h"
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct creation {
	struct mirror *mirror;
	struct mirror_create_options options;
	struct mirror_super super;
	struct mirror_created created;
	uint8_t *blocks; /* read from where something will be written */
	unsigned block_count;
	void (*done)(void *arg, const struct mirror_created *created);
	void *arg;
};

__attribute__((format(printf, 3, 4))) static void end(struct creation *c, int error,
						      const char *format, ...)
{
	va_list list;

	c->created.error = error;
	va_start(list, format);
	vsnprintf(c->created.reason, sizeof(c->created.reason), format, list);
	va_end(list);
	free(c->blocks);
	c->done(c->arg, &c->created);
	free(c);
}

static void end_without_memory(struct creation *c, struct mirror_batch *batch)
{
	mirror_batch_free(&batch);
	end(c, ENOMEM, "out of memory");
}

/* The name of the first one that failed, or NULL. */
static const char *first_failed(const struct creation *c, struct mirror_batch *batch)
{
	mirror_mask failed = mirror_batch_failed(batch);

	return failed ? c->mirror->nodes[__builtin_ctz(failed)].name : NULL;
}

/* ---- writing ---- */

static void on_supers_written(struct mirror_batch *batch, void *arg)
{
	struct creation *c = arg;
	const char *failed = first_failed(c, batch);

	mirror_batch_free(&batch);
	if (failed)
		end(c, EIO, "%s can't be written", failed);
	else
		end(c, 0, "%s", "");
}

static void write_supers(struct creation *c)
{
	struct mirror_batch *batch = mirror_batch_new(c->mirror, on_supers_written, c);
	int error = batch ? 0 : ENOMEM;

	for (unsigned i = 0; i < c->mirror->node_count && !error; i++) {
		struct mirror_node *node = &c->mirror->nodes[i];

		node->slot = i;
		node->sequence = 0;
		node->next_copy = 0;
		error = mirror_super_write(batch, node, &c->super);
	}
	if (error)
		end_without_memory(c, batch);
	else
		mirror_batch_run(batch);
}

static void on_emptied(struct mirror_batch *batch, void *arg)
{
	struct creation *c = arg;
	const char *failed = first_failed(c, batch);

	mirror_batch_free(&batch);
	if (failed)
		end(c, EIO, "%s can't be written", failed);
	else
		write_supers(c);
}

static int add_empty_maps(struct creation *c, struct mirror_batch *batch)
{
	struct mirror_bits none;
	int error = mirror_bits_init(&none, mirror_regions(&c->super));

	c->mirror->super = c->super;
	if (!error)
		error = mirror_map_write(batch, c->mirror, MIRROR_BIT(c->mirror->node_count) - 1, 0,
					 &none);
	mirror_bits_destroy(&none);
	return error;
}

static void empty(struct creation *c)
{
	struct mirror_batch *batch = mirror_batch_new(c->mirror, on_emptied, c);
	uint8_t *zeros = batch ? mirror_batch_block(batch) : NULL;
	int error = zeros ? 0 : ENOMEM;

	if (zeros)
		memset(zeros, 0, MIRROR_MAP_BLOCK);
	for (unsigned i = 0; i < c->mirror->node_count && !error; i++)
		for (unsigned copy = 0; copy < MIRROR_COPIES && !error; copy++)
			error = mirror_batch_write(
				batch, MIRROR_BIT(i),
				mirror_super_offset(c->mirror->nodes[i].size, copy), zeros);
	if (!error)
		error = add_empty_maps(c, batch);
	if (error)
		end_without_memory(c, batch);
	else
		mirror_batch_run(batch);
}

/* ---- what is there ---- */

static bool all_zero(const uint8_t *block)
{
	return !*block && !memcmp(block, block + 1, MIRROR_MAP_BLOCK - 1);
}

static void on_read(struct mirror_batch *batch, void *arg)
{
	struct creation *c = arg;
	unsigned each = c->block_count / c->mirror->node_count;
	const char *failed = first_failed(c, batch);

	mirror_batch_free(&batch);
	if (failed) {
		end(c, EIO, "%s can't be read", failed);
		return;
	}
	for (unsigned i = 0; i < c->block_count && !c->options.force; i++) {
		if (all_zero(c->blocks + (size_t)i * MIRROR_MAP_BLOCK))
			continue;
		end(c, EEXIST,
		    "the last %llu bytes of %s are not empty; they hold data, or a mirror, and "
		    "would be overwritten",
		    (unsigned long long)(c->mirror->nodes[i / each].size - c->super.data_size),
		    c->mirror->nodes[i / each].name);
		return;
	}
	empty(c);
}

/* Where the maps begin, and where the superblocks will be. */
static void look(struct creation *c)
{
	struct mirror_batch *batch = mirror_batch_new(c->mirror, on_read, c);
	int error = batch ? 0 : ENOMEM;
	uint8_t *into;

	c->block_count = c->mirror->node_count * (MIRROR_COPIES + 1);
	into = c->blocks = calloc(c->block_count, MIRROR_MAP_BLOCK);
	if (!into)
		error = ENOMEM;
	for (unsigned i = 0; i < c->mirror->node_count && !error; i++) {
		error = mirror_batch_read(batch, i, c->super.data_size, into);
		into += MIRROR_MAP_BLOCK;
		for (unsigned copy = 0; copy < MIRROR_COPIES && !error; copy++) {
			error = mirror_batch_read(
				batch, i, mirror_super_offset(c->mirror->nodes[i].size, copy),
				into);
			into += MIRROR_MAP_BLOCK;
		}
	}
	if (error)
		end_without_memory(c, batch);
	else
		mirror_batch_run(batch);
}

/* ---- what is to be ---- */

/* False: it has ended. */
static bool measure(struct creation *c)
{
	struct mirror *mirror = c->mirror;
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < mirror->node_count; i++) {
		struct mirror_node *node = &mirror->nodes[i];

		if (node->target->state != TARGET_READY || !node->target->writable) {
			end(c, EINVAL, "%s is not there, or may not be written", node->name);
			return false;
		}
		node->size = node->target->size;
		if (node->size < least)
			least = node->size;
		if (!mirror_data_size(node->size)) {
			end(c, ENOSPC, "%s has %llu bytes, too few for a mirror", node->name,
			    (unsigned long long)node->size);
			return false;
		}
	}
	c->super.data_size = mirror_data_size(least);
	c->super.region_size = mirror_region_size(c->super.data_size);
	c->created.data_size = c->super.data_size;
	return true;
}

static void make_members(struct creation *c, unsigned source)
{
	struct mirror_super *super = &c->super;

	random_bytes(super->set, sizeof(super->set));
	super->generation.counter = 1;
	random_bytes(super->generation.uuid, sizeof(super->generation.uuid));
	super->clean = true;
	for (unsigned i = 0; i < c->mirror->node_count; i++) {
		struct mirror_member *member = &super->members[i];
		bool in_sync = i == source || c->options.equal;

		member->state = in_sync ? MIRROR_IN_SYNC : MIRROR_ABSENT;
		member->full = !in_sync;
		member->size = c->mirror->nodes[i].size;
		random_bytes(member->id, sizeof(member->id));
	}
}

void mirror_create(struct target *target, const struct mirror_create_options *options,
		   void (*done)(void *arg, const struct mirror_created *created), void *arg)
{
	struct mirror *mirror = (struct mirror *)target; /* base is the first member */
	struct mirror_created no_memory = {.error = ENOMEM, .reason = "out of memory"};
	struct mirror_node *source = &mirror->nodes[0];
	struct creation *c = calloc(1, sizeof(*c));

	if (!c) {
		done(arg, &no_memory);
		return;
	}
	*c = (struct creation){.mirror = mirror, .options = *options, .done = done, .arg = arg};
	if (options->source)
		source = mirror_find_node(mirror, options->source);
	if (!source || mirror->node_count < 2) {
		end(c, EINVAL, "%s",
		    source ? "a mirror has two nodes at least" : "there is no node of that name");
		return;
	}
	if (!measure(c))
		return;
	make_members(c, source->index);
	look(c);
}
