/* The releases table. Names sort by time, so the order of the names is the order of the releases. */

#include <string.h>

#include "base/str.h"
#include "hostkitd/state-internal.h"

#define RELEASE_COLUMNS                                                               \
	"r.name, r.state, r.name = p.live, r.commit_id, r.branch, r.created_by, "     \
	"r.created_sec, r.job FROM releases r JOIN projects p ON p.name = r.project " \
	"WHERE r.project = ?"

static int release_read(sqlite3_stmt *s, struct release_record *ret)
{
	*ret = (struct release_record){
		.name = statement_text(s, 0),
		.state = (uint32_t)sqlite3_column_int64(s, 1),
		.live = sqlite3_column_int(s, 2) != 0,
		.commit = statement_text(s, 3),
		.branch = statement_text(s, 4),
		.by = statement_text(s, 5),
		.created_sec = sqlite3_column_int64(s, 6),
		.job = sqlite3_column_int64(s, 7),
	};
	if (ret->name && ret->commit && ret->branch && ret->by)
		return 1;
	release_record_done(ret);
	return -ENOMEM;
}

static int release_insert(struct state *state, const char *project,
			  const struct release_record *record, struct error *err)
{
	int r = statement_run(state, err,
			      "INSERT INTO releases (project, name, state, commit_id,"
			      " branch, created_by, created_sec, job)"
			      " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			      "ssusssii", project, record->name, record->state,
			      record->commit, record->branch, record->by,
			      record->created_sec, record->job);

	return r == -EEXIST ? error_internal(err, r, "release %s", record->name) : r;
}

int state_release_add(struct state *state, const char *project,
		      const struct release_record *record, struct error *err)
{
	int r = state_begin(state, err);

	if (r < 0)
		return r;
	r = release_insert(state, project, record, err);
	if (r >= 0)
		r = state_job_set_release(state, record->job, record->name, err);
	if (r >= 0)
		r = state_commit(state, err);
	if (r < 0)
		state_rollback(state);
	return r;
}

int state_release_get(struct state *state, const char *project, const char *name,
		      struct release_record *ret_record, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " RELEASE_COLUMNS " AND r.name = ?", err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "ss", project, name);
	r = statement_step(state, s, err);
	return r <= 0 ? r : release_read(s, ret_record);
}

int state_release_each(struct state *state, const char *project,
		       int (*fn)(const struct release_record *record, void *userdata),
		       void *userdata, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " RELEASE_COLUMNS " ORDER BY r.name DESC",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "s", project);
	while ((r = statement_step(state, s, err)) > 0) {
		_cleanup_(release_record_done) struct release_record record = { 0 };

		r = release_read(s, &record);
		if (r >= 0)
			r = fn(&record, userdata);
		if (r < 0)
			return r;
	}
	return r;
}

int state_release_set_state(struct state *state, const char *project, const char *name,
			    uint32_t release_state, struct error *err)
{
	return statement_run(
		state, err,
		"UPDATE releases SET state = ? WHERE project = ? AND name = ?", "uss",
		release_state, project, name);
}

int state_release_newest(struct state *state, const char *project, char **ret_name,
			 struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT max(name) FROM releases WHERE project = ?",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "s", project);
	r = statement_step(state, s, err);
	if (r < 0)
		return r;
	*ret_name = statement_text(s, 0);
	return *ret_name ? 0 : -ENOMEM;
}

int state_release_good(struct state *state, const char *project, const char *before,
		       char **ret_name, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT name FROM releases WHERE project = ?1 AND"
			      " state = ?2 AND (?3 = '' OR name < ?3)"
			      " ORDER BY name DESC LIMIT 1",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "sus", project, (uint32_t)RELEASE_STATE_GOOD, before);
	r = statement_step(state, s, err);
	if (r <= 0)
		return r;
	*ret_name = statement_text(s, 0);
	return *ret_name ? 1 : -ENOMEM;
}
