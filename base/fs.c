#include "base/fs.h"

#include <linux/openat2.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/io.h"
#include "base/str.h"

/* How often an answer "try again" is taken at its word. */
#define FS_OPEN_ATTEMPTS 32

/* How deep removal recurses, each level with a descriptor and a stack frame of its own. */
#define FS_REMOVE_DEPTH 64

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
	/* O_TMPFILE contains O_DIRECTORY; openat2(2) refuses a mode that it would not use */
	bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.mode = creates ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int attempts = 0;
	long fd;

	/*
	 * EAGAIN is a rename that raced with "..", or a lease on the file, which whoever owns it can keep
	 * up for long: not a reason to spin.
	 */
	do
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	while (fd < 0 &&
	       (errno == EINTR || (errno == EAGAIN && ++attempts < FS_OPEN_ATTEMPTS)));
	return fd < 0 ? -errno : (int)fd;
}

bool fs_name_is_component(const char *name)
{
	return *name != '\0' && !strchr(name, '/') && !str_equal(name, ".") &&
	       !str_equal(name, "..");
}

/*
 * A name that nobody can guess, so that nobody can be waiting there. It does not contain the final name,
 * which may already be as long as a name can be.
 */
static char *fs_temporary_name(void)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return NULL;
	return str_format(".new.%016llx", (unsigned long long)random);
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

	temporary = fs_temporary_name();
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

	temporary = fs_temporary_name();
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

/* Give the directory `name` the permissions needed to empty it; never through a link. */
static int fs_grant(int parent_fd, const char *name)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -EBADF;

	fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	path = str_format("/proc/self/fd/%d", fd);
	if (!path)
		return -ENOMEM;
	return chmod(path, 0700) < 0 ? -errno : 0;
}

/* Returns a descriptor, or -EXDEV for a mount point (of the same file system, too). */
static int fs_open_to_empty(int parent_fd, const char *name)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
	};
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
	if (fd < 0 && errno == EACCES && fs_grant(parent_fd, name) >= 0)
		fd = (int)syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700); /* what needs it fails and says so */
	return TAKE_FD(fd);
}

/* Move a directory that lies too deep to the top of what is being removed, for a later round. */
static int fs_lift(int top_fd, int parent_fd, const char *name)
{
	_cleanup_free_ char *temporary = fs_temporary_name();

	if (!temporary)
		return -ENOMEM;
	(void)fs_grant(parent_fd, name); /* moving it changes its ".." */
	return renameat(parent_fd, name, top_fd, temporary) < 0 ? -errno : 0;
}

static int fs_empty_directory(int top_fd, int dir_fd, int depth);

static int fs_remove_entry(int top_fd, int parent_fd, const char *name, int depth)
{
	int fd, r;

	if (unlinkat(parent_fd, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth >= FS_REMOVE_DEPTH)
		return fs_lift(top_fd, parent_fd, name);

	fd = fs_open_to_empty(parent_fd, name);
	if (fd < 0)
		return fd;
	r = fs_empty_directory(top_fd, fd, depth + 1);
	if (r < 0)
		return r;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* Remove what is in the directory dir_fd, which is taken; top_fd is open until it has ended. */
static int fs_empty_directory(int top_fd, int dir_fd, int depth)
{
	_cleanup_(fs_closedirp) DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;

	if (!dir) {
		int r = -errno;

		fd_close(dir_fd);
		return r;
	}
	while ((errno = 0, entry = readdir(dir))) {
		int r;

		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		r = fs_remove_entry(top_fd, dirfd(dir), entry->d_name, depth);
		if (r < 0)
			return r;
	}
	return -errno;
}

int fs_remove_tree_at(int dir_fd, const char *name)
{
	int r;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;

	/* once more for each time that something was lifted to the top */
	do {
		int fd = fs_open_to_empty(dir_fd, name);

		if (fd < 0)
			return fd;
		r = fs_empty_directory(fd, fd, 0);
		if (r < 0)
			return r;
		r = unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
	} while (r == -ENOTEMPTY);
	return r;
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

struct dirent *fs_next_entry(DIR *dir, int *r)
{
	struct dirent *entry;

	errno = 0;
	entry = readdir(dir);
	if (!entry && errno != 0)
		*r = -errno;
	return entry;
}
