/*
 * hostkit-job ID: carries out one job and exits with how it went. Runs as `hostkit` in a unit of its own,
 * started by hostkitd. Descriptors: 0 requests to hostkitd, 1 the job's log, 2 the journal.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "protocol/status.h"
#include "provision/provision.h"
#include "release/job.h"

static const struct job_plan *const plans[_JOB_KIND_N] = {
	[JOB_KIND_DEPLOY] = &deploy_plan,       [JOB_KIND_ROLLBACK] = &rollback_plan,
	[JOB_KIND_PROVISION] = &provision_plan, [JOB_KIND_DELETE] = &delete_plan,
	[JOB_KIND_RESTART] = &restart_plan,
};

/* Move fd out of the way of what programs expect there, and leave /dev/null in its place. */
static int move_up(int fd)
{
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (moved < 0 || null_fd < 0 || dup2(null_fd, fd) < 0)
		return -errno;
	return moved;
}

static int usage(FILE *out)
{
	fputs("usage: hostkit-job ID\n"
	      "Carries out a job; started by hostkitd, which is at descriptor 0.\n",
	      out);
	return out == stdout ? STATUS_DONE : STATUS_USAGE;
}

int main(int argc, char **argv)
{
	_cleanup_job_ struct job job = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	_cleanup_close_ int log_fd = -EBADF;
	int client_fd, r;
	uint64_t id;

	log_setup("hostkit-job", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail for this signal */
	if (argc == 2 && str_equal(argv[1], "--version"))
		return printf("hostkit-job %s\n", HOSTKIT_VERSION) < 0;
	if (argc == 2 && str_equal(argv[1], "--help"))
		return usage(stdout);
	if (argc != 2 || str_to_u64(argv[1], INT64_MAX, &id) < 0)
		return usage(stderr);

	client_fd = move_up(STDIN_FILENO);
	log_fd = move_up(STDOUT_FILENO);
	if (client_fd < 0 || log_fd < 0) {
		log_err("descriptors 0 and 1 must be open");
		return STATUS_FAILED;
	}
	r = job_init(&job, (int64_t)id, client_fd, log_fd, &err);
	if (r < 0) {
		log_error(LOG_ERR, &err, "job %s", argv[1]);
		return STATUS_FAILED;
	}
	return job_run(&job, plans[job.record.kind]);
}
