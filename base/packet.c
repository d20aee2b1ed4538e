#include "base/packet.h"

#include <string.h>
#include <sys/socket.h>

#include "base/wire.h"

void packet_done(struct packet *packet)
{
	for (size_t i = 0; i < packet->fd_count; i++)
		fd_close(packet->fds[i]);
	free(packet->data);
	*packet = (struct packet){ 0 };
}

int packet_send(int socket_fd, const void *data, size_t size, const int *fds,
		size_t fd_count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (size == 0 || size > WIRE_MESSAGE_MAX || fd_count > PACKET_FDS_MAX)
		return -EMSGSIZE;

	if (fd_count > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
	}

	for (;;) {
		if (sendmsg(socket_fd, &msg, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static void packet_collect_fds(struct msghdr *msg, struct packet *packet)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (packet->fd_count < PACKET_FDS_MAX)
				packet->fds[packet->fd_count++] = fd;
			else
				fd_close(fd);
		}
	}
}

int packet_receive(int socket_fd, struct packet *ret_packet)
{
	_cleanup_packet_ struct packet packet = { 0 };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
	} control;
	struct iovec iov;
	struct msghdr msg;
	ssize_t n;

	packet.data = malloc(WIRE_MESSAGE_MAX);
	if (!packet.data)
		return -ENOMEM;

	iov = (struct iovec){ .iov_base = packet.data, .iov_len = WIRE_MESSAGE_MAX };
	do {
		msg = (struct msghdr){
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.space,
			.msg_controllen = sizeof(control.space),
		};
		n = recvmsg(socket_fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;

	packet_collect_fds(&msg, &packet);
	if (n == 0)
		return 0;
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EBADMSG;

	packet.size = (size_t)n;
	*ret_packet = packet;
	packet = (struct packet){ 0 };
	return 1;
}

int packet_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return -errno;
	return 0;
}
