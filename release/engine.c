/* Carrying out a plan: steps, journal, undoing, the end. */
#include <string.h>

#include "base/log.h"
#include "protocol/status.h"
#include "release/job.h"

/* Viewers may take this long for what is left, as long as one of them takes something now and then. */
#define DRAIN_USEC (60ull * 1000000)
#define DRAIN_STALL_USEC (5ull * 1000000)
#define DRAIN_PAUSE_USEC 50000ull

int job_cancelled(struct error *err)
{
	return error_user(err, -ECANCELED, "CANCELLED", "the job was cancelled");
}

static int journal(struct job *job, const struct job_step *step, uint32_t state,
		   struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	wire_put_string(&args, step->name);
	wire_put_u32(&args, state);
	return job_do(job, REQUEST_JOB_STEP, &args, err);
}

static int run_step(struct job *job, const struct job_step *step, struct error *err)
{
	_cleanup_error_ struct error journal_err = ERROR_INIT;
	int r;

	r = journal(job, step, STEP_STATE_BEGUN, err);
	if (r >= 0)
		r = step->run(job, step, err);
	if (r == -ECANCELED && job->loop.cancelled)
		r = job_cancelled(err);
	if (r >= 0)
		return journal(job, step, STEP_STATE_DONE, err);
	if (journal(job, step, STEP_STATE_FAILED, &journal_err) < 0)
		log_error(LOG_WARNING, &journal_err, "journal of job %lld, ignoring",
			  (long long)job->id);
	return r;
}

static void say_error(struct job *job, const struct error *err)
{
	output_trouble(job->output, "%s", error_text(err, false));
	if (err->suggestion)
		output_trouble(job->output, "%s", err->suggestion);
}

/* Undo the first `count` steps, the last first: it may have been done in part, or not at all. */
static void undo_steps(struct job *job, const struct job_plan *plan, size_t count)
{
	job->loop.protected = true;
	for (size_t i = count; i > 0; i--) {
		const struct job_step *step = &plan->steps[i - 1];
		_cleanup_error_ struct error err = ERROR_INIT;
		int r;

		if (!step->undo)
			continue;
		r = step->undo(job, step, &err);
		if (r >= 0)
			r = journal(job, step, STEP_STATE_UNDONE, &err);
		if (r < 0) {
			log_error(LOG_ERR, &err, "job %lld: undo of step %s",
				  (long long)job->id, step->name);
			say_error(job, &err);
		}
	}
}

static int run_steps(struct job *job, const struct job_plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		bool begin = !job->loop.cancelled;
		int r = begin ? run_step(job, &plan->steps[i], err) : job_cancelled(err);

		if (r >= 0)
			continue;
		if (!err->code)
			log_error(LOG_ERR, err, "job %lld: step %s", (long long)job->id,
				  plan->steps[i].name);
		say_error(job, err);
		job->cancelled = r == -ECANCELED;
		job->err = err;
		undo_steps(job, plan, begin ? i + 1 : i);
		return r;
	}
	return 0;
}

/* Let the viewers take what they have not got, but let none of them hold the job for ever. */
static void drain(struct job *job)
{
	uint64_t now = loop_now(), end = now + DRAIN_USEC, moved = now;
	uint64_t progress = output_progress(job->output);

	while (!output_is_drained(job->output) && now < end &&
	       now < moved + DRAIN_STALL_USEC) {
		if (loop_wait(&job->loop, -EBADF, DRAIN_PAUSE_USEC) < 0)
			return;
		now = loop_now();
		if (output_progress(job->output) != progress) {
			progress = output_progress(job->output);
			moved = now;
		}
	}
}

static void tell_end(struct job *job, const struct error *err, uint32_t status)
{
	_cleanup_error_ struct error end_err = ERROR_INIT;
	_cleanup_strbuf_ struct strbuf args = { 0 };
	struct stream_end end = { .exit_status = status };

	if (error_is_set(err)) {
		end.code = (char *)error_code(err);
		end.message = (char *)error_text(err, false);
		end.suggestion = err->suggestion;
	}
	wire_put_u32(&args, status);
	wire_put_string(&args, end.code);
	wire_put_string(&args, end.message);
	/* the row first: who has seen the end may ask for it */
	if (job_do(job, REQUEST_JOB_END, &args, &end_err) < 0)
		log_error(LOG_ERR, &end_err, "end of job %lld", (long long)job->id);
	output_end(job->output, &end);
}

int job_run(struct job *job, const struct job_plan *plan)
{
	_cleanup_error_ struct error err = ERROR_INIT, tidy_err = ERROR_INIT;
	enum status status;
	int r;

	r = plan->begin ? plan->begin(job, &err) : 0;
	if (r == 0) {
		r = run_steps(job, plan, &err);
		if (r >= 0)
			plan->report(job);
	} else if (r < 0) {
		say_error(job, &err);
	}

	status = r < 0 ? status_of_error(err.code, err.number) : STATUS_DONE;
	job->loop.protected = true; /* too late to cancel */
	tell_end(job, &err, status);
	if (r >= 0 && plan->tidy && plan->tidy(job, &tidy_err) < 0)
		log_error(LOG_WARNING, &tidy_err, "tidy up after job %lld, ignoring",
			  (long long)job->id);
	drain(job);
	if (plan->done)
		plan->done(job);
	return (int)status;
}
