/* Cutting foreign output into lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "release/lines.h"

/* Lines joined by '|'. */
static void collect(void *userdata, const char *line, size_t size)
{
	struct strbuf *buf = userdata;

	strbuf_append(buf, line, size);
	strbuf_char(buf, '|');
}

static void test_cases(_unused_ void **state)
{
	static const struct {
		const char *what, *input, *lines;
	} cases[] = {
		{ "nothing", "", "" },
		{ "two", "a\nb\n", "a|b|" },
		{ "the last has no end", "a\nb", "a|b|" },
		{ "empty ones", "\n\na\n", "||a|" },
		{ "CRLF", "a\r\nb\r\n", "a|b|" },
		{ "progress bar", "10%\r20%\r100%\ndone\n", "100%|done|" },
		{ "returned at the end", "10%\r20%\r", "20%|" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece <= 8; piece++) {
			_cleanup_strbuf_ struct strbuf got = { 0 };
			struct lines lines = { .emit = collect, .userdata = &got };
			size_t size = strlen(cases[i].input);

			for (size_t at = 0; at < size; at += piece)
				lines_feed(&lines, cases[i].input + at,
					   size - at < piece ? size - at : piece);
			lines_flush(&lines);
			if (strcmp(strbuf_get(&got), cases[i].lines) != 0)
				fail_msg("%s in pieces of %zu: %s", cases[i].what, piece,
					 strbuf_get(&got));
		}
}

static void test_long_line_keeps_characters_whole(_unused_ void **state)
{
	_cleanup_strbuf_ struct strbuf got = { 0 }, input = { 0 };
	struct lines lines = { .emit = collect, .userdata = &got };
	const char *bar;

	strbuf_char(&input, 'x'); /* so that the border falls into a character */
	for (int i = 0; i < LINES_MAX; i++)
		strbuf_str(&input, "\xe2\x82\xac");
	lines_feed(&lines, input.data, input.size);
	lines_flush(&lines);
	bar = strchr(strbuf_get(&got), '|');
	assert_int_equal((bar - got.data - 1) % 3, 0);
	assert_in_range(bar - got.data, LINES_MAX - 3, LINES_MAX);
	for (size_t i = 0; i < got.size; i++) /* nothing is lost but the bars are new */
		assert_true(got.data[i] == '|' || got.data[i] == 'x' || got.data[i] < 0);
}

static void test_limit(_unused_ void **state)
{
	_cleanup_strbuf_ struct strbuf got = { 0 };
	struct lines lines = { .emit = collect, .userdata = &got, .max_bytes = 5 };

	lines_feed(&lines, "a\nb\n", 4);
	assert_false(lines_dropped(&lines));
	lines_feed(&lines, "c", 1);
	assert_false(lines_dropped(&lines));
	lines_feed(&lines, "d\ne\n", 4);
	assert_true(lines_dropped(&lines));
	lines_flush(&lines);
	assert_string_equal(strbuf_get(&got), "a|b|c|");
}

/* A gigabyte without a newline passes through, and nothing is kept of it. */
static void count_bytes(void *userdata, const char *line, size_t size)
{
	(void)line; /* only its size counts here */
	*(uint64_t *)userdata += size;
}

static void test_huge_line(_unused_ void **state)
{
	static char chunk[1 << 20];
	uint64_t seen = 0;
	struct lines lines = { .emit = count_bytes,
			       .userdata = &seen,
			       .max_bytes = 8 << 20 };

	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 1024; i++)
		lines_feed(&lines, chunk, sizeof(chunk));
	lines_flush(&lines);
	assert_int_equal(seen, 8 << 20);
	assert_int_equal(lines.seen_bytes, 1u << 30);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_long_line_keeps_characters_whole),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_huge_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
