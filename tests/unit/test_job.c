/*
 * Whole jobs against a hostkitd of straw at the other end of the socket: it answers what its script says, and
 * writes down what it was asked. The output is what the log gets; the app is a real socket with a real probe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/io.h"
#include "base/process.h"
#include "provision/provision.h"

#define OLD "20250101-000000"
#define NEW "20250215-120000"

struct script {
	uint32_t kind;
	uint32_t runtime;
	const char *live; /* release */
	const char *target;
	const char *build_output;
	uint32_t build_status;
	bool build_hangs;
	bool unit_dead;           /* after the first restart */
	const char *app_says;     /* goes to its error log when it is started */
	enum request refused;     /* this request ... */
	const char *refused_code; /* ... is refused with this code; NULL: none is */
	bool refused_once;        /* the first such request only */
	uint32_t refused_step;    /* PROVISION_STEP: only doing this one */
	enum request hangup; /* at the first such request the connection is closed, */
	bool hangs_up;
	enum request term; /* at the first such request the job gets SIGTERM, */
	bool terms;
	bool no_changes; /* PROVISION_STEP: nothing to do */
	bool complete;   /* PROVISION_STEP: the last one has nothing to do */
	uint32_t port;
	uid_t project_uid; /* 0: ours, and so the app's */
};

struct straw {
	const struct script *script;
	int fd, listen_fd;
	int journal_fd; /* what was asked, one a line */
	int app_log_fd;
	unsigned int restarts;
	unsigned int hangups, terms, refusals;
	int viewers_fd, build_fd, status_fd;
};

static _printf_(2, 3) void note(struct straw *straw, const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	line = str_vformat(fmt, ap);
	va_end(ap);
	(void)io_write_all(straw->journal_fd, line,
			   strlen(line)); /* the test sees it missing */
}

static void put_info(struct straw *straw, struct strbuf *answer)
{
	const struct script *s = straw->script;
	struct job_record record = {
		.id = 7,
		.kind = s->kind,
		.state = JOB_STATE_RUNNING,
		.project = (char *)"shop",
		.commit = (char *)"0123456789abcdef0123456789abcdef01234567"
	};
	struct job_details details = { .runtime = s->runtime,
				       .port = s->port,
				       .branch = (char *)"main",
				       .live_release = (char *)s->live,
				       .target = (char *)s->target,
				       .url = (char *)"http://shop.test",
				       .health_timeout_sec = 2,
				       .output_max_bytes = 10000 };

	job_record_put(answer, &record);
	job_details_put(answer, &details);
}

static void put_unit(struct straw *straw, struct strbuf *answer)
{
	bool dead = straw->script->unit_dead && straw->restarts == 1;
	struct unit_record unit = { .active = (char *)(dead ? "activating" : "active"),
				    .sub = (char *)(dead ? "auto-restart" : "running"),
				    .result = (char *)(dead ? "exit-code" : "success"),
				    .main_pid = 100 + straw->restarts,
				    .exit_status = dead ? 3 : 0 };

	unit_record_put(answer, &unit);
}

static void report_status(struct straw *straw, uint32_t status)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	wire_put_u32(&packet, status);
	/* a job that was cancelled does not wait for it */
	(void)!packet_send(straw->status_fd, packet.data, packet.size, NULL, 0);
	straw->status_fd = fd_close(straw->status_fd);
	straw->build_fd = fd_close(straw->build_fd);
}

static int new_status_fd(struct straw *straw)
{
	int fds[2];

	if (packet_pair(fds) < 0)
		_exit(90);
	straw->status_fd = fds[1];
	return fds[0];
}

static void start_build(struct straw *straw, struct packet *request)
{
	if (request->fd_count != 1)
		_exit(91);
	straw->build_fd = TAKE_FD(request->fds[0]);
	if (straw->script->build_output)
		(void)io_write_all(straw->build_fd, straw->script->build_output,
				   strlen(straw->script->build_output));
}

/* Returns a descriptor to send along, or -1. */
static int answer_to(struct straw *straw, uint32_t op, struct wire *args,
		     struct packet *request, struct strbuf *answer)
{
	_cleanup_free_ char *name = NULL;
	int fds[2];
	uint32_t a, b;

