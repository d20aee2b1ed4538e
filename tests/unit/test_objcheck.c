#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "receiver/objcheck.h"

/* What was reported: ids in order, each with a blank behind it, warnings in brackets. */
static void note(void *userdata, bool fatal, const git_oid *oid, const char *id,
		 const char *message)
{
	assert_non_null(oid);
	assert_non_null(message);
	strbuf_format(userdata, fatal ? "%s " : "(%s) ", id);
}

struct entry {
	const char *mode;
	const char *name;
	int oid; /* filled with this byte */
};

static void put_tree(struct strbuf *tree, const struct entry *entries)
{
	for (const struct entry *e = entries; e->mode; e++) {
		strbuf_format(tree, "%s %s", e->mode, e->name);
		strbuf_char(tree, '\0');
		for (int i = 0; i < GIT_OID_RAWSZ; i++)
			strbuf_char(tree, (char)e->oid);
	}
}

static void expect(const char *what, git_object_t type, const char *data, size_t size,
		   const char *ids)
{
	_cleanup_strbuf_ struct strbuf seen = { 0 };
	struct objcheck check = { .report = note, .userdata = &seen };
	bool fatal_expected =
		ids[0] != '\0' && (ids[0] != '(' || strstr(ids, ") b") != NULL);
	git_oid oid = { 0 };
	bool ok = objcheck_object(&check, &oid, type, data, size);

	if (!str_equal(strbuf_get(&seen), ids) || ok == fatal_expected)
		fail_msg("%s: '%s' instead of '%s'", what, strbuf_get(&seen), ids);
	objcheck_done(&check);
}

static void test_trees(void **state _unused_)
{
	static const struct {
		const char *what;
		struct entry entries[4];
		const char *ids;
	} cases[] = {
		{ "nothing", { { 0 } }, "" },
		{ "ordinary", { { "100644", "a", 1 }, { "40000", "b", 2 } }, "" },
		{ "a file sorts before its directory's files",
		  { { "100644", "a.b", 1 }, { "40000", "a", 2 }, { "100644", "a0", 1 } },
		  "" },
		{ "dot", { { "100644", ".", 1 } }, "hasDot " },
		{ "dot dot", { { "40000", "..", 1 } }, "hasDotdot " },
		{ "three dots", { { "40000", "...", 1 } }, "" },
		{ ".git", { { "40000", ".git", 1 } }, "hasDotgit " },
		{ ".gIt", { { "100644", ".gIt", 1 } }, "hasDotgit " },
		{ "slash", { { "100644", "a/b", 1 } }, "fullPathname " },
		{ "null", { { "100644", "a", 0 } }, "nullSha1 " },
		{ "padded mode", { { "0100644", "a", 1 } }, "zeroPaddedFilemode " },
		{ "odd mode", { { "100600", "a", 1 } }, "(badFilemode) " },
		{ "twice",
		  { { "100644", "a", 1 }, { "100644", "a", 2 } },
		  "duplicateEntries " },
		{ "twice with another between",
		  { { "100644", "a", 1 }, { "100644", "a.b", 1 }, { "40000", "a", 2 } },
		  "duplicateEntries " },
		{ "unsorted",
		  { { "100644", "b", 1 }, { "100644", "a", 1 } },
		  "treeNotSorted " },
		{ "link .gitmodules",
		  { { "120000", ".gitmodules", 1 } },
		  "gitmodulesSymlink " },
		{ "link .gitignore",
		  { { "120000", ".gitignore", 1 } },
		  "(gitignoreSymlink) " },
		{ "several flaws",
		  { { "100644", "..", 0 }, { "100644", ".", 1 } },
		  "nullSha1 hasDot hasDotdot treeNotSorted " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf tree = { 0 };

		put_tree(&tree, cases[i].entries);
		expect(cases[i].what, GIT_OBJECT_TREE, strbuf_get(&tree), tree.size,
		       cases[i].ids);
	}
}

static void test_broken_trees(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t size;
	} cases[] = {
		{ "no mode",
		  " a\0"
		  "12345678901234567890",
		  23 },
		{ "letters in the mode",
		  "1x0644 a\0"
		  "12345678901234567890",
		  29 },
		{ "digit 8",
		  "100648 a\0"
		  "12345678901234567890",
		  29 },
		{ "no name",
		  "100644 \0"
		  "12345678901234567890",
		  28 },
		{ "no NUL", "100644 abcdefghijklmnopqrstuvwxyz", 33 },
		{ "a name cut short",
		  "100644 a\0"
		  "1234567890123456789",
		  28 },
		{ "rubbish behind",
		  "100644 a\0"
		  "12345678901234567890x",
		  30 },
		{ "a huge mode",
		  "777777777777 a\0"
		  "12345678901234567890",
		  35 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].what, GIT_OBJECT_TREE, cases[i].bytes, cases[i].size,
		       "badTree ");
}

