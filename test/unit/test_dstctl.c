/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_dstctl.c - the program dstctl against daemons that are played here: what it finds, how it
 * shows it, how it ends. As root all of it runs as a user that nobody is, in a folder of its own.
 */
#include "common/control.h"
#include "common/log.h"
#include "common/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FAKES_MAX 4

/* clang-format off */
static const char dstfs_status[] =
	"{\"kind\":\"dstfs\",\"version\":\"0.1.0\",\"pid\":4242,\"mountpoint\":\"/mnt/dst\","
	"\"source\":\"/etc/dstfs.conf\",\"uptime_s\":273600,\"workers\":2,\"volumes\":["
	"{\"name\":\"vol0\",\"inode\":2,\"size\":10737418240,\"state\":\"ready\",\"read_only\":false,"
	"\"cache\":\"auto\",\"inflight\":3,\"counters\":{\"reads\":1234,\"read_bytes\":5054464,"
	"\"writes\":567,\"write_bytes\":1048575,\"flushes\":3,\"zeroes\":0,\"copies\":0,\"errors\":0,"
	"\"interrupted\":0},\"nodes\":[{\"uri\":\"dst://127.0.0.1/vol0\",\"state\":\"ready\","
	"\"reason\":\"\",\"peer\":\"127.0.0.1:10878\",\"session\":\"0123456789abcdef\","
	"\"size\":10737418240,\"state_for_s\":3,\"lanes\":[{\"worker\":0,\"state\":\"ready\","
	"\"inflight\":1,\"counters\":{\"messages_out\":900,\"messages_in\":899,\"bytes_in\":1,"
	"\"bytes_out\":1,\"resends\":0,\"connects\":1,\"bad_digests\":0,\"late_replies\":0}},"
	"{\"worker\":1,\"state\":\"connecting\",\"inflight\":2,\"counters\":{\"messages_out\":904,"
	"\"messages_in\":902,\"bytes_in\":1,\"bytes_out\":1,\"resends\":2,\"connects\":4,"
	"\"bad_digests\":0,\"late_replies\":0}}]}]},"
	"{\"name\":\"b\xc3\xbc"
	"cher\",\"size\":1023,\"state\":\"absent\",\"read_only\":true,"
	"\"cache\":\"none\",\"inflight\":0,\"counters\":{\"reads\":0,\"read_bytes\":0,\"writes\":0,"
	"\"write_bytes\":0,\"flushes\":0,\"zeroes\":0,\"copies\":7,\"errors\":12,\"interrupted\":0},"
	"\"nodes\":[{\"uri\":\"dst://backup.example.org/books\",\"state\":\"connecting\","
	"\"reason\":\"connection refused\",\"peer\":\"\",\"state_for_s\":754,\"lanes\":[{\"worker\":0,"
	"\"state\":\"connecting\",\"inflight\":0,\"counters\":{\"messages_out\":0}}]}]}]}";

static const char dstfs_shown[] =
	"dstfs 0.1.0 on /mnt/dst, pid 4242, up 3d 4h, 2 workers\n"
	"  source /etc/dstfs.conf\n"
	"\n"
	"  VOLUME  STATE       SIZE  MODE  CACHE  BUSY  READS     READ  WRITES  WRITTEN  FLUSHES  COPIES  ERRORS\n"
	"  vol0    ready   10.0 GiB  rw    auto      3   1234  4.8 MiB     567  1.0 MiB        3       0       0\n"
	"  bücher  absent    1023 B  ro    none      0      0      0 B       0      0 B        0       7      12\n"
	"\n"
	"  VOLUME  NODE                            STATE           FOR  PEER             SESSION   LANES  BUSY  CONNECTS  RESENDS\n"
	"  vol0    dst://127.0.0.1/vol0            ready            3s  127.0.0.1:10878  01234567    1/2     3         5        2\n"
	"  bücher  dst://backup.example.org/books  connecting  12m 34s  -                -           0/1     0         -        -\n"
	"      connection refused\n";

