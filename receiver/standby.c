/*
 * Consolidation in the background, after a push. It needs a program of its own: libgit2 keeps the packs it
 * has open by number of descriptor, process-wide, and a fork that closes what it inherited (it must hold
 * nothing that a client waits for) finds them closed. The sandbox of the push forbids exec, and is not to be
 * opened for it: who may execute the dynamic linker may run any program. So it is started in front of the
 * sandbox and waits. It knows the path of the repository and reads one byte; it is there only when the push
 * may be the one that makes it due.
 */
#include "receiver/upkeep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/io.h"
#include "base/process.h"
#include "base/str.h"

/* Of what it has to complain about. */
#define COMPLAINT_BYTES 1000

/* Hold nothing but go_fd, which becomes 3. */
static bool let_go(int go_fd)
{
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			return false;
	null = -EBADF; /* among those that are closed here */
	return dup2(go_fd, 3) == 3 && close_range(4, ~0u, 0) == 0;
}

static void log_failure(const char *path, int status, const char *complaint)
{
	_cleanup_free_ char *shown = escape_text(complaint, COMPLAINT_BYTES);

	openlog("hostkit-receive", LOG_PID, LOG_DAEMON);
	syslog(LOG_ERR, "consolidate %s: status %d: %s", path, status,
	       shown ? shown : "?");
}

static int start(const char *path, int errors_fd, pid_t *ret_pid, struct error *err)
{
	const char *const argv[] = { "hostkit-receive", "--consolidate", "--", path,
				     NULL };
	const struct process_plan plan = {
		.path = "/proc/self/exe",
		.argv = argv,
		.fds = { -1, -1, errors_fd },
		.fd_count = 3,
	};

	return process_start(&plan, ret_pid, NULL, err);
}

static void consolidate(const char *path)
{
	_cleanup_free_ char *complaint = calloc(1, COMPLAINT_BYTES + 1);
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	_cleanup_error_ struct error err = ERROR_INIT;
	int fds[2], r;
	pid_t pid;

	if (!complaint || pipe2(fds, O_CLOEXEC) < 0)
		return log_failure(path, -errno, "nothing was done");
	read_fd = fds[0];
	write_fd = fds[1];
	r = start(path, write_fd, &pid, &err);
	if (r < 0)
		return log_failure(path, r, error_text(&err, true));
	write_fd = fd_close(write_fd);
	/* more than that is not read, and written in vain */
	if (io_read_full(read_fd, complaint, COMPLAINT_BYTES) < 0)
		complaint[0] = '\0';
	read_fd = fd_close(read_fd);
	r = process_wait(pid);
	if (r != 0)
		log_failure(path, r, complaint);
}

__attribute__((noreturn)) static void wait_for_go(const char *path, int go_fd)
{
	char byte;

	/* not one of the client's processes: neither its terminal nor its descriptors */
	(void)setsid();
	if (!let_go(go_fd) || read(3, &byte, 1) != 1)
		_exit(0);
	(void)close(3);
	errno = 0;
	(void)nice(10); /* as well as not */
	consolidate(path);
	_exit(0);
}

int upkeep_stand_by(const char *path)
{
	_cleanup_free_ char *absolute = NULL;
	int fds[2];
	pid_t pid;

	if (!upkeep_may_be_due(path))
		return -EBADF;
	absolute = realpath(path, NULL);
	if (!absolute)
		return -errno;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		wait_for_go(absolute, fds[0]);
	fd_close(fds[0]);
	if (pid < 0) {
		int r = -errno;

		fd_close(fds[1]);
		return r;
	}
	return fds[1];
}

void upkeep_go(int go_fd)
{
	(void)!write(go_fd, "", 1); /* if it is gone, the next push has one */
}
