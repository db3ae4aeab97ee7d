/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_daemon.c - going to the background, pid files, sd_notify(3): each in processes of its own. */
#include "common/daemon.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char folder[64];
	char pidfile[96];
	char goes_on[96]; /* a file that tells a daemon to go on */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/dstfs-test-daemon.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->pidfile, sizeof(f->pidfile), "%s/it.pid", f->folder);
	snprintf(f->goes_on, sizeof(f->goes_on), "%s/go", f->folder);
	unsetenv("NOTIFY_SOCKET");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	unsetenv("NOTIFY_SOCKET");
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* A process that calls daemon_fork(), and what its daemon and its terminal say. */
struct run {
	pid_t starter;
	int words; /* what the daemon writes to fd `say` */
	int terminal; /* what was written to the starter's stdout and stderr */
};

static int say; /* in the daemon: the other end of `words` */

static void start(struct run *run, void (*daemon)(struct fixture *f), struct fixture *f)
{
	int words[2], terminal[2];

	assert_int_equal(pipe2(words, O_CLOEXEC), 0);
	assert_int_equal(pipe2(terminal, O_CLOEXEC), 0);
	run->starter = fork();
	if (run->starter == 0) {
		say = words[1];
		close(terminal[0]);
		dup2(words[0], STDIN_FILENO);
		dup2(terminal[1], STDOUT_FILENO);
		dup2(terminal[1], STDERR_FILENO);
		close(terminal[1]);
		signal(SIGCHLD, SIG_IGN); /* as some starters leave it */
		printf("starting\n");
		if (daemon_fork())
			_exit(98);
		daemon(f);
		_exit(0);
	}
	assert_true(run->starter > 0);
	close(words[1]);
	close(terminal[1]);
	run->words = words[0];
	run->terminal = terminal[0];
}