	switch (op) {
	case REQUEST_JOB_INFO:
		put_info(straw, answer);
		return -1;
	case REQUEST_JOB_VIEWERS:
		if (packet_pair(fds) < 0)
			_exit(92);
		straw->viewers_fd = fds[1];
		return fds[0];
	case REQUEST_JOB_STEP:
		name = wire_string(args, REQUEST_NAME_MAX);
		note(straw, "step %s %u\n", name, wire_u32(args));
		return -1;
	case REQUEST_RELEASE_CREATE:
		note(straw, "create\n");
		wire_put_string(answer, NEW);
		return -1;
	case REQUEST_BUILD_START:
		name = wire_string(args, REQUEST_NAME_MAX);
		note(straw, "build %s\n", name);
		start_build(straw, request);
		return new_status_fd(straw);
	case REQUEST_BUILD_ATTACH:
		note(straw, "attach\n");
		return new_status_fd(straw);
	case REQUEST_RELEASE_MARK:
		name = wire_string(args, REQUEST_NAME_MAX);
		note(straw, "mark %s %s\n", name, release_state_name(wire_u32(args)));
		return -1;
	case REQUEST_RELEASE_SWITCH:
	case REQUEST_RELEASE_DROP:
		name = wire_string(args, REQUEST_NAME_MAX);
		note(straw, "%s '%s'\n", op == REQUEST_RELEASE_DROP ? "drop" : "switch",
		     name);
		return -1;
	case REQUEST_UNIT_CONTROL:
		a = wire_u32(args);
		note(straw, "unit %u\n", a);
		straw->restarts++;
		if (straw->script->app_says && straw->restarts == 1)
			(void)io_write_all(straw->app_log_fd, straw->script->app_says,
					   strlen(straw->script->app_says));
		return -1;
	case REQUEST_UNIT_STATE:
		put_unit(straw, answer);
		return -1;
	case REQUEST_JOB_LOG_OPEN:
		return wire_u32(args) == LOG_KIND_ERROR
			       ? dup(straw->app_log_fd)
			       : memfd_create("app", MFD_CLOEXEC);
	case REQUEST_PROVISION_STEP:
		a = wire_u32(args);
		b = wire_u32(args);
		if (b != STEP_ACTION_CHECK)
			note(straw, "%s %u\n", b == STEP_ACTION_DO ? "do" : "undo", a);
		wire_put_bool(answer,
			      !straw->script->no_changes && !(straw->script->complete &&
							      a == PROVISION_STEP_ROW));
		wire_put_string(answer, "");
		return -1;
	case REQUEST_JOB_END:
		a = wire_u32(args);
		name = wire_string(args, REQUEST_NAME_MAX);
		note(straw, "end %u %s\n", a, name);
		return -1;
	default:
		note(straw, "%s\n", request_name(op));
		return -1;
	}
}

