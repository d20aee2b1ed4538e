/*
 * Builds: hostkit-build in a unit of its own, as the project's user, in a sandbox. What it may see is
 * its own home, its repository and a read-only system; what it may use has limits.
 */

#include <string.h>
#include <sys/mount.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"
#include "hostkitd/systemd.h"

#define BUILD_SLICE "hostkit-build.slice"
/* How long a build that is told to stop may take to remove what it made. */
#define BUILD_STOP_USEC (20ull * 1000000)

/* Who waits for the status of a build. */
struct build_wait {
	struct exchange *req; /* until it runs, if it was asked for by BUILD_START */
	char *unit;           /* the same */
	int status_fd;
};

static void build_wait_free(struct build_wait *wait)
{
	fd_close(wait->status_fd);
	free(wait->unit);
	free(wait);
}

static void on_build_end(void *userdata, int status)
{
	struct build_wait *wait = userdata;

	status_report(TAKE_FD(wait->status_fd), status);
	build_wait_free(wait);
}

static void on_build_started(void *userdata, int result, struct error *err)
{
	struct build_wait *wait = userdata;
	struct exchange *req = TAKE_PTR(wait->req);

	/* a job that lost hostkitd before the answer came asks again: its build runs, into the same pipe */
	if (result < 0 &&
	    systemd_watch(req->daemon->systemd, wait->unit, on_build_end, wait, NULL) > 0)
		result = 0;
	if (result < 0)
		build_wait_free(wait); /* else on_build_end() does */
	request_finish(req, result, err);
}

static int build_wait_new(struct exchange *req, const char *unit,
			  struct build_wait **ret_wait, struct error *err)
{
	struct build_wait *wait = calloc(1, sizeof(*wait));
	char *copy = strdup(unit);
	int pair[2];
	int r = wait && copy ? packet_pair(pair) : -ENOMEM;

	if (r < 0) {
		free(wait);
		free(copy);
		return error_internal(err, r, "build");
	}
	*wait = (struct build_wait){ .req = req, .unit = copy, .status_fd = pair[1] };
	request_add_fd(req, pair[0]);
	*ret_wait = wait;
	return 0;
}

/* hostkit-build's arguments, appended as the array of ExecStart. */
static int put_arguments(sd_bus_message *m, const struct job *job,
			 const struct project *project,
			 const struct release_record *previous,
			 const struct settings *settings)
{
	_cleanup_free_ char *files =
		str_format("%u", (unsigned int)settings->limits_tree_files);
	_cleanup_free_ char *repository = repository_path(project->name);
	_cleanup_free_ char *home = home_path(project->name);
	_cleanup_free_ char *releases = str_format("/home/%s/releases", project->name);
	const char *argv[24];
	size_t n = 0;
	int r;

	if (!files || !repository || !home || !releases)
		return -ENOMEM;
	argv[n++] = "hostkit-run"; /* its .env, read as the project's user */
	argv[n++] = home;
	argv[n++] = HOSTKIT_LIBEXEC_DIR "/hostkit-build";
	argv[n++] = "--repo";
	argv[n++] = repository;
	argv[n++] = "--commit";
	argv[n++] = job->record.commit;
	argv[n++] = "--releases";
	argv[n++] = releases;
	argv[n++] = "--release";
	argv[n++] = job->record.release;
	if (previous->name) {
		argv[n++] = "--previous";
		argv[n++] = previous->name;
		argv[n++] = "--previous-commit";
		argv[n++] = previous->commit;
	}
	argv[n++] = "--runtime";
	argv[n++] = runtime_name(project->runtime);
	argv[n++] = "--max-files";
	argv[n++] = files;
	if (job->push_options & PUSH_OPTION_NO_CACHE)
		argv[n++] = "--no-cache";
	argv[n] = NULL;

	r = sd_bus_message_open_container(m, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", "ExecStart");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", HOSTKIT_LIBEXEC_DIR "/hostkit-run");
	if (r >= 0)
		r = sd_bus_message_append_strv(m, (char **)(uintptr_t)argv);
	if (r >= 0)
		r = sd_bus_message_append(m, "b", 0);
	for (int depth = 0; r >= 0 && depth < 4; depth++)
		r = sd_bus_message_close_container(m);
	return r;
}

