/* What hostkitd does for a project, in words and in order (enum provision_step). Runs as `hostkit`. */
#include "provision/provision.h"

#include <string.h>

struct provision {
	bool complete; /* before this job, which then repairs and takes nothing away */
	bool made[_PROVISION_STEP_N]; /* by this job, so to be undone by it */
};

static const struct {
	const char *doing; /* with the project's name for %s */
	const char *removing;
} words[_PROVISION_STEP_N] = {
	[PROVISION_STEP_ACCOUNT] = { "Creating the user %s",
				     "Removing the user %s and its home" },
	[PROVISION_STEP_LAYOUT] = { "Laying out /home/%s and the repository",
				    "Removing the repository of %s" },
	[PROVISION_STEP_PORT] = { "Reserving a port for %s",
				  "Giving back the port of %s" },
	[PROVISION_STEP_ENV] = { "Writing /home/%s/.env", "Removing /home/%s/.env" },
	[PROVISION_STEP_UNIT] = { "Adding the unit hostkit-%s.service",
				  "Stopping and removing the unit hostkit-%s.service" },
	[PROVISION_STEP_LOGS] = { "Adding the logs in /var/log/projects/%s",
				  "Removing the logs in /var/log/projects/%s" },
	[PROVISION_STEP_SITE] = { "Adding the site of %s", "Removing the site of %s" },
	[PROVISION_STEP_ROW] = { "Registering %s", "Taking %s off the register" },
};

static void say_words(struct job *job, const char *words_with_name)
{
	_cleanup_free_ char *before = strdup(words_with_name);
	char *gap = before ? strstr(before, "%s") : NULL;

	if (!gap)
		return;
	*gap = '\0';
	output_step(job->output, "%s%s%s", before, job->record.project, gap + 2);
}

/* Returns whether the step changed, or for CHECK would change, anything. */
static int ask(struct job *job, uint32_t number, uint32_t action, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_free_ char *note = NULL;
	bool changed;
	int r;

	wire_put_u32(&args, number);
	wire_put_u32(&args, action);
	r = job_call(job, REQUEST_PROVISION_STEP, &args, NULL, 0, &answer, err);
	if (r < 0)
		return r;
	changed = wire_bool(&answer.body);
	note = wire_string(&answer.body, REQUEST_TEXT_MAX);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer to PROVISION_STEP");
	if (*note)
		output_trouble(job->output, "%s", note);
	return changed;
}

static void say_project(struct job *job)
{
	const char *project = job->record.project;

	if (job->details.port)
		output_detail(job->output, "runtime %s, port %u, branch %s",
			      runtime_name(job->details.runtime), job->details.port,
			      job->details.branch);
	else
		output_detail(job->output, "runtime %s, branch %s",
			      runtime_name(job->details.runtime), job->details.branch);
	output_detail(job->output, "next, in your repository:");
	output_detail(job->output, "  git remote add hostkit hostkit:%s", project);
	output_detail(job->output, "  git push hostkit %s", job->details.branch);
}

static int provision_begin(struct job *job, struct error *err)
{
	bool changes[_PROVISION_STEP_N], anything = false;
	struct provision *provision;

	for (uint32_t i = 0; i < _PROVISION_STEP_N; i++) {
		int r = ask(job, i, STEP_ACTION_CHECK, err);

		if (r < 0)
			return r;
		changes[i] = r > 0;
		anything = anything || changes[i];
	}
	if (!anything) {
		output_result(job->output, "%s exists already: %s", job->record.project,
			      job->details.url);
		say_project(job);
		return JOB_E_NOTHING_TO_DO;
	}
	provision = calloc(1, sizeof(*provision));
	if (!provision)
		return error_internal(err, -ENOMEM, "provision");
	provision->complete = !changes[PROVISION_STEP_ROW];
	job->data = provision;
	return 0;
}

static int provision_run(struct job *job, const struct job_step *step, struct error *err)
{
	struct provision *provision = job->data;
	int r = ask(job, step->number, STEP_ACTION_CHECK, err);

	if (r <= 0)
		return r;
	say_words(job, words[step->number].doing);
	provision->made[step->number] = true;
	return ask(job, step->number, STEP_ACTION_DO, err);
}

static int provision_undo(struct job *job, const struct job_step *step, struct error *err)
{
	const struct provision *provision = job->data;
	int r;

	if (provision->complete || !provision->made[step->number])
		return 0;
	say_words(job, words[step->number].removing);
	r = ask(job, step->number, STEP_ACTION_UNDO, err);
	return r < 0 ? r : 0;
}

static void provision_report(struct job *job)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	/* the port and the address are known only now */
	if (job_refresh(job, &err) < 0)
		output_trouble(job->output, "%s", error_text(&err, false));
	output_result(job->output, "%s is ready: %s", job->record.project,
		      job->details.url);
	say_project(job);
}

static void provision_done(struct job *job)
{
	free(job->data);
	job->data = NULL;
}

static int delete_run(struct job *job, const struct job_step *step, struct error *err)
{
	int r;

	say_words(job, words[step->number].removing);
	r = ask(job, step->number, STEP_ACTION_UNDO, err);
	return r < 0 ? r : 0;
}

static void delete_report(struct job *job)
{
	output_result(job->output, "%s is gone", job->record.project);
}

#define PROVISION_STEP(step, label)                                                   \
	{                                                                             \
		.name = label, .number = PROVISION_STEP_##step, .run = provision_run, \
		.undo = provision_undo,                                               \
	}
static const struct job_step provision_steps[] = {
	PROVISION_STEP(ACCOUNT, "account"), PROVISION_STEP(LAYOUT, "layout"),
	PROVISION_STEP(PORT, "port"),       PROVISION_STEP(ENV, "env"),
	PROVISION_STEP(UNIT, "unit"),       PROVISION_STEP(LOGS, "logs"),
	PROVISION_STEP(SITE, "site"),       PROVISION_STEP(ROW, "row"),
};

/* Nothing can be brought back, so nothing is undone: what failed can be tried again. */
#define DELETE_STEP(step, label)                                                   \
	{                                                                          \
		.name = label, .number = PROVISION_STEP_##step, .run = delete_run, \
	}
static const struct job_step delete_steps[] = {
	DELETE_STEP(ROW, "row"),         DELETE_STEP(SITE, "site"),
	DELETE_STEP(UNIT, "unit"), /* stops what writes the logs */
	DELETE_STEP(LOGS, "logs"),       DELETE_STEP(ENV, "env"),
	DELETE_STEP(PORT, "port"),       DELETE_STEP(LAYOUT, "layout"),
	DELETE_STEP(ACCOUNT, "account"),
};

const struct job_plan provision_plan = {
	.begin = provision_begin,
	.steps = provision_steps,
	.step_count = ARRAY_SIZE(provision_steps),
	.report = provision_report,
	.done = provision_done,
};

const struct job_plan delete_plan = {
	.steps = delete_steps,
	.step_count = ARRAY_SIZE(delete_steps),
	.report = delete_report,
};
