/* Steps one after another, where some have to wait for a program or for systemd. */

#include "base/log.h"
#include "hostkitd/internal.h"

/* Programs of a step run as a project's user, who can stop them; nobody waits for that for ever. */
#define TASK_CHILD_USEC (120ull * 1000000)
#define TASK_SLOW_USEC (1800ull * 1000000)

struct task *task_new(struct daemon *daemon, const task_step *steps)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->daemon = daemon;
	task->steps = steps;
	return task;
}

struct task *task_free(struct task *task)
{
	if (!task)
		return NULL;
	for (size_t i = 0; task->list && task->list[i]; i++)
		free(task->list[i]);
	free(task->list);
	project_free(task->project);
	free(task->text);
	free(task->note);
	free(task);
	return NULL;
}

static void task_finish(struct task *task, int result, struct error *err)
{
	struct exchange *req = task->request;

	task->request = NULL;
	if (task->done)
		task->done(task, result, err);
	if (req) {
		request_finish(req, result, err);
	} else if (result < 0 && !task->done) {
		log_error(LOG_ERR, err, "task");
	}
	task_free(task);
}

static void task_go_on(struct task *task)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	int r = TASK_NEXT;

	while (r == TASK_NEXT && task->steps[task->at])
		r = task->steps[task->at++](task, &err);
	if (r != TASK_WAIT)
		task_finish(task, r, &err);
}

void task_run(struct task *task)
{
	task_go_on(task);
}

void task_resume(struct task *task, int result, struct error *err)
{
	if (result < 0)
		task_finish(task, result, err);
	else
		task_go_on(task);
}

static void on_task_child(void *userdata, int status)
{
	struct task *task = userdata;

	task->status = status;
	task_resume(task, 0, NULL);
}

int task_child(struct task *task, const struct process_plan *plan, struct error *err)
{
	uint64_t patience_usec = task->slow ? TASK_SLOW_USEC : TASK_CHILD_USEC;
	int r;

	task->slow = false;
	r = child_start(task->daemon, plan, patience_usec, on_task_child, task, err);
	return r < 0 ? r : TASK_WAIT;
}

int task_child_good(struct task *task, const char *what, struct error *err)
{
	if (task->status == 0)
		return TASK_NEXT;
	return error_internal(err, -ECHILD, "%s: exit status %d", what, task->status);
}
