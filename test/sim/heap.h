/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heap.h - the memory of a simulated process: gone as a whole when the process is killed, and known
 * to be given back when it ends in good order.
 *
 * The real code's malloc() and its kin, mmap() included, are renamed to the functions below when
 * the simulator is linked. They serve the process whose code runs. Built with AddressSanitizer, each
 * block is the sanitizer's own; otherwise blocks are cut from one area and reused by size.
 */
#ifndef TEST_SIM_HEAP_H
#define TEST_SIM_HEAP_H

#include <stddef.h>
#include <sys/types.h>

struct heap *heap_new(void);
void heap_clear(struct heap *heap); /* all blocks are gone */
size_t heap_blocks(const struct heap *heap); /* that were not given back */

void *heap_malloc(size_t size);
void *heap_calloc(size_t count, size_t size);
void *heap_realloc(void *block, size_t size);
void heap_free(void *block);
char *heap_strdup(const char *text);
char *heap_strndup(const char *text, size_t most);
int heap_posix_memalign(void **block, size_t alignment, size_t size);
void *heap_aligned_alloc(size_t alignment, size_t size);
void *heap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int heap_munmap(void *block, size_t size);

/* Like memset(), but doesn't touch what is there only to be reserved. */
void *heap_memset(void *memory, int byte, size_t size);

#endif
