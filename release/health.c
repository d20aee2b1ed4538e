#include "release/health.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/escape.h"
#include "base/io.h"
#include "base/process.h"
#include "release/listener.h"
#include "release/probe.h"

#define PROBE_PATH HOSTKIT_LIBEXEC_DIR "/hostkit-probe"
#define HEALTH_PATH "/api/health"

#define POLL_USEC 100000ull
/* After this long an app that answers badly is asked less often. */
#define POLL_EAGER_USEC (5ull * 1000000)
#define POLL_LAZY_USEC 500000ull
#define PROBE_TIMEOUT_MSEC 10000ull
/* The last look gets at least this, or it would see nothing but its own haste. */
#define PROBE_TIMEOUT_MIN_MSEC 1000ull
#define HEALTH_TIMEOUT_SEC_DEFAULT 120u

struct health {
	struct job *job;
	uint64_t start;
	uint64_t deadline;
	uint32_t main_pid; /* 0: not seen running yet */
	uint32_t restarts; /* as first seen */
	bool first_seen;
	bool answered; /* in HTTP, the last time */
	char *last;    /* of the probe's looks, in words; owned */
};

static int unit_state(struct job *job, struct unit_record *ret_unit, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	int r = job_call(job, REQUEST_UNIT_STATE, NULL, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	unit_record_get(&answer.body, ret_unit);
	r = wire_end(&answer.body);
	if (r < 0) {
		unit_record_done(ret_unit);
		return error_internal(err, r, "answer to UNIT_STATE");
	}
	return 0;
}

static int unit_failure(const struct unit_record *unit, struct error *err)
{
	_cleanup_free_ char *result = escape_text(unit->result, 64);

	if (str_equal(unit->result, "exit-code") || str_equal(unit->result, "success"))
		return error_user(err, -EIO, "HEALTH_CHECK_FAILED",
				  "the app ended with exit status %u", unit->exit_status);
	return error_user(err, -EIO, "HEALTH_CHECK_FAILED", "the app ended: %s",
			  result ? result : "?");
}

/*
 * Is it the project that listens on its port? Somebody else's program would give answers that say nothing about
 * the app. Returns 1 if so, 0 if nobody listens, or -EIO with PORT_TAKEN, or another negative errno value.
 */
static int look_at_listener(const struct job *job, struct error *err)
{
	const struct passwd *owner;
	uid_t uid;
	int r = listener_find((uint16_t)job->details.port, &uid);

	if (r < 0)
		return error_internal(err, r, "see who listens on port %u",
				      job->details.port);
	if (r == 0 || uid == job->project_uid)
		return r;
	owner = getpwuid(uid);
	error_user(err, -EIO, "PORT_TAKEN",
		   "port %u is taken by a program of the user %s", job->details.port,
		   owner ? owner->pw_name : "(unknown)");
	error_suggest(err, "find it with: ss -ltnp 'sport = :%u'", job->details.port);
	return -EIO;
}

/* Returns 1 when the unit runs, 0 when it is about to, or negative when it has died. */
static int look_at_unit(struct health *health, struct error *err)
{
	_cleanup_record_(unit_record) struct unit_record unit = { 0 };
	int r = unit_state(health->job, &unit, err);

	if (r < 0)
		return r;
	if (!health->first_seen) {
		health->first_seen = true;
		health->restarts = unit.restarts;
	}
	if (str_equal(unit.active, "failed") || str_equal(unit.active, "inactive") ||
	    str_equal(unit.sub, "auto-restart") || unit.restarts > health->restarts)
		return look_at_listener(health->job, err) < 0 ? -EIO
							      : unit_failure(&unit, err);
	if (!str_equal(unit.active, "active"))
		return 0;
	if (health->main_pid != 0 && unit.main_pid != health->main_pid)
		return unit_failure(&unit, err);
	health->main_pid = unit.main_pid;
	return 1;
}

/* Does anything take connections there? Cheaper than a program that finds out. */
static bool port_answers(uint32_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd =
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t size = sizeof(error);

	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	/* on loopback the answer is there at once, unless the backlog is full */
	return errno == EINPROGRESS && poll(&p, 1, 20) == 1 &&
	       getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static int start_probe(const struct job *job, uint64_t timeout_msec, int *ret_out_fd,
		       pid_t *ret_pid, int *ret_pidfd, struct error *err)
{
	_cleanup_free_ char *port_text = str_format("%u", job->details.port);
	_cleanup_free_ char *timeout =
		str_format("%llu", (unsigned long long)timeout_msec);
	const char *argv[] = {
		"hostkit-probe", port_text, HEALTH_PATH, "/", timeout, NULL
	};
	_cleanup_close_ int out_read = -EBADF, out_write = -EBADF;
	struct process_plan plan = { .path = job->probe_path ? job->probe_path
							     : PROBE_PATH,
				     .argv = argv,
				     .fd_count = 3 };
	int fds[2];
	int r;

	if (!port_text || !timeout)
		return error_internal(err, -ENOMEM, "probe");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_internal(err, -errno, "pipe");
	out_read = fds[0];
	out_write = fds[1];
	plan.fds[0] = -1;
	plan.fds[1] = out_write;
	plan.fds[2] = STDERR_FILENO;
	r = process_start(&plan, ret_pid, ret_pidfd, err);
	if (r >= 0)
		*ret_out_fd = TAKE_FD(out_read);
	return r;
}

/* Keep in words what the probe saw. Its line has the app's status only, nothing else that is foreign. */
static void remember(struct health *health, int status, int out_fd)
{
	_cleanup_strbuf_ struct strbuf line = { 0 };
	char url[128] = "?";
	long code = 0, elapsed = 0;

	if (io_read_all(out_fd, 512, &line) < 0 ||
	    sscanf(strbuf_get(&line), "%ld %127s %ld", &code, url, &elapsed) < 2)
		return;
	health->answered = status == PROBE_EXIT_UNHEALTHY;
	free(health->last);
	switch (status) {
	case PROBE_EXIT_UNHEALTHY:
		health->last =
			str_format("%s answered %ld after %ld ms", url, code, elapsed);
		break;
	case PROBE_EXIT_SILENT:
		health->last =
			str_format("%s did not answer within %ld ms", url, elapsed);
		break;
	case PROBE_EXIT_NOT_HTTP:
		health->last = str_format("%s did not answer in HTTP", url);
		break;
	default:
		health->last = str_format("nothing answered at %s", url);
		break;
	}
}

/* Returns 1 for healthy, 0 for not (yet), or a negative errno value. */
static int look_at_port(struct health *health, struct error *err)
{
	_cleanup_close_ int out_fd = -EBADF, pidfd = -EBADF;
	struct job *job = health->job;
	uint64_t now = loop_now(), timeout_msec = PROBE_TIMEOUT_MIN_MSEC;
	pid_t pid;
	int r, status;

	if (!port_answers(job->details.port))
		return 0;
	r = look_at_listener(job, err);
	if (r <= 0)
		return r;
	if (health->deadline > now + timeout_msec * 1000)
		timeout_msec = (health->deadline - now) / 1000;
	if (timeout_msec > PROBE_TIMEOUT_MSEC)
		timeout_msec = PROBE_TIMEOUT_MSEC;
	r = start_probe(job, timeout_msec, &out_fd, &pid, &pidfd, err);
	if (r < 0)
		return r;
	r = loop_wait(&job->loop, pidfd, LOOP_FOREVER); /* it has a deadline of its own */
	if (r < 0)
		(void)kill(pid, SIGKILL);
	status = process_wait(pid);
	if (r < 0)
		return r;
	if (status == PROBE_EXIT_HEALTHY)
		return 1;
	if (status ==
	    128 + SIGTERM) /* the whole unit is told to stop, and we shall see */
		return 0;
	if (status < 0 || status == PROBE_EXIT_FAILED || status == PROBE_EXIT_USAGE)
		return error_internal(err, -EIO, "hostkit-probe ended with %d", status);
	remember(health, status, out_fd);
	return 0;
}

static int give_up(struct health *health, struct error *err)
{
	double seconds = (double)(loop_now() - health->start) / 1e6;

	if (!health->last)
		health->last = str_format("nothing listens on 127.0.0.1:%u",
					  health->job->details.port);
	error_user(err, -EIO, "HEALTH_CHECK_FAILED",
		   "the app is not healthy after %.1f s: %s", seconds,
		   health->last ? health->last : "out of memory");
	if (health->answered)
		error_suggest(
			err,
			"healthy is every answer below 500: look at what the app says");
	else
		error_suggest(
			err, "the app must listen on 127.0.0.1 at the port in $PORT (%u)",
			health->job->details.port);
	return -EIO;
}

static int see(struct health *health, struct error *err)
{
	struct job *job = health->job;

	for (;;) {
		uint64_t now = loop_now(), pause = POLL_USEC;
		int r = look_at_unit(health, err);

		if (r > 0)
			r = look_at_port(health, err);
		if (r > 0) /* and it is still there after it has answered */
			r = look_at_unit(health, err);
		if (r != 0)
			return r;
		if (loop_now() >= health->deadline)
			return give_up(health, err);
		if (now - health->start > POLL_EAGER_USEC)
			pause = POLL_LAZY_USEC;
		r = loop_wait(&job->loop, -EBADF, pause);
		if (r < 0)
			return r;
	}
}

static int find_user(struct job *job, struct error *err)
{
	const struct passwd *user;

	if (job->project_uid != (uid_t)-1)
		return 0;
	user = getpwnam(job->record.project);
	if (!user)
		return error_internal(err, -ENOENT, "user %s", job->record.project);
	job->project_uid = user->pw_uid;
	return 0;
}

int health_see(struct job *job, uint64_t *ret_elapsed_usec, struct error *err)
{
	uint64_t now = loop_now();
	uint32_t seconds = job->details.health_timeout_sec;
	struct health health = { .job = job, .start = now };
	int r;

	if (seconds == 0)
		seconds = HEALTH_TIMEOUT_SEC_DEFAULT;
	r = find_user(job, err);
	if (r < 0)
		return r;
	health.deadline = now + (uint64_t)seconds * 1000000;
	r = see(&health, err);
	free(health.last);
	if (r == -ECANCELED)
		return job_cancelled(err);
	if (r < 0)
		return error_is_set(err) ? r
					 : error_internal(err, r, "see the app's health");
	*ret_elapsed_usec = loop_now() - now;
	return 0;
}
