/* Requests of a job about itself. */

#include <string.h>

#include <systemd/sd-login.h>

#include "base/escape.h"
#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"
#include "hostkitd/job.h"
#include "hostkitd/open.h"
#include "hostkitd/provision.h"

/* A job whose row says that it has ended, and whose unit does not know yet. */
static int hello_over(struct exchange *req, struct error *err)
{
	_cleanup_(job_done) struct job job = { 0 };
	int r = state_job_get(req->daemon->state, req->args.job, &job, err);

	if (r < 0)
		return r;
	if (r == 0 || job.record.state == JOB_STATE_WAITING ||
	    job.record.state == JOB_STATE_RUNNING)
		return error_user(err, -ENOENT, "JOB_NOT_FOUND", "job %lld does not run",
				  (long long)req->args.job);
	return job_take_up_over(req->daemon, &job, err);
}

int handle_JOB_HELLO(struct exchange *req, struct error *err)
{
	_cleanup_free_ char *unit = NULL, *wanted = job_unit(req->args.job);
	int r = sd_peer_get_unit(connection_fd(req->conn), &unit);

	if (r < 0 || !wanted)
		return error_internal(err, r < 0 ? r : -ENOMEM, "unit of a peer");
	if (!str_equal(unit, wanted))
		return error_user(err, -EACCES, "ACCESS_DENIED",
				  "a process of %s is not job %lld", unit,
				  (long long)req->args.job);
	r = job_find(req->daemon, req->args.job) ? 0 : hello_over(req, err);
	if (r < 0)
		return r;
	connection_set_job(req->conn, req->args.job);
	return REQUEST_ANSWERED;
}

int handle_JOB_INFO(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	const struct settings *settings = req->daemon->settings;
	_cleanup_free_ char *url = NULL;
	int r = state_job_get(req->daemon->state, connection_job(req->conn), &job, err);

	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "job has no row");
	/* the end of a delete that is done again has no project any more */
	r = state_project_get(req->daemon->state, job.record.project, &project, err);
	if (r < 0)
		return r;
	url = project_url(req->daemon, job.record.project);
	if (!url)
		return error_internal(err, -ENOMEM, "job");

	const struct job_details details = {
		.runtime = project ? project->runtime : (uint32_t)RUNTIME_STATIC,
		.port = project ? project->port : 0,
		.branch = project ? project->branch : NULL,
		.live_release = project ? project->live : NULL,
		.old_commit = job.old_commit,
		.target = job.target,
		.url = url,
		.push_options = job.push_options,
		.health_timeout_sec = settings->deploy_health_timeout_sec,
		.output_max_bytes = settings->build_output_bytes,
	};
	job_record_put(&req->results, &job.record);
	job_details_put(&req->results, &details);
	return REQUEST_ANSWERED;
}

int handle_JOB_STEP(struct exchange *req, struct error *err)
{
	return state_job_step(req->daemon->state, connection_job(req->conn),
			      req->args.step, req->args.value, err);
}

int handle_JOB_VIEWERS(struct exchange *req, struct error *err)
{
	int fd, r = job_viewers(req->daemon, connection_job(req->conn), &fd, err);

	if (r < 0)
		return r;
	request_add_fd(req, fd);
	return REQUEST_ANSWERED;
}

int handle_JOB_LOG_OPEN(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	int fd = request_job(req, &job, &project, err);

	if (fd >= 0)
		fd = project_log_open(project->name, req->args.value, err);
	if (fd < 0)
		return fd;
	request_add_fd(req, fd);
	return REQUEST_ANSWERED;
}

/* -- provisioning -- */

static void provision_done(struct task *task, int result, struct error *err)
{
	(void)err;
	if (result < 0)
		return;
	wire_put_bool(&task->request_results->results, task->changed);
	wire_put_string(&task->request_results->results, task->note);
}

