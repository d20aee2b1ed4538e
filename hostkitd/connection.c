/*
 * Connections: accepting, judging the peer, reading, answering. Everything is non-blocking, and whatever a
 * peer can make us hold has a limit here.
 */

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include <systemd/sd-login.h>

#include "base/log.h"
#include "hostkitd/account.h"
#include "hostkitd/internal.h"

/* Connections at a time; what one process of sshd needs is one. */
#define CONNECTIONS_MAX 4096
#define CONNECTIONS_PER_USER_MAX 64    /* of root, or of `hostkit` */
#define CONNECTIONS_PER_PROJECT_MAX 16 /* of any other uid */
/* Requests of one connection that wait for their answer. */
#define REQUESTS_PENDING_MAX 16
/* Answers a peer has not read. */
#define OUTPUT_MESSAGES_MAX 64
/*
 * What the kernel holds for a peer that does not read: small, for each message may carry a whole list in a memfd.
 * It doubles this (socket(7)), so that the largest message fits.
 */
#define SEND_BUFFER_BYTES WIRE_MESSAGE_MAX
/* Accept nothing for this long when there are no descriptors left. */
#define ACCEPT_PAUSE_USEC 200000
/* Tries to log in; an agent may hold many keys. */
#define PREAUTH_REQUESTS_MAX 256

struct output {
	STAILQ_ENTRY(output) next;
	struct strbuf message;
	int fds[PACKET_FDS_MAX];
	size_t fd_count;
};
STAILQ_HEAD(output_queue, output);

struct connection {
	LIST_ENTRY(connection) list;
	struct daemon *daemon;
	unsigned int refs;
	int fd; /* -EBADF: closed */
	sd_event_source *source;
	sd_event_source *deadline;
	enum phase phase;
	uid_t uid; /* of the peer; 0 for pairs we made */
	bool from_socket;
	struct principal principal;
	char *project;
	int64_t job;
	uint64_t used;
	size_t pending; /* requests not answered yet */
	size_t requests;
	struct output_queue output;
	size_t output_count;
};

static void output_free(struct output *output)
{
	for (size_t i = 0; i < output->fd_count; i++)
		fd_close(output->fds[i]);
	strbuf_done(&output->message);
	free(output);
}

static void connection_close(struct connection *conn)
{
	struct output *output;

	if (conn->fd < 0)
		return;
	conn->source = sd_event_source_disable_unref(conn->source);
	conn->deadline = sd_event_source_disable_unref(conn->deadline);
	conn->fd = fd_close(conn->fd);
	while ((output = STAILQ_FIRST(&conn->output))) {
		STAILQ_REMOVE_HEAD(&conn->output, next);
		output_free(output);
	}
	conn->output_count = 0;
	LIST_REMOVE(conn, list);
	connection_unref(conn);
}

struct connection *connection_ref(struct connection *conn)
{
	conn->refs++;
	return conn;
}

struct connection *connection_unref(struct connection *conn)
{
	if (--conn->refs > 0)
		return NULL;
	principal_done(&conn->principal);
	free(conn->project);
	free(conn);
	return NULL;
}

void connection_close_all(struct daemon *daemon)
{
	struct connection *conn;

	while ((conn = LIST_FIRST(&daemon->connections)))
		connection_close(conn);
}

enum phase connection_phase(const struct connection *conn)
{
	return conn->phase;
}

const struct principal *connection_principal(const struct connection *conn)
{
	return &conn->principal;
}

const char *connection_project(const struct connection *conn)
{
	return conn->project ? conn->project : "";
}

int64_t connection_job(const struct connection *conn)
{
	return conn->job;
}

int connection_fd(const struct connection *conn)
{
	return conn->fd;
}

uint64_t connection_used(const struct connection *conn)
{
	return conn->used;
}

void connection_mark_used(struct connection *conn, uint32_t op)
{
	conn->used |= 1ull << op;
	conn->pending++;
}

void connection_set_job(struct connection *conn, int64_t job)
{
	conn->job = job;
}

int connection_authenticate(struct connection *conn, const struct principal *principal)
{
	int r = principal_copy(principal, &conn->principal);

	if (r < 0)
		return r;
	conn->phase = PHASE_SESSION;
	conn->deadline = sd_event_source_disable_unref(conn->deadline);
	return 0;
}

/* Read while the peer may send more and takes its answers, write while there is something to write. */
static void connection_update_events(struct connection *conn)
{
	uint32_t events = 0;

	if (conn->output_count > 0)
		events |= EPOLLOUT;
	else if (conn->pending < REQUESTS_PENDING_MAX)
		events |= EPOLLIN;
	if (sd_event_source_set_io_events(conn->source, events) < 0)
		connection_close(conn);
}