/* Go away as a restarted hostkitd does: all descriptors close but the build's output, which others hold. */
static void hang_up(struct straw *straw)
{
	straw->fd = fd_close(straw->fd);
	straw->status_fd = fd_close(straw->status_fd);
	straw->viewers_fd = fd_close(straw->viewers_fd);
	straw->fd = accept4(straw->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (straw->fd < 0)
		_exit(93);
}

static void finish_build(struct straw *straw, uint32_t op)
{
	if (straw->status_fd < 0)
		return;
	if (op == REQUEST_BUILD_STOP)
		report_status(straw, 143);
	if (straw->script->build_hangs)
		return;
	if (op == REQUEST_BUILD_ATTACH ||
	    (op == REQUEST_BUILD_START &&
	     !(straw->script->hangs_up && straw->script->hangup == REQUEST_BUILD_ATTACH)))
		report_status(straw, straw->script->build_status);
}

/* args are those of a copy */
static bool is_refused(struct straw *straw, uint32_t op, struct wire args)
{
	const struct script *s = straw->script;

	if (!s->refused_code || op != s->refused)
		return false;
	if (op == REQUEST_PROVISION_STEP &&
	    (wire_u32(&args) != s->refused_step || wire_u32(&args) != STEP_ACTION_DO))
		return false;
	return straw->refusals++ == 0 || !s->refused_once;
}

static void answer_one(struct straw *straw, struct packet *request)
{
	const struct script *s = straw->script;
	struct wire args = wire_reader(request->data, request->size);
	uint32_t op = wire_u32(&args), serial = wire_u32(&args);
	_cleanup_strbuf_ struct strbuf answer = { 0 };
	bool refused = is_refused(straw, op, args);
	int fd = -1;

	if (s->terms && op == s->term && straw->terms++ == 0)
		(void)kill(getppid(), SIGTERM);
	if (s->hangs_up && op == s->hangup && straw->hangups++ == 0) {
		hang_up(straw);
		return;
	}
	wire_put_u32(&answer, op);
	wire_put_u32(&answer, serial);
	wire_put_u32(&answer, refused ? (uint32_t)-EIO : 0);
	if (refused) {
		note(straw, "refused %s\n", request_name(op));
		wire_put_string(&answer, s->refused_code);
		wire_put_string(&answer, "it was refused");
		wire_put_string(&answer, "");
	} else {
		fd = answer_to(straw, op, &args, request, &answer);
	}
	if (packet_send(straw->fd, answer.data, answer.size, &fd, fd >= 0) < 0)
		note(straw, "nobody waits for the answer\n");
	fd_close(fd);
	if (op == REQUEST_BUILD_START && s->hangs_up &&
	    s->hangup == REQUEST_BUILD_ATTACH) {
		straw->hangups++; /* away while the build runs */
		hang_up(straw);
		return;
	}
	finish_build(straw, op);
}

static _Noreturn void straw_run(struct straw *straw)
{
	(void)prctl(PR_SET_PDEATHSIG,
		    SIGKILL); /* a test that failed leaves nobody behind */
	straw->viewers_fd = straw->build_fd = straw->status_fd = -EBADF;
	for (;;) {
		_cleanup_packet_ struct packet request = { 0 };

		if (packet_receive(straw->fd, &request) <= 0)
			_exit(0);
		answer_one(straw, &request);
	}
}

struct outcome {
	int status;
	char *journal;
	char *output;
};

static char *read_back(int fd)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };

	assert_true(lseek(fd, 0, SEEK_SET) == 0);
	assert_int_equal(io_read_all(fd, 10 << 20, &buf), 0);
	return strbuf_steal(&buf);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Run a job by the script. */
static struct outcome run(const struct script *script, const struct job_plan *plan)
{
	_cleanup_free_ char *path = str_format("/tmp/test_job.%d", getpid());
	_cleanup_close_ int journal_fd = memfd_create("journal", MFD_CLOEXEC),
			    log_fd = memfd_create("log", MFD_CLOEXEC),
			    app_log_fd = memfd_create("error.log", MFD_CLOEXEC),
			    listen_fd = -EBADF;
	_cleanup_error_ struct error err = ERROR_INIT;
	struct straw straw = { .script = script };
	struct outcome outcome = { 0 };
	struct job job;
	int fds[2];
	pid_t pid;

	(void)unlink(path); /* of a run that was killed */
	listen_fd = listen_at(path);
	assert_int_equal(packet_pair(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd_close(fds[0]);
		straw.fd = fds[1];
		straw.listen_fd = listen_fd;
		straw.journal_fd = journal_fd;
		straw.app_log_fd = app_log_fd;
		straw_run(&straw);
	}
	fd_close(fds[1]);

	assert_int_equal(job_init(&job, 7, fds[0], log_fd, &err), 0);
	job.socket_path = path;
	job.probe_path = HOSTKIT_PROBE;
	job.project_uid = script->project_uid ? script->project_uid : getuid();
	outcome.status = job_run(&job, plan);
	job_done(&job);
	assert_int_equal(process_wait(pid), 0);
	(void)unlink(path);
	outcome.journal = read_back(journal_fd);
	outcome.output = read_back(log_fd);
	return outcome;
}

static void outcome_done(struct outcome *outcome)
{
	free(outcome->journal);
	free(outcome->output);
}
#define _cleanup_outcome_ _cleanup_(outcome_done)

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

/* The journal without the lines about steps. */
static char *requests_of(const struct outcome *outcome)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	const char *p = outcome->journal;

	while (*p) {
		size_t n = strcspn(p, "\n") + 1;

		if (!str_after_prefix(p, "step "))
			strbuf_append(&buf, p, n);
		p += n;
	}
	return strbuf_steal(&buf);
}

