/* Operations on homes, also on homes whose owner is up to something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/io.h"
#include "home/env.h"
#include "home/home.h"
#include "protocol/name.h"

#define R1 "20250215-120000"
#define R2 "20250215-120001"

/* A scratch directory with the home in it and, beside the home, what must stay untouched. */
struct scratch {
	char path[64];
	int top_fd;
	int home_fd;
};

static int open_dir(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void write_file(int dir_fd, const char *name, const char *text)
{
	assert_int_equal(fs_replace_at(dir_fd, name, 0600, text, strlen(text)), 0);
}

static void assert_file(int dir_fd, const char *name, const char *text)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	assert_int_equal(fs_read_at(dir_fd, name, 65536, &data, &size), 0);
	assert_string_equal(data, text);
}

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_link(int dir_fd, const char *name, const char *target)
{
	char text[256] = "";

	assert_true(readlinkat(dir_fd, name, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, target);
}

static int setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(s->path, "/tmp/test_home.XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->top_fd = open_dir(AT_FDCWD, s->path);
	assert_int_equal(mkdirat(s->top_fd, "home", 0750), 0);
	assert_int_equal(mkdirat(s->top_fd, "outside", 0755), 0);
	s->home_fd = open_dir(s->top_fd, "home");
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *s = *state;

	_cleanup_close_ int tmp_fd = open_dir(AT_FDCWD, "/tmp");

	assert_int_equal(fs_remove_tree_at(tmp_fd, s->path + strlen("/tmp/")), 0);
	fd_close(s->home_fd);
	fd_close(s->top_fd);
	free(s);
	return 0;
}

static void make_release(struct scratch *s, const char *name)
{
	_cleanup_close_ int releases_fd = open_dir(s->home_fd, "releases");
	_cleanup_close_ int fd = -EBADF;

	assert_int_equal(mkdirat(releases_fd, name, 0750), 0);
	fd = open_dir(releases_fd, name);
	write_file(fd, "index.html", name);
}

static void test_layout(void **state)
{
	struct scratch *s = *state;
	struct stat st;

	assert_int_equal(home_layout_check(s->home_fd, false, NULL), -ENOENT);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(home_layout(s->home_fd, true, NULL), 0);
		assert_int_equal(home_layout_check(s->home_fd, true, NULL), 0);
		assert_link(s->home_fd, "app", "releases/" RELEASE_BOOTSTRAP);
		assert_link(s->home_fd, "venv", "app/.venv");
		assert_int_equal(fstatat(s->home_fd, "shared", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0750);
		assert_int_equal(fstatat(s->home_fd, "app", &st, 0), 0);
		assert_true(S_ISDIR(st.st_mode));
	}
	assert_int_equal(unlinkat(s->home_fd, "venv", 0), 0);
	assert_int_equal(home_layout_check(s->home_fd, true, NULL), -ENOENT);
	assert_int_equal(home_layout_check(s->home_fd, false, NULL), 0);
	make_release(s, R1);
	assert_int_equal(fs_replace_link_at(s->home_fd, "app", "releases/" R1), 0);
	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	assert_link(s->home_fd, "app", "releases/" R1); /* what was live stays live */
}

static void test_layout_hostile(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(symlinkat("../outside", s->home_fd, "releases"), 0);
	assert_true(home_layout(s->home_fd, false, NULL) < 0);
	assert_false(exists(s->top_fd, "outside/" RELEASE_BOOTSTRAP));

	assert_int_equal(unlinkat(s->home_fd, "releases", 0), 0);
	assert_int_equal(mkdirat(s->home_fd, "app", 0755), 0);
	assert_true(home_layout(s->home_fd, false, NULL) < 0);
}

static void test_switch(void **state)
{
	struct scratch *s = *state;
	static const char *const targets[] = { R1, R2, R1, RELEASE_BOOTSTRAP };

	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	make_release(s, R1);
	make_release(s, R2);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_free_ char *link = NULL;

		assert_int_equal(home_switch(s->home_fd, targets[i], NULL), 0);
		link = str_format("releases/%s", targets[i]);
		assert_link(s->home_fd, "app", link);
	}
}

static void test_switch_refuses(void **state)
{
	struct scratch *s = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_close_ int releases_fd = -EBADF;

	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	releases_fd = open_dir(s->home_fd, "releases");
	assert_int_equal(home_switch(s->home_fd, R1, NULL), -ENOENT);
	assert_int_equal(home_switch(s->home_fd, "../outside", NULL), -EINVAL);
	assert_int_equal(home_switch(s->home_fd, "", NULL), -EINVAL);
	write_file(releases_fd, R1, "a file");
	assert_int_equal(home_switch(s->home_fd, R1, NULL), -ENOENT);
	assert_int_equal(symlinkat("../../outside", releases_fd, R2), 0);
	assert_int_equal(home_switch(s->home_fd, R2, NULL), -ENOENT);
	assert_link(s->home_fd, "app", "releases/" RELEASE_BOOTSTRAP);

	assert_int_equal(unlinkat(s->home_fd, "app", 0), 0);
	assert_int_equal(mkdirat(s->home_fd, "app", 0755), 0);
	assert_int_equal(home_switch(s->home_fd, RELEASE_BOOTSTRAP, &err), -ENOTDIR);
	assert_string_equal(error_code(&err), "APP_NOT_A_LINK");
}

