/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize.h - "dstctl volume": a volume that is mounted gets another size. */
#ifndef DSTCTL_RESIZE_H
#define DSTCTL_RESIZE_H

#include "dstctl/command.h"

/* A command's run(): see command.h. The arguments: action, volume, perhaps its size. */
enum exit_status resize_run(const struct options *options, int argc, char **argv);

#endif
