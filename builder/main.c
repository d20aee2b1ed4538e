/*
 * hostkit-build: make a release directory from a commit. Runs as the project's user in a unit of its own,
 * with the project's environment; all it keeps true is that a release is there whole or not at all.
 */

#include <getopt.h>
#include <git2/common.h>
#include <git2/config.h>
#include <git2/errors.h>
#include <git2/global.h>
#include <git2/object.h>
#include <git2/repository.h>
#include <git2/revparse.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/str.h"
#include "builder/build.h"
#include "builder/detect.h"
#include "builder/manifest.h"
#include "builder/say.h"
#include "builder/stop.h"
#include "protocol/name.h"
#include "protocol/request.h"

#define FILES_DEFAULT 200000
#define BYTES_DEFAULT ((uint64_t)4 << 30)
#define FILE_BYTES_DEFAULT ((uint64_t)512 << 20)

enum {
	EXIT_INTERNAL = 1,
	EXIT_REFUSED = 2,
	EXIT_BUILD = 5,
	EXIT_STOPPED = 8,
	EXIT_USAGE = 64,
};

DEFINE_CLEANUP(git_repository *, git_repository_free);
DEFINE_CLEANUP(git_object *, git_object_free);

struct options {
	struct build build;
	const char *runtime;
	bool export_only;
	const char *export_commit; /* with export_only */
	const char *export_dir;
};

static void build_done(struct build *build)
{
	build->releases_fd = fd_close(build->releases_fd);
	build->release_fd = fd_close(build->release_fd);
	build->stop_fd = fd_close(build->stop_fd);
	free(build->release_path);
	build->release_path = NULL;
}

static void print_usage(FILE *to)
{
	fprintf(to,
		"usage: hostkit-build --repo REPO --commit OID --releases DIR --release NAME\n"
		"                     --runtime python|node|nextjs|static\n"
		"                     [--previous NAME [--previous-commit OID]] [--no-cache]\n"
		"                     [--max-files N] [--max-bytes N] [--max-file-bytes N]\n"
		"       hostkit-build --export-only REPO COMMIT DIR [--previous DIR] [--no-cache]\n"
		"       hostkit-build --help | --version\n"
		"\n"
		"Makes the release directory of a commit: its files, then what the runtime needs.\n"
		"With --export-only the files alone.\n"
		"\n"
		"exit status: 0 done, 1 internal error, 2 the commit is refused, 5 the build failed,\n"
		"8 told to stop, 64 wrong usage\n");
}

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "hostkit-build: %s%s%s (see --help)\n", what, value ? ": " : "",
		value ? value : "");
	return EXIT_USAGE;
}

/* What the pusher sent and must change, rather than something that went wrong while building it. */
static int exit_status(const struct error *err)
{
	static const char *const refusals[] = {
		"COMMIT_NOT_FOUND",     "ENTRY_MISSING",    "INVALID_OPTIONS",
		"LFS_POINTER",          "NO_BUILD_SCRIPT",  "PACKAGE_JSON_INVALID",
		"REPOSITORY_NOT_FOUND", "RUNTIME_MISMATCH", "RUNTIME_NOT_RECOGNISED",
		"TOOL_MISSING",         "TREE_REFUSED",     "TREE_TOO_LARGE",
		"VENV_COMMITTED",
	};

	if (err->number == -ECANCELED)
		return EXIT_STOPPED;
	if (!err->code)
		return EXIT_INTERNAL;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (str_equal(err->code, refusals[i]))
			return EXIT_REFUSED;
	return EXIT_BUILD;
}

/*
 * A static site runs nothing of the repository and its unit has no file system of its own: what reads the
 * repository may then open nothing but that and the releases.
 */
static int shut_in(const struct build *build, struct error *err)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };
	int r = landlock_init(&landlock);

	if (r == 0)
		r = landlock_allow(&landlock, build->releases, LANDLOCK_WRITE);
	if (r == 0)
		r = landlock_allow(&landlock, build->repo, LANDLOCK_READ);
	if (r == 0)
		r = landlock_allow_libraries(&landlock);
	if (r == 0)
		r = landlock_enter(&landlock);
	return r < 0 ? error_internal(err, r, "landlock") : 0;
}

/*
 * libgit2 begins by parsing every certificate authority of the system, for connections it will never make
 * here; that is a quarter of what this program costs for a small commit. With no descriptor to be had the
 * file cannot be opened, which libgit2 takes as a system without one.
 */
