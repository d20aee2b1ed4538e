#include "hostkitd/systemd.h"

#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"

#define BUS_NAME "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define UNIT "org.freedesktop.systemd1.Unit"
#define SERVICE "org.freedesktop.systemd1.Service"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* Properties are read while the loop stands still: systemd answers at once or is in trouble. */
#define PROPERTY_TIMEOUT_USEC (5ull * 1000000)
/* Whether a unit starts, and how long that takes, is its own affair: sd_bus_call_async(3), no limit. */
#define CALL_TIMEOUT_USEC UINT64_MAX
/* After a failure to find out whether a unit runs. */
#define WATCH_RETRY_USEC (1ull * 1000000)

/* A call that waits for its answer, then perhaps for a job of systemd. */
struct call {
	LIST_ENTRY(call) list;
	struct systemd *systemd;
	bool has_job; /* the answer brings one */
	char *job;    /* its path, once known */
	char *what;   /* for messages */
	systemd_fn fn;
	systemd_end_fn end;
	char *unit;
	void *userdata;
};
LIST_HEAD(call_list, call);

struct watch {
	LIST_ENTRY(watch) list;
	struct systemd *systemd;
	sd_event_source *retry; /* NULL: the last look at it went well */
	char *unit;
	char *path;
	systemd_end_fn end;
	void *userdata;
};
LIST_HEAD(watch_list, watch);

struct systemd {
	sd_bus *bus;
	struct call_list calls;
	struct watch_list watches;
};

static void call_free(struct call *call)
{
	LIST_REMOVE(call, list);
	free(call->job);
	free(call->what);
	free(call->unit);
	free(call);
}

static void watch_free(struct watch *watch)
{
	LIST_REMOVE(watch, list);
	sd_event_source_disable_unref(watch->retry);
	free(watch->unit);
	free(watch->path);
	free(watch);
}

static char *unit_path(const char *unit)
{
	char *path;

	return sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0
		       ? NULL
		       : path;
}

static int bus_failure(int r, const sd_bus_error *bus_err, const char *what,
		       struct error *err)
{
	return error_internal(err, r, "%s: %s", what,
			      bus_err && bus_err->message ? bus_err->message : "systemd");
}

static int get_string(struct systemd *systemd, const char *path, const char *interface,
		      const char *name, char **ret)
{
	return sd_bus_get_property_string(systemd->bus, BUS_NAME, path, interface, name,
					  NULL, ret);
}

/* Drop our reference and the memory of its failure, so that systemd can forget it. */
static void unit_release(struct systemd *systemd, const char *unit)
{
	(void)sd_bus_call_method_async(systemd->bus, NULL, BUS_NAME, MANAGER_PATH,
				       MANAGER, "UnrefUnit", NULL, NULL, "s", unit);
	systemd_reset_failed(systemd, unit);
}

/* The exit status, or negative when systemd cannot be asked. */
static int service_status(struct systemd *systemd, const char *path)
{
	_cleanup_free_ char *result = NULL;
	int32_t code = 0, status = 0;
	int r = get_string(systemd, path, SERVICE, "Result", &result);

	if (r < 0)
		return r;
	if (str_equal(result, "timeout"))
		return SYSTEMD_STATUS_TIMEOUT;
	r = sd_bus_get_property_trivial(systemd->bus, BUS_NAME, path, SERVICE,
					"ExecMainCode", NULL, 'i', &code);
	if (r >= 0)
		r = sd_bus_get_property_trivial(systemd->bus, BUS_NAME, path, SERVICE,
						"ExecMainStatus", NULL, 'i', &status);
	if (r < 0)
		return r;
	return code == CLD_EXITED || code == 0 ? status : 128 + status;
}

/*
 * Returns 1, 0 or negative. systemd loads a unit it is asked about and calls one it does not know
 * inactive: a failure is trouble with the bus and says nothing about the unit.
 */
