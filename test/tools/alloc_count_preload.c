/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc_count_preload.c - counts the heap allocations of a program by who asked for them: the
 * program itself, or a library of its.
 *
 *	ALLOC_COUNT=FILE LD_PRELOAD=alloc_count_preload.so PROGRAM...
 *
 * FILE holds two native 64-bit numbers, always up to date: calls of malloc, calloc, realloc and
 * the aligned ones that came from the program's own code, and those that came from libraries.
 * What a library function like strdup() allocates is counted as the library's; our data path calls
 * none of these.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own entry points: no dlsym() is needed, which allocates by itself. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

struct counts {
	_Atomic uint64_t own, libraries;
};

static struct counts nowhere;
static struct counts *counts = &nowhere;
static uintptr_t text_begin, text_end; /* of the program */

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t begin, end;
	unsigned i;

	for (i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
			continue;
		begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		end = begin + info->dlpi_phdr[i].p_memsz;
		text_begin = begin;
		text_end = end;
	}
	return 1; /* the program comes first, and is all that is asked for */
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("ALLOC_COUNT");
	void *area;
	int fd;

	if (!path)
		return;
	dl_iterate_phdr(find_program, NULL);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct counts)) < 0)
		_exit(125);
	area = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		_exit(125);
	close(fd);
	counts = area;
}

static void count(const void *caller)
{
	uintptr_t at = (uintptr_t)caller;

	if (at >= text_begin && at < text_end)
		atomic_fetch_add_explicit(&counts->own, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&counts->libraries, 1, memory_order_relaxed);
}

#define COUNT() count(__builtin_return_address(0))

void *malloc(size_t size)
{
	COUNT();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	COUNT();
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	COUNT();
	return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	COUNT();
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	COUNT();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	COUNT();
	*out = __libc_memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}
