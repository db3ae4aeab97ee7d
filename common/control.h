/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the admin's way in: JSON lines over a unix socket, one per mount or server.
 *
 * A request is one line, an object with "command" and arguments of its own, at most
 * CONTROL_MAX_LINE bytes; the answer is one line: {"ok": true, …} or {"ok": false, "error": "…"}.
 * The socket has mode 0600 and lies in $XDG_RUNTIME_DIR/dstfs/ for a user, in /run/dstfs/ for
 * root; its name is KIND-PID.sock, KIND being "dstfs" or "dstd".
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include "common/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_MAX_LINE (64u << 10) /* bytes of a request */
#define CONTROL_MAX_CLIENTS 16u

/*
 * Answers one command: returns a new object (the caller adds "ok"), or NULL with the cause in
 * reason. Runs in the loop's thread and doesn't block.
 */
typedef json_t *control_fn(void *arg, const char *command, const json_t *request, char *reason,
			   size_t reason_size);

struct control;

/* The folder for this user's sockets into path; created with mode 0700 if `create`. 0 or errno. */
int control_folder(char *path, size_t size, bool create);

/*
 * Opens the socket and serves it. `path` NULL: the conventional name for `kind` (see above). A stale
 * socket of a dead process is replaced. NULL: cause in reason.
 */
struct control *control_new(struct loop *loop, const char *kind, const char *path, control_fn *fn,
			    void *arg, char *reason, size_t reason_size);
const char *control_path(const struct control *control);
void control_free(struct control **control); /* removes the socket */

/* The client's side, blocking, for dstctl: sends one request and returns its answer, or NULL with
 * the cause in reason. timeout in milliseconds. */
json_t *control_call(const char *path, const json_t *request, int timeout, char *reason,
		     size_t reason_size);

#endif
