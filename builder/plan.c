/*
 * Walks the trees of a commit breadth first, through the object database itself: no index, no attributes,
 * no filters, so the result is exactly the commit. A tree may name the same subtree many times (ten
 * levels of ten make ten thousand million files of a few kilobytes); the limits count what would be
 * written, not what is stored.
 */

#include "builder/plan.h"

#include <git2/errors.h>
#include <git2/object.h>
#include <git2/oid.h>

#include "base/escape.h"

/* A tree object larger than this has more entries than any limit on files allows. */
#define TREE_BYTES_MAX ((size_t)256 << 20)
/* All paths of directories together, so that long names cannot be multiplied. */
#define PATH_BYTES_MAX ((size_t)64 << 20)

DEFINE_CLEANUP(git_odb_object *, git_odb_object_free);

/* The plan being made, with what only its making needs. */
struct reading {
	git_odb *odb;
	const struct plan_limits *limits;
	struct plan plan;
	git_oid *trees; /* of dirs, same index */
	size_t dirs_allocated;
	size_t files_allocated;
	size_t path_bytes;
};

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->dir_count; i++)
		free(plan->dirs[i].path);
	free(plan->dirs);
	free(plan->files);
	strbuf_done(&plan->names);
	*plan = (struct plan){ 0 };
}

static void reading_done(struct reading *reading)
{
	plan_done(&reading->plan);
	free(reading->trees);
}

const char *plan_file_name(const struct plan *plan, const struct plan_file *file)
{
	return plan->names.data + file->name_at;
}

static char *path_join(const char *dir, const char *name)
{
	return str_format("%s%s%s", dir, *dir ? "/" : "", name);
}

char *plan_file_path(const struct plan *plan, const struct plan_file *file)
{
	return path_join(plan->dirs[file->dir].path, plan_file_name(plan, file));
}

static int fail_git(struct error *err, const char *what, const git_oid *oid)
{
	const git_error *last = git_error_last();
	char hex[GIT_OID_HEXSZ + 1];

	return error_internal(err, -EIO, "%s %s: %s", what,
			      git_oid_tostr(hex, sizeof(hex), oid),
			      last ? last->message : "unknown");
}

static int fail_large(struct error *err, const char *path, uint64_t max, const char *what)
{
	_cleanup_free_ char *shown = escape_text(path, 200);

	if (!shown)
		return error_internal(err, -ENOMEM, "plan of the release");
	error_user(err, -E2BIG, "TREE_TOO_LARGE",
		   "the commit has more than %llu %s (at '%s')", (unsigned long long)max,
		   what, shown);
	error_suggest(
		err,
		"keep generated files out of git (.gitignore, 'git rm -r --cached DIR') "
		"or have the server's owner raise the limit");
	return -E2BIG;
}

static int fail_refused(struct error *err, const char *dir,
			const struct tree_fault *fault)
{
	_cleanup_free_ char *path = path_join(dir, fault->name);
	_cleanup_free_ char *shown = path ? escape_text(path, 300) : NULL;

	if (!shown)
		return error_internal(err, -ENOMEM, "plan of the release");
	error_user(err, -EBADMSG, "TREE_REFUSED", "the commit holds %s: '%s'", fault->why,
		   shown);
	error_suggest(
		err,
		"git never writes such a tree by itself: 'git fsck --strict' shows it; "
		"commit the files again without that entry");
	return -EBADMSG;
}

/* Room for one more item: returns the array where it is now, or NULL (then the old one stays). */
static void *reserve(void *array, size_t *allocated, size_t used, size_t item)
{
	size_t wanted = *allocated ? *allocated * 2 : 64;
	void *more;

	if (used < *allocated)
		return array;
	more = reallocarray(array, wanted, item);
	if (more)
		*allocated = wanted;
	return more;
}

/* Takes path. */
static int add_dir(struct reading *rd, char *path_taken, size_t depth, const git_oid *oid,
		   struct error *err)
{
	_cleanup_free_ char *path = path_taken;
	size_t allocated = rd->dirs_allocated;
	struct plan *plan = &rd->plan;
	struct plan_dir *dirs;
	git_oid *trees;

	if (!path)
		return error_internal(err, -ENOMEM, "plan of the release");
	rd->path_bytes += strlen(path);
	if (depth > PLAN_DEPTH_MAX)
		return fail_large(err, path, PLAN_DEPTH_MAX, "levels of directories");
	if (rd->path_bytes > PATH_BYTES_MAX)
		return fail_large(err, path, PATH_BYTES_MAX, "bytes of directory names");

	dirs = reserve(plan->dirs, &allocated, plan->dir_count, sizeof(*dirs));
	if (dirs)
		plan->dirs = dirs;
	trees = reserve(rd->trees, &rd->dirs_allocated, plan->dir_count, sizeof(*trees));
	if (trees)
		rd->trees = trees;
	if (!dirs || !trees)
		return error_internal(err, -ENOMEM, "plan of the release");
	git_oid_cpy(&rd->trees[plan->dir_count], oid);
	plan->dirs[plan->dir_count++] =
		(struct plan_dir){ .path = TAKE_PTR(path), .depth = depth };
	return 0;
}

