#pragma once

/* What a client asks for (gitprotocol-pack(5), "Reference Update Request"), parsed and not yet judged. */

#include <stdbool.h>
#include <stddef.h>

#include <git2/oid.h>

#include "base/error.h"
#include "receiver/pktline.h"

/* More than anybody pushes at once. */
#define PUSH_COMMANDS_MAX 1000000
#define PUSH_OPTIONS_MAX 64
/* Commits a client's history ends at. */
#define PUSH_SHALLOW_MAX 20000

struct push_command {
	char *ref;
	git_oid old_oid; /* zero: to be created */
	git_oid new_oid; /* zero: to be deleted */
	char *refused;   /* owned: the reason in the report; NULL: not, or not yet */
	bool deploys;    /* it is left to a job to move the ref */
};

struct push {
	struct push_command *commands;
	size_t count, allocated;
	git_oid *shallow;
	size_t shallow_count, shallow_allocated;
	char **options;
	size_t option_count;
	bool report_status; /* in either version */
	bool side_band;
	bool quiet;
	bool atomic;
	bool push_options;
};

void push_done(struct push *push);
#define _cleanup_push_ _cleanup_(push_done)

/*
 * Take one line of the list, without its newline: "shallow OID", or "OLD NEW REF", the first with
 * capabilities behind a NUL. Returns 0; -EPROTO with git's words, or when there are too many of a kind; or
 * -ENOMEM.
 */
int push_add_line(struct push *push, const char *line, size_t size, struct error *err)
	_must_check_;

/* Read the list up to its flush, and the push options if the client sends them and they were offered. */
int push_read(struct push *push, struct pktline_reader *in, bool options_offered,
	      struct error *err) _must_check_;

static inline bool push_is_deletion(const struct push_command *command)
{
	return git_oid_is_zero(&command->new_oid);
}

/* Does the client send a pack: is there anything but deletions? */
bool push_has_pack(const struct push *push);

/* Refuse a command that was not refused yet. */
void push_refuse(struct push_command *command, const char *reason);
/* All that were not refused yet. */
void push_refuse_rest(struct push *push, const char *reason);
/* With --atomic one refusal is everybody's. */
void push_spread_refusal(struct push *push, const char *reason);
bool push_all_refused(const struct push *push);
