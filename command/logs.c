/*
 * logs: the output of an app, or of a job. hostkitd hands out read-only descriptors; nothing is opened by
 * name here.
 */

#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "command/internal.h"
#include "command/tail.h"
#include "protocol/record.h"

#define LINES_STANDARD 100
#define LINES_MAX 1000000
/* Of each file, for --json, whose answer is one piece. */
#define JSON_BYTES_MAX (4 * 1024 * 1024)
#define PIECE_SIZE (64 * 1024)
/* So much of one file before the other has its turn. */
#define TURN_SIZE (1024 * 1024)
/* Without inotify(7); with it, a look now and then for what it does not tell. */
#define POLL_MSEC 200
#define IDLE_MSEC 2000
/* How often hostkitd is asked whether the job that is followed is over. */
#define JOB_ASK_MSEC 500
/* How far back a job is looked for. */
#define JOBS_SEARCHED 1000

struct source {
	const char *name;
	int fd;
	int64_t start; /* of what was asked for */
	int64_t at;    /* shown up to here */
	struct tail_text text;
};

struct logs {
	struct command *command;
	struct source sources[2];
	size_t count;
	uint64_t lines;
	int64_t job; /* 0: the app's logs */
	char *project;
	char *piece;
	struct strbuf out;
	const struct source *last; /* who wrote to out last */
	int inotify_fd;
};

static void logs_done(struct logs *logs)
{
	for (size_t i = 0; i < logs->count; i++) {
		fd_close(logs->sources[i].fd);
		tail_text_done(&logs->sources[i].text);
	}
	free(logs->project);
	free(logs->piece);
	strbuf_done(&logs->out);
	fd_close(logs->inotify_fd);
}

static int add_source(struct logs *logs, const char *name, enum request op,
		      const struct strbuf *args, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	struct source *source = &logs->sources[logs->count];
	int64_t end;
	int r = command_call(logs->command, op, args, &answer, err);

	if (r < 0)
		return r;
	r = wire_end(&answer.body);
	if (r >= 0 && answer.packet.fd_count != 1)
		r = -EBADMSG;
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to %s",
				      request_name(op));

	*source = (struct source){ .name = name, .fd = TAKE_FD(answer.packet.fds[0]) };
	logs->count++;
	r = tail_find(source->fd, logs->lines, &source->start, &end);
	if (r < 0)
		return error_internal(err, r, "%s log", name);
	source->at = source->start;
	return 0;
}

static int add_app_log(struct logs *logs, const char *name, enum log_kind kind,
		       struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	wire_put_string(&args, logs->project);
	wire_put_u32(&args, kind);
	return add_source(logs, name, REQUEST_LOG_OPEN, &args, err);
}

static json_t *job_state_row(struct wire *w)
{
	_cleanup_record_(job_record) struct job_record j = { 0 };
	_cleanup_reply_object_ struct reply_object o = reply_object_new();

	job_record_get(w, &j);
	if (w->failed)
		return NULL;
	reply_put_number(&o, "id", j.id);
	reply_put_bool(&o, "over", j.ended_sec > 0);
	return reply_take(&o);
}

/* Returns 1 when the job is over, 0 when it goes on, or JOB_NOT_FOUND. */
static int job_is_over(struct logs *logs, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	_cleanup_json_ json_t *rows = NULL;
	const json_t *row;
	size_t i;
	int r;

	wire_put_string(&args, logs->project);
	wire_put_u32(&args, JOBS_SEARCHED);
	r = command_rows(logs->command, REQUEST_JOB_LIST, &args, job_state_row, &rows,
			 err);
	if (r < 0)
		return r;
	json_array_foreach(
		rows, i,
		row) if (json_integer_value(json_object_get(row, "id")) ==
			 logs->job) return json_is_true(json_object_get(row, "over"));

	error_user(err, -ENOENT, "JOB_NOT_FOUND", "there is no job %lld",
		   (long long)logs->job);
	error_suggest(err, "hostkit jobs");
	return -ENOENT;
}

static int open_job_log(struct logs *logs, struct error *err)
{
	const struct args *args = &logs->command->args;
	_cleanup_strbuf_ struct strbuf body = { 0 };
	uint64_t job;
	int r = str_to_u64(args->value[FLAG_BUILD], INT64_MAX, &job);

	if (r < 0 || job == 0)
		return args_refuse(args->verb, err, "--build takes the number of a job");
	logs->job = (int64_t)job;
	if (args->word_count > 0) {
		/* the number must be one of this project's */
		r = command_project(logs->command, 0, &logs->project, err);
		if (r >= 0)
			r = job_is_over(logs, err);
		if (r < 0)
			return r;
	}
	wire_put_i64(&body, logs->job);
	return add_source(logs, "build", REQUEST_JOB_LOG, &body, err);
}

