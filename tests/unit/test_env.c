/* .env files: what systemd would see in them, changes that disturb nothing else, the round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "home/env.h"

static void parse_text(const char *text, struct env *env)
{
	assert_int_equal(env_parse(text, strlen(text), env, NULL), 0);
}

static char *rendered(const struct env *env)
{
	struct strbuf buf = { 0 };
	char *text;

	env_render(env, &buf);
	text = strbuf_steal(&buf);
	assert_non_null(text);
	return text;
}

/* Each pair was taken from what a unit with this EnvironmentFile= found in its environment. */
static void test_reads_as_systemd(_unused_ void **state)
{
	static const struct {
		const char *what, *text, *value;
	} cases[] = {
		{ "plain", "K=value\n", "value" },
		{ "no newline at the end", "K=value", "value" },
		{ "empty", "K=\n", "" },
		{ "blanks around", "  K \t=  a b  \n", "a b" },
		{ "single quotes", "K='a \\ \" $x'\n", "a \\ \" $x" },
		{ "double quotes", "K=\"a \\\" \\\\ \\$ \\` \\n\"\n", "a \" \\ $ ` \\n" },
		{ "quotes one after another", "K='a' \"b\"'c'\n", "abc" },
		{ "quotes and then bare", "K='a ' b c  \n", "a b c" },
		{ "quotes inside bare", "K=a\"b\"\n", "a\"b\"" },
		{ "comment sign inside", "K=a #b;c\n", "a #b;c" },
		{ "escaped blank at the end", "K=a\\ \n", "a " },
		{ "escape outside quotes", "K=\\a\\\\b\n", "a\\b" },
		{ "joined lines", "K=a\\\nb\n", "ab" },
		{ "joined lines in quotes", "K=\"a\\\nb\"\n", "ab" },
		{ "line break in quotes", "K='a\nb'\n", "a\nb" },
		{ "equals sign", "K=a=b\n", "a=b" },
		{ "the last one counts", "K=a\nK=b\n", "b" },
		{ "behind a comment", "# K=a\n; K=b\nK=c\n", "c" },
		{ "CRLF", "A=1\r\nK=a\r\n", "a" },
		{ "quotes never closed", "K=\"a\nb", "a\nb" },
		{ "UTF-8", "K=h\xc3\xa9\n", "h\xc3\xa9" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_env_ struct env env = { 0 };
		const char *value;

		parse_text(cases[i].text, &env);
		value = env_get(&env, "K");
		if (!value || strcmp(value, cases[i].value) != 0)
			fail_msg("%s: got '%s'", cases[i].what, value ? value : "(none)");
	}
}

static void test_passes_over(_unused_ void **state)
{
	static const char *const lines[] = {
		"export K=a\n", "K\n",     "9K=a\n", "K-L=a\n",
		"#K=a\n",       " ;K=a\n", "=a\n",   "K K=a\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_env_ struct env env = { 0 };
		_cleanup_free_ char *text = NULL;
		size_t at = 0;

		parse_text(lines[i], &env);
		if (env_next(&env, &at))
			fail_msg("a variable was seen in '%s'", lines[i]);
		text = rendered(&env);
		assert_string_equal(text, lines[i]);
	}
}

static void test_refuses_files(_unused_ void **state)
{
	static const struct {
		const char *what;
		const char *text;
		size_t size;
	} cases[] = {
		{ "NUL", "K=a\0b\n", 6 },          { "Latin-1", "K=\xe9\n", 4 },
		{ "overlong", "K=\xc0\xaf\n", 5 }, { "surrogate", "K=\xed\xa0\x80\n", 6 },
		{ "cut sequence", "K=\xc3", 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		struct env env;
		int r = env_parse(cases[i].text, cases[i].size, &env, &err);

		if (r != -EBADMSG || !str_equal(error_code(&err), "ENV_INVALID"))
			fail_msg("%s: %d %s", cases[i].what, r, error_code(&err));
	}
}

static void test_refuses_too_large(_unused_ void **state)
{
	_cleanup_free_ char *text = malloc(ENV_FILE_MAX + 1);
	_cleanup_error_ struct error err = ERROR_INIT;
	struct env env;

	assert_non_null(text);
	memset(text, '#', ENV_FILE_MAX + 1);
	assert_int_equal(env_parse(text, ENV_FILE_MAX + 1, &env, &err), -EFBIG);
	assert_string_equal(error_code(&err), "ENV_TOO_LARGE");
}

static void test_changes_disturb_nothing(_unused_ void **state)
{
	static const struct {
		const char *what, *before, *key, *value, *after;
	} cases[] = {
		{ "new", "# top\nA=1\n", "B", "2", "# top\nA=1\nB=2\n" },
		{ "in place", "A=1\n# mid\nB=\"x\"\n\nC=3\n", "B", "y",
		  "A=1\n# mid\nB=y\n\nC=3\n" },
		{ "same value keeps the line", "A='1'  \nB=2\n", "A", "1",
		  "A='1'  \nB=2\n" },
		{ "doubles go", "A=1\nB=2\nA=3\n", "A", "4", "A=4\nB=2\n" },
		{ "no newline at the end", "A=1", "B", "2", "A=1\nB=2\n" },
		{ "comment without newline", "#x", "B", "2", "#x\nB=2\n" },
		{ "open quotes are closed", "A='1", "B", "2", "A=1\nB=2\n" },
		{ "open escape is closed", "A=1\\", "B", "2", "A=1\nB=2\n" },
		{ "comment that would swallow", "# c:\\\nA=1\n", "B", "2",
		  "# c:\\ \nA=1\nB=2\n" },
		{ "line with CRLF", "A=1\r\n", "B", "2", "A=1\r\nB=2\n" },
		{ "removed", "# top\nA=1\nB=2\n", "A", NULL, "# top\nB=2\n" },
		{ "removed twice", "A=1\nB=2\nA=3\n", "A", NULL, "B=2\n" },
		{ "was not there", "A=1\n", "B", NULL, "A=1\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_env_ struct env env = { 0 };
		_cleanup_free_ char *text = NULL;
		int r;

		parse_text(cases[i].before, &env);
		r = cases[i].value ? env_set(&env, cases[i].key, cases[i].value, NULL)
				   : env_unset(&env, cases[i].key, NULL);
		text = rendered(&env);
		if (strcmp(text, cases[i].after) != 0 ||
		    r != (strcmp(cases[i].before, cases[i].after) != 0))
			fail_msg("%s: %d '%s'", cases[i].what, r, text);
	}
}

static void test_refuses_changes(_unused_ void **state)
{
	static const struct {
		const char *key, *value, *code;
	} cases[] = {
		{ "", "a", "INVALID_KEY" },         { "9A", "a", "INVALID_KEY" },
		{ "A-B", "a", "INVALID_KEY" },      { "A\n", "a", "INVALID_KEY" },
		{ "A B", "a", "INVALID_KEY" },      { "\xc3\xa9", "a", "INVALID_KEY" },
		{ "A", "a\nB=c", "INVALID_VALUE" }, { "A", "a\r", "INVALID_VALUE" },
		{ "A", "\xff", "INVALID_VALUE" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_error_ struct error err = ERROR_INIT;
		_cleanup_env_ struct env env = { 0 };

		assert_int_equal(env_set(&env, cases[i].key, cases[i].value, &err),
				 -EINVAL);
		assert_string_equal(error_code(&err), cases[i].code);
		assert_int_equal(env.count, 0);
	}
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Any value without line breaks comes back, also after many changes around it. */
static void test_round_trip(_unused_ void **state)
{
	static const char *const pieces[] = {
		"\"",  "'",    "\\",   "$",        "`",
		" ",   "\t",   "#",    ";",        "=",
		"a",   "Z",    "%",    "!",        "*",
		"~",   "\x01", "\x7f", "\xc3\xa9", "\xf0\x9f\x98\x80",
		"\\n", "${A}"
	};
	_cleanup_env_ struct env env = { 0 };
	uint32_t seed = 20250215;

	parse_text("# first\nFIXED=\"one two\"\n", &env);
	for (int round = 0; round < 3000; round++) {
		_cleanup_strbuf_ struct strbuf value = { 0 };
		_cleanup_free_ char *text = NULL;
		uint32_t n = random_next(&seed) % 12;

		for (uint32_t i = 0; i < n; i++)
			strbuf_str(&value,
				   pieces[random_next(&seed) % ARRAY_SIZE(pieces)]);
		assert_true(env_set(&env, round % 2 ? "ODD" : "EVEN", strbuf_get(&value),
				    NULL) >= 0);

		text = rendered(&env);
		env_done(&env);
		parse_text(text, &env);
		if (strcmp(env_get(&env, round % 2 ? "ODD" : "EVEN"),
			   strbuf_get(&value)) != 0)
			fail_msg("'%s' came back from:\n%s", strbuf_get(&value), text);
		assert_string_equal(env_get(&env, "FIXED"), "one two");
		assert_non_null(str_after_prefix(text, "# first\nFIXED=\"one two\"\n"));
	}
}

static void test_steps_through(_unused_ void **state)
{
	_cleanup_env_ struct env env = { 0 };
	const struct env_entry *entry;
	size_t at = 0;

	parse_text("A=1\nexport X=0\nB=2\nA=3\n", &env);
	entry = env_next(&env, &at);
	assert_string_equal(entry->key, "B");
	entry = env_next(&env, &at);
	assert_string_equal(entry->key, "A");
	assert_string_equal(entry->value, "3");
	assert_null(env_next(&env, &at));
}

static void test_names(_unused_ void **state)
{
	assert_true(env_key_is_reserved("PORT") && env_key_is_reserved("HOST"));
	assert_false(env_key_is_reserved("port") || env_key_is_reserved("PORTS"));
	assert_true(env_key_is_secret("DB_PASSWORD") && env_key_is_secret("apiKey"));
	assert_false(env_key_is_secret("NODE_ENV"));
}

static struct env_change change(uint32_t op, const char *key, const char *value)
{
	return (struct env_change){ op, strdup(key), strdup(value) };
}

static void test_language(_unused_ void **state)
{
	struct env_change items[] = { change(ENV_OP_SET, "A", "x y"),
				      change(ENV_OP_UNSET, "B", "") };
	struct env_changes asked = { items, ARRAY_SIZE(items) };
	_cleanup_env_changes_ struct env_changes got = { 0 };
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_env_ struct env env = { 0 };
	bool changed[2] = { false, true };

	env_changes_put(&buf, &asked);
	assert_int_equal(env_changes_get(buf.data, buf.size, &got), 0);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.items[1].op, ENV_OP_UNSET);
	for (size_t n = 0; n < buf.size; n++) { /* no beginning of a request is one */
		struct env_changes none;

		assert_int_equal(env_changes_get(buf.data, n, &none), -EBADMSG);
	}
	assert_int_equal(env_apply(&env, &got, changed, NULL), 0);
	assert_true(changed[0] && !changed[1]);
	assert_string_equal(env_get(&env, "A"), "x y");

	strbuf_clear(&buf);
	env_answer_put(&buf, changed, 2, NULL);
	changed[0] = false;
	assert_int_equal(env_answer_get(buf.data, buf.size, 2, changed, NULL), 0);
	assert_true(changed[0] && !changed[1]);
	assert_int_equal(env_answer_get(buf.data, buf.size, 3, changed, NULL), -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		free(items[i].key);
		free(items[i].value);
	}
}

static void test_language_refuses(_unused_ void **state)
{
	struct env_change items[] = { { ENV_OP_SET, (char *)"PORT", (char *)"1" } };
	struct env_changes asked = { items, 1 };
	_cleanup_error_ struct error err = ERROR_INIT, back = ERROR_INIT;
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_env_ struct env env = { 0 };
	struct env_changes none;
	bool changed;

	assert_int_equal(env_apply(&env, &asked, &changed, &err), -EPERM);
	env_answer_put(&buf, &changed, 1, &err);
	assert_int_equal(env_answer_get(buf.data, buf.size, 1, &changed, &back), -EPERM);
	assert_string_equal(error_code(&back), "RESERVED_KEY");

	strbuf_clear(&buf);
	wire_put_u32(&buf, ENV_CHANGES_MAX + 1);
	assert_int_equal(env_changes_get(buf.data, buf.size, &none), -EBADMSG);
	items[0].op = ENV_OP_UNSET; /* with a value */
	strbuf_clear(&buf);
	env_changes_put(&buf, &asked);
	assert_int_equal(env_changes_get(buf.data, buf.size, &none), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_as_systemd),
		cmocka_unit_test(test_passes_over),
		cmocka_unit_test(test_refuses_files),
		cmocka_unit_test(test_refuses_too_large),
		cmocka_unit_test(test_changes_disturb_nothing),
		cmocka_unit_test(test_refuses_changes),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_steps_through),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_language_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
