#include "base/error.h"

#include <string.h>

#include "tests/unit/unit.h"

static void test_user(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_false(error_is_set(&err));
	assert_false(error_is_set(NULL));
	assert_int_equal(error_user(&err, -ENOENT, "GONE", "no '%s'", "shop"), -ENOENT);
	assert_true(error_is_set(&err));
	assert_int_equal(err.number, -ENOENT);
	assert_string_equal(error_text(&err, false), "no 'shop'");
	assert_string_equal(error_code(&err), "GONE");
	assert_null(err.suggestion);

	error_suggest(&err, "type %d", 1);
	error_suggest(&err, "type %d", 2);
	assert_string_equal(err.suggestion, "type 2");

	/* a filled one is replaced, suggestion and all */
	assert_int_equal(error_user(&err, -EPERM, "DENIED", "denied"), -EPERM);
	assert_string_equal(error_text(&err, true), "denied");
	assert_null(err.suggestion);
}

static void test_internal(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(error_internal(&err, -EACCES, "open %s", "x"), -EACCES);
	assert_string_equal(error_text(&err, false), "internal error");
	assert_string_equal(error_text(&err, true), "open x: Permission denied");
	assert_string_equal(error_code(&err), "INTERNAL_ERROR");
}

static void test_wrap(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(error_wrap(&err, -EIO, "first"), -EIO);
	assert_string_equal(error_text(&err, true), "first: Input/output error");
	assert_int_equal(error_wrap(&err, -EIO, "second %d", 2), -EIO);
	assert_string_equal(error_text(&err, true),
			    "second 2: first: Input/output error");

	error_user(&err, -ENOENT, "GONE", "no shop");
	error_suggest(&err, "look elsewhere");
	error_wrap(&err, -ENOENT, "restart");
	assert_string_equal(error_text(&err, false), "restart: no shop");
	assert_string_equal(error_code(&err), "GONE");
	assert_string_equal(err.suggestion, "look elsewhere");
}

/* The old message may be an argument of the new one. */
static void test_replace_with_own_text(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	error_user(&err, -EIO, "A", "inner");
	error_suggest(&err, "try");
	error_user(&err, -EIO, "B", "outer (%s; %s)", error_text(&err, true),
		   err.suggestion);
	assert_string_equal(error_text(&err, true), "outer (inner; try)");
	error_internal(&err, -EIO, "again %s", err.message);
	assert_string_equal(error_text(&err, true),
			    "again outer (inner; try): Input/output error");
	error_suggest(&err, "a");
	error_suggest(&err, "%sb", err.suggestion);
	assert_string_equal(err.suggestion, "ab");
}

static void test_without_err(void **state)
{
	(void)state;
	assert_int_equal(error_user(NULL, -ENOENT, "GONE", "no"), -ENOENT);
	assert_int_equal(error_internal(NULL, -EIO, "no"), -EIO);
	assert_int_equal(error_wrap(NULL, -EIO, "no"), -EIO);
	error_suggest(NULL, "no");
}

/* A mistaken positive number still leaves an error that is one. */
static void test_odd_numbers(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	error_internal(&err, 0, "nothing");
	assert_true(error_is_set(&err));
	assert_string_equal(error_text(&err, true), "nothing: Input/output error");
	error_done(&err);
	assert_false(error_is_set(&err));
	assert_string_equal(error_text(&err, true), "no error");

	errno = EDOM;
	error_internal(&err, -EIO, "x");
	error_wrap(&err, -EIO, "y");
	assert_int_equal(errno, EDOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_internal),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_replace_with_own_text),
		cmocka_unit_test(test_without_err),
		cmocka_unit_test(test_odd_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
