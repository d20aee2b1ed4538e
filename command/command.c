#include "command/command.h"

#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/escape.h"
#include "base/io.h"
#include "base/log.h"
#include "command/internal.h"
#include "protocol/name.h"
#include "protocol/record.h"
#include "protocol/status.h"
#include "protocol/stream.h"

/* How a line begins that tells of trouble. */
#define TROUBLE " !     "

void command_done(struct command *command)
{
	args_done(&command->args);
	client_free(command->client);
	json_decref(command->data);
	free(command->message);
	strbuf_done(&command->out);
	free(command->job_code);
	*command = (struct command){ 0 };
}

/*
 * Only a peer that is gone altogether counts: a client that closed its half (end of standard input) still
 * reads what we write.
 */
int command_wait(struct command *command, int fd, int timeout_msec)
{
	struct pollfd fds[] = {
		{ .fd = STDOUT_FILENO },
		{ .fd = fd, .events = POLLIN },
	};
	int r;

	do
		r = poll(fds, ARRAY_SIZE(fds), timeout_msec);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
		command->gone = true;
		return -ECANCELED;
	}
	return fds[1].revents ? 1 : 0;
}

static int wait_for_answer(int fd, void *userdata)
{
	int r = command_wait(userdata, fd, -1);

	return r < 0 ? r : 0;
}

static int command_client(struct command *command, struct error *err)
{
	int r;

	if (!command->client) {
		r = client_connect(NULL, &command->client, err);
		if (r < 0)
			return r;
	}
	client_set_wait(command->client, wait_for_answer, command);
	return 0;
}

/* A closed connection is the answer to whom hostkitd does not serve, and to hostkitd being stopped. */
static int explain_closed(struct command *command, int r, struct error *err)
{
	if (r != -EPIPE || command->gone)
		return r;
	if (!command->session && geteuid() != 0) {
		error_user(err, -EACCES, "ACCESS_DENIED",
			   "hostkitd serves root and the users of projects only");
		error_suggest(err, "use sudo");
		return -EACCES;
	}
	error_user(err, r, "DAEMON_UNREACHABLE", "hostkitd closed the connection");
	error_suggest(err, "try again; if it lasts: journalctl -u hostkitd");
	return r;
}

int command_call(struct command *command, enum request op, const struct strbuf *args,
		 struct client_answer *ret_answer, struct error *err)
{
	int r = command_client(command, err);

	if (r < 0)
		return r;
	r = client_call(command->client, op, args, NULL, 0, ret_answer, err);
	return explain_closed(command, r, err);
}

int command_do(struct command *command, enum request op, const struct strbuf *args,
	       struct error *err)
{
	int r = command_client(command, err);

	if (r < 0)
		return r;
	r = client_do(command->client, op, args, err);
	return explain_closed(command, r, err);
}

static int read_rows(struct wire *w, uint32_t count, command_row_fn get, json_t *rows)
{
	for (uint32_t i = 0; i < count; i++) {
		json_t *row = get(w);

		if (!row)
			return w->failed ? -EBADMSG : -ENOMEM;
		if (json_array_append_new(rows, row) < 0)
			return -ENOMEM;
	}
	return wire_end(w);
}

int command_rows(struct command *command, enum request op, const struct strbuf *args,
		 command_row_fn get, json_t **ret_rows, struct error *err)
{
	_cleanup_strbuf_ struct strbuf records = { 0 };
	_cleanup_json_ json_t *rows = json_array();
	uint32_t count = 0;
	struct wire w;
	int r = command_client(command, err);

	if (r < 0)
		return r;
	r = client_list(command->client, op, args, &count, &records, err);
	r = explain_closed(command, r, err);
	if (r < 0)
		return r;

	w = wire_reader(strbuf_get(&records), records.size);
	r = rows ? read_rows(&w, count, get, rows) : -ENOMEM;
	if (r < 0)
		return error_internal(err, r, "list from hostkitd for %s",
				      request_name(op));
	*ret_rows = TAKE_PTR(rows);
	return 0;
}