static int path_is_active(struct systemd *systemd, const char *path)
{
	_cleanup_free_ char *active = NULL;
	int r = get_string(systemd, path, UNIT, "ActiveState", &active);

	if (r < 0)
		return r;
	return !str_equal(active, "inactive") && !str_equal(active, "failed");
}

/* Returns 1 with its status, 0 it still runs, or negative when nobody can tell. */
static int unit_ended(struct systemd *systemd, const char *path, int *ret_status)
{
	int r = path_is_active(systemd, path);

	if (r != 0)
		return r < 0 ? r : 0;
	r = service_status(systemd, path);
	if (r < 0)
		return r;
	*ret_status = r;
	return 1;
}

static struct watch *watch_of_path(struct systemd *systemd, const char *path)
{
	struct watch *watch;

	LIST_FOREACH(watch, &systemd->watches, list)
	if (watch->path && str_equal(watch->path, path))
		return watch;
	return NULL;
}

/* All who watch the unit hear of it now: once it is released systemd may forget how it ended. */
static void watch_end(struct watch *watch, int status)
{
	_cleanup_free_ char *path = TAKE_PTR(watch->path);
	struct systemd *systemd = watch->systemd;

	for (; watch; watch = watch_of_path(systemd, path)) {
		systemd_end_fn end = watch->end;
		void *userdata = watch->userdata;

		unit_release(systemd, watch->unit);
		watch_free(watch);
		end(userdata, status);
	}
}

static void watch_check(struct watch *watch);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	watch_check(userdata);
	return 0;
}

/* The signal that it has ended came and will not come again: ask until there is an answer. */
static void watch_retry(struct watch *watch, int why)
{
	int r;

	if (!watch->retry)
		log_warning("state of %s: %s, asking again", watch->unit, strerror(-why));
	watch->retry = sd_event_source_disable_unref(watch->retry);
	r = sd_event_add_time_relative(sd_bus_get_event(watch->systemd->bus),
				       &watch->retry, CLOCK_MONOTONIC, WATCH_RETRY_USEC,
				       0, on_retry, watch);
	if (r < 0)
		log_err("state of %s: %s, not asking again", watch->unit, strerror(-r));
}

static void watch_check(struct watch *watch)
{
	int status, r = unit_ended(watch->systemd, watch->path, &status);

	if (r < 0)
		watch_retry(watch, r);
	else if (r == 0)
		watch->retry = sd_event_source_disable_unref(watch->retry);
	else
		watch_end(watch, status);
}

static int watch_add(struct systemd *systemd, const char *unit, systemd_end_fn end,
		     void *userdata, struct watch **ret_watch)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){ .systemd = systemd, .end = end, .userdata = userdata };
	LIST_INSERT_HEAD(&systemd->watches, watch, list);
	watch->unit = strdup(unit);
	watch->path = unit_path(unit);
	if (!watch->unit || !watch->path) {
		watch_free(watch);
		return -ENOMEM;
	}
	*ret_watch = watch;
	return 0;
}

static int on_unit_changed(sd_bus_message *m, void *userdata, sd_bus_error *bus_err)
{
	struct systemd *systemd = userdata;
	const char *path = sd_bus_message_get_path(m);
	struct watch *watch = watch_of_path(systemd, path);

	(void)bus_err;
	if (watch)
		watch_check(watch);
	return 0;
}

static void call_finish(struct call *call, int result, struct error *err)
{
	systemd_fn fn = call->fn;
	void *userdata = call->userdata;
	struct systemd *systemd = call->systemd;
	struct watch *watch = NULL;

	if (result >= 0 && call->end) {
		result = watch_add(systemd, call->unit, call->end, userdata, &watch);
		if (result < 0)
			error_internal(err, result, "watch %s", call->unit);
	}
	if (result < 0 && call->end)
		unit_release(systemd,
			     call->unit); /* a transient unit that did not start */
	call_free(call);
	fn(userdata, result, err);
	if (watch)
		watch_check(watch); /* it may have been quick */
}

