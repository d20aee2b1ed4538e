#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "receiver/pktline.h"

/* A pipe that yields exactly these bytes and then ends. */
static int feed(const void *data, size_t size)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], data, size), (ssize_t)size);
	close(fds[1]);
	return fds[0];
}

static void test_outcomes(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *bytes;
		int outcome;
		const char *line; /* for data */
	} cases[] = {
		{ "nothing at all", "", PKTLINE_E_EOF, NULL },
		{ "flush", "0000", PKTLINE_E_FLUSH, NULL },
		{ "delimiter", "0001", PKTLINE_E_DELIM, NULL },
		{ "response end", "0002", PKTLINE_E_END, NULL },
		{ "an empty line", "0004", PKTLINE_E_DATA, "" },
		{ "a line", "0009hello", PKTLINE_E_DATA, "hello" },
		{ "upper-case digits", "000Ahello\n", PKTLINE_E_DATA, "hello\n" },
		{ "length 3", "0003", -EPROTO, NULL },
		{ "length above the limit", "fff1", -EPROTO, NULL },
		{ "largest length, short", "fff0abc", -EPROTO, NULL },
		{ "no digits", "zzzz", -EPROTO, NULL },
		{ "control bytes as digits", "\x1b[2J", -EPROTO, NULL },
		{ "a sign", "-001", -EPROTO, NULL },
		{ "blanks", " 00a", -EPROTO, NULL },
		{ "two digits", "00", -EPROTO, NULL },
		{ "half a line", "0009he", -EPROTO, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_pktline_reader_ struct pktline_reader reader = { .fd = -EBADF };
		_cleanup_error_ struct error err = ERROR_INIT;
		_cleanup_close_ int fd = feed(cases[i].bytes, strlen(cases[i].bytes));
		const char *data = NULL;
		size_t size = 0;
		int r;

		assert_int_equal(pktline_reader_init(&reader, fd), 0);
		r = pktline_read(&reader, &data, &size, &err);
		if (r != cases[i].outcome)
			fail_msg("%s: %d", cases[i].what, r);
		if (r < 0)
			assert_true(error_is_set(&err));
		if (cases[i].line) {
			assert_int_equal(size, strlen(cases[i].line));
			assert_string_equal(data, cases[i].line);
		}
	}
}

static void test_largest(void **state _unused_)
{
	_cleanup_pktline_reader_ struct pktline_reader reader = { .fd = -EBADF };
	_cleanup_pktline_writer_ struct pktline_writer writer = { .fd = -EBADF };
	_cleanup_free_ char *big = malloc(PKTLINE_DATA_MAX);
	_cleanup_close_ int in = -EBADF;
	const uint8_t *raw = NULL;
	const char *data = NULL;
	size_t size = 0;
	int fds[2];

	assert_non_null(big);
	memset(big, 'x', PKTLINE_DATA_MAX);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	in = fds[0];
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);

	/* five of them wrap the reader's buffer at an odd place */
	pktline_writer_init(&writer, fds[1]);
	for (int i = 0; i < 5; i++)
		pktline_put(&writer, big, PKTLINE_DATA_MAX);
	pktline_put_flush(&writer);
	pktline_put_raw(&writer, "PACK", 4);
	assert_int_equal(pktline_send(&writer), 0);
	close(fds[1]);

	assert_int_equal(pktline_reader_init(&reader, in), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(pktline_read(&reader, &data, &size, NULL),
				 PKTLINE_E_DATA);
		assert_int_equal(size, PKTLINE_DATA_MAX);
		assert_memory_equal(data, big, size);
		assert_int_equal(data[size], '\0');
	}
	assert_int_equal(pktline_read(&reader, &data, &size, NULL), PKTLINE_E_FLUSH);
	assert_int_equal(pktline_peek(&reader, &raw), 4);
	assert_memory_equal(raw, "PACK", 4);
	pktline_take(&reader, 1);
	assert_int_equal(pktline_peek(&reader, &raw), 3);
	pktline_take(&reader, 3);
	assert_int_equal(pktline_peek(&reader, &raw), 0);
	assert_int_equal(pktline_read(&reader, &data, &size, NULL), PKTLINE_E_EOF);
}

static void test_chomped(void **state _unused_)
{
	static const char bytes[] = "0006a\n0005b0007c\n\n0005\n";
	static const char *const lines[] = { "a", "b", "c\n", "" };
	_cleanup_pktline_reader_ struct pktline_reader reader = { .fd = -EBADF };
	_cleanup_close_ int fd = feed(bytes, strlen(bytes));
	const char *data = NULL;
	size_t size = 0;

	assert_int_equal(pktline_reader_init(&reader, fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(pktline_read_chomped(&reader, &data, &size, NULL),
				 PKTLINE_E_DATA);
		assert_int_equal(size, strlen(lines[i]));
		assert_string_equal(data, lines[i]);
	}
}

static void test_write(void **state _unused_)
{
	_cleanup_pktline_writer_ struct pktline_writer writer = { .fd = -EBADF };

	pktline_writer_init(&writer, -EBADF);
	pktline_format(&writer, "%s\n", "unpack ok");
	pktline_put_delim(&writer);
	pktline_put_end(&writer);
	pktline_put_band(&writer, PKTLINE_BAND_PROGRESS, NULL, 0);
	writer.band_max = 8;
	pktline_put_band(&writer, PKTLINE_BAND_DATA, "abcdefg", 7);
	pktline_put_flush(&writer);
	assert_int_equal(pktline_send(&writer), 0);
	assert_string_equal(strbuf_get(&writer.buffer), "000eunpack ok\n"
							"00010002"
							"0005\x02"
							"0008\x01"
							"abc"
							"0008\x01"
							"def"
							"0006\x01g"
							"0000");
}

static void test_write_failures(void **state _unused_)
{
	_cleanup_pktline_writer_ struct pktline_writer writer = { .fd = -EBADF };
	static char big[PKTLINE_DATA_MAX + 1];
	int fds[2];

	pktline_writer_init(&writer, -EBADF);
	pktline_put(&writer, big, sizeof(big));
	assert_int_equal(pktline_send(&writer), -EMSGSIZE);
	pktline_writer_done(&writer);

	assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	pktline_writer_init(&writer, fds[1]);
	pktline_put_flush(&writer);
	assert_int_equal(pktline_send(&writer), -EPIPE);
	pktline_put_flush(&writer);
	assert_int_equal(pktline_send(&writer), -EPIPE);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),       cmocka_unit_test(test_largest),
		cmocka_unit_test(test_chomped),        cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
