/*
 * What happens below a project's home and in its repository is done by programs that run as the project's
 * user. Root names the operation and nothing else.
 */

#include <string.h>

#include "hostkitd/account.h"
#include "hostkitd/internal.h"

char *home_path(const char *project)
{
	return str_format("/home/%s", project);
}

char *repository_path(const char *project)
{
	return str_format(DAEMON_STATE_DIR "/repos/%s.git", project);
}

static int run_as_project(struct task *task, struct process_plan *plan, struct error *err)
{
	_cleanup_free_ char *home = home_path(task->project->name);
	_cleanup_free_ char *home_variable = NULL;
	struct account account;
	int r = account_find(task->project->name, &account, NULL);

	if (r == 0)
		return error_internal(err, -ENOENT, "no user %s", task->project->name);
	if (r < 0)
		return error_internal(err, r, "user %s", task->project->name);
	home_variable = home ? str_format("HOME=%s", home) : NULL;
	if (!home_variable)
		return error_internal(err, -ENOMEM, "start %s", plan->path);

	const char *const envp[] = { "PATH=/usr/local/bin:/usr/bin:/bin", home_variable,
				     NULL };
	plan->envp = envp;
	plan->drop = true;
	plan->uid = account.uid;
	plan->gid = account.gid;
	plan->directory = home;
	return task_child(task, plan, err);
}

int home_run(struct task *task, const char *const *argv, int in_fd, struct error *err)
{
	struct process_plan plan = {
		.path = HOSTKIT_LIBEXEC_DIR "/hostkit-home",
		.argv = argv,
		.fds = { in_fd, -1, STDERR_FILENO },
		.fd_count = 3,
	};

	return run_as_project(task, &plan, err);
}

int repository_run(struct task *task, const char *const *argv, struct error *err)
{
	struct process_plan plan = {
		.path = HOSTKIT_LIBEXEC_DIR "/hostkit-receive",
		.argv = argv,
		.fds = { -1, -1, STDERR_FILENO },
		.fd_count = 3,
	};

	return run_as_project(task, &plan, err);
}
