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
static struct server *servers[NODES_MOST]; /* NULL: not running */
static struct dstd_options options;
static struct export_config export;

static struct sim_process *process(unsigned node)
{
	return &sim.processes[HOST_SERVER + node];
}

/* ---- listener.h ---- */

static void accepted(enum sim_host host, int fd)
{
	unsigned node = host - HOST_SERVER;
	struct server *server = servers[node];
	struct sim_process *before = sim_enter(process(node));
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
	net_listen(sim.current->host, accepted);
	return 0;
}

void listeners_close(struct server *s)
{
	net_listen(sim.current->host, NULL);
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

static void gone(unsigned node)
{
	enum sim_host host = HOST_SERVER + node;

	net_process_gone(host);
	disk_process_gone(node);
	system_process_gone(host);
	sim_process_kill(host);
	servers[node] = NULL;
}

/* Its loop has stopped: server_run() would return now. */
static void stopped(struct sim_process *which)
{
	unsigned node = which->host - HOST_SERVER;
	struct server *server = servers[node];
	struct sim_process *before;
	bool clean;

	sim_server_collect(node);
	before = sim_enter(which);
	clean = !server->exit_status && server_close(server);
	if (clean)
		heap_free(server);
	sim_leave(before);
	sim_trace("server %c: %s", 'a' + (int)node, clean ? "has stopped" : "has given up");
	if (clean && heap_blocks(which->heap))
		sim_fail("the server stopped and left %zu blocks of memory",
			 heap_blocks(which->heap));
	gone(node);
	model_restarted(); /* that it stopped in order may not have been stored */
}

void sim_server_start(unsigned node)
{
	struct sim_process *before;
	struct server *server;
	char reason[256];

	sim_process_start(HOST_SERVER + node);
	sim_trace("server %c: starts", 'a' + (int)node);
	before = sim_enter(process(node));
	process(node)->stopped = stopped;
	server = servers[node] = heap_calloc(1, sizeof(*server));
	if (server_open(server, &options, reason, sizeof(reason)))
		sim_fail("the server does not start: %s", reason);
	else
		server_run(server);
	sim_leave(before);
}

bool sim_server_running(unsigned node)
{
	return servers[node];
}

void sim_server_stop(unsigned node)
{
	struct server *server = servers[node];
	struct sim_process *before;

	if (!server || server->stopping)
		return;
	sim_count(COUNT_SERVER_STOPS);
	sim_trace("server %c: is stopped", 'a' + (int)node);
	before = sim_enter(process(node));
	server_stop(server);
	sim_leave(before);
}

void sim_server_crash(unsigned node)
{
	if (!servers[node])
		return;
	sim_server_collect(node);
	sim_trace("server %c: is killed", 'a' + (int)node);
	gone(node);
	model_restarted();
}

void sim_server_collect(unsigned node)
{
	const struct server *server = servers[node];
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
	for (unsigned node = 0; node < NODES_MOST; node++) {
		servers[node] = NULL;
		system_process_gone(HOST_SERVER + node);
	}
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
