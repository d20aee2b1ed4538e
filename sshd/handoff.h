#pragma once

/*
 * What the listener and its connection processes say to each other, over the SOCK_SEQPACKET pair that a
 * connection process has as descriptor 3. Listener: one SETUP, then one CLIENT. Process: AUTHENTICATED.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

#define HANDOFF_FD 3

/* What a connection process is told at its start; strings owned. */
struct handoff_setup {
	char *users;        /* names a client may give, separated by blanks */
	char *host_key_dir; /* where the host keys are */
	char *socket;       /* of hostkitd */
	uint32_t login_grace_sec;
	uint32_t idle_sec;  /* a connection without channels ends after this */
	uint32_t alive_sec; /* a silent peer is asked for a sign of life after this */
	uint32_t channels;  /* at the same time */
	int filter_fd;      /* seccomp program for sandbox_enter(); -EBADF: none */
};

/* The client it is to serve. */
struct handoff_client {
	char *address; /* "192.0.2.7 port 4711" */
	int fd;        /* accepted, non-blocking */
};

void handoff_setup_done(struct handoff_setup *setup);
void handoff_client_done(struct handoff_client *client);

/* Listener's side; return 0 or a negative errno value. Descriptors are borrowed. */
int handoff_send_setup(int fd, const struct handoff_setup *setup) _must_check_;
int handoff_send_client(int fd, const struct handoff_client *client) _must_check_;
/* Has the process just said that its client authenticated? Does not wait. 1 yes, 0 no, -EPIPE: gone. */
int handoff_receive_authenticated(int fd) _must_check_;

/* Process's side. Receiving waits; returns 1, 0 when the listener has gone, or a negative errno value. */
int handoff_receive_setup(int fd, struct handoff_setup *ret_setup) _must_check_;
int handoff_receive_client(int fd, struct handoff_client *ret_client) _must_check_;
int handoff_send_authenticated(int fd) _must_check_;
