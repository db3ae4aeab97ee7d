/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.h - "dstctl node": commands about one node of a mirror that is mounted. */
#ifndef DSTCTL_NODE_H
#define DSTCTL_NODE_H

#include "dstctl/command.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * Gives the command, whose arguments are the rest of `request`, which is taken over, to the dstfs that has
 * the volume, and waits until it has ended. *order is then what the status says of it, a new reference, or
 * NULL; see mirror_orders_status(). False: it failed, stderr tells why.
 */
bool node_order(const struct options *options, const char *command, const char *volume,
		json_t *request, json_t **order);

/* A command's run(): see command.h. The arguments: action, volume, node. */
enum exit_status node_run(const struct options *options, int argc, char **argv);

#endif
