#include "base/escape.h"

#include "tests/unit/unit.h"

static void test_table(void **state)
{
	static const struct {
		const char *what;
		const char *in;
		size_t size; /* 0: strlen */
		const char *out;
	} cases[] = {
		{ "plain", "hello, world", 0, "hello, world" },
		{ "tab stays", "a\tb", 0, "a\tb" },
		{ "newline", "a\nb", 0, "a\\x0ab" },
		{ "carriage return", "a\rb", 0, "a\\x0db" },
		{ "NUL inside", "a\0b", 3, "a\\x00b" },
		{ "colour", "\033[31m", 0, "\\x1b[31m" },
		{ "delete", "\177", 0, "\\x7f" },
		{ "C1 as UTF-8", "\302\233m", 0, "\\x9bm" },
		{ "C1 raw", "\233m", 0, "\\x9bm" },
		{ "soft hyphen", "\302\255", 0, "\\xad" },
		{ "umlaut", "\303\274", 0, "\303\274" },
		{ "emoji", "\360\237\230\200", 0, "\360\237\230\200" },
		{ "right-to-left override", "\342\200\256x", 0, "\\u{202e}x" },
		{ "zero-width space", "\342\200\213", 0, "\\u{200b}" },
		{ "byte order mark", "\357\273\277", 0, "\\u{feff}" },
		{ "tag character", "\363\240\201\201", 0, "\\u{e0041}" },
		{ "overlong NUL", "\300\200", 0, "\\xc0\\x80" },
		{ "overlong slash", "\340\200\257", 0, "\\xe0\\x80\\xaf" },
		{ "surrogate", "\355\240\200", 0, "\\xed\\xa0\\x80" },
		{ "beyond Unicode", "\364\220\200\200", 0, "\\xf4\\x90\\x80\\x80" },
		{ "cut sequence", "\342\202", 0, "\\xe2\\x82" },
		{ "sequence broken off", "\342A\202", 0, "\\xe2A\\x82" },
		{ "five-byte form", "\370\210\200\200\200", 0,
		  "\\xf8\\x88\\x80\\x80\\x80" },
		{ "backslash stays", "\\x41", 0, "\\x41" },
		{ "nothing", "", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		size_t size = cases[i].size ? cases[i].size : strlen(cases[i].in);

		escape_append(&buf, cases[i].in, size);
		check_case(cases[i].what, str_equal(strbuf_get(&buf), cases[i].out));
	}
}

static void test_text(void **state)
{
	static const struct {
		const char *what, *in;
		size_t max;
		const char *out;
	} cases[] = {
		{ "fits", "abc", 3, "abc" },
		{ "cut", "abcd", 3, "abc..." },
		{ "cut to nothing", "a", 0, "..." },
		{ "not cut through a character", "ab\303\274", 3, "ab..." },
		{ "not cut through a long character", "a\360\237\230\200b", 4, "a..." },
		{ "cut among stray bytes", "\200\200\200\200\200\200", 5,
		  "\\x80\\x80..." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *s = escape_text(cases[i].in, cases[i].max);

		check_case(cases[i].what, s && str_equal(s, cases[i].out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