int handle_PROVISION_STEP(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	enum step_action action = (enum step_action)req->args.value2;
	struct task *task;
	int r = state_job_get(req->daemon->state, connection_job(req->conn), &job, err);

	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "job has no row");
	if (job.record.kind != JOB_KIND_PROVISION && job.record.kind != JOB_KIND_DELETE)
		return error_internal(err, -EPERM, "job %lld is no provision",
				      (long long)job.record.id);
	if (job.record.kind == JOB_KIND_DELETE && action == STEP_ACTION_DO)
		return error_internal(err, -EPERM, "job %lld deletes",
				      (long long)job.record.id);
	r = state_project_get(req->daemon->state, job.record.project, &project, err);
	if (r < 0)
		return r;
	/* what a provision repairs is somebody's, with all that has come since */
	if (project && project->state == PROJECT_READY && action == STEP_ACTION_UNDO &&
	    job.record.kind != JOB_KIND_DELETE)
		return error_internal(err, -EPERM, "project %s is complete",
				      project->name);
	if (!project && action == STEP_ACTION_DO)
		return error_internal(err, -ESTALE, "project %s has no row",
				      job.record.project);
	if (!project) { /* all of it is undone */
		wire_put_bool(&req->results, false);
		wire_put_string(&req->results, "");
		return REQUEST_ANSWERED;
	}

	task = task_new(req->daemon,
			provision_steps((enum provision_step)req->args.value, action));
	if (!task)
		return error_internal(err, -ENOMEM, "provision");
	task->request = task->request_results = req;
	task->project = TAKE_PTR(project);
	task->job = job.record.id;
	task->done = provision_done;
	task_run(task);
	return REQUEST_DEFERRED;
}

/* -- the end -- */

static int end_job(struct daemon *daemon, int64_t id, uint32_t status,
		   const char *message, struct error *err)
{
	_cleanup_free_ char *shown = escape_text(message, 200);
	uint32_t end = status == STATUS_DONE        ? JOB_STATE_SUCCEEDED
		       : status == STATUS_CANCELLED ? JOB_STATE_CANCELLED
						    : JOB_STATE_FAILED;
	int r = state_job_end(daemon->state, id, end, status, message, err);

	if (r < 0)
		return r;
	log_info("job %lld: %s%s%s", (long long)id, job_state_name(end),
		 shown && *shown ? ": " : "", shown ? shown : "");
	job_ended(daemon, id);
	return 0;
}

/* How a job wants to have ended. */
struct ending {
	uint32_t status;
	char *message;
};

static struct ending *ending_free(struct ending *ending)
{
	if (ending)
		free(ending->message);
	free(ending);
	return NULL;
}
DEFINE_CLEANUP(struct ending *, ending_free);

static void undone(struct task *task, int result, struct error *err)
{
	_cleanup_(ending_freep) struct ending *ending = task->userdata;
	_cleanup_error_ struct error end_err = ERROR_INIT;

	if (result < 0)
		log_error(LOG_ERR, err, "undo what is left of project %s",
			  task->project->name);
	if (end_job(task->daemon, task->job, ending->status, ending->message, &end_err) <
	    0)
		log_error(LOG_ERR, &end_err, "end of job %lld", (long long)task->job);
}

/*
 * A provision that failed may have left something its job could not undo. The job has not ended before that is
 * done: a crash in between finds it running, and nobody else begins with the project. Returns REQUEST_DEFERRED, 0
 * when there is nothing to undo, or negative.
 */
static int undo_rest(struct exchange *req, const struct job *job, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(ending_freep) struct ending *ending = NULL;
	_cleanup_(task_freep) struct task *task = NULL;
	int r = state_project_get(req->daemon->state, job->record.project, &project, err);

	if (r <= 0 || project->state == PROJECT_READY)
		return r < 0 ? r : 0;
	task = task_new(req->daemon, provision_undo_all());
	ending = calloc(1, sizeof(*ending));
	if (ending)
		*ending = (struct ending){ req->args.value, strdup(req->args.message) };
	if (!task || !ending || !ending->message)
		return error_internal(err, -ENOMEM, "undo");
	task->project = TAKE_PTR(project);
	task->job = job->record.id;
	task->request = req;
	task->userdata = TAKE_PTR(ending);
	task->done = undone;
	task_run(TAKE_PTR(task));
	return REQUEST_DEFERRED;
}

int handle_JOB_END(struct exchange *req, struct error *err)
{
	_cleanup_(job_done) struct job job = { 0 };
	int64_t id = connection_job(req->conn);
	int r = state_job_get(req->daemon->state, id, &job, err);

	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "job has no row");
	if (job_is_over(req->daemon, id))
		return REQUEST_ANSWERED; /* said before, and the answer was lost */
	if (job.record.kind == JOB_KIND_PROVISION && req->args.value != STATUS_DONE) {
		r = undo_rest(req, &job, err);
		if (r != 0)
			return r;
	}
	return end_job(req->daemon, id, req->args.value, req->args.message, err);
}
