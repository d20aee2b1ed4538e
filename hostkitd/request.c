/* From a message to its handler and back. */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"
#include "base/log.h"
#include "base/wire.h"
#include "hostkitd/internal.h"

static const request_handler handlers[_REQUEST_N] = {
#define X(name, phase, once) [REQUEST_##name] = handle_##name,
	REQUEST_TABLE(X)
#undef X
};

static struct exchange *request_new(struct daemon *daemon, struct connection *conn)
{
	struct exchange *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->daemon = daemon;
	req->conn = connection_ref(conn);
	req->args.fd = -EBADF;
	return req;
}

static void request_free(struct exchange *req)
{
	for (size_t i = 0; i < req->fd_count; i++)
		fd_close(req->fds[i]);
	strbuf_done(&req->results);
	request_args_done(&req->args);
	connection_unref(req->conn);
	free(req);
}

void request_add_fd(struct exchange *req, int fd)
{
	req->fds[req->fd_count++] = fd;
}

static void put_error(struct strbuf *message, const struct error *err)
{
	if (!err->code) {
		wire_put_string(message, "");
		wire_put_string(message, error_text(err, false));
	} else {
		wire_put_string(message, err->code);
		wire_put_string(message, error_text(err, true));
	}
	wire_put_string(message, err->suggestion);
}

void request_finish(struct exchange *req, int result, struct error *err)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };
	_cleanup_error_ struct error unset = ERROR_INIT;

	if (result < 0 && !error_is_set(err)) {
		error_internal(&unset, result, "%s", request_name(req->args.op));
		err = &unset;
	}
	if (result < 0 && !err->code)
		log_error(LOG_ERR, err, "%s", request_name(req->args.op));

	wire_put_u32(&message, req->args.op);
	wire_put_u32(&message, req->args.serial);
	wire_put_u32(&message, (uint32_t)(result < 0 ? result : 0));
	if (result < 0)
		put_error(&message, err);
	else
		strbuf_append(&message, strbuf_get(&req->results), req->results.size);
	if (strbuf_failed(&req->results))
		message.failed = true;
	connection_send(req->conn, &message, req->fds, result < 0 ? 0 : req->fd_count);
	request_free(req);
}

/* What a job may still ask when its end was accepted: tidying up, and what it repeats when it connects again. */
static bool is_for_job_over(uint32_t op)
{
	return op == REQUEST_RELEASE_PRUNE || op == REQUEST_JOB_VIEWERS ||
	       op == REQUEST_JOB_END;
}

int request_dispatch(struct daemon *daemon, struct connection *conn,
		     struct packet *packet, struct error *err)
{
	_cleanup_error_ struct error why = ERROR_INIT;
	struct exchange *req = request_new(daemon, conn);
	uint32_t op;
	int r;

	if (!req)
		return error_internal(err, -ENOMEM, "request");
	r = request_decode(packet, connection_phase(conn), connection_used(conn),
			   &req->args, err);
	op = req->args.op;
	/* of a job only its unit is known until it has said which one it is, and nothing after */
	if (r >= 0 && connection_phase(conn) == PHASE_JOB &&
	    (connection_job(conn) == 0) != (op == REQUEST_JOB_HELLO))
		r = error_internal(err, -EPROTO, "request %s not permitted now",
				   request_name(op));
	if (r >= 0 && connection_phase(conn) == PHASE_JOB && !is_for_job_over(op) &&
	    job_is_over(daemon, connection_job(conn)))
		r = error_internal(err, -EPROTO, "request %s of a job that is over",
				   request_name(op));
	if (r < 0) {
		request_free(req);
		return r;
	}

	connection_mark_used(conn, op);
	r = handlers[op](req, &why);
	if (r != REQUEST_DEFERRED)
		request_finish(req, r, &why);
	return 0;
}

int request_add_list(struct exchange *req, uint32_t count, const struct strbuf *records,
		     struct error *err)
{
	_cleanup_close_ int fd = memfd_create("list", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return error_internal(err, -errno, "memfd_create");
	if (strbuf_failed(records))
		return error_internal(err, -ENOMEM, "list");
	r = io_write_all(fd, strbuf_get(records), records->size);
	if (r < 0)
		return error_internal(err, r, "list");
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return error_internal(err, -errno, "seal list");
	wire_put_u32(&req->results, count);
	request_add_fd(req, TAKE_FD(fd));
	return 0;
}

/*
 * A key may have been removed, or its role changed hands, since this connection was made: what counts is
 * what the database says now.
 */
static int request_check_key(struct exchange *req, const struct principal *p,
			     struct error *err)
{
	_cleanup_(key_done) struct key key = { 0 };
	int r;

	if (p->key == 0)
		return 0;
	r = state_key_by_id(req->daemon->state, p->key, &key, err);
	if (r < 0)
		return r;
	if (r == 0 || key.record.role != p->role)
		return error_user(err, -EACCES, "ACCESS_DENIED",
				  "the key '%s' is no longer registered", p->name);
	return 0;
}

int request_project(struct exchange *req, enum action action, const char *name,
		    bool ready, struct project **ret_project, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	const struct principal *p = connection_principal(req->conn);
	int r;

	r = request_check_key(req, p, err);
	if (r < 0)
		return r;
	if (!name)
		return authorize(p, action, NULL, false, err);

	r = state_project_get(req->daemon->state, name, &project, err);
	if (r < 0)
		return r;
	r = authorize(p, action, name, project != NULL, err);
	if (r < 0)
		return r;
	if (ready && project->state != PROJECT_READY) {
		error_user(err, -EBUSY, "PROJECT_LOCKED", "the project '%s' is %s", name,
			   project->state == PROJECT_DELETING
				   ? "being deleted"
				   : "still being provisioned");
		error_suggest(err, "jobs %s", name);
		return -EBUSY;
	}
	*ret_project = TAKE_PTR(project);
	return 0;
}

int request_job(struct exchange *req, struct job *ret_job, struct project **ret_project,
		struct error *err)
{
	_cleanup_(job_done) struct job job = { 0 };
	int64_t id = connection_job(req->conn);
	int r = state_job_get(req->daemon->state, id, &job, err);

	if (r == 0)
		return error_internal(err, -ESTALE, "job %lld has no row", (long long)id);
	if (r < 0)
		return r;
	r = state_project_get(req->daemon->state, job.record.project, ret_project, err);
	if (r == 0)
		return error_internal(err, -ESTALE, "job %lld: project %s has no row",
				      (long long)id, job.record.project);
	if (r < 0)
		return r;
	*ret_job = job;
	job = (struct job){ 0 };
	return 0;
}
