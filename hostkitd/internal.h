#pragma once

/* What the files of hostkitd share: the daemon itself, connections, requests, tasks, children. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/packet.h"
#include "base/process.h"
#include "base/str.h"
#include "hostkitd/authorize.h"
#include "hostkitd/decode.h"
#include "hostkitd/state.h"
#include "protocol/request.h"
#include "protocol/settings.h"

#define DAEMON_STATE_DIR "/var/lib/hostkit"
#define DAEMON_USER "hostkit"
#define DAEMON_SSHD_USER "hostkit-sshd"

struct connection;
struct job_run;
struct exchange;
struct systemd;
struct task;

LIST_HEAD(connection_list, connection);
LIST_HEAD(job_run_list, job_run);
LIST_HEAD(session_list, session);

struct account {
	uid_t uid;
	gid_t gid;
};

struct daemon {
	sd_event *event;
	struct settings *settings;
	struct state *state;
	struct systemd *systemd;
	struct connection_list connections;
	struct job_run_list jobs;     /* waiting and running, oldest first */
	struct session_list sessions; /* programs started for clients that still run */
	struct account user;          /* hostkit */
	struct account sshd_user;     /* hostkit-sshd */
};

/* -- connections (connection.c) -- */

/* Accept what waits at the listening socket; for sd_event_add_io(). */
int connection_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* What a connection may do, decided by whoever makes it. */
struct connection_role {
	enum phase phase;
	const struct principal *principal; /* copied; NULL: none yet */
	const char *project;               /* PHASE_RECEIVE: copied */
	int64_t job;                       /* PHASE_JOB: 0 until JOB_HELLO */
};

/* Serve fd, which is taken also on failure. */
int connection_add(struct daemon *daemon, int fd, const struct connection_role *role,
		   struct error *err) _must_check_;
/* Close all, at the end. */
void connection_close_all(struct daemon *daemon);

/* What a connection is for, as its role said; owned by it, project NULL and job 0 where there is none. */
enum phase connection_phase(const struct connection *conn);
const struct principal *connection_principal(const struct connection *conn);
const char *connection_project(const struct connection *conn);
int64_t connection_job(const struct connection *conn);
int connection_fd(const struct connection *conn);
/* Requests sent so far, a bit each; for those that may come once. */
uint64_t connection_used(const struct connection *conn);
/* AUTH_KEY succeeded: PREAUTH becomes SESSION. */
int connection_authenticate(struct connection *conn, const struct principal *principal)
	_must_check_;
/* JOB_HELLO succeeded. */
void connection_set_job(struct connection *conn, int64_t job);

/* -- requests (request.c) -- */

enum {
	REQUEST_ANSWERED = 0, /* with results and fds */
	REQUEST_DEFERRED = 1, /* a task has taken it and calls request_finish() */
};

struct exchange {
	struct daemon *daemon;
	struct connection *conn; /* referenced; may be closed by the time of the answer */
	struct request_args args;
	struct strbuf results;
	int fds[PACKET_FDS_MAX]; /* owned, go with the answer */
	size_t fd_count;
};

/* Decode, check and run one message. Negative: the connection must end (err says why). */
int request_dispatch(struct daemon *daemon, struct connection *conn,
		     struct packet *packet, struct error *err) _must_check_;
/* Answer and free it. */
void request_finish(struct exchange *req, int result, struct error *err);
/* Give fd to the answer. */
void request_add_fd(struct exchange *req, int fd);
/* Answer with a list: the records in a sealed memfd. */
int request_add_list(struct exchange *req, uint32_t count, const struct strbuf *records,
		     struct error *err) _must_check_;
/*
 * May the caller do it to the project? Finds it; with `ready` it must be neither under construction nor
 * being deleted (PROJECT_LOCKED).
 */
int request_project(struct exchange *req, enum action action, const char *name,
		    bool ready, struct project **ret_project, struct error *err)
	_must_check_;
/* The project and row of the job that this connection is. */
int request_job(struct exchange *req, struct job *ret_job, struct project **ret_project,
		struct error *err) _must_check_;

typedef int (*request_handler)(struct exchange *req, struct error *err);
#define X(name, phase, once) int handle_##name(struct exchange *req, struct error *err);
REQUEST_TABLE(X)
#undef X

/* -- connections, for request.c -- */

struct connection *connection_ref(struct connection *conn);
struct connection *connection_unref(struct connection *conn);
void connection_mark_used(struct connection *conn, uint32_t op);
/* Queue an answer; takes the descriptors. A connection that does not read is closed. */
void connection_send(struct connection *conn, const struct strbuf *message, int *fds,
		     size_t fd_count);

/* -- children (children.c) -- */

typedef void (*child_fn)(void *userdata, int status);

