#include "builder/manifest.h"

#include <dirent.h>
#include <limits.h>
#include <time.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/wire.h"

#define MANIFEST_MAGIC "hostkit-manifest-1"
#define MANIFEST_BYTES_MAX ((size_t)512 << 20)
#define MANIFEST_SUFFIX ".manifest"
/* What put_file() writes for a path of one byte. */
#define MANIFEST_FILE_BYTES_MIN 58

void manifest_done(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->count; i++)
		free(manifest->files[i].path);
	free(manifest->files);
	free(manifest->commit);
	*manifest = (struct manifest){ 0 };
}

char *manifest_name(const char *name)
{
	return str_format(".%s" MANIFEST_SUFFIX, name);
}

void manifest_note(struct manifest_file *file, const struct stat *st)
{
	file->executable = (st->st_mode & 0100) != 0;
	file->inode = st->st_ino;
	file->size = (uint64_t)st->st_size;
	file->changed_sec = st->st_ctim.tv_sec;
	file->changed_nsec = (uint32_t)st->st_ctim.tv_nsec;
}

bool manifest_is_pristine(const struct manifest_file *file, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_ino == file->inode &&
	       (uint64_t)st->st_size == file->size &&
	       ((st->st_mode & 0100) != 0) == file->executable &&
	       st->st_ctim.tv_sec == file->changed_sec &&
	       (uint32_t)st->st_ctim.tv_nsec == file->changed_nsec;
}

/*
 * Files are stamped with the clock that `now` comes from, which stands still between two ticks: what is written
 * after `now` gets a time that is not before it. No nanoseconds: a file system that may count whole seconds only.
 */
static bool is_racy(const struct manifest_file *file, const struct timespec *now)
{
	if (file->changed_sec != now->tv_sec)
		return file->changed_sec > now->tv_sec;
	return file->changed_nsec == 0 || (int64_t)file->changed_nsec >= now->tv_nsec;
}

static void put_file(struct strbuf *buf, const struct manifest_file *file)
{
	wire_put_string(buf, file->path);
	wire_put_bytes(buf, file->oid, sizeof(file->oid));
	wire_put_bool(buf, file->executable);
	wire_put_u64(buf, file->inode);
	wire_put_u64(buf, file->size);
	wire_put_i64(buf, file->changed_sec);
	wire_put_u32(buf, file->changed_nsec);
}

int manifest_write(int dir_fd, const char *name, const struct manifest *manifest,
		   const struct timespec *now)
{
	_cleanup_free_ char *file_name = manifest_name(name);
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_close_ int fd = -EBADF;
	uint32_t count = 0;
	int r;

	if (!file_name)
		return -ENOMEM;
	for (size_t i = 0; i < manifest->count; i++)
		if (!is_racy(&manifest->files[i], now))
			count++;
	wire_put_string(&buf, MANIFEST_MAGIC);
	wire_put_string(&buf, manifest->commit);
	wire_put_u32(&buf, count);
	for (size_t i = 0; i < manifest->count; i++)
		if (!is_racy(&manifest->files[i], now))
			put_file(&buf, &manifest->files[i]);
	if (strbuf_failed(&buf))
		return -ENOMEM;

	/* not flushed: a manifest that a crash cut short is no manifest, which costs time and nothing else */
	if (unlinkat(dir_fd, file_name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (count == 0)
		return 0;
	fd = openat(dir_fd, file_name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, buf.data, buf.size);
	if (r < 0)
		(void)unlinkat(dir_fd, file_name, 0); /* its remains would not parse */
	return r;
}

static void get_file(struct wire *w, struct manifest_file *file)
{
	const uint8_t *oid;
	size_t size;

	file->path = wire_string(w, PATH_MAX);
	oid = wire_bytes(w, GIT_OID_RAWSZ, &size);
	if (size == GIT_OID_RAWSZ)
		memcpy(file->oid, oid, GIT_OID_RAWSZ);
	else
		w->failed = true;
	file->executable = wire_bool(w);
	file->inode = wire_u64(w);
	file->size = wire_u64(w);
	file->changed_sec = wire_i64(w);
	file->changed_nsec = wire_u32(w);
}

static int compare_paths(const void *a, const void *b)
{
	const struct manifest_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

int manifest_parse(const void *data, size_t size, struct manifest *ret_manifest)
{
	_cleanup_manifest_ struct manifest manifest = { 0 };
	struct wire w = wire_reader(data, size);
	_cleanup_free_ char *magic = wire_string(&w, 64);
	uint32_t count;
	int r;

	manifest.commit = wire_string(&w, 64);
	count = wire_u32(&w);
	if (w.failed || !magic || !str_equal(magic, MANIFEST_MAGIC))
		return -EBADMSG;
	if (count > size / MANIFEST_FILE_BYTES_MIN)
		return -EBADMSG;
	manifest.files = calloc(count ? count : 1, sizeof(*manifest.files));
	if (!manifest.files)
		return -ENOMEM;
	while (manifest.count < count && !w.failed)
		get_file(&w, &manifest.files[manifest.count++]);
	r = wire_end(&w);
	if (r < 0)
		return r;
	qsort(manifest.files, manifest.count, sizeof(*manifest.files), compare_paths);
	*ret_manifest = manifest;
	manifest = (struct manifest){ 0 };
	return 0;
}

int manifest_read(int dir_fd, const char *name, struct manifest *ret_manifest)
{
	_cleanup_free_ char *file_name = manifest_name(name), *data = NULL;
	size_t size;
	int r;

	if (!file_name)
		return -ENOMEM;
	r = fs_read_at(dir_fd, file_name, MANIFEST_BYTES_MAX, &data, &size);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = manifest_parse(data, size, ret_manifest);
	if (r == -EBADMSG)
		return 0;
	return r < 0 ? r : 1;
}

const struct manifest_file *manifest_find(const struct manifest *manifest,
					  const char *path)
{
	struct manifest_file key = { .path = (char *)path };

	if (manifest->count == 0)
		return NULL;
	return bsearch(&key, manifest->files, manifest->count, sizeof(key),
		       compare_paths);
}

/* The release a manifest's file name belongs to, NULL: it is no manifest (or no memory). */
static char *release_of(const char *file_name)
{
	if (file_name[0] != '.' || !str_has_suffix(file_name, MANIFEST_SUFFIX))
		return NULL;
	return strndup(file_name + 1, strlen(file_name) - 1 - strlen(MANIFEST_SUFFIX));
}

void manifest_sweep(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		(void)fd_close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *release = release_of(entry->d_name);

		if (release && faccessat(dir_fd, release, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			(void)unlinkat(dir_fd, entry->d_name,
				       0); /* tried again next time */
	}
	(void)closedir(dir); /* only read from */
}
