#include "protocol/client.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/io.h"

/* A list longer than this is not one of ours. */
#define CLIENT_LIST_MAX (16u * 1024 * 1024)

struct client {
	int fd;
	uint32_t serial;
	client_wait_fn wait;
	void *userdata;
};

int client_from_fd(int fd, struct client **ret_client)
{
	struct client *client = malloc(sizeof(*client));

	if (!client) {
		fd_close(fd);
		return -ENOMEM;
	}
	*client = (struct client){ .fd = fd };
	*ret_client = client;
	return 0;
}

struct client *client_free(struct client *client)
{
	if (client)
		fd_close(client->fd);
	free(client);
	return NULL;
}

int client_fd(const struct client *client)
{
	return client->fd;
}

void client_set_wait(struct client *client, client_wait_fn wait, void *userdata)
{
	client->wait = wait;
	client->userdata = userdata;
}

int client_connect(const char *path, struct client **ret_client, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -EBADF;

	if (!path)
		path = REQUEST_SOCKET;
	if (strlen(path) >= sizeof(address.sun_path))
		return error_internal(err, -ENAMETOOLONG, "socket %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_internal(err, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		error_user(err, r, "DAEMON_UNREACHABLE",
			   "cannot reach hostkitd at %s: %s", path, strerror(-r));
		error_suggest(err, "systemctl status hostkitd");
		return r;
	}
	return client_from_fd(TAKE_FD(fd), ret_client);
}

void client_answer_done(struct client_answer *answer)
{
	packet_done(&answer->packet);
	*answer = (struct client_answer){ 0 };
}

/*
 * The code of an error outlives its message, so it must be a constant: take it from a table that grows
 * by one entry for each identifier seen. Their number is bounded by what hostkitd has.
 */
static const char *intern_code(const char *code)
{
	static char *seen[128];

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		if (!seen[i])
			seen[i] = strdup(code);
		if (!seen[i])
			return NULL;
		if (str_equal(seen[i], code))
			return seen[i];
	}
	return NULL;
}

static int answer_error(struct wire *body, int number, struct error *err)
{
	_cleanup_free_ char *code = wire_string(body, REQUEST_NAME_MAX);
	_cleanup_free_ char *message = wire_string(body, REQUEST_TEXT_MAX);
	_cleanup_free_ char *suggestion = wire_string(body, REQUEST_TEXT_MAX);

	if (wire_end(body) < 0)
		return error_internal(err, -EBADMSG, "answer of hostkitd");
	if (*code == '\0')
		return error_internal(err, number, "hostkitd");

	error_user(err, number, intern_code(code), "%s", message);
	if (*suggestion)
		error_suggest(err, "%s", suggestion);
	return number;
}

static int client_send(struct client *client, enum request op, const struct strbuf *args,
		       const int *fds, size_t fd_count)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_u32(&message, op);
	wire_put_u32(&message, ++client->serial);
	if (args)
		strbuf_append(&message, strbuf_get(args), args->size);
	if (strbuf_failed(&message) || (args && strbuf_failed(args)))
		return -ENOMEM;
	return packet_send(client->fd, message.data, message.size, fds, fd_count);
}

int client_call(struct client *client, enum request op, const struct strbuf *args,
		const int *fds, size_t fd_count, struct client_answer *ret_answer,
		struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	uint32_t answer_op, serial;
	int32_t status;
	int r;

	r = client_send(client, op, args, fds, fd_count);
	if (r < 0)
		return error_internal(err, r, "send %s to hostkitd", request_name(op));
	r = client->wait ? client->wait(client->fd, client->userdata) : 0;
	if (r == 0) {
		r = packet_receive(client->fd, &answer.packet);
		r = r == 0 ? -EPIPE : r;
	}
	if (r < 0)
		return error_internal(err, r, "answer of hostkitd to %s",
				      request_name(op));

	answer.body = wire_reader(answer.packet.data, answer.packet.size);
	answer_op = wire_u32(&answer.body);
	serial = wire_u32(&answer.body);
	status = (int32_t)wire_u32(&answer.body);
	if (answer.body.failed || answer_op != op || serial != client->serial ||
	    status > 0)
		return error_internal(err, -EBADMSG, "answer of hostkitd to %s",
				      request_name(op));
	if (status < 0)
		return answer_error(&answer.body, status, err);

	*ret_answer = answer;
	answer = (struct client_answer){ 0 };
	return 0;
}

int client_do(struct client *client, enum request op, const struct strbuf *args,
	      struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	int r = client_call(client, op, args, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	r = wire_end(&answer.body);
	return r < 0 ? error_internal(err, r, "answer of hostkitd to %s",
				      request_name(op))
		     : 0;
}

int client_list(struct client *client, enum request op, const struct strbuf *args,
		uint32_t *ret_count, struct strbuf *ret_records, struct error *err)
{
	_cleanup_answer_ struct client_answer answer = { 0 };
	uint32_t count;
	int r = client_call(client, op, args, NULL, 0, &answer, err);

	if (r < 0)
		return r;
	count = wire_u32(&answer.body);
	r = wire_end(&answer.body);
	if (r >= 0 && answer.packet.fd_count != 1)
		r = -EBADMSG;
	if (r >= 0 && lseek(answer.packet.fds[0], 0, SEEK_SET) < 0)
		r = -errno;
	if (r >= 0)
		r = io_read_all(answer.packet.fds[0], CLIENT_LIST_MAX, ret_records);
	if (r < 0)
		return error_internal(err, r, "list from hostkitd for %s",
				      request_name(op));
	*ret_count = count;
	return 0;
}

int client_wait_status(int status_fd)
{
	_cleanup_packet_ struct packet packet = { 0 };
	struct wire w;
	uint32_t status;
	int r = packet_receive(status_fd, &packet);

	if (r == 0)
		return -EPIPE;
	if (r < 0)
		return r;
	w = wire_reader(packet.data, packet.size);
	status = wire_u32(&w);
	r = wire_end(&w);
	if (r < 0 || status > 255)
		return -EBADMSG;
	return (int)status;
}