/*
 * systemd merges a job into one of the same unit that is under way, and all who asked are told the same
 * path. Whoever hears of its end may ask for more: search the list anew each time.
 */
static struct call *call_of_job(struct systemd *systemd, const char *path)
{
	struct call *call;

	LIST_FOREACH(call, &systemd->calls, list)
	if (call->job && str_equal(call->job, path))
		return call;
	return NULL;
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *bus_err)
{
	struct systemd *systemd = userdata;
	const char *path, *unit, *result;
	struct call *call;

	(void)bus_err;
	if (sd_bus_message_read(m, "uoss", NULL, &path, &unit, &result) < 0)
		return 0;
	while ((call = call_of_job(systemd, path))) {
		_cleanup_error_ struct error err = ERROR_INIT;
		int r = str_equal(result, "done") ? 0 : -ECHILD;

		if (r < 0)
			error_internal(&err, r, "%s: %s", call->what, result);
		call_finish(call, r, &err);
	}
	return 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *bus_err)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct call *call = userdata;
	const char *path;
	int r = 0;

	(void)bus_err;
	if (sd_bus_message_is_method_error(m, NULL)) {
		r = -sd_bus_message_get_errno(m);
		bus_failure(r, sd_bus_message_get_error(m), call->what, &err);
	} else if (call->has_job) {
		r = sd_bus_message_read(m, "o", &path);
		call->job = r < 0 ? NULL : strdup(path);
		if (call->job)
			return 0; /* on_job_removed() goes on */
		r = r < 0 ? r : -ENOMEM;
		error_internal(&err, r, "%s", call->what);
	}
	call_finish(call, r, &err);
	return 0;
}

static struct call *call_new(struct systemd *systemd, const char *method,
			     const char *unit, systemd_fn fn, void *userdata)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	*call = (struct call){ .systemd = systemd, .fn = fn, .userdata = userdata };
	LIST_INSERT_HEAD(&systemd->calls, call, list);
	call->what = str_format("%s %s", method, unit);
	call->unit = strdup(unit);
	if (!call->what || !call->unit) {
		call_free(call);
		return NULL;
	}
	return call;
}

static int manager_message(struct systemd *systemd, const char *method,
			   sd_bus_message **ret_message)
{
	return sd_bus_message_new_method_call(systemd->bus, ret_message, BUS_NAME,
					      MANAGER_PATH, MANAGER, method);
}

/* r: how well the message was made. */
static int call_send(struct call *call, sd_bus_message *m, int r, struct error *err)
{
	if (r >= 0)
		r = sd_bus_call_async(call->systemd->bus, NULL, m, on_reply, call,
				      CALL_TIMEOUT_USEC);
	if (r >= 0)
		return 0;
	error_internal(err, r, "%s", call->what);
	call_free(call);
	return r;
}

int systemd_unit_job(struct systemd *systemd, const char *method, const char *unit,
		     systemd_fn fn, void *userdata, struct error *err)
{
	struct call *call = call_new(systemd, method, unit, fn, userdata);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	if (!call)
		return error_internal(err, -ENOMEM, "%s", method);
	call->has_job = true;
	r = manager_message(systemd, method, &m);
	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "replace");
	return call_send(call, m, r, err);
}

int systemd_reload(struct systemd *systemd, systemd_fn fn, void *userdata,
		   struct error *err)
{
	struct call *call = call_new(systemd, "Reload", "", fn, userdata);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	if (!call)
		return error_internal(err, -ENOMEM, "Reload");
	r = manager_message(systemd, "Reload", &m);
	return call_send(call, m, r, err);
}

int systemd_enable(struct systemd *systemd, const char *unit, bool enable, systemd_fn fn,
		   void *userdata, struct error *err)
{
	const char *method = enable ? "EnableUnitFiles" : "DisableUnitFiles";
	struct call *call = call_new(systemd, method, unit, fn, userdata);
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	if (!call)
		return error_internal(err, -ENOMEM, "%s", method);
	r = manager_message(systemd, method, &m);
	if (r >= 0)
		r = enable ? sd_bus_message_append(m, "asbb", 1, unit, 0, 0)
			   : sd_bus_message_append(m, "asb", 1, unit, 0);
	return call_send(call, m, r, err);
}

