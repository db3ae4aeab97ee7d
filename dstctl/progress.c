/* SPDX-License-Identifier: GPL-2.0-or-later */
/* progress.c - see progress.h */
#include "dstctl/progress.h"

#include "common/clock.h"
#include "dstctl/human.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR 30u /* characters */
#define INTERVAL (100 * CLOCK_MS) /* between two looks of it */

void progress_begin(struct progress *p, const char *what, uint64_t done, uint64_t total)
{
	*p = (struct progress){
		.what = what,
		.total = total,
		.first = done,
		.began = clock_now(),
		.visible = total && isatty(STDERR_FILENO),
	};
}

void progress_show(struct progress *p, uint64_t done)
{
	char bar[BAR + 1], speed[HUMAN_NUMBER], left[HUMAN_NUMBER] = "-";
	uint64_t now = clock_now(), moved = done > p->first ? done - p->first : 0;
	double seconds = (double)(now - p->began) / CLOCK_SEC;
	double rate = seconds > 0 ? (double)moved / seconds : 0;
	unsigned filled;

	if (!p->visible || (p->shown && now - p->shown < INTERVAL))
		return;
	p->shown = now;
	if (done > p->total)
		done = p->total;
	filled = (unsigned)((double)done / (double)p->total * BAR);
	memset(bar, '#', filled);
	memset(bar + filled, '.', BAR - filled);
	bar[BAR] = 0;
	if (rate > 0)
		human_duration((int64_t)((double)(p->total - done) / rate), left);
	fprintf(stderr, "\r%s [%s] %3u%%, %s/s, %s left\033[K", p->what, bar,
		(unsigned)((double)done / (double)p->total * 100), human_size((int64_t)rate, speed),
		left);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->visible = false;
}
