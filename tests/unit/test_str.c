#include "base/str.h"

#include "tests/unit/unit.h"

static void test_prefix_suffix(void **state)
{
	(void)state;
	assert_string_equal(str_after_prefix("refs/heads/x", "refs/heads/"), "x");
	assert_string_equal(str_after_prefix("same", "same"), "");
	assert_null(str_after_prefix("short", "shorter"));
	assert_null(str_after_prefix("", "x"));
	assert_true(str_has_suffix("main.c", ".c"));
	assert_true(str_has_suffix("x", ""));
	assert_false(str_has_suffix("c", ".c"));
	assert_false(str_has_suffix("main.cc", ".c"));
}

static void test_to_u64(void **state)
{
	static const struct {
		const char *what, *in;
		uint64_t max;
		int result;
		uint64_t value;
	} cases[] = {
		{ "zero", "0", 10, 0, 0 },
		{ "the highest allowed", "10", 10, 0, 10 },
		{ "one too many", "11", 10, -ERANGE, 0 },
		{ "a digit above max", "9", 5, -ERANGE, 0 },
		{ "leading zeros", "0007", 10, 0, 7 },
		{ "largest", "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "largest plus one", "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "far too large", "99999999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "empty", "", 10, -EINVAL, 0 },
		{ "sign", "-1", 10, -EINVAL, 0 },
		{ "plus", "+1", 10, -EINVAL, 0 },
		{ "blank", " 1", 10, -EINVAL, 0 },
		{ "trailing", "1x", 10, -EINVAL, 0 },
		{ "hexadecimal", "0x1", 10, -EINVAL, 0 },
		{ "high byte", "\3371", 10, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 4711;
		int r = str_to_u64(cases[i].in, cases[i].max, &value);

		check_case(cases[i].what, r == cases[i].result);
		check_case(cases[i].what, value == (r < 0 ? 4711 : cases[i].value));
	}
}

static void test_strbuf(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	char *s;

	(void)state;
	assert_string_equal(strbuf_get(&buf), "");
	strbuf_str(&buf, "ab");
	strbuf_char(&buf, 'c');
	strbuf_format(&buf, "%d", 42);
	strbuf_append(&buf, "\0x", 2);
	assert_int_equal(buf.size, 7);
	assert_memory_equal(buf.data, "abc42\0x\0", 8);

	strbuf_consume(&buf, 0);
	assert_int_equal(buf.size, 7);
	strbuf_consume(&buf, 3);
	assert_memory_equal(buf.data, "42\0x\0", 5);
	strbuf_consume(&buf, 100);
	assert_int_equal(buf.size, 0);
	assert_string_equal(strbuf_get(&buf), "");

	for (int i = 0; i < 1000; i++)
		strbuf_str(&buf, "0123456789");
	assert_int_equal(buf.size, 10000);
	assert_int_equal(strlen(strbuf_get(&buf)), 10000);
	strbuf_clear(&buf);
	assert_int_equal(buf.size, 0);

	s = strbuf_steal(&buf);
	assert_string_equal(s, "");
	free(s);
	assert_null(buf.data);
	s = strbuf_steal(&buf);
	assert_string_equal(s, "");
	free(s);
}

/* Once an append has failed, nothing more goes in and the whole is refused. */
static void test_strbuf_failure(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	(void)state;
	strbuf_str(&buf, "x");
	strbuf_append(&buf, "y", SIZE_MAX);
	assert_true(strbuf_failed(&buf));
	strbuf_str(&buf, "z");
	assert_int_equal(buf.size, 1);
	assert_null(strbuf_steal(&buf));
	assert_false(strbuf_failed(&buf));

	strbuf_append(&buf, "y", SIZE_MAX / 2);
	assert_true(strbuf_failed(&buf));
	strbuf_done_secret(&buf);
	assert_false(strbuf_failed(&buf));
}

static void test_format(void **state)
{
	_cleanup_free_ char *s = str_format("%s-%05d", "a", 7);

	(void)state;
	assert_string_equal(s, "a-00007");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_suffix),
		cmocka_unit_test(test_to_u64),
		cmocka_unit_test(test_strbuf),
		cmocka_unit_test(test_strbuf_failure),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
