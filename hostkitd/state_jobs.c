/* The jobs table and their journal. */

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "hostkitd/state-internal.h"

#define JOB_COLUMNS                                                                     \
	"id, kind, state, project, created_by, step, release, commit_id, exit_status, " \
	"message, created_sec, started_sec, ended_sec, ref, old_commit, target, "       \
	"push_options, switched FROM jobs"

void job_done(struct job *job)
{
	job_record_done(&job->record);
	free(job->ref);
	free(job->old_commit);
	free(job->target);
	*job = (struct job){ 0 };
}

static int job_read(sqlite3_stmt *s, struct job *ret)
{
	struct job_record *r = &ret->record;

	*ret = (struct job){ 0 };
	r->id = sqlite3_column_int64(s, 0);
	r->kind = (uint32_t)sqlite3_column_int64(s, 1);
	r->state = (uint32_t)sqlite3_column_int64(s, 2);
	r->project = statement_text(s, 3);
	r->by = statement_text(s, 4);
	r->step = statement_text(s, 5);
	r->release = statement_text(s, 6);
	r->commit = statement_text(s, 7);
	r->exit_status = (uint32_t)sqlite3_column_int64(s, 8);
	r->message = statement_text(s, 9);
	r->created_sec = sqlite3_column_int64(s, 10);
	r->started_sec = sqlite3_column_int64(s, 11);
	r->ended_sec = sqlite3_column_int64(s, 12);
	ret->ref = statement_text(s, 13);
	ret->old_commit = statement_text(s, 14);
	ret->target = statement_text(s, 15);
	ret->push_options = (uint32_t)sqlite3_column_int64(s, 16);
	ret->switched = sqlite3_column_int(s, 17) != 0;
	if (r->project && r->by && r->step && r->release && r->commit && r->message &&
	    ret->ref && ret->old_commit && ret->target)
		return 1;
	job_done(ret);
	return -ENOMEM;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int state_job_add(struct state *state, struct job *job, struct error *err)
{
	int64_t now = time(NULL);
	int r = statement_run(state, err,
			      "INSERT INTO jobs (kind, state, project, created_by, ref,"
			      " commit_id, old_commit, target, push_options, created_sec)"
			      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			      "uussssssui", job->record.kind, (uint32_t)JOB_STATE_WAITING,
			      job->record.project, job->record.by, or_empty(job->ref),
			      or_empty(job->record.commit), or_empty(job->old_commit),
			      or_empty(job->target), job->push_options, now);

	if (r < 0)
		return r;
	job->record.id = sqlite3_last_insert_rowid(state->db);
	job->record.state = JOB_STATE_WAITING;
	job->record.created_sec = now;
	return 0;
}

int state_job_get(struct state *state, int64_t id, struct job *ret_job, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " JOB_COLUMNS " WHERE id = ?", err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "i", id);
	r = statement_step(state, s, err);
	return r <= 0 ? r : job_read(s, ret_job);
}

int state_job_each(struct state *state, const char *project, int job_state,
		   uint32_t limit, int (*fn)(const struct job *job, void *userdata),
		   void *userdata, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT " JOB_COLUMNS " WHERE (?1 = '' OR project = ?1)"
			      " AND (?2 < 0 OR state = ?2) ORDER BY id DESC LIMIT ?3",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "sii", or_empty(project), (int64_t)job_state,
		       limit > 0 ? (int64_t)limit : (int64_t)-1);
	while ((r = statement_step(state, s, err)) > 0) {
		_cleanup_(job_done) struct job job = { 0 };

		r = job_read(s, &job);
		if (r >= 0)
			r = fn(&job, userdata);
		if (r < 0)
			return r;
	}
	return r;
}

int state_job_run(struct state *state, int64_t id, struct error *err)
{
	int r = statement_run(state, err,
			      "UPDATE jobs SET state = ?, started_sec = ? WHERE id = ?",
			      "uii", (uint32_t)JOB_STATE_RUNNING, (int64_t)time(NULL),
			      id);

	return r == -EEXIST ? JOB_E_LOCKED : r;
}

int state_job_overtaken(struct state *state, const struct job *job, char **ret_commit,
			struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT commit_id FROM jobs WHERE project = ? AND ref = ?"
			      " AND kind = ? AND state = ? AND id < ? AND ended_sec >= ?"
			      " ORDER BY id DESC LIMIT 1",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "ssuuii", job->record.project, job->ref,
		       (uint32_t)JOB_KIND_DEPLOY, (uint32_t)JOB_STATE_SUCCEEDED,
		       job->record.id, job->record.created_sec);
	r = statement_step(state, s, err);
	if (r <= 0)
		return r;
	*ret_commit = statement_text(s, 0);
	if (!*ret_commit)
		return -ENOMEM;
	if (!str_equal(*ret_commit, job->old_commit))
		return 1;
	free(*ret_commit);
	*ret_commit = NULL;
	return 0;
}

int state_job_wait(struct state *state, int64_t id, struct error *err)
{
	return statement_run(state, err, "UPDATE jobs SET state = ? WHERE id = ?", "ui",
			     (uint32_t)JOB_STATE_WAITING, id);
}

int state_job_end(struct state *state, int64_t id, uint32_t job_state,
		  uint32_t exit_status, const char *message, struct error *err)
{
	return statement_run(state, err,
			     "UPDATE jobs SET state = ?, exit_status = ?, message = ?,"
			     " ended_sec = ?, switched = 0 WHERE id = ?",
			     "uusii", job_state, exit_status, message,
			     (int64_t)time(NULL), id);
}

int state_job_set_release(struct state *state, int64_t id, const char *release,
			  struct error *err)
{
	return statement_run(state, err, "UPDATE jobs SET release = ? WHERE id = ?", "si",
			     release, id);
}

int state_job_set_switched(struct state *state, int64_t id, bool switched,
			   struct error *err)
{
	return statement_run(state, err, "UPDATE jobs SET switched = ? WHERE id = ?",
			     "ui", (uint32_t)switched, id);
}

int state_job_step(struct state *state, int64_t id, const char *step, uint32_t step_state,
		   struct error *err)
{
	int r = statement_run(state, err,
			      "INSERT INTO job_steps (job, step, state, at_sec)"
			      " VALUES (?, ?, ?, ?)",
			      "isui", id, step, step_state, (int64_t)time(NULL));

	if (r < 0 || step_state != STEP_STATE_BEGUN)
		return r;
	return statement_run(state, err, "UPDATE jobs SET step = ? WHERE id = ?", "si",
			     step, id);
}

int state_job_step_get(struct state *state, int64_t id, const char *step,
		       uint32_t *ret_step_state, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state,
			      "SELECT state FROM job_steps WHERE job = ? AND step = ?"
			      " ORDER BY id DESC LIMIT 1",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "is", id, step);
	r = statement_step(state, s, err);
	if (r > 0)
		*ret_step_state = (uint32_t)sqlite3_column_int64(s, 0);
	return r;
}
