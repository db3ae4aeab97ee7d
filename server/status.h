/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status.h - the control socket's commands. */
#ifndef SERVER_STATUS_H
#define SERVER_STATUS_H

#include <jansson.h>
#include <stddef.h>

/* A control_fn (see common/control.h); arg is the struct server. */
json_t *status_command(void *arg, const char *command, const json_t *request, char *reason,
		       size_t reason_size);

#endif
