#pragma once

/*
 * Messages with descriptors over a connected AF_UNIX SOCK_SEQPACKET socket (unix(7)): the kernel
 * keeps message boundaries, so there is no framing to get wrong.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

#define PACKET_FDS_MAX 4

struct packet {
	uint8_t *data; /* owned */
	size_t size;
	int fds[PACKET_FDS_MAX]; /* owned, O_CLOEXEC; take with TAKE_FD() */
	size_t fd_count;
};

void packet_done(struct packet *packet);
#define _cleanup_packet_ _cleanup_(packet_done)

/*
 * Send one message of 1 to WIRE_MESSAGE_MAX bytes and up to PACKET_FDS_MAX descriptors (borrowed).
 * Blocks unless the socket is non-blocking. Returns 0 or a negative errno value: -EAGAIN, -EPIPE,
 * -EMSGSIZE, ... Never raises SIGPIPE.
 */
int packet_send(int socket_fd, const void *data, size_t size, const int *fds,
		size_t fd_count) _must_check_;

/*
 * Receive one message into *ret_packet. Returns 1, 0 when the peer has closed, or a negative errno
 * value; -EBADMSG for a message that is too large or brought too many descriptors (all are closed).
 */
int packet_receive(int socket_fd, struct packet *ret_packet) _must_check_;

/* A connected pair, both ends O_CLOEXEC. Returns 0 or a negative errno value. */
int packet_pair(int ret_fds[2]) _must_check_;
