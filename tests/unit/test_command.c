/*
 * The program itself, as hostkitd starts it for an SSH session; the other end of its request connection
 * is played by the test, message by message.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/packet.h"
#include "base/process.h"
#include "home/env.h"
#include "protocol/record.h"
#include "protocol/request.h"
#include "protocol/status.h"
#include "protocol/stream.h"

#define HOSTKIT_PROGRAM HOSTKIT_BUILD_DIR "/command/hostkit"

/* Long enough for a slow machine, short enough to fail. */
#define PATIENCE_MSEC 20000

#define SHOP_RELEASE "20250215-120000"

struct session {
	pid_t pid;
	int io_fd;       /* its standard input and output */
	int err_fd;      /* its standard error */
	int requests_fd; /* we are hostkitd */
	struct wire args;
	struct packet packet;
	uint32_t op, serial;
	char *out, *err;
};

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, PATIENCE_MSEC) != 1)
		fail_msg("nothing came");
}

static void send_words(int fd, bool terminal, const char *const *words)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };
	uint32_t count = 0;

	while (words[count])
		count++;
	wire_put_bool(&packet, terminal);
	wire_put_u32(&packet, count);
	for (uint32_t i = 0; i < count; i++)
		wire_put_string(&packet, words[i]);
	assert_int_equal(packet_send(fd, packet.data, packet.size, NULL, 0), 0);
}

static void start(struct session *s, const char *const *words)
{
	static const char *const argv[] = { "hostkit", "--session", NULL };
	/* no leak check in a child that is killed, and errors must not look like a status */
	static const char *const envp[] = { "ASAN_OPTIONS=exitcode=99",
					    "UBSAN_OPTIONS=halt_on_error=1:exitcode=99",
					    NULL };
	_cleanup_close_ int io = -EBADF, err = -EBADF, requests = -EBADF,
			    arguments = -EBADF, ours = -EBADF;
	int pair[2];

	*s = (struct session){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	s->io_fd = pair[0];
	io = pair[1];
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	s->err_fd = pair[0];
	err = pair[1];
	assert_int_equal(packet_pair(pair), 0);
	s->requests_fd = pair[0];
	requests = pair[1];
	assert_int_equal(packet_pair(pair), 0);
	ours = pair[0];
	arguments = pair[1];

	struct process_plan plan = {
		.path = HOSTKIT_PROGRAM,
		.argv = argv,
		.envp = envp,
		.fds = { io, io, err, requests, arguments },
		.fd_count = 5,
	};
	assert_int_equal(process_start(&plan, &s->pid, NULL, NULL), 0);
	send_words(ours, false, words);
}

/* The program asks for op; its arguments are in s->args. */
static void asked(struct session *s, enum request op)
{
	wait_readable(s->requests_fd);
	packet_done(&s->packet);
	assert_int_equal(packet_receive(s->requests_fd, &s->packet), 1);
	s->args = wire_reader(s->packet.data, s->packet.size);
	s->op = wire_u32(&s->args);
	s->serial = wire_u32(&s->args);
	if (s->op != op)
		fail_msg("%s instead of %s", request_name(s->op), request_name(op));
}

static void asked_for(struct session *s, const char *text)
{
	_cleanup_free_ char *got = wire_string(&s->args, WIRE_MESSAGE_MAX);

	assert_non_null(got);
	assert_string_equal(got, text);
}

static void answer(struct session *s, const struct strbuf *body, const int *fds,
		   size_t count)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	assert_int_equal(wire_end(&s->args), 0);
	wire_put_u32(&packet, s->op);
	wire_put_u32(&packet, s->serial);
	wire_put_u32(&packet, 0);
	if (body)
		strbuf_append(&packet, strbuf_get(body), body->size);
	assert_int_equal(packet_send(s->requests_fd, packet.data, packet.size, fds,
				     count),
			 0);
}

