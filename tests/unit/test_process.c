#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "tests/unit/unit.h"

/* Run sh -c script with its output in *out; returns what process_wait() said, or process_start()'s. */
static int run_plan(struct process_plan plan, const char *script, struct strbuf *out,
		    struct error *err)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	int fds[2], r;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	if (!plan.path)
		plan.path = "/bin/sh";
	plan.argv = argv;
	plan.fds[0] = -1;
	plan.fds[1] = fds[1];
	plan.fds[2] = fds[1];
	if (plan.fd_count == 0)
		plan.fd_count = 3;
	r = process_start(&plan, &pid, NULL, err);
	fd_close(fds[1]);
	if (r >= 0) {
		assert_int_equal(io_read_all(fds[0], 65536, out), 0);
		r = process_wait(pid);
	}
	fd_close(fds[0]);
	return r;
}

static void test_exit_statuses(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {
		{ "exit 0", 0 },
		{ "exit 7", 7 },
		{ "kill -9 $$", 137 },
		{ "kill -15 $$", 143 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf out = { 0 };

		check_case(cases[i].script,
			   run_plan((struct process_plan){ 0 }, cases[i].script, &out,
				    NULL) == cases[i].status);
	}
}

static void test_surroundings(void **state)
{
	static const char *const env[] = { "A=b", "PATH=/usr/bin:/bin", NULL };
	static const struct {
		const char *what;
		struct process_plan plan;
		const char *script, *out;
	} cases[] = {
		{ "directory", { .directory = "/usr" }, "pwd", "/usr\n" },
		{ "directory by default", { 0 }, "pwd", "/\n" },
		{ "umask", { 0 }, "umask", "0022\n" },
		{ "environment", { .envp = env }, "echo $A $HOME", "b\n" },
		{ "environment by default",
		  { 0 },
		  "tr '\\0' '\\n' </proc/$$/environ",
		  "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" },
		{ "null is null", { 0 }, "cat", "" },
		{ "signals are reset",
		  { 0 },
		  "grep -E 'Sig(Blk|Ign)' /proc/self/status",
		  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" },
	};
	sigset_t set;

	(void)state;
	assert_int_equal(setenv("HOME", "/somewhere", 1), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf out = { 0 };

		check_case(cases[i].what,
			   run_plan(cases[i].plan, cases[i].script, &out, NULL) == 0);
		if (!str_equal(strbuf_get(&out), cases[i].out))
			fail_msg("%s: got '%s'", cases[i].what, strbuf_get(&out));
	}
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
}

/* Only the descriptors named get through, in their places, also when the places are taken crosswise. */
static void test_descriptors(void **state)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_close_ int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	struct process_plan plan = { .fd_count = 5 };
	int a[2], b[2];

	(void)state;
	assert_true(leaked >= 0);
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(io_write_all(a[1], "a\n", 2), 0);
	assert_int_equal(io_write_all(b[1], "b\n", 2), 0);
	plan.fds[3] = b[0];
	plan.fds[4] = a[0];
	assert_int_equal(run_plan(plan,
				  "read x <&3; read y <&4; echo $x $y; "
				  "for i in 5 6 7 8 9; do [ -e /proc/$$/fd/$i ] && echo "
				  "$i; done; true",
				  &out, NULL),
			 0);
	assert_string_equal(strbuf_get(&out), "b a\n");
	for (int i = 0; i < 2; i++) {
		fd_close(a[i]);
		fd_close(b[i]);
	}
}

static void test_drop(void **state)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	struct process_plan plan = { .drop = true, .uid = 65534, .gid = 65533 };

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(run_plan(plan,
				  "id -ru; id -u; id -rg; id -G; grep NoNewPrivs "
				  "/proc/self/status",
				  &out, NULL),
			 0);
	assert_string_equal(strbuf_get(&out),
			    "65534\n65534\n65533\n65533\nNoNewPrivs:\t1\n");
}

static void test_failures(void **state)
{
	static const struct {
		const char *what;
		struct process_plan plan;
		int number;
		const char *message;
	} cases[] = {
		{ "no such program",
		  { .path = "/nonexistent" },
		  -ENOENT,
		  "execute /nonexistent" },
		{ "not a program", { .path = "/etc/passwd" }, -EACCES, "execute" },
		{ "no such directory",
		  { .directory = "/nonexistent" },
		  -ENOENT,
		  "enter the directory of" },
		{ "bad descriptor",
		  { .fd_count = 4, .fds = { 0, 0, 0, 12345 } },
		  -EBADF,
		  "place descriptors for" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf out = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;

		check_case(cases[i].what, run_plan(cases[i].plan, "exit 0", &out, &err) ==
						  cases[i].number);
		check_case(cases[i].what, strstr(err.message, cases[i].message));
		check_case(cases[i].what, !err.code);
	}
	assert_int_equal(process_wait(getpid()), -ECHILD); /* failed ones are reaped */
}

static void test_pidfd(void **state)
{
	const char *argv[] = { "sh", "-c", "exit 3", NULL };
	struct process_plan plan = {
		.path = "/bin/sh",
		.argv = argv,
		.fds = { -1, -1, -1 },
		.fd_count = 3,
	};
	_cleanup_close_ int pidfd = -EBADF;
	struct pollfd pfd;
	pid_t pid;

	(void)state;
	assert_int_equal(process_start(&plan, &pid, &pidfd, NULL), 0);
	pfd = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(process_wait(pid), 3);
}

/* Nobody waits for the exec; what became of it is asked when the child has ended. */
static void test_spawn(void **state)
{
	static const struct {
		const char *path;
		int status, report;
	} cases[] = {
		{ "/bin/true", 0, 0 },
		{ "/bin/false", 1, 0 },
		{ "/nonexistent", 127, -ENOENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *argv[] = { "it", NULL };
		const struct process_plan plan = {
			.path = cases[i].path,
			.argv = argv,
			.fds = { -1, -1, -1 },
			.fd_count = 3,
		};
		struct process process;

		assert_int_equal(process_spawn(&plan, &process, NULL), 0);
		assert_int_equal(process_wait(process.pid), cases[i].status);
		assert_int_equal(process_report(plan.path, process.report_fd, NULL),
				 cases[i].report);
		fd_close(process.pidfd);
		fd_close(process.report_fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_statuses), cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_descriptors),   cmocka_unit_test(test_drop),
		cmocka_unit_test(test_failures),      cmocka_unit_test(test_pidfd),
		cmocka_unit_test(test_spawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
