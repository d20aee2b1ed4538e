#include "protocol/name.h"

#include <string.h>

#include "base/str.h"
#include "tests/unit/unit.h"

static void test_project(void **state)
{
	static const struct {
		const char *name;
		const char *fault; /* NULL: allowed */
	} cases[] = {
		{ "shop", NULL },
		{ "my-app2", NULL },
		{ "abc", NULL },
		{ "abcdefghijklmnopqrstuvwxyz012345", NULL },
		{ "workers", NULL },
		{ "shop-workers", NULL },
		{ "", "3 to 32" },
		{ "ab", "3 to 32" },
		{ "abcdefghijklmnopqrstuvwxyz0123456", "3 to 32" },
		{ "Shop", "lower-case" },
		{ "a_b", "lower-case" },
		{ "a.b", "lower-case" },
		{ "../x", "lower-case" },
		{ "a b", "lower-case" },
		{ "sh\303\266p", "lower-case" },
		{ "shop\n", "lower-case" },
		{ "2shop", "begin with a letter" },
		{ "-shop", "begin with a letter" },
		{ "shop-", "end with" },
		{ "a--b", "two hyphens" },
		{ "root", "reserved for the system" },
		{ "hostkit", "reserved for the system" },
		{ "hostkit-x", "beginning" },
		{ "systemd-x", "beginning" },
		{ "shop-auth", "services of a project" },
		{ "shop-worker-mails", "unit of another project" },
		{ "shop-cron-x", "unit of another project" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = name_check_project(cases[i].name, &err);

		if (!cases[i].fault) {
			check_case(cases[i].name, r == 0 && !error_is_set(&err));
			continue;
		}
		check_case(cases[i].name, r == -EINVAL);
		check_case(cases[i].name,
			   str_equal(error_code(&err), "INVALID_PROJECT_NAME"));
		check_case(cases[i].name, strstr(err.message, cases[i].fault));
		check_case(cases[i].name, err.suggestion);
		check_case(cases[i].name, !strchr(err.message, '\n'));
	}
	assert_int_equal(name_check_project("root", NULL), -EINVAL);
}

static void test_key(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "laptop", true },
		{ "ci@shop", true },
		{ "A.b_c-d", true },
		{ "7", true },
		{ "0123456789012345678901234567890123456789012345678901234567890123",
		  true },
		{ "01234567890123456789012345678901234567890123456789012345678901234",
		  false },
		{ "", false },
		{ ".hidden", false },
		{ "-f", false },
		{ "a/b", false },
		{ "a b", false },
		{ "a\n", false },
		{ "\303\274", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = name_check_key(cases[i].name, &err);

		check_case(cases[i].name, r == (cases[i].good ? 0 : -EINVAL));
		check_case(cases[i].name, cases[i].good || str_equal(error_code(&err),
								     "INVALID_KEY_NAME"));
	}
}

static void test_release_and_oid(void **state)
{
	(void)state;
	assert_true(name_is_release("20250215-120000"));
	assert_false(name_is_release("20250215-12000"));
	assert_false(name_is_release("20250215-1200000"));
	assert_false(name_is_release("20250215_120000"));
	assert_false(name_is_release("2025021a-120000"));
	assert_false(name_is_release(""));
	assert_true(name_is_oid("0123456789abcdef0123456789abcdef01234567"));
	assert_false(name_is_oid("0123456789abcdef0123456789abcdef0123456"));
	assert_false(name_is_oid("0123456789abcdef0123456789abcdef012345678"));
	assert_false(name_is_oid("0123456789ABCDEF0123456789abcdef01234567"));
	assert_false(name_is_oid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_project),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_release_and_oid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
