/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_options_dstfs.c - what dstfs makes of its command line and its configuration file. */
#include "common/clock.h"
#include "common/text.h"
#include "dstfs/options.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 24

static char folder[] = "/tmp/dstfs-test-options.XXXXXX"; /* where the tests run */
static char said[16384]; /* what the last run printed */
static struct dstfs_options options;

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Parses "dstfs" and these arguments, ended by NULL; what goes to stdout and stderr is in `said`. */
static enum options_outcome run(const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 2] = {strdup("dstfs")};
	int count = 1, saved[2], file = open("said", O_RDWR | O_CREAT | O_TRUNC, 0600);
	enum options_outcome outcome;
	va_list list;

	va_start(list, first);
	for (const char *a = first; a && count <= ARGUMENTS_MAX; a = va_arg(list, const char *))
		arguments[count++] = strdup(a);
	va_end(list);
	assert_true(file >= 0);
	fflush(NULL);
	for (int fd = 1; fd <= 2; fd++) {
		saved[fd - 1] = dup(fd);
		dup2(file, fd);
	}
	options_free(&options);
	outcome = options_parse(&options, count, arguments);
	fflush(NULL);
	for (int fd = 1; fd <= 2; fd++) {
		dup2(saved[fd - 1], fd);
		close(saved[fd - 1]);
	}
	said[pread(file, said, sizeof(said) - 1, 0)] = '\0';
	close(file);
	for (int i = 0; i < count; i++)
		free(arguments[i]);
	return outcome;
}

/* Runs that must be refused, with one line on stderr that has this in it. */
#define refused(part, ...) check_refused(run(__VA_ARGS__, NULL), __LINE__, part)
static void check_refused(enum options_outcome outcome, int line, const char *part)
{
	if (outcome != OPTIONS_ERROR || !strstr(said, part))
		fail_msg("line %d: %d, %s", line, outcome, said);
	assert_memory_equal(said, "dstfs: ", 7);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_null(options.volumes);
	assert_null(options.mountpoint);
}

#define accepted(...) check_accepted(run(__VA_ARGS__, NULL), __LINE__)
static void check_accepted(enum options_outcome outcome, int line)
{
	if (outcome != OPTIONS_RUN || *said)
		fail_msg("line %d: %d, %s", line, outcome, said);
}