static void connection_flush(struct connection *conn)
{
	struct output *output;

	while ((output = STAILQ_FIRST(&conn->output))) {
		int r = packet_send(conn->fd, output->message.data, output->message.size,
				    output->fds, output->fd_count);

		if (r == -EAGAIN)
			break;
		if (r < 0) {
			connection_close(conn); /* gone; it needs no answer */
			return;
		}
		STAILQ_REMOVE_HEAD(&conn->output, next);
		conn->output_count--;
		output_free(output);
	}
	connection_update_events(conn);
}

static struct output *output_new(const struct strbuf *message, int *fds, size_t fd_count)
{
	struct output *output = calloc(1, sizeof(*output));

	if (!output)
		return NULL;
	strbuf_append(&output->message, strbuf_get(message), message->size);
	if (strbuf_failed(message) || strbuf_failed(&output->message)) {
		output_free(output);
		return NULL;
	}
	for (size_t i = 0; i < fd_count; i++)
		output->fds[i] = TAKE_FD(fds[i]);
	output->fd_count = fd_count;
	return output;
}

void connection_send(struct connection *conn, const struct strbuf *message, int *fds,
		     size_t fd_count)
{
	struct output *output = NULL;

	conn->pending--;
	if (conn->fd < 0)
		return; /* closed meanwhile; the caller frees fds */
	if (conn->output_count >= OUTPUT_MESSAGES_MAX) {
		log_warning("a peer of uid %u does not read its answers, closing",
			    conn->uid);
	} else {
		output = output_new(message, fds, fd_count);
		if (!output)
			log_err("no memory for an answer to a peer of uid %u, closing",
				conn->uid);
	}
	if (!output) {
		connection_close(conn);
		return;
	}
	STAILQ_INSERT_TAIL(&conn->output, output, next);
	conn->output_count++;
	connection_flush(conn);
}

/* A peer that has begun to log in must come to an end. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct connection *conn = userdata;

	(void)source;
	(void)usec;
	log_info("an SSH connection did not authenticate in time, closing");
	connection_close(conn);
	return 0;
}

static int connection_count_request(struct connection *conn)
{
	uint64_t grace = conn->daemon->settings->ssh_login_grace_sec * 1000000ull;

	if (conn->phase != PHASE_PREAUTH)
		return 0;
	if (++conn->requests > PREAUTH_REQUESTS_MAX)
		return -EOVERFLOW;
	/* spare processes of sshd connect before they have a client: the first request counts */
	if (conn->deadline)
		return 0;
	return sd_event_add_time_relative(conn->daemon->event, &conn->deadline,
					  CLOCK_MONOTONIC, grace, 100000, on_deadline,
					  conn);
}

static int connection_read(struct connection *conn, struct error *err)
{
	_cleanup_packet_ struct packet packet = { 0 };
	int r = packet_receive(conn->fd, &packet);

	if (r == -EAGAIN)
		return 1;
	if (r < 0)
		return error_internal(err, r, "receive");
	if (r == 0)
		return 0;
	r = connection_count_request(conn);
	if (r < 0)
		return error_internal(err, r, "requests before authentication");
	r = request_dispatch(conn->daemon, conn, &packet, err);
	return r < 0 ? r : 1;
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct connection *conn = connection_ref(userdata);
	int r = 1;

	(void)source;
	(void)fd;
	if (revents & EPOLLOUT)
		connection_flush(conn);
	if (conn->fd >= 0 && (revents & EPOLLIN))
		r = connection_read(conn, &err);
	else if (conn->fd >= 0 && (revents & (EPOLLHUP | EPOLLERR)))
		r = 0;

	if (r < 0)
		log_error(LOG_WARNING, &err, "peer of uid %u, closing its connection",
			  conn->uid);
	if (r <= 0)
		connection_close(conn);
	else if (conn->fd >= 0)
		connection_update_events(conn);
	connection_unref(conn);
	return 0;
}

static int connection_new(struct daemon *daemon, int fd,
			  const struct connection_role *role,
			  struct connection **ret_conn)
{
	struct connection *conn = calloc(1, sizeof(*conn));
	const int send_bytes = SEND_BUFFER_BYTES;
	int r = 0;

	if (!conn) {
		fd_close(fd);
		return -ENOMEM;
	}
	*conn = (struct connection){
		.daemon = daemon,
		.refs = 1,
		.fd = fd,
		.phase = role->phase,
		.job = role->job,
	};
	STAILQ_INIT(&conn->output);
	LIST_INSERT_HEAD(&daemon->connections, conn, list);

