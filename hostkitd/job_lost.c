/*
 * A job died without saying how it ended: killed, out of memory, the machine went down. What it left is
 * put right before its project is free for the next one.
 *
 * deploy, rollback: its build is stopped; if `app` may have been moved, it goes back to the last good release
 * and the unit with it; a release that was being built is removed. provision: undone. delete: started again.
 */

#include <string.h>

#include "base/log.h"
#include "hostkitd/job.h"
#include "hostkitd/provision.h"
#include "hostkitd/systemd.h"
#include "hostkitd/unit.h"
#include "protocol/name.h"

#define DELETE_TRIES_MAX 3
#define STEP_RETRY "again"

static void lost_done(struct task *task, int result, struct error *err)
{
	struct daemon *daemon = task->daemon;
	_cleanup_error_ struct error row = ERROR_INIT;

	if (result < 0)
		log_error(LOG_ERR, err, "putting right what job %lld left",
			  (long long)task->job);
	if (state_job_end(daemon->state, task->job, JOB_STATE_FAILED, STATUS_FAILED,
			  "interrupted", &row) < 0)
		log_error(LOG_ERR, &row, "job %lld", (long long)task->job);
	job_settled(daemon, task->job, false);
}

static void on_systemd_any(void *userdata, int result, struct error *err)
{
	if (result < 0)
		log_error(LOG_DEBUG, err, "after a lost job, going on");
	task_resume(userdata, 0, NULL);
}

static int lost_stop_build(struct task *task, struct error *err)
{
	_cleanup_free_ char *unit = build_unit(task->job);
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "stop build");
	r = systemd_is_active(task->daemon->systemd, unit, err);
	if (r <= 0)
		return r;
	r = systemd_unit_job(task->daemon->systemd, "StopUnit", unit, on_systemd_any,
			     task, err);
	return r < 0 ? r : TASK_WAIT;
}

/* Where `app` should point: the live release if it proved itself, else the newest that did. */
static int lost_choose_release(struct task *task, char **ret_release, struct error *err)
{
	_cleanup_(release_record_done) struct release_record live = { 0 };
	struct state *state = task->daemon->state;
	const char *name = task->project->name;
	int r;

	if (*task->project->live) {
		r = state_release_get(state, name, task->project->live, &live, err);
		if (r < 0)
			return r;
		if (r > 0 && live.state == RELEASE_STATE_GOOD) {
			*ret_release = TAKE_PTR(live.name);
			return 0;
		}
	}
	r = state_release_good(state, name, "", ret_release, err);
	if (r == 0)
		*ret_release = strdup("");
	return r < 0 ? r : (*ret_release ? 0 : -ENOMEM);
}

static int lost_switch_back(struct task *task, struct error *err)
{
	int r;

	task->status = 0;
	if (!task->changed)
		return TASK_NEXT; /* never switched */
	r = lost_choose_release(task, &task->text, err);
	if (r < 0)
		return r;
	log_info("project %s goes back to release %s", task->project->name,
		 *task->text ? task->text : "(none)");
	const char *const argv[] = { "hostkit-home", "switch",
				     *task->text ? task->text : RELEASE_BOOTSTRAP, NULL };
	return home_run(task, argv, -1, err);
}

static int lost_restart(struct task *task, struct error *err)
{
	_cleanup_free_ char *unit = unit_name(task->project->name);
	int r;

	if (!task->changed)
		return TASK_NEXT;
	r = task_child_good(task, "hostkit-home switch", err);
	if (r < 0)
		return r;
	r = state_project_set_live(task->daemon->state, task->project->name, task->text,
				   err);
	if (r < 0 || !unit_is_wanted(task->project->runtime))
		return r;
	if (!unit)
		return error_internal(err, -ENOMEM, "restart");
	systemd_reset_failed(task->daemon->systemd, unit);
	r = systemd_unit_job(task->daemon->systemd,
			     *task->text ? "RestartUnit" : "StopUnit", unit,
			     on_systemd_any, task, err);
	return r < 0 ? r : TASK_WAIT;
}