int command_bound_project(struct command *command, char **ret_project, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_free_ char *name = NULL, *fingerprint = NULL, *project = NULL;
	int r = command_call(command, REQUEST_WHOAMI, NULL, &answer, err);

	if (r < 0)
		return r;
	name = wire_string(&answer.body, REQUEST_TEXT_MAX);
	(void)wire_u32(&answer.body); /* the role: what counts here is the project */
	fingerprint = wire_string(&answer.body, REQUEST_TEXT_MAX);
	project = wire_string(&answer.body, REQUEST_NAME_MAX);
	r = wire_end(&answer.body);
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to WHOAMI");
	*ret_project = *project ? TAKE_PTR(project) : NULL;
	return 0;
}

static json_t *row_of_name(struct wire *w)
{
	_cleanup_record_(project_record) struct project_record p = { 0 };

	project_record_get(w, &p);
	return w->failed ? NULL : reply_text(p.name, strlen(p.name));
}

static int only_project(struct command *command, char **ret_project, struct error *err)
{
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_free_ char *usage = NULL;
	int r = command_rows(command, REQUEST_PROJECT_LIST, NULL, row_of_name, &rows,
			     err);

	if (r < 0)
		return r;
	if (json_array_size(rows) == 1) {
		*ret_project = strdup(json_string_value(json_array_get(rows, 0)));
		return *ret_project ? 0 : error_internal(err, -ENOMEM, "project");
	}

	usage = args_usage(command->args.verb);
	error_user(err, -EINVAL, "PROJECT_REQUIRED", "%s: which project?",
		   command->args.verb->name);
	error_suggest(err, "%s", usage ? usage : "hostkit project list");
	return -EINVAL;
}

int command_project(struct command *command, size_t index, char **ret_project,
		    struct error *err)
{
	int r;

	if (index < command->args.word_count) {
		const char *word = command->args.words[index];

		r = name_check_project(word, err);
		if (r < 0)
			return r;
		*ret_project = strdup(word);
		return *ret_project ? 0 : error_internal(err, -ENOMEM, "project");
	}

	r = command_bound_project(command, ret_project, err);
	if (r < 0 || *ret_project)
		return r;
	return only_project(command, ret_project, err);
}

int command_check_release(const char *name, struct error *err)
{
	_cleanup_free_ char *shown = NULL;

	if (name_is_release(name))
		return 0;
	shown = escape_text(name, 48);
	error_user(err, -EINVAL, "INVALID_OPTIONS", "'%s' is not the name of a release",
		   shown ? shown : "?");
	error_suggest(err, "they look like 20250215-120000, see: hostkit releases");
	return -EINVAL;
}

int command_answer(struct command *command, json_t *data, struct error *err)
{
	if (!data)
		return error_internal(err, -ENOMEM, "answer");
	json_decref(command->data);
	command->data = data;
	return 0;
}

void command_say(struct command *command, const char *fmt, ...)
{
	va_list ap;

	free(command->message);
	va_start(ap, fmt);
	command->message = str_vformat(fmt, ap);
	va_end(ap);
}

void command_text(struct command *command, const char *s)
{
	escape_append(&command->out, s, strlen(s));
}

int command_write(struct command *command, const void *data, size_t size)
{
	int r = io_write_all(STDOUT_FILENO, data, size);

	if (r < 0)
		command->gone = true;
	return r;
}

static int job_failed(struct command *command, struct stream_end *end, struct error *err)
{
	command->status =
		end->exit_status < _STATUS_N ? (int)end->exit_status : STATUS_FAILED;
	command->job_code = TAKE_PTR(end->code);
	error_user(err, -ECHILD, *command->job_code ? command->job_code : "JOB_LOST",
		   "%s", *end->message ? end->message : "the job failed");
	if (*end->suggestion)
		error_suggest(err, "%s", end->suggestion);
	return -ECHILD;
}

static int job_lost(struct command *command, int64_t job, struct error *err)
{
	command->told = false;
	error_user(err, -EPIPE, "JOB_LOST", "job %lld ended without a verdict",
		   (long long)job);
	error_suggest(err, "see what became of it: hostkit jobs");
	return -EPIPE;
}