static void answer_error(struct session *s, int number, const char *code,
			 const char *message, const char *suggestion)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	wire_put_u32(&packet, s->op);
	wire_put_u32(&packet, s->serial);
	wire_put_u32(&packet, (uint32_t)number);
	wire_put_string(&packet, code);
	wire_put_string(&packet, message);
	wire_put_string(&packet, suggestion);
	assert_int_equal(packet_send(s->requests_fd, packet.data, packet.size, NULL, 0),
			 0);
}

static int memfd_of(const void *data, size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, data, size), 0);
	return fd;
}

static void answer_list(struct session *s, uint32_t count, const struct strbuf *records)
{
	_cleanup_strbuf_ struct strbuf body = { 0 };
	_cleanup_close_ int fd = memfd_of(strbuf_get(records), records->size);

	wire_put_u32(&body, count);
	answer(s, &body, &fd, 1);
}

static void answer_whoami(struct session *s, uint32_t role, const char *project)
{
	_cleanup_strbuf_ struct strbuf body = { 0 };

	asked(s, REQUEST_WHOAMI);
	wire_put_string(&body, "anna");
	wire_put_u32(&body, role);
	wire_put_string(&body, "SHA256:abc");
	wire_put_string(&body, project);
	answer(s, &body, NULL, 0);
}

static void put_project(struct strbuf *buf, const char *name)
{
	struct project_record p = {
		.name = (char *)name,
		.runtime = RUNTIME_NODE,
		.port = 8001,
		.branch = (char *)"main",
		.release = (char *)SHOP_RELEASE,
		.commit = (char *)"0123456789012345678901234567890123456789",
		.url = (char *)"http://shop.example",
		.created_sec = 1739620800,
		.created_by = (char *)"anna\033[2J\xff",
		.unit = { .active = (char *)"active",
			  .sub = (char *)"running",
			  .result = (char *)"success",
			  .memory_bytes = UINT64_MAX },
	};

	project_record_put(buf, &p);
}

static char *read_rest(int fd)
{
	_cleanup_strbuf_ struct strbuf buf = { 0 };
	int r = io_read_all(fd, 64u * 1024 * 1024, &buf);

	/* what was not read on the other side before the end resets the connection */
	if (r < 0 && r != -ECONNRESET)
		fail_msg("read: %s", strerror(-r));
	return strbuf_steal(&buf);
}

/* Let it end, keep what it wrote. Returns its exit status. */
static int finish(struct session *s)
{
	s->out = read_rest(s->io_fd);
	s->err = read_rest(s->err_fd);
	return process_wait(s->pid);
}

static void session_done(struct session *s)
{
	fd_close(s->io_fd);
	fd_close(s->err_fd);
	fd_close(s->requests_fd);
	packet_done(&s->packet);
	free(s->out);
	free(s->err);
}
#define _cleanup_session_ _cleanup_(session_done)

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in: %s", what, text);
}

static void test_whoami(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("whoami"));
	answer_whoami(&s, ROLE_DEPLOY, "shop");
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "name:        anna\nrole:        deploy\n"
				   "project:     shop\nfingerprint: SHA256:abc\n");
	assert_string_equal(s.err, "");
}

static void test_error_and_status(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("project", "info", "shop"));
	asked(&s, REQUEST_PROJECT_INFO);
	asked_for(&s, "shop");
	answer_error(&s, -ENOENT, "PROJECT_NOT_FOUND", "no 'shop'\033", "hostkit x");
	assert_int_equal(finish(&s), STATUS_DENIED);
	assert_string_equal(s.out, "");
	assert_string_equal(s.err, " !     no 'shop'\\x1b\n !     hostkit x\n");
}

static void test_error_as_json(void **state _unused_)
{
	_cleanup_session_ struct session s;
	json_t *json;

	start(&s, WORDS("project", "--json", "info", "shop"));
	asked(&s, REQUEST_PROJECT_INFO);
	answer_error(&s, -EBUSY, "SOMETHING_NEW", "busy \xff", "");
	assert_int_equal(finish(&s), STATUS_LOCKED);
	assert_string_equal(s.err, "");
	json = json_loads(s.out, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(json, "error"),
						    "code")),
			    "SOMETHING_NEW");
	json_decref(json);
}

