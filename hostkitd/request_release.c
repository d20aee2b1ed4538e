/* Requests of a job about releases, the branch and the unit. */

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"
#include "hostkitd/release.h"
#include "hostkitd/systemd.h"
#include "hostkitd/unit.h"
#include "protocol/name.h"

int handle_RELEASE_CREATE(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	_cleanup_free_ char *newest = NULL, *name = NULL;
	struct state *state = req->daemon->state;
	int64_t now = time(NULL);
	int r = request_job(req, &job, &project, err);

	if (r < 0)
		return r;
	if (job.record.kind != JOB_KIND_DEPLOY)
		return error_internal(err, -EPERM, "job %lld is no deployment",
				      (long long)job.record.id);
	if (*job.record.release) { /* the answer was lost with the hostkitd before */
		wire_put_string(&req->results, job.record.release);
		return REQUEST_ANSWERED;
	}
	r = state_release_newest(state, project->name, &newest, err);
	if (r < 0)
		return r;
	name = release_name(now, newest);
	if (!name)
		return error_internal(err, -ENOMEM, "name of a release");

	const struct release_record record = {
		.name = name,
		.state = RELEASE_STATE_BUILDING,
		.commit = job.record.commit,
		.branch = project->branch,
		.by = job.record.by,
		.created_sec = now,
		.job = job.record.id,
	};
	r = state_release_add(state, project->name, &record, err);
	if (r >= 0)
		wire_put_string(&req->results, name);
	return r;
}

static bool is_removed(const struct release_record *release)
{
	return release->state == RELEASE_STATE_GONE ||
	       release->state == RELEASE_STATE_REMOVING;
}

/* The project of the job, and the release of it that the request names. */
static int request_release(struct exchange *req, struct job *ret_job,
			   struct project **ret_project,
			   struct release_record *ret_release, struct error *err)
{
	int r = request_job(req, ret_job, ret_project, err);

	if (r < 0)
		return r;
	r = state_release_get(req->daemon->state, (*ret_project)->name, req->args.release,
			      ret_release, err);
	if (r == 0)
		return error_user(err, -ENOENT, "RELEASE_NOT_FOUND",
				  "'%s' has no such release", (*ret_project)->name);
	return r < 0 ? r : 0;
}

static struct task *release_task(struct exchange *req, const task_step *steps,
				 struct project **project, int64_t job,
				 const char *release)
{
	struct task *task = task_new(req->daemon, steps);

	if (!task)
		return NULL;
	task->text = strdup(release);
	if (!task->text)
		return task_free(task);
	task->request = req;
	task->project = TAKE_PTR(*project);
	task->job = job;
	return task;
}

/* -- switch -- */

static int switch_link(struct task *task, struct error *err)
{
	const char *const argv[] = { "hostkit-home", "switch",
				     *task->text ? task->text : RELEASE_BOOTSTRAP, NULL };
	/* written down first: whoever clears up after a crash then knows that `app` may have moved */
	int r = state_job_set_switched(task->daemon->state, task->job, true, err);

	return r < 0 ? r : home_run(task, argv, -1, err);
}

static int switch_record(struct task *task, struct error *err)
{
	int r = task_child_good(task, "hostkit-home switch", err);

	return r < 0 ? r
		     : state_project_set_live(task->daemon->state, task->project->name,
					      task->text, err);
}

int handle_RELEASE_SWITCH(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { switch_link, switch_record, NULL };
	_cleanup_(release_record_done) struct release_record release = { 0 };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	struct task *task;
	int r;

	if (*req->args.release == '\0')
		r = request_job(req, &job, &project, err);
	else
		r = request_release(req, &job, &project, &release, err);
	if (r < 0)
		return r;
	if (*req->args.release && is_removed(&release))
		return error_user(err, -ENOENT, "RELEASE_NOT_FOUND",
				  "release %s was removed", release.name);
	task = release_task(req, steps, &project, job.record.id, req->args.release);
	if (!task)
		return error_internal(err, -ENOMEM, "switch");
	task_run(task);
	return REQUEST_DEFERRED;
}

int handle_RELEASE_MARK(struct exchange *req, struct error *err)
{
	_cleanup_(release_record_done) struct release_record release = { 0 };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	int r = request_release(req, &job, &project, &release, err);

	if (r < 0)
		return r;
	if (is_removed(&release))
		return error_internal(err, -EPERM, "release %s is gone", release.name);
	return state_release_set_state(req->daemon->state, project->name, release.name,
				       req->args.value, err);
}

