#pragma once

/*
 * What a commit would put on disk: every directory and file of its tree, checked and counted before the
 * first of them is made.
 */

#include <git2/odb.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "builder/treecheck.h"

/* A path below the release, slashes included; leaves room for what npm and pip put in front and behind. */
#define PLAN_PATH_MAX 3500
#define PLAN_DEPTH_MAX 256

struct plan_dir {
	char *path; /* relative, "" is the root; a parent stands before its children */
	size_t depth;
};

struct plan_file {
	size_t dir;          /* files of one directory stand together */
	size_t name_at;      /* offset into names */
	enum tree_kind kind; /* never TREE_KIND_DIRECTORY */
	git_oid oid;
};

struct plan {
	struct plan_dir *dirs;
	size_t dir_count;
	struct plan_file *files;
	size_t file_count;
	struct strbuf names;
};

struct plan_limits {
	uint64_t files; /* files, links and directories together */
	uint64_t bytes; /* of all files together */
	uint64_t file_bytes;
};

void plan_done(struct plan *plan);
#define _cleanup_plan_ _cleanup_(plan_done)

/*
 * Read the tree of a commit. Fails with TREE_REFUSED (a tree that must not be written), TREE_TOO_LARGE
 * (over limits->files, PLAN_PATH_MAX or PLAN_DEPTH_MAX), or an internal error for objects that are
 * missing or damaged. *ret_plan is to be done with plan_done() only after success.
 */
int plan_read(git_odb *odb, const git_oid *commit, const struct plan_limits *limits,
	      struct plan *ret_plan, struct error *err) _must_check_;

/* Valid as long as the plan. */
const char *plan_file_name(const struct plan *plan, const struct plan_file *file);

/* The path below the release as fresh memory, NULL: no memory. */
char *plan_file_path(const struct plan *plan, const struct plan_file *file) _must_check_;