static void test_switch_from_elsewhere(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	assert_int_equal(fs_replace_link_at(s->home_fd, "app", "/etc\n/x"), 0);
	assert_int_equal(home_switch(s->home_fd, RELEASE_BOOTSTRAP, NULL), 0);
	assert_link(s->home_fd, "app", "releases/" RELEASE_BOOTSTRAP);
}

static void test_drop(void **state)
{
	struct scratch *s = *state;
	_cleanup_close_ int releases_fd = -EBADF;

	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	releases_fd = open_dir(s->home_fd, "releases");
	make_release(s, R1);
	make_release(s, R2);
	assert_int_equal(home_switch(s->home_fd, R2, NULL), 0);

	assert_int_equal(home_drop(s->home_fd, R2, NULL), -EBUSY);
	assert_true(exists(releases_fd, R2));
	assert_int_equal(home_drop(s->home_fd, R1, NULL), 0);
	assert_false(exists(releases_fd, R1));
	assert_int_equal(home_drop(s->home_fd, R1, NULL), 0);
	assert_int_equal(home_drop(s->home_fd, RELEASE_BOOTSTRAP, NULL), -EINVAL);
	assert_int_equal(home_drop(s->home_fd, "..", NULL), -EINVAL);
}

static void test_drop_hostile(void **state)
{
	struct scratch *s = *state;
	_cleanup_close_ int releases_fd = -EBADF, outside_fd = -EBADF,
			    release_fd = -EBADF;

	assert_int_equal(home_layout(s->home_fd, false, NULL), 0);
	releases_fd = open_dir(s->home_fd, "releases");
	outside_fd = open_dir(s->top_fd, "outside");
	write_file(outside_fd, "precious", "kept");

	assert_int_equal(symlinkat("../../outside", releases_fd, R1), 0);
	assert_int_equal(home_drop(s->home_fd, R1, NULL), 0);
	make_release(s, R2);
	release_fd = open_dir(releases_fd, R2);
	assert_int_equal(symlinkat("../../../outside", release_fd, "link"), 0);
	assert_int_equal(home_drop(s->home_fd, R2, NULL), 0);
	assert_file(outside_fd, "precious", "kept");

	assert_int_equal(fs_remove_tree_at(s->home_fd, "releases"), 0);
	assert_int_equal(symlinkat("../outside", s->home_fd, "releases"), 0);
	assert_int_equal(mkdirat(outside_fd, R1, 0755), 0);
	assert_true(home_drop(s->home_fd, R1, NULL) < 0);
	assert_true(exists(outside_fd, R1));
}

static void test_remove(void **state)
{
	struct scratch *s = *state;
	_cleanup_close_ int outside_fd = open_dir(s->top_fd, "outside");

	write_file(outside_fd, "precious", "kept");
	assert_int_equal(home_layout(s->home_fd, true, NULL), 0);
	make_release(s, R1);
	assert_int_equal(symlinkat("../outside", s->home_fd, "link"), 0);
	assert_int_equal(mkfifoat(s->home_fd, "fifo", 0600), 0);
	assert_int_equal(home_remove(s->home_fd, NULL), 0);
	assert_int_equal(unlinkat(s->top_fd, "home", AT_REMOVEDIR),
			 0); /* so it was empty */
	assert_file(outside_fd, "precious", "kept");
}

static int pipe_with(const char *data, size_t size)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(io_write_all(fds[1], data, size), 0);
	fd_close(fds[1]);
	return fds[0];
}