static void assert_requests(const struct outcome *outcome, const char *expected)
{
	_cleanup_free_ char *got = requests_of(outcome);

	if (strcmp(got, expected) != 0)
		fail_msg("requests:\n%s\nexpected:\n%s\noutput:\n%s", got, expected,
			 outcome->output);
}

/* An app: answers every request with this status. Returns its pid, to be killed. */
static pid_t start_app(const char *status, uint32_t *ret_port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*ret_port = ntohs(address.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	while (pid == 0) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		char request[2048];

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(peer, request, sizeof(request)) > 0)
			(void)dprintf(peer,
				      "HTTP/1.1 %s\r\nContent-Length: 0\r\n"
				      "Connection: close\r\n\r\n",
				      status);
		(void)close(peer);
	}
	fd_close(fd);
	return pid;
}

static void stop_app(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(process_wait(pid), 128 + SIGKILL);
}

static void test_static_deployment(_unused_ void **state)
{
	static const struct script script = {
		.runtime = RUNTIME_STATIC,
		.live = OLD,
		.build_output = "-----> Copying\nfine\n=====> no\n"
	};
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 0);
	assert_requests(&o, "create\nbuild " NEW "\nswitch '" NEW "'\nmark " NEW " good\n"
			    "REF_UPDATE\nend 0 \nRELEASE_PRUNE\n");
	assert_string_equal(o.output, "-----> Copying\n       fine\n       =====> no\n"
				      "-----> Switching to release " NEW "\n"
				      "=====> shop is live: http://shop.test\n"
				      "       release " NEW ", commit 0123456789ab\n"
				      "       to go back: ssh hostkit rollback shop\n");
	assert_has(o.journal, "step build 0\nbuild " NEW "\nstep build 1\n");
}

static void test_healthy_app(_unused_ void **state)
{
	struct script script = { .runtime = RUNTIME_NODE, .live = OLD };
	pid_t app = start_app("200 OK", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	stop_app(app);
	assert_int_equal(o.status, 0);
	assert_requests(&o, "create\nbuild " NEW "\nswitch '" NEW "'\nunit 1\nmark " NEW
			    " good\nREF_UPDATE\nend 0 \nRELEASE_PRUNE\n");
	assert_has(o.output, "-----> Starting shop\n       healthy after ");
}

static void test_build_times_out(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_NODE,
					      .live = OLD,
					      .build_output = "compiling\n",
					      .build_status = 124 };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 5);
	assert_requests(&o, "create\nbuild " NEW "\nmark " NEW
			    " failed\nend 5 BUILD_FAILED\n");
	assert_has(o.output, " !     the build took longer than [build] timeout allows\n"
			     " !     make it shorter, or have [build] timeout raised in "
			     "/etc/hostkit/hostkit.conf");
}

static void test_build_fails(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_NODE,
					      .live = OLD,
					      .build_output = "npm ERR! \033[31mno\n",
					      .build_status = 1 };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 5);
	assert_requests(&o, "create\nbuild " NEW "\nmark " NEW
			    " failed\nend 5 BUILD_FAILED\n");
	assert_has(o.output, "       npm ERR! \\x1b[31mno\n"
			     " !     the build failed with exit status 1\n");
	assert_has(o.journal, "step build 2\nmark");
	assert_has(o.journal, "step release 3\nend"); /* undone */
}

