/* Requests about projects: looking at them, their logs and environment. */

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"
#include "hostkitd/open.h"
#include "hostkitd/systemd.h"
#include "hostkitd/unit.h"

#define LOGS_DIR "/var/log/projects"

char *project_url(struct daemon *daemon, const char *project)
{
	return str_format("http://%s.%s/", project, daemon->settings->domain_apex);
}

static int project_put(struct exchange *req, const struct project *p, struct strbuf *buf,
		       struct error *err)
{
	_cleanup_(release_record_done) struct release_record live = { 0 };
	_cleanup_free_ char *unit = unit_name(p->name);
	struct project_record record = {
		.name = p->name,
		.runtime = p->runtime,
		.port = p->port,
		.branch = p->branch,
		.release = p->live,
		.created_sec = p->created_sec,
		.created_by = p->created_by,
		.unit = { .memory_bytes = UINT64_MAX },
	};
	int r = 0;

	if (!unit)
		return error_internal(err, -ENOMEM, "project");
	if (*p->live)
		r = state_release_get(req->daemon->state, p->name, p->live, &live, err);
	if (r >= 0 && unit_is_wanted(p->runtime))
		r = systemd_unit_record(req->daemon->systemd, unit, &record.unit, err);
	if (r < 0)
		return r;
	record.commit = live.commit;
	record.url = project_url(req->daemon, p->name);
	project_record_put(buf, &record);
	free(record.url);
	unit_record_done(&record.unit);
	return 0;
}

struct list {
	struct exchange *req;
	struct strbuf records;
	uint32_t count;
	struct error *err;
};

static int put_project(const struct project *p, void *userdata)
{
	struct list *list = userdata;

	if (!authorize_sees(connection_principal(list->req->conn), p->name))
		return 0;
	list->count++;
	return project_put(list->req, p, &list->records, list->err);
}

int handle_PROJECT_LIST(struct exchange *req, struct error *err)
{
	struct list list = { .req = req, .err = err };
	int r = request_project(req, ACTION_COMMAND, NULL, false, NULL, err);

	if (r >= 0)
		r = state_project_each(req->daemon->state, put_project, &list, err);
	if (r >= 0)
		r = request_add_list(req, list.count, &list.records, err);
	strbuf_done(&list.records);
	return r;
}

int handle_PROJECT_INFO(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	int r = request_project(req, ACTION_PROJECT_SEE, req->args.project, false,
				&project, err);

	return r < 0 ? r : project_put(req, project, &req->results, err);
}

/* -- logs -- */

int project_log_open(const char *project, uint32_t kind, struct error *err)
{
	_cleanup_free_ char *path =
		str_format("%s/%s", project,
			   kind == LOG_KIND_APP ? "app.log" : "error.log");
	_cleanup_close_ int logs = open(LOGS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (!path || logs < 0)
		return error_internal(err, path ? -errno : -ENOMEM, "logs of %s",
				      project);
	fd = fs_open_beneath(logs, path, O_RDONLY | O_NONBLOCK, 0);
	return fd < 0 ? error_internal(err, fd, "log %s", path) : fd;
}

int handle_LOG_OPEN(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	int fd = request_project(req, ACTION_LOG_READ, req->args.project, true, &project,
				 err);

	if (fd >= 0)
		fd = project_log_open(project->name, req->args.value, err);
	if (fd < 0)
		return fd;
	request_add_fd(req, fd);
	return REQUEST_ANSWERED;
}

/* -- environment -- */

int handle_ENV_OPEN(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	bool edit = req->args.value == ENV_MODE_EDIT;
	int r = request_project(req, edit ? ACTION_ENV_EDIT : ACTION_ENV_READ,
				req->args.project, true, &project, err);

	return r < 0 ? r : open_environment(req, project->name, edit, err);
}
