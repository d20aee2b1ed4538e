/* The verdicts of hostkit-probe on apps of all kinds. The program itself runs; each app is a socket. */
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
#include <time.h>

#include "base/io.h"
#include "base/process.h"
#include "base/str.h"
#include "release/probe.h"

#define TIMEOUT_MS "700"

/* What an app does with a request: a status line, or one of these. */
#define HANG "hang"
#define GARBAGE "garbage"
#define HANG_UP "hang up"
#define ENDLESS_BODY "endless body"
#define ENDLESS_HEADER "endless header"
#define NO_END "no end"

static void pour(int peer, const char *head, const char *drop)
{
	if (io_write_all(peer, head, strlen(head)) < 0)
		return;
	while (io_write_all(peer, drop, strlen(drop)) >= 0)
		;
}

static void serve(int peer, const char *how)
{
	static const char headers[] = "Location: http://192.0.2.1/elsewhere\r\n"
				      "Content-Length: 2\r\nConnection: close\r\n\r\nok";

	if (str_equal(how, HANG))
		(void)pause(); /* until killed */
	else if (str_equal(how, GARBAGE))
		(void)io_write_all(peer, "SSH-2.0-OpenSSH\r\n\r\n", 19);
	else if (str_equal(how, ENDLESS_BODY))
		pour(peer, "HTTP/1.1 200 OK\r\n\r\n", "more and more and more\n");
	else if (str_equal(how, ENDLESS_HEADER))
		pour(peer, "HTTP/1.1 200 OK\r\n", "X-More: and more and more\r\n");
	else if (str_equal(how, NO_END))
		(void)dprintf(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
	else if (!str_equal(how, HANG_UP))
		(void)dprintf(peer, "HTTP/1.1 %s\r\n%s", how, headers);
}

struct app {
	pid_t pid;
	uint16_t port;
	uint32_t *requests; /* shared with it */
};

static _Noreturn void app_run(int fd, uint32_t *requests, const char *health,
			      const char *root)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		char request[4096] = "";

		if (peer < 0 || read(peer, request, sizeof(request) - 1) <= 0)
			_exit(1);
		(*requests)++;
		serve(peer,
		      str_after_prefix(request, "GET /api/health ") ? health : root);
		(void)close(peer);
	}
}

static struct app app_start(const char *health, const char *root)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct app app = { .pid = -1 };

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	app.port = ntohs(address.sin_port);
	app.requests = mmap(NULL, sizeof(uint32_t), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(app.requests != MAP_FAILED);
	if (health) { /* else nothing listens */
		assert_int_equal(listen(fd, 8), 0);
		app.pid = fork();
		assert_true(app.pid >= 0);
		if (app.pid == 0)
			app_run(fd, app.requests, health, root);
	}
	(void)close(fd);
	return app;
}

static void app_stop(struct app *app)
{
	if (app->pid > 0) {
		assert_int_equal(kill(app->pid, SIGKILL), 0);
		assert_true(process_wait(app->pid) >= 0);
	}
	assert_int_equal(munmap(app->requests, sizeof(uint32_t)), 0);
}

