#pragma once

/*
 * The requests to hostkitd: what exists, who may send it when, and the shape of each message.
 *
 * Transport: AF_UNIX SOCK_SEQPACKET, one message a packet (base/packet.h), fields as base/wire.h has
 * them. A request is {u32 op, u32 serial} and its arguments. The answer is {u32 op, u32 serial,
 * i32 status}; behind status 0 stand the results, behind a negative errno value {string code,
 * string message, string suggestion}; an empty code means an internal error, whose cause only the log
 * of hostkitd has. Every request has exactly one answer; answers come in the order of the requests
 * except where a request waits for something ("deferred"). A malformed request, an unknown one, or one
 * that the phase of the connection does not permit ends the connection without an answer.
 *
 * Requests carry names and row ids, never a path, uid, command line or unit text. Bulk bytes travel by
 * descriptor. Lists are answered by {u32 count} and a sealed memfd with the records one after another.
 *
 * A *status descriptor* is a SOCK_SEQPACKET end that receives one packet and is closed: {u32 exit
 * status} of a process or a unit (128 + N: killed by signal N). Closed without one: hostkitd went away.
 */

#include <stdint.h>

#define REQUEST_SOCKET "/run/hostkit/hostkitd.sock"

/* Limits of the fields, in bytes. */
#define REQUEST_NAME_MAX 64       /* projects, releases, keys, steps, codes */
#define REQUEST_TEXT_MAX 2048     /* messages for people, comments */
#define REQUEST_REF_MAX 1024      /* ref names */
#define REQUEST_KEY_BLOB_MAX 4096 /* a public key in SSH wire format (RFC 4253 6.6) */
#define REQUEST_OID_HEX 40        /* an object name, hexadecimal, exactly */

/*
 * What a connection is. It is set when the connection is made, or moves once, forward, from PREAUTH to
 * SESSION; never back.
 */
enum phase {
	PHASE_PREAUTH, /* an SSH connection nobody has signed for yet (peer uid hostkit-sshd) */
	PHASE_SESSION, /* the same, authenticated as key K */
	PHASE_COMMAND, /* a verb: over SSH (principal K) or local (principal from the peer's uid) */
	PHASE_RECEIVE, /* hostkit-receive, one push by principal K to project P */
	PHASE_JOB,     /* hostkit-job, job N */
	_PHASE_N,
};

/*
 * op, phase, "once" (a second one ends the connection).
 * The comment gives: arguments → results; [descriptors with the answer]; <descriptors with the request>.
 */
