#pragma once

/*
 * What HostKit knows: projects, keys, releases, jobs and their journal, in SQLite. Times are seconds
 * UTC. Lookups return 1 found (with *ret_..., owned), 0 not found, or a negative errno value; the
 * others 0 or negative. One process, one connection.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "protocol/record.h"
#include "protocol/request.h"

struct state;

enum project_state {
	PROJECT_PROVISIONING, /* its provision job has not ended well yet */
	PROJECT_READY,
	PROJECT_DELETING,
	_PROJECT_STATE_N,
};

struct project {
	int64_t id;
	char *name;
	uint32_t runtime;
	uint32_t state;
	uint32_t port; /* 0: none */
	char *branch;
	char *live; /* name of the live release, "" before the first one */
	char *created_by;
	int64_t created_sec;
};

struct key {
	int64_t id;
	struct key_record record;
};

/* A job with what only hostkitd and the job itself need. */
struct job {
	struct job_record record;
	char *ref;        /* deploy: the ref that was pushed */
	char *old_commit; /* deploy: what it pointed to */
	char *target;     /* rollback: the release wanted */
	uint32_t push_options;
	bool switched; /* RELEASE_SWITCH was begun: `app` may point anywhere */
};

struct project *project_free(struct project *project);
DEFINE_CLEANUP(struct project *, project_free);
void key_done(struct key *key);
void job_done(struct job *job);

/*
 * Open or create the database, bring its schema up to date. A newer schema than this program knows is
 * STATE_TOO_NEW, a file that is no database or damaged STATE_UNREADABLE.
 */
int state_open(const char *path, struct state **ret_state, struct error *err)
	_must_check_;
struct state *state_close(struct state *state);
static inline void state_closep(struct state **state)
{
	*state = state_close(*state);
}

/* All or nothing for the calls between them; not nested. */
int state_begin(struct state *state, struct error *err) _must_check_;
int state_commit(struct state *state, struct error *err) _must_check_;
void state_rollback(struct state *state);

/* -- projects -- */

/* A new row in PROJECT_PROVISIONING; PROJECT_EXISTS if the name is taken. */
int state_project_add(struct state *state, const char *name, uint32_t runtime,
		      const char *by, struct error *err) _must_check_;
int state_project_get(struct state *state, const char *name, struct project **ret_project,
		      struct error *err) _must_check_;
/* Call fn for each project by name; a negative result of fn ends the walk and is returned. */
int state_project_each(struct state *state,
		       int (*fn)(const struct project *project, void *userdata),
		       void *userdata, struct error *err) _must_check_;
int state_project_set_state(struct state *state, const char *name, uint32_t project_state,
			    struct error *err) _must_check_;
/* 0: give it back. A port that another project has fails with -EEXIST. */
int state_project_set_port(struct state *state, const char *name, uint32_t port,
			   struct error *err) _must_check_;
/* "": none. */
int state_project_set_live(struct state *state, const char *name, const char *release,
			   struct error *err) _must_check_;
/* Lookup: does another project have it? */
int state_port_taken(struct state *state, uint32_t port, struct error *err) _must_check_;
/*
 * Remove it with its releases, its deploy keys, and all its jobs but `job`: a later project of the same
 * name must not see them. fn gets the id of each job removed.
 */
int state_project_remove(struct state *state, const char *name, int64_t job,
			 void (*fn)(int64_t job, void *userdata), void *userdata,
			 struct error *err) _must_check_;

/* -- keys -- */

/* KEY_EXISTS if the name or the key itself is known already. Fills record.id and added_sec. */
int state_key_add(struct state *state, const struct key_record *record,
		  const uint8_t *blob, size_t blob_size, struct error *err) _must_check_;
int state_key_by_blob(struct state *state, const uint8_t *blob, size_t blob_size,
		      struct key *ret_key, struct error *err) _must_check_;
int state_key_by_id(struct state *state, int64_t id, struct key *ret_key,
		    struct error *err) _must_check_;
int state_key_each(struct state *state, int (*fn)(const struct key *key, void *userdata),
		   void *userdata, struct error *err) _must_check_;
/* Returns 1 removed, 0 there was none. */
int state_key_remove(struct state *state, const char *name, struct error *err)
	_must_check_;
int state_key_used(struct state *state, int64_t id, struct error *err) _must_check_;

/* -- releases -- */

/*
 * Add one whose name is new in the project, and note it in its job (both or neither); get one by name: 1 found,
 * 0 not.
 */
int state_release_add(struct state *state, const char *project,
		      const struct release_record *record, struct error *err)
	_must_check_;
int state_release_get(struct state *state, const char *project, const char *name,
		      struct release_record *ret_record, struct error *err) _must_check_;
/* Newest first. */
int state_release_each(struct state *state, const char *project,
		       int (*fn)(const struct release_record *record, void *userdata),
		       void *userdata, struct error *err) _must_check_;
int state_release_set_state(struct state *state, const char *project, const char *name,
			    uint32_t release_state, struct error *err) _must_check_;
/* The newest name ever used, also by releases that are gone; *ret_name "" if none. */
int state_release_newest(struct state *state, const char *project, char **ret_name,
			 struct error *err) _must_check_;
/* The newest good release older than `before`, or the newest of all for "". */
int state_release_good(struct state *state, const char *project, const char *before,
		       char **ret_name, struct error *err) _must_check_;

/* -- jobs -- */

/* Fills record.id; it starts WAITING. */
int state_job_add(struct state *state, struct job *job, struct error *err) _must_check_;
int state_job_get(struct state *state, int64_t id, struct job *ret_job, struct error *err)
	_must_check_;
/* Newest first, at most limit (0: all); project NULL: of all; job_state below 0: in any. */
int state_job_each(struct state *state, const char *project, int job_state,
		   uint32_t limit, int (*fn)(const struct job *job, void *userdata),
		   void *userdata, struct error *err) _must_check_;
/* The project's lock: JOB_E_LOCKED when another job of the project runs. */
enum {
	JOB_E_LOCKED = 1,
};
int state_job_run(struct state *state, int64_t id, struct error *err) _must_check_;
/*
 * Lookup: where a deployment moved the ref of this one while this one waited; *ret_commit is owned. Not found
 * also if that is where this one starts from.
 */
int state_job_overtaken(struct state *state, const struct job *job, char **ret_commit,
			struct error *err) _must_check_;
/* From running back to waiting. */
int state_job_wait(struct state *state, int64_t id, struct error *err) _must_check_;
int state_job_end(struct state *state, int64_t id, uint32_t job_state,
		  uint32_t exit_status, const char *message, struct error *err)
	_must_check_;
int state_job_set_release(struct state *state, int64_t id, const char *release,
			  struct error *err) _must_check_;
int state_job_set_switched(struct state *state, int64_t id, bool switched,
			   struct error *err) _must_check_;
/* The journal; step_state BEGUN also becomes where the job is. */
int state_job_step(struct state *state, int64_t id, const char *step, uint32_t step_state,
		   struct error *err) _must_check_;
/* Lookup: what the journal says last about the step. */
int state_job_step_get(struct state *state, int64_t id, const char *step,
		       uint32_t *ret_step_state, struct error *err) _must_check_;