	if (role->principal)
		r = principal_copy(role->principal, &conn->principal);
	if (r >= 0 && role->project) {
		conn->project = strdup(role->project);
		r = conn->project ? 0 : -ENOMEM;
	}
	if (r >= 0 &&
	    (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	     setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)) < 0))
		r = -errno;
	if (r >= 0)
		r = sd_event_add_io(daemon->event, &conn->source, fd, EPOLLIN, on_ready,
				    conn);
	if (r < 0) {
		connection_close(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

int connection_add(struct daemon *daemon, int fd, const struct connection_role *role,
		   struct error *err)
{
	struct connection *conn;
	int r = connection_new(daemon, fd, role, &conn);

	return r < 0 ? error_internal(err, r, "new connection") : 0;
}

/* A project's user is one by having a row, not by the look of its name. */
static int judge_project_user(struct daemon *daemon, const char *name,
			      struct principal *ret, struct error *err)
{
	_cleanup_(project_freep) struct project *project = NULL;
	int r = state_project_get(daemon->state, name, &project, err);

	if (r < 0)
		return r;
	if (r == 0 || project->state != PROJECT_READY)
		return -EACCES;
	ret->role = ROLE_PROJECT;
	ret->project = strdup(name);
	return 0;
}

static int judge_local(struct daemon *daemon, uid_t uid, struct principal *ret,
		       struct error *err)
{
	_cleanup_(principal_done) struct principal p = { 0 };
	int r;

	r = account_name(uid, &p.name);
	if (r <= 0)
		return r < 0 ? r : -EACCES;
	p.role = ROLE_ADMIN;
	if (uid != 0) {
		r = judge_project_user(daemon, p.name, &p, err);
		if (r < 0)
			return r;
	}
	if (!p.project)
		p.project = strdup("");
	p.fingerprint = strdup("");
	if (!p.project || !p.fingerprint)
		return -ENOMEM;
	*ret = p;
	p = (struct principal){ 0 };
	return 0;
}

/* Judge a peer of the public socket by its uid: docs/privileges.md. */
static int connection_judge(struct daemon *daemon, int fd, uid_t uid, struct error *err)
{
	_cleanup_(principal_done) struct principal principal = { 0 };
	struct connection_role role = { .phase = PHASE_COMMAND };
	struct connection *conn;
	int r;

	if (uid == daemon->sshd_user.uid) {
		role.phase = PHASE_PREAUTH;
	} else if (uid == daemon->user.uid) {
		role.phase = PHASE_JOB;
	} else {
		r = judge_local(daemon, uid, &principal, err);
		if (r < 0) {
			fd_close(fd);
			return r;
		}
		role.principal = &principal;
	}
	r = connection_new(daemon, fd, &role, &conn);
	if (r < 0)
		return error_internal(err, r, "new connection");
	conn->uid = uid;
	conn->from_socket = true;
	return 0;
}

static bool connection_is_too_many(struct daemon *daemon, uid_t uid)
{
	const struct connection *conn;
	size_t all = 0, same = 0, max = CONNECTIONS_PER_PROJECT_MAX;

	LIST_FOREACH(conn, &daemon->connections, list)
	{
		all++;
		if (conn->from_socket && conn->uid == uid)
			same++;
	}
	/* as many as sshd may serve, the processes it keeps ready, and those just ending */
	if (uid == 0 || uid == daemon->user.uid)
		max = CONNECTIONS_PER_USER_MAX;
	else if (uid == daemon->sshd_user.uid)
		max = 2 * (size_t)daemon->settings->ssh_max_connections + 64;
	return all >= CONNECTIONS_MAX || same >= max;
}

static int on_accept_again(sd_event_source *timer, uint64_t usec, void *userdata)
{
	(void)timer;
	(void)usec;
	return sd_event_source_set_enabled(userdata, SD_EVENT_ON);
}

/* Who waits stays in the queue, and the socket readable: to try again at once would be all that we do. */
static void accept_pause(struct daemon *daemon, sd_event_source *source)
{
	if (sd_event_add_time_relative(daemon->event, NULL, CLOCK_MONOTONIC,
				       ACCEPT_PAUSE_USEC, 0, on_accept_again,
				       source) >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

int connection_accept(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	_cleanup_error_ struct error err = ERROR_INIT;
	struct daemon *daemon = userdata;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	(void)revents;
	if (conn_fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
			return 0;
		log_warning("accept: %s, waiting", strerror(errno));
		accept_pause(daemon, source);
		return 0;
	}
	if (getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		log_warning("SO_PEERCRED: %s, closing the connection", strerror(errno));
		fd_close(conn_fd);
		return 0;
	}
	if (connection_is_too_many(daemon, peer.uid)) {
		log_warning("too many connections of uid %u, closing one", peer.uid);
		fd_close(conn_fd);
		return 0;
	}
	r = connection_judge(daemon, conn_fd, peer.uid, &err);
	if (r == -EACCES && !error_is_set(&err))
		log_warning("a process of uid %u has no business here, closing",
			    peer.uid);
	else if (r < 0)
		log_error(LOG_ERR, &err, "peer of uid %u, closing its connection",
			  peer.uid);
	return 0;
}
