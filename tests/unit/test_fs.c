#include "base/fs.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/io.h"
#include "base/process.h"
#include "base/str.h"
#include "tests/unit/unit.h"

struct scratch {
	char path[64];
	int fd;
};

static int setup(void **state)
{
	static struct scratch scratch;

	snprintf(scratch.path, sizeof(scratch.path), "/tmp/test_fs.XXXXXX");
	if (!mkdtemp(scratch.path))
		return -1;
	scratch.fd = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &scratch;
	return scratch.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct scratch *scratch = *state;
	_cleanup_close_ int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fd_close(scratch->fd);
	return fs_remove_tree_at(parent, strrchr(scratch->path, '/') + 1);
}

static void write_file(int dir_fd, const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

static void test_component(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "a", true },   { "...", true }, { ".a", true },
		{ "", false },   { ".", false },  { "..", false },
		{ "a/", false }, { "/", false },  { "a/b", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_case(cases[i].name,
			   fs_name_is_component(cases[i].name) == cases[i].good);
}

static void test_open_beneath(void **state)
{
	static const struct {
		const char *path;
		int flags;
		mode_t mode;
		int result; /* 0: a descriptor */
	} cases[] = {
		{ "d/file", O_RDONLY, 0, 0 },
		{ "d", O_RDONLY | O_DIRECTORY, 0, 0 },
		{ "d", O_RDONLY | O_DIRECTORY, 0755, 0 },
		{ "d/new", O_WRONLY | O_CREAT, 0600, 0 },
		{ "d", O_WRONLY | O_TMPFILE, 0600, 0 },
		{ "d/file", O_RDONLY, 0644, 0 },
		{ "d/../d/file", O_RDONLY, 0, 0 },
		{ "missing", O_RDONLY, 0, -ENOENT },
		{ "link", O_RDONLY, 0, -ELOOP },
		{ "dirlink/file", O_RDONLY, 0, -ELOOP },
		{ "../escape", O_RDONLY, 0, -EXDEV },
		{ "d/../../escape", O_RDONLY, 0, -EXDEV },
		{ "/etc/passwd", O_RDONLY, 0, -EXDEV },
		{ "", O_RDONLY, 0, -ENOENT },
	};
	struct scratch *scratch = *state;

	assert_int_equal(mkdirat(scratch->fd, "d", 0755), 0);
	write_file(scratch->fd, "d/file", "x");
	assert_int_equal(symlinkat("d/file", scratch->fd, "link"), 0);
	assert_int_equal(symlinkat("d", scratch->fd, "dirlink"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = fs_open_beneath(scratch->fd, cases[i].path, cases[i].flags,
					 cases[i].mode);

		check_case(cases[i].path,
			   cases[i].result ? fd == cases[i].result : fd >= 0);
		check_case(cases[i].path, fd < 0 || fcntl(fd, F_GETFD) == FD_CLOEXEC);
		fd_close(fd);
	}
}

/* A file under a lease answers "try again"; that must end, and soon. */
static void test_open_beneath_lease(void **state)
{
	struct scratch *scratch = *state;
	_cleanup_close_ int fd = -EBADF;

	write_file(scratch->fd, "f", "x");
	fd = openat(scratch->fd, "f", O_RDONLY | O_CLOEXEC);
	assert_true(signal(SIGIO, SIG_IGN) != SIG_ERR);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		skip(); /* not on this file system */
	assert_int_equal(fs_open_beneath(scratch->fd, "f", O_WRONLY | O_NONBLOCK, 0),
			 -EAGAIN);
}

/* Run f in a child, which ends itself; returns its status. */
static int unit_fork(int dir_fd, void (*f)(int dir_fd))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		f(dir_fd);
		_exit(0);
	}
	return process_wait(pid);
}

/* Is `name` all there is in the directory? */
static void check_only(int dir_fd, const char *name)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	size_t found = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		assert_string_equal(entry->d_name, name);
		found++;
	}
	assert_int_equal(found, 1);
	closedir(dir);
}

