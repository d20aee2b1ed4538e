#pragma once

/* What the files of the connection process share. */

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "protocol/client.h"
#include "sshd/handoff.h"

/* Requests to authenticate a client may send at all, and signatures that may be wrong among them. */
#define AUTH_REQUESTS_MAX 64u
#define AUTH_FAILURES_MAX 6u

/* The most that is taken from a process at once: two full packets of OpenSSH (32768 less 10 each). */
#define RELAY_CHUNK 65516u
/*
 * The window for uploads; at a round trip of 50 ms enough for 100 MB/s. Not more: OpenSSH's client keeps a whole window
 * ready and moves it about in memory; with 8 MB it took five times as long over loopback.
 */
#define RELAY_WINDOW (5u * 1024 * 1024)
/* What a peer may send beyond its window before it counts as hostile. */
#define RELAY_WINDOW_SLACK (1024u * 1024)

/* The descriptors of a channel in a poll set: stream, errors, status. */
#define CHANNEL_POLLS 3

struct connection;

struct auth {
	unsigned int requests;
	unsigned int failures;
	bool unanswered; /* libssh has a request and has not called back about it */
	bool hopeless;   /* cut the connection */
	bool done;
	char *fingerprint; /* of the key that signed; NULL before */
	char *name;        /* what hostkitd calls the key */
};

enum channel_state {
	CHANNEL_OPEN,    /* no command yet */
	CHANNEL_ASKED,   /* a command was accepted, its process is to be started */
	CHANNEL_RUNNING, /* bytes pass */
	CHANNEL_ENDING,  /* exit status sent, close being sent */
	CHANNEL_CLOSED,  /* close sent; waits for the client's */
};

struct channel {
	struct connection *connection;
	ssh_channel ssh;
	struct ssh_channel_callbacks_struct callbacks;
	enum channel_state state;

	/* what the client asked for */
	char *command;     /* NULL: a shell, that is, no words */
	bool terminal;     /* it asked for a terminal, so lines end in CR LF */
	uint32_t protocol; /* of git */

	/* towards the process */
	int stream_fd;    /* its standard input and output */
	uint8_t *inbound; /* taken from libssh, not written yet: size bytes, `at` done */
	size_t inbound_size;
	size_t inbound_at;
	bool inbound_left;  /* libssh has more */
	bool input_closed;  /* the process reads no more */
	bool remote_eof;    /* the client sends no more */
	bool remote_closed; /* the client closed the channel */
	uint64_t consumed;  /* bytes since the window was last opened */

	/* towards the client */
	int errors_fd;
	struct strbuf outbound; /* read from the process, not taken by libssh yet */
	struct strbuf errors;
	bool output_ended;
	bool errors_ended;
	uint64_t eof_usec;   /* when to pass their end on; 0: not yet known */
	uint64_t close_usec; /* the client has closed: the status must be there by then */

	int status_fd;
	bool ended; /* status is known */
	uint32_t status;
	bool status_sent;
};

struct connection {
	struct handoff_setup setup;
	struct handoff_client peer;
	struct client *client; /* requests to hostkitd; NULL: unreachable */
	ssh_session session;
	ssh_event event;
	struct ssh_counter_struct traffic; /* bytes on the socket */

	struct ssh_server_callbacks_struct server_callbacks;
	struct ssh_packet_callbacks_struct auth_packets;
	struct ssh_packet_callbacks_struct request_packets;
	struct auth auth;

	struct channel **channels; /* setup.channels slots, NULL: free */
	uint8_t *chunk;            /* RELAY_CHUNK bytes while channels run */
	uint8_t *window;           /* RELAY_WINDOW bytes, hardly ever touched */
	bool text_has_nul;         /* the channel request at hand hides a NUL */
	bool exhausted;            /* memory ran out and bytes were lost with it */

	uint64_t started_usec;
	uint64_t active_usec; /* last time there was a channel */
	uint64_t heard_usec;  /* last time the client sent anything */
	uint64_t heard_bytes;
	unsigned int probes; /* signs of life asked for since */
};

/* CLOCK_MONOTONIC. */
uint64_t connection_now_usec(void);

/*
 * Write a line to the log that begins with "192.0.2.7 port 4711: " or, authenticated, "192.0.2.7 port 4711
 * SHA256:...: "; priority as in syslog(3).
 */
void connection_log(const struct connection *c, int priority, const char *fmt, ...)
	_printf_(3, 4);

/* auth.c: hook into the session; to be called before its first packet. */
int auth_attach(struct connection *c) _must_check_;
/* Answer what libssh has dropped. To be called when libssh has processed what was there. */
void auth_settle(struct connection *c);
void auth_done(struct auth *auth);

/* channel.c: channels and what clients request on them. */
int channel_attach(struct connection *c) _must_check_;
/* Do for every channel what can be done now; polls is what channel_polls() filled. */
void channel_serve_all(struct connection *c, const struct pollfd *polls);
/* Fill CHANNEL_POLLS entries for every slot. */
void channel_polls(struct connection *c, struct pollfd *polls);
size_t channel_count(const struct connection *c);
/* When the next of their clocks strikes; UINT64_MAX: none runs. */
uint64_t channel_deadline(const struct connection *c);
/* libssh is about to free its side of them. */
void channel_forget_all(struct connection *c);
void channel_free_all(struct connection *c);

/* start.c: let hostkitd start what the client asked for; failures are told to the client. */
void channel_start(struct channel *channel);
/* End the channel with a line for people on its standard error. */
void channel_fail(struct channel *channel, uint32_t status, const char *fmt, ...)
	_printf_(3, 4);

/*
 * relay.c: move bytes. Each returns 0, -EPIPE when the session is dead, or -ENOMEM when bytes were lost; the
 * connection must end then.
 */
int relay_input(struct channel *channel) _must_check_;
int relay_output(struct channel *channel, bool readable, bool errors_readable)
	_must_check_;
/* Take `size` bytes that have just come straight to the process; returns how many it took. */
size_t relay_direct(struct channel *channel, const void *data, size_t size);
/* Could more output be given to libssh now? */
bool relay_can_send(const struct channel *channel);
