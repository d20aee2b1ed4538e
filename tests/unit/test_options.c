#include "receiver/options.h"

#include "base/macro.h"
#include "base/str.h"
#include "tests/unit/unit.h"

static int protocol_of(const char *value)
{
	char *argv[] = { (char *)"hostkit-receive", (char *)"--standalone",
			 (char *)"r.git", NULL };
	/* of its exact size, so that the sanitizer sees a byte too many being read */
	_cleanup_free_ char *copy = value ? strdup(value) : NULL;
	_cleanup_error_ struct error err = ERROR_INIT;
	struct receive_options options;

	assert_int_equal(options_parse(ARRAY_SIZE(argv) - 1, argv, copy, &options, &err),
			 0);
	assert_string_equal(options.repository, "r.git");
	return options.protocol;
}

static void test_protocol(void **state)
{
	static const struct {
		const char *what, *value;
		int version;
	} cases[] = {
		{ "none", NULL, 0 },
		{ "empty", "", 0 },
		{ "one", "version=1", 1 },
		{ "two", "version=2", 2 },
		{ "the highest", "version=1:version=2:version=0", 2 },
		{ "among others", "a=b:version=1:c", 1 },
		{ "unknown", "version=3", 0 },
		{ "two digits", "version=21", 0 },
		{ "no digit at the end", "version=", 0 },
		{ "no digit", "version=:version=1", 1 },
		{ "cut short", "versio", 0 },
		{ "only separators", ":::", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_case(cases[i].what,
			   protocol_of(cases[i].value) == cases[i].version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