static void test_internal_error(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("whoami"));
	asked(&s, REQUEST_WHOAMI);
	answer_error(&s, -ENOENT, "", "the cause", "");
	assert_int_equal(finish(&s), STATUS_FAILED);
	assert_string_equal(s.err, " !     internal error\n");
}

static void test_hostile_record(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf body = { 0 };

	put_project(&body, "shop");
	start(&s, WORDS("project", "info", "shop"));
	asked(&s, REQUEST_PROJECT_INFO);
	asked_for(&s, "shop");
	answer(&s, &body, NULL, 0);
	assert_int_equal(finish(&s), STATUS_DONE);
	has(s.out, "anna\\x1b[2J\\xff\n");
	has(s.out, "state:      running\n");
	assert_null(strchr(s.out, '\033'));
}

static void test_malformed_answer(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf body = { 0 };

	put_project(&body, "shop");
	wire_put_u8(&body, 0);
	start(&s, WORDS("project", "info", "shop", "--json"));
	asked(&s, REQUEST_PROJECT_INFO);
	asked_for(&s, "shop");
	answer(&s, &body, NULL, 0);
	assert_int_equal(finish(&s), STATUS_FAILED);
	has(s.out, "INTERNAL_ERROR");
}

static void test_daemon_goes(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("restart", "shop"));
	asked(&s, REQUEST_PROJECT_RESTART);
	s.requests_fd = fd_close(s.requests_fd);
	assert_int_equal(finish(&s), STATUS_FAILED);
	has(s.err, "hostkitd closed the connection");
}

/* A client that only ended its input still wants the answer. */
static void test_half_closed_client(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("whoami"));
	asked(&s, REQUEST_WHOAMI);
	assert_int_equal(shutdown(s.io_fd, SHUT_WR), 0);
	usleep(50000); /* time to end wrongly */
	s.packet.size = 0;
	answer_error(&s, -EACCES, "ACCESS_DENIED", "no", "");
	assert_int_equal(finish(&s), STATUS_DENIED);
}

static void test_client_goes_while_waiting(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("restart", "shop"));
	asked(&s, REQUEST_PROJECT_RESTART);
	s.io_fd = fd_close(s.io_fd);
	/* it ends without the answer */
	assert_int_equal(process_wait(s.pid), STATUS_FAILED);
}

static void test_implied_project(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("restart"));
	answer_whoami(&s, ROLE_PROJECT, "shop");
	asked(&s, REQUEST_PROJECT_RESTART);
	asked_for(&s, "shop");
	answer_error(&s, -EBUSY, "PROJECT_LOCKED", "no", "");
	assert_int_equal(finish(&s), STATUS_LOCKED);
}

static void test_only_project(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf records = { 0 };

	put_project(&records, "shop");
	start(&s, WORDS("releases"));
	answer_whoami(&s, ROLE_ADMIN, "");
	asked(&s, REQUEST_PROJECT_LIST);
	answer_list(&s, 1, &records);
	asked(&s, REQUEST_RELEASE_LIST);
	asked_for(&s, "shop");
	strbuf_clear(&records);
	answer_list(&s, 0, &records);
	assert_int_equal(finish(&s), STATUS_DONE);
	has(s.out, "No releases yet");
}

static void test_one_of_several_projects(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf records = { 0 };

	put_project(&records, "shop");
	put_project(&records, "blog");
	start(&s, WORDS("releases", "--json"));
	answer_whoami(&s, ROLE_ADMIN, "");
	asked(&s, REQUEST_PROJECT_LIST);
	answer_list(&s, 2, &records);
	assert_int_equal(finish(&s), STATUS_USAGE);
	has(s.out, "PROJECT_REQUIRED");
}

/* A list that says it has more than it has. */
static void test_lying_list(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf records = { 0 };

	put_project(&records, "shop");
	start(&s, WORDS("project", "list"));
	asked(&s, REQUEST_PROJECT_LIST);
	answer_list(&s, 1000000, &records);
	assert_int_equal(finish(&s), STATUS_FAILED);
}

