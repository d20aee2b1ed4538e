#pragma once

/*
 * The job engine: a kind of job is a table of steps, done in order, each written to hostkitd's journal
 * before and after; when one fails, or the job is cancelled, it and those before it are undone in reverse.
 */

#include <sys/types.h>

#include "base/error.h"
#include "protocol/client.h"
#include "protocol/record.h"
#include "release/loop.h"
#include "release/output.h"

struct job {
	int64_t id;
	/* Of hostkitd, to connect again, and of hostkit-probe; NULL: where they are installed. */
	const char *socket_path;
	const char *probe_path;
	uid_t project_uid; /* (uid_t)-1: to be looked up */
	struct loop loop;
	struct output *output;
	struct client *client; /* NULL between two connections */
	struct job_record record;
	struct job_details details;
	void *data;        /* the kind's own */
	bool cancelled;    /* undoing because of it */
	struct error *err; /* while undoing: why */
};

struct job_step {
	const char *name; /* in the journal */
	uint32_t number;  /* for steps that share functions */
	int (*run)(struct job *job, const struct job_step *step, struct error *err);
	/*
	 * NULL: nothing to undo. Also of a step that failed, however far it got. Cannot be cancelled; what fails in
	 * it is said and passed over.
	 */
	int (*undo)(struct job *job, const struct job_step *step, struct error *err);
};

struct job_plan {
	/* Prepare job->data. Returns 0, JOB_E_NOTHING_TO_DO, or negative. May be NULL. */
	int (*begin)(struct job *job, struct error *err);
	const struct job_step *steps;
	size_t step_count;
	/* Say how it went, after the last step. */
	void (*report)(struct job *job);
	/* After everybody has been told: what nobody waits for. May be NULL. */
	int (*tidy)(struct job *job, struct error *err);
	void (*done)(struct job *job); /* free job->data; may be NULL */
};

enum {
	JOB_E_NOTHING_TO_DO = 1, /* success without any step */
};

/*
 * Set up the job `id`: requests over client_fd (taken), output to log_fd (borrowed), then ask hostkitd what
 * there is to do and who watches. Returns 0 or a negative errno value; done with job_done() in any case.
 */
int job_init(struct job *job, int64_t id, int client_fd, int log_fd, struct error *err)
	_must_check_;
void job_done(struct job *job);
#define _cleanup_job_ _cleanup_(job_done)

/*
 * Carry out the plan to its end, whatever that is: output, journal, JOB_END, end of the viewers' streams,
 * tidying up. Returns the exit status (protocol/status.h).
 */
int job_run(struct job *job, const struct job_plan *plan);

/*
 * Requests, as client_call() and client_do() have them. When hostkitd goes away in between they connect again
 * for up to a minute and repeat the request: what a job asks for can be asked twice.
 */
int job_call(struct job *job, enum request op, const struct strbuf *args, const int *fds,
	     size_t fd_count, struct client_answer *ret_answer, struct error *err)
	_must_check_;
int job_do(struct job *job, enum request op, const struct strbuf *args, struct error *err)
	_must_check_;
/* The same with one string, or one number, as the argument. */
int job_do_string(struct job *job, enum request op, const char *arg, struct error *err)
	_must_check_;
int job_do_u32(struct job *job, enum request op, uint32_t arg, struct error *err)
	_must_check_;
/* RELEASE_MARK. */
int job_mark(struct job *job, const char *release, uint32_t state, struct error *err)
	_must_check_;

/* Fetch the job's record and details anew. */
int job_refresh(struct job *job, struct error *err) _must_check_;

/* The error of a job that was told to stop. */
int job_cancelled(struct error *err);

/* The kinds of this folder. */
extern const struct job_plan deploy_plan;
extern const struct job_plan rollback_plan;
extern const struct job_plan restart_plan;