/* What a job prints is escaped already; its troubles belong on standard error. */
static int show_job_text(struct command *command, const char *text, size_t size)
{
	while (size > 0) {
		const char *newline = memchr(text, '\n', size);
		size_t n = newline ? (size_t)(newline - text) + 1 : size;
		bool trouble = str_after_prefix(text, TROUBLE);
		int r = trouble ? io_write_all(STDERR_FILENO, text, n)
				: command_write(command, text, n);

		if (r < 0)
			return r;
		if (trouble)
			command->told = true;
		text += n;
		size -= n;
	}
	return 0;
}

/* Returns as stream_receive(), the text having been shown. */
static int watch_once(struct command *command, int viewer_fd, struct stream_end *ret_end)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = command_wait(command, viewer_fd, -1);

	if (r < 0)
		return r;
	r = stream_receive(viewer_fd, &text, &size, ret_end);
	if (r == STREAM_E_TEXT && !command->json) {
		int w = show_job_text(command, text, size);

		if (w < 0)
			return w;
	}
	return r;
}

int command_watch_job(struct command *command, int viewer_fd, int64_t job,
		      struct error *err)
{
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	_cleanup_(stream_end_done) struct stream_end end = { 0 };
	int r;

	do
		r = watch_once(command, viewer_fd, &end);
	while (r == STREAM_E_TEXT);
	if (r == STREAM_E_CLOSED)
		return job_lost(command, job, err);
	if (r < 0)
		return error_internal(err, r, "output of job %lld", (long long)job);
	if (end.exit_status != 0)
		return job_failed(command, &end, err);

	reply_put_number(&o, "job", job);
	reply_put_number(&o, "exit_status", 0);
	return command_answer(command, reply_take(&o), err);
}

/* " !     message", and what to do in the same way. */
static void complain(const struct error *err)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	const char *message = error_text(err, false);

	strbuf_str(&text, TROUBLE);
	escape_append(&text, message, strlen(message));
	strbuf_char(&text, '\n');
	if (err->suggestion) {
		strbuf_str(&text, TROUBLE);
		escape_append(&text, err->suggestion, strlen(err->suggestion));
		strbuf_char(&text, '\n');
	}
	(void)io_write_all(STDERR_FILENO, strbuf_get(&text),
			   text.size); /* nobody left to tell */
}

static void finish_failure(struct command *command, const struct error *err)
{
	if (!command->json) {
		(void)command_write(command, strbuf_get(&command->out),
				    command->out.size);
		if (!command->told)
			complain(err);
	} else {
		strbuf_clear(&command->out);
		reply_failure(&command->out, err, time(NULL));
		(void)command_write(command, strbuf_get(&command->out),
				    command->out.size);
	}
	/* the cause of an internal error is for whoever runs the server */
	if (!err->code && !command->session)
		log_error(LOG_ERR, err, "hostkit");
}

static int finish_success(struct command *command)
{
	if (command->json) {
		strbuf_clear(&command->out);
		reply_success(&command->out, command->data, command->message, time(NULL));
	} else if (command->message) {
		escape_append(&command->out, command->message, strlen(command->message));
		strbuf_char(&command->out, '\n');
	}
	return command_write(command, strbuf_get(&command->out), command->out.size);
}

/* The verb, or the help that was asked for. */
static int run_verb(struct command *command, int parsed, struct error *err)
{
	struct args *args = &command->args;

	if (parsed >= 0 && args->set[FLAG_HELP])
		return help_show(command, args->verb, args->noun, err);
	if (parsed < 0 && !args->verb && args->word_count == 0)
		/* an overview beside the complaint, whose failure the complaint outweighs */
		(void)help_show(command, NULL, NULL, NULL);
	return parsed < 0 ? parsed : args->verb->run(command, err);
}

int command_run(struct command *command, const char *const *words, size_t count)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	int r = args_parse(words, count, &command->args, &err);

	command->json = command->args.set[FLAG_JSON];
	r = run_verb(command, r, &err);
	if (command->gone)
		return STATUS_FAILED;
	if (r < 0) {
		if (!error_is_set(&err))
			error_internal(&err, r, "verb");
		finish_failure(command, &err);
		return command->status ? command->status
				       : (int)status_of_error(err.code, err.number);
	}
	return finish_success(command) < 0 ? STATUS_FAILED : STATUS_DONE;
}
