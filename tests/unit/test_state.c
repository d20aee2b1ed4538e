#include "hostkitd/state.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/fs.h"
#include "base/str.h"

struct fixture {
	char directory[32];
	char *path;
	struct state *state;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_error_ struct error err = ERROR_INIT;

	if (!f)
		return -1;
	*state = f;
	snprintf(f->directory, sizeof(f->directory), "/tmp/test_state.XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	f->path = str_format("%s/hostkit.db", f->directory);
	return f->path ? state_open(f->path, &f->state, &err) : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int tmp = -EBADF;
	int r;

	f->state = state_close(f->state);
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fs_remove_tree_at(tmp, f->directory + strlen("/tmp/"));
	free(f->path);
	free(f);
	return r;
}

static void add_project(struct fixture *f, const char *name)
{
	assert_int_equal(state_project_add(f->state, name, RUNTIME_NODE, "me", NULL), 0);
}

static int64_t add_job(struct fixture *f, const char *project, uint32_t kind)
{
	struct job job = {
		.record = { .kind = kind, .project = (char *)project, .by = (char *)"me" }
	};

	assert_int_equal(state_job_add(f->state, &job, NULL), 0);
	return job.record.id;
}

static void add_release(struct fixture *f, const char *project, const char *name,
			uint32_t release_state)
{
	const struct release_record record = {
		.name = (char *)name,
		.state = release_state,
		.commit = (char *)"0123",
		.branch = (char *)"main",
		.by = (char *)"me",
		.created_sec = 1,
		.job = 1,
	};

	assert_int_equal(state_release_add(f->state, project, &record, NULL), 0);
}

static int add_key(struct fixture *f, const char *name, const char *project,
		   const char *blob, struct error *err)
{
	const struct key_record record = {
		.name = (char *)name,
		.role = *project ? ROLE_DEPLOY : ROLE_ADMIN,
		.project = (char *)project,
		.type = (char *)"ssh-ed25519",
		.fingerprint = (char *)"SHA256:x",
		.comment = (char *)"",
	};

	return state_key_add(f->state, &record, (const uint8_t *)blob, strlen(blob), err);
}

static void test_file_is_private(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_survives_reopening(void **state)
{
	struct fixture *f = *state;
	_cleanup_(project_freep) struct project *project = NULL;

	add_project(f, "shop");
	f->state = state_close(f->state);
	assert_int_equal(state_open(f->path, &f->state, NULL), 0);
	assert_int_equal(state_project_get(f->state, "shop", &project, NULL), 1);
	assert_string_equal(project->name, "shop");
	assert_string_equal(project->branch, "main");
	assert_int_equal(project->state, PROJECT_PROVISIONING);
	assert_int_equal(project->port, 0);
}

static void test_newer_schema_stops(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct error err = ERROR_INIT;
	sqlite3 *db;

	f->state = state_close(f->state);
	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 999", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	assert_true(state_open(f->path, &f->state, &err) < 0);
	assert_string_equal(error_code(&err), "STATE_TOO_NEW");
	assert_non_null(strstr(err.message, "999"));
}

static void test_no_database_stops(void **state)
{
	struct fixture *f = *state;
	_cleanup_error_ struct error err = ERROR_INIT, link_err = ERROR_INIT;
	_cleanup_free_ char *link_path = str_format("%s/link.db", f->directory);
	FILE *file;

	f->state = state_close(f->state);
	file = fopen(f->path, "we");
	assert_non_null(file);
	for (int i = 0; i < 100; i++)
		fputs("this is no database at all\n", file);
	fclose(file);
	assert_true(state_open(f->path, &f->state, &err) < 0);
	assert_string_equal(error_code(&err), "STATE_UNREADABLE");

	assert_int_equal(symlink(f->path, link_path), 0);
	assert_true(state_open(link_path, &f->state, &link_err) < 0);
	assert_string_equal(error_code(&link_err), "STATE_UNREADABLE");
}

static void test_projects(void **state)
{
	struct fixture *f = *state;
	_cleanup_(project_freep) struct project *project = NULL, *none = NULL;
	_cleanup_error_ struct error err = ERROR_INIT;

	add_project(f, "shop");
	assert_int_equal(state_project_add(f->state, "shop", RUNTIME_NODE, "x", &err),
			 -EEXIST);
	assert_string_equal(error_code(&err), "PROJECT_EXISTS");
	assert_int_equal(state_project_get(f->state, "other", &none, NULL), 0);
	assert_int_equal(state_project_set_state(f->state, "shop", PROJECT_READY, NULL),
			 0);
	assert_int_equal(state_project_set_live(f->state, "shop", "20250215-120000",
						NULL),
			 0);
	assert_int_equal(state_project_get(f->state, "shop", &project, NULL), 1);
	assert_int_equal(project->state, PROJECT_READY);
	assert_string_equal(project->live, "20250215-120000");
}

static void test_ports_are_unique(void **state)
{
	struct fixture *f = *state;

	add_project(f, "shop");
	add_project(f, "blog");
	assert_int_equal(state_port_taken(f->state, 8001, NULL), 0);
	assert_int_equal(state_project_set_port(f->state, "shop", 8001, NULL), 0);
	assert_int_equal(state_port_taken(f->state, 8001, NULL), 1);
	assert_int_equal(state_project_set_port(f->state, "blog", 8001, NULL), -EEXIST);
	/* any number of projects may have none */
	assert_int_equal(state_project_set_port(f->state, "shop", 0, NULL), 0);
	assert_int_equal(state_project_set_port(f->state, "blog", 0, NULL), 0);
	assert_int_equal(state_port_taken(f->state, 8001, NULL), 0);
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	_cleanup_(key_done) struct key key = { 0 }, none = { 0 };
	_cleanup_error_ struct error name = ERROR_INIT, blob = ERROR_INIT;

	add_project(f, "shop");
	assert_int_equal(add_key(f, "me", "", "blob-1", NULL), 0);
	assert_int_equal(add_key(f, "ci", "shop", "blob-2", NULL), 0);
	assert_int_equal(add_key(f, "me", "", "blob-3", &name), -EEXIST);
	assert_string_equal(error_code(&name), "KEY_EXISTS");
	assert_int_equal(add_key(f, "you", "", "blob-1", &blob), -EEXIST);
	assert_string_equal(error_code(&blob), "KEY_EXISTS");

	assert_int_equal(state_key_by_blob(f->state, (const uint8_t *)"blob-2", 6, &key,
					   NULL),
			 1);
	assert_string_equal(key.record.name, "ci");
	assert_string_equal(key.record.project, "shop");
	assert_int_equal(key.record.role, ROLE_DEPLOY);
	assert_int_equal(key.record.used_sec, 0);
	assert_int_equal(state_key_by_blob(f->state, (const uint8_t *)"blob-", 5, &none,
					   NULL),
			 0);
	assert_int_equal(state_key_used(f->state, key.id, NULL), 0);
	key_done(&key);
	assert_int_equal(state_key_by_blob(f->state, (const uint8_t *)"blob-2", 6, &key,
					   NULL),
			 1);
	assert_true(key.record.used_sec > 0);
	assert_int_equal(state_key_remove(f->state, "me", NULL), 1);
	assert_int_equal(state_key_remove(f->state, "me", NULL), 0);
}

static void test_key_of_unknown_project(void **state)
{
	struct fixture *f = *state;

	assert_true(add_key(f, "ci", "nowhere", "blob", NULL) < 0);
}

static void test_releases(void **state)
{
	struct fixture *f = *state;
	_cleanup_(release_record_done) struct release_record record = { 0 };
	_cleanup_free_ char *newest = NULL, *none = NULL, *good = NULL, *before = NULL;
	char *nothing = NULL;

	add_project(f, "shop");
	assert_int_equal(state_release_newest(f->state, "shop", &none, NULL), 0);
	assert_string_equal(none, "");
	add_release(f, "shop", "20250101-000000", RELEASE_STATE_GOOD);
	add_release(f, "shop", "20250102-000000", RELEASE_STATE_GOOD);
	add_release(f, "shop", "20250103-000000", RELEASE_STATE_FAILED);
	assert_int_equal(state_project_set_live(f->state, "shop", "20250102-000000",
						NULL),
			 0);

	assert_int_equal(state_release_newest(f->state, "shop", &newest, NULL), 0);
	assert_string_equal(newest, "20250103-000000");
	assert_int_equal(state_release_good(f->state, "shop", "", &good, NULL), 1);
	assert_string_equal(good, "20250102-000000");
	assert_int_equal(state_release_good(f->state, "shop", good, &before, NULL), 1);
	assert_string_equal(before, "20250101-000000");
	assert_int_equal(state_release_good(f->state, "shop", before, &nothing, NULL), 0);

	assert_int_equal(state_release_get(f->state, "shop", "20250102-000000", &record,
					   NULL),
			 1);
	assert_true(record.live);
	assert_int_equal(state_release_set_state(f->state, "shop", "20250102-000000",
						 RELEASE_STATE_GONE, NULL),
			 0);
	release_record_done(&record);
	assert_int_equal(state_release_get(f->state, "shop", "20250102-000000", &record,
					   NULL),
			 1);
	assert_int_equal(record.state, RELEASE_STATE_GONE);
}

static void test_release_name_is_unique(void **state)
{
	struct fixture *f = *state;
	const struct release_record record = {
		.name = (char *)"20250101-000000",
		.commit = (char *)"",
		.branch = (char *)"",
		.by = (char *)"",
	};

	add_project(f, "shop");
	add_project(f, "blog");
	add_release(f, "shop", record.name, RELEASE_STATE_GOOD);
	assert_int_equal(state_release_add(f->state, "shop", &record, NULL), -EEXIST);
	assert_int_equal(state_release_add(f->state, "blog", &record, NULL), 0);
}

static void test_one_job_runs(void **state)
{
	struct fixture *f = *state;
	_cleanup_(job_done) struct job job = { 0 };
	int64_t first = add_job(f, "shop", JOB_KIND_DEPLOY);
	int64_t second = add_job(f, "shop", JOB_KIND_DEPLOY);
	int64_t other = add_job(f, "blog", JOB_KIND_DEPLOY);

	assert_int_equal(state_job_run(f->state, first, NULL), 0);
	assert_int_equal(state_job_run(f->state, second, NULL), JOB_E_LOCKED);
	assert_int_equal(state_job_run(f->state, other, NULL), 0);
	assert_int_equal(state_job_end(f->state, first, JOB_STATE_FAILED, 5, "npm", NULL),
			 0);
	assert_int_equal(state_job_run(f->state, second, NULL), 0);
	assert_int_equal(state_job_wait(f->state, second, NULL), 0);

	assert_int_equal(state_job_get(f->state, first, &job, NULL), 1);
	assert_int_equal(job.record.state, JOB_STATE_FAILED);
	assert_int_equal(job.record.exit_status, 5);
	assert_string_equal(job.record.message, "npm");
	assert_true(job.record.ended_sec > 0);
}

/* A push that waited while another one moved the branch. */
static void test_overtaken(void **state)
{
	struct fixture *f = *state;
	struct job first = { .record = { .project = (char *)"shop",
					 .by = (char *)"me",
					 .commit = (char *)"bbb" },
			     .ref = (char *)"refs/heads/main",
			     .old_commit = (char *)"aaa" };
	struct job second = first, other = first, later = first;
	_cleanup_free_ char *commit = NULL;
	char *none = NULL;

	second.record.commit = (char *)"ccc";
	other.ref = (char *)"refs/heads/other";
	later.old_commit = (char *)"bbb";
	assert_int_equal(state_job_add(f->state, &first, NULL), 0);
	assert_int_equal(state_job_add(f->state, &second, NULL), 0);
	assert_int_equal(state_job_add(f->state, &other, NULL), 0);
	assert_int_equal(state_job_run(f->state, first.record.id, NULL), 0);
	assert_int_equal(state_job_overtaken(f->state, &second, &none, NULL), 0);
	assert_int_equal(state_job_end(f->state, first.record.id, JOB_STATE_SUCCEEDED, 0,
				       "", NULL),
			 0);
	assert_int_equal(state_job_overtaken(f->state, &second, &commit, NULL), 1);
	assert_string_equal(commit, "bbb");
	assert_int_equal(state_job_overtaken(f->state, &other, &none, NULL), 0);
	/* queued in the same second, but by a client that has seen the new branch */
	assert_int_equal(state_job_add(f->state, &later, NULL), 0);
	assert_int_equal(state_job_overtaken(f->state, &later, &none, NULL), 0);
	assert_null(none);
}

static void test_journal(void **state)
{
	struct fixture *f = *state;
	_cleanup_(job_done) struct job job = { 0 };
	int64_t id = add_job(f, "shop", JOB_KIND_DEPLOY);
	uint32_t step = 77;

	assert_int_equal(state_job_step_get(f->state, id, "build", &step, NULL), 0);
	assert_int_equal(state_job_step(f->state, id, "build", STEP_STATE_BEGUN, NULL),
			 0);
	assert_int_equal(state_job_step(f->state, id, "build", STEP_STATE_DONE, NULL), 0);
	assert_int_equal(state_job_step_get(f->state, id, "build", &step, NULL), 1);
	assert_int_equal(step, STEP_STATE_DONE);
	assert_int_equal(state_job_set_switched(f->state, id, true, NULL), 0);
	assert_int_equal(state_job_set_release(f->state, id, "20250101-000000", NULL), 0);
	assert_int_equal(state_job_get(f->state, id, &job, NULL), 1);
	assert_string_equal(job.record.step, "build");
	assert_string_equal(job.record.release, "20250101-000000");
	assert_true(job.switched);
}

static int count_jobs(const struct job *job, void *userdata)
{
	size_t *count = userdata;

	(void)job;
	(*count)++;
	return 0;
}

static void forget(int64_t job, void *userdata)
{
	int64_t *sum = userdata;

	*sum += job;
}

/* A later project of the same name must find nothing of the earlier one. */
static void test_remove_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup_(project_freep) struct project *project = NULL;
	_cleanup_(key_done) struct key key = { 0 };
	_cleanup_free_ char *newest = NULL;
	int64_t old, last, sum = 0;
	size_t count = 0;

	add_project(f, "shop");
	assert_int_equal(add_key(f, "ci", "shop", "blob", NULL), 0);
	add_release(f, "shop", "20250101-000000", RELEASE_STATE_GOOD);
	old = add_job(f, "shop", JOB_KIND_DEPLOY);
	assert_int_equal(state_job_step(f->state, old, "build", STEP_STATE_DONE, NULL),
			 0);
	last = add_job(f, "shop", JOB_KIND_DELETE);

	assert_int_equal(state_project_remove(f->state, "shop", last, forget, &sum, NULL),
			 0);
	assert_int_equal(sum, old);
	assert_int_equal(state_project_get(f->state, "shop", &project, NULL), 0);
	assert_int_equal(state_key_by_blob(f->state, (const uint8_t *)"blob", 4, &key,
					   NULL),
			 0);
	assert_int_equal(state_release_newest(f->state, "shop", &newest, NULL), 0);
	assert_string_equal(newest, "");
	assert_int_equal(state_job_each(f->state, "shop", -1, 0, count_jobs, &count,
					NULL),
			 0);
	assert_int_equal(count, 1);
	/* row ids do not come back */
	add_project(f, "shop");
	assert_true(add_job(f, "shop", JOB_KIND_DEPLOY) > last);
}

static void test_job_filters(void **state)
{
	struct fixture *f = *state;
	size_t all = 0, shop = 0, running = 0, limited = 0;
	int64_t id = add_job(f, "shop", JOB_KIND_DEPLOY);

	add_job(f, "shop", JOB_KIND_DEPLOY);
	add_job(f, "blog", JOB_KIND_DEPLOY);
	assert_int_equal(state_job_run(f->state, id, NULL), 0);
	assert_int_equal(state_job_each(f->state, NULL, -1, 0, count_jobs, &all, NULL),
			 0);
	assert_int_equal(state_job_each(f->state, "shop", -1, 0, count_jobs, &shop, NULL),
			 0);
	assert_int_equal(state_job_each(f->state, NULL, JOB_STATE_RUNNING, 0, count_jobs,
					&running, NULL),
			 0);
	assert_int_equal(state_job_each(f->state, NULL, -1, 2, count_jobs, &limited,
					NULL),
			 0);
	assert_int_equal(all, 3);
	assert_int_equal(shop, 2);
	assert_int_equal(running, 1);
	assert_int_equal(limited, 2);
}

static void test_rollback_of_changes(void **state)
{
	struct fixture *f = *state;
	_cleanup_(project_freep) struct project *project = NULL;

	assert_int_equal(state_begin(f->state, NULL), 0);
	add_project(f, "shop");
	state_rollback(f->state);
	assert_int_equal(state_project_get(f->state, "shop", &project, NULL), 0);
}

#define WITH_STATE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STATE(test_file_is_private),
		WITH_STATE(test_survives_reopening),
		WITH_STATE(test_newer_schema_stops),
		WITH_STATE(test_no_database_stops),
		WITH_STATE(test_projects),
		WITH_STATE(test_ports_are_unique),
		WITH_STATE(test_keys),
		WITH_STATE(test_key_of_unknown_project),
		WITH_STATE(test_releases),
		WITH_STATE(test_release_name_is_unique),
		WITH_STATE(test_one_job_runs),
		WITH_STATE(test_journal),
		WITH_STATE(test_overtaken),
		WITH_STATE(test_remove_leaves_nothing),
		WITH_STATE(test_job_filters),
		WITH_STATE(test_rollback_of_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
