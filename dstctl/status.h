/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.h - "dstctl status": what the daemons of this machine are doing. */
#ifndef DSTCTL_STATUS_H
#define DSTCTL_STATUS_H

#include "dstctl/command.h"

/* A command's run(): see command.h. */
enum exit_status status_run(const struct options *options, int argc, char **argv);

#endif
