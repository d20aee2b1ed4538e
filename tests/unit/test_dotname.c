#include "gitobject/dotname.h"

#include "base/macro.h"
#include "tests/unit/unit.h"

static void test_dot_names(void **state _unused_)
{
	static const char *const git[] = {
		".git",
		".GIT",
		".Git",
		".git ",
		".git.",
		".git . .",
		"git~1",
		"GIT~1",
		"git~1.",
		".git:x",
		".git::$INDEX_ALLOCATION",
		".g\xe2\x80\x8cit",
		"\xef\xbb\xbf.git",
		"a\\.git",
		".git\\x",
		"x\\git~1\\y",
	};
	static const char *const none[] = { "git",   ".gi",   ".gitx",   ".git-x",
					    "git~2", "x.git", "a.git\\x" };
	static const char *const modules[] = { ".gitmodules",  ".GITMODULES",
					       "gitmod~1",     "GITMOD~4",
					       "gi7eba~1",     "gi7eb~10",
					       ".gitmodules ", ".gitmodules:$DATA" };
	static const char *const no_modules[] = { "gitmodules", ".gitmodulesx",
						  "gitmod~5",   "gi7eba~0",
						  "gi7ebab~",   "gi7eba" };

	for (size_t i = 0; i < ARRAY_SIZE(git); i++)
		if (!dotname_is_git(git[i]))
			fail_msg("'%s' not recognised", git[i]);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (dotname_is_git(none[i]))
			fail_msg("'%s' recognised", none[i]);
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		if (!dotname_is_gitmodules(modules[i]))
			fail_msg("'%s' not recognised", modules[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no_modules); i++)
		if (dotname_is_gitmodules(no_modules[i]))
			fail_msg("'%s' recognised", no_modules[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dot_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
