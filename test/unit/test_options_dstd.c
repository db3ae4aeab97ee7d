/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_options_dstd.c - what dstd makes of its command line and its configuration file. */
#include "common/clock.h"
#include "common/text.h"
#include "server/options.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
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
static struct dstd_options options;

static void write_text(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* Parses "dstd" and these arguments, ended by NULL; what goes to stdout and stderr is in `said`. */
static enum options_outcome run(const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 2] = {strdup("dstd")};
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
	assert_memory_equal(said, "dstd: ", 6);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_null(options.exports);
	assert_null(options.listens);
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

static uint32_t may(const struct export_config *export, const char *address)
{
	struct acl_peer peer = {.uid = 0};
	struct sockaddr_in *in = (void *)&peer.address.address;

	in->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, address, &in->sin_addr), 1);
	return acl_check(export->rules, &peer);
}

static void one_export_is_enough_and_the_rest_has_defaults(void **state)
{
	const struct listen_config *l;

	accepted("--export", "vol0=/srv/vol0.img");
	assert_null(options.config_file);
	assert_null(options.pidfile);
	assert_null(options.control);
	assert_false(options.foreground || options.debug || options.verbose);
	assert_int_equal(options.workers, 1);
	assert_int_equal(options.max_clients, 1024);
	assert_int_equal(options.stop_timeout, 30 * CLOCK_SEC);
	l = options.listens;
	assert_int_equal(l->kind, LISTEN_TCP);
	assert_string_equal(l->host, "127.0.0.1");
	assert_int_equal(l->port, DST_PORT);
	assert_string_equal(l->next->host, "::1");
	assert_null(l->next->next);
	assert_string_equal(options.exports->name, "vol0");
	assert_string_equal(options.exports->path, "/srv/vol0.img");
	assert_int_equal(options.exports->size_limit, 0);
	assert_false(options.exports->read_only);
	assert_int_equal(options.exports->threads, 0);
	assert_false(options.exports->shared);
	assert_int_equal(options.exports->lease, 30 * CLOCK_SEC);
	assert_false(options.exports->sync);
	assert_null(options.exports->rules);
	assert_null(options.exports->next);
}

static void exports_take_their_options_behind_commas(void **state)
{
	accepted("--export=a=rel,ro", "-e", "b=/x\\,y=z\\\\,size=1G,threads=3,read-only=no");
	assert_string_equal(options.exports->path, here("rel"));
	assert_true(options.exports->read_only);
	assert_string_equal(options.exports->next->name, "b");
	assert_string_equal(options.exports->next->path, "/x,y=z\\");
	assert_int_equal(options.exports->next->size_limit, 1 << 30);
	assert_int_equal(options.exports->next->threads, 3);
	assert_false(options.exports->next->read_only);
	assert_false(options.exports->next->shared || options.exports->next->sync);
	accepted("--export=a=/x,shared,lease=1500ms,sync=yes");
	assert_true(options.exports->shared);
	assert_int_equal(options.exports->lease, 1500 * CLOCK_MS);
	assert_true(options.exports->sync);
	accepted("--export=a=/x,lease=0");
	assert_int_equal(options.exports->lease, 0);
	refused("from 0s to 86400s", "--export=a=/x,lease=2d");
	refused("--export: \"a\" is no export; write NAME=PATH", "--export=a");
	refused("no export", "--export=a=");
	refused("no export", "--export==/x");
	refused("can't be a name", "--export=a/b=/x");
	refused("can't be a name", "--export=..=/x");
	refused("no option rx", "--export=a=/x,rx");
	refused("no option allow", "--export=a=/x,allow=::1 rw");
	refused("no option path", "--export=a=/x,path=/y");
	refused("size: the value is missing", "--export=a=/x,size");
	refused("\"1Q\" is no size", "--export=a=/x,size=1Q");
	refused("there is an export a already", "--export=a=/x", "--export=a=/y");
}