#define REQUEST_TABLE(X)                                                                             \
	/* {bytes key} → {bool known}: may this key log in? Promises nothing. */                   \
	X(AUTH_PROBE, PREAUTH, false)                                                                \
	/* {bytes key, string address} → {string name}: the client has signed with this  \
	 * key; moves the connection to SESSION. Unknown: KEY_UNKNOWN, stays PREAUTH. */         \
	X(AUTH_KEY, PREAUTH, false)                                                                  \
                                                                                                     \
	/* {u32 service, string project, u32 protocol version 0..2} → {} [stream socket, \
	 * its standard error (pipe), status descriptor]: start hostkit-receive */         \
	X(OPEN_GIT, SESSION, false)                                                                  \
	/* {} → {} [stream socket, its standard error (pipe), status descriptor, argument \
	 * socket]: start a verb; its words go to the argument socket as one packet      \
	 * {bool terminal, u32 count, count strings} */        \
	X(OPEN_VERB, SESSION, false)                                                                 \
                                                                                                     \
	/* {} → {string name, u32 role, string fingerprint, string project or ""} */               \
	X(WHOAMI, COMMAND, false)                                                                    \
	/* {} → {u32 count} [memfd of project records]: those the principal may see */             \
	X(PROJECT_LIST, COMMAND, false)                                                              \
	/* {string project} → {project record} */                                                  \
	X(PROJECT_INFO, COMMAND, false)                                                              \
	/* {string project} → {i64 job} [viewer]: restart the app and see it healthy */            \
	X(PROJECT_RESTART, COMMAND, false)                                                           \
	/* {string name, u32 role, string project or "", bytes key, string comment} →    \
	 * {string fingerprint} */         \
	X(KEY_ADD, COMMAND, false)                                                                   \
	/* {} → {u32 count} [memfd of key records] */                                              \
	X(KEY_LIST, COMMAND, false)                                                                  \
	/* {string name} → {} */                                                                   \
	X(KEY_REMOVE, COMMAND, false)                                                                \
	/* {string project} → {u32 count} [memfd of release records], newest first */              \
	X(RELEASE_LIST, COMMAND, false)                                                              \
	/* {string project or "", u32 limit} → {u32 count} [memfd of job records], newest first */ \
	X(JOB_LIST, COMMAND, false)                                                                  \
	/* {i64 job} → {} [log file, read-only] */                                                 \
	X(JOB_LOG, COMMAND, false)                                                                   \
	/* {string project, u32 which log_kind} → {} [log file, read-only] */                      \
	X(LOG_OPEN, COMMAND, false)                                                                  \
	/* {string project, u32 env_mode} → {} [stream socket, status descriptor]: hostkit-home \
	 * works on the project's .env at the other end (home/env.h has the language) */  \
	X(ENV_OPEN, COMMAND, false)                                                                  \
	/* {string project, u32 runtime} → {i64 job} [viewer] */                                   \
	X(START_PROVISION, COMMAND, false)                                                           \
	/* {string project} → {i64 job} [viewer] */                                                \
	X(START_DELETE, COMMAND, false)                                                              \
	/* {string project, string release or "" (the one before)} → {i64 job} [viewer] */         \
	X(START_ROLLBACK, COMMAND, false)                                                            \
                                                                                                     \
	/* {string ref, string old, string new, u32 push_option bits} → {i64 job}        \
	 * [viewer]: queue the deployment of what the quarantine has become */         \
	X(PUSH_ACCEPT, RECEIVE, true)                                                                \
                                                                                                     \
	/* {i64 job} → {}: first message of a job that connects again after hostkitd was \
	 * restarted; hostkitd checks that the peer runs in that job's unit */         \
	X(JOB_HELLO, JOB, false)                                                                     \
	/* {} → {job record, job details}: what to do */                                           \
	X(JOB_INFO, JOB, false)                                                                      \
	/* {string step, u32 step_state} → {}: the journal */                                      \
	X(JOB_STEP, JOB, false)                                                                      \
	/* {} → {} [descriptor to listen on for further viewers, one a packet] */                  \
	X(JOB_VIEWERS, JOB, true)                                                                    \
	/* {} → {string release}: a new row and name; the directory is made by the build */        \
	X(RELEASE_CREATE, JOB, true)                                                                 \
	/* {string release} → {} [status descriptor] <output, written by the build>:     \
	 * start hostkit-build-JOB.service as the project's user */         \
	X(BUILD_START, JOB, false)                                                                   \
	/* {} → {} [status descriptor]: of the build that still runs (after JOB_HELLO) */          \
	X(BUILD_ATTACH, JOB, false)                                                                  \
	/* {} → {} deferred: stop the build that still runs, with all its processes */             \
	X(BUILD_STOP, JOB, false)                                                                    \
	/* {string release, or "" for the empty one that a project begins with} → {}     \
	 * deferred: swap the link `app` */         \
	X(RELEASE_SWITCH, JOB, false)                                                                \
	/* {string release, u32 release_state} → {}: record the verdict */                         \
	X(RELEASE_MARK, JOB, false)                                                                  \
	/* {string release} → {} deferred: remove the directory of a release that is not live */   \
	X(RELEASE_DROP, JOB, false)                                                                  \
	/* {} → {} deferred: remove all but the releases to keep */                                \
	X(RELEASE_PRUNE, JOB, false)                                                                 \
	/* {} → {} deferred: move the branch in the repository to the job's commit */              \
	X(REF_UPDATE, JOB, false)                                                                    \
	/* {u32 unit_action} → {} deferred until systemd has finished it */                        \
	X(UNIT_CONTROL, JOB, false)                                                                  \
	/* {} → {unit record} */                                                                   \
	X(UNIT_STATE, JOB, false)                                                                    \
	/* {u32 log_kind} → {} [log file, read-only] */                                            \
	X(JOB_LOG_OPEN, JOB, false)                                                                  \
	/* {u32 provision_step, u32 step_action} → {bool changed, string note} deferred; \
	 * note: what the user should know although it worked ("nginx does not run"), or "" */         \
	X(PROVISION_STEP, JOB, false)                                                                \
	/* {u32 exit status, string code, string message} → {}: over; the row says so, the \
	 * project is free for the next job; only RELEASE_PRUNE may still follow */       \
	X(JOB_END, JOB, true)