static int init_git(void)
{
	struct rlimit normal, none;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &normal) < 0)
		return git_libgit2_init();
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = normal.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return git_libgit2_init();
	r = git_libgit2_init();
	if (setrlimit(RLIMIT_NOFILE, &normal) < 0)
		return -1;
	return r < 0 ? git_libgit2_init() : r;
}

static int start_git(struct error *err)
{
	if (init_git() < 0)
		return error_internal(err, -EIO, "start libgit2");
	/* no configuration from anywhere: it may be unreadable for this user, and nothing here needs it */
	for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL;
	     level++)
		(void)git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
	/* the objects were verified when they were received; hashing each again costs a fifth of the time */
	(void)git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	return 0;
}

static void say_exported(const struct build *build, const struct export_result *result)
{
	const char *unit = result->bytes < 1000000 ? "kB" : "MB";
	double size = (double)result->bytes / (result->bytes < 1000000 ? 1e3 : 1e6);
	const char *files = result->files == 1 ? "file" : "files";
	unsigned long long count = result->files, copied = result->copied;

	if (copied > 0)
		say_detail("%llu %s, %.1f %s; %llu unchanged since %s", count, files,
			   size, unit, copied, build->previous);
	else
		say_detail("%llu %s, %.1f %s", count, files, size, unit);
}

static int build_export(struct build *build, struct error *err)
{
	_cleanup_free_ char *objects = str_format("%s/objects", build->repo);
	struct export_request request = { .objects = objects,
					  .parent_fd = build->releases_fd,
					  .name = build->release,
					  .previous = build->no_cache ? NULL
								      : build->previous,
					  .previous_parent_fd = build->releases_fd,
					  .previous_commit = build->previous_commit,
					  .limits = build->limits,
					  .refuse_lfs = true,
					  .stop_fd = build->stop_fd };
	struct export_result result;
	int r;

	if (!objects)
		return error_internal(err, -ENOMEM, "export");
	if (git_oid_fromstr(&request.commit, build->commit) < 0)
		return error_internal(err, -EINVAL, "commit %s", build->commit);
	say_step("Unpacking %.7s into releases/%s", build->commit, build->release);
	r = export_commit(&request, &result, err);
	if (r < 0)
		return r;
	say_exported(build, &result);
	return 0;
}

static int check_static(const struct build *build, struct error *err)
{
	if (build_has_file(build, "index.html"))
		return 0;
	error_user(err, -ENOENT, "ENTRY_MISSING", "index.html is missing");
	error_suggest(err, "add an index.html at the top of the repository");
	return -ENOENT;
}

static int build_app(struct build *build, struct error *err)
{
	const char *marker;
	int r;

	r = detect_app(build->release_fd, build->runtime, &marker, err);
	if (r < 0)
		return r;
	say_step("%s detected (%s)", detect_label(build->runtime), marker);
	if (build->runtime == RUNTIME_PYTHON)
		return python_build(build, err);
	if (build->runtime == RUNTIME_STATIC)
		return check_static(build, err);
	return node_build(build, err);
}

static void build_remove(struct build *build)
{
	_cleanup_free_ char *manifest = manifest_name(build->release);

	build->release_fd = fd_close(build->release_fd);
	if (manifest)
		(void)unlinkat(build->releases_fd, manifest, 0); /* swept later */
	if (fs_remove_tree_at(build->releases_fd, build->release) < 0)
		say_trouble("releases/%s is incomplete and could not be removed",
			    build->release);
}

