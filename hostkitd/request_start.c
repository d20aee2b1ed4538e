/* Requests that begin a job, and those that look at jobs and releases. */

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/account.h"
#include "hostkitd/internal.h"
#include "hostkitd/job.h"
#include "hostkitd/unit.h"
#include "protocol/name.h"

#define JOB_LIST_MAX 1000

/* One job per project at a time: whoever asks for another is told who is at work. */
static int refuse_second_job(struct exchange *req, const char *project, struct error *err)
{
	const struct job_run *run = job_of_project(req->daemon, project);

	if (!run)
		return 0;
	error_user(err, -EBUSY, "PROJECT_LOCKED", "job %lld (%s) is at work on '%s'",
		   (long long)job_run_id(run), job_kind_name(job_run_kind(run)), project);
	error_suggest(err, "jobs %s", project);
	return -EBUSY;
}

static int start_job(struct exchange *req, struct job *job, struct error *err)
{
	int viewer;
	int r;

	job->record.by = connection_principal(req->conn)->name;
	r = job_enqueue(req->daemon, job, &viewer, err);
	if (r < 0)
		return r;
	wire_put_i64(&req->results, job->record.id);
	request_add_fd(req, viewer);
	return REQUEST_ANSWERED;
}

/* A name that a user of the machine has cannot become a project's. */
static int refuse_existing_user(const char *name, struct error *err)
{
	struct account account;
	int r = account_find(name, &account, NULL);

	if (r < 0)
		return error_internal(err, r, "user %s", name);
	if (r > 0)
		return error_user(err, -EEXIST, "PROJECT_EXISTS",
				  "there is a user '%s' on this machine already", name);
	return 0;
}

int handle_START_PROVISION(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *existing = NULL;
	struct job job = {
		.record = { .kind = JOB_KIND_PROVISION, .project = req->args.project },
	};
	struct state *state = req->daemon->state;
	int r = request_project(req, ACTION_PROVISION, NULL, false, NULL, err);

	if (r >= 0)
		r = name_check_project(req->args.project, err);
	if (r >= 0)
		r = state_project_get(state, req->args.project, &existing, err);
	if (r < 0)
		return r;
	if (existing && existing->runtime != req->args.value)
		return error_user(err, -EEXIST, "PROJECT_EXISTS",
				  "the project '%s' exists already, with the runtime %s",
				  existing->name, runtime_name(existing->runtime));
	if (!existing)
		r = refuse_existing_user(req->args.project, err);
	if (r >= 0)
		r = refuse_second_job(req, req->args.project, err);
	if (r >= 0 && existing && existing->state == PROJECT_DELETING) {
		error_user(err, -EBUSY, "PROJECT_LOCKED",
			   "the project '%s' is half deleted", existing->name);
		error_suggest(err, "project delete %s --confirm %s", existing->name,
			      existing->name);
		return -EBUSY;
	}
	if (r >= 0 && existing) /* the job adds what is missing */
		return start_job(req, &job, err);
	if (r >= 0)
		r = state_project_add(state, req->args.project, req->args.value,
				      connection_principal(req->conn)->name, err);
	if (r < 0)
		return r;
	r = start_job(req, &job, err);
	if (r < 0 &&
	    state_project_remove(state, req->args.project, 0, NULL, NULL, NULL) < 0)
		log_warning("project %s has a row but no job", req->args.project);
	return r;
}

int handle_START_DELETE(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	struct job job = {
		.record = { .kind = JOB_KIND_DELETE, .project = req->args.project },
	};
	int r = request_project(req, ACTION_DELETE, req->args.project, false, &project,
				err);

	if (r >= 0)
		r = refuse_second_job(req, project->name, err);
	return r < 0 ? r : start_job(req, &job, err);
}

/* Which release to go back to: the one named, or the last good one before the live one. */
static int choose_target(struct exchange *req, const struct project *project,
			 char **ret_target, struct error *err)
{
	_cleanup_(release_record_done) struct release_record record = { 0 };
	const char *wanted = req->args.release;
	struct state *state = req->daemon->state;
	int r;

	if (*wanted == '\0') {
		r = *project->live ? state_release_good(state, project->name,
							project->live, ret_target, err)
				   : 0;
		if (r != 0)
			return r;
		error_user(err, -ENOENT, "NO_PREVIOUS_RELEASE",
			   "'%s' has no earlier release to go back to", project->name);
		error_suggest(err, "releases %s", project->name);
		return -ENOENT;
	}
	r = name_is_release(wanted)
		    ? state_release_get(state, project->name, wanted, &record, err)
		    : 0;
	if (r < 0)
		return r;
	if (r == 0 || record.state != RELEASE_STATE_GOOD) {
		error_user(err, -ENOENT, "RELEASE_NOT_FOUND",
			   "'%s' has no release of that name to go back to",
			   project->name);
		error_suggest(err, "releases %s", project->name);
		return -ENOENT;
	}
	if (record.live)
		return error_user(err, -EALREADY, "ALREADY_CURRENT",
				  "release %s is the live one already", wanted);
	*ret_target = TAKE_PTR(record.name);
	return 0;
}

int handle_START_ROLLBACK(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_free_ char *target = NULL;
	struct job job = {
		.record = { .kind = JOB_KIND_ROLLBACK, .project = req->args.project },
	};
	int r = request_project(req, ACTION_ROLLBACK, req->args.project, true, &project,
				err);

	if (r >= 0)
		r = refuse_second_job(req, project->name, err);
	if (r >= 0)
		r = choose_target(req, project, &target, err);
	if (r < 0)
		return r;
	job.target = target;
	return start_job(req, &job, err);
}