enum request {
#define X(name, phase, once) REQUEST_##name,
	REQUEST_TABLE(X)
#undef X
	_REQUEST_N,
};

/* Values below travel as u32 and are stored: never renumber, only append. */

enum git_service {
	GIT_SERVICE_RECEIVE, /* git-receive-pack */
	GIT_SERVICE_UPLOAD,  /* git-upload-pack */
	_GIT_SERVICE_N,
};

enum role {
	ROLE_ADMIN,    /* everything; the local root is one */
	ROLE_OPERATOR, /* every project, but no keys of others and no destroying */
	ROLE_PROJECT,  /* a project's Linux user: its own project, locally */
	ROLE_DEPLOY,   /* a key of CI: push to one project and read how that went */
	_ROLE_N,
};

enum runtime {
	RUNTIME_PYTHON,
	RUNTIME_NODE,
	RUNTIME_NEXTJS,
	RUNTIME_STATIC,
	_RUNTIME_N,
};

enum job_kind {
	JOB_KIND_DEPLOY,
	JOB_KIND_ROLLBACK,
	JOB_KIND_PROVISION,
	JOB_KIND_DELETE,
	JOB_KIND_RESTART,
	_JOB_KIND_N,
};

enum job_state {
	JOB_STATE_WAITING,
	JOB_STATE_RUNNING,
	JOB_STATE_SUCCEEDED,
	JOB_STATE_FAILED,
	JOB_STATE_SUPERSEDED, /* a newer push came while it waited */
	JOB_STATE_CANCELLED,
	_JOB_STATE_N,
};

enum step_state {
	STEP_STATE_BEGUN,
	STEP_STATE_DONE,
	STEP_STATE_FAILED,
	STEP_STATE_UNDONE,
	_STEP_STATE_N,
};

enum release_state {
	RELEASE_STATE_BUILDING,
	RELEASE_STATE_GOOD,     /* has been live and healthy */
	RELEASE_STATE_FAILED,   /* kept once, for a look at what went wrong */
	RELEASE_STATE_GONE,     /* its directory was removed */
	RELEASE_STATE_REMOVING, /* ... or is about to be; nobody goes back to it */
	_RELEASE_STATE_N,
};

enum log_kind {
	LOG_KIND_APP,   /* standard output of the app */
	LOG_KIND_ERROR, /* its standard error */
	_LOG_KIND_N,
};

enum env_mode {
	ENV_MODE_READ, /* may read values */
	ENV_MODE_EDIT, /* may also change them */
	_ENV_MODE_N,
};

enum unit_action {
	UNIT_ACTION_START,   /* and enable, so that it comes back after a reboot */
	UNIT_ACTION_RESTART, /* the same, also for a unit that runs already */
	UNIT_ACTION_STOP,    /* and disable */
	_UNIT_ACTION_N,
};

/* The steps of provisioning that root does, in order; undone in reverse. */
enum provision_step {
	PROVISION_STEP_ACCOUNT, /* Linux user and group, home 0750 */
	PROVISION_STEP_LAYOUT,  /* releases/, shared/, app, the repository */
	PROVISION_STEP_PORT,    /* a port of its own */
	PROVISION_STEP_ENV,     /* .env with the first variables */
	PROVISION_STEP_UNIT,    /* hostkit-P.service */
	PROVISION_STEP_LOGS,    /* /var/log/projects/P */
	PROVISION_STEP_SITE,    /* nginx */
	PROVISION_STEP_ROW,     /* the project counts as existing from here on */
	_PROVISION_STEP_N,
};

enum step_action {
	STEP_ACTION_CHECK, /* {bool changed}: would DO change anything? */
	STEP_ACTION_DO,
	STEP_ACTION_UNDO,
	_STEP_ACTION_N,
};

/* Bits of PUSH_ACCEPT. */
#define PUSH_OPTION_DETACH 1u   /* the client does not wait; the branch moves at once */
#define PUSH_OPTION_NO_CACHE 2u /* build without kept dependencies */

/* "AUTH_PROBE" ...; NULL for a number that is none. */
const char *request_name(uint32_t op);
const char *role_name(uint32_t role);       /* "admin" ... */
const char *runtime_name(uint32_t runtime); /* "python" ... */
const char *job_kind_name(uint32_t kind);   /* "deploy" ... */
const char *job_state_name(uint32_t state); /* "waiting" ... */
const char *release_state_name(uint32_t state);
