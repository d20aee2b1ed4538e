#include "receiver/graph.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <git2/global.h>
#include <git2/repository.h>

#include "base/fs.h"
#include "base/str.h"
#include "tests/unit/unit.h"

/*
 * Commits are written in the order of this history, each named by a letter:
 *
 *     A - B - C - D - E     (times 1, 2, 3, ...)
 *          \     /
 *           X - Y
 *     Z                     (a root of its own)
 *     P - Q - M             (M is a merge of P and Q, as by git merge --no-ff)
 *      \-----/
 */
static const struct {
	char name;
	const char *parents;
} history[] = {
	{ 'A', "" },  { 'B', "A" },  { 'C', "B" },  { 'X', "B" },
	{ 'Y', "X" }, { 'D', "CY" }, { 'E', "D" },  { 'Z', "" },
	{ 'P', "" },  { 'Q', "P" },  { 'M', "PQ" },
};

struct fixture {
	char path[64];
	git_repository *repo;
	git_odb *odb;
	git_oid oids[128];
	struct graph graph;
};

static void write_commit(struct fixture *f, char name, const char *parents, int time)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	strbuf_str(&buf, "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n");
	for (; *parents; parents++) {
		char hex[GIT_OID_HEXSZ + 1];

		git_oid_tostr(hex, sizeof(hex), &f->oids[(int)*parents]);
		strbuf_format(&buf, "parent %s\n", hex);
	}
	strbuf_format(&buf, "author a <a@b> %d +0000\ncommitter a <a@b> %d +0000\n\n%c\n",
		      time, time, name);
	assert_int_equal(git_odb_write(&f->oids[(int)name], f->odb, buf.data, buf.size,
				       GIT_OBJECT_COMMIT),
			 0);
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	snprintf(f.path, sizeof(f.path), "/tmp/test_graph.XXXXXX");
	if (!mkdtemp(f.path) || git_libgit2_init() < 0 ||
	    git_repository_init(&f.repo, f.path, 1) < 0 ||
	    git_repository_odb(&f.odb, f.repo) < 0)
		return -1;
	f.graph.odb = f.odb;
	for (size_t i = 0; i < ARRAY_SIZE(history); i++)
		write_commit(&f, history[i].name, history[i].parents, (int)i + 1);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int parent = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	graph_done(&f->graph);
	git_odb_free(f->odb);
	git_repository_free(f->repo);
	git_libgit2_shutdown();
	return fs_remove_tree_at(parent, strrchr(f->path, '/') + 1);
}

static uint32_t number_of(struct fixture *f, char name)
{
	uint32_t number = 0;

	assert_int_equal(graph_add(&f->graph, &f->oids[(int)name], &number), 0);
	return number;
}

static void list_of(struct fixture *f, const char *names, struct graph_list *list)
{
	for (; *names; names++)
		assert_int_equal(graph_list_add(list, number_of(f, *names)), 0);
}

/* The names of the list, in alphabetical order. */
static char *names_of(struct fixture *f, const struct graph_list *list)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	for (char c = 'A'; c <= 'Z'; c++)
		for (size_t i = 0; i < list->count; i++)
			if (git_oid_equal(&f->graph.commits[list->numbers[i]].oid,
					  &f->oids[(int)c]))
				strbuf_char(&buf, c);
	return strbuf_steal(&buf);
}

