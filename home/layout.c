/*
 * The directories of a home and the link `app`. Runs as the project's user, who may have put anything
 * anywhere: every step opens one component and follows no link.
 */
#include "home/home.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/str.h"
#include "protocol/name.h"

#define HOME_DIRECTORY_MODE 0750

static bool is_release(const char *name)
{
	return name_is_release(name) || str_equal(name, RELEASE_BOOTSTRAP);
}

static int open_directory(int dir_fd, const char *name)
{
	return fs_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0);
}

/* Read the link `name`. Returns 0 with *ret_target NULL when there is nothing of that name. */
static int read_link(int dir_fd, const char *name, char **ret_target)
{
	char target[512]; /* ours are shorter; of others only "is not ours" matters */
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

	if (n < 0 && errno != ENOENT)
		return -errno;
	*ret_target = n < 0 ? NULL : strndup(target, (size_t)n);
	return n >= 0 && !*ret_target ? -ENOMEM : 0;
}

/* Name of the release that app points to; NULL if it points to none. */
static int live_release(int home_fd, char **ret_name, struct error *err)
{
	_cleanup_free_ char *target = NULL;
	const char *name;
	int r = read_link(home_fd, "app", &target);

	if (r == -EINVAL) {
		error_user(err, -ENOTDIR, "APP_NOT_A_LINK",
			   "app in the project's home is no symbolic link");
		error_suggest(err, "move it away: mv ~/app ~/app.old");
		return -ENOTDIR;
	}
	if (r < 0)
		return error_internal(err, r, "read the link app");
	name = target ? str_after_prefix(target, "releases/") : NULL;
	*ret_name = name && is_release(name) ? strdup(name) : NULL;
	return 0;
}

static int make_link(int home_fd, const char *name, const char *target, struct error *err)
{
	_cleanup_free_ char *old = NULL;
	int r = read_link(home_fd, name, &old);

	if (r == 0 && !old)
		r = fs_replace_link_at(home_fd, name, target);
	return r < 0 ? error_internal(err, r, "make the link %s", name) : 0;
}

int home_layout(int home_fd, bool python, struct error *err)
{
	_cleanup_close_ int releases_fd = -EBADF;
	int r = 0;

	static const char *const directories[] = { "releases", "shared" };

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		r = fs_mkdir_at(home_fd, directories[i], HOME_DIRECTORY_MODE);
		if (r < 0)
			return error_internal(err, r, "make %s/", directories[i]);
	}
	releases_fd = open_directory(home_fd, "releases");
	if (releases_fd < 0)
		return error_internal(err, releases_fd, "open releases/");
	r = fs_mkdir_at(releases_fd, RELEASE_BOOTSTRAP, HOME_DIRECTORY_MODE);
	if (r < 0)
		return error_internal(err, r, "make releases/" RELEASE_BOOTSTRAP);

	r = make_link(home_fd, "app", "releases/" RELEASE_BOOTSTRAP, err);
	if (r >= 0 && python)
		r = make_link(home_fd, "venv", "app/.venv", err);
	return r;
}

int home_layout_check(int home_fd, bool python, struct error *err)
{
	static const char *const wanted[] = { "releases", "shared", "app", "venv" };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(wanted) - (python ? 0 : 1); i++)
		if (fstatat(home_fd, wanted[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			return error_internal(err, -errno, "%s", wanted[i]);
	return 0;
}

int home_switch(int home_fd, const char *release, struct error *err)
{
	_cleanup_free_ char *live = NULL, *target = NULL;
	_cleanup_close_ int releases_fd = -EBADF, release_fd = -EBADF;
	int r;

	if (!is_release(release))
		return error_internal(err, -EINVAL, "name of a release");
	releases_fd = open_directory(home_fd, "releases");
	if (releases_fd < 0)
		return error_internal(err, releases_fd, "open releases/");
	release_fd = open_directory(releases_fd, release);
	if (release_fd < 0)
		return error_internal(err, -ENOENT, "release %s", release);
	r = live_release(home_fd, &live, err); /* what is no link is not replaced */
	if (r < 0)
		return r;

	target = str_format("releases/%s", release);
	if (!target)
		return error_internal(err, -ENOMEM, "switch");
	/* a power cut after this must not leave `app` pointing to files whose contents never came to the disk */
	if (syncfs(release_fd) < 0)
		return error_internal(err, -errno, "flush release %s", release);
	r = fs_replace_link_at(home_fd, "app", target);
	return r < 0 ? error_internal(err, r, "point app to %s", target) : 0;
}

int home_drop(int home_fd, const char *release, struct error *err)
{
	_cleanup_free_ char *live = NULL;
	_cleanup_close_ int releases_fd = -EBADF;
	int r;

	if (!name_is_release(release))
		return error_internal(err, -EINVAL, "name of a release");
	r = live_release(home_fd, &live, err);
	if (r < 0)
		return r;
	if (live && str_equal(live, release))
		return error_internal(err, -EBUSY, "release %s is live", release);

	releases_fd = open_directory(home_fd, "releases");
	if (releases_fd < 0)
		return error_internal(err, releases_fd, "open releases/");
	r = fs_remove_tree_at(releases_fd, release);
	return r < 0 ? error_internal(err, r, "remove release %s", release) : 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

int home_remove(int home_fd, struct error *err)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = -errno;

		fd_close(fd);
		return error_internal(err, r, "open the home");
	}
	/* one that resists does not save the others */
	while ((errno = 0, entry = readdir(dir))) {
		int r;

		if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, ".."))
			continue;
		r = fs_remove_tree_at(home_fd, entry->d_name);
		if (r < 0)
			result = error_internal(err, r, "remove what is in the home");
	}
	return errno ? error_internal(err, -errno, "list the home") : result;
}
