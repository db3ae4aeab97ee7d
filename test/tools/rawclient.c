/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rawclient.c - speaks the protocol with a dstd by hand, rightly and wrongly, and says what it thinks
 * of the answers.
 *
 *	rawclient PORT [NAME]...
 *	rawclient PORT --watch EXPORT
 *	rawclient PORT --hello EXPORT SESSION [epoch=EPOCH|takeover=EPOCH] [close]
 *	rawclient PORT --failing FILE
 *	rawclient PORT --stalling FOLDER [NAME]...
 *
 * Runs all scenarios, or those named, against 127.0.0.1:PORT, which must offer: "rw", 1 MiB; "ro",
 * 1 MiB, read-only; "big", 1 GiB, sparse; "denied", to nobody; "shared", 1 MiB, shared; "brief", 1 MiB,
 * with a short lease. Exit status 0: all is well. With
 * --watch it joins EXPORT, says so, and prints what notices tell until the server closes. With
 * --hello it asks to write to EXPORT, as a session whose id is the text SESSION, and prints "STATUS
 * EPOCH INSTANCE REASON", a "-" for what was not told; then it leaves, by CLOSE if told to. With
 * --failing it runs other scenarios, against a dstd whose syncs fail while FILE exists,
 * and with --stalling against one that stalling_preload.so holds up.
 */
#include "test/tools/rawclient/client.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

const char *failing, *stalling;

static const struct scenario *const groups[] = {
	hello_scenarios, request_scenarios, lane_scenarios, once_scenarios, fence_scenarios, NULL,
};
static const struct scenario *const failing_groups[] = {failing_scenarios, NULL};
static const struct scenario *const stalling_groups[] = {claim_scenarios, NULL};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return argc == 2 || failing || (stalling && argc == 4);
}

/* Is it well? */
static bool run_scenario(const struct scenario *s)
{
	double begin = seconds();

	scenario = s->name;
	failures = 0;
	s->run();
	printf("%s  %-62s %.2f s\n", failures ? "FAIL" : "ok  ", scenario, seconds() - begin);
	return !failures;
}

static void watch(const char *export_name)
{
	struct timeval forever = {.tv_sec = 0};
	struct connection c;

	scenario = "watch";
	join(&c, export_name, DST_PERM_READ | DST_PERM_WRITE);
	if (failures)
		exit(1);
	setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	puts("joined");
	while (fflush(stdout), receive(&c)) {
		char reason[DST_MAX_REASON + 1];
		struct wire_attrs attrs;

		if (answer.header.type != DST_NOTICE || answer.header.id != 0 ||
		    wire_attrs_decode(&attrs, answer.payload, answer.header.payload, reason))
			errx(1, "that was no notice");
		if (wire_has(&attrs, DST_ATTR_SIZE))
			printf("size %" PRIu64 "\n", attrs.size);
		if (wire_has(&attrs, DST_ATTR_INSTANCE))
			puts("instance");
		if (wire_has(&attrs, DST_ATTR_PERMISSIONS))
			printf("permissions %s\n",
			       attrs.permissions & DST_PERM_WRITE ? "rw" : "ro");
	}
	puts("closed");
	exit(failures > 0);
}

static void print_hex(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
}

/* "COUNTER-UUID", as --hello prints it. */
static struct wire_epoch parse_epoch(const char *text)
{
	struct wire_epoch epoch = {.counter = strtoull(text, (char **)&text, 10)};

	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		if (sscanf(text + 1 + (size_t)2 * i, "%2hhx", &epoch.uuid[i]) != 1)
			errx(2, "that is no epoch");
	return epoch;
}

static int greet(int argc, char **argv)
{
	struct wire_attrs attrs;
	struct connection c;
	bool close_it = false;
	int status;

	scenario = "hello";
	for (size_t i = 0, length = strlen(argv[1]); i < DST_ID_SIZE; i++)
		session[i] = i < length ? (uint8_t)argv[1][i] : 0;
	attrs = hello_attrs(argv[0], DST_PERM_READ | DST_PERM_WRITE);
	snprintf(attrs.client, sizeof(attrs.client), "%s", argv[1]);
	for (int i = 2; i < argc; i++) {
		if (!strncmp(argv[i], "epoch=", 6)) {
			attrs.has |= 1u << DST_ATTR_EPOCH;
			attrs.epoch = parse_epoch(argv[i] + 6);
		} else if (!strncmp(argv[i], "takeover=", 9)) {
			attrs.has |= 1u << DST_ATTR_TAKEOVER;
			attrs.takeover = parse_epoch(argv[i] + 9);
		} else {
			close_it = !strcmp(argv[i], "close");
		}
	}
	status = say_hello(&c, &attrs);
	printf("%d ", status);
	if (wire_has(&c.hello, DST_ATTR_EPOCH)) {
		printf("%" PRIu64 "-", c.hello.epoch.counter);
		print_hex(c.hello.epoch.uuid, DST_ID_SIZE);
	} else {
		putchar('-');
	}
	putchar(' ');
	if (wire_has(&c.hello, DST_ATTR_INSTANCE))
		print_hex(c.hello.instance, DST_ID_SIZE);
	else
		putchar('-');
	printf(" %s\n", wire_has(&c.hello, DST_ATTR_REASON) ? c.hello.reason : "-");
	if (close_it && !status) {
		ask_control(&c, DST_CLOSE);
		if (!receive(&c))
			complain("CLOSE is not answered");
	}
	return failures > 0;
}

int main(int argc, char **argv)
{
	const struct scenario *const *group;
	unsigned run = 0, failed = 0;

	if (argc < 2)
		errx(2, "usage: rawclient PORT [NAME]...");
	port = (uint16_t)atoi(argv[1]);
	for (unsigned i = 0; i < DST_ID_SIZE; i++)
		session[i] = (uint8_t)(getpid() >> i % 3 * 8);
	if (argc == 4 && !strcmp(argv[2], "--watch"))
		watch(argv[3]);
	if (argc >= 5 && !strcmp(argv[2], "--hello"))
		return greet(argc - 3, argv + 3);
	if (argc == 4 && !strcmp(argv[2], "--failing"))
		failing = argv[3];
	if (argc >= 4 && !strcmp(argv[2], "--stalling"))
		stalling = argv[3];
	for (group = failing    ? failing_groups
		     : stalling ? stalling_groups
				: groups;
	     *group; group++) {
		for (const struct scenario *s = *group; s->name; s++) {
			if (!wanted(s->name, argc, argv))
				continue;
			failed += !run_scenario(s);
			run++;
		}
	}
	printf("%u scenarios, %u failed\n", run, failed);
	return failed || !run;
}
