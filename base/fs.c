#include "base/fs.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/str.h"

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

bool fs_name_is_component(const char *name)
{
	return *name != '\0' && !strchr(name, '/') && !str_equal(name, ".") &&
	       !str_equal(name, "..");
}

/* A name beside `name` that nobody can guess, so that nobody can be waiting there. */
static char *fs_temporary_name(const char *name)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return NULL;
	return str_format(".%s.%016llx", name, (unsigned long long)random);
}

static int fs_sync_directory(int dir_fd)
{
	_cleanup_close_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int fs_write_new(int dir_fd, const char *name, mode_t mode, const void *data,
			size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;
	r = io_write_all(fd, data, size);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int fs_replace_at(int dir_fd, const char *name, mode_t mode, const void *data,
		  size_t size)
{
	_cleanup_free_ char *temporary = NULL;
	int r;

	temporary = fs_temporary_name(name);
	if (!temporary)
		return -ENOMEM;

	r = fs_write_new(dir_fd, temporary, mode, data, size);
	if (r >= 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir_fd, temporary, 0); /* it may not exist */
		return r;
	}
	return fs_sync_directory(dir_fd);
}

int fs_replace_link_at(int dir_fd, const char *name, const char *target)
{
	_cleanup_free_ char *temporary = NULL;

	temporary = fs_temporary_name(name);
	if (!temporary)
		return -ENOMEM;
	if (symlinkat(target, dir_fd, temporary) < 0)
		return -errno;
	if (renameat(dir_fd, temporary, dir_fd, name) < 0) {
		int r = -errno;

		(void)unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return fs_sync_directory(dir_fd);
}

int fs_read_at(int dir_fd, const char *name, size_t max, char **ret_data,
	       size_t *ret_size)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	size_t size;
	char *data;
	int r;

	/* O_NONBLOCK: a FIFO with that name must not make us wait */
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;

	r = io_read_all(fd, max, &buf);
	if (r < 0)
		return r;
	size = buf.size;
	data = strbuf_steal(&buf);
	if (!data)
		return -ENOMEM;
	*ret_data = data;
	*ret_size = size;
	return 0;
}

static void fs_closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

/* Remove what is in the directory `name`; its entries are on `device` or are left alone. */
static int fs_empty_directory(int parent_fd, const char *name, dev_t device)
{
	_cleanup_(fs_closedirp) DIR *dir = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct dirent *entry;
	struct stat st;

	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(parent_fd, name, 0700, 0) == 0)
		fd = openat(parent_fd, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_dev != device)
		return -EXDEV;
	if ((st.st_mode & 0300) != 0300)
		(void)fchmod(
			fd,
			0700); /* the unlink below tells if it was needed and failed */

	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	TAKE_FD(fd);

	while ((errno = 0, entry = readdir(dir))) {
		int r;

		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return -errno;
		r = fs_empty_directory(dirfd(dir), entry->d_name, device);
		if (r < 0)
			return r;
		if (unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0)
			return -errno;
	}
	return -errno;
}

int fs_remove_tree_at(int dir_fd, const char *name)
{
	struct stat st;
	int r;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;

	r = fs_empty_directory(dir_fd, name, st.st_dev);
	if (r < 0)
		return r;
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int fs_mkdir_at(int dir_fd, const char *name, mode_t mode)
{
	_cleanup_close_ int fd = -EBADF;
	bool made = mkdirat(dir_fd, name, 0700) == 0;

	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (made && fchmod(fd, mode) < 0)
		return -errno;
	return made;
}
