#include "release/applog.h"

#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "release/lines.h"

/* No more than this is read, from the end. */
#define APPLOG_BYTES_MAX 65536

void applog_begin(struct applog *log, struct job *job)
{
	for (uint32_t kind = 0; kind < _LOG_KIND_N; kind++) {
		_cleanup_answer_ struct client_answer answer = { 0 };
		_cleanup_error_ struct error err = ERROR_INIT;
		_cleanup_strbuf_ struct strbuf args = { 0 };
		struct stat st;
		int r;

		log->files[kind].fd = -EBADF;
		wire_put_u32(&args, kind);
		r = job_call(job, REQUEST_JOB_LOG_OPEN, &args, NULL, 0, &answer, &err);
		if (r >= 0 && answer.packet.fd_count == 1 &&
		    fstat(answer.packet.fds[0], &st) == 0 && S_ISREG(st.st_mode)) {
			log->files[kind].fd = TAKE_FD(answer.packet.fds[0]);
			log->files[kind].start = st.st_size;
		} else {
			log_error(LOG_WARNING, &err, "log of the app, ignoring");
		}
	}
}

void applog_done(struct applog *log)
{
	for (size_t i = 0; i < _LOG_KIND_N; i++)
		log->files[i].fd = fd_close(log->files[i].fd);
}

/* Read what has come since into buf, only its end if it is much. */
static void read_news(const struct applog *log, size_t kind, struct strbuf *buf)
{
	int64_t at = log->files[kind].start;
	char chunk[4096];
	struct stat st;
	ssize_t n;

	if (log->files[kind].fd < 0 || fstat(log->files[kind].fd, &st) < 0)
		return;
	if (st.st_size < at)
		at = 0; /* it was truncated */
	if (st.st_size - at > APPLOG_BYTES_MAX)
		at = st.st_size - APPLOG_BYTES_MAX;
	while (buf->size < APPLOG_BYTES_MAX &&
	       (n = pread(log->files[kind].fd, chunk, sizeof(chunk), at)) > 0) {
		strbuf_append(buf, chunk, (size_t)n);
		at += n;
	}
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (const char *p = text; *p; p++)
		count += *p == '\n' || p[1] == '\0';
	return count;
}

static void show_last(struct job *job, const struct strbuf *buf, size_t count)
{
	struct lines lines = { .emit = output_foreign, .userdata = job->output };
	const char *p = strbuf_get(buf);
	size_t skip = count_lines(p);

	for (skip = skip > count ? skip - count : 0; skip > 0; skip--)
		p = strchr(p, '\n') + 1;
	lines_feed(&lines, p, strlen(p));
	lines_flush(&lines);
}

void applog_show(const struct applog *log, struct job *job)
{
	_cleanup_strbuf_ struct strbuf app = { 0 }, error = { 0 };
	size_t app_lines, error_lines;

	read_news(log, LOG_KIND_APP, &app);
	read_news(log, LOG_KIND_ERROR, &error);
	app_lines = count_lines(strbuf_get(&app));
	error_lines = count_lines(strbuf_get(&error));
	if (app_lines + error_lines == 0) {
		output_detail(job->output, "the app has written nothing");
		return;
	}

	/* of both, complaints matter more, but the other keeps a fifth if it needs it */
	if (app_lines > APPLOG_LINES_MAX / 5 &&
	    app_lines + error_lines > APPLOG_LINES_MAX)
		app_lines = error_lines < APPLOG_LINES_MAX * 4 / 5
				    ? APPLOG_LINES_MAX - error_lines
				    : APPLOG_LINES_MAX / 5;
	output_step(job->output, "The last lines of the app");
	show_last(job, &app, app_lines);
	show_last(job, &error, APPLOG_LINES_MAX - app_lines);
}
