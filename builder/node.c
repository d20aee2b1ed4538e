/* Node.js and Next.js: install, build, prune; then the release is what the unit starts. */

#include "builder/node.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/fs.h"
#include "builder/build.h"
#include "builder/copy.h"
#include "builder/say.h"
#include "protocol/request.h"

#define NPM "/usr/bin/npm"
/* How deep below .next/standalone a workspace may put its server.js. */
#define STANDALONE_DEPTH 6

/* What holds unless the project's own environment says otherwise. */
static const char *const node_defaults[] = {
	"CI=1",
	"NODE_ENV=production",
	"NEXT_TELEMETRY_DISABLED=1",
	"npm_config_update_notifier=false",
	"npm_config_fund=false",
	"npm_config_audit=false",
	NULL,
};

static int run_node(const struct build *build, const char *const *argv, const char *code,
		    struct error *err)
{
	return build_step(build, argv, node_defaults, code, err);
}

static int read_package(const struct build *build, struct node_package *ret_package,
			struct error *err)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	r = fs_read_at(build->release_fd, "package.json", NODE_PACKAGE_MAX, &data, &size);
	if (r == -EFBIG) {
		error_user(err, r, "PACKAGE_JSON_INVALID",
			   "package.json is larger than %zu KiB", NODE_PACKAGE_MAX >> 10);
		error_suggest(err, "keep data in files of its own");
		return r;
	}
	if (r < 0)
		return error_internal(err, r, "read package.json");
	return node_package_parse(data, size, ret_package, err);
}

static struct node_locks find_locks(const struct build *build)
{
	return (struct node_locks){
		.npm = build_has_file(build, "package-lock.json") ||
		       build_has_file(build, "npm-shrinkwrap.json"),
		.yarn = build_has_file(build, "yarn.lock"),
		.pnpm = build_has_file(build, "pnpm-lock.yaml"),
	};
}

static int install_npm(const struct build *build, struct node_plan plan,
		       struct error *err)
{
	const char *argv[] = { NPM, plan.frozen ? "ci" : "install",
			       plan.with_dev ? "--include=dev" : "--omit=dev",
			       build->no_cache ? "--prefer-online" : NULL, NULL };

	if (!plan.frozen)
		say_trouble(
			"no package-lock.json: the versions installed may differ from "
			"push to push; commit the one 'npm install' makes");
	return run_node(build, argv, "NPM_INSTALL_FAILED", err);
}

/* The first of the paths that can be executed, or NULL. */
static const char *find_tool(const char *const *paths)
{
	while (*paths && access(*paths, X_OK) < 0)
		paths++;
	return *paths;
}

static int fail_tool(struct error *err, const char *lock, const char *tool)
{
	error_user(err, -ENOENT, "TOOL_MISSING",
		   "the commit has %s, but %s is not installed on this server", lock,
		   tool);
	error_suggest(
		err,
		"commit a package-lock.json ('npm install --package-lock-only'), or "
		"have the server's owner install %s",
		tool);
	return -ENOENT;
}

static int install_yarn(const struct build *build, struct node_plan plan, bool prune,
			struct error *err)
{
	static const char *const paths[] = { "/usr/bin/yarn", "/usr/local/bin/yarn",
					     "/usr/bin/yarnpkg", NULL };
	bool with_dev = plan.with_dev && !prune;
	const char *argv[] = { find_tool(paths),
			       "install",
			       "--frozen-lockfile",
			       "--non-interactive",
			       with_dev ? "--production=false" : "--production=true",
			       prune ? "--ignore-scripts" : NULL,
			       NULL };

	if (!argv[0])
		return fail_tool(err, "yarn.lock", "yarn");
	return run_node(build, argv, "NPM_INSTALL_FAILED", err);
}

static int install_pnpm(const struct build *build, struct node_plan plan, bool prune,
			struct error *err)
{
	static const char *const paths[] = { "/usr/bin/pnpm", "/usr/local/bin/pnpm",
					     NULL };
	const char *install[] = { find_tool(paths), "install", "--frozen-lockfile",
				  plan.with_dev ? "--prod=false" : "--prod", NULL };
	const char *remove[] = { install[0], "prune", "--prod", NULL };

	if (!install[0])
		return fail_tool(err, "pnpm-lock.yaml", "pnpm");
	return run_node(build, prune ? remove : install, "NPM_INSTALL_FAILED", err);
}

static int install(const struct build *build, struct node_plan plan, struct error *err)
{
	switch (plan.manager) {
	case NODE_MANAGER_NPM:
		return install_npm(build, plan, err);
	case NODE_MANAGER_YARN:
		return install_yarn(build, plan, false, err);
	case NODE_MANAGER_PNPM:
		return install_pnpm(build, plan, false, err);
	case NODE_MANAGER_NONE:
	case _NODE_MANAGER_N:
		break;
	}
	return 0;
}

static int prune(const struct build *build, struct node_plan plan, struct error *err)
{
	static const char *const npm[] = { NPM, "prune", "--omit=dev", NULL };

	switch (plan.manager) {
	case NODE_MANAGER_NPM:
		return run_node(build, npm, "NPM_INSTALL_FAILED", err);
	case NODE_MANAGER_YARN:
		return install_yarn(build, plan, true, err);
	case NODE_MANAGER_PNPM:
		return install_pnpm(build, plan, true, err);
	case NODE_MANAGER_NONE:
	case _NODE_MANAGER_N:
		break;
	}
	return 0;
}

