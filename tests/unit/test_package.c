#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "builder/node.h"

static int parse(const char *text, struct node_package *package, struct error *err)
{
	return node_package_parse(text, strlen(text), package, err);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		struct node_package want;
	} cases[] = {
		{ "{}", { 0 } },
		{ "{\"scripts\":{\"build\":\"tsc\",\"start\":\"node .\"}}",
		  { .build_script = true, .start_script = true } },
		{ "{\"scripts\":{\"build\":\"\"}}", { 0 } },
		{ "{\"scripts\":{\"build\":5}}", { 0 } },
		{ "{\"scripts\":[\"build\"]}", { 0 } },
		{ "{\"dependencies\":{}}", { 0 } },
		{ "{\"dependencies\":{\"next\":\"15\"}}",
		  { .dependencies = true, .next = true } },
		{ "{\"devDependencies\":{\"a\":\"1\"}}",
		  { .dependencies = true, .dev_dependencies = true } },
		{ "{\"optionalDependencies\":{\"a\":\"1\"}}", { .dependencies = true } },
		{ "{\"workspaces\":[\"packages/*\"]}", { .dependencies = true } },
		{ "{\"scripts\":{\"prepare\":\"x\"}}", { .install_scripts = true } },
		{ "{\"main\":\"dist/a.js\"}", { .main = (char *)"dist/a.js" } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_node_package_ struct node_package got = { 0 };
		const struct node_package *want = &cases[i].want;

		assert_int_equal(parse(cases[i].text, &got, NULL), 0);
		if (got.dependencies != want->dependencies ||
		    got.dev_dependencies != want->dev_dependencies ||
		    got.build_script != want->build_script ||
		    got.start_script != want->start_script ||
		    got.install_scripts != want->install_scripts ||
		    got.next != want->next || !got.main != !want->main)
			fail_msg("%s", cases[i].text);
		if (want->main)
			assert_string_equal(got.main, want->main);
	}
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"\"x\"",
		"null",
		"{",
		"{\"a\":1,}",
		"{\"a\":\"\\u0000\"}",
		"{} {}",
		"{\"\xff\":1}",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_node_package_ struct node_package got = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;

		if (parse(texts[i], &got, &err) != -EBADMSG)
			fail_msg("accepted: %s", texts[i]);
		assert_string_equal(err.code, "PACKAGE_JSON_INVALID");
		assert_non_null(err.suggestion);
	}
}

static void test_depth(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_node_package_ struct node_package got = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	(void)state;

	for (size_t i = 0; i < 300000; i++)
		strbuf_str(&buf, "{\"a\":");
	assert_int_equal(parse(strbuf_get(&buf), &got, &err), -EBADMSG);
}

static void test_plan(void **state)
{
	const struct node_locks none = { 0 }, npm = { .npm = true },
				yarn = { .yarn = true }, all = { true, true, true };
	const struct {
		const char *what;
		struct node_package package;
		struct node_locks locks;
		struct node_plan want;
	} cases[] = {
		{ "nothing at all", { 0 }, none, { 0 } },
		{ "a lock file but nothing to install", { 0 }, npm, { 0 } },
		{ "build without dependencies",
		  { .build_script = true },
		  none,
		  { .build = true } },
		{ "dependencies, locked",
		  { .dependencies = true },
		  npm,
		  { NODE_MANAGER_NPM, .frozen = true } },
		{ "dependencies, no lock file",
		  { .dependencies = true },
		  none,
		  { NODE_MANAGER_NPM } },
		{ "build needs the dev dependencies, then they go",
		  { .dependencies = true,
		    .dev_dependencies = true,
		    .build_script = true },
		  npm,
		  { NODE_MANAGER_NPM, true, .with_dev = true, .build = true,
		    .prune = true } },
		{ "nothing to prune",
		  { .dependencies = true, .build_script = true },
		  npm,
		  { NODE_MANAGER_NPM, true, .with_dev = true, .build = true } },
		{ "dev dependencies without a use for them",
		  { .dependencies = true, .dev_dependencies = true },
		  npm,
		  { NODE_MANAGER_NPM, true } },
		{ "a prepare script has them",
		  { .dependencies = true,
		    .dev_dependencies = true,
		    .install_scripts = true },
		  npm,
		  { NODE_MANAGER_NPM, true, .with_dev = true, .prune = true } },
		{ "yarn", { .dependencies = true }, yarn, { NODE_MANAGER_YARN, true } },
		{ "npm wins", { .dependencies = true }, all, { NODE_MANAGER_NPM, true } },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct node_plan got = node_plan(&cases[i].package, cases[i].locks);
		const struct node_plan *want = &cases[i].want;

		if (got.manager != want->manager || got.frozen != want->frozen ||
		    got.with_dev != want->with_dev || got.build != want->build ||
		    got.prune != want->prune)
			fail_msg("%s", cases[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
