#pragma once

/*
 * What a job tells its viewers: packets on a SOCK_SEQPACKET socket, first byte the kind.
 *
 * STREAM_TEXT is followed by output for people (UTF-8, escaped, whole lines ending in '\n', already with
 * their prefix "-----> ", "       ", ...). STREAM_END is the last packet: {u32 exit status as in
 * docs/commands.md, string code, string message, string suggestion}; all empty on success. A socket
 * closed without it: the job died; its row will say more.
 */

#include "base/error.h"
#include "base/wire.h"

enum stream_kind {
	STREAM_TEXT,
	STREAM_END,
	_STREAM_KIND_N,
};

#define STREAM_TEXT_MAX 8192

struct stream_end {
	uint32_t exit_status;
	char *code;
	char *message;
	char *suggestion;
};

void stream_end_done(struct stream_end *end);

/*
 * Receive the next packet of a viewer's socket (waits unless it is non-blocking). Returns
 * STREAM_E_TEXT with *ret_text (owned, NUL-terminated), STREAM_E_END with *ret_end (done with
 * stream_end_done()), STREAM_E_CLOSED, or a negative errno value.
 */
enum {
	STREAM_E_CLOSED,
	STREAM_E_TEXT,
	STREAM_E_END,
};
int stream_receive(int fd, char **ret_text, size_t *ret_size, struct stream_end *ret_end)
	_must_check_;

/* Build the packets: for one text of at most STREAM_TEXT_MAX bytes, and for the end. */
void stream_put_text(struct strbuf *buf, const char *text, size_t size);
void stream_put_end(struct strbuf *buf, const struct stream_end *end);
