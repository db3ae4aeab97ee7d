/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory.c - see memory.h */
#include "common/memory.h"

#include <stdint.h>
#include <sys/mman.h>

static void *map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void *memory_map(size_t size)
{
	uint8_t *wide, *memory;
	size_t before;

	if (size < MEMORY_HUGE)
		return map(size);
	wide = map(size + MEMORY_HUGE);
	if (!wide)
		return NULL;
	before = -(uintptr_t)wide % MEMORY_HUGE;
	memory = wide + before;
	if (before)
		munmap(wide, before);
	munmap(memory + size, MEMORY_HUGE - before);
	madvise(memory, size, MADV_HUGEPAGE); /* a wish */
	return memory;
}

void memory_unmap(void *memory, size_t size)
{
	munmap(memory, size);
}