static int put_place(sd_bus_message *m, const struct project *project, int output_fd)
{
	_cleanup_free_ char *home = home_path(project->name);
	_cleanup_free_ char *variable = str_format("HOME=/home/%s", project->name);
	_cleanup_free_ char *what = str_format("HostKit build of %s", project->name);

	if (!home || !variable || !what)
		return -ENOMEM;
	return sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
				     "Description", "s", what, "Type", "s", "exec",
				     "User", "s", project->name, "Group", "s",
				     project->name, "Slice", "s", BUILD_SLICE,
				     "WorkingDirectory", "s", home, "Environment", "as",
				     1, variable, "StandardOutputFileDescriptor", "h",
				     output_fd, "StandardErrorFileDescriptor", "h",
				     output_fd);
}

/*
 * "mixed": hostkit-build is asked to stop and stops its tools; what outlives it, such as a daemon that a tool left
 * behind, is killed at once. Asking that one too would hold up the push for as long as it does not listen.
 */
static int put_limits(sd_bus_message *m, const struct settings *settings)
{
	return sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "MemoryMax", "t",
				     settings->build_memory_bytes, "TasksMax", "t",
				     (uint64_t)settings->build_tasks, "CPUWeight", "t",
				     (uint64_t)settings->build_cpu_weight,
				     "RuntimeMaxUSec", "t",
				     settings->build_timeout_sec * (uint64_t)1000000,
				     "KillMode", "s", "mixed", "TimeoutStopUSec", "t",
				     BUILD_STOP_USEC);
}

/*
 * An allow list takes systemd 20 ms to compile, at every start; a list of what is denied takes 1. Where the
 * repository's own code runs it is the allow list. In the build of a static project only hostkit-build runs, and
 * what is denied there is what an allow list of @system-service would have kept away.
 */
static int put_calls(sd_bus_message *m, const struct project *project)
{
	if (project->runtime != RUNTIME_STATIC)
		return sd_bus_message_append(m, "(sv)", "SystemCallFilter", "(bas)", 1, 2,
					     "@system-service", "@pkey");
	return sd_bus_message_append(m, "(sv)(sv)", "SystemCallArchitectures", "as", 1,
				     "native", "SystemCallFilter", "(bas)", 0, 20,
				     "@clock", "@cpu-emulation", "@debug", "@keyring",
				     "@module", "@mount", "@obsolete", "@raw-io",
				     "@reboot", "@swap", "acct", "bpf", "chroot",
				     "fanotify_init", "open_by_handle_at", "quotactl",
				     "setdomainname", "sethostname", "userfaultfd",
				     "vhangup");
}

/*
 * Not MemoryDenyWriteExecute, not NoExecPaths: node and its add-ons would die of them. Not RestrictSUIDSGID
 * either: it takes openat2(2) away, which keeps the unpacking inside its release.
 */
static int put_privileges(sd_bus_message *m, const struct project *project)
{
	int r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "NoNewPrivileges", "b", 1,
				      "CapabilityBoundingSet", "t", (uint64_t)0,
				      "LockPersonality", "b", 1, "RestrictNamespaces",
				      "t", (uint64_t)0);

	return r < 0 ? r : put_calls(m, project);
}

/*
 * A file system of its own: the home, and the system read-only. It takes systemd longer to set up than a
 * small static site takes to unpack, so it is for builds in which the repository's own code runs;
 * hostkit-build alone shuts itself in (builder/main.c).
 */
static int put_namespace(sd_bus_message *m, const struct project *project)
{
	_cleanup_free_ char *home = home_path(project->name);
	int r;

	if (!home)
		return -ENOMEM;
	r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "ProtectSystem", "s", "strict",
				  "ProtectHome", "s", "tmpfs", "BindPaths", "a(ssbt)", 1,
				  home, home, 0, (uint64_t)MS_REC, "ReadWritePaths", "as",
				  1, home);
	if (r < 0)
		return r;
	/* shared memory would outlive the build and its limit; with this it goes with the build */
	r = sd_bus_message_append(m, "(sv)", "TemporaryFileSystem", "a(ss)", 1,
				  "/dev/shm", "mode=1777,nosuid,nodev");
	if (r < 0)
		return r;
	return sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "PrivateTmp",
				     "b", 1, "PrivateDevices", "b", 1, "PrivateIPC", "b",
				     1, "ProtectProc", "s", "invisible", "ProcSubset",
				     "s", "pid", "ProtectKernelTunables", "b", 1,
				     "ProtectKernelModules", "b", 1,
				     "ProtectControlGroups", "b", 1);
}

