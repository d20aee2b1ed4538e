#pragma once

/*
 * The records that lists and answers carry. Each has one writer and one reader, so that the two ends
 * cannot disagree. A reader returns 0 or -EBADMSG/-ENOMEM through the wire, to be asked with
 * wire_end(); strings are owned by the record.
 */

#include "base/wire.h"
#include "protocol/request.h"

/* State of the project's unit as systemd has it; all empty for a static project. */
struct unit_record {
	char *active;          /* ActiveState: "active", "activating", "failed", ... */
	char *sub;             /* SubState: "running", "auto-restart", ... */
	char *result;          /* Result: "success", "exit-code", ... */
	uint32_t main_pid;     /* 0: none */
	uint32_t restarts;     /* NRestarts */
	uint32_t exit_status;  /* ExecMainStatus */
	uint64_t since_usec;   /* ActiveEnterTimestamp, CLOCK_REALTIME; 0: never */
	uint64_t memory_bytes; /* MemoryCurrent; UINT64_MAX: unknown */
};

struct project_record {
	char *name;
	uint32_t runtime;
	uint32_t port; /* 0: none (static) */
	char *branch;  /* the one that deploys */
	char *release; /* live, "" before the first deployment */
	char *commit;  /* of the live release, hexadecimal, or "" */
	char *url;
	int64_t created_sec;
	char *created_by;
	struct unit_record unit;
};

struct key_record {
	char *name;
	uint32_t role;
	char *project;     /* "" for roles that are not bound to one */
	char *type;        /* "ssh-ed25519" ... */
	char *fingerprint; /* "SHA256:..." */
	char *comment;
	int64_t added_sec;
	int64_t used_sec; /* 0: never */
};

struct release_record {
	char *name;
	uint32_t state;
	bool live;
	char *commit;
	char *branch;
	char *by;
	int64_t created_sec;
	int64_t job;
};

struct job_record {
	int64_t id;
	uint32_t kind;
	uint32_t state;
	char *project;
	char *by;
	char *step; /* where it is or ended */
	char *release;
	char *commit;
	uint32_t
		exit_status; /* once over: as section "exit status" of docs/commands.md */
	char *message;       /* why it failed, or "" */
	int64_t created_sec;
	int64_t started_sec; /* 0: not yet */
	int64_t ended_sec;   /* 0: not yet */
};

/* What a job needs to know beyond its record (answer to JOB_INFO). */
struct job_details {
	uint32_t runtime;
	uint32_t port;
	char *branch;
	char *live_release; /* "" if none */
	char *old_commit;   /* what the branch points to, "" if unborn */
	char *target;       /* rollback: the release to go to */
	char *url;
	uint32_t push_options;
	uint32_t health_timeout_sec;
	uint64_t output_max_bytes; /* of the build log */
};

/*
 * Of each record: append it to buf; take it from w, whose wire_end() tells whether it was whole, in either
 * case to be done; free what it holds.
 */
void unit_record_put(struct strbuf *buf, const struct unit_record *r);
void unit_record_get(struct wire *w, struct unit_record *ret);
void unit_record_done(struct unit_record *r);
void project_record_put(struct strbuf *buf, const struct project_record *r);
void project_record_get(struct wire *w, struct project_record *ret);
void project_record_done(struct project_record *r);
void key_record_put(struct strbuf *buf, const struct key_record *r);
void key_record_get(struct wire *w, struct key_record *ret);
void key_record_done(struct key_record *r);
void release_record_put(struct strbuf *buf, const struct release_record *r);
void release_record_get(struct wire *w, struct release_record *ret);
void release_record_done(struct release_record *r);
void job_record_put(struct strbuf *buf, const struct job_record *r);
void job_record_get(struct wire *w, struct job_record *ret);
void job_record_done(struct job_record *r);
void job_details_put(struct strbuf *buf, const struct job_details *r);
void job_details_get(struct wire *w, struct job_details *ret);
void job_details_done(struct job_details *r);

#define _cleanup_record_(type) _cleanup_(type##_done)
