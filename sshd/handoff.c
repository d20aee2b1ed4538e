/* The packets between the listener and its connection processes. */

#include "sshd/handoff.h"

#include <sys/socket.h>

#include "base/packet.h"
#include "base/wire.h"

#define HANDOFF_TEXT_MAX 4096

void handoff_setup_done(struct handoff_setup *setup)
{
	free(setup->users);
	free(setup->host_key_dir);
	free(setup->socket);
	setup->filter_fd = fd_close(setup->filter_fd);
}

void handoff_client_done(struct handoff_client *client)
{
	free(client->address);
	client->fd = fd_close(client->fd);
}

static int send_with_fd(int socket_fd, const struct strbuf *message, int fd)
{
	if (strbuf_failed(message))
		return -ENOMEM;
	return packet_send(socket_fd, message->data, message->size, &fd, fd >= 0 ? 1 : 0);
}

int handoff_send_setup(int fd, const struct handoff_setup *setup)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_string(&message, setup->users);
	wire_put_string(&message, setup->host_key_dir);
	wire_put_string(&message, setup->socket);
	wire_put_u32(&message, setup->login_grace_sec);
	wire_put_u32(&message, setup->idle_sec);
	wire_put_u32(&message, setup->alive_sec);
	wire_put_u32(&message, setup->channels);
	return send_with_fd(fd, &message, setup->filter_fd);
}

int handoff_receive_setup(int fd, struct handoff_setup *ret_setup)
{
	_cleanup_(handoff_setup_done) struct handoff_setup setup = { .filter_fd =
									     -EBADF };
	_cleanup_packet_ struct packet packet = { 0 };
	struct wire w;
	int r = packet_receive(fd, &packet);

	if (r <= 0)
		return r;
	w = wire_reader(packet.data, packet.size);
	setup.users = wire_string(&w, HANDOFF_TEXT_MAX);
	setup.host_key_dir = wire_string(&w, HANDOFF_TEXT_MAX);
	setup.socket = wire_string(&w, HANDOFF_TEXT_MAX);
	setup.login_grace_sec = wire_u32(&w);
	setup.idle_sec = wire_u32(&w);
	setup.alive_sec = wire_u32(&w);
	setup.channels = wire_u32(&w);
	r = wire_end(&w);
	if (r < 0)
		return r;
	if (packet.fd_count > 0)
		setup.filter_fd = TAKE_FD(packet.fds[0]);

	*ret_setup = setup;
	setup = (struct handoff_setup){ .filter_fd = -EBADF };
	return 1;
}

int handoff_send_client(int fd, const struct handoff_client *client)
{
	_cleanup_strbuf_ struct strbuf message = { 0 };

	wire_put_string(&message, client->address);
	return send_with_fd(fd, &message, client->fd);
}

int handoff_receive_client(int fd, struct handoff_client *ret_client)
{
	_cleanup_(handoff_client_done) struct handoff_client client = { .fd = -EBADF };
	_cleanup_packet_ struct packet packet = { 0 };
	struct wire w;
	int r = packet_receive(fd, &packet);

	if (r <= 0)
		return r;
	w = wire_reader(packet.data, packet.size);
	client.address = wire_string(&w, HANDOFF_TEXT_MAX);
	r = wire_end(&w);
	if (r < 0)
		return r;
	if (packet.fd_count != 1)
		return -EBADMSG;
	client.fd = TAKE_FD(packet.fds[0]);

	*ret_client = client;
	client = (struct handoff_client){ .fd = -EBADF };
	return 1;
}

int handoff_send_authenticated(int fd)
{
	return packet_send(fd, "A", 1, NULL, 0);
}

int handoff_receive_authenticated(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	if (n > 0)
		return byte == 'A';
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return -EPIPE;
}
