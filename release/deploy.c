/* Deployment, rollback and restart: the same way to a live release, from different ends. */
#include <string.h>

#include "base/log.h"
#include "release/applog.h"
#include "release/build.h"
#include "release/health.h"
#include "release/job.h"

struct deployment {
	char *release;        /* what is to be live; owned */
	const char *previous; /* what was, "" if nothing */
	bool started;         /* the unit may run the new release */
	struct applog applog;
};

static struct deployment *deployment_of(struct job *job)
{
	return job->data;
}

static bool has_unit(const struct job *job)
{
	return job->details.runtime != RUNTIME_STATIC;
}

static int deployment_new(struct job *job, char *release, struct error *err)
{
	struct deployment *d = calloc(1, sizeof(*d));

	if (!d) {
		free(release);
		return error_internal(err, -ENOMEM, "deployment");
	}
	for (size_t i = 0; i < _LOG_KIND_N; i++)
		d->applog.files[i].fd = -EBADF;
	d->release = release;
	d->previous = job->details.live_release;
	job->data = d;
	return 0;
}

static void deployment_done(struct job *job)
{
	struct deployment *d = deployment_of(job);

	if (!d)
		return;
	applog_done(&d->applog);
	free(d->release);
	free(d);
	job->data = NULL;
}

static int create_run(struct job *job, _unused_ const struct job_step *step,
		      struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	struct deployment *d = deployment_of(job);
	int r = job_call(job, REQUEST_RELEASE_CREATE, NULL, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	d->release = wire_string(&answer.body, REQUEST_NAME_MAX);
	r = wire_end(&answer.body);
	return r < 0 ? error_internal(err, r, "answer to RELEASE_CREATE") : 0;
}

/* A release that failed is kept for a look at it; one that nobody wants any more is not. */
static int create_undo(struct job *job, _unused_ const struct job_step *step,
		       struct error *err)
{
	struct deployment *d = deployment_of(job);
	int r;

	if (!d->release)
		return 0; /* there was none to undo */
	r = job_mark(job, d->release, RELEASE_STATE_FAILED, err);
	if (r >= 0 && job->cancelled)
		r = job_do_string(job, REQUEST_RELEASE_DROP, d->release, err);
	return r;
}

static int build_step_run(struct job *job, _unused_ const struct job_step *step,
			  struct error *err)
{
	return build_run(job, deployment_of(job)->release, err);
}

static int switch_run(struct job *job, _unused_ const struct job_step *step,
		      struct error *err)
{
	struct deployment *d = deployment_of(job);

	output_step(job->output, "Switching to release %s", d->release);
	return job_do_string(job, REQUEST_RELEASE_SWITCH, d->release, err);
}

/* The old release runs again: wait until that is seen, too. */
static int restart_previous(struct job *job, struct error *err)
{
	struct deployment *d = deployment_of(job);
	uint64_t elapsed_usec;
	int r;

	if (*d->previous == '\0') {
		output_detail(
			job->output,
			"there is no earlier release: %s stays stopped until the next push",
			job->record.project);
		return job_do_u32(job, REQUEST_UNIT_CONTROL, UNIT_ACTION_STOP, err);
	}
	r = job_do_u32(job, REQUEST_UNIT_CONTROL, UNIT_ACTION_RESTART, err);
	if (r >= 0)
		r = health_see(job, &elapsed_usec, err);
	if (r < 0)
		return error_wrap(err, r, "release %s did not come back", d->previous);
	output_detail(job->output, "release %s is live again, healthy after %.1f s",
		      d->previous, (double)elapsed_usec / 1e6);
	return 0;
}

static int switch_undo(struct job *job, _unused_ const struct job_step *step,
		       struct error *err)
{
	struct deployment *d = deployment_of(job);
	int r;

	if (*d->previous)
		output_step(job->output, "Going back to release %s", d->previous);
	else
		output_step(job->output, "Taking release %s back", d->release);
	r = job_do_string(job, REQUEST_RELEASE_SWITCH, d->previous, err);
	if (r >= 0 && d->started)
		r = restart_previous(job, err);
	return r;
}

static int start_run(struct job *job, _unused_ const struct job_step *step,
		     struct error *err)
{
	struct deployment *d = deployment_of(job);
	int r;

	if (!has_unit(job))
		return 0;
	output_step(job->output, "Starting %s", job->record.project);
	applog_begin(&d->applog, job);
	d->started = true;
	r = job_do_u32(job, REQUEST_UNIT_CONTROL, UNIT_ACTION_RESTART, err);
	if (r < 0)
		applog_show(&d->applog, job);
	return r;
}

static int health_run(struct job *job, _unused_ const struct job_step *step,
		      struct error *err)
{
	struct deployment *d = deployment_of(job);
	uint64_t elapsed_usec;
	int r;

	if (!has_unit(job))
		return 0;
	r = health_see(job, &elapsed_usec, err);
	if (r >= 0)
		output_detail(job->output, "healthy after %.1f s",
			      (double)elapsed_usec / 1e6);
	else if (r != -ECANCELED)
		applog_show(&d->applog, job);
	return r;
}

static int record_run(struct job *job, _unused_ const struct job_step *step,
		      struct error *err)
{
	return job_mark(job, deployment_of(job)->release, RELEASE_STATE_GOOD, err);
}

static int ref_run(struct job *job, _unused_ const struct job_step *step,
		   struct error *err)
{
	return job_do(job, REQUEST_REF_UPDATE, NULL, err);
}

static int deploy_begin(struct job *job, struct error *err)
{
	return deployment_new(job, NULL, err);
}

static void deploy_report(struct job *job)
{
	const struct deployment *d = deployment_of(job);

	output_result(job->output, "%s is live: %s", job->record.project,
		      job->details.url);
	output_detail(job->output, "release %s, commit %.12s", d->release,
		      job->record.commit);
	if (*d->previous)
		output_detail(job->output, "to go back: ssh hostkit rollback %s",
			      job->record.project);
}

static int deploy_tidy(struct job *job, struct error *err)
{
	return job_do(job, REQUEST_RELEASE_PRUNE, NULL, err);
}

static const struct job_step deploy_steps[] = {
	{ .name = "release", .run = create_run, .undo = create_undo },
	{ .name = "build", .run = build_step_run },
	{ .name = "switch", .run = switch_run, .undo = switch_undo },
	{ .name = "start", .run = start_run },
	{ .name = "health", .run = health_run },
	{ .name = "record", .run = record_run },
	{ .name = "ref", .run = ref_run },
};

const struct job_plan deploy_plan = {
	.begin = deploy_begin,
	.steps = deploy_steps,
	.step_count = ARRAY_SIZE(deploy_steps),
	.report = deploy_report,
	.tidy = deploy_tidy,
	.done = deployment_done,
};

/* With a release that is there already. */
static int begin_with(struct job *job, const char *name, struct error *err)
{
	char *release = strdup(name);

	if (!release)
		return error_internal(err, -ENOMEM, "release");
	return deployment_new(job, release, err);
}

static int rollback_begin(struct job *job, struct error *err)
{
	return begin_with(job, job->details.target, err);
}

static void rollback_report(struct job *job)
{
	const struct deployment *d = deployment_of(job);

	output_result(job->output, "%s is live with release %s: %s", job->record.project,
		      d->release, job->details.url);
	output_detail(job->output, "to undo this: ssh hostkit rollback %s --to %s",
		      job->record.project, d->previous);
}

static const struct job_step rollback_steps[] = {
	{ .name = "switch", .run = switch_run, .undo = switch_undo },
	{ .name = "start", .run = start_run },
	{ .name = "health", .run = health_run },
	{ .name = "record", .run = record_run },
};

const struct job_plan rollback_plan = {
	.begin = rollback_begin,
	.steps = rollback_steps,
	.step_count = ARRAY_SIZE(rollback_steps),
	.report = rollback_report,
	.done = deployment_done,
};

static int restart_begin(struct job *job, struct error *err)
{
	return begin_with(job, job->details.live_release, err);
}

static void restart_report(struct job *job)
{
	output_result(job->output, "%s runs again: %s", job->record.project,
		      job->details.url);
}

/* Nothing to undo: there is no other release to go back to but by hand. */
static const struct job_step restart_steps[] = {
	{ .name = "start", .run = start_run },
	{ .name = "health", .run = health_run },
};

const struct job_plan restart_plan = {
	.begin = restart_begin,
	.steps = restart_steps,
	.step_count = ARRAY_SIZE(restart_steps),
	.report = restart_report,
	.done = deployment_done,
};