static const char tree_status[] =
	"{\"kind\":\"dstfs\",\"volumes\":[{\"name\":\"v\",\"nodes\":[{\"map\":\"linear\",\"state\":"
	"\"away\",\"reason\":\"stripe(b,c): c: reset\",\"nodes\":[{\"name\":\"a\",\"uri\":\"file:///a\","
	"\"state\":\"ready\",\"reason\":\"\"},{\"name\":\"stripe(b,c)\",\"map\":\"stripe\",\"state\":"
	"\"away\",\"reason\":\"c: reset\",\"nodes\":[{\"name\":\"b\",\"uri\":\"dst://h/b\",\"state\":"
	"\"ready\"},{\"name\":\"c\",\"uri\":\"dst://h/c\",\"state\":\"away\",\"reason\":\"reset\"}]}]}]},"
	"{\"name\":\"w\",\"nodes\":[{\"map\":\"stripe\",\"reason\":\"it shrank\",\"nodes\":[{\"name\":"
	"\"a\",\"uri\":\"dst://h/d\"}]}]}]}";

/* Each node behind its volume, indented by its place in the tree; a reason stands where it is from. */
static const char tree_shown[] =
	"  VOLUME  NODE             STATE\n"
	"  v       linear           away\n"
	"  v         a file:///a    ready\n"
	"  v         stripe(b,c)    away\n"
	"  v           b dst://h/b  ready\n"
	"  v           c dst://h/c  away\n"
	"      reset\n"
	"  w       stripe           -\n"
	"      it shrank\n"
	"  w         a dst://h/d    -\n";

static const char dstd_status[] =
	"{\"kind\":\"dstd\",\"version\":\"0.1.0\",\"pid\":17,\"uptime_s\":59,\"workers\":1,"
	"\"listens\":[\"127.0.0.1:10878\",\"unix:/run/dst.sock\"],\"clients\":1,\"counters\":"
	"{\"accepted\":5,\"refused\":1,\"bad_headers\":2},\"exports\":[{\"name\":\"vol0\",\"path\":"
	"\"/srv/vol0.img\",\"size\":123,\"read_only\":false,\"device\":false,\"features\":"
	"[\"unmap\",\"extents\"],\"counters\":{\"reads\":1,\"read_bytes\":1024,\"writes\":2,"
	"\"write_bytes\":2048,\"flushes\":3,\"discards\":4,\"zeroes\":0,\"errors\":0,\"inline\":1,"
	"\"offloaded\":1,\"bad_digests\":1},\"shared\":false,\"holder\":{\"client\":"
	"\"host:/mnt\"},\"epoch\":12,\"takeovers\":0,\"sessions\":[{\"id\":\"fedcba9876543210\",\"client\":"
	"\"host:/mnt\",\"peer\":\"127.0.0.1:4242\",\"permissions\":\"rw\",\"since_s\":3661,"
	"\"lanes\":[{\"lane\":0,\"inflight\":1,\"messages_in\":7,\"messages_out\":6}]}]}]}";

static const char dstd_shown[] =
	"dstd 0.1.0, pid 17, up 59s, 1 worker, 1 client\n"
	"  listens on 127.0.0.1:10878, unix:/run/dst.sock\n"
	"  connections: 5 accepted, 1 refused, 2 with a bad header\n"
	"\n"
	"  EXPORT   SIZE  MODE  HOLDER     EPOCH  SESSIONS  READS     READ  WRITES  WRITTEN  FLUSHES  DISCARDS  ERRORS  BAD DIGESTS  PATH\n"
	"  vol0    123 B  rw    host:/mnt     12         1      1  1.0 KiB       2  2.0 KiB        3         4       0            1  /srv/vol0.img\n"
	"\n"
	"  EXPORT  SESSION   CLIENT     PEER            MODE    FOR  LANES  BUSY  RECEIVED  SENT\n"
	"  vol0    fedcba98  host:/mnt  127.0.0.1:4242  rw    1h 1m      1     1         7     6\n";
/* clang-format on */

/* A daemon that answers `text`, or, if that is no object, an error with it. */
struct fake {
	struct loop *loop;
	struct control *control;
	pthread_t thread;
	const char *text;
};

static struct {
	char folder[64]; /* XDG_RUNTIME_DIR; dstctl itself lies there, too */
	struct fake fakes[FAKES_MAX];
	unsigned count;
	char out[65536], err[8192]; /* of the last run() */
} test;

static json_t *answer(void *arg, const char *command, const json_t *request, char *reason,
		      size_t reason_size)
{
	struct fake *fake = arg;
	json_t *object = json_loads(fake->text, 0, NULL);

	if (!object)
		snprintf(reason, reason_size, "%s", fake->text);
	return object;
}