/* All that comes from fd until its writers are gone; false: they weren't after 5 s. */
static bool read_to_end(int fd, char *text, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	ssize_t n = -1;

	while (used < size - 1 && poll(&ready, 1, 5000) == 1 &&
	       (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(fd);
	return n == 0;
}

static int wait_starter(struct run *run)
{
	int status;

	assert_int_equal(waitpid(run->starter, &status, 0), run->starter);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void daemon_that_gets_ready(struct fixture *f)
{
	char folder[64];
	struct stat null, in;

	dprintf(say, "session %d, ", getsid(0) == getpid());
	dprintf(say, "folder %s, ", getcwd(folder, sizeof(folder)));
	stat("/dev/null", &null);
	fstat(STDIN_FILENO, &in);
	dprintf(say, "stdin %d, ", null.st_rdev == in.st_rdev);
	fprintf(stderr, "warned\n");
	dprintf(say, "ready %d, ", daemon_ready(f->pidfile));
	fprintf(stderr, "unseen\n");
	printf("unseen\n");
	fflush(stdout);
	for (int i = 0; i < 300 && access(f->goes_on, F_OK); i++) /* the starter is gone, */
		usleep(10000);
	dprintf(say, "later %d", access(f->goes_on, F_OK)); /* the daemon lives */
}

static void the_starter_exits_0_when_the_daemon_is_ready(void **state)
{
	struct fixture *f = *state;
	struct run run;
	char text[256];

	start(&run, daemon_that_gets_ready, f);
	assert_true(read_to_end(run.terminal, text, sizeof(text)));
	assert_string_equal(text, "starting\nwarned\n"); /* nothing twice or after ready */
	assert_int_equal(wait_starter(&run), 0);
	close(open(f->goes_on, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(read_to_end(run.words, text, sizeof(text)));
	assert_string_equal(text, "session 1, folder /, stdin 1, ready 0, later 0");
}

static void daemon_that_fails(struct fixture *f)
{
	(void)f;
	fprintf(stderr, "no such export\n");
	_exit(3);
}

static void the_starter_exits_with_a_failing_daemons_status(void **state)
{
	struct run run;
	char text[256];

	start(&run, daemon_that_fails, *state);
	assert_int_equal(wait_starter(&run), 3);
	assert_true(read_to_end(run.terminal, text, sizeof(text)));
	assert_string_equal(text, "starting\nno such export\n");
	close(run.words);
}

static void daemon_that_leaves(struct fixture *f)
{
	(void)f;
}

static void a_daemon_that_ends_before_it_is_ready_gives_its_status(void **state)
{
	struct run run;

	start(&run, daemon_that_leaves, *state);
	assert_int_equal(wait_starter(&run), 0);
	close(run.terminal);
	close(run.words);
}

static void daemon_that_crashes(struct fixture *f)
{
	(void)f;
	raise(SIGKILL);
}

static void the_starter_exits_1_when_the_daemon_dies_of_a_signal(void **state)
{
	struct run run;
	char text[64];

	start(&run, daemon_that_crashes, *state);
	assert_int_equal(wait_starter(&run), 1);
	assert_true(read_to_end(run.terminal, text, sizeof(text)));
	assert_string_equal(text, "starting\n"); /* by the starter */
	close(run.words);
}

static void daemon_whose_starter_dies(struct fixture *f)
{
	pid_t starter = getppid();

	kill(starter, SIGKILL);
	while (getppid() == starter)
		usleep(1000);
	dprintf(say, "ready %d", daemon_ready(f->pidfile));
}

static void a_killed_starter_does_not_take_the_daemon_along(void **state)
{
	struct run run;
	char text[256];

	start(&run, daemon_whose_starter_dies, *state);
	assert_int_equal(wait_starter(&run), 100 + SIGKILL);
	assert_true(read_to_end(run.words, text, sizeof(text)));
	assert_string_equal(text, "ready 0");
	close(run.terminal);
}

static void daemon_without_pidfile_folder(struct fixture *f)
{
	(void)f;
	dprintf(say, "ready %d", daemon_ready("/nonexistent/it.pid"));
	_exit(4);
}

static void without_its_pid_file_nobody_is_told(void **state)
{
	struct run run;
	char text[256], expected[32];

	start(&run, daemon_without_pidfile_folder, *state);
	assert_int_equal(wait_starter(&run), 4);
	assert_true(read_to_end(run.words, text, sizeof(text)));
	snprintf(expected, sizeof(expected), "ready %d", ENOENT);
	assert_string_equal(text, expected);
	close(run.terminal);
}

static void starter_with_closed_descriptors(struct fixture *f)
{
	int words = open(f->pidfile, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), fd;

	words = fcntl(words, F_DUPFD_CLOEXEC, 50);
	for (fd = 0; fd < 50; fd++)
		close(fd);
	if (daemon_fork())
		_exit(5);
	for (fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) != 0)
			_exit(6);
	fd = daemon_ready(NULL);
	dprintf(words, "ready %d", fd);
}

static void closed_descriptors_are_filled(void **state)
{
	struct fixture *f = *state;
	char text[64] = "";
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		starter_with_closed_descriptors(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 200 && !*text; i++) {
		usleep(10000);
		fd = open(f->pidfile, O_RDONLY | O_CLOEXEC);
		if (read(fd, text, sizeof(text) - 1) < 0)
			fail();
		close(fd);
	}
	assert_string_equal(text, "ready 0");
}

static void assert_pid_in(const char *path, int pid)
{
	char text[64] = "", expected[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	snprintf(expected, sizeof(expected), "%d\n", pid);
	assert_string_equal(text, expected);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	close(fd);
}

static void the_pid_file_appears_whole_and_goes(void **state)
{
	struct fixture *f = *state;
	int before;

	close(open(f->pidfile, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	before = open(f->pidfile, O_RDONLY | O_CLOEXEC);
	assert_int_equal(daemon_ready(f->pidfile), 0);
	assert_pid_in(f->pidfile, getpid());
	assert_int_equal(lseek(before, 0, SEEK_END), 0); /* replaced, not overwritten */
	close(before);
	daemon_remove_pidfile(f->pidfile);
	assert_int_equal(access(f->pidfile, F_OK), -1);
	assert_int_equal(rmdir(f->folder), 0); /* no temporary file was left */
	assert_int_equal(mkdir(f->folder, 0700), 0);
	assert_int_equal(mkdir(f->pidfile, 0700), 0);
	assert_int_equal(daemon_ready(f->pidfile), EISDIR);
	assert_int_equal(rmdir(f->pidfile), 0);
	assert_int_equal(rmdir(f->folder), 0); /* not even then */
	assert_int_equal(mkdir(f->folder, 0700), 0);
}

static void a_symlink_in_its_place_is_not_followed(void **state)
{
	struct fixture *f = *state;
	char target[96];
	struct stat st;
	int fd;

	snprintf(target, sizeof(target), "%s/precious", f->folder);
	fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "data", 4), 4);
	close(fd);
	assert_int_equal(symlink(target, f->pidfile), 0);
	assert_int_equal(daemon_ready(f->pidfile), 0);
	assert_pid_in(f->pidfile, getpid());
	assert_int_equal(lstat(f->pidfile, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 4);
}

static void another_ones_pid_file_stays(void **state)
{
	static const char *const texts[] = {"1\n", "", "nonsense that is longer than any pid\n"};
	struct fixture *f = *state;
	char target[96];

	for (size_t i = 0; i < 3; i++) {
		int fd = open(f->pidfile, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
		close(fd);
		daemon_remove_pidfile(f->pidfile);
		assert_int_equal(access(f->pidfile, F_OK), 0);
	}
	/* nor does a fifo hold us up, nor is a link to our own taken for it */
	unlink(f->pidfile);
	assert_int_equal(mkfifo(f->pidfile, 0600), 0);
	daemon_remove_pidfile(f->pidfile);
	assert_int_equal(access(f->pidfile, F_OK), 0);
	unlink(f->pidfile);
	snprintf(target, sizeof(target), "%s/mine", f->folder);
	assert_int_equal(daemon_ready(target), 0);
	assert_int_equal(symlink(target, f->pidfile), 0);
	daemon_remove_pidfile(f->pidfile);
	assert_int_equal(access(f->pidfile, F_OK), 0);
	daemon_remove_pidfile(NULL);
}

/* A service manager's socket, abstract if name[0] is '@'. */
static int new_manager(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = 0;
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void assert_told(int fd, const char *expected)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		fail_msg("nothing came, expected %s", expected);
	text[n] = 0;
	assert_string_equal(text, expected);
}

static void the_service_manager_is_told(void **state)
{
	struct fixture *f = *state;
	char names[2][96], expected[64], text[256];

	snprintf(names[0], sizeof(names[0]), "%s/notify", f->folder);
	snprintf(names[1], sizeof(names[1]), "@dstfs-test-daemon-%d", (int)getpid());
	for (size_t i = 0; i < 2; i++) {
		int fd = new_manager(names[i]);
		unsigned long long usec;
		ssize_t n;

		assert_int_equal(daemon_ready(NULL), 0);
		snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%d", (int)getpid());
		assert_told(fd, expected);
		daemon_notify("STATUS=well");
		assert_told(fd, "STATUS=well");
		daemon_notify("STOPPING=1");
		assert_told(fd, "STOPPING=1");
		daemon_notify("RELOADING=1");
		n = recv(fd, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = 0;
		assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
		assert_true(usec > 0);
		close(fd);
	}
}

static void nobody_is_told_without_a_usable_address(void **state)
{
	struct fixture *f = *state;
	char name[96], too_long[200] = "/";
	int fd;

	snprintf(name, sizeof(name), "%s/notify", f->folder);
	fd = new_manager(name);
	memset(too_long + 1, 'x', sizeof(too_long) - 2);
	for (size_t i = 0; i < 6; i++) {
		const char *const values[] = {"", "@", "/", "relative", "vsock:2:1", too_long};

		setenv("NOTIFY_SOCKET", values[i], 1);
		assert_int_equal(daemon_ready(NULL), 0);
	}
	assert_int_equal(chdir(f->folder), 0);
	setenv("NOTIFY_SOCKET", "notify", 1); /* there is one, but not by this name */
	assert_int_equal(daemon_ready(NULL), 0);
	assert_int_equal(chdir("/"), 0);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(daemon_ready(NULL), 0);
	daemon_notify("STOPPING=1");
	assert_int_equal(recv(fd, name, sizeof(name), 0), -1);
	close(fd);
}

static void a_failing_pid_file_is_not_announced(void **state)
{
	struct fixture *f = *state;
	char name[96], byte;
	int fd;

	snprintf(name, sizeof(name), "%s/notify", f->folder);
	fd = new_manager(name);
	assert_int_equal(daemon_ready("/nonexistent/it.pid"), ENOENT);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	close(fd);
}

static void a_service_manager_that_does_not_read_is_left_after_a_while(void **state)
{
	struct fixture *f = *state;
	char name[96];
	int fd;

	snprintf(name, sizeof(name), "%s/notify", f->folder);
	fd = new_manager(name);
	alarm(20); /* a hang ends the test */
	for (int i = 0; i < 4096; i++) {
		struct timespec start, end;

		clock_gettime(CLOCK_MONOTONIC, &start);
		daemon_notify("STATUS=busy");
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (end.tv_sec > start.tv_sec + 1)
			break;
		assert_int_not_equal(i, 4095); /* its queue never was full */
	}
	alarm(0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_starter_exits_0_when_the_daemon_is_ready),
		TEST(the_starter_exits_with_a_failing_daemons_status),
		TEST(a_daemon_that_ends_before_it_is_ready_gives_its_status),
		TEST(the_starter_exits_1_when_the_daemon_dies_of_a_signal),
		TEST(a_killed_starter_does_not_take_the_daemon_along),
		TEST(without_its_pid_file_nobody_is_told),
		TEST(closed_descriptors_are_filled),
		TEST(the_pid_file_appears_whole_and_goes),
		TEST(a_symlink_in_its_place_is_not_followed),
		TEST(another_ones_pid_file_stays),
		TEST(the_service_manager_is_told),
		TEST(nobody_is_told_without_a_usable_address),
		TEST(a_failing_pid_file_is_not_announced),
		TEST(a_service_manager_that_does_not_read_is_left_after_a_while),
	};

	log_init("test_daemon", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
