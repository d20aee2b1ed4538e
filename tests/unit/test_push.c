#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "receiver/push.h"

#define OLD "1111111111111111111111111111111111111111"
#define NEW "2222222222222222222222222222222222222222"
#define ZERO "0000000000000000000000000000000000000000"
/* a string constant with NULs inside, and its size */
#define LINE(s) (s), sizeof(s) - 1

static void test_commands(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *line;
		size_t size;
		int result;
	} cases[] = {
		{ "a command", LINE(OLD " " NEW " refs/heads/main"), 0 },
		{ "capabilities", LINE(OLD " " NEW " refs/heads/main\0 report-status"),
		  0 },
		{ "shallow", LINE("shallow " OLD), 0 },
		{ "empty", LINE(""), -EPROTO },
		{ "words", LINE("hello"), -EPROTO },
		{ "no ref", LINE(OLD " " NEW " "), -EPROTO },
		{ "no second name", LINE(OLD " refs/heads/main"), -EPROTO },
		{ "no blank", LINE(OLD "-" NEW " refs/heads/main"), -EPROTO },
		{ "letters in a name", LINE("z" OLD " " NEW " refs/heads/main"),
		  -EPROTO },
		{ "a NUL in a name", LINE("1111\0" OLD " " NEW " refs/heads/main"),
		  -EPROTO },
		{ "short shallow", LINE("shallow 1"), -EPROTO },
		{ "long shallow", LINE("shallow " OLD "1"), -EPROTO },
		{ "another hash", LINE(OLD " " NEW " a\0object-format=sha256"), -EPROTO },
		{ "a longer hash", LINE(OLD " " NEW " a\0object-format=sha12"), -EPROTO },
		{ "this hash", LINE(OLD " " NEW " a\0quiet object-format=sha1 atomic"),
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_push_ struct push push = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = push_add_line(&push, cases[i].line, cases[i].size, &err);

		if (r != cases[i].result)
			fail_msg("%s: %d", cases[i].what, r);
		assert_int_equal(error_is_set(&err), r < 0);
	}
}

static void test_fields(void **state _unused_)
{
	_cleanup_push_ struct push push = { 0 };
	char hex[GIT_OID_HEXSZ + 1];

	assert_int_equal(push_add_line(&push,
				       LINE(ZERO " " NEW
						 " refs/heads/a b\0report-status-v2 "
						 "side-band-64k"),
				       NULL),
			 0);
	assert_int_equal(push_add_line(&push, LINE(OLD " " ZERO " x"), NULL), 0);
	assert_int_equal(push.count, 2);
	assert_string_equal(push.commands[0].ref, "refs/heads/a b");
	assert_string_equal(git_oid_tostr(hex, sizeof(hex), &push.commands[0].new_oid),
			    NEW);
	assert_false(push_is_deletion(&push.commands[0]));
	assert_true(push_is_deletion(&push.commands[1]));
	assert_true(push_has_pack(&push));
	assert_true(push.report_status);
	assert_true(push.side_band);
	assert_false(push.atomic || push.quiet || push.push_options);

	push_refuse(&push.commands[0], "first");
	push_refuse_rest(&push, "second");
	assert_string_equal(push.commands[0].refused, "first");
	assert_string_equal(push.commands[1].refused, "second");
}

static void test_capability_words(void **state _unused_)
{
	_cleanup_push_ struct push push = { 0 };

	/* words that only contain a capability are none */
	assert_int_equal(push_add_line(&push,
				       LINE(OLD " " NEW " a\0xatomic atomically quiet2 "
						"no-report-status side-band"),
				       NULL),
			 0);
	assert_false(push.atomic || push.quiet || push.report_status || push.side_band);
}

static void test_too_many_shallow(void **state _unused_)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_push_ struct push push = { 0 };

	for (int i = 0; i < PUSH_SHALLOW_MAX; i++)
		assert_int_equal(push_add_line(&push, LINE("shallow " OLD), NULL), 0);
	assert_int_equal(push_add_line(&push, LINE("shallow " OLD), &err), -EPROTO);
	assert_string_equal(error_text(&err, true),
			    "more than 20000 shallow commits in one push");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_capability_words),
		cmocka_unit_test(test_too_many_shallow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