/*
 * Start a program and call fn with its exit status when it has ended: 128 + N for a signal, 127 when it could not be
 * executed, 124 when it did not end within patience_usec (0: no matter how long) and was killed. Does not wait
 * for anything itself. A step of a task uses task_child() instead.
 */
int child_start(struct daemon *daemon, const struct process_plan *plan,
		uint64_t patience_usec, child_fn fn, void *userdata, struct error *err)
	_must_check_;
/* Report a status to whoever holds the other end of status_fd, if there is room, and close it. */
void status_report(int status_fd, int status);

/* -- tasks (task.c) -- */

enum {
	TASK_NEXT = 0, /* go on with the next step at once */
	TASK_WAIT = 1, /* something will call task_resume() */
};

typedef int (*task_step)(struct task *task, struct error *err);

/*
 * Work that has to wait in between: a list of steps over one context. A step that fails ends the task.
 * done() is called once, with the result, before the task is freed; an attached request is
 * answered then.
 */
struct task {
	struct daemon *daemon;
	const task_step *steps; /* NULL-terminated */
	size_t at;
	int status; /* of the child that the step before waited for */
	bool slow;  /* the next child may take TASK_SLOW_USEC */
	void (*done)(struct task *task, int result, struct error *err);
	void *userdata;
	struct exchange *request;         /* answered at the end */
	struct exchange *request_results; /* the same, for done() to fill */
	struct project *project;          /* owned */
	int64_t job;
	char *text;  /* owned; a release, ... */
	char **list; /* owned, NULL-terminated; releases, ... */
	uint32_t value;
	bool changed;
	char *note; /* owned */
};

/* steps ends in NULL and must outlive the task. NULL: no memory. */
struct task *task_new(struct daemon *daemon, const task_step *steps);
struct task *task_free(struct task *task);
DEFINE_CLEANUP(struct task *, task_free);
/* Start it; the task frees itself. */
void task_run(struct task *task);
void task_resume(struct task *task, int result, struct error *err);
/*
 * For a step: start a child and wait for it, up to TASK_CHILD_USEC, or TASK_SLOW_USEC once when task->slow is set
 * (it removes many files). Returns TASK_WAIT or negative.
 */
int task_child(struct task *task, const struct process_plan *plan, struct error *err)
	_must_check_;
/* For a step: fail unless the child of the step before ended with 0. */
int task_child_good(struct task *task, const char *what, struct error *err) _must_check_;

/* -- programs run as a project's user (home.c) -- */

/*
 * For a step: run hostkit-home in the home of the task's project (in_fd becomes its standard input, -1:
 * /dev/null), or hostkit-receive on its repository. Return TASK_WAIT or negative.
 */
int home_run(struct task *task, const char *const *argv, int in_fd, struct error *err)
	_must_check_;
int repository_run(struct task *task, const char *const *argv, struct error *err)
	_must_check_;
char *home_path(const char *project);
char *repository_path(const char *project);

/* -- jobs (job.c, job_lost.c) -- */

/*
 * Insert the job and start it as soon as it may. Returns its id in job->record and an owned viewer.
 */
int job_enqueue(struct daemon *daemon, struct job *job, int *ret_viewer,
		struct error *err) _must_check_;
/* Start what waits and may run. */
void job_schedule(struct daemon *daemon);
/* Take up the jobs of the database at the start. */
int job_resume_all(struct daemon *daemon, struct error *err) _must_check_;
struct job_run *job_find(struct daemon *daemon, int64_t id);
/* The job said how it ended. */
void job_ended(struct daemon *daemon, int64_t id);
/* Supersede the deployments of a project that wait. */
void job_supersede(struct daemon *daemon, const char *project, int64_t by);
/* Is there one that waits or runs? */
struct job_run *job_of_project(struct daemon *daemon, const char *project);
/* Give the job the socket for its viewers; ret_fd is the end it listens on. */
int job_viewers(struct daemon *daemon, int64_t id, int *ret_fd, struct error *err)
	_must_check_;
char *job_unit(int64_t id);
char *build_unit(int64_t id);
/* A job died: put right what it left, then record that it failed. */
void job_lost(struct daemon *daemon, int64_t id);
/* ... and now it is put right. */
void job_settled(struct daemon *daemon, int64_t id, bool again);
void job_free_all(struct daemon *daemon);

/* Is a job between accepting its JOB_END and the end of its unit? Little is left to it then. */
bool job_is_over(struct daemon *daemon, int64_t id);
/*
 * A job that connects again after a restart of hostkitd, and whose row says that it has ended: its JOB_END was
 * carried out, the answer lost. Its unit runs. Take it up as one that is over.
 */
int job_take_up_over(struct daemon *daemon, const struct job *job, struct error *err)
	_must_check_;