static void test_releases(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf records = { 0 };
	struct release_record r = {
		.name = (char *)SHOP_RELEASE,
		.state = RELEASE_STATE_GOOD,
		.live = true,
		.commit = (char *)"",
		.branch = (char *)"main",
		.by = (char *)"anna",
		.created_sec = 1739620800,
	};

	release_record_put(&records, &r);
	start(&s, WORDS("releases", "shop", "--json"));
	asked(&s, REQUEST_RELEASE_LIST);
	asked_for(&s, "shop");
	answer_list(&s, 1, &records);
	assert_int_equal(finish(&s), STATUS_DONE);
	has(s.out, "\"state\": \"good\", \"live\": true, \"commit\": null");
	assert_null(strstr(s.out, "shown"));
}

/* Start a job's verb up to the viewer. Returns our end of it. */
static int start_viewed(struct session *s, const char *const *words, enum request op)
{
	_cleanup_strbuf_ struct strbuf body = { 0 };
	int pair[2];

	start(s, words);
	asked(s, op);
	asked_for(s, "shop");
	assert_int_equal(packet_pair(pair), 0);
	wire_put_i64(&body, 7);
	/* the other arguments do not matter here */
	s->args.at = s->args.size;
	answer(s, &body, &pair[1], 1);
	close(pair[1]);
	return pair[0];
}

static void view(int fd, const char *text)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	stream_put_text(&packet, text, strlen(text));
	assert_int_equal(packet_send(fd, packet.data, packet.size, NULL, 0), 0);
}

static void view_end(int fd, uint32_t status, const char *code, const char *message)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };
	struct stream_end end = {
		.exit_status = status,
		.code = (char *)code,
		.message = (char *)message,
	};

	stream_put_end(&packet, &end);
	assert_int_equal(packet_send(fd, packet.data, packet.size, NULL, 0), 0);
}

static void test_job_succeeds(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int fd = start_viewed(&s, WORDS("provision", "shop", "--node"),
					      REQUEST_START_PROVISION);

	view(fd, "-----> One\n       two\n");
	view(fd, "=====> Done\n");
	view_end(fd, 0, "", "");
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "-----> One\n       two\n=====> Done\n");
	assert_string_equal(s.err, "");
}

static void test_provision_other_runtime(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, WORDS("provision", "shop", "--static"));
	asked(&s, REQUEST_START_PROVISION);
	answer_error(&s, -EEXIST, "PROJECT_EXISTS", "it exists", "");
	assert_int_equal(finish(&s), STATUS_FAILED);
}

static void test_job_fails(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int fd =
		start_viewed(&s, WORDS("rollback", "shop"), REQUEST_START_ROLLBACK);

	view(fd, "-----> One\n !     it is ill\n");
	view_end(fd, STATUS_HEALTH, "HEALTH_CHECK_FAILED", "it is ill");
	assert_int_equal(finish(&s), STATUS_HEALTH);
	assert_string_equal(s.out, "-----> One\n");
	/* said once */
	assert_string_equal(s.err, " !     it is ill\n");
}

static void test_job_fails_silently(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int fd =
		start_viewed(&s, WORDS("rollback", "shop"), REQUEST_START_ROLLBACK);

	view_end(fd, 200, "ODD", "it is odd");
	assert_int_equal(finish(&s), STATUS_FAILED);
	assert_string_equal(s.err, " !     it is odd\n");
}

static void test_job_as_json(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int fd = start_viewed(&s,
					      WORDS("project", "delete", "shop", "--json",
						    "--confirm", "shop"),
					      REQUEST_START_DELETE);

	view(fd, "-----> One\n !     two\n");
	view_end(fd, 0, "", "");
	assert_int_equal(finish(&s), STATUS_DONE);
	has(s.out, "{\"success\": true");
	has(s.out, "\"job\": 7");
	assert_null(strstr(s.out, "One"));
	assert_string_equal(s.err, "");
}

