/* SPDX-License-Identifier: GPL-2.0-or-later */
/* heap.c - see heap.h */
#include "test/sim/heap.h"

#include "test/sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define OWN_BLOCKS 0
#else
#define OWN_BLOCKS 1
#endif

#define AREA ((size_t)4 << 30) /* bytes of address space a process */
#define CLASS_LEAST 5u /* smallest block: 32 bytes, its head included */
#define CLASSES 32u
#define PAGE 4096u
#define RESERVE ((size_t)1 << 20) /* bytes: who clears so many wants pages, not zeros */
#define HEAD 32u /* bytes in front of a block: struct block, aligned as malloc() aligns */

struct block {
	struct heap *heap;
	unsigned class; /* its size is 1 << class */
	size_t size; /* asked for */
	union {
		struct block *next; /* while free */
		void *whole; /* where malloc() put it */
	};
};

_Static_assert(sizeof(struct block) <= HEAD, "the head fits");

struct heap {
	uint8_t *area;
	size_t used;
	struct block *free[CLASSES];
	size_t blocks;
	struct block **all; /* AddressSanitizer: the blocks, in the order of their coming */
	size_t all_count, all_room;
};

struct heap *heap_new(void)
{
	struct heap *heap = calloc(1, sizeof(*heap));

	if (!heap)
		abort();
	if (OWN_BLOCKS) {
		heap->area = mmap(NULL, AREA, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (heap->area == MAP_FAILED)
			abort();
	}
	return heap;
}

void heap_clear(struct heap *heap)
{
	for (size_t i = 0; i < heap->all_count; i++)
		if (heap->all[i])
			free(heap->all[i]->whole);
	heap->all_count = 0;
	heap->used = 0;
	heap->blocks = 0;
	memset(heap->free, 0, sizeof(heap->free));
}

size_t heap_blocks(const struct heap *heap)
{
	return heap->blocks;
}

static unsigned class_of(size_t size)
{
	unsigned class = CLASS_LEAST;

	while ((size_t)1 << class < size)
		class ++;
	return class;
}

/* From the area; big ones start on a page. */
static struct block *cut(struct heap *heap, size_t size)
{
	unsigned class = class_of(size + HEAD);
	struct block *block = heap->free[class];

	if (block) {
		heap->free[class] = block->next;
		return block;
	}
	if (class >= 12) /* the block itself, behind its head, on a page */
		heap->used = (heap->used + HEAD + PAGE - 1) / PAGE * PAGE - HEAD;
	assert(heap->used + ((size_t)1 << class) <= AREA);
	block = (struct block *)(heap->area + heap->used);
	heap->used += (size_t)1 << class;
	block->class = class;
	return block;
}

static struct block *from_malloc(struct heap *heap, size_t size)
{
	size_t offset = size >= PAGE ? PAGE : HEAD;
	uint8_t *whole = NULL;
	struct block *block;

	if (posix_memalign((void **)&whole, offset == PAGE ? PAGE : 64, size + offset))
		abort();
	block = (struct block *)(whole + offset - HEAD);
	block->whole = whole;
	if (heap->all_count == heap->all_room) {
		heap->all_room = heap->all_room ? 2 * heap->all_room : 1024;
		heap->all = realloc(heap->all, heap->all_room * sizeof(struct block *));
	}
	block->class = (unsigned)heap->all_count;
	heap->all[heap->all_count++] = block;
	return block;
}

void *heap_malloc(size_t size)
{
	struct heap *heap = sim.current->heap;
	struct block *block = OWN_BLOCKS ? cut(heap, size) : from_malloc(heap, size);

	block->heap = heap;
	block->size = size;
	heap->blocks++;
	return (uint8_t *)block + HEAD;
}

void *heap_calloc(size_t count, size_t size)
{
	void *block = heap_malloc(count * size);

	memset(block, 0, count * size);
	return block;
}

void heap_free(void *memory)
{
	struct block *block;

	if (!memory)
		return;
	block = (struct block *)((uint8_t *)memory - HEAD);
	assert(block->heap == sim.current->heap);
	block->heap->blocks--;
	if (OWN_BLOCKS) {
		block->next = block->heap->free[block->class];
		block->heap->free[block->class] = block;
	} else {
		block->heap->all[block->class] = NULL;
		free(block->whole);
	}
}

void *heap_realloc(void *memory, size_t size)
{
	void *other = heap_malloc(size);

	if (memory) {
		size_t before = ((struct block *)((uint8_t *)memory - HEAD))->size;

		memcpy(other, memory, before < size ? before : size);
		heap_free(memory);
	}
	return other;
}

char *heap_strdup(const char *text)
{
	return strcpy(heap_malloc(strlen(text) + 1), text);
}

char *heap_strndup(const char *text, size_t most)
{
	size_t length = strnlen(text, most);
	char *copy = heap_malloc(length + 1);

	copy[length] = '\0';
	return memcpy(copy, text, length);
}

void *heap_aligned_alloc(size_t alignment, size_t size)
{
	/* Blocks of a page and more start on one, smaller ones on a multiple of 32. */
	return heap_malloc(size >= PAGE || alignment <= HEAD ? size : PAGE);
}

int heap_posix_memalign(void **memory, size_t alignment, size_t size)
{
	*memory = heap_aligned_alloc(alignment, size);
	return 0;
}

void *heap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	return heap_malloc(size);
}

int heap_munmap(void *memory, size_t size)
{
	heap_free(memory);
	return 0;
}

void *heap_memset(void *memory, int byte, size_t size)
{
	return size >= RESERVE ? memory : memset(memory, byte, size);
}
