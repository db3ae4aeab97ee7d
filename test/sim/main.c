/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - runs schedules. Each follows from its seed alone: a seed that fails fails again, the same way.
 * Exit status: 0, or 1 if one failed, or 2 for a wrong command line.
 */
#include "test/sim/schedule.h"
#include "test/sim/shape.h"
#include "test/sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
	"usage: sim [OPTION]...\n"
	"Runs dstfs and dstd together in simulated time, on a simulated network and disk, with\n"
	"faults; each run follows from its seed.\n"
	"\n"
	"  --seed N            that seed only\n"
	"  --seeds A..B        these seeds\n"
	"  --count N           N fresh seeds (5000), from a random one on\n"
	"  --trace             print all that happens\n"
	"  --tail              print the last of what happened, if the seed fails\n"
	"  --counts            print how often each thing happened; none may be 0 in 5000 seeds\n"
	"  --seconds N         stop after N seconds\n"
	"  --shape N           volumes of this kind only: 0 a node, 1 mirror, 2 linear, 3 stripe,\n"
	"                      4 mirror of linear maps, 5 linear map of mirrors\n"
	"  --client-workers N, --server-workers N   instead of 1 to 4 at random\n";

#define MEDIAN_OPERATIONS 200u
#define MEDIAN_FAULTS 5u
#define COUNTED_FROM 5000u /* seeds of a batch in which nothing may be missing */
#define MOST 1024u /* operations or faults of a schedule that are told apart */

struct batch {
	uint64_t first, last; /* seeds */
	bool trace, tail, counts;
	unsigned seconds;
	struct schedule_options options;
	uint64_t ran, totals[COUNTS];
	unsigned operations[MOST], faults[MOST]; /* schedules with so many */
};

static unsigned median(const unsigned *histogram, uint64_t total)
{
	uint64_t seen = 0;
	unsigned i = 0;

	while (i < MOST - 1 && (seen += histogram[i]) * 2 < total)
		i++;
	return i;
}

static double seconds_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* 0, or 1 if something that should happen never did. */
static int print_counts(const struct batch *batch)
{
	int missing = 0;

	for (unsigned i = 0; i < COUNTS; i++) {
		bool zero = !batch->totals[i] && batch->ran >= COUNTED_FROM;

		printf("  %12llu  %s%s\n", (unsigned long long)batch->totals[i], count_texts[i],
		       zero ? "   <- never" : "");
		missing |= zero;
	}
	return missing;
}

static void add(struct batch *batch, const struct schedule_result *result)
{
	batch->ran++;
	for (unsigned i = 0; i < COUNTS; i++)
		batch->totals[i] += sim.counts[i];
	batch->operations[result->operations < MOST ? result->operations : MOST - 1]++;
	batch->faults[result->faults < MOST ? result->faults : MOST - 1]++;
}

/*
 * A seed has failed. Schedules are run without keeping track, for speed, so the same is run again, in
 * a program of its own since this one may be broken, which prints the last of what happened.
 */
static void tell_failure(const struct batch *batch, const char *why)
{
	char seed[32], client[16], server[16], kind[16], text[700];
	char *const argv[] = {(char *)"sim",
			      (char *)"--seed",
			      seed,
			      (char *)"--tail",
			      (char *)"--client-workers",
			      client,
			      (char *)"--server-workers",
			      server,
			      (char *)"--shape",
			      kind,
			      NULL};
	int n;

	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)sim.seed);
	snprintf(client, sizeof(client), "%u", batch->options.client_workers);
	snprintf(server, sizeof(server), "%u", batch->options.server_workers);
	snprintf(kind, sizeof(kind), "%d", batch->options.shape);
	n = snprintf(text, sizeof(text), "seed %s: %s\nall that happens: sim --seed %s --trace\n",
		     seed, why, seed);
	if (write(STDOUT_FILENO, text, (size_t)n) < 0 || batch->tail || batch->trace)
		return;
	execv("/proc/self/exe", argv);
}

static struct batch the_batch;

/* An assertion of the code under test, or worse. */
static void on_signal(int signal)
{
	if (sim.tail)
		sim_trace_tail();
	tell_failure(&the_batch, strsignal(signal));
	_exit(1);
}

static void catch_signals(void)
{
	static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER | SA_RESETHAND};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

static int run(struct batch *batch)
{
	double begin = seconds_of(CLOCK_MONOTONIC), worked;
	struct schedule_result result;
	int status = 0;

	if (!batch->tail)
		printf("seeds %llu to %llu\n", (unsigned long long)batch->first,
		       (unsigned long long)batch->last);
	fflush(stdout);
	catch_signals();
	for (uint64_t seed = batch->first; seed <= batch->last; seed++) {
		sim.tracing = batch->trace || batch->tail;
		sim.tail = batch->tail;
		schedule_run(seed, &batch->options, &result);
		if (sim.failed) {
			sim_trace_tail();
			fflush(stdout);
			tell_failure(batch, sim.why);
			return 1;
		}
		add(batch, &result);
		if (batch->seconds && seconds_of(CLOCK_MONOTONIC) - begin >= batch->seconds)
			break;
	}
	worked = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	if (batch->counts)
		status = print_counts(batch);
	printf("%llu schedules, %.0f in a processor's minute; median of operations %u, of faults "
	       "%u\n",
	       (unsigned long long)batch->ran, (double)batch->ran / worked * 60,
	       median(batch->operations, batch->ran), median(batch->faults, batch->ran));
	return status;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || (*end && strncmp(end, "..", 2) != 0)) {
		fprintf(stderr, "sim: \"%s\" is not a number\n", text);
		exit(2);
	}
	return n;
}

static uint64_t fresh_seed(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec << 20 ^ (uint64_t)ts.tv_nsec ^ (uint64_t)getpid() << 40) %
	       1000000000000ull;
}

static void parse(struct batch *batch, int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'S'},
		{"count", required_argument, NULL, 'n'},
		{"trace", no_argument, NULL, 't'},
		{"tail", no_argument, NULL, 'l'},
		{"counts", no_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 'T'},
		{"shape", required_argument, NULL, 'k'},
		{"client-workers", required_argument, NULL, 'w'},
		{"server-workers", required_argument, NULL, 'W'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *dots;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			batch->first = batch->last = number(optarg);
			break;
		case 'S':
			dots = strstr(optarg, "..");
			batch->first = number(optarg);
			batch->last = dots ? number(dots + 2) : batch->first;
			break;
		case 'n':
			batch->last = batch->first + number(optarg) - 1;
			break;
		case 't':
			batch->trace = true;
			break;
		case 'l':
			batch->tail = true;
			break;
		case 'c':
			batch->counts = true;
			break;
		case 'T':
			batch->seconds = (unsigned)number(optarg);
			break;
		case 'w':
			batch->options.client_workers = (unsigned)number(optarg) % 9;
			break;
		case 'W':
			batch->options.server_workers = (unsigned)number(optarg) % 9;
			break;
		case 'k':
			batch->options.shape = atoi(optarg) < SHAPES ? atoi(optarg) : -1;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			fputs(help, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct batch *batch = &the_batch;

	batch->options.shape = -1;
	batch->first = fresh_seed();
	batch->last = batch->first + COUNTED_FROM - 1;
	parse(batch, argc, argv);
	if (batch->seconds && batch->last == batch->first + COUNTED_FROM - 1)
		batch->last = UINT64_MAX / 2;
	return run(batch);
}