static void *fake_thread(void *arg)
{
	struct fake *fake = arg;

	loop_run(fake->loop);
	return NULL;
}

/* name: of the socket, or NULL for the conventional one. */
static void add_fake(const char *kind, const char *name, const char *text)
{
	struct fake *fake = &test.fakes[test.count++];
	char path[CONTROL_MAX_PATH + 1], reason[256] = "";

	fake->text = text;
	fake->loop = loop_new();
	snprintf(path, sizeof(path), "%s/dstfs/%s", test.folder, name ? name : "");
	fake->control = control_new(fake->loop, kind, name ? path : NULL, answer, fake, reason,
				    sizeof(reason));
	if (!fake->control)
		fail_msg("%s", reason);
	pthread_create(&fake->thread, NULL, fake_thread, fake);
}

static int remove_fakes(void **state)
{
	for (unsigned i = 0; i < test.count; i++) {
		struct fake *fake = &test.fakes[i];

		loop_stop(fake->loop);
		pthread_join(fake->thread, NULL);
		control_free(&fake->control);
		loop_free(&fake->loop);
	}
	test.count = 0;
	return 0;
}

static int bind_socket(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/dstfs/%s", test.folder, name);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void read_file(const char *name, char *text, size_t size)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size - 1);

	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
}

/* Runs "dstctl ARGUMENTS" by a shell, in the test's folder; its exit status. */
__attribute__((format(printf, 1, 2))) static int run(const char *format, ...)
{
	char command[512] = "./dstctl ";
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command + strlen(command), sizeof(command) - strlen(command), format, args);
	va_end(args);
	strcat(command, " >out 2>err");
	status = system(command);
	read_file("out", test.out, sizeof(test.out));
	read_file("err", test.err, sizeof(test.err));
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void all_daemons_are_shown_in_aligned_tables(void **state)
{
	char expected[sizeof(dstfs_shown) + sizeof(dstd_shown)];

	add_fake("dstfs", NULL, dstfs_status);
	add_fake("dstd", NULL, dstd_status);
	assert_int_equal(run("status"), 0);
	assert_string_equal(test.err, "");
	snprintf(expected, sizeof(expected), "%s\n%s", dstd_shown, dstfs_shown);
	assert_string_equal(test.out, expected);
}

static void json_is_an_array_of_all_answers(void **state)
{
	char socket[128];
	json_t *array;

	add_fake("dstfs", NULL, dstfs_status);
	add_fake("dstd", NULL, dstd_status);
	assert_int_equal(run("status --json"), 0);
	array = json_loads(test.out, 0, NULL);
	assert_int_equal(json_array_size(array), 2);
	for (size_t i = 0; i < 2; i++) {
		static const char *const kinds[] = {"dstd", "dstfs"};
		json_t *daemon = json_array_get(array, i);
		json_t *plain = json_loads(i ? dstfs_status : dstd_status, 0, NULL);

		snprintf(socket, sizeof(socket), "%s/dstfs/%s-%d.sock", test.folder, kinds[i],
			 (int)getpid());
		assert_string_equal(json_string_value(json_object_get(daemon, "socket")), socket);
		json_object_set_new(plain, "ok", json_true());
		json_object_set_new(plain, "socket", json_string(socket));
		assert_true(json_equal(daemon, plain));
		json_decref(plain);
	}
	json_decref(array);
	assert_int_equal(run("status --json --socket %s", socket), 0);
	array = json_loads(test.out, 0, NULL);
	assert_int_equal(json_array_size(array), 1); /* an array even then */
	json_decref(array);
}

