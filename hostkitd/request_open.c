/*
 * Starting the programs a client talks to: hostkit-receive, verbs, hostkit-home. The client end of each
 * socket goes out with the answer; the program gets the other and nothing else.
 */

#include "hostkitd/open.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "hostkitd/account.h"
#include "protocol/exit_report.h"

/* Programs for clients at a time, over all connections. */
#define SESSIONS_MAX 512
/* Of one key or one local user, so that nobody can take them all. */
#define SESSIONS_PER_PRINCIPAL_MAX 64
/* Reading or changing .env takes milliseconds, unless the project's user stops it. */
#define ENVIRONMENT_USEC (60ull * 1000000)

/* A program that runs: for whom, and who wants to know its status. */
struct session {
	LIST_ENTRY(session) list;
	int64_t key;
	char *project; /* that the principal is bound to */
	int status_fd;
};

static void session_free(struct session *session)
{
	LIST_REMOVE(session, list);
	fd_close(session->status_fd);
	free(session->project);
	free(session);
}

static void on_session_end(void *userdata, int status)
{
	struct session *session = userdata;

	status_report(TAKE_FD(session->status_fd), status);
	session_free(session);
}

static bool session_is_too_many(struct daemon *daemon, const struct principal *p)
{
	const struct session *session;
	size_t all = 0, same = 0;

	LIST_FOREACH(session, &daemon->sessions, list)
	{
		all++;
		if (session->key == p->key && str_equal(session->project, p->project))
			same++;
	}
	return all >= SESSIONS_MAX || same >= SESSIONS_PER_PRINCIPAL_MAX;
}

static struct session *session_new(struct daemon *daemon, const struct principal *p)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	*session = (struct session){
		.key = p->key,
		.project = strdup(p->project),
		.status_fd = -EBADF,
	};
	LIST_INSERT_HEAD(&daemon->sessions, session, list);
	if (session->project)
		return session;
	session_free(session);
	return NULL;
}

/* Our ends and the program's, while both are open here. */
struct ends {
	int stream[2]; /* 0: client's, 1: program's */
	int errors[2];
	int status[2];
	int requests[2];
	int words[2];
};

#define ENDS_INIT                           \
	((struct ends){ { -EBADF, -EBADF }, \
			{ -EBADF, -EBADF }, \
			{ -EBADF, -EBADF }, \
			{ -EBADF, -EBADF }, \
			{ -EBADF, -EBADF } })

static void ends_done(struct ends *ends)
{
	for (size_t i = 0; i < 2; i++) {
		fd_close(ends->stream[i]);
		fd_close(ends->errors[i]);
		fd_close(ends->status[i]);
		fd_close(ends->requests[i]);
		fd_close(ends->words[i]);
	}
}

static int ends_open(struct ends *ends, struct error *err)
{
	int r = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends->stream) < 0 ||
	    pipe2(ends->errors, O_CLOEXEC) < 0)
		r = -errno;
	if (r >= 0)
		r = packet_pair(ends->status);
	return r < 0 ? error_internal(err, r, "descriptors for a program") : 0;
}

static int session_start(struct exchange *req, const struct process_plan *plan,
			 uint64_t patience_usec, struct ends *ends, struct error *err)
{
	const struct principal *principal = connection_principal(req->conn);
	struct daemon *daemon = req->daemon;
	struct session *session;
	int r;

	if (session_is_too_many(daemon, principal))
		return error_user(err, -EAGAIN, "RATE_LIMIT_EXCEEDED",
				  "too many commands at once, try again");
	session = session_new(daemon, principal);
	if (!session)
		return error_internal(err, -ENOMEM, "start %s", plan->path);
	r = child_start(daemon, plan, patience_usec, on_session_end, session, err);
	if (r < 0) {
		session_free(session);
		return r;
	}
	session->status_fd = TAKE_FD(ends->status[1]);
	return 0;
}

/* The project's user as the plan wants it. */
static int plan_user(struct process_plan *plan, const char *project, char **ret_home,
		     char **ret_variable, struct error *err)
{
	struct account account;
	int r = account_find(project, &account, NULL);

	if (r <= 0)
		return error_internal(err, r < 0 ? r : -ENOENT, "user %s", project);
	*ret_home = home_path(project);
	*ret_variable = *ret_home ? str_format("HOME=%s", *ret_home) : NULL;
	if (!*ret_variable)
		return error_internal(err, -ENOMEM, "user %s", project);
	plan->drop = true;
	plan->uid = account.uid;
	plan->gid = account.gid;
	plan->directory = *ret_home;
	return 0;
}

/* A connection on which the program sends its own requests. */
static int ends_add_requests(struct exchange *req, struct ends *ends,
			     const struct connection_role *role, struct error *err)
{
	int r = packet_pair(ends->requests);

	if (r < 0)
		return error_internal(err, r, "requests of a program");
	return connection_add(req->daemon, TAKE_FD(ends->requests[0]), role, err);
}

