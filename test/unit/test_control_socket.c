/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_control_socket.c - where control sockets lie, who may reach them, what they replace. */
#include "common/control_socket.h"
#include "test/unit/control_fixture.h"

/* It answers a call. */
static void assert_alive(struct fixture *f)
{
	json_t *request = json_pack("{s:s}", "command", "echo"), *answer;
	char reason[256] = "";

	answer = control_call(f->path, request, PATIENCE_MS, reason, sizeof(reason));
	if (!answer)
		fail_msg("%s", reason);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	json_decref(request);
}

static void assert_refused(struct fixture *f, const char *path, const char *part)
{
	char reason[256];

	assert_null(new_control(f, path, reason));
	if (!strstr(reason, part))
		fail_msg("reason is \"%s\", expected \"%s\"", reason, part);
}

static void the_socket_has_mode_0600_whatever_the_umask(void **state)
{
	static const mode_t masks[] = {0, 022, 0777};
	struct fixture *f = *state;
	mode_t before = umask(0);

	for (size_t i = 0; i < 3; i++) {
		char reason[256];
		struct stat st;

		umask(masks[i]);
		f->control = new_control(f, f->path, reason);
		umask(before);
		assert_non_null(f->control);
		assert_string_equal(control_path(f->control), f->path);
		assert_int_equal(lstat(f->path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | 0600);
		control_free(&f->control);
		assert_int_equal(rmdir(f->folder), 0); /* nothing else was left behind */
		assert_int_equal(mkdir(f->folder, 0700), 0);
	}
}

static void unsafe_folders_are_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];

	chmod(f->folder, 0720);
	assert_refused(f, f->path, "writable by its owner only");
	chmod(f->folder, 01777);
	assert_refused(f, f->path, "writable by its owner only");
	chmod(f->folder, 0755);
	if (geteuid() == 0) {
		assert_int_equal(chown(f->folder, 12345, 12345), 0);
		assert_refused(f, f->path, "must be owned by uid 0");
		assert_int_equal(chown(f->folder, 0, 0), 0);
	}
	snprintf(path, sizeof(path), "%s/none/it.sock", f->folder);
	assert_refused(f, path, "No such file");
	snprintf(path, sizeof(path), "%s/none", f->folder);
	assert_int_equal(symlink(f->folder, path), 0);
	strcat(path, "/it.sock");
	assert_refused(f, path, "Not a directory");
}

static void bad_paths_are_refused_with_the_limit(void **state)
{
	struct fixture *f = *state;
	char path[CONTROL_MAX_PATH + 2], reason[256];

	assert_refused(f, "it.sock", "absolute");
	assert_refused(f, "", "absolute");
	snprintf(path, sizeof(path), "%s/%0*d", f->folder,
		 (int)(CONTROL_MAX_PATH - strlen(f->folder)), 0);
	assert_int_equal(strlen(path), CONTROL_MAX_PATH + 1);
	assert_refused(f, path, "longer than 98 bytes");
	path[CONTROL_MAX_PATH] = 0;
	f->control = new_control(f, path, reason);
	assert_non_null(f->control);
	control_free(&f->control);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	char reason[256];

	make_stale(f->path);
	f->control = new_control(f, f->path, reason);
	if (!f->control)
		fail_msg("%s", reason);
	pthread_create(&f->thread, NULL, server_thread, f);
	assert_alive(f);
	loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	control_free(&f->control);
}

/* Opens the socket as soon as `go` ends, tells its success, and keeps it until `done` ends. */
static void race(const char *path, int go, int result, int done)
{
	struct control_socket sock;
	char reason[256], byte, won;
	ssize_t n;

	n = read(go, &byte, 1);
	won = !control_socket_open(&sock, "dstfs", path, reason, sizeof(reason));
	if (n || write(result, &won, 1) != 1 || read(done, &byte, 1))
		_exit(1);
	control_socket_close(&sock);
	_exit(0);
}