static void a_mountpoint_is_found_by_all_its_names(void **state)
{
	char status[512], real[128];

	snprintf(real, sizeof(real), "%s/mnt", test.folder);
	snprintf(status, sizeof(status), "{\"kind\":\"dstfs\",\"mountpoint\":\"%s\"}", real);
	if (system("mkdir -p mnt; ln -sfn mnt link; ln -sfn . here"))
		fail();
	add_fake("dstfs", NULL, dstfs_status);
	add_fake("dstfs", "dstfs-1.sock", status);
	add_fake("dstd", NULL, dstd_status);
	for (size_t i = 0; i < 8; i++) {
		static const char *const names[] = {"mnt",        "mnt/",     "./mnt//",
						    "link",       "link/./.", "here/mnt",
						    "mnt/../mnt", "$PWD/mnt"};

		assert_int_equal(run("status --mount %s", names[i]), 0);
		assert_non_null(strstr(test.out, real));
		assert_null(strstr(test.out, "/mnt/dst,"));
		assert_null(strstr(test.out, "dstd"));
	}
	assert_int_equal(run("status --mount /mnt/.//dst/./"), 0); /* need not exist */
	assert_non_null(strstr(test.out, "/mnt/dst,"));
	assert_int_equal(run("status --mount nowhere"), 1);
	assert_string_equal(test.out, "");
	assert_string_equal(test.err, "dstctl: no dstfs of this user is mounted on nowhere\n");
	assert_int_equal(run("status --mount nowhere --json"), 1);
	assert_string_equal(test.out, "[]\n");
	assert_int_equal(run("status --mount /"), 1);
}

/* A daemon may print a path that is a symlink itself. */
static void a_symlinked_mountpoint_is_found_by_its_target(void **state)
{
	char status[512];

	snprintf(status, sizeof(status), "{\"kind\":\"dstfs\",\"mountpoint\":\"%s/link\"}",
		 test.folder);
	if (system("mkdir -p mnt; ln -sfn mnt link"))
		fail();
	add_fake("dstfs", NULL, status);
	assert_int_equal(run("status --mount mnt"), 0);
}

static void stale_sockets_and_other_files_are_passed_over(void **state)
{
	close(bind_socket("dstd-1.sock"));
	assert_int_equal(close(open("dstfs/notes.sock", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(run("status"), 1);
	assert_string_equal(test.out, "");
	assert_string_equal(test.err, "dstctl: no dstfs or dstd of this user is running\n");
	assert_int_equal(run("status --json"), 1);
	assert_string_equal(test.out, "[]\n");
	/* who names it is told */
	assert_int_equal(run("status --socket dstfs/dstd-1.sock"), 1);
	assert_string_equal(
		test.err, "dstctl: dstfs/dstd-1.sock: nobody answers there: its process is gone\n");
	add_fake("dstd", NULL, dstd_status); /* sweeps */
	assert_int_equal(access("dstfs/dstd-1.sock", F_OK), -1);
	assert_int_equal(run("status"), 0);
	assert_string_equal(test.out, dstd_shown);
	assert_int_equal(unlink("dstfs/notes.sock"), 0);
}

/* Takes one connection, and is gone. */
static void *end_when_asked(void *arg)
{
	int *fd = arg, connection = accept(*fd, NULL, NULL);

	close(*fd);
	close(connection);
	return NULL;
}

static void a_daemon_that_ends_when_it_is_asked_is_gone(void **state)
{
	pthread_t thread;
	int fd;

	add_fake("dstd", NULL, dstd_status); /* first, for it looks whether its neighbours live */
	fd = bind_socket("dstfs-1.sock");
	pthread_create(&thread, NULL, end_when_asked, &fd);
	assert_int_equal(run("status"), 0);
	pthread_join(thread, NULL);
	assert_string_equal(test.out, dstd_shown);
	assert_string_equal(test.err, "");
	assert_int_equal(unlink("dstfs/dstfs-1.sock"), 0);
}

static void a_daemon_that_refuses_is_told_and_the_others_shown(void **state)
{
	add_fake("dstfs", "dstfs-1.sock", "no status today");
	add_fake("dstd", NULL, dstd_status);
	assert_int_equal(run("status"), 1);
	assert_string_equal(test.out, dstd_shown);
	assert_non_null(strstr(test.err, "/dstfs/dstfs-1.sock: no status today\n"));
	assert_int_equal(run("status --json"), 1);
	assert_non_null(strstr(test.out, "\"error\": \"no status today\""));
	assert_non_null(strstr(test.out, "\"kind\": \"dstd\""));
}

static void a_daemon_that_hangs_does_not_hide_the_others(void **state)
{
	int fd = bind_socket("dstd-1.sock");

	add_fake("dstd", NULL, dstd_status);
	assert_int_equal(run("status"), 1);
	assert_string_equal(test.out, dstd_shown);
	assert_non_null(strstr(test.err, "/dstfs/dstd-1.sock: no answer within 5.000 s\n"));
	close(fd);
	unlink("dstfs/dstd-1.sock");
}

static void every_field_is_optional(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"kind\":\"dstfs\"}",
		"{\"kind\":\"dstd\"}",
		"{\"kind\":7,\"version\":[],\"pid\":\"x\",\"mountpoint\":{},\"uptime_s\":-1}",
		"{\"kind\":\"dstfs\",\"volumes\":{}}",
		"{\"kind\":\"dstfs\",\"volumes\":[{},7,null,[],{\"nodes\":[{},3,{\"lanes\":[{},1]}]"
		"}]}",
		"{\"kind\":\"dstfs\",\"volumes\":[{\"size\":-5,\"counters\":3,\"read_only\":1}]}",
		"{\"kind\":\"dstd\",\"listens\":[1,{}],\"exports\":[{},{\"sessions\":[{},7],"
		"\"features\":[3]}]}",
		"{\"kind\":\"dstx\",\"version\":\"9\"}",
		"{\"kind\":\"dstfs\",\"volumes\":[{\"size\":9223372036854775807,\"nodes\":[{"
		"\"lanes\":"
		"[{\"inflight\":9223372036854775807},{\"inflight\":9223372036854775807}]}]}]}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		add_fake("dstfs", NULL, texts[i]);
		assert_int_equal(run("status"), 0);
		assert_string_equal(test.err, "");
		remove_fakes(NULL);
	}
	assert_non_null(strstr(test.out, "8.0 EiB"));
	assert_non_null(strstr(test.out, " 9223372036854775807 "));
}

/* Nothing that moves a cursor, sets a title or turns the line around. */
static void assert_harmless(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		assert_true(*c >= 0x20 || *c == '\n');
		assert_int_not_equal(*c, 0x7f);
		assert_false(*c == 0xc2 && c[1] < 0xa0); /* C1 */
		assert_false(*c == 0xe2 && c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae);
	}
}

/* Of each line, what stands in the first columns. */
static void nodes_are_shown_as_a_tree(void **state)
{
	char shown[2048] = "";
	const char *line;

	add_fake("dstfs", NULL, tree_status);
	assert_int_equal(run("status"), 0);
	line = strstr(test.out, "  VOLUME  NODE");
	for (; line && *line; line = strchr(line, '\n') + 1) {
		size_t length = strcspn(line, "\n");
		const char *state_column = length > 30 ? line + 27 : line + length;

		length = state_column - line + strcspn(state_column, " \n");
		snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%.*s\n",
			 (int)length, line);
	}
	assert_string_equal(shown, tree_shown);
}

