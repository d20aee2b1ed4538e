/*
 * Python: a virtual environment inside the release, so that a rollback brings the old dependencies back. The
 * release itself is the package `app` that the unit starts with `python -m app`.
 */

#include "builder/python.h"

#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/str.h"
#include "builder/build.h"
#include "builder/say.h"

#define PYTHON "/usr/bin/python3"
#define PYTHON_FILE_MAX ((size_t)1 << 20)

static const char *const python_defaults[] = {
	"CI=1",
	"PYTHONUNBUFFERED=1",
	NULL,
};

/* Step to the next line: *line and its size without blanks at both ends. Returns false at the end. */
static bool next_line(const char **data, size_t *size, const char **line,
		      size_t *line_size)
{
	const char *end;

	if (*size == 0)
		return false;
	end = memchr(*data, '\n', *size);
	*line = *data;
	*line_size = end ? (size_t)(end - *data) : *size;
	*data += *line_size + (end ? 1 : 0);
	*size -= *line_size + (end ? 1 : 0);
	while (*line_size > 0 && strchr(" \t\r\f\v", **line))
		(*line)++, (*line_size)--;
	while (*line_size > 0 && strchr(" \t\r\f\v", (*line)[*line_size - 1]))
		(*line_size)--;
	return true;
}

bool python_requires(const char *data, size_t size)
{
	const char *line;
	size_t n;

	while (next_line(&data, &size, &line, &n))
		if (n > 0 && line[0] != '#')
			return true;
	return false;
}

bool python_is_package(const char *data, size_t size)
{
	static const char *const tables[] = { "[project]", "[build-system]" };
	const char *line;
	size_t n;

	while (next_line(&data, &size, &line, &n))
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			if (n >= strlen(tables[i]) &&
			    memcmp(line, tables[i], strlen(tables[i])) == 0)
				return true;
	return false;
}

/* Ask about a file of the release; one that cannot be read whole counts as `unreadable`. */
static bool ask_file(const struct build *build, const char *name,
		     bool (*question)(const char *, size_t), bool unreadable)
{
	_cleanup_free_ char *data = NULL;
	size_t size;

	if (!build_has_file(build, name))
		return false;
	if (fs_read_at(build->release_fd, name, PYTHON_FILE_MAX, &data, &size) < 0)
		return unreadable;
	return question(data, size);
}

static int check_tree(const struct build *build, struct error *err)
{
	struct stat st;

	if (!build_has_file(build, "__main__.py")) {
		error_user(err, -ENOENT, "ENTRY_MISSING",
			   "the entry point __main__.py is missing");
		error_suggest(
			err,
			"the release is the package 'app' and the server starts 'python -m app': "
			"add a __main__.py at the top of the repository%s",
			fstatat(build->release_fd, "app/__main__.py", &st,
				AT_SYMLINK_NOFOLLOW) == 0
				? " (it is in app/: move what is in there up)"
				: "");
		return -ENOENT;
	}
	if (fstatat(build->release_fd, ".venv", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		error_user(err, -EEXIST, "VENV_COMMITTED",
			   "the commit holds .venv, which the server makes itself");
		error_suggest(
			err,
			"git rm -r --cached .venv; echo .venv/ >> .gitignore; commit, push");
		return -EEXIST;
	}
	return 0;
}

/* Without dependencies the environment needs no pip, which takes most of the time to install. */
static int make_venv(const struct build *build, bool with_pip, struct error *err)
{
	const char *argv[] = { PYTHON,
			       "-m",
			       "venv",
			       with_pip ? ".venv" : "--without-pip",
			       with_pip ? NULL : ".venv",
			       NULL };

	say_step("Making the virtual environment");
	return build_step(build, argv, python_defaults, "BUILD_FAILED", err);
}

static int install(const struct build *build, bool requirements, struct error *err)
{
	_cleanup_free_ char *python =
		str_format("%s/.venv/bin/python", build->release_path);
	const char *argv[16] = { python,
				 "-m",
				 "pip",
				 "install",
				 "--no-input",
				 "--disable-pip-version-check",
				 "--progress-bar=off" };
	size_t n = 7;

	if (!python)
		return error_internal(err, -ENOMEM, "run pip");
	if (build->no_cache)
		argv[n++] = "--no-cache-dir";
	if (requirements)
		argv[n++] = "-r";
	argv[n++] = requirements ? "requirements.txt" : ".";
	say_step("Installing dependencies");
	return build_step(build, argv, python_defaults, "PIP_INSTALL_FAILED", err);
}

int python_build(const struct build *build, struct error *err)
{
	bool requirements, package;
	int r;

	r = check_tree(build, err);
	if (r < 0)
		return r;
	requirements = ask_file(build, "requirements.txt", python_requires, true);
	package = !build_has_file(build, "requirements.txt") &&
		  ask_file(build, "pyproject.toml", python_is_package, true);
	r = make_venv(build, requirements || package, err);
	if (r < 0)
		return r;
	if (requirements || package)
		return install(build, requirements, err);
	say_detail("no dependencies, nothing to install");
	return 0;
}