/* -- drop and prune -- */

static int drop_directory(struct task *task, struct error *err)
{
	const char *const argv[] = { "hostkit-home", "drop", task->text, NULL };

	task->slow = true;
	return home_run(task, argv, -1, err);
}

static int drop_record(struct task *task, struct error *err)
{
	int r = task_child_good(task, "hostkit-home drop", err);

	return r < 0 ? r
		     : state_release_set_state(task->daemon->state, task->project->name,
					       task->text, RELEASE_STATE_GONE, err);
}

int handle_RELEASE_DROP(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { drop_directory, drop_record, NULL };
	_cleanup_(release_record_done) struct release_record release = { 0 };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	struct task *task;
	int r = request_release(req, &job, &project, &release, err);

	if (r < 0)
		return r;
	if (release.live)
		return error_internal(err, -EBUSY, "release %s is live", release.name);
	task = release_task(req, steps, &project, job.record.id, release.name);
	if (!task)
		return error_internal(err, -ENOMEM, "drop");
	task_run(task);
	return REQUEST_DEFERRED;
}

struct releases {
	struct release_record *records;
	size_t count, allocated;
};

static void releases_done(struct releases *releases)
{
	for (size_t i = 0; i < releases->count; i++)
		release_record_done(&releases->records[i]);
	free(releases->records);
}

static int collect_release(const struct release_record *record, void *userdata)
{
	struct releases *all = userdata;

	if (record->state == RELEASE_STATE_GONE)
		return 0;
	if (all->count == all->allocated) {
		size_t more = all->allocated ? 2 * all->allocated : 16;
		struct release_record *grown =
			reallocarray(all->records, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		all->records = grown;
		all->allocated = more;
	}
	all->records[all->count] = (struct release_record){
		.name = strdup(record->name),
		.state = record->state,
		.live = record->live,
	};
	return all->records[all->count++].name ? 0 : -ENOMEM;
}

/* The names to remove, NULL-terminated; *ret_list NULL when there are none. */
static int prune_list(struct daemon *daemon, const char *project, char ***ret_list,
		      struct error *err)
{
	_cleanup_(releases_done) struct releases all = { 0 };
	_cleanup_free_ bool *remove = NULL;
	char **list;
	size_t count, n = 0;
	int r = state_release_each(daemon->state, project, collect_release, &all, err);

	if (r < 0 || all.count == 0)
		return r;
	remove = calloc(all.count, sizeof(*remove));
	if (!remove)
		return -ENOMEM;
	count = release_choose(all.records, all.count, daemon->settings->releases_keep,
			       remove);
	if (count == 0)
		return 0;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < all.count; i++)
		if (remove[i])
			list[n++] = TAKE_PTR(all.records[i].name);
	*ret_list = list;
	return 0;
}

static int prune_mark(struct task *task, uint32_t state, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && task->list[i]; i++)
		r = state_release_set_state(task->daemon->state, task->project->name,
					    task->list[i], state, err);
	return r;
}

/* Written down before: the project is free meanwhile, and a rollback must not choose what is half removed. */
static int prune_begin(struct task *task, struct error *err)
{
	return prune_mark(task, RELEASE_STATE_REMOVING, err);
}

static int prune_run(struct task *task, struct error *err)
{
	_cleanup_free_ const char **argv = NULL;
	size_t count = 0;

	while (task->list[count])
		count++;
	argv = calloc(count + 3, sizeof(*argv));
	if (!argv)
		return error_internal(err, -ENOMEM, "prune");
	argv[0] = "hostkit-home";
	argv[1] = "prune";
	for (size_t i = 0; i < count; i++)
		argv[2 + i] = task->list[i];
	task->slow = true;
	return home_run(task, argv, -1, err);
}

static int prune_record(struct task *task, struct error *err)
{
	int r = task_child_good(task, "hostkit-home prune", err);

	return r < 0 ? r : prune_mark(task, RELEASE_STATE_GONE, err);
}

int handle_RELEASE_PRUNE(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { prune_begin, prune_run, prune_record, NULL };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	char **list = NULL;
	struct task *task;
	int r = request_job(req, &job, &project, err);

	if (r >= 0)
		r = prune_list(req->daemon, project->name, &list, err);
	if (r < 0 || !list)
		return r;
	task = release_task(req, steps, &project, job.record.id, "");
	if (!task) {
		for (size_t i = 0; list[i]; i++)
			free(list[i]);
		free(list);
		return error_internal(err, -ENOMEM, "prune");
	}
	task->list = list;
	task_run(task);
	return REQUEST_DEFERRED;
}

