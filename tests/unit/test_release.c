#include "hostkitd/release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void test_names(void **state)
{
	static const struct {
		const char *what;
		int64_t now;
		const char *newest;
		const char *name;
	} cases[] = {
		{ "first", 1739620800, "", "20250215-120000" },
		{ "later", 1739620800, "20250214-235959", "20250215-120000" },
		{ "same second", 1739620800, "20250215-120000", "20250215-120001" },
		{ "clock set back", 1739620800, "20250215-120959", "20250215-121000" },
		{ "over midnight", 1739663999, "20250215-235959", "20250216-000000" },
		{ "over a leap day", 0, "20240229-235959", "20240301-000000" },
		{ "newest is no name", 1739620800, "bootstrap", "20250215-120000" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = release_name(cases[i].now, cases[i].newest);

		assert_non_null(name);
		if (!str_equal(name, cases[i].name))
			fail_msg("%s: %s", cases[i].what, name);
		assert_true(strcmp(name, cases[i].newest) > 0 ||
			    str_equal(cases[i].newest, "bootstrap"));
	}
	assert_null(release_name(253402300800, "")); /* the year 10000 */
}

/*
 * Releases newest first: G good, L good and live, F failed, l failed and live, B building, x gone; below:
 * '-' goes, 'k' stays.
 */
static void test_choose(void **state)
{
	static const struct {
		const char *what;
		uint32_t keep;
		const char *releases;
		const char *fate;
	} cases[] = {
		{ "none", 5, "", "" },
		{ "few", 5, "LGGG", "kkkk" },
		{ "five of seven", 5, "LGGGGGG", "kkkkk--" },
		{ "after a rollback", 2, "GGGLGG", "k--kk-" },
		{ "rolled back far", 3, "GGGGGLG", "kk---kk" },
		{ "one failed is kept", 3, "LFGFGF", "kkk-k-" },
		{ "failures do not count", 2, "FFFLG", "k--kk" },
		{ "building stays", 2, "BLGG", "kkk-" },
		{ "gone does not go again", 2, "LGxGx", "kkk-k" },
		{ "half removed goes and does not count", 2, "LrGGr", "k-k--" },
		{ "live one failed", 2, "lFGGG", "kkkk-" },
		{ "nothing live", 2, "GGG", "kk-" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct release_record records[16] = { 0 };
		bool remove[16];
		size_t count = strlen(cases[i].releases), removed = 0;

		for (size_t j = 0; j < count; j++) {
			char c = cases[i].releases[j];

			records[j].live = c == 'L' || c == 'l';
			records[j].state = c == 'F' || c == 'l' ? RELEASE_STATE_FAILED
					   : c == 'B'           ? RELEASE_STATE_BUILDING
					   : c == 'x'           ? RELEASE_STATE_GONE
					   : c == 'r'           ? RELEASE_STATE_REMOVING
								: RELEASE_STATE_GOOD;
		}
		removed = release_choose(records, count, cases[i].keep, remove);
		for (size_t j = 0; j < count; j++) {
			bool gone = records[j].state == RELEASE_STATE_GONE;

			if (remove[j] != (cases[i].fate[j] == '-') && !gone)
				fail_msg("%s: release %zu", cases[i].what, j);
			assert_false(gone && remove[j]);
			removed -= remove[j];
		}
		assert_int_equal(removed, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_choose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
