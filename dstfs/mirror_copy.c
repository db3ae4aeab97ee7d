/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_copy.c - see mirror_copy.h. Nothing is copied yet: nodes that come back stay in RESYNC. */
#include "dstfs/mirror_copy.h"

int mirror_copy_init(struct mirror *mirror)
{
	return 0;
}

void mirror_copy_destroy(struct mirror *mirror)
{
}

void mirror_copy_poke(struct mirror *mirror)
{
}

void mirror_copy_stop(struct mirror *mirror, void (*done)(void *arg), void *arg)
{
	done(arg);
}

void mirror_copy_repair(struct mirror *mirror, unsigned node, struct range range)
{
}

void mirror_copy_status(struct mirror *mirror, json_t *status)
{
}
