#include "hostkitd/authorize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static struct principal principal_of(enum role role)
{
	return (struct principal){
		.role = role,
		.name = (char *)"somebody",
		.project = (char *)(role == ROLE_PROJECT || role == ROLE_DEPLOY ? "shop"
										: ""),
		.fingerprint = (char *)"",
	};
}

/* Every cell: who may (Y) and may not (-), in the order admin, operator, project, deploy. */
static void test_every_cell(void **state)
{
	static const struct {
		enum action action;
		const char *what;
		const char *cells;
	} table[] = {
		{ ACTION_PUSH, "push", "YY-Y" },
		{ ACTION_FETCH, "fetch", "YYY-" },
		{ ACTION_PROJECT_SEE, "see project", "YYYY" },
		{ ACTION_RESTART, "restart", "YYY-" },
		{ ACTION_RELEASE_SEE, "see releases", "YYYY" },
		{ ACTION_JOB_SEE, "see jobs", "YYYY" },
		{ ACTION_LOG_READ, "read logs", "YYY-" },
		{ ACTION_ENV_READ, "read environment", "YYY-" },
		{ ACTION_ENV_EDIT, "edit environment", "YYY-" },
		{ ACTION_ROLLBACK, "roll back", "YYY-" },
		{ ACTION_DELETE, "delete", "Y---" },
		{ ACTION_COMMAND, "run verbs", "YYYY" },
		{ ACTION_PROVISION, "provision", "YY--" },
		{ ACTION_KEY_SEE, "see keys", "Y---" },
		{ ACTION_KEY_EDIT, "edit keys", "Y---" },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(table), _ACTION_N);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *project =
			table[i].action < ACTION_FIRST_GENERAL ? "shop" : NULL;

		assert_int_equal(table[i].action, i);
		for (uint32_t role = 0; role < _ROLE_N; role++) {
			_cleanup_error_ struct error err = ERROR_INIT;
			struct principal p = principal_of((enum role)role);
			int r = authorize(&p, table[i].action, project, true, &err);
			int wanted = table[i].cells[role] == 'Y' ? 0 : -EACCES;

			if (r != wanted)
				fail_msg("%s: %s: %d", role_name(role), table[i].what, r);
			if (r < 0)
				assert_string_equal(error_code(&err), "ACCESS_DENIED");
		}
	}
}

/* For every role and action: a project that is not there, and one that is somebody else's, answer alike. */
static void test_unknown_is_like_forbidden(void **state)
{
	(void)state;
	for (uint32_t role = ROLE_PROJECT; role < _ROLE_N; role++)
		for (uint32_t action = 0; action < ACTION_FIRST_GENERAL; action++) {
			_cleanup_error_ struct error unknown = ERROR_INIT;
			_cleanup_error_ struct error forbidden = ERROR_INIT;
			struct principal p = principal_of((enum role)role);

			assert_int_equal(authorize(&p, (enum action)action, "other",
						   false, &unknown),
					 -ENOENT);
			assert_int_equal(authorize(&p, (enum action)action, "other", true,
						   &forbidden),
					 -ENOENT);
			assert_string_equal(error_code(&unknown), "PROJECT_NOT_FOUND");
			assert_string_equal(error_code(&forbidden), "PROJECT_NOT_FOUND");
			assert_string_equal(unknown.message, forbidden.message);
			assert_string_equal(unknown.suggestion, forbidden.suggestion);
		}
}

static void test_unknown_for_those_who_may_all(void **state)
{
	(void)state;
	for (uint32_t role = 0; role <= ROLE_OPERATOR; role++)
		for (uint32_t action = 0; action < ACTION_FIRST_GENERAL; action++) {
			_cleanup_error_ struct error err = ERROR_INIT;
			struct principal p = principal_of((enum role)role);

			assert_int_equal(authorize(&p, (enum action)action, "other",
						   false, &err),
					 -ENOENT);
		}
}

static void test_name_is_escaped(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct principal p = principal_of(ROLE_ADMIN);

	(void)state;
	assert_int_equal(authorize(&p, ACTION_PUSH, "a\x1b[2J", false, &err), -ENOENT);
	assert_null(strchr(err.message, 0x1b));
}

static void test_sees(void **state)
{
	struct principal admin = principal_of(ROLE_ADMIN);
	struct principal deploy = principal_of(ROLE_DEPLOY);

	(void)state;
	assert_true(authorize_sees(&admin, "other"));
	assert_true(authorize_sees(&deploy, "shop"));
	assert_false(authorize_sees(&deploy, "other"));
	assert_false(authorize_sees(&deploy, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell),
		cmocka_unit_test(test_unknown_is_like_forbidden),
		cmocka_unit_test(test_unknown_for_those_who_may_all),
		cmocka_unit_test(test_name_is_escaped),
		cmocka_unit_test(test_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
