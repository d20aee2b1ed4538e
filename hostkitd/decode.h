#pragma once

/* Messages to hostkitd, taken apart: the only code of root that reads what others wrote. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/packet.h"
#include "protocol/request.h"

/* The arguments of any request; which ones count depends on the request. Strings are owned. */
struct request_args {
	uint32_t op;
	uint32_t serial;
	char *project;
	char *release;
	char *name;
	char *comment;
	char *address;
	char *step;
	char *ref;
	char *old_commit;
	char *commit;
	char *code;
	char *message;
	uint8_t *key; /* owned */
	size_t key_size;
	uint32_t value;
	uint32_t value2;
	int64_t job;
	int fd; /* owned, -EBADF: none */
};

void request_args_done(struct request_args *args);

/* What is wanted of a request: its phase, and whether it may come a second time. */
enum phase request_phase(uint32_t op);
bool request_is_once(uint32_t op);

/*
 * Read one message and check it against the table: known, permitted in `phase`, not a second one of a
 * kind that may come once (`used` has a bit for each request seen), well-formed to the last byte, values in
 * range, as many descriptors as it should bring (which are taken). Has no effects.
 *
 * Returns 0 with *ret_args, or -EPROTO / -EBADMSG / -ENOMEM with err.
 */
int request_decode(struct packet *packet, enum phase phase, uint64_t used,
		   struct request_args *ret_args, struct error *err) _must_check_;
