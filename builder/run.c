/*
 * Tools of the project's own choosing: whatever they do, they do as the project's user inside the build's
 * unit, which bounds them and ends what they leave behind.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/process.h"
#include "base/str.h"
#include "builder/build.h"
#include "builder/say.h"
#include "builder/stop.h"

/* How long a tool may take to end after it was told to stop. */
#define STOP_GRACE_MSEC 3000
/* Less than this and a failed step most likely failed for want of it. */
#define DISK_LOW_BYTES ((uint64_t)8 << 20)

extern char **environ;

static bool is_set(const char *assignment)
{
	size_t size = strcspn(assignment, "=") + 1;

	for (char **e = environ; *e; e++)
		if (strncmp(*e, assignment, size) == 0)
			return true;
	return false;
}

/* Our environment and the defaults that are not in it. Returns NULL without memory; the strings are borrowed. */
static const char **merge_environment(const char *const *defaults)
{
	size_t count = 0, extra = 0;
	const char **merged;

	while (environ[count])
		count++;
	while (defaults && defaults[extra])
		extra++;
	merged = calloc(count + extra + 1, sizeof(*merged));
	if (!merged)
		return NULL;
	memcpy(merged, environ, count * sizeof(*merged));
	for (size_t i = 0; i < extra; i++)
		if (!is_set(defaults[i]))
			merged[count++] = defaults[i];
	return merged;
}

/* Wait for the child; when told to stop, end it first. */
static int wait_or_stop(const struct build *build, pid_t pid, int pidfd)
{
	struct pollfd fds[2] = { { .fd = pidfd, .events = POLLIN },
				 { .fd = build->stop_fd, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			break;
	if (fds[0].revents || !fds[1].revents)
		return process_wait(pid);

	(void)kill(pid, SIGTERM); /* it is our child and not yet waited for */
	(void)poll(fds, 1, STOP_GRACE_MSEC);
	(void)kill(pid, SIGKILL);
	(void)process_wait(pid);
	return -ECANCELED;
}

int build_run(const struct build *build, const char *const *argv,
	      const char *const *defaults, struct error *err)
{
	_cleanup_free_ const char **envp = merge_environment(defaults);
	_cleanup_close_ int pidfd = -EBADF;
	struct process_plan plan = { .path = argv[0],
				     .argv = argv,
				     .envp = envp,
				     .fds = { -1, STDOUT_FILENO, STDERR_FILENO },
				     .fd_count = 3,
				     .directory = build->release_path };
	const char *slash = strrchr(argv[0], '/');
	pid_t pid;
	int r;

	if (!envp)
		return error_internal(err, -ENOMEM, "run %s", argv[0]);
	r = process_start(&plan, &pid, &pidfd, err);
	if (r < 0)
		return r;
	r = wait_or_stop(build, pid, pidfd);
	if (r == -ECANCELED)
		/* why is told by who stopped it: somebody's wish, or the time that was over */
		return error_internal(err, r,
				      "the build was told to stop while '%s' was running",
				      slash ? slash + 1 : argv[0]);
	return r < 0 ? error_internal(err, r, "wait for %s", argv[0]) : r;
}

/* As one would type it; none of our arguments has blanks in it. */
static void put_command(struct strbuf *line, const char *const *argv)
{
	const char *slash = strrchr(argv[0], '/');

	strbuf_str(line, slash ? slash + 1 : argv[0]);
	for (size_t i = 1; argv[i]; i++) {
		strbuf_char(line, ' ');
		strbuf_str(line, argv[i]);
	}
}

int build_step(const struct build *build, const char *const *argv,
	       const char *const *defaults, const char *code, struct error *err)
{
	_cleanup_strbuf_ struct strbuf line = { 0 };
	struct statvfs vfs;
	int r;

	put_command(&line, argv);
	say_detail("$ %s", strbuf_get(&line));
	r = build_run(build, argv, defaults, err);
	if (r <= 0)
		return r;

	if (fstatvfs(build->releases_fd, &vfs) == 0 &&
	    (uint64_t)vfs.f_bavail * vfs.f_frsize < DISK_LOW_BYTES)
		return export_write_error(err, -ENOSPC, build->releases_fd,
					  build->release);
	if (r == 128 + SIGKILL) {
		error_user(err, -ENOMEM, code, "'%s' was killed", strbuf_get(&line));
		error_suggest(err,
			      "most likely it needed more memory than [build] memory in "
			      "hostkit.conf allows");
		return -ENOMEM;
	}
	error_user(err, -ECHILD, code, "'%s' failed with exit status %d",
		   strbuf_get(&line), r);
	error_suggest(err, "its output above says why; mend it, commit and push again");
	return -ECHILD;
}

bool build_has_file(const struct build *build, const char *name)
{
	struct stat st;

	return fstatat(build->release_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode);
}
