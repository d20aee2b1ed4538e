#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "command/tail.h"

static int file_of(const char *data, size_t size)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, data, size), 0);
	return fd;
}

static void test_small(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *text;
		uint64_t lines;
		const char *tail;
	} cases[] = {
		{ "empty", "", 5, "" },
		{ "no lines wanted", "a\nb\n", 0, "" },
		{ "one of many", "a\nb\nc\n", 1, "c\n" },
		{ "two of many", "a\nb\nc\n", 2, "b\nc\n" },
		{ "exactly all", "a\nb\nc\n", 3, "a\nb\nc\n" },
		{ "fewer than wanted", "a\nb\n", 100, "a\nb\n" },
		{ "as many as there are numbers", "a\nb\n", UINT64_MAX, "a\nb\n" },
		{ "no final newline", "a\nb\nc", 2, "b\nc" },
		{ "one line, no newline", "abc", 1, "abc" },
		{ "empty lines count", "a\n\n\n", 2, "\n\n" },
		{ "only a newline", "\n", 1, "\n" },
		{ "newline in front", "\na\n", 1, "a\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_close_ int fd = file_of(cases[i].text, strlen(cases[i].text));
		int64_t start = -1, end = -1;

		assert_int_equal(tail_find(fd, cases[i].lines, &start, &end), 0);
		assert_int_equal(end, strlen(cases[i].text));
		if (start < 0 || start > end ||
		    strcmp(cases[i].text + start, cases[i].tail) != 0)
			fail_msg("%s: begins at %d", cases[i].what, (int)start);
	}
}

/* Lines of every length around the size of what is read at once. */
static void test_across_pieces(void **state _unused_)
{
	static const size_t lengths[] = { 1, 65534, 65535, 65536, 65537, 200000 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_strbuf_ struct strbuf text = { 0 };
		_cleanup_close_ int fd = -EBADF;
		size_t expected;
		int64_t start, end;

		strbuf_str(&text, "first\n");
		expected = text.size;
		for (size_t n = 0; n < lengths[i]; n++)
			strbuf_char(&text, 'x');
		strbuf_str(&text, "\nlast\n");
		fd = file_of(text.data, text.size);

		assert_int_equal(tail_find(fd, 2, &start, &end), 0);
		assert_int_equal(start, expected);
		assert_int_equal(tail_find(fd, 1, &start, &end), 0);
		assert_int_equal(start, text.size - 5);
		assert_int_equal(tail_find(fd, 3, &start, &end), 0);
		assert_int_equal(start, 0);
	}
}

static void test_not_a_file(void **state _unused_)
{
	int64_t start, end;

	assert_int_equal(tail_find(-1, 1, &start, &end), -EBADF);
}

/* The same text in pieces of every size comes out the same. */
static void test_text_in_pieces(void **state _unused_)
{
	static const char text[] = "caf\xc3\xa9 \xf0\x9f\x98\x80\n\ttab\n\033[2J\r\n"
				   "\xff\xe2\x80\xae|\nno end \xe2\x82";
	static const char shown[] = "caf\xc3\xa9 \xf0\x9f\x98\x80\n\ttab\n\\x1b[2J\\x0d\n"
				    "\\xff\\u{202e}|\nno end \\xe2\\x82";

	for (size_t step = 1; step <= sizeof(text); step++) {
		_cleanup_tail_text_ struct tail_text t = { 0 };
		_cleanup_strbuf_ struct strbuf out = { 0 };

		for (size_t at = 0; at < sizeof(text) - 1; at += step) {
			size_t left = sizeof(text) - 1 - at;

			tail_text_feed(&t, text + at, left < step ? left : step, &out);
		}
		assert_true(t.pending.size > 0);
		assert_false(t.open_line);
		tail_text_flush(&t, &out);
		assert_true(t.open_line);
		assert_string_equal(strbuf_get(&out), shown);
	}
}

/* A line that never ends is passed on, and no character of it is cut. */
static void test_endless_line(void **state _unused_)
{
	_cleanup_tail_text_ struct tail_text t = { 0 };
	_cleanup_strbuf_ struct strbuf out = { 0 }, expected = { 0 };

	for (int i = 0; i < 100000; i++) {
		tail_text_feed(&t, "\xe2\x82\xac\xe2", 4, &out);
		tail_text_feed(&t, "\x82\xac", 2, &out);
		strbuf_str(&expected, "\xe2\x82\xac\xe2\x82\xac");
		assert_true(t.pending.size <= TAIL_LINE_MAX + 4);
	}
	assert_true(t.open_line);
	tail_text_flush(&t, &out);
	assert_string_equal(strbuf_get(&out), strbuf_get(&expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_across_pieces),
		cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_text_in_pieces),
		cmocka_unit_test(test_endless_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
