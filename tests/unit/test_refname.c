#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"
#include "receiver/refname.h"

static void test_names(void **state _unused_)
{
	static const struct {
		const char *name;
		bool valid;
		bool one_level; /* valid as a deletion */
	} cases[] = {
		{ "refs/heads/main", true, true },
		{ "refs/heads/a/b/c", true, true },
		{ "refs/heads/--exec=id", true, true },
		{ "refs/heads/$(id)", true, true },
		{ "refs/heads/\xc3\xa9", true, true },
		{ "refs/heads/a@b", true, true },
		{ "refs/heads/@", true, true },
		{ "refs/heads/a.lockx", true, true },
		{ "refs/x", false, true },
		{ "refs/@", false, false },
		{ "refs/", false, false },
		{ "refs", false, false },
		{ "", false, false },
		{ "HEAD", false, false },
		{ "heads/main", false, false },
		{ "refs/heads/", false, false },
		{ "refs//main", false, false },
		{ "refs/heads//main", false, false },
		{ "refs/heads/.a", false, false },
		{ "refs/heads/a.", false, false },
		{ "refs/heads/a..b", false, false },
		{ "refs/heads/../x", false, false },
		{ "refs/heads/a.lock", false, false },
		{ "refs/heads/a.lock/b", false, false },
		{ "refs/heads/.lock", false, false },
		{ "refs/heads/a@{b", false, false },
		{ "refs/heads/a b", false, false },
		{ "refs/heads/a~b", false, false },
		{ "refs/heads/a^b", false, false },
		{ "refs/heads/a:b", false, false },
		{ "refs/heads/a?b", false, false },
		{ "refs/heads/a*b", false, false },
		{ "refs/heads/a[b", false, false },
		{ "refs/heads/a\\b", false, false },
		{ "refs/heads/a\x1b[2J", false, false },
		{ "refs/heads/a\x7f", false, false },
		{ "refs/heads/a\n", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (refname_is_valid(cases[i].name, false) != cases[i].valid ||
		    refname_is_valid(cases[i].name, true) != cases[i].one_level)
			fail_msg("'%s'", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