static void test_replace(void **state)
{
	struct scratch *scratch = *state;
	_cleanup_free_ char *data = NULL;
	char longest[256];
	struct stat st;
	size_t size;

	umask(077);
	assert_int_equal(fs_replace_at(scratch->fd, "f", 0644, "one", 3), 0);
	assert_int_equal(fs_replace_at(scratch->fd, "f", 0640, "tw\0o", 4), 0);
	assert_int_equal(fs_read_at(scratch->fd, "f", 4, &data, &size), 0);
	assert_int_equal(size, 4);
	assert_memory_equal(data, "tw\0o\0", 5);
	assert_int_equal(fstatat(scratch->fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	check_only(scratch->fd, "f");

	/* in the way of a directory nothing changes and nothing stays */
	assert_int_equal(unlinkat(scratch->fd, "f", 0), 0);
	assert_int_equal(mkdirat(scratch->fd, "d", 0700), 0);
	assert_int_equal(fs_replace_at(scratch->fd, "d", 0644, "x", 1), -EISDIR);
	check_only(scratch->fd, "d");
	assert_int_equal(fs_replace_at(-1, "f", 0644, "x", 1), -EBADF);

	/* the longest name a file can have is still a name */
	memset(longest, 'n', 255);
	longest[255] = '\0';
	assert_int_equal(fs_replace_at(scratch->fd, longest, 0600, "x", 1), 0);
}

/* Replacing a link replaces the link, not what it points to. */
static void test_replace_is_no_write_through(void **state)
{
	struct scratch *scratch = *state;
	_cleanup_free_ char *data = NULL;
	size_t size;

	write_file(scratch->fd, "target", "safe");
	assert_int_equal(symlinkat("target", scratch->fd, "f"), 0);
	assert_int_equal(fs_replace_at(scratch->fd, "f", 0600, "new", 3), 0);
	assert_int_equal(fs_read_at(scratch->fd, "target", 10, &data, &size), 0);
	assert_string_equal(data, "safe");
}

static void test_replace_link(void **state)
{
	struct scratch *scratch = *state;
	char target[16] = "";

	assert_int_equal(fs_replace_link_at(scratch->fd, "app", "one"), 0);
	assert_int_equal(fs_replace_link_at(scratch->fd, "app", "two"), 0);
	assert_int_equal(readlinkat(scratch->fd, "app", target, sizeof(target)), 3);
	assert_string_equal(target, "two");
	check_only(scratch->fd, "app");

	assert_int_equal(unlinkat(scratch->fd, "app", 0), 0);
	assert_int_equal(mkdirat(scratch->fd, "app", 0700), 0);
	assert_int_equal(fs_replace_link_at(scratch->fd, "app", "x"), -EISDIR);
	check_only(scratch->fd, "app");
	assert_int_equal(fs_replace_link_at(scratch->fd, "x", ""), -ENOENT);
}

static void test_read(void **state)
{
	struct scratch *scratch = *state;
	char *data = NULL;
	size_t size = 0;

	write_file(scratch->fd, "f", "12345");
	assert_int_equal(symlinkat("f", scratch->fd, "link"), 0);
	assert_int_equal(mkfifoat(scratch->fd, "fifo", 0600), 0);
	assert_int_equal(mkdirat(scratch->fd, "d", 0700), 0);
	assert_int_equal(fs_read_at(scratch->fd, "f", 4, &data, &size), -EFBIG);
	assert_int_equal(fs_read_at(scratch->fd, "link", 9, &data, &size), -ELOOP);
	assert_int_equal(fs_read_at(scratch->fd, "fifo", 9, &data, &size), -EINVAL);
	assert_int_equal(fs_read_at(scratch->fd, "d", 9, &data, &size), -EINVAL);
	assert_int_equal(fs_read_at(scratch->fd, "none", 9, &data, &size), -ENOENT);
	assert_null(data);
	assert_int_equal(fs_read_at(scratch->fd, "f", 5, &data, &size), 0);
	assert_int_equal(size, 5);
	assert_string_equal(data, "12345");
	free(data);
}

static void test_mkdir(void **state)
{
	struct scratch *scratch = *state;
	struct stat st;

	umask(077);
	assert_int_equal(fs_mkdir_at(scratch->fd, "d", 0755), 1);
	assert_int_equal(fstatat(scratch->fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fs_mkdir_at(scratch->fd, "d", 0700), 0);
	write_file(scratch->fd, "f", "x");
	assert_int_equal(fs_mkdir_at(scratch->fd, "f", 0755), -ENOTDIR);
	assert_int_equal(symlinkat("d", scratch->fd, "link"), 0);
	assert_int_equal(fs_mkdir_at(scratch->fd, "link", 0755), -ENOTDIR);
	assert_int_equal(fs_mkdir_at(scratch->fd, "no/d", 0755), -ENOENT);
}

static void test_remove(void **state)
{
	struct scratch *scratch = *state;
	struct stat st;

	write_file(scratch->fd, "kept", "x");
	assert_int_equal(mkdirat(scratch->fd, "keptdir", 0700), 0);
	write_file(scratch->fd, "keptdir/f", "x");
	assert_int_equal(mkdirat(scratch->fd, "t", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "t/a", 0700), 0);
	write_file(scratch->fd, "t/a/f", "x");
	assert_int_equal(symlinkat("../kept", scratch->fd, "t/link"), 0);
	assert_int_equal(symlinkat("../keptdir", scratch->fd, "t/dirlink"), 0);
	assert_int_equal(mkfifoat(scratch->fd, "t/fifo", 0600), 0);
	assert_int_equal(fchmodat(scratch->fd, "t/a", 0500, 0), 0);

	assert_int_equal(fs_remove_tree_at(scratch->fd, "t"), 0);
	assert_int_equal(fstatat(scratch->fd, "t", &st, 0), -1);
	assert_int_equal(fstatat(scratch->fd, "kept", &st, 0), 0);
	assert_int_equal(fstatat(scratch->fd, "keptdir/f", &st, 0), 0);

	assert_int_equal(fs_remove_tree_at(scratch->fd, "t"), 0); /* missing */
	assert_int_equal(fs_remove_tree_at(scratch->fd, "kept"), 0);
	assert_int_equal(symlinkat("keptdir", scratch->fd, "link"), 0);
	assert_int_equal(fs_remove_tree_at(scratch->fd, "link"), 0);
	assert_int_equal(fstatat(scratch->fd, "keptdir/f", &st, 0), 0);
}

/* As somebody whom modes bind: directories without any permission go all the same. */
static void remove_as_nobody(int dir_fd)
{
	bool good;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		_exit(2);
	good = mkdirat(dir_fd, "t", 0700) == 0 && mkdirat(dir_fd, "t/a", 0700) == 0 &&
	       mkdirat(dir_fd, "t/a/b", 0700) == 0 && mkdirat(dir_fd, "t/c", 0700) == 0 &&
	       mkdirat(dir_fd, "t/c/d", 0700) == 0 &&
	       fchmodat(dir_fd, "t/a", 0, 0) == 0 &&
	       fchmodat(dir_fd, "t/c", 0500, 0) == 0 &&
	       fchmodat(dir_fd, "t", 0, 0) == 0 && fs_remove_tree_at(dir_fd, "t") == 0;
	_exit(good ? 0 : 1);
}

static void test_remove_without_permission(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(fchmod(scratch->fd, 0777), 0);
	assert_int_equal(unit_fork(scratch->fd, remove_as_nobody), 0);
}

static void remove_mount(int old_fd)
{
	_cleanup_free_ char *link = str_format("/proc/self/fd/%d", old_fd);
	char path[256] = "";
	int dir_fd;

	/* the descriptor belongs to the mounts left behind */
	if (readlink(link, path, sizeof(path) - 1) < 0)
		_exit(2);
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(77);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fchdir(dir_fd) < 0)
		_exit(2);
	/* of the same file system: only the mount itself tells them apart */
	if (mkdirat(dir_fd, "kept", 0700) < 0 || mkdirat(dir_fd, "t", 0700) < 0 ||
	    mkdirat(dir_fd, "t/m", 0700) < 0)
		_exit(2);
	write_file(dir_fd, "kept/f", "x");
	if (mount("kept", "t/m", NULL, MS_BIND, NULL) < 0)
		_exit(77);
	if (fs_remove_tree_at(dir_fd, "t") != -EXDEV || access("kept/f", F_OK) < 0)
		_exit(3);
	_exit(0);
}

static void test_remove_stops_at_mount(void **state)
{
	struct scratch *scratch = *state;
	int status = unit_fork(scratch->fd, remove_mount);

	if (status == 77)
		skip(); /* not allowed to mount here */
	assert_int_equal(status, 0);
}

/* Deeper than there are descriptors or stack: a release can be made like that. */
static void remove_deep(int dir_fd)
{
	struct rlimit limit = { .rlim_cur = 256, .rlim_max = 256 };
	int fd = dup(dir_fd);

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(2);
	for (int i = 0; i < 3000; i++) {
		int next;

		if (mkdirat(fd, "d", 0700) < 0)
			_exit(3);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (i % 100 == 0)
			write_file(fd, "f", "x");
		fd_close(fd);
		fd = next;
	}
	fd_close(fd);
	_exit(fs_remove_tree_at(dir_fd, "d") == 0 ? 0 : 1);
}

static void test_remove_deep(void **state)
{
	struct scratch *scratch = *state;
	struct stat st;

	assert_int_equal(unit_fork(scratch->fd, remove_deep), 0);
	assert_int_equal(fstatat(scratch->fd, "d", &st, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_component),
		cmocka_unit_test_setup_teardown(test_open_beneath, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_beneath_lease, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace_is_no_write_through, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_replace_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mkdir, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove_without_permission, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_remove_stops_at_mount, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_remove_deep, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
