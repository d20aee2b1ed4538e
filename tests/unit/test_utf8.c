#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/macro.h"
#include "base/utf8.h"

static void test_characters(void **state _unused_)
{
	static const struct {
		const char *bytes;
		uint32_t c;
	} cases[] = {
		{ "a", 'a' },
		{ "\x7f", 0x7f },
		{ "\xc2\x80", 0x80 },
		{ "\xdf\xbf", 0x7ff },
		{ "\xe0\xa0\x80", 0x800 },
		{ "\xed\x9f\xbf", 0xd7ff },
		{ "\xee\x80\x80", 0xe000 },
		{ "\xef\xbf\xbf", 0xffff },
		{ "\xf0\x90\x80\x80", 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 0x10ffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = strlen(cases[i].bytes);
		uint32_t c = 0;

		assert_int_equal(utf8_next(cases[i].bytes, n, &c), n);
		assert_int_equal(c, cases[i].c);
		assert_int_equal(utf8_next(cases[i].bytes, n + 1, NULL), n);
		for (size_t cut = 1; cut < n; cut++)
			assert_int_equal(utf8_next(cases[i].bytes, cut, &c), 0);
	}
	assert_int_equal(utf8_next("", 1, NULL), 1); /* NUL */
}

static void test_no_characters(void **state _unused_)
{
	static const char *const cases[] = {
		"\x80", /* continues nothing */
		"\xbf",
		"\xc2 ", /* not continued */
		"\xe2\x82 ",
		"\xc0\x80", /* longer than needed */
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", /* surrogates */
		"\xed\xbf\xbf",
		"\xf4\x90\x80\x80", /* above U+10FFFF */
		"\xf5\x80\x80\x80",
		"\xf8\x88\x80\x80",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(utf8_next(cases[i], strlen(cases[i]), NULL), 0);
		assert_false(utf8_is_valid(cases[i], strlen(cases[i])));
	}
}

static void test_text(void **state _unused_)
{
	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("gr\xc3\xbc\xc3\x9f\x65 \0 \xf0\x9f\x98\x80", 14));
	assert_false(utf8_is_valid("gr\xc3\xbc\xc3", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_no_characters),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
