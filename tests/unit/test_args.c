#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/str.h"
#include "command/args.h"
#include "command/suggest.h"

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static size_t count_words(const char *const *words)
{
	size_t n = 0;

	while (words[n])
		n++;
	return n;
}

static void test_good(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *words[8];
		const char *verb;
		size_t left;
		int flag;
		const char *value;
	} cases[] = {
		{ "one word", { "whoami" }, "whoami", 0, -1, NULL },
		{ "two words", { "project", "list" }, "project list", 0, -1, NULL },
		{ "a project", { "logs", "shop" }, "logs", 1, -1, NULL },
		{ "short flag", { "logs", "shop", "-f" }, "logs", 1, FLAG_FOLLOW, NULL },
		{ "long flag",
		  { "logs", "--follow", "shop" },
		  "logs",
		  1,
		  FLAG_FOLLOW,
		  NULL },
		{ "value apart",
		  { "logs", "-n", "5", "shop" },
		  "logs",
		  1,
		  FLAG_LINES,
		  "5" },
		{ "value joined", { "logs", "-n5" }, "logs", 0, FLAG_LINES, "5" },
		{ "long value apart",
		  { "logs", "--lines", "5" },
		  "logs",
		  0,
		  FLAG_LINES,
		  "5" },
		{ "long value joined",
		  { "logs", "--lines=5" },
		  "logs",
		  0,
		  FLAG_LINES,
		  "5" },
		{ "value with =",
		  { "rollback", "--to=a=b" },
		  "rollback",
		  0,
		  FLAG_TO,
		  "a=b" },
		{ "flag in front", { "--json", "whoami" }, "whoami", 0, FLAG_JSON, NULL },
		{ "flag between",
		  { "project", "--json", "list" },
		  "project list",
		  0,
		  FLAG_JSON,
		  NULL },
		{ "end of flags",
		  { "env", "set", "shop", "--", "-x=1" },
		  "env set",
		  2,
		  -1,
		  NULL },
		{ "end of flags twice",
		  { "env", "set", "--", "--" },
		  "env set",
		  1,
		  -1,
		  NULL },
		{ "a hyphen is a word", { "env", "get", "-" }, "env get", 1, -1, NULL },
		{ "help needs no more",
		  { "provision", "--help" },
		  "provision",
		  0,
		  FLAG_HELP,
		  NULL },
		{ "help beside nonsense",
		  { "whoami", "a", "--nonsense", "-h" },
		  "whoami",
		  1,
		  FLAG_HELP,
		  NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_args_ struct args args = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;

		if (args_parse(cases[i].words, count_words(cases[i].words), &args, &err) <
		    0)
			fail_msg("%s: %s", cases[i].what, error_text(&err, true));
		if (strcmp(args.verb->name, cases[i].verb) != 0 ||
		    args.word_count != cases[i].left)
			fail_msg("%s: %s with %zu words", cases[i].what, args.verb->name,
				 args.word_count);
		if (cases[i].flag < 0)
			continue;
		assert_true(args.set[cases[i].flag]);
		if (cases[i].value)
			assert_string_equal(args.value[cases[i].flag], cases[i].value);
	}
}