/* Returns the exit status with the line it printed. */
static int probe(const char *const *argv, char **ret_line)
{
	/* proxies in the environment must not matter: nobody is at these */
	static const char *const envp[] = { "http_proxy=http://127.0.0.1:1/",
					    "ALL_PROXY=http://127.0.0.1:1/", NULL };
	struct process_plan plan = {
		.path = HOSTKIT_PROBE, .argv = argv, .envp = envp, .fd_count = 3
	};
	_cleanup_strbuf_ struct strbuf line = { 0 };
	_cleanup_error_ struct error err = ERROR_INIT;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	plan.fds[0] = -1;
	plan.fds[1] = fds[1];
	plan.fds[2] = -1;
	if (process_start(&plan, &pid, NULL, &err) < 0)
		fail_msg("%s", error_text(&err, true));
	(void)close(fds[1]);
	assert_int_equal(io_read_all(fds[0], 4096, &line), 0);
	(void)close(fds[0]);
	*ret_line = strbuf_steal(&line);
	return process_wait(pid);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_verdicts(_unused_ void **state)
{
	static const struct {
		const char *what, *health, *root;
		int verdict;
		const char *status, *path;
		uint32_t requests;
	} cases[] = {
		{ "healthy", "200 OK", "500 No", PROBE_EXIT_HEALTHY, "200", "/api/health",
		  1 },
		{ "no content", "204 No Content", "500 No", PROBE_EXIT_HEALTHY, "204",
		  "/api/health", 1 },
		{ "redirect, not followed", "302 Found", "500 No", PROBE_EXIT_HEALTHY,
		  "302", "/api/health", 1 },
		{ "no health page", "404 No", "200 OK", PROBE_EXIT_HEALTHY, "200", "/",
		  2 },
		{ "no page at all", "404 No", "404 No", PROBE_EXIT_HEALTHY, "404", "/",
		  2 },
		{ "all behind a login", "401 Who", "302 Found", PROBE_EXIT_HEALTHY, "302",
		  "/", 2 },
		{ "sick", "503 Later", "200 OK", PROBE_EXIT_UNHEALTHY, "503",
		  "/api/health", 1 },
		{ "broken", "404 No", "500 Oops", PROBE_EXIT_UNHEALTHY, "500", "/", 2 },
		{ "hangs", HANG, HANG, PROBE_EXIT_SILENT, "0", "/api/health", 1 },
		{ "hangs later", "404 No", HANG, PROBE_EXIT_SILENT, "0", "/", 2 },
		{ "never ends its answer", NO_END, NO_END, PROBE_EXIT_NOT_HTTP, "0",
		  "/api/health", 1 },
		{ "endless body", ENDLESS_BODY, "500 No", PROBE_EXIT_HEALTHY, "200",
		  "/api/health", 1 },
		{ "endless header", ENDLESS_HEADER, "200 OK", PROBE_EXIT_NOT_HTTP, "0",
		  "/api/health", 1 },
		{ "another protocol", GARBAGE, "200 OK", PROBE_EXIT_NOT_HTTP, "0",
		  "/api/health", 1 },
		{ "hangs up", HANG_UP, HANG_UP, PROBE_EXIT_NOT_HTTP, "0", "/api/health",
		  1 },
		{ "nothing listens", NULL, NULL, PROBE_EXIT_REFUSED, "0", "/api/health",
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct app app = app_start(cases[i].health, cases[i].root);
		_cleanup_free_ char *port = str_format("%u", app.port);
		_cleanup_free_ char *line = NULL;
		_cleanup_free_ char *expected =
			str_format("%s http://127.0.0.1:%s%s ", cases[i].status, port,
				   cases[i].path);
		const char *argv[] = { "hostkit-probe", port, "/api/health", "/",
				       TIMEOUT_MS,      NULL };
		int64_t start = now_ms();
		int verdict = probe(argv, &line);

		if (verdict != cases[i].verdict || !str_after_prefix(line, expected) ||
		    *app.requests != cases[i].requests)
			fail_msg("%s: %d '%s' after %u requests", cases[i].what, verdict,
				 line, *app.requests);
		if (now_ms() - start > 5000)
			fail_msg("%s: took too long", cases[i].what);
		app_stop(&app);
	}
}

static void test_usage(_unused_ void **state)
{
	static const char *const cases[][6] = {
		{ "hostkit-probe" },
		{ "hostkit-probe", "80", "/" },
		{ "hostkit-probe", "0", "/", "100" },
		{ "hostkit-probe", "65536", "/", "100" },
		{ "hostkit-probe", "80", "@example.org/", "100" },
		{ "hostkit-probe", "80", "/", "soon" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *line = NULL;

		assert_int_equal(probe(cases[i], &line), PROBE_EXIT_USAGE);
		assert_string_equal(line, "");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