static void test_select(void **state)
{
	static const struct {
		const char *what, *wants, *haves, *cut, *selected;
	} cases[] = {
		{ "everything", "EZ", "", "", "ABCDEXYZ" },
		{ "nothing new", "C", "E", "", "" },
		{ "the same", "E", "E", "", "" },
		{ "both sides of a merge", "E", "C", "", "DEXY" },
		{ "the other side", "E", "Y", "", "CDE" },
		{ "unrelated", "E", "Z", "", "ABCDEXY" },
		{ "cut", "E", "", "CX", "CDEXY" },
		{ "cut below what is there", "E", "D", "D", "E" },
		{ "cut does not exclude behind it", "EA", "C", "C", "ABDEXY" },
		{ "nothing wanted", "", "E", "", "" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_graph_list_ struct graph_list wants = { 0 }, haves = { 0 };
		_cleanup_graph_list_ struct graph_list cut = { 0 }, selected = { 0 };
		_cleanup_free_ char *names = NULL;

		graph_reset(&f->graph);
		list_of(f, cases[i].wants, &wants);
		list_of(f, cases[i].haves, &haves);
		list_of(f, cases[i].cut, &cut);
		for (size_t n = 0; n < cut.count; n++)
			f->graph.commits[cut.numbers[n]].flags |= GRAPH_CUT;
		assert_int_equal(graph_select(&f->graph, &wants, &haves, &selected), 0);
		names = names_of(f, &selected);
		if (!str_equal(names, cases[i].selected))
			fail_msg("%s: %s instead of %s", cases[i].what, names,
				 cases[i].selected);
	}
}

static void test_depth(void **state)
{
	static const struct {
		const char *what, *tips;
		uint32_t depth;
		const char *roots, *boundary;
	} cases[] = {
		{ "one", "E", 1, "", "E" },
		{ "two", "E", 2, "", "D" },
		{ "both parents", "E", 3, "", "CY" },
		{ "the shortest way counts", "E", 4, "", "BX" },
		{ "the end of history", "E", 5, "", "A" },
		{ "deeper than history", "E", 6, "", "" },
		{ "two tips", "EB", 2, "", "AD" },
		{ "a tip within the other's reach", "ED", 1, "", "DE" },
		{ "ends here", "E", GRAPH_DEPTH_INFINITE, "B", "B" },
		{ "ends here, not so deep", "E", 2, "B", "D" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_graph_list_ struct graph_list tips = { 0 }, boundary = { 0 };
		_cleanup_free_ char *names = NULL;
		struct fixture *f;
		void *p = NULL;

		assert_int_equal(setup(&p), 0);
		f = p;
		for (const char *r = cases[i].roots; *r; r++) {
			uint32_t number;

			assert_int_equal(graph_number(&f->graph, &f->oids[(int)*r],
						      &number),
					 0);
			f->graph.commits[number].flags |= GRAPH_ROOT;
		}
		list_of(f, cases[i].tips, &tips);
		assert_int_equal(graph_cut_at_depth(&f->graph, &tips, cases[i].depth,
						    &boundary),
				 0);
		names = names_of(f, &boundary);
		if (!str_equal(names, cases[i].boundary))
			fail_msg("%s: %s instead of %s", cases[i].what, names,
				 cases[i].boundary);
		assert_int_equal(teardown(&p), 0);
	}
}

static void test_rule(void **state)
{
	static const struct {
		const char *what;
		int64_t since;
		const char *hidden, *boundary;
		int64_t selected;
	} cases[] = {
		{ "everything", 0, "", "", 7 },
		{ "by time", 3, "", "CX", 5 },
		{ "by time, one side", 4, "", "DX", 4 },
		{ "too new for all", 100, "", "", 0 },
		{ "by ref", 0, "C", "DX", 4 },
		{ "by ref and time", 5, "C", "DY", 3 },
		{ "hidden itself", 0, "E", "", 0 },
		{ "unrelated ref", 0, "Z", "", 7 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_graph_list_ struct graph_list tips = { 0 }, hidden = { 0 };
		_cleanup_graph_list_ struct graph_list boundary = { 0 };
		_cleanup_free_ char *names = NULL;
		int64_t n;

		graph_reset(&f->graph);
		list_of(f, "E", &tips);
		list_of(f, cases[i].hidden, &hidden);
		n = graph_cut_by_rule(&f->graph, &tips, cases[i].since, &hidden,
				      &boundary);
		check_case(cases[i].what, n == cases[i].selected);
		names = names_of(f, &boundary);
		if (!str_equal(names, cases[i].boundary))
			fail_msg("%s: %s instead of %s", cases[i].what, names,
				 cases[i].boundary);
	}
}

static void test_reach(void **state)
{
	static const struct {
		const char *what, *tips, *haves;
		int64_t oldest;
		int result;
	} cases[] = {
		{ "an ancestor", "E", "A", 0, 1 },
		{ "itself", "E", "E", 0, 1 },
		{ "only a descendant", "C", "E", 0, 0 },
		{ "one of two", "EZ", "A", 0, 0 },
		{ "both", "EZ", "AZ", 0, 1 },
		{ "too old to be looked for", "E", "A", 3, 0 },
		{ "no tips", "", "A", 0, 1 },
		{ "a merge and its side, from where they part", "MQ", "P", 0, 1 },
		{ "the side first", "QM", "P", 0, 1 },
		{ "a side too old to be looked at", "MQ", "P", 11, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_graph_list_ struct graph_list tips = { 0 }, haves = { 0 };

		graph_reset(&f->graph);
		list_of(f, cases[i].tips, &tips);
		list_of(f, cases[i].haves, &haves);
		for (size_t n = 0; n < haves.count; n++)
			f->graph.commits[haves.numbers[n]].flags |= GRAPH_HAVE;
		check_case(cases[i].what,
			   graph_all_reach_have(&f->graph, &tips, cases[i].oldest) ==
				   cases[i].result);
	}
}

/* A commit that is not there is there as missing, and objects of another kind are no commits. */
static void test_missing(void **state)
{
	struct fixture *f = *state;
	git_oid oid;
	uint32_t number;

	memset(&oid, 0x11, sizeof(oid));
	assert_int_equal(graph_add(&f->graph, &oid, &number), 0);
	assert_true(f->graph.commits[number].flags & GRAPH_MISSING);
	assert_int_equal(git_odb_write(&oid, f->odb, "x", 1, GIT_OBJECT_BLOB), 0);
	assert_int_equal(graph_add(&f->graph, &oid, &number), 0);
	assert_true(f->graph.commits[number].flags & GRAPH_MISSING);
	assert_int_equal(git_odb_write(&oid, f->odb, "tree x\n", 7, GIT_OBJECT_COMMIT),
			 0);
	assert_int_equal(graph_add(&f->graph, &oid, &number), 0);
	assert_true(f->graph.commits[number].flags & GRAPH_MISSING);
	assert_int_equal(f->graph.commits[number].parent_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_select, setup, teardown),
		cmocka_unit_test(test_depth),
		cmocka_unit_test_setup_teardown(test_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
