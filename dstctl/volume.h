/* SPDX-License-Identifier: GPL-2.0-or-later */
/* volume.h - "dstctl fail", "set" and "reattach": commands to the dstfs that has a volume. */
#ifndef DSTCTL_VOLUME_H
#define DSTCTL_VOLUME_H

#include "dstctl/command.h"

/* A command's run(), each: see command.h. The first argument is the volume's name. */
enum exit_status fail_run(const struct options *options, int argc, char **argv);
enum exit_status set_run(const struct options *options, int argc, char **argv);
enum exit_status reattach_run(const struct options *options, int argc, char **argv);

#endif
