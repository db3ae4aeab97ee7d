/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - dstfs: mounts, runs, and ends in an orderly way.
 *
 * Start: options, background, volumes, FUSE mount, control socket; ready when the kernel's INIT is
 * answered and each volume has had its first answer or failure (or READY_PATIENCE has passed).
 * End (unmounted, SIGTERM, SIGINT): unmount, flush every volume within stop_timeout, end what is
 * left, and say so if acknowledged bytes may not be durable.
 */
#include "common/clock.h"
#include "common/control.h"
#include "common/daemon.h"
#include "common/log.h"
#include "dstfs/admin.h"
#include "dstfs/fuse_ops.h"
#include "dstfs/fuse_port.h"
#include "dstfs/last_flush.h"
#include "dstfs/mount.h"
#include "dstfs/options.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_PATIENCE (2 * CLOCK_SEC)
#define REASON_MAX 1024
#define EXIT_NOT_DURABLE 3

static const int signals_handled[] = {SIGTERM, SIGINT, SIGHUP};
#define SIGNALS (sizeof(signals_handled) / sizeof(*signals_handled))

struct dstfs {
	struct dstfs_options options;
	struct mount mount;
	struct fuse_ops ops;
	struct fuse_session *session;
	_Atomic bool gone; /* set by a port; not beside flags that worker 0 reads in one go */
	struct fuse_port **ports; /* one per worker */
	struct loop_work *port_starts;
	struct control *control;
	struct loop_signal *signals[SIGNALS];
	struct loop_timer timer; /* the start's patience */
	struct loop_work ended; /* posted by a port: the mount is gone */
	struct last_flush last_flush;
	bool mounted, answering, ready;
	bool stopping; /* no requests come in any more */
	int status; /* of the process */
	char no_memory[REASON_MAX]; /* why memory may run out; empty: it won't */
};

static struct loop *main_loop(struct dstfs *d)
{
	return d->mount.workers[0].loop;
}

/* ---- start ---- */

static void become_ready(void *arg)
{
	struct dstfs *d = arg;
	const char *pidfile = d->options.pidfile;
	int error;

	if (d->ready || d->stopping || !d->answering)
		return;
	d->ready = true;
	loop_timer_cancel(&d->timer);
	for (unsigned i = 0; i < d->mount.volume_count; i++) {
		struct volume *volume = d->mount.volumes[i]->volume;
		struct target *target = volume_target(volume);
		char reason[REASON_MAX];

		if (target->state == TARGET_READY)
			continue;
		target->ops->reason(target, reason, sizeof(reason));
		log_warn("volume %s is not there yet: %s", volume_name(volume),
			 reason[0] ? reason : "no answer so far");
	}
	error = daemon_ready(pidfile);
	if (error) {
		log_error("%s: %s", pidfile, strerror(error));
		d->status = EXIT_FAILURE;
		loop_stop(main_loop(d));
		return;
	}
	if (!d->options.foreground)
		log_to_syslog();
	if (d->no_memory[0])
		log_info("%s", d->no_memory);
	log_info("ready: %s on %s, %u volume%s", d->options.fsname, d->options.mountpoint,
		 d->mount.volume_count, d->mount.volume_count == 1 ? "" : "s");
}

/* On worker 0, the only one that reads before INIT is answered. */
static void on_init(void *arg)
{
	struct dstfs *d = arg;

	d->answering = true;
	for (unsigned i = 1; i < d->mount.worker_count; i++)
		loop_post(d->mount.workers[i].loop, &d->port_starts[i]);
	/* Not from inside INIT: it is answered when this has returned. */
	loop_timer_set(&d->timer, mount_settled(&d->mount) ? 0 : READY_PATIENCE);
}

static void on_changed(struct mount_volume *mv)
{
	struct dstfs *d = (struct dstfs *)((char *)mv->mount - offsetof(struct dstfs, mount));

	fuse_ops_changed(&d->ops, mv);
	if (mount_settled(&d->mount))
		become_ready(d);
}

/* "fsname=…,subtype=dstfs,…" for libfuse; commas and backslashes in the name are escaped. NULL: no
 * memory. */
