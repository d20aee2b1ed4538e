/* A project's life and state: provision, project list|info|delete, restart, status. */

#include "command/internal.h"
#include "protocol/name.h"
#include "protocol/record.h"

static void put_unit(struct reply_object *o, const struct unit_record *unit)
{
	_cleanup_reply_object_ struct reply_object u = reply_object_new();
	bool known = unit->active && *unit->active;

	if (!known) {
		reply_put_json(o, "unit", json_null());
		return;
	}
	reply_put_text(&u, "active", unit->active);
	reply_put_text(&u, "sub", unit->sub);
	reply_put_text(&u, "result", unit->result);
	reply_put_number(&u, "main_pid", unit->main_pid);
	reply_put_number(&u, "restarts", unit->restarts);
	reply_put_number(&u, "exit_status", unit->exit_status);
	reply_put_time(&u, "since", (int64_t)(unit->since_usec / 1000000));
	if (unit->memory_bytes <= INT64_MAX)
		reply_put_number(&u, "memory_bytes", (int64_t)unit->memory_bytes);
	else
		reply_put_json(&u, "memory_bytes", json_null());
	reply_put_json(o, "unit", reply_take(&u));
}

/* One word for how the project is, from its unit and its live release. */
static void put_state(struct reply_object *o, const struct project_record *p)
{
	_cleanup_free_ char *state = NULL;

	if (*p->release == '\0')
		state = strdup("not deployed");
	else if (p->runtime == RUNTIME_STATIC)
		state = strdup("static");
	else if (p->unit.sub && *p->unit.sub && str_equal(p->unit.active, "active"))
		state = strdup(p->unit.sub);
	else
		state = strdup(*p->unit.active ? p->unit.active : "stopped");
	if (!state)
		o->failed = true;
	reply_put_text(o, "state", state);
}

static const char *or_null(const char *s)
{
	return *s ? s : NULL;
}

static json_t *project_to_json(const struct project_record *p)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	reply_put_text(&o, "name", p->name);
	put_state(&o, p);
	reply_put_text(&o, "runtime", runtime_name(p->runtime));
	if (p->port > 0)
		reply_put_number(&o, "port", p->port);
	else
		reply_put_json(&o, "port", json_null());
	reply_put_text(&o, "branch", p->branch);
	reply_put_text(&o, "release", or_null(p->release));
	reply_put_text(&o, "commit", or_null(p->commit));
	reply_put_text(&o, "url", p->url);
	reply_put_time(&o, "created", p->created_sec);
	reply_put_text(&o, "created_by", or_null(p->created_by));
	put_unit(&o, &p->unit);
	return reply_take(&o);
}

static json_t *project_row(struct wire *w)
{
	_cleanup_record_(project_record) struct project_record p = { 0 };

	project_record_get(w, &p);
	return w->failed ? NULL : project_to_json(&p);
}

/* Ask for one project and make it the answer. */
static int answer_project(struct command *command, const char *project, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_record_(project_record) struct project_record p = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	int r;

	wire_put_string(&args, project);
	r = command_call(command, REQUEST_PROJECT_INFO, &args, &answer, err);
	if (r < 0)
		return r;
	project_record_get(&answer.body, &p);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to PROJECT_INFO");
	return command_answer(command, project_to_json(&p), err);
}

static int answer_projects(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "NAME" },       { "state", "STATE" }, { "runtime", "RUNTIME" },
		{ "release", "RELEASE" }, { "url", "URL" },
	};
	_cleanup_json_ json_t *rows = NULL;
	int r = command_rows(command, REQUEST_PROJECT_LIST, NULL, project_row, &rows,
			     err);

	if (r < 0)
		return r;
	reply_table(&command->out, rows, columns, ARRAY_SIZE(columns));
	if (json_array_size(rows) == 0)
		command_say(command, "No projects yet: hostkit provision NAME");
	return command_answer(command, TAKE_PTR(rows), err);
}

int verb_project_list(struct command *command, struct error *err)
{
	return answer_projects(command, err);
}

int verb_project_info(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "name" },       { "state", "state" },
		{ "runtime", "runtime" }, { "url", "url" },
		{ "port", "port" },       { "branch", "branch" },
		{ "release", "release" }, { "commit", "commit" },
		{ "created", "created" }, { "created_by", "created by" },
	};
	_cleanup_free_ char *project = NULL;
	int r = command_project(command, 0, &project, err);

	if (r >= 0)
		r = answer_project(command, project, err);
	if (r >= 0)
		reply_fields(&command->out, command->data, columns, ARRAY_SIZE(columns));
	return r;
}

/* A size for people: three digits at most, and their unit. */
static char *size_text(uint64_t bytes)
{
	static const char *const units[] = { "kB", "MB", "GB" };
	double size = (double)bytes / 1000;
	size_t i = 0;

	for (; size >= 1000 && i + 1 < ARRAY_SIZE(units); i++)
		size /= 1000;
	return str_format("%.*f %s", size < 10 ? 1 : 0, size, units[i]);
}

/* What the answer says of the project and of its unit, in one list. */
static int show_status(struct command *command, struct error *err)
{
	static const struct reply_column columns[] = {
		{ "name", "name" },          { "state", "state" },
		{ "release", "release" },    { "url", "url" },
		{ "since", "since" },        { "main_pid", "process" },
		{ "memory", "memory" },      { "restarts", "restarts" },
		{ "result", "last result" },
	};
	json_t *unit = json_object_get(command->data, "unit");
	const json_t *bytes = json_object_get(unit, "memory_bytes");
	_cleanup_json_ json_t *shown = json_copy(command->data);
	_cleanup_free_ char *memory = NULL;

	if (json_is_object(unit) && json_object_update(shown, unit) < 0)
		return error_internal(err, -ENOMEM, "status");
	if (json_is_integer(bytes)) {
		memory = size_text((uint64_t)json_integer_value(bytes));
		if (!memory ||
		    json_object_set_new(shown, "memory", json_string(memory)) < 0)
			return error_internal(err, -ENOMEM, "status");
	}
	/* without a unit the rest would say nothing */
	reply_fields(&command->out, shown, columns,
		     json_is_object(unit) ? ARRAY_SIZE(columns) : 4);
	return 0;
}