static void test_job_lost(void **state _unused_)
{
	_cleanup_session_ struct session s;
	int fd = start_viewed(&s, WORDS("rollback", "shop"), REQUEST_START_ROLLBACK);

	view(fd, "-----> One\n");
	close(fd);
	assert_int_equal(finish(&s), STATUS_FAILED);
	has(s.err, "job 7 ended without a verdict");
}

static void test_viewer_goes(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int fd =
		start_viewed(&s, WORDS("rollback", "shop"), REQUEST_START_ROLLBACK);

	s.io_fd = fd_close(s.io_fd);
	assert_int_equal(process_wait(s.pid), STATUS_FAILED);
	/* and the job sees it leave */
	wait_readable(fd);
}

static void test_delete_needs_confirmation(void **state _unused_)
{
	_cleanup_session_ struct session s, t;

	start(&s, WORDS("project", "delete", "shop"));
	assert_int_equal(finish(&s), STATUS_USAGE);
	has(s.err, "--confirm shop");

	start(&t, WORDS("project", "delete", "shop", "--confirm", "shpo"));
	assert_int_equal(finish(&t), STATUS_USAGE);
	has(t.err, "must repeat");
}

static void test_key_add(void **state _unused_)
{
	static const char line[] =
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHcFPEc0H89PbVA9AflGlkUf"
		"anxuSiOZSLyqw+iRJlhG anna\033\n";
	_cleanup_session_ struct session s;
	_cleanup_strbuf_ struct strbuf body = { 0 };
	size_t size;

	start(&s, WORDS("key", "add", "shop", "ci"));
	assert_int_equal(io_write_all(s.io_fd, line, strlen(line)), 0);
	assert_int_equal(shutdown(s.io_fd, SHUT_WR), 0);
	asked(&s, REQUEST_KEY_ADD);
	asked_for(&s, "ci");
	assert_int_equal(wire_u32(&s.args), ROLE_DEPLOY);
	asked_for(&s, "shop");
	assert_non_null(wire_bytes(&s.args, REQUEST_KEY_BLOB_MAX, &size));
	assert_int_equal(size, 51);
	asked_for(&s, "anna\\x1b");
	wire_put_string(&body, "SHA256:xyz");
	answer(&s, &body, NULL, 0);
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "Added the deploy key 'ci' SHA256:xyz\n");
}

/* More than any key has, and the client goes on sending. */
static void test_key_add_endless_input(void **state _unused_)
{
	_cleanup_session_ struct session s;
	static char zeros[65536];

	start(&s, WORDS("key", "add", "anna", "--admin"));
	(void)io_write_all(s.io_fd, zeros, sizeof(zeros)); /* it may have ended already */
	assert_int_equal(finish(&s), STATUS_USAGE);
	has(s.err, "too long");
}

static void test_bad_names_are_not_sent(void **state _unused_)
{
	static const char *const names[] = {
		"..", "A", "a/b", "root", "a\n", "\xff", ""
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_session_ struct session s;

		start(&s, WORDS("restart", names[i]));
		if (finish(&s) != STATUS_USAGE)
			fail_msg("'%s' was taken", names[i]);
		has(s.err, "cannot be a project's name");
		assert_string_equal(s.out, "");
	}
}

/* Every verb with no words, with one too many, with --help, with an unknown flag: without hostkitd. */
static void test_arity(void **state _unused_)
{
	static const char *const one[] = { "whoami", "version", "capabilities",
					   "key list", "project list" };

	for (size_t i = 0; i < ARRAY_SIZE(one); i++) {
		_cleanup_free_ char *name = strdup(one[i]);
		char *second = strchr(name, ' ');
		_cleanup_session_ struct session s;

		if (second)
			*second++ = '\0';
		if (second)
			start(&s, WORDS(name, second, "x"));
		else
			start(&s, WORDS(name, "x"));
		assert_int_equal(finish(&s), STATUS_USAGE);
		has(s.err, "one word too many");
		has(s.err, "usage: hostkit ");
	}
}

