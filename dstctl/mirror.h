/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mirror.h - "dstctl mirror": work on the nodes of a mirror that isn't mounted. */
#ifndef DSTCTL_MIRROR_H
#define DSTCTL_MIRROR_H

#include "dstctl/command.h"

/* A command's run(): see command.h. The arguments are what to do, and the volume's name. */
enum exit_status mirror_run(const struct options *options, int argc, char **argv);

#endif
