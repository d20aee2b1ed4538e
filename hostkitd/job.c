/*
 * Jobs: waiting, starting, their viewers, their end. A job is a row, and while it waits or runs it is one of
 * these in memory too. The row is the truth; this is rebuilt from it at the start.
 */

#include "hostkitd/job.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "hostkitd/systemd.h"
#include "protocol/stream.h"

/* Viewers that wait for their job to ask for them. */
#define VIEWERS_WAITING_MAX 16
/* How long a job may take to undo its work once it is told to stop. */
#define JOB_STOP_USEC (300ull * 1000000)

struct job_run {
	LIST_ENTRY(job_run) list;
	struct daemon *daemon;
	int64_t id;
	uint32_t kind;
	char *project;
	bool running; /* its unit was asked for; else it waits */
	bool over;    /* JOB_END came */
	bool lost;    /* found at the start without its unit, and not put right yet */
	int viewers[VIEWERS_WAITING_MAX];
	size_t viewer_count;
	int viewers_fd; /* owned; to the job, once it has asked */
};

char *job_unit(int64_t id)
{
	return str_format("hostkit-job-%lld.service", (long long)id);
}

char *build_unit(int64_t id)
{
	return str_format("hostkit-build-%lld.service", (long long)id);
}

static void job_run_free(struct job_run *run)
{
	LIST_REMOVE(run, list);
	for (size_t i = 0; i < run->viewer_count; i++)
		fd_close(run->viewers[i]);
	fd_close(run->viewers_fd);
	free(run->project);
	free(run);
}

void job_free_all(struct daemon *daemon)
{
	while (!LIST_EMPTY(&daemon->jobs))
		job_run_free(LIST_FIRST(&daemon->jobs));
}

/* Oldest first, so that waiting jobs start in order. */
static struct job_run *job_run_new(struct daemon *daemon, const struct job *job)
{
	struct job_run *run = calloc(1, sizeof(*run)), *last = NULL, *at;

	if (!run)
		return NULL;
	*run = (struct job_run){
		.daemon = daemon,
		.id = job->record.id,
		.kind = job->record.kind,
		.project = strdup(job->record.project),
		.viewers_fd = -EBADF,
	};
	if (!run->project) {
		free(run);
		return NULL;
	}
	LIST_FOREACH(at, &daemon->jobs, list)
	if (at->id < run->id)
		last = at;
	if (last)
		LIST_INSERT_AFTER(last, run, list);
	else
		LIST_INSERT_HEAD(&daemon->jobs, run, list);
	return run;
}

struct job_run *job_find(struct daemon *daemon, int64_t id)
{
	struct job_run *run;

	LIST_FOREACH(run, &daemon->jobs, list)
	if (run->id == id)
		return run;
	return NULL;
}

struct job_run *job_of_project(struct daemon *daemon, const char *project)
{
	struct job_run *run;

	LIST_FOREACH(run, &daemon->jobs, list)
	if (!run->over && str_equal(run->project, project))
		return run;
	return NULL;
}

int64_t job_run_id(const struct job_run *run)
{
	return run->id;
}

uint32_t job_run_kind(const struct job_run *run)
{
	return run->kind;
}

bool job_is_over(struct daemon *daemon, int64_t id)
{
	const struct job_run *run = job_find(daemon, id);

	return run && run->over;
}

/* -- viewers -- */

static void viewer_hand_over(struct job_run *run, int viewer)
{
	static const uint8_t mark = 0;

	if (packet_send(run->viewers_fd, &mark, sizeof(mark), &viewer, 1) < 0)
		log_debug("job %lld takes no viewer", (long long)run->id);
	fd_close(viewer);
}

static int viewer_add(struct job_run *run, int viewer)
{
	if (run->viewers_fd >= 0) {
		viewer_hand_over(run, viewer);
		return 0;
	}
	if (run->viewer_count == VIEWERS_WAITING_MAX) {
		fd_close(viewer);
		return -EMFILE;
	}
	run->viewers[run->viewer_count++] = viewer;
	return 0;
}

int job_viewers(struct daemon *daemon, int64_t id, int *ret_fd, struct error *err)
{
	struct job_run *run = job_find(daemon, id);
	int pair[2], r;

	if (!run)
		return error_internal(err, -ESTALE, "job %lld", (long long)id);
	r = packet_pair(pair);
	if (r < 0)
		return error_internal(err, r, "viewers of job %lld", (long long)id);
	(void)fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK); /* a job that does not read
							       loses viewers */
	fd_close(run->viewers_fd);
	run->viewers_fd = pair[0];
	for (size_t i = 0; i < run->viewer_count; i++)
		viewer_hand_over(run, run->viewers[i]);
	run->viewer_count = 0;
	*ret_fd = pair[1];
	return 0;
}

