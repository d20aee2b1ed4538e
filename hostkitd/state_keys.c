/* The keys table. */

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "hostkitd/state-internal.h"

#define KEY_COLUMNS                                                                      \
	"id, name, role, coalesce(project, ''), type, fingerprint, comment, added_sec, " \
	"used_sec"

void key_done(struct key *key)
{
	key_record_done(&key->record);
	*key = (struct key){ 0 };
}

static int key_read(sqlite3_stmt *s, struct key *ret)
{
	struct key_record *r = &ret->record;

	*ret = (struct key){ .id = sqlite3_column_int64(s, 0) };
	r->name = statement_text(s, 1);
	r->role = (uint32_t)sqlite3_column_int64(s, 2);
	r->project = statement_text(s, 3);
	r->type = statement_text(s, 4);
	r->fingerprint = statement_text(s, 5);
	r->comment = statement_text(s, 6);
	r->added_sec = sqlite3_column_int64(s, 7);
	r->used_sec = sqlite3_column_int64(s, 8);
	if (r->name && r->project && r->type && r->fingerprint && r->comment)
		return 1;
	key_done(ret);
	return -ENOMEM;
}

int state_key_add(struct state *state, const struct key_record *record,
		  const uint8_t *blob, size_t blob_size, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s = statement_get(
		state,
		"INSERT INTO keys (name, role, project, type, fingerprint, comment,"
		" added_sec, blob) VALUES (?, ?, nullif(?, ''), ?, ?, ?, ?, ?)",
		err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "sussssi", record->name, record->role, record->project,
		       record->type, record->fingerprint, record->comment,
		       (int64_t)time(NULL));
	(void)sqlite3_bind_blob64(s, 8, blob, blob_size, SQLITE_TRANSIENT);
	r = statement_step(state, s, err);
	if (r == -EEXIST)
		return error_user(err, r, "KEY_EXISTS",
				  "a key named '%s', or the same key, exists already",
				  record->name);
	return r;
}

int state_key_by_blob(struct state *state, const uint8_t *blob, size_t blob_size,
		      struct key *ret_key, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " KEY_COLUMNS " FROM keys WHERE blob = ?",
			      err);
	int r;

	if (!s)
		return -EIO;
	(void)sqlite3_bind_blob64(s, 1, blob, blob_size, SQLITE_TRANSIENT);
	r = statement_step(state, s, err);
	return r <= 0 ? r : key_read(s, ret_key);
}

int state_key_by_id(struct state *state, int64_t id, struct key *ret_key,
		    struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " KEY_COLUMNS " FROM keys WHERE id = ?",
			      err);
	int r;

	if (!s)
		return -EIO;
	statement_bind(s, "i", id);
	r = statement_step(state, s, err);
	return r <= 0 ? r : key_read(s, ret_key);
}

int state_key_each(struct state *state, int (*fn)(const struct key *key, void *userdata),
		   void *userdata, struct error *err)
{
	_cleanup_statement_ sqlite3_stmt *s =
		statement_get(state, "SELECT " KEY_COLUMNS " FROM keys ORDER BY name",
			      err);
	int r;

	if (!s)
		return -EIO;
	while ((r = statement_step(state, s, err)) > 0) {
		_cleanup_(key_done) struct key key = { 0 };

		r = key_read(s, &key);
		if (r >= 0)
			r = fn(&key, userdata);
		if (r < 0)
			return r;
	}
	return r;
}

int state_key_remove(struct state *state, const char *name, struct error *err)
{
	int r = statement_run(state, err, "DELETE FROM keys WHERE name = ?", "s", name);

	return r < 0 ? r : sqlite3_changes(state->db);
}

int state_key_used(struct state *state, int64_t id, struct error *err)
{
	return statement_run(state, err, "UPDATE keys SET used_sec = ? WHERE id = ?",
			     "ii", (int64_t)time(NULL), id);
}
