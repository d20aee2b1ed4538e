#pragma once

/* The client side of the requests to hostkitd: one call, one answer. Not for hostkitd itself. */

#include "base/error.h"
#include "base/packet.h"
#include "base/wire.h"
#include "protocol/request.h"

struct client;

/*
 * Connect to the socket at path (NULL: REQUEST_SOCKET). Returns 0 with *ret_client owned by the caller;
 * fails with DAEMON_UNREACHABLE when hostkitd does not run.
 */
int client_connect(const char *path, struct client **ret_client, struct error *err)
	_must_check_;

/* Speak over a connected descriptor that hostkitd handed to this process; takes it, also on failure. */
int client_from_fd(int fd, struct client **ret_client) _must_check_;

struct client *client_free(struct client *client);
static inline void client_freep(struct client **client)
{
	*client = client_free(*client);
}

/* The connection's descriptor, borrowed, to watch for hostkitd going away. */
int client_fd(const struct client *client);

/*
 * While client_call() waits for an answer it calls wait(fd, userdata) first, which returns 0 once fd has
 * something to read, or a negative errno value, which ends the call (and leaves the connection unfit for
 * others). For programs that have more to look after than this answer; NULL: just wait.
 */
typedef int (*client_wait_fn)(int fd, void *userdata);
void client_set_wait(struct client *client, client_wait_fn wait, void *userdata);

/* An answer; done with client_answer_done(). */
struct client_answer {
	struct packet packet; /* its descriptors may be taken */
	struct wire body;     /* results, read them and ask wire_end() */
};

void client_answer_done(struct client_answer *answer);
#define _cleanup_answer_ _cleanup_(client_answer_done)

/*
 * Send op with the arguments in args (NULL: none) and fds (borrowed), and wait for the answer as long as it
 * takes. An error that hostkitd reports comes back in err word for word, as its negative errno value.
 * Returns 0, or negative; -EPIPE when hostkitd closed the connection.
 */
int client_call(struct client *client, enum request op, const struct strbuf *args,
		const int *fds, size_t fd_count, struct client_answer *ret_answer,
		struct error *err) _must_check_;

/*
 * As client_call() without descriptors, for an answer whose only news is that it worked.
 */
int client_do(struct client *client, enum request op, const struct strbuf *args,
	      struct error *err) _must_check_;

/*
 * As client_call() without descriptors, for an answer that is a list: maps nothing, reads the whole
 * memfd into *ret_records (its reader is wire_reader(data, size)).
 */
int client_list(struct client *client, enum request op, const struct strbuf *args,
		uint32_t *ret_count, struct strbuf *ret_records, struct error *err)
	_must_check_;

/*
 * Wait for what a status descriptor reports. Returns the exit status (0..255), or -EPIPE when hostkitd
 * went away first, or another negative errno value.
 */
int client_wait_status(int status_fd) _must_check_;