static char *mount_options(const struct dstfs_options *o)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("subtype=dstfs,default_permissions,fsname=", out);
	for (const char *c = o->fsname; *c; c++)
		fprintf(out, *c == ',' || *c == '\\' ? "\\%c" : "%c", *c);
	if (o->allow_other)
		fputs(",allow_other", out);
	if (o->auto_unmount)
		fputs(",auto_unmount", out);
	if (o->fuse_options)
		fprintf(out, ",%s", o->fuse_options);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static struct fuse_session *new_session(struct dstfs *d)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	char *text = mount_options(&d->options);

	if (text && !fuse_opt_add_arg(&args, "dstfs") && !fuse_opt_add_arg(&args, "-o") &&
	    !fuse_opt_add_arg(&args, text) && (!d->options.debug || !fuse_opt_add_arg(&args, "-d")))
		session = fuse_session_new(&args, &fuse_ops_table, sizeof(fuse_ops_table), &d->ops);
	fuse_opt_free_args(&args);
	free(text);
	return session;
}

static void run_ended(void *arg)
{
	struct dstfs *d = arg;

	if (d->stopping) /* it is over already; the loop may be busy with the last flush */
		return;
	log_info("%s was unmounted", d->options.mountpoint);
	loop_stop(main_loop(d));
}

/* Any worker's thread; several may see the end. */
static void on_ended(void *arg)
{
	struct dstfs *d = arg;

	if (!atomic_exchange(&d->gone, true))
		loop_post(main_loop(d), &d->ended);
}

static void start_port(void *arg)
{
	fuse_port_start(arg);
}

/* Mounts, and reads requests on every worker. 0 or an errno; libfuse has told why. */
static int start_fuse(struct dstfs *d)
{
	int error = fuse_ops_init(&d->ops, &d->mount, on_init, d);

	if (error)
		return error;
	d->session = new_session(d);
	d->ports = calloc(d->mount.worker_count, sizeof(*d->ports));
	d->port_starts = calloc(d->mount.worker_count, sizeof(*d->port_starts));
	if (!d->session || !d->ports || !d->port_starts)
		return ENOMEM;
	if (fuse_session_mount(d->session, d->options.mountpoint))
		return EIO;
	d->mounted = true;
	d->ops.session = d->session;
	error = fuse_port_prepare_session(d->session);
	for (unsigned i = 0; i < d->mount.worker_count && !error; i++) {
		d->ports[i] = fuse_port_new(d->session, &d->mount.workers[i], on_ended, d);
		if (!d->ports[i])
			error = ENOMEM;
		d->port_starts[i] = (struct loop_work){.callback = start_port, .arg = d->ports[i]};
	}
	if (!error)
		fuse_port_start(d->ports[0]); /* the others follow once INIT is answered */
	return error;
}

/* ---- while it runs ---- */

static void reload(struct dstfs *d)
{
	struct volume_config *volumes = NULL;
	char reason[REASON_MAX];

	if (!d->options.config_file) {
		log_info("SIGHUP: there is no configuration file to read again");
		return;
	}
	daemon_notify("RELOADING=1");
	if (options_reload(&d->options, &volumes, reason, sizeof(reason)))
		log_error("the configuration stays as it was: %s", reason);
	else
		mount_reload(&d->mount, volumes);
	options_free_volumes(&volumes);
	daemon_notify("READY=1");
}

static void on_signal(void *arg, int signal)
{
	struct dstfs *d = arg;

	if (signal == SIGHUP) {
		if (!d->stopping)
			reload(d);
		return;
	}
	/* A second one ends the last flush: somebody is in a hurry. */
	log_info("stopping%s: %s", d->stopping ? " at once" : "", strsignal(signal));
	loop_stop(main_loop(d));
}

static json_t *on_command(void *arg, const char *command, const json_t *request, char *reason,
			  size_t size)
{
	struct dstfs *d = arg;

	return admin_command(&d->mount, command, request, reason, size);
}

/* Requests that may wait longer than the kernel lets them end the whole mount (Linux 6.15+). */
static void warn_of_request_timeout(struct mount *mount)
{
	static const char *const paths[] = {"/proc/sys/fs/fuse/default_request_timeout",
					    "/proc/sys/fs/fuse/max_request_timeout"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		FILE *file = fopen(paths[i], "re");
		unsigned seconds = 0;

		if (file && fscanf(file, "%u", &seconds) != 1)
			seconds = 0;
		if (file)
			fclose(file);
		for (unsigned v = 0; v < mount->volume_count && seconds; v++) {
			struct volume *volume = mount->volumes[v]->volume;

			if (target_patience(volume_policy(volume)) < seconds * CLOCK_SEC)
				continue;
			log_warn("%s is %u s: the kernel will end this mount when an outage of "
				 "volume %s lasts longer",
				 paths[i], seconds, volume_name(volume));
			break;
		}
	}
}

