/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlap_preload.c - makes a program's writes slow, and watches which of them are under way
 * together.
 *
 *	OVERLAP_LOG=FILE OVERLAP_DELAY=MILLISECONDS LD_PRELOAD=overlap_preload.so PROGRAM...
 *
 * Each pwritev(2) and pwritev2(2) takes up to so many milliseconds more. FILE gets a line "overlap:
 * …" for each that shares bytes with another one under way, and "together: N" whenever more of
 * them are so than ever before.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

struct under_way {
	off_t begin, end;
	struct under_way *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct under_way *all;
static unsigned count, most, draws;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	const char *path = getenv("OVERLAP_LOG");
	FILE *file = path ? fopen(path, "a") : NULL;
	va_list args;

	if (!file)
		return;
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fclose(file);
}

static void enter(struct under_way *mine)
{
	const char *delay = getenv("OVERLAP_DELAY");
	struct timespec pause = {0, 0};

	pthread_mutex_lock(&lock);
	for (struct under_way *u = all; u; u = u->next)
		if (mine->begin < u->end && u->begin < mine->end)
			say("overlap: %lld to %lld and %lld to %lld\n", (long long)u->begin,
			    (long long)u->end, (long long)mine->begin, (long long)mine->end);
	mine->next = all;
	all = mine;
	if (++count > most) {
		most = count;
		say("together: %u\n", most);
	}
	draws = draws * 1103515245 + 12345;
	if (delay)
		pause.tv_nsec = (long)((draws >> 8) % (unsigned)(atoi(delay) * 1000 + 1)) * 1000;
	pthread_mutex_unlock(&lock);
	nanosleep(&pause, NULL);
}

static void leave(struct under_way *mine)
{
	int saved = errno;

	pthread_mutex_lock(&lock);
	for (struct under_way **link = &all; *link; link = &(*link)->next)
		if (*link == mine) {
			*link = mine->next;
			break;
		}
	count--;
	pthread_mutex_unlock(&lock);
	errno = saved;
}

static off_t length_of(const struct iovec *iov, int parts)
{
	off_t length = 0;

	for (int i = 0; i < parts; i++)
		length += (off_t)iov[i].iov_len;
	return length;
}

ssize_t pwritev2(int fd, const struct iovec *iov, int parts, off_t offset, int flags)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t, int) =
		dlsym(RTLD_NEXT, "pwritev64v2");
	struct under_way mine = {offset, offset + length_of(iov, parts), NULL};
	ssize_t n;

	if (flags & RWF_NOWAIT) { /* a loop's thread, which must not wait */
		errno = EAGAIN;
		return -1;
	}
	enter(&mine);
	n = real(fd, iov, parts, offset, flags);
	leave(&mine);
	return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int parts, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "pwritev64");
	struct under_way mine = {offset, offset + length_of(iov, parts), NULL};
	ssize_t n;

	enter(&mine);
	n = real(fd, iov, parts, offset);
	leave(&mine);
	return n;
}