void systemd_reset_failed(struct systemd *systemd, const char *unit)
{
	/* a unit that is not loaded has nothing to reset */
	(void)sd_bus_call_method_async(systemd->bus, NULL, BUS_NAME, MANAGER_PATH,
				       MANAGER, "ResetFailedUnit", NULL, NULL, "s", unit);
}

int systemd_transient_new(struct systemd *systemd, const char *unit,
			  sd_bus_message **ret_message, struct error *err)
{
	sd_bus_message *m = NULL;
	int r = manager_message(systemd, "StartTransientUnit", &m);

	if (r >= 0)
		r = sd_bus_message_append(m, "ss", unit, "fail");
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "(sv)");
	/* keep it in memory until its exit status has been read */
	if (r >= 0)
		r = sd_bus_message_append(m, "(sv)", "AddRef", "b", 1);
	if (r < 0) {
		sd_bus_message_unref(m);
		return error_internal(err, r, "start %s", unit);
	}
	*ret_message = m;
	return 0;
}

int systemd_transient_start(struct systemd *systemd, sd_bus_message *message,
			    const struct systemd_start *start, struct error *err)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message;
	struct call *call = call_new(systemd, "StartTransientUnit", start->unit,
				     start->fn, start->userdata);
	int r;

	if (!call)
		return error_internal(err, -ENOMEM, "start %s", start->unit);
	call->has_job = true;
	call->end = start->end;

	r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_append(m, "a(sa(sv))", 0);
	return call_send(call, m, r, err);
}

int systemd_watch(struct systemd *systemd, const char *unit, systemd_end_fn end,
		  void *userdata, struct error *err)
{
	struct watch *watch;
	int r = systemd_is_active(systemd, unit, err);

	if (r <= 0)
		return r;
	r = watch_add(systemd, unit, end, userdata, &watch);
	if (r < 0)
		return error_internal(err, r, "watch %s", unit);
	/* hold it, as the one who started it did */
	(void)sd_bus_call_method_async(systemd->bus, NULL, BUS_NAME, MANAGER_PATH,
				       MANAGER, "RefUnit", NULL, NULL, "s", unit);
	return 1;
}

int systemd_is_active(struct systemd *systemd, const char *unit, struct error *err)
{
	_cleanup_free_ char *path = unit_path(unit);
	int r = path ? path_is_active(systemd, path) : -ENOMEM;

	return r < 0 ? error_internal(err, r, "state of %s", unit) : r;
}

int systemd_last_status(struct systemd *systemd, const char *unit)
{
	_cleanup_free_ char *path = unit_path(unit), *load = NULL;
	int status;

	if (!path || get_string(systemd, path, UNIT, "LoadState", &load) < 0)
		return SYSTEMD_STATUS_UNKNOWN;
	if (str_equal(load, "not-found"))
		return 0;
	status = service_status(systemd, path);
	unit_release(systemd, unit);
	return status < 0 ? SYSTEMD_STATUS_UNKNOWN : status;
}

static void read_property(sd_bus_message *m, const char *name, struct unit_record *r)
{
	const struct {
		const char *name;
		const char *type;
		void *value;
	} wanted[] = {
		{ "ActiveState", "s", &r->active },
		{ "SubState", "s", &r->sub },
		{ "Result", "s", &r->result },
		{ "MainPID", "u", &r->main_pid },
		{ "NRestarts", "u", &r->restarts },
		{ "ExecMainStatus", "i", &r->exit_status },
		{ "ActiveEnterTimestamp", "t", &r->since_usec },
		{ "MemoryCurrent", "t", &r->memory_bytes },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const char *text = NULL;

		if (!str_equal(wanted[i].name, name))
			continue;
		if (*wanted[i].type != 's') {
			(void)sd_bus_message_read(m, "v", wanted[i].type,
						  wanted[i].value);
			return;
		}
		if (sd_bus_message_read(m, "v", "s", &text) > 0 && text) {
			free(*(char **)wanted[i].value);
			*(char **)wanted[i].value = strdup(text);
		}
		return;
	}
	(void)sd_bus_message_skip(m, "v");
}