static void test_no_words(void **state _unused_)
{
	_cleanup_session_ struct session s;

	start(&s, (const char *const[]){ NULL });
	assert_int_equal(finish(&s), STATUS_USAGE);
	has(s.err, "which verb?");
	has(s.out, "provision");
}

static void answer_log(struct session *s, uint32_t kind, int log_fd)
{
	asked(s, REQUEST_LOG_OPEN);
	asked_for(s, "shop");
	assert_int_equal(wire_u32(&s->args), kind);
	answer(s, NULL, &log_fd, 1);
}

static void test_logs(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int app = memfd_of("1\n2\n\033[2J3\n", 9);
	_cleanup_close_ int error = memfd_of("", 0);

	start(&s, WORDS("logs", "shop", "-n", "2"));
	answer_log(&s, LOG_KIND_APP, app);
	answer_log(&s, LOG_KIND_ERROR, error);
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "2\n\\x1b[2J3\n");
}

static void test_logs_of_both(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int app = memfd_of("app", 3);
	_cleanup_close_ int error = memfd_of("oh\nno", 5);

	start(&s, WORDS("logs", "shop"));
	answer_log(&s, LOG_KIND_APP, app);
	answer_log(&s, LOG_KIND_ERROR, error);
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "=====> app.log\napp\n=====> error.log\noh\nno\n");
}

static void test_logs_as_json(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int error = memfd_of("a\n\xff\033\nb", 6);
	json_t *json;
	const json_t *lines;

	start(&s, WORDS("logs", "shop", "--error", "--json"));
	answer_log(&s, LOG_KIND_ERROR, error);
	assert_int_equal(finish(&s), STATUS_DONE);
	json = json_loads(s.out, 0, NULL);
	assert_non_null(json);
	lines = json_object_get(json_object_get(json, "data"), "lines");
	assert_int_equal(json_array_size(lines), 3);
	assert_string_equal(json_string_value(
				    json_object_get(json_array_get(lines, 1), "text")),
			    "\\xff\033");
	json_decref(json);
}

static void expect_output(struct session *s, const char *text)
{
	char got[256];
	size_t size = 0, want = strlen(text);

	while (size < want) {
		ssize_t n;

		wait_readable(s->io_fd);
		n = read(s->io_fd, got + size, want - size);
		assert_true(n > 0);
		size += (size_t)n;
	}
	assert_memory_equal(got, text, want);
}

static void test_logs_followed(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_close_ int app = memfd_of("old\n", 4);
	_cleanup_close_ int error = memfd_of("", 0);

	start(&s, WORDS("logs", "shop", "-f"));
	answer_log(&s, LOG_KIND_APP, app);
	answer_log(&s, LOG_KIND_ERROR, error);
	expect_output(&s, "old\n");
	assert_int_equal(io_write_all(app, "new\n", 4), 0);
	expect_output(&s, "new\n");
	/* half a line, and then the other file */
	assert_int_equal(io_write_all(error, "half", 4), 0);
	expect_output(&s, "half");
	assert_int_equal(io_write_all(app, "whole\n", 6), 0);
	expect_output(&s, "\nwhole\n");
	/* rotated in place */
	assert_int_equal(ftruncate(app, 0), 0);
	usleep(300000); /* shorter files are noticed at the next look */
	assert_int_equal(pwrite(app, "fresh\n", 6, 0), 6);
	expect_output(&s, "fresh\n");

	s.io_fd = fd_close(s.io_fd);
	assert_int_equal(process_wait(s.pid), STATUS_FAILED);
}

static void answer_env(struct session *s, uint32_t mode, int *ret_stream, int *ret_status)
{
	int stream[2], status[2];
	int fds[2];

	asked(s, REQUEST_ENV_OPEN);
	asked_for(s, "shop");
	assert_int_equal(wire_u32(&s->args), mode);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	assert_int_equal(packet_pair(status), 0);
	fds[0] = stream[1];
	fds[1] = status[1];
	answer(s, NULL, fds, 2);
	close(stream[1]);
	close(status[1]);
	*ret_stream = stream[0];
	*ret_status = status[0];
}

