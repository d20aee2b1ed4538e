#include "builder/copy.h"

#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "base/fs.h"
#include "base/str.h"

/* Each level keeps two descriptors open. */
#define COPY_DEPTH_MAX 100

/* For less than this copy_file_range(2) sets up more (a pipe, for one) than it saves. */
#define COPY_SMALL_BYTES 32768

static int copy_by_hand(int from_fd, int to_fd, uint64_t size)
{
	size_t chunk = size < COPY_SMALL_BYTES ? (size_t)size : COPY_SMALL_BYTES;
	_cleanup_free_ char *buf = malloc(chunk);

	if (!buf)
		return -ENOMEM;
	while (size > 0) {
		ssize_t n = read(from_fd, buf, size < chunk ? (size_t)size : chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		size -= (uint64_t)n;
		for (ssize_t done = 0; done < n;) {
			ssize_t put = write(to_fd, buf + done, (size_t)(n - done));

			if (put < 0 && errno != EINTR)
				return -errno;
			done += put > 0 ? put : 0;
		}
	}
	return 0;
}

int copy_bytes(int from_fd, int to_fd, uint64_t size, atomic_bool *no_clone)
{
	if (size == 0)
		return 0;
	if (!no_clone || !atomic_load(no_clone)) {
		if (ioctl(to_fd, FICLONE, from_fd) == 0)
			return 0;
		if (errno == ENOSPC || errno == EDQUOT)
			return -errno;
		if (no_clone)
			atomic_store(no_clone, true);
	}
	if (size < COPY_SMALL_BYTES)
		return copy_by_hand(from_fd, to_fd, size);
	while (size > 0) {
		size_t wanted = size < SSIZE_MAX ? (size_t)size : SSIZE_MAX;
		ssize_t n = copy_file_range(from_fd, NULL, to_fd, NULL, wanted, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
			      errno == EOPNOTSUPP))
			return copy_by_hand(from_fd, to_fd, size);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		size -= (uint64_t)n;
	}
	return 0;
}

static int copy_file(int from_fd, int to_fd, const char *name, mode_t mode)
{
	_cleanup_close_ int in = -EBADF, out = -EBADF;
	struct stat st;

	in = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return -errno;
	if (fstat(in, &st) < 0)
		return -errno;
	if (unlinkat(to_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	out = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		     mode & 0777);
	if (out < 0)
		return -errno;
	return copy_bytes(in, out, (uint64_t)st.st_size, NULL);
}

static int copy_link(int from_fd, int to_fd, const char *name)
{
	_cleanup_free_ char *target = malloc(PATH_MAX);
	ssize_t n;

	if (!target)
		return -ENOMEM;
	n = readlinkat(from_fd, name, target, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return fs_replace_link_at(to_fd, name, target);
}

static int copy_dir(int from_fd, const char *from_name, int to_fd, const char *to_name,
		    int depth, struct error *err);

static int copy_entry(int from_fd, int to_fd, const char *name, int depth,
		      struct error *err)
{
	struct stat st;
	int r = 0;

	if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else if (S_ISDIR(st.st_mode))
		return copy_dir(from_fd, name, to_fd, name, depth, err);
	else if (S_ISREG(st.st_mode))
		r = copy_file(from_fd, to_fd, name, st.st_mode);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(from_fd, to_fd, name);
	return r < 0 ? error_internal(err, r, "copy %s", name) : 0;
}

static int copy_entries(DIR *dir, int to_fd, int depth, struct error *err)
{
	struct dirent *entry;
	int r = 0;

	while (r >= 0 && (errno = 0, entry = readdir(dir)))
		if (!str_equal(entry->d_name, ".") && !str_equal(entry->d_name, ".."))
			r = copy_entry(dirfd(dir), to_fd, entry->d_name, depth, err);
	if (r >= 0 && errno != 0)
		r = error_internal(err, -errno, "read a directory");
	return r;
}

static int copy_dir(int from_fd, const char *from_name, int to_fd, const char *to_name,
		    int depth, struct error *err)
{
	_cleanup_close_ int from = -EBADF, to = -EBADF;
	DIR *dir;
	int r;

	if (depth == 0)
		return error_internal(err, -ELOOP,
				      "copy %s: more than %d directories deep", from_name,
				      COPY_DEPTH_MAX);
	from = openat(from_fd, from_name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 && errno == ENOENT)
		return 0;
	if (from < 0)
		return error_internal(err, -errno, "open %s", from_name);
	r = fs_mkdir_at(to_fd, to_name, 0755);
	if (r >= 0) {
		to = openat(to_fd, to_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = to < 0 ? -errno : 0;
	}
	if (r < 0)
		return error_internal(err, r, "make %s", to_name);

	dir = fdopendir(from);
	if (!dir)
		return error_internal(err, -errno, "read %s", from_name);
	(void)TAKE_FD(from); /* closedir() closes it */
	r = copy_entries(dir, to, depth - 1, err);
	(void)closedir(dir); /* only read from */
	return r < 0 ? r : 1;
}

int copy_tree(int from_fd, const char *from_name, int to_fd, const char *to_name,
	      struct error *err)
{
	return copy_dir(from_fd, from_name, to_fd, to_name, COPY_DEPTH_MAX, err);
}