static void control_characters_never_reach_the_terminal(void **state)
{
	static const char evil[] = "x\\u001b]0;y\\u0007\\r\\n\\t\\u007f\\u009b2J\\u202egpj";
	char text[4096];

	snprintf(text, sizeof(text),
		 "{\"kind\":\"dstfs\",\"version\":\"%s\",\"mountpoint\":\"%s\",\"source\":\"%s\","
		 "\"volumes\":[{\"name\":\"%s\",\"state\":\"%s\",\"cache\":\"%s\",\"nodes\":["
		 "{\"uri\":\"%s\",\"state\":\"%s\",\"reason\":\"%s\",\"peer\":\"%s\",\"session\":"
		 "\"%s\"}]}]}",
		 evil, evil, evil, evil, evil, evil, evil, evil, evil, evil, evil);
	add_fake("dstfs", NULL, text);
	assert_int_equal(run("status"), 0);
	assert_harmless(test.out);
	assert_int_equal(run("status --json"), 0);
	assert_harmless(test.out);
	remove_fakes(NULL);
	snprintf(text, sizeof(text),
		 "{\"kind\":\"dstd\",\"listens\":[\"%s\"],\"exports\":[{\"name\":\"%s\",\"path\":"
		 "\"%s\",\"features\":[\"%s\"],\"sessions\":[{\"id\":\"%s\",\"client\":\"%s\","
		 "\"peer\":\"%s\",\"permissions\":\"%s\"}]}]}",
		 evil, evil, evil, evil, evil, evil, evil, evil);
	add_fake("dstd", NULL, text);
	assert_int_equal(run("status"), 0);
	assert_harmless(test.out);
	remove_fakes(NULL);
	add_fake("dstfs", NULL, "bad \x1b[2J \xc2\x9b name \x7f");
	assert_int_equal(run("status"), 1);
	assert_harmless(test.err);
	assert_int_equal(run("status --mount \"$(printf '\\033[2J')\""), 1);
	assert_harmless(test.err);
}