static int open_sources(struct logs *logs, struct error *err)
{
	const struct args *args = &logs->command->args;
	int r;

	if (args->set[FLAG_BUILD])
		return open_job_log(logs, err);
	r = command_project(logs->command, 0, &logs->project, err);
	if (r >= 0 && !args->set[FLAG_ERROR])
		r = add_app_log(logs, "app", LOG_KIND_APP, err);
	if (r >= 0)
		r = add_app_log(logs, "error", LOG_KIND_ERROR, err);
	return r;
}

static int write_out(struct logs *logs)
{
	int r = strbuf_failed(&logs->out) ? -ENOMEM : 0;

	if (r >= 0 && logs->out.size > 0)
		r = command_write(logs->command, logs->out.data, logs->out.size);
	strbuf_clear(&logs->out);
	return r;
}

/* Before `source` writes: a line that the other one left open is ended. */
static void take_turn(struct logs *logs, struct source *source)
{
	for (size_t i = 0; i < logs->count; i++) {
		struct tail_text *text = &logs->sources[i].text;

		if (&logs->sources[i] == source || !text->open_line)
			continue;
		strbuf_char(&logs->out, '\n');
		text->open_line = false;
	}
	logs->last = source;
}

/* Show what source has up to `end`, or one turn's worth of it. Returns how much, or -errno. */
static int64_t show(struct logs *logs, struct source *source, int64_t end)
{
	int64_t shown = 0;

	while (source->at < end && shown < TURN_SIZE) {
		size_t want = end - source->at < PIECE_SIZE ? (size_t)(end - source->at)
							    : PIECE_SIZE;
		ssize_t n = pread(source->fd, logs->piece, want, source->at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		take_turn(logs, source);
		tail_text_feed(&source->text, logs->piece, (size_t)n, &logs->out);
		source->at += n;
		shown += n;
		r = write_out(logs);
		if (r < 0)
			return r;
	}
	return shown;
}

static int flush(struct logs *logs, struct source *source)
{
	if (source->text.pending.size == 0)
		return 0;
	take_turn(logs, source);
	tail_text_flush(&source->text, &logs->out);
	return write_out(logs);
}

static int64_t size_of(const struct source *source)
{
	struct stat st;

	return fstat(source->fd, &st) < 0 ? -errno : st.st_size;
}

/* All that is there, one file after the other; with headings where both have something to say. */
static int show_history(struct logs *logs, bool headings)
{
	for (size_t i = 0; i < logs->count; i++) {
		struct source *source = &logs->sources[i];
		int64_t end = size_of(source), n;
		int r;

		if (headings)
			strbuf_format(&logs->out, "=====> %s.log\n", source->name);
		do {
			n = show(logs, source, end);
			if (n < 0)
				return (int)n;
		} while (n > 0 && source->at < end);
		r = flush(logs, source);
		if (r >= 0 && headings && source->text.open_line) {
			source->text.open_line = false;
			strbuf_char(&logs->out, '\n');
		}
		if (r < 0)
			return r;
	}
	return write_out(logs);
}

/* Nobody's permission is needed to poll; inotify(7) asks for that of reading the file by name. */
static void start_inotify(struct logs *logs)
{
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	for (size_t i = 0; fd >= 0 && i < logs->count; i++) {
		_cleanup_free_ char *path =
			str_format("/proc/self/fd/%d", logs->sources[i].fd);

		if (!path || inotify_add_watch(fd, path, IN_MODIFY) < 0)
			return;
	}
	logs->inotify_fd = TAKE_FD(fd);
}

static int wait_for_more(struct logs *logs)
{
	bool told = logs->inotify_fd >= 0;
	int idle_msec = logs->job > 0 ? JOB_ASK_MSEC : IDLE_MSEC;
	int r = command_wait(logs->command, told ? logs->inotify_fd : -1,
			     told ? idle_msec : POLL_MSEC);

	if (r > 0)
		/* what it says does not matter: the files are looked at in any case */
		while (read(logs->inotify_fd, logs->piece, PIECE_SIZE) > 0)
			;
	return r;
}

/* One look at every file. Returns whether there was something, or -errno. */
static int look(struct logs *logs)
{
	int64_t shown = 0;

	for (size_t i = 0; i < logs->count; i++) {
		struct source *source = &logs->sources[i];
		int64_t end = size_of(source), n;

		if (end < 0)
			return (int)end;
		if (end < source->at)
			source->at = 0; /* truncated by whoever rotates the logs */
		n = show(logs, source, end);
		if (n < 0)
			return (int)n;
		shown += n;
	}
	return shown > 0;
}

static int64_t now_msec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is the job that is followed over? Asked now and then only: a build may write a line a millisecond. */
static int ask_over(struct logs *logs, int64_t *asked_msec, struct error *err)
{
	int64_t now = now_msec();

	if (logs->job == 0 || now - *asked_msec < JOB_ASK_MSEC)
		return 0;
	*asked_msec = now;
	return job_is_over(logs, err);
}

static int flush_all(struct logs *logs)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < logs->count; i++)
		r = flush(logs, &logs->sources[i]);
	return r;
}