/* There must be something to restart. */
static int check_restart(const struct project *project, struct error *err)
{
	if (!unit_is_wanted(project->runtime))
		return error_user(err, -EINVAL, "INVALID_OPTIONS",
				  "'%s' is static: it has no service to restart",
				  project->name);
	if (*project->live)
		return 0;
	error_user(err, -ENOENT, "RELEASE_NOT_FOUND", "'%s' has no release yet",
		   project->name);
	error_suggest(err, "git push hostkit %s", project->branch);
	return -ENOENT;
}

int handle_PROJECT_RESTART(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	struct job job = {
		.record = { .kind = JOB_KIND_RESTART, .project = req->args.project },
	};
	int r = request_project(req, ACTION_RESTART, req->args.project, true, &project,
				err);

	if (r >= 0)
		r = check_restart(project, err);
	if (r >= 0)
		r = refuse_second_job(req, project->name, err);
	return r < 0 ? r : start_job(req, &job, err);
}

/* The receiver has judged the ref, but it runs as the project's user, and only one branch deploys. */
static int push_check_ref(const struct exchange *req, const struct project *project,
			  struct error *err)
{
	_cleanup_free_ char *ref = str_format("refs/heads/%s", project->branch);

	if (!ref)
		return error_internal(err, -ENOMEM, "push");
	if (!str_equal(req->args.ref, ref))
		return error_internal(err, -EPERM, "push to '%s' of '%s', not to '%s'",
				      req->args.ref, project->name, ref);
	return 0;
}

/* A push waits for another push, but not for anything else that is at work on the project. */
int handle_PUSH_ACCEPT(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	const char *name = connection_project(req->conn);
	const struct job_run *run = job_of_project(req->daemon, name);
	struct job job = {
		.record = { .kind = JOB_KIND_DEPLOY, .commit = req->args.commit },
		.ref = req->args.ref,
		.old_commit = req->args.old_commit,
		.push_options = req->args.value,
	};
	int r = request_project(req, ACTION_PUSH, name, true, &project, err);

	if (r >= 0)
		r = push_check_ref(req, project, err);
	if (r < 0)
		return r;
	if (run && job_run_kind(run) == JOB_KIND_DELETE)
		return refuse_second_job(req, name, err);
	job.record.project = project->name;
	r = start_job(req, &job, err);
	if (r >= 0)
		job_supersede(req->daemon, name, job.record.id);
	return r;
}

/* -- lists -- */

struct list {
	struct exchange *req;
	struct strbuf records;
	uint32_t count;
};

static int put_release(const struct release_record *record, void *userdata)
{
	struct list *list = userdata;

	release_record_put(&list->records, record);
	list->count++;
	return 0;
}

int handle_RELEASE_LIST(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	struct list list = { .req = req };
	int r = request_project(req, ACTION_RELEASE_SEE, req->args.project, false,
				&project, err);

	if (r >= 0)
		r = state_release_each(req->daemon->state, project->name, put_release,
				       &list, err);
	if (r >= 0)
		r = request_add_list(req, list.count, &list.records, err);
	strbuf_done(&list.records);
	return r;
}

static int put_job(const struct job *job, void *userdata)
{
	struct list *list = userdata;

	if (!authorize_sees(connection_principal(list->req->conn), job->record.project))
		return 0;
	job_record_put(&list->records, &job->record);
	list->count++;
	return 0;
}

int handle_JOB_LIST(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	const struct principal *p = connection_principal(req->conn);
	struct list list = { .req = req };
	const char *name = *req->args.project ? req->args.project : NULL;
	uint32_t limit = req->args.value;
	int r;

	/* whoever is bound to a project asks for it */
	if (!name && *p->project)
		name = p->project;
	if (limit == 0 || limit > JOB_LIST_MAX)
		limit = JOB_LIST_MAX;
	r = request_project(req, ACTION_JOB_SEE, name, false, &project, err);
	if (r >= 0)
		r = state_job_each(req->daemon->state, name, -1, limit, put_job, &list,
				   err);
	if (r >= 0)
		r = request_add_list(req, list.count, &list.records, err);
	strbuf_done(&list.records);
	return r;
}

/* As with projects: a job that is not the caller's answers as one that does not exist. */
int handle_JOB_LOG(struct exchange *req, struct error *err)
{
	_cleanup_(job_done) struct job job = { 0 };
	_cleanup_free_ char *path =
		str_format(DAEMON_STATE_DIR "/jobs/%lld.log", (long long)req->args.job);
	const struct principal *p = connection_principal(req->conn);
	int fd, r = request_project(req, ACTION_JOB_SEE, NULL, false, NULL, err);

	if (r >= 0)
		r = state_job_get(req->daemon->state, req->args.job, &job, err);
	if (r < 0)
		return r;
	if (r == 0 || !authorize_sees(p, job.record.project)) {
		error_user(err, -ENOENT, "JOB_NOT_FOUND",
			   "there is no job %lld, or it is not yours",
			   (long long)req->args.job);
		error_suggest(err, "jobs");
		return -ENOENT;
	}
	if (!path)
		return error_internal(err, -ENOMEM, "log");
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* it waits */
	if (fd < 0)
		return error_internal(err, -errno, "log %s", path);
	request_add_fd(req, fd);
	return REQUEST_ANSWERED;
}