static const char *here(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void a_node_gives_one_volume_with_the_defaults(void **state)
{
	const struct volume_options *v;

	accepted("dst://127.0.0.1/vol0", "mnt");
	assert_string_equal(options.mountpoint, here("mnt"));
	assert_string_equal(options.source, "dst://127.0.0.1/vol0");
	assert_string_equal(options.fsname, options.source);
	assert_null(options.config_file);
	assert_null(options.pidfile);
	assert_null(options.control);
	assert_null(options.fuse_options);
	assert_false(options.foreground || options.debug || options.verbose);
	assert_false(options.allow_other || options.auto_unmount);
	assert_int_equal(options.uid, getuid());
	assert_int_equal(options.gid, getgid());
	assert_int_equal(options.mode, 0);
	assert_int_equal(options.workers, 1);
	assert_int_equal(options.stop_timeout, 30 * CLOCK_SEC);
	assert_non_null(options.volumes);
	assert_null(options.volumes->next);
	assert_string_equal(options.volumes->name, "vol0");
	assert_string_equal(options.volumes->nodes->uri.hosts[0].name, "127.0.0.1");
	assert_null(options.volumes->nodes->next);
	v = &options.volumes->options;
	assert_false(v->read_only || v->shared);
	assert_true(v->checksum);
	assert_int_equal(v->timeout, 30 * CLOCK_SEC);
	assert_int_equal(v->resends, 4);
	assert_int_equal(v->reconnect, CLOCK_SEC);
	assert_int_equal(v->ping, 10 * CLOCK_SEC);
	assert_int_equal(v->ping_timeout, 10 * CLOCK_SEC);
	assert_int_equal(v->retain, 64 << 20);
	assert_false(v->takeover);
	assert_int_equal(v->wait, 0);
	assert_int_equal(v->max_inflight, 256);
	assert_int_equal(v->max_inflight_bytes, 64 << 20);
	accepted("file:///srv/a%20b", "mnt");
	assert_string_equal(options.volumes->name, "a b");
}

static void every_option_works_long_and_with_o(void **state)
{
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			accepted("--allow-other", "--uid=7", "--gid", "8", "dst://h/v", "mnt",
				 "--mode=640", "--fsname=a,b", "--cache=none", "--read-only",
				 "--checksum=no", "--timeout", "500ms", "--resends=forever",
				 "--workers=3", "--max-inflight=9", "--pidfile=p", "-fv",
				 "--control=/c");
		else if (i == 1)
			accepted("dst://h/v", "mnt", "-o",
				 "rw,allow_other,uid=7,gid=8,mode=640,fsname=a\\,b,cache=none,ro",
				 "-ochecksum=no,timeout=500ms,resends=forever,workers=3", "-o",
				 "max_inflight=9,pidfile=p,foreground,verbose,control=/c");
		else
			accepted("dst://h/v", "-o",
				 "allow-other,max-inflight=9,read-only,checksum=off,_netdev,,",
				 "mnt",
				 "--options=uid=7,gid=8,mode=0640,fsname=a\\,b,cache=none,verbose",
				 "-o", "timeout=500ms,resends=forever,workers=3,pidfile=p", "-f",
				 "-o", "control=/c");
		assert_true(options.allow_other && options.foreground && options.verbose);
		assert_false(options.debug);
		assert_int_equal(options.uid, 7);
		assert_int_equal(options.gid, 8);
		assert_int_equal(options.mode, 0640);
		assert_string_equal(options.fsname, "a,b");
		assert_string_equal(options.pidfile, here("p"));
		assert_string_equal(options.control, "/c");
		assert_int_equal(options.workers, 3);
		assert_int_equal(options.volumes->options.cache, CACHE_NONE);
		assert_true(options.volumes->options.read_only);
		assert_false(options.volumes->options.checksum);
		assert_int_equal(options.volumes->options.timeout, 500 * CLOCK_MS);
		assert_int_equal(options.volumes->options.resends, OPTIONS_FOREVER);
		assert_int_equal(options.volumes->options.max_inflight, 9);
	}
}

static void what_mount_adds_is_dropped_or_passed_on(void **state)
{
	accepted("dst://h/v", "mnt", "-o",
		 "rw,nosuid,_netdev,nofail,x-systemd.automount,noauto,user=me,defaults,nodev,"
		 "comment=x,context=\"a:b\\,c\\\\d\",noatime,relatime");
	assert_string_equal(options.fuse_options, "nosuid,nodev,context=\"a:b\\,c\\\\d\",noatime");
	assert_false(options.volumes->options.read_only);
	accepted("dst://h/v", "mnt", "-o", "ro");
	assert_null(options.fuse_options);
	assert_true(options.volumes->options.read_only);
	refused("can't be changed", "dst://h/v", "mnt", "-o", "remount,ro");
	refused("did you mean timeout?", "dst://h/v", "mnt", "-o", "timout=3");
	refused("there is no such option", "dst://h/v", "mnt", "-o", "xyzzy");
	refused("there is no such option", "dst://h/v", "mnt", "-o", "options=ro");
}

static void the_command_line_goes_before_the_volume_and_that_before_dstfs(void **state)
{
	static const char text[] = "[dstfs]\ntimeout = 1s\nresends = 1\nping = 1s\nuid = 5\n"
				   "[volume a]\nnode = dst://h/a\n"
				   "[volume b]\nresends = 2\nping = 2s\nnode = dst://h/b\n";
	const struct volume_options *a, *b;

	write_text("order.conf", text);
	accepted("order.conf", "mnt", "--ping=3s", "-o", "gid=6");
	assert_string_equal(options.source, "order.conf");
	assert_string_equal(options.config_file, here("order.conf"));
	assert_int_equal(options.uid, 5);
	assert_int_equal(options.gid, 6);
	assert_string_equal(options.volumes->name, "a");
	a = &options.volumes->options;
	b = &options.volumes->next->options;
	assert_int_equal(a->timeout, CLOCK_SEC);
	assert_int_equal(a->resends, 1);
	assert_int_equal(a->ping, 3 * CLOCK_SEC);
	assert_int_equal(b->timeout, CLOCK_SEC);
	assert_int_equal(b->resends, 2);
	assert_int_equal(b->ping, 3 * CLOCK_SEC);
	assert_int_equal(b->wait, 0);
}

