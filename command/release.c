/* What was deployed and what is going on: releases, rollback, jobs. */

#include "command/internal.h"
#include "protocol/name.h"
#include "protocol/record.h"

#define JOBS_STANDARD 20
#define JOBS_MAX 1000

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static json_t *release_row(struct wire *w)
{
	_cleanup_record_(release_record) struct release_record r = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	release_record_get(w, &r);
	if (w->failed)
		return NULL;
	reply_put_text(&o, "name", r.name);
	reply_put_text(&o, "state", release_state_name(r.state));
	reply_put_bool(&o, "live", r.live);
	/* for people: one word that says both */
	reply_put_text(&o, "shown", r.live ? "live" : release_state_name(r.state));
	reply_put_text(&o, "commit", or_null(r.commit));
	reply_put_text(&o, "branch", or_null(r.branch));
	reply_put_text(&o, "by", or_null(r.by));
	reply_put_time(&o, "created", r.created_sec);
	reply_put_number(&o, "job", r.job);
	return reply_take(&o);
}

int verb_releases(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "RELEASE" },
		{ "shown", "STATE" },
		{ "commit", "COMMIT", 12 },
		{ "created", "CREATED" },
		{ "by", "BY" },
	};
	_cleanup_free_ char *project = NULL;
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_strbuf_ struct strbuf args = { 0 };
	json_t *row;
	size_t i;
	int r = command_project(command, 0, &project, err);

	if (r < 0)
		return r;
	wire_put_string(&args, project);
	r = command_rows(command, REQUEST_RELEASE_LIST, &args, release_row, &rows, err);
	if (r < 0)
		return r;
	reply_table(&command->out, rows, columns, ARRAY_SIZE(columns));
	json_array_foreach(rows, i, row)(void)
		json_object_del(row, "shown"); /* it is there, release_row() put it */
	if (json_array_size(rows) == 0)
		command_say(command, "No releases yet: git push hostkit main");
	return command_answer(command, TAKE_PTR(rows), err);
}

int verb_rollback(struct command *command, struct error *err)
{
	const char *to = command->args.value[FLAG_TO];
	_cleanup_free_ char *project = NULL;
	_cleanup_strbuf_ struct strbuf args = { 0 };
	int r = to ? command_check_release(to, err) : 0;

	if (r >= 0)
		r = command_project(command, 0, &project, err);
	if (r < 0)
		return r;
	wire_put_string(&args, project);
	wire_put_string(&args, to);
	return command_start_job(command, REQUEST_START_ROLLBACK, &args, err);
}

static json_t *job_row(struct wire *w)
{
	_cleanup_record_(job_record) struct job_record j = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	job_record_get(w, &j);
	if (w->failed)
		return NULL;
	reply_put_number(&o, "id", j.id);
	reply_put_text(&o, "kind", job_kind_name(j.kind));
	reply_put_text(&o, "state", job_state_name(j.state));
	reply_put_text(&o, "project", or_null(j.project));
	reply_put_text(&o, "step", or_null(j.step));
	reply_put_text(&o, "release", or_null(j.release));
	reply_put_text(&o, "commit", or_null(j.commit));
	reply_put_text(&o, "by", or_null(j.by));
	if (j.ended_sec > 0)
		reply_put_number(&o, "exit_status", j.exit_status);
	else
		reply_put_json(&o, "exit_status", json_null());
	reply_put_text(&o, "message", or_null(j.message));
	reply_put_time(&o, "created", j.created_sec);
	reply_put_time(&o, "started", j.started_sec);
	reply_put_time(&o, "ended", j.ended_sec);
	return reply_take(&o);
}

int args_lines(struct command *command, uint64_t standard, uint64_t max,
	       uint64_t *ret_count, struct error *err)
{
	const char *text = command->args.value[FLAG_LINES];

	*ret_count = standard;
	if (text && str_to_u64(text, max, ret_count) < 0)
		return args_refuse(command->args.verb, err,
				   "-n takes a number from 0 to %llu",
				   (unsigned long long)max);
	return 0;
}

int verb_jobs(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "id", "JOB" },      { "kind", "KIND" },
		{ "state", "STATE" }, { "project", "PROJECT" },
		{ "step", "STEP" },   { "created", "CREATED" },
		{ "by", "BY" },       { "message", "MESSAGE" },
	};
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_free_ char *project = NULL;
	_cleanup_strbuf_ struct strbuf args = { 0 };
	uint64_t limit;
	int r = args_lines(command, JOBS_STANDARD, JOBS_MAX, &limit, err);

	if (r >= 0)
		r = command->args.word_count > 0
			    ? command_project(command, 0, &project, err)
			    : command_bound_project(command, &project, err);
	if (r < 0)
		return r;
	wire_put_string(&args, project);
	wire_put_u32(&args, (uint32_t)limit);
	r = command_rows(command, REQUEST_JOB_LIST, &args, job_row, &rows, err);
	if (r < 0)
		return r;
	reply_table(&command->out, rows, columns, ARRAY_SIZE(columns));
	if (json_array_size(rows) == 0)
		command_say(command, "No jobs yet");
	return command_answer(command, TAKE_PTR(rows), err);
}