static void home_ends(int stream, int status, uint32_t exit_status)
{
	_cleanup_strbuf_ struct strbuf packet = { 0 };

	close(stream);
	wire_put_u32(&packet, exit_status);
	assert_int_equal(packet_send(status, packet.data, packet.size, NULL, 0), 0);
	close(status);
}

static void test_env_list(void **state _unused_)
{
	static const char file[] =
		"# mine\nA=1\nAPI_TOKEN=hidden\nB='two words'\nC=\033[2J\n";
	_cleanup_session_ struct session s, t;
	int stream, status;

	start(&s, WORDS("env", "list", "shop"));
	answer_env(&s, ENV_MODE_READ, &stream, &status);
	assert_int_equal(io_write_all(stream, file, strlen(file)), 0);
	home_ends(stream, status, 0);
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "A=1\nAPI_TOKEN=********\nB=two words\nC=\\x1b[2J\n");

	start(&t, WORDS("env", "list", "shop", "--show", "--json"));
	answer_env(&t, ENV_MODE_READ, &stream, &status);
	assert_int_equal(io_write_all(stream, file, strlen(file)), 0);
	home_ends(stream, status, 0);
	assert_int_equal(finish(&t), STATUS_DONE);
	has(t.out, "\"value\": \"hidden\"");
}

static void test_env_get(void **state _unused_)
{
	static const char file[] = "A='x \\ \"y\"'\n";
	_cleanup_session_ struct session s, t;
	int stream, status;

	start(&s, WORDS("env", "get", "shop", "A"));
	answer_env(&s, ENV_MODE_READ, &stream, &status);
	assert_int_equal(io_write_all(stream, file, strlen(file)), 0);
	home_ends(stream, status, 0);
	assert_int_equal(finish(&s), STATUS_DONE);
	assert_string_equal(s.out, "x \\ \"y\"\n");

	start(&t, WORDS("env", "get", "shop", "NONE"));
	answer_env(&t, ENV_MODE_READ, &stream, &status);
	home_ends(stream, status, 0);
	assert_int_equal(finish(&t), STATUS_FAILED);
	has(t.err, "has no variable NONE");
}

static void test_env_unreadable(void **state _unused_)
{
	_cleanup_session_ struct session s;
	int stream, status;

	start(&s, WORDS("env", "list", "shop"));
	answer_env(&s, ENV_MODE_READ, &stream, &status);
	home_ends(stream, status, 1);
	assert_int_equal(finish(&s), STATUS_FAILED);
	assert_string_equal(s.out, "");
}

static void test_env_set(void **state _unused_)
{
	_cleanup_session_ struct session s;
	_cleanup_env_changes_ struct env_changes changes = { 0 };
	_cleanup_strbuf_ struct strbuf asked = { 0 }, said = { 0 };
	bool changed[2] = { true, false };
	int stream, status;

	/* without the project, whose place the first assignment takes */
	start(&s, WORDS("env", "set", "A=b=c", "T=-"));
	assert_int_equal(io_write_all(s.io_fd, "s3cret \\ %n\n", 12), 0);
	assert_int_equal(shutdown(s.io_fd, SHUT_WR), 0);
	answer_whoami(&s, ROLE_PROJECT, "shop");
	answer_env(&s, ENV_MODE_EDIT, &stream, &status);
	assert_int_equal(io_read_all(stream, 10000, &asked), 0);
	assert_int_equal(env_changes_get(asked.data, asked.size, &changes), 0);
	assert_int_equal(changes.count, 2);
	assert_int_equal(changes.items[0].op, ENV_OP_SET);
	assert_string_equal(changes.items[0].key, "A");
	assert_string_equal(changes.items[0].value, "b=c");
	assert_string_equal(changes.items[1].value, "s3cret \\ %n");
	env_answer_put(&said, changed, 2, NULL);
	assert_int_equal(io_write_all(stream, said.data, said.size), 0);
	home_ends(stream, status, 0);
	assert_int_equal(finish(&s), STATUS_DONE);
	has(s.out, "Changed 1 variable; ");
	assert_null(strstr(s.out, "s3cret"));
}