static int run_plan(const struct build *build, struct node_plan plan, struct error *err)
{
	static const char *const script[] = { NPM, "run", "build", NULL };
	int r = 0;

	if (plan.manager != NODE_MANAGER_NONE) {
		say_step("Installing dependencies");
		r = install(build, plan, err);
	} else {
		say_detail("no dependencies, nothing to install");
	}
	if (r >= 0 && plan.build) {
		say_step("Building");
		r = run_node(build, script, "BUILD_FAILED", err);
	}
	if (r >= 0 && plan.prune) {
		say_step("Removing what only the build needed");
		r = prune(build, plan, err);
	}
	return r;
}

static int check_entry(const struct build *build, const struct node_package *package,
		       struct error *err)
{
	_cleanup_free_ char *shown = NULL;

	if (build_has_file(build, "index.js"))
		return 0;
	error_user(err, -ENOENT, "ENTRY_MISSING", "the entry point index.js is missing");
	if (package->main)
		shown = escape_text(package->main, 200);
	if (shown)
		error_suggest(
			err,
			"the server starts 'node index.js'; package.json names '%s': add an "
			"index.js that loads it, such as: require(\"./%s\")",
			shown, shown);
	else
		error_suggest(err, "the server starts 'node index.js' at the top of the "
				   "repository: add that file");
	return -ENOENT;
}

/*
 * Find the directory of server.js that `next build` made for "output: standalone" below dir_fd. Returns it as an
 * open descriptor, -ENOENT when there is none, or another negative errno value.
 */
static int find_standalone(int dir_fd, int depth)
{
	_cleanup_close_ int copy =
		openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int found = -ENOENT;
	struct stat st;
	DIR *dir;

	if (copy < 0)
		return -errno;
	if (fstatat(copy, "server.js", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    fstatat(copy, ".next", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return TAKE_FD(copy);
	if (depth == 0)
		return -ENOENT;
	dir = fdopendir(copy);
	if (!dir)
		return -errno;
	dir_fd = TAKE_FD(copy);
	while (found == -ENOENT && (entry = readdir(dir))) {
		_cleanup_close_ int child = -EBADF;

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "node_modules") == 0)
			continue;
		child = openat(dir_fd, entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child >= 0)
			found = find_standalone(child, depth - 1);
	}
	(void)closedir(dir); /* only read from */
	return found;
}

/* `next build` leaves static files and public/ out of the standalone server, which serves them all the same. */
static int complete_standalone(const struct build *build, struct error *err)
{
	_cleanup_close_ int top = -EBADF, server = -EBADF, next = -EBADF, built = -EBADF;
	struct stat st;
	int r;

	top = fs_open_beneath(build->release_fd, ".next/standalone",
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (top < 0)
		return 0;
	server = find_standalone(top, STANDALONE_DEPTH);
	if (server < 0)
		return error_user(err, -ENOENT, "NEXTJS_STANDALONE_INCOMPLETE",
				  ".next/standalone holds no server.js");
	if (fstatat(top, "node_modules", &st, AT_SYMLINK_NOFOLLOW) < 0 &&
	    fstatat(server, "node_modules", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_user(err, -ENOENT, "NEXTJS_STANDALONE_INCOMPLETE",
				  ".next/standalone holds no node_modules");

	built = fs_open_beneath(build->release_fd, ".next",
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	next = openat(server, ".next", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (built < 0 || next < 0)
		return error_internal(err, -ENOENT, "open .next");
	r = copy_tree(built, "static", next, "static", err);
	if (r >= 0)
		r = copy_tree(build->release_fd, "public", server, "public", err);
	if (r >= 0)
		say_detail("standalone server completed with static files and public/");
	return r < 0 ? r : 0;
}

static int check_next(const struct build *build, const struct node_package *package,
		      struct error *err)
{
	struct stat st;

	if (!package->start_script) {
		error_user(
			err, -ENOENT, "ENTRY_MISSING",
			"package.json has no start script, and the server starts 'npm start'");
		error_suggest(err, "add \"start\": \"next start\" to its scripts");
		return -ENOENT;
	}
	if (!package->build_script &&
	    fstatat(build->release_fd, ".next", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		error_user(
			err, -ENOENT, "NO_BUILD_SCRIPT",
			"package.json has no build script, and .next is not in the commit");
		error_suggest(err, "add \"build\": \"next build\" to its scripts");
		return -ENOENT;
	}
	return 0;
}

int node_build(const struct build *build, struct error *err)
{
	_cleanup_node_package_ struct node_package package = { 0 };
	bool next = build->runtime == RUNTIME_NEXTJS;
	struct node_plan plan;
	int r = 0;

	if (build_has_file(build, "package.json"))
		r = read_package(build, &package, err);
	if (r < 0)
		return r;
	if (next)
		r = check_next(build, &package, err);
	else if (!package.build_script)
		r = check_entry(build, &package, err);
	if (r < 0)
		return r;

	plan = node_plan(&package, find_locks(build));
	r = run_plan(build, plan, err);
	if (r < 0)
		return r;
	return next ? complete_standalone(build, err) : check_entry(build, &package, err);
}
