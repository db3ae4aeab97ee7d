/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - dstd: serves files and block devices. Options, signals, and the way into the background. */
#include "common/daemon.h"
#include "common/log.h"
#include "server/options.h"
#include "server/server.h"
#include "server/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_signal(void *arg, int signal)
{
	struct server *server = arg;

	if (signal == SIGHUP)
		server_reload(server);
	else
		server_stop(server);
}

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Handles signals and serves. no_memory: see daemon_keep_memory(). Returns the exit status. */
static int serve(struct server *server, const char *no_memory)
{
	struct loop_signal *handlers[SIGNALS] = {NULL};
	const char *pidfile = server->options->pidfile;
	int error = 0, status = 1;

	for (size_t i = 0; i < SIGNALS && !error; i++) {
		handlers[i] =
			loop_signal_new(server->workers[0]->loop, signals[i], on_signal, server);
		if (!handlers[i])
			error = ENOMEM;
	}
	if (!error)
		error = daemon_ready(pidfile);
	if (error) {
		log_error("%s: %s", pidfile ? pidfile : "can't start", strerror(error));
	} else {
		if (!server->options->foreground)
			log_to_syslog();
		if (no_memory[0])
			log_info("%s", no_memory);
		status = server_run(server);
		daemon_remove_pidfile(pidfile);
	}
	for (size_t i = 0; i < SIGNALS; i++)
		loop_signal_free(&handlers[i]);
	return status;
}

int main(int argc, char **argv)
{
	struct dstd_options options;
	struct server server;
	char reason[512], no_memory[512];
	int status = 1, error;

	log_init("dstd", LOG_LEVEL_INFO);
	switch (options_parse(&options, argc, argv)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_ERROR:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	if (options.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write past RLIMIT_FSIZE is that write's error */
	if (!options.foreground) {
		error = daemon_fork();
		if (error) {
			log_error("can't go to the background: %s", strerror(error));
			return 1;
		}
	}
	daemon_keep_memory(no_memory, sizeof(no_memory));
	if (server_open(&server, &options, reason, sizeof(reason))) {
		log_error("%s", reason);
		/* No one has been let in yet, so there is nothing to wait for. */
	} else {
		status = serve(&server, no_memory);
		if (server.stopping && status) {
			/* What is stuck in the kernel can't be freed, only left. */
			control_free(&server.control);
			_exit(status);
		}
	}
	if (!server_close(&server))
		_exit(1);
	options_free(&options);
	return status;
}