static int read_interface(struct systemd *systemd, const char *path,
			  const char *interface, struct unit_record *record)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;
	const char *name;
	int r = sd_bus_message_new_method_call(systemd->bus, &m, BUS_NAME, path,
					       PROPERTIES, "GetAll");

	if (r >= 0)
		r = sd_bus_message_append(m, "s", interface);
	if (r >= 0)
		r = sd_bus_call(systemd->bus, m, 0, NULL, &reply);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
		r = sd_bus_message_read(reply, "s", &name);
		if (r >= 0)
			read_property(reply, name, record);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	return r;
}

int systemd_unit_record(struct systemd *systemd, const char *unit,
			struct unit_record *ret_record, struct error *err)
{
	_cleanup_free_ char *path = unit_path(unit);
	struct unit_record record = { .memory_bytes = UINT64_MAX };
	int r = path ? 0 : -ENOMEM;

	if (r >= 0)
		r = read_interface(systemd, path, UNIT, &record);
	if (r >= 0)
		(void)read_interface(systemd, path, SERVICE, &record);
	if (r < 0) {
		unit_record_done(&record);
		return error_internal(err, r, "state of %s", unit);
	}
	*ret_record = record;
	return 0;
}

static int systemd_subscribe(struct systemd *systemd)
{
	int r = sd_bus_match_signal(systemd->bus, NULL, BUS_NAME, MANAGER_PATH, MANAGER,
				    "JobRemoved", on_job_removed, systemd);

	if (r >= 0)
		r = sd_bus_add_match(systemd->bus, NULL,
				     "type='signal',sender='" BUS_NAME "',"
				     "path_namespace='/org/freedesktop/systemd1/unit',"
				     "interface='" PROPERTIES "',"
				     "member='PropertiesChanged',arg0='" UNIT "'",
				     on_unit_changed, systemd);
	if (r >= 0)
		r = sd_bus_call_method(systemd->bus, BUS_NAME, MANAGER_PATH, MANAGER,
				       "Subscribe", NULL, NULL, "");
	return r;
}

int systemd_open(sd_event *event, struct systemd **ret_systemd, struct error *err)
{
	struct systemd *systemd = calloc(1, sizeof(*systemd));
	int r;

	if (!systemd)
		return error_internal(err, -ENOMEM, "system bus");
	r = sd_bus_open_system(&systemd->bus);
	if (r >= 0)
		r = sd_bus_attach_event(systemd->bus, event, SD_EVENT_PRIORITY_NORMAL);
	/* without the bus nothing works; systemd starts us again when it is back */
	if (r >= 0)
		r = sd_bus_set_exit_on_disconnect(systemd->bus, 1);
	if (r >= 0)
		r = systemd_subscribe(systemd);
	/* from now on the watchdog looks */
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(systemd->bus, PROPERTY_TIMEOUT_USEC);
	if (r < 0) {
		systemd_close(systemd);
		return error_internal(err, r, "system bus");
	}
	*ret_systemd = systemd;
	return 0;
}

struct systemd *systemd_close(struct systemd *systemd)
{
	if (!systemd)
		return NULL;
	while (!LIST_EMPTY(&systemd->calls))
		call_free(LIST_FIRST(&systemd->calls));
	while (!LIST_EMPTY(&systemd->watches))
		watch_free(LIST_FIRST(&systemd->watches));
	sd_bus_flush_close_unref(systemd->bus);
	free(systemd);
	return NULL;
}