static void the_configuration_is_found_in_order(void **state)
{
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", here("home"), 1);
	if (access("/etc/dstfs.conf", F_OK) != 0)
		refused("there is no /tmp/", "mnt");
	mkdir("home", 0700);
	mkdir("home/.config", 0700);
	mkdir("home/.config/dstfs", 0700);
	write_text("home/.config/dstfs/dstfs.conf", "[volume home]\nnode = dst://h/a\n");
	accepted("mnt");
	assert_string_equal(options.volumes->name, "home");
	assert_string_equal(options.source, here("home/.config/dstfs/dstfs.conf"));
	setenv("XDG_CONFIG_HOME", here("xdg"), 1);
	mkdir("xdg", 0700);
	mkdir("xdg/dstfs", 0700);
	write_text("xdg/dstfs/dstfs.conf", "include = *.conf\n[volume xdg]\nnode = dst://h/a\n");
	accepted("mnt");
	assert_string_equal(options.volumes->name, "xdg");
	write_text("given.conf", "[volume given]\nnode = dst://h/a\n");
	accepted("-c", "given.conf", "mnt");
	assert_string_equal(options.volumes->name, "given");
	unsetenv("XDG_CONFIG_HOME");
}

static void mistakes_are_told_in_one_line(void **state)
{
	refused("the mountpoint is missing", "-f");
	refused("write dstfs dst://h/v MOUNTPOINT", "dst://h/v");
	refused("too many arguments", "dst://h/v", "mnt", "x");
	refused("too many arguments", "1", "2", "3", "4", "5", "6", "7", "8", "9");
	refused("two sources", "dst://h/v", "mnt", "-c", "order.conf");
	refused("two sources", "order.conf", "mnt", "--config=order.conf");
	refused("no node", "http://h/v", "mnt");
	refused("export is missing", "dst://h", "mnt");
	refused("none.conf: No such file", "none.conf", "mnt");
	refused("doesn't exist", "dst://h/v", "nowhere");
	refused("no folder", "dst://h/v", "order.conf");
	refused("--timeout: \"5x\" is no duration; write", "--timeout=5x", "dst://h/v", "mnt");
	refused("-o timeout: \"5x\" is no duration; write", "dst://h/v", "mnt", "-otimeout=5x");
	refused("--timeout: the value is missing; write --timeout=TIME", "mnt", "--timeout");
	refused("-o timeout: the value is missing", "dst://h/v", "mnt", "-o", "timeout");
	refused("--config: the value is missing", "mnt", "-c");
	refused("--read-only: \"maybe\"", "--read-only=maybe", "dst://h/v", "mnt");
	refused("did you mean read-only?", "--raed-only", "dst://h/v", "mnt");
	refused("no option -x", "-x", "dst://h/v", "mnt");
	refused("no option -x", "-fx", "dst://h/v", "mnt");
	refused("control characters", "--fsname=a\nb", "dst://h/v", "mnt");
	refused("UTF-8", "-o", "fsname=\xff", "dst://h/v", "mnt");
	refused("write a number from 1 to 64", "--workers=0", "dst://h/v", "mnt");
}

