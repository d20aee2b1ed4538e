#include "base/wire.h"

#include "tests/unit/unit.h"

static void test_round_trip(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_free_ char *text = NULL, *empty = NULL, *missing = NULL;
	const uint8_t *bytes;
	struct wire w;
	size_t size;

	(void)state;
	wire_put_u8(&buf, 0xfe);
	wire_put_u32(&buf, 0xdeadbeef);
	wire_put_u64(&buf, UINT64_MAX - 1);
	wire_put_i64(&buf, INT64_MIN);
	wire_put_bool(&buf, true);
	wire_put_bool(&buf, false);
	wire_put_string(&buf, "text");
	wire_put_string(&buf, "");
	wire_put_string(&buf, NULL);
	wire_put_bytes(&buf, "a\0b", 3);
	assert_false(strbuf_failed(&buf));

	w = wire_reader(buf.data, buf.size);
	assert_int_equal(wire_u8(&w), 0xfe);
	assert_int_equal(wire_u32(&w), 0xdeadbeef);
	assert_true(wire_u64(&w) == UINT64_MAX - 1);
	assert_true(wire_i64(&w) == INT64_MIN);
	assert_true(wire_bool(&w));
	assert_false(wire_bool(&w));
	text = wire_string(&w, 4);
	empty = wire_string(&w, 0);
	missing = wire_string(&w, 10);
	assert_string_equal(text, "text");
	assert_string_equal(empty, "");
	assert_string_equal(missing, "");
	bytes = wire_bytes(&w, 3, &size);
	assert_int_equal(size, 3);
	assert_memory_equal(bytes, "a\0b", 3);
	assert_int_equal(wire_end(&w), 0);
}

static void test_layout(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	(void)state;
	wire_put_u32(&buf, 0x01020304);
	wire_put_string(&buf, "A");
	assert_int_equal(buf.size, 9);
	assert_memory_equal(buf.data, "\4\3\2\1\1\0\0\0A", 9);
}

static void test_bad_strings(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[8];
		size_t size;
	} cases[] = {
		{ "nothing at all", { 0 }, 0 },
		{ "short length", { 1, 0, 0 }, 3 },
		{ "length without text", { 1, 0, 0, 0 }, 4 },
		{ "length near 2^32", { 0xff, 0xff, 0xff, 0xff, 'w' }, 5 },
		{ "above the limit", { 3, 0, 0, 0, 'a', 'b', 'c' }, 7 },
		{ "NUL inside", { 2, 0, 0, 0, 'w', 0 }, 6 },
		{ "bytes left over", { 1, 0, 0, 0, 'w', 'x' }, 6 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wire w =
			wire_reader(cases[i].size ? cases[i].bytes : NULL, cases[i].size);
		_cleanup_free_ char *s = wire_string(&w, 2);

		check_case(cases[i].what, wire_end(&w) == -EBADMSG);
		check_case(cases[i].what, !s || strlen(s) <= 2);
	}
}

/* A failed reader stays failed and yields nothing, also where bytes would be left. */
static void test_failure_sticks(void **state)
{
	static const uint8_t bytes[] = { 2, 1, 1, 1, 1, 1, 1, 1, 1 };
	struct wire w = wire_reader(bytes, sizeof(bytes));
	size_t size = 99;

	(void)state;
	assert_false(wire_bool(&w)); /* neither 0 nor 1 */
	assert_int_equal(wire_u8(&w), 0);
	assert_int_equal(wire_u32(&w), 0);
	assert_true(wire_u64(&w) == 0);
	assert_null(wire_bytes(&w, 8, &size));
	assert_int_equal(size, 0);
	assert_null(wire_string(&w, 8));
	assert_int_equal(wire_end(&w), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_bad_strings),
		cmocka_unit_test(test_failure_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
