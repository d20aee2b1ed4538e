#include "base/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than the headers of the oldest system this is built on. */
#define ACCESS_FS_REFER (1ULL << 13)
#define ACCESS_FS_TRUNCATE (1ULL << 14)
#define ACCESS_NET_TCP 3ULL /* bind and connect */
/* The first version that lets files be renamed between directories of one rule. */
#define VERSION_MIN 2

#define ACCESS_FS_V1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* What a rule for something that is no directory may say. */
#define ACCESS_FILE                                                     \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 ACCESS_FS_TRUNCATE)

struct ruleset {
	uint64_t fs;
	uint64_t net;
};

static long version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION);
}

bool landlock_is_there(void)
{
	return version() >= VERSION_MIN;
}

int landlock_init(struct landlock *landlock)
{
	struct ruleset attr = { .fs = ACCESS_FS_V1 | ACCESS_FS_REFER };
	size_t size = sizeof(attr.fs);
	long v = version();

	*landlock = (struct landlock){ .fd = -EBADF };
	if (v < VERSION_MIN)
		return 0;
	if (v >= 3)
		attr.fs |= ACCESS_FS_TRUNCATE;
	if (v >= 4) {
		attr.net = ACCESS_NET_TCP;
		size = sizeof(attr);
	}
	landlock->fs = attr.fs;
	landlock->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	return landlock->fd < 0 ? -errno : 0;
}

void landlock_done(struct landlock *landlock)
{
	landlock->fd = fd_close(landlock->fd);
}

int landlock_allow(struct landlock *landlock, const char *path,
		   enum landlock_access access)
{
	struct landlock_path_beneath_attr rule = { 0 };
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (landlock->fd < 0)
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	rule.parent_fd = fd;
	rule.allowed_access =
		access == LANDLOCK_READ
			? ACCESS_READ
			: landlock->fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FILE;
	return syscall(SYS_landlock_add_rule, landlock->fd, LANDLOCK_RULE_PATH_BENEATH,
		       &rule, 0) < 0
		       ? -errno
		       : 0;
}

int landlock_allow_libraries(struct landlock *landlock)
{
	static const char *const paths[] = {
		"/usr",
		"/lib",
		"/lib64",
		"/etc/ld.so.cache",
		/* a sanitizer looks there for leaks at the end */
		ADDRESS_SANITIZER ? "/proc" : NULL,
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(paths); i++)
		if (paths[i])
			r = landlock_allow(landlock, paths[i], LANDLOCK_READ);
	return r;
}

int landlock_enter(struct landlock *landlock)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (landlock->fd < 0)
		return 0;
	return syscall(SYS_landlock_restrict_self, landlock->fd, 0) < 0 ? -errno : 0;
}
