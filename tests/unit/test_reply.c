#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "command/reply.h"

/* What comes out must be one valid JSON object and a newline. */
static json_t *parse(const struct strbuf *out)
{
	json_error_t e;
	json_t *json = json_loadb(strbuf_get(out), out->size, 0, &e);

	if (!json)
		fail_msg("not JSON: %s: %s", e.text, strbuf_get(out));
	assert_int_equal(out->data[out->size - 1], '\n');
	assert_ptr_equal(strchr(out->data, '\n'), out->data + out->size - 1);
	for (size_t i = 0; i + 1 < out->size; i++)
		assert_true(out->data[i] >= 0x20 && out->data[i] < 0x7f);
	return json;
}

static void test_text(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *bytes;
		const char *text;
	} cases[] = {
		{ "plain", "shop", "shop" },
		{ "UTF-8", "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "Latin-1", "caf\xe9", "caf\\xe9" },
		{ "cut character", "\xe2\x82", "\\xe2\\x82" },
		{ "overlong", "\xc0\xaf", "\\xc0\\xaf" },
		{ "surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80" },
		{ "beyond Unicode", "\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80" },
		{ "good beside bad", "\xc3\xa9\xff\xc3\xa9", "\xc3\xa9\\xff\xc3\xa9" },
		{ "control characters", "\033[2J", "\033[2J" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ json_t *json =
			reply_text(cases[i].bytes, strlen(cases[i].bytes));

		if (!json || strcmp(json_string_value(json), cases[i].text) != 0)
			fail_msg("%s: %s", cases[i].what, json_string_value(json));
	}
}

static void test_success(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *data = reply_text("\xff\033\"\\\n\xe2\x80\xae", 8);
	_cleanup_json_ json_t *json = NULL;

	reply_success(&out, data, "done \xfe", 1739620800);
	json = parse(&out);
	assert_true(json_is_true(json_object_get(json, "success")));
	assert_string_equal(json_string_value(json_object_get(json, "timestamp")),
			    "2025-02-15T12:00:00Z");
	assert_string_equal(json_string_value(json_object_get(json, "data")),
			    "\\xff\033\"\\\n\xe2\x80\xae");
	assert_string_equal(json_string_value(json_object_get(json, "message")),
			    "done \\xfe");
}

static void test_success_without_data(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *json = NULL;

	reply_success(&out, NULL, NULL, 1);
	json = parse(&out);
	assert_true(json_is_null(json_object_get(json, "data")));
	assert_true(json_is_null(json_object_get(json, "message")));
	assert_int_equal(json_object_size(json), 4);
}

static void test_failure(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_json_ json_t *json = NULL;
	const json_t *inner;

	error_user(&err, -ENOENT, "PROJECT_NOT_FOUND", "no '%s'", "\xff\n");
	error_suggest(&err, "try \"%s\"", "this");
	reply_failure(&out, &err, 1739620800);
	json = parse(&out);
	assert_true(json_is_false(json_object_get(json, "success")));
	inner = json_object_get(json, "error");
	assert_string_equal(json_string_value(json_object_get(inner, "code")),
			    "PROJECT_NOT_FOUND");
	assert_string_equal(json_string_value(json_object_get(inner, "message")),
			    "no '\\xff\n'");
	assert_string_equal(json_string_value(json_object_get(inner, "suggestion")),
			    "try \"this\"");
}

/* The cause of an internal error is not the client's. */
static void test_internal_failure(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_json_ json_t *json = NULL;

	error_internal(&err, -EIO, "secret cause");
	reply_failure(&out, &err, 1);
	json = parse(&out);
	assert_null(strstr(out.data, "secret"));
	assert_non_null(strstr(out.data, "INTERNAL_ERROR"));
}

static void test_object(void **state _unused_)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_json_ json_t *json = NULL;

	reply_put_text(&o, "null", NULL);
	reply_put_number(&o, "number", -5);
	reply_put_bool(&o, "bool", true);
	reply_put_time(&o, "never", 0);
	reply_put_time(&o, "far", INT64_MAX);
	reply_put_time(&o, "time", 86400);
	json = reply_take(&o);
	assert_non_null(json);
	assert_true(json_is_null(json_object_get(json, "null")));
	assert_true(json_is_null(json_object_get(json, "never")));
	assert_true(json_is_null(json_object_get(json, "far")));
	assert_int_equal(json_integer_value(json_object_get(json, "number")), -5);
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "1970-01-02T00:00:00Z");
}

static void test_object_remembers_failure(void **state _unused_)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	reply_put_json(&o, "missing", NULL);
	reply_put_number(&o, "number", 1);
	assert_null(reply_take(&o));
}

static void test_table(void **state _unused_)
{
	static const struct reply_column columns[] = {
		{ "a", "A" },
		{ "b", "LONG", 0 },
		{ "c", "C" },
	};
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *rows =
		json_pack("[{s:s,s:i,s:b},{s:s,s:n,s:s}]", "a", "caf\xc3\xa9", "b", 7,
			  "c", 1, "a", "x\033\n", "b", "c", "");

	reply_table(&out, rows, columns, ARRAY_SIZE(columns));
	assert_string_equal(strbuf_get(&out), "A          LONG  C\n"
					      "caf\xc3\xa9       7     yes\n"
					      "x\\x1b\\x0a  -     -\n");
}

static void test_cut_column(void **state _unused_)
{
	static const struct reply_column columns[] = { { "a", "A", 3 } };
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *rows =
		json_pack("[{s:s},{s:s}]", "a", "abcdef", "a", "ab");

	reply_table(&out, rows, columns, 1);
	assert_string_equal(strbuf_get(&out), "A\nabc\nab\n");
}

static void test_empty_table(void **state _unused_)
{
	static const struct reply_column columns[] = { { "a", "A" } };
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *rows = json_array();

	reply_table(&out, rows, columns, 1);
	assert_int_equal(out.size, 0);
}

static void test_fields(void **state _unused_)
{
	static const struct reply_column columns[] = { { "a", "a" }, { "b", "longer" } };
	_cleanup_strbuf_ struct strbuf out = { 0 };
	_cleanup_json_ json_t *object = json_pack("{s:s}", "a", "\x07 bell");

	reply_fields(&out, object, columns, ARRAY_SIZE(columns));
	assert_string_equal(strbuf_get(&out), "a:      \\x07 bell\nlonger: -\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_success_without_data),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_internal_failure),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_object_remembers_failure),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_cut_column),
		cmocka_unit_test(test_empty_table),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
