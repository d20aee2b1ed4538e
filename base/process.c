#include "base/process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/str.h"

enum {
	CHILD_STEP_FDS,
	CHILD_STEP_DIRECTORY,
	CHILD_STEP_USER,
	CHILD_STEP_EXEC,
	_CHILD_STEP_N,
};

struct child_report {
	int step;
	int number;
};

/* Put fds at 0..n-1. First move them all out of the way, so that no dup2() hits one still needed. */
static int child_place_fds(const struct process_plan *plan, int report_fd,
			   int *ret_report_fd)
{
	int moved[PROCESS_FDS_MAX];

	report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, 3 + PROCESS_FDS_MAX);
	if (report_fd < 0)
		return -errno;
	*ret_report_fd = report_fd;

	for (size_t i = 0; i < plan->fd_count; i++) {
		int fd = plan->fds[i];

		if (fd < 0)
			fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3 + PROCESS_FDS_MAX);
		if (moved[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < plan->fd_count; i++)
		if (dup2(moved[i], (int)i) < 0)
			return -errno;

	/* everything else goes at exec, also what a library opened without O_CLOEXEC */
	if (close_range((unsigned int)plan->fd_count, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static int child_drop(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -errno;
	if (setuid(0) == 0 || setgid(0) == 0)
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static void child_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* fails for the two that cannot be changed */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_run(const struct process_plan *plan, int report_fd)
{
	static const char *const minimal[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					       NULL };
	const char *const *envp = plan->envp ? plan->envp : minimal;
	struct child_report report;
	int r;

	child_reset_signals();
	umask(022);

	report.step = CHILD_STEP_FDS;
	r = child_place_fds(plan, report_fd, &report_fd);
	if (r >= 0) {
		report.step = CHILD_STEP_USER;
		if (plan->drop)
			r = child_drop(plan->uid, plan->gid);
	}
	if (r >= 0) {
		/* as the user, so that a directory only root may enter is not entered */
		report.step = CHILD_STEP_DIRECTORY;
		if (chdir(plan->directory ? plan->directory : "/") < 0)
			r = -errno;
	}
	if (r >= 0) {
		report.step = CHILD_STEP_EXEC;
		execve(plan->path, (char *const *)plan->argv, (char *const *)envp);
		r = -errno;
	}

	report.number = r;
	(void)io_write_all(report_fd, &report,
			   sizeof(report)); /* the parent sees EOF otherwise */
	_exit(127);
}

static int report_failure(const char *path, const struct child_report *report,
			  struct error *err)
{
	static const char *const steps[_CHILD_STEP_N] = {
		[CHILD_STEP_FDS] = "place descriptors for",
		[CHILD_STEP_DIRECTORY] = "enter the directory of",
		[CHILD_STEP_USER] = "drop privileges for",
		[CHILD_STEP_EXEC] = "execute",
	};

	return error_internal(err, report->number, "%s %s", steps[report->step], path);
}

int process_spawn(const struct process_plan *plan, struct process *ret_process,
		  struct error *err)
{
	_cleanup_close_ int report_read = -EBADF, report_write = -EBADF;
	int pipe_fds[2], pidfd, r;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_internal(err, -errno, "pipe");
	report_read = pipe_fds[0];
	report_write = pipe_fds[1];

	pid = fork();
	if (pid < 0)
		return error_internal(err, -errno, "fork");
	if (pid == 0)
		child_run(plan, report_write);

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = -errno;
		(void)kill(pid, SIGKILL);
		(void)process_wait(pid);
		return error_internal(err, r, "pidfd_open");
	}
	*ret_process = (struct process){
		.pid = pid,
		.pidfd = pidfd,
		.report_fd = TAKE_FD(report_read),
	};
	return 0;
}

int process_report(const char *path, int report_fd, struct error *err)
{
	struct child_report report;
	ssize_t n = io_read_full(report_fd, &report, sizeof(report));

	if (n < 0)
		return error_internal(err, (int)n, "report of %s", path);
	return n == (ssize_t)sizeof(report) ? report_failure(path, &report, err) : 0;
}

int process_start(const struct process_plan *plan, pid_t *ret_pid, int *ret_pidfd,
		  struct error *err)
{
	_cleanup_close_ int pidfd = -EBADF, report_fd = -EBADF;
	struct process process = { .pidfd = -EBADF, .report_fd = -EBADF };
	int r = process_spawn(plan, &process, err);

	if (r < 0)
		return r;
	pidfd = process.pidfd;
	report_fd = process.report_fd;
	r = process_report(plan->path, report_fd, err);
	if (r < 0) {
		(void)process_wait(process.pid); /* it has said why already */
		return r;
	}
	if (ret_pidfd)
		*ret_pidfd = TAKE_FD(pidfd);
	*ret_pid = process.pid;
	return 0;
}

int process_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