static void test_bad(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *words[6];
		const char *code;
		const char *message;
		const char *suggestion;
	} cases[] = {
		{ "nothing",
		  { NULL },
		  "COMMAND_NOT_FOUND",
		  "which verb",
		  "hostkit help" },
		{ "only flags", { "--json" }, "COMMAND_NOT_FOUND", "which verb", "help" },
		{ "unknown",
		  { "frobnicate" },
		  "COMMAND_NOT_FOUND",
		  "'frobnicate'",
		  "help" },
		{ "empty word", { "" }, "COMMAND_NOT_FOUND", "''", "help" },
		{ "misspelt",
		  { "lgos", "shop" },
		  "COMMAND_NOT_FOUND",
		  "'lgos'",
		  "did you mean: hostkit logs" },
		{ "misspelt noun",
		  { "projct", "list" },
		  "COMMAND_NOT_FOUND",
		  "'projct'",
		  "did you mean: hostkit project list" },
		{ "misspelt second",
		  { "project", "lst" },
		  "COMMAND_NOT_FOUND",
		  "'lst'",
		  "did you mean: hostkit project list" },
		{ "noun alone",
		  { "key" },
		  "COMMAND_NOT_FOUND",
		  "add, list, remove",
		  "hostkit help key" },
		{ "escape sequence",
		  { "\033[2J" },
		  "COMMAND_NOT_FOUND",
		  "\\x1b[2J",
		  "help" },
		{ "one too many",
		  { "whoami", "x" },
		  "INVALID_OPTIONS",
		  "'x'",
		  "usage: hostkit whoami" },
		{ "too few",
		  { "provision" },
		  "INVALID_OPTIONS",
		  "what is it about",
		  "usage: hostkit provision P" },
		{ "unknown flag",
		  { "logs", "--frobnicate" },
		  "INVALID_OPTIONS",
		  "--frobnicate: unknown",
		  "usage: hostkit logs" },
		{ "misspelt flag",
		  { "logs", "--folow" },
		  "INVALID_OPTIONS",
		  "did you mean --follow",
		  "usage: hostkit logs" },
		{ "unknown short flag",
		  { "logs", "-z" },
		  "INVALID_OPTIONS",
		  "-z: unknown",
		  "usage" },
		{ "flag of another verb",
		  { "whoami", "--follow" },
		  "INVALID_OPTIONS",
		  "--follow is not for this verb",
		  "usage" },
		{ "value missing",
		  { "logs", "-n" },
		  "INVALID_OPTIONS",
		  "value is missing",
		  "usage" },
		{ "a flag is no value",
		  { "rollback", "--to", "--json" },
		  "INVALID_OPTIONS",
		  "value is missing",
		  "usage" },
		{ "empty value",
		  { "rollback", "--to=" },
		  "INVALID_OPTIONS",
		  "value is missing",
		  "usage" },
		{ "value unwanted",
		  { "logs", "--follow=1" },
		  "INVALID_OPTIONS",
		  "takes no value",
		  "usage" },
		{ "joined to a plain flag",
		  { "logs", "-fx" },
		  "INVALID_OPTIONS",
		  "takes no value",
		  "usage" },
		{ "value twice",
		  { "logs", "-n1", "-n", "2" },
		  "INVALID_OPTIONS",
		  "twice",
		  "usage" },
		{ "hyphens for a name",
		  { "provision", "-a" },
		  "INVALID_OPTIONS",
		  "-a: unknown",
		  "usage" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_args_ struct args args = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = args_parse(cases[i].words, count_words(cases[i].words), &args,
				   &err);

		if (r != -EINVAL)
			fail_msg("%s: %d", cases[i].what, r);
		if (strcmp(error_code(&err), cases[i].code) != 0 ||
		    !strstr(error_text(&err, true), cases[i].message) ||
		    !strstr(err.suggestion, cases[i].suggestion))
			fail_msg("%s: %s, %s, %s", cases[i].what, error_code(&err),
				 error_text(&err, true), err.suggestion);
	}
}

/* --json holds for the complaint too. */
static void test_json_survives(void **state _unused_)
{
	const char *const *words = WORDS("logs", "--nonsense", "--json");
	_cleanup_args_ struct args args = { 0 };

	assert_int_equal(args_parse(words, 3, &args, NULL), -EINVAL);
	assert_true(args.set[FLAG_JSON]);
}

static void test_help_of_noun(void **state _unused_)
{
	_cleanup_args_ struct args args = { 0 };

	assert_int_equal(args_parse(WORDS("project", "--help"), 2, &args, NULL), 0);
	assert_null(args.verb);
	assert_string_equal(args.noun, "project");
}