static void test_env_refusals(void **state _unused_)
{
	static const struct {
		const char *verb;
		const char *word;
		int status;
		const char *message;
	} cases[] = {
		{ "set", "PORT=1", STATUS_DENIED, "PORT is set by HostKit" },
		{ "set", "1A=1", STATUS_USAGE, "cannot be the name" },
		{ "set", "=1", STATUS_USAGE, "cannot be the name" },
		{ "set", "\033=1", STATUS_USAGE, "'\\x1b'" },
		{ "set", "A", STATUS_USAGE, "KEY=VALUE is wanted" },
		{ "unset", "HOST", STATUS_DENIED, "HOST is set by HostKit" },
		{ "unset", "A B", STATUS_USAGE, "cannot be the name" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_session_ struct session s;

		start(&s, WORDS("env", cases[i].verb, "shop", cases[i].word));
		assert_int_equal(finish(&s), cases[i].status);
		has(s.err, cases[i].message);
	}
}

/* Garbage instead of words, and none at all. */
static void test_bad_argument_packet(void **state _unused_)
{
	static const char *const argv[] = { "hostkit", "--session", NULL };
	static const char *const packets[] = { "\2", "\1\xff\xff\xff\xff", "\0\1", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		int requests[2], words[2];
		_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		pid_t pid;

		assert_int_equal(packet_pair(requests), 0);
		assert_int_equal(packet_pair(words), 0);
		struct process_plan plan = {
			.path = HOSTKIT_PROGRAM,
			.argv = argv,
			.fds = { null, null, null, requests[1], words[1] },
			.fd_count = 5,
		};
		assert_int_equal(process_start(&plan, &pid, NULL, NULL), 0);
		if (packets[i])
			assert_int_equal(packet_send(words[0], packets[i], i == 1 ? 5 : 1,
						     NULL, 0),
					 0);
		close(words[0]);
		close(words[1]);
		assert_int_equal(process_wait(pid), STATUS_FAILED);
		close(requests[0]);
		close(requests[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whoami),
		cmocka_unit_test(test_error_and_status),
		cmocka_unit_test(test_error_as_json),
		cmocka_unit_test(test_internal_error),
		cmocka_unit_test(test_hostile_record),
		cmocka_unit_test(test_malformed_answer),
		cmocka_unit_test(test_daemon_goes),
		cmocka_unit_test(test_half_closed_client),
		cmocka_unit_test(test_client_goes_while_waiting),
		cmocka_unit_test(test_implied_project),
		cmocka_unit_test(test_only_project),
		cmocka_unit_test(test_one_of_several_projects),
		cmocka_unit_test(test_lying_list),
		cmocka_unit_test(test_releases),
		cmocka_unit_test(test_job_succeeds),
		cmocka_unit_test(test_provision_other_runtime),
		cmocka_unit_test(test_job_fails),
		cmocka_unit_test(test_job_fails_silently),
		cmocka_unit_test(test_job_as_json),
		cmocka_unit_test(test_job_lost),
		cmocka_unit_test(test_viewer_goes),
		cmocka_unit_test(test_delete_needs_confirmation),
		cmocka_unit_test(test_key_add),
		cmocka_unit_test(test_key_add_endless_input),
		cmocka_unit_test(test_bad_names_are_not_sent),
		cmocka_unit_test(test_arity),
		cmocka_unit_test(test_no_words),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_logs_of_both),
		cmocka_unit_test(test_logs_as_json),
		cmocka_unit_test(test_logs_followed),
		cmocka_unit_test(test_env_list),
		cmocka_unit_test(test_env_get),
		cmocka_unit_test(test_env_unreadable),
		cmocka_unit_test(test_env_set),
		cmocka_unit_test(test_env_refusals),
		cmocka_unit_test(test_bad_argument_packet),
	};

	(void)signal(SIGPIPE,
		     SIG_IGN); /* a test writes to a program that may have ended */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