static int start(struct dstfs *d)
{
	char reason[REASON_MAX] = "";
	int error = mount_init(&d->mount, &d->options, on_changed, reason, sizeof(reason));

	if (error) {
		log_error("%s", reason);
		return error;
	}
	warn_of_request_timeout(&d->mount);
	d->ended = (struct loop_work){.callback = run_ended, .arg = d};
	error = loop_timer_init(&d->timer, main_loop(d), become_ready, d);
	for (size_t i = 0; i < SIGNALS && !error; i++) {
		d->signals[i] = loop_signal_new(main_loop(d), signals_handled[i], on_signal, d);
		error = d->signals[i] ? 0 : ENOMEM;
	}
	for (unsigned i = 1; i < d->mount.worker_count && !error; i++)
		error = worker_start(&d->mount.workers[i]);
	if (error) {
		log_error("starting: %s", strerror(error));
		return error;
	}
	error = start_fuse(d);
	if (error) {
		log_error("mounting on %s failed", d->options.mountpoint);
		return error;
	}
	d->control = control_new(main_loop(d), "dstfs", d->options.control, on_command, d, reason,
				 sizeof(reason));
	if (!d->control)
		log_warn("no control socket, dstctl can't reach this mount: %s", reason);
	return 0;
}

/* ---- end ---- */

/*
 * No more requests come in: the workers stop, what was under way is answered with EIO, and the
 * kernel's mount goes, detached if it is busy. In this order, since unmounting closes the device,
 * whose number the next descriptor gets.
 */
static void stop_requests(struct dstfs *d)
{
	d->stopping = true;
	control_free(&d->control);
	for (unsigned i = 0; i < d->mount.worker_count; i++)
		worker_join(&d->mount.workers[i]);
	for (unsigned i = 0; i < d->mount.worker_count; i++)
		loop_run_posted(d->mount.workers[i].loop); /* it names ports and requests */
	for (unsigned i = 0; i < d->mount.worker_count; i++)
		fuse_port_free(&d->ports[i]);
	fuse_ops_cancel_all(&d->ops);
	fuse_session_unmount(d->session);
	d->ops.session = NULL; /* nobody to notify */
}

static void stop(struct dstfs *d)
{
	daemon_notify("STOPPING=1");
	stop_requests(d);
	if (last_flush(&d->last_flush, &d->mount, d->options.stop_timeout) && !d->status)
		d->status = EXIT_NOT_DURABLE;
	fuse_session_destroy(d->session);
	fuse_ops_destroy(&d->ops);
	for (size_t i = 0; i < SIGNALS; i++)
		loop_signal_free(&d->signals[i]);
	loop_timer_destroy(&d->timer);
	mount_destroy(&d->mount);
	free(d->ports);
	free(d->port_starts);
	if (d->ready)
		daemon_remove_pidfile(d->options.pidfile);
}

/* A start that failed: nothing was promised to anyone, so the process just ends, after it has
 * taken its mount away. */
static int give_up(struct dstfs *d)
{
	if (d->mounted)
		fuse_session_unmount(d->session);
	control_free(&d->control);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct dstfs d; /* zeroed, and reachable to the end */
	enum options_outcome outcome = options_parse(&d.options, argc, argv);
	int error;

	if (outcome != OPTIONS_RUN)
		return outcome == OPTIONS_DONE ? EXIT_SUCCESS : 2;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write past RLIMIT_FSIZE is that write's error */
	log_init("dstfs", d.options.debug || d.options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	if (!d.options.foreground) {
		error = daemon_fork();
		if (error) {
			log_error("going to the background: %s", strerror(error));
			return EXIT_FAILURE;
		}
	}
	daemon_keep_memory(d.no_memory, sizeof(d.no_memory));
	if (start(&d))
		return give_up(&d);
	loop_run(main_loop(&d));
	stop(&d);
	options_free(&d.options);
	return d.status;
}