static void of_two_that_replace_a_stale_socket_one_wins(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 100; round++) {
		int go[2], result[2], done[2], fd, status, wins = 0;

		make_stale(f->path);
		if (pipe(go) || pipe(result) || pipe(done))
			fail();
		for (int i = 0; i < 2; i++) {
			if (fork() == 0) {
				close(go[1]);
				close(done[1]);
				race(f->path, go[0], result[1], done[0]);
			}
		}
		close(go[1]);
		for (int i = 0; i < 2; i++) {
			char won = 0;

			assert_int_equal(read(result[0], &won, 1), 1);
			wins += won;
		}
		assert_int_equal(wins, 1);
		fd = open_client(f->path); /* the name leads to the winner */
		close(fd);
		close(done[1]);
		for (int i = 0; i < 2; i++)
			assert_int_equal(wait(&status) > 0 && !status, 1);
		for (int i = 0; i < 2; i++)
			close((i ? result : go)[0]);
		close(result[1]);
		close(done[0]);
		assert_int_equal(rmdir(f->folder), 0); /* nothing was left behind */
		assert_int_equal(mkdir(f->folder, 0700), 0);
	}
}

static void a_living_socket_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;

	assert_int_equal(lstat(f->path, &before), 0);
	assert_refused(f, f->path, "another process answers there");
	assert_int_equal(lstat(f->path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_alive(f);
}

static void a_socket_whose_queue_is_full_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = address_of(f->path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	char reason[256] = "";
	json_t *request = json_pack("{s:s}", "command", "echo");
	uint64_t start;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	fd = open_client(f->path);
	assert_refused(f, f->path, "another process answers there");
	start = clock_now();
	assert_null(control_call(f->path, request, 200, reason, sizeof(reason)));
	assert_string_equal(reason, "no answer within 0.200 s");
	assert_true(clock_now() - start < 1 * CLOCK_SEC);
	json_decref(request);
	close(fd);
	close(listener);
}

static void what_is_no_socket_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	char target[128];
	struct stat st;
	int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	assert_refused(f, f->path, "something else has that name");
	assert_int_equal(lstat(f->path, &st), 0);
	unlink(f->path);
	snprintf(target, sizeof(target), "%s/target", f->folder);
	make_stale(target);
	assert_int_equal(symlink(target, f->path), 0);
	assert_refused(f, f->path, "something else has that name");
	assert_int_equal(lstat(target, &st), 0);
}

static void freeing_removes_only_ones_own_socket(void **state)
{
	struct fixture *f = *state;
	char reason[256];
	struct stat st;

	f->control = new_control(f, f->path, reason);
	assert_non_null(f->control);
	unlink(f->path);
	make_stale(f->path); /* stands for another daemon's */
	control_free(&f->control);
	assert_int_equal(lstat(f->path, &st), 0);
	control_free(&f->control); /* NULL: fine */
}

static void user_with_runtime_folder(struct fixture *f)
{
	char path[256], expected[80], stale[128], other[128], reason[256];
	char folders[CONTROL_MAX_FOLDERS][CONTROL_MAX_PATH + 1];
	struct stat st;

	setenv("XDG_RUNTIME_DIR", f->folder, 1);
	EXPECT(control_folder(path, sizeof(path), false) == ENOENT);
	EXPECT(control_folder(path, sizeof(path), true) == 0);
	snprintf(expected, sizeof(expected), "%s/dstfs", f->folder);
	EXPECT(!strcmp(path, expected));
	EXPECT(!lstat(path, &st) && st.st_mode == (S_IFDIR | 0700));
	EXPECT(control_folder(path, 10, false) == ENAMETOOLONG);
	EXPECT(control_folders(folders) >= 1 && !strcmp(folders[0], expected));

	snprintf(stale, sizeof(stale), "%s/dstd-1.sock", expected);
	make_stale(stale);
	snprintf(other, sizeof(other), "%s/notes", expected);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	f->control = new_control(f, NULL, reason);
	EXPECT(f->control);
	snprintf(path, sizeof(path), "%s/dstfs-%d.sock", expected, (int)getpid());
	EXPECT(!strcmp(control_path(f->control), path));
	EXPECT(lstat(stale, &st) && !lstat(other, &st));
	control_free(&f->control);
	EXPECT(lstat(path, &st));

	EXPECT(!chmod(expected, 0770));
	EXPECT(control_folder(path, sizeof(path), true) == EPERM);
	EXPECT(!new_control(f, NULL, reason) && strstr(reason, "writable by its owner only"));
}

