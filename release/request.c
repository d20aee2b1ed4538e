/* Requests of a job to hostkitd, which may be restarted at any moment while the job goes on. */
#include <string.h>

#include "base/log.h"
#include "release/job.h"

/* How long hostkitd may be away, how often to look for it, and how often it may hang up at once. */
#define RECONNECT_USEC (60ull * 1000000)
#define RECONNECT_PAUSE_USEC 200000ull
#define RECONNECT_HANGUPS_MAX 5

static int wait_for_answer(int fd, void *userdata)
{
	struct loop *loop = userdata;
	bool was_protected = loop->protected;
	int r;

	/* an answer left unread would be taken for the next one's */
	loop->protected = true;
	r = loop_wait(loop, fd, LOOP_FOREVER);
	loop->protected = was_protected;
	return r < 0 ? r : 0;
}

static void job_take_client(struct job *job, struct client *client)
{
	client_set_wait(client, wait_for_answer, &job->loop);
	job->client = client;
}

/* Ask for the descriptor on which viewers arrive. */
static int watch_viewers(struct job *job, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	int r = client_call(job->client, REQUEST_JOB_VIEWERS, NULL, NULL, 0, &answer,
			    err);

	if (r >= 0 && (wire_end(&answer.body) < 0 || answer.packet.fd_count != 1))
		r = error_internal(err, -EBADMSG, "answer to JOB_VIEWERS");
	if (r < 0)
		return r;
	return output_listen(job->output, TAKE_FD(answer.packet.fds[0]));
}

static int connect_once(struct job *job, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };
	struct client *client;
	int r = client_connect(job->socket_path, &client, err);

	if (r < 0)
		return r;
	job_take_client(job, client);
	wire_put_i64(&args, job->id);
	r = client_do(client, REQUEST_JOB_HELLO, &args, err);
	if (r >= 0)
		r = watch_viewers(job, err);
	if (r < 0)
		job->client = client_free(job->client);
	return r;
}

static int reconnect(struct job *job, uint64_t deadline, struct error *err)
{
	for (;;) {
		int r = connect_once(job, err);

		if (r >= 0) {
			if (err)
				error_done(err); /* of the tries before */
			log_info("job %lld: connected to hostkitd again",
				 (long long)job->id);
			return 0;
		}
		if (loop_now() >= deadline)
			return error_wrap(err, r, "hostkitd did not come back");
		r = loop_wait(&job->loop, -EBADF, RECONNECT_PAUSE_USEC);
		if (r < 0)
			return r == -ECANCELED ? job_cancelled(err)
					       : error_internal(err, r, "wait");
	}
}

static bool is_hangup(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

int job_call(struct job *job, enum request op, const struct strbuf *args, const int *fds,
	     size_t fd_count, struct client_answer *ret_answer, struct error *err)
{
	uint64_t deadline = loop_now() + RECONNECT_USEC;

	for (unsigned int hangups = 0;;) {
		int r = job->client ? 0 : reconnect(job, deadline, err);

		if (r >= 0)
			r = client_call(job->client, op, args, fds, fd_count, ret_answer,
					err);
		/* an error that hostkitd reported has a code or is over with its answer */
		if (!is_hangup(r) || (err && err->code))
			return r;
		job->client = client_free(job->client);
		if (++hangups > RECONNECT_HANGUPS_MAX)
			return error_wrap(err, r, "hostkitd keeps hanging up");
		if (err)
			error_done(err);
	}
}

int job_do(struct job *job, enum request op, const struct strbuf *args, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	int r = job_call(job, op, args, NULL, 0, &answer, err);

	if (r >= 0 && wire_end(&answer.body) < 0)
		r = error_internal(err, -EBADMSG, "answer to %s", request_name(op));
	return r;
}

int job_do_string(struct job *job, enum request op, const char *arg, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	wire_put_string(&args, arg);
	return job_do(job, op, &args, err);
}

int job_do_u32(struct job *job, enum request op, uint32_t arg, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	wire_put_u32(&args, arg);
	return job_do(job, op, &args, err);
}

int job_mark(struct job *job, const char *release, uint32_t state, struct error *err)
{
	_cleanup_strbuf_ struct strbuf args = { 0 };

	wire_put_string(&args, release);
	wire_put_u32(&args, state);
	return job_do(job, REQUEST_RELEASE_MARK, &args, err);
}

int job_refresh(struct job *job, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	struct job_record record = { 0 };
	struct job_details details = { 0 };
	int r = job_call(job, REQUEST_JOB_INFO, NULL, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	job_record_get(&answer.body, &record);
	job_details_get(&answer.body, &details);
	r = wire_end(&answer.body);
	if (r >= 0 && record.kind >= _JOB_KIND_N)
		r = -EBADMSG;
	if (r < 0) {
		job_record_done(&record);
		job_details_done(&details);
		return error_internal(err, r, "answer to JOB_INFO");
	}
	job_record_done(&job->record);
	job_details_done(&job->details);
	job->record = record;
	job->details = details;
	return 0;
}

int job_init(struct job *job, int64_t id, int client_fd, int log_fd, struct error *err)
{
	struct client *client;
	int r;

	*job = (struct job){ .id = id, .project_uid = (uid_t)-1 };
	r = client_from_fd(client_fd, &client);
	if (r < 0)
		return error_internal(err, r, "request connection");
	job_take_client(job, client);
	r = loop_init(&job->loop);
	if (r >= 0)
		r = output_new(job->loop.event, log_fd, &job->output);
	if (r < 0)
		return error_internal(err, r, "set up");

	r = job_refresh(job, err);
	return r < 0 ? r : watch_viewers(job, err);
}

void job_done(struct job *job)
{
	job->client = client_free(job->client);
	job_record_done(&job->record);
	job_details_done(&job->details);
	job->output = output_free(job->output);
	loop_done(&job->loop);
}