#define TREE "tree 1111111111111111111111111111111111111111\n"
#define PARENT "parent 2222222222222222222222222222222222222222\n"
#define A "A U <a@example.com> 1700000000 +0100"

static void test_commits(void **state _unused_)
{
	static const struct {
		const char *text;
		const char *ids;
	} cases[] = {
		{ TREE PARENT PARENT "author " A "\ncommitter " A "\n\nx\n", "" },
		{ TREE "author " A "\ncommitter " A "\n", "" },
		{ TREE "author " A "\ncommitter " A "\ngpgsig x\n\nx", "" },
		{ TREE "author " A "\ncommitter " A, "unterminatedHeader " },
		{ "", "unterminatedHeader " },
		{ "\n\n", "missingTree " },
		{ "author " A "\n\n", "missingTree " },
		{ "tree 11\n\n", "badTreeSha1 " },
		{ "tree zz11111111111111111111111111111111111111\n\n", "badTreeSha1 " },
		{ TREE "parent 22\n\n", "badParentSha1 " },
		{ TREE "committer " A "\n\n", "missingAuthor " },
		{ TREE "author " A "\nauthor " A "\ncommitter " A "\n\n",
		  "multipleAuthors " },
		{ TREE "author " A "\n\n", "missingCommitter " },
		{ TREE "author <a@b> 1 +0000\n\n", "missingNameBeforeEmail " },
		{ TREE "author A> <a@b> 1 +0000\n\n", "badName " },
		{ TREE "author A 1 +0000\n\n", "missingEmail " },
		{ TREE "author A<a@b> 1 +0000\n\n", "missingSpaceBeforeEmail " },
		{ TREE "author A <a<b> 1 +0000\n\n", "badEmail " },
		{ TREE "author A <a@b>1 +0000\n\n", "missingSpaceBeforeDate " },
		{ TREE "author A <a@b> 01 +0000\n\n", "zeroPaddedDate " },
		{ TREE "author A <a@b> 99999999999999999999 +0000\n\n",
		  "badDateOverflow " },
		{ TREE "author A <a@b> x +0000\n\n", "badDate " },
		{ TREE "author A <a@b> 1\n\n", "badDate " },
		{ TREE "author A <a@b> 1 0000\n\n", "badTimezone " },
		{ TREE "author A <a@b> 1 +000\n\n", "badTimezone " },
		{ TREE "author A <a@b> 1 +00000\n\n", "badTimezone " },
		{ TREE "author A <a@b> 0 -0000\ncommitter " A "\n\n", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].text, GIT_OBJECT_COMMIT, cases[i].text,
		       strlen(cases[i].text), cases[i].ids);
	expect("NUL in the header", GIT_OBJECT_COMMIT, TREE "author\0" A "\n\n",
	       sizeof(TREE "author\0" A "\n\n") - 1, "nulInHeader ");
	expect("NUL in the body", GIT_OBJECT_COMMIT,
	       TREE "author " A "\ncommitter " A "\n\nx\0",
	       sizeof(TREE "author " A "\ncommitter " A "\n\nx\0") - 1, "nulInCommit ");
}

#define OBJECT "object 1111111111111111111111111111111111111111\n"