int verb_status(struct command *command, struct error *err)
{
	_cleanup_free_ char *project = NULL;
	int r;

	if (command->args.word_count == 0) {
		r = command_bound_project(command, &project, err);
		if (r < 0)
			return r;
		if (!project)
			return answer_projects(command, err);
	} else {
		r = command_project(command, 0, &project, err);
	}
	if (r >= 0)
		r = answer_project(command, project, err);
	return r < 0 ? r : show_status(command, err);
}

/* Switches of later versions that leave out what this one does not make anyway. */
static void explain_ignored(struct command *command)
{
	static const enum flag later[] = { FLAG_NO_DB, FLAG_NO_AUTH, FLAG_NO_STORAGE };

	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (command->args.set[later[i]] && !command->json)
			strbuf_format(&command->out,
				      "       --%s: comes later, ignored\n",
				      flag_info(later[i])->name);
}

static int chosen_runtime(struct command *command, uint32_t *ret_runtime,
			  struct error *err)
{
	static const enum flag flags[_RUNTIME_N] = {
		[RUNTIME_PYTHON] = FLAG_PYTHON,
		[RUNTIME_NODE] = FLAG_NODE,
		[RUNTIME_NEXTJS] = FLAG_NEXTJS,
		[RUNTIME_STATIC] = FLAG_STATIC,
	};
	uint32_t runtime = RUNTIME_NEXTJS, given = 0;

	for (uint32_t i = 0; i < _RUNTIME_N; i++) {
		if (!command->args.set[flags[i]])
			continue;
		runtime = i;
		given++;
	}
	if (given > 1)
		return args_refuse(command->args.verb, err,
				   "a project has one runtime only");
	if (given == 0 && !command->json)
		strbuf_str(&command->out,
			   "       runtime nextjs, unless --node, --python or "
			   "--static says otherwise\n");
	*ret_runtime = runtime;
	return 0;
}

int command_start_job(struct command *command, enum request op, const struct strbuf *args,
		      struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	int64_t job;
	int r = command_call(command, op, args, &answer, err);

	/* what was said so far, before what the job says */
	if (r >= 0)
		r = command_write(command, strbuf_get(&command->out), command->out.size);
	strbuf_clear(&command->out);
	if (r < 0)
		return r;
	job = wire_i64(&answer.body);
	r = wire_end(&answer.body);
	if (r >= 0 && answer.packet.fd_count != 1)
		r = -EBADMSG;
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to %s",
				      request_name(op));
	return command_watch_job(command, answer.packet.fds[0], job, err);
}

int verb_provision(struct command *command, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	const char *project = command->args.words[0];
	uint32_t runtime = RUNTIME_NEXTJS;
	int r = name_check_project(project, err);

	if (r >= 0)
		r = chosen_runtime(command, &runtime, err);
	if (r < 0)
		return r;

	explain_ignored(command);

	wire_put_string(&args, project);
	wire_put_u32(&args, runtime);
	return command_start_job(command, REQUEST_START_PROVISION, &args, err);
}

static int check_confirmation(struct command *command, const char *project,
			      struct error *err)
{
	const char *confirmed = command->args.value[FLAG_CONFIRM];

	if (!confirmed) {
		error_user(
			err, -EINVAL, "CONFIRMATION_REQUIRED",
			"this would delete '%s' with its home, releases and repository",
			project);
		error_suggest(err, "hostkit project delete %s --confirm %s", project,
			      project);
		return -EINVAL;
	}
	if (!str_equal(confirmed, project)) {
		error_user(err, -EINVAL, "NAME_MISMATCH",
			   "--confirm must repeat the name of the project");
		error_suggest(err, "hostkit project delete %s --confirm %s", project,
			      project);
		return -EINVAL;
	}
	return 0;
}

static int show_deletion(struct command *command, const char *project, struct error *err)
{
	int r = answer_project(command, project, err);

	if (r < 0)
		return r;
	strbuf_format(&command->out,
		      "-----> Nothing is deleted. Without --dry-run these would go:\n"
		      "       user and home      /home/%s\n"
		      "       releases           /home/%s/releases\n"
		      "       repository         /var/lib/hostkit/repos/%s.git\n"
		      "       logs               /var/log/projects/%s\n"
		      "       unit               hostkit-%s.service\n"
		      "       site               %s\n",
		      project, project, project, project, project,
		      json_string_value(json_object_get(command->data, "url")));
	return 0;
}

int verb_project_delete(struct command *command, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	const char *project = command->args.words[0];
	int r = name_check_project(project, err);

	if (r >= 0 && command->args.set[FLAG_DRY_RUN])
		return show_deletion(command, project, err);
	if (r >= 0)
		r = check_confirmation(command, project, err);
	if (r < 0)
		return r;

	wire_put_string(&args, project);
	return command_start_job(command, REQUEST_START_DELETE, &args, err);
}

int verb_restart(struct command *command, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_free_ char *project = NULL;
	int r = command_project(command, 0, &project, err);

	if (r < 0)
		return r;
	wire_put_string(&args, project);
	return command_start_job(command, REQUEST_PROJECT_RESTART, &args, err);
}
