#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/str.h"
#include "builder/detect.h"
#include "builder/python.h"
#include "protocol/request.h"

static int make_dir(char *path)
{
	int fd;

	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void test_detect(void **state)
{
	static const struct {
		const char *files[3];
		uint32_t runtime;
		const char *marker; /* NULL: refused */
		const char *code;
		const char *says;
	} cases[] = {
		{ { "package.json" }, RUNTIME_NODE, "package.json" },
		{ { "index.js" }, RUNTIME_NODE, "index.js" },
		{ { "package.json", "next.config.mjs" },
		  RUNTIME_NEXTJS,
		  "next.config.mjs" },
		{ { "package.json" }, RUNTIME_NEXTJS, "package.json" },
		{ { "package.json", "requirements.txt" },
		  RUNTIME_PYTHON,
		  "requirements.txt" },
		{ { "__main__.py" }, RUNTIME_PYTHON, "__main__.py" },
		{ { "index.html", "package.json" }, RUNTIME_STATIC, "index.html" },
		{ { "package.json" },
		  RUNTIME_PYTHON,
		  NULL,
		  "RUNTIME_MISMATCH",
		  "Node.js" },
		{ { "index.js" }, RUNTIME_NEXTJS, NULL, "RUNTIME_MISMATCH", "Node.js" },
		{ { "next.config.js", "package.json" },
		  RUNTIME_STATIC,
		  NULL,
		  "RUNTIME_MISMATCH",
		  "Next.js" },
		{ { "README" }, RUNTIME_NODE, NULL, "RUNTIME_NOT_RECOGNISED", "Node.js" },
		{ { NULL }, RUNTIME_STATIC, NULL, "RUNTIME_NOT_RECOGNISED", "static" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[] = "/tmp/hostkit-detect-XXXXXX";
		_cleanup_close_ int fd = make_dir(path);
		_cleanup_error_ struct error err = ERROR_INIT;
		const char *marker = NULL;
		int r;

		for (size_t j = 0; j < 3 && cases[i].files[j]; j++)
			assert_int_equal(fs_replace_at(fd, cases[i].files[j], 0644, "",
						       0),
					 0);
		r = detect_app(fd, cases[i].runtime, &marker, &err);
		assert_int_equal(fs_remove_tree_at(AT_FDCWD, path), 0);
		if (cases[i].marker) {
			assert_int_equal(r, 0);
			assert_string_equal(marker, cases[i].marker);
			continue;
		}
		assert_int_equal(r, -ENOENT);
		assert_string_equal(err.code, cases[i].code);
		assert_non_null(strstr(err.message, cases[i].says));
		assert_non_null(err.suggestion);
	}
}

/* A link is not what it points to: nothing outside of the release decides. */
static void test_detect_link(void **state)
{
	char path[] = "/tmp/hostkit-detect-XXXXXX";
	_cleanup_close_ int fd = make_dir(path);
	_cleanup_error_ struct error err = ERROR_INIT;
	const char *marker;
	(void)state;

	assert_int_equal(symlinkat("/etc/passwd", fd, "index.html"), 0);
	assert_int_equal(detect_app(fd, RUNTIME_STATIC, &marker, &err), -ENOENT);
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, path), 0);
}

static void test_requirements(void **state)
{
	static const struct {
		const char *text;
		bool requires;
	} cases[] = {
		{ "", false },
		{ "\n\n", false },
		{ "# flask\n", false },
		{ "  # x\r\n", false },
		{ "flask", true },
		{ "# x\nflask==1\n", true },
		{ "-r other.txt", true },
		{ "\t \f\n", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (python_requires(cases[i].text, strlen(cases[i].text)) !=
		    cases[i].requires)
			fail_msg("'%s'", cases[i].text);
}

static void test_pyproject(void **state)
{
	static const struct {
		const char *text;
		bool package;
	} cases[] = {
		{ "[project]\nname = 'x'\n", true },
		{ "[tool.black]\nline-length = 100\n", false },
		{ "[tool.x]\na = 1\n\n[build-system]\n", true },
		{ "# [project]\n", false },
		{ "", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (python_is_package(cases[i].text, strlen(cases[i].text)) !=
		    cases[i].package)
			fail_msg("'%s'", cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_detect_link),
		cmocka_unit_test(test_requirements),
		cmocka_unit_test(test_pyproject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
