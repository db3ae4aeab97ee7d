/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_super.c - superblocks of a mirror's nodes are read and written, see mirror_home.h */
#include "dstfs/mirror_home.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512u /* bytes that a disk writes or doesn't; the first has what makes a superblock */

_Static_assert(MIRROR_SUPER_SIZE == MIRROR_MAP_BLOCK, "metadata is moved in blocks of one size");

int mirror_supers_read(struct mirror_batch *batch, struct mirror_node *node,
		       uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK])
{
	int error = 0;

	for (unsigned i = 0; i < MIRROR_COPIES && !error; i++)
		error = mirror_batch_read(batch, node->index, mirror_super_offset(node->size, i),
					  copies[i]);
	return error;
}

void mirror_node_judge(struct mirror_node *node,
		       const uint8_t copies[MIRROR_COPIES][MIRROR_MAP_BLOCK])
{
	char reason[sizeof(node->reason)] = "";
	int error = mirror_super_choose(&node->found, &node->next_copy, copies, node->size, reason,
					sizeof(reason));

	node->unsure = false;
	node->aged =
		!error && node->slot == node->found.self && node->found.sequence < node->sequence;
	node->blank = error == ENOENT;
	node->read = !error || node->blank;
	mirror_node_set_reason(node, node->read ? "" : reason);
	if (!error) {
		node->sequence = node->found.sequence;
		node->partial = node->found.members[node->found.self].state == MIRROR_INCONSISTENT;
	} else if (!node->blank) {
		node->state = MIRROR_NODE_REFUSED;
		log_error("volume %s: %s is not used: %s", node->mirror->volume, node->name,
			  reason);
	}
}

static bool worth_trying(const struct mirror_node *node, uint64_t size)
{
	if (size < MIRROR_MIN_SIZE || size >= node->target->size)
		return false;
	for (unsigned i = 0; i < node->tried_count; i++)
		if (node->tried[i] == size)
			return false;
	return node->tried_count < MIRROR_MAX_NODES;
}

static uint64_t size_in(const struct mirror_node *node, const struct mirror_super *super)
{
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES; slot++)
		if (worth_trying(node, super->members[slot].size))
			return super->members[slot].size;
	return 0;
}

uint64_t mirror_size_to_try(const struct mirror_node *node)
{
	const struct mirror *mirror = node->mirror;
	uint64_t size = mirror->phase == MIRROR_RUNNING ? size_in(node, &mirror->super) : 0;

	for (unsigned i = 0; i < mirror->node_count && !size; i++)
		if (mirror->nodes[i].read && !mirror->nodes[i].blank)
			size = size_in(node, &mirror->nodes[i].found);
	for (unsigned slot = 0; slot < MIRROR_MAX_NODES && !size; slot++)
		if (mirror->witness.known && worth_trying(node, mirror->witness.sizes[slot]))
			size = mirror->witness.sizes[slot];
	return size;
}

static int add_super(struct mirror_batch *batch, struct mirror_node *node,
		     const struct mirror_super *super, bool whole)
{
	uint8_t *block = mirror_batch_block(batch);
	struct mirror_super own = *super;

	if (!block)
		return ENOMEM;
	own.self = node->slot;
	own.sequence = node->sequence + 1;
	if (own.members[own.self].state == MIRROR_ABSENT && node->partial)
		own.members[own.self].state = MIRROR_INCONSISTENT;
	node->partial = own.members[own.self].state == MIRROR_INCONSISTENT;
	mirror_super_encode(block, &own);
	if (!whole)
		memset(block, 0, SECTOR);
	return mirror_batch_write(batch, MIRROR_BIT(node->index),
				  mirror_super_offset(node->size, node->next_copy), block);
}

int mirror_super_write(struct mirror_batch *batch, struct mirror_node *node,
		       const struct mirror_super *super)
{
	return add_super(batch, node, super, true);
}

int mirror_super_prepare(struct mirror_batch *batch, struct mirror_node *node,
			 const struct mirror_super *super)
{
	return add_super(batch, node, super, false);
}

void mirror_super_written(struct mirror_node *node, bool good)
{
	if (!good) {
		node->unsure = true;
		return;
	}
	node->sequence++;
	node->next_copy = (node->next_copy + 1) % MIRROR_COPIES;
}
