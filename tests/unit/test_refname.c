#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
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

static void test_lengths(void **state _unused_)
{
	static const struct {
		const char *what;
		int components, size;
		bool too_long;
	} cases[] = {
		{ "a component that fits with .lock", 1, 250, false },
		{ "one byte more", 1, 251, true },
		{ "many components", 15, 250, false },
		{ "longer than a path", 17, 250, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf name = { 0 };

		strbuf_str(&name, "refs");
		for (int n = 0; n < cases[i].components; n++)
			strbuf_format(&name, "/%0*d", cases[i].size, n);
		if (refname_is_too_long(strbuf_get(&name)) != cases[i].too_long)
			fail_msg("%s", cases[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
