#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"

static void test_good(void **state _unused_)
{
	/* RFC 4648 section 10 */
	static const struct {
		const char *text;
		const char *bytes;
	} cases[] = {
		{ "", "" },
		{ "Zg==", "f" },
		{ "Zm8=", "fo" },
		{ "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" },
		{ "Zm9vYmE=", "fooba" },
		{ "Zm9vYmFy", "foobar" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };

		if (base64_decode(cases[i].text, strlen(cases[i].text), &buf) < 0)
			fail_msg("%s", cases[i].text);
		assert_string_equal(strbuf_get(&buf), cases[i].bytes);
	}
}

static void test_bad(void **state _unused_)
{
	static const char *const cases[] = {
		"Z",        "Zg",     "Zg=",      "Zg===",
		"=",        "====",   "Zg==Zg==", "Zh==",
		"Zm9=",     "Zm9v\n", " Zm9v",    "Zm-_",
		"Zm9v====", "Z===",   "Z=g=",     "\xff\xff\xff\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };

		if (base64_decode(cases[i], strlen(cases[i]), &buf) != -EINVAL)
			fail_msg("'%s' was accepted", cases[i]);
	}
}

static void test_round_trip(void **state _unused_)
{
	char bytes[256];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		_cleanup_strbuf_ struct strbuf text = { 0 }, back = { 0 };

		digest_base64(&text, bytes, n, true);
		assert_int_equal(base64_decode(strbuf_get(&text), text.size, &back), 0);
		assert_int_equal(back.size, n);
		if (n > 0)
			assert_memory_equal(back.data, bytes, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
