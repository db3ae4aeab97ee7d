/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.c - see server.h. Replaces listener.h and the control socket; the rest of the server is the real
 * one.
 */
#include "server/server.h"

#include "common/control.h"
#include "server/listener.h"
#include "server/worker.h"
#include "test/sim/disk.h"
#include "test/sim/heap.h"
#include "test/sim/model.h"
#include "test/sim/net.h"
#include "test/sim/server.h"
#include "test/sim/system.h"

#include <netinet/in.h>
#include <string.h>

#define STOP_TIMEOUT (10 * SEC)

static struct sim_server_config config;
static struct server *server; /* NULL: not running */
static struct dstd_options options;
static struct export_config export;

static struct sim_process *process(void)
{
	return &sim.processes[HOST_SERVER];
}

/* ---- listener.h ---- */

static void accepted(int fd)
{
	struct sim_process *before = sim_enter(process());
	struct worker *worker = server->workers[sim_random(server->worker_count)];
	struct lane_peer peer = {.text = "client"};

	((struct sockaddr_in *)&peer.who.address.address)->sin_family = AF_INET;
	((struct sockaddr_in *)&peer.who.address.address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer.who.address.length = sizeof(struct sockaddr_in);
	worker_accept(worker, fd, &peer);
	sim_leave(before);
}

int listeners_open(struct server *s, const struct listen_config *configs, char *reason,
		   size_t reason_size)
{
	net_listen(accepted);
	return 0;
}

void listeners_close(struct server *s)
{
	net_listen(NULL);
}

/* ---- control.h ---- */

struct control *control_new(struct loop *loop, const char *kind, const char *path, control_fn *fn,
			    void *arg, char *reason, size_t reason_size)
{
	return heap_malloc(1);
}

void control_free(struct control **control)
{
	heap_free(*control);
	*control = NULL;
}

const char *control_path(const struct control *control)
{
	return "";
}

json_t *control_string(const char *text)
{
	return NULL;
}

/* ---- life ---- */

static void gone(void)
{
	net_process_gone(HOST_SERVER);
	disk_process_gone();
	system_process_gone(HOST_SERVER);
	sim_process_kill(HOST_SERVER);
	server = NULL;
}

/* Its loop has stopped: server_run() would return now. */
static void stopped(void)
{
	struct sim_process *before;
	bool clean;

	sim_server_collect();
	before = sim_enter(process());
	clean = !server->exit_status && server_close(server);
	if (clean)
		heap_free(server);
	sim_leave(before);
	sim_trace("server: %s", clean ? "has stopped" : "has given up");
	if (clean && heap_blocks(process()->heap))
		sim_fail("the server stopped and left %zu blocks of memory",
			 heap_blocks(process()->heap));
	gone();
	model_restarted(); /* that it stopped in order may not have been stored */
}

void sim_server_start(void)
{
	struct sim_process *before;
	char reason[256];

	sim_process_start(HOST_SERVER);
	sim_trace("server: starts");
	before = sim_enter(process());
	process()->stopped = stopped;
	server = heap_calloc(1, sizeof(*server));
	if (server_open(server, &options, reason, sizeof(reason)))
		sim_fail("the server does not start: %s", reason);
	else
		server_run(server);
	sim_leave(before);
}

bool sim_server_running(void)
{
	return server;
}

void sim_server_stop(void)
{
	struct sim_process *before;

	if (!server || server->stopping)
		return;
	sim_count(COUNT_SERVER_STOPS);
	sim_trace("server: is stopped");
	before = sim_enter(process());
	server_stop(server);
	sim_leave(before);
}

void sim_server_crash(void)
{
	if (!server)
		return;
	sim_server_collect();
	sim_trace("server: is killed");
	gone();
	model_restarted();
}

void sim_server_collect(void)
{
	const struct export *e;

	if (!server)
		return;
	sim.counts[COUNT_SERVER_REFUSED] += server->refused;
	sim.counts[COUNT_SERVER_BAD_HEADERS] += server->bad_headers;
	for (e = server->catalog.exports; e; e = e->next)
		sim.counts[COUNT_SERVER_BAD_DIGESTS] += export_count(e, EXPORT_BAD_DIGESTS);
}

void sim_server_reset(const struct sim_server_config *c)
{
	config = *c;
	server = NULL;
	system_process_gone(HOST_SERVER);
	export = (struct export_config){.name = (char *)"vol0",
					.path = (char *)"/disk",
					.lease = config.lease,
					.sync = config.sync,
					.shared = config.shared};
	options = (struct dstd_options){
		.workers = config.workers,
		.max_clients = 64,
		.stop_timeout = STOP_TIMEOUT,
		.exports = &export,
	};
}
