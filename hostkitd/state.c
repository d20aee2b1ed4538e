/*
 * The database itself: opening, schema, statements. Runs as root; nothing but hostkitd opens the file.
 *
 * WAL with synchronous=NORMAL: a crash of the machine may lose the last transactions, never the order or the
 * shape of the rest; jobs and provisioning are written so that any earlier state can be resumed.
 */

#include "hostkitd/state.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "hostkitd/state-internal.h"

/* One entry a version of the schema, applied in order; never change one that was released. */
static const char *const migrations[] = {
	"CREATE TABLE projects ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" runtime INTEGER NOT NULL, state INTEGER NOT NULL, port INTEGER UNIQUE,"
	" branch TEXT NOT NULL, live TEXT NOT NULL DEFAULT '',"
	" created_by TEXT NOT NULL, created_sec INTEGER NOT NULL);"

	"CREATE TABLE keys ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" role INTEGER NOT NULL,"
	" project TEXT REFERENCES projects(name) ON DELETE CASCADE,"
	" type TEXT NOT NULL, blob BLOB NOT NULL UNIQUE, fingerprint TEXT NOT NULL,"
	" comment TEXT NOT NULL, added_sec INTEGER NOT NULL,"
	" used_sec INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX keys_project ON keys(project);"

	"CREATE TABLE releases ("
	" id INTEGER PRIMARY KEY,"
	" project TEXT NOT NULL REFERENCES projects(name) ON DELETE CASCADE,"
	" name TEXT NOT NULL, state INTEGER NOT NULL, commit_id TEXT NOT NULL,"
	" branch TEXT NOT NULL, created_by TEXT NOT NULL, created_sec INTEGER NOT NULL,"
	" job INTEGER NOT NULL, UNIQUE(project, name));"

	/* jobs outlive their project: who deleted it is a job too */
	"CREATE TABLE jobs ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
	" state INTEGER NOT NULL, project TEXT NOT NULL, created_by TEXT NOT NULL,"
	" step TEXT NOT NULL DEFAULT '', release TEXT NOT NULL DEFAULT '',"
	" commit_id TEXT NOT NULL, old_commit TEXT NOT NULL, ref TEXT NOT NULL,"
	" target TEXT NOT NULL, push_options INTEGER NOT NULL,"
	" switched INTEGER NOT NULL DEFAULT 0,"
	" exit_status INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',"
	" created_sec INTEGER NOT NULL, started_sec INTEGER NOT NULL DEFAULT 0,"
	" ended_sec INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX jobs_project ON jobs(project);"
	"CREATE INDEX jobs_state ON jobs(state) WHERE state <= 1;"
	/* the lock of a project: JOB_STATE_RUNNING is 1 */
	"CREATE UNIQUE INDEX jobs_running ON jobs(project) WHERE state = 1;"

	"CREATE TABLE job_steps ("
	" id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,"
	" step TEXT NOT NULL, state INTEGER NOT NULL, at_sec INTEGER NOT NULL);"
	"CREATE INDEX job_steps_job ON job_steps(job);"

	"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);",
};

_Static_assert(JOB_STATE_RUNNING == 1, "the index jobs_running has the number");

static int state_error(struct state *state, struct error *err)
{
	int code = sqlite3_extended_errcode(state->db) & 0xff;

	if (code == SQLITE_CONSTRAINT)
		return -EEXIST;
	return error_internal(err,
			      code == SQLITE_NOMEM  ? -ENOMEM
			      : code == SQLITE_FULL ? -ENOSPC
						    : -EIO,
			      "database: %s", sqlite3_errmsg(state->db));
}

sqlite3_stmt *statement_get(struct state *state, const char *sql, struct error *err)
{
	size_t i;

	for (i = 0; i < STATE_STATEMENTS_MAX && state->cache[i].sql; i++)
		if (state->cache[i].sql == sql)
			return state->cache[i].statement;
	assert(i < STATE_STATEMENTS_MAX);

	if (sqlite3_prepare_v3(state->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
			       &state->cache[i].statement, NULL) != SQLITE_OK) {
		(void)state_error(state, err);
		return NULL;
	}
	state->cache[i].sql = sql;
	return state->cache[i].statement;
}

void statement_donep(sqlite3_stmt **statement)
{
	if (!*statement)
		return;
	(void)sqlite3_reset(*statement); /* repeats the error of the step */
	(void)sqlite3_clear_bindings(*statement);
}

