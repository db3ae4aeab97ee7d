/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.h - a bar on the terminal for what takes long; nothing where stderr is none. */
#ifndef DSTCTL_PROGRESS_H
#define DSTCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "comparing" */
	uint64_t total; /* bytes */
	uint64_t began, shown; /* clock_now() */
	uint64_t first; /* bytes that were done when it began */
	bool visible;
};

void progress_begin(struct progress *p, const char *what, uint64_t done, uint64_t total);
void progress_show(struct progress *p, uint64_t done); /* bytes; as often as you like */
void progress_end(struct progress *p); /* takes the bar away */

#endif
