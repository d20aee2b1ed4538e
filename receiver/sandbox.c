#include "receiver/sandbox.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/landlock.h"
#include "base/str.h"

#define ALTERNATES_DEPTH 5

/* Object directories that this one borrows from (gitrepository-layout(5)), and those from others. */
static int allow_alternates(struct landlock *landlock, const char *objects, int depth)
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
		else if (landlock_allow(landlock, other, LANDLOCK_READ) == 0 &&
			 depth < ALTERNATES_DEPTH)
			r = allow_alternates(landlock, other, depth + 1);
	}
	fclose(file);
	return r;
}

static int add_rules(struct landlock *landlock, const char *writable)
{
	_cleanup_free_ char *objects = str_format("%s/objects", writable);
	int r;

	if (!objects)
		return -ENOMEM;
	r = landlock_allow(landlock, writable, LANDLOCK_WRITE);
	if (r == 0)
		r = landlock_allow_libraries(landlock);
	return r < 0 ? r : allow_alternates(landlock, objects, 0);
}

int sandbox_enter(const char *writable, struct error *err)
{
	_cleanup_(landlock_done) struct landlock landlock = { .fd = -EBADF };
	int r;

	/* the project's own processes have the same uid, but not the requests that a push may send */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_internal(err, -errno, "set process limits");
	r = landlock_init(&landlock);
	if (r == 0)
		r = add_rules(&landlock, writable);
	if (r == 0)
		r = landlock_enter(&landlock);
	return r < 0 ? error_internal(err, r, "landlock") : 0;
}

int sandbox_limit_memory(size_t bytes, struct error *err)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	if (ADDRESS_SANITIZER || bytes == 0)
		return 0;
	return setrlimit(RLIMIT_AS, &limit) < 0
		       ? error_internal(err, -errno, "limit memory")
		       : 0;
}

int sandbox_limit_cpu(unsigned seconds, struct error *err)
{
	struct rlimit limit = { .rlim_cur = seconds, .rlim_max = seconds };

	if (seconds == 0)
		return 0;
	return setrlimit(RLIMIT_CPU, &limit) < 0
		       ? error_internal(err, -errno, "limit processor time")
		       : 0;
}
