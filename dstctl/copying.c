/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copying.c - see copying.h. A volume may have several mirrors in its tree: what is asked of the volume
 * is asked of all of them. What is watched is looked at twice a second, and goes on if nobody watches.
 */
#include "dstctl/copying.h"

#include "common/clock.h"
#include "dstctl/human.h"
#include "dstctl/progress.h"
#include "dstctl/volume.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_INTERVAL (500 * CLOCK_MS)

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static enum exit_status no_mirror(const char *volume)
{
	char *name = human_clean(human_format("%s", volume));

	fprintf(stderr, "dstctl: volume %s is not a mirror\n", name);
	free(name);
	return EXIT_USAGE;
}

/* ---- is ---- */

/* From the best to the worst: the state of several mirrors is that of the worst. */
static const char *const sync_words[] = {"in-sync", "resyncing", "degraded", "failed"};

#define WORDS (sizeof(sync_words) / sizeof(sync_words[0]))

static unsigned rank(const char *word)
{
	unsigned i = 0;

	while (i < WORDS && strcmp(sync_words[i], word) != 0)
		i++;
	return i;
}

static void note_worst(void *arg, const json_t *mirror)
{
	unsigned *worst = arg, r = rank(text_of(mirror, "sync"));

	if (r > *worst)
		*worst = r;
}

enum exit_status is_run(const struct options *options, int argc, char **argv)
{
	unsigned worst = 0, mirrors;
	json_t *volume;

	if (rank(argv[1]) == WORDS) {
		fprintf(stderr, "dstctl: is: the state is one of in-sync, resyncing, degraded, "
				"failed\n");
		return EXIT_USAGE;
	}
	volume = volume_find(options, argv[0]);
	if (!volume)
		return EXIT_USAGE; /* it can't be told, which is not a no */
	mirrors = volume_each_mirror(volume, note_worst, &worst);
	json_decref(volume);
	if (!mirrors)
		return no_mirror(argv[0]);
	return worst == rank(argv[1]) ? EXIT_OK : EXIT_FAILED;
}

/* ---- jobs ---- */

/* The sum of the jobs of one kind. */
struct watched {
	const char *job;
	unsigned count, running;
	int64_t total, done;
	int64_t differing, mended, unreadable, left_out;
	bool failed; /* or stopped */
	bool tell; /* findings and errors are printed */
};

static int64_t number(const json_t *object, const char *name)
{
	int64_t value = human_count(object, name);

	return value < 0 ? 0 : value;
}

static void tell_findings(const json_t *job)
{
	const json_t *finding, *node;
	size_t i, n;

	json_array_foreach(json_object_get(job, "findings"), i, finding)
	{
		char *state = human_field(finding, "state");

		printf("  %" PRId64 " bytes at %" PRId64 ": %s:", number(finding, "length"),
		       number(finding, "offset"), state);
		free(state);
		json_array_foreach(json_object_get(finding, "nodes"), n, node)
		{
			char *name = human_clean(human_format(
				"%s", json_string_value(node) ? json_string_value(node) : "-"));

			printf(" %s", name);
			free(name);
		}
		putchar('\n');
	}
}

static void add_job(struct watched *w, const json_t *job)
{
	const char *state = text_of(job, "state");
	char *error;

	w->count++;
	w->running += !strcmp(state, "running") || !strcmp(state, "paused");
	w->failed |= !strcmp(state, "failed") || !strcmp(state, "stopped");
	w->total += number(job, "total");
	w->done += number(job, "done");
	w->differing += number(job, "differing");
	w->mended += number(job, "mended");
	w->unreadable += number(job, "unreadable");
	w->left_out += number(job, "findings_left_out");
	if (!w->tell)
		return;
	tell_findings(job);
	if (strcmp(state, "done") != 0) {
		error = human_field(job, "error");
		fprintf(stderr, "dstctl: it %s: %s\n",
			strcmp(state, "stopped") ? "failed" : "was stopped", error);
		free(error);
	}
}

static void add_jobs(void *arg, const json_t *mirror)
{
	struct watched *w = arg;
	const json_t *job;
	size_t index;

	json_array_foreach(json_object_get(mirror, "jobs"), index,
			   job) if (!strcmp(text_of(job, "job"), w->job)) add_job(w, job);
}

/* Looks once. False: the volume is gone, stderr tells; or it has no mirror. */
static bool look(const struct options *options, const char *name, struct watched *w)
{
	json_t *volume = volume_find(options, name);
	unsigned mirrors = volume ? volume_each_mirror(volume, add_jobs, w) : 0;

	if (volume && !mirrors)
		no_mirror(name);
	json_decref(volume);
	return mirrors;
}

/* Shows a bar until none of them runs any more. False: the volume is gone. */
static bool watch(const struct options *options, const char *name, const char *job)
{
	struct progress progress = {.visible = false};
	bool there, began = false;
	struct watched w;

	for (;;) {
		w = (struct watched){.job = job};
		there = look(options, name, &w);
		if (!there || !w.running)
			break;
		if (!began)
			progress_begin(&progress, job, (uint64_t)w.done, (uint64_t)w.total);
		began = true;
		progress_show(&progress, (uint64_t)w.done);
		clock_sleep(LOOK_INTERVAL);
	}
	progress_end(&progress);
	return there;
}

/* ---- verify ---- */

enum exit_status verify_run(const struct options *options, int argc, char **argv)
{
	json_t *request = json_pack("{s:b}", "repair", (options->given & OPTION_REPAIR) != 0);
	struct watched w = {.job = "verify", .tell = true};
	bool stop = options->given & OPTION_STOP;
	char text[3][HUMAN_NUMBER];
	json_t *answer;

	if (!request)
		human_no_memory();
	if (options->from && json_object_set_new(request, "source", json_string(options->from)))
		human_no_memory();
	answer = volume_call(options, stop ? "verify-stop" : "verify", argv[0], request);
	json_decref(answer);
	if (!answer)
		return EXIT_FAILED;
	if (stop)
		return EXIT_OK;
	if (!watch(options, argv[0], "verify") || !look(options, argv[0], &w))
		return EXIT_FAILED;
	if (w.left_out)
		printf("  and %" PRId64 " more\n", w.left_out);
	printf("%s: %s differed, of which %s was mended; %s could not be read\n", argv[0],
	       human_size(w.differing + w.mended, text[0]), human_size(w.mended, text[1]),
	       human_size(w.unreadable, text[2]));
	return w.failed || w.differing || w.unreadable ? EXIT_FAILED : EXIT_OK;
}

/* ---- resync ---- */

enum exit_status resync_run(const struct options *options, int argc, char **argv)
{
	struct watched w = {.job = "resync"};
	char text[2][HUMAN_NUMBER];
	const char *command = NULL;
	json_t *answer;

	if (options->given & OPTION_PAUSE)
		command = "resync-pause";
	if (options->given & OPTION_RESUME)
		command = "resync-resume";
	if (command) {
		answer = volume_call(options, command, argv[0], json_object());
		json_decref(answer);
		if (!answer)
			return EXIT_FAILED;
	}
	if (options->given & OPTION_WATCH && !watch(options, argv[0], "resync"))
		return EXIT_FAILED;
	if (!look(options, argv[0], &w))
		return EXIT_FAILED;
	if (w.running)
		printf("%s: %s of %s done\n", argv[0], human_size(w.done, text[0]),
		       human_size(w.total, text[1]));
	else
		printf("%s: no resync is under way\n", argv[0]);
	return EXIT_OK;
}
