/* The program itself, run as nobody, on homes that are right and on homes that are traps. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/process.h"
#include "base/str.h"

#define NOBODY 65534

static int set_up(void **state)
{
	char *home = strdup("/tmp/test_run.XXXXXX");

	if (!home || !mkdtemp(home) || chmod(home, 0755) < 0)
		return -1;
	*state = home;
	return 0;
}

static int tear_down(void **state)
{
	_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *home = *state;

	return fs_remove_tree_at(tmp, home + strlen("/tmp/"));
}

static void write_env(const char *home, const char *text)
{
	_cleanup_close_ int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(fs_replace_at(fd, ".env", 0644, text, strlen(text)), 0);
}

/* Run env(1) in it; what it printed, and the exit status. */
static char *run(const char *home, const char *program, int *ret_status)
{
	const char *const argv[] = { "hostkit-run", home, program, NULL };
	const char *const envp[] = { "PATH=/usr/bin", "KEPT=yes", NULL };
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_close_ int end = -EBADF;
	struct process_plan plan = {
		.path = HOSTKIT_RUN,
		.argv = argv,
		.envp = envp,
		.fd_count = 3,
		.drop = geteuid() == 0,
		.uid = NOBODY,
		.gid = NOBODY,
	};
	int pipe_fds[2];
	pid_t pid;

	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	end = pipe_fds[0];
	plan.fds[0] = -1;
	plan.fds[1] = pipe_fds[1];
	plan.fds[2] = -1;
	assert_int_equal(process_start(&plan, &pid, NULL, NULL), 0);
	fd_close(pipe_fds[1]);
	assert_int_equal(io_read_all(end, 65536, &out), 0);
	*ret_status = process_wait(pid);
	return out.size ? strbuf_steal(&out) : strdup("");
}

static void test_variables(void **state)
{
	_cleanup_free_ char *out = NULL;
	int status;

	write_env(*state, "# first\nPORT=8001\nGREETING=\"two words\"\nKEPT=no\n");
	out = run(*state, "/usr/bin/env", &status);
	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "PORT=8001\n"));
	assert_non_null(strstr(out, "GREETING=two words\n"));
	assert_non_null(strstr(out, "KEPT=no\n"));
	assert_non_null(strstr(out, "PATH=/usr/bin\n"));
}

static void expect_refused(const char *home)
{
	int status;
	_cleanup_free_ char *out = run(home, "/usr/bin/env", &status);

	assert_int_equal(status, 78);
	assert_string_equal(out, "");
}

static void test_traps(void **state)
{
	_cleanup_free_ char *env = str_format("%s/.env", (const char *)*state);

	expect_refused(*state); /* none */
	assert_int_equal(symlink("/etc/os-release", env), 0);
	expect_refused(*state);
	assert_int_equal(unlink(env), 0);
	assert_int_equal(mkfifo(env, 0666), 0);
	expect_refused(*state);
	assert_int_equal(unlink(env), 0);
	assert_int_equal(mkdir(env, 0755), 0);
	expect_refused(*state);
	expect_refused("/nonexistent");
}

static void test_usage(void **state)
{
	_cleanup_free_ char *relative = NULL, *missing = NULL;
	int status;

	write_env(*state, "A=1\n");
	relative = run("home", "/usr/bin/env", &status);
	assert_int_equal(status, 2);
	missing = run(*state, "/nonexistent", &status);
	assert_int_equal(status, 203);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_variables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_traps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