static void test_tags(void **state _unused_)
{
	static const struct {
		const char *text;
		const char *ids;
	} cases[] = {
		{ OBJECT "type commit\ntag v1\ntagger " A "\n\nx\n", "" },
		{ OBJECT "type commit\ntag v1\n\nx\n", "(missingTaggerEntry) " },
		{ OBJECT "type commit\ntag v1\ntagger A 1 +0000\n\nx\n",
		  "missingEmail " },
		{ OBJECT "type commit\n\nx\n", "missingTagEntry " },
		{ OBJECT "type commits\ntag v1\n\n", "badType " },
		{ OBJECT "tag v1\n\n", "missingTypeEntry " },
		{ "object 1\n\n", "badObjectSha1 " },
		{ "type commit\n\n", "missingObject " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		expect(cases[i].text, GIT_OBJECT_TAG, cases[i].text,
		       strlen(cases[i].text), cases[i].ids);
}

static void test_strict_modes(void **state _unused_)
{
	static const struct entry entries[] = { { "100664", "a", 1 }, { 0 } };
	_cleanup_strbuf_ struct strbuf tree = { 0 }, seen = { 0 };
	struct objcheck check = { .strict_modes = true,
				  .report = note,
				  .userdata = &seen };
	git_oid oid = { 0 };

	put_tree(&tree, entries);
	assert_false(
		objcheck_object(&check, &oid, GIT_OBJECT_TREE, tree.data, tree.size));
	assert_string_equal(strbuf_get(&seen), "badFilemode ");
	objcheck_done(&check);
}

static void test_gitmodules(void **state _unused_)
{
	static const struct {
		const char *text;
		const char *ids;
	} cases[] = {
		{ "", "" },
		{ "[submodule \"a\"]\n\tpath = a\n\turl = https://h/a.git # x\n", "" },
		{ "[submodule \"a\"]\n\turl = ../a.git\n", "" },
		{ "[other]\n\turl = -x\n", "" },
		{ "[submodule \"a\"]\n\turl = -x\n", "gitmodulesUrl " },
		{ "[submodule \"a\"]\r\n\turl = \"-\"x\r\n", "gitmodulesUrl " },
		{ "[SubModule \"a\"]\n\tURL = -x\n", "gitmodulesUrl " },
		{ "[submodule \"a\"]\n\turl = a\\nb\n", "gitmodulesUrl " },
		{ "[submodule \"a\"]\n\turl = https://a%0Ab\n", "gitmodulesUrl " },
		{ "[submodule \"a\"]\n\turl = ../../:x\n", "gitmodulesUrl " },
		{ "[submodule \"a\"]\n\turl = https:///x\n", "gitmodulesUrl " },
		{ "[submodule \"../a\"]\n\tpath = a\n", "gitmodulesName " },
		{ "[submodule \"a\\\\..\\\\b\"]\n\tpath = a\n", "gitmodulesName " },
		{ "[submodule \"a..b\"]\n\tpath = a\n", "" },
		{ "[submodule \"a\"]\n\tpath = -x\n", "gitmodulesPath " },
		{ "[submodule \"a\"]\n\tupdate = !id\n", "gitmodulesUpdate " },
		{ "[submodule \"a\"]\n\tupdate = none\n", "" },
		{ "[submodule \"a\"]\n\turl = \\\n -x\n", "" },
		{ "[submodule \"a", "(gitmodulesParse) " },
		{ "[submodule \"a\"]\n\turl = \"x\n", "(gitmodulesParse) " },
		{ "[submodule \"a\"]\n\turl = -x\n[", "gitmodulesUrl " },
		{ "\xef\xbb\xbf[submodule \"a\"]\n\tshallow\n", "" },
	};
	git_oid oid = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf seen = { 0 };
		struct objcheck check = { .report = note, .userdata = &seen };

		(void)objcheck_gitmodules(&check, &oid, GIT_OBJECT_BLOB, cases[i].text,
					  strlen(cases[i].text));
		if (!str_equal(strbuf_get(&seen), cases[i].ids))
			fail_msg("%s: '%s'", cases[i].text, strbuf_get(&seen));
	}
}

static void keep_message(void *userdata, bool fatal, const git_oid *oid, const char *id,
			 const char *message)
{
	(void)fatal;
	(void)oid;
	(void)id;
	strbuf_format(userdata, "%s\n", message);
}

/* What a client wrote is shown so that it does nothing, and not all of it. */
static void test_shown(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf seen = { 0 }, text = { 0 };
	struct objcheck check = { .report = keep_message, .userdata = &seen };
	git_oid oid = { 0 };

	strbuf_str(&text, "[submodule \"a\"]\n\turl = -\033[2J");
	for (int i = 0; i < 5000; i++)
		strbuf_char(&text, 'x');
	assert_false(
		objcheck_gitmodules(&check, &oid, GIT_OBJECT_BLOB, text.data, text.size));
	assert_non_null(strstr(strbuf_get(&seen), "submodule url: -\\x1b[2Jxxx"));
	assert_null(strchr(strbuf_get(&seen), '\033'));
	assert_true(seen.size < 300);
}

static void test_too_many(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf seen = { 0 }, text = { 0 };
	struct objcheck check = { .report = keep_message, .userdata = &seen };
	git_oid oid = { 0 };
	unsigned lines = 0;

	strbuf_str(&text, "[submodule \"a\"]\n");
	for (int i = 0; i < 300; i++)
		strbuf_str(&text, "url = -x\n");
	for (int i = 0; i < 2; i++)
		assert_false(objcheck_gitmodules(&check, &oid, GIT_OBJECT_BLOB, text.data,
						 text.size));
	for (const char *p = strbuf_get(&seen); *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, OBJCHECK_REPORTS_MAX + 1);
	assert_non_null(strstr(strbuf_get(&seen), "more flaws, which are not shown\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trees),        cmocka_unit_test(test_broken_trees),
		cmocka_unit_test(test_commits),      cmocka_unit_test(test_tags),
		cmocka_unit_test(test_strict_modes), cmocka_unit_test(test_gitmodules),
		cmocka_unit_test(test_shown),        cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