static void test_masses(void **state _unused_)
{
	enum {
		COUNT = 10000,
		LONG = 1024 * 1024
	};
	_cleanup_free_ const char **words = calloc(COUNT, sizeof(*words));
	_cleanup_free_ char *word = malloc(LONG + 1);
	size_t n;
	const struct verb *table = verb_table(&n);

	assert_non_null(words);
	assert_non_null(word);
	memset(word, 'a', LONG);
	word[LONG] = '\0';

	for (size_t v = 0; v < n; v++) {
		_cleanup_args_ struct args args = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		char *space;
		_cleanup_free_ char *name = strdup(table[v].name);
		size_t used = 1;
		int r;

		for (size_t i = 0; i < COUNT; i++)
			words[i] = word;
		words[0] = name;
		space = strchr(name, ' ');
		if (space) {
			*space = '\0';
			words[1] = space + 1;
			used = 2;
		}
		r = args_parse(words, COUNT, &args, &err);
		if (table[v].max_words == VERB_WORDS_ANY) {
			assert_int_equal(r, 0);
			assert_int_equal(args.word_count, COUNT - used);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		assert_true(strlen(error_text(&err, true)) < 200);
	}
}

/* The table is what help, documentation and parsing rely on. */
static void test_table(void **state _unused_)
{
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++) {
		const struct verb *v = &table[i];

		if (!v->run || !v->help || !v->synopsis || v->roles == 0 ||
		    !v->examples[0])
			fail_msg("%s is incomplete", v->name);
		if (v->min_words > v->max_words)
			fail_msg("%s: %u to %u words", v->name, v->min_words,
				 v->max_words);
		for (size_t j = 0; j < i; j++)
			if (strcmp(table[j].name, v->name) == 0)
				fail_msg("%s is there twice", v->name);
		if (verb_is_noun(v->name))
			fail_msg("%s is a verb and a noun", v->name);
		for (size_t e = 0; e < VERB_EXAMPLES_MAX && v->examples[e]; e++)
			if (!strstr(v->examples[e], v->name))
				fail_msg("'%s' is no example of %s", v->examples[e],
					 v->name);
	}
}

/* Every flag in a synopsis is taken, and every example can be parsed. */
static void test_examples_parse(void **state _unused_)
{
	size_t n;
	const struct verb *table = verb_table(&n);

	for (size_t i = 0; i < n; i++) {
		for (size_t e = 0; e < VERB_EXAMPLES_MAX && table[i].examples[e]; e++) {
			_cleanup_free_ char *text = strdup(table[i].examples[e]);
			_cleanup_args_ struct args args = { 0 };
			_cleanup_error_ struct error err = ERROR_INIT;
			const char *words[16];
			size_t count = 0;
			char *save = NULL;

			for (char *w = strtok_r(text, " ", &save); w && count < 16;
			     w = strtok_r(NULL, " ", &save)) {
				if (strcmp(w, "<") == 0)
					break;
				words[count++] = w;
			}
			if (args_parse(words + 1, count - 1, &args, &err) < 0)
				fail_msg("%s: %s", table[i].examples[e],
					 error_text(&err, true));
			assert_ptr_equal(args.verb, &table[i]);
		}
	}
}

static void test_flags_are_distinct(void **state _unused_)
{
	for (int i = 0; i < _FLAG_N; i++) {
		assert_non_null(flag_info(i)->name);
		assert_non_null(flag_info(i)->help);
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(flag_info(i)->name, flag_info(j)->name);
			if (flag_info(i)->letter)
				assert_int_not_equal(flag_info(i)->letter,
						     flag_info(j)->letter);
		}
	}
}

static void test_distance(void **state _unused_)
{
	static const struct {
		const char *a;
		const char *b;
		size_t distance;
	} cases[] = {
		{ "", "", 0 },
		{ "logs", "logs", 0 },
		{ "logs", "", 4 },
		{ "logs", "log", 1 },
		{ "logs", "logos", 1 },
		{ "logs", "lags", 1 },
		{ "logs", "lgos", 1 },
		{ "whoami", "whomai", 1 },
		{ "kitten", "sitting", 3 },
	};
	char huge[200];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(suggest_distance(cases[i].a, cases[i].b),
				 cases[i].distance);
		assert_int_equal(suggest_distance(cases[i].b, cases[i].a),
				 cases[i].distance);
	}
	memset(huge, 'a', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_true(suggest_distance(huge, "a") == SIZE_MAX);
}

static void test_suggest(void **state _unused_)
{
	struct suggest s = { .word = "jbos" };

	suggest_offer(&s, "logs");
	assert_null(s.best);
	suggest_offer(&s, "jobs");
	assert_string_equal(s.best, "jobs");
	suggest_offer(&s, "bobs");
	assert_string_equal(s.best, "jobs");

	s = (struct suggest){ .word = "x" };
	suggest_offer(&s, "y");
	assert_null(s.best);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_json_survives),
		cmocka_unit_test(test_help_of_noun),
		cmocka_unit_test(test_masses),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_examples_parse),
		cmocka_unit_test(test_flags_are_distinct),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
