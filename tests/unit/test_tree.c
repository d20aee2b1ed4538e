#include "gitobject/tree_order.h"

#include "base/str.h"
#include "tests/unit/unit.h"

static void put_entry(struct strbuf *tree, const char *mode, const char *name)
{
	static const git_oid oid = { { 7 } };

	strbuf_format(tree, "%s %s", mode, name);
	strbuf_char(tree, '\0');
	strbuf_append(tree, &oid, sizeof(oid));
}

static void test_read(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf tree = { 0 };
	struct tree_entry entry = { 0 };
	struct tree_reader reader;

	put_entry(&tree, "100644", "a");
	put_entry(&tree, "040000", "b c");
	reader = tree_reader(tree.data, tree.size);
	assert_int_equal(tree_next(&reader, &entry), 1);
	assert_int_equal(entry.mode, TREE_MODE_FILE);
	assert_false(entry.zero_padded);
	assert_string_equal(entry.name, "a");
	assert_int_equal(entry.oid.id[0], 7);
	assert_int_equal(tree_next(&reader, &entry), 1);
	assert_true(tree_mode_is_directory(entry.mode));
	assert_true(entry.zero_padded);
	assert_int_equal(entry.name_size, 3);
	assert_int_equal(tree_next(&reader, &entry), 0);
	assert_int_equal(tree_next(&reader, &entry), 0);
}

static void test_cut(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf tree = { 0 };
	struct tree_entry entry;

	put_entry(&tree, "100644", "file");
	for (size_t size = 1; size < tree.size; size++) {
		/* exactly as large as it says, so that reading on would be seen */
		_cleanup_free_ char *copy = malloc(size);
		struct tree_reader reader = tree_reader(copy, size);

		assert_non_null(copy);
		memcpy(copy, tree.data, size);
		assert_int_equal(tree_next(&reader, &entry), -EBADMSG);
	}
}

/* Returns what all entries together have. */
static int order_of(const struct strbuf *tree)
{
	_cleanup_(tree_order_done) struct tree_order order = { 0 };
	struct tree_reader reader = tree_reader(tree->data, tree->size);
	struct tree_entry entry;
	int found = 0;

	while (tree_next(&reader, &entry) > 0) {
		int r = tree_order_add(&order, &entry);

		assert_true(r >= 0);
		found |= r;
	}
	return found;
}

static void test_order(void **state _unused_)
{
	static const struct {
		const char *what;
		const char *entries[4]; /* a '/' at the end: a directory */
		int found;
	} cases[] = {
		{ "nothing", { NULL }, 0 },
		{ "sorted", { "a", "b", "c/" }, 0 },
		{ "a directory counts as with its slash", { "a.b", "a/", "a0" }, 0 },
		{ "twice in a row", { "a", "a" }, TREE_ORDER_DUPLICATE },
		{ "file and directory apart",
		  { "a", "a-", "a.b", "a/" },
		  TREE_ORDER_DUPLICATE },
		{ "only a beginning", { "a-", "a.b", "a/" }, 0 },
		{ "unsorted", { "b", "a" }, TREE_ORDER_UNSORTED },
		{ "a directory too early", { "a/", "a.b" }, TREE_ORDER_UNSORTED },
		{ "both", { "b", "a", "a" }, TREE_ORDER_DUPLICATE | TREE_ORDER_UNSORTED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf tree = { 0 };

		for (size_t j = 0; j < 4 && cases[i].entries[j]; j++) {
			_cleanup_free_ char *name = strdup(cases[i].entries[j]);
			char *slash;

			assert_non_null(name);
			slash = strchr(name, '/');
			if (slash)
				*slash = '\0';
			put_entry(&tree, slash ? "40000" : "100644", name);
		}
		check_case(cases[i].what, order_of(&tree) == cases[i].found);
	}
}

/* As many pairs as files times directories would take minutes. */
static void test_order_is_quick(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf tree = { 0 };

	for (int i = 0; i < 100000; i++)
		put_entry(&tree, "100644", "a");
	for (int i = 0; i < 100000; i++)
		put_entry(&tree, "40000", "a");
	assert_int_equal(order_of(&tree), TREE_ORDER_DUPLICATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_order_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
