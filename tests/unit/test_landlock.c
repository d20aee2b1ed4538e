#include "base/landlock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "tests/unit/unit.h"

/* A scratch directory, entered: in/ may be written, seen/ and one.txt be read, out/ is neither. */
struct place {
	char path[32];
	int fd;
};

static int set_up(void **state)
{
	static const char *const dirs[] = { "in", "in/a", "in/b", "seen", "out" };
	static const char *const files[] = { "in/a/file", "seen/file", "out/file",
					     "one.txt" };
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	(void)snprintf(place->path, sizeof(place->path), "/tmp/landlock-XXXXXX");
	assert_non_null(mkdtemp(place->path));
	place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->fd >= 0);
	assert_int_equal(fchdir(place->fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(fd_close(open(files[i], O_CREAT | O_WRONLY | O_CLOEXEC,
					       0755)),
				 -EBADF);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	assert_int_equal(chdir("/"), 0);
	fd_close(place->fd);
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, place->path), 0);
	free(place);
	return 0;
}

static int shut_in(void)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };
	int r = landlock_init(&landlock);

	if (r == 0)
		r = landlock_allow(&landlock, "in", LANDLOCK_WRITE);
	if (r == 0)
		r = landlock_allow(&landlock, "seen", LANDLOCK_READ);
	if (r == 0)
		r = landlock_allow(&landlock, "one.txt", LANDLOCK_WRITE);
	if (r == 0)
		r = landlock_allow(&landlock, "not-there", LANDLOCK_READ);
	if (r == 0)
		r = landlock_allow_libraries(&landlock);
	return r == 0 ? landlock_enter(&landlock) : r;
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	return fd < 0 ? errno : (fd_close(fd), 0);
}

static int try_connect(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(9),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

/* In the child. Says on standard error what was not as it must be. */
static bool expect(const char *what, int got, int wanted)
{
	if (got != wanted)
		(void)fprintf(stderr, "%s: %d instead of %d\n", what, got, wanted);
	return got == wanted;
}

static int look_around(int dir_fd)
{
	bool ok = expect("enter", shut_in(), 0);

	ok &= expect("write in", try_open("in/new", O_CREAT | O_RDWR), 0);
	ok &= expect("rename in", rename("in/a/file", "in/b/file") < 0 ? errno : 0, 0);
	ok &= expect("read seen", try_open("seen/file", O_RDONLY), 0);
	ok &= expect("write seen", try_open("seen/file", O_WRONLY), EACCES);
	ok &= expect("make in seen", try_open("seen/new", O_CREAT | O_RDWR), EACCES);
	ok &= expect("write one file", try_open("one.txt", O_RDWR), 0);
	ok &= expect("read out", try_open("out/file", O_RDONLY), EACCES);
	ok &= expect("list out", try_open("out", O_RDONLY | O_DIRECTORY), EACCES);
	ok &= expect("move out", rename("in/b/file", "out/new") < 0 ? errno : 0, EACCES);
	ok &= expect("read /etc", try_open("/etc/passwd", O_RDONLY), EACCES);
	ok &= expect("libraries", try_open("/usr/lib", O_RDONLY | O_DIRECTORY), 0);
	ok &= expect("execute", execl("in/b/file", "file", NULL) < 0 ? errno : 0, EACCES);
	ok &= expect("beneath a directory that was open",
		     openat(dir_fd, "out/file", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0,
		     EACCES);
	ok &= expect("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	return ok ? 0 : 1;
}

static int in_child(int (*fn)(int dir_fd), int dir_fd)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(dir_fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_files(void **state)
{
	const struct place *place = *state;

	if (!landlock_is_there())
		skip();
	assert_int_equal(in_child(look_around, place->fd), 0);
	/* the parent is as free as before */
	assert_int_equal(try_open("out/file", O_RDONLY), 0);
}

/* Version 4 takes TCP away as well; before it, nobody listens there. */
static int connect_somewhere(int dir_fd _unused_)
{
	int before = try_connect();

	if (shut_in() < 0)
		return 2;
	return try_connect() == EACCES || before == EACCES ? 0 : 1;
}

static void test_network(void **state)
{
	const struct place *place = *state;
	int status;

	if (!landlock_is_there())
		skip();
	status = in_child(connect_somewhere, place->fd);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 1)
		skip(); /* an older kernel */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int nothing_allowed(int dir_fd _unused_)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };

	if (landlock_init(&landlock) < 0 || landlock_enter(&landlock) < 0)
		return 2;
	return try_open("in/a/file", O_RDONLY) == EACCES &&
			       try_open("/usr", O_RDONLY) == EACCES
		       ? 0
		       : 1;
}

static void test_nothing(void **state)
{
	const struct place *place = *state;

	if (!landlock_is_there())
		skip();
	assert_int_equal(in_child(nothing_allowed, place->fd), 0);
}

static void test_errors(void **state)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };
	struct landlock none = { .fd = -EBADF };

	(void)state;
	/* what a kernel without it gives */
	assert_int_equal(landlock_allow(&none, "one.txt/below", LANDLOCK_READ), 0);
	landlock_done(&none);
	if (!landlock_is_there())
		skip();
	assert_int_equal(landlock_init(&landlock), 0);
	assert_int_equal(landlock_allow(&landlock, "one.txt/below", LANDLOCK_READ),
			 -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_network, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