static void addresses_to_listen_on_are_understood(void **state)
{
	static const struct {
		const char *text;
		enum listen_kind kind;
		const char *host, *path;
		uint32_t port, cid;
	} good[] = {
		{"127.0.0.1:1", LISTEN_TCP, "127.0.0.1", NULL, 1, 0},
		{"[::1]:2", LISTEN_TCP, "::1", NULL, 2, 0},
		{"[::1]", LISTEN_TCP, "::1", NULL, DST_PORT, 0},
		{"host", LISTEN_TCP, "host", NULL, DST_PORT, 0},
		{"*:3", LISTEN_TCP, NULL, NULL, 3, 0},
		{":4", LISTEN_TCP, NULL, NULL, 4, 0},
		{"*", LISTEN_TCP, NULL, NULL, DST_PORT, 0},
		{"h:0", LISTEN_TCP, "h", NULL, 0, 0},
		{"[::1]:0", LISTEN_TCP, "::1", NULL, 0, 0},
		{"unix:/run/x y", LISTEN_UNIX, NULL, "/run/x y", 0, 0},
		{"vsock:3", LISTEN_VSOCK, NULL, NULL, DST_PORT, 3},
		{"vsock:3:5", LISTEN_VSOCK, NULL, NULL, 5, 3},
		{"vsock:*", LISTEN_VSOCK, NULL, NULL, DST_PORT, VMADDR_CID_ANY},
		{"vsock:*:6", LISTEN_VSOCK, NULL, NULL, 6, VMADDR_CID_ANY},
	};
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"", "address is missing"}, {"::1", "in brackets"},     {"h:70000", "no port"},
		{"h:", "no port"},          {"*x", "may follow '*'"},   {"h/x", "no host"},
		{"unix:x", "start with /"}, {"unix:", "start with /"},  {"vsock:", "no vsock CID"},
		{"vsock:*1", "may follow"}, {"vsock:1:0", "no port"},   {"vsock:*:", "no port"},
		{"[::1]:99999", "no port"}, {"[::1", "']' is missing"},
	};
	char argument[160];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct listen_config *l;

		accepted("--export=a=/x", "--listen", good[i].text);
		l = options.listens;
		assert_null(l->next);
		assert_int_equal(l->kind, good[i].kind);
		assert_string_equal(l->text, good[i].text);
		assert_int_equal(!l->host, !good[i].host);
		if (l->host)
			assert_string_equal(l->host, good[i].host);
		assert_int_equal(!l->path, !good[i].path);
		if (l->path)
			assert_string_equal(l->path, good[i].path);
		assert_int_equal(l->kind == LISTEN_VSOCK ? l->vsock_port : l->port, good[i].port);
		assert_int_equal(l->vsock_cid, good[i].cid);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(argument, sizeof(argument), "--listen=%s", bad[i].text);
		if (*bad[i].text)
			refused(bad[i].part, "--export=a=/x", argument);
	}
	snprintf(argument, sizeof(argument), "--listen=unix:/%0107d", 0); /* one byte too many */
	refused("too long", "--export=a=/x", argument);
	refused("listened to already", "--export=a=/x", "--listen=h:1", "--listen=h:1");
}

static void rules_of_the_command_line_hold_for_its_exports(void **state)
{
	write_text("rules.conf", "[export file]\npath = /f\n[export open]\npath = /o\n"
				 "deny = 192.0.2.1\nallow = 192.0.2.0/24 ro\n");
	accepted("-c", "rules.conf", "--export=a=/a", "--allow", "192.0.2.1 ro", "--deny=192.0.2.2",
		 "--allow=192.0.2.0/24 rw", "--export=b=/b");
	assert_string_equal(options.exports->name, "file");
	assert_null(options.exports->rules);
	assert_int_equal(may(options.exports->next, "192.0.2.1"), 0);
	assert_int_equal(may(options.exports->next, "192.0.2.2"), DST_PERM_READ);
	for (const struct export_config *e = options.exports->next->next; e; e = e->next) {
		assert_int_equal(may(e, "192.0.2.1"), DST_PERM_READ);
		assert_int_equal(may(e, "192.0.2.2"), 0);
		assert_int_equal(may(e, "192.0.2.3"), DST_PERM_READ | DST_PERM_WRITE);
		assert_int_equal(may(e, "127.0.0.1"), 0);
	}
	refused("--allow: the rule doesn't say how", "--export=a=/a", "--allow=::1");
	refused("--deny: \"rw\" is too much", "--export=a=/a", "--deny=::1 rw");
	refused("write allow = RULE into [export NAME]", "-c", "rules.conf", "--allow=::1 rw");
	refused("/nonexistent: No such file", "--export=a=/a", "--allow=@/nonexistent");
}

static void the_command_line_goes_before_the_file(void **state)
{
	write_text("order.conf", "[server]\nlisten = h:1\nlisten = h:2\nworkers = 2\n"
				 "max_clients = 7\npidfile = p\ncontrol = c\n"
				 "[export a]\npath = a.img\nsize = 4K\n");
	accepted("-c", "order.conf", "--workers=3");
	assert_string_equal(options.config_file, here("order.conf"));
	assert_int_equal(options.workers, 3);
	assert_int_equal(options.max_clients, 7);
	assert_string_equal(options.pidfile, here("p"));
	assert_string_equal(options.control, here("c"));
	assert_int_equal(options.listens->port, 1);
	assert_int_equal(options.listens->next->port, 2);
	assert_null(options.listens->next->next);
	assert_string_equal(options.exports->path, here("a.img"));
	assert_int_equal(options.exports->size_limit, 4096);
	accepted("-c", "order.conf", "--listen=h:3", "--export=b=b.img");
	assert_int_equal(options.listens->port, 3);
	assert_null(options.listens->next);
	assert_string_equal(options.exports->next->name, "b");
	refused("--export: there is an export a already", "-c", "order.conf", "--export=a=/x");
}

