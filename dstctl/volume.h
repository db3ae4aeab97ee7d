/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume.h - "dstctl fail", "set" and "reattach": commands to the dstfs that has a volume. */
#ifndef DSTCTL_VOLUME_H
#define DSTCTL_VOLUME_H

#include "dstctl/command.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Sends the command, whose arguments are the rest of `request`, which is taken over, to the dstfs that
 * has the volume. Returns its answer, or NULL: stderr tells why.
 */
json_t *volume_call(const struct options *options, const char *command, const char *volume,
		    json_t *request);

/* What that dstfs's status says of the volume, a new reference; NULL: stderr tells why. */
json_t *volume_find(const struct options *options, const char *volume);

/* Has some dstfs that the options pick, or any, a volume of that name? */
bool volume_is_mounted(const struct options *options, const char *volume);

/* Calls visit() for each mirror of the tree of this volume's nodes. Returns how many there are. */
unsigned volume_each_mirror(const json_t *volume, void (*visit)(void *arg, const json_t *mirror),
			    void *arg);

/* A command's run(), each: see command.h. The first argument is the volume's name. */
enum exit_status fail_run(const struct options *options, int argc, char **argv);
enum exit_status set_run(const struct options *options, int argc, char **argv);
enum exit_status reattach_run(const struct options *options, int argc, char **argv);

#endif