static void mistakes_in_the_file_carry_its_line(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"# nothing\n", "bad.conf:1: there is no volume"},
		{"[volume a]\n", "bad.conf:1: [volume a] has no node; add node ="},
		{"[volume a]\nnode = dst://h\n", "bad.conf:2: node: the export is missing"},
		{"[dstfs]\nnode = dst://h/a\n", "bad.conf:2: [dstfs] has no key node"},
		{"[dstfs]\nforeground = yes\n", "bad.conf:2: [dstfs] has no key foreground"},
		{"[server]\nworkers = x\n[volume a]\nnode = dst://h/a\n", "bad.conf:2: workers: "},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text("bad.conf", bad[i].text);
		refused(bad[i].part, "bad.conf", "mnt");
	}
}

/* The tree as one line: "linear(a,stripe(b,c))". */
static void print_tree(const struct map_config *tree, char *text)
{
	if (tree->kind == MAP_NODE) {
		strcat(text, tree->node->name);
		return;
	}
	strcat(strcat(text, map_kind_name(tree->kind)), "(");
	for (const struct map_config *child = tree->children; child; child = child->next) {
		print_tree(child, text);
		strcat(text, child->next ? "," : ")");
	}
}

#define NODES "node = a dst://h/a\nnode =  b \tfile:///b\nnode = c_-1 dst://h/c\n"

static void a_map_is_a_tree_over_the_nodes(void **state)
{
	static const struct {
		const char *text, *tree;
		unsigned height;
		uint64_t chunk;
	} good[] = {
		{"node = dst://h/a\n", "node-1", 0, 65536},
		{"node = x dst://h/a\nmap = x\n", "x", 0, 65536},
		{"node = x dst://h/a\nmap = linear\n", "linear(x)", 1, 65536},
		{"map = linear\nnode = dst://h/a\nnode = dst://h/b\n", "linear(node-1,node-2)", 1,
		 65536},
		{NODES "map = stripe\nchunk = 4K\n", "stripe(a,b,c_-1)", 1, 4096},
		{NODES "map = linear ( c_-1\t,stripe(b , a) )\nchunk=1M\n",
		 "linear(c_-1,stripe(b,a))", 2, 1 << 20},
		{NODES "map=stripe(linear(linear(stripe(a,b))),c_-1)",
		 "stripe(linear(linear(stripe(a,b))),c_-1)", 4, 65536},
		{"node = file:///x y\n", "node-1", 0, 65536},
	};
	char text[1024];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "[volume v]\n%s", good[i].text);
		write_text("map.conf", text);
		accepted("map.conf", "mnt");
		*text = '\0';
		print_tree(options.volumes->tree, text);
		assert_string_equal(text, good[i].tree);
		assert_int_equal(options.volumes->tree->height, good[i].height);
		assert_int_equal(options.volumes->chunk, good[i].chunk);
	}
}

