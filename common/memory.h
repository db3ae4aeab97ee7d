/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory.h - large areas, for payloads */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <stddef.h>

#define MEMORY_HUGE ((size_t)2 << 20) /* bytes of a huge page, where there are any */

/*
 * An area of its own of whole pages, cleared, of memory that is used once it is touched. From MEMORY_HUGE bytes on it
 * lies on huge pages if the system grants them: with many buffers in turn, what translates their
 * addresses costs nearly as much as copying their bytes. NULL: out of memory.
 */
void *memory_map(size_t size);
void memory_unmap(void *memory, size_t size); /* of memory_map(), with its size */

#endif
