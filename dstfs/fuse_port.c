/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_port.c - see fuse_port.h */
#include "dstfs/fuse_port.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Then the connections get their turn: answers that wait there let callers go on. */
#define REQUESTS_PER_EVENT 64
#define BYTES_PER_EVENT (256u << 10)

/* The headers of a WRITE end where the buffer's page-aligned data begins. */
#define WRITE_HEADERS (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))

_Static_assert(WRITE_HEADERS <= BUF_HEADROOM, "a buffer's headroom holds a WRITE's headers");

/* From <linux/fuse.h> of Linux 6.6; older headers lack it. Bits 32.. are flags2. */
#define DIRECT_IO_ALLOW_MMAP_FLAGS2 (1u << (36 - 32))

struct fuse_port {
	struct fuse_session *session;
	struct worker *worker;
	struct loop_fd *device;
	struct buf *buf; /* the next request goes into it */
	struct buf_waiter waiter;
	struct loop_hook resume;
	void (*ended)(void *arg);
	void *ended_arg;
};

/*
 * libfuse hands a handler nothing that tells which of its readers it was called by, and its
 * session is shared by all of them. Set around fuse_session_process_buf() only.
 */
static _Thread_local struct fuse_port *current_port;

struct fuse_port *fuse_port_current(void)
{
	return current_port;
}

struct worker *fuse_port_worker(struct fuse_port *port)
{
	return port->worker;
}

struct buf *fuse_port_take_buf(struct fuse_port *port)
{
	struct buf *buf = port->buf;

	port->buf = NULL;
	return buf;
}

/* Reads and handles one request. Returns its bytes; 0: no more for now. */
static size_t read_one(struct fuse_port *port)
{
	struct fuse_buf request = {.mem = NULL};
	int n;

	if (!port->buf)
		port->buf = buf_get(port->worker->bufs);
	if (!port->buf) { /* every buffer waits for an answer: so does the kernel */
		loop_fd_want(port->device, 0);
		buf_wait(port->worker->bufs, &port->waiter);
		return 0;
	}
	request.mem = port->buf->data - WRITE_HEADERS;
	n = fuse_session_receive_buf(port->session, &request);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n <= 0) { /* unmounted: the session has exited. Anything else: the device is broken */
		if (n < 0 && n != -ENODEV)
			log_error("reading the FUSE device: %s", strerror(-n));
		loop_fd_want(port->device, 0);
		port->ended(port->ended_arg);
		return 0;
	}
	current_port = port;
	fuse_session_process_buf(port->session, &request);
	current_port = NULL;
	return (size_t)n;
}

static void on_device(void *arg, unsigned events)
{
	struct fuse_port *port = arg;
	size_t bytes = 0, n = 1;

	for (int i = 0; i < REQUESTS_PER_EVENT && n && bytes < BYTES_PER_EVENT; i++) {
		n = read_one(port);
		bytes += n;
	}
}

static void resume(void *arg)
{
	struct fuse_port *port = arg;

	loop_fd_want(port->device, LOOP_READ);
}

static void buf_came(void *arg)
{
	struct fuse_port *port = arg;

	loop_defer(port->worker->loop, &port->resume);
}

struct fuse_port *fuse_port_new(struct fuse_session *session, struct worker *worker,
				void (*ended)(void *arg), void *ended_arg)
{
	struct fuse_port *port = calloc(1, sizeof(*port));

	if (!port)
		return NULL;
	port->session = session;
	port->worker = worker;
	port->ended = ended;
	port->ended_arg = ended_arg;
	port->waiter = (struct buf_waiter){.callback = buf_came, .arg = port};
	port->resume = (struct loop_hook){.callback = resume, .arg = port};
	port->device = loop_fd_new(worker->loop, fuse_session_fd(session), on_device, port);
	if (!port->device)
		fuse_port_free(&port);
	return port;
}

void fuse_port_start(struct fuse_port *port)
{
	loop_fd_want(port->device, LOOP_READ);
}

void fuse_port_free(struct fuse_port **pointer)
{
	struct fuse_port *port = *pointer;

	*pointer = NULL;
	if (!port)
		return;
	buf_wait_cancel(&port->waiter);
	loop_defer_cancel(&port->resume);
	loop_fd_free(&port->device);
	buf_unref(&port->buf);
	free(port);
}

/* ---- INIT ---- */

/*
 * libfuse 3.14 can't ask for FUSE_DIRECT_IO_ALLOW_MMAP, so its answer to INIT gets the flag on its
 * way out. INIT is the first request of a mount, and its answer the first; but other workers may
 * answer theirs right after it.
 */
static _Atomic uint64_t init_unique; /* of the INIT that offers the flag; 0: none */

static ssize_t device_read(int fd, void *data, size_t size, void *userdata)
{
	const struct fuse_in_header *header = data;
	const struct fuse_init_in *init = (const void *)(header + 1);
	ssize_t n = read(fd, data, size);

	if (n >= (ssize_t)(sizeof(*header) + sizeof(*init)) && header->opcode == FUSE_INIT &&
	    init->flags & FUSE_INIT_EXT && init->flags2 & DIRECT_IO_ALLOW_MMAP_FLAGS2)
		init_unique = header->unique;
	return n;
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *header = iov[0].iov_base;

	if (init_unique && header->unique == init_unique && !header->error && count == 2 &&
	    iov[1].iov_len >= sizeof(struct fuse_init_out)) {
		struct fuse_init_out *init = iov[1].iov_base;

		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= DIRECT_IO_ALLOW_MMAP_FLAGS2;
		init_unique = 0;
	}
	return writev(fd, iov, count);
}

int fuse_port_prepare_session(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {.read = device_read, .writev = device_writev};
	int fd = fuse_session_fd(session);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return errno;
	return -fuse_session_custom_io(session, &io, fd);
}