/* Tell those who watch a job that will never speak for itself. */
static void viewers_end(struct job_run *run, uint32_t status, const char *code,
			const char *message)
{
	const struct stream_end end = {
		.exit_status = status,
		.code = (char *)code,
		.message = (char *)message,
		.suggestion = (char *)"",
	};
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	stream_put_end(&packet, &end);
	for (size_t i = 0; i < run->viewer_count; i++) {
		if (strbuf_failed(&packet) ||
		    packet_send(run->viewers[i], packet.data, packet.size, NULL, 0) < 0)
			log_debug("a viewer of job %lld is gone", (long long)run->id);
		fd_close(run->viewers[i]);
	}
	run->viewer_count = 0;
}

/* -- end -- */

/* The row says how it ended, or that it waits again; whoever waits may go. */
static void job_forget(struct job_run *run)
{
	struct daemon *daemon = run->daemon;

	job_run_free(run);
	job_schedule(daemon);
}

static void on_unit_end(void *userdata, int status)
{
	struct job_run *run = userdata;

	if (run->over) {
		job_forget(run);
		return;
	}
	log_warning("job %lld (%s) ended with status %d without saying how",
		    (long long)run->id, run->project, status);
	job_lost(run->daemon, run->id);
}

void job_ended(struct daemon *daemon, int64_t id)
{
	struct job_run *run = job_find(daemon, id);

	if (!run)
		return;
	run->over = true;
	job_schedule(daemon);
}

void job_settled(struct daemon *daemon, int64_t id, bool again)
{
	struct job_run *run = job_find(daemon, id);

	if (!run)
		return;
	if (again) {
		run->running = false;
		run->viewers_fd = fd_close(run->viewers_fd);
		job_schedule(daemon);
		return;
	}
	viewers_end(run, STATUS_FAILED, "JOB_LOST", "the job was interrupted");
	job_forget(run);
}

/* -- start -- */

static int log_open(struct daemon *daemon, int64_t id, struct error *err)
{
	_cleanup_free_ char *path =
		str_format(DAEMON_STATE_DIR "/jobs/%lld.log", (long long)id);
	_cleanup_close_ int fd = -EBADF;

	if (!path)
		return error_internal(err, -ENOMEM, "log of job %lld", (long long)id);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0 || fchown(fd, daemon->user.uid, daemon->user.gid) < 0)
		return error_internal(err, -errno, "log %s", path);
	return TAKE_FD(fd);
}

static void on_unit_started(void *userdata, int result, struct error *err)
{
	struct job_run *run = userdata;

	if (result >= 0)
		return;
	log_error(LOG_ERR, err, "start job %lld", (long long)run->id);
	job_lost(run->daemon, run->id);
}

static int job_unit_message(sd_bus_message *m, const struct job_run *run, int request_fd,
			    int log_fd)
{
	_cleanup_free_ char *id = str_format("%lld", (long long)run->id);
	_cleanup_free_ char *what =
		str_format("HostKit job %lld (%s %s)", (long long)run->id,
			   job_kind_name(run->kind), run->project);
	static const char program[] = HOSTKIT_LIBEXEC_DIR "/hostkit-job";
	int r;

	if (!id || !what)
		return -ENOMEM;
	/*
	 * StandardOutput counts for nothing beside a descriptor, except that systemd lets standard error
	 * go the same way where both have the same name; and the log is for people, not for complaints.
	 * Who stops a job asks it to undo what it did, which takes as long as the old release takes to start.
	 */
	r = sd_bus_message_append(m, "(sv)(sv)(sv)", "StandardOutput", "s", "null",
				  "KillMode", "s", "mixed", "TimeoutStopUSec", "t",
				  JOB_STOP_USEC);
	if (r < 0)
		return r;
	r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s",
				  what, "Type", "s", "exec", "User", "s", DAEMON_USER,
				  "StandardInputFileDescriptor", "h", request_fd,
				  "StandardOutputFileDescriptor", "h", log_fd,
				  "StandardError", "s", "journal", "ExecStart", "a(sasb)",
				  1, program, 2, "hostkit-job", id, 0);
	if (r < 0)
		return r;
	/*
	 * No mount namespace: setting one up makes every push wait 30 to 190 ms, and what it would hide is
	 * closed to this user anyway.
	 */
	return sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "NoNewPrivileges", "b", 1,
				     "CapabilityBoundingSet", "t", (uint64_t)0,
				     "LockPersonality", "b", 1, "RestrictNamespaces", "t",
				     (uint64_t)0, "TasksMax", "t", (uint64_t)64);
}