static void statement_vbind(sqlite3_stmt *statement, const char *types, va_list ap)
{
	for (int i = 1; *types; types++, i++) {
		switch (*types) {
		case 's':
			(void)sqlite3_bind_text(statement, i, va_arg(ap, const char *),
						-1, SQLITE_TRANSIENT);
			break;
		case 'i':
			(void)sqlite3_bind_int64(statement, i, va_arg(ap, int64_t));
			break;
		default:
			(void)sqlite3_bind_int64(statement, i, va_arg(ap, uint32_t));
			break;
		}
	}
}

void statement_bind(sqlite3_stmt *statement, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	statement_vbind(statement, types, ap);
	va_end(ap);
}

int statement_step(struct state *state, sqlite3_stmt *statement, struct error *err)
{
	switch (sqlite3_step(statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return state_error(state, err);
	}
}

int statement_run(struct state *state, struct error *err, const char *sql,
		  const char *types, ...)
{
	_cleanup_statement_ sqlite3_stmt *statement = statement_get(state, sql, err);
	va_list ap;
	int r;

	if (!statement)
		return -EIO;
	va_start(ap, types);
	statement_vbind(statement, types, ap);
	va_end(ap);
	r = statement_step(state, statement, err);
	return r < 0 ? r : 0;
}

char *statement_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return strdup(text ? (const char *)text : "");
}

static int state_exec(struct state *state, const char *sql, struct error *err)
{
	if (sqlite3_exec(state->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		int r = state_error(state, err);

		return error_wrap(err, r, "database");
	}
	return 0;
}

int state_begin(struct state *state, struct error *err)
{
	return state_exec(state, "BEGIN IMMEDIATE", err);
}

int state_commit(struct state *state, struct error *err)
{
	return state_exec(state, "COMMIT", err);
}

void state_rollback(struct state *state)
{
	if (!sqlite3_get_autocommit(state->db))
		(void)state_exec(state, "ROLLBACK", NULL); /* nothing else can be done */
}

static int state_version(struct state *state, int *ret_version, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "PRAGMA user_version", err);
	int r;

	if (!s)
		return -EIO;
	r = statement_step(state, s, err);
	if (r < 0)
		return r;
	*ret_version = r > 0 ? sqlite3_column_int(s, 0) : 0;
	return 0;
}

static int state_migrate(struct state *state, int version, struct error *err)
{
	for (int v = version; v < (int)ARRAY_SIZE(migrations); v++) {
		_cleanup_free_ char *stamp =
			str_format("PRAGMA user_version = %d", v + 1);
		int r;

		if (!stamp)
			return error_internal(err, -ENOMEM, "database");
		r = state_begin(state, err);
		if (r >= 0)
			r = state_exec(state, migrations[v], err);
		if (r >= 0)
			r = state_exec(state, stamp, err);
		if (r >= 0)
			r = state_commit(state, err);
		if (r < 0) {
			state_rollback(state);
			return error_wrap(err, r, "schema %d", v + 1);
		}
	}
	return 0;
}

static int state_prepare(struct state *state, const char *path, struct error *err)
{
	_cleanup_error_ struct error why = ERROR_INIT;
	int version, r;

	(void)sqlite3_extended_result_codes(state->db, 1);
	(void)sqlite3_busy_timeout(state->db, 5000);
	r = state_exec(state,
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		       "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
		       &why);
	if (r >= 0)
		r = state_version(state, &version, &why);
	if (r < 0)
		return error_user(err, r, "STATE_UNREADABLE", "%s cannot be read: %s",
				  path, error_text(&why, true));
	if (version > (int)ARRAY_SIZE(migrations))
		return error_user(err, -EPROTO, "STATE_TOO_NEW",
				  "%s has schema %d, this hostkitd knows up to %d", path,
				  version, (int)ARRAY_SIZE(migrations));
	return state_migrate(state, version, err);
}

int state_open(const char *path, struct state **ret_state, struct error *err)
{
	_cleanup_(state_closep) struct state *state = calloc(1, sizeof(*state));
	mode_t saved;
	int r;

	if (!state)
		return error_internal(err, -ENOMEM, "database");

	saved = umask(0077);
	r = sqlite3_open_v2(path, &state->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX,
			    NULL);
	if (r == SQLITE_OK)
		r = state_prepare(state, path, err);
	else
		r = error_user(err, -EIO, "STATE_UNREADABLE", "%s cannot be opened: %s",
			       path, sqlite3_errmsg(state->db));
	umask(saved);
	if (r < 0)
		return r;

	*ret_state = TAKE_PTR(state);
	return 0;
}

struct state *state_close(struct state *state)
{
	if (!state)
		return NULL;
	for (size_t i = 0; i < STATE_STATEMENTS_MAX && state->cache[i].sql; i++)
		(void)sqlite3_finalize(state->cache[i].statement);
	(void)sqlite3_close(state->db);
	free(state);
	return NULL;
}
