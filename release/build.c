#include "release/build.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "release/lines.h"

/* A line that does not go on is shown after this long. */
#define PARTIAL_USEC 500000ull
/* Output of the build's orphans is waited for this long after its end. */
#define LEFTOVER_USEC 1000000ull

struct relay {
	struct job *job;
	int fd; /* the build's output */
	bool ended;
	sd_event_source *io;
	sd_event_source *timer; /* armed while a line has begun */
	struct lines lines;
};

static int on_partial(_unused_ sd_event_source *source, _unused_ uint64_t usec,
		      void *userdata)
{
	struct relay *relay = userdata;

	lines_flush(&relay->lines);
	return 0;
}

static void relay_close(struct relay *relay)
{
	relay->io = sd_event_source_disable_unref(relay->io);
	relay->timer = sd_event_source_disable_unref(relay->timer);
	relay->fd = fd_close(relay->fd);
	relay->ended = true;
}

static int on_output(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *userdata)
{
	struct relay *relay = userdata;
	char chunk[65536];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		relay_close(relay);
		return 0;
	}
	if (!lines_dropped(&relay->lines)) {
		lines_feed(&relay->lines, chunk, (size_t)n);
		if (lines_dropped(&relay->lines)) {
			lines_flush(&relay->lines);
			output_trouble(
				relay->job->output,
				"the build has written more than %llu bytes: the rest is left out",
				(unsigned long long)relay->lines.max_bytes);
		}
	}
	/* the moment begins with the last bytes, so that a slow line is not shown in pieces */
	(void)sd_event_source_set_time_relative(relay->timer, PARTIAL_USEC);
	(void)sd_event_source_set_enabled(relay->timer, lines_pending(&relay->lines)
								? SD_EVENT_ONESHOT
								: SD_EVENT_OFF);
	return 0;
}

static int relay_open(struct relay *relay, struct job *job, int fd)
{
	sd_event *event = job->loop.event;
	int r;

	relay->job = job;
	relay->fd = fd;
	relay->lines.emit = output_foreign;
	relay->lines.userdata = job->output;
	relay->lines.max_bytes = job->details.output_max_bytes;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = sd_event_add_io(event, &relay->io, fd, EPOLLIN, on_output, relay);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &relay->timer, CLOCK_MONOTONIC,
					       PARTIAL_USEC, 1000, on_partial, relay);
	if (r >= 0)
		r = sd_event_source_set_enabled(relay->timer, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

/* Take what is still in the pipe; what keeps it open beyond the build's end is not waited for long. */
static int relay_finish(struct relay *relay)
{
	int r = loop_wait_flag(&relay->job->loop, &relay->ended, LEFTOVER_USEC);

	if (r < 0)
		return r;
	lines_flush(&relay->lines);
	return 0;
}

static void relay_done(struct relay *relay)
{
	relay_close(relay);
}

/* Send START or ATTACH. Returns 0 with the status descriptor. */
static int ask_status(struct job *job, enum request op, const char *release,
		      int output_fd, int *ret_status_fd, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	_cleanup_strbuf_ struct strbuf args = { 0 };
	int r;

	if (release)
		wire_put_string(&args, release);
	r = job_call(job, op, &args, &output_fd, release ? 1 : 0, &answer, err);
	if (r >= 0 && (wire_end(&answer.body) < 0 || answer.packet.fd_count != 1))
		r = error_internal(err, -EBADMSG, "answer to %s", request_name(op));
	if (r >= 0)
		*ret_status_fd = TAKE_FD(answer.packet.fds[0]);
	return r;
}

/* Wait for the build's exit status, and for hostkitd if that goes away meanwhile. */
static int wait_for_status(struct job *job, int *status_fd, struct error *err)
{
	for (;;) {
		int r = loop_wait(&job->loop, *status_fd, LOOP_FOREVER);

		if (r < 0)
			return r;
		r = client_wait_status(*status_fd);
		if (r != -EPIPE)
			return r;
		log_info("job %lld: hostkitd is gone, the build goes on",
			 (long long)job->id);
		*status_fd = fd_close(*status_fd);
		r = ask_status(job, REQUEST_BUILD_ATTACH, NULL, -EBADF, status_fd, err);
		if (r < 0)
			return r;
	}
}

static int stop_build(struct job *job, struct error *err)
{
	_cleanup_error_ struct error stop_err = ERROR_INIT;

	job->loop.protected = true;
	output_step(job->output, "Stopping the build");
	if (job_do(job, REQUEST_BUILD_STOP, NULL, &stop_err) < 0)
		log_error(LOG_WARNING, &stop_err, "stop the build, ignoring");
	return job_cancelled(err);
}

/* hostkit-build's own exit statuses, after it said why: a commit that it will not build, and a step that failed. */
#define BUILD_REFUSED 2
#define BUILD_STEP_FAILED 5

/* RuntimeMaxSec was over: hostkitd says it as timeout(1) does, and hostkit-build never ends so by itself. */
#define BUILD_TIMED_OUT 124

static int build_verdict(const struct job *job, int status, struct error *err)
{
	if (status == 0)
		return 0;
	if (status == BUILD_TIMED_OUT) {
		error_user(err, -EIO, "BUILD_FAILED",
			   "the build took longer than [build] timeout allows");
		error_suggest(err,
			      "make it shorter, or have [build] timeout raised in "
			      "/etc/hostkit/hostkit.conf on the server; then push again");
		return -EIO;
	}
	if (status == 128 + SIGKILL)
		error_user(
			err, -EIO, "BUILD_FAILED",
			"the build was killed; most likely it needed more memory than allowed");
	else if (status == BUILD_REFUSED || status == BUILD_STEP_FAILED)
		/* also for who reads it in a list later */
		error_user(err, -EIO, "BUILD_FAILED", "%s: logs %s --build %lld says why",
			   status == BUILD_REFUSED ? "the commit cannot be built"
						   : "the build failed",
			   job->record.project, (long long)job->id);
	else
		error_user(err, -EIO, "BUILD_FAILED",
			   "the build failed with exit status %d", status);
	error_suggest(err, "mend it, commit, and push again");
	return -EIO;
}

int build_run(struct job *job, const char *release, struct error *err)
{
	_cleanup_(relay_done) struct relay relay = { .fd = -EBADF };
	_cleanup_close_ int write_fd = -EBADF, status_fd = -EBADF;
	int fds[2];
	int r, status;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_internal(err, -errno, "pipe");
	write_fd = fds[1];
	r = relay_open(&relay, job, fds[0]);
	if (r < 0)
		return error_internal(err, r, "watch the build's output");

	r = ask_status(job, REQUEST_BUILD_START, release, write_fd, &status_fd, err);
	if (r < 0)
		return r;
	write_fd = fd_close(write_fd);
	status = wait_for_status(job, &status_fd, err);
	if (status == -ECANCELED)
		return stop_build(job, err);
	if (status < 0)
		return error_is_set(err)
			       ? status
			       : error_internal(err, status, "wait for the build");
	r = relay_finish(&relay);
	if (r < 0)
		return r;
	return build_verdict(job, status, err);
}