static int job_start_unit(struct job_run *run, int request_fd, int log_fd,
			  struct error *err)
{
	_cleanup_free_ char *unit = job_unit(run->id);
	sd_bus_message *m;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "start job");
	r = systemd_transient_new(run->daemon->systemd, unit, &m, err);
	if (r < 0)
		return r;
	r = job_unit_message(m, run, request_fd, log_fd);
	if (r < 0) {
		sd_bus_message_unref(m);
		return error_internal(err, r, "start %s", unit);
	}
	const struct systemd_start start = {
		.unit = unit,
		.fn = on_unit_started,
		.end = on_unit_end,
		.userdata = run,
	};
	return systemd_transient_start(run->daemon->systemd, m, &start, err);
}

static int job_start(struct job_run *run, struct error *err)
{
	const struct connection_role role = { .phase = PHASE_JOB, .job = run->id };
	_cleanup_close_ int log_fd = log_open(run->daemon, run->id, err), theirs = -EBADF;
	int pair[2], r;

	if (log_fd < 0)
		return log_fd;
	r = packet_pair(pair);
	if (r < 0)
		return error_internal(err, r, "requests of job %lld", (long long)run->id);
	theirs = pair[1];
	r = connection_add(run->daemon, pair[0], &role, err);
	if (r < 0)
		return r;
	return job_start_unit(run, theirs, log_fd, err);
}

/* Another job of the project runs. */
static bool job_project_is_busy(const struct job_run *run)
{
	const struct job_run *other;

	LIST_FOREACH(other, &run->daemon->jobs, list)
	if (other != run && other->running && !other->over &&
	    str_equal(other->project, run->project))
		return true;
	return false;
}

/*
 * A push that waited for another one: the branch is no longer where the client believes it to be, so its
 * commit would push the other's out of the history. git refuses that, and so do we, before building.
 * Returns 1 when it was refused (and is gone), 0, or negative.
 */
static int job_refuse_overtaken(struct job_run *run, struct error *err)
{
	_cleanup_(job_done) struct job job = { 0 };
	_cleanup_free_ char *commit = NULL, *message = NULL;
	struct state *state = run->daemon->state;
	int r = state_job_get(state, run->id, &job, err);

	if (r <= 0)
		return r < 0 ? r : error_internal(err, -ESTALE, "job has no row");
	if (job.push_options & PUSH_OPTION_DETACH)
		return 0; /* its branch moved when it was accepted */
	r = state_job_overtaken(state, &job, &commit, err);
	if (r <= 0)
		return r;
	message = str_format("another push moved the branch to %.12s meanwhile: fetch, "
			     "merge, push again",
			     commit);
	if (!message)
		return error_internal(err, -ENOMEM, "job");
	r = state_job_end(state, run->id, JOB_STATE_FAILED, STATUS_FAILED, message, err);
	if (r < 0)
		return r;
	viewers_end(run, STATUS_FAILED, "BRANCH_MOVED", message);
	job_run_free(run);
	return 1;
}

/* Deployments that run; the others are short. */
static size_t job_count_builds(struct daemon *daemon)
{
	const struct job_run *run;
	size_t count = 0;

	LIST_FOREACH(run, &daemon->jobs, list)
	if (run->running && !run->over && run->kind == JOB_KIND_DEPLOY)
		count++;
	return count;
}

/* Negative: it cannot start and must be given up. Otherwise it runs, waits on, or is gone. */
static int job_try(struct job_run *run, struct error *err)
{
	struct daemon *daemon = run->daemon;
	int r;

	if (run->kind == JOB_KIND_DEPLOY &&
	    job_count_builds(daemon) >= daemon->settings->build_parallel)
		return 0;
	if (run->kind == JOB_KIND_DEPLOY && !job_project_is_busy(run)) {
		r = job_refuse_overtaken(run, err);
		if (r != 0)
			return r;
	}
	r = state_job_run(daemon->state, run->id, err);
	if (r == JOB_E_LOCKED)
		return 0;
	if (r < 0)
		return r;
	run->running = true;
	return job_start(run, err);
}

void job_schedule(struct daemon *daemon)
{
	struct job_run *run, *next;

	for (run = LIST_FIRST(&daemon->jobs); run; run = next) {
		_cleanup_error_ struct error err = ERROR_INIT;

		next = LIST_NEXT(run, list);
		if (run->running || job_try(run, &err) >= 0)
			continue;
		log_error(LOG_ERR, &err, "start job %lld", (long long)run->id);
		/* settling it may start others: begin again from a list that is whole */
		run->running = true;
		job_lost(daemon, run->id);
		return;
	}
}

