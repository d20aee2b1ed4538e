/* Jobs and states of units, asked of a stand-in for the bus and for process 1 that answers as a case wants. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "hostkitd/systemd.h"

#define MANAGER "org.freedesktop.systemd1.Manager"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define JOB_PATH "/org/freedesktop/systemd1/job/1"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/a_2eservice"
/* More than a property may take. */
#define SLOW_USEC 5500000

/* -- the stand-in -- */

struct far {
	sd_bus *bus;
	unsigned int jobs;    /* asked for so far */
	unsigned int states;  /* times ActiveState was asked for */
	sd_bus_message *slow; /* answered late */
	uint64_t slow_usec;
};

static uint64_t now_usec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int far_send(struct far *far, sd_bus_message *m)
{
	int r = sd_bus_message_set_sender(m, "org.freedesktop.systemd1");

	if (r >= 0)
		r = sd_bus_send(far->bus, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static int far_job_removed(struct far *far, const char *result)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(far->bus, &m, MANAGER_PATH, MANAGER,
					  "JobRemoved");

	if (r >= 0)
		r = sd_bus_message_append(m, "uoss", 1, JOB_PATH, "a.service", result);
	return r < 0 ? r : far_send(far, m);
}

static int far_unit_changed(struct far *far)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(far->bus, &m, UNIT_PATH,
					  "org.freedesktop.DBus.Properties",
					  "PropertiesChanged");

	if (r >= 0)
		r = sd_bus_message_append(m, "sa{sv}as", "org.freedesktop.systemd1.Unit",
					  0, 0);
	return r < 0 ? r : far_send(far, m);
}

/* Two RestartUnit become one job, which ends as the case has it. */
static int far_restart(struct far *far, sd_bus_message *m)
{
	int r = sd_bus_reply_method_return(m, "o", JOB_PATH);

	if (r >= 0 && ++far->jobs == 2)
		r = far_job_removed(far, "done");
	return r;
}

static int far_stop(struct far *far, sd_bus_message *m)
{
	int r = sd_bus_reply_method_return(m, "o", JOB_PATH);

	return r < 0 ? r : far_job_removed(far, "canceled");
}

/* "a.service" runs for the two who ask first, then cannot be asked about twice, then has ended with 3. */
static int far_state(struct far *far, sd_bus_message *m)
{
	unsigned int before = far->states++;
	int r;

	if (before >= 4)
		return sd_bus_reply_method_return(m, "v", "s", "failed");
	if (before >= 2)
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "lost");
	r = sd_bus_reply_method_return(m, "v", "s", "active");
	return r < 0 || before == 0 ? r : far_unit_changed(far);
}

static int far_property(struct far *far, sd_bus_message *m)
{
	const char *interface, *name;

	if (sd_bus_message_read(m, "ss", &interface, &name) < 0)
		return -EINVAL;
	if (strstr(sd_bus_message_get_path(m), "trouble"))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NO_REPLY, "lost");
	if (strstr(sd_bus_message_get_path(m), "mute"))
		return 1;
	if (strstr(sd_bus_message_get_path(m), "idle"))
		return sd_bus_reply_method_return(m, "v", "s", "inactive");
	if (str_equal(name, "ActiveState"))
		return far_state(far, m);
	if (str_equal(name, "ExecMainCode"))
		return sd_bus_reply_method_return(m, "v", "i", CLD_EXITED);
	if (str_equal(name, "ExecMainStatus"))
		return sd_bus_reply_method_return(m, "v", "i", 3);
	return sd_bus_reply_method_return(m, "v", "s", "exit-code");
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *err)
{
	struct far *far = userdata;
	const char *member = sd_bus_message_get_member(m);

	(void)err;
	if (!member)
		return 0;
	if (str_equal(member, "Hello"))
		return sd_bus_reply_method_return(m, "s", ":1.1");
	if (str_equal(member, "Get"))
		return far_property(far, m);
	if (str_equal(member, "RestartUnit"))
		return far_restart(far, m);
	if (str_equal(member, "StopUnit"))
		return far_stop(far, m);
	if (str_equal(member, "Reload")) {
		far->slow = sd_bus_message_ref(m);
		far->slow_usec = now_usec() + SLOW_USEC;
		return 1;
	}
	return sd_bus_message_get_expect_reply(m) ? sd_bus_reply_method_return(m, "") : 1;
}