/* -- branch -- */

static int ref_update(struct task *task, struct error *err)
{
	_cleanup_free_ char *path = repository_path(task->project->name);
	_cleanup_(job_done) struct job job = { 0 };
	int r = state_job_get(task->daemon->state, task->job, &job, err);

	if (r <= 0 || !path)
		return r < 0 ? r : error_internal(err, -ESTALE, "job has no row");
	const char *const argv[] = { "hostkit-receive", "--update-ref",    path, job.ref,
				     job.old_commit,    job.record.commit, NULL };
	return repository_run(task, argv, err);
}

static int ref_updated(struct task *task, struct error *err)
{
	return task_child_good(task, "hostkit-receive --update-ref", err);
}

int handle_REF_UPDATE(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { ref_update, ref_updated, NULL };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	struct task *task;
	int r = request_job(req, &job, &project, err);

	if (r < 0)
		return r;
	if (job.record.kind != JOB_KIND_DEPLOY)
		return error_internal(err, -EPERM, "job %lld is no deployment",
				      (long long)job.record.id);
	task = release_task(req, steps, &project, job.record.id, "");
	if (!task)
		return error_internal(err, -ENOMEM, "update the branch");
	task_run(task);
	return REQUEST_DEFERRED;
}

/* -- unit -- */

static void on_unit(void *userdata, int result, struct error *err)
{
	struct task *task = userdata;
	_cleanup_error_ struct error why = ERROR_INIT;

	if (result >= 0) {
		task_resume(task, 0, NULL);
		return;
	}
	log_error(LOG_INFO, err, "unit of %s", task->project->name);
	error_user(&why, result, "SERVICE_START_FAILED",
		   "the service of '%s' did not start", task->project->name);
	task_resume(task, result, &why);
}

/* Whether it comes back after a reboot, as [Install] in the unit file has it; asking systemd takes longer. */
static bool unit_is_enabled(const char *unit)
{
	_cleanup_free_ char *link =
		str_format("/etc/systemd/system/multi-user.target.wants/%s", unit);
	struct stat st;

	return link && lstat(link, &st) == 0;
}

static int unit_enable(struct task *task, struct error *err)
{
	_cleanup_free_ char *unit = unit_name(task->project->name);
	bool on = task->value != UNIT_ACTION_STOP;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "unit");
	if (unit_is_enabled(unit) == on)
		return TASK_NEXT;
	r = systemd_enable(task->daemon->systemd, unit, on, on_unit, task, err);
	return r < 0 ? r : TASK_WAIT;
}

static int unit_act(struct task *task, struct error *err)
{
	_cleanup_free_ char *unit = unit_name(task->project->name);
	struct systemd *systemd = task->daemon->systemd;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "unit");
	/* what failed earlier must not count against what starts now */
	if (task->value != UNIT_ACTION_STOP)
		systemd_reset_failed(systemd, unit);
	r = systemd_unit_job(systemd,
			     task->value == UNIT_ACTION_STOP ? "StopUnit" : "RestartUnit",
			     unit, on_unit, task, err);
	return r < 0 ? r : TASK_WAIT;
}

int handle_UNIT_CONTROL(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { unit_enable, unit_act, NULL };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	struct task *task;
	int r = request_job(req, &job, &project, err);

	if (r < 0 || !unit_is_wanted(project->runtime))
		return r;
	task = release_task(req, steps, &project, job.record.id, "");
	if (!task)
		return error_internal(err, -ENOMEM, "unit");
	task->value = req->args.value;
	task_run(task);
	return REQUEST_DEFERRED;
}

int handle_UNIT_STATE(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(unit_record_done) struct unit_record record = { 0 };
	_cleanup_(job_done) struct job job = { 0 };
	_cleanup_free_ char *unit = NULL;
	int r = request_job(req, &job, &project, err);

	if (r < 0)
		return r;
	unit = unit_name(project->name);
	if (!unit)
		return error_internal(err, -ENOMEM, "unit");
	if (unit_is_wanted(project->runtime))
		r = systemd_unit_record(req->daemon->systemd, unit, &record, err);
	if (r >= 0)
		unit_record_put(&req->results, &record);
	return r;
}
