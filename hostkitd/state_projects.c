/* The projects table, and what goes with a project when it goes. */

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "hostkitd/state-internal.h"

#define PROJECT_COLUMNS \
	"id, name, runtime, state, port, branch, live, created_by, created_sec"

struct project *project_free(struct project *project)
{
	if (!project)
		return NULL;
	free(project->name);
	free(project->branch);
	free(project->live);
	free(project->created_by);
	free(project);
	return NULL;
}

static struct project *project_read(sqlite3_stmt *s)
{
	struct project *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->id = sqlite3_column_int64(s, 0);
	p->name = statement_text(s, 1);
	p->runtime = (uint32_t)sqlite3_column_int64(s, 2);
	p->state = (uint32_t)sqlite3_column_int64(s, 3);
	p->port = (uint32_t)sqlite3_column_int64(s, 4);
	p->branch = statement_text(s, 5);
	p->live = statement_text(s, 6);
	p->created_by = statement_text(s, 7);
	p->created_sec = sqlite3_column_int64(s, 8);
	if (!p->name || !p->branch || !p->live || !p->created_by)
		return project_free(p);
	return p;
}

int state_project_add(struct state *state, const char *name, uint32_t runtime,
		      const char *by, struct error *err)
{
	int r = statement_run(state, err,
			      "INSERT INTO projects (name, runtime, state, branch,"
			      " created_by, created_sec) VALUES (?, ?, ?, 'main', ?, ?)",
			      "suusi", name, runtime, (uint32_t)PROJECT_PROVISIONING, by,
			      (int64_t)time(NULL));

	if (r == -EEXIST)
		return error_user(err, r, "PROJECT_EXISTS",
				  "the project '%s' exists already", name);
	return r;
}

int state_project_get(struct state *state, const char *name, struct project **ret_project,
		      struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT " PROJECT_COLUMNS " FROM projects WHERE name = ?",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "s", name);
	r = statement_step(state, s, err);
	if (r <= 0)
		return r;
	*ret_project = project_read(s);
	return *ret_project ? 1 : error_internal(err, -ENOMEM, "project");
}

int state_project_each(struct state *state,
		       int (*fn)(const struct project *project, void *userdata),
		       void *userdata, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT " PROJECT_COLUMNS " FROM projects ORDER BY name",
			      err);
	int r;

	if (!s)
		return -EIO;
	while ((r = statement_step(state, s, err)) > 0) {
		_cleanup_(project_freep) struct project *p = project_read(s);

		if (!p)
			return error_internal(err, -ENOMEM, "project");
		r = fn(p, userdata);
		if (r < 0)
			return r;
	}
	return r;
}

int state_project_set_state(struct state *state, const char *name, uint32_t project_state,
			    struct error *err)
{
	return statement_run(state, err, "UPDATE projects SET state = ? WHERE name = ?",
			     "us", project_state, name);
}

int state_project_set_port(struct state *state, const char *name, uint32_t port,
			   struct error *err)
{
	return statement_run(state, err,
			     "UPDATE projects SET port = nullif(?, 0) WHERE name = ?",
			     "us", port, name);
}

int state_project_set_live(struct state *state, const char *name, const char *release,
			   struct error *err)
{
	return statement_run(state, err, "UPDATE projects SET live = ? WHERE name = ?",
			     "ss", release, name);
}

int state_port_taken(struct state *state, uint32_t port, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT 1 FROM projects WHERE port = ?", err);

	if (!s)
		return -EIO;
	statement_bind(s, "u", port);
	return statement_step(state, s, err);
}

static int project_remove_jobs(struct state *state, const char *name, int64_t job,
			       void (*fn)(int64_t job, void *userdata), void *userdata,
			       struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s = statement_get(
		state, "DELETE FROM jobs WHERE project = ? AND id <> ? RETURNING id",
		err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "si", name, job);
	while ((r = statement_step(state, s, err)) > 0)
		if (fn)
			fn(sqlite3_column_int64(s, 0), userdata);
	return r;
}

int state_project_remove(struct state *state, const char *name, int64_t job,
			 void (*fn)(int64_t job, void *userdata), void *userdata,
			 struct error *err)
{
	int r = project_remove_jobs(state, name, job, fn, userdata, err);

	if (r < 0)
		return r;
	return statement_run(state, err, "DELETE FROM projects WHERE name = ?", "s",
			     name);
}
