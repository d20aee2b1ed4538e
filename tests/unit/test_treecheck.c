#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "builder/treecheck.h"

static void add(struct strbuf *buf, const char *mode, const char *name)
{
	static const uint8_t oid[GIT_OID_RAWSZ] = { 1, 2, 3 };

	strbuf_format(buf, "%s ", mode);
	strbuf_append(buf, name, strlen(name) + 1);
	strbuf_append(buf, oid, sizeof(oid));
}

static int check(const struct strbuf *buf, struct tree_fault *fault)
{
	struct checked_entry *entries = NULL;
	size_t count = 0;
	int r;

	*fault = (struct tree_fault){ 0 };
	r = tree_check(buf->data, buf->size, &entries, &count, fault);
	free(entries);
	return r;
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{ "a", true },
		{ ".gitignore", true },
		{ ".gitmodules", true },
		{ ".github", true },
		{ "git", true },
		{ "git~2", true },
		{ "git~10", true },
		{ "...", true },
		{ "-rf", true },
		{ "a\nb", true },
		{ "\xff\xfe", true },
		{ "a\\b", true },
		{ ".gi\u0163", true },
		{ "\u200c", true },
		{ "", false },
		{ ".", false },
		{ "..", false },
		{ "a/b", false },
		{ "/", false },
		{ ".git", false },
		{ ".GIT", false },
		{ ".giT", false },
		{ ".git.", false },
		{ ".git ", false },
		{ ".git . .", false },
		{ ".git::$INDEX_ALLOCATION", false },
		{ ".git\\hooks", false },
		{ "git~1", false },
		{ "GIT~1", false },
		{ "git~1.", false },
		{ "git~1:x", false },
		{ ".g\u200cit", false },
		{ "\u202e.git", false },
		{ ".Git\ufeff", false },
		{ ".gi\u206at", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		struct tree_fault fault;
		int r;

		add(&buf, "100644", cases[i].name);
		r = check(&buf, &fault);
		if ((r == 0) != cases[i].good)
			fail_msg("name '%s': %d (%s)", cases[i].name, r,
				 fault.why ? fault.why : "no fault");
		if (r < 0)
			assert_non_null(fault.why);
	}
}

static void test_name_length(void **state)
{
	char name[300];
	(void)state;

	for (size_t size = 254; size <= 257; size++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		struct tree_fault fault;

		memset(name, 'n', size);
		name[size] = '\0';
		add(&buf, "100644", name);
		assert_int_equal(check(&buf, &fault), size <= 255 ? 0 : -EBADMSG);
	}
}

static void test_modes(void **state)
{
	static const struct {
		const char *mode;
		int kind; /* -1: refused */
	} cases[] = {
		{ "100644", TREE_KIND_FILE },
		{ "100664", TREE_KIND_FILE },
		{ "100755", TREE_KIND_EXECUTABLE },
		{ "120000", TREE_KIND_LINK },
		{ "40000", TREE_KIND_DIRECTORY },
		{ "040000", TREE_KIND_DIRECTORY },
		{ "160000", TREE_KIND_SUBMODULE },
		{ "100600", -1 },
		{ "104755", -1 },
		{ "100777", -1 },
		{ "20644", -1 },
		{ "60644", -1 },
		{ "10644", -1 },
		{ "140000", -1 },
		{ "0", -1 },
		{ "", -1 },
		{ "100648", -1 },
		{ "-100644", -1 },
		{ "200000100644", -1 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		_cleanup_free_ struct checked_entry *entries = NULL;
		struct tree_fault fault;
		size_t count;
		int r;

		add(&buf, cases[i].mode, "x");
		r = tree_check(buf.data, buf.size, &entries, &count, &fault);
		if (r != (cases[i].kind < 0 ? -EBADMSG : 0))
			fail_msg("mode '%s': %d", cases[i].mode, r);
		if (r == 0) {
			assert_int_equal(count, 1);
			assert_int_equal(entries[0].kind, cases[i].kind);
			assert_string_equal(entries[0].name, "x");
			assert_int_equal(entries[0].oid.id[2], 3);
		}
	}
}

static void test_order(void **state)
{
	static const struct {
		const char *what;
		struct {
			const char *mode, *name;
		} e[4];
		bool good;
	} cases[] = {
		{ "sorted", { { "100644", "a" }, { "100644", "b" } }, true },
		{ "bytes unsigned",
		  { { "100644", "a" }, { "100644", "\xc3\xa9" } },
		  true },
		{ "dir after its dashes",
		  { { "100644", "a-b" }, { "40000", "a" }, { "100644", "a0" } },
		  true },
		{ "unsorted", { { "100644", "b" }, { "100644", "a" } }, false },
		{ "dir before its dashes",
		  { { "40000", "a" }, { "100644", "a-b" } },
		  false },
		{ "twice", { { "100644", "a" }, { "100644", "a" } }, false },
		{ "dir twice", { { "40000", "a" }, { "40000", "a" } }, false },
		{ "link and dir", { { "120000", "a" }, { "40000", "a" } }, false },
		{ "file and dir apart",
		  { { "120000", "a" },
		    { "100644", "a-b" },
		    { "100644", "a.b" },
		    { "40000", "a" } },
		  false },
		{ "prefix only",
		  { { "100644", "a-" }, { "100644", "a-b" }, { "40000", "a" } },
		  true },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf buf = { 0 };
		struct tree_fault fault;

		for (size_t j = 0; j < 4 && cases[i].e[j].name; j++)
			add(&buf, cases[i].e[j].mode, cases[i].e[j].name);
		if ((check(&buf, &fault) == 0) != cases[i].good)
			fail_msg("%s: %s", cases[i].what,
				 fault.why ? fault.why : "accepted");
	}
}

static void test_cut(void **state)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	struct tree_fault fault;
	(void)state;

	assert_int_equal(check(&buf, &fault), 0); /* the empty tree */
	add(&buf, "100644", "file");
	for (size_t size = 1; size < buf.size; size++) {
		/* exactly as large as it says, so that reading on would be seen */
		_cleanup_free_ char *copy = malloc(size);
		struct strbuf cut = { .data = copy, .size = size };

		assert_non_null(copy);
		memcpy(copy, buf.data, size);
		assert_int_equal(check(&cut, &fault), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_name_length),
		cmocka_unit_test(test_modes), cmocka_unit_test(test_order),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
