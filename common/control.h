/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the admin's way in: JSON lines over a unix socket, one per mount or server.
 *
 * A request is one line, an object with "command" and arguments of its own, at most
 * CONTROL_MAX_LINE bytes; the answer is one line: {"ok": true, …} or {"ok": false, "error": "…"}.
 * Requests of a connection are answered one after the other, in order. A line that is too long, or
 * that ends without a newline, is answered with an error, and the connection is closed.
 *
 * The socket has mode 0600 and lies in $XDG_RUNTIME_DIR/dstfs/ for a user (in /tmp/dstfs-UID/ if
 * there is no such folder of the user's own), in /run/dstfs/ for root; its name is KIND-PID.sock,
 * KIND being "dstfs" or "dstd". Only its owner and root are answered.
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include "common/loop.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_MAX_LINE (64u << 10) /* bytes of a request, its newline included */
#define CONTROL_MAX_ANSWER (16u << 20) /* bytes of an answer, its newline included */
#define CONTROL_MAX_CLIENTS 16u
#define CONTROL_MAX_PATH 98u /* bytes of a socket's path: sun_path less a temporary suffix */
#define CONTROL_MAX_FOLDERS 3u
#define CONTROL_IDLE_SEC 30u /* without a whole request, or taking any of an answer: closed */

/*
 * Answers one command: returns a new object (the caller adds "ok"), or NULL with the cause in
 * reason. Runs in the loop's thread and doesn't block. It must not call control_free().
 */
typedef json_t *control_fn(void *arg, const char *command, const json_t *request, char *reason,
			   size_t reason_size);

struct control;

/*
 * The folder for this user's sockets into path; created with mode 0700 if `create`. 0 or errno:
 * ENOENT if it isn't there, EPERM if it isn't this user's or others may write to it (path is set).
 */
int control_folder(char *path, size_t size, bool create);

/*
 * All folders in which sockets of this user's daemons may lie, whatever their environment was:
 * those that exist and are safe, each once, control_folder()'s first. Returns how many.
 */
unsigned control_folders(char paths[CONTROL_MAX_FOLDERS][CONTROL_MAX_PATH + 1]);

/* A JSON string of any bytes: each that isn't part of valid UTF-8 becomes U+FFFD. NULL: no memory. */
json_t *control_string(const char *text);

/*
 * Opens the socket and serves it. `path` (absolute, at most CONTROL_MAX_PATH bytes) NULL: the
 * conventional name for `kind` (see above); then other stale sockets of the folder are removed, too.
 * A stale socket of a dead process is replaced, one that somebody answers at is not. The folder must
 * belong to this user (or root, if `path` is given), and to nobody else's writing. NULL: cause in
 * reason.
 */
struct control *control_new(struct loop *loop, const char *kind, const char *path, control_fn *fn,
			    void *arg, char *reason, size_t reason_size);
const char *control_path(const struct control *control);
void control_set_idle(struct control *control, uint64_t idle); /* ns, instead of CONTROL_IDLE_SEC */
void control_free(struct control **control); /* and its clients; removes its socket */

/*
 * The client's side, blocking, for dstctl: sends one request and returns its answer, an object, its
 * "ok" true or false; or NULL with the cause in reason and errno (ECONNREFUSED or ENOENT: nobody is
 * there). timeout in milliseconds, for all of it.
 */
json_t *control_call(const char *path, const json_t *request, int timeout, char *reason,
		     size_t reason_size);

#endif
