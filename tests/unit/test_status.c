#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "protocol/request.h"
#include "protocol/status.h"

static void test_table_is_sorted(void **state _unused_)
{
	size_t n;
	const struct status_code *codes = status_codes(&n);

	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(codes[i - 1].code, codes[i].code) >= 0)
			fail_msg("%s is out of order", codes[i].code);
		if (codes[i].status == STATUS_DONE || codes[i].status >= _STATUS_N)
			fail_msg("%s has no status of a failure", codes[i].code);
		if (strlen(codes[i].code) > REQUEST_NAME_MAX)
			fail_msg("%s does not fit a message", codes[i].code);
		assert_true(strlen(codes[i].meaning) > 0);
	}
}

static void test_every_code_is_found(void **state _unused_)
{
	size_t n;
	const struct status_code *codes = status_codes(&n);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(status_of_error(codes[i].code, -EIO), codes[i].status);
}

static void test_without_a_code(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *code;
		int number;
		enum status status;
	} cases[] = {
		{ "no error", NULL, 0, STATUS_DONE },
		{ "internal, whatever its number", NULL, -ENOENT, STATUS_FAILED },
		{ "unknown code, not found", "TEAPOT_NOT_FOUND", -ENOENT, STATUS_DENIED },
		{ "unknown code, denied", "TEAPOT_DENIED", -EACCES, STATUS_DENIED },
		{ "unknown code, busy", "TEAPOT_BUSY", -EBUSY, STATUS_LOCKED },
		{ "unknown code, bad input", "TEAPOT_INVALID", -EINVAL, STATUS_USAGE },
		{ "unknown code, cancelled", "TEAPOT", -ECANCELED, STATUS_CANCELLED },
		{ "unknown code, other", "TEAPOT", -EIO, STATUS_FAILED },
		{ "empty code", "", -EIO, STATUS_FAILED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (status_of_error(cases[i].code, cases[i].number) != cases[i].status)
			fail_msg("%s", cases[i].what);
}

static void test_names(void **state _unused_)
{
	for (unsigned int i = 0; i < _STATUS_N; i++)
		assert_non_null(status_name(i));
	assert_null(status_name(_STATUS_N));
	assert_null(status_name(255));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_sorted),
		cmocka_unit_test(test_every_code_is_found),
		cmocka_unit_test(test_without_a_code),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
