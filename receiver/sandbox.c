#include "receiver/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/str.h"

/* Newer than the headers of the oldest system this is built on. */
#define ACCESS_FS_REFER (1ULL << 13)
#define ACCESS_FS_TRUNCATE (1ULL << 14)
#define ACCESS_NET_TCP 3ULL /* bind and connect */
/* The first version that lets files be renamed between directories of one rule. */
#define ABI_MIN 2
#define ALTERNATES_DEPTH 5

/* The address sanitizer reserves terabytes, and looks into /proc for leaks at the end. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define ACCESS_FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_FS_V1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

struct ruleset {
	uint64_t fs;
	uint64_t net;
};

static uint64_t handled_fs(long abi)
{
	return ACCESS_FS_V1 | ACCESS_FS_REFER | (abi >= 3 ? ACCESS_FS_TRUNCATE : 0);
}

/* A path that does not exist needs no rule. */
static int allow(int ruleset_fd, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access,
						   .parent_fd = fd };

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule,
		    0) < 0)
		return -errno;
	return 0;
}

/* Object directories that this one borrows from (gitrepository-layout(5)), and those from others. */
static int allow_alternates(int ruleset_fd, const char *objects, int depth)
{
	_cleanup_free_ char *path = str_format("%s/info/alternates", objects);
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;
	int r = 0;
	FILE *file;

	if (!path)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (r == 0 && getline(&line, &allocated, file) > 0) {
		_cleanup_free_ char *other = NULL;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		other = line[0] == '/' ? strdup(line)
				       : str_format("%s/%s", objects, line);
		if (!other)
			r = -ENOMEM;
		else if (allow(ruleset_fd, other, ACCESS_FS_READ) == 0 &&
			 depth < ALTERNATES_DEPTH)
			r = allow_alternates(ruleset_fd, other, depth + 1);
	}
	fclose(file);
	return r;
}

static int add_rules(int ruleset_fd, const char *writable, uint64_t all)
{
	static const char *const readable[] = { "/usr", "/lib", "/lib64",
						"/etc/ld.so.cache" };
	_cleanup_free_ char *objects = str_format("%s/objects", writable);
	int r;

	if (!objects)
		return -ENOMEM;
	r = allow(ruleset_fd, writable, all & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readable); i++)
		r = allow(ruleset_fd, readable[i],
			  i == ARRAY_SIZE(readable) - 1 ? LANDLOCK_ACCESS_FS_READ_FILE
							: ACCESS_FS_READ);
	if (r == 0 && SANITIZED)
		r = allow(ruleset_fd, "/proc", ACCESS_FS_READ);
	return r < 0 ? r : allow_alternates(ruleset_fd, objects, 0);
}

int sandbox_enter(const char *writable, struct error *err)
{
	_cleanup_close_ int ruleset_fd = -EBADF;
	struct ruleset attr = { 0 };
	long abi;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_internal(err, -errno, "give up new privileges");

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
		      LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < ABI_MIN)
		return 0;
	attr = (struct ruleset){ .fs = handled_fs(abi),
				 .net = abi >= 4 ? ACCESS_NET_TCP : 0 };
	ruleset_fd = (int)syscall(SYS_landlock_create_ruleset, &attr,
				  abi >= 4 ? sizeof(attr) : sizeof(attr.fs), 0);
	if (ruleset_fd < 0)
		return error_internal(err, -errno, "landlock");
	r = add_rules(ruleset_fd, writable, attr.fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
		r = -errno;
	return r < 0 ? error_internal(err, r, "landlock") : 0;
}

int sandbox_limit_memory(size_t bytes, struct error *err)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	if (SANITIZED || bytes == 0)
		return 0;
	return setrlimit(RLIMIT_AS, &limit) < 0
		       ? error_internal(err, -errno, "limit memory")
		       : 0;
}