static void outside_of_utf8_only_ascii_is_printed(void **state)
{
	add_fake("dstfs", NULL, dstfs_status);
	setenv("LC_ALL", "C", 1);
	assert_int_equal(run("status"), 0);
	setenv("LC_ALL", "C.UTF-8", 1);
	assert_non_null(strstr(test.out, "b??cher"));
	for (const char *c = test.out; *c; c++)
		assert_true((unsigned char)*c < 0x7f);
}

static void wrong_usage_is_one_line_and_status_2(void **state)
{
	static const struct {
		const char *arguments, *error;
	} rows[] = {
		{"", "a command is missing"},
		{"statsu", "unknown command statsu, did you mean status?"},
		{"frobnicate", "unknown command frobnicate"},
		{"status more", "status: too many arguments: more"},
		{"status --colour", "unknown option --colour"},
		{"-x status", "unknown option -x"},
		{"status --json=yes", "--json takes no value"},
		{"status --mount", "--mount needs DIR"},
		{"status --socket ''", "--socket needs PATH"},
		{"status --mount a --socket b", "--mount and --socket exclude each other"},
	};
	char expected[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(run("%s", rows[i].arguments), 2);
		assert_string_equal(test.out, "");
		snprintf(expected, sizeof(expected), "dstctl: %s (see dstctl --help)\n",
			 rows[i].error);
		assert_string_equal(test.err, expected);
	}
}

static void help_and_version_go_to_stdout(void **state)
{
	assert_int_equal(run("--help"), 0);
	assert_int_equal(strncmp(test.out, "usage: dstctl ", 14), 0);
	assert_non_null(strstr(test.out, "  status "));
	assert_int_equal(run("status -h"), 0);
	assert_int_equal(run("-V"), 0);
	assert_string_equal(test.out, "dstctl " DST_VERSION_TEXT "\n");
	assert_int_equal(run("-V >/dev/full; echo $? >status; cat status"), 0);
	assert_string_equal(test.out, "1\n");
}

/* Copies the program here: as another user we may not get at where it was built. */
static void set_up_folder(void)
{
	const uid_t uid = geteuid() ? geteuid() : 2000000000u + (uid_t)getpid();
	const char *build = getenv("BUILD");
	char command[512];

	strcpy(test.folder, "/tmp/dstfs-test-dstctl.XXXXXX");
	if (!mkdtemp(test.folder))
		abort();
	snprintf(command, sizeof(command), "cp %s/dstctl %s/", build ? build : "build",
		 test.folder);
	if (system(command)) {
		rmdir(test.folder);
		printf("dstctl isn't built\n");
		exit(77);
	}
	if (chown(test.folder, uid, uid) || chdir(test.folder))
		abort();
	if (!geteuid() && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
		abort();
	setenv("XDG_RUNTIME_DIR", test.folder, 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	if (mkdir("dstfs", 0700))
		abort();
}

#define TEST(name) cmocka_unit_test_teardown(name, remove_fakes)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_daemons_are_shown_in_aligned_tables),
		TEST(json_is_an_array_of_all_answers),
		TEST(a_mountpoint_is_found_by_all_its_names),
		TEST(a_symlinked_mountpoint_is_found_by_its_target),
		TEST(stale_sockets_and_other_files_are_passed_over),
		TEST(a_daemon_that_ends_when_it_is_asked_is_gone),
		TEST(a_daemon_that_refuses_is_told_and_the_others_shown),
		TEST(a_daemon_that_hangs_does_not_hide_the_others),
		TEST(every_field_is_optional),
		TEST(nodes_are_shown_as_a_tree),
		TEST(control_characters_never_reach_the_terminal),
		TEST(outside_of_utf8_only_ascii_is_printed),
		TEST(wrong_usage_is_one_line_and_status_2),
		TEST(help_and_version_go_to_stdout),
	};
	char command[128];
	int failed;

	log_init("test_dstctl", LOG_LEVEL_ERROR);
	set_up_folder();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", test.folder);
	if (system(command))
		printf("%s is left\n", test.folder);
	return failed;
}
