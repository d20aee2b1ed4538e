#include "builder/detect.h"

#include <sys/stat.h>

#include "base/fs.h"
#include "protocol/request.h"

struct marker {
	const char *name;
	uint32_t runtime;
};

/* In this order when a commit could be several things; nextjs before node, which it is as well. */
static const struct marker markers[] = {
	{ "next.config.js", RUNTIME_NEXTJS },   { "next.config.mjs", RUNTIME_NEXTJS },
	{ "next.config.ts", RUNTIME_NEXTJS },   { ".next", RUNTIME_NEXTJS },
	{ "package.json", RUNTIME_NODE },       { "index.js", RUNTIME_NODE },
	{ "requirements.txt", RUNTIME_PYTHON }, { "pyproject.toml", RUNTIME_PYTHON },
	{ "__main__.py", RUNTIME_PYTHON },      { "index.html", RUNTIME_STATIC },
};

static const struct {
	const char *label;
	const char *wanted;
} kinds[_RUNTIME_N] = {
	[RUNTIME_PYTHON] = { "Python app",
			     "__main__.py, and requirements.txt or pyproject.toml" },
	[RUNTIME_NODE] = { "Node.js app", "index.js, and package.json" },
	[RUNTIME_NEXTJS] = { "Next.js app",
			     "package.json with a build and a start script, next.config.js" },
	[RUNTIME_STATIC] = { "static site", "index.html" },
};

const char *detect_label(uint32_t runtime)
{
	return kinds[runtime].label;
}

static bool is_there(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* A Next.js app may do without next.config.js; then package.json is all there is to see. */
static bool suits(const struct marker *marker, uint32_t runtime)
{
	return marker->runtime == runtime ||
	       (runtime == RUNTIME_NEXTJS && marker->runtime == RUNTIME_NODE &&
		marker->name[0] == 'p');
}

static int fail_unknown(uint32_t runtime, struct error *err)
{
	error_user(err, -ENOENT, "RUNTIME_NOT_RECOGNISED",
		   "no %s in this commit, nor any other known kind",
		   kinds[runtime].label);
	error_suggest(err,
		      "at the top of the repository there should be:\n"
		      "  python  %s\n"
		      "  node    %s\n"
		      "  nextjs  %s\n"
		      "  static  %s",
		      kinds[RUNTIME_PYTHON].wanted, kinds[RUNTIME_NODE].wanted,
		      kinds[RUNTIME_NEXTJS].wanted, kinds[RUNTIME_STATIC].wanted);
	return -ENOENT;
}

static int fail_mismatch(const struct marker *found, uint32_t runtime, struct error *err)
{
	error_user(err, -ENOENT, "RUNTIME_MISMATCH",
		   "this is a %s project, but the commit holds a %s (%s)",
		   runtime_name(runtime), kinds[found->runtime].label, found->name);
	error_suggest(
		err,
		"push to a project made with 'ssh hostkit provision NAME --%s', or add %s",
		runtime_name(found->runtime), kinds[runtime].wanted);
	return -ENOENT;
}

int detect_app(int dir_fd, uint32_t runtime, const char **ret_marker, struct error *err)
{
	const struct marker *other = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
		if (!is_there(dir_fd, markers[i].name))
			continue;
		if (suits(&markers[i], runtime)) {
			*ret_marker = markers[i].name;
			return 0;
		}
		if (!other)
			other = &markers[i];
	}
	return other ? fail_mismatch(other, runtime, err) : fail_unknown(runtime, err);
}
