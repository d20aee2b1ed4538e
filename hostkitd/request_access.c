/* Requests about keys and who one is. */

#include <string.h>

#include "base/digest.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"
#include "hostkitd/key.h"
#include "protocol/name.h"

int handle_AUTH_PROBE(struct exchange *req, struct error *err)
{
	_cleanup_(key_done) struct key key = { 0 };
	int r = state_key_by_blob(req->daemon->state, req->args.key, req->args.key_size,
				  &key, err);

	if (r < 0)
		return r;
	wire_put_bool(&req->results, r > 0);
	return REQUEST_ANSWERED;
}

int handle_AUTH_KEY(struct exchange *req, struct error *err)
{
	_cleanup_free_ char *address = escape_text(req->args.address, REQUEST_NAME_MAX);
	_cleanup_error_ struct error used_err = ERROR_INIT;
	_cleanup_(key_done) struct key key = { 0 };
	struct state *state = req->daemon->state;
	int r = state_key_by_blob(state, req->args.key, req->args.key_size, &key, err);

	if (r < 0)
		return r;
	if (r == 0)
		return error_user(err, -EACCES, "KEY_UNKNOWN",
				  "this key is not registered");

	const struct principal principal = {
		.role = (enum role)key.record.role,
		.key = key.id,
		.name = key.record.name,
		.project = key.record.project,
		.fingerprint = key.record.fingerprint,
	};
	r = connection_authenticate(req->conn, &principal);
	if (r < 0)
		return error_internal(err, r, "authenticate");
	log_info("key %s (%s) from %s", key.record.name, key.record.fingerprint,
		 address ? address : "?");
	/* on a full disk somebody must still be able to log in and mend it */
	if (state_key_used(state, key.id, &used_err) < 0)
		log_error(LOG_WARNING, &used_err, "last use of key %s, ignoring",
			  key.record.name);
	wire_put_string(&req->results, key.record.name);
	return REQUEST_ANSWERED;
}

int handle_WHOAMI(struct exchange *req, struct error *err)
{
	const struct principal *p = connection_principal(req->conn);

	(void)err;
	wire_put_string(&req->results, p->name);
	wire_put_u32(&req->results, p->role);
	wire_put_string(&req->results, p->fingerprint);
	wire_put_string(&req->results, p->project);
	return REQUEST_ANSWERED;
}

/* A deploy key is bound to a project that exists; the others to none; a local user's role is no key's. */
static int key_check_role(struct exchange *req, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;

	switch ((enum role)req->args.value) {
	case ROLE_DEPLOY:
		return request_project(req, ACTION_KEY_EDIT, req->args.project, true,
				       &project, err);
	case ROLE_ADMIN:
	case ROLE_OPERATOR:
		if (*req->args.project == '\0')
			return 0;
		break;
	case ROLE_PROJECT:
	case _ROLE_N:
		break;
	}
	return error_user(err, -EINVAL, "INVALID_OPTIONS",
			  "a key's role is admin, operator, or deploy with a project");
}

int handle_KEY_ADD(struct exchange *req, struct error *err)
{
	_cleanup_free_ char *type = NULL, *fingerprint = NULL;
	int r = request_project(req, ACTION_KEY_EDIT, NULL, false, NULL, err);

	if (r >= 0)
		r = name_check_key(req->args.name, err);
	if (r >= 0)
		r = key_check_role(req, err);
	if (r >= 0)
		r = key_type(req->args.key, req->args.key_size, &type, err);
	if (r < 0)
		return r;
	fingerprint = key_fingerprint(req->args.key, req->args.key_size);
	if (!fingerprint)
		return error_internal(err, -ENOMEM, "fingerprint");

	const struct key_record record = {
		.name = req->args.name,
		.role = req->args.value,
		.project = req->args.project,
		.type = type,
		.fingerprint = fingerprint,
		.comment = req->args.comment,
	};
	r = state_key_add(req->daemon->state, &record, req->args.key, req->args.key_size,
			  err);
	if (r < 0)
		return r;
	log_info("key %s (%s, %s) added by %s", record.name, role_name(record.role),
		 fingerprint, connection_principal(req->conn)->name);
	wire_put_string(&req->results, fingerprint);
	return REQUEST_ANSWERED;
}

struct list {
	struct exchange *req;
	struct strbuf records;
	uint32_t count;
};

static int put_key(const struct key *key, void *userdata)
{
	struct list *list = userdata;

	key_record_put(&list->records, &key->record);
	list->count++;
	return 0;
}

int handle_KEY_LIST(struct exchange *req, struct error *err)
{
	struct list list = { .req = req };
	int r = request_project(req, ACTION_KEY_SEE, NULL, false, NULL, err);

	if (r >= 0)
		r = state_key_each(req->daemon->state, put_key, &list, err);
	if (r >= 0)
		r = request_add_list(req, list.count, &list.records, err);
	strbuf_done(&list.records);
	return r;
}

struct admins {
	const char *name; /* the key in question */
	bool is_one;
	uint32_t others;
};

static int count_admin(const struct key *key, void *userdata)
{
	struct admins *admins = userdata;

	if (key->record.role != ROLE_ADMIN)
		return 0;
	if (str_equal(key->record.name, admins->name))
		admins->is_one = true;
	else
		admins->others++;
	return 0;
}

/* Whoever comes by SSH could not come again; root on the server can. */
static int keep_last_admin(struct exchange *req, struct error *err)
{
	struct admins admins = { .name = req->args.name };
	int r = connection_principal(req->conn)->key == 0
			? 0
			: state_key_each(req->daemon->state, count_admin, &admins, err);

	if (r < 0 || !admins.is_one || admins.others > 0)
		return r;
	error_user(err, -EPERM, "LAST_ADMIN_KEY",
		   "'%s' is the last admin key: nobody could log in to add another",
		   req->args.name);
	error_suggest(err,
		      "add another first; or on the server: sudo hostkit key remove %s",
		      req->args.name);
	return -EPERM;
}

int handle_KEY_REMOVE(struct exchange *req, struct error *err)
{
	int r = request_project(req, ACTION_KEY_EDIT, NULL, false, NULL, err);

	if (r >= 0)
		r = name_check_key(req->args.name, err);
	if (r >= 0)
		r = keep_last_admin(req, err);
	if (r >= 0)
		r = state_key_remove(req->daemon->state, req->args.name, err);
	if (r == 0) {
		error_user(err, -ENOENT, "KEY_NOT_FOUND", "no key is named '%s'",
			   req->args.name);
		error_suggest(err, "key list");
		return -ENOENT;
	}
	if (r < 0)
		return r;
	log_info("key %s removed by %s", req->args.name,
		 connection_principal(req->conn)->name);
	return REQUEST_ANSWERED;
}