static void mistakes_in_a_map_are_told_with_what_would_be_right(void **state)
{
	static const struct {
		const char *map, *part; /* of line 5, after NODES */
	} bad[] = {
		{"map = linear(mirror(a), b, c_-1)", "a mirror of 1 is none; give it 2 or more"},
		{"map = linear(a, d)", "there is no node d; add node = d URI"},
		{"map = raid(a, b)", "there is no map raid; write linear, stripe or mirror"},
		{"map = linear(a, b)", "node c_-1 is not used; put it into the map, or"},
		{"map = linear(a, b, c_-1, a)", "node a stands in it twice; use it once"},
		{"map = linear(a, b, c_-1", "a parenthesis stays open; add \")\""},
		{"map = linear(a, b, c_-1))", "\")\" is too much"},
		{"map = linear(a, b; c_-1)", "\"; c_-1)\" can't stand there; write \",\" or \")\""},
		{"map = linear(a,,b)", "missing before ,b); write a name"},
		{"map = linear()", "missing before )"},
		{"map = linear(", "missing at the end"},
		{"map = (a)", "missing before (a)"},
		{"map = linear(stripe, a, b, c_-1)",
		 "stripe has no nodes; write stripe(NODE, ...)"},
		{"map = linear(stripe(a), b, c_-1)", "a stripe of 1 is none; give it 2 or more"},
		{"map = linear(linear(linear(linear(linear(a)))),b,c_-1)",
		 "too deep; at most 4 fit"},
		{"map =", "the value is missing"},
		{"map = a", "node b is not used"},
		{"chunk = 60K", "no power of two; write a size like 64K"},
		{"chunk = 2K", "write a size of 4096 to 1048576 bytes"},
		{"node = a dst://h/x", "a stands already in [volume v]; give it another name"},
		{"node = d dst://h/c", "d is at the same place as c_-1; give it one of its own"},
		{"node = a/b dst://h/x", "\"a/b\" can't name a node; write up to 32"},
		{"node = aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbb dst://h/x", "can't name a node"},
		{"node = stripe dst://h/x", "stripe is a map; give the node another name"},
		{"node = d", "write "},
	};
	char text[8192] = "[volume v]\nmap = linear\n";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char part[256];

		snprintf(text, sizeof(text), "[volume v]\n" NODES "%s\n", bad[i].map);
		write_text("bad.conf", text);
		snprintf(part, sizeof(part), "bad.conf:5: ");
		refused(part, "bad.conf", "mnt");
		refused(bad[i].part, "bad.conf", "mnt");
	}
	write_text("bad.conf", "[volume v]\n" NODES);
	refused("bad.conf:1: [volume v] has 3 nodes and no map; add map =", "bad.conf", "mnt");
	write_text("bad.conf", "[volume v]\nmap = linear\n");
	refused("bad.conf:1: [volume v] has no node", "bad.conf", "mnt");
	strcpy(text, "[volume v]\nmap = linear\n");
	for (unsigned i = 0; i <= MAP_MAX_NODES; i++)
		sprintf(text + strlen(text), "node = dst://h/%u\n", i);
	write_text("bad.conf", text);
	refused("bad.conf:67: [volume v] has more than 64 nodes", "bad.conf", "mnt");
}

static void a_mirror_is_read_from_a_node_that_is_there(void **state)
{
	write_text("mirror.conf", "[volume v]\n" NODES "map = mirror\nread = prefer b\n");
	accepted("mirror.conf", "mnt");
	assert_string_equal(options.volumes->prefer->name, "b");
	write_text("mirror.conf", "[volume v]\n" NODES "map = mirror\nread = prefer d\n");
	refused("mirror.conf:6: read: there is no node d; write the name of one", "mirror.conf",
		"mnt");
	write_text("mirror.conf", "[volume v]\n" NODES "map = mirror\nread = b\n");
	refused("mirror.conf:6: read: \"b\" is none; write balance, or prefer NODE", "mirror.conf",
		"mnt");
}

/* A node that is gone holds up a mirror's writes for half a minute, unless told otherwise. */
static void a_mirror_is_less_patient(void **state)
{
	write_text("mirror.conf", "[volume v]\n" NODES "map = linear(a, mirror(b, c_-1))\n");
	accepted("mirror.conf", "mnt");
	assert_int_equal(options.volumes->options.timeout, 10 * CLOCK_SEC);
	assert_int_equal(options.volumes->options.resends, 2);
	write_text("mirror.conf", "[dstfs]\nresends = 7\n[volume v]\n" NODES "map = mirror\n");
	accepted("mirror.conf", "mnt");
	assert_int_equal(options.volumes->options.resends, 7);
}

static char *text_of(const char *lines)
{
	char text[1024];

	snprintf(text, sizeof(text), "[volume v]\n%s", lines);
	write_text("text.conf", text);
	accepted("text.conf", "mnt");
	return map_config_text(options.volumes->tree, options.volumes->chunk);
}