static void mistakes_are_told_in_one_line(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{"[server]\n", "nothing to export"},
		{"[export a]\n", "bad.conf:1: [export a] has no path; add path ="},
		{"[export a]\npath = /x\n[export a]\npath = /y\n", "bad.conf:3: [export a] stands"},
		{"[export a]\npath = /x\nallow = ::1\n", "bad.conf:3: allow: the rule doesn't say"},
		{"[export a]\npath = /x\nallow = @/nonexistent\n", "bad.conf:3: allow: /nonexist"},
		{"[export a]\npath = /x\nnode = dst://h/v\n", "bad.conf:3: [export] has no key"},
		{"[server]\nlisten = ::1\n[export a]\npath = /x\n", "bad.conf:2: listen: ::1 has"},
		{"[export a]\npath = /x\n[volume b]\ntimeout = x\n", "bad.conf:4: timeout: "},
		{"[export a]\npath = /x\n[volume b]\nnode = x\n", "bad.conf:4: node: "},
	};

	refused("nothing to export", "-f");
	refused("x is no option", "x", "--export=a=/x");
	refused("none.conf: No such file", "-c", "none.conf");
	refused("did you mean export?", "--exprot=a=/x");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text("bad.conf", bad[i].text);
		refused(bad[i].part, "-c", "bad.conf");
	}
	write_text("bad.conf", "[server]\nlisten = ::1\n[export a]\npath = /x\n");
	refused("bad.conf:2: listen: ", "-c", "bad.conf", "--listen=h"); /* though it's not used */
}

static void a_reload_keeps_what_the_command_line_said(void **state)
{
	struct export_config *exports;
	char reason[256];

	write_text("reload.conf", "[export a]\npath = a\n");
	accepted("-c", "reload.conf", "--export=b=b.img", "--allow=192.0.2.0/24 ro");
	assert_int_equal(chdir("/"), 0); /* as a daemon does */
	write_text(here("reload.conf"), "[export a]\npath = a\n[export c]\npath = c\nro = yes\n");
	assert_int_equal(options_reload(&options, &exports, reason, sizeof(reason)), 0);
	assert_string_equal(exports->path, here("a"));
	assert_string_equal(exports->next->name, "c");
	assert_true(exports->next->read_only);
	assert_string_equal(exports->next->next->path, here("b.img"));
	assert_int_equal(may(exports->next->next, "192.0.2.1"), DST_PERM_READ);
	options_free_exports(&exports);
	assert_null(exports);
	write_text(here("reload.conf"), "[export b]\npath = a\n");
	assert_int_not_equal(options_reload(&options, &exports, reason, sizeof(reason)), 0);
	assert_null(exports);
	assert_non_null(strstr(reason, "there is an export b already"));
	assert_int_equal(chdir(folder), 0);
	accepted("--export=b=b.img");
	assert_int_equal(options_reload(&options, &exports, reason, sizeof(reason)), 0);
	assert_string_equal(exports->name, "b");
	options_free_exports(&exports);
}

static void help_and_version_are_printed_and_nothing_else_is_needed(void **state)
{
	static const char *const words[] = {"--config=FILE", "--export=NAME=PATH",
					    "--listen=ADDRESS", "--max-clients=N",
					    "(default: 1024)"};

	assert_int_equal(run("-h", NULL), OPTIONS_DONE);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_non_null(strstr(said, words[i]));
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		if (strlen(line) > 100)
			fail_msg("too wide: %s", line);
	assert_int_equal(run("--version", NULL), OPTIONS_DONE);
	assert_string_equal(said, "dstd " DST_VERSION_TEXT "\n");
}

static void the_example_loads(void **state)
{
	const char *source = getenv("SRC");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/dstfs.conf.example",
		 source ? source : (const char *)*state);
	accepted("-c", path);
	assert_string_equal(options.exports->name, "vol0");
	assert_string_equal(options.exports->path, "/srv/vol0.img");
	assert_null(options.exports->rules);
	assert_null(options.exports->next);
	assert_string_equal(options.listens->text, "127.0.0.1");
}

static int set_up(void **state)
{
	static char start[PATH_MAX];

	*state = getcwd(start, sizeof(start));
	return !mkdtemp(folder) || chdir(folder) ? -1 : 0;
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
		cmocka_unit_test(one_export_is_enough_and_the_rest_has_defaults),
		cmocka_unit_test(exports_take_their_options_behind_commas),
		cmocka_unit_test(addresses_to_listen_on_are_understood),
		cmocka_unit_test(rules_of_the_command_line_hold_for_its_exports),
		cmocka_unit_test(the_command_line_goes_before_the_file),
		cmocka_unit_test(mistakes_are_told_in_one_line),
		cmocka_unit_test(a_reload_keeps_what_the_command_line_said),
		cmocka_unit_test(help_and_version_are_printed_and_nothing_else_is_needed),
		cmocka_unit_test(the_example_loads),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