int job_enqueue(struct daemon *daemon, struct job *job, int *ret_viewer,
		struct error *err)
{
	_cleanup_close_ int viewer = -EBADF;
	struct job_run *run;
	int pair[2], r;

	r = packet_pair(pair);
	if (r < 0)
		return error_internal(err, r, "viewer");
	viewer = pair[0];
	(void)fcntl(pair[1], F_SETFL,
		    O_RDWR | O_NONBLOCK); /* the job watches it anyway */
	r = state_job_add(daemon->state, job, err);
	if (r < 0) {
		fd_close(pair[1]);
		return r;
	}
	run = job_run_new(daemon, job);
	if (!run) {
		fd_close(pair[1]);
		r = state_job_end(daemon->state, job->record.id, JOB_STATE_FAILED,
				  STATUS_FAILED, "out of memory", NULL);
		return error_internal(err, r < 0 ? r : -ENOMEM, "job");
	}
	r = viewer_add(run, pair[1]);
	if (r < 0)
		return error_internal(err, r, "viewer");
	log_info("job %lld: %s %s for %s", (long long)run->id, job_kind_name(run->kind),
		 run->project, job->record.by);
	job_schedule(daemon);
	*ret_viewer = TAKE_FD(viewer);
	return 0;
}

void job_supersede(struct daemon *daemon, const char *project, int64_t by)
{
	_cleanup_free_ char *message =
		str_format("a newer push (job %lld) took its place", (long long)by);
	struct job_run *run, *next;

	for (run = LIST_FIRST(&daemon->jobs); run; run = next) {
		next = LIST_NEXT(run, list);
		if (run->running || run->id == by || run->kind != JOB_KIND_DEPLOY ||
		    !str_equal(run->project, project))
			continue;
		if (state_job_end(daemon->state, run->id, JOB_STATE_SUPERSEDED,
				  STATUS_CANCELLED, message ? message : "", NULL) < 0)
			log_warning("job %lld: superseded, but its row does not say so",
				    (long long)run->id);
		viewers_end(run, STATUS_CANCELLED, "SUPERSEDED", message ? message : "");
		job_run_free(run);
	}
}

/* -- at the start -- */

int job_take_up_over(struct daemon *daemon, const struct job *job, struct error *err)
{
	_cleanup_free_ char *unit = job_unit(job->record.id);
	struct job_run *run = job_run_new(daemon, job);
	int r;

	if (!run || !unit)
		return error_internal(err, -ENOMEM, "job");
	run->running = run->over = true;
	r = systemd_watch(daemon->systemd, unit, on_unit_end, run, err);
	if (r <= 0)
		job_run_free(run);
	return r < 0 ? r : 0;
}

struct resume {
	struct daemon *daemon;
	struct error *err;
};

static int resume_running(const struct job *job, void *userdata)
{
	struct resume *resume = userdata;
	struct daemon *daemon = resume->daemon;
	_cleanup_free_ char *unit = job_unit(job->record.id);
	struct job_run *run = job_run_new(daemon, job);
	int r;

	if (!run || !unit)
		return error_internal(resume->err, -ENOMEM, "jobs");
	run->running = true;
	r = systemd_watch(daemon->systemd, unit, on_unit_end, run, resume->err);
	if (r < 0)
		return r;
	run->lost = r == 0;
	log_info("job %lld (%s) %s", (long long)run->id, run->project,
		 r > 0 ? "goes on" : "was interrupted");
	return 0;
}

static int resume_waiting(const struct job *job, void *userdata)
{
	struct resume *resume = userdata;

	return job_run_new(resume->daemon, job)
		       ? 0
		       : error_internal(resume->err, -ENOMEM, "jobs");
}

static struct job_run *job_first_lost(struct daemon *daemon)
{
	struct job_run *run;

	LIST_FOREACH(run, &daemon->jobs, list)
	if (run->lost)
		return run;
	return NULL;
}

int job_resume_all(struct daemon *daemon, struct error *err)
{
	struct resume resume = { .daemon = daemon, .err = err };
	struct job_run *run;
	int r = state_job_each(daemon->state, NULL, JOB_STATE_RUNNING, 0, resume_running,
			       &resume, err);

	if (r >= 0)
		r = state_job_each(daemon->state, NULL, JOB_STATE_WAITING, 0,
				   resume_waiting, &resume, err);
	if (r < 0)
		return r;
	/* settling one may take others out of the list: begin again after each */
	while ((run = job_first_lost(daemon))) {
		run->lost = false;
		job_lost(daemon, run->id);
	}
	job_schedule(daemon);
	return 0;
}
