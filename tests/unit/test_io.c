#include "base/io.h"

#include <fcntl.h>
#include <signal.h>

#include "tests/unit/unit.h"

static void test_read_full(void **state)
{
	char data[8] = { 0 };
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(io_write_all(fds[1], "abc", 3), 0);
	assert_int_equal(io_write_all(fds[1], "def", 3), 0);
	assert_int_equal(io_read_full(fds[0], data, 4), 4);
	assert_memory_equal(data, "abcd", 4);
	fd_close(fds[1]);
	assert_int_equal(io_read_full(fds[0], data, sizeof(data)), 2);
	assert_int_equal(io_read_full(fds[0], data, sizeof(data)), 0);
	fd_close(fds[0]);
}

static void test_read_all(void **state)
{
	static const struct {
		const char *what;
		size_t size, max;
		int result;
	} cases[] = {
		{ "nothing", 0, 0, 0 },
		{ "one byte too many", 1, 0, -EFBIG },
		{ "exactly", 10000, 10000, 0 },
		{ "one more", 10001, 10000, -EFBIG },
	};
	_cleanup_free_ char *data = calloc(1, 20000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		int fds[2], r;

		strbuf_str(&buf, "kept");
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		assert_int_equal(io_write_all(fds[1], data, cases[i].size), 0);
		fd_close(fds[1]);
		r = io_read_all(fds[0], cases[i].max, &buf);
		fd_close(fds[0]);
		check_case(cases[i].what, r == cases[i].result);
		check_case(cases[i].what, r < 0 || buf.size == 4 + cases[i].size);
		check_case(cases[i].what, memcmp(buf.data, "kept", 4) == 0);
	}
}

static void test_errors(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	char byte;
	int fds[2];

	(void)state;
	assert_int_equal(io_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(io_write_all(-1, "x", 0), 0);
	assert_int_equal(io_read_full(-1, &byte, 1), -EBADF);
	assert_int_equal(io_read_all(-1, 1, &buf), -EBADF);

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fd_close(fds[0]);
	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_int_equal(io_write_all(fds[1], "x", 1), -EPIPE);
	fd_close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_full),
		cmocka_unit_test(test_read_all),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
