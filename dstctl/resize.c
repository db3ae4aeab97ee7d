/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.c - see resize.h */
#include "dstctl/resize.h"

#include "common/conf_key.h"
#include "dstctl/human.h"
#include "dstctl/node.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The command's arguments; NULL: stderr tells what is wrong. */
static json_t *make_request(const char *size)
{
	char text[256];
	const struct reason reason = {text, sizeof(text)};
	const struct conf_key key = {.name = "size", .least = 1, .most = INT64_MAX};
	const struct conf_value value = {.text = size, .key = &key, .reason = &reason};
	uint64_t bytes = 0;
	json_t *request;

	if (size && strcmp(size, "max") != 0 && conf_parse_size(&value, &bytes)) {
		fprintf(stderr, "dstctl: volume resize: %s; or write max\n", human_clean(text));
		return NULL;
	}
	request = bytes ? json_pack("{s:I}", "size", (json_int_t)bytes) : json_object();
	if (!request)
		human_no_memory();
	return request;
}

enum exit_status resize_run(const struct options *options, int argc, char **argv)
{
	json_t *request, *order;
	bool done;

	if (strcmp(argv[0], "resize") != 0) {
		fprintf(stderr, "dstctl: volume: the action is resize\n");
		return EXIT_USAGE;
	}
	request = make_request(argc > 2 ? argv[2] : NULL);
	if (!request)
		return EXIT_USAGE;
	done = node_order(options, "volume-resize", argv[1], request, &order);
	if (done) {
		const char *text = json_string_value(json_object_get(order, "text"));

		printf("%s:\n", argv[1]);
		human_lines(stdout, "  ", text ? text : "");
	}
	json_decref(order);
	return done ? EXIT_OK : EXIT_FAILED;
}