struct building {
	const struct task *task;
	char *name;
};

static int find_building(const struct release_record *record, void *userdata)
{
	struct building *building = userdata;

	if (record->job != building->task->job || record->state != RELEASE_STATE_BUILDING)
		return 0;
	free(building->name);
	building->name = strdup(record->name);
	return building->name ? 0 : -ENOMEM;
}

static int lost_drop(struct task *task, struct error *err)
{
	struct building building = { .task = task };
	struct state *state = task->daemon->state;
	int r = state_release_each(state, task->project->name, find_building, &building,
				   err);

	free(task->text);
	task->text = building.name;
	task->status = 0;
	if (r < 0 || !task->text)
		return r;
	r = state_release_set_state(state, task->project->name, task->text,
				    RELEASE_STATE_FAILED, err);
	if (r < 0)
		return r;
	const char *const argv[] = { "hostkit-home", "drop", task->text, NULL };
	task->slow = true;
	return home_run(task, argv, -1, err);
}

static int lost_dropped(struct task *task, struct error *err)
{
	int r = task_child_good(task, "hostkit-home drop", err);

	if (r < 0 || !task->text)
		return r;
	return state_release_set_state(task->daemon->state, task->project->name,
				       task->text, RELEASE_STATE_GONE, err);
}

static const task_step *lost_steps(const struct job *job, const struct project *project)
{
	static const task_step deploy[] = { lost_stop_build, lost_switch_back,
					    lost_restart,    lost_drop,
					    lost_dropped,    NULL };
	static const task_step none[] = { NULL };

	switch ((enum job_kind)job->record.kind) {
	case JOB_KIND_DEPLOY:
	case JOB_KIND_ROLLBACK:
		return deploy;
	case JOB_KIND_PROVISION:
		/* of a project that was complete before, nothing is to be undone */
		return project->state == PROJECT_READY ? none : provision_undo_all();
	case JOB_KIND_DELETE:
	case JOB_KIND_RESTART: /* systemd goes on with it */
	case _JOB_KIND_N:
		break;
	}
	return none;
}

/* A delete that was interrupted is to be finished, but not for ever. */
static bool lost_try_again(struct daemon *daemon, const struct job *job)
{
	uint32_t tries = 0;

	if (job->record.kind != JOB_KIND_DELETE)
		return false;
	if (state_job_step_get(daemon->state, job->record.id, STEP_RETRY, &tries, NULL) >
	    0)
		tries++;
	if (tries >= DELETE_TRIES_MAX)
		return false;
	return state_job_step(daemon->state, job->record.id, STEP_RETRY, tries, NULL) >=
		       0 &&
	       state_job_wait(daemon->state, job->record.id, NULL) >= 0;
}

static int lost_begin(struct daemon *daemon, int64_t id, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(task_freep) struct task *task = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	int r = state_job_get(daemon->state, id, &job, err);

	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "no such row");
	if (lost_try_again(daemon, &job)) {
		job_settled(daemon, id, true);
		return 0;
	}
	r = state_project_get(daemon->state, job.record.project, &project, err);
	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "its project has no row");
	task = task_new(daemon, lost_steps(&job, project));
	if (!task)
		return error_internal(err, -ENOMEM, "task");
	task->project = TAKE_PTR(project);
	task->job = id;
	task->changed = job.switched;
	task->done = lost_done;
	task_run(TAKE_PTR(task));
	return 0;
}

void job_lost(struct daemon *daemon, int64_t id)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	if (lost_begin(daemon, id, &err) >= 0)
		return;
	log_error(LOG_ERR, &err, "job %lld was lost", (long long)id);
	if (state_job_end(daemon->state, id, JOB_STATE_FAILED, STATUS_FAILED,
			  "interrupted", NULL) < 0)
		log_warning("job %lld: its row still says that it runs", (long long)id);
	job_settled(daemon, id, false);
}
