/* SPDX-License-Identifier: GPL-2.0-or-later */
/* copying.h - "dstctl is", "verify" and "resync": how far a mounted mirror's nodes are equal. */
#ifndef DSTCTL_COPYING_H
#define DSTCTL_COPYING_H

#include "dstctl/command.h"

/* A command's run(), each: see command.h. The first argument is the volume's name. */
enum exit_status is_run(const struct options *options, int argc, char **argv);
enum exit_status verify_run(const struct options *options, int argc, char **argv);
enum exit_status resync_run(const struct options *options, int argc, char **argv);

#endif
