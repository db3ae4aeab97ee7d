/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror_action.h - what the actions of "dstctl mirror" share. */
#ifndef DSTCTL_MIRROR_ACTION_H
#define DSTCTL_MIRROR_ACTION_H

#include "dstctl/mirror_nodes.h"

#include <jansson.h>
#include <stdbool.h>

/* What an action works with: a mirror whose nodes are open and were read. */
struct action {
	const struct options *options;
	struct offline o;
	struct mirror_nodes nodes;
	json_t *json; /* what is printed at the end, if it is JSON */
};

/* Each line of it on stderr; returns EXIT_FAILED. */
__attribute__((format(printf, 1, 2))) enum exit_status action_complain(const char *format, ...);

bool action_given(const struct action *a, unsigned option); /* one of OPTION_* */
const char *action_name(const struct action *a, unsigned part);

/* All nodes must be there, for us alone; else stderr tells. */
bool action_all_there(const struct action *a);

/* The node of --from; o.count if none was given, or none is called so: *bad. */
unsigned action_find_source(const struct action *a, bool *bad);

/* The mirror that was used from here before isn't any more. */
void action_forget_witness(struct offline *o);

/* The witness of this machine says that this is the newest generation; else there is none. */
void action_keep_witness(struct action *a, const struct mirror_super *super);

/*
 * After what may be lost was printed: asks whether to go on, unless --yes was given. Without a terminal
 * the answer is no, and stderr tells of --yes.
 */
bool action_confirm(const struct options *options);

/* mirror_make.c, mirror_repair.c, mirror_choose.c */
enum exit_status action_create(struct action *a);
enum exit_status action_repair(struct action *a);
enum exit_status action_resolve(struct action *a);

/* mirror_live.c: of a mirror that is mounted; argv[0] is the volume, argv[1] of replace the node */
enum exit_status live_replace(const struct options *options, int argc, char **argv);
enum exit_status live_start(const struct options *options, int argc, char **argv);
enum exit_status live_resolve(const struct options *options, int argc, char **argv);

#endif
