/*
 * Writes a plan. Runs as the project's user; everything is made relative to descriptors of directories
 * below the release, none of which a symbolic link leads to: links are made as they are in the commit and
 * nothing is ever opened through one.
 *
 * Two threads share the files of a large commit, each with an object database of its own (libgit2 objects
 * are not shared between threads): inflating and the kernel's part take about half of the time each.
 */

#include "builder/export.h"

#include <git2/errors.h>
#include <git2/odb.h>
#include <pthread.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/escape.h"
#include "base/fs.h"
#include "base/io.h"
#include "builder/copy.h"
#include "builder/manifest.h"
#include "builder/say.h"
#include "builder/stop.h"
#include "gitobject/lfs.h"

#define EXPORT_THREADS 2
/* Below this the second thread costs more than it saves. */
#define EXPORT_THREADED_FILES 400
/* Files handed to a thread at a time. */
#define EXPORT_BATCH 32

#define LINK_TARGET_MAX 4095

DEFINE_CLEANUP(git_odb *, git_odb_free);
DEFINE_CLEANUP(git_odb_object *, git_odb_object_free);

/* What the threads share. Only the atomic members change while they run. */
struct export
{
	const struct export_request *request;
	struct plan plan;
	struct manifest previous; /* empty: nothing to take over */
	struct manifest_file
		*notes; /* one for each file of the plan; path NULL: no regular file */
	int root_fd;
	int previous_fd;    /* -EBADF: none */
	atomic_size_t next; /* first file nobody has taken */
	atomic_uint_fast64_t bytes;
	atomic_uint_fast64_t copied;
	atomic_bool no_clone;
	atomic_bool failed;
};

struct worker {
	struct export *export;
	git_odb *odb;
	int dir_fd;
	int previous_dir_fd; /* the same directory there; -EBADF: none */
	size_t dir;          /* which one, SIZE_MAX: none yet */
	bool watches_stop;
	int result;
	struct error err;
};

static void worker_done(struct worker *worker)
{
	worker->dir_fd = fd_close(worker->dir_fd);
	worker->previous_dir_fd = fd_close(worker->previous_dir_fd);
	if (worker->odb)
		git_odb_free(worker->odb);
	error_done(&worker->err);
}

static void export_done(struct export *export)
{
	manifest_done(&export->previous);
	for (size_t i = 0; export->notes && i < export->plan.file_count; i++)
		free(export->notes[i].path);
	free(export->notes);
	plan_done(&export->plan);
	export->root_fd = fd_close(export->root_fd);
	export->previous_fd = fd_close(export->previous_fd);
}

int export_write_error(struct error *err, int number, int dir_fd, const char *path)
{
	_cleanup_free_ char *shown = escape_text(path, 300);
	struct statvfs vfs = { 0 };

	if (!shown)
		return error_internal(err, -ENOMEM, "write");
	if (number == -EDQUOT) {
		error_user(err, number, "DISK_FULL",
			   "disk quota exceeded while writing '%s'", shown);
		error_suggest(
			err, "remove what the project no longer needs below its home, or "
			     "ask the server's owner for more");
		return number;
	}
	if (number != -ENOSPC)
		return error_internal(err, number, "write '%s'", shown);

	(void)fstatvfs(dir_fd, &vfs); /* zeros on failure: no figure, the same advice */
	error_user(err, number, "DISK_FULL", "disk full while writing '%s': %s", shown,
		   vfs.f_files > 0 && vfs.f_favail == 0
			   ? "no inodes are left"
			   : "no space is left on the device");
	error_suggest(
		err,
		"nothing has changed; free some space on the server ('df -h', old logs, "
		"unused projects), then push again");
	return number;
}

static int fail_object(struct error *err, const char *path, const git_oid *oid)
{
	const git_error *last = git_error_last();

	return error_internal(err, -EIO, "read '%s' (%s): %s", path, git_oid_tostr_s(oid),
			      last ? last->message : "unknown");
}