static int build_message(struct exchange *req, sd_bus_message *m, const struct job *job,
			 const struct project *project,
			 const struct release_record *previous)
{
	int r = put_place(m, project, req->args.fd);

	if (r >= 0)
		r = put_limits(m, req->daemon->settings);
	if (r >= 0)
		r = put_privileges(m, project);
	if (r >= 0 && project->runtime != RUNTIME_STATIC)
		r = put_namespace(m, project);
	if (r >= 0)
		r = put_arguments(m, job, project, previous, req->daemon->settings);
	return r;
}

static int build_start(struct exchange *req, const struct job *job,
		       const struct project *project,
		       const struct release_record *previous, struct error *err)
{
	_cleanup_free_ char *unit = build_unit(job->record.id);
	struct build_wait *wait;
	sd_bus_message *m;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "build");
	r = systemd_transient_new(req->daemon->systemd, unit, &m, err);
	if (r < 0)
		return r;
	r = build_message(req, m, job, project, previous);
	if (r < 0) {
		sd_bus_message_unref(m);
		return error_internal(err, r, "start %s", unit);
	}
	r = build_wait_new(req, unit, &wait, err);
	if (r < 0) {
		sd_bus_message_unref(m);
		return r;
	}
	const struct systemd_start start = {
		.unit = unit,
		.fn = on_build_started,
		.end = on_build_end,
		.userdata = wait,
	};
	r = systemd_transient_start(req->daemon->systemd, m, &start, err);
	if (r < 0) {
		build_wait_free(wait);
		return r;
	}
	req->args.fd = fd_close(req->args.fd); /* the message has its own */
	return REQUEST_DEFERRED;
}

int handle_BUILD_START(struct exchange *req, struct error *err)
{
	_cleanup_(release_record_done) struct release_record previous = { 0 };
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(job_done) struct job job = { 0 };
	int r = request_job(req, &job, &project, err);

	if (r < 0)
		return r;
	if (job.record.kind != JOB_KIND_DEPLOY ||
	    !str_equal(job.record.release, req->args.release) ||
	    *job.record.release == '\0')
		return error_internal(err, -EPERM,
				      "job %lld has no such release to build",
				      (long long)job.record.id);
	if (*project->live)
		r = state_release_get(req->daemon->state, project->name, project->live,
				      &previous, err);
	return r < 0 ? r : build_start(req, &job, project, &previous, err);
}

int handle_BUILD_ATTACH(struct exchange *req, struct error *err)
{
	_cleanup_free_ char *unit = build_unit(connection_job(req->conn));
	struct build_wait *wait;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "build");
	r = build_wait_new(req, unit, &wait, err);
	if (r < 0)
		return r;
	r = systemd_watch(req->daemon->systemd, unit, on_build_end, wait, err);
	if (r > 0)
		return REQUEST_ANSWERED;
	if (r == 0) {
		/* it has ended: what it made tells how, its status is still known if it failed */
		on_build_end(wait, systemd_last_status(req->daemon->systemd, unit));
		return REQUEST_ANSWERED;
	}
	build_wait_free(wait);
	return r;
}

static void on_stopped(void *userdata, int result, struct error *err)
{
	task_resume(userdata, result, err);
}

static int stop_unit(struct task *task, struct error *err)
{
	int r = systemd_unit_job(task->daemon->systemd, "StopUnit", task->text,
				 on_stopped, task, err);

	return r < 0 ? r : TASK_WAIT;
}

int handle_BUILD_STOP(struct exchange *req, struct error *err)
{
	static const task_step steps[] = { stop_unit, NULL };
	_cleanup_free_ char *unit = build_unit(connection_job(req->conn));
	struct task *task;
	int r;

	if (!unit)
		return error_internal(err, -ENOMEM, "build");
	r = systemd_is_active(req->daemon->systemd, unit, err);
	if (r <= 0)
		return r;
	task = task_new(req->daemon, steps);
	if (!task)
		return error_internal(err, -ENOMEM, "build");
	task->text = TAKE_PTR(unit);
	task->request = req;
	task_run(task);
	return REQUEST_DEFERRED;
}