static int build_release(struct build *build, struct error *err)
{
	_cleanup_free_ char *releases = realpath(build->releases, NULL);
	int r;

	if (!releases)
		return error_internal(err, -errno, "open %s", build->releases);
	build->release_path = str_format("%s/%s", releases, build->release);
	if (!build->release_path)
		return error_internal(err, -ENOMEM, "build");
	build->releases_fd = open(releases, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (build->releases_fd < 0)
		return error_internal(err, -errno, "open %s", releases);
	manifest_sweep(build->releases_fd);

	r = build_export(build, err);
	if (r < 0)
		return r;
	build->release_fd = fs_open_beneath(build->releases_fd, build->release,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (build->release_fd < 0)
		r = error_internal(err, build->release_fd, "open releases/%s",
				   build->release);
	else
		r = build_app(build, err);
	if (r < 0)
		build_remove(build);
	return r;
}

/* COMMIT may be any name git knows; only this way of calling takes one. */
static int resolve_commit(const char *repo, const char *name, git_oid *ret_oid,
			  struct error *err)
{
	_cleanup_(git_repository_freep) git_repository *repository = NULL;
	_cleanup_(git_object_freep) git_object *object = NULL, *commit = NULL;

	if (git_repository_open_bare(&repository, repo) < 0)
		return error_user(err, -ENOENT, "REPOSITORY_NOT_FOUND",
				  "%s is not a bare repository: %s", repo,
				  git_error_last()->message);
	if (git_revparse_single(&object, repository, name) < 0 ||
	    git_object_peel(&commit, object, GIT_OBJECT_COMMIT) < 0)
		return error_user(err, -ENOENT, "COMMIT_NOT_FOUND",
				  "no commit '%s' in %s: %s", name, repo,
				  git_error_last()->message);
	git_oid_cpy(ret_oid, git_object_id(commit));
	return 0;
}

/* Open the directory that path lies in. *ret_name points into path, whose slashes at the end are cut off. */
static int open_parent(char *path, const char **ret_name, struct error *err)
{
	size_t size = strlen(path);
	char *slash;
	int fd;

	while (size > 1 && path[size - 1] == '/')
		path[--size] = '\0';
	slash = strrchr(path, '/');
	*ret_name = slash ? slash + 1 : path;
	if (!fs_name_is_component(*ret_name))
		return error_user(err, -EINVAL, "INVALID_OPTIONS",
				  "'%s' does not end in a name", path);
	if (slash == path)
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (!slash)
		fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else {
		*slash = '\0';
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		*slash = '/';
	}
	return fd < 0 ? error_internal(err, -errno, "open the directory of %s", path)
		      : fd;
}

static int export_only(const struct options *options, struct error *err)
{
	_cleanup_free_ char *objects = str_format("%s/objects", options->build.repo);
	_cleanup_free_ char *dir = strdup(options->export_dir), *previous = NULL;
	_cleanup_close_ int parent_fd = -EBADF, previous_fd = -EBADF;
	struct export_request request = { .objects = objects,
					  .limits = options->build.limits,
					  .stop_fd = options->build.stop_fd };
	struct export_result result;
	int r;

	if (!objects || !dir)
		return error_internal(err, -ENOMEM, "export");
	parent_fd = open_parent(dir, &request.name, err);
	if (parent_fd < 0)
		return parent_fd;
	request.parent_fd = parent_fd;
	if (options->build.previous && !options->build.no_cache) {
		previous = strdup(options->build.previous);
		if (!previous)
			return error_internal(err, -ENOMEM, "export");
		previous_fd = open_parent(previous, &request.previous, err);
		if (previous_fd < 0)
			return previous_fd;
		request.previous_parent_fd = previous_fd;
	}
	r = resolve_commit(options->build.repo, options->export_commit, &request.commit,
			   err);
	if (r < 0)
		return r;
	/* an empty directory may be there already */
	if (unlinkat(parent_fd, request.name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return error_user(err, -errno, "INVALID_OPTIONS",
				  "%s exists and is no empty directory",
				  options->export_dir);
	r = export_commit(&request, &result, err);
	if (r < 0)
		return r;
	printf("%llu files, %llu bytes, %llu copied\n", (unsigned long long)result.files,
	       (unsigned long long)result.bytes, (unsigned long long)result.copied);
	return 0;
}

static int parse_runtime(const char *name, uint32_t *ret_runtime)
{
	for (uint32_t i = 0; i < _RUNTIME_N; i++)
		if (str_equal(runtime_name(i), name)) {
			*ret_runtime = i;
			return 0;
		}
	return -EINVAL;
}

/* Everything the options must be before anything is touched. Returns 0 or the exit status. */
static int check_options(struct options *options)
{
	struct build *b = &options->build;

	if (options->export_only)
		return 0;
	if (!b->repo || !b->commit || !b->releases || !b->release || !options->runtime)
		return usage_error(
			"--repo, --commit, --releases, --release and --runtime "
			"are needed",
			NULL);
	if (!name_is_oid(b->commit))
		return usage_error("--commit wants 40 lower-case digits", b->commit);
	if (!name_is_release(b->release))
		return usage_error("--release wants YYYYMMDD-HHMMSS", b->release);
	if (b->previous && !name_is_release(b->previous))
		return usage_error("--previous wants YYYYMMDD-HHMMSS", b->previous);
	if (b->previous_commit && !name_is_oid(b->previous_commit))
		return usage_error("--previous-commit wants 40 lower-case digits",
				   b->previous_commit);
	if (parse_runtime(options->runtime, &b->runtime) < 0)
		return usage_error("unknown runtime", options->runtime);
	return 0;
}

enum {
	OPTION_REPO = 256,
	OPTION_COMMIT,
	OPTION_RELEASES,
	OPTION_RELEASE,
	OPTION_PREVIOUS,
	OPTION_PREVIOUS_COMMIT,
	OPTION_RUNTIME,
	OPTION_NO_CACHE,
	OPTION_MAX_FILES,
	OPTION_MAX_BYTES,
	OPTION_MAX_FILE_BYTES,
	OPTION_EXPORT_ONLY,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "repo", required_argument, NULL, OPTION_REPO },
	{ "commit", required_argument, NULL, OPTION_COMMIT },
	{ "releases", required_argument, NULL, OPTION_RELEASES },
	{ "release", required_argument, NULL, OPTION_RELEASE },
	{ "previous", required_argument, NULL, OPTION_PREVIOUS },
	{ "previous-commit", required_argument, NULL, OPTION_PREVIOUS_COMMIT },
	{ "runtime", required_argument, NULL, OPTION_RUNTIME },
	{ "no-cache", no_argument, NULL, OPTION_NO_CACHE },
	{ "max-files", required_argument, NULL, OPTION_MAX_FILES },
	{ "max-bytes", required_argument, NULL, OPTION_MAX_BYTES },
	{ "max-file-bytes", required_argument, NULL, OPTION_MAX_FILE_BYTES },
	{ "export-only", no_argument, NULL, OPTION_EXPORT_ONLY },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

static int apply_number(uint64_t *number)
{
	if (str_to_u64(optarg, UINT64_MAX >> 1, number) < 0 || *number == 0)
		return usage_error("not a number above 0", optarg);
	return 0;
}

/* Returns 0 or the exit status. */
static int apply_option(struct options *options, int option)
{
	struct build *b = &options->build;

	switch (option) {
	case OPTION_REPO:
		b->repo = optarg;
		return 0;
	case OPTION_COMMIT:
		b->commit = optarg;
		return 0;
	case OPTION_RELEASES:
		b->releases = optarg;
		return 0;
	case OPTION_RELEASE:
		b->release = optarg;
		return 0;
	case OPTION_PREVIOUS:
		b->previous = optarg;
		return 0;
	case OPTION_PREVIOUS_COMMIT:
		b->previous_commit = optarg;
		return 0;
	case OPTION_RUNTIME:
		options->runtime = optarg;
		return 0;
	case OPTION_NO_CACHE:
		b->no_cache = true;
		return 0;
	case OPTION_MAX_FILES:
		return apply_number(&b->limits.files);
	case OPTION_MAX_BYTES:
		return apply_number(&b->limits.bytes);
	case OPTION_MAX_FILE_BYTES:
		return apply_number(&b->limits.file_bytes);
	case OPTION_EXPORT_ONLY:
		options->export_only = true;
		return 0;
	default:
		return usage_error("unknown option or missing value", NULL);
	}
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		if (option == OPTION_HELP) {
			print_usage(stdout);
			return 0;
		}
		if (option == OPTION_VERSION) {
			puts("hostkit-build " HOSTKIT_VERSION);
			return 0;
		}
		status = apply_option(options, option);
		if (status != 0)
			return status;
	}
	if (options->export_only && argc - optind == 3) {
		options->build.repo = argv[optind++];
		options->export_commit = argv[optind++];
		options->export_dir = argv[optind++];
	}
	if (argc != optind || (options->export_only && !options->export_dir))
		return usage_error("wrong count of arguments", NULL);
	status = check_options(options);
	return status == 0 ? -1 : status;
}

int main(int argc, char **argv)
{
	struct options options = {
		.build = { .releases_fd = -EBADF,
			   .release_fd = -EBADF,
			   .stop_fd = -EBADF,
			   .limits = { .files = FILES_DEFAULT,
				       .bytes = BYTES_DEFAULT,
				       .file_bytes = FILE_BYTES_DEFAULT } },
	};
	_cleanup_error_ struct error err = ERROR_INIT;
	int status, r;

	status = parse_options(argc, argv, &options);
	if (status >= 0)
		return status;

	log_setup("hostkit-build", LOG_INFO);
	umask(022);
	(void)signal(SIGPIPE, SIG_IGN); /* whoever watches may go; the build goes on */
	r = stop_open();
	if (r < 0) {
		error_internal(&err, r, "prepare for signals");
	} else {
		options.build.stop_fd = r;
		if (!options.export_only && options.build.runtime == RUNTIME_STATIC)
			r = shut_in(&options.build, &err);
	}
	if (r >= 0) {
		r = start_git(&err);
	}
	if (r >= 0)
		r = options.export_only ? export_only(&options, &err)
					: build_release(&options.build, &err);
	if (r < 0)
		say_error(&err);
	build_done(&options.build);
	return r < 0 ? exit_status(&err) : 0;
}