static _Noreturn void far_run(int fd)
{
	struct far far = { 0 };
	sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d,
				      0e, 0f, 10);
	int r;

	if (sd_bus_new(&far.bus) < 0 || sd_bus_set_fd(far.bus, fd, fd) < 0 ||
	    sd_bus_set_server(far.bus, 1, id) < 0 || sd_bus_start(far.bus) < 0 ||
	    sd_bus_add_filter(far.bus, NULL, on_message, &far) < 0)
		_exit(1);
	for (;;) {
		r = sd_bus_process(far.bus, NULL);
		if (r < 0)
			_exit(0); /* the test is over */
		if (far.slow && now_usec() >= far.slow_usec) {
			(void)sd_bus_reply_method_return(far.slow, "");
			far.slow = NULL;
		}
		if (r == 0 && sd_bus_wait(far.bus, 100000) < 0)
			_exit(0);
	}
}

/* -- this side -- */

struct near {
	sd_event *event;
	struct systemd *systemd;
	pid_t far;
	char *directory;
	char *path;
	/* what the callbacks noted */
	unsigned int finished, failed, ended;
	int status;
};

static int near_setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_error_ struct error err = ERROR_INIT;
	struct near *near = calloc(1, sizeof(*near));
	_cleanup_free_ char *bus = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_non_null(near);
	near->directory = strdup("/tmp/test_systemd.XXXXXX");
	assert_non_null(mkdtemp(near->directory));
	near->path = str_format("%s/bus", near->directory);
	bus = str_format("unix:path=%s", near->path);
	memcpy(address.sun_path, near->path, strlen(near->path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", bus, 1), 0);
	near->far = fork();
	if (near->far == 0)
		far_run(accept(fd, NULL, NULL));
	assert_int_equal(close(fd), 0);
	assert_true(sd_event_new(&near->event) >= 0);
	if (systemd_open(near->event, &near->systemd, &err) < 0)
		fail_msg("%s", error_text(&err, true));
	*state = near;
	return 0;
}

static int near_teardown(void **state)
{
	struct near *near = *state;

	systemd_close(near->systemd);
	sd_event_unref(near->event);
	(void)kill(near->far, SIGKILL);
	(void)waitpid(near->far, NULL, 0);
	(void)unlink(near->path);
	(void)rmdir(near->directory);
	free(near->directory);
	free(near->path);
	free(near);
	return 0;
}

static void on_finished(void *userdata, int result, struct error *err)
{
	struct near *near = userdata;

	assert_int_equal(result < 0, error_is_set(err));
	near->finished++;
	near->failed += result < 0;
}

static void on_end(void *userdata, int status)
{
	struct near *near = userdata;

	near->ended++;
	near->status = status;
}

/* Let the loop run until *count is `wanted`, or for ten seconds. */
static void run_until(struct near *near, const unsigned int *count, unsigned int wanted)
{
	uint64_t deadline = now_usec() + 10000000;

	while (*count < wanted && now_usec() < deadline)
		assert_true(sd_event_run(near->event, 100000) >= 0);
	assert_int_equal(*count, wanted);
}

static void ask(struct near *near, const char *method)
{
	_cleanup_error_ struct error err = ERROR_INIT;

	assert_int_equal(systemd_unit_job(near->systemd, method, "a.service", on_finished,
					  near, &err),
			 0);
}

static void test_merged_jobs(void **state)
{
	struct near *near = *state;

	ask(near, "RestartUnit");
	ask(near, "RestartUnit");
	run_until(near, &near->finished, 2);
	assert_int_equal(near->failed, 0);
}

static void test_dropped_jobs(void **state)
{
	struct near *near = *state;

	ask(near, "StopUnit");
	run_until(near, &near->finished, 1);
	assert_int_equal(near->failed, 1);
}

static void test_watch_through_trouble(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct near *near = *state;

	for (int i = 0; i < 2; i++)
		assert_int_equal(systemd_watch(near->systemd, "a.service", on_end, near,
					       &err),
				 1);
	run_until(near, &near->ended, 2);
	assert_int_equal(near->status, 3);
}

static void test_state_in_trouble(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct near *near = *state;

	assert_int_equal(systemd_is_active(near->systemd, "idle.service", &err), 0);
	assert_false(error_is_set(&err));
	assert_true(systemd_is_active(near->systemd, "trouble.service", &err) < 0);
	assert_true(error_is_set(&err));
	assert_int_equal(systemd_last_status(near->systemd, "trouble.service"),
			 SYSTEMD_STATUS_UNKNOWN);
}

/* A property is given up soon; what systemd was told to do may take longer than that. */
static void test_patience(void **state)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct near *near = *state;
	uint64_t begun = now_usec();

	assert_int_equal(systemd_reload(near->systemd, on_finished, near, &err), 0);
	assert_true(systemd_is_active(near->systemd, "mute.service", &err) < 0);
	assert_true(now_usec() - begun < 8000000);
	run_until(near, &near->finished, 1);
	assert_int_equal(near->failed, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, near_setup, near_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(test_merged_jobs),
		CASE(test_dropped_jobs),
		CASE(test_watch_through_trouble),
		CASE(test_state_in_trouble),
		CASE(test_patience),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