static void test_app_dies(_unused_ void **state)
{
	struct script script = { .runtime = RUNTIME_NODE,
				 .live = OLD,
				 .unit_dead = true,
				 .app_says = "Error: Cannot find module 'express'\n" };
	pid_t app = start_app("204 No Content", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	stop_app(app);
	assert_int_equal(o.status, 7);
	assert_requests(&o,
			"create\nbuild " NEW "\nswitch '" NEW "'\nunit 1\nswitch '" OLD
			"'\nunit 1\nmark " NEW " failed\nend 7 HEALTH_CHECK_FAILED\n");
	assert_has(o.output, "       Error: Cannot find module 'express'\n");
	assert_has(o.output, " !     the app ended with exit status 3\n");
	assert_has(o.output, "-----> Going back to release " OLD "\n"
			     "       release " OLD " is live again, healthy after ");
}

static void test_app_answers_with_errors(_unused_ void **state)
{
	struct script script = { .runtime = RUNTIME_NODE, .live = "" };
	pid_t app = start_app("500 Oops", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	stop_app(app);
	assert_int_equal(o.status, 7);
	/* there is no release to go back to: the unit is stopped */
	assert_requests(&o, "create\nbuild " NEW "\nswitch '" NEW
			    "'\nunit 1\nswitch ''\nunit 2\nmark " NEW
			    " failed\nend 7 HEALTH_CHECK_FAILED\n");
	assert_has(o.output, "/api/health answered 500 after ");
	assert_has(o.output, "the app has written nothing");
}

static void test_nothing_listens(_unused_ void **state)
{
	struct script script = { .runtime = RUNTIME_NODE, .live = "" };
	_cleanup_outcome_ struct outcome o = { 0 };

	stop_app(start_app("200 OK", &script.port)); /* a port that is free now */
	o = run(&script, &deploy_plan);
	assert_int_equal(o.status, 7);
	assert_has(o.output, "nothing listens on 127.0.0.1:");
	assert_has(o.output,
		   " !     the app must listen on 127.0.0.1 at the port in $PORT");
}

static void test_port_is_taken(_unused_ void **state)
{
	struct script script = { .runtime = RUNTIME_NODE,
				 .live = OLD,
				 .project_uid = 12345 };
	pid_t app = start_app("200 OK", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	stop_app(app);
	assert_int_equal(o.status, 7);
	assert_has(o.output, "is taken by a program of the user ");
	assert_has(o.journal, "end 7 PORT_TAKEN\n");
}

/* Steps that write down what happens to them; the one whose number is job->data fails. */
static char *steps_seen;

static void saw(const char *what, const struct job_step *step)
{
	char *more = str_format("%s%s %s\n", steps_seen, what, step->name);

	free(steps_seen);
	steps_seen = more;
}

static int any_run(struct job *job, const struct job_step *step, struct error *err)
{
	saw("run", step);
	if (step->number == *(uint32_t *)job->data)
		return error_user(err, -EIO, "DISK_FULL", "no room");
	return 0;
}

static int any_undo(_unused_ struct job *job, const struct job_step *step,
		    struct error *err)
{
	saw("undo", step);
	return step->number == 1 ? error_internal(err, -EIO, "undo") : 0;
}

static uint32_t failing_step;

static int any_begin(struct job *job, _unused_ struct error *err)
{
	job->data = &failing_step;
	return 0;
}

static void any_report(_unused_ struct job *job)
{
}

/* In reverse, with the one that failed, and one undoing that fails does not stop the others. */
static void test_order_of_undoing(_unused_ void **state)
{
	static const struct job_step steps[] = {
		{ "first", 0, any_run, any_undo },  { "second", 1, any_run, any_undo },
		{ "simple", 2, any_run, NULL },     { "third", 3, any_run, any_undo },
		{ "fourth", 4, any_run, any_undo }, { "fifth", 5, any_run, any_undo },
	};
	static const struct job_plan plan = { .begin = any_begin,
					      .steps = steps,
					      .step_count = ARRAY_SIZE(steps),
					      .report = any_report };
	static const struct script script = { 0 };
	_cleanup_outcome_ struct outcome o = { 0 };

	steps_seen = strdup("");
	failing_step = 4;
	o = run(&script, &plan);
	assert_int_equal(o.status, 1);
	assert_string_equal(steps_seen,
			    "run first\nrun second\nrun simple\nrun third\n"
			    "run fourth\nundo fourth\nundo third\nundo second\n"
			    "undo first\n");
	assert_has(o.journal, "end 1 DISK_FULL\n");
	assert_has(o.output, " !     no room\n !     internal error\n");
	free(steps_seen);
}

static void test_ref_refused(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_STATIC,
					      .live = OLD,
					      .refused = REQUEST_REF_UPDATE,
					      .refused_code = "REF_CHANGED" };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 1);
	assert_requests(&o, "create\nbuild " NEW "\nswitch '" NEW "'\nmark " NEW
			    " good\nrefused REF_UPDATE\nswitch '" OLD "'\nmark " NEW
			    " failed\nend 1 REF_CHANGED\n");
	assert_has(o.output, " !     it was refused\n");
}

/* `app` may have moved although the answer was an error. */
static void test_switch_fails(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_STATIC,
					      .live = OLD,
					      .refused = REQUEST_RELEASE_SWITCH,
					      .refused_code = "DISK_FULL",
					      .refused_once = true };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 1);
	assert_requests(&o, "create\nbuild " NEW "\nrefused RELEASE_SWITCH\n"
			    "switch '" OLD "'\nmark " NEW " failed\nend 1 DISK_FULL\n");
}