static void test_env_create(void **state)
{
	struct scratch *s = *state;
	_cleanup_close_ int one = pipe_with("PORT=8001\n", 10),
			    two = pipe_with("A=1\n", 4);
	struct stat st;

	assert_int_equal(home_env_create(s->home_fd, one, NULL), 0);
	assert_int_equal(home_env_create(s->home_fd, two, NULL), 0);
	assert_file(s->home_fd, ".env", "PORT=8001\n");
	assert_int_equal(fstatat(s->home_fd, ".env", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* Ask for one change; returns the status of the answer. */
static int edit_one(struct scratch *s, uint32_t op, const char *key, const char *value,
		    struct error *err)
{
	struct env_change item = { op, (char *)key, (char *)value };
	struct env_changes asked = { &item, 1 };
	_cleanup_strbuf_ struct strbuf request = { 0 }, answer = { 0 };
	_cleanup_close_ int in = -EBADF, out = -EBADF;
	int fds[2];
	bool changed;

	env_changes_put(&request, &asked);
	in = pipe_with(request.data, request.size);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	assert_int_equal(home_env_edit(s->home_fd, in, fds[1], NULL), 0);
	fd_close(fds[1]);
	assert_int_equal(io_read_all(out, 4096, &answer), 0);
	return env_answer_get(answer.data, answer.size, 1, &changed, err);
}

static void test_env_edit(void **state)
{
	struct scratch *s = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	struct stat st;

	assert_int_equal(edit_one(s, ENV_OP_SET, "A", "it's", NULL), 0);
	assert_file(s->home_fd, ".env", "A=\"it's\"\n");
	assert_int_equal(fstatat(s->home_fd, ".env", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(edit_one(s, ENV_OP_SET, "PORT", "1", &err), -EPERM);
	assert_file(s->home_fd, ".env", "A=\"it's\"\n");
	assert_int_equal(edit_one(s, ENV_OP_UNSET, "A", "", NULL), 0);
	assert_file(s->home_fd, ".env", "");
}

static void test_env_malformed_request(void **state)
{
	struct scratch *s = *state;
	_cleanup_close_ int in = pipe_with("\xff\xff\xff\xff", 4), out = -EBADF;
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_strbuf_ struct strbuf answer = { 0 };
	int fds[2];
	bool changed;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	assert_int_equal(home_env_edit(s->home_fd, in, fds[1], NULL), 0);
	fd_close(fds[1]);
	assert_int_equal(io_read_all(out, 4096, &answer), 0);
	assert_int_equal(env_answer_get(answer.data, answer.size, 1, &changed, &err),
			 -EBADMSG);
	assert_string_equal(error_code(&err), "INVALID_REQUEST");
	assert_false(exists(s->home_fd, ".env"));
}

static void make_env_link(struct scratch *s)
{
	assert_int_equal(symlinkat("../outside/precious", s->home_fd, ".env"), 0);
}

static void make_env_fifo(struct scratch *s)
{
	assert_int_equal(mkfifoat(s->home_fd, ".env", 0600), 0);
}

static void make_env_directory(struct scratch *s)
{
	assert_int_equal(mkdirat(s->home_fd, ".env", 0700), 0);
}

static void test_env_hostile(void **state)
{
	static const struct {
		const char *what;
		void (*make)(struct scratch *s);
	} cases[] = {
		{ "link out of the home", make_env_link },
		{ "FIFO", make_env_fifo },
		{ "directory", make_env_directory },
	};
	struct scratch *s = *state;
	_cleanup_close_ int outside_fd = open_dir(s->top_fd, "outside");

	write_file(outside_fd, "precious", "SECRET=1\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		_cleanup_close_ int in = pipe_with("A=1\n", 4), out = -EBADF;
		_cleanup_strbuf_ struct strbuf got = { 0 };
		int fds[2];

		cases[i].make(s);
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		out = fds[0];
		if (home_env_read(s->home_fd, fds[1], NULL) >= 0)
			fail_msg("%s: was read", cases[i].what);
		fd_close(fds[1]);
		assert_int_equal(io_read_all(out, 4096, &got), 0);
		assert_int_equal(got.size, 0);
		if (home_env_create(s->home_fd, in, NULL) >= 0)
			fail_msg("%s: was taken for an .env", cases[i].what);
		if (edit_one(s, ENV_OP_SET, "A", "1", &err) >= 0)
			fail_msg("%s: was changed", cases[i].what);
		assert_string_equal(error_code(&err), "ENV_INVALID");
		assert_file(outside_fd, "precious", "SECRET=1\n");
		assert_int_equal(fs_remove_tree_at(s->home_fd, ".env"), 0);
	}
}

static void test_env_read(void **state)
{
	struct scratch *s = *state;
	_cleanup_strbuf_ struct strbuf got = { 0 };
	_cleanup_close_ int out = -EBADF;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	assert_int_equal(home_env_read(s->home_fd, fds[1], NULL), 0); /* none: nothing */
	write_file(s->home_fd, ".env", "A=1\n#x\n");
	assert_int_equal(home_env_read(s->home_fd, fds[1], NULL), 0);
	fd_close(fds[1]);
	assert_int_equal(io_read_all(out, 4096, &got), 0);
	assert_string_equal(strbuf_get(&got), "A=1\n#x\n");
}

int main(void)
{
#define HOME_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		HOME_TEST(test_layout),
		HOME_TEST(test_layout_hostile),
		HOME_TEST(test_switch),
		HOME_TEST(test_switch_refuses),
		HOME_TEST(test_switch_from_elsewhere),
		HOME_TEST(test_drop),
		HOME_TEST(test_drop_hostile),
		HOME_TEST(test_remove),
		HOME_TEST(test_env_create),
		HOME_TEST(test_env_edit),
		HOME_TEST(test_env_malformed_request),
		HOME_TEST(test_env_hostile),
		HOME_TEST(test_env_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