static int follow(struct logs *logs, struct error *err)
{
	int64_t asked_msec = INT64_MIN / 2;
	bool over = false;
	int r;

	start_inotify(logs);
	for (;;) {
		r = look(logs);
		if (r > 0)
			continue;
		if (r == 0)
			r = flush_all(logs);
		if (r < 0 || over)
			return r;
		r = ask_over(logs, &asked_msec, err);
		/* what was written before the end came is looked at once more */
		over = r > 0;
		if (r == 0)
			r = wait_for_more(logs);
		if (r < 0)
			return r;
	}
}

/* Append the lines of source to rows. */
static int rows_of(struct logs *logs, struct source *source, json_t *rows)
{
	int64_t end = size_of(source);
	_cleanup_strbuf_ struct strbuf all = { 0 };

	while (source->at < end) {
		ssize_t n = pread(source->fd, logs->piece, PIECE_SIZE, source->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		strbuf_append(&all, logs->piece, (size_t)n);
		source->at += n;
	}
	if (strbuf_failed(&all))
		return -ENOMEM;

	for (size_t at = 0; at < all.size;) {
		const char *line = all.data + at;
		const char *newline = memchr(line, '\n', all.size - at);
		size_t n = newline ? (size_t)(newline - line) : all.size - at;
		_cleanup_reply_object_ struct reply_object o = reply_object_new();

		reply_put_text(&o, "log", source->name);
		reply_put_json(&o, "text", reply_text(line, n));
		if (json_array_append_new(rows, reply_take(&o)) < 0)
			return -ENOMEM;
		at += n + 1;
	}
	return 0;
}

static int answer_json(struct logs *logs, struct error *err)
{
	_cleanup_json_ json_t *rows = json_array();
	_cleanup_reply_object_ struct reply_object o = reply_object_new();
	bool cut = false;
	int r = rows ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < logs->count; i++) {
		struct source *source = &logs->sources[i];
		int64_t end = size_of(source);

		if (end - source->at > JSON_BYTES_MAX) {
			source->at = end - JSON_BYTES_MAX;
			cut = true;
		}
		r = rows_of(logs, source, rows);
	}
	if (r < 0)
		return error_internal(err, r, "logs");
	reply_put_json(&o, "lines", TAKE_PTR(rows));
	reply_put_bool(&o, "cut", cut);
	return command_answer(logs->command, reply_take(&o), err);
}

static int show_logs(struct logs *logs, bool following, struct error *err)
{
	bool both = logs->count > 1;
	int r;

	for (size_t i = 0; i < logs->count; i++)
		if (size_of(&logs->sources[i]) <= logs->sources[i].start)
			both = false;
	r = show_history(logs, both && !following);
	if (r >= 0 && following)
		r = follow(logs, err);
	if (r >= 0) {
		take_turn(logs, NULL);
		r = write_out(logs);
	}
	return r < 0 && !error_is_set(err) ? error_internal(err, r, "logs") : r;
}

int verb_logs(struct command *command, struct error *err)
{
	const struct args *args = &command->args;
	_cleanup_(logs_done) struct logs logs = {
		.command = command,
		.inotify_fd = -EBADF,
	};
	bool following = args->set[FLAG_FOLLOW];
	int r = args_lines(command, LINES_STANDARD, LINES_MAX, &logs.lines, err);

	if (r < 0)
		return r;
	if (following && command->json)
		return args_refuse(args->verb, err,
				   "--json gives one answer, which -f never ends");
	if (args->set[FLAG_BUILD] && args->set[FLAG_ERROR])
		return args_refuse(args->verb, err,
				   "--build and --error are different logs");
	/* of a job's log, which has an end, all is shown */
	if (args->set[FLAG_BUILD] && !args->set[FLAG_LINES])
		logs.lines = UINT64_MAX;
	logs.piece = malloc(PIECE_SIZE);
	if (!logs.piece)
		return error_internal(err, -ENOMEM, "logs");

	r = open_sources(&logs, err);
	if (r < 0)
		return r;
	return command->json ? answer_json(&logs, err) : show_logs(&logs, following, err);
}