static int fail_size(struct error *err, const char *path, const char *what, uint64_t max)
{
	_cleanup_free_ char *shown = escape_text(path, 300);

	error_user(err, -EFBIG, "TREE_TOO_LARGE", "%s more than %llu MiB: '%s'", what,
		   (unsigned long long)(max >> 20), shown ? shown : "?");
	error_suggest(
		err,
		"keep large files outside of git and fetch them in the build or at start");
	return -EFBIG;
}

static int fail_pointer(struct error *err, const char *path)
{
	_cleanup_free_ char *shown = escape_text(path, 300);

	error_user(err, -EBADMSG, "LFS_POINTER",
		   "'%s' is a Git LFS pointer: the file itself was not pushed",
		   shown ? shown : "?");
	error_suggest(err,
		      "commit the file itself ('git lfs migrate export --include=\"*\" "
		      "--everything', or 'git lfs untrack' and add it again), then push");
	return -EBADMSG;
}

/* Make w->dir_fd the directory of the file. */
static int worker_enter(struct worker *w, const struct plan_file *file)
{
	const char *path = w->export->plan.dirs[file->dir].path;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	if (w->dir == file->dir)
		return 0;
	w->dir = SIZE_MAX;
	w->dir_fd = fd_close(w->dir_fd);
	w->previous_dir_fd = fd_close(w->previous_dir_fd);

	w->dir_fd = fs_open_beneath(w->export->root_fd, *path ? path : ".", flags, 0);
	if (w->dir_fd < 0)
		return w->dir_fd;
	if (w->export->previous_fd >= 0)
		w->previous_dir_fd = fs_open_beneath(w->export->previous_fd,
						     *path ? path : ".", flags, 0);
	w->dir = file->dir;
	return 0;
}