static void test_no_release(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_STATIC,
					      .live = OLD,
					      .refused = REQUEST_RELEASE_CREATE,
					      .refused_code = "DISK_FULL" };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 1);
	assert_requests(&o, "refused RELEASE_CREATE\nend 1 DISK_FULL\n");
}

static void test_cancelled_build(_unused_ void **state)
{
	static const struct script script = { .runtime = RUNTIME_NODE,
					      .live = OLD,
					      .build_hangs = true,
					      .terms = true,
					      .term = REQUEST_BUILD_START };
	_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

	assert_int_equal(o.status, 8);
	assert_requests(&o, "create\nbuild " NEW "\nBUILD_STOP\nmark " NEW
			    " failed\ndrop '" NEW "'\nend 8 CANCELLED\n");
	assert_has(o.output, " !     the job was cancelled\n");
}

static void test_hostkitd_restarts(_unused_ void **state)
{
	static const enum request ops[] = { REQUEST_RELEASE_CREATE, REQUEST_BUILD_ATTACH,
					    REQUEST_RELEASE_SWITCH, REQUEST_REF_UPDATE,
					    REQUEST_JOB_END };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct script script = { .runtime = RUNTIME_STATIC,
					 .live = OLD,
					 .hangs_up = true,
					 .hangup = ops[i] };
		_cleanup_outcome_ struct outcome o = run(&script, &deploy_plan);

		if (o.status != 0)
			fail_msg("gone at %s: %d\n%s", request_name(ops[i]), o.status,
				 o.output);
		assert_has(o.journal, "JOB_HELLO\n");
		assert_has(o.journal, "end 0 \nRELEASE_PRUNE\n");
		if (ops[i] == REQUEST_BUILD_ATTACH)
			assert_has(o.journal, "JOB_HELLO\nattach\nstep build 1\n");
	}
}

static void test_output_limit(_unused_ void **state)
{
	_cleanup_strbuf_ struct strbuf text = { 0 };
	struct script script = { .runtime = RUNTIME_STATIC, .live = OLD };
	_cleanup_outcome_ struct outcome o = { 0 };

	for (int i = 0; i < 3000; i++)
		strbuf_format(&text, "line %d\n", i);
	script.build_output = strbuf_get(&text);
	o = run(&script, &deploy_plan);
	assert_int_equal(o.status, 0);
	assert_has(o.output, "       line 1000\n");
	assert_has(o.output, " !     the build has written more than 10000 bytes");
	assert_null(strstr(o.output, "line 2000"));
	assert_has(o.output, "=====> shop is live");
}

static void test_rollback(_unused_ void **state)
{
	struct script script = { .kind = JOB_KIND_ROLLBACK,
				 .runtime = RUNTIME_NODE,
				 .live = NEW,
				 .target = OLD };
	pid_t app = start_app("302 Found", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &rollback_plan);

	stop_app(app);
	assert_int_equal(o.status, 0);
	assert_requests(&o, "switch '" OLD "'\nunit 1\nmark " OLD " good\nend 0 \n");
	assert_has(o.output,
		   "=====> shop is live with release " OLD ": http://shop.test\n"
		   "       to undo this: ssh hostkit rollback shop --to " NEW "\n");
}

static void test_restart(_unused_ void **state)
{
	struct script script = { .kind = JOB_KIND_RESTART,
				 .runtime = RUNTIME_NODE,
				 .live = OLD };
	pid_t app = start_app("200 OK", &script.port);
	_cleanup_outcome_ struct outcome o = run(&script, &restart_plan);

	stop_app(app);
	assert_int_equal(o.status, 0);
	assert_requests(&o, "unit 1\nend 0 \n");
	assert_has(o.output, "=====> shop runs again: http://shop.test\n");
}