static void only_a_longer_linear_map_extends_another(void **state)
{
	static const struct {
		const char *before, *now;
		bool extends;
	} pairs[] = {
		{NODES "map = linear", NODES "map = linear\nnode = d dst://h/d", true},
		{NODES "map = linear",
		 NODES "map = linear(a,b,c_-1,stripe(d,e))\nnode = d dst://h/d\n"
		       "node = e dst://h/e",
		 true},
		{NODES "map = linear", NODES "map = linear(a, b, c_-1)", false},
		{NODES "map = linear", NODES "map = linear(b, a, c_-1, d)\nnode = d dst://h/d",
		 false},
		{NODES "map = linear(a, stripe(b, c_-1))",
		 NODES "map = linear(a, stripe(b, c_-1, d))\nnode = d dst://h/d", false},
		{NODES "map = stripe", NODES "map = stripe\nnode = d dst://h/d", false},
		{"node = dst://h/a", "map = linear\nnode = dst://h/a\nnode = dst://h/b", false},
		{"node = dst://h/a\nmap = linear",
		 "map = linear\nnode = dst://h/a\nnode = dst://h/ab", true},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *before = text_of(pairs[i].before), *now = text_of(pairs[i].now);
		char *again = text_of(pairs[i].now);

		assert_int_equal(map_config_extends(before, now), pairs[i].extends);
		assert_false(map_config_extends(now, before));
		assert_string_equal(now, again);
		free(before);
		free(now);
		free(again);
	}
	/* What a stripe's chunk is belongs to it. */
	{
		char *one = text_of(NODES "map = stripe"),
		     *other = text_of(NODES "map=stripe\nchunk=4K");

		assert_string_not_equal(one, other);
		free(one);
		free(other);
	}
}

static void what_may_change_while_it_runs_does_and_the_rest_is_told(void **state)
{
	static const struct {
		const char *name, *value, *part;
	} bad[] = {
		{"tiemout", "5s", "no option tiemout; did you mean timeout?"},
		{"workers", "5", "no option workers"},
		{"node", "dst://h/v", "no option node"},
		{"cache", "auto", "cache can't change while"},
		{"ro", "yes", "read_only can't change while"},
		{"takeover", "yes", "takeover can't change while"},
		{"timeout", "soon", "timeout: \"soon\" is no duration; write"},
		{"max-inflight", "0", "max_inflight: \"0\" doesn't fit; write"},
		{"retain", "", "retain: \"\" is no size; write"},
	};
	struct volume_options was, *v;
	char reason[256];

	accepted("dst://h/v", "mnt");
	v = &options.volumes->options;
	assert_int_equal(options_change(v, "timeout", "500ms", reason, sizeof(reason)), 0);
	assert_int_equal(options_change(v, "resends", "forever", reason, sizeof(reason)), 0);
	assert_int_equal(options_change(v, "ping-timeout", "2s", reason, sizeof(reason)), 0);
	assert_int_equal(options_change(v, "retain", "0", reason, sizeof(reason)), 0);
	assert_int_equal(options_change(v, "max_inflight_bytes", "8M", reason, sizeof(reason)), 0);
	assert_int_equal(v->timeout, 500 * CLOCK_MS);
	assert_int_equal(v->resends, OPTIONS_FOREVER);
	assert_int_equal(v->ping_timeout, 2 * CLOCK_SEC);
	assert_int_equal(v->retain, 0);
	assert_int_equal(v->max_inflight_bytes, 8 << 20);
	was = *v;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(options_change(v, bad[i].name, bad[i].value, reason, 256), EINVAL);
		if (!strstr(reason, bad[i].part))
			fail_msg("%s: %s", bad[i].name, reason);
		assert_memory_equal(&was, v, sizeof(was));
	}
}

static void a_reload_keeps_what_the_command_line_said(void **state)
{
	struct volume_config *volumes;
	char reason[256];

	write_text("reload.conf", "[volume a]\nping = 2s\nnode = dst://h/a\n");
	accepted("reload.conf", "mnt", "--ping=3s");
	assert_int_equal(chdir("/"), 0); /* as a daemon does */
	write_text(here("reload.conf"), "[volume a]\nnode = dst://h/a\n[volume b]\ntimeout = 7s\n"
					"node = dst://h/b\n");
	assert_int_equal(options_reload(&options, &volumes, reason, sizeof(reason)), 0);
	assert_string_equal(volumes->next->name, "b");
	assert_int_equal(volumes->next->options.ping, 3 * CLOCK_SEC);
	assert_int_equal(volumes->next->options.timeout, 7 * CLOCK_SEC);
	options_free_volumes(&volumes);
	assert_null(volumes);
	write_text(here("reload.conf"), "[volume a]\nnode = dst://h/a\n[volume a]\n");
	assert_int_not_equal(options_reload(&options, &volumes, reason, sizeof(reason)), 0);
	assert_null(volumes);
	assert_non_null(strstr(reason, "reload.conf:3: [volume a] stands already"));
	assert_int_equal(chdir(folder), 0);
	accepted("dst://h/v", "mnt");
	assert_int_equal(options_reload(&options, &volumes, reason, sizeof(reason)), 0);
	assert_string_equal(volumes->name, "v");
	options_free_volumes(&volumes);
}

