#include "gitobject/lfs.h"

#include <string.h>

#include "base/macro.h"
#include "tests/unit/unit.h"

#define REST "\noid sha256:0123\nsize 12\n"
#define VERSION "version https://git-lfs.github.com/spec/"

static void test_pointers(void **state)
{
	static const struct {
		const char *what, *text;
		bool is;
	} cases[] = {
		{ "as git-lfs writes it", VERSION "v1" REST, true },
		{ "a later version", VERSION "v2" REST, true },
		{ "CR LF", VERSION "v1\r\noid sha256:0123\r\nsize 12\r\n", true },
		{ "no version", VERSION REST, false },
		{ "no version, CR LF", VERSION "\r" REST, false },
		{ "no end of line", VERSION "v1", false },
		{ "prose", VERSION "v1 is the first line" REST, false },
		{ "another host", "version https://example.com/spec/v1" REST, false },
		{ "cut", "version https://git-lfs", false },
		{ "empty", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_case(cases[i].what,
			   lfs_is_pointer(cases[i].text, strlen(cases[i].text)) ==
				   cases[i].is);
}

static void test_size(void **state)
{
	char text[LFS_POINTER_BYTES];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, VERSION "v1" REST, strlen(VERSION "v1" REST));
	assert_true(lfs_is_pointer(text, sizeof(text) - 1));
	assert_false(lfs_is_pointer(text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