static void user_without_runtime_folder(struct fixture *f)
{
	char path[128], expected[64], link_target[128];
	struct stat st;

	(void)f;
	snprintf(expected, sizeof(expected), "/tmp/dstfs-%u", (unsigned)geteuid());
	EXPECT(!lstat(expected, &st) || errno == ENOENT);
	unsetenv("XDG_RUNTIME_DIR");
	rmdir(expected);
	EXPECT(control_folder(path, sizeof(path), true) == 0 && !strcmp(path, expected));
	EXPECT(!lstat(path, &st) && st.st_mode == (S_IFDIR | 0700));
	EXPECT(!chdir(f->folder));
	setenv("XDG_RUNTIME_DIR", ".", 1);
	EXPECT(control_folder(path, sizeof(path), false) == 0 && !strcmp(path, expected));
	setenv("XDG_RUNTIME_DIR", "/", 1); /* root's, like after su */
	EXPECT(control_folder(path, sizeof(path), false) == 0 && !strcmp(path, expected));
	EXPECT(!rmdir(expected));
	snprintf(link_target, sizeof(link_target), "%s/dstfs", f->folder);
	EXPECT(!symlink(link_target, expected));
	EXPECT(control_folder(path, sizeof(path), true) == ENOTDIR);
	EXPECT(!unlink(expected));
}

static void stranger_took_the_fallback(struct fixture *f)
{
	char path[128];

	(void)f;
	unsetenv("XDG_RUNTIME_DIR");
	EXPECT(control_folder(path, sizeof(path), true) == EPERM);
}

static void a_users_folder_lies_in_the_runtime_folder(void **state)
{
	struct fixture *f = *state;

	if (geteuid() == 0)
		assert_int_equal(chown(f->folder, some_uid(), some_uid()), 0);
	assert_int_equal(in_child(user_with_runtime_folder, f, some_uid()), 0);
}

static void without_runtime_folder_it_lies_in_tmp_and_is_checked(void **state)
{
	struct fixture *f = *state;
	char path[64];

	if (geteuid())
		skip(); /* the folder may hold this user's real daemons */
	assert_int_equal(chown(f->folder, some_uid(), some_uid()), 0);
	assert_int_equal(in_child(user_without_runtime_folder, f, some_uid()), 0);
	snprintf(path, sizeof(path), "/tmp/dstfs-%u", (unsigned)some_uid());
	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(in_child(stranger_took_the_fallback, f, some_uid()), 0);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BARE(the_socket_has_mode_0600_whatever_the_umask),
		BARE(unsafe_folders_are_refused),
		BARE(bad_paths_are_refused_with_the_limit),
		BARE(a_stale_socket_is_replaced),
		BARE(of_two_that_replace_a_stale_socket_one_wins),
		SERVED(a_living_socket_is_not_replaced),
		BARE(a_socket_whose_queue_is_full_is_not_replaced),
		BARE(what_is_no_socket_is_not_replaced),
		BARE(freeing_removes_only_ones_own_socket),
		BARE(a_users_folder_lies_in_the_runtime_folder),
		BARE(without_runtime_folder_it_lies_in_tmp_and_is_checked),
	};

	log_init("test_control_socket", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