static void help_and_version_are_printed_and_nothing_else_is_needed(void **state)
{
	static const char *const words[] = {"--config=FILE",    "-r, --read-only", "--allow-other",
					    "--max-inflight=N", "(default: 30s)",  "dst+unix://"};

	assert_int_equal(run("--help", NULL), OPTIONS_DONE);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_non_null(strstr(said, words[i]));
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		if (strlen(line) > 100)
			fail_msg("too wide: %s", line);
	assert_int_equal(run("-V", NULL), OPTIONS_DONE);
	assert_string_equal(said, "dstfs " DST_VERSION_TEXT "\n");
}

/* The example as it is, and with all its comments "#key = value" taken as settings. */
static void the_example_loads_and_shows_the_defaults(void **state)
{
	const char *source = getenv("SRC");
	struct volume_options defaults;
	char path[PATH_MAX], line[512];
	FILE *in, *out;

	snprintf(path, sizeof(path), "%s/dstfs.conf.example",
		 source ? source : (const char *)*state);
	accepted(path, "mnt");
	assert_string_equal(options.volumes->name, "vol0");
	defaults = options.volumes->options;
	assert_int_equal(mkdir("all", 0700), 0); /* its include shall match nothing else */
	in = fopen(path, "r");
	out = fopen("all/all.conf", "w");
	assert_true(in && out);
	while (fgets(line, sizeof(line), in)) {
		bool setting =
			line[0] == '#' && line[1] >= 'a' && line[1] <= 'z' && strstr(line, " = ");

		fputs(setting ? line + 1 : line, out);
	}
	fclose(in);
	fclose(out);
	accepted("all/all.conf", "mnt");
	assert_memory_equal(&options.volumes->options, &defaults, sizeof(defaults));
	assert_int_equal(options.stop_timeout, 30 * CLOCK_SEC);
}

static int set_up(void **state)
{
	static char start[PATH_MAX];

	*state = getcwd(start, sizeof(start));
	if (!mkdtemp(folder) || chdir(folder) || mkdir("mnt", 0700))
		return -1;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	options_free(&options);
	return chdir("/") || nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_gives_one_volume_with_the_defaults),
		cmocka_unit_test(every_option_works_long_and_with_o),
		cmocka_unit_test(what_mount_adds_is_dropped_or_passed_on),
		cmocka_unit_test(the_command_line_goes_before_the_volume_and_that_before_dstfs),
		cmocka_unit_test(the_configuration_is_found_in_order),
		cmocka_unit_test(mistakes_are_told_in_one_line),
		cmocka_unit_test(mistakes_in_the_file_carry_its_line),
		cmocka_unit_test(a_reload_keeps_what_the_command_line_said),
		cmocka_unit_test(a_map_is_a_tree_over_the_nodes),
		cmocka_unit_test(mistakes_in_a_map_are_told_with_what_would_be_right),
		cmocka_unit_test(a_mirror_is_read_from_a_node_that_is_there),
		cmocka_unit_test(a_mirror_is_less_patient),
		cmocka_unit_test(only_a_longer_linear_map_extends_another),
		cmocka_unit_test(what_may_change_while_it_runs_does_and_the_rest_is_told),
		cmocka_unit_test(help_and_version_are_printed_and_nothing_else_is_needed),
		cmocka_unit_test(the_example_loads_and_shows_the_defaults),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
