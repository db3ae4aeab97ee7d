/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_super.c - superblocks of a mirror's nodes are read and written, see mirror_home.h */
#include "dstfs/mirror_home.h"

#include <errno.h>

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
	node->blank = error == ENOENT;
	node->read = !error || node->blank;
	mirror_node_set_reason(node, node->read ? "" : reason);
	if (!error) {
		node->sequence = node->found.sequence;
	} else if (!node->blank) {
		node->state = MIRROR_NODE_REFUSED;
		log_error("volume %s: %s is not used: %s", node->mirror->volume, node->name,
			  reason);
	}
}

int mirror_super_write(struct mirror_batch *batch, struct mirror_node *node,
		       const struct mirror_super *super)
{
	uint8_t *block = mirror_batch_block(batch);
	struct mirror_super own = *super;

	if (!block)
		return ENOMEM;
	own.self = node->slot;
	own.sequence = node->sequence + 1;
	mirror_super_encode(block, &own);
	return mirror_batch_write(batch, MIRROR_BIT(node->index),
				  mirror_super_offset(node->size, node->next_copy), block);
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
