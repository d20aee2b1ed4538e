#include "sshd/exec_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* Words joined by '|', each in brackets: an empty word shows. */
static char *joined(const struct exec_line *exec)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	for (size_t i = 0; i < exec->word_count; i++)
		strbuf_format(&buf, "[%s]", exec->words[i]);
	return strbuf_steal(&buf);
}

static void test_words(void **state)
{
	static const struct {
		const char *line;
		const char *words;
	} cases[] = {
		{ "", "" },
		{ "  \t ", "" },
		{ "whoami", "[whoami]" },
		{ "  logs   shop\t-f  ", "[logs][shop][-f]" },
		{ "env set shop 'KEY=a b'", "[env][set][shop][KEY=a b]" },
		{ "a '' \"\" b", "[a][][][b]" },
		{ "a'b'\"c\"d", "[abcd]" },
		{ "'a\\b' \"a\\b\" a\\b", "[a\\b][a\\b][ab]" },
		{ "\"\\\"\\\\\\$\\`\"", "[\"\\$`]" },
		{ "\\' \\\" \\ x", "['][\"][ x]" },
		{ "a$(id) `id` $HOME * ; | &", "[a$(id)][`id`][$HOME][*][;][|][&]" },
		{ "'it'\\''s'", "[it's]" },
		{ "gr\xc3\xbc\xc3\x9f dich", "[gr\xc3\xbc\xc3\x9f][dich]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_exec_line_ struct exec_line exec = { 0 };
		_cleanup_free_ char *words = NULL;

		print_message("line <%s>\n", cases[i].line);
		assert_int_equal(exec_line_parse(cases[i].line, strlen(cases[i].line),
						 &exec, NULL),
				 0);
		assert_int_equal(exec.kind, EXEC_VERB);
		words = joined(&exec);
		assert_string_equal(words, cases[i].words);
	}
}

static void test_git(void **state)
{
	static const struct {
		const char *line;
		enum git_service service;
		const char *project;
	} cases[] = {
		{ "git-receive-pack 'shop'", GIT_SERVICE_RECEIVE, "shop" },
		{ "git-upload-pack '/shop.git'", GIT_SERVICE_UPLOAD, "shop" },
		{ "git receive-pack '/shop'", GIT_SERVICE_RECEIVE, "shop" },
		{ "git upload-pack shop.git", GIT_SERVICE_UPLOAD, "shop" },
		{ "git-upload-pack '~/shop'", GIT_SERVICE_UPLOAD, "shop" },
		{ "git-upload-pack \"/shop.git/\"", GIT_SERVICE_UPLOAD, "shop" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_exec_line_ struct exec_line exec = { 0 };

		print_message("line <%s>\n", cases[i].line);
		assert_int_equal(exec_line_parse(cases[i].line, strlen(cases[i].line),
						 &exec, NULL),
				 0);
		assert_int_equal(exec.kind, EXEC_GIT);
		assert_int_equal(exec.service, cases[i].service);
		assert_string_equal(exec.project, cases[i].project);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *what;
		const char *line;
		size_t size; /* 0: strlen(line) */
		const char *code;
	} cases[] = {
		{ "single quote open", "a 'b", 0, "EXEC_LINE_INVALID" },
		{ "double quote open", "a \"b", 0, "EXEC_LINE_INVALID" },
		{ "backslash at the end", "a \\", 0, "EXEC_LINE_INVALID" },
		{ "backslash at the end of quotes", "a \"\\", 0, "EXEC_LINE_INVALID" },
		{ "NUL", "whoami\0x", 8, "EXEC_LINE_INVALID" },
		{ "newline", "a\nb", 0, "EXEC_LINE_INVALID" },
		{ "carriage return", "a\rb", 0, "EXEC_LINE_INVALID" },
		{ "escape", "a\033[2J", 0, "EXEC_LINE_INVALID" },
		{ "delete", "a\x7f", 0, "EXEC_LINE_INVALID" },
		{ "not UTF-8", "a\xff", 0, "EXEC_LINE_INVALID" },
		{ "overlong UTF-8", "\xc0\xaf", 0, "EXEC_LINE_INVALID" },
		{ "three bytes overlong", "\xe0\x80\xaf", 0, "EXEC_LINE_INVALID" },
		{ "surrogate", "\xed\xa0\x80", 0, "EXEC_LINE_INVALID" },
		{ "beyond Unicode", "\xf4\x90\x80\x80", 0, "EXEC_LINE_INVALID" },
		{ "cut UTF-8", "\xe2\x82", 0, "EXEC_LINE_INVALID" },
		{ "no project", "git-receive-pack", 0, "GIT_COMMAND_INVALID" },
		{ "no project, two words", "git receive-pack", 0, "GIT_COMMAND_INVALID" },
		{ "two projects", "git-receive-pack a b", 0, "GIT_COMMAND_INVALID" },
		{ "option", "git-receive-pack --upload-pack=id", 0,
		  "INVALID_PROJECT_NAME" },
		{ "help", "git-receive-pack '--help'", 0, "INVALID_PROJECT_NAME" },
		{ "ssh option", "git-upload-pack '-oProxyCommand=id'", 0,
		  "INVALID_PROJECT_NAME" },
		{ "parent", "git-receive-pack '../shop'", 0, "INVALID_PROJECT_NAME" },
		{ "path", "git-receive-pack '/etc/shop'", 0, "INVALID_PROJECT_NAME" },
		{ "path behind", "git-receive-pack 'shop.git/../other'", 0,
		  "INVALID_PROJECT_NAME" },
		{ "shell", "git-receive-pack 'shop; id; '", 0, "INVALID_PROJECT_NAME" },
		{ "substitution", "git-receive-pack $(id)", 0, "INVALID_PROJECT_NAME" },
		{ "empty", "git-receive-pack ''", 0, "INVALID_PROJECT_NAME" },
		{ "slash", "git-receive-pack /", 0, "INVALID_PROJECT_NAME" },
		{ "suffix alone", "git-receive-pack .git", 0, "INVALID_PROJECT_NAME" },
		{ "archive", "git-upload-archive shop", 0, "GIT_COMMAND_INVALID" },
		{ "shell of git", "git-shell -c x", 0, "GIT_COMMAND_INVALID" },
		{ "git alone", "git", 0, "GIT_COMMAND_INVALID" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_exec_line_ struct exec_line exec = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		size_t size = cases[i].size ? cases[i].size : strlen(cases[i].line);

		print_message("%s\n", cases[i].what);
		assert_int_equal(exec_line_parse(cases[i].line, size, &exec, &err),
				 -EINVAL);
		assert_string_equal(err.code, cases[i].code);
		assert_null(strchr(err.message, '\n'));
		assert_null(exec.words);
	}
}

static void test_limits(void **state)
{
	_cleanup_free_ char *line = malloc(EXEC_LINE_MAX + 1);
	_cleanup_exec_line_ struct exec_line exec = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;

	(void)state;
	assert_non_null(line);
	memset(line, 'a', EXEC_LINE_MAX + 1);
	assert_int_equal(exec_line_parse(line, EXEC_LINE_MAX + 1, &exec, &err), -EINVAL);
	assert_int_equal(exec_line_parse(line, EXEC_LINE_MAX, &exec, &err), 0);
	assert_int_equal(exec.word_count, 1);
	exec_line_done(&exec);

	for (size_t i = 1; i <= EXEC_LINE_MAX; i += 2)
		line[i] = ' ';
	assert_int_equal(exec_line_parse(line, 2 * EXEC_WORDS_MAX, &exec, &err), 0);
	assert_int_equal(exec.word_count, EXEC_WORDS_MAX);
	exec_line_done(&exec);
	assert_int_equal(exec_line_parse(line, 2 * EXEC_WORDS_MAX + 1, &exec, &err),
			 -EINVAL);
}

static void test_git_protocol(void **state)
{
	static const struct {
		const char *value;
		uint32_t version;
	} cases[] = {
		{ "version=2", 2 },
		{ "version=1", 1 },
		{ "version=0", 0 },
		{ "", 0 },
		{ "version=3", 0 },
		{ "version=22", 0 },
		{ "version=", 0 },
		{ "version", 0 },
		{ "2", 0 },
		{ "version=1:version=2", 2 },
		{ "version=2:version=1", 2 },
		{ "foo:version=2:bar=baz", 2 },
		{ "::version=1:", 1 },
		{ "xversion=2", 0 },
		{ "version=2 ", 0 },
		{ "version=2\n", 0 },
		{ "version=2;id", 0 },
	};
	char large[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("<%s>\n", cases[i].value);
		assert_int_equal(exec_git_protocol(cases[i].value), cases[i].version);
	}
	memset(large, ':', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	memcpy(large, "version=2", 9);
	assert_int_equal(exec_git_protocol(large), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),        cmocka_unit_test(test_git),
		cmocka_unit_test(test_refused),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_git_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