/* That systemd has started it is not enough; and there is nothing to go back to. */
static void test_restart_fails(_unused_ void **state)
{
	struct script script = { .kind = JOB_KIND_RESTART,
				 .runtime = RUNTIME_NODE,
				 .live = OLD,
				 .unit_dead = true,
				 .app_says = "boom: no database\n",
				 .port = 1 };
	_cleanup_outcome_ struct outcome o = run(&script, &restart_plan);

	assert_int_equal(o.status, 7);
	assert_has(o.output, "boom: no database\n");
	assert_requests(&o, "unit 1\nend 7 HEALTH_CHECK_FAILED\n");
}

static void test_provision(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_PROVISION, .port = 8001 };
	_cleanup_outcome_ struct outcome o = run(&script, &provision_plan);

	assert_int_equal(o.status, 0);
	assert_requests(&o, "do 0\ndo 1\ndo 2\ndo 3\ndo 4\ndo 5\ndo 6\ndo 7\nend 0 \n");
	assert_has(o.output, "-----> Creating the user shop\n");
	assert_has(o.output, "         git remote add hostkit hostkit:shop\n"
			     "         git push hostkit main\n");
}

static void test_provision_again(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_PROVISION,
					      .no_changes = true };
	_cleanup_outcome_ struct outcome o = run(&script, &provision_plan);

	assert_int_equal(o.status, 0);
	assert_requests(&o, "end 0 \n");
	assert_has(o.output, "=====> shop exists already: http://shop.test\n");
}

static void test_provision_fails(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_PROVISION,
					      .refused = REQUEST_PROVISION_STEP,
					      .refused_step = PROVISION_STEP_PORT,
					      .refused_code = "NO_PORT" };
	_cleanup_outcome_ struct outcome o = run(&script, &provision_plan);

	assert_int_equal(o.status, 1);
	assert_requests(&o, "do 0\ndo 1\nrefused PROVISION_STEP\nundo 2\nundo 1\nundo 0\n"
			    "end 1 NO_PORT\n");
}

/* What was complete and is repaired is somebody's: a repair that fails takes nothing away. */
static void test_repair_fails(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_PROVISION,
					      .complete = true,
					      .refused = REQUEST_PROVISION_STEP,
					      .refused_step = PROVISION_STEP_SITE,
					      .refused_code = "SITE_REFUSED" };
	_cleanup_outcome_ struct outcome o = run(&script, &provision_plan);

	assert_int_equal(o.status, 1);
	assert_requests(&o, "do 0\ndo 1\ndo 2\ndo 3\ndo 4\ndo 5\nrefused PROVISION_STEP\n"
			    "end 1 SITE_REFUSED\n");
}

static void test_provision_cancelled(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_PROVISION,
					      .terms = true,
					      .term = REQUEST_PROVISION_STEP };
	_cleanup_outcome_ struct outcome o = run(&script, &provision_plan);

	assert_int_equal(o.status, 8);
	assert_requests(&o, "end 8 CANCELLED\n"); /* before anything was done */
}

static void test_delete(_unused_ void **state)
{
	static const struct script script = { .kind = JOB_KIND_DELETE };
	_cleanup_outcome_ struct outcome o = run(&script, &delete_plan);

	assert_int_equal(o.status, 0);
	assert_requests(&o,
			"undo 7\nundo 6\nundo 4\nundo 5\nundo 3\nundo 2\nundo 1\nundo 0\n"
			"end 0 \n");
	assert_has(o.output, "=====> shop is gone\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_static_deployment),
		cmocka_unit_test(test_healthy_app),
		cmocka_unit_test(test_build_fails),
		cmocka_unit_test(test_build_times_out),
		cmocka_unit_test(test_app_dies),
		cmocka_unit_test(test_app_answers_with_errors),
		cmocka_unit_test(test_nothing_listens),
		cmocka_unit_test(test_port_is_taken),
		cmocka_unit_test(test_order_of_undoing),
		cmocka_unit_test(test_ref_refused),
		cmocka_unit_test(test_switch_fails),
		cmocka_unit_test(test_no_release),
		cmocka_unit_test(test_cancelled_build),
		cmocka_unit_test(test_hostkitd_restarts),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_fails),
		cmocka_unit_test(test_provision),
		cmocka_unit_test(test_provision_again),
		cmocka_unit_test(test_provision_fails),
		cmocka_unit_test(test_repair_fails),
		cmocka_unit_test(test_provision_cancelled),
		cmocka_unit_test(test_delete),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as in the program */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
