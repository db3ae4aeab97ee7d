/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.h - what the fuzzers share: a program around LLVMFuzzerTestOneInput() for builds without
 * libFuzzer. Included once by each, which defines that function and make_input().
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FUZZ_INPUT_MOST (64u << 10) /* bytes that make_input() may make */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes an input of at most FUZZ_INPUT_MOST bytes from the generator's state: its size. */
static size_t make_input(uint8_t *out, uint64_t *state);

/* Not assert(): a fuzzer must bite in every build. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__,           \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* splitmix64: good enough, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- the program ---- */

static inline void run_exact(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees an overrun */

	must(exact);
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

static inline void run_random(unsigned long long count, unsigned long long seed)
{
	static uint8_t input[FUZZ_INPUT_MOST];

	for (unsigned long long i = 0; i < count; i++) {
		uint64_t state = seed + i; /* so that input i of a seed is input 0 of seed + i */

		run_exact(input, make_input(input, &state));
	}
	printf("%llu random inputs from seed %llu\n", count, seed);
}

/* The number of inputs run; a folder's files, without its folders. */
static inline unsigned run_path(const char *path)
{
	static uint8_t input[1 << 20];
	struct dirent *entry;
	struct stat st;
	unsigned runs = 0;
	size_t size;
	FILE *file;
	DIR *dir;

	if (stat(path, &st)) {
		perror(path);
		exit(1);
	}
	if (S_ISDIR(st.st_mode)) {
		dir = opendir(path);
		while (dir && (entry = readdir(dir))) {
			char name[4096];

			snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
			if (!stat(name, &st) && S_ISREG(st.st_mode))
				runs += run_path(name);
		}
		if (dir)
			closedir(dir);
		return runs;
	}
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		exit(1);
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	run_exact(input, size);
	return 1;
}

/* Weak: where libFuzzer is linked in, its own main is the program's. */
__attribute__((weak)) int main(int argc, char **argv)
{
	unsigned runs = 0;

	if (argc >= 3 && argc <= 4 && !strcmp(argv[1], "--random")) {
		run_random(strtoull(argv[2], NULL, 0), argc == 4 ? strtoull(argv[3], NULL, 0) : 1);
		return 0;
	}
	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s FILE|FOLDER... | --random COUNT [SEED]\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		runs += run_path(argv[i]);
	printf("%u inputs\n", runs);
	return 0;
}

#endif