static int start_receive(struct exchange *req, const struct project *project,
			 struct ends *ends, struct error *err)
{
	const struct settings *settings = req->daemon->settings;
	_cleanup_free_ char *path = repository_path(project->name), *home = NULL;
	_cleanup_free_ char *home_variable = NULL;
	_cleanup_free_ char *version =
		str_format("GIT_PROTOCOL=version=%u", req->args.value2);
	_cleanup_free_ char *pack =
		str_format("%llu", (unsigned long long)settings->limits_pack_bytes);
	_cleanup_free_ char *files = str_format("%u", settings->limits_tree_files);
	bool push = req->args.value == GIT_SERVICE_RECEIVE;
	struct process_plan plan = {
		.path = HOSTKIT_LIBEXEC_DIR "/hostkit-receive",
		.fds = { ends->stream[1], ends->stream[1], ends->errors[1],
			 ends->requests[1], ends->status[1] },
		.fd_count = 5,
	};
	int r = plan_user(&plan, project->name, &home, &home_variable, err);

	if (r < 0)
		return r;
	if (!path || !version || !pack || !files)
		return error_internal(err, -ENOMEM, "start hostkit-receive");

	const char *const push_argv[] = { "hostkit-receive",
					  "--project",
					  project->name,
					  "--branch",
					  project->branch,
					  "--max-pack-bytes",
					  pack,
					  "--max-tree-files",
					  files,
					  path,
					  NULL };
	const char *const fetch_argv[] = { "hostkit-receive", "--upload-pack", path,
					   NULL };
	const char *const envp[] = { "PATH=/usr/bin:/bin", EXIT_REPORT_VARIABLE "=4",
				     home_variable, req->args.value2 > 0 ? version : NULL,
				     NULL };
	plan.argv = push ? push_argv : fetch_argv;
	plan.envp = envp;
	return session_start(req, &plan, 0, ends, err);
}

int handle_OPEN_GIT(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(ends_done) struct ends ends = ENDS_INIT;
	bool push = req->args.value == GIT_SERVICE_RECEIVE;
	struct connection_role role = { .phase = PHASE_RECEIVE };
	int r = request_project(req, push ? ACTION_PUSH : ACTION_FETCH, req->args.project,
				true, &project, err);

	if (r >= 0)
		r = ends_open(&ends, err);
	if (r >= 0 && push) {
		role.principal = connection_principal(req->conn);
		role.project = project->name;
		r = ends_add_requests(req, &ends, &role, err);
	}
	if (r >= 0)
		r = start_receive(req, project, &ends, err);
	if (r < 0)
		return r;
	request_add_fd(req, TAKE_FD(ends.stream[0]));
	request_add_fd(req, TAKE_FD(ends.errors[0]));
	request_add_fd(req, TAKE_FD(ends.status[0]));
	return REQUEST_ANSWERED;
}

static int start_verb(struct exchange *req, struct ends *ends, struct error *err)
{
	const struct account *user = &req->daemon->user;
	struct process_plan plan = {
		.path = HOSTKIT_BIN_DIR "/hostkit",
		.argv = (const char *const[]){ "hostkit", "--session", NULL },
		.envp = (const char *const[]){ "PATH=/usr/bin:/bin",
					       EXIT_REPORT_VARIABLE "=5", NULL },
		.fds = { ends->stream[1], ends->stream[1], ends->errors[1],
			 ends->requests[1], ends->words[1], ends->status[1] },
		.fd_count = 6,
		.drop = true,
		.uid = user->uid,
		.gid = user->gid,
	};

	return session_start(req, &plan, 0, ends, err);
}

int handle_OPEN_VERB(struct exchange *req, struct error *err)
{
	_cleanup_(ends_done) struct ends ends = ENDS_INIT;
	const struct connection_role role = {
		.phase = PHASE_COMMAND,
		.principal = connection_principal(req->conn),
	};
	int r = request_project(req, ACTION_COMMAND, NULL, false, NULL, err);

	if (r >= 0)
		r = ends_open(&ends, err);
	if (r >= 0 && packet_pair(ends.words) < 0)
		r = error_internal(err, -errno, "descriptors for a verb");
	if (r >= 0)
		r = ends_add_requests(req, &ends, &role, err);
	if (r >= 0)
		r = start_verb(req, &ends, err);
	if (r < 0)
		return r;
	request_add_fd(req, TAKE_FD(ends.stream[0]));
	request_add_fd(req, TAKE_FD(ends.errors[0]));
	request_add_fd(req, TAKE_FD(ends.status[0]));
	request_add_fd(req, TAKE_FD(ends.words[0]));
	return REQUEST_ANSWERED;
}

int open_environment(struct exchange *req, const char *project, bool edit,
		     struct error *err)
{
	_cleanup_(ends_done) struct ends ends = ENDS_INIT;
	_cleanup_free_ char *home = NULL, *home_variable = NULL;
	struct process_plan plan = {
		.path = HOSTKIT_LIBEXEC_DIR "/hostkit-home",
		.fds = { -1, -1, STDERR_FILENO },
		.fd_count = 3,
	};
	const char *const argv[] = { "hostkit-home", edit ? "env-edit" : "env-read",
				     NULL };
	int r = plan_user(&plan, project, &home, &home_variable, err);

	if (r >= 0)
		r = ends_open(&ends, err);
	if (r < 0)
		return r;
	const char *const envp[] = { "PATH=/usr/bin:/bin", home_variable, NULL };
	plan.argv = argv;
	plan.envp = envp;
	plan.fds[0] = plan.fds[1] = ends.stream[1];
	r = session_start(req, &plan, ENVIRONMENT_USEC, &ends, err);
	if (r < 0)
		return r;
	request_add_fd(req, TAKE_FD(ends.stream[0]));
	request_add_fd(req, TAKE_FD(ends.status[0]));
	return REQUEST_ANSWERED;
}