static int create_file(struct worker *w, const struct plan_file *file, const char *name)
{
	mode_t mode = file->kind == TREE_KIND_EXECUTABLE ? 0755 : 0644;
	int fd = openat(w->dir_fd, name,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	return fd < 0 ? -errno : fd;
}

/* Remember the state of a file that has just been written. Takes path on success. */
static int note_file(struct worker *w, size_t index, int fd, char **path)
{
	struct manifest_file *note = &w->export->notes[index];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	manifest_note(note, &st);
	memcpy(note->oid, w->export->plan.files[index].oid.id, GIT_OID_RAWSZ);
	note->path = TAKE_PTR(*path);
	return 0;
}

static int count_bytes(struct worker *w, const char *path, uint64_t size)
{
	const struct plan_limits *limits = &w->export->request->limits;

	if (size > limits->file_bytes)
		return fail_size(&w->err, path, "the commit has a file of",
				 limits->file_bytes);
	if (atomic_fetch_add(&w->export->bytes, size) + size > limits->bytes)
		return fail_size(&w->err, path, "the files of the commit take",
				 limits->bytes);
	return 0;
}

/*
 * Copy the file from the previous release, if it is there and has not been touched since it was exported
 * from the same blob. Returns the descriptor of the new file, 0 when there is nothing to take over, or a
 * negative errno value.
 */
static int take_over(struct worker *w, const struct plan_file *file, const char *path,
		     const struct manifest_file **ret_old)
{
	const char *name = plan_file_name(&w->export->plan, file);
	const struct manifest_file *old = manifest_find(&w->export->previous, path);
	_cleanup_close_ int from = -EBADF, to = -EBADF;
	struct stat st;
	int r;

	if (!old || w->previous_dir_fd < 0 ||
	    memcmp(old->oid, file->oid.id, GIT_OID_RAWSZ) != 0 ||
	    old->executable != (file->kind == TREE_KIND_EXECUTABLE))
		return 0;
	from = openat(w->previous_dir_fd, name,
		      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0 || !manifest_is_pristine(old, &st))
		return 0;

	to = create_file(w, file, name);
	if (to < 0)
		return to;
	r = copy_bytes(from, to, old->size, &w->export->no_clone);
	if (r == -ENOSPC || r == -EDQUOT)
		return r;
	/* once more, for whoever wrote to it while it was being copied */
	if (r < 0 || fstat(from, &st) < 0 || !manifest_is_pristine(old, &st)) {
		if (unlinkat(w->dir_fd, name, 0) < 0)
			return -errno;
		return 0;
	}
	*ret_old = old;
	return TAKE_FD(to);
}

/* Read a blob after its size was judged. */
static int read_blob(struct worker *w, const struct plan_file *file, const char *path,
		     git_odb_object **ret_object)
{
	git_object_t type;
	size_t size;
	int r;

	if (git_odb_read_header(&size, &type, w->odb, &file->oid) < 0)
		return fail_object(&w->err, path, &file->oid);
	if (type != GIT_OBJECT_BLOB)
		return error_internal(&w->err, -EBADMSG, "'%s' is not a blob", path);
	r = count_bytes(w, path, size);
	if (r < 0)
		return r;
	if (git_odb_read(ret_object, w->odb, &file->oid) < 0)
		return fail_object(&w->err, path, &file->oid);
	return 0;
}

static int write_blob(struct worker *w, size_t index, char **path)
{
	const struct plan_file *file = &w->export->plan.files[index];
	_cleanup_(git_odb_object_freep) git_odb_object *object = NULL;
	_cleanup_close_ int fd = -EBADF;
	const char *data;
	size_t size;
	int r;

	r = read_blob(w, file, *path, &object);
	if (r < 0)
		return r;
	data = git_odb_object_data(object);
	size = git_odb_object_size(object);
	if (w->export->request->refuse_lfs && lfs_is_pointer(data, size))
		return fail_pointer(&w->err, *path);

	fd = create_file(w, file, plan_file_name(&w->export->plan, file));
	r = fd < 0 ? fd : io_write_all(fd, data, size);
	if (r < 0)
		return export_write_error(&w->err, r, w->dir_fd, *path);
	r = note_file(w, index, fd, path);
	return r < 0 ? error_internal(&w->err, r, "stat '%s'", *path) : 0;
}

static int write_file(struct worker *w, size_t index, char **path)
{
	const struct plan_file *file = &w->export->plan.files[index];
	const struct manifest_file *old = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = take_over(w, file, *path, &old);
	if (r < 0)
		return export_write_error(&w->err, r, w->dir_fd, *path);
	if (!old)
		return write_blob(w, index, path);

	fd = r;
	r = count_bytes(w, *path, old->size);
	if (r < 0)
		return r;
	atomic_fetch_add(&w->export->copied, 1);
	r = note_file(w, index, fd, path);
	return r < 0 ? error_internal(&w->err, r, "stat '%s'", *path) : 0;
}

static int write_link(struct worker *w, const struct plan_file *file, const char *path)
{
	_cleanup_(git_odb_object_freep) git_odb_object *object = NULL;
	_cleanup_free_ char *target = NULL;
	size_t size;
	int r;

	r = read_blob(w, file, path, &object);
	if (r < 0)
		return r;
	size = git_odb_object_size(object);
	if (size > 0 && size <= LINK_TARGET_MAX)
		target = strndup(git_odb_object_data(object), size);
	if (!target || strlen(target) != size) {
		_cleanup_free_ char *shown = escape_text(path, 300);

		error_user(
			&w->err, -EBADMSG, "TREE_REFUSED",
			"the commit holds a symbolic link without a usable target: '%s'",
			shown ? shown : "?");
		error_suggest(&w->err, "make the link again with 'ln -s' and commit it");
		return -EBADMSG;
	}
	if (symlinkat(target, w->dir_fd, plan_file_name(&w->export->plan, file)) < 0)
		return export_write_error(&w->err, -errno, w->dir_fd, path);
	return 0;
}

static int write_submodule(struct worker *w, const struct plan_file *file,
			   const char *path)
{
	_cleanup_free_ char *shown = escape_text(path, 300);

	if (mkdirat(w->dir_fd, plan_file_name(&w->export->plan, file), 0755) < 0)
		return export_write_error(&w->err, -errno, w->dir_fd, path);
	say_trouble("'%s' is a submodule: a push does not carry its files, the directory "
		    "stays empty",
		    shown ? shown : "?");
	return 0;
}

static int write_entry(struct worker *w, size_t index)
{
	const struct plan_file *file = &w->export->plan.files[index];
	_cleanup_free_ char *path = plan_file_path(&w->export->plan, file);
	int r;

	if (!path)
		return error_internal(&w->err, -ENOMEM, "export");
	r = worker_enter(w, file);
	if (r < 0)
		return error_internal(&w->err, r, "enter the directory of '%s'", path);
	switch (file->kind) {
	case TREE_KIND_FILE:
	case TREE_KIND_EXECUTABLE:
		return write_file(w, index, &path);
	case TREE_KIND_LINK:
		return write_link(w, file, path);
	case TREE_KIND_SUBMODULE:
		return write_submodule(w, file, path);
	case TREE_KIND_DIRECTORY:
	case _TREE_KIND_N:
		break;
	}
	return error_internal(&w->err, -EINVAL, "'%s' is of no known kind", path);
}

static int write_batch(struct worker *w, size_t first)
{
	size_t end = first + EXPORT_BATCH;
	int r = 0;

	if (end > w->export->plan.file_count)
		end = w->export->plan.file_count;
	for (size_t i = first; i < end && r >= 0; i++)
		r = write_entry(w, i);
	return r;
}

static void *worker_run(void *userdata)
{
	struct worker *w = userdata;
	struct export *export = w->export;

	if (git_odb_open(&w->odb, export->request->objects) < 0)
		w->result = error_internal(&w->err, -EIO, "open the object database %s",
					   export->request->objects);
	while (w->result >= 0 && !atomic_load(&export->failed)) {
		size_t first = atomic_fetch_add(&export->next, EXPORT_BATCH);

		if (first >= export->plan.file_count)
			break;
		if (w->watches_stop && stop_requested(export->request->stop_fd))
			w->result = error_internal(&w->err, -ECANCELED, "told to stop");
		else
			w->result = write_batch(w, first);
	}
	if (w->result < 0)
		atomic_store(&export->failed, true);
	return NULL;
}

/* The calling thread is the first worker and the only one that looks for the signal to stop. */
static int write_files(struct export *export, struct error *err)
{
	struct worker workers[EXPORT_THREADS];
	pthread_t threads[EXPORT_THREADS];
	size_t wanted =
		export->plan.file_count >= EXPORT_THREADED_FILES ? EXPORT_THREADS : 1;
	size_t running = 1;
	int r = 0;

	for (size_t i = 0; i < wanted; i++)
		workers[i] = (struct worker){ .export = export,
					      .dir_fd = -EBADF,
					      .previous_dir_fd = -EBADF,
					      .dir = SIZE_MAX,
					      .watches_stop = i == 0 };
	/* without a second thread the first does it all */
	while (running < wanted && pthread_create(&threads[running], NULL, worker_run,
						  &workers[running]) == 0)
		running++;
	(void)worker_run(&workers[0]);
	for (size_t i = 1; i < running; i++)
		(void)pthread_join(threads[i], NULL); /* ours, joinable: cannot fail */
	for (size_t i = 0; i < running && r >= 0; i++) {
		r = workers[i].result;
		if (r < 0) {
			error_done(err);
			*err = workers[i].err;
			workers[i].err = ERROR_INIT;
		}
	}
	for (size_t i = 0; i < wanted; i++)
		worker_done(&workers[i]);
	return r;
}

/* All directories first; children of one parent stand together, so each parent is opened once. */
static int make_dirs(struct export *export, struct error *err)
{
	_cleanup_close_ int parent_fd = -EBADF;
	_cleanup_free_ char *parent = NULL;

	for (size_t i = 1; i < export->plan.dir_count; i++) {
		const char *path = export->plan.dirs[i].path;
		const char *slash = strrchr(path, '/');
		size_t size = slash ? (size_t)(slash - path) : 0;
		const char *name = slash ? slash + 1 : path;

		if (!parent || strlen(parent) != size ||
		    memcmp(parent, path, size) != 0) {
			free(parent);
			parent = strndup(path, size);
			if (!parent)
				return error_internal(err, -ENOMEM, "export");
			parent_fd = fd_close(parent_fd);
			parent_fd =
				fs_open_beneath(export->root_fd, size ? parent : ".",
						O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		}
		if (parent_fd < 0)
			return error_internal(err, parent_fd, "open '%s'", parent);
		if (mkdirat(parent_fd, name, 0755) < 0)
			return export_write_error(err, -errno, export->root_fd, path);
	}
	return 0;
}

/* Without a usable manifest nothing is taken over, which is only slower. */
static int find_previous(struct export *export, struct error *err)
{
	const struct export_request *request = export->request;
	int r;

	if (!request->previous)
		return 0;
	r = manifest_read(request->previous_parent_fd, request->previous,
			  &export->previous);
	if (r < 0)
		return error_internal(err, r, "read the manifest of %s",
				      request->previous);
	if (r > 0 && request->previous_commit &&
	    !str_equal(request->previous_commit, export->previous.commit))
		manifest_done(&export->previous);
	if (export->previous.count > 0)
		export->previous_fd =
			fs_open_beneath(request->previous_parent_fd, request->previous,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	return 0;
}

static int write_manifest(struct export *export, struct error *err)
{
	struct manifest manifest = { 0 };
	char hex[GIT_OID_HEXSZ + 1];
	struct timespec now;
	int r;

	manifest.commit = git_oid_tostr(hex, sizeof(hex), &export->request->commit);
	manifest.files = calloc(export->plan.file_count + 1, sizeof(*manifest.files));
	if (!manifest.files)
		return error_internal(err, -ENOMEM, "manifest");
	for (size_t i = 0; i < export->plan.file_count; i++)
		if (export->notes[i].path)
			manifest.files[manifest.count++] = export->notes[i];
	(void)clock_gettime(CLOCK_REALTIME_COARSE,
			    &now); /* the clock files are stamped with */
	r = manifest_write(export->request->parent_fd, export->request->name, &manifest,
			   &now);
	free(manifest.files); /* the paths belong to the notes */
	if (r < 0)
		return export_write_error(err, r, export->request->parent_fd,
					  export->request->name);
	return 0;
}

static int export_into(struct export *export, struct error *err)
{
	int r;

	export->root_fd =
		fs_open_beneath(export->request->parent_fd, export->request->name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (export->root_fd < 0)
		return error_internal(err, export->root_fd, "open release %s",
				      export->request->name);
	r = make_dirs(export, err);
	if (r < 0)
		return r;
	r = write_files(export, err);
	if (r < 0)
		return r;
	return write_manifest(export, err);
}

static int export_plan(struct export *export, struct error *err)
{
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	int r;

	if (git_odb_open(&odb, export->request->objects) < 0)
		return error_internal(err, -EIO, "open the object database %s",
				      export->request->objects);
	r = plan_read(odb, &export->request->commit, &export->request->limits,
		      &export->plan, err);
	if (r < 0)
		return r;
	export->notes = calloc(export->plan.file_count + 1, sizeof(*export->notes));
	if (!export->notes)
		return error_internal(err, -ENOMEM, "export");
	return find_previous(export, err);
}

int export_commit(const struct export_request *request, struct export_result *ret_result,
		  struct error *err)
{
	_cleanup_(export_done) struct export export = { .request = request,
							.root_fd = -EBADF,
							.previous_fd = -EBADF };
	int r;

	r = export_plan(&export, err);
	if (r < 0)
		return r;
	if (mkdirat(request->parent_fd, request->name, 0755) < 0)
		return export_write_error(err, -errno, request->parent_fd, request->name);
	r = export_into(&export, err);
	if (r < 0) {
		export.root_fd = fd_close(export.root_fd);
		if (fs_remove_tree_at(request->parent_fd, request->name) < 0)
			say_trouble("release %s is incomplete and could not be removed",
				    request->name);
		return r;
	}
	*ret_result = (struct export_result){ .files = export.plan.file_count,
					      .bytes = atomic_load(&export.bytes),
					      .copied = atomic_load(&export.copied) };
	return 0;
}