static int add_file(struct reading *rd, size_t dir, const struct checked_entry *entry,
		    struct error *err)
{
	struct plan *plan = &rd->plan;
	struct plan_file *file, *files;

	files = reserve(plan->files, &rd->files_allocated, plan->file_count,
			sizeof(*files));
	if (!files)
		return error_internal(err, -ENOMEM, "plan of the release");
	plan->files = files;
	file = &files[plan->file_count++];
	*file = (struct plan_file){ .dir = dir,
				    .name_at = plan->names.size,
				    .kind = entry->kind,
				    .oid = entry->oid };
	strbuf_append(&plan->names, entry->name, entry->name_size + 1);
	if (strbuf_failed(&plan->names))
		return error_internal(err, -ENOMEM, "plan of the release");
	return 0;
}

static int add_entry(struct reading *rd, size_t dir, const struct checked_entry *entry,
		     struct error *err)
{
	const struct plan_dir *parent = &rd->plan.dirs[dir];

	if (strlen(parent->path) + 1 + entry->name_size > PLAN_PATH_MAX)
		return fail_large(err, entry->name, PLAN_PATH_MAX, "bytes in one path");
	if (rd->plan.dir_count + rd->plan.file_count > rd->limits->files)
		return fail_large(err, parent->path, rd->limits->files,
				  "files and directories");
	if (entry->kind == TREE_KIND_DIRECTORY)
		return add_dir(rd, path_join(parent->path, entry->name),
			       parent->depth + 1, &entry->oid, err);
	return add_file(rd, dir, entry, err);
}

static int read_typed(git_odb *odb, const git_oid *oid, git_object_t type,
		      git_odb_object **ret_object, struct error *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *object = NULL;
	git_object_t found;
	size_t size;

	if (git_odb_read_header(&size, &found, odb, oid) < 0)
		return fail_git(err, "read object", oid);
	if (found != type)
		return error_internal(err, -EBADMSG, "object %s is not a %s",
				      git_oid_tostr_s(oid), git_object_type2string(type));
	if (size > TREE_BYTES_MAX)
		return fail_large(err, "", TREE_BYTES_MAX,
				  "bytes of names in one directory");
	if (git_odb_read(&object, odb, oid) < 0)
		return fail_git(err, "read object", oid);
	*ret_object = TAKE_PTR(object);
	return 0;
}

static int read_dir(struct reading *rd, size_t dir, struct error *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *object = NULL;
	_cleanup_free_ struct checked_entry *entries = NULL;
	struct tree_fault fault;
	size_t count;
	int r;

	r = read_typed(rd->odb, &rd->trees[dir], GIT_OBJECT_TREE, &object, err);
	if (r < 0)
		return r;
	r = tree_check(git_odb_object_data(object), git_odb_object_size(object), &entries,
		       &count, &fault);
	if (r == -ENOMEM)
		return error_internal(err, r, "read tree");
	if (r < 0)
		return fail_refused(err, rd->plan.dirs[dir].path, &fault);
	for (size_t i = 0; i < count && r >= 0; i++)
		r = add_entry(rd, dir, &entries[i], err);
	return r;
}

static int read_commit(git_odb *odb, const git_oid *commit, git_oid *ret_tree,
		       struct error *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *object = NULL;
	const char *data;
	int r;

	r = read_typed(odb, commit, GIT_OBJECT_COMMIT, &object, err);
	if (r < 0)
		return r;
	/* git puts a NUL behind every object it reads, so a short one ends in time */
	data = str_after_prefix(git_odb_object_data(object), "tree ");
	if (!data || strnlen(data, GIT_OID_HEXSZ) < GIT_OID_HEXSZ ||
	    git_oid_fromstrn(ret_tree, data, GIT_OID_HEXSZ) < 0)
		return error_internal(err, -EBADMSG, "commit %s names no tree",
				      git_oid_tostr_s(commit));
	return 0;
}

int plan_read(git_odb *odb, const git_oid *commit, const struct plan_limits *limits,
	      struct plan *ret_plan, struct error *err)
{
	_cleanup_(reading_done) struct reading rd = { .odb = odb, .limits = limits };
	git_oid root;
	int r;

	r = read_commit(odb, commit, &root, err);
	if (r < 0)
		return r;
	r = add_dir(&rd, strdup(""), 0, &root, err);
	for (size_t i = 0; r >= 0 && i < rd.plan.dir_count; i++)
		r = read_dir(&rd, i, err);
	if (r < 0)
		return r;
	*ret_plan = rd.plan;
	rd.plan = (struct plan){ 0 };
	return 0;
}
